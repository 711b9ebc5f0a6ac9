//! What becomes of one request: the log, the limits, the faults, the service.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};

use crate::error::ApiError;
use crate::fault::{Kind, Script};
use crate::http::{Message, Response};
use crate::lambda::Service;
use crate::limit::Bucket;
use crate::log::Log;
use crate::operation::Route;
use crate::stop::Stop;
use crate::world::World;

/// All that the connections of a server share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) stop: Stop,
    state: Mutex<State>,
}

impl Shared {
    /// Starts with an empty world.
    pub(crate) fn new(page_size: usize, bucket: Option<Bucket>) -> Self {
        Self { stop: Stop::default(), state: Mutex::new(State { page_size, bucket, ..State::default() }) }
    }

    /// Locks the state; a test that panicked in a closure must not take the other assertions down with it.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state behind one lock, so that a request is served at one point in time.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) world: World,
    pub(crate) script: Script,
    pub(crate) log: Log,
    pub(crate) bucket: Option<Bucket>,
    page_size: usize,
}

/// How the answer leaves the server.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// Half of the answer is sent and the connection closed.
    Half(Response),
    /// Nothing is sent, and the connection stays open.
    Hang,
    /// Nothing is sent, and the connection is reset.
    Reset,
    /// The answer is sent.
    Whole(Response),
}

impl Delivery {
    fn status(&self) -> Option<u16> {
        match self {
            Self::Half(response) | Self::Whole(response) => Some(response.status),
            Self::Hang | Self::Reset => None,
        }
    }
}

/// Serves one request, apart from its delivery.
pub(crate) fn serve(shared: &Shared, message: &Message, connection: u64) -> Delivery {
    let route = Route::of(message);
    let mut state = shared.state();
    let n = state.log.arrived(message, &route, connection, Instant::now());
    let strikes = match state.admit(message) {
        Ok(()) => state.script.strike(route.operation, route.target().as_deref()),
        Err(error) => {
            state.log.settled(n, Some(error.status), false);
            return Delivery::Whole(identified(error.response(), n));
        }
    };
    drop(state);

    if shared.stop.wait(strikes.iter().map(Kind::latency).sum()) {
        return Delivery::Reset;
    }

    let mut state = shared.state();
    let struck = strikes.iter().find_map(|kind| state.play(kind, message, &route, n));
    let (delivery, applied) = struck.unwrap_or_else(|| {
        let (response, applied) = state.carry_out(message, &route, n);
        (Delivery::Whole(response), applied)
    });
    state.log.settled(n, delivery.status(), applied);
    delivery
}

impl State {
    /// Refuses what never reaches the service; such requests count for no fault.
    fn admit(&mut self, message: &Message) -> Result<(), ApiError> {
        Service::admit(message)?;
        let within = self.bucket.as_mut().is_none_or(|bucket| bucket.take(Instant::now()));
        if within { Ok(()) } else { Err(ApiError::throttled()) }
    }

    /// Plays one fault and returns what it makes of the request, or nothing when the request goes on.
    fn play(&mut self, kind: &Kind, message: &Message, route: &Route, n: u64) -> Option<(Delivery, bool)> {
        let mut carry_out = || self.carry_out(message, route, n);
        let outcome = match kind {
            Kind::DeleteVersion(version) => {
                self.world.delete_version(&route.function, version);
                return None;
            }
            Kind::EmptyBody => {
                let applied = carry_out().1;
                (Delivery::Whole(Response::new(200, JSON, "")), applied)
            }
            Kind::ForeignWrite(change) => {
                if let Some((function, alias)) = change.alias(route) {
                    self.world.change(function, alias, |alias| change.make(alias));
                }
                return None;
            }
            Kind::GarbageJson => {
                let applied = carry_out().1;
                (Delivery::Whole(Response::json(200, &garbage())), applied)
            }
            Kind::HangAfter => (Delivery::Hang, carry_out().1),
            Kind::HangBefore => (Delivery::Hang, false),
            Kind::Latency(_) => return None,
            Kind::ResetAfter => (Delivery::Reset, carry_out().1),
            Kind::ResetBefore => (Delivery::Reset, false),
            Kind::Status { status, code, message, headers } => {
                let response = ApiError::new(*status, code, message.as_str()).response();
                let response = headers.iter().fold(response, |response, (name, value)| response.header(name, value));
                (Delivery::Whole(identified(response, n)), false)
            }
            Kind::Truncate => {
                let (response, applied) = carry_out();
                (Delivery::Half(response), applied)
            }
            Kind::WrongContentTypeAfter => {
                let applied = carry_out().1;
                (Delivery::Whole(page()), applied)
            }
            Kind::WrongContentTypeBefore => (Delivery::Whole(page()), false),
        };
        Some(outcome)
    }

    /// Has the service carry the request out, and returns whether it did.
    fn carry_out(&mut self, message: &Message, route: &Route, n: u64) -> (Response, bool) {
        let region = message.scope().map_or(REGION, |(region, _)| region);
        let mut service = Service { world: &mut self.world, page_size: self.page_size, region };
        match service.call(route, message) {
            Ok(response) => (identified(response, n), true),
            Err(error) => (identified(error.response(), n), false),
        }
    }
}

const JSON: &str = "application/json";
const REGION: &str = "us-east-1";

/// Adds the request id that clients put into their error messages.
fn identified(response: Response, n: u64) -> Response {
    response.header("x-amzn-RequestId", &format!("00000000-0000-4000-8000-{n:012x}"))
}

/// An alias in no shape to be one.
fn garbage() -> Value {
    json!({ "FunctionVersion": 7, "RoutingConfig": "x", "Versions": 3, "Aliases": "none", "State": [] })
}

fn page() -> Response {
    Response::new(200, "text/html", "<!doctype html><title>Sign in</title><p>Sign in to use this network.</p>")
}
