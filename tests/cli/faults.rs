//! The fault table: what goes wrong, how traffic ends, what the process says.

use std::time::Duration;

use mlroll_faults::{Fault, Kind, Operation};
use serde_json::Value;

use crate::world::{FRAUD, Ran, World};

const READ: Operation = Operation::GetAlias;
const WRITE: Operation = Operation::UpdateAlias;

/// A rollback during a canary under one fault.
fn rollback_under(fault: Fault) -> (World, Ran, Value) {
    let world = World::with_canary("10");
    world.server.fault(fault);
    let (ran, document) = world.verb(&["rollback"]);
    (world, ran, document)
}

/// A canary on a calm alias under one fault.
fn canary_under(fault: Fault) -> (World, Ran, Value) {
    let world = World::new();
    world.server.fault(fault);
    let (ran, document) = world.verb(&["canary", "--pct", "10", "--candidate", "3"]);
    (world, ran, document)
}

fn foreign(version: &'static str, other: &'static str, weight: f64) -> Kind {
    Kind::foreign_write(move |alias| {
        alias.version = version.into();
        alias.weights.clear();
        if weight > 0.0 {
            alias.weights.insert(other.into(), weight);
        }
    })
}

#[test]
fn a_412_with_foreign_weights_stops_a_canary_and_leaves_theirs() {
    let (world, ran, document) = canary_under(Fault::on(WRITE).kind(foreign("2", "4", 0.5)));
    ran.expect(4).says("someone else changed the target").says("aws deploy list-deployments --region us-east-1");
    assert_eq!(world.split(), "2+4:0.5");
    assert_eq!(document["targets"][0]["error"]["kind"], "conflict");
    assert_eq!(document["targets"][0]["after"][0]["percent"], 50.0);
}

#[test]
fn a_412_with_foreign_weights_makes_a_rollback_decide_again() {
    let (world, ran, document) = rollback_under(Fault::on(WRITE).kind(foreign("2", "3", 0.5)));
    ran.expect(0);
    assert_eq!((world.split().as_str(), &document["outcome"]), ("2", &Value::from("rolled_back")));
    assert_eq!(document["targets"][0]["calls"], serde_json::json!({"read": 2, "write": 2, "poll": 0}));
}

#[test]
fn a_412_whose_foreign_change_leaves_nothing_to_go_back_to_is_left_alone() {
    let (world, ran, _) = rollback_under(Fault::on(WRITE).kind(foreign("4", "", 0.0)));
    ran.expect(6);
    assert_eq!(world.split(), "4");
}

#[test]
fn a_412_about_a_description_alone_does_not_stop_a_canary() {
    let edit = Kind::foreign_write(|alias| alias.description = "owned by fraud".into());
    let (world, ran, _) = canary_under(Fault::on(WRITE).kind(edit));
    ran.expect(0);
    assert_eq!(world.split(), "2+3:0.1");
    assert!(world.alias().description.starts_with("owned by fraud [mlroll v1 state=canary"));
}

#[test]
fn a_412_after_a_lost_reply_is_no_conflict() {
    for kind in [Kind::ResetAfter, Kind::Truncate, Kind::status(503, "ServiceException", "lost")] {
        let applied = !matches!(kind, Kind::Status { .. });
        let (world, ran, document) = rollback_under(Fault::on(WRITE).kind(kind));
        ran.expect(0);
        assert_eq!(
            (world.split().as_str(), &document["outcome"]),
            ("2", &Value::from("rolled_back")),
            "applied: {applied}"
        );
        assert_eq!(document["settled"], true);
    }
    let (world, ran, document) = canary_under(Fault::on(WRITE).kind(Kind::ResetAfter));
    ran.expect(0);
    assert_eq!((world.split().as_str(), &document["outcome"]), ("2+3:0.1", &Value::from("shifted")));
    let world = World::with_canary("10");
    world.server.fault(Fault::on(WRITE).kind(Kind::ResetAfter));
    let (ran, document) = world.verb(&["promote", "--force"]);
    ran.expect(0);
    assert_eq!((world.split().as_str(), &document["outcome"]), ("3", &Value::from("promoted")));
}

#[test]
fn a_lost_reply_is_recognised_when_the_marker_lost_its_id() {
    let world = World::new();
    let own = "d".repeat(170);
    world.server.set_alias("fraud", "prod", |alias| alias.description = own);
    world.server.fault(Fault::on(WRITE).kind(Kind::ResetAfter));
    world.verb(&["canary", "--pct", "10", "--candidate", "3"]).0.expect(0);
    assert!(!world.alias().description.contains("id="));
    assert_eq!(world.split(), "2+3:0.1");
}

#[test]
fn a_human_who_undoes_our_lost_write_is_not_overwritten() {
    let world = World::new();
    world.server.fault(Fault::on(WRITE).kind(Kind::ResetAfter));
    let undo = Kind::foreign_write(|alias| {
        alias.weights.clear();
        alias.description = "put back by hand".into();
    });
    world.server.fault(Fault::on(WRITE).kind(undo));
    world.verb(&["canary", "--pct", "10", "--candidate", "3"]).0.expect(4);
    assert_eq!((world.split().as_str(), world.alias().description.as_str()), ("2", "put back by hand"));
}

#[test]
fn a_busy_alias_is_waited_for() {
    let busy = || Kind::status(409, "ResourceConflictException", "An update is in progress for resource: arn");
    for under in [rollback_under, canary_under] {
        let (world, ran, document) = under(Fault::on(WRITE).times(2).kind(busy()));
        ran.expect(0);
        assert!(world.split().starts_with('2'));
        assert_eq!(document["targets"][0]["calls"]["write"], 3);
    }
    let world = World::with_canary("10");
    world.server.fault(Fault::on(WRITE).forever().kind(busy()));
    let (ran, document) = world.verb(&["rollback", "--timeout", "8s"]);
    ran.expect(4).says("update is in progress");
    assert_eq!(
        (world.split().as_str(), &document["targets"][0]["after"][1]["percent"]),
        ("2+3:0.1", &Value::from(10.0))
    );
}

#[test]
fn a_429_is_tried_again_after_what_retry_after_says() {
    let (world, ran, document) = rollback_under(Fault::on(WRITE).kind(Kind::throttled(Some(Duration::from_secs(1)))));
    assert!(ran.took >= Duration::from_secs(1), "{:?}", ran.took);
    ran.expect(0);
    assert_eq!(world.split(), "2");
    assert_eq!(document["targets"][0]["calls"], serde_json::json!({"read": 1, "write": 2, "poll": 0}));
}

/// The control plane's rate is used up by others: whoever takes traffic back asks until there is room.
#[test]
fn a_rollback_outlasts_throttling_that_says_no_time() {
    for operation in [WRITE, READ] {
        let (world, ran, document) = rollback_under(Fault::on(operation).times(12).kind(Kind::throttled(None)));
        ran.expect(0);
        assert_eq!((world.split().as_str(), &document["outcome"]), ("2", &Value::from("rolled_back")), "{document}");
    }
    let world = World::with_canary("10");
    world.server.fault(Fault::on(WRITE).forever().kind(Kind::throttled(None)));
    let (ran, document) = world.verb(&["rollback", "--timeout", "10s"]);
    assert!(ran.took >= Duration::from_secs(5), "{:?}", ran.took);
    ran.expect(7).says("run the same command again");
    assert_eq!(document["targets"][0]["after"][1]["percent"], 10.0);
    // Nobody else insists.
    let (_, ran, _) = canary_under(Fault::on(WRITE).forever().kind(Kind::throttled(None)));
    assert!(ran.took < Duration::from_secs(20), "{:?}", ran.took);
    ran.expect(7);
}

#[test]
fn a_503_once_is_tried_again() {
    for operation in [READ, WRITE] {
        let (world, ran, _) =
            rollback_under(Fault::on(operation).kind(Kind::status(503, "ServiceUnavailableException", "later")));
        ran.expect(0);
        assert_eq!(world.split(), "2");
    }
}

#[test]
fn a_503_for_ever_ends_and_says_where_traffic_is() {
    let down = || Kind::status(503, "ServiceUnavailableException", "down");
    let (world, ran, document) = rollback_under(Fault::any().forever().kind(down()));
    assert!(ran.took < Duration::from_secs(90), "{:?}", ran.took);
    ran.expect(7).says("nothing was written");
    assert_eq!((world.split().as_str(), &document["outcome"]), ("2+3:0.1", &Value::from("failed")));
    // Whoever takes traffic back asks for as long as there is time.
    let world = World::with_canary("10");
    world.server.fault(Fault::on(WRITE).forever().kind(down()));
    let (ran, document) = world.verb(&["rollback", "--timeout", "12s"]);
    ran.expect(7).says("run the same command again");
    let tried = document["targets"][0]["calls"]["write"].as_u64().unwrap();
    assert!(tried > 3, "one attempt of the SDK is 3 calls: {tried}");
    assert_eq!(document["targets"][0]["after"][1]["percent"], 10.0);
    let (_, ran, _) = canary_under(Fault::on(WRITE).forever().kind(down()));
    ran.expect(7);
}

#[test]
fn a_write_that_nobody_can_confirm_is_unsafe() {
    let world = World::with_canary("10");
    world.server.fault(Fault::on(WRITE).forever().kind(Kind::ResetAfter));
    world.server.fault(Fault::on(READ).skip(1).forever().kind(Kind::ResetBefore));
    let (ran, document) = world.verb(&["rollback"]);
    ran.expect(8).says("traffic: UNKNOWN");
    assert_eq!(document["targets"][0]["after"], Value::Null);
    assert_eq!(document["settled"], false);
}

#[test]
fn a_hang_ends_in_bounded_time() {
    for (kind, end) in [(Kind::HangBefore, "2+3:0.1"), (Kind::HangAfter, "2")] {
        let (world, ran, _) = rollback_under(Fault::on(WRITE).kind(kind));
        ran.expect(0);
        assert_eq!(world.split(), "2", "{end}");
    }
    let world = World::with_canary("10");
    world.server.fault(Fault::any().forever().kind(Kind::HangBefore));
    let (ran, _) = world.verb(&["rollback", "--timeout", "5s"]);
    assert!(ran.took < Duration::from_secs(35), "{:?}", ran.took);
    ran.expect(7).says("--timeout");
    let (ran, _) = world.verb(&["rollback"]);
    assert!(ran.took < Duration::from_secs(40), "{:?}", ran.took);
    ran.expect(7);
}

#[test]
fn a_write_that_hangs_past_the_time_limit_is_looked_up() {
    let world = World::with_canary("10");
    world.server.fault(Fault::on(WRITE).forever().kind(Kind::HangAfter));
    let (ran, document) = world.verb(&["rollback", "--timeout", "5s"]);
    ran.expect(0);
    assert_eq!((world.split().as_str(), &document["outcome"]), ("2", &Value::from("rolled_back")));
}

#[test]
fn answers_that_are_not_the_providers_change_nothing() {
    for kind in [Kind::WrongContentTypeBefore, Kind::EmptyBody, Kind::GarbageJson] {
        let (world, ran, _) = rollback_under(Fault::on(READ).forever().kind(kind));
        ran.expect(7);
        assert_eq!(world.split(), "2+3:0.1");
    }
    let (world, ran, _) = rollback_under(Fault::on(READ).forever().kind(Kind::Truncate));
    ran.expect(7);
    assert_eq!(world.split(), "2+3:0.1");
    let (world, ran, _) = rollback_under(Fault::on(READ).kind(Kind::Truncate));
    ran.expect(0);
    assert_eq!(world.split(), "2");
}

#[test]
fn an_answer_to_a_write_that_is_not_the_providers_is_looked_up() {
    for kind in [Kind::WrongContentTypeAfter, Kind::EmptyBody, Kind::GarbageJson] {
        let (world, ran, document) = rollback_under(Fault::on(WRITE).kind(kind));
        ran.expect(0);
        assert_eq!((world.split().as_str(), &document["outcome"]), ("2", &Value::from("rolled_back")));
    }
    let (world, ran, _) = rollback_under(Fault::on(WRITE).kind(Kind::WrongContentTypeBefore));
    ran.expect(7);
    assert_eq!(world.split(), "2+3:0.1");
}

#[test]
fn refused_credentials_say_what_is_missing() {
    for (status, code, hint) in [
        (403, "AccessDeniedException", "allow lambda:UpdateAlias"),
        (403, "ExpiredTokenException", "have expired"),
        (403, "UnrecognizedClientException", "get-caller-identity"),
    ] {
        let (world, ran, document) = rollback_under(Fault::on(WRITE).forever().kind(Kind::status(status, code, "no")));
        ran.expect(5).says(hint);
        assert_eq!(world.split(), "2+3:0.1");
        assert_eq!(document["targets"][0]["error"]["kind"], "auth");
        assert_eq!(document["targets"][0]["calls"]["write"], 1, "a refusal by name is not tried again");
        let (_, ran, _) = rollback_under(Fault::on(READ).forever().kind(Kind::status(status, code, "no")));
        ran.expect(5);
    }
}

#[test]
fn no_credentials_end_in_under_ten_seconds() {
    // A metadata service that accepts connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let world = World::new()
        .unset("AWS_ACCESS_KEY_ID")
        .unset("AWS_SECRET_ACCESS_KEY")
        .unset("AWS_SESSION_TOKEN")
        .set("AWS_EC2_METADATA_SERVICE_ENDPOINT", &address);
    let (ran, document) = world.verb(&["rollback"]);
    assert!(ran.took < Duration::from_secs(40), "{:?}", ran.took);
    ran.expect(5).says("AWS credentials");
    assert_eq!(document["targets"][0]["error"]["kind"], "auth");
    assert_eq!(world.wire(), (0, 0));
    let world = world.set("AWS_EC2_METADATA_DISABLED", "true");
    let (ran, _) = world.verb(&["status"]);
    assert!(ran.took < Duration::from_secs(30), "{:?}", ran.took);
    ran.expect(5).says("no AWS credentials found");
}

#[test]
fn what_does_not_exist_is_not_found() {
    let world = World::new();
    for target in ["lambda:us-east-1/nope@prod", "lambda:us-east-1/fraud@nope"] {
        for verb in [&["rollback"][..], &["status"], &["canary", "--pct", "5"], &["promote", "--force"]] {
            let ran = world.run(&[verb, &["--target", target, "--output", "json"]].concat());
            assert_eq!(ran.json()["error"]["kind"], "not_found", "{ran:?}");
            ran.expect(6);
        }
    }
}

#[test]
fn a_version_that_is_deleted_under_us_is_not_found_and_nothing_moves() {
    let world = World::promoted();
    world.server.fault(Fault::on(WRITE).kind(Kind::DeleteVersion("2".into())));
    let (ran, document) = world.verb(&["rollback"]);
    ran.expect(6).says("Function not found");
    assert_eq!(world.split(), "3");
    assert_eq!(document["targets"][0]["after"][0]["revision"], "3");
    let hints = document["error"]["hints"].to_string();
    assert!(hints.contains("there are 1, 4; go to one: `mlroll rollback --to 1"), "{hints}");
    let world = World::new();
    world.server.fault(Fault::on(WRITE).kind(Kind::DeleteVersion("3".into())));
    world.verb(&["canary", "--pct", "10", "--candidate", "3"]).0.expect(6);
    assert_eq!(world.split(), "2");
}

#[test]
fn nothing_listens_is_unreachable() {
    let world = World::new().set("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:9");
    let (ran, _) = world.verb(&["rollback"]);
    ran.expect(7).says("Connection refused");
}

#[test]
fn a_sandbox_on_this_machine_needs_no_certificates() {
    let world = World::with_canary("10").set("SSL_CERT_FILE", "/nonexistent").set("SSL_CERT_DIR", "/nonexistent");
    world.verb(&["rollback"]).0.expect(0);
    assert_eq!(world.split(), "2");
}

#[test]
fn a_signature_never_leaves_the_machine_in_clear() {
    let world = World::new().set("AWS_ENDPOINT_URL_LAMBDA", "http://10.255.255.1:8000");
    let (ran, document) = world.verb(&["rollback"]);
    assert!(ran.took < Duration::from_secs(30), "{:?}", ran.took);
    ran.expect(2).says("clear text to 10.255.255.1");
    assert_eq!(document["targets"][0]["calls"], serde_json::json!({"read": 0, "write": 0, "poll": 0}));
}

#[test]
fn a_token_for_credentials_never_leaves_the_machine_in_clear() {
    let world = World::new().unset("AWS_ACCESS_KEY_ID").unset("AWS_SECRET_ACCESS_KEY").unset("AWS_SESSION_TOKEN");
    world.write("jwt", "verysecrettoken");
    let jwt = world.path().join("jwt");
    let world = world
        .set("AWS_ENDPOINT_URL_STS", "http://10.255.255.1:8000")
        .set("AWS_WEB_IDENTITY_TOKEN_FILE", jwt.to_str().unwrap())
        .set("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/mlroll");
    let (ran, _) = world.verb(&["rollback"]);
    assert!(ran.took < Duration::from_secs(30), "{:?}", ran.took);
    ran.expect(2).says("in clear text to 10.255.255.1");
}

#[test]
fn what_credential_sources_say_is_passed_on_but_not_a_process_own_output() {
    let world = World::new().unset("AWS_ACCESS_KEY_ID").unset("AWS_SECRET_ACCESS_KEY").unset("AWS_SESSION_TOKEN");
    world.write("aws-config", "[default]\ncredential_process = sh -c 'echo verysecretkey >&2; exit 3'\n");
    let file = world.path().join("aws-config");
    let world = world.set("AWS_CONFIG_FILE", file.to_str().unwrap()).set("PATH", "/usr/bin:/bin");
    world.verb(&["rollback"]).0.expect(5).says("AWS credentials could not be loaded");
}

#[test]
fn an_endpoint_that_is_no_address_is_a_usage_error() {
    for url in ["ftp://127.0.0.1", "127.0.0.1:80", "http://"] {
        let ran = World::new().set("AWS_ENDPOINT_URL_LAMBDA", url).run(&["rollback", "--target", FRAUD]);
        assert!(ran.took < Duration::from_secs(30), "{url}: {:?}", ran.took);
        ran.expect(2);
    }
}

#[test]
fn a_password_in_an_endpoint_is_not_shown() {
    let world = World::with_canary("10");
    let url = world.server.url().replace("http://", "http://me:verysecretkey@");
    let world = world.set("AWS_ENDPOINT_URL_LAMBDA", &url);
    world.run(&["rollback", "--dry-run", "--verbose", "--target", FRAUD]);
}

#[test]
fn a_refused_write_on_a_target_that_cannot_be_read_again_is_not_reported_as_before() {
    let world = World::with_canary("10");
    world.server.fault(Fault::on(WRITE).kind(foreign("4", "3", 0.5)));
    world.server.fault(Fault::on(READ).skip(1).forever().kind(Kind::status(503, "ServiceException", "down")));
    let (ran, document) = world.verb(&["rollback", "--timeout", "10s"]);
    ran.expect(7).says("someone else changed");
    assert_eq!((&document["targets"][0]["after"], &document["settled"]), (&Value::Null, &Value::Bool(false)));
}

#[test]
fn a_rollback_goes_on_when_a_target_can_be_read_again() {
    let world = World::with_canary("10");
    world.server.fault(Fault::on(WRITE).kind(foreign("2", "3", 0.5)));
    world.server.fault(Fault::on(READ).skip(1).times(7).kind(Kind::status(503, "ServiceException", "down")));
    world.verb(&["rollback"]).0.expect(0);
    assert_eq!(world.split(), "2");
}

#[test]
fn a_write_without_an_answer_may_still_land_and_that_is_said() {
    let world = World::new();
    world.server.fault(Fault::on(WRITE).forever().kind(Kind::HangBefore));
    let (ran, document) = world.verb(&["canary", "--pct", "50", "--candidate", "3", "--timeout", "6s"]);
    ran.expect(7).says("may still take effect");
    assert_eq!(document["settled"], false);
}

#[test]
fn the_time_limit_is_for_all_of_it() {
    let world = World::with_canary("10");
    world.server.set_alias("fraud", "prod", |alias| alias.transient_on_move = u32::MAX);
    world.server.fault(Fault::on(READ).kind(Kind::Latency(Duration::from_secs(2))));
    let (ran, _) = world.verb(&["promote", "--force", "--timeout", "10s"]);
    assert!(ran.took < Duration::from_secs(40), "{:?}", ran.took);
    ran.expect(8);
}

#[test]
fn a_bad_answer_while_settling_is_asked_again() {
    let world = World::with_canary("10");
    world.server.set_alias("fraud", "prod", |alias| alias.transient_on_move = 2);
    world.server.fault(Fault::on(READ).skip(1).kind(Kind::WrongContentTypeBefore));
    let (ran, document) = world.verb(&["promote", "--force"]);
    ran.expect(0);
    assert_eq!((&document["outcome"], &document["settled"]), (&Value::from("promoted"), &Value::Bool(true)));
}

#[test]
fn the_candidate_is_chosen_once() {
    let world = World::new();
    let busy = Kind::status(409, "ResourceConflictException", "An update is in progress");
    world.server.fault(Fault::on(WRITE).times(2).kind(busy));
    let (ran, document) = world.verb(&["canary", "--pct", "10"]);
    ran.expect(0);
    assert_eq!(world.sent(Operation::ListVersionsByFunction).len(), 1);
    assert_eq!(world.sent(Operation::GetFunctionConfiguration).len(), 2);
    assert_eq!(document["targets"][0]["notes"].as_array().unwrap().len(), 2);
}

fn start(world: &World, arguments: &[&str]) -> std::process::Child {
    let mut command = world.command(&[arguments, &["--output", "json"]].concat());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
}

fn wait_for_requests(world: &World, at_least: usize) {
    while world.server.requests().len() < at_least {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn end(child: std::process::Child) -> (Option<i32>, Value) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn an_interrupted_canary_writes_nothing_more() {
    let world = World::new();
    world.server.fault(
        Fault::on(Operation::GetFunctionConfiguration).forever().kind(Kind::Latency(Duration::from_millis(500))),
    );
    world.server.fault(Fault::on(WRITE).forever().kind(Kind::status(409, "ResourceConflictException", "busy")));
    let child = start(&world, &["canary", "--pct", "10", "--candidate", "3", "--target", FRAUD]);
    wait_for_requests(&world, 4);
    crate::world::signal(&child, "INT");
    let (code, document) = end(child);
    assert_eq!((code, &document["outcome"]), (Some(130), &Value::from("failed")));
    assert_eq!(document["targets"][0]["before"][0]["revision"], "2");
    assert_eq!(world.split(), "2");
}

/// A terminal that goes away, or a runner that cancels a job, does not leave half a fleet on a bad candidate.
#[test]
fn a_rollback_of_many_is_finished_whoever_interrupts_it() {
    let world = World::new();
    let names: Vec<String> = (0..40).map(|n| format!("model-{n}")).collect();
    let mut arguments = vec!["rollback".to_owned()];
    for name in &names {
        world.server.add_function(name, &[1, 2]);
        let weights = [("2".to_owned(), 0.1)].into();
        world.server.add_alias(
            name,
            "prod",
            mlroll_faults::Alias { version: "1".into(), weights, ..Default::default() },
        );
        arguments.extend(["--target".to_owned(), format!("lambda:us-east-1/{name}@prod")]);
    }
    let child = start(&world, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    wait_for_requests(&world, 5);
    for name in ["HUP", "TERM", "INT", "TERM"] {
        crate::world::signal(&child, name);
        std::thread::sleep(Duration::from_millis(50));
    }
    let (code, document) = end(child);
    assert_eq!((code, &document["outcome"]), (Some(0), &Value::from("rolled_back")));
    assert!(names.iter().all(|name| world.server.alias(name, "prod").unwrap().weights.is_empty()));
}

#[test]
fn an_interrupt_while_settling_keeps_what_was_done() {
    let world = World::with_canary("10");
    world.server.set_alias("fraud", "prod", |alias| alias.transient_on_move = u32::MAX);
    let child = start(&world, &["promote", "--force", "--target", FRAUD]);
    wait_for_requests(&world, 3);
    crate::world::signal(&child, "INT");
    let (code, document) = end(child);
    assert_eq!(
        (code, &document["outcome"], &document["settled"]),
        (Some(130), &Value::from("promoted"), &Value::Bool(false))
    );
}
