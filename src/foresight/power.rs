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
    outcomes: Option<(Draw, Vec<Happens>)>,
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

/// An outcome of a look as the gate knows it, none where nobody came, and what candidate and stable had in it.
type Happens = (Option<Outcome>, [Had; 2]);

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

    fn all_outcomes(&mut self) -> Option<(Draw, Vec<Happens>)> {
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
mod tests;
