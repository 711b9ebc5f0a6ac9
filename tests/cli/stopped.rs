//! Somebody else changes the traffic of a rollout that gave its candidate capacity: what it got is set back, by the run itself or
//! by `resume`, and nothing new begins before that. On the sandbox, with the clouds' own calls as that somebody.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::capacity::{provided, start as lambda, writes as of_lambda};
use crate::sagemaker_capacity::{bounds, scaling, start, variants, writes};
use crate::sagemaker_deploy::aws;
use crate::sandbox::{HEALTHY, Sandbox};

const FRAUD: &str = "sagemaker:us-east-1/fraud";
const RESUME: &str = "mlroll resume --target sagemaker:us-east-1/fraud";
const UPDATE: &str = "UpdateEndpointWeightsAndCapacities";
const ROLLOUT: [&str; 4] = ["rollout", "--no-gates", "--candidate", "b"];

/// Stable `a` has four instances of 2 to 8, `b` one of 1 to 2.
fn scaled() -> Sandbox {
    let sandbox = start(HEALTHY, "autoscaling = [2, 8]");
    scaling(&sandbox, "RegisterScalableTarget", "b", &json!({ "MinCapacity": 1, "MaxCapacity": 2 }));
    sandbox.ask("DELETE", "/_sandbox/requests", "");
    sandbox
}

pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < patience, "{what}");
        std::thread::sleep(Duration::from_millis(3));
    }
}

fn is_in_service(sandbox: &Sandbox) -> bool {
    aws(sandbox, "DescribeEndpoint", &json!({ "EndpointName": "fraud" }))["EndpointStatus"] == "InService"
}

/// What a person does by boto3.
fn weights(sandbox: &Sandbox, a: u32, b: u32) {
    let desired = json!([{ "VariantName": "a", "DesiredWeight": a }, { "VariantName": "b", "DesiredWeight": b }]);
    let body = json!({ "EndpointName": "fraud", "DesiredWeightsAndCapacities": desired });
    until("the endpoint takes weights", || aws(sandbox, UPDATE, &body)["EndpointArn"].is_string());
}

/// A rollout whose weights somebody changes in its first bake.
fn stopped(sandbox: &Sandbox, a: u32, b: u32) -> (i32, Value) {
    std::thread::scope(|scope| {
        let run = scope.spawn(|| sandbox.run(&ROLLOUT));
        until("it bakes", || bakes(sandbox));
        weights(sandbox, a, b);
        run.join().unwrap()
    })
}

/// Whether the run has seen its first share live: by its journal, as it makes no calls then.
pub(crate) fn bakes(sandbox: &Sandbox) -> bool {
    let Ok(journals) = std::fs::read_dir(sandbox.path().join(".mlroll")) else { return false };
    let texts = journals.filter_map(|entry| std::fs::read_to_string(entry.unwrap().path()).ok());
    texts.into_iter().any(|text| text.contains(r#""why":{"data":{"stage":{"step":0}"#))
}

/// A rollout that is killed when it is so far.
fn killed(sandbox: &Sandbox, arguments: &[&str], far: impl Fn() -> bool) {
    let mut run = sandbox.command(arguments);
    let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("it is so far", far);
    run.kill().unwrap();
    run.wait().unwrap();
    until("the endpoint is in service", || is_in_service(sandbox));
}

fn as_before() -> Value {
    json!({ "a": [2, 8, false], "b": [1, 2, false] })
}

fn suspended() -> Value {
    json!({ "a": [2, 8, true], "b": [2, 8, true] })
}

#[test]
fn a_run_sets_back_what_it_gave_where_somebody_gave_stable_everything() {
    let sandbox = scaled();
    let (code, done) = stopped(&sandbox, 1, 0);
    let of = &done["targets"][0];
    assert_eq!((code, of["outcome"].as_str()), (4, Some("halted")), "{done}");
    assert_eq!(
        (bounds(&sandbox), variants(&sandbox)),
        (as_before(), json!({ "a": [4, 1.0], "b": [1, 0.0] })),
        "{done}"
    );
    assert!(of["notes"].to_string().contains("capacity is set back: "), "{done}");
    assert!(!of["error"].to_string().contains("not set back"), "{done}");
    assert_eq!(sandbox.run(&["explain", "--verify"]).0, 0);
    sandbox.command(&["resume"]).output().map(|said| assert_eq!(said.status.code(), Some(6))).unwrap();
}

#[test]
fn what_is_left_under_a_split_keeps_new_runs_away_until_it_is_set_back() {
    let sandbox = scaled();
    let (code, done) = stopped(&sandbox, 7, 3);
    let error = &done["targets"][0]["error"];
    assert_eq!((code, bounds(&sandbox)), (4, suspended()), "{done}");
    let (message, hints) = (error["message"].to_string(), error["hints"].to_string());
    assert!(message.contains("capacity is not set back: ") && message.contains("b: 1 instances become 4"), "{error}");
    assert!(hints.contains(RESUME), "{error}");

    sandbox.ask("DELETE", "/_sandbox/requests", "");
    let refuses = |arguments: &[&str]| {
        let said = sandbox.command(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(text.contains("has not set its capacity back") && text.contains(RESUME), "{arguments:?}: {text}");
        assert_eq!((said.status.code(), writes(&sandbox).len()), (Some(4), 0), "{arguments:?}: {text}");
    };
    refuses(&ROLLOUT);
    refuses(&["canary", "--pct", "10", "--candidate", "b"]);
    refuses(&["canary", "--pct", "10", "--candidate", "b", "--no-gates"]);
    refuses(&["canary", "--pct", "10", "--candidate", "b", "--no-gates", "--target", FRAUD]);
    refuses(&["experiment", "--pct", "50", "--metric", "error_rate", "--candidate", "b"]);
    refuses(&["shadow", "--pct", "10", "--candidate", "b", "--no-gates"]);
    refuses(&["deploy", "--from-stable", "--name", "c"]);

    // Under a split nothing is taken from anybody.
    let (code, refused) = sandbox.run(&["resume"]);
    let error = refused["targets"][0]["error"].to_string();
    assert!(error.contains("a 70 %, b 30 %") && error.contains("mlroll rollback --target"), "{refused}");
    assert_eq!((code, writes(&sandbox).len()), (4, 0), "{refused}");

    let (code, back) = sandbox.run(&["rollback", "--to", "a"]);
    assert_eq!((code, bounds(&sandbox)), (0, suspended()), "{back}");
    refuses_still(&sandbox);
    sandbox.ask("DELETE", "/_sandbox/requests", "");
    let (code, resumed) = sandbox.run(&["resume"]);
    assert_eq!((code, resumed["outcome"].as_str()), (0, Some("unchanged")), "{resumed}");
    assert!(resumed["targets"][0]["notes"].to_string().contains("capacity is set back: "), "{resumed}");
    assert_eq!(writes(&sandbox), ["RegisterScalableTarget", "RegisterScalableTarget", UPDATE]);
    assert_eq!((bounds(&sandbox), &variants(&sandbox)["b"]), (as_before(), &json!([1, 0.0])));
    assert_eq!(sandbox.run(&["explain", "--verify"]).0, 0);

    // The next one finds what was there before, and sets that back.
    let (code, done) = sandbox.run(&["rollout", "--no-gates", "--candidate", "b", "--again", "--bake", "2m"]);
    assert_eq!((code, bounds(&sandbox)), (0, json!({ "a": [2, 8, false], "b": [2, 8, false] })), "{done}");
}

fn refuses_still(sandbox: &Sandbox) {
    let (code, refused) = sandbox.run(&["rollout", "--no-gates", "--candidate", "b", "--again"]);
    assert!(code == 4 && refused.to_string().contains(RESUME), "{refused}");
}

/// Who serves by now keeps its instances and bounds; what is suspended goes on.
#[test]
fn whoever_was_promoted_by_hand_keeps_what_it_has() {
    let sandbox = scaled();
    let (code, done) = stopped(&sandbox, 0, 1);
    assert_eq!((code, bounds(&sandbox)), (4, suspended()), "{done}");
    let (code, resumed) = sandbox.run(&["resume"]);
    assert_eq!((code, bounds(&sandbox)), (0, json!({ "a": [2, 8, false], "b": [2, 8, false] })), "{resumed}");
    assert_eq!(variants(&sandbox), json!({ "a": [4, 0.0], "b": [4, 1.0] }));
}

#[test]
fn a_killed_run_whose_traffic_somebody_changed_sets_back_when_resumed() {
    let sandbox = scaled();
    killed(&sandbox, &ROLLOUT, || bakes(&sandbox));
    weights(&sandbox, 1, 0);
    let (code, resumed) = sandbox.run(&["resume"]);
    assert_eq!((code, bounds(&sandbox), &variants(&sandbox)["b"]), (4, as_before(), &json!([1, 0.0])), "{resumed}");
    assert!(resumed["targets"][0]["notes"].to_string().contains("capacity is set back: "), "{resumed}");
}

/// Killed while it prepares: a note of somebody else is no reason to keep capacity, and nothing is deployed beside it.
#[test]
fn a_run_killed_while_preparing_is_set_back_though_the_note_was_rewritten() {
    let sandbox = scaled();
    let first = ["canary", "--pct", "10", "--no-gates", "--leave-capacity", "--candidate", "b"];
    assert_eq!((sandbox.run(&first).0, sandbox.run(&["rollback"]).0), (0, 0));
    sandbox.ask("DELETE", "/_sandbox/requests", "");
    killed(&sandbox, &[&ROLLOUT[..], &["--again"]].concat(), || writes(&sandbox).len() >= 3);
    let said = sandbox.command(&["deploy", "--from-stable", "--name", "c"]).output().unwrap();
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.code() == Some(4) && text.contains(RESUME), "{text}");

    let arn = aws(&sandbox, "DescribeEndpoint", &json!({ "EndpointName": "fraud" }))["EndpointArn"].clone();
    let tags = aws(&sandbox, "ListTags", &json!({ "ResourceArn": arn }));
    aws(&sandbox, "DeleteTags", &json!({ "ResourceArn": arn, "TagKeys": [tags["Tags"][0]["Key"]] }));
    let (code, resumed) = sandbox.run(&["resume"]);
    assert_eq!((code, bounds(&sandbox), &variants(&sandbox)["b"]), (4, as_before(), &json!([1, 0.0])), "{resumed}");
    let message = resumed["targets"][0]["error"]["message"].to_string();
    assert!(message.contains("it has a 100 %, as it should"), "{message}");
}

/// Provisioned concurrency is doubled once, and not for ever.
#[test]
fn provisioned_concurrency_is_not_doubled_by_run_after_run() {
    let alias = |sandbox: &Sandbox, weights: Value| {
        let body = json!({ "FunctionVersion": "2", "RoutingConfig": { "AdditionalVersionWeights": weights } });
        sandbox.ask("PUT", "/2015-03-31/functions/fraud/aliases/prod", &body.to_string());
    };
    let stopped = |sandbox: &Sandbox, weights: Value| {
        sandbox.ask("DELETE", "/_sandbox/requests", "");
        std::thread::scope(|scope| {
            let run = scope.spawn(|| sandbox.run(&["rollout", "--candidate", "3"]));
            until("the first share", || of_lambda(sandbox).contains(&"UpdateAlias".to_owned()));
            alias(sandbox, weights);
            run.join().unwrap()
        })
    };
    let sandbox = lambda(HEALTHY, "prod");
    let (code, done) = stopped(&sandbox, json!({}));
    assert_eq!((code, provided(&sandbox)), (4, json!({ "prod": 4 })), "{done}");

    let (code, done) = stopped(&sandbox, json!({ "3": 0.3 }));
    assert_eq!((code, provided(&sandbox)), (4, json!({ "prod": 8 })), "{done}");
    let (code, refused) = sandbox.run(&["rollout", "--candidate", "3"]);
    assert!(code == 4 && refused.to_string().contains("has not set its capacity back"), "{refused}");
    assert_eq!(sandbox.run(&["resume"]).0, 4);
    alias(&sandbox, json!({}));
    let (code, resumed) = sandbox.run(&["resume"]);
    assert_eq!((code, provided(&sandbox)), (0, json!({ "prod": 4 })), "{resumed}");
    let (code, done) = sandbox.run(&["rollout", "--candidate", "3"]);
    assert_eq!((code, provided(&sandbox)), (0, json!({ "prod": 4 })), "{done}");
}
