//! The policies of the documentation allow what the verbs do on AWS, and no more.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::sagemaker_capacity::{scaling, start as endpoint};
use crate::sagemaker_deploy::{package, start as registry};
use crate::sagemaker_replaced::deployed;
use crate::sandbox::{HEALTHY, Sandbox};

const LAMBDA: &str = "lambda:us-east-1/fraud@prod";
const SAGEMAKER: &str = "sagemaker:us-east-1/fraud";
const IMAGE: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com/fraud@sha256:0a1b";

/// What these commands do not ask for: a role is handed over by no request of its own; a tag is taken away again where the weights
/// could not follow it, and bounds that were made for a candidate where it loses.
const NOT_ASKED_FOR: [&str; 3] =
    ["application-autoscaling:DeregisterScalableTarget", "iam:PassRole", "sagemaker:DeleteTags"];

/// What AWS checks besides a call, by a policy of its own each: no request asks for it.
const IMPLICIT: [(&str, &[&str]); 3] = [
    ("lambda-deploy-image", &["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]),
    ("lambda-deploy-s3", &["s3:GetObject", "s3:GetObjectVersion"]),
    ("sagemaker-deploy-kms", &["kms:CreateGrant"]),
];

/// The actions that a request needs: to make something with tags is to tag it, too.
fn actions(request: &Value) -> Vec<String> {
    let operation = request["operation"].as_str().unwrap();
    let tags = operation.starts_with("Create") && !request["body"]["Tags"].is_null();
    [action(request)].into_iter().chain(tags.then(|| "sagemaker:AddTags".to_owned())).collect()
}

fn action(request: &Value) -> String {
    let (api, operation) = (request["api"].as_str().unwrap(), request["operation"].as_str().unwrap());
    match (api, operation) {
        ("lambda", "Invoke") => "lambda:InvokeFunction".to_owned(),
        ("sagemaker-runtime", operation) => format!("sagemaker:{operation}"),
        ("application-autoscaling" | "cloudwatch" | "lambda" | "sagemaker", operation) => format!("{api}:{operation}"),
        other => panic!("{other:?} is no request to AWS"),
    }
}

/// The actions of a policy, and of what resources.
fn policy(name: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/iam/{name}.json"));
    let policy: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let mut actions = BTreeSet::new();
    for statement in policy["Statement"].as_array().unwrap() {
        assert_eq!(statement["Effect"], "Allow", "{name}");
        let one = statement["Action"].as_str();
        let some = statement["Action"].as_array().into_iter().flatten().map(|action| action.as_str().unwrap());
        for action in one.into_iter().chain(some) {
            assert!(actions.insert(action.to_owned()), "{name}: {action} twice");
        }
    }
    assert!(actions.iter().all(|action| !action.contains('*')), "{name} allows more than it names");
    actions
}

/// What commands need, each with an exit code that it may end with: nothing that the policies lack.
fn used(names: &[&str], sandbox: &Sandbox, commands: &[(&[&str], &[i32])]) -> BTreeSet<String> {
    let allowed: BTreeSet<String> = names.iter().flat_map(|name| policy(name)).collect();
    let mut needed = BTreeSet::new();
    for (arguments, codes) in commands {
        // Each finds what the one before it did long since live.
        sandbox.ask("POST", "/_sandbox/clock", r#"{"advance": "20m"}"#);
        sandbox.ask("DELETE", "/_sandbox/requests", "");
        let (code, document) = sandbox.run(arguments);
        assert!(codes.contains(&code), "{arguments:?}: {code} {document}");
        let log: Vec<Value> = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap();
        for action in log.iter().flat_map(actions) {
            assert!(allowed.contains(&action), "{arguments:?} needs {action}, which {names:?} do not allow");
            needed.insert(action);
        }
    }
    needed
}

/// The same, and together they need all of the policies.
fn suffices(names: &[&str], sandbox: &Sandbox, commands: &[&[&str]]) {
    let commands: Vec<(&[&str], &[i32])> = commands.iter().map(|command| (*command, &[0][..])).collect();
    are_needed(names, &used(names, sandbox, &commands));
}

fn are_needed(names: &[&str], needed: &BTreeSet<String>) {
    let allowed: BTreeSet<String> = names.iter().flat_map(|name| policy(name)).collect();
    let idle: Vec<&String> =
        allowed.difference(needed).filter(|action| !NOT_ASKED_FOR.contains(&action.as_str())).collect();
    assert!(idle.is_empty(), "{names:?} allow what nothing needs: {idle:?}");
}

/// Versions 1 to 3 of a function, of which the alias has 2; files to deploy.
fn function() -> Sandbox {
    let world = format!(
        "[cloudwatch]\ndelay = \"60s\"\n[targets.\"{LAMBDA}\"]\nrequests_per_second = 200\nstable = \"2\"\n\
         [targets.\"{LAMBDA}\".revisions]\n1 = {{}}\n2 = {HEALTHY}\n3 = {HEALTHY}\n"
    );
    let sandbox = Sandbox::start(&["--speed", "300"], &world);
    sandbox.write_bytes("model.zip", b"PK\x03\x04 a model");
    sandbox.write("request.json", r#"{"amount": 12}"#);
    sandbox
}

/// Steps without gates.
fn file(target: &str) -> String {
    format!("[services.fraud]\ntarget = \"{target}\"\nsteps = [\"10%\", \"100%\"]\nbake = \"2m\"\n")
}

#[test]
fn of_a_functions_alias() {
    let on: [&str; 2] = ["--target", LAMBDA];
    let with = |verb: &[&'static str]| [verb, &on].concat();
    let (canary, promote, rollback) =
        (with(&["canary", "--pct", "10"]), with(&["promote", "--force"]), with(&["rollback"]));
    let sandbox = function();
    suffices(&["lambda-status"], &sandbox, &[&with(&["status"])]);
    suffices(&["lambda-canary"], &sandbox, &[&canary]);
    suffices(&["lambda-promote"], &sandbox, &[&promote]);
    assert_eq!(sandbox.run(&rollback).0, 0);
    sandbox.ask("PUT", "/2015-03-31/functions/fraud/aliases/prod", r#"{"Description": ""}"#);
    // Where nothing says where to go, revisions are named.
    let mut needed = used(&["lambda-rollback"], &sandbox, &[(&rollback, &[6])]);
    needed.extend(used(&["lambda-rollback"], &sandbox, &[(&with(&["rollback", "--to", "1"]), &[0])]));
    assert_eq!(needed, policy("lambda-rollback"));

    let image = with(&["deploy", "--image", IMAGE, "--smoke", "request.json"]);
    let archive = with(&["deploy", "--zip", "model.zip"]);
    let copy = with(&["deploy", "--from-stable", "--min-instances", "3"]);
    let deploys = function();
    assert_eq!(deploys.run(&image).0, 0);
    deploys.ask("PUT", "/2015-03-31/functions/fraud/aliases/prod", r#"{"FunctionVersion": "4"}"#);
    suffices(&["lambda-deploy"], &deploys, &[&archive, &copy, &image]);

    let provided = function();
    let path = "/2019-09-30/functions/fraud/provisioned-concurrency?Qualifier=2";
    provided.ask("PUT", path, r#"{"ProvisionedConcurrentExecutions": 4}"#);
    provided.write("mlroll.toml", &file(LAMBDA));
    suffices(&["lambda-rollout"], &provided, &[&["rollout", "--no-gates"], &["rollback", "fraud"]]);
}

#[test]
fn of_an_endpoints_variants() {
    let on: [&str; 2] = ["--target", SAGEMAKER];
    let with = |verb: &[&'static str]| [verb, &on].concat();
    let canary = with(&["canary", "--pct", "10", "--candidate", "b"]);
    let autoscaling = "autoscaling = [2, 8]";
    let sandbox = endpoint(HEALTHY, autoscaling);
    // Without gates, which have permissions of their own.
    sandbox.write("mlroll.toml", &file(SAGEMAKER));
    let (status, rollback) = (with(&["status"]), with(&["rollback"]));
    used(&["sagemaker-status"], &sandbox, &[(&status, &[0])]);
    let bare = registry("", "");
    crate::sagemaker_kinds::holds_components(&bare);
    used(&["sagemaker-status"], &bare, &[(&status, &[0])]);
    // Of other bounds than stable's.
    scaling(&sandbox, "RegisterScalableTarget", "b", &json!({ "MinCapacity": 1, "MaxCapacity": 2 }));
    suffices(&["sagemaker-canary"], &sandbox, &[&canary]);
    suffices(&["sagemaker-promote"], &sandbox, &[&with(&["promote", "--force"])]);
    // Beside somebody else's deployment, models are compared.
    deployed(&sandbox, "theirs", None);
    suffices(&["sagemaker-status"], &sandbox, &[&status]);
    suffices(&["sagemaker-rollback"], &sandbox, &[&rollback]);

    let scaled = endpoint(HEALTHY, autoscaling);
    scaled.write("mlroll.toml", &file(SAGEMAKER));
    let rollout = ["rollout", "--no-gates", "--candidate", "b"];
    suffices(&["sagemaker-rollout"], &scaled, &[&rollout, &["rollback", "fraud"]]);

    let shadowed = registry("b = {}", "");
    let shadow = with(&["shadow", "--pct", "20", "--candidate", "b", "--no-gates"]);
    suffices(&["sagemaker-shadow"], &shadowed, &[&shadow, &with(&["shadow", "--off"])]);

    let deploys = registry("b = {}", "");
    deploys.write("request.json", "{}");
    let model = package(1);
    let deploy = ["deploy", "--target", SAGEMAKER, "--model-package", &model, "--smoke", "request.json"];
    let mut needed = used(&["sagemaker-deploy"], &deploys, &[(&deploy, &[0])]);
    // Of another instance type, which autoscaling would not have.
    let retyped = ["deploy", "--target", SAGEMAKER, "--model-package", &model, "--instance-type", "ml.m5.4xlarge"];
    needed.extend(used(&["sagemaker-deploy"], &deploys, &[(&retyped, &[0])]));
    // A way back that is filled anew is none any more, which the tag says.
    let promoted = registry("b = {}", "");
    assert_eq!(promoted.run(&canary).0, 0);
    promoted.ask("POST", "/_sandbox/clock", r#"{"advance": "20m"}"#);
    assert_eq!(promoted.run(&with(&["promote", "--force"])).0, 0);
    let discards = ["deploy", "--target", SAGEMAKER, "--model-package", &model, "--discard-previous"];
    needed.extend(used(&["sagemaker-deploy"], &promoted, &[(&discards, &[0])]));
    are_needed(&["sagemaker-deploy"], &needed);
    let stage = "model_stage = { stage = \"Production\", status = \"InUse\" }\n";
    deploys.write("mlroll.toml", &format!("{}{stage}", file(SAGEMAKER)));
    assert_eq!(deploys.run(&canary).0, 0);
    suffices(&["sagemaker-promote", "sagemaker-stage"], &deploys, &[&["promote", "fraud", "--force"]]);
}

/// Models that are old, and that the endpoint has no more.
#[test]
fn of_what_deployments_leave() {
    let sandbox = registry("b = {}", "");
    let deploy = |more: &[&str]| {
        let deploy = [&["deploy", "--target", SAGEMAKER], more].concat();
        used(&["sagemaker-deploy", "sagemaker-deploy-prune"], &sandbox, &[(&deploy, &[0])])
    };
    for number in 1..5 {
        deploy(&["--model-data", &format!("s3://models/{number}.tar.gz"), "--image", IMAGE]);
        sandbox.ask("POST", "/_sandbox/clock", r#"{"advance": "2h"}"#);
    }
    let needed = deploy(&["--model", "fraud-a", "--prune"]);
    let idle: Vec<String> = policy("sagemaker-deploy-prune").difference(&needed).cloned().collect();
    assert!(idle.is_empty(), "{idle:?}");
}

/// Of all gates there are: an alarm, what is left of the machines, looks of errors; and how late a function is.
#[test]
fn of_gates() {
    let gates = |more: &str| {
        format!(
            "[services.fraud.metrics]\nsource = \"cloudwatch\"\n[[services.fraud.gates]]\nmetric = \"error_rate\"\n\
             max = \"5%\"\n{more}"
        )
    };
    let sandbox = endpoint(HEALTHY, "machine = \"ml.g5.12xlarge\"\n[cloudwatch.alarms.slow]\nstate = \"OK\"");
    let more = "[[services.fraud.gates]]\nmetric = \"cpu_headroom\"\nmin = \"10%\"\nadvisory = true\n\
                [[services.fraud.gates]]\nalarms = [\"slow\"]\nadvisory = true\n";
    sandbox.write("mlroll.toml", &format!("{}{}", file(SAGEMAKER), gates(more)));
    let canary = ["canary", "fraud", "--pct", "10", "--candidate", "b"];
    let of_endpoint = ["sagemaker-canary", "gates"];
    // How gates decide is not the question here.
    let check: (&[&str], &[i32]) = (&["gate", "check"], &[0, 1, 3]);
    let mut needed = used(&of_endpoint, &sandbox, &[(&canary, &[0]), check]);
    let functions = function();
    functions.write("mlroll.toml", &format!("{}{}", file(LAMBDA), gates("")));
    let canary = ["canary", "fraud", "--pct", "10"];
    needed.extend(used(&["lambda-canary", "gates"], &functions, &[(&canary, &[0]), check]));
    let idle: Vec<String> = policy("gates").difference(&needed).cloned().collect();
    assert!(idle.is_empty(), "{idle:?}");
}

/// Each policy is told of, and what no request asks for stands apart from what requests do.
#[test]
fn what_is_checked_besides_the_calls_stands_apart() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let told = std::fs::read_to_string(docs.join("aws.md")).unwrap();
    let mut implicit = BTreeSet::new();
    for (name, actions) in IMPLICIT {
        assert_eq!(policy(name), actions.iter().map(ToString::to_string).collect(), "{name}");
        implicit.extend(policy(name));
    }
    for file in std::fs::read_dir(docs.join("iam")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(told.contains(&format!("[{name}](iam/{name})")), "{name} is told of nowhere");
        let name = name.strip_suffix(".json").unwrap();
        if !IMPLICIT.iter().any(|(named, _)| *named == name) {
            let both: Vec<String> = policy(name).intersection(&implicit).cloned().collect();
            assert!(both.is_empty(), "{name}: {both:?}");
            let apis = ["application-autoscaling:", "cloudwatch:", "iam:PassRole", "lambda:", "sagemaker:"];
            assert!(policy(name).iter().all(|action| apis.iter().any(|api| action.starts_with(api))), "{name}");
        }
    }
}
