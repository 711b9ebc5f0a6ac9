//! One gate with its evidence.

use mlroll_backend::{Histogram as Buckets, Sample, Why};
use serde::{Deserialize, Serialize};

use super::finding::Latest;
use super::{Evidence, Finding, Risk};
use crate::judge::counts::Counts;
use crate::judge::design_effect::DesignEffect;
use crate::judge::evidence::{CountEvidence, CountLook, SeriesEvidence, Sides};
use crate::judge::gate::{Gate, LatencyRule, Rule, SeriesStatistic};
use crate::judge::histogram::Histogram;

/// One gate with its evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seat {
    gate: Gate,
    effect: Option<DesignEffect>,
    tests: Tests,
    /// Windows with evidence.
    looks: u64,
    /// All requests and events of the candidate and of stable, where they are counted.
    sums: Option<Sums>,
    latest: Option<Latest>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Tests {
    Counts(CountEvidence),
    Series(SeriesEvidence),
}

/// Totals of a counting gate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sums {
    pub(super) candidate: (f64, f64),
    pub(super) stable: (f64, f64),
}

/// What one window was to a gate.
pub(super) enum Booked {
    /// Requests were counted.
    Counted { candidate: f64, stable: f64 },
    /// Nothing could be judged; of whom it is known that there was nothing, or how much.
    Nothing { candidate: Option<f64>, stable: Option<f64> },
    /// Values were compared.
    Valued,
}

impl Seat {
    pub(super) fn new(gate: Gate, effect: Option<DesignEffect>, horizon: u64) -> Result<Self, String> {
        let name = gate.name();
        let planned = Some(horizon).filter(|looks| *looks > 1);
        let tests = match gate.rule() {
            Rule::Count(rule) => Tests::Counts(CountEvidence::new(rule, planned)),
            Rule::Latency(LatencyRule { threshold: None, .. }) => {
                return Err(format!("gate `{name}` needs `max`: without it nothing says what is slow"));
            }
            Rule::Latency(latency) => Tests::Counts(CountEvidence::new(&latency.rule, planned)),
            Rule::Samples(_) => {
                return Err(format!(
                    "gate `{name}`: rollouts cannot judge by mann_whitney or kayenta yet; allowed are sign and t"
                ));
            }
            Rule::Series(_) if gate.query().is_none() && gate.metric() != Some("requests") => {
                return Err(format!(
                    "gate `{name}`: {} is counted, not a number per window: leave `judge` out, or give a `query`",
                    gate.metric().unwrap_or_default()
                ));
            }
            Rule::Series(rule) => Tests::Series(SeriesEvidence::new(rule)),
        };
        Ok(Self { gate, effect, tests, looks: 0, sums: None, latest: None })
    }

    pub(super) const fn gate(&self) -> &Gate {
        &self.gate
    }

    pub(super) fn restart_pass(&mut self) {
        match (&mut self.tests, self.gate.rule()) {
            (Tests::Counts(evidence), _) => evidence.restart_pass(),
            (Tests::Series(evidence), Rule::Series(rule)) => evidence.restart_pass(rule),
            (Tests::Series(_), Rule::Count(_) | Rule::Latency(_) | Rule::Samples(_)) => {}
        }
    }

    pub(super) fn look(&mut self, evidence: &Evidence) -> Booked {
        self.latest = Some(Latest::of(evidence));
        let booked = match (&mut self.tests, self.gate.rule()) {
            (Tests::Counts(tests), Rule::Count(rule)) => {
                let candidate = counts(&evidence.candidate);
                let stable = if rule.boundaries.is_some() {
                    counts(&evidence.stable)
                } else {
                    counts(&evidence.stable).or(Some(Counts::NONE))
                };
                match (candidate, stable) {
                    (Some(candidate), Some(stable)) => {
                        // Nobody came: what was staked on this look is kept for one that tells something.
                        if candidate.requests() + stable.requests() > 0.0 {
                            let effect = self.effect.unwrap_or(DesignEffect::UNKNOWN);
                            tests.look(&CountLook::exact(candidate, stable), effect);
                        }
                        Some((candidate, stable))
                    }
                    _ => None,
                }
            }
            (Tests::Counts(tests), Rule::Latency(rule)) => match latency_look(rule, evidence) {
                Some(look) => {
                    if look.fail.candidate.requests() + look.fail.stable.requests() > 0.0 {
                        tests.look(&look, self.effect.unwrap_or(DesignEffect::UNKNOWN));
                    }
                    Some((look.fail.candidate, look.fail.stable))
                }
                None => None,
            },
            (Tests::Series(tests), Rule::Series(rule)) => {
                return match (value(&evidence.candidate), value(&evidence.stable), rule.max) {
                    (Some(candidate), stable, max) if stable.is_some() || max.is_some() => {
                        if tests.look(rule, candidate, stable.or(max).unwrap_or(candidate)).is_ok() {
                            self.looks = self.looks.saturating_add(1);
                            Booked::Valued
                        } else {
                            Booked::Nothing { candidate: None, stable: None }
                        }
                    }
                    _ => Booked::Nothing { candidate: None, stable: None },
                };
            }
            (Tests::Counts(_), Rule::Samples(_) | Rule::Series(_))
            | (Tests::Series(_), Rule::Count(_) | Rule::Latency(_) | Rule::Samples(_)) => None,
        };
        match booked {
            // Nobody came: there is nothing to judge, and nothing is missing.
            Some((candidate, stable)) if candidate.requests() + stable.requests() <= 0.0 => {
                Booked::Nothing { candidate: Some(0.0), stable: Some(0.0) }
            }
            Some((candidate, stable)) => {
                self.looks = self.looks.saturating_add(u64::from(candidate.requests() > 0.0));
                let sums = self.sums.get_or_insert_default();
                sums.candidate.0 += candidate.requests();
                sums.candidate.1 += candidate.events();
                sums.stable.0 += stable.requests();
                sums.stable.1 += stable.events();
                if candidate.requests() <= 0.0 {
                    return Booked::Nothing { candidate: Some(0.0), stable: Some(stable.requests()) };
                }
                Booked::Counted { candidate: candidate.requests(), stable: stable.requests() }
            }
            None => Booked::Nothing { candidate: requests(&evidence.candidate), stable: requests(&evidence.stable) },
        }
    }

    /// The FAIL evidence that enters the mean over all critical gates.
    pub(super) fn ln_e_fail_to_combine(&self) -> f64 {
        if self.is_two_sided() { f64::NEG_INFINITY } else { self.ln_e_fail() }
    }

    /// Whether a test that cannot enter the mean rejects at `alpha`.
    pub(super) fn fails_alone(&self, alpha: f64) -> bool {
        match &self.tests {
            Tests::Series(tests) if self.is_two_sided() => tests.fail().rejects(alpha),
            Tests::Series(_) | Tests::Counts(_) => false,
        }
    }

    pub(super) fn passes(&self, beta: f64) -> bool {
        match &self.tests {
            Tests::Counts(tests) => tests.ln_e_pass() >= -beta.ln(),
            Tests::Series(tests) => tests.pass().rejects(beta),
        }
    }

    pub(super) fn ln_e_fail(&self) -> f64 {
        match &self.tests {
            Tests::Counts(tests) => tests.ln_e_fail(),
            Tests::Series(tests) => tests.fail().ln_e(),
        }
    }

    pub(super) fn ln_e_pass(&self) -> f64 {
        match &self.tests {
            Tests::Counts(tests) => tests.ln_e_pass(),
            Tests::Series(tests) => tests.pass().ln_e(),
        }
    }

    pub(super) fn finding(&self, risk: &Risk, critical: usize) -> Finding {
        let alpha = risk.alpha / critical.max(1) as f64;
        let fails = if self.is_two_sided() { self.fails_alone(alpha) } else { self.ln_e_fail() >= -alpha.ln() };
        Finding::new(self, fails, self.passes(risk.beta), risk, alpha)
    }

    pub(super) const fn looks(&self) -> u64 {
        self.looks
    }

    pub(super) const fn sums(&self) -> Option<Sums> {
        self.sums
    }

    pub(super) const fn effect(&self) -> Option<DesignEffect> {
        self.effect
    }

    pub(super) const fn latest(&self) -> Option<&Latest> {
        self.latest.as_ref()
    }

    fn is_two_sided(&self) -> bool {
        matches!(self.gate.rule(), Rule::Series(rule) if rule.statistic == SeriesStatistic::T)
    }
}

/// What a gate counts in a sample; `None` when it does not count, or there is nothing to count.
pub(super) fn counted(gate: &Gate, sample: &Sample) -> Option<Counts> {
    match (gate.rule(), sample) {
        (Rule::Count(_), Sample::Counts { .. }) => counts(sample),
        (Rule::Latency(LatencyRule { threshold: Some(threshold), .. }), Sample::Histogram(buckets)) => {
            slow(buckets, *threshold).map(|(at_least, _)| at_least)
        }
        _ => None,
    }
}

/// Counts of a sample. A store that has nothing for a subject knows of no requests.
fn counts(sample: &Sample) -> Option<Counts> {
    match sample {
        Sample::Counts { requests, events } => Counts::new(requests.get(), events.get()).ok(),
        Sample::NoData(Why::Empty) => Some(Counts::NONE),
        Sample::Histogram(_) | Sample::NoData(_) | Sample::Value(_) => None,
    }
}

fn value(sample: &Sample) -> Option<f64> {
    match sample {
        Sample::Value(value) => Some(value.get()),
        Sample::Counts { .. } | Sample::Histogram(_) | Sample::NoData(_) => None,
    }
}

/// How many requests a sample knows of.
fn requests(sample: &Sample) -> Option<f64> {
    match sample {
        Sample::Counts { requests, .. } => Some(requests.get()),
        Sample::Histogram(buckets) => buckets.buckets().last().map(|(_, count)| *count),
        Sample::NoData(Why::Empty) => Some(0.0),
        Sample::NoData(_) | Sample::Value(_) => None,
    }
}

fn latency_look(rule: &LatencyRule, evidence: &Evidence) -> Option<CountLook> {
    let threshold = rule.threshold?;
    let side = |sample: &Sample| -> Option<(Counts, Counts)> {
        match sample {
            Sample::Histogram(buckets) => slow(buckets, threshold),
            Sample::NoData(Why::Empty) => Some((Counts::NONE, Counts::NONE)),
            Sample::Counts { .. } | Sample::NoData(_) | Sample::Value(_) => None,
        }
    };
    let (candidate_at_least, candidate_at_most) = side(&evidence.candidate)?;
    let stable = side(&evidence.stable);
    let (stable_at_least, stable_at_most) = match rule.rule.boundaries {
        Some(_) => stable?,
        None => stable.unwrap_or((Counts::NONE, Counts::NONE)),
    };
    // A threshold that is no bucket bound: FAIL reads what is surely slow of the candidate and possibly slow of stable.
    Some(CountLook {
        fail: Sides { candidate: candidate_at_least, stable: stable_at_most },
        pass: Sides { candidate: candidate_at_most, stable: stable_at_least },
    })
}

fn slow(buckets: &Buckets, threshold: f64) -> Option<(Counts, Counts)> {
    let above = Histogram::new(buckets.buckets().to_vec()).ok()?.above(threshold).ok()?;
    Some((above.at_least, above.at_most))
}
