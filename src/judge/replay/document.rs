//! Reading a replay file, with the place of every mistake.

use std::fmt;

use serde_json::{Map, Value};

/// Why a replay file makes no sense: the place in the document and what is allowed there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayError {
    place: String,
    message: String,
}

pub(super) type Result<T> = std::result::Result<T, ReplayError>;

impl ReplayError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { place: String::new(), message: message.into() }
    }

    /// The same mistake, seen from the key that holds it.
    pub(super) fn under(mut self, key: &str) -> Self {
        let dot = if self.place.is_empty() || self.place.starts_with('[') { "" } else { "." };
        self.place = format!("{key}{dot}{}", self.place);
        self
    }

    /// The same mistake, seen from the list that holds it.
    fn at(self, index: usize) -> Self {
        self.under(&format!("[{index}]"))
    }

    /// Where: `looks[3].candidate.events`; empty for the document itself. Indices count from 0.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.place, self.message) }
    }
}

impl std::error::Error for ReplayError {}

/// An object that has no other keys than these.
pub(super) fn object<'a>(value: &'a Value, allowed: &[&str]) -> Result<&'a Map<String, Value>> {
    let Some(map) = value.as_object() else {
        return Err(ReplayError::new(format!("expected an object with {}", allowed.join(", "))));
    };
    match map.keys().find(|key| !allowed.contains(&key.as_str())) {
        Some(key) => Err(ReplayError::new(format!("unknown key `{key}`; known are {}", allowed.join(", ")))),
        None => Ok(map),
    }
}

/// What a key that must be there holds.
pub(super) fn required<'a, T>(
    map: &'a Map<String, Value>,
    key: &str,
    read: impl FnOnce(&'a Value) -> Result<T>,
) -> Result<T> {
    let value = map.get(key).ok_or_else(|| ReplayError::new(format!("`{key}` is missing")))?;
    read(value).map_err(|error| error.under(key))
}

/// What a key holds; `None` when it is missing or null.
pub(super) fn optional<'a, T>(
    map: &'a Map<String, Value>,
    key: &str,
    read: impl FnOnce(&'a Value) -> Result<T>,
) -> Result<Option<T>> {
    let value = map.get(key).filter(|value| !value.is_null());
    value.map(read).transpose().map_err(|error| error.under(key))
}

/// Every element of a list.
pub(super) fn list<'a, T>(value: &'a Value, mut read: impl FnMut(&'a Value) -> Result<T>) -> Result<Vec<T>> {
    let Some(items) = value.as_array() else {
        return Err(ReplayError::new("expected a list"));
    };
    items.iter().enumerate().map(|(index, item)| read(item).map_err(|error| error.at(index))).collect()
}

/// A number.
pub(super) fn number(value: &Value) -> Result<f64> {
    value.as_f64().filter(|number| number.is_finite()).ok_or_else(|| ReplayError::new("expected a number"))
}

/// A value of a metric: a number no larger than 1e100, so that its square is one too.
pub(super) fn metric_value(value: &Value) -> Result<f64> {
    let value = number(value)?;
    if value.abs() > 1e100 {
        return Err(ReplayError::new(format!("a value is at most 1e100, not {value}")));
    }
    Ok(value)
}

/// True or false.
pub(super) fn truth(value: &Value) -> Result<bool> {
    value.as_bool().ok_or_else(|| ReplayError::new("expected true or false"))
}
