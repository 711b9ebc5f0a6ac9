//! What happens to every request to a control plane on its way to the wire.
//!
//! In this order, each attempt of a call: refused if it would send a signature in clear text to another machine;
//! held to the control plane's rate; shown to the [`Wiretap`], which counts it or, in a rehearsal, stops it; sent;
//! its answer read whole, all within the time of one attempt. Retries are the SDK's, around all this.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_async::future::timeout::Timeout;
use aws_smithy_async::rt::sleep::AsyncSleep;
use aws_smithy_http_client::{Builder, tls};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::interceptors::context::{BeforeTransmitInterceptorContextMut, InterceptorContext};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::retries::classifiers::{
    ClassifyRetry, RetryAction, RetryClassifierPriority, RetryReason,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::config_bag::ConfigBag;
use mlroll_backend::{Call, Effect, Permit, Target, Wiretap};
use serde_json::Value;

use crate::pace::Pace;
use crate::settings::Way;

/// The longest a single attempt may take when nothing else is said, from sending to the last byte of the answer.
const ATTEMPT: Duration = Duration::from_secs(5);

/// More than any answer of a control plane; a longer one is no answer of a control plane.
const LONGEST_ANSWER: usize = 16 * 1024 * 1024;

/// The member of a body that holds an archive in base64, which is no text for people.
const ARCHIVE: &str = "ZipFile";

/// What a request is about, carried by the request itself.
#[derive(Clone, Debug)]
pub(crate) struct Tag {
    pub(crate) target: Target,
    pub(crate) operation: &'static str,
    pub(crate) effect: Effect,
}

/// Ties a [`Tag`] to each attempt of one operation.
#[derive(Debug)]
pub(crate) struct Tagging(pub(crate) Tag);

/// Connections by TLS and without. Those who share them read and parse the system's certificates once, which takes longer
/// than a request does; whoever asks only loopback, and the metadata addresses, never does.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    plain: SharedHttpClient,
    secure: SharedHttpClient,
}

impl Connections {
    pub(crate) fn new(way: Way) -> Self {
        let made = |settings: Option<&HttpConnectorSettings>, components: Option<&RuntimeComponents>| {
            let mut builder = aws_smithy_http_client::Connector::builder();
            builder.set_connector_settings(settings.cloned());
            builder.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
            builder
        };
        let plain =
            Builder::new().build_with_connector_fn(move |settings, components| made(settings, components).build_http());
        let secure = Builder::new().build_with_connector_fn(move |settings, components| {
            let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc);
            made(settings, components).tls_provider(provider).proxy_config(way.0.clone()).build()
        });
        Self { plain, secure }
    }
}

/// Makes connections on which the steps of this module apply to tagged requests.
#[derive(Debug)]
pub(crate) struct Transport {
    inner: Connections,
    wiretap: Arc<dyn Wiretap>,
    pace: Arc<Pace>,
    attempt: Duration,
}

/// Why a request did not leave this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotSent {
    /// Its URL is none that requests can be sent to.
    BadUrl(String),
    /// It would have carried a signature in clear text to this host.
    ClearText(String),
    /// A rehearsal stopped it.
    Withheld,
}

impl Transport {
    pub(crate) fn new(inner: Connections, wiretap: Arc<dyn Wiretap>, pace: Pace) -> Self {
        Self { inner, wiretap, pace: Arc::new(pace), attempt: ATTEMPT }
    }

    /// One attempt may take this long.
    #[cfg(any(feature = "cloudwatch", feature = "sagemaker"))]
    pub(crate) const fn with_attempt(mut self, attempt: Duration) -> Self {
        self.attempt = attempt;
        self
    }
}

impl HttpClient for Transport {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector {
            inner: self.inner.clone(),
            settings: settings.clone(),
            components: components.clone(),
            wiretap: Arc::clone(&self.wiretap),
            pace: Arc::clone(&self.pace),
            // A call that takes longer, such as an upload, says so.
            attempt: settings.read_timeout().unwrap_or(self.attempt),
        })
    }
}

#[derive(Clone, Debug)]
struct Connector {
    inner: Connections,
    settings: HttpConnectorSettings,
    components: RuntimeComponents,
    wiretap: Arc<dyn Wiretap>,
    pace: Arc<Pace>,
    attempt: Duration,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = self.clone();
        HttpConnectorFuture::new(async move { connector.send(request).await })
    }
}

impl Connector {
    async fn send(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let tag = request.extension::<Tag>();
        let is_secure = request.uri().get(.."https:".len()).is_some_and(|start| start.eq_ignore_ascii_case("https:"));
        refuse_clear_text(request.uri(), tag.is_some()).map_err(|not_sent| ConnectorError::user(not_sent.into()))?;
        if let Some(tag) = tag {
            let call = describe(tag, &request);
            if let (Some(sleep), Some(time)) = (self.components.sleep_impl(), self.components.time_source()) {
                let wait = self.pace.wait_from(time.now());
                if !wait.is_zero() {
                    sleep.sleep(wait).await;
                }
            }
            if self.wiretap.about_to_send(&call) == Permit::Withhold {
                return Err(ConnectorError::user(NotSent::Withheld.into()));
            }
        }
        let client = if is_secure { &self.inner.secure } else { &self.inner.plain };
        let connector = client.http_connector(&self.settings, &self.components);
        let answer = async {
            let mut response = connector.call(request).await?;
            let body = read_whole(response.take_body()).await?;
            *response.body_mut() = SdkBody::from(body);
            Ok(response)
        };
        match self.components.sleep_impl() {
            Some(sleep) => Timeout::new(answer, sleep.sleep(self.attempt)).await.unwrap_or_else(|_| {
                Err(ConnectorError::timeout(format!("no answer within {} s", self.attempt.as_secs()).into()))
            }),
            None => answer.await,
        }
    }
}

/// Reads the answer here, so that one cut short fails like any other broken connection and is tried again.
async fn read_whole(body: SdkBody) -> Result<Vec<u8>, ConnectorError> {
    let mut stream = ByteStream::new(body);
    let mut whole = Vec::new();
    while let Some(chunk) = stream.next().await {
        whole.extend_from_slice(&chunk.map_err(|e| ConnectorError::io(e.into()))?);
        if whole.len() > LONGEST_ANSWER {
            return Err(ConnectorError::other(format!("an answer of more than {LONGEST_ANSWER} bytes").into(), None));
        }
    }
    Ok(whole)
}

fn describe(tag: &Tag, request: &HttpRequest) -> Call {
    let body = request.body().bytes().filter(|bytes| !bytes.is_empty());
    Call {
        target: tag.target.clone(),
        operation: tag.operation,
        effect: tag.effect,
        method: request.method().to_owned(),
        url: without_user(request.uri()),
        overridden: !host_of(request.uri()).is_some_and(|host| host.contains(".amazonaws.com")),
        body: body.map(|bytes| match serde_json::from_slice::<Value>(bytes) {
            Ok(Value::Object(mut members)) if members.contains_key(ARCHIVE) => {
                members.insert(ARCHIVE.to_owned(), Value::from(format!("... {} bytes in all ...", bytes.len())));
                Value::Object(members).to_string()
            }
            _ => String::from_utf8_lossy(bytes).into_owned(),
        }),
    }
}

/// A signed request or a token in clear text can be used by whoever sees it: loopback only. Requests for credentials
/// may also go to the link-local addresses where instances and containers find theirs.
fn refuse_clear_text(url: &str, tagged: bool) -> Result<(), NotSent> {
    let bad = || NotSent::BadUrl(without_user(url));
    let (scheme, _) = url.split_once("://").ok_or_else(bad)?;
    let host = host_of(url).filter(|host| !host.is_empty()).ok_or_else(bad)?;
    if scheme.eq_ignore_ascii_case("https") {
        return Ok(());
    }
    if !scheme.eq_ignore_ascii_case("http") {
        return Err(bad());
    }
    let metadata = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.segments().starts_with(&[0xfd00, 0xec2]),
    };
    let near = match host.parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback() || (!tagged && metadata(ip)),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    };
    if near { Ok(()) } else { Err(NotSent::ClearText(host.to_owned())) }
}

fn authority_of(url: &str) -> Option<&str> {
    url.split_once("://")?.1.split(['/', '?', '#']).next()
}

fn host_of(url: &str) -> Option<&str> {
    let host_and_port = authority_of(url)?.rsplit('@').next()?;
    match host_and_port.strip_prefix('[') {
        Some(v6) => v6.split(']').next(),
        None => host_and_port.split(':').next(),
    }
}

/// The URL without the user and password that an endpoint may carry.
fn without_user(url: &str) -> String {
    match authority_of(url).and_then(|authority| authority.rsplit_once('@')) {
        Some((user, _)) => url.replacen(&format!("{user}@"), "", 1),
        None => url.to_owned(),
    }
}

impl std::fmt::Display for NotSent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BadUrl(url) => {
                write!(f, "`{url}` is no address to send requests to: allowed are https:// and, on loopback, http://")
            }
            Self::ClearText(host) => {
                write!(f, "refusing to send credentials in clear text to {host}: plain http is for loopback only")
            }
            Self::Withheld => f.write_str("a dry run stops before this call"),
        }
    }
}

impl std::error::Error for NotSent {}

#[dyn_dispatch_hint]
impl Intercept for Tagging {
    fn name(&self) -> &'static str {
        "mlroll tag"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        context.request_mut().add_extension(self.0.clone());
        Ok(())
    }
}

/// Waits as long as the provider's `Retry-After` says, at most the longest backoff, where a retry is due anyway. The
/// SDK reads only its own header, `x-amz-retry-after`.
#[derive(Debug)]
pub(crate) struct HonourRetryAfter;

impl ClassifyRetry for HonourRetryAfter {
    fn name(&self) -> &'static str {
        "mlroll Retry-After"
    }

    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(RetryClassifierPriority::transient_error_classifier())
    }

    fn classify_retry(&self, _: &InterceptorContext) -> RetryAction {
        RetryAction::NoActionIndicated
    }

    fn classify_retry_v2(&self, context: &InterceptorContext, previous: &RetryAction) -> RetryAction {
        let seconds = context.response().and_then(|r| r.headers().get("retry-after")?.trim().parse::<u64>().ok());
        match (previous, seconds) {
            (RetryAction::RetryIndicated(RetryReason::RetryableError { kind, retry_after: None }), Some(seconds)) => {
                RetryAction::retryable_error_with_explicit_delay(*kind, Duration::from_secs(seconds))
            }
            _ => RetryAction::NoActionIndicated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clear_text_is_for_loopback_only() {
        for url in [
            "https://lambda.eu-west-1.amazonaws.com/x",
            "http://127.0.0.1:5000/x",
            "http://127.8.8.8/x",
            "http://localhost:1/",
            "http://LOCALHOST",
            "http://me:secret@127.0.0.1:80/x",
            "http://[::1]:80/x",
        ] {
            assert_eq!(refuse_clear_text(url, true), Ok(()), "{url}");
        }
        for url in [
            "http://10.0.0.1:5000/x",
            "HTTP://10.0.0.1:5000/x",
            "http://127.0.0.1.example.com/",
            "http://127.0.0.1@example.com/",
            "http://localhost.example.com",
            "http://169.254.169.254/latest",
            "http://[::2]/",
            "http://",
            "ftp://127.0.0.1/",
            "127.0.0.1:5000",
        ] {
            assert!(refuse_clear_text(url, true).is_err(), "{url}");
        }
    }

    #[test]
    fn credentials_may_be_asked_for_at_the_metadata_address_and_sent_nowhere_else_in_clear() {
        assert_eq!(refuse_clear_text("http://169.254.169.254/latest/api/token", false), Ok(()));
        assert_eq!(refuse_clear_text("http://[fd00:ec2::254]/latest/api/token", false), Ok(()));
        assert!(refuse_clear_text("http://sts.example.com/", false).is_err());
    }

    #[test]
    fn a_password_in_an_endpoint_is_not_shown() {
        assert_eq!(without_user("http://me:p@ss@127.0.0.1:80/x@y"), "http://127.0.0.1:80/x@y");
        assert_eq!(without_user("http://127.0.0.1:80/x@y"), "http://127.0.0.1:80/x@y");
    }
}
