//! The engine: a rollout as a state machine. One input, one action; no clock, no I/O, no statistics.
//!
//! - [`Plan`] is frozen at the start; [`Rollout`] is all there is to know, and can be stored between any two steps
//! - [`Rollout::step`] takes one [`Input`] and gives one [`Action`]; a wait names its deadline and its reason
//! - nothing is believed but an observation: `looking` tells what one means, `forward` and `back` what follows from it
//! - `bake` counts windows, `trouble` what is tried again and how often
//! - `capacity` makes the candidate ready before its first share, and sets that back at the end
//!
//! Why it is so: `docs/design/0003-the-engine.md`.

mod action;
mod back;
mod bake;
mod capacity;
mod forward;
mod input;
mod looking;
mod plan;
mod state;
mod trouble;

pub use action::{Action, Cause, Ended, Pending, Windows};
pub use input::{Input, Look, Trouble, Verdict};
pub use plan::{Experiment, InvalidPlan, Kind, Plan, Reaction, Score, Terms};
pub use state::{Rollout, Stage};

#[cfg(test)]
mod tests;
