//! Where watched runs read their metrics.

use std::path::Path;
use std::sync::Arc;

use mlroll_backend::{MetricSource, Usage};

use super::Context;
use super::watched::Run;
use crate::config::{Selected, Service};
use crate::driver::Pool;
use crate::failure::Failure;
use crate::judge::gate::Gate;
use crate::registry;
use crate::wire::Aside;

/// Metric stores. What runs of one service ask at the same moment is one question, where the store bills each.
pub(super) struct Stores<'a> {
    context: &'a Context,
    folder: &'a Path,
    pools: Vec<(&'a str, Vec<Gate>, Pool)>,
}

impl<'a> Stores<'a> {
    pub(super) fn new(context: &'a Context, folder: &'a Path, runs: &[Run<'a>]) -> Self {
        let mut stores = Self { context, folder, pools: Vec::new() };
        for (at, Run { selected, service, .. }) in runs.iter().enumerate() {
            let same =
                |other: &Run<'_>| other.selected.service == selected.service && other.service.gates == service.gates;
            let Some(name) = selected.service.as_deref() else { continue };
            if stores.pool(selected, service).is_none()
                && runs.iter().skip(at + 1).any(same)
                // One that cannot be had fails whoever needs it.
                && let Ok(source) = stores.open(service)
                && source.usage().is_some()
            {
                stores.pools.push((name, service.gates.clone(), Pool::new(source, context.clock.clone())));
            }
        }
        stores
    }

    fn pool(&self, selected: &Selected, service: &Service) -> Option<&Pool> {
        let same = |(name, gates, _): &&(&str, Vec<Gate>, Pool)| {
            selected.service.as_deref() == Some(*name) && service.gates == *gates
        };
        self.pools.iter().find(same).map(|(_, _, pool)| pool)
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
        self.pools.iter().filter_map(|(_, _, pool)| pool.usage()).reduce(|all, one| all.plus(one, 1))
    }
}
