//! The shape gate: is the candidate stochastically no slower than stable, at every bucket bound (docs/judge.md section 3.4)? Of
//! scores both tails are asked for: has either grown?

use serde::{Deserialize, Serialize};

use super::combine::ln_mean;
use super::counting::{Against, CountingTest};
use super::counts::{Counts, InvalidCounts};
use super::design_effect::DesignEffect;
use super::exact::Exact;
use super::gate::{Better, ShapeRule};
use super::histogram::{Exceedances, Histogram};
use super::ledger::Stake;

/// The tests at all bucket bounds, which are frozen. Serializes exactly.
///
/// FAIL is the plain mean of the e-processes of "slower than the bound": an e-process again. PASS asks for all of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShapeEvidence {
    bounds: Vec<AtBound>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AtBound {
    seconds: Exact,
    /// Whether requests up to the bound are counted, and not those above it.
    #[serde(default, skip_serializing_if = "is_false")]
    below: bool,
    fail: CountingTest,
    pass: CountingTest,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

impl ShapeEvidence {
    /// Tests before their first look, at the bounds of the histograms of this source (finite, in their unit).
    #[must_use]
    pub fn new(bounds: impl IntoIterator<Item = f64>, rule: ShapeRule, planned: Option<u64>) -> Self {
        let stake = planned.map_or(Stake::Once, Stake::Spread);
        let boundaries = rule.boundaries;
        let at = |bound, below| AtBound {
            seconds: Exact(bound),
            below,
            fail: CountingTest::new(Against::Stable(boundaries.fail), Better::Lower.fail(), stake),
            pass: CountingTest::new(Against::Stable(boundaries.pass), Better::Lower.pass(), Stake::Once),
        };
        let tails: &[bool] = if rule.both_tails { &[false, true] } else { &[false] };
        Self { bounds: bounds.into_iter().flat_map(|bound| tails.iter().map(move |below| at(bound, *below))).collect() }
    }

    /// Books one look.
    ///
    /// # Errors
    /// Equal bounds of a histogram added up to more than 1e15 requests.
    pub fn look(&mut self, ours: &Histogram, theirs: &Histogram, effect: DesignEffect) -> Result<(), InvalidCounts> {
        let beyond = |at: &AtBound| Ok((at.beyond(ours)?, at.beyond(theirs)?));
        let counted = self.bounds.iter().map(beyond).collect::<Result<Vec<_>, InvalidCounts>>()?;
        for (at, (ours, theirs)) in self.bounds.iter_mut().zip(counted) {
            at.fail.look(ours.at_least, theirs.at_most, effect.factor());
            at.pass.look(ours.at_most, theirs.at_least, effect.factor());
        }
        Ok(())
    }

    /// `ln` of the mean of the FAIL E; decides at `ln(1 / alpha)`.
    #[must_use]
    pub fn ln_e_fail(&self) -> f64 {
        let ln_es: Vec<f64> = self.bounds.iter().map(|at| at.fail.ledger().ln_e()).collect();
        ln_mean(&ln_es)
    }

    /// The smallest `ln E` of the PASS tests, as all of them must pass; 0 without a bound.
    #[must_use]
    pub fn ln_e_pass(&self) -> f64 {
        self.bounds.iter().map(|at| at.pass.ledger().ln_e()).reduce(f64::min).unwrap_or(0.0)
    }

    /// Starts the PASS tests anew, as each step of a rollout does.
    pub fn restart_pass(&mut self) {
        for at in &mut self.bounds {
            at.pass = at.pass.restarted();
        }
    }
}

impl AtBound {
    /// The requests in the tail that is watched.
    fn beyond(&self, histogram: &Histogram) -> Result<Exceedances, InvalidCounts> {
        let above = histogram.above(self.seconds.0)?;
        if !self.below {
            return Ok(above);
        }
        let rest = |counts: Counts| Counts::new(counts.requests(), counts.rest());
        Ok(Exceedances { at_least: rest(above.at_most)?, at_most: rest(above.at_least)? })
    }
}
