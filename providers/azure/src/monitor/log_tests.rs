//! The traffic log over real HTTP, against a Log Analytics that answers what it is told to.

use std::time::Duration;

use mlroll_backend::{ErrorKind, MetricSource, Query, Resource, Sample, Subject, Timestamp, Window};
use mlroll_faults::arm::{Arm, ArmOperation, TOKEN};
use mlroll_faults::scripted::{Reply, Request, Server};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::rows::Rows;
use super::traffic_log::Counted;
use super::{Monitor, TrafficLog};
use crate::Settings;
use crate::settings::Secret;

const LOGS_TOKEN: &str = "verysecretlogstoken";
const QUERIES: [Query; 3] = [Query::ErrorRate, Query::Latency, Query::Requests];

/// What requests are counted above with a gate at 300 ms, in seconds.
const BOUNDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0];

fn settings(logs: &str, arm: Option<&Arm>) -> Settings {
    Settings {
        endpoint: arm.map(Arm::url).or(Some("http://127.0.0.1:9".to_owned())),
        logs_endpoint: Some(logs.to_owned()),
        access_token: Some(Secret::from(TOKEN.to_owned())),
        logs_token: Some(Secret::from(LOGS_TOKEN.to_owned())),
        ..Settings::default()
    }
}

fn log(workspace: Option<&str>) -> Option<TrafficLog> {
    Some(TrafficLog { workspace: workspace.map(str::to_owned), slower_than: vec![0.3] })
}

fn monitor(server: &Server) -> Monitor {
    Monitor::new(&settings(&server.url, None), log(None), None, None).unwrap()
}

fn subject(revision: &str) -> Subject {
    let target = "azure-ml:00000000-0000-0000-0000-000000000000/ml/prod/fraud".parse().unwrap();
    Subject::new(target, revision.parse().unwrap())
}

/// The nth minutes of an hour.
fn window(n: i64, minutes: i64) -> Window {
    let start: Timestamp = "2026-11-21T08:00:00Z".parse().unwrap();
    let at = |minute: i64| Timestamp::from_unix_seconds(start.unix_seconds() + 60 * minute).unwrap();
    Window::new(at(n * minutes), at((n + 1) * minutes)).unwrap()
}

/// A row of a minute after 8:00: requests, failed ones, and how many took longer than 300 ms, or than any lower bound.
fn row(minute: u32, deployment: &str, requests: u64, failed: u64, slow: u64) -> Value {
    let mut row =
        vec![json!(format!("2026-11-21T08:{minute:02}:00Z")), json!(deployment), json!(requests), json!(failed)];
    row.extend([json!(0), json!(0)]);
    row.extend(BOUNDS.iter().map(|bound| json!(if *bound <= 0.3 { slow } else { 0 })));
    row.push(json!(0));
    Value::Array(row)
}

fn answer(rows: &[Value]) -> Value {
    let column = |name: &str, kind: &str| json!({ "name": name, "type": kind });
    let mut columns = vec![column("Start", "datetime"), column("Deployment", "string")];
    columns.extend(["Requests", "Failed", "NoCode", "NoDuration"].map(|name| column(name, "long")));
    columns.extend((0..BOUNDS.len()).map(|n| column(&format!("Above{n}"), "long")));
    columns.push(column("Throttled", "long"));
    json!({ "tables": [{ "name": "PrimaryResult", "columns": columns, "rows": rows }] })
}

/// What `green` is told to be in the first minute.
async fn first(query: Query, reply: Reply) -> Sample {
    let server = Server::always(reply);
    monitor(&server).sample(&[query], &[subject("green"), subject("blue")], &[window(0, 1)]).await.unwrap().remove(0)
}

fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

#[tokio::test]
async fn one_query_answers_for_all_deployments_windows_and_counts() {
    let rows = [
        row(0, "blue", 900, 9, 90),
        row(0, "green", 100, 7, 5),
        row(1, "blue", 800, 0, 0),
        row(2, "green", 50, 50, 50),
    ];
    let server = Server::always(Reply::json(answer(&rows).to_string()));
    let monitor = monitor(&server);
    let (subjects, windows) = ([subject("Green"), subject("blue")], [window(0, 1), window(1, 1), window(2, 1)]);
    let samples = monitor.sample(&QUERIES, &subjects, &windows).await.unwrap();
    let empty = |sample: &Sample| matches!(sample, Sample::NoData(why) if why.name() == "empty");
    assert_eq!((&samples[0], &samples[2]), (&Sample::counts(100.0, 7.0), &Sample::counts(50.0, 50.0)));
    assert_eq!((&samples[3], &samples[4]), (&Sample::counts(900.0, 9.0), &Sample::counts(800.0, 0.0)));
    assert!([1, 5, 7, 11, 13, 17].iter().all(|n| empty(&samples[*n])), "{samples:?}");
    let Sample::Histogram(green) = &samples[6] else { panic!("{samples:?}") };
    assert_eq!(green.total(), 100.0);
    assert!(green.buckets().contains(&(0.3, 95.0)) && green.buckets().contains(&(0.5, 100.0)), "{green:?}");
    assert_eq!((&samples[12], &samples[16]), (&Sample::value(100.0), &Sample::value(800.0)));
    let [request] = server.requests().try_into().unwrap();
    let id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/ml/providers/\
              Microsoft.MachineLearningServices/workspaces/prod/onlineEndpoints/fraud";
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", format!("/v1{id}/query").as_str()));
    assert_eq!(request.headers["authorization"], format!("Bearer {LOGS_TOKEN}"));
    assert_eq!(
        (request.headers["content-type"].as_str(), request.headers["prefer"].as_str()),
        ("application/json", "wait=9")
    );
    let body = body(&request);
    assert_eq!(body["timespan"], "2026-11-21T08:00:00Z/2026-11-21T08:03:00Z");
    let query = body["query"].as_str().unwrap();
    let time = "TimeGenerated >= datetime(2026-11-21T08:00:00Z) and TimeGenerated < datetime(2026-11-21T08:03:00Z)";
    assert!(
        query.starts_with(&format!("AmlOnlineEndpointTrafficLog\n| where {time}\n| where EndpointName")),
        "{query}"
    );
    assert!(
        query.contains("DeploymentName in~ ('Green', 'blue')") && query.contains("bin(TimeGenerated, 60s)"),
        "{query}"
    );
    // A window of several minutes is their sum.
    let whole = monitor.sample(&QUERIES[..1], &subjects[..1], &[window(0, 3)]).await.unwrap();
    assert_eq!(whole, [Sample::counts(150.0, 57.0)]);
    assert!(monitor.sample(&QUERIES, &subjects, &[]).await.unwrap().is_empty());
    assert_eq!(server.requests().len(), 2, "no windows, no question");
}

#[tokio::test]
async fn a_workspace_is_asked_by_its_id_for_this_endpoint_alone() {
    let server = Server::always(Reply::json(answer(&[row(0, "green", 1, 0, 0)]).to_string()));
    let id = "00000000-0000-0000-0000-00000000000a";
    let monitor = Monitor::new(&settings(&server.url, None), log(Some(id)), None, None).unwrap();
    monitor.check(&QUERIES, &[subject("green")], window(0, 1)).await.unwrap();
    let [request] = server.requests().try_into().unwrap();
    assert_eq!(request.path, format!("/v1/workspaces/{id}/query"));
    let query = body(&request)["query"].as_str().unwrap().to_owned();
    assert!(
        query.contains(" and _ResourceId =~ '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/ml/")
    );
}

#[tokio::test]
async fn what_is_nothing_is_no_data_and_never_zero() {
    let good = || row(0, "green", 10, 1, 2);
    let with = |place: usize, value: Value| {
        let mut row = good();
        row[place] = value;
        answer(&[row])
    };
    let without = |name: &str| {
        let mut answer = answer(&[good()]);
        answer["tables"][0]["columns"].as_array_mut().unwrap().iter_mut().for_each(|column| {
            if column["name"] == name {
                column["name"] = json!("x");
            }
        });
        answer
    };
    let mut partial = answer(&[good()]);
    partial["error"] = json!({ "code": "PartialError", "message": "There were some errors", "details": [
        { "code": "EngineError", "message": "Something\nwent wrong" }] });
    let mut twice = answer(&[good()]);
    let table = twice["tables"][0].clone();
    twice["tables"].as_array_mut().unwrap().push(table);
    let [requests, failed, codeless, timeless, slow] = [2, 3, 4, 5, 12];
    for (query, told, why, says) in [
        (
            0,
            answer(&[]),
            "partial",
            "az monitor diagnostic-settings create --name mlroll --resource /subscriptions/0000",
        ),
        (1, answer(&[]), "partial", "az monitor diagnostic-settings create"),
        (0, Value::Null, "partial", "az monitor diagnostic-settings create"),
        (0, partial.clone(), "partial", "EngineError Something went wrong"),
        (1, partial, "partial", "EngineError"),
        (0, answer(&[row(0, "blue", 9, 0, 0)]), "empty", ""),
        (0, answer(&[row(1, "green", 9, 0, 0)]), "empty", ""),
        (0, answer(&[row(0, "green", 0, 0, 0)]), "empty", ""),
        (0, with(codeless, json!(1)), "inconsistent", "1 of 10 requests have no response code"),
        (1, with(timeless, json!(2)), "inconsistent", "2 of 10 requests have no duration"),
        (0, with(failed, json!(11)), "inconsistent", "11 failed requests of 10"),
        (1, with(slow, json!(3)), "inconsistent", "3 requests above 0.3 s, of 2"),
        (0, with(requests, json!("10")), "failed", "makes no sense"),
        (0, with(requests, json!(-10)), "failed", "makes no sense"),
        (0, with(requests, json!(1.5)), "failed", "makes no sense"),
        (0, with(requests, Value::Null), "failed", "makes no sense"),
        (0, with(0, json!("soon")), "failed", "makes no sense"),
        (0, with(1, Value::Null), "failed", "makes no sense"),
        (0, answer(&[json!([])]), "failed", "makes no sense"),
        (0, answer(&[good(), good()]), "failed", "two rows"),
        (0, without("Throttled"), "failed", "no column `Throttled` of type long"),
        (0, without("Failed"), "failed", "no column `Failed` of type long"),
        (1, without("Above3"), "failed", "no column `Above3`"),
        (0, twice, "failed", "more than one"),
        (0, json!({ "tables": [] }), "failed", "no table"),
        (0, json!([]), "failed", "no table"),
    ] {
        let reply = if told.is_null() { Reply::status(204, "") } else { Reply::json(told.to_string()) };
        let sample = first(QUERIES[query].clone(), reply).await;
        let Sample::NoData(found) = &sample else { panic!("{told}: {sample:?}") };
        assert!(found.name() == why && found.to_string().contains(says), "{told}: {found}");
    }
    // What is odd about one does not touch the other.
    assert_eq!(
        first(Query::ErrorRate, Reply::json(with(timeless, json!(2)).to_string())).await,
        Sample::counts(10.0, 1.0)
    );
    assert_eq!(first(Query::Requests, Reply::json(with(codeless, json!(2)).to_string())).await, Sample::value(10.0));
}

#[tokio::test]
async fn what_is_turned_away_is_neither_a_failure_nor_an_answer() {
    let throttling = |requests: u64, throttled: u64| {
        let mut row = row(0, "green", requests, requests / 10, 0);
        *row.as_array_mut().unwrap().last_mut().unwrap() = json!(throttled);
        Reply::json(answer(&[row]).to_string())
    };
    assert_eq!(first(Query::ErrorRate, throttling(100, 25)).await, Sample::counts(100.0, 10.0).beside_throttled(25.0));
    assert_eq!(first(Query::Requests, throttling(100, 25)).await, Sample::value(100.0));
    assert!(matches!(first(Query::Latency, throttling(100, 25)).await, Sample::Histogram(of) if of.total() == 100.0));
    // Somebody came, and nobody was answered.
    assert_eq!(first(Query::ErrorRate, throttling(0, 25)).await, Sample::counts(0.0, 0.0).beside_throttled(25.0));
    assert!(matches!(first(Query::Latency, throttling(0, 25)).await, Sample::NoData(why) if why.name() == "empty"));
}

#[tokio::test]
async fn a_log_that_nobody_keeps_is_found_by_a_check_with_what_to_type() {
    let missing = "'where' operator: Failed to resolve table or column expression named 'AmlOnlineEndpointTrafficLog'";
    let inner = json!({ "code": "SemanticError", "message": "A semantic error occurred.",
                        "innererror": { "code": "SEM0100", "message": missing } });
    let error = json!({ "error": { "code": "BadArgumentError", "message": "The request had some invalid properties",
                                   "innererror": inner } });
    let server = Server::always(Reply::status(400, error.to_string()));
    let monitor = monitor(&server);
    let error = monitor.check(&QUERIES, &[subject("blue")], window(0, 1)).await.unwrap_err();
    let said = error.to_string();
    assert!(error.kind() == ErrorKind::Invalid && said.contains("Failed to resolve table"), "{said}");
    assert!(said.contains("az monitor diagnostic-settings create --name mlroll --resource /subscriptions/"), "{said}");
    let samples = monitor.sample(&QUERIES, &[subject("blue")], &[window(0, 1)]).await.unwrap();
    assert!(
        samples.iter().all(|sample| matches!(sample, Sample::NoData(why) if why.name() == "failed")),
        "{samples:?}"
    );
    // Another fault of the query gets no such advice.
    let server = Server::always(Reply::status(400, r#"{"error":{"code":"BadArgumentError","message":"no"}}"#));
    let error = self::monitor(&server).check(&QUERIES, &[subject("blue")], window(0, 1)).await.unwrap_err();
    assert!(!error.to_string().contains("az monitor"), "{error}");
}

#[tokio::test]
async fn what_passes_is_asked_again_and_what_lasts_costs_samples() {
    let good = answer(&[row(0, "green", 10, 1, 0)]).to_string();
    for status in [429, 504, 500] {
        let good = good.clone();
        let server = Server::start(move |n, _| match n {
            0 => Reply::Answer { status, headers: vec![("Retry-After", "0".to_owned())], body: Vec::new() },
            _ => Reply::json(good.clone()),
        });
        let samples = monitor(&server).sample(&QUERIES[..1], &[subject("green")], &[window(0, 1)]).await.unwrap();
        assert_eq!((samples, server.requests().len()), (vec![Sample::counts(10.0, 1.0)], 2), "{status}");
    }
    for (status, code, kind) in [
        (403, "InvalidAuthenticationTokenAudience", ErrorKind::Auth),
        (403, "InsufficientAccessError", ErrorKind::Auth),
        (404, "ResourceNotFoundError", ErrorKind::NotFound),
    ] {
        let body = json!({ "error": { "code": code, "message": "no" } }).to_string();
        let server = Server::always(Reply::status(status, body));
        let error = monitor(&server).check(&QUERIES, &[subject("green")], window(0, 1)).await.unwrap_err();
        assert!(error.kind() == kind && error.to_string().contains(code), "{error}");
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn no_token_goes_to_the_other_api() {
    let arm = Arm::start();
    let points = json!([{ "timeStamp": "2026-11-21T08:00:00Z", "maximum": 40.0 }]);
    arm.set_metrics(Some(json!({ "value": [{ "errorCode": "Success", "timeseries": [{ "data": points }] }] })));
    let logs = Server::always(Reply::json(answer(&[row(0, "green", 10, 1, 0)]).to_string()));
    let queries = [Query::Headroom(Resource::Cpu), Query::ErrorRate];
    let both = Monitor::new(&settings(&logs.url, Some(&arm)), log(None), None, None).unwrap();
    let samples = both.sample(&queries, &[subject("green")], &[window(0, 1)]).await.unwrap();
    assert_eq!(samples, [Sample::value(0.6), Sample::counts(10.0, 1.0)]);
    // Resource Manager takes no token but its own.
    assert_eq!(arm.count(ArmOperation::Metrics), 1);
    let sent: Vec<String> = logs.requests().iter().map(|request| request.headers["authorization"].clone()).collect();
    assert_eq!(sent, [format!("Bearer {LOGS_TOKEN}")]);
    // Where there is none for logs, that of Resource Manager is not tried.
    let alone =
        Settings { logs_token: None, credential: Some("client-secret".to_owned()), ..settings(&logs.url, Some(&arm)) };
    let monitor = Monitor::new(&alone, log(None), None, None).unwrap();
    let error = monitor.check(&[Query::ErrorRate], &[subject("green")], window(0, 1)).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Auth && error.to_string().contains("AZURE_LOGS_ACCESS_TOKEN"), "{error}");
    assert!(!error.to_string().contains(TOKEN), "{error}");
    assert_eq!(logs.requests().len(), 1);
    monitor.check(&queries[..1], &[subject("green")], window(0, 1)).await.unwrap();
    // Nor in clear text, nor to a cloud whose API nobody knows.
    for (odd, says) in [
        (Settings { logs_endpoint: Some("http://192.0.2.1".to_owned()), ..Settings::default() }, "clear text"),
        (Settings { logs_endpoint: Some("hunter2".to_owned()), ..Settings::default() }, "MLROLL_ENDPOINT_AZURE_LOGS"),
        (Settings { cloud: Some("AzureBleuCloud".to_owned()), ..Settings::default() }, "AzureBleuCloud"),
    ] {
        let error = Monitor::new(&odd, log(None), None, None).unwrap_err();
        assert!(error.message().contains(says) && !error.to_string().contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn logs_are_later_than_metrics_and_finer() {
    let server = Server::always(Reply::json(answer(&[]).to_string()));
    let monitor = monitor(&server);
    let p95 = Query::Custom("metricnames=RequestLatency_P95&$filter=deployment eq '{{revision}}'".to_owned());
    let green = subject("green");
    for (query, minutes) in [(&Query::ErrorRate, 10), (&Query::Latency, 10), (&Query::Requests, 10), (&p95, 2)] {
        assert_eq!(monitor.settle_delay(query, &green), Duration::from_secs(60 * minutes), "{query}");
    }
    let told = Monitor::new(&settings(&server.url, None), log(None), Some(Duration::from_secs(7)), None).unwrap();
    assert_eq!(told.settle_delay(&Query::ErrorRate, &green), Duration::from_secs(7));
    let until = window(0, 1).end();
    assert_eq!(monitor.granularity(&QUERIES, &green, until).await.unwrap(), None);
    let both = [Query::ErrorRate, p95.clone()];
    assert_eq!(monitor.granularity(&both, &green, until).await.unwrap().unwrap().shortest, Duration::from_secs(60));
    let half = Window::within(window(0, 1).start(), until, Duration::from_secs(30)).unwrap().next().unwrap();
    monitor.sample(&QUERIES, std::slice::from_ref(&green), &[half]).await.unwrap();
    assert!(body(&server.requests()[0])["query"].as_str().unwrap().contains("bin(TimeGenerated, 30s)"));
    let refused = monitor.sample(&both, std::slice::from_ref(&green), &[half]).await.unwrap_err();
    assert_eq!((refused.kind(), server.requests().len()), (ErrorKind::Invalid, 1));
    let words = monitor.words(&Query::Latency, &green, Duration::from_secs(60)).unwrap();
    assert!(words.contains("countif(Answered and TotalDurationMs > 300)") && !words.contains("datetime("), "{words}");
    assert!(monitor.words(&p95, &green, Duration::from_secs(60)).unwrap().starts_with("metricnames="));
    for query in [Query::InstanceStartup, Query::PendingRequests, Query::Scores("x".to_owned())] {
        let refused = monitor.sample(&[query], &[subject("green")], &[window(0, 1)]).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unsupported);
    }
}

/// A value that a cell of a table may hold.
fn cells() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!("green")),
        Just(json!("2026-11-21T08:00:00Z")),
        Just(json!([{}])),
        any::<u64>().prop_map(|n| json!(n)),
        (0_u64..20).prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        ".{0,8}".prop_map(|text| json!(text)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn whatever_is_answered_is_read_or_said_to_make_no_sense(
        rows in prop::collection::vec(prop::collection::vec((0_usize..20, cells()), 0..4), 0..4),
        bytes in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let hint = String::new;
        let _ = Rows::parse("Op", &bytes, &BOUNDS, hint);
        let change = |changes: Vec<(usize, Value)>| {
            let mut row = row(0, "green", 10, 1, 2);
            for (place, value) in changes {
                if let Some(cell) = row.get_mut(place) {
                    *cell = value;
                }
            }
            row
        };
        let rows: Vec<Value> = rows.into_iter().map(change).collect();
        if let Ok(read) = Rows::parse("Op", answer(&rows).to_string().as_bytes(), &BOUNDS, hint) {
            for counted in [Counted::Failures, Counted::Latencies, Counted::Requests] {
                match read.read(counted, &"green".parse().unwrap(), window(0, 1)) {
                    Sample::Counts { requests, events, throttled } => {
                        prop_assert!(events <= requests && requests.get() + throttled.get() > 0.0);
                    }
                    Sample::Histogram(histogram) => prop_assert!(histogram.total() > 0.0),
                    Sample::Value(value) => prop_assert!(value.get() >= 0.0),
                    Sample::NoData(_) => {}
                    Sample::Strata(parts) => prop_assert!(false, "{parts:?}"),
                }
            }
        }
    }
}
