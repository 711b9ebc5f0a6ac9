//! The source on a real Prometheus, with known samples.
#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a failed step fails the test"
)]

use std::fmt::Write as _;
use std::time::Duration;

use mlroll_backend::{ErrorKind, Finite, MetricSource, Query, Sample, Subject, Timestamp, Why, Window};
use mlroll_faults::{Outsider, make_blocks};
use mlroll_prometheus::{Auth, LatencyUnit, Prometheus, Secret, Settings};

/// The end of the window that is asked for; samples are every 15 s, on it and before it.
const END: i64 = 1_700_000_040;

/// From the web configuration's own documentation: the password `test`.
const USERS: &str = "basic_auth_users:\n  admin: $2b$12$hNf2lSsxfm0.i4a.1kVpSOVyBCfIB51VRjgBUyv6kdnyTlgWj81Ay\n";

struct Store {
    server: Outsider,
    _folder: tempfile::TempDir,
}

impl Store {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let samples = file("samples.txt", &samples());
        make_blocks(folder.path(), &samples, &[]);
        file("prometheus.yml", "global: {}\n");
        let users = file("web.yml", USERS);
        let more = [format!("--web.config.file={}", users.display()), "--storage.tsdb.retention.time=100y".to_owned()];
        let server = Outsider::prometheus(folder.path(), &more);
        server.until_ready("Authorization: Basic YWRtaW46dGVzdA==");
        Self { server, _folder: folder }
    }

    fn settings(&self) -> Settings {
        Settings {
            url: self.server.url(),
            auth: Auth::Basic { user: "admin".to_owned(), password: Secret::new("test") },
            requests: Some(r#"r_total{version="{{revision}}"}"#.to_owned()),
            errors: Some(r#"r_total{version="{{revision}}",code=~"5.."}"#.to_owned()),
            latency: Some(r#"d_bucket{version="{{revision}}"}"#.to_owned()),
            ..Settings::default()
        }
    }

    fn source(&self) -> Prometheus {
        Prometheus::new(&self.settings()).unwrap()
    }
}

/// Counters as scraped every 15 s.
fn samples() -> String {
    let mut text = String::new();
    // Ten minutes up to four scrapes after the end, so that later samples are there to be left out.
    let steady = |labels: &str, per_scrape: f64, text: &mut String| {
        for n in -40..=4 {
            let value = 1000.0 + per_scrape * f64::from(n + 40);
            writeln!(text, "{labels} {value} {}", END + i64::from(n) * 15).unwrap();
        }
    };
    for (labels, per_scrape) in [
        (r#"r_total{version="41",pod="a",code="200"}"#, 100.0),
        (r#"r_total{version="41",pod="b",code="200"}"#, 48.5),
        (r#"r_total{version="41",pod="a",code="500"}"#, 1.0),
        (r#"r_total{version="41",pod="b",code="503"}"#, 0.5),
        (r#"r_total{version="42",pod="c",code="200"}"#, 60.0),
        (r#"r_total{version="idle",code="200"}"#, 0.0),
        (r#"r_total{version="quiet",code="200"}"#, 0.0),
        (r#"r_total{version="quiet",code="500"}"#, 0.0),
        (r#"r_total{version="v1.2",code="200"}"#, 10.0),
        (r#"r_total{version="v1x2",code="200"}"#, 1000.0),
        (r#"r_total{version="$LATEST",code="200"}"#, 20.0),
        (r#"r_total{version="LATEST",code="200"}"#, 1000.0),
        (r#"r_total{version="a-b_c",code="200"}"#, 30.0),
        (r#"d_bucket{version="41",pod="a",le="0.1"}"#, 60.0),
        (r#"d_bucket{version="41",pod="b",le="0.1"}"#, 40.0),
        (r#"d_bucket{version="41",pod="a",le="0.5"}"#, 80.0),
        (r#"d_bucket{version="41",pod="b",le="0.5"}"#, 60.0),
        // The same bound, written by two client libraries.
        (r#"d_bucket{version="41",pod="a",le="1"}"#, 85.0),
        (r#"d_bucket{version="41",pod="b",le="1.0"}"#, 62.5),
        (r#"d_bucket{version="41",pod="a",le="+Inf"}"#, 86.0),
        (r#"d_bucket{version="41",pod="b",le="+Inf"}"#, 64.0),
        (r#"ms_bucket{version="41",le="100"}"#, 1.0),
        (r#"ms_bucket{version="41",le="+Inf"}"#, 2.0),
    ] {
        steady(labels, per_scrape, &mut text);
    }
    for (labels, values) in [
        // A pod that starts anew in mid-window: 10 + 5 + 10 + 10.
        (r#"r_total{version="reset",code="200"}"#, &[(-60, 100), (-45, 110), (-30, 5), (-15, 15), (0, 25)][..]),
        // Scrapes that do not fall on the window's ends: 30 in 45 s are 40 in 60 s.
        (r#"r_total{version="shifted",code="200"}"#, &[(-70, 90), (-55, 100), (-40, 110), (-25, 120), (-10, 130)]),
        (r#"r_total{version="gone",code="200"}"#, &[(-90, 80), (-75, 90), (-60, 100), (-45, 110)]),
        (r#"r_total{version="new",code="200"}"#, &[(0, 5), (15, 10)]),
    ] {
        for (seconds, value) in values {
            writeln!(text, "{labels} {value} {}", END + seconds).unwrap();
        }
    }
    text + "# EOF\n"
}

fn window() -> Window {
    let at = |seconds| Timestamp::from_unix_seconds(seconds).unwrap();
    Window::new(at(END - 60), at(END)).unwrap()
}

fn subject(revision: &str) -> Subject {
    Subject::new("lambda:eu-west-1/fraud@prod".parse().unwrap(), revision.parse().unwrap())
}

fn custom(text: &str) -> Query {
    Query::Custom(text.to_owned())
}

async fn sample(source: &Prometheus, query: &Query, revision: &str) -> Sample {
    let found = source.sample(std::slice::from_ref(query), &[subject(revision)], &[window()]).await;
    found.unwrap().remove(0)
}

/// Aligned scrapes are not extrapolated; what is left is the rounding of sums.
fn assert_close(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{what}: {found}, not {expected}");
}

#[tokio::test]
async fn counts_are_those_of_the_window() {
    let store = Store::start();
    let source = store.source();
    for (revision, requests, events) in [
        ("41", 600.0, 6.0),
        // No series of errors, but traffic.
        ("42", 240.0, 0.0),
        ("reset", 35.0, 0.0),
        ("shifted", 40.0, 0.0),
        ("quiet", 0.0, 0.0),
    ] {
        match sample(&source, &Query::ErrorRate, revision).await {
            Sample::Counts { requests: found, events: failed, .. } => {
                assert_close(found.get(), requests, revision);
                assert_close(failed.get(), events, revision);
            }
            other => panic!("{revision}: {other:?}"),
        }
        match sample(&source, &Query::Requests, revision).await {
            Sample::Value(found) => assert_close(found.get(), requests, revision),
            other => panic!("{revision}: {other:?}"),
        }
    }
    for (revision, why) in [
        ("nosuch", Why::Empty),
        // Neither traffic nor errors.
        ("idle", Why::Empty),
        // A single scrape has no increase.
        ("new", Why::Empty),
        ("gone", Why::Stale { age_seconds: Some(45) }),
    ] {
        assert_eq!(sample(&source, &Query::ErrorRate, revision).await, Sample::NoData(why), "{revision}");
    }
    assert_eq!(sample(&source, &Query::Requests, "idle").await, Sample::value(0.0));
}

#[tokio::test]
async fn parts_of_the_traffic_are_told_apart_by_a_label() {
    let store = Store::start();
    let by = |by: &str, of| Query::Stratified { by: by.to_owned(), of: Box::new(of) };
    let Sample::Strata(pods) = sample(&store.source(), &by("pod", Query::ErrorRate), "41").await else { panic!() };
    for ((name, found), (pod, requests, events)) in pods.iter().zip([("a", 404.0, 4.0), ("b", 196.0, 2.0)]) {
        let Sample::Counts { requests: all, events: failed, .. } = found else { panic!("{found:?}") };
        assert_eq!(name, pod);
        assert_close(all.get(), requests, pod);
        assert_close(failed.get(), events, pod);
    }
    assert_eq!(pods.len(), 2);
    let Sample::Strata(pods) = sample(&store.source(), &by("pod", Query::Latency), "41").await else { panic!() };
    let Sample::Histogram(of_b) = &pods["b"] else { panic!("{pods:?}") };
    assert_eq!((pods.len(), of_b.buckets().len()), (2, 4));
    assert_close(of_b.total(), 256.0, "b");
    // Errors that no requests go with would be lost, and whoever has them would look best.
    let apart =
        Settings { errors: Some(r#"r_total{version="{{revision}}",code=~"5.."}"#.to_owned()), ..store.settings() };
    let apart = Settings { requests: Some(r#"d_bucket{version="{{revision}}",le="+Inf"}"#.to_owned()), ..apart };
    let found = sample(&Prometheus::new(&apart).unwrap(), &by("code", Query::ErrorRate), "41").await;
    assert!(
        matches!(&found, Sample::NoData(Why::Inconsistent { found }) if found.contains("need that label")),
        "{found:?}"
    );
    // Where nobody has the label there is one part; where there is no traffic there is none.
    let Sample::Strata(one) = sample(&store.source(), &by("region", Query::ErrorRate), "42").await else { panic!() };
    assert_eq!(one.into_iter().collect::<Vec<_>>(), [(String::new(), Sample::counts(240.0, 0.0))]);
    for (revision, why) in
        [("nosuch", Why::Empty), ("idle", Why::Empty), ("gone", Why::Stale { age_seconds: Some(45) })]
    {
        let found = sample(&store.source(), &by("pod", Query::ErrorRate), revision).await;
        assert_eq!(found, Sample::NoData(why), "{revision}");
    }
}

#[tokio::test]
async fn how_short_a_window_may_be_is_measured() {
    let store = Store::start();
    let source = store.source();
    let end = Timestamp::from_unix_seconds(END).unwrap();
    for queries in
        [vec![Query::ErrorRate], vec![Query::Latency], vec![custom("up"), Query::Requests], vec![custom("up")]]
    {
        let found = source.granularity(&queries, &subject("41"), end).await.unwrap().unwrap();
        // Four scrapes of 15 s, less the leeway.
        assert!((50.0..=60.0).contains(&found.shortest.as_secs_f64()), "{queries:?}: {found:?}");
    }
    // Of what has just begun, or is not there at all, nobody can tell.
    let begins = Timestamp::from_unix_seconds(END - 300).unwrap();
    for (revision, until) in [("41", begins), ("nosuch", end), ("new", end)] {
        assert_eq!(
            source.granularity(&[Query::Requests], &subject(revision), until).await.unwrap(),
            None,
            "{revision}"
        );
    }
    let told = Settings { scrape: Some(Duration::from_secs(30)), ..store.settings() };
    let told = Prometheus::new(&told).unwrap().granularity(&[], &subject("nosuch"), end).await.unwrap().unwrap();
    assert_eq!(told.shortest, Duration::from_secs(120));
}

#[tokio::test]
async fn windows_that_follow_each_other_add_up() {
    let store = Store::start();
    let at = |seconds| Timestamp::from_unix_seconds(seconds).unwrap();
    let windows: Vec<Window> = Window::within(at(END - 300), at(END), Duration::from_secs(60)).unwrap().collect();
    let found = store.source().sample(&[Query::Requests], &[subject("41"), subject("42")], &windows).await.unwrap();
    for (n, sample) in found.into_iter().enumerate() {
        let Sample::Value(value) = sample else { panic!("{n}: {sample:?}") };
        assert_close(value.get(), if n < windows.len() { 600.0 } else { 240.0 }, "a window");
    }
}

/// Asked for in a row, windows are steps of a range; alone, or backwards, each is a moment.
#[tokio::test]
async fn a_range_says_what_its_windows_say_one_by_one() {
    let store = Store::start();
    let source = store.source();
    let at = |seconds| Timestamp::from_unix_seconds(seconds).unwrap();
    // From before the first sample to after the last one.
    let windows: Vec<Window> = Window::within(at(END - 900), at(END + 300), Duration::from_secs(60)).unwrap().collect();
    let backwards: Vec<Window> = windows.iter().rev().copied().collect();
    let queries = [Query::ErrorRate, Query::Latency, Query::Requests, custom("vector(time())"), custom("1 + 1")];
    let subjects = ["41", "42", "reset", "gone", "new", "idle", "nosuch"].map(subject);
    let in_a_row = source.sample(&queries, &subjects, &windows).await.unwrap();
    let mut alone = source.sample(&queries, &subjects, &backwards).await.unwrap();
    alone.chunks_mut(windows.len()).for_each(<[Sample]>::reverse);
    assert_eq!(in_a_row.len(), alone.len());
    for (n, (range, moment)) in in_a_row.iter().zip(&alone).enumerate() {
        assert_eq!(range, moment, "{n}");
    }
    let told = |found: &[Sample]| found.iter().filter(|sample| !matches!(sample, Sample::NoData(_))).count();
    assert!(told(&in_a_row) > 60, "{in_a_row:?}");
}

#[tokio::test]
async fn no_revision_is_taken_for_another() {
    let store = Store::start();
    let exact = store.source();
    let pattern = r#"r_total{code!="",version=~"{{revision}}"}"#;
    let raw = "r_total{version=~`{{revision}}`}";
    let several = r#"r_total{version=~'{{revision}}|nosuch'}"#;
    let mut sources = vec![exact];
    for requests in [pattern, raw, several] {
        sources.push(Prometheus::new(&Settings { requests: Some(requests.to_owned()), ..store.settings() }).unwrap());
    }
    for source in &sources {
        for (revision, expected) in [("v1.2", 40.0), ("v1x2", 4000.0), ("$LATEST", 80.0), ("a-b_c", 120.0)] {
            match sample(source, &Query::Requests, revision).await {
                Sample::Value(found) => assert_close(found.get(), expected, revision),
                other => panic!("{revision}: {other:?}"),
            }
        }
        for revision in ["v1.", "LATES.", ".-b_c", "$"] {
            assert_eq!(sample(source, &Query::Requests, revision).await, Sample::NoData(Why::Empty), "{revision}");
        }
    }
}

#[tokio::test]
async fn histograms_are_cumulative_and_in_seconds() {
    let store = Store::start();
    let Sample::Histogram(found) = sample(&store.source(), &Query::Latency, "41").await else { panic!() };
    let expected = [(0.1, 400.0), (0.5, 560.0), (1.0, 590.0), (f64::INFINITY, 600.0)];
    assert_eq!(found.buckets().len(), expected.len());
    for ((bound, count), (expected_bound, expected_count)) in found.buckets().iter().zip(expected) {
        assert_eq!(*bound, expected_bound);
        assert_close(*count, expected_count, "a bucket");
    }
    let latency = Some(r#"ms_bucket{version="{{revision}}"}"#.to_owned());
    let settings = Settings { latency, latency_unit: LatencyUnit::Milliseconds, ..store.settings() };
    let Sample::Histogram(found) = sample(&Prometheus::new(&settings).unwrap(), &Query::Latency, "41").await else {
        panic!()
    };
    assert_eq!(found.buckets(), [(0.1, 4.0), (f64::INFINITY, 8.0)]);

    assert_eq!(sample(&store.source(), &Query::Latency, "42").await, Sample::NoData(Why::Empty));
    let latency = Some(r#"r_total{version="{{revision}}"}"#.to_owned());
    let source = Prometheus::new(&Settings { latency, ..store.settings() }).unwrap();
    let found = sample(&source, &Query::Latency, "41").await;
    assert!(matches!(found, Sample::NoData(Why::Inconsistent { .. })), "{found:?}");
}

#[tokio::test]
async fn any_query_is_one_number_or_none() {
    let store = Store::start();
    let source = store.source();
    let ratio = concat!(
        r#"sum(increase(r_total{version="{{revision}}",code=~"5.."}[{{window}}])) / "#,
        r#"sum(increase(r_total{version="{{revision}}"}[{{window}}]))"#
    );
    match sample(&source, &custom(ratio), "41").await {
        Sample::Value(found) => assert_close(found.get(), 0.01, "ratio"),
        other => panic!("{other:?}"),
    }
    let quantile = r#"histogram_quantile(0.95, sum by (le) (rate(d_bucket{version="{{revision}}"}[{{window}}])))"#;
    for (text, revision, why) in [
        (ratio, "42", Why::Empty),
        (ratio, "quiet", Why::NotANumber),
        (r#"sum(r_total{version="{{revision}}"}) / 0"#, "42", Why::Infinite),
        (r#"-sum(r_total{version="{{revision}}"}) / 0"#, "42", Why::Infinite),
        (r#"r_total{version="{{revision}}"}"#, "41", Why::SeveralSeries { count: 4 }),
        (quantile, "42", Why::Empty),
    ] {
        assert_eq!(sample(&source, &custom(text), revision).await, Sample::NoData(why), "{text}");
    }
    let finite = Finite::new(2.0).unwrap();
    assert_eq!(sample(&source, &custom("vector(2)"), "42").await, Sample::Value(finite));
}

#[tokio::test]
async fn the_check_finds_what_cannot_work() {
    let store = Store::start();
    let source = store.source();
    let subjects = [subject("41"), subject("nosuch")];
    let queries = [Query::ErrorRate, Query::Latency, Query::Requests, custom("vector(2)")];
    let found = source.check(&queries, &subjects, window()).await.unwrap();
    assert_eq!(found.len(), 8);
    assert_eq!(found[1], Sample::NoData(Why::Empty));

    for (text, status) in [
        ("sum(", Some("status 400")),
        ("rate(r_total)", Some("status 400")),
        ("r_total * on(code) r_total", Some("status 422")),
        (r#"rate({__name__=~"r_total|d_bucket",version="41",pod="a"}[5m]) + on() r_total"#, Some("status 422")),
        ("1 + 1", None),
        (r#"scalar(r_total{version="{{revision}}"})"#, None),
        ("'text'", None),
        ("r_total[{{window}}]", None),
    ] {
        let error = source.check(&[Query::Requests, custom(text)], &subjects, window()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text}: {error}");
        assert!(status.is_none_or(|status| error.to_string().contains(status)), "{text}: {error}");
        let sampled = sample(&source, &custom(text), "41").await;
        assert!(matches!(sampled, Sample::NoData(Why::Failed { kind: ErrorKind::Invalid, .. })), "{text}: {sampled:?}");
    }

    for (settings, kind) in [
        (Settings { auth: Auth::None, ..store.settings() }, ErrorKind::Auth),
        (Settings { auth: Auth::Bearer(Secret::new("test")), ..store.settings() }, ErrorKind::Auth),
        (Settings { url: format!("{}/prefix", store.settings().url), ..store.settings() }, ErrorKind::NotFound),
    ] {
        let source = Prometheus::new(&settings).unwrap();
        assert_eq!(source.check(&queries, &subjects, window()).await.unwrap_err().kind(), kind);
    }
}
