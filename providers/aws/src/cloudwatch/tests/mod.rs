//! The source over real HTTP, against a store that fails on demand.

mod alone;
mod cbor;
mod often;
mod together;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mlroll_backend::{
    Call, ErrorKind, Histogram, MetricSource, Permit, Query, Sample, Subject, Timestamp, Why, Window, Wiretap,
};

use self::cbor::{Asked, Told, Wanted, error, page};
use super::machines::Machines;
use super::{CloudWatch, Settings};
use crate::session::Session;
use mlroll_faults::scripted::{Reply, Server};

/// A whole hour.
const BEGIN: i64 = 1_795_230_000;

#[derive(Debug)]
struct Tap;

impl Wiretap for Tap {
    fn about_to_send(&self, call: &Call) -> Permit {
        assert!(
            ["DescribeEndpoint", "GetFunctionConfiguration", "GetMetricData"].contains(&call.operation)
                && call.overridden
        );
        Permit::Send
    }
}

fn windows(count: i64, length: i64) -> Vec<Window> {
    let at = |n| Timestamp::from_unix_seconds(BEGIN + n * length).unwrap();
    (0..count).map(|n| Window::new(at(n), at(n + 1)).unwrap()).collect()
}

fn of(target: &str, revision: &str) -> Subject {
    Subject::new(target.parse().unwrap(), revision.parse().unwrap())
}

fn versions() -> [Subject; 2] {
    ["42", "41"].map(|version| of("lambda:us-east-1/fraud@prod", version))
}

fn variant() -> [Subject; 1] {
    [of("sagemaker:us-east-1/fraud", "b")]
}

async fn source(server: &Server) -> CloudWatch {
    let settings = Settings { slower_than: vec![0.3], ..Settings::default() };
    let session = Session::at(&server.url, Arc::new(Tap)).await;
    let (timeouts, usage, machines, spelled, untold) = Default::default();
    CloudWatch { session, settings, timeouts, usage, machines, spelled, untold }
}

/// A store with `value` at every period of a series, or none.
fn store(value: impl Fn(&Wanted) -> Option<f64> + Send + Sync + 'static) -> Server {
    told(move |asked, wanted| {
        let periods = (asked.start..asked.end).step_by(usize::try_from(asked.period).unwrap());
        Told::complete(periods.filter_map(|at| Some((at, value(wanted)?))).collect())
    })
}

/// A store that tells of each series what `what` says, on one page.
fn told(what: impl Fn(&Asked, &Wanted) -> Told + Send + Sync + 'static) -> Server {
    Server::start(move |_, request| {
        let asked = cbor::read(request);
        page(asked.series.iter().map(|(id, wanted)| (id.clone(), what(&asked, wanted))), None)
    })
}

async fn one(server: &Server, query: Query, subjects: &[Subject]) -> Sample {
    source(server).await.sample(&[query], subjects, &windows(1, 60)).await.unwrap().remove(0)
}

fn slow(total: f64, slow: f64) -> Sample {
    Sample::Histogram(Histogram::new(vec![(0.3, total - slow), (f64::INFINITY, total)]).unwrap())
}

#[tokio::test]
async fn all_queries_subjects_and_windows_are_one_request() {
    let server = store(|wanted| {
        let version = wanted.dimensions.get("ExecutedVersion").or_else(|| wanted.dimensions.get("Version"));
        let candidate = version.is_none_or(|version| version == "42");
        let scale = if candidate { 1.0 } else { 10.0 };
        Some(
            scale
                * match (wanted.metric.as_str(), wanted.statistic.as_str()) {
                    ("Invocations", "Sum") | ("Duration", "SampleCount") => 100.0,
                    ("Errors", "Sum") => 2.0,
                    ("Duration", "TC(:300)") => 93.0,
                    ("Duration", "TC(300:)") => 7.0,
                    ("Sales", "p99.9") => 0.5,
                    other => panic!("{other:?}"),
                },
        )
    });
    let custom = Query::Custom(r#"Shop Sales{Version="{{revision}}"} p99.9"#.to_owned());
    let queries = [Query::ErrorRate, Query::Latency, Query::Requests, custom];
    let asked = windows(40, 60);
    let samples = source(&server).await.sample(&queries, &versions(), &asked).await.unwrap();
    assert_eq!(samples.len(), 4 * 2 * 40);
    let expected = [
        [Sample::counts(100.0, 2.0), Sample::counts(1000.0, 20.0)],
        [slow(100.0, 7.0), slow(1000.0, 70.0)],
        [Sample::value(100.0), Sample::value(1000.0)],
        [Sample::value(0.5), Sample::value(5.0)],
    ];
    for (of_one, expected) in samples.chunks(40).zip(expected.iter().flatten()) {
        assert!(of_one.iter().all(|sample| sample == expected), "{of_one:?} {expected:?}");
    }
    let [request] = &server.requests()[..] else { panic!("one request") };
    let request = cbor::read(request);
    assert_eq!((request.start, request.end, request.period), (BEGIN, BEGIN + 2400, 60));
    // Six for each version, and the alias' own requests.
    assert_eq!(request.series.len(), 13);
    let errors = request.series.values().find(|wanted| wanted.metric == "Errors").unwrap();
    let dimensions: Vec<_> = errors.dimensions.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(dimensions, [("ExecutedVersion", "41"), ("FunctionName", "fraud"), ("Resource", "fraud:prod")]);
}

#[tokio::test]
async fn sagemaker_counts_what_was_not_answered_and_measures_in_microseconds() {
    for (server_errors, model, client, failed) in [(3.0, 3.0, 0.0, 3.0), (1.0, 9.0, 4.0, 5.0), (2.0, 0.0, 7.0, 2.0)] {
        let server = store(move |wanted| {
            assert_eq!(wanted.namespace, "AWS/SageMaker");
            assert_eq!(wanted.dimensions["EndpointName"], "fraud");
            Some(match (wanted.metric.as_str(), wanted.statistic.as_str()) {
                ("Invocations", "Sum") => 100.0,
                ("Invocation5XXErrors", "Sum") => server_errors,
                ("InvocationModelErrors", "Sum") => model,
                ("Invocation4XXErrors", "Sum") => client,
                other => panic!("{other:?}"),
            })
        });
        assert_eq!(one(&server, Query::ErrorRate, &variant()).await, Sample::counts(100.0, failed));
    }
    let server = store(|wanted| {
        assert_eq!((wanted.metric.as_str(), wanted.dimensions["VariantName"].as_str()), ("ModelLatency", "b"));
        match wanted.statistic.as_str() {
            "SampleCount" => Some(50.0),
            "TC(:300000)" => Some(49.0),
            "TC(300000:)" => Some(1.0),
            other => panic!("{other}"),
        }
    });
    assert_eq!(one(&server, Query::Latency, &variant()).await, slow(50.0, 1.0));
}

/// A gate that reads one quantile gets CloudWatch's own, with the number of requests it is of.
#[tokio::test]
async fn one_quantile_is_the_stores_own_in_seconds() {
    let quantile = |bound: f64, upto: f64, total: f64| {
        Sample::Histogram(Histogram::new(vec![(bound, upto), (f64::INFINITY, total)]).unwrap())
    };
    for (subject, metric, statistic, in_unit, millionths, upto) in [
        (variant().to_vec(), "ModelLatency", "p95", 212_500.0, 950_000, 475.0),
        (versions().to_vec(), "Duration", "p99.9", 212.5, 999_000, 499.5),
    ] {
        let server = store(move |wanted| match (wanted.metric.as_str(), wanted.statistic.as_str()) {
            (name, "SampleCount") if name == metric => Some(500.0),
            (name, asked) if (name, asked) == (metric, statistic) => Some(in_unit),
            ("Invocations", "Sum") => Some(1000.0),
            other => panic!("{other:?}"),
        });
        let found = one(&server, Query::Quantile(millionths), &subject).await;
        assert_eq!(found, quantile(0.2125, upto, 500.0), "{metric}");
    }
    let nobody = store(|wanted| (wanted.metric == "Invocations").then_some(0.0));
    assert_eq!(one(&nobody, Query::Quantile(950_000), &variant()).await, Sample::NoData(Why::Empty));
    // Published as sums: how many there were is known, and no percentile.
    let sums = store(|wanted| (wanted.statistic == "SampleCount").then_some(500.0));
    let sample = one(&sums, Query::Quantile(950_000), &variant()).await;
    assert!(matches!(sample, Sample::NoData(Why::Inconsistent { .. })), "{sample:?}");
}

#[tokio::test]
async fn missing_points_are_zero_failures_and_no_requests_and_never_a_pass() {
    let only = |metric: &'static str, value: f64| store(move |w| (w.metric == metric).then_some(value));
    let nothing = store(|_| None);
    for query in [Query::ErrorRate, Query::Latency, Query::Requests, Query::Custom("Shop Sales Sum".to_owned())] {
        assert_eq!(one(&nothing, query, &versions()).await, Sample::NoData(Why::Empty));
    }
    assert_eq!(one(&only("Invocations", 9.0), Query::ErrorRate, &versions()).await, Sample::counts(9.0, 0.0));
    let sample = one(&only("Errors", 1.0), Query::ErrorRate, &versions()).await;
    assert!(matches!(sample, Sample::NoData(Why::Inconsistent { .. })), "{sample:?}");
    let sample = one(&only("Invocation4XXErrors", 1.0), Query::ErrorRate, &variant()).await;
    assert_eq!(sample, Sample::NoData(Why::Empty));
}

/// Without weights on the alias, versions may not be told apart: requests that nobody had are no evidence of a quiet night.
#[tokio::test]
async fn requests_of_an_alias_that_no_version_had_are_not_nothing() {
    let server =
        store(|w| (w.metric == "Invocations" && !w.dimensions.contains_key("ExecutedVersion")).then_some(80.0));
    for query in [Query::ErrorRate, Query::Latency, Query::Requests] {
        let sample = one(&server, query, &versions()).await;
        assert!(matches!(&sample, Sample::NoData(Why::Inconsistent { found }) if found.contains("80")), "{sample:?}");
    }
    let server = store(|w| {
        let version = w.dimensions.get("ExecutedVersion").map(String::as_str);
        (w.metric == "Invocations" && version != Some("42")).then_some(80.0)
    });
    assert_eq!(one(&server, Query::ErrorRate, &versions()).await, Sample::NoData(Why::Empty), "stable had them");
}

#[tokio::test]
async fn trimmed_counts_that_do_not_add_up_are_not_used() {
    for (fast, above, expected) in [
        (Some(93.0), Some(7.0), Some(slow(100.0, 7.0))),
        (None, Some(100.0), Some(slow(100.0, 100.0))),
        (Some(100.0), None, Some(slow(100.0, 0.0))),
        (None, None, None),
        (Some(50.0), None, None),
        (Some(93.0), Some(20.0), None),
    ] {
        let server = store(move |wanted| match wanted.statistic.as_str() {
            "TC(:300)" => fast,
            "TC(300:)" => above,
            _ => Some(100.0),
        });
        let sample = one(&server, Query::Latency, &versions()).await;
        match expected {
            Some(expected) => assert_eq!(sample, expected),
            None => {
                assert!(matches!(sample, Sample::NoData(Why::Inconsistent { .. })), "{fast:?} {above:?}: {sample:?}")
            }
        }
    }
}

#[tokio::test]
async fn what_is_not_complete_is_not_zero() {
    for (status, kind) in [("InternalError", ErrorKind::Unavailable), ("Forbidden", ErrorKind::Auth)] {
        let server = told(move |asked, wanted| {
            let bad = wanted.metric == "Errors";
            if bad { Told::status(status) } else { Told::complete(vec![(asked.start, 10.0)]) }
        });
        let sample = one(&server, Query::ErrorRate, &versions()).await;
        let failed = |sample: &Sample| matches!(sample, Sample::NoData(Why::Failed { kind: k, message }) if *k == kind && message.contains("because"));
        assert!(failed(&sample), "{sample:?}");
        assert_eq!(one(&server, Query::Requests, &versions()).await, Sample::value(10.0), "the others are not touched");
        let error = source(&server).await.check(&[Query::ErrorRate], &versions(), windows(1, 60)[0]).await.unwrap_err();
        assert_eq!(error.kind(), kind);
    }
    let server = told(|asked, _| Told { status: "PartialData", ..Told::complete(vec![(asked.start, 10.0)]) });
    let sample = one(&server, Query::Requests, &versions()).await;
    assert!(matches!(sample, Sample::NoData(Why::Partial { .. })), "{sample:?}");
    let server = told(|asked, _| Told::complete(vec![(asked.start + 30, 10.0)]));
    let sample = one(&server, Query::Requests, &versions()).await;
    assert!(matches!(sample, Sample::NoData(Why::Inconsistent { .. })), "{sample:?}");
    for (value, why) in [(f64::NAN, Why::NotANumber), (f64::INFINITY, Why::Infinite)] {
        assert_eq!(one(&store(move |_| Some(value)), Query::Requests, &versions()).await, Sample::NoData(why));
    }
    let server = Server::start(|_, _| page([], None));
    let sample = one(&server, Query::Requests, &versions()).await;
    assert!(matches!(sample, Sample::NoData(Why::Failed { kind: ErrorKind::Unexpected, .. })), "{sample:?}");
}

#[tokio::test]
async fn pages_are_followed_to_their_end() {
    let server = Server::start(|_, request| {
        let asked = cbor::read(request);
        let half = asked.start + 120;
        let told = |status, points: [i64; 2]| {
            let point = |at| (at, (at - BEGIN) as f64);
            let told = Told { status, ..Told::complete(points.map(point).to_vec()) };
            asked.series.keys().map(move |id| (id.clone(), told.clone())).collect::<Vec<_>>()
        };
        match asked.token.as_deref() {
            None => page(told("PartialData", [asked.start, asked.start + 60]), Some("more")),
            Some("more") => page(told("Complete", [half, half + 60]), None),
            Some(other) => panic!("{other}"),
        }
    });
    let samples = source(&server).await.sample(&[Query::Requests], &variant(), &windows(4, 60)).await.unwrap();
    assert_eq!(samples, [0.0, 60.0, 120.0, 180.0].map(Sample::value));
    assert_eq!(server.requests().len(), 2);

    let endless = Server::start(|_, _| page([], Some("again")));
    let sample = one(&endless, Query::Requests, &variant()).await;
    assert!(matches!(sample, Sample::NoData(Why::Failed { kind: ErrorKind::Unexpected, .. })), "{sample:?}");
    assert_eq!(endless.requests().len(), 2);
}

#[tokio::test]
async fn more_than_500_series_are_split_and_regions_asked_apart() {
    let server = store(|_| Some(1.0));
    let variants: Vec<Subject> = (0..501).map(|n| of("sagemaker:us-east-1/fraud", &format!("v{n}"))).collect();
    let samples = source(&server).await.sample(&[Query::Requests], &variants, &windows(1, 60)).await.unwrap();
    assert!(samples.len() == 501 && samples.iter().all(|sample| *sample == Sample::value(1.0)));
    let sizes: Vec<usize> = server.requests().iter().map(|request| cbor::read(request).series.len()).collect();
    assert_eq!(sizes, [500, 1]);

    let server = store(|_| Some(1.0));
    let regions = ["us-east-1", "eu-west-1"].map(|region| of(&format!("sagemaker:{region}/fraud"), "b"));
    source(&server).await.sample(&[Query::Requests], &regions, &windows(1, 60)).await.unwrap();
    let signed: Vec<bool> =
        server.requests().iter().map(|request| request.headers["authorization"].contains("/eu-west-1/")).collect();
    assert_eq!(signed, [true, false]);
}

#[tokio::test]
async fn windows_apart_are_asked_apart_and_none_between_them() {
    let server = store(|_| Some(1.0));
    let mut asked = windows(6, 300);
    asked.remove(2);
    asked.reverse();
    let samples = source(&server).await.sample(&[Query::Requests], &variant(), &asked).await.unwrap();
    assert!(samples.len() == 5 && samples.iter().all(|sample| *sample == Sample::value(1.0)), "{samples:?}");
    let ranges: Vec<_> = server.requests().iter().map(cbor::read).map(|a| (a.start - BEGIN, a.end - BEGIN)).collect();
    assert_eq!(ranges, [(0, 600), (900, 1800)]);
}

#[tokio::test]
async fn an_arn_names_the_account_whose_metrics_are_meant() {
    let server = store(|wanted| {
        assert_eq!(wanted.account.as_deref(), Some("123456789012"));
        Some(1.0)
    });
    let subject = of("arn:aws:lambda:us-east-1:123456789012:function:fraud:prod", "42");
    assert_eq!(one(&server, Query::Requests, &[subject]).await, Sample::value(1.0));
}

#[tokio::test]
async fn failures_have_kinds_and_are_tried_again() {
    for (status, code, kind, times) in [
        (400, "InvalidParameterValueException", ErrorKind::Invalid, 1),
        (403, "AccessDenied", ErrorKind::Auth, 1),
        (400, "Throttling", ErrorKind::Throttled, 5),
        (500, "InternalServiceFault", ErrorKind::Unavailable, 5),
    ] {
        let server = Server::start(move |_, _| error(status, code));
        let source = source(&server).await;
        let samples = source.sample(&[Query::Requests], &variant(), &windows(1, 60)).await.unwrap();
        let [Sample::NoData(Why::Failed { kind: found, message })] = &samples[..] else { panic!("{samples:?}") };
        assert_eq!((*found, server.requests().len()), (kind, times), "{message}");
        assert!(!message.contains("verysecret"));
        let error = source.check(&[Query::Requests], &variant(), windows(1, 60)[0]).await.unwrap_err();
        assert_eq!((error.kind(), error.operation()), (kind, "GetMetricData"));
    }
    let server = Server::start(|n, request| match n {
        0 => Reply::Truncated("half".to_owned()),
        1 => error(503, "ServiceUnavailable"),
        _ => page(cbor::read(request).series.keys().map(|id| (id.clone(), Told::complete(vec![(BEGIN, 4.0)]))), None),
    });
    assert_eq!(one(&server, Query::Requests, &variant()).await, Sample::value(4.0));
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_before_anything_is_sent() {
    let server = store(|_| Some(1.0));
    // The endpoint was read before, and publishes once a minute.
    let machines = [(variant()[0].target.clone(), Machines::default())];
    let source = CloudWatch { machines: Mutex::new(machines.into()), ..source(&server).await };
    let custom = || Query::Custom("Shop Sales Sum".to_owned());
    for (query, subject, length, kind, says) in [
        (Query::Requests, variant().to_vec(), 90, ErrorKind::Invalid, "whole minutes"),
        (Query::Requests, variant().to_vec(), 10, ErrorKind::Invalid, "whole minutes"),
        (custom(), variant().to_vec(), 15, ErrorKind::Invalid, "whole minutes"),
        (Query::Custom("Shop".to_owned()), variant().to_vec(), 60, ErrorKind::Invalid, "a metric is missing"),
        (Query::Requests, vec![of("cloud-run:p/r/s", "b")], 60, ErrorKind::Unsupported, "cloud-run:p/r/s"),
    ] {
        let error = source.sample(&[query], &subject, &windows(1, length)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
    let aimless = CloudWatch { settings: Settings::default(), ..source };
    assert!(aimless.sample(&[Query::Latency], &variant(), &windows(1, 60)).await.is_err());
    assert!(server.requests().is_empty());
    assert_eq!(aimless.sample(&[custom()], &variant(), &windows(1, 10)).await.unwrap(), [Sample::value(1.0)]);
}

/// An invocation is counted in the minute it began in, when it ends.
#[tokio::test]
async fn the_store_is_late_by_two_minutes_and_by_how_long_a_function_may_run() {
    let server = Server::start(|_, request| {
        if request.path == "/" {
            // Who may not look at the endpoint is not kept from its metrics.
            let headers = vec![("content-type", "application/x-amz-json-1.1".to_owned())];
            return Reply::Answer { status: 400, headers, body: br#"{"__type": "AccessDeniedException"}"#.to_vec() };
        }
        assert_eq!(request.path, "/2015-03-31/functions/fraud/configuration");
        assert_eq!(request.form["Qualifier"], "42");
        let body = br#"{"Timeout": 30, "State": "Active"}"#.to_vec();
        Reply::Answer { status: 200, headers: vec![("content-type", "application/json".to_owned())], body }
    });
    let source = source(&server).await;
    let [candidate, _] = versions();
    let late = |source: &CloudWatch| source.settle_delay(&Query::ErrorRate, &candidate).as_secs();
    assert_eq!(late(&source), 120);
    source.learn(&[candidate.clone(), variant()[0].clone()]).await.unwrap();
    assert_eq!((late(&source), server.requests().len()), (150, 2));
    assert_eq!(source.settle_delay(&Query::ErrorRate, &variant()[0]).as_secs(), 120);

    let told = Settings { settle_delay: Some(Duration::ZERO), ..Settings::default() };
    let source = CloudWatch { settings: told, ..source };
    source.learn(std::slice::from_ref(&candidate)).await.unwrap();
    assert_eq!((late(&source), server.requests().len()), (0, 2));
}
