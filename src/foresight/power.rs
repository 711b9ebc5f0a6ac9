//! How surely and how soon a gate fails a candidate that is worse, and passes one that is not, by simulated bakes.

use serde::Serialize;

use super::FinalLook;
use super::bake::Bake;
use super::draw::Dice;
use crate::judge::forecast::{Load, Stakes};

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
    /// The share of simulated bakes that had failed (passed) after each look.
    pub curve: Vec<f64>,
    /// How many bakes were simulated.
    pub runs: u64,
    /// How many looks they took in all.
    pub looks: u64,
}

/// How surely and how soon.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Found {
    /// The chance that the bake fails; of [`passing()`], that it passes.
    pub chance: f64,
    /// The look, from 1, at which half of all bakes had failed (passed); null when fewer do.
    pub median_look: Option<u64>,
}

/// When a bake may pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Passing {
    /// The chance of a false pass, between 0 and 1.
    pub beta: f64,
    /// The first look, from 1, at which it may.
    pub least: u64,
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
    let (mut bake, mut dice) = (Bake::new(stakes, exact, load, rate, looks), Dice::new(seed));
    let Simulated { found: simulated, curve, runs, taken } = simulate(looks, effort, || {
        let failed = bake.first_fail(&mut dice);
        (failed, failed.unwrap_or(looks))
    });
    let needed = stakes.requests_to_fail(load, rate).map(|needed| (needed / load.candidate()).ceil().max(1.0));
    let at_the_end = exact.map_or(0.0, |exact| exact.chance(load, rate, looks as f64));
    let needed = needed.filter(|look| *look <= looks as f64).map(|look| look as u64);
    let formula = Found {
        chance: stakes.chance_to_fail(load, rate, looks as f64).max(at_the_end),
        median_look: needed.or((at_the_end >= 0.5).then_some(looks)),
    };
    Power { rate, simulated, formula, curve, runs, looks: taken }
}

/// How surely and how soon a bake of `looks` passes a candidate whose rate is `rate`: before it fails, by this gate alone.
#[must_use]
pub fn passing(
    (stakes, exact): (&Stakes, Option<FinalLook>),
    terms: Passing,
    load: &Load,
    rate: f64,
    looks: u64,
    effort: Effort,
    seed: u64,
) -> Power {
    let Passing { beta, least } = terms;
    let looks = looks.max(1);
    let (mut bake, mut dice) = (Bake::passing((stakes, exact), beta, load, rate, looks), Dice::new(seed));
    let Simulated { found: simulated, curve, runs, taken } = simulate(looks, effort, || {
        let (passes, look) = bake.first_pass(least, &mut dice);
        (passes.then_some(look), look)
    });
    let needed = stakes.requests_to_pass(load, rate, beta).map(|needed| (needed / load.candidate()).ceil());
    let needed = needed.map(|look| look.max(least.max(1) as f64)).filter(|look| *look <= looks as f64);
    let formula = Found {
        chance: stakes.chance_to_pass(load, rate, beta, looks as f64),
        median_look: needed.map(|look| look as u64),
    };
    Power { rate, simulated, formula, curve, runs, looks: taken }
}

/// What was simulated.
struct Simulated {
    found: Found,
    curve: Vec<f64>,
    runs: u64,
    /// Looks in all.
    taken: u64,
}

/// Bakes until they say enough. Each tells the look, from 1, at which it came to what is asked for, if it did; and how many it took.
fn simulate(looks: u64, effort: Effort, mut bake: impl FnMut() -> (Option<u64>, u64)) -> Simulated {
    let mut found_at = vec![0u64; usize::try_from(looks).unwrap_or(0)];
    let (mut runs, mut wanted, mut taken) = (0, Effort::LEAST, 0);
    while runs < wanted {
        let (found, took) = bake();
        if let Some(slot) = found.and_then(|look| found_at.get_mut(usize::try_from(look - 1).ok()?)) {
            *slot += 1;
        }
        runs += 1;
        taken += took;
        if runs == Effort::LEAST {
            wanted = effort.bakes_at(taken as f64 / runs as f64);
        }
    }
    let mut sum = 0;
    let curve = found_at.iter().map(|found| {
        sum += found;
        sum as f64 / runs as f64
    });
    let curve: Vec<f64> = curve.collect();
    let chance = curve.last().copied().unwrap_or(0.0);
    let median = |look: usize| u64::try_from(look + 1).unwrap_or(u64::MAX);
    let found = Found { chance, median_look: curve.iter().position(|share| *share >= 0.5).map(median) };
    Simulated { found, curve, runs, taken }
}

#[cfg(test)]
mod tests;
