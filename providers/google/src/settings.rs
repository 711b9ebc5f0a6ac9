//! What the adapters are told: who asks, and where. Values are resolved already; nothing here reads the environment.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use mlroll_backend::{Access, Proxy};

/// How long an access token of Google lasts, when nobody asked for longer.
const USUALLY: Duration = Duration::from_secs(3600);

/// Who asks, and where.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// A ready access token (`GOOGLE_OAUTH_ACCESS_TOKEN`), used as it is.
    pub access_token: Option<Secret>,
    /// The file of credentials (`GOOGLE_APPLICATION_CREDENTIALS`).
    pub credentials: Option<PathBuf>,
    /// The folder in which gcloud keeps `application_default_credentials.json`.
    pub gcloud_folder: Option<PathBuf>,
    /// The host, with its port, that answers as the metadata server (`GCE_METADATA_HOST`); its own name when not told.
    pub metadata_host: Option<String>,
    /// Whether a login of gcloud itself may be used, by running `gcloud auth print-access-token`.
    pub ask_gcloud: bool,
    /// The project that quota is counted for (`GOOGLE_CLOUD_QUOTA_PROJECT`); that of the credentials when not told.
    pub quota_project: Option<String>,
    /// The base of the Cloud Run Admin API; Google's own when not told.
    pub cloud_run: Option<String>,
    /// The base of the Cloud Monitoring API; Google's own when not told.
    pub monitoring: Option<String>,
    /// How late Cloud Monitoring is; 240 s when not told.
    pub settle_delay: Option<Duration>,
    /// Who carries requests to Google, where somebody has to.
    pub proxy: Option<Proxy>,
    /// How long things may take.
    pub limits: Limits,
}

/// A text that is never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

/// How long things may take, and how often they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Until there is a connection.
    pub connect: Duration,
    /// One attempt, to the last byte of the answer.
    pub attempt: Duration,
    /// All attempts of one request, waits included.
    pub total: Duration,
    /// The first wait before another attempt; each next one is twice as long.
    pub backoff: Duration,
    /// How often a request is tried.
    pub attempts: u32,
    /// One fetch of a token, whatever it takes.
    pub token: Duration,
    /// How many bytes an answer may have.
    pub answer: usize,
}

impl Settings {
    /// See [`Backend::access`](mlroll_backend::Backend::access). Only a ready token is not renewed: it does not say when it ends, and
    /// nobody is asked. A file, the metadata server and gcloud are asked for the next one.
    #[must_use]
    pub fn access(&self) -> Option<Access> {
        self.access_token.as_ref()?;
        Some(Access {
            what: "the ready access token (GOOGLE_OAUTH_ACCESS_TOKEN or CLOUDSDK_AUTH_ACCESS_TOKEN), which does not tell its end,"
                .to_owned(),
            ends: None,
            usually: USUALLY,
            remedy: "leave it out: by GOOGLE_APPLICATION_CREDENTIALS, which google-github-actions/auth sets too, mlroll asks for \
                     tokens itself, and renews them"
                .to_owned(),
        })
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            attempt: Duration::from_secs(10),
            total: Duration::from_secs(30),
            backoff: Duration::from_millis(100),
            attempts: 5,
            token: Duration::from_secs(10),
            answer: 16 * 1024 * 1024,
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

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_ready_token_ends() {
        let file = Settings { credentials: Some("key.json".into()), ask_gcloud: true, ..Settings::default() };
        assert!(Settings::default().access().is_none() && file.access().is_none());
        let ready = Settings { access_token: Some(Secret::new("hunter2")), ..file };
        let told = ready.access().unwrap();
        assert_eq!((told.ends, told.usually), (None, Duration::from_secs(3600)));
        assert!(!format!("{told:?}").contains("hunter2"));
    }
}
