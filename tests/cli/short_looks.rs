//! Looks shorter than a minute, at endpoints that publish enhanced metrics, on the sandbox in scaled time.

use serde_json::{Value, json};

use crate::sagemaker_deploy::aws;
use crate::sandbox::{FAILING, HEALTHY, Sandbox, looks_are_disjoint_and_within_their_step};

const FRAUD: &str = "sagemaker:us-east-1/fraud";

/// Stable `a` and candidate `b`; how often the endpoint publishes, and a store that tells after a minute.
fn start(candidate: &str, publishes: &str, look: &str, more: &str) -> Sandbox {
    let world = format!(
        "seed = 7\n[cloudwatch]\ndelay = '60s'\n[sagemaker]\nupdate = '20s'\n{publishes}\n[targets.\"{FRAUD}\"]\n\
         requests_per_second = 200\nstable = \"a\"\n[targets.\"{FRAUD}\".revisions]\na = {HEALTHY}\nb = {candidate}\n"
    );
    let sandbox = Sandbox::start(&["--speed", "120"], &world);
    let config = format!(
        "[services.fraud]\ntarget = \"{FRAUD}\"\nsteps = [\"10%\", \"100%\"]\nbake = \"30m\"\nmin_bake = \"5m\"\nwarm_up = \"60s\"\n\
         look = \"{look}\"\n{more}\n[services.fraud.metrics]\nsource = \"cloudwatch\"\n[[services.fraud.gates]]\n\
         metric = \"error_rate\"\nmax_increase = {{ ratio = 1.5, abs = \"0.2%\" }}\n[[services.fraud.gates]]\n\
         metric = \"latency\"\nquantile = 0.95\nmax = \"300ms\"\n"
    );
    sandbox.write("mlroll.toml", &config);
    sandbox
}

fn requests(sandbox: &Sandbox, operation: &str) -> u64 {
    let log: Vec<Value> = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap();
    log.iter().filter(|request| request["operation"] == operation).map(|_| 1).sum()
}

fn weights(sandbox: &Sandbox) -> Value {
    let endpoint = aws(sandbox, "DescribeEndpoint", &json!({ "EndpointName": "fraud" }));
    let variants = endpoint["ProductionVariants"].as_array().unwrap();
    variants.iter().map(|v| (v["VariantName"].as_str().unwrap().to_owned(), v["CurrentWeight"].clone())).collect()
}

/// How many windows were judged, and how many times the store was asked for them.
fn judged(sandbox: &Sandbox) -> (u64, u64) {
    let (code, explained) = sandbox.run(&["explain"]);
    assert_eq!(code, 0, "{explained}");
    let looks = explained["run"]["events"].as_array().unwrap().iter().filter(|event| event["event"] == "look");
    (looks.map(|_| 1).sum(), requests(sandbox, "GetMetricData"))
}

/// How long the candidate had users, by the sandbox's clock, in seconds.
fn exposed(sandbox: &Sandbox) -> f64 {
    let log: Vec<Value> = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap();
    let writes = log.iter().filter(|request| request["operation"] == "UpdateEndpointWeightsAndCapacities");
    let at: Vec<f64> = writes.map(|request| seconds(request["at"].as_str().unwrap())).collect();
    at.last().unwrap() - at.first().unwrap()
}

/// Of a day.
fn seconds(moment: &str) -> f64 {
    let time = moment.split_once('T').unwrap().1.trim_end_matches('Z');
    time.split(':').fold(0.0, |sum, part| sum * 60.0 + part.parse::<f64>().unwrap())
}

const TEN: &str = "enhanced_metrics = '10s'";
const THIRTY: &str = "enhanced_metrics = '30s'";

#[test]
fn ten_and_thirty_seconds_promote_a_good_candidate_and_take_a_bad_one_back_sooner() {
    let cases = [(TEN, "10s"), (TEN, "20s"), (TEN, "30s"), (THIRTY, "30s"), ("", "60s"), (TEN, "60s")];
    let exposure = std::thread::scope(|scope| {
        let run = |(publishes, look): (&'static str, &'static str)| {
            scope.spawn(move || {
                let good = start(HEALTHY, publishes, look, "");
                let (code, outcome) = good.run(&["rollout", "--candidate", "b"]);
                assert_eq!((code, &outcome["outcome"]), (0, &json!("promoted")), "{publishes} {look}: {outcome}");
                assert_eq!(weights(&good), json!({ "a": 0.0, "b": 100.0 }), "{publishes} {look}");
                looks_are_disjoint_and_within_their_step(&good);
                // Tried out, how often there are points, the past, and then each look once.
                let (looks, calls) = judged(&good);
                let length: u64 = look.trim_end_matches('s').parse().unwrap();
                assert!(
                    looks >= 240 / length && calls <= looks + 4,
                    "{publishes} {look}: {calls} calls for {looks} looks"
                );
                assert_eq!(outcome["metrics"]["calls"], calls, "{outcome}");

                let bad = start(FAILING, publishes, look, "");
                let (code, outcome) = bad.run(&["rollout", "--candidate", "b"]);
                assert_eq!((code, &outcome["outcome"]), (1, &json!("rolled_back")), "{publishes} {look}: {outcome}");
                assert_eq!(outcome["findings"][0]["verdict"], "fail", "{outcome}");
                assert_eq!(weights(&bad), json!({ "a": 100.0, "b": 0.0 }), "{publishes} {look}");
                exposed(&bad)
            })
        };
        let runs: Vec<_> = cases.map(run).into();
        runs.into_iter().map(|run| run.join().unwrap()).collect::<Vec<_>>()
    });
    // At worst, a look of ten seconds ends 20 s after the warm-up; at best, one of a minute does 60 s after it.
    let minutes = exposure[4].min(exposure[5]);
    assert!(exposure[0] + 15.0 < minutes, "{exposure:?}");
}

#[test]
fn a_look_that_the_endpoint_does_not_publish_for_is_refused_before_traffic_moves() {
    for (publishes, look) in
        [("", "10s"), ("enhanced_metrics = '60s'", "10s"), (THIRTY, "10s"), (THIRTY, "20s"), (TEN, "15s")]
    {
        let sandbox = start(HEALTHY, publishes, look, "");
        let (code, outcome) = sandbox.run(&["rollout", "--candidate", "b"]);
        assert_eq!((code, &outcome["error"]["kind"]), (2, &json!("invalid")), "{publishes} {look}: {outcome}");
        let message = outcome["error"]["message"].as_str().unwrap();
        assert!(message.contains(&format!("`look` is {} s", look.trim_end_matches('s'))), "{message}");
        assert_eq!(requests(&sandbox, "UpdateEndpointWeightsAndCapacities"), 0, "{publishes} {look}");
    }
}

/// Points of less than a minute are kept for three hours; what was judged is in the journal.
#[test]
fn a_run_that_goes_on_after_hours_does_not_miss_what_the_store_has_lost() {
    let sandbox = start(HEALTHY, TEN, "10s", "watch_after = \"5m\"");
    let mut killed = sandbox.command(&["rollout", "--candidate", "b", "--quiet"]).spawn().unwrap();
    while judged_so_far(&sandbox) < 8 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    sandbox.ask("POST", "/_sandbox/clock", r#"{"advance": "4h"}"#);
    let (code, outcome) = sandbox.run(&["resume", "fraud"]);
    assert_eq!((code, &outcome["outcome"]), (0, &json!("promoted")), "{outcome}");
    looks_are_disjoint_and_within_their_step(&sandbox);
}

/// Requests for data since the first shift.
fn judged_so_far(sandbox: &Sandbox) -> usize {
    let log: Vec<Value> = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap();
    let shifted = log.iter().position(|request| request["operation"] == "UpdateEndpointWeightsAndCapacities");
    let since = &log[shifted.unwrap_or(log.len())..];
    since.iter().filter(|request| request["operation"] == "GetMetricData").count()
}

/// A canary that has lasted for longer than the store keeps its windows is judged by those that there are.
#[test]
fn gates_are_judged_and_tried_by_what_the_store_still_has() {
    let sandbox = start(HEALTHY, TEN, "10s", "");
    let (code, outcome) = sandbox.run(&["canary", "--pct", "10", "--candidate", "b", "--no-gates"]);
    assert_eq!(code, 0, "{outcome}");
    sandbox.ask("POST", "/_sandbox/clock", r#"{"advance": "30h"}"#);
    let (code, outcome) = sandbox.run(&["promote", "fraud"]);
    assert_eq!((code, &outcome["outcome"]), (0, &json!("promoted")), "{outcome}");
    let (code, tried) = sandbox.run(&["gate", "backtest", "--gate", "error_rate", "--since", "5h", "--revision", "a"]);
    assert_eq!(code, 0, "{tried}");
    assert_eq!(tried["look"], 10, "{tried}");
}
