//! Gates judged together.

mod properties;
mod ranks;

use mlroll_backend::{ErrorKind, Histogram, Sample, Why};
use proptest::prelude::*;

use super::*;
use crate::judge::interval::Interval;

const RISK: Risk = Risk { alpha: 0.01, beta: 0.05, horizon: 120, step_looks: 60, steps: 2 };

fn gate(json: &str) -> Gate {
    serde_json::from_str(json).unwrap()
}

fn panel(gates: &[&str]) -> Panel {
    let gates = gates.iter().map(|g| (gate(g), Prelude::with_effect(DesignEffect::NONE))).collect();
    let mut panel = Panel::guarding(gates, RISK).unwrap();
    panel.begin(0.1);
    panel
}

const ERRORS: &str =
    r#"{"metric": "error_rate", "max_increase": {"ratio": 1.5, "abs": "0.1%"}, "fail": {"ratio": 1.0}}"#;
const LIMIT: &str = r#"{"metric": "error_rate", "max": "1%"}"#;
const SLOW: &str = r#"{"metric": "latency", "quantile": 0.95, "max": "300ms"}"#;
const CARBON: &str = r#"{"name": "carbon", "query": "q", "max": 12.0, "advisory": true}"#;

const MEMORY: &str = r#"{"metric": "memory_headroom", "min": "20%"}"#;
const ALARMS: &str = r#"{"alarms": ["slow", "errors"]}"#;

fn counts(candidate: (f64, f64), stable: (f64, f64)) -> Evidence {
    Evidence { candidate: Sample::counts(candidate.0, candidate.1), stable: Sample::counts(stable.0, stable.1) }
}

fn nothing(why: &Why) -> Evidence {
    Evidence { candidate: Sample::NoData(why.clone()), stable: Sample::NoData(why.clone()) }
}

fn values(candidate: f64, stable: f64) -> Evidence {
    Evidence { candidate: Sample::value(candidate), stable: Sample::value(stable) }
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
fn what_is_turned_away_is_told_and_not_judged() {
    let (mut with, mut without) = (panel(&[ERRORS]), panel(&[ERRORS]));
    let plain = counts((300.0, 3.0), (2700.0, 27.0));
    let told = Evidence { candidate: plain.candidate.clone().beside_throttled(100.0), ..plain.clone() };
    for _ in 0..9 {
        assert_eq!(with.look(std::slice::from_ref(&told)), without.look(std::slice::from_ref(&plain)));
    }
    let resumed: Panel = serde_json::from_str(&serde_json::to_string(&with).unwrap()).unwrap();
    assert_eq!(resumed, with);
    let (with, without) = (with.findings().remove(0), without.findings().remove(0));
    let throttled = Throttled { candidate: 900.0, candidate_share: 0.25, stable: 0.0, stable_share: 0.0 };
    assert_eq!((with.throttled, with.ln_e_fail, with.verdict), (Some(throttled), without.ln_e_fail, without.verdict));
    assert!(with.reason.ends_with("; turned away (429) besides: candidate 900, stable 0"), "{}", with.reason);
    assert!(with.warning().unwrap().contains("25.0 % of the candidate's requests and 0.0 % of stable's"));
    assert_eq!((without.throttled, without.warning()), (None, None));
    // One in a hundred is worth a word, one in a thousand only the number.
    let of = |throttled: f64| {
        let mut panel = panel(&[ERRORS]);
        panel.look(&[Evidence { candidate: Sample::counts(999.0, 0.0).beside_throttled(throttled), ..plain.clone() }]);
        panel.findings().remove(0)
    };
    assert!(of(1.0).throttled.is_some() && of(1.0).warning().is_none() && of(20.0).warning().is_some());
    // A candidate that answers less than half of its share is starved, whoever turned the others away.
    let mut starving = panel(&[ERRORS]);
    let away = Evidence { candidate: Sample::counts(30.0, 0.0).beside_throttled(270.0), ..plain };
    assert!((0..20).any(|_| starving.look(std::slice::from_ref(&away)) == Ruling::Starved));
}

/// A part of the traffic: its name, and requests and events of candidate and stable.
type Part<'a> = (&'a str, (f64, f64), (f64, f64));

fn parts(parts: &[Part<'_>]) -> Evidence {
    let of = |side: fn(&Part<'_>) -> (f64, f64)| {
        let counted = parts.iter().map(|part| (part.0.to_owned(), side(part))).filter(|(_, counts)| counts.0 > 0.0);
        Sample::Strata(counted.map(|(name, (requests, events))| (name, Sample::counts(requests, events))).collect())
    };
    Evidence { candidate: of(|part| part.1), stable: of(|part| part.2) }
}

const BY_REGION: &str =
    r#"{"metric": "error_rate", "strata": "region", "fail": {"ratio": 1.0}, "pass": {"ratio": 1.5}}"#;

/// The candidate serves more of the region in which one in twenty fails, and in no region does it fail more often.
#[test]
fn another_mix_of_regions_is_no_regression_where_they_are_told_apart() {
    let look = parts(&[("far", (200.0, 10.0), (200.0, 10.0)), ("near", (100.0, 0.1), (2500.0, 2.5))]);
    let pooled = counts((300.0, 10.1), (2700.0, 12.5));
    let (mut blind, mut told_apart) = (panel(&[ERRORS]), panel(&[BY_REGION]));
    let mut rulings = Vec::new();
    for _ in 0..40 {
        blind.look(std::slice::from_ref(&pooled));
        rulings.push(told_apart.look(std::slice::from_ref(&look)));
    }
    assert_eq!(blind.findings()[0].verdict, Verdict::Fail);
    assert!(!rulings.contains(&Ruling::Fail) && rulings.last() == Some(&Ruling::Pass), "{rulings:?}");
    let finding = &told_apart.findings()[0];
    let Interval { lower, upper } = finding.interval.unwrap();
    assert!(lower < 1.0 && upper.unwrap() > 1.0, "{finding:?}");
    assert!(finding.reason.contains("candidate 3.367 % (404 of 12000)"), "{finding:?}");
    let stored: Panel = serde_json::from_str(&serde_json::to_string(&told_apart).unwrap()).unwrap();
    assert_eq!(stored, told_apart);
}

#[test]
fn a_regression_in_one_region_is_found_and_one_part_is_all() {
    let mut far = panel(&[BY_REGION]);
    let look = parts(&[
        ("far", (100.0, 10.0), (900.0, 9.0)),
        ("near", (200.0, 0.2), (1800.0, 1.8)),
        ("new", (5.0, 0.0), (0.0, 0.0)),
    ]);
    let rulings: Vec<Ruling> = (0..10).map(|_| far.look(std::slice::from_ref(&look))).collect();
    assert_eq!(rulings.last(), Some(&Ruling::Fail), "{rulings:?}");
    let (mut one, mut whole) = (panel(&[BY_REGION]), panel(&[BY_REGION]));
    for _ in 0..5 {
        one.look(&[parts(&[("eu", (300.0, 4.0), (2700.0, 27.0))])]);
        whole.look(&[counts((300.0, 4.0), (2700.0, 27.0))]);
    }
    assert_eq!(one.findings()[0].ln_e_fail, whole.findings()[0].ln_e_fail);
    // What has no label is a part like others.
    let mut unnamed = panel(&[BY_REGION]);
    unnamed.look(&[parts(&[("", (1000.0, 100.0), (9000.0, 90.0)), ("eu", (1000.0, 10.0), (9000.0, 90.0))])]);
    let Interval { lower, .. } = unnamed.findings()[0].interval.unwrap();
    assert!(lower > 1.5, "{lower}");
    // Of a part that tells nothing nothing is known: not that it has no errors.
    let mut silent = panel(&[BY_REGION]);
    let failed = Sample::NoData(Why::Infinite);
    let broken = Sample::Strata([("eu".to_owned(), failed)].into());
    assert_eq!(silent.look(&[Evidence { candidate: broken.clone(), stable: broken }]), Ruling::NoData);
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
    let advisory = Panel::new(vec![(gate(CARBON), Prelude::default())], RISK);
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
    for json in [
        ERRORS,
        LIMIT,
        SLOW,
        MEMORY,
        CONVERSION,
        r#"{"name": "p95", "query": "q", "judge": "sign"}"#,
        r#"{"name": "p95", "query": "q"}"#,
        r#"{"metric": "instance_startup", "max": "30s"}"#,
        r#"{"metric": "pending_requests", "max": 10}"#,
    ] {
        for why in &reasons {
            let mut panel = panel(&[json]);
            // All but decided for a pass; a window without evidence must not tip it.
            for _ in 0..200 {
                assert_eq!(panel.look(&[nothing(why)]), Ruling::NoData, "{json} {why:?}");
            }
        }
    }
}

/// Instances seldom begin: that nobody tells of one is no sign that there were no requests.
#[test]
fn silence_about_instances_hides_no_starvation() {
    let startup = r#"{"metric": "instance_startup", "max": "30s", "advisory": true}"#;
    let mut panel = panel(&[startup, ERRORS]);
    let counted = Evidence { candidate: Sample::counts(20.0, 0.0), stable: Sample::counts(2700.0, 20.0) };
    let looks: Vec<Ruling> = (0..20).map(|_| panel.look(&[nothing(&Why::Empty), counted.clone()])).collect();
    assert!(looks.contains(&Ruling::Starved), "{looks:?}");
}

#[test]
fn gates_that_cannot_be_judged_are_refused() {
    let few = Risk { step_looks: 7, ..RISK };
    for (json, risk, want) in [
        (r#"{"name": "p95", "query": "q", "judge": "mann_whitney"}"#, few, "at least 8 looks"),
        (r#"{"metric": "error_rate", "judge": "kayenta"}"#, RISK, "error_rate is counted"),
        (r#"{"metric": "latency", "quantile": 0.9, "max_increase": {"ratio": 1.1}}"#, RISK, "needs `max`"),
        (r#"{"metric": "error_rate", "max": 0.1, "alpha": 0.02}"#, RISK, "own alphas add up to 0.02"),
        (ALARMS, RISK, "only alarms and instances are critical"),
        (MEMORY, RISK, "only alarms and instances are critical"),
    ] {
        let refused = Panel::new(vec![(gate(json), Prelude::default())], risk).unwrap_err();
        assert!(refused.contains(want), "{refused}");
    }
}

/// Not each test has an E, and that of a t test is two-sided: what is told is what is held against `1 / beta`.
#[test]
fn the_rule_is_told_in_the_words_of_its_test() {
    let ranks = r#"{"name": "p95", "query": "q", "judge": "mann_whitney"}"#;
    let risk = Risk { horizon: 40, step_looks: 20, ..RISK };
    for (shift, word, so_far) in
        [(1.0, Ruling::Pass, "passed at its planned look"), (1.5, Ruling::Fail, "has not passed at a planned look")]
    {
        let mut panel = Panel::new(vec![(gate(ranks), Prelude::default())], risk).unwrap();
        panel.begin(0.1);
        let mut ruling = Ruling::NoData;
        for k in 0..20 {
            let beside = 1.0 + 0.01 * f64::from(k * 7 % 20);
            ruling = panel.look(&[values(shift * (1.0 + 0.01 * f64::from(k)), beside)]);
            if k == 18 {
                let words = panel.deciding(ruling).words;
                assert!(words.contains("`p95` has not passed at a planned look"), "{words}");
            }
        }
        assert_eq!(ruling, word);
        let (finding, words) = (&panel.findings()[0], panel.deciding(Ruling::Pass).words);
        assert!(words.ends_with(&format!("`p95` {so_far}")), "{words}");
        let passed = f64::from(u8::from(word == Ruling::Pass));
        assert_eq!((finding.needed.pass, finding.needed.fail), (passed, 1.0 - passed));
    }
    let mean = r#"{"name": "mean", "query": "q", "judge": "t"}"#;
    for (candidate, verdict) in [(1.0, Verdict::Pass), (3.0, Verdict::Fail)] {
        let mut panel = Panel::new(vec![(gate(mean), Prelude::default())], RISK).unwrap();
        panel.begin(0.1);
        for k in 0..40 {
            panel.look(&[values(candidate + 0.01 * f64::from(k * 7 % 20), 1.0 + 0.01 * f64::from(k * 3 % 20))]);
        }
        let finding = &panel.findings()[0];
        let (way, other) = match verdict {
            Verdict::Pass => (finding.needed.pass, finding.needed.fail),
            Verdict::Fail | Verdict::Inconclusive => (finding.needed.fail, finding.needed.pass),
        };
        assert_eq!((finding.verdict, way, other), (verdict, 1.0, 0.0), "{finding:?}");
        let open = panel.deciding(Ruling::Inconclusive).words;
        assert_eq!(open.contains("`mean` 0 (its mean is on the other side)"), verdict == Verdict::Fail, "{open}");
    }
}

#[test]
fn an_autocorrelated_series_is_judged_in_blocks() {
    let json = r#"{"name": "p95", "query": "q", "judge": "sign"}"#;
    let trending: Vec<Sample> = (0..40).map(|k| Sample::value(1.0 + 0.1 * f64::from((k / 8) % 2))).collect();
    let prelude = Prelude::of(&gate(json), &trending);
    assert!(prelude.in_blocks);
    let jumping: Vec<Sample> = (0..40).map(|k| Sample::value(1.0 + 0.1 * f64::from(k % 2))).collect();
    assert!(!Prelude::of(&gate(json), &jumping).in_blocks);
    let mut panel = Panel::new(vec![(gate(json), prelude)], RISK).unwrap();
    panel.begin(0.5);
    // Nine points of one sign reject at 0.01: 45 windows, and not nine.
    let first = (1..=60).find(|_| panel.look(&[values(2.0, 1.0)]) == Ruling::Fail);
    assert_eq!(first, Some(45));
    assert!(panel.findings()[0].reason.contains("in blocks of 5"));
}

#[test]
fn a_latency_gate_without_a_limit_freezes_it_from_the_history() {
    let json = r#"{"metric": "latency", "quantile": 0.95, "max_increase": {"ratio": 1.5}}"#;
    let history = vec![slow(0.05); 40];
    let prelude = Prelude::of(&gate(json), &history);
    assert_eq!(prelude.threshold.map(|bound| bound.0), Some(0.3));
    let mut panel = Panel::new(vec![(gate(json), prelude)], RISK).unwrap();
    panel.begin(0.5);
    let look = |share| Evidence { candidate: slow(share), stable: slow(0.02) };
    let last = (0..20).map(|_| panel.look(&[look(0.2)])).last();
    assert_eq!(last, Some(Ruling::Fail));
    assert!(panel.findings()[0].reason.starts_with("slower than 300 ms"));
    let interval = panel.findings()[0].interval.unwrap();
    assert!(interval.lower > 5.0 && interval.upper.unwrap() < 20.0, "{interval:?}");
}

#[test]
fn a_shape_gate_sees_a_shift_below_its_quantile() {
    let json = r#"{"metric": "latency", "judge": "shape"}"#;
    // The same share above 300 ms, but far fewer under 100 ms.
    let shape =
        |fast: f64| Sample::Histogram(Histogram::new(vec![(0.1, fast), (0.3, 285.0), (f64::INFINITY, 300.0)]).unwrap());
    for (fast, want) in [(250.0, Ruling::Pass), (200.0, Ruling::Fail)] {
        let mut panel = super::tests::panel(&[json]);
        let look = Evidence { candidate: shape(fast), stable: shape(250.0) };
        let last = (0..60).map(|_| panel.look(std::slice::from_ref(&look))).last();
        assert_eq!(last, Some(want), "{fast}: {:?}", panel.findings());
    }
}

#[test]
fn a_quantile_of_too_few_requests_is_no_evidence() {
    let json = r#"{"metric": "latency", "quantile": 0.9, "judge": "sign"}"#;
    let side = |n: f64, fast: f64| {
        Sample::Histogram(Histogram::new(vec![(0.1, n * fast), (0.3, n), (f64::INFINITY, n)]).unwrap())
    };
    let (mut few, mut enough) = (panel(&[json]), panel(&[json]));
    for k in 0..9 {
        let look = |n: f64| [Evidence { candidate: side(n, 0.2), stable: side(9.0 * n, 0.8) }];
        assert_eq!(few.look(&look(199.0)), Ruling::NoData);
        assert_eq!(enough.look(&look(200.0)), if k < 8 { Ruling::Inconclusive } else { Ruling::Fail });
    }
}

#[test]
fn the_final_look_finds_what_the_ledger_does_not() {
    let with = ERRORS.replace("\"fail\"", "\"final_look\": true, \"fail\"");
    for (json, want) in [(ERRORS, Ruling::Inconclusive), (&with, Ruling::Fail)] {
        let risk = Risk { horizon: 4, step_looks: 4, steps: 1, ..RISK };
        let prelude = Prelude::with_effect(DesignEffect::NONE);
        let mut panel = Panel::new(vec![(gate(json), prelude)], risk).unwrap();
        panel.begin(0.1);
        let last = (0..4).map(|_| panel.look(&[counts((1000.0, 16.0), (9000.0, 90.0))])).last();
        assert_eq!(last, Some(want));
    }
}

#[test]
fn a_gate_with_an_alpha_of_its_own_decides_at_it() {
    let strict = LIMIT.replace("\"1%\"", "\"1%\", \"alpha\": \"0.1%\"");
    let panel = panel(&[&strict, SLOW, ERRORS]);
    let alphas: Vec<f64> = panel.findings().iter().map(|finding| finding.alpha).collect();
    assert!(alphas.iter().zip([0.001, 0.0045, 0.0045]).all(|(got, want)| (got - want).abs() < 1e-12), "{alphas:?}");
}

#[test]
fn advisory_gates_that_changed_are_listed_together() {
    let carbon = r#"{"name": "carbon", "query": "q", "judge": "sign", "advisory": true}"#;
    let mut panel = panel(&[LIMIT, carbon, carbon]);
    for _ in 0..12 {
        panel.look(&[counts((300.0, 0.0), (2700.0, 0.0)), values(2.0, 1.0), values(1.0, 1.0)]);
    }
    let changed: Vec<bool> = panel.findings().iter().map(|finding| finding.changed).collect();
    assert_eq!(changed, [false, true, false]);
}

/// What has no E to be weighed is no reason to ask more of what has one, and says itself when it has changed.
#[test]
fn advisory_gates_without_an_e_weaken_no_other() {
    let carbon = r#"{"name": "carbon", "query": "q", "judge": "sign", "advisory": true}"#;
    let silent = r#"{"metric": "latency", "judge": "shape", "advisory": true}"#;
    let ranks = r#"{"name": "ranks", "query": "q", "judge": "kayenta", "advisory": true}"#;
    let alarms = r#"{"alarms": ["slow"], "advisory": true}"#;
    let drift = r#"{"name": "drift", "scores": "s", "max_psi": 0.1, "advisory": true}"#;
    for open in [0.0, 1.0] {
        let (mut alone, mut beside) = (panel(&[LIMIT, carbon]), panel(&[LIMIT, carbon, silent, ranks, alarms, drift]));
        for n in 1..=20 {
            let (fine, carbon) = (counts((300.0, 0.0), (2700.0, 0.0)), values(2.0, 1.0));
            alone.look(&[fine.clone(), carbon.clone()]);
            let none = nothing(&Why::NotANumber);
            beside.look(&[fine, carbon, none.clone(), values(2.0, 1.0), value(open), none]);
            let changed = |panel: &Panel| panel.findings().iter().map(|finding| finding.changed).collect::<Vec<_>>();
            let carbon = changed(&alone)[1];
            assert_eq!(changed(&beside), [false, carbon, false, false, open > 0.0, false], "look {n}");
        }
        assert!(alone.findings()[1].changed);
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

fn value(candidate: f64) -> Evidence {
    Evidence { candidate: Sample::value(candidate), stable: Sample::value(candidate) }
}

#[test]
fn an_open_alarm_fails_at_once_and_quiet_ones_let_others_decide() {
    let fine = || counts((500.0, 0.0), (4500.0, 0.0));
    let mut quiet = panel(&[LIMIT, ALARMS]);
    let rulings: Vec<Ruling> = (0..9).map(|_| quiet.look(&[fine(), value(0.0)])).collect();
    let mut alone = panel(&[LIMIT]);
    let expected: Vec<Ruling> = (0..9).map(|_| alone.look(&[fine()])).collect();
    assert_eq!(rulings, expected, "it takes none of the other gate's alpha, and gives it nothing");
    assert_eq!(rulings.last(), Some(&Ruling::Pass));
    let finding = &quiet.findings()[1];
    assert_eq!((finding.verdict, finding.alpha, finding.needed.pass), (Verdict::Pass, 0.0, 1.0));
    assert_eq!(finding.reason, "`slow`, `errors`: quiet in 9 windows");
    assert!(quiet.deciding(Ruling::Pass).words.ends_with("`alarms` quiet"), "{}", quiet.deciding(Ruling::Pass).words);

    assert_eq!(quiet.look(&[fine(), value(1.0)]), Ruling::Fail);
    assert_eq!(quiet.look(&[fine(), value(0.0)]), Ruling::Fail, "it is not forgotten when it closes");
    let deciding = quiet.deciding(Ruling::Fail);
    assert_eq!(
        (deciding.words.as_str(), deciding.gate.as_deref()),
        ("FAIL: an alarm of `alarms` was open", Some("alarms"))
    );
    assert_eq!(quiet.findings()[1].reason, "`slow`, `errors`: open in 1 of 11 windows");
    let kept: Panel = serde_json::from_str(&serde_json::to_string(&quiet).unwrap()).unwrap();
    assert_eq!(kept, quiet);
}

#[test]
fn alarms_that_cannot_be_read_are_not_quiet() {
    let fine = || counts((500.0, 0.0), (4500.0, 0.0));
    let mut unread = panel(&[LIMIT, ALARMS]);
    for _ in 0..50 {
        assert_eq!(unread.look(&[fine(), nothing(&Why::Empty)]), Ruling::NoData);
    }
    assert_eq!(unread.findings()[1].verdict, Verdict::Inconclusive);
    assert_eq!(unread.findings()[1].reason, "`slow`, `errors`: not read yet");
    // In the step before they were quiet: this one has not been looked at.
    assert_eq!(unread.look(&[fine(), value(0.0)]), Ruling::Pass);
    unread.begin(0.1);
    assert_eq!(unread.look(&[fine(), nothing(&Why::Stale { age_seconds: None })]), Ruling::NoData);
    // Quiet alarms do not stand for requests that nobody made.
    let mut silent = panel(&[LIMIT, ALARMS]);
    for _ in 0..50 {
        assert_eq!(silent.look(&[nothing(&Why::Empty), value(0.0)]), Ruling::NoData);
    }
    let advisory = r#"{"alarms": ["slow"], "advisory": true}"#;
    let mut reported = panel(&[LIMIT, advisory]);
    let last = (0..20).map(|_| reported.look(&[fine(), value(1.0)])).last();
    assert_eq!((last, reported.findings()[1].verdict), (Some(Ruling::Pass), Verdict::Fail));
}

#[test]
fn headroom_passes_above_its_limit_and_fails_below() {
    for (free, ruling) in [(0.5, Ruling::Pass), (0.1, Ruling::Fail), (0.2, Ruling::Inconclusive)] {
        let mut memory = panel(&[MEMORY]);
        let last = (0..12).map(|_| memory.look(&[value(free)])).last();
        assert_eq!(last, Some(ruling), "{free}");
    }
    // Nobody waits: that is a number, and it never varies.
    let mut waiting = panel(&[r#"{"metric": "pending_requests", "max": 5}"#]);
    let rulings: Vec<Ruling> = (0..7).map(|_| waiting.look(&[value(0.0)])).collect();
    assert_eq!(rulings.last(), Some(&Ruling::Pass));
}

const CONVERSION: &str = r#"{"name": "conversion", "requests": "visits", "events": "orders", "better": "higher",
    "fail": {"ratio": 0.95}, "pass": {"ratio": 0.8}}"#;

#[test]
fn lost_conversions_fail_and_fewer_visits_starve_nobody() {
    let look = |orders: f64| counts((300.0, orders), (2700.0, 270.0));
    let mut lost = panel(&[CONVERSION]);
    let rulings: Vec<Ruling> = (0..20).map(|_| lost.look(&[look(10.0)])).collect();
    assert_eq!(rulings.last(), Some(&Ruling::Fail));
    assert!(lost.findings()[0].reason.starts_with("counted: candidate 3.333 %"), "{}", lost.findings()[0].reason);
    let mut kept = panel(&[CONVERSION]);
    let rulings: Vec<Ruling> = (0..60).map(|_| kept.look(&[look(30.0)])).collect();
    assert!(!rulings.contains(&Ruling::Fail) && rulings.last() == Some(&Ruling::Pass), "{rulings:?}");
    let mut few = panel(&[CONVERSION]);
    for _ in 0..50 {
        assert_eq!(few.look(&[counts((0.0, 0.0), (2700.0, 270.0))]), Ruling::NoData);
        assert_ne!(few.look(&[counts((3.0, 1.0), (2700.0, 270.0))]), Ruling::Starved);
    }
}
