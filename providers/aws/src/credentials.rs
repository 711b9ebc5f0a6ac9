//! The keys of a GitHub job's role, fetched by the job's own token and renewed for as long as the job runs: keys that a login step
//! leaves behind end after an hour, and with them the right to roll back.
//!
//! The token is asked for anew each time, because it lives for minutes. Where keys cannot be renewed the old ones are used for
//! as long as they last.

use std::error::Error as StdError;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, future};
use aws_sdk_sts::Client;
use aws_smithy_async::time::SharedTimeSource;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::{HttpStatusCodeClassifier, TransientErrorClassifier};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::RetryConfig;
use serde::Deserialize;

use crate::error::{chain, printable};
use crate::settings::GitHub;
use crate::transport::Transport;

/// How long before their end keys are renewed: a failure then leaves time for another try.
pub(crate) const EARLY: Duration = Duration::from_secs(300);

/// Whom a job's token is for.
const AUDIENCE: &str = "sts.amazonaws.com";

/// GitHub's answer.
#[derive(Deserialize)]
struct IdToken {
    value: String,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct JobRole {
    github: GitHub,
    token: Operation<(), String, CredentialsError>,
    sts: Client,
    time: SharedTimeSource,
    last: Mutex<Option<Credentials>>,
}

impl JobRole {
    /// Asks nobody yet. `base` has a region and no credentials.
    pub(crate) fn new(github: &GitHub, base: &SdkConfig, transport: Transport) -> Self {
        let time = base.time_source().unwrap_or_default();
        let (origin, path) = parts(&github.url);
        let operation = Operation::builder()
            .service_name("GitHub")
            .operation_name("id token")
            .http_client(transport)
            .endpoint_url(&origin)
            .no_auth()
            .time_source(time.clone());
        let operation = match base.sleep_impl() {
            Some(sleep) => operation
                .standard_retry(&RetryConfig::standard().with_initial_backoff(Duration::from_millis(100)))
                .retry_classifier(TransientErrorClassifier::<CredentialsError>::new())
                .retry_classifier(HttpStatusCodeClassifier::default())
                .sleep_impl(sleep),
            None => operation.no_retry(),
        };
        let bearer = format!("bearer {}", github.bearer.reveal());
        let token = operation
            .serializer(move |()| {
                let mut request = HttpRequest::new(SdkBody::empty());
                request.set_uri(path.as_str())?;
                request.headers_mut().try_insert("authorization", bearer.clone())?;
                request.headers_mut().try_insert("accept", "application/json")?;
                Ok(request)
            })
            .deserializer(token_in)
            .build();
        let sts = Client::from_conf(aws_sdk_sts::config::Builder::from(base).build());
        Self { github: github.clone(), token, sts, time, last: Mutex::new(None) }
    }

    async fn fetch(&self) -> provider::Result {
        let token = self.token.invoke(()).await.map_err(unreachable)?;
        let answer = self
            .sts
            .assume_role_with_web_identity()
            .role_arn(&self.github.role)
            .role_session_name(&self.github.session)
            .web_identity_token(token)
            .send()
            .await
            .map_err(refused)?;
        let keys = answer.credentials.ok_or_else(|| CredentialsError::unhandled("STS answers without keys"))?;
        let ends = SystemTime::try_from(keys.expiration).map_err(CredentialsError::unhandled)?;
        Ok(Credentials::new(keys.access_key_id, keys.secret_access_key, Some(keys.session_token), Some(ends), "GitHub"))
    }

    /// The latest keys, if they still last.
    fn kept(&self) -> Option<Credentials> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        last.expiry().is_some_and(|ends| ends > self.time.now()).then_some(last)
    }

    async fn renew(&self) -> provider::Result {
        match self.fetch().await {
            Ok(keys) => {
                *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(keys.clone());
                Ok(keys)
            }
            Err(error) => self.kept().ok_or(error),
        }
    }
}

impl ProvideCredentials for JobRole {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.renew())
    }

    fn fallback_on_interrupt(&self) -> Option<Credentials> {
        self.kept()
    }
}

/// Where GitHub's tokens are asked for, with the audience: what comes before the path, and the rest.
fn parts(url: &str) -> (String, String) {
    let separator = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{separator}audience={AUDIENCE}");
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", &url));
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    (format!("{scheme}://{host}"), format!("/{path}"))
}

/// The token in GitHub's answer, of which nothing else is told.
fn token_in(response: &HttpResponse) -> Result<String, OrchestratorError<CredentialsError>> {
    let wrong = |what: String| Err(OrchestratorError::operation(CredentialsError::provider_error(what)));
    match response.status().as_u16() {
        200 => {}
        401 | 403 => return wrong("GitHub gives the job no token: it needs `permissions: id-token: write`".to_owned()),
        status => return wrong(format!("GitHub answers with status {status}, and no token")),
    }
    match serde_json::from_slice::<IdToken>(response.body().bytes().unwrap_or_default()) {
        Ok(token) => Ok(token.value),
        Err(_) => wrong("GitHub's answer is no token".to_owned()),
    }
}

/// Only the innermost error: those around it may show the request.
fn unreachable(failed: SdkError<CredentialsError, HttpResponse>) -> CredentialsError {
    let last = chain(&failed).last().map(ToString::to_string).unwrap_or_default();
    if let SdkError::ServiceError(service) = failed {
        return service.into_err();
    }
    CredentialsError::provider_error(format!("GitHub's tokens cannot be asked for: {last}"))
}

/// STS says why by a code and a text; neither holds the token.
fn refused<E: ProvideErrorMetadata + StdError + Send + Sync + 'static>(
    failed: SdkError<E, HttpResponse>,
) -> CredentialsError {
    match (failed.code(), failed.message()) {
        (None, None) => CredentialsError::provider_error(failed),
        (code, message) => {
            let said = [code, message].into_iter().flatten().collect::<Vec<_>>().join(": ");
            CredentialsError::provider_error(format!("STS refuses the job's token: {}", printable(&said, 200)))
        }
    }
}

#[cfg(test)]
mod tests;
