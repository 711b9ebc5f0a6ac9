//! What all APIs of a sandbox share.

use mlroll_backend::Timestamp;

use crate::Clock;
use crate::scenario::Scenario;
use crate::traffic::Traffic;

/// The clock, the simulated users, and the state of each control plane.
#[derive(Debug)]
pub struct World {
    /// The sandbox's time.
    pub clock: Clock,
    /// The requests of simulated users.
    pub traffic: Traffic,
    /// What the world was made of.
    pub scenario: Scenario,
}

impl World {
    /// The world of a scenario.
    #[must_use]
    pub fn new(scenario: Scenario, clock: Clock) -> Self {
        let traffic = Traffic::new(&scenario, clock.now());
        Self { clock, traffic, scenario }
    }

    /// The moment it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
