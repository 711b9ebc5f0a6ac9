//! Several targets watched at once: each judged for itself, wave by wave, and one question to the metric store for all.

use std::io::{BufRead, BufReader};

use serde_json::{Value, json};

use crate::sandbox::{FAILING, HEALTHY, Sandbox};
use crate::world::signal;

/// A world of functions with version 2 in charge and these candidates.
fn world(candidates: &[(&str, &str)], more: &str) -> String {
    let target = |(name, candidate): &(&str, &str)| {
        let newest = if candidate.is_empty() { String::new() } else { format!("3 = {candidate}") };
        format!(
            r#"
            [targets."lambda:us-east-1/{name}@prod"]
            requests_per_second = 200
            stable = "2"
            [targets."lambda:us-east-1/{name}@prod".revisions]
            2 = {HEALTHY}
            {newest}
            "#
        )
    };
    format!("seed = 7\n[cloudwatch]\ndelay = '0s'\n{more}\n{}", candidates.iter().map(target).collect::<String>())
}

/// A service whose targets are listed by `targets`.
fn config(targets: &str) -> String {
    format!(
        r#"
        [services.fleet]
        steps = ["10%", "100%"]
        bake = "30m"
        look = "60s"
        {targets}
        [services.fleet.metrics]
        source = "cloudwatch"
        [[services.fleet.gates]]
        metric = "error_rate"
        max_increase = {{ ratio = 1.5, abs = "0.2%" }}
        "#
    )
}

fn listed(names: &[&str]) -> String {
    let targets: Vec<String> = names.iter().map(|name| format!("\"lambda:us-east-1/{name}@prod\"")).collect();
    format!("targets = [{}]", targets.join(", "))
}

fn sandbox(candidates: &[(&str, &str)], targets: &str) -> Sandbox {
    let sandbox = Sandbox::start(&["--speed", "300"], &world(candidates, ""));
    sandbox.write("mlroll.toml", &config(targets));
    sandbox
}

fn log(sandbox: &Sandbox) -> Vec<Value> {
    serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap()
}

fn alias(sandbox: &Sandbox, name: &str) -> Value {
    serde_json::from_str(&sandbox.ask("GET", &format!("/2015-03-31/functions/{name}/aliases/prod"), "")).unwrap()
}

/// Where traffic is: who is behind the alias, and the candidate's weight.
fn split(sandbox: &Sandbox, name: &str) -> (String, Option<f64>) {
    let alias = alias(sandbox, name);
    let weight = alias["RoutingConfig"]["AdditionalVersionWeights"]["3"].as_f64();
    (alias["FunctionVersion"].as_str().unwrap().to_owned(), weight)
}

fn outcomes(document: &Value) -> Vec<&str> {
    document["targets"].as_array().unwrap().iter().map(|target| target["outcome"].as_str().unwrap()).collect()
}

#[test]
fn each_is_judged_for_itself_and_the_store_is_asked_once_for_all() {
    let names = ["a", "b", "c", "d"];
    // A look of a second, so that those who wake at one moment do, and enough of them.
    let candidates = [("a", HEALTHY), ("b", FAILING), ("c", HEALTHY), ("d", HEALTHY)];
    let sandbox = Sandbox::start(&["--speed", "60"], &world(&candidates, ""));
    sandbox.write("mlroll.toml", &config(&format!("min_bake = \"20m\"\n{}", listed(&names))));
    let (code, outcome) = sandbox.run(&["rollout", "fleet"]);
    assert_eq!(code, 1, "{outcome}");
    assert_eq!(outcomes(&outcome), ["promoted", "rolled_back", "promoted", "promoted"], "{outcome}");
    assert_eq!(split(&sandbox, "b"), ("2".to_owned(), None));
    assert_eq!(split(&sandbox, "d"), ("3".to_owned(), None));
    for finding in outcome["findings"].as_array().unwrap() {
        let bad = finding["target"] == "lambda:us-east-1/b@prod";
        assert_eq!(finding["verdict"], if bad { "fail" } else { "pass" }, "{finding}");
    }
    // Who shares a store is billed together; each look of all of them is one request, but for those that a machine with
    // much to do has spread over two moments.
    let calls = log(&sandbox).iter().filter(|request| request["operation"] == "GetMetricData").count();
    assert_eq!(outcome["metrics"]["calls"], calls, "{outcome}");
    let (_, history) = sandbox.run(&["history"]);
    let runs = history["runs"].as_array().unwrap();
    assert_eq!(runs.len(), names.len(), "{history}");
    let looks = |run: &Value| {
        let (code, explained) = sandbox.run(&["explain", run["id"].as_str().unwrap()]);
        assert_eq!(code, 0, "{explained}");
        let events = explained["run"]["events"].as_array().unwrap();
        events.iter().filter(|event| event["event"] == "look").count()
    };
    let looks: Vec<usize> = runs.iter().map(looks).collect();
    let (longest, all) = (*looks.iter().max().unwrap(), looks.iter().sum::<usize>());
    let before = 2 * names.len();
    assert!(longest >= 18 && all > 3 * longest, "{looks:?}");
    assert!(calls <= before + 2 * longest, "{calls} calls for looks of {looks:?}");
}

#[test]
fn where_one_cannot_begin_none_does() {
    let sandbox = sandbox(&[("a", HEALTHY), ("b", "")], &listed(&["a", "b"]));
    let (code, outcome) = sandbox.run(&["rollout", "fleet"]);
    assert_eq!(code, 6, "{outcome}");
    assert_eq!(outcomes(&outcome), ["unchanged", "failed"], "{outcome}");
    let note = outcome["targets"][0]["notes"][0].as_str().unwrap();
    assert_eq!(note, "not begun, because of lambda:us-east-1/b@prod");
    assert!(log(&sandbox).iter().all(|request| request["operation"] != "UpdateAlias"));
    // Nor is there a journal of what was not begun.
    assert_eq!(sandbox.run(&["history"]).1["runs"], json!([]));

    let (code, rehearsed) = sandbox.run(&["rollout", "fleet", "--dry-run"]);
    assert_eq!((code, outcomes(&rehearsed)), (6, vec!["shifted", "failed"]), "{rehearsed}");
}

#[test]
fn the_next_wave_waits_for_the_one_before_and_what_is_done_is_not_done_again() {
    let waves =
        format!("[[services.fleet.waves]]\n{}\n[[services.fleet.waves]]\n{}", listed(&["a"]), listed(&["b", "c"]));
    // Keys of the service itself go before its tables.
    let config = config("").replace("[services.fleet.metrics]", &format!("{waves}\n[services.fleet.metrics]"));
    let start = |candidates: &[(&str, &str)]| {
        let sandbox = Sandbox::start(&["--speed", "600"], &world(candidates, ""));
        sandbox.write("mlroll.toml", &config);
        sandbox
    };
    let bad = start(&[("a", FAILING), ("b", HEALTHY), ("c", HEALTHY)]);
    let (code, outcome) = bad.run(&["rollout"]);
    assert_eq!((code, outcomes(&outcome)), (1, vec!["rolled_back", "unchanged", "unchanged"]), "{outcome}");
    assert_eq!(outcome["targets"][2]["notes"][0], "not begun, because of lambda:us-east-1/a@prod");
    assert!(log(&bad).iter().all(|request| !request["path"].as_str().unwrap_or_default().contains("functions/c/")));

    let good = start(&[("a", HEALTHY), ("b", FAILING), ("c", HEALTHY)]);
    let (code, outcome) = good.run(&["rollout"]);
    assert_eq!((code, outcomes(&outcome)), (1, vec!["promoted", "rolled_back", "promoted"]), "{outcome}");
    let written: Vec<String> = log(&good)
        .iter()
        .filter(|request| request["operation"] == "UpdateAlias")
        .map(|request| request["path"].to_string())
        .collect();
    let last_of_a = written.iter().rposition(|path| path.contains("functions/a/")).unwrap();
    assert!(written[..=last_of_a].iter().all(|path| path.contains("functions/a/")), "{written:?}");

    // Again, with the one that is bad: those that have theirs are left alone.
    let (code, rehearsed) = good.run(&["promote"]);
    assert_eq!((code, &rehearsed["error"]["kind"]), (6, &json!("not_found")), "{rehearsed}");
    let (code, outcome) = good.run(&["rollout", "--candidate", "3", "--again"]);
    assert_eq!((code, outcomes(&outcome)), (1, vec!["unchanged", "rolled_back", "unchanged"]), "{outcome}");
    assert_eq!(outcome["targets"][0]["notes"][0], "3 was promoted here before");
}

#[test]
fn an_interrupt_takes_all_of_them_back_and_a_kill_leaves_all_to_resume() {
    let sandbox = Sandbox::start(&["--speed", "60"], &world(&[("a", HEALTHY), ("b", HEALTHY)], ""));
    sandbox.write("mlroll.toml", &config(&listed(&["a", "b"])));
    // By the log: the control plane counts who asks it.
    let in_flight = || {
        sandbox.ask("DELETE", "/_sandbox/requests", "");
        for _ in 0..3_000 {
            let written = log(&sandbox).iter().filter(|request| request["operation"] == "UpdateAlias").count();
            if written >= 2 {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("nobody shifts");
    };
    let mut killed = sandbox.command(&["rollout", "fleet", "--quiet"]).spawn().unwrap();
    in_flight();
    killed.kill().unwrap();
    killed.wait().unwrap();
    let (code, held) = sandbox.run(&["hold", "fleet"]);
    assert_eq!(code, 0, "{held}");
    let orphaned: Vec<_> = held["targets"].as_array().unwrap().iter().map(|target| &target["orphaned"]).collect();
    assert_eq!(orphaned, [true, true]);
    let (code, outcome) = sandbox.run(&["resume", "fleet"]);
    assert_eq!((code, outcomes(&outcome)), (0, vec!["promoted", "promoted"]), "{outcome}");

    for name in ["a", "b"] {
        sandbox.ask("PUT", &format!("/2015-03-31/functions/{name}/aliases/prod"), r#"{"FunctionVersion":"2"}"#);
    }
    let stopped = sandbox
        .command(&["rollout", "fleet", "--candidate", "3", "--output", "json"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    in_flight();
    signal(&stopped, "TERM");
    let output = stopped.wait_with_output().unwrap();
    let outcome: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), outcomes(&outcome)),
        (Some(130), vec!["rolled_back", "rolled_back"]),
        "{outcome}"
    );
    assert_eq!([split(&sandbox, "a"), split(&sandbox, "b")], [("2".to_owned(), None), ("2".to_owned(), None)]);
}

/// What is in flight goes before what is to be begun, whatever its wave, and whatever becomes of the others.
#[test]
fn what_was_left_in_flight_waits_for_no_wave() {
    let sandbox = Sandbox::start(&["--speed", "120"], &world(&[("a", ""), ("b", HEALTHY)], ""));
    let waves = format!("[[services.fleet.waves]]\n{}\n[[services.fleet.waves]]\n{}", listed(&["a"]), listed(&["b"]));
    let config = config("").replace("[services.fleet.metrics]", &format!("{waves}\n[services.fleet.metrics]"));
    sandbox.write("mlroll.toml", &config);
    let only = ["--target", "lambda:us-east-1/b@prod"];
    let mut killed = sandbox.command(&["rollout", "--quiet"]).args(only).spawn().unwrap();
    while log(&sandbox).iter().all(|request| request["operation"] != "UpdateAlias") {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    // The first wave has no candidate at all.
    let (code, outcome) = sandbox.run(&["rollout", "fleet"]);
    assert_eq!((code, outcomes(&outcome)), (6, vec!["failed", "promoted"]), "{outcome}");
    assert_eq!(split(&sandbox, "b"), ("3".to_owned(), None));
}

/// Beside the revision that was promoted there is always another one on SageMaker: the one from before.
#[test]
fn a_slot_from_before_is_no_candidate_of_a_rollout_that_is_typed_again() {
    let endpoint = |name: &str, candidate: &str| {
        format!(
            r#"
            [targets."sagemaker:us-east-1/{name}"]
            requests_per_second = 200
            stable = "a"
            [targets."sagemaker:us-east-1/{name}".revisions]
            a = {HEALTHY}
            b = {candidate}
            "#
        )
    };
    let world =
        format!("seed = 7\n[cloudwatch]\ndelay = '0s'\n{}{}", endpoint("one", HEALTHY), endpoint("two", FAILING));
    let sandbox = Sandbox::start(&["--speed", "300"], &world);
    sandbox.write("mlroll.toml", &config("targets = [\"sagemaker:us-east-1/one\", \"sagemaker:us-east-1/two\"]"));
    let (code, outcome) = sandbox.run(&["rollout"]);
    assert_eq!((code, outcomes(&outcome)), (1, vec!["promoted", "rolled_back"]), "{outcome}");
    let (code, rehearsed) = sandbox.run(&["rollout", "--dry-run"]);
    assert_eq!((code, outcomes(&rehearsed)), (2, vec!["unchanged", "failed"]), "{rehearsed}");
    let (code, outcome) = sandbox.run(&["rollout"]);
    // The other one is bad, and is not tried again without being named.
    assert_eq!((code, outcomes(&outcome)), (2, vec!["unchanged", "failed"]), "{outcome}");
    let note = outcome["targets"][0]["notes"][0].as_str().unwrap();
    assert!(note.starts_with("b was promoted here before") && note.ends_with("`--candidate a`"), "{note}");
    assert_eq!(outcome["targets"][0]["after"], json!([{ "revision": "b", "percent": 100.0 }]));
}

/// Before anything has begun there is nothing to take back.
#[test]
fn an_interrupt_before_the_first_shift_shifts_nothing() {
    let sandbox = Sandbox::start(&["--latency", "20s"], &world(&[("a", HEALTHY), ("b", HEALTHY)], ""));
    sandbox.write("mlroll.toml", &config(&listed(&["a", "b"])));
    for only in [&["--target", "lambda:us-east-1/a@prod"][..], &[]] {
        let mut command = sandbox.command(&["rollout", "--output", "json"]);
        let pipe = std::process::Stdio::piped;
        let mut stopped = command.args(only).stdout(pipe()).stderr(pipe()).spawn().unwrap();
        // It has said where its calls go, and waits for the answer to the first.
        let mut said = String::new();
        BufReader::new(stopped.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
        assert!(said.starts_with("calls go to"), "{said}");
        std::thread::sleep(std::time::Duration::from_millis(1_500));
        signal(&stopped, "TERM");
        let output = stopped.wait_with_output().unwrap();
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(130), "{document}");
        assert_eq!(document["error"]["kind"], "interrupted", "{document}");
    }
    assert!(!sandbox.path().join(".mlroll").exists(), "nothing has begun");
}

#[test]
fn canaries_that_pass_are_promoted_together_and_one_that_does_not_holds_all() {
    // A warm-up that is longer than a write that Lambda throttles: the note's time is that of its first attempt.
    let sandbox = Sandbox::start(&["--speed", "60"], &world(&[("a", HEALTHY), ("b", HEALTHY)], ""));
    sandbox.write("mlroll.toml", &config(&format!("warm_up = \"4m\"\n{}", listed(&["a", "b"]))));
    let (code, outcome) = sandbox.run(&["canary", "fleet", "--pct", "20"]);
    assert_eq!((code, outcomes(&outcome)), (0, vec!["shifted", "shifted"]), "{outcome}");
    // Somebody shortens the evidence of one.
    let note = alias(&sandbox, "b")["Description"].as_str().unwrap().to_owned();
    let clock: Value = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/clock", "")).unwrap();
    let now: mlroll_backend::Timestamp = clock["now"].as_str().unwrap().parse().unwrap();
    let words = note.trim_end_matches(']').split(' ');
    let late =
        |word: &str| if word.starts_with("at=") { format!("at={}", now.unix_seconds()) } else { word.to_owned() };
    let late: Vec<String> = words.map(late).collect();
    let body = json!({ "Description": format!("{}]", late.join(" ")) }).to_string();
    sandbox.ask("PUT", "/2015-03-31/functions/b/aliases/prod", &body);
    let (code, refused) = sandbox.run(&["promote", "fleet"]);
    assert_eq!(code, 3, "{refused}");
    assert_eq!(refused["error"]["target"], "lambda:us-east-1/b@prod", "{refused}");
    assert_eq!((split(&sandbox, "a").0, split(&sandbox, "b").0), ("2".to_owned(), "2".to_owned()));

    // One that is done is left alone, so that the verb can be typed again.
    let (code, outcome) = sandbox.run(&["promote", "--target", "lambda:us-east-1/a@prod"]);
    assert_eq!((code, outcomes(&outcome)), (0, vec!["promoted"]), "{outcome}");
    let (code, outcome) = sandbox.run(&["promote", "fleet", "--wait"]);
    assert_eq!((code, outcomes(&outcome)), (0, vec!["promoted", "unchanged"]), "{outcome}");
    assert_eq!(outcome["targets"][0]["target"], "lambda:us-east-1/b@prod");
    assert_eq!(outcome["targets"][1]["after"], json!([{ "revision": "3", "percent": 100.0 }]));
    let (code, refused) = sandbox.run(&["promote", "fleet"]);
    assert_eq!((code, &refused["error"]["kind"]), (6, &json!("not_found")), "{refused}");
    assert_eq!(["a", "b"].map(|name| split(&sandbox, name)), [("3".to_owned(), None), ("3".to_owned(), None)]);
}

#[test]
fn a_target_of_two_services_is_judged_by_the_one_that_is_named() {
    let sandbox = sandbox(&[("a", HEALTHY)], "target = \"lambda:us-east-1/a@prod\"");
    let other = "[services.other]\ntarget = \"lambda:us-east-1/a@prod\"\nsteps = [\"50%\", \"100%\"]\n\
                 [services.other.metrics]\nsource = \"cloudwatch\"\n[[services.other.gates]]\nmetric = \"error_rate\"\nmax = \"1%\"\n";
    sandbox.write("mlroll.toml", &format!("{}{other}", config("target = \"lambda:us-east-1/a@prod\"")));
    let target = ["--target", "lambda:us-east-1/a@prod"];
    for both in [&["rollout", "fleet", "other"][..], &["rollout", target[0], target[1]], &["promote", "other", "fleet"]]
    {
        let (code, refused) = sandbox.run(both);
        let message = refused["error"]["message"].as_str().unwrap_or_default();
        assert!(code == 2 && message.contains("both list lambda:us-east-1/a@prod"), "{both:?}: {refused}");
    }
    assert_eq!(split(&sandbox, "a"), ("2".to_owned(), None));
    // Who is not judged is found by either, and who names one of them means that one.
    assert_eq!(sandbox.run(&["status", target[0], target[1]]).0, 0);
    let (code, planned) = sandbox.run(&["plan", "other", target[0], target[1]]);
    assert_eq!((code, &planned["steps"][0]["percent"]), (0, &json!(50.0)), "{planned}");
}
