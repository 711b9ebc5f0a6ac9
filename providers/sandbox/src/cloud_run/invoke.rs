//! Requests to the services themselves, by the host of a service or of one of its tags.
//!
//! A service lets in who brings an identity token that is meant for it: an access token will not do, and the audience is the
//! service's own address, whatever tag is asked. With `invokerIamDisabled` it lets everybody in. The few requests of outsiders
//! are in no metric.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::render;
use super::state::{Health, Key, Service};
use crate::api::{Answer, Api, Operation, Request, bearer, json_answer};
use crate::{World, identity};

/// The services as the server sees them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunServicesApi;

/// What every such host ends with.
const DOMAIN: &str = ".run.app";

/// The tag and the rest of a request's host, when it is a service's.
fn host(request: &Request) -> Option<(Option<&str>, &str)> {
    let sent = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = request.uri().host().or(sent).filter(|host| host.ends_with(DOMAIN))?;
    Some(host.split_once("---").map_or((None, host), |(tag, rest)| (Some(tag), rest)))
}

impl Api for RunServicesApi {
    fn name(&self) -> &'static str {
        "cloud-run-services"
    }

    fn operation(&self, request: &Request) -> Option<Operation> {
        let (_, host) = host(request)?;
        Some(Operation { name: "Invoke", target: Some(host.to_owned()) })
    }

    fn operations(&self) -> &'static [&'static str] {
        &["Invoke"]
    }

    fn error(&self, status: StatusCode, _code: Option<&str>) -> Answer {
        page(status, "A fault of the sandbox.")
    }

    fn answer(&self, request: &Request, _operation: &Operation, world: &mut World) -> Answer {
        let not_found = || page(StatusCode::NOT_FOUND, "The requested URL was not found on this server.");
        let Some((tag, host)) = host(request) else { return not_found() };
        let services = &world.cloud_run.services;
        let Some((key, service)) =
            services.iter().map(|(key, slot)| (key, &slot.now)).find(|(key, _)| render::host(key) == host)
        else {
            return not_found();
        };
        if let Err(refused) = admitted(request, service, host) {
            return refused;
        }
        let (key, drawn) = (key.clone(), world.cloud_run.mint.draw());
        let Some(slot) = world.cloud_run.services.get(&key) else { return not_found() };
        let Some(revision) = serving(&slot.now, tag, drawn) else { return not_found() };
        let failed = world.cloud_run.mint.draw() < error_rate(world, &key, &revision);
        match failed {
            true => json_answer(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "error": "The model failed." })),
            false => json_answer(StatusCode::OK, &json!({ "revision": revision, "path": request.uri().path() })),
        }
    }
}

/// Refuses who is nobody to this service.
fn admitted(request: &Request, service: &Service, host: &str) -> Result<(), Answer> {
    if service.other.get("invokerIamDisabled") == Some(&Value::Bool(true)) {
        return Ok(());
    }
    let Some(token) = bearer(request) else {
        let message = "Your client does not have permission to get URL / from this server.";
        return Err(page(StatusCode::FORBIDDEN, message));
    };
    let audience = identity::claims(token).and_then(|claims| claims.get("aud")?.as_str().map(str::to_owned));
    if audience.is_some_and(|audience| audience == format!("https://{host}")) {
        return Ok(());
    }
    Err(page(
        StatusCode::UNAUTHORIZED,
        "The identity token could not be verified: it is none, or for another audience.",
    ))
}

/// Who answers: whom the tag is on, or anybody by the split.
fn serving(service: &Service, tag: Option<&str>, drawn: f64) -> Option<String> {
    let mut statuses = service.statuses.iter();
    let status = match tag {
        Some(tag) => statuses.find(|status| status.tag == tag)?,
        None => {
            let mut reached = 0.0;
            statuses.find(|status| {
                reached += f64::from(status.percent) / 100.0;
                drawn < reached
            })?
        }
    };
    let ready = service.revision(&status.revision).is_some_and(|revision| revision.health == Health::Ready);
    ready.then(|| status.revision.clone())
}

/// The share of a revision's requests that fail: as the scenario says of it, else of its image.
fn error_rate(world: &World, key: &Key, name: &str) -> f64 {
    let service =
        world.scenario.parsed_targets().find(|(target, _)| *target == key.target()).map(|(_, service)| service);
    if let Some(behaviour) = service.and_then(|service| service.revisions.get(name)) {
        return behaviour.error_rate;
    }
    let slot = world.cloud_run.services.get(key);
    let revision = slot.and_then(|slot| slot.now.revision(name));
    revision.map_or(0.0, |revision| world.cloud_run.behaviour(revision).error_rate)
}

/// Google's front end speaks in pages.
fn page(status: StatusCode, said: &str) -> Answer {
    let mut answer =
        Answer::new(Bytes::from(format!("<html><head><title>{status}</title></head><body>{said}</body></html>")));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=UTF-8"));
    answer
}
