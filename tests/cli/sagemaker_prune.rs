//! What deployments on SageMaker leave behind, and `deploy --prune`, on the sandbox in scaled time.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::sagemaker_deploy::{aws, start};
use crate::sagemaker_killed::{Boundary, killed};
use crate::sandbox::Sandbox;

const FRAUD: &str = "sagemaker:us-east-1/fraud";
const ARN: &str = "arn:aws:sagemaker:us-east-1:123456789012";

/// What is typed for the nth model.
fn words(number: u32) -> [String; 7] {
    let data = format!("s3://models/{number}.tar.gz");
    let image = format!("x.example/fraud:{number}");
    ["deploy", "--model-data", &data, "--image", &image, "--target", FRAUD].map(str::to_owned)
}

fn run(sandbox: &Sandbox, number: u32, more: &[&str]) -> Value {
    let words = words(number);
    let words: Vec<&str> = words.iter().map(String::as_str).chain(more.iter().copied()).collect();
    let (code, document) = sandbox.run(&words);
    assert_eq!(code, 0, "{document}");
    document
}

fn later(sandbox: &Sandbox) {
    sandbox.ask("POST", "/_sandbox/clock", r#"{"advance": "2h"}"#);
}

fn live(sandbox: &Sandbox) -> Value {
    aws(sandbox, "DescribeEndpoint", &json!({ "EndpointName": "fraud" }))
}

/// The endpoint config and the model that a deployment made, two hours ago.
fn deployed(sandbox: &Sandbox, number: u32) -> (String, String) {
    let made = run(sandbox, number, &[]);
    assert_eq!((made["outcome"].as_str(), &made["targets"][0]["pruned"]), (Some("deployed"), &Value::Null), "{made}");
    later(sandbox);
    let config = text(&live(sandbox)["EndpointConfigName"]);
    let described = aws(sandbox, "DescribeEndpointConfig", &json!({ "EndpointConfigName": config }));
    (config, text(&described["ProductionVariants"][1]["ModelName"]))
}

/// Endpoint configs and models of that many deployments.
fn history(sandbox: &Sandbox, deployments: u32) -> (Vec<String>, Vec<String>) {
    (1..=deployments).map(|number| deployed(sandbox, number)).unzip()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn names(all: &Value) -> BTreeSet<String> {
    all.as_array().unwrap().iter().map(|one| text(&one["name"])).collect()
}

fn set(names: &[&String]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

/// All endpoint configs that there are, and all models.
fn there(sandbox: &Sandbox) -> (BTreeSet<String>, BTreeSet<String>) {
    let all = |operation: &str, list: &str, name: &str| {
        let answer = aws(sandbox, operation, &json!({ "MaxResults": 100 }));
        answer[list].as_array().unwrap().iter().map(|one| text(&one[name])).collect()
    };
    (all("ListEndpointConfigs", "EndpointConfigs", "EndpointConfigName"), all("ListModels", "Models", "ModelName"))
}

/// The deletes that were sent, by what they name.
fn deletes(sandbox: &Sandbox) -> Vec<(String, Value)> {
    let log: Vec<Value> = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap();
    let deletes = log.iter().filter(|request| request["operation"].as_str().unwrap().starts_with("Delete"));
    deletes.map(|request| (text(&request["operation"]), request["body"].clone())).collect()
}

/// An endpoint config of somebody's own, with a model in its one variant.
fn by_hand(sandbox: &Sandbox, name: &str, model: &str, tags: &Value) {
    let variant = json!({ "VariantName": "a", "ModelName": model, "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large", "InitialVariantWeight": 1.0 });
    let body = json!({ "EndpointConfigName": name, "ProductionVariants": [variant], "Tags": tags });
    let made = aws(sandbox, "CreateEndpointConfig", &body);
    assert_eq!(made["__type"], Value::Null, "{made}");
}

fn refuse(sandbox: &Sandbox, operation: &str, skip: usize, times: usize, code: &str) {
    let fault = json!({ "api": "sagemaker", "operation": operation, "fault": "status", "status": 400, "code": code,
        "skip": skip, "times": times });
    sandbox.ask("POST", "/_sandbox/faults", &fault.to_string());
}

fn why<'a>(all: &'a Value, name: &str) -> &'a str {
    let one = all.as_array().unwrap().iter().find(|one| one["name"] == name);
    one.unwrap_or_else(|| panic!("{name} is not in {all}"))["why"].as_str().unwrap()
}

#[test]
fn nothing_goes_unasked_and_then_what_nothing_refers_to() {
    let sandbox = start("b = {}", "");
    let (configs, models) = history(&sandbox, 4);
    assert_eq!(deletes(&sandbox), [], "nobody asked");
    // What somebody else made, however it is called, and what that names.
    let other = json!([{ "Key": "mlroll-endpoint", "Value": "other" }]);
    let own = json!([{ "Key": "mlroll-endpoint", "Value": "fraud" }, { "Key": "mlroll-before", "Value": "fraud-1" }]);
    by_hand(&sandbox, "fraud-mlroll-0123456789ab", "fraud-a", &json!([]));
    by_hand(&sandbox, "fraud-mlroll-ab0123456789", "fraud-a", &other);
    by_hand(&sandbox, "fraud-mlroll-mine", &models[1], &own);
    later(&sandbox);

    let done = run(&sandbox, 5, &["--prune"]);
    let pruned = &done["targets"][0]["pruned"];
    let current = text(&live(&sandbox)["EndpointConfigName"]);
    let expected = set(&[&configs[0], &configs[1], &configs[2], &models[0], &models[2]]);
    assert_eq!(names(&pruned["deleted"]), expected, "{pruned}");
    assert_eq!((&pruned["failed"], &pruned["error"]), (&json!([]), &Value::Null));
    for (name, says) in [
        (current.as_str(), "endpoint fraud has it"),
        (&configs[3], "the way back"),
        ("fraud-mlroll-0123456789ab", "no tag mlroll-endpoint"),
        ("fraud-mlroll-ab0123456789", "no tag mlroll-endpoint"),
        (&models[1], "fraud-mlroll-mine names it"),
        (&models[3], &format!("{} names it", configs[3])),
    ] {
        assert!(why(&pruned["kept"], name).contains(says), "{name}: {pruned}");
    }
    let (left, left_models) = there(&sandbox);
    let hand = ["fraud-1", "fraud-mlroll-0123456789ab", "fraud-mlroll-ab0123456789", "fraud-mlroll-mine"];
    let hand = hand.map(str::to_owned);
    assert_eq!(left, hand.into_iter().chain([configs[3].clone(), current]).collect());
    assert!(left_models.is_superset(&set(&[&models[1], &models[3]])) && left_models.len() == 5, "{left_models:?}");
    assert_eq!(deletes(&sandbox).len(), 5, "each once");

    // Another look finds nothing, and says so.
    let words = words(5);
    let words: Vec<&str> = words.iter().map(String::as_str).chain(["--prune"]).collect();
    let output = sandbox.command(&words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("nothing to delete") && said.contains("kept: endpoint config"), "{said}");
    assert_eq!(deletes(&sandbox).len(), 5);
}

#[test]
fn what_is_young_is_kept_and_so_is_what_was_made_from_the_current_one() {
    let sandbox = start("b = {}", "");
    let (first, _) = deployed(&sandbox, 1);
    let second = text(&run(&sandbox, 2, &[])["targets"][0]["revision"]);
    assert_eq!(second, "b");
    let young = text(&live(&sandbox)["EndpointConfigName"]);
    run(&sandbox, 3, &[]);
    let done = run(&sandbox, 4, &["--prune"]);
    let pruned = &done["targets"][0]["pruned"];
    assert_eq!(names(&pruned["deleted"]).into_iter().filter(|name| *name == first).count(), 1, "{pruned}");
    assert!(why(&pruned["kept"], &young).contains("younger than an hour"), "{pruned}");

    // Who went back by hand has the way forth.
    let sandbox = start("b = {}", "");
    let (configs, _) = history(&sandbox, 4);
    aws(&sandbox, "UpdateEndpoint", &json!({ "EndpointName": "fraud", "EndpointConfigName": configs[1] }));
    later(&sandbox);
    let done = run(&sandbox, 2, &["--prune"]);
    let pruned = &done["targets"][0]["pruned"];
    assert_eq!((done["outcome"].as_str(), names(&pruned["deleted"])), (Some("unchanged"), BTreeSet::new()), "{pruned}");
    for (name, says) in [(&configs[0], "the way back"), (&configs[2], "was made from"), (&configs[3], "the youngest")] {
        assert!(why(&pruned["kept"], name).contains(says), "{name}: {pruned}");
    }
}

/// SageMaker deletes what an endpoint has when it is told to, and the endpoint is stuck.
#[test]
fn what_a_second_endpoint_has_is_kept_and_who_loses_it_is_stuck() {
    let sandbox = start("b = {}", "");
    let (configs, models) = history(&sandbox, 4);
    for (name, config) in [("second", &configs[0]), ("third", &configs[1])] {
        let made = aws(&sandbox, "CreateEndpoint", &json!({ "EndpointName": name, "EndpointConfigName": config }));
        assert_eq!(made["__type"], Value::Null, "{made}");
    }
    later(&sandbox);
    let done = run(&sandbox, 5, &["--prune"]);
    let pruned = &done["targets"][0]["pruned"];
    assert_eq!(names(&pruned["deleted"]), set(&[&configs[2], &models[2]]), "{pruned}");
    assert!(why(&pruned["kept"], &configs[0]).contains("endpoint second has it"), "{pruned}");
    assert!(why(&pruned["kept"], &models[0]).contains("names it"), "{pruned}");
    let desired = json!([{ "VariantName": "a", "DesiredWeight": 3.0 }]);
    let shift = |name: &str| {
        let body = json!({ "EndpointName": name, "DesiredWeightsAndCapacities": desired });
        aws(&sandbox, "UpdateEndpointWeightsAndCapacities", &body)
    };
    assert_eq!(shift("second")["__type"], Value::Null);
    let gone = aws(&sandbox, "DeleteEndpointConfig", &json!({ "EndpointConfigName": configs[1] }));
    assert_eq!(gone, json!({}), "nobody stops it");
    let said = text(&shift("third")["message"]);
    assert_eq!(said, format!("Could not find endpoint configuration \"{ARN}:endpoint-config/{}\".", configs[1]));
}

/// A page has a hundred endpoints, the youngest first.
#[test]
fn whoever_is_on_the_second_page_is_asked_too() {
    let sandbox = start("b = {}", "");
    let (configs, _) = history(&sandbox, 4);
    aws(&sandbox, "CreateEndpoint", &json!({ "EndpointName": "second", "EndpointConfigName": configs[0] }));
    later(&sandbox);
    for number in 0..100 {
        let name = format!("crowd-{number}");
        aws(&sandbox, "CreateEndpoint", &json!({ "EndpointName": name, "EndpointConfigName": "fraud-1" }));
    }
    later(&sandbox);
    // Ten calls in a second, of a clock that is not scaled.
    let done = run(&sandbox, 4, &["--prune", "--timeout", "6h"]);
    let pruned = &done["targets"][0]["pruned"];
    assert!(why(&pruned["kept"], &configs[0]).contains("endpoint second has it"), "{pruned}");
    assert_eq!(names(&pruned["deleted"]).len(), 2, "{pruned}");
}

#[test]
fn an_endpoint_that_may_go_back_to_anything_bars_all() {
    let second = "[[sagemaker.incidents]]\nendpoint = 'second'\nstatus = 'Failed'\nafter = '30m'\n\
                  [targets.\"sagemaker:us-east-1/second\"]\nrequests_per_second = 1\nstable = \"a\"\n\
                  [targets.\"sagemaker:us-east-1/second\".revisions]\na = {}\n";
    let sandbox = start("b = {}", second);
    history(&sandbox, 3);
    let before = there(&sandbox);
    let done = run(&sandbox, 3, &["--prune"]);
    let pruned = &done["targets"][0]["pruned"];
    assert_eq!((names(&pruned["deleted"]), there(&sandbox)), (BTreeSet::new(), before), "{pruned}");
    assert!(pruned.to_string().contains("endpoint second is Failed"), "{pruned}");
    aws(&sandbox, "DeleteEndpoint", &json!({ "EndpointName": "second" }));
    later(&sandbox);
    let done = run(&sandbox, 3, &["--prune"]);
    assert_eq!(names(&done["targets"][0]["pruned"]["deleted"]).len(), 2, "{done}");
}

/// By weights, and by hand to the endpoint config from before.
#[test]
fn a_rollback_right_after_it_goes_where_it_went() {
    let sandbox = start("b = {}", "");
    let (configs, _) = history(&sandbox, 4);
    run(&sandbox, 5, &["--prune"]);
    let on = |verb: &[&str]| {
        let (code, document) = sandbox.run(&[verb, &["--target", FRAUD]].concat());
        assert_eq!(code, 0, "{document}");
        document
    };
    on(&["canary", "--pct", "10"]);
    on(&["promote", "--force"]);
    assert_eq!(on(&["rollback"])["outcome"], "rolled_back");
    let weights = live(&sandbox)["ProductionVariants"].as_array().unwrap().clone();
    assert_eq!((&weights[0]["CurrentWeight"], &weights[1]["CurrentWeight"]), (&json!(100.0), &json!(0.0)));
    let back = aws(&sandbox, "UpdateEndpoint", &json!({ "EndpointName": "fraud", "EndpointConfigName": configs[3] }));
    assert_eq!(back["__type"], Value::Null, "{back}");
    later(&sandbox);
    let now = live(&sandbox);
    assert_eq!((text(&now["EndpointConfigName"]), &now["EndpointStatus"]), (configs[3].clone(), &json!("InService")));
}

#[test]
fn after_a_bad_answer_all_stays() {
    let sandbox = start("b = { error_rate = 1.0 }", "");
    history(&sandbox, 3);
    let before = there(&sandbox).0;
    sandbox.write("request.json", "{}");
    let words = words(4);
    let smoke = ["--smoke", "request.json", "--prune"];
    let words: Vec<&str> = words.iter().map(String::as_str).chain(smoke).collect();
    let (code, failed) = sandbox.run(&words);
    assert_eq!((code, &failed["targets"][0]["pruned"]), (1, &Value::Null), "{failed}");
    assert!(deletes(&sandbox).is_empty() && there(&sandbox).0.is_superset(&before), "{failed}");
}

#[test]
fn a_rehearsal_prints_the_deletes_of_the_run_and_makes_none() {
    for deploys in [5, 4] {
        let sandbox = start("b = {}", "");
        history(&sandbox, 4);
        let before = there(&sandbox);
        sandbox.ask("DELETE", "/_sandbox/requests", "");
        let shown = run(&sandbox, deploys, &["--prune", "--dry-run"]);
        assert_eq!((deletes(&sandbox), there(&sandbox)), (vec![], before));
        let printed = shown["calls"].as_array().unwrap().iter();
        let printed: Vec<(String, Value)> = printed
            .map(|call| (text(&call["operation"]), call["body"].clone()))
            .filter(|(operation, _)| operation.starts_with("Delete"))
            .collect();
        let words = words(deploys);
        let words: Vec<&str> = words.iter().map(String::as_str).chain(["--prune", "--dry-run"]).collect();
        let said = String::from_utf8_lossy(&sandbox.command(&words).output().unwrap().stdout).into_owned();
        assert_eq!(said.matches("would be deleted: ").count(), printed.len(), "{said}");
        let done = run(&sandbox, deploys, &["--prune"]);
        assert_eq!(deletes(&sandbox), printed, "{deploys}");
        assert!(printed.len() >= 4, "{printed:?}");
        let pruned = |document: &Value| document["targets"][0]["pruned"]["deleted"].clone();
        assert_eq!(pruned(&shown), pruned(&done), "{deploys}");
    }
}

#[test]
fn killed_in_between_and_typed_again_it_goes_on() {
    for (operation, nth, done) in [
        ("DeleteEndpointConfig", 0, false),
        ("DeleteEndpointConfig", 1, true),
        ("DeleteModel", 0, true),
        ("ListEndpoints", 0, true),
    ] {
        let sandbox = start("b = {}", "");
        let (configs, models) = history(&sandbox, 4);
        sandbox.ask("DELETE", "/_sandbox/requests", "");
        let words = words(5);
        let words: Vec<&str> = words.iter().map(String::as_str).chain(["--prune"]).collect();
        let (api, operation) = ("sagemaker".to_owned(), operation.to_owned());
        let boundary = Boundary { api, operation, nth, done };
        assert!(killed(&sandbox, &words, &boundary), "{boundary:?} is never reached");
        let again = run(&sandbox, 5, &["--prune"]);
        assert_eq!(again["outcome"], "unchanged", "{boundary:?}: {again}");
        let (left, left_models) = there(&sandbox);
        let current = text(&live(&sandbox)["EndpointConfigName"]);
        assert_eq!(left, set(&[&"fraud-1".to_owned(), &configs[3], &current]), "{boundary:?}: {again}");
        assert!(
            models[..3].iter().all(|model| !left_models.contains(model)) && left_models.len() == 4,
            "{left_models:?}"
        );
    }
}

/// Each read in turn: those that the deployment itself makes come first.
#[test]
fn where_a_read_is_refused_nothing_is_deleted_and_the_deployment_stands() {
    let sandbox = start("b = {}", "");
    history(&sandbox, 4);
    let before = there(&sandbox);
    for (operation, skip) in [
        ("ListEndpointConfigs", 0),
        ("ListEndpointConfigs", 1),
        ("ListTags", 1),
        ("ListTags", 5),
        ("ListModels", 0),
        ("ListEndpoints", 0),
        ("DescribeEndpoint", 2),
        ("DescribeEndpoint", 3),
        ("DescribeEndpointConfig", 1),
    ] {
        refuse(&sandbox, operation, skip, 1_000, "AccessDeniedException");
        let done = run(&sandbox, 4, &["--prune"]);
        sandbox.ask("DELETE", "/_sandbox/faults", "");
        let pruned = &done["targets"][0]["pruned"];
        let error = &pruned["error"];
        assert_eq!((&pruned["deleted"], error["operation"].as_str()), (&json!([]), Some(operation)), "{skip}: {done}");
        assert!(error["message"].as_str().unwrap().starts_with("nothing was deleted"), "{error}");
        assert_eq!((deletes(&sandbox), there(&sandbox)), (vec![], before.clone()), "{operation} {skip}");
    }
    // Without faults it would.
    assert_eq!(names(&run(&sandbox, 4, &["--prune"])["targets"][0]["pruned"]["deleted"]).len(), 4);
}

#[test]
fn a_delete_that_fails_is_a_warning_with_what_to_type() {
    for (code, times, failed, deleted) in [("AccessDeniedException", 1_000, 1, 0), ("ValidationException", 1, 1, 1)] {
        let sandbox = start("b = {}", "");
        let (configs, models) = history(&sandbox, 4);
        refuse(&sandbox, "DeleteEndpointConfig", 0, times, code);
        let words = words(4);
        let words: Vec<&str> = words.iter().map(String::as_str).chain(["--prune", "--output", "json"]).collect();
        let output = sandbox.command(&words).output().unwrap();
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        let pruned = &document["targets"][0]["pruned"];
        assert_eq!((output.status.code(), &document["error"]), (Some(0), &Value::Null), "{document}");
        assert_eq!((names(&pruned["failed"]).len(), names(&pruned["deleted"]).len()), (failed, deleted), "{pruned}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let remedy = "aws sagemaker delete-endpoint-config --region us-east-1 --endpoint-config-name fraud-mlroll-";
        assert!(said.contains("could not be deleted") && said.contains(remedy), "{said}");
        // Whose config is there is kept.
        assert!(there(&sandbox).1.is_superset(&models.iter().cloned().collect()), "{pruned}");
        sandbox.ask("DELETE", "/_sandbox/faults", "");
        let again = run(&sandbox, 4, &["--prune"]);
        assert_eq!(names(&again["targets"][0]["pruned"]["failed"]), BTreeSet::new());
        assert!(!there(&sandbox).0.contains(&configs[0]) && !there(&sandbox).1.contains(&models[0]), "{again}");
    }
}

/// Whoever may not write tags deploys as ever, and `--prune` does not touch it.
#[test]
fn what_may_not_be_tagged_is_made_without_and_is_never_deleted() {
    let sandbox = start("b = {}", "");
    for operation in ["CreateModel", "CreateEndpointConfig"] {
        refuse(&sandbox, operation, 0, 1, "AccessDeniedException");
    }
    let made = run(&sandbox, 1, &[]);
    assert!(made["targets"][0]["notes"].to_string().contains("sagemaker:AddTags is not allowed"), "{made}");
    let untagged = text(&live(&sandbox)["EndpointConfigName"]);
    let tags = |config: &str| {
        aws(&sandbox, "ListTags", &json!({ "ResourceArn": format!("{ARN}:endpoint-config/{config}") }))["Tags"].clone()
    };
    assert_eq!(tags(&untagged), json!([]));
    later(&sandbox);
    // Nobody knows what was before it.
    let done = run(&sandbox, 1, &["--prune"]);
    assert!(why(&done["targets"][0]["pruned"]["kept"], &untagged).contains("nobody knows"), "{done}");
    let (second, _) = deployed(&sandbox, 2);
    let said = json!([{ "Key": "mlroll-before", "Value": untagged }, { "Key": "mlroll-endpoint", "Value": "fraud" }]);
    assert_eq!(tags(&second), said);
    deployed(&sandbox, 3);
    let done = run(&sandbox, 4, &["--prune"]);
    let pruned = &done["targets"][0]["pruned"];
    assert!(
        names(&pruned["deleted"]).contains(&second) && why(&pruned["kept"], &untagged).contains("no tag"),
        "{pruned}"
    );
}

#[test]
fn while_a_run_is_unfinished_nothing_is_deleted() {
    let sandbox = start("b = {}", "");
    sandbox.write(
        "mlroll.toml",
        &format!("[services.fraud]\ntarget = \"{FRAUD}\"\nsteps = [\"10%\", \"100%\"]\nbake = \"2m\"\n"),
    );
    history(&sandbox, 3);
    sandbox.ask("DELETE", "/_sandbox/requests", "");
    let (api, operation) = ("sagemaker".to_owned(), "AddTags".to_owned());
    let boundary = Boundary { api, operation, nth: 0, done: false };
    assert!(killed(&sandbox, &["rollout", "--no-gates", "--candidate", "b"], &boundary), "it never shifts");
    let done = run(&sandbox, 3, &["--prune"]);
    let error = done["targets"][0]["pruned"]["error"]["message"].as_str().unwrap();
    assert!(error.starts_with("nothing was deleted: run ") && error.ends_with(" is unfinished"), "{done}");
    assert_eq!(deletes(&sandbox), []);
}

/// They name models too, by components that nobody reads here.
#[test]
fn beside_inference_components_models_are_left() {
    let sandbox = start("b = {}", "");
    let (configs, models) = history(&sandbox, 3);
    let variant = json!({ "VariantName": "a", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large" });
    let body = json!({ "EndpointConfigName": "components", "ProductionVariants": [variant],
        "ExecutionRoleArn": "arn:aws:iam::123456789012:role/x" });
    aws(&sandbox, "CreateEndpointConfig", &body);
    let done = run(&sandbox, 4, &["--prune"]);
    let pruned = &done["targets"][0]["pruned"];
    assert_eq!(names(&pruned["deleted"]), set(&[&configs[0], &configs[1]]), "{pruned}");
    assert!(why(&pruned["kept"], &models[0]).contains("inference components"), "{pruned}");
}
