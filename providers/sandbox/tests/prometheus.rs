//! The sandbox's Prometheus beside a real one that was given the same samples.
#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step fails the test"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use mlroll_backend::{RevisionId, Target, Timestamp, TrafficSplit, Weight};
use mlroll_faults::{Outsider, make_blocks};
use mlroll_sandbox::prometheus::Prometheus;
use mlroll_sandbox::scenario::Scenario;
use mlroll_sandbox::{Api, Clock, World};
use serde_json::Value;

/// When the sandbox began; on a minute.
const BEGAN: i64 = 1_700_000_040;

const SCENARIO: &str = r#"
    seed = 5
    [targets."lambda:us-east-1/fraud@prod"]
    requests_per_second = 20
    bursts = { every = "5m", last = "20s", times = 3 }
    stable = "2"
    [targets."lambda:us-east-1/fraud@prod".revisions.1]
    [targets."lambda:us-east-1/fraud@prod".revisions.2]
    error_rate = "1%"
    [targets."lambda:us-east-1/fraud@prod".revisions.3]
    error_rate = "4%"
    error_cluster = 3
    latency = { median = "300ms", p95 = "2s" }
    [targets."cloud-run:acme/europe-west3/fraud"]
    requests_per_second = 0.02
    stable = "fraud-00001-abc"
    [targets."cloud-run:acme/europe-west3/fraud".revisions.fraud-00001-abc]
"#;

fn world() -> World {
    let began = Timestamp::from_unix_seconds(BEGAN).unwrap();
    let mut world = World::new(Scenario::from_toml(SCENARIO).unwrap(), Clock::starting_at(began, 0.001));
    let target: Target = "lambda:us-east-1/fraud@prod".parse().unwrap();
    let (stable, candidate): (RevisionId, RevisionId) = ("2".parse().unwrap(), "3".parse().unwrap());
    let tenth = TrafficSplit::between(stable.clone(), candidate.clone(), Weight::from_basis_points(1000).unwrap());
    for (after, split) in [(100, tenth), (700, TrafficSplit::full(candidate)), (1000, TrafficSplit::full(stable))] {
        world.traffic.route(&target, &split, began.plus(Duration::from_secs(after)));
    }
    world.clock.advance(Duration::from_secs(1800));
    world
}

fn encoded(parameters: &[(&str, &str)]) -> String {
    let escape = |text: &str| -> String { text.bytes().fold(String::new(), |all, byte| all + &format!("%{byte:02X}")) };
    let all: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
    all.join("&")
}

fn ask(world: &mut World, path: &str, parameters: &[(&str, &str)]) -> (u16, Value) {
    let uri = format!("{path}?{}", encoded(parameters));
    let request = http::Request::get(uri).body(Bytes::new()).unwrap();
    answered(world, &request)
}

fn answered(world: &mut World, request: &http::Request<Bytes>) -> (u16, Value) {
    let operation = Prometheus.operation(request).unwrap();
    let answer = Prometheus.answer(request, &operation, world);
    (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap_or(Value::Null))
}

/// All samples of the last hour, in OpenMetrics' form.
fn samples(world: &mut World) -> String {
    let time = (BEGAN + 1800).to_string();
    let (_, all) = ask(world, "/api/v1/query", &[("query", "{__name__=~\".+\"}[1h]"), ("time", &time)]);
    let mut text = String::new();
    for series in all["data"]["result"].as_array().unwrap() {
        let mut labels: BTreeMap<String, String> = serde_json::from_value(series["metric"].clone()).unwrap();
        let name = labels.remove("__name__").unwrap();
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let labels = labels.join(",");
        for sample in series["values"].as_array().unwrap() {
            let _ = writeln!(text, "{name}{{{labels}}} {} {}", sample[1].as_str().unwrap(), sample[0]);
        }
    }
    text + "# EOF\n"
}

struct Real {
    server: Outsider,
    _folder: tempfile::TempDir,
}

impl Real {
    fn start(samples: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("samples");
        std::fs::write(&text, samples).unwrap();
        std::fs::write(folder.path().join("prometheus.yml"), "global: {}\n").unwrap();
        make_blocks(folder.path(), &text, &[]);
        let server = Outsider::prometheus(folder.path(), &["--storage.tsdb.retention.time=100y".to_owned()]);
        server.until_ready("");
        Self { server, _folder: folder }
    }

    fn get(&self, path: &str) -> (u16, Value) {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.server.port())) else {
            return (0, Value::Null);
        };
        let mut answer = String::new();
        let sent = stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes());
        if sent.is_err() || stream.read_to_string(&mut answer).is_err() {
            return (0, Value::Null);
        }
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> (u16, Value) {
        self.get(&format!("{path}?{}", encoded(parameters)))
    }
}

/// Values by labels; times and values as numbers.
fn values(answer: &Value) -> BTreeMap<String, Vec<(f64, f64)>> {
    let pair = |value: &Value| (value[0].as_f64().unwrap(), value[1].as_str().unwrap().parse::<f64>().unwrap());
    let data = &answer["data"];
    if data["resultType"] == "scalar" {
        return BTreeMap::from([(String::new(), vec![pair(&data["result"])])]);
    }
    let all = data["result"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let series = all.iter().map(|one| {
        let values = match one.get("value") {
            Some(value) => vec![pair(value)],
            None => one["values"].as_array().unwrap().iter().map(pair).collect(),
        };
        (one["metric"].to_string(), values)
    });
    series.collect()
}

fn same(query: &str, ours: &(u16, Value), theirs: &(u16, Value)) {
    assert_eq!(ours.0, theirs.0, "{query}: {} {}", ours.1, theirs.1);
    assert_eq!(ours.1["data"]["resultType"], theirs.1["data"]["resultType"], "{query}");
    let (ours, theirs) = (values(&ours.1), values(&theirs.1));
    let keys = |all: &BTreeMap<String, Vec<(f64, f64)>>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&ours), keys(&theirs), "{query}");
    for (labels, mine) in ours {
        let other = &theirs[&labels];
        assert_eq!(mine.len(), other.len(), "{query} {labels}");
        for (a, b) in mine.iter().zip(other) {
            let near = a.1 == b.1 || (a.1 - b.1).abs() <= 1e-9 * b.1.abs().max(1.0) || (a.1.is_nan() && b.1.is_nan());
            assert!(a.0 == b.0 && near, "{query} {labels}: {a:?} {b:?}");
        }
    }
}

const QUERIES: [&str; 44] = [
    // What mlroll asks.
    r#"label_replace(sum(increase(http_requests_total{service="fraud",version="3"}[60s])), "mlroll", "requests0", "", "") or label_replace(max(timestamp(http_requests_total{service="fraud",version="3"})), "mlroll", "newest0", "", "") or label_replace(sum(increase(http_requests_total{service="fraud",version="3",code=~"5.."}[60s])), "mlroll", "errors0", "", "")"#,
    r#"label_replace(sum by (le) (increase(http_request_duration_seconds_bucket{service="fraud",version="3"}[60s])), "mlroll", "buckets", "", "") or label_replace(max(timestamp(http_request_duration_seconds_bucket{service="fraud",version="3"})), "mlroll", "newest0", "", "")"#,
    r#"sum(rate(gco2e_grams_total{version="3"}[60s])) / sum(rate(http_requests_total{version="3"}[60s])) * 1000"#,
    // What people ask.
    "up",
    "http_requests_total",
    r#"http_requests_total{version!="2",code=~"2..|3..",service!~"x.*"}"#,
    r#"{__name__=~"model_score_(sum|count)"}"#,
    r#"rate(http_requests_total{version="2"}[1m])"#,
    r"rate(http_requests_total[5m] offset 1m)",
    "increase(http_requests_total[30s])",
    "irate(http_requests_total[2m])",
    "delta(http_requests_total[2m])",
    "idelta(http_requests_total[2m])",
    "sum by (version) (rate(http_requests_total[2m]))",
    "sum without (code, instance, job) (rate(http_requests_total[2m]))",
    "avg(http_requests_total)",
    "min by (code) (http_requests_total)",
    "max(http_requests_total)",
    "count by (service) (http_requests_total)",
    "stddev(http_requests_total)",
    "histogram_quantile(0.95, sum by (le, version) (rate(http_request_duration_seconds_bucket[5m])))",
    "histogram_quantile(0.5, rate(http_request_duration_seconds_bucket[1m]))",
    "histogram_quantile(0.999, sum by (le) (rate(model_score_bucket[5m])))",
    "histogram_quantile(1.5, sum by (le) (rate(model_score_bucket[5m])))",
    r#"sum by (version) (rate(http_requests_total{code="500"}[2m])) / sum by (version) (rate(http_requests_total[2m]))"#,
    r#"http_requests_total{code="500"} / ignoring(code) http_requests_total{code="200"}"#,
    r#"rate(http_requests_total[2m]) / on (version, instance) group_left rate(http_request_duration_seconds_count[2m])"#,
    r#"sum by (version) (http_requests_total) > bool 1000"#,
    "http_requests_total > 1000",
    "1000 < http_requests_total",
    r#"http_requests_total and on (version) http_requests_total{code="500"}"#,
    r#"up unless on (version) http_requests_total"#,
    r#"http_requests_total{version="9"} or vector(7)"#,
    r#"(sum(rate(http_requests_total{code="404"}[1m])) or vector(0)) / sum(rate(http_requests_total{version="1"}[1m]))"#,
    r#"label_replace(up, "short", "$1-x", "instance", "([a-z-]+):.*")"#,
    "time() - max by (version) (timestamp(http_requests_total))",
    r#"absent(http_requests_total{version="9",code="200"})"#,
    "absent(up)",
    "abs(-http_requests_total)",
    "clamp_max(clamp_min(http_requests_total, 100), 20000)",
    "round(rate(http_requests_total[5m]), 0.1)",
    "1 + 2 * 3 - 4 / 5 ^ 2 % 7",
    "scalar(sum(up)) * 2 == bool 8",
    "rate(http_request_duration_seconds_sum[5m]) / rate(http_request_duration_seconds_count[5m])",
];

#[test]
fn answers_as_the_real_one_does() {
    let mut world = world();
    let real = Real::start(&samples(&mut world));
    // Before and at the shifts, where the candidate's series begin, and now.
    for after in [97, 118, 130, 161, 400, 705, 1020, 1799] {
        let time = (BEGAN + after).to_string();
        for query in QUERIES {
            let parameters = [("query", query), ("time", time.as_str())];
            let ours = ask(&mut world, "/api/v1/query", &parameters);
            same(query, &ours, &real.ask("/api/v1/query", &parameters));
        }
    }
    let (start, end) = ((BEGAN - 60).to_string(), (BEGAN + 1790).to_string());
    for query in QUERIES {
        let parameters = [("query", query), ("start", start.as_str()), ("end", end.as_str()), ("step", "23s")];
        let ours = ask(&mut world, "/api/v1/query_range", &parameters);
        same(query, &ours, &real.ask("/api/v1/query_range", &parameters));
    }
    for (path, parameters) in [
        ("/api/v1/labels", vec![]),
        ("/api/v1/label/version/values", vec![]),
        ("/api/v1/label/__name__/values", vec![("match[]", r#"{version="3"}"#)]),
        ("/api/v1/series", vec![("match[]", "up"), ("match[]", r#"http_requests_total{code="500"}"#)]),
    ] {
        let sorted = |answer: (u16, Value)| {
            let mut all: Vec<String> = answer.1["data"].as_array().unwrap().iter().map(Value::to_string).collect();
            all.sort();
            (answer.0, all)
        };
        assert_eq!(sorted(ask(&mut world, path, &parameters)), sorted(real.ask(path, &parameters)), "{path}");
    }
    // What is wrong is refused with the same status and type.
    for (path, parameters) in [
        ("/api/v1/query", vec![]),
        ("/api/v1/query", vec![("query", "sum(")]),
        ("/api/v1/query", vec![("query", "nosuch(up)")]),
        ("/api/v1/query", vec![("query", "rate(up)")]),
        ("/api/v1/query", vec![("query", "{}")]),
        ("/api/v1/query", vec![("query", "up"), ("time", "yesterday")]),
        ("/api/v1/query", vec![("query", "up"), ("timeout", "soon")]),
        ("/api/v1/query", vec![("query", "http_requests_total / on (version) http_requests_total")]),
        ("/api/v1/query", vec![("query", r#"label_replace(up, "9", "x", "job", ".*")"#)]),
        (
            "/api/v1/query",
            vec![("query", r#"label_replace(up, "instance", "x", "version", ".*") * 0 + on (job) group_left up"#)],
        ),
        ("/api/v1/query", vec![("query", r#"rate({__name__=~"model_score_(sum|count)"}[5m])"#)]),
        ("/api/v1/query_range", vec![("query", "up"), ("start", "1"), ("end", "2")]),
        ("/api/v1/query_range", vec![("query", "up"), ("start", "2"), ("end", "1"), ("step", "1")]),
        ("/api/v1/query_range", vec![("query", "up"), ("start", "1"), ("end", "2"), ("step", "0")]),
        ("/api/v1/query_range", vec![("query", "up[1m]"), ("start", "1"), ("end", "2"), ("step", "1")]),
        ("/api/v1/query_range", vec![("query", "up"), ("start", "1"), ("end", "20000"), ("step", "1")]),
        ("/api/v1/series", vec![]),
        ("/api/v1/label/9/values", vec![]),
    ] {
        let mut parameters = parameters;
        // The real one's now is not that of its samples.
        parameters.push(("time", "1700001000"));
        let (ours, theirs) = (ask(&mut world, path, &parameters), real.ask(path, &parameters));
        assert_eq!(ours.0, theirs.0, "{path} {parameters:?}: {} {}", ours.1, theirs.1);
        for part in ["status", "errorType"] {
            assert_eq!(ours.1[part], theirs.1[part], "{path} {parameters:?}: {} {}", ours.1, theirs.1);
        }
        assert!(ours.1["error"].is_string() || ours.0 == 404);
    }
}

#[test]
fn what_it_has_not_is_said() {
    let mut world = world();
    for query in ["topk(1, up)", "rate(up[5m:1m])", "deriv(up[5m])"] {
        let (status, answer) = ask(&mut world, "/api/v1/query", &[("query", query)]);
        assert_eq!((status, &answer["errorType"]), (422, &Value::from("execution")), "{answer}");
        assert!(answer["error"].as_str().unwrap().contains("sandbox"), "{answer}");
    }
}

#[test]
fn the_newest_samples_are_hidden_for_the_delay() {
    let mut world = world();
    let newest = |world: &mut World| {
        let query = [("query", "max(timestamp(up))")];
        values(&ask(world, "/api/v1/query", &query).1).into_values().next().unwrap()[0].1
    };
    let prompt = newest(&mut world);
    assert!((0.0..15.0).contains(&((BEGAN + 1800) as f64 - prompt)));
    world.scenario.prometheus.delay = Duration::from_secs(60);
    assert_eq!(newest(&mut world), prompt - 60.0);
}

#[test]
fn forms_are_read_and_other_bodies_are_not() {
    let mut world = world();
    let form = encoded(&[("query", "sum(up)")]);
    let request = |kind: &str| {
        http::Request::post("/prometheus/api/v1/query")
            .header("content-type", kind)
            .body(Bytes::from(form.clone()))
            .unwrap()
    };
    let (status, answer) = answered(&mut world, &request("application/x-www-form-urlencoded"));
    assert_eq!((status, &answer["data"]["result"][0]["value"][1]), (200, &Value::from("4")), "{answer}");
    assert_eq!(answered(&mut world, &request("application/json")).0, 400);
    let delete = http::Request::delete("/api/v1/query").body(Bytes::new()).unwrap();
    assert_eq!(answered(&mut world, &delete).0, 405);
    let unknown = http::Request::get("/api/v1/nosuch").body(Bytes::new()).unwrap();
    assert_eq!(answered(&mut world, &unknown).0, 404);
}
