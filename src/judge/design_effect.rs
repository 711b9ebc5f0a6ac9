//! How bursty the events are (docs/judge.md section 3.7).

use serde::{Deserialize, Serialize};

use super::counts::Counts;

/// The factor by which clusters inflate the variance; it divides all evidence. At least 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct DesignEffect(f64);

impl DesignEffect {
    /// Independent events.
    pub const NONE: Self = Self(1.0);

    /// What to assume without a history.
    pub const UNKNOWN: Self = Self(2.0);

    /// Fewer pre-bake windows measure nothing; 40 are better.
    pub const FEWEST_WINDOWS: usize = 20;

    /// A design effect set by hand, for example retries + 1.
    ///
    /// # Errors
    /// It is not from 1 to 1e6.
    pub fn new(factor: f64) -> Result<Self, String> {
        if (1.0..=1e6).contains(&factor) {
            Ok(Self(factor))
        } else {
            Err(format!("a design effect is a number from 1 (independent events) to 1e6, not {factor}"))
        }
    }

    /// The design effect of the stable revision's pre-bake windows, which have the length of a look.
    ///
    /// Windows without requests are left out; `None` when fewer than [`DesignEffect::FEWEST_WINDOWS`] remain.
    #[must_use]
    pub fn measure(windows: &[Counts]) -> Option<Self> {
        let windows: Vec<Counts> = windows.iter().copied().filter(|window| window.requests() > 0.0).collect();
        if windows.len() < Self::FEWEST_WINDOWS {
            return None;
        }
        let total = windows.iter().fold(Counts::NONE, |sum, window| sum.plus(*window));
        let p = total.events() / total.requests();
        let variance = p * (1.0 - p);
        if variance <= 0.0 {
            return Some(Self::NONE);
        }
        let steps = (windows.len() - 1) as f64;
        // Successive differences ignore slow drift.
        let phi = windows
            .iter()
            .zip(windows.iter().skip(1))
            .map(|(before, after)| {
                let step = after.events() / after.requests() - before.events() / before.requests();
                step * step / (variance * (1.0 / after.requests() + 1.0 / before.requests()))
            })
            .sum::<f64>()
            / steps;
        let error = (3.0 / steps).sqrt();
        let factor = if phi > 1.0 + 2.0 * error { phi * (1.0 + error) } else { 1.0 };
        Some(Self(factor.min(1e6)))
    }

    /// The factor.
    #[must_use]
    pub fn factor(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for DesignEffect {
    type Error = String;

    fn try_from(factor: f64) -> Result<Self, String> {
        Self::new(factor)
    }
}

impl From<DesignEffect> for f64 {
    fn from(effect: DesignEffect) -> Self {
        effect.0
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    fn windows(events: impl IntoIterator<Item = f64>) -> Vec<Counts> {
        events.into_iter().map(|x| Counts::new(1000.0, x).unwrap()).collect()
    }

    #[test]
    fn too_few_windows_measure_nothing() {
        assert_eq!(DesignEffect::measure(&windows([5.0; 19])), None);
        let with_gap: Vec<Counts> = windows([5.0; 19]).into_iter().chain([Counts::NONE]).collect();
        assert_eq!(DesignEffect::measure(&with_gap), None);
    }

    #[test]
    fn calm_and_empty_histories_need_no_correction() {
        for events in [0.0, 5.0, 1000.0] {
            assert_eq!(DesignEffect::measure(&windows([events; 40])), Some(DesignEffect::NONE));
        }
    }

    #[test]
    fn bursts_are_measured() {
        // 20 pairs of 0 and 40: (0.04)^2 / (0.02 * 0.98 * 0.002) = 40.816.. each step, times 1 + sqrt(3 / 39).
        let measured = DesignEffect::measure(&windows([0.0, 40.0].repeat(20))).unwrap();
        let phi = 0.04 * 0.04 / (0.02 * 0.98 * 0.002);
        assert!((measured.factor() - phi * (1.0 + (3.0f64 / 39.0).sqrt())).abs() < 1e-9);
    }

    #[test]
    fn refuses_what_would_add_evidence() {
        for factor in [0.99, 0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(DesignEffect::new(factor).is_err(), "{factor}");
        }
    }
}
