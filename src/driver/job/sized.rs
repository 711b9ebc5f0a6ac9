//! Capacity where nobody watches: what a candidate lacks it gets before its first share, and a promotion says where it has too little.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use mlroll_backend::{Error, ErrorKind, Pace, Weight};

use super::super::patience::Patience;
use super::{Candidate, Job, Report, time_is_up};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::rollout::{Intent, Outcome, Step};

impl Job<'_> {
    /// Gives a candidate what stable has before its first share, where that may stay. Tells whether anything was changed: then the
    /// target is to be looked at anew.
    pub(super) async fn size(&self, step: &Step, known: &mut Candidate, report: &mut Report) -> Result<bool, Failure> {
        let Some(newcomer) = step.newcomer.as_ref().filter(|newcomer| known.sized.as_ref() != Some(newcomer)) else {
            return Ok(false);
        };
        known.sized = Some(newcomer.clone());
        if self.shared.leave.contains(&self.target) || !self.backend.has_lasting_capacity() {
            return Ok(false);
        }
        let (driver, target) = (self.driver(), &self.target);
        let refused = |e: &Error| {
            let failure = Failure { kind: "capacity", ..Failure::of(e, target) };
            failure.hint("to leave the candidate as it is: `--leave-capacity`, or capacity = \"leave\" of the service")
        };
        let finding = self.backend.lasting_capacity(target, &step.marker.stable, newcomer);
        let found = driver.clock.by(self.deadline.get(), finding).await.unwrap_or_else(|_| Err(time_is_up()));
        let Some(capacity) = found.map_err(|e| refused(&e))? else { return Ok(false) };
        driver.progress.waiting(target, &format!("capacity: {}", capacity.changes.join("; ")));
        let deadline = driver.limits.settle.map_or(self.deadline.get(), |settle| driver.clock.deadline(settle));
        let pace =
            Attentive { inner: driver.patience(self.backend, target, deadline), interrupted: &self.shared.interrupted };
        let work = self.backend.prepare(target, &capacity, &pace);
        let done = driver.clock.by(deadline, work).await.unwrap_or_else(|_| Err(time_is_up()));
        if self.stops_here() {
            let failure = Failure::interrupted(target);
            return Err(failure.hint("nothing was shifted; the candidate may have got capacity, and keeps it"));
        }
        done.map_err(|e| refused(&e))?;
        for change in capacity.changes {
            report.note(change);
        }
        report.note(format!("{newcomer} keeps that, also after a rollback"));
        self.grant_more_time();
        Ok(true)
    }

    /// Whoever cannot carry everything gets it only where somebody insists.
    pub(super) fn refuse_too_small(&self, step: &Step, report: &mut Report) -> Result<(), Failure> {
        let Intent::Promote { forced, .. } = self.intent else { return Ok(()) };
        let (Outcome::Promoted, Some(previous)) = (step.outcome, &step.marker.previous) else { return Ok(()) };
        let Some(lack) = self.backend.shortfall(&self.target, previous, &step.marker.stable, Weight::FULL) else {
            return Ok(());
        };
        if *forced || self.shared.leave.contains(&self.target) {
            report.note(format!("{}; {}", lack.what, lack.remedy));
            return Ok(());
        }
        let failure = Failure { exit: ExitStatus::Held, kind: "capacity", ..Failure::usage(lack.what) };
        let failure = failure.about(&self.target).hint(lack.remedy);
        Err(failure.hint("to promote it all the same: `--force`, which skips the gates too"))
    }
}

/// Waits until somebody has had enough.
#[derive(Debug)]
struct Attentive<'a> {
    inner: Patience<'a>,
    interrupted: &'a AtomicBool,
}

#[async_trait]
impl Pace for Attentive<'_> {
    async fn pause(&self, what: &str, least: Option<Duration>) -> Result<(), Error> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Unavailable, "", format!("interrupted while waiting: {what}")));
        }
        self.inner.pause(what, least).await
    }
}
