//! Requests for identity tokens. HTTP types stop here.

use reqwest::{Client, RequestBuilder, Url};
use serde_json::Value;

use super::OPERATION;
use crate::Secret;
use crate::error::classify;

/// By whose connections tokens are asked for.
#[derive(Debug)]
pub(crate) struct Wire<'a>(pub(crate) &'a Client);

/// Why there is no token.
type Why = String;

impl Wire<'_> {
    /// IAM's `generateIdToken`, at its whole address.
    pub(super) async fn generate_id_token(&self, url: &str, who: &Secret, body: &Value) -> Result<Secret, Why> {
        let request = self.0.post(address(url)?).bearer_auth(who.reveal());
        given(request.header("content-type", "application/json").body(body.to_string()), "token").await
    }

    /// A signed request to a token server (RFC 7523).
    pub(super) async fn exchange(&self, server: &str, assertion: &str) -> Result<Secret, Why> {
        let grant = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
        let request = self.0.post(address(server)?).header("content-type", "application/x-www-form-urlencoded");
        given(request.body(format!("grant_type={grant}&assertion={assertion}")), "id_token").await
    }

    /// A metadata server's token; `None` where there is no such server, or it has nobody to speak for.
    pub(super) async fn of_the_machine(&self, host: &str, audience: &str) -> Option<Secret> {
        let path = "computeMetadata/v1/instance/service-accounts/default/identity";
        let mut url = Url::parse(&format!("http://{host}/{path}")).ok()?;
        url.query_pairs_mut().extend_pairs([("audience", audience), ("format", "full")]);
        let answer = self.0.get(url).header("metadata-flavor", "Google").send().await.ok()?;
        if !answer.status().is_success() {
            return None;
        }
        let token = answer.text().await.ok()?;
        Some(token.trim()).filter(|token| is_token(token)).map(Secret::new)
    }
}

/// The token in the answer to a request.
async fn given(request: RequestBuilder, field: &str) -> Result<Secret, Why> {
    let answer = request.send().await.map_err(|e| e.without_url().to_string())?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(|e| e.without_url().to_string())?;
    if !status.is_success() {
        return Err(classify(OPERATION, status.as_u16(), &body).message().to_owned());
    }
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let token = body.get(field).and_then(Value::as_str).filter(|token| is_token(token));
    token.map(Secret::new).ok_or_else(|| "the answer holds no identity token".to_owned())
}

fn address(url: &str) -> Result<Url, Why> {
    Url::parse(url).map_err(|e| format!("no address: {e}"))
}

/// Three parts of what may stand in a header.
fn is_token(text: &str) -> bool {
    text.split('.').count() == 3 && text.bytes().all(|byte| byte.is_ascii_graphic())
}
