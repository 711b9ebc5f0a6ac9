//! `kill -9` before and after each call that a rollout makes, and then once more `rollout`: the same end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mlroll_faults::{Fault, Kind, Operation};

use crate::watched::{GOOD, Service, config_of, start};
use crate::world::World;

/// Kills the rollout at its `nth` call of `operation`, while the provider has or has not done what it asks.
fn kill_at(world: &World, operation: Operation, nth: u32, kind: Kind) -> bool {
    world.server.set_alias("fraud", "prod", |alias| {
        alias.version = "2".into();
        alias.weights.clear();
        alias.description = "owned by ml".into();
    });
    let _ = std::fs::remove_dir_all(world.path().join(".mlroll"));
    world.server.clear_requests();
    world.server.fault(Fault::on(operation).skip(nth).kind(kind));
    let mut child = start(world, &["rollout", "--candidate", "3"]);
    let started = Instant::now();
    let reached = loop {
        if world.sent(operation).len() > nth as usize {
            break true;
        }
        if child.try_wait().unwrap().is_some() {
            break false;
        }
        assert!(started.elapsed() < Duration::from_secs(90), "the rollout does not end");
        std::thread::sleep(Duration::from_millis(10));
    };
    // What hangs after it was done is done by now.
    std::thread::sleep(Duration::from_millis(100));
    let _ = child.kill();
    child.wait().unwrap();
    world.server.clear_faults();
    reached
}

fn killed_at_each(operation: Operation, kind: &Kind) {
    let world = Arc::new(World::new());
    let service = Service::start(&world, GOOD, GOOD);
    let quick = config_of(service.port, "")
        .replace("[\"10%\", \"50%\", \"100%\"]", "[\"10%\", \"100%\"]")
        .replace("min_bake = \"5s\"", "min_bake = \"2s\"")
        .replace("look = \"5s\"", "look = \"2s\"")
        .replace("settle_delay = \"2s\"", "settle_delay = \"1s\"");
    world.write("mlroll.toml", &quick);
    let mut boundaries = 0;
    while kill_at(&world, operation, boundaries, kind.clone()) {
        let ran = world.run(&["rollout", "--candidate", "3"]);
        assert_eq!(
            (ran.code, world.split().as_str()),
            (0, "3"),
            "killed at call {boundaries} of {operation:?} ({kind:?}): {ran:?}"
        );
        assert!(world.alias().description.contains("state=promoted stable=3 previous=2"));
        boundaries += 1;
    }
    assert!(boundaries >= 2, "{operation:?} has {boundaries} calls");
}

#[test]
fn before_each_write() {
    killed_at_each(Operation::UpdateAlias, &Kind::HangBefore);
}

#[test]
fn after_each_write() {
    killed_at_each(Operation::UpdateAlias, &Kind::HangAfter);
}

#[test]
fn at_each_read() {
    killed_at_each(Operation::GetAlias, &Kind::HangBefore);
}
