//! The rank-based interval of a shift, as R's `wilcox.test` computes it (docs/judge.md section 2, "Kayenta exactly").

use super::math::normal_quantile;
use super::ranks::Ranks;
use super::roots::brent;

/// Interval and estimate of the shift `x - y`, in the unit of the values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    /// Lower end of the two-sided interval.
    pub lower: f64,
    /// Upper end of the two-sided interval.
    pub upper: f64,
    /// Where the rank sum is the expected one; close to the Hodges-Lehmann median.
    pub estimate: f64,
}

/// R's `wilcox.test(x, y, exact = FALSE, correct = TRUE, conf.int = TRUE, conf.level = level)`: normal approximation with
/// tie and continuity correction, roots to 1e-4.
///
/// `None` when a side is empty, or when a shift makes all values equal, so that no rank tells them apart.
#[must_use]
pub fn shift(x: &[f64], y: &[f64], level: f64) -> Option<Shift> {
    let least = |values: &[f64]| values.iter().copied().reduce(f64::min);
    let most = |values: &[f64]| values.iter().copied().reduce(f64::max);
    let (low, high) = (least(x)? - most(y)?, most(x)? - least(y)?);
    let quantile = -normal_quantile((1.0 - level) / 2.0);
    Some(Shift {
        lower: crossing(x, y, low, high, quantile, 0.5)?,
        upper: crossing(x, y, low, high, -quantile, 0.5)?,
        // R corrects the interval, not the estimate.
        estimate: crossing(x, y, low, high, 0.0, 0.0)?,
    })
}

/// The shift at which the standardized rank sum falls to `quantile`, searched from `low` to `high`.
fn crossing(x: &[f64], y: &[f64], low: f64, high: f64, quantile: f64, correction: f64) -> Option<f64> {
    let at_low = standardized(x, y, low, correction)? - quantile;
    if at_low <= 0.0 {
        return Some(low);
    }
    let at_high = standardized(x, y, high, correction)? - quantile;
    if at_high >= 0.0 {
        return Some(high);
    }
    let distance = |d: f64| standardized(x, y, d, correction).map_or(0.0, |z| z - quantile);
    Some(brent(distance, (low, at_low), (high, at_high), 1e-4))
}

/// The rank sum of `x - d` against `y`, centred and scaled; `None` when all values are equal.
fn standardized(x: &[f64], y: &[f64], d: f64, correction: f64) -> Option<f64> {
    let (n, m) = (x.len() as f64, y.len() as f64);
    let moved: Vec<f64> = x.iter().map(|value| value - d).collect();
    let ranks = Ranks::of(&moved, y);
    let deviation = ranks.deviation(n, m);
    let above = ranks.u - n * m / 2.0;
    let sign = if above == 0.0 { 0.0 } else { above.signum() };
    (deviation > 0.0).then(|| (above - sign * correction) / deviation)
}
