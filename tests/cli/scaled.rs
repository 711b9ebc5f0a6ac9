//! A clock that runs faster, and a metric store that answers what a test wants, so that hours are over in seconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use mlroll_backend::Timestamp;
use mlroll_faults::scripted::{self, Server};
use serde_json::{Value, json};

use crate::world::{FRAUD, World};

/// The sandbox's clock, as far as `mlroll` reads it: `GET /_sandbox/clock`.
#[derive(Clone)]
pub(crate) struct FastClock {
    pub(crate) url: String,
    started: Instant,
    origin: i64,
    advanced: Arc<AtomicI64>,
    speed: f64,
}

impl FastClock {
    pub(crate) fn start(speed: f64) -> Self {
        // On no grid of windows, as a user's.
        let origin = "2026-11-21T03:00:07.123Z".parse::<Timestamp>().unwrap().unix_milliseconds();
        let mut clock = Self { url: String::new(), started: Instant::now(), origin, advanced: Arc::default(), speed };
        let shown = clock.clone();
        let server = Server::start(move |_, request| {
            let now = Timestamp::from_unix_milliseconds(shown.milliseconds(Instant::now())).unwrap();
            let body = json!({ "now": now, "speed": shown.speed }).to_string();
            scripted::Reply::status(if request.path == "/_sandbox/clock" { 200 } else { 404 }, body)
        });
        clock.url = server.url;
        clock
    }

    /// Moves it forward, as `POST /_sandbox/clock` does.
    pub(crate) fn advance(&self, by: Duration) {
        self.advanced.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::Relaxed);
    }

    fn milliseconds(&self, at: Instant) -> i64 {
        let passed = at.saturating_duration_since(self.started).as_secs_f64() * self.speed * 1000.0;
        self.origin + self.advanced.load(Ordering::Relaxed) + passed as i64
    }

    /// How much of its time lies between two moments of ours.
    pub(crate) fn between(&self, from: Instant, until: Instant) -> Duration {
        until.saturating_duration_since(from).mul_f64(self.speed)
    }
}

/// A query as it arrived.
pub(crate) struct Asked {
    /// Which one it is, from 0.
    pub(crate) n: usize,
    pub(crate) query: String,
    /// The moment it is about, in seconds since 1970.
    pub(crate) time: i64,
    /// The version that it is about.
    pub(crate) revision: String,
}

/// How a query is answered.
pub(crate) enum Reply {
    Body(Value),
    Status(u16),
    /// Nothing comes until the client gives up.
    Silence,
    /// The connection ends in the middle of the body.
    Truncated(Value),
}

/// A metric store that answers each query with what the script says.
pub(crate) struct Store {
    pub(crate) port: u16,
    server: Server,
}

impl Store {
    pub(crate) fn start(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let server = Server::start(move |n, request| {
            let field = |name: &str| request.form.get(name).cloned().unwrap_or_default();
            let query = field("query");
            let revision = query.split("version=\"").nth(1).and_then(|rest| rest.split('"').next());
            let revision = revision.unwrap_or_default().to_owned();
            let one = Asked { n, revision, time: field("time").parse().unwrap_or_default(), query };
            match script(&one) {
                Reply::Body(body) => scripted::Reply::json(body.to_string()),
                Reply::Status(status) => scripted::Reply::status(status, "{}"),
                Reply::Truncated(body) => scripted::Reply::Truncated(body.to_string()),
                Reply::Silence => scripted::Reply::Silence,
            }
        });
        Self { port: server.port, server }
    }

    /// How many queries have arrived.
    pub(crate) fn count(&self) -> usize {
        self.server.requests().len()
    }

    /// How many queries have been answered.
    pub(crate) fn answered(&self) -> usize {
        self.server.answered()
    }
}

/// The share of the traffic that `version` gets at this moment.
pub(crate) fn share(world: &World, version: &str) -> f64 {
    let alias = world.alias();
    let additional: f64 = alias.weights.values().sum();
    match alias.weights.get(version) {
        Some(weight) => *weight,
        None if alias.version == version => 1.0 - additional,
        None => 0.0,
    }
}

/// What a store answers of `requests` in the window, one in two hundred of them failed and one in a hundred slow.
///
/// A part of the answer is there when the query asks for it; a query of the user's own gets the value 0.5.
pub(crate) fn healthy(asked: &Asked, requests: f64) -> Value {
    let mut series = Vec::new();
    let mut add = |labels: Value, value: f64| {
        series.push(json!({ "metric": labels, "value": [asked.time, value.to_string()] }));
    };
    if requests > 0.0 {
        for (part, value) in
            [("requests0", requests), ("newest0", asked.time as f64 - 5.0), ("errors0", requests / 200.0)]
        {
            if asked.query.contains(&format!("\"{part}\"")) {
                add(json!({ "mlroll": part }), value);
            }
        }
        if asked.query.contains("\"buckets\"") {
            for (le, count) in [("0.1", requests / 2.0), ("0.3", requests * 0.99), ("+Inf", requests)] {
                add(json!({ "mlroll": "buckets", "le": le }), count);
            }
        }
        if asked.query.contains("count_over_time") {
            add(json!({}), 41.0);
        } else if !asked.query.contains("\"mlroll\"") {
            add(json!({}), 0.5);
        }
    }
    json!({ "status": "success", "data": { "resultType": "vector", "result": series } })
}

/// A file with these gates, on the store; `more` are keys of the service.
pub(crate) fn config(port: u16, more: &str, gates: &str) -> String {
    format!(
        r#"
[services.fraud]
target = "{FRAUD}"
{more}

[services.fraud.metrics]
source = "prometheus"
url = "http://127.0.0.1:{port}"
settle_delay = "0s"
requests = 'http_requests_total{{version="{{{{revision}}}}"}}'
errors = 'http_requests_total{{version="{{{{revision}}}}",code="500"}}'
latency = 'http_request_duration_seconds_bucket{{version="{{{{revision}}}}"}}'

{gates}
"#
    )
}

/// What most tests are judged by.
pub(crate) const GATES: &str = r#"
[[services.fraud.gates]]
metric = "error_rate"
max_increase = { ratio = 2.0, abs = "2%" }

[[services.fraud.gates]]
metric = "latency"
quantile = 0.95
max = "300ms"
"#;
