//! A `canary` on SageMaker gives a candidate without traffic what stable has, before its first share; a `promote` looks whether it
//! still has as much.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::sagemaker_capacity::{bounds, config, scaling, start, variants, writes};
use crate::sandbox::{FAILING, HEALTHY, Sandbox};
use crate::world::signal;

const UPDATE: &str = "UpdateEndpointWeightsAndCapacities";
const REGISTER: &str = "RegisterScalableTarget";
const SHIFT: [&str; 2] = ["AddTags", UPDATE];
const BY_HAND: [&str; 4] = ["canary", "--pct", "10", "--no-gates"];
const FRAUD: &str = "sagemaker:us-east-1/fraud";

/// Stable `a` has four instances of 2 to 8, `b` one of 1 to 2.
fn scaled(candidate: &str) -> Sandbox {
    let sandbox = start(candidate, "autoscaling = [2, 8]");
    scaling(&sandbox, REGISTER, "b", &json!({ "MinCapacity": 1, "MaxCapacity": 2 }));
    sandbox.ask("DELETE", "/_sandbox/requests", "");
    sandbox
}

fn notes(done: &Value) -> String {
    done["targets"][0]["notes"].to_string()
}

#[test]
fn a_candidate_is_sized_before_its_first_share_and_once() {
    let sandbox = scaled(HEALTHY);
    let (code, done) = sandbox.run(&BY_HAND);
    assert_eq!((code, done["outcome"].as_str()), (0, Some("shifted")), "{done}");
    assert_eq!(writes(&sandbox), [&[REGISTER, UPDATE][..], &SHIFT].concat());
    assert_eq!(variants(&sandbox), json!({ "a": [4, 90.0], "b": [4, 10.0] }));
    // Nobody would let it go on again: nothing is suspended.
    assert_eq!(bounds(&sandbox), json!({ "a": [2, 8, false], "b": [2, 8, false] }));
    let notes = notes(&done);
    for part in ["b: 1 instances become 4", "1 to 2 instances become 2 to 8", "b keeps that, also after a rollback"] {
        assert!(notes.contains(part), "{part}: {notes}");
    }

    // What has users is not sized, and what has enough neither.
    sandbox.ask("DELETE", "/_sandbox/requests", "");
    assert_eq!(sandbox.run(&["canary", "--pct", "20", "--no-gates"]).0, 0);
    assert_eq!(sandbox.run(&["rollback"]).0, 0);
    assert_eq!(sandbox.run(&["canary", "--pct", "10", "--no-gates", "--candidate", "b", "--again"]).0, 0);
    let counts = sandbox.ask("GET", "/_sandbox/requests", "").matches(REGISTER).count();
    assert_eq!((counts, writes(&sandbox).len()), (0, 6), "{:?}", writes(&sandbox));
}

/// The calls of a dry run and those of the run after it, but for the looks while it waits.
#[test]
fn a_dry_run_prints_its_calls_and_makes_none() {
    for verb in [&BY_HAND[..], &["canary", "--pct", "10"]] {
        let sandbox = scaled(HEALTHY);
        let (code, said) = sandbox.run(&[verb, &["--dry-run"]].concat());
        assert_eq!((code, writes(&sandbox).len()), (0, 0), "{said}");
        let calls = said["calls"].as_array().unwrap();
        let names: Vec<&str> = calls.iter().map(|call| call["operation"].as_str().unwrap()).collect();
        let is_write = |name: &&str| !name.starts_with("Describe") && !name.starts_with("List");
        let written: Vec<&str> = names.iter().copied().filter(is_write).collect();
        assert_eq!(written, [&[REGISTER, UPDATE][..], &SHIFT].concat(), "{said}");
        assert!(names.contains(&"DescribeScalableTargets"), "{names:?}");
        let of = |operation: &str| calls.iter().find(|call| call["operation"] == operation).unwrap()["body"].clone();
        let (bound, count) = (of(REGISTER), of(UPDATE));
        assert_eq!((&bound["MinCapacity"], &bound["MaxCapacity"]), (&json!(2), &json!(8)), "{bound}");
        assert_eq!(bound["SuspendedState"]["DynamicScalingInSuspended"], false, "{bound}");
        let desired = json!([{ "VariantName": "b", "DesiredInstanceCount": 4 }]);
        assert_eq!(count["DesiredWeightsAndCapacities"], desired, "{count}");
        let (code, done) = sandbox.run(verb);
        assert_eq!((code, writes(&sandbox)), (0, written.iter().map(ToString::to_string).collect()), "{done}");
    }
}

/// A canary that is watched takes it back where a gate fails, and leaves it where it passes.
#[test]
fn a_watched_canary_is_sized_too_and_set_back_where_it_fails() {
    for (candidate, code, of_b, bounds_of_b) in
        [(HEALTHY, 0, json!([4, 10.0]), json!([2, 8, false])), (FAILING, 1, json!([1, 0.0]), json!([1, 2, false]))]
    {
        let sandbox = scaled(candidate);
        sandbox.write("mlroll.toml", &config("").replace("\"15m\"", "\"45m\""));
        let (ended, done) = sandbox.run(&["canary", "--pct", "10"]);
        assert_eq!((ended, &variants(&sandbox)["b"]), (code, &of_b), "{done}");
        assert_eq!(bounds(&sandbox), json!({ "a": [2, 8, false], "b": bounds_of_b }), "{done}");
        assert_eq!(writes(&sandbox)[..4], [&[REGISTER, UPDATE][..], &SHIFT].concat(), "{done}");
        assert!(!notes(&done).contains("not set back"), "{done}");
        assert_eq!(notes(&done).contains("the candidate keeps its capacity"), code == 0, "{done}");
        assert_eq!(sandbox.run(&["explain", "--verify"]).0, 0);
        if code == 0 {
            // A canary's capacity is no claim that keeps others away.
            let (code, done) = sandbox.run(&["rollout", "--no-gates", "--candidate", "b", "--bake", "2m"]);
            assert_eq!((code, done["outcome"].as_str()), (0, Some("promoted")), "{done}");
        }
    }
}

#[test]
fn it_is_left_as_it_is_where_that_is_asked_for() {
    for (arguments, more) in [(&["--leave-capacity"][..], ""), (&[], "capacity = \"leave\"")] {
        for gates in [&["--no-gates"][..], &[]] {
            let sandbox = scaled(HEALTHY);
            sandbox.write("mlroll.toml", &config(more).replace("\"15m\"", "\"45m\""));
            let (code, done) = sandbox.run(&[&["canary", "--pct", "10"], gates, arguments].concat());
            assert_eq!((code, writes(&sandbox)), (0, SHIFT.map(str::to_owned).to_vec()), "{done}");
            assert!(notes(&done).contains("b has fewer instances than a: 1 and not 4"), "{done}");
        }
    }
}

#[test]
fn whoever_has_too_few_instances_is_not_promoted_unless_somebody_insists() {
    let sandbox = scaled(HEALTHY);
    sandbox.write("mlroll.toml", &config("").replace("\"15m\"", "\"45m\""));
    let (code, done) = sandbox.run(&["canary", "--pct", "10", "--leave-capacity"]);
    assert_eq!(code, 0, "{done}");
    sandbox.ask("DELETE", "/_sandbox/requests", "");
    let (code, refused) = sandbox.run(&["promote"]);
    let error = &refused["targets"][0]["error"];
    assert_eq!((code, error["kind"].as_str()), (3, Some("capacity")), "{refused}");
    assert!(error["message"].to_string().contains("1 and not 4"), "{error}");
    let hints = error["hints"].to_string();
    assert!(
        hints.contains("--endpoint-name fraud") && hints.contains("VariantName=b,DesiredInstanceCount=4"),
        "{hints}"
    );
    assert!(hints.contains("--force"), "{hints}");
    assert_eq!((writes(&sandbox).len(), variants(&sandbox)), (0, json!({ "a": [4, 90.0], "b": [1, 10.0] })));

    let (code, done) = sandbox.run(&["promote", "--force", "--target", FRAUD]);
    assert_eq!((code, variants(&sandbox)), (0, json!({ "a": [4, 0.0], "b": [1, 100.0] })), "{done}");
    assert!(notes(&done).contains("1 and not 4"), "{done}");
}

#[test]
fn a_candidate_that_gets_nothing_gets_no_share() {
    let sandbox = scaled(HEALTHY);
    let fault = json!({ "api": "application-autoscaling", "operation": REGISTER, "fault": "status", "status": 400,
        "code": "AccessDeniedException", "times": 1_000_000 });
    sandbox.ask("POST", "/_sandbox/faults", &fault.to_string());
    let (code, done) = sandbox.run(&BY_HAND);
    let error = &done["targets"][0]["error"];
    assert_eq!((code, error["kind"].as_str()), (5, Some("capacity")), "{done}");
    assert!(error["hints"].to_string().contains("--leave-capacity"), "{error}");
    assert!(!writes(&sandbox).contains(&"AddTags".to_owned()), "{:?}", writes(&sandbox));
    let (code, done) = sandbox.run(&[&BY_HAND[..], &["--leave-capacity"]].concat());
    assert_eq!((code, variants(&sandbox)), (0, json!({ "a": [4, 90.0], "b": [1, 10.0] })), "{done}");
}

/// Whoever has had enough of waiting for instances has shifted nothing.
#[test]
fn an_interrupt_ends_the_wait_for_instances() {
    let sandbox = scaled(HEALTHY);
    let slow = json!({ "api": "sagemaker", "operation": UPDATE, "fault": "settle_forever" });
    sandbox.ask("POST", "/_sandbox/faults", &slow.to_string());
    let mut canary = sandbox.command(&BY_HAND);
    let mut child = canary.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let patience = Instant::now() + Duration::from_secs(60);
    while writes(&sandbox).len() < 2 {
        assert!(Instant::now() < patience, "{:?}", writes(&sandbox));
        std::thread::sleep(Duration::from_millis(3));
    }
    signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(writes(&sandbox), [REGISTER, UPDATE]);
}
