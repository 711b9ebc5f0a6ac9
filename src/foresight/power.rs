//! How surely and how soon a gate fails a candidate that is worse, by simulated bakes.

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

#[cfg(test)]
mod tests;
