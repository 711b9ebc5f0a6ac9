//! What moves traffic.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::{
    ArtifactKind, Capacity, Deployed, Error, ErrorKind, Marker, Nature, Pace, Probe, Pruned, Question, Release, Result,
    Revision, RevisionId, Snapshot, Target, Timestamp, TrafficSplit, Weight,
};

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
    /// What it can make a revision from, by [`Backend::deploy`].
    pub artifacts: &'static [ArtifactKind],
    /// The largest share of traffic that it mirrors, by [`Backend::mirror`]; `None` when it cannot.
    pub mirror: Option<Weight>,
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

/// A stage in the life of a model, in its owners' own words: what a model registry is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelStage {
    /// Such as `Production`.
    pub stage: String,
    /// How far it is there, such as `Approved`.
    pub status: String,
}

/// Credentials that end, and that nobody renews.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// What they are.
    pub what: String,
    /// When they end, where that is told.
    pub ends: Option<Timestamp>,
    /// How long such credentials last, where it is not.
    pub usually: Duration,
    /// What makes them last.
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

    /// The credentials that it writes with, where they are known to end and nobody renews them: from then on nothing can be rolled
    /// back. Asks nobody.
    fn access(&self) -> Option<Access> {
        None
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

    /// What the target is, where it takes a request of its own to tell: of what was `seen` where it does not. Asked where that leads
    /// nowhere, and by who only looks; never on a way back.
    ///
    /// # Errors
    /// As [`observe`](Self::observe).
    async fn nature(&self, target: &Target, seen: &Snapshot) -> Result<Nature> {
        let _ = target;
        Ok(seen.nature.clone())
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

    /// What a write sends along that the provider itself changes with each write, so that nobody knows it before. Makes no request.
    fn sent_along(&self) -> Option<&'static str> {
        None
    }

    /// What a person should know before `candidate` gets `share` beside `stable`: nothing that stands in the way. Makes no
    /// request, and so knows only what [`check`](Self::check) has read.
    fn advice(&self, target: &Target, stable: &RevisionId, candidate: &RevisionId, share: Weight) -> Vec<String> {
        let _ = (target, stable, candidate, share);
        Vec::new()
    }

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

    /// Makes a revision at zero traffic.
    ///
    /// # Behaviour
    /// - Without a name in `release` the revision's name follows from what is in it and from stable, so that the same call
    ///   made again, also after a crash in the middle, goes on where it was or finds what is there
    ///   ([`Deployed::made`] is false then).
    /// - Every other setting is stable's. Traffic is never moved, not even where the provider's default is to.
    /// - Goes on until the revision could serve, pausing by `pace`; in a rehearsal all its requests are built, and answers to
    ///   those withheld are imagined.
    ///
    /// # Errors
    /// As [`shift`](Self::shift). `Unsupported` for an artifact or a setting that the provider does not know; `Conflict`
    /// where `previous` would be lost and [`Release::may_discard_previous`] is not set; `Invalid` when the revision cannot
    /// start, with the provider's own words.
    async fn deploy(&self, target: &Target, seen: &Snapshot, release: &Release, pace: &dyn Pace) -> Result<Deployed> {
        let _ = (seen, pace);
        Err(unsupported(target, &format!("mlroll cannot deploy by `{}`", release.artifact.kind().flag())))
    }

    /// Whether deployments leave behind what no revision is made of any more, so that [`prune`](Self::prune) can delete it.
    fn prunes(&self) -> bool {
        false
    }

    /// Deletes what earlier deployments of this backend left behind for `target`, and nothing refers to at the moment `now`.
    /// Called after [`deploy`](Self::deploy), when what that made is live.
    ///
    /// # Behaviour
    /// - All reads come before the first delete: if one fails nothing is deleted.
    /// - Never what somebody else made, what is in use, what was in use before that, which is the way back by hand, nor what is
    ///   young: somebody may be about to use it.
    /// - Idempotent: what is gone already counts as deleted. A delete that fails is no error, but told of.
    /// - In a rehearsal it goes on from what [`deploy`](Self::deploy) imagined.
    ///
    /// # Errors
    /// As [`observe`](Self::observe); `Conflict` where the target changed since it was deployed to; `Unsupported` unless it
    /// [`prunes`](Self::prunes).
    async fn prune(&self, target: &Target, now: Timestamp) -> Result<Pruned> {
        let _ = now;
        Err(unsupported(target, "deployments leave nothing to delete"))
    }

    /// Sends one request to one revision, also at zero traffic, and tells what it answered. `pace` is asked where a revision
    /// needs time until it can be asked alone.
    ///
    /// # Errors
    /// As [`observe`](Self::observe); an answer of the revision that is an error is no error here. `Unsupported` where a
    /// revision without traffic cannot be asked.
    async fn probe(
        &self,
        target: &Target,
        revision: &RevisionId,
        question: &Question<'_>,
        pace: &dyn Pace,
    ) -> Result<Probe> {
        let _ = (revision, question, pace);
        Err(unsupported(target, "one revision alone cannot be asked"))
    }

    /// Finds what has to change so that `candidate` can carry what `stable` carries, before it gets its first weight:
    /// instance counts, bounds of autoscaling, provisioned concurrency; and that nothing takes it away meanwhile. `None` when
    /// nothing has to. Only reads.
    ///
    /// # Errors
    /// As [`observe`](Self::observe).
    async fn capacity(&self, target: &Target, stable: &RevisionId, candidate: &RevisionId) -> Result<Option<Capacity>> {
        let _ = (target, stable, candidate);
        Ok(None)
    }

    /// The same for a shift by hand, after which nobody sets anything back: only what may stay as it is then, such as counts and
    /// bounds, and nothing that is suspended meanwhile. `None` where there is nothing of the kind.
    ///
    /// # Errors
    /// As [`observe`](Self::observe).
    async fn lasting_capacity(
        &self,
        target: &Target,
        stable: &RevisionId,
        candidate: &RevisionId,
    ) -> Result<Option<Capacity>> {
        let _ = (target, stable, candidate);
        Ok(None)
    }

    /// Whether [`lasting_capacity`](Self::lasting_capacity) is worth asking for.
    fn has_lasting_capacity(&self) -> bool {
        false
    }

    /// Why `candidate` cannot carry `share` of what `stable` may carry, and what helps. Makes no request, and so knows only what
    /// [`observe`](Self::observe) has read.
    fn shortfall(
        &self,
        target: &Target,
        stable: &RevisionId,
        candidate: &RevisionId,
        share: Weight,
    ) -> Option<Obstacle> {
        let _ = (target, stable, candidate, share);
        None
    }

    /// As [`shortfall`](Self::shortfall), in mid-run: `reserved` is what [`capacity`](Self::capacity) found, where it found anything.
    /// May make a request, where stable can get more without being observed.
    ///
    /// # Errors
    /// As [`capacity`](Self::capacity).
    async fn outgrown(
        &self,
        target: &Target,
        stable: &RevisionId,
        candidate: &RevisionId,
        share: Weight,
        reserved: Option<&Capacity>,
    ) -> Result<Option<Obstacle>> {
        let _ = reserved;
        Ok(self.shortfall(target, stable, candidate, share))
    }

    /// Makes what [`capacity`](Self::capacity) or [`lasting_capacity`](Self::lasting_capacity) found so. Absolute and idempotent;
    /// returns when it is in effect.
    ///
    /// # Errors
    /// As [`shift`](Self::shift).
    async fn prepare(&self, target: &Target, capacity: &Capacity, pace: &dyn Pace) -> Result<()> {
        let _ = (capacity, pace);
        Err(unsupported(target, "there is no capacity to prepare"))
    }

    /// Undoes [`prepare`](Self::prepare) when a rollout has ended, with `keeps` the revision that has everything now.
    /// Absolute and idempotent.
    ///
    /// # Errors
    /// As [`shift`](Self::shift).
    async fn restore(&self, target: &Target, capacity: &Capacity, keeps: &RevisionId, pace: &dyn Pace) -> Result<()> {
        let _ = (capacity, keeps, pace);
        Err(unsupported(target, "there is no capacity to restore"))
    }

    /// Tells the model registry that the model behind `revision` is at a stage, and nothing of whether it is approved; returns what
    /// it is called there, or `None` where it is from no registry. Idempotent.
    ///
    /// # Errors
    /// As [`observe`](Self::observe); `Unsupported` where there is no registry.
    async fn tell_stage(&self, target: &Target, revision: &RevisionId, stage: &ModelStage) -> Result<Option<String>> {
        let _ = (revision, stage);
        Err(unsupported(target, "there is no model registry"))
    }

    /// Mirrors `share` of the traffic to `revision`, whose answers nobody sees; zero ends all mirrored traffic.
    ///
    /// # Behaviour
    /// - If the target still is as `seen`; live traffic and the marker stay as they are.
    /// - Absolute and idempotent: what is mirrored so already is not written. As [`shift`](Self::shift) it returns when the
    ///   provider has accepted.
    /// - Snapshots tell it as [`Roles::shadow`](crate::Roles::shadow).
    /// - A [`shift`](Self::shift) back to stable ends all of it. One to whoever gets copies ends those, in the same request, or
    ///   is refused (`Invalid`) where it takes another one first.
    ///
    /// # Errors
    /// As [`shift`](Self::shift); `Invalid` for a revision that has live traffic, where it cannot have both;
    /// `Unsupported` for a share that the provider does not mirror.
    async fn mirror(&self, target: &Target, revision: &RevisionId, share: Weight, seen: &Snapshot) -> Result<Snapshot> {
        let _ = (revision, share, seen);
        Err(unsupported(target, "traffic cannot be mirrored"))
    }
}

fn unsupported(target: &Target, what: &str) -> Error {
    Error::new(ErrorKind::Unsupported, "", format!("{what} on {target}"))
}
