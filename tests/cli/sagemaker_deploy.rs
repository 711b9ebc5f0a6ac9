//! New models on SageMaker endpoints, on the sandbox in scaled time.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::sagemaker_killed::{Boundary, killed};
use crate::sandbox::Sandbox;

const FRAUD: &str = "sagemaker:us-east-1/fraud";
const PACKAGE: &str = "arn:aws:sagemaker:us-east-1:123456789012:model-package/fraud";

/// `a` has everything; the other variants, and what `more` says of SageMaker.
fn world(variants: &str, more: &str) -> String {
    format!(
        "seed = 7\n[sagemaker]\nupdate = '10s'\ndeploy = '60s'\n{more}\n[targets.\"{FRAUD}\"]\nrequests_per_second = 50\n\
         stable = \"a\"\n[targets.\"{FRAUD}\".revisions]\na = {{}}\n{variants}\n"
    )
}

pub(crate) fn start(variants: &str, more: &str) -> Sandbox {
    Sandbox::start(&["--speed", "300"], &world(variants, more))
}

/// Asks one of the AWS JSON services, as anybody could.
pub(crate) fn aws(sandbox: &Sandbox, operation: &str, body: &Value) -> Value {
    // Programs under test ask too: what they leave of the rate may be nothing for a moment.
    for _ in 0..600 {
        let answer = asked(sandbox, operation, body);
        if !answer["__type"].as_str().is_some_and(|kind| kind.ends_with("ThrottlingException")) {
            return answer;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("{operation}: nothing but ThrottlingException");
}

fn asked(sandbox: &Sandbox, operation: &str, body: &Value) -> Value {
    let scaling = operation.contains("Scalable");
    let (service, front) =
        if scaling { ("application-autoscaling", "AnyScaleFrontendService") } else { ("sagemaker", "SageMaker") };
    let address = sandbox.url().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let body = body.to_string();
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/x-amz-json-1.1\r\n\
         X-Amz-Target: {front}.{operation}\r\nAuthorization: AWS4-HMAC-SHA256 Credential=AKIDTEST/20261121/us-east-1/\
         {service}/aws4_request, SignedHeaders=host, Signature=0\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

fn endpoint(sandbox: &Sandbox) -> Value {
    aws(sandbox, "DescribeEndpoint", &json!({ "EndpointName": "fraud" }))
}

/// The live endpoint config's variants.
fn config(sandbox: &Sandbox) -> Vec<Value> {
    let name = endpoint(sandbox)["EndpointConfigName"].clone();
    let config = aws(sandbox, "DescribeEndpointConfig", &json!({ "EndpointConfigName": name }));
    config["ProductionVariants"].as_array().unwrap().clone()
}

fn weights(sandbox: &Sandbox) -> Vec<f64> {
    let endpoint = endpoint(sandbox);
    endpoint["ProductionVariants"].as_array().unwrap().iter().map(|v| v["CurrentWeight"].as_f64().unwrap()).collect()
}

fn tag(sandbox: &Sandbox) -> String {
    let arn = endpoint(sandbox)["EndpointArn"].clone();
    aws(sandbox, "ListTags", &json!({ "ResourceArn": arn }))["Tags"][0]["Value"].as_str().unwrap_or_default().to_owned()
}

fn sent(sandbox: &Sandbox) -> Vec<String> {
    let log: Vec<Value> = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap();
    log.iter().map(|request| request["operation"].as_str().unwrap_or_default().to_owned()).collect()
}

fn forget(sandbox: &Sandbox) {
    sandbox.ask("DELETE", "/_sandbox/requests", "");
}

fn verb(sandbox: &Sandbox, arguments: &[&str]) -> (i32, Value) {
    sandbox.run(&[arguments, &["--target", FRAUD]].concat())
}

pub(crate) fn package(version: u32) -> String {
    format!("{PACKAGE}/{version}")
}

/// What keeps a verb from it: exit status and message.
fn refused(sandbox: &Sandbox, arguments: &[&str]) -> (i32, String) {
    let (code, document) = verb(sandbox, arguments);
    let error = if document["error"].is_null() { &document["targets"][0]["error"] } else { &document["error"] };
    (code, error["message"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_package_goes_into_the_idle_slot_and_a_second_call_finds_it_there() {
    let sandbox = start("b = {}", "");
    sandbox.write("smoke.json", "{\"instances\": [[1]]}");
    let arn = package(1);
    let (code, made) = verb(&sandbox, &["deploy", "--model-package", &arn, "--smoke", "smoke.json"]);
    assert_eq!((code, made["outcome"].as_str()), (0, Some("deployed")), "{made}");
    let target = &made["targets"][0];
    assert_eq!((target["revision"].as_str(), &target["smoke"]["ok"]), (Some("b"), &json!(true)), "{target}");
    assert!(target["smoke"]["answer"].as_str().unwrap().contains("\"variant\":\"b\""), "{target}");
    let operations =
        ["DescribeModelPackage", "CreateModel", "CreateEndpointConfig", "UpdateEndpoint", "InvokeEndpoint"];
    let log = sent(&sandbox);
    let mut places = operations.map(|name| log.iter().position(|sent| sent == name).unwrap()).to_vec();
    assert!(places.is_sorted(), "{log:?}");
    places.dedup();
    assert_eq!((weights(&sandbox), places.len()), (vec![1.0, 0.0], 5), "no traffic is moved");
    let variants = config(&sandbox);
    let model = variants[1]["ModelName"].as_str().unwrap();
    assert!(model.starts_with("fraud-mlroll-") && variants[0]["ModelName"] == "fraud-a", "{variants:?}");
    let described = aws(&sandbox, "DescribeModel", &json!({ "ModelName": model }));
    assert_eq!(described["PrimaryContainer"], json!({ "ModelPackageName": arn }));
    assert_eq!(described["ExecutionRoleArn"], "arn:aws:iam::123456789012:role/fraud", "as stable's");
    let package = aws(&sandbox, "DescribeModelPackage", &json!({ "ModelPackageName": arn }));
    assert_eq!(package["ModelApprovalStatus"], "Approved");

    forget(&sandbox);
    let (code, again) = verb(&sandbox, &["deploy", "--model-package", &arn]);
    assert_eq!(
        (code, again["outcome"].as_str(), again["targets"][0]["revision"].as_str()),
        (0, Some("unchanged"), Some("b"))
    );
    let writes = ["CreateModel", "CreateEndpointConfig", "UpdateEndpoint", "AddTags"];
    assert!(!sent(&sandbox).iter().any(|sent| writes.contains(&sent.as_str())), "{:?}", sent(&sandbox));
}

#[test]
fn only_an_approved_package_and_a_model_that_is_there() {
    let sandbox = start("b = {}", "");
    for (version, status) in [(2, "PendingManualApproval"), (3, "Rejected")] {
        let (code, said) = refused(&sandbox, &["deploy", "--model-package", &package(version)]);
        assert!(code == 2 && said.contains(status), "{code} {said}");
    }
    let (code, said) = refused(&sandbox, &["deploy", "--model", "nobody"]);
    assert!(code == 6 && said.contains("Could not find model"), "{code} {said}");
    let (code, said) = refused(&sandbox, &["deploy", "--image", "x.example/fraud:1"]);
    assert!(code == 2 && said.contains("`--image`"), "{code} {said}");
    let (code, _) = refused(&sandbox, &["deploy", "--model", "fraud-a", "--min-instances", "2"]);
    assert_eq!(code, 2);
    let log = sent(&sandbox);
    assert!(!log.iter().any(|sent| sent.starts_with("Create") || sent.starts_with("Update")), "{log:?}");
}

#[test]
fn a_first_deployment_adds_the_slot_and_says_what_it_costs_and_it_rolls_out() {
    let sandbox = start("", "");
    let data =
        ["deploy", "--model-data", "s3://models/fraud/2.tar.gz", "--image", "x.example/fraud:2", "--instances", "2"];
    let (code, shown) = verb(&sandbox, &[&data[..], &["--dry-run"]].concat());
    let operations = |calls: &Value| {
        calls
            .as_array()
            .unwrap()
            .iter()
            .map(|call| call["operation"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(code, 0, "{shown}");
    let rehearsed = operations(&shown["calls"]);
    assert_eq!(
        rehearsed.iter().filter(|name| name.starts_with("Create") || name.starts_with("Update")).collect::<Vec<_>>(),
        ["CreateModel", "CreateEndpointConfig", "UpdateEndpoint"]
    );
    assert_eq!(config(&sandbox).len(), 1, "a rehearsal makes nothing");

    let (code, made) = verb(&sandbox, &data);
    assert_eq!((code, made["targets"][0]["revision"].as_str()), (0, Some("b")), "{made}");
    assert!(made["targets"][0]["notes"].to_string().contains("b is new: 2 more instances"), "{made}");
    let variants = config(&sandbox);
    assert_eq!((&variants[1]["InitialInstanceCount"], &variants[1]["InitialVariantWeight"]), (&json!(2), &json!(0.0)));
    assert_eq!(variants[1]["InstanceType"], variants[0]["InstanceType"]);
    let model = aws(&sandbox, "DescribeModel", &json!({ "ModelName": variants[1]["ModelName"] }));
    let container = json!({ "Image": "x.example/fraud:2", "ModelDataUrl": "s3://models/fraud/2.tar.gz" });
    assert_eq!(model["PrimaryContainer"], container);
    assert_eq!(weights(&sandbox), [1.0, 0.0]);

    assert_eq!(verb(&sandbox, &["canary", "--pct", "10"]).0, 0);
    let (code, said) = refused(&sandbox, &data);
    assert!(code == 4 && said.contains("a canary is under way"), "{code} {said}");
    assert_eq!(verb(&sandbox, &["promote", "--force"]).0, 0);
    assert_eq!(weights(&sandbox), [0.0, 100.0]);

    // `a` is the way back now, and is not lost by accident.
    let next = ["deploy", "--model-package", &package(1)];
    let (code, said) = refused(&sandbox, &next);
    assert!(code == 4 && said.contains("--discard-previous"), "{code} {said}");
    let (code, made) = verb(&sandbox, &[&next[..], &["--discard-previous"]].concat());
    assert_eq!((code, made["targets"][0]["revision"].as_str()), (0, Some("a")), "{made}");
    assert_eq!(weights(&sandbox), [0.0, 100.0], "what is live stays");
    assert!(tag(&sandbox).contains("state=promoted stable=b at="), "no way back to another model: {}", tag(&sandbox));
    assert_eq!(verb(&sandbox, &["rollback"]).0, 6);
}

/// By `promote` and by `rollout`; the approval stays what a person said.
#[test]
fn the_registry_is_told_of_whom_was_promoted_where_the_file_says_so() {
    let said = |sandbox: &Sandbox| {
        let package = aws(sandbox, "DescribeModelPackage", &json!({ "ModelPackageName": package(1) }));
        assert_eq!(package["ModelApprovalStatus"], "Approved");
        package["ModelLifeCycle"].clone()
    };
    let file = "[services.fraud]\ntarget = \"sagemaker:us-east-1/fraud\"\nsteps = [\"10%\", \"100%\"]\nbake = \"2m\"\n\
                model_stage = { stage = \"Production\", status = \"InUse\" }\n";
    for promotes in [&["promote", "--force", "fraud"][..], &["rollout", "--no-gates", "--candidate", "b"]] {
        let sandbox = start("b = {}", "");
        sandbox.write("mlroll.toml", file);
        assert_eq!(verb(&sandbox, &["deploy", "--model-package", &package(1)]).0, 0);
        if promotes[0] == "promote" {
            assert_eq!(verb(&sandbox, &["canary", "--pct", "10"]).0, 0);
            let (code, shown) = sandbox.run(&[promotes, &["--dry-run"]].concat());
            assert!(code == 0 && shown["calls"].to_string().contains("UpdateModelPackage"), "{shown}");
        }
        assert_eq!(said(&sandbox), Value::Null);
        let (code, done) = sandbox.run(promotes);
        assert_eq!((code, done["outcome"].as_str()), (0, Some("promoted")), "{done}");
        assert_eq!(said(&sandbox), json!({ "Stage": "Production", "StageStatus": "InUse" }));
        assert!(done["targets"][0]["notes"].to_string().contains("is at Production (InUse)"), "{done}");

        // The way back is to a model that is from no registry, and nobody is promoted by it.
        assert_eq!(verb(&sandbox, &["rollback"]).0, 0);
        let updates = sent(&sandbox).iter().filter(|sent| *sent == "UpdateModelPackage").count();
        assert_eq!(updates, 1, "{:?}", sent(&sandbox));
    }
}

/// Whoever is killed at it has a run that is not finished, and `resume` tells it.
#[test]
fn a_kill_loses_no_word_to_the_registry() {
    let file = "[services.fraud]\ntarget = \"sagemaker:us-east-1/fraud\"\nsteps = [\"10%\", \"100%\"]\nbake = \"2m\"\n\
                model_stage = { stage = \"Production\", status = \"InUse\" }\n";
    for (operation, done) in [("DescribeModel", true), ("UpdateModelPackage", false), ("UpdateModelPackage", true)] {
        let sandbox = start("b = {}", "");
        sandbox.write("mlroll.toml", file);
        assert_eq!(verb(&sandbox, &["deploy", "--model-package", &package(1)]).0, 0);
        sandbox.ask("DELETE", "/_sandbox/requests", "");
        let (api, operation) = ("sagemaker".to_owned(), operation.to_owned());
        let boundary = Boundary { api, operation, nth: 0, done };
        let rollout = ["rollout", "--no-gates", "--candidate", "b"];
        assert!(killed(&sandbox, &rollout, &boundary), "{boundary:?} is never reached");
        let (code, resumed) = sandbox.run(&["resume"]);
        assert_eq!((code, resumed["outcome"].as_str()), (0, Some("promoted")), "{boundary:?}: {resumed}");
        assert!(resumed["targets"][0]["notes"].to_string().contains("is at Production (InUse)"), "{resumed}");
        let told = aws(&sandbox, "DescribeModelPackage", &json!({ "ModelPackageName": package(1) }));
        assert_eq!(told["ModelLifeCycle"], json!({ "Stage": "Production", "StageStatus": "InUse" }), "{boundary:?}");
        assert_eq!(sandbox.run(&["resume"]).0, 6, "then it is over");
    }
}

#[test]
fn a_registry_that_refuses_and_a_model_of_none_change_nothing() {
    let file = "[services.fraud]\ntarget = \"sagemaker:us-east-1/fraud\"\n\
                model_stage = { stage = \"Production\", status = \"InUse\" }\n";
    for (deploys, says) in [(true, "is not told of Production"), (false, "has no model of a registry")] {
        let sandbox = start("b = {}", "");
        sandbox.write("mlroll.toml", file);
        if deploys {
            assert_eq!(verb(&sandbox, &["deploy", "--model-package", &package(1)]).0, 0);
        }
        assert_eq!(verb(&sandbox, &["canary", "--pct", "10"]).0, 0);
        let fault = json!({ "api": "sagemaker", "operation": "UpdateModelPackage", "fault": "status", "status": 400,
            "code": "AccessDeniedException", "times": 100 });
        sandbox.ask("POST", "/_sandbox/faults", &fault.to_string());
        let (code, done) = sandbox.run(&["promote", "--force", "fraud"]);
        assert_eq!((code, done["outcome"].as_str()), (0, Some("promoted")), "{done}");
        assert!(done["targets"][0]["notes"].to_string().contains(says), "{done}");
    }
}

/// What is behind a location is not read: the same one is called so, and deployed again where somebody says so.
#[test]
fn a_location_that_was_overwritten_is_deployed_again_where_that_is_said() {
    let sandbox = start("b = {}", "");
    let data = ["deploy", "--model-data", "s3://models/fraud.tar.gz", "--image", "x.example/fraud:2"];
    let again = [&data[..], &["--again"]].concat();
    let models =
        || config(&sandbox).iter().map(|slot| slot["ModelName"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(verb(&sandbox, &data).1["outcome"], "deployed");
    let first = models();
    let (code, same) = verb(&sandbox, &data);
    assert_eq!((code, same["outcome"].as_str(), models()), (0, Some("unchanged"), first), "{same}");
    let note = same["targets"][0]["notes"].to_string();
    for part in ["s3://models/fraud.tar.gz and x.example/fraud:2", "was not compared", "`--again`"] {
        assert!(note.contains(part), "{part}: {note}");
    }

    // Killed before the endpoint has taken it, and typed again: it is the same one.
    let boundary =
        |operation: &str| Boundary { api: "sagemaker".to_owned(), operation: operation.to_owned(), nth: 0, done: true };
    for operation in ["CreateModel", "CreateEndpointConfig"] {
        let before = models();
        sandbox.ask("DELETE", "/_sandbox/requests", "");
        let typed: Vec<&str> = again.iter().copied().chain(["--target", FRAUD]).collect();
        assert!(killed(&sandbox, &typed, &boundary(operation)), "{operation} is never reached");
        let (code, done) = verb(&sandbox, &again);
        assert_eq!(code, 0, "{operation}: {done}");
        // Those that the control plane's rate put off are none.
        let log: Vec<Value> = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap();
        let made = log.iter().filter(|sent| sent["operation"] == "UpdateEndpoint" && sent["status"] == 200).count();
        assert_eq!((models()[0] == before[0], models()[1] != before[1], made), (true, true, 1), "{operation}: {done}");
    }
    let (code, done) = verb(&sandbox, &again);
    assert_eq!((code, done["outcome"].as_str()), (0, Some("deployed")), "{done}");
    // It is a word about data: whoever names a model names what cannot change.
    let (code, refused) = verb(&sandbox, &["deploy", "--model", "fraud-a", "--again"]);
    assert_eq!(code, 2, "{refused}");
}

#[test]
fn what_was_bad_is_forgotten_with_its_model() {
    let sandbox = start("b = {}", "");
    assert_eq!(verb(&sandbox, &["canary", "--pct", "10"]).0, 0);
    assert_eq!(verb(&sandbox, &["rollback"]).0, 0);
    assert!(tag(&sandbox).contains("bad=b"));
    assert_eq!(verb(&sandbox, &["deploy", "--model-package", &package(1)]).0, 0);
    assert!(
        tag(&sandbox).contains("state=rolled_back stable=a") && !tag(&sandbox).contains("bad="),
        "{}",
        tag(&sandbox)
    );
    assert_eq!(verb(&sandbox, &["canary", "--pct", "10"]).0, 0, "it is another model");
}

#[test]
fn an_update_that_sagemaker_takes_back_is_told_and_the_way_back_stays() {
    let incident = "[[sagemaker.incidents]]\nendpoint = 'fraud'\nstatus = 'RollingBack'\nafter = '30m'\nlast = '5s'";
    let sandbox = start("b = {}", incident);
    assert_eq!(verb(&sandbox, &["canary", "--pct", "10"]).0, 0);
    assert_eq!(verb(&sandbox, &["promote", "--force"]).0, 0);
    sandbox.ask("POST", "/_sandbox/clock", "{\"advance\": \"30m\"}");
    let before = tag(&sandbox);
    let (code, said) = refused(&sandbox, &["deploy", "--model-package", &package(1), "--discard-previous"]);
    assert!(code == 7 && said.contains("took the new endpoint config back: the change of "), "{code} {said}");
    let model = said.split_once("left behind: the endpoint config fraud-mlroll-").unwrap().1;
    assert!(model.contains("and the model fraud-mlroll-") && model.contains("deploy --prune"), "{said}");
    assert!(said.contains("the endpoint has fraud-1 as before"), "{said}");
    assert!(before.contains("previous=a") && tag(&sandbox) == before, "{before} {}", tag(&sandbox));
    // It happens once.
    let (code, made) = verb(&sandbox, &["deploy", "--model-package", &package(1), "--discard-previous"]);
    assert_eq!(code, 0, "{made}");
}

/// While it deploys, the endpoint ends up where no update leads out of.
#[test]
fn an_update_that_ends_in_failure_is_told_with_the_ways_out() {
    for status in ["Failed", "UpdateRollbackFailed"] {
        let incident = format!("[[sagemaker.incidents]]\nendpoint = 'fraud'\nstatus = '{status}'\nafter = '30s'");
        let sandbox = start("b = {}", &incident);
        let (code, said) = refused(&sandbox, &["deploy", "--model", "fraud-a", "--name", "c"]);
        // It may be deployed before it fails: the next one finds it failed.
        let (code, said) = match code {
            0 => refused(&sandbox, &["deploy", "--model", "fraud-a", "--name", "d"]),
            code => (code, said),
        };
        assert_eq!(code, 4, "{said}");
        assert!(said.contains(status) && said.contains("aws sagemaker create-endpoint --region us-east-1"), "{said}");
    }
}

#[test]
fn lost_replies_and_laggards_make_one_of_each() {
    let sandbox = start("b = {}", "");
    for (operation, fault) in [
        ("CreateModel", "reset_after"),
        ("CreateEndpointConfig", "reset_after"),
        ("UpdateEndpoint", "reset_after"),
        ("DescribeEndpoint", "status"),
    ] {
        let body =
            json!({ "api": "sagemaker", "operation": operation, "skip": 1, "times": 1, "fault": fault, "status": 500 });
        let body = if fault == "status" {
            body
        } else {
            json!({ "api": "sagemaker", "operation": operation, "fault": fault })
        };
        sandbox.ask("POST", "/_sandbox/faults", &body.to_string());
    }
    let (code, made) = verb(&sandbox, &["deploy", "--model-package", &package(1)]);
    assert_eq!((code, made["outcome"].as_str()), (0, Some("deployed")), "{made}");
    assert!(config(&sandbox)[1]["ModelName"].as_str().unwrap().starts_with("fraud-mlroll-"));
}

#[test]
fn endpoints_without_a_second_slot_are_refused_with_the_reason() {
    let sandbox = start("", "");
    for (name, variant, more, reason) in [
        (
            "lonely",
            json!({ "ServerlessConfig": { "MemorySizeInMB": 2048, "MaxConcurrency": 1 } }),
            json!({}),
            "serverless",
        ),
        ("queue", json!({}), json!({ "AsyncInferenceConfig": { "OutputConfig": {} } }), "asynchronous"),
        (
            "bare",
            json!({ "ModelName": null }),
            json!({ "ExecutionRoleArn": "arn:aws:iam::123456789012:role/x" }),
            "inference components",
        ),
    ] {
        let mut one = json!({ "VariantName": "a", "ModelName": "fraud-a", "InitialInstanceCount": 1,
            "InstanceType": "ml.m5.large", "InitialVariantWeight": 1.0 });
        one.as_object_mut().unwrap().extend(variant.as_object().unwrap().clone());
        let mut config = json!({ "EndpointConfigName": name, "ProductionVariants": [one] });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        aws(&sandbox, "CreateEndpointConfig", &config);
        aws(&sandbox, "CreateEndpoint", &json!({ "EndpointName": name, "EndpointConfigName": name }));
        sandbox.ask("POST", "/_sandbox/clock", "{\"advance\": \"2m\"}");
        let (code, document) =
            sandbox.run(&["deploy", "--model", "fraud-a", "--target", &format!("sagemaker:us-east-1/{name}")]);
        assert!(code == 2 && document.to_string().contains(reason), "{name}: {document}");
    }
    assert!(!sent(&sandbox).contains(&"UpdateEndpoint".to_owned()));
}

/// SageMaker refuses other machines for what autoscaling holds, and not before there is an endpoint config.
#[test]
fn a_slot_that_autoscaling_holds_keeps_its_machines() {
    let sandbox = start("b = {}", "autoscaling = [1, 4]");
    let other = ["deploy", "--from-stable", "--instance-type", "ml.c5.4xlarge"];
    for dry in [&["--dry-run"][..], &[]] {
        let (code, said) = refused(&sandbox, &[&other[..], dry].concat());
        assert!(code == 2 && said.contains("autoscaling holds variant b"), "{code} {said}");
        assert!(said.contains("--resource-id endpoint/fraud/variant/b"), "{said}");
    }
    let made = || sent(&sandbox).into_iter().filter(|name| name.starts_with("Create") || name.starts_with("Update"));
    assert_eq!(made().count(), 0, "{:?}", sent(&sandbox));
    // The same machines, and a variant that is let go, are as ever.
    assert_eq!(verb(&sandbox, &["deploy", "--model-package", &package(1)]).0, 0);
    let of_b = json!({ "ServiceNamespace": "sagemaker", "ResourceId": "endpoint/fraud/variant/b",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount" });
    aws(&sandbox, "DeregisterScalableTarget", &of_b);
    let (code, done) = verb(&sandbox, &other);
    assert_eq!((code, &config(&sandbox)[1]["InstanceType"]), (0, &json!("ml.c5.4xlarge")), "{done}");
}
