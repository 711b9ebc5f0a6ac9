//! Rollback and the verbs before it, on a Lambda that checks everything.

use mlroll_faults::{Alias, Operation};
use serde_json::json;

use crate::world::{FRAUD, World};

#[test]
fn during_a_canary_stable_gets_everything_in_one_read_and_one_write() {
    let world = World::with_canary("10");
    assert_eq!(world.split(), "2+3:0.1");
    let (ran, document) = world.verb(&["rollback"]);
    ran.expect(0);
    assert_eq!(world.split(), "2");
    assert_eq!(world.wire(), (1, 1));
    let target = &document["targets"][0];
    assert_eq!(document["schema"], "mlroll/outcome/1");
    assert_eq!(document["outcome"], "rolled_back");
    assert_eq!(document["settled"], true);
    assert_eq!(target["calls"], json!({"read": 1, "write": 1, "poll": 0}));
    assert_eq!(target["before"], json!([{"revision": "2", "percent": 90.0}, {"revision": "3", "percent": 10.0}]));
    assert_eq!(target["after"], json!([{"revision": "2", "percent": 100.0}]));
    assert_eq!(target["error"], json!(null));
    let description = world.alias().description;
    assert!(description.starts_with("owned by ml [mlroll v1 state=rolled_back stable=2 bad=3 at="), "{description}");
}

#[test]
fn read_and_write_go_over_one_connection() {
    let world = World::with_canary("10");
    world.verb(&["rollback"]).0.expect(0);
    let connections: Vec<u64> = world.server.requests().iter().map(|r| r.connection).collect();
    assert_eq!(connections.len(), 2);
    assert_eq!(connections[0], connections[1]);
}

#[test]
fn after_a_promote_previous_gets_everything_and_twice_typed_is_once_done() {
    let world = World::promoted();
    assert_eq!(world.split(), "3");
    let (ran, document) = world.verb(&["rollback"]);
    ran.expect(0);
    assert_eq!(document["outcome"], "rolled_back");
    assert_eq!((world.split().as_str(), world.wire()), ("2", (1, 1)));
    world.server.clear_requests();
    let (ran, document) = world.verb(&["rollback"]);
    ran.expect(0).says("already rolled back from 3; further back: `--to REV`");
    assert_eq!(document["outcome"], "unchanged");
    assert_eq!((world.split().as_str(), world.wire()), ("2", (1, 0)));
}

#[test]
fn promote_sets_the_version_and_clears_the_weights_in_one_call() {
    let world = World::with_canary("10");
    let (ran, document) = world.verb(&["promote", "--force"]);
    ran.expect(0);
    assert_eq!(document["outcome"], "promoted");
    assert_eq!((world.split().as_str(), world.wire()), ("3", (1, 1)));
    let body = &world.sent(Operation::UpdateAlias)[0].body;
    assert_eq!(body["FunctionVersion"], "3");
    assert_eq!(body["RoutingConfig"], json!({"AdditionalVersionWeights": {}}));
}

#[test]
fn without_a_way_back_nothing_is_written_and_the_revisions_are_listed() {
    let world = World::new();
    let (ran, document) = world.verb(&["rollback"]);
    ran.expect(6).says("there are 1, 4, 3; go to one: `mlroll rollback --to 1 --target lambda:us-east-1/fraud@prod`");
    assert_eq!(document["outcome"], "failed");
    assert_eq!(document["targets"][0]["error"]["kind"], "not_found");
    assert!(world.sent(Operation::UpdateAlias).is_empty());
    assert_eq!(world.alias().description, "owned by ml");
}

#[test]
fn to_a_named_revision_it_goes_from_anywhere() {
    let world = World::new();
    world.verb(&["rollback", "--to", "1"]).0.expect(0);
    assert_eq!(world.split(), "1");
    let (ran, document) = world.verb(&["rollback", "--to", "1"]);
    ran.expect(0);
    assert_eq!(document["outcome"], "unchanged");
    world.verb(&["rollback", "--to", "99"]).0.expect(6).says("Function not found");
    world.verb(&["rollback", "--to", "$LATEST"]).0.expect(2).says("no version to go to");
    assert_eq!(world.split(), "1");
}

#[test]
fn a_marker_left_by_somebody_elses_change_is_ignored() {
    let world = World::promoted();
    world.server.set_alias("fraud", "prod", |alias| alias.version = "4".into());
    world.verb(&["rollback"]).0.expect(6);
    assert_eq!(world.split(), "4");
}

#[test]
fn an_alias_whose_description_is_full_is_rolled_back_all_the_same() {
    let world = World::new();
    let own = "d".repeat(256);
    world.server.set_alias("fraud", "prod", |alias| alias.description.clone_from(&own));
    world.verb(&["canary", "--pct", "10", "--candidate", "3"]).0.expect(0).says("too long to carry");
    assert_eq!((world.split().as_str(), world.alias().description), ("2+3:0.1", own.clone()));
    world.verb(&["rollback"]).0.expect(0);
    assert_eq!((world.split().as_str(), world.alias().description), ("2", own));
}

#[test]
fn provisioned_concurrency_in_transit_is_not_somebodys_canary() {
    let world = World::with_canary("10");
    world.server.set_alias("fraud", "prod", |alias| alias.transient_on_move = 2);
    let (ran, document) = world.verb(&["promote", "--force"]);
    ran.expect(0);
    assert_eq!(document["settled"], true);
    assert_eq!(document["targets"][0]["calls"]["write"], 1);
    assert!(document["targets"][0]["calls"]["poll"].as_u64().unwrap() >= 2);
    assert_eq!(world.split(), "3");
    world.server.set_alias("fraud", "prod", |alias| {
        alias.provisioned_transient = Some("2".into());
        alias.transient_reads = u32::MAX;
    });
    let (ran, document) = world.verb(&["status"]);
    ran.expect(0);
    assert_eq!(document["targets"][0]["settled"], false);
    assert_eq!(document["targets"][0]["split"], json!([{"revision": "3", "role": "stable", "percent": 100.0}]));
    let (ran, document) = world.verb(&["rollback", "--no-wait"]);
    ran.expect(0);
    assert_eq!(document["settled"], false);
    world.verb(&["canary", "--pct", "5", "--candidate", "4"]).0.expect(4).says("provisioned concurrency");
}

#[test]
fn a_shift_that_never_goes_live_is_unsafe() {
    let world = World::with_canary("10");
    world.server.set_alias("fraud", "prod", |alias| {
        alias.transient_on_move = u32::MAX;
    });
    world.verb(&["promote", "--force", "--timeout", "8s"]).0.expect(8).says("accepted but is not live");
}

/// CodeDeploy leaves no note: whoever meets its weights is told how to find it, and how to end it.
#[test]
fn weights_without_a_note_may_be_codedeploys() {
    let world = World::new();
    world.server.set_alias("fraud", "prod", |alias| alias.weights = [("4".to_owned(), 0.1)].into());
    for verb in [&["canary", "--pct", "20"][..], &["promote", "--force"]] {
        let (ran, document) = world.verb(verb);
        assert!(ran.stderr.contains("not mlroll that put it there"), "{document}");
        let hints = document["targets"][0]["error"]["hints"].to_string();
        assert!(hints.contains("aws deploy list-deployments --region us-east-1"), "{hints}");
        assert!(hints.contains("aws deploy stop-deployment --region us-east-1"), "{hints}");
    }
    // Where the note is mlroll's own, nobody else is suspected.
    let world = World::new();
    world.verb(&["canary", "--pct", "10", "--candidate", "4"]).0.expect(0);
    let (ran, document) = world.verb(&["canary", "--pct", "25", "--candidate", "3"]);
    ran.expect(4);
    assert!(!document.to_string().contains("aws deploy"), "{document}");
}

#[test]
fn a_canary_says_which_candidate_it_took() {
    let world = World::new();
    let (ran, document) = world.verb(&["canary", "--pct", "0.5"]);
    ran.expect(0);
    assert_eq!(document["outcome"], "shifted");
    assert_eq!(world.split(), "2+4:0.005");
    let notes = document["targets"][0]["notes"].to_string();
    assert!(notes.contains("the candidate is 4, the newest; also newer than 2: 3"), "{notes}");
    assert!(notes.contains("not judged"), "{notes}");
    world.server.clear_requests();
    world.verb(&["canary", "--pct", "25"]).0.expect(0);
    assert_eq!((world.split().as_str(), world.wire()), ("2+4:0.25", (1, 1)), "a pair in flight is not checked again");
    world.verb(&["canary", "--pct", "25", "--candidate", "3"]).0.expect(4).says("another candidate is in flight");
}

#[test]
fn a_candidate_that_cannot_serve_gets_nothing() {
    let world = World::new();
    world.server.version("fraud", 3, |v| v.role = "arn:aws:iam::123456789012:role/other".into());
    world.server.version("fraud", 4, |v| v.state = "Pending".into());
    let canary = |candidate: &str| world.verb(&["canary", "--pct", "10", "--candidate", candidate]).0;
    canary("3").expect(2).says("different execution roles");
    canary("4").expect(2).says("is Pending, not Active");
    canary("9").expect(6).says("Function not found");
    canary("$LATEST").expect(2).says("takes no weights");
    canary("2").expect(2).says("is stable already");
    world.server.version("fraud", 1, |v| v.dead_letter = Some("arn:aws:sqs:us-east-1:123456789012:dlq".into()));
    canary("1").expect(2).says("different dead-letter queues");
    assert!(world.sent(Operation::UpdateAlias).is_empty());
    world.server.set_alias("fraud", "prod", |a| a.version = "$LATEST".into());
    world.verb(&["canary", "--pct", "10", "--candidate", "1"]).0.expect(2).says("points at $LATEST");
}

#[test]
fn nothing_newer_than_stable_is_no_candidate() {
    let world = World::new();
    world.server.set_alias("fraud", "prod", |a| a.version = "4".into());
    world.verb(&["canary", "--pct", "10"]).0.expect(6).says("nothing newer than 4");
}

#[test]
fn the_newest_version_is_found_behind_many_pages() {
    let world = World::new();
    world.server.add_function("many", &(1..=230).collect::<Vec<u64>>());
    world.server.add_alias("many", "prod", Alias { version: "9".into(), ..Alias::default() });
    let target = "lambda:us-east-1/many@prod";
    world.run(&["canary", "--pct", "1", "--target", target]).expect(0).says("the candidate is 230");
    assert_eq!(world.server.alias("many", "prod").unwrap().weights.keys().next().unwrap(), "230");
}

#[test]
fn status_tells_who_is_who() {
    let world = World::with_canary("12.34");
    let (ran, document) = world.verb(&["status"]);
    ran.expect(0);
    let target = &document["targets"][0];
    assert_eq!(document["schema"], "mlroll/status/1");
    assert_eq!((&target["guard"], &target["settled"]), (&json!("atomic"), &json!(true)));
    assert_eq!(
        target["split"],
        json!([
            {"revision": "2", "role": "stable", "percent": 87.66},
            {"revision": "3", "role": "candidate", "percent": 12.34}
        ])
    );
    assert_eq!(target["rollout"]["percent"], 12.34);
    assert_eq!(target["rollout"]["id"].as_str().unwrap().len(), 26);
    assert_eq!(world.wire(), (1, 0));
    world.run(&["status", "--target", FRAUD]).expect(0).says("2 87.66 %");
    world.verb(&["promote", "--force"]).0.expect(0);
    let (_, document) = world.verb(&["status"]);
    assert_eq!((&document["targets"][0]["previous"], &document["targets"][0]["rollout"]), (&json!("2"), &json!(null)));
}

#[test]
fn an_arn_is_a_target_and_its_account_is_named_in_the_call() {
    let world = World::with_canary("10");
    let arn = "arn:aws:lambda:us-east-1:123456789012:function:fraud:prod";
    let ran = world.run(&["rollback", "--target", arn, "--output", "json"]);
    assert_eq!(ran.json()["targets"][0]["target"], arn, "what is printed can be pasted");
    let path = &world.sent(Operation::Unknown).iter().chain(&world.server.requests()).next().unwrap().path.clone();
    assert!(path.contains("123456789012"), "{path}");
}

#[test]
fn a_weight_of_one_is_never_taken_for_rolled_back() {
    for marker in ["", "[mlroll v1 state=rolled_back stable=2 bad=3]"] {
        let world = World::new();
        world.server.set_alias("fraud", "prod", |alias| {
            alias.weights.insert("3".into(), 1.0);
            alias.description = marker.into();
        });
        let arguments: &[&str] = if marker.is_empty() { &["rollback", "--to", "2"] } else { &["rollback"] };
        let (ran, document) = world.verb(arguments);
        ran.expect(0);
        assert_eq!((world.split().as_str(), &document["outcome"]), ("2", &json!("rolled_back")), "{marker}");
    }
}

#[test]
fn somebody_elses_canary_is_promoted_only_when_it_is_named() {
    let world = World::new();
    world.server.set_alias("fraud", "prod", |alias| {
        alias.weights.insert("4".into(), 0.5);
    });
    world.verb(&["promote", "--force"]).0.expect(3).says("--candidate 4");
    world.verb(&["promote", "--force", "--candidate", "3"]).0.expect(4);
    assert_eq!(world.split(), "2+4:0.5");
    world.verb(&["promote", "--force", "--candidate", "4"]).0.expect(0);
    assert_eq!(world.split(), "4");
}
