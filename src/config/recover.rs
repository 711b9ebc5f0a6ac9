//! The targets of a file that may be broken, for the one verb that must work in spite of it.

use std::collections::BTreeMap;
use std::path::Path;

use mlroll_backend::Target;
use toml::de::{DeTable, DeValue};

use super::ConfigError;
use super::file::{place, read};

/// What could be read.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// Each service's targets, or why they cannot be read.
    pub services: BTreeMap<String, Result<Vec<Target>, String>>,
    /// Faults of the file as TOML.
    pub faults: Vec<Fault>,
}

/// A fault of the file as TOML.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Where and what.
    pub error: ConfigError,
    /// Whether it stands where targets are written, so that one may be missing from what could be read.
    pub may_hide_targets: bool,
}

/// Reads only the targets of each service, passing over every other fault of the file.
///
/// # Errors
/// The file cannot be read.
pub fn recover_targets(path: &Path) -> Result<Recovered, ConfigError> {
    let text = read(path)?;
    let (document, errors) = DeTable::parse_recoverable(&text);
    let faults = errors.into_iter().map(|error| {
        let place = error.span().map(|span| place(&text, &span));
        let line = place.and_then(|(line, _)| text.lines().nth(line - 1)).unwrap_or(&text);
        let message = error.message().trim().replace('\n', "; ");
        Fault { error: ConfigError { path: path.to_owned(), place, message }, may_hide_targets: names_targets(line) }
    });
    let faults = faults.collect();
    let services = match document.get_ref().get("services").map(|services| services.get_ref()) {
        Some(DeValue::Table(services)) => {
            services.iter().map(|(name, service)| (name.get_ref().to_string(), targets_of(service.get_ref()))).collect()
        }
        Some(_) | None => BTreeMap::new(),
    };
    Ok(Recovered { services, faults })
}

/// Whether a line is one on which a target, or the service it belongs to, may be written.
fn names_targets(line: &str) -> bool {
    let signs = [
        "target",
        "services",
        "waves",
        "lambda:",
        "sagemaker:",
        "cloud-run:",
        "azure-ml:",
        "arn:",
        "projects/",
        "/subscriptions",
    ];
    signs.iter().any(|sign| line.contains(sign))
}

fn targets_of(service: &DeValue<'_>) -> Result<Vec<Target>, String> {
    let DeValue::Table(service) = service else {
        return Err("it is not a table".to_owned());
    };
    let mut targets = Vec::new();
    collect(service, &mut targets)?;
    match service.get("waves").map(|waves| waves.get_ref()) {
        Some(DeValue::Array(waves)) => {
            for wave in waves {
                collect(wave.get_ref().as_table().ok_or("a wave is not a table")?, &mut targets)?;
            }
        }
        Some(_) => return Err("`waves` is not a list of tables".to_owned()),
        None => {}
    }
    if targets.is_empty() { Err("it has no target".to_owned()) } else { Ok(targets) }
}

fn collect(table: &DeTable<'_>, into: &mut Vec<Target>) -> Result<(), String> {
    let mut take = |value: &DeValue<'_>| {
        let text = value.as_str().ok_or("a target is not a text")?;
        into.push(text.parse().map_err(|e: mlroll_backend::InvalidTarget| e.to_string())?);
        Ok(())
    };
    if let Some(target) = table.get("target") {
        take(target.get_ref())?;
    }
    match table.get("targets").map(|targets| targets.get_ref()) {
        Some(DeValue::Array(targets)) => targets.iter().try_for_each(|target| take(target.get_ref())),
        Some(_) => Err("`targets` is not a list".to_owned()),
        None => Ok(()),
    }
}
