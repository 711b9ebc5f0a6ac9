//! Where watched runs read their metrics.

use std::path::Path;
use std::sync::Arc;

use mlroll_backend::{MetricSource, Target, Usage};

use super::Context;
use super::watched::Run;
use crate::config::{Selected, Service, Source};
use crate::driver::Pool;
use crate::failure::Failure;
use crate::registry;
use crate::wire::Aside;

/// Metric stores. What runs ask of one at the same moment is one question, where it bills each: it is that of an account and a region,
/// because credentials are those of the process. A region that does not answer keeps no other one waiting.
pub(super) struct Stores<'a> {
    context: &'a Context,
    folder: &'a Path,
    pools: Vec<(Store, Pool)>,
}

/// Who is asked.
#[derive(PartialEq)]
struct Store {
    kind: Source,
    region: String,
    account: Option<String>,
}

impl Store {
    /// `None` where nothing is measured, or nobody bills it.
    fn of(selected: &Selected, service: &Service) -> Option<Self> {
        let (region, owner) = match &selected.target {
            Target::Lambda(alias) => (&alias.region, &alias.owner),
            Target::SageMaker(endpoint) => (&endpoint.region, &endpoint.owner),
            Target::AzureMl(_) | Target::CloudRun(_) => return None,
        };
        let account = owner.as_ref().map(|owner| owner.account.clone());
        Some(Self { kind: service.metrics.as_ref()?.source, region: region.clone(), account })
    }
}

impl<'a> Stores<'a> {
    pub(super) fn new(context: &'a Context, folder: &'a Path, runs: &[Run<'_>]) -> Self {
        let mut stores = Self { context, folder, pools: Vec::new() };
        let of = |run: &Run<'_>| Store::of(run.selected, &run.service);
        for (at, run) in runs.iter().enumerate() {
            if let Some(store) = of(run)
                && runs.iter().skip(at + 1).any(|other| of(other).as_ref() == Some(&store))
                && stores.pool(run.selected, &run.service).is_none()
                // One that cannot be had fails whoever needs it.
                && let Ok(source) = stores.open(&run.service)
                && source.usage().is_some()
            {
                stores.pools.push((store, Pool::new(context.clock.clone())));
            }
        }
        stores
    }

    fn pool(&self, selected: &Selected, service: &Service) -> Option<&Pool> {
        let store = Store::of(selected, service)?;
        self.pools.iter().find(|(other, _)| *other == store).map(|(_, pool)| pool)
    }

    fn open(&self, service: &Service) -> Result<Box<dyn MetricSource>, Failure> {
        let missing = || Failure::usage("the service has gates, and no `metrics` that they could read");
        let reach = self.context.clock.reach();
        let tap = Arc::new(Aside::new(self.context.printer).within(reach));
        let metrics = service.metrics.as_ref().ok_or_else(missing)?;
        registry::metric_source(metrics, &service.gates, self.folder, reach, tap)
    }

    pub(super) fn of(&self, selected: &Selected, service: &Service) -> Result<Box<dyn MetricSource>, Failure> {
        let source = self.open(service)?;
        Ok(match self.pool(selected, service) {
            Some(pool) => pool.seat(source),
            None => source,
        })
    }

    /// What runs that share a store asked of it, all of them together.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.pools.iter().filter_map(|(_, pool)| pool.usage()).reduce(|all, one| all.plus(one, 1))
    }
}
