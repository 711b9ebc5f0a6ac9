//! Rollouts of hours on Azure ML in scaled time, of which all that is known are Azure Monitor's averages of minutes.

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, looks_are_disjoint_and_within_their_step};

const FRAUD: &str = "azure-ml:00000000-0000-0000-0000-000000000000/ml/prod/fraud";

const HEALTHY: &str = r#"{ error_rate = 0.002, latency = { median = "80ms", p95 = "160ms" } }"#;
/// What fails is a model: Azure answers 424, and nothing of 5xx.
const FAILING: &str = r#"{ error_rate = 0.05, latency = { median = "80ms", p95 = "160ms" } }"#;
const SLOW: &str = r#"{ error_rate = 0.002, latency = { median = "250ms", p95 = "600ms" } }"#;

/// As good as stable, for the few whose requests reach it.
const STARVED: &str = r#"{ error_rate = 0.002, lost = "70%" }"#;
/// Nobody's do: Azure Monitor has no series of it at all.
const FORGOTTEN: &str = r#"{ lost = "100%" }"#;

const AVERAGED: &str = "an average of percentiles by the minute, and no percentile of the window";

/// How a rollout ended, and what its gates said.
#[derive(Debug, PartialEq)]
struct Verdict {
    code: i32,
    outcome: String,
    kind: Option<String>,
    failed: Vec<String>,
    split: Value,
}

/// A request counts `late` after it was made, and minutes are read `settle` after their end.
fn stage(candidate: &str, requests_per_second: u32, (late, settle): (&str, &str)) -> Sandbox {
    let world = format!(
        r#"
        seed = 7
        start = "2026-11-21T03:00:07Z"
        [azure_monitor]
        delay = "{late}"
        [targets."{FRAUD}"]
        requests_per_second = {requests_per_second}
        stable = "blue"
        [targets."{FRAUD}".revisions]
        blue = {HEALTHY}
        green = {candidate}
        "#
    );
    let sandbox = Sandbox::start(&["--speed", "1800"], &world);
    let config = format!(
        r#"
        [services.fraud]
        target = "{FRAUD}"
        steps = ["10%", "50%", "100%"]
        bake = "1h"
        min_bake = "1h"
        # The clocks of both processes may be a tenth of a second apart on a busy machine, which are minutes here.
        warm_up = "5m"
        look = "60s"
        on_inconclusive = "hold"
        [services.fraud.metrics]
        source = "azure-monitor"
        settle_delay = "{settle}"
        [[services.fraud.gates]]
        metric = "error_rate"
        max_increase = {{ ratio = 1.5, abs = "0.2%" }}
        [[services.fraud.gates]]
        name = "p95"
        query = "metricnames=RequestLatency_P95&$filter=deployment eq '{{{{revision}}}}'"
        unit = "ms"
        max = 300
        "#
    );
    sandbox.write("mlroll.toml", &config);
    sandbox
}

/// Runs a rollout to its end.
fn ended(candidate: &str, requests_per_second: u32, late: (&str, &str)) -> Verdict {
    let sandbox = stage(candidate, requests_per_second, late);
    let (code, document) = sandbox.run(&["rollout"]);
    if requests_per_second > 0 {
        looks_are_disjoint_and_within_their_step(&sandbox);
    }
    for finding in document["findings"].as_array().unwrap() {
        // Azure's percentiles are told as the averages that they are; what is counted is counted.
        let is_percentile = finding["gate"] == "p95";
        assert_eq!(finding["caveat"] == "averaged_percentiles", is_percentile, "{finding}");
        assert_eq!(finding["reason"].as_str().unwrap().contains(AVERAGED), is_percentile, "{finding}");
    }
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let failed = document["findings"].as_array().unwrap().iter().filter(|finding| finding["verdict"] == "fail");
    Verdict {
        code,
        outcome: text(&document["outcome"]).unwrap(),
        kind: text(&document["error"]["kind"]),
        failed: failed.filter_map(|finding| text(&finding["gate"])).collect(),
        split: document["targets"][0]["after"].clone(),
    }
}

#[test]
fn a_percentile_is_planned_as_the_average_that_it_is() {
    let (code, plan) = stage(HEALTHY, 100, ("60s", "auto")).run(&["plan"]);
    assert_eq!((code, &plan["gates"][0]["caveat"]), (0, &Value::Null), "{plan}");
    assert_eq!(plan["gates"][1]["caveat"], "averaged_percentiles", "{plan}");
    assert!(plan["notes"].to_string().contains(&format!("what `p95` judges is {AVERAGED}")), "{plan}");
}

#[test]
fn the_delay_of_azure_monitor_changes_no_verdict() {
    let all = |revision: &str| json!([{ "revision": revision, "percent": 100.0 }]);
    let tenth = json!([{ "revision": "blue", "percent": 90.0 }, { "revision": "green", "percent": 10.0 }]);
    for (candidate, requests, code, outcome, kind, failed, split) in [
        (HEALTHY, 100, 0, "promoted", None, vec![], all("green")),
        (FAILING, 100, 1, "rolled_back", Some("gate_failed"), vec!["error_rate"], all("blue")),
        (SLOW, 100, 1, "rolled_back", Some("gate_failed"), vec!["p95"], all("blue")),
        (STARVED, 100, 1, "rolled_back", Some("starved"), vec![], all("blue")),
        (FORGOTTEN, 100, 1, "rolled_back", Some("starved"), vec![], all("blue")),
        (HEALTHY, 0, 3, "held", Some("no_data"), vec![], tenth),
    ] {
        let expected = Verdict {
            code,
            outcome: outcome.to_owned(),
            kind: kind.map(str::to_owned),
            failed: failed.into_iter().map(str::to_owned).collect(),
            split,
        };
        // Nothing is late; as late as Azure says that it may be; and as late as that is when it is at its worst.
        let runs = std::thread::scope(|scope| {
            [("0s", "60s"), ("60s", "auto"), ("180s", "240s")]
                .map(|late| scope.spawn(move || ended(candidate, requests, late)))
                .map(|run| run.join().unwrap())
        });
        for verdict in runs {
            assert_eq!(verdict, expected);
        }
    }
}
