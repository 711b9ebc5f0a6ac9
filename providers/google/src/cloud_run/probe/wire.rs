//! The request to a service itself. HTTP types stop here.

use std::time::Duration;

use mlroll_backend::{Call, Effect, Error, ErrorKind, Permit, Question, Result};
use reqwest::Url;
use reqwest::header::HOST;

use super::{Address, OPERATION};
use crate::cloud_run::wire::Calls;
use crate::error::printable;
use crate::transport::no_answer;

/// How long an answer may take: what Cloud Run grants a request when nobody says otherwise. An instance may have to start.
const PATIENCE: Duration = Duration::from_secs(300);

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Whether we said who we are.
    pub(super) had_identity: bool,
    pub(super) body: Vec<u8>,
}

/// Sends a request to the address of a tag, as somebody, where our credentials can tell who.
pub(super) async fn invoke(calls: &Calls<'_>, address: &Address, question: &Question<'_>) -> Result<Answer> {
    let (url, host) = leads_to(calls, &address.tagged, question.path.unwrap_or("/"))?;
    let shown = Call {
        target: calls.target.clone(),
        operation: "Invoke",
        effect: Effect::Read,
        method: "POST".to_owned(),
        url: url.to_string(),
        overridden: host.is_some(),
        // Of the user's own, and for nobody else.
        body: None,
    };
    if calls.wiretap.about_to_send(&shown) == Permit::Withhold {
        return Err(Error::new(ErrorKind::Withheld, OPERATION, "a dry run stops before this call"));
    }
    let token = calls.session.identity(&address.service).await?;
    let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(question.payload).is_ok();
    let kind = if is_json { "application/json" } else { "application/octet-stream" };
    let mut request = calls.session.client().await?.post(url).timeout(PATIENCE).header("content-type", kind);
    if let Some(host) = host {
        request = request.header(HOST, host);
    }
    if let Some(token) = &token {
        request = request.bearer_auth(token.reveal());
    }
    let answer = request.body(question.payload.to_vec()).send().await.map_err(|e| no_answer(OPERATION, &e))?;
    let status = answer.status().as_u16();
    Ok(Answer { status, had_identity: token.is_some(), body: calls.session.read_whole(OPERATION, answer).await? })
}

/// Where a request goes for an address of Google's, and under which host, where that is this machine.
fn leads_to(calls: &Calls<'_>, tagged: &str, path: &str) -> Result<(Url, Option<String>)> {
    let strange = || Error::new(ErrorKind::Unexpected, OPERATION, "the address of the tag is none for a request");
    let tagged = Url::parse(tagged).map_err(|_| strange())?;
    if tagged.scheme() != "https" || !tagged.has_host() || !tagged.username().is_empty() {
        return Err(strange());
    }
    let host = tagged.host_str().unwrap_or_default().to_owned();
    let elsewhere = || {
        Error::new(ErrorKind::Invalid, OPERATION, format!("`{}` is no path, such as /v1/predict", printable(path, 100)))
    };
    let on_it = |base: &Url| {
        let url = base.join(path).map_err(|_| elsewhere())?;
        if url.origin() == base.origin() && path.starts_with('/') { Ok(url) } else { Err(elsewhere()) }
    };
    match calls.session.on_this_machine() {
        Some(base) => Ok((on_it(base)?, Some(host))),
        None => Ok((on_it(&tagged)?, None)),
    }
}
