//! `projects.timeSeries.list`

use std::collections::BTreeMap;

use mlroll_backend::Timestamp;
use serde_json::{Map, Value as Json, json};

use super::align::{align, reduce};
use super::ask::{Aligner, Ask, Reducer};
use super::filter::Key;
use super::series::{Metric, Value, published};
use crate::World;
use crate::api::Request;
use crate::google::{self, Refusal};

/// How long before the sandbox began there was anything, in seconds.
const HISTORY: i64 = 27 * 3600;

/// Points by the second at which they end.
type Points = BTreeMap<i64, Value>;

/// The labels of a series that is answered.
type Labels = Vec<(Key, String)>;

pub(super) fn time_series(request: &Request, world: &mut World, project: &str) -> Result<Json, Refusal> {
    let ask = Ask::read(request)?;
    let metric = Metric::parse(&ask.filter.metric).ok_or_else(|| {
        Refusal::not_found(format!(
            "Cannot find metric(s) that match type = \"{}\". If a metric was created recently, it could take up to 10 \
             minutes to become available. Please try again soon.",
            ask.filter.metric
        ))
    })?;
    let now = world.now().unix_seconds();
    if metric != Metric::Empty {
        ask.aligner.suits(metric.is_gauge())?;
    }
    let settings = world.scenario.cloud_monitoring.clone();
    let delay = i64::try_from(settings.delay.as_secs()).unwrap_or(i64::MAX / 4);
    // Whole minutes only.
    let visible = now.saturating_sub(delay).div_euclid(60) * 60;
    let began = world.traffic.began().unix_seconds() - HISTORY;
    let periods = periods(&ask, began, visible);
    let mut grouped: BTreeMap<Labels, BTreeMap<i64, Vec<Value>>> = BTreeMap::new();
    for series in published(&world.traffic, project, metric, &ask.filter) {
        let labels = labels(&ask, &series.labels);
        for end in &periods {
            let from = end - ask.period;
            let Some(value) = series.between(&mut world.traffic, metric, from, (*end).min(visible)) else { continue };
            let value = align(value, ask.aligner, ask.period)?;
            grouped.entry(labels.clone()).or_default().entry(*end).or_default().push(value);
        }
    }
    let mut all: Vec<(Labels, Points)> = Vec::new();
    for (labels, points) in grouped {
        let mut reduced = Points::new();
        for (end, values) in points {
            let value = reduce(&values, ask.reducer)?;
            reduced.extend(value.map(|value| (end, value)));
        }
        all.push((labels, reduced));
    }
    let mut answer = Map::new();
    let chance = world.traffic.key().named("execution error").named(&ask.filter.metric).with(now.unsigned_abs());
    if settings.execution_errors > 0.0 && chance.unit() < settings.execution_errors {
        // What is there is right, and not all there is.
        all.truncate(all.len() / 2);
        answer.insert("executionErrors".to_owned(), json!([{ "code": 4, "message": "A part of the data timed out." }]));
    }
    let page = settings.page.map_or(ask.page_size, |most| most.min(ask.page_size));
    let count = all.len();
    let mut points = 0;
    let mut shown = Vec::new();
    for (labels, one) in all.into_iter().skip(ask.page_start) {
        points += one.len().max(1);
        // A page has a series at least.
        if points > page && !shown.is_empty() {
            break;
        }
        shown.push(rendered(&ask, metric, &labels, &one));
    }
    let until = ask.page_start.saturating_add(shown.len());
    if until < count {
        answer.insert("nextPageToken".to_owned(), json!(google::page_token(until)));
    }
    answer.insert("timeSeries".to_owned(), Json::Array(shown));
    answer.insert("unit".to_owned(), json!(metric.unit()));
    if answer.get("timeSeries").and_then(Json::as_array).is_some_and(Vec::is_empty) {
        answer.remove("unit");
    }
    google::sparse(&mut answer);
    Ok(Json::Object(answer))
}

/// The ends of the periods, those without anything to be seen left out: the last one ends with the interval.
fn periods(ask: &Ask, began: i64, visible: i64) -> Vec<i64> {
    let last = if ask.aligner == Aligner::None { ask.end.div_euclid(60) * 60 } else { ask.end };
    let first = ask.start.max(began);
    // Those that begin after all that can be seen are skipped at once.
    let skipped = last.saturating_sub(ask.period).saturating_sub(visible).max(0) / ask.period;
    let mut end = last - skipped * ask.period;
    let mut ends = Vec::new();
    while end - ask.period >= first || end == last {
        ends.push(end);
        end -= ask.period;
    }
    ends
}

/// The labels that are left of a series: those that it is grouped by, and its project.
fn labels(ask: &Ask, all: &[(Key, String)]) -> Labels {
    let project = Key::Resource("project_id".to_owned());
    let kept = |key: &Key| ask.reducer == Reducer::None || *key == project || ask.group_by.contains(key);
    let mut labels: Labels = all.iter().filter(|(key, _)| kept(key)).cloned().collect();
    labels.sort();
    labels
}

fn rendered(ask: &Ask, metric: Metric, labels: &[(Key, String)], points: &Points) -> Json {
    let (mut of_metric, mut of_resource) = (Map::new(), Map::new());
    for (key, value) in labels {
        match key {
            Key::Metric(label) => of_metric.insert(label.clone(), json!(value)),
            Key::Resource(label) => of_resource.insert(label.clone(), json!(value)),
            Key::MetricType | Key::ResourceType => None,
        };
    }
    let mut kind = json!({ "type": ask.filter.metric, "labels": of_metric });
    if let (true, Json::Object(members)) = (of_metric_is_empty(&kind), &mut kind) {
        members.remove("labels");
    }
    let value_type = match points.values().next() {
        Some(Value::Distribution(_)) => "DISTRIBUTION",
        Some(Value::Double(_)) => "DOUBLE",
        Some(Value::Int(_)) | None => "INT64",
    };
    let increases = matches!(ask.aligner, Aligner::Delta | Aligner::None)
        && matches!(ask.reducer, Reducer::None | Reducer::Sum)
        && !metric.is_gauge();
    let mut series = json!({
        "metric": kind,
        "resource": { "type": "cloud_run_revision", "labels": of_resource },
        "metricKind": if increases { "DELTA" } else { "GAUGE" },
        "valueType": value_type,
    });
    if let (false, Json::Object(members)) = (ask.headers, &mut series) {
        let newest_first = points.iter().rev().map(|(end, value)| point(*end, ask.period, increases, value));
        members.insert("points".to_owned(), newest_first.collect());
    }
    series
}

fn of_metric_is_empty(kind: &Json) -> bool {
    kind.get("labels").and_then(Json::as_object).is_some_and(Map::is_empty)
}

/// The start of what is measured at a moment is that moment.
fn point(end: i64, period: i64, increase: bool, value: &Value) -> Json {
    let time = |seconds: i64| Timestamp::from_unix_seconds(seconds).unwrap_or(Timestamp::epoch()).to_string();
    let value = match value {
        Value::Distribution(distribution) => json!({ "distributionValue": distribution.shown() }),
        Value::Double(number) => json!({ "doubleValue": number }),
        Value::Int(number) => json!({ "int64Value": number.to_string() }),
    };
    let start = if increase { end - period } else { end };
    json!({ "interval": { "startTime": time(start), "endTime": time(end) }, "value": value })
}
