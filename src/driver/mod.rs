//! The async shell around [`decide`](crate::rollout::decide): looks, asks what to do, does it, and makes sure of it.
//!
//! `job` is one intent on one target; here many of them run at once.

mod bench;
mod deploy;
mod experiment;
mod interrupt;
mod job;
mod measure;
mod ongoing;
mod patience;
mod pool;
mod rehearse;
mod report;
mod shadow;
mod sizing;
mod stage;
mod standing;
mod summary;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use mlroll_backend::{Backend, Provider, Snapshot, Target};

pub use self::bench::{Bench, query_of, settle_delay};
pub use self::deploy::{Delivered, Delivery};
pub use self::experiment::Sharpness;
pub use self::measure::{Bill, Measured, Measurements, measure};
pub use self::ongoing::{Ongoing, Runs};
pub use self::pool::Pool;
pub use self::rehearse::{Course, Imagined, Leg, Rehearsal, Resized};
pub use self::report::{Doubt, Report};
pub use self::shadow::{Mirroring, Watched as WatchedShadow};
pub use self::standing::{COUNTER, Standing};
pub use self::watch::{OnInterrupt, Watch};

pub(crate) use self::interrupt::Interrupts;
use self::job::Job;
pub(crate) use self::job::time_is_up;
pub(crate) use self::summary::replace;
use crate::clock::{Clock, Deadline};
use crate::config::Selected;
use crate::failure::Failure;
use crate::output::Progress;
use crate::registry;
use crate::rollout::{Intent, Step};
use crate::wire::Wire;

/// How many targets are worked on at once: enough to keep a control plane's rate busy, and few enough that no call
/// waits for its turn longer than an operation may take.
pub(crate) const AT_ONCE: usize = 32;

/// Limits of a run.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until the provider has accepted; for all targets together.
    pub accept: Duration,
    /// From then until the split is live; `None` when `accept` is meant to be the end of it all.
    pub settle: Option<Duration>,
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
    /// Performs what is meant for each target, many at once. A target that fails stops no other. Candidates of the targets in
    /// `leave` keep the capacity that they have.
    pub async fn perform(&self, meant: &[(Selected, Intent)], leave: &BTreeSet<Target>) -> Vec<Report> {
        let selected: Vec<Selected> = meant.iter().map(|(selected, _)| selected.clone()).collect();
        let backends = self.backends(&selected);
        let mut reports: Vec<Report> = selected.iter().map(Report::blank).collect();
        let shared = Shared {
            driver: self,
            backends: &backends,
            leave,
            deadline: self.clock.deadline(self.limits.accept),
            interrupted: AtomicBool::new(false),
        };
        let mut waiting = reports.iter_mut().zip(meant.iter().map(|(_, intent)| intent));
        let run = |(report, intent)| run_one(&shared, report, intent);
        let mut running: FuturesUnordered<_> = waiting.by_ref().take(AT_ONCE).map(run).collect();
        let mut interrupts = Interrupts::new();
        loop {
            tokio::select! {
                again = interrupts.next() => {
                    if shared.interrupted.swap(true, Ordering::Relaxed) && again.is_insistent() {
                        break;
                    }
                    self.progress.say("interrupted: finishing what is on its way");
                }
                finished = running.next() => match finished {
                    Some(()) => running.extend(waiting.next().map(run)),
                    None => break,
                },
            }
        }
        drop(running);
        for report in reports.iter_mut().filter(|report| !report.finished) {
            report.fail(Failure::interrupted(&report.target));
            report.calls = self.wire.count(&report.target);
        }
        reports
    }

    /// Finds out whether each intent could begin, and changes nothing: what became of all of them when one could not.
    pub(crate) async fn refused(&self, meant: &[(Selected, Intent)]) -> Option<Vec<Report>> {
        let selected: Vec<Selected> = meant.iter().map(|(selected, _)| selected.clone()).collect();
        let backends = self.backends(&selected);
        let asking = meant.iter().map(|(selected, intent)| {
            let backend = backends.get(&selected.target.provider());
            async move {
                match backend {
                    Some(Ok(backend)) => self.first_step(backend.as_ref(), selected, intent).await.err(),
                    Some(Err(failure)) => Some(failure.clone().about(&selected.target)),
                    None => Some(Failure::usage("no backend").about(&selected.target)),
                }
            }
        });
        let failures: Vec<Option<Failure>> = futures_util::stream::iter(asking).buffered(AT_ONCE).collect().await;
        let (first, _) = selected.iter().zip(&failures).find(|(_, failure)| failure.is_some())?;
        let report = |(selected, failure): (&Selected, Option<Failure>)| {
            let report = match failure {
                Some(failure) => Report::refused(selected, failure),
                None => Report::not_begun(selected, &first.target),
            };
            Report { calls: self.wire.count(&selected.target), ..report }
        };
        Some(selected.iter().zip(failures).map(report).collect())
    }

    /// Looks at each target, many at once: how its provider keeps two writers apart, and what was seen.
    pub async fn look(&self, selected: &[Selected]) -> Vec<Look> {
        self.look_by(&self.backends(selected), selected).await
    }

    /// As [`look`](Self::look), by backends that are kept from one look to the next.
    pub(crate) async fn look_by(&self, backends: &Backends, selected: &[Selected]) -> Vec<Look> {
        let deadline = self.clock.deadline(self.limits.accept);
        let looks = selected.iter().map(|selected| {
            let backend = backends.get(&selected.target.provider());
            async move {
                let target = &selected.target;
                let (guard, seen) = match backend {
                    Some(Ok(backend)) => {
                        let seen = self.clock.by(deadline, backend.observe(target)).await;
                        let mut seen = seen.unwrap_or_else(|_| Err(job::time_is_up()));
                        // Where that cannot be told, the rest of what was seen can.
                        if let Ok(seen) = &mut seen
                            && let Ok(Ok(nature)) = self.clock.by(deadline, backend.nature(target, seen)).await
                        {
                            seen.nature = nature;
                        }
                        (backend.capabilities().guard.name(), seen.map_err(|e| Failure::of(&e, target)))
                    }
                    Some(Err(failure)) => ("none", Err(failure.clone().about(target))),
                    None => ("none", Err(Failure::usage("no backend").about(target))),
                };
                Look { selected: selected.clone(), guard, seen }
            }
        });
        futures_util::stream::iter(looks).buffered(AT_ONCE).collect().await
    }

    /// Looks at a target, and finds the write that `intent` begins with, checked; `None` when there is nothing to write.
    ///
    /// # Errors
    /// The target cannot be read, or the intent is refused.
    pub async fn first_step(
        &self,
        backend: &dyn Backend,
        selected: &Selected,
        intent: &Intent,
    ) -> Result<(Option<Step>, Snapshot), Failure> {
        let backends = Backends::new();
        let deadline = self.clock.deadline(self.limits.accept);
        let leave = BTreeSet::from([selected.target.clone()]);
        let interrupted = AtomicBool::new(false);
        let shared = Shared { driver: self, backends: &backends, leave: &leave, deadline, interrupted };
        let mut report = Report::blank(selected);
        let found = Job::new(&shared, backend, selected.target.clone(), intent).first_step(&mut report).await;
        for note in &report.notes {
            self.progress.say(note);
        }
        found
    }

    /// The backends in use; one that this build does not have fails its own targets only.
    pub(crate) fn backends(&self, selected: &[Selected]) -> Backends {
        let providers: BTreeSet<Provider> = selected.iter().map(|s| s.target.provider()).collect();
        let reach = self.clock.reach();
        // One that is out of reach stops all of them: it is about the whole run.
        if let Some(failure) = providers.iter().find_map(|provider| reach.check_provider(*provider).err()) {
            return providers.into_iter().map(|provider| (provider, Err(failure.clone()))).collect();
        }
        let backend = |provider| (provider, registry::backend(provider, Arc::clone(&self.wire) as _, reach));
        providers.into_iter().map(backend).collect()
    }
}

/// How a target is.
#[derive(Clone, Debug)]
pub struct Look {
    /// The target, and the service that lists it.
    pub selected: Selected,
    /// How its provider keeps two writers apart.
    pub guard: &'static str,
    /// What was seen.
    pub seen: Result<Snapshot, Failure>,
}

pub(crate) type Backends = BTreeMap<Provider, Result<Box<dyn Backend>, Failure>>;

/// What all targets of a run share.
struct Shared<'a> {
    driver: &'a Driver<'a>,
    backends: &'a Backends,
    leave: &'a BTreeSet<Target>,
    deadline: Deadline,
    interrupted: AtomicBool,
}

async fn run_one(shared: &Shared<'_>, report: &mut Report, intent: &Intent) {
    match shared.backends.get(&report.target.provider()) {
        Some(Ok(backend)) => Job::new(shared, backend.as_ref(), report.target.clone(), intent).run(report).await,
        Some(Err(failure)) => report.fail(failure.clone().about(&report.target)),
        None => report.fail(Failure::usage("no backend").about(&report.target)),
    }
    report.calls = shared.driver.wire.count(&report.target);
    report.finished = true;
    shared.driver.progress.finished(report);
}
