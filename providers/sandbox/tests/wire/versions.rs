use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mlroll_sandbox::{Background, Options};
use serde_json::{Value, json};

use crate::client::{ARN, Client, FRAUD, PROD, advance, options, sandbox, weights};

fn zip(text: &str) -> Value {
    json!(STANDARD.encode(format!("PK{text}")))
}

fn configuration(client: &mut Client, qualifier: &str) -> Value {
    client.get(&format!("{FRAUD}/configuration?Qualifier={qualifier}")).good()
}

#[test]
fn code_is_updated_then_published_then_active() {
    let sandbox = sandbox();
    let mut client = Client::new(&sandbox);
    let code = format!("{FRAUD}/code");
    let updated = client.put(&code, &json!({ "ZipFile": zip("4") })).good();
    assert_eq!(updated["LastUpdateStatus"], "InProgress");
    assert_eq!((&updated["State"], &updated["Version"]), (&json!("Active"), &json!("$LATEST")));

    let busy = client.post(&format!("{FRAUD}/versions"), &json!({})).error();
    let message =
        format!("The operation cannot be performed at this time. An update is in progress for resource: {ARN}");
    assert_eq!(busy, (409, "ResourceConflictException".into(), message));
    assert_eq!(client.put(&code, &json!({ "ZipFile": zip("5") })).status, 409);
    assert_eq!(client.put(&format!("{FRAUD}/configuration"), &json!({ "Timeout": 9 })).status, 409);

    advance(&sandbox, "4s");
    let settled = configuration(&mut client, "%24LATEST");
    assert_eq!(settled["LastUpdateStatus"], "Successful");
    assert_ne!(settled["RevisionId"], updated["RevisionId"], "a change of state is a change");
    let versions = format!("{FRAUD}/versions");
    let stale = client.post(&versions, &json!({ "RevisionId": updated["RevisionId"] })).error();
    assert_eq!((stale.0, stale.1.as_str()), (412, "PreconditionFailedException"));
    let other = client.post(&versions, &json!({ "CodeSha256": "x" })).error();
    assert!(other.2.starts_with("CodeSHA256 (x) is different from current CodeSHA256 in $LATEST ("), "{other:?}");
    let checked =
        json!({ "RevisionId": settled["RevisionId"], "CodeSha256": settled["CodeSha256"], "Description": "d" });
    let published = client.post(&versions, &checked);
    assert_eq!(published.status, 201);
    let published = published.json();
    assert_eq!((&published["Version"], &published["State"]), (&json!("4"), &json!("Pending")));
    assert_eq!(published["FunctionArn"], format!("{ARN}:4"));
    let invoked = client.post(&format!("{FRAUD}/invocations?Qualifier=4"), &json!({})).error();
    assert_eq!((invoked.0, invoked.1.as_str()), (409, "ResourceConflictException"));
    // Unchanged code is no new version.
    assert_eq!(client.post(&versions, &json!({ "Description": "e" })).good()["Version"], "4");

    advance(&sandbox, "6s");
    let active = configuration(&mut client, "4");
    assert_eq!((&active["State"], &active["Description"]), (&json!("Active"), &json!("d")));
    client.put(PROD, &weights(&json!({ "4": 0.1 }))).good();
}

#[test]
fn code_and_settings_are_checked() {
    let sandbox = sandbox();
    let mut client = Client::new(&sandbox);
    let code = format!("{FRAUD}/code");
    for (body, code_name, text) in [
        (json!({}), "InvalidParameterValueException", "Please provide a source for function code."),
        (json!({"ZipFile": "eA=="}), "InvalidParameterValueException", "Could not unzip uploaded file."),
        (json!({"ZipFile": "%"}), "SerializationException", "ZipFile"),
        (json!({"ZipFile": zip("4"), "RevisionId": "x"}), "PreconditionFailedException", "Revision Id"),
    ] {
        let (_, found, message) = client.put(&code, &body).error();
        assert_eq!(found, code_name, "{body}");
        assert!(message.contains(text), "{message}");
    }
    let before = configuration(&mut client, "%24LATEST");
    let dry = client.put(&code, &json!({"S3Bucket": "b", "S3Key": "k", "DryRun": true})).good();
    assert_ne!(dry["CodeSha256"], before["CodeSha256"]);
    assert_eq!(configuration(&mut client, "%24LATEST"), before);
    let wrong = client.put(&format!("{FRAUD}/configuration"), &json!({"Timeout": 901, "MemorySize": 1})).error();
    assert!(wrong.2.starts_with("2 validation errors detected: Value '901' at 'timeout'"), "{wrong:?}");
    let settings = json!({"Timeout": 30, "MemorySize": 256, "Environment": {"Variables": {"A": "b"}}});
    let changed = client.put(&format!("{FRAUD}/configuration"), &settings).good();
    assert_eq!((&changed["Timeout"], &changed["Environment"]["Variables"]["A"]), (&json!(30), &json!("b")));
    advance(&sandbox, "4s");
    // Settings alone make a new version too.
    let published = client.put(&code, &json!({"ImageUri": "r/i@sha256:1", "Publish": true})).good();
    assert_eq!((&published["Version"], &published["Timeout"]), (&json!("4"), &json!(30)));
}

#[test]
fn versions_are_listed_in_order_without_their_state() {
    let sandbox = sandbox();
    let mut client = Client::new(&sandbox);
    for n in 0..8 {
        client.put(&format!("{FRAUD}/code"), &json!({ "ZipFile": zip(&n.to_string()), "Publish": true })).good();
        advance(&sandbox, "10s");
    }
    let mut names = Vec::new();
    let mut marker = String::new();
    loop {
        let page = client.get(&format!("{FRAUD}/versions?MaxItems=5{marker}")).good();
        let versions = page["Versions"].as_array().unwrap();
        assert!(versions.iter().all(|version| version.get("State").is_none()));
        names.extend(versions.iter().map(|version| version["Version"].as_str().unwrap().to_owned()));
        let Some(next) = page["NextMarker"].as_str() else { break };
        let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
        marker = format!("&Marker={next}");
    }
    assert_eq!(names, ["$LATEST", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"]);
    let functions = client.get("/2015-03-31/functions/").good();
    assert_eq!(functions["Functions"][0]["FunctionArn"], ARN);
}

#[test]
fn functions_are_described_by_name_version_and_alias() {
    let sandbox = sandbox();
    let mut client = Client::new(&sandbox);
    let whole = client.get(FRAUD).good();
    assert_eq!(whole["Configuration"]["FunctionArn"], ARN);
    assert_eq!(whole["Configuration"]["Version"], "$LATEST");
    assert_eq!(client.get(&format!("{FRAUD}?Qualifier=3")).good()["Configuration"]["FunctionArn"], format!("{ARN}:3"));
    assert_eq!(configuration(&mut client, "prod")["Version"], "2");
    let missing = client.get(&format!("{FRAUD}/configuration?Qualifier=9")).error();
    assert_eq!(missing, (404, "ResourceNotFoundException".into(), format!("Function not found: {ARN}:9")));
    let nothing = client.get("/2015-03-31/functions/nope").error();
    assert_eq!(nothing.2, "Function not found: arn:aws:lambda:us-east-1:123456789012:function:nope");
    assert_eq!(client.get("/2015-03-31/functions/a%20b").error().1, "ValidationException");
    let unknown = client.put("/2015-03-31/functions/fraud/nonsense", &json!({})).error();
    assert_eq!((unknown.0, unknown.1.as_str()), (404, "UnknownOperationException"));
}

#[test]
fn a_failed_version_never_serves() {
    let scenario = r#"
        [targets."lambda:us-east-1/fraud@prod"]
        requests_per_second = 1
        stable = "2"
        revisions = { 2 = {}, 4 = { state = "Failed" } }
    "#;
    let options = Options { scenario: Some(scenario.parse().unwrap()), ..options() };
    let sandbox = Background::start(options).unwrap();
    let mut client = Client::new(&sandbox);
    let failed = configuration(&mut client, "4");
    assert_eq!((&failed["State"], failed["StateReason"].is_string()), (&json!("Failed"), true));
    assert_eq!(configuration(&mut client, "2")["State"], "Active");
    let invoked = client.post(&format!("{FRAUD}/invocations?Qualifier=4"), &json!({})).error();
    assert_eq!((invoked.0, invoked.1.as_str()), (409, "ResourceConflictException"));
}

#[test]
fn a_version_that_serves_cannot_be_deleted() {
    let sandbox = sandbox();
    let mut client = Client::new(&sandbox);
    client.put(PROD, &weights(&json!({ "3": 0.1 }))).good();
    for version in ["2", "3"] {
        let refused = client.delete(&format!("{FRAUD}?Qualifier={version}")).error();
        let message = "Unable to delete version because the following aliases reference it: [prod]";
        assert_eq!(refused, (409, "ResourceConflictException".into(), message.into()));
    }
    assert_eq!(client.delete(&format!("{FRAUD}?Qualifier=%24LATEST")).status, 400);
    assert_eq!(client.delete(&format!("{FRAUD}?Qualifier=prod")).status, 400);
    assert_eq!(client.delete(&format!("{FRAUD}?Qualifier=1")).status, 204);
    assert_eq!(client.delete(&format!("{FRAUD}?Qualifier=1")).status, 404);
    assert_eq!(client.delete(FRAUD).status, 204);
    assert_eq!(client.get(PROD).status, 404);
}

#[test]
fn invocations_follow_the_weights_and_fail_as_the_version_does() {
    let sandbox = sandbox();
    for (version, error_rate) in [("2", 0.0), ("3", 1.0)] {
        let mut world = sandbox.world().lock();
        let service = world.scenario.targets.get_mut("lambda:us-east-1/fraud@prod").unwrap();
        service.revisions.get_mut(version).unwrap().error_rate = error_rate;
    }
    let mut client = Client::new(&sandbox);
    client.put(PROD, &weights(&json!({ "3": 0.25 }))).good();
    let (mut of_3, mut failed) = (0, 0);
    for _ in 0..2000 {
        let answer = client.post(&format!("{FRAUD}/invocations?Qualifier=prod"), &json!({"x": 1}));
        assert_eq!(answer.status, 200);
        let is_3 = answer.header("x-amz-executed-version") == "3";
        of_3 += u32::from(is_3);
        failed += u32::from(is_3 && answer.header("x-amz-function-error") == "Unhandled");
        assert_eq!(is_3, answer.json().get("errorMessage").is_some());
        assert!(is_3 || answer.json()["version"] == "2");
    }
    // Five standard deviations.
    assert!((403..=597).contains(&of_3), "{of_3}");
    assert_eq!(of_3, failed);
    let direct = client.post(&format!("{FRAUD}:1/invocations"), &json!({}));
    assert_eq!(direct.header("x-amz-executed-version"), "1");
    assert_eq!(
        client.call("POST", &format!("{FRAUD}/invocations"), b"{").unwrap().error().1,
        "InvalidRequestContentException"
    );
}
