//! A FAIL test: it bets anew at each look, so each look matters on its own.

use super::bets::{Bets, Seen};
use super::bounds::{Bounds, Lanes, POWER_APART, ROUNDING, power_above};
use super::{Looks, RUN};
use crate::judge::counting::{Against, CountingTest};
use crate::judge::design_effect::DesignEffect;
use crate::judge::ledger::{Direction, Stake};

/// A bet after the planned looks: too small to matter, and it keeps evidence from becoming so small that it is slow.
const DUST: f64 = 1e-15;

/// The sum of all E, and the planned looks, up to which `Fail::least` is a lower bound.
pub(super) const MOST_LEAST: f64 = 1e5;
const MOST_PLANNED: u64 = 10_000;

/// A test and, from the cheapest to the evidence itself, what is known of its evidence.
#[derive(Clone, Debug)]
pub(super) struct Fail {
    bets: Bets,
    stake: Stake,
    /// In the E of its gate.
    share: f64,
    effect: f64,
    /// Two rows of lanes, all looks.
    coarse: Most<2>,
    /// A lane for each point, as many looks as were asked for.
    fine: Most<5>,
    booked: usize,
    /// How much less the evidence may be than `fine`, in bits.
    apart: f64,
    exact: CountingTest,
}

/// An upper bound of E.
#[derive(Clone, Debug)]
struct Most<const N: usize> {
    bounds: Bounds<N>,
    weights: Lanes<N>,
    /// Of the weighted `M_j`.
    m: Lanes<N>,
}

impl Fail {
    pub(super) fn new(against: Against, direction: Direction, effect: DesignEffect, stake: Stake, share: f64) -> Self {
        let bets = Bets::new(against, direction, effect);
        Self {
            stake,
            share,
            effect: effect.factor(),
            coarse: Most::new(&bets, share, stake),
            fine: Most::new(&bets, share, stake),
            booked: 0,
            apart: 0.0,
            bets,
            exact: CountingTest::new(against, direction, stake),
        }
    }

    pub(super) fn begin(&mut self) {
        self.coarse.begin(self.stake);
        if self.booked > 0 {
            self.fine.begin(self.stake);
            (self.booked, self.apart) = (0, 0.0);
        }
        if self.exact.ledger().looks() > 0 {
            self.exact = self.exact.restarted();
        }
    }

    /// Books a run of looks, and adds what a share of E is at most after each of them, but for what is not bet. Lanes are
    /// still to be summed.
    pub(super) fn book(&mut self, looks: Looks, from: usize, to: usize, bet: f32, most: &mut [[f32; 4]; RUN]) {
        let seen = self.bets.seen(looks.between(from, to).map(|look| &look.fail));
        let places = self.coarse.bounds.places(&self.bets, &seen);
        self.coarse.book(&seen, places.get(..to - from).unwrap_or_default(), bet, most);
    }

    #[cfg(test)]
    pub(super) fn is_refined(&self) -> bool {
        self.booked > 0
    }

    #[cfg(test)]
    pub(super) fn is_exact(&self) -> bool {
        self.exact.ledger().looks() > 0
    }

    /// E of what is not bet, of a share.
    pub(super) fn not_bet(&self, cash: f64) -> f64 {
        self.share * if self.bets.points.is_empty() { 1.0 } else { cash }
    }

    /// A lower and an upper bound of E after so many looks.
    ///
    /// The upper one is too large by no more than what each look adds. Where an increment is held at `LEAST_BITS`, what
    /// is too much is nothing beside the bet of the next look.
    pub(super) fn within(&mut self, looks: Looks, k: usize) -> [f64; 2] {
        self.refine(looks, k);
        let planned = match self.stake {
            Stake::Once => 1,
            Stake::Spread(planned) => planned,
        };
        let most: f64 = self.fine.m.iter().flatten().map(|m| f64::from(*m)).sum();
        let known = k as u64 <= planned && planned <= MOST_PLANNED && self.apart < 1.0;
        let not_bet = self.not_bet(self.stake.cash(k as u64));
        [if known { most * (-self.apart).exp2() } else { 0.0 } + not_bet, most + not_bet]
    }

    /// Makes the coarse bound what the fine one is after so many looks, which are all that were booked.
    pub(super) fn sharpen(&mut self, looks: Looks, k: usize) {
        self.refine(looks, k);
        let fine = self.fine.m.as_flattened().iter().take(self.bets.points.len());
        // Its floats are rounded once more.
        let fine: Vec<f64> = fine.map(|m| f64::from(*m) * (1.0 + ROUNDING)).collect();
        // Where looks have no known bound it is infinite, and no part of that is a number.
        if fine.iter().all(|m| m.is_finite()) {
            self.coarse.m = self.coarse.bounds.share_out(&fine);
        }
    }

    /// Books the looks that the fine bound does not know yet.
    fn refine(&mut self, looks: Looks, k: usize) {
        while self.booked < k {
            let end = k.min(self.booked + RUN);
            let seen = self.bets.seen(looks.between(self.booked, end).map(|look| &look.fail));
            let places = self.fine.bounds.places(&self.bets, &seen);
            let places = places.get(..end - self.booked).unwrap_or_default();
            self.fine.book(&seen, places, bet(self.stake, self.booked), &mut [[0.0; 4]; RUN]);
            for (look, place) in seen.looks().zip(places) {
                self.apart += f64::from(self.fine.bounds.apart(*place, &look)) + POWER_APART;
            }
            self.booked = end;
        }
    }

    /// `ln E` after so many looks, or after more if it was asked for those before.
    pub(super) fn ln_e(&mut self, booked: Looks, looks: usize) -> f64 {
        let from = usize::try_from(self.exact.ledger().looks()).unwrap_or(usize::MAX);
        for look in booked.between(from, looks) {
            self.exact.look(look.fail.candidate, look.fail.stable, self.effect);
        }
        self.exact.ledger().ln_e()
    }
}

impl<const N: usize> Most<N> {
    fn new(bets: &Bets, share: f64, stake: Stake) -> Self {
        let bounds = Bounds::new(bets);
        let mut most = Self { weights: bounds.weights(bets, share), bounds, m: [[0.0; 4]; N] };
        most.begin(stake);
        most
    }

    fn begin(&mut self, stake: Stake) {
        // What the first look bets more than others.
        let more = (stake.bet(1) - stake.bet(2)) as f32;
        self.m = self.weights.map(|weights| weights.map(|weight| weight * more));
    }

    /// Books looks, and adds the lanes after each of them, those of a row to each other, to `most`.
    #[inline]
    fn book(&mut self, seen: &Seen, places: &[usize], bet: f32, most: &mut [[f32; 4]; RUN]) {
        let bets = self.weights.map(|weights| weights.map(|weight| weight * bet));
        for ((look, place), most) in seen.looks().zip(places).zip(most) {
            let bits = self.bounds.of(*place, &look);
            for ((m, bets), bits) in self.m.iter_mut().zip(&bets).zip(&bits) {
                for (((m, bet), bits), most) in m.iter_mut().zip(bets).zip(bits).zip(&mut *most) {
                    *m = (*m + bet) * power_above(*bits);
                    *most += *m;
                }
            }
        }
    }
}

/// At least what is bet at each of a run of looks after so many; the first bets more than that.
pub(super) fn bet(stake: Stake, booked: usize) -> f32 {
    f64::max(stake.bet(booked.max(1) as u64 + 1), DUST) as f32
}
