//! What this cloud's adapters are told besides what the SDK finds out by itself. Values are resolved already; nothing here reads
//! the environment.

use std::fmt;
use std::time::Duration;

use aws_smithy_http_client::proxy::ProxyConfig;
use mlroll_backend::{Access, Proxy, Timestamp};

/// The variables that [`Settings::from_lookup`] asks for.
pub const VARIABLES: [&str; 10] = [
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "GITHUB_RUN_ID",
];

/// How long the keys last that a login step of a GitHub job leaves in the environment, when it is not told otherwise
/// (aws-actions/configure-aws-credentials, `role-duration-seconds`).
const USUALLY: Duration = Duration::from_secs(3600);

/// Who asks, where that is not the SDK's own affair.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub(crate) github: Option<GitHub>,
    /// The keys that end, and that nobody renews.
    ending: Option<Ending>,
    pub(crate) way: Way,
}

/// The role of a GitHub job, by its own token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GitHub {
    /// Where the job asks for its token.
    pub(crate) url: String,
    /// What it shows there.
    pub(crate) bearer: Secret,
    pub(crate) role: String,
    pub(crate) session: String,
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// How requests by https leave this machine. Never printed: a proxy's address may hold a password.
#[derive(Clone)]
pub(crate) struct Way(pub(crate) ProxyConfig);

impl Default for Way {
    fn default() -> Self {
        Self(ProxyConfig::disabled())
    }
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Way")
    }
}

/// Temporary keys in the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ending {
    at: Option<Timestamp>,
    /// The job could ask for its own.
    on_github: bool,
}

impl Settings {
    /// Reads an environment given as a function. An empty variable is an unset one.
    ///
    /// Keys, profiles and token files are the SDK's, and go before a job's own token, as everywhere with AWS.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let (url, bearer) = (set("ACTIONS_ID_TOKEN_REQUEST_URL"), set("ACTIONS_ID_TOKEN_REQUEST_TOKEN"));
        let has_keys = set("AWS_ACCESS_KEY_ID").is_some();
        let ending = (has_keys && set("AWS_SESSION_TOKEN").is_some()).then(|| Ending {
            at: set("AWS_CREDENTIAL_EXPIRATION").and_then(|at| at.parse().ok()),
            on_github: url.is_some() && bearer.is_some(),
        });
        let others = has_keys || set("AWS_PROFILE").is_some() || set("AWS_WEB_IDENTITY_TOKEN_FILE").is_some();
        let github = match (url, bearer, set("AWS_ROLE_ARN")) {
            (Some(url), Some(bearer), Some(role)) if !others => {
                let run = || set("GITHUB_RUN_ID").map(|id| format!("mlroll-{id}"));
                let session = set("AWS_ROLE_SESSION_NAME").or_else(run).unwrap_or_else(|| "mlroll".to_owned());
                Some(GitHub { url, bearer: Secret(bearer), role, session })
            }
            _ => None,
        };
        Self { github, ending, way: Way::default() }
    }

    /// The same, with requests by https going by way of `proxy`.
    ///
    /// # Errors
    /// The proxy's address is none. The message does not repeat it.
    pub fn by_way_of(mut self, proxy: Option<&Proxy>) -> Result<Self, &'static str> {
        if let Some(proxy) = proxy {
            let config = ProxyConfig::https(proxy.url()).map_err(|_| "the proxy's address is none")?;
            self.way = Way(config.no_proxy(proxy.except()));
        }
        Ok(self)
    }

    /// See [`Backend::access`](mlroll_backend::Backend::access).
    #[must_use]
    pub fn access(&self) -> Option<Access> {
        let ending = self.ending?;
        let own =
            "leave the login step out, and set AWS_ROLE_ARN: mlroll asks for the job's keys itself, and renews them";
        let remedy = if ending.on_github { own } else { "log in for longer, or by a profile, whose keys are renewed" };
        Some(Access {
            what: "the temporary keys in the environment (AWS_SESSION_TOKEN)".to_owned(),
            ends: ending.at,
            usually: USUALLY,
            remedy: remedy.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        Settings::from_lookup(|name| {
            assert!(VARIABLES.contains(&name), "{name} is not listed");
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    const JOB: [(&str, &str); 3] = [
        ("ACTIONS_ID_TOKEN_REQUEST_URL", "https://x.example/id"),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "hunter2"),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/mlroll"),
    ];

    #[test]
    fn a_jobs_own_token_is_used_where_nothing_else_is_named() {
        let job = settings(&JOB);
        assert_eq!(job.github.as_ref().unwrap().session, "mlroll");
        assert!(job.access().is_none(), "they are renewed");
        assert!(!format!("{job:?}").contains("hunter2"));
        let run = settings(&[&JOB[..], &[("GITHUB_RUN_ID", "7")]].concat());
        assert_eq!(run.github.unwrap().session, "mlroll-7");
        for other in ["AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"] {
            assert!(settings(&[&JOB[..], &[(other, "x")]].concat()).github.is_none(), "{other}");
        }
        for missing in 0..3 {
            let mut some = JOB.to_vec();
            some.remove(missing);
            assert!(settings(&some).github.is_none());
        }
        assert!(settings(&JOB.map(|(name, _)| (name, ""))).github.is_none());
    }

    #[test]
    fn temporary_keys_end_and_others_do_not() {
        let keys = [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "s")];
        assert!(settings(&keys).access().is_none());
        let temporary = [&keys[..], &[("AWS_SESSION_TOKEN", "t")]].concat();
        assert_eq!(settings(&temporary).access().unwrap().ends, None);
        for (at, expected) in [("2026-11-21T04:00:00Z", "2026-11-21T04:00:00Z".parse().ok()), ("soon", None)] {
            let told = settings(&[&temporary[..], &[("AWS_CREDENTIAL_EXPIRATION", at)]].concat());
            assert_eq!(told.access().unwrap().ends, expected);
        }
        let on_github = settings(&[&temporary[..], &JOB[..]].concat());
        assert!(on_github.access().unwrap().remedy.contains("AWS_ROLE_ARN"));
        assert!(settings(&temporary).access().unwrap().remedy.contains("profile"));
    }
}
