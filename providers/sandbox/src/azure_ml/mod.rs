//! Azure Resource Manager for online endpoints of Azure Machine Learning, and their deployments.
//!
//! - each endpoint is a target, `azure-ml:SUBSCRIPTION/RESOURCE_GROUP/WORKSPACE/ENDPOINT`; its deployments are the revisions
//! - a PUT is the whole resource: what is left out is lost. It is answered 201, also for an update, with the traffic from
//!   before; reads show that until the operation ends, as `Updating`, and users are routed from then on
//! - in the sandbox's time a shift takes 20 s, as it was measured, a new endpoint 75 s, a new deployment 8 minutes, another
//!   number of instances 12. There is no `Retry-After`
//! - meanwhile other writes are refused with 409. There is no ETag: the last writer wins
//! - names have no case, and come back as they were first written
//! - any bearer token is taken, and none is not
//!
//! - a deployment behaves as the scenario says of its name, else of its model's version: so a model that cannot serve, or
//!   one that fails its requests, can be deployed
//! - deployments share the cores that the scenario grants; each instance takes a fifth more than it has
//!
//! Not played: an endpoint without traffic leaves its users where they were.

mod call;
mod cores;
mod deployment;
mod endpoint;
mod operation;
mod render;
mod route;
mod rules;
mod state;
mod store;
mod twist;

use http::StatusCode;

use self::route::{OPERATIONS, Route};
pub use self::store::AzureMl;
pub(crate) use self::store::check;
use crate::World;
use crate::api::{Answer, Api, Operation, Request, Twist};
use crate::arm::Refusal;

/// Azure ML as the server sees it. Every path below `/subscriptions` that is nobody else's is its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AzureMlApi;

impl Api for AzureMlApi {
    fn name(&self) -> &'static str {
        "azure-ml"
    }

    fn operation(&self, request: &Request) -> Option<Operation> {
        let route = Route::of(request)?;
        Some(Operation { name: route.operation, target: route.target() })
    }

    fn answer(&self, request: &Request, _operation: &Operation, world: &mut World) -> Answer {
        call::answer(request, world, state::Ending::InTime).0
    }

    fn operations(&self) -> &'static [&'static str] {
        OPERATIONS
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
        _operation: &Operation,
        world: &mut World,
    ) -> (Option<Answer>, bool) {
        twist::play(twist, request, world)
    }
}
