//! The control plane's request limit.

use std::time::Duration;

/// A token bucket, as Lambda limits the control plane calls of an account in one region: all operations together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bucket {
    tokens: f64,
    filled_at: Duration,
}

impl Bucket {
    /// A full bucket.
    pub(super) const fn full(now: Duration) -> Self {
        Self { tokens: BURST, filled_at: now }
    }

    /// Takes one token, if there is one, at a moment of real time.
    pub(super) fn take(&mut self, now: Duration) -> bool {
        let gained = now.saturating_sub(self.filled_at).as_secs_f64() * PER_SECOND;
        self.tokens = (self.tokens + gained).min(BURST);
        self.filled_at = now;
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

/// Lambda's quota for "the remainder of the control plane API requests", which cannot be raised.
const PER_SECOND: f64 = 15.0;
/// One second's worth.
const BURST: f64 = 15.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gains_tokens_with_time_up_to_the_burst() {
        let mut bucket = Bucket::full(Duration::ZERO);
        assert_eq!((0..20).filter(|_| bucket.take(Duration::ZERO)).count(), 15);
        assert!(!bucket.take(Duration::from_millis(66)));
        assert!(bucket.take(Duration::from_millis(134)));
        let later = Duration::from_secs(60);
        assert_eq!((0..20).filter(|_| bucket.take(later)).count(), 15);
    }
}
