//! What every source of metrics does, whatever store it reads.

use std::time::Duration;

use mlroll_backend::{ErrorKind, MetricSource, Query, Resource, Sample, Subject, Timestamp, Why, Window};
use serde_json::json;

use crate::stage::{Case, id};

/// A source, and users whose requests it has counted: for ten minutes the candidate has had a tenth of 100 a second. Stable
/// fails 1 % of them, the candidate 5 %; half of both take longer than 80 ms.
struct Store {
    case: Case,
    source: Box<dyn MetricSource>,
    stable: Subject,
    candidate: Subject,
    shifted: Timestamp,
}

const MINUTE: Duration = Duration::from_secs(60);

impl Store {
    async fn new(case: Case) -> Self {
        case.canary(10).await;
        let shifted = case.now().await;
        case.advance("10m").await;
        let source = case.source();
        let subject = |name: &str| Subject::new(case.target.clone(), id(name));
        let (stable, candidate) = (subject(case.cloud.stable), subject(case.cloud.candidate));
        Self { case, source, stable, candidate, shifted }
    }

    /// The windows since the shift that are complete by now.
    async fn windows(&self) -> Vec<Window> {
        let settled = self.source.settle_delay(&Query::ErrorRate, &self.stable);
        let until = self.case.now().await.unix_milliseconds() - i64::try_from(settled.as_millis()).unwrap();
        let until = Timestamp::from_unix_milliseconds(until).unwrap();
        // The first scrape of a new series is not seen as an increase.
        Window::within(self.shifted.plus(MINUTE), until, MINUTE).unwrap().collect()
    }

    async fn ask(&self, queries: &[Query], subjects: &[&Subject], windows: &[Window]) -> Vec<Sample> {
        let subjects: Vec<_> = subjects.iter().map(|subject| (*subject).clone()).collect();
        let samples = self.source.sample(queries, &subjects, windows).await.unwrap();
        assert_eq!(samples.len(), queries.len() * subjects.len() * windows.len());
        samples
    }
}

/// Requests and failures over several windows.
#[track_caller]
fn total(samples: &[Sample]) -> (f64, f64) {
    samples.iter().fold((0.0, 0.0), |(all, failed), sample| match sample {
        Sample::Counts { requests, events, .. } => (all + requests.get(), failed + events.get()),
        other => panic!("{other:?} is no count"),
    })
}

/// `got` is what is expected of so many independent requests, give or take six standard deviations and the store's own
/// extrapolation at a window's ends.
#[track_caller]
fn about(got: f64, expected: f64) {
    let off = 6.0 * expected.sqrt() + 0.02 * expected;
    assert!((got - expected).abs() <= off, "{got} is not about {expected} (+-{off})");
}

pub async fn it_counts_what_users_got(case: Case) {
    let store = Store::new(case).await;
    let windows = store.windows().await;
    assert!(windows.len() >= 4, "{windows:?}");
    let minutes = f64::from(u32::try_from(windows.len()).unwrap());
    let (requests, failed) = total(&store.ask(&[Query::ErrorRate], &[&store.stable], &windows).await);
    about(requests, minutes * 5_400.0);
    about(failed, minutes * 54.0);
    let (requests, failed) = total(&store.ask(&[Query::ErrorRate], &[&store.candidate], &windows).await);
    about(requests, minutes * 600.0);
    about(failed, minutes * 30.0);
}

pub async fn samples_come_by_query_then_subject_then_window(case: Case) {
    let store = Store::new(case).await;
    let windows = store.windows().await.split_off(1);
    let queries = [Query::ErrorRate, Query::Requests];
    let together = store.ask(&queries, &[&store.candidate, &store.stable], &windows).await;
    let mut apart = Vec::new();
    for query in queries {
        for subject in [&store.candidate, &store.stable] {
            for window in &windows {
                apart.extend(store.ask(std::slice::from_ref(&query), &[subject], std::slice::from_ref(window)).await);
            }
        }
    }
    assert_eq!(together, apart);
}

pub async fn the_same_settled_window_is_answered_the_same(case: Case) {
    let store = Store::new(case).await;
    let windows = store.windows().await;
    let first = store.ask(&[Query::ErrorRate], &[&store.stable, &store.candidate], &windows).await;
    store.case.advance("20m").await;
    let later = store.ask(&[Query::ErrorRate], &[&store.stable, &store.candidate], &windows).await;
    assert_eq!(first, later, "the settle delay was too short");
}

pub async fn latencies_are_in_seconds(case: Case) {
    let store = Store::new(case).await;
    let windows = store.windows().await;
    for sample in store.ask(&[Query::Latency], &[&store.stable], &windows).await {
        let Sample::Histogram(histogram) = sample else { panic!("{sample:?}") };
        about(histogram.total(), 5_400.0);
        let up_to = |bound: f64| {
            let below = histogram.buckets().iter().rfind(|(le, _)| *le <= bound);
            below.map_or(0.0, |(_, count)| *count) / histogram.total()
        };
        assert!(up_to(0.05) < 0.5 && up_to(0.1) > 0.5, "{histogram:?}");
    }
}

/// 160 ms: a store that has buckets tells between which of them it is, and one that computes it tells it.
pub async fn one_quantile_is_told_of_all_requests(case: Case) {
    let store = Store::new(case).await;
    let windows = store.windows().await;
    for sample in store.ask(&[Query::Quantile(950_000)], &[&store.stable], &windows).await {
        let Sample::Histogram(histogram) = sample else { panic!("{sample:?}") };
        about(histogram.total(), 5_400.0);
        let slow = |(_, count): &&(f64, f64)| *count >= 0.95 * histogram.total() * (1.0 - 1e-12);
        let (bound, _) = histogram.buckets().iter().find(slow).unwrap();
        assert!((0.15..=0.3).contains(bound), "{histogram:?}");
    }
}

pub async fn everything_is_counted_in_one_query(case: Case) {
    let store = Store::new(case).await;
    let windows = store.windows().await;
    let before = store.case.queries().await;
    let queries = [Query::ErrorRate, Query::Latency, Query::Requests];
    let samples = store.ask(&queries, &[&store.candidate, &store.stable], &windows).await;
    assert_eq!(store.case.queries().await - before, 1, "whatever the queries, revisions and windows");
    // All three are about the same requests.
    let of = |query: usize| &samples[query * 2 * windows.len()..][..2 * windows.len()];
    for ((counts, latency), requests) in of(0).iter().zip(of(1)).zip(of(2)) {
        let (Sample::Counts { requests: counted, .. }, Sample::Histogram(timed), Sample::Value(all)) =
            (counts, latency, requests)
        else {
            panic!("{counts:?} {latency:?} {requests:?}")
        };
        assert!(counted == all && timed.total() == all.get(), "{counts:?} {latency:?} {requests:?}");
    }
}

pub async fn nobody_asked_is_no_data_and_not_zero_errors(case: Case) {
    let store = Store::new(case).await;
    let idle = Subject { revision: id(store.case.cloud.other), ..store.stable.clone() };
    for sample in store.ask(&[Query::ErrorRate], &[&idle], &store.windows().await).await {
        match sample {
            Sample::NoData(_) => {}
            Sample::Counts { requests, .. } if requests.get() == 0.0 => {}
            other => panic!("{other:?} of a revision without traffic"),
        }
    }
}

pub async fn nobody_asked_is_no_latency(case: Case) {
    let store = Store::new(case).await;
    let idle = Subject { revision: id(store.case.cloud.other), ..store.stable.clone() };
    for query in [Query::Latency, Query::Quantile(950_000)] {
        for sample in store.ask(std::slice::from_ref(&query), &[&idle], &store.windows().await).await {
            assert!(matches!(sample, Sample::NoData(_)), "{query}: {sample:?} of a revision without traffic");
        }
    }
}

pub async fn latency_is_refused_before_anything_is_sent(case: Case) {
    let store = Store::new(case).await;
    let windows = store.windows().await;
    let sent = store.case.queries().await;
    let subjects = std::slice::from_ref(&store.stable);
    for queries in [Query::Latency, Query::Quantile(950_000)].map(|latency| [Query::ErrorRate, latency]) {
        for refused in [
            store.source.sample(&queries, subjects, &windows).await,
            store.source.check(&queries, subjects, windows[0]).await,
        ] {
            let error = refused.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        }
    }
    assert_eq!(store.case.queries().await, sent);
}

/// The world says of stable's instances: 40 % of the processors, 70 % of the memory, 60 % of the accelerators, 90 % of theirs.
pub async fn what_machines_have_left_is_told(case: Case) {
    let store = Store::new(case).await;
    let windows = store.windows().await;
    for (resource, left) in
        [(Resource::Cpu, 0.6), (Resource::Memory, 0.3), (Resource::Gpu, 0.4), (Resource::GpuMemory, 0.1)]
    {
        let query = [Query::Headroom(resource)];
        let before = store.case.queries().await;
        for sample in store.ask(&query, &[&store.stable], &windows).await {
            let Sample::Value(value) = sample else { panic!("{resource:?}: {sample:?}") };
            assert!((value.get() - left).abs() < 1e-9, "{resource:?}: {value}");
        }
        assert_eq!(store.case.queries().await - before, 1, "asked once, whatever the windows");
        let idle = Subject { revision: id(store.case.cloud.other), ..store.stable.clone() };
        for subject in [&store.candidate, &idle] {
            for sample in store.ask(&query, &[subject], &windows[..1]).await {
                assert_eq!(sample, Sample::NoData(Why::Empty), "{resource:?} of what nobody tells of");
            }
        }
    }
    // Nothing else is known of instances, and nothing is sent for it.
    let sent = store.case.queries().await;
    for query in [Query::InstanceStartup, Query::PendingRequests] {
        let refused = store.source.sample(&[query], std::slice::from_ref(&store.stable), &windows).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unsupported, "{refused}");
    }
    assert_eq!(store.case.queries().await, sent);
}

/// The world says of stable's instances: 4 s to start, 40 % of the processors, 70 % of the memory, 60 % of the accelerators, 90 %
/// of theirs, and 3 requests waiting.
pub async fn what_instances_lack_is_told(case: Case) {
    let store = Store::new(case).await;
    let windows = store.windows().await;
    let headroom = |resource, least: f64, most: f64| (Query::Headroom(resource), least, most);
    for (query, least, most) in [
        (Query::InstanceStartup, 3.999, 4.001),
        (Query::PendingRequests, 3.0, 3.0),
        // Of what 99 % of the values stay below, read from buckets that are a tenth wide.
        headroom(Resource::Cpu, 0.55, 0.65),
        headroom(Resource::Memory, 0.25, 0.36),
        headroom(Resource::Gpu, 0.35, 0.46),
        headroom(Resource::GpuMemory, 0.04, 0.18),
    ] {
        for sample in store.ask(std::slice::from_ref(&query), &[&store.stable], &windows).await {
            let Sample::Value(value) = sample else { panic!("{query}: {sample:?}") };
            assert!((least..=most).contains(&value.get()), "{query}: {value}");
        }
        let idle = Subject { revision: id(store.case.cloud.other), ..store.stable.clone() };
        for sample in store.ask(std::slice::from_ref(&query), &[&idle], &windows[..1]).await {
            assert_eq!(sample, Sample::NoData(Why::Empty), "{query} of a revision without instances");
        }
    }
    // Both revisions in one request for each metric and window.
    let before = store.case.queries().await;
    let both = [Query::InstanceStartup, Query::Headroom(Resource::Memory), Query::ErrorRate, Query::Requests];
    store.ask(&both, &[&store.stable, &store.candidate], &windows[..1]).await;
    assert_eq!(store.case.queries().await - before, 3);
}

/// The world has three alarms: `steady`, `open` for the fifth minute, and `disabled`.
pub async fn alarms_count_while_they_are_open(case: Case) {
    let store = Store::new(case).await;
    let windows = store.windows().await;
    let alarms = |names: &[&str]| Query::Alarms(names.iter().map(|&name| name.to_owned()).collect());
    let before = store.case.queries().await;
    let told = store.ask(&[alarms(&["steady", "open"])], &[&store.stable, &store.candidate], &windows).await;
    // Policies, what is open, what has closed.
    assert!(store.case.queries().await - before <= 3, "asked once, whatever the subjects and windows");
    let (stable, candidate) = told.split_at(windows.len());
    assert_eq!(stable, candidate, "they are about no revision");
    let value = |sample: &Sample| {
        let Sample::Value(value) = sample else { panic!("{sample:?}") };
        value.get()
    };
    let values: Vec<f64> = stable.iter().map(value).collect();
    assert!(values[0] == 0.0 && values.contains(&1.0) && values.iter().all(|v| [0.0, 1.0].contains(v)), "{values:?}");
    for sample in store.ask(&[alarms(&["steady"])], &[&store.stable], &windows).await {
        assert_eq!(sample, Sample::value(0.0));
    }
    for (missing, kind) in [("nobody", ErrorKind::NotFound), ("disabled", ErrorKind::Invalid)] {
        let query = alarms(&["steady", missing]);
        let checked =
            store.source.check(std::slice::from_ref(&query), std::slice::from_ref(&store.stable), windows[0]).await;
        let error = checked.unwrap_err();
        assert!(error.kind() == kind && error.to_string().contains(missing), "{error}");
        for sample in store.ask(&[query], &[&store.stable], &windows[..1]).await {
            assert!(matches!(sample, Sample::NoData(Why::Failed { .. })), "{sample:?} of an alarm that is {missing}");
        }
    }
}

pub async fn a_store_that_fails_costs_samples_and_is_no_error(case: Case) {
    let store = Store::new(case).await;
    let windows = store.windows().await;
    let window = &windows[..1];
    for (fault, kinds) in [
        (json!({ "fault": "status", "status": 500 }), &[ErrorKind::Unavailable][..]),
        (json!({ "fault": "status", "status": 503 }), &[ErrorKind::Unavailable]),
        (json!({ "fault": "status", "status": 403 }), &[ErrorKind::Auth]),
        (json!({ "fault": "reset_after" }), &[ErrorKind::Unavailable]),
        (json!({ "fault": "truncate" }), &[ErrorKind::Unavailable, ErrorKind::Unexpected]),
    ] {
        store.case.metric_fault(&fault, 1_000).await;
        for sample in store.ask(&[Query::ErrorRate], &[&store.stable], window).await {
            let Sample::NoData(Why::Failed { kind, .. }) = &sample else { panic!("{fault}: {sample:?}") };
            assert!(kinds.contains(kind), "{fault}: {sample:?}");
        }
        store.case.heal().await;
    }
    total(&store.ask(&[Query::ErrorRate], &[&store.stable], window).await);
}

pub async fn a_passing_failure_is_not_noticed(case: Case) {
    let store = Store::new(case).await;
    store.case.metric_fault(&json!({ "fault": "status", "status": 503 }), 1).await;
    total(&store.ask(&[Query::ErrorRate], &[&store.stable], &store.windows().await).await);
}

pub async fn a_broken_query_is_found_before_traffic_moves(case: Case) {
    let store = Store::new(case).await;
    let window = store.windows().await[0];
    let broken = [Query::ErrorRate, Query::Custom(store.case.broken_query().to_owned())];
    let checked = match store.source.check(&broken, std::slice::from_ref(&store.stable), window).await {
        Err(error) => error,
        Ok(samples) => panic!("{samples:?}"),
    };
    assert!(matches!(checked.kind(), ErrorKind::Invalid | ErrorKind::Unsupported), "{checked}");
    store.source.check(&[Query::ErrorRate], &[store.stable.clone(), store.candidate.clone()], window).await.unwrap();
}
