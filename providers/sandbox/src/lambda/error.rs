//! The error answers of Lambda's REST protocol.

use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value};

use crate::api::{Answer, INJECTED, json_answer};

/// A request that Lambda refuses, as it is named on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    code: String,
    message: String,
    /// The member `Reason` of a throttled request.
    reason: Option<&'static str>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into(), reason: None }
    }

    /// A request that breaks one of Lambda's rules.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidParameterValueException", message)
    }

    /// An object that does not exist.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
    }

    /// A request that the state of an object does not allow.
    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "ResourceConflictException", message)
    }

    /// A revision id that is no longer the latest.
    pub(super) fn precondition() -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "PreconditionFailedException",
            "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to \
             retrieve the latest Revision Id",
        )
    }

    /// A body that is no JSON.
    pub(super) fn content(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidRequestContentException", message)
    }

    /// A body whose members have the wrong types.
    pub(super) fn serialization(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "SerializationException", message)
    }

    /// A request that is not signed for this service.
    pub(super) fn unsigned(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    /// More requests than the account may send, or the function may take.
    pub(super) fn throttled(reason: &'static str) -> Self {
        let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, THROTTLED, "Rate Exceeded.");
        Self { reason: Some(reason), ..refusal }
    }

    /// Members refused by the model before Lambda's own code sees the request.
    pub(super) fn validation(violations: &[String]) -> Self {
        let (n, plural) = (violations.len(), if violations.len() == 1 { "" } else { "s" });
        let message = format!("{n} validation error{plural} detected: {}", violations.join("; "));
        Self::new(StatusCode::BAD_REQUEST, "ValidationException", message)
    }

    /// An error that Lambda would not have sent.
    pub(super) fn injected(status: StatusCode, code: Option<&str>) -> Self {
        let usual = match status.as_u16() {
            400 => "InvalidParameterValueException",
            403 => "AccessDeniedException",
            404 => "ResourceNotFoundException",
            409 => "ResourceConflictException",
            412 => "PreconditionFailedException",
            413 => "RequestTooLargeException",
            429 => THROTTLED,
            503 => "ServiceUnavailableException",
            504 => "GatewayTimeoutException",
            500.. => "ServiceException",
            _ => "UnknownError",
        };
        let code = code.unwrap_or(usual);
        match (status.as_u16(), code) {
            (429, THROTTLED) => Self::throttled("CallerRateLimitExceeded"),
            (412, "PreconditionFailedException") => Self::precondition(),
            _ => Self::new(status, code, INJECTED),
        }
    }

    /// The refusal as it is sent.
    pub(super) fn answer(&self) -> Answer {
        let mut body = Map::new();
        if let Some(kind) = self.kind() {
            body.insert("Type".to_owned(), Value::from(kind));
        }
        if let Some(reason) = self.reason {
            body.insert("Reason".to_owned(), Value::from(reason));
        }
        body.insert(self.message_member().to_owned(), Value::from(self.message.as_str()));
        let mut answer = json_answer(self.status, &Value::Object(body));
        if let Ok(code) = HeaderValue::from_str(&self.code) {
            answer.headers_mut().insert("x-amzn-errortype", code);
        }
        if self.code == THROTTLED {
            answer.headers_mut().insert(http::header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        answer
    }

    /// Lambda's model spells the member differently for these shapes.
    fn message_member(&self) -> &'static str {
        match self.code.as_str() {
            "AccessDeniedException" | "ResourceNotFoundException" | "ServiceException" => "Message",
            _ => "message",
        }
    }

    /// Errors raised in front of Lambda's own code carry no `Type`.
    fn kind(&self) -> Option<&'static str> {
        match self.code.as_str() {
            "AccessDeniedException"
            | "IncompleteSignatureException"
            | "InvalidSignatureException"
            | "MissingAuthenticationTokenException"
            | "SerializationException"
            | "UnknownOperationException"
            | "ValidationException" => None,
            _ if self.status.is_server_error() => Some("Service"),
            _ => Some("User"),
        }
    }
}

const THROTTLED: &str = "TooManyRequestsException";
