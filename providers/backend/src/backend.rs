//! What moves traffic.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::{Error, ErrorKind, Marker, Result, Revision, RevisionId, Snapshot, Target, TrafficSplit, Weight};

/// What a provider can do: facts that callers ask for instead of guessing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The finest share it stores. Other shares are refused when planning, never rounded.
    pub granule: Weight,
    /// How it keeps two writers apart.
    pub guard: GuardKind,
    /// How many revisions may share the traffic.
    pub most_revisions: u16,
    /// How long the text that carries the marker may be, with the user's own, in UTF-16 code units: what
    /// [`embed`](crate::embed) is called with.
    pub note_limit: usize,
}

/// How a provider keeps two writers apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardKind {
    /// A write names the state it is about, and is refused when that has changed.
    Atomic,
    /// There is nothing of the kind: read, compare, write.
    ReadCompare,
}

impl GuardKind {
    /// The name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Atomic => "atomic",
            Self::ReadCompare => "read-compare",
        }
    }
}

/// Something that stands in the way of a shift, found before it is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// What it is.
    pub what: String,
    /// What removes it.
    pub remedy: String,
}

/// A cloud service that routes traffic between revisions.
///
/// Adapters never loop over failures, sleep, print or read the environment; retries are the transport's.
/// Every request goes past the [`Wiretap`](crate::Wiretap) they were made with.
#[async_trait]
pub trait Backend: Debug + Send + Sync {
    /// What this provider can do.
    fn capabilities(&self) -> Capabilities;

    /// How often a target that settles is worth a look.
    fn poll_interval(&self) -> Duration {
        Duration::from_secs(2)
    }

    /// Reads the target.
    ///
    /// # Behaviour
    /// - One request where the provider's API allows it.
    /// - Foreign splits are read by largest remainder; a live share is never below one basis point.
    /// - A transient state that the provider itself causes is [`Readiness::Settling`](crate::Readiness::Settling),
    ///   not somebody's split.
    ///
    /// # Errors
    /// `NotFound` when there is no such target; `Auth`, `Throttled`, `Unavailable`, `Unexpected`.
    async fn observe(&self, target: &Target) -> Result<Snapshot>;

    /// Reads the target without its marker, for a rollback that cannot have it: roles only where the split tells them.
    ///
    /// # Errors
    /// As [`observe`](Self::observe); `Unsupported` where the marker comes with the split, so that neither can be read alone.
    async fn observe_without_marker(&self, target: &Target) -> Result<Snapshot> {
        Err(Error::new(ErrorKind::Unsupported, "", format!("{target} is read whole, or not at all")))
    }

    /// Lists revisions that could get traffic, the newest first, at most `limit`.
    ///
    /// # Errors
    /// As [`observe`](Self::observe).
    async fn revisions(&self, target: &Target, limit: usize) -> Result<Vec<Revision>>;

    /// Tells what stands in the way of giving `candidate` a share beside `stable`: it does not exist, cannot serve,
    /// or may not be paired with stable. Empty when nothing does.
    ///
    /// # Errors
    /// As [`observe`](Self::observe); `NotFound` for a revision that does not exist, where that is not told as an
    /// obstacle that names it.
    async fn check(&self, target: &Target, stable: &RevisionId, candidate: &RevisionId) -> Result<Vec<Obstacle>>;

    /// Makes `to` the split, if the target still is as `seen`, and leaves `marker` with it.
    ///
    /// # Behaviour
    /// - Absolute and idempotent: it says what shall be, not what shall change.
    /// - One request; the marker travels in it where the provider can carry it, as much of it as
    ///   [`embed`](crate::embed) leaves.
    /// - Returns the target as the provider's answer describes it, in a rehearsal as it would be, when the provider
    ///   has accepted; settling is observed.
    /// - An error does not mean that nothing happened: a reply may have been lost. Observe before deciding.
    ///
    /// # Errors
    /// `Conflict` when the target changed since `seen` or is busy; `NotFound` when it or a revision is gone;
    /// `Invalid` when the provider refuses the split; `Unsupported` when its capabilities say so;
    /// `Auth`, `Throttled`, `Unavailable`, `Unexpected`.
    async fn shift(&self, target: &Target, to: &TrafficSplit, seen: &Snapshot, marker: &Marker) -> Result<Snapshot>;
}
