//! A share of traffic, exact.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A share of traffic in basis points: 0 to 10,000, where 10,000 is all of it.
///
/// Shares are integers because a percentage kept as a float drifts (0.07 * 100 is 7.000000000000001),
/// and a drifted weight is a wrong write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u16);

/// Why a text or a number is no [`Weight`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidWeight(String);

impl Weight {
    /// All traffic.
    pub const FULL: Self = Self(10_000);
    /// No traffic.
    pub const ZERO: Self = Self(0);

    /// A weight from basis points; `None` above 10,000.
    #[must_use]
    pub const fn from_basis_points(basis_points: u16) -> Option<Self> {
        if basis_points <= 10_000 { Some(Self(basis_points)) } else { None }
    }

    /// The share in basis points, 0 to 10,000.
    #[must_use]
    pub const fn basis_points(self) -> u16 {
        self.0
    }

    /// The share in percent, 0 to 100, with at most two decimals.
    #[must_use]
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    /// The share as a fraction, 0 to 1, with at most four decimals.
    #[must_use]
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }

    /// What is left of all traffic.
    #[must_use]
    pub const fn complement(self) -> Self {
        Self(10_000 - self.0)
    }

    /// Whether this is a whole number of `granule`s, the finest share a provider can store.
    #[must_use]
    pub const fn is_multiple_of(self, granule: Self) -> bool {
        granule.0 != 0 && self.0.is_multiple_of(granule.0)
    }
}

/// Reads a percentage: `10`, `10%`, `0.5`, `0.05 %`.
impl FromStr for Weight {
    type Err = InvalidWeight;

    fn from_str(text: &str) -> Result<Self, InvalidWeight> {
        let allowed = "a percentage from 0 to 100 with at most two decimals, such as `10%` or `0.5%`";
        let number = text.strip_suffix('%').unwrap_or(text).trim();
        let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || (whole.is_empty() && decimals.is_empty()) || number.ends_with('.') {
            return Err(InvalidWeight(format!("`{text}` is not {allowed}")));
        }
        let decimals = decimals.trim_end_matches('0');
        if decimals.len() > 2 {
            return Err(InvalidWeight(format!(
                "`{text}` is finer than 0.01 %, the finest share there is; allowed is {allowed}"
            )));
        }
        let significant = whole.trim_start_matches('0');
        let hundredths = format!("{significant}{decimals:0<2}");
        hundredths
            .parse::<u16>()
            .ok()
            .and_then(Self::from_basis_points)
            .ok_or_else(|| InvalidWeight(format!("`{text}` is more than 100 %; allowed is {allowed}")))
    }
}

/// Writes `10 %`, `0.5 %`, `99.95 %`.
impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 100, self.0 % 100);
        match rest {
            0 => write!(f, "{whole} %"),
            tenths if tenths % 10 == 0 => write!(f, "{whole}.{} %", tenths / 10),
            hundredths => write!(f, "{whole}.{hundredths:02} %"),
        }
    }
}

impl fmt::Display for InvalidWeight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidWeight {}

/// A percentage as a JSON number.
impl Serialize for Weight {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.percent())
    }
}

/// A percentage as text (`"10%"`); numbers are refused, because `0.1` may mean 10 % or 0.1 %.
impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_percentages() {
        for (text, basis_points) in [
            ("10", 1000),
            ("10%", 1000),
            ("0.5", 50),
            ("0.05 %", 5),
            ("100", 10_000),
            ("100.00%", 10_000),
            ("0", 0),
            (".5%", 50),
            ("007", 700),
            ("99.99", 9999),
            ("10.000", 1000),
        ] {
            assert_eq!(text.parse::<Weight>().unwrap().basis_points(), basis_points, "{text}");
        }
    }

    #[test]
    fn refuses_the_rest_and_says_what_is_allowed() {
        for text in
            ["", "%", ".", "1.", "-1", "+1", "1e1", "100.01", "101", "0.125", "ten", "1,5", "NaN", "99999999999", "٣"]
        {
            let message = text.parse::<Weight>().unwrap_err().to_string();
            assert!(message.contains("percentage from 0 to 100"), "{text}: {message}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(basis_points in 0u16..=10_000) {
            let weight = Weight::from_basis_points(basis_points).unwrap();
            prop_assert_eq!(weight.to_string().parse::<Weight>().unwrap(), weight);
            prop_assert_eq!(weight.complement().complement(), weight);
            prop_assert!(serde_json::to_string(&weight).unwrap().len() <= "100.0".len());
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = text.parse::<Weight>();
        }
    }
}
