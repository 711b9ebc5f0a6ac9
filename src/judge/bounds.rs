//! Where the effect of an experiment lies: what none of its two tests has rejected at any look (docs/judge.md section 3.10).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::counts::Counts;
use super::design_effect::DesignEffect;
use super::exact::Exact;
use super::ledger::{Direction, ln_e_of_sums};
use super::roots::brent;

/// The ends so far: `ln` of the ratio of the rates (candidate / stable), or the difference of a t test. The intersection of the
/// intervals of all looks. Serializes exactly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    lower: Option<Exact>,
    upper: Option<Exact>,
    /// What the test that the candidate is worse has read, of a metric that counts.
    #[serde(default, skip_serializing_if = "Fed::is_empty")]
    worse: Fed,
    /// The same of the other one, to which the candidate is stable and stable the candidate.
    #[serde(default, skip_serializing_if = "Fed::is_empty")]
    better: Fed,
}

/// One of the two tests at one look.
#[derive(Clone, Copy, Debug)]
pub struct OneSided<'a> {
    /// What it reads of the look: candidate and stable as they are to it, each part of the traffic by itself.
    pub strata: &'a [(Counts, Counts)],
    /// Whether it rejects "no difference" with this look.
    pub rejects: bool,
}

impl Bounds {
    /// Books one look of counts. Both tests bet on `direction`, without slack and restarts, and need `ln E` of `needed`.
    pub fn count(
        &mut self,
        direction: Direction,
        effect: DesignEffect,
        needed: f64,
        worse: OneSided<'_>,
        better: OneSided<'_>,
    ) {
        // A test that bets on more has rejected all ratios up to its end; one that bets on less, all from its end on. To the second
        // test the ratio is the inverse.
        let (sign, lower, upper) = match direction {
            Direction::Down => (-1.0, self.upper, self.lower),
            Direction::Up => (1.0, self.lower, self.upper),
        };
        let excess = |fed: &Fed, end: f64| fed.ln_e(direction, sign * end, effect) - needed;
        let signed = |end: Option<Exact>, sign: f64| end.map(|end| sign * end.0);
        self.worse.look(worse.strata);
        self.better.look(better.strata);
        let by_worse = advance(signed(lower, sign), worse.rejects, |end| excess(&self.worse, end));
        let by_better = advance(signed(upper, -sign), better.rejects, |end| excess(&self.better, end));
        let (by_worse, by_better) = (by_worse.map(|end| sign * end), by_better.map(|end| -sign * end));
        match direction {
            Direction::Down => self.narrow(by_better, by_worse),
            Direction::Up => self.narrow(by_worse, by_better),
        }
    }

    /// Books one look of a t test: where the mean difference lies by all windows so far, if it is bounded, and whether "not above
    /// 0" and "not below 0" are rejected with it.
    pub fn value(&mut self, interval: Option<(f64, f64)>, above: bool, below: bool) {
        let Some((lower, upper)) = interval else { return };
        // Rounding may put an end on the other side of 0 than the test is.
        let lower = if above { lower.max(f64::MIN_POSITIVE) } else { lower.min(0.0) };
        let upper = if below { upper.min(-f64::MIN_POSITIVE) } else { upper.max(0.0) };
        self.narrow(Some(lower), Some(upper));
    }

    /// The smallest and the largest that is not rejected; `None`: not bounded.
    #[must_use]
    pub fn ends(&self) -> (Option<f64>, Option<f64>) {
        (self.lower.map(|end| end.0), self.upper.map(|end| end.0))
    }

    /// What is rejected once stays so. Where nothing would be left, the effect has changed in the meantime: the end that was there
    /// first stays.
    fn narrow(&mut self, lower: Option<f64>, upper: Option<f64>) {
        if let Some(lower) = lower.filter(|end| self.lower.is_none_or(|now| now.0 < *end)) {
            self.lower = Some(Exact(self.upper.map_or(lower, |upper| lower.min(upper.0))));
        }
        if let Some(upper) = upper.filter(|end| self.upper.is_none_or(|now| now.0 > *end)) {
            self.upper = Some(Exact(self.lower.map_or(upper, |lower| upper.max(lower.0))));
        }
    }
}

/// No ratio farther from 1 than this is told, in `ln`.
const REACH: f64 = 600.0;

/// The least that tells an end from no difference: `exp` of less is 1.
const LEAST: f64 = f64::EPSILON;

/// How far a test rejects, all below being rejected: at most to where it did before, or to where `excess`, which falls, crosses 0. Whether
/// 0 itself is rejected is known, and rounding does not decide it again.
fn advance(before: Option<f64>, rejects: bool, excess: impl Fn(f64) -> f64) -> Option<f64> {
    // The first step from `low` at whose end nothing is rejected.
    let beyond = |low: f64, most: f64| {
        let mut step = 1.0 / 64.0;
        while low + step < most && excess(low + step) >= 0.0 {
            step *= 2.0;
        }
        (low + step).min(most)
    };
    let (low, high) = match before {
        _ if rejects => {
            let low = before.unwrap_or(0.0).max(0.0);
            (low, beyond(low, REACH))
        }
        Some(low) if low >= 0.0 => return before,
        Some(low) => (low, beyond(low, 0.0)),
        None if excess(-REACH) < 0.0 => return None,
        None => {
            let mut low = -1.0 / 16.0;
            while low > -REACH && excess(low) < 0.0 {
                low = (low * 2.0).max(-REACH);
            }
            (low, (low / 2.0).min(0.0))
        }
    };
    let (at_low, at_high) = (excess(low), excess(high));
    let found = match (at_low >= 0.0, at_high >= 0.0) {
        (true, true) => Some(high),
        (true, false) => Some(brent(excess, (low, at_low), (high, at_high), 1e-12).clamp(low, high)),
        (false, _) => before,
    };
    if rejects { Some(found.unwrap_or(0.0).max(LEAST)) } else { found.map(|end| end.min(0.0)) }
}

/// What a test without slack needs of the counts so far to say its `E` at any ratio.
///
/// A look adds `x_c ln g - x ln(1 + (g - 1) p)` with `x` the events of both, and `p = 1 / (1 + n_b / (r n_c))`: a smooth function of
/// `ln r + ln(n_c / n_b)`, summed over looks with weights `x`. The sum is kept as one over fixed nodes, [`NODES`] in each stretch of
/// [`WIDTH`] of `ln(n_c / n_b)`, with the weights of Lagrange's interpolation; its nearest pole is pi away, so that it is exact to 1e-13 of
/// the events. So the state does not grow with the looks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fed {
    events: f64,
    cells: BTreeMap<i32, [f64; NODES.len()]>,
}

/// The length of a stretch of `ln(n_c / n_b)`.
const WIDTH: f64 = 0.25;

/// Chebyshev's nodes, `cos((2 m + 1) pi / 16)`.
const NODES: [f64; 8] = [
    0.980_785_280_403_230_4,
    0.831_469_612_302_545_2,
    0.555_570_233_019_602_2,
    0.195_090_322_016_128_28,
    -0.195_090_322_016_128_28,
    -0.555_570_233_019_602_2,
    -0.831_469_612_302_545_2,
    -0.980_785_280_403_230_4,
];

impl Fed {
    fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    fn look(&mut self, strata: &[(Counts, Counts)]) {
        for (candidate, stable) in strata {
            let events = candidate.events() + stable.events();
            if candidate.requests() <= 0.0 || stable.requests() <= 0.0 || events <= 0.0 {
                continue;
            }
            self.events += candidate.events();
            let place = (candidate.requests().ln() - stable.requests().ln()) / WIDTH;
            let within = 2.0 * (place - place.floor()) - 1.0;
            let cell = self.cells.entry(place.floor() as i32).or_default();
            for (weight, node) in cell.iter_mut().zip(NODES) {
                let others = NODES.iter().filter(|other| **other != node);
                *weight += events * others.map(|other| (within - other) / (node - other)).product::<f64>();
            }
        }
    }

    fn ln_e(&self, direction: Direction, ln_ratio: f64, effect: DesignEffect) -> f64 {
        let shares: Vec<(f64, f64)> = self
            .cells
            .iter()
            .flat_map(|(cell, weights)| {
                NODES.iter().zip(weights).map(move |(node, weight)| {
                    let place = WIDTH * (f64::from(*cell) + f64::midpoint(*node, 1.0));
                    (1.0 / (1.0 + (-ln_ratio - place).exp()), *weight)
                })
            })
            .collect();
        ln_e_of_sums(direction, |g| {
            let both: f64 = shares.iter().map(|(share, weight)| weight * ((g - 1.0) * share).ln_1p()).sum();
            (self.events * g.ln() - both) / effect.factor()
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::judge::counts::Boundary;

    fn looks() -> impl Strategy<Value = Vec<(Counts, Counts)>> {
        let side = (1.0f64..1e5, 0.0f64..=1.0);
        let side = side.prop_map(|(requests, share)| Counts::new(requests, requests * share * share).unwrap());
        prop::collection::vec((side.clone(), side), 1..40)
    }

    proptest! {
        /// At any ratio the same as look by look.
        #[test]
        fn nodes_say_what_the_looks_say(looks in looks(), ln_ratio in -30.0f64..30.0, up in any::<bool>()) {
            let direction = if up { Direction::Up } else { Direction::Down };
            let mut fed = Fed::default();
            fed.look(&looks);
            let boundary = Boundary { ratio: ln_ratio.exp(), abs: 0.0 };
            let want = ln_e_of_sums(direction, |g| looks.iter().map(|(c, b)| boundary.increment(*c, *b, g, 1.0)).sum());
            let got = fed.ln_e(direction, ln_ratio, DesignEffect::NONE);
            let events: f64 = looks.iter().map(|(c, b)| c.events() + b.events()).sum();
            prop_assert!((got - want).abs() <= 1e-11 * (1.0 + events), "{} {}", got, want);
        }
    }

    #[test]
    fn an_end_never_goes_back_and_never_passes_the_other() {
        let mut bounds = Bounds::default();
        bounds.value(None, false, false);
        assert_eq!(bounds.ends(), (None, None));
        for ((lower, upper), want) in
            [((-3.0, 2.0), (-3.0, 2.0)), ((-2.0, 4.0), (-2.0, 2.0)), ((-5.0, 1.0), (-2.0, 1.0))]
        {
            bounds.value(Some((lower, upper)), false, false);
            assert_eq!(bounds.ends(), (Some(want.0), Some(want.1)));
        }
        // It is above 1 later: what was known before stays known.
        bounds.value(Some((3.0, 5.0)), true, false);
        assert_eq!(bounds.ends(), (Some(1.0), Some(1.0)));
        bounds.value(Some((-5.0, -3.0)), false, true);
        assert_eq!(bounds.ends(), (Some(1.0), Some(1.0)));
    }
}
