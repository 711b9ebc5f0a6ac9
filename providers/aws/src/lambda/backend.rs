//! [`Backend`] on Lambda aliases.

use std::sync::Arc;
#[cfg(feature = "cloudwatch")]
use std::time::Duration;

use async_trait::async_trait;
use mlroll_backend::{
    Access, ArtifactKind, Backend, Capabilities, Capacity, Deployed, Error, ErrorKind, GuardKind, GuardToken,
    LambdaAlias, Marker, MarkerState, Nature, Obstacle, Pace, Probe, Question, Readiness, Release, Result, Revision,
    RevisionId, Roles, Snapshot, Target, TrafficSplit, Weight, Wiretap, embed, extract,
};

use super::concurrency;
use super::deploy::Delivery;
use super::wire::{Alias, AliasUpdate, Calls, Configuration, LATEST};
use crate::session::Session;
use crate::settings::Settings;

/// The longest description of an alias, in characters (Lambda API model).
const DESCRIPTION: usize = 256;

/// Weighted aliases of Lambda functions.
#[derive(Debug)]
pub struct Lambda {
    pub(super) session: Session,
    access: Option<Access>,
}

impl Lambda {
    /// A backend whose requests all go past `wiretap`. Reads no configuration and connects to nothing yet.
    #[must_use]
    pub fn new(settings: &Settings, wiretap: Arc<dyn Wiretap>) -> Self {
        Self { session: Session::new(settings, wiretap), access: settings.access() }
    }
}

#[cfg(test)]
impl Lambda {
    /// By a session of a test's own.
    pub(super) const fn by(session: Session) -> Self {
        Self { session, access: None }
    }
}

#[async_trait]
impl Backend for Lambda {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            granule: Weight::from_basis_points(1).unwrap_or(Weight::FULL),
            guard: GuardKind::Atomic,
            most_revisions: 2,
            note_limit: DESCRIPTION,
            artifacts: &[ArtifactKind::Image, ArtifactKind::S3, ArtifactKind::Stable, ArtifactKind::Zip],
            mirror: None,
        }
    }

    fn access(&self) -> Option<Access> {
        self.access.clone()
    }

    async fn observe(&self, target: &Target) -> Result<Snapshot> {
        let alias = alias_of(target, "GetAlias")?;
        let client = self.session.lambda(&alias.region).await;
        let answer = Calls { client: &client, target, alias }.get_alias().await?;
        read("GetAlias", &answer)
    }

    async fn revisions(&self, target: &Target, limit: usize) -> Result<Vec<Revision>> {
        let alias = alias_of(target, "ListVersionsByFunction")?;
        let client = self.session.lambda(&alias.region).await;
        let listed = Calls { client: &client, target, alias }.list_versions().await?;
        // Numbers, not names: version 10 is newer than version 9. `$LATEST` is no revision.
        let mut numbered: Vec<(u64, Revision)> = listed
            .into_iter()
            .filter_map(|v| {
                let id = v.version.parse().ok()?;
                Some((v.version.parse().ok()?, Revision { id, created: v.modified, description: v.description }))
            })
            .collect();
        numbered.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        Ok(numbered.into_iter().map(|(_, revision)| revision).take(limit).collect())
    }

    async fn check(&self, target: &Target, stable: &RevisionId, candidate: &RevisionId) -> Result<Vec<Obstacle>> {
        let alias = alias_of(target, "GetFunctionConfiguration")?;
        if stable.as_str() == LATEST || candidate.as_str() == LATEST {
            return Ok(vec![latest_takes_no_weights(stable)]);
        }
        let client = self.session.lambda(&alias.region).await;
        let calls = Calls { client: &client, target, alias };
        let (stable_is, candidate_is) =
            tokio::try_join!(calls.get_configuration(stable.as_str()), calls.get_configuration(candidate.as_str()))?;
        Ok(obstacles(stable, &stable_is, candidate, &candidate_is))
    }

    async fn shift(&self, target: &Target, to: &TrafficSplit, seen: &Snapshot, marker: &Marker) -> Result<Snapshot> {
        let operation = "UpdateAlias";
        let alias = alias_of(target, operation)?;
        if to.iter().any(|(revision, _)| revision.as_str() == LATEST) {
            let message = "$LATEST changes under the alias: it is no version to go to";
            return Err(Error::new(ErrorKind::Invalid, operation, message));
        }
        let carried = embed(&seen.guard.own_text, marker, DESCRIPTION);
        let update = AliasUpdate {
            description: &carried.text,
            revision_id: &seen.guard.token,
            ..split_of(to, &marker.stable).ok_or_else(|| {
                let message =
                    format!("an alias holds one or two versions, one of them stable {}; asked for {to}", marker.stable);
                Error::new(ErrorKind::Unsupported, operation, message)
            })?
        };
        let client = self.session.lambda(&alias.region).await;
        let answer = match (Calls { client: &client, target, alias }).update_alias(&update).await {
            // A rehearsal: the answer that this call would get.
            Err(e) if e.kind() == ErrorKind::Withheld => Alias {
                function_version: update.function_version.to_string(),
                additional: update.additional.iter().map(|(v, share)| (v.to_string(), *share)).collect(),
                description: carried.text.clone(),
                revision_id: seen.guard.token.clone(),
            },
            other => other?,
        };
        let after = read(operation, &answer)?;
        if after.split.as_ref() != Some(to) {
            let message = format!("Lambda accepted the change, but answered with {after} where {to} was asked for");
            return Err(Error::new(ErrorKind::Unexpected, operation, message));
        }
        Ok(after)
    }

    async fn deploy(&self, target: &Target, seen: &Snapshot, release: &Release, pace: &dyn Pace) -> Result<Deployed> {
        let alias = alias_of(target, "UpdateFunctionCode")?;
        let client = self.session.lambda(&alias.region).await;
        Delivery { calls: Calls { client: &client, target, alias }, release, pace }.make(seen).await
    }

    async fn probe(
        &self,
        target: &Target,
        revision: &RevisionId,
        question: &Question<'_>,
        _: &dyn Pace,
    ) -> Result<Probe> {
        let alias = alias_of(target, "Invoke")?;
        let client = self.session.lambda(&alias.region).await;
        Calls { client: &client, target, alias }.invoke(revision.as_str(), question.payload).await
    }

    async fn capacity(&self, target: &Target, stable: &RevisionId, candidate: &RevisionId) -> Result<Option<Capacity>> {
        let alias = alias_of(target, "ListProvisionedConcurrencyConfigs")?;
        let client = self.session.lambda(&alias.region).await;
        concurrency::capacity(&Calls { client: &client, target, alias }, stable, candidate).await
    }

    async fn outgrown(
        &self,
        target: &Target,
        _: &RevisionId,
        _: &RevisionId,
        share: Weight,
        reserved: Option<&Capacity>,
    ) -> Result<Option<Obstacle>> {
        let Some(reserved) = reserved else { return Ok(None) };
        let alias = alias_of(target, "ListProvisionedConcurrencyConfigs")?;
        let client = self.session.lambda(&alias.region).await;
        concurrency::outgrown(&Calls { client: &client, target, alias }, reserved, share).await
    }

    async fn prepare(&self, target: &Target, capacity: &Capacity, pace: &dyn Pace) -> Result<()> {
        let alias = alias_of(target, "PutProvisionedConcurrencyConfig")?;
        let client = self.session.lambda(&alias.region).await;
        concurrency::prepare(&Calls { client: &client, target, alias }, capacity, pace).await
    }

    async fn restore(&self, target: &Target, capacity: &Capacity, keeps: &RevisionId, pace: &dyn Pace) -> Result<()> {
        let alias = alias_of(target, "DeleteProvisionedConcurrencyConfig")?;
        let client = self.session.lambda(&alias.region).await;
        concurrency::restore(&Calls { client: &client, target, alias }, capacity, keeps, pace).await
    }
}

/// How long an invocation of a version may run, where Lambda tells.
#[cfg(feature = "cloudwatch")]
pub(crate) async fn timeout(session: &Session, target: &Target, version: &RevisionId) -> Result<Option<Duration>> {
    let alias = alias_of(target, "GetFunctionConfiguration")?;
    let client = session.lambda(&alias.region).await;
    Ok(Calls { client: &client, target, alias }.get_configuration(version.as_str()).await?.timeout)
}

fn alias_of<'t>(target: &'t Target, operation: &'static str) -> Result<&'t LambdaAlias> {
    match target {
        Target::Lambda(alias) => Ok(alias),
        Target::AzureMl(_) | Target::CloudRun(_) | Target::SageMaker(_) => {
            Err(Error::new(ErrorKind::Unsupported, operation, format!("{target} is not a Lambda alias")))
        }
    }
}

/// An alias' answer as a snapshot.
fn read(operation: &'static str, alias: &Alias) -> Result<Snapshot> {
    let unexpected = |e: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Unexpected, operation, format!("Lambda's answer makes no sense: {e}"))
    };
    let primary: RevisionId = alias.function_version.parse().map_err(|e| unexpected(&e))?;
    let mut shares = Vec::new();
    for (version, share) in &alias.additional {
        shares.push((version.parse::<RevisionId>().map_err(|e| unexpected(&e))?, *share));
    }
    let (own_text, marker) = extract(&alias.description);
    // A canary whose share somebody raised to a weight of 1: told as all but the least, so that stable stays known.
    let raised = marker.as_ref().is_some_and(|marker| {
        let raises = |candidate| alias.additional.iter().any(|(version, _)| version == RevisionId::as_str(candidate));
        marker.stable == primary && matches!(&marker.state, MarkerState::Canary { candidate } if raises(candidate))
    });
    let (split, readiness) = match shares.as_slice() {
        // Not somebody's canary: while provisioned concurrency moves to the primary, AWS itself shows the version it
        // moves from at weight 1 (hashicorp/terraform-provider-aws#48116).
        [(from, share)] if *share >= 1.0 - 1e-6 && raised => {
            let all = Weight::FULL.basis_points();
            let share = Weight::from_basis_points(all.saturating_sub(1)).unwrap_or(Weight::FULL);
            (TrafficSplit::between(primary.clone(), from.clone(), share), Readiness::Live)
        }
        [(from, share)] if *share >= 1.0 - 1e-6 => {
            let why = format!(
                "version {from} still serves everything: its provisioned concurrency moves to {primary} (6 to 8 minutes), \
                 or somebody set its weight to 1"
            );
            (TrafficSplit::full(primary.clone()), Readiness::Settling(why))
        }
        _ => {
            let rest = 1.0 - shares.iter().map(|(_, share)| share).sum::<f64>();
            // A sum of floats that should be 1 may miss it by a hair.
            let rest = if rest.abs() < 1e-9 { 0.0 } else { rest };
            shares.push((primary.clone(), rest));
            (TrafficSplit::apportion(shares).map_err(|e| unexpected(&e))?, Readiness::Live)
        }
    };
    let marker = marker.filter(|marker| marker.fits(&split));
    Ok(Snapshot {
        roles: Roles::of(&split, marker.as_ref(), Some(&primary)),
        split: Some(split),
        marker,
        guard: GuardToken { token: alias.revision_id.clone(), own_text: own_text.to_owned() },
        readiness,
        modified: None,
        taken_back: None,
        contents: None,
        replaced: None,
        nature: Nature::default(),
    })
}

/// The alias that makes `to` the split: stable is the primary, so that an empty map of weights is always the way back.
fn split_of<'a>(to: &'a TrafficSplit, stable: &'a RevisionId) -> Option<AliasUpdate<'a>> {
    let shares: Vec<(&RevisionId, Weight)> = to.iter().filter(|(revision, _)| *revision != stable).collect();
    let additional = match shares.as_slice() {
        [] => None,
        [(candidate, share)] if to.len() == 2 => Some((*candidate, share.fraction())),
        _ => return None,
    };
    Some(AliasUpdate { function_version: stable, additional, description: "", revision_id: "" })
}

fn latest_takes_no_weights(stable: &RevisionId) -> Obstacle {
    if stable.as_str() == LATEST {
        Obstacle {
            what: "the alias points at $LATEST, which changes under it and takes no weights".to_owned(),
            remedy: "publish a version and point the alias at it: aws lambda publish-version, aws lambda update-alias"
                .to_owned(),
        }
    } else {
        Obstacle {
            what: "$LATEST changes under the alias and takes no weights".to_owned(),
            remedy: "publish a version and name it: aws lambda publish-version".to_owned(),
        }
    }
}

/// What Lambda would refuse (two roles, two dead-letter queues) or, worse, would not: a version that cannot serve yet.
fn obstacles(
    stable: &RevisionId,
    stable_is: &Configuration,
    candidate: &RevisionId,
    candidate_is: &Configuration,
) -> Vec<Obstacle> {
    let mut found = Vec::new();
    for (revision, configuration) in [(candidate, candidate_is), (stable, stable_is)] {
        if !matches!(configuration.state.as_str(), "Active" | "") {
            let reason = match configuration.state_reason.as_str() {
                "" => String::new(),
                reason => format!(" ({reason})"),
            };
            let remedy = match configuration.state.as_str() {
                "Pending" => "wait until it is Active: aws lambda wait published-version-active".to_owned(),
                "Inactive" => format!("invoke version {revision} once, which makes Lambda set it up again"),
                _ => format!("look at it: aws lambda get-function-configuration --qualifier {revision}"),
            };
            found.push(Obstacle {
                what: format!("version {revision} is {}, not Active{reason}", configuration.state),
                remedy,
            });
        }
    }
    for (what, of_stable, of_candidate) in [
        ("execution role", &stable_is.role, &candidate_is.role),
        ("dead-letter queue", &stable_is.dead_letter, &candidate_is.dead_letter),
    ] {
        if of_stable != of_candidate {
            let shown = |text: &String| if text.is_empty() { "none".to_owned() } else { text.clone() };
            found.push(Obstacle {
                what: format!(
                    "versions {stable} and {candidate} have different {what}s ({} and {}), and one alias takes only one",
                    shown(of_stable),
                    shown(of_candidate)
                ),
                remedy: format!("publish a version with the same {what} as {stable}"),
            });
        }
    }
    found
}
