//! Cloud Run and Cloud Monitoring as clients meet them: the traps that users of the real ones fell into.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a failed step fails the test")]

use bytes::Bytes;
use http::Method;
use mlroll_sandbox::{Options, Request, Sandbox, Scenario};
use serde_json::{Value, json};

const SERVICE: &str = "/v2/projects/acme/locations/europe-west3/services/fraud";
const REVISION: &str = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION";

/// A sandbox whose time stands nearly still.
struct World(Sandbox);

impl World {
    fn new(more: &str) -> Self {
        let scenario = format!(
            r#"
            start = "2026-11-21T09:00:00Z"
            [targets."cloud-run:acme/europe-west3/fraud"]
            requests_per_second = 100
            stable = "fraud-00001-a"
            [targets."cloud-run:acme/europe-west3/fraud".revisions]
            fraud-00001-a = {{ error_rate = 0.1 }}
            fraud-00002-b = {{}}
            fraud-00003-c = {{ state = "Failed" }}
            {more}
            "#
        );
        let options = Options { speed: 0.001, ..Options::new(Scenario::from_toml(&scenario).unwrap()) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self(runtime.block_on(Sandbox::bind(options)).unwrap())
    }

    fn ask(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let request = http::Request::builder().method(method).uri(path).header("authorization", "Bearer x");
        let request: Request = request.body(body).unwrap();
        let answer = self.0.ask(&request).unwrap();
        (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap())
    }

    fn get(&self, path: &str) -> Value {
        let (status, answer) = self.ask(Method::GET, path, &Value::Null);
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Moves the traffic, and lets it become live: the operation when it is done.
    fn shift(&self, traffic: &Value) -> Value {
        let path = format!("{SERVICE}?updateMask=traffic");
        let (status, accepted) = self.ask(Method::PATCH, &path, &json!({ "traffic": traffic }));
        assert_eq!((status, accepted.get("done")), (200, None), "{accepted}");
        self.advance("5s");
        self.get(&format!("/v2/{}", accepted["name"].as_str().unwrap()))
    }

    fn advance(&self, by: &str) {
        self.ask(Method::POST, "/_sandbox/clock", &json!({ "advance": by }));
    }
}

fn share(revision: &str, percent: u32) -> Value {
    json!({ "type": REVISION, "revision": revision, "percent": percent })
}

fn shares(service: &Value, field: &str) -> Vec<(String, u64)> {
    let entries = service[field].as_array().unwrap().iter();
    entries.map(|one| (one["revision"].as_str().unwrap().to_owned(), one["percent"].as_u64().unwrap_or(0))).collect()
}

fn state<'a>(service: &'a Value, kind: &str) -> &'a str {
    let conditions = service["conditions"].as_array().unwrap().iter().chain([&service["terminalCondition"]]);
    conditions.into_iter().find(|one| one["type"] == kind).unwrap()["state"].as_str().unwrap()
}

#[test]
fn a_failed_revision_in_the_traffic_keeps_users_where_they_are_even_by_a_tag() {
    let world = World::new("");
    let at_first = world.get(SERVICE);
    assert_eq!(
        (state(&at_first, "Ready"), state(&at_first, "RoutesReady")),
        ("CONDITION_FAILED", "CONDITION_SUCCEEDED")
    );
    assert!(at_first["latestReadyRevision"].as_str().unwrap().ends_with("/fraud-00002-b"));
    let tag = json!({ "type": REVISION, "revision": "fraud-00003-c", "tag": "next" });
    let ended = world.shift(&json!([share("fraud-00001-a", 90), share("fraud-00002-b", 10), tag]));
    assert_eq!((&ended["done"], &ended["error"]["code"]), (&json!(true), &json!(9)), "{ended}");
    assert!(ended["error"]["message"].as_str().unwrap().contains("'fraud-00003-c' is not ready"), "{ended}");
    let service = world.get(SERVICE);
    assert_eq!(shares(&service, "trafficStatuses"), [("fraud-00001-a".to_owned(), 100)]);
    assert_eq!(shares(&service, "traffic").len(), 3, "what is wanted is kept, and differs");
    assert_eq!((state(&service, "RoutesReady"), service["reconciling"].is_null()), ("CONDITION_FAILED", true));
    let ended = world.shift(&json!([share("fraud-00001-a", 90), share("fraud-00002-b", 10)]));
    assert!(ended["error"].is_null() && ended["response"]["@type"].is_string(), "{ended}");
    assert_eq!(shares(&world.get(SERVICE), "trafficStatuses").len(), 2);
}

#[test]
fn a_revision_that_is_not_there_is_taken_and_fails_the_operation() {
    let world = World::new("");
    let ended = world.shift(&json!([share("fraud-00009-x", 100)]));
    assert_eq!((&ended["done"], &ended["error"]["code"]), (&json!(true), &json!(13)), "{ended}");
    assert_eq!(ended["error"]["message"], "Revision 'fraud-00009-x' does not exist or is deleted.");
    let service = world.get(SERVICE);
    assert_eq!(shares(&service, "traffic"), [("fraud-00009-x".to_owned(), 100)]);
    assert_eq!(shares(&service, "trafficStatuses"), [("fraud-00001-a".to_owned(), 100)], "users stay where they are");
}

#[test]
fn zero_false_and_empty_are_left_out_and_numbers_of_64_bits_are_text() {
    let world = World::new("");
    world.shift(&json!([share("fraud-00001-a", 100), { "type": 2, "revision": "fraud-00002-b", "tag": "next" }]));
    let service = world.get(SERVICE);
    assert_eq!(service["generation"], "4");
    assert_eq!(service["traffic"][1], json!({ "type": REVISION, "revision": "fraud-00002-b", "tag": "next" }));
    for absent in ["reconciling", "annotations", "deleteTime"] {
        assert!(service.get(absent).is_none(), "{absent}: {service}");
    }
}

#[test]
fn what_is_not_googles_is_refused_in_googles_words() {
    let world = World::new("");
    let traffic = json!([share("fraud-00001-a", 100)]);
    for (path, body, said) in [
        ("?updateMask=traffic&dryRun=true", json!({ "traffic": traffic }), "Cannot bind query parameter"),
        ("?updateMask=traffic&updateMask=annotations", json!({ "traffic": traffic }), "more than once"),
        ("?updateMask=traffic,revision", json!({ "traffic": traffic }), "'revision' is no field"),
        ("?updateMask=traffic", json!({ "traffic": traffic, "trafic": [] }), "Cannot find field"),
        ("?updateMask=traffic", json!({ "traffic": traffic, "name": "projects/a" }), "service.name"),
        ("?updateMask=traffic", json!({ "traffic": traffic, "etag": 7 }), "service.etag"),
        ("?updateMask=traffic&validateOnly=yes", json!({ "traffic": traffic }), "TYPE_BOOL"),
        ("?updateMask=annotations", json!({ "annotations": { "a.run.googleapis.com/b": "c" } }), "system annotation"),
        ("?updateMask=annotations", json!({ "annotations": { "a": 1 } }), "TYPE_STRING"),
        ("?updateMask=template", json!({ "template": { "containers": [{ "name": "x" }] } }), "image is required"),
        (
            "?updateMask=template",
            json!({ "template": { "revision": "other-1", "containers": [{ "image": "i" }] } }),
            "must begin",
        ),
        ("?updateMask=traffic", json!([1]), "Root element"),
    ] {
        let (status, answer) = world.ask(Method::PATCH, &format!("{SERVICE}{path}"), &body);
        let error = &answer["error"];
        assert_eq!(
            (status, &error["code"], &error["status"]),
            (400, &json!(400), &json!("INVALID_ARGUMENT")),
            "{answer}"
        );
        assert!(error["message"].as_str().unwrap().contains(said), "{path} {body}: {answer}");
    }
    assert_eq!(world.get(SERVICE)["generation"], "3", "nothing was changed");
    let (status, answer) = world.ask(Method::POST, "/v2/projects/acme/locations/europe-west3/services", &json!({}));
    assert_eq!((status, &answer["error"]["status"]), (501, &json!("UNIMPLEMENTED")));
}

/// The answer about the counts of a minute that ended some minutes after nine.
fn counts(world: &World, minute: u32) -> Value {
    let filter = "metric.type%3D%22run.googleapis.com/request_count%22";
    world.get(&format!(
        "/v3/projects/acme/timeSeries?filter={filter}&interval.startTime=2026-11-21T09:{:02}:00Z\
         &interval.endTime=2026-11-21T09:{minute:02}:00Z&aggregation.alignmentPeriod=60s\
         &aggregation.perSeriesAligner=ALIGN_DELTA&aggregation.crossSeriesReducer=REDUCE_SUM\
         &aggregation.groupByFields=metric.labels.response_code_class",
        minute - 1
    ))
}

#[test]
fn a_minute_is_there_as_a_whole_when_its_delay_is_over() {
    let world = World::new("");
    world.advance("3m59s");
    assert_eq!(counts(&world, 1), json!({}), "no data is an empty object");
    world.advance("2s");
    let there = counts(&world, 1);
    let series = there["timeSeries"].as_array().unwrap();
    let numbers: Vec<i64> =
        series.iter().map(|one| one["points"][0]["value"]["int64Value"].as_str().unwrap().parse().unwrap()).collect();
    // 100 a second, of which a tenth fail.
    assert!((5_000..5_800).contains(&numbers[0]) && (450..750).contains(&numbers[1]), "{there}");
    world.advance("1h");
    assert_eq!(counts(&world, 1), there, "what is settled stays");
}

#[test]
fn a_part_that_is_missing_is_told() {
    let world = World::new("[cloud_monitoring]\ndelay = \"0s\"\nexecution_errors = 1.0");
    world.advance("10m");
    let answer = counts(&world, 5);
    assert_eq!(answer["timeSeries"].as_array().unwrap().len(), 1, "{answer}");
    assert!(!answer["executionErrors"][0]["message"].as_str().unwrap().is_empty(), "{answer}");
}

#[test]
fn who_brings_no_token_is_told_so() {
    let world = World::new("");
    for path in [SERVICE, "/v3/projects/acme/timeSeries", "/v1/projects/a/location/global/prometheus/api/v1/query"] {
        let request = http::Request::builder().uri(path).body(Bytes::new()).unwrap();
        let answer = world.0.ask(&request).unwrap();
        let said: Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!((answer.status().as_u16(), &said["error"]["status"]), (401, &json!("UNAUTHENTICATED")), "{path}");
    }
}
