//! `iamcredentials.googleapis.com`: to be a service account for a while.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{LIFETIME, jwt, now};
use crate::api::{Answer, Request, bearer, json_answer};
use crate::google::{self, Parameters, Refusal};

/// Scopes of which one is needed (iamcredentials.v1, `auth`).
const SCOPES: [&str; 2] = ["https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/iam"];

/// `projects.serviceAccounts.generateAccessToken`
pub(super) fn access_token(request: &Request, account: &str) -> Result<Answer, Refusal> {
    let body = read(request, account, &["delegates", "lifetime", "scope"])?;
    let scope: Vec<&str> = match body.get("scope") {
        Some(Value::Array(scopes)) => scopes.iter().filter_map(Value::as_str).collect(),
        Some(_) | None => Vec::new(),
    };
    if scope.is_empty() {
        return Err(Refusal::invalid("Request must provide a scope."));
    }
    let seconds = match body.get("lifetime") {
        None => Some(LIFETIME),
        Some(lifetime) => lifetime.as_str().and_then(|text| text.strip_suffix('s')?.parse().ok()),
    };
    let seconds = seconds.filter(|seconds| (1..=LIFETIME).contains(seconds)).ok_or_else(|| {
        Refusal::invalid(format!(
            "The access token lifetime cannot exceed {LIFETIME} seconds, and is written as 3600s."
        ))
    })?;
    let until = now().plus(Duration::from_secs(seconds)).to_string();
    let token = jwt::access(account, &scope.join(" "));
    Ok(json_answer(StatusCode::OK, &json!({ "accessToken": token, "expireTime": until })))
}

/// `projects.serviceAccounts.generateIdToken`
pub(super) fn id_token(request: &Request, account: &str) -> Result<Answer, Refusal> {
    let body = read(request, account, &["audience", "delegates", "includeEmail"])?;
    let audience = body.get("audience").and_then(Value::as_str).filter(|audience| !audience.is_empty());
    let audience = audience.ok_or_else(|| Refusal::invalid("Request must provide an audience."))?;
    let with_email = body.get("includeEmail") == Some(&Value::Bool(true));
    let more = if with_email { json!({ "email": account, "email_verified": true }) } else { json!({}) };
    let token = jwt::identity("https://accounts.google.com", audience, account, &more);
    Ok(json_answer(StatusCode::OK, &json!({ "token": token })))
}

/// What all of them look at first.
fn read(request: &Request, account: &str, fields: &[&str]) -> Result<Map<String, Value>, Refusal> {
    google::authenticated(request)?;
    Parameters::read(request, &[], &[])?;
    let scopes = bearer(request).and_then(jwt::scopes);
    if scopes.is_some_and(|scopes| !scopes.split(' ').any(|scope| SCOPES.contains(&scope))) {
        return Err(Refusal::denied("Request had insufficient authentication scopes."));
    }
    if !account.ends_with(".gserviceaccount.com") || !account.contains('@') {
        return Err(Refusal::not_found(format!("Not found; Gaia id not found for email {account}")));
    }
    let body = google::body(request)?;
    google::known(&body, "", fields)?;
    Ok(body)
}
