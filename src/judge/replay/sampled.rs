//! Gates on lists of values at planned looks: Mann-Whitney and Kayenta.

use serde_json::{Value, json};

use super::Judged;
use super::report::Reading;
use super::spec::{Samples, Terms};
use crate::judge::gate::{RankTest, SampleRule};
use crate::judge::mann_whitney::MannWhitney;
use crate::judge::planned::{self, Compared};
use crate::judge::spending::spent_at;

pub(super) fn samples(looks: &[Samples], rule: &SampleRule, terms: &Terms) -> Judged {
    // Without a horizon the looks of the file are the planned ones.
    let planned = terms.horizon.unwrap_or(looks.len() as u64);
    let readings = looks.iter().zip(1..).map(|(look, index)| match rule.test {
        RankTest::Kayenta => kayenta(look, rule),
        RankTest::MannWhitney => {
            mann_whitney(look, rule, spent_at(terms.alpha, index, planned), spent_at(terms.beta, index, planned))
        }
    });
    Judged { readings: readings.collect(), ..Judged::default() }
}

fn mann_whitney(look: &Samples, rule: &SampleRule, alpha: f64, beta: f64) -> Reading {
    let (candidate, stable) = (present(&look.candidate), present(&look.stable));
    let test = Compared::of(rule, &candidate, &stable);
    let mut extra = shown(&candidate, &stable);
    extra.extend([
        ("p_fail", json!(test.fail.map(|test| test.p_greater))),
        ("p_pass", json!(test.pass.map(|test| test.p_greater))),
        ("alpha", json!(alpha)),
        ("beta", json!(beta)),
    ]);
    Reading { fails: test.fails(alpha), passes: test.passes(beta), extra, ..Reading::default() }
}

/// What every planned look carries, whichever test decides; null where a side is empty.
fn shown(candidate: &[f64], stable: &[f64]) -> Vec<(&'static str, Value)> {
    let shown = MannWhitney::of(candidate, stable);
    vec![
        ("p", json!(shown.map(|test| test.p_greater))),
        ("cles", json!(shown.map(|test| test.cles))),
        ("hodges_lehmann", json!(shown.map(|test| test.hodges_lehmann))),
        ("mean_ratio", json!(shown.and_then(|test| test.mean_ratio))),
    ]
}

fn present(values: &[f64]) -> Vec<f64> {
    values.iter().copied().filter(|v| !v.is_nan()).collect()
}

fn kayenta(look: &Samples, rule: &SampleRule) -> Reading {
    let judged = planned::kayenta(rule, &look.candidate, &look.stable);
    let (fails, passes) = planned::meaning(rule, judged.classification);
    let mut extra = shown(&present(&look.candidate), &present(&look.stable));
    extra.extend([
        ("classification", judged.classification.name().into()),
        ("effect", json!(judged.effect)),
        ("lower", json!(judged.shift.map(|shift| shift.lower))),
        ("upper", json!(judged.shift.map(|shift| shift.upper))),
        ("estimate", json!(judged.shift.map(|shift| shift.estimate))),
    ]);
    Reading { fails, passes, extra, ..Reading::default() }
}
