//! What happens to every request on its way to the wire, and back.
//!
//! Each attempt: a token is fetched; the request is shown to the [`Wiretap`], which counts it or, in a rehearsal, stops it;
//! sent; its answer read whole, in bounded time and size. Throttling, failures of the provider and broken connections are
//! tried again with growing waits, until the total time is over; a refused token is fetched anew, once. Where Google asks for a
//! longer wait than that, the error says so, and whoever has the time waits.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use mlroll_backend::{Call, Effect, Error, ErrorKind, Permit, Result, Target, Wiretap};
use reqwest::{Method, Response, Url};

use crate::error::{classify, is_unauthenticated, printable, worth_a_retry};
use crate::session::Session;

/// One request to Google.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) operation: &'static str,
    pub(crate) method: Method,
    /// Whether it changes anything: a `PATCH` that is only to be validated does not.
    pub(crate) effect: Effect,
    pub(crate) url: Url,
    /// JSON.
    pub(crate) body: Option<String>,
    /// Whom a control plane's request is shown to, and which target it is about.
    pub(crate) watched: Option<(&'a dyn Wiretap, &'a Target)>,
}

impl Session {
    /// The body of the answer, of a status of success.
    pub(crate) async fn send(&self, request: &Request<'_>) -> Result<Vec<u8>> {
        let limits = self.limits();
        let mut last = None;
        let attempts = async {
            let mut wait = limits.backoff;
            let mut renewed = false;
            let mut tried = 0;
            let mut left = limits.total;
            loop {
                tried += 1;
                let error = match self.attempt(request).await {
                    Ok(body) => return Ok(body),
                    Err(error) => error,
                };
                if is_unauthenticated(&error) && !renewed && self.tokens().await?.renew().await {
                    renewed = true;
                    continue;
                }
                let again = worth_a_retry(&error, request.effect == Effect::Write) && tried < limits.attempts;
                let error = if tried > 1 { error.with("attempts", tried) } else { error };
                let pause = error.retry_after().unwrap_or_else(|| jittered(wait));
                if !again || pause >= left {
                    return Err(error);
                }
                last = Some(error);
                pause_for(pause).await;
                left -= pause;
                wait = wait.saturating_mul(2);
            }
        };
        match tokio::time::timeout(limits.total, attempts).await {
            Ok(ended) => ended,
            Err(_) => Err(last.unwrap_or_else(|| {
                let message = format!("no answer within {} s", limits.total.as_secs_f64());
                Error::new(ErrorKind::Unavailable, request.operation, message)
            })),
        }
    }

    async fn attempt(&self, request: &Request<'_>) -> Result<Vec<u8>> {
        let tokens = self.tokens().await?;
        let token = tokens.token().await?;
        let mut sent = self.client().await?.request(request.method.clone(), request.url.clone());
        sent = sent.bearer_auth(token.reveal());
        if let Some(project) = tokens.quota_project() {
            sent = sent.header("x-goog-user-project", project);
        }
        if let Some(body) = &request.body {
            sent = sent.header("content-type", "application/json").body(body.clone());
        }
        if self.show(request) == Some(Permit::Withhold) {
            let message = "a dry run stops before this call";
            return Err(Error::new(ErrorKind::Withheld, request.operation, message));
        }
        let answer = sent.send().await.map_err(|e| no_answer(request.operation, &e))?;
        let status = answer.status();
        let retry_after = answer.headers().get("retry-after").and_then(|v| v.to_str().ok()?.trim().parse().ok());
        let body = self.read_whole(request.operation, answer).await?;
        if status.is_success() {
            return Ok(body);
        }
        let error = classify(request.operation, status.as_u16(), &body);
        let wait = error.retry_after().or(retry_after.map(Duration::from_secs));
        Err(error.again_after(wait))
    }

    fn show(&self, request: &Request<'_>) -> Option<Permit> {
        let (wiretap, target) = request.watched?;
        Some(wiretap.about_to_send(&Call {
            target: target.clone(),
            operation: request.operation,
            effect: request.effect,
            method: request.method.to_string(),
            url: request.url.to_string(),
            overridden: self.is_overridden(),
            body: request.body.clone(),
        }))
    }

    /// Reads the answer here, so that one cut short fails like any other broken connection and is tried again.
    pub(crate) async fn read_whole(&self, operation: &'static str, mut answer: Response) -> Result<Vec<u8>> {
        let most = self.limits().answer;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|e| no_answer(operation, &e))? {
            if body.len() + chunk.len() > most {
                let message = format!("the answer is longer than {most} bytes");
                return Err(Error::new(ErrorKind::Unexpected, operation, message));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// A failure on the way, of which nobody can say how far the request came.
pub(crate) fn no_answer(operation: &'static str, failed: &reqwest::Error) -> Error {
    if failed.is_builder() {
        return Error::new(ErrorKind::Auth, operation, "the token holds something that cannot be sent");
    }
    if failed.is_timeout() {
        return Error::new(ErrorKind::Unavailable, operation, "no answer in time");
    }
    // The innermost error says most: "Connection refused" rather than "error sending request".
    let causes = std::iter::successors(Some(failed as &dyn std::error::Error), |error| error.source());
    let innermost = causes.last().map_or_else(String::new, |error| printable(&error.to_string(), 300));
    let what = if failed.is_connect() { "no connection to the provider" } else { "the connection broke" };
    Error::new(ErrorKind::Unavailable, operation, format!("{what}: {innermost}"))
}

/// Half to all of a wait, so that many who were refused together do not come back together.
fn jittered(wait: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish();
    let part = u32::try_from(random % 1000).unwrap_or_default();
    wait / 2 + wait / 2000 * part
}

#[expect(clippy::disallowed_methods, reason = "retries are the transport's, and so are the waits between them")]
async fn pause_for(wait: Duration) {
    tokio::time::sleep(wait).await;
}
