//! A rollout of a Lambda alias and one of a SageMaker endpoint, both by CloudWatch, in each of the worlds in `scenarios/`.

use serde_json::{Value, json};

use crate::sandbox::{HEALTHY, Sandbox, looks_are_disjoint_and_within_their_step};

const LAMBDA: &str = "lambda:us-east-1/fraud@prod";
const SAGEMAKER: &str = "sagemaker:us-east-1/fraud";

const GATES: &str = r#"
[[services.NAME.gates]]
metric = "error_rate"
max_increase = { ratio = 1.5, abs = "0.2%" }
[[services.NAME.gates]]
metric = "latency"
quantile = 0.95
max = "300ms"
"#;

/// Both services in one file, with the same gates; `more` is said of each.
fn config(more: &str, gates: &str) -> String {
    let service = |(name, target): (&str, &str)| {
        format!(
            "[services.{name}]\ntarget = \"{target}\"\nsteps = [\"10%\", \"50%\", \"100%\"]\nbake = \"45m\"\n\
             no_data_budget = \"1h\"\n{more}\n[services.{name}.metrics]\nsource = \"cloudwatch\"\n{}\n",
            gates.replace("NAME", name)
        )
    };
    [("on-lambda", LAMBDA), ("on-sagemaker", SAGEMAKER)].map(service).concat()
}

/// How a rollout ended: exit status, outcome, kind of error, gates that failed, and who has everything.
#[derive(Debug, PartialEq)]
struct Verdict {
    code: i32,
    outcome: String,
    kind: Option<String>,
    failed: Vec<String>,
    kept: Option<String>,
}

fn verdict((code, document): &(i32, Value)) -> Verdict {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let failed = document["findings"].as_array().into_iter().flatten().filter(|finding| finding["verdict"] == "fail");
    let after = document["targets"][0]["after"].as_array().filter(|after| after.len() == 1);
    Verdict {
        code: *code,
        outcome: text(&document["outcome"]).unwrap_or_default(),
        kind: text(&document["error"]["kind"]),
        failed: failed.filter_map(|finding| text(&finding["gate"])).collect(),
        kept: after.and_then(|after| text(&after[0]["revision"])),
    }
}

/// Both rollouts at once, each with its document.
fn both(sandbox: &Sandbox) -> [(i32, Value); 2] {
    std::thread::scope(|scope| {
        ["on-lambda", "on-sagemaker"]
            .map(|service| {
                scope.spawn(move || {
                    let candidate = if service == "on-lambda" { "3" } else { "b" };
                    let mut ended = (7, Value::Null);
                    // A store that fails before traffic has moved is told, and the verb typed again.
                    for _ in 0..9 {
                        ended = sandbox.run(&["rollout", service, "--candidate", candidate]);
                        if ended.0 != 7 {
                            break;
                        }
                    }
                    ended
                })
            })
            .map(|run| run.join().unwrap())
    })
}

#[test]
fn each_world_leads_to_its_verdict_on_both() {
    let promoted = (0, "promoted", None, None, true);
    let back = |kind, failed| (1, "rolled_back", Some(kind), failed, false);
    let cases = [
        ("errors", include_str!("scenarios/errors.toml"), "", back("gate_failed", Some("error_rate"))),
        ("latency", include_str!("scenarios/latency.toml"), "", back("gate_failed", Some("latency"))),
        ("cold starts", include_str!("scenarios/cold-starts.toml"), "", promoted),
        ("cold for good", include_str!("scenarios/cold-for-good.toml"), "", back("gate_failed", Some("latency"))),
        ("no traffic", include_str!("scenarios/no-traffic.toml"), "", back("starved", None)),
        (
            "nobody",
            include_str!("scenarios/nobody.toml"),
            "on_inconclusive = \"hold\"",
            (3, "held", Some("no_data"), None, false),
        ),
        ("delayed", include_str!("scenarios/delayed.toml"), "", promoted),
        ("partial", include_str!("scenarios/partial.toml"), "", promoted),
    ];
    std::thread::scope(|scope| {
        for pair in cases.chunks(2) {
            let runs: Vec<_> = pair
                .iter()
                .map(|(name, world, more, expected)| {
                    scope.spawn(move || {
                        let sandbox = Sandbox::start(&["--speed", "300"], world);
                        sandbox.write("mlroll.toml", &config(more, GATES));
                        for (n, ended) in both(&sandbox).iter().enumerate() {
                            let (code, outcome, kind, failed, promoted) = *expected;
                            let kept = match (outcome, promoted) {
                                ("held", _) => None,
                                (_, true) => Some(["3", "b"][n]),
                                (_, false) => Some(["2", "a"][n]),
                            };
                            let expected = Verdict {
                                code,
                                outcome: outcome.to_owned(),
                                kind: kind.map(str::to_owned),
                                failed: failed.into_iter().map(str::to_owned).collect(),
                                kept: kept.map(str::to_owned),
                            };
                            assert_eq!(verdict(ended), expected, "{name} {n}: {}", ended.1);
                        }
                    })
                })
                .collect();
            runs.into_iter().for_each(|run| run.join().unwrap());
        }
    });
}

/// A gate that judges the 95th percentile as a series gets CloudWatch's own, whatever limit stands beside it: where answers
/// are counted at 300 ms only, nothing is known of what is slower.
#[test]
fn percentiles_are_judged_as_series() {
    let series = "[[services.NAME.gates]]\nname = \"p95\"\nmetric = \"latency\"\nquantile = 0.95\njudge = \"sign\"\n\
                  tolerance = \"10%\"\npass_tolerance = \"20%\"\n";
    let gates = format!("{}advisory = true\n{series}", GATES);
    for (world, code, failed) in
        [(include_str!("scenarios/latency.toml"), 1, &["p95"][..]), (include_str!("scenarios/alike.toml"), 0, &[])]
    {
        // One past in ten seems autocorrelated by chance, and is judged in blocks: always the same one.
        let world = format!("start = \"2026-11-21T03:00:00Z\"\n{world}");
        let sandbox = Sandbox::start(&["--speed", "300"], &world);
        sandbox.write("mlroll.toml", &config("", &gates));
        for ended in both(&sandbox) {
            let Verdict { code: exit, failed: gates, .. } = verdict(&ended);
            let gates: Vec<&str> = gates.iter().map(String::as_str).filter(|gate| *gate != "latency").collect();
            assert_eq!((exit, gates), (code, failed.to_vec()), "{}", ended.1);
        }
    }
}

/// The world of one endpoint on machines with four GPUs, of which the candidate uses so much.
fn accelerated(gpu: &str, alarms: &str) -> Sandbox {
    let instances = |gpu: &str| format!("instances = {{ cpu = 0.4, memory = 0.5, gpu = {gpu}, gpu_memory = 0.5 }}");
    let rest = HEALTHY.trim_end_matches('}');
    let world = format!(
        "seed = 7\n[cloudwatch]\ndelay = \"60s\"\n{alarms}\n[sagemaker]\nmachine = \"ml.g5.12xlarge\"\n\
         [targets.\"{SAGEMAKER}\"]\nrequests_per_second = 100\nstable = \"a\"\n\
         [targets.\"{SAGEMAKER}\".revisions]\na = {rest}, {} }}\nb = {rest}, {} }}\n",
        instances("0.6"),
        instances(gpu),
    );
    Sandbox::start(&["--speed", "300"], &world)
}

fn on_sagemaker(more: &str) -> String {
    let file = config("", &format!("[[services.NAME.gates]]\nmetric = \"error_rate\"\nmax = \"1%\"\n{more}"));
    format!("[services.on-sagemaker]{}", file.split("[services.on-sagemaker]").nth(1).unwrap())
}

#[test]
fn what_is_left_of_the_gpus_is_counted_over_all_of_them() {
    let gates = ["cpu", "memory", "gpu", "gpu_memory"]
        .map(|name| format!("[[services.on-sagemaker.gates]]\nmetric = \"{name}_headroom\"\nmin = \"20%\"\n"))
        .concat();
    for (gpu, code, failed) in [("0.7", 0, &[][..]), ("0.95", 1, &["gpu_headroom"])] {
        let sandbox = accelerated(gpu, "");
        // The same number again and again is judged in blocks of five looks.
        let long = on_sagemaker(&gates).replace("\"45m\"", "\"60m\"\nalpha = 0.05").replace("\"50%\", ", "");
        sandbox.write("mlroll.toml", &long);
        let ended = sandbox.run(&["rollout"]);
        let Verdict { code: exit, failed: gates, .. } = verdict(&ended);
        assert_eq!(
            (exit, gates.iter().map(String::as_str).collect::<Vec<_>>()),
            (code, failed.to_vec()),
            "{}",
            ended.1
        );
        looks_are_disjoint_and_within_their_step(&sandbox);
    }
}

#[test]
fn alarms_of_cloudwatch_are_a_veto() {
    let gate = "[[services.on-sagemaker.gates]]\nalarms = [\"slow\", \"all\"]\n";
    let quiet = "alarms.slow = { state = \"OK\" }\nalarms.all = { state = \"OK\", composite = true }";
    let opens = quiet.replacen("\"OK\" }", "\"OK\", then = { after = \"20m\", state = \"ALARM\" } }", 1);
    let composite =
        quiet.replace("composite = true", "composite = true, then = { after = \"20m\", state = \"ALARM\" }");
    let unknown = quiet.replacen("\"OK\"", "\"INSUFFICIENT_DATA\"", 1);
    for (alarms, more, code, kind) in [
        (quiet, "", 0, None),
        (&opens, "", 1, Some("gate_failed")),
        (&composite, "", 1, Some("gate_failed")),
        (&unknown, "no_data_budget", 3, Some("no_data")),
    ] {
        let sandbox = accelerated("0.7", alarms);
        let file = on_sagemaker(gate);
        let held = file.replace("no_data_budget = \"1h\"", "no_data_budget = \"5m\"\non_inconclusive = \"hold\"");
        sandbox.write("mlroll.toml", if more.is_empty() { &file } else { &held });
        let ended = sandbox.run(&["rollout"]);
        let found = verdict(&ended);
        assert_eq!((found.code, found.kind.as_deref()), (code, kind), "{alarms}: {}", ended.1);
        if code == 1 {
            assert_eq!(found.failed, ["alarms"], "{}", ended.1);
            assert_eq!(sandbox.run(&["explain", "--verify"]).0, 0);
        }
    }
}

#[test]
fn an_alarm_that_is_open_or_missing_lets_nothing_begin() {
    let open = "alarms.slow = { state = \"ALARM\" }";
    let sandbox = accelerated("0.7", open);
    sandbox.ask("POST", "/_sandbox/clock", r#"{"advance": "30m"}"#);
    for (names, code, says) in [("\"slow\"", 3, "an alarm is open before"), ("\"slwo\"", 6, "there is no alarm `slwo`")]
    {
        sandbox.write("mlroll.toml", &on_sagemaker(&format!("[[services.on-sagemaker.gates]]\nalarms = [{names}]\n")));
        let (exit, refused) = sandbox.run(&["rollout"]);
        assert!(exit == code && refused.to_string().contains(says), "{exit} {refused}");
    }
    let log = sandbox.ask("GET", "/_sandbox/requests", "");
    assert!(!log.contains("UpdateEndpointWeightsAndCapacities"), "{log}");
}

/// What it costs is what it says, and no more than a request a look, on SageMaker too.
#[test]
fn a_look_at_an_endpoint_is_one_request_and_the_sum_is_told() {
    let sandbox = accelerated("0.7", "");
    let (_, gates) = GATES.split_at(GATES.find("[[services.NAME.gates]]\nmetric = \"latency\"").unwrap());
    sandbox.write("mlroll.toml", &on_sagemaker(&gates.replace("NAME", "on-sagemaker")));
    let (code, outcome) = sandbox.run(&["rollout"]);
    assert_eq!(code, 0, "{outcome}");
    let log: Vec<Value> = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap();
    let calls = log.iter().filter(|request| request["operation"] == "GetMetricData").count();
    // Of each variant all requests, three kinds of failures, those with a latency, and both sides of its limit.
    let of_one = 1 + 3 + 3;
    // The history before the first look is stable's alone.
    let series = calls * 2 * of_one - of_one;
    assert_eq!(outcome["targets"][0]["metrics"], json!({ "calls": calls, "series": series }), "{outcome}");
    let note = format!("the metric store was asked {calls} times, for {series} series in all");
    assert!(outcome["targets"][0]["notes"].as_array().unwrap().contains(&json!(note)), "{outcome}");
    let looks = looks_are_disjoint_and_within_their_step(&sandbox);
    assert!(calls as u64 <= 2 + looks, "a check, a history, and {looks} looks: {calls} calls");
}
