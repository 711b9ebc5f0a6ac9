//! Files of credentials, of every type that tokens can be had with.

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use google_cloud_auth::credentials::{
    AccessTokenCredentials, external_account, impersonated, service_account, user_account,
};
use mlroll_backend::{Error, ErrorKind, Result};
use serde_json::Value;

use super::{OPERATION, SCOPE};
#[cfg(feature = "cloud_run")]
use super::{Origin, cold};
#[cfg(feature = "cloud_run")]
use crate::Secret;
use crate::Settings;
use crate::error::printable;
use crate::session::is_in_clear;

/// What `gcloud auth application-default login` writes, in gcloud's folder.
const WELL_KNOWN: &str = "application_default_credentials.json";

/// Keys of credential files whose values must never be shown.
const SECRETS: [&str; 5] = ["private_key", "private_key_id", "client_secret", "refresh_token", "passphrase"];

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
        let begun = Origin::File(self).begin().await;
        begun.map(|(_, token)| token).map_err(|e| cold(&e))
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

    pub(super) fn quota_project(&self) -> Option<String> {
        self.content.get("quota_project_id").and_then(Value::as_str).map(str::to_owned)
    }

    pub(super) fn credentials(&self) -> Result<AccessTokenCredentials> {
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
