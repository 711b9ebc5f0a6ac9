//! One request: admission, dispatch, and what all operations need.

use std::borrow::Cow;
use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use mlroll_backend::Timestamp;
use serde_json::Value;

use super::error::{Refusal, answer as rendered};
use super::input::Input;
use super::state::Endpoint;
use super::store::Region;
use crate::World;
use crate::api::{Answer, Operation, Request};
use crate::lambda::ACCOUNT;

/// Names of operations, for faults and the log.
pub(super) const OPERATIONS: &[&str] = &[
    "AddTags",
    "CreateEndpoint",
    "CreateEndpointConfig",
    "CreateModel",
    "DeleteEndpoint",
    "DeleteEndpointConfig",
    "DeleteModel",
    "DeleteTags",
    "DescribeEndpoint",
    "DescribeEndpointConfig",
    "DescribeModel",
    "DescribeModelPackage",
    "ListEndpointConfigs",
    "ListEndpoints",
    "ListModels",
    "ListTags",
    UNKNOWN,
    "UpdateEndpoint",
    "UpdateEndpointWeightsAndCapacities",
    "UpdateModelPackage",
];

/// A request for SageMaker that names none of its operations.
const UNKNOWN: &str = "Unknown";

/// What a request asks for, when it is for SageMaker.
pub(super) fn operation(request: &Request) -> Option<&'static str> {
    let target = request.headers().get("x-amz-target")?.to_str().ok()?;
    let name = target.strip_prefix("SageMaker.")?;
    Some(OPERATIONS.iter().find(|known| **known == name).copied().unwrap_or(UNKNOWN))
}

/// The endpoint that it is about, or what else it names.
pub(super) fn about(request: &Request) -> Option<String> {
    let input = Input::of(request.body()).ok()?;
    let named = ["EndpointName", "EndpointConfigName", "ModelName", "ModelPackageName", "ModelPackageArn"]
        .iter()
        .find_map(|name| input.text(name).ok()?);
    let by_arn = || input.text("ResourceArn").ok()??.rsplit('/').next();
    named.or_else(by_arn).map(str::to_owned)
}

/// A request that was admitted.
pub(super) struct Call<'a> {
    pub(super) world: &'a mut World,
    pub(super) input: Input,
    pub(super) region: String,
    pub(super) now: Timestamp,
    /// A fault keeps what begins from its end.
    endless: bool,
    began: bool,
}

pub(super) type Reply = Result<Value, Refusal>;

/// The answer, and whether something began that an `endless` fault keeps from its end.
pub(super) fn answer(request: &Request, operation: &Operation, world: &mut World, endless: bool) -> (Answer, bool) {
    let id = world.sagemaker.request_id();
    let (reply, began) = match admitted(request, operation, world) {
        Err(refusal) => (Err(refusal), false),
        Ok((input, region)) => {
            let now = world.now();
            let mut call = Call { world, input, region, now, endless, began: false };
            let reply = call.carry_out(operation.name);
            (reply, call.began)
        }
    };
    let mut answer = match &reply {
        Ok(body) => rendered(StatusCode::OK, body),
        Err(refusal) => refusal.answer(),
    };
    if let Ok(id) = HeaderValue::from_str(&id) {
        answer.headers_mut().insert("x-amzn-requestid", id);
    }
    (answer, began && reply.is_ok())
}

/// Refuses what never reaches an operation, and tells what is asked of which region.
fn admitted(request: &Request, operation: &Operation, world: &mut World) -> Result<(Input, String), Refusal> {
    let region = signed_for(request, "sagemaker")?;
    let kind = request.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    if operation.name == UNKNOWN
        || request.method() != http::Method::POST
        || kind != Some(b"application/x-amz-json-1.1")
    {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "UnknownOperationException", ""));
    }
    let uptime = world.clock.uptime();
    if !world.sagemaker.admits(&region, uptime) {
        return Err(Refusal::throttled());
    }
    Ok((Input::of(request.body())?, region))
}

/// The region of the credential scope. The signature itself is not checked: every key is a good one.
pub(super) fn signed_for(request: &Request, service: &str) -> Result<String, Refusal> {
    let unsigned = |code: &str, message: &str| Refusal::new(StatusCode::FORBIDDEN, code, message);
    let signature = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let signature = signature.filter(|signature| signature.starts_with("AWS4-HMAC-SHA256"));
    let missing = || unsigned("MissingAuthenticationTokenException", "Missing Authentication Token");
    let scope =
        signature.ok_or_else(missing)?.split_once("Credential=").and_then(|(_, rest)| rest.split([',', ' ']).next());
    let parts: Vec<&str> = scope.unwrap_or_default().split('/').collect();
    match parts.as_slice() {
        [_key, _date, region, signed, "aws4_request"] if *signed == service => Ok((*region).to_owned()),
        _ => {
            let message = format!("Credential should be scoped to correct service: '{service}'.");
            Err(unsigned("InvalidSignatureException", &message))
        }
    }
}

impl Call<'_> {
    fn carry_out(&mut self, operation: &str) -> Reply {
        match operation {
            "AddTags" => self.add_tags(),
            "CreateEndpoint" => self.create_endpoint(),
            "CreateEndpointConfig" => self.create_config(),
            "CreateModel" => self.create_model(),
            "DeleteEndpoint" => self.delete_endpoint(),
            "DeleteEndpointConfig" => self.delete_config(),
            "DeleteModel" => self.delete_model(),
            "DeleteTags" => self.delete_tags(),
            "DescribeEndpoint" => self.describe_endpoint(),
            "DescribeEndpointConfig" => self.describe_config(),
            "DescribeModel" => self.describe_model(),
            "DescribeModelPackage" => self.describe_package(),
            "ListEndpointConfigs" => self.list_configs(),
            "ListEndpoints" => self.list_endpoints(),
            "ListModels" => self.list_models(),
            "ListTags" => self.list_tags(),
            "UpdateEndpoint" => self.update_endpoint(),
            "UpdateEndpointWeightsAndCapacities" => self.update_weights(),
            "UpdateModelPackage" => self.update_package(),
            other => Err(Refusal::new(StatusCode::BAD_REQUEST, "UnknownOperationException", other)),
        }
    }

    /// The endpoint that the request names, as its creator spelled it: the name is case-insensitive in `CreateEndpoint` (SageMaker
    /// API model), and taken for that in the whole control plane.
    pub(super) fn endpoint_name(&mut self) -> Result<String, Refusal> {
        let name = self.input.name("EndpointName")?;
        Ok(self.here().spelled(&name).unwrap_or(name))
    }

    /// The ARN of something in this region: an `endpoint`, an `endpoint-config`, a `model`. Those of endpoints are in lower case
    /// (prometheus-community/yet-another-cloudwatch-exporter#1178).
    pub(super) fn arn(&self, kind: &str, name: &str) -> String {
        let name = if kind == "endpoint" { Cow::Owned(name.to_ascii_lowercase()) } else { Cow::Borrowed(name) };
        format!("arn:aws:sagemaker:{}:{ACCOUNT}:{kind}/{name}", self.region)
    }

    pub(super) fn here(&mut self) -> &mut Region {
        self.world.sagemaker.regions.entry(self.region.clone()).or_default()
    }

    /// The endpoint that the request names.
    pub(super) fn endpoint(&mut self) -> Result<(String, &mut Endpoint), Refusal> {
        let name = self.endpoint_name()?;
        let missing = Refusal::no_such("endpoint", &self.arn("endpoint", &name));
        let slot = self.here().endpoints.get_mut(&name).ok_or(missing)?;
        Ok((name, &mut slot.now))
    }

    /// The same, to be changed: it has to be `InService`. How it was is kept for readers who are behind.
    pub(super) fn idle_endpoint(&mut self) -> Result<(String, &mut Endpoint), Refusal> {
        let name = self.endpoint_name()?;
        let arn = self.arn("endpoint", &name);
        let slot = self.here().endpoints.get_mut(&name).ok_or_else(|| Refusal::no_such("endpoint", &arn))?;
        if slot.now.broken.is_some() {
            // AWS publishes no text of this.
            let message = format!("Cannot update endpoint \"{arn}\" while it is in status {}.", slot.now.status());
            return Err(Refusal::invalid(message));
        }
        if slot.now.change.is_some() {
            return Err(Refusal::in_progress(&arn));
        }
        slot.before = Some(Box::new(slot.now.clone()));
        Ok((name, &mut slot.now))
    }

    /// How long something that begins now takes; none when it has no end.
    pub(super) fn takes(&mut self, length: Duration) -> Option<Duration> {
        self.began = true;
        (!self.endless).then_some(length)
    }
}
