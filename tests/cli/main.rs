//! The built program, run as a user runs it: from an empty folder with an empty home.
#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a failed step fails the test, and modules share their parts"
)]

mod arguments;
mod completions;
mod dry_run;
mod faults;
mod fleet;
mod gate;
mod github;
mod killed;
mod moto;
mod rollback;
mod sagemaker;
mod shape;
mod watched;
mod world;
