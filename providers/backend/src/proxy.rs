//! Who carries requests to other machines, where a network lets nobody out by himself.

use std::fmt;

/// What must never be asked by way of another machine.
const THIS_MACHINE: &str = "localhost,127.0.0.0/8,::1";

/// A proxy for requests by https, which it passes on without reading them (`CONNECT`). Requests by plain http are for this
/// machine, for metadata services and for stores of one's own network: none of them go by way of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    url: String,
    except: String,
}

impl Proxy {
    /// Reads an environment given as a function: `https_proxy` or else `HTTPS_PROXY`, and `no_proxy` or else `NO_PROXY`, as curl
    /// does. An empty variable is an unset one. An address without a scheme is one of `http://`.
    ///
    /// # Errors
    /// The address is none of an `http://` or `https://` proxy. The message does not repeat it: it may hold a password.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        let set = |names: [&'static str; 2]| {
            names.into_iter().find_map(|name| Some((name, lookup(name).filter(|value| !value.trim().is_empty())?)))
        };
        let Some((name, address)) = set(["https_proxy", "HTTPS_PROXY"]) else { return Ok(None) };
        let url = match address.trim() {
            with_scheme if with_scheme.contains("://") => with_scheme.to_owned(),
            bare => format!("http://{bare}"),
        };
        if !is_address(&url) {
            return Err(format!("{name} must be http://HOST:PORT or https://HOST:PORT"));
        }
        let except = match set(["no_proxy", "NO_PROXY"]) {
            Some((_, hosts)) => format!("{hosts},{THIS_MACHINE}"),
            None => THIS_MACHINE.to_owned(),
        };
        Ok(Some(Self { url, except }))
    }

    /// Its address, with user and password where it wants them: never to be printed.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Hosts, domains and networks that are asked without it, separated by commas; `*` for all.
    #[must_use]
    pub fn except(&self) -> &str {
        &self.except
    }
}

/// All but the address.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("except", &self.except).finish_non_exhaustive()
    }
}

fn is_address(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host_and_port = authority.rsplit('@').next().unwrap_or_default();
    let (host, port) = match host_and_port.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
        Some((host, after)) => (host, after.strip_prefix(':')),
        None => host_and_port.split_once(':').map_or((host_and_port, None), |(host, port)| (host, Some(port))),
    };
    let known = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    let named = !host.is_empty() && url.chars().all(|c| c.is_ascii_graphic());
    known && named && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(pairs: &[(&str, &str)]) -> Result<Option<Proxy>, String> {
        Proxy::from_lookup(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_variables_are_read_as_curl_does() {
        for (pairs, url, except) in [
            (&[("HTTPS_PROXY", "http://proxy:3128")][..], "http://proxy:3128", THIS_MACHINE),
            (&[("https_proxy", "proxy:3128"), ("HTTPS_PROXY", "http://other:1")], "http://proxy:3128", THIS_MACHINE),
            (&[("https_proxy", ""), ("HTTPS_PROXY", " https://me:x@[::1]:1/ ")], "https://me:x@[::1]:1/", THIS_MACHINE),
            (
                &[("HTTPS_PROXY", "proxy"), ("NO_PROXY", ".example.com")],
                "http://proxy",
                ".example.com,localhost,127.0.0.0/8,::1",
            ),
        ] {
            let found = proxy(pairs).unwrap().unwrap();
            assert_eq!((found.url(), found.except()), (url, except));
        }
        assert_eq!(proxy(&[("HTTP_PROXY", "http://proxy"), ("NO_PROXY", "x"), ("HTTPS_PROXY", " ")]), Ok(None));
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_its_password() {
        for odd in
            ["socks5://me:hunter2@proxy:1", "http://", "http://me:hunter2@:80", "me:hunter2@proxy:x", "a b", "://"]
        {
            let refused = proxy(&[("HTTPS_PROXY", odd)]).unwrap_err();
            assert_eq!(refused, "HTTPS_PROXY must be http://HOST:PORT or https://HOST:PORT");
        }
        let printed = format!("{:?}", proxy(&[("HTTPS_PROXY", "http://me:hunter2@proxy")]));
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}
