//! What a client of v1 wants of a service, in the words of v2.

use serde_json::{Map, Value, json};

use super::super::edit::Asked;
use super::super::state::{Key, Service};
use super::show::{INGRESS, LOCATION, MIN_SCALE, object, version};
use super::template;
use crate::google::{self, Refusal};

/// Namespaces of annotations and labels that are Google's: shown, and not taken back.
const GOOGLES: [&str; 4] =
    ["client.knative.dev/", "cloud.googleapis.com/", "run.googleapis.com/", "serving.knative.dev/"];

/// The whole service as it is to be.
pub(super) fn service(body: &Map<String, Value>, key: &Key, now: &Service) -> Result<Asked, Refusal> {
    google::known(body, "service", &["apiVersion", "kind", "metadata", "spec", "status"])?;
    for (field, value) in [("apiVersion", "serving.knative.dev/v1"), ("kind", "Service")] {
        if body.get(field) != Some(&json!(value)) {
            return Err(Refusal::invalid(format!("{field} must be {value}")));
        }
    }
    let (metadata, spec) = (object(body.get("metadata")), object(body.get("spec")));
    google::known(&spec, "spec", &["template", "traffic"])?;
    let named = |field: &str| metadata.get(field).and_then(Value::as_str).unwrap_or_default();
    if named("name") != key.service {
        return Err(Refusal::invalid(format!("metadata.name is '{}', and not '{}'", named("name"), key.service)));
    }
    let sent = named("resourceVersion");
    if !sent.is_empty() && sent != version(&now.etag) {
        return Err(Refusal::aborted(format!(
            "Conflict for resource '{}': version '{sent}' was specified but current version is '{}'.",
            key.service,
            version(&now.etag)
        )));
    }
    let (annotations, labels) = (object(metadata.get("annotations")), object(metadata.get("labels")));
    if annotations.get(INGRESS).is_some_and(|ingress| ingress != "all") {
        return Err(Refusal::invalid(format!("{INGRESS}: only `all` is in this sandbox.")));
    }
    if labels.get(LOCATION).is_some_and(|region| *region != key.region.as_str()) {
        return Err(Refusal::invalid(format!("{LOCATION} does not name {}", key.region)));
    }
    let mut scaling = object(now.other.get("scaling"));
    scaling.remove("minInstanceCount");
    if let Some(least) = annotations.get(MIN_SCALE) {
        let count: Option<u32> = least.as_str().and_then(|text| text.parse().ok());
        let count = count.ok_or_else(|| Refusal::invalid(format!("{MIN_SCALE}: {least} is no number")))?;
        scaling.insert("minInstanceCount".to_owned(), json!(count));
    }
    let mut traffic = Vec::new();
    for (at, sent) in spec.get("traffic").and_then(Value::as_array).into_iter().flatten().enumerate() {
        traffic.push(entry(&object(Some(sent)), at)?);
    }
    let template = template::read(spec.get("template").unwrap_or(&Value::Null), &now.template)?;
    let wanted = json!({
        "template": template, "traffic": traffic, "annotations": own(annotations), "labels": own(labels), "scaling": scaling,
    });
    Ok(Asked::of_fields(object(Some(&wanted))))
}

/// What is the user's own.
fn own(mut all: Map<String, Value>) -> Map<String, Value> {
    all.retain(|key, _| !GOOGLES.iter().any(|googles| key.starts_with(googles)));
    all
}

fn entry(sent: &Map<String, Value>, at: usize) -> Result<Value, Refusal> {
    let place = format!("spec.traffic[{at}]");
    google::known(sent, &place, &["latestRevision", "percent", "revisionName", "tag", "url"])?;
    let latest = sent.get("latestRevision") == Some(&Value::Bool(true));
    let revision = sent.get("revisionName").and_then(Value::as_str).unwrap_or_default();
    if latest != revision.is_empty() {
        return Err(Refusal::invalid(format!("{place}: either a revision is named, or the latest is meant")));
    }
    Ok(json!({
        "type": if latest { 1 } else { 2 }, "revision": revision,
        "percent": sent.get("percent"), "tag": sent.get("tag"),
    }))
}

/// The service that `serving.knative.dev/service = NAME` selects.
pub(super) fn selected(selector: Option<&str>) -> Result<Option<String>, Refusal> {
    let Some(selector) = selector else { return Ok(None) };
    match selector.split_once('=').map(|(label, name)| (label.trim(), name.trim_start_matches('=').trim())) {
        Some(("serving.knative.dev/service", name)) => Ok(Some(name.to_owned())),
        _ => Err(Refusal::invalid(format!("labelSelector: `{selector}` is not in this sandbox."))),
    }
}
