//! The clouds on loopback: control planes and metric stores that speak the real wire protocols, fed by simulated users.
//!
//! - [`Api`] is one cloud's API; a folder each. All are served on one port and told apart by path, host and headers
//! - [`World`] is what they share: the [`Clock`], and the [`traffic`] of simulated users
//! - a control plane tells the traffic where requests go; a metric store asks it what became of them
//!
//! Nothing here knows of `mlroll`'s engine or adapters: outsiders' own clients must be content with it.

mod api;
mod clock;
pub mod cloudwatch;
pub mod prometheus;
pub mod scenario;
pub mod traffic;
mod world;

pub use crate::api::{Answer, Api, Operation, Request};
pub use crate::clock::Clock;
pub use crate::world::World;
