//! Why each decision of a run fell, from its journal alone.
//!
//! - [`Retraced`] takes every step again, judges every window again, and says where the journal differs
//! - [`Account`] is what happened, in the order of time: decisions with their rule and numbers, writes, holds, interference
//! - `text` tells it to people, with the evidence over the looks as a chart

mod account;
mod chart;
mod retrace;
#[cfg(test)]
mod tests;
mod text;

pub use account::{Account, Entry, Event, Planned, Readings, Window};
pub(crate) use chart::chart;
pub use retrace::{Difference, Judged, Retraced, Step};
pub use text::text;
