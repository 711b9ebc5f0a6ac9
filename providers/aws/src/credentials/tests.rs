//! Roles of GitHub jobs, over real HTTP.
#![expect(clippy::disallowed_methods, reason = "keys end in real time")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::ProvideCredentials;
use mlroll_backend::Timestamp;
use mlroll_faults::Tap;
use mlroll_faults::scripted::{Reply, Request, Server};

use super::JobRole;
use crate::pace::Pace;
use crate::settings::{Settings, Way};
use crate::transport::{Connections, Transport};

const TOKEN: &str = r#"{"value": "eyJhunter3"}"#;
const HOUR: Duration = Duration::from_secs(3600);

/// The nth keys of STS, which last for so long.
fn keys(n: usize, lasting: Duration) -> Reply {
    let ends = (SystemTime::now() + lasting).duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let ends = Timestamp::from_unix_seconds(ends.as_secs().try_into().unwrap()).unwrap();
    Reply::status(
        200,
        format!(
            "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
             <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>AKIDJOB{n}</AccessKeyId>\
             <SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>{ends}</Expiration>\
             </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        ),
    )
}

/// The role of a job whose tokens come from `github`, and whose keys from `sts`.
async fn role(github: &str, sts: &Server) -> JobRole {
    let settings = Settings::from_lookup(|name| match name {
        "ACTIONS_ID_TOKEN_REQUEST_URL" => Some(format!("{github}/id?api-version=2.0")),
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN" => Some("hunter2".to_owned()),
        "AWS_ROLE_ARN" => Some("arn:aws:iam::123456789012:role/mlroll".to_owned()),
        _ => None,
    });
    let transport = || {
        let pace = Pace::new(usize::MAX, Duration::ZERO);
        Transport::new(Connections::new(Way::default()), Arc::new(Tap::new(false)), pace)
    };
    let base = aws_config::defaults(BehaviorVersion::latest())
        .no_credentials()
        .region(Region::new("us-east-1"))
        .http_client(transport())
        .endpoint_url(&sts.url);
    JobRole::new(settings.github.as_ref().unwrap(), &base.load().await, transport())
}

fn sts(script: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> Server {
    Server::start(script)
}

#[tokio::test]
async fn a_jobs_token_is_changed_for_keys() {
    let (github, sts) = (Server::always(Reply::json(TOKEN)), sts(|n, _| keys(n, HOUR)));
    let role = role(&github.url, &sts).await;
    let given = role.provide_credentials().await.unwrap();
    assert_eq!((given.access_key_id(), given.session_token()), ("AKIDJOB0", Some("t")));
    let left = given.expiry().unwrap().duration_since(SystemTime::now()).unwrap();
    assert!((HOUR - Duration::from_secs(60)..=HOUR).contains(&left), "{left:?}");
    let [asked] = github.requests().try_into().unwrap();
    assert_eq!((asked.path.as_str(), asked.headers["authorization"].as_str()), ("/id", "bearer hunter2"));
    assert_eq!((asked.form["api-version"].as_str(), asked.form["audience"].as_str()), ("2.0", "sts.amazonaws.com"));
    let [asked] = sts.requests().try_into().unwrap();
    assert_eq!(
        ["Action", "RoleArn", "RoleSessionName", "WebIdentityToken"].map(|name| asked.form[name].as_str()),
        ["AssumeRoleWithWebIdentity", "arn:aws:iam::123456789012:role/mlroll", "mlroll", "eyJhunter3"]
    );
    // Each time by a new token: it lives for minutes.
    assert_eq!(role.provide_credentials().await.unwrap().access_key_id(), "AKIDJOB1");
    assert_eq!(github.requests().len(), 2);
    assert!(!format!("{role:?}").contains("hunter"), "{role:?}");
}

#[tokio::test]
async fn keys_that_cannot_be_renewed_are_used_until_they_end() {
    for (lasting, kept) in [(Duration::from_secs(60), Some("AKIDJOB0")), (Duration::ZERO, None)] {
        let github = Server::always(Reply::json(TOKEN));
        let sts = sts(move |n, _| if n == 0 { keys(n, lasting) } else { Reply::status(403, "no") });
        let role = role(&github.url, &sts).await;
        role.provide_credentials().await.unwrap();
        let again = role.provide_credentials().await;
        assert_eq!(again.ok().as_ref().map(|keys| keys.access_key_id()), kept);
        assert_eq!(role.fallback_on_interrupt().as_ref().map(|keys| keys.access_key_id()), kept);
    }
}

#[tokio::test]
async fn what_goes_wrong_is_told_without_tokens() {
    let refusal = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>Not authorized to perform \
                   sts:AssumeRoleWithWebIdentity</Message></Error></ErrorResponse>";
    for (github, status, body, says) in [
        (Some(Reply::status(403, "hunter2")), 200, "", "permissions: id-token: write"),
        (Some(Reply::status(404, "hunter2")), 200, "", "GitHub answers with status 404"),
        (Some(Reply::json(r#"{"valeu": "eyJhunter3"}"#)), 200, "", "no token"),
        (Some(Reply::json(TOKEN)), 403, refusal, "AccessDenied: Not authorized"),
        (None, 200, "", "in clear text"),
    ] {
        let sts = sts(move |_, _| Reply::status(status, body));
        let url = github.map_or_else(|| "http://192.0.2.1".to_owned(), |reply| Server::always(reply).url);
        let error = role(&url, &sts).await.provide_credentials().await.unwrap_err();
        let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        let said: Vec<String> = causes.map(|error| format!("{error} {error:?}")).collect();
        assert!(said.concat().contains(says), "{says}: {said:?}");
        assert!(!said.concat().contains("hunter"), "{said:?}");
    }
}
