//! Waiting: for a busy target, for what was written, for a provider that wants to be left alone.

use std::sync::atomic::Ordering;
use std::time::Duration;

use mlroll_backend::{Error, ErrorKind, GuardKind, Marker, MarkerState, Readiness, Snapshot};

use super::attempt::{Attempt, interference, never_settled, taken_back};
use super::{Job, PAUSES, time_is_up};
use crate::driver::{Driver, Report};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::rollout::{Landing, Outcome, Step, landing};

/// How often a longer wait is looked up from, for an interrupt.
const SLICE: Duration = Duration::from_secs(2);

/// What is granted beyond the time limit to tell where traffic is.
const LAST_LOOK: Duration = Duration::from_secs(5);

impl Job<'_> {
    /// What became of a write, also where the provider wants to be left alone before it tells.
    pub(super) async fn last_look(&self) -> Result<Snapshot, Error> {
        loop {
            match self.observe(self.driver().clock.at_least(self.deadline.get(), LAST_LOOK)).await {
                Err(e) if self.has_time_for(&e) || (self.has_time_left(SLICE) && self.outlasts(&e)) => {
                    self.leave_alone(&e, SLICE).await;
                }
                told => return told,
            }
        }
    }

    /// Whoever takes traffic back asks until he is heard, however busy the control plane is with others.
    pub(super) fn outlasts(&self, error: &Error) -> bool {
        self.is_rollback() && error.kind() == ErrorKind::Throttled
    }

    fn has_time_left(&self, least: Duration) -> bool {
        self.driver().clock.left(self.deadline.get()) > least
    }

    /// Whether the provider wants to be asked again later, and there is time for that.
    pub(super) fn has_time_for(&self, error: &Error) -> bool {
        asked_for(error).is_some_and(|wait| wait < self.driver().clock.left(self.deadline.get()))
    }

    /// Waits as long as the provider asks for, and at least this long; not longer than somebody lets us.
    pub(super) async fn leave_alone(&self, error: &Error, least: Duration) {
        let Driver { clock, progress, .. } = self.driver();
        let mut left = asked_for(error).unwrap_or_default().max(least);
        match asked_for(error) {
            Some(wait) => {
                let why = format!("{} (again in {} s, as it asks)", error.message(), wait.as_secs_f64().ceil());
                progress.waiting(&self.target, &why);
            }
            None => progress.waiting(&self.target, error.message()),
        }
        while !left.is_zero() && !self.stops_here() {
            let part = left.min(SLICE);
            clock.sleep(part).await;
            left -= part;
        }
    }

    /// Whether an operation is under way on a target that has no guard which would tell whose.
    pub(super) fn may_change(&self, seen: &Snapshot) -> bool {
        self.backend.capabilities().guard == GuardKind::ReadCompare && matches!(seen.readiness, Readiness::Settling(_))
    }

    pub(super) async fn wait_a_while(&self, seen: &Snapshot) {
        let Driver { clock, progress, .. } = self.driver();
        if let Readiness::Settling(why) = &seen.readiness {
            progress.waiting(&self.target, why);
        }
        clock.sleep(self.backend.poll_interval().min(clock.left(self.deadline.get()))).await;
    }

    /// Looks on while a target without a guard still works on something that may be our own write: only then can be told
    /// whether it took effect.
    pub(super) async fn settled(&self, attempt: &Attempt, mut now: Snapshot) -> Result<Snapshot, Error> {
        let clock = &self.driver().clock;
        let undecided = |now: &Snapshot| {
            let landing = landing(&attempt.before, &attempt.step.to, attempt.carried.as_ref(), now);
            let may_land = matches!(landing, Landing::Untouched | Landing::Touched);
            (may_land || attempt.undone(now, false).is_some()) && self.may_change(now)
        };
        while undecided(&now) && !clock.left(self.deadline.get()).is_zero() {
            self.wait_a_while(&now).await;
            now = self.observe(clock.at_least(self.deadline.get(), LAST_LOOK)).await?;
        }
        Ok(now)
    }

    /// Waits until what was written is live. A rollback that was accepted and then failed, or was taken back, is handed back, to
    /// be decided again.
    pub(super) async fn settle(
        &self,
        report: &mut Report,
        attempt: &Attempt,
        mut now: Snapshot,
        again: bool,
    ) -> Option<Snapshot> {
        let Driver { clock, limits, wire, progress, .. } = self.driver();
        report.outcome = attempt.step.outcome;
        report.exit = ExitStatus::Success;
        let deadline = limits.settle.map_or(self.deadline.get(), |settle| clock.deadline(settle));
        let patient = !limits.no_wait && !wire.is_rehearsal();
        let mut pauses = PAUSES.into_iter();
        let mut pause = Duration::ZERO;
        let mut said = false;
        loop {
            report.saw(&now);
            let undone = attempt.undone(&now, said);
            said |= now.taken_back.is_some() && !now.is_settled();
            let why = match &now.readiness {
                Readiness::Failed(_) if again && self.is_rollback() && patient => return Some(now),
                Readiness::Failed(why) => {
                    report.ended_badly(never_settled(&self.target, why));
                    return None;
                }
                Readiness::Live if undone.is_some() => {
                    if again && self.is_rollback() && patient {
                        return Some(now);
                    }
                    report.fail(taken_back(&self.target, &undone.unwrap_or_default(), &now));
                    return None;
                }
                _ if now.split.as_ref() != Some(&attempt.step.to) && undone.is_none() => {
                    report.fail(interference(&self.target, attempt, &now));
                    return None;
                }
                Readiness::Live => return None,
                Readiness::Settling(why) => why.clone(),
            };
            if !patient {
                report.note(format!("accepted, not yet live: {why}"));
                return None;
            }
            progress.waiting(&self.target, &why);
            let mut poll = Err(time_is_up());
            let mut rest = Duration::ZERO;
            while poll.is_err() {
                if self.shared.interrupted.load(Ordering::Relaxed) {
                    report.ended_badly(Failure::interrupted(&self.target));
                    return None;
                }
                if clock.left(deadline).is_zero() {
                    report.ended_badly(never_settled(&self.target, &why));
                    return None;
                }
                // Some are live at once, and others take minutes.
                let nap = pause.min(self.backend.poll_interval()).min(clock.left(deadline));
                clock.sleep(nap).await;
                pause = pauses.next().unwrap_or(pause);
                rest = rest.saturating_sub(nap);
                if !rest.is_zero() {
                    continue;
                }
                // It was accepted: an answer that cannot be had now says nothing about it. The next one may.
                poll = self.observe(clock.at_least(deadline, LAST_LOOK)).await;
                let asked = poll.as_ref().err().and_then(asked_for);
                rest = asked.filter(|wait| *wait < clock.left(deadline)).unwrap_or_default();
            }
            if let Ok(seen) = poll {
                now = seen;
            }
        }
    }

    /// A split that needs no write may still be on its way.
    pub(super) async fn settle_unchanged(&self, report: &mut Report, seen: Snapshot, again: bool) -> Option<Snapshot> {
        report.outcome = Outcome::Unchanged;
        report.exit = ExitStatus::Success;
        if let (Readiness::Settling(_), Some(to), Some(stable)) = (&seen.readiness, &seen.split, &seen.roles.stable) {
            let state = MarkerState::RolledBack { bad: None };
            let marker = Marker { state, stable: stable.clone(), previous: None, at: None, id: None };
            let step = Step { to: to.clone(), marker, outcome: Outcome::Unchanged, newcomer: None };
            let attempt = Attempt { before: seen.clone(), step, carried: None };
            return self.settle(report, &attempt, seen, again).await;
        }
        None
    }
}

/// How long the provider asks to be left alone, where that may help.
pub(super) fn asked_for(error: &Error) -> Option<Duration> {
    error.retry_after().filter(|_| matches!(error.kind(), ErrorKind::Throttled | ErrorKind::Unavailable))
}
