//! What alarms say of a window: whether one was open, at any time of it.

use mlroll_backend::{Sample, Why, Window};

/// The state of an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It is open.
    Alarm,
    /// It is not.
    Ok,
    /// Nobody knows: `INSUFFICIENT_DATA`, and states that AWS may yet think of.
    Unknown,
}

impl State {
    pub(super) fn of(name: &str) -> Self {
        match name {
            "ALARM" => Self::Alarm,
            "OK" => Self::Ok,
            _ => Self::Unknown,
        }
    }
}

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// In Unix milliseconds.
    pub(super) at: i64,
    pub(super) from: State,
    pub(super) to: State,
}

/// An alarm as it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Alarm {
    pub(super) state: State,
    /// Since when, in Unix milliseconds, where that is told.
    pub(super) since: Option<i64>,
    /// Why its state may be wrong: `PARTIAL_DATA`, `EVALUATION_ERROR`, `EVALUATION_FAILURE`.
    pub(super) doubt: Option<String>,
    /// Its changes, as far back as somebody asked.
    pub(super) turns: Vec<Turn>,
}

impl Alarm {
    /// Whether its state now is all that there is to know of what began at `from`, in Unix milliseconds.
    pub(super) fn is_older_than(&self, from: i64) -> bool {
        self.since.is_some_and(|since| since <= from)
    }

    /// The change that opened it, where it is open and tells since when.
    pub(super) fn opened(&self) -> Option<Turn> {
        let at = self.since.filter(|_| self.state == State::Alarm)?;
        Some(Turn { at, from: State::Unknown, to: State::Alarm })
    }

    /// All states that it had in a window.
    fn states(&self, window: Window) -> Vec<State> {
        let (start, end) = (window.start().unix_milliseconds(), window.end().unix_milliseconds());
        let mut later: Vec<Turn> = self.turns.iter().filter(|turn| turn.at > start).copied().collect();
        later.sort_by_key(|turn| turn.at);
        let at_start = match later.first() {
            Some(turn) => turn.from,
            None if self.is_older_than(start) => self.state,
            // It was made meanwhile, or its history is gone.
            None => State::Unknown,
        };
        let turned = later.iter().filter(|turn| turn.at < end).map(|turn| turn.to);
        [at_start].into_iter().chain(turned).collect()
    }
}

/// One when any of the alarms was open in the window, zero when none was; no data where one does not know.
pub(super) fn read(alarms: &[(&str, Result<&Alarm, Why>)], window: Window) -> Result<Sample, Why> {
    let mut unknown = None;
    for (name, alarm) in alarms {
        match alarm {
            Ok(alarm) => {
                let states = alarm.states(window);
                if states.contains(&State::Alarm) {
                    return Ok(Sample::value(1.0));
                }
                let doubt = match &alarm.doubt {
                    _ if states.contains(&State::Unknown) => Some("INSUFFICIENT_DATA".to_owned()),
                    Some(doubt) => Some(doubt.clone()),
                    None => None,
                };
                if let Some(doubt) = doubt {
                    unknown.get_or_insert(Why::Partial { warning: format!("alarm {name} says {doubt}") });
                }
            }
            Err(why) => {
                unknown.get_or_insert(why.clone());
            }
        }
    }
    match unknown {
        Some(why) => Err(why),
        None => Ok(Sample::value(0.0)),
    }
}

#[cfg(test)]
mod tests {
    use mlroll_backend::Timestamp;

    use super::*;

    const MINUTE: i64 = 60_000;

    fn alarm(state: State, since: i64, turns: &[(i64, State, State)]) -> Alarm {
        let turns = turns.iter().map(|(at, from, to)| Turn { at: *at, from: *from, to: *to }).collect();
        Alarm { state, since: Some(since), doubt: None, turns }
    }

    /// What is said of the minute from 60 s to 120 s.
    fn said(alarms: &[Alarm]) -> Result<Sample, Why> {
        let at = |seconds| Timestamp::from_unix_seconds(seconds);
        let window = at(60).zip(at(120)).and_then(|(from, until)| Window::new(from, until).ok());
        let named: Vec<_> = alarms.iter().map(|alarm| ("slow", Ok(alarm))).collect();
        read(&named, window.ok_or(Why::Empty)?)
    }

    #[test]
    fn an_alarm_that_was_open_for_a_moment_was_open() {
        use State::{Alarm as Open, Ok as Closed, Unknown};
        for (alarm, expected) in [
            (alarm(Closed, 0, &[]), Some(0.0)),
            (alarm(Open, 0, &[]), Some(1.0)),
            (alarm(Unknown, 0, &[]), None),
            // Opened within, after, and closed before, within, after.
            (alarm(Open, MINUTE + 1, &[(MINUTE + 1, Closed, Open)]), Some(1.0)),
            (alarm(Open, 2 * MINUTE, &[(2 * MINUTE, Closed, Open)]), Some(0.0)),
            (alarm(Closed, MINUTE, &[(MINUTE, Open, Closed)]), Some(0.0)),
            (alarm(Closed, MINUTE + 1, &[(MINUTE + 1, Open, Closed)]), Some(1.0)),
            (alarm(Closed, 5 * MINUTE, &[(5 * MINUTE, Open, Closed)]), Some(1.0)),
            // Open and closed again between two looks.
            (alarm(Closed, MINUTE + 9, &[(MINUTE + 9, Open, Closed), (MINUTE + 5, Closed, Open)]), Some(1.0)),
            // Told in any order.
            (alarm(Closed, MINUTE + 9, &[(MINUTE + 5, Closed, Open), (MINUTE + 9, Open, Closed)]), Some(1.0)),
            // It did not know for a while, and one that was made within.
            (alarm(Closed, MINUTE + 9, &[(MINUTE + 5, Closed, Unknown), (MINUTE + 9, Unknown, Closed)]), None),
            (alarm(Closed, MINUTE + 9, &[]), None),
        ] {
            assert_eq!(said(std::slice::from_ref(&alarm)).ok(), expected.map(Sample::value), "{alarm:?}");
        }
    }

    #[test]
    fn one_that_is_open_is_enough_and_one_that_does_not_know_spoils_the_others() {
        let (open, closed, unknown) =
            (alarm(State::Alarm, 0, &[]), alarm(State::Ok, 0, &[]), alarm(State::Unknown, 0, &[]));
        assert_eq!(said(&[unknown.clone(), open.clone()]), Ok(Sample::value(1.0)));
        assert_eq!(said(&[closed.clone(), closed.clone()]), Ok(Sample::value(0.0)));
        assert!(said(&[closed.clone(), unknown]).is_err());
        let doubted = Alarm { doubt: Some("EVALUATION_ERROR".to_owned()), ..closed };
        assert!(matches!(said(&[doubted]), Err(Why::Partial { warning }) if warning.contains("EVALUATION_ERROR")));
        let doubted = Alarm { doubt: Some("PARTIAL_DATA".to_owned()), ..open };
        assert_eq!(said(&[doubted]), Ok(Sample::value(1.0)));
    }
}
