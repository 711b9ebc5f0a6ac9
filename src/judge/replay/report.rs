//! The document `mlroll/replay/1`.

use serde_json::{Map, Value, json};

use super::Judged;
use super::spec::Spec;
use crate::judge::interval::Interval;
use crate::judge::verdict::Course;

const SCHEMA: &str = "mlroll/replay/1";

/// What the tests say after one look.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// `None` for a p-value test.
    pub(super) ln_e_fail: Option<f64>,
    pub(super) ln_e_pass: Option<f64>,
    pub(super) fails: bool,
    pub(super) passes: bool,
    /// Keys of this kind of gate.
    pub(super) extra: Vec<(&'static str, Value)>,
}

/// The report of one bake.
pub(super) fn one(spec: &Spec, judged: Judged) -> Value {
    let Judged { readings, interval, final_p, warnings } = judged;
    let mut course = Course::default();
    let mut looks = Vec::with_capacity(readings.len());
    for reading in readings {
        let verdict = course.look(reading.fails, reading.passes);
        let mut look = evidence(&reading);
        look.insert("verdict".to_owned(), verdict.name().into());
        look.extend(reading.extra.into_iter().map(|(key, value)| (key.to_owned(), value)));
        looks.push(Value::Object(look));
    }
    json!({
        "schema": SCHEMA,
        "looks": looks,
        "first_fail": course.first_fail,
        "first_pass": course.first_pass,
        "verdict": course.verdict().name(),
        "design_effect": spec.terms.effect.factor(),
        "interval": interval.map(bounds),
        "final_p": final_p,
        "warnings": all_warnings(spec, warnings),
    })
}

/// The report of many bakes: the last look of each.
pub(super) fn many(spec: &Spec, judged: Vec<Judged>) -> Value {
    let mut warnings = Vec::new();
    let series = judged.into_iter().map(|judged| {
        for warning in judged.warnings {
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
        let mut course = Course::default();
        for reading in &judged.readings {
            course.look(reading.fails, reading.passes);
        }
        let mut last = evidence(judged.readings.last().unwrap_or(&Reading::default()));
        last.insert("first_fail".to_owned(), json!(course.first_fail));
        last.insert("first_pass".to_owned(), json!(course.first_pass));
        last.insert("verdict".to_owned(), course.verdict().name().into());
        if spec.terms.final_look {
            last.insert("final_p".to_owned(), json!(judged.final_p));
        }
        Value::Object(last)
    });
    let series: Vec<Value> = series.collect();
    json!({
        "schema": SCHEMA,
        "series": series,
        "design_effect": spec.terms.effect.factor(),
        "warnings": all_warnings(spec, warnings),
    })
}

fn evidence(reading: &Reading) -> Map<String, Value> {
    // `+ 0.0` makes -0 a 0.
    let entries = [("ln_e_fail", reading.ln_e_fail), ("ln_e_pass", reading.ln_e_pass)];
    entries.into_iter().map(|(key, ln_e)| (key.to_owned(), json!(ln_e.map(|e| e + 0.0)))).collect()
}

fn bounds(interval: Interval) -> Value {
    json!({ "lower": interval.lower, "upper": interval.upper })
}

fn all_warnings(spec: &Spec, more: Vec<String>) -> Vec<String> {
    spec.warnings.iter().cloned().chain(more).collect()
}
