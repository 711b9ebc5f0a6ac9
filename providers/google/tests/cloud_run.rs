//! The backend over real HTTP, against a control plane that checks everything and fails on demand.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use mlroll_backend::{
    Backend, ErrorKind, Marker, MarkerState, Readiness, RevisionId, Snapshot, Target, Timestamp, TrafficSplit, Weight,
};
use mlroll_faults::{CloudRun as Server, RunFault, RunService, Tap, Tokens, envelope};
use mlroll_google::cloud_run::CloudRun;
use mlroll_google::{Limits, Secret, Settings};
use serde_json::{Value, json};

const NAME: &str = "projects/acme/locations/europe-west3/services/fraud";

struct Case {
    server: Server,
    target: Target,
    tap: Arc<Tap>,
    backend: CloudRun,
}

fn settings(url: &str) -> Settings {
    Settings {
        access_token: Some(Secret::new("verysecrettoken")),
        cloud_run: Some(url.to_owned()),
        limits: Limits { backoff: Duration::from_millis(1), ..Limits::default() },
        ..Settings::default()
    }
}

impl Case {
    fn new() -> Self {
        Self::with(false)
    }

    fn with(rehearsal: bool) -> Self {
        let server = Server::start();
        server.add(NAME, RunService::new(&["fraud-a", "fraud-b", "fraud-c", "fraud-d", "fraud-e"], "fraud-b"));
        let tap = Arc::new(Tap::new(rehearsal));
        let backend = CloudRun::new(&settings(&server.url()), Arc::clone(&tap) as _).unwrap();
        Self { server, target: NAME.parse().unwrap(), tap, backend }
    }

    async fn observe(&self) -> Snapshot {
        self.backend.observe(&self.target).await.unwrap()
    }

    fn sent(&self) -> Vec<&'static str> {
        self.tap.calls().iter().map(|call| call.operation).collect()
    }
}

fn id(text: &str) -> RevisionId {
    text.parse().unwrap()
}

fn canary(percent: u16) -> (TrafficSplit, Marker) {
    let share = Weight::from_basis_points(percent * 100).unwrap();
    let split = TrafficSplit::between(id("fraud-b"), id("fraud-d"), share);
    let state = MarkerState::Canary { candidate: id("fraud-d") };
    let at = Timestamp::from_unix_seconds(1_795_230_000);
    (split, Marker { state, stable: id("fraud-b"), previous: None, at, id: Some("ID".to_owned()) })
}

/// Answers every read with this service.
async fn observed(service: Value) -> Result<Snapshot, mlroll_backend::Error> {
    let server = Tokens::answering(move |_, _| Some((200, service.clone())));
    let backend = CloudRun::new(&settings(&server.url()), Arc::new(Tap::default())).unwrap();
    backend.observe(&NAME.parse().unwrap()).await
}

#[tokio::test]
async fn a_shift_is_accepted_then_observed_as_it_was_written() {
    let case = Case::new();
    for percent in [1, 10, 50, 99] {
        let seen = case.observe().await;
        let (to, marker) = canary(percent);
        let after = case.backend.shift(&case.target, &to, &seen, &marker).await.unwrap();
        assert_eq!((&after.split, &after.marker), (&Some(to.clone()), &Some(marker.clone())));
        assert!(matches!(after.readiness, Readiness::Settling(_)), "accepted is not live");
        let now = case.observe().await;
        assert_eq!((&now.split, &now.marker, &now.readiness), (&Some(to), &Some(marker), &Readiness::Live));
        assert_ne!(now.guard.token, seen.guard.token);
        assert!(now.modified.is_some());
    }
}

#[tokio::test]
async fn a_backend_that_never_saw_the_service_reads_it_before_it_writes() {
    let case = Case::new();
    let seen = case.observe().await;
    let fresh = CloudRun::new(&settings(&case.server.url()), Arc::clone(&case.tap) as _).unwrap();
    let (to, marker) = canary(10);
    fresh.shift(&case.target, &to, &seen, &marker).await.unwrap();
    assert_eq!(case.sent(), ["GetService", "GetService", "GetRevision", "UpdateService"]);
    // And writes nothing when it has changed.
    let error = fresh.shift(&case.target, &to, &seen, &marker).await.unwrap_err();
    assert_eq!((error.kind(), case.sent().len()), (ErrorKind::Conflict, 5));
}

#[tokio::test]
async fn who_gets_traffic_is_looked_for_where_nothing_has_told_yet() {
    // In the traffic: no read. Named by a tag, or checked before: none either.
    let case = Case::new();
    let (to, marker) = canary(10);
    let tagged = json!([{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": "fraud-b", "percent": 100},
        {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": "fraud-d", "tag": "next"}]);
    case.server.change(NAME, |service| service.set_traffic(&tagged));
    let seen = case.observe().await;
    case.backend.shift(&case.target, &to, &seen, &marker).await.unwrap();
    assert_eq!(case.sent(), ["GetService", "UpdateService"]);
    let case = Case::new();
    let seen = case.observe().await;
    assert!(case.backend.check(&case.target, &id("fraud-b"), &id("fraud-d")).await.unwrap().is_empty());
    case.backend.shift(&case.target, &to, &seen, &marker).await.unwrap();
    assert_eq!(case.sent(), ["GetService", "GetRevision", "GetRevision", "UpdateService"]);
    // Not there: nothing is written.
    let case = Case::new();
    let seen = case.observe().await;
    let back = Marker { state: MarkerState::RolledBack { bad: None }, ..marker };
    let to = TrafficSplit::full(id("fraud-x"));
    let error = case.backend.shift(&case.target, &to, &seen, &back).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::NotFound, "GetRevision"));
    assert!(error.to_string().contains("'fraud-x' of kind 'REVISION' does not exist"), "{error}");
    assert_eq!(case.sent(), ["GetService", "GetRevision"]);
    // Nobody may tell: the way back needs no answer.
    let refused = envelope(403, "PERMISSION_DENIED", "no").to_string();
    case.server.fault("GetRevision", RunFault::Status(403, "application/json", refused, None));
    let to = TrafficSplit::full(id("fraud-a"));
    case.backend.shift(&case.target, &to, &seen, &back).await.unwrap();
    assert_eq!(case.server.service(NAME).unwrap().split(), "fraud-a=100");
}

#[tokio::test]
async fn a_service_that_is_scaled_to_nothing_serves_nobody() {
    let service = |scaling: Value| {
        json!({"etag": "e", "generation": "1", "observedGeneration": "1", "scaling": scaling, "conditions":
            [{"type": "Ready", "state": "CONDITION_SUCCEEDED"}],
            "traffic": [{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": "fraud-b", "percent": 100}]})
    };
    for (scaling, found) in [
        (json!({"scalingMode": "MANUAL", "manualInstanceCount": 0}), 1),
        (json!({"scalingMode": "MANUAL", "manualInstanceCount": 2}), 0),
        (json!({"scalingMode": "AUTOMATIC"}), 0),
        (json!({}), 0),
    ] {
        let answer = service(scaling.clone());
        let server = Tokens::answering(move |_, _| Some((200, answer.clone())));
        let backend = CloudRun::new(&settings(&server.url()), Arc::new(Tap::default())).unwrap();
        let target = NAME.parse().unwrap();
        backend.observe(&target).await.unwrap();
        let obstacles = backend.check(&target, &id("fraud-b"), &id("fraud-d")).await.unwrap();
        assert_eq!(obstacles.len(), found, "{scaling}: {obstacles:?}");
        assert!(obstacles.iter().all(|one| one.what.contains("0 instances")), "{obstacles:?}");
    }
}

/// It is ready to its end, and takes whoever was shifted to it along.
#[tokio::test]
async fn a_revision_that_is_being_deleted_gets_nothing() {
    for (going, says) in [
        ("", &[][..]),
        ("fraud-d", &["the candidate fraud-d is being deleted"]),
        ("fraud-b", &["the way back: stable fraud-b is being deleted"]),
        ("fraud", &["the candidate fraud-d is being deleted", "the way back: stable fraud-b is being deleted"]),
    ] {
        let server = Tokens::answering(move |_, asked| {
            let mut found = json!({"conditions": [{"type": "Ready", "state": "CONDITION_SUCCEEDED"}]});
            let revision = asked.path.rsplit('/').next().unwrap();
            if !going.is_empty() && revision.starts_with(going) {
                found["deleteTime"] = json!("2026-11-21T03:00:00Z");
            }
            Some((200, found))
        });
        let backend = CloudRun::new(&settings(&server.url()), Arc::new(Tap::default())).unwrap();
        let obstacles = backend.check(&NAME.parse().unwrap(), &id("fraud-b"), &id("fraud-d")).await.unwrap();
        let told: Vec<&str> = obstacles.iter().map(|one| one.what.as_str()).collect();
        assert_eq!(told, says, "{going}");
        assert!(obstacles.iter().all(|one| one.remedy.contains("`mlroll ")), "{obstacles:?}");
    }
}

#[tokio::test]
async fn many_regions_are_known_by_their_name_alone() {
    for (settings, says) in [
        (json!({"regions": ["a", "b"], "multiRegionId": "eu"}), "spans the regions a, b"),
        (json!({"multiRegionId": "eu-1"}), "spans regions (as eu-1)"),
    ] {
        let error = observed(json!({"etag": "e", "multiRegionSettings": settings})).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains(says), "{error}");
    }
    assert!(observed(json!({"etag": "e", "multiRegionSettings": {}})).await.is_ok());
}

#[tokio::test]
async fn a_stale_etag_is_a_conflict_and_writes_nothing() {
    let case = Case::new();
    let seen = case.observe().await;
    case.server.change(NAME, |service| {
        service.annotations.insert("team".to_owned(), "theirs".to_owned());
    });
    let (to, marker) = canary(10);
    let error = case.backend.shift(&case.target, &to, &seen, &marker).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Conflict, "UpdateService"));
    assert_eq!(case.server.service(NAME).unwrap().split(), "fraud-b=100");
}

#[tokio::test]
async fn a_rehearsed_shift_is_whole_but_stays_here() {
    let case = Case::with(true);
    let seen = case.observe().await;
    let (to, marker) = canary(10);
    let after = case.backend.shift(&case.target, &to, &seen, &marker).await.unwrap();
    assert_eq!((after.split, after.marker, after.readiness), (Some(to), Some(marker), Readiness::Live));
    assert_eq!(case.server.requests().len(), 2, "the service, and whether the candidate is there");
    let calls = case.tap.calls();
    assert_eq!((calls[2].method.as_str(), calls[2].overridden), ("PATCH", true));
    assert!(!format!("{calls:?}").contains("verysecret"));
}

#[tokio::test]
async fn each_attempt_passes_the_wiretap() {
    let case = Case::new();
    let html = RunFault::Status(502, "text/html", "<html>Bad Gateway</html>".to_owned(), None);
    for fault in [RunFault::ResetBefore, html, RunFault::Truncate] {
        case.server.fault("GetService", fault);
    }
    case.observe().await;
    assert_eq!(case.sent(), ["GetService"; 4]);
}

#[tokio::test]
async fn errors_have_kinds() {
    let google =
        |code, status: &str| RunFault::Status(code, "application/json", envelope(code, status, "no").to_string(), None);
    for (fault, kind) in [
        (google(400, "INVALID_ARGUMENT"), ErrorKind::Invalid),
        (google(401, "UNAUTHENTICATED"), ErrorKind::Auth),
        (google(403, "PERMISSION_DENIED"), ErrorKind::Auth),
        (google(404, "NOT_FOUND"), ErrorKind::NotFound),
        (google(409, "ALREADY_EXISTS"), ErrorKind::Invalid),
        (google(501, "UNIMPLEMENTED"), ErrorKind::Unsupported),
        (RunFault::Status(404, "text/html", "<html>Not Found</html>".to_owned(), None), ErrorKind::Unexpected),
        (RunFault::Status(302, "text/html", String::new(), None), ErrorKind::Unexpected),
        (RunFault::Status(200, "text/html", "<html>Sign in</html>".to_owned(), None), ErrorKind::Unexpected),
        (RunFault::Status(200, "application/json", "{}".to_owned(), None), ErrorKind::Unexpected),
        (RunFault::Status(200, "application/json", String::new(), None), ErrorKind::Unexpected),
    ] {
        let case = Case::new();
        let shown = format!("{fault:?}");
        case.server.fault("GetService", fault);
        let error = case.backend.observe(&case.target).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{shown}: {error}");
        assert!(!error.to_string().contains("verysecret"), "{error}");
        assert_eq!(case.sent().len(), 1, "{shown} is not worth a retry");
    }
}

#[tokio::test]
async fn revisions_are_listed_newest_first_and_only_those_that_can_serve() {
    let case = Case::new();
    case.server.change(NAME, |service| service.fail_revision("fraud-d"));
    let listed = case.backend.revisions(&case.target, 3).await.unwrap();
    let names: Vec<&str> = listed.iter().map(|revision| revision.id.as_str()).collect();
    assert_eq!(names, ["fraud-e", "fraud-c", "fraud-b"]);
    assert!(listed.windows(2).all(|pair| pair[0].created > pair[1].created));
    assert_eq!(case.sent(), ["ListRevisions"; 3], "two a page");
}

#[tokio::test]
async fn obstacles_are_found_on_both_sides() {
    let case = Case::new();
    let check =
        async |stable: &str, candidate: &str| case.backend.check(&case.target, &id(stable), &id(candidate)).await;
    assert!(check("fraud-b", "fraud-c").await.unwrap().is_empty());
    case.server.change(NAME, |service| service.fail_revision("fraud-c"));
    for (stable, candidate, says) in [
        ("fraud-b", "fraud-c", "the candidate fraud-c is not ready: Revision 'fraud-c' is not ready"),
        ("fraud-c", "fraud-b", "the way back: stable fraud-c is not ready: "),
    ] {
        let found = check(stable, candidate).await.unwrap();
        assert_eq!(found.len(), 1);
        assert!(found[0].what.starts_with(says), "{found:?}");
    }
    for (stable, candidate) in [("fraud-b", "fraud-x"), ("fraud-x", "fraud-b")] {
        assert_eq!(check(stable, candidate).await.unwrap_err().kind(), ErrorKind::NotFound);
    }
}

#[tokio::test]
async fn shares_that_cannot_be_stored_are_unsupported() {
    let case = Case::new();
    let seen = case.observe().await;
    let (_, marker) = canary(10);
    let to = TrafficSplit::between(id("fraud-b"), id("fraud-d"), Weight::from_basis_points(50).unwrap());
    let error = case.backend.shift(&case.target, &to, &seen, &marker).await.unwrap_err();
    assert_eq!((error.kind(), case.sent().len()), (ErrorKind::Unsupported, 1));
    let lambda = "lambda:us-east-1/f@a".parse().unwrap();
    assert_eq!(case.backend.observe(&lambda).await.unwrap_err().kind(), ErrorKind::Unsupported);
}

/// Answers as they were seen on Google's own wire or are allowed by its schema.
#[tokio::test]
async fn what_users_get_is_told_from_what_is_wanted() {
    let revision = |name: &str, percent: u32| json!({"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": name, "percent": percent});
    let service = |more: Value| {
        let mut service = json!({"etag": "\"x\"", "generation": "7", "observedGeneration": "7",
            "traffic": [revision("a", 90), revision("b", 10)], "trafficStatuses": [revision("a", 90), revision("b", 10)],
            "conditions": [{"type": "RoutesReady", "state": "CONDITION_SUCCEEDED"}],
            "terminalCondition": {"type": "Ready", "state": "CONDITION_SUCCEEDED"}});
        for (key, value) in more.as_object().unwrap() {
            service[key] = value.clone();
        }
        observed(service)
    };
    let failed = json!({"type": "Ready", "state": "CONDITION_FAILED", "message": "Revision 'c' is not ready"});
    let elsewhere = json!([revision("a", 100)]);
    for (more, readiness) in [
        (json!({}), "live"),
        (json!({"terminalCondition": failed}), "live"),
        (json!({"terminalCondition": null, "conditions": []}), "live"),
        (json!({"reconciling": true}), "settling"),
        (json!({"observedGeneration": "6"}), "settling"),
        (json!({"trafficStatuses": elsewhere}), "settling"),
        (json!({"trafficStatuses": elsewhere, "terminalCondition": failed}), "failed"),
        (
            json!({"conditions": [{"type": "RoutesReady", "state": "CONDITION_FAILED", "reason": "REVISION_FAILED"}]}),
            "failed",
        ),
        (json!({"conditions": [{"type": "New", "state": "CONDITION_NEW", "reason": "NEVER_HEARD_OF"}]}), "live"),
    ] {
        let seen = service(more.clone()).await.unwrap();
        assert_eq!(seen.split.unwrap().to_string(), "a 90 %, b 10 %");
        let found = match &seen.readiness {
            Readiness::Failed(why) => ("failed", why),
            Readiness::Live => ("live", &String::new()),
            Readiness::Settling(why) => ("settling", why),
        };
        assert_eq!(found.0, readiness, "{more}: {}", found.1);
    }
    // Entries of one revision are added up; a whole resource name is its last part; percents of others are shared out.
    let tagged = json!({"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": "a", "tag": "t"});
    let seen = service(
        json!({"traffic": [revision("projects/p/x/revisions/a", 40), tagged, revision("a", 50), revision("b", 10)]}),
    );
    assert_eq!(seen.await.unwrap().split.unwrap().to_string(), "a 90 %, b 10 %");
    let nobody = observed(json!({"etag": "\"x\""})).await.unwrap();
    assert_eq!((nobody.split, nobody.readiness), (None, Readiness::Live));
    for nonsense in
        [json!({"traffic": [revision("a b", 100)]}), json!({"traffic": [{"percent": -1}]}), json!({"traffic": 3})]
    {
        assert_eq!(service(nonsense.clone()).await.unwrap_err().kind(), ErrorKind::Unexpected, "{nonsense}");
    }
    assert_eq!(service(json!({"deleteTime": "2026-11-21T00:00:00Z"})).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn one_attempt_is_given_up_and_tried_again() {
    let case = Case::new();
    let limits = Limits { attempt: Duration::from_millis(300), ..settings("").limits };
    let backend =
        CloudRun::new(&Settings { limits, ..settings(&case.server.url()) }, Arc::clone(&case.tap) as _).unwrap();
    case.server.fault("GetService", RunFault::Hang);
    backend.observe(&case.target).await.unwrap();
    let (to, marker) = canary(10);
    case.server.fault("UpdateService", RunFault::Hang);
    backend.shift(&case.target, &to, &case.observe().await, &marker).await.unwrap();
    assert_eq!(case.server.service(NAME).unwrap().split(), "fraud-b=90,fraud-d=10");
}

#[test]
fn a_ready_token_ends_where_it_is_google_that_takes_it() {
    let access = |settings: &Settings| CloudRun::new(settings, Arc::new(Tap::default())).unwrap().access();
    let here = settings("http://127.0.0.1:1");
    let google = Settings { cloud_run: None, ..here.clone() };
    let told = access(&google).unwrap();
    assert!(told.ends.is_none() && told.remedy.contains("GOOGLE_APPLICATION_CREDENTIALS"), "{told:?}");
    assert!(access(&Settings { access_token: None, ..google }).is_none(), "what is asked for is renewed");
    assert!(access(&here).is_none(), "a sandbox takes it for ever");
}
