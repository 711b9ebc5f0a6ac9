//! The sandbox's time, which may run faster than ours.

use std::time::{Duration, Instant};

use mlroll_backend::Timestamp;

/// A clock that started at some moment, runs `speed` times as fast as ours, and can be moved forward.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    /// When the present speed was set.
    since: Instant,
    origin: Timestamp,
    advanced: Duration,
    speed: f64,
}

impl Clock {
    /// A clock that shows `origin` now. `speed` is clamped to 0.001 ..= 1,000,000; what is not a number is 1.
    #[must_use]
    pub fn starting_at(origin: Timestamp, speed: f64) -> Self {
        let started = real_now();
        Self { started, since: started, origin, advanced: Duration::ZERO, speed: clamped(speed) }
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
    pub fn now(&self) -> Timestamp {
        let real = real_now().saturating_duration_since(self.since).as_secs_f64();
        // A century at full speed would not fit a duration.
        let run = Duration::try_from_secs_f64(real * self.speed).unwrap_or(Duration::MAX);
        self.origin.plus(self.advanced).plus(run)
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

    /// Lets it run at another speed from now on, clamped as at the start.
    pub fn set_speed(&mut self, speed: f64) {
        self.origin = self.now();
        self.since = real_now();
        self.advanced = Duration::ZERO;
        self.speed = clamped(speed);
    }

    /// How long it has been running, in real time.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        real_now().saturating_duration_since(self.started)
    }
}

/// A moment as RFC 3339 to the millisecond: `2026-11-21T03:00:00.123Z`.
pub(crate) fn to_the_millisecond(at: Timestamp) -> String {
    let seconds = at.to_string();
    let seconds = seconds.strip_suffix('Z').unwrap_or(&seconds);
    format!("{seconds}.{:03}Z", at.unix_milliseconds().rem_euclid(1000))
}

fn clamped(speed: f64) -> f64 {
    if speed.is_nan() { 1.0 } else { speed.clamp(0.001, 1_000_000.0) }
}

#[expect(clippy::disallowed_methods, reason = "the one place of the sandbox that reads the time")]
fn real_now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Timestamp {
        "2026-11-21T03:00:00.250Z".parse().unwrap()
    }

    #[test]
    fn moves_on_by_itself_and_when_told() {
        let mut clock = Clock::starting_at(start(), 0.001);
        clock.advance(Duration::from_secs(600));
        let passed = clock.now().since(start());
        assert!(passed >= Duration::from_secs(600) && passed < Duration::from_secs(601), "{passed:?}");
        clock.advance(Duration::MAX);
        clock.advance(Duration::MAX);
        assert!(clock.now() > start());
    }

    #[test]
    fn a_new_speed_keeps_the_time() {
        let mut clock = Clock::starting_at(start(), 1_000_000.0);
        let before = clock.now();
        clock.set_speed(0.001);
        let after = clock.now();
        assert!(after >= before);
        assert!(clock.now().since(after) < Duration::from_secs(1), "it stands nearly still");
        assert!((clock.speed() - 0.001).abs() < f64::EPSILON);
        clock.set_speed(f64::NAN);
        assert!((clock.speed() - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn is_written_to_the_millisecond() {
        assert_eq!(to_the_millisecond(start()), "2026-11-21T03:00:00.250Z");
    }
}
