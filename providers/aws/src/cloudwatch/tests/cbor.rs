//! CloudWatch's side of the wire: `smithy-rpc-v2-cbor`, and its rules for `GetMetricData`.

use std::collections::{BTreeMap, BTreeSet};

use ciborium::Value;

use mlroll_faults::scripted::{Reply, Request};

/// A `GetMetricData` as CloudWatch reads it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) period: i64,
    pub(super) token: Option<String>,
    /// By id.
    pub(super) series: BTreeMap<String, Wanted>,
}

/// One metric of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wanted {
    pub(super) namespace: String,
    pub(super) metric: String,
    pub(super) dimensions: BTreeMap<String, String>,
    pub(super) statistic: String,
    pub(super) account: Option<String>,
}

/// What is told of one series on one page.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) points: Vec<(i64, f64)>,
    pub(super) status: &'static str,
    pub(super) message: Option<&'static str>,
}

impl Told {
    pub(super) fn complete(points: Vec<(i64, f64)>) -> Self {
        Self { points, status: "Complete", message: None }
    }

    pub(super) fn status(status: &'static str) -> Self {
        Self { points: Vec::new(), status, message: Some("because") }
    }
}

fn field<'v>(map: &'v Value, name: &str) -> Option<&'v Value> {
    map.as_map()?.iter().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value)
}

fn text(map: &Value, name: &str) -> String {
    field(map, name).unwrap().as_text().unwrap().to_owned()
}

fn number(map: &Value, name: &str) -> i64 {
    field(map, name).unwrap().as_integer().unwrap().try_into().unwrap()
}

/// Timestamps are tag 1 around seconds as a float.
fn seconds(map: &Value, name: &str) -> i64 {
    let (tag, value) = field(map, name).unwrap().as_tag().unwrap();
    assert_eq!(tag, 1);
    value.as_float().unwrap() as i64
}

/// Reads a request as strictly as CloudWatch does; what it would refuse panics.
pub(super) fn read(request: &Request) -> Asked {
    assert_eq!(request.path, "/service/GraniteServiceVersion20100801/operation/GetMetricData");
    assert_eq!(request.headers["smithy-protocol"], "rpc-v2-cbor");
    assert!(request.headers["authorization"].contains("/monitoring/aws4_request"));
    let body: Value = ciborium::from_reader(request.body.as_slice()).unwrap();
    let queries = field(&body, "MetricDataQueries").unwrap().as_array().unwrap();
    assert!((1..=500).contains(&queries.len()));
    let (start, end) = (seconds(&body, "StartTime"), seconds(&body, "EndTime"));
    assert!(start < end);
    let mut periods = BTreeSet::new();
    let mut series = BTreeMap::new();
    for query in queries {
        let id = text(query, "Id");
        assert!(id.starts_with(|c: char| c.is_ascii_lowercase()), "{id}");
        assert!(field(query, "Expression").is_none() && field(query, "Unit").is_none());
        let stat = field(query, "MetricStat").unwrap();
        let metric = field(stat, "Metric").unwrap();
        let dimensions = field(metric, "Dimensions").unwrap().as_array().unwrap();
        periods.insert(number(stat, "Period"));
        let wanted = Wanted {
            namespace: text(metric, "Namespace"),
            metric: text(metric, "MetricName"),
            dimensions: dimensions.iter().map(|d| (text(d, "Name"), text(d, "Value"))).collect(),
            statistic: text(stat, "Stat"),
            account: field(query, "AccountId").map(|id| id.as_text().unwrap().to_owned()),
        };
        assert!(!series.values().any(|other| *other == wanted), "asked twice, and billed twice: {wanted:?}");
        assert!(series.insert(id, wanted).is_none(), "ids are unique");
    }
    let [period] = periods.into_iter().collect::<Vec<_>>()[..] else { panic!("one period") };
    assert!(period % 60 == 0 || [1, 5, 10, 20, 30].contains(&period));
    assert!(start % period == 0 && end % period == 0);
    let token = field(&body, "NextToken").and_then(Value::as_text).map(str::to_owned);
    Asked { start, end, period, token, series }
}

fn map<'n>(entries: impl IntoIterator<Item = (&'n str, Value)>) -> Value {
    Value::Map(entries.into_iter().map(|(name, value)| (Value::from(name), value)).collect())
}

fn reply(status: u16, body: &Value) -> Reply {
    let mut bytes = Vec::new();
    ciborium::into_writer(body, &mut bytes).unwrap();
    let headers =
        [("smithy-protocol", "rpc-v2-cbor"), ("content-type", "application/cbor"), ("x-amzn-requestid", "request-1")];
    let headers = headers.map(|(name, value)| (name, value.to_owned())).to_vec();
    Reply::Answer { status, headers, body: bytes }
}

/// A page of an answer.
pub(super) fn page(told: impl IntoIterator<Item = (String, Told)>, next: Option<&str>) -> Reply {
    let result = |(id, told): (String, Told)| {
        let times = told.points.iter().map(|(at, _)| Value::Tag(1, Box::new(Value::from(*at as f64)))).collect();
        let values = told.points.iter().map(|(_, value)| Value::from(*value)).collect();
        let mut entries = vec![
            ("Id", Value::from(id)),
            ("Label", Value::from("label")),
            ("StatusCode", Value::from(told.status)),
            ("Timestamps", Value::Array(times)),
            ("Values", Value::Array(values)),
        ];
        if let Some(message) = told.message {
            let message = map([("Code", Value::from("Code")), ("Value", Value::from(message))]);
            entries.push(("Messages", Value::Array(vec![message])));
        }
        map(entries)
    };
    let results = told.into_iter().map(result).collect();
    let mut entries = vec![("MetricDataResults", Value::Array(results)), ("Messages", Value::Array(Vec::new()))];
    entries.extend(next.map(|token| ("NextToken", Value::from(token))));
    reply(200, &map(entries))
}

/// A modelled or generic error.
pub(super) fn error(status: u16, code: &str) -> Reply {
    let kind = format!("com.amazonaws.cloudwatch#{code}");
    reply(status, &map([("__type", Value::from(kind)), ("message", Value::from("no"))]))
}
