use serde_json::{Value, json};

use crate::client::{ARN, Client, FRAUD, PROD, advance, sandbox, weights};

const CONFIGS: &str = "/2019-09-30/functions/fraud/provisioned-concurrency";

fn put(client: &mut Client, qualifier: &str, n: i64) -> crate::client::Answer {
    client.put(&format!("{CONFIGS}?Qualifier={qualifier}"), &json!({ "ProvisionedConcurrentExecutions": n }))
}

fn status(client: &mut Client) -> Value {
    client.get(&format!("{CONFIGS}?Qualifier=prod")).good()["Status"].clone()
}

fn promote(client: &mut Client, version: &str) -> Value {
    let mut body = weights(&json!({}));
    body["FunctionVersion"] = json!(version);
    client.put(PROD, &body).good()
}

#[test]
fn is_ready_after_a_while_and_listed() {
    let sandbox = sandbox();
    let mut client = Client::new(&sandbox);
    let none = client.get(&format!("{CONFIGS}?Qualifier=prod")).error();
    assert_eq!((none.0, none.1.as_str()), (404, "ProvisionedConcurrencyConfigNotFoundException"));
    let accepted = put(&mut client, "prod", 5);
    assert_eq!((accepted.status, &accepted.json()["Status"]), (202, &json!("IN_PROGRESS")));
    assert_eq!(accepted.json()["AllocatedProvisionedConcurrentExecutions"], 0);
    advance(&sandbox, "119s");
    assert_eq!(status(&mut client), "IN_PROGRESS");
    advance(&sandbox, "2s");
    assert_eq!(status(&mut client), "READY");
    put(&mut client, "1", 1).good();
    let listed = client.get(&format!("{CONFIGS}?List=ALL")).good();
    let arns: Vec<&Value> =
        listed["ProvisionedConcurrencyConfigs"].as_array().unwrap().iter().map(|entry| &entry["FunctionArn"]).collect();
    assert_eq!(arns, [&json!(format!("{ARN}:1")), &json!(format!("{ARN}:prod"))]);
    assert_eq!(client.delete(&format!("{CONFIGS}?Qualifier=1")).status, 204);
    assert_eq!(client.get(&format!("{CONFIGS}?Qualifier=1")).status, 404);
}

#[test]
fn illegal_configurations_are_refused() {
    let sandbox = sandbox();
    let mut client = Client::new(&sandbox);
    let mut refused = |qualifier: &str, n: i64| put(&mut client, qualifier, n).error();
    assert_eq!(refused("prod", 0).1, "ValidationException");
    assert!(refused("%24LATEST", 1).2.contains("unpublished function versions"));
    assert_eq!(refused("9", 1).2, format!("Function not found: {ARN}:9"));
    assert_eq!(refused("nope", 1).2, format!("Cannot find alias arn: {ARN}:nope"));
    assert!(refused("prod", 901).2.contains("minimum value of [100]"));
    put(&mut client, "2", 1).good();
    let conflict = put(&mut client, "prod", 1).error();
    assert_eq!((conflict.0, conflict.1.as_str()), (409, "ResourceConflictException"));
    client.delete(&format!("{CONFIGS}?Qualifier=2"));
    put(&mut client, "prod", 1).good();
    assert_eq!(put(&mut client, "2", 1).error().2, "Version is pointed by a Provisioned Concurrency alias");
    client.delete(&format!("{CONFIGS}?Qualifier=prod"));
    client.put(PROD, &weights(&json!({ "3": 0.1 }))).good();
    let weighted = put(&mut client, "prod", 1).error();
    assert_eq!(weighted.2, "Alias with weights can not be used with Provisioned Concurrency");
}

#[test]
fn a_plain_move_shows_aws_own_weight_until_the_new_version_is_ready() {
    let sandbox = sandbox();
    let mut client = Client::new(&sandbox);
    put(&mut client, "prod", 5).good();
    advance(&sandbox, "3m");
    client.put(PROD, &weights(&json!({ "3": 0.1 }))).good();
    let moving = promote(&mut client, "3");
    assert_eq!(moving["FunctionVersion"], "3");
    assert_eq!(moving["RoutingConfig"], json!({ "AdditionalVersionWeights": { "2": 1.0 } }));
    assert_eq!(status(&mut client), "IN_PROGRESS");
    let invoked = client.post(&format!("{FRAUD}/invocations?Qualifier=prod"), &json!({}));
    assert_eq!(invoked.header("x-amz-executed-version"), "2");
    advance(&sandbox, "359s");
    assert_eq!(client.get(PROD).good(), moving);
    advance(&sandbox, "2s");
    let moved = client.get(PROD).good();
    assert_eq!((moved["FunctionVersion"].as_str(), moved.get("RoutingConfig")), (Some("3"), None));
    assert_eq!(status(&mut client), "READY");

    // Back in the middle of a move: the old version still serves, so there is nothing to wait for.
    promote(&mut client, "2");
    assert_eq!(promote(&mut client, "3").get("RoutingConfig"), None);
    // Without it, a move is at once.
    client.delete(&format!("{CONFIGS}?Qualifier=prod"));
    assert_eq!(promote(&mut client, "1").get("RoutingConfig"), None);
}

#[test]
fn reserved_concurrency_is_kept_and_zero_stops_all() {
    let sandbox = sandbox();
    let mut client = Client::new(&sandbox);
    let (write, read) = ("/2017-10-31/functions/fraud/concurrency", "/2019-09-30/functions/fraud/concurrency");
    assert_eq!(client.get(read).good(), json!({}));
    assert_eq!(client.put(write, &json!({ "ReservedConcurrentExecutions": 901 })).status, 400);
    client.put(write, &json!({ "ReservedConcurrentExecutions": 0 })).good();
    assert_eq!(client.get(read).good(), json!({ "ReservedConcurrentExecutions": 0 }));
    assert_eq!(client.get(FRAUD).good()["Concurrency"]["ReservedConcurrentExecutions"], 0);
    let throttled = client.post(&format!("{FRAUD}/invocations"), &json!({}));
    assert_eq!(throttled.json()["Reason"], "ReservedFunctionConcurrentInvocationLimitExceeded");
    assert_eq!(client.delete(write).status, 204);
    put(&mut client, "prod", 50).good();
    let settings = client.get("/2016-08-19/account-settings/").good();
    assert_eq!(settings["AccountLimit"]["ConcurrentExecutions"], 1000);
    assert_eq!(settings["AccountLimit"]["UnreservedConcurrentExecutions"], 950);
    assert_eq!(settings["AccountUsage"]["FunctionCount"], 1);
}
