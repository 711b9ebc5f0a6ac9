//! Candidate against stable by counts (docs/judge.md section 3.2).

use std::fmt;

use serde::{Deserialize, Serialize};

/// Requests and the events among them, of one revision in one look.
///
/// Both are real numbers: stores such as Prometheus extrapolate. `0 <= events <= requests <= 1e15`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counts {
    requests: f64,
    events: f64,
}

/// Why two numbers are no [`Counts`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidCounts(String);

/// The rate at which the candidate stops being tolerated: `p_c = ratio * p_b + abs`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boundary {
    /// `r0`, relative to the stable rate; finite, above 0.
    pub ratio: f64,
    /// `d0`, a share from 0 to 1 on top.
    pub abs: f64,
}

impl Counts {
    /// No requests: a look that carries no evidence.
    pub const NONE: Self = Self { requests: 0.0, events: 0.0 };

    /// Above this a count is a mistake of the store, and sums would lose digits.
    pub const MOST: f64 = 1e15;

    /// Counts of one look.
    ///
    /// # Errors
    /// A number is not finite, is negative or above [`Counts::MOST`], or there are more events than requests.
    pub fn new(requests: f64, events: f64) -> Result<Self, InvalidCounts> {
        for (name, value) in [("requests", requests), ("events", events)] {
            if !(0.0..=Self::MOST).contains(&value) {
                return Err(InvalidCounts(format!("{name} must be a number from 0 to 1e15, not {value}")));
            }
        }
        // Two queries add the same series in a different order: all requests failed can read as one part in 1e16 more.
        if events > requests * (1.0 + 1e-9) {
            return Err(InvalidCounts(format!("events must not exceed requests: {events} of {requests}")));
        }
        Ok(Self { requests, events: events.min(requests) })
    }

    /// How many requests.
    #[must_use]
    pub fn requests(self) -> f64 {
        self.requests
    }

    /// How many of them were events.
    #[must_use]
    pub fn events(self) -> f64 {
        self.events
    }

    /// How many of them were none.
    #[must_use]
    pub fn rest(self) -> f64 {
        self.requests - self.events
    }

    /// Both added up.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { requests: self.requests + other.requests, events: self.events + other.events }
    }
}

impl Boundary {
    /// The log-likelihood ratio `l` of grid point `g` for one look, in nats (docs/judge.md section 3.2).
    ///
    /// 0 when either side has no requests. `design_effect >= 1` divides it.
    #[must_use]
    pub fn increment(self, candidate: Counts, stable: Counts, g: f64, design_effect: f64) -> f64 {
        // With s = weighted / stable.requests: s / (1 + s) and 1 / (1 + g s), in a form that no ratio can overflow.
        let weighted = self.ratio * candidate.requests;
        let total = weighted + stable.requests;
        if candidate.requests <= 0.0 || stable.requests <= 0.0 || total <= 0.0 {
            return 0.0;
        }
        let events = candidate.events + stable.events;
        let slack = self.abs * candidate.requests * (g - 1.0) * (stable.requests / (stable.requests + g * weighted));
        (candidate.events * g.ln() - events * ((g - 1.0) * (weighted / total)).ln_1p() - slack) / design_effect
    }

    /// The rate this boundary puts the candidate at, when stable runs at `rate`.
    #[must_use]
    pub fn at(self, rate: f64) -> f64 {
        self.ratio * rate + self.abs
    }
}

impl fmt::Display for InvalidCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidCounts {}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn refuses_counts_that_cannot_be() {
        for (requests, events) in
            [(-1.0, 0.0), (1.0, -1.0), (1.0, 2.0), (f64::NAN, 0.0), (1.0, f64::NAN), (f64::INFINITY, 1.0), (1e16, 1.0)]
        {
            assert!(Counts::new(requests, events).is_err(), "{events} of {requests}");
        }
        assert_eq!(Counts::new(10.0, 10.000_000_000_1), Counts::new(10.0, 10.0));
    }

    #[test]
    fn extreme_ratios_stay_finite() {
        let boundary = Boundary { ratio: 1e6, abs: 0.5 };
        for (n, m) in [(1e15, 5e-324), (5e-324, 1e15), (1e15, 1e15)] {
            let (candidate, stable) = (Counts::new(n, n).unwrap(), Counts::new(m, 0.0).unwrap());
            for g in [0.077, 1.01, 12.9] {
                assert!(boundary.increment(candidate, stable, g, 1.0).is_finite());
            }
        }
    }
}
