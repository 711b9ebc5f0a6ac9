//! The clouds on loopback: control planes and metric stores that speak the real wire protocols, fed by simulated users.
//!
//! - [`Sandbox`] is the server: one loopback port for everything; [`Background`] is the same on a thread of its own
//! - [`Api`] is one cloud's API; a folder each. All are served on one port and told apart by path, host and headers
//! - [`World`] is what they share: the [`Clock`], the state of each control plane ([`lambda`], [`cloud_run`], ..), and the [`traffic`] of
//!   simulated users. [`SharedWorld`] is the way to it from the same process
//! - a control plane tells the traffic where requests go; a metric store asks it what became of them
//! - `/_sandbox/*` is about the sandbox itself: faults, the request log, the clock
//!
//! Nothing here knows of `mlroll`'s engine or adapters: outsiders' own clients must be content with it.

mod admin;
mod api;
mod arm;
mod azure_logs;
pub mod azure_ml;
pub mod azure_monitor;
mod background;
mod clock;
pub mod cloud_run;
pub mod cloudwatch;
mod connection;
mod exchange;
mod exports;
mod faults;
mod fleet;
mod google;
mod identity;
pub mod lambda;
mod limit;
mod log;
mod monitoring;
mod options;
pub mod prometheus;
pub mod sagemaker;
pub mod scenario;
mod server;
pub mod traffic;
mod world;

pub use crate::api::{Answer, Api, Operation, Request, Twist};
pub use crate::background::Background;
pub use crate::clock::Clock;
pub use crate::options::Options;
pub use crate::scenario::Scenario;
pub use crate::server::Sandbox;
pub use crate::world::{SharedWorld, World};
