//! Values of `mlroll.toml`, each parsed where it stands, so that a message points at it.

use std::fmt;
use std::time::Duration;

use mlroll_backend::Weight;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

/// A duration written as `30s`, `10m`, `1h 30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// A share of something, written as `"1%"` or as a fraction `0.01`; 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Share(pub f64);

/// A plain number, or a percentage (`"1%"`).
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
struct Amount(f64);

/// What a failed gate does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFail {
    /// Stop, leave the split, a person decides.
    Hold,
    /// Give stable everything.
    #[default]
    Rollback,
}

/// What is done about the candidate's capacity before its first share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnCapacity {
    /// It is left as it is.
    Leave,
    /// It becomes stable's, and is set back at the end.
    #[default]
    Match,
}

/// What the end of a bake without a verdict does. Never "promote".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnInconclusive {
    /// Stop, leave the split, a person decides.
    Hold,
    /// Give stable everything.
    Rollback,
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = deserializer.deserialize_any(Text("a duration such as \"30s\", \"10m\" or \"1h 30m\""))?;
        parse_duration(&text).map(Self).map_err(de::Error::custom)
    }
}

/// A duration such as `30s`, `10m`, `1h 30m`.
///
/// # Errors
/// What is allowed, for people.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let longest = Duration::from_secs(86_400 * 366);
    match humantime::parse_duration(text) {
        Ok(duration) if duration <= longest => Ok(duration),
        Ok(_) => Err(format!("`{text}` is longer than a year")),
        Err(_) => Err(format!("`{text}` is not a duration; allowed are such as `30s`, `10m`, `1h 30m`")),
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Amount(value) = Amount::deserialize(deserializer)?;
        if (0.0..=1.0).contains(&value) {
            Ok(Self(value))
        } else {
            Err(de::Error::custom(format!("{value} is no share: allowed are 0 to 1, or \"0%\" to \"100%\"")))
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyAmount;
        impl Visitor<'_> for AnyAmount {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a share such as \"1%\"")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Amount, E> {
                #[expect(clippy::cast_precision_loss, reason = "limits are small")]
                let value = value as f64;
                self.visit_f64(value)
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Amount, E> {
                if value.is_finite() {
                    Ok(Amount(value))
                } else {
                    Err(E::custom(format!("{value} is not a finite number")))
                }
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Amount, E> {
                let amount = match text.strip_suffix('%') {
                    Some(percent) => percent.trim().parse::<f64>().ok().map(|p| p / 100.0),
                    None => None,
                };
                match amount {
                    Some(amount) if amount.is_finite() => Ok(Amount(amount)),
                    Some(_) | None => Err(E::custom(format!("`{text}` is no share such as \"1%\""))),
                }
            }
        }
        deserializer.deserialize_any(AnyAmount)
    }
}

/// The steps of a rollout: shares that rise, the last of them 100 %.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps(pub Vec<Weight>);

impl TryFrom<Vec<Weight>> for Steps {
    type Error = &'static str;

    fn try_from(steps: Vec<Weight>) -> Result<Self, &'static str> {
        let rising = steps.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
        if steps.first().is_none_or(|first| *first == Weight::ZERO) || !rising {
            return Err("steps must rise, from above 0 % to 100 %, such as [\"1%\", \"10%\", \"50%\", \"100%\"]");
        }
        if steps.last() != Some(&Weight::FULL) {
            return Err("the last step must be \"100%\": it is the promotion");
        }
        Ok(Self(steps))
    }
}

impl<'de> Deserialize<'de> for Steps {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(Vec::<Weight>::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// Text, with a message of its own for anything else.
struct Text(&'static str);

impl Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}
