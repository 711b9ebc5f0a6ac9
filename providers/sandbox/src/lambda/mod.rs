//! AWS Lambda's REST API (2015-03-31): aliases, versions, provisioned concurrency, invocations.
//!
//! - the region is that of the request's signature; any key is taken, none is refused
//! - each alias is a target, `lambda:REGION/FUNCTION@ALIAS`; each change of it moves the simulated users
//! - every update gives a fresh `RevisionId`, and so does a change of a version's state
//! - 15 requests per second and region, in real time, as Lambda's quota; invocations are not counted
//! - in the sandbox's time: an update of code or settings takes 3 s, a version is pending for 5 s, provisioned
//!   concurrency takes 2 minutes, and 6 when its alias moves. Until then the alias shows AWS' own weight `{old: 1}`

mod account;
mod alias;
mod body;
mod call;
mod deploy;
mod error;
mod invoke;
mod paging;
mod provisioned;
mod read;
mod render;
mod route;
mod rules;
mod state;
mod store;
mod twist;

use http::StatusCode;

use self::error::Refusal;
use self::route::{OPERATIONS, Route};
pub use self::state::Routed;
pub(crate) use self::store::ACCOUNT;
pub use self::store::Lambda;
pub(crate) use self::store::check;
use crate::World;
use crate::api::{Answer, Api, Operation, Request, Twist};

/// Lambda as the server sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LambdaApi;

impl Api for LambdaApi {
    fn name(&self) -> &'static str {
        "lambda"
    }

    fn operation(&self, request: &Request) -> Option<Operation> {
        let route = Route::of(request)?;
        Some(Operation { name: route.operation, target: route.target() })
    }

    fn answer(&self, request: &Request, _operation: &Operation, world: &mut World) -> Answer {
        call::answer(request, world, call::Ending::Well).0
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
