//! `UpdateService`: which fields a request changes, and how.

use std::collections::{BTreeMap, BTreeSet};

use mlroll_backend::Timestamp;
use serde_json::{Map, Value};

use super::state::{Key, Service};
use super::store::{Mint, OWNER};
use super::{template, traffic};
use crate::google::{self, Parameters, Refusal};

/// Fields that the user has the say of and that change nothing here.
const PLAIN: [&str; 17] = [
    "binaryAuthorization",
    "buildConfig",
    "client",
    "clientVersion",
    "customAudiences",
    "defaultUriDisabled",
    "description",
    "functionalType",
    "iapEnabled",
    "ingress",
    "invokerIamDisabled",
    "labels",
    "launchStage",
    "multiRegionSettings",
    "scaling",
    "sshEnabled",
    "threatDetectionEnabled",
];

/// Fields that the user has the say of and that change something here.
const MODELLED: [&str; 3] = ["annotations", "template", "traffic"];

/// Fields that are Google's: a body may repeat them, and they are not looked at.
const OUTPUT: [&str; 18] = [
    "conditions",
    "createTime",
    "creator",
    "deleteTime",
    "expireTime",
    "generation",
    "lastModifier",
    "latestCreatedRevision",
    "latestReadyRevision",
    "observedGeneration",
    "reconciling",
    "satisfiesPzs",
    "terminalCondition",
    "trafficStatuses",
    "uid",
    "updateTime",
    "uri",
    "urls",
];

/// Namespaces that v2 keeps as fields and refuses in the map (discovery document, `Service.annotations`).
const RESERVED: [&str; 4] =
    ["autoscaling.knative.dev", "cloud.googleapis.com", "run.googleapis.com", "serving.knative.dev"];

/// The most that all annotations may have together, in bytes.
const MOST_ANNOTATIONS: usize = 256 << 10;

/// What a request wants of a service.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    body: Map<String, Value>,
    /// Which fields are meant; none: all, the whole service is replaced.
    mask: Option<BTreeSet<String>>,
    /// Whether a revision is made although nothing changed.
    force: bool,
}

impl Asked {
    /// By a request of v2.
    pub(super) fn of(body: Map<String, Value>, parameters: &Parameters) -> Result<Self, Refusal> {
        let (mask, force) = (mask(parameters)?, parameters.flag("forceNewRevision")?);
        Ok(Self { body, mask: mask.map(|mask| mask.into_iter().map(str::to_owned).collect()), force })
    }

    /// These fields, and no others.
    pub(super) fn of_fields(body: Map<String, Value>) -> Self {
        Self { mask: Some(body.keys().cloned().collect()), body, force: false }
    }
}

/// The service as the request wants it.
pub(super) fn update(
    key: &Key,
    service: &Service,
    asked: &Asked,
    mint: &mut Mint,
    now: Timestamp,
) -> Result<Service, Refusal> {
    let Asked { body, mask, force } = asked;
    let fields: Vec<&str> = PLAIN.into_iter().chain(MODELLED).chain(OUTPUT).chain(["etag", "name"]).collect();
    google::known(body, "service", &fields)?;
    let named = text(body, "name")?;
    if !named.is_empty() && named != key.name() {
        return Err(Refusal::invalid(format!("service.name is '{named}', and the address says '{}'", key.name())));
    }
    let etag = text(body, "etag")?;
    if !etag.is_empty() && etag != service.etag {
        return Err(Refusal::aborted(format!(
            "Conflict for resource '{}': version '{etag}' was specified but current version is '{}'.",
            key.service, service.etag
        )));
    }
    let whole = mask.is_none();
    let changes = |field: &str| mask.as_ref().is_none_or(|mask| mask.contains(field));
    let mut changed = service.clone();
    for field in PLAIN.into_iter().filter(|field| changes(field)) {
        match body.get(field) {
            Some(value) => changed.other.insert(field.to_owned(), value.clone()),
            None => changed.other.remove(field),
        };
    }
    if changes("template") || *force {
        let kept = Value::Object(service.template.clone());
        let template = if changes("template") { body.get("template") } else { Some(&kept) };
        template::apply(
            template::Sent { service: &key.service, template, whole, force: *force },
            &mut changed,
            mint,
            now,
        )?;
    }
    if changes("annotations") {
        changed.annotations = annotations(body.get("annotations"))?;
    }
    if changes("traffic") {
        changed.traffic = traffic::read(body.get("traffic"))?;
    }
    changed.modifier = OWNER;
    Ok(changed)
}

/// The fields of the mask; `None`: all, the whole service is replaced.
fn mask(parameters: &Parameters) -> Result<Option<BTreeSet<&str>>, Refusal> {
    let Some(mask) = parameters.get("updateMask").filter(|mask| *mask != "*") else { return Ok(None) };
    let fields: BTreeSet<&str> = mask.split(',').collect();
    match fields.iter().find(|field| !PLAIN.contains(field) && !MODELLED.contains(field)) {
        Some(stray) => {
            Err(Refusal::invalid(format!("The update mask is invalid: '{stray}' is no field to be changed")))
        }
        None => Ok(Some(fields)),
    }
}

fn annotations(sent: Option<&Value>) -> Result<BTreeMap<String, String>, Refusal> {
    let sent = match sent {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(members)) => members,
        Some(_) => return Err(Refusal::invalid("Invalid value at 'service.annotations', an object is needed")),
    };
    let mut annotations = BTreeMap::new();
    let mut size = 0;
    for (key, value) in sent {
        let namespace = key.split('/').next().unwrap_or_default();
        let reserved = |known: &str| namespace == known || namespace.ends_with(&format!(".{known}"));
        if RESERVED.into_iter().any(reserved) {
            return Err(Refusal::invalid(format!("annotations: the system annotation '{key}' is not allowed in v2")));
        }
        let Some(value) = value.as_str() else {
            return Err(Refusal::invalid(format!("Invalid value at 'service.annotations[{key}]' (TYPE_STRING)")));
        };
        size += key.len() + value.len();
        annotations.insert(key.clone(), value.to_owned());
    }
    if size > MOST_ANNOTATIONS {
        return Err(Refusal::invalid(format!("annotations: the total size is {size}, at most {MOST_ANNOTATIONS}")));
    }
    Ok(annotations)
}

fn text<'a>(body: &'a Map<String, Value>, field: &str) -> Result<&'a str, Refusal> {
    match body.get(field) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(Refusal::invalid(format!("Invalid value at 'service.{field}' (TYPE_STRING), {other}"))),
    }
}
