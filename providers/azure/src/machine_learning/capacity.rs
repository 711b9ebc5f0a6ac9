//! As many instances for the candidate as stable has: a share of what many carry is an outage for one.

use std::time::Duration;

use mlroll_backend::{Capacity, Error, ErrorKind, Pace, Result, RevisionId, Weight};
use serde::{Deserialize, Serialize};

use super::pending::is_terminal;
use super::wire::{Calls, Deployment, SCALE};

/// How long a look at a deployment that scales is left out: 12 to 18 minutes were reported.
const PAUSE: Duration = Duration::from_secs(10);

/// Another number of instances: what the journal keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    pub(super) deployment: RevisionId,
    pub(super) from: u64,
    pub(super) to: u64,
}

/// What the candidate needs to carry what stable carries. On Kubernetes the cluster scales.
pub(super) fn change(stable: &Deployment, candidate: &Deployment) -> Option<Capacity> {
    let managed = |of: &Deployment| !of.compute.eq_ignore_ascii_case("kubernetes");
    let (from, to) = candidate.capacity.zip(stable.capacity)?;
    if from >= to || !managed(stable) || !managed(candidate) {
        return None;
    }
    let change = Change { deployment: candidate.id.clone(), from, to };
    let changes = vec![format!("{}: {from} instances become {to}, as many as {} has", candidate.id, stable.id)];
    Some(Capacity { token: serde_json::to_string(&change).ok()?, changes })
}

/// Whether the candidate has fewer instances than its `share` of what stable's carry needs. Said, not refused: stable may have more
/// than it needs.
pub(super) fn advice(stable: &Deployment, candidate: &Deployment, share: Weight) -> Option<String> {
    let (has, all) = candidate.capacity.zip(stable.capacity)?;
    let needed = (all as f64 * share.fraction()).ceil().max(1.0) as u64;
    let instances = |count: u64| if count == 1 { "1 instance".to_owned() } else { format!("{count} instances") };
    (change(stable, candidate).is_some() && has < needed).then(|| {
        format!(
            "{} has {}, and {share} of what {} of {} carry is for {needed}: `az ml online-deployment update --name {} --set \
             instance_count={needed}`, or a `rollout`, which gives it as many as {} has before its first share",
            candidate.id,
            instances(has),
            instances(all),
            stable.id,
            candidate.id,
            stable.id
        )
    })
}

impl Change {
    /// # Errors
    /// `Invalid`: it is not ours.
    pub(super) fn read(capacity: &Capacity) -> Result<Self> {
        serde_json::from_str(&capacity.token)
            .map_err(|_| Error::new(ErrorKind::Invalid, SCALE, "what the journal says of the capacity cannot be read"))
    }

    /// Gives the deployment so many instances, unless it has them, and waits until it has.
    pub(super) async fn scale(&self, calls: &Calls<'_>, instances: u64, pace: &dyn Pace) -> Result<()> {
        let name = &self.deployment;
        let (mut asked, mut under_way): (bool, Option<String>) = (false, None);
        loop {
            let now = calls.deployment(name).await?;
            let idle = is_terminal(&now.state);
            if idle && now.capacity == Some(instances) {
                return Ok(());
            }
            let what = if !idle {
                format!("deployment {name} is {}", crate::error::printable(&now.state, 40))
            } else if asked && !now.state.eq_ignore_ascii_case("succeeded") {
                let reason = match &under_way {
                    Some(operation) => calls.reason(operation).await,
                    None => None,
                };
                let why = reason.map_or_else(String::new, |reason| format!(": {reason}"));
                let message = format!("deployment {name} does not get {instances} instances{why}");
                return Err(Error::new(ErrorKind::Invalid, SCALE, message));
            } else {
                match calls.scale(name, instances).await {
                    Ok(operation) => (asked, under_way) = (true, operation),
                    Err(e) if e.kind() == ErrorKind::Withheld => return Ok(()),
                    // Asked again after the next look, which tells whether it was done.
                    Err(e) if matches!(e.kind(), ErrorKind::Conflict | ErrorKind::Unavailable) => {}
                    Err(e) => return Err(e),
                }
                format!("deployment {name} gets {instances} instances")
            };
            pace.pause(&what, Some(PAUSE)).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(name: &str, capacity: Option<u64>, compute: &str) -> Deployment {
        Deployment {
            id: name.parse().unwrap(),
            created: None,
            description: String::new(),
            state: "Succeeded".to_owned(),
            compute: compute.to_owned(),
            capacity,
        }
    }

    #[test]
    fn too_few_instances_for_a_share_are_told() {
        let told = |stable, candidate, percent: u16, compute| {
            let (stable, candidate) = (deployment("blue", stable, compute), deployment("green", candidate, compute));
            advice(&stable, &candidate, Weight::from_basis_points(percent * 100).unwrap())
        };
        let text = told(Some(4), Some(1), 50, "Managed").unwrap();
        assert!(
            text.starts_with("green has 1 instance, and 50 % of what 4 instances of blue carry is for 2: "),
            "{text}"
        );
        for (stable, candidate, percent, compute) in [
            (Some(4), Some(1), 25, "Managed"),
            (Some(4), Some(2), 50, "Managed"),
            (Some(1), Some(1), 100, "Managed"),
            (Some(4), Some(1), 50, "Kubernetes"),
            (None, Some(1), 50, "Managed"),
        ] {
            assert_eq!(told(stable, candidate, percent, compute), None);
        }
    }

    #[test]
    fn a_candidate_gets_as_many_as_stable_has_and_never_less() {
        let found = |stable, candidate| {
            change(&deployment("blue", stable, "Managed"), &deployment("green", candidate, "Managed"))
        };
        let change_to_four = found(Some(4), Some(1)).unwrap();
        let change_read = Change::read(&change_to_four).unwrap();
        assert_eq!((change_read.from, change_read.to, change_read.deployment.as_str()), (1, 4, "green"));
        assert_eq!(change_to_four.changes, ["green: 1 instances become 4, as many as blue has"]);
        for (stable, candidate) in [(Some(4), Some(4)), (Some(1), Some(4)), (None, Some(1)), (Some(4), None)] {
            assert_eq!(found(stable, candidate), None);
        }
        let kubernetes = deployment("green", Some(1), "Kubernetes");
        assert_eq!(change(&deployment("blue", Some(4), "Kubernetes"), &kubernetes), None);
        let foreign = Capacity { token: "{}".to_owned(), changes: Vec::new() };
        assert_eq!(Change::read(&foreign).unwrap_err().kind(), ErrorKind::Invalid);
    }
}
