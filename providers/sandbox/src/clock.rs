//! The sandbox's time, which may run faster than ours.

use std::time::{Duration, Instant};

use mlroll_backend::Timestamp;

/// A clock that started at some moment, runs `speed` times as fast as ours, and can be moved forward.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    origin: Timestamp,
    advanced: Duration,
    speed: f64,
}

impl Clock {
    /// A clock that shows `origin` now. `speed` is clamped to 0.001 ..= 1,000,000; what is not a number is 1.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place of the sandbox that reads the time")]
    pub fn starting_at(origin: Timestamp, speed: f64) -> Self {
        let speed = if speed.is_nan() { 1.0 } else { speed.clamp(0.001, 1_000_000.0) };
        Self { started: Instant::now(), origin, advanced: Duration::ZERO, speed }
    }

    /// A clock that shows the real time now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place of the sandbox that reads the time")]
    pub fn starting_now(speed: f64) -> Self {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self::starting_at(Timestamp::epoch().plus(since_epoch), speed)
    }

    /// The moment it is in the sandbox.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place of the sandbox that reads the time")]
    pub fn now(&self) -> Timestamp {
        let real = Instant::now().saturating_duration_since(self.started);
        self.origin.plus(self.advanced).plus(real.mul_f64(self.speed))
    }

    /// How many of its seconds pass in one of ours.
    #[must_use]
    pub const fn speed(&self) -> f64 {
        self.speed
    }

    /// Moves it forward.
    pub fn advance(&mut self, by: Duration) {
        self.advanced = self.advanced.saturating_add(by);
    }
}
