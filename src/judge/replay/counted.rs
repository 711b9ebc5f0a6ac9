//! Counting and latency gates.

use serde_json::json;

use super::Judged;
use super::report::Reading;
use super::spec::{Histograms, LatencyLook, Terms, bounds};
use crate::judge::counts::Counts;
use crate::judge::design_effect::DesignEffect;
use crate::judge::drift::DriftEvidence;
use crate::judge::evidence::{CountEvidence, CountLook, Sides};
use crate::judge::final_look;
use crate::judge::gate::{CountRule, LatencyRule, ShapeRule};
use crate::judge::interval::{Interval, rate, rate_ratio};
use crate::judge::shape::ShapeEvidence;

pub(super) fn counts(looks: &[Vec<CountLook>], rule: &CountRule, terms: &Terms) -> Judged {
    // With a final look the running tests and the last one share alpha (docs/judge.md section 3.9, step 4).
    let exact = terms.final_look && final_look_is_possible(rule, terms);
    let alpha = if exact { terms.alpha / 2.0 } else { terms.alpha };
    let mut evidence = CountEvidence::new(rule, terms.horizon);
    let mut readings: Vec<Reading> = looks.iter().map(|look| booked(&mut evidence, look, alpha, terms)).collect();
    // Every stratum of every look is a stratum.
    let strata: Vec<CountLook> = looks.iter().flatten().copied().collect();
    let final_p = if exact { final_p(&strata, rule) } else { None };
    let horizon_reached = terms.horizon.is_none_or(|planned| looks.len() as u64 >= planned);
    if let (Some(p), Some(last), true) = (final_p, readings.last_mut(), horizon_reached) {
        // The test is one of the gate's FAIL tests and gets its share of alpha.
        last.fails |= p <= alpha / rule.fail().count() as f64;
    }
    let interval = terms.interval.then(|| interval(&strata, rule, terms));
    Judged { readings, interval, final_p, warnings: Vec::new() }
}

pub(super) fn latency(looks: &[LatencyLook], rule: &LatencyRule, terms: &Terms) -> Judged {
    let counted: Vec<Vec<CountLook>> = looks.iter().map(|look| vec![look.counts]).collect();
    let mut judged = counts(&counted, &rule.rule, terms);
    for (reading, look) in judged.readings.iter_mut().zip(looks) {
        // `json!` writes NaN as null.
        reading.extra.push(("quantile", json!(look.quantile)));
    }
    if looks.iter().any(|look| !look.exact) {
        judged.warnings.push(
            "the threshold is no bucket bound: FAIL counts the requests surely above it, PASS those possibly above it"
                .to_owned(),
        );
    }
    judged
}

/// The stability index: a bake is one step.
pub(super) fn drift(looks: &[Histograms], max: f64, terms: &Terms) -> Judged {
    let mut evidence = DriftEvidence::new(1);
    let mut judged = Judged::default();
    for look in looks {
        if let Err(why) = evidence.look(&look.candidate, &look.stable) {
            judged.warnings.push(format!("a look was left out: {why}"));
        }
        let drift = evidence.drift(terms.alpha, terms.effect);
        let told = drift.map(|drift| json!({ "index": drift.index, "lower": drift.lower, "upper": drift.upper }));
        judged.readings.push(Reading {
            ln_e_fail: None,
            ln_e_pass: None,
            fails: evidence.exceeds(max, terms.alpha, terms.effect),
            passes: evidence.drift(terms.beta, terms.effect).is_some_and(|drift| drift.upper < max),
            extra: vec![("psi", told.into())],
        });
    }
    judged
}

pub(super) fn shape(looks: &[Histograms], rule: ShapeRule, terms: &Terms) -> Judged {
    let mut evidence = ShapeEvidence::new(bounds(looks), rule, terms.horizon);
    let mut judged = Judged::default();
    for look in looks {
        if let Err(why) = evidence.look(&look.candidate, &look.stable, terms.effect) {
            judged.warnings.push(format!("a look was left out: {why}"));
        }
        judged.readings.push(reading(evidence.ln_e_fail(), evidence.ln_e_pass(), terms.alpha, terms));
    }
    judged
}

fn booked(evidence: &mut CountEvidence, look: &[CountLook], alpha: f64, terms: &Terms) -> Reading {
    evidence.look_at_strata(look, terms.effect);
    reading(evidence.ln_e_fail(), evidence.ln_e_pass(), alpha, terms)
}

fn reading(fail: f64, pass: f64, alpha: f64, terms: &Terms) -> Reading {
    Reading {
        ln_e_fail: Some(fail),
        ln_e_pass: Some(pass),
        fails: fail >= -alpha.ln(),
        passes: pass >= -terms.beta.ln(),
        extra: Vec::new(),
    }
}

fn final_look_is_possible(rule: &CountRule, terms: &Terms) -> bool {
    terms.effect == DesignEffect::NONE && rule.boundaries.is_some_and(|boundaries| boundaries.fail.abs == 0.0)
}

fn final_p(looks: &[CountLook], rule: &CountRule) -> Option<f64> {
    let strata: Vec<(Counts, Counts)> = looks.iter().map(|look| pair(look.fail)).collect();
    final_look::p_value(&strata, rule.boundaries?.fail.ratio, rule.better.fail())
}

/// The lower end from what is surely there, the upper end from what is possibly there.
fn interval(looks: &[CountLook], rule: &CountRule, terms: &Terms) -> Interval {
    let of = |sides: fn(&CountLook) -> Sides| match rule.limit {
        Some(limit) => {
            let counts = looks.iter().fold(Counts::NONE, |sum, look| sum.plus(sides(look).candidate));
            rate(counts, Some(limit), terms.alpha)
        }
        None => {
            let strata: Vec<(Counts, Counts)> = looks.iter().map(|look| pair(sides(look))).collect();
            rate_ratio(&strata, terms.alpha, terms.effect)
        }
    };
    let low = of(|look| look.fail);
    let high = if looks.iter().all(|look| look.fail == look.pass) { low } else { of(|look| look.pass) };
    Interval { lower: low.lower, upper: high.upper }
}

fn pair(sides: Sides) -> (Counts, Counts) {
    (sides.candidate, sides.stable)
}
