//! Outsiders' own clients are content with the sandbox: boto3, the aws CLI, Google's and Azure's for Python, and an AWS
//! that others wrote agrees with it.
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "a failed step fails the test")]

use std::path::{Path, PathBuf};
use std::process::Command;

use mlroll_faults::{Outsider, tool};
use mlroll_sandbox::{Background, Options, Scenario};

/// Time stands nearly still in it, until a script moves it.
fn sandbox() -> Background {
    Background::start(Options { fleet: 60, speed: 0.001, rate_limits: false, ..Options::default() }).unwrap()
}

/// Where `tests/run` puts other people's programs.
fn tools() -> PathBuf {
    tool("python/bin")
}

/// Runs a script with the environment that the sandbox exports and nothing of the tester's own AWS.
fn run(sandbox: &Background, script: &str, arguments: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outsiders").join(script);
    let home = tempfile::TempDir::new().unwrap();
    let output = Command::new(tools().join("python"))
        .arg(script)
        .args(arguments)
        .env_clear()
        .env("PATH", tools())
        .env("HOME", home.path())
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .envs(sandbox.exports())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn boto3_is_content_with_lambda() {
    run(&sandbox(), "lambda.py", &[]);
}

#[test]
fn the_aws_cli_is_content_with_lambda() {
    run(&sandbox(), "lambda_cli.py", &[]);
}

#[test]
fn the_aws_cli_is_content_with_cloudwatch() {
    run(&sandbox(), "cloudwatch_cli.py", &[]);
}

#[test]
fn azures_own_client_is_content_with_online_endpoints() {
    run(&sandbox(), "azure_ml.py", &[env!("CARGO_BIN_EXE_mlroll")]);
}

/// The client that pipelines use; what it waits for takes twenty seconds of the sandbox's time, or minutes.
#[test]
fn azure_ai_ml_and_mlroll_read_what_the_other_wrote() {
    let sandbox = Background::start(Options { speed: 600.0, rate_limits: false, ..Options::default() }).unwrap();
    run(&sandbox, "azure_ai_ml.py", &[env!("CARGO_BIN_EXE_mlroll")]);
}

/// What it counts of the traffic log is what gates are judged by.
#[test]
fn azure_monitor_query_and_mlroll_count_the_same_requests() {
    let start = Some("2026-11-21T09:00:07Z".parse().unwrap());
    let sandbox = Background::start(Options { speed: 0.001, start, ..Options::default() }).unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    run(&sandbox, "azure_logs.py", &[env!("CARGO_BIN_EXE_mlroll"), folder.path().to_str().unwrap()]);
}

#[test]
fn googles_clients_are_content_with_cloud_run_and_cloud_monitoring() {
    // Some hours after midnight, so that a script can count back.
    let start = Some("2026-11-21T09:00:00Z".parse().unwrap());
    let sandbox = Background::start(Options { speed: 0.001, start, ..Options::default() }).unwrap();
    run(&sandbox, "cloud_run.py", &[env!("CARGO_BIN_EXE_mlroll")]);
}

#[test]
fn v1_and_v2_of_cloud_run_are_two_views_of_one_service() {
    let gcloud = std::env::var_os("PATH").and_then(|path| {
        let found = std::env::split_paths(&path).map(|folder| folder.join("gcloud")).find(|gcloud| gcloud.exists());
        found.map(|gcloud| gcloud.to_str().unwrap().to_owned())
    });
    let arguments: Vec<&str> = [env!("CARGO_BIN_EXE_mlroll")].into_iter().chain(gcloud.as_deref()).collect();
    run(&sandbox(), "knative.py", &arguments);
}

#[test]
fn googles_own_library_gets_tokens_and_mlroll_takes_the_same_files() {
    run(&sandbox(), "google_identity.py", &[env!("CARGO_BIN_EXE_mlroll")]);
}

#[test]
fn every_request_to_google_is_one_that_google_describes() {
    let instances =
        r#"{ instances = { startup = "40s", cpu = "50%", memory = "50%", gpu = "50%", gpu_memory = "50%" } }"#;
    let scenario = format!(
        r#"
        start = "2026-11-21T09:00:00Z"
        cloud_monitoring.alerts."too slow" = {{}}
        [targets."cloud-run:acme/europe-west3/fraud"]
        requests_per_second = 50
        stable = "fraud-00002-b"
        [targets."cloud-run:acme/europe-west3/fraud".revisions]
        fraud-00001-a = {instances}
        fraud-00002-b = {instances}
        fraud-00003-c = {instances}
        "#
    );
    let options = Options { speed: 300.0, ..Options::new(Scenario::from_toml(&scenario).unwrap()) };
    run(&Background::start(options).unwrap(), "google_requests.py", &[env!("CARGO_BIN_EXE_mlroll")]);
}

#[test]
fn boto3_is_content_with_sagemaker_and_with_what_was_written() {
    run(&sandbox(), "sagemaker.py", &[env!("CARGO_BIN_EXE_mlroll")]);
}

#[test]
fn every_request_to_aws_is_one_that_botocores_models_know() {
    let folder = tempfile::TempDir::new().unwrap();
    let sandbox = sandbox();
    run(&sandbox, "botocore_models.py", &[env!("CARGO_BIN_EXE_mlroll"), folder.path().to_str().unwrap()]);
}

#[test]
fn every_setting_that_botocores_model_knows_is_copied_or_named_as_lost() {
    let scenario = Scenario::from_toml("[sagemaker]\ndeploy = \"30s\"").unwrap();
    let sandbox = Background::start(Options { speed: 300.0, ..Options::new(scenario) }).unwrap();
    run(&sandbox, "copies.py", &[env!("CARGO_BIN_EXE_mlroll")]);
}

#[test]
fn legal_calls_leave_the_same_state_as_on_moto() {
    let folder = tempfile::TempDir::new().unwrap();
    let moto = Outsider::moto(folder.path());
    for seed in ["1", "2"] {
        run(&sandbox(), "lambda_and_moto.py", &[&moto.url(), seed]);
    }
}
