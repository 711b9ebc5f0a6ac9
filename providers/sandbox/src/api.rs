//! What an API of a cloud is to the sandbox.

use std::fmt::Debug;

use bytes::Bytes;

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
}
