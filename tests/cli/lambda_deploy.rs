//! New versions of a Lambda function, on the sandbox in scaled time.

use serde_json::{Value, json};

use crate::sagemaker_killed::{Boundary, killed};
use crate::sandbox::Sandbox;

const FRAUD: &str = "lambda:us-east-1/fraud@prod";
const IMAGE: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com/fraud@sha256:0a1b";

/// An archive, as far as the sandbox looks.
const ARCHIVE: &[u8] = b"PK\x03\x04 a model";

/// Versions 1 to 3, of which the alias has 2, and `$LATEST` is 3.
fn sandbox() -> Sandbox {
    let world = format!(
        r#"
        [targets."{FRAUD}"]
        requests_per_second = 1
        stable = "2"
        [targets."{FRAUD}".revisions]
        1 = {{}}
        2 = {{}}
        3 = {{}}
        "#
    );
    let sandbox = Sandbox::start(&["--speed", "60"], &world);
    sandbox.write_bytes("model.zip", ARCHIVE);
    sandbox.write("request.json", r#"{"amount": 12}"#);
    sandbox
}

fn deploy(sandbox: &Sandbox, arguments: &[&str]) -> (i32, Value) {
    sandbox.run(&[&["deploy", "--target", FRAUD], arguments].concat())
}

/// What Lambda took since the log was emptied; what it had too much of was sent again.
fn sent(sandbox: &Sandbox) -> Vec<String> {
    let log: Vec<Value> = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap();
    let of_lambda = log.iter().filter(|request| request["api"] == "lambda" && request["status"] != 429);
    of_lambda.map(|request| request["operation"].as_str().unwrap().to_owned()).collect()
}

fn writes(sandbox: &Sandbox) -> Vec<String> {
    sent(sandbox)
        .into_iter()
        .filter(|operation| !operation.starts_with("Get") && !operation.starts_with("List"))
        .collect()
}

fn empty_log(sandbox: &Sandbox) {
    sandbox.ask("DELETE", "/_sandbox/requests", "");
}

fn fault(sandbox: &Sandbox, operation: &str, fault: &Value) {
    let mut body = json!({ "api": "lambda", "operation": operation, "skip": 0, "times": 1 });
    body.as_object_mut().unwrap().extend(fault.as_object().unwrap().clone());
    let said = sandbox.ask("POST", "/_sandbox/faults", &body.to_string());
    assert!(!said.contains("error"), "{said}");
}

/// The published versions, oldest first. Asked again when Lambda has had too many questions.
fn versions(sandbox: &Sandbox) -> Vec<Value> {
    let list =
        || -> Value { serde_json::from_str(&sandbox.ask("GET", "/2015-03-31/functions/fraud/versions", "")).unwrap() };
    let mut listed = list();
    for _ in 0..50 {
        if listed["Reason"] != "CallerRateLimitExceeded" {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
        listed = list();
    }
    listed["Versions"]
        .as_array()
        .unwrap_or_else(|| panic!("{listed}"))
        .iter()
        .filter(|version| version["Version"] != "$LATEST")
        .cloned()
        .collect()
}

fn alias(sandbox: &Sandbox) -> Value {
    serde_json::from_str(&sandbox.ask("GET", "/2015-03-31/functions/fraud/aliases/prod", "")).unwrap()
}

#[test]
fn new_code_is_a_version_without_traffic_and_the_same_code_is_the_same_version() {
    let sandbox = sandbox();
    let before = alias(&sandbox);
    for (n, arguments) in
        [&["--zip", "model.zip"][..], &["--s3", "s3://models/fraud.zip?versionId=7"], &["--image", IMAGE]]
            .into_iter()
            .enumerate()
    {
        let version = (n + 4).to_string();
        empty_log(&sandbox);
        let (code, document) = deploy(&sandbox, arguments);
        assert_eq!((code, &document["outcome"]), (0, &json!("deployed")), "{document}");
        assert_eq!(document["targets"][0]["revision"], version.as_str());
        assert_eq!(writes(&sandbox), ["UpdateFunctionCode", "PublishVersion"]);
        let newest = versions(&sandbox).pop().unwrap();
        assert_eq!(newest["Version"], version.as_str());

        empty_log(&sandbox);
        let (code, document) = deploy(&sandbox, arguments);
        assert_eq!((code, &document["outcome"]), (0, &json!("unchanged")), "{document}");
        assert_eq!(document["targets"][0]["revision"], version.as_str());
        // What lies elsewhere has no hash to compare before it is sent.
        let uploads = writes(&sandbox).iter().filter(|operation| *operation == "UpdateFunctionCode").count();
        assert_eq!(uploads, usize::from(n > 0));
        assert_eq!(versions(&sandbox).pop().unwrap(), newest);
    }
    assert_eq!(alias(&sandbox), before, "nobody was moved");
}

/// Each call is refused, lost before it is carried out and after; then the same command once more.
#[test]
fn whatever_is_lost_the_same_command_typed_again_makes_one_version() {
    let cases = [
        json!({ "fault": "status", "status": 500, "code": "ServiceException", "times": 5 }),
        json!({ "fault": "reset_before", "times": 5 }),
        json!({ "fault": "reset_after", "times": 5 }),
        json!({ "fault": "reset_after", "times": 1 }),
        json!({ "fault": "truncate", "times": 1 }),
    ];
    std::thread::scope(|scope| {
        for arguments in [["--zip", "model.zip"], ["--image", IMAGE], ["--s3", "s3://models/fraud.zip"]] {
            let cases = &cases;
            scope.spawn(move || {
                for operation in
                    ["GetFunctionConfiguration", "UpdateFunctionCode", "ListVersionsByFunction", "PublishVersion"]
                {
                    for case in cases {
                        let sandbox = sandbox();
                        fault(&sandbox, operation, case);
                        let (first, _) = deploy(&sandbox, &arguments);
                        assert!([0, 4, 7].contains(&first), "{operation} {case}: {first}");
                        sandbox.ask("DELETE", "/_sandbox/faults", "");
                        let (code, document) = deploy(&sandbox, &arguments);
                        assert_eq!(code, 0, "{arguments:?} {operation} {case}: {document}");
                        assert_eq!(document["targets"][0]["revision"], "4", "{arguments:?} {operation} {case}");
                        assert_eq!(versions(&sandbox).len(), 4, "{arguments:?} {operation} {case}");
                    }
                }
            });
        }
    });
}

/// `kill -9` at each of its calls, before and after it is carried out.
#[test]
fn whoever_is_killed_makes_one_version_when_typed_again() {
    let arguments = ["deploy", "--target", FRAUD, "--zip", "model.zip"];
    for operation in ["GetFunctionConfiguration", "UpdateFunctionCode", "PublishVersion", "ListVersionsByFunction"] {
        for done in [false, true] {
            let sandbox = sandbox();
            let (api, operation) = ("lambda".to_owned(), operation.to_owned());
            let boundary = Boundary { api, operation, nth: 0, done };
            assert!(killed(&sandbox, &arguments, &boundary), "{boundary:?}");
            let (code, document) = deploy(&sandbox, &["--zip", "model.zip"]);
            assert_eq!((code, versions(&sandbox).len()), (0, 4), "{boundary:?}: {document}");
            assert_eq!(document["targets"][0]["revision"], "4", "{boundary:?}");
        }
    }
}

/// The answers to an upload and to a publish are lost once each: read again, they are seen to have landed.
#[test]
fn a_lost_answer_is_no_conflict() {
    for (operation, arguments) in [
        ("UpdateFunctionCode", ["--zip", "model.zip"]),
        ("UpdateFunctionCode", ["--image", IMAGE]),
        ("PublishVersion", ["--zip", "model.zip"]),
    ] {
        let sandbox = sandbox();
        fault(&sandbox, operation, &json!({ "fault": "reset_after" }));
        let (code, document) = deploy(&sandbox, &arguments);
        assert_eq!((code, versions(&sandbox).len()), (0, 4), "{operation} {arguments:?}: {document}");
    }
}

#[test]
fn somebody_elses_change_of_the_code_is_a_conflict() {
    let sandbox = sandbox();
    fault(&sandbox, "UpdateFunctionCode", &json!({ "fault": "foreign_write" }));
    let (code, document) = deploy(&sandbox, &["--zip", "model.zip"]);
    assert_eq!(code, 4, "{document}");
    assert_eq!(versions(&sandbox).len(), 3);
}

#[test]
fn what_cannot_start_is_told_in_lambdas_own_words() {
    for (operation, words) in [
        ("UpdateFunctionCode", "The code cannot be used. [InvalidImage]"),
        ("PublishVersion", "version 4 is Failed: The function could not be created. [InternalError]"),
        ("PutProvisionedConcurrencyConfig", "FUNCTION_ERROR_INIT_FAILURE"),
    ] {
        let sandbox = sandbox();
        fault(&sandbox, operation, &json!({ "fault": "settle_failed" }));
        let (code, document) = deploy(&sandbox, &["--image", IMAGE, "--min-instances", "3"]);
        assert_eq!(code, 2, "{operation}: {document}");
        let said = document["targets"][0]["error"]["message"].as_str().unwrap();
        assert!(said.contains(words), "{operation}: {said}");
    }
}

#[test]
fn a_copy_of_stable_is_a_version_of_its_own_with_environments_kept_ready() {
    let sandbox = sandbox();
    // `$LATEST` is version 3, whose archive is not stable's.
    let (code, document) = deploy(&sandbox, &["--from-stable", "--min-instances", "3"]);
    assert_eq!(code, 2, "{document}");
    assert!(document["error"]["message"].as_str().unwrap().contains("--zip or --s3"), "{document}");
    // Version 4 is an image, and stable; `$LATEST` is an archive again.
    assert_eq!(deploy(&sandbox, &["--image", IMAGE]).0, 0);
    sandbox.ask("PUT", "/2015-03-31/functions/fraud/aliases/prod", r#"{"FunctionVersion": "4"}"#);
    assert_eq!(deploy(&sandbox, &["--zip", "model.zip"]).0, 0);
    for outcome in ["deployed", "unchanged"] {
        let (code, document) = deploy(&sandbox, &["--from-stable", "--min-instances", "3"]);
        assert_eq!((code, &document["outcome"]), (0, &json!(outcome)), "{document}");
        assert_eq!(document["targets"][0]["revision"], "6");
    }
    let provisioned = "/2019-09-30/functions/fraud/provisioned-concurrency?Qualifier=6";
    let provisioned: Value = serde_json::from_str(&sandbox.ask("GET", provisioned, "")).unwrap();
    assert_eq!(
        (&provisioned["Status"], &provisioned["RequestedProvisionedConcurrentExecutions"]),
        (&json!("READY"), &json!(3))
    );
    let listed = versions(&sandbox);
    assert_eq!(listed[5]["CodeSha256"], listed[3]["CodeSha256"]);
    assert_eq!(listed.len(), 6);
}

#[test]
fn the_code_of_stable_is_stable_and_settings_that_are_not_stables_are_told() {
    let sandbox = sandbox();
    assert_eq!(deploy(&sandbox, &["--zip", "model.zip"]).0, 0);
    sandbox.ask("PUT", "/2015-03-31/functions/fraud/aliases/prod", r#"{"FunctionVersion": "4"}"#);
    let (code, document) = deploy(&sandbox, &["--zip", "model.zip"]);
    assert_eq!((code, &document["targets"][0]["revision"]), (0, &json!("4")), "{document}");
    assert!(document["targets"][0]["notes"][0].as_str().unwrap().contains("no second version"), "{document}");

    sandbox.ask(
        "PUT",
        "/2015-03-31/functions/fraud/configuration",
        r#"{"MemorySize": 512, "Environment": {"Variables": {"KEY": "sesame"}}}"#,
    );
    let (code, document) = deploy(&sandbox, &["--zip", "model.zip"]);
    assert_eq!((code, &document["targets"][0]["revision"]), (0, &json!("5")), "{document}");
    let note = document["targets"][0]["notes"][0].as_str().unwrap();
    assert!(note.contains("Environment, MemorySize") && !note.contains("sesame"), "{note}");
}

#[test]
fn an_alias_that_would_serve_new_code_at_once_is_refused() {
    let sandbox = sandbox();
    sandbox.ask("PUT", "/2015-03-31/functions/fraud/aliases/prod", r#"{"FunctionVersion": "$LATEST"}"#);
    empty_log(&sandbox);
    let (code, document) = deploy(&sandbox, &["--zip", "model.zip"]);
    assert_eq!(code, 2, "{document}");
    assert!(document["error"]["message"].as_str().unwrap().contains("$LATEST"), "{document}");
    assert_eq!(writes(&sandbox), [""; 0]);
}

#[test]
fn a_smoke_test_asks_the_version_itself() {
    let world = format!(
        r#"
        [targets."{FRAUD}"]
        requests_per_second = 1
        stable = "2"
        [targets."{FRAUD}".revisions]
        2 = {{}}
        4 = {{ error_rate = 1.0 }}
        "#
    );
    let good = sandbox();
    let (code, document) = deploy(&good, &["--zip", "model.zip", "--smoke", "request.json"]);
    assert_eq!(code, 0, "{document}");
    assert_eq!(document["targets"][0]["smoke"], json!({ "ok": true, "answer": r#"200 {"version":"4"}"# }));

    // The newest version is the bad one, and `$LATEST` has its code.
    let bad = Sandbox::start(&["--speed", "60"], &world);
    bad.write("request.json", r#"{"amount": 12}"#);
    let (code, document) = deploy(&bad, &["--s3", "s3://models/fraud.zip", "--smoke", "request.json"]);
    assert_eq!((code, &document["targets"][0]["revision"]), (0, &json!("5")), "{document}");
    bad.ask("PUT", "/2015-03-31/functions/fraud/configuration", r#"{"MemorySize": 512}"#);
    let said = bad.ask("POST", "/2015-03-31/functions/fraud/invocations?Qualifier=4", "{}");
    assert!(said.contains("The model failed."), "{said}");
}

#[test]
fn a_rehearsal_tells_each_call_and_sends_no_write() {
    let sandbox = sandbox();
    empty_log(&sandbox);
    let (code, document) = deploy(&sandbox, &["--zip", "model.zip", "--min-instances", "2", "--dry-run"]);
    assert_eq!(code, 0, "{document}");
    let calls: Vec<&Value> =
        document["calls"].as_array().unwrap().iter().filter(|call| call["method"] != "GET").collect();
    let names: Vec<&str> = calls.iter().map(|call| call["operation"].as_str().unwrap()).collect();
    assert_eq!(names, ["UpdateFunctionCode", "PublishVersion", "PutProvisionedConcurrencyConfig"], "{document}");
    assert_eq!(document["targets"][0]["revision"], "4");
    let body = calls[0]["body"].to_string();
    assert!(body.contains("bytes in all") && body.contains("RevisionId"), "{body}");
    assert_eq!(writes(&sandbox), [""; 0]);
    assert_eq!(versions(&sandbox).len(), 3);
}

#[test]
fn what_means_nothing_to_lambda_is_refused_before_anything_is_sent() {
    let sandbox = sandbox();
    for arguments in [
        &["--model", "fraud-7"][..],
        &["--zip", "model.zip", "--name", "fraud-7"],
        &["--zip", "model.zip", "--instances", "2"],
        &["--zip", "model.zip", "--instance-type", "ml.m5.large"],
        &["--zip", "model.zip", "--environment", "torch"],
    ] {
        empty_log(&sandbox);
        let (code, document) = deploy(&sandbox, arguments);
        assert_eq!(code, 2, "{arguments:?}: {document}");
        assert_eq!(writes(&sandbox), [""; 0]);
    }
}
