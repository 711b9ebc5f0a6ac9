//! Latencies that CloudWatch has no trimmed counts of, and of which some have no percentiles either. On the sandbox in scaled time.

use serde_json::Value;

use crate::sandbox::{HEALTHY, SLOW, Sandbox};

const FRAUD: &str = "sagemaker:us-east-1/fraud";

/// Both gates of the same limit: one that counts, and one that reads a percentile.
const COUNTS: &str = "max = \"300ms\"";
const READS: &str = "judge = \"sign\"\npass_tolerance = \"20%\"";

fn sandbox(candidate: &str, latencies: &str, gate: &str) -> Sandbox {
    let world = format!(
        "seed = 7\nstart = \"2026-11-21T03:00:00Z\"\n[cloudwatch]\ndelay = \"60s\"\nlatencies = \"{latencies}\"\n[sagemaker]\nupdate = \"20s\"\n[targets.\"{FRAUD}\"]\n\
         requests_per_second = 200\nstable = \"a\"\n[targets.\"{FRAUD}\".revisions]\na = {HEALTHY}\nb = {candidate}\n"
    );
    let sandbox = Sandbox::start(&["--speed", "300"], &world);
    configure(&sandbox, gate);
    sandbox
}

fn configure(sandbox: &Sandbox, gate: &str) {
    let file = format!(
        "[services.fraud]\ntarget = \"{FRAUD}\"\nsteps = [\"50%\", \"100%\"]\nbake = \"45m\"\nno_data_budget = \"10m\"\n\
         [services.fraud.metrics]\nsource = \"cloudwatch\"\n[[services.fraud.gates]]\nmetric = \"latency\"\nquantile = 0.95\n{gate}\n"
    );
    sandbox.write("mlroll.toml", &file);
}

/// What is told before the first shift, by `plan` and by the run, and in the reason of the gate at its end; and what is typed for it.
#[test]
fn what_cannot_be_counted_is_told_before_and_after_with_what_to_type() {
    let sandbox = sandbox(HEALTHY, "percentiles", COUNTS);
    let (code, plan) = sandbox.run(&["plan"]);
    assert_eq!(code, 0, "{plan}");
    let says = |text: &Value| {
        let text = text.to_string();
        text.contains("no trimmed count") && text.contains("`judge = \\\"sign\\\"`")
    };
    assert!(says(&plan["notes"]), "{plan}");
    let (code, done) = sandbox.run(&["rollout"]);
    assert_eq!((code, done["error"]["kind"].as_str()), (1, Some("no_data")), "{done}");
    assert!(says(&done["targets"][0]["notes"]) && says(&done["findings"][0]["reason"]), "{done}");
    assert!(done["targets"][0]["notes"].to_string().contains("nothing of stable's past could be judged"), "{done}");

    // And that is done, on the same endpoint.
    configure(&sandbox, READS);
    let (code, plan) = sandbox.run(&["plan", "--candidate", "b", "--again"]);
    assert!(code == 0 && !says(&plan), "{plan}");
    let (code, done) = sandbox.run(&["rollout", "--candidate", "b", "--again"]);
    assert_eq!((code, done["outcome"].as_str()), (0, Some("promoted")), "{done}");
    assert!(!says(&done), "{done}");
}

#[test]
fn a_percentile_takes_a_slow_candidate_back_where_nothing_can_be_counted() {
    let sandbox = sandbox(SLOW, "percentiles", READS);
    let (code, done) = sandbox.run(&["rollout"]);
    assert_eq!((code, done["outcome"].as_str()), (1, Some("rolled_back")), "{done}");
    assert_eq!(done["findings"][0]["verdict"], "fail", "{done}");
}

/// Statistic sets have no percentiles either: that is told, too, and what is left.
#[test]
fn statistic_sets_have_neither_and_that_is_told() {
    for gate in [COUNTS, READS] {
        let sandbox = sandbox(HEALTHY, "sums", gate);
        let (code, done) = sandbox.run(&["rollout"]);
        assert_eq!((code, done["error"]["kind"].as_str()), (1, Some("no_data")), "{done}");
        let said = [done["targets"][0]["notes"].to_string(), done["findings"][0]["reason"].to_string()];
        assert!(said.iter().all(|said| said.contains("statistic sets")), "{said:?}");
    }
}
