//! The candidate's capacity, as far as a run acts on it.

use std::time::Duration;

use async_trait::async_trait;
use mlroll_backend::{Backend, Capacity, Error, ErrorKind, Pace, RevisionId, Target};
use tokio::sync::Notify;

use super::interrupt::{Interrupts, Told};
use super::patience::Patience;
use super::{Driver, job};

/// What the candidate lacks: only what may stay, where `lasting`.
pub(super) async fn capacity_of(
    backend: &dyn Backend,
    target: &Target,
    stable: &RevisionId,
    candidate: &RevisionId,
    lasting: bool,
) -> Result<Option<Capacity>, Error> {
    match lasting {
        true => backend.lasting_capacity(target, stable, candidate).await,
        false => backend.capacity(target, stable, candidate).await,
    }
}

/// Performs what the engine asks for about capacity.
#[derive(Debug)]
pub(super) struct Sizing<'a> {
    pub(super) driver: &'a Driver<'a>,
    pub(super) backend: &'a dyn Backend,
    pub(super) target: &'a Target,
    /// How long capacity may take until it is in effect.
    pub(super) limit: Duration,
}

impl Sizing<'_> {
    /// Gives the candidate what it lacks. `None` when somebody insisted on leaving.
    pub(super) async fn prepare(
        &self,
        capacity: &Capacity,
        interrupts: &mut Interrupts,
        told: &mut Option<Told>,
    ) -> Option<Result<(), Error>> {
        let pace = self.pace();
        let work = self.backend.prepare(self.target, capacity, &pace);
        self.finish(work, &pace, interrupts, told).await
    }

    /// Sets that back.
    pub(super) async fn restore(
        &self,
        capacity: &Capacity,
        keeps: &RevisionId,
        interrupts: &mut Interrupts,
        told: &mut Option<Told>,
    ) -> Option<Result<(), Error>> {
        let pace = self.pace();
        let work = self.backend.restore(self.target, capacity, keeps, &pace);
        self.finish(work, &pace, interrupts, told).await
    }

    fn pace(&self) -> Interruptible<'_> {
        let deadline = self.driver.clock.deadline(self.limit);
        let inner = self.driver.patience(self.backend, self.target, deadline);
        Interruptible { inner, enough: Notify::new() }
    }

    /// A request that is under way is never left for an interrupt; the wait for its effect is.
    async fn finish(
        &self,
        work: impl Future<Output = Result<(), Error>>,
        pace: &Interruptible<'_>,
        interrupts: &mut Interrupts,
        told: &mut Option<Told>,
    ) -> Option<Result<(), Error>> {
        let work = self.driver.clock.by(pace.inner.deadline, work);
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Some(done.unwrap_or_else(|_| Err(job::time_is_up()))),
                by = interrupts.next() => {
                    pace.enough.notify_one();
                    if told.replace(by).is_some() && by.is_insistent() {
                        return None;
                    }
                }
            }
        }
    }
}

/// Waits until somebody has had enough.
#[derive(Debug)]
struct Interruptible<'a> {
    inner: Patience<'a>,
    enough: Notify,
}

#[async_trait]
impl Pace for Interruptible<'_> {
    async fn pause(&self, what: &str, least: Option<Duration>) -> Result<(), Error> {
        tokio::select! {
            paused = self.inner.pause(what, least) => paused,
            () = self.enough.notified() => {
                Err(Error::new(ErrorKind::Unavailable, "", format!("interrupted while waiting: {what}")))
            }
        }
    }
}
