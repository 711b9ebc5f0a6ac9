//! What answers look like.

use mlroll_backend::Timestamp;
use serde_json::{Map, Value, json};

use super::state::{Alias, Function, LATEST, Provisioned, Version};
use crate::clock::to_the_millisecond;

/// A moment as Lambda writes it: `2026-11-21T03:00:00.000+0000`.
pub(super) fn moment(at: Timestamp) -> String {
    to_the_millisecond(at).replace('Z', "+0000")
}

/// An alias; the routing configuration is left out when there are no weights.
pub(super) fn alias(arn: &str, name: &str, alias: &Alias) -> Value {
    let mut body = Map::new();
    body.insert("AliasArn".to_owned(), json!(format!("{arn}:{name}")));
    body.insert("Name".to_owned(), json!(name));
    body.insert("FunctionVersion".to_owned(), json!(alias.version));
    body.insert("Description".to_owned(), json!(alias.description));
    let weights = alias.shown_weights();
    if !weights.is_empty() {
        body.insert("RoutingConfig".to_owned(), json!({ "AdditionalVersionWeights": weights }));
    }
    body.insert("RevisionId".to_owned(), json!(alias.revision_id));
    Value::Object(body)
}

/// A version as lists show it: without its state.
pub(super) fn version(arn: &str, function: &str, number: &str, version: &Version) -> Map<String, Value> {
    let settings = &version.settings;
    let body = json!({
        "FunctionName": function,
        "FunctionArn": arn,
        "Version": number,
        "Description": version.description,
        "Role": settings.role,
        "Runtime": settings.runtime,
        "Handler": settings.handler,
        "CodeSize": settings.code_size,
        "MemorySize": settings.memory,
        "PackageType": if settings.image.is_some() { "Image" } else { "Zip" },
        "Architectures": ["x86_64"],
        "EphemeralStorage": { "Size": 512 },
        "TracingConfig": { "Mode": "PassThrough" },
        "SnapStart": { "ApplyOn": "None", "OptimizationStatus": "Off" },
        "Timeout": settings.timeout,
        "LastModified": moment(version.modified),
        "CodeSha256": settings.code_sha256,
        "RevisionId": version.revision_id,
    });
    let mut body = if let Value::Object(body) = body { body } else { Map::new() };
    if !settings.environment.is_empty() {
        body.insert("Environment".to_owned(), json!({ "Variables": settings.environment }));
    }
    if let Some(queue) = &settings.dead_letter {
        body.insert("DeadLetterConfig".to_owned(), json!({ "TargetArn": queue }));
    }
    body
}

/// A version with its state.
pub(super) fn configuration(arn: &str, function: &str, number: &str, found: &Version) -> Value {
    let mut body = version(arn, function, number, found);
    let mut set = |member: &str, value: &str| body.insert(member.to_owned(), json!(value));
    if found.pending.is_some() {
        set("State", "Pending");
        set("StateReason", "The function is being created.");
        set("StateReasonCode", "Creating");
    } else if found.failed {
        set("State", "Failed");
        set("StateReason", "The function could not be created.");
        set("StateReasonCode", "InternalError");
    } else {
        set("State", "Active");
    }
    if found.update_failed {
        set("LastUpdateStatus", "Failed");
        set("LastUpdateStatusReason", "The code cannot be used.");
        set("LastUpdateStatusReasonCode", "InvalidImage");
    } else if found.updating.is_some() {
        set("LastUpdateStatus", "InProgress");
        set("LastUpdateStatusReason", "The function is being created.");
        set("LastUpdateStatusReasonCode", "Creating");
    } else {
        set("LastUpdateStatus", "Successful");
    }
    Value::Object(body)
}

/// Provisioned concurrency. What is in progress has allocated nothing yet.
pub(super) fn provisioned(provisioned: &Provisioned) -> Map<String, Value> {
    let ready = if provisioned.until.is_none() && !provisioned.failed { provisioned.requested } else { 0 };
    let status = match provisioned.until {
        _ if provisioned.failed => "FAILED",
        None => "READY",
        Some(_) => "IN_PROGRESS",
    };
    let body = json!({
        "RequestedProvisionedConcurrentExecutions": provisioned.requested,
        "AvailableProvisionedConcurrentExecutions": ready,
        "AllocatedProvisionedConcurrentExecutions": ready,
        "Status": status,
        "LastModified": moment(provisioned.modified),
    });
    let mut body = if let Value::Object(body) = body { body } else { Map::new() };
    if provisioned.failed {
        body.insert("StatusReason".to_owned(), json!("FUNCTION_ERROR_INIT_FAILURE"));
    }
    body
}

/// `$LATEST` and all versions, oldest first, with the numbers by which pages are cut.
pub(super) fn versions(arn: &str, name: &str, function: &Function) -> Vec<(u64, Value)> {
    let latest = [(0, LATEST.to_owned(), &function.latest)];
    let published = function.versions.iter().map(|(number, version)| (*number, number.to_string(), version));
    let all = latest.into_iter().chain(published);
    all.map(|(order, number, found)| (order, Value::Object(version(&format!("{arn}:{number}"), name, &number, found))))
        .collect()
}
