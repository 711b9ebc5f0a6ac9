//! Amazon SageMaker's runtime: requests to models, by the weights or to one variant.

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use super::call::signed_for;
use super::state::Broken;
use crate::World;
use crate::api::{Answer, Api, INJECTED, Operation, Request};
use crate::traffic::Key;

/// The runtime as the server sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RuntimeApi;

const INVOKE: &str = "InvokeEndpoint";

impl Api for RuntimeApi {
    fn name(&self) -> &'static str {
        "sagemaker-runtime"
    }

    fn operation(&self, request: &Request) -> Option<Operation> {
        let endpoint = endpoint(request)?;
        (request.method() == Method::POST).then(|| Operation { name: INVOKE, target: Some(endpoint.to_owned()) })
    }

    fn answer(&self, request: &Request, operation: &Operation, world: &mut World) -> Answer {
        let endpoint = operation.target.as_deref().unwrap_or_default();
        match invoke(request, endpoint, world) {
            Ok((variant, body)) => {
                let mut answer = answer(StatusCode::OK, &body);
                if let Ok(variant) = HeaderValue::from_str(&variant) {
                    answer.headers_mut().insert("x-amzn-invoked-production-variant", variant);
                }
                answer
            }
            Err(refused) => refused,
        }
    }

    fn operations(&self) -> &'static [&'static str] {
        &[INVOKE]
    }

    fn error(&self, status: StatusCode, code: Option<&str>) -> Answer {
        let usual = match status.as_u16() {
            424 => "ModelError",
            503 => "ServiceUnavailable",
            500.. => "InternalFailure",
            _ => "ValidationError",
        };
        refusal(status, code.unwrap_or(usual), &json!({ "Message": INJECTED }))
    }
}

fn endpoint(request: &Request) -> Option<&str> {
    request.uri().path().strip_prefix("/endpoints/")?.strip_suffix("/invocations")
}

/// The variant that answers, and what; the requests of outsiders are few beside those of the simulated users, and are in no
/// metric.
fn invoke(request: &Request, endpoint: &str, world: &mut World) -> Result<(String, Value), Answer> {
    let invalid = |message: String| refusal(StatusCode::BAD_REQUEST, "ValidationError", &json!({ "Message": message }));
    let region = signed_for(request, "sagemaker").map_err(|refusal| refusal.answer())?;
    let wanted = request.headers().get("x-amzn-sagemaker-target-variant").and_then(|value| value.to_str().ok());
    let number = world.sagemaker.number();
    let drawn = Key::new(world.scenario.seed).named("invoke").with(number).unit();
    let found = world.sagemaker.regions.get(&region).and_then(|region| region.endpoints.get(endpoint));
    let missing = || invalid(format!("Endpoint {endpoint} of account {} not found.", crate::lambda::ACCOUNT));
    let live = &found.ok_or_else(missing)?.now;
    let variant = match wanted {
        Some(name) => live.variants.iter().find(|variant| variant.name == name).ok_or_else(|| {
            invalid(format!("Variant {name} not found for endpoint {endpoint} of account {}.", crate::lambda::ACCOUNT))
        })?,
        None => {
            let sum: f64 = live.variants.iter().map(|variant| f64::from(variant.weight)).sum();
            let mut reached = 0.0;
            let chosen = live.variants.iter().find(|variant| {
                reached += f64::from(variant.weight);
                drawn * sum < reached
            });
            chosen.ok_or_else(missing)?
        }
    };
    if variant.instances == Some(0) || live.broken == Some(Broken::Failed) || live.split().is_none() {
        let body = json!({ "Message": "A transient exception occurred while retrieving variant instances." });
        return Err(refusal(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", &body));
    }
    let name = variant.name.clone();
    let target = super::store::target(&region, endpoint);
    let behaviour = world.scenario.parsed_targets().find(|(other, _)| *other == target);
    let rate = behaviour.and_then(|(_, service)| Some(service.revisions.get(&name)?.error_rate)).unwrap_or(0.0);
    let failed = Key::new(world.scenario.seed).named("fails").with(number).unit() < rate;
    if failed {
        let said = "The model failed.";
        let message = format!("Received server error (500) from primary with message \"{said}\".");
        let body = json!({ "ErrorCode": "CLIENT_ERROR_FROM_MODEL", "LogStreamArn": "", "Message": message,
            "OriginalMessage": said, "OriginalStatusCode": 500 });
        return Err(refusal(StatusCode::FAILED_DEPENDENCY, "ModelError", &body));
    }
    Ok((name.clone(), json!({ "variant": name, "predictions": [0.3] })))
}

fn answer(status: StatusCode, body: &Value) -> Answer {
    let mut answer = Answer::new(Bytes::from(body.to_string()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn refusal(status: StatusCode, code: &str, body: &Value) -> Answer {
    let mut answer = answer(status, body);
    if let Ok(code) = HeaderValue::from_str(code) {
        answer.headers_mut().insert("x-amzn-errortype", code);
    }
    answer
}
