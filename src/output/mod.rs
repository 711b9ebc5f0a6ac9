//! What users and scripts see: stdout is data, stderr is talk.

mod github;
pub mod json;
mod printer;
mod progress;
pub mod text;

pub use github::announce;
pub use printer::{ColorChoice, Format, Printer, Talk};
pub use progress::Progress;
