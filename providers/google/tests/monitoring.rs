//! Cloud Monitoring over real HTTP: what is asked, and what every answer means.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use mlroll_backend::{ErrorKind, MetricSource, Query, Sample, Subject, Timestamp, Why, Window};
use mlroll_faults::{Asked, Tokens, envelope};
use mlroll_google::monitoring::CloudMonitoring;
use mlroll_google::{Limits, Secret, Settings};
use serde_json::{Value, json};

const END: &str = "2026-11-21T03:01:00Z";

fn windows(minutes: i64) -> Vec<Window> {
    let end: Timestamp = END.parse().unwrap();
    let at = |n: i64| Timestamp::from_unix_seconds(end.unix_seconds() - n * 60).unwrap();
    (0..minutes).rev().map(|n| Window::new(at(n + 1), at(n)).unwrap()).collect()
}

fn subjects() -> Vec<Subject> {
    let subject = |revision: &str| Subject {
        target: "cloud-run:acme/europe-west3/fraud".parse().unwrap(),
        revision: revision.parse().unwrap(),
    };
    vec![subject("fraud-c"), subject("fraud-b")]
}

fn source(server: &Tokens) -> CloudMonitoring {
    let limits = Limits { backoff: Duration::from_millis(1), ..Limits::default() };
    let access_token = Some(Secret::new("token"));
    CloudMonitoring::new(&Settings { access_token, monitoring: Some(server.url()), limits, ..Settings::default() })
        .unwrap()
}

fn series(revision: &str, class: &str, value: &Value) -> Value {
    json!({"metric": {"type": "t", "labels": if class.is_empty() { json!({}) } else { json!({"response_code_class": class}) }},
        "resource": {"type": "cloud_run_revision", "labels": {"revision_name": revision}},
        "metricKind": "DELTA", "points": [
            {"interval": {"startTime": "2026-11-21T03:00:00Z", "endTime": END}, "value": value},
            {"interval": {"startTime": "2026-11-21T02:59:00Z", "endTime": "2026-11-21T03:00:00Z"}, "value": {"int64Value": "77777"}}]})
}

fn counts() -> Value {
    let int = |n: u32| json!({"int64Value": n.to_string()});
    json!({"timeSeries": [series("fraud-b", "2xx", &int(2700)), series("fraud-b", "5xx", &int(30)),
        series("fraud-c", "2xx", &int(290)), series("fraud-c", "4xx", &int(6)), series("fraud-c", "5xx", &int(4))], "unit": "1"})
}

fn latencies() -> Value {
    let spread = json!({"distributionValue": {"count": "10", "mean": 120.5, "bucketCounts": ["6", "3", "1"],
        "bucketOptions": {"explicitBuckets": {"bounds": [100, 250]}}}});
    json!({"timeSeries": [series("fraud-b", "", &spread)]})
}

fn start(answer: impl Fn(&Asked) -> Value + Send + Sync + 'static) -> Tokens {
    Tokens::answering(move |_, asked| Some((200, answer(asked))))
}

async fn one(answer: Value, query: Query) -> Sample {
    let server = start(move |_| answer.clone());
    source(&server).sample(&[query], &subjects()[..1], &windows(1)).await.unwrap().remove(0)
}

#[tokio::test]
async fn both_revisions_and_all_metrics_are_asked_for_in_two_requests() {
    let server = start(|asked| if asked.query.contains("request_count") { counts() } else { latencies() });
    let queries = [Query::ErrorRate, Query::Latency, Query::Requests];
    let samples = source(&server).sample(&queries, &subjects(), &windows(1)).await.unwrap();
    assert_eq!(samples[0], Sample::counts(300.0, 4.0));
    assert_eq!(samples[1], Sample::counts(2730.0, 30.0));
    assert_eq!(samples[2], Sample::NoData(Why::Empty), "no latencies of the candidate are not those of nobody");
    let Sample::Histogram(histogram) = &samples[3] else { panic!("{:?}", samples[3]) };
    assert_eq!(histogram.buckets(), [(0.1, 6.0), (0.25, 9.0), (f64::INFINITY, 10.0)]);
    assert_eq!((&samples[4], &samples[5]), (&Sample::value(300.0), &Sample::value(2730.0)));

    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    let count = asked.iter().find(|asked| asked.query.contains("request_count")).unwrap();
    assert_eq!(count.path, "/v3/projects/acme/timeSeries");
    assert_eq!(count.authorization, "Bearer token");
    let expected = concat!(
        r#"filter=metric.type="run.googleapis.com/request_count" AND resource.type="cloud_run_revision" AND "#,
        r#"resource.labels.service_name="fraud" AND resource.labels.location="europe-west3" AND "#,
        r#"resource.labels.revision_name=one_of("fraud-b","fraud-c")"#,
        "&interval.startTime=2026-11-21T03:00:00Z&interval.endTime=2026-11-21T03:01:00Z",
        "&aggregation.alignmentPeriod=60s&aggregation.perSeriesAligner=ALIGN_DELTA",
        "&aggregation.crossSeriesReducer=REDUCE_SUM&view=FULL",
        "&aggregation.groupByFields=resource.labels.revision_name",
        "&aggregation.groupByFields=metric.labels.response_code_class",
    );
    assert_eq!(count.query, expected);
}

#[tokio::test]
async fn each_window_is_a_request_of_its_own() {
    let server = start(|_| counts());
    let samples = source(&server).sample(&[Query::ErrorRate], &subjects(), &windows(3)).await.unwrap();
    assert_eq!(server.asked().len(), 3);
    // Only the last of them ends where the points do.
    assert_eq!(samples.iter().filter(|sample| matches!(sample, Sample::NoData(Why::Empty))).count(), 2);
    assert_eq!(samples[2], Sample::counts(300.0, 4.0));
    assert_eq!(samples[5], Sample::counts(2730.0, 30.0));
}

#[tokio::test]
async fn all_pages_are_read() {
    let server = start(|asked| {
        let mut page = json!({"timeSeries": [series("fraud-c", "2xx", &json!({"int64Value": "5"}))]});
        if !asked.query.contains("pageToken=next") {
            page["nextPageToken"] = json!("next");
        }
        page
    });
    let samples = source(&server).sample(&[Query::Requests], &subjects()[..1], &windows(1)).await.unwrap();
    assert_eq!((&samples[0], server.asked().len()), (&Sample::value(10.0), 2));
    let endless = start(|_| json!({"nextPageToken": "next"}));
    let samples = source(&endless).sample(&[Query::Requests], &subjects()[..1], &windows(1)).await.unwrap();
    assert!(matches!(&samples[0], Sample::NoData(Why::Failed { kind: ErrorKind::Unexpected, .. })), "{samples:?}");
}

#[tokio::test]
async fn nothing_that_is_not_whole_is_a_number() {
    let spoilt = |key: &str, value: Value| {
        let mut answer = counts();
        answer[key] = value;
        answer
    };
    for (answer, query, why) in [
        (json!({}), Query::ErrorRate, "empty"),
        (json!({"timeSeries": []}), Query::Latency, "empty"),
        (spoilt("executionErrors", json!([{"code": 4, "message": "deadline"}])), Query::ErrorRate, "partial"),
        (spoilt("unreachable", json!(["projects/acme/locations/x"])), Query::Requests, "partial"),
        (
            json!({"timeSeries": [series("fraud-c", "2xx", &json!({"doubleValue": "NaN"}))]}),
            Query::Requests,
            "not_a_number",
        ),
        (
            json!({"timeSeries": [series("fraud-c", "2xx", &json!({"doubleValue": "Infinity"}))]}),
            Query::Requests,
            "infinite",
        ),
        (
            json!({"timeSeries": [series("fraud-c", "2xx", &json!({"distributionValue": {}}))]}),
            Query::Requests,
            "inconsistent",
        ),
        (json!({"timeSeries": [series("fraud-c", "", &json!({"int64Value": "3"}))]}), Query::Latency, "inconsistent"),
        (json!([1, 2]), Query::Requests, "failed"),
    ] {
        match one(answer.clone(), query).await {
            Sample::NoData(found) => assert_eq!(found.name(), why, "{answer}: {found:?}"),
            Sample::Counts { .. } | Sample::Histogram(_) | Sample::Value(_) => panic!("{answer} is a number"),
        }
    }
    assert_eq!(
        one(json!({"timeSeries": [series("fraud-c", "2xx", &json!({"int64Value": "0"}))]}), Query::ErrorRate).await,
        Sample::counts(0.0, 0.0)
    );
}

#[tokio::test]
async fn custom_queries_are_promql_or_a_filter() {
    let promql = Query::Custom(r#"sum(rate(x{revision_name="{{revision}}"}[{{window}}]))"#.to_owned());
    let vector = |values: &[&str]| {
        let result: Vec<Value> = values.iter().map(|value| json!({"metric": {}, "value": [1.0, value]})).collect();
        json!({"status": "success", "data": {"resultType": "vector", "result": result}})
    };
    let server = start(move |_| vector(&["0.0625"]));
    let samples = source(&server).sample(std::slice::from_ref(&promql), &subjects(), &windows(1)).await.unwrap();
    assert_eq!(samples, [Sample::value(0.0625), Sample::value(0.0625)]);
    let asked = &server.asked()[0];
    assert_eq!(asked.path, "/v1/projects/acme/location/global/prometheus/api/v1/query");
    assert!(asked.query.starts_with(r#"query=sum(rate(x{revision_name="fraud-"#), "{}", asked.query);
    assert!(asked.query.ends_with("[60s]))&time=1795230060"), "{}", asked.query);
    for (answer, why) in [
        (vector(&[]), "empty"),
        (vector(&["1", "2"]), "several_series"),
        (vector(&["NaN"]), "not_a_number"),
        (vector(&["+Inf"]), "infinite"),
        (
            json!({"status": "success", "data": {"resultType": "vector", "result": []}, "warnings": ["partial"]}),
            "partial",
        ),
        (json!({"status": "success", "data": {"resultType": "matrix", "result": []}}), "failed"),
    ] {
        let Sample::NoData(found) = one(answer.clone(), promql.clone()).await else { panic!("{answer} is a number") };
        assert_eq!(found.name(), why, "{answer}");
    }

    let filter =
        r#"metric.type="run.googleapis.com/container/instance_count" AND resource.labels.revision_name="{{revision}}""#;
    let with = |text: &str| Query::Custom(format!("{filter} {text}"));
    let found = json!({"timeSeries": [series("", "", &json!({"int64Value": "3"}))]});
    assert_eq!(one(found, with("| ALIGN_MEAN | REDUCE_SUM")).await, Sample::value(3.0));
    let server = start(|_| json!({}));
    let error = source(&server).sample(&[with("")], &subjects(), &windows(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(server.asked().is_empty(), "refused before anything is sent");
}

#[tokio::test]
async fn failures_are_tried_again_then_told_and_stop_a_check() {
    let flaky = Tokens::answering(|n, _| Some(if n == 0 { (503, json!({})) } else { (200, counts()) }));
    let samples = source(&flaky).sample(&[Query::Requests], &subjects()[..1], &windows(1)).await.unwrap();
    assert_eq!(samples, [Sample::value(300.0)]);
    for (status, code, kind, requests) in [
        (403, "PERMISSION_DENIED", ErrorKind::Auth, 1),
        (400, "INVALID_ARGUMENT", ErrorKind::Invalid, 1),
        (429, "RESOURCE_EXHAUSTED", ErrorKind::Throttled, 5),
    ] {
        let answer = envelope(status, code, "no");
        let server = Tokens::answering(move |_, _| Some((status, answer.clone())));
        let store = source(&server);
        let samples = store.sample(&[Query::ErrorRate], &subjects(), &windows(1)).await.unwrap();
        assert!(
            samples.iter().all(|sample| matches!(sample, Sample::NoData(Why::Failed { kind: k, .. }) if *k == kind)),
            "{samples:?}"
        );
        assert_eq!(server.asked().len(), requests, "{code}");
        let error = store.check(&[Query::ErrorRate], &subjects(), windows(1)[0]).await.unwrap_err();
        assert_eq!(error.kind(), kind);
    }
}

#[tokio::test]
async fn what_it_cannot_do_is_refused_before_anything_is_sent() {
    let server = start(|_| json!({}));
    let store = source(&server);
    assert_eq!(store.settle_delay(&Query::ErrorRate, &subjects()[0]), Duration::from_secs(240));
    let at = |seconds: i64| Timestamp::from_unix_seconds(seconds).unwrap();
    let short = Window::new(at(1_795_230_000), at(1_795_230_030)).unwrap();
    let error = store.sample(&[Query::ErrorRate], &subjects(), &[short]).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Invalid, "Cloud Monitoring aligns to whole minutes, and a window is 30 s long")
    );
    let lambda = Subject { target: "lambda:us-east-1/f@a".parse().unwrap(), revision: "2".parse().unwrap() };
    let error = store.sample(&[Query::ErrorRate], &[lambda], &windows(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(server.asked().is_empty());
}
