//! Waiting for what an adapter began.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mlroll_backend::{Backend, Error, ErrorKind, Pace, Target};

use super::Driver;
use crate::clock::{Clock, Deadline};
use crate::output::Progress;
use crate::wire::Wire;

/// Waits for adapters.
#[derive(Debug)]
pub(super) struct Patience<'a> {
    clock: Clock,
    pub(super) deadline: Deadline,
    interval: Duration,
    progress: &'a Progress,
    wire: Arc<Wire>,
    target: &'a Target,
}

impl Driver<'_> {
    /// Waits for what `backend` begins on `target`, at most until `deadline`.
    pub(super) fn patience<'a>(
        &'a self,
        backend: &dyn Backend,
        target: &'a Target,
        deadline: Deadline,
    ) -> Patience<'a> {
        let Self { clock, progress, wire, .. } = self;
        let interval = backend.poll_interval();
        Patience { clock: clock.clone(), deadline, interval, progress, wire: Arc::clone(wire), target }
    }
}

#[async_trait]
impl Pace for Patience<'_> {
    async fn pause(&self, what: &str, least: Option<Duration>) -> Result<(), Error> {
        if self.wire.is_rehearsal() {
            return Ok(());
        }
        self.progress.waiting(self.target, what);
        let pause = self.interval.max(least.unwrap_or_default());
        if self.clock.left(self.deadline) < pause {
            return Err(Error::new(ErrorKind::Unavailable, "", format!("the time limit ended while waiting: {what}")));
        }
        self.clock.sleep(pause).await;
        Ok(())
    }
}
