//! A canary config of Kayenta's, moved over: its settings of each metric, and its score.

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

const FRAUD: &str = "lambda:us-east-1/fraud@prod";

/// A rollout to a candidate that takes twice as long and fails no more often.
fn ended(score: &str, latency: &str) -> (Sandbox, i32, Value) {
    let world = format!(
        r#"
        seed = 7
        start = "2026-11-21T03:00:00Z"
        [targets."{FRAUD}"]
        requests_per_second = 200
        stable = "2"
        [targets."{FRAUD}".revisions]
        2 = {{ error_rate = 0.1 }}
        3 = {{ error_rate = 0.1, latency = {{ median = "160ms", p95 = "400ms" }} }}
        "#
    );
    let sandbox = Sandbox::start(&["--speed", "600"], &world);
    let labels = r#"service="fraud",version="{{revision}}""#;
    let config = format!(
        r#"
        [services.fraud]
        target = "{FRAUD}"
        steps = ["50%", "100%"]
        bake = "45m"
        on_inconclusive = "hold"
        {score}
        [services.fraud.metrics]
        source = "prometheus"
        url = "{{url}}"
        settle_delay = "30s"
        [[services.fraud.gates]]
        name = "mean latency"
        query = 'sum(rate(http_request_duration_seconds_sum{{{labels}}}[{{{{window}}}}])) / sum(rate(http_request_duration_seconds_count{{{labels}}}[{{{{window}}}}]))'
        judge = "kayenta"
        kayenta = {{ direction = "increase", group = "latency"{latency} }}
        [[services.fraud.gates]]
        name = "errors"
        query = 'sum(rate(http_requests_total{{{labels},code="500"}}[{{{{window}}}}])) / sum(rate(http_requests_total{{{labels}}}[{{{{window}}}}]))'
        judge = "kayenta"
        kayenta = {{ direction = "increase", group = "errors", outliers = "remove", effect_size = {{ allowed_increase = 1.5 }} }}
        "#
    );
    sandbox.write("mlroll.toml", &config);
    let (code, document) = sandbox.run(&["rollout"]);
    (sandbox, code, document)
}

#[test]
fn the_score_decides_as_it_did() {
    let weighed = |pass: u32, marginal: u32| {
        format!("kayenta = {{ pass = {pass}, marginal = {marginal}, weights = {{ latency = 20 }} }}")
    };
    for (score, latency, code, outcome, said) in [
        (weighed(95, 75), "", 3, "held", "score 80.0, marginal 75, pass 95"),
        (weighed(80, 75), "", 0, "promoted", "score 80.0, marginal 75, pass 80"),
        (weighed(95, 85), "", 1, "rolled_back", "score 80.0, marginal 85, pass 95"),
        (weighed(80, 75), ", critical = true", 1, "rolled_back", "score 0.0, marginal 75, pass 80"),
        (
            weighed(80, 75),
            ", effect_size = { allowed_increase = 3.0 }",
            0,
            "promoted",
            "score 100.0, marginal 75, pass 80",
        ),
    ] {
        let (sandbox, got, document) = ended(&score, latency);
        assert_eq!((got, &document["outcome"]), (code, &json!(outcome)), "{score}{latency}: {document}");
        let findings = document["findings"].as_array().unwrap();
        for finding in findings {
            assert!(finding["reason"].as_str().unwrap().ends_with(said), "{finding}");
        }
        let (_, explained) = sandbox.run(&["explain"]);
        assert_eq!(explained["run"]["plan"]["score"]["weights"], json!({ "latency": 20.0 }), "{explained}");
        let (verified, document) = sandbox.run(&["explain", "--verify"]);
        assert_eq!(verified, 0, "{document}");
    }
}

#[test]
fn groups_without_a_score_are_refused_before_traffic_moves() {
    let (_, code, document) = ended("", "");
    let said = document["error"]["message"].as_str().unwrap();
    assert!(
        code == 2 && said.contains("gate `mean latency`: kayenta: group and critical are about a score"),
        "{document}"
    );
}
