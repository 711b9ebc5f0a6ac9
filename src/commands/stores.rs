//! Where watched runs read their metrics.

use std::path::Path;
use std::sync::Arc;

use mlroll_backend::{MetricSource, Target, Usage};

use super::Context;
use super::watched::Run;
use crate::config::{Selected, Service};
use crate::driver::Pool;
use crate::failure::Failure;
use crate::judge::gate::Gate;
use crate::registry;
use crate::wire::Aside;

/// Metric stores. What runs of one service in one region ask at the same moment is one question, where the store bills each. A region
/// that does not answer keeps no other one waiting.
pub(super) struct Stores<'a> {
    context: &'a Context,
    folder: &'a Path,
    pools: Vec<(Group, Pool)>,
}

/// Who asks together.
#[derive(PartialEq)]
struct Group {
    service: String,
    region: Option<String>,
    gates: Vec<Gate>,
}

impl Group {
    /// `None` for a target that no service lists.
    fn of(selected: &Selected, service: &Service) -> Option<Self> {
        let region = match &selected.target {
            Target::Lambda(alias) => Some(alias.region.clone()),
            Target::SageMaker(endpoint) => Some(endpoint.region.clone()),
            Target::AzureMl(_) | Target::CloudRun(_) => None,
        };
        Some(Self { service: selected.service.clone()?, region, gates: service.gates.clone() })
    }
}

impl<'a> Stores<'a> {
    pub(super) fn new(context: &'a Context, folder: &'a Path, runs: &[Run<'_>]) -> Self {
        let mut stores = Self { context, folder, pools: Vec::new() };
        let groups: Vec<Option<Group>> = runs.iter().map(|run| Group::of(run.selected, &run.service)).collect();
        for (at, (group, run)) in groups.iter().zip(runs).enumerate() {
            if group.is_some()
                && groups.iter().skip(at + 1).any(|other| other == group)
                && stores.pool(run.selected, &run.service).is_none()
                // One that cannot be had fails whoever needs it.
                && let Ok(source) = stores.open(&run.service)
                && source.usage().is_some()
            {
                let pool = Pool::new(source, context.clock.clone());
                stores.pools.extend(Group::of(run.selected, &run.service).map(|group| (group, pool)));
            }
        }
        stores
    }

    fn pool(&self, selected: &Selected, service: &Service) -> Option<&Pool> {
        let group = Group::of(selected, service)?;
        self.pools.iter().find(|(other, _)| *other == group).map(|(_, pool)| pool)
    }

    fn open(&self, service: &Service) -> Result<Box<dyn MetricSource>, Failure> {
        let missing = || Failure::usage("the service has gates, and no `metrics` that they could read");
        let reach = self.context.clock.reach();
        let tap = Arc::new(Aside::new(self.context.printer).within(reach));
        let metrics = service.metrics.as_ref().ok_or_else(missing)?;
        registry::metric_source(metrics, &service.gates, self.folder, reach, tap)
    }

    pub(super) fn of(&self, selected: &Selected, service: &Service) -> Result<Box<dyn MetricSource>, Failure> {
        self.pool(selected, service).map_or_else(|| self.open(service), |pool| Ok(pool.member()))
    }

    /// What runs that share a store asked of it, all of them together.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.pools.iter().filter_map(|(_, pool)| pool.usage()).reduce(|all, one| all.plus(one, 1))
    }
}
