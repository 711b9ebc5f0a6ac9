//! Bakes of one candidate by chance, judged as a run judges them.

use super::FinalLook;
use super::draw::{Dice, Draw};
use crate::judge::counts::Counts;
use crate::judge::forecast::{Load, Stakes};
use crate::judge::steady::{Known, Outcome, Steady};

/// Below as many requests a look their number varies too, as arrivals do.
const FEW: f64 = 20.0;

/// The same of bursts.
const BURSTS: f64 = 10.0;

/// Bakes of one candidate.
pub(super) struct Bake {
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
    pub(super) fn new(stakes: &Stakes, exact: Option<FinalLook>, load: &Load, rate: f64, looks: u64) -> Self {
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
    pub(super) fn first_fail(&mut self, dice: &mut Dice) -> Option<u64> {
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
