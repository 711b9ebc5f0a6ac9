//! A client, a token and an endpoint: what the requests to one API share.

use std::net::IpAddr;

use mlroll_backend::{Error, ErrorKind, Result};
use reqwest::{Client, Url};
use tokio::sync::OnceCell;

#[cfg(feature = "cloud_run")]
use crate::Secret;
use crate::credentials::{TokenSource, find};
use crate::error::printable;
use crate::{Limits, Settings};

/// What the requests to one API share. Nothing is read or connected before the first call.
#[derive(Debug)]
pub(crate) struct Session {
    settings: Settings,
    base: Url,
    client: OnceCell<Client>,
    tokens: OnceCell<Box<dyn TokenSource>>,
}

impl Session {
    /// A session with the API at `endpoint`, or else at `own`, which is Google's.
    ///
    /// # Errors
    /// `Invalid`: the endpoint is none that requests may be sent to.
    pub(crate) fn new(settings: &Settings, endpoint: Option<&str>, own: &str) -> Result<Self> {
        let base = base(endpoint.unwrap_or(own))?;
        Ok(Self { settings: settings.clone(), base, client: OnceCell::new(), tokens: OnceCell::new() })
    }

    pub(crate) const fn limits(&self) -> Limits {
        self.settings.limits
    }

    /// The address of a resource. Each segment is escaped, so that no name can lead elsewhere.
    pub(crate) fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Whether requests go to another host than Google's.
    pub(crate) fn is_overridden(&self) -> bool {
        !self.base.host_str().is_some_and(|host| host.ends_with(".googleapis.com"))
    }

    pub(crate) async fn tokens(&self) -> Result<&dyn TokenSource> {
        let tokens = self.tokens.get_or_try_init(async || find(&self.settings)).await?;
        Ok(tokens.as_ref())
    }

    /// A token that says who asks, for a service of the user's; `None` when the credentials have none.
    #[cfg(feature = "cloud_run")]
    pub(crate) async fn identity(&self, audience: &str) -> Result<Option<Secret>> {
        let wire = crate::identity::Wire(self.client().await?);
        crate::identity::identity(&self.settings, &wire, audience).await
    }

    /// Where the API itself is, when that is this machine: a sandbox, whose services are there too.
    #[cfg(feature = "cloud_run")]
    pub(crate) fn on_this_machine(&self) -> Option<&Url> {
        Some(&self.base).filter(|base| is_loopback(base))
    }

    pub(crate) async fn client(&self) -> Result<&Client> {
        let limits = self.limits();
        let made = async || {
            let mut builder = Client::builder()
                .user_agent(concat!("mlroll/", env!("CARGO_PKG_VERSION")))
                // A redirect would carry the token to somebody else.
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .no_proxy()
                .connect_timeout(limits.connect)
                .timeout(limits.attempt);
            if self.base.scheme() == "http" {
                // The system's certificates take a while to read.
                builder = builder.tls_certs_only([]);
            }
            if let Some(proxy) = &self.settings.proxy {
                let way = reqwest::Proxy::https(proxy.url()).map_err(|_| invalid("the proxy's address is none"))?;
                builder = builder.proxy(way.no_proxy(reqwest::NoProxy::from_string(proxy.except())));
            }
            builder.build().map_err(|e| invalid("no HTTP client can be made").caused_by(e))
        };
        self.client.get_or_try_init(made).await
    }
}

/// A base that tokens may be sent to: https, or loopback.
fn base(text: &str) -> Result<Url> {
    // The parser's own messages do not repeat the text, which may hold a password.
    let url = Url::parse(text).map_err(|e| invalid(format!("the endpoint is no address: {e}")))?;
    let shown = printable(url.host_str().unwrap_or_default(), 200);
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("the endpoint holds a user or a password, and would be printed with them"));
    }
    if url.query().is_some() || url.fragment().is_some() || url.cannot_be_a_base() {
        return Err(invalid("the endpoint must be a base: no `?`, no `#`"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => {
            Err(invalid(format!("refusing to send a token in clear text to {shown}: plain http is for loopback only")))
        }
        other => Err(invalid(format!("the endpoint must begin with https://, not {other}://"))),
    }
}

/// Whether something sent to this address could be read on its way. The link-local addresses are where machines find their
/// own metadata.
pub(crate) fn is_in_clear(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let host = url.host_str().unwrap_or_default();
    let near = host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_link_local());
    url.scheme() == "http" && !near && !is_loopback(&url)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "settings", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_leave_this_machine_by_https_only() {
        for text in ["https://run.googleapis.com", "http://127.0.0.1:80/x", "http://LOCALHOST", "http://[::1]:1"] {
            assert!(base(text).is_ok(), "{text}");
        }
        for text in [
            "http://10.0.0.1",
            "http://127.0.0.1.example.com",
            "http://127.0.0.1@example.com",
            "https://me:hunter2@example.com",
            "https://example.com?a=b",
            "ftp://127.0.0.1",
            "127.0.0.1:80",
            "",
        ] {
            let error = base(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn addresses_in_the_clear_are_known() {
        for text in ["http://sts.example.com/v1/token", "http://10.0.0.1"] {
            assert!(is_in_clear(text), "{text}");
        }
        for text in ["https://sts.googleapis.com", "http://127.0.0.1:1/x", "http://169.254.169.254/latest", "acme", ""]
        {
            assert!(!is_in_clear(text), "{text}");
        }
    }

    #[test]
    fn no_name_leads_elsewhere() {
        let session = Session::new(&Settings::default(), Some("https://example.com/base/"), "https://own").unwrap();
        let url = session.url(&["v2", "projects", "example.com:shop", "..", "a/b?c#d"], &[("q", "a&b")]);
        assert_eq!(
            url.as_str(),
            "https://example.com/base/v2/projects/example.com:shop/a%2Fb%3Fc%23d?q=a%26b",
            "dots are dropped, and the rest is escaped"
        );
        assert!(session.is_overridden());
        assert!(!Session::new(&Settings::default(), None, "https://run.googleapis.com").unwrap().is_overridden());
    }
}
