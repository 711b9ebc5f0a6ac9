use super::*;
use crate::foresight::staked;
use crate::judge::counting::CountingTest;
use crate::judge::counts::{Boundary, Counts};
use crate::judge::design_effect::DesignEffect;
use crate::judge::evidence::{CountEvidence, CountLook};
use crate::judge::gate::{Better, Boundaries, CountRule};
use crate::judge::ledger::Stake;
use crate::judge::limit::Limit;

fn effort(bakes: u64) -> Effort {
    Effort { bakes, looks: u64::MAX }
}

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
                let predicted = power((&stakes, None), &load, rate, looks, effort(8_000), at as u64).simulated;
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

/// Users in clusters, one by one, whose requests all fail or none does: how many clusters come is chance, on both sides.
fn by_clusters(stakes: &Stakes, load: &Load, rate: f64, looks: u64, runs: u64) -> f64 {
    let (mut coins, mut failed, burst) = (Coins(0xc105), 0, stakes.effect.factor());
    let mut arrivals = |mean: f64| coins.count((mean * 500.0).ceil(), mean / (mean * 500.0).ceil().max(1.0));
    for _ in 0..runs {
        let against = stakes.rule.fail();
        let mut tests: Vec<CountingTest> = against
            .map(|against| CountingTest::new(against, stakes.rule.better.fail(), Stake::Spread(looks)))
            .collect();
        let fails = (1..=looks).any(|_| {
            let mut side = |requests: f64, rate: f64| {
                let events = burst * arrivals(requests * rate / burst);
                Counts::new(arrivals(requests * (1.0 - rate)) + events, events).unwrap()
            };
            let (candidate, stable) = (side(load.candidate(), rate), side(load.stable(), load.base_rate));
            if candidate.requests() + stable.requests() > 0.0 {
                for test in &mut tests {
                    test.look_at_strata(&[(candidate, stable)], burst);
                }
            }
            let e = tests.iter().map(|test| test.ledger().ln_e().exp()).sum::<f64>() / tests.len() as f64;
            e >= 1.0 / stakes.alpha
        });
        failed += u64::from(fails);
    }
    failed as f64 / runs as f64
}

/// Bursts larger than a look's requests once lost the most of themselves, and a stable with less than one request a look was
/// taken for better than it is.
#[test]
fn few_requests_and_large_bursts_are_foretold_too() {
    let boundaries = Boundaries { fail: Boundary { ratio: 1.0, abs: 0.0 }, pass: Boundary { ratio: 1.5, abs: 0.001 } };
    let rule = CountRule { better: Better::Lower, limit: None, boundaries: Some(boundaries), two_sided: false };
    for (requests, share, base_rate, burst, looks, times) in [
        (60.0, 0.02, 0.05, 5.0, 300, 5.0),
        (120.0, 0.01, 0.02, 3.0, 240, 5.0),
        (3.0, 0.9, 0.1, 1.0, 360, 1.0),
        (1.2, 0.5, 0.2, 1.0, 360, 1.0),
        (20.0, 0.5, 0.1, 2.0, 240, 2.0),
    ] {
        let stakes = Stakes { rule, alpha: 0.05, effect: DesignEffect::new(burst).unwrap() };
        let (load, rate) = (Load { requests, share, base_rate }, base_rate * times);
        let found = power((&stakes, None), &load, rate, looks, effort(2_000), 1).simulated.chance;
        let seen = by_clusters(&stakes, &load, rate, looks, 600);
        let error = (seen * (1.0 - seen) / 600.0).sqrt() + (found * (1.0 - found) / 2_000.0).sqrt();
        assert!((found - seen).abs() <= 0.02 + 3.0 * error, "{load:?}, {burst}: {found}, not {seen}");
        assert!(times > 1.0 || found <= 0.05, "{load:?}: {found} false alarms");
    }
}

#[test]
fn a_false_alarm_is_rarer_than_alpha_and_a_seed_is_all_there_is_to_chance() {
    let boundaries = Boundaries { fail: Boundary { ratio: 1.0, abs: 0.0 }, pass: Boundary { ratio: 1.5, abs: 0.001 } };
    let rule = CountRule { better: Better::Lower, limit: None, boundaries: Some(boundaries), two_sided: false };
    let load = Load { requests: 600.0, share: 0.1, base_rate: 0.01 };
    for burst in [1.0, 3.0] {
        let stakes = Stakes { rule, alpha: 0.05, effect: DesignEffect::new(burst).unwrap() };
        let alarms = power((&stakes, None), &load, 0.01, 20, effort(4_000), 1);
        assert!(alarms.simulated.chance <= 0.05 && alarms.simulated.median_look.is_none(), "{alarms:?}");
        assert_eq!(alarms, power((&stakes, None), &load, 0.01, 20, effort(4_000), 1));
        let worse = power((&stakes, None), &load, 0.05, 20, effort(4_000), 1);
        assert!(worse.simulated.chance > 0.9 && worse.curve.len() == 20, "{worse:?}");
    }
}

/// What it costs does not hang on where the evidence is: looks that cost the same each, and so many of them.
#[test]
fn an_answer_takes_the_looks_that_it_may_and_says_how_good_it_is() {
    let boundaries = Boundaries { fail: Boundary { ratio: 1.0, abs: 0.0 }, pass: Boundary { ratio: 1.5, abs: 0.001 } };
    let rule = CountRule { better: Better::Lower, limit: None, boundaries: Some(boundaries), two_sided: false };
    let stakes = Stakes { rule, alpha: 0.01, effect: DesignEffect::NONE };
    let effort = Effort { bakes: 2_000, looks: 60_000 };
    for (requests, share, looks) in [(60.0, 0.1, 1_440), (1_500.0, 0.1, 1_440), (60.0, 0.1, 360), (600_000.0, 0.5, 45)]
    {
        let load = Load { requests, share, base_rate: 0.01 };
        for times in [1.0, 1.25, 2.0, 10.0] {
            let found = power((&stakes, None), &load, 0.01 * times, looks, effort, 1);
            let what = format!("{requests}, {looks}, {times}: {} bakes, {} looks", found.runs, found.looks);
            assert!(found.looks <= effort.looks.max(Effort::LEAST * looks) * 6 / 5, "{what}");
            // Where it may take more, it does.
            assert!(found.runs == effort.bakes || found.looks * 6 / 5 >= effort.looks, "{what}");
            let (chance, runs) = (found.simulated.chance, found.runs as f64);
            let error = found.standard_error();
            assert!(error >= (chance * (1.0 - chance) / (runs + 4.0)).sqrt() * 0.99 && error < 0.08, "{what}: {error}");
        }
    }
}

/// Users one by one, through the tests of a run: the looks at which it passes, of bakes that did not fail before.
fn passed_by_users(stakes: &Stakes, terms: Passing, load: &Load, looks: u64, runs: u64) -> (f64, Option<u64>) {
    let mut coins = Coins(0xb0b5);
    let mut passed_at: Vec<u64> = Vec::new();
    for _ in 0..runs {
        let mut tests = CountEvidence::new(&stakes.rule, Some(looks));
        for look in 1..=looks {
            let ours = coins.count(load.requests, load.share);
            let theirs = load.requests - ours;
            let mut side = |requests: f64| Counts::new(requests, coins.count(requests, load.base_rate)).unwrap();
            let (candidate, stable) = (side(ours), side(theirs));
            tests.look(&CountLook::exact(candidate, stable), stakes.effect);
            if tests.ln_e_fail() >= -stakes.alpha.ln() {
                break;
            }
            if look >= terms.least && tests.ln_e_pass() >= -terms.beta.ln() {
                passed_at.push(look);
                break;
            }
        }
    }
    passed_at.sort_unstable();
    let median = passed_at.get(runs.div_ceil(2) as usize - 1).copied();
    (passed_at.len() as f64 / runs as f64, median)
}

fn within(ratio: f64, abs: f64) -> Boundaries {
    let boundary = Boundary { ratio, abs };
    Boundaries { fail: boundary, pass: boundary }
}

/// Gates and their traffic, some of which pass seldom.
fn to_pass() -> Vec<(Stakes, Load)> {
    let limit = Limit::new(0.02).ok();
    let errors = |limit, boundaries| CountRule { better: Better::Lower, limit, boundaries, two_sided: false };
    let slack = errors(None, Some(within(1.5, 0.002)));
    let sales = CountRule { better: Better::Higher, limit: None, boundaries: Some(within(0.8, 0.0)), two_sided: false };
    let both_ways = CountRule { two_sided: true, ..errors(None, Some(within(2.0, 0.0))) };
    let rules = [
        (slack, 3_000.0, 0.1, 0.002),
        (slack, 600.0, 0.3, 0.01),
        (slack, 600.0, 0.05, 0.005),
        (errors(limit, None), 600.0, 0.1, 0.005),
        (errors(limit, Some(within(2.0, 0.001))), 3_000.0, 0.1, 0.01),
        (errors(None, Some(within(1.5, 0.0))), 3_000.0, 0.2, 0.01),
        (both_ways, 3_000.0, 0.2, 0.01),
        (sales, 600.0, 0.5, 0.1),
    ];
    let of = |(rule, requests, share, base_rate)| {
        (Stakes { rule, alpha: 0.01, effect: DesignEffect::NONE }, Load { requests, share, base_rate })
    };
    rules.into_iter().map(of).collect()
}

/// As for fails: within 3 points, and the median within 10 % or a look.
#[test]
fn passes_agree_with_rollouts_of_single_users() {
    let mut open = 0;
    for (stakes, load) in to_pass() {
        for (least, looks) in [(1, 9), (7, 14)] {
            let terms = Passing { beta: 0.05, least };
            let found = passing((&stakes, None), terms, &load, load.base_rate, looks, effort(6_000), 3).simulated;
            let (chance, median) = passed_by_users(&stakes, terms, &load, looks, 2_000);
            let what = format!("{stakes:?}, {load:?}, {least} to {looks}: {found:?}, not {chance} and {median:?}");
            assert!((found.chance - chance).abs() <= 0.03, "{what}");
            assert_eq!(found.median_look.is_some(), chance >= 0.5, "{what}");
            if let (Some(ours), Some(theirs)) = (found.median_look, median) {
                assert!(ours.abs_diff(theirs) as f64 <= (0.1 * theirs as f64).max(1.0), "{what}");
            }
            open += usize::from((0.05..0.95).contains(&chance));
        }
    }
    assert!(open >= 9, "{open} settings tell anything");
}

/// It may not pass before its time, nor after it has failed, and the exact test at the end goes first.
#[test]
fn a_bake_passes_in_its_time_and_not_where_it_fails() {
    let (stakes, load) = to_pass().swap_remove(5);
    let pass = |least: u64, beta: f64, rate: f64, exact: Option<FinalLook>| {
        passing((&stakes, exact), Passing { beta, least }, &load, rate, 14, effort(4_000), 1)
    };
    let free = pass(1, 0.05, 0.01, None);
    let first = free.curve.iter().position(|share| *share > 0.0).unwrap();
    assert!(first < 6 && (0.3..0.9).contains(&free.simulated.chance), "{free:?}");
    let late = pass(7, 0.05, 0.01, None);
    assert!(late.curve.iter().take(6).all(|share| *share == 0.0) && late.curve[6] > 0.0, "{late:?}");
    // What was there at a look before is not always there later.
    let last = pass(14, 0.05, 0.01, None);
    assert!(last.curve[12] == 0.0 && last.simulated.chance < free.simulated.chance, "{last:?}");
    assert!(pass(1, 0.005, 0.01, None).simulated.chance < free.simulated.chance - 0.1);
    // The worst that is tolerated, and a little more, passes as seldom as beta says.
    assert!(pass(1, 0.05, 0.0151, None).simulated.chance <= 0.05);
    let gate =
        r#"{"metric": "error_rate", "max_increase": {"ratio": 1.5}, "fail": {"ratio": 0.99}, "final_look": true}"#;
    let (_, exact) = staked(&serde_json::from_str(gate).unwrap(), 0.98, stakes.effect, 1).unwrap();
    let refused = pass(14, 0.05, 0.01, exact).simulated.chance;
    assert!(refused < last.simulated.chance - 0.05, "{refused}, {last:?}");
}

/// The formula is good to some points, and where it is off by more it is too low: evidence is told to be later than it is.
#[test]
fn the_formula_of_a_pass_is_near_the_simulation() {
    let mut off = Vec::new();
    for (stakes, load) in to_pass() {
        for burst in [1.0, 2.0] {
            let stakes = Stakes { effect: DesignEffect::new(burst).unwrap(), ..stakes };
            for looks in [9, 14, 30] {
                let found = passing(
                    (&stakes, None),
                    Passing { beta: 0.05, least: 1 },
                    &load,
                    load.base_rate,
                    looks,
                    effort(1_000),
                    1,
                );
                let what = format!("{stakes:?}, {load:?}, {looks}: {:?}, {:?}", found.formula, found.simulated);
                let apart = found.formula.chance - found.simulated.chance;
                assert!((-0.15..=0.08).contains(&apart), "{apart}: {what}");
                off.push(apart.abs());
                if let (Some(ours), Some(theirs)) = (found.formula.median_look, found.simulated.median_look) {
                    assert!(ours.abs_diff(theirs) as f64 <= (0.25 * theirs as f64).max(2.0), "{what}");
                }
            }
        }
    }
    let mean = off.iter().sum::<f64>() / off.len() as f64;
    assert!(mean <= 0.04, "off by {mean} on average");
}
