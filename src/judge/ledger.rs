//! The mixture e-process behind every counting gate (docs/judge.md section 3.1).

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::exact::Exact;
use super::math::{ln_add, log_sum_exp};

/// Which alternative a test bets on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The rate is lower than the boundary: the grid is `1 / g_j`.
    Down,
    /// The rate is higher than the boundary: the grid is `g_j`.
    Up,
}

/// When the starting capital is bet (docs/judge.md section 3.1, `omega`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stake {
    /// All of it at the first look: PASS tests, and FAIL tests of a single look.
    Once,
    /// Half at the first look, the rest evenly over the planned looks: FAIL tests. One look or none is as [`Stake::Once`].
    Spread(u64),
}

/// The running evidence against one null hypothesis: an e-process, so it may be read after every look.
///
/// Serializes exactly; restoring it between any two looks changes no bit of what follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "State", into = "State")]
pub struct Ledger {
    direction: Direction,
    stake: Stake,
    looks: u64,
    /// `ln M_j`, minus infinity for nothing; the length is the number of grid points in use.
    ln_m: Vec<f64>,
    ln_max: f64,
}

impl Ledger {
    /// A ledger over the whole grid, before its first look.
    #[must_use]
    pub fn new(direction: Direction, stake: Stake) -> Self {
        Self::with_points(direction, stake, GRID.len())
    }

    /// A ledger over the grid points with `g * limit < 1`, for tests against an absolute rate (docs/judge.md section 3.3).
    ///
    /// Without any such point there is nothing to bet on, and E stays 1.
    #[must_use]
    pub fn below(direction: Direction, stake: Stake, limit: f64) -> Self {
        let points = GRID.iter().filter(|g| oriented(direction, **g) * limit < 1.0).count();
        Self::with_points(direction, stake, points)
    }

    /// Books one look. `increment` gives the log-likelihood ratio `l` of a grid point `g`, divided by the design effect;
    /// one that is not finite is no evidence.
    pub fn look(&mut self, increment: impl Fn(f64) -> f64) {
        self.looks = self.looks.saturating_add(1);
        let bet = self.stake.bet(self.looks).ln();
        for (ln_m, g) in self.ln_m.iter_mut().zip(GRID.iter()) {
            let l = increment(oriented(self.direction, *g));
            *ln_m = ln_add(*ln_m, bet) + if l.is_finite() { l } else { 0.0 };
        }
        self.ln_max = self.ln_max.max(self.ln_e());
    }

    /// `ln E` after the looks so far; 0 before the first.
    #[must_use]
    pub fn ln_e(&self) -> f64 {
        if self.ln_m.is_empty() {
            return 0.0;
        }
        let bets = weighted(&self.ln_m);
        ln_add(bets, self.stake.cash(self.looks).ln())
    }

    /// The anytime-valid p-value `min(1, 1 / max E)`.
    #[must_use]
    pub fn p_value(&self) -> f64 {
        (-self.ln_max).exp().min(1.0)
    }

    /// How many looks were booked.
    #[must_use]
    pub fn looks(&self) -> u64 {
        self.looks
    }

    /// What this ledger bets on.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// The same test before its first look.
    #[must_use]
    pub fn restarted(&self) -> Self {
        Self::with_points(self.direction, self.stake, self.ln_m.len())
    }

    fn with_points(direction: Direction, stake: Stake, points: usize) -> Self {
        Self { direction, stake, looks: 0, ln_m: vec![f64::NEG_INFINITY; points.min(GRID.len())], ln_max: 0.0 }
    }
}

impl Stake {
    /// `omega_k` of look `k`, counted from 1.
    pub(super) fn bet(self, k: u64) -> f64 {
        match (self, k) {
            (Self::Once | Self::Spread(0 | 1), 1) => 1.0,
            (Self::Spread(_), 1) => 0.5,
            (Self::Spread(planned), k) if k <= planned => 0.5 / (planned - 1) as f64,
            (Self::Once | Self::Spread(_), _) => 0.0,
        }
    }

    /// What is not bet yet after `k` looks. In closed form: subtracting look by look would leave dust, even below zero.
    pub(super) fn cash(self, k: u64) -> f64 {
        match (self, k) {
            (_, 0) => 1.0,
            (Self::Spread(planned), k) if k < planned => 0.5 * (planned - k) as f64 / (planned - 1) as f64,
            (Self::Once | Self::Spread(_), _) => 0.0,
        }
    }
}

/// `ln E` of a bet that is made once, from the summed increments per grid point: sum over j of `w_j exp(l_j)`.
pub(super) fn ln_e_of_sums(direction: Direction, increment: impl Fn(f64) -> f64) -> f64 {
    let sums: Vec<f64> = GRID.iter().map(|g| increment(oriented(direction, *g))).collect();
    weighted(&sums)
}

/// The grid as `direction` uses it.
pub(super) fn grid(direction: Direction) -> impl Iterator<Item = f64> {
    GRID.iter().map(move |g| oriented(direction, *g))
}

/// `g_j = exp(0.01 * 2^((j-1)/2))`, j = 1..17: ratios from 1 % up to 13x.
static GRID: LazyLock<[f64; 17]> =
    LazyLock::new(|| std::array::from_fn(|index| (0.01 * (index as f64 / 2.0).exp2()).exp()));

/// `ln j`, the weights before they are normalized.
static LN_WEIGHTS: LazyLock<[f64; 17]> = LazyLock::new(|| std::array::from_fn(|index| (index as f64 + 1.0).ln()));

fn oriented(direction: Direction, g: f64) -> f64 {
    match direction {
        Direction::Down => 1.0 / g,
        Direction::Up => g,
    }
}

/// `ln sum w_j exp(t_j)` with weights proportional to j.
fn weighted(terms: &[f64]) -> f64 {
    let points = terms.len() as f64;
    log_sum_exp(terms.iter().zip(LN_WEIGHTS.iter()).map(|(t, w)| t + w)) - (points * (points + 1.0) / 2.0).ln()
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    direction: Direction,
    stake: Stake,
    looks: u64,
    ln_m: Vec<Exact>,
    ln_max: Exact,
}

impl From<Ledger> for State {
    fn from(ledger: Ledger) -> Self {
        let Ledger { direction, stake, looks, ln_m, ln_max } = ledger;
        Self { direction, stake, looks, ln_m: ln_m.into_iter().map(Exact).collect(), ln_max: Exact(ln_max) }
    }
}

impl TryFrom<State> for Ledger {
    type Error = String;

    fn try_from(state: State) -> Result<Self, String> {
        let State { direction, stake, looks, ln_m, ln_max } = state;
        if ln_m.len() > GRID.len() || ln_m.iter().any(|m| m.0 == f64::INFINITY) || !ln_max.0.is_finite() {
            return Err(format!("a ledger has up to {} finite numbers", GRID.len()));
        }
        Ok(Self { direction, stake, looks, ln_m: ln_m.into_iter().map(|m| m.0).collect(), ln_max: ln_max.0 })
    }
}

#[cfg(test)]
mod tests {

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_grid_spans_one_percent_to_thirteen_fold() {
        let ends: Vec<f64> = grid(Direction::Up).collect();
        assert!((ends.first().unwrap() - 1.010_050_167).abs() < 1e-9);
        assert!((ends.last().unwrap() - 12.935_817_315).abs() < 1e-9);
    }

    #[test]
    fn looks_without_evidence_leave_e_at_one_whatever_the_stake() {
        for stake in [Stake::Once, Stake::Spread(0), Stake::Spread(1), Stake::Spread(2), Stake::Spread(120)] {
            let mut ledger = Ledger::new(Direction::Up, stake);
            assert_eq!(ledger.ln_e(), 0.0);
            for _ in 0..150 {
                ledger.look(|_| 0.0);
                assert!(ledger.ln_e().abs() < 1e-12, "{stake:?}: {}", ledger.ln_e());
            }
            assert!((ledger.p_value() - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn a_limit_nobody_can_exceed_leaves_nothing_to_bet_on() {
        let mut ledger = Ledger::below(Direction::Up, Stake::Once, 0.999);
        ledger.look(|g| g);
        assert_eq!(ledger.ln_e(), 0.0);
    }

    #[test]
    fn the_p_value_remembers_the_best_look() {
        let mut ledger = Ledger::new(Direction::Up, Stake::Once);
        ledger.look(|_| 3.0);
        ledger.look(|_| -5.0);
        assert!((ledger.p_value() - (-3.0f64).exp()).abs() < 1e-12);
        assert!((ledger.ln_e() + 2.0).abs() < 1e-12);
        assert_eq!(ledger.restarted(), Ledger::new(Direction::Up, Stake::Once));
    }

    #[test]
    fn refuses_a_state_that_is_none() {
        let good = serde_json::to_string(&Ledger::new(Direction::Down, Stake::Spread(7))).unwrap();
        for (from, to) in [("\"-inf\"", "\"inf\""), ("\"-inf\"", "\"NaN\""), ("\"down\"", "\"sideways\"")] {
            assert!(serde_json::from_str::<Ledger>(&good.replacen(from, to, 1)).is_err(), "{to}");
        }
    }

    proptest! {
        #[test]
        fn a_restored_ledger_goes_on_bit_for_bit(
            increments in proptest::collection::vec(-50.0f64..50.0, 1..30), cut in 0usize..30, planned in 0u64..40,
        ) {
            let mut straight = Ledger::new(Direction::Up, Stake::Spread(planned));
            let mut restored = straight.clone();
            for (index, l) in increments.iter().enumerate() {
                if index == cut {
                    restored = serde_json::from_str(&serde_json::to_string(&restored).unwrap()).unwrap();
                }
                straight.look(|g| l * g.ln());
                restored.look(|g| l * g.ln());
            }
            prop_assert_eq!(straight.ln_e().to_bits(), restored.ln_e().to_bits());
            prop_assert_eq!(straight, restored);
        }
    }
}
