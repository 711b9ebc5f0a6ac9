//! How much of alpha a planned look may spend (docs/judge.md section 3.5).

use super::math::{normal_quantile, normal_sf};

/// The alpha of planned look `index` (from 1) out of `planned` evenly spaced ones: `f(t_i) - f(t_{i-1})` with
/// `f(t) = 2 (1 - Phi(Phi^-1(1 - alpha/2) / sqrt t))`, O'Brien-Fleming as Lan and DeMets spend it.
///
/// Looks after the last planned one spend nothing.
#[must_use]
pub fn spent_at(alpha: f64, index: u64, planned: u64) -> f64 {
    if index == 0 || index > planned {
        return 0.0;
    }
    spent_between(alpha, index - 1, index, planned)
}

/// The alpha of a planned look that comes after `until` of `planned` windows, the one before it after `from`:
/// `f(until / planned) - f(from / planned)`; windows beyond the planned ones bring none.
#[must_use]
pub fn spent_between(alpha: f64, from: u64, until: u64, planned: u64) -> f64 {
    let share = |windows: u64| windows.min(planned) as f64 / planned as f64;
    if planned == 0 { 0.0 } else { spent_by(alpha, share(until)) - spent_by(alpha, share(from)) }
}

/// `f(t)`: what may be spent by the share `t` of the planned windows, from 0 to `alpha`.
fn spent_by(alpha: f64, t: f64) -> f64 {
    // -Phi^-1(alpha/2) keeps the digits that Phi^-1(1 - alpha/2) loses.
    if t <= 0.0 { 0.0 } else { 2.0 * normal_sf(-normal_quantile(alpha / 2.0) / t.sqrt()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_alpha_is_spent_in_the_end() {
        for (alpha, planned) in [(0.05, 1), (0.05, 4), (0.01, 120)] {
            let total: f64 = (0..planned + 9).map(|index| spent_at(alpha, index, planned)).sum();
            assert!((total - alpha).abs() < 1e-12, "{total}");
        }
        assert!(spent_at(0.05, 1, 4) < 1e-4 && spent_at(0.05, 4, 4) > 0.02);
        assert_eq!(spent_at(0.05, 1, 0), 0.0);
    }
}
