//! A clock that runs faster, and a metric store that answers what a test wants, so that hours are over in seconds.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mlroll_backend::Timestamp;
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
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        // On no grid of windows, as a user's.
        let origin = "2026-11-21T03:00:07.123Z".parse::<Timestamp>().unwrap().unix_milliseconds();
        let clock = Self { url, started: Instant::now(), origin, advanced: Arc::default(), speed };
        let shown = clock.clone();
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut stream = stream;
                let Some(request) = read(&mut stream) else { continue };
                let now = Timestamp::from_unix_milliseconds(shown.milliseconds(Instant::now())).unwrap();
                let body = json!({ "now": now, "speed": shown.speed }).to_string();
                let status = if request.path == "/_sandbox/clock" { 200 } else { 404 };
                answer(&mut stream, status, &body, 0);
            }
        });
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
    count: Arc<AtomicUsize>,
    answered: Arc<AtomicUsize>,
}

impl Store {
    pub(crate) fn start(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (count, answered) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let store = Self { port, count: Arc::clone(&count), answered: Arc::clone(&answered) };
        let script = Arc::new(script);
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (count, answered, script) = (Arc::clone(&count), Arc::clone(&answered), Arc::clone(&script));
                std::thread::spawn(move || {
                    serve(stream, &count, script.as_ref());
                    answered.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        store
    }

    /// How many queries have arrived.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// How many queries have been answered.
    pub(crate) fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: TcpStream, count: &AtomicUsize, script: &(dyn Fn(&Asked) -> Reply + Send + Sync)) {
    let Some(request) = read(&mut stream) else { return };
    let field = |name: &str| {
        let pair = request.form.iter().find(|(key, _)| key == name);
        pair.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let query = field("query");
    let revision = query.split("version=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
    let n = count.fetch_add(1, Ordering::SeqCst);
    let one = Asked { n, revision: revision.to_owned(), time: field("time").parse().unwrap_or_default(), query };
    match script(&one) {
        Reply::Body(body) => answer(&mut stream, 200, &body.to_string(), 0),
        Reply::Status(status) => answer(&mut stream, status, "{}", 0),
        Reply::Truncated(body) => answer(&mut stream, 200, &body.to_string(), 10),
        // Returns when the client closes.
        Reply::Silence => drop(stream.read(&mut [0])),
    }
}

struct Request {
    path: String,
    form: Vec<(String, String)>,
}

fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split_whitespace().nth(1)?.to_owned();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.trim().parse().ok()?,
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).ok()?;
    let form = body.split('&').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (decode(k), decode(v))).collect();
    Some(Request { path, form })
}

fn decode(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(decoded).unwrap()
}

/// Promises `more` bytes than it sends.
fn answer(stream: &mut TcpStream, status: u16, body: &str, more: usize) {
    let length = body.len() + more;
    let head = format!("HTTP/1.1 {status} Scripted\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
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
