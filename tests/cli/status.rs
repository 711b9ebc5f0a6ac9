//! `status` with a run behind it, and `status --watch`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mlroll_faults::{Fault, Kind, Operation};
use serde_json::Value;

use crate::watched::{Behaviour, GOOD, Service, config_of, start};
use crate::world::{FRAUD, World, signal};

fn rollout(world: &World) -> Value {
    world.run(&["status", "--output", "json"]).expect(0).json()["targets"][0]["rollout"].clone()
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(60), "never {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A rollout without gates that stays at its first step for long.
fn slow() -> (World, Child) {
    let world = World::new();
    world.write(
        "mlroll.toml",
        &format!("[services.fraud]\ntarget = \"{FRAUD}\"\nsteps = [\"10%\", \"100%\"]\nbake = \"1h\"\n"),
    );
    let child = start(&world, &["rollout", "--no-gates", "--candidate", "3"]);
    wait_until("a canary", || world.split() == "2+3:0.1");
    wait_until("it bakes", || rollout(&world)["state"] == "baking");
    (world, child)
}

#[test]
fn tells_of_the_run_behind_a_canary_and_when_nobody_goes_on_with_it() {
    let (world, mut child) = slow();
    let run = rollout(&world);
    assert_eq!(
        (&run["verb"], &run["step"], &run["steps"]),
        (&Value::from("rollout"), &Value::from(1), &Value::from(2))
    );
    assert_eq!(
        (&run["percent"], &run["orphaned"], &run["watched"]),
        (&Value::from(10.0), &Value::Bool(false), &Value::Bool(true))
    );
    world.run(&["status"]).expect(0).says("rollout: baking at step 1 of 2 since ");
    signal(&child, "INT");
    child.wait().unwrap();
    assert_eq!(rollout(&world), Value::Null, "it was taken back");
}

#[test]
fn a_canary_made_by_hand_is_not_watched_and_not_orphaned() {
    let world = World::with_canary("10");
    let (_, document) = world.verb(&["status"]);
    let run = &document["targets"][0]["rollout"];
    assert_eq!(
        (&run["state"], &run["step"], &run["watched"]),
        (&Value::from("canary"), &Value::Null, &Value::Bool(false))
    );
    assert_eq!((&run["orphaned"], &run["findings"]), (&Value::Bool(false), &Value::Array(Vec::new())));
}

#[test]
fn what_the_gates_said_last_is_shown() {
    let world = Arc::new(World::new());
    let service = Service::start(&world, GOOD, Behaviour { errors: 0.2, ..GOOD });
    world.write("mlroll.toml", &config_of(service.port, "on_fail = \"hold\""));
    world.run(&["canary", "--pct", "10", "--candidate", "3"]).expect(3);
    let run = rollout(&world);
    assert_eq!(
        (&run["state"], &run["verb"], &run["watched"]),
        (&Value::from("held"), &Value::from("canary"), &Value::Bool(false))
    );
    assert_eq!(
        (&run["findings"][0]["gate"], &run["findings"][0]["verdict"]),
        (&Value::from("error_rate"), &Value::from("fail"))
    );
    world.run(&["status"]).expect(0).says("error_rate fail, ").says("`mlroll resume` goes on with it");
    world.run(&["rollback"]).expect(0);
    assert_eq!(rollout(&world), Value::Null, "it is over");
}

fn watch(world: &World, more: &[&str]) -> (Child, BufReader<std::process::ChildStdout>) {
    let arguments = [&["status", "--watch", "--every", "1s", "--target", FRAUD][..], more].concat();
    let mut child = world.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    (child, stdout)
}

fn line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    line
}

#[test]
fn a_watch_says_a_line_for_each_change_and_ends_well_when_interrupted() {
    let world = World::new();
    let (child, mut lines) = watch(&world, &["--output", "json"]);
    let shares =
        |line: &str| serde_json::from_str::<Value>(line).unwrap()["targets"][0]["split"].as_array().map(Vec::len);
    assert_eq!(shares(&line(&mut lines)), Some(1));
    world.run(&["canary", "--pct", "10", "--candidate", "3", "--target", FRAUD]).expect(0);
    let canary: Value = serde_json::from_str(&line(&mut lines)).unwrap();
    assert_eq!(
        (&canary["schema"], &canary["targets"][0]["rollout"]["percent"]),
        (&Value::from("mlroll/status/1"), &Value::from(10.0))
    );
    world.run(&["rollback", "--target", FRAUD]).expect(0);
    assert_eq!(shares(&line(&mut lines)), Some(1));
    std::thread::sleep(Duration::from_millis(2500));
    signal(&child, "INT");
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(line(&mut lines), "", "nothing changed, and nothing was said");
}

#[test]
fn it_looks_once_each_time_and_goes_on_through_errors() {
    let world = World::new();
    let down = Kind::status(400, "SomethingElse", "later");
    let (child, mut lines) = watch(&world, &["--timeout", "20s"]);
    assert!(line(&mut lines).contains("stable 2 100 %"));
    world.server.clear_requests();
    let since = Instant::now();
    std::thread::sleep(Duration::from_millis(2100));
    let most = usize::try_from(since.elapsed().as_secs()).unwrap() + 1;
    assert!(world.sent(Operation::GetAlias).len() <= most, "{:?}", world.wire());
    world.server.fault(Fault::on(Operation::GetAlias).times(1).kind(down));
    let trouble = line(&mut lines);
    assert!(trouble.contains("later"), "{trouble}");
    assert!(line(&mut lines).contains("stable 2 100 %"), "it goes on");
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn what_cannot_be_watched_is_said_at_once() {
    let world = World::new();
    world.run(&["status", "--watch", "--target", "lambda:us-east-1/nope@prod"]).expect(6);
    world.run(&["status", "--watch", "--every", "100ms", "--target", FRAUD]).expect(2).says("at least `1s`");
    world.run(&["status", "--every", "5s", "--target", FRAUD]).expect(2).says("--watch");
    world.run(&["status", "--watch", "--dry-run", "--target", FRAUD]).expect(2);
}

/// `script` gives it a terminal.
#[test]
fn on_a_terminal_it_draws_in_place() {
    let world = World::new();
    let binary = env!("CARGO_BIN_EXE_mlroll");
    let typed = format!("stty cols 100; {binary} status --watch --every 1s --timeout 5s --target {FRAUD}");
    let plain = world.command(&[]);
    let mut command = Command::new("script");
    command.args(["-qec", &typed, "/dev/null"]).current_dir(world.path()).stdin(Stdio::null());
    command.env_clear().env("PATH", std::env::var("PATH").unwrap());
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap());
    }
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    wait_until("it looks", || !world.sent(Operation::GetAlias).is_empty());
    std::thread::sleep(Duration::from_millis(500));
    world.server.set_alias("fraud", "prod", |alias| alias.version = "4".into());
    let shown = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(shown.matches("TARGET").count(), 1, "the head has not changed, and is not drawn again: {shown:?}");
    assert!(shown.contains("2 100 %") && shown.contains("4 100 %") && shown.contains("\x1b[2A"), "{shown:?}");
}
