//! Alarms of the store itself: no statistics, a veto.
//!
//! One that was open at any time of a bake is a FAIL. Quiet ones pass, in each step anew: that says that nobody complained, and
//! nothing about the candidate, so a panel never passes by them alone.

use serde::{Deserialize, Serialize};

/// What alarms were, window by window. Serializes exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlarmEvidence {
    /// Windows in which one was open.
    open: u64,
    /// Windows of this step in which none was.
    quiet: u64,
}

impl AlarmEvidence {
    /// Books one window that was read.
    pub fn look(&mut self, is_open: bool) {
        let windows = if is_open { &mut self.open } else { &mut self.quiet };
        *windows = windows.saturating_add(1);
    }

    /// Begins a step: what was quiet before it says nothing about it, what was open is not forgotten.
    pub fn restart_pass(&mut self) {
        self.quiet = 0;
    }

    /// How many windows had an open alarm.
    #[must_use]
    pub const fn open(&self) -> u64 {
        self.open
    }

    /// Whether one was open.
    #[must_use]
    pub const fn fails(&self) -> bool {
        self.open > 0
    }

    /// Whether this step was looked at, and none ever was open.
    #[must_use]
    pub const fn passes(&self) -> bool {
        self.open == 0 && self.quiet > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_is_said_of_each_step_and_open_for_good() {
        let mut alarms = AlarmEvidence::default();
        assert!(!alarms.passes() && !alarms.fails(), "unread is not quiet");
        alarms.look(false);
        assert!(alarms.passes() && !alarms.fails());
        alarms.restart_pass();
        assert!(!alarms.passes() && !alarms.fails());
        alarms.look(true);
        alarms.look(false);
        alarms.restart_pass();
        alarms.look(false);
        assert!(!alarms.passes() && alarms.fails());
    }
}
