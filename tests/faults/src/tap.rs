//! What an adapter under test reports to.

use std::sync::{Mutex, PoisonError};

use mlroll_backend::{Call, Effect, Permit, Wiretap};

/// Notes every call; in a `rehearsal` it withholds those that write.
#[derive(Debug, Default)]
pub struct Tap {
    rehearsal: bool,
    calls: Mutex<Vec<Call>>,
}

impl Tap {
    /// One for a dry run, or for a real one.
    #[must_use]
    pub fn new(rehearsal: bool) -> Self {
        Self { rehearsal, calls: Mutex::default() }
    }

    /// What was noted so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets what was noted.
    pub fn clear(&self) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Wiretap for Tap {
    fn about_to_send(&self, call: &Call) -> Permit {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call.clone());
        if self.rehearsal && call.effect == Effect::Write { Permit::Withhold } else { Permit::Send }
    }
}
