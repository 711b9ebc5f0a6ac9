//! Online endpoints of Azure Machine Learning, managed and on Kubernetes.
//!
//! - **Target**: `azure-ml:SUBSCRIPTION/RESOURCE_GROUP/WORKSPACE/ENDPOINT`. **Revisions** are deployments, at most 20.
//!   Their names are compared without case, as Azure does, and written in lower case, as its own SDK does.
//! - **Granule**: 1 %. `traffic` is a map from names to whole percents; an entry of zero is no entry.
//! - **Guard**: read, compare, write. There is no ETag and no `If-Match`. What is compared is traffic, mirrored traffic and
//!   the marker; a canary and a promote read once more just before they write, a rollback does not.
//! - **Writes** are a full PUT of the endpoint, of the very text that was read: read-only fields are left out, traffic, mirror
//!   and our own tag edited, everything else goes back byte for byte, also what this program has never heard of.
//! - **Settles** after about 20 s. Until then, and for up to 30 s after, reads may show the split from before; what was
//!   accepted and is not shown yet is [`Settling`](mlroll_backend::Readiness::Settling). The operation is followed by
//!   reading the endpoint; its own status, which narrow roles may not read, is asked only for the reason of a failure.
//! - **The marker** travels as the tag `mlroll-rollout`, in the same PUT.
//! - **Mirrored traffic**: a rollback switches it off; a shift takes away what is mirrored to those who get live traffic.
//! - **Permissions**: `Microsoft.MachineLearningServices/workspaces/onlineEndpoints/read` and `/write`; for `canary` also
//!   `.../deployments/read`; where the endpoint has a user-assigned identity, also
//!   `Microsoft.ManagedIdentity/userAssignedIdentities/assign/action`, because the PUT names it. `rollout` and `deploy` also `.../deployments/write`, for instances.
//! - **Gaps**: no smoke test. A write between our read and our PUT, about a second, is overwritten unseen.
//!
//! What goes where: `document` (the text of an endpoint), `pending` (what was accepted and is not shown yet), `wire`
//! (requests and answers), `backend` (the trait).

mod backend;
mod blueprint;
mod capacity;
mod deploy;
mod document;
mod fields;
mod pending;
#[cfg(test)]
mod tests;
mod wire;

pub use backend::OnlineEndpoints;
