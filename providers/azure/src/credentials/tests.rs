//! Credentials over real HTTP, against an Entra and a GitHub that answer what they are told to.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use mlroll_backend::{Effect, Target};
use mlroll_faults::arm::{Arm, ArmOperation};

use super::*;
use crate::transport::{Request as ArmRequest, Transport, client};

const TENANT: &str = "11111111-1111-1111-1111-111111111111";

/// Requests as `METHOD path\nheaders\n\nbody`.
type Log = Arc<Mutex<Vec<String>>>;

/// A server that answers the nth request, from 0, with a status and a body.
fn server(answer: impl Fn(usize, &str) -> (u16, String) + Send + 'static) -> (String, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let log = Log::default();
    let seen = Arc::clone(&log);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(&mut stream);
            let (mut request, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                request.push_str(&line);
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            request.push_str(&String::from_utf8(body).unwrap());
            let n = {
                let mut seen = seen.lock().unwrap();
                seen.push(request.clone());
                seen.len() - 1
            };
            let (status, body) = answer(n, &request);
            let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n");
            let _ = stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes());
        }
    });
    (url, log)
}

/// An Entra that gives `token-1`, `token-2`, ...
fn entra(seconds: u32) -> (String, Log) {
    server(move |n, _| {
        let body = format!(r#"{{"token_type":"Bearer","expires_in":{seconds},"access_token":"token-{}"}}"#, n + 1);
        (200, body)
    })
}

fn settings(pairs: &[(&str, &str)]) -> Settings {
    let pairs: BTreeMap<&str, &str> = pairs.iter().copied().collect();
    Settings::from_lookup(|name| pairs.get(name).map(|value| (*value).to_owned()))
}

fn secret() -> Settings {
    settings(&[("AZURE_TENANT_ID", TENANT), ("AZURE_CLIENT_ID", "app"), ("AZURE_CLIENT_SECRET", "hunter2")])
}

/// Tokens whose Entra is at `url`.
fn tokens(settings: &Settings, url: &str) -> Tokens {
    tokens_for(Api::ResourceManager, settings, url)
}

fn tokens_for(api: Api, settings: &Settings, url: &str) -> Tokens {
    let mut tokens = Tokens::new(api, settings, settings.cloud().unwrap(), client(true, None).unwrap()).unwrap();
    tokens.courier.instead = Some(Url::parse(url).unwrap());
    tokens
}

#[test]
fn the_first_credential_whose_inputs_are_there_is_used() {
    let application = [("AZURE_TENANT_ID", TENANT), ("AZURE_CLIENT_ID", "app")];
    let tools = vec![Kind::AzureCli, Kind::AzureDeveloperCli];
    let with =
        |more: &[(&'static str, &'static str)]| Kind::chain(&settings(&[&application[..], more].concat())).unwrap();
    assert_eq!(with(&[]), tools);
    assert_eq!(with(&[("AZURE_CLIENT_SECRET", "x"), ("AZURE_FEDERATED_TOKEN_FILE", "f")]), [Kind::ClientSecret]);
    assert_eq!(with(&[("AZURE_FEDERATED_TOKEN_FILE", "f"), ("IDENTITY_ENDPOINT", "u")]), [Kind::WorkloadIdentity]);
    let github = [("ACTIONS_ID_TOKEN_REQUEST_URL", "u"), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "t")];
    assert_eq!(with(&github), [Kind::GitHubOidc]);
    assert_eq!(with(&github[..1]), tools, "half of it is none of it");
    assert_eq!(with(&[("IDENTITY_ENDPOINT", "u")]), [Kind::ManagedIdentity]);
    assert_eq!(with(&[("AZURE_CLIENT_SECRET", "x"), ("MLROLL_AZURE_CREDENTIAL", "az")]), [Kind::AzureCli]);
    assert_eq!(Kind::chain(&settings(&[("AZURE_CLIENT_SECRET", "x")])).unwrap(), tools);
}

#[tokio::test]
async fn a_token_is_kept_until_shortly_before_its_end_or_until_it_is_refused() {
    let (url, log) = entra(3600);
    let kept = tokens(&secret(), &url);
    let first = kept.get(None).await.unwrap();
    assert_eq!((first.reveal(), kept.get(None).await.unwrap().reveal()), ("token-1", "token-1"));
    assert_eq!(kept.get(Some(&first)).await.unwrap().reveal(), "token-2");
    assert_eq!(kept.get(Some(&first)).await.unwrap().reveal(), "token-2", "somebody has renewed it already");
    let asked = log.lock().unwrap()[0].clone();
    assert!(asked.starts_with(&format!("POST /login.microsoftonline.com/{TENANT}/oauth2/v2.0/token ")), "{asked}");
    for part in
        ["client_id=app", "grant_type=client_credentials", "scope=https%3A%2F%2Fmanagement.azure.com%2F.default"]
    {
        assert!(asked.contains(part), "{asked}");
    }
    let (url, _) = entra(299);
    let short = tokens(&secret(), &url);
    assert_eq!(short.get(None).await.unwrap().reveal(), "token-1");
    assert_eq!(short.get(None).await.unwrap().reveal(), "token-2");
}

/// Whoever has been let in goes on: by the old token to its very end, and after that by asking again.
#[tokio::test]
async fn without_a_new_token_the_old_one_serves_to_its_end() {
    let (url, log) = server(|n, _| match n {
        0 => (200, r#"{"token_type":"Bearer","expires_in":200,"access_token":"token-1"}"#.to_owned()),
        _ => (400, r#"{"error":"temporarily_unavailable"}"#.to_owned()),
    });
    let kept = tokens(&secret(), &url);
    let first = kept.get(None).await.unwrap();
    assert_eq!(kept.get(None).await.unwrap().reveal(), "token-1", "it is about to end, and there is no other");
    assert!(log.lock().unwrap().len() > 1, "another one was asked for");
    let error = kept.get(Some(&first)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    // Whoever begins without one is told at once.
    let (url, _) = server(|_, _| (400, r#"{"error":"temporarily_unavailable"}"#.to_owned()));
    assert_eq!(tokens(&secret(), &url).get(None).await.unwrap_err().kind(), ErrorKind::Auth);
}

#[tokio::test]
async fn a_jobs_own_token_is_fetched_anew_for_each_exchange() {
    let (github, asked) = server(|n, _| (200, format!(r#"{{"value":"assertion-{}"}}"#, n + 1)));
    let (url, exchanged) = entra(3600);
    let job = settings(&[
        ("AZURE_TENANT_ID", TENANT),
        ("AZURE_CLIENT_ID", "app"),
        ("ACTIONS_ID_TOKEN_REQUEST_URL", &format!("{github}/id?api-version=2")),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "hunter2"),
    ]);
    let kept = tokens(&job, &url);
    let first = kept.get(None).await.unwrap();
    kept.get(Some(&first)).await.unwrap();
    let asked = asked.lock().unwrap().join("\n").to_lowercase();
    assert!(asked.contains("get /id?api-version=2&audience=api%3a%2f%2fazureadtokenexchange "), "{asked}");
    assert!(asked.contains("authorization: bearer hunter2"));
    let exchanged = exchanged.lock().unwrap().clone();
    assert!(
        exchanged[0].contains("client_assertion=assertion-1") && exchanged[1].contains("client_assertion=assertion-2")
    );
    assert!(!exchanged.join("").contains("hunter2"));

    let elsewhere = settings(&[
        ("AZURE_TENANT_ID", TENANT),
        ("AZURE_CLIENT_ID", "app"),
        ("ACTIONS_ID_TOKEN_REQUEST_URL", "http://192.0.2.1/id"),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "hunter2"),
    ]);
    let error = tokens(&elsewhere, &url).get(None).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Auth && !error.to_string().contains("hunter2"), "{error}");
}

/// A job of hours: each token ends within the hour, and so does every token of the job that was ever exchanged for one.
#[tokio::test]
async fn a_job_outlives_the_hour_of_its_tokens() {
    let (github, asked) = server(|n, _| (200, format!(r#"{{"value":"assertion-{}"}}"#, n + 1)));
    let (url, exchanged) = entra(3600);
    let job = settings(&[
        ("AZURE_TENANT_ID", TENANT),
        ("AZURE_CLIENT_ID", "app"),
        ("ACTIONS_ID_TOKEN_REQUEST_URL", &format!("{github}/id?api-version=2")),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "hunter2"),
    ]);
    let kept = tokens(&job, &url);
    for hour in 1..=4 {
        let token = kept.get(None).await.unwrap();
        assert_eq!(token.reveal(), format!("token-{hour}"));
        assert_eq!(kept.get(None).await.unwrap(), token, "kept for as long as it lasts");
        // Fifty-six minutes later.
        kept.kept.lock().await.token = Some((token, now() + Duration::from_secs(240)));
    }
    assert_eq!((asked.lock().unwrap().len(), exchanged.lock().unwrap().len()), (4, 4));
    for (n, exchange) in exchanged.lock().unwrap().iter().enumerate() {
        assert!(exchange.contains(&format!("client_assertion=assertion-{}", n + 1)), "{exchange}");
    }
}

/// Every kind that Entra gives a token to, in every cloud: where it asks, for what, and with which proof.
#[tokio::test]
async fn each_cloud_has_its_own_login_and_its_own_scope() {
    let file = std::env::temp_dir().join(format!("mlroll-azure-clouds-{}", std::process::id()));
    std::fs::write(&file, "from-the-file").unwrap();
    let (github, _) = server(|_, _| (200, r#"{"value":"from-github"}"#.to_owned()));
    let kinds = [
        (vec![("AZURE_CLIENT_SECRET", "hunter2".to_owned())], "client_secret=hunter2"),
        (vec![("AZURE_FEDERATED_TOKEN_FILE", file.to_str().unwrap().to_owned())], "client_assertion=from-the-file"),
        (
            vec![
                ("ACTIONS_ID_TOKEN_REQUEST_URL", format!("{github}/id?api-version=2")),
                ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "hunter2".to_owned()),
            ],
            "client_assertion=from-github",
        ),
    ];
    for (cloud, login, arm) in [
        (("AZURE_CLOUD", ""), "login.microsoftonline.com", "management.azure.com"),
        (("AZURE_CLOUD", "AzureCloud"), "login.microsoftonline.com", "management.azure.com"),
        (("AZURE_CLOUD", "AzureUSGovernment"), "login.microsoftonline.us", "management.usgovcloudapi.net"),
        (("AZURE_CLOUD", "AZURE_CHINA_CLOUD"), "login.chinacloudapi.cn", "management.chinacloudapi.cn"),
        (("AZURE_CLOUD", "AzureBleuCloud"), "login.sovcloud-identity.fr", "management.sovcloud-api.fr"),
        (
            ("AZURE_AUTHORITY_HOST", "login.microsoftonline.us"),
            "login.microsoftonline.us",
            "management.usgovcloudapi.net",
        ),
        (("AZURE_AUTHORITY_HOST", "https://login.example.com/"), "login.example.com", "management.azure.com"),
    ] {
        for (inputs, proof) in &kinds {
            let (url, log) = entra(3600);
            let mut pairs = vec![("AZURE_TENANT_ID", TENANT), ("AZURE_CLIENT_ID", "app"), cloud];
            pairs.extend(inputs.iter().map(|(name, value)| (*name, value.as_str())));
            assert_eq!(tokens(&settings(&pairs), &url).get(None).await.unwrap().reveal(), "token-1", "{pairs:?}");
            let asked = log.lock().unwrap().clone();
            assert_eq!(asked.len(), 1);
            assert!(asked[0].starts_with(&format!("POST /{login}/{TENANT}/oauth2/v2.0/token ")), "{}", asked[0]);
            let scope = format!("scope=https%3A%2F%2F{arm}%2F.default");
            for part in [scope.as_str(), "client_id=app", proof] {
                assert!(asked[0].contains(part), "{cloud:?} {proof}: {}", asked[0]);
            }
        }
    }
    std::fs::remove_file(&file).unwrap();
}

/// Log Analytics has a scope of its own in each cloud, and a ready token for Resource Manager is none for it.
#[tokio::test]
async fn logs_have_a_scope_of_their_own_in_each_cloud() {
    for (cloud, logs) in [
        ("AzureCloud", "api.loganalytics.io"),
        ("AzureUSGovernment", "api.loganalytics.us"),
        ("AzureChinaCloud", "api.loganalytics.azure.cn"),
    ] {
        let (url, log) = entra(3600);
        let told =
            Settings { cloud: Some(cloud.to_owned()), access_token: Some(Secret::from("arm".to_owned())), ..secret() };
        let kept = tokens_for(Api::Logs, &told, &url);
        assert_eq!(kept.get(None).await.unwrap().reveal(), "token-1", "{cloud}");
        assert_eq!(tokens_for(Api::ResourceManager, &told, &url).get(None).await.unwrap().reveal(), "arm");
        let asked = log.lock().unwrap().clone();
        let scope = format!("scope=https%3A%2F%2F{logs}%2F.default");
        assert!(asked.len() == 1 && asked[0].contains(&scope), "{asked:?}");
    }
    let (url, log) = entra(3600);
    let ready = Settings { logs_token: Some(Secret::from("logs".to_owned())), ..secret() };
    assert_eq!(tokens_for(Api::Logs, &ready, &url).get(None).await.unwrap().reveal(), "logs");
    let refused = tokens_for(Api::Logs, &ready, &url).get(Some(&Secret::from("logs".to_owned()))).await.unwrap_err();
    assert!(refused.message().contains("AZURE_LOGS_ACCESS_TOKEN is not taken"), "{refused}");
    assert!(log.lock().unwrap().is_empty());
    let bleu = Settings { cloud: Some("AzureBleuCloud".to_owned()), ..secret() };
    let none = Tokens::new(Api::Logs, &bleu, bleu.cloud().unwrap(), client(true, None).unwrap()).unwrap_err();
    assert_eq!(none.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn a_workload_identity_is_read_from_its_file() {
    let file = std::env::temp_dir().join(format!("mlroll-azure-{}", std::process::id()));
    std::fs::write(&file, "from-the-file").unwrap();
    let (url, log) = entra(3600);
    let pod = settings(&[
        ("AZURE_TENANT_ID", TENANT),
        ("AZURE_CLIENT_ID", "app"),
        ("AZURE_FEDERATED_TOKEN_FILE", file.to_str().unwrap()),
    ]);
    assert_eq!(tokens(&pod, &url).get(None).await.unwrap().reveal(), "token-1");
    std::fs::remove_file(&file).unwrap();
    assert!(log.lock().unwrap()[0].contains("client_assertion=from-the-file"));
    let error = tokens(&pod, &url).get(None).await.unwrap_err();
    assert!(error.message().contains("workload-identity"), "{error}");
}

#[tokio::test]
async fn what_a_server_says_is_not_repeated_but_for_entras_code() {
    for (status, body, says) in [
        (
            401,
            r#"{"error_codes":[7000215],"error_description":"AADSTS7000215: Invalid client secret hunter2"}"#,
            "AADSTS7000215: the client secret is wrong",
        ),
        (
            401,
            r#"{"error_codes":[700024],"error_description":"AADSTS700024: hunter2"}"#,
            "AADSTS700024: the federated token has expired",
        ),
        (400, "<html>hunter2", "client-secret"),
        (200, r#"{"hunter2":1"#, "client-secret"),
    ] {
        let (url, log) = server(move |_, _| (status, body.to_owned()));
        let kept = tokens(&secret(), &url);
        let error = kept.get(None).await.unwrap_err();
        assert!(error.message().contains(says) && !error.to_string().contains("hunter2"), "{error}");
        let asked = log.lock().unwrap().len();
        kept.get(None).await.unwrap_err();
        assert_eq!(log.lock().unwrap().len(), asked, "a failure stands for a while");
    }
    let plain = settings(&[
        ("AZURE_TENANT_ID", TENANT),
        ("AZURE_CLIENT_ID", "app"),
        ("AZURE_CLIENT_SECRET", "hunter2"),
        ("AZURE_AUTHORITY_HOST", "http://login.example.com"),
    ]);
    let error = tokens(&plain, "http://127.0.0.1:1").get(None).await.unwrap_err();
    assert!(error.message().contains("must be https") && !error.to_string().contains("hunter2"), "{error}");
}

#[tokio::test]
async fn a_token_that_ends_in_the_middle_of_a_run_is_renewed_once() {
    let arm = Arm::start();
    arm.set_token("token-2");
    let (url, log) = entra(3600);
    let told = Settings { endpoint: Some(arm.url()), ..secret() };
    let mut transport = Transport::new(&told, None).unwrap();
    transport.tokens = tokens(&told, &url);
    let target: Target = "azure-ml:00000000-0000-0000-0000-000000000000/ml/prod/fraud".parse().unwrap();
    let path = "subscriptions/s/x/y/providers/z/workspaces/w/onlineEndpoints/fraud";
    let request = || ArmRequest {
        operation: "OnlineEndpoints_Get",
        target: &target,
        effect: Effect::Read,
        method: "GET",
        address: transport.address(path.split('/'), &[("api-version", "1")]).unwrap(),
        body: None,
    };
    assert!(transport.send(&request()).await.is_ok());
    assert_eq!((arm.count(ArmOperation::Get), log.lock().unwrap().len()), (2, 2));
    arm.set_token("never");
    let error = transport.send(&request()).await.unwrap_err();
    assert_eq!((error.kind(), arm.count(ArmOperation::Get)), (ErrorKind::Auth, 4));
}

#[test]
fn what_nobody_renews_is_known_and_when_a_token_ends_by_its_own_word() {
    let access = |pairs: &[(&str, &str)]| {
        let lookup = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        super::access(&Settings::from_lookup(lookup))
    };
    let token = |claims: &str| format!("hunter2.{}.hunter2", azure_core::base64::encode_url_safe(claims));
    let (ends, forever) = (token(r#"{"exp":1795230000,"aud":"x"}"#), token(r#"{"aud":"x"}"#));
    let (text, huge) = (token(r#"{"exp":"soon"}"#), token(r#"{"exp":9223372036854775807}"#));
    for (token, at) in [
        (ends.as_str(), Timestamp::from_unix_seconds(1_795_230_000)),
        (&forever, None),
        (&text, None),
        (&huge, None),
        ("opaque", None),
        ("a.%.c", None),
        ("a.YQ.c", None),
    ] {
        let told = access(&[("AZURE_ACCESS_TOKEN", token)]).unwrap();
        assert_eq!((told.ends, told.what.contains("AZURE_ACCESS_TOKEN")), (at, true), "{token}");
        assert!(!format!("{told:?}").contains("hunter2"), "{told:?}");
    }
    let sandbox = |token| access(&[("AZURE_ACCESS_TOKEN", token), ("MLROLL_ENDPOINT_AZURE", "http://127.0.0.1:1")]);
    assert!(sandbox("opaque").is_none() && sandbox(&ends).is_some());
    let job = [("ACTIONS_ID_TOKEN_REQUEST_URL", "https://x.example/id"), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "hunter2")];
    let application = [("AZURE_TENANT_ID", TENANT), ("AZURE_CLIENT_ID", "c")];
    let told = access(&job).unwrap();
    assert!(told.ends.is_none() && told.what.contains("`az`") && told.remedy.contains("AZURE_CLIENT_ID"), "{told:?}");
    assert!(access(&[&job[..], &application, &[("MLROLL_AZURE_CREDENTIAL", "az")]].concat()).is_some());
    for renewed in [
        &[][..],
        &[&job[..], &application].concat(),
        &[("MLROLL_AZURE_CREDENTIAL", "az")],
        &[&job[..], &[("MLROLL_AZURE_CREDENTIAL", "managed-identity")]].concat(),
        &[&job[..], &[("IDENTITY_ENDPOINT", "http://x")]].concat(),
        &[&job[..], &[("MLROLL_AZURE_CREDENTIAL", "nobody's")]].concat(),
    ] {
        assert_eq!(access(renewed), None, "{renewed:?}");
    }
}
