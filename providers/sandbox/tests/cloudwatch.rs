//! The sandbox's CloudWatch, as boto3 and the Rust SDK see it.
#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step fails the test"
)]

mod served;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use aws_sdk_cloudwatch::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_sdk_cloudwatch::error::ProvideErrorMetadata as _;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat, ScanBy, StatusCode};
use bytes::Bytes;
use mlroll_backend::{RevisionId, Target, Timestamp, TrafficSplit, Weight};
use mlroll_faults::tool;
use mlroll_sandbox::cloudwatch::CloudWatch;
use mlroll_sandbox::scenario::Scenario;
use mlroll_sandbox::{Api, Clock, World};
use proptest::prelude::*;

use self::served::Served;

/// When the sandbox began; on five minutes.
const BEGAN: i64 = 1_795_230_000;

const SCENARIO: &str = r#"
    seed = 5
    [cloudwatch]
    delay = "60s"
    alarms.quiet = { state = "OK" }
    alarms.slow = { state = "OK", then = { after = "5m", state = "ALARM" } }
    alarms.all = { state = "INSUFFICIENT_DATA", composite = true }
    [targets."lambda:us-east-1/fraud@prod"]
    requests_per_second = 20
    stable = "2"
    [targets."lambda:us-east-1/fraud@prod".revisions.1]
    [targets."lambda:us-east-1/fraud@prod".revisions.2]
    [targets."lambda:us-east-1/fraud@prod".revisions.3]
    error_rate = "10%"
    latency = { median = "100ms", p95 = "300ms" }
    [targets."sagemaker:us-east-1/fraud"]
    requests_per_second = 20
    stable = "a"
    [targets."sagemaker:us-east-1/fraud".revisions.a]
"#;

/// Half a minute before a whole one, and three hours and a half after an endpoint began to be asked, which publishes this often.
fn publishing(every: &str) -> World {
    let began = Timestamp::from_unix_seconds(BEGAN).unwrap();
    let scenario = format!("{SCENARIO}\n[sagemaker]\n{every}\n");
    let mut world = World::new(Scenario::from_toml(&scenario).unwrap(), Clock::starting_at(began, 0.001));
    world.clock.advance(Duration::from_secs(12_630));
    world
}

/// The invocations of variant `a` by period, in seconds since `BEGAN`.
async fn invocations(url: &str, period: i32, start: i64, end: i64) -> Vec<(i64, f64)> {
    let dimension = |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
    let metric = Metric::builder()
        .namespace("AWS/SageMaker")
        .metric_name("Invocations")
        .dimensions(dimension("EndpointName", "fraud"))
        .dimensions(dimension("VariantName", "a"))
        .build();
    let stat = MetricStat::builder().metric(metric).period(period).stat("Sum").build();
    let request =
        client(url).get_metric_data().metric_data_queries(MetricDataQuery::builder().id("a").metric_stat(stat).build());
    let request = request.start_time(DateTime::from_secs(BEGAN + start)).end_time(DateTime::from_secs(BEGAN + end));
    let answer = request.scan_by(ScanBy::TimestampAscending).send().await.unwrap();
    let result = &answer.metric_data_results()[0];
    let times = result.timestamps().iter().map(|at| at.secs() - BEGAN);
    times.zip(result.values().iter().copied()).collect()
}

#[tokio::test]
async fn an_endpoint_publishes_as_often_as_its_config_says() {
    let starts = |points: &[(i64, f64)]| points.iter().map(|(at, _)| *at).collect::<Vec<_>>();
    let sum = |points: &[(i64, f64)]| points.iter().map(|(_, value)| value).sum::<f64>();
    for (every, often) in [("", 60), ("enhanced_metrics = '30s'", 30), ("enhanced_metrics = '10s'", 10)] {
        let served = Served::start(publishing(every));
        let minutes = invocations(&served.url, 60, 12_000, 12_120).await;
        assert_eq!(starts(&minutes), [12_000, 12_060], "{every}");
        for period in [10, 20, 30] {
            let points = invocations(&served.url, period, 12_000, 12_120).await;
            let step = i64::from(period).max(often);
            let step = if step % often == 0 { step } else { often };
            let expected: Vec<i64> =
                (0..120 / step).map(|n| 12_000 + n * step / i64::from(period) * i64::from(period)).collect();
            assert_eq!(starts(&points), expected, "{every} {period}");
            assert_eq!(sum(&points), sum(&minutes), "{every} {period}");
        }
        // Shares of a minute are none of what it has.
        let ten = invocations(&served.url, 10, 12_013, 12_047).await;
        let expected: &[i64] = match often {
            10 => &[12_010, 12_020, 12_030, 12_040],
            30 => &[12_030],
            _ => &[],
        };
        assert_eq!(starts(&ten), expected, "{every}");
        // Minutes are kept for days, and what is shorter for three hours.
        let old = invocations(&served.url, 60, 0, 12_000).await;
        assert_eq!((old.len(), old[0].0), (200, 0), "{every}");
        let recent = invocations(&served.url, 30, 0, 12_000).await;
        assert_eq!(recent[0].0, if often == 60 { 1_860 } else { 1_830 }, "{every}");
        // The newest grow, like those of minutes: a minute's delay before the half of one.
        let newest = invocations(&served.url, 10, 12_500, 12_630).await;
        assert_eq!(
            newest.last().unwrap().0,
            match often {
                10 => 12_560,
                30 => 12_540,
                _ => 12_540,
            },
            "{every}"
        );
    }
}

fn target() -> Target {
    "lambda:us-east-1/fraud@prod".parse().unwrap()
}

/// Ten minutes in, of which half of the users were on version 3.
fn world() -> World {
    let began = Timestamp::from_unix_seconds(BEGAN).unwrap();
    let mut world = World::new(Scenario::from_toml(SCENARIO).unwrap(), Clock::starting_at(began, 0.001));
    let half = Weight::from_basis_points(5000).unwrap();
    let (stable, candidate): (RevisionId, RevisionId) = ("2".parse().unwrap(), "3".parse().unwrap());
    world.traffic.route(&target(), &TrafficSplit::between(stable, candidate, half), began);
    world.clock.advance(Duration::from_secs(600));
    world
}

#[test]
fn boto3_is_content() {
    let mut expected = world();
    for protocol in ["json", "smithy-rpc-v2-cbor"] {
        let served = Served::start(world());
        let output = Command::new(tool("python/bin/python"))
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cloudwatch.py"))
            .args([served.url.as_str(), protocol, &BEGAN.to_string()])
            .output()
            .unwrap();
        assert!(output.status.success(), "{protocol}: {}", String::from_utf8_lossy(&output.stderr));
        let found: BTreeMap<String, BTreeMap<i64, f64>> = serde_json::from_slice(&output.stdout).unwrap();
        for revision in ["2", "3"] {
            let revision: RevisionId = revision.parse().unwrap();
            for minute in 0..9 {
                let from = BEGAN + minute * 60;
                let measured = expected.traffic.between(&target(), &revision, from, from + 60);
                let at = |id: &str| found[id][&(minute * 60)];
                if revision.as_str() == "2" {
                    assert_eq!(at("stable"), measured.requests as f64);
                    continue;
                }
                assert_eq!(at("requests"), measured.requests as f64);
                assert_eq!(at("count"), measured.requests as f64);
                assert_eq!(at("errors"), measured.errors as f64);
                assert!((at("rate") - measured.errors as f64 / measured.requests as f64).abs() < 1e-12);
                assert!((at("share") - 100.0 * at("rate")).abs() < 1e-9);
                let mean = 1000.0 * measured.counters.latency_seconds / measured.requests as f64;
                assert!((at("mean") / mean - 1.0).abs() < 1e-9);
                assert_eq!(at("alias"), at("stable") + at("requests"));
                assert_eq!(at("function"), at("alias"));
                assert!(at("least") < at("p50") && at("p50") < at("p95") && at("tail") <= at("most"));
                assert!(at("tm") < at("mean") && at("throttles") == 0.0);
                // 600 or so values: within five standard errors of the distribution's own.
                assert!((at("p50") / 100.0 - 1.0).abs() < 0.2 && (at("p95") / 300.0 - 1.0).abs() < 0.4);
                assert!((at("micro") / 80_000.0 - 1.0).abs() < 0.2, "{}", at("micro"));
            }
        }
        assert_eq!(found["five"][&0], (0..5).map(|minute| found["stable"][&(minute * 60)]).sum::<f64>());
        // The newest point lacks what came in the last minute.
        assert!(!found["stable"].contains_key(&540));
    }
}

fn client(url: &str) -> aws_sdk_cloudwatch::Client {
    let config = aws_sdk_cloudwatch::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .endpoint_url(url)
        .credentials_provider(Credentials::new("AKIDEXAMPLE", "secret", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .build();
    aws_sdk_cloudwatch::Client::from_conf(config)
}

fn query(id: &str, name: &str, stat: &str) -> MetricDataQuery {
    let dimension = |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
    let metric = Metric::builder()
        .namespace("AWS/Lambda")
        .metric_name(name)
        .dimensions(dimension("FunctionName", "fraud"))
        .dimensions(dimension("Resource", "fraud:prod"))
        .dimensions(dimension("ExecutedVersion", "3"))
        .build();
    let stat = MetricStat::builder().metric(metric).period(60).stat(stat).build();
    MetricDataQuery::builder().id(id).metric_stat(stat).build()
}

#[tokio::test]
async fn the_rust_sdk_is_content() {
    let served = Served::start(world());
    let client = client(&served.url);
    let ask = |queries: Vec<MetricDataQuery>| {
        let request = client.get_metric_data().set_metric_data_queries(Some(queries));
        request.start_time(DateTime::from_secs(BEGAN)).end_time(DateTime::from_secs(BEGAN + 540))
    };
    let queries = vec![query("requests", "Invocations", "Sum"), query("p95", "Duration", "p95")];
    let answer = ask(queries.clone()).send().await.unwrap();
    assert!(answer.next_token().is_none());
    for result in answer.metric_data_results() {
        assert_eq!(result.status_code(), Some(&StatusCode::Complete));
        assert_eq!((result.timestamps().len(), result.values().len()), (9, 9));
        assert_eq!(result.timestamps()[0], DateTime::from_secs(BEGAN + 480));
        assert!(result.values().iter().all(|value| *value > 100.0), "{result:?}");
    }
    let mut pages = ask(queries).max_datapoints(5).into_paginator().send();
    let mut sizes = Vec::new();
    while let Some(page) = pages.next().await {
        sizes.push(page.unwrap().metric_data_results().iter().map(|result| result.values().len()).sum::<usize>());
    }
    assert_eq!(sizes, [5, 5, 5, 3]);
    let failed = ask(vec![query("Requests", "Invocations", "Sum")]).send().await.unwrap_err().into_service_error();
    assert_eq!(failed.code(), Some("ValidationError"));
    assert!(failed.message().unwrap().contains("not matching the expected pattern"), "{failed:?}");
    let alarms = client.describe_alarms().alarm_names("slow").alarm_names("misspelt").send().await.unwrap();
    assert_eq!(alarms.metric_alarms().len(), 1);
    assert_eq!(alarms.metric_alarms()[0].state_updated_timestamp(), Some(&DateTime::from_secs(BEGAN + 300)));
}

#[tokio::test]
async fn results_fail_by_chance_and_late_points_grow() {
    let served = Served::start(world());
    let client = client(&served.url);
    let ask = async || {
        let request = client.get_metric_data().metric_data_queries(query("requests", "Invocations", "Sum"));
        let request = request.start_time(DateTime::from_secs(BEGAN)).end_time(DateTime::from_secs(BEGAN + 600));
        request.send().await.unwrap().metric_data_results.unwrap().remove(0)
    };
    let sum = |values: &[f64]| values.iter().sum::<f64>();
    let whole = sum(ask().await.values());
    served.world.lock().unwrap().scenario.cloudwatch.late = 1.0;
    let early = sum(ask().await.values());
    assert!(early > whole * 0.2 && early < whole * 0.95, "{early} of {whole}");
    served.world.lock().unwrap().clock.advance(Duration::from_secs(1000));
    let later = sum(ask().await.values());
    assert!(later > whole, "{later} after {whole}");
    served.world.lock().unwrap().scenario.cloudwatch.internal_error = 1.0;
    let failed = ask().await;
    assert_eq!(failed.status_code(), Some(&StatusCode::InternalError));
    assert!(failed.values().is_empty());
    served.world.lock().unwrap().scenario.cloudwatch.internal_error = 0.5;
    let mut failures = 0;
    for _ in 0..40 {
        served.world.lock().unwrap().clock.advance(Duration::from_secs(1));
        failures += i32::from(ask().await.status_code() == Some(&StatusCode::InternalError));
    }
    assert!((5..36).contains(&failures), "{failures}");
}

#[test]
fn another_service_is_left_alone_and_what_is_unknown_is_said() {
    let mut world = world();
    let request = |path: &str, target: Option<&str>, body: &'static [u8]| {
        let request = http::Request::post(path).header("smithy-protocol", "rpc-v2-cbor");
        let request = target.into_iter().fold(request, |request, target| request.header("x-amz-target", target));
        request.body(Bytes::from_static(body)).unwrap()
    };
    let cloudwatch = CloudWatch::default();
    assert_eq!(cloudwatch.operation(&request("/", Some("SageMaker.DescribeEndpoint"), b"{}")), None);
    assert_eq!(cloudwatch.operation(&request("/2015-03-31/functions/", None, b"")), None);
    let service = "/service/GraniteServiceVersion20100801/operation";
    for (name, body, status) in [
        ("DeleteAlarms", b"\xa0".as_slice(), 404),
        ("GetMetricData", b"\xa0", 400),
        ("GetMetricData", b"\xff\xff", 400),
        ("GetMetricData", b"\x80", 400),
        ("DescribeAlarms", b"\xbf\xff", 200),
        ("DescribeAlarms", b"\xbf\x6aAlarmNames\x01\xff", 400),
    ] {
        let request = request(&format!("{service}/{name}"), None, body);
        let operation = cloudwatch.operation(&request).unwrap();
        let answer = cloudwatch.answer(&request, &operation, &mut world);
        assert_eq!(answer.status(), status, "{name} {body:?}");
        assert_eq!(answer.headers()["smithy-protocol"], "rpc-v2-cbor");
        assert_eq!(answer.headers().contains_key("x-amzn-query-error"), status != 200);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_body_panics(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        text in r#"\{"(MetricDataQueries|AlarmNames|StartTime|Dimensions)":[\[\]{}":,a-z0-9-]{0,40}\}?"#,
        cut in 0usize..400,
    ) {
        let mut world = world();
        let cloudwatch = CloudWatch::default();
        let mut whole = Vec::new();
        let query = serde_json::json!({
            "MetricDataQueries": [{ "Id": "a", "MetricStat": {
                "Metric": { "Namespace": "AWS/Lambda", "MetricName": "Errors", "Dimensions": [] },
                "Period": i64::MAX, "Stat": "p50",
            } }],
            "StartTime": 1e300, "EndTime": -1e300,
        });
        ciborium::into_writer(&query, &mut whole).unwrap();
        whole.truncate(cut);
        for name in ["GetMetricData", "GetMetricStatistics", "ListMetrics", "DescribeAlarms", "PutMetricData"] {
            for body in [&bytes, &text.as_bytes().to_vec(), &whole] {
                let cbor = http::Request::post(format!("/service/GraniteServiceVersion20100801/operation/{name}"))
                    .header("smithy-protocol", "rpc-v2-cbor");
                let json = http::Request::post("/")
                    .header("x-amz-target", format!("GraniteServiceVersion20100801.{name}"));
                for request in [cbor, json] {
                    let request = request.body(Bytes::from(body.clone())).unwrap();
                    let operation = cloudwatch.operation(&request).unwrap();
                    let answer = cloudwatch.answer(&request, &operation, &mut world);
                    prop_assert!(answer.status().as_u16() < 500);
                }
            }
        }
    }
}
