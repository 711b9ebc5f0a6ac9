//! Whether two revisions get the requests that the split promises: the sample ratio of an experiment.

use serde::{Deserialize, Serialize};

use super::combine::ln_mean;
use super::counting::{Against, CountingTest};
use super::counts::Counts;
use super::ledger::{Direction, Stake};
use super::limit::Limit;

/// How far a share may be off, as a part of the smaller one: stores that extrapolate are off by as much in single windows.
pub const TOLERANCE: f64 = 0.02;

/// The chance of stopping an experiment whose splitter works.
pub const ALPHA: f64 = 0.001;

/// Evidence that the requests are not split as they should be: test 3.3 on the smaller share, in both directions, each at
/// half of [`ALPHA`]. Serializes exactly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleRatio {
    /// Whether the candidate has the larger share, so that stable's requests are counted.
    counts_stable: bool,
    more: CountingTest,
    less: CountingTest,
}

impl SampleRatio {
    /// A test for a candidate whose share of the traffic of both is `share`.
    ///
    /// # Errors
    /// The share is not strictly between 0 and 1.
    pub fn new(share: f64) -> Result<Self, String> {
        let counts_stable = share > 0.5;
        let smaller = if counts_stable { 1.0 - share } else { share };
        let test = |times: f64, direction| {
            let limit = Limit::new(smaller * times)?;
            Ok::<_, String>(CountingTest::new(Against::Limit(limit), direction, Stake::Once))
        };
        let (more, less) = (test(1.0 + TOLERANCE, Direction::Up)?, test(1.0 - TOLERANCE, Direction::Down)?);
        Ok(Self { counts_stable, more, less })
    }

    /// Books the requests of one look. Counts that make no sense together are no evidence.
    pub fn look(&mut self, candidate: f64, stable: f64) {
        let counted = if self.counts_stable { stable } else { candidate };
        let Ok(counts) = Counts::new(candidate + stable, counted) else { return };
        for test in [&mut self.more, &mut self.less] {
            test.look(counts, Counts::NONE, 1.0);
        }
    }

    /// `ln` of the mean of both E.
    #[must_use]
    pub fn ln_e(&self) -> f64 {
        ln_mean(&[self.more.ledger().ln_e(), self.less.ledger().ln_e()])
    }

    /// What `ln E` needs: `ln(1 / ALPHA)`.
    #[must_use]
    pub fn needed() -> f64 {
        -ALPHA.ln()
    }

    /// Whether the split is shown not to be kept.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.ln_e() >= Self::needed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_that_is_off_is_found_and_a_true_one_is_not() {
        for (share, candidate, stable, off) in [
            (0.5, 500.0, 500.0, false),
            (0.5, 505.0, 500.0, false),
            (0.5, 350.0, 500.0, true),
            (0.5, 500.0, 350.0, true),
            (0.5, 0.0, 500.0, true),
            (0.1, 100.0, 900.0, false),
            (0.1, 70.0, 900.0, true),
            (0.9, 700.0, 100.0, true),
            (0.99, 990.0, 10.0, false),
            (0.99, 990.0, 4.0, true),
            (0.99, 990.0, 25.0, true),
        ] {
            let mut ratio = SampleRatio::new(share).unwrap();
            for _ in 0..60 {
                ratio.look(candidate, stable);
            }
            assert_eq!(ratio.is_off(), off, "{share} {candidate} {stable}: {}", ratio.ln_e());
        }
        for share in [0.0, 1.0, -0.1, f64::NAN] {
            assert!(SampleRatio::new(share).is_err(), "{share}");
        }
    }
}
