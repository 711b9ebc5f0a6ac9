//! A candidate whose answers drift away from those of stable, though none of them fails.

use serde_json::Value;

use crate::sandbox::{Sandbox, config, looks_are_disjoint_and_within_their_step, world};

const DRIFTING: &str = r#"{ mean = 0.3, sd = 0.15, drift_per_hour = 1.0 }"#;

/// What a rollout comes to when the candidate's scores are these and stable's have the mean 0.3.
fn ended(score: &str, gate: &str) -> (i32, Value) {
    let alike = r#"error_rate = 0.002, latency = { median = "80ms", p95 = "160ms" }"#;
    let candidate = format!("{{ {alike}, score = {score} }}");
    let stable = format!("2 = {{ {alike}, score = {{ mean = 0.3, sd = 0.15 }} }}");
    let world = world(&candidate, "0s").replace(&format!("2 = {{ {alike} }}"), &stable);
    assert!(world.contains(&stable), "{world}");
    let sandbox = Sandbox::start(&["--speed", "600"], &world);
    let gate = format!(
        r#"{}
        [[services.fraud.gates]]
        name = "score"
        scores = 'model_score_bucket{{service="fraud",version="{{{{revision}}}}"}}'
        {gate}
        "#,
        config("30s", "")
    );
    sandbox.write("mlroll.toml", &gate);
    let ended = sandbox.run(&["rollout"]);
    looks_are_disjoint_and_within_their_step(&sandbox);
    let (code, verified) = sandbox.run(&["explain", "--verify"]);
    assert_eq!(code, 0, "{verified}");
    ended
}

fn finding(outcome: &Value) -> &Value {
    outcome["findings"].as_array().unwrap().iter().find(|finding| finding["gate"] == "score").unwrap()
}

#[test]
fn scores_that_stay_are_promoted_and_those_that_drift_go_back() {
    let index = "max_psi = 0.2";
    let tails = "max_increase = { ratio = 1.5, abs = \"2%\" }";
    let cases = [
        ("{ mean = 0.3, sd = 0.15 }", index, 0),
        ("{ mean = 0.45, sd = 0.15 }", index, 1),
        (DRIFTING, index, 1),
        ("{ mean = 0.3, sd = 0.15 }", tails, 0),
        ("{ mean = 0.2, sd = 0.15 }", tails, 1),
    ];
    let runs = std::thread::scope(|scope| {
        cases.map(|(score, gate, _)| scope.spawn(move || ended(score, gate))).map(|run| run.join().unwrap())
    });
    for ((score, gate, expected), (code, outcome)) in cases.into_iter().zip(runs) {
        let name = if expected == 0 { "promoted" } else { "rolled_back" };
        assert_eq!((code, &outcome["outcome"]), (expected, &Value::from(name)), "{score} {gate}: {outcome}");
        let finding = finding(&outcome);
        assert_eq!(finding["verdict"] == "fail", expected == 1, "{score} {gate}: {finding}");
        if gate == index {
            let reason = finding["reason"].as_str().unwrap();
            assert!(
                reason.starts_with("population stability index ") && reason.ends_with("allowed is 0.2"),
                "{reason}"
            );
            let ends = [&finding["interval"]["lower"], &finding["interval"]["upper"]].map(|end| end.as_f64().unwrap());
            assert!(if expected == 1 { ends[0] > 0.2 } else { ends[1] < 0.2 }, "{finding}");
        }
    }
}

#[test]
fn a_store_without_scores_is_said_before_any_traffic_moves() {
    let world = world(r#"{ error_rate = 0.002, latency = { median = "80ms", p95 = "160ms" } }"#, "0s");
    let sandbox = Sandbox::start(&["--speed", "600"], &world);
    let gate =
        "[[services.fraud.gates]]\nname = \"score\"\nscores = 'sum(x{version=\"{{revision}}\"})'\nmax_psi = 0.2\n";
    sandbox.write("mlroll.toml", &format!("{}{gate}", config("30s", "")));
    let (code, document) = sandbox.run(&["rollout"]);
    assert_eq!(code, 2, "{document}");
    assert!(document["error"]["message"].as_str().unwrap().contains("is not a selector"), "{document}");
    assert!(sandbox.alias()["RoutingConfig"]["AdditionalVersionWeights"].get("3").is_none());
}
