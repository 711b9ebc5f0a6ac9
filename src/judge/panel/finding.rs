//! What a gate says, for people and scripts.

use mlroll_backend::{Caveat, Sample, Why};
use serde::{Deserialize, Serialize};

use super::seat::Seat;
use super::{Evidence, Risk};
use crate::judge::drift::Drift;
use crate::judge::exact::Exact;
use crate::judge::interval::Interval;
use crate::judge::planned::Said;
use crate::judge::series::BLOCK;
use crate::judge::verdict::Verdict;

/// The result of one gate, with its numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The gate.
    pub gate: String,
    /// Whether it only reports.
    pub advisory: bool,
    /// What it says by itself.
    pub verdict: Verdict,
    /// Why, in one sentence.
    pub reason: String,
    /// `ln E` of its FAIL test; two-sided for a t test, and 0, which says nothing, for a test that has no E.
    pub ln_e_fail: f64,
    /// `ln E` of its PASS test, likewise.
    pub ln_e_pass: f64,
    /// Windows with evidence.
    pub looks: u64,
    /// The design effect that divides its evidence.
    pub design_effect: f64,
    /// How far it is on its way.
    pub needed: Needed,
    /// The chance of a false alarm it may take.
    pub alpha: f64,
    /// Where the candidate's rate lies for a limit, or the ratio of the rates against stable, at level `1 - alpha`: to be
    /// shown, never to decide. Of scores, where the stability index lies.
    pub interval: Option<Interval>,
    /// Whether an advisory gate has changed, so many of them being watched (e-BH).
    pub changed: bool,
    /// What is to be known of its numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caveat: Option<Caveat>,
    /// Requests that were turned away, where the store tells of any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttled: Option<Throttled>,
}

/// Requests that were turned away for want of capacity (429). They are not among those that are judged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Throttled {
    /// Those of the revision on trial.
    pub candidate: f64,
    /// Their share of all that it was sent, from 0 to 1.
    pub candidate_share: f64,
    /// Those of the revision in charge.
    pub stable: f64,
    /// Likewise.
    pub stable_share: f64,
}

/// The share of requests turned away from which on a person should know.
const MANY_THROTTLED: f64 = 0.01;

/// How far a gate is on its way, from 0 (nothing, or evidence for the opposite) to 1 (decided).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Needed {
    /// Towards fail.
    pub fail: f64,
    /// Towards pass.
    pub pass: f64,
}

/// What the last window held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Latest {
    candidate: String,
    stable: String,
}

impl Latest {
    pub(super) fn of(evidence: &Evidence) -> Self {
        Self { candidate: shown(&evidence.candidate), stable: shown(&evidence.stable) }
    }
}

impl Throttled {
    fn of(seat: &Seat) -> Option<Self> {
        let (candidate, stable) = seat.throttled();
        let answered = seat.sums().unwrap_or_default();
        let share = |away: f64, (answered, _): (f64, f64)| if away > 0.0 { away / (away + answered) } else { 0.0 };
        (candidate > 0.0 || stable > 0.0).then(|| Self {
            candidate,
            candidate_share: share(candidate, answered.0),
            stable,
            stable_share: share(stable, answered.1),
        })
    }
}

impl Finding {
    /// What a person should know beside the verdict.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let Throttled { candidate_share, stable_share, .. } = self.throttled?;
        let shares = format!(
            "{:.1} % of the candidate's requests and {:.1} % of stable's",
            100.0 * candidate_share,
            100.0 * stable_share
        );
        let cure = if candidate_share >= MANY_THROTTLED {
            "the candidate has too few instances for its share"
        } else if stable_share >= MANY_THROTTLED {
            "stable has too few instances"
        } else {
            return None;
        };
        Some(format!("gate `{}`: {shares} were turned away (429), and are not judged: {cure}", self.gate))
    }

    pub(super) fn new(seat: &Seat, fails: bool, passes: bool, risk: &Risk, alpha: f64) -> Self {
        let verdict = match (fails, passes) {
            (true, _) => Verdict::Fail,
            (false, true) => Verdict::Pass,
            (false, false) => Verdict::Inconclusive,
        };
        let (ln_e_fail, ln_e_pass) = (seat.ln_e_fail(), seat.ln_e_pass());
        Self {
            gate: seat.gate().name().to_owned(),
            advisory: seat.gate().is_advisory(),
            verdict,
            reason: reason(seat, alpha),
            ln_e_fail,
            ln_e_pass,
            looks: seat.looks(),
            design_effect: seat.factor().factor(),
            needed: match (seat.alarms_open(), seat.drift_allowed()) {
                (Some(_), _) => Needed { fail: f64::from(u8::from(fails)), pass: f64::from(u8::from(passes)) },
                (None, Some((max, _))) => {
                    let way =
                        |level: f64, way: fn(Drift, f64) -> f64| seat.drift(level).map_or(0.0, |drift| way(drift, max));
                    Needed {
                        fail: if fails { 1.0 } else { way(alpha, |drift, max| (drift.lower / max).min(1.0)) },
                        pass: way(risk.beta, |drift, max| (max / drift.upper).min(1.0)),
                    }
                }
                (None, None) => {
                    Needed { fail: seat.fail_so_far().way(alpha), pass: seat.pass_so_far(risk.beta).way(risk.beta) }
                }
            },
            alpha,
            interval: seat.drift(alpha).map(Interval::from).or_else(|| seat.interval(alpha)),
            changed: false,
            caveat: seat.prelude().caveat,
            throttled: Throttled::of(seat),
        }
    }
}

fn reason(seat: &Seat, alpha: f64) -> String {
    let reason = said(seat, alpha);
    match seat.prelude().caveat {
        Some(caveat) => format!("{reason} ({caveat})"),
        None => reason,
    }
}

fn said(seat: &Seat, alpha: f64) -> String {
    if let (Some(open), Some(names)) = (seat.alarms_open(), seat.gate().alarms()) {
        let names = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        return match (open, seat.looks()) {
            (_, 0) => format!("{names}: not read yet"),
            (0, looks) => format!("{names}: quiet in {looks} windows"),
            (open, looks) => format!("{names}: open in {open} of {looks} windows"),
        };
    }
    if let Some((max, bins)) = seat.drift_allowed() {
        return match seat.drift(alpha) {
            Some(Drift { index, lower, upper }) => format!(
                "population stability index {index:.3} over {bins} bins, surely from {lower:.3} to {upper:.3}; allowed is {max}"
            ),
            None if bins > 0 => format!("{bins} bins are chosen, and nothing is counted of both revisions yet"),
            None => "too few scores of stable to choose bins by".to_owned(),
        };
    }
    let unit = seat.gate().unit().map_or_else(String::new, |unit| format!(" {unit}"));
    let latest =
        seat.latest().map(|Latest { candidate, stable }| match candidate == stable && candidate.contains(": ") {
            // What the store said of both is said once.
            true => format!("candidate and stable {stable}"),
            false => format!("candidate {candidate}{unit}, stable {stable}{unit}"),
        });
    match (seat.sums(), latest) {
        (Some((candidate, stable)), _) => {
            let side = |(requests, events): (f64, f64)| {
                let share =
                    if requests > 0.0 { format!("{:.3} %", 100.0 * events / requests) } else { "none".to_owned() };
                format!("{share} ({events:.0} of {requests:.0})")
            };
            let away = Throttled::of(seat).map_or_else(String::new, |Throttled { candidate, stable, .. }| {
                format!("; turned away (429) besides: candidate {candidate:.0}, stable {stable:.0}")
            });
            format!("{}: candidate {}, stable {}{away}", counted(seat), side(candidate), side(stable))
        }
        (None, Some(latest)) if seat.is_in_blocks() => {
            format!("{latest}; autocorrelated, judged in blocks of {BLOCK} windows")
        }
        (None, Some(latest)) => match seat.kayenta() {
            Some(Said { metric, effect }) => {
                let effect = effect.map_or_else(String::new, |Exact(effect)| format!(" (effect {effect:.3})"));
                format!("{latest}; Kayenta says {}{effect}", metric.classification.name())
            }
            None => latest,
        },
        (None, None) => "nothing to judge yet".to_owned(),
    }
}

fn counted(seat: &Seat) -> String {
    match seat.slow_after() {
        Some(seconds) => format!("slower than {:.0} ms", seconds * 1000.0),
        None if seat.gate().ratio().is_some() => "counted".to_owned(),
        None => "failed requests".to_owned(),
    }
}

fn shown(sample: &Sample) -> String {
    match sample {
        Sample::Counts { requests, events, .. } => format!("{:.0} of {:.0}", events.get(), requests.get()),
        Sample::Histogram(buckets) => {
            format!("{:.0} requests", buckets.buckets().last().map_or(0.0, |(_, count)| *count))
        }
        Sample::NoData(Why::Inconsistent { found }) => format!("no data (inconsistent: {found})"),
        Sample::NoData(Why::Partial { warning }) => format!("no data (partial: {warning})"),
        Sample::NoData(why) => format!("no data ({})", why.name()),
        Sample::Strata(parts) => format!("{} parts", parts.len()),
        Sample::Value(value) => value.to_string(),
    }
}
