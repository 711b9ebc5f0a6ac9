//! `mlroll` on Azure.
//!
//! - `machine_learning`: online endpoints of Azure Machine Learning
//! - `monitor`: metrics from Azure Monitor
//!
//! What the services share sits beside them: `settings` (what they are told), `credentials` (who asks, and tokens that are
//! kept), `transport` (what happens to every request on its way to Azure Resource Manager), `error` (what a failed request
//! means). JSON types stop at each service's `wire.rs`, those of the HTTP client at `transport` and `credentials`.

mod credentials;
mod error;
#[cfg(feature = "machine_learning")]
pub mod machine_learning;
#[cfg(feature = "monitor")]
pub mod monitor;
mod settings;
mod transport;

pub use settings::{Settings, VARIABLES};
