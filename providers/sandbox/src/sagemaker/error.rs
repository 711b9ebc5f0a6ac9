//! The error answers of SageMaker: next to none is modelled, and what happened is told by a text.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::api::{Answer, INJECTED};

/// A request that is refused, as it is named on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    code: String,
    message: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into() }
    }

    /// A request that breaks a rule.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, VALIDATION, message)
    }

    /// A member that breaks its constraint, refused by the model before SageMaker's own code sees it.
    pub(super) fn violation(value: &str, member: &str, constraint: &str) -> Self {
        Self::invalid(format!(
            "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {constraint}"
        ))
    }

    /// A member that must be there.
    pub(super) fn missing(member: &str) -> Self {
        Self::invalid(format!(
            "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
        ))
    }

    /// A member of the wrong type.
    pub(super) fn serialization(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "SerializationException", message)
    }

    /// An endpoint that is not `InService`.
    pub(super) fn in_progress(arn: &str) -> Self {
        Self::invalid(format!("Cannot update in-progress endpoint \"{arn}\"."))
    }

    /// Something that does not exist; `kind` as in the texts: `endpoint`, `endpoint configuration`, `model`.
    pub(super) fn no_such(kind: &str, arn: &str) -> Self {
        Self::invalid(format!("Could not find {kind} \"{arn}\"."))
    }

    /// Something that exists.
    pub(super) fn exists(kind: &str, arn: &str) -> Self {
        Self::invalid(format!("Cannot create already existing {kind} \"{arn}\"."))
    }

    pub(super) fn throttled() -> Self {
        Self::new(StatusCode::BAD_REQUEST, THROTTLED, "Rate exceeded")
    }

    /// An error on demand. A `ValidationException` is the one that any endpoint may answer at any moment: it is busy.
    pub(super) fn injected(status: StatusCode, code: Option<&str>) -> Self {
        let usual = match status.as_u16() {
            400 => VALIDATION,
            403 => "AccessDeniedException",
            429 => THROTTLED,
            503 => "ServiceUnavailable",
            500.. => "InternalFailure",
            _ => "UnknownError",
        };
        match code.unwrap_or(usual) {
            VALIDATION => Self::in_progress("arn:aws:sagemaker:us-east-1:123456789012:endpoint/busy"),
            THROTTLED => Self { status, ..Self::throttled() },
            code => Self::new(status, code, INJECTED),
        }
    }

    pub(super) fn answer(&self) -> Answer {
        answer(self.status, &json!({ "__type": self.code, "message": self.message }))
    }
}

const VALIDATION: &str = "ValidationException";
const THROTTLED: &str = "ThrottlingException";

/// An answer of the protocol.
pub(super) fn answer(status: StatusCode, body: &Value) -> Answer {
    let mut answer = Answer::new(Bytes::from(body.to_string()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
    answer
}
