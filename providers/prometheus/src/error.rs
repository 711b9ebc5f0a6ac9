//! What a failed request means.

use mlroll_backend::{Error, ErrorKind};
use serde::Deserialize;

/// What the store calls the request.
pub(crate) const OPERATION: &str = "query";

/// The part of an answer that tells what went wrong. Only for people: systems that speak this API agree on the status, not
/// on `errorType` (VictoriaMetrics says "422" for everything).
#[derive(Default, Deserialize)]
struct Refusal {
    error: Option<String>,
}

/// Classifies an answer whose status is not 200.
pub(crate) fn classify(status: u16, body: &[u8]) -> Error {
    let said = serde_json::from_slice::<Refusal>(body).unwrap_or_default().error.unwrap_or_default();
    let (kind, otherwise) = match status {
        300..=399 => (
            ErrorKind::Unexpected,
            "the store answers with a redirect, and none is followed: use its final address as `url`",
        ),
        400 | 413 | 414 | 422 | 431 => (ErrorKind::Invalid, "the store refuses the query"),
        401 => (ErrorKind::Auth, "the store asks for credentials, or refuses those it got"),
        403 | 407 => (ErrorKind::Auth, "the store forbids it"),
        404 => (ErrorKind::NotFound, "there is no query API at `url`; is a path prefix missing?"),
        429 => (ErrorKind::Throttled, "too many queries"),
        408 | 425 | 499 | 500..=599 => (ErrorKind::Unavailable, "the store cannot answer"),
        _ => (ErrorKind::Unexpected, "the store gives an answer that is not in its protocol"),
    };
    let message =
        if said.is_empty() { otherwise.to_owned() } else { format!("{otherwise}: {}", printable(&said, 600)) };
    Error::new(kind, OPERATION, message).with("status", status)
}

/// Whether asking again may help.
pub(crate) fn worth_a_retry(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Throttled | ErrorKind::Unavailable)
}

/// A failure to get an answer at all. The innermost cause says most: "Connection refused", "certificate expired".
pub(crate) fn no_answer(failed: &reqwest::Error) -> Error {
    let chain = std::iter::successors(Some(failed as &(dyn std::error::Error + 'static)), |error| error.source());
    // The outermost names the address, which may be more than a log should see.
    let innermost =
        chain.skip(1).last().map_or_else(|| "no reason given".to_owned(), |error| printable(&error.to_string(), 300));
    let what = if failed.is_connect() {
        "no connection to the store"
    } else if failed.is_body() || failed.is_decode() {
        "the store's answer ends too early"
    } else {
        "no answer from the store"
    };
    Error::new(ErrorKind::Unavailable, OPERATION, format!("{what}: {innermost}"))
}

/// An answer that this API does not give.
pub(crate) fn unexpected(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unexpected, OPERATION, message)
}

/// One line of at most `longest` characters without control characters, so that what a store says cannot steer a terminal.
pub(crate) fn printable(text: &str, longest: usize) -> String {
    let line: Vec<&str> =
        text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty()).collect();
    let line = line.join(" ");
    let mut short: String = line.chars().take(longest).collect();
    if short.len() < line.len() {
        short.push_str("...");
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_mean_what_a_caller_can_do() {
        for (status, kind, again) in [
            (301, ErrorKind::Unexpected, false),
            (302, ErrorKind::Unexpected, false),
            (400, ErrorKind::Invalid, false),
            (401, ErrorKind::Auth, false),
            (403, ErrorKind::Auth, false),
            (404, ErrorKind::NotFound, false),
            (405, ErrorKind::Unexpected, false),
            (418, ErrorKind::Unexpected, false),
            (422, ErrorKind::Invalid, false),
            (429, ErrorKind::Throttled, true),
            (431, ErrorKind::Invalid, false),
            (499, ErrorKind::Unavailable, true),
            (500, ErrorKind::Unavailable, true),
            (502, ErrorKind::Unavailable, true),
            (503, ErrorKind::Unavailable, true),
            (504, ErrorKind::Unavailable, true),
        ] {
            let error = classify(status, b"<html>");
            assert_eq!((error.kind(), worth_a_retry(&error)), (kind, again), "{status}");
        }
        let body =
            br#"{"status":"error","errorType":"bad_data","error":"1:5: parse error:\n unexpected \u001b[31m\"}\""}"#;
        assert_eq!(
            classify(400, body).to_string(),
            "query: the store refuses the query: 1:5: parse error: unexpected [31m\"}\" (status 400)"
        );
        assert_eq!(printable("abcdef", 3), "abc...");
    }
}
