//! The gates of a rollout, judged together look by look (docs/judge.md sections 3.8 and 3.9).
//!
//! Samples in, a verdict and findings out. The state serializes exactly, so that a rollout that resumes goes on with the
//! evidence it had.

mod deciding;
mod finding;
mod prelude;
mod read;
mod score;
mod seat;
mod stages;
#[cfg(test)]
mod tests;

use mlroll_backend::Sample;
use serde::{Deserialize, Serialize};

pub use self::deciding::Deciding;
pub use self::finding::{Finding, Needed, Throttled};
pub use self::prelude::{Prelude, unusable};
pub use self::read::requests_of;
pub use self::score::Scoring;

use self::score::{Scored, is_judged};
use self::seat::{Booked, Seat};
use super::combine::{Combined, Critical, changed, combine};
use super::counts::Counts;
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
    /// Looks of a step: after the last of them planned looks are taken. 0: none ever is.
    pub step_looks: u64,
    /// Steps that are judged; at least 1.
    pub steps: u64,
}

/// The gates of a rollout and the evidence they have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Panel {
    risk: Risk,
    seats: Vec<Seat>,
    starvation: Option<Starvation>,
    /// Looks of this step in which no critical gate missed anything; `None` where no step is judged.
    step_looks: Option<u64>,
    /// What decides in place of the single gates that Kayenta judges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    score: Option<Scored>,
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

impl Evidence {
    /// The same with the revisions exchanged.
    #[must_use]
    pub fn mirrored(&self) -> Self {
        Self { candidate: self.stable.clone(), stable: self.candidate.clone() }
    }

    /// The requests of candidate and stable, where what `gate` asks for tells them.
    #[must_use]
    pub fn requests(&self, gate: &Gate) -> Option<(f64, f64)> {
        requests_of(gate, &self.candidate).zip(requests_of(gate, &self.stable))
    }

    /// Whether neither has anything to judge.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        !read::is_something(&self.candidate) && !read::is_something(&self.stable)
    }

    /// The values of candidate and stable, where `gate` compares values.
    #[must_use]
    pub fn values(&self, gate: &Gate) -> Option<(f64, f64)> {
        read::value(gate, &self.candidate).zip(read::value(gate, &self.stable))
    }
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
    /// Gates before their first look, each with what was measured for it before the bake.
    ///
    /// # Errors
    /// There is no critical gate; one cannot be judged by what there is (a latency gate without `max` or a history, ranks of
    /// too few looks); or the gates' own alphas are more than there is.
    pub fn new(gates: Vec<(Gate, Prelude)>, risk: Risk) -> Result<Self, String> {
        if gates.iter().all(|(gate, _)| gate.is_advisory()) {
            return Err("no gate is critical: nothing decides".to_owned());
        }
        let panel = Self::guarding(gates, risk)?;
        if !panel.seats.iter().any(|seat| seat.gate().spends_alpha() && !seat.gate().is_of_instances()) {
            let why = "only alarms and instances are critical: quiet and idle ones say nothing about the candidate, which may \
                       have had no request at all; give it a gate that measures it, as metric = \"error_rate\"";
            return Err(why.to_owned());
        }
        Ok(panel)
    }

    /// Gates beside something else that decides: there may be none, and they pass when none is critical.
    ///
    /// # Errors
    /// As those of [`Panel::new`], but for the first, and that some must be more than alarms.
    pub fn guarding(gates: Vec<(Gate, Prelude)>, risk: Risk) -> Result<Self, String> {
        let seats = gates.into_iter().map(|(gate, prelude)| Seat::new(gate, prelude, &risk));
        let seats = seats.collect::<Result<Vec<_>, _>>()?;
        let panel = Self { risk, seats, starvation: None, step_looks: None, score: None };
        let own: f64 = panel.spending().filter_map(|seat| seat.gate().alpha()).sum();
        let all_have = panel.spending().all(|seat| seat.gate().alpha().is_some());
        if own > risk.alpha * (1.0 + 1e-9) || (!all_have && own >= risk.alpha * (1.0 - 1e-9)) {
            return Err(format!(
                "the gates' own alphas add up to {own}: they share the rollout's {}, and those without one need a part",
                risk.alpha
            ));
        }
        Ok(panel)
    }

    /// The same, where Kayenta's score decides in place of the single gates that Kayenta judges; without one these decide each.
    ///
    /// # Errors
    /// The score makes no sense, or gates say what they are to one that there is not.
    pub fn scored(self, scoring: Option<Scoring>) -> Result<Self, String> {
        let Some(scoring) = scoring else {
            let about_score = self.gates().find(|gate| gate.is_about_score()).map(|gate| gate.name().to_owned());
            return about_score.map_or(Ok(self), |name| {
                Err(format!(
                    "gate `{name}`: kayenta: group and critical are about a score, and there is none: give the service \
                     kayenta = {{ pass = 95, marginal = 75 }}"
                ))
            });
        };
        let score = Some(Scored::new(scoring, &self.seats)?);
        Ok(Self { score, ..self })
    }

    /// The gates, in their order.
    pub fn gates(&self) -> impl Iterator<Item = &Gate> {
        self.seats.iter().map(Seat::gate)
    }

    /// What was measured for each gate before the bake, in their order.
    pub fn preludes(&self) -> impl Iterator<Item = Prelude> {
        self.seats.iter().map(Seat::prelude)
    }

    /// What the first gate has counted: requests and events of candidate and stable. `None` where it counts none.
    #[must_use]
    pub fn counted(&self) -> Option<((f64, f64), (f64, f64))> {
        self.seats.first()?.sums()
    }

    /// What the FAIL test of the first gate reads of a window, where it counts: candidate and stable, each part of the traffic by
    /// itself.
    #[must_use]
    pub fn strata(&self, evidence: &Evidence) -> Option<Vec<(Counts, Counts)>> {
        let parts = self.seats.first()?.parts(evidence)?;
        Some(parts.values().map(|look| (look.fail.candidate, look.fail.stable)).collect())
    }

    /// The mean difference of the first gate, where it is a t test, positive when the candidate is worse; and where it lies at
    /// level `1 - alpha`, whenever it is looked at.
    #[must_use]
    pub fn difference(&self, alpha: f64) -> Option<(f64, Option<(f64, f64)>)> {
        self.seats.first()?.difference(alpha)
    }

    /// Begins a step in which the candidate has `share` of the traffic: PASS and starvation start anew, FAIL runs on.
    /// With all of the traffic (1) there is nobody to compare its share with.
    pub fn begin(&mut self, share: f64) {
        for seat in &mut self.seats {
            seat.begin();
        }
        if let Some(score) = &mut self.score {
            score.begin();
        }
        self.starvation = Starvation::new(share, Stake::Once).ok();
        self.step_looks = (share < 1.0).then_some(0);
    }

    /// Books one window, one [`Evidence`] a gate in their order, and rules.
    pub fn look(&mut self, evidence: &[Evidence]) -> Ruling {
        self.look_beside(evidence, None)
    }

    /// As [`look`](Self::look), where something beside these gates may tell the requests of candidate and stable.
    pub fn look_beside(&mut self, evidence: &[Evidence], mut requests: Option<(f64, f64)>) -> Ruling {
        let mut missing = false;
        // Of gates that tell requests, the first that knows of any: one that is silent may look at what nobody writes.
        let mut tell = |told: Option<(f64, f64)>| {
            if requests.is_none_or(|(candidate, stable)| candidate + stable <= 0.0) {
                requests = told.or(requests);
            }
        };
        for (seat, evidence) in self.seats.iter_mut().zip(evidence) {
            match seat.look(evidence, &self.risk) {
                Booked::Counted { candidate, stable } => tell(Some((candidate, stable))),
                Booked::Nothing { candidate, stable } => {
                    tell(candidate.zip(stable));
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
        if !missing && let Some(looks) = &mut self.step_looks {
            *looks = looks.saturating_add(1);
            if *looks == self.risk.step_looks {
                self.conclude();
            }
        }
        if self.fails() {
            Ruling::Fail
        } else if self.is_starved() {
            Ruling::Starved
        } else if missing {
            Ruling::NoData
        } else if self.critical().all(|seat| self.passes(seat)) {
            Ruling::Pass
        } else {
            Ruling::Inconclusive
        }
    }

    /// Shows what one window says to each gate, and judges nothing by it.
    pub fn pass_over(&mut self, evidence: &[Evidence]) {
        for (seat, evidence) in self.seats.iter_mut().zip(evidence) {
            seat.show(evidence);
        }
    }

    /// What each gate says, for people. Advisory gates that changed are found by e-BH among those that have an E; any other
    /// has changed when it fails, and makes it no harder for them.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let with_e = self.seats.iter().enumerate().filter(|(_, seat)| seat.gate().is_advisory() && seat.has_e());
        let (advisory, ln_es): (Vec<usize>, Vec<f64>) = with_e.map(|(at, seat)| (at, seat.ln_e_fail())).unzip();
        let changed: Vec<usize> =
            changed(&ln_es, self.risk.alpha).into_iter().filter_map(|at| advisory.get(at).copied()).collect();
        let findings = self.seats.iter().zip(self.levels()).enumerate();
        findings
            .map(|(at, (seat, alpha))| {
                let finding = seat.finding(&self.risk, seat.running(alpha));
                let fails = finding.advisory && finding.verdict == Verdict::Fail;
                let changed = changed.contains(&at) || (fails && !seat.has_e());
                let score = self.score_of(seat).map_or_else(String::new, |score| format!("; {}", score.words()));
                Finding { changed, reason: finding.reason + &score, ..finding }
            })
            .collect()
    }

    /// The last look of a step: planned looks are taken.
    fn conclude(&mut self) {
        let levels = self.levels();
        for (seat, alpha) in self.seats.iter_mut().zip(levels) {
            seat.conclude(&self.risk, alpha);
        }
        if let Some(score) = &mut self.score {
            score.conclude(&self.seats);
        }
    }

    /// Whether a gate passes, or the score that speaks for it.
    fn passes(&self, seat: &Seat) -> bool {
        self.score_of(seat).map_or_else(|| seat.passes(self.risk.beta), Scored::passes)
    }

    /// The score that speaks for a gate.
    fn score_of(&self, seat: &Seat) -> Option<&Scored> {
        self.score.as_ref().filter(|_| is_judged(seat))
    }

    /// `sum v_m E_m >= 1 / alpha` over the counting, shape and sign gates; a t test, whose E is two-sided, and what has no E
    /// decide alone at `alpha v_m`, and an open alarm at once.
    fn fails(&self) -> bool {
        let together = self.mean().is_some_and(|combined| combined.ln_e >= -self.risk.alpha.ln());
        let scored = self.score.as_ref().is_some_and(Scored::fails);
        together || scored || self.alone().any(|(seat, alpha)| seat.fails_alone(alpha))
    }

    /// Those of them that no score speaks for.
    fn alone(&self) -> impl Iterator<Item = (&Seat, f64)> {
        self.running().filter(|(seat, _)| self.score_of(seat).is_none())
    }

    /// The critical gates, each with its part of alpha for the tests that run.
    fn running(&self) -> impl Iterator<Item = (&Seat, f64)> {
        let all = self.seats.iter().zip(self.levels());
        all.filter(|(seat, _)| !seat.gate().is_advisory()).map(|(seat, alpha)| (seat, seat.running(alpha)))
    }

    /// `sum v_m E_m` over the critical gates.
    fn mean(&self) -> Option<Combined> {
        let mean = self
            .running()
            .map(|(seat, alpha)| Critical { weight: alpha / self.risk.alpha, ln_e: seat.ln_e_fail_to_combine() });
        let mut mean: Vec<Critical> = mean.collect();
        // What is kept for exact tests, or left by the gates' own alphas, bets on nothing.
        let unspent = 1.0 - mean.iter().map(|m| m.weight).sum::<f64>();
        if unspent > 1e-9 {
            mean.push(Critical { weight: unspent, ln_e: f64::NEG_INFINITY });
        }
        combine(&mean)
    }

    /// Each gate's `alpha v_m`: its own, or an equal part of what the others leave. An advisory gate spends nobody's, and alarms
    /// need none.
    fn levels(&self) -> Vec<f64> {
        let own: f64 = self.spending().filter_map(|seat| seat.gate().alpha()).sum();
        let others = self.spending().filter(|seat| seat.gate().alpha().is_none()).count().max(1) as f64;
        let level = |seat: &Seat| match seat.gate().alpha() {
            _ if seat.alarms_open().is_some() => 0.0,
            _ if seat.gate().is_advisory() => self.risk.alpha,
            Some(alpha) => alpha,
            None => (self.risk.alpha - own) / others,
        };
        self.seats.iter().map(level).collect()
    }

    fn is_starved(&self) -> bool {
        self.starvation.as_ref().is_some_and(|s| s.ledger().ln_e() >= -self.risk.alpha.ln())
    }

    /// The gates that share alpha.
    fn spending(&self) -> impl Iterator<Item = &Seat> {
        self.seats.iter().filter(|seat| seat.gate().spends_alpha())
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
