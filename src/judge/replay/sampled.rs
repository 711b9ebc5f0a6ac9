//! Gates on lists of values at planned looks: Mann-Whitney and Kayenta.

use serde_json::{Value, json};

use super::Judged;
use super::report::Reading;
use super::spec::{Samples, Terms};
use crate::judge::gate::{Better, RankTest, SampleRule};
use crate::judge::kayenta::{Classification, Concern, Effect, Settings, classify};
use crate::judge::mann_whitney::{FEWEST_VALUES, MannWhitney};
use crate::judge::series::Difference;
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
    let present = |values: &[f64]| -> Vec<f64> { values.iter().copied().filter(|v| !v.is_nan()).collect() };
    let (candidate, stable) = (present(&look.candidate), present(&look.stable));
    // The side that FAIL suspects to be the greater one.
    let (suspect, other) = match rule.better {
        Better::Higher => (&stable, &candidate),
        Better::Lower => (&candidate, &stable),
    };
    let allowed: Vec<f64> = other.iter().map(|value| value + margin(rule, rule.pass_tolerance, *value)).collect();
    let shown = MannWhitney::of(&candidate, &stable);
    let fail = MannWhitney::of(suspect, other);
    // PASS asks the mirrored question of the largest shift tolerated.
    let pass = MannWhitney::of(&allowed, suspect);
    let enough = candidate.len().min(stable.len()) >= FEWEST_VALUES;
    let fails = fail.is_some_and(|test| {
        enough && test.p_greater <= alpha && test.mean_x - test.mean_y >= margin(rule, rule.tolerance, test.mean_y)
    });
    let passes = pass.is_some_and(|test| enough && test.p_greater <= beta && test.mean_x >= test.mean_y);
    Reading {
        fails,
        passes,
        extra: vec![
            ("p", json!(shown.map(|test| test.p_greater))),
            ("cles", json!(shown.map(|test| test.cles))),
            ("hodges_lehmann", json!(shown.map(|test| test.hodges_lehmann))),
            ("mean_ratio", json!(shown.and_then(|test| test.mean_ratio))),
            ("p_fail", json!(fail.map(|test| test.p_greater))),
            ("p_pass", json!(pass.map(|test| test.p_greater))),
            ("alpha", json!(alpha)),
            ("beta", json!(beta)),
        ],
        ..Reading::default()
    }
}

/// How much above `value` is tolerated.
fn margin(rule: &SampleRule, tolerance: f64, value: f64) -> f64 {
    match rule.difference {
        Difference::Log => tolerance * value.abs(),
        Difference::Plain => tolerance,
    }
}

fn kayenta(look: &Samples, rule: &SampleRule) -> Reading {
    let settings = Settings {
        concern: match rule.better {
            Better::Higher => Concern::Decrease,
            Better::Lower => Concern::Increase,
        },
        effect: Effect::MeanRatio {
            allowed_increase: 1.0 + rule.tolerance,
            allowed_decrease: 1.0 / (1.0 + rule.tolerance),
        },
        ..Settings::default()
    };
    let judged = classify(&look.candidate, &look.stable, &settings);
    let (fails, passes) = match judged.classification {
        Classification::High | Classification::Low => (true, false),
        Classification::Nodata => (false, false),
        Classification::Pass => (false, true),
    };
    let word: Value = judged.classification.name().into();
    Reading {
        fails,
        passes,
        extra: vec![
            ("classification", word),
            ("lower", json!(judged.shift.map(|shift| shift.lower))),
            ("upper", json!(judged.shift.map(|shift| shift.upper))),
            ("estimate", json!(judged.shift.map(|shift| shift.estimate))),
        ],
        ..Reading::default()
    }
}
