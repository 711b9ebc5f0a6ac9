//! What a person asked for.

use std::time::Duration;

use mlroll_backend::{Provider, RevisionId, Timestamp, Weight};

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
        /// Also where it cannot carry everything, as far as is known.
        forced: bool,
    },
    /// Give everything to who had it before.
    Rollback {
        /// The revision to go back to, where it was named.
        to: Option<RevisionId>,
        /// Of many targets: leave alone what is no canary and no promote younger than this.
        recent: Option<Duration>,
    },
}

impl Intent {
    /// The same with revisions named as the provider names them: Azure ML compares names without case, and its adapter
    /// tells them in lower case.
    #[must_use]
    pub fn for_provider(&self, provider: Provider) -> Self {
        let mut intent = self.clone();
        let named = match &mut intent {
            Self::Canary { candidate: named, .. }
            | Self::Promote { candidate: named, .. }
            | Self::Rollback { to: named, .. } => named,
        };
        if provider == Provider::AzureMl
            && let Some(revision) = named
            && let Ok(lower) = revision.as_str().to_ascii_lowercase().parse()
        {
            *revision = lower;
        }
        intent
    }
}

/// When and as what a write is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The moment.
    pub at: Timestamp,
    /// The id of what begins with this write.
    pub id: String,
}
