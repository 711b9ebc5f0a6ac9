//! What goes over the wire in this run: counted, shown, and in a dry run stopped.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mlroll_backend::{Call, Effect, Permit, Target, Wiretap};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::Printer;
use crate::reach::{Reach, too_far};

/// The calls of this run, in the order they left.
#[derive(Debug)]
pub struct Wire {
    rehearsal: bool,
    printer: Printer,
    calls: Mutex<Vec<(Call, Permit)>>,
    reach: Reach,
}

/// HTTP requests to a target's control plane, retries included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Calls {
    /// Those up to the last write that only looked.
    pub read: usize,
    /// Those that changed something, or tried to.
    pub write: usize,
    /// Those after the last write.
    pub poll: usize,
}

impl Wire {
    /// A wire on which, in a `rehearsal`, no write leaves.
    #[must_use]
    pub const fn new(rehearsal: bool, printer: Printer) -> Self {
        Self { rehearsal, printer, calls: Mutex::new(Vec::new()), reach: Reach::Anywhere }
    }

    /// This wire, on which nothing leaves that is out of `reach`.
    #[must_use]
    pub const fn within(mut self, reach: Reach) -> Self {
        self.reach = reach;
        self
    }

    /// Whether all calls were within reach. Settings outside the environment can lead elsewhere than it says.
    ///
    /// # Errors
    /// One was not, and did not leave.
    pub fn breach(&self) -> Result<(), Failure> {
        match self.log().iter().find(|(call, _)| !self.reach.allows(&call.url)) {
            Some((call, _)) => Err(too_far(endpoint_of(&call.url)).about(&call.target)),
            None => Ok(()),
        }
    }

    /// Whether this is a rehearsal.
    #[must_use]
    pub const fn is_rehearsal(&self) -> bool {
        self.rehearsal
    }

    /// Forgets all calls but the first to each endpoint: for a run that looks for days.
    pub fn forget(&self) {
        let mut endpoints = BTreeSet::new();
        self.log().retain(|(call, _)| endpoints.insert(endpoint_of(&call.url).to_owned()));
    }

    /// All calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.log().iter().map(|(call, _)| call.clone()).collect()
    }

    fn log(&self) -> MutexGuard<'_, Vec<(Call, Permit)>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many writes to `target` were made, those that a rehearsal stopped too.
    #[must_use]
    pub fn writes(&self, target: &Target) -> usize {
        self.log().iter().filter(|(call, _)| call.target == *target && call.effect == Effect::Write).count()
    }

    /// How many calls were about `target`.
    #[must_use]
    pub fn count(&self, target: &Target) -> Calls {
        let mut count = Calls::default();
        let log = self.log();
        let sent = log.iter().filter(|(_, permit)| *permit == Permit::Send).map(|(call, _)| call);
        for call in sent.filter(|call| call.target == *target) {
            match call.effect {
                Effect::Read => count.poll += 1,
                Effect::Write => {
                    count.write += 1;
                    count.read += std::mem::take(&mut count.poll);
                }
            }
        }
        if count.write == 0 {
            count.read = std::mem::take(&mut count.poll);
        }
        count
    }
}

impl Wiretap for Wire {
    fn about_to_send(&self, call: &Call) -> Permit {
        let stays = (self.rehearsal && call.effect == Effect::Write) || !self.reach.allows(&call.url);
        let permit = if stays { Permit::Withhold } else { Permit::Send };
        let mut log = self.log();
        let endpoint = endpoint_of(&call.url);
        if call.overridden && !log.iter().any(|(earlier, _)| endpoint_of(&earlier.url) == endpoint) {
            self.printer.say(&format!("calls go to {endpoint}, which is not the cloud's own endpoint"));
        }
        self.printer.detail(|| format!("{} {} {}", call.operation, call.method, call.url));
        log.push((call.clone(), permit));
        permit
    }
}

/// The way to a metric store: it is no control plane, so its calls are not counted, and none of them writes.
#[derive(Debug)]
pub struct Aside {
    printer: Printer,
    named: Mutex<BTreeSet<String>>,
    first: Mutex<Vec<Call>>,
    reach: Reach,
}

/// So many calls to a metric store are remembered: those by which it gets ready.
const REMEMBERED: usize = 64;

impl Aside {
    /// A way on which nothing was sent yet.
    #[must_use]
    pub const fn new(printer: Printer) -> Self {
        Self { printer, named: Mutex::new(BTreeSet::new()), first: Mutex::new(Vec::new()), reach: Reach::Anywhere }
    }

    /// This way, on which nothing leaves that is out of `reach`.
    #[must_use]
    pub const fn within(mut self, reach: Reach) -> Self {
        self.reach = reach;
        self
    }

    /// The first calls, as far as there were any.
    #[must_use]
    pub fn first_calls(&self) -> Vec<Call> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Wiretap for Aside {
    fn about_to_send(&self, call: &Call) -> Permit {
        let endpoint = endpoint_of(&call.url);
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if call.overridden && named.insert(endpoint.to_owned()) {
            self.printer.say(&format!("metrics come from {endpoint}, which is not the cloud's own endpoint"));
        }
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if first.len() < REMEMBERED {
            first.push(call.clone());
        }
        self.printer.detail(|| format!("{} {} {}", call.operation, call.method, call.url));
        if self.reach.allows(&call.url) { Permit::Send } else { Permit::Withhold }
    }
}

/// Scheme, host and port.
fn endpoint_of(url: &str) -> &str {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let ends = url.get(authority..).and_then(|rest| rest.find('/')).map_or(url.len(), |at| authority + at);
    url.get(..ends).unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_before_the_last_write_are_reads_and_later_ones_are_polls() {
        let wire = Wire::new(false, Printer::silent());
        let target: Target = "lambda:us-east-1/f@a".parse().unwrap();
        let send = |effect| {
            let call = Call {
                target: target.clone(),
                operation: "Op",
                effect,
                method: "GET".to_owned(),
                url: String::new(),
                overridden: false,
                body: None,
            };
            assert_eq!(wire.about_to_send(&call), Permit::Send);
            wire.count(&target)
        };
        assert_eq!(send(Effect::Read), Calls { read: 1, write: 0, poll: 0 });
        assert_eq!(send(Effect::Write), Calls { read: 1, write: 1, poll: 0 });
        assert_eq!(send(Effect::Read), Calls { read: 1, write: 1, poll: 1 });
        assert_eq!(send(Effect::Write), Calls { read: 2, write: 2, poll: 0 });
    }
}
