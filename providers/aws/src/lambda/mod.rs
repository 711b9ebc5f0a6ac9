//! Weighted aliases of AWS Lambda functions.
//!
//! - **Target**: `lambda:REGION/FUNCTION@ALIAS`. **Revisions** are published versions; an alias holds one or two.
//! - **Granule**: 0.01 %. Lambda stores a float; four decimals are written, the most that is known to survive.
//! - **Guard**: atomic, by the alias' `RevisionId`, which every update renews.
//! - **Settles** at once, except while provisioned concurrency moves between versions: the alias then shows the old
//!   version at weight 1, for minutes.
//! - **The marker** travels at the end of the alias' description, in the same call.
//! - **Deploy** by `--image`, `--zip`, `--s3`, `--from-stable`: `$LATEST` gets the code, and a version is published of it with
//!   `$LATEST`'s settings, which are said where they are not stable's. An alias on `$LATEST` is refused.
//! - **Capacity**: provisioned concurrency; see `concurrency.rs`.
//! - **Permissions**: `lambda:GetAlias`, `lambda:UpdateAlias`; for `canary` also `lambda:GetFunctionConfiguration`
//!   and, when no candidate is named, `lambda:ListVersionsByFunction`; for `rollout` and `deploy` what
//!   docs/iam/lambda-rollout.json and lambda-deploy.json name. All are authorised on the function's ARN.
//! - **Gaps**: shares are probabilistic and not sticky (documented by AWS).

mod backend;
mod concurrency;
mod deploy;
#[cfg(test)]
mod tests;
mod wire;

pub use backend::Lambda;
#[cfg(feature = "cloudwatch")]
pub(crate) use backend::timeout;
