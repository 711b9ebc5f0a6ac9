//! A candidate can carry what stable carries before it gets its first share: Lambda's provisioned concurrency, on the sandbox.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::sandbox::{FAILING, HEALTHY, Sandbox, config, world};

const FUNCTION: &str = "/2019-09-30/functions/fraud/provisioned-concurrency";

/// Stable, the alias' version 2, has `on` provided with four environments.
pub(crate) fn start(candidate: &str, on: &str) -> Sandbox {
    let sandbox = Sandbox::start(&["--speed", "600"], &world(candidate, "0s"));
    sandbox.write("mlroll.toml", &config("30s", "watch_after = \"2m\""));
    let body = r#"{"ProvisionedConcurrentExecutions": 4}"#;
    let put = sandbox.ask("PUT", &format!("{FUNCTION}?Qualifier={on}"), body);
    assert!(put.contains("IN_PROGRESS"), "{put}");
    sandbox.ask("POST", "/_sandbox/clock", r#"{"advance": "10m"}"#);
    sandbox
}

/// How many environments are asked for, by alias or version.
pub(crate) fn provided(sandbox: &Sandbox) -> Value {
    let listed: Value = serde_json::from_str(&sandbox.ask("GET", &format!("{FUNCTION}?List=ALL"), "")).unwrap();
    let of = |one: &Value| {
        let arn = one["FunctionArn"].as_str().unwrap();
        (arn.rsplit(':').next().unwrap().to_owned(), one["RequestedProvisionedConcurrentExecutions"].clone())
    };
    listed["ProvisionedConcurrencyConfigs"].as_array().unwrap().iter().map(of).collect::<serde_json::Map<_, _>>().into()
}

/// The writes to Lambda, in order.
pub(crate) fn writes(sandbox: &Sandbox) -> Vec<String> {
    let log: Vec<Value> = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap();
    let wrote = log.iter().filter(|request| request["api"] == "lambda" && request["method"] != "GET");
    wrote.map(|request| request["operation"].as_str().unwrap().to_owned()).collect()
}

fn events(sandbox: &Sandbox, named: &str) -> Vec<String> {
    let (code, explained) = sandbox.run(&["explain"]);
    assert_eq!(code, 0, "{explained}");
    let events = explained["run"]["events"].as_array().unwrap().iter().filter(|event| event["event"] == named);
    events.map(|event| event["is"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_the_alias_has_is_doubled_before_the_first_share_and_set_back_at_the_end() {
    for (candidate, code, shifts) in [(HEALTHY, 0, 3), (FAILING, 1, 2)] {
        let sandbox = start(candidate, "prod");
        sandbox.ask("DELETE", "/_sandbox/requests", "");
        let (ended, done) = sandbox.run(&["rollout"]);
        assert_eq!(ended, code, "{done}");
        let put = "PutProvisionedConcurrencyConfig";
        let expected = [&[put][..], &vec!["UpdateAlias"; shifts], &[put]].concat();
        assert_eq!(writes(&sandbox), expected);
        assert_eq!(provided(&sandbox), json!({ "prod": 4 }));
        assert_eq!(events(&sandbox, "capacity"), ["wanted", "ready", "set_back"]);
        assert_eq!(sandbox.run(&["explain", "--verify"]).0, 0);
    }
}

#[test]
fn what_stable_has_on_its_version_the_candidate_gets_and_the_loser_loses() {
    for (candidate, code, left) in [(HEALTHY, 0, "3"), (FAILING, 1, "2")] {
        let sandbox = start(candidate, "2");
        let (ended, done) = sandbox.run(&["rollout"]);
        assert_eq!((ended, provided(&sandbox)), (code, json!({ left: 4 })), "{done}");
    }
}

/// Another alias serves from stable's version: it stays warm.
#[test]
fn a_version_that_another_alias_uses_keeps_its_environments() {
    let sandbox = start(HEALTHY, "2");
    let body = r#"{"Name": "live", "FunctionVersion": "2"}"#;
    let made = sandbox.ask("POST", "/2015-03-31/functions/fraud/aliases", body);
    assert!(made.contains("live"), "{made}");
    let (code, done) = sandbox.run(&["rollout"]);
    assert_eq!((code, provided(&sandbox)), (0, json!({ "2": 4, "3": 4 })), "{done}");
    let notes = done["targets"][0]["notes"].to_string();
    assert!(notes.contains("capacity is not set back") && notes.contains("alias live"), "{notes}");
}

/// Killed while it prepares, and taken back by hand: the next run does not take its capacity for stable's.
#[test]
fn a_run_beside_one_that_holds_capacity_is_refused_until_that_is_set_back() {
    let sandbox = start(HEALTHY, "prod");
    sandbox.ask("DELETE", "/_sandbox/requests", "");
    let mut run = sandbox.command(&["rollout"]).spawn().unwrap();
    let patience = Instant::now() + Duration::from_secs(60);
    while !writes(&sandbox).contains(&"UpdateAlias".to_owned()) {
        assert!(Instant::now() < patience, "{:?}", writes(&sandbox));
        std::thread::sleep(Duration::from_millis(3));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    assert_eq!(sandbox.run(&["rollback"]).0, 0);
    assert_eq!(provided(&sandbox), json!({ "prod": 8 }));
    let (code, refused) = sandbox.run(&["rollout", "--candidate", "3", "--again"]);
    assert!(code == 4 && refused.to_string().contains("has not set its capacity back"), "{code} {refused}");
    let (code, resumed) = sandbox.run(&["resume"]);
    assert_eq!(provided(&sandbox), json!({ "prod": 4 }), "{code} {resumed}");
    assert_eq!(resumed["outcome"], "rolled_back", "{resumed}");
}

#[test]
fn it_is_left_alone_where_the_file_says_so_and_in_a_canary() {
    let sandbox = start(HEALTHY, "prod");
    sandbox.write("mlroll.toml", &config("30s", "capacity = \"leave\""));
    assert_eq!(sandbox.run(&["rollout"]).0, 0);
    assert_eq!(provided(&sandbox), json!({ "prod": 4 }));
    assert_eq!(events(&sandbox, "capacity"), [""; 0]);

    let sandbox = start(HEALTHY, "prod");
    assert_eq!(sandbox.run(&["canary", "--pct", "10"]).0, 0);
    assert_eq!(writes(&sandbox).iter().filter(|name| *name == "UpdateAlias").count(), 1);
    assert_eq!(provided(&sandbox), json!({ "prod": 4 }));
}

#[test]
fn a_candidate_that_cannot_be_made_ready_gets_no_share() {
    let sandbox = start(HEALTHY, "2");
    let fault = json!({ "api": "lambda", "operation": "PutProvisionedConcurrencyConfig", "fault": "settle_failed" });
    sandbox.ask("POST", "/_sandbox/faults", &fault.to_string());
    let (code, done) = sandbox.run(&["rollout"]);
    let error = &done["targets"][0]["error"];
    assert_eq!((code, error["kind"].as_str()), (2, Some("capacity")), "{done}");
    assert!(!writes(&sandbox).contains(&"UpdateAlias".to_owned()), "{:?}", writes(&sandbox));
    assert_eq!(provided(&sandbox), json!({ "2": 4 }), "what was asked for in vain is taken back");
}

#[test]
fn where_what_is_reserved_has_no_room_for_both_nothing_is_written() {
    let sandbox = start(HEALTHY, "prod");
    let reserve = |count: u32| {
        let body = json!({ "ReservedConcurrentExecutions": count }).to_string();
        let put = sandbox.ask("PUT", "/2017-10-31/functions/fraud/concurrency", &body);
        assert!(put.contains(&count.to_string()), "{put}");
    };
    reserve(8);
    sandbox.ask("DELETE", "/_sandbox/requests", "");
    let (code, refused) = sandbox.run(&["rollout"]);
    let error = &refused["targets"][0]["error"];
    assert_eq!((code, error["kind"].as_str()), (2, Some("capacity")), "{refused}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("8 executions reserved") && message.contains("4 more"), "{message}");
    assert!(error["hints"].to_string().contains("capacity = \\\"leave\\\""), "{error}");
    assert_eq!(writes(&sandbox), [""; 0]);
    // What the hint says works, and so does more room.
    let left = start(HEALTHY, "prod");
    left.ask("PUT", "/2017-10-31/functions/fraud/concurrency", r#"{"ReservedConcurrentExecutions": 8}"#);
    assert_eq!(left.run(&["rollout"]).0, 2);
    left.write("mlroll.toml", &config("30s", "capacity = \"leave\""));
    let (code, done) = left.run(&["rollout"]);
    assert_eq!((code, provided(&left)), (0, json!({ "prod": 4 })), "{done}");
    reserve(9);
    assert_eq!(sandbox.run(&["resume"]).0, 0);
    assert_eq!(provided(&sandbox), json!({ "prod": 4 }));
}

#[test]
fn a_plan_tells_what_changes_and_the_calls() {
    let sandbox = start(HEALTHY, "prod");
    let (code, plan) = sandbox.run(&["plan"]);
    assert_eq!(code, 0, "{plan}");
    let capacity = &plan["capacity"];
    assert!(capacity["changes"][0].as_str().unwrap().contains("4 -> 8"), "{capacity}");
    let reads: Vec<&Value> = capacity["reads"].as_array().unwrap().iter().map(|call| &call["operation"]).collect();
    assert_eq!(reads, ["ListProvisionedConcurrencyConfigs", "GetFunctionConcurrency"], "{capacity}");
    let prepared = capacity["prepare"].as_array().unwrap().iter().filter(|call| call["method"] != "GET");
    assert_eq!(prepared.map(|call| &call["operation"]).collect::<Vec<_>>(), ["PutProvisionedConcurrencyConfig"]);
    assert_eq!(provided(&sandbox), json!({ "prod": 4 }));
}

/// Killed while it makes the candidate ready, at a step, and while it sets back: the next process goes on from there.
#[test]
fn a_killed_run_is_resumed_and_nothing_is_left() {
    for (until, skip) in
        [("PutProvisionedConcurrencyConfig", 0), ("UpdateAlias", 0), ("PutProvisionedConcurrencyConfig", 1)]
    {
        let sandbox = start(HEALTHY, "prod");
        sandbox.ask("DELETE", "/_sandbox/requests", "");
        let mut run = sandbox.command(&["rollout"]).spawn().unwrap();
        let patience = Instant::now() + Duration::from_secs(60);
        while writes(&sandbox).iter().filter(|name| *name == until).count() <= skip {
            assert!(Instant::now() < patience, "{until}: {:?}", writes(&sandbox));
            std::thread::sleep(Duration::from_millis(3));
        }
        run.kill().unwrap();
        run.wait().unwrap();
        let (code, done) = sandbox.run(&["resume"]);
        assert_eq!((code, provided(&sandbox)), (0, json!({ "prod": 4 })), "{until} {skip}: {done}");
    }
}
