//! The members of a request.

use serde_json::{Map, Value};

use super::error::Refusal;

/// A JSON object as sent; a null member counts as absent, as everywhere in the AWS JSON protocols.
#[derive(Clone, Debug, Default)]
pub(super) struct Input(pub(super) Map<String, Value>);

impl Input {
    pub(super) fn of(bytes: &[u8]) -> Result<Self, Refusal> {
        match serde_json::from_slice(bytes) {
            Ok(value) => Self::object(&value, "the body"),
            Err(error) => Err(Refusal::serialization(format!("the body is not JSON: {error}"))),
        }
    }

    /// An element of a list, or the whole.
    pub(super) fn object(value: &Value, what: &str) -> Result<Self, Refusal> {
        value.as_object().cloned().map(Self).ok_or_else(|| Refusal::serialization(format!("{what} is not an object")))
    }

    pub(super) fn member(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Refusal> {
        self.member(name).map(|value| value.as_str().ok_or_else(|| mistyped(value, name))).transpose()
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.text(name)?.ok_or_else(|| Refusal::missing(&camel(name)))
    }

    /// The name of an endpoint, a config, a variant: at most 63 letters, digits and inner hyphens.
    pub(super) fn name(&self, name: &str) -> Result<String, Refusal> {
        let value = self.required(name)?;
        if value.len() > 63 {
            return Err(Refusal::violation(value, &camel(name), "Member must have length less than or equal to 63"));
        }
        if !is_name(value) {
            let constraint = "Member must satisfy regular expression pattern: ^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}";
            return Err(Refusal::violation(value, &camel(name), constraint));
        }
        Ok(value.to_owned())
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<f64>, Refusal> {
        self.member(name).map(|value| value.as_f64().ok_or_else(|| mistyped(value, name))).transpose()
    }

    /// A whole number from `least` to `most`.
    pub(super) fn integer(&self, name: &str, least: i64, most: i64) -> Result<Option<i64>, Refusal> {
        let Some(value) = self.member(name) else { return Ok(None) };
        let number = value.as_i64().ok_or_else(|| mistyped(value, name))?;
        if number < least {
            let constraint = format!("Member must have value greater than or equal to {least}");
            return Err(Refusal::violation(&number.to_string(), &camel(name), &constraint));
        }
        if number > most {
            let constraint = format!("Member must have value less than or equal to {most}");
            return Err(Refusal::violation(&number.to_string(), &camel(name), &constraint));
        }
        Ok(Some(number))
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        let flag = self.member(name).map(|value| value.as_bool().ok_or_else(|| mistyped(value, name)));
        Ok(flag.transpose()?.unwrap_or(false))
    }

    /// The elements of a list; none when it is not there.
    pub(super) fn list(&self, name: &str) -> Result<&[Value], Refusal> {
        let Some(value) = self.member(name) else { return Ok(&[]) };
        value.as_array().map(Vec::as_slice).ok_or_else(|| mistyped(value, name))
    }
}

/// Whether it matches `[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}`, but for its length.
pub(super) fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
    !text.is_empty() && text.chars().all(allowed) && !text.starts_with('-') && !text.ends_with('-')
}

fn mistyped(value: &Value, member: &str) -> Refusal {
    let shown: String = value.to_string().chars().take(200).collect();
    Refusal::serialization(format!("{shown} can not be converted to the type of {member}"))
}

/// Members as messages name them.
pub(super) fn camel(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |first| first.to_ascii_lowercase().to_string() + chars.as_str())
}
