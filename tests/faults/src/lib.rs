//! Scripted control planes on loopback that fail on demand: AWS Lambda here, Azure in [`arm`].
//!
//! `mlroll` has to stay right when a cloud answers late, twice, half or not at all, and no real account does that to
//! order. [`Server`] speaks the alias part of Lambda's REST API over real HTTP/1.1, so that the real SDK is under
//! test with its connection pool, its retries and its timeouts. It enforces Lambda's rules strictly: every accepted
//! update mints a revision id, a stale one gets 412, and an illegal alias is refused in Lambda's own words.
//!
//! [`SageMaker`] does the same for the weights of SageMaker endpoints, in awsJson 1.1. [`scripted`] answers whatever it is told to, and
//! [`Tap`] notes what an adapter is about to send. [`Outsider`] is a server that others wrote.
//!
//! ```
//! use mlroll_faults::{Alias, Fault, Kind, Operation, Server};
//!
//! let server = Server::start();
//! server.add_function("fraud", &[1, 2]);
//! server.add_alias("fraud", "prod", Alias { version: "1".into(), ..Alias::default() });
//! server.fault(Fault::on(Operation::UpdateAlias).target("fraud@prod").kind(Kind::ResetAfter));
//! // ... run the client against `server.url()`, then look at what arrived:
//! assert!(server.requests().is_empty());
//! ```

#![allow(clippy::disallowed_methods, reason = "it stands outside of mlroll and has its own clock")]

pub mod arm;
mod cloud_run;
mod connection;
mod error;
mod exchange;
mod fault;
mod http;
mod lambda;
mod limit;
mod log;
mod operation;
mod outsider;
mod paging;
mod rules;
mod sagemaker;
pub mod scripted;
mod server;
mod stop;
mod tap;
mod tokens;
mod update;
mod world;

pub use crate::cloud_run::{CloudRun, RunFault, RunRequest, RunRevision, RunService, RunShown, envelope};
pub use crate::fault::{Change, Fault, Kind};
pub use crate::limit::RateLimit;
pub use crate::log::Request;
pub use crate::operation::Operation;
pub use crate::outsider::{Outsider, make_blocks, tool};
pub use crate::sagemaker::{Endpoint, Failure, SageMaker, SageMakerRequest};
pub use crate::server::{Options, Server};
pub use crate::tap::Tap;
pub use crate::tokens::{Asked, Tokens};
pub use crate::world::{Alias, Version};
