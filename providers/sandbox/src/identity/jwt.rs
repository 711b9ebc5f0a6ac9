//! Tokens that say who somebody is, and tokens that say what they may do.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{LIFETIME, now};
use crate::api::{Answer, Request, json_answer};
use crate::google::{self, Parameters, Refusal};

/// What access tokens begin with; Google's own begin with `ya29.`.
const ACCESS: &str = "ya29.sandbox-";

/// Whom GitHub vouches for here.
pub(super) const JOB: &str = "repo:acme/fraud:ref:refs/heads/main";

/// A token that says for whom it is meant and who brings it. Nobody signed it.
pub(super) fn identity(issuer: &str, audience: &str, subject: &str, more: &Value) -> String {
    let at = now().unix_seconds();
    let until = at.saturating_add(i64::try_from(LIFETIME).unwrap_or(i64::MAX));
    let mut claims = json!({ "iss": issuer, "aud": audience, "sub": subject, "iat": at, "exp": until });
    if let (Value::Object(claims), Value::Object(more)) = (&mut claims, more) {
        claims.extend(more.clone());
    }
    let part = |value: &Value| BASE64.encode(value.to_string());
    let head = json!({ "alg": "RS256", "kid": "sandbox", "typ": "JWT" });
    format!("{}.{}.{}", part(&head), part(&claims), BASE64.encode("nobody signed this"))
}

/// What a token says, if it is one in three parts.
pub(crate) fn claims(token: &str) -> Option<Map<String, Value>> {
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let claims = BASE64.decode(claims.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&claims).ok()
}

/// A token that says what may be done with it.
pub(super) fn access(of: &str, scope: &str) -> String {
    format!("{ACCESS}{}", BASE64.encode(json!({ "of": of, "scope": scope }).to_string()))
}

/// The scopes of an access token that was given out here; nothing is known of others.
pub(super) fn scopes(token: &str) -> Option<String> {
    let content = BASE64.decode(token.strip_prefix(ACCESS)?).ok()?;
    let content: Value = serde_json::from_slice(&content).ok()?;
    content.get("scope")?.as_str().map(str::to_owned)
}

/// What a job of GitHub Actions gets from `ACTIONS_ID_TOKEN_REQUEST_URL`.
pub(super) fn github(request: &Request) -> Result<Answer, Refusal> {
    google::authenticated(request)?;
    let asked = Parameters::read(request, &["api-version", "audience"], &[])?;
    let audience = asked.get("audience").unwrap_or("https://github.com/acme");
    let more = json!({ "repository": "acme/fraud", "ref": "refs/heads/main", "repository_owner": "acme" });
    let token = identity("https://token.actions.githubusercontent.com", audience, JOB, &more);
    Ok(json_answer(StatusCode::OK, &json!({ "count": token.len(), "value": token })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_read_back() {
        let token = identity("i", "a", "s", &json!({ "email": "e" }));
        let claims = claims(&token).unwrap();
        assert_eq!((&claims["aud"], &claims["sub"], &claims["email"]), (&json!("a"), &json!("s"), &json!("e")));
        assert!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap() == 3600);
        assert_eq!(scopes(&access("s", "x y")).unwrap(), "x y");
        for nonsense in ["", "a.b", "a.b.c", "a.b.c.d", "e30.e30.e30.e30", "ya29.sandbox-%%"] {
            assert!(self::claims(nonsense).is_none() && scopes(nonsense).is_none(), "{nonsense}");
        }
    }
}
