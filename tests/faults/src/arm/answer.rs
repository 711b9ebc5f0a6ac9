//! From a request to its answer.

use std::collections::BTreeMap;

use mlroll_backend::Timestamp;
use serde_json::{Value, json};

use super::ArmOperation;
use super::world::{Endpoint, Rate};
use crate::http::{Message, Response, decode_path, parse_query};

/// Everything there is.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) endpoints: BTreeMap<String, Endpoint>,
    pub(super) token: String,
    pub(super) rates: Vec<Rate>,
    pub(super) metrics: Option<Value>,
    pub(super) page: usize,
    pub(super) operations: u32,
}

/// What a request is about.
pub(super) struct Route {
    pub(super) operation: ArmOperation,
    pub(super) path: String,
    pub(super) query: BTreeMap<String, String>,
    endpoint: String,
    last: String,
}

impl Route {
    pub(super) fn of(message: &Message) -> Self {
        let path = decode_path(&message.path);
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let below = parts.iter().position(|part| part.eq_ignore_ascii_case("onlineEndpoints"));
        let rest = below.and_then(|at| parts.get(at + 1..)).unwrap_or_default();
        let get = message.method == "GET";
        let operation = match rest {
            [_] if get => ArmOperation::Get,
            [_] if message.method == "PUT" => ArmOperation::Put,
            [_, "deployments"] if get => ArmOperation::List,
            [_, "deployments", _] if get => ArmOperation::GetDeployment,
            [_, .., "Microsoft.Insights", "metrics"] if get => ArmOperation::Metrics,
            [] if get && path.contains("mfeOperationsStatus") => ArmOperation::Status,
            _ => ArmOperation::Unknown,
        };
        let text = |part: Option<&&str>| part.copied().unwrap_or_default().to_owned();
        let (endpoint, last) = (text(rest.first()), text(parts.last()));
        Self { operation, query: parse_query(&message.query), endpoint: endpoint.to_ascii_lowercase(), last, path }
    }
}

pub(super) fn error(code: &str, message: &str) -> Value {
    json!({"error": {"code": code, "message": message, "details": [],
           "additionalInfo": [{"type": "Correlation", "info": {"operation": "o", "request": "r"}}]}})
}

impl State {
    pub(super) fn answer(&mut self, route: &Route, message: &Message, base: &str) -> Response {
        let refuse = |status: u16, code: &str, text: &str| {
            Response::json(status, &error(code, text)).header("x-ms-request-id", "request-1")
        };
        if message.header("authorization") != Some(&format!("Bearer {}", self.token)) {
            return refuse(401, "ExpiredAuthenticationToken", "The access token has expired.");
        }
        if !route.query.contains_key("api-version") {
            return refuse(400, "MissingApiVersionParameter", "The api-version query parameter is required");
        }
        let page = self.page;
        if route.operation == ArmOperation::Status {
            let found = self.endpoints.values().find_map(|endpoint| endpoint.status(&route.last));
            return found
                .map_or_else(|| refuse(404, "NotFound", "no such operation"), |status| Response::json(200, &status));
        }
        self.operations += 1;
        let id = format!("oe:00000000-0000-0000-0000-000000000000:{}", self.operations);
        let Some(endpoint) = self.endpoints.get_mut(&route.endpoint) else {
            return refuse(404, "ResourceNotFound", &format!("endpoint {} was not found", route.endpoint));
        };
        match route.operation {
            ArmOperation::Get => Response::json(200, &endpoint.read()),
            ArmOperation::Put => {
                let Ok(body) = serde_json::from_slice::<Value>(&message.body) else {
                    return refuse(400, "InvalidRequestContent", "it is not JSON");
                };
                let status = format!(
                    "{base}/subscriptions/s/providers/Microsoft.MachineLearningServices/locations/eastus/mfeOperationsStatus/{id}?api-version=2022-02-01-preview"
                );
                match endpoint.put(&body, id) {
                    Ok(record) => Response::json(201, &record)
                        .header("Azure-AsyncOperation", &status)
                        .header("x-ms-async-operation-timeout", "PT30M"),
                    Err((status, code, text)) => refuse(status, &code, &text),
                }
            }
            ArmOperation::List => {
                let from: usize = route.query.get("$skip").and_then(|skip| skip.parse().ok()).unwrap_or_default();
                let value: Vec<&Value> = endpoint.deployments.iter().skip(from).take(page).collect();
                let next = from + value.len();
                let link = format!("{base}{}?api-version=2024-10-01&$skip={next}", route.path);
                let link = if next < endpoint.deployments.len() { Value::from(link) } else { Value::Null };
                Response::json(200, &json!({"value": value, "nextLink": link}))
            }
            ArmOperation::GetDeployment => match endpoint.deployment(&route.last) {
                Some(found) => Response::json(200, found),
                None => refuse(404, "ResourceNotFound", &format!("deployment {} was not found", route.last)),
            },
            ArmOperation::Metrics => match self.metrics(route) {
                Ok(metrics) => Response::json(200, &metrics),
                // Azure Monitor's errors have no wrapper.
                Err(why) => Response::json(400, &json!({"code": "BadRequest", "message": why})),
            },
            ArmOperation::Status | ArmOperation::Unknown => refuse(404, "InvalidResourceType", "there is no such API"),
        }
    }

    fn metrics(&self, route: &Route) -> Result<Value, String> {
        let asked = |name: &str| route.query.get(name).map(String::as_str).unwrap_or_default();
        if let Some(metrics) = &self.metrics {
            return Ok(metrics.clone());
        }
        if asked("metricnames") != "RequestsPerMinute"
            || asked("interval") != "PT1M"
            || asked("aggregation") != "Average"
        {
            return Err(
                "Failed to find metric configuration for provider: x, Valid metrics: RequestsPerMinute".to_owned()
            );
        }
        if asked("$filter") != "deployment eq '*' and statusCode eq '*'" {
            return Err(format!("a filter this server does not know: {}", asked("$filter")));
        }
        let (from, until) = asked("timespan").split_once('/').ok_or("timespan is START/END")?;
        let time = |text: &str| text.parse::<Timestamp>().ok().map(|time| time.unix_seconds().div_euclid(60));
        let (start, end) = time(from).zip(time(until)).ok_or("a time that is none")?;
        let top: usize = asked("top").parse().unwrap_or(10);
        let series = self.rates.iter().take(top).map(|rate| {
            let at = |minute: i64| Timestamp::from_unix_seconds(60 * minute).map(|time| time.to_string());
            let point = |minute: i64| json!({"timeStamp": at(minute), "average": rate.per_minute});
            json!({"metadatavalues": [{"name": {"value": "deployment"}, "value": rate.deployment},
                                      {"name": {"value": "statuscode"}, "value": rate.code}],
                   "data": (start..end).map(point).collect::<Vec<_>>()})
        });
        let series: Vec<Value> = series.collect();
        Ok(json!({"interval": "PT1M", "timespan": asked("timespan"), "value": [
            {"name": {"value": "RequestsPerMinute"}, "unit": "Count", "errorCode": "Success", "timeseries": series}]}))
    }
}
