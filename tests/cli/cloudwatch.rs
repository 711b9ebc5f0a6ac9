//! Rollouts that are judged by CloudWatch, on the sandbox in scaled time.

use serde_json::{Value, json};

use crate::sandbox::{FAILING, HEALTHY, SLOW, Sandbox, looks_are_disjoint_and_within_their_step};

const FRAUD: &str = "lambda:us-east-1/fraud@prod";

/// A store that tells at once, and one that is slow, gives its points in small pages, fails now and then, and has the last
/// part of some minutes much later than its settle delay.
const PROMPT: &str = "delay = '0s'";
const UNSTEADY: &str = "delay = '100s'\nlate = '5%'\ninternal_error = '1%'\npage = 7";

fn world(candidate: &str, store: &str) -> String {
    format!(
        r#"
        seed = 7
        [cloudwatch]
        {store}
        [targets."{FRAUD}"]
        requests_per_second = 200
        stable = "2"
        [targets."{FRAUD}".revisions]
        2 = {{ error_rate = 0.002, latency = {{ median = "80ms", p95 = "160ms" }} }}
        3 = {candidate}
        "#
    )
}

fn config(look: &str) -> String {
    format!(
        r#"
        [services.fraud]
        target = "{FRAUD}"
        steps = ["10%", "50%", "100%"]
        bake = "45m"
        look = "{look}"
        no_data_budget = "1h"
        [services.fraud.metrics]
        source = "cloudwatch"
        [[services.fraud.gates]]
        metric = "error_rate"
        max_increase = {{ ratio = 1.5, abs = "0.2%" }}
        [[services.fraud.gates]]
        metric = "latency"
        quantile = 0.95
        max = "300ms"
        "#
    )
}

fn sandbox(candidate: &str, store: &str) -> Sandbox {
    let sandbox = Sandbox::start(&["--speed", "300"], &world(candidate, store));
    sandbox.write("mlroll.toml", &config("60s"));
    sandbox
}

/// How many requests for data the store was sent.
fn asked(sandbox: &Sandbox) -> u64 {
    let log: Vec<Value> = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap();
    log.iter().filter(|request| request["operation"] == "GetMetricData").map(|_| 1).sum()
}

#[test]
fn delayed_partial_and_late_points_change_no_verdict() {
    for (candidate, expected) in [
        (HEALTHY, (0, "promoted", "")),
        (FAILING, (1, "rolled_back", "error_rate")),
        (SLOW, (1, "rolled_back", "latency")),
    ] {
        let runs = std::thread::scope(|scope| {
            let run = |store| {
                scope.spawn(move || {
                    let sandbox = sandbox(candidate, store);
                    let mut ended = sandbox.run(&["rollout"]);
                    // A store that fails before traffic has moved is told, and the verb typed again.
                    for _ in 0..9 {
                        if ended.0 != 7 {
                            break;
                        }
                        ended = sandbox.run(&["rollout"]);
                    }
                    looks_are_disjoint_and_within_their_step(&sandbox);
                    ended
                })
            };
            [PROMPT, UNSTEADY].map(run).map(|run| run.join().unwrap())
        });
        for (code, outcome) in runs {
            let (wanted, name, gate) = expected;
            assert_eq!((code, outcome["outcome"].as_str()), (wanted, Some(name)), "{outcome}");
            let failed = outcome["findings"].as_array().unwrap().iter().find(|finding| finding["verdict"] == "fail");
            assert_eq!(failed.map_or("", |finding| finding["gate"].as_str().unwrap()), gate, "{outcome}");
        }
    }
}

/// What it costs is what it says, and no more than a request a look.
#[test]
fn a_look_is_one_request_and_the_sum_is_told_and_each_query_can_be_asked_again() {
    let sandbox = sandbox(HEALTHY, PROMPT);
    let (code, outcome) = sandbox.run(&["rollout"]);
    assert_eq!(code, 0, "{outcome}");
    let calls = asked(&sandbox);
    // The alias' requests; of each version all requests, the failed ones, those with a latency, and both sides of its limit.
    let series = 1 + 2 * (1 + 1 + 3);
    // The history before the first look is stable's alone.
    let expected = json!({ "calls": calls, "series": calls * series - 5 });
    let target = &outcome["targets"][0];
    assert_eq!(target["metrics"], expected, "{outcome}");
    let note = format!("the metric store was asked {calls} times, for {} series in all", calls * series - 5);
    assert!(target["notes"].as_array().unwrap().contains(&json!(note)), "{outcome}");
    let looks = looks_are_disjoint_and_within_their_step(&sandbox);
    assert!(calls <= 2 + looks, "a check, a history, and {looks} looks: {calls} calls");

    let (_, explained) = sandbox.run(&["explain"]);
    let begun = explained["run"]["events"].as_array().unwrap().iter().find(|event| event["event"] == "begun").unwrap();
    let latency: Value = serde_json::from_str(begun["queries"][1]["candidate"].as_str().unwrap()).unwrap();
    let slow = latency.as_array().unwrap().iter().find(|query| query["MetricStat"]["Stat"] == "TC(300:)").unwrap();
    let dimensions = json!([
        {"Name": "FunctionName", "Value": "fraud"}, {"Name": "Resource", "Value": "fraud:prod"},
        {"Name": "ExecutedVersion", "Value": "3"},
    ]);
    let metric = json!({ "Namespace": "AWS/Lambda", "MetricName": "Duration", "Dimensions": dimensions });
    assert_eq!(slow["MetricStat"], json!({ "Metric": metric, "Period": 60, "Stat": "TC(300:)" }));
}

#[test]
fn a_look_shorter_than_the_points_of_the_store_is_refused_before_traffic_moves() {
    let sandbox = sandbox(HEALTHY, PROMPT);
    let own = |namespace: &str| {
        let gate = r#"query = '{ns} Errors{FunctionName="fraud"} Sum'"#.replace("{ns}", namespace);
        let gates = format!("[[services.fraud.gates]]\nname = \"own\"\n{gate}\nmax = 5.0\n");
        let (service, _) =
            config("30s").split_once("[[services.fraud.gates]]").map(|(s, r)| (s.to_owned(), r.len())).unwrap();
        service + &gates
    };
    for (config, says) in
        [(config("30s"), "whole minutes"), (config("90s"), "whole minutes"), (own("AWS/Lambda"), "at least 60 s")]
    {
        sandbox.write("mlroll.toml", &config);
        let (code, refused) = sandbox.run(&["rollout"]);
        assert_eq!(code, 2, "{refused}");
        assert!(refused.to_string().contains(says), "{refused}");
    }
    let log = sandbox.ask("GET", "/_sandbox/requests", "");
    assert!(!log.contains("UpdateAlias"), "{log}");
}
