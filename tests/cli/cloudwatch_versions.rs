//! An AWS that tells the versions of an alias apart only while there are weights, or never: what is not documented must neither
//! blind a run nor let one version answer for another. On the sandbox in scaled time.

use serde_json::Value;

use crate::sandbox::{HEALTHY, Sandbox, looks_are_disjoint_and_within_their_step};

const FRAUD: &str = "lambda:us-east-1/fraud@prod";

/// Comes after an hour: the bake is over, and the revision promoted.
const LEAKS_LATER: &str = r#"{ error_rate = 0.002, latency = { median = "80ms", p95 = "160ms" }, leak = { after = "80m", error_rate_per_hour = "90%" } }"#;

/// Requests come in bursts, of which stable's past tells.
fn sandbox(candidate: &str, versions: &str) -> Sandbox {
    let world = format!(
        r#"
        seed = 7
        [cloudwatch]
        delay = "60s"
        versions = "{versions}"
        [targets."{FRAUD}"]
        requests_per_second = 200
        stable = "2"
        [targets."{FRAUD}".revisions]
        2 = {{ error_rate = 0.002, error_cluster = 20, latency = {{ median = "80ms", p95 = "160ms" }} }}
        3 = {candidate}
        "#
    );
    let sandbox = Sandbox::start(&["--speed", "300"], &world);
    sandbox.write(
        "mlroll.toml",
        &format!(
            r#"
            [services.fraud]
            target = "{FRAUD}"
            steps = ["50%", "100%"]
            bake = "45m"
            watch_after = "90m"
            no_data_budget = "20m"
            [services.fraud.metrics]
            source = "cloudwatch"
            [[services.fraud.gates]]
            metric = "error_rate"
            max = "5%"
            [[services.fraud.gates]]
            metric = "latency"
            quantile = 0.95
            max = "300ms"
            "#
        ),
    );
    sandbox
}

fn asked(sandbox: &Sandbox) -> u64 {
    let log: Vec<Value> = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap();
    log.iter().filter(|request| request["operation"] == "GetMetricData").map(|_| 1).sum()
}

/// The design effect of stable's past, and its traffic and rate.
fn foreseen(sandbox: &Sandbox) -> (Value, f64, f64) {
    let (code, plan) = sandbox.run(&["plan"]);
    assert_eq!(code, 0, "{plan}");
    let rate = plan["gates"][0]["base_rate"].as_f64();
    let traffic = plan["traffic"]["requests_per_second"].as_f64();
    (plan["gates"][0]["design_effect"].clone(), traffic.unwrap_or(-1.0), rate.unwrap_or(-1.0))
}

/// Whatever it tells of an alias without weights, stable's past is the same, and is known before anything moves.
#[test]
fn stables_past_is_known_however_it_is_told() {
    let usual = foreseen(&sandbox(HEALTHY, "always"));
    assert!(usual.0.as_f64().unwrap() > 1.0 && (190.0..210.0).contains(&usual.1), "{usual:?}");
    for versions in ["shared", "never"] {
        let (effect, traffic, rate) = foreseen(&sandbox(HEALTHY, versions));
        assert!(effect.as_f64().unwrap() > 1.0, "{versions}: {effect}");
        assert!((190.0..210.0).contains(&traffic) && (rate - usual.2).abs() < 0.002, "{versions}: {traffic} {rate}");
    }
}

/// What was promoted is watched, by one request a look, and taken back where it turns bad.
#[test]
fn what_was_promoted_is_watched_though_nothing_is_told_by_its_version() {
    std::thread::scope(|scope| {
        for (candidate, code, outcome) in [(HEALTHY, 0, "promoted"), (LEAKS_LATER, 1, "rolled_back")] {
            scope.spawn(move || {
                let sandbox = sandbox(candidate, "shared");
                let (ended, done) = sandbox.run(&["rollout"]);
                assert_eq!((ended, done["outcome"].as_str()), (code, Some(outcome)), "{done}");
                let calls = asked(&sandbox);
                let looks = looks_are_disjoint_and_within_their_step(&sandbox);
                assert!(calls <= 3 + looks, "a check, a history and what it lacked, and {looks} looks: {calls} calls");
                let (_, explained) = sandbox.run(&["explain"]);
                let events = explained["run"]["events"].as_array().unwrap();
                // 100 % is the second shift; of a candidate that is taken back there is a third.
                let shifts = events.iter().enumerate().filter(|(_, event)| event["event"] == "shift");
                let promoted = shifts.map(|(n, _)| n).nth(1).unwrap();
                let watched: Vec<&Value> = events[promoted..].iter().filter(|event| event["event"] == "look").collect();
                assert!(watched.len() > 10, "{explained}");
                assert!(watched.iter().all(|look| look["verdict"] != "no_data"), "{watched:?}");
                assert_eq!(sandbox.run(&["explain", "--verify"]).0, 0);
            });
        }
    });
}

/// A share of the alias is nobody's: where versions are not told apart although they share the traffic, there is no data.
#[test]
fn the_alias_answers_for_nobody_who_shares_it() {
    let sandbox = sandbox(HEALTHY, "never");
    let (code, done) = sandbox.run(&["rollout"]);
    assert_eq!((code, done["error"]["kind"].as_str()), (1, Some("no_data")), "{done}");
    assert_eq!(done["outcome"], "rolled_back", "{done}");
    assert!(done.to_string().contains("does not tell which version served them"), "{done}");
}
