//! Waiting for what an adapter began.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mlroll_backend::{Error, ErrorKind, Pace, Target};

use crate::clock::{Clock, Deadline};
use crate::output::Progress;
use crate::wire::Wire;

/// Waits for adapters.
#[derive(Debug)]
pub(super) struct Patience<'a> {
    pub(super) clock: Clock,
    pub(super) deadline: Deadline,
    pub(super) interval: Duration,
    pub(super) progress: &'a Progress,
    pub(super) wire: Arc<Wire>,
    pub(super) target: &'a Target,
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
