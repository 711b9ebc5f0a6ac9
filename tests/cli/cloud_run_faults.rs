//! The fault table of Cloud Run: what goes wrong, how traffic ends, what the process says.
//!
//! | what goes wrong | test |
//! | --- | --- |
//! | the etag is bumped between read and write | `an_etag_bumped_in_between_is_read_again` |
//! | 409, `ABORTED` and `ALREADY_EXISTS` | `both_conflicts_are_told_apart` |
//! | 429 with `RetryInfo`, 503 with a page | `throttling_and_pages_of_proxies_are_waited_out` |
//! | 429 or 503 that asks for more than 30 s | `a_longer_wait_that_google_asks_for_is_waited_by_whoever_has_the_time` |
//! | the reply to a PATCH is lost | `a_lost_answer_is_settled_by_reading`; to a deploy: `deploy_google::a_lost_answer_and_a_killed_run_leave_one_revision` |
//! | 500 | `a_failure_inside_is_looked_at_and_not_repeated` |
//! | the operation fails | `an_operation_that_fails_is_unsafe_and_its_words_are_shown`; in a rollout: `a_rollout_whose_change_fails_is_taken_back` |
//! | the same, and the service does not show it | `an_operation_that_fails_without_a_word_in_the_service_is_asked_why` |
//! | a way back that is not there | `cloud_run::a_way_back_that_is_not_there_is_found_before_it_is_written` |
//! | the operation never ends | `an_operation_that_never_ends_is_unsafe_and_a_rollback_overtakes_it` |
//! | a revision fails to start | `deploy_google::one_that_does_not_start_is_told_in_googles_words_and_serves_nobody`; as a candidate: `cloud_run::a_candidate_that_cannot_serve_gets_nothing` |
//! | no quota for a revision, told by its operation or by the request | `no_quota_for_a_new_revision_makes_none_and_moves_nobody` |
//! | a deploy fails before there is a revision | the same |
//! | 401 in mid-rollout, and no token service for a while | `cloud_run_watched::a_watched_rollout_is_promoted_though_its_token_expires_on_the_way`; in one verb: `a_token_that_expires_is_fetched_anew` |
//! | 401 for good, 403, 404, a bad endpoint | `a_wrong_token_a_missing_service_and_a_bad_endpoint` |
//! | annotations are refused | `annotations_that_are_refused_do_not_stop_a_rollback`; going on: `cloud_run_watched::without_its_note_nothing_goes_on_but_the_way_back_does` |

use std::time::Duration;

use mlroll_faults::{RunFault, RunShown, Tokens, envelope};
use serde_json::json;

use crate::cloud_run::{REVISION, TARGET, World, user_file};
use crate::deploy_google::{IMAGE, deploy, everything_on_b, fault, log, revisions, sandbox, service, settled};
use crate::scaled::FastClock;

fn google(code: u16, status: &str, message: &str) -> RunFault {
    RunFault::Status(code, "application/json", envelope(code, status, message).to_string(), None)
}

#[test]
fn an_etag_bumped_in_between_is_read_again() {
    // By an edit of something else: go on.
    let world = World::new();
    world.fault(
        "UpdateService",
        RunFault::Foreign(Box::new(|service| {
            service.annotations.insert("team".to_owned(), "risk".to_owned());
        })),
    );
    world.verb(&["canary", "--pct", "10"]).0.expect(0);
    assert_eq!(world.split(), "fraud-b=90,fraud-d=10");
    assert_eq!(world.service().annotations["team"], "risk", "theirs is sent back");
    // By another split: a canary stops, a rollback decides again.
    let other = || {
        RunFault::Foreign(Box::new(|service| {
            let shares = [("fraud-b", 50), ("fraud-d", 50)];
            service.set_traffic(
                &shares.map(|(r, p)| json!({"type": REVISION, "revision": r, "percent": p})).as_slice().into(),
            );
        }))
    };
    let world = World::new();
    world.fault("UpdateService", other());
    world.verb(&["canary", "--pct", "10"]).0.expect(4).says("someone else changed the target");
    assert_eq!(world.split(), "fraud-b=50,fraud-d=50");
    let world = World::with_canary();
    world.fault("UpdateService", other());
    world.verb(&["rollback"]).0.expect(0);
    assert_eq!((world.split().as_str(), world.writes().len()), ("fraud-b=100", 2));
}

#[test]
fn both_conflicts_are_told_apart() {
    let world = World::with_canary();
    world.fault("UpdateService", google(409, "ABORTED", "Conflict for resource 'fraud'"));
    world.verb(&["rollback"]).0.expect(0);
    assert_eq!((world.split().as_str(), world.writes().len()), ("fraud-b=100", 2));
    let world = World::with_canary();
    let exists = "Revision named 'fraud-b' with different configuration already exists.";
    world.fault("UpdateService", google(409, "ALREADY_EXISTS", exists));
    world.verb(&["rollback"]).0.expect(2).says(exists);
    assert_eq!((world.split().as_str(), world.writes().len()), ("fraud-b=90,fraud-d=10", 1));
}

#[test]
fn throttling_and_pages_of_proxies_are_waited_out() {
    let world = World::with_canary();
    let body = json!({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Quota exceeded for quota metric 'Write requests'",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"}]}});
    world.fault("UpdateService", RunFault::Status(429, "application/json", body.to_string(), None));
    world.fault("GetService", RunFault::Status(503, "text/html", "<html>Service Unavailable</html>".to_owned(), None));
    let (ran, document) = world.verb(&["rollback"]);
    assert!(ran.took >= Duration::from_secs(1), "{:?}", ran.took);
    ran.expect(0);
    assert_eq!(world.split(), "fraud-b=100");
    assert_eq!(document["targets"][0]["calls"], json!({"read": 2, "write": 2, "poll": 1}));
    // A quota that lasts.
    let world = World::with_canary();
    let body = body.to_string().replace("\"1s\"", "\"3600s\"");
    world.fault("UpdateService", RunFault::Status(429, "application/json", body, None));
    world.verb(&["rollback"]).0.expect(7).says("Quota exceeded");
    assert_eq!(world.split(), "fraud-b=90,fraud-d=10");
}

#[test]
fn a_longer_wait_that_google_asks_for_is_waited_by_whoever_has_the_time() {
    let clock = FastClock::start(300.0);
    let info = |seconds: u32| {
        let details =
            json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{seconds}s")}]);
        let error =
            json!({"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Quota exceeded", "details": details});
        RunFault::Status(429, "application/json", json!({ "error": error }).to_string(), None)
    };
    let busy = || RunFault::Status(503, "text/html", "<html>Busy</html>".to_owned(), Some(35));
    let scaled = || World::with_canary().set("MLROLL_CLOCK", &clock.url);
    for (operation, fault, reads, writes) in [
        ("GetService", info(35), 2, 1),
        ("GetService", busy(), 2, 1),
        // A service that was not changed is read again before the next try.
        ("UpdateService", info(30), 2, 2),
        ("UpdateService", info(35), 2, 2),
        ("UpdateService", busy(), 3, 2),
    ] {
        let world = scaled();
        let name = format!("{operation} {fault:?}");
        world.fault(operation, fault);
        let (ran, document) = world.verb(&["rollback"]);
        ran.expect(0);
        assert_eq!(world.split(), "fraud-b=100", "{name}");
        let calls = &document["targets"][0]["calls"];
        assert_eq!((&calls["read"], &calls["write"]), (&json!(reads), &json!(writes)), "{name}");
    }
    // On the way up too; what was accepted is looked at when it may be.
    let world = scaled();
    world.fault("UpdateService", info(35));
    world.verb(&["canary", "--pct", "25"]).0.expect(0);
    assert_eq!(world.split(), "fraud-b=75,fraud-d=25");
    // There is no time for it: at once, and not when the time is over.
    let world = scaled();
    world.fault("UpdateService", info(35));
    let (ran, _) = world.verb(&["rollback", "--timeout", "34s"]);
    assert!(ran.took < Duration::from_secs(30), "{:?}", ran.took);
    ran.expect(7).says("Quota exceeded");
    assert_eq!((world.split().as_str(), world.writes().len()), ("fraud-b=90,fraud-d=10", 1));
}

#[test]
fn a_lost_answer_is_settled_by_reading() {
    for fault in [RunFault::ResetAfter, RunFault::Truncate] {
        let world = World::with_canary();
        world.fault("UpdateService", fault);
        let (ran, document) = world.verb(&["rollback"]);
        ran.expect(0);
        assert_eq!((world.split().as_str(), &document["outcome"]), ("fraud-b=100", &json!("rolled_back")));
    }
    let world = World::new();
    world.fault("UpdateService", RunFault::ResetBefore);
    world.verb(&["canary", "--pct", "10"]).0.expect(0);
    assert_eq!(world.split(), "fraud-b=90,fraud-d=10");
}

#[test]
fn a_failure_inside_is_looked_at_and_repeated_by_who_takes_back() {
    let inside = || google(500, "INTERNAL", "Internal error encountered.");
    let world = World::with_canary();
    world.fault("UpdateService", inside());
    world.verb(&["rollback"]).0.expect(0);
    assert_eq!((world.split().as_str(), world.writes().len()), ("fraud-b=100", 2));
    let world = World::with_canary();
    (0..20).for_each(|_| world.fault("UpdateService", inside()));
    world.verb(&["rollback", "--timeout", "8s"]).0.expect(7).says("Internal error encountered").says("fraud-d 10 %");
    assert!(world.writes().len() > 2, "{} writes", world.writes().len());
    let world = World::new();
    world.fault("UpdateService", inside());
    world.verb(&["canary", "--pct", "10"]).0.expect(7).says("Internal error encountered");
    assert_eq!((world.split().as_str(), world.writes().len()), ("fraud-b=100", 1));
}

#[test]
fn an_operation_that_fails_is_unsafe_and_its_words_are_shown() {
    let world = World::new();
    world.change(|service| {
        service.next_change_fails = Some("Revision 'fraud-d' is not ready: no quota for GPUs".to_owned())
    });
    let (ran, document) = world.verb(&["canary", "--pct", "10"]);
    ran.expect(8).says("no quota for GPUs").says("users get fraud-b 100 %");
    world.run(&["status", "--target", TARGET]).expect(0).says("users get fraud-b 100 %");
    assert_eq!(document["targets"][0]["settled"], false);
    // The way out of it.
    world.verb(&["rollback"]).0.expect(0);
    assert_eq!(world.split(), "fraud-b=100");
}

#[test]
fn an_operation_that_fails_without_a_word_in_the_service_is_asked_why() {
    let failing = |world: &World, failures| {
        world.change(|service| {
            service.next_change_fails = Some("Revision 'fraud-d' is not ready: no quota for GPUs".to_owned());
            service.failures = failures;
        });
    };
    for failures in [RunShown::Operation, RunShown::OperationAndBack] {
        let world = World::new();
        failing(&world, failures);
        let (ran, document) = world.verb(&["canary", "--pct", "10"]);
        ran.expect(8).says("could not make the change").says("no quota for GPUs").says("users get fraud-b 100 %");
        assert_eq!(document["targets"][0]["settled"], false);
        let asked = world.server.requests().into_iter().filter(|request| request.operation == "GetOperation");
        assert_eq!(asked.count(), 1, "{failures:?}");
        // The way back is written again.
        world.verb(&["rollback"]).0.expect(if failures == RunShown::Operation { 0 } else { 6 });
        assert_eq!(world.split(), "fraud-b=100");
        let world = World::with_canary();
        failing(&world, failures);
        let (ran, document) = world.verb(&["rollback"]);
        ran.expect(0);
        assert_eq!((world.split().as_str(), &document["targets"][0]["calls"]["write"]), ("fraud-b=100", &json!(2)));
        // A run takes it back, and takes it for nobody's change.
        let world = World::with_canary().set("MLROLL_CLOCK", &FastClock::start(300.0).url);
        failing(&world, failures);
        let rollout = ["rollout", "--no-gates", "--steps", "10%,50%,100%", "--bake", "1m", "--candidate", "fraud-d"];
        let (ran, document) = world.verb(&rollout);
        ran.expect(1).says("no quota for GPUs");
        assert_eq!((world.split().as_str(), &document["outcome"]), ("fraud-b=100", &json!("rolled_back")));
    }
    // One that may not be read stops nobody.
    let world = World::new().set("MLROLL_CLOCK", &FastClock::start(300.0).url);
    world.change(|service| service.looks_to_settle = 8);
    world.fault("GetOperation", google(403, "PERMISSION_DENIED", "Permission 'run.operations.get' denied"));
    world.verb(&["canary", "--pct", "10"]).0.expect(0);
    let asked = world.server.requests().into_iter().filter(|request| request.operation == "GetOperation");
    assert_eq!(asked.count(), 1, "late, and then no more");
}

#[test]
fn an_operation_that_never_ends_is_unsafe_and_a_rollback_overtakes_it() {
    let world = World::new();
    world.change(|service| service.looks_to_settle = u32::MAX);
    world.verb(&["canary", "--pct", "10", "--timeout", "8s"]).0.expect(8).says("still applying the change");
    world.change(|service| service.looks_to_settle = 1);
    let (ran, document) = world.verb(&["rollback"]);
    ran.expect(0);
    assert_eq!((world.split().as_str(), &document["settled"]), ("fraud-b=100", &json!(true)));
}

#[test]
fn annotations_that_are_refused_do_not_stop_a_rollback() {
    let world = World::with_canary();
    world.change(|service| service.refuses_annotations = true);
    let (ran, document) = world.verb(&["rollback"]);
    ran.expect(0);
    assert_eq!(world.split(), "fraud-b=100");
    let notes = document["targets"][0]["notes"].to_string();
    assert!(notes.contains("did not take mlroll's note"), "{notes}");
    assert_eq!(world.writes()[1].query["updateMask"], "traffic");
}

#[test]
fn a_wrong_token_a_missing_service_and_a_bad_endpoint() {
    let world = World::new().set("GOOGLE_OAUTH_ACCESS_TOKEN", "verysecretother");
    world.verb(&["status"]).0.expect(5).says("invalid authentication credentials");
    let world = World::new();
    world.fault("GetService", google(403, "PERMISSION_DENIED", "Permission 'run.services.get' denied"));
    world.verb(&["status"]).0.expect(5).says("run.services.get");
    let ran = world.run(&["status", "--target", "cloud-run:acme/europe-west3/other"]);
    ran.expect(6).says("'other' of kind 'SERVICE'");
    let world = World::new().set("MLROLL_ENDPOINT_CLOUD_RUN", "http://run.example.com");
    world.verb(&["rollback"]).0.expect(2).says("refusing to send a token in clear text to run.example.com");
    let world = World::new().set("MLROLL_ENDPOINT_CLOUD_RUN", "http://127.0.0.1:9");
    world.verb(&["status"]).0.expect(7).says("no connection to the provider");
}

#[test]
fn a_token_that_expires_is_fetched_anew() {
    let world = World::new();
    let server = Tokens::start(&["verysecrettoken", "verysecretfresh"]);
    let path = world.folder.path().join("user.json");
    std::fs::write(&path, user_file(&server).to_string()).unwrap();
    let world =
        world.set("GOOGLE_OAUTH_ACCESS_TOKEN", "").set("GOOGLE_APPLICATION_CREDENTIALS", path.to_str().unwrap());
    world.server.take_tokens(&["verysecretfresh"]);
    world.verb(&["rollback", "--to", "fraud-a"]).0.expect(0);
    assert_eq!(world.split(), "fraud-a=100");
    assert_eq!(world.server.requests().first().unwrap().token, "verysecrettoken");
}

#[test]
fn no_quota_for_a_new_revision_makes_none_and_moves_nobody() {
    // Accepted, and given up before there is a revision: only the operation tells.
    let sandbox = sandbox();
    fault(&sandbox, &json!({ "operation": "UpdateService", "fault": "settle_failed" }));
    let (code, said) = deploy(&sandbox, &["--image", IMAGE]);
    let message = said["error"]["message"].as_str().unwrap();
    assert_eq!(code, 2, "{said}");
    assert!(message.contains("could not make the revision: Quota exceeded for total allowable CPU"), "{message}");
    assert_eq!((log(&sandbox, "UpdateService").len(), revisions(&sandbox).len()), (1, 3));
    assert!(!log(&sandbox, "GetOperation").is_empty());
    let now = service(&sandbox);
    assert_eq!((&now["traffic"], &now["trafficStatuses"]), (&everything_on_b(), &everything_on_b()));
    assert_eq!(now["terminalCondition"]["state"], "CONDITION_FAILED");
    // The service looks failed for it, and still can be moved and moved back.
    let canary = ["canary", "--pct", "10", "--candidate", "fraud-00003-c", "--no-gates", "--target", TARGET];
    assert_eq!(sandbox.run(&canary).0, 0);
    assert_eq!(sandbox.run(&["rollback", "--target", TARGET]).0, 0);
    // Typed again when there is room it makes the one that was meant.
    let (code, said) = deploy(&sandbox, &["--image", IMAGE]);
    assert_eq!((code, &said["outcome"], revisions(&sandbox).len()), (0, &json!("deployed"), 4), "{said}");

    // Refused outright, for longer than it is worth waiting.
    let sandbox = self::sandbox();
    let refused = json!({ "operation": "UpdateService", "fault": "status", "status": 429, "times": 99 });
    fault(&sandbox, &refused);
    let (code, said) = deploy(&sandbox, &["--image", IMAGE]);
    assert_eq!((code, &said["error"]["kind"], revisions(&sandbox).len()), (7, &json!("throttled"), 3), "{said}");
    assert_eq!(log(&sandbox, "UpdateService").len(), 5);
    assert_eq!(settled(&sandbox)["trafficStatuses"], everything_on_b());
}

#[test]
fn a_rollout_whose_change_fails_is_taken_back() {
    let sandbox = sandbox();
    sandbox.write("mlroll.toml", &format!("[services.fraud]\ntarget = \"{TARGET}\"\n"));
    fault(&sandbox, &json!({ "operation": "UpdateService", "skip": 1, "fault": "settle_failed" }));
    let rollout = ["rollout", "--no-gates", "--steps", "10%,50%,100%", "--bake", "1m", "--candidate", "fraud-00003-c"];
    let (code, said) = sandbox.run(&rollout);
    assert_eq!((code, &said["outcome"]), (1, &json!("rolled_back")), "{said}");
    assert!(said.to_string().contains("Quota exceeded"), "{said}");
    assert_eq!(log(&sandbox, "UpdateService").len(), 3, "10 %, 50 %, and back");
    assert_eq!(service(&sandbox)["trafficStatuses"], everything_on_b(), "{said}");
    assert!(service(&sandbox)["annotations"]["mlroll.dev/rollout"].as_str().unwrap().contains("state=rolled_back"));
}
