//! A candidate that gets no traffic has no errors either (docs/judge.md sections 3.8 and 9).

use serde::{Deserialize, Serialize};

use super::counting::{Against, CountingTest};
use super::counts::{Counts, InvalidCounts};
use super::design_effect::DesignEffect;
use super::ledger::{Direction, Ledger, Stake};
use super::limit::Limit;

/// Evidence that the candidate gets less than half of its share of the requests: test 3.3 `down`, tau = weight / 2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Starvation {
    test: CountingTest,
}

impl Starvation {
    /// A test for a candidate at `weight`, a share strictly between 0 and 1 of the traffic of both revisions.
    ///
    /// # Errors
    /// The weight is not strictly between 0 and 1.
    pub fn new(weight: f64, stake: Stake) -> Result<Self, String> {
        if weight <= 0.0 || weight >= 1.0 {
            return Err(format!(
                "the weight of a candidate on trial lies between 0 and 1, both excluded, not {weight}"
            ));
        }
        Ok(Self { test: CountingTest::new(Against::Limit(Limit::new(weight / 2.0)?), Direction::Down, stake) })
    }

    /// Books the requests of one look. No request on either side is no evidence.
    ///
    /// # Errors
    /// A count is not from 0 to 1e15, or both together are not.
    pub fn look(&mut self, candidate: f64, stable: f64, design_effect: DesignEffect) -> Result<(), InvalidCounts> {
        let (candidate, stable) = (Counts::new(candidate, candidate)?, Counts::new(stable, 0.0)?);
        let both = candidate.plus(stable);
        self.test.look(Counts::new(both.requests(), both.events())?, Counts::NONE, design_effect.factor());
        Ok(())
    }

    /// The evidence so far; starved at `ln E >= ln(1 / alpha)`.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        self.test.ledger()
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn silence_of_the_candidate_alone_is_evidence() {
        let mut starved = Starvation::new(0.1, Stake::Once).unwrap();
        starved.look(0.0, 0.0, DesignEffect::NONE).unwrap();
        assert_eq!(starved.ledger().ln_e(), 0.0);
        starved.look(0.0, 200.0, DesignEffect::NONE).unwrap();
        assert!(starved.ledger().ln_e() > 100f64.ln());
    }

    #[test]
    fn a_full_share_is_none() {
        let mut starved = Starvation::new(0.1, Stake::Spread(50)).unwrap();
        for _ in 0..50 {
            starved.look(20.0, 180.0, DesignEffect::NONE).unwrap();
        }
        assert!(starved.ledger().ln_e() < 0.0);
        assert!(Starvation::new(0.0, Stake::Once).is_err() && Starvation::new(1.0, Stake::Once).is_err());
    }
}
