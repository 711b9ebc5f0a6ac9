//! PASS beside FAIL: one bet, so that increments need only be summed.

use super::{Grid, Known, Lanes, Outcome, lanes, power};
use crate::judge::counting::Against;
use crate::judge::design_effect::DesignEffect;
use crate::judge::ledger::Direction;

/// More than the binary logarithm of the number of lanes.
const ALL_LANES: f32 = 4.4;

#[derive(Clone, Debug)]
pub(super) struct Pass {
    grid: Grid,
    /// What a point counts for over what E is when PASS decides, in bits; nothing for lanes without a point.
    weights: Lanes,
    /// The increments of the looks so far, in bits.
    sums: Lanes,
    /// Those of an outcome.
    outcomes: Vec<Lanes>,
}

impl Pass {
    pub(super) fn new(against: Against, direction: Direction, effect: DesignEffect, beta: f64) -> Self {
        let grid = Grid::new(against, direction, effect);
        let weights = grid.weights().map(|weight| (weight * beta).log2());
        let weights = lanes(weights.chain(std::iter::repeat(f64::NEG_INFINITY)));
        Self { grid, weights, sums: Lanes::default(), outcomes: Vec::new() }
    }

    pub(super) fn grid(&mut self) -> &mut Grid {
        &mut self.grid
    }

    pub(super) fn begin(&mut self) {
        self.sums = Lanes::default();
    }

    pub(super) fn outcome(&mut self, requests: Known, candidate: f64, stable: f64) {
        self.outcomes.push(self.grid.bits(requests, candidate, stable).unwrap_or_default());
    }

    #[inline]
    pub(super) fn look(&mut self, outcome: Outcome) {
        for (sum, bits) in self.sums.iter_mut().zip(self.outcomes.get(outcome.0).into_iter().flatten()) {
            *sum += bits;
        }
    }

    #[inline]
    pub(super) fn look_at(&mut self, requests: Known, candidate: f64, stable: f64) {
        for (sum, bits) in self.sums.iter_mut().zip(self.grid.bits(requests, candidate, stable).iter().flatten()) {
            *sum += bits;
        }
    }

    /// Whether `E >= 1 / beta`.
    #[inline]
    pub(super) fn is_enough(&self) -> bool {
        let mut terms = self.weights;
        for (term, sum) in terms.iter_mut().zip(&self.sums) {
            *term += sum;
        }
        let largest = largest(&terms);
        // A sum is not below its largest term, nor above that in all lanes.
        largest >= 0.0 || (largest > -ALL_LANES && beta_e(&terms) >= 1.0)
    }

    /// `beta E`.
    #[cfg(test)]
    pub(super) fn beta_e(&self) -> f64 {
        let mut terms = self.weights;
        for (term, sum) in terms.iter_mut().zip(&self.sums) {
            *term += sum;
        }
        beta_e(&terms)
    }
}

fn beta_e(terms: &Lanes) -> f64 {
    terms.iter().map(|term| f64::from(power(*term))).sum()
}

#[inline]
fn largest(terms: &Lanes) -> f32 {
    let mut largest = [f32::NEG_INFINITY; 4];
    for terms in terms.chunks_exact(4) {
        for (largest, term) in largest.iter_mut().zip(terms) {
            *largest = if *term > *largest { *term } else { *largest };
        }
    }
    largest.into_iter().fold(f32::NEG_INFINITY, |most, term| if term > most { term } else { most })
}
