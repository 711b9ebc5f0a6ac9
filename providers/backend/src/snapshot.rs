//! What a backend saw, and what it did.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Marker, Nature, Roles, Timestamp, TrafficSplit};

/// One observation of a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The split that is wanted by the provider's own record; `None` when nobody is routed to.
    pub split: Option<TrafficSplit>,
    /// Who is who in it.
    pub roles: Roles,
    /// The marker that travels with it, if it fits.
    pub marker: Option<Marker>,
    /// What a conditional write must match.
    pub guard: GuardToken,
    /// Whether the split is live.
    pub readiness: Readiness,
    /// When the target was last changed, where the provider tells.
    pub modified: Option<Timestamp>,
    /// That a change which was accepted is being taken back, or that the latest one was, in the provider's words: what was
    /// there before it is there again. `None` where the provider does not say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_back: Option<String>,
    /// What the names of revisions stand for, in the provider's words, where the same names may come to stand for others: an
    /// endpoint config of SageMaker, which is immutable itself. `None` where a revision is what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contents: Option<String>,
    /// That revisions stand for something else than when the marker was written, or may: a candidate that was promoted or judged would
    /// be another, or the way back of a promote. In the provider's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<String>,
    /// What the target is, or is in, that decides what may be done to it.
    #[serde(default, skip_serializing_if = "Nature::is_usual")]
    pub nature: Nature,
}

/// What a write must match to be about the state that was seen. Only the backend that made it can read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardToken {
    /// The provider's own token (Lambda `RevisionId`, Cloud Run `etag`); empty where there is none.
    pub token: String,
    /// The user's own text that shares its place with the marker, to be written back unchanged.
    pub own_text: String,
}

/// Whether the split in the provider's record is the one users get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// It cannot be served, and the reason.
    Failed(String),
    /// It is live.
    Live,
    /// It is accepted but not yet live, and what is being waited for.
    Settling(String),
}

impl Snapshot {
    /// What `before` called its revisions may be others now, and what they stood for then and stand for now.
    #[must_use]
    pub fn replaced_since<'a>(&'a self, before: &'a Self) -> Option<(&'a str, &'a str)> {
        let (then, now) = (before.contents.as_deref()?, self.contents.as_deref()?);
        (then != now).then_some((then, now))
    }

    /// Whether the split is live.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.readiness == Readiness::Live
    }
}

/// The split, or that there is none.
impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.split {
            Some(split) => split.fmt(f),
            None => f.write_str("no traffic to anybody"),
        }
    }
}
