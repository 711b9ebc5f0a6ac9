//! A run that is only imagined: the engine takes its steps in no time, the target is as it was read once, and every write is
//! made by the provider's own adapter and stops at the wire.

use std::time::Duration;

use mlroll_backend::{
    Backend, Call, Capacity, Marker, Nature, Readiness, RevisionId, Roles, Snapshot, Target, Timestamp, TrafficSplit,
    embed,
};

use super::Driver;
use crate::failure::Failure;
use crate::rollout::engine::{Action, Cause, Ended, Input, Kind, Look, Plan, Rollout, Stage, Verdict, Windows};

/// More actions than any plan takes: the engine ends long before.
const MOST_ACTIONS: usize = 1_000_000;

/// How the imagined looks go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// Every look fails.
    Fails,
    /// Every look passes.
    Passes,
    /// No look shows anything, but for the last of each step, which passes.
    PassesAtLast,
}

/// What an imagined run did.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// Its shifts, in their order.
    pub legs: Vec<Leg>,
    /// How it ended.
    pub ended: Ended,
    /// Why.
    pub why: Cause,
    /// What is done about the candidate's capacity; `None` when nothing is.
    pub resized: Option<Resized>,
    /// From its beginning to its end, when nothing takes time but waiting for data.
    pub lasts: Duration,
    /// How often the target is looked at, when each split is live at once.
    pub observed: u32,
}

/// What an imagined run does about capacity.
#[derive(Clone, Debug, Default)]
pub struct Resized {
    /// What changes, a line each; none when the candidate has enough.
    pub changes: Vec<String>,
    /// The reads that find it out.
    pub reads: Vec<Call>,
    /// The calls that make it so.
    pub prepare: Vec<Call>,
}

/// A shift of an imagined run, and what follows until the next.
#[derive(Clone, Debug)]
pub struct Leg {
    /// What is asked for.
    pub to: TrafficSplit,
    /// What the adapter asked the control plane for, or would have: its reads and its writes, in order.
    pub calls: Vec<Call>,
    /// Until the next shift, or the end.
    pub lasts: Duration,
    /// Looks that are judged meanwhile.
    pub looks: u32,
}

/// A run to be imagined.
#[derive(Debug)]
pub struct Imagined<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The target.
    pub target: &'a Target,
    /// The target as it is.
    pub seen: &'a Snapshot,
    /// Who makes the calls; nobody where they are known already.
    pub backend: Option<&'a dyn Backend>,
}

impl Imagined<'_> {
    /// Takes all steps of the run.
    ///
    /// A shift is rehearsed as a write to the target as it is: it says what shall be, so only what guards it (the provider's
    /// token, the time in the marker) differs in the run.
    ///
    /// # Errors
    /// A shift cannot be made, such as a split that the provider cannot hold, or a read fails.
    pub async fn take(&self, driver: &Driver<'_>, course: Course) -> Result<Rehearsal, Failure> {
        let begun = driver.clock.now();
        let (mut now, mut since) = (begun, begun);
        let mut rollout = Rollout::new(self.plan.clone());
        let mut shown = self.seen.clone();
        let mut legs: Vec<Leg> = Vec::new();
        let (mut judged, mut observed, mut sized) = (0u32, 0u32, None);
        let mut input = Input::Started;
        for _ in 0..MOST_ACTIONS {
            input = match rollout.step(input, now) {
                Action::Done { ended, why } => {
                    if let Some(last) = legs.last_mut() {
                        last.lasts = now.since(since);
                    }
                    return Ok(Rehearsal { legs, ended, why, resized: sized, lasts: now.since(begun), observed });
                }
                Action::Observe => {
                    observed = observed.saturating_add(1);
                    Input::Observed(Box::new(shown.clone()))
                }
                Action::Shift { to, marker, .. } => {
                    if let Some(last) = legs.last_mut() {
                        last.lasts = now.since(since);
                    }
                    (since, judged) = (now, 0);
                    let mut calls = self.outgrown(driver, &rollout).await;
                    calls.extend(self.shift(driver, &to, &marker).await?);
                    shown = self.after(&to, &marker);
                    legs.push(Leg { to, calls, lasts: Duration::ZERO, looks: 0 });
                    Input::Accepted
                }
                Action::Prepare(capacity) => {
                    sized.get_or_insert_default().prepare = self.prepare(driver, &capacity).await?;
                    Input::Prepared
                }
                // Nothing was changed, so there is nothing to be set back.
                Action::Restore { .. } => Input::Restored,
                Action::Size { stable, candidate } => {
                    let (found, reads) = self.size(driver, &stable, &candidate).await?;
                    let changes = found.as_ref().map(|found| found.changes.clone()).unwrap_or_default();
                    sized = Some(Resized { changes, reads, ..Resized::default() });
                    Input::Sized(found)
                }
                Action::Sample(windows) => {
                    let looks = self.looks(windows, course, judged);
                    judged = judged.saturating_add(windows.count);
                    if let Some(leg) = legs.last_mut() {
                        leg.looks = judged;
                    }
                    Input::Judged(looks)
                }
                Action::Wait { until, .. } => {
                    now = until;
                    Input::TimeReached
                }
            };
        }
        Err(Failure::usage("the plan takes too many looks to be foreseen")
            .about(self.target)
            .hint("longer looks, or a shorter bake"))
    }

    /// What the candidate lacks, and the reads that tell it.
    async fn size(
        &self,
        driver: &Driver<'_>,
        stable: &RevisionId,
        candidate: &RevisionId,
    ) -> Result<(Option<Capacity>, Vec<Call>), Failure> {
        let Some(backend) = self.backend else {
            return Ok((None, Vec::new()));
        };
        let already = driver.wire.calls().len();
        let lasting = self.plan.terms().kind.may_leave_capacity();
        let found = super::sizing::capacity_of(backend, self.target, stable, candidate, lasting);
        let found = driver.clock.by(driver.clock.deadline(driver.limits.accept), found).await;
        let found = found.unwrap_or_else(|_| Err(super::job::time_is_up()));
        Ok((found.map_err(|e| Failure::of(&e, self.target))?, driver.wire.calls().split_off(already)))
    }

    async fn prepare(&self, driver: &Driver<'_>, capacity: &Capacity) -> Result<Vec<Call>, Failure> {
        let Some(backend) = self.backend else {
            return Ok(Vec::new());
        };
        let already = driver.wire.calls().len();
        let deadline = driver.clock.deadline(driver.limits.accept);
        let pace = driver.patience(backend, self.target, deadline);
        let work = backend.prepare(self.target, capacity, &pace);
        let done = driver.clock.by(deadline, work).await.unwrap_or_else(|_| Err(super::job::time_is_up()));
        driver.wire.breach()?;
        done.map_err(|e| Failure::of(&e, self.target))?;
        Ok(driver.wire.calls().split_off(already))
    }

    /// The reads that tell before a later step whether the candidate still is large enough. What they say now is about a candidate
    /// that was not made ready.
    async fn outgrown(&self, driver: &Driver<'_>, rollout: &Rollout) -> Vec<Call> {
        let (Some(backend), Some(share)) = (self.backend, rollout.raises()) else {
            return Vec::new();
        };
        let already = driver.wire.calls().len();
        let terms = self.plan.terms();
        let asked = backend.outgrown(self.target, &terms.stable, &terms.candidate, share, rollout.reserved());
        let _ = driver.clock.by(driver.clock.deadline(driver.limits.accept), asked).await;
        driver.wire.calls().split_off(already)
    }

    async fn shift(&self, driver: &Driver<'_>, to: &TrafficSplit, marker: &Marker) -> Result<Vec<Call>, Failure> {
        let Some(backend) = self.backend else {
            return Ok(Vec::new());
        };
        let already = driver.wire.calls().len();
        let shift = backend.shift(self.target, to, self.seen, marker);
        let shifted = driver.clock.by(driver.clock.deadline(driver.limits.accept), shift).await;
        let shifted = shifted.unwrap_or_else(|_| Err(super::job::time_is_up()));
        driver.wire.breach()?;
        shifted.map_err(|e| Failure::of(&e, self.target))?;
        Ok(driver.wire.calls().split_off(already))
    }

    /// The target as it will be shown.
    fn after(&self, to: &TrafficSplit, marker: &Marker) -> Snapshot {
        let guard = self.seen.guard.clone();
        let marker = embed(&guard.own_text, marker, self.plan.terms().note_limit).marker;
        let roles = Roles::of(to, marker.as_ref(), None);
        Snapshot {
            split: Some(to.clone()),
            roles,
            marker,
            guard,
            readiness: Readiness::Live,
            modified: None,
            taken_back: None,
            contents: None,
            replaced: None,
            nature: Nature::default(),
        }
    }

    fn looks(&self, windows: Windows, course: Course, before: u32) -> Vec<Look> {
        let of = match windows.stage {
            Stage::Start | Stage::Step(_) => self.plan.bake_looks(),
            Stage::Watch => self.plan.watch_looks(),
        };
        let pass = match self.plan.terms().kind {
            Kind::Experiment => Verdict::Better,
            Kind::Canary | Kind::Rollout => Verdict::Pass,
        };
        let verdict = |n: u32| match course {
            Course::Fails => Verdict::Fail,
            Course::Passes => pass,
            Course::PassesAtLast if before.saturating_add(n) >= of => pass,
            Course::PassesAtLast => Verdict::Inconclusive,
        };
        let ends = |n: u32| -> Timestamp { windows.from.plus(windows.length.saturating_mul(n)) };
        (1..=windows.count).map(|n| Look { ends: ends(n), verdict: verdict(n) }).collect()
    }
}
