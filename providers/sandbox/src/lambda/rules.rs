//! What makes a legal request, in Lambda's own words.

use std::collections::BTreeMap;

use super::error::Refusal;
use super::state::{Function, LATEST, Version};

/// A member that breaks its constraint; `value` is null when it is missing.
pub(super) fn violation(value: &str, member: &str, constraint: &str) -> String {
    format!("Value '{value}' at '{member}' failed to satisfy constraint: {constraint}")
}

/// A member that must be there.
pub(super) fn missing(member: &str) -> String {
    format!("Value null at '{member}' failed to satisfy constraint: Member must not be null")
}

/// The name of a function, in a path.
pub(super) fn check_function(name: &str) -> Result<(), Refusal> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if name.len() <= 140 && !name.is_empty() && name.bytes().all(allowed) {
        return Ok(());
    }
    let constraint = r"Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?";
    Err(Refusal::validation(&[violation(name, "functionName", constraint)]))
}

/// The name that an alias is to have.
pub(super) fn check_alias_name(name: &str, violations: &mut Vec<String>) {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if name.is_empty() {
        violations.push(violation(name, "name", "Member must have length greater than or equal to 1"));
    }
    if name.len() > 128 {
        violations.push(violation(name, "name", "Member must have length less than or equal to 128"));
    }
    if !name.bytes().all(allowed) || is_number(name) {
        let constraint = "Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)";
        violations.push(violation(name, "name", constraint));
    }
}

/// A description, of an alias or a version.
pub(super) fn check_description(description: Option<&str>, violations: &mut Vec<String>) {
    if let Some(description) = description
        && description.chars().count() > 256
    {
        let constraint = "Member must have length less than or equal to 256";
        violations.push(violation(description, "description", constraint));
    }
}

/// The members of an alias that Lambda's model constrains, before anything is looked up.
pub(super) fn check_alias(
    version: Option<&str>,
    description: Option<&str>,
    weights: Option<&BTreeMap<String, f64>>,
    violations: &mut Vec<String>,
) {
    if let Some(version) = version
        && version != LATEST
        && !is_number(version)
    {
        let constraint = r"Member must satisfy regular expression pattern: (\$LATEST(\.PUBLISHED)?|[0-9]+)";
        violations.push(violation(version, "functionVersion", constraint));
    }
    check_description(description, violations);
    let entries = weights.into_iter().flatten();
    if let Some(constraint) = entries.clone().find_map(|(key, weight)| wrong_weight(key, *weight)) {
        let entries: Vec<String> = entries.map(|(key, weight)| format!("{key}={weight:?}")).collect();
        let shown = format!("{{{}}}", entries.join(", "));
        violations.push(violation(&shown, "routingConfig.additionalVersionWeights", constraint));
    }
}

fn wrong_weight(key: &str, weight: f64) -> Option<&'static str> {
    if !is_number(key) || key.len() > 1024 {
        return Some(KEYS);
    }
    // What is not a number is in no range.
    if (0.0..=1.0).contains(&weight) { None } else { Some(VALUES) }
}

const KEYS: &str = "Map keys must satisfy constraint: [Member must have length less than or equal to 1024, Member must \
                    have length greater than or equal to 1, Member must satisfy regular expression pattern: [0-9]+, \
                    Member must not be null]";
const VALUES: &str = "Map value must satisfy constraint: [Member must have value less than or equal to 1.0, Member must \
                      have value greater than or equal to 0.0, Member must not be null]";

/// Checks an alias as it would be after the request.
///
/// Lambda checks the whole, not the members sent: to set only the version while weights name it is refused as well.
pub(super) fn check_routing(
    function: &Function,
    arn: &str,
    version: &str,
    weights: &BTreeMap<String, f64>,
) -> Result<(), Refusal> {
    if weights.len() > 1 {
        return Err(Refusal::invalid("Number of items in AdditionalVersionWeights cannot be greater than 1"));
    }
    let find = |version: &str| -> Result<&Version, Refusal> {
        let found = function.version(version);
        found.ok_or_else(|| Refusal::not_found(format!("Function not found: {arn}:{version}")))
    };
    let primary = find(version)?;
    for additional in weights.keys() {
        if additional == version {
            return Err(Refusal::invalid(format!(
                "Invalid function version {version}. Function version {version} is already included in routing \
                 configuration."
            )));
        }
        if version == LATEST {
            let message = "$LATEST is not supported for an alias pointing to more than 1 version";
            return Err(Refusal::invalid(message));
        }
        let additional = &find(additional)?.settings;
        if additional.role != primary.settings.role {
            let message = "Specified versions must be associated with the same execution role";
            return Err(Refusal::invalid(message));
        }
        if additional.dead_letter != primary.settings.dead_letter {
            let message = "Specified versions must be associated with the same dead letter queue configuration";
            return Err(Refusal::invalid(message));
        }
    }
    Ok(())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
