//! [`Backend`] on online endpoints.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use mlroll_backend::{
    Access, ArtifactKind, AzureMlEndpoint, Backend, Capabilities, Capacity, Deployed, Error, ErrorKind, GuardKind,
    GuardToken, Marker, MarkerState, Nature, Obstacle, Pace, Probe, Question, Readiness, Release, Result, Revision,
    RevisionId, Roles, Snapshot, Target, TrafficSplit, Weight, Wiretap, embed, extract,
};
use tokio::time::Instant;

use super::blueprint::{Changes, checked};
use super::capacity;
use super::deploy::Landing;
use super::document::{self, Document, Edit, percents, shadow_of};
use super::pending::{Pending, Progress, is_terminal};
use super::wire::{Accepted, Calls, Deployment, GET, GET_DEPLOYMENT, LIST, PUT, PUT_DEPLOYMENT, SCALE, as_if_accepted};
use crate::Settings;
use crate::credentials::access;
use crate::transport::Transport;

/// The longest value of a tag, in characters (Azure Resource Manager limits).
const TAG_VALUE: usize = 256;

/// The most that may be mirrored, in basis points.
const MOST_MIRRORED: u16 = 5_000;

/// How often a write without a good answer is made again, when a read shows the very same endpoint as before.
const REPEATS: u32 = 3;

/// Online endpoints of Azure Machine Learning.
#[derive(Debug)]
pub struct OnlineEndpoints {
    transport: Transport,
    access: Option<Access>,
    known: Mutex<BTreeMap<Target, Known>>,
}

/// What is remembered of a target.
#[derive(Clone, Debug, Default)]
struct Known {
    /// The last that was read, and the token that was told for it: a rollback edits it without reading again.
    read: Option<(String, Document)>,
    pending: Option<Pending>,
    /// Candidate and stable, as they were when they were checked.
    checked: Option<[Deployment; 2]>,
}

impl OnlineEndpoints {
    /// A backend whose requests all go past `wiretap`. Connects to nothing yet.
    ///
    /// # Errors
    /// `Invalid`: the settings make no sense.
    pub fn new(settings: &Settings, wiretap: Arc<dyn Wiretap>) -> Result<Self> {
        let transport = Transport::new(settings, Some(wiretap))?;
        Ok(Self { transport, access: access(settings), known: Mutex::default() })
    }

    fn calls<'a>(&'a self, target: &'a Target, operation: &'static str) -> Result<Calls<'a>> {
        Ok(Calls { transport: &self.transport, target, endpoint: endpoint_of(target, operation)? })
    }

    /// Reads the endpoint, and tells it with what was accepted and is not shown yet.
    async fn look(&self, calls: &Calls<'_>) -> Result<(Document, Snapshot)> {
        let document = calls.get().await?;
        let mut snapshot = self.tell(calls.target, GET, &document)?;
        let failed = self.with_known(calls.target, |known| {
            let pending = known.pending.as_mut()?;
            let progress = pending.progress(&document, Instant::now());
            if progress == Progress::Failed { known.pending.take()?.operation } else { None }
        });
        if let (Some(operation), Readiness::Failed(why)) = (failed, &mut snapshot.readiness)
            && let Some(reason) = calls.reason(&operation).await
        {
            *why = format!("{why}: {reason}");
        }
        let read = Some((snapshot.guard.token.clone(), document.clone()));
        self.with_known(calls.target, |known| known.read = read);
        Ok((document, snapshot))
    }

    /// What a read means.
    fn tell(&self, target: &Target, operation: &'static str, document: &Document) -> Result<Snapshot> {
        let shown = snapshot_of(operation, document)?;
        Ok(self.with_known(target, |known| {
            let Some(pending) = &mut known.pending else {
                return shown;
            };
            match pending.progress(document, Instant::now()) {
                Progress::Awaited(why) => awaited(pending, &shown, why),
                Progress::Done | Progress::Failed => shown,
                Progress::Shown => {
                    if is_terminal(&document.state) {
                        known.pending = None;
                    }
                    shown
                }
            }
        }))
    }

    /// PUTs an edit of what was read, which leads to `to`: the endpoint as accepted.
    async fn write(
        &self,
        calls: &Calls<'_>,
        before: Document,
        edit: &Edit,
        to: &TrafficSplit,
        marker: Option<Marker>,
    ) -> Result<Snapshot> {
        let token = before.token_after(edit);
        let body = before.edited(PUT, edit)?;
        let accepted = match self.put(calls, &before, &body, &token).await {
            // A rehearsal: what this call would come to.
            Err(e) if e.kind() == ErrorKind::Withheld => {
                let document = as_if_accepted(&body, &calls.endpoint.endpoint).ok_or(e)?;
                return Ok(Snapshot { readiness: Readiness::Live, ..snapshot_of(PUT, &document)? });
            }
            accepted => accepted?,
        };
        let Some(Accepted { document, operation }) = accepted else {
            return Ok(self.look(calls).await?.1);
        };
        let (to, tag) = (to.clone(), edit.tag.clone());
        let shadow = shadow_of(edit.mirror.as_ref().unwrap_or(&before.mirror));
        let pending = Pending { before, to, shadow, marker, token, tag, operation, ended_since: None };
        self.with_known(calls.target, |known| known.pending = Some(pending));
        self.tell(calls.target, PUT, &document)
    }

    fn with_known<T>(&self, target: &Target, act: impl FnOnce(&mut Known) -> T) -> T {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        act(known.entry(target.clone()).or_default())
    }

    /// PUTs, and after an answer that is none looks before it PUTs again: there is no guard that would refuse a repeat
    /// over somebody else's change. `Ok(None)`: it has taken effect, by what the endpoint now is.
    async fn put(&self, calls: &Calls<'_>, before: &Document, body: &str, token: &str) -> Result<Option<Accepted>> {
        let mut repeats = 0;
        loop {
            let error = match calls.put(body).await {
                Ok(accepted) => return Ok(Some(accepted)),
                Err(error) => error,
            };
            if error.kind() != ErrorKind::Unavailable || repeats >= REPEATS {
                return Err(error);
            }
            repeats += 1;
            match calls.get().await {
                Ok(now) if now.token() == token => return Ok(None),
                Ok(now) if now.text == before.text => {}
                // It moves, by us or somebody else, or cannot be read: who asked looks on.
                Ok(_) | Err(_) => return Err(error),
            }
        }
    }
}

#[async_trait]
impl Backend for OnlineEndpoints {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            granule: Weight::from_basis_points(100).unwrap_or(Weight::FULL),
            guard: GuardKind::ReadCompare,
            most_revisions: 20,
            note_limit: TAG_VALUE,
            artifacts: &[ArtifactKind::Model, ArtifactKind::Stable],
            mirror: Weight::from_basis_points(MOST_MIRRORED),
        }
    }

    /// Twenty seconds is what a shift takes; each second more is one that nobody needs.
    fn poll_interval(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn access(&self) -> Option<Access> {
        self.access.clone()
    }

    async fn observe(&self, target: &Target) -> Result<Snapshot> {
        Ok(self.look(&self.calls(target, GET)?).await?.1)
    }

    async fn revisions(&self, target: &Target, limit: usize) -> Result<Vec<Revision>> {
        let mut deployments = self.calls(target, LIST)?.deployments().await?;
        deployments.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
        let revision = |d: Deployment| Revision { id: d.id, created: d.created, description: d.description };
        Ok(deployments.into_iter().map(revision).take(limit).collect())
    }

    async fn check(&self, target: &Target, stable: &RevisionId, candidate: &RevisionId) -> Result<Vec<Obstacle>> {
        let calls = self.calls(target, GET_DEPLOYMENT)?;
        let (candidate, stable) = futures_util::try_join!(calls.deployment(candidate), calls.deployment(stable))?;
        let both = [candidate, stable];
        let found = both.iter().flat_map(obstacles).collect();
        self.with_known(target, |known| known.checked = Some(both));
        Ok(found)
    }

    /// A write is a PUT of the whole endpoint.
    fn sent_along(&self) -> Option<&'static str> {
        Some(
            "what Azure itself keeps in the endpoint by then, such as `AzureAsyncOperationUri`: each write sends all of the endpoint back",
        )
    }

    fn advice(&self, target: &Target, stable: &RevisionId, candidate: &RevisionId, share: Weight) -> Vec<String> {
        let advice = self.with_known(target, |known| {
            let [ours, theirs] = known.checked.as_ref()?;
            let are_meant = ours.id == *candidate && theirs.id == *stable;
            are_meant.then(|| capacity::advice(theirs, ours, share)).flatten()
        });
        advice.into_iter().collect()
    }

    async fn shift(&self, target: &Target, to: &TrafficSplit, seen: &Snapshot, marker: &Marker) -> Result<Snapshot> {
        let calls = self.calls(target, PUT)?;
        let Some(traffic) = percents(to) else {
            let message = format!("an endpoint takes whole percents; asked for is {to}");
            return Err(Error::new(ErrorKind::Unsupported, PUT, message));
        };
        let back = matches!(marker.state, MarkerState::RolledBack { .. });
        let remembered = self.with_known(target, |known| known.read.clone());
        let before = match remembered {
            // The way back is one read and one write.
            Some((token, document)) if back && token == seen.guard.token => document,
            Some(_) | None => {
                let (document, now) = self.look(&calls).await?;
                if now.guard.token != seen.guard.token {
                    return Err(Error::new(
                        ErrorKind::Conflict,
                        PUT,
                        "the endpoint has changed since it was looked at",
                    ));
                }
                if let (false, Readiness::Settling(why) | Readiness::Failed(why)) = (back, &now.readiness) {
                    return Err(Error::new(ErrorKind::Conflict, PUT, format!("the endpoint is busy: {why}")));
                }
                document
            }
        };
        let carried = embed(&own_text(&before), marker, TAG_VALUE);
        let tag = carried.marker.is_some().then_some(carried.text);
        let edit = Edit { mirror: mirror_after(&before, &traffic, back), tag, traffic: Some(traffic) };
        self.write(&calls, before, &edit, to, carried.marker).await
    }

    async fn deploy(&self, target: &Target, seen: &Snapshot, release: &Release, pace: &dyn Pace) -> Result<Deployed> {
        let calls = self.calls(target, PUT_DEPLOYMENT)?;
        let changes = Changes::of(release, calls.endpoint)?;
        let Some(stable) = &seen.roles.stable else {
            let message = format!("nothing tells which deployment is to be copied: {seen}");
            return Err(Error::new(ErrorKind::Invalid, PUT_DEPLOYMENT, message));
        };
        let name = release.name.as_ref().map(checked).transpose()?;
        let wanted = calls.blueprint(stable).await?.copy(&changes)?;
        let name = name.map_or_else(|| wanted.name(), Ok)?;
        if seen.split.as_ref().is_some_and(|split| split.weight_of(&name) > Weight::ZERO) {
            let message = format!("deployment {name} has traffic: what is live is not made anew");
            return Err(Error::new(ErrorKind::Invalid, PUT_DEPLOYMENT, message));
        }
        Landing { calls: &calls, name, wanted: &wanted, pace }.run().await
    }

    /// Its key would have to be fetched, and sent to a host other than Resource Manager.
    async fn probe(&self, target: &Target, revision: &RevisionId, _: &Question<'_>, _: &dyn Pace) -> Result<Probe> {
        let message = format!(
            "mlroll holds no key to {target} and sends its token to Azure Resource Manager only; ask {revision} yourself: \
             az ml online-endpoint invoke --deployment-name {revision} --request-file FILE"
        );
        Err(Error::new(ErrorKind::Unsupported, "", message))
    }

    async fn capacity(&self, target: &Target, stable: &RevisionId, candidate: &RevisionId) -> Result<Option<Capacity>> {
        let calls = self.calls(target, GET_DEPLOYMENT)?;
        let (candidate, stable) = futures_util::try_join!(calls.deployment(candidate), calls.deployment(stable))?;
        Ok(capacity::change(&stable, &candidate))
    }

    async fn prepare(&self, target: &Target, capacity: &Capacity, pace: &dyn Pace) -> Result<()> {
        let change = capacity::Change::read(capacity)?;
        change.scale(&self.calls(target, SCALE)?, change.to, pace).await
    }

    async fn restore(&self, target: &Target, capacity: &Capacity, keeps: &RevisionId, pace: &dyn Pace) -> Result<()> {
        let change = capacity::Change::read(capacity)?;
        // Who has everything now needs all of it.
        if change.deployment == *keeps {
            return Ok(());
        }
        change.scale(&self.calls(target, SCALE)?, change.from, pace).await
    }

    async fn mirror(&self, target: &Target, revision: &RevisionId, share: Weight, seen: &Snapshot) -> Result<Snapshot> {
        let calls = self.calls(target, PUT)?;
        let refuse = |kind, message: String| Err(Error::new(kind, PUT, message));
        let bp = share.basis_points();
        if !bp.is_multiple_of(100) || bp > MOST_MIRRORED {
            return refuse(
                ErrorKind::Unsupported,
                format!("an endpoint mirrors whole percents, 50 % at most, not {share}"),
            );
        }
        let named = document::revision(revision.as_str())
            .map_err(|e| Error::new(ErrorKind::Invalid, PUT, format!("{revision}: {e}")))?;
        let (before, now) = self.look(&calls).await?;
        // A read while Azure works may show the split from before, and a PUT would bring that back.
        if let Readiness::Settling(why) = &now.readiness {
            return refuse(ErrorKind::Conflict, format!("the endpoint is busy: {why}"));
        }
        if now.guard.token != seen.guard.token {
            return refuse(ErrorKind::Conflict, "the endpoint has changed since it was looked at".to_owned());
        }
        let mirror = match share {
            Weight::ZERO => BTreeMap::new(),
            _ => [(named, f64::from(bp / 100))].into(),
        };
        if mirror == before.mirror {
            return Ok(now);
        }
        if share > Weight::ZERO && before.on_kubernetes {
            return refuse(ErrorKind::Unsupported, "Azure mirrors no traffic on Kubernetes endpoints".to_owned());
        }
        let Some(split) = now.split.clone() else {
            return refuse(ErrorKind::Invalid, "nobody has live traffic, so there is none to mirror".to_owned());
        };
        if mirror.keys().any(|named| split.weight_of(named) > Weight::ZERO) {
            let message = format!("{revision} has live traffic: a deployment is live or mirrored, not both");
            return refuse(ErrorKind::Invalid, message);
        }
        let edit = Edit { traffic: None, mirror: Some(mirror), tag: before.tag.clone() };
        self.write(&calls, before, &edit, &split, now.marker).await
    }
}

fn endpoint_of<'t>(target: &'t Target, operation: &'static str) -> Result<&'t AzureMlEndpoint> {
    match target {
        Target::AzureMl(endpoint) => Ok(endpoint),
        Target::CloudRun(_) | Target::Lambda(_) | Target::SageMaker(_) => {
            Err(Error::new(ErrorKind::Unsupported, operation, format!("{target} is not an Azure ML endpoint")))
        }
    }
}

/// An endpoint as it is shown.
fn snapshot_of(operation: &'static str, document: &Document) -> Result<Snapshot> {
    let split = document.split(operation)?;
    let marker = document.tag.as_deref().and_then(|tag| extract(tag).1);
    let marker = marker.filter(|marker| split.as_ref().is_some_and(|split| marker.fits(split)));
    let readiness = match document.state.to_ascii_lowercase().as_str() {
        "succeeded" => Readiness::Live,
        "failed" => Readiness::Failed("the endpoint's last operation failed".to_owned()),
        "canceled" => Readiness::Failed("the endpoint's last operation was canceled".to_owned()),
        "deleting" => Readiness::Failed("the endpoint is being deleted".to_owned()),
        _ => Readiness::Settling(format!("the endpoint is {}", crate::error::printable(&document.state, 40))),
    };
    let roles = split.as_ref().map_or_else(Roles::default, |split| Roles::of(split, marker.as_ref(), None));
    Ok(Snapshot {
        roles: Roles { shadow: shadow_of(&document.mirror), ..roles },
        split,
        marker,
        guard: GuardToken { token: document.token(), own_text: own_text(document) },
        readiness,
        modified: document.modified,
        taken_back: None,
        contents: None,
        replaced: None,
        nature: Nature::default(),
    })
}

/// The tag is ours alone. Where there is no room for one more it is as good as full.
fn own_text(document: &Document) -> String {
    if document.has_room_for_tag() { String::new() } else { " ".repeat(TAG_VALUE) }
}

/// An endpoint that does not show yet what it has accepted.
fn awaited(pending: &Pending, shown: &Snapshot, why: &str) -> Snapshot {
    Snapshot {
        split: Some(pending.to.clone()),
        roles: Roles { shadow: pending.shadow.clone(), ..Roles::of(&pending.to, pending.marker.as_ref(), None) },
        marker: pending.marker.clone(),
        guard: GuardToken { token: pending.token.clone(), own_text: shown.guard.own_text.clone() },
        readiness: Readiness::Settling(why.to_owned()),
        modified: shown.modified,
        taken_back: None,
        contents: None,
        replaced: None,
        nature: Nature::default(),
    }
}

/// The mirrored traffic that stays: a deployment is live or mirrored, not both, and the way back ends all of it.
fn mirror_after(
    before: &Document,
    traffic: &BTreeMap<RevisionId, u16>,
    back: bool,
) -> Option<BTreeMap<RevisionId, f64>> {
    let stays = |(revision, _): &(&RevisionId, &f64)| !back && !traffic.contains_key(*revision);
    let kept: BTreeMap<RevisionId, f64> =
        before.mirror.iter().filter(stays).map(|(revision, percent)| (revision.clone(), *percent)).collect();
    (kept != before.mirror).then_some(kept)
}

fn obstacles(deployment: &Deployment) -> Vec<Obstacle> {
    let Deployment { id, state, compute, capacity, .. } = deployment;
    let mut found = Vec::new();
    if !state.eq_ignore_ascii_case("succeeded") {
        let shown = crate::error::printable(state, 40);
        let remedy = match is_terminal(state) {
            true => format!("look at it: az ml online-deployment get-logs --name {id}"),
            false => "wait until its provisioning state is Succeeded".to_owned(),
        };
        found.push(Obstacle { what: format!("deployment {id} is {shown}, not Succeeded"), remedy });
    }
    // On Kubernetes the cluster scales, and need not tell.
    let managed = !compute.eq_ignore_ascii_case("kubernetes");
    let what = match capacity {
        Some(0) => format!("deployment {id} has no instances"),
        None if managed => format!("deployment {id} does not tell how many instances it has"),
        Some(_) | None => return found,
    };
    let remedy = format!("give it instances: az ml online-deployment update --name {id} --set instance_count=N");
    found.push(Obstacle { what, remedy });
    found
}
