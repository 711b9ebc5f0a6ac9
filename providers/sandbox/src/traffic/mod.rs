//! The requests of simulated users: who was asked, when, and what became of it.
//!
//! Control planes say where requests go from now on ([`Traffic::route`]); metric stores ask what happened
//! ([`Traffic::measure`]). All of them see one history.

use mlroll_backend::{RevisionId, Target, Timestamp, TrafficSplit, Window};

use crate::scenario::Scenario;

/// The simulated users of all targets, and the history of their requests.
#[derive(Debug)]
pub struct Traffic {}

/// What became of the requests to one revision in one window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// How many there were.
    pub requests: u64,
    /// How many failed (5xx) of them.
    pub errors: u64,
}

impl Traffic {
    /// The users of a scenario, who have been asking its stable revisions since long before `now`.
    #[must_use]
    pub fn new(_scenario: &Scenario, _now: Timestamp) -> Self {
        Self {}
    }

    /// From `at` on, requests to `target` go where `split` says. Earlier requests stay where they went.
    pub fn route(&mut self, _target: &Target, _split: &TrafficSplit, _at: Timestamp) {}

    /// What became of the requests to `revision` of `target` in `window`, which may lie before the sandbox began.
    #[must_use]
    pub fn measure(&mut self, _target: &Target, _revision: &RevisionId, _window: Window) -> Measured {
        Measured::default()
    }
}
