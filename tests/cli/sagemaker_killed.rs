//! `kill -9` at each call of a deployment and a rollout on SageMaker, or of a deployment, a canary and a promote by hand, before and
//! after it is carried out, and then the same again or `resume`: what is left is what a run that was left alone leaves.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::sagemaker_capacity::{bounds, variants};
use crate::sagemaker_deploy::aws;
use crate::sandbox::{HEALTHY, Sandbox};

const FRAUD: &str = "sagemaker:us-east-1/fraud";
const PACKAGE: &str = "arn:aws:sagemaker:us-east-1:123456789012:model-package/fraud/1";
const DEPLOY: [&str; 5] = ["deploy", "--model-package", PACKAGE, "--target", FRAUD];
const ROLLOUT: [&str; 3] = ["rollout", "--candidate", "b"];
const CANARY: [&str; 6] = ["canary", "--pct", "10", "--no-gates", "--candidate", "b"];
const PROMOTE: [&str; 2] = ["promote", "--force"];

/// What is typed, one after the other.
const WATCHED: [&[&str]; 2] = [&DEPLOY, &ROLLOUT];
const BY_HAND: [&[&str]; 3] = [&DEPLOY, &CANARY, &PROMOTE];

/// Stable `a` has three instances and bounds of its own, `b` neither; both are good, and CloudWatch tells it.
fn start() -> Sandbox {
    let world = format!(
        "seed = 7\n[cloudwatch]\ndelay = '60s'\n[sagemaker]\nupdate = '10s'\ndeploy = '60s'\nautoscaling = [2, 8]\n\
         [targets.\"{FRAUD}\"]\nrequests_per_second = 1000\nstable = \"a\"\n\
         [targets.\"{FRAUD}\".revisions]\na = {HEALTHY}\nb = {HEALTHY}\n"
    );
    let config = format!(
        "[services.fraud]\ntarget = \"{FRAUD}\"\nsteps = [\"10%\", \"100%\"]\nbake = \"45m\"\nmin_bake = \"3m\"\n\
         [services.fraud.metrics]\nsource = \"cloudwatch\"\n\
         [[services.fraud.gates]]\nmetric = \"error_rate\"\nmax_increase = {{ ratio = 2.0, abs = \"1%\" }}\n"
    );
    staged(&world, &config)
}

/// A sandbox of this world, in which `a` has three instances and `b` bounds of its own that leave it one.
pub(crate) fn staged(world: &str, config: &str) -> Sandbox {
    let sandbox = Sandbox::start(&["--speed", "600"], world);
    sandbox.write("mlroll.toml", config);
    let desired = json!([{ "VariantName": "a", "DesiredInstanceCount": 3 }]);
    let body = json!({ "EndpointName": "fraud", "DesiredWeightsAndCapacities": desired });
    aws(&sandbox, "UpdateEndpointWeightsAndCapacities", &body);
    let of_b = json!({ "ServiceNamespace": "sagemaker", "ResourceId": "endpoint/fraud/variant/b",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount", "MinCapacity": 1, "MaxCapacity": 1 });
    aws(&sandbox, "RegisterScalableTarget", &of_b);
    sandbox.ask("POST", "/_sandbox/clock", r#"{"advance": "1m"}"#);
    sandbox.ask("DELETE", "/_sandbox/requests", "");
    sandbox
}

/// A call at which a verb is killed: the nth of an operation.
#[derive(Clone, Debug)]
pub(crate) struct Boundary {
    pub(crate) api: String,
    pub(crate) operation: String,
    pub(crate) nth: usize,
    /// It is carried out, and its answer is never read.
    pub(crate) done: bool,
}

/// What is left.
#[derive(Debug, PartialEq)]
struct End {
    variants: Value,
    bounds: Value,
    tag: String,
    /// The model of each variant, in the endpoint config that is live.
    models: Vec<String>,
    config: String,
    /// Endpoint configs and models that were made.
    made: [usize; 2],
}

/// API and operation, in the order of arrival.
pub(crate) type Log = Vec<(String, String)>;

pub(crate) fn log(sandbox: &Sandbox) -> Log {
    let log: Vec<Value> = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    log.iter().map(|request| (text(&request["api"]), text(&request["operation"]))).collect()
}

fn count(sandbox: &Sandbox, boundary: &Boundary) -> usize {
    log(sandbox).iter().filter(|(api, operation)| (api, operation) == (&boundary.api, &boundary.operation)).count()
}

/// Runs the verb until it is killed at the boundary; false when it never gets there.
pub(crate) fn killed(sandbox: &Sandbox, arguments: &[&str], boundary: &Boundary) -> bool {
    let (fault, times) = if boundary.done { ("latency", 1) } else { ("reset_before", 1_000_000) };
    let fault = json!({ "api": boundary.api, "operation": boundary.operation, "skip": boundary.nth, "times": times,
        "fault": fault, "latency_ms": if boundary.done { 600_000 } else { 0 } });
    let said = sandbox.ask("POST", "/_sandbox/faults", &fault.to_string());
    assert!(said.contains(&boundary.operation), "{said}");
    let mut command = sandbox.command(arguments);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let patience = Instant::now() + Duration::from_secs(90);
    let reached = loop {
        if count(sandbox, boundary) > boundary.nth {
            break true;
        }
        if child.try_wait().unwrap().is_some() {
            break false;
        }
        assert!(Instant::now() < patience, "{boundary:?}: it does not end");
        std::thread::sleep(Duration::from_millis(3));
    };
    let _ = child.kill();
    child.wait().unwrap();
    sandbox.ask("DELETE", "/_sandbox/faults", "");
    reached
}

/// Verbs, one of them killed and gone on with, and where the log of each begins; `None` where it never gets to the boundary.
fn play(verbs: &[&[&str]], kill: Option<&(usize, Boundary)>) -> Option<(End, Log, Vec<usize>)> {
    let sandbox = start();
    let mut begins = Vec::new();
    for (n, verb) in verbs.iter().enumerate() {
        begins.push(log(&sandbox).len());
        let Some((_, boundary)) = kill.filter(|(at, _)| *at == n) else {
            let (code, done) = sandbox.run(verb);
            assert_eq!(code, 0, "{kill:?}: {done}");
            continue;
        };
        sandbox.ask("DELETE", "/_sandbox/requests", "");
        if !killed(&sandbox, verb, boundary) {
            return None;
        }
        go_on(&sandbox, verb, boundary);
    }
    let log = log(&sandbox);
    let deleted: Vec<_> = log.iter().filter(|(_, name)| name.starts_with("Delete") && name != "DeleteTags").collect();
    assert!(deleted.is_empty(), "{kill:?}: {deleted:?}");
    Some((end(&sandbox), log, begins))
}

/// What somebody types who finds that it was killed.
fn go_on(sandbox: &Sandbox, verb: &[&str], boundary: &Boundary) {
    if verb == ROLLOUT {
        let (code, done) = sandbox.run(&["resume"]);
        // Before there is a journal there is nothing to resume: then it begins anew.
        let (code, done) = if code == 6 { sandbox.run(verb) } else { (code, done) };
        assert_eq!((code, done["outcome"].as_str()), (0, Some("promoted")), "{boundary:?}: {done}");
        return;
    }
    // Whoever was killed while the fleet was made finds that it is there.
    let (code, done) = sandbox.run(verb);
    match code {
        // It was promoted.
        6 if verb == PROMOTE => assert_eq!(variants(sandbox)["a"][1], 0.0, "{boundary:?}: {done}"),
        // The note was written and the weights were not: those may be a person's by now.
        3 if verb == PROMOTE => {
            assert!(done["targets"][0]["error"]["hints"].to_string().contains("--candidate b"), "{boundary:?}: {done}");
            let (code, done) = sandbox.run(&["promote", "--force", "--candidate", "b"]);
            assert_eq!(code, 0, "{boundary:?}: {done}");
        }
        _ => assert_eq!(code, 0, "{boundary:?}: {done}"),
    }
}

/// The marker without its moments and its id.
pub(crate) fn tag(sandbox: &Sandbox, endpoint: &Value) -> String {
    let tags = aws(sandbox, "ListTags", &json!({ "ResourceArn": endpoint["EndpointArn"] }));
    let note = tags["Tags"][0]["Value"].as_str().unwrap_or_default();
    let kept = note.split(' ').filter(|word| !word.starts_with("at=") && !word.starts_with("id="));
    kept.collect::<Vec<_>>().join(" ")
}

fn end(sandbox: &Sandbox) -> End {
    let endpoint = aws(sandbox, "DescribeEndpoint", &json!({ "EndpointName": "fraud" }));
    assert_eq!(endpoint["EndpointStatus"], "InService", "{endpoint}");
    let config = endpoint["EndpointConfigName"].clone();
    let live = aws(sandbox, "DescribeEndpointConfig", &json!({ "EndpointConfigName": config }));
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{live}")).to_owned();
    // The one before is there, for whoever wants to go back by hand.
    let before = aws(sandbox, "DescribeEndpointConfig", &json!({ "EndpointConfigName": "fraud-1" }));
    assert_eq!(before["EndpointConfigName"], "fraud-1", "{before}");
    let made = |operation: &str| {
        let log: Vec<Value> = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap();
        log.iter().filter(|request| request["operation"] == operation && request["status"] == 200).count()
    };
    End {
        variants: variants(sandbox),
        bounds: bounds(sandbox),
        tag: tag(sandbox, &endpoint),
        models: live["ProductionVariants"].as_array().unwrap().iter().map(|v| text(&v["ModelName"])).collect(),
        config: text(&config),
        made: [made("CreateEndpointConfig"), made("CreateModel")],
    }
}

/// Each write, before and after it, and the first and the last of each read.
pub(crate) fn boundaries(log: &[(String, String)]) -> Vec<Boundary> {
    let mut counts: BTreeMap<&(String, String), usize> = BTreeMap::new();
    let apis = ["application-autoscaling", "cloudwatch", "sagemaker"];
    for call in log.iter().filter(|(api, _)| apis.contains(&api.as_str())) {
        *counts.entry(call).or_default() += 1;
    }
    let mut all = Vec::new();
    for ((api, operation), count) in counts {
        let new = |nth, done| Boundary { api: api.clone(), operation: operation.clone(), nth, done };
        if is_read(operation) {
            all.push(new(0, true));
            if count > 2 {
                all.push(new(count / 2, true));
            }
            if count > 3 {
                all.push(new(count - 1, true));
            }
        } else {
            all.extend((0..count).flat_map(|nth| [new(nth, false), new(nth, true)]));
        }
    }
    all
}

pub(crate) fn is_read(operation: &str) -> bool {
    ["Describe", "Get", "List"].iter().any(|prefix| operation.starts_with(prefix))
}

/// Kills it at each of its calls; `writes` are how many of these there are at least.
fn at_each_call_of(verbs: &[&[&str]], writes: usize) {
    let (whole, log, begins) = play(verbs, None).unwrap();
    let expected = json!({ "a": [3, 0.0], "b": [3, 100.0] });
    assert_eq!((&whole.variants, whole.made), (&expected, [1, 1]), "{whole:?}");
    assert_eq!(whole.bounds, json!({ "a": [2, 8, false], "b": [2, 8, false] }));
    assert!(whole.tag.contains("state=promoted stable=b previous=a"), "{whole:?}");
    let ends = begins.iter().skip(1).copied().chain([log.len()]);
    let of_verbs = begins.iter().zip(ends).enumerate();
    let of_verb =
        |(n, (from, to)): (usize, (&usize, usize))| boundaries(&log[*from..to]).into_iter().map(move |at| (n, at));
    let all: Vec<(usize, Boundary)> = of_verbs.flat_map(of_verb).collect();
    let found = all.iter().filter(|(_, boundary)| !is_read(&boundary.operation)).count();
    assert!(found >= 2 * writes, "{all:?}");
    let queue = Mutex::new(all);
    let missed = Mutex::new(Vec::new());
    let next = || queue.lock().unwrap().pop();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(kill) = next() {
                    match play(verbs, Some(&kill)) {
                        // What a deployment made, it made before this log began.
                        Some((end, _, _)) if kill.0 > 0 => {
                            assert_eq!(End { made: whole.made, ..end }, whole, "{kill:?}");
                        }
                        Some((end, _, _)) => assert_eq!(end, whole, "{kill:?}"),
                        None => missed.lock().unwrap().push(kill.1),
                    }
                }
            });
        }
    });
    // How often a busy endpoint is looked at, and how many looks are asked for at once, depends on the machine; what is written
    // does not.
    let missed = missed.into_inner().unwrap();
    assert!(missed.iter().all(|boundary| is_read(&boundary.operation) && boundary.nth > 0), "{missed:?}");
}

#[test]
fn at_each_call_of_a_deployment_and_a_rollout() {
    at_each_call_of(&WATCHED, 3 + 5 + 2 * 2);
}

#[test]
fn at_each_call_of_a_deployment_a_canary_and_a_promote() {
    at_each_call_of(&BY_HAND, 3 + 4 + 2);
}
