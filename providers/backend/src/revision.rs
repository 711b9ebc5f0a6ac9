//! An immutable deployed version.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// The provider's own name of a revision: a Lambda version (`42`), a Cloud Run revision, a SageMaker variant,
/// an Azure ML deployment.
///
/// 1 to 128 characters of `A-Z a-z 0-9 - _ . $`: what all four providers allow, and nothing that could break
/// out of a [`Marker`](crate::Marker), a URL or a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RevisionId(String);

/// Why a text is no [`RevisionId`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRevisionId(String);

/// A revision as the provider lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// Its name.
    pub id: RevisionId,
    /// When it was made, where the provider tells.
    pub created: Option<Timestamp>,
    /// What its author wrote about it; may be empty.
    pub description: String,
}

impl RevisionId {
    /// The name as the provider writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RevisionId {
    type Err = InvalidRevisionId;

    fn from_str(text: &str) -> Result<Self, InvalidRevisionId> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.$".contains(&b);
        if text.is_empty() || text.len() > 128 || !text.bytes().all(allowed) {
            return Err(InvalidRevisionId(format!(
                "`{}` is not a revision: 1 to 128 characters of A-Z a-z 0-9 - _ . $",
                text.escape_debug()
            )));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for RevisionId {
    type Error = InvalidRevisionId;

    fn try_from(text: String) -> Result<Self, InvalidRevisionId> {
        text.parse()
    }
}

impl From<RevisionId> for String {
    fn from(id: RevisionId) -> Self {
        id.0
    }
}

impl fmt::Display for RevisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for InvalidRevisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidRevisionId {}
