//! What a person asked for.

use std::time::Duration;

use mlroll_backend::{RevisionId, Timestamp, Weight};

/// What a person asked for, once, of each target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Give the candidate a share.
    Canary {
        /// The share; neither nothing nor everything.
        share: Weight,
        /// The candidate, where it was named.
        candidate: Option<RevisionId>,
        /// Try a revision again that was rolled back.
        again: bool,
    },
    /// Give the candidate everything and make it stable, whatever the gates say.
    Promote {
        /// The candidate, where it was named: also one that somebody else put in flight.
        candidate: Option<RevisionId>,
    },
    /// Give everything to who had it before.
    Rollback {
        /// The revision to go back to, where it was named.
        to: Option<RevisionId>,
        /// Of many targets: leave alone what is no canary and no promote younger than this.
        recent: Option<Duration>,
    },
}

/// When and as what a write is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The moment.
    pub at: Timestamp,
    /// The id of what begins with this write.
    pub id: String,
}
