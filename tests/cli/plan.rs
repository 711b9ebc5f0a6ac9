//! What `plan` says is what a run does.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::sandbox::{FAILING, HEALTHY, Sandbox, config, world};
use crate::world::{FRAUD, World};

/// Method and path of calls, as a plan prints them.
fn said(sandbox: &Sandbox, calls: &Value) -> Vec<(String, String)> {
    let path = |url: &Value| url.as_str().unwrap().strip_prefix(sandbox.url()).unwrap().to_owned();
    let calls = calls.as_array().unwrap().iter();
    calls.map(|call| (call["method"].as_str().unwrap().to_owned(), path(&call["url"]))).collect()
}

/// Method and path of what went to Lambda since the `after`-th request, writes and reads apart.
fn made(sandbox: &Sandbox, after: usize) -> [Vec<(String, String)>; 2] {
    let log: Value = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap();
    let log = log.as_array().unwrap().iter().skip(after).filter(|request| request["api"] == "lambda");
    let call = |r: &Value| (r["method"].as_str().unwrap().to_owned(), r["path"].as_str().unwrap().to_owned());
    let (reads, writes): (Vec<_>, Vec<_>) = log.map(call).partition(|(method, _)| method == "GET");
    [writes, reads]
}

fn requests(sandbox: &Sandbox) -> usize {
    let log: Value = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap();
    log.as_array().unwrap().len()
}

/// The writes among calls that were said, and all reads.
fn split(calls: Vec<(String, String)>) -> (Vec<(String, String)>, BTreeSet<String>) {
    let (reads, writes): (Vec<_>, Vec<_>) = calls.into_iter().partition(|(method, _)| method == "GET");
    (writes, reads.into_iter().map(|(_, path)| path.split('?').next().unwrap().to_owned()).collect())
}

/// Promise 5, on the request log of a sandbox: a candidate that passes, and one that fails.
#[test]
fn a_run_makes_the_calls_of_its_plan() {
    for (candidate, code, outcome) in [(HEALTHY, 0, "promoted"), (FAILING, 1, "rolled_back")] {
        let sandbox = Sandbox::start(&["--speed", "600"], &world(candidate, "0s"));
        sandbox.write("mlroll.toml", &config("30s", ""));
        let (planned, plan) = sandbox.run(&["plan"]);
        assert_eq!((planned, plan["schema"].as_str()), (0, Some("mlroll/plan/1")), "{plan}");
        let before = requests(&sandbox);
        let [written, _] = made(&sandbox, 0);
        assert!(written.is_empty(), "the plan wrote: {written:?}");
        let (ended, done) = sandbox.run(&["rollout"]);
        assert_eq!((ended, done["outcome"].as_str()), (code, Some(outcome)), "{done}");

        let [writes, reads] = made(&sandbox, before);
        let steps: Vec<Vec<_>> =
            plan["steps"].as_array().unwrap().iter().map(|step| said(&sandbox, &step["calls"])).collect();
        assert_eq!(steps.len(), 3, "{plan}");
        let (forward, mut known) = split(steps.concat());
        let (back, _) = split(said(&sandbox, &plan["rollback"]));
        known.extend(split(said(&sandbox, &plan["opening"])).1);
        known.extend(split(said(&sandbox, &plan["observe"])).1);
        known.extend(split(said(&sandbox, &plan["capacity"]["reads"])).1);
        let expected = if code == 0 { forward } else { [forward[..1].to_vec(), back].concat() };
        assert_eq!(writes, expected, "{plan}");
        for (_, path) in reads {
            // What metrics depend on is asked of the control plane, and is no call of the run's.
            let path = path.split('?').next().unwrap();
            assert!(known.contains(path), "{path} is not among {known:?}");
        }
    }
}

#[test]
fn a_plan_tells_what_gates_see_and_how_long_it_takes() {
    let sandbox = Sandbox::start(&["--speed", "600"], &world(HEALTHY, "0s"));
    sandbox.write("mlroll.toml", &config("30s", ""));
    let (_, plan) = sandbox.run(&["plan"]);
    let near = |value: &Value, wanted: f64, part: f64| {
        let value = value.as_f64().unwrap();
        assert!((value - wanted).abs() <= part * wanted, "{value}, not {wanted}");
    };
    // 200 requests per second, of which 0.2 % fail, as the store tells.
    near(&plan["traffic"]["requests_per_second"], 200.0, 0.05);
    near(&plan["gates"][0]["base_rate"], 0.002, 0.25);
    assert_eq!(plan["horizon"], 28);
    assert_eq!((&plan["stable"], &plan["candidate"]), (&json!("2"), &json!("3")));
    let first = &plan["steps"][0];
    assert_eq!(first["looks"], json!({"least": 4, "most": 14}));
    // At most: the warm-up, until the grid begins, 14 looks, and how late the store is.
    let most = first["seconds"]["most"].as_u64().unwrap();
    assert!((14 * 60 + 30..=17 * 60 + 30).contains(&most), "{most}");
    let sight = &first["gates"][0];
    let rate = |name: &str| sight[name].as_f64().unwrap();
    assert!(rate("base_rate") < rate("tolerated") && rate("tolerated") < rate("smallest"), "{sight}");
    near(&sight["regressed"], 2.0 * rate("tolerated"), 0.001);
    assert!(rate("exposed") > rate("requests_to_fail"), "{sight}");
    // More of the traffic shows smaller regressions.
    assert!(plan["steps"][1]["gates"][0]["smallest"].as_f64().unwrap() < rate("smallest"), "{plan}");

    // A tenth of a percent of little traffic shows nothing, and it says what would.
    let (code, thin) = sandbox.run(&["plan", "--pct", "1", "--rps", "10", "--base-rate", "0.5%", "--bake", "10m"]);
    assert_eq!(code, 0, "{thin}");
    let warning = thin["warnings"][0].as_str().unwrap();
    assert!(warning.contains("does not see") && warning.contains("bake "), "{warning}");
    assert!(
        thin["unknown"].as_array().unwrap().iter().any(|what| what.as_str().unwrap().contains("`latency`")),
        "{thin}"
    );
}

/// Down to the bodies, but for what only the run can know: the guard, the time and the run's id.
#[test]
fn the_bodies_of_an_unjudged_run_are_those_of_its_plan() {
    let world = World::new();
    let steady = |body: &Value| {
        let mut body = body.clone();
        let description = body["Description"].as_str().unwrap().split(" at=").next().unwrap().to_owned();
        body["Description"] = description.into();
        body.as_object_mut().unwrap().remove("RevisionId");
        body
    };
    let arguments = ["--no-gates", "--steps", "10%,50%,100%", "--bake", "1s"];
    let (ran, plan) = world.verb(&[&["plan"][..], &arguments].concat());
    ran.expect(0);
    assert!(world.sent(mlroll_faults::Operation::UpdateAlias).is_empty());
    let (ran, dry) = world.verb(&[&["rollout", "--dry-run"][..], &arguments].concat());
    ran.expect(0);
    assert!(world.sent(mlroll_faults::Operation::UpdateAlias).is_empty());
    world.verb(&[&["rollout"][..], &arguments].concat()).0.expect(0);
    let made: Vec<Value> =
        world.sent(mlroll_faults::Operation::UpdateAlias).iter().map(|request| steady(&request.body)).collect();
    let steps = plan["steps"].as_array().unwrap();
    let said: Vec<Value> = steps.iter().map(|step| steady(&step["calls"][0]["body"])).collect();
    assert_eq!(said, made, "{plan}");
    let last = dry["calls"].as_array().unwrap().last().unwrap();
    assert_eq!((dry["schema"].as_str(), steady(&last["body"])), (Some("mlroll/dry-run/1"), made[0].clone()), "{dry}");
    assert!(dry["targets"][0]["notes"].to_string().contains("depend on what is seen"), "{dry}");
}

#[test]
fn what_cannot_be_planned_exits_2_with_a_hint() {
    let world = World::new();
    for (arguments, hint) in [
        (&["plan", "--target", FRAUD][..], "no service of mlroll.toml"),
        (&["plan", "--target", FRAUD, "--no-gates"], "--steps"),
        (&["plan", "--target", FRAUD, "--no-gates", "--pct", "0"], "no canary"),
        (&["plan", "--target", FRAUD, "--no-gates", "--pct", "10", "--rps", "0"], "such as 120"),
        (&["plan", "--target", FRAUD, "--no-gates", "--pct", "10", "--regression", "0.5x"], "such as `2x`"),
    ] {
        world.run(arguments).expect(2).says(hint);
    }
    assert_eq!(world.wire().1, 0);
}
