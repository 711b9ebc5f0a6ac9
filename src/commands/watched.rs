//! What `canary` with gates, `rollout` and `resume` share: from arguments to a watched run.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mlroll_backend::{Access, Backend, GuardKind, Marker, MarkerState, RevisionId, Subject, Target, Timestamp, Weight};

use super::earlier::{Earlier, check_metrics, in_use};
use super::experiment::replace;
use super::{Context, Ended, block_on, explain, new_id};
use crate::config::{Config, DEFAULT_FILE, Metrics, Selected, Service, Stage, Watching};
use crate::driver::{Bench, Driver, Limits, OnInterrupt, Report, Watch, query_of, settle_delay};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::journal::{Folder, Header, Journal, Replay};
use crate::judge::panel::Finding;
use crate::judge::verdict::Verdict;
use crate::output::{Done, Format, Progress, announce, json, text};
use crate::registry;
use crate::rollout::engine::{Input, Plan, Rollout, Terms, Verdict as Ruling};
use crate::rollout::{Intent, Step};
use crate::wire::{Aside, Wire};

/// A watched run as it was asked for.
#[derive(Debug)]
pub(crate) struct Watched<'a> {
    pub(crate) verb: &'static str,
    pub(crate) selected: &'a Selected,
    pub(crate) service: &'a Service,
    pub(crate) state: Folder,
    /// From which paths in the file are meant.
    pub(crate) folder: PathBuf,
    pub(crate) begin: Begin,
    pub(crate) on_interrupt: OnInterrupt,
    /// Where it is written what an experiment came to.
    pub(crate) summary: Option<PathBuf>,
}

/// What to watch.
#[derive(Debug)]
pub(crate) enum Begin {
    /// A candidate, by these terms; an unfinished run of the target is gone on with, where that is asked for.
    New { watching: Watching, candidate: Option<RevisionId>, again: bool, go_on: bool },
    /// A run that was begun before.
    Resume(Box<Replay>),
}

/// The one service that is meant, with its one target: runs are watched one at a time.
pub(crate) fn only<'a>(
    selected: &'a [Selected],
    config: Option<&'a Config>,
) -> Result<(&'a Selected, &'a Service), Failure> {
    let [selected] = selected else {
        let many = selected.len();
        let failure = Failure::usage(format!("{many} targets are meant, and a run that is watched has one as yet"));
        let failure =
            failure.hint("one run each, side by side: `--target URI`; each has its own journal and its own verdict");
        return Err(
            failure.hint("all at once, not judged: `mlroll canary --no-gates --pct P`; `rollback` takes all of them")
        );
    };
    let service = selected.service.as_deref().and_then(|name| config?.services.get(name));
    let none = || {
        Failure::usage(format!("no service of {DEFAULT_FILE} lists {}: nothing says how to watch it", selected.target))
    };
    Ok((selected, service.ok_or_else(none)?.get_ref()))
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

/// Runs to the end and reports.
pub(crate) fn watch(context: &Context, watched: Watched<'_>) -> Result<ExitStatus, Ended> {
    let Context { global, env, printer, clock } = context;
    let progress = Progress::new(*printer, 1, global.dry_run);
    let limits = Limits { accept: global.timeout.unwrap_or(super::ACCEPT), settle: None, no_wait: false };
    let wire = Arc::new(Wire::new(global.dry_run, *printer).within(clock.reach()));
    let driver =
        Driver { clock: clock.clone(), wire: Arc::clone(&wire), limits, progress: &progress, id: new_id(clock) };
    let (verb, summary) = (watched.verb, watched.summary.clone());
    let report = block_on(run(context, &driver, watched))?;
    progress.clear();
    wire.breach()?;
    let mut report = report?;
    if let (Some(path), Some(found)) = (summary, &report.experiment) {
        match replace(&path, &format!("{found:#}\n")) {
            Ok(()) => report.notes.push(format!("what the experiment came to is in {}", path.display())),
            // What was decided and done stands; the result as JSON has the same.
            Err(e) => printer.warn(&format!("{} cannot be written: {e}", path.display())),
        }
    }
    let reports = [report];
    let done = Done { verb, reason: global.reason.as_deref(), reports: &reports, unreadable: &[] };
    explain(*printer, &done);
    let document = json::outcome(&done);
    announce(env, *printer, &done, &document);
    let text = if global.output == Format::Json { document.to_string() } else { text::outcome(&done) };
    printer.data(&text).map_err(|e| Ended::Unsaid(done.exit(), e))?;
    Ok(done.exit())
}

async fn run(context: &Context, driver: &Driver<'_>, watched: Watched<'_>) -> Result<Report, Failure> {
    let Watched { selected, service, state, folder, begin, on_interrupt, .. } = watched;
    let target = &selected.target;
    let backend = registry::backend(target.provider(), Arc::clone(&driver.wire) as _, driver.clock.reach())
        .map_err(|f| f.about(target))?;
    let source = || {
        let missing = || Failure::usage("the service has gates, and no `metrics` that they could read");
        let reach = driver.clock.reach();
        let tap = Arc::new(Aside::new(context.printer).within(reach));
        let metrics = service.metrics.as_ref().ok_or_else(missing)?;
        registry::metric_source(metrics, &service.gates, &folder, reach, tap)
    };
    let now = driver.clock.now();
    let (rollout, bench, journal, first) =
        match begin.earlier(context, driver, backend.as_ref(), &state, selected).await? {
            Earlier::Run(read) => {
                driver.progress.say(&format!("going on with run {}", read.header.plan.terms().id));
                // Before anything else of it: whoever runs it has the say.
                let journal = Journal::go_on(&state, &read).map_err(|e| in_use(&e, target))?;
                // Whoever goes on no longer wants it held.
                let _ = state.take_hold(&read.header.plan.terms().id);
                let plan = &read.header.plan;
                // The way back needs no gates, no metrics and no file that has not changed.
                if !read.rollout.is_decided() {
                    check_metrics(&read.header, service, target)?;
                }
                let bench = match read.evidence() {
                    evidence if read.rollout.is_decided() => Bench::decided(plan, target, evidence),
                    _ if !plan.terms().judged => Bench::without_gates(plan, target),
                    Some(evidence) => Bench::restore(source()?, &service.gates, plan, target, evidence)?,
                    // It had not begun, and who had traffic meanwhile is not known.
                    None => Bench::prepare(source()?, &service.gates, plan, target, None, now).await?,
                };
                let first = if read.rollout.ended().is_some() { Input::Resume } else { Input::Started };
                (read.rollout, bench, journal, first)
            }
            Earlier::None(watching, candidate) => {
                let source = if watching.judged { Some(source()?) } else { None };
                let Planned { plan, exposed, alone_since } =
                    plan(driver, backend.as_ref(), selected, service, source.as_deref(), &watching, candidate).await?;
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
                let (journal, begun) = Journal::begin(&state, &header);
                begun.map_err(|e| {
                    Failure::usage(e.to_string())
                        .hint("a run is not begun without its journal: make `state` a folder that can be written")
                })?;
                (Rollout::new(plan), bench, journal, Input::Started)
            }
        };
    warn_of_keys_that_end(driver, backend.as_ref(), rollout.plan());
    bench.assumed().iter().for_each(|assumed| driver.progress.say(assumed));
    let selected = selected.clone();
    let backend = backend.as_ref();
    let mut advice = advice(backend, target, rollout.plan(), context.global.output);
    if context.global.output == Format::Json {
        advice.extend(bench.assumed().iter().cloned());
    }
    let (interrupted, unrecorded) = (false, None);
    let mut watch = Watch {
        driver,
        backend,
        selected,
        rollout,
        bench,
        journal,
        state: &state,
        stage: service.model_stage.as_ref().map(Stage::told),
        on_interrupt,
        interrupted,
        unrecorded,
    };
    let mut report = watch.run(first).await;
    report.notes.splice(0..0, advice);
    Ok(report)
}

/// What a person should know, for those who only read the document: others were told when the candidate was found.
pub(super) fn advice(backend: &dyn Backend, target: &Target, plan: &Plan, output: Format) -> Vec<String> {
    let terms = plan.terms();
    let share = terms.steps.first().copied().unwrap_or_default();
    match output {
        Format::Json => backend.advice(target, &terms.stable, &terms.candidate, share),
        Format::Text => Vec::new(),
    }
}

/// Says so where the credentials end before the run may: whoever has none then cannot roll back.
fn warn_of_keys_that_end(driver: &Driver<'_>, backend: &dyn Backend, plan: &Plan) {
    let Some(Access { what, ends, usually, remedy }) = backend.access() else { return };
    let terms = plan.terms();
    let steps = u32::try_from(terms.steps.len()).unwrap_or(u32::MAX);
    let late = terms.settle_delay.saturating_mul(steps.saturating_add(1));
    let planned = terms.bake.saturating_mul(steps).saturating_add(terms.watch_after).saturating_add(late);
    let now = driver.clock.now();
    let end = match ends {
        Some(ends) if ends.since(now) > planned.saturating_add(MARGIN) => return,
        None if usually > planned.saturating_add(MARGIN) => return,
        Some(ends) => format!("will end at {ends}"),
        None => format!("will end after {} as a rule", humantime::format_duration(usually)),
    };
    let planned = humantime::format_duration(planned);
    driver.progress.warn(&format!(
        "{what} {end}, and the run may take {planned} and more: from then on nothing can be shifted, nor rolled back; {remedy}"
    ));
}

/// What a run takes besides its bakes: shifts, metrics that are late.
const MARGIN: Duration = Duration::from_secs(600);

/// The most looks that `promote` reads at once: a week of minutes. Who was watched by nobody for longer is judged anew.
const MOST_LOOKS: u64 = 7 * 24 * 60;

/// Which of the past is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Past {
    /// The last bake, or what there is of it since the last shift and its warm-up.
    Bake,
    /// All since the last shift and its warm-up.
    SinceShift,
}

/// What the gates say of the canary in flight, and who it is.
pub(crate) fn check_now(
    context: &Context,
    selected: &Selected,
    service: &Service,
    folder: &Path,
    past: Past,
) -> Result<(Verdict, Vec<Finding>, RevisionId), Ended> {
    let Context { global, printer, clock, .. } = context;
    let progress = Progress::new(*printer, 1, false);
    let accept = global.timeout.unwrap_or(super::ACCEPT);
    let limits = Limits { accept, settle: None, no_wait: true };
    let wire = Arc::new(Wire::new(false, *printer).within(clock.reach()));
    let driver =
        Driver { clock: clock.clone(), wire: Arc::clone(&wire), limits, progress: &progress, id: new_id(clock) };
    let target = &selected.target;
    let judged = async {
        let backend =
            registry::backend(target.provider(), Arc::clone(&wire) as _, clock.reach()).map_err(|f| f.about(target))?;
        let missing = || Failure::usage("the service has gates, and no `metrics` that they could read");
        let tap = Arc::new(Aside::new(*printer).within(clock.reach()));
        let metrics = service.metrics.as_ref().ok_or_else(missing)?;
        let source = registry::metric_source(metrics, &service.gates, folder, clock.reach(), tap)?;
        let seen = backend.observe(target).await.map_err(|e| Failure::of(&e, target))?;
        let share = match (&seen.split, &seen.roles.candidate) {
            (Some(split), Some(candidate)) => split.weight_of(candidate),
            _ => {
                let none = Failure::usage(format!("no canary is in flight: {seen}"));
                return Err(Failure { exit: ExitStatus::NotFound, kind: "not_found", ..none }.about(target));
            }
        };
        let watching = Watching::canary(service, share, None);
        let roles = (seen.roles.candidate.clone(), true);
        let Planned { plan, .. } =
            plan(&driver, backend.as_ref(), selected, service, Some(source.as_ref()), &watching, roles).await?;
        let shifted = seen.marker.as_ref().and_then(|marker| marker.at);
        // What stable was like is measured before it shared its traffic: what is judged must not set its own measure.
        let before = shifted.map_or(clock.now(), |at| at.plus(plan.terms().settle_delay).min(clock.now()));
        // Until its first share stable had everything; whether this is its first is not known, and a store that tells shares apart does.
        let alone_since = Timestamp::from_unix_seconds(0);
        let mut bench = Bench::prepare(source, &service.gates, &plan, target, alone_since, before).await?;
        bench.assumed().iter().for_each(|assumed| progress.say(assumed));
        let since = match (past, shifted) {
            (Past::Bake, None) => None,
            (Past::Bake | Past::SinceShift, Some(at)) => Some(at.plus(watching.warm_up)),
            (Past::SinceShift, None) => {
                let none = Failure::usage("no note says since when the candidate has its share: nothing can be judged");
                let failure = Failure { exit: ExitStatus::Held, kind: "held", ..none }.about(target);
                return Err(failure.hint("judge it from here: `mlroll canary --pct P` with the share it has"));
            }
        };
        let most = (past == Past::Bake).then(|| plan.bake_looks());
        if let (Some(since), None) = (since, most) {
            let looks = clock.now().since(since).as_secs() / watching.look.as_secs().max(1);
            if looks > MOST_LOOKS {
                let many = format!(
                    "the candidate has had its share since {since}: {looks} looks of {} s are more than the {MOST_LOOKS} that are read at once",
                    watching.look.as_secs()
                );
                let held = Failure { exit: ExitStatus::Held, kind: "held", ..Failure::usage(many) }.about(target);
                return Err(held.hint("judge it from here: `mlroll canary --pct P` with the share it has"));
            }
        }
        let looks = bench.judge_past(&plan, since, most, clock.now()).await.map_err(|why| {
            let down = Failure::usage(format!("the metric store: {why}"));
            Failure { exit: ExitStatus::Unreachable, kind: "unavailable", ..down }.about(target)
        })?;
        let failed = looks.iter().any(|look| matches!(look.verdict, Ruling::Fail | Ruling::Starved));
        let enough = looks.len() >= usize::try_from(plan.min_looks()).unwrap_or(usize::MAX);
        let passed = enough && looks.last().is_some_and(|look| look.verdict == Ruling::Pass);
        let verdict = match (failed, passed) {
            (true, _) => Verdict::Fail,
            (false, true) => Verdict::Pass,
            (false, false) => Verdict::Inconclusive,
        };
        let findings = bench.findings();
        findings.iter().filter_map(Finding::warning).for_each(|warning| printer.warn(&warning));
        Ok((verdict, findings, plan.terms().candidate.clone()))
    };
    let judged = block_on(judged)?;
    wire.breach()?;
    Ok(judged?)
}

/// A plan, and who has traffic before it.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) plan: Plan,
    /// Whether the candidate has a share already.
    pub(super) exposed: bool,
    /// Since when stable has had everything, where it has: the beginning of time where nobody noted it.
    pub(super) alone_since: Option<Timestamp>,
}

/// Finds out who is stable and who the candidate is, and freezes the plan.
pub(super) async fn plan(
    driver: &Driver<'_>,
    backend: &dyn Backend,
    selected: &Selected,
    service: &Service,
    source: Option<&dyn mlroll_backend::MetricSource>,
    watching: &Watching,
    (candidate, again): (Option<RevisionId>, bool),
) -> Result<Planned, Failure> {
    let target = &selected.target;
    let share = watching.steps.first().copied().unwrap_or_default();
    let intent = Intent::Canary { share, candidate, again };
    let (step, seen) = driver.first_step(backend, selected, &intent).await?;
    let (stable, candidate, previous) = match (step, &seen.roles) {
        (Some(Step { marker: Marker { state: MarkerState::Canary { candidate }, stable, previous, .. }, .. }), _) => {
            (stable, candidate, previous)
        }
        (_, roles) => match (&roles.stable, &roles.candidate) {
            (Some(stable), Some(candidate)) => (stable.clone(), candidate.clone(), roles.previous.clone()),
            _ => return Err(Failure::usage("the split does not tell who is stable").about(target)),
        },
    };
    let exposed = seen.split.as_ref().is_some_and(|split| split.weight_of(&candidate) > Weight::ZERO);
    let sole = seen.split.as_ref().and_then(|split| split.sole()).filter(|sole| **sole == stable);
    let noted = seen.marker.as_ref().and_then(|marker| marker.at);
    let alone_since = sole.and(noted.or_else(|| Timestamp::from_unix_seconds(0)));
    let queries = service.gates.iter().map(query_of).collect::<Result<Vec<_>, _>>()?;
    // The later of the two is waited for: who is read too early lacks its slow requests, and looks better or worse for it.
    let subjects = [&candidate, &stable].map(|id| Subject::new(target.clone(), id.clone()));
    if let Some(source) = source
        && let Err(e) = source.learn(&subjects).await
    {
        let hint = "how late its metrics are is not known, and the store's own delay is taken: `settle_delay` sets it";
        driver.progress.say(&format!("{hint} ({e})"));
    }
    let can = backend.capabilities();
    let terms = Terms {
        id: driver.id.clone(),
        kind: watching.kind,
        stable,
        candidate,
        previous,
        steps: watching.steps.clone(),
        bake: watching.bake,
        judged: watching.judged,
        warm_up: watching.warm_up,
        min_bake: watching.min_bake,
        look: watching.look,
        settle_delay: source.map_or(Duration::ZERO, |source| {
            subjects.iter().map(|subject| settle_delay(source, &queries, subject)).max().unwrap_or_default()
        }),
        watch_after: watching.watch_after,
        alpha: watching.alpha,
        beta: watching.beta,
        on_fail: watching.on_fail,
        on_inconclusive: watching.on_inconclusive,
        on_starved: watching.on_starved,
        no_data_budget: watching.no_data_budget,
        settle_timeout: watching.settle_timeout,
        note_limit: can.note_limit,
        // Without a guard two operations would race; the way back then begins when the one under way has ended.
        overtakes: can.guard == GuardKind::Atomic,
        capacity: watching.capacity && (!watching.kind.may_leave_capacity() || backend.has_lasting_capacity()),
        experiment: watching.experiment.as_deref().cloned(),
        score: watching.score.as_deref().cloned(),
    };
    let plan = Plan::new(terms, can.granule).map_err(|e| Failure::usage(e.to_string()).about(target))?;
    Ok(Planned { plan, exposed, alone_since })
}
