//! Azure Monitor's metrics of online endpoints and deployments, over the requests of simulated users.
//!
//! - one value a minute; a request counts some time after it (`delay`), so the newest minute is too small and grows
//! - nothing is there in three shapes: no series for a value of a dimension that nobody had, points with nothing but their
//!   time where nobody was asked yet or what was is not known yet, and zeros
//! - a request that fails is one whose model fails: a 424 to its client, and so 4xx
//! - a filter without `top` is answered with ten series at most, whatever there are
//! - longer intervals are averages of minutes, also of their percentiles
//! - of a deployment's instances it is told what they use, where a scenario says so and while there are requests
//! - errors have no envelope, unless they are Azure Resource Manager's own

mod filter;
mod instances;
mod metric;
mod question;
mod series;

use http::StatusCode;
use serde_json::{Value, json};

use self::metric::Resource;
use self::question::Question;
use crate::World;
use crate::api::{Answer, Api, Operation, Request, json_answer};
use crate::arm::{Asked, LOCATION, Refusal};

/// Azure Monitor as the server sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AzureMonitor;

const OPERATIONS: [&str; 2] = ["MetricDefinitions_List", "Metrics_List"];

/// The versions in which metrics are told.
const VERSIONS: [&str; 5] = ["2018-01-01", "2019-07-01", "2021-05-01", "2023-10-01", "2024-02-01"];

/// What a request is about: the parts of an endpoint's id, and the deployment.
struct About<'a> {
    operation: &'static str,
    endpoint: [&'a str; 4],
    deployment: Option<&'a str>,
}

impl<'a> About<'a> {
    fn of(asked: &'a Asked) -> Option<Self> {
        let parts: Vec<&str> = asked.segments.iter().map(String::as_str).collect();
        let [subscription, g, group, p, provider, w, workspace, e, endpoint, rest @ ..] = parts.as_slice() else {
            return None;
        };
        let is = |part: &str, word: &str| part.eq_ignore_ascii_case(word);
        let (deployment, rest) = match rest {
            [d, deployment, rest @ ..] if is(d, "deployments") => (Some(*deployment), rest),
            rest => (None, rest),
        };
        let operation = match rest {
            [p, insights, kind] if is(p, "providers") && is(insights, "Microsoft.Insights") => {
                if is(kind, "metrics") {
                    "Metrics_List"
                } else if is(kind, "metricDefinitions") {
                    "MetricDefinitions_List"
                } else {
                    return None;
                }
            }
            _ => return None,
        };
        let fits = is(g, "resourceGroups")
            && is(p, "providers")
            && is(provider, "Microsoft.MachineLearningServices")
            && is(w, "workspaces")
            && is(e, "onlineEndpoints");
        fits.then_some(Self { operation, endpoint: [subscription, group, workspace, endpoint], deployment })
    }
}

impl Api for AzureMonitor {
    fn name(&self) -> &'static str {
        "azure-monitor"
    }

    fn operation(&self, request: &Request) -> Option<Operation> {
        let asked = Asked::of(request)?;
        let About { operation, endpoint: [.., endpoint], deployment } = About::of(&asked)?;
        let target = deployment.map_or_else(|| endpoint.to_owned(), |name| format!("{endpoint}@{name}"));
        Some(Operation { name: operation, target: Some(target.to_ascii_lowercase()) })
    }

    fn operations(&self) -> &'static [&'static str] {
        &OPERATIONS
    }

    fn error(&self, status: StatusCode, code: Option<&str>) -> Answer {
        match status.as_u16() {
            // Those are not Azure Monitor's own.
            401 | 403 | 404 => Refusal::injected(status, code).answer(),
            _ => Refusal::injected(status, code).flat(),
        }
    }

    fn answer(&self, request: &Request, _operation: &Operation, world: &mut World) -> Answer {
        let missing = || Refusal::not_found("The resource was not found.").answer();
        let Some(asked) = Asked::of(request) else { return missing() };
        if request.method() != http::Method::GET {
            let message = format!("The method {} is not allowed here.", request.method());
            return Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message).answer();
        }
        if let Err(refusal) = asked.check(request, "metrics", &VERSIONS) {
            return refusal.answer();
        }
        let Some(About { operation, endpoint, deployment }) = About::of(&asked) else { return missing() };
        let Some((target, revisions)) = world.azure_ml.users(endpoint, deployment) else { return missing() };
        let (target, now) = (target.cloned(), world.now());
        let resource = if deployment.is_some() { Resource::Deployment } else { Resource::Endpoint };
        let path = asked.segments.join("/");
        let id = format!("/subscriptions/{}", path.split("/providers/Microsoft.Insights").next().unwrap_or(&path));
        if operation == "MetricDefinitions_List" {
            return json_answer(StatusCode::OK, &json!({ "value": metric::definitions(resource, &id) }));
        }
        let question = match Question::read(&asked, resource, now) {
            Ok(question) => question,
            Err(why) => return Refusal::new(StatusCode::BAD_REQUEST, "BadRequest", why).flat(),
        };
        let delay = world.scenario.azure_monitor.delay;
        let instances = deployment.and_then(|name| world.azure_ml.instances(endpoint, name)).unwrap_or(0);
        let users = series::Users { traffic: &mut world.traffic, target, revisions, instances, now, delay };
        json_answer(StatusCode::OK, &answered(&question, users, resource, &id))
    }
}

fn answered(question: &Question, mut users: series::Users<'_>, resource: Resource, id: &str) -> Value {
    let values = question.metrics.iter().map(|metric| {
        json!({
            "id": format!("{id}/providers/Microsoft.Insights/metrics/{}", metric.name),
            "type": "Microsoft.Insights/metrics",
            "name": { "value": metric.name, "localizedValue": metric.name },
            "displayDescription": metric.name, "unit": metric.unit(), "errorCode": "Success",
            "timeseries": users.series(question, metric),
        })
    });
    let values: Vec<Value> = values.collect();
    json!({
        "cost": 0, "timespan": question.timespan(), "interval": question.interval_text, "value": values,
        "namespace": resource.namespace(), "resourceregion": LOCATION,
    })
}
