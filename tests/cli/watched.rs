//! The closed loop: two revisions that serve users by the alias' weights, a real Prometheus that scrapes them, and the
//! program that judges by it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mlroll_faults::{Operation, Outsider};
use serde_json::Value;
use tempfile::TempDir;

use crate::world::{FRAUD, Ran, World, signal};

/// What all users together ask for in a second.
const RATE: f64 = 1000.0;

/// For runs that shall end for want of data.
pub(crate) const IMPATIENT: &str = "no_data_budget = \"10s\"";

/// How a revision behaves.
#[derive(Clone, Copy)]
pub(crate) struct Behaviour {
    /// The share of its requests that fail.
    pub(crate) errors: f64,
    /// The share of its requests that take longer than 300 ms.
    pub(crate) slow: f64,
    /// The share of what the weights send to it that arrives.
    pub(crate) arrives: f64,
}

pub(crate) const GOOD: Behaviour = Behaviour { errors: 0.005, slow: 0.005, arrives: 1.0 };

#[derive(Default)]
struct Counters {
    requests: f64,
    pub(crate) errors: f64,
    pub(crate) slow: f64,
}

/// Users, model servers with `/metrics`, and a Prometheus that scrapes them twice a second.
pub(crate) struct Service {
    prometheus: Outsider,
    pub(crate) port: u16,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    _folder: TempDir,
}

impl Service {
    pub(crate) fn start(world: &Arc<World>, stable: Behaviour, candidate: Behaviour) -> Self {
        let alias = Arc::clone(world);
        let split = move || {
            let alias = alias.alias();
            (alias.version, alias.weights)
        };
        Self::of(world, split, [stable, candidate])
    }

    /// Users who are sent where `split`, a version and further ones with their weights, says at that moment.
    pub(crate) fn of(world: &World, split: impl Fn() -> Split + Send + 'static, behaviours: [Behaviour; 2]) -> Self {
        let folder = TempDir::new().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let counters = Arc::new(Mutex::new([Counters::default(), Counters::default()]));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let models = listener.local_addr().unwrap().port();
        let threads = vec![
            std::thread::spawn({
                let (counters, stop) = (Arc::clone(&counters), Arc::clone(&stop));
                move || serve_metrics(&listener, &counters, &stop)
            }),
            std::thread::spawn({
                let stop = Arc::clone(&stop);
                move || send_requests(split, behaviours, &counters, &stop)
            }),
        ];
        let config = format!(
            "global: {{ scrape_interval: 500ms, scrape_timeout: 500ms }}\nscrape_configs:\n- job_name: models\n  static_configs: [{{ targets: ['127.0.0.1:{models}'] }}]\n"
        );
        std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        let prometheus = Outsider::prometheus(folder.path(), &[]);
        prometheus.until_ready("");
        let port = prometheus.port();
        // Counters need a few scrapes before anything increases.
        std::thread::sleep(Duration::from_secs(3));
        world.write("mlroll.toml", &config_of(port, ""));
        Self { prometheus, port, stop, threads, _folder: folder }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// With `more` lines about the service. A busy machine may leave a scrape out: data may be missing for as long as a bake takes,
/// unless `more` says otherwise.
pub(crate) fn config_of(port: u16, more: &str) -> String {
    let patience = if more.contains("no_data_budget") { "" } else { "no_data_budget = \"40s\"" };
    format!(
        r#"
[services.fraud]
target = "{FRAUD}"
steps = ["10%", "50%", "100%"]
bake = "40s"
warm_up = "0s"
min_bake = "5s"
look = "5s"
{patience}
{more}

[services.fraud.metrics]
source = "prometheus"
url = "http://127.0.0.1:{port}"
settle_delay = "2s"
requests = 'http_requests_total{{version="{{{{revision}}}}"}}'
errors = 'http_requests_total{{version="{{{{revision}}}}",code="500"}}'
latency = 'http_request_duration_seconds_bucket{{version="{{{{revision}}}}"}}'

[[services.fraud.gates]]
metric = "error_rate"
max_increase = {{ ratio = 2.0, abs = "2%" }}

[[services.fraud.gates]]
metric = "latency"
quantile = 0.95
max = "300ms"
"#
    )
}

fn serve_metrics(listener: &TcpListener, counters: &Mutex<[Counters; 2]>, stop: &AtomicBool) {
    listener.set_nonblocking(true).unwrap();
    while !stop.load(Ordering::Relaxed) {
        let Ok((mut stream, _)) = listener.accept() else {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        stream.set_nonblocking(false).unwrap();
        let mut head = [0; 4096];
        let _ = stream.read(&mut head);
        let mut body = String::new();
        for (version, c) in ["2", "3"].iter().zip(counters.lock().unwrap().iter()) {
            if c.requests > 0.0 {
                let (all, bad, slow) = (c.requests.floor(), c.errors.floor(), c.slow.floor());
                body += &format!("http_requests_total{{version=\"{version}\",code=\"200\"}} {}\n", all - bad);
                body += &format!("http_requests_total{{version=\"{version}\",code=\"500\"}} {bad}\n");
                for (le, count) in [("0.1", all / 2.0), ("0.3", all - slow), ("+Inf", all)] {
                    body +=
                        &format!("http_request_duration_seconds_bucket{{version=\"{version}\",le=\"{le}\"}} {count}\n");
                }
            }
        }
        let length = body.len();
        let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}").as_bytes());
    }
}

type Split = (String, BTreeMap<String, f64>);

fn send_requests(
    split: impl Fn() -> Split,
    behaviours: [Behaviour; 2],
    counters: &Mutex<[Counters; 2]>,
    stop: &AtomicBool,
) {
    let mut last = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(50));
        let requests = RATE * last.elapsed().as_secs_f64();
        last = Instant::now();
        let (primary, weights) = split();
        let additional: f64 = weights.values().sum();
        let share = |version: &str| match weights.get(version) {
            Some(weight) => *weight,
            None if primary == version => 1.0 - additional,
            None => 0.0,
        };
        let shares = ["2", "3"].map(share);
        for ((counter, share), behaviour) in counters.lock().unwrap().iter_mut().zip(shares).zip(behaviours) {
            let arrived = requests * share * behaviour.arrives;
            counter.requests += arrived;
            counter.errors += arrived * behaviour.errors;
            counter.slow += arrived * behaviour.slow;
        }
    }
}

pub(crate) fn start(world: &World, arguments: &[&str]) -> Child {
    let mut command = world.command(&[arguments, &["--output", "json"]].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

pub(crate) fn end(child: Child) -> Ran {
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        took: Duration::ZERO,
    }
}

/// Waits until the candidate has a share.
fn wait_for_canary(world: &World) {
    let started = Instant::now();
    while world.alias().weights.is_empty() {
        assert!(started.elapsed() < Duration::from_secs(180), "no canary begins");
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) const ROLLOUT: [&str; 3] = ["rollout", "--candidate", "3"];

#[test]
fn a_healthy_candidate_is_promoted() {
    let world = Arc::new(World::new());
    let _service = Service::start(&world, GOOD, GOOD);
    let ran = end(start(&world, &ROLLOUT)).expect(0);
    let document = ran.json();
    assert_eq!((&document["outcome"], world.split().as_str()), (&Value::from("promoted"), "3"));
    assert_eq!(world.sent(Operation::UpdateAlias).len(), 3, "10 %, 50 %, 100 %");
    for finding in document["findings"].as_array().unwrap() {
        assert!(finding["looks"].as_u64().unwrap() >= 2, "{finding}");
        assert_ne!(finding["verdict"], "fail", "{finding}");
    }
    assert!(world.alias().description.contains("state=promoted stable=3 previous=2"));
    let history = world.run(&["history", "--output", "json"]).expect(0).json();
    let run = &history["runs"][0];
    assert_eq!((&run["outcome"], &run["unfinished"]), (&Value::from("promoted"), &Value::Bool(false)));
    let shifts: Vec<f64> = run["shifts"].as_array().unwrap().iter().map(|s| s["percent"].as_f64().unwrap()).collect();
    assert_eq!(shifts, [10.0, 50.0, 100.0]);
    world.run(&["history"]).expect(0).says("every critical gate passed");
    world.run(&["rollback"]).expect(0);
    assert_eq!(world.split(), "2");
}

#[test]
fn a_candidate_with_errors_is_rolled_back() {
    let world = Arc::new(World::new());
    let _service = Service::start(&world, GOOD, Behaviour { errors: 0.2, ..GOOD });
    let ran = end(start(&world, &ROLLOUT)).expect(1);
    let document = ran.json();
    assert_eq!((&document["outcome"], world.split().as_str()), (&Value::from("rolled_back"), "2"));
    assert_eq!(document["findings"][0]["verdict"], "fail");
    assert!(document["error"]["message"].as_str().unwrap().contains("gate `error_rate`"), "{document}");
    assert!(world.alias().description.contains("state=rolled_back stable=2 bad=3"));
    world.run(&ROLLOUT).expect(2).says("--candidate 3 --again");
}

#[test]
fn a_slow_candidate_is_rolled_back() {
    let world = Arc::new(World::new());
    let _service = Service::start(&world, GOOD, Behaviour { slow: 0.3, ..GOOD });
    let ran = end(start(&world, &["canary", "--pct", "10", "--candidate", "3"])).expect(1);
    assert_eq!((&ran.json()["findings"][1]["verdict"], world.split().as_str()), (&Value::from("fail"), "2"));
}

#[test]
fn a_canary_that_passes_keeps_its_share() {
    let world = Arc::new(World::new());
    let _service = Service::start(&world, GOOD, GOOD);
    let ran = end(start(&world, &["canary", "--pct", "20", "--candidate", "3"])).expect(0);
    assert_eq!((&ran.json()["outcome"], world.split().as_str()), (&Value::from("shifted"), "2+3:0.2"));
}

#[test]
fn a_candidate_that_gets_nothing_is_starved_and_rolled_back() {
    let world = Arc::new(World::new());
    let _service = Service::start(&world, GOOD, Behaviour { arrives: 0.0, ..GOOD });
    let ran = end(start(&world, &ROLLOUT)).expect(1);
    ran.says("does not get its share");
    assert_eq!(world.split(), "2");
}

#[test]
fn without_any_traffic_nothing_is_promoted() {
    for (key, code, split) in [("on_inconclusive = \"hold\"", 3, "2+3:0.1"), ("", 1, "2")] {
        let world = Arc::new(World::new());
        let nobody = Behaviour { arrives: 0.0, ..GOOD };
        let service = Service::start(&world, nobody, nobody);
        world.write("mlroll.toml", &config_of(service.port, &format!("{IMPATIENT}\n{key}")));
        end(start(&world, &ROLLOUT)).expect(code).says("too long without data");
        assert_eq!(world.split(), split);
    }
}

#[test]
fn a_store_that_is_down_from_the_start_shifts_nothing() {
    let world = World::new();
    world.write("mlroll.toml", &config_of(9, ""));
    let ran = end(start(&world, &ROLLOUT)).expect(7);
    ran.says("the metric store");
    assert!(world.sent(Operation::UpdateAlias).is_empty());
}

#[test]
fn a_store_that_dies_in_mid_bake_promotes_nothing() {
    let world = Arc::new(World::new());
    let mut service = Service::start(&world, GOOD, GOOD);
    world.write("mlroll.toml", &config_of(service.port, &format!("{IMPATIENT}\non_inconclusive = \"hold\"")));
    let child = start(&world, &ROLLOUT);
    wait_for_canary(&world);
    service.prometheus.kill();
    end(child).expect(3).says("too long without data");
    assert_eq!(world.split(), "2+3:0.1");
}

#[test]
fn somebody_elses_change_in_mid_bake_is_left_alone() {
    let world = Arc::new(World::new());
    let _service = Service::start(&world, GOOD, GOOD);
    let child = start(&world, &ROLLOUT);
    wait_for_canary(&world);
    world.server.set_alias("fraud", "prod", |alias| {
        alias.weights = [("4".to_owned(), 0.3)].into();
    });
    end(child).expect(4).says("someone else changed the target").says("aws deploy stop-deployment");
    assert_eq!(world.split(), "2+4:0.3");
}

#[test]
fn a_rollback_in_another_terminal_ends_the_rollout() {
    let world = Arc::new(World::new());
    let _service = Service::start(&world, GOOD, GOOD);
    let child = start(&world, &ROLLOUT);
    wait_for_canary(&world);
    let rolled_back = world.run(&["rollback", "--target", FRAUD, "--output", "json"]).expect(0);
    let calls = &rolled_back.json()["targets"][0]["calls"];
    assert_eq!((calls["read"].as_u64(), calls["write"].as_u64()), (Some(1), Some(1)));
    let writes = world.sent(Operation::UpdateAlias).len();
    end(child).expect(4);
    assert_eq!((world.split().as_str(), world.sent(Operation::UpdateAlias).len()), ("2", writes));
}

#[test]
fn an_interrupt_gives_stable_everything_at_once() {
    for (flag, code, split) in [("rollback", 130, "2"), ("hold", 130, "2+3:0.1")] {
        let world = Arc::new(World::new());
        let _service = Service::start(&world, GOOD, GOOD);
        let child = start(&world, &[&ROLLOUT[..], &["--on-interrupt", flag]].concat());
        wait_for_canary(&world);
        let at = Instant::now();
        signal(&child, "TERM");
        let _ = end(child).expect(code);
        assert!(at.elapsed() < Duration::from_secs(30), "{:?}", at.elapsed());
        assert_eq!(world.split(), split);
    }
}

#[test]
fn a_rollout_that_was_killed_is_resumed_with_its_evidence() {
    let world = Arc::new(World::new());
    let _service = Service::start(&world, GOOD, GOOD);
    let mut child = start(&world, &ROLLOUT);
    wait_for_canary(&world);
    std::thread::sleep(Duration::from_secs(7));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!world.alias().weights.is_empty(), "it was still going on");
    world.run(&["resume", "--target", "lambda:us-east-1/other@prod"]).expect(6);
    let ran = end(start(&world, &["resume"])).expect(0);
    assert_eq!((&ran.json()["outcome"], world.split().as_str()), (&Value::from("promoted"), "3"));
    assert_eq!(world.sent(Operation::UpdateAlias).len(), 3, "no step was taken twice");
    world.run(&["resume"]).expect(6).says("no run of this target is unfinished");
}

#[test]
fn a_hold_typed_in_another_terminal_keeps_the_split_and_resume_goes_on() {
    let world = Arc::new(World::new());
    let _service = Service::start(&world, GOOD, GOOD);
    world.run(&["hold"]).expect(6).says("no run of this target is going on");
    let child = start(&world, &ROLLOUT);
    wait_for_canary(&world);
    world.run(&["hold"]).expect(0);
    let held = end(child).expect(3).json();
    assert_eq!((&held["outcome"], world.alias().weights.is_empty()), (&Value::from("held"), false));
    let checked = world.run(&["gate", "check", "--output", "json"]);
    assert!([0, 3].contains(&checked.code), "{checked:?}");
    assert_eq!(checked.json()["findings"].as_array().unwrap().len(), 2);
    end(start(&world, &["resume"])).expect(0);
    assert_eq!(world.split(), "3");
}

/// Checks the gates until they say this: a store has its first numbers when it has.
fn checked_until(world: &World, code: i32) -> Ran {
    let started = Instant::now();
    loop {
        let ran = world.run(&["gate", "check", "--output", "json"]);
        if ran.code == code {
            return ran;
        }
        assert!(ran.code == 3 && started.elapsed() < Duration::from_secs(120), "{ran:?}");
        std::thread::sleep(Duration::from_secs(1));
    }
}

#[test]
fn gate_check_judges_and_moves_nothing() {
    let world = Arc::new(World::new());
    let _service = Service::start(&world, GOOD, Behaviour { errors: 0.2, ..GOOD });
    world.run(&["gate", "check"]).expect(6).says("no canary is in flight");
    world.run(&["canary", "--pct", "10", "--candidate", "3", "--no-gates"]).expect(0);
    let checked = checked_until(&world, 1).json();
    assert_eq!((&checked["schema"], &checked["verdict"]), (&Value::from("mlroll/check/1"), &Value::from("fail")));
    world.run(&["gate", "check"]).expect(1).says("error_rate");
    assert_eq!((world.split().as_str(), world.sent(Operation::UpdateAlias).len()), ("2+3:0.1", 1));
}

#[test]
fn promote_needs_evidence_of_its_own() {
    let world = Arc::new(World::new());
    let _service = Service::start(&world, GOOD, GOOD);
    world.run(&["promote"]).expect(6).says("no canary is in flight");
    world.run(&["canary", "--pct", "10", "--candidate", "3", "--no-gates"]).expect(0);
    world.run(&["promote"]).expect(3).says("the evidence is not enough").says("--wait");
    world.run(&["promote", "--wait", "--timeout", "1s"]).expect(3).says("the evidence is not enough");
    world.run(&["promote", "--wait", "--force"]).expect(2);
    assert_eq!(world.split(), "2+3:0.1");
    checked_until(&world, 0);
    world.run(&["promote", "--candidate", "4"]).expect(4).says("another candidate is in flight");
    // Between the judging and the write, another run puts another candidate in flight: nobody judged that one.
    let before = world.alias();
    let swap = mlroll_faults::Kind::foreign_write(|alias| {
        alias.weights = [("4".to_owned(), 0.1)].into();
        alias.description = "[mlroll v1 state=canary stable=2 candidate=4]".into();
    });
    world.server.fault(mlroll_faults::Fault::on(Operation::GetAlias).skip(2).kind(swap));
    world.run(&["promote"]).expect(4).says("another candidate is in flight");
    assert_eq!(world.split(), "2+4:0.1");
    world.server.set_alias("fraud", "prod", |alias| {
        alias.weights.clone_from(&before.weights);
        alias.description.clone_from(&before.description);
    });
    world.run(&["promote"]).expect(0).says("every critical gate passed");
    assert_eq!(world.split(), "3");
}

#[test]
fn a_bad_candidate_is_not_promoted() {
    let world = Arc::new(World::new());
    let _service = Service::start(&world, GOOD, Behaviour { errors: 0.2, ..GOOD });
    world.run(&["canary", "--pct", "10", "--candidate", "3", "--no-gates"]).expect(0);
    checked_until(&world, 1);
    world.run(&["promote"]).expect(3).says("a gate fails");
    // Who waits for evidence is told as soon as it speaks against it.
    world.run(&["promote", "--wait", "--timeout", "10m"]).expect(3).says("a gate fails");
    assert_eq!(world.split(), "2+3:0.1");
}

#[test]
fn promote_waits_for_evidence() {
    let world = Arc::new(World::new());
    let _service = Service::start(&world, GOOD, GOOD);
    world.run(&["canary", "--pct", "10", "--candidate", "3", "--no-gates"]).expect(0);
    let ran = world.run(&["promote", "--wait", "--timeout", "4m"]).expect(0);
    ran.says("the evidence is not enough").says("every critical gate passed");
    assert_eq!(world.split(), "3");
}

/// What was begun for one candidate is never finished for another.
#[test]
fn a_run_of_another_candidate_or_kind_is_not_gone_on_with() {
    let world = Arc::new(World::new());
    let _service = Service::start(&world, GOOD, GOOD);
    let mut child = start(&world, &ROLLOUT);
    wait_for_canary(&world);
    child.kill().unwrap();
    child.wait().unwrap();
    world.run(&["rollout", "--candidate", "4"]).expect(4).says("another candidate is in flight");
    assert_eq!(world.split(), "2+3:0.1");
    end(start(&world, &ROLLOUT)).expect(0);
    assert_eq!(world.split(), "3");
}

/// A rollback that was cut off is finished without gates, metrics or the file it began with.
#[test]
fn a_rollback_that_was_cut_off_needs_no_metrics_to_go_on() {
    let world = Arc::new(World::new());
    let mut service = Service::start(&world, GOOD, Behaviour { errors: 0.3, ..GOOD });
    // The first write goes through; the way back is refused for as long as this run lives.
    let throttled = mlroll_faults::Kind::throttled(None);
    world.server.fault(mlroll_faults::Fault::on(Operation::UpdateAlias).skip(1).forever().kind(throttled));
    let mut child = start(&world, &ROLLOUT);
    wait_for_canary(&world);
    let started = Instant::now();
    while world.sent(Operation::UpdateAlias).len() < 3 {
        assert!(started.elapsed() < Duration::from_secs(60), "no rollback begins");
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    service.prometheus.kill();
    world.server.clear_faults();
    let gateless = config_of(service.port, "");
    world.write("mlroll.toml", gateless.split("[[services.fraud.gates]]").next().unwrap());
    end(start(&world, &["resume"])).expect(1);
    assert_eq!(world.split(), "2");
}

#[test]
fn gates_are_frozen_from_the_first_step_on() {
    let world = Arc::new(World::new());
    let service = Service::start(&world, GOOD, Behaviour { errors: 0.2, ..GOOD });
    let mut child = start(&world, &ROLLOUT);
    wait_for_canary(&world);
    child.kill().unwrap();
    child.wait().unwrap();
    world.write("mlroll.toml", &config_of(service.port, "").replace("abs = \"2%\"", "abs = \"50%\""));
    world
        .run(&["resume"])
        .expect(2)
        .says("the gates have changed")
        .says("watched by nobody meanwhile: to take it back");
    // Nor by other numbers.
    let elsewhere = config_of(service.port, "").replace("http_requests_total", "all_requests_total");
    world.write("mlroll.toml", &elsewhere);
    world.run(&["resume"]).expect(2).says("metrics.errors has changed since the run began").says("all_requests_total");
    world.write("mlroll.toml", &config_of(service.port + 1, ""));
    world.run(&ROLLOUT).expect(2).says("metrics.url has changed").says("`mlroll rollback --target lambda:");
    assert!(!world.alias().weights.is_empty());
    world.write("mlroll.toml", &config_of(service.port, ""));
    end(start(&world, &["resume"])).expect(1);
    assert_eq!(world.split(), "2");
}

#[test]
fn a_second_run_of_the_same_journal_leaves_it_to_the_first() {
    let world = Arc::new(World::new());
    let _service = Service::start(&world, GOOD, GOOD);
    let first = start(&world, &ROLLOUT);
    wait_for_canary(&world);
    let before = world.server.requests().len();
    for second in [&["resume"][..], &ROLLOUT] {
        world.run(second).expect(4).says("another run is going on");
    }
    assert!(world.server.requests()[before..].iter().all(|r| r.operation == Operation::GetAlias));
    end(first).expect(0);
    assert_eq!(world.split(), "3");
}

#[test]
fn gates_that_can_never_have_data_are_refused_before_traffic_moves() {
    let world = Arc::new(World::new());
    let service = Service::start(&world, GOOD, GOOD);
    let config =
        config_of(service.port, "").replace("max_increase = { ratio = 2.0, abs = \"2%\" }", "judge = \"sign\"");
    world.write("mlroll.toml", &config);
    world.run(&ROLLOUT).expect(2).says("not a number per window");
    world.write("mlroll.toml", &config_of(service.port, ""));
    world.run(&["canary", "--pct", "10", "--candidate", "3", "--bake", "0s"]).expect(2).says("judges nothing");
    assert_eq!(world.split(), "2");
}

/// A full disk or a folder that is gone at the wrong moment must not keep users on a bad candidate.
#[test]
fn a_journal_that_is_lost_in_mid_bake_does_not_stop_the_rollback() {
    let world = Arc::new(World::new());
    let _service = Service::start(&world, GOOD, Behaviour { errors: 0.2, ..GOOD });
    let child = start(&world, &ROLLOUT);
    wait_for_canary(&world);
    let state = world.path().join(".mlroll");
    // The run may make the folder anew between the two.
    for n in 0.. {
        let _ = std::fs::rename(&state, world.path().join(format!("gone-{n}")));
        if std::fs::write(&state, "in the way").is_ok() {
            break;
        }
    }
    end(child).expect(1).says("a rollback goes on without it");
    assert_eq!(world.split(), "2");
}

/// A journal that cannot be written stops a rollout before its first write, and never a rollback.
#[test]
fn without_a_journal_nothing_begins_and_a_rollback_works() {
    let world = Arc::new(World::new());
    let _service = Service::start(&world, GOOD, GOOD);
    std::fs::write(world.path().join(".mlroll"), "in the way").unwrap();
    world.run(&ROLLOUT).expect(2).says("journal");
    assert_eq!(world.split(), "2");
    world.run(&["canary", "--pct", "10", "--candidate", "3", "--no-gates"]).expect(0);
    world.run(&["rollback"]).expect(0);
    assert_eq!(world.split(), "2");
}
