//! `cargo bench --bench look`: what a look costs besides the query.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "a measurement that fails is no measurement"
)]

#[path = "../tests/cli/look.rs"]
mod look;

fn main() {
    let (median, most) = look::summary(&look::costs(360));
    println!("a look of three gates: {median:?} of processor time, 95 % of them at most {most:?}");
}
