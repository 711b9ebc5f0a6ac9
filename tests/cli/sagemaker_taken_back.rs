//! What SageMaker accepts and then takes back (`RollingBack`), on the sandbox in scaled time: a write that failed, and nobody else's.

use serde_json::{Value, json};

use crate::sagemaker_capacity::{variants, writes};
use crate::sagemaker_deploy::aws;
use crate::sandbox::{FAILING, Sandbox};

const FRAUD: &str = "sagemaker:us-east-1/fraud";
const UPDATE: &str = "UpdateEndpointWeightsAndCapacities";

/// Stable `a`; what the service says besides.
fn start(candidate: &str, service: &str) -> Sandbox {
    start_at("300", "20s", candidate, service)
}

/// At a speed; a change takes so long, and as long to be taken back.
fn start_at(speed: &str, update: &str, candidate: &str, service: &str) -> Sandbox {
    let world = format!(
        "seed = 7\n[cloudwatch]\ndelay = '60s'\n[sagemaker]\nupdate = '{update}'\n[targets.\"{FRAUD}\"]\n\
         requests_per_second = 200\nstable = \"a\"\n[targets.\"{FRAUD}\".revisions]\na = {{}}\nb = {candidate}\n"
    );
    let sandbox = Sandbox::start(&["--speed", speed], &world);
    let config = format!("[services.fraud]\ntarget = \"{FRAUD}\"\nsteps = [\"10%\", \"100%\"]\n{service}\n");
    sandbox.write("mlroll.toml", &config);
    sandbox
}

/// Some of the next writes of weights are taken back.
fn take_back(sandbox: &Sandbox, skip: usize, times: usize) {
    let fault =
        json!({ "api": "sagemaker", "operation": UPDATE, "fault": "settle_failed", "skip": skip, "times": times });
    let answer = sandbox.ask("POST", "/_sandbox/faults", &fault.to_string());
    assert!(!answer.contains("error"), "{answer}");
}

fn weights(sandbox: &Sandbox) -> [f64; 2] {
    let variants = variants(sandbox);
    ["a", "b"].map(|name| variants[name][1].as_f64().unwrap())
}

fn updates(sandbox: &Sandbox) -> usize {
    writes(sandbox).iter().filter(|operation| *operation == UPDATE).count()
}

fn verb(sandbox: &Sandbox, arguments: &[&str]) -> (i32, Value) {
    sandbox.run(&[arguments, &["--target", FRAUD]].concat())
}

#[test]
fn a_rollout_decides_again_and_goes_on() {
    for skip in [0, 1] {
        let sandbox = start("{}", "bake = \"2m\"");
        take_back(&sandbox, skip, 1);
        let (code, done) = sandbox.run(&["rollout", "--no-gates", "--candidate", "b"]);
        assert_eq!((code, done["outcome"].as_str()), (0, Some("promoted")), "{done}");
        assert_eq!((weights(&sandbox), updates(&sandbox)), ([0.0, 100.0], 3));
        let (code, explained) = sandbox.run(&["explain", "--verify"]);
        assert_eq!(code, 0, "{explained}");
        let events = explained["run"]["events"].as_array().unwrap();
        let count = |name: &str| events.iter().filter(|event| event["event"] == name).count();
        assert_eq!((count("shift"), count("interference")), (3, 0), "{explained}");
        assert_eq!(count("taken_back"), 1, "{explained}");
    }
}

#[test]
fn what_is_always_taken_back_ends_with_the_share_from_before() {
    let sandbox = start("{}", "bake = \"2m\"");
    take_back(&sandbox, 1, 1_000);
    let (code, done) = sandbox.run(&["rollout", "--no-gates", "--candidate", "b"]);
    assert_eq!((code, done["outcome"].as_str()), (7, Some("halted")), "{done}");
    assert!(done["error"]["message"].to_string().contains("the change back"), "{done}");
    assert_eq!((weights(&sandbox), updates(&sandbox)), ([90.0, 10.0], 7));
    sandbox.ask("DELETE", "/_sandbox/faults", "");
    let (code, done) = sandbox.run(&["resume", "fraud"]);
    assert_eq!((code, weights(&sandbox)), (0, [0.0, 100.0]), "{done}");
}

/// The way back is written again until it stays.
#[test]
fn a_failed_gate_rolls_back_all_the_same() {
    let service = "bake = \"15m\"\n[services.fraud.metrics]\nsource = \"cloudwatch\"\n[[services.fraud.gates]]\nmetric = \"error_rate\"\n\
                   max = \"1%\"";
    let sandbox = start(FAILING, service);
    take_back(&sandbox, 1, 3);
    let (code, done) = sandbox.run(&["rollout", "--candidate", "b"]);
    assert_eq!((code, done["outcome"].as_str()), (1, Some("rolled_back")), "{done}");
    assert_eq!((weights(&sandbox), updates(&sandbox)), ([100.0, 0.0], 5));
}

#[test]
fn a_rollback_is_typed_once() {
    // Longer than a write may take to be accepted: each has that anew.
    for (times, wanted) in [(1, 0), (2, 0), (3, 7)] {
        let sandbox = start_at("100", "4m", "{}", "");
        assert_eq!(verb(&sandbox, &["canary", "--pct", "10"]).0, 0);
        sandbox.ask("DELETE", "/_sandbox/requests", "");
        take_back(&sandbox, 0, times);
        let (code, done) = verb(&sandbox, &["rollback"]);
        assert_eq!(code, wanted, "{done}");
        if wanted == 0 {
            assert_eq!((done["outcome"].as_str(), weights(&sandbox)), (Some("rolled_back"), [100.0, 0.0]), "{done}");
            assert_eq!(updates(&sandbox), times + 1);
        } else {
            let message = done["error"]["message"].to_string();
            assert!(message.contains("taken back") && message.contains("a 90 %, b 10 %"), "{done}");
            assert_eq!((weights(&sandbox), updates(&sandbox)), ([90.0, 10.0], 3));
        }
    }
}

/// A promotion's note stays, and does not mislead.
#[test]
fn a_canary_and_a_promotion_are_told_to_be_taken_back() {
    let sandbox = start("{}", "");
    take_back(&sandbox, 0, 1);
    let (code, done) = verb(&sandbox, &["canary", "--pct", "60"]);
    let message = done["error"]["message"].to_string();
    assert!(code == 7 && message.contains("taken back: SageMaker took the change back"), "{code} {done}");
    assert_eq!(weights(&sandbox), [1.0, 0.0]);
    assert_eq!(verb(&sandbox, &["canary", "--pct", "60"]).0, 0, "it happens once");
    take_back(&sandbox, 0, 1);
    assert_eq!(verb(&sandbox, &["promote", "--force"]).0, 7);
    assert_eq!(weights(&sandbox), [80.0, 120.0]);
    let (code, done) = verb(&sandbox, &["rollback"]);
    assert_eq!((code, weights(&sandbox)), (0, [100.0, 0.0]), "{done}");
}

/// Somebody deploys another model into the candidate's slot, and keeps the weights: the same names, the same split.
#[test]
fn another_model_under_the_same_name_is_not_promoted() {
    let sandbox = start("{}", "bake = \"20m\"");
    let run = sandbox.command(&["rollout", "--no-gates", "--candidate", "b", "--output", "json"]);
    let run = { run }.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn().unwrap();
    while weights(&sandbox)[1] == 0.0 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let described = aws(&sandbox, "DescribeEndpoint", &json!({ "EndpointName": "fraud" }));
    let live =
        aws(&sandbox, "DescribeEndpointConfig", &json!({ "EndpointConfigName": described["EndpointConfigName"] }));
    let mut variants = live["ProductionVariants"].clone();
    let model = json!({ "ModelName": "other", "ExecutionRoleArn": "arn:aws:iam::123456789012:role/x",
        "PrimaryContainer": { "Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/x:1" } });
    assert!(aws(&sandbox, "CreateModel", &model)["ModelArn"].is_string());
    variants[1]["ModelName"] = json!("other");
    let made = aws(
        &sandbox,
        "CreateEndpointConfig",
        &json!({ "EndpointConfigName": "theirs", "ProductionVariants": variants }),
    );
    assert!(made["EndpointConfigArn"].is_string(), "{made}");
    // While our own change is under way the endpoint takes no other.
    let update = json!({ "EndpointName": "fraud", "EndpointConfigName": "theirs", "RetainAllVariantProperties": true });
    while !aws(&sandbox, "UpdateEndpoint", &update)["EndpointArn"].is_string() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let output = run.wait_with_output().unwrap();
    let ended: Value = serde_json::from_slice(&output.stdout).unwrap();
    let message = ended["targets"][0]["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("the endpoint config theirs"), "{ended}");
    assert_eq!((output.status.code(), weights(&sandbox)), (Some(4), [90.0, 10.0]));
}

/// A shift is three requests: that the middle one was refused by name leaves no doubt about the traffic.
#[test]
fn weights_that_are_refused_by_name_leave_no_doubt() {
    for skip in [0, 1] {
        let sandbox = start("{}", "bake = \"2m\"");
        let denied = json!({ "api": "sagemaker", "operation": UPDATE, "fault": "status", "status": 400,
            "code": "AccessDeniedException", "skip": skip, "times": 1_000 });
        sandbox.ask("POST", "/_sandbox/faults", &denied.to_string());
        let (code, ended) = sandbox.run(&["rollout", "--no-gates", "--candidate", "b"]);
        assert_eq!(code, 5, "{ended}");
        assert!(!ended.to_string().contains("may still take effect"), "{ended}");
        assert_eq!(weights(&sandbox)[1], [0.0, 10.0][skip]);
    }
}
