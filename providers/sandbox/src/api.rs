//! What an API of a cloud is to the sandbox.

use std::fmt::Debug;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::World;

/// A request as it arrived, its body read to the end.
pub type Request = http::Request<Bytes>;

/// A whole answer.
pub type Answer = http::Response<Bytes>;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The cloud's own name for it, such as `UpdateAlias`.
    pub name: &'static str,
    /// What it is about, as faults and the request log name it, such as `fraud@prod`; `None` when it is about nothing
    /// in particular.
    pub target: Option<String>,
}

/// A fault that only the API itself can play, because it is about its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twist {
    /// Somebody else changes what the request is about, just before it is served.
    ForeignWrite,
    /// The write is accepted, and what it began is canceled in the end.
    SettleCanceled,
    /// The write is accepted, and what it began fails in the end.
    SettleFailed,
    /// The write is accepted and never becomes live.
    SettleForever,
    /// The read is answered from the state before the latest write.
    Stale,
}

/// An API of a cloud: how its requests are told from others', and what it answers.
pub trait Api: Debug + Send + Sync {
    /// Its name in faults and the request log, such as `lambda`.
    fn name(&self) -> &'static str;

    /// What the request asks for, when it is this API's: `None` for any other's.
    ///
    /// A request that is this API's by its path or headers but names no operation that it has is an operation too
    /// (`Unknown`), and is answered as the cloud does.
    fn operation(&self, request: &Request) -> Option<Operation>;

    /// The answer, with all its effects on the world carried out.
    ///
    /// Never panics, whatever the bytes.
    fn answer(&self, request: &Request, operation: &Operation, world: &mut World) -> Answer;

    /// The names of all operations; faults may name no others. Empty: any name is taken.
    fn operations(&self) -> &'static [&'static str] {
        &[]
    }

    /// The answer of a fault of kind `status`, in the API's own format; without a `code`, the one that goes with the
    /// status.
    fn error(&self, status: StatusCode, code: Option<&str>) -> Answer {
        let code = code.unwrap_or("Fault");
        json_answer(status, &json!({ "error": { "code": code, "message": INJECTED } }))
    }

    /// Whether the fault makes sense for an operation; a fault that makes sense for none is refused.
    fn can(&self, _twist: Twist, _operation: &str) -> bool {
        false
    }

    /// Answers a request that a fault befalls, and tells whether the fault had its effect: one that had none strikes
    /// the next request instead. Called only for what [`can`](Self::can) allows.
    ///
    /// A [`Twist::ForeignWrite`] is carried out only, and the request answered later: nothing is returned to send.
    fn twisted(
        &self,
        _twist: Twist,
        _request: &Request,
        _operation: &Operation,
        _world: &mut World,
    ) -> (Option<Answer>, bool) {
        (None, false)
    }
}

/// The text of errors that no cloud would have sent.
pub(crate) const INJECTED: &str = "A fault of the sandbox.";

/// The bearer token that a request carries, unless it is empty; its scheme is written in any case (RFC 9110, 11.1).
pub(crate) fn bearer(request: &Request) -> Option<&str> {
    let sent = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = sent.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// An answer in JSON.
pub(crate) fn json_answer(status: StatusCode, body: &Value) -> Answer {
    let mut answer = Answer::new(Bytes::from(body.to_string()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}
