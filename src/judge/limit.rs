//! A rate against an absolute limit (docs/judge.md section 3.3).

use serde::{Deserialize, Serialize};

use super::counts::Counts;

/// An absolute limit on a rate: a share strictly between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Limit(f64);

impl Limit {
    /// A limit of `tau`.
    ///
    /// # Errors
    /// `tau` is not strictly between 0 and 1: such a rate cannot be exceeded, or cannot be kept.
    pub fn new(tau: f64) -> Result<Self, String> {
        if tau > 0.0 && tau < 1.0 {
            Ok(Self(tau))
        } else {
            Err(format!("a limit on a rate lies between 0 and 1 (0 % and 100 %), both excluded, not {tau}"))
        }
    }

    /// The limit as a share.
    #[must_use]
    pub fn share(self) -> f64 {
        self.0
    }

    /// The log-likelihood ratio `l` of grid point `g` (with `g * tau < 1`) for one look, in nats (docs/judge.md section 3.3).
    #[must_use]
    pub fn increment(self, counts: Counts, g: f64, design_effect: f64) -> f64 {
        let Self(tau) = self;
        (counts.events() * g.ln() + counts.rest() * ((-g * tau).ln_1p() - (-tau).ln_1p())) / design_effect
    }
}

impl TryFrom<f64> for Limit {
    type Error = String;

    fn try_from(tau: f64) -> Result<Self, String> {
        Self::new(tau)
    }
}

impl From<Limit> for f64 {
    fn from(limit: Limit) -> Self {
        limit.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_no_share() {
        for tau in [0.0, 1.0, -0.1, 1.5, f64::NAN, f64::INFINITY] {
            assert!(Limit::new(tau).is_err(), "{tau}");
        }
    }
}
