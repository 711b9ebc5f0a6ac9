//! What makes a legal endpoint and a legal deployment.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::state::{Endpoint, Resource};
use crate::arm::Refusal;

/// How many deployments an endpoint has at most.
pub(super) const MOST_DEPLOYMENTS: usize = 20;
/// How many instances a deployment has at most.
const MOST_INSTANCES: u64 = 50;
/// The most that may be mirrored, in percent.
const MOST_MIRRORED: u64 = 50;

/// What Azure writes itself; in a request it counts for nothing.
const READ_ONLY: [&str; 4] = ["id", "name", "systemData", "type"];
const READ_ONLY_PROPERTIES: [&str; 4] = ["keys", "provisioningState", "scoringUri", "swaggerUri"];

/// The name of an endpoint or a deployment: 3 to 32 characters, a letter first, a letter or digit last.
pub(super) fn check_name(kind: &str, name: &str) -> Result<(), String> {
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    let last = name.bytes().next_back().is_some_and(|b| b.is_ascii_alphanumeric());
    let inner = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && !name.contains("--");
    if first && last && inner && (3..=32).contains(&name.len()) {
        return Ok(());
    }
    let shown: String = name.chars().take(40).collect();
    Err(format!(
        "The {kind} name '{shown}' is not valid. It has 3 to 32 letters, digits and single dashes, begins with a letter and \
         ends with a letter or a digit."
    ))
}

/// The text of a member.
fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str)
}

fn properties(body: &Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
    let found = body.get("properties").and_then(Value::as_object).cloned();
    found.ok_or_else(|| Refusal::invalid("The properties field is required."))
}

/// Checks that a text is one of several.
fn one_of(object: &Map<String, Value>, name: &str, allowed: &[&str]) -> Result<(), Refusal> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(found)) if allowed.contains(&found.as_str()) => Ok(()),
        Some(_) => Err(Refusal::invalid(format!("{name} must be one of {}.", allowed.join(", ")))),
    }
}

/// What an endpoint is once a PUT is carried out.
pub(super) fn endpoint(
    mut body: Map<String, Value>,
    name: &str,
    old: Option<&Endpoint>,
) -> Result<Map<String, Value>, Refusal> {
    common(&mut body, name, old.map(|old| &old.resource))?;
    let mut properties = properties(&body)?;
    properties.retain(|name, _| !READ_ONLY_PROPERTIES.contains(&name.as_str()));
    if text(&properties, "authMode").is_none() {
        return Err(Refusal::invalid("The AuthMode field is required."));
    }
    one_of(&properties, "authMode", &["Key", "AMLToken", "AADToken"])?;
    one_of(&properties, "publicNetworkAccess", &["Enabled", "Disabled"])?;
    let none = BTreeMap::new();
    let deployments = old.map_or(&none, |old| &old.deployments);
    let live = percents(&properties, "traffic", deployments)?;
    let mirrored = percents(&properties, "mirrorTraffic", deployments)?;
    let sum: u64 = live.values().sum();
    if sum != 0 && sum != 100 {
        return Err(Refusal::invalid(format!("The sum of traffic must be 0 or 100, and is {sum}.")));
    }
    if mirrored.len() > 1 || mirrored.values().any(|percent| *percent > MOST_MIRRORED) {
        let message = format!("Mirror traffic goes to one deployment, at most {MOST_MIRRORED} percent.");
        return Err(Refusal::invalid(message));
    }
    if let Some(both) = mirrored.keys().find(|name| live.contains_key(*name)) {
        let message = format!("Deployment {both} cannot have both live traffic and mirror traffic.");
        return Err(Refusal::invalid(message));
    }
    let compute = |record: &Map<String, Value>| text(record, "compute").map(str::to_owned);
    if let Some(old) = old
        && let Some(before) = old.resource.record.get("properties").and_then(Value::as_object)
        && compute(before) != compute(&properties)
    {
        return Err(Refusal::invalid("The compute of an endpoint cannot be changed."));
    }
    if compute(&properties).is_some() && !mirrored.is_empty() {
        return Err(Refusal::invalid("Mirror traffic is not supported on Kubernetes endpoints."));
    }
    for name in ["traffic", "mirrorTraffic"] {
        if properties.get(name).is_none_or(Value::is_null) {
            properties.insert(name.to_owned(), json!({}));
        }
    }
    body.insert("properties".to_owned(), Value::Object(properties));
    let kind = if body.get("kind").is_none_or(Value::is_null) { json!("Managed") } else { json!(body.get("kind")) };
    body.insert("kind".to_owned(), kind);
    Ok(with_bag(body, old.map(|old| &old.resource)))
}

/// The percents of a map, by names in lower case, none of them zero.
fn percents(
    properties: &Map<String, Value>,
    map: &str,
    deployments: &BTreeMap<String, Resource>,
) -> Result<BTreeMap<String, u64>, Refusal> {
    let entries = match properties.get(map) {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(entries)) => entries,
        Some(_) => return Err(Refusal::invalid(format!("{map} must be a map of deployments to percents."))),
    };
    let mut percents = BTreeMap::new();
    for (name, percent) in entries {
        let percent = percent.as_u64().filter(|percent| *percent <= 100);
        let percent = percent.ok_or_else(|| {
            Refusal::invalid(format!("The {map} of deployment {name} must be an integer from 0 to 100."))
        })?;
        let found = deployments.get(&name.to_ascii_lowercase());
        if found.is_none() {
            return Err(Refusal::invalid(format!("The {map} names deployment {name}, which does not exist.")));
        }
        if percent > 0 {
            *percents.entry(name.to_ascii_lowercase()).or_insert(0) += percent;
        }
    }
    Ok(percents)
}

/// What a deployment is once a PUT is carried out.
pub(super) fn deployment(
    mut body: Map<String, Value>,
    name: &str,
    old: Option<&Resource>,
) -> Result<Map<String, Value>, Refusal> {
    common(&mut body, name, old)?;
    let mut properties = properties(&body)?;
    properties.retain(|name, _| !READ_ONLY_PROPERTIES.contains(&name.as_str()));
    let compute = text(&properties, "endpointComputeType").unwrap_or_default().to_owned();
    if compute.is_empty() {
        return Err(Refusal::invalid("The EndpointComputeType field is required."));
    }
    one_of(&properties, "endpointComputeType", &["Managed", "Kubernetes", "AzureMLCompute"])?;
    for asset in ["model", "environmentId"] {
        let id = text(&properties, asset);
        if id.is_some_and(|id| !id.starts_with("/subscriptions/") && !id.starts_with("azureml://")) {
            return Err(Refusal::invalid(format!("{asset} must be the id of a resource.")));
        }
    }
    let scale = properties.get("scaleSettings").and_then(Value::as_object);
    let scale = scale.and_then(|scale| text(scale, "scaleType")).unwrap_or("Default");
    if compute == "Managed" && scale != "Default" {
        return Err(Refusal::invalid("The scaleType of a managed online deployment must be Default."));
    }
    if let Some(before) = old.and_then(|old| old.record.get("properties")).and_then(Value::as_object) {
        for fixed in ["endpointComputeType", "instanceType"] {
            if text(before, fixed) != text(&properties, fixed) {
                return Err(Refusal::invalid(format!("The {fixed} of a deployment cannot be changed.")));
            }
        }
    }
    body.insert("properties".to_owned(), Value::Object(properties));
    let sku = match body.get("sku") {
        None | Some(Value::Null) => json!({ "name": "Default", "capacity": 1 }),
        Some(sku) => checked_sku(sku)?,
    };
    body.insert("sku".to_owned(), sku);
    Ok(with_bag(body, old))
}

/// A SKU whose capacity is possible.
pub(super) fn checked_sku(sku: &Value) -> Result<Value, Refusal> {
    let capacity = sku.get("capacity").and_then(Value::as_u64);
    match capacity {
        Some(capacity) if capacity <= MOST_INSTANCES => Ok(sku.clone()),
        Some(_) | None => Err(Refusal::invalid(format!("sku.capacity must be from 0 to {MOST_INSTANCES}."))),
    }
}

/// What endpoints and deployments have in common: location, name, tags, identity.
fn common(body: &mut Map<String, Value>, name: &str, old: Option<&Resource>) -> Result<(), Refusal> {
    if let Some(other) = text(body, "name").filter(|other| !other.eq_ignore_ascii_case(name)) {
        let shown: String = other.chars().take(40).collect();
        return Err(Refusal::invalid(format!("The name '{shown}' in the body is not the one in the path.")));
    }
    body.retain(|name, _| !READ_ONLY.contains(&name.as_str()));
    let Some(location) = text(body, "location") else {
        let message = "The location property is required for this definition.";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "LocationRequired", message));
    };
    if let Some(before) = old.and_then(|old| text(&old.record, "location"))
        && !before.eq_ignore_ascii_case(location)
    {
        let message = format!("The resource '{name}' already exists in location '{before}'.");
        return Err(Refusal::new(StatusCode::CONFLICT, "InvalidResourceLocation", message));
    }
    let tags = checked_tags(body.get("tags"))?;
    body.insert("tags".to_owned(), tags);
    if let Some(identity) = body.get("identity").filter(|identity| !identity.is_null()) {
        let identity = checked_identity(identity)?;
        body.insert("identity".to_owned(), identity);
    }
    Ok(())
}

/// Tags as Azure Resource Manager takes them: at most 50, names up to 512 characters, values up to 256.
pub(super) fn checked_tags(tags: Option<&Value>) -> Result<Value, Refusal> {
    let tags = match tags {
        None | Some(Value::Null) => return Ok(json!({})),
        Some(Value::Object(tags)) => tags,
        Some(_) => return Err(Refusal::invalid("tags must be a map of texts.")),
    };
    let wrong = |code, message: &str| Err(Refusal::new(StatusCode::BAD_REQUEST, code, message));
    if tags.len() > 50 {
        return wrong("TooManyTags", "A resource has at most 50 tags.");
    }
    for (name, value) in tags {
        let Some(value) = value.as_str() else { return wrong("InvalidTagValue", "The value of a tag must be a text.") };
        if name.is_empty() || name.chars().count() > 512 || value.chars().count() > 256 {
            return wrong("InvalidTag", "The name of a tag has 1 to 512 characters, its value at most 256.");
        }
    }
    Ok(Value::Object(tags.clone()))
}

/// An identity without what Azure writes into it.
pub(super) fn checked_identity(identity: &Value) -> Result<Value, Refusal> {
    let wrong = |message: &str| Err(Refusal::invalid(message));
    let Some(mut identity) = identity.as_object().cloned() else { return wrong("identity must be an object.") };
    let kind = text(&identity, "type").unwrap_or_default().replace(' ', "");
    if !["None", "SystemAssigned", "UserAssigned", "SystemAssigned,UserAssigned"].contains(&kind.as_str()) {
        return wrong("identity.type must be None, SystemAssigned, UserAssigned or both.");
    }
    let assigned = identity.get("userAssignedIdentities").and_then(Value::as_object);
    if kind.contains("UserAssigned") != assigned.is_some_and(|assigned| !assigned.is_empty()) {
        return wrong("identity.userAssignedIdentities must go with the identity's type.");
    }
    identity.retain(|name, _| name != "principalId" && name != "tenantId");
    if let Some(assigned) = identity.get_mut("userAssignedIdentities").and_then(Value::as_object_mut) {
        for one in assigned.values_mut().filter_map(Value::as_object_mut) {
            one.retain(|name, _| name != "principalId" && name != "clientId");
        }
    }
    Ok(Value::Object(identity))
}

/// The inner bag of properties: entries can be added, not removed or altered.
fn with_bag(mut body: Map<String, Value>, old: Option<&Resource>) -> Map<String, Value> {
    if let Some(properties) = body.get_mut("properties").and_then(Value::as_object_mut) {
        let sent = properties.get("properties").and_then(Value::as_object).cloned();
        let mut bag = sent.unwrap_or_default();
        bag.extend(old.map(|old| old.property("properties")).unwrap_or_default());
        properties.insert("properties".to_owned(), Value::Object(bag));
    }
    body
}
