//! `explain` and `explain --verify`, on runs that were made by the program itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::watched::{Behaviour, GOOD, ROLLOUT, Service};
use crate::world::{FRAUD, World};

fn journals(world: &World) -> Vec<PathBuf> {
    let mut paths: Vec<_> =
        std::fs::read_dir(world.path().join(".mlroll")).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths
}

fn events<'a>(document: &'a Value, name: &str) -> Vec<&'a Value> {
    document["run"]["events"].as_array().unwrap().iter().filter(|event| event["event"] == name).collect()
}

#[test]
fn a_rollback_is_explained_and_judged_again() {
    let world = Arc::new(World::new());
    let _service = Service::start(&world, GOOD, Behaviour { errors: 0.2, ..GOOD });
    world.run(&ROLLOUT).expect(1);
    let document = world.run(&["explain", "--output", "json"]).expect(0).json();
    assert_eq!((&document["schema"], &document["verified"]), (&Value::from("mlroll/explain/1"), &Value::Null));
    let decided = events(&document, "decided");
    assert_eq!(
        (decided.len(), &decided[0]["decision"], &decided[0]["gate"]),
        (1, &Value::from("rollback"), &Value::from("error_rate"))
    );
    assert!(decided[0]["rule"].as_str().unwrap().contains(">= 1/alpha = 100; `error_rate` has the largest share"));
    let begun = events(&document, "begun");
    let query = begun[0]["queries"][0]["candidate"].as_str().unwrap();
    assert!(query.contains("http_requests_total{version=\"3\"}[5s]"), "{query}");
    let looks = events(&document, "look");
    let counts = &looks.last().unwrap()["read"][0]["candidate"]["counts"];
    assert!(counts["events"].as_f64().unwrap() > counts["requests"].as_f64().unwrap() / 10.0, "{counts}");
    assert_eq!(events(&document, "shift").len(), 2);

    let told = world.run(&["explain"]).expect(0).stdout;
    for part in
        ["steps 10 %, 50 %, 100 %", "fail at ln E 4.61", "DECIDED rollback: FAIL", "fail ", "ended: rolled_back"]
    {
        assert!(told.contains(part), "nowhere {part:?} in\n{told}");
    }
    assert!(!told.contains('\u{1b}'), "no colours without a terminal");

    let id = document["run"]["id"].as_str().unwrap();
    for named in [vec!["explain", id], vec!["explain", "fraud"], vec!["explain", "--target", FRAUD]] {
        world.run(&[&named[..], &["--verify"]].concat()).expect(0).says("bit for bit");
    }
    assert_eq!(world.run(&["explain", "--verify", "--output", "json"]).expect(0).json()["verified"], true);

    let whole = world.run(&["explain", "--output", "json"]).expect(0).json();
    assert_eq!((&whole["whole"], &whole["run"]["outcome"]), (&Value::Bool(true), &Value::from("rolled_back")));
    let journal = journals(&world).remove(0);
    cut_at_line_ends(&world, &journal);
    let mut bytes = std::fs::read(&journal).unwrap();
    let second_half = &bytes[bytes.len() / 2..];
    let content = second_half.windows(7).position(|bytes| bytes == b"\"line\":").unwrap();
    let at = bytes.len() / 2 + content + 10;
    bytes[at] ^= 1;
    std::fs::write(&journal, bytes).unwrap();
    world.run(&["explain"]).expect(2).says("is damaged");
    world.run(&["explain", id, "--verify"]).expect(2).says("line ");
}

/// Each beginning is consistent, and none is told as a run that came to its end.
fn cut_at_line_ends(world: &World, journal: &Path) {
    let bytes = std::fs::read(journal).unwrap();
    let ends: Vec<usize> = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect();
    assert_eq!(ends.last(), Some(&bytes.len()));
    for (line, end) in
        [(1, ends[0]), (ends.len() / 2, ends[ends.len() / 2 - 1]), (ends.len() - 1, ends[ends.len() - 2])]
    {
        std::fs::write(journal, &bytes[..end]).unwrap();
        let told = world.run(&["explain", "--verify"]).expect(0);
        told.says("verified as far as it goes: run").says(&format!("unfinished: the journal ends after line {line},"));
        let document = world.run(&["explain", "--verify", "--output", "json"]).expect(0).json();
        let (verified, unfinished) = (&document["verified"], &document["run"]["unfinished"]);
        assert_eq!(
            (verified, unfinished, &document["whole"]),
            (&Value::Bool(true), &Value::Bool(true), &Value::Bool(false))
        );
    }
    std::fs::write(journal, bytes).unwrap();
    let told = world.run(&["explain", "--verify"]).expect(0).stdout;
    assert!(told.starts_with("verified: run") && !told.contains("unfinished"), "{told}");
}

#[test]
fn a_run_that_nothing_judged_is_explained_too() {
    let world = World::new();
    let typed = ["rollout", "--no-gates", "--candidate", "3", "--steps", "10%,100%", "--bake", "1s", "--target", FRAUD];
    world.run(&[&typed[..], &["--reason", "it is late"]].concat()).expect(0);
    world.run(&["explain", "--verify"]).expect(0);
    world.run(&["explain"]).expect(0).says("it is late").says("not judged").says("DECIDED pass: live, and not judged");
    world.run(&["explain", "other"]).expect(6).says("no service `other`");
    world.run(&["explain", "--target", "lambda:us-east-1/other@prod"]).expect(6).says("mlroll history");
}
