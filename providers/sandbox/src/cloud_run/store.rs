//! All services of all projects, and how they come to be and to rest.

use std::collections::BTreeMap;

use mlroll_backend::{Target, Timestamp};
use serde_json::{Map, Value, json};

use super::state::{
    Entry, Fate, Health, Key, NO_QUOTA, Operation, Revision, SHIFT, Service, Slot, Until, Whom, not_ready,
};
use crate::lambda::Routed;
use crate::scenario::{self, Behaviour, Scenario, State};

/// The services of Google Cloud Run.
#[derive(Debug, Default)]
pub struct CloudRun {
    pub(super) services: BTreeMap<Key, Slot>,
    /// By id, unique in a sandbox.
    pub(super) operations: BTreeMap<String, Operation>,
    pub(super) mint: Mint,
    rules: scenario::CloudRun,
}

/// Makes etags and ids.
#[derive(Debug, Default)]
pub(super) struct Mint(u64);

impl Mint {
    /// An etag that was never used before, with the quotes that are part of it.
    pub(super) fn etag(&mut self) -> String {
        format!("\"CN{}\"", self.id().replace('-', ""))
    }

    /// A number from 0 to below 1 by chance, the same ones in every sandbox.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what a float holds")]
    pub(super) fn draw(&mut self) -> f64 {
        self.0 += 1;
        (self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// An id that was never used before.
    pub(super) fn id(&mut self) -> String {
        self.0 += 1;
        let spread = self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("{:08x}-{:04x}-4000-8000-{:012x}", spread >> 32, spread & 0xffff, self.0)
    }
}

/// Whether the Cloud Run targets of a scenario make sense.
///
/// # Errors
/// A revision's name does not begin with its service's, as Cloud Run demands.
pub(crate) fn check(scenario: &Scenario) -> Result<(), String> {
    for (target, service) in scenario.parsed_targets() {
        let Target::CloudRun(at) = &target else { continue };
        let begin = format!("{}-", at.service);
        if let Some(stray) = service.revisions.keys().find(|name| !is_revision(name, &begin)) {
            return Err(format!(
                "{target}: revision `{stray}` is no name of a revision of this service, such as {begin}00001-abc"
            ));
        }
    }
    Ok(())
}

/// Whether a revision may have this name: that of its service first, in small letters, digits and hyphens.
pub(super) fn is_revision(name: &str, begin: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    name.len() > begin.len()
        && name.len() < 64
        && name.starts_with(begin)
        && name.bytes().all(allowed)
        && !name.ends_with('-')
}

impl CloudRun {
    /// The services of a scenario, as they have been for a while.
    #[must_use]
    pub fn of(scenario: &Scenario, now: Timestamp) -> Self {
        let mut cloud_run = Self { rules: scenario.cloud_run.clone(), ..Self::default() };
        for (target, service) in scenario.parsed_targets() {
            if let Target::CloudRun(at) = target {
                let key = Key { project: at.project, region: at.region, service: at.service };
                let made = cloud_run.made(&key.service, service, now);
                cloud_run.services.insert(key, Slot { now: made, before: None });
            }
        }
        cloud_run
    }

    fn made(&mut self, name: &str, service: &scenario::Service, now: Timestamp) -> Service {
        let count = service.revisions.len();
        let mut revisions = Vec::with_capacity(count);
        for (at, (revision, behaviour)) in service.revisions.iter().enumerate() {
            let age = i64::try_from(count - at).unwrap_or(0) * 86_400;
            revisions.push(Revision {
                name: revision.clone(),
                created: Timestamp::from_unix_seconds(now.unix_seconds() - age).unwrap_or(now),
                health: if behaviour.state == State::Failed { Health::Failed } else { Health::Ready },
                sound: behaviour.state == State::Active,
                template: template(name, at + 1),
                uid: self.mint.id(),
            });
        }
        let mut template = revisions.last().map(|revision| revision.template.clone()).unwrap_or_default();
        if let Some(latest) = revisions.last() {
            template.insert("revision".to_owned(), json!(latest.name));
        }
        let generation = count as u64;
        let mut made = Service {
            uid: self.mint.id(),
            etag: self.mint.etag(),
            generation,
            observed: generation,
            created: revisions.first().map_or(now, |revision| revision.created),
            updated: now,
            modifier: OWNER,
            annotations: BTreeMap::new(),
            other: Map::from_iter([
                ("ingress".to_owned(), json!("INGRESS_TRAFFIC_ALL")),
                ("launchStage".to_owned(), json!("GA")),
            ]),
            template,
            traffic: vec![Entry { whom: Whom::Revision(service.stable.clone()), percent: 100, tag: String::new() }],
            statuses: Vec::new(),
            revisions,
            routes_failed: None,
            unmade: None,
            pending: None,
            doomed: false,
        };
        match made.resolved() {
            Ok(statuses) => made.statuses = statuses,
            Err(why) => made.routes_failed = Some(why),
        }
        made
    }

    /// Begins a change that was made to a service: an operation, by its id.
    pub(super) fn begin(&mut self, key: &Key, mut changed: Service, now: Timestamp, fate: Fate) -> Option<String> {
        self.touch(&mut changed, now);
        changed.unmade = None;
        changed.doomed = fate == Fate::Fails;
        if changed.doomed {
            let known = self.services.get(key).map(|slot| slot.now.revisions.len()).unwrap_or_default();
            changed.revisions.truncate(known);
        }
        let starting = |revision: &Revision| revision.health == Health::Starting;
        let delay = if changed.revisions.iter().any(starting) { self.rules.start } else { SHIFT };
        changed.pending = Some(if fate == Fate::Stays { Until::Never } else { Until::At(now.plus(delay)) });
        for revision in changed.revisions.iter_mut().filter(|revision| starting(revision)) {
            revision.sound = self.behaviour(revision).state == State::Active;
        }
        let slot = self.services.get_mut(key)?;
        let generation = changed.generation;
        slot.before = Some(Box::new(std::mem::replace(&mut slot.now, changed)));
        let operation = Operation { of: key.clone(), generation, done: false, error: None, response: None };
        let id = self.mint.id();
        self.operations.insert(id.clone(), operation);
        Some(id)
    }

    /// Gives a changed service what every change gives it.
    pub(super) fn touch(&mut self, changed: &mut Service, now: Timestamp) {
        changed.generation += 1;
        changed.updated = now;
        changed.etag = self.mint.etag();
    }

    /// How a revision answers that was made later, by its image.
    pub(super) fn behaviour(&self, revision: &Revision) -> Behaviour {
        self.rules.images.get(revision.image()).cloned().unwrap_or_default()
    }

    /// Carries out what is due, and tells where requests go from when on.
    pub(crate) fn settle(&mut self, now: Timestamp) -> Vec<Routed> {
        let Self { services, operations, mint, .. } = self;
        let mut routed = Vec::new();
        for (key, slot) in services {
            let service = &mut slot.now;
            let at = match service.pending {
                Some(Until::At(at)) if at <= now => at,
                Some(Until::At(_) | Until::Never) | None => continue,
            };
            service.pending = None;
            service.observed = service.generation;
            service.etag = mint.etag();
            let mut broken = None;
            for revision in service.revisions.iter_mut().filter(|revision| revision.health == Health::Starting) {
                revision.health = if revision.sound { Health::Ready } else { Health::Failed };
                broken = (!revision.sound).then(|| not_ready(&revision.name)).or(broken);
            }
            let doomed = std::mem::take(&mut service.doomed);
            match service.resolved() {
                // Users stay where they are.
                Ok(statuses) if doomed && statuses != service.statuses => {
                    service.routes_failed = Some(NO_QUOTA.to_owned());
                }
                Ok(statuses) => {
                    service.unmade = doomed.then(|| NO_QUOTA.to_owned());
                    service.statuses = statuses;
                    service.routes_failed = None;
                    if let Some(split) = service.split() {
                        routed.push(Routed { target: key.target(), split, at });
                    }
                }
                Err(why) => service.routes_failed = Some(why),
            }
            let error = service.routes_failed.as_ref().or(service.unmade.as_ref()).or(broken.as_ref()).map(|why| {
                // As users saw them: 13 for a revision that is gone, 9 for one that does not start.
                (if why.contains("does not exist") { 13 } else { 9 }, why.clone())
            });
            let waiting = operations.values_mut().filter(|one| one.of == *key && !one.done);
            for operation in waiting.filter(|one| one.generation <= service.generation) {
                operation.done = true;
                operation.error.clone_from(&error);
            }
        }
        routed
    }
}

fn template(service: &str, number: usize) -> Map<String, Value> {
    let image = format!("europe-docker.pkg.dev/acme/models/{service}:{number}");
    let template = json!({
        "containers": [{ "image": image, "ports": [{ "name": "http1", "containerPort": 8080 }] }],
        "maxInstanceRequestConcurrency": 80,
        "timeout": "300s",
    });
    template.as_object().cloned().unwrap_or_default()
}

/// Who changes services over the wire.
pub(super) const OWNER: &str = "owner@acme.example";
/// Who changes them when a fault has somebody else do it.
pub(super) const SOMEBODY: &str = "somebody-else@acme.example";
