//! A SageMaker candidate has the instances and the bounds of stable before its first share, on the sandbox in scaled time.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::sagemaker_deploy::aws;
use crate::sandbox::{FAILING, HEALTHY, Sandbox};

const FRAUD: &str = "sagemaker:us-east-1/fraud";
const UPDATE: &str = "UpdateEndpointWeightsAndCapacities";
const REGISTER: &str = "RegisterScalableTarget";

/// A rollout in two steps of candidate `b`, judged by CloudWatch; `more` is said of the service.
pub(crate) fn config(more: &str) -> String {
    format!(
        r#"
        [services.fraud]
        target = "{FRAUD}"
        steps = ["10%", "100%"]
        bake = "15m"
        {more}
        [services.fraud.metrics]
        source = "cloudwatch"
        [[services.fraud.gates]]
        metric = "error_rate"
        max_increase = {{ ratio = 1.5, abs = "0.2%" }}
        "#
    )
}

/// Stable `a` has four instances, `b` one; `autoscaling` is what the scenario says of it.
pub(crate) fn start(candidate: &str, autoscaling: &str) -> Sandbox {
    let world = format!(
        r#"
        seed = 7
        [cloudwatch]
        delay = "60s"
        [sagemaker]
        update = "60s"
        {autoscaling}
        [targets."{FRAUD}"]
        requests_per_second = 200
        stable = "a"
        [targets."{FRAUD}".revisions]
        a = {HEALTHY}
        b = {candidate}
        "#
    );
    let sandbox = Sandbox::start(&["--speed", "300"], &world);
    sandbox.write("mlroll.toml", &config(""));
    let desired = json!([{ "VariantName": "a", "DesiredInstanceCount": 4 }]);
    aws(&sandbox, UPDATE, &json!({ "EndpointName": "fraud", "DesiredWeightsAndCapacities": desired }));
    sandbox.ask("POST", "/_sandbox/clock", r#"{"advance": "2m"}"#);
    sandbox.ask("DELETE", "/_sandbox/requests", "");
    sandbox
}

pub(crate) fn scaling(sandbox: &Sandbox, operation: &str, variant: &str, more: &Value) -> Value {
    let mut body = json!({
        "ServiceNamespace": "sagemaker",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        "ResourceId": format!("endpoint/fraud/variant/{variant}"),
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = aws(sandbox, operation, &body);
    assert_eq!(answer["__type"], Value::Null, "{answer}");
    answer
}

/// Variant by variant: least, most, and whether scaling in is suspended.
pub(crate) fn bounds(sandbox: &Sandbox) -> Value {
    let answer = aws(sandbox, "DescribeScalableTargets", &json!({ "ServiceNamespace": "sagemaker" }));
    let of = |target: &Value| {
        let id = target["ResourceId"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let state = &target["SuspendedState"];
        assert!(
            state["DynamicScalingOutSuspended"] == false && state["ScheduledScalingSuspended"] == false,
            "{target}"
        );
        (id, json!([target["MinCapacity"], target["MaxCapacity"], state["DynamicScalingInSuspended"]]))
    };
    answer["ScalableTargets"].as_array().unwrap().iter().map(of).collect::<serde_json::Map<_, _>>().into()
}

/// Variant by variant: instances and weight.
pub(crate) fn variants(sandbox: &Sandbox) -> Value {
    let endpoint = aws(sandbox, "DescribeEndpoint", &json!({ "EndpointName": "fraud" }));
    let of = |variant: &Value| json!([variant["CurrentInstanceCount"], variant["CurrentWeight"]]);
    let all = endpoint["ProductionVariants"].as_array().unwrap().iter();
    all.map(|variant| (variant["VariantName"].as_str().unwrap().to_owned(), of(variant)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// The writes to SageMaker and autoscaling, in order.
pub(crate) fn writes(sandbox: &Sandbox) -> Vec<String> {
    let log: Vec<Value> = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap();
    let names = log.iter().filter(|r| r["api"] == "sagemaker" || r["api"] == "application-autoscaling");
    let names = names.map(|request| request["operation"].as_str().unwrap().to_owned());
    names.filter(|name| !name.starts_with("Describe") && !name.starts_with("List")).collect()
}

fn events(sandbox: &Sandbox) -> Vec<String> {
    let (code, explained) = sandbox.run(&["explain"]);
    assert_eq!(code, 0, "{explained}");
    let events = explained["run"]["events"].as_array().unwrap().iter().filter(|event| event["event"] == "capacity");
    events.map(|event| event["is"].as_str().unwrap().to_owned()).collect()
}

const SHIFT: [&str; 2] = ["AddTags", UPDATE];

#[test]
fn count_and_bounds_come_before_the_first_weight_and_what_is_suspended_goes_on_at_the_end() {
    for (candidate, code, shifts, ends) in [(HEALTHY, 0, 2, "b"), (FAILING, 1, 1, "a")] {
        let sandbox = start(candidate, "autoscaling = [2, 8]");
        scaling(&sandbox, REGISTER, "b", &json!({ "MinCapacity": 1, "MaxCapacity": 2 }));
        sandbox.ask("DELETE", "/_sandbox/requests", "");
        let (ended, done) = sandbox.run(&["rollout"]);
        assert_eq!(ended, code, "{done}");
        let before = [REGISTER, REGISTER, UPDATE];
        let (after, bounds_of_b, of_b) = match ends {
            // The candidate keeps what it needs for everything; stable's instances are the way back.
            "b" => (&[REGISTER, REGISTER][..], json!([2, 8, false]), json!([4, 100.0])),
            _ => (&[UPDATE, "AddTags", REGISTER, REGISTER, UPDATE][..], json!([1, 2, false]), json!([1, 0.0])),
        };
        let expected = [&before[..], &SHIFT.repeat(shifts), after].concat();
        assert_eq!(writes(&sandbox), expected, "{done}");
        assert_eq!(bounds(&sandbox), json!({ "a": [2, 8, false], "b": bounds_of_b }));
        let of_a = if ends == "b" { json!([4, 0.0]) } else { json!([4, 100.0]) };
        assert_eq!(variants(&sandbox), json!({ "a": of_a, "b": of_b }));
        assert_eq!(events(&sandbox), ["wanted", "ready", "set_back"]);
        assert_eq!(sandbox.run(&["explain", "--verify"]).0, 0);
    }
}

/// No step that moves weights has a count, and none that changes a count has a weight.
#[test]
fn a_plan_tells_what_changes_and_the_calls() {
    let sandbox = start(HEALTHY, "autoscaling = [2, 8]");
    let (code, plan) = sandbox.run(&["plan"]);
    assert_eq!(code, 0, "{plan}");
    let capacity = &plan["capacity"];
    assert_eq!(
        capacity["changes"],
        json!(["autoscaling takes no instances from a and b meanwhile", "b: 1 instances become 4, as many as a has"])
    );
    let of = |calls: &Value| -> Vec<String> {
        calls.as_array().unwrap().iter().map(|call| call["operation"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(of(&capacity["reads"]), ["DescribeEndpoint", "DescribeScalableTargets"]);
    let prepared = ["DescribeScalableTargets", REGISTER, REGISTER, "DescribeEndpoint", UPDATE];
    assert_eq!(of(&capacity["prepare"]), prepared, "{capacity}");
    let count = capacity["prepare"][4]["body"].to_string();
    assert!(count.contains("\"DesiredInstanceCount\":4") && !count.contains("\"DesiredWeight\":"), "{count}");
    let shifts = plan["steps"].to_string();
    assert!(shifts.contains("\"DesiredWeight\":") && !shifts.contains("DesiredInstanceCount"), "{shifts}");
    assert_eq!(writes(&sandbox), [""; 0]);
    assert_eq!(bounds(&sandbox), json!({ "a": [2, 8, false], "b": [2, 8, false] }));
}

#[test]
fn a_candidate_without_autoscaling_has_stables_and_loses_it_where_it_loses() {
    for (candidate, code, after) in
        [(HEALTHY, 0, json!({ "a": [2, 8, false], "b": [2, 8, false] })), (FAILING, 1, json!({ "a": [2, 8, false] }))]
    {
        let sandbox = start(candidate, "autoscaling = [2, 8]");
        scaling(&sandbox, "DeregisterScalableTarget", "b", &json!({}));
        let (ended, done) = sandbox.run(&["rollout"]);
        assert_eq!((ended, bounds(&sandbox)), (code, after), "{done}");
    }
}

#[test]
fn without_autoscaling_it_is_the_count_alone_and_enough_is_left_as_it_is() {
    let sandbox = start(HEALTHY, "");
    let (code, done) = sandbox.run(&["rollout"]);
    assert_eq!((code, bounds(&sandbox)), (0, json!({})), "{done}");
    assert_eq!(writes(&sandbox), [&[UPDATE][..], &SHIFT.repeat(2)].concat());
    assert_eq!(variants(&sandbox), json!({ "a": [4, 0.0], "b": [4, 100.0] }));

    // The way round nothing is lacking.
    sandbox.write("mlroll.toml", &config("").replace("\"15m\"", "\"5m\""));
    sandbox.ask("DELETE", "/_sandbox/requests", "");
    let (code, done) = sandbox.run(&["rollout", "--no-gates", "--candidate", "a"]);
    assert_eq!((code, writes(&sandbox)), (0, SHIFT.repeat(2).iter().map(ToString::to_string).collect()), "{done}");
}

#[test]
fn it_is_left_alone_where_the_file_says_so() {
    let sandbox = start(HEALTHY, "autoscaling = [2, 8]");
    sandbox.write("mlroll.toml", &config("capacity = \"leave\""));
    assert_eq!(sandbox.run(&["rollout"]).0, 0);
    assert_eq!(writes(&sandbox), SHIFT.repeat(2));
}

/// Whoever set a bound meanwhile meant it.
#[test]
fn what_somebody_else_set_meanwhile_is_left() {
    let sandbox = start(FAILING, "autoscaling = [2, 8]");
    let (code, done) = std::thread::scope(|scope| {
        let run = scope.spawn(|| sandbox.run(&["rollout"]));
        wait_for(&sandbox, 4);
        scaling(&sandbox, REGISTER, "b", &json!({ "MinCapacity": 3, "MaxCapacity": 5 }));
        scaling(&sandbox, "DeregisterScalableTarget", "a", &json!({}));
        run.join().unwrap()
    });
    assert_eq!((code, bounds(&sandbox)), (1, json!({ "b": [3, 5, false] })), "{done}");
}

/// Waits for the nth write.
fn wait_for(sandbox: &Sandbox, nth: usize) {
    let patience = Instant::now() + Duration::from_secs(60);
    while writes(sandbox).len() < nth {
        assert!(Instant::now() < patience, "{:?}", writes(sandbox));
        std::thread::sleep(Duration::from_millis(3));
    }
}

#[test]
fn a_candidate_that_gets_no_instances_gets_no_share() {
    let incident = "[[sagemaker.incidents]]\nendpoint = 'fraud'\nstatus = 'RollingBack'\nafter = '10m'\nlast = '1m'";
    let sandbox = start(HEALTHY, &format!("autoscaling = [2, 8]\n{incident}"));
    sandbox.ask("POST", "/_sandbox/clock", r#"{"advance": "10m"}"#);
    let (code, done) = sandbox.run(&["rollout"]);
    let error = &done["targets"][0]["error"];
    assert_eq!((code, error["kind"].as_str()), (2, Some("capacity")), "{done}");
    assert!(error["message"].to_string().contains("SageMaker does not give variant b 4 instances"), "{error}");
    assert_eq!(variants(&sandbox), json!({ "a": [4, 1.0], "b": [1, 0.0] }));
    assert_eq!(bounds(&sandbox), json!({ "a": [2, 8, false], "b": [2, 8, false] }), "what was suspended goes on");
    // It happens once, and the next try has them.
    let (code, done) = sandbox.run(&["resume"]);
    assert_eq!((code, variants(&sandbox)), (0, json!({ "a": [4, 0.0], "b": [4, 100.0] })), "{done}");

    let sandbox = start(HEALTHY, "autoscaling = [2, 8]");
    let fault = json!({ "api": "application-autoscaling", "operation": REGISTER, "fault": "status", "status": 400,
        "code": "AccessDeniedException", "times": 1_000_000 });
    sandbox.ask("POST", "/_sandbox/faults", &fault.to_string());
    let (code, done) = sandbox.run(&["rollout"]);
    let error = &done["targets"][0]["error"];
    assert_eq!((code, error["kind"].as_str()), (5, Some("capacity")), "{done}");
    assert!(!writes(&sandbox).contains(&UPDATE.to_owned()), "{:?}", writes(&sandbox));
    assert!(error["hints"].to_string().contains("capacity ="), "{error}");
}

/// Whoever changes the endpoint, or autoscaling, at that moment is waited for.
#[test]
fn what_is_busy_is_waited_for() {
    let sandbox = start(HEALTHY, "autoscaling = [2, 8]");
    for (api, operation, code) in [
        ("sagemaker", UPDATE, "ValidationException"),
        ("application-autoscaling", REGISTER, "ConcurrentUpdateException"),
    ] {
        let fault =
            json!({ "api": api, "operation": operation, "fault": "status", "status": 400, "code": code, "times": 3 });
        sandbox.ask("POST", "/_sandbox/faults", &fault.to_string());
    }
    let (code, done) = sandbox.run(&["rollout"]);
    assert_eq!((code, variants(&sandbox)), (0, json!({ "a": [4, 0.0], "b": [4, 100.0] })), "{done}");
}
