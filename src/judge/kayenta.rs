//! Kayenta's judge v1.0, for people who migrate (docs/judge.md section 2, "Kayenta exactly").

use serde::{Deserialize, Serialize};

use super::mann_whitney::mean;
use super::math::normal_quantile;
use super::ranks::Ranks;
use super::wilcoxon::{Shift, shift};

/// Which change of a metric matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Concern {
    /// Lower is bad.
    Decrease,
    /// Any change.
    #[default]
    Either,
    /// Higher is bad.
    Increase,
}

/// What becomes of NaN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nan {
    /// It is dropped.
    #[default]
    Remove,
    /// It counts as 0.
    Replace,
}

/// What becomes of outliers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outliers {
    /// They are dropped: outside min(p1, Q1 - 3 IQR) .. max(p99, Q3 + 3 IQR).
    #[serde(rename = "remove")]
    Drop,
    /// They stay.
    #[default]
    Keep,
}

/// How the size of a change is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Effect {
    /// `U / (n m)`; Kayenta's thresholds default to 0.5.
    Cles {
        /// The least effect that is High.
        allowed_increase: f64,
        /// The greatest effect that is Low.
        allowed_decrease: f64,
    },
    /// Candidate mean over stable mean, ignored if a mean is 0; Kayenta's thresholds default to 1.
    MeanRatio {
        /// The least effect that is High.
        allowed_increase: f64,
        /// The greatest effect that is Low.
        allowed_decrease: f64,
    },
}

/// Kayenta's settings of one metric.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Settings {
    /// Which change matters.
    pub concern: Concern,
    /// What becomes of NaN.
    pub nan: Nan,
    /// What becomes of outliers.
    pub outliers: Outliers,
    /// The size a change needs.
    pub effect: Effect,
}

/// Kayenta's word on one metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Classification {
    /// Significantly and sufficiently above stable.
    High,
    /// Significantly and sufficiently below stable.
    Low,
    /// Nothing to judge.
    Nodata,
    /// None of these.
    Pass,
}

/// A classification and the interval it rests on; none if no test was needed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// The word.
    pub classification: Classification,
    /// The 98 % interval and the estimate of the shift.
    pub shift: Option<Shift>,
    /// How large the change is, in the gate's measure; `None` where a mean is 0.
    pub effect: Option<f64>,
}

impl Default for Effect {
    fn default() -> Self {
        Self::MeanRatio { allowed_increase: 1.0, allowed_decrease: 1.0 }
    }
}

impl Effect {
    /// The least that is High, and the greatest that is Low.
    const fn allowed(self) -> (f64, f64) {
        let (Self::Cles { allowed_increase, allowed_decrease }
        | Self::MeanRatio { allowed_increase, allowed_decrease }) = self;
        (allowed_increase, allowed_decrease)
    }
}

impl Classification {
    /// Kayenta's spelling.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::High => "High",
            Self::Low => "Low",
            Self::Nodata => "Nodata",
            Self::Pass => "Pass",
        }
    }
}

/// Classifies one metric from its values per time step (NaN for a missing one).
#[must_use]
pub fn classify(candidate: &[f64], stable: &[f64], settings: &Settings) -> Judged {
    let plain = |classification| Judged { classification, shift: None, effect: None };
    let (x, y) = (prepared(candidate, settings), prepared(stable, settings));
    if x.is_empty() || y.is_empty() {
        return plain(match settings.nan {
            Nan::Remove => Classification::Nodata,
            Nan::Replace => Classification::Pass,
        });
    }
    let constant = is_constant(&x) && is_constant(&y);
    if sorted(&x) == sorted(&y) || (constant && x.first() == y.first()) {
        return plain(Classification::Pass);
    }
    let (x, y) = if constant { (with_noise(&x), with_noise(&y)) } else { (x, y) };
    // One value against one: no shift has an interval.
    let Some(shift) = shift(&x, &y, 0.98) else {
        return plain(Classification::Nodata);
    };
    let (effect, allowed) = (size(&x, &y, settings.effect), settings.effect.allowed());
    let (high, low) =
        (effect.is_none_or(|effect| effect >= allowed.0), effect.is_none_or(|effect| effect <= allowed.1));
    // Relative to the estimated shift, not to the stable level: a small change measured precisely counts.
    let margin = 0.25 * shift.estimate.abs();
    let (up, down) = match settings.concern {
        Concern::Decrease => (false, true),
        Concern::Either => (true, true),
        Concern::Increase => (true, false),
    };
    let classification = if up && shift.lower > margin && high {
        Classification::High
    } else if down && shift.upper < -margin && low {
        Classification::Low
    } else {
        Classification::Pass
    };
    Judged { classification, shift: Some(shift), effect }
}

fn prepared(values: &[f64], settings: &Settings) -> Vec<f64> {
    let kept: Vec<f64> = match settings.nan {
        Nan::Remove => values.iter().copied().filter(|v| !v.is_nan()).collect(),
        Nan::Replace => values.iter().map(|v| if v.is_nan() { 0.0 } else { *v }).collect(),
    };
    match settings.outliers {
        Outliers::Drop => without_outliers(kept),
        Outliers::Keep => kept,
    }
}

fn without_outliers(values: Vec<f64>) -> Vec<f64> {
    let sorted = sorted(&values);
    let at = |percent| percentile(&sorted, percent);
    let (Some(p1), Some(q1), Some(q3), Some(p99)) = (at(1.0), at(25.0), at(75.0), at(99.0)) else {
        return values;
    };
    let (low, high) = (p1.min(q1 - 3.0 * (q3 - q1)), p99.max(q3 + 3.0 * (q3 - q1)));
    values.into_iter().filter(|v| (low..=high).contains(v)).collect()
}

/// The percentile of commons-math, which Kayenta uses: position `p (n + 1) / 100`, linear in between.
fn percentile(sorted: &[f64], percent: f64) -> Option<f64> {
    let position = percent * (sorted.len() as f64 + 1.0) / 100.0;
    let below = position.floor();
    if below < 1.0 {
        return sorted.first().copied();
    }
    let low = sorted.get(below as usize - 1).or(sorted.last())?;
    let high = sorted.get(below as usize).unwrap_or(low);
    Some(low + (position - below) * (high - low))
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values: Vec<f64> = values.iter().map(|v| v + 0.0).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn is_constant(values: &[f64]) -> bool {
    values.iter().zip(values.iter().skip(1)).all(|(a, b)| a == b)
}

/// Gaussian noise of sd 1e-5 x value. Kayenta draws it; here it is the normal quantiles, so that a replay is exact.
fn with_noise(values: &[f64]) -> Vec<f64> {
    let n = values.len() as f64;
    values.iter().enumerate().map(|(i, v)| v + 1e-5 * v * normal_quantile((i as f64 + 0.5) / n)).collect()
}

/// How large the change is.
fn size(x: &[f64], y: &[f64], effect: Effect) -> Option<f64> {
    match effect {
        Effect::Cles { .. } => Some(Ranks::of(x, y).u / (x.len() as f64 * y.len() as f64)),
        Effect::MeanRatio { .. } => {
            let (mean_x, mean_y) = (mean(x), mean(y));
            (mean_x != 0.0 && mean_y != 0.0).then(|| mean_x / mean_y)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(candidate: &[f64], stable: &[f64], settings: Settings) -> Classification {
        classify(candidate, stable, &settings).classification
    }

    fn steps(start: f64, count: i32) -> Vec<f64> {
        (0..count).map(|k| start + 0.01 * f64::from(k * 7 % count)).collect()
    }

    #[test]
    fn the_concern_decides_which_change_counts() {
        let (low, high) = (steps(1.0, 20), steps(2.0, 20));
        for (concern, up, down) in [
            (Concern::Decrease, Classification::Pass, Classification::Low),
            (Concern::Either, Classification::High, Classification::Low),
            (Concern::Increase, Classification::High, Classification::Pass),
        ] {
            let settings = Settings { concern, ..Settings::default() };
            assert_eq!((word(&high, &low, settings), word(&low, &high, settings)), (up, down), "{concern:?}");
        }
    }

    #[test]
    fn a_change_may_be_too_small_to_count() {
        let (low, high) = (steps(1.0, 20), steps(2.0, 20));
        let ratio = Effect::MeanRatio { allowed_increase: 3.0, allowed_decrease: 1.0 };
        assert_eq!(word(&high, &low, Settings { effect: ratio, ..Settings::default() }), Classification::Pass);
        let cles = Effect::Cles { allowed_increase: 0.9, allowed_decrease: 0.1 };
        assert_eq!(word(&high, &low, Settings { effect: cles, ..Settings::default() }), Classification::High);
    }

    #[test]
    fn equal_samples_pass_without_a_test() {
        for (x, y) in [(&[1.0, 2.0, 3.0][..], &[3.0, 1.0, 2.0][..]), (&[5.0, 5.0], &[5.0, 5.0, 5.0]), (&[0.0], &[-0.0])]
        {
            assert_eq!(
                classify(x, y, &Settings::default()),
                Judged { classification: Classification::Pass, shift: None, effect: None }
            );
        }
    }

    #[test]
    fn constant_samples_are_told_apart() {
        assert_eq!(word(&[6.0; 10], &[5.0; 10], Settings::default()), Classification::High);
        assert_eq!(word(&[0.0; 10], &[5.0; 10], Settings::default()), Classification::Low);
        assert_eq!(word(&[6.0], &[5.0], Settings::default()), Classification::Nodata);
    }

    #[test]
    fn missing_values_are_dropped_or_zero() {
        let replace = Settings { nan: Nan::Replace, ..Settings::default() };
        assert_eq!(word(&[f64::NAN], &[1.0, 2.0], Settings::default()), Classification::Nodata);
        assert_eq!(word(&[], &[1.0, 2.0], replace), Classification::Pass);
        assert_eq!(word(&[f64::NAN; 9], &steps(1.0, 9), replace), Classification::Low);
    }

    #[test]
    fn outliers_are_dropped_on_request() {
        let spiked: Vec<f64> = steps(1.0, 200).into_iter().chain([1e6]).collect();
        assert_eq!(without_outliers(spiked).len(), 200);
        assert_eq!(without_outliers(steps(1.0, 20)).len(), 20);
        // commons-math: 5 values, position 0.25 * 6.
        assert_eq!(percentile(&[1.0, 2.0, 3.0, 4.0, 5.0], 25.0), Some(1.5));
        assert_eq!((percentile(&[7.0], 99.0), percentile(&[], 50.0)), (Some(7.0), None));
    }
}
