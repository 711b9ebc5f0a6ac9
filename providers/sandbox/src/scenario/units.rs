//! Values as a scenario writes them.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// A duration as text: `80ms`, `15s`, `1h 30m`.
pub(super) fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(|why| {
        serde::de::Error::custom(format!(
            "`{}` is not a duration such as \"80ms\" or \"15s\": {why}",
            text.escape_debug()
        ))
    })
}

/// As [`span`], where there may be none.
pub(super) fn some_span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    span(deserializer).map(Some)
}

/// A share as a number (`0.01`) or as a percentage (`"1%"`).
pub(super) fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a share is a number such as 0.01, or text such as \"1%\"")]
    enum Written {
        Number(f64),
        Text(String),
    }
    match Written::deserialize(deserializer)? {
        Written::Number(number) => Ok(number),
        Written::Text(text) => {
            let percent = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
            percent.map(|percent| percent / 100.0).ok_or_else(|| {
                serde::de::Error::custom(format!("`{}` is not a share such as 0.01 or \"1%\"", text.escape_debug()))
            })
        }
    }
}

/// As [`share`], where there may be none.
pub(super) fn some_share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    share(deserializer).map(Some)
}
