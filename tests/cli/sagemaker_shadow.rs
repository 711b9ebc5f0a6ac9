//! `shadow` on SageMaker endpoints, on the sandbox in scaled time: the idle slot becomes a shadow variant, and goes back.

use serde_json::{Value, json};

use crate::sagemaker_deploy::aws;
use crate::sandbox::Sandbox;

const FRAUD: &str = "sagemaker:us-east-1/fraud";

/// Stable `a`, and variant `b` on trial; what else there is.
fn start(candidate: &str, more: &str) -> Sandbox {
    let world = format!(
        "seed = 7\n[cloudwatch]\ndelay = '60s'\n[sagemaker]\nupdate = '20s'\ndeploy = '60s'\n{more}\n[targets.\"{FRAUD}\"]\n\
         requests_per_second = 100\nstable = \"a\"\n[targets.\"{FRAUD}\".revisions]\na = {{ error_rate = 0.002 }}\nb = {candidate}\n"
    );
    let sandbox = Sandbox::start(&["--speed", "600"], &world);
    let config = format!(
        "[services.fraud]\ntarget = \"{FRAUD}\"\nbake = \"45m\"\n[services.fraud.metrics]\nsource = \"cloudwatch\"\n\
         [[services.fraud.gates]]\nmetric = \"error_rate\"\nmax_increase = {{ ratio = 1.5, abs = \"0.5%\" }}\n"
    );
    sandbox.write("mlroll.toml", &config);
    sandbox
}

fn verb(sandbox: &Sandbox, arguments: &[&str]) -> (i32, Value) {
    sandbox.run(&[arguments, &["--target", FRAUD]].concat())
}

fn mirror(sandbox: &Sandbox, percent: &str) -> (i32, Value) {
    verb(sandbox, &["shadow", "--pct", percent, "--candidate", "b", "--no-gates"])
}

/// Variants in production, and as shadows, with their weights.
fn places(sandbox: &Sandbox) -> (Value, Value) {
    let endpoint = aws(sandbox, "DescribeEndpoint", &json!({ "EndpointName": "fraud" }));
    let of = |member: &str| {
        let all = endpoint[member].as_array().cloned().unwrap_or_default();
        let one = |v: &Value| (v["VariantName"].as_str().unwrap().to_owned(), v["CurrentWeight"].clone());
        Value::Object(all.iter().map(one).collect())
    };
    (of("ProductionVariants"), of("ShadowProductionVariants"))
}

/// The writes to SageMaker in order, with what they say.
fn writes(sandbox: &Sandbox) -> Vec<String> {
    let log: Vec<Value> = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap();
    let names = log.iter().filter(|r| r["api"] == "sagemaker").map(|r| r["operation"].as_str().unwrap().to_owned());
    names.filter(|name| !name.starts_with("Describe") && !name.starts_with("List")).collect()
}

fn fault(sandbox: &Sandbox, fault: &Value) {
    let answer = sandbox.ask("POST", "/_sandbox/faults", &fault.to_string());
    assert!(!answer.contains("error"), "{answer}");
}

fn message(document: &Value) -> &str {
    document["error"]["message"].as_str().unwrap_or_default()
}

fn alone() -> (Value, Value) {
    (json!({ "a": 100.0, "b": 0.0 }), json!({}))
}

const BEGUN: [&str; 2] = ["CreateEndpointConfig", "UpdateEndpoint"];

#[test]
fn the_idle_slot_becomes_a_shadow_and_goes_back_without_users() {
    let sandbox = start("{}", "");
    let (code, document) = mirror(&sandbox, "20");
    assert_eq!((code, &document["outcome"]), (0, &json!("shifted")), "{document}");
    assert_eq!(places(&sandbox), (json!({ "a": 100.0 }), json!({ "b": 20.0 })));
    assert_eq!(writes(&sandbox), BEGUN);
    let (_, status) = verb(&sandbox, &["status"]);
    assert_eq!(status["targets"][0]["shadow"], json!({ "revision": "b", "percent": 20.0 }), "{status}");
    assert_eq!(status["targets"][0]["split"][0], json!({ "revision": "a", "role": "stable", "percent": 100.0 }));
    // The same again is no write, and another share is.
    let (code, document) = mirror(&sandbox, "20");
    assert_eq!((code, &document["outcome"], writes(&sandbox).len()), (0, &json!("unchanged"), 2), "{document}");
    let (code, document) = mirror(&sandbox, "0.25");
    assert_eq!((code, places(&sandbox)), (0, (json!({ "a": 10_000.0 }), json!({ "b": 25.0 }))), "{document}");
    let (code, document) = verb(&sandbox, &["shadow", "--off"]);
    assert_eq!((code, &document["outcome"], places(&sandbox)), (0, &json!("rolled_back"), alone()), "{document}");
    assert!(document["targets"][0]["notes"].to_string().contains("b gets no copies any more"), "{document}");
    let before = writes(&sandbox).len();
    let (code, document) = verb(&sandbox, &["shadow", "--off"]);
    assert_eq!((code, &document["outcome"], writes(&sandbox).len()), (0, &json!("unchanged"), before), "{document}");
    // It may have users then, and the config from before is there still.
    let (code, document) = verb(&sandbox, &["canary", "--pct", "5"]);
    assert_eq!(code, 0, "{document}");
    assert_eq!(verb(&sandbox, &["promote", "--force"]).0, 0);
    assert_eq!(places(&sandbox).0, json!({ "a": 0.0, "b": 100.0 }));
    let config = aws(&sandbox, "DescribeEndpointConfig", &json!({ "EndpointConfigName": "fraud-1" }));
    assert_eq!(config["ProductionVariants"].as_array().unwrap().len(), 2, "{config}");
}

#[test]
fn its_gates_pass_it_or_end_it() {
    for (candidate, code, outcome, stays) in
        [("{ error_rate = 0.002 }", 0, "shifted", true), ("{ error_rate = 0.5 }", 1, "rolled_back", false)]
    {
        let sandbox = start(candidate, "");
        let (got, document) = sandbox.run(&["shadow", "fraud", "--pct", "50", "--candidate", "b"]);
        assert_eq!((got, document["outcome"].as_str()), (code, Some(outcome)), "{document}");
        let expected = if stays { (json!({ "a": 100.0 }), json!({ "b": 50.0 })) } else { alone() };
        assert_eq!(places(&sandbox), expected, "{document}");
        let notes = document["targets"][0]["notes"].to_string();
        assert_eq!(notes.contains("mlroll shadow --off"), stays, "what to type next: {notes}");
        let read = &document["findings"][0];
        assert_eq!(read["verdict"], if stays { "pass" } else { "fail" }, "{document}");
    }
}

/// What its machine has left is told of a shadow as of a variant in production.
#[test]
fn a_shadow_without_headroom_is_ended() {
    for (cpu, is_mirrored, outcome) in
        [(0.97, false, "rolled_back"), (0.97, true, "rolled_back"), (0.4, true, "shifted")]
    {
        let instances = |cpu: f64| format!("error_rate = 0.002, instances = {{ cpu = {cpu}, memory = 0.5 }}");
        let sandbox = start(&format!("{{ {} }}", instances(cpu)), "");
        let gates = "[[services.fraud.gates]]\nmetric = \"error_rate\"\nmax = \"5%\"\n[[services.fraud.gates]]\n\
                     metric = \"cpu_headroom\"\nmin = \"10%\"\n";
        let config = format!(
            "[services.fraud]\ntarget = \"{FRAUD}\"\nbake = \"45m\"\nmin_bake = \"20m\"\n[services.fraud.metrics]\n\
             source = \"cloudwatch\"\n{gates}"
        );
        sandbox.write("mlroll.toml", &config);
        if is_mirrored {
            assert_eq!(mirror(&sandbox, "20").0, 0);
        }
        let (code, document) = sandbox.run(&["shadow", "fraud", "--pct", "50", "--candidate", "b"]);
        let stays = outcome == "shifted";
        assert_eq!(
            (code, &document["outcome"]),
            (i32::from(!stays), &json!(outcome)),
            "{cpu} {is_mirrored}: {document}"
        );
        let expected = if stays { (json!({ "a": 100.0 }), json!({ "b": 50.0 })) } else { alone() };
        assert_eq!(places(&sandbox), expected, "{document}");
        let headroom = document["findings"].as_array().unwrap().iter().find(|f| f["gate"] == "cpu_headroom").unwrap();
        assert_eq!(headroom["verdict"], if stays { "pass" } else { "fail" }, "{document}");
    }
}

#[test]
fn a_rollback_ends_it_and_users_come_only_after_it() {
    let sandbox = start("{}", "");
    assert_eq!(mirror(&sandbox, "10").0, 0);
    for arguments in [&["canary", "--pct", "10", "--candidate", "b"][..], &["canary", "--pct", "10"]] {
        let before = writes(&sandbox);
        let (code, document) = verb(&sandbox, arguments);
        assert!(code == 2 && message(&document).contains("shadow --off"), "{document}");
        assert_eq!(writes(&sandbox), before);
    }
    let (code, document) = sandbox.run(&["rollout", "fraud", "--no-gates", "--candidate", "b", "--steps", "10%,100%"]);
    assert!(code != 0 && document.to_string().contains("shadow --off"), "{document}");
    let (code, document) = verb(&sandbox, &["deploy", "--model", "fraud-a"]);
    assert!(code == 2 && message(&document).contains("shadow --off"), "{document}");
    assert_eq!(places(&sandbox).1, json!({ "b": 10.0 }));
    let (code, document) = verb(&sandbox, &["rollback"]);
    assert_eq!((code, &document["outcome"], places(&sandbox)), (0, &json!("rolled_back"), alone()), "{document}");
    // A canary under way is nobody's to mirror beside.
    assert_eq!(verb(&sandbox, &["canary", "--pct", "10"]).0, 0);
    let (code, document) = mirror(&sandbox, "10");
    assert!(code == 4 && message(&document).contains("live traffic"), "{document}");
}

#[test]
fn what_cannot_be_is_refused_before_any_write() {
    let sandbox = start("{}\nc = {}", "");
    let (code, document) = mirror(&sandbox, "10");
    assert!(code == 2 && message(&document).contains("exactly one production variant; c would"), "{document}");
    let sandbox = start("{}", "");
    for (candidate, expected, says) in [("a", 2, "stable already"), ("z", 2, "no variant z")] {
        let (code, document) = verb(&sandbox, &["shadow", "--pct", "10", "--candidate", candidate, "--no-gates"]);
        assert!(code == expected && message(&document).contains(says), "{candidate}: {document}");
    }
    assert_eq!(writes(&sandbox), [""; 0]);
    // The way back of a promote has to be there at once.
    assert_eq!(verb(&sandbox, &["canary", "--pct", "10"]).0, 0);
    assert_eq!(verb(&sandbox, &["promote", "--force"]).0, 0);
    let before = writes(&sandbox);
    let (code, document) = verb(&sandbox, &["shadow", "--pct", "10", "--candidate", "a", "--no-gates"]);
    assert!(code == 2 && message(&document).contains("way back of the last promote"), "{document}");
    assert_eq!(writes(&sandbox), before);
    // What autoscaling holds stays where it is, says SageMaker.
    let sandbox = start("{}", "autoscaling = [1, 4]");
    let (code, document) = mirror(&sandbox, "10");
    let told = message(&document);
    assert!(code == 2 && told.contains("autoscaling holds variant b, and would be moved out"), "{document}");
    assert!(told.contains("deregister-scalable-target") && told.contains("endpoint/fraud/variant/b"), "{told}");
    assert_eq!((writes(&sandbox), places(&sandbox).1), (Vec::new(), json!({})));
    // Whoever may not read that learns it from SageMaker, after a config was made.
    let denied = json!({ "api": "application-autoscaling", "operation": "DescribeScalableTargets", "fault": "status",
        "status": 400, "code": "AccessDeniedException", "times": 1_000_000 });
    fault(&sandbox, &denied);
    let (code, document) = mirror(&sandbox, "10");
    assert!(code == 2 && message(&document).contains("must be deregistered as scalable targets"), "{document}");
    assert_eq!((writes(&sandbox), places(&sandbox).1), (BEGUN.map(str::to_owned).to_vec(), json!({})));
}

#[test]
fn a_run_makes_the_calls_that_the_dry_run_printed() {
    let sandbox = start("{}", "");
    for verbs in [&["shadow", "--pct", "10", "--candidate", "b"][..], &["shadow", "--off"]] {
        let before = writes(&sandbox);
        let (code, document) = verb(&sandbox, &[verbs, &["--dry-run"]].concat());
        assert_eq!((code, writes(&sandbox)), (0, before), "{document}");
        let calls = document["calls"].as_array().unwrap();
        let body =
            |name: &str| calls.iter().find(|call| call["body"].get(name).is_some()).map(|call| call["body"].clone());
        let (config, update) = (body("ProductionVariants").unwrap(), body("RetainAllVariantProperties").unwrap());
        assert_eq!(update["EndpointConfigName"], config["EndpointConfigName"], "{document}");
        assert_eq!(update["ExcludeRetainedVariantProperties"], json!([{ "VariantPropertyType": "DesiredWeight" }]));
        let (code, document) = verb(&sandbox, verbs);
        assert_eq!(code, 0, "{document}");
        let made = aws(&sandbox, "DescribeEndpoint", &json!({ "EndpointName": "fraud" }));
        assert_eq!(made["EndpointConfigName"], config["EndpointConfigName"], "{made}");
    }
}

/// What is lost or late is made once, and what SageMaker takes back is told.
#[test]
fn lost_replies_make_one_of_each() {
    for (operation, kind) in
        [("CreateEndpointConfig", "reset_after"), ("UpdateEndpoint", "reset_after"), ("UpdateEndpoint", "reset_before")]
    {
        let sandbox = start("{}", "");
        fault(&sandbox, &json!({ "api": "sagemaker", "operation": operation, "fault": kind }));
        let (code, document) = mirror(&sandbox, "10");
        assert_eq!((code, places(&sandbox).1), (0, json!({ "b": 10.0 })), "{operation} {kind}: {document}");
    }
    let sandbox = start("{}", "");
    fault(&sandbox, &json!({ "api": "sagemaker", "operation": "UpdateEndpoint", "fault": "settle_failed" }));
    let (code, document) = mirror(&sandbox, "10");
    assert!(code == 7 && message(&document).contains("taken back"), "{code} {document}");
    assert_eq!((mirror(&sandbox, "10").0, places(&sandbox).1), (0, json!({ "b": 10.0 })), "it happens once");
}
