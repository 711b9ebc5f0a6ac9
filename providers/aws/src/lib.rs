//! `mlroll` on AWS.
//!
//! - [`lambda`]: weighted aliases of Lambda functions
//!
//! What the services share sits beside them: `session` (configuration, credentials, a client per region),
//! `transport` (what happens to every request on its way to the wire), `pace` (the control plane's rate),
//! `error` (what a failed request means). SDK types stop at each service's `wire.rs`.

mod error;
#[cfg(feature = "lambda")]
pub mod lambda;
mod pace;
mod session;
mod transport;
