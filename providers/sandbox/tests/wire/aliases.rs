use serde_json::{Value, json};

use crate::client::{ARN, Client, FRAUD, PROD, options, sandbox, weights};
use mlroll_sandbox::{Background, Options};

const INVALID: &str = "InvalidParameterValueException";

/// Sends an illegal update and checks its refusal, and that nothing changed.
fn refuses(sandbox: &Background, body: &Value, status: u16, code: &str, message: &str) {
    let mut client = Client::new(sandbox);
    let before = client.get(PROD).good();
    assert_eq!(client.put(PROD, body).error(), (status, code.to_owned(), message.to_owned()));
    assert_eq!(client.get(PROD).good(), before);
}

#[test]
fn the_default_world_has_prod_on_2_of_3_without_a_marker() {
    let sandbox = sandbox();
    let answer = Client::new(&sandbox).get(PROD);
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.header("x-amzn-requestid").len(), 36);
    let alias = answer.json();
    let revision = &alias["RevisionId"];
    assert_eq!(revision.as_str().unwrap().len(), 36);
    let expected = json!({"AliasArn": format!("{ARN}:prod"), "Name": "prod", "FunctionVersion": "2", "Description": "",
        "RevisionId": revision});
    assert_eq!(alias, expected);
}

#[test]
fn update_alias_keeps_what_is_absent_and_mints_a_revision_every_time() {
    let sandbox = sandbox();
    let mut client = Client::new(&sandbox);
    let mut seen = vec![client.get(PROD).good()["RevisionId"].clone()];
    let mut step = weights(&json!({ "3": 0.05 }));
    step["Description"] = json!("canary");
    step["RevisionId"] = seen[0].clone();
    for body in [step, json!({}), json!({ "FunctionVersion": null })] {
        let answer = client.put(PROD, &body).good();
        assert_eq!(answer["FunctionVersion"], "2");
        assert_eq!(answer["Description"], "canary");
        assert_eq!(answer["RoutingConfig"], json!({ "AdditionalVersionWeights": { "3": 0.05 } }));
        assert!(!seen.contains(&answer["RevisionId"]));
        seen.push(answer["RevisionId"].clone());
        assert_eq!(client.get(PROD).good(), answer);
    }
    let cleared = client.put(PROD, &weights(&json!({}))).good();
    assert_eq!(cleared.get("RoutingConfig"), None);
    // Promote is one call.
    client.put(PROD, &weights(&json!({ "3": 0.5 }))).good();
    let mut promote = weights(&json!({}));
    promote["FunctionVersion"] = json!("3");
    let promoted = client.put(PROD, &promote).good();
    assert_eq!((promoted["FunctionVersion"].as_str(), promoted.get("RoutingConfig")), (Some("3"), None));
}

#[test]
fn a_stale_revision_is_refused() {
    let sandbox = sandbox();
    let mut client = Client::new(&sandbox);
    let stale = client.get(PROD).good()["RevisionId"].clone();
    let fresh = client.put(PROD, &json!({ "Description": "theirs" })).good()["RevisionId"].clone();
    let message = "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API \
                   to retrieve the latest Revision Id";
    refuses(&sandbox, &json!({ "RevisionId": stale }), 412, "PreconditionFailedException", message);
    client.put(PROD, &json!({ "RevisionId": fresh })).good();
}

#[test]
fn illegal_splits_are_refused() {
    let sandbox = sandbox();
    let two = "Number of items in AdditionalVersionWeights cannot be greater than 1";
    refuses(&sandbox, &weights(&json!({ "1": 0.1, "3": 0.1 })), 400, INVALID, two);
    for (weight, shown) in [(2.0, "2.0"), (-0.1, "-0.1")] {
        let message = format!(
            "1 validation error detected: Value '{{3={shown}}}' at 'routingConfig.additionalVersionWeights' failed to \
             satisfy constraint: Map value must satisfy constraint: [Member must have value less than or equal to \
             1.0, Member must have value greater than or equal to 0.0, Member must not be null]"
        );
        refuses(&sandbox, &weights(&json!({ "3": weight })), 400, "ValidationException", &message);
    }
    let same = "Invalid function version 2. Function version 2 is already included in routing configuration.";
    refuses(&sandbox, &weights(&json!({ "2": 0.1 })), 400, INVALID, same);
    let mut latest = weights(&json!({ "3": 0.1 }));
    latest["FunctionVersion"] = json!("$LATEST");
    let message = "$LATEST is not supported for an alias pointing to more than 1 version";
    refuses(&sandbox, &latest, 400, INVALID, message);
    let missing = format!("Function not found: {ARN}:10");
    refuses(&sandbox, &weights(&json!({ "10": 0.1 })), 404, "ResourceNotFoundException", &missing);
    refuses(&sandbox, &json!({ "FunctionVersion": "10" }), 404, "ResourceNotFoundException", &missing);
    let mut client = Client::new(&sandbox);
    for weight in [0.0, 1.0, 0.0001] {
        client.put(PROD, &weights(&json!({ "3": weight }))).good();
    }
    // Only the version, while weights name it.
    let message = "Invalid function version 3. Function version 3 is already included in routing configuration.";
    refuses(&sandbox, &json!({ "FunctionVersion": "3" }), 400, INVALID, message);
}

#[test]
fn roles_and_dead_letter_queues_must_agree() {
    let sandbox = sandbox();
    let mut client = Client::new(&sandbox);
    for (change, message) in [
        (json!({"Role": "arn:aws:iam::123456789012:role/other"}), "the same execution role"),
        (
            json!({"Role": "arn:aws:iam::123456789012:role/fraud", "DeadLetterConfig": {"TargetArn": "arn:aws:sqs:q"}}),
            "the same dead letter queue configuration",
        ),
    ] {
        client.put(&format!("{FRAUD}/configuration"), &change).good();
        crate::client::advance(&sandbox, "10s");
        let version = client.post(&format!("{FRAUD}/versions"), &json!({})).good()["Version"].clone();
        let message = format!("Specified versions must be associated with {message}");
        refuses(&sandbox, &weights(&json!({ version.as_str().unwrap(): 0.1 })), 400, INVALID, &message);
    }
}

#[test]
fn members_must_fit_the_model() {
    let sandbox = sandbox();
    let mut client = Client::new(&sandbox);
    let mut refusal = |body: &Value| {
        let (status, code, message) = client.put(PROD, body).error();
        assert_eq!(status, 400);
        (code, message)
    };
    let (code, message) = refusal(&json!({ "Description": "x".repeat(257), "FunctionVersion": "prod" }));
    assert_eq!(code, "ValidationException");
    assert!(message.starts_with("2 validation errors detected: Value 'prod' at 'functionVersion'"), "{message}");
    assert!(message.ends_with("Member must have length less than or equal to 256"), "{message}");
    for body in
        [json!({ "FunctionVersion": 7 }), json!([]), json!({ "RoutingConfig": "x" }), weights(&json!({"3": "x"}))]
    {
        assert_eq!(refusal(&body).0, "SerializationException", "{body}");
    }
    assert_eq!(client.call("PUT", PROD, b"{").unwrap().error().1, "InvalidRequestContentException");
    client.put(PROD, &json!({ "Description": "x".repeat(256) })).good();
}

#[test]
fn aliases_are_made_listed_and_deleted() {
    let sandbox = sandbox();
    let mut client = Client::new(&sandbox);
    let aliases = format!("{FRAUD}/aliases");
    let made = client.post(&aliases, &json!({"Name": "blue", "FunctionVersion": "1", "Description": "d"}));
    assert_eq!(made.status, 201);
    let mut green = weights(&json!({ "3": 0.2 }));
    green["Name"] = json!("green");
    green["FunctionVersion"] = json!("1");
    client.post(&aliases, &green).good();
    let again = client.post(&aliases, &json!({"Name": "blue", "FunctionVersion": "1"})).error();
    assert_eq!(again, (409, "ResourceConflictException".into(), format!("Alias already exists: {ARN}:blue")));
    let nothing = client.post(&aliases, &json!({})).error();
    assert!(nothing.2.starts_with("2 validation errors detected: Value null at 'name'"), "{nothing:?}");
    let digits = client.post(&aliases, &json!({"Name": "7", "FunctionVersion": "1"})).error();
    assert!(digits.2.contains("(?!^[0-9]+$)([a-zA-Z0-9-_]+)"), "{digits:?}");

    let mut listed = |query: &str| -> (Vec<String>, Value) {
        let page = client.get(&format!("{aliases}?{query}")).good();
        let names = page["Aliases"].as_array().unwrap().iter();
        (names.map(|alias| alias["Name"].as_str().unwrap().to_owned()).collect(), page["NextMarker"].clone())
    };
    assert_eq!(listed(""), (vec!["blue".into(), "green".into(), "prod".into()], Value::Null));
    assert_eq!(listed("FunctionVersion=3").0, ["green"]);
    let (first, marker) = listed("MaxItems=2");
    assert_eq!(first, ["blue", "green"]);
    let marker: String = form_urlencoded::byte_serialize(marker.as_str().unwrap().as_bytes()).collect();
    assert_eq!(listed(&format!("MaxItems=2&Marker={marker}")), (vec!["prod".into()], Value::Null));
    let refused = client.get(&format!("{aliases}?MaxItems=0")).error();
    assert!(refused.2.contains("Value '0' at 'maxItems'"), "{refused:?}");
    assert_eq!(client.get(&format!("{aliases}?Marker=nonsense")).error().1, INVALID);

    assert_eq!(client.delete(&format!("{aliases}/blue")).status, 204);
    assert_eq!(client.delete(&format!("{aliases}/blue")).status, 204);
    let gone = client.get(&format!("{aliases}/blue")).error();
    assert_eq!(gone, (404, "ResourceNotFoundException".into(), format!("Cannot find alias arn: {ARN}:blue")));
    let gone = client.put(&format!("{aliases}/blue"), &json!({})).error();
    assert_eq!(gone.2, format!("Alias not found: {ARN}:blue"));
}

#[test]
fn the_signature_tells_the_region_and_must_be_there() {
    let sandbox = sandbox();
    let mut client = Client::new(&sandbox);
    for (header, code) in [
        ("X: y", "MissingAuthenticationTokenException"),
        ("Authorization: Bearer x", "MissingAuthenticationTokenException"),
        ("Authorization: AWS4-HMAC-SHA256 Credential=AK/us-east-1", "IncompleteSignatureException"),
        ("Authorization: AWS4-HMAC-SHA256 Credential=AK/1/us-east-1/s3/aws4_request", "InvalidSignatureException"),
    ] {
        client.send(format!("GET {PROD} HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n").as_bytes()).unwrap();
        let (status, found, _) = client.answer().unwrap().error();
        assert_eq!((status, found.as_str()), (403, code), "{header}");
    }
    let elsewhere = Client::new(&sandbox).region("eu-west-1").get(PROD).error();
    assert_eq!(elsewhere.2, "Function not found: arn:aws:lambda:eu-west-1:123456789012:function:fraud");
    let name = "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Afraud/aliases/prod";
    client.get(name).good();
    let foreign = Client::new(&sandbox).region("eu-west-1").get(name).error();
    assert_eq!(foreign.2, "Functions from 'us-east-1' are not reachable in this region ('eu-west-1')");
}

#[test]
fn requests_are_limited_per_region() {
    let sandbox = Background::start(Options { rate_limits: true, ..options() }).unwrap();
    let mut client = Client::new(&sandbox);
    let answers: Vec<_> = (0..40).map(|_| client.get(PROD)).collect();
    assert!(answers[..15].iter().all(|answer| answer.status == 200));
    let throttled = answers.iter().find(|answer| answer.status == 429).expect("40 requests at once are too many");
    assert_eq!(throttled.error().1, "TooManyRequestsException");
    assert_eq!(throttled.json()["Reason"], "CallerRateLimitExceeded");
    assert_eq!(throttled.header("retry-after"), "1");
    // Invocations have limits of their own.
    let invoked = client.post(&format!("{FRAUD}/invocations?Qualifier=prod"), &json!({}));
    assert_eq!(invoked.status, 200);
    assert_eq!(Client::new(&sandbox).region("eu-west-1").get(PROD).status, 404);
}
