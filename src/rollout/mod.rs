//! What to do, purely: an observation in, a decision out. No clock, no I/O, no async.
//!
//! - [`decide()`]: what a verb does to a target in a given state
//! - [`engine`]: whole rollouts, step by step
//! - [`landing()`]: whether a write that seemed to fail took effect
//! - [`choose()`]: which revision a canary is about when none is named
//! - [`Vigil`]: when mirrored traffic has shown enough

mod candidate;
mod decision;
pub mod engine;
mod intent;
mod landing;
mod vigil;

pub use candidate::{Choice, choose};
pub use decision::{Decision, Refusal, Step, decide};
pub use intent::{Intent, Stamp};
pub use landing::{Landing, landing};
pub use vigil::{Conclusion, Vigil};

/// What happened to a target, or would.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It could not be done.
    Failed,
    /// Given up without touching traffic: a person is needed.
    Halted,
    /// Stopped, and the split is kept: a person decides.
    Held,
    /// The candidate has everything and is stable.
    Promoted,
    /// Stable, or what was stable before, has everything.
    RolledBack,
    /// The candidate has its share.
    Shifted,
    /// There was nothing to do.
    Unchanged,
}

impl Outcome {
    /// The name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Halted => "halted",
            Self::Held => "held",
            Self::Promoted => "promoted",
            Self::RolledBack => "rolled_back",
            Self::Shifted => "shifted",
            Self::Unchanged => "unchanged",
        }
    }

    /// The name for people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::RolledBack => "rolled back",
            Self::Failed | Self::Halted | Self::Held | Self::Promoted | Self::Shifted | Self::Unchanged => self.name(),
        }
    }
}

#[cfg(test)]
mod tests;
