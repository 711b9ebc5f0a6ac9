//! `action.yml`, run as a runner runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use mlroll_faults::tool;
use serde_json::{Value, json};

use crate::world::{FRAUD, World};

fn tree(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The action with these inputs, in the folder of `world`.
fn runner(world: &World, inputs: &Value, binary: &Path) -> Command {
    let mut inputs = inputs.clone();
    inputs["binary"] = json!(binary);
    let env: Vec<_> = world.command(&[]).get_envs().map(|(k, v)| (k.to_owned(), v.unwrap().to_owned())).collect();
    let mut command = Command::new(tool("python/bin/python"));
    command.arg(tree("tests/runner.py")).arg(tree("action.yml")).arg(inputs.to_string());
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").envs(env).current_dir(world.path());
    command
}

#[track_caller]
fn result(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {said}"))
}

fn run(world: &World, inputs: &Value) -> Value {
    result(&runner(world, inputs, Path::new(env!("CARGO_BIN_EXE_mlroll"))).output().unwrap())
}

#[test]
fn a_canary_and_its_rollback_set_the_outputs_of_the_action() {
    let world = World::new();
    let inputs = json!({ "verb": "canary", "target": FRAUD, "args": "--pct=10\n--candidate\n3\n" });
    let canary = run(&world, &inputs);
    assert_eq!((&canary["exit_code"], &canary["outputs"]["outcome"]), (&json!(0), &json!("shifted")), "{canary}");
    assert_eq!((&canary["outputs"]["exit_code"], &canary["outputs"]["settled"]), (&json!("0"), &json!("true")));
    let whole: Value = serde_json::from_str(canary["outputs"]["json"].as_str().unwrap()).unwrap();
    assert_eq!(whole["schema"], "mlroll/outcome/1");
    assert!(canary["summary"].as_str().unwrap().contains(FRAUD), "{canary}");
    assert_eq!(world.split(), "2+3:0.1");
    let back = run(&world, &json!({ "verb": "rollback", "target": FRAUD }));
    assert_eq!(back["outputs"]["outcome"], "rolled_back", "{back}");
    assert_eq!(world.split(), "2");
}

#[test]
fn a_service_of_a_file_elsewhere_is_found() {
    let world = World::with_canary("10");
    std::fs::create_dir(world.path().join("deploy")).unwrap();
    world.write("deploy/mlroll.toml", &format!("[services.fraud]\ntarget = \"{FRAUD}\"\n"));
    let inputs = json!({ "verb": "rollback", "service": "fraud", "working-directory": "deploy" });
    assert_eq!(run(&world, &inputs)["outputs"]["outcome"], "rolled_back");
}

/// A commit message is text, whatever is in it.
#[test]
fn no_input_is_run_as_a_script() {
    let world = World::new();
    let reason = "it's $(touch owned) `touch owned` \"; touch owned; # ${{ inputs.verb }}";
    let inputs = json!({ "verb": "canary", "target": FRAUD, "reason": reason, "args": "--pct=10\n--candidate=3" });
    let ran = run(&world, &inputs);
    assert_eq!(ran["exit_code"], 0, "{ran}");
    assert!(!world.path().join("owned").exists());
    let whole: Value = serde_json::from_str(ran["outputs"]["json"].as_str().unwrap()).unwrap();
    assert_eq!(whole["reason"], reason);
}

#[test]
fn a_failure_is_the_steps_failure_and_told_in_the_outputs() {
    let world = World::new();
    let ran = run(&world, &json!({ "verb": "rollback", "target": FRAUD }));
    assert_eq!((&ran["exit_code"], &ran["outputs"]["exit_code"]), (&json!(6), &json!("6")), "{ran}");
}

/// The runner signals the process that it started: that must be the program, and no shell around it.
#[test]
fn the_script_becomes_the_program() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    world.write("whoami", "#!/bin/sh\necho $$ > whoami.pid\n");
    let program = world.path().join("whoami");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let ran = result(&runner(&world, &json!({ "verb": "status" }), &program).output().unwrap());
    assert_eq!(ran["exit_code"], 0);
    let read = |name: &str| std::fs::read_to_string(world.path().join(name)).unwrap().trim().to_owned();
    assert_eq!(read("whoami.pid"), read("step.pid"));
}
