//! What happens to every request on its way to the store, and back.
//!
//! Credentials in clear text leave this machine only when that is allowed. Redirects are not followed: they would carry
//! credentials to somebody else, and make a POST a GET. Answers are read whole, in bounded time and size. Throttling,
//! failures of the store and broken connections are tried again, with growing waits, until the total time is over.

use std::time::Duration;

use mlroll_backend::{Error, ErrorKind, Result};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, Method, StatusCode, Url};

use crate::error::{OPERATION, classify, no_answer, unexpected, worth_a_retry};
use crate::settings::invalid;
use crate::{Auth, Limits, Settings};

/// Longer addresses are refused by proxies on the way.
const LONGEST_QUERY_IN_URL: usize = 8000;

/// A connection to one store.
#[derive(Debug)]
pub(crate) struct Transport {
    client: Client,
    /// What answers queries at a moment.
    instant: Url,
    /// What answers queries over a range of time.
    range: Url,
    auth: Auth,
    headers: HeaderMap,
    limits: Limits,
}

/// How an attempt ended that brought no answer.
struct Failure {
    error: Error,
    /// When the store wants to be asked again.
    retry_after: Option<Duration>,
}

impl Transport {
    /// Connects to nothing yet.
    pub(crate) fn new(settings: &Settings) -> Result<Self> {
        let limits = settings.limits;
        let endpoint = endpoint(&settings.url)?;
        let mut range = endpoint.clone();
        range.set_path(&format!("{}_range", endpoint.path()));
        let has_credentials = settings.auth != Auth::None || !settings.headers.is_empty();
        if endpoint.scheme() == "http" && has_credentials && !settings.allow_plain_http && !is_loopback(&endpoint) {
            let host = endpoint.host_str().unwrap_or_default();
            return Err(invalid(format!(
                "refusing to send credentials in clear text to {host}: use https, or set allow_plain_http = true"
            )));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &settings.headers {
            let no_header =
                || invalid(format!("`{}` is not a header, or its value cannot be sent", name.escape_debug()));
            let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| no_header())?;
            let mut value = HeaderValue::from_str(value.reveal()).map_err(|_| no_header())?;
            value.set_sensitive(true);
            headers.append(key, value);
        }
        let mut builder = Client::builder()
            .user_agent(concat!("mlroll/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .connect_timeout(limits.connect)
            .timeout(limits.attempt);
        if let Some(pem) = &settings.ca {
            let certificates = Certificate::from_pem_bundle(pem).unwrap_or_default();
            if certificates.is_empty() {
                return Err(invalid("ca holds no PEM certificate"));
            }
            builder = builder.tls_certs_only(certificates);
        } else if endpoint.scheme() == "http" {
            // The system's certificates take a while to read.
            builder = builder.tls_certs_only([]);
        }
        if let Some(proxy) = &settings.proxy {
            let way = reqwest::Proxy::https(proxy.url()).map_err(|_| invalid("the proxy's address is none"))?;
            builder = builder.proxy(way.no_proxy(reqwest::NoProxy::from_string(proxy.except())));
        }
        let client =
            builder.build().map_err(|e| invalid("no HTTP client can be made of these settings").caused_by(e))?;
        Ok(Self { client, instant: endpoint, range, auth: settings.auth.clone(), headers, limits })
    }

    /// The answer's body, of status 200, to a query at a moment.
    pub(crate) async fn ask(&self, query: &str, time: i64) -> Result<Vec<u8>> {
        self.answer(&self.instant, &[("query", query), ("time", &time.to_string())]).await
    }

    /// The answer's body, of status 200, to a query at every `step` seconds from `start` to `end`, both included.
    pub(crate) async fn ask_range(&self, query: &str, start: i64, end: i64, step: u64) -> Result<Vec<u8>> {
        let (start, end, step) = (start.to_string(), end.to_string(), step.to_string());
        self.answer(&self.range, &[("query", query), ("start", &start), ("end", &end), ("step", &step)]).await
    }

    async fn answer(&self, to: &Url, form: &[(&str, &str)]) -> Result<Vec<u8>> {
        let limit = format!("{}ms", self.limits.attempt.as_millis());
        let form = [form, &[("timeout", &limit)]].concat();
        let mut last = None;
        let attempts = async {
            let mut wait = self.limits.backoff;
            for attempt in 1.. {
                let failure = match self.attempt(to, &form).await {
                    Ok(body) => return Ok(body),
                    Err(failure) => failure,
                };
                let too_late = failure.retry_after.is_some_and(|wait| wait >= self.limits.total);
                if !worth_a_retry(&failure.error) || attempt >= self.limits.attempts || too_late {
                    return Err(failure.error.with("attempts", attempt));
                }
                let pause = failure.retry_after.unwrap_or(wait);
                last = Some(failure.error.with("attempts", attempt));
                pause_for(pause).await;
                wait = wait.saturating_mul(2);
            }
            Err(unexpected("no attempt was made"))
        };
        match tokio::time::timeout(self.limits.total, attempts).await {
            Ok(ended) => ended,
            Err(_) => Err(last.unwrap_or_else(|| {
                let message = format!("no answer within {} s", self.limits.total.as_secs_f64());
                Error::new(ErrorKind::Unavailable, OPERATION, message)
            })),
        }
    }

    async fn attempt(&self, to: &Url, form: &[(&str, &str)]) -> Result<Vec<u8>, Failure> {
        let mut answer = self.send(Method::POST, to, form).await?;
        if answer.status() == StatusCode::METHOD_NOT_ALLOWED
            && form.iter().map(|(_, v)| v.len()).sum::<usize>() < LONGEST_QUERY_IN_URL
        {
            // Some gateways let nothing but GET through.
            answer = self.send(Method::GET, to, form).await?;
        }
        let status = answer.status().as_u16();
        let retry_after = answer.headers().get("retry-after").and_then(|v| v.to_str().ok()?.trim().parse().ok());
        let retry_after = retry_after.map(Duration::from_secs);
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(Failure::from)? {
            if body.len() + chunk.len() > self.limits.answer {
                let message = format!(
                    "the store's answer is longer than {} bytes: does the query select too much?",
                    self.limits.answer
                );
                return Err(Failure { error: unexpected(message), retry_after: None });
            }
            body.extend_from_slice(&chunk);
        }
        if status == 200 { Ok(body) } else { Err(Failure { error: classify(status, &body), retry_after }) }
    }

    async fn send(&self, method: Method, to: &Url, form: &[(&str, &str)]) -> Result<reqwest::Response, Failure> {
        let request = if method == Method::GET {
            let mut url = to.clone();
            url.query_pairs_mut().extend_pairs(form);
            self.client.get(url)
        } else {
            self.client.post(to.clone()).form(form)
        };
        let request = match &self.auth {
            Auth::Basic { user, password } => request.basic_auth(user, Some(password.reveal())),
            Auth::Bearer(token) => request.bearer_auth(token.reveal()),
            Auth::None => request,
        };
        request.headers(self.headers.clone()).send().await.map_err(Failure::from)
    }
}

impl From<reqwest::Error> for Failure {
    fn from(failed: reqwest::Error) -> Self {
        let error = if failed.is_timeout() {
            Error::new(ErrorKind::Unavailable, OPERATION, "no answer from the store in time")
        } else if failed.is_builder() {
            invalid("credentials or a header hold something that cannot be sent")
        } else {
            no_answer(&failed)
        };
        Self { error, retry_after: None }
    }
}

#[expect(clippy::disallowed_methods, reason = "retries are the transport's, and so are the waits between them")]
async fn pause_for(wait: Duration) {
    tokio::time::sleep(wait).await;
}

/// The address of the query API under a base.
fn endpoint(base: &str) -> Result<Url> {
    // The parser's own messages do not repeat the text, which may hold a password.
    let url = Url::parse(base).map_err(|e| invalid(format!("url is not an address: {e}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(invalid("url must begin with http:// or https:// and a host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("url holds a user or a password: use the keys for them, so that they are never printed"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("url must end with its path: no `?`, no `#`"));
    }
    let mut endpoint = url.clone();
    endpoint.set_path(&format!("{}/api/v1/query", url.path().trim_end_matches('/')));
    Ok(endpoint)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;

    #[test]
    fn the_path_of_the_base_is_kept() {
        for (base, expected) in [
            ("http://127.0.0.1:9090", "http://127.0.0.1:9090/api/v1/query"),
            ("https://example.com/prometheus/", "https://example.com/prometheus/api/v1/query"),
            ("https://example.com/select/0/prometheus", "https://example.com/select/0/prometheus/api/v1/query"),
        ] {
            assert_eq!(endpoint(base).unwrap().as_str(), expected);
        }
        for base in [
            "",
            "example.com",
            "ftp://example.com",
            "http://",
            "https://u:hunter2@h/",
            "https://h/?a=b",
            "https://h/#a",
        ] {
            let error = endpoint(base).unwrap_err();
            assert!(error.kind() == ErrorKind::Invalid && !error.to_string().contains("hunter2"), "{base}: {error}");
        }
    }

    #[test]
    fn credentials_leave_the_machine_encrypted_or_by_permission() {
        let settings = |url: &str| Settings { url: url.to_owned(), ..Settings::default() };
        let bearer = |url: &str| Settings { auth: Auth::Bearer(Secret::new("hunter2")), ..settings(url) };
        let header = |url: &str| Settings { headers: vec![("X-Key".to_owned(), Secret::new("k"))], ..settings(url) };
        for url in ["http://127.8.8.8:1", "http://localhost", "http://[::1]:80", "https://example.com"] {
            assert!(Transport::new(&bearer(url)).is_ok() && Transport::new(&header(url)).is_ok(), "{url}");
        }
        for url in ["http://10.0.0.1", "http://127.0.0.1.example.com", "http://localhost.example.com", "http://[::2]"] {
            assert!(Transport::new(&settings(url)).is_ok(), "{url}");
            for settings in [bearer(url), header(url)] {
                assert_eq!(Transport::new(&settings).unwrap_err().kind(), ErrorKind::Invalid, "{url}");
                assert!(Transport::new(&Settings { allow_plain_http: true, ..settings }).is_ok(), "{url}");
            }
        }
    }

    #[test]
    fn what_cannot_work_is_said_at_once_and_nothing_secret_is_printed() {
        let settings = Settings { url: "https://127.0.0.1".to_owned(), ..Settings::default() };
        for broken in [
            Settings { ca: Some(b"no certificate".to_vec()), ..settings.clone() },
            Settings { headers: vec![("no header".to_owned(), Secret::new("x"))], ..settings.clone() },
            Settings { headers: vec![("X-Key".to_owned(), Secret::new("hunter2\n"))], ..settings.clone() },
        ] {
            let error = Transport::new(&broken).unwrap_err();
            assert!(error.kind() == ErrorKind::Invalid && !error.to_string().contains("hunter2"), "{error}");
        }
        let headers = vec![("X-Key".to_owned(), Secret::new("hunter2"))];
        let transport =
            Transport::new(&Settings { headers, auth: Auth::Bearer(Secret::new("hunter2")), ..settings }).unwrap();
        assert!(!format!("{transport:?}").contains("hunter2"));
    }
}
