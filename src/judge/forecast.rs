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

/// One grid point of a PASS test.
#[derive(Clone, Copy, Debug)]
struct Bet {
    gain: Gain,
    /// Nats that it must bring.
    price: f64,
    /// Candidate requests before which it cannot; negative: it never can.
    least: f64,
    /// Candidate requests in a look.
    look: f64,
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
        let Some(gain) = self.gain_to_fail(load, rate).filter(|gain| gain.mean > 0.0) else { return 0.0 };
        gain.passage(self.price(), load.candidate() * looks)
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
        Some(self.looks_to_pass(load, rate, beta, 0.5)? * load.candidate())
    }

    /// The chance that it passes, at `beta`, a candidate whose rate is `rate` at one of `looks` looks: that its evidence comes to
    /// `1 / beta` at one of them, as a bake ends there.
    ///
    /// A first passage as in [`Self::chance_to_fail`], of the grid point that makes it most likely: chance that is kind to the candidate
    /// brings more to one that bets on more. Points beside it bring about as much as it does. All of its tests must pass, and at one
    /// look: of a limit and a boundary what is told is the chance of the less likely one, as if the other had passed by then. Of two boundaries,
    /// where either change counts, it is as if one failed to show where the other did not: what is kind to one is not to the other. It is 0 while not even a candidate without any event would pass, or one of nothing else. That FAIL may come first, which has
    /// at most alpha, is left out, and so is the shortest bake that may pass.
    #[must_use]
    pub fn chance_to_pass(&self, load: &Load, rate: f64, beta: f64, looks: f64) -> f64 {
        chance_to_pass(&self.bets_to_pass(load, rate, beta), looks)
    }

    /// The looks, not always a whole number of them, after which that chance is `chance`; `None` when it never is.
    #[must_use]
    pub fn looks_to_pass(&self, load: &Load, rate: f64, beta: f64, chance: f64) -> Option<f64> {
        let tests = self.bets_to_pass(load, rate, beta);
        let passes = |looks: f64| chance_to_pass(&tests, looks) >= chance;
        let mut enough =
            std::iter::successors(Some(1.0), |looks| Some(looks * 2.0)).take(50).find(|looks| passes(*looks))?;
        let mut few = 0.0;
        for _ in 0..50 {
            let middle = 0.5 * (few + enough);
            if passes(middle) { enough = middle } else { few = middle }
        }
        Some(enough)
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

    /// The bets of each PASS test.
    fn bets_to_pass(&self, load: &Load, rate: f64, beta: f64) -> Vec<(Against, Vec<Bet>)> {
        let test = |against: Against| -> (Against, Vec<Bet>) {
            let of = |rate: f64| grid(self.rule.better.pass()).filter_map(move |g| self.one(load, rate, against, g));
            let points = of(rate).count();
            let weight = |j: usize| if j > points { 0.0 } else { 2.0 * j as f64 / (points * (points + 1)) as f64 };
            // Linear in the rate: most is gained at an end.
            let best = of(0.0).zip(of(1.0)).map(|(none, all)| none.mean.max(all.mean));
            let bets = of(rate).zip(best).zip(1..).map(|((gain, best), j)| {
                let together = weight(j - 1) + weight(j) + weight(j + 1);
                // Evidence is read after looks, not between them: that is as if more were asked for (Siegmund, 1985).
                let between = 0.583 * (gain.variance * load.candidate()).sqrt();
                let price = -(together * beta).ln();
                Bet { gain, price: price + between, least: price / best, look: load.candidate() }
            });
            (against, bets.collect())
        };
        self.rule.pass().map(test).collect()
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

/// All tests must pass; of each, the bet that most likely shows it.
fn chance_to_pass(tests: &[(Against, Vec<Bet>)], looks: f64) -> f64 {
    let (mut limit, mut boundaries) = (1.0, 1.0);
    for (against, bets) in tests {
        let chance = bets.iter().map(|bet| bet.chance(looks)).fold(0.0, f64::max);
        match against {
            Against::Limit(_) => limit = chance,
            Against::Mirrored(_) | Against::Stable(_) => boundaries = f64::max(boundaries + chance - 1.0, 0.0),
        }
    }
    if tests.is_empty() { 0.0 } else { f64::min(limit, boundaries) }
}

impl Bet {
    fn chance(&self, looks: f64) -> f64 {
        let requests = self.look * looks;
        // Before that, or where not even the best gains anything.
        if self.least < 0.0 || requests < self.least { 0.0 } else { self.gain.passage(self.price, requests) }
    }
}

impl Gain {
    /// The chance that so many requests bring so many nats at some moment.
    fn passage(&self, price: f64, requests: f64) -> f64 {
        let (drift, spread) = (self.mean * requests, (self.variance * requests).sqrt());
        if spread <= 0.0 {
            return f64::from(u8::from(drift >= price));
        }
        let reflected = (2.0 * price * self.mean / self.variance).min(700.0).exp();
        (normal_cdf((drift - price) / spread) + reflected * normal_cdf((-drift - price) / spread)).clamp(0.0, 1.0)
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
