//! What `plan` and the dry run of a watched run share: the run as it can be known before.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mlroll_backend::{Call, GuardKind, RevisionId, Snapshot, Target};

use super::earlier::unfinished;
use super::planned::{Planned, advice, plan};
use super::watched::{Begin, Watched, has_it_already};
use super::{Context, Ended, block_on, explain, new_id};
use crate::config::{Selected, Service, Watching};
use crate::driver::{
    Course, Driver, Imagined, Leg, Limits, Measurements, Rehearsal, Report, Sharpness, measure, time_is_up,
};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::journal::{Folder, Replay};
use crate::output::{Done, Format, Progress, json, text};
use crate::registry;
use crate::rollout::Outcome;
use crate::rollout::engine::{Ended as RunEnded, Kind, Plan};
use crate::wire::{Aside, Wire};

/// A run as it was asked for.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) selected: &'a Selected,
    pub(super) service: &'a Service,
    pub(super) state: &'a Folder,
    /// From which paths in the file are meant.
    pub(super) folder: &'a Path,
    pub(super) watching: &'a Watching,
    pub(super) candidate: (Option<RevisionId>, bool),
}

/// A run as it can be known before.
#[derive(Debug)]
pub(super) struct Foreseen {
    pub(super) plan: Plan,
    pub(super) seen: Snapshot,
    pub(super) guard: GuardKind,
    /// What each write sends along that nobody knows before.
    sent_along: Option<&'static str>,
    /// The reads that it begins with.
    pub(super) opening: Vec<Call>,
    /// Those by which the metric store finds out how late it is, and how often there is something. Nobody counts them as the run's own.
    pub(super) learning: Vec<Call>,
    /// What looking at the target takes, each time.
    pub(super) look: Vec<Call>,
    /// When every look passes: the shortest run that promotes.
    pub(super) shortest: Rehearsal,
    /// When only the last look of each step passes: the longest.
    pub(super) longest: Rehearsal,
    /// The way back.
    pub(super) back: Option<Leg>,
    /// Nothing when the store was not asked.
    pub(super) measured: Measurements,
    /// What a person should know of the state it starts from.
    pub(super) notes: Vec<String>,
    /// How a run of several targets ends here, where that leaves it alone.
    left_alone: Option<Report>,
    /// Whether the model registry is told of whom was promoted.
    tells_stage: bool,
}

/// Finds out all that can be known of a run, and changes nothing: what reads is sent, what writes stops at the wire. The
/// metric store is asked where `measures`.
pub(super) fn foresee(context: &Context, wanted: &Wanted<'_>, measures: bool) -> Result<Foreseen, Ended> {
    Ok(rehearse(context, async |driver| look_ahead(context, driver, wanted, measures).await)??)
}

/// What `work` finds out: what it reads is sent, what it writes stops at the wire.
fn rehearse<T>(context: &Context, work: impl AsyncFnOnce(&Driver<'_>) -> T) -> Result<T, Ended> {
    let Context { global, printer, clock, .. } = context;
    let progress = Progress::new(*printer, 1, true);
    let limits = Limits { accept: global.timeout.unwrap_or(super::ACCEPT), settle: None, no_wait: true };
    let wire = Arc::new(Wire::new(true, *printer).within(clock.reach()));
    let driver =
        Driver { clock: clock.clone(), wire: Arc::clone(&wire), limits, progress: &progress, id: new_id(clock) };
    let found = block_on(work(&driver))?;
    progress.clear();
    wire.breach()?;
    Ok(found)
}

async fn look_ahead(
    context: &Context,
    driver: &Driver<'_>,
    wanted: &Wanted<'_>,
    measures: bool,
) -> Result<Foreseen, Failure> {
    let Wanted { selected, service, folder, watching, candidate, .. } = wanted;
    let (clock, target) = (&driver.clock, &selected.target);
    let backend = registry::backend(target.provider(), Arc::clone(&driver.wire) as _, clock.reach())
        .map_err(|f| f.about(target))?;
    let backend = backend.as_ref();
    let tap = Arc::new(Aside::new(context.printer).within(clock.reach()));
    let source = match (&service.metrics, watching.judged) {
        (_, false) => None,
        (None, true) => return Err(Failure::usage("the service has gates, and no `metrics` that they could read")),
        (Some(metrics), true) => {
            let tap = Arc::clone(&tap) as Arc<_>;
            Some(registry::metric_source(metrics, &service.gates, folder, clock.reach(), tap)?)
        }
    };
    let planned = plan(driver, backend, selected, service, source.as_deref(), watching, candidate.clone()).await?;
    let left_alone = planned.left_alone(selected);
    let Planned { plan, alone_since, .. } = planned;
    let (opening, learning) = (driver.wire.calls(), tap.first_calls());
    let measured = match &source {
        Some(source) if measures => {
            measure(source.as_ref(), &service.gates, &plan, target, alone_since, clock.now()).await?
        }
        Some(_) | None => Measurements::default(),
    };
    let looked = clock.by(clock.deadline(driver.limits.accept), backend.observe(target)).await;
    let seen = looked.unwrap_or_else(|_| Err(time_is_up())).map_err(|e| Failure::of(&e, target))?;
    let look = driver.wire.calls().split_off(opening.len());
    let asking = Imagined { plan: &plan, target, seen: &seen, backend: Some(backend) };
    let shortest = asking.take(driver, Course::Passes).await?;
    if !matches!(shortest.ended, RunEnded::Promoted | RunEnded::Shifted) {
        let failure = Failure::usage(format!("the run would end at once: {}; the target has {seen}", shortest.why));
        return Err(Failure { exit: ExitStatus::Conflict, kind: "conflict", ..failure }.about(target));
    }
    let knowing = Imagined { backend: None, ..asking };
    let longest = knowing.take(driver, Course::PassesAtLast).await?;
    let back = way_back(driver, &asking).await?;
    let mut notes = notes(context, wanted, target)?;
    notes.extend(advice(backend, target, &plan, context.global.output));
    Ok(Foreseen {
        left_alone,
        tells_stage: service.model_stage.is_some() && plan.terms().kind == Kind::Rollout,
        seen: seen.clone(),
        guard: backend.capabilities().guard,
        sent_along: backend.sent_along(),
        opening,
        learning,
        look,
        shortest,
        longest,
        back,
        measured,
        notes,
        plan,
    })
}

/// The calls of a rollback from the first step.
async fn way_back(driver: &Driver<'_>, asking: &Imagined<'_>) -> Result<Option<Leg>, Failure> {
    if !asking.plan.terms().judged {
        return Ok(None);
    }
    let failing = asking.take(driver, Course::Fails).await?;
    Ok((failing.ended == RunEnded::RolledBack).then(|| failing.legs.into_iter().next_back()).flatten())
}

/// Runs that are open already change what the verb does.
fn notes(context: &Context, wanted: &Wanted<'_>, target: &Target) -> Result<Vec<String>, Failure> {
    let open = unfinished(context, wanted.state, wanted.selected)?;
    let note = |read: &Replay| {
        let id = &read.header.plan.terms().id;
        match read.rollout.only_restores() {
            true => format!("run {id} of {target} has capacity to set back: `mlroll resume --target {target}`"),
            false => format!("run {id} of {target} is unfinished: `rollout` goes on with it by its own plan"),
        }
    };
    Ok(open.iter().map(note).collect())
}

/// A time in which a rollback has to wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocked {
    /// From the shift of this step, from 1; `None`: before the first.
    pub(super) step: Option<usize>,
    pub(super) until: &'static str,
    /// Longer it is not waited.
    pub(super) most: Duration,
}

impl Foreseen {
    /// How long an experiment lasts, which `mlroll plan` does not know.
    fn lasts(&self) -> Option<String> {
        let terms = self.plan.terms();
        let about = terms.experiment.as_ref()?;
        let looks = self.plan.bake_looks();
        let time = |time| humantime::format_duration(time).to_string();
        let requests = self.measured.gates.last().and_then(|measured| measured.requests).filter(|each| *each > 0.0);
        let in_all = requests.map_or_else(String::new, |each| {
            format!(", that is about {:.0} requests of both at the traffic that stable had", each * f64::from(looks))
        });
        let size = match about.size {
            Some(size) => format!("and sooner after {size} requests of both, its planned size"),
            None => "and no size is planned that would end it sooner".to_owned(),
        };
        Some(format!(
            "it ends with the look that shows a difference, after {} at most ({looks} looks of {}{in_all}), {size}",
            time(terms.bake),
            time(terms.look)
        ))
    }

    /// What an experiment can show.
    fn sharpness(&self, service: &Service) -> Option<String> {
        let terms = self.plan.terms();
        let about = terms.experiment.as_ref()?;
        let (gate, measured) = service.gates.last().zip(self.measured.gates.last())?;
        let Some(sharp) = Sharpness::foretold(&self.plan, gate, measured) else {
            return Some(format!("nothing can be said before of how sure the comparison of `{}` is", about.metric));
        };
        let smallest = sharp.smallest.map_or_else(
            || "no difference is shown in half of the cases".to_owned(),
            |smallest| format!("one of {:.1} % is shown in half of the cases", smallest * 100.0),
        );
        let (difference, chance) = (sharp.difference * 100.0, sharp.chance * 100.0);
        let shown =
            format!("a difference of {difference:.1} % in `{}` is shown with a chance of {chance:.0} %", about.metric);
        Some(format!("{shown}, {smallest}, at the traffic that stable had"))
    }

    /// What cannot be known before.
    pub(super) fn unknown(&self) -> Vec<String> {
        let terms = self.plan.terms();
        let mut unknown = Vec::new();
        let guard = match self.guard {
            GuardKind::Atomic => "what guards each write (the provider's token changes with every write) and ",
            GuardKind::ReadCompare => "",
        };
        unknown.push(format!("{guard}the time and the run's id in the note that travels with the split"));
        unknown.extend(self.sent_along.map(str::to_owned));
        unknown
            .push("which calls are made again: what the provider refuses for its rate, or does not answer".to_owned());
        unknown.push(format!(
            "how long the provider takes until a split is live, and how often it is looked at meanwhile; at most {} each",
            humantime::format_duration(terms.settle_timeout)
        ));
        if terms.judged {
            unknown.push("what the looks say: each step passes, fails or ends inconclusive by it".to_owned());
        }
        if self.tells_stage {
            unknown.push("which package of the model registry is told of its stage, once it is promoted".to_owned());
        }
        if self.shortest.resized.as_ref().is_some_and(|resized| !resized.changes.is_empty()) {
            unknown.push(format!(
                "how long the provider takes to change capacity, and how often it is looked at meanwhile, at most {} each way; \
                 and the calls that set it back {}",
                humantime::format_duration(terms.settle_timeout),
                if terms.kind.may_leave_capacity() { "where stable gets everything back" } else { "at the end" }
            ));
        }
        unknown
    }

    /// When a rollback has to wait: this provider takes one operation at a time.
    pub(super) fn blocked(&self) -> Vec<Blocked> {
        let terms = self.plan.terms();
        if terms.overtakes {
            return Vec::new();
        }
        let resizes = self.shortest.resized.as_ref().is_some_and(|resized| !resized.prepare.is_empty());
        let capacity = Blocked { step: None, until: "the candidate has its capacity", most: terms.settle_timeout };
        let steps = (1..=self.shortest.legs.len()).map(|step| Blocked {
            step: Some(step),
            until: "the split is live",
            most: terms.settle_timeout,
        });
        resizes.then_some(capacity).into_iter().chain(steps).collect()
    }
}

/// `--dry-run` of watched runs: their calls up to the first shift, and what the rest depends on.
pub(super) fn first_shifts(context: &Context, watched: &Watched<'_>) -> Result<ExitStatus, Ended> {
    let Context { global, printer, .. } = context;
    let (mut reports, mut calls) = (Vec::new(), Vec::new());
    for run in &watched.runs {
        let Begin::New { watching, candidate, again, .. } = &run.begin else { continue };
        let wanted = Wanted {
            selected: run.selected,
            service: &run.service,
            state: &watched.state,
            folder: &watched.folder,
            watching,
            candidate: (candidate.clone(), *again),
        };
        let several = watched.runs.len() > 1;
        match first_shift(context, &wanted, several) {
            Ok((report, its_calls)) => {
                reports.push(report);
                calls.extend(its_calls);
            }
            Err(Ended::Failed(failure)) if several => reports.push(match has_it(context, &wanted)? {
                Some(report) => report,
                None => Report::refused(run.selected, failure.about(&run.selected.target)),
            }),
            Err(ended) => return Err(ended),
        }
    }
    let (verb, reason) = (watched.verb, global.reason.as_deref());
    let done = Done { verb, reason, reports: &reports, unreadable: &[], shared: None };
    explain(*printer, &done);
    let said = match global.output {
        Format::Json => json::dry_run(&done, &calls).to_string(),
        Format::Text => text::dry_run(&done, &calls),
    };
    printer.data(&said).map_err(|e| Ended::Unsaid(done.exit(), e))?;
    Ok(done.exit())
}

/// Why there may be no candidate: it was promoted.
fn has_it(context: &Context, wanted: &Wanted<'_>) -> Result<Option<Report>, Ended> {
    let Wanted { selected, candidate: (named, _), .. } = wanted;
    rehearse(context, async |driver| {
        let made = registry::backend(selected.target.provider(), Arc::clone(&driver.wire) as _, driver.clock.reach());
        // A provider that this build does not have is told where the run is foreseen.
        has_it_already(driver, made.ok()?.as_ref(), selected, named.as_ref()).await
    })
}

fn first_shift(context: &Context, wanted: &Wanted<'_>, several: bool) -> Result<(Report, Vec<Call>), Ended> {
    let foreseen = foresee(context, wanted, wanted.watching.judged)?;
    if let (true, (None, _), Some(report)) = (several, &wanted.candidate, &foreseen.left_alone) {
        return Ok((report.clone(), foreseen.opening));
    }
    let first = foreseen.shortest.legs.first();
    let shift = first.map(|leg| leg.calls.clone()).unwrap_or_default();
    let resized = foreseen.shortest.resized.clone().unwrap_or_default();
    let reads = foreseen.opening.len() + foreseen.look.len() + resized.reads.len();
    let calls: Vec<Call> = [
        foreseen.opening.clone(),
        foreseen.learning.clone(),
        foreseen.look.clone(),
        resized.reads,
        resized.prepare,
        shift,
    ]
    .concat();
    let mut report = Report::blank(wanted.selected);
    report.saw(&foreseen.seen);
    if let Some(leg) = first {
        report.after = Some(leg.to.clone());
    }
    report.outcome = if first.is_some() { Outcome::Shifted } else { Outcome::Unchanged };
    report.exit = ExitStatus::Success;
    report.calls.read = reads;
    report.notes.clone_from(&foreseen.notes);
    let later = "these are the calls up to the first shift; later ones depend on what is seen";
    report.notes.push(match foreseen.lasts() {
        Some(lasts) => format!("{later}: {lasts}"),
        None => format!("{later}: `mlroll plan`"),
    });
    let changes = resized.changes.iter();
    report.notes.extend(changes.map(|change| format!("capacity before the first share: {change}")));
    report.notes.extend(foreseen.sharpness(wanted.service));
    report.notes.extend(foreseen.unknown().into_iter().map(|what| format!("not known before: {what}")));
    Ok((report, calls))
}

/// A time in whole seconds, for JSON.
pub(super) const fn seconds(time: Duration) -> u64 {
    time.as_secs()
}
