//! What is answered about a metric: series by the values of dimensions, a point for each interval.

use std::collections::BTreeMap;
use std::time::Duration;

use mlroll_backend::{RevisionId, Target, Timestamp};
use serde_json::{Value, json};

use super::filter::Values;
use super::metric::{CODE, CODE_CLASS, DEPLOYMENT_NAME, ENVOY, Kind, MODEL_CODE, Metric};
use super::question::Question;
use crate::traffic::{Histogram, Measured, Traffic};

/// How long before the sandbox began there can have been requests, in seconds.
pub(super) const HISTORY: i64 = 27 * 3600;

/// Whose requests are told of, and when.
#[derive(Debug)]
pub(super) struct Users<'a> {
    pub(super) traffic: &'a mut Traffic,
    /// `None`: there are none.
    pub(super) target: Option<Target>,
    pub(super) revisions: Vec<RevisionId>,
    /// How many instances the only one of them has.
    pub(super) instances: u64,
    pub(super) now: Timestamp,
    pub(super) delay: Duration,
}

/// Requests of a minute that have all dimensions in common.
#[derive(Clone, Debug, Default)]
struct Cell {
    requests: u64,
    latency: Histogram,
}

/// The values of the dimensions that a filter names, in its order.
pub(super) type Group = Vec<(&'static str, String)>;

/// Cells by the minute in which they start.
type Minutes = BTreeMap<i64, Cell>;

impl Users<'_> {
    /// The `timeseries` of a metric.
    pub(super) fn series(&mut self, question: &Question, metric: &Metric) -> Vec<Value> {
        if let Kind::Used(part) = metric.kind {
            return self.used(question, part);
        }
        let visible = self.visible();
        let mut groups: BTreeMap<Group, Minutes> = BTreeMap::new();
        if question.filter.is_none() {
            // Without a filter there is one series, also of nobody.
            groups.entry(Vec::new()).or_default();
        }
        let began = self.traffic.began().unix_seconds() - HISTORY;
        let mut minute = question.from.max(began.div_euclid(60) * 60);
        while minute < question.until.min(visible) {
            let until = (minute + 60).min(visible);
            for (group, cell) in self.cells(question, metric, minute, until) {
                let sum = groups.entry(group).or_default().entry(minute).or_default();
                sum.requests += cell.requests;
                sum.latency.merge(&cell.latency);
            }
            minute += 60;
        }
        let shown = groups.into_iter().map(|(group, minutes)| shown(question, metric, group, &minutes, visible));
        shown.take(if question.filter.is_some() { question.top } else { 1 }).collect()
    }

    /// Until when requests count, in seconds since 1970.
    pub(super) fn visible(&self) -> i64 {
        let delay = i64::try_from(self.delay.as_secs()).unwrap_or(i64::MAX / 4);
        self.now.unix_seconds().saturating_sub(delay)
    }

    /// The requests of a stretch of time by what the filter names, without those that it does not mean.
    fn cells(&mut self, question: &Question, metric: &Metric, from: i64, until: i64) -> Vec<(Group, Cell)> {
        let Some(target) = &self.target else { return Vec::new() };
        let mut cells = Vec::new();
        for revision in &self.revisions {
            let measured = self.traffic.between(target, revision, from, until);
            for (code, cell) in parts(metric, measured) {
                if cell.requests == 0 {
                    continue;
                }
                let named = question.filter.iter().flatten();
                let group: Option<Group> = named
                    .map(|(dimension, values)| {
                        let value = value_of(dimension, revision, code)?;
                        Values::has(values, &value).then_some((*dimension, value))
                    })
                    .collect();
                if let Some(group) = group {
                    cells.push((group, cell));
                }
            }
        }
        cells
    }
}

/// The requests of one deployment by the status that their clients got; latencies are not told by status.
fn parts(metric: &Metric, measured: Measured) -> Vec<(u16, Cell)> {
    match metric.kind {
        Kind::Requests => {
            let cell = |requests| Cell { requests, latency: Histogram::default() };
            let errors = measured.errors.min(measured.requests);
            let throttled = cell(measured.counters.throttled);
            vec![(200, cell(measured.requests - errors)), (FAILED, cell(errors)), (THROTTLED, throttled)]
        }
        Kind::Mean | Kind::Quantile(_) | Kind::Used(_) => {
            vec![(200, Cell { requests: measured.requests, latency: measured.latency })]
        }
    }
}

/// What a client gets when the model's container answers with anything but 200.
const FAILED: u16 = 424;

/// What a client gets when nobody is free to answer.
const THROTTLED: u16 = 429;

/// The value that requests have in a dimension; `None` for one that there is not.
fn value_of(dimension: &str, revision: &RevisionId, code: u16) -> Option<String> {
    match dimension {
        DEPLOYMENT_NAME => Some(revision.as_str().to_owned()),
        CODE | ENVOY => Some(code.to_string()),
        CODE_CLASS => Some(format!("{}xx", code / 100)),
        // The model was not asked.
        MODEL_CODE if code == THROTTLED => None,
        MODEL_CODE => Some(if code == FAILED { "500" } else { "200" }.to_owned()),
        _ => None,
    }
}

/// A series of requests as it is sent.
fn shown(question: &Question, metric: &Metric, group: Group, minutes: &Minutes, visible: i64) -> Value {
    let first = minutes.keys().next().copied();
    let mut points = Vec::new();
    let mut at = question.from;
    while at < question.until {
        let end = at.saturating_add(question.interval).min(question.until);
        let mut values = Vec::new();
        let mut minute = at;
        // A minute counts once somebody was asked, and once any of it is known.
        while minute < end.min(visible) {
            if first.is_some_and(|first| first <= minute) {
                values.extend(value(metric, minutes.get(&minute)));
            }
            minute += 60;
        }
        let average = values.iter().sum::<f64>() / values.len() as f64;
        points.push(point(at, (!values.is_empty()).then(|| ("average".to_owned(), average))));
        at = at.saturating_add(question.interval);
    }
    rendered(group, points)
}

/// The point of an interval that begins at `at`, with its values by the names of aggregations.
pub(super) fn point(at: i64, values: impl IntoIterator<Item = (String, f64)>) -> Value {
    let stamp = Timestamp::from_unix_seconds(at).map_or_else(String::new, |at| at.to_string());
    let values = values.into_iter().map(|(name, value)| (name, json!(value)));
    Value::Object([("timeStamp".to_owned(), json!(stamp))].into_iter().chain(values).collect())
}

/// A series. Names of dimensions come back in lower case.
pub(super) fn rendered(group: Group, points: Vec<Value>) -> Value {
    let metadata = group.into_iter().map(|(name, value)| {
        let name = name.to_ascii_lowercase();
        json!({ "name": { "value": name, "localizedValue": name }, "value": value })
    });
    let parts = [("metadatavalues", Value::Array(metadata.collect())), ("data", Value::Array(points))];
    Value::Object(parts.into_iter().map(|(name, part)| (name.to_owned(), part)).collect())
}

/// A minute's value; of no requests there is a number, but no latency.
fn value(metric: &Metric, cell: Option<&Cell>) -> Option<f64> {
    let latency = cell.map(|cell| &cell.latency);
    match metric.kind {
        Kind::Requests => Some(cell.map_or(0.0, |cell| cell.requests as f64)),
        Kind::Mean => latency.and_then(mean),
        Kind::Quantile(share) => latency.and_then(|latency| quantile(latency, share)),
        Kind::Used(_) => None,
    }
    .map(|value| if metric.kind == Kind::Requests { value } else { value * 1000.0 })
}

fn mean(latency: &Histogram) -> Option<f64> {
    let sum: f64 = latency.iter().map(|(seconds, times)| seconds * times as f64).sum();
    let count = latency.count();
    (count > 0).then(|| sum / count as f64)
}

fn quantile(latency: &Histogram, share: f64) -> Option<f64> {
    let rank = (share * latency.count() as f64).ceil();
    let mut below = 0.0;
    latency.iter().find_map(|(seconds, times)| {
        below += times as f64;
        (below >= rank).then_some(seconds)
    })
}
