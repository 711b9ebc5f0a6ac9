//! The sandbox as a program of its own, and rollouts on it in scaled time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::world::signal;

const FRAUD: &str = "lambda:us-east-1/fraud@prod";

/// `mlroll sandbox`, and what it told a shell to export.
pub struct Sandbox {
    pub child: Child,
    pub exports: Vec<(String, String)>,
    folder: TempDir,
}

impl Sandbox {
    pub fn start(arguments: &[&str], scenario: &str) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("world.toml"), scenario).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_mlroll"));
        command.args(["sandbox", "--listen", "127.0.0.1:0", "--scenario", "world.toml"]).args(arguments);
        command.env_clear().current_dir(folder.path()).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // It says that it serves after all exports are out.
        let mut said = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        assert!(said.contains("serving on http://127.0.0.1:"), "{said}");
        let mut exports = Vec::new();
        for line in stdout.lines() {
            let line = line.unwrap();
            let (name, value) = line.strip_prefix("export ").unwrap().split_once('=').unwrap();
            exports.push((name.to_owned(), value.to_owned()));
            if name == "AZURE_ACCESS_TOKEN" {
                break;
            }
        }
        Self { child, exports, folder }
    }

    fn url(&self) -> &str {
        &self.exports.iter().find(|(name, _)| name == "MLROLL_SANDBOX_URL").unwrap().1
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text.replace("{url}", self.url())).unwrap();
    }

    pub fn run(&self, arguments: &[&str]) -> (i32, Value) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mlroll"));
        command.args(arguments).args(["--output", "json"]).env_clear().env("HOME", self.folder.path());
        let output = command.envs(self.exports.clone()).current_dir(self.folder.path()).output().unwrap();
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let document = serde_json::from_str(&stdout);
        (output.status.code().unwrap_or(-1), document.unwrap_or_else(|e| panic!("{e}: {stdout}\n{stderr}")))
    }

    /// The body of an answer.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let address = self.url().strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n").unwrap();
        write!(stream, "Content-Length: {length}\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How version 3 behaves; version 2 fails 0.2 % and takes 80 ms, or 160 ms at the 95th percentile.
fn world(candidate: &str, delay: &str) -> String {
    format!(
        r#"
        seed = 7
        [prometheus]
        delay = "{delay}"
        [targets."{FRAUD}"]
        requests_per_second = 200
        stable = "2"
        [targets."{FRAUD}".revisions]
        2 = {{ error_rate = 0.002, latency = {{ median = "80ms", p95 = "160ms" }} }}
        3 = {candidate}
        "#
    )
}

/// A file whose metrics are `late`.
fn config(late: &str) -> String {
    format!(
        r#"
        [services.fraud]
        target = "{FRAUD}"
        steps = ["10%", "50%", "100%"]
        bake = "15m"
        [services.fraud.metrics]
        source = "prometheus"
        url = "{{url}}"
        settle_delay = "{late}"
        requests = 'http_requests_total{{service="fraud",version="{{{{revision}}}}"}}'
        errors = 'http_requests_total{{service="fraud",version="{{{{revision}}}}",code=~"5.."}}'
        latency = 'http_request_duration_seconds_bucket{{service="fraud",version="{{{{revision}}}}"}}'
        [[services.fraud.gates]]
        metric = "error_rate"
        max_increase = {{ ratio = 1.5, abs = "0.2%" }}
        [[services.fraud.gates]]
        metric = "latency"
        quantile = 0.95
        max = "300ms"
        "#
    )
}

pub const HEALTHY: &str = r#"{ error_rate = 0.002, latency = { median = "80ms", p95 = "160ms" } }"#;
pub const FAILING: &str = r#"{ error_rate = 0.05, latency = { median = "80ms", p95 = "160ms" } }"#;
pub const SLOW: &str = r#"{ error_rate = 0.002, latency = { median = "200ms", p95 = "500ms" } }"#;

/// Runs a rollout to its end, with metrics that are late by `late`; each case in a process of its own.
fn ended(candidate: &str, late: &str) -> (i32, Value) {
    let sandbox = Sandbox::start(&["--speed", "600"], &world(candidate, late));
    let settle = if late == "0s" { "30s" } else { "150s" };
    sandbox.write("mlroll.toml", &config(settle));
    let ended = sandbox.run(&["rollout"]);
    looks_are_disjoint_and_within_their_step(&sandbox);
    ended
}

/// No look has data of another step: each lies between what was live when it began and the next shift, and no two overlap.
/// Returns how many there were.
pub fn looks_are_disjoint_and_within_their_step(sandbox: &Sandbox) -> u64 {
    let (code, explained) = sandbox.run(&["explain"]);
    assert_eq!(code, 0, "{explained}");
    let events = explained["run"]["events"].as_array().unwrap();
    let text = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
    let (mut live, mut end, mut looks) = (String::new(), String::new(), 0);
    for (n, event) in events.iter().enumerate() {
        match event["event"].as_str().unwrap() {
            "live" => live = text(event, "at"),
            "look" => {
                let (from, to) = (text(event, "from"), text(event, "to"));
                assert!(from >= end, "{event} overlaps what ended at {end}");
                assert!(from >= live, "{event} began before {live}");
                let shift = events[n..].iter().find(|event| event["event"] == "shift");
                assert!(shift.is_none_or(|shift| to <= text(shift, "at")), "{event} ended after {shift:?}");
                (end, looks) = (to, looks + 1);
            }
            _ => {}
        }
    }
    assert!(looks > 0, "{explained}");
    looks
}

#[test]
fn late_metrics_change_no_verdict() {
    for (candidate, expected) in [
        (HEALTHY, (0, "promoted", "")),
        (FAILING, (1, "rolled_back", "error_rate")),
        (SLOW, (1, "rolled_back", "latency")),
    ] {
        let runs = std::thread::scope(|scope| {
            ["0s", "120s"].map(|late| scope.spawn(move || ended(candidate, late))).map(|run| run.join().unwrap())
        });
        for (code, outcome) in runs {
            let (wanted, name, gate) = expected;
            assert_eq!((code, outcome["outcome"].as_str()), (wanted, Some(name)), "{outcome}");
            let failed = outcome["findings"].as_array().unwrap().iter().find(|finding| finding["verdict"] == "fail");
            assert_eq!(failed.map_or("", |finding| finding["gate"].as_str().unwrap()), gate, "{outcome}");
        }
    }
}

#[test]
fn it_says_what_to_export_counts_requests_and_ends_when_told() {
    let mut sandbox = Sandbox::start(&["--fleet", "3"], &world(HEALTHY, "0s"));
    let names: Vec<_> = sandbox.exports.iter().map(|(name, _)| name.as_str()).collect();
    for name in ["AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "MLROLL_CLOCK", "MLROLL_ENDPOINT_AZURE"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let (code, status) = sandbox.run(&["status", "--target", FRAUD, "--target", "lambda:us-east-1/fraud-0003@prod"]);
    assert_eq!((code, status["targets"].as_array().map(Vec::len)), (0, Some(2)), "{status}");
    let log: Value = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap();
    let first = &log[0];
    assert_eq!((&first["n"], &first["api"], &first["operation"]), (&json!(1), &json!("lambda"), &json!("GetAlias")));
    assert_eq!((&first["method"], &first["status"]), (&json!("GET"), &json!(200)), "{first}");
    let before: Value = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/clock", "")).unwrap();
    sandbox.ask("POST", "/_sandbox/clock", r#"{"advance":"10m"}"#);
    let after: Value = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/clock", "")).unwrap();
    assert_ne!(before["now"].as_str().unwrap()[..16], after["now"].as_str().unwrap()[..16]);
    signal(&sandbox.child, "TERM");
    assert_eq!(sandbox.child.wait().unwrap().code(), Some(0));
}

#[test]
fn only_loopback_is_listened_on_and_a_broken_world_is_pointed_at() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("world.toml"), "seed = 1\nsped = 3\n").unwrap();
    for (arguments, says) in [
        (&["--listen", "0.0.0.0:0"][..], "loopback"),
        (&["--scenario", "world.toml"], "sped"),
        (&["--scenario", "nowhere.toml"], "nowhere.toml"),
        (&["--speed", "0"], "speed"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mlroll"));
        let output = command.arg("sandbox").args(arguments).current_dir(folder.path()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(says), "{arguments:?}: {stderr}");
    }
}

/// Without it, whoever types `rollback` waits as long as the sandbox's own answers take, and no longer.
#[test]
fn a_fault_can_be_scripted_from_outside() {
    let sandbox = Sandbox::start(&[], &world(HEALTHY, "0s"));
    let fault = r#"{"api":"lambda","operation":"UpdateAlias","target":"fraud@prod","fault":"status","status":409,
        "code":"ResourceConflictException","skip":0,"times":1}"#;
    sandbox.ask("POST", "/_sandbox/faults", fault);
    let (code, outcome) = sandbox.run(&["canary", "--pct", "10", "--candidate", "3", "--target", FRAUD]);
    assert_eq!(code, 0, "{outcome}");
    assert_eq!(outcome["targets"][0]["calls"]["write"], 2, "busy once: {outcome}");
    let refused = sandbox.ask("POST", "/_sandbox/faults", r#"{"api":"lambda","fault":"gremlins"}"#);
    assert!(refused.contains("gremlins") && refused.contains("settle_forever"), "{refused}");
}
