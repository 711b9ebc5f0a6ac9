//! What models and endpoint configs are called.

use sha2::{Digest, Sha256};

use crate::sagemaker::wire::Calls;

/// A name of at most 63 letters, digits and hyphens that follows from `parts`.
pub(super) fn named(calls: &Calls<'_>, parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in [calls.endpoint.endpoint.as_str()].iter().chain(parts) {
        hash.update(part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    let hash: String = hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("{}{hash}", front(calls))
}

/// What all those names begin with: the endpoint's name, or the beginning of a long one.
pub(in crate::sagemaker) fn front(calls: &Calls<'_>) -> String {
    let front: String = calls.endpoint.endpoint.chars().take(40).collect();
    format!("{}-mlroll-", front.trim_end_matches('-'))
}
