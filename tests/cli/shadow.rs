//! `shadow`: mirrored traffic on Azure ML, which goes from copies to users in one write, from the sandbox's point of view and from a
//! scripted one's.

use std::process::Stdio;
use std::time::{Duration, Instant};

use mlroll_faults::arm::{ArmFault, ArmKind, ArmOperation, Outcome};
use serde_json::{Value, json};

use crate::azure_ml::World;
use crate::sandbox::Sandbox;
use crate::scaled::FastClock;
use crate::world::signal;

const FRAUD: &str = "azure-ml:00000000-0000-0000-0000-000000000000/ml/prod/fraud";
const PATH: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/ml/providers/\
                    Microsoft.MachineLearningServices/workspaces/prod/onlineEndpoints/fraud?api-version=2024-10-01";
const PUT: &str = "OnlineEndpoints_CreateOrUpdate";
const LAMBDA: &str = "lambda:us-east-1/fraud@prod";

const GOOD: &str = r#"{ error_rate = 0.002, latency = { median = "80ms", p95 = "160ms" } }"#;
/// A model that fails every request, of which a client would see nothing but 424.
const CRASHING: &str = r#"{ error_rate = 1, latency = { median = "80ms", p95 = "160ms" } }"#;
const SLOW: &str = r#"{ error_rate = 0.002, latency = { median = "300ms", p95 = "700ms" } }"#;

const GATED: &str = r#"
    [services.fraud]
    target = "azure-ml:00000000-0000-0000-0000-000000000000/ml/prod/fraud"
    bake = "30m"
    [services.fraud.metrics]
    source = "azure-monitor"
    [[services.fraud.gates]]
    metric = "error_rate"
    max_increase = { ratio = 1.5, abs = "0.5%" }
    [[services.fraud.gates]]
    name = "p95"
    query = "metricnames=RequestLatency_P95&$filter=deployment eq '{{revision}}'"
    unit = "ms"
    max = 400
"#;

/// Blue has everything; green is on trial, and red stands beside.
fn start(speed: &str, green: &str, requests_per_second: u32) -> Sandbox {
    let world = format!(
        r#"
        seed = 7
        start = "2026-11-21T03:00:07Z"
        [targets."{FRAUD}"]
        requests_per_second = {requests_per_second}
        stable = "blue"
        [targets."{FRAUD}".revisions]
        blue = {GOOD}
        green = {green}
        red = {{}}
        [targets."{LAMBDA}"]
        requests_per_second = 1
        stable = "2"
        [targets."{LAMBDA}".revisions]
        2 = {{}}
        3 = {{}}
        "#
    );
    let sandbox = Sandbox::start(&["--speed", speed], &world);
    sandbox.write("mlroll.toml", GATED);
    sandbox
}

fn shadow(sandbox: &Sandbox, more: &[&str]) -> (i32, Value) {
    sandbox.run(&[&["shadow", "fraud"], more].concat())
}

/// The same without gates.
fn mirror(sandbox: &Sandbox, percent: &str) -> (i32, Value) {
    shadow(sandbox, &["--pct", percent, "--candidate", "green", "--no-gates"])
}

fn endpoint(sandbox: &Sandbox) -> Value {
    serde_json::from_str(&sandbox.ask("GET", PATH, "")).unwrap()
}

/// Live and mirrored percents.
fn traffic(sandbox: &Sandbox) -> (Value, Value) {
    let properties = endpoint(sandbox)["properties"].clone();
    (properties["traffic"].clone(), properties["mirrorTraffic"].clone())
}

fn blue_alone() -> (Value, Value) {
    (json!({ "blue": 100 }), json!({}))
}

fn puts(sandbox: &Sandbox) -> usize {
    let log: Value = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap();
    log.as_array().unwrap().iter().filter(|request| request["operation"] == PUT).count()
}

/// Makes the endpoint what `edit` makes of it, as somebody else would, and waits until it is.
fn change(sandbox: &Sandbox, edit: impl FnOnce(&mut Value)) {
    let mut wanted = endpoint(sandbox);
    edit(&mut wanted);
    sandbox.ask("PUT", PATH, &wanted.to_string());
    sandbox.ask("POST", "/_sandbox/clock", r#"{"advance":"30s"}"#);
    assert_eq!(endpoint(sandbox)["properties"]["provisioningState"], "Succeeded");
}

fn message(document: &Value) -> &str {
    document["error"]["message"].as_str().unwrap_or_default()
}

#[test]
fn a_shadow_becomes_a_canary_in_one_put_and_everything_else_stays() {
    let sandbox = start("600", GOOD, 50);
    change(&sandbox, |endpoint| {
        endpoint["tags"] = json!({ "team": "fraud", "ümläut": "\"x\"" });
        endpoint["properties"]["description"] = json!("prod");
        endpoint["properties"]["publicNetworkAccess"] = json!("Disabled");
        endpoint["properties"]["newInAFutureVersion"] = json!({ "a": [1, 2.50, null] });
    });
    let ours = |mut endpoint: Value| {
        endpoint.as_object_mut().unwrap().remove("systemData");
        let properties = endpoint["properties"].as_object_mut().unwrap();
        properties.retain(|name, _| !["traffic", "mirrorTraffic", "properties"].contains(&name.as_str()));
        endpoint["tags"].as_object_mut().unwrap().remove("mlroll-rollout");
        endpoint
    };
    let before = ours(endpoint(&sandbox));
    let others = puts(&sandbox);

    let (code, document) = mirror(&sandbox, "20");
    assert_eq!((code, &document["schema"]), (0, &json!("mlroll/shadow/1")), "{document}");
    assert_eq!((&document["verb"], &document["outcome"]), (&json!("shadow"), &json!("shifted")), "{document}");
    let target = &document["targets"][0];
    assert_eq!(target["shadow"], json!({ "revision": "green", "percent": 20.0 }), "{document}");
    assert_eq!((&target["before"], &target["settled"]), (&target["after"], &json!(true)), "users feel nothing");
    assert_eq!((traffic(&sandbox), puts(&sandbox) - others), ((json!({"blue": 100}), json!({"green": 20})), 1));
    assert_eq!(ours(endpoint(&sandbox)), before);
    assert!(endpoint(&sandbox)["tags"].get("mlroll-rollout").is_none(), "nobody is stable, candidate or bad by it");

    let (_, status) = sandbox.run(&["status", "fraud"]);
    let seen = &status["targets"][0];
    assert_eq!(seen["shadow"], json!({ "revision": "green", "percent": 20.0 }), "{status}");
    assert_eq!((seen["split"].as_array().unwrap().len(), &seen["rollout"]), (1, &Value::Null), "{status}");
    let plain = sandbox.command(&["status", "fraud"]).output().unwrap();
    let plain = String::from_utf8(plain.stdout).unwrap();
    assert!(plain.contains("20 % mirrored to green"), "{plain}");

    // Typed twice it is done once; another share is another write, and nobody need be named any more.
    let (code, document) = mirror(&sandbox, "20");
    assert_eq!((code, &document["outcome"], puts(&sandbox) - others), (0, &json!("unchanged"), 1), "{document}");
    let (code, document) = shadow(&sandbox, &["--pct", "30", "--no-gates"]);
    assert_eq!((code, traffic(&sandbox).1, puts(&sandbox) - others), (0, json!({ "green": 30 }), 2), "{document}");

    let (code, document) = sandbox.run(&["canary", "fraud", "--pct", "5", "--candidate", "green", "--no-gates"]);
    assert_eq!((code, &document["outcome"]), (0, &json!("shifted")), "{document}");
    assert_eq!(traffic(&sandbox), (json!({ "blue": 95, "green": 5 }), json!({})));
    assert_eq!(puts(&sandbox) - others, 3, "from copies to users in one write");
    assert!(document.to_string().contains("green gets no copies any more"), "{document}");
    assert_eq!(ours(endpoint(&sandbox)), before);
}

#[test]
fn it_is_ended_by_hand_and_by_a_rollback() {
    let sandbox = start("600", GOOD, 50);
    let (code, document) = shadow(&sandbox, &["--off"]);
    assert_eq!((code, &document["outcome"], puts(&sandbox)), (0, &json!("unchanged"), 0), "{document}");
    mirror(&sandbox, "10");
    let (code, document) = shadow(&sandbox, &["--off"]);
    assert_eq!((code, &document["outcome"], traffic(&sandbox)), (0, &json!("rolled_back"), blue_alone()), "{document}");
    assert_eq!((&document["targets"][0]["shadow"], puts(&sandbox)), (&Value::Null, 2), "{document}");
    let (code, document) = shadow(&sandbox, &["--off"]);
    assert_eq!((code, &document["outcome"], puts(&sandbox)), (0, &json!("unchanged"), 2), "{document}");

    // Where nothing else is to be taken back, a rollback takes that: one read and one write.
    mirror(&sandbox, "10");
    let (code, document) = sandbox.run(&["rollback", "fraud", "--no-wait"]);
    assert_eq!((code, &document["outcome"]), (0, &json!("rolled_back")), "{document}");
    assert_eq!(document["targets"][0]["calls"], json!({ "read": 1, "write": 1, "poll": 0 }), "{document}");
    sandbox.ask("POST", "/_sandbox/clock", r#"{"advance":"2m"}"#);
    assert_eq!(traffic(&sandbox), blue_alone());
    let (code, document) = sandbox.run(&["rollback", "fraud"]);
    assert_eq!((code, &document["outcome"], puts(&sandbox)), (0, &json!("unchanged"), 4), "{document}");
    // After a rollback too: what is mirrored to red ends, and who was bad stays so.
    let (code, document) = shadow(&sandbox, &["--pct", "10", "--candidate", "red", "--no-gates"]);
    assert_eq!(code, 0, "{document}");
    sandbox.ask("POST", "/_sandbox/clock", r#"{"advance":"2m"}"#);
    let (code, document) = sandbox.run(&["rollback", "fraud"]);
    assert_eq!((code, &document["outcome"], traffic(&sandbox)), (0, &json!("rolled_back"), blue_alone()), "{document}");

    // A canary beside what is mirrored to somebody else: the rollback takes back both.
    let (code, document) = sandbox.run(&["canary", "fraud", "--pct", "5", "--candidate", "green", "--no-gates"]);
    assert_eq!(code, 0, "{document}");
    change(&sandbox, |endpoint| endpoint["properties"]["mirrorTraffic"] = json!({ "red": 10 }));
    let (code, document) = sandbox.run(&["rollback", "fraud"]);
    assert_eq!((code, traffic(&sandbox)), (0, blue_alone()), "{document}");
    assert!(document.to_string().contains("red gets no copies any more"), "{document}");
}

#[test]
fn what_cannot_be_is_refused_before_any_write() {
    let sandbox = start("600", GOOD, 50);
    for (arguments, code, said) in [
        (&["--pct", "60", "--candidate", "green"][..], 2, "--pct 60: azure-ml mirrors 50 % of the traffic at most"),
        (&["--pct", "0.5", "--candidate", "green"], 2, "--pct 0.5: azure-ml mirrors in steps of 1 %"),
        (&["--pct", "0", "--candidate", "green"], 2, "--pct 0: nothing would be mirrored"),
        (&["--pct", "10", "--candidate", "blue"], 2, "blue is stable already"),
        (&["--pct", "10", "--candidate", "purple"], 6, "purple"),
        (&["--pct", "10"], 2, "which candidate?"),
        (&["--pct", "10", "--candidate", "green", "--bake", "0s"], 2, "no time at all"),
        (&["--pct", "10", "--no-gates", "--bake", "10m"], 2, "--bake"),
        (&[], 2, "--pct"),
        (&["--pct", "10", "--off"], 2, "--off"),
    ] {
        let (got, document) = shadow(&sandbox, arguments);
        assert!(got == code && message(&document).contains(said), "{arguments:?}: {document}");
    }
    for arguments in [&["--pct", "10", "--candidate", "3"][..], &["--off"]] {
        let (code, document) = sandbox.run(&[&["shadow", "--target", LAMBDA], arguments].concat());
        assert_eq!((code, &document["error"]["kind"]), (2, &json!("unsupported")), "{document}");
        assert!(message(&document).contains("lambda cannot mirror traffic"), "{document}");
    }
    let (code, document) = sandbox.run(&["shadow", "--target", FRAUD, "--target", LAMBDA, "--pct", "10"]);
    assert!(code == 2 && message(&document).contains("2 targets"), "{document}");
    assert_eq!(puts(&sandbox), 0);

    let (code, document) = sandbox.run(&["canary", "fraud", "--pct", "5", "--candidate", "green", "--no-gates"]);
    assert_eq!(code, 0, "{document}");
    for (candidate, said) in [("green", "green has 5 % of the live traffic"), ("red", "a canary is under way")] {
        let (code, document) = shadow(&sandbox, &["--pct", "10", "--candidate", candidate]);
        assert!(code == 4 && message(&document).contains(said), "{document}");
    }
    assert_eq!(puts(&sandbox), 1);
    sandbox.run(&["rollback", "fraud"]);
    change(&sandbox, |endpoint| endpoint["properties"]["mirrorTraffic"] = json!({ "red": 10 }));
    let others = puts(&sandbox);
    let (code, document) = mirror(&sandbox, "10");
    assert!(code == 4 && message(&document).contains("10 % mirrored to red"), "{document}");
    assert_eq!((puts(&sandbox), traffic(&sandbox).1), (others, json!({ "red": 10 })));
}

#[test]
fn on_kubernetes_nothing_is_mirrored() {
    let world = World::new();
    world.arm.fraud(|endpoint| endpoint.record["properties"]["compute"] = json!("/subscriptions/s/k8s"));
    let (ran, document) = world.verb(&["shadow", "--pct", "10"]);
    ran.expect(2).says("no traffic on Kubernetes");
    assert_eq!((&document["error"]["kind"], world.arm.count(ArmOperation::Put)), (&json!("unsupported"), 0));
}

#[test]
fn a_run_makes_the_calls_that_the_dry_run_printed() {
    for verb in [&["--pct", "10"][..], &["--off"]] {
        let world = World::new();
        if verb == ["--off"] {
            world.arm.fraud(|endpoint| endpoint.record["properties"]["mirrorTraffic"] = json!({ "green": 20 }));
        }
        let (ran, document) = world.verb(&[&["shadow", "--dry-run"], verb].concat());
        ran.expect(0);
        assert_eq!(world.arm.count(ArmOperation::Put), 0);
        let said = document["calls"].as_array().unwrap().clone();
        world.arm.clear_requests();
        world.verb(&[&["shadow", "--no-wait"], verb].concat()).0.expect(0);
        let made = world.arm.requests();
        let methods: Vec<&str> = said.iter().map(|call| call["method"].as_str().unwrap()).collect();
        assert_eq!(methods, made.iter().map(|request| request.method.as_str()).collect::<Vec<_>>(), "{verb:?}");
        let put: Value = serde_json::from_str(&made.last().unwrap().text).unwrap();
        assert_eq!(said.last().unwrap()["body"], put, "{verb:?}");
    }
}

/// Half an hour of copies to somebody who is well, who fails, who is slow, and of nothing.
#[test]
fn its_gates_pass_it_or_end_it() {
    for (green, requests, code, outcome, kind) in [
        (GOOD, 50, 0, "shifted", None),
        (CRASHING, 50, 1, "rolled_back", Some("gate_failed")),
        (SLOW, 50, 1, "rolled_back", Some("gate_failed")),
        (GOOD, 0, 3, "held", Some("no_data")),
    ] {
        let sandbox = start("900", green, requests);
        let (got, document) = shadow(&sandbox, &["--pct", "20", "--candidate", "green"]);
        assert_eq!((got, document["outcome"].as_str()), (code, Some(outcome)), "{document}");
        assert_eq!(document["error"]["kind"].as_str(), kind, "{document}");
        let stays = if code == 1 { json!({}) } else { json!({ "green": 20 }) };
        assert_eq!(traffic(&sandbox), (json!({ "blue": 100 }), stays), "{document}");
        assert_eq!(puts(&sandbox), if code == 1 { 2 } else { 1 }, "{document}");
        let findings = document["findings"].as_array().unwrap();
        let failed: Vec<&str> =
            findings.iter().filter_map(|f| (f["verdict"] == "fail").then(|| f["gate"].as_str())?).collect();
        let expected = match green {
            CRASHING => vec!["error_rate"],
            SLOW => vec!["p95"],
            _ => Vec::new(),
        };
        assert_eq!(failed, expected, "{document}");
        if code == 0 {
            let (code, document) =
                sandbox.run(&["canary", "fraud", "--pct", "5", "--candidate", "green", "--no-gates"]);
            assert_eq!((code, puts(&sandbox)), (0, 2), "{document}");
        }
    }
}

#[test]
fn who_may_not_end_it_any_more_says_so() {
    let sandbox = start("900", CRASHING, 50);
    let forbidden = json!({ "api": "azure-ml", "operation": PUT, "fault": "status", "status": 403,
        "code": "AuthorizationFailed", "skip": 1 });
    sandbox.ask("POST", "/_sandbox/faults", &forbidden.to_string());
    let (code, document) = shadow(&sandbox, &["--pct", "20", "--candidate", "green"]);
    assert_eq!((code, traffic(&sandbox).1), (5, json!({ "green": 20 })), "{document}");
    for said in
        ["green is worse on mirrored traffic; gate `error_rate`", "it could not be switched off", "shadow --off"]
    {
        assert!(document["error"].to_string().contains(said), "{said}: {document}");
    }
    assert_eq!(document["targets"][0]["shadow"]["revision"], "green", "{document}");
    assert_eq!((shadow(&sandbox, &["--off"]).0, traffic(&sandbox)), (0, blue_alone()));
}

/// Nobody counts the copies: that the candidate has no errors shows nothing.
#[test]
fn copies_that_are_not_counted_are_no_pass() {
    let clock = FastClock::start(600.0);
    let mut world = World::new();
    world.env.push(("MLROLL_CLOCK", clock.url));
    let first_gate = GATED.rsplit_once("[[services.fraud.gates]]").unwrap().0;
    std::fs::write(world.folder.path().join("mlroll.toml"), first_gate).unwrap();
    world.arm.set_rates(&[("blue", "200", 3000.0)]);
    let ran = world.run(&["shadow", "fraud", "--pct", "20", "--output", "json"]);
    let document = ran.json();
    ran.expect(3);
    assert_eq!(document["error"]["kind"], "starved", "{document}");
    assert_eq!(world.arm.record()["properties"]["mirrorTraffic"], json!({ "green": 20 }));
}

/// What a watch over a healthy candidate comes to when something happens in the middle of it.
fn disturbed(disturb: impl FnOnce(&Sandbox, &std::process::Child)) -> (Sandbox, i32, Value) {
    let sandbox = start("60", GOOD, 50);
    let mut command = sandbox.command(&["shadow", "fraud", "--pct", "20", "--candidate", "green", "--output", "json"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let started = Instant::now();
    // The first look after the mirror is on: from then on it is watched.
    loop {
        assert!(started.elapsed() < Duration::from_secs(60), "nobody looks");
        let log: Value = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap();
        let log = log.as_array().unwrap();
        let written = log.iter().position(|request| request["operation"] == PUT).unwrap_or(log.len());
        if log[written..].iter().any(|request| request["api"] == "azure-monitor") {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    disturb(&sandbox, &child);
    let output = child.wait_with_output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let document = serde_json::from_str(&stdout);
    let document = document.unwrap_or_else(|e| panic!("{e}: {stdout}\n{}", String::from_utf8_lossy(&output.stderr)));
    (sandbox, output.status.code().unwrap_or(-1), document)
}

#[test]
fn an_interrupt_ends_it() {
    for name in ["INT", "TERM"] {
        let (sandbox, code, document) = disturbed(|_, child| signal(child, name));
        assert_eq!((code, &document["outcome"]), (130, &json!("rolled_back")), "{document}");
        assert_eq!((traffic(&sandbox), puts(&sandbox)), (blue_alone(), 2), "{document}");
    }
    // Also before it is in force: Azure is still at work.
    let sandbox = start("2", GOOD, 50);
    let mut command = sandbox.command(&["shadow", "fraud", "--pct", "20", "--candidate", "green", "--output", "json"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while puts(&sandbox) == 0 {
        std::thread::sleep(Duration::from_millis(20));
    }
    signal(&child, "TERM");
    sandbox.ask("POST", "/_sandbox/clock", r#"{"advance":"30s"}"#);
    std::thread::sleep(Duration::from_millis(1500));
    sandbox.ask("POST", "/_sandbox/clock", r#"{"advance":"30s"}"#);
    let output = child.wait_with_output().unwrap();
    let document = String::from_utf8_lossy(&output.stdout);
    assert_eq!((output.status.code(), traffic(&sandbox), puts(&sandbox)), (Some(130), blue_alone(), 2), "{document}");
}

#[test]
fn what_somebody_else_does_meanwhile_ends_it_and_is_left_alone() {
    let (sandbox, code, document) = disturbed(|sandbox, _| {
        change(sandbox, |endpoint| endpoint["properties"]["mirrorTraffic"] = json!({ "red": 10 }));
    });
    assert_eq!((code, &document["outcome"]), (4, &json!("halted")), "{document}");
    assert_eq!((traffic(&sandbox).1, puts(&sandbox)), (json!({ "red": 10 }), 2), "{document}");

    let (sandbox, code, document) = disturbed(|sandbox, _| {
        change(sandbox, |endpoint| endpoint["properties"]["traffic"] = json!({ "blue": 90, "red": 10 }));
    });
    assert_eq!((code, traffic(&sandbox).0), (4, json!({ "blue": 90, "red": 10 })), "{document}");
    assert_eq!(traffic(&sandbox).1, json!({ "green": 20 }), "nobody asked for its end");

    let (sandbox, code, document) = disturbed(|sandbox, _| {
        let (code, document) = sandbox.run(&["rollback", "fraud"]);
        assert_eq!((code, &document["outcome"]), (0, &json!("rolled_back")), "{document}");
    });
    assert_eq!((code, traffic(&sandbox), puts(&sandbox)), (4, blue_alone(), 2), "{document}");
}

#[test]
fn a_store_that_dies_ends_the_watch_and_not_the_copies() {
    let (sandbox, code, document) = disturbed(|sandbox, _| {
        let dead = json!({ "api": "azure-monitor", "fault": "status", "status": 403, "times": 1_000_000 });
        sandbox.ask("POST", "/_sandbox/faults", &dead.to_string());
    });
    assert_eq!((code, &document["error"]["kind"]), (3, &json!("no_data")), "{document}");
    assert_eq!((traffic(&sandbox).1, puts(&sandbox)), (json!({ "green": 20 }), 1), "{document}");
    assert!(message(&document).contains("stays mirrored"), "{document}");
}

#[test]
fn what_azure_loses_refuses_or_delays_is_mirrored_once() {
    let updating = "Cannot update the endpoint because it is in Updating provisioning state";
    for (kind, writes) in [
        (ArmKind::ResetAfter, 1),
        (ArmKind::AnsweredAfter(502), 1),
        (ArmKind::ResetBefore, 2),
        (ArmKind::status(503, "x", "later"), 2),
        (ArmKind::status(409, "Conflict", updating), 2),
        (ArmKind::throttled(0), 2),
    ] {
        for (verb, before, after) in
            [(&["--pct", "10"][..], json!({}), json!({ "green": 10 })), (&["--off"], json!({ "green": 10 }), json!({}))]
        {
            let world = World::new();
            world.arm.fraud(|endpoint| endpoint.record["properties"]["mirrorTraffic"] = before);
            world.arm.fault(ArmFault::on(ArmOperation::Put, kind.clone()));
            let (ran, document) = world.verb(&[&["shadow"], verb].concat());
            ran.expect(0);
            assert_eq!(document["targets"][0]["settled"], true, "{kind:?}");
            assert_eq!(world.arm.record()["properties"]["mirrorTraffic"], after, "{kind:?}");
            assert_eq!(world.arm.count(ArmOperation::Put), writes, "{kind:?} {verb:?}");
            assert_eq!(world.arm.record()["properties"]["traffic"], json!({ "blue": 100 }));
        }
    }
    for (kind, code) in
        [(ArmKind::status(403, "AuthorizationFailed", "no"), 5), (ArmKind::status(400, "BadRequest", "no"), 2)]
    {
        let world = World::new();
        world.arm.fault(ArmFault::on(ArmOperation::Put, kind));
        world.verb(&["shadow", "--pct", "10"]).0.expect(code);
    }
    let world = World::new();
    world.arm.fraud(|endpoint| endpoint.outcomes = vec![Outcome::Failed]);
    world.verb(&["shadow", "--pct", "10"]).0.expect(8).says("not in force").says("shadow --off");
}
