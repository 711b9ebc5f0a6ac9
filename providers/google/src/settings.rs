//! What the adapters are told: who asks, and where. Values are resolved already; nothing here reads the environment.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

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
