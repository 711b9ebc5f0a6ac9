//! A stretch of time on a fixed grid.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// A half-open stretch of time, `start <= t < end`, on the grid of its own length: its start is a whole number of lengths
/// after 1970-01-01T00:00:00Z.
///
/// So windows of one length never overlap, and two processes that look at the same time ask for the same window. The
/// length is whole seconds, from 1 second to 1 day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Ends", into = "Ends")]
pub struct Window {
    start: i64,
    end: i64,
}

/// Why two moments are no [`Window`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidWindow(String);

#[derive(Serialize, Deserialize)]
struct Ends {
    start: Timestamp,
    end: Timestamp,
}

const LONGEST: i64 = 86_400;

impl Window {
    /// The window from `start` to `end`.
    ///
    /// # Errors
    /// They are not whole seconds, not on the grid, or not 1 second to 1 day apart.
    pub fn new(start: Timestamp, end: Timestamp) -> Result<Self, InvalidWindow> {
        let (from, until) = (start.unix_seconds(), end.unix_seconds());
        let whole = |t: Timestamp| t.unix_milliseconds() == t.unix_seconds().saturating_mul(1000);
        let length = until.saturating_sub(from);
        let fault = if !whole(start) || !whole(end) {
            "its ends are not whole seconds"
        } else if !(1..=LONGEST).contains(&length) {
            "it is not 1 second to 1 day long"
        } else if from.rem_euclid(length) != 0 {
            "it does not start at a multiple of its length"
        } else {
            return Ok(Self { start: from, end: until });
        };
        Err(InvalidWindow(format!("{start} to {end} is no window: {fault}")))
    }

    /// The windows of `length` that lie wholly within `from` and `until`, the earliest first: with `until` the settle delay
    /// before now, all that are due; with `from` the end of the last one that was used, each once.
    ///
    /// # Errors
    /// `length` is not whole seconds from 1 second to 1 day.
    pub fn within(
        from: Timestamp,
        until: Timestamp,
        length: Duration,
    ) -> Result<impl Iterator<Item = Self> + use<>, InvalidWindow> {
        let seconds = i64::try_from(length.as_secs()).unwrap_or(i64::MAX);
        if length.subsec_nanos() != 0 || !(1..=LONGEST).contains(&seconds) {
            return Err(InvalidWindow(format!(
                "windows are whole seconds from 1 second to 1 day long, not {length:?}"
            )));
        }
        let ceiling = |t: Timestamp| {
            let whole = t.unix_milliseconds().div_euclid(1000);
            if t.unix_milliseconds() > whole.saturating_mul(1000) { whole.saturating_add(1) } else { whole }
        };
        let last = until.unix_milliseconds().div_euclid(1000);
        let first = ceiling(from);
        let start = first.saturating_add((-first).rem_euclid(seconds));
        let starts = std::iter::successors(Some(start), move |start| start.checked_add(seconds));
        let windows = starts.map(move |start| Self { start, end: start.saturating_add(seconds) });
        Ok(windows.take_while(move |window| window.end <= last))
    }

    /// Its first moment.
    #[must_use]
    pub fn start(self) -> Timestamp {
        Timestamp::from_unix_seconds(self.start).unwrap_or(Timestamp::epoch())
    }

    /// The first moment after it.
    #[must_use]
    pub fn end(self) -> Timestamp {
        Timestamp::from_unix_seconds(self.end).unwrap_or(Timestamp::epoch())
    }

    /// How long it is.
    #[must_use]
    pub const fn length(self) -> Duration {
        Duration::from_secs((self.end - self.start).unsigned_abs())
    }
}

impl TryFrom<Ends> for Window {
    type Error = InvalidWindow;

    fn try_from(ends: Ends) -> Result<Self, InvalidWindow> {
        Self::new(ends.start, ends.end)
    }
}

impl From<Window> for Ends {
    fn from(window: Window) -> Self {
        Self { start: window.start(), end: window.end() }
    }
}

/// Writes `2026-11-21T03:00:00Z to 2026-11-21T03:01:00Z`.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.start(), self.end())
    }
}

impl fmt::Display for InvalidWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidWindow {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_unix_milliseconds(milliseconds).unwrap()
    }

    #[test]
    fn lies_on_the_grid() {
        let window = Window::new(at(120_000), at(180_000)).unwrap();
        assert_eq!(window.to_string(), "1970-01-01T00:02:00Z to 1970-01-01T00:03:00Z");
        assert_eq!(window.length(), Duration::from_secs(60));
        for (start, end) in
            [(0, 0), (60_000, 0), (0, 86_401_000), (30_000, 90_000), (500, 1_500), (0, i64::from(u16::MAX))]
        {
            assert!(Window::new(at(start), at(end)).is_err(), "{start} {end}");
        }
        let json = serde_json::to_string(&window).unwrap();
        assert_eq!(json, r#"{"start":"1970-01-01T00:02:00Z","end":"1970-01-01T00:03:00Z"}"#);
        assert_eq!(serde_json::from_str::<Window>(&json).unwrap(), window);
        assert!(serde_json::from_str::<Window>(&json.replace("02:00", "02:01")).is_err());
        assert!(Window::within(at(0), at(1), Duration::from_millis(1500)).is_err());
        assert!(Window::within(at(0), at(1), Duration::ZERO).is_err());
    }

    proptest! {
        #[test]
        fn those_within_are_disjoint_complete_and_valid(
            from in -2_000_000i64..2_000_000_000_000, span in 0i64..200_000, length in 1u64..300, cut in 0i64..200_000,
        ) {
            let (start, end, length) = (at(from), at(from + span), Duration::from_secs(length));
            let all: Vec<Window> = Window::within(start, end, length).unwrap().collect();
            for pair in all.windows(2) {
                prop_assert_eq!(pair[0].end(), pair[1].start());
            }
            for window in &all {
                prop_assert_eq!(Window::new(window.start(), window.end()).unwrap(), *window);
                prop_assert!(window.start() >= start && window.end() <= end && window.length() == length);
            }
            prop_assert!(u128::try_from(span).unwrap() < (all.len() as u128 + 2) * length.as_millis());
            // Asking in two goes, the second from the end of the last one seen, misses none and repeats none.
            let mut twice: Vec<Window> = Window::within(start, at(from + cut.min(span)), length).unwrap().collect();
            let seen = twice.last().map_or(start, |window| window.end());
            twice.extend(Window::within(seen, end, length).unwrap());
            prop_assert_eq!(twice, all);
        }
    }
}
