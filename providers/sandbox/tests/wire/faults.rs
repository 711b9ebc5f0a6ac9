use std::io;
use std::time::{Duration, Instant};

use mlroll_sandbox::Background;
use serde_json::{Value, json};

use crate::client::{Client, FRAUD, PROD, advance, fault, sandbox, weights};

fn on(operation: &str, fault: &str) -> Value {
    json!({"api": "lambda", "operation": operation, "target": "fraud@prod", "fault": fault})
}

fn canary() -> Vec<u8> {
    weights(&json!({ "3": 0.1 })).to_string().into_bytes()
}

fn weight(sandbox: &Background) -> Value {
    let alias = Client::new(sandbox).get(PROD).good();
    alias.get("RoutingConfig").map_or(Value::Null, |routing| routing["AdditionalVersionWeights"].clone())
}

/// The versions that serve, seen from outside.
fn executed(sandbox: &Background) -> Vec<String> {
    let mut client = Client::new(sandbox);
    let mut invoke = |_| client.post(&format!("{FRAUD}/invocations?Qualifier=prod"), &json!({}));
    let versions = (0..100).map(|n| invoke(n).header("x-amz-executed-version").to_owned());
    versions.collect::<std::collections::BTreeSet<String>>().into_iter().collect()
}

/// Begins a canary, and tells who serves.
fn canary_users(sandbox: &Background) -> Vec<String> {
    Client::new(sandbox).put(PROD, &weights(&json!({ "3": 0.3 }))).good();
    executed(sandbox)
}

#[test]
fn a_status_is_answered_in_the_apis_own_format_as_often_as_asked() {
    let sandbox = sandbox();
    let mut client = Client::new(&sandbox);
    let mut spec = on("GetAlias", "status");
    spec["status"] = json!(429);
    spec["skip"] = json!(1);
    spec["times"] = json!(2);
    fault(&sandbox, &spec);
    spec["status"] = json!(503);
    spec["code"] = json!("Odd");
    spec["skip"] = json!(0);
    spec["times"] = json!(1);
    spec["target"] = json!("other@prod");
    fault(&sandbox, &spec);
    let statuses: Vec<u16> = (0..4).map(|_| client.get(PROD).status).collect();
    assert_eq!(statuses, [200, 429, 429, 200]);
    let odd = client.get("/2015-03-31/functions/other/aliases/prod").error();
    assert_eq!((odd.0, odd.1.as_str()), (503, "Odd"));
    assert_eq!(client.get("/_sandbox/faults").good(), json!([]));
}

#[test]
fn a_reset_before_does_nothing_and_a_reset_after_does_it() {
    let sandbox = sandbox();
    for (kind, expected) in [("reset_before", Value::Null), ("reset_after", json!({ "3": 0.1 }))] {
        fault(&sandbox, &on("UpdateAlias", kind));
        let cut = Client::new(&sandbox).call("PUT", PROD, &canary()).unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::ConnectionReset, "{kind}");
        assert_eq!(weight(&sandbox), expected, "{kind}");
    }
    let log = Client::new(&sandbox).get("/_sandbox/requests").good();
    let updates: Vec<&Value> =
        log.as_array().unwrap().iter().filter(|e| e["operation"] == "UpdateAlias").map(|e| &e["status"]).collect();
    assert_eq!(updates, [&Value::Null, &Value::Null]);
}

#[test]
fn a_truncated_answer_declares_more_than_it_sends() {
    let sandbox = sandbox();
    fault(&sandbox, &on("UpdateAlias", "truncate"));
    let mut client = Client::new(&sandbox);
    let head = format!(
        "PUT {PROD} HTTP/1.1\r\nHost: x\r\nAuthorization: AWS4-HMAC-SHA256 Credential=A/1/us-east-1/lambda/aws4_request\r\n"
    );
    let body = canary();
    client.send(format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes()).unwrap();
    client.send(&body).unwrap();
    let sent = String::from_utf8(client.rest().unwrap()).unwrap();
    let (head, body) = sent.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let declared: usize = head.lines().find_map(|l| l.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    assert_eq!(body.len(), declared / 2);
    assert!(body.starts_with("{\"AliasArn\""), "{body}");
    assert_eq!(weight(&sandbox), json!({ "3": 0.1 }), "it was carried out");
    // Also where there is no body to halve.
    fault(&sandbox, &on("DeleteAlias", "truncate"));
    Client::new(&sandbox).call("DELETE", PROD, b"").unwrap_err();
    assert_eq!(Client::new(&sandbox).get(PROD).status, 404);
}

#[test]
fn latency_delays_the_answer_and_not_the_effect() {
    let sandbox = sandbox();
    let mut spec = on("UpdateAlias", "latency");
    spec["latency_ms"] = json!(700);
    fault(&sandbox, &spec);
    let started = Instant::now();
    let url = sandbox.url().to_owned();
    let waiting = std::thread::spawn({
        let mut client = Client::new(&sandbox);
        move || client.call("PUT", PROD, &canary()).map(|answer| (answer.status, url))
    });
    while weight(&sandbox) == Value::Null {
        assert!(started.elapsed() < Duration::from_secs(5), "the update has no effect");
    }
    assert!(!waiting.is_finished(), "others are served meanwhile");
    assert_eq!(waiting.join().unwrap().unwrap().0, 200);
    assert!(started.elapsed() >= Duration::from_millis(700));
}

#[test]
fn a_stale_read_shows_the_state_before_the_latest_write() {
    let sandbox = sandbox();
    let mut client = Client::new(&sandbox);
    let first = client.get(PROD).good();
    let second = client.put(PROD, &json!({ "Description": "second" })).good();
    let third = client.put(PROD, &json!({ "Description": "third" })).good();
    // Without an operation it waits for a read.
    fault(&sandbox, &json!({"api": "lambda", "fault": "stale", "times": 2}));
    client.put(PROD, &json!({ "RevisionId": third["RevisionId"] })).good();
    assert_eq!(client.get(PROD).good(), third);
    assert_eq!(client.get(&format!("{FRAUD}/aliases")).good()["Aliases"], json!([third]));
    let now = client.get(PROD).good();
    assert!(now != first && now != second && now != third, "and the state itself is untouched");
}

#[test]
fn what_settles_forever_never_becomes_live() {
    let sandbox = sandbox();
    let mut client = Client::new(&sandbox);
    fault(&sandbox, &on("UpdateAlias", "settle_forever"));
    // Weights settle at once: the fault waits for a write that it can keep from its end.
    client.call("PUT", PROD, &canary()).unwrap().good();
    assert_eq!(weight(&sandbox), json!({ "3": 0.1 }));
    let mut promote = weights(&json!({}));
    promote["FunctionVersion"] = json!("3");
    client.put(PROD, &promote).good();
    advance(&sandbox, "30d");
    assert_eq!(weight(&sandbox), json!({ "2": 1.0 }));
    assert_eq!(client.get("/_sandbox/faults").good(), json!([]));
    // The way back is open.
    promote["FunctionVersion"] = json!("2");
    client.put(PROD, &promote).good();
    assert_eq!(weight(&sandbox), Value::Null);

    // So is the end of a canary kept: users get what they got, and readers see that it is not over.
    let mut users = canary_users(&sandbox);
    fault(&sandbox, &on("UpdateAlias", "settle_forever"));
    client.put(PROD, &weights(&json!({}))).good();
    assert_eq!(weight(&sandbox), json!({ "3": 1.0 }));
    users.extend(executed(&sandbox));
    assert_eq!(users, ["2", "3", "2", "3"]);
    client.put(PROD, &weights(&json!({ "3": 0.0 }))).good();
    assert_eq!(executed(&sandbox), ["2"]);

    fault(&sandbox, &json!({"api": "lambda", "operation": "UpdateFunctionCode", "fault": "settle_forever"}));
    client.put(&format!("{FRAUD}/code"), &json!({ "ImageUri": "x" })).good();
    advance(&sandbox, "30d");
    assert_eq!(client.get(&format!("{FRAUD}/configuration")).good()["LastUpdateStatus"], "InProgress");
}

#[test]
fn a_foreign_write_comes_first() {
    let sandbox = sandbox();
    let mut client = Client::new(&sandbox);
    let before = client.get(PROD).good();
    fault(&sandbox, &on("UpdateAlias", "foreign_write"));
    let mut body = weights(&json!({ "3": 0.1 }));
    body["RevisionId"] = before["RevisionId"].clone();
    assert_eq!(client.put(PROD, &body).error().1, "PreconditionFailedException");
    let after = client.get(PROD).good();
    assert_ne!(after["RevisionId"], before["RevisionId"]);
    assert_eq!(weight(&sandbox), json!({ "3": 0.42 }));
    // Another one is another split, and the request itself is served.
    fault(&sandbox, &on("GetAlias", "foreign_write"));
    assert_eq!(weight(&sandbox), json!({ "3": 0.21 }));
}

#[test]
fn nonsense_is_refused_with_what_is_allowed() {
    let sandbox = sandbox();
    for (spec, said) in [
        (json!({}), "missing field"),
        (json!([]), "invalid"),
        (
            json!({"api": "lambda", "fault": "explode"}),
            "allowed are status, latency, reset_before, reset_after, truncate",
        ),
        (json!({"api": "s3", "fault": "truncate"}), "allowed are lambda"),
        (json!({"api": "lambda", "fault": "truncate", "colour": 1}), "unknown field `colour`, expected one of"),
        (json!({"api": "lambda", "fault": "truncate", "operation": "Nope"}), "allowed are CreateAlias"),
        (json!({"api": "lambda", "fault": "stale", "operation": "UpdateAlias"}), "cannot play `stale` here"),
        (json!({"api": "lambda", "fault": "settle_forever", "operation": "GetAlias"}), "cannot play"),
        (json!({"api": "lambda", "fault": "status"}), "needs a status"),
        (json!({"api": "lambda", "fault": "status", "status": 200}), "allowed are 300 to 599"),
        (json!({"api": "lambda", "fault": "status", "status": "429"}), "invalid type"),
        (json!({"api": "lambda", "fault": "status", "status": 429, "code": "a\nb"}), "code"),
        (json!({"api": "lambda", "fault": "latency"}), "latency_ms"),
        (json!({"api": "lambda", "fault": "latency", "latency_ms": 600_001}), "at most"),
        (json!({"api": "lambda", "fault": "truncate", "times": 0}), "times"),
        (json!({"api": "lambda", "fault": "truncate", "skip": -1}), "invalid value"),
    ] {
        let answer = Client::new(&sandbox).post("/_sandbox/faults", &spec);
        assert_eq!(answer.status, 400, "{spec}");
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(said), "{spec}: {error}");
    }
    // One form for all kinds: what a kind has no use for is left alone.
    let whole = json!({"api":"lambda","operation":"UpdateAlias","target":"fraud@prod","skip":0,"times":1,
        "fault":"reset_after","status":429,"code":"","latency_ms":0});
    fault(&sandbox, &whole);
    let deleted = Client::new(&sandbox).delete("/_sandbox/faults").good();
    assert_eq!(deleted, json!({ "deleted": 1 }));
    Client::new(&sandbox).call("PUT", PROD, &canary()).unwrap().good();
}
