//! Gates that compare the values of a step when it ends: ranks, and Kayenta's words and score.

use super::*;

/// Runs one step of 20 looks out of 40 with candidates `shift` times as slow.
fn planned(json: &str, shift: f64) -> Vec<Ruling> {
    let risk = Risk { horizon: 40, step_looks: 20, ..RISK };
    let mut panel = Panel::new(vec![(gate(json), Prelude::default())], risk).unwrap();
    panel.begin(0.5);
    (0..20)
        .map(|k| panel.look(&[values(shift * (1.0 + 0.01 * f64::from(k)), 1.0 + 0.01 * f64::from(k * 7 % 20))]))
        .collect()
}

#[test]
fn rank_tests_decide_at_the_end_of_a_step_and_not_before() {
    for judge in ["mann_whitney", "kayenta"] {
        let json = format!(r#"{{"name": "p95", "query": "q", "judge": "{judge}"}}"#);
        for (shift, want) in [(1.0, Ruling::Pass), (1.5, Ruling::Fail)] {
            let rulings = planned(&json, shift);
            assert!(rulings[..19].iter().all(|ruling| *ruling == Ruling::Inconclusive), "{judge}: {rulings:?}");
            assert_eq!(rulings[19], want, "{judge}");
        }
    }
}

/// The last ruling of one step in which the first of three metrics is worse, and what was said of each.
fn scored(scoring: Option<Scoring>, first: &str) -> Result<(Ruling, Vec<Finding>, Panel), String> {
    let gate_of = |name: &str, more: &str| {
        gate(&format!(
            r#"{{"name": "{name}", "query": "q", "judge": "kayenta", "kayenta": {{"direction": "increase"{more}}}}}"#
        ))
    };
    let gates = [gate_of("p95", first), gate_of("errors", ""), gate_of("carbon", "")];
    let risk = Risk { horizon: 40, step_looks: 20, ..RISK };
    let gates = gates.into_iter().map(|gate| (gate, Prelude::default())).collect();
    let mut panel = Panel::new(gates, risk)?.scored(scoring)?;
    panel.begin(0.5);
    let rulings: Vec<Ruling> = (0..20)
        .map(|k| {
            let (ours, theirs) = (1.0 + 0.01 * f64::from(k), 1.0 + 0.01 * f64::from(k * 7 % 20));
            panel.look(&[values(2.0 * ours, theirs), values(ours, theirs), values(ours, theirs)])
        })
        .collect();
    assert!(rulings[..19].iter().all(|ruling| *ruling == Ruling::Inconclusive), "{rulings:?}");
    Ok((rulings[19], panel.findings(), panel))
}

#[test]
fn kayentas_score_decides_in_place_of_single_words() {
    let score = |pass: f64, marginal: f64, weights: &[(&str, f64)]| {
        let weights = weights.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect();
        Some(Scoring { pass, marginal, weights })
    };
    let latency = r#", "group": "latency""#;
    let critical = r#", "group": "latency", "critical": true, "effect_size": {"critical_increase": 1.5}"#;
    let hardly = r#", "group": "latency", "critical": true, "effect_size": {"critical_increase": 2.5}"#;
    for (first, scoring, ruling, said) in [
        // Without a score each decides.
        ("", None, Ruling::Fail, ""),
        // Two of three; then a half, in two groups of the same weight; then four parts of five.
        ("", score(60.0, 50.0, &[]), Ruling::Pass, "; score 66.7, marginal 50, pass 60"),
        (latency, score(95.0, 40.0, &[]), Ruling::Inconclusive, "; score 50.0, marginal 40, pass 95"),
        (latency, score(80.0, 75.0, &[("latency", 20.0)]), Ruling::Pass, "; score 80.0, marginal 75, pass 80"),
        (latency, score(95.0, 85.0, &[("latency", 20.0)]), Ruling::Fail, "; score 80.0, marginal 85, pass 95"),
        // A critical one that is beyond what is critical is all.
        (critical, score(80.0, 75.0, &[("latency", 20.0)]), Ruling::Fail, "; score 0.0, marginal 75, pass 80"),
        (hardly, score(80.0, 75.0, &[("latency", 20.0)]), Ruling::Pass, "; score 80.0, marginal 75, pass 80"),
    ] {
        let is_scored = scoring.is_some();
        let (found, findings, panel) = scored(scoring, first).unwrap();
        assert_eq!(found, ruling, "{first} {said}");
        let reason = &findings[0].reason;
        assert!(reason.contains("; Kayenta says High (effect 2.000)") && reason.ends_with(said), "{reason}");
        assert!(findings[1].reason.contains("; Kayenta says Pass"), "{}", findings[1].reason);
        let words = panel.deciding(ruling).words;
        assert_eq!(words.contains("Kayenta's score") || words.contains("in Kayenta's"), is_scored, "{words}");
        let resumed: Panel = serde_json::from_str(&serde_json::to_string(&panel).unwrap()).unwrap();
        assert_eq!(resumed, panel);
    }
    for (first, scoring, why) in [
        (latency, None, "give the service kayenta"),
        (critical, None, "give the service kayenta"),
        ("", score(101.0, 75.0, &[]), "marginal <= pass"),
        ("", score(50.0, 75.0, &[]), "marginal <= pass"),
        (latency, score(95.0, 75.0, &[("latncy", 20.0)]), "no gate is of group `latncy`"),
        (latency, score(95.0, 75.0, &[("latency", 120.0)]), "100 together"),
    ] {
        assert!(scored(scoring, first).unwrap_err().contains(why), "{why}");
    }
    let nothing = Panel::new(vec![(gate(ERRORS), Prelude::default())], RISK).unwrap().scored(score(95.0, 75.0, &[]));
    assert!(nothing.unwrap_err().contains("nothing to score"));
}

#[test]
fn kayenta_fills_in_for_stable_and_never_for_the_candidate() {
    let json = r#"{"name": "errors", "query": "q", "judge": "kayenta", "kayenta": {"nan_strategy": "replace"}}"#;
    let risk = Risk { horizon: 40, step_looks: 9, ..RISK };
    let end = |evidence: fn(f64) -> Evidence| {
        let mut panel = Panel::new(vec![(gate(json), Prelude::default())], risk).unwrap();
        panel.begin(0.5);
        (0..9).map(|k| panel.look(&[evidence(f64::from(k) * 0.01)])).collect::<Vec<_>>().pop().unwrap()
    };
    let empty = || Sample::NoData(Why::Empty);
    assert_eq!(
        end(|k| Evidence { candidate: Sample::value(1.0 + k), stable: Sample::NoData(Why::Empty) }),
        Ruling::Fail
    );
    assert_eq!(
        end(|k| Evidence { candidate: Sample::NoData(Why::Empty), stable: Sample::value(1.0 + k) }),
        Ruling::NoData
    );
    let mut panel = Panel::new(vec![(gate(json), Prelude::default())], risk).unwrap();
    panel.begin(0.5);
    assert_eq!(panel.look(&[Evidence { candidate: empty(), stable: empty() }]), Ruling::NoData);
}

#[test]
fn a_pass_of_ranks_is_not_kept_for_the_next_step_but_a_fail_is() {
    let json = r#"{"name": "p95", "query": "q", "judge": "mann_whitney"}"#;
    for (candidate, want) in [(0.5, Ruling::Inconclusive), (2.0, Ruling::Fail)] {
        let risk = Risk { horizon: 20, step_looks: 10, ..RISK };
        let mut panel = Panel::new(vec![(gate(json), Prelude::default())], risk).unwrap();
        panel.begin(0.1);
        for k in 0..10 {
            panel.look(&[values(candidate + 0.01 * f64::from(k), 1.0 + 0.01 * f64::from(k))]);
        }
        panel.begin(0.5);
        assert_eq!(panel.look(&[values(1.0, 1.0)]), want);
    }
}
