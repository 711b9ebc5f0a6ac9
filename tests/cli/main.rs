//! The built program, run as a user runs it: from an empty folder with an empty home.
#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step fails the test"
)]

mod arguments;
mod completions;
mod dry_run;
mod faults;
mod fleet;
mod github;
mod moto;
mod rollback;
mod shape;
mod world;
