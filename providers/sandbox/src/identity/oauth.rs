//! Token endpoints in the words of OAuth: the Security Token Service and `oauth2.googleapis.com/token`.

use std::collections::BTreeMap;

use http::{StatusCode, header};
use serde_json::{Value, json};

use super::{LIFETIME, MACHINE, jwt};
use crate::api::{Answer, Request, json_answer};

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// What a token may be that is exchanged (sts.v1, `subjectTokenType`).
const SUBJECTS: [&str; 5] = [
    ACCESS_TOKEN,
    "urn:ietf:params:aws:token-type:aws4_request",
    "urn:ietf:params:oauth:token-type:id_token",
    "urn:ietf:params:oauth:token-type:jwt",
    "urn:ietf:params:oauth:token-type:saml2",
];

/// What a user of gcloud has agreed to.
const AGREED: &str = "https://www.googleapis.com/auth/cloud-platform";

/// A refusal in OAuth's own form (RFC 6749, section 5.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    error: &'static str,
    why: String,
}

impl Refusal {
    fn new(error: &'static str, why: impl Into<String>) -> Self {
        Self { error, why: why.into() }
    }

    pub(super) fn answer(&self) -> Answer {
        json_answer(StatusCode::BAD_REQUEST, &json!({ "error": self.error, "error_description": self.why }))
    }
}

/// The fields of a form.
struct Form(BTreeMap<String, String>);

impl Form {
    fn read(request: &Request, known: &[&str]) -> Result<Self, Refusal> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let sent: Vec<(String, String)> = if kind.starts_with("application/x-www-form-urlencoded") {
            form_urlencoded::parse(request.body()).into_owned().collect()
        } else if kind.starts_with("application/json") {
            // Not in the RFC, and taken by Google all the same: its own library for Rust sends it.
            let object: Option<BTreeMap<String, Option<String>>> = serde_json::from_slice(request.body()).ok();
            let object = object.ok_or_else(|| Refusal::new("invalid_request", "The JSON is no object of texts."))?;
            object.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
        } else {
            return Err(Refusal::new("invalid_request", format!("A form is needed, and this is `{kind}`.")));
        };
        let mut fields = BTreeMap::new();
        for (name, value) in sent {
            if !known.contains(&name.as_str()) {
                return Err(Refusal::new("invalid_request", format!("Unknown parameter: {name}")));
            }
            if fields.insert(name.clone(), value).is_some() {
                return Err(Refusal::new("invalid_request", format!("Parameter given more than once: {name}")));
            }
        }
        Ok(Self(fields))
    }

    fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    fn required(&self, name: &str) -> Result<&str, Refusal> {
        match self.get(name) {
            "" => Err(Refusal::new("invalid_request", format!("Missing required parameter: {name}"))),
            value => Ok(value),
        }
    }
}

/// `POST https://sts.googleapis.com/v1/token`: somebody else's token for one of Google's.
pub(super) fn exchange(request: &Request) -> Result<Answer, Refusal> {
    let form = Form::read(
        request,
        &["audience", "grant_type", "options", "requested_token_type", "scope", "subject_token", "subject_token_type"],
    )?;
    if form.required("grant_type")? != "urn:ietf:params:oauth:grant-type:token-exchange" {
        return Err(Refusal::new("unsupported_grant_type", "Expected: token-exchange"));
    }
    if form.required("requested_token_type")? != ACCESS_TOKEN {
        return Err(Refusal::new("invalid_request", "Invalid requested_token_type."));
    }
    let audience = form.required("audience")?;
    if !is_provider(audience) {
        return Err(Refusal::new(
            "invalid_request",
            "Invalid value for \"audience\". This value should be the full resource name of the Identity Provider: \
             //iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER",
        ));
    }
    if form.get("scope").is_empty() {
        return Err(Refusal::new("invalid_scope", "Scope is required to exchange an external credential."));
    }
    let kind = form.required("subject_token_type")?;
    if !SUBJECTS.contains(&kind) {
        return Err(Refusal::new("invalid_request", format!("Invalid subject_token_type: {kind}")));
    }
    let subject = who(form.required("subject_token")?, kind, audience)?;
    let token = jwt::access(&subject, form.get("scope"));
    Ok(given(json!({ "access_token": token, "issued_token_type": ACCESS_TOKEN })))
}

/// Whom a token vouches for; one that is meant for somebody else is refused.
fn who(token: &str, kind: &str, audience: &str) -> Result<String, Refusal> {
    if !kind.ends_with(":jwt") && !kind.ends_with(":id_token") {
        return Ok("somebody".to_owned());
    }
    let invalid = || Refusal::new("invalid_grant", "Unable to parse the ID Token: it is no JWT.");
    let claims = jwt::claims(token).ok_or_else(invalid)?;
    let meant: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        Some(_) | None => Vec::new(),
    };
    // A provider takes its own name, with and without `https:`, unless it was given others.
    if !meant.iter().any(|aud| aud.strip_prefix("https:").unwrap_or(aud) == audience) {
        let found = meant.join(", ");
        let message = format!("The audience in ID Token [{found}] does not match the expected audience {audience}.");
        return Err(Refusal::new("invalid_grant", message));
    }
    claims.get("sub").and_then(Value::as_str).map(str::to_owned).ok_or_else(invalid)
}

/// Whether it is a provider of a pool, by its whole resource name; projects are numbers there.
fn is_provider(audience: &str) -> bool {
    let Some(path) = audience.strip_prefix("//iam.googleapis.com/") else { return false };
    match path.split('/').collect::<Vec<_>>().as_slice() {
        ["projects", number, "locations", "global", "workloadIdentityPools", pool, "providers", provider] => {
            !number.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit())
                && !pool.is_empty()
                && !provider.is_empty()
        }
        _ => false,
    }
}

/// `POST https://oauth2.googleapis.com/token`: for users who are logged in, and for keys of service accounts.
pub(super) fn token(request: &Request) -> Result<Answer, Refusal> {
    let form = Form::read(
        request,
        &["assertion", "client_id", "client_secret", "grant_type", "refresh_token", "scope", "scopes"],
    )?;
    match form.required("grant_type")? {
        "refresh_token" => {
            for name in ["client_id", "client_secret", "refresh_token"] {
                form.required(name)?;
            }
            // Without any, those that were agreed to at the login.
            let scope = [form.get("scope"), form.get("scopes")].into_iter().find(|scope| !scope.is_empty());
            Ok(given(json!({ "access_token": jwt::access("user@acme.example", scope.unwrap_or(AGREED)) })))
        }
        "urn:ietf:params:oauth:grant-type:jwt-bearer" => {
            let invalid =
                || Refusal::new("invalid_grant", "Invalid JWT: it must be signed by a service account's key.");
            let claims = jwt::claims(form.required("assertion")?).ok_or_else(invalid)?;
            let said = |name: &str| claims.get(name).and_then(Value::as_str).filter(|value| !value.is_empty());
            let account = said("iss").ok_or_else(invalid)?;
            Ok(match said("target_audience") {
                Some(audience) => {
                    let more = json!({ "email": account, "email_verified": true });
                    let token = jwt::identity("https://accounts.google.com", audience, account, &more);
                    json_answer(StatusCode::OK, &json!({ "id_token": token }))
                }
                None => {
                    let scope =
                        said("scope").ok_or_else(|| Refusal::new("invalid_scope", "Empty or missing scope."))?;
                    given(json!({ "access_token": jwt::access(account, scope) }))
                }
            })
        }
        other => Err(Refusal::new("unsupported_grant_type", format!("Invalid grant_type: {other}"))),
    }
}

/// A token and what goes with every one.
pub(super) fn given(mut token: Value) -> Answer {
    if let Value::Object(members) = &mut token {
        members.insert("token_type".to_owned(), json!("Bearer"));
        members.insert("expires_in".to_owned(), json!(LIFETIME));
    }
    json_answer(StatusCode::OK, &token)
}

/// A token of the machine itself.
pub(super) fn of_the_machine(scope: &str) -> Answer {
    given(json!({ "access_token": jwt::access(MACHINE, scope) }))
}
