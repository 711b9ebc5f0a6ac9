//! The parameters of a query.

use std::collections::BTreeMap;

use mlroll_backend::Timestamp;

use super::filter::{self, Values};
use super::metric::{INTERVALS, Metric, Resource};
use crate::arm::Asked;

/// How many series a filter is answered with unless it says otherwise.
const TOP: usize = 10;
/// How many metrics a query names at most.
const MOST_METRICS: usize = 20;
/// How far a query reaches at most, in seconds.
const LONGEST: i64 = 31 * 86_400;

/// A query.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) metrics: Vec<Metric>,
    /// As Azure writes them.
    pub(super) aggregations: Vec<&'static str>,
    /// In seconds since 1970, a whole minute.
    pub(super) from: i64,
    /// Not any more in it.
    pub(super) until: i64,
    /// In seconds; all of it when it is one point.
    pub(super) interval: i64,
    pub(super) interval_text: String,
    /// Values by dimension; `None` without a filter.
    pub(super) filter: Option<BTreeMap<&'static str, Values>>,
    pub(super) top: usize,
}

impl Question {
    /// Reads it; the error is what Azure says.
    pub(super) fn read(asked: &Asked, resource: Resource, now: Timestamp) -> Result<Self, String> {
        let known = resource.metrics();
        let namespace = asked.query("metricnamespace").unwrap_or(resource.namespace());
        if !namespace.eq_ignore_ascii_case(resource.namespace()) {
            return Err(format!("The metric namespace {} is not supported here.", short(namespace)));
        }
        for parameter in ["orderby", "rollupby"] {
            if asked.query(parameter).is_some() {
                return Err(format!("{parameter} is not supported by this sandbox."));
            }
        }
        if asked.query("resultType").is_some_and(|kind| !kind.eq_ignore_ascii_case("Data")) {
            return Err("A resultType other than Data is not supported by this sandbox.".to_owned());
        }
        let metrics = match asked.query("metricnames") {
            None => known.first().copied().into_iter().collect(),
            Some(names) => names.split(',').map(|name| find(name.trim(), known)).collect::<Result<Vec<_>, _>>()?,
        };
        if metrics.len() > MOST_METRICS {
            return Err(format!("A query names at most {MOST_METRICS} metrics."));
        }
        let aggregations = aggregations(asked.query("aggregation").unwrap_or("Average"), &metrics)?;
        let (from, until) = timespan(asked.query("timespan"), now)?;
        let interval_text = asked.query("interval").unwrap_or("PT1M").to_owned();
        let interval = match INTERVALS.iter().find(|(text, _)| *text == interval_text) {
            Some((_, seconds)) => *seconds,
            None if interval_text.eq_ignore_ascii_case("FULL") => (until - from).max(60),
            None => {
                let allowed = INTERVALS.map(|(text, _)| text).join(",");
                return Err(format!("Invalid time grain {}. Supported: {allowed}", short(&interval_text)));
            }
        };
        let strict = flag(asked, "ValidateDimensions")?.unwrap_or(true);
        flag(asked, "AutoAdjustTimegrain")?;
        let mut parsed = None;
        if let Some(text) = asked.query("$filter") {
            for metric in &metrics {
                parsed = Some(filter::parse(text, metric, strict)?);
            }
        }
        let top = match (asked.query("top"), &parsed) {
            (Some(_), None) => return Err("Parameter 'top' is for a query with a $filter.".to_owned()),
            (Some(text), Some(_)) => {
                text.parse().ok().filter(|top| *top > 0).ok_or_else(|| format!("Invalid top {}.", short(text)))?
            }
            (None, _) => TOP,
        };
        Ok(Self { metrics, aggregations, from, until, interval, interval_text, filter: parsed, top })
    }

    /// From when to when, as it is answered.
    pub(super) fn timespan(&self) -> String {
        let at = |seconds| Timestamp::from_unix_seconds(seconds).map_or_else(String::new, |at| at.to_string());
        format!("{}/{}", at(self.from), at(self.until))
    }
}

/// Those that are asked for; every metric must have all of them.
fn aggregations(text: &str, metrics: &[Metric]) -> Result<Vec<&'static str>, String> {
    let mut asked = Vec::new();
    for name in text.split(',').map(str::trim) {
        for metric in metrics {
            let known = metric.aggregations();
            let found = known.iter().find(|known| known.eq_ignore_ascii_case(name)).copied().ok_or_else(|| {
                let (name, known) = (short(name), known.join(","));
                format!(
                    "Aggregation type {name} is not supported for {}. Supported aggregation types: {known}",
                    metric.name
                )
            })?;
            if !asked.contains(&found) {
                asked.push(found);
            }
        }
    }
    Ok(asked)
}

fn find(name: &str, known: &[Metric]) -> Result<Metric, String> {
    let found = known.iter().find(|metric| metric.name.eq_ignore_ascii_case(name)).copied();
    found.ok_or_else(|| {
        let valid: Vec<&str> = known.iter().map(|metric| metric.name).collect();
        format!(
            "Failed to find metric configuration for provider: Microsoft.MachineLearningServices, resource Type: \
             workspaces/onlineEndpoints, metric: {}, Valid metrics: {}",
            short(name),
            valid.join(",")
        )
    })
}

/// `START/END`; the last hour without one.
fn timespan(text: Option<&str>, now: Timestamp) -> Result<(i64, i64), String> {
    let minute = |seconds: i64| seconds.div_euclid(60) * 60;
    let Some(text) = text else {
        let now = now.unix_seconds();
        return Ok((minute(now - 3600), now));
    };
    let wrong = || {
        format!("Invalid timespan {}: it is START/END, such as 2026-11-21T03:00:00Z/2026-11-21T04:00:00Z", short(text))
    };
    let (from, until) = text.split_once('/').ok_or_else(wrong)?;
    let (from, until): (Timestamp, Timestamp) =
        (from.parse().map_err(|_| wrong())?, until.parse().map_err(|_| wrong())?);
    let (from, until) = (minute(from.unix_seconds()), until.unix_seconds());
    if until <= from {
        return Err("The start of the timespan must be before its end.".to_owned());
    }
    if until - from > LONGEST {
        return Err("The timespan is longer than 31 days.".to_owned());
    }
    Ok((from, until))
}

fn flag(asked: &Asked, name: &str) -> Result<Option<bool>, String> {
    let Some(text) = asked.query(name) else { return Ok(None) };
    text.to_ascii_lowercase().parse().map(Some).map_err(|_| format!("{name} must be true or false."))
}

/// What a client sent, as far as it is repeated.
fn short(text: &str) -> String {
    text.chars().take(80).collect()
}
