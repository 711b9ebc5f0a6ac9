//! No evidence from CloudWatch is never a pass: every way in which it can fail to tell, for every kind of gate.

use std::collections::VecDeque;
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::sandbox::{HEALTHY, Sandbox};

const FRAUD: &str = "sagemaker:us-east-1/fraud";

/// How many runs are under way at once: most of what they do is wait.
const AT_ONCE: usize = 6;

const ERRORS: &str = "\n[[services.fraud.gates]]\nmetric = \"error_rate\"\nmax = \"5%\"";

/// Gates of every kind that CloudWatch can answer, and whether another one has to stand beside: what says nothing of requests is
/// no gate by itself.
const KINDS: [(&str, &str, bool); 10] = [
    ("error_rate with a limit", "metric = \"error_rate\"\nmax = \"5%\"", false),
    ("error_rate against stable", "metric = \"error_rate\"\nmax_increase = { ratio = 2.0, abs = \"2%\" }", false),
    ("latency with a limit", "metric = \"latency\"\nquantile = 0.95\nmax = \"300ms\"", false),
    ("latency by signs", "metric = \"latency\"\nquantile = 0.95\njudge = \"sign\"\npass_tolerance = \"20%\"", false),
    ("latency by t", "metric = \"latency\"\nquantile = 0.95\njudge = \"t\"\npass_tolerance = \"20%\"", false),
    (
        "latency by ranks",
        "metric = \"latency\"\nquantile = 0.95\njudge = \"mann_whitney\"\npass_tolerance = \"20%\"",
        false,
    ),
    ("latency as Kayenta", "metric = \"latency\"\nquantile = 0.95\njudge = \"kayenta\"\ntolerance = \"20%\"", false),
    (
        "a query by signs",
        "name = \"p50\"\njudge = \"sign\"\npass_tolerance = \"20%\"\n\
         query = 'AWS/SageMaker ModelLatency{EndpointName=\"fraud\", VariantName=\"{{revision}}\"} p50'",
        true,
    ),
    ("cpu_headroom", "metric = \"cpu_headroom\"\nmin = \"10%\"", true),
    ("alarms", "alarms = [\"slow\"]", true),
];

/// How it falls silent after the traffic has moved: what its answers become.
const SILENCES: [&str; 6] = [
    r#""fault": "status", "status": 500, "code": "InternalServiceFault""#,
    r#""fault": "status", "status": 503, "code": "ServiceUnavailable""#,
    r#""fault": "status", "status": 400, "code": "Throttling""#,
    r#""fault": "status", "status": 403, "code": "AccessDenied""#,
    r#""fault": "truncate""#,
    r#""fault": "reset_after""#,
];

/// Worlds in which it answers well, and tells nothing of the candidate, or of anybody.
const WORLDS: [(&str, &str); 4] = [
    ("nobody comes", "requests_per_second = 0"),
    ("all is late", "delay = \"24h\""),
    ("all results are internal errors", "internal_error = \"100%\""),
    ("all results are late in part", "late = \"100%\""),
];

/// Variants `a`, stable, and `b`, as good; what is said of the store and of the traffic in place of the usual.
fn start(store: &str, traffic: &str) -> Sandbox {
    let revision = HEALTHY.trim_end_matches('}');
    let instances = "instances = { cpu = 0.4, memory = 0.5, gpu = 0.5, gpu_memory = 0.5 } }";
    let world = format!(
        "seed = 7\n[cloudwatch]\n{store}\nalarms.slow = {{ state = \"OK\" }}\n[sagemaker]\nupdate = \"20s\"\n\
         machine = \"ml.g5.12xlarge\"\n[targets.\"{FRAUD}\"]\n{traffic}\nstable = \"a\"\n\
         [targets.\"{FRAUD}\".revisions]\na = {revision}, {instances}\nb = {revision}, {instances}\n"
    );
    Sandbox::start(&["--speed", "600"], &world)
}

fn configure(sandbox: &Sandbox, service: &str, gate: &str, beside: bool) {
    let beside = if beside { ERRORS } else { "" };
    let file = format!(
        "[services.fraud]\ntarget = \"{FRAUD}\"\nsteps = [\"10%\", \"100%\"]\nmin_bake = \"20m\"\nwarm_up = \"0s\"\nlook = \"60s\"\n\
         {service}\n[services.fraud.metrics]\nsource = \"cloudwatch\"\n[[services.fraud.gates]]\n{gate}{beside}\n"
    );
    sandbox.write("mlroll.toml", &file);
}

/// Who has how much, by the document.
fn split(sandbox: &Sandbox) -> Value {
    let (code, status) = sandbox.run(&["status", "fraud"]);
    assert_eq!(code, 0, "{status}");
    let split = status["targets"][0]["split"].as_array().unwrap().clone();
    split.iter().map(|part| (part["revision"].as_str().unwrap().to_owned(), part["percent"].clone())).collect()
}

fn rollout(sandbox: &Sandbox) -> (i32, Value) {
    sandbox.run(&["rollout", "--candidate", "b"])
}

/// Runs a rollout whose store falls silent soon after the first shift; what is wrong with how it went, if anything.
fn silenced(silence: &str, gate: &str, beside: bool) -> Result<(), String> {
    let sandbox = start("delay = \"60s\"", "requests_per_second = 100");
    configure(&sandbox, "bake = \"40m\"\nno_data_budget = \"5m\"", gate, beside);
    let operation = if gate.starts_with("alarms") { "DescribeAlarms" } else { "GetMetricData" };
    // The first ones are from before the shift: the queries are tried out.
    let which = format!(r#""api": "cloudwatch", "operation": "{operation}", "skip": 4, "times": 100000"#);
    sandbox.ask("POST", "/_sandbox/faults", &format!("{{{which}, {silence}}}"));
    let (code, document) = rollout(&sandbox);
    let went = (code, document["error"]["kind"].as_str().unwrap_or_default(), split(&sandbox));
    if went == (1, "no_data", json!({ "a": 100.0 })) { Ok(()) } else { Err(format!("{went:?}: {document}")) }
}

/// The same where nothing is told from the beginning: it may not even begin.
fn untold(which: &str, gate: &str, beside: bool) -> Result<(), String> {
    let usual = ("delay = \"60s\"", "requests_per_second = 100");
    let (store, traffic) = if which.starts_with("requests") { (usual.0, which) } else { (which, usual.1) };
    let sandbox = start(store, traffic);
    configure(&sandbox, "bake = \"40m\"\nno_data_budget = \"10m\"", gate, beside);
    let (code, document) = rollout(&sandbox);
    let (outcome, after) = (document["outcome"].clone(), split(&sandbox));
    // Points that are late in part come in the end, and are waited for.
    let told_late = which.starts_with("late") && outcome == "promoted";
    if told_late || (code != 0 && outcome != "promoted" && after == json!({ "a": 100.0 })) {
        return Ok(());
    }
    Err(format!("{code}, {after}: {document}"))
}

#[test]
fn cloudwatch_that_tells_nothing_promotes_nobody() {
    let mut cases = VecDeque::new();
    for (name, gate, beside) in KINDS {
        cases.extend(SILENCES.map(|silence| (name, gate, beside, silence, true)));
        cases.extend(WORLDS.map(|(_, world)| (name, gate, beside, world, false)));
    }
    let (queue, wrong) = (Mutex::new(cases), Mutex::new(Vec::new()));
    let next = || queue.lock().unwrap().pop_front();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((name, gate, beside, what, falls_silent)) = next() {
                    let play = if falls_silent { silenced } else { untold };
                    if let Err(why) = play(what, gate, beside) {
                        wrong.lock().unwrap().push(format!("{name}, {what}: {why}"));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} cases went wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// The same runs with a store that does tell: it is not something else that keeps them from being promoted.
#[test]
fn the_same_gates_promote_when_cloudwatch_tells() {
    std::thread::scope(|scope| {
        for (name, gate, beside) in KINDS {
            scope.spawn(move || {
                let sandbox = start("delay = \"60s\"", "requests_per_second = 100");
                configure(&sandbox, "bake = \"90m\"\nno_data_budget = \"1h\"", gate, beside);
                let (code, document) = rollout(&sandbox);
                assert_eq!((code, split(&sandbox)), (0, json!({ "b": 100.0 })), "{name}: {document}");
            });
        }
    });
}
