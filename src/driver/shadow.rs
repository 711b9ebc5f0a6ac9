//! Mirrored traffic: switched on, watched, and switched off again when it shows that the candidate is worse.
//!
//! Nobody sees a mirrored answer, so a run that dies leaves users as they were. No note travels with it and no journal is
//! kept: what is mirrored is in the target itself, and `rollback`, `canary` and `shadow --off` end it.
//!
//! `watch` looks on and tells what its end means.

mod watch;

use std::cell::Cell;
use std::time::Duration;

use mlroll_backend::{
    Backend, Error, ErrorKind, MarkerState, Readiness, RevisionId, Shadow, Snapshot, Target, Usage, Weight,
};

use self::watch::Over;

use super::interrupt::Interrupts;
use super::{Bench, Driver, Report, job};
use crate::clock::Deadline;
use crate::config::Selected;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::rollout::Outcome;
use crate::rollout::engine::Plan;

/// Traffic that is, or is to be, mirrored on one target.
#[derive(Debug)]
pub struct Mirroring<'a> {
    /// What it is driven by.
    pub driver: &'a Driver<'a>,
    /// The provider.
    pub backend: &'a dyn Backend,
    /// The target, and the service that lists it.
    pub selected: &'a Selected,
    /// How long the provider may take until a change is in force.
    pub settle: Duration,
    /// Whether somebody wants it to end.
    interrupted: Cell<bool>,
}

/// Gates that watch it.
#[derive(Debug)]
pub struct Watched {
    /// Whom they compare, and for how long.
    pub plan: Plan,
    /// The gates, and the store they read.
    pub bench: Bench,
}

impl<'a> Mirroring<'a> {
    /// Nothing is changed yet.
    #[must_use]
    pub fn new(driver: &'a Driver<'a>, backend: &'a dyn Backend, selected: &'a Selected, settle: Duration) -> Self {
        Self { driver, backend, selected, settle, interrupted: Cell::new(false) }
    }

    /// Refuses what the provider cannot mirror.
    ///
    /// # Errors
    /// It mirrors nothing, less, or no such share.
    pub fn check(&self, share: Option<Weight>) -> Result<(), Failure> {
        let target = &self.selected.target;
        let (can, provider) = (self.backend.capabilities(), target.provider());
        let refuse = |message: String| {
            Err(Failure { kind: ErrorKind::Unsupported.name(), ..Failure::usage(message) }.about(target))
        };
        let Some(most) = can.mirror else {
            let failure = refuse(format!("{provider} cannot mirror traffic to a revision"));
            return failure.map_err(|failure| failure.hint("a small canary shows the same: `mlroll canary --pct 1`"));
        };
        match share {
            Some(share) if share > most => {
                refuse(format!("--pct {}: {provider} mirrors {most} of the traffic at most", share.percent()))
            }
            Some(share) if !share.is_multiple_of(can.granule) => {
                let granule = can.granule;
                refuse(format!(
                    "--pct {}: {provider} mirrors in steps of {granule}; nothing is rounded",
                    share.percent()
                ))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Switches it on and, where gates watch, looks on until they are done.
    pub async fn run(&self, shadow: &Shadow, seen: Snapshot, watched: Option<Watched>, report: &mut Report) {
        let mut interrupts = Interrupts::new();
        let on = self.heeding(&mut interrupts, self.on(shadow, seen, report)).await;
        let mirrored = match on {
            None => return report.fail(self.left_at_once()),
            Some(Err(failure)) if !self.interrupted.get() || !self.has_written() => return report.fail(failure),
            // It may be on its way.
            Some(Err(_)) => None,
            Some(Ok(mirrored)) => Some(mirrored),
        };
        let over = match (mirrored, watched) {
            _ if self.interrupted.get() => Ok(Over::Interrupted),
            (None, _) => Ok(Over::Interrupted),
            (Some(_), None) => {
                (report.outcome, report.exit) = (self.outcome(), ExitStatus::Success);
                return;
            }
            (Some(mirrored), Some(mut watched)) => {
                let over = self.look_on(&mut watched, shadow, &mirrored, report, &mut interrupts).await;
                report.found(watched.bench.findings());
                report.metrics = watched.bench.usage();
                if let Some(Usage { calls, series }) = report.metrics.filter(|usage| usage.calls > 0) {
                    report.note(format!("the metric store was asked {calls} times, for {series} series in all"));
                }
                over
            }
        };
        match over {
            Ok(over) => self.conclude(over, shadow, report, &mut interrupts).await,
            Err(failure) => report.fail(failure.hint(self.off_by_hand())),
        }
    }

    /// Switches all of it off.
    pub async fn off(&self, report: &mut Report) {
        let mut interrupts = Interrupts::new();
        let ended = async {
            let seen = self.look(report).await?;
            self.end(None, seen, report).await
        };
        match self.heeding(&mut interrupts, ended).await {
            None => report.fail(self.left_at_once()),
            Some(Err(failure)) => report.fail(failure.hint(self.off_by_hand())),
            Some(Ok(Some(ended))) => {
                (report.outcome, report.exit) = (Outcome::RolledBack, ExitStatus::Success);
                report.note(gone(&ended.revision));
            }
            Some(Ok(None)) => {
                (report.outcome, report.exit) = (Outcome::Unchanged, ExitStatus::Success);
                report.note("nothing was mirrored");
            }
        }
    }

    /// Looks at the target.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn look(&self, report: &mut Report) -> Result<Snapshot, Failure> {
        let seen = self.observe_by(self.accept()).await?;
        report.saw(&seen);
        Ok(seen)
    }

    /// Refuses to mirror where somebody else has a say, or the revision has users.
    ///
    /// # Errors
    /// It has, or they have.
    pub fn may_begin(&self, candidate: &RevisionId, seen: &Snapshot) -> Result<(), Failure> {
        let target = &self.selected.target;
        let live = seen.split.as_ref().map_or(Weight::ZERO, |split| split.weight_of(candidate));
        let end = format!("end it first: `mlroll rollback --target {target}`, or `mlroll promote --target {target}`");
        if live > Weight::ZERO {
            let message =
                format!("{candidate} has {live} of the live traffic: a revision gets that or copies, not both");
            return Err(Failure::conflict(message).about(target).hint(end));
        }
        let canary = seen.marker.as_ref().is_some_and(|marker| matches!(marker.state, MarkerState::Canary { .. }));
        if canary || seen.split.as_ref().is_some_and(|split| split.len() > 1) {
            return Err(Failure::conflict(format!("a canary is under way: {seen}")).about(target).hint(end));
        }
        match &seen.roles.shadow {
            Some(other) if other.revision != *candidate => {
                let failure = Failure::conflict(format!("somebody is at it already: {other}")).about(target);
                Err(failure.hint(format!("end that first: `mlroll shadow --off --target {target}`")))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Switches it on, and returns when it is in force.
    async fn on(&self, shadow: &Shadow, mut seen: Snapshot, report: &mut Report) -> Result<Snapshot, Failure> {
        let deadline = self.accept();
        self.driver.progress.say(&format!("{}: {shadow}{}", self.selected.target, self.would()));
        loop {
            self.may_begin(&shadow.revision, &seen)?;
            if self.interrupted.get() {
                return Err(Failure::interrupted(&self.selected.target));
            }
            match self.write(shadow, &seen, deadline).await? {
                Some(accepted) => seen = accepted,
                None => {
                    seen = self.observe_by(deadline).await?;
                    continue;
                }
            }
            break;
        }
        let now = self.in_force(seen, Some(shadow)).await.map_err(|failure| failure.hint(self.off_by_hand()))?;
        report.saw(&now);
        Ok(now)
    }

    /// Switches off what is mirrored to `only`, or to anybody, and returns when that is in force: what there was.
    async fn end(
        &self,
        only: Option<&RevisionId>,
        mut seen: Snapshot,
        report: &mut Report,
    ) -> Result<Option<Shadow>, Failure> {
        let deadline = self.accept();
        loop {
            if seen.roles.shadow.is_none() {
                // What is under way may lead to some, and reads show what was before.
                seen = self.quiet(seen).await;
                if let Readiness::Settling(why) = &seen.readiness {
                    let failure = Failure::conflict(format!("the target is still moving: {why}"));
                    return Err(failure.about(&self.selected.target));
                }
            }
            let Some(shadow) = seen.roles.shadow.clone() else {
                report.saw(&seen);
                return Ok(None);
            };
            // Somebody else's is theirs to end.
            if only.is_some_and(|only| *only != shadow.revision) {
                return Ok(None);
            }
            let none = Shadow { revision: shadow.revision.clone(), share: Weight::ZERO };
            if let Some(accepted) = self.write(&none, &seen, deadline).await? {
                let now = self.in_force(accepted, None).await?;
                report.saw(&now);
                return Ok(Some(shadow));
            }
            seen = self.observe_by(deadline).await?;
        }
    }

    /// Asks for it. `None`: the target was busy or changed, and has to be looked at again.
    async fn write(&self, shadow: &Shadow, seen: &Snapshot, deadline: Deadline) -> Result<Option<Snapshot>, Failure> {
        let Driver { clock, .. } = self.driver;
        let target = &self.selected.target;
        let mirror = clock.by(deadline, self.backend.mirror(target, &shadow.revision, shadow.share, seen)).await;
        let error = match mirror.unwrap_or_else(|_| Err(job::time_is_up())) {
            Ok(accepted) => return Ok(Some(accepted)),
            Err(error) => error,
        };
        // A reply that was lost is told by looking again: what is mirrored so already is not written again.
        let again = matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Unavailable);
        if !again || clock.left(deadline) <= self.backend.poll_interval() {
            let failure = Failure::of(&error, target);
            return Err(if self.has_written() { failure.hint(self.off_by_hand()) } else { failure });
        }
        self.pause(error.message()).await;
        Ok(None)
    }

    /// Waits until what was accepted is in force, and makes sure that it is.
    async fn in_force(&self, accepted: Snapshot, wanted: Option<&Shadow>) -> Result<Snapshot, Failure> {
        if self.driver.limits.no_wait || self.driver.wire.is_rehearsal() {
            return Ok(accepted);
        }
        let said_before = accepted.taken_back.clone();
        let now = self.settled(accepted).await?;
        if now.roles.shadow.as_ref() == wanted {
            return Ok(now);
        }
        if let Some(why) = now.taken_back.as_ref().filter(|why| said_before.as_ref() != Some(*why)) {
            let failure = Failure::usage(format!("it was accepted and then taken back: {why}"));
            let failure = Failure { exit: ExitStatus::Unreachable, kind: "unavailable", ..failure };
            return Err(failure.about(&self.selected.target));
        }
        let found = now.roles.shadow.as_ref().map_or_else(|| "nothing is mirrored".to_owned(), Shadow::to_string);
        let message =
            format!("someone else changed the target: it was accepted, and now {found}; theirs is left alone");
        Err(Failure::conflict(message).about(&self.selected.target))
    }

    async fn settled(&self, accepted: Snapshot) -> Result<Snapshot, Failure> {
        let now = self.quiet(accepted).await;
        let (kind, why) = match &now.readiness {
            Readiness::Live => return Ok(now),
            Readiness::Failed(why) => ("target_failed", why),
            Readiness::Settling(why) => ("unavailable", why),
        };
        let failure = Failure::usage(format!("the change was accepted but is not in force: {why}"));
        let failure = Failure { exit: ExitStatus::Unsafe, kind, ..failure }.about(&self.selected.target);
        Err(match now.nature.remedies.as_slice() {
            ways_out @ [_, ..] if kind == "target_failed" => failure.beyond(why, ways_out),
            [] | [_, ..] => failure,
        })
    }

    /// Looks on until nothing is under way, or the time is up.
    async fn quiet(&self, mut now: Snapshot) -> Snapshot {
        let clock = &self.driver.clock;
        let deadline = clock.deadline(self.settle);
        while let Readiness::Settling(why) = &now.readiness
            && !clock.left(deadline).is_zero()
        {
            self.pause(why).await;
            // An answer that cannot be had now says nothing. The next one may.
            if let Ok(seen) = self.observe_by(deadline).await {
                now = seen;
            }
        }
        now
    }

    /// Does `work` to its end, noting interrupts. `None` when somebody insists.
    async fn heeding<T>(&self, interrupts: &mut Interrupts, work: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Some(done),
                by = interrupts.next() => {
                    if self.interrupted.replace(true) && by.is_insistent() {
                        return None;
                    }
                    self.driver.progress.say("interrupted: finishing what is on its way");
                }
            }
        }
    }

    async fn pause(&self, why: &str) {
        self.driver.progress.waiting(&self.selected.target, why);
        self.driver.clock.sleep(self.backend.poll_interval()).await;
    }

    async fn observe_by(&self, deadline: Deadline) -> Result<Snapshot, Failure> {
        let target: &Target = &self.selected.target;
        let seen = self.driver.clock.by(deadline, self.backend.observe(target)).await;
        seen.unwrap_or_else(|_| Err::<_, Error>(job::time_is_up())).map_err(|e| Failure::of(&e, target))
    }

    fn accept(&self) -> Deadline {
        self.driver.clock.deadline(self.driver.limits.accept)
    }

    fn has_written(&self) -> bool {
        self.driver.wire.writes(&self.selected.target) > 0
    }

    fn would(&self) -> &'static str {
        if self.driver.wire.is_rehearsal() { " (dry run)" } else { "" }
    }

    /// What a run that ends well has done.
    fn outcome(&self) -> Outcome {
        if self.has_written() { Outcome::Shifted } else { Outcome::Unchanged }
    }

    fn off_by_hand(&self) -> String {
        format!("to end mirrored traffic: `mlroll shadow --off --target {}`", self.selected.target)
    }

    /// Somebody did not want to wait for the end.
    fn left_at_once(&self) -> Failure {
        Failure::interrupted(&self.selected.target).hint(self.off_by_hand())
    }
}

fn gone(revision: &RevisionId) -> String {
    format!("{revision} gets no copies any more")
}
