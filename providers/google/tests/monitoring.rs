//! Cloud Monitoring over real HTTP: what is asked, and what every answer means.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use mlroll_backend::{ErrorKind, MetricSource, Query, Resource, Sample, Subject, Timestamp, Why, Window};
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
    let target = "cloud-run:acme/europe-west3/fraud";
    let subject = |revision: &str| Subject::new(target.parse().unwrap(), revision.parse().unwrap());
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
            Sample::Counts { .. } | Sample::Histogram(_) | Sample::Strata(_) | Sample::Value(_) => {
                panic!("{answer} is a number")
            }
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

fn distribution(count: &str, mean: f64) -> Value {
    json!({"distributionValue": {"count": count, "mean": mean, "bucketCounts": [count]}})
}

#[tokio::test]
async fn what_instances_lack_is_one_number() {
    let share = json!({"doubleValue": 0.75});
    for (query, metric, aligner, reducer, value, expected) in [
        (Query::InstanceStartup, "container/startup_latencies", "DELTA", "SUM", distribution("2", 4_500.0), 4.5),
        (Query::PendingRequests, "pending_queue/pending_requests", "MAX", "MAX", json!({"int64Value": "3"}), 3.0),
        (
            Query::Headroom(Resource::Memory),
            "container/memory/utilizations",
            "DELTA",
            "PERCENTILE_99",
            share.clone(),
            0.25,
        ),
        (
            Query::Headroom(Resource::GpuMemory),
            "container/gpu/memory_utilizations",
            "DELTA",
            "PERCENTILE_99",
            share,
            0.25,
        ),
    ] {
        let answer = json!({"timeSeries": [series("fraud-c", "", &value)]});
        let server = start(move |_| answer.clone());
        let asked_for = std::slice::from_ref(&query);
        let samples = source(&server).sample(asked_for, &subjects()[..1], &windows(1)).await.unwrap();
        assert_eq!(samples, [Sample::value(expected)], "{query}");
        let asked = &server.asked()[0].query;
        for part in [
            format!("metric.type=\"run.googleapis.com/{metric}\""),
            format!("perSeriesAligner=ALIGN_{aligner}&"),
            format!("crossSeriesReducer=REDUCE_{reducer}&"),
        ] {
            assert!(asked.contains(&part), "{part} in {asked}");
        }
    }
    let of = |value: &Value| json!({"timeSeries": [series("fraud-c", "", value)]});
    let three = json!({"int64Value": "3"});
    let twice = json!({"timeSeries": [series("fraud-c", "", &three), series("fraud-c", "", &three)]});
    for (answer, query, why) in [
        (json!({}), Query::InstanceStartup, "empty"),
        (of(&distribution("0", 0.0)), Query::InstanceStartup, "empty"),
        (of(&three), Query::InstanceStartup, "inconsistent"),
        (twice, Query::PendingRequests, "several_series"),
        (of(&json!({"doubleValue": "NaN"})), Query::Headroom(Resource::Gpu), "not_a_number"),
        (of(&distribution("3", 0.5)), Query::Headroom(Resource::Cpu), "inconsistent"),
    ] {
        let Sample::NoData(found) = one(answer.clone(), query).await else { panic!("{answer} is a number") };
        assert_eq!(found.name(), why, "{answer}");
    }
}

fn alarms(names: &[&str]) -> Query {
    Query::Alarms(names.iter().map(|&name| name.to_owned()).collect())
}

fn policies() -> Value {
    json!({"alertPolicies": [
        {"name": "projects/acme/alertPolicies/1", "displayName": "too \"slow\"", "enabled": true},
        {"name": "projects/acme/alertPolicies/2", "displayName": "errors"},
        {"name": "projects/acme/alertPolicies/3", "displayName": "old", "enabled": false}]})
}

fn alert_of(policy: &Value, opened: &str, closed: Option<&str>) -> Value {
    json!({"name": "projects/acme/alerts/0.1", "policy": policy, "openTime": opened, "closeTime": closed})
}

#[tokio::test]
async fn open_alerts_are_asked_for_first_and_closed_ones_as_far_back_as_the_windows_go() {
    let slow = json!({"name": "projects/acme/alertPolicies/1", "displayName": "too \"slow\""});
    let other = json!({"name": "projects/acme/alertPolicies/9", "displayName": "somebody else's"});
    let server = start(move |asked| {
        let closed = |opened, closed| alert_of(&slow, opened, Some(closed));
        if asked.path.ends_with("/alertPolicies") {
            policies()
        } else if asked.query.contains("OPEN") {
            // One that nobody asked for is left out.
            json!({"alerts": [alert_of(&other, "2026-11-21T02:50:00Z", None)]})
        } else if asked.query.contains("pageToken=2") {
            json!({"nextPageToken": "3", "alerts": [closed("2026-11-21T01:00:00Z", "2026-11-21T02:58:00Z")]})
        } else {
            json!({"nextPageToken": "2", "alerts": [closed("2026-11-21T02:58:30Z", "2026-11-21T02:59:30Z")]})
        }
    });
    let query = alarms(&["too \"slow\"", "projects/acme/alertPolicies/2"]);
    let samples = source(&server).sample(&[query], &subjects(), &windows(3)).await.unwrap();
    let of_one = [1.0, 1.0, 0.0].map(Sample::value);
    assert_eq!(samples, [of_one.clone(), of_one].concat());
    let asked: Vec<String> = server.asked().iter().map(|asked| format!("{}?{}", asked.path, asked.query)).collect();
    let closed = r#"/v3/projects/acme/alerts?pageSize=100&filter=state="CLOSED"&orderBy=close_time desc"#;
    // The second page ends with one that had closed when the first window began: no third is asked for.
    let expected = [
        "/v3/projects/acme/alertPolicies?pageSize=1000",
        r#"/v3/projects/acme/alerts?pageSize=1000&filter=state="OPEN""#,
        closed,
        &format!("{closed}&pageToken=2"),
    ];
    assert_eq!(asked, expected);
}

/// What is not in the order that was asked for is read to its end.
#[tokio::test]
async fn alerts_in_no_order_are_all_read() {
    let slow = json!({"name": "projects/acme/alertPolicies/1", "displayName": "too \"slow\""});
    let server = start(move |asked| {
        let ended = |closed| alert_of(&slow, "2026-11-21T01:00:00Z", Some(closed));
        if asked.path.ends_with("/alertPolicies") {
            policies()
        } else if asked.query.contains("OPEN") {
            json!({})
        } else if asked.query.contains("pageToken=2") {
            json!({"nextPageToken": "3", "alerts": [ended("2026-11-21T02:01:00Z")]})
        } else if asked.query.contains("pageToken=3") {
            json!({"alerts": [ended("2026-11-21T03:00:30Z")]})
        } else {
            json!({"nextPageToken": "2", "alerts": [ended("2026-11-21T02:01:00Z"), ended("2026-11-21T02:02:00Z")]})
        }
    });
    let query = alarms(&["too \"slow\""]);
    let samples = source(&server).sample(&[query], &subjects()[..1], &windows(1)).await.unwrap();
    assert_eq!(samples, [Sample::value(1.0)]);
}

#[tokio::test]
async fn alerts_are_of_the_policy_that_is_meant_whatever_it_is_or_was_called() {
    let policy = |project: &str, id: u32, name: &str| json!({"name": format!("projects/{project}/alertPolicies/{id}"), "displayName": name});
    let first = "projects/acme/alertPolicies/1";
    for (named, snapshot, expected) in [
        // Two policies are called the same: by its resource name only one is meant, by the display name both are.
        (first, policy("acme", 1, "slow"), 1.0),
        (first, policy("acme", 2, "slow"), 0.0),
        ("slow", policy("acme", 1, "slow"), 1.0),
        ("slow", policy("acme", 2, "slow"), 1.0),
        // What it was called when the alert opened, and the project by its number.
        ("slow", policy("acme", 1, "sluggish"), 1.0),
        (first, policy("4711", 1, "sluggish"), 1.0),
        // Another that was called so once, and is not any more.
        ("slow", policy("acme", 3, "slow"), 0.0),
        ("slow", json!({"displayName": "slow"}), 1.0),
        (first, json!({"displayName": "slow"}), 1.0),
        ("slow", json!({"displayName": "sluggish"}), 0.0),
    ] {
        let alert = alert_of(&snapshot, "2026-11-21T02:50:00Z", None);
        let server = start(move |asked| match asked.path.ends_with("/alertPolicies") {
            true => {
                json!({"alertPolicies": [policy("acme", 1, "slow"), policy("acme", 2, "slow"), policy("acme", 3, "other")]})
            }
            false if asked.query.contains("OPEN") => json!({"alerts": [alert]}),
            false => json!({}),
        });
        let samples = source(&server).sample(&[alarms(&[named])], &subjects()[..1], &windows(1)).await.unwrap();
        assert_eq!(samples, [Sample::value(expected)], "{named}: {snapshot}");
    }
}

#[tokio::test]
async fn an_alarm_that_cannot_be_read_is_never_a_quiet_one() {
    let bad = |alert: Value| json!({"alerts": [alert]});
    let of_errors = json!({"name": "projects/acme/alertPolicies/2", "displayName": "errors"});
    for (names, alerts, kind) in [
        (&["errors"][..], bad(json!({"policy": of_errors, "openTime": "soon"})), ErrorKind::Unexpected),
        (&["errors"], bad(json!({"policy": of_errors})), ErrorKind::Unexpected),
        (&["errors"], json!([1, 2]), ErrorKind::Unexpected),
        (&["errors"], json!({"nextPageToken": "again"}), ErrorKind::Unexpected),
        (&["errors", "nobody's"], json!({}), ErrorKind::NotFound),
        (&["old"], json!({}), ErrorKind::Invalid),
    ] {
        let told = alerts.clone();
        let server = start(move |asked| if asked.path.ends_with("/alerts") { told.clone() } else { policies() });
        let (store, query) = (source(&server), alarms(names));
        let samples = store.sample(std::slice::from_ref(&query), &subjects(), &windows(1)).await.unwrap();
        let failed = |sample: &Sample| matches!(sample, Sample::NoData(Why::Failed { kind: k, .. }) if *k == kind);
        assert!(samples.iter().all(failed), "{names:?} {alerts}: {samples:?}");
        assert_eq!(store.check(&[query], &subjects(), windows(1)[0]).await.unwrap_err().kind(), kind);
    }
    let quiet = start(|asked| if asked.path.ends_with("/alerts") { json!({}) } else { policies() });
    let samples = source(&quiet).sample(&[alarms(&["errors"])], &subjects(), &windows(1)).await.unwrap();
    assert_eq!(samples, [Sample::value(0.0), Sample::value(0.0)]);
    let error = source(&quiet).sample(&[alarms(&[])], &subjects(), &windows(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
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
    let lambda = Subject::new("lambda:us-east-1/f@a".parse().unwrap(), "2".parse().unwrap());
    let error = store.sample(&[Query::ErrorRate], &[lambda], &windows(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let ratio = Query::Ratio { requests: "visits".to_owned(), events: "orders".to_owned() };
    for query in [ratio, Query::Scores("score".to_owned())] {
        let error = store.sample(std::slice::from_ref(&query), &subjects(), &windows(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains(query.name()), "{error}");
    }
    store.sample(&[alarms(&["errors"])], &subjects(), &[]).await.unwrap();
    assert!(server.asked().is_empty());
}
