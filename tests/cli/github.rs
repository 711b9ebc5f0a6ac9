//! In a GitHub Actions job.

use crate::world::{FRAUD, World};

#[test]
fn a_job_gets_an_annotation_a_summary_and_outputs() {
    let world = World::with_canary("10");
    let summary = world.path().join("summary.md");
    let output = world.path().join("output");
    std::fs::write(&summary, "before\n").unwrap();
    let world = world
        .set("GITHUB_ACTIONS", "true")
        .set("CI", "true")
        .set("GITHUB_STEP_SUMMARY", summary.to_str().unwrap())
        .set("GITHUB_OUTPUT", output.to_str().unwrap());
    let ran =
        world.run(&["rollback", "--target", FRAUD, "--output", "json", "--reason", "p95 | doubled\n<b>"]).expect(0);
    assert_eq!(ran.json()["reason"], "p95 | doubled\n<b>");
    ran.says("::notice title=mlroll rollback lambda%3Aus-east-1/fraud@prod::rolled back; traffic: 2 100 %25");
    let summary = std::fs::read_to_string(&summary).unwrap();
    assert!(summary.starts_with("before\n### mlroll rollback: rolled back\n"), "{summary}");
    assert!(summary.contains("Reason: p95 \\| doubled &lt;b>"), "{summary}");
    assert!(
        summary.contains("| `lambda:us-east-1/fraud@prod` | rolled back | 2 90 %, 3 10 % | 2 100 % |"),
        "{summary}"
    );
    let output = std::fs::read_to_string(&output).unwrap();
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[..3], ["outcome=rolled_back", "exit_code=0", "settled=true"]);
    assert!(lines[3].starts_with("json={") && lines.len() == 4, "{output}");
}

#[test]
fn a_failure_is_annotated_and_a_summary_that_cannot_be_written_stops_nothing() {
    let world = World::with_canary("10")
        .set("GITHUB_ACTIONS", "true")
        .set("GITHUB_STEP_SUMMARY", "/nonexistent/summary")
        .set("GITHUB_OUTPUT", "/nonexistent/output");
    world
        .run(&["rollback", "--target", FRAUD])
        .expect(0)
        .says("cannot be written: No such file or directory (os error 2) (GITHUB_STEP_SUMMARY)");
    let ran = world.run(&["rollback", "--target", "lambda:us-east-1/nope@prod"]).expect(6);
    ran.says("::error title=mlroll rollback lambda%3Aus-east-1/nope@prod::");
}

#[test]
fn a_usage_error_is_told_to_the_job_too() {
    let world = World::new();
    let output = world.path().join("output");
    let world = world.set("GITHUB_ACTIONS", "true").set("GITHUB_OUTPUT", output.to_str().unwrap());
    world.run(&["canary", "--target", FRAUD]).expect(2).says("::error title=mlroll::");
    world.run(&["rollback", "nobody"]).expect(2).says("::error title=mlroll::");
    let output = std::fs::read_to_string(&output).unwrap();
    assert_eq!(output.matches("outcome=failed\nexit_code=2\nsettled=false\n").count(), 2, "{output}");
}

#[test]
fn outside_of_a_job_nothing_is_annotated() {
    let world = World::with_canary("10");
    let ran = world.run(&["rollback", "--target", FRAUD]).expect(0);
    assert!(!ran.stderr.contains("::notice") && !ran.stdout.contains("::notice"));
}
