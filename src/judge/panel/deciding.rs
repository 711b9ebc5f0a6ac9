//! The rule behind a ruling, in words and numbers (docs/judge.md sections 3.8 and 3.9).

use serde::Serialize;

use super::seat::{Progress, Seat};
use super::{Panel, Ruling};

/// The rule behind a ruling.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Deciding {
    /// In words, with its numbers.
    pub words: String,
    /// The gate that weighs most in it.
    pub gate: Option<String>,
    /// `ln` of the mean of all FAIL E that enter it; `None` when no gate does.
    pub ln_e_fail: Option<f64>,
    /// What that mean needs: `ln(1 / alpha)`.
    pub needed_fail: f64,
    /// What the PASS test of each critical gate needs: `ln(1 / beta)`.
    pub needed_pass: f64,
}

impl Panel {
    /// The rule behind a ruling that was just made.
    #[must_use]
    pub fn deciding(&self, ruling: Ruling) -> Deciding {
        let (alpha, beta) = (self.risk.alpha, self.risk.beta);
        let critical: Vec<&Seat> = self.critical().collect();
        let mean = self.mean().filter(|mean| mean.ln_e > f64::NEG_INFINITY);
        let name = |seat: &Seat| seat.gate().name().to_owned();
        let largest = mean.and_then(|mean| critical.get(mean.cause)).map(|seat| name(seat));
        let alone = self.alone().find(|(seat, alpha)| seat.fails_alone(*alpha));
        let scored = self.score.as_ref().filter(|score| score.fails());
        let together = mean.is_some_and(|mean| mean.ln_e >= -alpha.ln());
        let (words, gate) = match ruling {
            Ruling::Fail => match (alone, mean, &largest) {
                (_, Some(mean), Some(largest)) if together => (
                    format!(
                        "FAIL: mean of e-values {} >= 1/alpha = {}; `{largest}` has the largest share",
                        shown(mean.ln_e),
                        shown(-alpha.ln())
                    ),
                    Some(largest.clone()),
                ),
                (Some((seat, _)), ..) if seat.alarms_open().is_some() => {
                    (format!("FAIL: an alarm of `{}` was open", name(seat)), Some(name(seat)))
                }
                (Some((seat, own)), ..) if seat.drift_allowed().is_some() => {
                    let words = format!(
                        "FAIL: the stability index of `{}` is surely above what is allowed, at its part of alpha, {own}",
                        name(seat)
                    );
                    (words, Some(name(seat)))
                }
                (Some((seat, own)), ..) => {
                    let words = format!("FAIL: `{}` alone rejects at its part of alpha, {own}", name(seat));
                    (words, Some(name(seat)))
                }
                _ => match scored {
                    Some(score) => (format!("FAIL: Kayenta's {}", score.words()), None),
                    None => ("FAIL".to_owned(), None),
                },
            },
            Ruling::Starved => {
                let ln_e = self.starvation.as_ref().map_or(0.0, |starved| starved.ledger().ln_e());
                let words = format!(
                    "STARVED: e-value {} >= 1/alpha = {} that the candidate gets less than half of its share of the requests",
                    shown(ln_e),
                    shown(-alpha.ln())
                );
                (words, None)
            }
            Ruling::Pass => {
                let each = critical.iter().map(|seat| self.passing(seat));
                let each = each.collect::<Vec<_>>().join(", ");
                (format!("PASS: every critical gate shows it at 1/beta = {}: e-values {each}", shown(-beta.ln())), None)
            }
            Ruling::Inconclusive | Ruling::NoData => {
                let against = mean.map_or_else(String::new, |mean| {
                    format!("mean of FAIL e-values {} < 1/alpha = {}", shown(mean.ln_e), shown(-alpha.ln()))
                });
                let open = critical.iter().filter(|seat| !self.passes(seat));
                let open: Vec<String> = open.map(|seat| self.passing(seat)).collect();
                let open = match (ruling, open.as_slice()) {
                    (Ruling::NoData, _) => "a critical gate had nothing to judge".to_owned(),
                    (_, []) => "every gate passes".to_owned(),
                    (_, open) => format!("not passed at 1/beta = {}: e-values {}", shown(-beta.ln()), open.join(", ")),
                };
                let word = if ruling == Ruling::NoData { "NO DATA" } else { "INCONCLUSIVE" };
                let parts: Vec<String> = [against, open].into_iter().filter(|part| !part.is_empty()).collect();
                (format!("{word}: {}", parts.join("; ")), None)
            }
        };
        Deciding {
            words,
            gate,
            ln_e_fail: mean.map(|mean| mean.ln_e),
            needed_fail: -alpha.ln(),
            needed_pass: -beta.ln(),
        }
    }

    /// How far a gate's PASS is, or that of the score that speaks for it.
    fn passing(&self, seat: &Seat) -> String {
        match self.score_of(seat) {
            Some(score) => format!("`{}` in Kayenta's {}", seat.gate().name(), score.words()),
            None => passing(seat, self.risk.beta),
        }
    }
}

/// How far a gate's PASS is.
fn passing(seat: &Seat, beta: f64) -> String {
    let how = match (seat.alarms_open(), seat.drift_allowed()) {
        (Some(0), _) => "quiet".to_owned(),
        (Some(_), _) => "open".to_owned(),
        (None, Some((max, _))) => {
            let upper = seat.drift(beta).map_or_else(|| "not known".to_owned(), |drift| format!("{:.3}", drift.upper));
            format!("index at most {upper} of {max}")
        }
        (None, None) => match seat.pass_so_far(beta) {
            Progress::Decided(true) => "passed at its planned look".to_owned(),
            Progress::Decided(false) => "has not passed at a planned look".to_owned(),
            Progress::Evidence(f64::NEG_INFINITY) => "0 (its mean is on the other side)".to_owned(),
            Progress::Evidence(ln_e) => shown(ln_e),
        },
    };
    format!("`{}` {how}", seat.gate().name())
}

/// E for people: as it is while that is a number one can read, else as a power.
fn shown(ln_e: f64) -> String {
    let e = ln_e.exp();
    if !(1e-3..1e6).contains(&e) {
        format!("e^{ln_e:.1}")
    } else if e < 10.0 {
        format!("{e:.3}")
    } else {
        let text = format!("{e:.1}");
        text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
    }
}
