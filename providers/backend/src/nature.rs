//! What a target is, or is in, where that decides what may be done to it.

use serde::{Deserialize, Serialize};

/// What a person has to know of a target that its split does not tell. Empty for one whose weights can be moved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Nature {
    /// What it is called in JSON, such as `serverless`; `None` for the usual kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// That it is of this kind, and what follows, in a sentence.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub what: String,
    /// Whether a share can be shifted on it.
    #[serde(skip_serializing_if = "Splitting::is_possible")]
    pub splitting: Splitting,
    /// What to do instead, or where the target has [failed](crate::Readiness::Failed): one thing each, with its names filled in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remedies: Vec<String>,
}

/// Whether users can be split by weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Splitting {
    /// They cannot, whatever is deployed.
    Impossible,
    /// They can, when it is settled and has a candidate.
    #[default]
    Possible,
}

impl Nature {
    /// Whether there is nothing to know.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// Why no share can be shifted on it, where none can.
    #[must_use]
    pub fn bar(&self) -> Option<&str> {
        (self.splitting == Splitting::Impossible).then_some(self.what.as_str())
    }
}

impl Splitting {
    const fn is_possible(&self) -> bool {
        matches!(self, Self::Possible)
    }
}
