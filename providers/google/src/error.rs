//! What a failed request means.

use std::time::Duration;

use mlroll_backend::{Error, ErrorKind};
use serde::Deserialize;

/// Google's answer to a request that failed (google.rpc.Status in JSON).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Envelope {
    error: Option<Status>,
}

/// The form that the PromQL endpoint takes over from Prometheus.
#[derive(Debug, Deserialize)]
struct PromError {
    error: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    message: String,
    status: String,
    details: Vec<Detail>,
}

/// The details that matter, of `ErrorInfo`, `BadRequest` and `RetryInfo`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Detail {
    reason: Option<String>,
    field_violations: Vec<Violation>,
    retry_delay: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Violation {
    field: String,
    description: String,
}

/// Classifies an answer whose status is not a success. Anything may stand between us and Google, so the body may be a
/// login page.
pub(crate) fn classify(operation: &'static str, status: u16, body: &[u8]) -> Error {
    let Some(said) = serde_json::from_slice::<Envelope>(body).ok().and_then(|envelope| envelope.error) else {
        if let Ok(PromError { error }) = serde_json::from_slice(body) {
            let error = Error::new(kind_of(status, None, None), operation, printable(&error, 600));
            return error.with("status", status);
        }
        let begins = printable(&String::from_utf8_lossy(body.get(..600).unwrap_or(body)), 120);
        let begins = if begins.is_empty() { String::new() } else { format!("; it begins with `{begins}`") };
        let kind = kind_of(status, None, None);
        let message = format!("the answer of status {status} is not Google's{begins}");
        return Error::new(kind, operation, message).with("status", status);
    };
    let reason = said.details.iter().find_map(|detail| detail.reason.as_deref()).map(|r| printable(r, 80));
    let kind = kind_of(status, Some(&said.status), reason.as_deref());
    let mut message = printable(&said.message, 600);
    for violation in said.details.iter().flat_map(|detail| &detail.field_violations).take(5) {
        message.push_str(&printable(&format!("; {}: {}", violation.field, violation.description), 300));
    }
    if message.is_empty() {
        message = format!("Google answered with status {status} and no word");
    }
    let mut error = Error::new(kind, operation, message).with("status", status);
    if !said.status.is_empty() {
        error = error.with("code", printable(&said.status, 80));
    }
    if let Some(reason) = reason {
        error = error.with("reason", reason);
    }
    error.again_after(said.details.iter().find_map(|detail| seconds(detail.retry_delay.as_deref()?)))
}

/// The table: Google's status and reason first, the HTTP status where there is none.
///
/// Both 409 are told apart here: `ABORTED` is a stale etag, `ALREADY_EXISTS` a revision name that is taken, which reading
/// again does not help.
fn kind_of(status: u16, code: Option<&str>, reason: Option<&str>) -> ErrorKind {
    if matches!(reason, Some("RATE_LIMIT_EXCEEDED" | "RESOURCE_QUOTA_EXCEEDED")) {
        return ErrorKind::Throttled;
    }
    match code.unwrap_or_default() {
        "ABORTED" => ErrorKind::Conflict,
        "ALREADY_EXISTS" | "FAILED_PRECONDITION" | "INVALID_ARGUMENT" | "OUT_OF_RANGE" => ErrorKind::Invalid,
        "CANCELLED" | "DEADLINE_EXCEEDED" | "INTERNAL" | "UNAVAILABLE" => ErrorKind::Unavailable,
        "NOT_FOUND" => ErrorKind::NotFound,
        "PERMISSION_DENIED" | "UNAUTHENTICATED" => ErrorKind::Auth,
        "RESOURCE_EXHAUSTED" => ErrorKind::Throttled,
        "UNIMPLEMENTED" => ErrorKind::Unsupported,
        _ => match status {
            400 | 413 | 414 | 422 => ErrorKind::Invalid,
            401 | 403 | 407 => ErrorKind::Auth,
            409 | 412 => ErrorKind::Conflict,
            408 | 499.. => ErrorKind::Unavailable,
            429 => ErrorKind::Throttled,
            // A 404 without Google's own words is somebody else's: it does not say that the service is missing.
            _ => ErrorKind::Unexpected,
        },
    }
}

/// Whether another attempt may end better. A write is tried again only where the provider did not take it: with its etag
/// it cannot take effect twice, but a failure inside the provider says nothing of what it did.
pub(crate) fn worth_a_retry(error: &Error, is_write: bool) -> bool {
    match error.kind() {
        ErrorKind::Throttled => true,
        ErrorKind::Unavailable => {
            let internal = error.context().iter().any(|(key, value)| *key == "status" && value == "500");
            !(is_write && internal)
        }
        ErrorKind::Auth
        | ErrorKind::Conflict
        | ErrorKind::Invalid
        | ErrorKind::NotFound
        | ErrorKind::Unexpected
        | ErrorKind::Unsupported
        | ErrorKind::Withheld => false,
    }
}

/// Whether the token was refused: a fresh one may not be.
pub(crate) fn is_unauthenticated(error: &Error) -> bool {
    error.context().iter().any(|(key, value)| *key == "status" && value == "401")
}

/// `30s` or `0.5s`, as durations are written in JSON.
fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Whatever a server sent, in one line of printable characters.
pub(crate) fn printable(text: &str, most: usize) -> String {
    let mut line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(most).collect();
    if text.chars().nth(most).is_some() {
        line.push_str("...");
    }
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_statuses_mean() {
        for (status, code, reason, kind) in [
            (409, Some("ABORTED"), None, ErrorKind::Conflict),
            (409, Some("ALREADY_EXISTS"), None, ErrorKind::Invalid),
            (409, None, None, ErrorKind::Conflict),
            (412, None, None, ErrorKind::Conflict),
            (400, Some("INVALID_ARGUMENT"), None, ErrorKind::Invalid),
            (400, Some("FAILED_PRECONDITION"), None, ErrorKind::Invalid),
            (401, Some("UNAUTHENTICATED"), None, ErrorKind::Auth),
            (403, Some("PERMISSION_DENIED"), Some("SERVICE_DISABLED"), ErrorKind::Auth),
            (403, Some("PERMISSION_DENIED"), Some("RATE_LIMIT_EXCEEDED"), ErrorKind::Throttled),
            (404, Some("NOT_FOUND"), None, ErrorKind::NotFound),
            (404, None, None, ErrorKind::Unexpected),
            (429, Some("RESOURCE_EXHAUSTED"), None, ErrorKind::Throttled),
            (429, None, None, ErrorKind::Throttled),
            (500, Some("INTERNAL"), None, ErrorKind::Unavailable),
            (501, Some("UNIMPLEMENTED"), None, ErrorKind::Unsupported),
            (503, Some("UNAVAILABLE"), None, ErrorKind::Unavailable),
            (503, None, None, ErrorKind::Unavailable),
            (504, Some("DEADLINE_EXCEEDED"), None, ErrorKind::Unavailable),
            (302, None, None, ErrorKind::Unexpected),
        ] {
            assert_eq!(kind_of(status, code, reason), kind, "{status} {code:?} {reason:?}");
        }
    }

    #[test]
    fn details_are_read_and_pages_are_not() {
        let body = br#"{"error":{"code":429,"message":"Quota\nexceeded","status":"RESOURCE_EXHAUSTED","details":[
            {"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"RATE","metadata":{}},
            {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.5s"}]}}"#;
        let error = classify("UpdateService", 429, body);
        assert_eq!(error.retry_after(), Some(Duration::from_millis(1500)));
        assert_eq!(
            error.to_string(),
            "UpdateService: Quota exceeded (status 429, code RESOURCE_EXHAUSTED, reason RATE)"
        );
        let body = br#"{"error":{"message":"Bad","status":"INVALID_ARGUMENT","details":[
            {"fieldViolations":[{"field":"traffic","description":"must sum to 100"}]}]}}"#;
        assert_eq!(classify("X", 400, body).message(), "Bad; traffic: must sum to 100");
        let promql = classify("X", 400, br#"{"status":"error","errorType":"bad_data","error":"parse error: up{"}"#);
        assert_eq!((promql.kind(), promql.message()), (ErrorKind::Invalid, "parse error: up{"));
        let page = classify("X", 503, b"<html>\nService unavailable</html>");
        assert_eq!(page.kind(), ErrorKind::Unavailable);
        assert!(page.message().ends_with("it begins with `<html> Service unavailable</html>`"), "{page}");
    }

    #[test]
    fn a_write_is_not_tried_again_after_a_failure_inside() {
        let failed = |status| classify("X", status, b"");
        for (status, read, write) in [(500, true, false), (503, true, true), (429, true, true), (409, false, false)] {
            assert_eq!(worth_a_retry(&failed(status), false), read, "{status}");
            assert_eq!(worth_a_retry(&failed(status), true), write, "{status}");
        }
    }
}
