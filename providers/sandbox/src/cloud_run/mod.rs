//! Google Cloud Run's Admin API over REST, v2: services, revisions, operations; and v1 over the same, as gcloud speaks it.
//!
//! - each service is a target, `cloud-run:PROJECT/REGION/SERVICE`; any bearer token is taken, none is refused with 401
//! - every change of a service, its becoming live too, gives it a fresh etag; a stale one is 409 `ABORTED`
//! - in the sandbox's time: a change of the traffic is live after 2 s, a new revision is ready after 10 s. Until then the
//!   service is `reconciling`, its operation not done, and users go where `trafficStatuses` says
//! - a change whose traffic names a failed revision, if only by a tag, fails: nobody is moved, and the operation ends with
//!   an error
//! - stricter than Cloud Run: fields, masks and parameters that it does not know are refused, and so is a body without a
//!   mask that repeats the name of a revision
//!
//! Facts: the discovery document run.v2, revision 20261031, and what users of it reported.

mod call;
mod edit;
mod invoke;
mod knative;
mod render;
mod route;
mod state;
mod store;
mod template;
mod traffic;
mod twist;

use http::StatusCode;

pub(crate) use self::invoke::RunServicesApi;
use self::route::{OPERATIONS, Route};
use self::state::Fate;
pub use self::store::CloudRun;
pub(crate) use self::store::check;
use crate::World;
use crate::api::{Answer, Api, Operation, Request, Twist};
use crate::google::Refusal;

/// Cloud Run as the server sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CloudRunApi;

impl Api for CloudRunApi {
    fn name(&self) -> &'static str {
        "cloud-run"
    }

    fn operation(&self, request: &Request) -> Option<Operation> {
        if let Some(route) = knative::Route::of(request) {
            return Some(Operation { name: route.operation, target: route.service });
        }
        let route = Route::of(request)?;
        Some(Operation { name: route.operation, target: route.service })
    }

    fn answer(&self, request: &Request, _operation: &Operation, world: &mut World) -> Answer {
        call::answer(request, world, Fate::Settles).0
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
