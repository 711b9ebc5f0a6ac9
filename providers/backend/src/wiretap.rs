//! The last inch before the wire.

use std::fmt;

use crate::Target;

/// One HTTP request to a control plane, before it leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The target it is about.
    pub target: Target,
    /// The provider's name of the operation, such as `UpdateAlias`.
    pub operation: &'static str,
    /// Whether it changes anything.
    pub effect: Effect,
    /// Its method.
    pub method: String,
    /// Its URL. Never holds credentials.
    pub url: String,
    /// Whether it goes to an endpoint that is not the provider's own.
    pub overridden: bool,
    /// Its body as text; `None` when it has none.
    pub body: Option<String>,
}

/// Whether a call changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It only looks.
    Read,
    /// It changes the target.
    Write,
}

/// Whether a call may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// Send it.
    Send,
    /// Do not: this is a rehearsal, and the call was noted.
    Withhold,
}

/// Sees every request of an adapter just before it is put on the wire, each retry again.
///
/// One place counts calls, prints them for `--verbose`, and stops the writes of `--dry-run`: so a dry run builds
/// its requests with the same code as a run, down to the last byte of the body.
pub trait Wiretap: fmt::Debug + Send + Sync {
    /// Notes `call` and says whether it may leave. Must not block.
    fn about_to_send(&self, call: &Call) -> Permit;
}
