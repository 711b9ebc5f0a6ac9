//! Who asks: credentials as Azure's own tools find them, and the tokens they give, kept until shortly before their end.
//!
//! `azure_identity` makes the tokens. What it leaves out is here: which credential is used, keeping what the command line
//! tools answer, and a limit of time. Messages name the kind of credential and Entra's error code, never what a server or
//! a tool wrote: that may hold anything.

use std::error::Error as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{Secret as AzureSecret, TokenCredential};
use azure_core::error::ErrorKind as AzureErrorKind;
use azure_core::http::headers::{HeaderName, HeaderValue, Headers};
use azure_core::http::request::Body;
use azure_core::http::{
    AsyncRawResponse, ClientMethodOptions, ClientOptions, HttpClient, Request, StatusCode, Transport as AzureTransport,
};
use azure_identity::{
    AzureCliCredential, AzureDeveloperCliCredential, ClientAssertion, ClientAssertionCredential,
    ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions, ManagedIdentityCredential,
    ManagedIdentityCredentialOptions, UserAssignedId, WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};
#[cfg(feature = "machine_learning")]
use mlroll_backend::{Access, Timestamp};
use mlroll_backend::{Error, ErrorKind, Result};
use reqwest::{Client, Method, Url};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::settings::{Api, Cloud, Secret, Settings, invalid};
use crate::transport::is_loopback;

/// The longest to wait for a token, over all credentials of the chain.
const PATIENCE: Duration = Duration::from_secs(10);

/// A token this close to its end is only used where there is no other.
const SKEW: Duration = Duration::from_secs(300);

/// For how long a failure stands: so that many targets do not wait for the same silence one after the other.
const STANDS: Duration = Duration::from_secs(5);

/// More than any answer with a token in it.
const LONGEST_ANSWER: usize = 1024 * 1024;

const OPERATION: &str = "GetToken";

/// Why a request for a token does not leave.
const CLEAR_TEXT: &str = "refusing to send a credential in clear text";

/// A kind of credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    AzureCli,
    AzureDeveloperCli,
    ClientSecret,
    GitHubOidc,
    ManagedIdentity,
    WorkloadIdentity,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::ClientSecret,
        Self::WorkloadIdentity,
        Self::GitHubOidc,
        Self::ManagedIdentity,
        Self::AzureCli,
        Self::AzureDeveloperCli,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::AzureCli => "az",
            Self::AzureDeveloperCli => "azd",
            Self::ClientSecret => "client-secret",
            Self::GitHubOidc => "github-oidc",
            Self::ManagedIdentity => "managed-identity",
            Self::WorkloadIdentity => "workload-identity",
        }
    }

    /// The kinds to try, in order: the one that is asked for, else the first whose variables are there, else the tools.
    /// The metadata service of a virtual machine is asked only by name: elsewhere nobody answers there, slowly.
    fn chain(settings: &Settings) -> Result<Vec<Self>> {
        if let Some(name) = &settings.credential {
            return Self::ALL.into_iter().find(|kind| kind.name() == name).map(|kind| vec![kind]).ok_or_else(|| {
                let known: Vec<&str> = Self::ALL.into_iter().map(Self::name).collect();
                invalid(format!("MLROLL_AZURE_CREDENTIAL is `{}`; known are {}", name.escape_debug(), known.join(", ")))
            });
        }
        let application = settings.tenant.is_some() && settings.client.is_some();
        let given = if application && settings.client_secret.is_some() {
            Self::ClientSecret
        } else if application && settings.federated_token_file.is_some() {
            Self::WorkloadIdentity
        } else if application && settings.oidc_url.is_some() && settings.oidc_token.is_some() {
            Self::GitHubOidc
        } else if settings.identity_endpoint {
            Self::ManagedIdentity
        } else {
            return Ok(vec![Self::AzureCli, Self::AzureDeveloperCli]);
        };
        Ok(vec![given])
    }
}

/// How long a token of Entra lasts at least, when nobody set another lifetime.
#[cfg(feature = "machine_learning")]
const USUALLY: Duration = Duration::from_secs(3600);

/// See [`Backend::access`](mlroll_backend::Backend::access): a ready token, and a login of the command line tool that a job
/// made with its own token. That one is valid for minutes, so the tool can ask for no other once its first token has ended
/// (AADSTS700024). What mlroll asks for by itself is renewed.
#[cfg(feature = "machine_learning")]
pub(crate) fn access(settings: &Settings) -> Option<Access> {
    if let Some(token) = &settings.access_token {
        let ends = end_of(token.reveal());
        // What is on this machine is a sandbox, and its token is not Entra's.
        let endpoint = settings.endpoint.as_deref().and_then(|url| Url::parse(url).ok());
        if ends.is_none() && endpoint.is_some_and(|url| is_loopback(&url)) {
            return None;
        }
        return Some(Access {
            what: "the ready access token (AZURE_ACCESS_TOKEN)".to_owned(),
            ends,
            usually: USUALLY,
            remedy: "leave it out: with any other login mlroll asks for tokens itself, and renews them".to_owned(),
        });
    }
    let by_tool = Kind::chain(settings).ok()?.first() == Some(&Kind::AzureCli);
    let in_job = settings.oidc_url.is_some() && settings.oidc_token.is_some();
    (by_tool && in_job).then(|| Access {
        what: "the login of `az`, where azure/login was given no secret,".to_owned(),
        ends: None,
        usually: USUALLY,
        remedy: "set AZURE_TENANT_ID and AZURE_CLIENT_ID, and no MLROLL_AZURE_CREDENTIAL: mlroll asks for the job's tokens itself, \
                 and renews them"
            .to_owned(),
    })
}

/// When a token ends, as it says itself (RFC 7519, `exp`). Nothing is verified: whoever made it up deceives nobody else.
#[cfg(feature = "machine_learning")]
fn end_of(token: &str) -> Option<Timestamp> {
    let payload = azure_core::base64::decode_url_safe(token.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    Timestamp::from_unix_seconds(claims.get("exp")?.as_i64()?)
}

/// Tokens for one API.
#[derive(Debug)]
pub(crate) struct Tokens {
    api: Api,
    scope: String,
    ready: Option<Secret>,
    kinds: Vec<Kind>,
    settings: Settings,
    cloud: Cloud,
    courier: Courier,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    token: Option<(Secret, SystemTime)>,
    failed: Option<(String, Instant)>,
    /// Whether there has been a token.
    had: bool,
}

impl Kept {
    /// The token, unless it ends within `skew` or is the refused one.
    fn token(&self, refused: Option<&Secret>, skew: Duration) -> Option<Secret> {
        let good = |(token, until): &&(Secret, SystemTime)| refused != Some(token) && now() + skew < *until;
        self.token.as_ref().filter(good).map(|(token, _)| token.clone())
    }

    /// What there is without a new token: the old one up to its very end. Whoever had one was let in, so that there is none
    /// now may pass: a run on its way waits for it, and only one that begins is told at once.
    fn instead(&self, refused: Option<&Secret>, why: String) -> Result<Secret> {
        let kind = if self.had { ErrorKind::Unavailable } else { ErrorKind::Auth };
        self.token(refused, Duration::ZERO).ok_or_else(|| Error::new(kind, OPERATION, why))
    }
}

impl Tokens {
    /// Asks for nothing yet.
    ///
    /// # Errors
    /// `Invalid`: a credential of an unknown kind, or a cloud without such an API.
    pub(crate) fn new(api: Api, settings: &Settings, cloud: Cloud, client: Client) -> Result<Self> {
        let kinds = Kind::chain(settings)?;
        let courier = Courier { client, instead: None };
        let scope = format!("{}/.default", cloud.host(api)?);
        let ready = api.ready(settings).cloned();
        Ok(Self { api, scope, ready, kinds, settings: settings.clone(), cloud, courier, kept: Mutex::default() })
    }

    /// A token, from what is kept unless that is `refused`: the very token that Azure did not take.
    ///
    /// # Errors
    /// `Auth`: there is none, and never was. With a ready token that was refused there is no other. `Unavailable`: there was
    /// one, and there is no other now.
    pub(crate) async fn get(&self, refused: Option<&Secret>) -> Result<Secret> {
        if let Some(ready) = &self.ready {
            return match refused {
                None => Ok(ready.clone()),
                Some(_) => {
                    let message =
                        format!("{} is not taken, and it is all there is: has it expired?", self.api.token_variable());
                    Err(Error::new(ErrorKind::Auth, OPERATION, message))
                }
            };
        }
        let mut kept = self.kept.lock().await;
        if let Some(token) = kept.token(refused, SKEW) {
            return Ok(token);
        }
        if let Some((message, at)) = &kept.failed
            && at.elapsed() < STANDS
        {
            return kept.instead(refused, message.clone());
        }
        match tokio::time::timeout(PATIENCE, self.fetch()).await {
            Ok(Ok((token, until))) => {
                *kept = Kept { token: Some((token.clone(), until)), failed: None, had: true };
                Ok(token)
            }
            Ok(Err(message)) => {
                kept.failed = Some((message.clone(), Instant::now()));
                kept.instead(refused, message)
            }
            Err(_) => {
                let kinds: Vec<&str> = self.kinds.iter().map(|kind| kind.name()).collect();
                let message = format!("no token from {} within {} s", kinds.join(" or "), PATIENCE.as_secs());
                kept.failed = Some((message.clone(), Instant::now()));
                kept.instead(refused, message)
            }
        }
    }

    /// Each credential is made anew, so that none answers with a token it has kept itself and that was refused.
    async fn fetch(&self) -> Result<(Secret, SystemTime), String> {
        let mut reasons = Vec::new();
        for kind in &self.kinds {
            let token = match self.credential(*kind) {
                Ok(credential) => credential.get_token(&[&self.scope], None).await.map_err(|e| reason(&e)),
                Err(reason) => Err(reason),
            };
            match token {
                Ok(token) => return Ok((Secret::from(token.token.secret().to_owned()), token.expires_on.into())),
                Err(reason) => reasons.push(format!("{}: {reason}", kind.name())),
            }
        }
        let elsewhere = if self.api == Api::Logs && self.settings.access_token.is_some() {
            "; AZURE_ACCESS_TOKEN is for Azure Resource Manager and goes nowhere else: give AZURE_LOGS_ACCESS_TOKEN, or a \
             credential"
        } else {
            ""
        };
        Err(format!("no Azure credential gives a token for {} ({}){elsewhere}", self.scope, reasons.join("; ")))
    }

    fn credential(&self, kind: Kind) -> Result<Arc<dyn TokenCredential>, String> {
        let Settings { tenant, client, client_secret, federated_token_file, oidc_url, oidc_token, .. } = &self.settings;
        let needs = |value: &Option<String>, name: &str| value.clone().ok_or_else(|| format!("{name} is not set"));
        let application = || Ok::<_, String>((needs(tenant, "AZURE_TENANT_ID")?, needs(client, "AZURE_CLIENT_ID")?));
        let made: azure_core::Result<Arc<dyn TokenCredential>> = match kind {
            Kind::AzureCli => AzureCliCredential::new(None).map(|c| c as _),
            Kind::AzureDeveloperCli => AzureDeveloperCliCredential::new(None).map(|c| c as _),
            Kind::ClientSecret => {
                let (tenant, client) = application()?;
                let secret = client_secret.as_ref().ok_or("AZURE_CLIENT_SECRET is not set")?;
                let options = ClientSecretCredentialOptions { client_options: self.options() };
                let secret = AzureSecret::new(secret.reveal().to_owned());
                ClientSecretCredential::new(&tenant, client, secret, Some(options)).map(|c| c as _)
            }
            Kind::GitHubOidc => {
                let (tenant, client) = application()?;
                let missing = "ACTIONS_ID_TOKEN_REQUEST_URL is not set: give the job `permissions: id-token: write`";
                let assertion = GitHubAssertion {
                    courier: self.courier.clone(),
                    url: oidc_url.clone().ok_or(missing)?,
                    bearer: oidc_token.clone().ok_or(missing)?,
                };
                let options = ClientAssertionCredentialOptions { client_options: self.options() };
                ClientAssertionCredential::new(tenant, client, assertion, Some(options)).map(|c| c as _)
            }
            Kind::ManagedIdentity => {
                let user_assigned_id = client.clone().map(UserAssignedId::ClientId);
                let mut options = ManagedIdentityCredentialOptions { user_assigned_id, ..Default::default() };
                options.client_options = self.options();
                ManagedIdentityCredential::new(Some(options)).map(|c| c as _)
            }
            Kind::WorkloadIdentity => {
                let (tenant, client) = application()?;
                let file = needs(federated_token_file, "AZURE_FEDERATED_TOKEN_FILE")?;
                let mut options = WorkloadIdentityCredentialOptions::default();
                options.tenant_id = Some(tenant);
                options.client_id = Some(client);
                options.token_file_path = Some(file.into());
                options.credential_options = ClientAssertionCredentialOptions { client_options: self.options() };
                WorkloadIdentityCredential::new(Some(options)).map(|c| c as _)
            }
        };
        made.map_err(|e| reason(&e))
    }

    fn options(&self) -> ClientOptions {
        let mut custom = CustomConfiguration::default();
        let host = self.settings.authority_host.as_deref().unwrap_or(self.cloud.authority);
        custom.authority_host = if host.contains("://") { host.to_owned() } else { format!("https://{host}") };
        ClientOptions {
            transport: Some(AzureTransport::new(Arc::new(self.courier.clone()))),
            cloud: Some(Arc::new(CloudConfiguration::Custom(custom))),
            ..ClientOptions::default()
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a token ends by the wall clock, whatever clock a rollout runs on")]
fn now() -> SystemTime {
    SystemTime::now()
}

/// Why there is no token: Entra's code, or one of the few things that can be told without repeating what was said.
fn reason(error: &azure_core::Error) -> String {
    let text = error.to_string();
    if let Some(at) = text.find("AADSTS") {
        let code: String =
            text.chars().skip(text.get(..at).map_or(0, |before| before.chars().count())).take(14).collect();
        let code: String = code.chars().take_while(char::is_ascii_alphanumeric).collect();
        let meaning = match code.as_str() {
            "AADSTS700024" => ": the federated token has expired (an `az login` of an OIDC job lasts minutes)",
            "AADSTS7000215" => ": the client secret is wrong",
            "AADSTS7000222" => ": the client secret has expired",
            "AADSTS700016" => ": there is no such application in the tenant",
            "AADSTS70021" | "AADSTS700213" => ": no federated credential of the application matches this job",
            "AADSTS90002" => ": there is no such tenant",
            _ => "",
        };
        return format!("Microsoft Entra refuses with {code}{meaning}");
    }
    // Our own words lie below those of `azure_identity`.
    let mut below = error.source();
    while let Some(cause) = below {
        if cause.to_string().contains(CLEAR_TEXT) {
            return "it would go out in clear text, which is for this machine only".to_owned();
        }
        below = cause.source();
    }
    let lower = text.to_ascii_lowercase();
    for (words, meaning) in [
        ("not found on path", "it is not installed"),
        ("az login", "nobody is logged in: `az login`"),
        ("azd auth login", "nobody is logged in: `azd auth login`"),
        ("please run", "nobody is logged in"),
        ("doesn't use https", "AZURE_AUTHORITY_HOST must be https"),
        ("tenant", "AZURE_TENANT_ID is not a tenant, or it does not answer"),
        ("no such file", "the file with the federated token is not there"),
    ] {
        if lower.contains(words) {
            return meaning.to_owned();
        }
    }
    match error.kind() {
        AzureErrorKind::Io => "no connection".to_owned(),
        AzureErrorKind::HttpResponse { status, .. } => format!("refused with status {status}"),
        AzureErrorKind::Connection
        | AzureErrorKind::Credential
        | AzureErrorKind::DataConversion
        | AzureErrorKind::Other => "it gives none".to_owned(),
    }
}

/// Carries requests for tokens. Redirects are not followed, and a credential leaves this machine only encrypted.
#[derive(Clone, Debug)]
struct Courier {
    client: Client,
    /// Where tests have Microsoft Entra, which must be https otherwise.
    instead: Option<Url>,
}

impl Courier {
    fn refuse_clear_text(url: &Url) -> Result<(), String> {
        let host = url.host_str().unwrap_or_default();
        // Virtual machines find their metadata service at a link-local address.
        let link_local = matches!(host.parse(), Ok(IpAddr::V4(ip)) if ip.is_link_local());
        match url.scheme() {
            "https" => Ok(()),
            "http" if is_loopback(url) || link_local => Ok(()),
            _ => Err(format!("{CLEAR_TEXT} to {host}")),
        }
    }

    async fn carry(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<(u16, reqwest::header::HeaderMap, Vec<u8>), String> {
        let request = request.build().map_err(|_| "a credential holds something that cannot be sent".to_owned())?;
        Self::refuse_clear_text(request.url())?;
        let failed = |_: reqwest::Error| "no connection".to_owned();
        let mut answer = self.client.execute(request).await.map_err(failed)?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > LONGEST_ANSWER {
                return Err("an answer that is too long".to_owned());
            }
            body.extend_from_slice(&chunk);
        }
        Ok((answer.status().as_u16(), answer.headers().clone(), body))
    }
}

#[async_trait]
impl HttpClient for Courier {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let io = |message: String| azure_core::Error::with_message(AzureErrorKind::Io, message);
        let mut url: Url = request.url().clone();
        if let (Some(instead), Some("https")) = (&self.instead, Some(url.scheme())) {
            let mut moved = instead.clone();
            // Where it was meant to go is in the path.
            moved.set_path(&format!("{}{}", url.host_str().unwrap_or_default(), url.path()));
            moved.set_query(url.query());
            url = moved;
        }
        // A failed connection would be tried again for as long as there is time; this is for good.
        Self::refuse_clear_text(&url)
            .map_err(|message| azure_core::Error::with_message(AzureErrorKind::Credential, message))?;
        let method = Method::from_bytes(request.method().as_str().as_bytes()).map_err(|e| io(e.to_string()))?;
        let mut carried = self.client.request(method, url);
        for (name, value) in request.headers().iter() {
            carried = carried.header(name.as_str(), value.as_str());
        }
        if let Body::Bytes(bytes) = request.body() {
            carried = carried.body(bytes.clone());
        }
        let (status, headers, body) = self.carry(carried).await.map_err(io)?;
        let mut answered = Headers::new();
        for (name, value) in &headers {
            let value = value.to_str().unwrap_or_default().to_owned();
            answered.insert(HeaderName::from(name.as_str().to_owned()), HeaderValue::from(value));
        }
        Ok(AsyncRawResponse::from_bytes(StatusCode::from(status), answered, body))
    }
}

/// A GitHub job's own token, fetched anew for each exchange: it lives for minutes, a canary for hours.
#[derive(Debug)]
struct GitHubAssertion {
    courier: Courier,
    url: String,
    bearer: Secret,
}

/// GitHub's answer.
#[derive(Deserialize)]
struct IdToken {
    value: String,
}

#[async_trait]
impl ClientAssertion for GitHubAssertion {
    async fn secret(&self, _: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        let refused = |message: String| azure_core::Error::with_message(AzureErrorKind::Credential, message);
        let mut url =
            Url::parse(&self.url).map_err(|_| refused("ACTIONS_ID_TOKEN_REQUEST_URL is no address".to_owned()))?;
        url.query_pairs_mut().append_pair("audience", "api://AzureADTokenExchange");
        let request = self.courier.client.get(url).bearer_auth(self.bearer.reveal());
        let (status, _, body) = self.courier.carry(request).await.map_err(refused)?;
        if status != 200 {
            return Err(refused(format!("GitHub answers with status {status}")));
        }
        let token: IdToken =
            serde_json::from_slice(&body).map_err(|_| refused("GitHub's answer is no token".to_owned()))?;
        Ok(token.value)
    }
}

#[cfg(test)]
mod tests;
