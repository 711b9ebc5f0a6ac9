//! The guided run, as a newcomer sees it.

use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

fn demo(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mlroll"));
    // What a user has set for real clouds must not matter.
    command
        .arg("demo")
        .args(arguments)
        .env_clear()
        .env("TMPDIR", folder.path())
        .env("HOME", "/nonexistent")
        .env("AWS_PROFILE", "production")
        .env("AWS_ENDPOINT_URL", "https://lambda.example.com")
        .env("MLROLL_CLOCK", "https://clock.example.com")
        .current_dir(folder.path())
        .stdin(Stdio::null());
    command
}

#[test]
fn one_canary_is_promoted_another_rolled_back_and_nothing_is_left() {
    let folder = TempDir::new().unwrap();
    let started = Instant::now();
    let output = demo(&folder, &[]).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stdout}\n{stderr}");
    assert!(started.elapsed().as_secs() < 300, "{:?}", started.elapsed());
    assert!(stdout.contains("promoted") && stdout.contains("rolled back"), "{stdout}");
    assert!(stderr.contains("$ mlroll rollback\n"), "{stderr}");
    for shown in ["rollout --candidate 3", "rollout --candidate fraud-00003-c"] {
        assert!(stderr.contains(shown), "{stderr}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_script_gets_one_document() {
    let folder = TempDir::new().unwrap();
    for backend in ["cloud-run", "lambda"] {
        let output = demo(&folder, &["--output", "json", "--backend", backend, "--quiet"]).output().unwrap();
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((output.status.code(), &document["schema"]), (Some(0), &Value::from("mlroll/demo/1")));
        let acts = document["stages"][0]["acts"].as_array().unwrap();
        let outcomes: Vec<_> = acts.iter().filter_map(|act| act["result"]["outcome"].as_str()).collect();
        assert_eq!(outcomes, ["promoted", "rolled_back", "shifted", "rolled_back"], "{document}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("$ mlroll") && !said.contains("waiting"), "quiet is for errors: {said}");
    }
}

#[test]
fn a_model_that_crashes_on_azure_is_rolled_back() {
    let folder = TempDir::new().unwrap();
    let output = demo(&folder, &["--output", "json", "--backend", "azure-ml", "--quiet"]).output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{document}");
    let acts = document["stages"][0]["acts"].as_array().unwrap();
    let outcomes: Vec<_> = acts.iter().filter_map(|act| act["result"]["outcome"].as_str()).collect();
    assert_eq!(outcomes, ["promoted", "rolled_back"], "{document}");
}

#[test]
fn a_sagemaker_endpoint_is_judged_by_cloudwatch() {
    let folder = TempDir::new().unwrap();
    let output = demo(&folder, &["--output", "json", "--backend", "sagemaker", "--quiet"]).output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{document}");
    let acts = document["stages"][0]["acts"].as_array().unwrap();
    let outcomes: Vec<_> = acts.iter().filter_map(|act| act["result"]["outcome"].as_str()).collect();
    assert_eq!(outcomes, ["promoted", "rolled_back"], "{document}");
    assert!(acts[1]["result"]["targets"][0]["metrics"]["calls"].as_u64() > Some(2), "{document}");
}

#[test]
fn an_interrupt_ends_it_and_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let mut child = demo(&folder, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while std::fs::read_dir(folder.path()).unwrap().next().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    crate::world::signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
}
