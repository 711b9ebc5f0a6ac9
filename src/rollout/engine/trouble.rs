//! What is tried again, and how often.

use std::time::Duration;

use mlroll_backend::{ErrorKind, Readiness, Timestamp};
use serde::{Deserialize, Serialize};

use super::capacity::Ending;
use super::state::Goal;
use super::{Action, Cause, Ended, Pending, Rollout, Trouble};

/// How long the provider is left alone before it is asked again; the last for every further time.
const PAUSES: [u64; 6] = [1, 2, 4, 8, 15, 30];

/// The longest that the provider is left alone because it asks for it: whatever it says, users of a bad candidate wait too.
const LONGEST: Duration = Duration::from_secs(120);

/// Requests that failed since the last one of their kind that did what it should.
///
/// Reads and writes are counted apart: a good read says nothing about writes, and would refill their budget for ever.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Budget {
    pub(super) reads: u32,
    pub(super) writes: u32,
    pub(super) last: Option<Trouble>,
}

impl Rollout {
    /// The target could not be read.
    pub(super) fn unobserved(&mut self, trouble: Trouble, now: Timestamp) -> Action {
        self.budget.reads = self.budget.reads.saturating_add(1);
        let limit = match (&self.goal, trouble.is_permanent()) {
            (_, true) => 3,
            (Goal::Forward, false) => 10,
            (Goal::Back(_), false) => 20,
        };
        if self.budget.reads >= limit {
            if self.ending.as_ref().is_some_and(Ending::is_others_doing) {
                // Nothing was tried yet: whatever it was, a later process may.
                return self.leave(Trouble { kind: ErrorKind::Unavailable, ..trouble });
            }
            return self.end(Ended::Halted, Cause::Unreachable(trouble));
        }
        self.pause(pause_after(self.budget.reads).max(asked_for(&trouble)), Pending::Provider, now)
    }

    pub(super) fn accepted(&mut self) -> Action {
        if let Some(attempt) = &mut self.attempted {
            attempt.accepted = true;
        }
        self.phase = super::state::Phase::Looking;
        Action::Observe
    }

    /// The shift was answered by an error.
    pub(super) fn refused(&mut self, trouble: Trouble, now: Timestamp) -> Action {
        self.budget.writes = self.budget.writes.saturating_add(1);
        if let Some(attempt) = &mut self.attempted {
            attempt.in_doubt |= !trouble.is_outright();
        }
        let asked = asked_for(&trouble);
        self.budget.last = Some(trouble);
        self.phase = super::state::Phase::Looking;
        // The first time a look tells most, and at once; later the provider is given time.
        if self.budget.writes == 1 && asked.is_zero() {
            Action::Observe
        } else {
            self.pause(pause_after(self.budget.writes).max(asked), Pending::Provider, now)
        }
    }

    /// The provider took a shift, and gave it up: on the way back, and where the target is none the worse for it, it is written
    /// again, and each time later.
    pub(super) fn write_came_to_nothing(&mut self, why: String, now: Timestamp) -> Action {
        self.budget.writes = self.budget.writes.saturating_add(1);
        self.budget.last = Some(Trouble { kind: ErrorKind::Unavailable, message: why, sent: 1, wait: None });
        let failed = self.confirmed.as_ref().is_some_and(|seen| matches!(seen.readiness, Readiness::Failed(_)));
        if (self.is_rolling_back() || !failed) && self.budget.writes > 1 {
            return self.pause(pause_after(self.budget.writes), Pending::Provider, now);
        }
        self.proceed(now)
    }

    /// The error that leaves no further write, if the budget is spent.
    pub(super) fn spent(&self) -> Option<Trouble> {
        let last = self.budget.last.as_ref().filter(|_| self.budget.writes > 0)?;
        let limit = match (&self.goal, last.is_permanent()) {
            (Goal::Forward, true) => 1,
            (Goal::Forward, false) => 6,
            (Goal::Back(_), true) => 3,
            (Goal::Back(_), false) => 20,
        };
        (self.budget.writes >= limit).then(|| last.clone())
    }
}

/// How long the provider asked to be left alone, as far as that is granted.
fn asked_for(trouble: &Trouble) -> Duration {
    trouble.wait.unwrap_or_default().min(LONGEST)
}

pub(super) fn pause_after(failures: u32) -> Duration {
    let nth = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
    Duration::from_secs(PAUSES.get(nth).or(PAUSES.last()).copied().unwrap_or(1))
}
