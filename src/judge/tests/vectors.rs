//! The values of docs/judge.md section 7, and vectors made with scipy 1.17.

use super::assert_near;
use crate::judge::counting::{Against, CountingTest};
use crate::judge::counts::{Boundary, Counts};
use crate::judge::final_look::p_value;
use crate::judge::interval::wilson;
use crate::judge::ledger::{Direction, Stake};
use crate::judge::limit::Limit;
use crate::judge::mann_whitney::MannWhitney;

fn counts(events: f64, requests: f64) -> Counts {
    Counts::new(requests, events).unwrap()
}

fn book(mut test: CountingTest, looks: &[(f64, f64, f64, f64)], wants: &[f64]) {
    for ((x_c, n_c, x_b, n_b), want) in looks.iter().zip(wants) {
        test.look(counts(*x_c, *n_c), counts(*x_b, *n_b), 1.0);
        assert_near(test.ledger().ln_e(), *want);
    }
}

#[test]
fn up_against_stable() {
    let equal = Against::Stable(Boundary { ratio: 1.0, abs: 0.0 });
    let test = CountingTest::new(equal, Direction::Up, Stake::Spread(120));
    book(test, &[(9.0, 300.0, 31.0, 2700.0), (8.0, 300.0, 25.0, 2700.0)], &[1.035_745_987_389, 3.174_051_437_800]);
}

#[test]
fn down_against_stable() {
    let double = Against::Stable(Boundary { ratio: 2.0, abs: 0.001 });
    let test = CountingTest::new(double, Direction::Down, Stake::Once);
    book(test, &[(2.0, 300.0, 27.0, 2700.0), (3.0, 300.0, 25.0, 2700.0)], &[1.085_251_233_507, 1.426_599_713_974]);
}

#[test]
fn down_against_a_limit() {
    let limit = Against::Limit(Limit::new(0.01).unwrap());
    let test = CountingTest::new(limit, Direction::Down, Stake::Once);
    book(test, &[(0.0, 250.0, 0.0, 0.0), (1.0, 250.0, 0.0, 0.0)], &[1.407_808_962_965, 1.673_716_772_145]);
}

#[test]
fn strata_add_up_inside_a_look() {
    let equal = Against::Stable(Boundary { ratio: 1.0, abs: 0.0 });
    let mut pooled = CountingTest::new(equal, Direction::Up, Stake::Once);
    let mut split = pooled.clone();
    pooled.look(counts(9.0, 300.0), counts(31.0, 2700.0), 1.0);
    let (half, rest) = ((counts(4.0, 100.0), counts(11.0, 900.0)), (counts(5.0, 200.0), counts(20.0, 1800.0)));
    split.look_at_strata(&[half, rest], 1.0);
    assert_near(split.ledger().ln_e(), pooled.ledger().ln_e());
    split = split.restarted();
    split.look_at_strata(&[half, rest], 2.0);
    assert!(split.ledger().ln_e() < pooled.ledger().ln_e());
}

/// `scipy.stats.mannwhitneyu(x, y, alternative="greater", method="exact")`.
#[test]
fn mann_whitney_without_ties_is_exact() {
    let x = [-0.778842, -0.748161, 1.069469, -1.89391, 0.256616, -1.856077, 1.500972, 0.602898];
    let y = [1.356316, -0.504183, 0.398195, -0.285877, -0.738327, 0.145324, -1.257208, -0.354662, 0.696596];
    let test = MannWhitney::of(&x, &y).unwrap();
    assert_near(test.u, 32.0);
    assert_near(test.p_greater, 0.663_512_957_630_604_7);
    assert_near(test.cles, 32.0 / 72.0);
}

/// `scipy.stats.permutation_test` over all 24,310 splits, with U as its statistic.
#[test]
fn mann_whitney_with_ties_is_exact_too() {
    let x = [1.0, 2.0, 2.0, 3.0, 5.0, 5.0, 7.0, 8.0];
    let y = [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 5.0, 5.0];
    let test = MannWhitney::of(&x, &y).unwrap();
    assert_near(test.u, 46.0);
    assert_near(test.p_greater, 0.182_723_159_193_747_43);
}

/// `scipy.stats.mannwhitneyu(x, y, alternative="greater", method="asymptotic")`, ties included.
#[test]
fn mann_whitney_of_many_values_is_normal() {
    let x =
        [-1.3, -1.0, -0.8, 2.3, -0.4, 0.2, 0.1, 1.0, 0.9, 0.7, -0.9, -2.7, 0.6, 0.7, 1.6, 0.3, -0.2, 0.8, -1.2, -0.6];
    let y = [
        -1.0, 0.3, 2.1, 0.8, 1.1, 0.2, 0.3, -0.4, -0.3, -2.4, -1.2, -1.3, 0.8, 0.7, 1.1, 1.6, -0.3, 1.1, 2.0, -0.0,
        1.1, -0.2, -1.6, 0.1, -0.8,
    ];
    let test = MannWhitney::of(&x, &y).unwrap();
    assert_near(test.u, 227.5);
    assert_near(test.p_greater, 0.700_525_197_555_140_6);
}

/// The example of R's `wilcox.test` (Hollander and Wolfe 1973, page 69): W = 35, p = 0.1272.
#[test]
fn mann_whitney_agrees_with_the_textbook() {
    let x = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46];
    let y = [1.15, 0.88, 0.90, 0.74, 1.21];
    let test = MannWhitney::of(&x, &y).unwrap();
    assert_near(test.u, 35.0);
    assert!((test.p_greater - 0.1272).abs() < 5e-5, "{}", test.p_greater);
}

/// `scipy.stats.binom.sf(38, 120, 0.25)` and `scipy.stats.poisson_binom.sf(5, [.1] * 10 + [.3] * 8)`.
#[test]
fn the_final_look_is_a_sum_of_binomials() {
    let one = [(counts(39.0, 1000.0), counts(81.0, 3000.0))];
    assert_near(p_value(&one, 1.0, Direction::Up).unwrap(), 0.039_297_094_942_058_94);
    let two = [(counts(4.0, 100.0), counts(6.0, 900.0)), (counts(2.0, 300.0), counts(6.0, 700.0))];
    assert_near(p_value(&two, 1.0, Direction::Up).unwrap(), 0.099_581_650_394_678_37);
}

/// `scipy.stats.binomtest(7, 50).proportion_ci(method="wilson")`.
#[test]
fn wilson_of_one_window() {
    let interval = wilson(counts(7.0, 50.0));
    assert_near(interval.lower, 0.069_508_334_270_162_92);
    assert_near(interval.upper.unwrap(), 0.261_861_937_105_855_37);
}
