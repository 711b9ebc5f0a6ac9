//! The sandbox as a raw client sees it on the wire.
#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_in_result,
    clippy::unwrap_used,
    reason = "a failed step fails the test"
)]

mod admin;
mod aliases;
mod client;
mod faults;
mod hostile;
mod listen;
mod provisioned;
mod versions;
