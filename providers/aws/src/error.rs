//! What a failed request means.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::endpoint::error::ResolveEndpointError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use mlroll_backend::{Error, ErrorKind};

use crate::transport::NotSent;

/// Classifies a failed call by status and code.
#[cfg(any(feature = "cloudwatch", feature = "lambda", feature = "sagemaker"))]
pub(crate) fn classify<E>(operation: &'static str, failed: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    classify_by_text(operation, failed, |_| None)
}

/// Classifies a failed call by status and code, but a `ValidationException` by what it says, where `kind_of_text` knows it:
/// SageMaker has no codes of its own.
pub(crate) fn classify_by_text<E>(
    operation: &'static str,
    failed: SdkError<E, HttpResponse>,
    kind_of_text: fn(&str) -> Option<ErrorKind>,
) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let status = failed.raw_response().map(|response| response.status().as_u16());
    let request_id =
        failed.raw_response().and_then(|r| r.headers().get("x-amzn-requestid")).map(|id| printable(id, 80));
    let code = failed.code().map(|code| printable(code, 80));
    let (kind, message) = match &failed {
        SdkError::ServiceError(service) => {
            let said = service.err().message().map(|message| printable(message, 600));
            let known =
                said.as_deref().filter(|_| code.as_deref() == Some("ValidationException")).and_then(kind_of_text);
            let kind = known.unwrap_or_else(|| kind_of(status, code.as_deref()));
            (kind, said.unwrap_or_else(|| format!("the provider answered with status {}", status.unwrap_or_default())))
        }
        SdkError::ResponseError(_) => match status {
            Some(500..) => (ErrorKind::Unavailable, "the provider's answer cannot be read".to_owned()),
            Some(_) | None => (
                ErrorKind::Unexpected,
                "the answer is not the provider's: is there a proxy, a login page or a wrong endpoint in between?"
                    .to_owned(),
            ),
        },
        SdkError::TimeoutError(_) => (ErrorKind::Unavailable, "no answer in time".to_owned()),
        SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) | _ => local(&failed),
    };
    let mut error = Error::new(kind, operation, message);
    if let Some(status) = status {
        error = error.with("status", status);
    }
    if let Some(code) = code {
        error = error.with("code", code);
    }
    if let Some(id) = request_id {
        error = error.with("request id", id);
    }
    error.caused_by(failed)
}

/// A failure on this side of the wire.
fn local(failed: &(dyn StdError + 'static)) -> (ErrorKind, String) {
    if let Some(not_sent) = chain(failed).find_map(|e| e.downcast_ref::<NotSent>()) {
        let kind = match not_sent {
            NotSent::BadUrl(_) | NotSent::ClearText(_) => ErrorKind::Invalid,
            NotSent::Withheld => ErrorKind::Withheld,
        };
        return (kind, not_sent.to_string());
    }
    if let Some(credentials) = chain(failed).find_map(|e| e.downcast_ref::<CredentialsError>()) {
        return (ErrorKind::Auth, no_credentials(credentials));
    }
    if let Some(endpoint) = chain(failed).find_map(|e| e.downcast_ref::<ResolveEndpointError>()) {
        let why = chain(endpoint).last().map(ToString::to_string).unwrap_or_default();
        return (ErrorKind::Invalid, format!("the endpoint set by environment or profile cannot be used: {why}"));
    }
    // The innermost error says most: "Connection refused" rather than "dispatch failure".
    let innermost = chain(failed).last().map_or_else(String::new, |e| printable(&e.to_string(), 300));
    (ErrorKind::Unavailable, format!("no connection to the provider: {innermost}"))
}

/// The sources' own messages, but for what a credential process wrote to stderr: that may be anything.
fn no_credentials(error: &CredentialsError) -> String {
    let said = |e: &(dyn StdError + 'static)| {
        let text = e.to_string();
        let ends = text.to_ascii_lowercase().find("stderr").unwrap_or(text.len());
        printable(text.get(..ends).unwrap_or_default().trim_end_matches([' ', '.', ':']), 200)
    };
    let causes: Vec<String> = chain(error).skip(1).map(said).filter(|cause| !cause.is_empty()).collect();
    let causes = if causes.is_empty() { String::new() } else { format!(" ({})", causes.join(": ")) };
    match error {
        CredentialsError::CredentialsNotLoaded(_) => format!(
            "no AWS credentials found in the environment, the profile files, SSO, web identity or instance metadata{causes}"
        ),
        CredentialsError::ProviderTimedOut(_) => format!("no AWS credentials: a source did not answer in time{causes}"),
        CredentialsError::InvalidConfiguration(_)
        | CredentialsError::ProviderError(_)
        | CredentialsError::Unhandled(_)
        | _ => format!("AWS credentials could not be loaded{causes}"),
    }
}

/// An error and its causes, the outermost first.
pub(crate) fn chain<'e>(error: &'e (dyn StdError + 'static)) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'e (dyn StdError + 'static)| (**error).source())
}

/// The table: AWS codes first, the status where there is no known code.
fn kind_of(status: Option<u16>, code: Option<&str>) -> ErrorKind {
    match code.unwrap_or_default() {
        "ConcurrentUpdateException" | "PreconditionFailedException" | "ResourceConflictException" => {
            ErrorKind::Conflict
        }
        "InvalidParameterValueException" | "ValidationException" | "InvalidRequestContentException" => {
            ErrorKind::Invalid
        }
        "ObjectNotFoundException" | "ResourceNotFoundException" => ErrorKind::NotFound,
        "TooManyRequestsException"
        | "ThrottlingException"
        | "Throttling"
        | "ThrottledException"
        | "RequestLimitExceeded"
        | "SlowDown" => ErrorKind::Throttled,
        "AccessDeniedException"
        | "AccessDenied"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "IncompleteSignature"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "NotAuthorized"
        | "OptInRequired"
        | "RequestExpired"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => ErrorKind::Auth,
        "ServiceException"
        | "InternalFailure"
        | "InternalServerError"
        | "ServiceUnavailable"
        | "ServiceUnavailableException" => ErrorKind::Unavailable,
        _ => match status {
            Some(400 | 413 | 414 | 422) => ErrorKind::Invalid,
            Some(401 | 403 | 407) => ErrorKind::Auth,
            Some(409 | 412) => ErrorKind::Conflict,
            Some(408 | 500..) => ErrorKind::Unavailable,
            Some(429) => ErrorKind::Throttled,
            // A 404 without Lambda's own code is somebody else's: it does not say that the alias is missing.
            Some(_) | None => ErrorKind::Unexpected,
        },
    }
}

/// Whatever a server sent, in one line of printable characters.
pub(crate) fn printable(text: &str, most: usize) -> String {
    let mut line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(most).collect();
    if text.chars().nth(most).is_some() {
        line.push_str("...");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_statuses_mean() {
        for (status, code, kind) in [
            (412, Some("PreconditionFailedException"), ErrorKind::Conflict),
            (409, Some("ResourceConflictException"), ErrorKind::Conflict),
            (400, Some("InvalidParameterValueException"), ErrorKind::Invalid),
            (400, Some("ValidationException"), ErrorKind::Invalid),
            (404, Some("ResourceNotFoundException"), ErrorKind::NotFound),
            (404, Some("UnknownOperationException"), ErrorKind::Unexpected),
            (404, None, ErrorKind::Unexpected),
            (429, Some("TooManyRequestsException"), ErrorKind::Throttled),
            (400, Some("ThrottlingException"), ErrorKind::Throttled),
            (403, Some("AccessDeniedException"), ErrorKind::Auth),
            (403, Some("ExpiredTokenException"), ErrorKind::Auth),
            (403, Some("UnrecognizedClientException"), ErrorKind::Auth),
            (403, None, ErrorKind::Auth),
            (401, None, ErrorKind::Auth),
            (500, Some("ServiceException"), ErrorKind::Unavailable),
            (502, None, ErrorKind::Unavailable),
            (503, None, ErrorKind::Unavailable),
            (429, None, ErrorKind::Throttled),
            (412, None, ErrorKind::Conflict),
            (302, None, ErrorKind::Unexpected),
        ] {
            assert_eq!(kind_of(Some(status), code), kind, "{status} {code:?}");
        }
    }

    #[test]
    fn messages_are_one_printable_line() {
        assert_eq!(printable("a\nb\u{1b}[31m", 80), "a b [31m");
        assert_eq!(printable("abcdef", 3), "abc...");
    }
}
