//! Who asks: every type of credentials there is, against token servers on loopback.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use mlroll_backend::{Backend, Call, Error, ErrorKind, Permit, Wiretap};
use mlroll_faults::{CloudRun as Server, RunRequest, RunService, Tokens};
use mlroll_google::cloud_run::CloudRun;
use mlroll_google::{Limits, Secret, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;

#[derive(Debug)]
struct Open;

impl Wiretap for Open {
    fn about_to_send(&self, _: &Call) -> Permit {
        Permit::Send
    }
}

/// Reads a service as whoever the settings say.
async fn read(settings: Settings) -> (Result<(), Error>, Vec<RunRequest>) {
    let server = Server::start();
    server.add("projects/acme/locations/europe-west3/services/fraud", RunService::new(&["fraud-a"], "fraud-a"));
    server.take_tokens(&["ready", "first", "second"]);
    let settings = Settings { cloud_run: Some(server.url()), ..settings };
    let backend = CloudRun::new(&settings, Arc::new(Open)).unwrap();
    let seen = backend.observe(&"cloud-run:acme/europe-west3/fraud".parse().unwrap()).await;
    (seen.map(|_| ()), server.requests())
}

fn write(folder: &Path, name: &str, content: &Value) -> Settings {
    let path = folder.join(name);
    std::fs::write(&path, content.to_string()).unwrap();
    Settings { credentials: Some(path), ..Settings::default() }
}

/// A service account's key.
fn service_account(token_uri: &str) -> Value {
    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&key).unwrap();
    let text = BASE64_STANDARD.encode(der.as_ref());
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
    json!({"type": "service_account", "project_id": "acme", "private_key_id": "k1", "private_key": pem,
        "client_email": "ci@acme.iam.gserviceaccount.com", "client_id": "1", "token_uri": token_uri})
}

fn user(token_uri: &str) -> Value {
    json!({"type": "authorized_user", "client_id": "me", "client_secret": "hunter2", "refresh_token": "hunter3",
        "token_uri": token_uri, "quota_project_id": "billing"})
}

/// What google-github-actions/auth writes.
fn federated(server: &str, source: &Value) -> Value {
    json!({"type": "external_account", "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/g",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": format!("{server}/v1/token"),
        "credential_source": source})
}

fn github(server: &str) -> Value {
    json!({"url": format!("{server}/oidc?audience=a"), "headers": {"Authorization": "Bearer hunter4"},
        "format": {"type": "json", "subject_token_field_name": "value"}})
}

fn with_impersonation(mut file: Value, server: &str) -> Value {
    file["service_account_impersonation_url"] = json!(format!("{server}/sa:generateAccessToken"));
    file
}

fn impersonated(source: &Value, server: &str) -> Value {
    json!({"type": "impersonated_service_account", "source_credentials": source, "delegates": [],
        "service_account_impersonation_url": format!("{server}/v1/projects/-/serviceAccounts/sa@acme.iam.gserviceaccount.com:generateAccessToken")})
}

/// The matrix: what is asked of the token server, and which of its tokens reaches Cloud Run.
#[tokio::test]
async fn every_type_of_file_gives_a_token() {
    let folder = TempDir::new().unwrap();
    let subject = folder.path().join("subject");
    std::fs::write(&subject, "vouched").unwrap();
    let from_file = json!({"file": subject, "format": {"type": "text"}});
    type Make<'a> = Box<dyn Fn(&str) -> Value + 'a>;
    let rows: [(&str, Make<'_>, &[&str], &str); 9] = [
        ("user", Box::new(user), &["/"], "first"),
        ("github", Box::new(|url| federated(url, &github(url))), &["/oidc", "/v1/token"], "second"),
        (
            "github as a service account",
            Box::new(|url| with_impersonation(federated(url, &github(url)), url)),
            &["/oidc", "/v1/token", "/sa:generateAccessToken"],
            "second",
        ),
        ("from a file", Box::new(|url| federated(url, &from_file)), &["/v1/token"], "first"),
        (
            "from a file as a service account",
            Box::new(|url| with_impersonation(federated(url, &from_file), url)),
            &["/v1/token", "/sa:generateAccessToken"],
            "second",
        ),
        (
            "a user as a service account",
            Box::new(|url| impersonated(&user(url), url)),
            &["/", "/v1/projects/-/serviceAccounts/sa@acme.iam.gserviceaccount.com:generateAccessToken"],
            "second",
        ),
        (
            "a service account as another",
            Box::new(|url| impersonated(&service_account(url), url)),
            &["/v1/projects/-/serviceAccounts/sa@acme.iam.gserviceaccount.com:generateAccessToken"],
            "first",
        ),
        (
            "github as another",
            Box::new(|url| impersonated(&federated(url, &github(url)), url)),
            &[
                "/oidc",
                "/v1/token",
                "/v1/projects/-/serviceAccounts/sa@acme.iam.gserviceaccount.com:generateAccessToken",
            ],
            "second",
        ),
        ("service account", Box::new(service_account), &[], ""),
    ];
    for (name, make, asked, token) in rows {
        let tokens = Tokens::start(&["first", "second"]);
        let settings = write(folder.path(), "file.json", &make(&tokens.url()));
        let (seen, requests) = read(settings).await;
        let paths: Vec<String> = tokens.asked().into_iter().map(|asked| asked.path).collect();
        assert_eq!(paths, asked, "{name}: {seen:?}");
        if token.is_empty() {
            // It signs for itself: no token server is asked, and this one's is not taken here.
            assert_eq!(requests[0].token.split('.').count(), 3, "{name}");
        } else {
            assert_eq!((seen.is_ok(), requests[0].token.as_str()), (true, token), "{name}: {seen:?}");
        }
    }
}

#[tokio::test]
async fn gcloud_s_own_file_and_the_metadata_server_are_found() {
    let folder = TempDir::new().unwrap();
    let tokens = Tokens::start(&["first"]);
    write(folder.path(), "application_default_credentials.json", &user(&tokens.url()));
    let settings = Settings { gcloud_folder: Some(folder.path().to_owned()), ..Settings::default() };
    let (seen, requests) = read(settings.clone()).await;
    assert!(seen.is_ok(), "{seen:?}");
    assert_eq!(requests[0].quota_project, "billing");
    // A ready token goes before all of it.
    let ready = Settings { access_token: Some(Secret::new("ready")), ..settings };
    assert_eq!(read(ready).await.1[0].token, "ready");
    assert_eq!(tokens.asked().len(), 1);

    let host = tokens.url().strip_prefix("http://").unwrap().to_owned();
    let empty = TempDir::new().unwrap();
    let settings =
        Settings { gcloud_folder: Some(empty.path().to_owned()), metadata_host: Some(host), ..Settings::default() };
    let (seen, requests) = read(settings).await;
    assert!(seen.is_ok(), "{seen:?}");
    assert_eq!(requests[0].token, "first");
    let asked = &tokens.asked()[1];
    assert_eq!(
        (asked.flavor.as_str(), asked.path.ends_with("/instance/service-accounts/default/token")),
        ("Google", true)
    );
}

#[tokio::test]
async fn a_server_that_never_answers_costs_the_limit_and_no_more() {
    assert_eq!(Limits::default().token, Duration::from_secs(10));
    let limits = Limits { token: Duration::from_millis(300), ..Limits::default() };
    let folder = TempDir::new().unwrap();
    let silent = Tokens::silent();
    let metadata = Settings {
        metadata_host: Some(silent.url().strip_prefix("http://").unwrap().to_owned()),
        ..Settings::default()
    };
    for settings in [metadata, write(folder.path(), "user.json", &user(&silent.url()))] {
        let started = Instant::now();
        let (seen, requests) = read(Settings { limits, ..settings }).await;
        let error = seen.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Auth, "{error}");
        assert!(error.message().ends_with("no token within 0.3 s"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(9) && requests.is_empty(), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn what_does_not_work_is_named_by_type_and_file_and_not_by_content() {
    let folder = TempDir::new().unwrap();
    let refusing = Tokens::refusing("Token has been expired or revoked.").url();
    let workforce = json!({"type": "external_account_authorized_user", "refresh_token": "hunter3"});
    let broken_key = json!({"type": "service_account", "private_key_id": "k", "private_key": "hunter2",
        "client_email": "a@b", "project_id": "p"});
    for (name, content, says) in [
        ("refused.json", user(&refusing).to_string(), "authorized_user credentials of "),
        ("oidc.json", federated(&refusing, &github(&refusing)).to_string(), "external_account credentials of "),
        (
            "workforce.json",
            workforce.to_string(),
            "type `external_account_authorized_user`, which cannot be used; known are",
        ),
        ("key.json", broken_key.to_string(), "service_account credentials of "),
        ("half.json", "{\"type\": \"authorized_user\", \"client_secret\": \"hunter2".to_owned(), "no JSON at line 1"),
        (
            "clear.json",
            user("http://oauth.example.com").to_string(),
            "`token_uri` is plain http, which is for loopback only",
        ),
        ("none.json", "{}".to_owned(), "it has no `type`"),
        (
            "incomplete.json",
            json!({"type": "authorized_user", "client_secret": "hunter2"}).to_string(),
            "authorized_user credentials of ",
        ),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let (seen, requests) = read(Settings { credentials: Some(path.clone()), ..Settings::default() }).await;
        let error = seen.unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Auth, "{text}");
        assert!(text.contains(says) && text.contains(path.to_str().unwrap()), "{name}: {text}");
        assert!(!text.contains("hunter") && requests.is_empty(), "{name}: {text}");
    }
    let missing = Settings { credentials: Some(folder.path().join("missing.json")), ..Settings::default() };
    let error = read(missing).await.0.unwrap_err();
    assert!(error.to_string().contains("missing.json cannot be used: No such file"), "{error}");
}
