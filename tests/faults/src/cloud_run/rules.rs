//! What Cloud Run refuses, in its words.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::envelope;
use super::service::RunService;
use crate::http::Response;

/// A refusal.
#[derive(Debug)]
pub(super) struct Refused {
    code: u16,
    status: &'static str,
    message: String,
}

impl Refused {
    pub(super) fn new(code: u16, status: &'static str, message: impl Into<String>) -> Self {
        Self { code, status, message: message.into() }
    }

    pub(super) fn response(&self) -> Response {
        Response::json(self.code, &envelope(self.code, self.status, &self.message))
    }
}

fn invalid(message: impl Into<String>) -> Refused {
    Refused::new(400, "INVALID_ARGUMENT", message)
}

/// Refuses parameters that the method does not have.
pub(super) fn parameters(query: &BTreeMap<String, String>, known: &[&str]) -> Result<(), Refused> {
    match query.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => {
            Err(invalid(format!("Invalid JSON payload received. Unknown name \"{key}\": Cannot bind query parameter.")))
        }
        None => Ok(()),
    }
}

/// `UpdateService` of traffic and annotations.
pub(super) fn update(service: &mut RunService, mask: &str, body: &Value) -> Result<(), Refused> {
    let body = body.as_object().ok_or_else(|| invalid("Invalid JSON payload received."))?;
    let known = ["annotations", "etag", "name", "template", "traffic"];
    if let Some(key) = body.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(invalid(format!("Invalid JSON payload received. Unknown name \"{key}\": Cannot find field.")));
    }
    let masked: BTreeSet<&str> = mask.split(',').filter(|part| !part.is_empty()).collect();
    if let Some(part) = masked.iter().find(|part| !known.contains(part)) {
        return Err(invalid(format!("The field mask is invalid: {part}")));
    }
    // Without a mask the whole service is replaced, and its template names a revision that there is already.
    if masked.is_empty() || masked.contains("template") {
        let message = "Revision named 'fraud-00002-b' with different configuration already exists.";
        return Err(Refused::new(409, "ALREADY_EXISTS", message));
    }
    let etag = body.get("etag").and_then(Value::as_str).ok_or_else(|| invalid("etag is not text"))?;
    if !etag.is_empty() && etag != service.etag {
        let message = format!(
            "Conflict for resource 'fraud': version '{etag}' was specified but current version is '{}'.",
            service.etag
        );
        return Err(Refused::new(409, "ABORTED", message));
    }
    let empty = Value::Null;
    let annotations = match masked.contains("annotations") {
        true => Some(read_annotations(service, body.get("annotations").unwrap_or(&empty))?),
        false => None,
    };
    if masked.contains("traffic") {
        let traffic = body.get("traffic").and_then(Value::as_array).ok_or_else(|| invalid("traffic is not a list"))?;
        check_traffic(traffic)?;
        service.shift(traffic);
    }
    if let Some(annotations) = annotations {
        service.annotations = annotations;
    }
    service.begin();
    Ok(())
}

fn read_annotations(service: &RunService, sent: &Value) -> Result<BTreeMap<String, String>, Refused> {
    if service.refuses_annotations {
        return Err(invalid("metadata.annotations: Annotations cannot be changed by this method."));
    }
    let sent = sent.as_object().cloned().unwrap_or_else(Map::new);
    let mut annotations = BTreeMap::new();
    for (key, value) in sent {
        let namespace = key.split('/').next().unwrap_or_default();
        if ["run.googleapis.com", "cloud.googleapis.com", "serving.knative.dev", "autoscaling.knative.dev"]
            .contains(&namespace)
        {
            return Err(invalid(format!("annotations: System annotation {key} is not allowed.")));
        }
        let value = value.as_str().ok_or_else(|| invalid(format!("annotations: {key} is not text")))?;
        annotations.insert(key, value.to_owned());
    }
    Ok(annotations)
}

fn check_traffic(traffic: &[Value]) -> Result<(), Refused> {
    let mut sum = 0;
    let mut tags = BTreeSet::new();
    for entry in traffic {
        let entry = entry.as_object().ok_or_else(|| invalid("traffic: an entry is no object"))?;
        if let Some(key) = entry.keys().find(|key| !["percent", "revision", "tag", "type"].contains(&key.as_str())) {
            return Err(invalid(format!(
                "Invalid JSON payload received. Unknown name \"{key}\" at 'traffic': Cannot find field."
            )));
        }
        let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
        let revision = text("revision");
        match text("type") {
            "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST" if revision.is_empty() => {}
            // One that is not there is taken, and fails the operation.
            "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION" if !revision.is_empty() => {}
            other => return Err(invalid(format!("Invalid value at 'traffic.type' ({other})"))),
        }
        let percent = match entry.get("percent") {
            None => 0,
            Some(percent) => {
                percent.as_u64().filter(|p| *p <= 100).ok_or_else(|| invalid("Invalid value at 'traffic.percent'"))?
            }
        };
        sum += percent;
        if !text("tag").is_empty() && !tags.insert(text("tag")) {
            return Err(invalid(format!("traffic: tag {} is used twice", text("tag"))));
        }
    }
    if sum == 100 { Ok(()) } else { Err(invalid(format!("traffic: percents must sum to 100, found {sum}"))) }
}
