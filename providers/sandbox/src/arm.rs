//! What APIs under Azure Resource Manager share: paths without case, the token, api-versions, errors.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::api::{Answer, INJECTED, Request, bearer, json_answer};
use crate::identity::claims;

/// A request for Azure Resource Manager, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    /// The path below `/subscriptions`.
    pub(crate) segments: Vec<String>,
    /// By name in lower case: names have none.
    query: BTreeMap<String, String>,
}

impl Asked {
    /// `None` for a request that is not about a subscription.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        let path = request.uri().path().trim_matches('/');
        let segments = path.split('/').map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned());
        let mut segments: Vec<String> = segments.collect();
        if segments.is_empty() || !segments.remove(0).eq_ignore_ascii_case("subscriptions") {
            return None;
        }
        let query = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes());
        let query = query.map(|(name, value)| (name.to_ascii_lowercase(), value.into_owned())).collect();
        Some(Self { method: request.method().clone(), segments, query })
    }

    /// A parameter of the query; an empty one is absent.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.get(&name.to_ascii_lowercase()).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Refuses a request without a token, and one in a version that `kind` has not.
    pub(crate) fn check(&self, request: &Request, kind: &str, versions: &[&str]) -> Result<(), Refusal> {
        if !request.headers().contains_key(header::AUTHORIZATION) {
            let message = "Authentication failed. The 'Authorization' header is missing.";
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, "AuthenticationFailed", message));
        }
        let Some(token) = bearer(request) else {
            let message = "Authentication failed. The 'Authorization' header is provided in an invalid format.";
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, "AuthenticationFailedInvalidHeader", message));
        };
        if let Some(audience @ (Audience::Logs | Audience::Other(_))) = Audience::of(token) {
            let message = audience.refused(&["https://management.core.windows.net/", "https://management.azure.com/"]);
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, "InvalidAuthenticationTokenAudience", message));
        }
        let Some(version) = self.query("api-version") else {
            let message = "The api-version query parameter (?api-version=) is required for all requests.";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "MissingApiVersionParameter", message));
        };
        if !versions.iter().any(|known| known.eq_ignore_ascii_case(version)) {
            let shown: String = version.chars().take(40).collect();
            let message = format!(
                "No registered resource provider found for location '{LOCATION}' and API version '{shown}' for type \
                 '{kind}'. The supported api-versions are '{}'. The supported locations are '{LOCATION}'.",
                versions.join(", ")
            );
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "NoRegisteredProviderFound", message));
        }
        Ok(())
    }
}

/// What this sandbox tells shells to bring as a token for Azure Resource Manager, and for Log Analytics.
pub(crate) const TOKEN: &str = "sandbox";
pub(crate) const LOGS_TOKEN: &str = "sandbox-logs";

/// The API that a token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    Logs,
    Other(String),
    ResourceManager,
}

impl Audience {
    /// `None` for a token that does not say: any API takes it.
    pub(crate) fn of(token: &str) -> Option<Self> {
        match token.trim() {
            TOKEN => return Some(Self::ResourceManager),
            LOGS_TOKEN => return Some(Self::Logs),
            _ => {}
        }
        let claims = claims(token.trim())?;
        let audience = claims.get("aud")?.as_str()?.to_owned();
        let host = audience.trim_end_matches('/').to_ascii_lowercase();
        Some(match host.as_str() {
            "https://api.loganalytics.io" | "https://api.loganalytics.azure.com" => Self::Logs,
            "https://management.azure.com" | "https://management.core.windows.net" => Self::ResourceManager,
            _ => Self::Other(audience),
        })
    }

    /// What is said of it where others are allowed.
    pub(crate) fn refused(&self, allowed: &[&str]) -> String {
        let own = match self {
            Self::Logs => "https://api.loganalytics.io",
            Self::Other(audience) => audience.as_str(),
            Self::ResourceManager => "https://management.azure.com",
        };
        let own: String = own.chars().take(80).collect();
        let allowed: Vec<String> = allowed.iter().map(|one| format!("'{one}'")).collect();
        format!(
            "The access token has been obtained from wrong audience or resource '{own}'. It should exactly match (including \
             forward slash) with one of the allowed audiences {}.",
            allowed.join(",")
        )
    }
}

/// Where everything is.
pub(crate) const LOCATION: &str = "eastus";

/// How a client reached this server, without a slash at the end.
pub(crate) fn base(request: &Request) -> String {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    format!("http://{}", host.unwrap_or("127.0.0.1"))
}

/// A request that Azure refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: StatusCode,
    code: String,
    message: String,
    /// Code and message of what is meant, where the outer ones say little.
    detail: Option<(String, String)>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into(), detail: None }
    }

    /// A body that breaks a rule of Azure ML: what is wrong is in the detail, as there.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        let outer = Self::new(StatusCode::BAD_REQUEST, "BadRequest", "The request is invalid.");
        Self { detail: Some(("BadArgument".to_owned(), message.into())), ..outer }
    }

    /// What does not exist.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFound", message)
    }

    /// What the state of a resource does not allow.
    pub(crate) fn busy(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "Conflict", message)
    }

    /// An error that Azure would not have sent.
    pub(crate) fn injected(status: StatusCode, code: Option<&str>) -> Self {
        let usual = match status.as_u16() {
            400 => "BadRequest",
            401 => "ExpiredAuthenticationToken",
            403 => "AuthorizationFailed",
            404 => "ResourceNotFound",
            409 => "Conflict",
            412 => "PreconditionFailed",
            429 => "TooManyRequests",
            503 => "ServiceUnavailable",
            504 => "GatewayTimeout",
            500.. => "InternalServerError",
            _ => "Fault",
        };
        Self::new(status, code.unwrap_or(usual), INJECTED)
    }

    /// In the envelope of Azure Resource Manager.
    pub(crate) fn answer(&self) -> Answer {
        let details: Vec<Value> = self
            .detail
            .iter()
            .map(|(code, message)| json!({ "code": code, "message": message, "details": [] }))
            .collect();
        let component = json!({ "type": "ComponentName", "info": { "value": "managementfrontend" } });
        let error = json!({
            "code": self.code, "message": self.message, "target": null, "details": details, "additionalInfo": [component],
        });
        self.with_headers(json_answer(self.status, &json!({ "error": error })))
    }

    /// Without an envelope, as Azure Monitor answers.
    pub(crate) fn flat(&self) -> Answer {
        self.with_headers(json_answer(self.status, &json!({ "code": self.code, "message": self.message })))
    }

    fn with_headers(&self, mut answer: Answer) -> Answer {
        let header = match self.status.as_u16() {
            401 => (header::WWW_AUTHENTICATE, "Bearer authorization_uri=\"https://login.microsoftonline.com/\""),
            429 => (header::RETRY_AFTER, "1"),
            _ => return answer,
        };
        answer.headers_mut().insert(header.0, HeaderValue::from_static(header.1));
        answer
    }
}

/// An answer with more headers; one that cannot be sent is left out.
pub(crate) fn with(mut answer: Answer, headers: &[(&'static str, String)]) -> Answer {
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            answer.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    answer
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut answer = Answer::new(Bytes::new());
    *answer.status_mut() = status;
    answer
}
