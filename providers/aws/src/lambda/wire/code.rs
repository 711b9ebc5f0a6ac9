//! Code, versions made of it, and one request to a version.

use std::time::Duration;

use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::primitives::Blob;
use mlroll_backend::{Effect, Error, ErrorKind, Probe, Result};

use super::{Calls, LATEST, Update, reason};
use crate::error::{classify, printable};

/// The longest that an archive of 50 MB, Lambda's limit, may take to send, in one attempt.
const UPLOAD: Duration = Duration::from_secs(180);

/// The longest that a function may run (Lambda quotas), and its way there and back.
const INVOCATION: Duration = Duration::from_secs(15 * 60 + 10);

/// What a version is made from.
pub(in crate::lambda) enum Code<'a> {
    /// A container image, by its address in ECR.
    Image(&'a str),
    /// An archive in S3.
    S3 { bucket: &'a str, key: &'a str, version: Option<&'a str> },
    /// An archive.
    Zip(&'a [u8]),
}

/// The container image of a version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::lambda) struct Image {
    /// As it was named.
    pub(in crate::lambda) named: Option<String>,
    /// With its digest.
    pub(in crate::lambda) resolved: Option<String>,
}

impl Calls<'_> {
    /// `UpdateFunctionCode` of `$LATEST`, which publishes nothing; conditional on the revision id where there is one.
    pub(in crate::lambda) async fn update_code(&self, code: &Code<'_>, revision_id: &str) -> Result<Update> {
        let operation = "UpdateFunctionCode";
        let request = self.client.update_function_code().function_name(self.function()).publish(false);
        let request = match code {
            Code::Image(uri) => request.image_uri(*uri),
            Code::S3 { bucket, key, version } => {
                request.s3_bucket(*bucket).s3_key(*key).set_s3_object_version(version.map(str::to_owned))
            }
            Code::Zip(bytes) => request.zip_file(Blob::new(*bytes)),
        };
        let answer = request
            .set_revision_id(Some(revision_id.to_owned()).filter(|id| !id.is_empty()))
            .customize()
            .config_override(taking(UPLOAD))
            .interceptor(self.tagged(operation, Effect::Write))
            .send()
            .await
            .map_err(|e| classify(operation, e))?;
        Ok(Update {
            version: LATEST.to_owned(),
            code_sha256: answer.code_sha256.unwrap_or_default(),
            revision_id: answer.revision_id.unwrap_or_default(),
            in_progress: answer.last_update_status.as_ref().is_some_and(|s| s.as_str() == "InProgress"),
            failure: answer.last_update_status.filter(|s| s.as_str() == "Failed").map(|_| {
                reason(answer.last_update_status_reason_code.map(|c| c.to_string()), answer.last_update_status_reason)
            }),
        })
    }

    /// `UpdateFunctionConfiguration` of `$LATEST`: its description only.
    pub(in crate::lambda) async fn describe(&self, description: &str, revision_id: &str) -> Result<()> {
        let operation = "UpdateFunctionConfiguration";
        self.client
            .update_function_configuration()
            .function_name(self.function())
            .description(description)
            .set_revision_id(Some(revision_id.to_owned()).filter(|id| !id.is_empty()))
            .customize()
            .interceptor(self.tagged(operation, Effect::Write))
            .send()
            .await
            .map(drop)
            .map_err(|e| classify(operation, e))
    }

    /// `PublishVersion`: the number of the version that `$LATEST` is now, a new one or, when nothing has changed since the
    /// newest, that one. Refused when `$LATEST` has other code, or changed since it had this revision id.
    pub(in crate::lambda) async fn publish(&self, latest: &Update) -> Result<String> {
        let operation = "PublishVersion";
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let answer = self
            .client
            .publish_version()
            .function_name(self.function())
            .set_code_sha256(some(&latest.code_sha256))
            .set_revision_id(some(&latest.revision_id))
            .customize()
            .interceptor(self.tagged(operation, Effect::Write))
            .send()
            .await
            .map_err(|e| classify(operation, e))?;
        answer.version.ok_or_else(|| {
            Error::new(ErrorKind::Unexpected, operation, "the answer has no Version: it is not Lambda's")
        })
    }

    /// `GetFunction` of one version: where its image is.
    pub(in crate::lambda) async fn get_image(&self, version: &str) -> Result<Image> {
        let operation = "GetFunction";
        let answer = self
            .client
            .get_function()
            .function_name(self.function())
            .qualifier(version)
            .customize()
            .interceptor(self.tagged(operation, Effect::Read))
            .send()
            .await
            .map_err(|e| classify(operation, e).with("version", version))?;
        let code = answer.code.unwrap_or_else(|| aws_sdk_lambda::types::FunctionCodeLocation::builder().build());
        Ok(Image { named: code.image_uri, resolved: code.resolved_image_uri })
    }

    /// `Invoke` of one version, waiting for its answer.
    pub(in crate::lambda) async fn invoke(&self, version: &str, payload: &[u8]) -> Result<Probe> {
        let operation = "Invoke";
        let answer = self
            .client
            .invoke()
            .function_name(self.function())
            .qualifier(version)
            .payload(Blob::new(payload))
            .customize()
            .config_override(taking(INVOCATION))
            .interceptor(self.tagged(operation, Effect::Read))
            .send()
            .await
            .map_err(|e| classify(operation, e).with("version", version))?;
        if let Some(other) = answer.executed_version.filter(|executed| executed != version) {
            let message = format!("version {version} was asked, and {other} answered");
            return Err(Error::new(ErrorKind::Unexpected, operation, message));
        }
        let body = answer.payload.map(Blob::into_inner).unwrap_or_default();
        let body = printable(&String::from_utf8_lossy(&body), 300);
        Ok(match answer.function_error {
            Some(kind) => {
                Probe { ok: false, answer: format!("{} {}: {body}", answer.status_code, printable(&kind, 40)) }
            }
            None => {
                Probe { ok: (200..300).contains(&answer.status_code), answer: format!("{} {body}", answer.status_code) }
            }
        })
    }
}

/// Calls whose single attempt may take this long, and all attempts together not much longer.
fn taking(attempt: Duration) -> aws_sdk_lambda::config::Builder {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(crate::session::CONNECT)
        .read_timeout(attempt)
        .operation_timeout(attempt + crate::session::OPERATION);
    aws_sdk_lambda::config::Builder::new().timeout_config(timeouts.build())
}
