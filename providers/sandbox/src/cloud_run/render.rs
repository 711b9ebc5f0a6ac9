//! Services, revisions and operations as Cloud Run writes them: zero, false and empty are left out.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::state::{Health, Key, Operation, Revision, Service, Whom, not_ready};
use super::store::OWNER;
use super::traffic::TYPES;
use crate::google::sparse;

/// `google.cloud.run.v2.Service`
pub(super) fn service(key: &Key, service: &Service) -> Value {
    let name = key.name();
    let reconciling = service.pending.is_some();
    let latest = |revision: Option<&Revision>| revision.map(|revision| format!("{name}/revisions/{}", revision.name));
    let traffic: Vec<Value> = service
        .traffic
        .iter()
        .map(|entry| match &entry.whom {
            Whom::Latest => target(true, "", entry.percent, &entry.tag),
            Whom::Revision(revision) => target(false, revision, entry.percent, &entry.tag),
        })
        .collect();
    let host = host(key);
    let statuses = service.statuses.iter().map(|status| {
        let mut shown = target(status.latest, &status.revision, status.percent, &status.tag);
        if let (false, Value::Object(members)) = (status.tag.is_empty(), &mut shown) {
            members.insert("uri".to_owned(), json!(format!("https://{}---{host}", status.tag)));
        }
        shown
    });
    let mut conditions = conditions(service);
    let terminal = if conditions.is_empty() { Value::Null } else { conditions.remove(0) };
    let mut document = service.other.clone();
    let own = json!({
        "name": name,
        "uid": service.uid,
        "etag": service.etag,
        "generation": service.generation.to_string(),
        "observedGeneration": service.observed.to_string(),
        "createTime": service.created.to_string(),
        "updateTime": service.updated.to_string(),
        "creator": OWNER,
        "lastModifier": service.modifier,
        "annotations": service.annotations,
        "template": service.template,
        "traffic": traffic,
        "trafficStatuses": statuses.collect::<Vec<_>>(),
        "latestReadyRevision": latest(service.latest_ready()),
        "latestCreatedRevision": latest(service.latest_created()),
        "terminalCondition": terminal,
        "conditions": conditions,
        "reconciling": reconciling,
        "uri": format!("https://{host}"),
        "urls": [format!("https://{host}")],
    });
    if let Value::Object(own) = own {
        document.extend(own);
    }
    sparse(&mut document);
    Value::Object(document)
}

/// `google.cloud.run.v2.Revision`
pub(super) fn revision(key: &Key, of: &Service, revision: &Revision) -> Value {
    let retired = !of.statuses.iter().any(|status| status.revision == revision.name && status.percent > 0);
    let (state, message, reason) = match revision.health {
        Health::Failed => ("CONDITION_FAILED", not_ready(&revision.name), "HEALTH_CHECK_CONTAINER_ERROR"),
        Health::Ready if retired => ("CONDITION_SUCCEEDED", String::new(), "RETIRED"),
        Health::Ready => ("CONDITION_SUCCEEDED", String::new(), ""),
        Health::Starting => ("CONDITION_RECONCILING", "Starting the container.".to_owned(), ""),
    };
    let mut ready = condition("Ready", state, &message, &revision.created.to_string());
    if let (false, Value::Object(members)) = (reason.is_empty(), &mut ready) {
        members.insert("revisionReason".to_owned(), json!(reason));
    }
    let mut document = revision.template.clone();
    let own = json!({
        "name": format!("{}/revisions/{}", key.name(), revision.name),
        "uid": revision.uid,
        "generation": "1",
        "observedGeneration": "1",
        "createTime": revision.created.to_string(),
        "updateTime": revision.created.to_string(),
        "launchStage": "GA",
        "service": key.service,
        "conditions": [ready],
        "containerStatuses": container_statuses(revision),
        "reconciling": revision.health == Health::Starting,
        "etag": etag(revision),
    });
    if let Value::Object(own) = own {
        document.extend(own);
    }
    sparse(&mut document);
    Value::Object(document)
}

/// What each container runs: the digest that its tag stands for.
fn container_statuses(revision: &Revision) -> Vec<Value> {
    let containers = revision.template.get("containers").and_then(Value::as_array);
    let status = |container: &Value| {
        let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
        let digest = if image.contains("@sha256:") {
            image.to_owned()
        } else {
            let digest: String = Sha256::digest(image.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
            let slash = image.rfind('/').map_or(0, |at| at + 1);
            let colon = image.get(slash..).and_then(|name| name.find(':')).map_or(image.len(), |at| slash + at);
            format!("{}@sha256:{digest}", image.get(..colon).unwrap_or(image))
        };
        json!({ "name": container.get("name"), "imageDigest": digest })
    };
    let mut statuses: Vec<Value> = containers.into_iter().flatten().map(status).collect();
    for status in &mut statuses {
        if let Value::Object(members) = status {
            sparse(members);
        }
    }
    statuses
}

/// The etag of a revision, which nothing changes but its becoming ready.
pub(super) fn etag(revision: &Revision) -> String {
    format!("\"CR{}{}\"", revision.uid, if revision.health == Health::Starting { "0" } else { "1" })
}

/// `google.longrunning.Operation`
pub(super) fn operation(id: &str, operation: &Operation, service: &Value) -> Value {
    let of = &operation.of;
    let metadata = typed(service.clone());
    let mut shown = json!({
        "name": format!("projects/{}/locations/{}/operations/{id}", of.project, of.region),
        "metadata": metadata,
    });
    if let (true, Value::Object(members)) = (operation.done, &mut shown) {
        members.insert("done".to_owned(), json!(true));
        match &operation.error {
            Some((code, message)) => {
                members.insert("error".to_owned(), json!({ "code": code, "message": message }));
            }
            None => {
                let response = operation.response.clone().unwrap_or(metadata);
                members.insert("response".to_owned(), response);
            }
        }
    }
    shown
}

/// A service as an operation carries it.
pub(super) fn typed(document: Value) -> Value {
    with_type(document, "Service")
}

/// A message as an operation carries it.
pub(super) fn with_type(mut document: Value, message: &str) -> Value {
    if let Value::Object(members) = &mut document {
        members.insert("@type".to_owned(), json!(format!("type.googleapis.com/google.cloud.run.v2.{message}")));
    }
    document
}

fn target(latest: bool, revision: &str, percent: u32, tag: &str) -> Value {
    let kind = TYPES.get(if latest { 1 } else { 2 });
    let target = json!({ "type": kind, "revision": revision, "percent": percent, "tag": tag });
    let mut members: Map<String, Value> = target.as_object().cloned().unwrap_or_default();
    sparse(&mut members);
    Value::Object(members)
}

fn condition(kind: &str, state: &str, message: &str, at: &str) -> Value {
    let condition = json!({ "type": kind, "state": state, "message": message, "lastTransitionTime": at });
    let mut members: Map<String, Value> = condition.as_object().cloned().unwrap_or_default();
    sparse(&mut members);
    Value::Object(members)
}

/// The terminal condition first.
pub(super) fn conditions(service: &Service) -> Vec<Value> {
    let at = service.updated.to_string();
    let configuration = service.latest_created().filter(|latest| latest.health == Health::Failed);
    let configuration = service.unmade.clone().or_else(|| configuration.map(|latest| not_ready(&latest.name)));
    let reconciling = service.pending.is_some();
    let one = |kind: &str, failed: Option<&String>, moving: bool| {
        let (state, message) = match failed {
            _ if moving => ("CONDITION_RECONCILING", "Applying the change."),
            Some(why) => ("CONDITION_FAILED", why.as_str()),
            None => ("CONDITION_SUCCEEDED", ""),
        };
        let mut shown = condition(kind, state, message, &at);
        if let (true, false, Value::Object(members)) = (failed.is_some(), moving, &mut shown) {
            members.insert("reason".to_owned(), json!("REVISION_FAILED"));
        }
        shown
    };
    let starting = service.latest_created().is_some_and(|latest| latest.health == Health::Starting);
    vec![
        one("Ready", service.routes_failed.as_ref().or(configuration.as_ref()), reconciling),
        one("ConfigurationsReady", configuration.as_ref(), starting),
        one("RoutesReady", service.routes_failed.as_ref(), reconciling),
    ]
}

pub(super) fn host(key: &Key) -> String {
    format!("{}-{}.{}.run.app", key.service, key.project.replace([':', '.'], "-"), key.region)
}
