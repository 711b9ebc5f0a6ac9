//! A sandbox for a behaviour, and a process whose environment leads to it.

use std::path::Path;
use std::pin::Pin;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mlroll::config::Metrics;
use mlroll::judge::gate::Gate;
use mlroll::reach::Reach;
use mlroll_backend::{
    Backend, Call, Effect, Marker, MarkerState, MetricSource, Permit, RevisionId, Snapshot, Target, Timestamp,
    TrafficSplit, Weight, Wiretap,
};
use mlroll_sandbox::scenario::Scenario;
use mlroll_sandbox::{Options, Sandbox};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cloud::Cloud;

/// What leads the second process to the sandbox.
const URL: &str = "MLROLL_SANDBOX_URL";

/// A backend on its sandbox.
pub struct Case {
    pub cloud: &'static Cloud,
    pub target: Target,
    pub backend: Box<dyn Backend>,
    tap: Arc<Tap>,
    url: String,
    http: reqwest::Client,
}

/// A behaviour of a contract.
pub type Behaviour = fn(Case) -> Pin<Box<dyn Future<Output = ()>>>;

/// Sees all calls, and withholds writes when told to.
#[derive(Debug, Default)]
struct Tap {
    rehearsal: Mutex<bool>,
    calls: Mutex<Vec<Call>>,
}

impl Wiretap for Tap {
    fn about_to_send(&self, call: &Call) -> Permit {
        self.calls.lock().unwrap().push(call.clone());
        let withheld = *self.rehearsal.lock().unwrap() && call.effect == Effect::Write;
        if withheld { Permit::Withhold } else { Permit::Send }
    }
}

/// Shows `behaviour` on a fresh sandbox. Adapters find it by the environment, which a process cannot change for itself:
/// so the test runs itself again.
#[expect(clippy::disallowed_methods, reason = "the environment is how adapters are told where to go")]
pub fn perform(cloud: &'static Cloud, name: &str, behaviour: Behaviour) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if let Ok(url) = std::env::var(URL) {
        return runtime.block_on(async { behaviour(Case::new(cloud, url)).await });
    }
    let name = name.split_once("::").unwrap().1.to_owned();
    let (ready, url) = std::sync::mpsc::channel();
    let (over, until) = tokio::sync::oneshot::channel::<()>();
    let served = std::thread::spawn(move || {
        runtime.block_on(async {
            let scenario = Some(Scenario::from_toml(cloud.scenario).unwrap());
            let options = Options { scenario, speed: cloud.speed, ..Options::default() };
            let sandbox = Sandbox::bind(options).await.unwrap();
            ready.send(sandbox.exports()).unwrap();
            sandbox.serve(async { drop(until.await) }).await;
        });
    });
    let exports = url.recv().unwrap();
    let home = TempDir::new().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([&name, "--exact", "--nocapture", "--test-threads=1"]).env_clear().env("HOME", home.path());
    let output = command.envs(exports).current_dir(home.path()).output().unwrap();
    drop(over);
    served.join().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{name} did not run: {said}");
}

impl Case {
    fn new(cloud: &'static Cloud, url: String) -> Self {
        let target: Target = cloud.target.parse().unwrap();
        let tap = Arc::new(Tap::default());
        let backend = mlroll::registry::backend(target.provider(), Arc::clone(&tap) as _, Reach::Loopback).unwrap();
        Self { cloud, target, backend, tap, url, http: reqwest::Client::new() }
    }

    pub async fn observe(&self) -> Snapshot {
        self.backend.observe(&self.target).await.unwrap()
    }

    /// The target when its split is live.
    pub async fn live(&self) -> Snapshot {
        for _ in 0..200 {
            let seen = self.observe().await;
            if seen.is_settled() {
                return seen;
            }
            self.advance("1s").await;
        }
        panic!("it never settles: {:?}", self.observe().await);
    }

    /// Gives the candidate `percent`, and waits until it has it.
    pub async fn canary(&self, percent: u16) -> Snapshot {
        let seen = self.live().await;
        let (to, marker) = self.split(percent * 100);
        self.backend.shift(&self.target, &to, &seen, &marker).await.unwrap();
        self.live().await
    }

    /// A split between stable and candidate, and the marker that goes with it.
    pub fn split(&self, basis_points: u16) -> (TrafficSplit, Marker) {
        let (stable, candidate) = (id(self.cloud.stable), id(self.cloud.candidate));
        let weight = Weight::from_basis_points(basis_points).unwrap();
        let split = TrafficSplit::between(stable.clone(), candidate.clone(), weight);
        (split, marker(stable, MarkerState::Canary { candidate }))
    }

    /// Has the sandbox do something to requests.
    pub async fn fault(&self, operation: &str, fault: Value) {
        let mut body =
            json!({ "api": self.cloud.api, "operation": operation, "target": self.cloud.about, "skip": 0, "times": 1 });
        body.as_object_mut().unwrap().extend(fault.as_object().unwrap().clone());
        self.post("/_sandbox/faults", &body).await;
    }

    /// Has requests answered with an error.
    pub async fn refuse(&self, operation: &str, (status, code): (u16, &str), times: u32) {
        self.fault(operation, json!({ "fault": "status", "status": status, "code": code, "times": times })).await;
    }

    pub async fn advance(&self, by: &str) {
        self.post("/_sandbox/clock", &json!({ "advance": by })).await;
    }

    /// The moment it is in the sandbox.
    pub async fn now(&self) -> Timestamp {
        let clock: Value = serde_json::from_str(&self.get("/_sandbox/clock").await).unwrap();
        serde_json::from_value(clock["now"].clone()).unwrap()
    }

    /// Where its metrics are read.
    pub fn source(&self) -> Box<dyn MetricSource> {
        let metrics: Metrics = toml::from_str(&self.cloud.store.config.replace("{url}", &self.url)).unwrap();
        // Stores without buckets count at the limits of gates.
        let gates: Vec<Gate> = ["50ms", "100ms"]
            .map(|max| serde_json::from_value(json!({ "metric": "latency", "quantile": 0.95, "max": max })).unwrap())
            .into();
        mlroll::registry::metric_source(&metrics, &gates, Path::new("."), Reach::Loopback, Arc::clone(&self.tap) as _)
            .unwrap()
    }

    pub const fn broken_query(&self) -> &'static str {
        self.cloud.store.broken
    }

    /// Has the metric store do something to queries.
    pub async fn metric_fault(&self, fault: &Value, times: u32) {
        let store = self.cloud.store;
        let mut body = json!({ "api": store.api, "operation": store.query, "skip": 0, "times": times });
        body.as_object_mut().unwrap().extend(fault.as_object().unwrap().clone());
        self.post("/_sandbox/faults", &body).await;
    }

    /// Ends all faults.
    pub async fn heal(&self) {
        let sent = self.http.delete(format!("{}/_sandbox/faults", self.url)).send().await.unwrap();
        assert!(sent.status().is_success());
    }

    async fn get(&self, path: &str) -> String {
        self.http.get(format!("{}{path}", self.url)).send().await.unwrap().text().await.unwrap()
    }

    async fn post(&self, path: &str, body: &Value) {
        let sent = self.http.post(format!("{}{path}", self.url)).body(body.to_string()).send().await.unwrap();
        let status = sent.status();
        assert!(status.is_success(), "{status} {}", sent.text().await.unwrap());
    }

    /// The operations that arrived, with what they were answered.
    pub async fn requests(&self) -> Vec<(String, Option<u64>)> {
        let log: Vec<Value> = serde_json::from_str(&self.get("/_sandbox/requests").await).unwrap();
        let own = log.iter().filter(|request| request["api"] == self.cloud.api);
        own.map(|r| (r["operation"].as_str().unwrap().to_owned(), r["status"].as_u64())).collect()
    }

    /// How many queries arrived at the metric store.
    pub async fn queries(&self) -> usize {
        let log: Vec<Value> = serde_json::from_str(&self.get("/_sandbox/requests").await).unwrap();
        log.iter().filter(|request| request["api"] == self.cloud.store.api).count()
    }

    /// How many writes arrived.
    pub async fn writes(&self) -> usize {
        self.requests().await.iter().filter(|(operation, _)| operation == self.cloud.write).count()
    }

    /// From now on writes are withheld.
    pub fn rehearse(&self) {
        *self.tap.rehearsal.lock().unwrap() = true;
    }

    /// The calls that the adapter said it would make.
    pub fn told(&self) -> Vec<Call> {
        self.tap.calls.lock().unwrap().clone()
    }

    /// Runs the program on the target.
    pub async fn mlroll(&self, arguments: &[&str]) -> (i32, Value) {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_mlroll"));
        let output = command.args(arguments).args(["--target", self.cloud.target, "--output", "json"]).output();
        let output = tokio::time::timeout(Duration::from_secs(60), output).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let document = serde_json::from_str(&said);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap_or(-1), document.unwrap_or_else(|e| panic!("{e}: {said}\n{stderr}")))
    }
}

pub fn id(text: &str) -> RevisionId {
    text.parse().unwrap()
}

pub fn marker(stable: RevisionId, state: MarkerState) -> Marker {
    let at = Timestamp::from_unix_seconds(1_795_230_000);
    Marker { state, stable, previous: None, at, id: Some("01J0CONFORMANCE".to_owned()) }
}
