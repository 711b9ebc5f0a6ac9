//! Alarms as a scenario sets them.

use std::time::Duration;

use serde::Deserialize;

use super::units::{some_span, span};

/// An alarm of CloudWatch.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alarm {
    /// The state that it is in at first.
    pub state: AlarmState,
    /// The state that it goes to, after this long.
    #[serde(default)]
    pub then: Option<Turn>,
    /// Whether it is made of other alarms: it is then listed only when composite alarms are asked for.
    #[serde(default)]
    pub composite: bool,
}

/// An alert policy of Google Cloud Monitoring, and the alert that it has.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Alert {
    /// How long after the sandbox began its alert opens; never, for none.
    #[serde(deserialize_with = "some_span")]
    pub opens: Option<Duration>,
    /// How long after the sandbox began its alert closes.
    #[serde(deserialize_with = "some_span")]
    pub closes: Option<Duration>,
    /// Whether the policy is in force, as it says.
    pub enabled: bool,
    /// What people see the policy called; several may be called the same. By its key in the scenario, when not told.
    pub display_name: Option<String>,
    /// What it was called when its alert opened, if not that.
    pub formerly: Option<String>,
}

impl Default for Alert {
    fn default() -> Self {
        Self { opens: None, closes: None, enabled: true, display_name: None, formerly: None }
    }
}

/// A change of an alarm's state.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// How long after the sandbox began.
    #[serde(deserialize_with = "span")]
    pub after: Duration,
    /// To which state.
    pub state: AlarmState,
}

/// A state as CloudWatch names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AlarmState {
    /// All is well.
    Ok,
    /// It is not.
    Alarm,
    /// Nobody knows.
    InsufficientData,
}

impl AlarmState {
    /// The name that CloudWatch gives it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        }
    }
}
