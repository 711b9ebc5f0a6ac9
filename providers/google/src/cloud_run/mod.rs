//! The traffic of Google Cloud Run services.
//!
//! - **Target**: `cloud-run:PROJECT/REGION/SERVICE`. **Revisions** are the service's; many may share the traffic.
//! - **Granule**: 1 %. Cloud Run stores whole percents.
//! - **Guard**: atomic, by the service's `etag`, sent in the body.
//! - **Settles** in seconds: Cloud Run accepts a change as an operation and reconciles. The service itself is polled, since it
//!   also tells which split users get; the operation is asked where the service does not tell why they do not.
//! - **The marker** travels as the service's annotation `mlroll.dev/rollout`, in the same call as the split.
//! - **Writes** name nothing but `traffic` and `annotations`: a body that repeats the template's revision name is refused by
//!   Cloud Run. Revisions are named, never "latest", so that nobody's deploy moves a canary. Tags stay, but for those on
//!   revisions that Cloud Run calls failed: they would make the service, and every later deploy, look failed.
//! - **Permissions**: `run.services.get`, `run.services.update`, `run.operations.get`; for `canary`, and for `rollback` to a
//!   revision without a share, also `run.revisions.get`; when no candidate is named, `run.revisions.list`. For `deploy` with `--smoke` `run.routes.invoke`
//!   on the service. docs/roles has them for each verb. A change may also need `iam.serviceAccounts.actAs` on the service's own account.
//! - **Gaps**: services that span regions are refused, because one region would be moved without the others. A service's
//!   minimum instances are shared out by percent, so a candidate at 1 % may start cold: give its revision its own.

mod backend;
mod deploy;
mod probe;
mod release;
mod service;
mod warmth;
mod wire;

pub use backend::CloudRun;
