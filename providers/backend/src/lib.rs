//! The contract between `mlroll` and the clouds.
//!
//! What moves traffic implements [`Backend`], what measures it [`MetricSource`]; everything else here is the vocabulary
//! both sides share:
//!
//! - [`Target`]: the thing that routes (a Lambda alias, a Cloud Run service, an endpoint), in both written forms
//! - [`RevisionId`], [`Weight`], [`TrafficSplit`]: who gets what, exactly, in basis points
//! - [`Marker`]: the note that travels with the traffic, so that a rollback needs nothing but the target
//! - [`Roles`]: who is stable, candidate and previous, from the marker and the split; [`Shadow`]: who gets copies besides
//! - [`Snapshot`]: what a backend saw; [`Nature`]: what a target is that cannot be split, or has failed
//! - [`Release`], [`Artifact`], [`Deployed`]: what becomes a revision; [`Capacity`]: what it needs before its first weight; [`Pruned`]:
//!   what is left behind
//! - [`Query`], [`Subject`], [`Window`]: what a metric source is asked
//! - [`Sample`], [`Histogram`], [`Finite`]: what it measured, or [`Why`] there is nothing
//! - [`Proxy`]: who carries requests out of a closed network
//! - [`Wiretap`]: what every adapter reports before a request leaves, and where a dry run stops it
//! - [`Error`]: kind, operation, message, context, source
//!
//! No runtime, HTTP client or SDK is named here, and nothing reads a clock.

mod backend;
mod error;
mod histogram;
mod marker;
mod metrics;
mod nature;
mod proxy;
mod release;
mod revision;
mod roles;
mod sample;
mod snapshot;
mod split;
mod target;
mod timestamp;
mod weight;
mod window;
mod wiretap;

pub use backend::{Access, Backend, Capabilities, GuardKind, ModelStage, Obstacle};
pub use error::{Error, ErrorKind, Result};
pub use histogram::{Histogram, InvalidHistogram};
pub use marker::{CarriedMarker, InvalidMarker, Marker, MarkerState, embed, extract};
pub use metrics::{Caveat, Granularity, Inquiry, MetricSource, Query, Resource, Subject, Usage, one_by_one};
pub use nature::{Nature, Splitting};
pub use proxy::Proxy;
pub use release::{
    Artifact, ArtifactKind, Capacity, Deployed, Leftover, Pace, Probe, Pruned, Question, Release, Settings,
};
pub use revision::{InvalidRevisionId, Revision, RevisionId};
pub use roles::{Roles, Shadow};
pub use sample::{Finite, Sample, Why};
pub use snapshot::{GuardToken, Readiness, Snapshot};
pub use split::{InvalidSplit, TrafficSplit};
pub use target::{
    AzureMlEndpoint, CloudRunService, InvalidTarget, LambdaAlias, OwnedIn, Provider, SageMakerEndpoint, Target,
};
pub use timestamp::Timestamp;
pub use weight::{InvalidWeight, Weight};
pub use window::{InvalidWindow, Window};
pub use wiretap::{Call, Effect, Permit, Wiretap};
