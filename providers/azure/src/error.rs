//! What a failed request means.

use mlroll_backend::{Error, ErrorKind};
use serde::Deserialize;

/// What Azure says about a request it did not do: wrapped (`{"error": {..}}`, Resource Manager) or flat (`{"code", ..}`,
/// Azure Monitor).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Envelope {
    error: Option<Detail>,
    #[serde(flatten)]
    flat: Detail,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Detail {
    code: Option<String>,
    message: Option<String>,
    details: Option<Vec<Detail>>,
    /// Log Analytics goes into detail so.
    innererror: Option<Box<Detail>>,
}

/// The headers that name a request in Azure's own logs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    /// `x-ms-request-id`
    pub(crate) request: Option<String>,
    /// `x-ms-correlation-request-id`
    pub(crate) correlation: Option<String>,
}

impl Detail {
    /// The innermost detail: the outer ones say "The request is invalid." and the like.
    fn innermost(&self) -> &Self {
        let mut detail = self;
        // The depth is Azure's to choose; a few is all that was seen.
        for _ in 0..16 {
            let inner = detail.details.as_ref().and_then(|details| details.first()).or(detail.innererror.as_deref());
            match inner {
                Some(inner) if inner.message.is_some() || inner.details.is_some() || inner.innererror.is_some() => {
                    detail = inner;
                }
                Some(_) | None => break,
            }
        }
        detail
    }

    /// What it says, for people.
    pub(crate) fn said(&self) -> Option<String> {
        let message = self.innermost().message.as_deref().or(self.message.as_deref())?;
        Some(printable(message, 600)).filter(|said| !said.is_empty())
    }

    /// Its code.
    pub(crate) fn code(&self) -> Option<String> {
        let code = self.innermost().code.as_deref().or(self.code.as_deref())?;
        Some(printable(code, 80)).filter(|code| !code.is_empty())
    }
}

/// Classifies an answer whose status says that it was not done.
pub(crate) fn classify(operation: &'static str, status: u16, body: &[u8], trace: Trace) -> Error {
    let envelope: Envelope = serde_json::from_slice(body).unwrap_or_default();
    let detail = envelope.error.unwrap_or(envelope.flat);
    let said = detail.said();
    let code = detail.code();
    let kind = kind_of(status, code.as_deref(), said.as_deref().unwrap_or_default());
    let message = said.unwrap_or_else(|| match status {
        300..=399 => "a redirect, and none is followed: is there a proxy, a login page or a wrong endpoint in between?"
            .to_owned(),
        _ => format!("Azure answered with status {status}"),
    });
    let mut error = Error::new(kind, operation, message).with("status", status);
    for (key, fact) in [("code", code), ("request id", trace.request), ("correlation", trace.correlation)] {
        if let Some(fact) = fact {
            error = error.with(key, printable(&fact, 80));
        }
    }
    error
}

/// The table: words and codes first where the status alone misleads.
fn kind_of(status: u16, code: Option<&str>, said: &str) -> ErrorKind {
    // "Cannot create a deployment in endpoint X because it is in Updating provisioning state": with 409 or 400, also
    // just after the endpoint said Succeeded (azure-sdk-for-net#36961).
    if matches!(status, 400 | 409) && said.to_ascii_lowercase().contains("provisioning state") {
        return ErrorKind::Conflict;
    }
    match status {
        401 | 403 | 407 => ErrorKind::Auth,
        404 if code.is_some() => ErrorKind::NotFound,
        409 | 412 => ErrorKind::Conflict,
        429 | 529 => ErrorKind::Throttled,
        408 | 500..=599 => ErrorKind::Unavailable,
        400 | 413 | 414 | 422 => match code {
            Some("ResourceNotFound" | "NotFound" | "ResourceGroupNotFound" | "SubscriptionNotFound") => {
                ErrorKind::NotFound
            }
            Some(_) | None => ErrorKind::Invalid,
        },
        // A 404 without Azure's own code is somebody else's: it does not say that the endpoint is missing.
        _ => ErrorKind::Unexpected,
    }
}

/// A failure to get an answer at all. The innermost cause says most: "Connection refused", "certificate expired".
pub(crate) fn no_answer(operation: &'static str, failed: &reqwest::Error) -> Error {
    let chain = std::iter::successors(Some(failed as &(dyn std::error::Error + 'static)), |error| error.source());
    let innermost =
        chain.skip(1).last().map_or_else(|| "no reason given".to_owned(), |error| printable(&error.to_string(), 300));
    let message = if failed.is_timeout() {
        "no answer in time".to_owned()
    } else if failed.is_connect() {
        format!("no connection to Azure: {innermost}")
    } else if failed.is_body() || failed.is_decode() {
        format!("Azure's answer ends too early: {innermost}")
    } else {
        format!("no answer from Azure: {innermost}")
    };
    Error::new(ErrorKind::Unavailable, operation, message)
}

/// An answer that Azure should not give.
pub(crate) fn unexpected(operation: &'static str, message: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unexpected, operation, format!("Azure's answer makes no sense: {message}"))
}

/// One line of at most `most` characters without control characters, so that what a server says cannot steer a terminal.
pub(crate) fn printable(text: &str, most: usize) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty()).collect();
    let line = words.join(" ");
    let mut short: String = line.chars().take(most).collect();
    if short.len() < line.len() {
        short.push_str("...");
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classified(status: u16, body: &str) -> Error {
        classify("OnlineEndpoints_CreateOrUpdate", status, body.as_bytes(), Trace::default())
    }

    #[test]
    fn statuses_codes_and_words_mean() {
        let wrapped = |code: &str, message: &str| format!(r#"{{"error":{{"code":"{code}","message":"{message}"}}}}"#);
        let updating = "Cannot create a deployment in endpoint fraud because it is in Updating provisioning state";
        for (status, body, kind) in [
            (400, wrapped("BadRequest", updating), ErrorKind::Conflict),
            (409, wrapped("Conflict", "busy"), ErrorKind::Conflict),
            (409, String::new(), ErrorKind::Conflict),
            (412, String::new(), ErrorKind::Conflict),
            (400, wrapped("BadArgument", "the sum is not 100"), ErrorKind::Invalid),
            (
                400,
                r#"{"code":"BadRequest","message":"Failed to find metric configuration"}"#.to_owned(),
                ErrorKind::Invalid,
            ),
            (400, wrapped("ResourceNotFound", "gone"), ErrorKind::NotFound),
            (404, wrapped("ResourceNotFound", "gone"), ErrorKind::NotFound),
            (404, r#"{"code":"ResourceNotFound","message":"gone"}"#.to_owned(), ErrorKind::NotFound),
            (404, "<html>".to_owned(), ErrorKind::Unexpected),
            (401, wrapped("ExpiredAuthenticationToken", "old"), ErrorKind::Auth),
            (403, wrapped("InvalidAuthenticationTokenAudience", "wrong audience"), ErrorKind::Auth),
            (404, wrapped("WorkspaceNotFoundError", "gone"), ErrorKind::NotFound),
            (504, wrapped("GatewayTimeout", "too long"), ErrorKind::Unavailable),
            (403, wrapped("AuthorizationFailed", "no"), ErrorKind::Auth),
            (429, wrapped("TooManyRequests", "slow"), ErrorKind::Throttled),
            (529, String::new(), ErrorKind::Throttled),
            (408, String::new(), ErrorKind::Unavailable),
            (500, wrapped("InternalServerError", "oops"), ErrorKind::Unavailable),
            (503, String::new(), ErrorKind::Unavailable),
            (302, String::new(), ErrorKind::Unexpected),
        ] {
            let error = classified(status, &body);
            assert_eq!(error.kind(), kind, "{status} {body}");
            assert!(error.was_answered());
        }
    }

    #[test]
    fn the_innermost_detail_is_shown_in_one_line() {
        let body = r#"{"error":{"code":"UserError","message":"The request is invalid.","details":[
            {"code":"ValidationError","message":"Outer","details":[{"code":"BadTraffic","message":"sum is\n\u001b[31m90"}]}],
            "additionalInfo":[{"type":"Correlation","info":{"operation":"x"}}]}}"#;
        let trace = Trace { request: Some("r-1".to_owned()), correlation: None };
        let error = classify("Op", 400, body.as_bytes(), trace);
        assert_eq!(error.to_string(), "Op: sum is [31m90 (status 400, code BadTraffic, request id r-1)");
        // Log Analytics.
        let body = r#"{"error":{"message":"The request had some invalid properties","code":"BadArgumentError","innererror":
            {"code":"SemanticError","message":"A semantic error occurred.","innererror":
            {"code":"SEM0100","message":"Failed to resolve 'x'"}}}}"#;
        let error = classify("Op", 400, body.as_bytes(), Trace::default());
        assert_eq!(error.to_string(), "Op: Failed to resolve 'x' (status 400, code SEM0100)");
        let deep = format!(
            r#"{{"error":{}"message":"x"{}}}"#,
            r#"{"details":[{"message":"m","details":["#.repeat(3),
            "]}]}".repeat(3)
        );
        let _ = classified(400, &deep);
    }
}
