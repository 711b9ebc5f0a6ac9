//! What a rollout is between two steps.

use std::time::Duration;

use mlroll_backend::{Marker, Snapshot, Timestamp, TrafficSplit};
use serde::{Deserialize, Serialize};

use super::bake::Tally;
use super::capacity::{Ending, Reserve};
use super::trouble::Budget;
use super::{Action, Cause, Ended, Input, Pending, Plan, Trouble, Windows};

/// A rollout under way.
///
/// Two splits are acceptable at any time: `confirmed`, the target as it was last seen, and `attempted`, what may have
/// been written since. A rollback that begins while a write is in doubt remembers that one as `overtaken`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    pub(super) plan: Plan,
    pub(super) phase: Phase,
    pub(super) goal: Goal,
    pub(super) stage: Stage,
    pub(super) confirmed: Option<Snapshot>,
    pub(super) attempted: Option<Attempt>,
    pub(super) overtaken: Option<Attempt>,
    /// What was there before a write that landed and is not live yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) settling: Option<Settling>,
    pub(super) tally: Option<Tally>,
    /// Whether this stage has what it needs to be left.
    pub(super) passed: Option<Cause>,
    /// Whether somebody asked to hold.
    pub(super) held: bool,
    pub(super) budget: Budget,
    /// How long the split has not been live, while that is waited for.
    pub(super) unsettled: Option<Duration>,
    /// What the clock said the last time.
    pub(super) clock: Option<Timestamp>,
    /// What it would say if it had never gone back.
    pub(super) latest: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reserve: Option<Reserve>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ending: Option<Ending>,
}

/// How far a rollout is: what the confirmed split belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Nothing is shifted yet; also where a rollback leads.
    Start,
    /// A step of the plan, from 0.
    Step(usize),
    /// The candidate has everything.
    Watch,
}

/// Which action is outstanding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    Ended { ended: Ended, why: Cause },
    Looking,
    Preparing,
    Restoring,
    Sampling(Windows),
    Shifting,
    Sizing,
    Waiting(Wait),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Wait {
    pub(super) until: Timestamp,
    /// How long it is at most; `None` when it is for a moment that the data must reach.
    pub(super) pause: Option<Duration>,
    pub(super) why: Pending,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Goal {
    Back(Cause),
    Forward,
}

/// A write that may have been made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Attempt {
    pub(super) stage: Stage,
    pub(super) to: TrafficSplit,
    pub(super) marker: Marker,
    /// What of the marker the provider can carry.
    pub(super) carried: Option<Marker>,
    /// The provider said yes.
    pub(super) accepted: bool,
    /// Nobody knows whether it took effect, or still will.
    pub(super) in_doubt: bool,
}

/// What comes back when the provider gives up a write that it has taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settling {
    pub(super) before: Snapshot,
    pub(super) stage: Stage,
    /// What else may come back: `before` was never live itself, and may have been given up since it was last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) earlier: Option<Box<Self>>,
}

/// The most that one step may have taken as far as waiting goes: the longest pause that is not the provider's wish.
const LONGEST_STEP: Duration = Duration::from_secs(30);

impl Rollout {
    /// A rollout before its first step.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        Self {
            plan,
            phase: Phase::Looking,
            goal: Goal::Forward,
            stage: Stage::Start,
            confirmed: None,
            attempted: None,
            overtaken: None,
            settling: None,
            tally: None,
            passed: None,
            held: false,
            budget: Budget::default(),
            unsettled: None,
            clock: None,
            latest: None,
            reserve: None,
            ending: None,
        }
    }

    /// Takes what happened, and says what to do.
    ///
    /// The action is to be recorded before it is performed, and performed before the next step, unless a person
    /// asks for something in between.
    pub fn step(&mut self, input: Input, now: Timestamp) -> Action {
        let elapsed = self.clock.map_or(Duration::ZERO, |last| now.since(last));
        self.clock = Some(now);
        self.latest = Some(self.latest.map_or(now, |latest| latest.plus(elapsed)));
        self.let_pass(elapsed, now);
        match (input, &self.phase) {
            // It is decided; what is left is to set back what was made ready for it, whatever anybody asks for. Who takes it up
            // looks first: meanwhile somebody may have decided otherwise.
            (Input::Resume | Input::Started, _) if self.ending.is_some() => self.look(),
            (Input::Resume, _) if self.may_restore() => self.restore_later(),
            (Input::Abort | Input::Hold, _) if self.ending.as_ref().is_some_and(Ending::is_others_doing) => self.look(),
            (Input::Abort | Input::Hold, _) if self.ending.is_some() => self.restoring_again(),
            (Input::Abort, _) => self.abort(),
            (Input::Hold, _) => self.hold(),
            (Input::Resume, _) => self.resume(),
            (_, Phase::Ended { .. }) => self.outstanding(),
            (Input::Observed(seen), Phase::Looking) => self.observed(*seen, now),
            (Input::Unobserved(trouble), Phase::Looking) => self.unobserved(trouble, now),
            (Input::Accepted, Phase::Shifting) => self.accepted(),
            (Input::Refused(trouble), Phase::Shifting) => self.refused(trouble, now),
            (Input::Judged(looks), Phase::Sampling(windows)) => {
                let windows = *windows;
                self.judged(windows, &looks, elapsed)
            }
            (Input::Unjudged { .. }, Phase::Sampling(_)) => self.unjudged(elapsed),
            (Input::TimeReached, Phase::Waiting(wait)) if now >= wait.until => self.time_reached(now),
            (Input::Sized(found), Phase::Sizing) => self.sized(found, now),
            (Input::TooSmall { lack, remedy }, Phase::Shifting) if self.raises().is_some() => {
                self.too_small(Cause::TooSmall { lack, remedy }, now)
            }
            (Input::Unsent, Phase::Shifting) => self.unsent(),
            (Input::Prepared, Phase::Preparing) => self.prepared(),
            (Input::Unprepared(trouble), Phase::Sizing | Phase::Preparing) => self.unprepared(trouble, now),
            (Input::Restored, Phase::Restoring) => self.restored(),
            (Input::Unrestored(trouble), Phase::Restoring) => self.unrestored_for(trouble, now),
            // A new process looks first. A pass is as old as the one before it: what came since must be seen too.
            (Input::Started, _) => {
                self.passed = None;
                self.look()
            }
            // A write whose answer never came may have been made.
            (_, Phase::Shifting) => self.look(),
            (
                _,
                Phase::Looking
                | Phase::Preparing
                | Phase::Restoring
                | Phase::Sampling(_)
                | Phase::Sizing
                | Phase::Waiting(_),
            ) => self.outstanding(),
        }
    }

    /// The plan it follows.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How far it is.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// The split as it was last seen and recognised.
    #[must_use]
    pub fn confirmed(&self) -> Option<&TrafficSplit> {
        self.confirmed.as_ref().and_then(|seen| seen.split.as_ref())
    }

    /// The split that may have been written since.
    #[must_use]
    pub fn attempted(&self) -> Option<&TrafficSplit> {
        self.attempted.as_ref().map(|attempt| &attempt.to)
    }

    /// Whether it is on its way back to stable.
    #[must_use]
    pub fn is_rolling_back(&self) -> bool {
        matches!(self.goal, Goal::Back(_))
    }

    /// Why it goes back, or why the stage it is at may be left; `None` while neither is decided.
    #[must_use]
    pub fn decided(&self) -> Option<&Cause> {
        match &self.goal {
            Goal::Back(why) => Some(why),
            Goal::Forward => self.passed.as_ref(),
        }
    }

    /// How it ended, and why; `None` while it goes on.
    #[must_use]
    pub fn ended(&self) -> Option<(Ended, &Cause)> {
        match &self.phase {
            Phase::Ended { ended, why } => Some((*ended, why)),
            Phase::Looking
            | Phase::Preparing
            | Phase::Restoring
            | Phase::Sampling(_)
            | Phase::Shifting
            | Phase::Sizing
            | Phase::Waiting(_) => None,
        }
    }

    /// How it will end, or has, and why, when it only has capacity to set back.
    #[must_use]
    pub fn ending(&self) -> Option<(Ended, &Cause)> {
        let ending = self.ending.as_ref().map(|ending| (ending.ended, &ending.why));
        ending.or_else(|| self.ended().filter(|_| self.may_restore()))
    }

    /// How many writes have failed since one that did what it should, and the latest of them.
    #[must_use]
    pub fn failed_writes(&self) -> (u32, Option<&Trouble>) {
        (self.budget.writes, self.budget.last.as_ref())
    }

    /// Whether its decision has fallen: it needs no evidence any more.
    #[must_use]
    pub fn is_decided(&self) -> bool {
        self.is_rolling_back() || self.ending.is_some() || self.may_restore()
    }

    /// Whether it goes on, or would if it were resumed.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        match self.ended() {
            None | Some((Ended::Held, _)) => true,
            Some((Ended::Halted, why)) => why.may_pass() || self.may_restore(),
            Some((Ended::Promoted | Ended::RolledBack, _)) => self.may_restore(),
            Some((Ended::Shifted, _)) => false,
        }
    }

    /// Whether a write may have been made that nobody has confirmed, or a rollback is not done.
    #[must_use]
    pub fn is_traffic_in_doubt(&self) -> bool {
        let unconfirmed = self.may_still_land();
        match self.ended() {
            // What was refused by name was looked at afterwards, and cannot happen any more.
            Some((Ended::Halted, Cause::Refused(trouble))) if trouble.is_permanent() => unconfirmed,
            Some((Ended::Halted, why)) => unconfirmed || (self.is_rolling_back() && why.may_pass()),
            Some((Ended::Held, _)) | None => unconfirmed,
            Some((Ended::Promoted | Ended::RolledBack | Ended::Shifted, _)) => false,
        }
    }

    /// Whether a write was sent that was neither refused outright nor seen since.
    #[must_use]
    pub fn may_still_land(&self) -> bool {
        let doubtful = |attempt: &Attempt| attempt.in_doubt || attempt.accepted;
        self.attempted.iter().chain(&self.overtaken).any(doubtful)
    }

    /// The action of this phase, again.
    pub(super) fn outstanding(&mut self) -> Action {
        match &self.phase {
            Phase::Ended { ended, why } => Action::Done { ended: *ended, why: why.clone() },
            Phase::Sampling(windows) => Action::Sample(*windows),
            Phase::Waiting(wait) => Action::Wait { until: wait.until, why: wait.why.clone() },
            Phase::Preparing => self.preparing(),
            Phase::Restoring => self.restoring(),
            Phase::Sizing => self.sizing(),
            Phase::Looking | Phase::Shifting => self.look(),
        }
    }

    /// Reads the target next. A write that was not answered is in doubt from here on.
    pub(super) fn look(&mut self) -> Action {
        if let (Phase::Shifting, Some(attempt)) = (&self.phase, &mut self.attempted) {
            attempt.in_doubt = true;
        }
        self.phase = Phase::Looking;
        Action::Observe
    }

    /// Waits for a while, by whatever clock.
    pub(super) fn pause(&mut self, pause: Duration, why: Pending, now: Timestamp) -> Action {
        self.phase = Phase::Waiting(Wait { until: now.plus(pause), pause: Some(pause), why });
        self.outstanding()
    }

    /// Time has passed; a clock that went back makes no pause longer.
    fn let_pass(&mut self, elapsed: Duration, now: Timestamp) {
        if let Some(unsettled) = &mut self.unsettled {
            // A clock that jumps forward is no waiting: a deadline takes as many looks as it is long.
            *unsettled = unsettled.saturating_add(elapsed.min(LONGEST_STEP));
        }
        if let Phase::Waiting(Wait { until, pause: Some(pause), .. }) = &mut self.phase {
            *until = (*until).min(now.plus(*pause));
        }
    }

    fn time_reached(&mut self, now: Timestamp) -> Action {
        match &self.phase {
            Phase::Waiting(Wait { why: Pending::Data { .. } | Pending::Metrics, .. }) => self.sample(now),
            Phase::Waiting(_)
            | Phase::Ended { .. }
            | Phase::Looking
            | Phase::Preparing
            | Phase::Restoring
            | Phase::Sampling(_)
            | Phase::Shifting
            | Phase::Sizing => self.look(),
        }
    }

    fn abort(&mut self) -> Action {
        if !self.is_unfinished() || self.may_restore() {
            return self.outstanding();
        }
        if let (Phase::Shifting, Some(attempt)) = (&self.phase, &mut self.attempted) {
            attempt.in_doubt = true;
        }
        self.turn_back(Cause::Aborted);
        self.budget = Budget::default();
        self.look()
    }

    fn hold(&mut self) -> Action {
        if self.ended().is_some() {
            return self.outstanding();
        }
        if self.is_rolling_back() {
            // Nobody wants to stop half way back; but a write is never sent twice for being asked about.
            return self.outstanding();
        }
        self.held = true;
        match self.phase {
            Phase::Sampling(_) | Phase::Waiting(_) if self.attempted.is_none() && self.tally.is_some() => {
                self.end(Ended::Held, Cause::Paused)
            }
            Phase::Ended { .. }
            | Phase::Looking
            | Phase::Preparing
            | Phase::Restoring
            | Phase::Sampling(_)
            | Phase::Shifting
            | Phase::Sizing
            | Phase::Waiting(_) => self.look(),
        }
    }

    fn resume(&mut self) -> Action {
        if !self.is_unfinished() {
            return self.outstanding();
        }
        if let Phase::Ended {
            why: Cause::Inconclusive | Cause::NoData | Cause::TooSmall { .. } | Cause::Undecided,
            ..
        } = &self.phase
        {
            // The next bake is a new one: it takes a person to have another.
            if let Some(tally) = &mut self.tally {
                tally.renew();
            }
        }
        self.held = false;
        self.passed = None;
        self.unsettled = None;
        self.budget = Budget::default();
        self.look()
    }
}
