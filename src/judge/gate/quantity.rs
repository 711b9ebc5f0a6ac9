//! Numbers as people write them: shares ("1%"), durations ("300ms"), plain numbers.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// A number, or text with a unit.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Quantity {
    Number(f64),
    Text(String),
}

impl Quantity {
    /// A share: 0.01, "0.01" or "1%".
    pub(super) fn share(&self) -> Result<f64, String> {
        let share = match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => match text.strip_suffix('%') {
                Some(percent) => decimal(percent.trim_end(), -2),
                None => decimal(text, 0),
            },
        };
        share
            .filter(|share| share.is_finite())
            .ok_or_else(|| format!("a share is a number (0.01) or text (\"1%\"), not {self}"))
    }

    /// A duration in seconds: "300ms". A bare number would leave the unit to luck.
    pub(super) fn seconds(&self) -> Result<f64, String> {
        let refused = || format!("a duration is text with a unit (us, ms, s, m, h), as \"300ms\", not {self}");
        let Self::Text(text) = self else {
            return Err(refused());
        };
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit() && c != '.');
        let unit = text.strip_prefix(digits).map(str::trim).unwrap_or_default();
        let (exponent, factor) = match unit {
            "us" | "µs" | "μs" => (-6, 1.0),
            "ms" => (-3, 1.0),
            "s" => (0, 1.0),
            "m" | "min" => (0, 60.0),
            "h" => (0, 3600.0),
            _ => return Err(refused()),
        };
        let seconds = decimal(digits, exponent).map(|value| value * factor);
        seconds.filter(|seconds| seconds.is_finite()).ok_or_else(refused)
    }

    /// A number in the metric's own unit; a duration is in seconds.
    pub(super) fn number(&self) -> Result<f64, String> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Text(_) => {
                self.seconds().map_err(|_| format!("a limit is a number, or a duration as \"300ms\", not {self}"))
            }
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl Visitor<'_> for Either {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or text such as \"1%\" or \"300ms\"")
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Quantity, E> {
                Ok(Quantity::Number(value as f64))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Quantity, E> {
                Ok(Quantity::Number(value as f64))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Quantity, E> {
                Ok(Quantity::Number(value))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Quantity, E> {
                Ok(Quantity::Text(value.to_owned()))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// A plain decimal times a power of ten, rounded once: 0.7 / 100 is not 0.007.
fn decimal(digits: &str, exponent: i8) -> Option<f64> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') && digits.bytes().any(|b| b.is_ascii_digit());
    plain.then(|| format!("{digits}e{exponent}").parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Quantity {
        Quantity::Text(text.to_owned())
    }

    #[test]
    fn shares() {
        for (quantity, want) in
            [(text("1%"), 0.01), (text("0.7 %"), 0.007), (text("0.01"), 0.01), (Quantity::Number(0.25), 0.25)]
        {
            assert_eq!(quantity.share(), Ok(want));
        }
        for wrong in ["", "%", "1%%", "-1%", "1e3", "ten", ".", "1.2.3", "1,5%", "NaN", "inf"] {
            assert!(text(wrong).share().is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations() {
        for (written, want) in
            [("300ms", 0.3), ("1.5s", 1.5), ("250us", 0.000_25), ("2 m", 120.0), ("1h", 3600.0), ("7µs", 7e-6)]
        {
            assert_eq!(text(written).seconds(), Ok(want), "{written}");
        }
        for wrong in ["", "300", "ms", "-3ms", "3 days", "1s500ms", "1..5s"] {
            assert!(text(wrong).seconds().is_err(), "{wrong}");
        }
        assert!(Quantity::Number(0.3).seconds().is_err());
    }
}
