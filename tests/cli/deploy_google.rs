//! `deploy` on Cloud Run: one revision at zero traffic, whatever happens on the way.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

const TARGET: &str = "cloud-run:acme/europe-west3/fraud";
pub(crate) const SERVICE: &str = "/v2/projects/acme/locations/europe-west3/services/fraud";
pub(crate) const IMAGE: &str = "europe-docker.pkg.dev/acme/models/fraud@sha256:0123";
const BAD: &str = "europe-docker.pkg.dev/acme/models/fraud:bad";
const LATEST: &str = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST";
const REVISION: &str = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION";

/// Revisions take five minutes to start, which is one second here.
pub(crate) fn sandbox() -> Sandbox {
    let scenario = format!(
        r#"
        cloud_run = {{ start = "5m", images."{BAD}" = {{ state = "Failed" }} }}
        [targets."{TARGET}"]
        requests_per_second = 20
        stable = "fraud-00002-b"
        [targets."{TARGET}".revisions]
        fraud-00001-a = {{}}
        fraud-00002-b = {{}}
        fraud-00003-c = {{}}
        "#
    );
    Sandbox::start(&["--speed", "300"], &scenario)
}

pub(crate) fn call(sandbox: &Sandbox, method: &str, path: &str, body: &Value) -> Value {
    let mut command = Command::new("curl");
    // What is refused for its rate is asked again.
    command.args([
        "-sf",
        "--noproxy",
        "*",
        "--retry",
        "8",
        "-X",
        method,
        "-H",
        "Authorization: Bearer any",
        "-H",
        "Content-Type: application/json",
    ]);
    if !body.is_null() {
        command.args(["-d", &body.to_string()]);
    }
    let output = command.arg(format!("{}{path}", sandbox.url())).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{method} {path}: {output:?}"))
}

pub(crate) fn service(sandbox: &Sandbox) -> Value {
    call(sandbox, "GET", SERVICE, &Value::Null)
}

pub(crate) fn revisions(sandbox: &Sandbox) -> Vec<String> {
    let listed = call(sandbox, "GET", &format!("{SERVICE}/revisions"), &Value::Null);
    let names = listed["revisions"].as_array().unwrap().iter();
    names.map(|one| one["name"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()).collect()
}

pub(crate) fn log(sandbox: &Sandbox, operation: &str) -> Vec<Value> {
    let log = call(sandbox, "GET", "/_sandbox/requests", &Value::Null);
    log.as_array().unwrap().iter().filter(|request| request["operation"] == operation).cloned().collect()
}

pub(crate) fn fault(sandbox: &Sandbox, fault: &Value) {
    let mut whole = json!({ "api": "cloud-run", "target": "fraud" });
    whole.as_object_mut().unwrap().extend(fault.as_object().unwrap().clone());
    sandbox.ask("POST", "/_sandbox/faults", &whole.to_string());
}

pub(crate) fn settled(sandbox: &Sandbox) -> Value {
    sandbox.ask("POST", "/_sandbox/clock", r#"{"advance": "10m"}"#);
    service(sandbox)
}

pub(crate) fn deploy(sandbox: &Sandbox, more: &[&str]) -> (i32, Value) {
    sandbox.run(&[&["deploy", "--target", TARGET], more].concat())
}

/// What the service routes to; the whole list, tags too.
pub(crate) fn everything_on_b() -> Value {
    json!([{ "type": REVISION, "revision": "fraud-00002-b", "percent": 100 }])
}

#[test]
fn a_new_image_gets_a_revision_and_no_traffic() {
    let sandbox = sandbox();
    let (code, said) = deploy(&sandbox, &["--image", IMAGE, "--min-instances", "2"]);
    assert_eq!((code, &said["outcome"]), (0, &json!("deployed")), "{said}");
    let name = said["targets"][0]["revision"].as_str().unwrap().to_owned();
    assert!(
        said["targets"][0]["notes"][0].as_str().unwrap().starts_with("2 of its instances are kept ready"),
        "{said}"
    );
    let made = call(&sandbox, "GET", &format!("{SERVICE}/revisions/{name}"), &Value::Null);
    assert_eq!((&made["containers"][0]["image"], &made["scaling"]["minInstanceCount"]), (&json!(IMAGE), &json!(2)));
    assert_eq!(made["conditions"][0]["state"], "CONDITION_SUCCEEDED", "it waits until the revision could serve");
    let now = service(&sandbox);
    assert_eq!((&now["traffic"], &now["trafficStatuses"]), (&everything_on_b(), &everything_on_b()));
    // Typed again it is the same one, and nothing is written.
    let (code, again) = deploy(&sandbox, &["--image", IMAGE, "--min-instances", "2"]);
    assert_eq!((code, &again["outcome"], &again["targets"][0]["revision"]), (0, &json!("unchanged"), &json!(name)));
    assert_eq!((log(&sandbox, "UpdateService").len(), revisions(&sandbox).len()), (1, 4));
    // Something else in it is another one; the name is mine to choose, and means one thing.
    let (code, other) = deploy(&sandbox, &["--image", IMAGE, "--name", "fraud-next"]);
    assert_eq!((code, &other["targets"][0]["revision"]), (0, &json!("fraud-next")), "{other}");
    let (code, taken) = deploy(&sandbox, &["--image", "fraud:9", "--name", "fraud-next"]);
    assert_eq!(code, 2, "{taken}");
    assert!(taken["error"]["message"].as_str().unwrap().contains("give another --name"), "{taken}");
    // And then it can have a share, or is refused one while it is on trial.
    let (code, _) = sandbox.run(&["canary", "--pct", "5", "--candidate", &name, "--no-gates", "--target", TARGET]);
    assert_eq!(code, 0);
    let (code, refused) = deploy(&sandbox, &["--image", "fraud:10"]);
    assert_eq!((code, revisions(&sandbox).len()), (4, 5), "{refused}");
}

#[test]
fn a_name_that_somebody_takes_meanwhile_is_not_ours() {
    let sandbox = sandbox();
    assert_eq!(deploy(&sandbox, &["--image", "fraud:theirs", "--name", "fraud-next"]).0, 0);
    // As if it came after our look: there is no such revision yet, and then Cloud Run says that there is.
    fault(&sandbox, &json!({ "operation": "GetRevision", "fault": "stale", "times": 2 }));
    let (code, said) = deploy(&sandbox, &["--image", IMAGE, "--name", "fraud-next"]);
    assert_eq!(code, 2, "{said}");
    let message = said["error"]["message"].as_str().unwrap();
    assert!(message.contains("it runs fraud:theirs") && message.contains("give another --name"), "{message}");
    assert_eq!(log(&sandbox, "UpdateService").len(), 2, "it was tried");
}

#[test]
fn a_copy_has_what_stable_has_and_not_what_was_deployed_since() {
    let sandbox = sandbox();
    let template = json!({ "timeout": "7s", "containers": [{ "image": "fraud:somebody" }] });
    let body = json!({ "template": template, "traffic": everything_on_b() });
    call(&sandbox, "PATCH", &format!("{SERVICE}?updateMask=template,traffic"), &body);
    settled(&sandbox);
    let (code, said) = deploy(&sandbox, &["--from-stable", "--min-instances", "1"]);
    assert_eq!(code, 0, "{said}");
    let name = said["targets"][0]["revision"].as_str().unwrap();
    let made = call(&sandbox, "GET", &format!("{SERVICE}/revisions/{name}"), &Value::Null);
    assert_eq!((&made["timeout"], &made["scaling"]["minInstanceCount"]), (&json!("300s"), &json!(1)));
    let image = made["containers"][0]["image"].as_str().unwrap();
    assert!(image.starts_with("europe-docker.pkg.dev/acme/models/fraud@sha256:"), "the very image: {image}");
    let (code, said) = deploy(&sandbox, &["--from-stable"]);
    assert_eq!(code, 2, "a copy that differs in nothing: {said}");
}

#[test]
fn who_follows_the_latest_is_pinned_first() {
    let sandbox = sandbox();
    let follow =
        json!([{ "type": LATEST, "percent": 100 }, { "type": REVISION, "revision": "fraud-00001-a", "tag": "old" }]);
    call(&sandbox, "PATCH", &format!("{SERVICE}?updateMask=traffic"), &json!({ "traffic": follow }));
    let before = settled(&sandbox);
    assert_eq!(before["trafficStatuses"][0]["revision"], "fraud-00003-c");
    let (code, said) = deploy(&sandbox, &["--image", IMAGE]);
    assert_eq!(code, 0, "{said}");
    let now = service(&sandbox);
    let pinned = json!([{ "type": REVISION, "revision": "fraud-00003-c", "percent": 100 }, { "type": REVISION, "revision": "fraud-00001-a", "tag": "old" }]);
    assert_eq!(now["traffic"], pinned);
    assert!(said["targets"][0]["notes"].to_string().contains("traffic followed the latest revision"), "{said}");
    let writes = log(&sandbox, "UpdateService");
    assert_eq!(writes.len(), 2, "pinned and made in one request");
    // Nobody can tell who is the latest while it changes.
    call(&sandbox, "PATCH", &format!("{SERVICE}?updateMask=traffic"), &json!({ "traffic": [] }));
    fault(&sandbox, &json!({ "operation": "UpdateService", "fault": "settle_forever" }));
    call(&sandbox, "PATCH", &format!("{SERVICE}?updateMask=annotations"), &json!({ "annotations": {} }));
    let (code, said) = deploy(&sandbox, &["--image", "fraud:next"]);
    assert_eq!(code, 4, "{said}");
}

#[test]
fn one_that_does_not_start_is_told_in_googles_words_and_serves_nobody() {
    let sandbox = sandbox();
    for _ in 0..2 {
        let (code, said) = deploy(&sandbox, &["--image", BAD]);
        let message = said["error"]["message"].as_str().unwrap();
        assert_eq!(code, 2, "{said}");
        assert!(message.contains("The user-provided container failed to start and listen on the port"), "{message}");
        assert!(message.contains("another --name"), "{message}");
    }
    assert_eq!((log(&sandbox, "UpdateService").len(), revisions(&sandbox).len()), (1, 4), "typed twice it is one");
    let now = service(&sandbox);
    assert_eq!((&now["traffic"], &now["trafficStatuses"]), (&everything_on_b(), &everything_on_b()));
    // The next one is not held responsible for it.
    let (code, said) = deploy(&sandbox, &["--image", IMAGE]);
    assert_eq!(code, 0, "{said}");
    // It takes its time, and a limit is kept.
    let (code, said) = deploy(&sandbox, &["--image", "fraud:slow", "--timeout", "300ms"]);
    assert_eq!(code, 7, "{said}");
    let (code, said) = deploy(&sandbox, &["--image", "fraud:slow"]);
    assert_eq!((code, &said["outcome"]), (0, &json!("unchanged")), "it goes on where it was: {said}");
}

#[test]
fn a_dry_run_asks_whether_it_would_be_taken_and_keeps_nothing() {
    let sandbox = sandbox();
    let before = service(&sandbox)["etag"].clone();
    let (code, said) = deploy(&sandbox, &["--image", IMAGE, "--dry-run"]);
    assert_eq!((code, &said["schema"]), (0, &json!("mlroll/dry-run/1")), "{said}");
    let calls = said["calls"].as_array().unwrap();
    let patches: Vec<&Value> = calls.iter().filter(|call| call["method"] == "PATCH").collect();
    assert_eq!(patches.len(), 2, "{said}");
    assert!(patches[0]["url"].as_str().unwrap().ends_with("?updateMask=template"), "{said}");
    assert!(patches[1]["url"].as_str().unwrap().ends_with("?updateMask=template&validateOnly=true"), "{said}");
    assert_eq!(patches[0]["body"], patches[1]["body"]);
    assert_eq!((service(&sandbox)["etag"].clone(), revisions(&sandbox).len()), (before, 3));
    assert_eq!(log(&sandbox, "UpdateService").len(), 1, "the other one stayed here");
    // What Cloud Run would refuse is found without harm.
    let fault_ = json!({ "operation": "UpdateService", "fault": "status", "status": 403, "code": "PERMISSION_DENIED" });
    fault(&sandbox, &fault_);
    assert_eq!(deploy(&sandbox, &["--image", IMAGE, "--dry-run"]).0, 5);
    // The run then sends what was shown.
    let (_, ran) = deploy(&sandbox, &["--image", IMAGE]);
    assert_eq!(ran["targets"][0]["revision"], said["targets"][0]["revision"]);
}

#[test]
fn a_first_deploy_says_why_it_cannot_be_at_zero() {
    let sandbox = sandbox();
    let (code, said) = sandbox.run(&["deploy", "--image", IMAGE, "--target", "cloud-run:acme/europe-west3/new"]);
    assert_eq!(code, 6, "{said}");
    assert!(said["error"]["hints"].to_string().contains("a first deploy cannot be at 0 %"), "{said}");
    let (code, said) = deploy(&sandbox, &["--model", "m"]);
    assert_eq!(code, 2, "{said}");
    assert!(said["error"]["hints"].to_string().contains("--image, --from-stable"), "{said}");
    let (code, said) = deploy(&sandbox, &["--image", IMAGE, "--instances", "3"]);
    assert_eq!(code, 2, "{said}");
    let (code, said) = deploy(&sandbox, &["--image", IMAGE, "--name", "other-1"]);
    assert_eq!(code, 2, "{said}");
    assert!(log(&sandbox, "UpdateService").is_empty());
}

#[test]
fn a_lost_answer_and_a_killed_run_leave_one_revision() {
    for kind in ["reset_after", "reset_before", "truncate"] {
        let sandbox = sandbox();
        fault(&sandbox, &json!({ "operation": "UpdateService", "fault": kind }));
        let (code, said) = deploy(&sandbox, &["--image", IMAGE]);
        assert_eq!((code, &said["outcome"], revisions(&sandbox).len()), (0, &json!("deployed"), 4), "{kind}: {said}");
    }
    // Killed before the write arrives, while its answer is on its way, and while the revision starts.
    for (operation, skip) in [("GetRevision", 0), ("UpdateService", 0), ("GetRevision", 2)] {
        let sandbox = sandbox();
        fault(&sandbox, &json!({ "operation": operation, "skip": skip, "fault": "latency", "latency_ms": 60_000 }));
        let mut command = Command::new(env!("CARGO_BIN_EXE_mlroll"));
        command.args(["deploy", "--image", IMAGE, "--target", TARGET]).env_clear().envs(sandbox.exports.clone());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let started = Instant::now();
        while log(&sandbox, operation).len() <= skip {
            assert!(started.elapsed() < Duration::from_secs(180), "{operation} {skip}");
            std::thread::sleep(Duration::from_millis(20));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        sandbox.ask("DELETE", "/_sandbox/faults", "");
        let (code, said) = deploy(&sandbox, &["--image", IMAGE]);
        assert_eq!((code, revisions(&sandbox).len()), (0, 4), "{operation} {skip}: {said}");
        assert_eq!(service(&sandbox)["traffic"], everything_on_b());
    }
}

#[test]
fn somebody_elses_change_in_between_is_not_overwritten() {
    let sandbox = sandbox();
    fault(&sandbox, &json!({ "operation": "UpdateService", "fault": "foreign_write" }));
    let (code, said) = deploy(&sandbox, &["--image", IMAGE]);
    assert_eq!((code, revisions(&sandbox).len()), (4, 3), "{said}");
    assert_eq!(service(&sandbox)["traffic"][1]["percent"], 42, "theirs");
    // Passing failures are not noticed.
    let sandbox = self::sandbox();
    for (status, code) in [(429, "RESOURCE_EXHAUSTED"), (503, "UNAVAILABLE")] {
        fault(&sandbox, &json!({ "operation": "UpdateService", "fault": "status", "status": status, "code": code }));
    }
    fault(
        &sandbox,
        &json!({ "operation": "GetRevision", "fault": "status", "status": 503, "code": "UNAVAILABLE", "times": 2 }),
    );
    let (code, said) = deploy(&sandbox, &["--image", IMAGE]);
    assert_eq!((code, revisions(&sandbox).len()), (0, 4), "{said}");
}
