//! Stable gets more instances while a rollout goes on: a candidate that has fewer by then gets no larger share before it has as
//! many. On the sandbox, with the clouds' own calls as autoscaling.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::sagemaker_capacity::{bounds, config, start, variants, writes};
use crate::sagemaker_deploy::aws;
use crate::sandbox::{FAILING, HEALTHY, Sandbox};
use crate::stopped::{bakes, until};

const UPDATE: &str = "UpdateEndpointWeightsAndCapacities";

/// A rollout of ten percent and then everything, whose candidate gets four instances as stable has.
fn sandbox(candidate: &str, more: &str) -> Sandbox {
    let sandbox = start(candidate, "autoscaling = [2, 8]");
    sandbox.write("mlroll.toml", &config(more).replace("\"15m\"", "\"40m\""));
    sandbox
}

fn instances(sandbox: &Sandbox, variant: &str, count: u32) {
    let desired = json!([{ "VariantName": variant, "DesiredInstanceCount": count }]);
    let body = json!({ "EndpointName": "fraud", "DesiredWeightsAndCapacities": desired });
    until("the endpoint takes a count", || aws(sandbox, UPDATE, &body)["EndpointArn"].is_string());
}

/// A rollout during which stable gets six instances, and `then` happens.
fn while_stable_grows(sandbox: &Sandbox, then: impl Fn()) -> (i32, Value) {
    std::thread::scope(|scope| {
        let run = scope.spawn(|| sandbox.run(&["rollout", "--candidate", "b"]));
        until("it bakes", || bakes(sandbox));
        instances(sandbox, "a", 6);
        then();
        run.join().unwrap()
    })
}

fn journal(sandbox: &Sandbox) -> String {
    let files: Vec<PathBuf> =
        std::fs::read_dir(sandbox.path().join(".mlroll")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.into_iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
}

#[test]
fn it_is_held_with_what_helps_and_goes_on_once_it_is_large_enough() {
    let sandbox = sandbox(HEALTHY, "");
    let (code, done) = while_stable_grows(&sandbox, || ());
    let error = &done["targets"][0]["error"];
    assert_eq!((code, error["kind"].as_str()), (3, Some("capacity")), "{done}");
    assert_eq!(variants(&sandbox), json!({ "a": [6, 90.0], "b": [4, 10.0] }), "{done}");
    assert!(error["message"].to_string().contains("b has fewer instances than a: 4 and not 6"), "{error}");
    let hints = error["hints"].to_string();
    for part in ["VariantName=b,DesiredInstanceCount=6", "mlroll resume --target sagemaker:us-east-1/fraud"] {
        assert!(hints.contains(part), "{part}: {hints}");
    }
    // It was judged to the end of its bake, and no count was written under its share.
    let weights = writes(&sandbox).iter().filter(|name| *name == UPDATE).count();
    assert_eq!(weights, 3, "its count and its share, and our own: {:?}", writes(&sandbox));
    assert!(journal(&sandbox).matches("too_small").count() > 1, "{done}");
    let (code, explained) = sandbox.run(&["explain"]);
    assert!(code == 0 && explained.to_string().contains(r#""is":"too_small""#), "{explained}");

    instances(&sandbox, "b", 6);
    let (code, done) = sandbox.run(&["resume"]);
    assert_eq!((code, variants(&sandbox)), (0, json!({ "a": [6, 0.0], "b": [6, 100.0] })), "{done}");
    assert_eq!(bounds(&sandbox), json!({ "a": [2, 8, false], "b": [2, 8, false] }), "{done}");
    assert_eq!(sandbox.run(&["explain", "--verify"]).0, 0);
}

#[test]
fn it_goes_on_by_itself_where_it_grows_meanwhile() {
    let sandbox = sandbox(HEALTHY, "min_bake = \"10m\"");
    let (code, done) = while_stable_grows(&sandbox, || {
        until("it is too small", || journal(&sandbox).contains("too_small"));
        instances(&sandbox, "b", 6);
    });
    assert_eq!((code, variants(&sandbox)), (0, json!({ "a": [6, 0.0], "b": [6, 100.0] })), "{done}");
    assert_eq!(sandbox.run(&["explain", "--verify"]).0, 0);
}

#[test]
fn who_is_bad_is_taken_back_all_the_same_and_what_is_left_as_it_is_is_promoted() {
    let failing = sandbox(FAILING, "");
    let (code, done) = while_stable_grows(&failing, || ());
    assert_eq!((code, variants(&failing)), (1, json!({ "a": [6, 100.0], "b": [1, 0.0] })), "{done}");

    let left = sandbox(HEALTHY, "capacity = \"leave\"");
    let (code, done) = while_stable_grows(&left, || ());
    assert_eq!((code, variants(&left)), (0, json!({ "a": [6, 0.0], "b": [1, 100.0] })), "{done}");
}
