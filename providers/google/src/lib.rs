//! `mlroll` on Google Cloud.
//!
//! - [`cloud_run`]: the traffic of Cloud Run services
//! - [`monitoring`]: metrics from Cloud Monitoring
//!
//! What the services share sits beside them: `settings` (what the process was told), `credentials` (where tokens come
//! from), `identity` (tokens that say who asks), `session` (a client, a token and an endpoint), `transport` (what happens to every request on its way to the
//! wire), `error` (what a failed request means). HTTP types stop there; JSON types at each service's `wire.rs`.

#[cfg(feature = "cloud_run")]
pub mod cloud_run;
mod credentials;
mod error;
#[cfg(feature = "cloud_run")]
mod identity;
#[cfg(feature = "monitoring")]
pub mod monitoring;
mod session;
mod settings;
mod transport;

pub use settings::{Limits, Secret, Settings};
