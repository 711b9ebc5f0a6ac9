//! Floating-point state as text, so that it survives JSON bit for bit.
//!
//! JSON has no infinities, and the default parser of `serde_json` may be one unit off in the last place. Rust writes the
//! shortest text that reads back to the same bits, so text is both exact and readable.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number that is kept as text, `"-inf"` included; NaN is refused.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Exact(pub f64);

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:?}", self.0))
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.parse::<f64>() {
            Ok(value) if !value.is_nan() => Ok(Self(value)),
            Ok(_) | Err(_) => Err(D::Error::custom(format!("`{text}` is not a number"))),
        }
    }
}

#[cfg(test)]
mod tests {

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_number_reads_back(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(!value.is_nan());
            let json = serde_json::to_string(&Exact(value)).unwrap();
            prop_assert_eq!(serde_json::from_str::<Exact>(&json).unwrap().0.to_bits(), bits);
        }
    }

    #[test]
    fn refuses_what_is_no_number() {
        for json in ["\"NaN\"", "\"\"", "\"1,5\"", "1", "null"] {
            assert!(serde_json::from_str::<Exact>(json).is_err(), "{json}");
        }
    }
}
