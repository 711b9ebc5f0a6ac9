//! New revisions at zero traffic.

use mlroll_backend::{
    Deployed, Effect, Error, ErrorKind, Pace, Release, Result, Revision, RevisionId, Snapshot, TrafficSplit,
};
use serde_json::Value;

use super::release::{Wanted, making, min_instances};
use super::service::{said, short};
use super::wire::{Calls, Making, Operation, Revision as Found, Service};
use crate::error::printable;

const OPERATION: &str = "UpdateService";

/// Makes the revision, or finds it, and waits until it could serve.
pub(super) async fn deploy(
    calls: &Calls<'_>,
    before: &Service,
    seen: &Snapshot,
    release: &Release,
    pace: &dyn Pace,
) -> Result<Deployed> {
    let (split, stable) = in_charge(seen)?;
    let wanted = Wanted::of(release, &calls.service.service, stable)?;
    let (stable_is, there) = tokio::try_join!(calls.get_revision(stable), find(calls, &wanted.name))?;
    let mut notes = Vec::new();
    let mut operation = None;
    let made = match &there {
        Some(found) => {
            is_what_is_wanted(&wanted, found)?;
            if wanted.is_movable() {
                notes.push(format!(
                    "{} was there already: if the image's tag means another image since, name it by its digest, or give --name",
                    wanted.name
                ));
            }
            false
        }
        None => {
            let template = wanted.template(before, &stable_is)?;
            notes.extend(advice(&wanted.name, &template));
            let (making, pinned) = making(before, seen, split, template)?;
            if pinned {
                notes.push(format!(
                    "traffic followed the latest revision, and now stays on {split}: `gcloud run services update-traffic \
                     --to-latest` would end that"
                ));
            }
            match send(calls, &wanted, &making).await? {
                Sent::Accepted(accepted) => operation = accepted,
                Sent::Rehearsed => return Ok(Deployed { revision: named(&wanted.name, None), made: true, notes }),
            }
            true
        }
    };
    let found = ready(calls, &wanted.name, there, operation.as_deref(), pace).await?;
    Ok(Deployed { revision: named(&wanted.name, found.create_time.as_deref()), made, notes })
}

/// The split, and who has the settings that a new revision gets.
fn in_charge(seen: &Snapshot) -> Result<(&TrafficSplit, &RevisionId)> {
    seen.split.as_ref().zip(seen.roles.stable.as_ref()).ok_or_else(|| {
        let message = "no revision of the service serves: the first that can gets all traffic, so none can be made at 0 %; \
                       repair the service with `gcloud run deploy`";
        Error::new(ErrorKind::Invalid, OPERATION, message)
    })
}

async fn find(calls: &Calls<'_>, name: &RevisionId) -> Result<Option<Found>> {
    match calls.get_revision(name).await {
        Ok(found) => Ok(Some(found)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// What became of the request that makes the revision.
enum Sent {
    /// With the name of the operation, where an answer told it.
    Accepted(Option<String>),
    /// It was withheld; Cloud Run said that it would take it.
    Rehearsed,
}

/// Refuses somebody else's revision of the same name.
fn is_what_is_wanted(wanted: &Wanted<'_>, found: &Found) -> Result<()> {
    let Some(how) = wanted.differs_from(found) else { return Ok(()) };
    let message = format!("there is a revision {} already, and {how}: give another --name", wanted.name);
    Err(Error::new(ErrorKind::Invalid, OPERATION, message))
}

async fn send(calls: &Calls<'_>, wanted: &Wanted<'_>, making: &Making) -> Result<Sent> {
    let failed = match calls.make_revision(Effect::Write, making).await {
        Ok(accepted) => return verdict(accepted).map(|name| Sent::Accepted(Some(name))),
        Err(failed) => failed,
    };
    if failed.kind() == ErrorKind::Withheld {
        // A rehearsal. Cloud Run can tell whether it would take the request, and keeps nothing of this one.
        let validated = calls.make_revision(Effect::Read, making).await?;
        return verdict(validated).map(|_| Sent::Rehearsed);
    }
    // The answer may be lost, and a repetition of what took effect meets a stale etag, or the name that it took itself. Or
    // somebody else took the name since it was looked for.
    let unsure = matches!(failed.kind(), ErrorKind::Conflict | ErrorKind::Invalid | ErrorKind::Unavailable);
    match if unsure { find(calls, &wanted.name).await } else { Ok(None) } {
        Ok(Some(found)) => is_what_is_wanted(wanted, &found).map(|()| Sent::Accepted(None)),
        Ok(None) | Err(_) => Err(failed),
    }
}

/// The operation's name, unless it failed at once.
fn verdict(operation: Operation) -> Result<String> {
    match operation.error {
        Some(status) => Err(could_not(&status.message)),
        None => Ok(operation.name),
    }
}

fn could_not(words: &str) -> Error {
    let message = format!("Cloud Run could not make the revision: {}", printable(words, 600));
    Error::new(ErrorKind::Invalid, OPERATION, message)
}

/// Waits until the revision itself says that it is ready: the service's own condition may be about another one.
async fn ready(
    calls: &Calls<'_>,
    name: &RevisionId,
    mut found: Option<Found>,
    operation: Option<&str>,
    pace: &dyn Pace,
) -> Result<Found> {
    loop {
        let waiting = match found {
            Some(revision) if revision.is_ready() => return Ok(revision),
            Some(revision) => match revision.failure() {
                Some(words) => {
                    let message = format!(
                        "{name} was made and cannot serve: {words} (it has no traffic; a revision cannot be changed, so \
                         deploy another one, or the same again with another --name)"
                    );
                    return Err(Error::new(ErrorKind::Invalid, OPERATION, message));
                }
                None => revision.progress().unwrap_or_else(|| "its container is starting".to_owned()),
            },
            None => {
                // What fails before there is a revision only the operation tells.
                if let Some(operation) = operation {
                    verdict(calls.get_operation(operation).await?)?;
                }
                "Cloud Run has accepted it".to_owned()
            }
        };
        pace.pause(&format!("{name} becoming ready: {waiting}"), None).await?;
        found = find(calls, name).await?;
    }
}

fn named(id: &RevisionId, created: Option<&str>) -> Revision {
    let created = created.and_then(|time| time.parse().ok());
    Revision { id: id.clone(), created, description: String::new() }
}

/// What a person should know of a template.
fn advice(name: &RevisionId, template: &serde_json::Map<String, Value>) -> Vec<String> {
    let mut notes = Vec::new();
    match min_instances(template) {
        0 => {}
        count => notes.push(format!(
            "{count} of its instances are kept ready, and billed, from now on. That is a part of {name} and stays after a \
             promote; once it is stable, `mlroll deploy --from-stable --min-instances N` makes a copy with fewer"
        )),
    }
    if template.get("healthCheckDisabled") == Some(&Value::Bool(true)) {
        notes.push("its health check is disabled, so its being ready proves nothing".to_owned());
    }
    notes
}

impl Found {
    fn is_ready(&self) -> bool {
        self.conditions.iter().any(|condition| condition.kind == "Ready" && condition.has_succeeded())
    }

    /// Why it will never be ready.
    fn failure(&self) -> Option<String> {
        if self.is_going() {
            return Some(format!("{} is being deleted", short(&self.name)));
        }
        self.conditions.iter().find(|condition| condition.kind == "Ready" && condition.has_failed()).map(said)
    }

    fn progress(&self) -> Option<String> {
        let condition = self.conditions.iter().find(|condition| condition.kind == "Ready")?;
        Some(condition).filter(|condition| !condition.message.is_empty()).map(said)
    }
}
