//! The record of everything that arrived.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;

use crate::http::Message;
use crate::operation::{Operation, Route};

/// One request as it arrived, and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The position in the order of arrival, from 1, over the whole life of the server.
    pub n: u64,
    /// When the request was complete.
    pub at: Instant,
    /// Which connection carried it, from 1, so that a test can tell reuse from reconnection.
    pub connection: u64,
    /// The method.
    pub method: String,
    /// The path as sent, without the query.
    pub path: String,
    /// The decoded query.
    pub query: BTreeMap<String, String>,
    /// The operation asked for.
    pub operation: Operation,
    /// The object as `function@alias`, `function@version` or `function`; absent for an unknown operation.
    pub target: Option<String>,
    /// The body; null when there is none or it is not JSON.
    pub body: Value,
    /// The headers under their lower-case names, without the value of `authorization`.
    pub headers: BTreeMap<String, String>,
    /// Whether the request carried a Signature Version 4.
    pub signed: bool,
    /// The status sent back; absent when the client never saw one, or not yet.
    pub status: Option<u16>,
    /// Whether the service carried the request out, whatever the client saw of it.
    pub applied: bool,
}

/// The requests in order of arrival.
#[derive(Debug, Default)]
pub(crate) struct Log {
    count: u64,
    requests: Vec<Request>,
}

impl Log {
    /// Records an arrival and returns its number.
    pub(crate) fn arrived(&mut self, message: &Message, route: &Route, connection: u64, at: Instant) -> u64 {
        self.count += 1;
        self.requests.push(Request {
            n: self.count,
            at,
            connection,
            method: message.method.clone(),
            path: message.path.clone(),
            query: route.query.clone(),
            operation: route.operation,
            target: route.target(),
            body: serde_json::from_slice(&message.body).unwrap_or_default(),
            headers: headers(message),
            signed: message.signature().is_some(),
            status: None,
            applied: false,
        });
        self.count
    }

    /// Records what became of the request, unless the log was cleared in between.
    pub(crate) fn settled(&mut self, n: u64, status: Option<u16>, applied: bool) {
        if let Some(request) = self.requests.iter_mut().find(|request| request.n == n) {
            request.status = status;
            request.applied = applied;
        }
    }

    pub(crate) fn snapshot(&self) -> Vec<Request> {
        self.requests.clone()
    }

    pub(crate) fn clear(&mut self) {
        self.requests.clear();
    }
}

/// Keeps a signature out of test output, where it would only be noise.
fn headers(message: &Message) -> BTreeMap<String, String> {
    message.headers.iter().filter(|(name, _)| name != "authorization").cloned().collect()
}
