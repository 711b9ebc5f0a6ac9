//! Resources as they are shown.

use serde_json::{Map, Value, json};

use super::route::PROVIDER;
use super::state::Resource;
use super::store::workspace_id;
use crate::arm::LOCATION;
use crate::clock::to_the_millisecond;

/// The tenant and the principal of everything.
const GUID: &str = "11111111-1111-4111-8111-111111111111";

/// An endpoint.
pub(super) fn endpoint(within: &[String; 3], resource: &Resource) -> Value {
    let id = format!("{}/onlineEndpoints/{}", workspace_id(within), resource.name);
    let mut shown = common(&id, "onlineEndpoints", resource);
    if let Some(properties) = shown.get_mut("properties").and_then(Value::as_object_mut) {
        let host = format!("https://{}.{LOCATION}.inference.ml.azure.com", resource.name.to_ascii_lowercase());
        properties.insert("keys".to_owned(), Value::Null);
        properties.insert("scoringUri".to_owned(), json!(format!("{host}/score")));
        properties.insert("swaggerUri".to_owned(), json!(format!("{host}/swagger.json")));
    }
    Value::Object(shown)
}

/// A deployment of an endpoint.
pub(super) fn deployment(within: &[String; 3], endpoint: &str, resource: &Resource) -> Value {
    let id = format!("{}/onlineEndpoints/{endpoint}/deployments/{}", workspace_id(within), resource.name);
    let mut shown = common(&id, "onlineEndpoints/deployments", resource);
    if let Some(properties) = shown.get_mut("properties").and_then(Value::as_object_mut) {
        // What Azure fills in.
        let probe = json!({
            "initialDelay": "PT10S", "period": "PT10S", "timeout": "PT2S", "successThreshold": 1, "failureThreshold": 30,
        });
        let settings = json!({ "maxConcurrentRequestsPerInstance": 1, "requestTimeout": "PT5S" });
        for (name, usual) in [
            ("scaleSettings", json!({ "scaleType": "Default" })),
            ("requestSettings", settings),
            ("livenessProbe", probe.clone()),
            ("readinessProbe", probe),
            ("egressPublicNetworkAccess", json!("Enabled")),
        ] {
            if properties.get(name).is_none_or(Value::is_null) {
                properties.insert(name.to_owned(), usual);
            }
        }
    }
    Value::Object(shown)
}

fn common(id: &str, kind: &str, resource: &Resource) -> Map<String, Value> {
    let mut shown = resource.record.clone();
    shown.insert("id".to_owned(), json!(id));
    shown.insert("name".to_owned(), json!(resource.name));
    shown.insert("type".to_owned(), json!(format!("{PROVIDER}/workspaces/{kind}")));
    shown.insert(
        "systemData".to_owned(),
        json!({
            "createdAt": to_the_millisecond(resource.created), "createdBy": "sandbox", "createdByType": "User",
            "lastModifiedAt": to_the_millisecond(resource.modified), "lastModifiedBy": "sandbox",
            "lastModifiedByType": "User",
        }),
    );
    if let Some(properties) = shown.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("provisioningState".to_owned(), json!(resource.state.name()));
    }
    if let Some(identity) = shown.get_mut("identity").and_then(Value::as_object_mut) {
        if identity.get("type").and_then(Value::as_str).is_some_and(|kind| kind.contains("SystemAssigned")) {
            identity.insert("principalId".to_owned(), json!(GUID));
            identity.insert("tenantId".to_owned(), json!(GUID));
        }
        if let Some(assigned) = identity.get_mut("userAssignedIdentities").and_then(Value::as_object_mut) {
            for one in assigned.values_mut() {
                if one.is_null() {
                    *one = json!({});
                }
                if let Some(one) = one.as_object_mut() {
                    one.insert("principalId".to_owned(), json!(GUID));
                    one.insert("clientId".to_owned(), json!(GUID));
                }
            }
        }
    }
    shown
}
