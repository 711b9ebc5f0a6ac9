//! Services and revisions as v1 shows them.

use serde_json::{Map, Value, json};

use super::super::render;
use super::super::state::{Key, Operation, Revision, Service, Whom};
use super::super::store::OWNER;
use super::template;
use crate::google::sparse;

const API: &str = "serving.knative.dev/v1";

/// The annotations that are v1's own: who made the service, what changes it.
pub(super) const INGRESS: &str = "run.googleapis.com/ingress";
pub(super) const LOCATION: &str = "cloud.googleapis.com/location";
pub(super) const MIN_SCALE: &str = "run.googleapis.com/minScale";

/// `google.cloud.run.v1.Service`, with the operation of its latest change.
pub(super) fn service(key: &Key, service: &Service, operation: Option<&str>) -> Value {
    let Key { project, region, service: name } = key;
    let mut labels = object(service.other.get("labels"));
    labels.insert(LOCATION.to_owned(), json!(region));
    let mut annotations: Map<String, Value> =
        service.annotations.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let scaling = service.other.get("scaling").and_then(|scaling| scaling.get("minInstanceCount")?.as_u64());
    let own = json!({
        "run.googleapis.com/operation-id": operation,
        "serving.knative.dev/creator": OWNER,
        "serving.knative.dev/lastModifier": service.modifier,
        INGRESS: "all",
        MIN_SCALE: scaling.map(|count| count.to_string()),
    });
    annotations.extend(object(Some(&own)));
    sparse(&mut annotations);
    let wanted: Vec<Value> = if service.traffic.is_empty() {
        vec![json!({ "latestRevision": true, "percent": 100 })]
    } else {
        let entries = service.traffic.iter();
        entries.map(|entry| target(&entry.whom, entry.percent, &entry.tag)).collect()
    };
    let host = render::host(key);
    let statuses = service.statuses.iter().map(|status| {
        let mut shown = target(&Whom::Revision(status.revision.clone()), status.percent, &status.tag);
        if let Value::Object(shown) = &mut shown {
            shown.extend(status.latest.then(|| ("latestRevision".to_owned(), json!(true))));
            let url = (!status.tag.is_empty()).then(|| json!(format!("https://{}---{host}", status.tag)));
            shown.extend(url.map(|url| ("url".to_owned(), url)));
        }
        shown
    });
    let name_of = |revision: Option<&Revision>| revision.map(|revision| revision.name.clone());
    let url = format!("https://{host}");
    json!({
        "apiVersion": API,
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": project,
            "selfLink": format!("/apis/{API}/namespaces/{project}/services/{name}"),
            "uid": service.uid,
            "resourceVersion": version(&service.etag),
            "generation": service.generation,
            "creationTimestamp": service.created.to_string(),
            "labels": labels,
            "annotations": annotations,
        },
        "spec": { "template": template::show(&service.template), "traffic": wanted },
        "status": {
            "observedGeneration": service.observed,
            "conditions": render::conditions(service).iter().map(condition).collect::<Vec<_>>(),
            "latestReadyRevisionName": name_of(service.latest_ready()),
            "latestCreatedRevisionName": name_of(service.latest_created()),
            "traffic": statuses.collect::<Vec<_>>(),
            "url": url,
            "address": { "url": url },
        },
    })
}

/// `google.cloud.run.v1.Revision`
pub(super) fn revision(key: &Key, of: &Service, revision: &Revision) -> Value {
    let Key { project, region, service } = key;
    let shown = render::revision(key, of, revision);
    let conditions = shown.get("conditions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut conditions: Vec<Value> = conditions.iter().map(condition).collect();
    let active = of.statuses.iter().any(|status| status.revision == revision.name && status.percent > 0);
    conditions.push(json!({ "type": "Active", "status": if active { "True" } else { "False" } }));
    let digest = shown.get("containerStatuses").and_then(|all| all.get(0)?.get("imageDigest").cloned());
    let template = template::show(&revision.template);
    let labels = json!({
        "serving.knative.dev/service": service,
        "serving.knative.dev/configuration": service,
        LOCATION: region,
    });
    json!({
        "apiVersion": API,
        "kind": "Revision",
        "metadata": {
            "name": revision.name,
            "namespace": project,
            "uid": revision.uid,
            "resourceVersion": version(&render::etag(revision)),
            "generation": 1,
            "creationTimestamp": revision.created.to_string(),
            "labels": labels,
            "annotations": { "serving.knative.dev/creator": OWNER },
        },
        "spec": template.get("spec"),
        "status": { "observedGeneration": 1, "conditions": conditions, "imageDigest": digest },
    })
}

/// `google.longrunning.Operation` about a service.
pub(super) fn operation(id: &str, operation: &Operation, service: Value) -> Value {
    let of = &operation.of;
    let name = format!("projects/{}/locations/{}/operations/{id}", of.project, of.region);
    let mut service = service;
    if let Value::Object(members) = &mut service {
        members.insert("@type".to_owned(), json!("type.googleapis.com/google.cloud.run.v1.Service"));
    }
    match (operation.done, &operation.error) {
        (false, _) => json!({ "name": name, "metadata": service }),
        (true, Some((code, message))) => {
            json!({ "name": name, "metadata": service, "done": true, "error": { "code": code, "message": message } })
        }
        (true, None) => json!({ "name": name, "done": true, "response": service }),
    }
}

/// A list of objects.
pub(super) fn list(kind: &str, items: &[Value]) -> Value {
    json!({ "apiVersion": API, "kind": kind, "metadata": {}, "items": items })
}

/// An etag without its quotes.
pub(super) fn version(etag: &str) -> &str {
    etag.trim_matches('"')
}

fn target(whom: &Whom, percent: u32, tag: &str) -> Value {
    let mut shown = match whom {
        Whom::Latest => json!({ "latestRevision": true, "percent": percent, "tag": tag }),
        Whom::Revision(name) => json!({ "revisionName": name, "percent": percent, "tag": tag }),
    };
    if let Value::Object(members) = &mut shown {
        sparse(members);
    }
    shown
}

/// A condition of v2 in the words of v1.
fn condition(of: &Value) -> Value {
    let text = |field: &str| of.get(field).and_then(Value::as_str).unwrap_or_default();
    let status = match text("state") {
        "CONDITION_SUCCEEDED" => "True",
        "CONDITION_FAILED" => "False",
        _ => "Unknown",
    };
    let reason = if text("reason") == "REVISION_FAILED" { "RevisionFailed" } else { text("revisionReason") };
    let mut shown = json!({
        "type": text("type"), "status": status, "reason": reason, "message": text("message"),
        "lastTransitionTime": text("lastTransitionTime"),
    });
    if let Value::Object(members) = &mut shown {
        sparse(members);
    }
    shown
}

pub(super) fn object(value: Option<&Value>) -> Map<String, Value> {
    value.and_then(Value::as_object).cloned().unwrap_or_default()
}
