//! Answers as Prometheus writes them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Value as Json, json};

use super::eval::{Failure, Point, Stretch, Value};
use super::series::Labels;
use crate::api::{Answer, INJECTED};

/// The `data` of an answer.
#[derive(Clone, Debug)]
pub(super) struct Data(Json);

/// An error that Prometheus would report.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    status: u16,
    kind: &'static str,
    message: String,
}

impl Problem {
    pub(super) fn bad_data(message: &str) -> Self {
        Self { status: 400, kind: "bad_data", message: message.to_owned() }
    }

    /// For a parameter that makes no sense.
    pub(super) fn parameter(name: &str, why: &str) -> Self {
        Self::bad_data(&format!("invalid parameter {name:?}: {why}"))
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self { status: 422, kind: "execution", message: failure.0 }
    }
}

/// Seconds since 1970: whole ones without decimals.
fn time(milliseconds: i64) -> Json {
    if milliseconds % 1000 == 0 { json!(milliseconds / 1000) } else { json!(milliseconds as f64 / 1000.0) }
}

/// The shortest decimal that reads back as the same number, without an exponent.
fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else {
        value.to_string()
    }
}

fn sample(at: i64, value: f64) -> Json {
    json!([time(at), number(value)])
}

fn samples(samples: &[(i64, f64)]) -> Vec<Json> {
    samples.iter().map(|(at, value)| sample(*at, *value)).collect()
}

impl Data {
    /// A value at one moment, in milliseconds since 1970.
    pub(super) fn at(value: Value, at: i64) -> Self {
        let (kind, result) = match value {
            Value::Scalar(value) => ("scalar", sample(at, value)),
            Value::Text(text) => ("string", json!([time(at), text])),
            Value::Vector(points) => {
                let one = |Point { labels, value }: &Point| json!({ "metric": labels, "value": sample(at, *value) });
                ("vector", Json::from(points.iter().map(one).collect::<Vec<_>>()))
            }
            Value::Matrix(stretches) => {
                let one = |stretch: &Stretch| json!({ "metric": stretch.labels, "values": samples(&stretch.samples) });
                ("matrix", Json::from(stretches.iter().map(one).collect::<Vec<_>>()))
            }
        };
        Self(json!({ "resultType": kind, "result": result }))
    }

    /// Values at several moments.
    pub(super) fn matrix(series: BTreeMap<Labels, Vec<(i64, f64)>>) -> Self {
        let one = |(labels, values): (Labels, Vec<(i64, f64)>)| json!({ "metric": labels, "values": samples(&values) });
        Self(json!({ "resultType": "matrix", "result": series.into_iter().map(one).collect::<Vec<_>>() }))
    }

    pub(super) fn texts(texts: &BTreeSet<String>) -> Self {
        Self(json!(texts))
    }

    pub(super) fn series(series: &[Labels]) -> Self {
        Self(json!(series))
    }

    pub(super) fn build_info() -> Self {
        Self(json!({
            "version": "2.42.0",
            "revision": "sandbox",
            "branch": "HEAD",
            "buildUser": "mlroll",
            "buildDate": "",
            "goVersion": "",
        }))
    }
}

/// A whole answer.
pub(super) fn json(data: Result<Data, Problem>) -> Answer {
    let (status, body) = match data {
        Ok(Data(data)) => (200, json!({ "status": "success", "data": data })),
        Err(Problem { status, kind, message }) => {
            (status, json!({ "status": "error", "errorType": kind, "error": message }))
        }
    };
    whole(status, "application/json", body.to_string())
}

/// The answer of a fault that is injected; the error type is the one that goes with the status, unless it is told.
pub(super) fn injected(status: StatusCode, kind: Option<&str>) -> Answer {
    let usual = match status.as_u16() {
        400 => "bad_data",
        404 => "not_found",
        422 => "execution",
        503 => "unavailable",
        _ => "internal",
    };
    let body = json!({ "status": "error", "errorType": kind.unwrap_or(usual), "error": INJECTED });
    whole(status.as_u16(), "application/json", body.to_string())
}

/// A whole answer in plain text.
pub(super) fn text(status: u16, text: &str) -> Answer {
    whole(status, "text/plain; charset=utf-8", text.to_owned())
}

fn whole(status: u16, kind: &'static str, body: String) -> Answer {
    let mut answer = Answer::new(Bytes::from(body));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    answer.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(kind));
    answer
}
