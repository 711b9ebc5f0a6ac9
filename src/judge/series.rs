//! Series of one number per window, paired by window (docs/judge.md section 3.5).

use serde::{Deserialize, Serialize};

use super::sign::Sign;
use super::student::Student;

/// How two values of one window are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// `ln C - ln B - ln(1 + margin)`; both values above 0, the margin is relative.
    #[default]
    Log,
    /// `C - B - margin`; the margin has the unit of the values.
    Plain,
}

/// A series test under way. Serializes exactly.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeriesTest {
    /// Counts the windows above the margin: robust, for percentiles.
    Sign(Sign),
    /// Weighs the distances from the margin: for means.
    T(Student),
}

impl Difference {
    /// How much larger `high` is than `low`, beyond the margin; rounding (1e-12) counts as a tie, which is 0.
    ///
    /// # Errors
    /// With [`Difference::Log`] a value is not above 0.
    pub fn of(self, high: f64, low: f64, margin: f64) -> Result<f64, String> {
        let (d, rounding) = match self {
            Self::Log if high > 0.0 && low > 0.0 => (high.ln() - low.ln() - margin.ln_1p(), 1e-12),
            Self::Log => {
                return Err(format!(
                    "values must be above 0 to be compared by ratio, not {high} and {low}; use difference = \"plain\""
                ));
            }
            Self::Plain => (high - low - margin, 1e-12 * high.abs().max(low.abs())),
        };
        Ok(if d.abs() <= rounding { 0.0 } else { d })
    }
}

impl SeriesTest {
    /// Books the difference of one window; evidence grows as it lies above 0.
    pub fn look(&mut self, d: f64) {
        match self {
            Self::Sign(sign) => sign.look(d),
            Self::T(student) => student.look(d),
        }
    }

    /// `ln E` so far. That of a t test is two-sided: decide by [`SeriesTest::rejects`].
    #[must_use]
    pub fn ln_e(&self) -> f64 {
        match self {
            Self::Sign(sign) => sign.ln_e(),
            Self::T(student) => student.ln_e(),
        }
    }

    /// `ln` of the evidence that the mean lies above 0, which [`SeriesTest::rejects`] holds against `1 / alpha`: twice that of
    /// a t test, which is two-sided, and nothing while its mean lies on the other side.
    #[must_use]
    pub fn one_sided(&self) -> f64 {
        match self {
            Self::Sign(sign) => sign.ln_e(),
            Self::T(student) => match student.mean_so_far() {
                Some(mean) if mean > 0.0 => student.ln_e() + std::f64::consts::LN_2,
                Some(_) | None => f64::NEG_INFINITY,
            },
        }
    }

    /// Whether "not above 0" is rejected at `alpha`.
    #[must_use]
    pub fn rejects(&self, alpha: f64) -> bool {
        match self {
            Self::Sign(sign) => sign.ln_e() >= -alpha.ln(),
            Self::T(student) => student.rejects(alpha),
        }
    }
}

/// Windows in a block of an autocorrelated series.
pub const BLOCK: usize = 5;

/// Above this lag-1 autocorrelation a series is fed in blocks.
pub const MOST_AUTOCORRELATION: f64 = 0.2;

/// The lag-1 autocorrelation of a series, 0 for fewer than 3 values or no spread. Above 0.2, feed [`blocks`].
///
/// From 20 values on it is corrected for the bias of short series, (1 + 4 r) / n downwards (Kendall 1954): otherwise one in a
/// hundred autocorrelated series would pass for independent, and those are rolled back often.
#[must_use]
pub fn lag_1(series: &[f64]) -> f64 {
    let n = series.len() as f64;
    let mean = series.iter().sum::<f64>() / n;
    let spread: f64 = series.iter().map(|d| (d - mean) * (d - mean)).sum();
    let pairs: f64 = series.iter().zip(series.iter().skip(1)).map(|(a, b)| (a - mean) * (b - mean)).sum();
    if series.len() < 3 || spread <= 0.0 {
        return 0.0;
    }
    let r = pairs / spread;
    if series.len() < 20 { r } else { (r + 1.0 / n) / (1.0 - 4.0 / n) }
}

/// Means of full blocks of `size` windows; an unfinished last block is left out.
pub fn blocks(series: &[f64], size: usize) -> impl Iterator<Item = f64> {
    series.chunks_exact(size.max(1)).map(|block| block.iter().sum::<f64>() / block.len() as f64)
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn a_value_on_the_margin_is_a_tie() {
        for c in [0.1, 1.0, 7.3, 300.0] {
            assert_eq!(Difference::Log.of(c * 1.1, c, 0.1).unwrap(), 0.0);
            assert_eq!(Difference::Plain.of(c + 0.3, c, 0.3).unwrap(), 0.0);
        }
        assert!((Difference::Log.of(2.0, 1.0, 0.0).unwrap() - 2f64.ln()).abs() < 1e-15);
        assert!(Difference::Log.of(0.0, 1.0, 0.0).unwrap_err().contains("plain"));
    }

    #[test]
    fn one_sided_evidence_is_what_rejects() {
        for sides in [1.0, -1.0] {
            for mut test in [SeriesTest::Sign(Sign::default()), SeriesTest::T(Student::default())] {
                for k in 0..30 {
                    test.look(sides * (1.0 + 0.3 * f64::from(k % 5)));
                    for alpha in [0.05, 0.01, 1e-4] {
                        assert_eq!(test.one_sided() >= -f64::ln(alpha), test.rejects(alpha), "{test:?} at {alpha}");
                    }
                }
                assert_eq!(test.rejects(0.01), sides > 0.0, "{test:?}");
            }
        }
    }

    #[test]
    fn autocorrelation_and_blocks() {
        assert!(lag_1(&[1.0, 1.0, 2.0, 2.0, 3.0, 3.0]) > 0.2);
        assert!(lag_1(&[1.0, -1.0, 1.0, -1.0]) < -0.5);
        assert_eq!((lag_1(&[]), lag_1(&[1.0, 1.0, 1.0, 1.0])), (0.0, 0.0));
        assert_eq!(blocks(&[1.0, 3.0, 5.0, 7.0, 9.0], 2).collect::<Vec<_>>(), [2.0, 6.0]);
    }
}
