//! A PASS test: one bet, so only the summed increments matter, and bounds of them only need sums of what looks count.

use super::bets::{Bets, One};
use super::bounds::{Lanes, POWER_APART, lanes, power_above};
use super::sums::{Sums, Window};
use super::{Looks, RUN};
use crate::judge::counting::{Against, CountingTest};
use crate::judge::design_effect::DesignEffect;
use crate::judge::ledger::{Direction, Stake};

/// More than what rounding does to a sum of powers in single precision.
const SINGLE: f64 = 1e-4;

#[derive(Clone, Debug)]
pub(super) struct Pass {
    bets: Bets,
    effect: f64,
    beta: f64,
    weights: Lanes<5>,
    ln_weights: Lanes<5>,
    /// Those that were needed, and which one the sums are about.
    windows: Vec<Window>,
    current: usize,
    sums: Sums,
    /// Upper bounds, in bits, of the summed increments of looks before, over `1 / beta`; and how much less they may be.
    before: [[f64; 4]; 5],
    before_single: Lanes<5>,
    apart: f64,
    exact: CountingTest,
}

impl Pass {
    pub(super) fn new(against: Against, direction: Direction, effect: DesignEffect, beta: f64) -> Self {
        let bets = Bets::new(against, direction, effect);
        let mut test = Self {
            effect: effect.factor(),
            beta,
            weights: lanes(bets.weights()),
            ln_weights: lanes(bets.weights().map(f64::log2).chain([f64::NEG_INFINITY; 20])),
            bets,
            windows: Vec::new(),
            current: usize::MAX,
            sums: Sums::default(),
            before: [[0.0; 4]; 5],
            before_single: [[0.0; 4]; 5],
            apart: 0.0,
            exact: CountingTest::new(against, direction, Stake::Once),
        };
        test.begin();
        test
    }

    pub(super) fn begin(&mut self) {
        self.sums = Sums::default();
        self.before = [[self.beta.log2(); 4]; 5];
        self.before_single = self.before.map(|before| before.map(|before| before as f32));
        self.apart = 0.0;
        if self.exact.ledger().looks() > 0 {
            self.exact = self.exact.restarted();
        }
    }

    /// Books a run of looks, and takes those off `passing` after which `E < 1 / beta`.
    pub(super) fn book(&mut self, looks: Looks, from: usize, to: usize, passing: &mut [bool; RUN]) {
        let seen = self.bets.seen(looks.between(from, to).map(|look| &look.pass));
        for ((look, k), passing) in seen.looks().zip(from + 1..=to).zip(passing) {
            let along = self.windows.get(self.current).map_or(f32::NAN, |window| window.along(&look));
            let along = if along.abs() <= 1.0 { along } else { self.turn(&look) };
            self.sums.add(&look, along);
            *passing = *passing && self.is_enough(looks, k);
        }
    }

    #[cfg(test)]
    pub(super) fn is_exact(&self) -> bool {
        self.exact.ledger().looks() > 0
    }

    /// Goes on in another window.
    #[cold]
    fn turn(&mut self, look: &One) -> f32 {
        if let Some(window) = self.windows.get(self.current) {
            let run = window.most(&[[0.0; 4]; 5], &self.sums);
            for (before, run) in self.before.as_flattened_mut().iter_mut().zip(run.as_flattened()) {
                *before += f64::from(*run);
            }
            self.apart += window.apart(&self.sums);
        }
        self.sums = Sums::default();
        self.current = self.windows.iter().position(|window| window.along(look).abs() <= 1.0).unwrap_or_else(|| {
            match Window::around(&self.bets, look) {
                Some(window) => self.windows.push(window),
                // Nothing is known of this look, nor of sums that it is in.
                None => (self.before, self.apart) = ([[f64::INFINITY; 4]; 5], f64::INFINITY),
            }
            self.windows.len().wrapping_sub(1)
        });
        self.before_single = self.before.map(|before| before.map(|before| before as f32));
        self.windows.get(self.current).map_or(0.0, |window| window.along(look))
    }

    /// Whether `E >= 1 / beta` after so many looks, which are those that were booked.
    #[inline]
    fn is_enough(&mut self, looks: Looks, k: usize) -> bool {
        let Some(window) = self.windows.get(self.current).filter(|_| !self.bets.points.is_empty()) else {
            return self.ln_e(looks, k) >= -self.beta.ln();
        };
        let most = window.most(&self.before_single, &self.sums);
        // A mean is not above the largest of its parts, and not below any of its terms.
        if largest(&most) < -SINGLE {
            return false;
        }
        let apart = self.apart + window.apart(&self.sums);
        let mut terms = most;
        for (term, weight) in terms.as_flattened_mut().iter_mut().zip(self.ln_weights.as_flattened()) {
            *term += weight;
        }
        (apart < 1.0 && largest(&terms) >= apart + SINGLE) || self.weigh(&most, apart, looks, k)
    }

    /// The same by what costs more and more.
    fn weigh(&mut self, most: &Lanes<5>, apart: f64, looks: Looks, k: usize) -> bool {
        let mut sums = [0.0; 4];
        for (most, weights) in most.iter().zip(&self.weights) {
            for ((most, weight), sum) in most.iter().zip(weights).zip(&mut sums) {
                *sum += weight * power_above(*most);
            }
        }
        // An upper bound of beta E, and a lower one: 2^-x is above 1 - 0.7 x.
        let sum: f64 = sums.iter().copied().map(f64::from).sum();
        if sum < 1.0 - SINGLE {
            return false;
        }
        let surely = |sum: f64, apart: f64| sum * (1.0 - 0.7 * apart) >= 1.0 + SINGLE;
        if surely(sum, apart + POWER_APART) {
            return true;
        }
        let terms = most.as_flattened().iter().zip(self.weights.as_flattened());
        let sum: f64 = terms.map(|(most, weight)| f64::from(*weight) * f64::from(*most).exp2()).sum();
        if sum < 1.0 - SINGLE {
            return false;
        }
        surely(sum, apart) || self.ln_e(looks, k) >= -self.beta.ln()
    }

    /// `ln E` after so many looks.
    #[cold]
    fn ln_e(&mut self, looks: Looks, k: usize) -> f64 {
        let booked = usize::try_from(self.exact.ledger().looks()).unwrap_or(usize::MAX);
        for look in looks.between(booked, k) {
            self.exact.look(look.pass.candidate, look.pass.stable, self.effect);
        }
        self.exact.ledger().ln_e()
    }
}

fn largest(lanes: &Lanes<5>) -> f64 {
    let mut largest = [f32::NEG_INFINITY; 4];
    for lanes in lanes {
        for (largest, lane) in largest.iter_mut().zip(lanes) {
            *largest = if *lane > *largest { *lane } else { *largest };
        }
    }
    largest
        .into_iter()
        .map(f64::from)
        .fold(f64::NEG_INFINITY, |largest, lane| if lane > largest { lane } else { largest })
}
