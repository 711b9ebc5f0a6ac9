//! The signal that ends every wait of a server.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Tells all threads of a server to end, also those in the middle of a wait.
///
/// A plain flag would let a dropped server linger for the rest of a scripted delay.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    raised: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Ends all present and future waits.
    pub(crate) fn raise(&self) {
        *self.raised.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Returns whether the server is ending.
    pub(crate) fn is_raised(&self) -> bool {
        *self.raised.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `duration` and returns whether the server is ending.
    pub(crate) fn wait(&self, duration: Duration) -> bool {
        let started = Instant::now();
        let mut raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        while !*raised {
            let left = duration.saturating_sub(started.elapsed());
            if left.is_zero() {
                break;
            }
            (raised, _) = self.changed.wait_timeout(raised, left).unwrap_or_else(PoisonError::into_inner);
        }
        *raised
    }
}
