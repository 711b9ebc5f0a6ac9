//! `kill -9` at each call of a deployment and a rollout on SageMaker, before and after it is carried out, and then the same again
//! or `resume`: what is left is what a run that was left alone leaves.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::sagemaker_capacity::{bounds, variants};
use crate::sagemaker_deploy::aws;
use crate::sandbox::Sandbox;

const FRAUD: &str = "sagemaker:us-east-1/fraud";
const PACKAGE: &str = "arn:aws:sagemaker:us-east-1:123456789012:model-package/fraud/1";
const DEPLOY: [&str; 5] = ["deploy", "--model-package", PACKAGE, "--target", FRAUD];
const ROLLOUT: [&str; 4] = ["rollout", "--no-gates", "--candidate", "b"];

/// Stable `a` has three instances and bounds of its own, `b` neither.
fn start() -> Sandbox {
    let world = format!(
        "seed = 7\n[sagemaker]\nupdate = '10s'\ndeploy = '60s'\nautoscaling = [2, 8]\n[targets.\"{FRAUD}\"]\n\
         requests_per_second = 50\nstable = \"a\"\n[targets.\"{FRAUD}\".revisions]\na = {{}}\nb = {{}}\n"
    );
    let own = format!("[services.fraud]\ntarget = \"{FRAUD}\"\nsteps = [\"10%\", \"100%\"]\nbake = \"2m\"\n");
    staged(&world, &own)
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
    pub(crate) deploys: bool,
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

/// A deployment and a rollout, one of them killed and gone on with; `None` where it never gets to the boundary.
fn play(boundary: Option<&Boundary>) -> Option<(End, Log, usize)> {
    let sandbox = start();
    if let Some(boundary) = boundary.filter(|boundary| boundary.deploys)
        && !killed(&sandbox, &DEPLOY, boundary)
    {
        return None;
    }
    // Whoever was killed while the fleet was made finds that it is there.
    let (code, deployed) = sandbox.run(&DEPLOY);
    assert_eq!(code, 0, "{boundary:?}: {deployed}");
    let deployed = log(&sandbox).len();
    if let Some(boundary) = boundary.filter(|boundary| !boundary.deploys) {
        sandbox.ask("DELETE", "/_sandbox/requests", "");
        if !killed(&sandbox, &ROLLOUT, boundary) {
            return None;
        }
    }
    let resumed = boundary.filter(|boundary| !boundary.deploys).map(|_| sandbox.run(&["resume"]));
    // Before there is a journal there is nothing to resume: then it begins anew.
    let (code, done) = resumed.filter(|(code, _)| *code != 6).unwrap_or_else(|| sandbox.run(&ROLLOUT));
    assert_eq!((code, done["outcome"].as_str()), (0, Some("promoted")), "{boundary:?}: {done}");
    let log = log(&sandbox);
    let deleted: Vec<_> = log.iter().filter(|(_, name)| name.starts_with("Delete") && name != "DeleteTags").collect();
    assert!(deleted.is_empty(), "{boundary:?}: {deleted:?}");
    Some((end(&sandbox), log, deployed))
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
pub(crate) fn boundaries(log: &[(String, String)], deploys: bool) -> Vec<Boundary> {
    let mut counts: BTreeMap<&(String, String), usize> = BTreeMap::new();
    for call in log.iter().filter(|(api, _)| api == "sagemaker" || api == "application-autoscaling") {
        *counts.entry(call).or_default() += 1;
    }
    let mut all = Vec::new();
    for ((api, operation), count) in counts {
        let new = |nth, done| Boundary { deploys, api: api.clone(), operation: operation.clone(), nth, done };
        if operation.starts_with("Describe") || operation.starts_with("List") {
            all.push(new(0, true));
            if count > 2 {
                all.push(new(count / 2, true));
            }
        } else {
            all.extend((0..count).flat_map(|nth| [new(nth, false), new(nth, true)]));
        }
    }
    all
}

#[test]
fn at_each_call_of_a_deployment_and_a_rollout() {
    let (whole, log, deployed) = play(None).unwrap();
    let expected = json!({ "a": [3, 0.0], "b": [3, 100.0] });
    assert_eq!((&whole.variants, whole.made), (&expected, [1, 1]), "{whole:?}");
    assert_eq!(whole.bounds, json!({ "a": [2, 8, false], "b": [2, 8, false] }));
    assert!(whole.tag.contains("state=promoted stable=b previous=a"), "{whole:?}");
    let (deploying, rolling) = log.split_at(deployed);
    let all = [boundaries(deploying, true), boundaries(rolling, false)].concat();
    let writes = all.iter().filter(|boundary| !boundary.operation.starts_with("Describe")).count();
    assert!(writes >= 2 * (3 + 5 + 2 * 2), "{all:?}");
    let queue = Mutex::new(all);
    let missed = Mutex::new(Vec::new());
    let next = || queue.lock().unwrap().pop();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(boundary) = next() {
                    match play(Some(&boundary)) {
                        // What a deployment made, it made before this log began.
                        Some((end, _, _)) if !boundary.deploys => {
                            assert_eq!(End { made: whole.made, ..end }, whole, "{boundary:?}");
                        }
                        Some((end, _, _)) => assert_eq!(end, whole, "{boundary:?}"),
                        None => missed.lock().unwrap().push(boundary),
                    }
                }
            });
        }
    });
    // How often a busy endpoint is looked at depends on the machine; what is written does not.
    let missed = missed.into_inner().unwrap();
    assert!(missed.iter().all(|boundary| boundary.operation == "DescribeEndpoint"), "{missed:?}");
}
