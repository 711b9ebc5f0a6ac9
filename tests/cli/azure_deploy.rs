//! `deploy` on Azure ML: a copy of stable under another name, at zero traffic.

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

const FRAUD: &str = "azure-ml:00000000-0000-0000-0000-000000000000/ml/prod/fraud";
const PUT: &str = "OnlineDeployments_CreateOrUpdate";

/// Ten minutes of Azure's in one second; a model `good`, one that crashes, and room for few machines.
fn world() -> Sandbox {
    let world = format!(
        r#"
        start = "2026-11-21T03:00:00Z"
        [azure_ml]
        cores = 100
        [targets."{FRAUD}"]
        requests_per_second = 20
        stable = "blue"
        [targets."{FRAUD}".revisions]
        blue = {{}}
        good = {{}}
        crash = {{ state = "Failed" }}
        "#
    );
    Sandbox::start(&["--speed", "600"], &world)
}

fn deploy(sandbox: &Sandbox, more: &[&str]) -> (i32, Value) {
    sandbox.run(&[&["deploy", "--target", FRAUD], more].concat())
}

/// How many requests of an operation the sandbox got.
fn count(sandbox: &Sandbox, operation: &str) -> usize {
    let log: Value = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap();
    log.as_array().unwrap().iter().filter(|request| request["operation"] == operation).count()
}

fn fault(sandbox: &Sandbox, operation: &str, more: &Value) {
    let mut fault = json!({ "api": "azure-ml", "operation": operation });
    fault.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    sandbox.ask("POST", "/_sandbox/faults", &fault.to_string());
}

fn message(document: &Value) -> &str {
    document["error"]["message"].as_str().unwrap_or_default()
}

fn split(sandbox: &Sandbox) -> Value {
    sandbox.run(&["status", "--target", FRAUD]).1["targets"][0]["split"].clone()
}

#[test]
fn a_model_becomes_a_deployment_once_and_gets_traffic_only_by_a_canary() {
    let sandbox = world();
    let before = split(&sandbox);
    let (code, document) = deploy(&sandbox, &["--model", "azureml:fraud:good"]);
    assert_eq!((code, &document["outcome"]), (0, &json!("deployed")), "{document}");
    let target = &document["targets"][0];
    let revision = target["revision"].as_str().unwrap().to_owned();
    assert!(revision.starts_with("fraud-good-") && target["made"] == true, "{document}");
    assert_eq!(
        target["notes"],
        json!([format!("2 x Standard_DS3_v2 of {revision} run, and cost, also without traffic")])
    );
    assert_eq!(target["calls"]["write"], 1);
    assert_eq!((split(&sandbox), count(&sandbox, "OnlineEndpoints_CreateOrUpdate")), (before, 0));
    let (code, document) = deploy(&sandbox, &["--model", "fraud:good"]);
    assert_eq!(
        (code, &document["outcome"], &document["targets"][0]["revision"]),
        (0, &json!("unchanged"), &json!(revision))
    );
    assert_eq!(count(&sandbox, PUT), 1, "typed twice is made once");
    let (code, document) = deploy(&sandbox, &["--from-stable", "--instances", "3", "--name", "Wide"]);
    assert_eq!((code, &document["targets"][0]["revision"]), (0, &json!("wide")), "{document}");
    let (code, document) = deploy(&sandbox, &["--from-stable", "--instances", "4", "--name", "wide"]);
    assert_eq!(code, 2, "{document}");
    assert!(message(&document).contains("is another: it has 3 instances"), "{document}");
    let (code, document) = deploy(&sandbox, &["--model", "fraud:good", "--name", "blue"]);
    assert!(code == 2 && message(&document).contains("blue has traffic"), "{document}");
    let (code, document) = sandbox.run(&["canary", "--pct", "10", "--candidate", &revision, "--target", FRAUD]);
    assert_eq!((code, &document["outcome"]), (0, &json!("shifted")), "{document}");
    let (code, document) = deploy(&sandbox, &["--model", "fraud:good"]);
    assert_eq!((code, count(&sandbox, PUT)), (4, 2), "nothing is made beside a canary: {document}");
}

#[test]
fn a_model_that_crashes_is_told_with_the_end_of_its_log() {
    let sandbox = world();
    for n in 1..=2 {
        let (code, document) = deploy(&sandbox, &["--model", "azureml:fraud:crash"]);
        assert_eq!((code, &document["outcome"], count(&sandbox, PUT)), (2, &json!("failed"), n), "{document}");
        let said = message(&document);
        for part in
            ["User container has crashed", "(ResourceNotReady)", "InferenceServer said: loading the model / ", "code 3"]
        {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    assert_eq!(split(&sandbox)[0]["percent"], 100.0);
    // 50 machines of four cores, and a fifth more.
    let (code, document) = deploy(&sandbox, &["--from-stable", "--instances", "50"]);
    let said = message(&document);
    assert!(code == 2 && said.contains("Additional needed: 240") && said.contains("(OutOfQuota)"), "{document}");
    assert!(!said.contains("InferenceServer said"), "there was no container: {said}");
}

#[test]
fn a_failed_deployment_is_overwritten_by_nothing_else() {
    let sandbox = world();
    let crash = ["--model", "azureml:fraud:crash", "--name", "trial"];
    assert_eq!((deploy(&sandbox, &crash).0, count(&sandbox, PUT)), (2, 1));
    for more in [&[][..], &["--dry-run"]] {
        let (code, document) = deploy(&sandbox, &[&["--model", "fraud:good", "--name", "trial"], more].concat());
        let document = document.to_string();
        assert_eq!((code, count(&sandbox, PUT)), (2, 1), "{document}");
        for part in ["deployment trial is there already (failed), and is another: it has model ", "give another --name"]
        {
            assert!(document.contains(part), "{part}: {document}");
        }
    }
    // The same again is another try, and another name is free.
    assert_eq!((deploy(&sandbox, &crash).0, count(&sandbox, PUT)), (2, 2));
    assert_eq!(deploy(&sandbox, &["--model", "fraud:good", "--name", "trial-2"]).0, 0);
}

#[test]
fn what_azure_loses_refuses_or_delays_makes_no_second_deployment() {
    let updating = json!({ "fault": "status", "status": 409, "times": 2 });
    for (fault_on, more, writes) in [
        (PUT, json!({ "fault": "reset_after" }), 1),
        (PUT, json!({ "fault": "reset_before" }), 2),
        (PUT, json!({ "fault": "status", "status": 503 }), 2),
        (PUT, json!({ "fault": "status", "status": 429 }), 2),
        (PUT, updating, 3),
        ("OnlineDeployments_Get", json!({ "fault": "stale", "skip": 2, "times": 3 }), 1),
        ("OnlineDeployments_Get", json!({ "fault": "status", "status": 500, "skip": 2, "times": 2 }), 1),
    ] {
        let sandbox = world();
        fault(&sandbox, fault_on, &more);
        let (code, document) = deploy(&sandbox, &["--model", "fraud:good", "--name", "new"]);
        assert_eq!(
            (code, &document["outcome"], count(&sandbox, PUT)),
            (0, &json!("deployed"), writes),
            "{more}: {document}"
        );
    }
    let sandbox = world();
    fault(&sandbox, PUT, &json!({ "fault": "settle_canceled" }));
    let (code, document) = deploy(&sandbox, &["--model", "fraud:good"]);
    assert!(code == 7 && message(&document).contains("canceled: "), "{document}");
    assert_eq!(deploy(&sandbox, &["--model", "fraud:good"]).0, 0, "and the next one may do");
    fault(&sandbox, PUT, &json!({ "fault": "status", "status": 403, "code": "AuthorizationFailed" }));
    assert_eq!(deploy(&sandbox, &["--from-stable", "--instances", "3"]).0, 5);
}

#[test]
fn a_deploy_that_was_given_up_is_gone_on_with() {
    let sandbox = world();
    let (code, document) = deploy(&sandbox, &["--model", "fraud:good", "--timeout", "2s"]);
    assert!(code == 7 && message(&document).contains("time limit"), "{document}");
    let (code, document) = deploy(&sandbox, &["--model", "fraud:good"]);
    assert_eq!((code, &document["outcome"]), (0, &json!("unchanged")), "it was on its way: {document}");
    assert_eq!(count(&sandbox, PUT), 1);
}

#[test]
fn a_run_makes_the_write_that_the_dry_run_printed() {
    let sandbox = world();
    let arguments =
        ["--model", "fraud:good", "--instance-type", "Standard_F8s_v2", "--environment", "azureml:sklearn:7"];
    let (code, document) = deploy(&sandbox, &[&arguments[..], &["--dry-run"]].concat());
    assert_eq!((code, count(&sandbox, PUT)), (0, 0), "{document}");
    let calls = document["calls"].as_array().unwrap();
    let put = calls.last().unwrap();
    assert_eq!(put["method"], "PUT");
    let properties = &put["body"]["properties"];
    assert!(
        properties["environmentId"].as_str().unwrap().ends_with("/workspaces/prod/environments/sklearn/versions/7")
    );
    assert!(properties["model"].as_str().unwrap().ends_with("/workspaces/prod/models/fraud/versions/good"));
    assert_eq!((&properties["instanceType"], &put["body"]["sku"]["capacity"]), (&json!("Standard_F8s_v2"), &json!(2)));
    let promised = document["targets"][0]["revision"].clone();
    let (code, document) = deploy(&sandbox, &arguments);
    assert_eq!((code, &document["targets"][0]["revision"]), (0, &promised), "{document}");
}

#[test]
fn what_azure_has_no_deployment_of_is_refused() {
    let sandbox = world();
    for (arguments, said) in [
        (&["--image", "x"][..], "allowed there: --model, --from-stable"),
        (&["--model", "fraud"], "azureml:NAME:VERSION"),
        (&["--model", "fraud@latest"], "azureml:NAME:VERSION"),
        (&["--from-stable", "--min-instances", "1"], "`--instances` says how many"),
        (&["--model", "fraud:good", "--name", "a_b"], "no name of a deployment"),
    ] {
        let (code, document) = deploy(&sandbox, arguments);
        assert!(code == 2 && document.to_string().contains(said), "{arguments:?}: {document}");
    }
    assert_eq!(count(&sandbox, PUT), 0);
}
