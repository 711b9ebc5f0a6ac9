//! Application Auto Scaling, of SageMaker's variants: bounds and what is suspended, awsJson 1.1. Nothing is scaled by it.

use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use super::call::signed_for;
use super::error::{Refusal, answer as rendered};
use super::input::Input;
use super::render::moment;
use super::state::Scalable;
use crate::World;
use crate::api::{Answer, Api, Operation, Request};
use crate::lambda::ACCOUNT;

/// Application Auto Scaling as the server sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScalingApi;

const OPERATIONS: &[&str] = &["DeregisterScalableTarget", "DescribeScalableTargets", "RegisterScalableTarget", UNKNOWN];
const UNKNOWN: &str = "Unknown";
const NAMESPACE: &str = "sagemaker";
const DIMENSION: &str = "sagemaker:variant:DesiredInstanceCount";

impl Api for ScalingApi {
    fn name(&self) -> &'static str {
        "application-autoscaling"
    }

    fn operation(&self, request: &Request) -> Option<Operation> {
        let asked = request.headers().get("x-amz-target")?.to_str().ok()?;
        let asked = asked.strip_prefix("AnyScaleFrontendService.")?;
        let name = OPERATIONS.iter().find(|known| **known == asked).copied().unwrap_or(UNKNOWN);
        let input = Input::of(request.body()).ok();
        let one = input.as_ref().and_then(|input| input.text("ResourceId").ok()?);
        let first = || input.as_ref()?.list("ResourceIds").ok()?.first()?.as_str();
        let endpoint = one.or_else(first).and_then(|id| Some(parts(id)?.0.to_owned()));
        Some(Operation { name, target: endpoint })
    }

    fn answer(&self, request: &Request, operation: &Operation, world: &mut World) -> Answer {
        match carry_out(request, operation.name, world) {
            Ok(body) => rendered(StatusCode::OK, &body),
            Err(refusal) => refusal.answer(),
        }
    }

    fn operations(&self) -> &'static [&'static str] {
        OPERATIONS
    }

    fn error(&self, status: StatusCode, code: Option<&str>) -> Answer {
        let usual = match status.as_u16() {
            403 => "AccessDeniedException",
            429 => "ThrottlingException",
            500.. => "InternalServiceException",
            _ => "ConcurrentUpdateException",
        };
        Refusal::new(status, code.unwrap_or(usual), crate::api::INJECTED).answer()
    }
}

/// The endpoint and the variant of a resource id.
fn parts(id: &str) -> Option<(&str, &str)> {
    id.strip_prefix("endpoint/")?.split_once("/variant/")
}

fn carry_out(request: &Request, operation: &str, world: &mut World) -> Result<Value, Refusal> {
    let region = signed_for(request, "application-autoscaling")?;
    let kind = request.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    if operation == UNKNOWN || request.method() != Method::POST || kind != Some(b"application/x-amz-json-1.1") {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "UnknownOperationException", ""));
    }
    let input = Input::of(request.body())?;
    one_of(&input, "ServiceNamespace", NAMESPACE)?;
    match operation {
        "DescribeScalableTargets" => describe(&input, &region, world),
        "RegisterScalableTarget" => register(&input, &region, world),
        _ => deregister(&input, &region, world),
    }
}

/// A member of which the sandbox knows one value.
fn one_of(input: &Input, member: &str, known: &str) -> Result<(), Refusal> {
    let value = input.required(member)?;
    if value == known {
        return Ok(());
    }
    Err(Refusal::invalid(format!("Unsupported service namespace, resource type or scalable dimension: {value}")))
}

fn describe(input: &Input, region: &str, world: &World) -> Result<Value, Refusal> {
    if input.member("ScalableDimension").is_some() {
        one_of(input, "ScalableDimension", DIMENSION)?;
    }
    let wanted: Vec<&str> = input.list("ResourceIds")?.iter().filter_map(Value::as_str).collect();
    if wanted.len() > 50 {
        let constraint = "Member must have length less than or equal to 50";
        return Err(Refusal::violation(&wanted.len().to_string(), "resourceIds", constraint));
    }
    let all = world.sagemaker.regions.get(region).map(|region| &region.scalable).into_iter().flatten();
    let shown = all.filter(|(id, _)| wanted.is_empty() || wanted.contains(&id.as_str())).map(|(id, scalable)| {
        let [inward, outward, scheduled] = scalable.suspended;
        json!({
            "ServiceNamespace": NAMESPACE,
            "ResourceId": id,
            "ScalableDimension": DIMENSION,
            "MinCapacity": scalable.least,
            "MaxCapacity": scalable.most,
            "RoleARN": format!("arn:aws:iam::{ACCOUNT}:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"),
            "CreationTime": moment(scalable.created),
            "SuspendedState": { "DynamicScalingInSuspended": inward, "DynamicScalingOutSuspended": outward,
                "ScheduledScalingSuspended": scheduled },
        })
    });
    Ok(json!({ "ScalableTargets": shown.collect::<Value>() }))
}

fn resource(input: &Input) -> Result<String, Refusal> {
    let id = input.required("ResourceId")?.to_owned();
    one_of(input, "ScalableDimension", DIMENSION)?;
    Ok(id)
}

/// The first time both bounds are needed; later what is left out stays.
fn register(input: &Input, region: &str, world: &mut World) -> Result<Value, Refusal> {
    let id = resource(input)?;
    let now = world.now();
    let bound = |member: &str| input.integer(member, 0, i64::from(i32::MAX));
    let (least, most) = (bound("MinCapacity")?, bound("MaxCapacity")?);
    let suspended = match input.member("SuspendedState") {
        None => [None; 3],
        Some(state) => {
            let state = Input::object(state, "SuspendedState")?;
            let members = ["DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended"];
            let mut read = [None; 3];
            for (read, member) in read.iter_mut().zip(members) {
                *read = if state.member(member).is_some() { Some(state.flag(member)?) } else { None };
            }
            read
        }
    };
    let here = world.sagemaker.regions.entry(region.to_owned()).or_default();
    let exists = parts(&id).is_some_and(|(endpoint, variant)| {
        let slot = here.endpoints.get(endpoint);
        slot.is_some_and(|slot| slot.now.variants.iter().any(|known| known.name == variant))
    });
    if !exists {
        return Err(Refusal::invalid(format!("The specified resource does not exist: {id}")));
    }
    let before = here.scalable.get(&id).copied();
    let both =
        || Refusal::invalid("You must specify both minimum and maximum capacity values for a new scalable target");
    let least = least.or(before.map(|before| before.least)).ok_or_else(both)?;
    let most = most.or(before.map(|before| before.most)).ok_or_else(both)?;
    if least > most {
        return Err(Refusal::invalid("Maximum capacity cannot be less than minimum capacity"));
    }
    let mut scalable = before.unwrap_or(Scalable { least, most, suspended: [false; 3], created: now });
    (scalable.least, scalable.most) = (least, most);
    for (kept, asked) in scalable.suspended.iter_mut().zip(suspended) {
        *kept = asked.unwrap_or(*kept);
    }
    here.scalable.insert(id, scalable);
    Ok(json!({}))
}

fn deregister(input: &Input, region: &str, world: &mut World) -> Result<Value, Refusal> {
    let id = resource(input)?;
    let here = world.sagemaker.regions.entry(region.to_owned()).or_default();
    let missing = || {
        let message = format!(
            "No scalable target found for service namespace: {NAMESPACE}, resource ID: {id}, scalable dimension: {DIMENSION}"
        );
        Refusal::new(StatusCode::BAD_REQUEST, "ObjectNotFoundException", message)
    };
    here.scalable.remove(&id).map(|_| json!({})).ok_or_else(missing)
}
