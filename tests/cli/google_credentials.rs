//! Who asks Google: every kind of credentials, as the program finds them, against the sandbox's token services.

use std::path::Path;
use std::time::{Duration, Instant};

use mlroll_faults::Tokens;
use serde_json::{Value, json};

use crate::sandbox::Sandbox;

const SCENARIO: &str = r#"
[targets."cloud-run:acme/europe-west3/fraud"]
requests_per_second = 1
stable = "fraud-00001-a"
[targets."cloud-run:acme/europe-west3/fraud".revisions]
fraud-00001-a = {}
"#;

/// A provider of a pool, as its audience.
const POOL: &str = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/providers/github";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const IMPERSONATION: &str = "/v1/projects/-/serviceAccounts/mlroll@acme.iam.gserviceaccount.com:generateAccessToken";

/// What somebody has: variables, and the file that `GOOGLE_APPLICATION_CREDENTIALS` names.
#[derive(Default)]
struct Has {
    file: Option<Value>,
    env: Vec<(&'static str, String)>,
}

/// What comes of it: the exit code, what is said, and what the token services were asked.
#[derive(Debug)]
struct Came {
    code: i32,
    said: String,
    asked: Vec<String>,
    took: Duration,
}

impl Has {
    fn file(file: Value) -> Self {
        Self { file: Some(file), ..Self::default() }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.env.push((name, value.to_owned()));
        self
    }

    fn read(self, sandbox: &Sandbox) -> Came {
        sandbox.ask("DELETE", "/_sandbox/requests", "");
        let mut command = sandbox.command(&["status", "--target", "cloud-run:acme/europe-west3/fraud"]);
        command.env_remove("GOOGLE_OAUTH_ACCESS_TOKEN").env("PATH", sandbox.path());
        if let Some(file) = self.file {
            sandbox.write("credentials.json", &file.to_string());
            command.env("GOOGLE_APPLICATION_CREDENTIALS", sandbox.path().join("credentials.json"));
        }
        let started = Instant::now();
        let output = command.envs(self.env).output().unwrap();
        let took = started.elapsed();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!said.contains("hunter") && !said.contains("panicked"), "{said}");
        let log: Value = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap();
        let asked = log.as_array().unwrap().iter().filter(|request| request["api"] == "google-identity");
        let asked = asked.map(|request| request["operation"].as_str().unwrap().to_owned()).collect();
        Came { code: output.status.code().unwrap_or(-1), said, asked, took }
    }
}

/// A login of a person.
pub(crate) fn user(url: &str) -> Value {
    json!({"type": "authorized_user", "client_id": "me", "client_secret": "hunter2", "refresh_token": "hunter3",
        "token_uri": format!("{url}/token")})
}

fn federated(url: &str, source: &Value) -> Value {
    json!({"type": "external_account", "audience": POOL, "subject_token_type": JWT,
        "token_url": format!("{url}/v1/token"), "credential_source": source})
}

/// The source that google-github-actions/auth writes.
fn github(url: &str, audience: &str) -> Value {
    json!({"url": format!("{url}/github/token?api-version=2.0&audience={audience}"),
        "headers": {"Authorization": "Bearer hunter4"},
        "format": {"type": "json", "subject_token_field_name": "value"}})
}

pub(crate) fn of_a_job(url: &str) -> Value {
    federated(url, &github(url, &format!("https:{POOL}")))
}

pub(crate) fn as_an_account(mut file: Value, url: &str) -> Value {
    file["service_account_impersonation_url"] = json!(format!("{url}{IMPERSONATION}"));
    file
}

fn impersonated(source: &Value, url: &str) -> Value {
    as_an_account(json!({"type": "impersonated_service_account", "source_credentials": source, "delegates": []}), url)
}

fn with_program(folder: &Path, name: &str, line: &str) {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{line}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn every_kind_of_credentials_is_found_and_taken() {
    let sandbox = Sandbox::start(&[], SCENARIO);
    let url = sandbox.url().to_owned();
    let (status, token) = sandbox.answer("GET", &format!("/github/token?audience={POOL}"), "");
    assert!(status == 401 && token.contains("UNAUTHENTICATED"), "only a job is vouched for: {status} {token}");
    sandbox.write("subject.json", &vouched(&url));
    let text: Value = serde_json::from_str(&vouched(&url)).unwrap();
    sandbox.write("subject.txt", text["value"].as_str().unwrap());
    let from =
        |name: &str, format: &Value| federated(&url, &json!({"file": sandbox.path().join(name), "format": format}));
    let in_json = from("subject.json", &json!({"type": "json", "subject_token_field_name": "value"}));
    let in_text = from("subject.txt", &json!({"type": "text"}));
    let mut of_aws = federated(
        &url,
        &json!({"environment_id": "aws1",
        "regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"}),
    );
    of_aws["subject_token_type"] = json!("urn:ietf:params:aws:token-type:aws4_request");
    let gcloud = sandbox.path().join("gcloud-config");
    std::fs::create_dir(&gcloud).unwrap();
    std::fs::write(gcloud.join("application_default_credentials.json"), user(&url).to_string()).unwrap();
    let host = url.strip_prefix("http://").unwrap();
    let folder = gcloud.to_str().unwrap();

    let ready = || Has::default().with("GOOGLE_OAUTH_ACCESS_TOKEN", "hunter1");
    for (name, has, asked) in [
        ("a ready token", ready(), &[][..]),
        ("gcloud's variable", Has::default().with("CLOUDSDK_AUTH_ACCESS_TOKEN", "hunter1"), &[]),
        ("a ready token before a file", Has { file: Some(json!({"type": "none"})), ..ready() }, &[]),
        ("a user", Has::file(user(&url)), &["GetToken"]),
        ("a job, by GitHub", Has::file(of_a_job(&url)), &["GitHubToken", "ExchangeToken"]),
        (
            "a job as an account",
            Has::file(as_an_account(of_a_job(&url), &url)),
            &["GitHubToken", "ExchangeToken", "GenerateAccessToken"],
        ),
        ("a token in a file", Has::file(in_text), &["ExchangeToken"]),
        (
            "a token in a file of JSON, as an account",
            Has::file(as_an_account(in_json, &url)),
            &["ExchangeToken", "GenerateAccessToken"],
        ),
        (
            "an account of AWS",
            Has::file(of_aws)
                .with("AWS_ACCESS_KEY_ID", "AKID")
                .with("AWS_SECRET_ACCESS_KEY", "hunter5")
                .with("AWS_REGION", "us-east-1"),
            &["ExchangeToken"],
        ),
        ("a user as an account", Has::file(impersonated(&user(&url), &url)), &["GetToken", "GenerateAccessToken"]),
        (
            "a job as an account, by another type",
            Has::file(impersonated(&of_a_job(&url), &url)),
            &["GitHubToken", "ExchangeToken", "GenerateAccessToken"],
        ),
        ("gcloud's own file", Has::default().with("CLOUDSDK_CONFIG", folder), &["GetToken"]),
        (
            "empty variables, which are none",
            Has::default()
                .with("GOOGLE_OAUTH_ACCESS_TOKEN", "")
                .with("GOOGLE_APPLICATION_CREDENTIALS", "")
                .with("CLOUDSDK_CONFIG", folder),
            &["GetToken"],
        ),
        ("the machine", Has::default().with("GCE_METADATA_HOST", host), &["Metadata"]),
    ] {
        let came = has.read(&sandbox);
        assert_eq!(
            (came.code, came.asked.iter().map(String::as_str).collect::<Vec<_>>().as_slice()),
            (0, asked),
            "{name}: {came:?}"
        );
    }
    // A login of gcloud itself is the last.
    with_program(sandbox.path(), "gcloud", "echo hunter6");
    let came = Has::default().with("GCE_METADATA_HOST", "127.0.0.1:9").read(&sandbox);
    assert_eq!((came.code, came.asked.len()), (0, 0), "{came:?}");
}

/// What GitHub answers a job with.
fn vouched(url: &str) -> String {
    let curl = [
        "-sf",
        "--noproxy",
        "*",
        "--retry",
        "8",
        "-H",
        "Authorization: Bearer job",
        &format!("{url}/github/token?audience=https:{POOL}"),
    ]
    .map(str::to_owned);
    String::from_utf8(std::process::Command::new("curl").args(curl).output().unwrap().stdout).unwrap()
}

#[test]
fn what_is_not_taken_is_named_by_type_and_file() {
    let sandbox = Sandbox::start(&[], SCENARIO);
    let url = sandbox.url().to_owned();
    let elsewhere = federated(&url, &github(&url, "https://github.com/acme"));
    let executable = federated(&url, &json!({"executable": {"command": "/bin/echo hunter7", "timeout_millis": 5000}}));
    let mut pool = of_a_job(&url);
    pool["audience"] =
        json!("//iam.googleapis.com/projects/acme/locations/global/workloadIdentityPools/ci/providers/github");
    let mut nobody = of_a_job(&url);
    nobody["service_account_impersonation_url"] =
        json!(format!("{url}/v1/projects/-/serviceAccounts/nobody:generateAccessToken"));
    let mut expired = user(&url);
    expired["client_secret"] = json!("");
    for (name, file, says) in [
        ("a token for somebody else", elsewhere, "external_account credentials of "),
        ("a token for somebody else", federated(&url, &github(&url, "x")), "does not match the expected audience"),
        ("a program, which is not allowed to run", executable, "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"),
        ("no provider", pool, "full resource name of the Identity Provider"),
        ("no account", nobody, "external_account credentials of "),
        ("half a login", expired, "Missing required parameter: client_secret"),
        (
            "a login of a workforce",
            json!({"type": "external_account_authorized_user", "refresh_token": "hunter8"}),
            "type `external_account_authorized_user`, which cannot be used",
        ),
        (
            "a key that is none",
            json!({"type": "service_account", "private_key": "hunter9", "private_key_id": "k",
            "client_email": "a@b", "project_id": "p"}),
            "service_account credentials of ",
        ),
    ] {
        let came = Has::file(file).read(&sandbox);
        assert_eq!(came.code, 5, "{name}: {came:?}");
        assert!(came.said.contains(says) && came.said.contains("credentials.json"), "{name}: {}", came.said);
    }
    let came = Has::default().with("GOOGLE_APPLICATION_CREDENTIALS", "/none.json").read(&sandbox);
    assert!(
        came.code == 5 && came.said.contains("the credentials of /none.json cannot be used: No such file"),
        "{came:?}"
    );
    // With the owner's leave the program is run.
    let executable = federated(&url, &json!({"executable": {"command": "/bin/false", "timeout_millis": 5000}}));
    let came = Has::file(executable).with("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1").read(&sandbox);
    assert!(came.code == 5 && !came.said.contains("ALLOW_EXECUTABLES"), "{came:?}");
}

#[test]
fn a_metadata_server_that_never_answers_costs_ten_seconds() {
    let sandbox = Sandbox::start(&[], SCENARIO);
    let silent = Tokens::silent();
    let came = Has::default().with("GCE_METADATA_HOST", silent.url().strip_prefix("http://").unwrap()).read(&sandbox);
    assert!(came.code == 5 && came.said.contains("no token within 10 s"), "{came:?}");
    assert!(came.took >= Duration::from_secs(9) && came.took < Duration::from_secs(40), "{:?}", came.took);
}

#[test]
fn a_login_of_gcloud_is_reached_where_the_metadata_server_is_a_black_hole() {
    let sandbox = Sandbox::start(&[], SCENARIO);
    let silent = Tokens::silent();
    with_program(sandbox.path(), "gcloud", "echo hunter6");
    let came = Has::default().with("GCE_METADATA_HOST", silent.url().strip_prefix("http://").unwrap()).read(&sandbox);
    assert_eq!(came.code, 0, "{came:?}");
}
