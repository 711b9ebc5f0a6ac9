//! One running counting test: a boundary or a limit, and its ledger (docs/judge.md sections 3.2 and 3.3).

use serde::{Deserialize, Serialize};

use super::counts::{Boundary, Counts};
use super::ledger::{Direction, Ledger, Stake};
use super::limit::Limit;

/// What the candidate's rate is held against.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    /// A fixed rate.
    Limit(Limit),
    /// Stable's rate, held against the candidate's: the same test with the sides exchanged.
    Mirrored(Boundary),
    /// The stable revision's rate in the same look.
    Stable(Boundary),
}

/// A counting test under way. Serializes exactly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountingTest {
    against: Against,
    ledger: Ledger,
}

impl Against {
    /// The log-likelihood ratio of grid point `g` for one look, in nats; `design_effect >= 1` divides it.
    #[must_use]
    pub fn increment(self, candidate: Counts, stable: Counts, g: f64, design_effect: f64) -> f64 {
        match self {
            Self::Limit(limit) => limit.increment(candidate, g, design_effect),
            Self::Mirrored(boundary) => boundary.increment(stable, candidate, g, design_effect),
            Self::Stable(boundary) => boundary.increment(candidate, stable, g, design_effect),
        }
    }
}

impl CountingTest {
    /// A test before its first look. `Up` rejects "at most the boundary", `Down` rejects "at least the boundary".
    #[must_use]
    pub fn new(against: Against, direction: Direction, stake: Stake) -> Self {
        let ledger = match against {
            Against::Limit(limit) => Ledger::below(direction, stake, limit.share()),
            Against::Mirrored(_) | Against::Stable(_) => Ledger::new(direction, stake),
        };
        Self { against, ledger }
    }

    /// Books one look; a limit does not read `stable`. `design_effect >= 1`, frozen for the life of the test.
    pub fn look(&mut self, candidate: Counts, stable: Counts, design_effect: f64) {
        self.look_at_strata(&[(candidate, stable)], design_effect);
    }

    /// Books one look that is split into strata (region, model, endpoint): increments add up within a look.
    pub fn look_at_strata(&mut self, strata: &[(Counts, Counts)], design_effect: f64) {
        let against = self.against;
        self.ledger.look(|g| {
            strata.iter().map(|(candidate, stable)| against.increment(*candidate, *stable, g, design_effect)).sum()
        });
    }

    /// What the test holds the candidate against.
    #[must_use]
    pub fn against(&self) -> Against {
        self.against
    }

    /// The evidence so far.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The same test before its first look.
    #[must_use]
    pub fn restarted(&self) -> Self {
        Self { against: self.against, ledger: self.ledger.restarted() }
    }
}
