//! The error answers of Lambda's REST protocol.

use serde_json::{Map, Value};

use crate::http::Response;

/// An error as Lambda names it on the wire.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl ApiError {
    pub(crate) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into() }
    }

    /// A request that breaks one of Lambda's rules.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidParameterValueException", message)
    }

    /// An object that does not exist.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, "ResourceNotFoundException", message)
    }

    /// A revision id that is no longer the latest.
    pub(crate) fn precondition() -> Self {
        Self::new(
            412,
            "PreconditionFailedException",
            "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to \
             retrieve the latest Revision Id",
        )
    }

    /// A body whose members have the wrong types.
    pub(crate) fn serialization(message: impl Into<String>) -> Self {
        Self::new(400, "SerializationException", message)
    }

    /// More requests than the account may send.
    pub(crate) fn throttled() -> Self {
        Self::new(429, THROTTLED, "Rate Exceeded.")
    }

    /// A member refused by the model before Lambda's own code sees the request.
    pub(crate) fn validation(value: &str, member: &str, constraint: &str) -> Self {
        let message = format!(
            "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {constraint}"
        );
        Self::new(400, "ValidationException", message)
    }

    /// Renders the error as an answer.
    pub(crate) fn response(&self) -> Response {
        let mut body = Map::new();
        if let Some(kind) = self.kind() {
            body.insert("Type".to_owned(), Value::from(kind));
        }
        body.insert(self.message_member().to_owned(), Value::from(self.message.as_str()));
        if self.code == THROTTLED {
            body.insert("Reason".to_owned(), Value::from("CallerRateLimitExceeded"));
        }
        Response::json(self.status, &Value::Object(body)).header("x-amzn-ErrorType", &self.code)
    }

    /// Lambda's model spells the member differently for these shapes, so a client must take both.
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
            | "InvalidSignatureException"
            | "MissingAuthenticationTokenException"
            | "SerializationException"
            | "UnknownOperationException"
            | "ValidationException" => None,
            _ if self.status >= 500 => Some("Service"),
            _ => Some("User"),
        }
    }
}

const THROTTLED: &str = "TooManyRequestsException";
