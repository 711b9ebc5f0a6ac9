//! A request to a model. SDK types stop here.

use aws_sdk_sagemakerruntime::Client;
use aws_sdk_sagemakerruntime::operation::invoke_endpoint::InvokeEndpointError;
use aws_sdk_sagemakerruntime::primitives::Blob;
use mlroll_backend::{Effect, Error, ErrorKind, Probe, Result, RevisionId, SageMakerEndpoint, Target};

use crate::error::{classify_by_text, printable};
use crate::transport::{Tag, Tagging};

const OPERATION: &str = "InvokeEndpoint";

/// As much of an answer as people are shown, in characters.
const SHOWN: usize = 200;

/// `InvokeEndpoint`, of one variant alone.
pub(in crate::sagemaker) async fn invoke(
    client: &Client,
    target: &Target,
    endpoint: &SageMakerEndpoint,
    variant: &RevisionId,
    payload: &[u8],
) -> Result<Probe> {
    let tag = Tag { target: target.clone(), operation: OPERATION, effect: Effect::Read };
    let sent = client
        .invoke_endpoint()
        .endpoint_name(&endpoint.endpoint)
        .target_variant(variant.as_str())
        .content_type(content_type(payload))
        .body(Blob::new(payload))
        .customize()
        .interceptor(Tagging(tag))
        .send()
        .await;
    match sent {
        Ok(answer) => {
            let by = answer.invoked_production_variant.as_deref().unwrap_or_default();
            if !by.is_empty() && by != variant.as_str() {
                let message = format!("variant {by} answered, and {variant} was asked");
                return Err(Error::new(ErrorKind::Unexpected, OPERATION, message));
            }
            let body = answer.body.map(Blob::into_inner).unwrap_or_default();
            Ok(Probe { ok: true, answer: format!("200 {}", printable(&String::from_utf8_lossy(&body), SHOWN)) })
        }
        Err(failed) => match failed.as_service_error() {
            Some(InvokeEndpointError::ModelError(error)) => {
                let status = error.original_status_code.unwrap_or_default();
                let said = error.original_message.as_deref().or(error.message()).unwrap_or_default();
                Ok(Probe { ok: false, answer: format!("{status} {}", printable(said, SHOWN)) })
            }
            _ => Err(classify_by_text(OPERATION, failed, |_| None)),
        },
    }
}

/// What the payload looks like: a model is told, and nobody types it.
fn content_type(payload: &[u8]) -> &'static str {
    if serde_json::from_slice::<serde::de::IgnoredAny>(payload).is_ok() {
        "application/json"
    } else if std::str::from_utf8(payload).is_ok() {
        "text/csv"
    } else {
        "application/octet-stream"
    }
}

#[cfg(test)]
mod tests {
    use super::content_type;

    #[test]
    fn payloads_are_told_by_their_looks() {
        for (payload, expected) in [
            (br#"{"instances": [[1, 2]]}"#.as_slice(), "application/json"),
            (b"1.0,2.0\n", "text/csv"),
            (b"\xff\xd8\xff", "application/octet-stream"),
        ] {
            assert_eq!(content_type(payload), expected);
        }
    }
}
