//! Variants of Amazon SageMaker endpoints.
//!
//! - **Target**: `sagemaker:REGION/ENDPOINT`. **Revisions** are the endpoint's production variants, at most ten.
//! - **Granule**: 0.01 %. Weights are ratios to their sum; integers are written, for all variants, so that the sum is known.
//!   A shift writes no instance counts: a capacity step takes minutes, in which nothing else can be written.
//! - **Capacity**: instances, and the bounds of autoscaling; see `capacity/`.
//! - **Guard**: none. A shift reads again just before it writes; a rollback does not, it goes first.
//! - **Settles** when the endpoint is `InService` again and has the weights that were asked for. Until then every write is
//!   refused ("Cannot update in-progress endpoint"), also a rollback: that is a conflict, to be tried again.
//! - **The marker** is the endpoint's tag `mlroll-rollout`, without its brackets, which tags may not hold. It is written
//!   before the weights, and put back when they are refused; by a rollback after them, so that a tag never stands in its way.
//! - **Without the tag** (a caller who may not list tags) a rollback goes by the weights: the larger share is stable. A canary
//!   that has as much as stable, or more, is written in weights that sum to 200 or 20,000, and is then not guessed at.
//! - **Permissions**: `sagemaker:DescribeEndpoint`, `sagemaker:ListTags`, `sagemaker:AddTags`,
//!   `sagemaker:UpdateEndpointWeightsAndCapacities`; for `canary` also `sagemaker:DescribeEndpointConfig` and those of
//!   autoscaling; `sagemaker:DeleteTags` to take back the first marker of a refused shift; for `rollout` and `deploy` what docs/iam/sagemaker-rollout.json and
//!   sagemaker-deploy.json name.
//! - **Copies**: a shadow variant, which takes a new endpoint config to begin and to end; see `deploy/shadow.rs`.
//! - **What deployments leave**: endpoint configs and models, which have tags of their own and are deleted on request; see `prune/`.
//! - **Refused**: serverless and asynchronous endpoints, inference components (requests name one, weights do not split them; see
//!   `kinds.rs`), a canary beside a shadow variant, and everything while a new endpoint config is deployed.
//! - **Gaps**: a share is of requests that name no `TargetVariant`. Policies of autoscaling are not copied.

mod backend;
mod capacity;
mod deploy;
mod kinds;
mod learned;
#[cfg(feature = "cloudwatch")]
mod machines;
mod probe;
mod prune;
mod read;
mod replaced;
#[cfg(test)]
mod tests;
mod wire;

pub use backend::SageMaker;
#[cfg(feature = "cloudwatch")]
pub(crate) use machines::{machines, spelling};
