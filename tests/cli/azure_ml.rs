//! The verbs on an Azure ML endpoint, and the fault table of a target that has no guard and takes its time.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mlroll_faults::arm::{Arm, ArmFault, ArmKind, ArmOperation, Outcome, TOKEN};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::sandbox::Sandbox;
use crate::scaled::FastClock;
use crate::world::Ran;

const FRAUD: &str = "azure-ml:00000000-0000-0000-0000-000000000000/ml/prod/fraud";

const GET: ArmOperation = ArmOperation::Get;
const PUT: ArmOperation = ArmOperation::Put;

/// A scripted Azure, and the program run against it.
pub struct World {
    pub arm: Arm,
    pub folder: TempDir,
    pub env: Vec<(&'static str, String)>,
}

impl World {
    pub fn new() -> Self {
        let arm = Arm::start();
        let folder = TempDir::new().unwrap();
        let env = vec![
            ("HOME", folder.path().to_str().unwrap().to_owned()),
            ("MLROLL_ENDPOINT_AZURE", arm.url()),
            ("AZURE_ACCESS_TOKEN", TOKEN.to_owned()),
        ];
        Self { arm, folder, env }
    }

    /// With a canary of 10 % on green, made by the program itself.
    fn with_canary() -> Self {
        let world = Self::new();
        world.arm.fraud(|endpoint| endpoint.reads_to_settle = 0);
        world.verb(&["canary", "--pct", "10"]).0.expect(0);
        world.arm.fraud(|endpoint| endpoint.reads_to_settle = 1);
        world.arm.clear_requests();
        world
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        let started = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_mlroll"));
        command.args(arguments).env_clear().envs(self.env.clone()).current_dir(self.folder.path()).stdin(Stdio::null());
        let output = command.output().unwrap();
        let ran = Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            took: started.elapsed(),
        };
        assert!(!ran.stdout.contains(TOKEN) && !ran.stderr.contains(TOKEN), "a secret got out: {ran:?}");
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
        ran
    }

    pub fn verb(&self, arguments: &[&str]) -> (Ran, Value) {
        let ran = self.run(&[arguments, &["--target", FRAUD, "--output", "json"]].concat());
        let document = ran.json();
        (ran, document)
    }

    fn fault(&self, operation: ArmOperation, kind: ArmKind) {
        self.arm.fault(ArmFault::on(operation, kind));
    }

    fn traffic(&self) -> Value {
        self.arm.record()["properties"]["traffic"].clone()
    }

    fn tag(&self) -> String {
        self.arm.record()["tags"]["mlroll-rollout"].as_str().unwrap_or_default().to_owned()
    }
}

fn blue() -> Value {
    json!({"blue": 100})
}

fn canary() -> Value {
    json!({"blue": 90, "green": 10})
}

fn set(traffic: Value) -> impl FnOnce(&mut mlroll_faults::arm::Endpoint) {
    move |endpoint| endpoint.record["properties"]["traffic"] = traffic
}

#[test]
fn a_canary_its_promote_and_its_rollback() {
    let world = World::new();
    let (ran, document) = world.verb(&["status"]);
    ran.expect(0).says("is not the cloud's own endpoint");
    let target = &document["targets"][0];
    assert_eq!((&target["guard"], &target["settled"]), (&json!("read-compare"), &json!(true)));
    assert_eq!(target["split"], json!([{"revision": "blue", "role": "stable", "percent": 100.0}]));

    world.arm.clear_requests();
    let (ran, document) = world.verb(&["canary", "--pct", "10"]);
    ran.expect(0);
    assert_eq!((&document["outcome"], &document["settled"]), (&json!("shifted"), &json!(true)));
    assert_eq!(world.traffic(), canary());
    assert!(world.tag().starts_with("[mlroll v1 state=canary stable=blue candidate=green at="), "{}", world.tag());
    // Look, find green, check both, look again, write; look while Azure works, and once more.
    assert_eq!(document["targets"][0]["calls"], json!({"read": 5, "write": 1, "poll": 2}));

    let (ran, document) = world.verb(&["promote", "--force"]);
    ran.expect(0);
    assert_eq!((&document["outcome"], world.traffic()), (&json!("promoted"), json!({"green": 100})));

    let (ran, document) = world.verb(&["rollback"]);
    ran.expect(0);
    assert_eq!((&document["outcome"], world.traffic()), (&json!("rolled_back"), blue()));
    assert_eq!(document["targets"][0]["calls"], json!({"read": 1, "write": 1, "poll": 2}), "one read and one write");
    assert!(world.tag().starts_with("[mlroll v1 state=rolled_back stable=blue bad=green at="), "{}", world.tag());
    let (ran, document) = world.verb(&["rollback"]);
    ran.expect(0).says("already rolled back from green");
    assert_eq!(document["outcome"], "unchanged");
    world.verb(&["canary", "--pct", "10"]).0.expect(2).says("--again");
    assert_eq!(world.arm.record()["tags"]["team"], "fraud");
}

#[test]
fn a_rollback_returns_at_acceptance_when_told_to() {
    let world = World::with_canary();
    let (ran, document) = world.verb(&["rollback", "--no-wait"]);
    ran.expect(0);
    assert_eq!((&document["settled"], &document["targets"][0]["calls"]["poll"]), (&json!(false), &json!(0)));
    assert_eq!(document["targets"][0]["after"], json!([{"revision": "blue", "percent": 100.0}]));
}

#[test]
fn what_is_busy_or_throttled_is_waited_for() {
    let updating = "Cannot update the endpoint because it is in Updating provisioning state";
    for verb in [&["rollback"][..], &["canary", "--pct", "25"]] {
        let end = if verb.len() == 1 { blue() } else { json!({"blue": 75, "green": 25}) };
        // Also just after the endpoint said Succeeded, and also with 400.
        for status in [409, 400] {
            let world = World::with_canary();
            world.arm.fault(ArmFault::on(PUT, ArmKind::status(status, "Conflict", updating)).times(2));
            let (ran, document) = world.verb(verb);
            ran.expect(0);
            assert_eq!((world.traffic(), &document["targets"][0]["calls"]["write"]), (end.clone(), &json!(3)));
        }
        let world = World::with_canary();
        world.fault(PUT, ArmKind::throttled(1));
        let (ran, _) = world.verb(verb);
        assert!(ran.took >= Duration::from_secs(1), "{:?}", ran.took);
        ran.expect(0);
        assert_eq!(world.traffic(), end);
        // Longer than one operation takes: in scaled time, so that nobody waits for it here.
        for operation in [GET, PUT] {
            let mut world = World::with_canary();
            world.fault(operation, ArmKind::throttled(35));
            world.env.push(("MLROLL_CLOCK", FastClock::start(300.0).url));
            let (ran, document) = world.verb(verb);
            ran.expect(0);
            let writes = if operation == PUT { 2 } else { 1 };
            assert_eq!(document["targets"][0]["calls"]["write"], json!(writes));
        }
    }
    let world = World::with_canary();
    world.arm.fault(ArmFault::on(PUT, ArmKind::status(409, "Conflict", updating)).forever());
    world.verb(&["rollback", "--timeout", "8s"]).0.expect(4).says("Updating");
    assert_eq!(world.traffic(), canary());
}

#[test]
fn somebody_elses_operation_is_awaited_and_then_decided() {
    // Reads still show 100 % blue: nothing to roll back, were it the whole truth.
    let world = World::new();
    let theirs = |record: &mut Value| {
        record["properties"]["traffic"] = canary();
        record["tags"]["mlroll-rollout"] = json!("[mlroll v1 state=canary stable=blue candidate=green]");
    };
    world.arm.fraud(|endpoint| {
        endpoint.reads_to_settle = 3;
        endpoint.begin(theirs);
    });
    let (ran, document) = world.verb(&["rollback"]);
    ran.expect(0);
    assert_eq!((&document["outcome"], world.traffic()), (&json!("rolled_back"), blue()));
    // A canary that would be refused, were it now.
    let world = World::new();
    world.arm.fraud(|endpoint| endpoint.begin(|record| record["tags"]["team"] = json!("risk")));
    world.verb(&["canary", "--pct", "10"]).0.expect(0);
    assert_eq!((world.traffic(), &world.arm.record()["tags"]["team"]), (canary(), &json!("risk")));
    let world = World::new();
    world.arm.fraud(|endpoint| {
        endpoint.reads_to_settle = u32::MAX;
        endpoint.begin(|_| {});
    });
    world.verb(&["canary", "--pct", "10", "--timeout", "8s"]).0.expect(4).says("still moving");
    assert_eq!(world.arm.count(PUT), 0);
}

#[test]
fn a_rollback_overtakes_what_it_can_and_waits_for_the_rest() {
    let world = World::with_canary();
    world.arm.fraud(|endpoint| {
        endpoint.reads_to_settle = 3;
        endpoint.begin(|record| record["properties"]["traffic"] = json!({"blue": 50, "green": 50}));
    });
    let (ran, document) = world.verb(&["rollback"]);
    ran.expect(0);
    assert_eq!((&document["outcome"], world.traffic()), (&json!("rolled_back"), blue()));
}

#[test]
fn a_lost_reply_is_recognised_and_a_lost_request_made_again() {
    for kind in
        [ArmKind::ResetAfter, ArmKind::AnsweredAfter(502), ArmKind::ResetBefore, ArmKind::status(503, "x", "later")]
    {
        for (verb, start, end) in
            [(&["rollback"][..], World::with_canary(), blue()), (&["canary", "--pct", "10"], World::new(), canary())]
        {
            start.fault(PUT, kind.clone());
            let (ran, document) = start.verb(verb);
            ran.expect(0);
            assert_eq!((start.traffic(), &document["settled"]), (end, &json!(true)), "{kind:?}");
        }
    }
    let world = World::with_canary();
    world.arm.fault(ArmFault::on(PUT, ArmKind::ResetBefore).forever());
    world.verb(&["rollback"]).0.expect(7).says("run the same command again");
    let world = World::with_canary();
    world.arm.fault(ArmFault::on(PUT, ArmKind::ResetAfter).forever());
    world.arm.fault(ArmFault::on(GET, ArmKind::ResetBefore).skip(1).forever());
    world.verb(&["rollback"]).0.expect(8).says("traffic: UNKNOWN");
}

#[test]
fn stale_reads_are_no_interference() {
    let world = World::with_canary();
    world.arm.fraud(|endpoint| endpoint.stale_reads = 3);
    let (ran, document) = world.verb(&["rollback"]);
    ran.expect(0);
    assert_eq!((&document["settled"], &document["targets"][0]["calls"]["poll"]), (&json!(true), &json!(5)));
    assert_eq!(world.traffic(), blue());
}

#[test]
fn a_foreign_put_between_our_read_and_our_write_is_left_alone() {
    let world = World::new();
    let theirs: fn(&mut Value) = |record| record["properties"]["traffic"] = json!({"blue": 50, "green": 50});
    world.arm.fault(ArmFault::on(GET, ArmKind::Foreign(theirs)).skip(1));
    let (ran, document) = world.verb(&["canary", "--pct", "10"]);
    ran.expect(4).says("someone else changed the target");
    assert_eq!((world.traffic(), world.arm.count(PUT)), (json!({"blue": 50, "green": 50}), 0));
    assert_eq!(document["targets"][0]["after"][0]["percent"], 50.0);
}

#[test]
fn an_operation_that_ends_badly_is_made_again_on_the_way_back_and_nowhere_else() {
    for outcome in [Outcome::Failed, Outcome::Canceled] {
        let world = World::with_canary();
        world.arm.fraud(|endpoint| endpoint.outcomes = vec![outcome]);
        let (ran, document) = world.verb(&["rollback"]);
        ran.expect(0);
        assert_eq!((world.traffic(), &document["targets"][0]["calls"]["write"]), (blue(), &json!(2)));
        let world = World::with_canary();
        world.arm.fraud(|endpoint| (endpoint.reads_to_settle, endpoint.outcomes) = (0, vec![outcome; 9]));
        world.verb(&["rollback"]).0.expect(8).says("accepted but is not live");
        assert_eq!(world.arm.count(PUT), 3);
        let world = World::new();
        world.arm.fraud(|endpoint| endpoint.outcomes = vec![outcome]);
        world.verb(&["canary", "--pct", "10"]).0.expect(8).says("accepted but is not live");
        assert_eq!((world.traffic(), world.arm.count(PUT)), (blue(), 1));
        // From there a rollback is the way out, to the one that is named.
        world.verb(&["canary", "--pct", "10"]).0.expect(4).says("`mlroll rollback` is the way out");
        world.verb(&["rollback", "--to", "blue"]).0.expect(0);
        assert_eq!(world.arm.record()["properties"]["provisioningState"], "Succeeded");
    }
}

#[test]
fn the_status_of_an_operation_is_not_needed() {
    for kind in [ArmKind::status(404, "NotFound", "x"), ArmKind::status(403, "AuthorizationFailed", "x")] {
        let world = World::new();
        world.arm.fault(ArmFault::on(ArmOperation::Status, kind).forever());
        world.verb(&["canary", "--pct", "10"]).0.expect(0);
        world.arm.fraud(|endpoint| endpoint.outcomes = vec![Outcome::Failed]);
        let (ran, _) = world.verb(&["canary", "--pct", "20"]);
        ran.expect(8).says("the endpoint's last operation failed");
    }
    let world = World::new();
    world.arm.fraud(|endpoint| endpoint.outcomes = vec![Outcome::Failed]);
    world.verb(&["canary", "--pct", "10"]).0.expect(8).says("there are no more instances (OutOfCapacity)");
}

#[test]
fn credentials_that_end_or_are_not_there_are_named() {
    let world = World::new();
    // In the middle of the wait: the next read may do.
    world.arm.fault(ArmFault::on(GET, ArmKind::status(401, "ExpiredAuthenticationToken", "old")).skip(2).times(2));
    world.verb(&["canary", "--pct", "10"]).0.expect(0);
    world.fault(PUT, ArmKind::status(403, "AuthorizationFailed", "does not have authorization to perform action"));
    world.verb(&["rollback"]).0.expect(5).says("docs/azure.md").says("may not count yet");
    assert_eq!(world.traffic(), canary());
    world.arm.set_token("another");
    world.verb(&["rollback"]).0.expect(5).says("AZURE_ACCESS_TOKEN is not taken");
    let mut world = World::new();
    world.env.retain(|(name, _)| *name != "AZURE_ACCESS_TOKEN");
    let (ran, _) = world.verb(&["rollback"]);
    assert!(ran.took < Duration::from_secs(40), "{:?}", ran.took);
    ran.expect(5).says("az: ").says("az login");
    assert!(world.arm.requests().is_empty());
    world.env.push(("MLROLL_AZURE_CREDENTIAL", "password".to_owned()));
    world.verb(&["rollback"]).0.expect(2).says("client-secret, workload-identity, github-oidc");
    world.env = vec![("MLROLL_ENDPOINT_AZURE", "http://10.0.0.1".to_owned()), ("AZURE_ACCESS_TOKEN", TOKEN.to_owned())];
    world.verb(&["rollback"]).0.expect(2).says("clear text");
}

#[test]
fn az_is_asked_once_and_not_for_longer_than_ten_seconds() {
    use std::os::unix::fs::PermissionsExt as _;

    let mut world = World::new();
    world.env.retain(|(name, _)| *name != "AZURE_ACCESS_TOKEN");
    world.env.push(("PATH", format!("{}:/usr/bin:/bin", world.folder.path().display())));
    let az = |world: &World, script: &str| {
        let path = world.folder.path().join("az");
        std::fs::write(
            &path,
            format!("#!/bin/sh\necho called >> '{}/calls'\n{script}\n", world.folder.path().display()),
        )
        .unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    az(&world, &format!(r#"echo '{{"accessToken":"{TOKEN}","expires_on":4000000000,"tokenType":"Bearer"}}'"#));
    world.verb(&["canary", "--pct", "10"]).0.expect(0);
    assert_eq!(std::fs::read_to_string(world.folder.path().join("calls")).unwrap(), "called\n");
    az(&world, "echo 'ERROR: hunter2. Please run az login' >&2; exit 1");
    let (ran, _) = world.verb(&["rollback"]);
    assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    ran.expect(5).says("az: nobody is logged in: `az login`");
    az(&world, "exec sleep 30");
    let (ran, _) = world.verb(&["rollback"]);
    assert!((10..28).contains(&ran.took.as_secs()), "{:?}", ran.took);
    ran.expect(5).says("no token from az or azd within 10 s");
}

#[test]
fn an_endpoint_whose_traffic_was_forgotten_is_given_back_to_who_is_named() {
    let world = World::new();
    world.arm.fraud(set(json!({})));
    world.verb(&["rollback"]).0.expect(6).says("there are green, blue");
    world.verb(&["rollback", "--to", "blue"]).0.expect(0);
    assert_eq!(world.traffic(), blue());
}

#[test]
fn names_have_no_case_and_shares_are_whole_percents() {
    let world = World::new();
    world.arm.fraud(|endpoint| {
        endpoint.record["properties"]["traffic"] = json!({"Blue": 100, "green": 0});
        endpoint.record["properties"]["mirrorTraffic"] = json!({"GREEN": 10});
    });
    world.verb(&["canary", "--pct", "0.5", "--candidate", "green"]).0.expect(2).says("--pct 1");
    world.verb(&["canary", "--pct", "10", "--candidate", "Green"]).0.expect(0);
    world.verb(&["canary", "--pct", "20", "--candidate", "GREEN"]).0.expect(0);
    assert_eq!(world.traffic(), json!({"blue": 80, "green": 20}));
    assert_eq!(world.arm.record()["properties"]["mirrorTraffic"], json!({}));
    world.verb(&["rollback", "--to", "BLUE"]).0.expect(0);
    assert_eq!(world.traffic(), blue());
    world.arm.fraud(|endpoint| endpoint.deployments.push(mlroll_faults::arm::deployment("red", 3)));
    world.verb(&["canary", "--pct", "10"]).0.expect(2).says("red, green");
    world.verb(&["canary", "--pct", "10", "--candidate", "purple"]).0.expect(6).says("deployment purple");
}

#[test]
fn a_run_makes_the_calls_that_the_dry_run_printed() {
    for verb in [&["canary", "--pct", "10"][..], &["rollback", "--to", "green"]] {
        let world = World::new();
        let (ran, document) = world.verb(&[verb, &["--dry-run"]].concat());
        ran.expect(0);
        assert_eq!(world.arm.count(PUT), 0);
        let said = document["calls"].as_array().unwrap().clone();
        world.arm.clear_requests();
        world.verb(&[verb, &["--no-wait"]].concat()).0.expect(0);
        let made = world.arm.requests();
        assert_eq!(said.len(), made.len(), "{verb:?}");
        let put = made.iter().find(|request| request.operation == PUT).unwrap();
        let mut bodies = [said.last().unwrap()["body"].clone(), serde_json::from_str::<Value>(&put.text).unwrap()];
        for body in &mut bodies {
            let tag = body["tags"]["mlroll-rollout"].as_str().unwrap().split(" at=").next().unwrap().to_owned();
            body["tags"]["mlroll-rollout"] = tag.into();
        }
        assert_eq!(bodies[0], bodies[1]);
    }
}

const GATED: &str = r#"
[services.fraud]
target = "azure-ml:00000000-0000-0000-0000-000000000000/ml/prod/fraud"
bake = "10m"
[services.fraud.metrics]
source = "azure-monitor"
[[services.fraud.gates]]
metric = "error_rate"
max_increase = { ratio = 1.5, abs = "0.1%" }
"#;

/// A client sees 424 and nothing else when a model fails: a gate on 5xx would pass it.
#[test]
fn a_model_that_crashes_fails_the_default_gate_and_one_that_does_not_passes() {
    let world = World::with_canary();
    std::fs::write(world.folder.path().join("mlroll.toml"), GATED).unwrap();
    let check = || world.run(&["gate", "check", "fraud", "--output", "json"]);
    check().expect(3).says("nothing to judge yet");
    // The shift was an hour ago.
    world.arm.fraud(|endpoint| {
        endpoint.reads_to_settle = 0;
        endpoint.begin(|record| {
            let note = record["tags"]["mlroll-rollout"].as_str().unwrap().to_owned();
            let (before, rest) = note.split_once("at=").unwrap();
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let at = rest[..digits].parse::<i64>().unwrap() - 3600;
            record["tags"]["mlroll-rollout"] = json!(format!("{before}at={at}{}", &rest[digits..]));
        });
    });
    world.arm.set_rates(&[("blue", "200", 9000.0), ("blue", "424", 9.0), ("green", "424", 1000.0)]);
    let document = check().expect(1).json();
    assert_eq!(document["findings"][0]["verdict"], "fail", "{document}");
    world.arm.set_rates(&[
        ("blue", "200", 9000.0),
        ("blue", "424", 9.0),
        ("green", "200", 1000.0),
        ("green", "429", 500.0),
    ]);
    check().expect(0);
    world.arm.set_rates(&[]);
    check().expect(3);
    world.arm.set_rates(&[("blue", "200", 9000.0), ("green", "200", 1000.0)]);
    world.arm.fault(ArmFault::on(ArmOperation::Metrics, ArmKind::status(403, "AuthorizationFailed", "no")).forever());
    check().expect(5);
}

/// The whole loop, in scaled time, with a model that fails every request: only 424 tells.
#[test]
fn a_watched_canary_whose_model_crashes_is_rolled_back() {
    let world = format!(
        r#"
        seed = 7
        start = "2026-11-21T03:00:07Z"
        [targets."{FRAUD}"]
        requests_per_second = 50
        stable = "blue"
        [targets."{FRAUD}".revisions]
        blue = {{ error_rate = 0.002 }}
        green = {{ error_rate = 1 }}
        "#
    );
    let sandbox = Sandbox::start(&["--speed", "600"], &world);
    sandbox.write("mlroll.toml", GATED);
    let (code, document) = sandbox.run(&["canary", "fraud", "--pct", "10"]);
    assert_eq!((code, &document["outcome"]), (1, &json!("rolled_back")), "{document}");
    let (code, status) = sandbox.run(&["status", "fraud"]);
    assert_eq!(code, 0, "{status}");
    let endpoint = &status["targets"][0];
    assert_eq!((&endpoint["bad"], &endpoint["split"][0]["revision"]), (&json!("green"), &json!("blue")), "{status}");
    assert_eq!(endpoint["split"][0]["percent"], 100.0, "{status}");
}
