//! What it says is what it does.

use mlroll_faults::Operation;
use serde_json::Value;

use crate::world::{FRAUD, World};

/// Method, URL and body of each call, without what is new in every run.
fn calls_said(document: &Value) -> Vec<(String, String, Value)> {
    assert_eq!(document["schema"], "mlroll/dry-run/1");
    let call = |c: &Value| {
        assert_eq!(c["target"], FRAUD);
        (c["method"].as_str().unwrap().to_owned(), c["url"].as_str().unwrap().to_owned(), steady(c["body"].clone()))
    };
    document["calls"].as_array().unwrap().iter().map(call).collect()
}

fn steady(mut body: Value) -> Value {
    if let Some(description) = body.get("Description").and_then(Value::as_str) {
        let (before, _) = description.split_once(" at=").unwrap();
        body["Description"] = before.into();
    }
    body
}

#[test]
fn a_run_makes_the_calls_that_the_dry_run_printed_and_no_others() {
    let verbs: [&[&str]; 4] =
        [&["canary", "--pct", "10"], &["canary", "--pct", "0.5"], &["promote", "--force"], &["rollback"]];
    let world = World::new();
    for verb in verbs {
        let before = world.alias();
        world.server.clear_requests();
        let (ran, said) = world.verb(&[verb, &["--dry-run"]].concat());
        ran.expect(0);
        assert!(world.sent(Operation::UpdateAlias).is_empty(), "{verb:?} wrote in a dry run");
        assert_eq!((world.alias().revision_id, world.alias().description), (before.revision_id, before.description));
        world.server.clear_requests();
        world.verb(verb).0.expect(0);
        let url = |r: &mlroll_faults::Request| {
            let query: Vec<String> = r.query.iter().map(|(k, v)| format!("{k}={v}")).collect();
            let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
            format!("{}{}{query}", world.server.url(), r.path)
        };
        let mut made: Vec<_> =
            world.server.requests().iter().map(|r| (r.method.clone(), url(r), steady(r.body.clone()))).collect();
        let mut said = calls_said(&said);
        // Two checks go out at once, in any order.
        made.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        said.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        assert_eq!(said, made, "{verb:?}");
    }
}

#[test]
fn a_dry_run_that_would_be_refused_says_so() {
    let world = World::new();
    let (ran, _) = world.verb(&["rollback", "--dry-run"]);
    ran.expect(6);
    let ran = world.run(&["rollback", "--to", "1", "--dry-run", "--target", FRAUD]).expect(0);
    ran.says("not sent: this is a dry run");
    let (_, document) = world.verb(&["rollback", "--to", "1", "--dry-run", "--reason", "p95"]);
    assert_eq!(document["targets"][0]["calls"], serde_json::json!({"read": 1, "write": 0, "poll": 0}));
    assert_eq!(document["reason"], "p95");
    let missing = ["status", "--dry-run", "--target", "lambda:us-east-1/nope@prod"];
    world.run(&missing).expect(6);
    assert_eq!(world.split(), "2");
}
