//! A scripted Azure Resource Manager on loopback: Azure ML online endpoints, their deployments, Azure Monitor.
//!
//! It is as strict as Azure is, and as late: a PUT is the whole endpoint, what is left out is lost; it is answered 201 with
//! the traffic from before; reads show that until the operation ends, and for as long after as a test says. An operation
//! ends after a number of reads, so that no test waits for time.

mod answer;
mod server;
mod world;

pub use server::{Arm, TOKEN};
pub use world::{Endpoint, Outcome, Rate, deployment};

use serde_json::Value;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct ArmRequest {
    /// The method.
    pub method: String,
    /// The decoded path.
    pub path: String,
    /// The decoded query.
    pub query: std::collections::BTreeMap<String, String>,
    /// Which operation it is.
    pub operation: ArmOperation,
    /// The body as text.
    pub text: String,
    /// The status sent back; absent when the client never saw one.
    pub status: Option<u16>,
}

/// An operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArmOperation {
    /// GET of an endpoint.
    Get,
    /// PUT of an endpoint.
    Put,
    /// GET of the deployments.
    List,
    /// GET of one deployment.
    GetDeployment,
    /// GET of an operation's status.
    Status,
    /// GET of metrics.
    Metrics,
    /// Anything else.
    Unknown,
}

/// What happens to requests.
#[derive(Clone)]
pub struct ArmFault {
    pub(crate) operation: ArmOperation,
    pub(crate) skip: u32,
    pub(crate) times: u32,
    pub(crate) kind: ArmKind,
}

/// What happens to a request.
#[derive(Clone)]
pub enum ArmKind {
    /// It is answered so, and not done.
    Status {
        /// The status.
        status: u16,
        /// The answer's error, or the whole body when it is an object with `error`.
        body: Value,
        /// More headers.
        headers: Vec<(&'static str, String)>,
    },
    /// It is not done, and the connection reset.
    ResetBefore,
    /// It is done, and the connection reset.
    ResetAfter,
    /// It is done, and answered so.
    AnsweredAfter(u16),
    /// It is answered 200 with this text, and not done.
    Text(&'static str),
    /// Somebody changes the endpoint, without an operation, just before it is looked at.
    Foreign(fn(&mut Value)),
}

impl ArmFault {
    /// The next request of that operation.
    #[must_use]
    pub const fn on(operation: ArmOperation, kind: ArmKind) -> Self {
        Self { operation, skip: 0, times: 1, kind }
    }

    /// Lets some pass first.
    #[must_use]
    pub fn skip(self, skip: u32) -> Self {
        Self { skip, ..self }
    }

    /// As often.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    /// From then on always.
    #[must_use]
    pub fn forever(self) -> Self {
        self.times(u32::MAX)
    }
}

impl ArmKind {
    /// An error in Azure's envelope.
    #[must_use]
    pub fn status(status: u16, code: &str, message: &str) -> Self {
        Self::Status { status, body: answer::error(code, message), headers: Vec::new() }
    }

    /// The same with a `Retry-After` of seconds.
    #[must_use]
    pub fn throttled(seconds: u64) -> Self {
        let headers = vec![("Retry-After", seconds.to_string())];
        Self::Status { status: 429, body: answer::error("TooManyRequests", "slow down"), headers }
    }
}

impl std::fmt::Debug for ArmFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ArmFault").field("operation", &self.operation).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ArmKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self {
            Self::Status { status, .. } => return write!(f, "Status({status})"),
            Self::ResetBefore => "ResetBefore",
            Self::ResetAfter => "ResetAfter",
            Self::AnsweredAfter(status) => return write!(f, "AnsweredAfter({status})"),
            Self::Text(_) => "Text",
            Self::Foreign(_) => "Foreign",
        };
        f.write_str(name)
    }
}
