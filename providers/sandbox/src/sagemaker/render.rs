//! What answers look like.

use mlroll_backend::Timestamp;
use serde_json::{Map, Value, json};

use super::state::{Endpoint, Variant, Work};
use super::store::Region;

/// A moment as this protocol writes it: seconds since 1970.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of this era are exact in a float")]
pub(super) fn moment(at: Timestamp) -> Value {
    json!(at.unix_milliseconds() as f64 / 1000.0)
}

/// A float of 32 bits with the digits that it has: 0.1, not 0.10000000149.
fn weight(weight: f32) -> Value {
    json!(weight.to_string().parse::<f64>().unwrap_or(f64::from(weight)))
}

fn variant(variant: &Variant, images: &[Value]) -> Value {
    let mut shown = Map::new();
    let mut set = |member: &str, value: Value| shown.insert(member.to_owned(), value);
    set("VariantName", json!(variant.name));
    set("CurrentWeight", weight(variant.weight));
    set("DesiredWeight", weight(variant.desired_weight));
    match (variant.instances, variant.desired_instances) {
        (Some(instances), Some(desired)) => {
            set("CurrentInstanceCount", json!(instances));
            set("DesiredInstanceCount", json!(desired));
        }
        _ => {
            set("CurrentServerlessConfig", json!({ "MemorySizeInMB": 2048, "MaxConcurrency": 1 }));
        }
    }
    if !images.is_empty() {
        let deployed = |image: &Value| json!({ "SpecifiedImage": image, "ResolvedImage": image });
        set("DeployedImages", images.iter().map(deployed).collect());
    }
    Value::Object(shown)
}

/// The images that a variant of a config runs; none where it has no model of its own.
fn images(here: &Region, config: &str, variant: &str) -> Vec<Value> {
    let model = || {
        let body = &here.configs.get(config)?.body;
        let all =
            ["ProductionVariants", "ShadowProductionVariants"].into_iter().filter_map(|of| body.get(of)?.as_array());
        let named = |one: &&Value| one.get("VariantName").and_then(Value::as_str) == Some(variant);
        here.models.get(all.flatten().find(named)?.get("ModelName")?.as_str()?)
    };
    let Some(model) = model() else { return Vec::new() };
    let several = model.body.get("Containers").and_then(Value::as_array).into_iter().flatten();
    let containers = model.body.get("PrimaryContainer").into_iter().chain(several);
    // Of a package it would be the one that the package names.
    let image = |container: &Value| container.get("Image").or_else(|| container.get("ModelPackageName")).cloned();
    containers.filter_map(image).collect()
}

/// `DescribeEndpoint`
pub(super) fn endpoint(name: &str, arn: &str, endpoint: &Endpoint, here: &Region) -> Value {
    let mut shown = Map::new();
    let variant = |one: &Variant| variant(one, &images(here, &endpoint.config, &one.name));
    let mut set = |member: &str, value: Value| shown.insert(member.to_owned(), value);
    set("EndpointName", json!(name));
    set("EndpointArn", json!(arn));
    set("EndpointConfigName", json!(endpoint.config));
    set("EndpointStatus", json!(endpoint.status()));
    set("CreationTime", moment(endpoint.created));
    set("LastModifiedTime", moment(endpoint.modified));
    let creating = matches!(endpoint.change.as_ref().map(|change| &change.work), Some(Work::Create));
    if !creating {
        set("ProductionVariants", endpoint.variants.iter().map(variant).collect());
    }
    if !endpoint.shadows.is_empty() {
        set("ShadowProductionVariants", endpoint.shadows.iter().map(variant).collect());
    }
    // A summary of its own has what `DataCaptureConfig` comes to.
    for member in ["AsyncInferenceConfig", "ExplainerConfig", "MetricsConfig"] {
        if let Some(value) = here.configs.get(&endpoint.config).and_then(|config| config.body.get(member)) {
            set(member, value.clone());
        }
    }
    if let Some(guardrails) = &endpoint.guardrails {
        set("LastDeploymentConfig", guardrails.clone());
    }
    if let Some(failure) = &endpoint.failure {
        set("FailureReason", json!(failure));
    }
    if let Some(change) = &endpoint.change
        && let Work::Deploy { config, variants, shadows, guardrails } = &change.work
    {
        let pending = |one: &Variant| {
            let since = moment(change.since);
            let status = if guardrails.is_some() { "Baking" } else { "Creating" };
            let status = json!([{ "Status": status, "StartTime": since }]);
            json!({ "VariantName": one.name, "DesiredWeight": weight(one.desired_weight),
                "DesiredInstanceCount": one.desired_instances, "VariantStatus": status })
        };
        let mut summary = json!({
            "EndpointConfigName": config,
            "StartTime": moment(change.since),
            "ProductionVariants": variants.iter().map(pending).collect::<Value>(),
        });
        if let (false, Some(summary)) = (shadows.is_empty(), summary.as_object_mut()) {
            summary.insert("ShadowProductionVariants".to_owned(), shadows.iter().map(pending).collect());
        }
        set("PendingDeploymentSummary", summary);
    }
    Value::Object(shown)
}
