//! Queries as they are sent, and what an answer says.

use std::collections::BTreeMap;
use std::time::Duration;

use mlroll_backend::{Error, ErrorKind, Finite, Histogram, Query, Result, RevisionId, Sample, Why, Window};
use serde::Deserialize;

use crate::LatencyUnit;
use crate::error::{OPERATION, printable, unexpected};
use crate::settings::Selectors;
use crate::template::{Template, range};

/// The label that tells the parts of a query's answer apart.
const PART: &str = "mlroll";

/// A query, ready to be sent for any subject and window, and how its answer is read.
#[derive(Clone, Debug)]
pub(crate) enum Question {
    /// Also of counters of the user's own, which are not requests and errors but are counted alike.
    ErrorRate {
        requests: Vec<Template>,
        errors: Vec<Template>,
    },
    Histogram {
        buckets: Template,
        unit: LatencyUnit,
    },
    Requests(Vec<Template>),
    /// The same of each value of a label.
    Stratified {
        by: String,
        of: Box<Self>,
    },
    Value(Template),
}

/// More parts than these are no strata but a label of another kind, such as a user's.
const MOST_STRATA: usize = 100;

impl Question {
    pub(crate) fn new(query: &Query, selectors: &Selectors) -> Result<Self> {
        let missing = |key: &str| {
            let message =
                format!("the metric `{query}` needs a selector: set {key} (or a preset that has it) under metrics");
            Error::new(ErrorKind::Invalid, "settings", message)
        };
        let requests = || Some(selectors.requests.clone()).filter(|s| !s.is_empty()).ok_or_else(|| missing("requests"));
        match query {
            Query::Custom(text) => Template::query(text)
                .map(Self::Value)
                .map_err(|why| Error::new(ErrorKind::Invalid, "settings", format!("query: {why}"))),
            Query::ErrorRate if selectors.errors.is_empty() => Err(missing("errors")),
            Query::ErrorRate => Ok(Self::ErrorRate { requests: requests()?, errors: selectors.errors.clone() }),
            Query::Latency | Query::Quantile(_) => match &selectors.latency {
                Some((buckets, unit)) => Ok(Self::Histogram { buckets: buckets.clone(), unit: *unit }),
                None => Err(missing("latency")),
            },
            Query::Requests => requests().map(Self::Requests),
            Query::Alarms(_) | Query::Headroom(_) | Query::InstanceStartup | Query::PendingRequests => {
                Err(query.unsupported("settings", "Prometheus"))
            }
            Query::Ratio { requests, events } => {
                let selector = |key: &str, text: &str| {
                    let refused = |why| Error::new(ErrorKind::Invalid, "settings", format!("{key}: {why}"));
                    Template::selector(text).map(|selector| vec![selector]).map_err(refused)
                };
                Ok(Self::ErrorRate { requests: selector("requests", requests)?, errors: selector("events", events)? })
            }
            Query::Stratified { by, of }
                if is_label(by) && matches!(**of, Query::ErrorRate | Query::Latency | Query::Ratio { .. }) =>
            {
                Ok(Self::Stratified { by: by.clone(), of: Box::new(Self::new(of, selectors)?) })
            }
            Query::Stratified { by, of } => {
                let message = format!("strata: `{by}` is no label that the metric `{of}` could be divided by");
                Err(Error::new(ErrorKind::Invalid, "settings", message))
            }
            // Scores have no unit: their bounds are taken as they are.
            Query::Scores(text) => Template::selector(text)
                .map(|buckets| Self::Histogram { buckets, unit: LatencyUnit::Seconds })
                .map_err(|why| Error::new(ErrorKind::Invalid, "settings", format!("scores: {why}"))),
        }
    }

    /// The query's text.
    pub(crate) fn text(&self, revision: &RevisionId, window: Duration) -> String {
        self.text_by(None, revision, window)
    }

    fn text_by(&self, by: Option<&str>, revision: &RevisionId, window: Duration) -> String {
        let each = by.map_or_else(String::new, |by| format!(" by ({by}) "));
        let sums = |part: &str, selectors: &[Template]| -> Vec<String> {
            let sum = |(n, selector): (usize, &Template)| {
                let selector = selector.render(revision, window);
                labelled(&format!("sum{each}(increase({selector}[{}]))", range(window)), &format!("{part}{n}"))
            };
            selectors.iter().enumerate().map(sum).collect()
        };
        let newest = |selectors: &[Template]| -> Vec<String> {
            let newest = |(n, selector): (usize, &Template)| {
                labelled(&format!("max(timestamp({}))", selector.render(revision, window)), &format!("newest{n}"))
            };
            selectors.iter().enumerate().map(newest).collect()
        };
        let parts = match self {
            Self::ErrorRate { requests, errors } => {
                [sums("requests", requests), newest(requests), sums("errors", errors)].concat()
            }
            Self::Histogram { buckets, .. } => {
                let selector = buckets.render(revision, window);
                let each = by.map_or_else(String::new, |by| format!(", {by}"));
                let sum = format!("sum by (le{each}) (increase({selector}[{}]))", range(window));
                [vec![labelled(&sum, "buckets")], newest(std::slice::from_ref(buckets))].concat()
            }
            Self::Requests(requests) => [sums("requests", requests), newest(requests)].concat(),
            Self::Stratified { by, of } => return of.text_by(Some(by), revision, window),
            Self::Value(query) => vec![query.render(revision, window)],
        };
        parts.join(" or ")
    }

    /// Whether it means the same at a step of a range as at that moment alone. What a person wrote may look at the range
    /// itself (`@ end()`, `step()`), and a number that is no series would pass for one.
    pub(crate) fn is_the_same_in_a_range(&self) -> bool {
        !matches!(self, Self::Value(_))
    }

    /// What the answer of status 200 says.
    ///
    /// # Errors
    /// It is none that this query can have.
    pub(crate) fn read(&self, body: &[u8], window: Window) -> Result<Sample> {
        let Answer { status, data, error, warnings } = serde_json::from_slice(body).map_err(|e| {
            let message = "the answer is not Prometheus': is there a login page, a proxy or another service at `url`?";
            unexpected(message).caused_by(e)
        })?;
        let Some(data) = data.filter(|_| status == "success") else {
            let message =
                format!("the store reports an error with status 200: {}", printable(&error.unwrap_or_default(), 600));
            return Err(unexpected(message));
        };
        let series = data.series()?;
        // `infos` (Prometheus 3) are about the query, `warnings` about the data.
        if let Some(warning) = warnings.unwrap_or_default().first() {
            return Ok(Sample::NoData(Why::Partial { warning: printable(warning, 300) }));
        }
        let end = window.end().unix_seconds() as f64;
        for one in &series {
            if let Some(why) = one.of_another_moment(end)? {
                return Ok(Sample::NoData(why));
            }
        }
        Ok(self.says(series, window))
    }

    /// What the series of one moment say, that of the window's end.
    pub(crate) fn says(&self, series: Vec<Series>, window: Window) -> Sample {
        let sample = match self {
            Self::ErrorRate { .. } => Parts::of(series).and_then(|parts| parts.error_rate(window)),
            Self::Histogram { unit, .. } => Parts::of(series).and_then(|parts| parts.histogram(*unit, window)),
            Self::Requests(_) => Parts::of(series).and_then(|parts| Ok(Sample::value(parts.requests(window)?))),
            Self::Stratified { by, of } => of.strata(by, series, window),
            Self::Value(_) => match series.as_slice() {
                [] => Err(Why::Empty),
                [one] => Ok(Sample::value(one.value)),
                several => Err(Why::SeveralSeries { count: several.len() }),
            },
        };
        sample.unwrap_or_else(Sample::NoData)
    }

    /// What the series of each value of a label say. How old the newest sample is, is told of all of them together.
    fn strata(&self, by: &str, series: Vec<Series>, window: Window) -> Result<Sample, Why> {
        let (newest, rest): (Vec<_>, Vec<_>) =
            series.into_iter().partition(|one| one.labels.get(PART).is_some_and(|part| part.starts_with("newest")));
        let mut parts: BTreeMap<String, Vec<Series>> = BTreeMap::new();
        for mut one in rest {
            let stratum = one.labels.remove(by).unwrap_or_default();
            parts.entry(stratum).or_default().push(one);
        }
        if parts.len() > MOST_STRATA {
            let found =
                format!("`{by}` has {} values; at most {MOST_STRATA} parts of the traffic are compared", parts.len());
            return Err(Why::Inconsistent { found });
        }
        let mut strata = BTreeMap::new();
        for (stratum, mut series) in parts {
            let of_errors = |one: &&Series| one.labels.get(PART).is_some_and(|part| part.starts_with("errors"));
            let errors: f64 = series.iter().filter(of_errors).map(|one| one.value).sum();
            series.extend(newest.iter().cloned());
            match self.says(series, window) {
                // They would be lost: then whoever fails most would be the one without a failure.
                Sample::NoData(Why::Empty) if errors > 0.0 => {
                    let found =
                        format!("{errors} events and no requests where `{by}` is \"{stratum}\"; both need that label");
                    return Err(Why::Inconsistent { found });
                }
                Sample::NoData(Why::Empty) => {}
                Sample::NoData(why) => return Err(why),
                sample @ (Sample::Counts { .. } | Sample::Histogram(_) | Sample::Strata(_) | Sample::Value(_)) => {
                    strata.insert(stratum, sample);
                }
            }
        }
        if strata.is_empty() { Err(Why::Empty) } else { Ok(Sample::Strata(strata)) }
    }
}

/// Whether `text` is a label of Prometheus, and none that is needed here.
fn is_label(text: &str) -> bool {
    let named = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(named)
        && !["le", PART].contains(&text)
}

/// How far apart the samples of a counter are.
pub(crate) struct Spacing(Template);

/// What is measured of each part.
const fn without_strata(query: &Query) -> &Query {
    if let Query::Stratified { of, .. } = query { of } else { query }
}

/// How far back they are counted, in seconds.
const COUNTED: u32 = 600;

impl Spacing {
    /// That of the counters behind the first of `queries` which has any.
    pub(crate) fn of(queries: &[Query], selectors: &Selectors) -> Option<Self> {
        let counters = |query: &Query| match without_strata(query) {
            Query::Stratified { .. } => None,
            Query::Alarms(_)
            | Query::Custom(_)
            | Query::Headroom(_)
            | Query::InstanceStartup
            | Query::PendingRequests => None,
            Query::ErrorRate | Query::Requests => selectors.requests.first().cloned(),
            Query::Latency | Query::Quantile(_) => selectors.latency.as_ref().map(|(buckets, _)| buckets.clone()),
            Query::Ratio { requests: selector, .. } | Query::Scores(selector) => Template::selector(selector).ok(),
        };
        queries.iter().find_map(counters).or(selectors.requests.first().cloned()).map(Self)
    }

    /// How many samples the fullest series has, of those that have been there all the while.
    pub(crate) fn text(&self, revision: &RevisionId) -> String {
        let selector = self.0.render(revision, Duration::from_secs(COUNTED.into()));
        format!("max(count_over_time({selector}[{COUNTED}s]) and ({selector} offset {COUNTED}s))")
    }

    /// `None` when there is no such series.
    pub(crate) fn read(&self, body: &[u8]) -> Result<Option<Duration>> {
        let answer: Answer =
            serde_json::from_slice(body).map_err(|e| unexpected("the answer is not Prometheus'").caused_by(e))?;
        let series = answer.data.map(Data::series).transpose()?.unwrap_or_default();
        let counted = match series.as_slice() {
            [one] if one.value >= 1.0 && one.value.is_finite() => one.value,
            _ => return Ok(None),
        };
        Ok(Duration::try_from_secs_f64(f64::from(COUNTED) / counted).ok())
    }
}

/// The result of `query` with a label that names it.
fn labelled(query: &str, part: &str) -> String {
    format!(r#"label_replace({query}, "{PART}", "{part}", "", "")"#)
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    data: Option<Data>,
    error: Option<String>,
    warnings: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: serde_json::Value,
}

/// One series of an instant vector, as it is sent.
#[derive(Deserialize)]
struct Entry {
    metric: BTreeMap<String, String>,
    value: Option<(f64, String)>,
    histogram: Option<serde::de::IgnoredAny>,
}

/// One series of an instant vector.
#[derive(Clone)]
pub(crate) struct Series {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) at: f64,
    pub(crate) value: f64,
}

impl Data {
    fn series(self) -> Result<Vec<Series>> {
        if self.result_type != "vector" {
            let found = printable(&self.result_type, 40);
            let message =
                format!("the query answers with a {found}; an instant vector is needed, such as that of sum(...)");
            return Err(Error::new(ErrorKind::Invalid, OPERATION, message));
        }
        let no_series =
            |e: serde_json::Error| unexpected("the answer is not an instant vector, though it says so").caused_by(e);
        let entries: Vec<Entry> = serde_json::from_value(self.result).map_err(no_series)?;
        entries.into_iter().map(Series::of).collect()
    }
}

impl Series {
    fn of(entry: Entry) -> Result<Self> {
        let Some((at, text)) = entry.value else {
            let message = "the query answers with a native histogram; classic buckets or a number are needed";
            return Err(if entry.histogram.is_some() {
                Error::new(ErrorKind::Invalid, OPERATION, message)
            } else {
                unexpected("the answer has a series without a value")
            });
        };
        let value = text.parse().map_err(|_| unexpected(format!("`{}` is not a number", printable(&text, 40))))?;
        Ok(Self { labels: entry.metric, at, value })
    }

    /// Caches and stores that hide their newest data answer for an earlier moment than was asked.
    fn of_another_moment(&self, asked: f64) -> Result<Option<Why>> {
        let age = asked - self.at;
        if age > 1.0 {
            return Ok(Some(Why::Stale { age_seconds: Some(age as u64) }));
        }
        if age.is_nan() || age < -1.0 {
            return Err(unexpected("the answer is for a later moment than was asked"));
        }
        Ok(None)
    }
}

/// The parts of a built-in metric's answer.
#[derive(Default)]
struct Parts {
    requests: BTreeMap<String, f64>,
    newest: BTreeMap<String, f64>,
    errors: BTreeMap<String, f64>,
    buckets: Vec<(Option<String>, f64)>,
}

impl Parts {
    fn of(series: Vec<Series>) -> Result<Self, Why> {
        let mut parts = Self::default();
        let count = series.len();
        for Series { mut labels, value, .. } in series {
            let part = labels.remove(PART).unwrap_or_default();
            if part == "buckets" {
                parts.buckets.push((labels.remove("le"), value));
                continue;
            }
            let group = match part.trim_end_matches(|c: char| c.is_ascii_digit()) {
                "requests" => &mut parts.requests,
                "newest" => &mut parts.newest,
                "errors" => &mut parts.errors,
                _ => {
                    return Err(Why::Inconsistent {
                        found: "the answer has a series that was not asked for".to_owned(),
                    });
                }
            };
            if group.insert(part, value).is_some() {
                return Err(Why::SeveralSeries { count });
            }
        }
        Ok(parts)
    }

    fn requests(&self, window: Window) -> Result<f64, Why> {
        let requests = sum(&self.requests)?.ok_or(Why::Empty)?;
        self.fresh(window)?;
        Ok(requests)
    }

    fn error_rate(&self, window: Window) -> Result<Sample, Why> {
        let requests = self.requests(window)?;
        match sum(&self.errors)? {
            Some(errors) => Ok(Sample::counts(requests, errors)),
            // The series of an error is made by the first one: with traffic its absence means that there was none.
            None if requests > 0.0 => Ok(Sample::counts(requests, 0.0)),
            None => Err(Why::Empty),
        }
    }

    fn histogram(self, unit: LatencyUnit, window: Window) -> Result<Sample, Why> {
        if self.buckets.is_empty() {
            return Err(Why::Empty);
        }
        self.fresh(window)?;
        let mut buckets = Vec::with_capacity(self.buckets.len());
        for (le, count) in self.buckets {
            let no_bound =
                || Why::Inconsistent { found: "what is selected is not the buckets of a histogram".to_owned() };
            let bound: f64 = le.ok_or_else(no_bound)?.parse().map_err(|_| no_bound())?;
            buckets.push((unit.seconds(bound), finite(count)?));
        }
        Histogram::new(buckets).map(Sample::Histogram).map_err(|e| Why::Inconsistent { found: e.to_string() })
    }

    /// Fails when the window's last half has no sample. Windows are at least four scrapes long, so this takes two that were
    /// missed; and what was missed would be made up by extrapolation.
    fn fresh(&self, window: Window) -> Result<(), Why> {
        let newest = self.newest.values().copied().fold(f64::NEG_INFINITY, f64::max);
        if newest == f64::NEG_INFINITY {
            return Err(Why::Stale { age_seconds: None });
        }
        let age = window.end().unix_seconds() as f64 - newest;
        if age > window.length().as_secs_f64() / 2.0 {
            Err(Why::Stale { age_seconds: Some(age as u64) })
        } else {
            Ok(())
        }
    }
}

/// All of them added up; none when there are none.
fn sum(group: &BTreeMap<String, f64>) -> Result<Option<f64>, Why> {
    let mut total = None;
    for value in group.values() {
        total = Some(total.unwrap_or(0.0) + finite(*value)?);
    }
    Ok(total)
}

fn finite(value: f64) -> Result<f64, Why> {
    match Finite::new(value) {
        Some(value) => Ok(value.get()),
        None if value.is_nan() => Err(Why::NotANumber),
        None => Err(Why::Infinite),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    #[test]
    fn the_parts_of_a_metric_travel_in_one_query() {
        let settings = Settings {
            requests: Some(r#"r_total{v="{{revision}}"}"#.to_owned()),
            errors: Some(r#"r_total{v=~"{{revision}}",code=~"5.."}"#.to_owned()),
            latency: Some(r#"d_bucket{v="{{revision}}"}"#.to_owned()),
            ..Settings::default()
        };
        let selectors = Selectors::of(&settings).unwrap();
        let text = |query: &Query| {
            Question::new(query, &selectors).unwrap().text(&"v1.2".parse().unwrap(), Duration::from_secs(60))
        };
        let requests = concat!(
            r#"label_replace(sum(increase(r_total{v="v1.2"}[60s])), "mlroll", "requests0", "", "") or "#,
            r#"label_replace(max(timestamp(r_total{v="v1.2"})), "mlroll", "newest0", "", "")"#
        );
        let errors = concat!(
            r#" or label_replace(sum(increase(r_total{v=~"v1\\.2",code=~"5.."}[60s])), "#,
            r#""mlroll", "errors0", "", "")"#
        );
        let latency = concat!(
            r#"label_replace(sum by (le) (increase(d_bucket{v="v1.2"}[60s])), "mlroll", "buckets", "", "") or "#,
            r#"label_replace(max(timestamp(d_bucket{v="v1.2"})), "mlroll", "newest0", "", "")"#
        );
        assert_eq!(text(&Query::Requests), requests);
        assert_eq!(text(&Query::ErrorRate), format!("{requests}{errors}"));
        assert_eq!(text(&Query::Latency), latency);
        let ratio = Query::Ratio {
            requests: r#"visits_total{v="{{revision}}"}"#.to_owned(),
            events: r#"orders_total{v="{{revision}}"}"#.to_owned(),
        };
        let ratio = text(&ratio);
        assert!(ratio.contains(r#"sum(increase(visits_total{v="v1.2"}[60s])), "mlroll", "requests0""#), "{ratio}");
        assert!(ratio.contains(r#"sum(increase(orders_total{v="v1.2"}[60s])), "mlroll", "errors0""#), "{ratio}");
        let scores = Query::Scores(r#"d_bucket{v="{{revision}}"}"#.to_owned());
        assert_eq!(text(&scores), text(&Query::Latency), "read as latencies are, whatever the preset");
        let by_region = |of| text(&Query::Stratified { by: "region".to_owned(), of: Box::new(of) });
        let divided = requests.replace("sum(", "sum by (region) (") + &errors.replace("sum(", "sum by (region) (");
        assert_eq!(by_region(Query::ErrorRate), divided);
        assert_eq!(by_region(Query::Latency), latency.replace("by (le)", "by (le, region)"));
        let custom = r#"rate(x{v="{{revision}}"}[{{window}}])"#;
        assert_eq!(text(&Query::Custom(custom.to_owned())), r#"rate(x{v="v1.2"}[60s])"#);
    }

    #[test]
    fn a_metric_without_a_selector_is_refused() {
        let custom = Query::Custom("x{{{revision}}}".to_owned());
        let ratio = |requests: &str, events: &str| Query::Ratio {
            requests: format!("{requests}{{v=\"{{{{revision}}}}\"}}"),
            events: format!("{events}{{v=\"{{{{revision}}}}\"}}"),
        };
        let (no_visits, no_orders) = (ratio("sum(visits)", "orders"), ratio("visits", "rate(orders)"));
        let summed = Query::Scores(r#"sum by (le) (d_bucket{v="{{revision}}"})"#.to_owned());
        let by = |by: &str, of| Query::Stratified { by: by.to_owned(), of: Box::new(of) };
        let (no_label, own_label) = (by("re-gion", Query::ErrorRate), by("le", Query::Latency));
        let number = by("region", Query::Requests);
        for query in [
            Query::ErrorRate,
            Query::Latency,
            Query::Requests,
            custom,
            no_visits,
            no_orders,
            summed,
            no_label,
            own_label,
            number,
        ] {
            let error = Question::new(&query, &Selectors::default()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{query}");
        }
    }
}
