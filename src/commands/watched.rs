//! What `canary` with gates, `rollout` and `resume` share: from arguments to watched runs, side by side.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use mlroll_backend::{Backend, MetricSource, ModelStage, RevisionId, Target, Timestamp, Usage};

use super::earlier::{Earlier, check_metrics, in_use, unfinished};
use super::experiment::replace;
use super::planned::{Planned, advice, plan, promoted, warn_of_keys_that_end};
use super::stores::Stores;
use super::{Context, Ended, block_on, explain, new_id};
use crate::config::{Config, DEFAULT_FILE, Metrics, Selected, Service, Stage, Watching};
use crate::driver::{AT_ONCE, Bench, Driver, Interrupts, Limits, OnInterrupt, Report, Watch};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::journal::{Folder, Header, Journal, Replay};
use crate::output::{Done, Format, Progress, announce, json, text};
use crate::registry;
use crate::rollout::engine::{self, Input, Rollout};
use crate::rollout::{Choice, choose};
use crate::wire::Wire;

/// Watched runs as they were asked for.
#[derive(Debug)]
pub(crate) struct Watched<'a> {
    pub(crate) verb: &'static str,
    pub(crate) state: Folder,
    /// From which paths in the file are meant.
    pub(crate) folder: PathBuf,
    pub(crate) on_interrupt: OnInterrupt,
    /// Where it is written what an experiment came to.
    pub(crate) summary: Option<PathBuf>,
    /// Each with a target of its own.
    pub(crate) runs: Vec<Run<'a>>,
    /// What was meant too, and cannot be gone on with.
    pub(crate) refused: Vec<Report>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) selected: &'a Selected,
    pub(crate) service: Cow<'a, Service>,
    pub(crate) begin: Begin,
}

/// What to watch.
#[derive(Debug)]
pub(crate) enum Begin {
    /// A candidate, by these terms; an unfinished run of the target is gone on with, where that is asked for.
    New { watching: Watching, candidate: Option<RevisionId>, again: bool, go_on: bool },
    /// A run that was begun before.
    Resume(Box<Replay>),
}

/// The one service that is meant, with its one target.
pub(crate) fn only<'a>(
    selected: &'a [Selected],
    config: Option<&'a Config>,
) -> Result<(&'a Selected, &'a Service), Failure> {
    let [selected] = selected else {
        let failure = Failure::usage(format!("{} targets are meant, and this is about one", selected.len()));
        return Err(failure.hint("name it: `--target URI`"));
    };
    Ok((selected, service_of(selected, config)?))
}

/// The service that says how a target is watched.
pub(crate) fn service_of<'a>(selected: &Selected, config: Option<&'a Config>) -> Result<&'a Service, Failure> {
    if let (Some(one), Some(other)) = (&selected.service, &selected.also) {
        let both = format!("`{one}` and `{other}` both list {}: whose gates judge it is not said", selected.target);
        return Err(Failure::usage(both).hint(format!("name the service: `{one}`, or `{other}`")));
    }
    let service = selected.service.as_deref().and_then(|name| config?.services.get(name));
    let none = || {
        Failure::usage(format!("no service of {DEFAULT_FILE} lists {}: nothing says how to watch it", selected.target))
    };
    Ok(service.ok_or_else(none)?.get_ref())
}

/// Where journals of a file are kept, and the folder that its paths are meant from.
pub(crate) fn state_of(config: Option<&Config>, path: Option<&Path>) -> Result<(Folder, PathBuf), Failure> {
    let file = path.unwrap_or(Path::new(DEFAULT_FILE));
    let folder = file.parent().map_or_else(PathBuf::new, Path::to_owned);
    match config.and_then(|c| c.state.as_deref()) {
        None => Ok((Folder::new(folder.join(".mlroll")), folder)),
        Some(state) if state.contains("://") => {
            Err(Failure::usage(format!("state = \"{state}\": journals can be kept in a folder only, as yet")))
        }
        Some(state) => Ok((Folder::new(folder.join(state)), folder)),
    }
}

/// Runs to the end, side by side, and reports.
pub(crate) fn watch(context: &Context, watched: Watched<'_>) -> Result<ExitStatus, Ended> {
    let Context { global, env, printer, clock } = context;
    let progress = Progress::new(*printer, watched.runs.len() + watched.refused.len(), global.dry_run);
    let limits = Limits { accept: global.timeout.unwrap_or(super::ACCEPT), settle: None, no_wait: false };
    let wire = Arc::new(Wire::new(global.dry_run, *printer).within(clock.reach()));
    let driver = |_: &Run<'_>| Driver {
        clock: clock.clone(),
        wire: Arc::clone(&wire),
        limits,
        progress: &progress,
        id: new_id(clock),
    };
    let drivers: Vec<Driver<'_>> = watched.runs.iter().map(driver).collect();
    let (verb, summary) = (watched.verb, watched.summary.clone());
    let came_to = block_on(in_waves(context, &drivers, watched))?;
    progress.clear();
    wire.breach()?;
    let (mut reports, shared) = came_to?;
    for report in &mut reports {
        let (Some(path), Some(found)) = (&summary, &report.experiment) else { continue };
        match replace(path, &format!("{found:#}\n")) {
            Ok(()) => report.notes.push(format!("what the experiment came to is in {}", path.display())),
            // What was decided and done stands; the result as JSON has the same.
            Err(e) => printer.warn(&format!("{} cannot be written: {e}", path.display())),
        }
    }
    let done = Done { verb, reason: global.reason.as_deref(), reports: &reports, unreadable: &[], shared };
    explain(*printer, &done);
    let document = json::outcome(&done);
    announce(env, *printer, &done, &document);
    let text = if global.output == Format::Json { document.to_string() } else { text::outcome(&done) };
    printer.data(&text).map_err(|e| Ended::Unsaid(done.exit(), e))?;
    Ok(done.exit())
}

/// Wave by wave, and what those that share a metric store asked of it together. Those that were begun before go on first. The next
/// wave begins when all of the one before ended well.
async fn in_waves(
    context: &Context,
    drivers: &[Driver<'_>],
    watched: Watched<'_>,
) -> Result<(Vec<Report>, Option<Usage>), Failure> {
    let Watched { state, folder, on_interrupt, runs, refused, .. } = watched;
    let stores = Stores::new(context, &folder, &runs);
    let alone = runs.len() + refused.len() == 1;
    let shared = Shared { context, stores: &stores, state: &state, on_interrupt, alone };
    let mut reports: Vec<(usize, Report)> = Vec::new();
    let (mut begun, mut waves) = (Vec::new(), BTreeMap::<usize, Vec<One<'_, '_>>>::new());
    for ((at, run), driver) in runs.into_iter().enumerate().zip(drivers) {
        let wave = run.service.wave_of(&run.selected.target).unwrap_or_default();
        let one = One { at, run, driver };
        if !alone && shared.is_in_flight(&one.run) { &mut begun } else { waves.entry(wave).or_default() }.push(one);
    }
    // Heard from here on: one that comes between two waves is meant as well.
    let mut interrupts = Interrupts::new();
    let going = begun.into_iter().map(|one| shared.go_on(one, Interrupts::new()));
    for gone in join_all(going).await {
        match gone {
            Gone::Ended(at, report) => reports.push((at, *report)),
            Gone::Anew(one) => {
                let wave = one.run.service.wave_of(&one.run.selected.target).unwrap_or_default();
                waves.entry(wave).or_default().push(*one);
            }
        }
    }
    for wave in waves.into_values() {
        let at: Vec<usize> = wave.iter().map(|one| one.at).collect();
        let stopped = reports.iter().find(|(_, report)| report.stops_others()).map(|(_, report)| report.target.clone());
        let ended = match stopped {
            Some(other) => wave.iter().map(|one| Report::not_begun(one.run.selected, &other)).collect(),
            None => shared.side_by_side(&mut interrupts, wave).await,
        };
        reports.extend(at.into_iter().zip(ended));
    }
    reports.sort_by_key(|(at, _)| *at);
    let reports: Vec<Report> = reports.into_iter().map(|(_, report)| report).chain(refused).collect();
    match reports.as_slice() {
        [Report { failure: Some(failure), is_begun: false, .. }] if alone => Err(failure.clone()),
        _ => Ok((reports, stores.usage())),
    }
}

/// A run, its place among all, and what drives it.
struct One<'a, 'b> {
    at: usize,
    run: Run<'a>,
    driver: &'b Driver<'b>,
}

/// What became of a run that seemed to be in flight.
enum Gone<'a, 'b> {
    Ended(usize, Box<Report>),
    /// What was in flight is over: it is one to be begun, in its own wave.
    Anew(Box<One<'a, 'b>>),
}

/// Whether traffic was shifted, or may have been: what was sent last may have landed.
fn may_have_shifted(rollout: &Rollout) -> bool {
    rollout.stage() != engine::Stage::Start || rollout.attempted().is_some()
}

/// What all runs share.
struct Shared<'a> {
    context: &'a Context,
    stores: &'a Stores<'a>,
    state: &'a Folder,
    on_interrupt: OnInterrupt,
    /// Whether there is one only.
    alone: bool,
}

impl Shared<'_> {
    /// Whether its journal says that it has shifted traffic, and was left. What cannot be told now is told when it begins.
    fn is_in_flight(&self, run: &Run<'_>) -> bool {
        match &run.begin {
            Begin::Resume(_) => true,
            Begin::New { go_on: false, .. } => false,
            Begin::New { go_on: true, .. } => unfinished(self.context, self.state, run.selected)
                .is_ok_and(|open| open.iter().any(|read| may_have_shifted(&read.rollout))),
        }
    }

    /// One that was begun before: it waits for nobody.
    async fn go_on<'a, 'b>(&self, one: One<'a, 'b>, mut interrupts: Interrupts) -> Gone<'a, 'b> {
        let One { at, run, driver } = one;
        let selected = run.selected;
        let again = match &run.begin {
            Begin::Resume(_) => None,
            Begin::New { watching, candidate, again, go_on } => Some(Run {
                selected,
                service: run.service.clone(),
                begin: Begin::New {
                    watching: watching.clone(),
                    candidate: candidate.clone(),
                    again: *again,
                    go_on: *go_on,
                },
            }),
        };
        let prepared = tokio::select! {
            biased;
            _ = interrupts.next() => Err(Failure::interrupted(&selected.target)),
            prepared = self.prepare(driver, run) => prepared,
        };
        let mut report = match (prepared, again) {
            (Err(failure), _) => Report::refused(selected, failure.about(&selected.target)),
            (Ok(Prepared::Nothing(report)), _) => *report,
            (Ok(Prepared::Ready(ready)), Some(run)) if ready.is_new() => {
                return Gone::Anew(Box::new(One { at, run, driver }));
            }
            (Ok(Prepared::Ready(ready)), _) => {
                ready.go(driver, selected, self.state, self.on_interrupt, interrupts).await
            }
        };
        report.calls = driver.wire.count(&selected.target);
        driver.progress.finished(&report);
        Gone::Ended(at, Box::new(report))
    }

    /// All of a wave at once. Where one cannot begin none does.
    async fn side_by_side(&self, interrupts: &mut Interrupts, wave: Vec<One<'_, '_>>) -> Vec<Report> {
        // Before anything else, so that each hears what comes while others are still at it.
        let heard: Vec<Interrupts> = wave.iter().map(|_| Interrupts::new()).collect();
        let all: Vec<(&Selected, &Driver<'_>)> = wave.iter().map(|one| (one.run.selected, one.driver)).collect();
        let prepared = wave.into_iter().map(|one| self.prepare(one.driver, one.run));
        let prepared: Vec<_> = tokio::select! {
            biased;
            _ = interrupts.next() => {
                let interrupted = |(selected, driver): &(&Selected, &Driver<'_>)| {
                    let mut report = Report::refused(selected, Failure::interrupted(&selected.target));
                    report.calls = driver.wire.count(&selected.target);
                    report
                };
                return all.iter().map(interrupted).collect();
            }
            prepared = stream::iter(prepared).buffered(AT_ONCE).collect() => prepared,
        };
        let refused = prepared.iter().zip(&all).find(|(run, _)| run.is_err()).map(|(_, (one, _))| &one.target);
        let going = prepared.into_iter().zip(heard).zip(&all).map(|((run, heard), (selected, driver))| async move {
            let mut report = match (run, refused) {
                (Err(failure), _) if self.alone => Report::refused(selected, failure),
                (Err(failure), _) => Report::refused(selected, failure.about(&selected.target)),
                (Ok(Prepared::Nothing(report)), _) => *report,
                (Ok(Prepared::Ready(run)), Some(other)) if run.is_new() => Report::not_begun(selected, other),
                (Ok(Prepared::Ready(run)), _) => run.go(driver, selected, self.state, self.on_interrupt, heard).await,
            };
            report.calls = driver.wire.count(&selected.target);
            driver.progress.finished(&report);
            report
        });
        join_all(going).await
    }

    /// What judges a run that is gone on with.
    async fn bench_again(
        &self,
        read: &Replay,
        target: &Target,
        service: &Service,
        source: impl FnOnce() -> Result<Box<dyn MetricSource>, Failure>,
        now: Timestamp,
    ) -> Result<Bench, Failure> {
        let plan = &read.header.plan;
        check_metrics(&read.header, service, target)?;
        match read.evidence() {
            _ if !plan.terms().judged => Ok(Bench::without_gates(plan, target)),
            Some(evidence) => Bench::restore(source()?, &service.gates, plan, target, evidence, now),
            // It had not begun, and who had traffic meanwhile is not known.
            None => Bench::prepare(source()?, &service.gates, plan, target, None, now).await,
        }
    }

    /// Finds out all that must be known before traffic moves.
    async fn prepare(&self, driver: &Driver<'_>, run: Run<'_>) -> Result<Prepared<'_>, Failure> {
        let Self { context, stores, state, alone, .. } = *self;
        let Run { selected, service, begin } = run;
        let (target, service) = (&selected.target, service.as_ref());
        let backend = registry::backend(target.provider(), Arc::clone(&driver.wire) as _, driver.clock.reach())
            .map_err(|f| f.about(target))?;
        let source = || stores.of(selected, service);
        let now = driver.clock.now();
        let (rollout, bench, begun) = match begin.earlier(context, driver, backend.as_ref(), state, selected).await? {
            Earlier::Run(read) => {
                driver.progress.tell(target, &format!("going on with run {}", read.header.plan.terms().id));
                // Before anything else of it: whoever runs it has the say.
                let journal = Journal::go_on(state, &read).map_err(|e| in_use(&e, target))?;
                // Whoever goes on no longer wants it held.
                let _ = state.take_hold(&read.header.plan.terms().id);
                let plan = &read.header.plan;
                // The way back needs no gates, no metrics and no file that has not changed.
                let bench = if read.rollout.is_decided() {
                    Bench::decided(plan, target, read.evidence())
                } else {
                    let again = self.bench_again(&read, target, service, source, now);
                    again.await.map_err(|failure| failure.hint(unwatched(&read, target)))?
                };
                let first = if read.rollout.ended().is_some() { Input::Resume } else { Input::Started };
                (read.rollout, bench, Begun::Before(journal, first))
            }
            Earlier::None(watching, candidate) => {
                let source = if watching.judged { Some(source()?) } else { None };
                let named = candidate.0.clone();
                let planned =
                    plan(driver, backend.as_ref(), selected, service, source.as_deref(), &watching, candidate).await;
                // Of several, those that have it already are left alone.
                let done = match &planned {
                    _ if alone => None,
                    Ok(planned) if named.is_none() => planned.left_alone(selected),
                    Ok(_) => None,
                    Err(_) => has_it_already(driver, backend.as_ref(), selected, named.as_ref()).await,
                };
                if let Some(report) = done {
                    return Ok(Prepared::Nothing(Box::new(report)));
                }
                let Planned { plan, exposed, alone_since, .. } = planned?;
                let bench = match source {
                    Some(source) => Bench::prepare(source, &service.gates, &plan, target, alone_since, now).await?,
                    None => Bench::without_gates(&plan, target),
                };
                // One that has traffic is watched all the more.
                if let (false, Some(failure)) = (exposed, bench.not_now()) {
                    return Err(failure);
                }
                let reason = context.global.reason.clone();
                let measured = service.metrics.as_ref().filter(|_| plan.terms().judged);
                let metrics = measured.map(Metrics::frozen).unwrap_or_default();
                let header = Header { target: target.to_string(), at: now, reason, plan: plan.clone(), metrics };
                (Rollout::new(plan), bench, Begun::New(Box::new(header)))
            }
        };
        warn_of_keys_that_end(driver, target, backend.as_ref(), rollout.plan());
        bench.assumed().iter().for_each(|assumed| driver.progress.tell(target, assumed));
        let output = context.global.output;
        let mut advice = advice(backend.as_ref(), target, rollout.plan(), output);
        if output == Format::Json {
            advice.extend(bench.assumed().iter().cloned());
        }
        let stage = service.model_stage.as_ref().map(Stage::told);
        Ok(Prepared::Ready(Box::new(Ready { backend, rollout, bench, advice, stage, begun })))
    }
}

/// What becomes of a run in flight that cannot be gone on with.
pub(super) fn unwatched(read: &Replay, target: &Target) -> String {
    let id = &read.header.plan.terms().id;
    format!(
        "run {id} is in flight, and watched by nobody meanwhile: to take it back, `mlroll rollback --target {target}`"
    )
}

/// What can be said of a run before traffic moves.
enum Prepared<'a> {
    /// All that must be known.
    Ready(Box<Ready<'a>>),
    /// There is nothing to do.
    Nothing(Box<Report>),
}

/// A run of which all is known that must be known before traffic moves.
struct Ready<'a> {
    backend: Box<dyn Backend>,
    rollout: Rollout,
    bench: Bench,
    /// What a person should know.
    advice: Vec<String>,
    stage: Option<ModelStage>,
    begun: Begun<'a>,
}

/// Whether it has a journal.
enum Begun<'a> {
    /// Not yet: nothing was shifted.
    New(Box<Header>),
    Before(Journal<'a>, Input),
}

/// Where no candidate was found: whether the one that is meant was promoted here, by an earlier run of several.
pub(super) async fn has_it_already(
    driver: &Driver<'_>,
    backend: &dyn Backend,
    selected: &Selected,
    named: Option<&RevisionId>,
) -> Option<Report> {
    let deadline = driver.clock.deadline(driver.limits.accept);
    let target = &selected.target;
    let seen = driver.clock.by(deadline, backend.observe(target)).await.ok()?.ok()?;
    let (sole, _) = promoted(&seen)?;
    let is_meant = match named {
        Some(named) => named == sole,
        None => {
            let listed = driver.clock.by(deadline, backend.revisions(target, usize::MAX)).await.ok()?.ok()?;
            match choose(target.provider(), sole, &listed) {
                Choice::Found { .. } => false,
                Choice::Nothing => true,
                Choice::Several(others) => others.is_empty(),
            }
        }
    };
    is_meant.then(|| Report::unchanged(selected, format!("{sole} was promoted here before")).seen(&seen))
}

impl Ready<'_> {
    /// Whether it has shifted nothing yet.
    fn is_new(&self) -> bool {
        matches!(self.begun, Begun::New(_)) || !may_have_shifted(&self.rollout)
    }

    /// From its journal to its end.
    async fn go(
        self,
        driver: &Driver<'_>,
        selected: &Selected,
        state: &Folder,
        on_interrupt: OnInterrupt,
        interrupts: Interrupts,
    ) -> Report {
        let (journal, first) = match self.begun {
            Begun::Before(journal, first) => (journal, first),
            Begun::New(header) => match Journal::begin(state, &header) {
                (journal, Ok(())) => (journal, Input::Started),
                (_, Err(e)) => {
                    let failure = Failure::usage(e.to_string()).about(&selected.target);
                    let hint = "a run is not begun without its journal: make `state` a folder that can be written";
                    return Report::refused(selected, failure.hint(hint));
                }
            },
        };
        let backend = self.backend.as_ref();
        let (interrupted, unrecorded) = (false, None);
        let mut watch = Watch {
            driver,
            backend,
            selected: selected.clone(),
            rollout: self.rollout,
            bench: self.bench,
            journal,
            state,
            stage: self.stage,
            on_interrupt,
            interrupted,
            unrecorded,
            set_back: None,
        };
        let mut report = watch.run(first, interrupts).await;
        report.notes.splice(0..0, self.advice);
        report
    }
}
