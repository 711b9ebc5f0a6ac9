//! The metadata server of a machine on Google Cloud, for its one service account.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use super::{MACHINE, PROJECT, jwt, oauth};
use crate::api::{Answer, Request, json_answer};
use crate::google;

/// What a request must have, so that no page in a browser can make it, and what every answer has.
pub(super) const FLAVOR: &str = "metadata-flavor";

/// What the machine was made with.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// Answers a request for a path below `/computeMetadata`, or for the root.
pub(super) fn answer(request: &Request) -> Answer {
    let flavored = request.headers().get(FLAVOR).is_some_and(|flavor| flavor == "Google");
    let mut answer = match google::is_get(request) {
        _ if !flavored => text(StatusCode::FORBIDDEN, "Missing required header: Metadata-Flavor: Google"),
        false => text(StatusCode::METHOD_NOT_ALLOWED, "Only GET is in this sandbox."),
        true => told(request),
    };
    answer.headers_mut().insert(FLAVOR, HeaderValue::from_static("Google"));
    answer
}

fn told(request: &Request) -> Answer {
    let path = google::segments(request);
    let path: Vec<&str> = path.iter().map(String::as_str).filter(|segment| !segment.is_empty()).collect();
    let query = request.uri().query().unwrap_or_default();
    let asked = |name: &str| {
        let mut all = form_urlencoded::parse(query.as_bytes());
        all.find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.into_owned())
    };
    let missing = || text(StatusCode::NOT_FOUND, "The requested URL was not found on this server.");
    let below = match path.as_slice() {
        [] => return text(StatusCode::OK, "computeMetadata/\n"),
        ["computeMetadata", "v1", "project", "project-id"] => return text(StatusCode::OK, PROJECT),
        ["computeMetadata", "v1", "universe", "universe-domain"] => return text(StatusCode::OK, "googleapis.com"),
        ["computeMetadata", "v1", "instance", "service-accounts", account, below @ ..]
            if matches!(*account, "default" | MACHINE) =>
        {
            below
        }
        _ => return missing(),
    };
    match below {
        [] if asked("recursive").as_deref() == Some("true") => {
            json_answer(StatusCode::OK, &json!({ "aliases": ["default"], "email": MACHINE, "scopes": [SCOPE] }))
        }
        [] => text(StatusCode::OK, "aliases\nemail\nidentity\nscopes\ntoken\n"),
        ["email"] => text(StatusCode::OK, MACHINE),
        ["scopes"] => text(StatusCode::OK, SCOPE),
        ["token"] => {
            oauth::of_the_machine(&asked("scopes").map_or_else(|| SCOPE.to_owned(), |all| all.replace(',', " ")))
        }
        ["identity"] => match asked("audience") {
            None => text(StatusCode::BAD_REQUEST, "non-empty audience parameter required"),
            Some(audience) => {
                let full = asked("format").as_deref() == Some("full");
                let more = if full { json!({ "email": MACHINE, "email_verified": true }) } else { json!({}) };
                text(StatusCode::OK, &jwt::identity("https://accounts.google.com", &audience, MACHINE, &more))
            }
        },
        _ => missing(),
    }
}

fn text(status: StatusCode, said: &str) -> Answer {
    let mut answer = Answer::new(Bytes::copy_from_slice(said.as_bytes()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/text"));
    answer
}
