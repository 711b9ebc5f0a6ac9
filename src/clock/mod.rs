//! The only place that reads the time or sleeps.

mod remote;

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use mlroll_backend::Timestamp;

use self::remote::Remote;
use crate::failure::Failure;
use crate::reach::Reach;

/// The time that is told to the engine, and by which it waits: the system's, or a sandbox's that runs faster.
///
/// Deadlines of requests are in real time by either: networks do not run faster.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Scaled>);

#[derive(Clone, Debug)]
struct Scaled {
    source: Arc<dyn TimeSource>,
    /// The latest moment that was told, in milliseconds: time never goes back.
    latest: Arc<AtomicI64>,
}

/// Where scaled time comes from.
pub trait TimeSource: Debug + Send + Sync {
    /// The moment it is, as far as is known. Must not block.
    fn now(&self) -> Timestamp;

    /// How many of its seconds pass in one of ours: 0 or more, and finite.
    fn speed(&self) -> f64;

    /// Learns whether it was moved. May block for a moment; called often while somebody sleeps.
    fn refresh(&self) {}
}

/// How long a sleeper in scaled time sleeps, in real time, before it asks whether the clock was moved.
const SLICE: Duration = Duration::from_millis(200);

/// A moment by which something must be done, by a clock that only goes forward.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

/// The time was up first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeIsUp;

impl Clock {
    /// The system's time.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// Time from somewhere else, such as a sandbox in this process.
    #[must_use]
    pub fn scaled(source: Arc<dyn TimeSource>) -> Self {
        Self(Some(Scaled { source, latest: Arc::new(AtomicI64::new(i64::MIN)) }))
    }

    /// The time of the sandbox at `url`, which is asked at once; the system's when there is no `url`.
    ///
    /// # Errors
    /// The address is not on loopback, or what answers there is no clock.
    pub fn of_sandbox(url: Option<&str>) -> Result<Self, Failure> {
        let Some(url) = url else {
            return Ok(Self::system());
        };
        let remote = Remote::at(url).map_err(|why| {
            Failure::usage(format!("MLROLL_CLOCK: the clock cannot be read: {why}"))
                .hint("start it: `mlroll sandbox`")
                .hint("for the real time: `unset MLROLL_CLOCK`")
        })?;
        Ok(Self::scaled(Arc::new(remote)))
    }

    /// How far requests may go by this clock: scaled time is for this machine only.
    #[must_use]
    pub fn reach(&self) -> Reach {
        if self.0.is_some() { Reach::Loopback } else { Reach::Anywhere }
    }

    /// The moment it is, in UTC.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the time")]
    pub fn now(&self) -> Timestamp {
        if let Some(Scaled { source, latest }) = &self.0 {
            let now = source.now().unix_milliseconds();
            let now = latest.fetch_max(now, Ordering::Relaxed).max(now);
            return Timestamp::from_unix_milliseconds(now).unwrap_or_else(Timestamp::epoch);
        }
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let milliseconds = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_unix_milliseconds(milliseconds).unwrap_or_else(Timestamp::epoch)
    }

    /// The moment `after` from here.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the time")]
    pub fn deadline(&self, after: Duration) -> Deadline {
        let now = Instant::now();
        Deadline(now.checked_add(after).unwrap_or(now + Duration::from_secs(86_400 * 365)))
    }

    /// How long until `deadline`; zero when it has passed.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the time")]
    pub fn left(&self, deadline: Deadline) -> Duration {
        deadline.0.saturating_duration_since(Instant::now())
    }

    /// `deadline`, but at least `after` from here.
    #[must_use]
    pub fn at_least(&self, deadline: Deadline, after: Duration) -> Deadline {
        let other = self.deadline(after);
        Deadline(deadline.0.max(other.0))
    }

    /// Waits for as long by this clock.
    #[expect(clippy::disallowed_methods, reason = "the one place that sleeps")]
    pub async fn sleep(&self, duration: Duration) {
        let Some(Scaled { source, .. }) = &self.0 else {
            return tokio::time::sleep(duration).await;
        };
        let until = self.now().plus(duration);
        loop {
            let asked = Arc::clone(source);
            // It may block, and an interrupt must not wait for it. Whatever became of it, the time goes on.
            let _ = tokio::task::spawn_blocking(move || asked.refresh()).await;
            let left = until.since(self.now());
            if left.is_zero() {
                return;
            }
            let real = Duration::try_from_secs_f64(left.as_secs_f64() / source.speed()).unwrap_or(SLICE);
            tokio::time::sleep(real.clamp(Duration::from_millis(1), SLICE)).await;
        }
    }

    /// What `work` gives, if it does before `deadline`.
    ///
    /// # Errors
    /// The time was up first; `work` was dropped wherever it was.
    pub async fn by<T>(&self, deadline: Deadline, work: impl Future<Output = T>) -> Result<T, TimeIsUp> {
        tokio::time::timeout_at(deadline.0.into(), work).await.map_err(|_| TimeIsUp)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A clock that stands still until somebody asks again, and then shows the next moment.
    #[derive(Debug)]
    struct Moved(Mutex<Vec<i64>>);

    impl TimeSource for Moved {
        fn now(&self) -> Timestamp {
            Timestamp::from_unix_seconds(*self.0.lock().unwrap().last().unwrap()).unwrap()
        }

        fn speed(&self) -> f64 {
            0.0
        }

        fn refresh(&self) {
            let mut moments = self.0.lock().unwrap();
            if moments.len() > 1 {
                moments.pop();
            }
        }
    }

    fn moved(moments: &[i64]) -> Clock {
        Clock::scaled(Arc::new(Moved(Mutex::new(moments.iter().rev().copied().collect()))))
    }

    fn slept(clock: &Clock, seconds: u64) -> Duration {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let start = clock.deadline(Duration::from_secs(600));
        runtime.block_on(clock.sleep(Duration::from_secs(seconds)));
        Duration::from_secs(600) - clock.left(start)
    }

    #[test]
    fn a_sleeper_wakes_when_the_clock_is_moved() {
        let clock = moved(&[1000, 1000, 1001, 4600]);
        let real = slept(&clock, 3600);
        assert_eq!(clock.now(), Timestamp::from_unix_seconds(4600).unwrap());
        assert!(real < Duration::from_secs(30), "{real:?}");
    }

    #[test]
    fn time_never_goes_back() {
        let clock = moved(&[1000, 900, 1010]);
        let _ = clock.now();
        slept(&clock, 10);
        assert_eq!(clock.now(), Timestamp::from_unix_seconds(1010).unwrap());
        let back = moved(&[1000, 900]);
        let first = back.now();
        slept(&back, 0);
        assert_eq!(back.now(), first);
    }

    #[test]
    fn an_hour_passes_in_a_moment() {
        #[derive(Debug)]
        struct Fast(Deadline);
        impl TimeSource for Fast {
            fn now(&self) -> Timestamp {
                let real = Duration::from_secs(600) - Clock::system().left(self.0);
                Timestamp::epoch().plus(real.mul_f64(36_000.0))
            }
            fn speed(&self) -> f64 {
                36_000.0
            }
        }
        let clock = Clock::scaled(Arc::new(Fast(Clock::system().deadline(Duration::from_secs(600)))));
        let before = clock.now();
        let real = slept(&clock, 3600);
        assert!(clock.now().since(before) >= Duration::from_secs(3600));
        assert!(Duration::from_millis(99) <= real && real < Duration::from_secs(30), "{real:?}");
    }
}
