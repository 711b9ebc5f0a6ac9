//! Provisioned concurrency that somebody else changes, or that a candidate brings along; and traffic that somebody raised or that may
//! not be moved. On the sandbox, with Lambda's own calls as that somebody.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::capacity::{provided, start, writes};
use crate::sandbox::{FAILING, HEALTHY, Sandbox};
use crate::stopped::{bakes, until};
use crate::world::signal;

const ALIAS: &str = "/2015-03-31/functions/fraud/aliases/prod";

fn provide(sandbox: &Sandbox, qualifier: &str, count: u32) {
    let path = format!("/2019-09-30/functions/fraud/provisioned-concurrency?Qualifier={qualifier}");
    let body = json!({ "ProvisionedConcurrentExecutions": count }).to_string();
    until("it takes environments", || sandbox.ask("PUT", &path, &body).contains("IN_PROGRESS"));
    sandbox.ask("POST", "/_sandbox/clock", r#"{"advance": "10m"}"#);
}

fn error(done: &Value) -> &Value {
    &done["targets"][0]["error"]
}

#[test]
fn a_candidate_that_stable_has_outgrown_is_held_until_it_has_as_many() {
    let sandbox = start(HEALTHY, "2");
    let (code, done) = std::thread::scope(|scope| {
        let run = scope.spawn(|| sandbox.run(&["rollout"]));
        until("it bakes", || bakes(&sandbox));
        provide(&sandbox, "2", 20);
        run.join().unwrap()
    });
    assert_eq!((code, error(&done)["kind"].as_str()), (3, Some("capacity")), "{done}");
    assert!(error(&done)["message"].to_string().contains("version 3 has 4 environments"), "{done}");
    let hints = error(&done)["hints"].to_string();
    assert!(hints.contains("--qualifier 3 --provisioned-concurrent-executions 20"), "{hints}");
    provide(&sandbox, "3", 20);
    let (code, done) = sandbox.run(&["resume"]);
    // Neither what the run found of version 2 nor what it gave.
    assert_eq!((code, provided(&sandbox)), (0, json!({ "2": 20, "3": 20 })), "{done}");
    assert!(done["targets"][0]["notes"].to_string().contains("somebody gave 2 20 environments meanwhile"), "{done}");
}

#[test]
fn what_somebody_gave_meanwhile_is_not_set_back_by_a_resume() {
    let sandbox = start(HEALTHY, "prod");
    let mut run = sandbox.command(&["rollout"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("it bakes", || bakes(&sandbox));
    run.kill().unwrap();
    run.wait().unwrap();
    assert_eq!((sandbox.run(&["rollback"]).0, provided(&sandbox)), (0, json!({ "prod": 8 })));
    provide(&sandbox, "prod", 50);
    let (_, done) = sandbox.run(&["resume"]);
    assert_eq!(provided(&sandbox), json!({ "prod": 50 }), "{done}");
    assert!(done.to_string().contains("somebody gave prod 50 environments meanwhile"), "{done}");
    // Nothing is left for it to do, and it keeps nobody away.
    let (code, done) = sandbox.run(&["rollout", "--candidate", "3", "--again"]);
    assert_eq!((code, provided(&sandbox)), (0, json!({ "prod": 50 })), "{done}");
}

#[test]
fn a_loser_loses_its_environments_also_beside_a_candidate_that_has_its_own() {
    for (candidate, code, left) in [(HEALTHY, 0, json!({ "3": 6 })), (FAILING, 1, json!({ "2": 4, "3": 6 }))] {
        let sandbox = start(candidate, "2");
        provide(&sandbox, "3", 6);
        let (ended, done) = sandbox.run(&["rollout"]);
        assert_eq!((ended, provided(&sandbox)), (code, left), "{done}");
    }
}

#[test]
fn an_alias_and_a_candidate_that_both_have_some_are_refused_before_any_write() {
    let sandbox = start(HEALTHY, "prod");
    provide(&sandbox, "3", 2);
    sandbox.ask("DELETE", "/_sandbox/requests", "");
    let (code, refused) = sandbox.run(&["rollout"]);
    assert_eq!((code, writes(&sandbox).len()), (2, 0), "{refused}");
    let message = error(&refused)["message"].to_string();
    let way = "aws lambda delete-provisioned-concurrency-config --region us-east-1 --function-name fraud --qualifier 3";
    assert!(message.contains("version 3 has 2 of its own") && message.contains(way), "{refused}");
}

#[test]
fn a_deployment_takes_no_environments_that_leave_none_for_other_requests() {
    let sandbox = start(HEALTHY, "2");
    let reserved = json!({ "ReservedConcurrentExecutions": 10 }).to_string();
    sandbox.ask("PUT", "/2017-10-31/functions/fraud/concurrency", &reserved);
    sandbox.write_bytes("model.zip", b"PK\x03\x04 a model");
    let target = "lambda:us-east-1/fraud@prod";
    let deploy = ["deploy", "--zip", "model.zip", "--min-instances", "6", "--target", target];
    let (code, refused) = sandbox.run(&deploy);
    assert_eq!((code, provided(&sandbox)), (2, json!({ "2": 4 })), "{refused}");
    assert!(refused.to_string().contains("10 executions reserved, of which 4 are provisioned: 6 more"), "{refused}");
}

/// Lambda takes a weight of 1: then the candidate has everybody, and the note still says who is stable.
#[test]
fn a_canary_whose_weight_somebody_raised_to_one_is_rolled_back_and_promoted() {
    for verb in ["rollback", "promote"] {
        let sandbox = start(HEALTHY, "2");
        assert_eq!(sandbox.run(&["canary", "--pct", "10", "--no-gates", "--candidate", "3"]).0, 0);
        sandbox.ask("PUT", ALIAS, r#"{"RoutingConfig": {"AdditionalVersionWeights": {"3": 1.0}}}"#);
        let force: &[&str] = if verb == "promote" { &["--force"] } else { &[] };
        let (code, done) = sandbox.run(&[&[verb], force].concat());
        let alias = sandbox.alias();
        let expected = if verb == "promote" { "3" } else { "2" };
        assert_eq!((code, alias["FunctionVersion"].as_str()), (0, Some(expected)), "{done}");
        assert!(alias["RoutingConfig"]["AdditionalVersionWeights"].as_object().is_none_or(|all| all.is_empty()));
    }
}

/// Traffic was read after the refusals: nothing about it is unknown.
#[test]
fn a_rollback_of_a_run_that_is_refused_by_name_ends_with_that_reason() {
    let sandbox = start(FAILING, "2");
    sandbox.write("mlroll.toml", &crate::sandbox::config("30s", "capacity = \"leave\""));
    let denied = json!({ "api": "lambda", "operation": "UpdateAlias", "fault": "status", "status": 403,
        "code": "AccessDeniedException", "skip": 1, "times": 1_000 });
    sandbox.ask("POST", "/_sandbox/faults", &denied.to_string());
    let (code, done) = sandbox.run(&["rollout"]);
    assert_eq!((code, error(&done)["kind"].as_str()), (5, Some("auth")), "{done}");
    assert!(!done.to_string().contains("may still take effect"), "{done}");
    assert_eq!(done["targets"][0]["after"][1]["percent"], 10.0, "{done}");
    assert!(error(&done)["hints"].to_string().contains("mlroll rollback --target"), "{done}");
}

/// Whoever wants it stopped while it is looked whether the candidate is large enough gets no larger share first.
#[test]
fn an_interrupt_in_the_look_before_a_step_goes_before_the_step() {
    let sandbox = start(HEALTHY, "2");
    let late = json!({ "api": "lambda", "operation": "ListProvisionedConcurrencyConfigs", "skip": 1, "times": 1_000,
        "fault": "latency", "latency_ms": 1_500 });
    sandbox.ask("POST", "/_sandbox/faults", &late.to_string());
    sandbox.ask("DELETE", "/_sandbox/requests", "");
    let run = sandbox.command(&["rollout", "--steps", "10%,100%"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut run = run.unwrap();
    until("it looks", || {
        sandbox.ask("GET", "/_sandbox/requests", "").matches("ListProvisionedConcurrencyConfigs").count() > 1
    });
    signal(&run, "TERM");
    assert_eq!(run.wait().unwrap().code(), Some(130));
    let log: Vec<Value> = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap();
    let promotes = log.iter().filter(|request| request["body"]["FunctionVersion"] == "3").count();
    assert_eq!((promotes, sandbox.alias()["FunctionVersion"].as_str()), (0, Some("2")), "{log:?}");
    assert_eq!(provided(&sandbox), json!({ "2": 4 }));
}
