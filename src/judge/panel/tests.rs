//! Gates judged together.

use mlroll_backend::{ErrorKind, Histogram, Sample, Why};
use proptest::prelude::*;

use super::*;

const RISK: Risk = Risk { alpha: 0.01, beta: 0.05, horizon: 120 };

fn gate(json: &str) -> Gate {
    serde_json::from_str(json).unwrap()
}

fn panel(gates: &[&str]) -> Panel {
    let mut panel = Panel::new(gates.iter().map(|g| (gate(g), Some(DesignEffect::NONE))).collect(), RISK).unwrap();
    panel.begin(0.1);
    panel
}

const ERRORS: &str =
    r#"{"metric": "error_rate", "max_increase": {"ratio": 1.5, "abs": "0.1%"}, "fail": {"ratio": 1.0}}"#;
const LIMIT: &str = r#"{"metric": "error_rate", "max": "1%"}"#;
const SLOW: &str = r#"{"metric": "latency", "quantile": 0.95, "max": "300ms"}"#;
const CARBON: &str = r#"{"name": "carbon", "query": "q", "max": 12.0, "advisory": true}"#;

fn counts(candidate: (f64, f64), stable: (f64, f64)) -> Evidence {
    Evidence { candidate: Sample::counts(candidate.0, candidate.1), stable: Sample::counts(stable.0, stable.1) }
}

fn nothing(why: &Why) -> Evidence {
    Evidence { candidate: Sample::NoData(why.clone()), stable: Sample::NoData(why.clone()) }
}

fn slow(share: f64) -> Sample {
    Sample::Histogram(Histogram::new(vec![(0.1, 100.0), (0.3, 300.0 * (1.0 - share)), (f64::INFINITY, 300.0)]).unwrap())
}

#[test]
fn a_bad_candidate_fails_and_a_good_one_passes() {
    let mut bad = panel(&[ERRORS]);
    let rulings: Vec<Ruling> = (0..5).map(|_| bad.look(&[counts((300.0, 15.0), (2700.0, 27.0))])).collect();
    assert_eq!(rulings.last(), Some(&Ruling::Fail));
    assert_eq!(bad.findings()[0].verdict, Verdict::Fail);
    let mut good = panel(&[ERRORS]);
    let rulings: Vec<Ruling> = (0..40).map(|_| good.look(&[counts((300.0, 3.0), (2700.0, 27.0))])).collect();
    assert!(!rulings.contains(&Ruling::Fail) && rulings.last() == Some(&Ruling::Pass), "{rulings:?}");
}

#[test]
fn a_new_step_needs_its_own_pass_but_keeps_what_speaks_against() {
    let mut panel = panel(&[LIMIT]);
    while panel.look(&[counts((500.0, 0.0), (4500.0, 0.0))]) != Ruling::Pass {}
    panel.begin(0.5);
    assert_eq!(panel.look(&[counts((100.0, 0.0), (100.0, 0.0))]), Ruling::Inconclusive);
    let before = panel.findings()[0].ln_e_fail;
    panel.begin(0.6);
    assert!((panel.findings()[0].ln_e_fail - before).abs() < 1e-12);
}

#[test]
fn every_critical_gate_must_pass_and_advisory_ones_decide_nothing() {
    let mut both = panel(&[LIMIT, SLOW, CARBON]);
    let fine = |candidate: f64| {
        let carbon = Evidence { candidate: Sample::value(1e6), stable: Sample::value(1.0) };
        let latency = Evidence { candidate: slow(candidate), stable: slow(0.01) };
        [counts((300.0, 0.0), (2700.0, 0.0)), latency, carbon]
    };
    for _ in 0..5 {
        assert_ne!(both.look(&fine(0.05)), Ruling::Pass);
    }
    let mut both = panel(&[LIMIT, SLOW, CARBON]);
    let last = (0..20).map(|_| both.look(&fine(0.0))).last();
    assert_eq!(last, Some(Ruling::Pass));
    let mut slow_one = panel(&[LIMIT, SLOW, CARBON]);
    let last = (0..20).map(|_| slow_one.look(&fine(0.3))).last();
    assert_eq!(last, Some(Ruling::Fail));
    let advisory = Panel::new(vec![(gate(CARBON), None)], RISK);
    assert!(advisory.unwrap_err().contains("no gate is critical"));
}

#[test]
fn silence_of_the_candidate_alone_is_starvation_and_of_both_is_nothing() {
    let mut panel = panel(&[ERRORS]);
    let silent = Evidence { candidate: Sample::NoData(Why::Empty), stable: Sample::counts(2700.0, 20.0) };
    assert_eq!(panel.look(&[silent]), Ruling::Starved);
    let mut panel = super::tests::panel(&[ERRORS]);
    for _ in 0..100 {
        assert_eq!(panel.look(&[nothing(&Why::Empty)]), Ruling::NoData);
        assert_eq!(panel.look(&[counts((0.0, 0.0), (0.0, 0.0))]), Ruling::NoData);
    }
}

#[test]
fn no_evidence_is_never_a_pass_nor_a_fail() {
    let reasons = [
        Why::Empty,
        Why::Failed { kind: ErrorKind::Auth, message: String::new() },
        Why::Inconsistent { found: String::new() },
        Why::Infinite,
        Why::NotANumber,
        Why::Partial { warning: String::new() },
        Why::SeveralSeries { count: 2 },
        Why::Stale { age_seconds: None },
    ];
    for json in
        [ERRORS, LIMIT, SLOW, r#"{"name": "p95", "query": "q", "judge": "sign"}"#, r#"{"name": "p95", "query": "q"}"#]
    {
        for why in &reasons {
            let mut panel = panel(&[json]);
            // All but decided for a pass; a window without evidence must not tip it.
            for _ in 0..200 {
                assert_eq!(panel.look(&[nothing(why)]), Ruling::NoData, "{json} {why:?}");
            }
        }
    }
}

#[test]
fn gates_that_only_planned_looks_can_judge_are_refused() {
    for json in [
        r#"{"name": "p95", "query": "q", "judge": "mann_whitney"}"#,
        r#"{"name": "p95", "query": "q", "judge": "kayenta"}"#,
    ] {
        assert!(Panel::new(vec![(gate(json), None)], RISK).unwrap_err().contains("allowed are sign and t"));
    }
}

/// 1 - 0.95 is no short decimal: read back to the nearest but one float, it is another limit.
#[test]
fn a_limit_that_is_no_short_decimal_is_stored_exactly() {
    let whole = panel(&[SLOW]);
    let stored: Panel = serde_json::from_str(&serde_json::to_string(&whole).unwrap()).unwrap();
    assert_eq!(whole, stored);
}

fn evidence() -> impl Strategy<Value = Evidence> {
    let sample = || {
        prop_oneof![
            (0.0..1e4, 0.0..1e4).prop_map(|(a, b): (f64, f64)| Sample::counts(a.max(b), a.min(b))),
            (-1e6..1e6).prop_map(Sample::value),
            Just(Sample::NoData(Why::Empty)),
            Just(Sample::NoData(Why::NotANumber)),
            (0.0..1.0).prop_map(slow),
        ]
    };
    (sample(), sample()).prop_map(|(candidate, stable)| Evidence { candidate, stable })
}

proptest! {
    #[test]
    fn a_panel_that_was_stored_rules_as_the_one_that_was_not(
        looks in prop::collection::vec((evidence(), evidence(), evidence()), 1..30), at in 0_usize..30,
    ) {
        let mut whole = panel(&[ERRORS, SLOW, CARBON]);
        let mut stored = whole.clone();
        for (n, (a, b, c)) in looks.iter().enumerate() {
            if n == at {
                stored = serde_json::from_str(&serde_json::to_string(&stored).unwrap()).unwrap();
            }
            let look = [a.clone(), b.clone(), c.clone()];
            prop_assert_eq!(whole.look(&look), stored.look(&look));
        }
        prop_assert_eq!(&whole, &stored);
        for finding in whole.findings() {
            prop_assert!(finding.ln_e_fail.is_finite() && finding.ln_e_pass.is_finite());
        }
    }
}
