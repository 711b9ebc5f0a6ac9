//! What is deployed, and how it went.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{Result, Revision, RevisionId};

/// What a new revision is made from.
#[derive(Clone, PartialEq, Eq)]
pub enum Artifact {
    /// A container image, as its registry names it, best with its digest.
    Image(String),
    /// A model that the provider has a name for (SageMaker model, Azure ML `azureml:NAME:VERSION`).
    Model(String),
    /// Model data, as an `s3://` URL of an archive, and the container image that serves it.
    ModelData {
        /// The archive.
        data: String,
        /// The image.
        image: String,
    },
    /// A version in a model registry (a SageMaker model package ARN).
    ModelPackage(String),
    /// An archive in an object store, as an `s3://` URL.
    S3 {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
        /// The version of the object; the newest when none is named.
        version: Option<String>,
    },
    /// The stable revision itself: a copy, with what [`Settings`] name replaced.
    Stable,
    /// An archive, read from this machine.
    Zip(Vec<u8>),
}

/// Which kind of [`Artifact`] it is: what [`Capabilities`](crate::Capabilities) lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ArtifactKind {
    /// [`Artifact::Image`]
    Image,
    /// [`Artifact::Model`]
    Model,
    /// [`Artifact::ModelData`]
    ModelData,
    /// [`Artifact::ModelPackage`]
    ModelPackage,
    /// [`Artifact::S3`]
    S3,
    /// [`Artifact::Stable`]
    Stable,
    /// [`Artifact::Zip`]
    Zip,
}

/// What a new revision has that the stable one has not; what is not named is as stable has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The environment that the model runs in, as the provider names it (Azure ML).
    pub environment: Option<String>,
    /// The kind of machine.
    pub instance_type: Option<String>,
    /// How many machines.
    pub instances: Option<u32>,
    /// How many instances are kept ready even without traffic (Cloud Run minimum instances, Lambda provisioned concurrency).
    pub min_instances: Option<u32>,
}

/// A new revision that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// What it is made from.
    pub artifact: Artifact,
    /// What it has of its own.
    pub settings: Settings,
    /// What it is to be called; where none is given, the name follows from the rest, so that asking twice makes one.
    pub name: Option<RevisionId>,
    /// Whether the `previous` revision, the way back of the last promote, may be overwritten where a provider has no room
    /// for a third.
    pub may_discard_previous: bool,
    /// Whether it is made although what was made from the same location is there: what is behind it may be other by now.
    pub anew: bool,
}

/// A release that has landed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// The revision, at zero traffic.
    pub revision: Revision,
    /// Whether it was made now; it may have been there.
    pub made: bool,
    /// What a person should know, such as what it costs.
    pub notes: Vec<String>,
}

/// What became of what earlier deployments left behind, by [`Backend::prune`](crate::Backend::prune).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// What is gone, or in a rehearsal would be.
    pub deleted: Vec<Leftover>,
    /// What may be needed.
    pub kept: Vec<Leftover>,
    /// What could not be deleted.
    pub failed: Vec<Leftover>,
}

/// Something that a deployment left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// What it is, in the provider's words.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Why it is deleted or kept, or what the provider said.
    pub why: String,
    /// What a person could type, where it could not be deleted.
    pub remedy: Option<String>,
}

/// How capacity has to change before a candidate gets its first weight, and how that is undone at the end: what the journal
/// keeps, in words that only the backend which made it can read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capacity {
    /// The state before, and what is to change.
    pub token: String,
    /// The same for people, a line each.
    pub changes: Vec<String>,
}

/// One request to one revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// What is sent.
    pub payload: &'a [u8],
    /// Where it is sent to, from the first slash on, where a revision has paths.
    pub path: Option<&'a str>,
}

/// What one revision answered to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Whether it is a good answer.
    pub ok: bool,
    /// The status and the beginning of the answer, for people.
    pub answer: String,
}

/// Who owns waiting: adapters never sleep, they ask for a pause.
#[async_trait]
pub trait Pace: fmt::Debug + Send + Sync {
    /// Returns when it is worth looking again, at once in a rehearsal; meanwhile people are told `what` is waited for.
    /// `least` is how long the provider asks to be left alone; the backend's
    /// [`poll_interval`](crate::Backend::poll_interval) is kept in any case.
    ///
    /// # Errors
    /// `Unavailable` when the time limit is reached or somebody interrupts.
    async fn pause(&self, what: &str, least: Option<Duration>) -> Result<()>;
}

impl Artifact {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> ArtifactKind {
        match self {
            Self::Image(_) => ArtifactKind::Image,
            Self::Model(_) => ArtifactKind::Model,
            Self::ModelData { .. } => ArtifactKind::ModelData,
            Self::ModelPackage(_) => ArtifactKind::ModelPackage,
            Self::S3 { .. } => ArtifactKind::S3,
            Self::Stable => ArtifactKind::Stable,
            Self::Zip(_) => ArtifactKind::Zip,
        }
    }
}

impl ArtifactKind {
    /// The flag of `deploy` that names one.
    #[must_use]
    pub const fn flag(self) -> &'static str {
        match self {
            Self::Image => "--image",
            Self::Model => "--model",
            Self::ModelData => "--model-data",
            Self::ModelPackage => "--model-package",
            Self::S3 => "--s3",
            Self::Stable => "--from-stable",
            Self::Zip => "--zip",
        }
    }
}

/// An archive is told by its length.
impl fmt::Debug for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Writes it as it is typed.
impl fmt::Display for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind().flag())?;
        match self {
            Self::Image(name) | Self::Model(name) | Self::ModelPackage(name) => write!(f, " {name}"),
            Self::ModelData { data, image } => write!(f, " {data} --image {image}"),
            Self::S3 { bucket, key, version: None } => write!(f, " s3://{bucket}/{key}"),
            Self::S3 { bucket, key, version: Some(version) } => write!(f, " s3://{bucket}/{key} (version {version})"),
            Self::Stable => Ok(()),
            Self::Zip(bytes) => write!(f, " ({} bytes)", bytes.len()),
        }
    }
}
