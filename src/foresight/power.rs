//! How surely and how soon a gate fails a candidate that is worse, by simulated bakes.

use serde::Serialize;

use super::draw::{Dice, Draw};
use crate::judge::batch::Batch;
use crate::judge::counts::Counts;
use crate::judge::evidence::CountLook;
use crate::judge::forecast::{Load, Stakes};

/// Looks of an answer that are simulated at most: it shall take less than a second.
const LOOKS: u64 = 1_200_000;

/// Looks that are drawn before the judge is asked, which tells of each of them: asking it for several is faster.
const AT_A_TIME: usize = 8;

/// Bakes that say enough: the chance is then good to a point or better.
pub const RUNS: u64 = 10_000;

/// Below as many requests a look their number varies too, as arrivals do.
const FEW: f64 = 20.0;

/// What bakes of one candidate come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Power {
    /// The candidate's rate of events.
    pub rate: f64,
    /// By simulation.
    pub simulated: Found,
    /// By the formula of docs/judge.md section 3.9.
    pub formula: Found,
    /// The share of simulated bakes that had failed after each look.
    pub curve: Vec<f64>,
    /// How many bakes were simulated.
    pub runs: u64,
}

/// How surely and how soon.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Found {
    /// The chance that the bake fails.
    pub chance: f64,
    /// The look, from 1, at which half of all bakes had failed; null when fewer do.
    pub median_look: Option<u64>,
}

/// The power of a gate in a bake of `looks` against a candidate whose rate is `rate`. The chance of a false alarm is that of
/// a rate as stable's. `runs` bakes are simulated, or fewer long ones.
#[must_use]
pub fn power(stakes: &Stakes, load: &Load, rate: f64, looks: u64, runs: u64, seed: u64) -> Power {
    let looks = looks.max(1);
    let runs = (LOOKS / looks).max(1_000).min(runs).max(1);
    let mut batch = Batch::new(&[(stakes.rule, stakes.effect)], stakes.alpha, 0.5, looks);
    let mut candidate = Side::new(load.candidate(), rate, stakes.effect.factor());
    // The larger side is what it is: its number hardly varies.
    let mut stable = Side::steady(load.stable(), load.base_rate, stakes.effect.factor());
    let mut dice = Dice::new(seed);
    let mut failed_at = vec![0u64; usize::try_from(looks).unwrap_or(0)];
    for _ in 0..runs {
        batch.begin();
        for some in (0..looks).step_by(AT_A_TIME) {
            for _ in some..looks.min(some + AT_A_TIME as u64) {
                let look = CountLook::exact(candidate.look(&mut dice), stable.look(&mut dice));
                batch.look(std::slice::from_ref(&look));
            }
            if let Some(look) = batch.course().first_fail {
                let slot = usize::try_from(look - 1).ok().and_then(|look| failed_at.get_mut(look));
                slot.into_iter().for_each(|failed| *failed += 1);
                break;
            }
        }
    }
    let mut sum = 0;
    let curve = failed_at.iter().map(|failed| {
        sum += failed;
        sum as f64 / runs as f64
    });
    let curve: Vec<f64> = curve.collect();
    let chance = curve.last().copied().unwrap_or(0.0);
    let median = |look: usize| u64::try_from(look + 1).unwrap_or(u64::MAX);
    let simulated = Found { chance, median_look: curve.iter().position(|share| *share >= 0.5).map(median) };
    let needed = stakes.requests_to_fail(load, rate).map(|needed| (needed / load.candidate()).ceil().max(1.0));
    let formula = Found {
        chance: stakes.chance_to_fail(load, rate, looks as f64),
        median_look: needed.filter(|look| *look <= looks as f64).map(|look| look as u64),
    };
    Power { rate, simulated, formula, curve, runs }
}

/// The requests of one revision.
struct Side {
    rate: f64,
    burst: f64,
    arrivals: Option<Draw>,
    requests: f64,
    /// By the number of requests, where that varies; else one.
    events: Vec<Option<Draw>>,
}

impl Side {
    fn new(requests: f64, rate: f64, burst: f64) -> Self {
        // Arrivals: many users, each with a small chance.
        let arrivals = (requests < FEW).then(|| Draw::events(requests * 1000.0, 0.001, 1.0));
        Self { arrivals, ..Self::steady(requests, rate, burst) }
    }

    const fn steady(requests: f64, rate: f64, burst: f64) -> Self {
        Self { rate, burst, arrivals: None, requests, events: Vec::new() }
    }

    fn look(&mut self, dice: &mut Dice) -> Counts {
        let requests = self.arrivals.as_ref().map_or(self.requests, |arrivals| arrivals.next(dice));
        let at = if self.arrivals.is_some() { requests as usize } else { 0 };
        if self.events.len() <= at {
            self.events.resize(at + 1, None);
        }
        let Some(slot) = self.events.get_mut(at) else {
            return Counts::NONE;
        };
        let events = slot.get_or_insert_with(|| Draw::events(requests, self.rate, self.burst)).next(dice);
        Counts::new(requests, events.min(requests)).unwrap_or(Counts::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::counting::CountingTest;
    use crate::judge::counts::Boundary;
    use crate::judge::design_effect::DesignEffect;
    use crate::judge::gate::{Better, Boundaries, CountRule};
    use crate::judge::ledger::Stake;
    use crate::judge::limit::Limit;

    /// Another stream than that of [`Dice`]: xorshift64* (Vigna, 2016).
    struct Coins(u64);

    impl Coins {
        fn unit(&mut self) -> f64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
        }

        /// Of so many tries, how many come true: by the gaps between them.
        fn count(&mut self, tries: f64, chance: f64) -> f64 {
            let (mut at, mut found) = (0.0, 0.0);
            loop {
                at += (self.unit().ln() / (-chance).ln_1p()).floor() + 1.0;
                if at > tries {
                    return found;
                }
                found += 1.0;
            }
        }
    }

    /// Users one by one, and the ledgers that rule in a run.
    fn by_users(stakes: &Stakes, load: &Load, rate: f64, looks: u64, runs: u64) -> (f64, Option<u64>) {
        let mut coins = Coins(0x5eed);
        let mut failed_at: Vec<u64> = Vec::new();
        for _ in 0..runs {
            let mut tests: Vec<CountingTest> = stakes
                .rule
                .fail()
                .map(|against| CountingTest::new(against, stakes.rule.better.fail(), Stake::Spread(looks)))
                .collect();
            for look in 1..=looks {
                let ours = coins.count(load.requests, load.share);
                let theirs = load.requests - ours;
                let side = |requests: f64, events: f64| Counts::new(requests, events.min(requests)).unwrap();
                let candidate = side(ours, coins.count(ours, rate));
                let stable = side(theirs, coins.count(theirs, load.base_rate));
                for test in &mut tests {
                    test.look_at_strata(&[(candidate, stable)], stakes.effect.factor());
                }
                let e = tests.iter().map(|test| test.ledger().ln_e().exp()).sum::<f64>() / tests.len() as f64;
                if e >= 1.0 / stakes.alpha {
                    failed_at.push(look);
                    break;
                }
            }
        }
        failed_at.sort_unstable();
        let median = failed_at.get(runs.div_ceil(2) as usize - 1).copied();
        (failed_at.len() as f64 / runs as f64, median)
    }

    /// The prediction holds what it says: within 3 points, and the median within 10 % or a look.
    #[test]
    fn predictions_agree_with_rollouts_of_single_users() {
        let equal = Boundaries { fail: Boundary { ratio: 1.0, abs: 0.0 }, pass: Boundary { ratio: 1.5, abs: 0.001 } };
        let slack = Boundaries { fail: Boundary { ratio: 1.5, abs: 0.001 }, ..equal };
        let limit = Limit::new(0.012).ok();
        let rules = [(None, Some(equal)), (None, Some(slack)), (limit, None), (limit, Some(equal))];
        let (mut settings, mut undecided) = (0, 0);
        for (at, (limit, boundaries)) in rules.into_iter().enumerate() {
            let rule = CountRule { better: Better::Lower, limit, boundaries, two_sided: false };
            let stakes = Stakes { rule, alpha: 0.01, effect: DesignEffect::NONE };
            for (requests, share) in [(600.0, 0.01), (600.0, 0.1), (3_000.0, 0.1)] {
                for times in [2.5, 4.0] {
                    let load = Load { requests, share, base_rate: 0.01 };
                    let (looks, rate) = (24, 0.01 * times);
                    let predicted = power(&stakes, &load, rate, looks, 8_000, at as u64).simulated;
                    let (chance, median) = by_users(&stakes, &load, rate, looks, 3_000);
                    let what = format!("gate {at}, {load:?}, {times}: {predicted:?}, not {chance} and {median:?}");
                    assert!((predicted.chance - chance).abs() <= 0.03, "{what}");
                    if let (Some(ours), Some(theirs)) = (predicted.median_look, median) {
                        assert!(ours.abs_diff(theirs) as f64 <= (0.1 * theirs as f64).max(1.0), "{what}");
                    }
                    settings += 1;
                    undecided += usize::from((0.05..0.95).contains(&chance));
                }
            }
        }
        assert!(settings >= 24 && undecided >= 6, "{undecided} of {settings} settings tell anything");
    }

    #[test]
    fn a_false_alarm_is_rarer_than_alpha_and_a_seed_is_all_there_is_to_chance() {
        let boundaries =
            Boundaries { fail: Boundary { ratio: 1.0, abs: 0.0 }, pass: Boundary { ratio: 1.5, abs: 0.001 } };
        let rule = CountRule { better: Better::Lower, limit: None, boundaries: Some(boundaries), two_sided: false };
        let load = Load { requests: 600.0, share: 0.1, base_rate: 0.01 };
        for burst in [1.0, 3.0] {
            let stakes = Stakes { rule, alpha: 0.05, effect: DesignEffect::new(burst).unwrap() };
            let alarms = power(&stakes, &load, 0.01, 20, 4_000, 1);
            assert!(alarms.simulated.chance <= 0.05 && alarms.simulated.median_look.is_none(), "{alarms:?}");
            assert_eq!(alarms, power(&stakes, &load, 0.01, 20, 4_000, 1));
            let worse = power(&stakes, &load, 0.05, 20, 4_000, 1);
            assert!(worse.simulated.chance > 0.9 && worse.curve.len() == 20, "{worse:?}");
        }
    }
}
