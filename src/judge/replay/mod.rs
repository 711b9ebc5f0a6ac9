//! `mlroll gate replay FILE`: the judge on recorded looks (docs/cli.md, "gate replay FILE").

mod counted;
mod document;
mod report;
mod sampled;
mod spec;

use serde_json::Value;

pub use self::document::ReplayError;

use self::report::Reading;
use self::spec::{Evidence, Looks, Spec, Terms};
use super::evidence::SeriesEvidence;
use super::gate::{Rule, SeriesRule};
use super::interval::Interval;

/// Judges every look of a replay file and reports `mlroll/replay/1`.
///
/// Numbers that do not exist (the quantile of nothing, evidence of a p-value test) are null; none is NaN or infinite.
///
/// # Errors
/// The text is no JSON, or the document makes no sense; the error names the place and what is allowed there.
pub fn replay(json: &str) -> Result<Value, ReplayError> {
    let document: Value = serde_json::from_str(json).map_err(|error| ReplayError::new(format!("not JSON: {error}")))?;
    let mut spec = Spec::read(&document)?;
    let evidence = std::mem::replace(&mut spec.evidence, Evidence::Many(Vec::new()));
    match evidence {
        Evidence::One(looks) => {
            let judged = judge(&looks, &spec.rule, &spec.terms).map_err(|error| error.under("looks"))?;
            Ok(report::one(&spec, judged))
        }
        Evidence::Many(series) => {
            let judged = series.iter().enumerate().map(|(index, looks)| {
                let judged = judge(looks, &spec.rule, &spec.terms);
                judged.map_err(|error| error.under(&format!("[{index}]")).under("series"))
            });
            let judged = judged.collect::<Result<Vec<_>, _>>()?;
            Ok(report::many(&spec, judged))
        }
    }
}

/// Everything about one bake.
#[derive(Debug, Default)]
struct Judged {
    readings: Vec<Reading>,
    interval: Option<Interval>,
    final_p: Option<f64>,
    warnings: Vec<String>,
}

fn judge(looks: &Looks, rule: &Rule, terms: &Terms) -> Result<Judged, ReplayError> {
    let mut judged = match (looks, rule) {
        (Looks::Counts(looks), Rule::Count(rule)) => counted::counts(looks, rule, terms),
        (Looks::Latency(looks), Rule::Latency(rule)) => counted::latency(looks, rule, terms),
        (Looks::Histograms(looks), Rule::Drift(max)) => counted::drift(looks, *max, terms),
        (Looks::Histograms(looks), Rule::Shape(rule)) => counted::shape(looks, *rule, terms),
        (Looks::Samples(looks), Rule::Samples(rule)) => sampled::samples(looks, rule, terms),
        (Looks::Values(looks), Rule::Series(rule)) => series(looks, rule, terms)?,
        // Looks are read by their rule.
        (Looks::Counts(_) | Looks::Histograms(_) | Looks::Latency(_) | Looks::Samples(_) | Looks::Values(_), _) => {
            Judged::default()
        }
    };
    if terms.final_look && judged.final_p.is_none() {
        let why = "final_look: the exact test needs counts against stable, a design effect of 1, no absolute slack in fail, \
                   and at most a million events";
        judged.warnings.push(why.to_owned());
    }
    Ok(judged)
}

fn series(looks: &[Option<spec::Values>], rule: &SeriesRule, terms: &Terms) -> Result<Judged, ReplayError> {
    let mut evidence = SeriesEvidence::new(rule);
    let mut readings = Vec::with_capacity(looks.len());
    for (index, look) in looks.iter().enumerate() {
        if let Some(values) = look {
            let booked = evidence.look(rule, values.candidate, values.stable);
            booked.map_err(|why| ReplayError::new(why).under(&format!("[{index}]")))?;
        }
        readings.push(Reading {
            ln_e_fail: Some(evidence.fail().ln_e()),
            ln_e_pass: Some(evidence.pass().ln_e()),
            fails: evidence.fail().rejects(terms.alpha),
            passes: evidence.pass().rejects(terms.beta),
            extra: Vec::new(),
        });
    }
    Ok(Judged { readings, ..Judged::default() })
}

#[cfg(test)]
mod tests;
