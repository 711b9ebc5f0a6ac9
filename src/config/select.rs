//! Which targets a command line is about.

use std::path::{Path, PathBuf};

use mlroll_backend::Target;

use super::{Config, DEFAULT_FILE, Service, load, load_if_present, recover_targets};
use crate::failure::Failure;

/// A target, and the service that lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// The service's name; `None` for a target given by `--target` alone.
    pub service: Option<String>,
    /// Another service that lists it and is meant too: whose gates judge it is not said.
    pub also: Option<String>,
    /// The target.
    pub target: Target,
}

/// The targets of a verb that needs the whole file to be right.
///
/// A service is named, or is the only one; `everything` takes all of them when none is named. With `--target` alone
/// the default file is read if it is there, for the service that lists the target.
///
/// # Errors
/// The file is missing or wrong, or a service is unknown or not named.
pub fn select(
    config: Option<&Path>,
    targets: &[Target],
    services: &[String],
    everything: bool,
) -> Result<(Vec<Selected>, Option<Config>), Failure> {
    let path = config.map_or_else(|| PathBuf::from(DEFAULT_FILE), Path::to_owned);
    let file = if services.is_empty() && !targets.is_empty() && config.is_none() {
        load_if_present(&path)?
    } else {
        Some(load(&path).map_err(|e| missing_file(&path, config.is_some()).unwrap_or_else(|| e.into()))?)
    };
    let mut selected = Vec::new();
    if let Some(file) = &file {
        let names = named(
            services,
            !targets.is_empty(),
            everything,
            &path,
            &file.services.keys().cloned().collect::<Vec<_>>(),
        )?;
        for name in names {
            if let Some(service) = file.services.get(&name) {
                let targets = service.get_ref().all_targets().cloned();
                selected.extend(targets.map(|target| Selected { service: Some(name.clone()), also: None, target }));
            }
        }
    }
    for target in targets {
        let lists = |service: &Service| service.all_targets().any(|t| t.may_be(target));
        let listing =
            || file.iter().flat_map(|f| &f.services).filter(|(_, s)| lists(s.get_ref())).map(|(name, _)| name.clone());
        // Who is named besides is meant before others.
        let (service, also) = match two(listing().filter(|name| services.contains(name))) {
            (None, _) => two(listing()),
            named => named,
        };
        selected.push(Selected { service, also, target: target.clone() });
    }
    Ok((unique(selected), file))
}

/// The targets of a rollback.
#[derive(Clone, Debug, Default)]
pub struct ForRollback {
    /// Those that could be read.
    pub selected: Vec<Selected>,
    /// Services that are meant, and whose targets could not.
    pub unreadable: Vec<Unreadable>,
    /// Faults of the file that hide no target.
    pub warnings: Vec<String>,
}

/// A service that is meant, but whose targets cannot be read.
#[derive(Clone, Debug)]
pub struct Unreadable {
    /// Its name; `None` when a fault of the file may hide any of them.
    pub service: Option<String>,
    /// Why.
    pub failure: Failure,
}

/// The targets of a rollback: with `--target` no file is opened; with a service only its targets are read. What can be
/// read is rolled back, whatever else is wrong with the file.
///
/// # Errors
/// There is no file, or a service is unknown or not named.
pub fn select_for_rollback(
    config: Option<&Path>,
    targets: &[Target],
    services: &[String],
    everything: bool,
) -> Result<ForRollback, Failure> {
    let mut meant = ForRollback::default();
    if !services.is_empty() || targets.is_empty() {
        let path = config.map_or_else(|| PathBuf::from(DEFAULT_FILE), Path::to_owned);
        let found =
            recover_targets(&path).map_err(|e| missing_file(&path, config.is_some()).unwrap_or_else(|| e.into()))?;
        for fault in found.faults {
            if !fault.may_hide_targets {
                meant.warnings.push(fault.error.to_string());
            } else if meant.unreadable.is_empty() {
                // One is enough: what follows a fault is often its consequence.
                let failure =
                    Failure::usage(format!("{}; a target may be missing from what could be read", fault.error));
                meant
                    .unreadable
                    .push(Unreadable { service: None, failure: failure.hint("mend the file and run again") });
            }
        }
        let known: Vec<String> = found.services.keys().cloned().collect();
        for name in named(services, !targets.is_empty(), everything, &path, &known)? {
            match found.services.get(&name) {
                Some(Ok(targets)) => {
                    let selected =
                        targets.iter().map(|t| Selected { service: Some(name.clone()), also: None, target: t.clone() });
                    meant.selected.extend(selected);
                }
                Some(Err(why)) => {
                    let failure = unreadable(&path, &name, why);
                    meant.unreadable.push(Unreadable { service: Some(name), failure });
                }
                None => {}
            }
        }
    }
    meant.selected.extend(targets.iter().map(|target| Selected { service: None, also: None, target: target.clone() }));
    meant.selected = unique(meant.selected);
    match (meant.selected.is_empty(), meant.unreadable.first()) {
        (true, Some(unreadable)) => Err(unreadable.failure.clone()),
        _ => Ok(meant),
    }
}

/// The services that are meant.
fn named(
    services: &[String],
    has_targets: bool,
    everything: bool,
    path: &Path,
    known: &[String],
) -> Result<Vec<String>, Failure> {
    let list = || known.join(", ");
    if services.is_empty() {
        return match known {
            _ if has_targets => Ok(Vec::new()),
            [] => Err(Failure::usage(format!("{} has no services", path.display()))
                .hint("add one: [services.NAME] target = \"lambda:REGION/FUNCTION@ALIAS\"")),
            _ if everything => Ok(known.to_vec()),
            [only] => Ok(vec![only.clone()]),
            [first, ..] => Err(Failure::usage(format!("which service? {} has {}", path.display(), list()))
                .hint(format!("name one or more, such as `{first}`"))),
        };
    }
    for service in services {
        if !known.contains(service) {
            let mut failure = Failure::usage(format!(
                "unknown service `{}`; {} has {}",
                service.escape_debug(),
                path.display(),
                list()
            ));
            if service.contains(':') {
                failure = failure.hint(format!("a target is given by `--target {service}`"));
            }
            return Err(failure);
        }
    }
    Ok(services.to_vec())
}

fn missing_file(path: &Path, named: bool) -> Option<Failure> {
    if path.exists() {
        return None;
    }
    let failure = Failure::usage(format!("there is no {}", path.display()));
    Some(if named {
        failure
    } else {
        failure
            .hint("name what to act on: `--target lambda:REGION/FUNCTION@ALIAS`")
            .hint("or the file: `--config PATH`")
    })
}

fn unreadable(path: &Path, name: &str, why: &str) -> Failure {
    Failure::usage(format!("{}: the targets of service `{name}` cannot be read: {why}", path.display()))
        .hint("act without the file: `--target lambda:REGION/FUNCTION@ALIAS`")
}

fn two(mut names: impl Iterator<Item = String>) -> (Option<String>, Option<String>) {
    (names.next(), names.next())
}

/// Each target once, in the order they were first named. Of two ways to write one, that with the account is kept.
fn unique(selected: Vec<Selected>) -> Vec<Selected> {
    let mut kept: Vec<Selected> = Vec::new();
    for new in selected {
        match kept.iter_mut().find(|old| old.target.may_be(&new.target)) {
            Some(old) => {
                old.target = old.target.clone().max(new.target);
                let others = [new.service, new.also].into_iter().flatten();
                old.also =
                    old.also.take().or_else(|| others.into_iter().find(|name| old.service.as_ref() != Some(name)));
            }
            None => kept.push(new),
        }
    }
    kept
}
