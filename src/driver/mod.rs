//! The async shell around [`decide`](crate::rollout::decide): looks, asks what to do, does it, and makes sure of it.
//!
//! `job` is one intent on one target; here many of them run at once.

mod interrupt;
mod job;
mod report;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use mlroll_backend::{Backend, Provider, Snapshot, Target};

pub use self::report::Report;

use self::interrupt::Interrupts;
use self::job::Job;
use crate::clock::Clock;
use crate::config::Selected;
use crate::failure::Failure;
use crate::output::Progress;
use crate::registry;
use crate::rollout::Intent;
use crate::wire::Wire;

/// How many targets are worked on at once: enough to keep a control plane's rate busy, and few enough that no call
/// waits for its turn longer than an operation may take.
const AT_ONCE: usize = 32;

/// Limits of a run.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until the provider has accepted.
    pub accept: Duration,
    /// Until the split is live.
    pub settle: Duration,
    /// Return at acceptance.
    pub no_wait: bool,
}

/// Performs intents on targets.
#[derive(Debug)]
pub struct Driver<'a> {
    /// The time.
    pub clock: Clock,
    /// What leaves this machine.
    pub wire: Arc<Wire>,
    /// Limits of this run.
    pub limits: Limits,
    /// Who is told meanwhile.
    pub progress: &'a Progress,
    /// The id of what begins with this run.
    pub id: String,
}

impl Driver<'_> {
    /// Performs `intent` on each target, many at once. A target that fails stops no other.
    ///
    /// # Errors
    /// A target's provider is not in this build; nothing was touched.
    pub async fn perform(&self, intent: &Intent, selected: &[Selected]) -> Result<Vec<Report>, Failure> {
        let backends = self.backends(selected)?;
        let interrupted = Cell::new(false);
        let mut waiting = selected.iter().enumerate();
        let mut running = FuturesUnordered::new();
        let mut reports: BTreeMap<usize, Report> = BTreeMap::new();
        let start = |(n, selected): (usize, &Selected)| {
            let backend = backends.get(&selected.target.provider());
            let job = backend.map(|backend| Job {
                driver: self,
                backend: backend.as_ref(),
                intent,
                selected: selected.clone(),
                interrupted: &interrupted,
            });
            async move {
                (
                    n,
                    match job {
                        Some(job) => Some(job.run().await),
                        None => None,
                    },
                )
            }
        };
        running.extend(waiting.by_ref().take(AT_ONCE).map(start));
        let mut interrupt = Interrupts::new();
        loop {
            tokio::select! {
                () = interrupt.next() => {
                    if interrupted.replace(true) {
                        break;
                    }
                    self.progress.say("interrupted: finishing what is on its way (once more to leave at once)");
                }
                finished = running.next() => match finished {
                    Some((n, report)) => {
                        if let Some(report) = report {
                            self.progress.finished(&report);
                            reports.insert(n, report);
                        }
                        running.extend(waiting.next().map(start));
                    }
                    None => break,
                },
            }
        }
        drop(running);
        for (n, selected) in selected.iter().enumerate() {
            reports.entry(n).or_insert_with(|| Report::abandoned(selected, &self.wire));
        }
        Ok(reports.into_values().collect())
    }

    /// Looks at each target, many at once.
    ///
    /// # Errors
    /// A target's provider is not in this build.
    pub async fn look(&self, selected: &[Selected]) -> Result<Vec<(Selected, Result<Snapshot, Failure>)>, Failure> {
        let backends = self.backends(selected)?;
        let deadline = self.clock.deadline(self.limits.accept);
        let looks = selected.iter().map(|selected| {
            let backend = backends.get(&selected.target.provider());
            async move {
                let backend = backend?;
                let target = &selected.target;
                let seen = self.clock.by(deadline, backend.observe(target)).await;
                let seen =
                    seen.unwrap_or_else(|_| Err(job::time_is_up("observe"))).map_err(|e| Failure::of(&e, target));
                Some((selected.clone(), seen))
            }
        });
        let seen: Vec<_> = futures_util::stream::iter(looks).buffered(AT_ONCE).collect().await;
        Ok(seen.into_iter().flatten().collect())
    }

    /// The name of how `target`'s provider keeps two writers apart.
    ///
    /// # Errors
    /// A target's provider is not in this build.
    pub fn guard_of(&self, target: &Target) -> Result<&'static str, Failure> {
        let backend = registry::backend(target.provider(), Arc::clone(&self.wire) as _)?;
        Ok(backend.capabilities().guard.name())
    }

    fn backends(&self, selected: &[Selected]) -> Result<BTreeMap<Provider, Box<dyn Backend>>, Failure> {
        let mut backends = BTreeMap::new();
        for selected in selected {
            let provider = selected.target.provider();
            if let Entry::Vacant(place) = backends.entry(provider) {
                let wire = Arc::clone(&self.wire);
                let about = |failure| Failure { target: Some(selected.target.clone()), ..failure };
                place.insert(registry::backend(provider, wire).map_err(about)?);
            }
        }
        Ok(backends)
    }
}
