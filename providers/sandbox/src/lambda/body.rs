//! The members of a request's body.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::Refusal;

/// A JSON object as sent; a null member counts as absent, as everywhere in the AWS JSON protocols.
#[derive(Debug)]
pub(super) struct Body(Map<String, Value>);

impl Body {
    /// Reads the body; none at all is an empty object.
    pub(super) fn of(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.is_empty() {
            return Ok(Self(Map::new()));
        }
        let body = serde_json::from_slice(bytes)
            .map_err(|error| Refusal::content(format!("Could not parse request body into json: {error}")))?;
        match body {
            Value::Object(members) => Ok(Self(members)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err(Refusal::serialization("Start of structure or map found where not expected."))
            }
        }
    }

    fn member(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Refusal> {
        self.member(name).map(|value| value.as_str().ok_or_else(|| mistyped(value, name))).transpose()
    }

    pub(super) fn integer(&self, name: &str) -> Result<Option<i64>, Refusal> {
        self.member(name).map(|value| value.as_i64().ok_or_else(|| mistyped(value, name))).transpose()
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        let flag = self.member(name).map(|value| value.as_bool().ok_or_else(|| mistyped(value, name)));
        Ok(flag.transpose()?.unwrap_or(false))
    }

    pub(super) fn object(&self, name: &str) -> Result<Option<Self>, Refusal> {
        match self.member(name) {
            None => Ok(None),
            Some(Value::Object(members)) => Ok(Some(Self(members.clone()))),
            Some(value) => Err(mistyped(value, name)),
        }
    }

    /// All members, which must be texts.
    pub(super) fn texts(self) -> Result<Map<String, Value>, Refusal> {
        match self.0.iter().find(|(_, value)| !value.is_string()) {
            Some((name, value)) => Err(mistyped(value, name)),
            None => Ok(self.0),
        }
    }

    /// The additional versions and their weights; a routing configuration without any clears them.
    pub(super) fn weights(&self) -> Result<Option<BTreeMap<String, f64>>, Refusal> {
        let Some(routing) = self.object("RoutingConfig")? else { return Ok(None) };
        let Some(weights) = routing.object("AdditionalVersionWeights")? else { return Ok(Some(BTreeMap::new())) };
        let entries = weights.0.into_iter().map(|(version, weight)| match weight.as_f64() {
            Some(share) => Ok((version, share)),
            None => Err(mistyped(&weight, &version)),
        });
        entries.collect::<Result<_, _>>().map(Some)
    }
}

fn mistyped(value: &Value, member: &str) -> Refusal {
    let shown: String = value.to_string().chars().take(200).collect();
    Refusal::serialization(format!("{shown} can not be converted to the type of {member}"))
}
