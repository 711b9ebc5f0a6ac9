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

    pub fn url(&self) -> &str {
        &self.exports.iter().find(|(name, _)| name == "MLROLL_SANDBOX_URL").unwrap().1
    }

    pub fn path(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text.replace("{url}", self.url())).unwrap();
    }

    pub fn write_bytes(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.folder.path().join(name), bytes).unwrap();
    }

    pub fn run(&self, arguments: &[&str]) -> (i32, Value) {
        let output = self.command(arguments).args(["--output", "json"]).output().unwrap();
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let document = serde_json::from_str(&stdout);
        (output.status.code().unwrap_or(-1), document.unwrap_or_else(|e| panic!("{e}: {stdout}\n{stderr}")))
    }

    /// The program, as whoever took over the exports runs it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mlroll"));
        command.args(arguments).env_clear().env("HOME", self.folder.path()).envs(self.exports.clone());
        command.current_dir(self.folder.path());
        command
    }

    /// Waits until the control plane was written to, and the store asked `queries` times since.
    pub fn wait_for_looks(&self, queries: usize) {
        for _ in 0..2_000 {
            let log: Value = serde_json::from_str(&self.ask("GET", "/_sandbox/requests", "")).unwrap();
            let log = log.as_array().unwrap();
            let written = log.iter().position(|request| request["operation"] == "UpdateAlias").unwrap_or(log.len());
            if log[written..].iter().filter(|request| request["api"] == "prometheus").count() >= queries {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("nobody looks");
    }

    /// The alias as Lambda shows it.
    pub fn alias(&self) -> Value {
        serde_json::from_str(&self.ask("GET", "/2015-03-31/functions/fraud/aliases/prod", "")).unwrap()
    }

    /// The body of an answer that is no refusal. What there is too much of is asked again.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> String {
        for _ in 0..600 {
            match self.answer(method, path, body) {
                (429, _) => std::thread::sleep(std::time::Duration::from_millis(50)),
                (200..=299, said) => return said,
                (status, said) => panic!("{method} {path}: {status} {said}"),
            }
        }
        panic!("{method} {path}: nothing but 429");
    }

    /// The status and the body of an answer.
    pub fn answer(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let address = self.url().strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n").unwrap();
        let aws = "Credential=AKIDTEST/20261121/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0";
        let azure = path.starts_with("/subscriptions/");
        let who = if azure { "Bearer sandbox".to_owned() } else { format!("AWS4-HMAC-SHA256 {aws}") };
        write!(stream, "Authorization: {who}\r\n").unwrap();
        write!(stream, "Content-Length: {length}\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or_else(|| panic!("{head}")), body.to_owned())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How version 3 behaves; version 2 fails 0.2 % and takes 80 ms, or 160 ms at the 95th percentile.
pub fn world(candidate: &str, delay: &str) -> String {
    format!(
        r#"
        seed = 7
        start = "2026-11-21T03:00:00Z"
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

/// A file whose metrics are `late`; `more` is said of the service besides.
pub fn config(late: &str, more: &str) -> String {
    format!(
        r#"
        [services.fraud]
        target = "{FRAUD}"
        steps = ["10%", "50%", "100%"]
        bake = "15m"
        {more}
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
    sandbox.write("mlroll.toml", &config(settle, ""));
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

/// What a rollout of a healthy candidate comes to when something happens in mid-bake.
fn disturbed(speed: &str, more: &str, disturb: impl FnOnce(&Sandbox)) -> (i32, Value, Value) {
    let sandbox = Sandbox::start(&["--speed", speed], &world(HEALTHY, "60s"));
    sandbox.write("mlroll.toml", &config("90s", more));
    let (code, outcome) = std::thread::scope(|scope| {
        let run = scope.spawn(|| sandbox.run(&["rollout"]));
        sandbox.wait_for_looks(2);
        disturb(&sandbox);
        run.join().unwrap()
    });
    (code, outcome, sandbox.alias())
}

#[test]
fn without_users_nothing_is_promoted() {
    let idle = world(HEALTHY, "60s").replace("requests_per_second = 200", "requests_per_second = 0");
    let sandbox = Sandbox::start(&["--speed", "600"], &idle);
    sandbox.write("mlroll.toml", &config("90s", "on_inconclusive = \"hold\""));
    let (code, outcome) = sandbox.run(&["rollout"]);
    assert_eq!((code, outcome["outcome"].as_str()), (3, Some("held")), "{outcome}");
    assert_eq!(sandbox.alias()["RoutingConfig"]["AdditionalVersionWeights"]["3"], 0.1);
}

#[test]
fn a_store_that_dies_in_mid_bake_is_waited_for_and_then_decided_without() {
    // What is answered with 401 is not asked again at once; a server that fails is, in real time.
    for (more, status, code, ended, weight) in [
        ("on_inconclusive = \"hold\"\nno_data_budget = \"5m\"", 401, 3, "held", json!(0.1)),
        ("on_inconclusive = \"rollback\"\nno_data_budget = \"5m\"", 503, 1, "rolled_back", Value::Null),
    ] {
        let (got, outcome, alias) = disturbed("120", more, |sandbox| {
            let dead = json!({ "api": "prometheus", "fault": "status", "status": status, "times": 1_000_000 });
            sandbox.ask("POST", "/_sandbox/faults", &dead.to_string());
        });
        assert_eq!((got, outcome["outcome"].as_str()), (code, Some(ended)), "{outcome}");
        assert_eq!(alias["RoutingConfig"]["AdditionalVersionWeights"]["3"], weight, "{outcome}");
        assert_eq!(alias["FunctionVersion"], "2");
    }
}

#[test]
fn a_change_by_somebody_else_ends_it_and_stays() {
    let (code, outcome, alias) = disturbed("120", "", |sandbox| {
        let theirs = r#"{"FunctionVersion":"2","RoutingConfig":{"AdditionalVersionWeights":{"3":0.3}}}"#;
        let answer = sandbox.ask("PUT", "/2015-03-31/functions/fraud/aliases/prod", theirs);
        assert!(answer.contains("RevisionId"), "{answer}");
    });
    assert_eq!(code, 4, "{outcome}");
    assert_eq!(alias["RoutingConfig"]["AdditionalVersionWeights"], json!({ "3": 0.3 }), "{outcome}");
}

#[test]
fn a_rollback_from_another_terminal_wins() {
    let (code, outcome, alias) = disturbed("120", "", |sandbox| {
        let (code, back) = sandbox.run(&["rollback"]);
        assert_eq!((code, &back["targets"][0]["calls"]), (0, &json!({ "read": 1, "write": 1, "poll": 0 })), "{back}");
    });
    assert_eq!(code, 4, "{outcome}");
    assert_eq!((&alias["FunctionVersion"], &alias["RoutingConfig"]), (&json!("2"), &Value::Null), "{alias}");
}

/// All is well for twenty minutes: nobody can find what has not begun, but whoever goes on watching can.
#[test]
fn what_breaks_after_the_promotion_is_taken_back_by_who_still_watches() {
    let leak = r#"{ error_rate = 0.002, latency = { median = "80ms", p95 = "160ms" },
        leak = { after = "50m", error_rate_per_hour = 1.0 } }"#;
    let sandbox = Sandbox::start(&["--speed", "600"], &world(&leak.replace('\n', " "), "60s"));
    let limit = "[[services.fraud.gates]]\nname = \"limit\"\nmetric = \"error_rate\"\nmax = \"3%\"\n";
    sandbox.write("mlroll.toml", &(config("90s", "watch_after = \"2h\"") + limit));
    let (code, outcome) = sandbox.run(&["rollout"]);
    assert_eq!((code, outcome["outcome"].as_str()), (1, Some("rolled_back")), "{outcome}");
    assert_eq!(sandbox.alias()["FunctionVersion"], "2", "back to the previous one");
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

/// The same on Cloud Run: bakes of an hour, and all that is known of them from Cloud Monitoring, which is `late`.
fn ended_on_cloud_run(candidate: &str, late: &str) -> (i32, Value) {
    let world = format!(
        r#"
        seed = 7
        [cloud_monitoring]
        delay = "{late}"
        [targets."{SERVICE}"]
        requests_per_second = 100
        stable = "fraud-00002-b"
        [targets."{SERVICE}".revisions]
        fraud-00002-b = {HEALTHY}
        fraud-00003-c = {candidate}
        "#
    );
    let sandbox = Sandbox::start(&["--speed", "1800"], &world);
    // Whole minutes are published, so the last one is whole a minute later.
    let settle = if late == "0s" { "60s" } else { "auto" };
    let config = format!(
        r#"
        [services.fraud]
        target = "{SERVICE}"
        steps = ["10%", "50%", "100%"]
        bake = "1h"
        min_bake = "1h"
        look = "60s"
        [services.fraud.metrics]
        source = "cloud-monitoring"
        settle_delay = "{settle}"
        [[services.fraud.gates]]
        metric = "error_rate"
        max_increase = {{ ratio = 1.5, abs = "0.2%" }}
        [[services.fraud.gates]]
        metric = "latency"
        quantile = 0.95
        max = "300ms"
        "#
    );
    sandbox.write("mlroll.toml", &config);
    let ended = sandbox.run(&["rollout"]);
    looks_are_disjoint_and_within_their_step(&sandbox);
    ended
}

const SERVICE: &str = "cloud-run:acme/europe-west3/fraud";

#[test]
fn the_delay_of_cloud_monitoring_changes_no_verdict() {
    for (candidate, expected) in [
        (HEALTHY, (0, "promoted", "")),
        (FAILING, (1, "rolled_back", "error_rate")),
        (SLOW, (1, "rolled_back", "latency")),
    ] {
        let runs = std::thread::scope(|scope| {
            let began = ["0s", "180s"].map(|late| scope.spawn(move || ended_on_cloud_run(candidate, late)));
            began.map(|run| run.join().unwrap())
        });
        for (code, outcome) in runs {
            let (wanted, name, gate) = expected;
            assert_eq!((code, outcome["outcome"].as_str()), (wanted, Some(name)), "{outcome}");
            let failed = outcome["findings"].as_array().unwrap().iter().find(|finding| finding["verdict"] == "fail");
            assert_eq!(failed.map_or("", |finding| finding["gate"].as_str().unwrap()), gate, "{outcome}");
        }
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
    let (status, refused) = sandbox.answer("POST", "/_sandbox/faults", r#"{"api":"lambda","fault":"gremlins"}"#);
    assert!(status == 400 && refused.contains("gremlins") && refused.contains("settle_forever"), "{refused}");
}
