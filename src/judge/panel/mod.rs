//! The gates of a rollout, judged together look by look (docs/judge.md sections 3.8 and 3.9).
//!
//! Samples in, a verdict and findings out. The state serializes exactly, so that a rollout that resumes goes on with the
//! evidence it had.

mod deciding;
mod finding;
mod seat;
#[cfg(test)]
mod tests;

use mlroll_backend::Sample;
use serde::{Deserialize, Serialize};

pub use self::deciding::Deciding;
pub use self::finding::{Finding, Needed};

use self::seat::{Booked, Seat};
use super::combine::{Critical, combine};
use super::design_effect::DesignEffect;
use super::gate::Gate;
use super::ledger::Stake;
use super::starved::Starvation;
use super::verdict::Verdict;

/// How much risk is taken, and over how many looks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Risk {
    /// The chance of a false rollback in the whole rollout, between 0 and 1.
    pub alpha: f64,
    /// The chance of a false promotion by one gate, between 0 and 1.
    pub beta: f64,
    /// Looks over which alpha is spent; at least 1.
    pub horizon: u64,
}

/// The gates of a rollout and the evidence they have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Panel {
    risk: Risk,
    seats: Vec<Seat>,
    starvation: Option<Starvation>,
}

/// The design effect of a gate, from samples of the stable revision before the bake; `None` when it cannot be measured.
#[must_use]
pub fn design_effect(gate: &Gate, history: &[Sample]) -> Option<DesignEffect> {
    let counts: Vec<_> = history.iter().filter_map(|sample| seat::counted(gate, sample)).collect();
    DesignEffect::measure(&counts)
}

/// What one window says to one gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// About the revision on trial.
    pub candidate: Sample,
    /// About the revision in charge; `NoData` where nobody is in charge beside it.
    pub stable: Sample,
}

/// What all gates say together after a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ruling {
    /// The critical gates show that the candidate is worse than tolerated.
    Fail,
    /// Neither is shown yet.
    Inconclusive,
    /// A critical gate had nothing to judge, and nothing failed.
    NoData,
    /// Every critical gate passes.
    Pass,
    /// Stable has traffic, and the candidate less than half of its share.
    Starved,
}

impl Panel {
    /// Gates before their first look, each with the design effect measured for it before the bake; `None` when it could
    /// not be measured, which counts as 2.
    ///
    /// # Errors
    /// There is no critical gate, or one that only planned looks can judge (`mann_whitney`, `kayenta`), or a latency gate
    /// without `max`.
    pub fn new(gates: Vec<(Gate, Option<DesignEffect>)>, risk: Risk) -> Result<Self, String> {
        let seats = gates.into_iter().map(|(gate, effect)| Seat::new(gate, effect, risk.horizon));
        let seats = seats.collect::<Result<Vec<_>, _>>()?;
        if seats.iter().all(|seat| seat.gate().is_advisory()) {
            return Err("no gate is critical: nothing decides".to_owned());
        }
        Ok(Self { risk, seats, starvation: None })
    }

    /// The gates, in their order.
    pub fn gates(&self) -> impl Iterator<Item = &Gate> {
        self.seats.iter().map(Seat::gate)
    }

    /// The design effect of each gate, in their order; `None` where it could not be measured.
    pub fn effects(&self) -> impl Iterator<Item = Option<DesignEffect>> {
        self.seats.iter().map(Seat::effect)
    }

    /// Begins a step in which the candidate has `share` of the traffic: PASS and starvation start anew, FAIL runs on.
    /// With all of the traffic (1) there is nobody to compare its share with.
    pub fn begin(&mut self, share: f64) {
        for seat in &mut self.seats {
            seat.restart_pass();
        }
        self.starvation = Starvation::new(share, Stake::Once).ok();
    }

    /// Books one window, one [`Evidence`] a gate in their order, and rules.
    pub fn look(&mut self, evidence: &[Evidence]) -> Ruling {
        let mut missing = false;
        let mut requests: Option<(f64, f64)> = None;
        for (seat, evidence) in self.seats.iter_mut().zip(evidence) {
            match seat.look(evidence) {
                Booked::Counted { candidate, stable } => requests = requests.or(Some((candidate, stable))),
                Booked::Nothing { candidate, stable } => {
                    requests = requests.or(candidate.zip(stable));
                    missing |= !seat.gate().is_advisory();
                }
                Booked::Valued => {}
            }
        }
        missing |= evidence.len() < self.seats.len();
        if let (Some(starvation), Some((candidate, stable))) = (&mut self.starvation, requests) {
            // Counts that make no sense are no evidence of starvation.
            let _ = starvation.look(candidate, stable, DesignEffect::NONE);
        }
        if self.fails() {
            Ruling::Fail
        } else if self.is_starved() {
            Ruling::Starved
        } else if missing {
            Ruling::NoData
        } else if self.critical().all(|seat| seat.passes(self.risk.beta)) {
            Ruling::Pass
        } else {
            Ruling::Inconclusive
        }
    }

    /// What each gate says, for people.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        self.seats.iter().map(|seat| seat.finding(&self.risk, self.critical().count())).collect()
    }

    /// `sum v_m E_m >= 1 / alpha` over the counting and sign gates; a t test, whose E is two-sided, decides alone at
    /// `alpha v_m`.
    fn fails(&self) -> bool {
        let share = 1.0 / self.critical().count().max(1) as f64;
        let mean: Vec<Critical> =
            self.critical().map(|seat| Critical { weight: share, ln_e: seat.ln_e_fail_to_combine() }).collect();
        let together = combine(&mean).is_some_and(|combined| combined.ln_e >= -self.risk.alpha.ln());
        together || self.critical().any(|seat| seat.fails_alone(self.risk.alpha * share))
    }

    fn is_starved(&self) -> bool {
        self.starvation.as_ref().is_some_and(|s| s.ledger().ln_e() >= -self.risk.alpha.ln())
    }

    fn critical(&self) -> impl Iterator<Item = &Seat> {
        self.seats.iter().filter(|seat| !seat.gate().is_advisory())
    }
}

impl Ruling {
    /// What `gate check` and a report call it.
    #[must_use]
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Fail | Self::Starved => Verdict::Fail,
            Self::Inconclusive | Self::NoData => Verdict::Inconclusive,
            Self::Pass => Verdict::Pass,
        }
    }
}
