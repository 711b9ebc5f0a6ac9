//! What the engine is told, one at a time.

use std::fmt;
use std::time::Duration;

use mlroll_backend::{Capacity, ErrorKind, Snapshot, Timestamp};
use serde::{Deserialize, Serialize};

/// One thing that happened. An answer to anything but the last action is passed over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// Roll back: a person or a signal wants the candidate gone.
    Abort,
    /// The provider accepted the shift.
    Accepted,
    /// Stop advancing and keep the split.
    Hold,
    /// Windows were judged: each once, in order, from the first one asked for.
    Judged(Vec<Look>),
    /// The target was read.
    Observed(Box<Snapshot>),
    /// The capacity is in effect.
    Prepared,
    /// The shift was answered by an error, which does not mean that nothing happened.
    Refused(Trouble),
    /// The capacity is set back.
    Restored,
    /// Go on after a hold, or after trouble.
    Resume,
    /// What the candidate's capacity has to become; nothing where it has enough.
    Sized(Option<Capacity>),
    /// A process took the rollout up. What an earlier one was doing may or may not have happened.
    Started,
    /// The time of a wait has come.
    TimeReached,
    /// The shift was not sent: by now the candidate cannot carry that share of what stable carries.
    TooSmall {
        /// What it lacks.
        lack: String,
        /// What helps.
        remedy: String,
    },
    /// No window could be judged: the metric store did not answer.
    Unjudged {
        /// What it said.
        why: String,
    },
    /// The target could not be read.
    Unobserved(Trouble),
    /// The shift was not sent: somebody wants something else first.
    Unsent,
    /// The capacity could not be told, or be made ready.
    Unprepared(Trouble),
    /// The capacity could not be set back.
    Unrestored(Trouble),
}

/// What became of windows that were asked for: their looks, or why there are none.
impl From<Result<Vec<Look>, String>> for Input {
    fn from(judged: Result<Vec<Look>, String>) -> Self {
        judged.map_or_else(|why| Self::Unjudged { why }, Self::Judged)
    }
}

/// The verdict of one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// When the window ended.
    pub ends: Timestamp,
    /// What the gates say with it.
    pub verdict: Verdict,
}

/// What the gates say, all together, after a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// An experiment shows that the candidate is better.
    Better,
    /// A critical gate failed.
    Fail,
    /// Neither is shown yet.
    Inconclusive,
    /// The requests of an experiment are not split as they should be.
    Mismatched,
    /// The window holds no evidence: empty, partial or stale.
    NoData,
    /// Every critical gate passes.
    Pass,
    /// An experiment has its planned size, and shows no difference.
    Reached,
    /// Stable has traffic, and the candidate less than half of its share.
    Starved,
    /// An experiment shows that the candidate is worse.
    Worse,
}

/// A request to the provider that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What can be done about it.
    pub kind: ErrorKind,
    /// What happened.
    pub message: String,
    /// How many requests left this machine.
    pub sent: u32,
    /// How long the provider wants to be left alone, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Duration>,
}

impl Trouble {
    /// Whether it is certain that nothing was changed: no request left, or the only one was refused by name.
    pub(super) fn is_outright(&self) -> bool {
        match self.kind {
            ErrorKind::Auth
            | ErrorKind::Conflict
            | ErrorKind::Invalid
            | ErrorKind::NotFound
            | ErrorKind::Unsupported => self.sent <= 1,
            ErrorKind::Throttled | ErrorKind::Unavailable | ErrorKind::Unexpected | ErrorKind::Withheld => {
                self.sent == 0
            }
        }
    }

    /// Whether it may be mended by somebody, or by itself, so that the same may work later.
    pub(super) fn may_be_mended(&self) -> bool {
        match self.kind {
            ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Unsupported | ErrorKind::Withheld => false,
            ErrorKind::Auth
            | ErrorKind::Conflict
            | ErrorKind::Throttled
            | ErrorKind::Unavailable
            | ErrorKind::Unexpected => true,
        }
    }

    /// Whether trying again at once will hardly help.
    pub(super) fn is_permanent(&self) -> bool {
        match self.kind {
            ErrorKind::Auth
            | ErrorKind::Invalid
            | ErrorKind::NotFound
            | ErrorKind::Unsupported
            | ErrorKind::Withheld => true,
            ErrorKind::Conflict | ErrorKind::Throttled | ErrorKind::Unavailable | ErrorKind::Unexpected => false,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
