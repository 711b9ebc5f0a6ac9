//! Rollouts on Azure ML judged by the traffic log in Log Analytics: hours in scaled time, on exact counts.

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, looks_are_disjoint_and_within_their_step};

const FRAUD: &str = "azure-ml:00000000-0000-0000-0000-000000000000/ml/prod/fraud";
const WORKSPACE: &str = "00000000-0000-0000-0000-00000000000a";

const HEALTHY: &str = r#"{ error_rate = 0.002, latency = { median = "80ms", p95 = "160ms" } }"#;
/// What fails is a model: Azure answers 424, and nothing of 5xx.
const FAILING: &str = r#"{ error_rate = 0.05, latency = { median = "80ms", p95 = "160ms" } }"#;
/// Seven of a hundred requests take longer than 300 ms, where five may: no average of percentiles would be sure of it.
const SLOW: &str = r#"{ error_rate = 0.002, latency = { median = "80ms", p95 = "350ms" } }"#;
const STARVED: &str = r#"{ error_rate = 0.002, lost = "70%" }"#;

/// A sandbox whose users ask so often, and a file whose `logs` are read `settle` after their time.
fn stage(candidate: &str, requests_per_second: u32, logs: &str, (late, settle): (&str, &str)) -> Sandbox {
    let world = format!(
        r#"
        seed = 7
        start = "2026-11-21T03:00:07Z"
        [azure_logs]
        {late}
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
        look = "60s"
        on_inconclusive = "hold"
        [services.fraud.metrics]
        source = "azure-monitor"
        logs = {logs}
        settle_delay = "{settle}"
        [[services.fraud.gates]]
        metric = "error_rate"
        max_increase = {{ ratio = 1.5, abs = "0.2%" }}
        [[services.fraud.gates]]
        metric = "latency"
        quantile = 0.95
        max = "300ms"
        "#
    );
    sandbox.write("mlroll.toml", &config);
    sandbox
}

fn requests(sandbox: &Sandbox) -> Vec<Value> {
    serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap()
}

fn failed(document: &Value) -> Vec<&str> {
    let findings = document["findings"].as_array().unwrap().iter();
    findings.filter(|f| f["verdict"] == "fail").map(|f| f["gate"].as_str().unwrap()).collect()
}

#[test]
fn exact_counts_take_back_the_slow_and_promote_the_healthy() {
    let all = |revision: &str| json!([{ "revision": revision, "percent": 100.0 }]);
    let workspace = format!("\"{WORKSPACE}\"");
    for (candidate, code, outcome, kind, gates, split) in [
        (HEALTHY, 0, "promoted", Value::Null, vec![], all("green")),
        (SLOW, 1, "rolled_back", json!("gate_failed"), vec!["latency"], all("blue")),
        (FAILING, 1, "rolled_back", json!("gate_failed"), vec!["error_rate"], all("blue")),
        (STARVED, 1, "rolled_back", json!("starved"), vec![], all("blue")),
    ] {
        // Nothing is late; as late as Azure says that it usually may be, and later than metrics ever are.
        std::thread::scope(|scope| {
            for (logs, late) in [
                ("true", ("delay = \"0s\"", "60s")),
                ("true", ("delay = \"9m\"", "auto")),
                (workspace.as_str(), ("delay = \"5m\"", "auto")),
            ] {
                let (gates, kind, split) = (&gates, &kind, &split);
                scope.spawn(move || {
                    let sandbox = stage(candidate, 100, logs, late);
                    let (got, document) = sandbox.run(&["rollout"]);
                    let told = (got, &document["outcome"], &document["error"]["kind"], failed(&document));
                    assert_eq!(told, (code, &json!(outcome), kind, gates.clone()), "{late:?}: {document}");
                    assert_eq!(&document["targets"][0]["after"], split, "{late:?}");
                    looks_are_disjoint_and_within_their_step(&sandbox);
                    // Nothing was asked of metrics, and the log once for each look, not for each gate and revision, or less often.
                    let log = requests(&sandbox);
                    let of = |api: &str| log.iter().filter(|request| request["api"] == api).count() as u64;
                    let looks = document["findings"][0]["looks"].as_u64().unwrap();
                    assert_eq!(of("azure-monitor"), 0);
                    assert!(of("azure-logs") < 2 * looks + 4, "{} queries for {looks} looks", of("azure-logs"));
                });
            }
        });
    }
}

#[test]
fn without_a_diagnostic_setting_nobody_is_promoted_and_it_says_what_to_type() {
    let typed = format!(
        "az monitor diagnostic-settings create --name mlroll --resource /subscriptions/{}",
        "00000000-0000-0000-0000-000000000000/resourceGroups/ml/providers/Microsoft.MachineLearningServices"
    );
    let off = ("diagnostic_setting = false", "60s");
    // Asked by the endpoint, there is no such table: found before traffic moves.
    let sandbox = stage(HEALTHY, 100, "true", off);
    let output = sandbox.command(&["rollout"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(&typed) && said.contains("Failed to resolve table"), "{said}");
    assert!(requests(&sandbox).iter().all(|request| request["method"] != "PUT"));
    // Asked by the workspace, there is nothing in it, which is not zero.
    let sandbox = stage(HEALTHY, 100, &format!("\"{WORKSPACE}\""), off);
    let (code, document) = sandbox.run(&["rollout"]);
    let told = (code, &document["outcome"], &document["error"]["kind"]);
    assert_eq!(told, (3, &json!("held"), &json!("no_data")), "{document}");
    assert!(document["error"]["message"].as_str().unwrap().contains(&typed), "{document}");
    // Nobody asked at all: the same, for nobody can tell.
    let sandbox = stage(HEALTHY, 0, "true", ("", "60s"));
    let (code, document) = sandbox.run(&["rollout"]);
    assert_eq!((code, &document["error"]["kind"]), (3, &json!("no_data")), "{document}");
}

#[test]
fn a_dry_run_asks_where_a_run_would_and_says_so() {
    let sandbox = stage(HEALTHY, 100, "true", ("", "auto"));
    let output = sandbox.command(&["rollout", "--dry-run", "--verbose"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let path = format!(
        "Query_ResourceExecute POST {}/v1/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/ml/",
        sandbox.url()
    );
    assert!(said.contains(&path) && said.contains("metrics come from"), "{said}");
    let (code, document) = sandbox.run(&["plan"]);
    assert_eq!((code, &document["settle_delay"]), (0, &json!(600)), "{document}");
    assert!(requests(&sandbox).iter().all(|request| request["method"] != "PUT"));
    // Queries are no calls to the control plane.
    let (_, document) = sandbox.run(&["rollout", "--dry-run"]);
    let calls = document["calls"].as_array().unwrap();
    assert!(
        !calls.is_empty() && calls.iter().all(|call| !call["url"].as_str().unwrap().contains("/v1/")),
        "{document}"
    );
}

#[test]
fn in_scaled_time_logs_must_be_on_this_machine_too() {
    let sandbox = stage(HEALTHY, 100, "true", ("", "auto"));
    for (change, says) in [
        (None, "MLROLL_ENDPOINT_AZURE_LOGS"),
        (Some("https://api.loganalytics.io"), "MLROLL_ENDPOINT_AZURE_LOGS is not on loopback"),
    ] {
        let mut command = sandbox.command(&["rollout"]);
        command.env_remove("MLROLL_ENDPOINT_AZURE_LOGS").envs(change.map(|url| ("MLROLL_ENDPOINT_AZURE_LOGS", url)));
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("MLROLL_CLOCK is set") && said.contains(says.split(' ').next().unwrap()), "{said}");
    }
    assert!(requests(&sandbox).is_empty(), "nothing was sent");
}
