//! What becomes of one request: the fault, the API, the log.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use crate::admin;
use crate::api::{Answer, Api, Operation, Request, json_answer};
use crate::clock::to_the_millisecond;
use crate::faults::{Book, Fault, Kind};
use crate::log::{self, Entry, Log};
use crate::world::SharedWorld;

/// All that the connections of a server share.
#[derive(Debug)]
pub(crate) struct Exchange {
    world: SharedWorld,
    apis: Vec<Box<dyn Api>>,
    book: Mutex<Book>,
    log: Mutex<Log>,
    latency: Duration,
}

/// How an answer leaves the server.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// It is sent, that much later.
    Whole(Answer, Duration),
    /// Its head and half of its body are sent, and the connection is closed.
    Half(Answer, Duration),
    /// Nothing is sent, and the connection is reset.
    Reset(Duration),
}

impl Exchange {
    pub(crate) fn new(world: SharedWorld, apis: Vec<Box<dyn Api>>, latency: Duration, log: usize) -> Self {
        Self { world, apis, book: Mutex::default(), log: Mutex::new(Log::new(log)), latency }
    }

    pub(crate) const fn world(&self) -> &SharedWorld {
        &self.world
    }

    pub(crate) fn apis(&self) -> &[Box<dyn Api>] {
        &self.apis
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves a request, apart from its delivery.
    pub(crate) fn serve(&self, request: &Request) -> Delivery {
        let path = request.uri().path();
        if path.strip_prefix(admin::PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            return Delivery::Whole(admin::answer(self, request), Duration::ZERO);
        }
        let at = self.world.lock().now();
        let found = self.apis.iter().find_map(|api| Some((api.as_ref(), guarded(|| api.operation(request))??)));
        let (delivery, api, operation) = match found {
            Some((api, operation)) => {
                let (delivery, delay) = self.carry_out(api, &operation, request);
                (delivery.late(delay + self.latency), Some(api.name()), Some(operation))
            }
            None => (Delivery::Whole(self.nobodys(request), self.latency), None, None),
        };
        self.log().record(Entry {
            n: 0,
            at: to_the_millisecond(at),
            api,
            operation: operation.as_ref().map(|operation| operation.name),
            target: operation.and_then(|operation| operation.target),
            method: request.method().to_string(),
            path: path.to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            body: log::kept(request.body()),
            status: delivery.status(),
        });
        delivery
    }

    /// Has the API carry the request out under the faults that befall it.
    fn carry_out(&self, api: &dyn Api, operation: &Operation, request: &Request) -> (Delivery, Duration) {
        let struck = self.book().strike(api.name(), operation, |twist| api.can(twist, operation.name));
        let mut delay = Duration::ZERO;
        let mut delivery = None;
        for (id, fault) in &struck {
            let (played, effective) = self.play(fault, api, operation, request);
            if effective {
                delay += Duration::from_millis(fault.latency_ms);
            } else {
                self.book().refund(*id);
            }
            delivery = delivery.or(played);
        }
        self.book().tidy();
        let delivery = delivery.unwrap_or_else(|| Delivery::whole(self.answer(api, operation, request)));
        (delivery, delay)
    }

    /// Plays one fault: what it makes of the request, if it answers it, and whether it had its effect.
    fn play(&self, fault: &Fault, api: &dyn Api, operation: &Operation, request: &Request) -> (Option<Delivery>, bool) {
        let delivery = match fault.kind {
            Kind::Latency => return (None, true),
            Kind::Status => Delivery::whole(api.error(fault.status, fault.code.as_deref())),
            Kind::ResetBefore => Delivery::Reset(Duration::ZERO),
            Kind::ResetAfter => {
                self.answer(api, operation, request);
                Delivery::Reset(Duration::ZERO)
            }
            Kind::Truncate => {
                let answer = self.answer(api, operation, request);
                // Nothing has no half.
                let cut = answer.body().is_empty();
                if cut { Delivery::Reset(Duration::ZERO) } else { Delivery::Half(answer, Duration::ZERO) }
            }
            Kind::Twist(twist) => {
                let mut world = self.world.lock();
                let played = guarded(|| api.twisted(twist, request, operation, &mut world));
                let (answer, effective) = played.unwrap_or_else(|| (Some(failed()), true));
                return (answer.map(Delivery::whole), effective);
            }
        };
        (Some(delivery), true)
    }

    fn answer(&self, api: &dyn Api, operation: &Operation, request: &Request) -> Answer {
        let mut world = self.world.lock();
        guarded(|| api.answer(request, operation, &mut world)).unwrap_or_else(failed)
    }

    fn nobodys(&self, request: &Request) -> Answer {
        let names: Vec<&str> = self.apis.iter().map(|api| api.name()).collect();
        let message = format!(
            "{} {} belongs to none of the APIs of this sandbox: {}",
            request.method(),
            request.uri().path(),
            names.join(", ")
        );
        json_answer(StatusCode::NOT_FOUND, &json!({ "error": message, "apis": names }))
    }
}

impl Delivery {
    fn whole(answer: Answer) -> Self {
        Self::Whole(answer, Duration::ZERO)
    }

    fn late(self, by: Duration) -> Self {
        match self {
            Self::Whole(answer, _) => Self::Whole(answer, by),
            Self::Half(answer, _) => Self::Half(answer, by),
            Self::Reset(_) => Self::Reset(by),
        }
    }

    /// The status that the client sees whole.
    fn status(&self) -> Option<u16> {
        match self {
            Self::Whole(answer, _) => Some(answer.status().as_u16()),
            Self::Half(..) | Self::Reset(_) => None,
        }
    }
}

/// A panic of one API is a bug of that API and must not end the others.
fn guarded<T>(act: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(act)).ok()
}

fn failed() -> Answer {
    json_answer(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "error": "the sandbox failed: this is a bug of it" }))
}
