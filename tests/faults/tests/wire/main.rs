//! The server as a raw client sees it on the wire.
#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_in_result,
    clippy::unwrap_used,
    reason = "a failed step fails the test"
)]

mod client;
mod faults;
mod limits;
mod paging;
mod routes;
mod rules;
