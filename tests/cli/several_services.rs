//! Services of their own kinds, with gates of their own, that one command watches: their metric store is asked once for all.

use serde_json::{Value, json};

use crate::sandbox::{FAILING, HEALTHY, SLOW, Sandbox};

const FUNCTION: &str = "lambda:us-east-1/search@prod";
const ENDPOINT: &str = "sagemaker:us-east-1/fraud";

/// A function with version 2 in charge and this candidate, and an endpoint with variant `a` in charge and that one.
fn start(function: &str, endpoint: &str, speed: &str) -> Sandbox {
    let world = format!(
        "seed = 7\n[cloudwatch]\ndelay = '60s'\n[sagemaker]\nupdate = '20s'\n[targets.\"{FUNCTION}\"]\n\
         requests_per_second = 800\nstable = \"2\"\n[targets.\"{FUNCTION}\".revisions]\n2 = {HEALTHY}\n3 = {function}\n\
         [targets.\"{ENDPOINT}\"]\nrequests_per_second = 800\nstable = \"a\"\n[targets.\"{ENDPOINT}\".revisions]\n\
         a = {HEALTHY}\nb = {endpoint}\n"
    );
    let sandbox = Sandbox::start(&["--speed", speed], &world);
    // Where nothing is said, a function is read later by as long as it may run.
    let service = |name: &str, target: &str, gate: &str| {
        format!(
            "[services.{name}]\ntarget = \"{target}\"\nsteps = [\"20%\", \"100%\"]\nbake = \"40m\"\nmin_bake = \"12m\"\n\
             warm_up = \"0s\"\nlook = \"60s\"\n[services.{name}.metrics]\nsource = \"cloudwatch\"\nsettle_delay = \"120s\"\n\
             [[services.{name}.gates]]\n{gate}\n"
        )
    };
    let errors = service("search", FUNCTION, "metric = \"error_rate\"\nmax_increase = { ratio = 1.5, abs = \"0.2%\" }");
    let latency = service("fraud", ENDPOINT, "metric = \"latency\"\nquantile = 0.95\nmax = \"300ms\"");
    sandbox.write("mlroll.toml", &format!("{errors}{latency}"));
    sandbox
}

fn log(sandbox: &Sandbox) -> Vec<Value> {
    serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap()
}

/// The statuses of all requests for data, in their order.
fn asked(sandbox: &Sandbox) -> Vec<Value> {
    let log = log(sandbox);
    log.iter().filter(|one| one["operation"] == "GetMetricData").map(|one| one["status"].clone()).collect()
}

/// The looks of each run, by what its journal says.
fn looks(sandbox: &Sandbox) -> Vec<usize> {
    let (_, history) = sandbox.run(&["history"]);
    let of = |run: &Value| {
        let (code, explained) = sandbox.run(&["explain", run["id"].as_str().unwrap()]);
        assert_eq!(code, 0, "{explained}");
        let events = explained["run"]["events"].as_array().unwrap();
        assert!(events.iter().all(|event| event["event"] != "unjudged"), "{explained}");
        events.iter().filter(|event| event["event"] == "look").count()
    };
    history["runs"].as_array().unwrap().iter().map(of).collect()
}

fn outcomes(document: &Value) -> Vec<(&str, &str)> {
    let targets = document["targets"].as_array().unwrap().iter();
    targets.map(|target| (target["service"].as_str().unwrap(), target["outcome"].as_str().unwrap())).collect()
}

#[test]
fn a_function_and_an_endpoint_are_one_question_a_look() {
    // Those who wake at one moment ask within half a second of it: at this speed, of 25 ms.
    let sandbox = start(HEALTHY, HEALTHY, "20");
    let (code, outcome) = sandbox.run(&["rollout", "search", "fraud"]);
    assert_eq!(code, 0, "{outcome}");
    assert_eq!(outcomes(&outcome), [("search", "promoted"), ("fraud", "promoted")], "{outcome}");
    let (calls, looks) = (asked(&sandbox).len(), looks(&sandbox));
    assert_eq!(outcome["metrics"]["calls"], calls, "{outcome}");
    // Each is tried out, and its past read, before its first look.
    let (fewest, all) = (*looks.iter().min().unwrap(), looks.iter().sum::<usize>());
    assert!(looks.len() == 2 && fewest >= 12, "{looks:?}");
    // A machine with much to do may spread some of them over two moments.
    assert!(calls + fewest * 2 / 3 <= 4 + all, "{calls} calls for looks of {looks:?}");
}

#[test]
fn each_has_a_verdict_of_its_own() {
    for (function, endpoint, expected) in [
        (FAILING, HEALTHY, [("search", "rolled_back"), ("fraud", "promoted")]),
        (HEALTHY, SLOW, [("search", "promoted"), ("fraud", "rolled_back")]),
        // What the other one's gate is about.
        (SLOW, FAILING, [("search", "promoted"), ("fraud", "promoted")]),
    ] {
        let sandbox = start(function, endpoint, "120");
        let (code, outcome) = sandbox.run(&["rollout", "search", "fraud"]);
        assert_eq!(outcomes(&outcome), expected, "{outcome}");
        assert_eq!(code, i32::from(expected.iter().any(|(_, outcome)| *outcome == "rolled_back")), "{outcome}");
        for finding in outcome["findings"].as_array().unwrap() {
            let gate = if finding["target"] == FUNCTION { "error_rate" } else { "latency" };
            assert_eq!(finding["gate"], gate, "{outcome}");
        }
    }
}

/// CloudWatch refuses all of a request for what is wrong with a part of it.
#[test]
fn a_question_that_is_refused_is_asked_for_each() {
    let sandbox = start(HEALTHY, HEALTHY, "20");
    let fault = json!({
        "api": "cloudwatch", "operation": "GetMetricData", "skip": 8, "times": 1,
        "fault": "status", "status": 400, "code": "ValidationError",
    });
    sandbox.ask("POST", "/_sandbox/faults", &fault.to_string());
    let (code, outcome) = sandbox.run(&["rollout", "search", "fraud"]);
    assert_eq!((code, outcomes(&outcome)), (0, vec![("search", "promoted"), ("fraud", "promoted")]), "{outcome}");
    let statuses = asked(&sandbox);
    assert_eq!(statuses.iter().filter(|status| **status == 400).count(), 1, "{statuses:?}");
    // Nobody's window was left unanswered for it.
    looks(&sandbox);
}
