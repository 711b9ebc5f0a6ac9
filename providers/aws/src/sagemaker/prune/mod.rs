//! Endpoint configs and models that deployments left behind.
//!
//! What is made here has the tag `mlroll-endpoint`, with the endpoint it was made for, and an endpoint config also
//! `mlroll-before`, with the config that the endpoint had. Who has neither is somebody else's, or older than the tags.
//!
//! SageMaker lets an endpoint config be deleted that an endpoint has, and the endpoint cannot be changed from then on. So all
//! endpoints of the account and region are asked which config they have and get, all reads come before the first delete, and the
//! endpoints next to last: between them and the deletes is only who refers to models.

mod models;
mod rules;
mod wire;

use mlroll_backend::{Error, ErrorKind, Leftover, Pruned, Result, Timestamp};

use self::rules::{Config, Standing, needed, unclear};
use self::wire::Listed;
use super::backend::describe;
use super::deploy::front;
use super::wire::Calls;

/// The tag that names the endpoint it was made for.
pub(super) const ENDPOINT: &str = "mlroll-endpoint";

/// The tag of an endpoint config that names the one before it.
pub(super) const BEFORE: &str = "mlroll-before";

const CONFIG: &str = "endpoint config";
const MODEL: &str = "model";

/// What a deployment has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Landed {
    /// The endpoint config that the endpoint has.
    pub(super) config: String,
    /// The one that it had, where it was changed.
    pub(super) before: Option<String>,
    /// The model in the new slot, in a rehearsal: nobody has made its config.
    pub(super) imagined: Option<String>,
}

/// See [`Backend::prune`](mlroll_backend::Backend::prune).
pub(super) async fn prune(calls: &Calls<'_>, landed: Option<&Landed>, now: Timestamp) -> Result<Pruned> {
    let seen = describe(calls).await?;
    if seen.status != "InService" {
        return Err(conflict(format!("the endpoint is {}", seen.status)));
    }
    let imagined = landed.filter(|landed| landed.imagined.is_some());
    if landed.is_some_and(|landed| imagined.is_none() && landed.config != seen.config) {
        return Err(conflict(format!("somebody else has given the endpoint the config {}", seen.config)));
    }
    let mut configs = configs(calls).await?;
    if let Some(landed) = imagined.filter(|landed| configs.iter().all(|config| config.name != landed.config)) {
        configs.push(Config { name: landed.config.clone(), created: now, own: true, before: landed.before.clone() });
    }
    let current = imagined.map_or(&seen.config, |landed| &landed.config);
    let tagged = configs.iter().find(|config| config.name == *current && config.own);
    let before = landed.and_then(|landed| landed.before.as_ref()).or_else(|| tagged?.before.as_ref());
    let mut pruned = Pruned::default();
    let Some(before) = before else {
        let why = format!("nobody knows which one was before {current}, which the endpoint has");
        pruned.kept = configs.iter().map(|config| leftover(CONFIG, &config.name, why.clone())).collect();
        return Ok(pruned);
    };
    let note = calls.note(&seen.arn).await?;
    let noted = note.as_ref().and_then(|note| note.config.as_deref()?.split(' ').next());
    let standing = Standing { endpoint: &calls.endpoint.endpoint, current, before, noted, now };
    let idle = |config: &&Config| needed(config, &configs, &standing, &[]).is_none();
    let models = models::candidates(calls, now, &mut pruned).await?;
    if models.is_empty() && !configs.iter().any(|config| idle(&config)) {
        // Nobody else need be asked.
        pruned.kept.extend(configs.iter().map(|config| {
            let why = needed(config, &configs, &standing, &[]).unwrap_or_default();
            leftover(CONFIG, &config.name, why)
        }));
        return Ok(pruned);
    }
    let mut users = Vec::new();
    for endpoint in calls.endpoints().await? {
        users.push(calls.user(&endpoint).await?);
    }
    let barred = users.iter().find_map(unclear);
    let mut doomed = Vec::new();
    for config in &configs {
        match needed(config, &configs, &standing, &users).or_else(|| barred.clone()) {
            Some(why) => pruned.kept.push(leftover(CONFIG, &config.name, why)),
            None => doomed.push(config.name.as_str()),
        }
    }
    let models = match barred {
        Some(why) => {
            pruned.kept.extend(models.iter().map(|model| leftover(MODEL, &model.name, why.clone())));
            Vec::new()
        }
        None => models::unreferred(calls, models, &doomed, &configs, imagined, &mut pruned).await?,
    };
    delete(calls, &doomed, &models, &mut pruned).await;
    Ok(pruned)
}

fn conflict(what: String) -> Error {
    Error::new(ErrorKind::Conflict, "DescribeEndpoint", what)
}

fn leftover(kind: &'static str, name: &str, why: impl Into<String>) -> Leftover {
    Leftover { kind, name: name.to_owned(), why: why.into(), remedy: None }
}

/// All endpoint configs whose names are made as ours are, with what their tags say.
async fn configs(calls: &Calls<'_>) -> Result<Vec<Config>> {
    let mut configs = Vec::new();
    for Listed { name, arn, created } in calls.configs(Some(&front(calls))).await? {
        if is_ours_by_name(&name, &front(calls)) {
            let label = calls.label(&arn).await?;
            let own = label.endpoint.as_deref() == Some(&calls.endpoint.endpoint);
            configs.push(Config { name, created, own, before: label.before.filter(|_| own) });
        }
    }
    Ok(configs)
}

/// Whether it is one that `named` could have made. A long endpoint name is cut off there, so others may share it.
fn is_ours_by_name(name: &str, front: &str) -> bool {
    let hash = name.strip_prefix(front).unwrap_or_default();
    hash.len() == 12 && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Endpoint configs first: as long as one is there the models that it names are, too. What SageMaker refuses of one thing it may
/// not of the next; what is not allowed, or not answered, is not tried again.
async fn delete(calls: &Calls<'_>, configs: &[&str], models: &[Listed], pruned: &mut Pruned) {
    let models = models.iter().map(|model| (MODEL, model.name.as_str()));
    let (mut first, mut over) = (None, false);
    for (kind, name) in configs.iter().map(|name| (CONFIG, *name)).chain(models) {
        if let Some(first) = first.filter(|_| over || kind == MODEL) {
            pruned.kept.push(leftover(kind, name, format!("it was not tried, because {first} could not be deleted")));
            continue;
        }
        let sent = if kind == CONFIG { calls.delete_config(name).await } else { calls.delete_model(name).await };
        match sent {
            Err(e) if !matches!(e.kind(), ErrorKind::NotFound | ErrorKind::Withheld) => {
                over |= matches!(e.kind(), ErrorKind::Auth | ErrorKind::Throttled | ErrorKind::Unavailable);
                first = first.or(Some(name).filter(|_| over || kind == CONFIG));
                let (verb, flag) = match kind {
                    CONFIG => ("delete-endpoint-config", "endpoint-config-name"),
                    _ => ("delete-model", "model-name"),
                };
                let remedy = format!("aws sagemaker {verb} --region {} --{flag} {name}", calls.endpoint.region);
                pruned.failed.push(Leftover { remedy: Some(remedy), ..leftover(kind, name, e.to_string()) });
            }
            // Gone since it was listed, or a rehearsal.
            Ok(()) | Err(_) => pruned.deleted.push(leftover(kind, name, "nothing refers to it")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_ours_to_the_last_letter() {
        for (name, ours) in [
            ("fraud-mlroll-0123456789ab", true),
            ("fraud-mlroll-0123456789aB", false),
            ("fraud-mlroll-0123456789abc", false),
            ("fraud-mlroll-keep", false),
            ("fraud-mlroll-", false),
            ("fraud-2-mlroll-0123456789ab", false),
            ("my-fraud-mlroll-0123456789ab", false),
        ] {
            assert_eq!(is_ours_by_name(name, "fraud-mlroll-"), ours, "{name}");
        }
    }
}
