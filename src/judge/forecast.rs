//! What a counting gate can see before it has seen anything: how soon, how small, how surely (docs/judge.md section 3.9).
//!
//! Formulas, good to a look or two; [`crate::foresight`] simulates where that is not enough.

use super::counting::Against;
use super::counts::Counts;
use super::design_effect::DesignEffect;
use super::gate::{Better, CountRule};
use super::ledger::{Direction, grid};
use super::math::normal_cdf;
use super::power::START_COST;

/// A counting gate with its part of the risk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stakes {
    /// The rule.
    pub rule: CountRule,
    /// Its part of the rollout's alpha, between 0 and 1.
    pub alpha: f64,
    /// How bursty its events are.
    pub effect: DesignEffect,
}

/// The traffic of one look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Requests of both revisions together, above 0.
    pub requests: f64,
    /// The candidate's share of them, above 0 and up to 1.
    pub share: f64,
    /// The share of stable's requests that are events.
    pub base_rate: f64,
}

/// What one test gains, in nats per candidate request.
#[derive(Clone, Copy, Debug)]
struct Gain {
    mean: f64,
    variance: f64,
}

impl Load {
    /// Candidate requests in a look.
    #[must_use]
    pub fn candidate(&self) -> f64 {
        self.requests * self.share
    }

    /// Stable requests in a look.
    #[must_use]
    pub fn stable(&self) -> f64 {
        self.requests - self.candidate()
    }
}

impl Stakes {
    /// Candidate requests until it fails a candidate whose rate of events is `rate`, in half of the cases; `None` when it
    /// never does.
    #[must_use]
    pub fn requests_to_fail(&self, load: &Load, rate: f64) -> Option<f64> {
        let gain = self.gain_to_fail(load, rate).filter(|gain| gain.mean > 0.0)?;
        Some(self.price() / gain.mean).filter(|requests| requests.is_finite())
    }

    /// The chance that it fails within `looks` a candidate whose rate is `rate`: the first passage of a random walk with
    /// drift, taken as Gaussian (the inverse Gaussian distribution).
    #[must_use]
    pub fn chance_to_fail(&self, load: &Load, rate: f64, looks: f64) -> f64 {
        let Some(gain) = self.gain_to_fail(load, rate).filter(|gain| gain.mean > 0.0 && gain.variance > 0.0) else {
            return 0.0;
        };
        let requests = load.candidate() * looks;
        let (drift, spread) = (gain.mean * requests, (gain.variance * requests).sqrt());
        let price = self.price();
        let reflected = (2.0 * price * gain.mean / gain.variance).min(700.0).exp();
        (normal_cdf((drift - price) / spread) + reflected * normal_cdf((-drift - price) / spread)).clamp(0.0, 1.0)
    }

    /// The rate nearest to stable's that it fails, in half of the cases, within `looks`; `None` when there is none.
    #[must_use]
    pub fn smallest_seen(&self, load: &Load, looks: f64) -> Option<f64> {
        let available = load.candidate() * looks;
        self.nearest(load.base_rate, |rate| self.requests_to_fail(load, rate).is_some_and(|needed| needed <= available))
    }

    /// The rate nearest to `base_rate`, among worse ones, that is seen; `None` when none is.
    #[must_use]
    pub fn nearest(&self, base_rate: f64, seen: impl Fn(f64) -> bool) -> Option<f64> {
        let worst = match self.rule.better {
            Better::Higher => 0.0,
            Better::Lower => 1.0,
        };
        if !seen(worst) {
            return None;
        }
        let (mut unseen, mut found) = (base_rate, worst);
        // What is not seen lies on one side: halved until the rest does not matter.
        for _ in 0..60 {
            let middle = 0.5 * (unseen + found);
            if seen(middle) { found = middle } else { unseen = middle }
        }
        Some(found)
    }

    /// Candidate requests until it passes, at `beta`, a candidate whose rate is `rate`, in half of the cases; `None` when it
    /// never does.
    #[must_use]
    pub fn requests_to_pass(&self, load: &Load, rate: f64, beta: f64) -> Option<f64> {
        let mut needed = self.rule.pass().map(|against| {
            let gain = self.gain(load, rate, against, self.rule.better.pass()).filter(|gain| gain.mean > 0.0)?;
            Some((START_COST - beta.ln()) / gain.mean).filter(|requests| requests.is_finite())
        });
        // All of its tests must pass: the slowest of them decides.
        needed.try_fold(0.0, |most: f64, needed| Some(most.max(needed?)))
    }

    /// The rate at which it stops tolerating a candidate: the strictest of its limits.
    #[must_use]
    pub fn tolerated(&self, base_rate: f64) -> f64 {
        let limits = self.rule.fail().filter_map(|against| match against {
            Against::Limit(limit) => Some(limit.share()),
            // It stops tolerating one that is better.
            Against::Mirrored(_) => None,
            Against::Stable(boundary) => Some(boundary.at(base_rate)),
        });
        let strictest = match self.rule.better {
            Better::Higher => limits.reduce(f64::max),
            Better::Lower => limits.reduce(f64::min),
        };
        strictest.unwrap_or(base_rate).clamp(0.0, 1.0)
    }

    /// The rate of a candidate that is `times` as bad as one at `base_rate`, at most 1.
    #[must_use]
    pub fn worse(&self, base_rate: f64, times: f64) -> f64 {
        match self.rule.better {
            Better::Higher => base_rate / times,
            Better::Lower => (base_rate * times).min(1.0),
        }
    }

    /// How many times as bad as one at `base_rate` a candidate at `rate` is; `None` where stable's rate is 0.
    #[must_use]
    pub fn times(&self, base_rate: f64, rate: f64) -> Option<f64> {
        let times = match self.rule.better {
            Better::Higher => base_rate / rate,
            Better::Lower => rate / base_rate,
        };
        Some(times).filter(|times| times.is_finite())
    }

    /// Whether a candidate at `rate` is within what it tolerates.
    #[must_use]
    pub fn tolerates(&self, base_rate: f64, rate: f64) -> bool {
        match self.rule.better {
            Better::Higher => rate >= self.tolerated(base_rate),
            Better::Lower => rate <= self.tolerated(base_rate),
        }
    }

    /// Nats that one test must bring, where E is the mean over several.
    fn price(&self) -> f64 {
        -self.alpha.ln() + START_COST + (self.rule.fail().count().max(1) as f64).ln()
    }

    fn gain_to_fail(&self, load: &Load, rate: f64) -> Option<Gain> {
        let gains = self.rule.fail().filter_map(|against| self.gain(load, rate, against, self.rule.better.fail()));
        gains.reduce(better)
    }

    fn gain(&self, load: &Load, rate: f64, against: Against, direction: Direction) -> Option<Gain> {
        grid(direction).filter_map(|g| self.one(load, rate, against, g)).reduce(better)
    }

    /// The gain of one grid point; increments are linear in the counts, so it is read off where one of them is 1.
    fn one(&self, load: &Load, rate: f64, against: Against, g: f64) -> Option<Gain> {
        let others = (1.0 - load.share) / load.share;
        let factor = self.effect.factor();
        let increment = |events: f64, stable_events: f64| {
            let candidate = Counts::new(1.0, events).ok()?;
            let l = match against {
                Against::Limit(limit) if g * limit.share() >= 1.0 => return None,
                Against::Limit(limit) => limit.increment(candidate, g, factor),
                Against::Mirrored(_) | Against::Stable(_) if others <= 0.0 => return None,
                Against::Mirrored(boundary) => {
                    boundary.increment(Counts::new(others, stable_events * others).ok()?, candidate, g, factor)
                }
                Against::Stable(boundary) => {
                    boundary.increment(candidate, Counts::new(others, stable_events * others).ok()?, g, factor)
                }
            };
            Some(l).filter(|l| l.is_finite())
        };
        let nothing = increment(0.0, 0.0)?;
        let (ours, theirs) = (increment(1.0, 0.0)? - nothing, increment(0.0, 1.0)? - nothing);
        let base = load.base_rate;
        let mean = nothing + rate * ours + base * theirs;
        // `theirs` is for all stable requests that go with one candidate request.
        let stable = if others > 0.0 { base * (1.0 - base) * theirs * theirs / others } else { 0.0 };
        let variance = factor * (rate * (1.0 - rate) * ours * ours + stable);
        Some(Gain { mean, variance })
    }
}

const fn better(best: Gain, next: Gain) -> Gain {
    if next.mean > best.mean { next } else { best }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::counts::Boundary;
    use crate::judge::gate::Boundaries;
    use crate::judge::limit::Limit;
    use crate::judge::power::{Assumed, gain_against_stable};

    fn stakes(limit: Option<f64>, boundaries: bool) -> Stakes {
        let fail = Boundary { ratio: 1.0, abs: 0.0 };
        let boundaries = boundaries.then_some(Boundaries { fail, pass: Boundary { ratio: 1.5, abs: 0.001 } });
        let limit = limit.map(|tau| Limit::new(tau).unwrap());
        Stakes {
            rule: CountRule { better: Better::Lower, limit, boundaries, two_sided: false },
            alpha: 0.01,
            effect: DesignEffect::NONE,
        }
    }

    #[test]
    fn agrees_with_the_formula_and_the_example_of_the_page() {
        let (gate, load) = (stakes(None, true), Load { requests: 3000.0, share: 0.1, base_rate: 0.005 });
        let needed = gate.requests_to_fail(&load, 0.01).unwrap();
        let assumed = Assumed { candidate_rate: 0.01, stable_rate: 0.005, stable_per_candidate: 9.0 };
        let equal = Boundary { ratio: 1.0, abs: 0.0 };
        let gain = gain_against_stable(assumed, equal, gate.rule.better.fail(), DesignEffect::NONE);
        assert!((needed - (100f64.ln() + START_COST) / gain).abs() < 1e-6 * needed, "{needed}");
        assert!(gate.requests_to_fail(&load, 0.005).is_none_or(|needed| needed > 1e9));
    }

    #[test]
    fn the_smallest_that_is_seen_is_seen_and_a_smaller_one_is_not() {
        for gate in [stakes(None, true), stakes(Some(0.01), false), stakes(Some(0.02), true)] {
            let load = Load { requests: 600.0, share: 0.1, base_rate: 0.005 };
            let rate = gate.smallest_seen(&load, 9.0).unwrap();
            let within = |rate: f64| gate.requests_to_fail(&load, rate).is_some_and(|needed| needed <= 540.0 + 1e-6);
            assert!(rate > 0.005 && within(rate) && !within(rate * 0.98), "{rate}");
            let chance = gate.chance_to_fail(&load, rate, 9.0);
            assert!((0.4..0.75).contains(&chance), "{chance}");
            assert!(gate.chance_to_fail(&load, rate * 2.0, 9.0) > chance);
        }
    }

    #[test]
    fn all_traffic_leaves_nobody_to_compare_with() {
        let alone = Load { requests: 600.0, share: 1.0, base_rate: 0.005 };
        assert_eq!(stakes(None, true).requests_to_fail(&alone, 0.5), None);
        assert!(stakes(Some(0.01), true).requests_to_fail(&alone, 0.5).is_some());
    }
}
