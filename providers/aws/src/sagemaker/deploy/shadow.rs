//! Copies of live requests for a candidate (AWS: shadow variants).
//!
//! An endpoint with a shadow variant has exactly one production variant beside it (SageMaker API model). So the idle slot moves from
//! one place to the other: a new endpoint config with the same models, and `UpdateEndpoint`, which makes a new fleet and takes
//! minutes. Instance counts are kept; weights are the config's, because a slot that kept the weight of its shadow would have
//! users when it moves back.
//!
//! What is made follows by name from what it is made of, as in a deployment. Nothing is deleted; what is made is known to `prune/`.

use mlroll_backend::{Error, ErrorKind, Readiness, Result, RevisionId, Roles, Shadow, Snapshot, TrafficSplit, Weight};

use super::super::backend::describe;
use super::super::capacity::Scaling;
use super::super::read::{Known, shadow_of, split};
use super::super::wire::{Calls, Endpoint};
use super::wire::{Config, Copied, Place, Stored};
use super::{UPDATE, named};

/// What becomes of the tags of an endpoint config that is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sagemaker) enum Tags {
    Copied,
    /// Not even asked for: somebody is in a hurry.
    Left,
}

/// See [`Backend::mirror`](mlroll_backend::Backend::mirror).
pub(in crate::sagemaker) async fn mirror(
    scaling: &Scaling<'_>,
    revision: &RevisionId,
    share: Weight,
    seen: &Snapshot,
    tags: Tags,
) -> Result<Snapshot> {
    let calls = scaling.calls;
    let refuse = |kind, message: String| Err(Error::new(kind, UPDATE, message));
    let now = describe(calls).await?;
    if now.status != "InService" {
        return refuse(
            ErrorKind::Conflict,
            format!("the endpoint is {}, and takes no change until it is InService", now.status),
        );
    }
    if Known::of(&now).guard() != seen.guard || split(UPDATE, &now)? != seen.split {
        return refuse(ErrorKind::Conflict, "the endpoint has changed since it was looked at".to_owned());
    }
    let wanted = (share > Weight::ZERO).then(|| Shadow { revision: revision.clone(), share });
    if shadow_of(&now) == wanted {
        return Ok(Snapshot { readiness: Readiness::Live, ..seen.clone() });
    }
    let Some(stable) = seen.split.as_ref().and_then(TrafficSplit::sole) else {
        return refuse(ErrorKind::Conflict, format!("no variant has all of the traffic: {seen}"));
    };
    let live = calls.config(&now.config).await?;
    let places = match &wanted {
        Some(shadow) => begun(&now, &live, stable, shadow, seen)?,
        None => ended(&now, stable),
    };
    // Who is left out of the next config is gone.
    if let Some(place) = places.iter().find(|place| !live.has(place.name)) {
        let message = format!("the endpoint has a variant {} that its config {} does not name", place.name, now.config);
        return refuse(ErrorKind::Unexpected, message);
    }
    if wanted.is_some() && now.variants.iter().any(|variant| variant.name == revision.as_str()) {
        super::refuse_held(scaling, revision.as_str(), "and would be moved out of production").await?;
    }
    let config = name(calls, &now, &places);
    let copied = match tags {
        Tags::Copied => calls.copied(live.arn()).await?,
        Tags::Left => Copied::default(),
    };
    let stored = calls.rearrange(&config, &live, &places, &now.config, &copied).await?;
    let after = |shadow: Option<Shadow>| Snapshot {
        roles: Roles { shadow, ..seen.roles.clone() },
        readiness: Readiness::Settling("the new endpoint config is accepted".to_owned()),
        ..seen.clone()
    };
    match update(calls, &config).await {
        // A rehearsal made no config to be found.
        Err(e) if e.kind() == ErrorKind::Withheld || stored == Stored::Withheld => Ok(after(wanted)),
        Err(e) => Err(e),
        Ok(()) => Ok(after(wanted)),
    }
}

/// Where the variants stand while there are copies.
fn begun<'a>(
    now: &'a Endpoint,
    live: &Config,
    stable: &'a RevisionId,
    shadow: &'a Shadow,
    seen: &Snapshot,
) -> Result<Vec<Place<'a>>> {
    let refuse = |kind, message: String| Err(Error::new(kind, UPDATE, message));
    let Shadow { revision, share } = shadow;
    if let Some(why) = super::unfit(now, live) {
        return refuse(ErrorKind::Unsupported, why);
    }
    if revision == stable {
        let message = format!("{revision} has live traffic: a variant is in production or a shadow, not both");
        return refuse(ErrorKind::Invalid, message);
    }
    let all = || now.variants.iter().chain(&now.shadows).map(|variant| variant.name.as_str());
    let others: Vec<&str> = all().filter(|name| *name != stable.as_str() && *name != revision.as_str()).collect();
    if !others.is_empty() {
        let message = format!(
            "a shadow variant stands beside exactly one production variant; {} would have to go first, by a new endpoint config",
            others.join(", ")
        );
        return refuse(ErrorKind::Unsupported, message);
    }
    if !all().any(|name| name == revision.as_str()) {
        return refuse(ErrorKind::NotFound, format!("the endpoint has no variant {revision}"));
    }
    if seen.roles.previous.as_ref() == Some(revision) {
        let message = format!(
            "variant {revision} is `previous`, the way back of the last promote: as a shadow it could not be gone back to at once; \
             `mlroll deploy` a new model into it first, with --discard-previous"
        );
        return refuse(ErrorKind::Invalid, message);
    }
    let bp = share.basis_points();
    let (whole, part) = if bp.is_multiple_of(100) { (100, bp / 100) } else { (10_000, bp) };
    Ok(vec![place(now, stable.as_str(), whole, false), place(now, revision.as_str(), part, true)])
}

/// Where they stand when there are none: the slot in production again, without a weight.
fn ended<'a>(now: &'a Endpoint, stable: &RevisionId) -> Vec<Place<'a>> {
    let weight = |name: &str| if name == stable.as_str() { 100 } else { 0 };
    let all = now.variants.iter().chain(&now.shadows);
    all.map(|variant| place(now, &variant.name, weight(&variant.name), false)).collect()
}

/// With as many instances as it has.
fn place<'a>(now: &Endpoint, name: &'a str, weight: u16, is_shadow: bool) -> Place<'a> {
    let variant = now.variants.iter().chain(&now.shadows).find(|variant| variant.name == name);
    let instances =
        variant.and_then(|variant| variant.wanted_instances.or(variant.instances)).filter(|count| *count > 0);
    Place { name, weight, instances, is_shadow }
}

fn name(calls: &Calls<'_>, now: &Endpoint, places: &[Place<'_>]) -> String {
    let said = |place: &Place<'_>| {
        format!("{} {} {} {}", place.name, place.weight, place.instances.unwrap_or_default(), place.is_shadow)
    };
    let said: Vec<String> = places.iter().map(said).collect();
    let parts: Vec<&str> = ["shadow", now.config.as_str()].into_iter().chain(said.iter().map(String::as_str)).collect();
    named(calls, &parts)
}

/// Has the endpoint updated. After a lost answer the endpoint knows better than the error.
async fn update(calls: &Calls<'_>, config: &str) -> Result<()> {
    let Err(error) = calls.update(config, false, true).await else { return Ok(()) };
    if error.kind() == ErrorKind::NotFound && error.message().contains("endpoint configuration") {
        // Reads are eventually consistent (SageMaker API reference): whoever asked looks, and asks again.
        return Err(Error::new(ErrorKind::Unavailable, UPDATE, "the new endpoint config cannot be found yet"));
    }
    let doubtful = error.kind() == ErrorKind::Conflict || !error.was_answered();
    if doubtful && error.kind() != ErrorKind::Withheld {
        let now = calls.describe().await?;
        if now.config == config || now.pending.as_deref() == Some(config) {
            return Ok(());
        }
    }
    Err(error)
}
