//! Many targets at once.

use std::time::Instant;

use mlroll_faults::{Alias, Fault, Kind, Operation, RateLimit};
use serde_json::Value;

use crate::world::World;

const FLEET: usize = 200;
const PER_SECOND: f64 = 15.0;

fn names() -> Vec<String> {
    (0..FLEET).map(|n| format!("model-{n:03}")).collect()
}

fn config() -> String {
    let targets: Vec<String> = names().iter().map(|n| format!("  \"lambda:us-east-1/{n}@prod\",\n")).collect();
    format!("[services.fleet]\ntargets = [\n{}]\n", targets.concat())
}

/// 200 aliases in a canary each, behind Lambda's rate limit; every tenth refuses the write.
#[test]
fn a_fleet_is_rolled_back_at_the_control_planes_rate_and_failures_stop_nobody() {
    let world = World::new();
    for name in names() {
        world.server.add_function(&name, &[1, 2]);
        let weights = [("2".to_owned(), 0.1)].into();
        world.server.add_alias(&name, "prod", Alias { version: "1".into(), weights, ..Alias::default() });
    }
    let broken: Vec<String> = names().into_iter().step_by(10).collect();
    for name in &broken {
        let fault = Fault::on(Operation::UpdateAlias).target(format!("{name}@prod")).forever();
        world.server.fault(fault.kind(Kind::status(403, "AccessDeniedException", "not yours")));
    }
    // A burst that a busy machine holds up meets the next one: that much is allowed, and the rate is looked at below.
    world.server.set_rate_limit(Some(RateLimit { per_second: PER_SECOND + 1.0, burst: 30 }));
    world.write("mlroll.toml", &config());
    let started = Instant::now();
    let ran = world.run(&["rollback", "fleet", "--output", "json"]);
    let took = started.elapsed().as_secs_f64();
    let document = ran.json();
    let targets = document["targets"].as_array().unwrap();
    assert_eq!(targets.len(), FLEET);
    for (name, target) in names().iter().zip(targets) {
        let failed = broken.contains(name);
        assert_eq!(target["target"], format!("lambda:us-east-1/{name}@prod"), "in the order of the file");
        assert_eq!(target["outcome"], if failed { "failed" } else { "rolled_back" });
        assert_eq!(target["error"]["kind"], if failed { Value::from("auth") } else { Value::Null });
        assert_eq!(world.server.alias(name, "prod").unwrap().weights.is_empty(), !failed);
    }
    assert_eq!(document["outcome"], "failed");
    ran.expect(5);
    let requests = world.server.requests();
    let rate = requests.len() as f64 / took;
    let between = requests.last().unwrap().at.duration_since(requests[0].at).as_secs_f64();
    let sent = (requests.len() - 15) as f64 / between;
    let throttled = requests.iter().filter(|r| r.status == Some(429)).count();
    assert!(rate >= 0.9 * PER_SECOND, "{} calls in {took:.1} s are {rate:.1} a second", requests.len());
    assert_eq!(throttled, 0, "the rate was kept on this side");
    assert!(sent <= PER_SECOND, "{sent:.1} a second");

    world.server.clear_requests();
    let ran = world.run(&["rollback", "--all", "--output", "json"]);
    let document = ran.json();
    let written: Vec<String> = world.sent(Operation::UpdateAlias).into_iter().filter_map(|r| r.target).collect();
    assert_eq!(written.len(), broken.len());
    assert!(written.iter().all(|t| broken.iter().any(|name| *t == format!("{name}@prod"))));
    let unchanged = document["targets"].as_array().unwrap().iter().filter(|t| t["outcome"] == "unchanged").count();
    assert_eq!(unchanged, FLEET - broken.len());
    ran.expect(5);
}

#[test]
fn all_acts_on_what_is_in_flight_and_lists_the_rest() {
    let world = World::promoted();
    for (name, alias) in [
        ("calm", Alias { version: "1".into(), ..Alias::default() }),
        ("running", Alias { version: "1".into(), weights: [("2".to_owned(), 0.1)].into(), ..Alias::default() }),
        (
            "old",
            Alias {
                version: "2".into(),
                description: "[mlroll v1 state=promoted stable=2 previous=1 at=1700000000]".into(),
                ..Alias::default()
            },
        ),
    ] {
        world.server.add_function(name, &[1, 2]);
        world.server.add_alias(name, "prod", alias);
    }
    let service = |name: &str| format!("[services.{name}]\ntarget = \"lambda:us-east-1/{name}@prod\"\n");
    world.write("mlroll.toml", &["fraud", "calm", "running", "old"].map(service).concat());
    let ran = world.run(&["rollback", "--all", "--output", "json"]).expect(0);
    let document = ran.json();
    let outcome = |name: &str| {
        let targets = document["targets"].as_array().unwrap();
        targets.iter().find(|t| t["service"] == name).unwrap()["outcome"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        ["fraud", "calm", "running", "old"].map(outcome),
        ["rolled_back", "unchanged", "rolled_back", "unchanged"]
    );
    assert_eq!(document["outcome"], "rolled_back");
    world.run(&["rollback", "--all", "--since", "99999d"]).expect(2);
    world.run(&["rollback", "--all", "--since", "365d"]).expect(0);
}

#[test]
fn several_targets_and_the_worst_exit() {
    let world = World::with_canary("10");
    let run = |targets: &[&str]| {
        let mut arguments = vec!["rollback"];
        for target in targets {
            arguments.extend(["--target", target]);
        }
        world.run(&arguments).code
    };
    assert_eq!(run(&["lambda:us-east-1/fraud@prod", "lambda:us-east-1/nope@prod"]), 6);
    assert_eq!(world.split(), "2", "one that is missing stops no other");
    assert_eq!(run(&["lambda:us-east-1/fraud@prod", "lambda:us-east-1/fraud@prod"]), 0);
}

/// Promise 1: what can be rolled back is, whatever else is wrong with the file.
#[test]
fn one_bad_service_does_not_stop_the_others() {
    let good = "[services.fraud]\ntarget = \"lambda:us-east-1/fraud@prod\"\n";
    for (bad, service) in [
        ("[services.bad]\ntarget = \"lambda:b\"\n", Value::from("bad")),
        ("[services.bad]\nbake = \"1m\"\n", Value::from("bad")),
        ("[services.bad]\ntargets = [\"lambda:us-east-1/a@prod\", 7]\n", Value::from("bad")),
        (
            "[services.bad]\nwaves = [{ targets = [\"lambda:us-east-1/a@prod\"] }, \"lambda:us-east-1/b@prod\"]\n",
            Value::from("bad"),
        ),
        ("[services.bad\ntarget = \"lambda:us-east-1/a@prod\"\n", Value::Null),
        ("[services.fraud]\ntarget = \"lambda:us-east-1/other@prod\"\n", Value::Null),
    ] {
        let world = World::with_canary("10");
        world.write("mlroll.toml", &format!("{good}{bad}"));
        let ran = world.run(&["rollback", "--all", "--output", "json"]);
        let document = ran.json();
        ran.expect(2);
        assert_eq!(world.split(), "2", "{bad}");
        let failed: Vec<&Value> =
            document["targets"].as_array().unwrap().iter().filter(|t| t["outcome"] == "failed").collect();
        assert_eq!(failed.len(), 1, "{bad}: {document}");
        assert_eq!(failed[0]["service"], service, "{bad}");
        assert_eq!(document["outcome"], "failed");
    }
}

#[test]
fn a_target_of_another_provider_does_not_stop_the_others() {
    let world = World::with_canary("10").set("AWS_ENDPOINT_URL_SAGEMAKER", "http://127.0.0.1:1");
    let arguments =
        ["--target", "sagemaker:us-east-1/e", "--target", "lambda:us-east-1/fraud@prod", "--output", "json"];
    let ran = world.run(&[&["status"][..], &arguments].concat());
    assert_eq!(ran.json()["targets"][1]["settled"], true);
    ran.expect(7);
    world.run(&[&["rollback"][..], &arguments].concat()).expect(7);
    assert_eq!(world.split(), "2");
}

#[test]
fn two_ways_to_write_a_target_are_one_target() {
    let world = World::with_canary("10");
    let arn = "arn:aws:lambda:us-east-1:123456789012:function:fraud:prod";
    let ran = world.run(&["rollback", "--target", "lambda:us-east-1/fraud@prod", "--target", arn, "--output", "json"]);
    let document = ran.json();
    ran.expect(0);
    assert_eq!(document["targets"].as_array().unwrap().len(), 1);
    assert_eq!((document["targets"][0]["target"].as_str().unwrap(), world.wire()), (arn, (1, 1)));
}
