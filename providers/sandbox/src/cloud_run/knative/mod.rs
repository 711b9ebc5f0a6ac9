//! The Admin API v1, as gcloud speaks it: Knative's objects over the same services.
//!
//! A service's `resourceVersion` is its etag; a `PUT` replaces what v1 shows of it, and what only v2 shows stays. The region
//! is the first part of the host (`europe-west3-run.googleapis.com`); where that says nothing, a service is found by its name.
//! What is not modelled is refused, and not dropped.
//!
//! Facts: the discovery document run.v1, and what gcloud 528 was seen to send.

mod read;
mod show;
mod template;

use http::{Method, header};
use serde_json::{Value, json};

use super::call::{self, Outcome};
use super::state::{Fate, Key, Service};
use crate::World;
use crate::api::Request;
use crate::google::{self, Parameters, Refusal};

/// A request's operation, and what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) operation: &'static str,
    project: String,
    /// Nothing where the address does not say.
    region: Option<String>,
    pub(super) service: Option<String>,
    /// The revision, or the operation that is asked about.
    below: String,
}

impl Route {
    /// The route of a request of v1; a method that is not there is none of its.
    pub(super) fn of(request: &Request) -> Option<Self> {
        let path = google::segments(request);
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let (get, put) = (google::is_get(request), request.method() == Method::PUT);
        let post = request.method() == Method::POST;
        let of_host = || region_of(request);
        let named = |region: &str| Some(region.to_owned()).filter(|region| region != "-");
        let (operation, project, region, service, below) = match path.as_slice() {
            ["apis", "serving.knative.dev", "v1", "namespaces", project, rest @ ..] => {
                let (operation, service, below) = match rest {
                    ["services"] if get => ("v1.ListServices", None, ""),
                    ["services", service] if get => ("v1.GetService", Some(*service), ""),
                    ["services", service] if put => ("v1.ReplaceService", Some(*service), ""),
                    ["revisions"] if get => ("v1.ListRevisions", None, ""),
                    ["revisions", revision] if get => ("v1.GetRevision", None, *revision),
                    _ => (super::route::UNKNOWN, None, ""),
                };
                (operation, *project, of_host(), service, below)
            }
            ["v1", "projects", project, "locations", region, "services"] if get => {
                ("v1.ListServices", *project, named(region), None, "")
            }
            ["v1", "projects", project, "locations", region, "operations", id] if post => {
                ("v1.WaitOperation", *project, named(region), None, id.strip_suffix(":wait")?)
            }
            // The Service Usage API, which gcloud asks before it deploys.
            ["v1", "projects", project, "services", api] if get => ("v1.GetEnabledService", *project, None, None, *api),
            _ => return None,
        };
        let (project, service) = (project.to_owned(), service.map(str::to_owned));
        Some(Self { operation, project, region, service, below: below.to_owned() })
    }

    fn is_here(&self, key: &Key) -> bool {
        key.project == self.project && self.region.as_ref().is_none_or(|region| key.region == *region)
    }

    fn found<'a>(&self, world: &'a World) -> Result<(Key, &'a Service), Refusal> {
        let service = self.service.as_deref().unwrap_or_default();
        let here = |key: &&Key| self.is_here(key) && key.service == service;
        let mut all = world.cloud_run.services.iter().filter(|(key, _)| here(key));
        match (all.next(), all.next()) {
            (Some((key, slot)), None) => Ok((key.clone(), &slot.now)),
            (Some(_), Some(_)) => Err(Refusal::invalid(format!(
                "There are several services '{service}': name a region by the host, as in europe-west3-run.googleapis.com."
            ))),
            (None, _) => Err(Refusal::not_found(format!("Resource '{service}' of kind 'SERVICE' does not exist."))),
        }
    }
}

/// The region that the host begins with, as gcloud puts it before any endpoint.
fn region_of(request: &Request) -> Option<String> {
    let sent = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = request.uri().host().or(sent)?.split(':').next()?;
    ["-run.", "-localhost", "-127.0.0.1"].iter().find_map(|end| {
        let (region, _) = host.split_once(end)?;
        Some(region.to_owned()).filter(|region| !region.is_empty())
    })
}

/// Carries a request out.
pub(super) fn carry_out(request: &Request, route: &Route, world: &mut World, fate: Fate) -> Outcome {
    let parameters = |names: &[&str]| Parameters::read(request, names, &[]);
    let paged = ["continue", "labelSelector", "limit"];
    let read = match route.operation {
        "v1.ListServices" => {
            parameters(&paged)?;
            let here = world.cloud_run.services.iter().filter(|(key, _)| route.is_here(key));
            let items = here.map(|(key, slot)| show::service(key, &slot.now, operation_of(world, key)));
            show::list("ServiceList", &items.collect::<Vec<_>>())
        }
        "v1.GetService" => {
            parameters(&[])?;
            let (key, service) = route.found(world)?;
            show::service(&key, service, operation_of(world, &key))
        }
        "v1.ListRevisions" => {
            let wanted = read::selected(parameters(&paged)?.get("labelSelector"))?;
            let here = |key: &Key| route.is_here(key) && wanted.as_ref().is_none_or(|name| key.service == *name);
            let mut items = Vec::new();
            for (key, slot) in world.cloud_run.services.iter().filter(|(key, _)| here(key)) {
                items.extend(slot.now.revisions.iter().rev().map(|revision| show::revision(key, &slot.now, revision)));
            }
            show::list("RevisionList", &items)
        }
        "v1.GetRevision" => {
            parameters(&[])?;
            let mut here = world.cloud_run.services.iter().filter(|(key, _)| route.is_here(key));
            let found = here.find_map(|(key, slot)| Some((key, &slot.now, slot.now.revision(&route.below)?)));
            let (key, service, revision) = found.ok_or_else(|| {
                Refusal::not_found(format!("Resource '{}' of kind 'REVISION' does not exist.", route.below))
            })?;
            show::revision(key, service, revision)
        }
        "v1.WaitOperation" => {
            parameters(&[])?;
            google::known(&google::body(request)?, "", &["timeout"])?;
            wait(route, world)?
        }
        "v1.GetEnabledService" => {
            parameters(&[])?;
            let name = format!("projects/{}/services/{}", route.project, route.below);
            json!({ "name": name, "parent": format!("projects/{}", route.project), "state": "ENABLED" })
        }
        "v1.ReplaceService" => {
            let rehearsal = match parameters(&["dryRun"])?.get("dryRun") {
                None => false,
                Some("all") => true,
                Some(other) => return Err(Refusal::invalid(format!("Invalid value at 'dry_run': {other}"))),
            };
            return replace(request, route, world, rehearsal, fate);
        }
        _ => return Err(Refusal::unimplemented(request)),
    };
    Ok((read, false))
}

fn replace(request: &Request, route: &Route, world: &mut World, rehearsal: bool, fate: Fate) -> Outcome {
    let (key, service) = route.found(world)?;
    let asked = read::service(&google::body(request)?, &key, service)?;
    let changed = call::changed(world, &key, &asked, rehearsal)?;
    if rehearsal {
        return Ok((show::service(&key, &changed, None), false));
    }
    call::begin(world, &key, changed, fate);
    let (_, now) = route.found(world)?;
    Ok((show::service(&key, now, operation_of(world, &key)), true))
}

fn wait(route: &Route, world: &World) -> Result<Value, Refusal> {
    let id = &route.below;
    let missing = || Refusal::not_found(format!("Operation '{id}' does not exist in this location."));
    let operation = world.cloud_run.operations.get(id).filter(|one| route.is_here(&one.of)).ok_or_else(missing)?;
    let slot = world.cloud_run.services.get(&operation.of).ok_or_else(missing)?;
    let service = show::service(&operation.of, &slot.now, Some(id));
    Ok(show::operation(id, operation, service))
}

/// The operation of a service's latest change.
fn operation_of<'a>(world: &'a World, key: &Key) -> Option<&'a str> {
    let of = world.cloud_run.operations.iter().filter(|(_, operation)| operation.of == *key);
    of.max_by_key(|(_, operation)| operation.generation).map(|(id, _)| id.as_str())
}
