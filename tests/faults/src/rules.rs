//! The rules of a legal alias, in Lambda's own words.

use std::collections::BTreeMap;

use crate::error::ApiError;
use crate::world::{Function, LATEST, Version};

/// Checks the members that Lambda's model constrains, before anything is looked up.
pub(crate) fn check_members(
    version: Option<&str>,
    description: Option<&str>,
    weights: Option<&BTreeMap<String, f64>>,
) -> Result<(), ApiError> {
    if let Some(version) = version
        && version != LATEST
        && !is_number(version)
    {
        let constraint = r"Member must satisfy regular expression pattern: (\$LATEST(\.PUBLISHED)?|[0-9]+)";
        return Err(ApiError::validation(version, "functionVersion", constraint));
    }
    if let Some(description) = description
        && description.chars().count() > MAX_DESCRIPTION
    {
        let constraint = "Member must have length less than or equal to 256";
        return Err(ApiError::validation(description, "description", constraint));
    }
    let weights = weights.into_iter().flatten();
    for (key, weight) in weights.clone() {
        let constraint = match weight {
            _ if !is_number(key) => KEYS,
            0.0..=1.0 => continue,
            _ => VALUES,
        };
        return Err(ApiError::validation(&render(weights), "routingConfig.additionalVersionWeights", constraint));
    }
    Ok(())
}

/// Checks the alias as it would be after the update.
///
/// Lambda checks the whole, not the members sent: to set only the version while weights name it is refused as well.
pub(crate) fn check_routing(
    function: &Function,
    arn: &str,
    version: &str,
    weights: &BTreeMap<String, f64>,
) -> Result<(), ApiError> {
    if weights.len() > 1 {
        return Err(ApiError::invalid("Number of items in AdditionalVersionWeights cannot be greater than 1"));
    }
    let primary = find(function, arn, version)?;
    for additional in weights.keys() {
        if additional == version {
            return Err(ApiError::invalid(format!(
                "Invalid function version {version}. Function version {version} is already included in routing \
                 configuration."
            )));
        }
        if version == LATEST {
            let message = "$LATEST is not supported for an alias pointing to more than 1 version";
            return Err(ApiError::invalid(message));
        }
        let additional = find(function, arn, additional)?;
        if additional.role != primary.role {
            let message = "Specified versions must be associated with the same execution role";
            return Err(ApiError::invalid(message));
        }
        if additional.dead_letter != primary.dead_letter {
            let message = "Specified versions must be associated with the same dead letter queue configuration";
            return Err(ApiError::invalid(message));
        }
    }
    Ok(())
}

const KEYS: &str = "Map keys must satisfy constraint: [Member must have length less than or equal to 1024, Member must \
                    have length greater than or equal to 1, Member must satisfy regular expression pattern: [0-9]+, \
                    Member must not be null]";
const MAX_DESCRIPTION: usize = 256;
const VALUES: &str = "Map value must satisfy constraint: [Member must have value less than or equal to 1.0, Member must \
                      have value greater than or equal to 0.0, Member must not be null]";

fn find<'a>(function: &'a Function, arn: &str, version: &str) -> Result<&'a Version, ApiError> {
    function.version(version).ok_or_else(|| ApiError::not_found(format!("Function not found: {arn}:{version}")))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Writes the weights as the service's Java prints a map.
fn render<'a>(weights: impl Iterator<Item = (&'a String, &'a f64)>) -> String {
    let entries: Vec<String> = weights.map(|(key, weight)| format!("{key}={weight:?}")).collect();
    format!("{{{}}}", entries.join(", "))
}
