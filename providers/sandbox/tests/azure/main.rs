//! Azure ML and Azure Monitor as clients meet them: the traps that users of the real ones fell into.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a failed step fails the test")]

mod logs;
mod metrics;

use std::cell::RefCell;

use bytes::Bytes;
use http::{HeaderMap, Method};
use mlroll_sandbox::{Options, Request, Sandbox, Scenario};
use proptest::prelude::*;
use serde_json::{Value, json};

const WORKSPACE: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/ml/providers/\
                         Microsoft.MachineLearningServices/workspaces/prod";
const VERSION: &str = "api-version=2024-10-01";
const IDENTITY: &str =
    "/subscriptions/s/resourceGroups/ml/providers/Microsoft.ManagedIdentity/userAssignedIdentities/u";

/// A sandbox whose time stands nearly still.
struct World {
    sandbox: Sandbox,
    /// The headers of the last answer.
    headers: RefCell<HeaderMap>,
}

impl World {
    fn new(revisions: &str) -> Self {
        Self::told("", revisions)
    }

    fn told(more: &str, revisions: &str) -> Self {
        let scenario = format!(
            r#"
            start = "2026-11-21T09:00:00Z"
            {more}
            [targets."azure-ml:00000000-0000-0000-0000-000000000000/ml/prod/Fraud"]
            requests_per_second = 50
            stable = "blue"
            [targets."azure-ml:00000000-0000-0000-0000-000000000000/ml/prod/Fraud".revisions]
            {revisions}
            "#
        );
        let options = Options { speed: 0.001, ..Options::new(Scenario::from_toml(&scenario).unwrap()) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { sandbox: runtime.block_on(Sandbox::bind(options)).unwrap(), headers: RefCell::default() }
    }

    fn blue_and_green() -> Self {
        Self::new(
            "blue = { error_rate = 0.01, latency = { median = \"80ms\", p95 = \"160ms\" } }\ngreen = {}\nred = {}",
        )
    }

    fn ask(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let request = http::Request::builder().method(method).uri(path).header("authorization", "Bearer x");
        let request: Request = request.header("host", "127.0.0.1:4620").body(body).unwrap();
        let answer = self.sandbox.ask(&request).unwrap();
        *self.headers.borrow_mut() = answer.headers().clone();
        let said = answer.body();
        (answer.status().as_u16(), if said.is_empty() { Value::Null } else { serde_json::from_slice(said).unwrap() })
    }

    fn header(&self, name: &str) -> Option<String> {
        self.headers.borrow().get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    fn get(&self, path: &str) -> Value {
        let (status, answer) = self.ask(Method::GET, path, &Value::Null);
        assert_eq!(status, 200, "{answer}");
        answer
    }

    fn endpoint(&self) -> Value {
        self.get(&format!("{WORKSPACE}/onlineEndpoints/fraud?{VERSION}"))
    }

    fn put(&self, endpoint: &Value) -> (u16, Value) {
        self.ask(Method::PUT, &format!("{WORKSPACE}/onlineEndpoints/fraud?{VERSION}"), endpoint)
    }

    /// PUTs the endpoint with this traffic and all else as it is.
    fn shift(&self, traffic: &Value) -> (u16, Value) {
        let mut endpoint = self.endpoint();
        endpoint["properties"]["traffic"] = traffic.clone();
        self.put(&endpoint)
    }

    /// The same until it is live.
    fn route(&self, traffic: &Value) {
        let (status, answer) = self.shift(traffic);
        assert_eq!(status, 201, "{answer}");
        self.advance("21s");
        assert_eq!(&self.endpoint()["properties"]["traffic"], traffic);
    }

    /// The status of the operation that the last answer began.
    fn status_of(&self, operation: &str) -> Value {
        self.get(operation.strip_prefix("http://127.0.0.1:4620").unwrap())
    }

    fn advance(&self, by: &str) {
        self.ask(Method::POST, "/_sandbox/clock", &json!({ "advance": by }));
    }

    fn fault(&self, api: &str, operation: &str, more: &Value) {
        let mut fault = json!({ "api": api, "operation": operation });
        fault.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, answer) = self.ask(Method::POST, "/_sandbox/faults", &fault);
        assert!(status < 300, "{answer}");
    }

    fn metrics(&self, query: &str) -> (u16, Value) {
        let query = query.replace(' ', "%20").replace('\'', "%27").replace('$', "%24");
        let path = format!(
            "{WORKSPACE}/onlineEndpoints/fraud/providers/Microsoft.Insights/metrics?api-version=2024-02-01&{query}"
        );
        self.ask(Method::GET, &path, &Value::Null)
    }

    /// The series of one metric over ten minutes from nine.
    fn series(&self, query: &str) -> Vec<Value> {
        let span = "timespan=2026-11-21T09:00:00Z/2026-11-21T09:10:00Z&interval=PT1M&aggregation=Average";
        let (status, answer) = self.metrics(&format!("{span}&{query}"));
        assert_eq!((status, &answer["value"][0]["errorCode"]), (200, &json!("Success")), "{answer}");
        answer["value"][0]["timeseries"].as_array().unwrap().clone()
    }
}

fn averages(series: &Value) -> Vec<Option<f64>> {
    series["data"].as_array().unwrap().iter().map(|point| point["average"].as_f64()).collect()
}

#[test]
fn a_shift_shows_the_old_traffic_until_its_operation_ends() {
    let world = World::blue_and_green();
    let (status, accepted) = world.shift(&json!({ "blue": 90, "green": 10 }));
    assert_eq!(status, 201, "also for an update");
    let shown = |endpoint: &Value| {
        (endpoint["properties"]["traffic"].clone(), endpoint["properties"]["provisioningState"].clone())
    };
    let old = (json!({ "blue": 100 }), json!("Updating"));
    assert_eq!(shown(&accepted), old, "the answer still has the traffic from before");
    assert_eq!(world.header("retry-after"), None);
    assert_eq!(world.header("etag"), None);
    assert_eq!(world.header("x-ms-async-operation-timeout").as_deref(), Some("PT30M"));
    assert!(world.header("location").unwrap().contains("/onlineEndpoints/fraud?"), "no URL of an operation");
    let operation = world.header("azure-asyncoperation").unwrap();
    assert!(operation.contains("/mfeOperationsStatus/oe:"), "{operation}");
    for by in ["0s", "19s"] {
        world.advance(by);
        let status = world.status_of(&operation);
        assert_eq!((&status["status"], &status["percentComplete"]), (&json!("Updating"), &json!(0.0)), "{status}");
        assert_eq!((shown(&world.endpoint()), status.get("endTime")), (old.clone(), None));
    }
    let touched = world.endpoint()["systemData"]["lastModifiedAt"].clone();
    world.advance("2s");
    let status = world.status_of(&operation);
    assert_eq!((&status["status"], &status["percentComplete"]), (&json!("Succeeded"), &json!(100.0)), "{status}");
    assert!(status["endTime"].as_str() > status["startTime"].as_str(), "{status}");
    let now = world.endpoint();
    assert_eq!(shown(&now), (json!({ "blue": 90, "green": 10 }), json!("Succeeded")));
    assert_ne!(now["systemData"]["lastModifiedAt"], touched, "touched again at the end");
    assert_eq!(now["properties"]["properties"]["AzureAsyncOperationUri"], operation, "a handle for everybody");
}

#[test]
fn whoever_comes_meanwhile_is_refused_and_the_next_is_not() {
    let world = World::blue_and_green();
    world.shift(&json!({ "green": 100 }));
    let deployment = world.get(&format!("{WORKSPACE}/onlineEndpoints/fraud/deployments/green?{VERSION}"));
    let own = format!("{WORKSPACE}/onlineEndpoints/fraud?{VERSION}");
    let another = format!("{WORKSPACE}/onlineEndpoints/fraud/deployments/new?{VERSION}");
    for (method, path, body) in [
        (Method::PUT, &own, world.endpoint()),
        (Method::PATCH, &own, json!({ "tags": {} })),
        (Method::DELETE, &own, Value::Null),
        (Method::PUT, &another, deployment),
    ] {
        let (status, answer) = world.ask(method.clone(), path, &body);
        let said = answer["error"]["message"].as_str().unwrap();
        assert!(status == 409 && said.contains("because it is in Updating provisioning state"), "{method}: {answer}");
    }
    world.advance("21s");
    assert_eq!(world.endpoint()["properties"]["traffic"], json!({ "green": 100 }), "none of them had an effect");
    world.route(&json!({ "blue": 100 }));
}

#[test]
fn operations_end_badly_or_not_at_all_and_a_later_put_is_the_way_out() {
    for (fault, state, code) in
        [("settle_failed", "Failed", "OutOfCapacity"), ("settle_canceled", "Canceled", "OperationCanceled")]
    {
        let world = World::blue_and_green();
        world.fault("azure-ml", "OnlineEndpoints_CreateOrUpdate", &json!({ "fault": fault }));
        let (status, _) = world.shift(&json!({ "green": 100 }));
        assert_eq!(status, 201, "it is accepted");
        let operation = world.header("azure-asyncoperation").unwrap();
        world.advance("21s");
        let said = world.status_of(&operation);
        assert_eq!((&said["status"], said["error"].to_string().contains(code)), (&json!(state), true), "{said}");
        let after = world.endpoint();
        assert_eq!(after["properties"]["provisioningState"], state);
        assert_eq!(after["properties"]["traffic"], json!({ "blue": 100 }), "the old routing goes on");
        world.route(&json!({ "green": 100 }));
    }
    let world = World::blue_and_green();
    world.fault("azure-ml", "OnlineEndpoints_CreateOrUpdate", &json!({ "fault": "settle_forever" }));
    world.shift(&json!({ "green": 100 }));
    let operation = world.header("azure-asyncoperation").unwrap();
    world.advance("2h");
    assert_eq!(world.status_of(&operation)["status"], "Updating");
    assert_eq!(world.shift(&json!({ "blue": 100 })).0, 409);
}

#[test]
fn reads_may_be_from_before_and_others_write_too() {
    let world = World::blue_and_green();
    world.route(&json!({ "blue": 90, "green": 10 }));
    world.fault("azure-ml", "OnlineEndpoints_Get", &json!({ "fault": "stale", "times": 2 }));
    for traffic in [json!({ "blue": 100 }), json!({ "blue": 100 }), json!({ "blue": 90, "green": 10 })] {
        assert_eq!(world.endpoint()["properties"]["traffic"], traffic);
    }
    world.fault("azure-ml", "OnlineEndpoints_Get", &json!({ "fault": "foreign_write" }));
    let theirs = world.endpoint()["properties"]["traffic"].clone();
    assert!(theirs != json!({ "blue": 90, "green": 10 }) && theirs != json!({ "blue": 100 }), "{theirs}");
}

#[test]
fn the_status_of_an_operation_may_be_forbidden_or_not_there_yet() {
    let world = World::blue_and_green();
    world.shift(&json!({ "green": 100 }));
    let operation = world.header("azure-asyncoperation").unwrap();
    let path = operation.strip_prefix("http://127.0.0.1:4620").unwrap();
    for status in [404, 403] {
        world.fault("azure-ml", "mfeOperationsStatus", &json!({ "fault": "status", "status": status }));
        assert_eq!(world.ask(Method::GET, path, &Value::Null).0, status);
    }
    assert_eq!(world.ask(Method::GET, path, &Value::Null).0, 200);
    world.fault("azure-ml", "OnlineEndpoints_Get", &json!({ "fault": "status", "status": 429 }));
    let (status, answer) =
        world.ask(Method::GET, &format!("{WORKSPACE}/onlineEndpoints/fraud?{VERSION}"), &Value::Null);
    assert_eq!((status, world.header("retry-after").as_deref()), (429, Some("1")), "{answer}");
}

#[test]
fn a_deletion_is_accepted_with_null_and_an_address_of_its_own() {
    let world = World::blue_and_green();
    let green = format!("{WORKSPACE}/onlineEndpoints/fraud/deployments/green?{VERSION}");
    let request = http::Request::delete(&green).header("authorization", "Bearer x").body(Bytes::new()).unwrap();
    let answer = world.sandbox.ask(&request).unwrap();
    assert_eq!((answer.status().as_u16(), answer.body().as_ref()), (202, &b"null"[..]));
    let header = |name: &str| answer.headers().get(name).unwrap().to_str().unwrap().to_owned();
    assert!(header("location").contains("/mfeOperationResults/od:"), "{}", header("location"));
    assert!(header("azure-asyncoperation").contains("/mfeOperationsStatus/od:"));
    world.advance("31s");
    assert_eq!(world.ask(Method::GET, &green, &Value::Null).0, 404);
    let blue = green.replace("green", "blue");
    let (status, answer) = world.ask(Method::DELETE, &blue, &Value::Null);
    assert!(status == 400 && answer.to_string().contains("set it to 0"), "who has traffic stays: {answer}");
}

#[test]
fn names_have_no_case_and_come_back_as_they_were_written() {
    let world = World::blue_and_green();
    let shouted = WORKSPACE.to_uppercase().replace("API-VERSION", "api-version");
    let found = world.get(&format!("{shouted}/ONLINEENDPOINTS/FRAUD?{VERSION}"));
    assert_eq!(found["name"], "Fraud");
    let (status, answer) = world.shift(&json!({ "BLUE": 0, "Green": 100 }));
    assert_eq!(status, 201, "{answer}");
    world.advance("21s");
    assert_eq!(world.endpoint()["properties"]["traffic"], json!({ "BLUE": 0, "Green": 100 }));
}

#[test]
fn traffic_and_mirrors_have_rules_and_the_reason_is_in_the_detail() {
    let world = World::blue_and_green();
    let before = world.endpoint();
    for (traffic, mirror, said) in [
        (json!({ "blue": 99 }), json!({}), "sum of traffic must be 0 or 100"),
        (json!({ "blue": 60, "green": 60 }), json!({}), "sum of traffic must be 0 or 100"),
        (json!({ "blue": 99.5, "green": 0.5 }), json!({}), "must be an integer"),
        (json!({ "blue": -1, "green": 101 }), json!({}), "must be an integer"),
        (json!({ "blue": 90, "purple": 10 }), json!({}), "does not exist"),
        (json!({ "blue": 100 }), json!({ "green": 51 }), "at most 50"),
        (json!({ "blue": 100 }), json!({ "green": 10, "red": 10 }), "one deployment"),
        (json!({ "blue": 90, "green": 10 }), json!({ "green": 10 }), "both live traffic and mirror"),
        (json!({ "blue": 100 }), json!({ "purple": 10 }), "does not exist"),
    ] {
        let mut wanted = before.clone();
        wanted["properties"]["traffic"] = traffic.clone();
        wanted["properties"]["mirrorTraffic"] = mirror;
        let (status, answer) = world.put(&wanted);
        let error = &answer["error"];
        assert_eq!((status, &error["message"]), (400, &json!("The request is invalid.")), "{traffic} {answer}");
        assert!(error["details"][0]["message"].as_str().unwrap().contains(said), "{traffic}: {answer}");
        assert!(error["additionalInfo"][0]["type"].is_string(), "{answer}");
    }
    assert_eq!(world.endpoint(), before, "nothing was changed");
    // From shadow to canary in one PUT.
    let mut shadow = before;
    shadow["properties"]["mirrorTraffic"] = json!({ "green": 50 });
    assert_eq!(world.put(&shadow).0, 201);
    world.advance("21s");
    let mut canary = world.endpoint();
    canary["properties"]["mirrorTraffic"] = json!({});
    canary["properties"]["traffic"] = json!({ "blue": 95, "green": 5 });
    assert_eq!(world.put(&canary).0, 201);
    world.advance("21s");
    assert_eq!(world.endpoint()["properties"]["mirrorTraffic"], json!({}));
    world.route(&json!({}));
}

#[test]
fn what_a_put_leaves_out_is_lost_and_what_it_echoes_stays() {
    let world = World::blue_and_green();
    let mut full = world.endpoint();
    full["tags"] = json!({ "team": "fraud" });
    full["identity"] = json!({ "type": "UserAssigned", "userAssignedIdentities": { IDENTITY: {} } });
    full["novelty"] = json!({ "deep": [1, null] });
    let properties = &mut full["properties"];
    properties["publicNetworkAccess"] = json!("Disabled");
    properties["description"] = json!("prod");
    properties["mirrorTraffic"] = json!({ "green": 10 });
    properties["newInAFutureVersion"] = json!({ "a": [{}] });
    properties["properties"]["x"] = json!("y");
    assert_eq!(world.put(&full).0, 201);
    world.advance("21s");
    let kept = world.endpoint();
    assert!(kept["identity"]["userAssignedIdentities"][IDENTITY]["principalId"].is_string(), "filled in by Azure");
    for name in ["publicNetworkAccess", "description", "mirrorTraffic", "newInAFutureVersion", "traffic"] {
        assert_eq!(kept["properties"][name], full["properties"][name], "{name}");
    }
    assert_eq!((&kept["novelty"], &kept["tags"]), (&full["novelty"], &full["tags"]));
    // As a fresh object of an SDK is written over it.
    let bare = json!({ "location": "eastus", "properties": { "authMode": "Key" } });
    assert_eq!(world.put(&bare).0, 201);
    world.advance("21s");
    let lost = world.endpoint();
    let properties = &lost["properties"];
    assert_eq!((&properties["traffic"], &properties["mirrorTraffic"]), (&json!({}), &json!({})), "0 % everywhere");
    assert_eq!(
        (&lost["tags"], &lost["identity"], &properties["description"]),
        (&json!({}), &Value::Null, &Value::Null)
    );
    assert_eq!(properties["properties"]["x"], "y", "the inner bag: entries are added, not removed");
    let (status, answer) = world.ask(
        Method::PATCH,
        &format!("{WORKSPACE}/onlineEndpoints/fraud?{VERSION}"),
        &json!({ "properties": { "traffic": { "green": 100 } } }),
    );
    assert!(status == 400 && answer.to_string().contains("cannot be patched"), "{answer}");
}

/// PUTs a deployment that is a copy of blue, with another model and so many instances.
fn deploy(world: &World, name: &str, model: &str, instances: u32) -> (u16, Value) {
    let at = |name: &str| format!("{WORKSPACE}/onlineEndpoints/fraud/deployments/{name}?{VERSION}");
    let mut copy = world.get(&at("blue"));
    copy.as_object_mut().unwrap().remove("name");
    copy["sku"]["capacity"] = json!(instances);
    copy["properties"]["model"] = json!(model);
    world.ask(Method::PUT, &at(name), &copy)
}

#[test]
fn a_deployment_behaves_as_its_model_and_one_that_cannot_run_fails_late_with_its_log() {
    let world =
        World::new("blue = {}\ngreen = { error_rate = 1.0 }\nbroken = { state = \"Failed\" }\n[azure_ml]\ncores = 200");
    let model = |version: &str| format!("{WORKSPACE}/models/Fraud/versions/{version}");
    let at = |name: &str| format!("{WORKSPACE}/onlineEndpoints/fraud/deployments/{name}");
    let state = |name: &str| world.get(&format!("{}?{VERSION}", at(name)))["properties"]["provisioningState"].clone();
    let logs = |name: &str, container: &str| {
        let body = json!({ "containerType": container, "tail": 1 });
        let (status, answer) = world.ask(Method::POST, &format!("{}/getLogs?{VERSION}", at(name)), &body);
        assert_eq!(status, 200, "{answer}");
        answer["content"].as_str().unwrap().to_owned()
    };
    for (name, version, instances, code, log) in [
        ("bad", "broken", 1, "ResourceNotReady", "worker exited with code 3\n"),
        ("big", "green", 50, "OutOfQuota", ""),
    ] {
        let (status, accepted) = deploy(&world, name, &model(version), instances);
        assert_eq!((status, &accepted["properties"]["provisioningState"]), (201, &json!("Creating")), "{accepted}");
        let operation = world.header("azure-asyncoperation").unwrap();
        assert_eq!(world.header("retry-after"), None);
        world.advance("481s");
        assert_eq!(state(name), "Failed");
        let said = world.status_of(&operation);
        let inner = &said["error"]["details"][0];
        assert_eq!((&said["status"], &inner["code"]), (&json!("Failed"), &json!(code)), "{said}");
        assert_eq!((logs(name, "InferenceServer"), logs(name, "StorageInitializer")), (log.to_owned(), String::new()));
    }
    let (status, answer) = deploy(&world, "short", "azureml:Fraud:green", 1);
    assert!(status == 400 && answer.to_string().contains("id of a resource"), "{answer}");
    assert_eq!(deploy(&world, "fails", &model("green"), 1).0, 201);
    world.advance("481s");
    assert_eq!(state("fails"), "Succeeded");
    assert_eq!(world.endpoint()["properties"]["traffic"], json!({ "blue": 100 }), "a new deployment gets none");
    // Copies reach it, and are counted as its own.
    let mut shadow = world.endpoint();
    shadow["properties"]["mirrorTraffic"] = json!({ "fails": 20 });
    assert_eq!(world.put(&shadow).0, 201);
    world.advance("20m");
    let span = "timespan=2026-11-21T09:30:00Z/2026-11-21T09:40:00Z&interval=FULL&aggregation=Average&top=50";
    let (_, answer) =
        world.metrics(&format!("{span}&metricnames=RequestsPerMinute&$filter=deployment eq '*' and statusCode eq '*'"));
    let series = answer["value"][0]["timeseries"].as_array().unwrap();
    let a_minute = |name: &str, code: &str| {
        let found = series
            .iter()
            .find(|one| one["metadatavalues"][0]["value"] == name && one["metadatavalues"][1]["value"] == code);
        found.map(|one| averages(one)[0].unwrap())
    };
    let (users, copies) = (a_minute("blue", "200").unwrap(), a_minute("fails", "424").unwrap());
    assert!((2900.0..3100.0).contains(&users) && (550.0..650.0).contains(&copies), "{answer}");
    assert_eq!(a_minute("fails", "200"), None);
}

thread_local! {
    static HOSTILE: World = World::blue_and_green();
}

/// Paths and queries made of what is understood and what is not.
fn uris() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("onlineEndpoints"),
        Just("fraud"),
        Just("deployments"),
        Just("green"),
        Just("providers"),
        Just("Microsoft.Insights"),
        Just("metrics"),
        Just("metricDefinitions"),
        Just("getLogs"),
        Just("token"),
        Just("skus"),
        Just("query"),
        Just("%ff"),
        Just(""),
        Just("%00"),
    ];
    let root = prop_oneof![4 => Just(""), 1 => Just("/v1")];
    let query = prop_oneof![
        Just("metricnames=RequestsPerMinute"),
        Just("$filter=deployment%20eq%20'*'"),
        Just("$filter=(("),
        Just("top=-1"),
        Just("top=99999999999999999999"),
        Just("timespan=1/2"),
        Just("interval=PT1M"),
        Just("interval=FULL"),
        Just("timespan=2026-11-21T09:00:00Z/2026-11-21T08:00:00Z"),
        Just("timespan=0001-01-01T00:00:00Z/9999-12-31T00:00:00Z"),
        Just("$skip=18446744073709551615"),
        Just("count=0"),
        Just("count=18446744073709551615"),
        Just("name=%F0%9F%98%80"),
        Just("aggregation=,"),
        Just("ValidateDimensions=maybe"),
        Just("x"),
    ];
    (root, prop::collection::vec(part, 0..6), prop::collection::vec(query, 0..5))
        .prop_map(|(root, parts, query)| format!("{root}{WORKSPACE}/{}?{VERSION}&{}", parts.join("/"), query.join("&")))
}

/// JSON around what an endpoint or a deployment is.
fn bodies() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(json!(null)),
        Just(json!(true)),
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        Just(json!("Managed")),
        Just(json!("eastus")),
        ".{0,8}".prop_map(|text| json!(text)),
        Just(json!(100)),
    ];
    let value = leaf.prop_recursive(4, 24, 4, |inner| {
        let name = prop_oneof![
            Just("location"),
            Just("properties"),
            Just("traffic"),
            Just("mirrorTraffic"),
            Just("blue"),
            Just("identity"),
            Just("tags"),
            Just("sku"),
            Just("capacity"),
            Just("authMode"),
            Just("endpointComputeType"),
            Just("type"),
            Just("userAssignedIdentities"),
            Just("scaleSettings"),
            Just("name"),
            Just("model"),
            Just("instanceType"),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((name, inner), 0..6)
                .prop_map(|entries| entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    });
    prop_oneof![value.prop_map(|value| value.to_string()), ".{0,40}"]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn whatever_is_thrown_at_it_is_answered(
        method in prop_oneof![Just("GET"), Just("PUT"), Just("PATCH"), Just("POST"), Just("DELETE"), Just("BREW")],
        uri in uris(),
        body in bodies(),
    ) {
        HOSTILE.with(|world| {
            let request = http::Request::builder().method(method).uri(uri).header("authorization", "Bearer x");
            let Ok(request) = request.body(Bytes::from(body)) else { return Ok(()) };
            let answer = world.sandbox.ask(&request).unwrap();
            let status = answer.status().as_u16();
            prop_assert!((200..500).contains(&status), "{status}");
            if !answer.body().is_empty() {
                prop_assert!(serde_json::from_slice::<Value>(answer.body()).is_ok());
            }
            world.advance("7m");
            Ok(())
        })?;
    }
}

/// Queries made of what is understood and what is not.
fn queries() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("AmlOnlineEndpointTrafficLog"),
        Just("| where"),
        Just("| extend X ="),
        Just("| summarize"),
        Just("| order by"),
        Just("count()"),
        Just("countif("),
        Just("("),
        Just(")"),
        Just("by bin(TimeGenerated, 60s)"),
        Just("bin(TimeGenerated, 99999999999d)"),
        Just("datetime(9999-12-31T00:00:00Z)"),
        Just("TimeGenerated >= datetime(2026-11-21T08:58:00Z)"),
        Just("ResponseCode"),
        Just("toint(ResponseCode) == 424"),
        Just("and"),
        Just("or"),
        Just(","),
        Just("'x\\'"),
        Just("9223372036854775808"),
        Just("1.5"),
        Just("//"),
        Just("\n"),
        Just("\u{fffd}"),
    ];
    prop::collection::vec(word, 0..9).prop_map(|words| format!("AmlOnlineEndpointTrafficLog {}", words.join(" ")))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn whatever_is_asked_of_the_logs_is_answered(query in queries(), whole in any::<bool>()) {
        HOSTILE.with(|world| {
            let span = if whole { Value::Null } else { json!("2026-11-21T08:58:03Z/2026-11-21T08:59:00Z") };
            let body = json!({ "query": query, "timespan": span }).to_string();
            let path = format!("/v1{WORKSPACE}/onlineEndpoints/fraud/query");
            let request = http::Request::builder().method("POST").uri(path).header("authorization", "Bearer x");
            let request = request.header("content-type", "application/json").body(Bytes::from(body)).unwrap();
            let status = world.sandbox.ask(&request).unwrap().status().as_u16();
            prop_assert!(matches!(status, 200 | 400), "{}", status);
            Ok(())
        })?;
    }
}
