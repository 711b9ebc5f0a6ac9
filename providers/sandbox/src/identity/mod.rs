//! Where tokens of Google Cloud come from: whoever vouches for a job (as GitHub Actions does), the Security Token Service,
//! IAM credentials, OAuth's token endpoint and the metadata server.
//!
//! - the tokens are fake: nobody signs them, and all other APIs take any
//! - what is asked for is looked at as strictly as by Google: the audience of a pool and of the token that is exchanged for,
//!   types, scopes, lifetimes, `Metadata-Flavor`
//! - tokens live in real time, as the clients that keep them do, and not in the sandbox's
//!
//! Facts: the discovery documents sts.v1 and iamcredentials.v1, the metadata server's reference, RFC 6749, RFC 8693.

mod iam;
mod jwt;
mod metadata;
mod oauth;

use http::{Method, StatusCode};
use mlroll_backend::Timestamp;
use serde_json::json;

pub(crate) use self::jwt::claims;
use crate::api::{Answer, Api, INJECTED, Operation, Request, json_answer};
use crate::{Clock, World, google};

/// The token services as the server sees them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdentityApi;

const OPERATIONS: &[&str] =
    &["ExchangeToken", "GenerateAccessToken", "GenerateIdToken", "GetToken", "GitHubToken", "Metadata", UNKNOWN];

const UNKNOWN: &str = "Unknown";

/// The service account of the machine, as which the metadata server and OAuth's endpoint speak.
const MACHINE: &str = "mlroll@acme.iam.gserviceaccount.com";

/// The project that the machine is in.
const PROJECT: &str = "acme";

/// How long tokens live, in seconds.
const LIFETIME: u64 = 3600;

/// A request's operation, and the service account that it is about.
fn route(request: &Request) -> Option<(&'static str, Option<String>)> {
    let path = google::segments(request);
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let post = request.method() == Method::POST;
    match path.as_slice() {
        ["v1", "token"] if post => Some(("ExchangeToken", None)),
        ["token"] if post => Some(("GetToken", None)),
        ["github", "token"] if google::is_get(request) => Some(("GitHubToken", None)),
        ["v1", "projects", "-", "serviceAccounts", account] if post => {
            let (email, verb) = account.rsplit_once(':')?;
            let operation = match verb {
                "generateAccessToken" => "GenerateAccessToken",
                "generateIdToken" => "GenerateIdToken",
                _ => UNKNOWN,
            };
            Some((operation, Some(email.to_owned())))
        }
        ["computeMetadata", ..] => Some(("Metadata", None)),
        // How clients find out whether there is a metadata server at all.
        [""] if request.headers().contains_key(metadata::FLAVOR) => Some(("Metadata", None)),
        _ => None,
    }
}

impl Api for IdentityApi {
    fn name(&self) -> &'static str {
        "google-identity"
    }

    fn operation(&self, request: &Request) -> Option<Operation> {
        let (name, target) = route(request)?;
        Some(Operation { name, target })
    }

    fn operations(&self) -> &'static [&'static str] {
        OPERATIONS
    }

    fn error(&self, status: StatusCode, code: Option<&str>) -> Answer {
        let error = code.unwrap_or("server_error");
        json_answer(status, &json!({ "error": error, "error_description": INJECTED }))
    }

    fn answer(&self, request: &Request, operation: &Operation, _world: &mut World) -> Answer {
        let account = operation.target.as_deref().unwrap_or_default();
        let oauth = |answer: Result<Answer, oauth::Refusal>| answer.unwrap_or_else(|refusal| refusal.answer());
        let google = |answer: Result<Answer, google::Refusal>| answer.unwrap_or_else(|refusal| refusal.answer());
        match operation.name {
            "ExchangeToken" => oauth(oauth::exchange(request)),
            "GetToken" => oauth(oauth::token(request)),
            "GitHubToken" => google(jwt::github(request)),
            "GenerateAccessToken" => google(iam::access_token(request, account)),
            "GenerateIdToken" => google(iam::id_token(request, account)),
            "Metadata" => metadata::answer(request),
            _ => google::Refusal::unimplemented(request).answer(),
        }
    }
}

/// The real time: clients compare with their own clocks.
fn now() -> Timestamp {
    Clock::starting_now(1.0).now()
}
