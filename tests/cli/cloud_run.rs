//! The verbs on Cloud Run: rollback and what comes before it.

use std::process::{Command, Stdio};
use std::time::Instant;

use mlroll_faults::{CloudRun, RunFault, RunRequest, RunService, Tokens};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::world::Ran;

pub(crate) const TARGET: &str = "cloud-run:acme/europe-west3/fraud";
pub(crate) const NAME: &str = "projects/acme/locations/europe-west3/services/fraud";
const LATEST: &str = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST";
pub(crate) const REVISION: &str = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION";

/// A service with revisions a to d, the oldest first, of which b gets everything.
pub(crate) struct World {
    pub(crate) server: CloudRun,
    pub(crate) folder: TempDir,
    env: Vec<(String, String)>,
}

impl World {
    pub(crate) fn new() -> Self {
        let server = CloudRun::start();
        let mut service = RunService::new(&["fraud-a", "fraud-b", "fraud-c", "fraud-d"], "fraud-b");
        service.annotations.insert("team".to_owned(), "ml".to_owned());
        server.add(NAME, service);
        let folder = TempDir::new().unwrap();
        let env = [
            ("HOME", folder.path().to_str().unwrap()),
            ("GOOGLE_OAUTH_ACCESS_TOKEN", "verysecrettoken"),
            ("MLROLL_ENDPOINT_CLOUD_RUN", &server.url()),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()));
        Self { server, env: env.to_vec(), folder }
    }

    /// With a canary of 10 % on d, made by the program itself.
    pub(crate) fn with_canary() -> Self {
        let world = Self::new();
        world.verb(&["canary", "--pct", "10"]).0.expect(0);
        world.server.clear_requests();
        world
    }

    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let started = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_mlroll"));
        command.args(arguments).env_clear().envs(self.env.iter().cloned()).current_dir(self.folder.path());
        let output = command.stdin(Stdio::null()).output().unwrap();
        let ran = Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            took: started.elapsed(),
        };
        assert!(!ran.stdout.contains("verysecret") && !ran.stderr.contains("verysecret"), "a secret got out: {ran:?}");
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
        ran
    }

    pub(crate) fn verb(&self, arguments: &[&str]) -> (Ran, Value) {
        let ran = self.run(&[arguments, &["--target", TARGET, "--output", "json"]].concat());
        let document = ran.json();
        (ran, document)
    }

    pub(crate) fn service(&self) -> RunService {
        self.server.service(NAME).unwrap()
    }

    pub(crate) fn split(&self) -> String {
        self.service().split()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut RunService)) {
        self.server.change(NAME, change);
    }

    pub(crate) fn fault(&self, operation: &'static str, fault: RunFault) {
        self.server.fault(operation, fault);
    }

    pub(crate) fn writes(&self) -> Vec<RunRequest> {
        self.server.requests().into_iter().filter(|request| request.operation == "UpdateService").collect()
    }
}

#[test]
fn a_rollout_by_hand_and_back() {
    let world = World::new();
    let (ran, document) = world.verb(&["canary", "--pct", "10"]);
    ran.expect(0);
    assert_eq!((world.split().as_str(), &document["settled"]), ("fraud-b=90,fraud-d=10", &json!(true)));
    let notes = document["targets"][0]["notes"].to_string();
    assert!(notes.contains("the candidate is fraud-d, the newest; also newer than fraud-b: fraud-c"), "{notes}");
    let (ran, document) = world.verb(&["status"]);
    ran.expect(0);
    let target = &document["targets"][0];
    assert_eq!((&target["guard"], &target["settled"]), (&json!("atomic"), &json!(true)));
    assert_eq!(
        target["split"],
        json!([
            {"revision": "fraud-b", "role": "stable", "percent": 90.0},
            {"revision": "fraud-d", "role": "candidate", "percent": 10.0}
        ])
    );
    world.verb(&["promote", "--force"]).0.expect(0);
    assert_eq!(world.split(), "fraud-d=100");
    let (ran, document) = world.verb(&["rollback"]);
    ran.expect(0);
    assert_eq!((world.split().as_str(), &document["outcome"]), ("fraud-b=100", &json!("rolled_back")));
    let (ran, document) = world.verb(&["rollback"]);
    ran.expect(0).says("already rolled back from fraud-d");
    assert_eq!(document["outcome"], "unchanged");
}

#[test]
fn a_rollback_is_one_read_and_one_write_of_traffic_and_annotations_alone() {
    let world = World::with_canary();
    let (ran, document) = world.verb(&["rollback"]);
    ran.expect(0);
    assert_eq!(document["targets"][0]["calls"], json!({"read": 1, "write": 1, "poll": 1}));
    let requests = world.server.requests();
    assert_eq!(requests.iter().map(|r| r.operation).collect::<Vec<_>>(), ["GetService", "UpdateService", "GetService"]);
    let write = &requests[1];
    assert_eq!(write.query["updateMask"], "traffic,annotations");
    let keys: Vec<&String> = write.body.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["annotations", "etag", "traffic"]);
    assert_eq!(write.body["traffic"], json!([{"type": REVISION, "revision": "fraud-b", "percent": 100}]));
    let annotations = world.service().annotations;
    assert_eq!(annotations["team"], "ml");
    let marker = &annotations["mlroll.dev/rollout"];
    assert!(marker.starts_with("[mlroll v1 state=rolled_back stable=fraud-b bad=fraud-d at="), "{marker}");
    let (ran, document) = world.verb(&["rollback", "--to", "fraud-a", "--no-wait"]);
    ran.expect(0);
    assert_eq!((&document["settled"], &document["targets"][0]["calls"]["poll"]), (&json!(false), &json!(0)));
}

#[test]
fn a_way_back_that_is_not_there_is_found_before_it_is_written() {
    // A name mistyped; and a previous that Cloud Run has deleted since, as it does with old ones.
    let world = World::with_canary();
    world.verb(&["rollback", "--to", "fraud-x"]).0.expect(6).says("'fraud-x' of kind 'REVISION'").says("fraud-a");
    world.verb(&["promote", "--force"]).0.expect(0);
    let (_, document) = world.verb(&["rollback", "--dry-run"]);
    let methods: Vec<&Value> = document["calls"].as_array().unwrap().iter().map(|call| &call["method"]).collect();
    assert_eq!(methods, ["GET", "GET", "PATCH"]);
    world.server.clear_requests();
    world.change(|service| service.revisions.retain(|revision| revision.name != "fraud-b"));
    world.verb(&["rollback"]).0.expect(6).says("'fraud-b' of kind 'REVISION'");
    assert_eq!((world.split().as_str(), world.writes().len()), ("fraud-d=100", 0));
    // To one that is there it is one more read than in a canary.
    let (ran, document) = world.verb(&["rollback", "--to", "fraud-a"]);
    ran.expect(0);
    assert_eq!(document["targets"][0]["calls"], json!({"read": 2, "write": 1, "poll": 1}));
    assert_eq!(world.split(), "fraud-a=100");
}

#[test]
fn the_latest_is_resolved_and_pinned() {
    let world = World::new();
    world.change(|service| service.set_traffic(&json!([{"type": LATEST, "percent": 100, "tag": "live"}])));
    let (_, document) = world.verb(&["status"]);
    assert_eq!(document["targets"][0]["split"][0]["revision"], "fraud-d");
    world.verb(&["canary", "--pct", "5", "--candidate", "fraud-c"]).0.expect(0);
    assert_eq!(world.split(), "fraud-d=95,fraud-c=5");
    let live = world.service().traffic.into_iter().find(|entry| entry["tag"] == "live").unwrap();
    assert_eq!(live, json!({"type": REVISION, "revision": "fraud-d", "tag": "live"}), "the tag stays with the users");
    // An empty list means the latest too.
    world.change(|service| service.traffic.clear());
    assert_eq!(world.verb(&["status"]).1["targets"][0]["split"][0]["percent"], 100.0);
}

#[test]
fn tags_stay_but_for_those_on_failed_revisions() {
    let world = World::with_canary();
    world.change(|service| {
        let tagged = |revision: &str, tag: &str| json!({"type": REVISION, "revision": revision, "tag": tag});
        service.traffic.extend([
            tagged("fraud-a", "old"),
            tagged("fraud-d", "canary"),
            json!({"type": LATEST, "tag": "next"}),
        ]);
        service.fail_revision("fraud-d");
    });
    world.verb(&["rollback"]).0.expect(0);
    let service = world.service();
    let tags: Vec<&str> = service.traffic.iter().filter_map(|entry| entry["tag"].as_str()).collect();
    assert_eq!((service.split().as_str(), tags), ("fraud-b=100", vec!["old", "next"]));
    assert!(service.failure.is_none(), "a tag on the failed revision would have failed the rollback too");
}

#[test]
fn whole_percents_only() {
    let world = World::new();
    world.verb(&["canary", "--pct", "0.5"]).0.expect(2).says("finer than this provider can store");
    world.verb(&["canary", "--pct", "12.5"]).0.expect(2).says("--pct 12 or --pct 13");
    assert!(world.writes().is_empty());
}

#[test]
fn a_candidate_that_cannot_serve_gets_nothing() {
    let world = World::new();
    world.change(|service| service.fail_revision("fraud-d"));
    world
        .verb(&["canary", "--pct", "10", "--candidate", "fraud-d"])
        .0
        .expect(2)
        .says("failed to start and listen on the port");
    world.verb(&["canary", "--pct", "10", "--candidate", "fraud-x"]).0.expect(6).says("'fraud-x' of kind 'REVISION'");
    assert!(world.writes().is_empty());
    // The failed one is not even looked at when none is named; its deploy does not stop a canary of another.
    world.verb(&["canary", "--pct", "10"]).0.expect(0);
    assert_eq!(world.split(), "fraud-b=90,fraud-c=10");
}

#[test]
fn a_service_of_many_regions_is_refused() {
    let world = World::new();
    world.change(|service| service.regions = vec!["europe-west3".to_owned(), "us-central1".to_owned()]);
    for arguments in [&["rollback", "--to", "fraud-a"][..], &["canary", "--pct", "10"]] {
        world.verb(arguments).0.expect(2).says("spans the regions europe-west3, us-central1");
    }
    assert!(world.writes().is_empty());
}

#[test]
fn a_dry_run_prints_the_write_and_stops_before_it() {
    let world = World::with_canary();
    let (ran, document) = world.verb(&["rollback", "--dry-run"]);
    ran.expect(0);
    assert!(world.writes().is_empty());
    let call = &document["calls"].as_array().unwrap()[1];
    assert_eq!(call["method"], "PATCH");
    let url = format!("{}/v2/{NAME}?updateMask=traffic%2Cannotations", world.server.url());
    assert_eq!(call["url"], url.as_str());
    assert_eq!(call["body"]["traffic"][0]["revision"], "fraud-b");
}

pub(crate) fn user_file(tokens: &Tokens) -> Value {
    json!({"type": "authorized_user", "client_id": "me", "client_secret": "verysecretclient",
        "refresh_token": "verysecretrefresh", "token_uri": tokens.url()})
}
