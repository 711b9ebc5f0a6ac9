//! The only place that reads the time or sleeps.

use std::future::Future;
use std::time::{Duration, Instant};

use mlroll_backend::Timestamp;

/// The system's time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

/// A moment by which something must be done, by a clock that only goes forward.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

/// The time was up first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeIsUp;

impl Clock {
    /// The moment it is, in UTC.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the time")]
    pub fn now(self) -> Timestamp {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let milliseconds = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_unix_milliseconds(milliseconds).unwrap_or_else(Timestamp::epoch)
    }

    /// The moment `after` from here.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the time")]
    pub fn deadline(self, after: Duration) -> Deadline {
        let now = Instant::now();
        Deadline(now.checked_add(after).unwrap_or(now + Duration::from_secs(86_400 * 365)))
    }

    /// How long until `deadline`; zero when it has passed.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the time")]
    pub fn left(self, deadline: Deadline) -> Duration {
        deadline.0.saturating_duration_since(Instant::now())
    }

    /// `deadline`, but at least `after` from here.
    #[must_use]
    pub fn at_least(self, deadline: Deadline, after: Duration) -> Deadline {
        let other = self.deadline(after);
        Deadline(deadline.0.max(other.0))
    }

    /// Waits.
    #[expect(clippy::disallowed_methods, reason = "the one place that sleeps")]
    pub async fn sleep(self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// What `work` gives, if it does before `deadline`.
    ///
    /// # Errors
    /// The time was up first; `work` was dropped wherever it was.
    pub async fn by<T>(self, deadline: Deadline, work: impl Future<Output = T>) -> Result<T, TimeIsUp> {
        tokio::time::timeout_at(deadline.0.into(), work).await.map_err(|_| TimeIsUp)
    }
}
