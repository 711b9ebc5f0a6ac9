//! Many rollouts of the same counting gates, judged fast: for simulations, backtests and planning.
//!
//! The decisions are those of [`CountingTest`](super::counting::CountingTest), look by look and to the last bit. But most looks are far from any
//! decision, and bounds of the evidence that cost a tenth of it show that. Only where they leave a decision open is the
//! evidence itself computed, from the looks so far.

mod bets;
mod bounds;
mod fail;
mod groups;
mod pass;
mod sums;

use self::fail::Fail;
use self::pass::Pass;
use super::combine::{Critical, combine, ln_mean};
use super::counts::Counts;
use super::design_effect::DesignEffect;
use super::evidence::CountLook;
use super::gate::CountRule;
use super::ledger::Stake;
use super::verdict::Course;

/// Looks that are weighed together.
const RUN: usize = 8;

/// Above this a bound says nothing: single precision ends somewhere.
const MOST: f64 = 1e15;

/// For rounding, where a bound is held against what the ledgers compute.
const ROUNDING: f64 = 1e-9;

/// Counting gates, all of them critical and of equal weight, and the evidence of the rollout under way.
#[derive(Clone, Debug)]
pub struct Batch {
    gates: Vec<Gate>,
    stake: Stake,
    alpha: f64,
    /// Of the rollout so far, one for each gate.
    looks: Vec<CountLook>,
    /// How many looks the course knows of.
    weighed: usize,
    course: Course,
    /// A gate that had not passed when that was last asked.
    behind: usize,
}

#[derive(Clone, Debug)]
struct Gate {
    fail: Vec<Fail>,
    pass: Vec<Pass>,
}

/// The looks of one gate.
#[derive(Clone, Copy, Debug)]
struct Looks<'a> {
    all: &'a [CountLook],
    gates: usize,
    gate: usize,
}

impl Batch {
    /// Gates before their first rollout, at `alpha` and `beta`, with `planned` looks.
    #[must_use]
    pub fn new(gates: &[(CountRule, DesignEffect)], alpha: f64, beta: f64, planned: u64) -> Self {
        let stake = Stake::Spread(planned);
        let gates = gates.iter().map(|(rule, effect)| Gate {
            fail: {
                let share = 1.0 / rule.fail().count() as f64;
                rule.fail().map(|against| Fail::new(against, rule.better.fail(), *effect, stake, share)).collect()
            },
            pass: rule.pass().map(|against| Pass::new(against, rule.better.pass(), *effect, beta)).collect(),
        });
        Self {
            gates: gates.collect(),
            stake,
            alpha,
            looks: Vec::new(),
            weighed: 0,
            course: Course::default(),
            behind: 0,
        }
    }

    /// Begins the next rollout: what is known of splits stays, evidence goes.
    pub fn begin(&mut self) {
        self.looks.clear();
        self.weighed = 0;
        self.course = Course::default();
        for gate in &mut self.gates {
            gate.fail.iter_mut().for_each(Fail::begin);
            gate.pass.iter_mut().for_each(Pass::begin);
        }
    }

    /// Books one look, a [`CountLook`] for each gate; a gate without one has learnt nothing.
    pub fn look(&mut self, looks: &[CountLook]) {
        let gates = self.gates.len();
        let booked = self.looks.len();
        self.looks.extend_from_slice(looks.get(..gates).unwrap_or(looks));
        self.looks.resize(booked + gates, CountLook::exact(Counts::NONE, Counts::NONE));
    }

    /// When the rollout was decided, after the looks so far. Asking once is faster than asking after each look.
    pub fn course(&mut self) -> Course {
        let looks = std::mem::take(&mut self.looks);
        self.go_on(&looks);
        self.looks = looks;
        self.course
    }

    /// The course of a rollout of which all is known: a [`CountLook`] for each gate, look by look. It is over after that, as
    /// if the next one had begun. This is the fastest way: nothing is kept of the looks.
    pub fn course_of(&mut self, looks: &[CountLook]) -> Course {
        self.begin();
        self.go_on(looks);
        let course = self.course;
        self.begin();
        course
    }

    /// `ln E` of the FAIL evidence of all gates together, after the looks so far; 0 without gates.
    pub fn ln_e_fail(&mut self) -> f64 {
        self.course();
        let looks = std::mem::take(&mut self.looks);
        let ln_e = self.ln_e_after(&looks, self.weighed);
        self.looks = looks;
        ln_e
    }

    /// Goes on to the last of `all` looks of the rollout.
    fn go_on(&mut self, all: &[CountLook]) {
        let looks = all.len().checked_div(self.gates.len()).unwrap_or(0);
        while self.weighed < looks {
            self.weigh(all, looks.min(self.weighed + RUN));
        }
    }

    /// Goes on to the look `end`, at most a run of them.
    fn weigh(&mut self, all: &[CountLook], end: usize) {
        let failed = if self.course.first_fail.is_none() { self.failed(all, end) } else { None };
        let passing = if self.course.first_pass.is_none() { self.passing(all, end) } else { [false; RUN] };
        for (look, passes) in (self.weighed..end).zip(passing) {
            self.course.look(failed == Some(look), passes);
        }
        self.weighed = end;
    }

    /// The first look, from 0, after which FAIL decides.
    fn failed(&mut self, all: &[CountLook], end: usize) -> Option<usize> {
        // There is never more cash than after the first of them.
        let cash = self.stake.cash(1 + self.weighed as u64);
        let bet = fail::bet(self.stake, self.weighed);
        let (mut most, mut not_bet) = ([[0.0; 4]; RUN], 0.0);
        for (gate, looks) in each(&mut self.gates, all) {
            for test in &mut gate.fail {
                test.book(looks, self.weighed, end, bet, &mut most);
                not_bet += test.not_bet(cash);
            }
        }
        let enough = self.enough().min(MOST) * (1.0 - ROUNDING);
        let open = |most: &[f32; 4]| most.iter().copied().map(f64::from).sum::<f64>() + not_bet >= enough;
        let mut asked = false;
        for (look, _) in (self.weighed..end).zip(&most).filter(|(_, most)| open(most)) {
            asked = true;
            if self.fails(all, look + 1) {
                return Some(look);
            }
        }
        if asked {
            self.sharpen(all, end);
        }
        None
    }

    /// Lets the coarse bounds begin anew from the fine ones: else they would leave look after look open.
    #[cold]
    fn sharpen(&mut self, all: &[CountLook], looks: usize) {
        for (gate, booked) in each(&mut self.gates, all) {
            gate.fail.iter_mut().for_each(|test| test.sharpen(booked, looks));
        }
    }

    /// Whether `E_bar >= 1 / alpha` after so many looks, which its coarse bound leaves open.
    #[cold]
    fn fails(&mut self, all: &[CountLook], looks: usize) -> bool {
        let (mut least, mut most) = (0.0, 0.0);
        for (gate, booked) in each(&mut self.gates, all) {
            for test in &mut gate.fail {
                let [low, high] = test.within(booked, looks);
                (least, most) = (least + low, most + high);
            }
        }
        let enough = self.enough();
        if most < enough.min(MOST) * (1.0 - ROUNDING) {
            return false;
        }
        let surely = least >= enough * (1.0 + ROUNDING) && enough <= fail::MOST_LEAST;
        surely || self.ln_e_after(all, looks) >= -self.alpha.ln()
    }

    fn ln_e_after(&mut self, all: &[CountLook], looks: usize) -> f64 {
        let of = |(gate, booked): (&mut Gate, Looks)| {
            let ln_es: Vec<f64> = gate.fail.iter_mut().map(|test| test.ln_e(booked, looks)).collect();
            Critical { weight: 1.0, ln_e: ln_mean(&ln_es) }
        };
        let gates: Vec<Critical> = each(&mut self.gates, all).map(of).collect();
        combine(&gates).map_or(0.0, |combined| combined.ln_e)
    }

    /// What the E of all gates add up to when FAIL decides.
    fn enough(&self) -> f64 {
        self.gates.len() as f64 / self.alpha
    }

    /// After which looks all gates pass.
    fn passing(&mut self, all: &[CountLook], end: usize) -> [bool; RUN] {
        let mut passing = [true; RUN];
        let last = end - self.weighed - 1;
        // To know one that does not pass is enough.
        let (behind, gates) = (self.behind, self.gates.len());
        for at in (behind..gates).chain(0..behind) {
            let looks = Looks { all, gates, gate: at };
            let before = passing.get(last) == Some(&true);
            for test in self.gates.get_mut(at).into_iter().flat_map(|gate| &mut gate.pass) {
                test.book(looks, self.weighed, end, &mut passing);
            }
            if before && passing.get(last) == Some(&false) {
                self.behind = at;
            }
        }
        passing
    }
}

/// The gates and their looks.
fn each<'a>(gates: &'a mut [Gate], all: &'a [CountLook]) -> impl Iterator<Item = (&'a mut Gate, Looks<'a>)> {
    let count = gates.len();
    gates.iter_mut().zip(0..).map(move |(gate, at)| (gate, Looks { all, gates: count, gate: at }))
}

impl<'a> Looks<'a> {
    fn between(self, from: usize, to: usize) -> impl Iterator<Item = &'a CountLook> {
        let rows = self.all.get(from * self.gates..to * self.gates).unwrap_or_default();
        rows.chunks_exact(self.gates.max(1)).filter_map(move |row| row.get(self.gate))
    }
}

#[cfg(test)]
mod tests;
