//! The rate of a control plane, kept on the client's side.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Hands out moments to send at: at most `most` in any `window`.
///
/// A window rather than an even spacing, so that a single rollback's read and write go out at once while a fleet
/// is held to the rate. Callers are served in the order they ask.
#[derive(Debug)]
pub(crate) struct Pace {
    most: usize,
    window: Duration,
    handed_out: Mutex<VecDeque<SystemTime>>,
}

impl Pace {
    /// At most `most` calls in any `window`.
    pub(crate) const fn new(most: usize, window: Duration) -> Self {
        Self { most, window, handed_out: Mutex::new(VecDeque::new()) }
    }

    /// How long to wait from `now` before sending; the moment is then taken.
    pub(crate) fn wait_from(&self, now: SystemTime) -> Duration {
        let mut handed_out = self.handed_out.lock().unwrap_or_else(PoisonError::into_inner);
        let mut slot = now;
        if handed_out.len() >= self.most
            && let Some(oldest) = handed_out.pop_front()
        {
            // A clock that went back must not stall the queue for longer than it is deep.
            let depth = self.window * u32::try_from(handed_out.len() / self.most + 1).unwrap_or(u32::MAX);
            slot = slot.max((oldest + self.window).min(now + depth.max(self.window) * 64));
        }
        handed_out.push_back(slot);
        slot.duration_since(now).unwrap_or(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_few_calls_go_out_at_once_and_many_are_held_to_the_rate() {
        let pace = Pace::new(15, SECOND);
        let now = SystemTime::UNIX_EPOCH;
        let waits: Vec<Duration> = (0..400).map(|_| pace.wait_from(now)).collect();
        assert!(waits.iter().take(15).all(Duration::is_zero));
        for (n, wait) in waits.iter().enumerate() {
            assert_eq!(*wait, SECOND * u32::try_from(n / 15).unwrap_or(u32::MAX));
        }
    }

    #[test]
    fn no_window_ever_holds_more_than_it_may() {
        let pace = Pace::new(3, SECOND);
        let mut now = SystemTime::UNIX_EPOCH;
        let mut sent = Vec::new();
        for n in 0..200_u64 {
            now += Duration::from_millis(n * 37 % 401);
            sent.push(now + pace.wait_from(now));
        }
        assert!(
            sent.windows(4)
                .all(|w| w.last().zip(w.first()).is_some_and(|(b, a)| b.duration_since(*a).is_ok_and(|d| d >= SECOND)))
        );
    }

    #[test]
    fn a_clock_that_goes_back_does_not_stall_the_queue_for_ever() {
        let pace = Pace::new(2, SECOND);
        let day = SECOND * 86_400;
        let later = SystemTime::UNIX_EPOCH + day;
        let _ = (pace.wait_from(later), pace.wait_from(later));
        assert!(pace.wait_from(SystemTime::UNIX_EPOCH) <= SECOND * 64);
    }
}
