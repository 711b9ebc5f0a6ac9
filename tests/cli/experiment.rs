//! Experiments (A/B tests) on the sandbox, in scaled time.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mlroll_faults::{Fault, Kind, Operation};
use serde_json::{Value, json};

use crate::sandbox::{FAILING, HEALTHY, Sandbox, config, world};
use crate::scaled::{self, Asked, FastClock, GATES, Reply, Store, healthy};
use crate::watched::start;
use crate::world::World;

const AB: [&str; 6] = ["experiment", "--pct", "50", "--metric", "score", "--summary"];

/// The score of the model and the requests that end in a sale, which decide nothing in a rollout.
const BUSINESS: &str = r#"
[[services.fraud.gates]]
name = "score"
query = 'sum(increase(model_score_sum{version="{{revision}}"}[{{window}}])) / sum(increase(model_score_count{version="{{revision}}"}[{{window}}]))'
min = 0.1
advisory = true
"#;

/// The past that everything is measured on is the same each time.
fn started(candidate: &str, speed: &str) -> Sandbox {
    let world = world(candidate, "0s");
    Sandbox::start(&["--speed", speed], &world)
}

fn sandbox(candidate: &str, speed: &str) -> Sandbox {
    let sandbox = started(candidate, speed);
    sandbox.write("mlroll.toml", &(config("30s", "") + BUSINESS));
    sandbox
}

/// A service whose only gate is the score.
fn unguarded() -> String {
    let file = config("30s", "");
    let gates = file.find("[[services.fraud.gates]]").unwrap();
    file[..gates].to_owned() + BUSINESS
}

/// A healthy candidate that differs in one thing.
fn but(what: &str) -> String {
    HEALTHY.replacen('{', &format!("{{ {what},"), 1)
}

/// What an experiment on the score comes to: the exit code, the result, and the file.
fn ended(sandbox: &Sandbox, arguments: &[&str]) -> (i32, Value, Value) {
    let (code, outcome) = sandbox.run(arguments);
    let summary: Value =
        serde_json::from_str(&std::fs::read_to_string(sandbox.path().join("ab.json")).unwrap()).unwrap();
    assert_eq!(outcome["targets"][0]["experiment"], summary, "the file is what the result says");
    let (verified, document) = sandbox.run(&["explain", "--verify"]);
    assert_eq!((verified, &document["verified"]), (0, &json!(true)), "{document}");
    (code, outcome, summary)
}

fn tried(sandbox: &Sandbox) -> (i32, Value, Value) {
    ended(sandbox, &[&AB[..], &["ab.json", "--bake", "1h"]].concat())
}

fn share(sandbox: &Sandbox) -> Value {
    sandbox.alias()["RoutingConfig"]["AdditionalVersionWeights"]["3"].clone()
}

#[test]
fn a_true_effect_is_told_with_its_size_and_its_direction() {
    for (mean, code, result, winner) in
        [("0.33", 0, "candidate_better", "candidate"), ("0.27", 1, "candidate_worse", "stable")]
    {
        let sandbox = sandbox(&but(&format!("score = {{ mean = {mean}, sd = 0.1 }}")), "600");
        let (ended, outcome, summary) = tried(&sandbox);
        assert_eq!(
            (ended, &summary["result"], &summary["winner"]),
            (code, &json!(result), &json!(winner)),
            "{outcome}"
        );
        assert_eq!(summary["schema"], "mlroll/ab-summary/1");
        let of = |number: &str| summary["effect"][number].as_f64().unwrap();
        let sign = if winner == "candidate" { 1.0 } else { -1.0 };
        assert!((of("estimate") - 0.1 * sign).abs() < 0.02, "{summary}");
        assert!(of("lower") * sign > 0.0 && of("upper") * sign > 0.0, "nothing is not among what it may be: {summary}");
        let arms = summary["arms"].as_array().unwrap();
        assert_eq!((&arms[0]["revision"], &arms[0]["percent"]), (&json!("3"), &json!(50.0)), "{summary}");
        assert!((arms[1]["mean"].as_f64().unwrap() - 0.3).abs() < 0.01, "{summary}");
        let looks = summary["looks"]["judged"].as_u64().unwrap();
        assert!(looks < summary["looks"]["planned"].as_u64().unwrap(), "sooner than planned: {summary}");
        let weights = if winner == "candidate" { json!(0.5) } else { Value::Null };
        assert_eq!(share(&sandbox), weights, "{outcome}");
    }
}

#[test]
fn without_an_effect_the_planned_time_is_over_and_nothing_is_told() {
    // Who is drawn depends on the second that it begins in: an effect by chance is to be rare here.
    let sandbox = sandbox(HEALTHY, "600");
    let (code, outcome, summary) =
        ended(&sandbox, &[&AB[..], &["ab.json", "--bake", "1h", "--alpha", "0.1%"]].concat());
    assert_eq!(
        (code, &summary["result"], &summary["winner"]),
        (3, &json!("no_difference_shown"), &Value::Null),
        "{outcome}"
    );
    assert_eq!(outcome["error"]["kind"], "undecided", "{outcome}");
    assert_eq!(summary["looks"]["judged"], summary["looks"]["planned"]);
    let bound = |number: &str| summary["effect"][number].as_f64().unwrap();
    assert!(bound("lower") < 0.0 && bound("upper") > 0.0, "{summary}");
    let observed = summary["sample_ratio"]["observed"].as_f64().unwrap();
    assert!((observed - 0.5).abs() < 0.01, "{summary}");
    assert_eq!(share(&sandbox), 0.5);

    // A person wants it to go on: the same run, with the evidence it has. Then it is over, and by hand.
    let id = summary["run"].clone();
    let (code, _, again) = ended(&sandbox, &["resume", "--summary", "ab.json"]);
    assert_eq!((code, &again["run"]), (3, &id));
    assert!(again["looks"]["judged"].as_u64() > summary["looks"]["judged"].as_u64(), "{again}");
    let (code, back) = sandbox.run(&["rollback"]);
    assert_eq!((code, &back["outcome"]), (0, &json!("rolled_back")), "{back}");
    let (_, history) = sandbox.run(&["history"]);
    assert_eq!(history["runs"][0]["verb"], "experiment", "{history}");
}

/// What a store with so many failed requests answers.
fn counted(asked: &Asked, requests: f64, errors: f64) -> Reply {
    let mut body = healthy(asked, requests);
    for series in body["data"]["result"].as_array_mut().unwrap() {
        if series["metric"]["mlroll"] == "errors0" {
            series["value"][1] = json!(errors.to_string());
        }
    }
    Reply::Body(body)
}

/// The test has rejected in each of them; it is not what they came to.
#[test]
fn what_a_test_has_shown_names_nobody_when_something_else_ends_it() {
    for (result, code, guards, evidence) in [
        ("sample_ratio_mismatch", 3, "", "ln_e_worse"),
        ("guardrail_failed", 1, GATES, "ln_e_worse"),
        ("stopped", 3, "", "ln_e_better"),
    ] {
        let clock = FastClock::start(600.0);
        let world = Arc::new(World::new().set("MLROLL_CLOCK", &clock.url));
        let (alias, begun) = (Arc::clone(&world), Mutex::new(None));
        let store = Store::start(move |asked| {
            let shared = !alias.alias().weights.is_empty();
            let since = if shared { *begun.lock().unwrap().get_or_insert(asked.time) } else { asked.time };
            match (result, asked.revision == "3") {
                // Nothing is counted any more, before `min_bake` is over.
                ("stopped", _) if shared && asked.time > since + 300 => Reply::Body(healthy(asked, 0.0)),
                ("stopped", ours) => counted(asked, 3_000.0, if ours { 0.0 } else { 60.0 }),
                ("sample_ratio_mismatch", true) => counted(asked, 2_000.0, 300.0),
                (_, ours) => counted(asked, 3_000.0, if ours { 450.0 } else { 15.0 }),
            }
        });
        let keys = "look = \"60s\"\nwarm_up = \"0s\"\nbake = \"1h\"\nmin_bake = \"30m\"\nno_data_budget = \"5m\"";
        world.write("mlroll.toml", &scaled::config(store.port, keys, guards));
        let typed = ["experiment", "--pct", "50", "--metric", "error_rate", "--candidate", "3", "--summary", "ab.json"];
        let ran = world.run(&[&typed[..], &["--output", "json"]].concat()).expect(code);
        let (document, summary) = (ran.json(), std::fs::read_to_string(world.path().join("ab.json")).unwrap());
        let summary: Value = serde_json::from_str(&summary).unwrap();
        let shown = summary["evidence"][evidence].as_f64().unwrap() >= summary["evidence"]["needed"].as_f64().unwrap();
        assert!(shown, "otherwise nothing is to be named: {summary}");
        assert_eq!((&summary["result"], &summary["winner"]), (&json!(result), &Value::Null), "{summary}");
        let notes = document["targets"][0]["notes"].to_string();
        let metric = document["findings"].as_array().unwrap().last().unwrap();
        if result == "sample_ratio_mismatch" {
            // It compares unlike users: nobody is told a number, by whatever way.
            assert_eq!((&summary["effect"], &metric["interval"]), (&Value::Null, &Value::Null), "{document}");
            assert_eq!(metric["verdict"], "inconclusive", "{metric}");
            assert!(notes.contains("effect on `error_rate`: not told: the requests are not split"), "{notes}");
            assert!(!notes.contains("at level"), "{notes}");
        } else {
            assert!(summary["effect"]["estimate"].is_f64() && notes.contains("at level 0.95"), "{document}");
        }
    }
}

#[test]
fn a_splitter_that_loses_requests_stops_it() {
    let sandbox = sandbox(&but("lost = \"10%\""), "600");
    let (code, outcome, summary) = tried(&sandbox);
    assert_eq!((&summary["winner"], &summary["effect"]), (&Value::Null, &Value::Null), "{summary}");
    assert_eq!((code, &summary["result"]), (3, &json!("sample_ratio_mismatch")), "{outcome}");
    assert_eq!((&outcome["outcome"], &outcome["error"]["kind"]), (&json!("held"), &json!("sample_ratio_mismatch")));
    assert!(outcome["error"]["message"].as_str().unwrap().contains("requests, not 50.00 %"), "{outcome}");
    let ratio = &summary["sample_ratio"];
    assert!(ratio["ln_e"].as_f64().unwrap() >= ratio["needed"].as_f64().unwrap(), "{ratio}");
    assert!(ratio["observed"].as_f64().unwrap() < 0.49, "{ratio}");
    assert_eq!(share(&sandbox), 0.5, "a person finds out why");
    let (_, explained) = sandbox.run(&["explain"]);
    let decided = explained["run"]["events"].as_array().unwrap().iter().find(|event| event["event"] == "decided");
    assert!(decided.unwrap()["rule"].as_str().unwrap().contains("MISMATCHED"), "{explained}");

    // Most of them: that is a candidate which does not serve, and the guard of every watched run. Nothing else guards, and
    // the metric counts no requests: it is the same.
    for (lost, guarded) in [("90%", true), ("90%", false), ("100%", false)] {
        let sandbox = started(&but(&format!("lost = \"{lost}\"")), "600");
        sandbox.write("mlroll.toml", &if guarded { config("30s", "") + BUSINESS } else { unguarded() });
        let (code, outcome, summary) = tried(&sandbox);
        assert_eq!((code, &summary["result"]), (1, &json!("sample_ratio_mismatch")), "{outcome}");
        assert_eq!((&outcome["error"]["kind"], share(&sandbox)), (&json!("starved"), Value::Null), "{lost} {guarded}");
    }
}

/// Who counts requests that nobody makes would let any splitter pass.
#[test]
fn requests_that_nobody_counts_are_no_experiment() {
    let sandbox = started(&but("score = { mean = 0.5, sd = 0.1 }"), "600");
    let right = unguarded();
    let wrong = right.replacen("http_requests_total{service=\"fraud\"", "http_requests_total{service=\"frauds\"", 1);
    assert_ne!(wrong, right);
    sandbox.write("mlroll.toml", &wrong);
    for more in [&[][..], &["--dry-run"]] {
        let (code, outcome) = sandbox.run(&[&AB[..], &["ab.json", "--bake", "1h"], more].concat());
        assert_eq!((code, share(&sandbox)), (2, Value::Null), "{outcome}");
        let said = outcome["error"]["message"].as_str().unwrap();
        assert!(said.contains("none of stable in the last 40 windows; they are counted by `sample_ratio`"), "{said}");
    }
}

#[test]
fn a_guard_takes_the_candidate_back() {
    let sandbox = sandbox(FAILING, "600");
    let (code, outcome, summary) = tried(&sandbox);
    assert_eq!((code, &summary["result"]), (1, &json!("guardrail_failed")), "{outcome}");
    assert!(outcome["error"]["message"].as_str().unwrap().contains("gate `error_rate`"), "{outcome}");
    assert_eq!(share(&sandbox), Value::Null);
}

#[test]
fn counts_are_compared_with_guards_and_without() {
    for guarded in [true, false] {
        // Too little for the guard, whose limit is half as much again and 0.2 % on top.
        let candidate = HEALTHY.replace("0.002", "0.0038");
        let sandbox = started(&candidate, "600");
        let file = config("30s", "");
        let gates = file.find("[[services.fraud.gates]]").unwrap();
        sandbox.write("mlroll.toml", &file[..if guarded { file.len() } else { gates }]);
        let typed = ["experiment", "--pct", "50", "--metric", "error_rate", "--effect", "1", "--summary", "ab.json"];
        let dry = sandbox.run(&[&typed[..], &["--dry-run"]].concat());
        assert_eq!((dry.0, &dry.1["schema"], &dry.1["verb"]), (0, &json!("mlroll/dry-run/1"), &json!("experiment")));
        let foretold = dry.1["targets"][0]["notes"].to_string();
        assert!(foretold.contains("a difference of 100.0 % in `error_rate` is shown with a chance of"), "{foretold}");
        assert!(!foretold.contains("mlroll plan"), "it knows no experiments: {foretold}");
        assert!(foretold.contains("no size is planned that would end it sooner"), "{foretold}");
        let sized = sandbox.run(&[&typed[..], &["--size", "90000", "--bake", "2h", "--dry-run"]].concat()).1;
        let sized = sized["targets"][0]["notes"].to_string();
        for part in
            ["after 2h at most (", " requests of both at the traffic that stable had", "after 90000 requests of both"]
        {
            assert!(sized.contains(part), "nowhere {part:?} in {sized}");
        }
        assert!(!sandbox.path().join("ab.json").exists(), "a dry run writes nothing");
        let (code, outcome, summary) = ended(&sandbox, &typed);
        assert_eq!((code, &summary["result"]), (1, &json!("candidate_worse")), "{outcome}");
        let chance = summary["power"]["chance"].as_f64().unwrap();
        assert!(chance > 0.9, "{summary}");
        // An estimate that stopped early is one by luck, too; the interval holds all the same.
        let of = |number: &str| summary["effect"][number].as_f64().unwrap();
        assert!(
            (of("lower") - 0.05..of("upper") + 0.05).contains(&0.9),
            "one in twenty may miss it by a little: {summary}"
        );
        assert_eq!(outcome["findings"].as_array().unwrap().len(), if guarded { 3 } else { 1 });
    }
}

#[test]
fn the_planned_size_ends_it_and_a_rollback_by_hand_wins() {
    let sandbox = sandbox(HEALTHY, "120");
    let typed = [&AB[..], &["ab.json", "--bake", "6h", "--size", "30000", "--alpha", "0.1%"]].concat();
    let (code, outcome, summary) = ended(&sandbox, &typed);
    assert_eq!((code, &summary["result"]), (3, &json!("no_difference_shown")), "{outcome}");
    let requests: f64 = summary["arms"].as_array().unwrap().iter().map(|arm| arm["requests"].as_f64().unwrap()).sum();
    assert!((30_000.0..60_000.0).contains(&requests), "{summary}");
    sandbox.run(&["rollback"]);

    let again = [&AB[..], &["ab.json", "--bake", "6h", "--candidate", "3", "--again"]].concat();
    let (code, outcome) = std::thread::scope(|scope| {
        let run = scope.spawn(|| sandbox.run(&again));
        // It reads the past of the service first, which a busy machine takes its time to make up.
        for _ in 0..6_000 {
            if share(&sandbox) == 0.5 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let (_, status) = sandbox.run(&["status"]);
        let (back, _) = sandbox.run(&["rollback"]);
        let (code, outcome) = run.join().unwrap();
        assert_eq!((back, &status["targets"][0]["rollout"]["verb"]), (0, &json!("experiment")), "{status} {outcome}");
        (code, outcome)
    });
    assert_eq!((code, share(&sandbox)), (4, Value::Null), "{outcome}");
    assert_eq!(outcome["targets"][0]["experiment"]["result"], "stopped", "{outcome}");
}

#[test]
fn one_that_was_killed_goes_on_by_its_own_plan() {
    let sandbox = sandbox(HEALTHY, "120");
    let mut command = Command::new(env!("CARGO_BIN_EXE_mlroll"));
    command
        .args(AB)
        .args(["ab.json", "--bake", "6h", "--size", "100000", "--alpha", "0.1%"])
        .current_dir(sandbox.path())
        .env_clear();
    let mut child = command.envs(sandbox.exports.clone()).stderr(Stdio::null()).spawn().unwrap();
    sandbox.wait_for_looks(6);
    child.kill().unwrap();
    child.wait().unwrap();
    let left: Value = serde_json::from_str(&std::fs::read_to_string(sandbox.path().join("ab.json")).unwrap()).unwrap();
    assert_eq!((&left["result"], &left["rule"]["planned_requests"]), (&json!("running"), &json!(100_000)), "{left}");
    // Another share and another alpha: those of the run that goes on were frozen.
    let other = ["experiment", "--pct", "20", "--metric", "score", "--alpha", "20%", "--summary", "ab.json"];
    let (code, outcome, summary) = ended(&sandbox, &other);
    assert_eq!((code, &summary["result"]), (3, &json!("no_difference_shown")), "{outcome}");
    assert_eq!((share(&sandbox), &summary["rule"]["alpha"]), (json!(0.5), &json!(0.001)));
    assert_eq!((&left["run"], &left["rule"]), (&summary["run"], &summary["rule"]), "frozen before the first shift");
    let (_, explained) = sandbox.run(&["explain"]);
    let events = explained["run"]["events"].as_array().unwrap();
    assert!(events.iter().any(|event| event["event"] == "taken_up"), "{explained}");
    assert_eq!(explained["run"]["plan"]["experiment"]["metric"], "score");
    // By another metric it is not gone on with.
    let (code, refused) = sandbox.run(&["experiment", "--pct", "50", "--metric", "error_rate"]);
    assert_eq!(code, 2, "{refused}");
    assert!(refused["error"]["message"].as_str().unwrap().contains("the gates have changed"), "{refused}");
}

/// What tells the requests is asked again when the store fails, as the metric is: no window is lost by it.
#[test]
fn a_store_that_fails_to_count_requests_is_asked_again() {
    let clock = FastClock::start(600.0);
    let world = Arc::new(World::new().set("MLROLL_CLOCK", &clock.url));
    let (alias, failed) = (Arc::clone(&world), Mutex::new(BTreeSet::new()));
    let store = Store::start(move |asked| {
        let counts = asked.query.contains("\"requests0\"") && asked.time / 60 % 3 == 0;
        if counts && !alias.alias().weights.is_empty() && failed.lock().unwrap().insert(asked.time) {
            return Reply::Status(401);
        }
        Reply::Body(healthy(asked, 3_000.0))
    });
    let score = "[[services.fraud.gates]]\nname = \"score\"\nquery = 'score{version=\"{{revision}}\"}'";
    let keys = "look = \"60s\"\nwarm_up = \"0s\"\nbake = \"45m\"";
    world.write("mlroll.toml", &scaled::config(store.port, keys, score));
    let typed = ["experiment", "--pct", "50", "--metric", "score", "--candidate", "3", "--summary", "ab.json"];
    let ran = world.run(&[&typed[..], &["--output", "json"]].concat()).expect(3);
    let summary: Value = serde_json::from_str(&std::fs::read_to_string(world.path().join("ab.json")).unwrap()).unwrap();
    assert_eq!(summary["result"], "no_difference_shown", "{summary}");
    let judged = summary["looks"]["judged"].as_f64().unwrap();
    assert_eq!((judged, &summary["arms"][0]["requests"]), (45.0, &json!(3_000.0 * judged)), "{summary}");
    assert!(!ran.stdout.contains("no request of either was counted"), "{}", ran.stdout);
}

/// Whoever reads the file while it runs, or after it was killed, reads nothing of another run.
#[test]
fn what_another_run_came_to_is_replaced_before_the_first_shift() {
    let clock = FastClock::start(600.0);
    let world = World::new().set("MLROLL_CLOCK", &clock.url);
    let store = Store::start(|asked| Reply::Body(healthy(asked, 3_000.0)));
    world.write("mlroll.toml", &scaled::config(store.port, "look = \"60s\"\nwarm_up = \"0s\"\nbake = \"1h\"", GATES));
    let file = world.path().join("ab.json");
    let another = r#"{"run": "01ANOTHER", "result": "candidate_better", "winner": "candidate"}"#;
    std::fs::write(&file, another).unwrap();
    let begin = ["experiment", "--pct", "50", "--metric", "error_rate", "--candidate", "3", "--summary", "ab.json"];
    // Refused, and so not written: it says so.
    let says = "`ab.json` was not written: what it says is of run 01ANOTHER";
    world.run(&[&begin[..], &["--bake", "0s"]].concat()).expect(2).says(says);
    let refused = world.run(&[&begin[..], &["--bake", "0s", "--output", "json"]].concat()).expect(2).json();
    assert!(refused["error"]["hints"].to_string().contains(says), "{refused}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), another);
    let dry = world.run(&[&begin[..], &["--dry-run"]].concat()).expect(0);
    assert!(!dry.stdout.contains("01ANOTHER") && !dry.stderr.contains("01ANOTHER"), "{dry:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), another);

    world.server.fault(Fault::on(Operation::UpdateAlias).kind(Kind::HangBefore));
    let mut child = start(&world, &begin);
    let started = Instant::now();
    while world.sent(Operation::UpdateAlias).is_empty() {
        assert!(child.try_wait().unwrap().is_none() && started.elapsed() < Duration::from_secs(120), "no shift");
        std::thread::sleep(Duration::from_millis(10));
    }
    let running: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(world.split(), "2", "nothing is shifted yet");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(running["schema"], "mlroll/ab-summary/1");
    assert_eq!(
        (&running["result"], &running["winner"], &running["effect"]),
        (&json!("running"), &Value::Null, &Value::Null)
    );
    let rule = &running["rule"];
    assert_eq!(
        (&rule["alpha"], &rule["planned_looks"], &rule["look"]),
        (&json!(0.05), &json!(60), &json!(60)),
        "{running}"
    );
    let history = world.run(&["history", "--output", "json"]).expect(0).json();
    assert_eq!(history["runs"][0]["id"], running["run"], "{history}");
    let left: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(left, running, "a kill leaves it as it is");
}

/// The verdict stands in the journal: whoever only goes on with the way back tells it.
#[test]
fn one_that_was_killed_on_its_way_back_is_summed_up_by_its_journal() {
    for (typed, kind) in [("experiment", Kind::HangBefore), ("resume", Kind::HangAfter)] {
        let clock = FastClock::start(600.0);
        let world = World::new().set("MLROLL_CLOCK", &clock.url);
        let store = Store::start(|asked| {
            // The splitter sends next to nothing to the candidate.
            Reply::Body(healthy(asked, if asked.revision == "3" { 300.0 } else { 3_000.0 }))
        });
        world.write(
            "mlroll.toml",
            &scaled::config(store.port, "look = \"60s\"\nwarm_up = \"0s\"\nbake = \"1h\"", GATES),
        );
        let begin = ["experiment", "--pct", "50", "--metric", "error_rate", "--candidate", "3", "--summary", "ab.json"];
        // The second write is that of the rollback.
        world.server.fault(Fault::on(Operation::UpdateAlias).skip(1).kind(kind));
        let mut child = start(&world, &begin);
        let started = Instant::now();
        while world.sent(Operation::UpdateAlias).len() < 2 {
            assert!(child.try_wait().unwrap().is_none() && started.elapsed() < Duration::from_secs(120), "no way back");
            std::thread::sleep(Duration::from_millis(10));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        world.server.clear_faults();
        let left = std::fs::read_to_string(world.path().join("ab.json")).unwrap();
        assert!(left.contains(r#""result": "running""#), "{left}");
        let asked = store.count();
        let again = if typed == "resume" { vec!["resume", "--summary", "ab.json"] } else { begin.to_vec() };
        let ran = world.run(&[&again[..], &["--output", "json"]].concat()).expect(1);
        let (document, summary) = (ran.json(), std::fs::read_to_string(world.path().join("ab.json")).unwrap());
        let summary: Value = serde_json::from_str(&summary).unwrap();
        assert_eq!(document["targets"][0]["experiment"], summary);
        assert_eq!((&summary["result"], &summary["winner"]), (&json!("sample_ratio_mismatch"), &Value::Null));
        assert_eq!(summary["arms"][0]["requests"].as_f64().unwrap() * 10.0, summary["arms"][1]["requests"]);
        assert_eq!((world.split().as_str(), store.count()), ("2", asked), "what is decided is not judged again");
        assert_eq!(world.run(&["explain", "--verify", "--output", "json"]).expect(0).json()["verified"], true);
    }
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_moves() {
    let sandbox = sandbox(HEALTHY, "60");
    for (arguments, why) in [
        (&["--pct", "0", "--metric", "score"][..], "compares with nobody"),
        (&["--pct", "100", "--metric", "score"], "compares with nobody"),
        (&["--pct", "50", "--metric", "sales"], "no gate `sales`"),
        (&["--pct", "50", "--metric", "score", "--summary", "no/where.json"], "no folder"),
        (&["--pct", "50", "--metric", "score", "--bake", "0s"], "bakes"),
    ] {
        let (code, document) = sandbox.run(&[&["experiment"], arguments].concat());
        let message = document["error"]["message"].as_str().unwrap();
        assert!(code == 2 && message.contains(why), "{document}");
    }
    assert_eq!(share(&sandbox), Value::Null);
    assert!(!sandbox.path().join("ab_summary.json").exists());
}
