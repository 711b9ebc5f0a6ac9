//! Endpoints that weights cannot split, on the sandbox: what kind they are is said, why that is so, and what to type instead.

use serde_json::{Value, json};

use crate::sagemaker_deploy::{aws, start};
use crate::sandbox::Sandbox;

const FRAUD: &str = "sagemaker:us-east-1/fraud";
const FILE: &str =
    "[services.fraud]\ntarget = \"sagemaker:us-east-1/fraud\"\nsteps = [\"10%\", \"100%\"]\nbake = \"2m\"\n";

/// The endpoint gets this config, and is done with it.
fn becomes(sandbox: &Sandbox, config: &Value, guardrails: Option<Value>) {
    let mut config = config.clone();
    config["EndpointConfigName"] = json!("next");
    let made = aws(sandbox, "CreateEndpointConfig", &config);
    assert!(made["EndpointConfigArn"].is_string(), "{made}");
    let mut update = json!({ "EndpointName": "fraud", "EndpointConfigName": "next" });
    if let Some(guardrails) = guardrails {
        update["DeploymentConfig"] = guardrails;
    }
    let updated = aws(sandbox, "UpdateEndpoint", &update);
    assert!(updated["EndpointArn"].is_string(), "{updated}");
}

/// Variants without models of their own.
pub(crate) fn holds_components(sandbox: &Sandbox) {
    let instance = json!({ "VariantName": "a", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1 });
    becomes(sandbox, &json!({ "ProductionVariants": [instance] }), None);
}

fn advance(sandbox: &Sandbox, time: &str) {
    sandbox.ask("POST", "/_sandbox/clock", &json!({ "advance": time }).to_string());
}

fn sent(sandbox: &Sandbox) -> Vec<String> {
    let log: Vec<Value> = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap();
    let mut sent: Vec<String> = log.iter().map(|request| request["operation"].as_str().unwrap().to_owned()).collect();
    // Once where the sandbox's rate put it off.
    sent.dedup();
    sent
}

/// What a command sent.
fn sends(sandbox: &Sandbox, arguments: &[&str]) -> ((i32, Value), Vec<String>) {
    sandbox.ask("DELETE", "/_sandbox/requests", "");
    (sandbox.run(arguments), sent(sandbox))
}

fn error(document: &Value) -> &Value {
    if document["error"].is_null() { &document["targets"][0]["error"] } else { &document["error"] }
}

fn hints(document: &Value) -> String {
    error(document)["hints"].to_string()
}

const OPERATIONS: [&str; 4] =
    ["AddTags", "CreateEndpointConfig", "UpdateEndpoint", "UpdateEndpointWeightsAndCapacities"];

#[test]
fn each_kind_is_named_and_says_what_to_do_instead() {
    let instance = json!({ "VariantName": "a", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1 });
    let of_model = |more: Value| {
        let mut variant = json!({ "VariantName": "a", "ModelName": "fraud-a" });
        variant.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        variant
    };
    let sized = of_model(json!({ "InstanceType": "ml.m5.large", "InitialInstanceCount": 1 }));
    let serverless = of_model(json!({ "ServerlessConfig": { "MemorySizeInMB": 2048, "MaxConcurrency": 5 } }));
    let queue = json!({ "OutputConfig": { "S3OutputPath": "s3://answers/" } });
    for (kind, config, code, says, instead, looks) in [
        (
            "serverless",
            json!({ "ProductionVariants": [serverless] }),
            2,
            "does not support several variants",
            "create-endpoint",
            0,
        ),
        (
            "async",
            json!({ "ProductionVariants": [sized], "AsyncInferenceConfig": queue }),
            2,
            "asynchronous",
            "guardrails",
            0,
        ),
        (
            "inference_components",
            json!({ "ProductionVariants": [instance] }),
            2,
            "callers address by name",
            "inference-component",
            1,
        ),
        (
            "one_variant",
            json!({ "ProductionVariants": [sized] }),
            6,
            "a canary needs a second one",
            "mlroll deploy --model",
            0,
        ),
    ] {
        let sandbox = start("", "");
        sandbox.write("mlroll.toml", FILE);
        becomes(&sandbox, &config, None);
        advance(&sandbox, "20m");
        for arguments in [
            &["canary", "fraud", "--pct", "10"][..],
            &["canary", "fraud", "--pct", "10", "--dry-run"],
            &["rollout", "fraud", "--no-gates"],
            &["rollout", "fraud", "--no-gates", "--dry-run"],
            &["plan", "fraud", "--no-gates"],
            &["shadow", "fraud", "--pct", "20", "--no-gates"],
        ] {
            let ((found, document), sent) = sends(&sandbox, arguments);
            let message = error(&document)["message"].as_str().unwrap_or_default();
            assert_eq!(found, code, "{kind} {arguments:?}: {document}");
            assert!(message.contains(says) && hints(&document).contains(instead), "{kind} {arguments:?}: {document}");
            assert!(!sent.iter().any(|sent| OPERATIONS.contains(&sent.as_str())), "{kind} {arguments:?}: {sent:?}");
        }
        let ((code, document), sent) = sends(&sandbox, &["status", "fraud"]);
        let target = &document["targets"][0];
        assert_eq!((code, &target["kind"]), (0, &json!(kind)), "{document}");
        assert!(
            target["what"].as_str().unwrap().contains(says) && target["instead"].to_string().contains(instead),
            "{target}"
        );
        let looked = sent.iter().filter(|operation| *operation == "DescribeEndpointConfig").count();
        assert_eq!((sent.len(), looked), (2 + looks, looks), "{kind}: {sent:?}");
        let text = sandbox.command(&["status", "fraud"]).output().unwrap();
        let text = String::from_utf8(text.stdout).unwrap();
        assert!(text.contains(&kind.replace('_', " ")) && text.contains(instead), "{text}");
        // A way back asks nobody what kind it is.
        let ((code, document), sent) = sends(&sandbox, &["rollback", "fraud"]);
        assert_eq!(code, 6, "{document}");
        assert_eq!(sent, ["DescribeEndpoint", "ListTags", "DescribeEndpoint"], "{kind}: the last names revisions");
    }
}

#[test]
fn what_can_be_split_has_no_kind() {
    let sandbox = start("b = {}", "");
    let ((code, document), sent) = sends(&sandbox, &["status", "--target", FRAUD]);
    let target = &document["targets"][0];
    assert_eq!((code, sent.len()), (0, 2));
    for (member, none) in
        [("kind", json!(null)), ("what", json!(null)), ("failed", json!(null)), ("instead", json!([]))]
    {
        assert_eq!(target[member], none, "{member}: {target}");
    }
}

/// A deployment that is refused says the same.
#[test]
fn a_deploy_says_what_to_do_instead() {
    let sandbox = start("", "");
    let variant = json!({ "VariantName": "a", "ModelName": "fraud-a",
        "ServerlessConfig": { "MemorySizeInMB": 2048, "MaxConcurrency": 5 } });
    becomes(&sandbox, &json!({ "ProductionVariants": [variant] }), None);
    advance(&sandbox, "20m");
    let (code, document) = sandbox.run(&["deploy", "--model", "fraud-a", "--target", FRAUD]);
    let message = error(&document)["message"].to_string();
    assert_eq!(code, 2, "{document}");
    assert!(message.contains("several variants") && message.contains("--endpoint-name fraud-2"), "{message}");
}

#[test]
fn guardrails_that_deploy_are_named_and_waited_for() {
    let world = format!(
        "[sagemaker]\ndeploy = '6h'\n[targets.\"{FRAUD}\"]\nrequests_per_second = 50\nstable = \"a\"\n\
         [targets.\"{FRAUD}\".revisions]\na = {{}}\nb = {{}}\n"
    );
    let sandbox = Sandbox::start(&["--speed", "300"], &world);
    let both = ["a", "b"].map(|name| json!({ "VariantName": name, "ModelName": format!("fraud-{name}"),
        "InstanceType": "ml.m5.large", "InitialInstanceCount": 1, "InitialVariantWeight": if name == "a" { 1 } else { 0 } }));
    let policy = json!({ "BlueGreenUpdatePolicy": { "TrafficRoutingConfiguration": { "Type": "CANARY",
        "WaitIntervalInSeconds": 600, "CanarySize": { "Type": "CAPACITY_PERCENT", "Value": 30 } } } });
    becomes(&sandbox, &json!({ "ProductionVariants": both }), Some(policy));
    let (code, document) = sandbox.run(&["status", "--target", FRAUD]);
    let target = &document["targets"][0];
    assert_eq!((code, &target["kind"]), (0, &json!("guardrail_deployment")), "{document}");
    assert!(target["what"].as_str().unwrap().contains("next: a is Baking"), "{target}");
    let (code, document) = sandbox.run(&["canary", "--pct", "10", "--target", FRAUD, "--timeout", "2s"]);
    let message = error(&document)["message"].to_string();
    assert_eq!(code, 4, "{document}");
    assert!(
        message.contains("deployment guardrails") && hints(&document).contains("wait endpoint-in-service"),
        "{document}"
    );
}

/// With two variants, of which one has everything: `fraud` has failed so.
fn failed(status: &str, more: &str) -> Sandbox {
    let incident = format!("[[sagemaker.incidents]]\nendpoint = 'fraud'\nstatus = '{status}'\nafter = '40m'");
    let sandbox = start("b = {}", &incident);
    sandbox.write("mlroll.toml", &format!("{}{more}", FILE.replace("2m", "2h")));
    sandbox
}

const BROKEN: [(&str, &str, &str); 2] = [
    ("Failed", "does not tell whether it still answers", "aws sagemaker-runtime invoke-endpoint"),
    ("UpdateRollbackFailed", "a mix of the old and the new config serves", "deployment-guardrails-rolling.html"),
];

/// The ways out that work, with the names filled in.
const WAYS: [&str; 2] = [
    "aws sagemaker create-endpoint --region us-east-1 --endpoint-name fraud-2 --endpoint-config-name fraud-1",
    "with the ARN arn:aws:sagemaker:us-east-1:123456789012:endpoint/fraud",
];

fn tells_the_ways_out(document: &Value, (status, why, own): (&str, &str, &str)) {
    let (message, hints) = (error(document)["message"].to_string(), hints(document));
    assert!(message.contains(status) && message.contains(why), "{document}");
    assert!(hints.contains(own) && WAYS.iter().all(|way| hints.contains(way)), "{document}");
    assert!(!hints.contains("mlroll rollback") && !hints.contains("mlroll resume"), "{document}");
    let kind = if document["outcome"] == "held" { "held" } else { "target_failed" };
    assert!(error(document)["kind"] == "target_failed" || error(document)["kind"] == kind, "{document}");
}

#[test]
fn one_that_has_failed_is_told_with_the_ways_out() {
    for broken in BROKEN {
        let sandbox = failed(broken.0, "");
        let on = ["--target", FRAUD];
        assert_eq!(sandbox.run(&[&["canary", "--pct", "10"][..], &on].concat()).0, 0);
        advance(&sandbox, "1h");
        let (code, document) = sandbox.run(&[&["status"][..], &on].concat());
        let target = &document["targets"][0];
        assert!(code == 0 && target["failed"].as_str().unwrap().contains(broken.1), "{target}");
        assert!(WAYS.iter().all(|way| target["instead"].to_string().contains(way)), "{target}");
        assert_eq!(target["split"][0]["percent"], 90.0, "what DescribeEndpoint says of it: {target}");
        for verb in [&["rollback"][..], &["rollback", "--to", "a"]] {
            let (code, document) = sandbox.run(&[verb, &on].concat());
            assert_eq!(code, 4, "{document}");
            tells_the_ways_out(&document, broken);
        }
        let (code, document) = sandbox.run(&[&["canary", "--pct", "20"][..], &on].concat());
        assert_eq!(code, 4, "{document}");
        tells_the_ways_out(&document, broken);
    }
}

#[test]
fn a_rollout_that_meets_it_halts_with_the_ways_out() {
    for (broken, more, wanted) in
        [(BROKEN[0], "", (4, "halted")), (BROKEN[1], "", (4, "halted")), (BROKEN[1], "on_fail = \"hold\"", (3, "held"))]
    {
        let sandbox = failed(broken.0, &format!("{more}\n"));
        let (code, document) = sandbox.run(&["rollout", "fraud", "--no-gates"]);
        let target = &document["targets"][0];
        assert_eq!((code, target["outcome"].as_str()), (wanted.0, Some(wanted.1)), "{document}");
        tells_the_ways_out(&document, broken);
        assert_eq!(target["after"][0]["percent"], 90.0, "{document}");
    }
}
