//! What a run will do and what its gates can see, before any traffic moves.
//!
//! - [`Outlook`]: of a plan, for each step and gate, the smallest regression it sees, how soon, and at what cost
//!
//! The formulas are in [`crate::judge::forecast`]; what they promise and what not is in `docs/foresight.md`.

mod outlook;
mod read;

pub use outlook::{Gated, Outlook, Sight, StepOutlook, Traffic, number, percent, span};
pub use read::{counting, counts};
