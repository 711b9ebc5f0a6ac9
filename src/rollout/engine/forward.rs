//! On the way to the promotion.

use std::time::Duration;

use mlroll_backend::{Readiness, Timestamp, embed};

use super::state::{Attempt, Goal, Phase};
use super::{Action, Cause, Ended, Kind, Pending, Reaction, Rollout, Stage};

/// How often a split that is not yet live is looked at.
pub(super) const SETTLING: Duration = Duration::from_secs(5);

impl Rollout {
    /// Goes on from a target that was just seen and recognised.
    pub(super) fn go_on(&mut self, now: Timestamp) -> Action {
        let Some(readiness) = self.confirmed.as_ref().map(|seen| seen.readiness.clone()) else {
            return self.look();
        };
        // In mid-bake a target may move, as with its capacity; only a write waits for that.
        let must_be_live = self.tally.is_none() || self.passed.is_some() || self.attempted.is_some();
        match readiness {
            Readiness::Failed(why) if self.stage == Stage::Start => {
                return self.end(Ended::Halted, Cause::TargetFailed { why });
            }
            Readiness::Failed(why) => return self.react(self.plan.terms().on_fail, Cause::TargetFailed { why }, now),
            Readiness::Settling(why) if must_be_live => return self.wait_until_live(why, now),
            Readiness::Settling(_) | Readiness::Live => {}
        }
        if self.attempted.as_ref().is_some_and(|attempt| attempt.accepted) {
            // Said yes to, and not to be seen: a read that lags.
            return self.wait_until_live("it is accepted and not yet to be seen".to_owned(), now);
        }
        self.unsettled = None;
        if self.held {
            return self.end(Ended::Held, Cause::Paused);
        }
        if let Some(trouble) = self.spent() {
            return self.end(Ended::Halted, Cause::Refused(trouble));
        }
        if let Some(attempt) = &self.attempted {
            return self.shift_to(attempt.stage, now);
        }
        match (self.stage, self.passed.clone()) {
            (Stage::Start, _) => self.advance(now),
            (_, None) => self.bake(now),
            (Stage::Watch, Some(why)) => self.end(Ended::Promoted, why),
            (Stage::Step(_), Some(why)) => match self.plan.terms().kind {
                Kind::Canary | Kind::Experiment => self.end(Ended::Shifted, why),
                Kind::Rollout => self.advance(now),
            },
        }
    }

    /// Shifts to what comes next.
    fn advance(&mut self, now: Timestamp) -> Action {
        if self.stage == Stage::Start
            && let Some(action) = self.reserve()
        {
            return action;
        }
        match self.plan.after(self.stage) {
            Some(next) => self.shift_to(next, now),
            None => self.end(Ended::Shifted, Cause::Passed),
        }
    }

    /// Does what the plan says about a candidate that is not good, whose target was just seen.
    pub(super) fn react(&mut self, reaction: Reaction, why: Cause, now: Timestamp) -> Action {
        match reaction {
            Reaction::Hold => self.end(Ended::Held, why),
            Reaction::Rollback => {
                self.turn_back(why);
                self.go_back(now)
            }
        }
    }

    /// From here on there is only the way back.
    pub(super) fn turn_back(&mut self, why: Cause) {
        if self.is_rolling_back() {
            return;
        }
        self.goal = Goal::Back(why);
        self.overtaken = self.attempted.take().filter(|attempt| attempt.in_doubt || attempt.accepted);
        self.budget.writes = 0;
        self.unsettled = None;
        self.held = false;
        self.passed = None;
    }

    /// Waits for the split to go live, as long as the plan says.
    pub(super) fn wait_until_live(&mut self, why: String, now: Timestamp) -> Action {
        let waited = *self.unsettled.get_or_insert(Duration::ZERO);
        if waited < self.plan.terms().settle_timeout {
            return self.pause(SETTLING, Pending::Settling { why }, now);
        }
        let ours = self.stage != Stage::Start || self.attempted.is_some();
        let cause = Cause::Unsettled { why };
        if self.goal == Goal::Forward && ours && self.plan.terms().overtakes {
            self.turn_back(cause);
            return self.go_back(now);
        }
        self.end(Ended::Halted, cause)
    }

    /// Writes the split of `stage`, if the target still is as it was seen.
    pub(super) fn shift_to(&mut self, stage: Stage, now: Timestamp) -> Action {
        let Some(seen) = self.confirmed.clone() else {
            return self.look();
        };
        // A write that is repeated is the same write, down to its marker: whichever of them landed is recognised.
        let earlier = self.attempted.take().filter(|attempt| attempt.stage == stage);
        let (marker, in_doubt) = match earlier {
            Some(earlier) => (earlier.marker, earlier.in_doubt),
            None => (self.plan.marker(stage, self.stage, now), false),
        };
        let carried = embed(&seen.guard.own_text, &marker, self.plan.terms().note_limit).marker;
        let to = self.plan.split(stage);
        let action = Action::Shift { to: to.clone(), marker: marker.clone(), seen: Box::new(seen) };
        self.attempted = Some(Attempt { stage, to, marker, carried, accepted: false, in_doubt });
        self.phase = Phase::Shifting;
        action
    }
}
