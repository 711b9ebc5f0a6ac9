//! Where access tokens come from.
//!
//! In this order: a ready token; the file that `GOOGLE_APPLICATION_CREDENTIALS` names; the file that
//! `gcloud auth application-default login` writes; the metadata server; a login of gcloud itself. The first that is there is
//! the one: a file that does not work is an error, and not a reason to be somebody else. The types of files are those that
//! google-cloud-auth reads; docs/design/0004-google-credentials.md says why it and not another.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use google_cloud_auth::credentials::{
    AccessTokenCredentials, external_account, impersonated, mds, service_account, user_account,
};
use mlroll_backend::{Error, ErrorKind, Result};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::error::printable;
use crate::session::is_in_clear;
use crate::{Secret, Settings};

/// What every token is for. Roles decide what it may do.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// The provider's name of what fails here.
const OPERATION: &str = "access token";

/// What `gcloud auth application-default login` writes, in gcloud's folder.
const WELL_KNOWN: &str = "application_default_credentials.json";

/// Keys of credential files whose values must never be shown.
const SECRETS: [&str; 5] = ["private_key", "private_key_id", "client_secret", "refresh_token", "passphrase"];

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
    let fetched = |origin: Origin, quota_project| Fetched { origin, limit, quota_project, current: Mutex::new(None) };
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
        let fetch = async {
            let mut current = self.current.lock().await;
            match current.as_ref() {
                Some(Current::Library(credentials)) => return self.origin.fetch(credentials).await,
                Some(Current::Printed(token)) => return Ok(token.clone()),
                None => {}
            }
            let (found, token) = self.origin.begin().await?;
            *current = Some(found);
            Ok(token)
        };
        let late = || {
            let message = format!("{}: no token within {} s", self.origin.name(), self.limit.as_secs_f64());
            Error::new(ErrorKind::Auth, OPERATION, message)
        };
        tokio::time::timeout(self.limit, fetch).await.unwrap_or_else(|_| Err(late()))
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
        let credentials = builder.build_access_token_credentials().map_err(|e| self.failed(&e))?;
        let error = match self.fetch(&credentials).await {
            Ok(token) => return Ok((Current::Library(credentials), token)),
            Err(error) => error,
        };
        match if ask_gcloud { printed_by_gcloud("print-access-token").await } else { None } {
            Some(token) => Ok((Current::Printed(token.clone()), token)),
            None => Err(error),
        }
    }

    async fn fetch(&self, credentials: &AccessTokenCredentials) -> Result<Secret> {
        let token = credentials.access_token().await.map_err(|e| self.failed(&e))?;
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

    fn failed(&self, error: &(dyn std::error::Error + 'static)) -> Error {
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
        Error::new(ErrorKind::Auth, OPERATION, format!("{}: {why}", self.name()))
    }
}

/// A file of credentials.
pub(crate) struct File {
    path: PathBuf,
    pub(crate) kind: String,
    pub(crate) content: Value,
}

impl Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File").field("path", &self.path).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl File {
    /// The file that is to be used, if there is one.
    pub(crate) fn named(settings: &Settings) -> Result<Option<Self>> {
        let well_known = || settings.gcloud_folder.as_ref().map(|folder| folder.join(WELL_KNOWN));
        let path = settings.credentials.clone().or_else(|| well_known().filter(|path| path.exists()));
        path.map(Self::read).transpose()
    }

    /// Credentials that are a part of it, or that differ from it in something.
    #[cfg(feature = "cloud_run")]
    pub(crate) fn part(&self, content: Value) -> Self {
        let kind = content.get("type").and_then(Value::as_str).map(|kind| printable(kind, 60));
        Self { path: self.path.clone(), kind: kind.unwrap_or_default(), content }
    }

    /// An access token.
    #[cfg(feature = "cloud_run")]
    pub(crate) async fn token(self) -> Result<Secret> {
        Ok(Origin::File(self).begin().await?.1)
    }

    /// The signature of a text by the key of a service account (RSA with SHA-256).
    ///
    /// # Errors
    /// `Auth`: the key is none.
    #[cfg(feature = "cloud_run")]
    pub(crate) async fn sign(&self, text: &str) -> Result<Vec<u8>> {
        let unusable = |why: String| {
            let why = self.redact(printable(&why, 300));
            Error::new(ErrorKind::Auth, OPERATION, format!("{}: {why}", self.name()))
        };
        let signer = service_account::Builder::new(self.content.clone()).build_signer();
        let signer = signer.map_err(|e| unusable(e.to_string()))?;
        let signature = signer.sign(text.as_bytes()).await.map_err(|e| unusable(e.to_string()))?;
        Ok(signature.to_vec())
    }

    /// Type and path, never what is in it.
    pub(crate) fn name(&self) -> String {
        format!("{} credentials of {}", self.kind, self.path.display())
    }

    fn read(path: PathBuf) -> Result<Self> {
        let unusable = |path: &Path, why: String| {
            let message = format!("the credentials of {} cannot be used: {why}", path.display());
            Error::new(ErrorKind::Auth, OPERATION, message)
        };
        let text = std::fs::read_to_string(&path).map_err(|e| unusable(&path, e.to_string()))?;
        // The parser's message could quote what it could not read.
        let content: Value = serde_json::from_str(&text)
            .map_err(|e| unusable(&path, format!("no JSON at line {}, column {}", e.line(), e.column())))?;
        let kind = content.get("type").and_then(Value::as_str).map(|kind| printable(kind, 60));
        let kind = kind.ok_or_else(|| unusable(&path, "it has no `type`".to_owned()))?;
        let file = Self { path, kind, content };
        match file.fields().into_iter().find(|field| field.value.as_str().is_some_and(is_in_clear)) {
            Some(field) => {
                Err(unusable(&file.path, format!("`{}` is plain http, which is for loopback only", field.key)))
            }
            None => Ok(file),
        }
    }

    /// All fields, those of objects in it too.
    fn fields(&self) -> Vec<Field<'_>> {
        let mut found = Vec::new();
        let mut nodes = vec![(&self.content, false)];
        while let Some((node, in_headers)) = nodes.pop() {
            for (key, value) in node.as_object().into_iter().flatten() {
                found.push(Field { key, value, in_headers });
                nodes.push((value, in_headers || key == "headers"));
            }
        }
        found
    }

    fn quota_project(&self) -> Option<String> {
        self.content.get("quota_project_id").and_then(Value::as_str).map(str::to_owned)
    }

    fn credentials(&self) -> Result<AccessTokenCredentials> {
        let content = self.content.clone();
        let built = match self.kind.as_str() {
            "authorized_user" => {
                let mut builder = user_account::Builder::new(content);
                if let Some(uri) = self.content.get("token_uri").and_then(Value::as_str) {
                    builder = builder.with_token_uri(uri);
                }
                builder.build_access_token_credentials()
            }
            "external_account" => {
                external_account::Builder::new(content).with_scopes([SCOPE]).build_access_token_credentials()
            }
            "impersonated_service_account" => {
                impersonated::Builder::new(content).with_scopes([SCOPE]).build_access_token_credentials()
            }
            "service_account" => service_account::Builder::new(content)
                .with_access_specifier(service_account::AccessSpecifier::from_scopes([SCOPE]))
                .build_access_token_credentials(),
            other => {
                let message = format!(
                    "the credentials of {} are of type `{other}`, which cannot be used; known are authorized_user, \
                     external_account, impersonated_service_account and service_account",
                    self.path.display()
                );
                return Err(Error::new(ErrorKind::Auth, OPERATION, message));
            }
        };
        built.map_err(|e| {
            let why = self.redact(printable(&e.to_string(), 300));
            let message = format!("{} credentials of {} cannot be used: {why}", self.kind, self.path.display());
            Error::new(ErrorKind::Auth, OPERATION, message)
        })
    }

    /// Blanks what must not be shown, should a message quote it.
    pub(crate) fn redact(&self, mut text: String) -> String {
        for Field { key, value, in_headers } in self.fields() {
            // Headers are for whoever vouches, and hold the token of a job.
            if let Some(secret) = value.as_str()
                && (in_headers || SECRETS.contains(&key))
                && !secret.is_empty()
            {
                text = text.replace(secret, "***");
            }
        }
        text
    }
}

/// A field of a file of credentials.
struct Field<'a> {
    key: &'a str,
    value: &'a Value,
    in_headers: bool,
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
