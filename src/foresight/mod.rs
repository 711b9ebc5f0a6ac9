//! What a run will do and what its gates can see, before any traffic moves.
//!
//! - [`Outlook`]: of a plan, for each step and gate, the smallest regression it sees, how soon, and at what cost
//!
//! - [`power()`]: of one gate, how surely and how soon it fails a worse candidate, by simulated bakes
//! - [`passing()`]: the same of passing one, as good as stable
//! - [`backtest()`]: of one gate on past data, how often it had failed with nothing wrong, and how soon an injected regression
//! - [`tried()`]: the same of a gate that counts no events
//!
//! The formulas are in [`crate::judge::forecast`]; what they promise and what not is in `docs/foresight.md`.

mod backtest;
mod bake;
mod draw;
mod final_look;
mod injected;
mod outlook;
mod power;
mod read;
mod tried;

pub use backtest::{Backtest, Backtested, Past, backtest};
pub use draw::{Dice, Draw};
pub use final_look::{FinalLook, staked};
pub use injected::Injected;
pub use outlook::{Gated, Outlook, Sight, StepOutlook, Traffic, number, percent, span};
pub use power::{Effort, Found, Passing, Power, passing, power};
pub use read::{counting, counts};
pub use tried::{Null, Record, Tried, compares_days, tried, untold};
