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

/// From so many requests on their number varies by too little to count, whatever it is about.
const MANY: f64 = 10_000.0;

/// Below this rate the number of events may be drawn by itself, not as a part of the requests that come.
const SELDOM: f64 = 0.1;

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
    /// Whether the candidate had a request in the look before.
    came: bool,
}

/// The requests of one revision in a look, and how many of them are events.
struct Side {
    /// On average.
    requests: f64,
    rate: f64,
    arrivals: Arrivals,
    events: Draw,
}

/// How many requests come.
enum Arrivals {
    /// Those that are no events are drawn, one by one.
    Few(Draw),
    /// One of these numbers, each of which stands for those near it.
    Rough(Draw, Vec<f64>),
    /// As many in each look.
    Same,
}

/// An outcome of a look as the gate knows it, none where nobody came, and what candidate and stable had in it.
type Happens = (Option<Outcome>, [Had; 2]);

/// What a bake is judged by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Evidence {
    Fail,
    FailAndPass,
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
    fn new(requests: f64, rate: f64, burst: f64, evidence: Evidence) -> Self {
        let events = requests * rate / burst;
        // Many requests are as many in each look, or nearly so. Of few the number varies; and a burst brings its own, as retries do.
        let arrivals = if requests < FEW.max(BURSTS * burst) {
            Arrivals::Few(Draw::arrivals(requests * (1.0 - rate), 1.0))
        } else if evidence == Evidence::FailAndPass && events < FEW && requests < MANY && rate < SELDOM {
            // Requests without an event bring evidence of PASS too, by steps that show where looks and events are few.
            let (draw, numbers) = rough(requests);
            Arrivals::Rough(draw, numbers)
        } else {
            Arrivals::Same
        };
        let events = match arrivals {
            Arrivals::Few(_) => Draw::arrivals(events, burst),
            Arrivals::Rough(..) | Arrivals::Same => Draw::events(requests, rate, burst),
        };
        Self { requests, rate, arrivals, events }
    }

    fn had(&self, arrived: usize, events: usize) -> Had {
        let count = self.events.number(events);
        let (place, requests) = match &self.arrivals {
            Arrivals::Few(draw) => (arrived * self.events.numbers() + events, draw.number(arrived) + count),
            Arrivals::Rough(_, numbers) => (arrived, numbers.get(arrived).copied().unwrap_or(self.requests)),
            Arrivals::Same => (0, self.requests),
        };
        Had { place, requests, events: count.min(requests) }
    }

    fn next(&self, dice: &mut Dice) -> Had {
        let arrived = match &self.arrivals {
            Arrivals::Few(draw) | Arrivals::Rough(draw, _) => draw.place(dice),
            Arrivals::Same => 0,
        };
        self.had(arrived, self.events.place(dice))
    }

    /// All that it may have, with their chances.
    fn all(&self) -> Vec<(Had, f64)> {
        let arrived: Vec<(usize, f64)> = match &self.arrivals {
            Arrivals::Few(draw) | Arrivals::Rough(draw, _) => {
                draw.chances().enumerate().map(|(at, (_, chance))| (at, chance)).collect()
            }
            Arrivals::Same => vec![(0, 1.0)],
        };
        let both = arrived.into_iter().flat_map(|(at, chance)| {
            self.events.chances().enumerate().map(move |(events, (_, also))| (self.had(at, events), chance * also))
        });
        both.filter(|(_, chance)| *chance > NEVER).collect()
    }
}

/// Numbers of requests that are half a standard deviation apart, and how likely they are, for as many on average.
fn rough(requests: f64) -> (Draw, Vec<f64>) {
    let width = (requests.sqrt() / 2.0).max(1.0);
    // The place, the chance, and the number times the chance.
    let mut groups: Vec<(u64, f64, f64)> = Vec::new();
    for (number, chance) in Draw::arrivals(requests, 1.0).chances() {
        let place = (number / width) as u64;
        match groups.last_mut() {
            Some((last, sum, mean)) if *last == place => (*sum, *mean) = (*sum + chance, *mean + number * chance),
            _ => groups.push((place, chance, number * chance)),
        }
    }
    groups.retain(|(_, chance, _)| *chance > 0.0);
    let chances: Vec<f64> = groups.iter().map(|(_, chance, _)| *chance).collect();
    (Draw::one_of(&chances), groups.into_iter().map(|(_, chance, mean)| mean / chance).collect())
}

impl Bake {
    pub(super) fn new(stakes: &Stakes, exact: Option<FinalLook>, load: &Load, rate: f64, looks: u64) -> Self {
        let gate = Steady::new(&stakes.rule, stakes.effect, stakes.alpha, looks);
        let burst = stakes.effect.factor();
        Self::judged_by(gate, exact, looks, Self::sides(load, rate, burst, Evidence::Fail))
    }

    /// Bakes that may pass at `beta`.
    pub(super) fn passing(
        (stakes, exact): (&Stakes, Option<FinalLook>),
        beta: f64,
        load: &Load,
        rate: f64,
        looks: u64,
    ) -> Self {
        let Stakes { rule, alpha, effect } = stakes;
        let gate = Steady::new(rule, *effect, *alpha, looks).passing(rule, *effect, beta);
        Self::judged_by(gate, exact, looks, Self::sides(load, rate, effect.factor(), Evidence::FailAndPass))
    }

    fn sides(load: &Load, rate: f64, burst: f64, evidence: Evidence) -> [Side; 2] {
        [(load.candidate(), rate), (load.stable(), load.base_rate)]
            .map(|(requests, rate)| Side::new(requests, rate, burst, evidence))
    }

    fn judged_by(gate: Steady, exact: Option<FinalLook>, looks: u64, [candidate, stable]: [Side; 2]) -> Self {
        let mut bake = Self {
            gate,
            looks,
            candidate,
            stable,
            known: Vec::new(),
            outcomes: None,
            exact,
            sums: [(0.0, 0.0); 2],
            came: false,
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

    /// Whether the next bake passes before it fails, at look `least` or later, and the look that ends it. As in a run: the evidence must
    /// be there at that look, in which the candidate had a request, and of the last look what the exact test says goes first.
    pub(super) fn first_pass(&mut self, least: u64, dice: &mut Dice) -> (bool, u64) {
        self.gate.begin();
        self.sums = [(0.0, 0.0); 2];
        for look in 1..=self.looks {
            if self.look(dice) {
                return (false, look);
            }
            if look >= least && self.came && self.gate.passes() {
                return (look < self.looks || !self.ends_with_fail(), look);
            }
        }
        (false, self.looks)
    }

    /// Whether the exact test at the end rejects.
    fn ends_with_fail(&self) -> bool {
        let counts = |(requests, events): (f64, f64)| Counts::new(requests, events).unwrap_or(Counts::NONE);
        let [ours, theirs] = self.sums.map(counts);
        self.exact.is_some_and(|exact| exact.rejects_soon(ours, theirs))
    }

    #[inline]
    fn sum(&mut self, had: [Had; 2]) {
        let [ours, _] = had;
        self.came = ours.requests > 0.0;
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
