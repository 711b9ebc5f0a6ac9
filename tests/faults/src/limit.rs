//! The control plane's request limit.

use std::time::Instant;

/// A token bucket over all requests of a server, as Lambda limits an account's control plane calls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateLimit {
    /// How many requests per second the bucket gains.
    pub per_second: f64,
    /// How many requests a full bucket lets through at once.
    pub burst: u32,
}

/// The bucket in use.
#[derive(Debug)]
pub(crate) struct Bucket {
    limit: RateLimit,
    tokens: f64,
    filled_at: Instant,
}

impl Bucket {
    /// Starts with a full bucket.
    pub(crate) fn new(limit: RateLimit, now: Instant) -> Self {
        Self { limit, tokens: f64::from(limit.burst), filled_at: now }
    }

    /// Takes one token and returns whether there was one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let gained = now.saturating_duration_since(self.filled_at).as_secs_f64() * self.limit.per_second;
        self.tokens = (self.tokens + gained).min(f64::from(self.limit.burst));
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
    use std::time::Duration;

    use super::*;

    #[test]
    fn gains_tokens_with_time_up_to_the_burst() {
        let start = Instant::now();
        let mut bucket = Bucket::new(RateLimit { per_second: 10.0, burst: 2 }, start);
        assert!(bucket.take(start));
        assert!(bucket.take(start));
        assert!(!bucket.take(start));
        assert!(!bucket.take(start + Duration::from_millis(99)));
        assert!(bucket.take(start + Duration::from_millis(101)));

        let later = start + Duration::from_secs(60);
        assert!(bucket.take(later));
        assert!(bucket.take(later));
        assert!(!bucket.take(later));
    }
}
