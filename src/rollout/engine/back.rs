//! On the way back to stable.

use mlroll_backend::{Readiness, Timestamp};

use super::state::{Attempt, Goal};
use super::{Action, Cause, Ended, Rollout, Stage};

impl Rollout {
    /// Goes back from a target that was just seen and recognised.
    pub(super) fn go_back(&mut self, now: Timestamp) -> Action {
        let (Some(seen), Goal::Back(cause)) = (&self.confirmed, &self.goal) else {
            return self.look();
        };
        let cause = cause.clone();
        let at_stable = seen.split.as_ref() == Some(&self.plan.split(Stage::Start));
        let overtaken = self.overtaken.as_ref().is_some_and(|a| a.in_doubt || a.accepted);
        let tried = self.attempted.as_ref().is_some_and(|a| a.in_doubt || a.accepted);
        // A write in doubt may still arrive. Where it was not seen, one of our own takes its guard away.
        let returned = at_stable && (self.stage == Stage::Start && !overtaken && !tried);
        if returned {
            return match seen.readiness.clone() {
                Readiness::Failed(why) => self.end(Ended::Halted, Cause::TargetFailed { why }),
                Readiness::Live => self.end(Ended::RolledBack, cause),
                Readiness::Settling(why) => self.wait_until_live(why, now),
            };
        }
        if self.stage == Stage::Start && !overtaken && !tried && self.attempted.is_none() {
            // Nothing of this was written by us: whatever is there was there before.
            return self.end(Ended::Halted, cause);
        }
        if self.attempted.as_ref().is_some_and(|attempt: &Attempt| attempt.accepted) {
            if at_stable && !overtaken {
                // It was written anew for its note, and that is not taken.
                self.stage = Stage::Start;
                self.attempted = None;
                return self.go_back(now);
            }
            return self.wait_until_live("it is accepted and not yet to be seen".to_owned(), now);
        }
        if let Some(trouble) = self.spent() {
            return self.end(Ended::Halted, Cause::Refused(trouble));
        }
        match seen.readiness.clone() {
            Readiness::Settling(why) if !self.plan.terms().overtakes => self.wait_until_live(why, now),
            Readiness::Settling(_) | Readiness::Failed(_) | Readiness::Live => self.shift_to(Stage::Start, now),
        }
    }
}
