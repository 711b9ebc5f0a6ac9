//! Requests to and answers from the Cloud Monitoring API: `timeSeries.list` of v3, and PromQL. JSON types stop here.

use std::collections::{BTreeMap, BTreeSet};

use mlroll_backend::{Effect, Error, ErrorKind, Result, Sample, Timestamp, Why, Window};
use reqwest::{Method, Url};
use serde::{Deserialize, Deserializer};

use super::distribution::Distribution;
use crate::error::printable;
use crate::session::Session;
use crate::transport::Request;

/// What is asked of `timeSeries.list`: one window, which is one alignment period, so one point for each series.
#[derive(Clone, Debug)]
pub(super) struct Ask<'a> {
    pub(super) project: &'a str,
    pub(super) filter: &'a str,
    pub(super) window: Window,
    pub(super) aligner: &'a str,
    pub(super) reducer: &'a str,
    pub(super) group_by: &'a [&'a str],
}

/// All pages of an answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Listed {
    pub(super) series: Vec<Series>,
    /// Why it is not all there is.
    pub(super) partial: Option<String>,
}

/// A series, by the labels it was grouped by.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Series {
    metric: Labels,
    resource: Labels,
    points: Vec<Point>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Labels {
    labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Point {
    interval: Interval,
    value: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Interval {
    end_time: String,
}

/// The value of a point; one of them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Value {
    int64_value: Option<Number>,
    double_value: Option<Number>,
    pub(super) distribution_value: Option<Distribution>,
}

/// A number, or one as text: 64-bit integers, and what is not finite (proto3 JSON).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Number(pub(super) f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(f64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(number) => Ok(Self(number)),
            Written::Text(text) => text.parse().map(Self).map_err(|_| serde::de::Error::custom("no number")),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Page {
    time_series: Vec<Series>,
    execution_errors: Vec<Fault>,
    unreachable: Vec<String>,
    next_page_token: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Fault {
    message: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PromAnswer {
    status: String,
    #[serde(default)]
    data: PromData,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PromData {
    result_type: String,
    result: serde_json::Value,
}

#[derive(Debug, Deserialize)]
struct PromSeries {
    value: (f64, Number),
}

/// `ListTimeSeries`, all pages.
pub(super) async fn list(session: &Session, ask: &Ask<'_>) -> Result<Listed> {
    let operation = "ListTimeSeries";
    let period = format!("{}s", ask.window.length().as_secs());
    let (start, end) = (ask.window.start().to_string(), ask.window.end().to_string());
    let mut listed = Listed::default();
    let mut followed = BTreeSet::new();
    let mut token = String::new();
    loop {
        let mut query = vec![
            ("filter", ask.filter),
            ("interval.startTime", start.as_str()),
            ("interval.endTime", end.as_str()),
            ("aggregation.alignmentPeriod", period.as_str()),
            ("aggregation.perSeriesAligner", ask.aligner),
            ("aggregation.crossSeriesReducer", ask.reducer),
            ("view", "FULL"),
        ];
        query.extend(ask.group_by.iter().map(|field| ("aggregation.groupByFields", *field)));
        if !token.is_empty() {
            query.push(("pageToken", token.as_str()));
        }
        let url = session.url(&["v3", "projects", ask.project, "timeSeries"], &query);
        let request = asking(operation, url);
        let page: Page = read(operation, &session.send(&request).await?)?;
        listed.series.extend(page.time_series);
        let faults = page.execution_errors.into_iter().map(|fault| fault.message);
        let unreachable = page.unreachable.into_iter().map(|place| format!("{place} could not be reached"));
        for fault in faults.chain(unreachable) {
            let known = listed.partial.take().map_or_else(String::new, |known| format!("{known}; "));
            listed.partial = Some(printable(&format!("{known}{fault}"), 300));
        }
        if page.next_page_token.is_empty() {
            return Ok(listed);
        }
        if !followed.insert(page.next_page_token.clone()) {
            return Err(Error::new(ErrorKind::Unexpected, operation, "the list of time series does not end"));
        }
        token = page.next_page_token;
    }
}

/// One number by PromQL, at the window's end.
pub(super) async fn query(session: &Session, project: &str, text: &str, window: Window) -> Result<Sample> {
    let operation = "query";
    let time = window.end().unix_seconds().to_string();
    let path = ["v1", "projects", project, "location", "global", "prometheus", "api", "v1", "query"];
    let url = session.url(&path, &[("query", text), ("time", &time)]);
    let request = asking(operation, url);
    let answer: PromAnswer = read(operation, &session.send(&request).await?)?;
    let foreign = |what: &str| {
        let message = format!("the query answers with {what}, where one number is needed");
        Error::new(ErrorKind::Invalid, operation, message)
    };
    if answer.status != "success" {
        return Err(Error::new(ErrorKind::Unexpected, operation, "the answer is no success"));
    }
    if !answer.warnings.is_empty() {
        return Ok(Sample::NoData(Why::Partial { warning: printable(&answer.warnings.join("; "), 300) }));
    }
    let unreadable = |_| Error::new(ErrorKind::Unexpected, operation, "the answer has values that cannot be read");
    match answer.data.result_type.as_str() {
        "vector" => {
            let series: Vec<PromSeries> = serde_json::from_value(answer.data.result).map_err(unreadable)?;
            Ok(match series.as_slice() {
                [] => Sample::NoData(Why::Empty),
                [PromSeries { value: (_, value) }] => Sample::value(value.0),
                several => Sample::NoData(Why::SeveralSeries { count: several.len() }),
            })
        }
        "scalar" => {
            let (_, value): (f64, Number) = serde_json::from_value(answer.data.result).map_err(unreadable)?;
            Ok(Sample::value(value.0))
        }
        other => Err(foreign(&printable(other, 40))),
    }
}

impl Series {
    pub(super) fn revision(&self) -> &str {
        self.resource.labels.get("revision_name").map_or("", String::as_str)
    }

    pub(super) fn is_server_error(&self) -> bool {
        self.metric.labels.get("response_code_class").is_some_and(|class| class == "5xx")
    }

    /// The value over a window: that of the point that ends with it. Others may be in the answer, of which ends belong to
    /// both.
    pub(super) fn at(&self, window: Window) -> Option<&Value> {
        let ends = |point: &&Point| {
            point
                .interval
                .end_time
                .parse::<Timestamp>()
                .is_ok_and(|end| end.unix_seconds() == window.end().unix_seconds())
        };
        self.points.iter().find(ends).map(|point| &point.value)
    }
}

impl Value {
    /// A plain number; `None` for a distribution.
    pub(super) fn number(&self) -> Option<f64> {
        self.int64_value.or(self.double_value).map(|number| number.0)
    }
}

/// A question, which changes nothing.
pub(super) fn asking<'a>(operation: &'static str, url: Url) -> Request<'a> {
    Request { operation, method: Method::GET, effect: Effect::Read, url, body: None, watched: None }
}

pub(super) fn read<T: for<'de> Deserialize<'de>>(operation: &'static str, body: &[u8]) -> Result<T> {
    let foreign = |line: usize, column: usize| {
        let message = format!(
            "the answer is not Cloud Monitoring's (line {line}, column {column}): is there a proxy or a wrong endpoint in between?"
        );
        Error::new(ErrorKind::Unexpected, operation, message)
    };
    // An empty list would be read as an answer with nothing in it: silence, where there is none.
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(foreign(1, 1));
    }
    serde_json::from_slice(body).map_err(|e| foreign(e.line(), e.column()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_no_object_is_no_silence() {
        for body in ["[]", "", " null", "\"\"", "0", "<html>"] {
            let error = read::<Page>("ListTimeSeries", body.as_bytes()).map(drop).unwrap_err();
            assert!(error.to_string().contains("not Cloud Monitoring's"), "{body}: {error}");
        }
        assert!(read::<Page>("ListTimeSeries", b"\n {}").is_ok());
    }
}
