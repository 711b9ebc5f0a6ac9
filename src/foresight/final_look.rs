//! The exact test at the end of each step (`final_look`), as far as forecasts know of it.

use super::counting;
use crate::judge::counts::Counts;
use crate::judge::design_effect::DesignEffect;
use crate::judge::final_look::{MOST_EVENTS, p_value};
use crate::judge::forecast::{Load, Stakes};
use crate::judge::gate::Gate;
use crate::judge::ledger::Direction;
use crate::judge::math::{normal_cdf, normal_quantile};

/// The exact test at the end of a step (docs/judge.md section 3.9, step 4), by what is counted in that step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FinalLook {
    /// What its p-value must not exceed.
    pub level: f64,
    /// The ratio of the rates that it rejects.
    ratio: f64,
    direction: Direction,
}

/// What a counting gate stakes on the tests that run, of its part `alpha` of the risk, and the exact test that a run of `steps`
/// takes of it at the end of each. `None` for a gate that counts nothing.
#[must_use]
pub fn staked(gate: &Gate, alpha: f64, effect: DesignEffect, steps: u64) -> Option<(Stakes, Option<FinalLook>)> {
    let rule = counting(gate)?;
    // As in a run: it can be made of events that come one by one.
    let exact = rule.boundaries.filter(|_| gate.final_look() && effect == DesignEffect::NONE);
    let exact = exact.map(|boundaries| FinalLook {
        level: rule.final_level(alpha, steps),
        ratio: boundaries.fail.ratio,
        direction: rule.better.fail(),
    });
    let running = if exact.is_some() { alpha / 2.0 } else { alpha };
    Some((Stakes { rule, alpha: running, effect }, exact))
}

/// From this variance on an exact sum is long, and a Gaussian one is as good.
const MANY: f64 = 400.0;

impl FinalLook {
    /// Whether it rejects what was counted.
    #[must_use]
    pub fn rejects(&self, candidate: Counts, stable: Counts) -> bool {
        p_value(&[(candidate, stable)], self.ratio, self.direction).is_some_and(|p| p <= self.level)
    }

    /// The same for simulations, whose cost must not grow with the number of events: of many events the binomial distribution is taken
    /// as Gaussian with its skewness (Edgeworth's first term), which is off by less than one decision in a thousand.
    #[must_use]
    pub fn rejects_soon(&self, candidate: Counts, stable: Counts) -> bool {
        let weighted = self.ratio * candidate.requests();
        let share = weighted / (weighted + stable.requests());
        let (x, events) = (candidate.events().round(), candidate.events().round() + stable.events().round());
        if events > MOST_EVENTS {
            return false;
        }
        let variance = events * share * (1.0 - share);
        if variance <= MANY {
            return self.rejects(candidate, stable);
        }
        let skewness = (1.0 - 2.0 * share) / variance.sqrt();
        // Half an event, as what is counted cannot be divided.
        let (side, bound) = match self.direction {
            Direction::Down => (-1.0, x + 0.5),
            Direction::Up => (1.0, x - 0.5),
        };
        let z = side * (bound - events * share) / variance.sqrt();
        let density = (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt();
        normal_cdf(-z) + side * skewness / 6.0 * (z * z - 1.0) * density <= self.level
    }

    /// The chance that it rejects a candidate whose rate is `rate` after so many looks: the test is binomial given the number
    /// of events, and taken as Gaussian here, with half an event for what cannot be divided.
    #[must_use]
    pub fn chance(&self, load: &Load, rate: f64, looks: f64) -> f64 {
        let (ours, theirs) = (load.candidate() * looks, load.stable() * looks);
        let share = self.ratio * ours / (self.ratio * ours + theirs);
        let (x, y) = (ours * rate, theirs * load.base_rate);
        // A run gives it up there.
        if x + y > MOST_EVENTS {
            return 0.0;
        }
        let excess = x * (1.0 - share) - y * share;
        let toward = match self.direction {
            Direction::Down => -excess,
            Direction::Up => excess,
        };
        let needed = -normal_quantile(self.level) * ((x + y) * share * (1.0 - share)).sqrt() + 0.5;
        let (of_x, of_y) = (x * (1.0 - rate), y * (1.0 - load.base_rate));
        let spread = (of_x * (1.0 - share) * (1.0 - share) + of_y * share * share).sqrt();
        if spread > 0.0 && needed.is_finite() { normal_cdf((toward - needed) / spread) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foresight::{Dice, Draw};

    const ERRORS: &str =
        r#"{"metric": "error_rate", "max_increase": {"ratio": 1.5}, "fail": {"ratio": 1.0}, "final_look": true}"#;
    const SALES: &str = r#"{"metric": "error_rate", "better": "higher", "fail": {"ratio": 1.0}, "pass": {"ratio": 0.8},
        "final_look": true}"#;

    #[test]
    fn half_of_alpha_is_left_to_what_runs_where_the_test_can_be_made() {
        let gate = |json: &str| serde_json::from_str::<Gate>(json).unwrap();
        let (stakes, exact) = staked(&gate(ERRORS), 0.01, DesignEffect::NONE, 2).unwrap();
        assert_eq!((stakes.alpha, exact.unwrap().level), (0.005, 0.0025));
        for (json, effect) in [
            (ERRORS, DesignEffect::UNKNOWN),
            (r#"{"metric": "error_rate", "max": "1%"}"#, DesignEffect::NONE),
            (r#"{"metric": "error_rate", "max_increase": {"ratio": 1.5}}"#, DesignEffect::NONE),
        ] {
            let (stakes, exact) = staked(&gate(json), 0.01, effect, 2).unwrap();
            assert_eq!((stakes.alpha, exact), (0.01, None), "{json}");
        }
        assert_eq!(staked(&gate(r#"{"name": "p95", "query": "q"}"#), 0.01, DesignEffect::NONE, 1), None);
    }

    #[test]
    fn of_many_events_it_is_as_good_and_sooner() {
        let (mut apart, mut many, mut rejected) = (0, 0, 0);
        for json in [ERRORS, SALES] {
            let (_, exact) = staked(&serde_json::from_str(json).unwrap(), 0.01, DesignEffect::NONE, 1).unwrap();
            let exact = exact.unwrap();
            for (ours, theirs) in [(1_000.0, 1_000.0), (1_000.0, 9_000.0), (20_000.0, 1_980_000.0), (3e5, 7e5)] {
                let mut dice = Dice::new(3);
                let draw = |requests, times: f64| Draw::events(requests, (0.3 * times).min(1.0), 1.0);
                // Where half are rejected, or nearly so.
                let near = 2.8 * (1.0_f64 / ours + 1.0 / theirs).sqrt() * (0.7_f64 / 0.3).sqrt();
                let times = if json == ERRORS { 1.0 + near } else { 1.0 - near };
                let (x, y) = (draw(ours, times), draw(theirs, 1.0));
                for _ in 0..2_000 {
                    let candidate = Counts::new(ours, x.next(&mut dice)).unwrap();
                    let stable = Counts::new(theirs, y.next(&mut dice)).unwrap();
                    let rejects = exact.rejects(candidate, stable);
                    apart += usize::from(rejects != exact.rejects_soon(candidate, stable));
                    rejected += usize::from(rejects);
                    many += 1;
                }
            }
        }
        assert!(rejected * 10 > many * 3 && rejected * 10 < many * 7, "{rejected} of {many}");
        assert!(apart * 1_000 <= many, "{apart} of {many} are decided in another way");
    }

    #[test]
    fn its_chance_is_that_of_counts_by_chance() {
        let mut undecided = 0;
        for (json, rates) in [(ERRORS, [0.01, 0.014, 0.018, 0.025]), (SALES, [0.3, 0.28, 0.26, 0.2])] {
            let (_, exact) = staked(&serde_json::from_str(json).unwrap(), 0.01, DesignEffect::NONE, 1).unwrap();
            let exact = exact.unwrap();
            for (requests, share) in [(2_000.0, 0.1), (400.0, 0.5)] {
                for rate in rates {
                    let load = Load { requests, share, base_rate: rates[0] };
                    let looks = 20.0;
                    let mut dice = Dice::new(5);
                    let side = |requests: f64, rate: f64| (requests, Draw::events(requests, rate, 1.0));
                    let sides = [side(load.candidate() * looks, rate), side(load.stable() * looks, load.base_rate)];
                    let runs = 2_000;
                    let rejected = (0..runs).filter(|_| {
                        let [x, y] = sides.each_ref().map(|(n, draw)| Counts::new(*n, draw.next(&mut dice)).unwrap());
                        exact.rejects(x, y)
                    });
                    let (simulated, told) =
                        (rejected.count() as f64 / f64::from(runs), exact.chance(&load, rate, looks));
                    assert!((simulated - told).abs() < 0.05, "{json} {load:?} {rate}: {told}, not {simulated}");
                    undecided += usize::from((0.1..0.9).contains(&simulated));
                }
            }
        }
        assert!(undecided >= 3, "{undecided}");
    }
}
