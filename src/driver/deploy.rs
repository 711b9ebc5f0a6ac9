//! New revisions, made at zero traffic.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use mlroll_backend::{
    ArtifactKind, Backend, Deployed, Error, ErrorKind, MarkerState, Probe, Provider, Pruned, Question, Release,
    Snapshot, Target,
};

use super::patience::Patience;
use super::{Backends, Driver, Interrupts};
use crate::clock::Deadline;
use crate::config::Selected;
use crate::failure::Failure;
use crate::wire::Calls;

/// Why the first revision is not made here.
const FIRST: &str = "a first deploy cannot be at 0 %: whatever is there first gets all traffic. Make the target and its first \
                     revision with the cloud's own tools; `mlroll deploy` makes the next ones";

/// What it means something to.
const PRUNES: &str = "allowed for sagemaker, whose deployments leave endpoint configs and models";

/// The deployment is found to be there then.
const AGAIN: &str = "the same command, typed again, tries it again";

/// A revision that is wanted on every target.
#[derive(Debug)]
pub struct Delivery<'a> {
    /// What is wanted.
    pub release: &'a Release,
    /// For how long after a promote its `previous` is not overwritten.
    pub keep_previous: Duration,
    /// What the new revision must answer well.
    pub smoke: Option<Question<'a>>,
    /// Whether what earlier deployments left behind is deleted then, and of which targets not, and why.
    pub prune: Option<&'a BTreeMap<Target, Failure>>,
}

/// What became of one target's new revision.
#[derive(Debug)]
pub struct Delivered {
    /// The target, and the service that lists it.
    pub selected: Selected,
    /// The revision, or why there is none that may be used.
    pub result: Result<Deployed, Failure>,
    /// What it answered to the smoke test.
    pub probe: Option<Probe>,
    /// What was deleted of what earlier deployments left behind, where that was asked for and got so far; or why nothing was.
    pub pruned: Option<Result<Pruned, Failure>>,
    /// HTTP requests to the control plane.
    pub calls: Calls,
}

impl Driver<'_> {
    /// Makes a revision on each target that is not refused, many at once. A target that fails stops no other.
    pub async fn deploy(&self, delivery: &Delivery<'_>, meant: &[(Selected, Result<(), Failure>)]) -> Vec<Delivered> {
        let selected: Vec<Selected> = meant.iter().map(|(selected, _)| selected.clone()).collect();
        let backends = self.backends(&selected);
        let deadline = self.clock.deadline(self.limits.accept);
        let work = meant.iter().map(|(selected, allowed)| async {
            match allowed {
                Ok(()) => self.deliver(delivery, &backends, selected, deadline).await,
                Err(failure) => self.undelivered(selected, failure.clone().about(&selected.target)),
            }
        });
        let mut interrupts = Interrupts::new();
        let all = join_all(work);
        tokio::pin!(all);
        tokio::select! {
            delivered = &mut all => delivered,
            _ = interrupts.next() => selected.iter().map(|selected| self.interrupted(selected)).collect(),
        }
    }

    fn interrupted(&self, selected: &Selected) -> Delivered {
        let failure = Failure::interrupted(&selected.target)
            .hint("no traffic was moved; the same command, typed again, goes on where this one was");
        self.undelivered(selected, failure)
    }

    fn undelivered(&self, selected: &Selected, failure: Failure) -> Delivered {
        let calls = self.wire.count(&selected.target);
        Delivered { selected: selected.clone(), result: Err(failure), probe: None, pruned: None, calls }
    }

    async fn deliver(
        &self,
        delivery: &Delivery<'_>,
        backends: &Backends,
        selected: &Selected,
        deadline: Deadline,
    ) -> Delivered {
        let target = &selected.target;
        let (mut probe, mut pruned) = (None, None);
        let result = match backends.get(&target.provider()) {
            Some(Ok(backend)) => {
                let pace = self.patience(backend.as_ref(), target, deadline);
                let result = self.make(delivery, backend.as_ref(), target, &pace, &mut probe).await;
                if let (Ok(_), Some(barred)) = (&result, delivery.prune) {
                    pruned = Some(match barred.get(target) {
                        Some(failure) => Err(failure.clone()),
                        None => self.prune(backend.as_ref(), target, deadline).await,
                    });
                }
                result
            }
            Some(Err(failure)) => Err(failure.clone().about(target)),
            None => Err(Failure::usage("no backend").about(target)),
        };
        Delivered { selected: selected.clone(), result, probe, pruned, calls: self.wire.count(target) }
    }

    async fn make(
        &self,
        delivery: &Delivery<'_>,
        backend: &dyn Backend,
        target: &Target,
        pace: &Patience<'_>,
        probe: &mut Option<Probe>,
    ) -> Result<Deployed, Failure> {
        let kind = delivery.release.artifact.kind();
        let known = backend.capabilities().artifacts;
        if !known.contains(&kind) {
            return Err(unknown_artifact(target.provider(), kind, known).about(target));
        }
        if delivery.smoke.is_some_and(|question| question.path.is_some()) && target.provider() != Provider::CloudRun {
            let message = format!("`--smoke-path` means nothing to {}: its revisions have no paths", target.provider());
            return Err(Failure::usage(message).about(target));
        }
        if delivery.prune.is_some() && !backend.prunes() {
            let message = format!(
                "`--prune` means nothing to {}: its deployments leave revisions, which are kept",
                target.provider()
            );
            return Err(Failure::usage(message).hint(PRUNES).about(target));
        }
        let time_is_up = || Failure::of(&super::job::time_is_up(), target);
        let of = |e: &Error| Failure::of(e, target);
        let first = |e: &Error| match e.kind() == ErrorKind::NotFound {
            true => of(e).hint(FIRST),
            false => of(e),
        };
        let seen = self
            .clock
            .by(pace.deadline, backend.observe(target))
            .await
            .map_err(|_| time_is_up())?
            .map_err(|e| first(&e))?;
        refuse_during_canary(target, &seen)?;
        let release = Release {
            may_discard_previous: delivery.release.may_discard_previous || self.is_old(&seen, delivery.keep_previous),
            ..delivery.release.clone()
        };
        let deployed = backend.deploy(target, &seen, &release, pace);
        let deployed = self.clock.by(pace.deadline, deployed).await.map_err(|_| time_is_up())?.map_err(|e| of(&e))?;
        if let Some(question) = delivery.smoke.as_ref().filter(|_| !self.wire.is_rehearsal()) {
            let answer = backend.probe(target, &deployed.revision.id, question, pace);
            let answer = self.clock.by(pace.deadline, answer).await.map_err(|_| time_is_up())?.map_err(|e| of(&e))?;
            let ok = answer.ok;
            let said = answer.answer.clone();
            *probe = Some(answer);
            if !ok {
                return Err(Failure::smoke(target, &deployed.revision.id, &said));
            }
        }
        Ok(deployed)
    }

    /// Deletes what earlier deployments left behind. What they made is live whatever becomes of this.
    async fn prune(&self, backend: &dyn Backend, target: &Target, deadline: Deadline) -> Result<Pruned, Failure> {
        self.progress.waiting(target, "the search for what earlier deployments left and nothing refers to");
        let pruned = self.clock.by(deadline, backend.prune(target, self.clock.now())).await;
        let failed = match pruned {
            Ok(Ok(pruned)) => return Ok(pruned),
            Ok(Err(e)) => {
                let failure = Failure::of(&e, target);
                Failure { message: format!("nothing was deleted: {}", failure.message), ..failure }
            }
            Err(_) => {
                let failure = Failure::of(&super::job::time_is_up(), target);
                Failure { message: format!("{}; what was deleted by then is gone", failure.message), ..failure }
            }
        };
        Err(failed.hint(AGAIN))
    }

    /// Whether the last promote is so long ago that its way back may go.
    fn is_old(&self, seen: &Snapshot, keep: Duration) -> bool {
        let since = seen.marker.as_ref().and_then(|marker| marker.at);
        since.is_some_and(|at| self.clock.now().since(at) >= keep)
    }
}

/// A canary's split is judged by what stands beside it: nothing is to change under it.
fn refuse_during_canary(target: &Target, seen: &Snapshot) -> Result<(), Failure> {
    let marked = seen.marker.as_ref().is_some_and(|marker| matches!(marker.state, MarkerState::Canary { .. }));
    let split = seen.split.as_ref().filter(|split| split.len() > 1);
    match split {
        None if !marked => Ok(()),
        _ => Err(Failure::conflict(format!("a canary is under way: {seen}"))
            .hint(format!("end it first: `mlroll promote --target {target}` or `mlroll rollback --target {target}`"))
            .about(target)),
    }
}

fn unknown_artifact(provider: Provider, kind: ArtifactKind, known: &[ArtifactKind]) -> Failure {
    let flags: Vec<&str> = known.iter().map(|kind| kind.flag()).collect();
    let failure = Failure::usage(format!("`{}` means nothing to {provider}", kind.flag()));
    match flags.as_slice() {
        [] => {
            failure.hint("mlroll cannot deploy there yet: make the revision by the cloud's own tools, then shift to it")
        }
        flags => failure.hint(format!("allowed there: {}", flags.join(", "))),
    }
}
