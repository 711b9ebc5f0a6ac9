//! A moment in UTC.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment in UTC with the resolution of the system clock. Written and read as RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(jiff::Timestamp);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn epoch() -> Self {
        Self(jiff::Timestamp::UNIX_EPOCH)
    }

    /// A moment from seconds since 1970-01-01T00:00:00Z; `None` outside the years -9999 to 9999.
    #[must_use]
    pub fn from_unix_seconds(seconds: i64) -> Option<Self> {
        jiff::Timestamp::from_second(seconds).ok().map(Self)
    }

    /// A moment from milliseconds since 1970-01-01T00:00:00Z; `None` outside the years -9999 to 9999.
    #[must_use]
    pub fn from_unix_milliseconds(milliseconds: i64) -> Option<Self> {
        jiff::Timestamp::from_millisecond(milliseconds).ok().map(Self)
    }

    /// Whole seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn unix_seconds(self) -> i64 {
        self.0.as_second()
    }

    /// Whole milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn unix_milliseconds(self) -> i64 {
        self.0.as_millisecond()
    }

    /// How long `earlier` was before this moment; zero when it was not, so that a clock that goes back counts
    /// as no time passed.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::try_from(self.0.duration_since(earlier.0)).unwrap_or(Duration::ZERO)
    }

    /// The moment `after` this one; the end of time when that lies behind it.
    #[must_use]
    pub fn plus(self, after: Duration) -> Self {
        self.0.checked_add(after).map_or(Self(jiff::Timestamp::MAX), Self)
    }
}

impl FromStr for Timestamp {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        text.parse().map(Self)
    }
}

/// Writes RFC 3339 to the second: `2026-11-21T03:00:00Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0.as_second()) {
            Ok(whole) => write!(f, "{whole}"),
            Err(_) => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_to_the_second_and_never_counts_backwards() {
        let early: Timestamp = "2026-11-21T03:00:00.999Z".parse().unwrap();
        let late = Timestamp::from_unix_seconds(early.unix_seconds() + 10).unwrap();
        assert_eq!(early.to_string(), "2026-11-21T03:00:00Z");
        assert_eq!(late.since(early), Duration::from_millis(9001));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(early.plus(Duration::from_millis(9001)), late);
        assert_eq!(late.plus(Duration::MAX), Timestamp(jiff::Timestamp::MAX));
        assert_eq!(Timestamp::from_unix_seconds(i64::MAX), None);
    }
}
