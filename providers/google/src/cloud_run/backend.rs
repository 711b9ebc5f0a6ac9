//! [`Backend`] on Cloud Run services.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use mlroll_backend::{
    Access, ArtifactKind, Backend, Capabilities, CloudRunService, Deployed, Error, ErrorKind, GuardKind, Marker,
    MarkerState, Obstacle, Pace, Probe, Question, Readiness, Release, Result, Revision, RevisionId, Snapshot, Target,
    TrafficSplit, Weight, Wiretap,
};

use super::service::{ANNOTATION, NOTE, read, said, short};
use super::warmth::{self, Warmth};
use super::wire::{Calls, Change, Operation, Revision as Found, Service};
use super::{deploy, probe};
use crate::Settings;
use crate::error::printable;
use crate::session::Session;

/// Google's own address of the API; regional ones differ in nothing but the name.
const ENDPOINT: &str = "https://run.googleapis.com";

/// Services of Google Cloud Run.
#[derive(Debug)]
pub struct CloudRun {
    session: Session,
    access: Option<Access>,
    wiretap: Arc<dyn Wiretap>,
    /// Each service as it was last seen: its tags and annotations must be sent back with a change, and a snapshot does not
    /// hold them.
    seen: Mutex<BTreeMap<Target, Service>>,
    /// How warm revisions are kept, as far as they were checked.
    warmth: Mutex<BTreeMap<(Target, RevisionId), Warmth>>,
    /// Our latest change of each service, until it is live.
    under_way: Mutex<BTreeMap<Target, UnderWay>>,
}

/// A change of ours that was accepted.
#[derive(Clone, Debug)]
struct UnderWay {
    /// The operation's whole resource name.
    operation: String,
    from: Option<TrafficSplit>,
    to: TrafficSplit,
    /// How often the service was read since.
    looks: u32,
    /// Why it failed, once that is known.
    failed: Option<String>,
}

/// At every so many looks a service that still does not have what was asked for is late, and the operation is asked why. The
/// first looks are within seconds, the later ones two seconds apart.
const LATE: u32 = 5;

/// How long a read may take that a shift or a look can do without.
const ASIDE: Duration = Duration::from_secs(3);

impl CloudRun {
    /// A backend whose requests all go past `wiretap`. Reads no credentials and connects to nothing yet.
    ///
    /// # Errors
    /// `Invalid`: the endpoint is none that requests may be sent to.
    pub fn new(settings: &Settings, wiretap: Arc<dyn Wiretap>) -> Result<Self> {
        let session = Session::new(settings, settings.cloud_run.as_deref(), ENDPOINT)?;
        // One on this machine is a sandbox: it takes any token, for ever.
        let access = settings.access().filter(|_| session.on_this_machine().is_none());
        let (seen, warmth, under_way) = Default::default();
        Ok(Self { session, access, wiretap, seen, warmth, under_way })
    }

    fn calls<'a>(&'a self, target: &'a Target, operation: &'static str) -> Result<Calls<'a>> {
        let service = service_of(target, operation)?;
        Ok(Calls { session: &self.session, wiretap: self.wiretap.as_ref(), target, service })
    }

    fn remember(&self, target: &Target, service: &Service) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(target.clone(), service.clone());
    }

    /// The service as it was when it had this etag: from memory, or else read again.
    async fn recall(&self, calls: &Calls<'_>, etag: &str) -> Result<Service> {
        let known = self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(calls.target).cloned();
        if let Some(service) = known.filter(|service| service.etag == etag) {
            return Ok(service);
        }
        let service = calls.get_service().await?;
        if service.etag == etag {
            return Ok(service);
        }
        Err(Error::new(ErrorKind::Conflict, "UpdateService", "the service has changed since it was read"))
    }

    /// Refuses a revision that is not there: Cloud Run takes it, and fails only then. Whoever has traffic, a tag, or was checked,
    /// is there.
    ///
    /// # Errors
    /// `NotFound`, and nothing else: without an answer the shift goes on, since the way back must not need one.
    async fn find(&self, calls: &Calls<'_>, before: &Service, to: &TrafficSplit) -> Result<()> {
        for (revision, _) in to.by_share() {
            let key = (calls.target.clone(), revision.clone());
            let checked = self.warmth.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&key);
            if checked || before.has(revision) {
                continue;
            }
            match tokio::time::timeout(ASIDE, calls.get_revision(revision)).await {
                Ok(Ok(found)) if found.is_going() => {
                    let message = format!("revision {revision} is being deleted");
                    return Err(Error::new(ErrorKind::NotFound, "GetRevision", message).with("status", 200));
                }
                Ok(Err(e)) if e.kind() == ErrorKind::NotFound => return Err(e),
                Ok(Ok(_) | Err(_)) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn set_under_way(&self, target: &Target, under_way: Option<UnderWay>) {
        let mut all = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        match under_way {
            Some(one) => all.insert(target.clone(), one),
            None => all.remove(target),
        };
    }

    /// What became of our own change, where the service does not tell: an operation can fail and leave no word in the service's
    /// conditions, with our split wanted and not served, or with the one from before.
    async fn account_for(&self, calls: &Calls<'_>, service: &Service, snapshot: &mut Snapshot) {
        let known = self.under_way.lock().unwrap_or_else(PoisonError::into_inner).get(calls.target).cloned();
        let Some(mut ours) = known else { return };
        let is_ours = snapshot.split.as_ref() == Some(&ours.to);
        match (&snapshot.readiness, is_ours) {
            (Readiness::Live, true) => return self.set_under_way(calls.target, None),
            // It tells for itself.
            (Readiness::Failed(_), true) => return,
            // Whatever became of ours, this is somebody else's.
            (_, false) if snapshot.split != ours.from => return self.set_under_way(calls.target, None),
            (Readiness::Failed(_) | Readiness::Live | Readiness::Settling(_), _) => {}
        }
        ours.looks = ours.looks.saturating_add(1);
        if ours.failed.is_none() && (!service.is_moving() || ours.looks.is_multiple_of(LATE)) {
            match tokio::time::timeout(ASIDE, calls.get_operation(&ours.operation)).await {
                Ok(Ok(Operation { done: true, error: Some(status), .. })) => ours.failed = Some(status.message),
                // Ours was made, and somebody has put back what was before; or it may not be asked.
                Ok(Ok(Operation { done: true, .. })) => return self.set_under_way(calls.target, None),
                Ok(Err(e)) if !matches!(e.kind(), ErrorKind::Throttled | ErrorKind::Unavailable) => {
                    return self.set_under_way(calls.target, None);
                }
                Ok(Ok(_) | Err(_)) | Err(_) => {}
            }
        }
        if let Some(why) = &ours.failed {
            snapshot.readiness = Readiness::Failed(format!("{}{}", could_not(why), service.served()));
        }
        self.set_under_way(calls.target, Some(ours));
    }
}

fn could_not(words: &str) -> String {
    format!("Cloud Run could not make the change: {}", printable(words, 600))
}

#[async_trait]
impl Backend for CloudRun {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            granule: Weight::from_basis_points(100).unwrap_or(Weight::FULL),
            guard: GuardKind::Atomic,
            most_revisions: 100,
            note_limit: NOTE,
            artifacts: &[ArtifactKind::Image, ArtifactKind::Stable],
            mirror: None,
        }
    }

    fn access(&self) -> Option<Access> {
        self.access.clone()
    }

    async fn observe(&self, target: &Target) -> Result<Snapshot> {
        let calls = self.calls(target, "GetService")?;
        let service = calls.get_service().await?;
        let mut snapshot = read("GetService", &service)?;
        self.remember(target, &service);
        self.account_for(&calls, &service, &mut snapshot).await;
        Ok(snapshot)
    }

    async fn revisions(&self, target: &Target, limit: usize) -> Result<Vec<Revision>> {
        let listed = self.calls(target, "ListRevisions")?.list_revisions().await?;
        let mut able: Vec<Revision> = listed
            .iter()
            .filter(|revision| !revision.is_going() && revision.why_not_ready().is_none())
            .filter_map(|revision| {
                let created = revision.create_time.as_deref().and_then(|time| time.parse().ok());
                Some(Revision { id: short(&revision.name).parse().ok()?, created, description: String::new() })
            })
            .collect();
        able.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| b.id.cmp(&a.id)));
        able.truncate(limit);
        Ok(able)
    }

    async fn check(&self, target: &Target, stable: &RevisionId, candidate: &RevisionId) -> Result<Vec<Obstacle>> {
        let calls = self.calls(target, "GetRevision")?;
        let (way_back, on_trial) = tokio::try_join!(calls.get_revision(stable), calls.get_revision(candidate))?;
        {
            let mut warmth = self.warmth.lock().unwrap_or_else(PoisonError::into_inner);
            warmth.insert((target.clone(), stable.clone()), Warmth::of(&way_back.rest));
            warmth.insert((target.clone(), candidate.clone()), Warmth::of(&on_trial.rest));
        }
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let stopped = seen.get(target).filter(|service| service.scaling.manual_instance_count == Some(0));
        let unready = [(candidate, on_trial), (stable, way_back)]
            .into_iter()
            .filter_map(|(id, revision)| obstacle(id, stable, &revision));
        Ok(stopped.map(|_| no_instances(calls.service)).into_iter().chain(unready).collect())
    }

    fn advice(&self, target: &Target, stable: &RevisionId, candidate: &RevisionId, share: Weight) -> Vec<String> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let warmth = self.warmth.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |revision: &RevisionId| warmth.get(&(target.clone(), revision.clone()));
        let (Some(service), Some(kept), Some(own)) = (seen.get(target), of(stable), of(candidate)) else {
            return Vec::new();
        };
        let cold = warmth::advice(&service.scaling, (stable, kept), (candidate, own), share);
        let sticky = warmth::affinity((stable, kept), (candidate, own), share);
        cold.into_iter().chain(sticky).collect()
    }

    async fn shift(&self, target: &Target, to: &TrafficSplit, seen: &Snapshot, marker: &Marker) -> Result<Snapshot> {
        let operation = "UpdateService";
        let calls = self.calls(target, operation)?;
        let before = self.recall(&calls, &seen.guard.token).await?;
        let mut change = before.change(operation, to, marker)?;
        self.find(&calls, &before, to).await?;
        // What became of an earlier one tells nothing from here on, also when this one's answer is lost.
        self.set_under_way(target, None);
        let answer = match calls.update_service(&change).await {
            // Without its note nobody could tell later whose split it is. On the way back traffic goes first.
            Err(e) if refuses_annotations(&e) && matches!(marker.state, MarkerState::RolledBack { .. }) => {
                change.annotations = None;
                calls.update_service(&change).await
            }
            other => other,
        };
        let accepted = match answer {
            // A rehearsal: the answer that this call would get.
            Err(e) if e.kind() == ErrorKind::Withheld => return read(operation, &before.after(&change)),
            other => other?,
        };
        if let Some(failed) = accepted.error {
            return Err(Error::new(ErrorKind::Unexpected, operation, could_not(&failed.message)).with("status", 200));
        }
        if let Some(service) = accepted.response.filter(|service| accepted.done && !service.etag.is_empty()) {
            let after = read(operation, &service)?;
            self.remember(target, &service);
            if after.split.as_ref() != Some(to) {
                let message =
                    format!("Cloud Run accepted the change, but answered with {after} where {to} was asked for");
                return Err(Error::new(ErrorKind::Unexpected, operation, message).with("status", 200));
            }
            return Ok(after);
        }
        let (operation_name, from) = (accepted.name, seen.split.clone());
        let under_way = UnderWay { operation: operation_name, from, to: to.clone(), looks: 0, failed: None };
        self.set_under_way(target, Some(under_way).filter(|one| !one.operation.is_empty()));
        let mut after = read(operation, &before.after(&change))?;
        // Its etag is not told before the service is read again, so nothing can be written on the strength of this.
        after.guard.token.clear();
        after.readiness = Readiness::Settling("Cloud Run has accepted the change and is applying it".to_owned());
        Ok(after)
    }

    async fn deploy(&self, target: &Target, seen: &Snapshot, release: &Release, pace: &dyn Pace) -> Result<Deployed> {
        let calls = self.calls(target, "UpdateService")?;
        let before = self.recall(&calls, &seen.guard.token).await?;
        deploy::deploy(&calls, &before, seen, release, pace).await
    }

    async fn probe(
        &self,
        target: &Target,
        revision: &RevisionId,
        question: &Question<'_>,
        pace: &dyn Pace,
    ) -> Result<Probe> {
        probe::probe(&self.calls(target, "UpdateService")?, revision, question, pace).await
    }
}

fn service_of<'t>(target: &'t Target, operation: &'static str) -> Result<&'t CloudRunService> {
    match target {
        Target::CloudRun(service) => Ok(service),
        Target::AzureMl(_) | Target::Lambda(_) | Target::SageMaker(_) => {
            Err(Error::new(ErrorKind::Unsupported, operation, format!("{target} is not a Cloud Run service")))
        }
    }
}

/// Whether it is the annotations that were not liked, and not the traffic.
fn refuses_annotations(error: &Error) -> bool {
    let bad = error.kind() == ErrorKind::Invalid && error.context().iter().any(|(k, v)| *k == "status" && v == "400");
    let message = error.message().to_ascii_lowercase();
    bad && (message.contains("annotation") || message.contains(ANNOTATION))
}

/// What keeps a revision from getting traffic, or from getting it back. One that is being deleted can be ready to its end.
fn obstacle(id: &RevisionId, stable: &RevisionId, revision: &Found) -> Option<Obstacle> {
    let (role, other) = if id == stable {
        ("the way back: stable", "give a revision that works everything first: `mlroll rollback --to REV`".to_owned())
    } else if revision.is_going() {
        ("the candidate", "make another: `mlroll deploy`".to_owned())
    } else {
        ("the candidate", format!("look at it: gcloud run revisions describe {id}"))
    };
    if revision.is_going() {
        return Some(Obstacle { what: format!("{role} {id} is being deleted"), remedy: other });
    }
    let why = revision.why_not_ready()?;
    let remedy = match revision.reconciling {
        true => format!("wait until {id} is ready: gcloud run revisions describe {id}"),
        false => other,
    };
    Some(Obstacle { what: format!("{role} {id} is not ready: {why}"), remedy })
}

/// A service that is scaled by hand, and to nothing.
fn no_instances(at: &CloudRunService) -> Obstacle {
    let CloudRunService { project, region, service } = at;
    Obstacle {
        what: "the service has 0 instances (manualInstanceCount), so no revision can serve".to_owned(),
        remedy: format!(
            "give it some: gcloud run services update {service} --scaling=auto --project {project} --region {region}"
        ),
    }
}

impl Found {
    /// Whether it is being deleted.
    pub(super) fn is_going(&self) -> bool {
        self.delete_time.as_deref().is_some_and(|time| !time.is_empty())
    }

    /// Why it cannot serve, by its own condition: the service's may be about another revision. A retired revision is ready.
    fn why_not_ready(&self) -> Option<String> {
        let ready = self.conditions.iter().find(|condition| condition.kind == "Ready");
        match ready {
            Some(ready) if ready.has_succeeded() => None,
            Some(ready) => Some(said(ready)),
            None => Some("Cloud Run does not say that it is".to_owned()),
        }
    }
}

impl Service {
    /// The service as it will be when the change is made, for a rehearsal.
    fn after(&self, change: &Change) -> Self {
        let annotations = change.annotations.clone().unwrap_or_else(|| self.annotations.clone());
        Self {
            annotations,
            traffic: change.traffic.clone(),
            traffic_statuses: change.traffic.clone(),
            reconciling: false,
            observed_generation: self.generation.clone(),
            terminal_condition: None,
            conditions: Vec::new(),
            ..self.clone()
        }
    }
}
