//! One request on the services.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::edit::{self, Asked};
use super::route::{Route, UNKNOWN};
use super::state::{Fate, Key, Operation, Service};
use super::{knative, render};
use crate::World;
use crate::api::{Answer, Request, json_answer};
use crate::google::{self, Parameters, Refusal};

/// The most revisions on a page; services have their own limit (discovery document).
const PAGE: usize = 100;

/// What is answered, and whether a change was begun.
pub(super) type Outcome = Result<(Value, bool), Refusal>;

/// Answers a request, and tells whether it began something that does not end by itself (only with [`Fate::Stays`]).
pub(super) fn answer(request: &Request, world: &mut World, fate: Fate) -> (Answer, bool) {
    let began = |result: &Outcome| result.as_ref().is_ok_and(|(_, began)| *began);
    let result = carry_out(request, world, fate);
    let began = began(&result);
    match result {
        Ok((document, _)) => (json_answer(StatusCode::OK, &document), began && fate != Fate::Settles),
        Err(refusal) => (refusal.answer(), false),
    }
}

/// The answer, and whether a change was begun.
fn carry_out(request: &Request, world: &mut World, fate: Fate) -> Outcome {
    google::authenticated(request)?;
    if let Some(route) = knative::Route::of(request) {
        return knative::carry_out(request, &route, world, fate);
    }
    let route = Route::of(request).filter(|route| route.operation != UNKNOWN);
    let route = route.ok_or_else(|| Refusal::unimplemented(request))?;
    if route.region == "-" {
        return Err(Refusal::invalid("The location '-' is not supported: name a region."));
    }
    let parameters = |names: &[&str]| Parameters::read(request, names, &[]);
    let read = match route.operation {
        "ListServices" => services(&route, world, &parameters(&["pageSize", "pageToken", "showDeleted"])?)?,
        "GetService" => {
            parameters(&[])?;
            let (key, service) = found(&route, world)?;
            render::service(&key, service)
        }
        "ListRevisions" => revisions(&route, world, &parameters(&["pageSize", "pageToken", "showDeleted"])?)?,
        "GetRevision" => {
            parameters(&[])?;
            let (key, service) = found(&route, world)?;
            let revision = service.revision(&route.below).ok_or_else(|| no_revision(&route))?;
            render::revision(&key, service, revision)
        }
        "GetOperation" => {
            parameters(&[])?;
            operation(&route, world)?
        }
        "WaitOperation" => {
            parameters(&[])?;
            google::known(&google::body(request)?, "", &["timeout"])?;
            // "May return earlier": whoever waits asks again.
            operation(&route, world)?
        }
        "DeleteRevision" => return delete(&route, world, &parameters(&["etag", "validateOnly"])?),
        _ => {
            let known = parameters(&["allowMissing", "forceNewRevision", "updateMask", "validateOnly"])?;
            return update(&route, world, request, &known, fate);
        }
    };
    Ok((read, false))
}

fn key_of(route: &Route) -> Key {
    let (project, region) = (route.project.clone(), route.region.clone());
    Key { project, region, service: route.service.clone().unwrap_or_default() }
}

fn found<'a>(route: &Route, world: &'a World) -> Result<(Key, &'a Service), Refusal> {
    let key = key_of(route);
    let missing = || {
        Refusal::not_found(format!(
            "Resource '{}' of kind 'SERVICE' in region '{}' in project '{}' does not exist.",
            key.service, key.region, key.project
        ))
    };
    let service = world.cloud_run.services.get(&key).map(|slot| &slot.now).ok_or_else(missing)?;
    Ok((key, service))
}

fn no_revision(route: &Route) -> Refusal {
    Refusal::not_found(format!(
        "Resource '{}' of kind 'REVISION' in region '{}' in project '{}' does not exist.",
        route.below, route.region, route.project
    ))
}

/// A page of items, and the token of the next when there are more.
fn page(name: &str, items: Vec<Value>, parameters: &Parameters) -> Result<Value, Refusal> {
    parameters.flag("showDeleted")?;
    let (start, size) = (parameters.page_start()?, parameters.page_size(PAGE)?);
    let count = items.len();
    let page: Vec<Value> = items.into_iter().skip(start).take(size).collect();
    let until = start.saturating_add(page.len());
    let mut answer = Map::new();
    answer.insert(name.to_owned(), Value::Array(page));
    if until < count {
        answer.insert("nextPageToken".to_owned(), json!(google::page_token(until)));
    }
    google::sparse(&mut answer);
    Ok(Value::Object(answer))
}

fn services(route: &Route, world: &World, parameters: &Parameters) -> Result<Value, Refusal> {
    let here = |key: &&Key| key.project == route.project && key.region == route.region;
    let found = world.cloud_run.services.iter().filter(|(key, _)| here(key));
    page("services", found.map(|(key, slot)| render::service(key, &slot.now)).collect(), parameters)
}

fn revisions(route: &Route, world: &World, parameters: &Parameters) -> Result<Value, Refusal> {
    let (key, service) = found(route, world)?;
    let newest_first = service.revisions.iter().rev();
    page("revisions", newest_first.map(|revision| render::revision(&key, service, revision)).collect(), parameters)
}

fn operation(route: &Route, world: &World) -> Result<Value, Refusal> {
    let id = &route.below;
    let here = |operation: &&Operation| operation.of.project == route.project && operation.of.region == route.region;
    let operation = world.cloud_run.operations.get(id).filter(here);
    let operation =
        operation.ok_or_else(|| Refusal::not_found(format!("Operation '{id}' does not exist in this location.")))?;
    let service = world.cloud_run.services.get(&operation.of).map(|slot| render::service(&operation.of, &slot.now));
    Ok(render::operation(id, operation, &service.unwrap_or_default()))
}

fn update(route: &Route, world: &mut World, request: &Request, parameters: &Parameters, fate: Fate) -> Outcome {
    let rehearsal = parameters.flag("validateOnly")?;
    let key = match found(route, world) {
        Err(_) if parameters.flag("allowMissing")? => return Err(Refusal::unimplemented(request)),
        found => found?.0,
    };
    let asked = Asked::of(google::body(request)?, parameters)?;
    let changed = changed(world, &key, &asked, rehearsal)?;
    if rehearsal {
        let generation = changed.generation;
        let rehearsed = Operation { of: key.clone(), generation, done: true, error: None, response: None };
        return Ok((render::operation("validate-only", &rehearsed, &render::service(&key, &changed)), false));
    }
    let id = begin(world, &key, changed, fate);
    let route = Route { below: id.unwrap_or_default(), ..route.clone() };
    Ok((operation(&route, world)?, true))
}

/// The service as it is asked for, in a rehearsal as it would be shown.
pub(super) fn changed(world: &mut World, key: &Key, asked: &Asked, rehearsal: bool) -> Result<Service, Refusal> {
    let now = world.now();
    let cloud_run = &mut world.cloud_run;
    let Some(service) = cloud_run.services.get(key).map(|slot| slot.now.clone()) else {
        return Err(Refusal::not_found(format!("Resource '{}' of kind 'SERVICE' does not exist.", key.service)));
    };
    let mut changed = edit::update(key, &service, asked, &mut cloud_run.mint, now)?;
    if rehearsal {
        cloud_run.touch(&mut changed, now);
    }
    Ok(changed)
}

/// Begins a change: its operation, by id.
pub(super) fn begin(world: &mut World, key: &Key, changed: Service, fate: Fate) -> Option<String> {
    let now = world.now();
    let known = world.cloud_run.services.get(key).map(|slot| &slot.now);
    let made = changed.revisions.last().filter(|_| fate != Fate::Fails);
    let made = made.filter(|revision| known.is_some_and(|service| service.revision(&revision.name).is_none()));
    let made = made.and_then(|revision| Some((revision.name.parse().ok()?, world.cloud_run.behaviour(revision))));
    let id = world.cloud_run.begin(key, changed, now, fate);
    if let Some((revision, behaviour)) = made {
        world.traffic.add_revision(&key.target(), &revision, &behaviour);
    }
    id
}

fn delete(route: &Route, world: &mut World, parameters: &Parameters) -> Outcome {
    let (key, service) = found(route, world)?;
    let name = &route.below;
    let revision = service.revision(name).ok_or_else(|| no_revision(route))?;
    if parameters.get("etag").is_some_and(|etag| etag != render::etag(revision)) {
        return Err(Refusal::aborted(format!("Conflict for resource '{name}': the etag is not the current one.")));
    }
    let newest = service.latest_created().is_some_and(|latest| latest.name == *name);
    if newest || service.named().contains(name.as_str()) {
        let why = if newest { "is the latest created revision" } else { "is assigned traffic or a tag" };
        return Err(Refusal::precondition(format!("Revision '{name}' {why} and cannot be deleted.")));
    }
    let gone = render::with_type(render::revision(&key, service, revision), "Revision");
    let rehearsal = parameters.flag("validateOnly")?;
    let cloud_run = &mut world.cloud_run;
    let (of, response) = (key.clone(), Some(gone.clone()));
    let operation = Operation { of, generation: 0, done: true, error: None, response };
    let id = cloud_run.mint.id();
    let shown = render::operation(&id, &operation, &gone);
    if let (false, Some(slot)) = (rehearsal, cloud_run.services.get_mut(&key)) {
        slot.before = Some(Box::new(slot.now.clone()));
        slot.now.revisions.retain(|revision| revision.name != *name);
        cloud_run.operations.insert(id, operation);
    }
    Ok((shown, false))
}
