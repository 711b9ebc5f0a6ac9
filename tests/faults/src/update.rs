//! The body of an `UpdateAlias` request.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::rules;
use crate::world::{Alias, Function};

/// An update as sent; what is absent keeps its value.
#[derive(Debug)]
pub(crate) struct Update {
    version: Option<String>,
    description: Option<String>,
    weights: Option<BTreeMap<String, f64>>,
    revision_id: Option<String>,
}

impl Update {
    /// Reads the body and checks what can be checked without a look at the alias.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let body: Value = serde_json::from_slice(body)
            .map_err(|error| ApiError::new(400, "InvalidRequestContentException", error.to_string()))?;
        let Value::Object(body) = body else {
            return Err(ApiError::serialization("Start of structure or map found where not expected."));
        };
        let update = Self {
            version: string(&body, "FunctionVersion")?,
            description: string(&body, "Description")?,
            weights: weights(&body)?,
            revision_id: string(&body, "RevisionId")?,
        };
        rules::check_members(update.version.as_deref(), update.description.as_deref(), update.weights.as_ref())?;
        Ok(update)
    }

    /// Returns the alias after the update, or why Lambda refuses it; the caller mints the revision id.
    pub(crate) fn apply(self, function: &Function, arn: &str, alias: &Alias) -> Result<Alias, ApiError> {
        if self.revision_id.is_some_and(|own| own != alias.revision_id) {
            return Err(ApiError::precondition());
        }
        let mut changed = alias.clone();
        changed.version = self.version.unwrap_or(changed.version);
        changed.description = self.description.unwrap_or(changed.description);
        changed.weights = self.weights.unwrap_or(changed.weights);
        rules::check_routing(function, arn, &changed.version, &changed.weights)?;
        if changed.transient_on_move > 0 && changed.version != alias.version && changed.weights.is_empty() {
            changed.provisioned_transient = Some(alias.version.clone());
            changed.transient_reads = changed.transient_on_move;
        }
        Ok(changed)
    }
}

/// A null member counts as absent, as everywhere in the AWS JSON protocols.
fn present<'a>(body: &'a Map<String, Value>, member: &str) -> Option<&'a Value> {
    body.get(member).filter(|value| !value.is_null())
}

fn string(body: &Map<String, Value>, member: &str) -> Result<Option<String>, ApiError> {
    match present(body, member) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(value) => Err(mistyped(value, member)),
    }
}

/// Reads the weights; a routing configuration without any clears them.
fn weights(body: &Map<String, Value>) -> Result<Option<BTreeMap<String, f64>>, ApiError> {
    let Some(routing) = present(body, "RoutingConfig") else { return Ok(None) };
    let Value::Object(routing) = routing else { return Err(mistyped(routing, "RoutingConfig")) };
    let Some(weights) = present(routing, "AdditionalVersionWeights") else { return Ok(Some(BTreeMap::new())) };
    let Value::Object(weights) = weights else { return Err(mistyped(weights, "AdditionalVersionWeights")) };
    let entries = weights.iter().map(|(key, weight)| match weight.as_f64() {
        Some(weight) => Ok((key.clone(), weight)),
        None => Err(mistyped(weight, key)),
    });
    entries.collect::<Result<_, _>>().map(Some)
}

fn mistyped(value: &Value, member: &str) -> ApiError {
    ApiError::serialization(format!("{value} can not be converted to the type of {member}"))
}
