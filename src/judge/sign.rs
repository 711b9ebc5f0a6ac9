//! The sign e-process on paired windows (docs/judge.md section 3.5).

use serde::{Deserialize, Serialize};

use super::math::{ln_beta, ln_power_of_two};

/// Evidence that the differences are more often above 0 than below. H0: `P(d > 0) <= 1/2`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sign {
    windows: u64,
    above: u64,
}

impl Sign {
    /// Books the difference of one window; ties (0) do not count.
    pub fn look(&mut self, d: f64) {
        if d > 0.0 {
            self.above = self.above.saturating_add(1);
        }
        if d != 0.0 && !d.is_nan() {
            self.windows = self.windows.saturating_add(1);
        }
    }

    /// `ln E`, `E = sum over i <= x of C(n+1, i) / ((n+1) C(n, x))` for x of n windows above 0.
    #[must_use]
    pub fn ln_e(&self) -> f64 {
        let (n, x) = (self.windows as f64, self.above.min(self.windows) as f64);
        if 2.0 * x < n + 1.0 {
            // From the largest term down.
            let first = 1.0 / (n + 1.0 - x);
            return falling_sum(first, |step| (x - step) / (n + 2.0 - x + step)).ln();
        }
        // The terms above x are the fewer and smaller ones: all of them add up to 2^(n+1).
        let ln_all = ln_power_of_two(n + 1.0) + ln_beta(x + 1.0, n - x + 1.0);
        let above = falling_sum(1.0 / (x + 1.0), |step| (n - x - step) / (x + 2.0 + step));
        ln_all + (-above * (-ln_all).exp()).ln_1p()
    }
}

/// `first * (1 + r_0 + r_0 r_1 + ..)` for ratios that fall below 1 and reach 0, down to the last digit.
fn falling_sum(first: f64, ratio: impl Fn(f64) -> f64) -> f64 {
    let (mut sum, mut term, mut step) = (first, first, 0.0);
    while term > sum * 1e-18 {
        term *= ratio(step).max(0.0);
        sum += term;
        step += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(above: u64, windows: u64) -> Sign {
        Sign { windows, above }
    }

    #[test]
    fn agrees_with_the_page() {
        assert!((sign(5, 6).ln_e() - 1.049_822_12).abs() < 1e-8);
        assert_eq!(Sign::default().ln_e(), 0.0);
        assert!(sign(6, 6).ln_e() < 20f64.ln() && sign(7, 7).ln_e() >= 20f64.ln());
        assert!(sign(8, 8).ln_e() < 100f64.ln() && sign(9, 9).ln_e() >= 100f64.ln());
    }

    #[test]
    fn agrees_with_the_plain_sum() {
        for n in 0u32..=60 {
            for x in 0..=n {
                let choose = |n: u32, k: u32| (0..k).fold(1.0, |c, i| c * f64::from(n - i) / f64::from(i + 1));
                let sum: f64 = (0..=x).map(|i| choose(n + 1, i)).sum();
                let want = (sum / (f64::from(n + 1) * choose(n, x))).ln();
                let got = sign(x.into(), n.into()).ln_e();
                assert!((got - want).abs() <= 1e-12 * want.abs().max(1.0), "{x} of {n}: {got}, not {want}");
            }
        }
    }

    #[test]
    fn long_series_neither_overflow_nor_take_long() {
        for (x, n) in
            [(0, 1_000_000), (500_000, 1_000_000), (500_001, 1_000_000), (1_000_000, 1_000_000), (0, u64::MAX)]
        {
            assert!(sign(x, n).ln_e().is_finite());
        }
    }

    #[test]
    fn ties_do_not_count() {
        let mut sign = Sign::default();
        for d in [0.0, 1.0, -0.0, f64::NAN, -1.0] {
            sign.look(d);
        }
        assert_eq!(sign, Sign { windows: 2, above: 1 });
    }
}
