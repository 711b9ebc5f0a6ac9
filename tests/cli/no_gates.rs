//! `rollout --no-gates`: all steps, nothing judged.

use std::process::Stdio;
use std::time::{Duration, Instant};

use mlroll_faults::Operation;
use serde_json::Value;

use crate::world::{FRAUD, World, signal};

fn world(more: &str) -> World {
    let world = World::new();
    let text = format!("[services.fraud]\ntarget = \"{FRAUD}\"\nbake = \"1s\"\n{more}\n");
    world.write("mlroll.toml", &text);
    world
}

const ROLLOUT: [&str; 6] = ["rollout", "--no-gates", "--candidate", "3", "--output", "json"];
const STEPS: &str = "steps = [\"10%\", \"50%\", \"100%\"]";

fn wait_until(what: &str, world: &World, is_so: impl Fn(&World) -> bool) {
    let started = Instant::now();
    while !is_so(world) {
        assert!(started.elapsed() < Duration::from_secs(180), "never {what}: {}", world.split());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn takes_every_step_and_promotes_without_a_judge() {
    let world = world(STEPS);
    let ran = world.run(&ROLLOUT).expect(0);
    let document = ran.json();
    assert_eq!((&document["outcome"], world.split().as_str()), (&Value::from("promoted"), "3"));
    assert_eq!(document["findings"], Value::Array(Vec::new()));
    assert!(document["targets"][0]["notes"][0].as_str().unwrap().contains("not judged"), "{document}");
    let shares: Vec<String> = world.sent(Operation::UpdateAlias).into_iter().map(|r| r.body.to_string()).collect();
    assert_eq!(shares.len(), 3);
    assert!(shares[0].contains("0.1") && shares[1].contains("0.5"), "{shares:?}");
    let run = &world.run(&["history", "--output", "json"]).expect(0).json()["runs"][0];
    assert_eq!((&run["outcome"], &run["unfinished"]), (&Value::from("promoted"), &Value::Bool(false)));
    assert!(run["why"].as_str().unwrap().contains("not judged"));
}

#[test]
fn steps_may_be_typed_and_then_no_file_is_needed() {
    let world = World::new();
    let steps = ["--steps", "20%,100%", "--bake", "1s", "--target", FRAUD];
    world.run(&[&ROLLOUT[..], &steps[..4]].concat()).expect(2);
    world.run(&[&ROLLOUT[..], &steps].concat()).expect(0);
    assert_eq!((world.split().as_str(), world.sent(Operation::UpdateAlias).len()), ("3", 2));
    for (wrong, message) in [("20%,10%,100%", "rise"), ("10%,50%", "100%"), ("ten,100%", "ten")] {
        world.run(&["rollout", "--no-gates", "--target", FRAUD, "--steps", wrong]).expect(2).says(message);
    }
}

#[test]
fn something_must_say_the_steps_and_gates_must_be_waived() {
    let world = world("");
    world.run(&ROLLOUT).expect(2).says("--steps 10%,50%,100%");
    world.run(&["rollout", "--candidate", "3", "--steps", "10%,100%"]).expect(2).says("--no-gates");
    assert!(world.server.requests().is_empty());
}

#[test]
fn a_change_by_somebody_else_in_mid_bake_ends_it() {
    let world = world(STEPS).slow();
    let child = world.command(&ROLLOUT).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("a canary", &world, |world| world.split() == "2+3:0.1");
    world.server.set_alias("fraud", "prod", |alias| {
        alias.version = "4".into();
        alias.weights.clear();
    });
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(4));
    assert_eq!(world.split(), "4");
}

#[test]
fn a_run_that_no_file_knows_can_be_held() {
    let world = World::new();
    let terms = ["--steps", "10%,100%", "--bake", "60s", "--target", FRAUD];
    let mut command = world.command(&[&ROLLOUT[..], &terms].concat());
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("a canary", &world, |world| world.split() == "2+3:0.1");
    let hold = ["hold", "--target", FRAUD, "--output", "json"];
    let document = world.run(&[&hold[..], &["--dry-run"]].concat()).expect(0).json();
    assert_eq!(document["asked"], Value::Bool(false));
    let document = world.run(&hold).expect(0).json();
    assert_eq!((&document["schema"], &document["asked"]), (&Value::from("mlroll/hold/1"), &Value::Bool(true)));
    signal(&child, "INT");
    child.wait_with_output().unwrap();
}

#[test]
fn an_interrupt_takes_it_back_and_what_was_held_is_gone_on_with() {
    let world = world(STEPS).slow();
    let start = |more: &[&str]| {
        let command = &mut world.command(&[&ROLLOUT[..], more].concat());
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let child = start(&["--on-interrupt", "hold"]);
    wait_until("a canary", &world, |world| world.split() == "2+3:0.1");
    signal(&child, "INT");
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
    assert_eq!(world.split(), "2+3:0.1");
    // A judge cannot be brought in half way.
    let plain = std::fs::read_to_string(world.path().join("mlroll.toml")).unwrap();
    let gate = "[[services.fraud.gates]]\nmetric = \"error_rate\"\nmax = \"1%\"\n";
    world.write("mlroll.toml", &format!("{plain}{gate}"));
    world.run(&["rollout", "--candidate", "3"]).expect(4).says("is not judged").says("mlroll resume");
    world.write("mlroll.toml", &plain);
    let child = world.command(&["resume"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the second step", &world, |world| world.split() == "2+3:0.5");
    signal(&child, "KILL");
    child.wait_with_output().unwrap();
    let child = start(&[]);
    wait_until("going on", &world, |world| {
        let journal = std::fs::read_dir(world.path().join(".mlroll")).unwrap().next().unwrap().unwrap().path();
        std::fs::read_to_string(journal).unwrap().matches("\"started\"").count() == 2
    });
    signal(&child, "INT");
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
    assert_eq!(world.split(), "2");
    assert_eq!(world.sent(Operation::UpdateAlias).len(), 3, "10 %, 50 %, and back");
}

impl World {
    /// With a bake that is not over before it is interrupted.
    fn slow(self) -> Self {
        let text = std::fs::read_to_string(self.path().join("mlroll.toml")).unwrap();
        self.write("mlroll.toml", &text.replace("bake = \"1s\"", "bake = \"4s\"\nlook = \"1s\""));
        self
    }
}
