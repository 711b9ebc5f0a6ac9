//! What happens to every request on its way to Azure Resource Manager, or to Log Analytics, and back.
//!
//! In this order, each attempt: given a token, which goes to this one host and nowhere else, and in clear text only on
//! this machine; shown to the [`Wiretap`], which counts it or, in a rehearsal, stops it; sent; its answer read whole, in
//! bounded time and size. Redirects are not followed and proxies not used.
//!
//! What is tried again: anything that Azure throttled, after its `Retry-After`, where that is short; where it is longer than
//! the time that one operation has, the error says so, and whoever has the time waits; a token that was refused, once, with a
//! new one; and *reads* that got no answer or a bad one. A write without a good answer is not sent again here: it may
//! have been made, somebody else may have written since, and there is no guard that would refuse the repeat. Who wrote
//! reads first ([`shift`](mlroll_backend::Backend::shift)).

use std::sync::Arc;
use std::time::Duration;

use mlroll_backend::{Call, Effect, Error, ErrorKind, Permit, Proxy, Result, Target, Wiretap};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Url};

use crate::credentials::Tokens;
use crate::error::{Trace, classify, no_answer, unexpected};
use crate::settings::{Api, Secret, Settings, invalid};

/// The longest to wait for a connection.
const CONNECT: Duration = Duration::from_secs(3);

/// The longest a single attempt may take, to the last byte of the answer. A write takes about a second, a list as long.
const ATTEMPT: Duration = Duration::from_secs(10);

/// The longest one operation may take, waits and retries included.
const TOTAL: Duration = Duration::from_secs(30);

/// The first wait before another attempt; each next one is twice as long.
const BACKOFF: Duration = Duration::from_millis(200);

/// How often a request is tried.
const ATTEMPTS: u32 = 5;

/// For how many seconds Log Analytics may work on a query: no longer than somebody waits for the answer.
const PATIENCE: &str = "wait=9";

/// More than any answer about an endpoint or its metrics.
const LONGEST_ANSWER: usize = 16 * 1024 * 1024;

/// A connection to one of Azure's APIs.
#[derive(Debug)]
pub(crate) struct Transport {
    api: Api,
    client: Client,
    base: Url,
    overridden: bool,
    pub(crate) tokens: Tokens,
    wiretap: Option<Arc<dyn Wiretap>>,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) operation: &'static str,
    pub(crate) target: &'a Target,
    pub(crate) effect: Effect,
    pub(crate) method: &'static str,
    pub(crate) address: Address,
    pub(crate) body: Option<String>,
}

/// Where a request goes: always on the host of the API that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address(Url);

/// An answer whose status says that it was done.
#[derive(Debug)]
pub(crate) struct Answer {
    #[cfg_attr(not(feature = "machine_learning"), expect(dead_code, reason = "only endpoints have operations"))]
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// How an attempt ended that did not do it.
struct Failure {
    error: Error,
    /// The token that was not taken.
    refused: Option<Secret>,
}

impl Transport {
    /// A connection to Azure Resource Manager, which connects to nothing yet.
    ///
    /// # Errors
    /// `Invalid`: the endpoint makes no sense or would get the token in clear text, the cloud or the credential has an
    /// unknown name.
    pub(crate) fn new(settings: &Settings, wiretap: Option<Arc<dyn Wiretap>>) -> Result<Self> {
        Self::to(Api::ResourceManager, settings, wiretap)
    }

    /// The same to an API; the tokens for it go to its host and nowhere else.
    ///
    /// # Errors
    /// As [`new`](Self::new), or the cloud has no such API.
    pub(crate) fn to(api: Api, settings: &Settings, wiretap: Option<Arc<dyn Wiretap>>) -> Result<Self> {
        let cloud = settings.cloud()?;
        let (own, variable) = (cloud.host(api)?, api.endpoint_variable());
        let text = api.endpoint(settings).unwrap_or(own);
        // The parser's own messages do not repeat the text, which may hold a password.
        let base = Url::parse(text).map_err(|e| invalid(format!("{variable} is not an address: {e}")))?;
        let odd = base.host_str().is_none_or(str::is_empty) || base.query().is_some() || base.fragment().is_some();
        if !matches!(base.scheme(), "http" | "https") || odd || !base.username().is_empty() || base.password().is_some()
        {
            return Err(invalid(format!(
                "{variable} must be https://HOST or, on loopback, http://HOST:PORT, and no more"
            )));
        }
        if base.scheme() == "http" && !is_loopback(&base) {
            let host = base.host_str().unwrap_or_default();
            return Err(invalid(format!(
                "refusing to send credentials in clear text to {host}: plain http is for loopback only"
            )));
        }
        let overridden = Url::parse(own).is_ok_and(|own| own.origin() != base.origin());
        let ready = api.ready(settings).is_some();
        let client = client(base.scheme() == "http" && ready, settings.proxy.as_ref())?;
        let tokens = Tokens::new(api, settings, cloud, client.clone())?;
        Ok(Self { api, client, base, overridden, tokens, wiretap })
    }

    /// The address of a resource, each of whose `segments` is escaped.
    pub(crate) fn address<'s>(
        &self,
        segments: impl IntoIterator<Item = &'s str>,
        query: &[(&str, &str)],
    ) -> Result<Address> {
        let mut url = self.base.clone();
        match url.path_segments_mut() {
            Ok(mut path) => {
                path.pop_if_empty().extend(segments);
            }
            Err(()) => return Err(invalid(format!("{} cannot have paths under it", self.api.endpoint_variable()))),
        }
        url.query_pairs_mut().extend_pairs(query);
        Ok(Address(url))
    }

    /// The address that an answer gave: the next page, the status of an operation.
    ///
    /// # Errors
    /// `Unexpected`: it is on another host, which must not see the token.
    pub(crate) fn follow(&self, operation: &'static str, link: &str) -> Result<Address> {
        match Url::parse(link) {
            Ok(url) if url.origin() == self.base.origin() && url.username().is_empty() => Ok(Address(url)),
            Ok(_) | Err(_) => Err(unexpected(operation, "it points to another host, which must not see the token")),
        }
    }

    /// Sends a request, as often as it takes and may be.
    pub(crate) async fn send(&self, request: &Request<'_>) -> Result<Answer> {
        let mut last = None;
        let attempts = async {
            let mut wait = BACKOFF;
            let mut left = TOTAL;
            let mut refused: Option<Secret> = None;
            for attempt in 1.. {
                let failure = match self.attempt(request, refused.as_ref()).await {
                    Ok(answer) => return Ok(answer),
                    Err(failure) => failure,
                };
                if failure.refused.is_some() && refused.is_none() {
                    refused = failure.refused;
                    last = Some(failure.error);
                    continue;
                }
                let again = match failure.error.kind() {
                    ErrorKind::Throttled => true,
                    ErrorKind::Unavailable => request.effect == Effect::Read,
                    ErrorKind::Auth
                    | ErrorKind::Conflict
                    | ErrorKind::Invalid
                    | ErrorKind::NotFound
                    | ErrorKind::Unexpected
                    | ErrorKind::Unsupported
                    | ErrorKind::Withheld => false,
                };
                let pause = failure.error.retry_after().unwrap_or(wait);
                if !again || attempt >= ATTEMPTS || pause >= left {
                    return Err(failure.error);
                }
                last = Some(failure.error);
                pause_for(pause).await;
                left -= pause;
                wait = wait.saturating_mul(2);
            }
            Err(unexpected(request.operation, "no attempt was made"))
        };
        match tokio::time::timeout(TOTAL, attempts).await {
            Ok(ended) => ended,
            Err(_) => Err(last.unwrap_or_else(|| {
                let message = format!("no answer within {} s", TOTAL.as_secs());
                Error::new(ErrorKind::Unavailable, request.operation, message)
            })),
        }
    }

    async fn attempt(&self, request: &Request<'_>, refused: Option<&Secret>) -> Result<Answer, Failure> {
        let token = self.tokens.get(refused).await?;
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.reveal())).map_err(|_| {
            Error::new(ErrorKind::Auth, request.operation, "the token holds something that cannot be sent")
        })?;
        bearer.set_sensitive(true);
        if let Some(wiretap) = &self.wiretap
            && wiretap.about_to_send(&self.describe(request)) == Permit::Withhold
        {
            return Err(Error::new(ErrorKind::Withheld, request.operation, "a dry run stops before this call").into());
        }
        let method = match request.method {
            "PATCH" => Method::PATCH,
            "POST" => Method::POST,
            "PUT" => Method::PUT,
            _ => Method::GET,
        };
        let mut sent = self.client.request(method, request.address.0.clone()).header(AUTHORIZATION, bearer);
        if self.api == Api::Logs {
            sent = sent.header("Prefer", PATIENCE);
        }
        if let Some(body) = &request.body {
            sent = sent.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        let mut answer = sent.send().await.map_err(|e| no_answer(request.operation, &e))?;
        let status = answer.status().as_u16();
        let headers = answer.headers().clone();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|e| no_answer(request.operation, &e))? {
            if body.len() + chunk.len() > LONGEST_ANSWER {
                return Err(unexpected(request.operation, format!("it is longer than {LONGEST_ANSWER} bytes")).into());
            }
            body.extend_from_slice(&chunk);
        }
        if (200..300).contains(&status) {
            return Ok(Answer { headers, body });
        }
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let trace = Trace { request: text("x-ms-request-id"), correlation: text("x-ms-correlation-request-id") };
        let wait = headers.get(RETRY_AFTER).and_then(|value| wait_of(value.to_str().ok()?, text("date").as_deref()));
        Err(Failure {
            error: classify(request.operation, status, &body, trace).again_after(wait),
            refused: (status == 401).then_some(token),
        })
    }

    fn describe(&self, request: &Request<'_>) -> Call {
        Call {
            target: request.target.clone(),
            operation: request.operation,
            effect: request.effect,
            method: request.method.to_owned(),
            url: request.address.0.to_string(),
            overridden: self.overridden,
            body: request.body.clone(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, refused: None }
    }
}

/// A client that follows nobody and waits for nobody for long. Reading the system's certificates takes a while: it is
/// left out when nothing but loopback is asked.
pub(crate) fn client(only_loopback: bool, proxy: Option<&Proxy>) -> Result<Client> {
    let mut builder = Client::builder()
        .user_agent(concat!("mlroll/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .connect_timeout(CONNECT)
        .timeout(ATTEMPT);
    if only_loopback {
        builder = builder.tls_certs_only([]);
    }
    if let Some(proxy) = proxy {
        let way = reqwest::Proxy::https(proxy.url()).map_err(|_| invalid("the proxy's address is none"))?;
        builder = builder.proxy(way.no_proxy(reqwest::NoProxy::from_string(proxy.except())));
    }
    builder
        .build()
        .map_err(|e| invalid("no HTTPS client can be made: are there no certificates on this system?").caused_by(e))
}

/// Whether an address is on this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// `Retry-After` in seconds, or as a date, which is then compared with the answer's own.
fn wait_of(text: &str, date: Option<&str>) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let now = httpdate::parse_http_date(date?).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

#[expect(clippy::disallowed_methods, reason = "retries are the transport's, and so are the waits between them")]
async fn pause_for(wait: Duration) {
    tokio::time::sleep(wait).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(endpoint: &str) -> Result<Transport> {
        let settings = Settings { endpoint: Some(endpoint.to_owned()), ..Settings::default() };
        Transport::new(&settings, None)
    }

    #[test]
    fn a_token_goes_to_the_endpoint_and_nowhere_else() {
        let transport = with("http://127.0.0.1:4620").unwrap();
        for (link, fine) in [
            ("http://127.0.0.1:4620/subscriptions/s?x=oe:1", true),
            ("http://127.0.0.1:4621/subscriptions/s", false),
            ("http://localhost:4620/subscriptions/s", false),
            ("https://127.0.0.1:4620/subscriptions/s", false),
            ("https://management.azure.com/subscriptions/s", false),
            ("http://127.0.0.1:4620@evil.example/", false),
            ("http://me@127.0.0.1:4620/", false),
            ("//evil.example/", false),
            ("/subscriptions/s", false),
        ] {
            assert_eq!(transport.follow("Op", link).is_ok(), fine, "{link}");
        }
    }

    #[test]
    fn clear_text_is_for_loopback_and_secrets_in_addresses_are_not_repeated() {
        for endpoint in [
            "http://10.0.0.1",
            "ftp://127.0.0.1",
            "https://me:hunter2@example.com",
            "https://example.com?x=hunter2",
            "hunter2",
        ] {
            let error = with(endpoint).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        for endpoint in ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1", "https://example.com/arm/"] {
            assert!(with(endpoint).is_ok(), "{endpoint}");
        }
    }

    #[test]
    fn paths_are_escaped_and_keep_their_base() {
        let transport = with("https://example.com/arm/").unwrap();
        let address = transport.address(["a b", "..", "c/d"], &[("api-version", "1")]).unwrap();
        assert_eq!(address.0.as_str(), "https://example.com/arm/a%20b/c%2Fd?api-version=1");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(wait_of(" 17 ", None), Some(Duration::from_secs(17)));
        let date = Some("Sat, 21 Nov 2026 08:00:00 GMT");
        assert_eq!(wait_of("Sat, 21 Nov 2026 08:00:05 GMT", date), Some(Duration::from_secs(5)));
        assert_eq!(wait_of("Sat, 21 Nov 2026 07:00:05 GMT", date), Some(Duration::ZERO));
        assert_eq!((wait_of("soon", date), wait_of("Sat, 21 Nov 2026 08:00:05 GMT", None)), (None, None));
    }
}
