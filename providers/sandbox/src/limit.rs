//! The request limit of a control plane.

use std::time::Duration;

/// A token bucket for the calls of an account in one region, all operations together; it holds one second's worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bucket {
    per_second: f64,
    tokens: f64,
    filled_at: Duration,
}

impl Bucket {
    /// A full bucket.
    pub(crate) const fn full(per_second: f64, now: Duration) -> Self {
        Self { per_second, tokens: per_second, filled_at: now }
    }

    /// Takes one token, if there is one, at a moment of real time.
    pub(crate) fn take(&mut self, now: Duration) -> bool {
        let gained = now.saturating_sub(self.filled_at).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + gained).min(self.per_second);
        self.filled_at = now;
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gains_tokens_with_time_up_to_the_burst() {
        let mut bucket = Bucket::full(15.0, Duration::ZERO);
        assert_eq!((0..20).filter(|_| bucket.take(Duration::ZERO)).count(), 15);
        assert!(!bucket.take(Duration::from_millis(66)));
        assert!(bucket.take(Duration::from_millis(134)));
        let later = Duration::from_secs(60);
        assert_eq!((0..20).filter(|_| bucket.take(later)).count(), 15);
    }
}
