//! Amazon SageMaker's control plane of endpoints, awsJson 1.1.
//!
//! - each endpoint is a target, `sagemaker:REGION/ENDPOINT`; simulated users follow its weights when they are live
//! - an endpoint has one lock, its status: whatever changes it is refused while it is not `InService`
//! - in the sandbox's time new weights take a minute, another endpoint config five; a scenario sets both, and incidents:
//!   `SystemUpdating`, `RollingBack`, `Failed`
//! - nothing is deleted that something else needs but by whoever asks: a config in use can be, as on AWS
//! - 25 requests per second and region, in real time: AWS publishes no quota, so this is a guess

mod call;
mod endpoint;
mod error;
mod input;
mod listing;
mod packages;
mod render;
mod resource;
mod runtime;
mod scaling;
mod state;
mod store;
mod tags;
#[cfg(test)]
mod tests;
mod twist;
mod update;

use http::StatusCode;

use self::error::Refusal;
pub(crate) use self::runtime::RuntimeApi;
pub(crate) use self::scaling::ScalingApi;
pub use self::store::SageMaker;
pub(crate) use self::store::check;
use crate::World;
use crate::api::{Answer, Api, Operation, Request, Twist};

/// SageMaker as the server sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SageMakerApi;

impl Api for SageMakerApi {
    fn name(&self) -> &'static str {
        "sagemaker"
    }

    fn operation(&self, request: &Request) -> Option<Operation> {
        let name = call::operation(request)?;
        Some(Operation { name, target: call::about(request) })
    }

    fn answer(&self, request: &Request, operation: &Operation, world: &mut World) -> Answer {
        call::answer(request, operation, world, false).0
    }

    fn operations(&self) -> &'static [&'static str] {
        call::OPERATIONS
    }

    fn error(&self, status: StatusCode, code: Option<&str>) -> Answer {
        Refusal::injected(status, code).answer()
    }

    fn can(&self, twist: Twist, operation: &str) -> bool {
        twist::can(twist, operation)
    }

    fn twisted(
        &self,
        twist: Twist,
        request: &Request,
        operation: &Operation,
        world: &mut World,
    ) -> (Option<Answer>, bool) {
        twist::play(twist, request, operation, world)
    }
}
