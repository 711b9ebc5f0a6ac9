//! [`Backend`] on SageMaker endpoints.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use mlroll_backend::{
    Access, ArtifactKind, Backend, Capabilities, Capacity, Deployed, Error, ErrorKind, GuardKind, Marker, MarkerState,
    ModelStage, Nature, Obstacle, Pace, Probe, Pruned, Question, Readiness, Release, Result, Revision, RevisionId,
    Roles, Shadow, Snapshot, Target, Timestamp, TrafficSplit, Weight, Wiretap, embed,
};

use super::capacity::{self, Scaling};
use super::deploy::{Tags, deploy, mirror, tell_stage};
use super::kinds::components;
use super::learned::Learned;
use super::probe::wire::invoke;
use super::prune::{Landed, prune};
use super::read::{
    Known, TAG, config_in, contents, marks_the_smaller, note_before, note_of, obstacles, snapshot, split, weights,
};
use super::replaced::replaced;
use super::wire::{Calls, Endpoint};
use crate::session::Session;
use crate::settings::Settings;

pub(super) const UPDATE: &str = "UpdateEndpointWeightsAndCapacities";

/// Variants of SageMaker endpoints.
#[derive(Debug)]
pub struct SageMaker {
    pub(super) session: Session,
    access: Option<Access>,
    /// What was seen of each endpoint last.
    pub(super) learned: Mutex<BTreeMap<Target, Learned>>,
    /// The endpoint configs that were deployed, by endpoint.
    landed: Mutex<BTreeMap<Target, Landed>>,
}

impl SageMaker {
    /// A backend whose requests all go past `wiretap`. Reads no configuration and connects to nothing yet.
    #[must_use]
    pub fn new(settings: &Settings, wiretap: Arc<dyn Wiretap>) -> Self {
        Self {
            session: Session::new(settings, wiretap),
            access: settings.access(),
            learned: Mutex::default(),
            landed: Mutex::default(),
        }
    }
}

#[cfg(test)]
impl SageMaker {
    /// By a session of a test's own.
    pub(super) const fn by(session: Session) -> Self {
        Self { session, access: None, learned: Mutex::new(BTreeMap::new()), landed: Mutex::new(BTreeMap::new()) }
    }
}

#[async_trait]
impl Backend for SageMaker {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            granule: Weight::from_basis_points(1).unwrap_or(Weight::FULL),
            guard: GuardKind::ReadCompare,
            most_revisions: 10,
            note_limit: TAG,
            artifacts: &[
                ArtifactKind::Model,
                ArtifactKind::ModelData,
                ArtifactKind::ModelPackage,
                ArtifactKind::Stable,
            ],
            mirror: Some(Weight::FULL),
        }
    }

    fn access(&self) -> Option<Access> {
        self.access.clone()
    }

    async fn observe(&self, target: &Target) -> Result<Snapshot> {
        let operation = "DescribeEndpoint";
        let endpoint = &self.spelled(target, operation)?;
        let client = self.session.sagemaker(&endpoint.region).await;
        let calls = Calls { client: &client, target, endpoint };
        let described = describe(&calls).await?;
        self.learn(target, &described);
        let note = calls.note(&described.arn).await?;
        let seen = snapshot(operation, &described, note.as_ref())?;
        Ok(Snapshot { replaced: replaced(&calls, &described, note.as_ref(), &seen).await?, ..seen })
    }

    async fn observe_without_marker(&self, target: &Target) -> Result<Snapshot> {
        let operation = "DescribeEndpoint";
        let endpoint = &self.spelled(target, operation)?;
        let client = self.session.sagemaker(&endpoint.region).await;
        let described = describe(&Calls { client: &client, target, endpoint }).await?;
        self.learn(target, &described);
        let mut seen = snapshot(operation, &described, None)?;
        if marks_the_smaller(&described) {
            seen.roles = Roles::default();
        }
        Ok(seen)
    }

    async fn nature(&self, target: &Target, seen: &Snapshot) -> Result<Nature> {
        let may_hold = |learned: &Learned| learned.may_hold_components;
        let in_doubt = self.learned.lock().unwrap_or_else(PoisonError::into_inner).get(target).is_some_and(may_hold);
        let config = seen.contents.as_deref().and_then(config_in);
        let Some(config) = config.filter(|_| in_doubt) else { return Ok(seen.nature.clone()) };
        let endpoint = &self.spelled(target, "DescribeEndpointConfig")?;
        let client = self.session.sagemaker(&endpoint.region).await;
        let calls = Calls { client: &client, target, endpoint };
        Ok(match calls.variants_without_model(config).await?.as_slice() {
            [] => seen.nature.clone(),
            [_, ..] => components(&endpoint.region, &endpoint.endpoint),
        })
    }

    async fn revisions(&self, target: &Target, limit: usize) -> Result<Vec<Revision>> {
        let endpoint = &self.spelled(target, "DescribeEndpoint")?;
        let client = self.session.sagemaker(&endpoint.region).await;
        let described = describe(&Calls { client: &client, target, endpoint }).await?;
        // Variants have no age; the endpoint config's order is all there is.
        let revision =
            |name: &str| Some(Revision { id: name.parse().ok()?, created: None, description: String::new() });
        let all = described.variants.iter().chain(&described.shadows);
        Ok(all.filter_map(|variant| revision(&variant.name)).take(limit).collect())
    }

    async fn check(&self, target: &Target, stable: &RevisionId, candidate: &RevisionId) -> Result<Vec<Obstacle>> {
        let endpoint = &self.spelled(target, "DescribeEndpointConfig")?;
        let client = self.session.sagemaker(&endpoint.region).await;
        let calls = Calls { client: &client, target, endpoint };
        let described = describe(&calls).await?;
        let without_model = calls.variants_without_model(&described.config).await?;
        self.learn(target, &described);
        Ok(obstacles(&described, &without_model, stable, candidate))
    }

    fn advice(&self, target: &Target, stable: &RevisionId, candidate: &RevisionId, _: Weight) -> Vec<String> {
        let few = self.lacks(target, stable, candidate, Weight::FULL).map(|(gets, has)| {
            format!(
                "{candidate} has fewer instances than {stable}: {gets} and not {has}; it gets as many before its first share, \
                 unless its capacity is left as it is"
            )
        });
        few.into_iter().chain(self.misspelled(target)).collect()
    }

    fn shortfall(
        &self,
        target: &Target,
        stable: &RevisionId,
        candidate: &RevisionId,
        share: Weight,
    ) -> Option<Obstacle> {
        let (gets, has) = self.lacks(target, stable, candidate, share)?;
        let mlroll_backend::SageMakerEndpoint { region, endpoint: name, .. } = self.spelled(target, UPDATE).ok()?;
        let of_it = if share == Weight::FULL { "everything".to_owned() } else { share.to_string() };
        Some(Obstacle {
            what: format!("{candidate} has fewer instances than {stable}: {gets} and not {has}, and would get {of_it}"),
            remedy: format!(
                "give it as many first, which takes minutes: aws sagemaker update-endpoint-weights-and-capacities \
                 --region {region} --endpoint-name {name} --desired-weights-and-capacities \
                 VariantName={candidate},DesiredInstanceCount={has}"
            ),
        })
    }

    fn has_lasting_capacity(&self) -> bool {
        true
    }

    async fn lasting_capacity(
        &self,
        target: &Target,
        stable: &RevisionId,
        candidate: &RevisionId,
    ) -> Result<Option<Capacity>> {
        let endpoint = &self.spelled(target, "DescribeScalableTargets")?;
        let client = self.session.sagemaker(&endpoint.region).await;
        let scaling = self.session.scaling(&endpoint.region).await;
        let calls = Calls { client: &client, target, endpoint };
        capacity::capacity(&Scaling { client: &scaling, calls: &calls }, stable, candidate, true).await
    }

    async fn shift(&self, target: &Target, to: &TrafficSplit, seen: &Snapshot, marker: &Marker) -> Result<Snapshot> {
        let endpoint = &self.spelled(target, UPDATE)?;
        let known = Known::from(&seen.guard).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, UPDATE, "what was seen of the endpoint was not seen by this backend")
        })?;
        if let Some(shadow) = &seen.roles.shadow {
            return self.shift_beside(target, to, seen, marker, shadow).await;
        }
        if let Some((missing, _)) =
            to.iter().find(|(revision, _)| !known.variants.iter().any(|v| v == revision.as_str()))
        {
            let message = format!("the endpoint has no variant {missing}; it has {}", known.variants.join(", "));
            return Err(Error::new(ErrorKind::NotFound, UPDATE, message));
        }
        let client = self.session.sagemaker(&endpoint.region).await;
        let calls = Calls { client: &client, target, endpoint };
        let weights = weights(to, &marker.stable, &known.variants);
        let note = note_of(marker, seen);
        let goes_back = matches!(marker.state, MarkerState::RolledBack { .. });
        let carried = if goes_back {
            put_weights(&calls, to, &weights).await?;
            // The way back is taken: a note that cannot be left must not make it look as if it were not.
            sent(calls.set_note(&known.arn, Some(&note)).await).is_ok()
        } else {
            unchanged(&describe(&calls).await?, seen, &known)?;
            sent(calls.set_note(&known.arn, Some(&note)).await)?;
            if let Err(refused) = put_weights(&calls, to, &weights).await {
                // The marker goes back to what it was, so that the endpoint is as it was. When even that fails, the new one
                // does not fit the split, or names the same revisions.
                if !refused.was_answered() {
                    return Err(refused);
                }
                let before = seen.marker.as_ref().map(|marker| note_before(marker, seen));
                let is_as_before = calls.set_note(&known.arn, before.as_ref()).await.is_ok();
                // Of a lost answer before it, a refusal of the SDK's next attempt tells nothing where that may be about our own change.
                let by_name = matches!(refused.kind(), ErrorKind::Auth | ErrorKind::Invalid | ErrorKind::NotFound);
                return Err(if by_name && is_as_before { refused.changed_nothing() } else { refused });
            }
            true
        };
        Ok(after(to, marker, seen, carried))
    }

    async fn mirror(&self, target: &Target, revision: &RevisionId, share: Weight, seen: &Snapshot) -> Result<Snapshot> {
        let endpoint = &self.spelled(target, "UpdateEndpoint")?;
        let client = self.session.sagemaker(&endpoint.region).await;
        let scaling = self.session.scaling(&endpoint.region).await;
        let calls = Calls { client: &client, target, endpoint };
        mirror(&Scaling { client: &scaling, calls: &calls }, revision, share, seen, Tags::Copied).await
    }

    async fn deploy(&self, target: &Target, seen: &Snapshot, release: &Release, pace: &dyn Pace) -> Result<Deployed> {
        let endpoint = &self.spelled(target, "UpdateEndpoint")?;
        let client = self.session.sagemaker(&endpoint.region).await;
        let scaling = self.session.scaling(&endpoint.region).await;
        let calls = Calls { client: &client, target, endpoint };
        let (deployed, landed) = deploy(&Scaling { client: &scaling, calls: &calls }, seen, release, pace).await?;
        self.landed.lock().unwrap_or_else(PoisonError::into_inner).insert(target.clone(), landed);
        Ok(deployed)
    }

    fn prunes(&self) -> bool {
        true
    }

    async fn prune(&self, target: &Target, now: Timestamp) -> Result<Pruned> {
        let endpoint = &self.spelled(target, "DescribeEndpoint")?;
        let client = self.session.sagemaker(&endpoint.region).await;
        let landed = self.landed.lock().unwrap_or_else(PoisonError::into_inner).get(target).cloned();
        prune(&Calls { client: &client, target, endpoint }, landed.as_ref(), now).await
    }

    async fn probe(
        &self,
        target: &Target,
        revision: &RevisionId,
        question: &Question<'_>,
        _: &dyn Pace,
    ) -> Result<Probe> {
        let endpoint = &self.spelled(target, "InvokeEndpoint")?;
        let client = self.session.sagemaker_runtime(&endpoint.region).await;
        invoke(&client, target, endpoint, revision, question.payload).await
    }

    async fn tell_stage(&self, target: &Target, revision: &RevisionId, stage: &ModelStage) -> Result<Option<String>> {
        let endpoint = &self.spelled(target, "UpdateModelPackage")?;
        let client = self.session.sagemaker(&endpoint.region).await;
        tell_stage(&Calls { client: &client, target, endpoint }, revision, stage).await
    }

    async fn capacity(&self, target: &Target, stable: &RevisionId, candidate: &RevisionId) -> Result<Option<Capacity>> {
        let endpoint = &self.spelled(target, "DescribeScalableTargets")?;
        let client = self.session.sagemaker(&endpoint.region).await;
        let scaling = self.session.scaling(&endpoint.region).await;
        let calls = Calls { client: &client, target, endpoint };
        capacity::capacity(&Scaling { client: &scaling, calls: &calls }, stable, candidate, false).await
    }

    async fn prepare(&self, target: &Target, capacity: &Capacity, pace: &dyn Pace) -> Result<()> {
        let endpoint = &self.spelled(target, UPDATE)?;
        let client = self.session.sagemaker(&endpoint.region).await;
        let scaling = self.session.scaling(&endpoint.region).await;
        let calls = Calls { client: &client, target, endpoint };
        capacity::prepare(&Scaling { client: &scaling, calls: &calls }, capacity, pace).await
    }

    async fn restore(&self, target: &Target, capacity: &Capacity, keeps: &RevisionId, pace: &dyn Pace) -> Result<()> {
        let endpoint = &self.spelled(target, UPDATE)?;
        let client = self.session.sagemaker(&endpoint.region).await;
        let scaling = self.session.scaling(&endpoint.region).await;
        let calls = Calls { client: &client, target, endpoint };
        capacity::restore(&Scaling { client: &scaling, calls: &calls }, capacity, keeps, pace).await
    }
}

impl SageMaker {
    /// A shift while there is a shadow variant. Beside it stands one production variant, which has everything: the way back to
    /// that one ends the copies, and nobody else can get users.
    async fn shift_beside(
        &self,
        target: &Target,
        to: &TrafficSplit,
        seen: &Snapshot,
        marker: &Marker,
        shadow: &Shadow,
    ) -> Result<Snapshot> {
        if seen.split.as_ref() != Some(to) || !matches!(marker.state, MarkerState::RolledBack { .. }) {
            let message = format!(
                "{shadow}: beside a shadow variant only one other can be; end the copies first: `mlroll shadow --off --target {target}`"
            );
            return Err(Error::new(ErrorKind::Invalid, UPDATE, message));
        }
        let endpoint = &self.spelled(target, "UpdateEndpoint")?;
        let client = self.session.sagemaker(&endpoint.region).await;
        let calls = Calls { client: &client, target, endpoint };
        let scaling = self.session.scaling(&endpoint.region).await;
        let scaling = Scaling { client: &scaling, calls: &calls };
        let ended = mirror(&scaling, &shadow.revision, Weight::ZERO, seen, Tags::Left).await?;
        let arn = Known::from(&seen.guard).map(|known| known.arn).unwrap_or_default();
        let carried = sent(calls.set_note(&arn, Some(&note_of(marker, &ended))).await).is_ok();
        Ok(Snapshot { readiness: ended.readiness, ..after(to, marker, seen, carried) })
    }
}

pub(super) async fn describe(calls: &Calls<'_>) -> Result<Endpoint> {
    let described = calls.describe().await?;
    let account = described.arn.split(':').nth(4).unwrap_or_default();
    match &calls.endpoint.owner {
        Some(owner) if owner.account != account => {
            let message = format!(
                "the credentials are of account {account}, and the target is in {}: this is another endpoint of the same name",
                owner.account
            );
            Err(Error::new(ErrorKind::Invalid, "DescribeEndpoint", message))
        }
        Some(_) | None => Ok(described),
    }
}

/// Writes weights. After a lost answer the SDK's own next attempt finds the endpoint busy with our change: the endpoint knows
/// better than the answer.
async fn put_weights(calls: &Calls<'_>, to: &TrafficSplit, weights: &[(String, u16)]) -> Result<()> {
    let Err(error) = sent(calls.set_weights(weights).await) else {
        return Ok(());
    };
    let doubtful = error.kind() == ErrorKind::Conflict || !error.was_answered();
    if doubtful
        && let Ok(now) = calls.describe().await
        && split(UPDATE, &now)?.as_ref() == Some(to)
    {
        return Ok(());
    }
    Err(error)
}

/// A rehearsal stops writes; what follows them is rehearsed, too.
pub(super) fn sent(result: Result<()>) -> Result<()> {
    match result {
        Err(e) if e.kind() == ErrorKind::Withheld => Ok(()),
        other => other,
    }
}

/// Read, compare, write: fails when the endpoint is not as it was seen, or is busy.
fn unchanged(now: &Endpoint, seen: &Snapshot, known: &Known) -> Result<()> {
    let conflict = |message: String| Err(Error::new(ErrorKind::Conflict, UPDATE, message));
    if now.status != "InService" {
        return conflict(format!("the endpoint is {}, and takes no change until it is InService", now.status));
    }
    let variants = now.variants.iter().map(|variant| &variant.name);
    if split(UPDATE, now)? != seen.split || !variants.eq(&known.variants) {
        return conflict("somebody else changed the endpoint since it was read".to_owned());
    }
    if let (Some(then), Some(now)) = (&seen.contents, &contents(now))
        && then != now
    {
        return conflict(format!(
            "somebody else deployed since the endpoint was read: its variants were those of {then}, and are of {now}"
        ));
    }
    Ok(())
}

/// The endpoint as it is when the weights have been accepted.
fn after(to: &TrafficSplit, marker: &Marker, seen: &Snapshot, carried: bool) -> Snapshot {
    let marker = if carried { embed("", marker, TAG).marker } else { None };
    Snapshot {
        roles: Roles::of(to, marker.as_ref(), None),
        split: Some(to.clone()),
        marker,
        guard: seen.guard.clone(),
        readiness: Readiness::Settling("the new weights are accepted".to_owned()),
        modified: None,
        taken_back: None,
        contents: seen.contents.clone(),
        replaced: None,
        nature: seen.nature.clone(),
    }
}
