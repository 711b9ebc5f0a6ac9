//! Somebody else deploys another endpoint config between two commands: the names of variants stay, and their models may not. On the
//! sandbox, with SageMaker's own calls as that pipeline.

use serde_json::{Value, json};

use crate::sagemaker_capacity::{start, variants, writes};
use crate::sagemaker_deploy::aws;
use crate::sandbox::{HEALTHY, Sandbox};
use crate::stopped::until;

const CANARY: [&str; 6] = ["canary", "--pct", "10", "--no-gates", "--candidate", "b"];
const PROMOTE: [&str; 2] = ["promote", "--force"];

fn describe(sandbox: &Sandbox) -> Value {
    aws(sandbox, "DescribeEndpoint", &json!({ "EndpointName": "fraud" }))
}

fn settle(sandbox: &Sandbox) {
    until("the endpoint is in service", || describe(sandbox)["EndpointStatus"] == "InService");
}

/// Deploys a config `name` as live, with `model` in variant `a` where one is named.
pub(crate) fn deployed(sandbox: &Sandbox, name: &str, model: Option<&str>) {
    let live = aws(
        sandbox,
        "DescribeEndpointConfig",
        &json!({ "EndpointConfigName": describe(sandbox)["EndpointConfigName"] }),
    );
    let mut all = live["ProductionVariants"].clone();
    if let Some(model) = model {
        let made = json!({ "ModelName": model, "ExecutionRoleArn": "arn:aws:iam::123456789012:role/x",
            "PrimaryContainer": { "Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/x:1" } });
        assert!(aws(sandbox, "CreateModel", &made)["ModelArn"].is_string());
        all[0]["ModelName"] = json!(model);
    }
    let made = json!({ "EndpointConfigName": name, "ProductionVariants": all });
    assert!(aws(sandbox, "CreateEndpointConfig", &made)["EndpointConfigArn"].is_string());
    let update = json!({ "EndpointName": "fraud", "EndpointConfigName": name, "RetainAllVariantProperties": true });
    until("it takes a config", || aws(sandbox, "UpdateEndpoint", &update)["EndpointArn"].is_string());
    settle(sandbox);
    sandbox.ask("DELETE", "/_sandbox/requests", "");
}

fn promoted() -> Sandbox {
    let sandbox = start(HEALTHY, "");
    for arguments in [&CANARY[..], &PROMOTE] {
        let (code, done) = sandbox.run(arguments);
        assert_eq!(code, 0, "{done}");
        settle(&sandbox);
    }
    sandbox
}

fn weights(sandbox: &Sandbox) -> [f64; 2] {
    let all = variants(sandbox);
    ["a", "b"].map(|name| all[name][1].as_f64().unwrap())
}

/// How many configs were read; what was throttled was asked again.
fn reads(sandbox: &Sandbox) -> usize {
    let log: Vec<Value> = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap();
    log.iter().filter(|request| request["operation"] == "DescribeEndpointConfig" && request["status"] == 200).count()
}

#[test]
fn the_way_back_of_a_promote_that_leads_to_another_model_is_not_taken_unless_it_is_named() {
    let sandbox = promoted();
    deployed(&sandbox, "theirs", Some("other"));
    let (code, refused) = sandbox.run(&["rollback"]);
    let error = &refused["targets"][0]["error"];
    let message = error["message"].to_string();
    assert_eq!((code, writes(&sandbox).len(), weights(&sandbox)), (4, 0, [0.0, 100.0]), "{refused}");
    for part in ["variant a held the model fraud-a", "holds other", "theirs"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(error["hints"].to_string().contains("--to a"), "{error}");
    let (code, status) = sandbox.run(&["status"]);
    assert!(code == 0 && status["targets"][0]["replaced"].to_string().contains("holds other"), "{status}");

    let (code, done) = sandbox.run(&["rollback", "--to", "a"]);
    assert_eq!((code, weights(&sandbox)), (0, [100.0, 0.0]), "{done}");
    // What is written now is about the config that is live.
    let (_, status) = sandbox.run(&["status"]);
    assert_eq!(status["targets"][0]["replaced"], Value::Null, "{status}");
}

#[test]
fn another_config_with_the_same_models_is_a_way_back_all_the_same() {
    let sandbox = promoted();
    // As long as the config is the same, nobody asks what is in it.
    assert_eq!(sandbox.run(&["status"]).0, 0);
    sandbox.ask("DELETE", "/_sandbox/requests", "");
    assert_eq!((sandbox.run(&["rollback", "--dry-run"]).0, reads(&sandbox)), (0, 0));
    deployed(&sandbox, "theirs", None);
    let (code, done) = sandbox.run(&["rollback"]);
    assert_eq!((code, weights(&sandbox), reads(&sandbox)), (0, [100.0, 0.0], 2), "{done}");
}

#[test]
fn what_cannot_be_compared_is_not_taken_for_the_same() {
    let sandbox = promoted();
    let before = describe(&sandbox)["EndpointConfigName"].clone();
    deployed(&sandbox, "theirs", None);
    aws(&sandbox, "DeleteEndpointConfig", &json!({ "EndpointConfigName": before }));
    let (code, refused) = sandbox.run(&["rollback"]);
    assert_eq!((code, weights(&sandbox)), (4, [0.0, 100.0]), "{refused}");
    assert!(refused.to_string().contains("cannot be told: "), "{refused}");
    let denied = json!({ "api": "sagemaker", "operation": "DescribeEndpointConfig", "fault": "status", "status": 400,
        "code": "AccessDeniedException", "times": 1_000 });
    sandbox.ask("POST", "/_sandbox/faults", &denied.to_string());
    let (code, refused) = sandbox.run(&["rollback"]);
    assert!(code == 4 && refused.to_string().contains("sagemaker:DescribeEndpointConfig is not allowed"), "{refused}");
}

#[test]
fn a_canary_beside_another_deployment_goes_back_at_once_and_forward_only_by_name() {
    let sandbox = start(HEALTHY, "");
    assert_eq!(sandbox.run(&CANARY).0, 0);
    settle(&sandbox);
    deployed(&sandbox, "theirs", Some("other"));
    for arguments in [&PROMOTE[..], &["canary", "--pct", "20", "--no-gates"]] {
        let (code, refused) = sandbox.run(arguments);
        assert_eq!((code, writes(&sandbox).len()), (4, 0), "{refused}");
        let said = refused.to_string();
        assert!(said.contains("somebody else deployed") && said.contains("--candidate b"), "{refused}");
    }
    let (code, done) = sandbox.run(&["canary", "--pct", "20", "--no-gates", "--candidate", "b"]);
    assert_eq!((code, weights(&sandbox)), (0, [80.0, 20.0]), "{done}");
    settle(&sandbox);
    deployed(&sandbox, "again", Some("third"));
    let (code, done) = sandbox.run(&["rollback"]);
    assert_eq!((code, weights(&sandbox), reads(&sandbox)), (0, [100.0, 0.0], 0), "{done}");
}

/// What the looks have seen was another model.
#[test]
fn a_promote_by_evidence_of_what_was_there_before_is_refused() {
    let sandbox = start(HEALTHY, "");
    sandbox.write("mlroll.toml", &crate::sagemaker_capacity::config("capacity = \"leave\""));
    let (code, done) = sandbox.run(&["canary", "--pct", "20", "--candidate", "b", "--no-gates"]);
    assert_eq!(code, 0, "{done}");
    settle(&sandbox);
    sandbox.ask("POST", "/_sandbox/clock", r#"{"advance": "1h"}"#);
    deployed(&sandbox, "theirs", Some("other"));
    for named in [&["promote"][..], &["promote", "--candidate", "b"]] {
        let (code, refused) = sandbox.run(named);
        assert_eq!((code, writes(&sandbox).len()), (4, 0), "{refused}");
        assert!(refused.to_string().contains("is not of this one"), "{refused}");
    }
    // What the hint says begins it anew.
    let (code, done) = sandbox.run(&["canary", "--pct", "20", "--candidate", "b", "--no-gates"]);
    assert_eq!((code, done["outcome"].as_str()), (0, Some("shifted")), "{done}");
    let (_, status) = sandbox.run(&["status"]);
    assert_eq!(status["targets"][0]["replaced"], Value::Null, "{status}");
}

/// A note that is put back says no more than is known: not that nothing was exchanged.
#[test]
fn a_refused_canary_does_not_make_the_exchange_forgotten() {
    let sandbox = promoted();
    deployed(&sandbox, "theirs", Some("other"));
    let denied = json!({ "api": "sagemaker", "operation": "UpdateEndpointWeightsAndCapacities", "fault": "status",
        "status": 400, "code": "AccessDeniedException", "times": 1_000 });
    sandbox.ask("POST", "/_sandbox/faults", &denied.to_string());
    let (code, refused) = sandbox.run(&["canary", "--pct", "10", "--no-gates", "--candidate", "a", "--leave-capacity"]);
    assert_eq!(code, 5, "{refused}");
    sandbox.ask("DELETE", "/_sandbox/faults", "");
    let (code, refused) = sandbox.run(&["rollback"]);
    assert_eq!((code, weights(&sandbox)), (6, [0.0, 100.0]), "{refused}");
}

#[test]
fn where_there_is_room_for_one_tag_the_marker_has_it() {
    let sandbox = start(HEALTHY, "");
    let arn = describe(&sandbox)["EndpointArn"].clone();
    let tags: Vec<Value> = (0..49).map(|n| json!({ "Key": format!("team-{n}"), "Value": "ml" })).collect();
    let added = aws(&sandbox, "AddTags", &json!({ "ResourceArn": arn, "Tags": tags }));
    assert_eq!(added["__type"], Value::Null, "{added}");
    for arguments in [&CANARY[..], &["rollback"]] {
        let (code, done) = sandbox.run(arguments);
        assert_eq!(code, 0, "{done}");
        settle(&sandbox);
    }
    let (_, status) = sandbox.run(&["status"]);
    assert_eq!(status["targets"][0]["bad"], "b", "{status}");
}
