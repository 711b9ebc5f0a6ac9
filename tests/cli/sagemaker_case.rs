//! An endpoint whose name has capitals: its ARN has none, on the sandbox as on AWS.

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

const ARN: &str = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/fraud";

fn start() -> Sandbox {
    let world = "seed = 7\n[cloudwatch]\ndelay = '60s'\n[sagemaker]\nupdate = '20s'\ndeploy = '60s'\nautoscaling = [1, 4]\n\
                 [targets.\"sagemaker:us-east-1/Fraud\"]\nrequests_per_second = 200\nstable = \"a\"\n\
                 [targets.\"sagemaker:us-east-1/Fraud\".revisions]\na = {}\nb = {}\n";
    let sandbox = Sandbox::start(&["--speed", "300"], world);
    let config = format!(
        "[services.fraud]\ntarget = \"{ARN}\"\nsteps = [\"50%\", \"100%\"]\nbake = \"15m\"\n[services.fraud.metrics]\n\
         source = \"cloudwatch\"\n[[services.fraud.gates]]\nmetric = \"error_rate\"\nmax = \"5%\"\n"
    );
    sandbox.write("mlroll.toml", &config);
    sandbox
}

/// The bodies of an operation's requests.
fn bodies(sandbox: &Sandbox, operation: &str) -> Vec<String> {
    let log: Vec<Value> = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap();
    log.iter().filter(|one| one["operation"] == operation).map(|one| one["body"].to_string()).collect()
}

fn all_say(sandbox: &Sandbox, operation: &str, what: &str) {
    let bodies = bodies(sandbox, operation);
    assert!(!bodies.is_empty() && bodies.iter().all(|body| body.contains(what)), "{operation}: {bodies:?}");
}

#[test]
fn a_rollout_by_the_arn_asks_for_what_the_name_has() {
    let sandbox = start();
    let (code, done) = sandbox.run(&["rollout", "fraud", "--candidate", "b", "--again"]);
    assert_eq!((code, done["outcome"].as_str()), (0, Some("promoted")), "{done}");
    assert_eq!(
        (&done["findings"][0]["verdict"], &done["findings"][0]["gate"]),
        (&json!("pass"), &json!("error_rate")),
        "{done}"
    );
    all_say(&sandbox, "RegisterScalableTarget", "endpoint/Fraud/variant/");
    all_say(&sandbox, "AddTags", ARN);
    let (code, done) = sandbox.run(&["rollback", "fraud"]);
    assert_eq!((code, done["outcome"].as_str()), (0, Some("rolled_back")), "{done}");
}

#[test]
fn a_deploy_by_the_arn_makes_what_one_by_the_name_makes() {
    let sandbox = start();
    sandbox.write("smoke.json", "{\"instances\": [[1]]}");
    let deploy = |target: &str| {
        let arguments = ["deploy", "--from-stable", "--name", "b", "--smoke", "smoke.json", "--target", target];
        sandbox.run(&arguments)
    };
    let (code, made) = deploy(ARN);
    assert_eq!((code, made["outcome"].as_str()), (0, Some("deployed")), "{made}");
    all_say(&sandbox, "CreateEndpointConfig", "\"EndpointConfigName\":\"Fraud-mlroll-");
    let (code, again) = deploy("sagemaker:us-east-1/Fraud");
    assert_eq!((code, again["outcome"].as_str()), (0, Some("unchanged")), "{again}");
}

#[test]
fn another_spelling_is_told_where_metrics_are_not_kept_by_it() {
    let sandbox = start();
    let canary = |target: &str| {
        sandbox.run(&[
            "canary",
            "--pct",
            "10",
            "--target",
            target,
            "--leave-capacity",
            "--no-gates",
            "--candidate",
            "b",
            "--again",
        ])
    };
    let (code, done) = canary("sagemaker:us-east-1/fraud");
    assert_eq!(code, 0, "{done}");
    assert!(done["targets"][0]["notes"].to_string().contains("sagemaker:us-east-1/Fraud"), "{done}");
    assert_eq!(sandbox.run(&["rollback", "--to", "a", "--target", ARN]).0, 0);
    sandbox.ask("POST", "/_sandbox/clock", r#"{"advance": "20m"}"#);
    let (code, done) = canary(ARN);
    assert!(code == 0 && !done["targets"][0]["notes"].to_string().contains("is called"), "{done}");
    let described = crate::sagemaker_deploy::aws(&sandbox, "DescribeEndpoint", &json!({ "EndpointName": "FRAUD" }));
    assert_eq!((&described["EndpointName"], &described["EndpointArn"]), (&json!("Fraud"), &json!(ARN)));
}
