use std::time::{Duration, Instant};

use mlroll_sandbox::{Background, Options};
use serde_json::{Value, json};

use crate::client::{Client, PROD, options, sandbox};

#[test]
fn requests_are_logged_with_what_became_of_them() {
    let sandbox = sandbox();
    let mut client = Client::new(&sandbox);
    client.get(&format!("{PROD}?x=y"));
    client.put("/2015-03-31/functions/nope/code", &json!({"ZipFile": "UEs="}));
    client.get("/elsewhere");
    client.get("/_sandbox/clock");
    let log = client.get("/_sandbox/requests").good();
    let entries = log.as_array().unwrap();
    assert_eq!(entries.len(), 3, "what is about the sandbox is not logged");
    assert!(entries[0]["at"].as_str().unwrap().starts_with("2026-11-21T03:00:00."), "{log}");
    let without_time = |n: usize| {
        let mut entry = entries[n].clone();
        entry.as_object_mut().unwrap().remove("at");
        entry
    };
    let expected = json!({"n": 1, "api": "lambda", "operation": "GetAlias", "target": "fraud@prod", "method": "GET",
        "path": PROD, "query": "x=y", "body": null, "status": 200});
    assert_eq!(without_time(0), expected);
    let expected = json!({"n": 2, "api": "lambda", "operation": "UpdateFunctionCode", "target": "nope", "method": "PUT",
        "path": "/2015-03-31/functions/nope/code", "query": "", "body": {"ZipFile": "UEs="}, "status": 404});
    assert_eq!(without_time(1), expected);
    let expected = json!({"n": 3, "api": null, "operation": null, "target": null, "method": "GET",
        "path": "/elsewhere", "query": "", "body": null, "status": 404});
    assert_eq!(without_time(2), expected);
    client.delete("/_sandbox/requests").good();
    assert_eq!(client.get("/_sandbox/requests").good(), json!([]));
    client.get(PROD);
    assert_eq!(client.get("/_sandbox/requests").good()[0]["n"], 4);
}

#[test]
fn what_is_nobodys_names_the_apis() {
    let sandbox = sandbox();
    let mut client = Client::new(&sandbox);
    let answer = client.get("/v2/projects");
    assert_eq!(answer.status, 404);
    assert!(answer.json()["apis"].as_array().unwrap().contains(&json!("lambda")));
    let error = client.get("/_sandbox/nope");
    assert_eq!(error.status, 404);
    assert!(error.json()["error"].as_str().unwrap().contains("/_sandbox/clock"));
    let wrong = client.delete("/_sandbox/clock");
    assert_eq!((wrong.status, wrong.header("allow")), (405, "GET, POST"));
}

#[test]
fn the_clock_is_read_moved_and_sped_up() {
    let sandbox = sandbox();
    let mut client = Client::new(&sandbox);
    let clock = client.get("/_sandbox/clock").good();
    let now = clock["now"].as_str().unwrap();
    assert!(now.starts_with("2026-11-21T03:00:00.") && now.len() == 24, "{now}");
    assert_eq!(clock["speed"], 0.001);
    let moved = client.post("/_sandbox/clock", &json!({ "advance": "10m" })).good();
    assert!(moved["now"].as_str().unwrap().starts_with("2026-11-21T03:10:0"), "{moved}");
    let faster = client.post("/_sandbox/clock", &json!({ "speed": 60, "advance": "1h 30s" })).good();
    assert_eq!(faster["speed"], 60.0);
    assert!(faster["now"].as_str().unwrap() >= "2026-11-21T04:10:30", "{faster}");
    for body in [
        json!({}),
        json!({"advance": "ten"}),
        json!({"advance": 10}),
        json!({"advance": "-1s"}),
        json!({"advance": "99999999999999y"}),
        json!({"advance": "32d"}),
        json!({"speed": 0}),
        json!({"speed": 1e9}),
        json!({"rewind": "1s"}),
        json!([]),
    ] {
        let answer = client.post("/_sandbox/clock", &body);
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.json()["error"].is_string());
    }
}

#[test]
fn answers_are_as_late_as_wished() {
    let sandbox = Background::start(Options { latency: Duration::from_millis(200), ..options() }).unwrap();
    let mut client = Client::new(&sandbox);
    let started = Instant::now();
    client.get(PROD).good();
    assert!(started.elapsed() >= Duration::from_millis(200));
}

#[test]
fn a_fleet_is_as_large_as_wished() {
    let sandbox = Background::start(Options { fleet: 120, ..options() }).unwrap();
    let mut client = Client::new(&sandbox);
    let alias = client.get("/2015-03-31/functions/fraud-0120/aliases/prod").good();
    assert_eq!(alias["FunctionVersion"], "1");
    assert_eq!(client.get("/2015-03-31/functions/fraud-0121/aliases/prod").status, 404);
    assert_eq!(client.get(PROD).good()["FunctionVersion"], "2");
    let versions = client.get("/2015-03-31/functions/fraud-0001/versions").good();
    let versions = versions["Versions"].as_array().unwrap().iter().map(|v| v["Version"].clone());
    assert_eq!(versions.collect::<Vec<Value>>(), ["$LATEST", "1", "2"]);
}

#[test]
fn the_same_seed_gives_the_same_choices() {
    let executed = |seed: u64| -> String {
        let sandbox = Background::start(Options { seed: Some(seed), ..options() }).unwrap();
        let mut client = Client::new(&sandbox);
        client.put(PROD, &crate::client::weights(&json!({ "3": 0.5 }))).good();
        let invoke = |_| client.post("/2015-03-31/functions/fraud:prod/invocations", &json!({}));
        (0..64).map(invoke).map(|answer| answer.header("x-amz-executed-version").to_owned()).collect()
    };
    assert_eq!(executed(7), executed(7));
    assert_ne!(executed(7), executed(8));
}
