//! The anytime-valid t test on paired windows (docs/judge.md section 3.5).

use serde::{Deserialize, Serialize};

use super::exact::Exact;

/// Evidence that the mean of the differences is not 0, with its sign. Exact for independent Gaussian differences.
///
/// Serializes exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "State", into = "State")]
pub struct Student {
    windows: u64,
    mean: f64,
    /// Sum of the squared distances from the mean (Welford).
    squares: f64,
    /// The largest |d|: what rounding of the differences is measured by.
    largest: f64,
}

impl Student {
    /// Books the difference of one window; |d| <= 1e150, anything else is left out.
    pub fn look(&mut self, d: f64) {
        if !(-1e150..=1e150).contains(&d) {
            return;
        }
        self.windows = self.windows.saturating_add(1);
        let from_old = d - self.mean;
        self.mean += from_old / self.windows as f64;
        self.squares += from_old * (d - self.mean);
        self.largest = self.largest.max(d.abs());
    }

    /// `ln E` of "the mean is not 0", with `c = 1`; 0 for one window, or when nothing but rounding spreads.
    #[must_use]
    pub fn ln_e(&self) -> f64 {
        if !self.spreads() {
            return 0.0;
        }
        let n = self.windows as f64;
        let ratio = self.mean / self.squares.sqrt();
        let u = n * ratio * ratio;
        0.5 * (1.0 / (n + 1.0)).ln() + 0.5 * n * (u.ln_1p() - (u / (n + 1.0)).ln_1p())
    }

    fn spreads(&self) -> bool {
        let rounding = 1e-12 * self.largest;
        self.windows >= 2 && self.squares > self.windows as f64 * rounding * rounding
    }

    /// The mean difference so far.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// The same; `None` before the first window.
    #[must_use]
    pub fn mean_so_far(&self) -> Option<f64> {
        (self.windows > 0).then_some(self.mean)
    }

    /// Where the mean of the differences lies at level `1 - alpha`, whenever it is looked at: the values that the two-sided
    /// test does not reject. `None` while nothing is bounded.
    #[must_use]
    pub fn interval(&self, alpha: f64) -> Option<(f64, f64)> {
        let n = self.windows as f64;
        // ln E is ln(1/alpha) where (1 + u) / (1 + u / (n + 1)) is this; it never gets to n + 1.
        let most = (((n + 1.0).ln() - 2.0 * alpha.ln()) / n).exp();
        if !self.spreads() || most >= n + 1.0 {
            return None;
        }
        let u = (most - 1.0) / (1.0 - most / (n + 1.0));
        let half = (u / n).sqrt() * self.squares.sqrt();
        Some((self.mean - half, self.mean + half))
    }

    /// Whether "the mean is at most 0" is rejected at `alpha`: `E >= 1 / (2 alpha)` and the mean is above 0.
    #[must_use]
    pub fn rejects(&self, alpha: f64) -> bool {
        self.mean > 0.0 && self.ln_e() >= -(2.0 * alpha).ln()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    windows: u64,
    mean: Exact,
    squares: Exact,
    largest: Exact,
}

impl From<Student> for State {
    fn from(state: Student) -> Self {
        let Student { windows, mean, squares, largest } = state;
        Self { windows, mean: Exact(mean), squares: Exact(squares), largest: Exact(largest) }
    }
}

impl TryFrom<State> for Student {
    type Error = String;

    fn try_from(state: State) -> Result<Self, String> {
        let State { windows, mean, squares, largest } = state;
        if !mean.0.is_finite()
            || !(0.0..f64::INFINITY).contains(&squares.0)
            || !(0.0..f64::INFINITY).contains(&largest.0)
        {
            return Err("the state of a t test is finite".to_owned());
        }
        Ok(Self { windows, mean: mean.0, squares: squares.0, largest: largest.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_excludes_what_the_test_rejects() {
        let (mut student, mut wide) = (Student::default(), Student::default());
        assert_eq!(student.interval(0.05), None);
        let mut excluded = 0;
        for n in 0..60 {
            student.look(0.3 + f64::from(n * 7 % 11 - 5) * 0.1);
            wide.look(f64::from(n % 2) - 0.5);
            if let Some((lower, upper)) = student.interval(0.05) {
                let rejected = student.ln_e() >= -(0.05f64).ln();
                assert_eq!(rejected, lower > 0.0 || upper < 0.0, "{n}: {lower} {upper}");
                excluded += u32::from(rejected);
            }
        }
        assert!(excluded > 20);
        let (lower, upper) = wide.interval(0.05).unwrap();
        assert!(lower < 0.0 && upper > 0.0);
    }

    #[test]
    fn agrees_with_the_page() {
        let mut student = Student::default();
        for (d, want) in [(0.2, 0.0), (0.5, 0.279_015_81), (0.1, 0.450_062_90), (0.4, 1.162_745_07)] {
            student.look(d);
            assert!((student.ln_e() - want).abs() < 1e-8, "{}", student.ln_e());
        }
    }

    #[test]
    fn no_spread_is_no_evidence() {
        let mut student = Student::default();
        for _ in 0..50 {
            student.look(0.1);
            assert_eq!(student.ln_e(), 0.0);
        }
        let mut rounding = Student::default();
        for k in 0..50 {
            rounding.look(0.1 + f64::from(k % 3) * 1e-16);
            assert_eq!(rounding.ln_e(), 0.0);
        }
    }

    #[test]
    fn a_low_mean_never_rejects() {
        let mut student = Student::default();
        for k in 0..100 {
            student.look(-1.0 - 0.01 * f64::from(k % 7));
        }
        assert!(student.ln_e() > 10.0 && !student.rejects(0.01));
    }

    #[test]
    fn extremes_stay_finite() {
        let mut student = Student::default();
        for d in [1e150, -1e150, 1e-300, f64::NAN, f64::INFINITY, 1e150] {
            student.look(d);
            assert!(student.ln_e().is_finite());
        }
    }
}
