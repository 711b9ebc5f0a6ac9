//! What was measured, or why nothing was.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{ErrorKind, Histogram};

/// A finite number.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Finite(f64);

/// What one query says about one subject in one window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sample {
    /// Requests, and the events among them (failures): real numbers, because stores extrapolate.
    /// `0 <= events <= requests`. Make them with [`Sample::counts`].
    Counts {
        /// How many requests.
        requests: Finite,
        /// How many of them were events.
        events: Finite,
        /// How many more were turned away for want of capacity (429): they tell nothing of the revision's quality, and are in
        /// neither of the other two. Zero, too, where the store does not tell.
        #[serde(default, skip_serializing_if = "Finite::is_zero")]
        throttled: Finite,
    },
    /// How long requests took, in seconds.
    Histogram(Histogram),
    /// Nothing that can be judged. It is not zero, not a pass and not a fail.
    NoData(Why),
    /// The same of each part of the traffic (a region, a model, a customer) by its name. What has no requests is left out.
    Strata(BTreeMap<String, Self>),
    /// One number, in the unit of its query.
    Value(Finite),
}

/// Why there is nothing that can be judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Why {
    /// The store has nothing for this subject in this window. Only somebody who knows that there was traffic can tell
    /// "none for the candidate" from "not measured".
    Empty,
    /// The request failed, also after trying again.
    Failed {
        /// What a caller can do about it; `auth` when it is forbidden.
        kind: ErrorKind,
        /// What happened, in one sentence.
        message: String,
    },
    /// Numbers that do not fit each other, such as more failures than requests.
    Inconsistent {
        /// Which.
        found: String,
    },
    /// A number divided by zero.
    Infinite,
    /// Zero divided by zero, or the quantile of nothing.
    NotANumber,
    /// The store says that it could not look everywhere.
    Partial {
        /// Its words.
        warning: String,
    },
    /// More than one series where one was asked for.
    SeveralSeries {
        /// How many.
        count: usize,
    },
    /// The newest sample is too old for the window.
    Stale {
        /// How long before the window's end it was, in whole seconds; none when the series had ended.
        age_seconds: Option<u64>,
    },
}

impl Finite {
    /// A number; `None` for NaN and the infinities.
    #[must_use]
    pub fn new(value: f64) -> Option<Self> {
        // Adding zero turns -0 into 0, so that equal numbers are written alike.
        value.is_finite().then_some(Self(value + 0.0))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    /// Whether it is zero.
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        self.0 == 0.0
    }
}

impl Sample {
    /// Counts. Extrapolation may make failures exceed requests a little: by one or a tenth they are cut back; by more, the
    /// two do not count the same requests, and there is nothing to judge.
    #[must_use]
    pub fn counts(requests: f64, events: f64) -> Self {
        match (Self::value(requests), Self::value(events)) {
            (Self::NoData(why), _) | (_, Self::NoData(why)) => Self::NoData(why),
            (Self::Value(requests), Self::Value(events))
                if requests.0 >= 0.0 && events.0 >= 0.0 && events.0 <= requests.0 * 1.1 + 1.0 =>
            {
                Self::Counts { requests, events: Finite(events.0.min(requests.0)), throttled: Finite::default() }
            }
            _ => {
                let found = format!("{events} failed requests of {requests}");
                Self::NoData(Why::Inconsistent { found })
            }
        }
    }

    /// Counts, beside so many requests that were turned away; anything else as it is.
    #[must_use]
    pub fn beside_throttled(self, throttled: f64) -> Self {
        match (self, Self::value(throttled)) {
            (Self::Counts { requests, events, .. }, Self::Value(throttled)) if throttled.0 >= 0.0 => {
                Self::Counts { requests, events, throttled }
            }
            (Self::Counts { .. }, _) => {
                Self::NoData(Why::Inconsistent { found: format!("{throttled} throttled requests") })
            }
            (other, _) => other,
        }
    }

    /// A number, or which way it is none.
    #[must_use]
    pub fn value(value: f64) -> Self {
        match Finite::new(value) {
            Some(value) => Self::Value(value),
            None if value.is_nan() => Self::NoData(Why::NotANumber),
            None => Self::NoData(Why::Infinite),
        }
    }
}

impl Why {
    /// The name in JSON.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Failed { .. } => "failed",
            Self::Inconsistent { .. } => "inconsistent",
            Self::Infinite => "infinite",
            Self::NotANumber => "not_a_number",
            Self::Partial { .. } => "partial",
            Self::SeveralSeries { .. } => "several_series",
            Self::Stale { .. } => "stale",
        }
    }
}

impl TryFrom<f64> for Finite {
    type Error = &'static str;

    fn try_from(value: f64) -> Result<Self, &'static str> {
        Self::new(value).ok_or("the number must be finite")
    }
}

impl From<Finite> for f64 {
    fn from(value: Finite) -> Self {
        value.0
    }
}

impl fmt::Display for Finite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Writes the reason so that it can follow "no data: ".
impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the answer is empty"),
            Self::Failed { message, .. } => f.write_str(message),
            Self::Inconsistent { found } => f.write_str(found),
            Self::Infinite => f.write_str("the answer is infinite"),
            Self::NotANumber => f.write_str("the answer is NaN"),
            Self::Partial { warning } => write!(f, "the answer may be partial: {warning}"),
            Self::SeveralSeries { count } => write!(f, "the answer has {count} series, not one"),
            Self::Stale { age_seconds: Some(age) } => {
                write!(f, "the newest sample is {age} s older than the window's end")
            }
            Self::Stale { age_seconds: None } => f.write_str("the series ended before the window did"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counts_fit_or_say_why_not() {
        let finite = |value| Finite::new(value).unwrap();
        let counts = |requests, events| Sample::Counts {
            requests: finite(requests),
            events: finite(events),
            throttled: Finite::default(),
        };
        assert_eq!(Sample::counts(10.0, 3.5), counts(10.0, 3.5));
        assert_eq!(Sample::counts(0.0, 0.0), counts(0.0, 0.0));
        assert_eq!(Sample::counts(100.0, 105.0), counts(100.0, 100.0));
        for (requests, events, why) in [
            (10.0, 13.0, "inconsistent"),
            (-1.0, 0.0, "inconsistent"),
            (1.0, -1.0, "inconsistent"),
            (f64::NAN, 0.0, "not_a_number"),
            (1.0, f64::NAN, "not_a_number"),
            (f64::INFINITY, 0.0, "infinite"),
            (1.0, f64::NEG_INFINITY, "infinite"),
        ] {
            assert!(matches!(Sample::counts(requests, events), Sample::NoData(found) if found.name() == why));
        }
        let told = |sample: &Sample| match sample {
            Sample::Counts { requests, events, throttled } => Some([requests.get(), events.get(), throttled.get()]),
            Sample::Histogram(_) | Sample::NoData(_) | Sample::Strata(_) | Sample::Value(_) => None,
        };
        assert_eq!(told(&Sample::counts(10.0, 3.0).beside_throttled(4.0)), Some([10.0, 3.0, 4.0]));
        assert!(matches!(Sample::counts(1.0, 0.0).beside_throttled(-1.0), Sample::NoData(Why::Inconsistent { .. })));
        assert!(matches!(
            Sample::counts(1.0, 0.0).beside_throttled(f64::NAN),
            Sample::NoData(Why::Inconsistent { .. })
        ));
        assert_eq!(Sample::value(1.0).beside_throttled(4.0), Sample::value(1.0));
    }

    #[test]
    fn is_written_and_read_for_the_journal() {
        for (sample, json) in [
            (Sample::counts(2.0, 1.0), r#"{"counts":{"requests":2.0,"events":1.0}}"#),
            (
                Sample::counts(2.0, 1.0).beside_throttled(3.0),
                r#"{"counts":{"requests":2.0,"events":1.0,"throttled":3.0}}"#,
            ),
            (Sample::value(0.25), r#"{"value":0.25}"#),
            (Sample::NoData(Why::Empty), r#"{"no_data":{"why":"empty"}}"#),
            (
                Sample::Strata([("eu".to_owned(), Sample::counts(2.0, 1.0))].into()),
                r#"{"strata":{"eu":{"counts":{"requests":2.0,"events":1.0}}}}"#,
            ),
            (Sample::NoData(Why::Stale { age_seconds: Some(70) }), r#"{"no_data":{"why":"stale","age_seconds":70}}"#),
            (
                Sample::NoData(Why::Failed { kind: ErrorKind::Auth, message: "no".to_owned() }),
                r#"{"no_data":{"why":"failed","kind":"auth","message":"no"}}"#,
            ),
            (Sample::Histogram(Histogram::new(vec![(f64::INFINITY, 3.0)]).unwrap()), r#"{"histogram":[["+Inf",3.0]]}"#),
        ] {
            assert_eq!(serde_json::to_string(&sample).unwrap(), json);
            assert_eq!(serde_json::from_str::<Sample>(json).unwrap(), sample);
        }
        assert!(serde_json::from_str::<Sample>(r#"{"value":null}"#).is_err());
    }

    proptest! {
        #[test]
        fn no_numbers_make_impossible_counts(requests in any::<f64>(), events in any::<f64>()) {
            if let Sample::Counts { requests, events, .. } = Sample::counts(requests, events) {
                prop_assert!(0.0 <= events.get() && events <= requests && requests.get().is_finite());
            }
        }
    }
}
