//! Endpoints, and how a change of one goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mlroll_backend::{RevisionId, Timestamp, TrafficSplit, Weight};
use serde_json::{Map, Value};

use crate::scenario::IncidentStatus;

/// Who gets copies of requests, and of how many.
pub(crate) type Mirror = Option<(RevisionId, Weight)>;

/// Keys and values.
pub(super) type Tags = BTreeMap<String, String>;

/// A production variant.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Variant {
    pub(super) name: String,
    /// The weights that are live, and asked for; floats of 32 bits, as in SageMaker's model.
    pub(super) weight: f32,
    pub(super) desired_weight: f32,
    /// How many instances there are, and are asked for; `None` for a serverless variant.
    pub(super) instances: Option<i64>,
    pub(super) desired_instances: Option<i64>,
}

/// What is under way.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Work {
    Create,
    Delete,
    /// Another endpoint config, with the variants that it leads to, and by which guardrails.
    Deploy {
        config: String,
        variants: Vec<Variant>,
        shadows: Vec<Variant>,
        guardrails: Option<Value>,
    },
    /// AWS' own.
    Maintain,
    /// A change that failed is taken back.
    RollBack,
    Weights,
}

/// A change under way.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Change {
    pub(super) work: Work,
    pub(super) since: Timestamp,
    /// When it is over; `None` when a fault keeps it from it.
    pub(super) until: Option<Timestamp>,
    /// It fails in the end, and to take it back takes so long.
    pub(super) fails: Option<Duration>,
}

/// Something that befalls the endpoint, from a moment on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Misfortune {
    pub(super) status: IncidentStatus,
    pub(super) at: Timestamp,
    pub(super) last: Duration,
}

/// A state that no change leads out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Failed,
    UpdateRollbackFailed,
}

/// An endpoint.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub(super) config: String,
    pub(super) created: Timestamp,
    pub(super) modified: Timestamp,
    pub(super) variants: Vec<Variant>,
    /// Who gets copies of requests: one, or nobody.
    pub(super) shadows: Vec<Variant>,
    pub(super) change: Option<Change>,
    /// Why the latest change failed.
    pub(super) failure: Option<String>,
    /// The state for good that it has ended up in, where nothing helps any more.
    pub(super) broken: Option<Broken>,
    /// The `DeploymentConfig` of its latest deployment.
    pub(super) guardrails: Option<Value>,
    pub(super) tags: Tags,
    pub(super) misfortunes: Vec<Misfortune>,
}

impl Endpoint {
    /// `EndpointStatus`
    pub(super) const fn status(&self) -> &'static str {
        match &self.change {
            None => match self.broken {
                None => "InService",
                Some(Broken::Failed) => "Failed",
                Some(Broken::UpdateRollbackFailed) => "UpdateRollbackFailed",
            },
            Some(Change { work: Work::Create, .. }) => "Creating",
            Some(Change { work: Work::Delete, .. }) => "Deleting",
            Some(Change { work: Work::Deploy { .. } | Work::Weights, .. }) => "Updating",
            Some(Change { work: Work::Maintain, .. }) => "SystemUpdating",
            Some(Change { work: Work::RollBack, .. }) => "RollingBack",
        }
    }

    /// Where requests go; `None` when that is nowhere.
    pub(super) fn split(&self) -> Option<TrafficSplit> {
        if matches!(&self.change, Some(Change { work: Work::Create, .. })) {
            return None;
        }
        let shares = self.variants.iter().map(|v| Some((v.name.parse().ok()?, f64::from(v.weight))));
        TrafficSplit::apportion(shares.collect::<Option<Vec<_>>>()?).ok()
    }

    /// Who gets copies, and of how many of the requests: its weight over that of production, which AWS does not write down.
    pub(super) fn mirror(&self) -> Mirror {
        let shadow = self.shadows.first()?;
        let sum: f32 = self.variants.iter().map(|variant| variant.weight).sum();
        let share = (shadow.weight / sum).clamp(0.0, 1.0);
        let share = if share.is_nan() { 0.0 } else { (share * 10_000.0).round() };
        Some((shadow.name.parse().ok()?, Weight::from_basis_points(share as u16)?))
    }

    /// Begins a change at `now` that takes `length`, or for ever.
    pub(super) fn begin(&mut self, work: Work, now: Timestamp, length: Option<Duration>) {
        let due = self.misfortunes.iter().position(|m| m.status == IncidentStatus::RollingBack && m.at <= now);
        let fails = due.filter(|_| matches!(work, Work::Weights | Work::Deploy { .. }));
        let fails = fails.map(|due| self.misfortunes.remove(due).last);
        self.change = Some(Change { work, since: now, until: length.map(|length| now.plus(length)), fails });
        self.failure = None;
        self.modified = now;
    }

    /// Carries out what is due by `now`, and tells where requests and their copies go from when on, and whether the endpoint is
    /// still there. `configs` are those that exist.
    pub(super) fn settle(
        &mut self,
        now: Timestamp,
        configs: &BTreeSet<String>,
    ) -> (Vec<(TrafficSplit, Timestamp, Mirror)>, bool) {
        let mut routed = Vec::new();
        loop {
            if let Some(Change { until: Some(until), .. }) = self.change
                && until <= now
            {
                if self.end(until, configs) {
                    return (routed, false);
                }
                routed.extend(self.split().map(|split| (split, until, self.mirror())));
            } else if self.change.is_some() || !self.suffer(now) {
                return (routed, true);
            }
        }
    }

    /// Ends a change, and tells whether that is the end of the endpoint.
    fn end(&mut self, at: Timestamp, configs: &BTreeSet<String>) -> bool {
        let Some(change) = self.change.take() else { return false };
        self.modified = at;
        if let Some(last) = change.fails {
            // No two reasons are alike, as where they name requests or instances.
            self.take_back(&format!(
                "the change of {} could not be completed: this is an incident of the sandbox",
                change.since
            ));
            self.change = Some(Change { work: Work::RollBack, since: at, until: Some(at.plus(last)), fails: None });
            return false;
        }
        match change.work {
            Work::Create | Work::Maintain | Work::RollBack => {}
            Work::Delete => return true,
            Work::Weights => {
                for variant in &mut self.variants {
                    (variant.weight, variant.instances) = (variant.desired_weight, variant.desired_instances);
                }
            }
            // Neither may be deleted before it is over.
            Work::Deploy { config, variants, shadows, guardrails } => {
                let gone = [&config, &self.config].into_iter().find(|name| !configs.contains(*name)).cloned();
                match gone {
                    None => {
                        (self.config, self.variants, self.shadows) = (config, variants, shadows);
                        self.guardrails = guardrails;
                    }
                    Some(gone) => self.take_back(&format!("Could not find endpoint configuration \"{gone}\".")),
                }
            }
        }
        false
    }

    fn take_back(&mut self, why: &str) {
        for variant in &mut self.variants {
            (variant.desired_weight, variant.desired_instances) = (variant.weight, variant.instances);
        }
        self.failure = Some(why.to_owned());
    }

    /// Has the next thing befall it that is due; whether there was one.
    fn suffer(&mut self, now: Timestamp) -> bool {
        let due = |m: &Misfortune| m.status != IncidentStatus::RollingBack && m.at <= now;
        let Some(place) = self.misfortunes.iter().position(due) else { return false };
        let Misfortune { status, at, last } = self.misfortunes.remove(place);
        let at = at.max(self.modified);
        self.modified = at;
        match status {
            IncidentStatus::Failed | IncidentStatus::UpdateRollbackFailed => {
                let broken =
                    if status == IncidentStatus::Failed { Broken::Failed } else { Broken::UpdateRollbackFailed };
                self.broken = Some(broken);
                self.failure = Some("this is an incident of the sandbox".to_owned());
            }
            IncidentStatus::SystemUpdating | IncidentStatus::RollingBack => {
                let until = Some(at.plus(last));
                self.change = Some(Change { work: Work::Maintain, since: at, until, fails: None });
            }
        }
        true
    }
}

/// An endpoint now, and as it was before the latest write to it.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) now: Endpoint,
    pub(super) before: Option<Box<Endpoint>>,
}

/// A version in the model registry.
#[derive(Clone, Debug)]
pub(super) struct Package {
    /// `ModelApprovalStatus`
    pub(super) approval: String,
    /// `ModelLifeCycle`
    pub(super) life_cycle: Option<Value>,
    pub(super) created: Timestamp,
    pub(super) modified: Timestamp,
}

/// Bounds of autoscaling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scalable {
    pub(super) least: i64,
    pub(super) most: i64,
    /// Scaling in, scaling out, scheduled scaling.
    pub(super) suspended: [bool; 3],
    pub(super) created: Timestamp,
}

/// An endpoint config or a model: what it was made of.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    pub(super) body: Map<String, Value>,
    pub(super) created: Timestamp,
    pub(super) tags: Tags,
}
