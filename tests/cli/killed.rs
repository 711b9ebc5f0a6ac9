//! `kill -9` before and after each call that a rollout makes, to the provider and to the metric store, and then once more
//! `rollout` or `resume`: the same end, and by scripted answers the same evidence.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mlroll_faults::{Fault, Kind, Operation};

use crate::scaled::{FastClock, GATES, Reply, Store, config, healthy, share};
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
        assert!(started.elapsed() < Duration::from_secs(300), "the rollout does not end");
        std::thread::sleep(Duration::from_millis(10));
    };
    // What hangs after it was done is done by now.
    std::thread::sleep(Duration::from_millis(400));
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

/// A call at which a run is killed.
#[derive(Clone, Copy, Debug)]
enum Boundary {
    /// The store has the nth query and has not answered it.
    BeforeAnswer(usize),
    /// The store has answered the nth query.
    AfterAnswer(usize),
    /// The nth call of the provider, which does or does not do what it asks.
    Provider(Operation, u32, bool),
}

/// What a run leads to, besides ids and moments.
#[derive(Debug, PartialEq)]
struct End {
    code: i32,
    split: String,
    note: String,
    findings: serde_json::Value,
    /// Windows that were judged, of all steps.
    judged: usize,
}

impl End {
    /// A pass that was not acted upon yet is as old as the process it belonged to: the next one takes another look.
    fn assert_same(&self, whole: &Self, boundary: Boundary) {
        // Who is killed after an answer may have judged it already, and read the target on the way to its next step.
        let may_renew = matches!(boundary, Boundary::AfterAnswer(_) | Boundary::Provider(Operation::GetAlias, ..));
        let renewed = may_renew && self.judged == whole.judged + 1;
        if !renewed {
            return assert_eq!(self, whole, "killed at {boundary:?}");
        }
        let ends = |end: &Self| (end.code, end.split.clone(), end.note.clone());
        assert_eq!(ends(self), ends(whole), "killed at {boundary:?}");
        for finding in self.findings.as_array().unwrap() {
            assert_eq!((&finding["looks"], &finding["verdict"]), (&self.judged.into(), &"pass".into()), "{boundary:?}");
        }
    }
}

const BAKED: &str = r#"
steps = ["10%", "50%", "100%"]
bake = "3m"
min_bake = "3m"
warm_up = "0s"
look = "60s"
"#;

/// A rollout in scaled time by a store whose answers depend on the weights alone, killed at `boundary` and gone on with;
/// `None` when it never gets there.
fn play(clock: &FastClock, boundary: Option<Boundary>) -> Option<End> {
    let world = Arc::new(World::new().set("MLROLL_CLOCK", &clock.url));
    let alias = Arc::clone(&world);
    let hangs_at = match boundary {
        Some(Boundary::BeforeAnswer(n)) => n,
        _ => usize::MAX,
    };
    let store = Store::start(move |asked| {
        if asked.n == hangs_at {
            Reply::Silence
        } else {
            Reply::Body(healthy(asked, 6000.0 * share(&alias, &asked.revision).max(0.01)))
        }
    });
    world.write("mlroll.toml", &config(store.port, BAKED, GATES));
    if let Some(boundary) = boundary {
        let reached: Box<dyn Fn() -> bool> = match boundary {
            Boundary::BeforeAnswer(n) => Box::new(move || store.count() > n),
            Boundary::AfterAnswer(n) => Box::new(move || store.answered() > n),
            Boundary::Provider(operation, nth, done) => {
                let kind = if done { Kind::HangAfter } else { Kind::HangBefore };
                world.server.fault(Fault::on(operation).skip(nth).kind(kind));
                let world = Arc::clone(&world);
                Box::new(move || world.sent(operation).len() > nth as usize)
            }
        };
        let mut child = start(&world, &["rollout", "--candidate", "3"]);
        let started = Instant::now();
        while !reached() {
            if child.try_wait().unwrap().is_some() {
                return None;
            }
            assert!(started.elapsed() < Duration::from_secs(300), "{boundary:?}: the rollout does not end");
            std::thread::sleep(Duration::from_millis(1));
        }
        if matches!(boundary, Boundary::Provider(..)) {
            // What hangs after it was done is done by now.
            std::thread::sleep(Duration::from_millis(250));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        world.server.clear_faults();
    }
    // Before there is a journal there is nothing to resume: then it begins anew.
    let resumed = boundary.map(|_| world.run(&["resume", "--output", "json"])).filter(|ran| ran.code != 6);
    let ran = resumed.unwrap_or_else(|| world.run(&["rollout", "--candidate", "3", "--output", "json"]));
    let document = ran.json();
    let note = world.alias().description;
    let marker = |field: &str| note.split(field).nth(1).and_then(|rest| rest.split([' ', ']']).next()).unwrap_or("");
    Some(End {
        code: ran.code,
        split: world.split(),
        note: ["state=", "stable=", "previous="].map(marker).join(" "),
        findings: document["findings"].clone(),
        judged: judged_once(&world),
    })
}

/// How many windows the newest journal consumed: each once, each behind the one before.
fn judged_once(world: &World) -> usize {
    let mut journals: Vec<_> =
        std::fs::read_dir(world.path().join(".mlroll")).unwrap().map(|e| e.unwrap().path()).collect();
    journals.retain(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
    journals.sort();
    let text = std::fs::read_to_string(journals.last().unwrap()).unwrap();
    let mut ends: Vec<String> = Vec::new();
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let looks = line["line"]["step"]["input"]["judged"].as_array().cloned().unwrap_or_default();
        ends.extend(looks.iter().map(|look| look["ends"].as_str().unwrap().to_owned()));
    }
    assert!(ends.is_sorted_by(|a, b| a < b), "{ends:?}");
    ends.len()
}

/// Plays all of `boundaries`, several at once, and compares each end with that of a run that is left alone.
fn same_end_at(boundaries: Vec<Boundary>) -> usize {
    let clock = FastClock::start(600.0);
    let whole = play(&clock, None).unwrap();
    assert_eq!((whole.code, whole.split.as_str(), whole.note.as_str(), whole.judged), (0, "3", "promoted 3 2", 6));
    let queue = std::sync::Mutex::new(boundaries);
    let reached = std::sync::atomic::AtomicUsize::new(0);
    let next = || queue.lock().unwrap().pop();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while let Some(boundary) = next() {
                    if let Some(end) = play(&clock, Some(boundary)) {
                        end.assert_same(&whole, boundary);
                        reached.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                }
            });
        }
    });
    reached.into_inner()
}

/// How many queries a whole run sends, and how many of them before traffic moves.
fn queries_of_a_run() -> (usize, usize) {
    let clock = FastClock::start(600.0);
    let world = Arc::new(World::new().set("MLROLL_CLOCK", &clock.url));
    let alias = Arc::clone(&world);
    let before = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = Arc::clone(&before);
    let store = Store::start(move |asked| {
        if alias.alias().weights.is_empty() && alias.alias().version == "2" {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        Reply::Body(healthy(asked, 6000.0 * share(&alias, &asked.revision).max(0.01)))
    });
    world.write("mlroll.toml", &config(store.port, BAKED, GATES));
    world.run(&["rollout", "--candidate", "3"]).expect(0);
    (store.count(), before.load(std::sync::atomic::Ordering::Relaxed))
}

#[test]
fn at_each_query_with_the_same_evidence() {
    let (all, before) = queries_of_a_run();
    assert!(before > 40 && all >= before + 6 * 4, "{all} {before}");
    // The stable revision's history is 40 windows of the same: its ends and its middle stand for all of it.
    let tried = [0, 1, before / 2, before - 1].into_iter().chain(before..all);
    let boundaries: Vec<Boundary> = tried.flat_map(|n| [Boundary::BeforeAnswer(n), Boundary::AfterAnswer(n)]).collect();
    let count = boundaries.len();
    // Whoever is killed after the last answer may have been quicker.
    assert!(same_end_at(boundaries) + 1 >= count);
}

#[test]
fn at_each_call_of_the_provider_with_the_same_evidence() {
    let mut boundaries = Vec::new();
    for nth in 0..3 {
        boundaries.extend([true, false].map(|done| Boundary::Provider(Operation::UpdateAlias, nth, done)));
    }
    boundaries.extend((0..11).map(|nth| Boundary::Provider(Operation::GetAlias, nth, false)));
    let count = boundaries.len();
    let reached = same_end_at(boundaries);
    assert!(reached >= 14, "{reached} of {count}");
}
