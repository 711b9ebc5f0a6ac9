use mlroll_faults::Operation;
use serde_json::json;

use crate::client::{Client, PROD, server};

#[test]
fn get_alias_leaves_the_routing_out_without_weights() {
    let server = server();
    let answer = Client::new(&server).get(PROD);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("x-amzn-requestid").len(), 36);
    let expected = json!({
        "AliasArn": "arn:aws:lambda:us-east-1:123456789012:function:fraud:prod",
        "Name": "prod",
        "FunctionVersion": "1",
        "Description": "",
        "RevisionId": server.alias("fraud", "prod").unwrap().revision_id,
    });
    assert_eq!(answer.json(), expected);
}

#[test]
fn update_alias_keeps_what_is_absent_and_mints_a_revision_every_time() {
    let server = server();
    let mut client = Client::new(&server);
    let mut seen = vec![server.alias("fraud", "prod").unwrap().revision_id];
    let step = json!({
        "Description": "canary",
        "RoutingConfig": { "AdditionalVersionWeights": { "2": 0.05 } },
        "RevisionId": seen[0],
    });
    for body in [step, json!({}), json!({ "FunctionVersion": null })] {
        let answer = client.put(&body);
        assert_eq!(answer.status, 200);
        let answer = answer.json();
        assert_eq!(answer["FunctionVersion"], "1");
        assert_eq!(answer["Description"], "canary");
        assert_eq!(answer["RoutingConfig"], json!({ "AdditionalVersionWeights": { "2": 0.05 } }));
        let revision = answer["RevisionId"].as_str().unwrap().to_owned();
        assert!(!seen.contains(&revision));
        seen.push(revision);
    }

    let cleared = client.put(&json!({ "RoutingConfig": { "AdditionalVersionWeights": {} } })).json();
    assert_eq!(cleared.get("RoutingConfig"), None);
    let alias = server.alias("fraud", "prod").unwrap();
    assert!(alias.weights.is_empty());
    assert_eq!(cleared["RevisionId"], alias.revision_id.as_str());
}

#[test]
fn promote_is_one_call() {
    let server = server();
    let mut client = Client::new(&server);
    client.put(&json!({ "RoutingConfig": { "AdditionalVersionWeights": { "2": 0.5 } } }));
    let body = json!({ "FunctionVersion": "2", "RoutingConfig": { "AdditionalVersionWeights": {} } });
    assert_eq!(client.put(&body).json()["FunctionVersion"], "2");
}

#[test]
fn configuration_shows_the_state_of_a_version() {
    let server = server();
    server.version("fraud", 3, |version| {
        version.state = "Pending".into();
        version.state_reason = Some("The function is being created.".into());
        version.state_reason_code = Some("Creating".into());
        version.dead_letter = Some("arn:aws:sqs:us-east-1:123456789012:dead".into());
        version.timeout = 30;
    });
    let path = "/2015-03-31/functions/fraud/configuration?Qualifier=";
    let mut client = Client::new(&server);
    let body = client.get(&format!("{path}3")).json();
    assert_eq!(body["Version"], "3");
    assert_eq!(body["State"], "Pending");
    assert_eq!(body["StateReasonCode"], "Creating");
    assert_eq!(body["LastUpdateStatus"], "Successful");
    assert_eq!(body["DeadLetterConfig"]["TargetArn"], "arn:aws:sqs:us-east-1:123456789012:dead");
    assert_eq!(body["Timeout"], 30);
    assert_eq!(client.get(&format!("{path}prod")).json()["Version"], "1");
    assert_eq!(client.get(&format!("{path}%24LATEST")).json()["Version"], "$LATEST");
    assert_eq!(server.requests()[0].target.as_deref(), Some("fraud@3"));

    server.delete_version("fraud", 3);
    let message = "Function not found: arn:aws:lambda:us-east-1:123456789012:function:fraud:3";
    let expected = (404, "ResourceNotFoundException".to_owned(), message.to_owned());
    assert_eq!(client.get(&format!("{path}3")).error(), expected);
}

#[test]
fn lists_name_no_state() {
    let server = server();
    let body = Client::new(&server).get("/2015-03-31/functions/fraud/versions").json();
    let versions = body["Versions"].as_array().unwrap();
    let numbers: Vec<&str> = versions.iter().map(|version| version["Version"].as_str().unwrap()).collect();
    assert_eq!(numbers, ["$LATEST", "1", "2", "3"]);
    assert_eq!(versions[1].get("State"), None);
    assert_eq!(versions[1].get("LastUpdateStatus"), None);
    assert_eq!(versions[1]["FunctionArn"], "arn:aws:lambda:us-east-1:123456789012:function:fraud:1");
    assert_eq!(body["NextMarker"], json!(null));
}

#[test]
fn function_names_may_be_encoded_arns() {
    let server = server();
    let arn = "arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Afraud";
    let answer = Client::new(&server).get(&format!("/2015-03-31/functions/{arn}/aliases/prod"));
    assert_eq!(answer.status, 200);
    assert_eq!(server.requests()[0].target.as_deref(), Some("fraud@prod"));
}

#[test]
fn what_is_missing_is_named() {
    let server = server();
    let mut client = Client::new(&server);
    let arn = "arn:aws:lambda:us-east-1:123456789012:function";
    let other = "/2015-03-31/functions/fraud/aliases/other";
    let expect = |message: String| (404, "ResourceNotFoundException".to_owned(), message);
    assert_eq!(client.get(other).error(), expect(format!("Cannot find alias arn: {arn}:fraud:other")));
    let update = client.try_call("PUT", other, "{}").unwrap();
    assert_eq!(update.error(), expect(format!("Alias not found: {arn}:fraud:other")));
    let versions = client.get("/2015-03-31/functions/none/versions");
    assert_eq!(versions.error(), expect(format!("Function not found: {arn}:none")));
    let (status, code, _) = client.try_call("DELETE", PROD, "").unwrap().error();
    assert_eq!((status, code.as_str()), (404, "UnknownOperationException"));
}

#[test]
fn unsigned_and_missigned_requests_are_refused() {
    let server = server();
    let mut client = Client::new(&server);
    client.send(&format!("GET {PROD} HTTP/1.1\r\nHost: localhost\r\n\r\n")).unwrap();
    let (status, code, _) = client.answer().unwrap().error();
    assert_eq!((status, code.as_str()), (403, "MissingAuthenticationTokenException"));
    let scope = "Authorization: AWS4-HMAC-SHA256 Credential=AK/20260101/us-east-1/s3/aws4_request,";
    client.send(&format!("GET {PROD} HTTP/1.1\r\nHost: localhost\r\n{scope}\r\n\r\n")).unwrap();
    let (status, code, _) = client.answer().unwrap().error();
    assert_eq!((status, code.as_str()), (403, "InvalidSignatureException"));
    let signed: Vec<bool> = server.requests().iter().map(|request| request.signed).collect();
    assert_eq!(signed, [false, true]);
}

#[test]
fn arns_follow_the_region_of_the_signature() {
    let server = server();
    let mut client = Client::new(&server);
    let scope = "Authorization: AWS4-HMAC-SHA256 Credential=AK/20260101/eu-west-1/lambda/aws4_request,";
    client.send(&format!("GET {PROD} HTTP/1.1\r\nHost: localhost\r\n{scope}\r\n\r\n")).unwrap();
    let arn = "arn:aws:lambda:eu-west-1:123456789012:function:fraud:prod";
    assert_eq!(client.answer().unwrap().json()["AliasArn"], arn);
}

#[test]
fn the_log_tells_what_arrived() {
    let server = server();
    let mut client = Client::new(&server);
    client.get("/2015-03-31/functions/fraud/aliases?FunctionVersion=1&Marker=");
    client.put(&json!({ "RevisionId": "stale" }));
    Client::new(&server).put(&json!({ "Description": "x" }));
    let requests = server.requests();
    let numbers: Vec<u64> = requests.iter().map(|request| request.n).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!(requests[0].operation, Operation::ListAliases);
    assert_eq!(requests[0].target.as_deref(), Some("fraud"));
    assert_eq!(requests[0].query["FunctionVersion"], "1");
    assert_eq!((requests[1].status, requests[1].applied), (Some(412), false));
    assert_eq!((requests[2].status, requests[2].applied), (Some(200), true));
    assert_eq!(requests[2].body, json!({ "Description": "x" }));
    assert_eq!(requests[2].path, PROD);
    assert_eq!(requests[2].headers["x-amz-date"], "20260101T000000Z");
    assert_eq!(requests[2].headers.get("authorization"), None);
    assert_eq!(requests[0].connection, requests[1].connection);
    assert_ne!(requests[1].connection, requests[2].connection);
    assert!(requests[0].at <= requests[1].at);

    server.clear_requests();
    client.get(PROD);
    assert_eq!(server.requests()[0].n, 4);
}

#[test]
fn provisioned_concurrency_shows_a_transient() {
    let server = server();
    let mut client = Client::new(&server);
    let shown = |client: &mut Client| client.get(PROD).json().get("RoutingConfig").cloned();
    let transient = Some(json!({ "AdditionalVersionWeights": { "1": 1.0 } }));

    server.set_alias("fraud", "prod", |alias| alias.transient_on_move = 2);
    client.put(&json!({ "FunctionVersion": "2" }));
    assert_eq!(shown(&mut client), transient);
    assert_eq!(shown(&mut client), transient);
    assert_eq!(shown(&mut client), None);

    server.set_alias("fraud", "prod", |alias| {
        alias.provisioned_transient = Some("1".into());
        alias.transient_reads = 0;
    });
    assert_eq!(shown(&mut client), transient);
    assert_eq!(shown(&mut client), transient);
    server.set_alias("fraud", "prod", |alias| alias.provisioned_transient = None);
    assert_eq!(shown(&mut client), None);
}
