//! What the engine asks for, one at a time.

use std::fmt;
use std::time::Duration;

use mlroll_backend::{Capacity, Marker, RevisionId, Snapshot, Timestamp, TrafficSplit};
use serde::{Deserialize, Serialize};

use super::{Stage, Trouble};

/// The one thing to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Nothing more. A rollout that is held, or in trouble that may pass, can be resumed.
    Done {
        /// How it ended.
        ended: Ended,
        /// Why.
        why: Cause,
    },
    /// Read the target.
    Observe,
    /// Give the candidate what it needs to carry what stable carries, before it gets its first share.
    Prepare(Capacity),
    /// Set the capacity back: the rollout has ended.
    Restore {
        /// What was made ready.
        capacity: Capacity,
        /// The revision that has everything now.
        keeps: RevisionId,
    },
    /// Read the metrics of these windows and judge each once, in order.
    Sample(Windows),
    /// Write this split, if the target still is as it was seen.
    Shift {
        /// The split.
        to: TrafficSplit,
        /// What travels with it.
        marker: Marker,
        /// The target as the write expects it.
        seen: Box<Snapshot>,
    },
    /// Read what the candidate lacks to carry what stable carries.
    Size {
        /// The revision in charge.
        stable: RevisionId,
        /// The revision on trial.
        candidate: RevisionId,
    },
    /// Wait.
    Wait {
        /// Until when.
        until: Timestamp,
        /// What for.
        why: Pending,
    },
}

/// Windows that follow each other without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Windows {
    /// What they judge. PASS evidence starts anew with each stage.
    pub stage: Stage,
    /// When the first one begins.
    pub from: Timestamp,
    /// How long each one is.
    pub length: Duration,
    /// How many there are; at least one.
    pub count: u32,
}

/// How a rollout ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Given up without touching traffic: a person is needed.
    Halted,
    /// Stopped; the split is kept.
    Held,
    /// The candidate was seen to have everything.
    Promoted,
    /// Stable was seen to have everything.
    RolledBack,
    /// The candidate keeps its share: a canary that passed, or that is not judged.
    Shifted,
}

/// Why a rollout ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It was asked to roll back.
    Aborted,
    /// The experiment shows that the candidate is better.
    Better,
    /// The candidate passed.
    Passed,
    /// It was asked to hold.
    Paused,
    /// A gate failed.
    Failed,
    /// The bake ended and nothing was shown.
    Inconclusive,
    /// The split is neither what was seen nor what was written.
    Interference {
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The budget of time without data is spent.
    NoData,
    /// Nothing judges it.
    NotJudged,
    /// The provider refused what was to be written, again and again or for good.
    Refused(Trouble),
    /// Another run rolled this rollout back.
    RolledBackElsewhere,
    /// The candidate does not get its share of the traffic.
    Starved,
    /// The provider says that the target has failed.
    TargetFailed {
        /// Its words.
        why: String,
    },
    /// The candidate passed, and by now cannot carry the next step.
    TooSmall {
        /// What it lacks.
        lack: String,
        /// What helps.
        remedy: String,
    },
    /// The candidate's capacity cannot be told or made ready.
    Unprepared(Trouble),
    /// The target cannot be read.
    Unreachable(Trouble),
    /// A shift was accepted and never went live.
    Unsettled {
        /// What it was waiting for.
        why: String,
    },
    /// The experiment has its planned size, and shows no difference.
    Undecided,
    /// The requests of the experiment are not split as they should be.
    Mismatched,
    /// The experiment shows that the candidate is worse.
    Worse,
    /// The target is not in a state that the plan can start from.
    Unsuitable {
        /// How it is.
        found: String,
    },
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pending {
    /// The end of a window, and that the metric store has it.
    Data {
        /// What is judged.
        stage: Stage,
        /// Looks with data so far.
        judged: u32,
        /// Looks that are needed at most.
        of: u32,
    },
    /// The metric store, which did not answer.
    Metrics,
    /// The provider, after an error.
    Provider,
    /// The split, which is accepted but not yet live.
    Settling {
        /// The provider's words.
        why: String,
    },
}

impl Cause {
    /// Whether it is trouble that may have passed by the time somebody tries again.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Refused(_)
            | Self::TargetFailed { .. }
            | Self::Unprepared(_)
            | Self::Unreachable(_)
            | Self::Unsettled { .. } => true,
            Self::Aborted
            | Self::Better
            | Self::Failed
            | Self::Inconclusive
            | Self::Interference { .. }
            | Self::Mismatched
            | Self::NoData
            | Self::NotJudged
            | Self::Passed
            | Self::Paused
            | Self::RolledBackElsewhere
            | Self::Starved
            | Self::TooSmall { .. }
            | Self::Undecided
            | Self::Unsuitable { .. }
            | Self::Worse => false,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aborted => f.write_str("asked to roll back"),
            Self::Better => f.write_str("the candidate is better"),
            Self::Failed => f.write_str("a gate failed"),
            Self::Inconclusive => f.write_str("the bake ended without a verdict"),
            Self::Interference { expected, found } if expected == found => {
                write!(
                    f,
                    "someone else changed the target: it has {found}, as it should, and that is not how this run left it"
                )
            }
            Self::Interference { expected, found } => {
                write!(f, "someone else changed the target: it should have {expected}, and it has {found}")
            }
            Self::Mismatched => f.write_str("the requests are not split as they should be: nothing can be concluded"),
            Self::NoData => f.write_str("too long without data"),
            Self::NotJudged => f.write_str("live, and not judged"),
            Self::Passed => f.write_str("every critical gate passed"),
            Self::Paused => f.write_str("asked to hold"),
            Self::Refused(trouble) => write!(f, "the provider does not take the shift: {trouble}"),
            Self::RolledBackElsewhere => f.write_str("another run rolled it back"),
            Self::Starved => f.write_str("the candidate does not get its share of the traffic"),
            Self::TargetFailed { why } => write!(f, "the target has failed: {why}"),
            Self::TooSmall { lack, .. } => write!(f, "the candidate passed, and is too small by now: {lack}"),
            Self::Unprepared(trouble) => write!(f, "the candidate's capacity cannot be made ready: {trouble}"),
            Self::Undecided => f.write_str("the planned size is reached, and no difference is shown"),
            Self::Worse => f.write_str("the candidate is worse"),
            Self::Unreachable(trouble) => write!(f, "the target cannot be read: {trouble}"),
            Self::Unsettled { why } => write!(f, "the change was accepted and never went live: {why}"),
            Self::Unsuitable { found } => write!(f, "the plan cannot start from {found}"),
        }
    }
}

impl fmt::Display for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data { judged, of, .. } => write!(f, "the next look ({judged} of at most {of} done)"),
            Self::Metrics => f.write_str("the metric store, which did not answer"),
            Self::Provider => f.write_str("the provider, after an error"),
            Self::Settling { why } => write!(f, "the split to go live: {why}"),
        }
    }
}
