//! What is said before a candidate of Cloud Run gets its first share, and stops nobody.

use serde_json::{Value, json};

use crate::cloud_run::TARGET;
use crate::deploy_google::{IMAGE, SERVICE, call, deploy, sandbox, settled};
use crate::sandbox::Sandbox;

const COLD: &str = "the service's 4 minimum instances are shared out by percent, and 1 % of them is none";

/// A service that keeps four instances ready.
fn warm() -> Sandbox {
    let sandbox = sandbox();
    let scaling = json!({ "scaling": { "minInstanceCount": 4 } });
    call(&sandbox, "PATCH", &format!("{SERVICE}?updateMask=scaling"), &scaling);
    settled(&sandbox);
    sandbox.write("mlroll.toml", &format!("[services.fraud]\ntarget = \"{TARGET}\"\n"));
    sandbox
}

fn canary<'a>(candidate: &'a str, percent: &'a str) -> [&'a str; 9] {
    ["canary", "--no-gates", "--target", TARGET, "--candidate", candidate, "--pct", percent, "--again"]
}

/// How often somebody who reads a terminal is told.
fn times(sandbox: &Sandbox, arguments: &[&str]) -> usize {
    let output = sandbox.command(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(output.status.success(), "{said}");
    said.matches(COLD).count()
}

fn notes(said: &Value) -> String {
    said["targets"][0]["notes"].to_string()
}

#[test]
fn a_candidate_without_instances_of_its_own_is_warned_of_once() {
    let sandbox = warm();
    assert_eq!(times(&sandbox, &canary("fraud-00003-c", "1")), 1);
    assert_eq!(times(&sandbox, &["rollback", "--target", TARGET]), 0);
    let (code, said) = sandbox.run(&[&canary("fraud-00003-c", "1")[..], &["--dry-run"]].concat());
    assert!(code == 0 && notes(&said).contains(COLD) && notes(&said).contains("--min-instances 1"), "{said}");
    // A share that is an instance is no reason to warn.
    let (code, said) = sandbox.run(&canary("fraud-00003-c", "25"));
    assert!(code == 0 && !notes(&said).contains("shared out"), "{said}");
    assert_eq!(sandbox.run(&["rollback", "--target", TARGET]).0, 0);
    // Nor is one that has its own.
    let (_, made) = deploy(&sandbox, &["--image", IMAGE, "--min-instances", "1"]);
    let (code, said) = sandbox.run(&canary(made["targets"][0]["revision"].as_str().unwrap(), "1"));
    assert!(code == 0 && !notes(&said).contains("shared out"), "{said}");
}

#[test]
fn whoever_watches_is_told_at_the_beginning_and_a_document_at_the_end() {
    let steps = ["--no-gates", "--steps", "1%,100%", "--bake", "1m", "--candidate", "fraud-00003-c"];
    let rollout = [&["rollout"][..], &steps].concat();
    let sandbox = warm();
    assert_eq!(times(&sandbox, &[&["plan"][..], &steps].concat()), 1);
    assert_eq!(times(&sandbox, &[&rollout[..], &["--dry-run"]].concat()), 1);
    assert_eq!(times(&sandbox, &rollout), 1);
    assert_eq!(sandbox.run(&["rollback"]).0, 0);
    let (code, said) = sandbox.run(&[&["plan", "--again"][..], &steps].concat());
    assert!(code == 0 && said["notes"].to_string().contains(COLD), "{said}");
    let again = [&rollout[..], &["--again"]].concat();
    let (code, said) = sandbox.run(&again);
    assert!(code == 0 && notes(&said).matches(COLD).count() == 1, "{said}");
}

#[test]
fn whoever_splits_clients_that_stay_is_told_so() {
    let sandbox = sandbox();
    let template = json!({ "revision": "fraud-sticky", "sessionAffinity": true, "containers": [{ "image": IMAGE }] });
    let stable =
        json!({ "type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": "fraud-00002-b", "percent": 100 });
    let body = json!({ "template": template, "traffic": [stable] });
    call(&sandbox, "PATCH", &format!("{SERVICE}?updateMask=template,traffic"), &body);
    settled(&sandbox);
    let (code, said) = sandbox.run(&canary("fraud-sticky", "10"));
    let says = "fraud-sticky has session affinity and fraud-00002-b has none";
    assert!(code == 0 && notes(&said).contains(says) && notes(&said).contains("more than 10 %"), "{said}");
    assert_eq!(sandbox.run(&["rollback", "--target", TARGET]).0, 0);
    let (code, said) = sandbox.run(&canary("fraud-00003-c", "10"));
    assert!(code == 0 && !notes(&said).contains("affinity"), "{said}");
}
