//! A version that had all requests of its alias, where the store tells versions apart only while there are weights, or never.

use super::*;

fn begin(minutes: i64) -> Option<Timestamp> {
    Timestamp::from_unix_seconds(BEGIN + minutes * 60)
}

/// Version 42, which has had everything for so many minutes before or after the first window, beside 41.
fn promoted(since: i64) -> [Subject; 2] {
    let [candidate, stable] = versions();
    [candidate.alone(begin(since)), stable]
}

fn is_of_version(wanted: &Wanted) -> bool {
    wanted.dimensions.contains_key("ExecutedVersion")
}

/// The numbers of the alias, of which nothing is told by version.
fn of_alias(wanted: &Wanted) -> Option<f64> {
    match (wanted.metric.as_str(), wanted.statistic.as_str()) {
        _ if is_of_version(wanted) => None,
        ("Invocations", "Sum") | ("Duration", "SampleCount") => Some(80.0),
        ("Errors", "Sum") => Some(3.0),
        ("Duration", "TC(:300)") => Some(76.0),
        ("Duration", "TC(300:)") => Some(4.0),
        ("Duration", "p95") => Some(212.5),
        other => panic!("{other:?}"),
    }
}

fn untold(sample: &Sample) -> bool {
    matches!(sample, Sample::NoData(Why::Inconsistent { found }) if found.contains("does not tell which version"))
}

#[tokio::test]
async fn the_alias_stands_for_who_had_all_of_it_and_one_request_is_enough_once_that_is_known() {
    let server = store(of_alias);
    let source = source(&server).await;
    let queries = [Query::ErrorRate, Query::Latency, Query::Requests, Query::Quantile(950_000)];
    let quantile = Sample::Histogram(Histogram::new(vec![(0.2125, 76.0), (f64::INFINITY, 80.0)]).unwrap());
    for (n, requests) in [(0, 2), (1, 3), (2, 4)] {
        let samples = source.sample(&queries, &promoted(0), &windows(2, 60)).await.unwrap();
        let expected = [Sample::counts(80.0, 3.0), super::slow(80.0, 4.0), Sample::value(80.0), quantile.clone()];
        for (of_query, expected) in samples.chunks(4).zip(&expected) {
            let nothing = Sample::NoData(Why::Empty);
            assert_eq!(of_query, [expected, expected, &nothing, &nothing].map(Clone::clone), "{n}");
        }
        assert_eq!(server.requests().len(), requests, "{n}");
    }
    // The second request has what the first had not.
    let asked: Vec<_> = server.requests().iter().map(cbor::read).collect();
    let first: Vec<&Wanted> = asked[0].series.values().collect();
    assert!(asked[1].series.values().all(|wanted| !is_of_version(wanted) && !first.contains(&wanted)), "{asked:?}");
}

#[tokio::test]
async fn a_store_that_tells_versions_apart_is_asked_once_and_believed() {
    let server = store(|wanted| (wanted.dimensions.get("ExecutedVersion").is_none_or(|v| v == "42")).then_some(9.0));
    let samples = source(&server).await.sample(&[Query::ErrorRate], &promoted(0), &windows(2, 60)).await.unwrap();
    assert_eq!(samples[..2], [Sample::counts(9.0, 9.0), Sample::counts(9.0, 9.0)]);
    assert_eq!(server.requests().len(), 1);
    assert!(cbor::read(&server.requests()[0]).series.len() == 5);
}

/// Two who share the traffic, one whose time has not come, and one who is told of later: somebody else may have had the rest.
#[tokio::test]
async fn nobody_stands_for_whoever_may_have_shared_it() {
    let server = store(of_alias);
    let source = source(&server).await;
    // It is known by now that this alias has nothing by version.
    source.sample(&[Query::ErrorRate], &promoted(0), &windows(1, 60)).await.unwrap();
    for (subjects, is_told) in
        [(versions(), [false, false, false]), (promoted(1), [false, true, true]), (promoted(9), [false, false, false])]
    {
        let samples = source.sample(&[Query::ErrorRate], &subjects, &windows(3, 60)).await.unwrap();
        for (sample, is_told) in samples.iter().zip(is_told) {
            let expected = if is_told { *sample == Sample::counts(80.0, 3.0) } else { untold(sample) };
            assert!(expected, "{subjects:?}: {samples:?}");
        }
    }

    // Points by version in the second window: the first is not its own, and the third is.
    let server = told(|asked, wanted| {
        let points: Vec<(i64, f64)> = match (is_of_version(wanted), wanted.metric.as_str()) {
            (true, "Invocations") if wanted.dimensions["ExecutedVersion"] == "42" => vec![(asked.start + 60, 50.0)],
            (true, _) => Vec::new(),
            (false, metric) => {
                [0, 60, 120].map(|at| (asked.start + at, if metric == "Errors" { 3.0 } else { 80.0 })).into()
            }
        };
        Told::complete(points)
    });
    let samples =
        super::source(&server).await.sample(&[Query::ErrorRate], &promoted(0), &windows(3, 60)).await.unwrap();
    assert!(untold(&samples[0]), "{samples:?}");
    assert_eq!(samples[1..3], [Sample::counts(50.0, 0.0), Sample::counts(80.0, 3.0)]);
}

/// An alias that nobody called has no requests, whoever has all of it; and what failed is not taken for nothing.
#[tokio::test]
async fn nothing_is_nothing_and_a_failure_is_a_failure() {
    let server = store(|_| None);
    assert_eq!(one(&server, Query::ErrorRate, &promoted(0)).await, Sample::NoData(Why::Empty));
    assert_eq!(server.requests().len(), 1);
    let server = told(|asked, wanted| match (is_of_version(wanted), wanted.metric.as_str()) {
        (true, "Invocations") => Told::status("InternalError"),
        (true, _) => Told::complete(Vec::new()),
        (false, _) => Told::complete(vec![(asked.start, 80.0)]),
    });
    let sample = one(&server, Query::ErrorRate, &promoted(0)).await;
    assert!(matches!(sample, Sample::NoData(Why::Failed { .. })), "{sample:?}");
}
