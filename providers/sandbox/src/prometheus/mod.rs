//! Prometheus' query API, over what it would have scraped from the revisions.
//!
//! Everything that `mlroll` asks and that its documentation shows works as in Prometheus 2.42: samples exist at scrapes
//! only, `increase` extrapolates, a counter's first value is no increase. Functions, subqueries and aggregations that are
//! not here are answered with Prometheus' error for a query that cannot be executed (422).

mod answer;
mod eval;
mod parameters;
mod series;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http::{Method, StatusCode};

use self::answer::{Data, Problem};
use self::eval::{Evaluation, Failure, Value};
use self::parameters::Parameters;
use self::series::{Labels, Store};
use crate::api::{Answer, Api, Operation, Request};
use crate::traffic::Traffic;
use crate::world::World;

/// The most moments that a query over a range of time may have.
const MOST_POINTS: i64 = 11_000;

const OPERATIONS: [&str; 9] =
    ["buildinfo", "healthy", "label_values", "labels", "query", "query_range", "ready", "series", "Unknown"];

/// Prometheus' query API, at the root and under `/prometheus`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prometheus;

fn path(request: &Request) -> &str {
    let path = request.uri().path();
    path.strip_prefix("/prometheus").unwrap_or(path)
}

/// The label whose values are asked for.
fn label_of(path: &str) -> Option<&str> {
    path.strip_prefix("/api/v1/label/")?.strip_suffix("/values").filter(|label| !label.contains('/'))
}

impl Api for Prometheus {
    fn name(&self) -> &'static str {
        "prometheus"
    }

    fn operation(&self, request: &Request) -> Option<Operation> {
        let path = path(request);
        let name = match path {
            "/api/v1/query" => "query",
            "/api/v1/query_range" => "query_range",
            "/api/v1/labels" => "labels",
            "/api/v1/series" => "series",
            "/api/v1/status/buildinfo" => "buildinfo",
            "/-/healthy" => "healthy",
            "/-/ready" => "ready",
            _ if label_of(path).is_some() => "label_values",
            _ if path.starts_with("/api/v1/") => "Unknown",
            _ => return None,
        };
        Some(Operation { name, target: None })
    }

    fn operations(&self) -> &'static [&'static str] {
        &OPERATIONS
    }

    /// Prometheus knows no codes but its error types.
    fn error(&self, status: StatusCode, code: Option<&str>) -> Answer {
        answer::injected(status, code)
    }

    fn answer(&self, request: &Request, operation: &Operation, world: &mut World) -> Answer {
        let get = request.method() == Method::GET;
        let form = get || request.method() == Method::POST;
        let allowed = match operation.name {
            "query" | "query_range" | "labels" | "series" => form,
            "healthy" | "ready" => get || request.method() == Method::HEAD,
            _ => get,
        };
        if operation.name == "Unknown" {
            return answer::text(404, "404 page not found\n");
        }
        if !allowed {
            return answer::text(405, "Method Not Allowed\n");
        }
        let now = world.now().unix_milliseconds();
        let parameters = Parameters::of(request);
        let settings = world.scenario.prometheus;
        let mut store = Store::new(&mut world.traffic, &settings, now);
        let data = match operation.name {
            "query" => query(&parameters, &mut store, now),
            "query_range" => query_range(&parameters, &mut store),
            "labels" => labels(&parameters, &mut store, now),
            "series" => series(&parameters, &mut store, now),
            "label_values" => label_values(&parameters, path(request), &mut store, now),
            "healthy" => return answer::text(200, "Prometheus Server is Healthy.\n"),
            "ready" => return answer::text(200, "Prometheus Server is Ready.\n"),
            _ => Ok(Data::build_info()),
        };
        answer::json(data)
    }
}

/// Answers a query on the metrics that Cloud Monitoring has of the Cloud Run services of a project, at a moment in
/// milliseconds since 1970.
pub(crate) fn of_cloud_run(
    request: &Request,
    traffic: &mut Traffic,
    project: &str,
    delay: Duration,
    now: i64,
) -> Answer {
    let mut store = Store::of_cloud_run(traffic, project, delay, now);
    answer::json(query(&Parameters::of(request), &mut store, now))
}

fn query(parameters: &Parameters, store: &mut Store<'_>, now: i64) -> Result<Data, Problem> {
    let at = parameters.time("time")?.unwrap_or(now);
    parameters.timeout()?;
    let expr = parameters.query()?;
    let value = Evaluation { store, now: at, ends: (at, at) }.value(&expr)?;
    Ok(Data::at(value, at))
}

fn query_range(parameters: &Parameters, store: &mut Store<'_>) -> Result<Data, Problem> {
    let (start, end, step) = parameters.range()?;
    if (end - start) / step > MOST_POINTS {
        let most = "exceeded maximum resolution of 11,000 points per timeseries. \
                    Try decreasing the query resolution (?step=XX)";
        return Err(Problem::bad_data(most));
    }
    parameters.timeout()?;
    let expr = parameters.query()?;
    if !eval::is_instant(&expr) {
        let found = if expr.value_type().to_string() == "matrix" { "range vector" } else { "string" };
        let why = format!("invalid expression type \"{found}\" for range query, must be Scalar or instant Vector");
        return Err(Problem::parameter("query", &why));
    }
    let mut series: BTreeMap<Labels, Vec<(i64, f64)>> = BTreeMap::new();
    let mut at = start;
    while at <= end {
        match (Evaluation { store, now: at, ends: (start, end) }).value(&expr)? {
            Value::Scalar(value) => series.entry(Labels::new()).or_default().push((at, value)),
            Value::Vector(points) => {
                for point in points {
                    series.entry(point.labels).or_default().push((at, point.value));
                }
            }
            Value::Text(_) | Value::Matrix(_) => return Err(Failure("expected a number".to_owned()).into()),
        }
        at += step;
    }
    Ok(Data::matrix(series))
}

/// The labels of all series that the request's selectors select and that have a sample in its time.
fn found(parameters: &Parameters, store: &mut Store<'_>, now: i64) -> Result<Vec<Labels>, Problem> {
    let selectors = parameters.selectors()?;
    let from = parameters.time("start")?.unwrap_or(i64::MIN / 4);
    let until = parameters.time("end")?.unwrap_or(now);
    let candidates: Vec<_> = store
        .series
        .iter()
        .filter(|series| selectors.is_empty() || selectors.iter().any(|one| eval::matches(one, &series.labels)))
        .cloned()
        .collect();
    let there = candidates.into_iter().filter(|series| store.newest(series, from, until).is_some());
    Ok(there.map(|series| series.labels).collect())
}

fn labels(parameters: &Parameters, store: &mut Store<'_>, now: i64) -> Result<Data, Problem> {
    let found = found(parameters, store, now)?;
    let names: BTreeSet<String> = found.into_iter().flat_map(Labels::into_keys).collect();
    Ok(Data::texts(&names))
}

fn label_values(parameters: &Parameters, path: &str, store: &mut Store<'_>, now: i64) -> Result<Data, Problem> {
    let label = label_of(path).unwrap_or_default();
    let mut bytes = label.bytes();
    let named = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !named {
        return Err(Problem::bad_data(&format!("invalid label name: {label:?}")));
    }
    let found = found(parameters, store, now)?;
    let values: BTreeSet<String> = found.into_iter().filter_map(|mut labels| labels.remove(label)).collect();
    Ok(Data::texts(&values))
}

fn series(parameters: &Parameters, store: &mut Store<'_>, now: i64) -> Result<Data, Problem> {
    if parameters.selectors()?.is_empty() {
        return Err(Problem::bad_data("no match[] parameter provided"));
    }
    Ok(Data::series(&found(parameters, store, now)?))
}
