//! What earlier runs of a target mean for the next one.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use mlroll_faults::Operation;
use serde_json::Value;

use crate::world::{FRAUD, World, signal};

const SLOW: [&str; 6] = ["rollout", "--no-gates", "--steps", "10%,100%", "--bake", "60s"];
const QUICK: [&str; 6] = ["rollout", "--no-gates", "--steps", "10%,100%", "--bake", "1s"];

fn world() -> World {
    let world = World::new();
    world.write("mlroll.toml", &format!("[services.fraud]\ntarget = \"{FRAUD}\"\n"));
    world
}

/// A rollout that has shifted 10 % and bakes.
fn baking(world: &World, more: &[&str]) -> Child {
    let mut command = world.command(&[&SLOW[..], more].concat());
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    while !world.split().ends_with(":0.1") || !has_waited(world) {
        assert!(started.elapsed() < Duration::from_secs(180), "never a canary: {}", world.split());
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

fn journals(world: &World) -> Vec<std::path::PathBuf> {
    let folder = std::fs::read_dir(world.path().join(".mlroll")).into_iter().flatten();
    let mut paths: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
    paths.sort();
    paths
}

fn has_waited(world: &World) -> bool {
    journals(world).last().is_some_and(|path| std::fs::read_to_string(path).unwrap().contains("\"wait\""))
}

fn killed(world: &World, more: &[&str]) {
    let child = baking(world, more);
    signal(&child, "KILL");
    child.wait_with_output().unwrap();
}

#[test]
fn a_run_that_was_killed_and_rolled_back_by_hand_is_over() {
    let world = world();
    killed(&world, &["--candidate", "3"]);
    world.run(&["rollback"]).expect(0);
    let again = [&QUICK[..], &["--candidate", "3", "--output", "json"]].concat();
    world.run(&again).expect(2).says("--again");
    let document = world.run(&[&again[..], &["--again"]].concat()).expect(0).json();
    assert_eq!((&document["outcome"], world.split().as_str()), (&Value::from("promoted"), "3"));
    assert_eq!(journals(&world).len(), 2);
    // What is behind a run that came to its end is not gone on with.
    world.run(&["resume"]).expect(6).says("no run of this target is unfinished");
}

#[test]
fn a_living_run_is_in_charge() {
    let world = world();
    let child = baking(&world, &["--candidate", "3"]);
    let before = world.sent(Operation::UpdateAlias).len();
    for second in [&SLOW[..], &["rollout", "--no-gates", "--steps", "20%,100%"]] {
        world.run(&[second, &["--candidate", "3"]].concat()).expect(4).says("another run is in charge");
    }
    world.run(&["resume"]).expect(4);
    assert_eq!((world.split().as_str(), world.sent(Operation::UpdateAlias).len()), ("2+3:0.1", before));
    assert_eq!(journals(&world).len(), 1);
    signal(&child, "INT");
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
    assert_eq!(world.split(), "2");
}

#[test]
fn nobody_is_asked_to_hold_a_run_that_nobody_goes_on_with() {
    let world = world();
    killed(&world, &["--candidate", "3"]);
    let ran = world.run(&["hold", "--output", "json"]).expect(0);
    ran.says("ORPHANED").says("mlroll resume");
    let document = ran.json();
    assert_eq!((&document["asked"], &document["orphaned"]), (&Value::Bool(false), &Value::Bool(true)));
    assert_eq!(std::fs::read_dir(world.path().join(".mlroll")).unwrap().count(), 1, "no request is left behind");
}

#[test]
fn a_damaged_journal_stops_only_runs_of_its_own_target() {
    let world = world();
    killed(&world, &["--candidate", "3"]);
    let [own] = journals(&world).try_into().unwrap();
    let whole = std::fs::read_to_string(&own).unwrap();
    world.write(".mlroll/00OTHER.jsonl", "{\"nothing\":\"of ours\"}\n");
    let ran = world.run(&["hold"]).expect(0);
    ran.says("00OTHER.jsonl").says("ORPHANED");
    std::fs::write(&own, whole.replacen("\"started\"", "\"restarted\"", 1)).unwrap();
    world.run(&["resume"]).expect(2).says("is damaged").says("line 2");
    assert_eq!(world.split(), "2+3:0.1");
    world.run(&["rollback"]).expect(0);
    assert_eq!(world.split(), "2");
}

#[test]
fn a_run_that_shifted_nothing_gives_way_to_a_newer_candidate() {
    let world = world();
    let rollout = [&QUICK[..], &["--output", "json"]].concat();
    let document = world.run(&[&rollout[..], &["--candidate", "3"]].concat()).expect(0).json();
    assert_eq!(document["outcome"], "promoted");
    // Cut back to its beginning: as if it had been killed before its first shift.
    let [path] = journals(&world).try_into().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let beginning: String = text.split_inclusive('\n').take(2).collect();
    std::fs::write(&path, beginning).unwrap();
    world.server.set_alias("fraud", "prod", |alias| {
        alias.version = "2".into();
        alias.weights.clear();
        alias.description.clear();
    });
    let document = world.run(&rollout).expect(0).json();
    assert_eq!((&document["outcome"], world.split().as_str()), (&Value::from("promoted"), "4"));
}

#[cfg(unix)]
#[test]
fn a_pipe_in_the_state_folder_is_not_waited_for() {
    let world = world();
    std::fs::create_dir(world.path().join(".mlroll")).unwrap();
    let pipe = world.path().join(".mlroll/00PIPE.jsonl");
    assert!(std::process::Command::new("mkfifo").arg(pipe).status().unwrap().success());
    world.run(&["history"]).expect(0);
    world.run(&["resume"]).expect(6);
}
