//! CloudWatch, over the requests of simulated users, in rpc-v2-cbor and awsJson 1.0.
//!
//! - `GetMetricData` with statistics and percentiles from raw values, paging and a part of metric math;
//!   `GetMetricStatistics`, `ListMetrics`, `DescribeAlarms`, `DescribeAlarmHistory`; `PutMetricData` for namespaces of one's own
//! - `AWS/Lambda` with `{FunctionName}`, `{FunctionName, Resource}` and `{FunctionName, Resource, ExecutedVersion}`;
//!   `AWS/SageMaker` with `{EndpointName, VariantName}`, its latencies in microseconds; `/aws/sagemaker/Endpoints` with the same,
//!   of variants whose instances a scenario tells of
//! - a point appears and grows as its requests become readable; a minute, or as often as an endpoint config says; points of less than
//!   a minute are kept for three hours
//!
//! A request's region is that of its signature, which is not checked.

mod alarms;
mod data;
mod machines;
mod math;
mod metric;
mod other;
mod points;
mod statistic;
mod wire;

use std::sync::{Mutex, PoisonError};

use ciborium::Value;
use http::header::AUTHORIZATION;
use http::{Method, StatusCode};

pub(crate) use self::machines::devices;
use self::points::{Custom, Reader};
use self::wire::Fault;
use crate::api::{Answer, Api, Operation, Request};
use crate::world::World;

/// CloudWatch, with what was put into it.
#[derive(Debug, Default)]
pub struct CloudWatch {
    custom: Mutex<Custom>,
}

const OPERATIONS: [&str; 7] = [
    "DescribeAlarmHistory",
    "DescribeAlarms",
    "GetMetricData",
    "GetMetricStatistics",
    "ListMetrics",
    "PutMetricData",
    "Unknown",
];

/// The region that a signature is for.
fn region(request: &Request) -> Option<String> {
    let signature = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (_, scope) = signature.split_once("Credential=")?;
    let scope = scope.split([',', ' ']).next()?;
    scope.split('/').nth_back(2).filter(|region| !region.is_empty()).map(str::to_owned)
}

impl Api for CloudWatch {
    fn name(&self) -> &'static str {
        "cloudwatch"
    }

    fn operation(&self, request: &Request) -> Option<Operation> {
        let (_, name) = wire::recognize(request)?;
        let known = OPERATIONS.into_iter().find(|known| *known == name);
        Some(Operation { name: known.unwrap_or("Unknown"), target: None })
    }

    fn operations(&self) -> &'static [&'static str] {
        &OPERATIONS
    }

    /// In CBOR, whatever the client speaks: the code is also in a header, where both kinds look for it.
    fn error(&self, status: StatusCode, code: Option<&str>) -> Answer {
        let usual = match status.as_u16() {
            400 | 429 => "Throttling",
            403 => "AccessDenied",
            503 => "ServiceUnavailable",
            _ => "InternalServiceError",
        };
        wire::injected(status, code.unwrap_or(usual))
    }

    fn answer(&self, request: &Request, operation: &Operation, world: &mut World) -> Answer {
        let protocol = wire::recognize(request).map_or(wire::Protocol::Cbor, |(protocol, _)| protocol);
        let result = if request.method() == Method::POST {
            wire::read(protocol, request).and_then(|input| self.perform(operation.name, request, &input, world))
        } else {
            Err(Fault::unknown_operation())
        };
        let now = world.now().unix_milliseconds();
        let id = world.traffic.key().named("request").with(now as u64).with(request.body().len() as u64);
        wire::write(protocol, &result, id)
    }
}

impl CloudWatch {
    fn perform(&self, operation: &str, request: &Request, input: &Value, world: &mut World) -> Result<Value, Fault> {
        let region = region(request);
        let now = world.now().unix_seconds();
        let mut custom = self.custom.lock().unwrap_or_else(PoisonError::into_inner);
        match operation {
            "DescribeAlarmHistory" => return alarms::describe_alarm_history(world, input),
            "DescribeAlarms" => return alarms::describe_alarms(world, region.as_deref(), input),
            "PutMetricData" => {
                return other::put_metric_data(&mut custom, region.as_deref().unwrap_or_default(), now, input);
            }
            _ => {}
        }
        let published = metric::published(&world.traffic, &world.sagemaker);
        let settings = &world.scenario.cloudwatch;
        let mut reader = Reader { traffic: &mut world.traffic, settings, now, region, published, custom: &custom };
        match operation {
            "GetMetricData" => data::get_metric_data(&mut reader, input),
            "GetMetricStatistics" => other::get_metric_statistics(&mut reader, input),
            "ListMetrics" => other::list_metrics(&reader, input),
            _ => Err(Fault::unknown_operation()),
        }
    }
}
