//! How far requests may go.

use std::net::IpAddr;

use mlroll_backend::Provider;

use crate::config::env::Env;
use crate::config::{Metrics, Source};
use crate::failure::Failure;

/// How far requests may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Wherever they are meant to go.
    #[default]
    Anywhere,
    /// To this machine only: a run in scaled time would judge real users by windows that never were.
    Loopback,
}

impl Reach {
    /// Whether requests to `url` may leave.
    #[must_use]
    pub fn allows(self, url: &str) -> bool {
        match self {
            Self::Anywhere => true,
            Self::Loopback => is_loopback(url),
        }
    }

    /// Whether the control plane of `provider` is where requests may go, by what the environment says of it.
    ///
    /// # Errors
    /// It is not, or nothing says that it is.
    pub fn check_provider(self, provider: Provider) -> Result<(), Failure> {
        let variables: &[&str] = match provider {
            Provider::AzureMl => &["MLROLL_ENDPOINT_AZURE"],
            Provider::CloudRun => &["MLROLL_ENDPOINT_CLOUD_RUN"],
            Provider::Lambda => &["AWS_ENDPOINT_URL_LAMBDA", "AWS_ENDPOINT_URL"],
            Provider::SageMaker => &["AWS_ENDPOINT_URL_SAGEMAKER", "AWS_ENDPOINT_URL"],
        };
        self.check_variables(&format!("`{provider}` targets"), variables)
    }

    /// The same for a metric store.
    ///
    /// # Errors
    /// It is somewhere else, or nothing says that it is not.
    pub fn check_source(self, metrics: &Metrics) -> Result<(), Failure> {
        let variables: &[&str] = match metrics.source {
            Source::AzureMonitor => {
                if metrics.logs().is_some() {
                    self.check_variables("the traffic log", &["MLROLL_ENDPOINT_AZURE_LOGS"])?;
                }
                &["MLROLL_ENDPOINT_AZURE"]
            }
            Source::CloudMonitoring => &["MLROLL_ENDPOINT_CLOUD_MONITORING"],
            Source::Cloudwatch => &["AWS_ENDPOINT_URL_CLOUDWATCH", "AWS_ENDPOINT_URL"],
            Source::Prometheus => {
                return match metrics.url.as_deref() {
                    Some(url) if !self.allows(url) => Err(too_far("metrics.url")),
                    Some(_) | None => Ok(()),
                };
            }
        };
        self.check_variables("the metric store", variables)
    }

    fn check_variables(self, whose: &str, variables: &[&str]) -> Result<(), Failure> {
        let found = variables.iter().find_map(|name| Env::named_by_file(name).map(|url| (name, url)));
        match found {
            _ if self == Self::Anywhere => Ok(()),
            Some((_, url)) if self.allows(&url) => Ok(()),
            Some((name, _)) => Err(too_far(name)),
            None => Err(too_far(whose).hint(format!("set {} to the sandbox's address", variables.join(" or ")))),
        }
    }
}

/// The failure of a run in scaled time that would reach beyond this machine. The address may hold a password.
pub(crate) fn too_far(whose: &str) -> Failure {
    Failure::usage(format!("MLROLL_CLOCK is set, and the endpoint of {whose} is not on loopback; nothing was sent"))
        .hint("for the real time: `unset MLROLL_CLOCK`")
}

/// Whether `url` names this machine beyond doubt.
pub(crate) fn is_loopback(url: &str) -> bool {
    // Programs disagree about what a backslash ends.
    let Some((scheme, rest)) = url.split_once("://").filter(|_| !url.contains('\\')) else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // Programs disagree about who is meant by more than one of these.
    let host = match authority.rsplit_once('@') {
        Some((user, _)) if user.contains('@') => return false,
        Some((_, host)) => host,
        None => authority,
    };
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let known = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    known && (host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for url in ["http://127.0.0.1", "HTTPS://127.8.8.8:1/x", "http://localhost:80", "http://[::1]:80/?a@b"] {
            assert!(is_loopback(url) && Reach::Loopback.allows(url), "{url}");
        }
        for url in [
            "127.0.0.1",
            "ftp://127.0.0.1",
            "http://10.0.0.1",
            "http://127.0.0.1.example.com",
            "http://127.0.0.1@example.com",
            "http://127.0.0.1\\@example.com",
            "http://a@127.0.0.1@example.com",
            "http://[::2]",
            "http://localhost.example.com/",
            "https://lambda.us-east-1.amazonaws.com",
            "http://",
            "http://0x7f.1",
            "",
        ] {
            assert!(!is_loopback(url) && Reach::Anywhere.allows(url), "{url}");
        }
    }

    #[test]
    fn what_nobody_says_is_on_loopback_is_not() {
        for provider in [Provider::AzureMl, Provider::CloudRun, Provider::Lambda, Provider::SageMaker] {
            assert!(Reach::Anywhere.check_provider(provider).is_ok());
        }
        let at = |url: &str| toml::from_str::<Metrics>(&format!("source = \"prometheus\"\nurl = \"{url}\"")).unwrap();
        assert!(Reach::Loopback.check_source(&at("http://127.0.0.1:9090")).is_ok());
        let failure = Reach::Loopback.check_source(&at("http://u:hunter2@10.0.0.1")).unwrap_err();
        assert!(failure.message.contains("metrics.url") && !failure.message.contains("hunter2"), "{failure:?}");
        assert!(Reach::Anywhere.check_source(&at("http://10.0.0.1")).is_ok());
    }
}
