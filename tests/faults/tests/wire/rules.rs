use mlroll_faults::Server;
use serde_json::{Value, json};

use crate::client::{Client, server};

const INVALID: &str = "InvalidParameterValueException";

/// Sends an illegal update and checks its refusal, and that nothing changed.
fn refuses(server: &Server, body: &Value, status: u16, code: &str, message: &str) {
    let before = server.alias("fraud", "prod");
    assert_eq!(Client::new(server).put(body).error(), (status, code.to_owned(), message.to_owned()));
    assert_eq!(server.alias("fraud", "prod"), before);
}

fn weights(weights: &Value) -> Value {
    json!({ "RoutingConfig": { "AdditionalVersionWeights": weights } })
}

#[test]
fn a_stale_revision_is_refused() {
    let server = server();
    let stale = server.alias("fraud", "prod").unwrap().revision_id;
    let fresh = server.set_alias("fraud", "prod", |alias| alias.description = "theirs".into()).unwrap();
    let message = "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API \
                   to retrieve the latest Revision Id";
    refuses(&server, &json!({ "RevisionId": stale }), 412, "PreconditionFailedException", message);
    assert_eq!(Client::new(&server).put(&json!({ "RevisionId": fresh })).status, 200);
}

#[test]
fn two_additional_versions_are_refused() {
    let message = "Number of items in AdditionalVersionWeights cannot be greater than 1";
    refuses(&server(), &weights(&json!({ "2": 0.1, "3": 0.1 })), 400, INVALID, message);
}

#[test]
fn weights_out_of_range_are_refused() {
    let server = server();
    for (weight, shown) in [(2.0, "2.0"), (-0.1, "-0.1")] {
        let message = format!(
            "1 validation error detected: Value '{{2={shown}}}' at 'routingConfig.additionalVersionWeights' failed to \
             satisfy constraint: Map value must satisfy constraint: [Member must have value less than or equal to \
             1.0, Member must have value greater than or equal to 0.0, Member must not be null]"
        );
        refuses(&server, &weights(&json!({ "2": weight })), 400, "ValidationException", &message);
    }
    for weight in [0.0, 1.0] {
        assert_eq!(Client::new(&server).put(&weights(&json!({ "2": weight }))).status, 200);
    }
}

#[test]
fn keys_that_are_no_numbers_are_refused() {
    let message = "1 validation error detected: Value '{$LATEST=0.1}' at 'routingConfig.additionalVersionWeights' \
                   failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less than \
                   or equal to 1024, Member must have length greater than or equal to 1, Member must satisfy regular \
                   expression pattern: [0-9]+, Member must not be null]";
    refuses(&server(), &weights(&json!({ "$LATEST": 0.1 })), 400, "ValidationException", message);
}

#[test]
fn the_primary_cannot_be_the_additional_version() {
    let server = server();
    let message = "Invalid function version 1. Function version 1 is already included in routing configuration.";
    refuses(&server, &weights(&json!({ "1": 0.1 })), 400, INVALID, message);

    Client::new(&server).put(&weights(&json!({ "2": 0.1 })));
    let message = "Invalid function version 2. Function version 2 is already included in routing configuration.";
    refuses(&server, &json!({ "FunctionVersion": "2" }), 400, INVALID, message);
}

#[test]
fn latest_takes_no_weights() {
    let server = server();
    let mut body = weights(&json!({ "2": 0.1 }));
    body["FunctionVersion"] = json!("$LATEST");
    let message = "$LATEST is not supported for an alias pointing to more than 1 version";
    refuses(&server, &body, 400, INVALID, message);
    assert_eq!(Client::new(&server).put(&json!({ "FunctionVersion": "$LATEST" })).status, 200);
}

#[test]
fn roles_and_dead_letter_queues_must_agree() {
    let server = server();
    server.version("fraud", 2, |version| version.role = "arn:aws:iam::123456789012:role/other".into());
    server.version("fraud", 3, |version| version.dead_letter = Some("arn:aws:sqs:us-east-1:1:dead".into()));
    let message = "Specified versions must be associated with the same execution role";
    refuses(&server, &weights(&json!({ "2": 0.1 })), 400, INVALID, message);
    let message = "Specified versions must be associated with the same dead letter queue configuration";
    refuses(&server, &weights(&json!({ "3": 0.1 })), 400, INVALID, message);
}

#[test]
fn versions_must_exist() {
    let server = server();
    let message = "Function not found: arn:aws:lambda:us-east-1:123456789012:function:fraud:10";
    refuses(&server, &weights(&json!({ "10": 0.1 })), 404, "ResourceNotFoundException", message);
    refuses(&server, &json!({ "FunctionVersion": "10" }), 404, "ResourceNotFoundException", message);
}

#[test]
fn members_must_fit_the_model() {
    let server = server();
    let refusal = |body: &Value| Client::new(&server).put(body).error();
    let (status, code, message) = refusal(&json!({ "Description": "x".repeat(257) }));
    assert_eq!((status, code.as_str()), (400, "ValidationException"));
    assert!(message.ends_with(
        "at 'description' failed to satisfy constraint: Member must have length less than or \
                               equal to 256"
    ));
    assert_eq!(Client::new(&server).put(&json!({ "Description": "x".repeat(256) })).status, 200);

    let (status, code, _) = refusal(&json!({ "FunctionVersion": "prod" }));
    assert_eq!((status, code.as_str()), (400, "ValidationException"));
    let (status, code, _) = refusal(&json!({ "FunctionVersion": 7 }));
    assert_eq!((status, code.as_str()), (400, "SerializationException"));
    let (status, code, _) = refusal(&json!([]));
    assert_eq!((status, code.as_str()), (400, "SerializationException"));
    let broken = Client::new(&server).try_call("PUT", crate::client::PROD, "{").unwrap();
    assert_eq!((broken.status, broken.header("x-amzn-errortype")), (400, "InvalidRequestContentException"));
}
