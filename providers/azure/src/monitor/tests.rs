//! The source over real HTTP, against an Azure Monitor that answers what it is told to.

use std::time::Duration;

use mlroll_backend::{Caveat, ErrorKind, MetricSource, Query, Resource, Sample, Subject, Timestamp, Window};
use mlroll_faults::arm::{Arm, ArmFault, ArmKind, ArmOperation, TOKEN};
use serde_json::{Value, json};

use super::Monitor;
use crate::Settings;
use crate::settings::Secret;

fn monitor(arm: &Arm) -> Monitor {
    let access_token = Some(Secret::from(TOKEN.to_owned()));
    Monitor::new(&Settings { endpoint: Some(arm.url()), access_token, ..Settings::default() }, None, None, None)
        .unwrap()
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

fn p95() -> Query {
    Query::Custom("metricnames=RequestLatency_P95&$filter=deployment eq '{{revision}}'".to_owned())
}

/// An answer with these series: deployment, status code, and a value for each minute from 8:00.
fn answer(series: &[(&str, &str, &[Option<f64>])]) -> Value {
    let series: Vec<Value> = series
        .iter()
        .map(|(deployment, code, values)| {
            let point = |(minute, value): (usize, &Option<f64>)| {
                let mut point = json!({"timeStamp": format!("2026-11-21T08:{minute:02}:00Z")});
                if let Some(value) = value {
                    point["average"] = json!(value);
                }
                point
            };
            json!({"metadatavalues": [{"name": {"value": "deployment"}, "value": deployment},
                                      {"name": {"value": "statuscode"}, "value": code}],
                   "data": values.iter().enumerate().map(point).collect::<Vec<_>>()})
        })
        .collect();
    json!({"interval": "PT1M", "value": [{"errorCode": "Success", "timeseries": series}]})
}

/// What `green` is measured as in the first minute.
async fn error_rate(metrics: Value) -> Sample {
    let arm = Arm::start();
    arm.set_metrics(Some(metrics));
    monitor(&arm).sample(&[Query::ErrorRate], &[subject("green")], &[window(0, 1)]).await.unwrap().remove(0)
}

#[tokio::test]
async fn one_request_answers_for_all_revisions_windows_and_counts() {
    let arm = Arm::start();
    arm.set_rates(&[
        ("blue", "200", 900.0),
        ("blue", "500", 9.0),
        ("Green", "200", 90.0),
        ("green", "424", 6.0),
        ("green", "429", 4.0),
        ("green", "404", 2.0),
        ("green", "408", 1.0),
    ]);
    let windows = [window(0, 1), window(1, 1), window(2, 1)];
    let subjects = [subject("green"), subject("blue")];
    let samples = monitor(&arm).sample(&[Query::ErrorRate, Query::Requests], &subjects, &windows).await.unwrap();
    let green = Sample::counts(99.0, 7.0).beside_throttled(4.0);
    let expected = [green, Sample::counts(909.0, 9.0), Sample::value(99.0), Sample::value(909.0)];
    for (n, sample) in samples.iter().enumerate() {
        assert_eq!(*sample, expected[n / 3], "{n}");
    }
    assert_eq!(samples.len(), 12);
    let requests = arm.requests();
    assert_eq!(requests.len(), 1);
    let query = &requests[0].query;
    assert_eq!(
        (query["top"].as_str(), query["timespan"].as_str()),
        ("200", "2026-11-21T08:00:00Z/2026-11-21T08:03:00Z")
    );
    let whole = monitor(&arm).sample(&[Query::ErrorRate], &subjects[..1], &[window(0, 3)]).await.unwrap();
    assert_eq!(whole, [Sample::counts(297.0, 21.0).beside_throttled(12.0)]);
}

#[tokio::test]
async fn a_model_that_crashes_is_all_424_and_all_failures() {
    let sample = error_rate(answer(&[("green", "424", &[Some(50.0)])])).await;
    assert_eq!(sample, Sample::counts(50.0, 50.0));
}

#[tokio::test]
async fn what_is_turned_away_is_neither_a_failure_nor_an_answer() {
    let told = error_rate(answer(&[("green", "429", &[Some(30.0)]), ("blue", "200", &[Some(9.0)])])).await;
    assert_eq!(told, Sample::counts(0.0, 0.0).beside_throttled(30.0), "somebody came");
    let arm = Arm::start();
    arm.set_metrics(Some(answer(&[("green", "429", &[Some(30.0)]), ("green", "200", &[Some(9.0)])])));
    let told = monitor(&arm).sample(&[Query::Requests], &[subject("green")], &[window(0, 1)]).await.unwrap();
    assert_eq!(told, [Sample::value(9.0)]);
}

#[tokio::test]
async fn more_series_than_ten_are_counted() {
    let arm = Arm::start();
    let codes: Vec<String> = (400..425).map(|code| code.to_string()).collect();
    let rates: Vec<(&str, &str, f64)> = codes.iter().map(|code| ("green", code.as_str(), 1.0)).collect();
    arm.set_rates(&rates);
    let sample = monitor(&arm).sample(&[Query::ErrorRate], &[subject("green")], &[window(0, 1)]).await.unwrap();
    assert_eq!(sample, [Sample::counts(25.0, 2.0)], "408 and 424");
}

#[tokio::test]
async fn what_is_nothing_is_no_data_and_never_zero() {
    let many: Vec<String> = (0..200).map(|n| format!("d{n}")).collect();
    let many: Vec<(&str, &str, &[Option<f64>])> = many.iter().map(|d| (d.as_str(), "200", &[Some(1.0)][..])).collect();
    let unsplit = json!({"interval": "PT1M", "value": [{"errorCode": "Success", "timeseries": [
        {"metadatavalues": [], "data": [{"timeStamp": "2026-11-21T08:00:00Z", "average": 5.0}]}]}]});
    let failing = json!({"interval": "PT1M", "value": [{"errorCode": "Throttled", "errorMessage": "try\nlater", "timeseries": []}]});
    for (metrics, why) in [
        (answer(&[]), "empty"),
        (answer(&[("green", "200", &[None])]), "empty"),
        (answer(&[("green", "200", &[Some(0.0)]), ("green", "500", &[Some(0.0)])]), "empty"),
        (answer(&[("blue", "200", &[Some(9.0)])]), "empty"),
        (answer(&[("green", "200", &[None, Some(9.0)])]), "empty"),
        (answer(&[("green", "200", &[Some(-1.0)])]), "inconsistent"),
        (answer(&[("green", "none", &[Some(1.0)])]), "inconsistent"),
        (unsplit, "inconsistent"),
        (answer(&many), "partial"),
        (failing, "partial"),
        (json!({"interval": "PT5M", "value": []}), "failed"),
        (json!({"interval": "PT1M", "value": []}), "failed"),
        (json!("<html>"), "failed"),
    ] {
        let sample = error_rate(metrics.clone()).await;
        assert!(matches!(&sample, Sample::NoData(found) if found.name() == why), "{metrics}: {sample:?}");
    }
    // An error series that does not exist is no error, where requests were counted.
    assert_eq!(error_rate(answer(&[("green", "200", &[Some(7.0)])])).await, Sample::counts(7.0, 0.0));
}

#[tokio::test]
async fn percentiles_are_values_of_a_query_of_its_own() {
    let arm = Arm::start();
    let series = |value: f64| answer(&[("green", "", &[Some(value), Some(value + 20.0)])]);
    arm.set_metrics(Some(series(120.0)));
    let samples = monitor(&arm).sample(&[p95()], &[subject("green")], &[window(0, 1), window(0, 2)]).await.unwrap();
    assert_eq!(samples, [Sample::value(120.0), Sample::value(130.0)]);
    let asked = arm.requests()[0].query.clone();
    assert_eq!(
        (asked["$filter"].as_str(), asked["metricnames"].as_str()),
        ("deployment eq 'green'", "RequestLatency_P95")
    );
    // A minute without requests has no latency, though Azure may write zero.
    arm.set_metrics(Some(answer(&[("green", "", &[Some(0.0), Some(120.0)])])));
    let samples = monitor(&arm).sample(&[p95()], &[subject("green")], &[window(0, 1), window(0, 2)]).await.unwrap();
    assert!(matches!(&samples[0], Sample::NoData(why) if why.name() == "empty"), "{samples:?}");
    assert_eq!(samples[1], Sample::value(120.0));
    let gpu = Query::Custom("metricnames=GpuUtilizationPercentage&aggregation=maximum&resource=deployment".to_owned());
    let points = json!([{"timeStamp": "2026-11-21T08:00:00Z", "maximum": 80.5}]);
    arm.set_metrics(Some(json!({"value": [{"errorCode": "Success", "timeseries": [{"data": points}]}]})));
    let samples = monitor(&arm).sample(&[gpu], &[subject("green")], &[window(0, 1)]).await.unwrap();
    assert_eq!(samples, [Sample::value(80.5)]);
    let path = arm.requests().pop().unwrap().path;
    assert!(path.ends_with("/onlineEndpoints/fraud/deployments/green/providers/Microsoft.Insights/metrics"), "{path}");
    arm.set_metrics(Some(answer(&[("green", "200", &[Some(1.0)]), ("green", "424", &[Some(1.0)])])));
    let samples = monitor(&arm).sample(&[p95()], &[subject("green")], &[window(0, 1)]).await.unwrap();
    assert!(matches!(&samples[0], Sample::NoData(why) if why.name() == "several_series"), "{samples:?}");
}

/// An answer with one series whose minutes from 8:00 use so much, in percent.
fn used(minutes: &[Option<f64>]) -> Value {
    let point = |(minute, value): (usize, &Option<f64>)| match value {
        Some(value) => json!({"timeStamp": format!("2026-11-21T08:{minute:02}:00Z"), "maximum": value}),
        None => json!({"timeStamp": format!("2026-11-21T08:{minute:02}:00Z")}),
    };
    let points: Vec<Value> = minutes.iter().enumerate().map(point).collect();
    json!({"interval": "PT1M", "value": [{"errorCode": "Success", "timeseries": [{"metadatavalues": [], "data": points}]}]})
}

#[tokio::test]
async fn headroom_is_what_the_fullest_instance_leaves_in_its_fullest_minute() {
    let arm = Arm::start();
    let monitor = monitor(&arm);
    arm.set_metrics(Some(used(&[Some(20.0), Some(75.0), Some(50.0), Some(100.4)])));
    for (resource, metric) in [
        (Resource::Cpu, "CpuUtilizationPercentage"),
        (Resource::Memory, "CpuMemoryUtilizationPercentage"),
        (Resource::Gpu, "GpuUtilizationPercentage"),
        (Resource::GpuMemory, "GpuMemoryUtilizationPercentage"),
    ] {
        let query = [Query::Headroom(resource)];
        let windows = [window(0, 1), window(1, 1), window(0, 2), window(3, 1)];
        let samples = monitor.sample(&query, &[subject("green")], &windows).await.unwrap();
        assert_eq!(samples, [0.8, 0.25, 0.25, 0.0].map(Sample::value));
        let asked = arm.requests().pop().unwrap();
        assert!(asked.path.ends_with("/deployments/green/providers/Microsoft.Insights/metrics"), "{}", asked.path);
        let of = |name: &str| asked.query.get(name).map(String::as_str);
        assert_eq!((of("metricnames"), of("aggregation"), of("$filter")), (Some(metric), Some("Maximum"), None));
    }
    assert_eq!(arm.count(ArmOperation::Metrics), 4, "one request for all windows");
    let words = monitor.words(&Query::Headroom(Resource::Gpu), &subject("green"), Duration::from_secs(60)).unwrap();
    assert!(words.starts_with("metricnames=GpuUtilizationPercentage&aggregation=Maximum"), "{words}");
    let split = answer(&[("green", "", &[Some(1.0)]), ("green", "", &[Some(2.0)])]);
    let failing = json!({"interval": "PT1M", "value": [{"errorCode": "Throttled", "timeseries": []}]});
    for (metrics, minutes, why) in [
        (used(&[]), 1, "empty"),
        (used(&[None]), 1, "empty"),
        (used(&[Some(0.0)]), 1, "empty"),
        (json!({"interval": "PT1M", "value": [{"errorCode": "Success", "timeseries": []}]}), 1, "empty"),
        // Nobody tells of the second minute: it may have been the fullest.
        (used(&[Some(20.0), None]), 2, "partial"),
        (used(&[Some(20.0)]), 2, "partial"),
        (used(&[Some(250.0)]), 1, "inconsistent"),
        (used(&[Some(-1.0)]), 1, "inconsistent"),
        (split, 1, "several_series"),
        (failing, 1, "partial"),
    ] {
        arm.set_metrics(Some(metrics.clone()));
        let query = [Query::Headroom(Resource::Memory)];
        let sample = monitor.sample(&query, &[subject("green")], &[window(0, minutes)]).await.unwrap().remove(0);
        assert!(matches!(&sample, Sample::NoData(found) if found.name() == why), "{metrics}: {sample:?}");
    }
    for query in [Query::InstanceStartup, Query::PendingRequests, Query::Alarms(vec!["x".to_owned()])] {
        let refused = monitor.sample(std::slice::from_ref(&query), &[subject("green")], &[window(0, 1)]).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported, "{query}");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_before_anything_is_sent() {
    let arm = Arm::start();
    let monitor = monitor(&arm);
    let ask = |query: Query, window: Window| {
        let monitor = &monitor;
        async move { monitor.sample(&[query], &[subject("green")], &[window]).await.unwrap_err() }
    };
    let latency = ask(Query::Latency, window(0, 1)).await;
    assert!(latency.kind() == ErrorKind::Unsupported && latency.message().contains("RequestLatency_P95"), "{latency}");
    let second =
        Window::within(window(0, 1).start(), window(0, 1).end(), Duration::from_secs(30)).unwrap().next().unwrap();
    assert_eq!(ask(Query::Requests, second).await.kind(), ErrorKind::Invalid);
    for text in [
        "",
        "RequestLatency_P95",
        "metricnames=RequestLatency_P95",
        "metricnames=A,B&$filter=deployment eq '{{revision}}'",
        "metricnames=A&$filter=deployment eq '{{revision}}'&aggregation=Median",
        "metricnames=A&$filter=deployment eq '{{revision}}'&interval=PT5M",
        "metricnames=A&$filter=deployment eq '{{revision}}'&resource=workspace",
        "metricnames=A&metricnames=B&resource=deployment",
        "metricnames=A&$filter=x eq '{{window}}'&resource=deployment",
        "metricnames={{revision}}&resource=deployment",
    ] {
        assert_eq!(ask(Query::Custom(text.to_owned()), window(0, 1)).await.kind(), ErrorKind::Invalid, "{text}");
    }
    assert!(arm.requests().is_empty());
}

#[tokio::test]
async fn what_fails_costs_its_own_samples_and_is_found_by_a_check() {
    let arm = Arm::start();
    arm.set_rates(&[("green", "200", 9.0)]);
    let monitor = monitor(&arm);
    // This server knows no other metric: Azure's flat 400.
    let samples = monitor.sample(&[p95(), Query::Requests], &[subject("green")], &[window(0, 1)]).await.unwrap();
    assert!(
        matches!(&samples[0], Sample::NoData(why) if why.to_string().contains("Failed to find metric configuration")),
        "{samples:?}"
    );
    assert_eq!(samples[1], Sample::value(9.0));
    let error = monitor.check(&[p95()], &[subject("green")], window(0, 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    arm.fault(ArmFault::on(ArmOperation::Metrics, ArmKind::status(403, "AuthorizationFailed", "no")));
    let error = monitor.check(&[Query::Requests], &[subject("green")], window(0, 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth);
    arm.fault(ArmFault::on(
        ArmOperation::Metrics,
        ArmKind::Status { status: 529, body: json!(null), headers: vec![("Retry-After", "0".to_owned())] },
    ));
    assert!(monitor.check(&[Query::Requests], &[subject("green")], window(0, 1)).await.is_ok());
    assert_eq!(monitor.settle_delay(&Query::Requests, &subject("green")), Duration::from_secs(120));
}

#[test]
fn percentiles_are_marked_as_the_averages_that_they_are() {
    let arm = Arm::start();
    let monitor = monitor(&arm);
    let custom = |text: &str| monitor.caveat(&Query::Custom(text.to_owned()));
    for metric in ["RequestLatency_P95", "requestlatency_p50", "RequestLatency_P99&aggregation=Maximum"] {
        let marked = custom(&format!("metricnames={metric}&$filter=deployment eq '{{{{revision}}}}'"));
        assert_eq!(marked, Some(Caveat::AveragedPercentiles), "{metric}");
    }
    assert_eq!(custom("metricnames=RequestLatency_P90&resource=deployment"), Some(Caveat::AveragedPercentiles));
    assert_eq!(custom("metricnames=RequestLatency&resource=deployment"), None);
    for query in [Query::ErrorRate, Query::Requests, Query::Headroom(Resource::Cpu), Query::Latency] {
        assert_eq!(monitor.caveat(&query), None, "{query}");
    }
}

#[test]
fn what_is_asked_can_be_asked_again() {
    let arm = Arm::start();
    let words = |query: &Query| monitor(&arm).words(query, &subject("green"), Duration::from_secs(60));
    let asked = words(&Query::ErrorRate).unwrap();
    assert!(asked.starts_with("metricnames=RequestsPerMinute&aggregation=Average&interval=PT1M&"), "{asked}");
    assert!(asked.ends_with("&$filter=deployment eq '*' and statusCode eq '*'&top=200"), "{asked}");
    let asked = words(&p95()).unwrap();
    assert!(asked.contains("RequestLatency_P95") && asked.contains("deployment eq 'green'"), "{asked}");
    assert_eq!(words(&Query::Latency), None);
}

#[tokio::test]
async fn no_window_is_shorter_than_a_minute() {
    let arm = Arm::start();
    let until = window(0, 1).end();
    let told = monitor(&arm).granularity(&[Query::ErrorRate], &subject("blue"), until).await.unwrap().unwrap();
    assert_eq!(told.shortest, Duration::from_secs(60));
    assert!(arm.requests().is_empty(), "nobody had to be asked");
}
