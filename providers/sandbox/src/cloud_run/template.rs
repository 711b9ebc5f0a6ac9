//! The template of a request: which revision it makes, and which it does not.

use mlroll_backend::Timestamp;
use serde_json::{Map, Value, json};

use super::state::{Health, Revision, Service};
use super::store::{Mint, is_revision};
use crate::google::{self, Refusal};

/// Fields of `google.cloud.run.v2.RevisionTemplate` (discovery document, revision 20261031).
const TEMPLATE: [&str; 24] = [
    "ambientNetworking",
    "annotations",
    "client",
    "clientVersion",
    "containers",
    "encryptionKey",
    "encryptionKeyRevocationAction",
    "encryptionKeyShutdownDuration",
    "executionEnvironment",
    "gpuZonalRedundancyDisabled",
    "healthCheckDisabled",
    "labels",
    "maxInstanceRequestConcurrency",
    "nodeSelector",
    "revision",
    "sandboxes",
    "scaling",
    "serviceAccount",
    "serviceMesh",
    "sessionAffinity",
    "timeout",
    "volumes",
    "vpcAccess",
    "workloadIdentityConfig",
];

/// Fields of `google.cloud.run.v2.Container`.
const CONTAINER: [&str; 18] = [
    "args",
    "baseImageUri",
    "buildConfig",
    "buildInfo",
    "command",
    "dependsOn",
    "env",
    "image",
    "livenessProbe",
    "name",
    "ports",
    "readinessProbe",
    "resources",
    "sandboxLauncher",
    "sourceCode",
    "startupProbe",
    "volumeMounts",
    "workingDir",
];

/// How a template reached the server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent<'a> {
    /// The service's short name.
    pub(super) service: &'a str,
    pub(super) template: Option<&'a Value>,
    /// Whether the body replaces the whole service.
    pub(super) whole: bool,
    /// Whether a revision is made although nothing changed.
    pub(super) force: bool,
}

/// Applies a template; a revision is made when it differs from the one in force.
pub(super) fn apply(sent: Sent<'_>, changed: &mut Service, mint: &mut Mint, now: Timestamp) -> Result<(), Refusal> {
    let template = read(sent.template)?;
    let mut bare = template.clone();
    let name = match bare.remove("revision") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name).filter(|name| !name.is_empty()),
        Some(other) => return Err(Refusal::invalid(format!("Invalid value at 'service.template.revision', {other}"))),
    };
    google::sparse(&mut bare);
    let begin = format!("{}-", sent.service);
    let name = match name {
        Some(name) => match changed.revision(&name) {
            // A body that repeats the whole service repeats the name of a revision that there is.
            Some(known) if sent.whole || sent.force || known.template != bare => {
                let message = format!("Revision named '{name}' with different configuration already exists.");
                return Err(Refusal::already_exists(message));
            }
            Some(_) => return Ok(()),
            None if !is_revision(&name, &begin) => {
                let message = format!(
                    "template.revision: '{name}' must begin with '{begin}' and have small letters, digits and hyphens"
                );
                return Err(Refusal::invalid(message));
            }
            None => name,
        },
        None => {
            let unchanged = changed.latest_created().is_some_and(|latest| latest.template == bare);
            if unchanged && !sent.force {
                changed.template = template;
                return Ok(());
            }
            let suffix: String = mint.id().chars().take(3).collect();
            format!("{begin}{:05}-{suffix}", changed.generation + 1)
        }
    };
    changed.template = template;
    let uid = mint.id();
    changed.revisions.push(Revision { name, created: now, health: Health::Starting, sound: true, template: bare, uid });
    Ok(())
}

fn read(sent: Option<&Value>) -> Result<Map<String, Value>, Refusal> {
    let missing = || Refusal::invalid("template.containers: at least one container is required");
    let Some(Value::Object(template)) = sent else { return Err(missing()) };
    google::known(template, "service.template", &TEMPLATE)?;
    let containers = template.get("containers").and_then(Value::as_array).filter(|all| !all.is_empty());
    for (at, container) in containers.ok_or_else(missing)?.iter().enumerate() {
        let place = format!("service.template.containers[{at}]");
        let Some(container) = container.as_object() else {
            return Err(Refusal::invalid(format!("Invalid value at '{place}', an object is needed")));
        };
        google::known(container, &place, &CONTAINER)?;
        if container.get("image").and_then(Value::as_str).is_none_or(str::is_empty) {
            return Err(Refusal::invalid(format!("{place}.image is required")));
        }
    }
    let mut template = template.clone();
    // Read back from a service these are empty.
    template.retain(|_, value| *value != json!({}) && *value != json!([]));
    Ok(template)
}
