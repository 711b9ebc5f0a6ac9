//! What users and scripts see: stdout is data, stderr is talk.

pub mod deployed;
mod done;
pub mod foresight;
mod github;
pub mod json;
mod printer;
mod progress;
mod redraw;
pub mod text;

pub use done::Done;
pub use github::{announce, announce_failure};
pub use printer::{ColorChoice, Format, Printer, Talk};
pub use progress::{Bake, Progress};
pub use redraw::Screen;
