//! Where access tokens come from.
//!
//! In this order: a ready token; the file that `GOOGLE_APPLICATION_CREDENTIALS` names; the file that
//! `gcloud auth application-default login` writes; the metadata server; a login of gcloud itself. The first that is there is
//! the one: a file that does not work is an error, and not a reason to be somebody else. The types of files are those that
//! google-cloud-auth reads; docs/design/0004-google-credentials.md says why it and not another.
//!
//! What the library gives is kept, and renews itself. It never recovers from a renewal that was refused, and has no limit
//! for one that is not answered (google-cloud-auth 1.18, `token_cache.rs`): then it is dropped, and made anew.

mod file;
#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use google_cloud_auth::credentials::{AccessTokenCredentials, mds};
use mlroll_backend::{Error, ErrorKind, Result};
use serde_json::Value;
use tokio::sync::Mutex;

pub(crate) use self::file::File;
use crate::error::printable;
use crate::{Secret, Settings};

/// What every token is for. Roles decide what it may do.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// How long the metadata server is waited for before gcloud is asked: off Google Cloud its address may lead nowhere, without a
/// word. gcloud itself takes about two seconds.
const PROBE: Duration = Duration::from_secs(3);

/// The provider's name of what fails here.
const OPERATION: &str = "access token";

/// Gives access tokens.
#[async_trait]
pub(crate) trait TokenSource: Debug + Send + Sync {
    /// A token, from the cache while it is valid.
    async fn token(&self) -> Result<Secret>;

    /// Forgets what is cached: a token was refused. `false` when there is no other.
    async fn renew(&self) -> bool;

    /// The project that quota is to be counted for, where the credentials say.
    fn quota_project(&self) -> Option<&str>;
}

/// Finds who asks. Reads files, connects to nothing.
///
/// # Errors
/// `Auth`: a file cannot be read, or is none that tokens can be had with.
pub(crate) fn find(settings: &Settings) -> Result<Box<dyn TokenSource>> {
    let quota_project = settings.quota_project.clone();
    if let Some(token) = &settings.access_token {
        return Ok(Box::new(Ready { token: token.clone(), quota_project }));
    }
    let limit = settings.limits.token;
    let fetched = |origin: Origin, quota_project| Fetched {
        origin,
        limit,
        quota_project,
        current: Mutex::new(None),
        worked: AtomicBool::new(false),
    };
    if let Some(file) = File::named(settings)? {
        let quota_project = quota_project.or_else(|| file.quota_project());
        return Ok(Box::new(fetched(Origin::File(file), quota_project)));
    }
    let host = settings.metadata_host.clone();
    Ok(Box::new(fetched(Origin::Machine { host, ask_gcloud: settings.ask_gcloud }, quota_project)))
}

/// A token that somebody else fetched.
#[derive(Debug)]
struct Ready {
    token: Secret,
    quota_project: Option<String>,
}

#[async_trait]
impl TokenSource for Ready {
    async fn token(&self) -> Result<Secret> {
        Ok(self.token.clone())
    }

    async fn renew(&self) -> bool {
        false
    }

    fn quota_project(&self) -> Option<&str> {
        self.quota_project.as_deref()
    }
}

/// Tokens fetched as they are needed.
#[derive(Debug)]
struct Fetched {
    origin: Origin,
    limit: Duration,
    quota_project: Option<String>,
    current: Mutex<Option<Current>>,
    /// Whether there was a token once.
    worked: AtomicBool,
}

/// What tokens are had with.
#[derive(Debug)]
enum Origin {
    File(File),
    /// No file: the machine may have an account, or whoever sits before it.
    Machine {
        host: Option<String>,
        ask_gcloud: bool,
    },
}

/// What was found to give tokens.
#[derive(Debug)]
enum Current {
    /// Keeps its tokens fresh by itself.
    Library(AccessTokenCredentials),
    /// What gcloud printed; valid for some time up to an hour.
    Printed(Secret),
}

#[async_trait]
impl TokenSource for Fetched {
    async fn token(&self) -> Result<Secret> {
        let fetched = tokio::time::timeout(self.limit, self.fetch()).await.unwrap_or_else(|_| Err(self.late()));
        match fetched {
            Ok(token) => {
                self.worked.store(true, Ordering::Relaxed);
                Ok(token)
            }
            Err(error) if self.worked.load(Ordering::Relaxed) => Err(error),
            Err(error) => Err(cold(&error)),
        }
    }

    async fn renew(&self) -> bool {
        // The library's tokens cannot be dropped alone: it begins anew.
        self.current.lock().await.take();
        true
    }

    fn quota_project(&self) -> Option<&str> {
        self.quota_project.as_deref()
    }
}

impl Fetched {
    /// What is kept, while it works; else one new beginning.
    async fn fetch(&self) -> Result<Secret> {
        let mut current = self.current.lock().await;
        // Whoever stops waiting for it here leaves nothing behind that may be stuck.
        match current.take() {
            Some(Current::Library(credentials)) => {
                // What it needs is in its memory, but for a renewal: and that may leave no time to begin anew.
                let kept = tokio::time::timeout(self.limit / 2, self.origin.fetch(&credentials)).await;
                if let Ok(Ok(token)) = kept {
                    *current = Some(Current::Library(credentials));
                    return Ok(token);
                }
            }
            Some(Current::Printed(token)) => {
                *current = Some(Current::Printed(token.clone()));
                return Ok(token);
            }
            None => {}
        }
        let (found, token) = self.origin.begin().await?;
        *current = Some(found);
        Ok(token)
    }

    fn late(&self) -> Error {
        let message = format!("{}: no token within {} s", self.origin.name(), self.limit.as_secs_f64());
        Error::new(ErrorKind::Unavailable, OPERATION, message)
    }
}

/// What a failure means before there was any token: wrong credentials, and never only a token service that cannot be
/// reached. A laptop without credentials asks a metadata server that is not there, and a wrong address in a file looks like
/// a broken connection. Who types a command shall see at once whose credentials were meant, and not after half a minute of
/// attempts. Later on, the same credentials have worked: then the service is away, and may come back.
fn cold(error: &Error) -> Error {
    Error::new(ErrorKind::Auth, OPERATION, error.message())
}

impl Origin {
    async fn begin(&self) -> Result<(Current, Secret)> {
        let (host, ask_gcloud) = match self {
            Self::File(file) => {
                let credentials = file.credentials()?;
                let token = self.fetch(&credentials).await?;
                return Ok((Current::Library(credentials), token));
            }
            Self::Machine { host, ask_gcloud } => (host, *ask_gcloud),
        };
        let mut builder = mds::Builder::default().with_scopes([SCOPE]);
        if let Some(host) = host {
            builder = builder.with_endpoint(format!("http://{host}"));
        }
        let built = builder.build_access_token_credentials();
        let credentials = built.map_err(|e| self.failed(ErrorKind::Auth, &e))?;
        let mut probe = pin!(self.fetch(&credentials));
        let early = match ask_gcloud {
            true => tokio::time::timeout(PROBE, &mut probe).await.ok(),
            false => Some(probe.as_mut().await),
        };
        if let Some(Ok(token)) = early {
            return Ok((Current::Library(credentials.clone()), token));
        }
        if ask_gcloud && let Some(token) = printed_by_gcloud("print-access-token").await {
            return Ok((Current::Printed(token.clone()), token));
        }
        // There is nobody else, so a slow server has the rest of the time.
        let answer = match early {
            Some(answer) => answer,
            None => probe.await,
        };
        answer.map(|token| (Current::Library(credentials.clone()), token))
    }

    /// A token of the library's.
    ///
    /// # Errors
    /// `Unavailable` for what may pass, as the library says: no connection, 408, 429, 5xx. `Auth` for the rest.
    async fn fetch(&self, credentials: &AccessTokenCredentials) -> Result<Secret> {
        let token = credentials.access_token().await.map_err(|e| {
            let kind = if e.is_transient() { ErrorKind::Unavailable } else { ErrorKind::Auth };
            self.failed(kind, &e)
        })?;
        Ok(Secret::new(token.token))
    }

    /// The type and the file of the credentials, never what is in it.
    fn name(&self) -> String {
        match self {
            Self::File(file) => file.name(),
            Self::Machine { host: Some(host), .. } => {
                format!("no credentials of Google Cloud are set, and the metadata server at {host} was asked")
            }
            Self::Machine { host: None, .. } => {
                "no credentials of Google Cloud are set, and the metadata server was asked".to_owned()
            }
        }
    }

    fn failed(&self, kind: ErrorKind, error: &(dyn std::error::Error + 'static)) -> Error {
        let causes = std::iter::successors(Some(error), |error| error.source());
        let mut said: Vec<String> = causes.map(|cause| printable(&told(&cause.to_string()), 300)).collect();
        // A cause is often quoted by what it caused.
        let whole = said.clone();
        let mut n = 0;
        said.retain(|cause| {
            n += 1;
            !whole.iter().take(n - 1).any(|outer| outer.contains(cause.as_str()))
        });
        let mut why = said.join(": ");
        if let Self::File(file) = self {
            why = file.redact(why);
        }
        Error::new(kind, OPERATION, format!("{}: {why}", self.name()))
    }
}

/// What the library says, without what it always says, and with no more of an answer's body than the reason that OAuth has
/// a place for (RFC 6749, section 5.2): the rest may be a token.
fn told(text: &str) -> String {
    let text =
        text.replace(" and future attempts will not succeed", "").replace(" but future attempts may succeed", "");
    let Some((before, rest)) = text.split_once("body=<") else { return text };
    let (body, after) = rest.rsplit_once('>').unwrap_or((rest, ""));
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let named = |key: &str| body.get(key).and_then(Value::as_str).map(|reason| printable(reason, 200));
    let reasons: Vec<String> = ["error", "error_description"].into_iter().filter_map(named).collect();
    format!("{before}{}{after}", reasons.join(": "))
}

/// The token of whoever is logged in to gcloud; `None` when there is no gcloud, or nobody is.
pub(crate) async fn printed_by_gcloud(what: &str) -> Option<Secret> {
    let program = if cfg!(windows) { "gcloud.cmd" } else { "gcloud" };
    let mut command = tokio::process::Command::new(program);
    command.args(["auth", what, "--quiet"]).stdin(std::process::Stdio::null()).kill_on_drop(true);
    let output = command.output().await.ok().filter(|output| output.status.success())?;
    let token = String::from_utf8(output.stdout).ok()?;
    let token = token.trim();
    (!token.is_empty()).then(|| Secret::new(token))
}
