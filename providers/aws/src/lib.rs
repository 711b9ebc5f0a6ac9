//! `mlroll` on AWS.
//!
//! - [`cloudwatch`]: metrics of Lambda, SageMaker and one's own
//! - [`lambda`]: weighted aliases of Lambda functions
//! - [`sagemaker`]: variants of SageMaker endpoints
//!
//! What the services share sits beside them: `session` (configuration, credentials, a client per region), `settings` and
//! `credentials` (the role of a GitHub job),
//! `transport` (what happens to every request on its way to the wire), `pace` (the control plane's rate),
//! `error` (what a failed request means), `pages` (lists). SDK types stop at each service's `wire.rs`.

#[cfg(feature = "cloudwatch")]
pub mod cloudwatch;
mod credentials;
mod error;
#[cfg(feature = "lambda")]
pub mod lambda;
mod pace;
mod pages;
#[cfg(feature = "sagemaker")]
pub mod sagemaker;
mod session;
mod settings;
mod transport;

pub use settings::{Settings, VARIABLES};
