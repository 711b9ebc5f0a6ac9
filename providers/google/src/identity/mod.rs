//! Identity tokens, which say who asks: a Cloud Run service that is not public lets nobody in without one, and an access
//! token will not do.
//!
//! The library has no way for the credentials that most jobs in CI have, so each kind is asked here, by the one request that
//! it takes:
//!
//! - a service account that a file impersonates: IAM's `generateIdToken`, with the token of whoever impersonates it
//! - a service account's key: a signed request to its `token_uri`
//! - the machine: its metadata server; else a login of gcloud itself
//!
//! A ready token, a login in a file and a federated identity that is no service account have none.

mod wire;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use mlroll_backend::{Error, ErrorKind, Result};
use serde_json::{Value, json};

pub(crate) use self::wire::Wire;
use crate::credentials::{File, printed_by_gcloud};
use crate::error::printable;
use crate::{Secret, Settings};

/// The provider's name of what fails here.
const OPERATION: &str = "identity token";

/// The name by which a machine on Google Cloud finds its metadata server.
const METADATA: &str = "metadata.google.internal";

/// How long a signed request is valid, in seconds; an hour is the most.
const VALID: u64 = 600;

/// A token that says who we are to `audience`; `None` when these credentials have none.
///
/// # Errors
/// `Auth`: they should have one, and it cannot be had.
pub(crate) async fn identity(settings: &Settings, wire: &Wire<'_>, audience: &str) -> Result<Option<Secret>> {
    let limit = settings.limits.token;
    let late =
        |_| Error::new(ErrorKind::Auth, OPERATION, format!("no identity token within {} s", limit.as_secs_f64()));
    tokio::time::timeout(limit, find(settings, wire, audience)).await.map_err(late)?
}

async fn find(settings: &Settings, wire: &Wire<'_>, audience: &str) -> Result<Option<Secret>> {
    if settings.access_token.is_some() {
        return Ok(None);
    }
    let Some(file) = File::named(settings)? else {
        let host = settings.metadata_host.as_deref().unwrap_or(METADATA);
        return Ok(match wire.of_the_machine(host, audience).await {
            Some(token) => Some(token),
            None if settings.ask_gcloud => printed_by_gcloud("print-identity-token").await,
            None => None,
        });
    };
    let impersonated = file.content.get("service_account_impersonation_url").and_then(Value::as_str);
    let found = match (file.kind.as_str(), impersonated) {
        ("service_account", _) => {
            let (server, assertion) = signed(&file, audience).await?;
            wire.exchange(&server, &assertion).await
        }
        ("external_account" | "impersonated_service_account", Some(url)) => {
            let who = source(&file).token().await?;
            let url = url.replace(":generateAccessToken", ":generateIdToken");
            let delegates = file.content.get("delegates").cloned().unwrap_or_else(|| json!([]));
            let body = json!({ "audience": audience, "includeEmail": true, "delegates": delegates });
            wire.generate_id_token(&url, &who, &body).await
        }
        _ => return Ok(None),
    };
    found.map(Some).map_err(|why| {
        let why = file.redact(printable(&why, 300));
        Error::new(ErrorKind::Auth, OPERATION, format!("{}: {why}", file.name()))
    })
}

/// Whoever impersonates the service account of a file.
fn source(file: &File) -> File {
    let mut content = file.content.clone();
    if let Some(source) = content.get("source_credentials") {
        return file.part(source.clone());
    }
    if let Value::Object(members) = &mut content {
        members.remove("service_account_impersonation_url");
    }
    file.part(content)
}

/// What the key of a service account signs, and the server that takes it.
async fn signed(file: &File, audience: &str) -> Result<(String, String)> {
    let said = |key: &str| file.content.get(key).and_then(Value::as_str).unwrap_or_default();
    let server = Some(said("token_uri")).filter(|uri| !uri.is_empty()).unwrap_or("https://oauth2.googleapis.com/token");
    let at = real_seconds();
    let claims = json!({
        "iss": said("client_email"), "sub": said("client_email"), "aud": server, "target_audience": audience,
        "iat": at, "exp": at + VALID,
    });
    let head = json!({ "alg": "RS256", "typ": "JWT", "kid": said("private_key_id") });
    let text = format!("{}.{}", BASE64.encode(head.to_string()), BASE64.encode(claims.to_string()));
    let signature = file.sign(&text).await?;
    Ok((server.to_owned(), format!("{text}.{}", BASE64.encode(signature))))
}

#[expect(clippy::disallowed_methods, reason = "a signature is valid by the real time, whatever clock a run has")]
fn real_seconds() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}
