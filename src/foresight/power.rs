//! How surely and how soon a gate fails a candidate that is worse, by simulated bakes.

use serde::Serialize;

use super::FinalLook;
use super::draw::{Dice, Draw};
use crate::judge::counts::Counts;
use crate::judge::forecast::{Load, Stakes};
use crate::judge::steady::{Known, Outcome, Steady};

/// Below as many requests a look their number varies too, as arrivals do.
const FEW: f64 = 20.0;

/// The same of bursts.
const BURSTS: f64 = 10.0;

/// How much is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Bakes that say enough.
    pub bakes: u64,
    /// Looks that they may take in all. Long bakes are fewer for it, but [`Effort::LEAST`] at least.
    pub looks: u64,
}

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
    /// How many looks they took in all.
    pub looks: u64,
}

/// How surely and how soon.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Found {
    /// The chance that the bake fails.
    pub chance: f64,
    /// The look, from 1, at which half of all bakes had failed; null when fewer do.
    pub median_look: Option<u64>,
}

impl Effort {
    /// So many bakes are simulated, however long they are: it is known then how many looks one takes, on average.
    pub const LEAST: u64 = 50;

    fn bakes_at(self, looks_a_bake: f64) -> u64 {
        let affordable = (self.looks as f64 / looks_a_bake.max(1.0)) as u64;
        affordable.min(self.bakes).max(Self::LEAST)
    }
}

impl Power {
    /// By how much the simulated chance is off, as a rule: its standard error, with two bakes more of either kind, so that no
    /// chance seems certain (Agresti and Coull, 1998).
    #[must_use]
    pub fn standard_error(&self) -> f64 {
        let runs = self.runs as f64;
        let chance = (self.simulated.chance * runs + 2.0) / (runs + 4.0);
        (chance * (1.0 - chance) / (runs + 4.0)).sqrt()
    }
}

/// The power of a gate in a bake of `looks` against a candidate whose rate is `rate`, by its tests that run and by the exact one
/// at the end, where it takes one. The chance of a false alarm is that of a rate as stable's.
#[must_use]
pub fn power(
    (stakes, exact): (&Stakes, Option<FinalLook>),
    load: &Load,
    rate: f64,
    looks: u64,
    effort: Effort,
    seed: u64,
) -> Power {
    let looks = looks.max(1);
    let mut bake = Bake::new(stakes, exact, load, rate, looks);
    let mut dice = Dice::new(seed);
    let mut failed_at = vec![0u64; usize::try_from(looks).unwrap_or(0)];
    let (mut runs, mut wanted, mut taken) = (0, Effort::LEAST, 0);
    while runs < wanted {
        let failed = bake.first_fail(&mut dice);
        if let Some(slot) = failed.and_then(|look| failed_at.get_mut(usize::try_from(look - 1).ok()?)) {
            *slot += 1;
        }
        runs += 1;
        taken += failed.unwrap_or(looks);
        if runs == Effort::LEAST {
            wanted = effort.bakes_at(taken as f64 / runs as f64);
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
    let at_the_end = exact.map_or(0.0, |exact| exact.chance(load, rate, looks as f64));
    let needed = needed.filter(|look| *look <= looks as f64).map(|look| look as u64);
    let formula = Found {
        chance: stakes.chance_to_fail(load, rate, looks as f64).max(at_the_end),
        median_look: needed.or((at_the_end >= 0.5).then_some(looks)),
    };
    Power { rate, simulated, formula, curve, runs, looks: taken }
}

/// Bakes of one candidate.
struct Bake {
    gate: Steady,
    looks: u64,
    candidate: Side,
    stable: Side,
    /// By the places of the requests of candidate and stable.
    known: Vec<Vec<Option<Known>>>,
    /// All outcomes of a look, where they are few enough: then one number of chance tells which. In some of them nobody came.
    outcomes: Option<(Draw, Vec<(Option<Outcome>, [Had; 2])>)>,
    /// The test at the end, and requests and events of candidate and stable in the bake under way.
    exact: Option<FinalLook>,
    sums: [(f64, f64); 2],
}

/// The requests of one revision in a look, and how many of them are events.
struct Side {
    /// On average.
    requests: f64,
    rate: f64,
    /// Those that are no events, where their number varies.
    others: Option<Draw>,
    events: Draw,
}

/// What one revision had in a look.
#[derive(Clone, Copy)]
struct Had {
    /// Which of all possible numbers of requests it is.
    place: usize,
    requests: f64,
    events: f64,
}

/// So many outcomes are few.
const OUTCOMES: usize = 10_000;

/// An outcome with less than this chance is left out: all of them together are hardly one in a hundred million looks.
const NEVER: f64 = 1e-13;

impl Side {
    fn new(requests: f64, rate: f64, burst: f64) -> Self {
        // Many requests are as many in each look, or nearly so. Of few the number varies; and a burst brings its own, as retries do.
        let others = (requests < FEW.max(BURSTS * burst)).then(|| Draw::arrivals(requests * (1.0 - rate), 1.0));
        let events = match others {
            Some(_) => Draw::arrivals(requests * rate / burst, burst),
            None => Draw::events(requests, rate, burst),
        };
        Self { requests, rate, others, events }
    }

    fn had(&self, others: Option<usize>, events: usize) -> Had {
        let count = self.events.number(events);
        match (&self.others, others) {
            (Some(draw), Some(at)) => {
                Had { place: at * self.events.numbers() + events, requests: draw.number(at) + count, events: count }
            }
            (_, _) => Had { place: 0, requests: self.requests, events: count.min(self.requests) },
        }
    }

    fn next(&self, dice: &mut Dice) -> Had {
        let others = self.others.as_ref().map(|others| others.place(dice));
        self.had(others, self.events.place(dice))
    }

    /// All that it may have, with their chances.
    fn all(&self) -> Vec<(Had, f64)> {
        let others: Vec<(Option<usize>, f64)> = match &self.others {
            Some(draw) => draw.chances().enumerate().map(|(at, (_, chance))| (Some(at), chance)).collect(),
            None => vec![(None, 1.0)],
        };
        let both = others.into_iter().flat_map(|(at, chance)| {
            self.events.chances().enumerate().map(move |(events, (_, also))| (self.had(at, events), chance * also))
        });
        both.filter(|(_, chance)| *chance > NEVER).collect()
    }
}

impl Bake {
    fn new(stakes: &Stakes, exact: Option<FinalLook>, load: &Load, rate: f64, looks: u64) -> Self {
        let burst = stakes.effect.factor();
        let mut bake = Self {
            gate: Steady::new(&stakes.rule, stakes.effect, stakes.alpha, looks),
            looks,
            candidate: Side::new(load.candidate(), rate, burst),
            stable: Side::new(load.stable(), load.base_rate, burst),
            known: Vec::new(),
            outcomes: None,
            exact,
            sums: [(0.0, 0.0); 2],
        };
        bake.outcomes = bake.all_outcomes();
        bake
    }

    /// The look, from 1, after which the next bake fails.
    fn first_fail(&mut self, dice: &mut Dice) -> Option<u64> {
        self.gate.begin();
        self.sums = [(0.0, 0.0); 2];
        let by_what_runs = (1..=self.looks).find(|_| self.look(dice));
        by_what_runs.or_else(|| self.ends_with_fail().then_some(self.looks))
    }

    /// Whether the exact test at the end rejects.
    fn ends_with_fail(&self) -> bool {
        let counts = |(requests, events): (f64, f64)| Counts::new(requests, events).unwrap_or(Counts::NONE);
        let [ours, theirs] = self.sums.map(counts);
        self.exact.is_some_and(|exact| exact.rejects_soon(ours, theirs))
    }

    #[inline]
    fn sum(&mut self, had: [Had; 2]) {
        if self.exact.is_some() {
            for (sum, had) in self.sums.iter_mut().zip(had) {
                *sum = (sum.0 + had.requests, sum.1 + had.events);
            }
        }
    }

    fn look(&mut self, dice: &mut Dice) -> bool {
        if let Some((one, outcomes)) = &self.outcomes {
            let Some((outcome, had)) = outcomes.get(one.place(dice)).copied() else { return false };
            self.sum(had);
            return outcome.is_some_and(|outcome| self.gate.look(outcome));
        }
        let (ours, theirs) = (self.candidate.next(dice), self.stable.next(dice));
        self.sum([ours, theirs]);
        match self.with(ours, theirs) {
            Some(known) => self.gate.look_at(known, ours.events, theirs.events),
            None => false,
        }
    }

    /// What is known of looks with so many requests. Where nobody came a run books nothing.
    fn with(&mut self, ours: Had, theirs: Had) -> Option<Known> {
        if ours.requests + theirs.requests <= 0.0 {
            return None;
        }
        if self.known.len() <= ours.place {
            self.known.resize(ours.place + 1, Vec::new());
        }
        let row = self.known.get_mut(ours.place)?;
        if row.len() <= theirs.place {
            row.resize(theirs.place + 1, None);
        }
        let (gate, slot) = (&mut self.gate, row.get_mut(theirs.place)?);
        let usual = [ours.requests * self.candidate.rate, theirs.requests * self.stable.rate];
        Some(*slot.get_or_insert_with(|| gate.requests(ours.requests, theirs.requests, usual)))
    }

    fn all_outcomes(&mut self) -> Option<(Draw, Vec<(Option<Outcome>, [Had; 2])>)> {
        let (ours, theirs) = (self.candidate.all(), self.stable.all());
        let (mut chances, mut found) = (Vec::new(), Vec::new());
        for (ours, chance) in ours {
            for (theirs, also) in &theirs {
                if chance * also > NEVER {
                    chances.push(chance * also);
                    found.push((ours, *theirs));
                }
            }
            if found.len() > OUTCOMES {
                return None;
            }
        }
        let outcomes = found.into_iter().map(|(ours, theirs)| {
            let known = self.with(ours, theirs);
            (known.map(|known| self.gate.outcome(known, ours.events, theirs.events)), [ours, theirs])
        });
        Some((Draw::one_of(&chances), outcomes.collect()))
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
        let boundaries =
            Boundaries { fail: Boundary { ratio: 1.0, abs: 0.0 }, pass: Boundary { ratio: 1.5, abs: 0.001 } };
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
        let boundaries =
            Boundaries { fail: Boundary { ratio: 1.0, abs: 0.0 }, pass: Boundary { ratio: 1.5, abs: 0.001 } };
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
        let boundaries =
            Boundaries { fail: Boundary { ratio: 1.0, abs: 0.0 }, pass: Boundary { ratio: 1.5, abs: 0.001 } };
        let rule = CountRule { better: Better::Lower, limit: None, boundaries: Some(boundaries), two_sided: false };
        let stakes = Stakes { rule, alpha: 0.01, effect: DesignEffect::NONE };
        let effort = Effort { bakes: 2_000, looks: 60_000 };
        for (requests, share, looks) in
            [(60.0, 0.1, 1_440), (1_500.0, 0.1, 1_440), (60.0, 0.1, 360), (600_000.0, 0.5, 45)]
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
                assert!(
                    error >= (chance * (1.0 - chance) / (runs + 4.0)).sqrt() * 0.99 && error < 0.08,
                    "{what}: {error}"
                );
            }
        }
    }
}
