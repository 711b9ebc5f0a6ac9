//! A new model on an endpoint, by two slots (AWS: "retain variant properties").
//!
//! The endpoint has two variants of fixed names. The one without traffic gets the new model: a copy of the live endpoint config
//! with that slot filled, and `UpdateEndpoint`, which keeps weights and counts. SageMaker makes a new fleet for all variants
//! meanwhile, twice the instances for some minutes, and takes no other change.
//!
//! What is made follows by name from what it is made of: the model from the artifact and stable's model, the config from the live
//! config and the model. So the same call made again goes on where it was. Nothing is deleted here; see `prune/`.

mod members;
mod names;
mod notes;
mod shadow;
mod slot;
mod stage;
mod update;
mod wire;

use mlroll_backend::{
    Artifact, Deployed, Error, ErrorKind, Marker, MarkerState, Nature, Pace, Release, Result, Revision, RevisionId,
    Snapshot,
};

pub(super) use self::names::front;
use self::names::named;
use self::notes::notes;
pub(super) use self::shadow::{Tags, mirror};
use self::slot::idle;
pub(super) use self::stage::tell_stage;
use self::update::{arrived, at_rest, left_behind, update};
pub(super) use self::wire::Config;
use self::wire::{Filling, Package, Slot, Source, Stored};
use super::capacity::Scaling;
use super::kinds;
use super::prune::Landed;
use super::read::{Known, note_before, note_of, split};
use super::wire::{Calls, Endpoint};

const UPDATE: &str = "UpdateEndpoint";

/// How often something that was just made may not be found yet: reads are eventually consistent (SageMaker API reference).
const LAG: usize = 5;

/// A deployment that was thought through.
#[derive(Debug)]
struct Wanted {
    filling: Filling,
    /// What the model is made from, where it is not there.
    source: Option<Source>,
    /// The endpoint config.
    config: String,
    /// The slot is new.
    adds: bool,
    /// Counts are taken from the config.
    counts: bool,
}

pub(super) async fn deploy(
    scaling: &Scaling<'_>,
    seen: &Snapshot,
    release: &Release,
    pace: &dyn Pace,
) -> Result<(Deployed, Landed)> {
    let calls = scaling.calls;
    refuse_foreign_settings(release)?;
    let Some(stable) = seen.split.as_ref().and_then(|split| split.sole()) else {
        let message = "nobody has all of the traffic, so there is no slot without any";
        return Err(Error::new(ErrorKind::Conflict, UPDATE, message));
    };
    let now = at_rest(calls, super::backend::describe(calls).await?, pace).await?;
    if split(UPDATE, &now)? != seen.split {
        let message = "somebody else changed the endpoint since it was read";
        return Err(Error::new(ErrorKind::Conflict, UPDATE, message));
    }
    let live = calls.config(&now.config).await?;
    refuse_kinds(&now, &live)?;
    let wanted = think(calls, &now, &live, stable, seen.marker.as_ref(), release).await?;
    let there = holds(&live, &now, &wanted);
    let mut made = !there;
    let mut how = Made::default();
    match now.pending.as_deref() {
        Some(pending) if pending == wanted.config => {
            arrived(calls, &wanted, &now, pace).await.map_err(|e| left_behind(e, &wanted, how))?;
        }
        Some(pending) => {
            let message = format!("another endpoint config is being deployed: {pending}");
            return Err(Error::new(ErrorKind::Conflict, UPDATE, message));
        }
        None if there => made = false,
        None => {
            if let Some(slot) = retyped(&live, &wanted.filling) {
                let what = format!("and the slot would get another instance type than {}", slot.instance_type);
                refuse_held(scaling, &wanted.filling.slot, &what).await?;
            }
            how = make(calls, &now, &live, &wanted, seen, pace).await?;
        }
    }
    forget_bad(calls, seen, &wanted, made, live.created()).await?;
    let id = wanted.filling.slot.parse::<RevisionId>();
    let id = id.map_err(|e| Error::new(ErrorKind::Invalid, UPDATE, e.to_string()))?;
    let description = format!("model {}", wanted.filling.model);
    let mut notes = notes(&now, &wanted, made);
    if let (false, Artifact::ModelData { data, image }) = (made, &release.artifact) {
        notes.push(format!(
            "variant {id} was made from {data} and {image} before: that is their location, and what is behind it was not compared; \
             if either was overwritten since, `--again` deploys it anew"
        ));
    }
    if how.untagged {
        notes.push(format!(
            "what was made for it has no tags, not even {}, because sagemaker:AddTags is not allowed for it: `--prune` will never delete it",
            super::prune::ENDPOINT
        ));
    }
    if how.unread {
        notes.push(
            "what was made for it has none of the tags of what it is a copy of, because sagemaker:ListTags is not allowed for that"
                .to_owned(),
        );
    }
    let lost = live.lost();
    if !lost.is_empty() && made {
        notes.push(format!(
            "the endpoint config {} has settings that this mlroll does not know, and the new one is without them: {}",
            now.config,
            lost.join(", ")
        ));
    }
    let landed = match there {
        true => Landed { config: now.config, ..Landed::default() },
        false => Landed {
            config: wanted.config,
            before: Some(now.config),
            imagined: Some(wanted.filling.model).filter(|_| how.rehearsed),
        },
    };
    Ok((Deployed { revision: Revision { id, created: None, description }, made, notes }, landed))
}

fn refuse_foreign_settings(release: &Release) -> Result<()> {
    let unsupported = |message: &str| Err(Error::new(ErrorKind::Unsupported, UPDATE, message));
    if release.settings.environment.is_some() {
        return unsupported("an environment is no setting of a variant: it belongs to the model");
    }
    if release.settings.min_instances.is_some() {
        return unsupported("a variant's least number of instances is autoscaling's: name how many with --instances");
    }
    match release.artifact {
        Artifact::Image(_) => unsupported("an image alone is no model: name its data too, with --model-data"),
        Artifact::S3 { .. } | Artifact::Zip(_) => unsupported("an archive of code is no model"),
        Artifact::Model(_) | Artifact::ModelData { .. } | Artifact::ModelPackage(_) | Artifact::Stable => Ok(()),
    }
}

/// Endpoints that have no second slot.
fn refuse_kinds(now: &Endpoint, live: &Config) -> Result<()> {
    let shadows = live.has_shadows() || !now.shadows.is_empty();
    let beside = "the endpoint has a shadow variant, and one production variant beside it: end that first, by `mlroll shadow --off`";
    match unfit(now, live).or_else(|| shadows.then(|| beside.to_owned())) {
        Some(refused) => Err(Error::new(ErrorKind::Unsupported, UPDATE, refused)),
        None => Ok(()),
    }
}

/// Why an endpoint has no place for another model, and what to do instead.
fn unfit(now: &Endpoint, live: &Config) -> Option<String> {
    let slots = live.slots();
    let mut now = now.clone();
    now.is_async |= live.is_async();
    for variant in &mut now.variants {
        variant.is_serverless |= slots.iter().any(|slot| slot.name == variant.name && slot.is_serverless);
    }
    let holds_components = slots.iter().any(|slot| slot.model.is_none());
    let Nature { what, remedies, .. } = kinds::unfit(&now, holds_components)?;
    Some(std::iter::once(what).chain(remedies).collect::<Vec<_>>().join("; "))
}

async fn think(
    calls: &Calls<'_>,
    now: &Endpoint,
    live: &Config,
    stable: &RevisionId,
    marker: Option<&Marker>,
    release: &Release,
) -> Result<Wanted> {
    let slots = live.slots();
    let own = slots.iter().find(|slot| slot.name == stable.as_str());
    let stable_model = own.and_then(|slot| slot.model.clone()).ok_or_else(|| {
        Error::new(ErrorKind::Unexpected, "DescribeEndpointConfig", format!("the config has no variant {stable}"))
    })?;
    let (slot, adds) = idle(&slots, stable, marker.and_then(|marker| marker.previous.as_ref()), release)?;
    let (model, source) = match &release.artifact {
        Artifact::Model(name) => {
            calls.model(name).await?;
            (name.clone(), None)
        }
        Artifact::ModelPackage(arn) => {
            refuse_unapproved(arn, &calls.package(arn).await?)?;
            (named(calls, &["package", arn, &stable_model]), Some(Source::Package(arn.clone())))
        }
        Artifact::ModelData { data, image } => {
            let source = Source::Data { data: data.clone(), image: image.clone() };
            let held = slots.iter().find(|held| held.name == slot).and_then(|held| held.model.as_deref());
            // Another than the slot holds, and the same as long as it holds that: typed again after a kill it goes on.
            let again = held.filter(|_| release.anew).map(|held| ["again", held]);
            let parts = ["data", data, image, &stable_model];
            let parts: Vec<&str> = parts.into_iter().chain(again.into_iter().flatten()).collect();
            (named(calls, &parts), Some(source))
        }
        Artifact::Image(_) | Artifact::S3 { .. } | Artifact::Stable | Artifact::Zip(_) => (stable_model.clone(), None),
    };
    // A rehearsal and a resumed call find the model by its name; the rest of it is never compared.
    let source = source.map(|source| (source, stable_model));
    let before = now.variants.iter().find(|variant| variant.name == slot);
    let asked = release.settings.instances.map(|count| i32::try_from(count).unwrap_or(i32::MAX));
    let has = before.and_then(|variant| variant.wanted_instances).filter(|count| *count > 0);
    let instances = asked.or(has).unwrap_or(1);
    let kind = release.settings.instance_type.clone();
    let count = |name: &str| {
        let variant = now.variants.iter().find(|variant| variant.name == name);
        variant.and_then(|variant| variant.wanted_instances).unwrap_or_default().to_string()
    };
    // Counts are part of what is made where they are not kept.
    let counts = asked.filter(|_| !adds).map(|asked| format!("{asked} {}", count(stable.as_str())));
    let text = [
        now.config.as_str(),
        &slot,
        &model,
        kind.as_deref().unwrap_or_default(),
        &asked.map(|count| count.to_string()).unwrap_or_default(),
        counts.as_deref().unwrap_or_default(),
    ];
    let config = named(calls, &text);
    let source = match source {
        Some((source, stable_model)) => {
            refuse_pipelines(calls, &source, &stable_model).await?;
            Some(source)
        }
        None => None,
    };
    let filling = Filling { slot, like: stable.to_string(), model, instance_type: kind, instances };
    Ok(Wanted { filling, source, config, adds, counts: counts.is_some() })
}

/// Never approved by us: an approval starts other people's pipelines.
fn refuse_unapproved(arn: &str, package: &Package) -> Result<()> {
    let wrong = match (package.approval.as_str(), package.status.as_str()) {
        ("Approved", "Completed") => return Ok(()),
        ("Approved", status) => format!("model package {arn} is {status}, not Completed"),
        ("", _) => format!("model package {arn} was never approved"),
        (approval, _) => format!("model package {arn} is {approval}"),
    };
    let message = format!("{wrong}; only an approved one is deployed, and to approve it is a person's part");
    Err(Error::new(ErrorKind::Invalid, "DescribeModelPackage", message))
}

async fn refuse_pipelines(calls: &Calls<'_>, source: &Source, stable_model: &str) -> Result<()> {
    if matches!(source, Source::Data { .. }) && calls.model(stable_model).await?.containers() != 1 {
        let message = format!(
            "stable's model {stable_model} is a pipeline of containers: make the new one yourself, and name it with --model"
        );
        return Err(Error::new(ErrorKind::Unsupported, "CreateModel", message));
    }
    Ok(())
}

/// The slot as it is, where its machines are to be others.
fn retyped(live: &Config, filling: &Filling) -> Option<Slot> {
    let slots = live.slots();
    let find = |name: &str| slots.iter().find(|slot| slot.name == name);
    let (held, stable) = (find(&filling.slot)?, find(&filling.like)?);
    let wanted = filling.instance_type.as_ref().unwrap_or(&stable.instance_type);
    (held.instance_type != *wanted).then(|| held.clone())
}

/// SageMaker neither takes a scalable target away nor changes its machines (developer guide), and says so only of an endpoint
/// config that was made. To deregister one deletes its policies, so that is its owner's part.
async fn refuse_held(scaling: &Scaling<'_>, variant: &str, what: &str) -> Result<()> {
    let id = variant.parse::<RevisionId>().map_err(|e| Error::new(ErrorKind::Invalid, UPDATE, e.to_string()))?;
    match scaling.holds(&id).await {
        Ok(false) => Ok(()),
        // Where it may not be read, SageMaker tells it later.
        Err(e) if e.kind() == ErrorKind::Auth => Ok(()),
        Err(e) => Err(e),
        Ok(true) => {
            let endpoint = &scaling.calls.endpoint.endpoint;
            let message = format!(
                "autoscaling holds variant {variant}, {what}: SageMaker refuses that. Deregister it first, and note its policies \
                 before, which go with it: aws application-autoscaling deregister-scalable-target --service-namespace sagemaker \
                 --scalable-dimension sagemaker:variant:DesiredInstanceCount --resource-id endpoint/{endpoint}/variant/{variant}"
            );
            Err(Error::new(ErrorKind::Invalid, UPDATE, message))
        }
    }
}

/// Whether the slot holds what is wanted already.
fn holds(live: &Config, now: &Endpoint, wanted: &Wanted) -> bool {
    let Filling { slot, like, model, instance_type, instances } = &wanted.filling;
    let slots = live.slots();
    let find = |name: &str| slots.iter().find(|slot| slot.name == name);
    let (Some(held), Some(stable)) = (find(slot), find(like)) else { return false };
    let count = now.variants.iter().find(|variant| variant.name == *slot).and_then(|variant| variant.wanted_instances);
    held.model.as_ref() == Some(model)
        && held.instance_type == *instance_type.as_ref().unwrap_or(&stable.instance_type)
        && (!wanted.counts || count == Some(*instances))
}

/// How the model and the config were made.
#[derive(Clone, Copy, Debug, Default)]
struct Made {
    /// They were not: this is a rehearsal.
    rehearsed: bool,
    /// Without the tags by which they are known as made here.
    untagged: bool,
    /// Without the tags of what they are copies of: those may not be read.
    unread: bool,
}

impl Made {
    fn note(&mut self, stored: Stored) {
        match stored {
            Stored::Made | Stored::There => {}
            Stored::Untagged => self.untagged = true,
            Stored::Withheld => self.rehearsed = true,
        }
    }
}

/// Makes the model, the config and the update, and waits until it is live.
async fn make(
    calls: &Calls<'_>,
    now: &Endpoint,
    live: &Config,
    wanted: &Wanted,
    seen: &Snapshot,
    pace: &dyn Pace,
) -> Result<Made> {
    let mut how = Made::default();
    if let Some(source) = &wanted.source {
        let slots = live.slots();
        let like = slots.iter().find(|slot| slot.name == wanted.filling.like).and_then(|slot| slot.model.as_deref());
        let template = calls.model(like.unwrap_or_default()).await?;
        let copied = calls.copied(template.arn()).await?;
        how.unread |= copied.is_unread;
        how.note(calls.create_model(&wanted.filling.model, source, &template, &copied).await?);
    }
    let copied = calls.copied(live.arn()).await?;
    how.unread |= copied.is_unread;
    how.note(calls.create_config(&wanted.config, live, &wanted.filling, now, &copied).await?);
    // From here on the slot is no way back.
    let lost = seen.marker.as_ref().filter(|marker| marker.previous.as_ref().is_some_and(|p| is(p, wanted)));
    let arn = Known::from(&seen.guard).map(|known| known.arn).unwrap_or_else(|| now.arn.clone());
    if let Some(marker) = lost {
        let without = Marker { previous: None, ..marker.clone() };
        super::backend::sent(calls.set_note(&arn, Some(&note_of(&without, seen))).await)?;
    }
    let updated = match update(calls, wanted, pace).await {
        Err(e) if e.kind() == ErrorKind::Withheld => return Ok(Made { rehearsed: true, ..how }),
        Err(e) => Err(e),
        Ok(()) if how.rehearsed => return Ok(how),
        Ok(()) => arrived(calls, wanted, now, pace).await,
    };
    if let (Err(e), Some(marker)) = (&updated, lost)
        && (e.was_answered() || e.has_changed_nothing())
    {
        // The slot holds what it held.
        let _ = calls.set_note(&arn, Some(&note_before(marker, seen))).await;
    }
    updated.map(|()| how).map_err(|e| left_behind(e, wanted, how))
}

fn is(revision: &RevisionId, wanted: &Wanted) -> bool {
    revision.as_str() == wanted.filling.slot
}

/// A slot that was rolled back as bad holds something else by now. That is told by the age of the config, too, where the
/// process that made it is gone.
async fn forget_bad(
    calls: &Calls<'_>,
    seen: &Snapshot,
    wanted: &Wanted,
    made: bool,
    live: Option<mlroll_backend::Timestamp>,
) -> Result<()> {
    let Some(marker) = &seen.marker else { return Ok(()) };
    let MarkerState::RolledBack { bad: Some(bad) } = &marker.state else { return Ok(()) };
    let newer = live.zip(marker.at).is_some_and(|(made, at)| made > at);
    if is(bad, wanted) && (made || newer) {
        let cleared = Marker { state: MarkerState::RolledBack { bad: None }, ..marker.clone() };
        let arn = Known::from(&seen.guard).map(|known| known.arn).unwrap_or_default();
        super::backend::sent(calls.set_note(&arn, Some(&note_of(&cleared, seen))).await)?;
    }
    Ok(())
}
