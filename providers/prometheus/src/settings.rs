//! What the source is told: where, who, which metrics. Values are resolved already; nothing here reads the environment or
//! a file.

use std::fmt;
use std::time::Duration;

use mlroll_backend::{Error, ErrorKind, Proxy, Result};

use crate::Preset;
use crate::template::Template;

/// Where the store is and what to ask it.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The base of the query API, such as `http://127.0.0.1:9090` or `https://example.com/prometheus`: `/api/v1/query` is
    /// added to its path.
    pub url: String,
    /// Who asks.
    pub auth: Auth,
    /// More headers, such as `X-Scope-OrgID`; all are held to be secrets.
    pub headers: Vec<(String, Secret)>,
    /// Certificates, as PEM, to trust in place of the system's.
    pub ca: Option<Vec<u8>>,
    /// Whether credentials may travel in clear text to other machines.
    pub allow_plain_http: bool,
    /// How late the store is; a minute when not told.
    pub settle_delay: Option<Duration>,
    /// How often it scrapes; measured when not told.
    pub scrape: Option<Duration>,
    /// Selectors to begin with; those below replace its own.
    pub preset: Option<Preset>,
    /// The label that a preset's metrics carry the revision in, when it is not the preset's own.
    pub revision_label: Option<String>,
    /// More matchers for a preset's selectors, such as `namespace="prod",service="fraud"`.
    pub matchers: Option<String>,
    /// A selector of the counters of all requests.
    pub requests: Option<String>,
    /// A selector of the counters of failed requests, which `requests` selects too.
    pub errors: Option<String>,
    /// A selector of the buckets of a classic histogram of how long requests took.
    pub latency: Option<String>,
    /// The unit of the bounds of `latency`; a preset knows its own.
    pub latency_unit: LatencyUnit,
    /// Who carries requests by https to the store, where somebody has to.
    pub proxy: Option<Proxy>,
    /// How long things may take.
    pub limits: Limits,
}

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// A user and a password.
    Basic {
        /// The user's name, on Grafana Cloud the instance.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token.
    Bearer(Secret),
    /// Nobody in particular.
    #[default]
    None,
}

/// A text that is never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

/// The unit of a histogram's bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LatencyUnit {
    /// As Istio and Knative up to 1.18 count.
    Milliseconds,
    /// As Prometheus recommends.
    #[default]
    Seconds,
}

/// How long things may take, and how often they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Until there is a connection.
    pub connect: Duration,
    /// One attempt, to the last byte. The store is told to give up then, too.
    pub attempt: Duration,
    /// All attempts of one request, waits included.
    pub total: Duration,
    /// The first wait before another attempt; each next one is twice as long.
    pub backoff: Duration,
    /// How often a request is tried.
    pub attempts: u32,
    /// How many bytes an answer may have.
    pub answer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            attempt: Duration::from_secs(10),
            total: Duration::from_secs(30),
            backoff: Duration::from_millis(250),
            attempts: 4,
            answer: 4 * 1024 * 1024,
        }
    }
}

impl Secret {
    /// Hides a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl LatencyUnit {
    /// A bound in seconds. Dividing keeps the round ones round: 300 ms are 0.3 s.
    pub(crate) fn seconds(self, bound: f64) -> f64 {
        match self {
            Self::Milliseconds => bound / 1000.0,
            Self::Seconds => bound,
        }
    }
}

/// The selectors of the built-in metrics, as far as they are known. Several are added up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selectors {
    pub(crate) requests: Vec<Template>,
    pub(crate) errors: Vec<Template>,
    pub(crate) latency: Option<(Template, LatencyUnit)>,
}

impl Selectors {
    pub(crate) fn of(settings: &Settings) -> Result<Self> {
        let mut selectors = Self::default();
        if let Some(preset) = settings.preset {
            let label = settings.revision_label.as_deref().unwrap_or_else(|| preset.revision_label());
            let selector = |(name, matchers): &(&str, &str)| -> Result<Template> {
                let mut all = vec![format!("{label}=\"{{{{revision}}}}\"")];
                all.extend([*matchers, settings.matchers.as_deref().unwrap_or_default()].map(str::to_owned));
                all.retain(|matchers| !matchers.is_empty());
                parsed(&format!("preset = {:?}", preset.name()), &format!("{name}{{{}}}", all.join(",")))
            };
            selectors.requests = preset.requests().iter().map(selector).collect::<Result<_>>()?;
            selectors.errors = preset.errors().iter().map(selector).collect::<Result<_>>()?;
            selectors.latency = match preset.latency() {
                Some((histogram, unit)) => Some((selector(&histogram)?, unit)),
                None => None,
            };
        } else if settings.revision_label.is_some() || settings.matchers.is_some() {
            return Err(invalid("revision_label and matchers are for the selectors of a preset, and there is none"));
        }
        if let Some(text) = &settings.requests {
            selectors.requests = vec![parsed("requests", text)?];
        }
        if let Some(text) = &settings.errors {
            selectors.errors = vec![parsed("errors", text)?];
        }
        if let Some(text) = &settings.latency {
            selectors.latency = Some((parsed("latency", text)?, settings.latency_unit));
        }
        Ok(selectors)
    }
}

fn parsed(key: &str, text: &str) -> Result<Template> {
    Template::selector(text).map_err(|why| invalid(format!("{key}: {why}")))
}

/// A fault of the settings.
pub(crate) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "settings", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let settings = Settings {
            auth: Auth::Basic { user: "me".to_owned(), password: Secret::new("hunter2") },
            headers: vec![("X-Key".to_owned(), Secret::new("hunter2"))],
            ..Settings::default()
        };
        for printed in [format!("{settings:?}"), format!("{:#?}", Auth::Bearer(Secret::from("hunter2".to_owned())))] {
            assert!(printed.contains("***") && !printed.contains("hunter2"), "{printed}");
        }
    }

    #[test]
    fn own_selectors_replace_those_of_a_preset() {
        let render = |template: &Template| template.render(&"42".parse().unwrap(), Duration::from_secs(60));
        let settings = Settings {
            preset: Some(Preset::Istio),
            matchers: Some(r#"destination_app="fraud""#.to_owned()),
            latency: Some(r#"mine_bucket{v="{{revision}}"}"#.to_owned()),
            ..Settings::default()
        };
        let selectors = Selectors::of(&settings).unwrap();
        let requests =
            r#"istio_requests_total{destination_version="42",reporter="destination",destination_app="fraud"}"#;
        assert_eq!(selectors.requests.iter().map(render).collect::<Vec<_>>(), [requests]);
        let (latency, unit) = selectors.latency.unwrap();
        assert_eq!((render(&latency).as_str(), unit), (r#"mine_bucket{v="42"}"#, LatencyUnit::Seconds));

        for matchers in [r#"a="b"} or up{"#, "a=\"b", "[5m]"] {
            let settings = Settings { matchers: Some(matchers.to_owned()), ..settings.clone() };
            assert_eq!(Selectors::of(&settings).unwrap_err().kind(), ErrorKind::Invalid, "{matchers}");
        }
        let none = Settings { matchers: Some("a=\"b\"".to_owned()), ..Settings::default() };
        assert!(Selectors::of(&none).is_err());
    }
}
