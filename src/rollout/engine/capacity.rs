//! Capacity: a candidate can carry what stable carries before it gets its first share, and gives it back when the rollout
//! has ended.
//!
//! What was found is part of the record before anything is changed, so that a process that takes over knows what to undo.

use std::time::Duration;

use mlroll_backend::{Capacity, ErrorKind, Readiness, RevisionId, Snapshot, Timestamp, TrafficSplit, Weight};
use serde::{Deserialize, Serialize};

use super::forward::SETTLING;
use super::state::{Goal, Phase};
use super::trouble::{Budget, pause_after};
use super::{Action, Cause, Ended, Pending, Rollout, Stage, Trouble};

/// How often capacity is set back at most: traffic is where it should be, and somebody waits to hear it.
const MOST_RESTORES: u32 = 3;

/// What is known of the candidate's capacity; nothing before it was asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reserve {
    /// The candidate has what it needs.
    Enough,
    /// It was found, and may have been changed in part.
    Found(Capacity),
    /// It could not be set back.
    Left(Capacity, Trouble),
    /// It is in effect.
    Ready(Capacity),
}

/// An end that waits until the capacity is set back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Ending {
    pub(super) ended: Ended,
    pub(super) why: Cause,
    /// Who was seen to have everything last, where that is not for the rollout to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) theirs: Option<RevisionId>,
}

impl Ending {
    fn new(ended: Ended, why: Cause) -> Self {
        Self { ended, why, theirs: None }
    }

    /// Whether somebody else's change ended it: then capacity goes by who is seen to have everything, and stays while nobody is.
    pub(super) fn is_others_doing(&self) -> bool {
        is_others_doing(self.ended, &self.why)
    }
}

/// Whether it was given up for good, and traffic is where others want it.
fn is_others_doing(ended: Ended, why: &Cause) -> bool {
    match ended {
        Ended::Halted => !why.may_pass(),
        Ended::Held | Ended::Promoted | Ended::RolledBack | Ended::Shifted => false,
    }
}

impl Rollout {
    /// What the candidate's capacity became, as long as it is not set back.
    #[must_use]
    pub fn reserved(&self) -> Option<&Capacity> {
        match self.reserve.as_ref()? {
            Reserve::Enough => None,
            Reserve::Found(capacity) | Reserve::Left(capacity, _) | Reserve::Ready(capacity) => Some(capacity),
        }
    }

    /// The same, where it can still be set back: what the provider refused for what it is cannot.
    #[must_use]
    pub fn restorable(&self) -> Option<&Capacity> {
        self.reserved().filter(|_| self.unrestored().is_none_or(Trouble::may_be_mended))
    }

    /// Whether it has ended for good but for capacity, which was not set back then and perhaps can be by now. What may stay with a
    /// candidate stays where somebody else left a split.
    pub(super) fn may_restore(&self) -> bool {
        let Phase::Ended { ended, why } = &self.phase else { return false };
        let may_stay = self.plan.terms().kind.may_leave_capacity();
        match self.reserve {
            None | Some(Reserve::Enough) => false,
            Some(Reserve::Found(_) | Reserve::Ready(_)) => is_others_doing(*ended, why) && !may_stay,
            Some(Reserve::Left(_, ref trouble)) => {
                let lasts = matches!(ended, Ended::Promoted | Ended::RolledBack) || is_others_doing(*ended, why);
                lasts && trouble.may_be_mended()
            }
        }
    }

    /// Whether somebody else's change ended it, and all that it can still do is to set capacity back.
    #[must_use]
    pub fn only_restores(&self) -> bool {
        self.ending().is_some_and(|(ended, why)| is_others_doing(ended, why))
    }

    /// Why the capacity could not be set back, where it could not.
    #[must_use]
    pub fn unrestored(&self) -> Option<&Trouble> {
        match self.reserve.as_ref()? {
            Reserve::Left(_, why) => Some(why),
            Reserve::Enough | Reserve::Found(_) | Reserve::Ready(_) => None,
        }
    }

    /// What is to be done about capacity before the first share, from a target that was just seen; `None` when nothing is.
    ///
    /// Where a split is there already nothing is: providers take no change of capacity under one.
    pub(super) fn reserve(&mut self) -> Option<Action> {
        let terms = self.plan.terms();
        let alone = self.confirmed().is_some_and(|split| split.is_full(&terms.stable));
        if !terms.capacity || !alone {
            return None;
        }
        self.phase = match &self.reserve {
            None => Phase::Sizing,
            Some(Reserve::Found(_) | Reserve::Left(..)) => Phase::Preparing,
            Some(Reserve::Enough | Reserve::Ready(_)) => return None,
        };
        Some(self.outstanding())
    }

    /// The actions of this file's phases, again.
    pub(super) fn sizing(&self) -> Action {
        let terms = self.plan.terms();
        Action::Size { stable: terms.stable.clone(), candidate: terms.candidate.clone() }
    }

    pub(super) fn preparing(&mut self) -> Action {
        match self.reserved().cloned() {
            Some(capacity) => Action::Prepare(capacity),
            None => self.look(),
        }
    }

    pub(super) fn restoring(&mut self) -> Action {
        match (self.reserved().cloned(), self.ending.clone()) {
            (Some(capacity), Some(Ending { theirs: Some(keeps), .. })) => Action::Restore { capacity, keeps },
            (Some(_), Some(ending)) if ending.is_others_doing() => self.look(),
            (Some(capacity), Some(ending)) => Action::Restore { capacity, keeps: self.keeps(ending.ended) },
            (None, Some(Ending { ended, why, .. })) => self.conclude(ended, why),
            (_, None) => self.look(),
        }
    }

    /// Sets back what an earlier try may not have.
    pub(super) fn restoring_again(&mut self) -> Action {
        self.phase = Phase::Restoring;
        self.outstanding()
    }

    /// Sets back what could not be when it ended, for as long as it is still the end.
    pub(super) fn restore_later(&mut self) -> Action {
        if let Phase::Ended { ended, why } = &self.phase {
            self.ending = Some(Ending::new(*ended, why.clone()));
            self.budget = Budget::default();
            self.unsettled = None;
            if is_others_doing(*ended, why) {
                // Its writes have long ended, and whoever asks looks at what is there.
                (self.attempted, self.overtaken) = (None, None);
            }
        }
        self.look()
    }

    /// Goes on setting capacity back, where whoever was to keep everything still has it. Otherwise it may be needed where
    /// it is: it is left, and told.
    pub(super) fn still_ending(&mut self, seen: &Snapshot, now: Timestamp) -> Action {
        if let Some(ending) = self.ending.clone().filter(Ending::is_others_doing) {
            return self.restore_by(ending.why, seen, now);
        }
        let keeps = self.ending.as_ref().map(|ending| self.keeps(ending.ended));
        if let (Some(keeps), Some(split)) = (keeps, &seen.split)
            && split.is_full(&keeps)
        {
            return self.restoring_again();
        }
        if self.is_rolled_back(seen) {
            self.ending = Some(Ending::new(Ended::RolledBack, Cause::RolledBackElsewhere));
            return self.restoring_again();
        }
        let why = self.interference(seen);
        if self.plan.terms().restores_when_halted {
            return self.restore_by(why, seen, now);
        }
        self.conclude(Ended::Halted, why)
    }

    /// Halts for `why`, after capacity is set back from a target that somebody else changed and that was just seen: once its split
    /// is live, and where one revision has everything, which keeps what it needs for that. Otherwise it is left where it is.
    pub(super) fn restore_by(&mut self, why: Cause, seen: &Snapshot, now: Timestamp) -> Action {
        let sole = seen.split.as_ref().and_then(TrafficSplit::sole).cloned();
        if self.ending.as_ref().is_none_or(|ending| !ending.is_others_doing()) {
            self.unsettled = None;
            self.budget.writes = 0;
        }
        self.ending = Some(Ending { theirs: sole.clone(), ..Ending::new(Ended::Halted, why) });
        if let Readiness::Settling(why) = &seen.readiness {
            let waited = *self.unsettled.get_or_insert(Duration::ZERO);
            if waited < self.plan.terms().settle_timeout {
                return self.pause(SETTLING, Pending::Settling { why: why.clone() }, now);
            }
            let message = format!("the target does not settle: {why}");
            return self.leave(Trouble { kind: ErrorKind::Unavailable, message, sent: 0, wait: None });
        }
        self.unsettled = None;
        self.forget_superseded(seen);
        match sole {
            Some(_) => self.restoring_again(),
            None => {
                let why = self.interference(seen);
                self.conclude(Ended::Halted, why)
            }
        }
    }

    /// Leaves capacity as it is, for a later process.
    pub(super) fn leave(&mut self, trouble: Trouble) -> Action {
        let Some(Ending { ended, why, .. }) = self.ending.clone() else { return self.look() };
        self.reserve = self.reserved().cloned().map(|capacity| Reserve::Left(capacity, trouble));
        self.conclude(ended, why)
    }

    fn interference(&self, seen: &Snapshot) -> Cause {
        let expected = self.confirmed().map_or_else(|| "no traffic to anybody".to_owned(), ToString::to_string);
        Cause::Interference { expected, found: seen.to_string() }
    }

    pub(super) fn sized(&mut self, found: Option<Capacity>, now: Timestamp) -> Action {
        self.budget.writes = 0;
        self.reserve = Some(found.map_or(Reserve::Enough, Reserve::Found));
        self.go_on(now)
    }

    /// What was prepared has moved the target: it is seen anew.
    pub(super) fn prepared(&mut self) -> Action {
        self.budget.writes = 0;
        self.reserve = self.reserved().cloned().map(Reserve::Ready);
        self.look()
    }

    /// The capacity could not be told, or not be had: a candidate that cannot carry its share gets none. Both spend the budget of
    /// writes, which the good reads in between do not refill.
    pub(super) fn unprepared(&mut self, trouble: Trouble, now: Timestamp) -> Action {
        self.budget.writes = self.budget.writes.saturating_add(1);
        self.budget.last = Some(trouble);
        match self.spent() {
            Some(trouble) => self.end(Ended::Halted, Cause::Unprepared(trouble)),
            None => self.pause(pause_after(self.budget.writes), Pending::Provider, now),
        }
    }

    /// Ends, after the capacity is set back where the end is one that lasts.
    pub(super) fn end(&mut self, ended: Ended, why: Cause) -> Action {
        let lasts = match ended {
            Ended::Promoted | Ended::RolledBack => true,
            Ended::Halted => matches!(why, Cause::Unprepared(_)),
            Ended::Held | Ended::Shifted => false,
        };
        if !lasts || self.reserved().is_none() {
            return self.conclude(ended, why);
        }
        self.ending = Some(Ending::new(ended, why));
        self.budget.writes = 0;
        self.phase = Phase::Restoring;
        self.outstanding()
    }

    /// The share that the outstanding shift gives to a candidate with users, where capacity is the rollout's business: only what stable
    /// carries by now tells whether it can carry that.
    #[must_use]
    pub fn raises(&self) -> Option<Weight> {
        let terms = self.plan.terms();
        let attempt = self.attempted.as_ref().filter(|attempt| !attempt.accepted)?;
        let ahead = matches!(self.stage, Stage::Step(_)) && self.goal == Goal::Forward;
        (terms.capacity && ahead && self.phase == Phase::Shifting).then(|| attempt.to.weight_of(&terms.candidate))
    }

    /// The shift was not sent. The candidate stays where it is, and is judged on for as long as its bake goes: autoscaling or
    /// somebody may make it larger meanwhile. A change of a count blocks weights, the way back too, so it is not made from here.
    pub(super) fn too_small(&mut self, why: Cause, now: Timestamp) -> Action {
        self.passed = None;
        if self.attempted.as_ref().is_some_and(|attempt| attempt.in_doubt) {
            // An earlier process may have sent it, and it may still take effect.
            return self.end(Ended::Held, why);
        }
        self.attempted = None;
        match self.is_bake_over() {
            true => self.end(Ended::Held, why),
            false => self.bake(now),
        }
    }

    /// Somebody spoke before the shift was sent: as if it had never been decided on.
    pub(super) fn unsent(&mut self) -> Action {
        self.attempted = self.attempted.take().filter(|attempt| attempt.in_doubt);
        self.look()
    }

    pub(super) fn restored(&mut self) -> Action {
        self.reserve = None;
        self.restoring()
    }

    /// The capacity could not be set back. That changes nothing about the traffic, and the end.
    pub(super) fn unrestored_for(&mut self, trouble: Trouble, now: Timestamp) -> Action {
        self.budget.writes = self.budget.writes.saturating_add(1);
        let spent = trouble.is_permanent() || self.budget.writes >= MOST_RESTORES;
        match (spent, self.ending.is_some() && self.reserved().is_some()) {
            (true, true) => self.leave(trouble),
            _ => self.pause(pause_after(self.budget.writes), Pending::Provider, now),
        }
    }

    fn conclude(&mut self, ended: Ended, why: Cause) -> Action {
        self.ending = None;
        self.phase = Phase::Ended { ended, why };
        self.outstanding()
    }

    fn keeps(&self, ended: Ended) -> RevisionId {
        let terms = self.plan.terms();
        match (ended, &self.goal) {
            (Ended::Promoted, Goal::Forward) => terms.candidate.clone(),
            (_, Goal::Back(_) | Goal::Forward) => terms.stable.clone(),
        }
    }
}
