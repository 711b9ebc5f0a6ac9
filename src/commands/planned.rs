//! From terms to a plan: who is stable, who is tried, how late the store is; and what a person should know of it before.

use std::time::Duration;

use mlroll_backend::{
    Access, Backend, GuardKind, Marker, MarkerState, RevisionId, Snapshot, Subject, Target, Timestamp, Weight,
};

use crate::config::{Selected, Service, Watching};
use crate::driver::{Driver, Report, query_of, settle_delay};
use crate::failure::Failure;
use crate::output::Format;
use crate::rollout::engine::{Plan, Terms};
use crate::rollout::{Intent, Step};

/// A plan, and who has traffic before it.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) plan: Plan,
    /// The target as it was planned on.
    pub(super) seen: Snapshot,
    /// Whether the candidate has a share already.
    pub(super) exposed: bool,
    /// Since when stable has had everything, where it has: the beginning of time where nobody noted it.
    pub(super) alone_since: Option<Timestamp>,
}

/// Who was promoted here and has everything since, live, and what was stable before.
pub(super) fn promoted(seen: &Snapshot) -> Option<(&RevisionId, Option<&RevisionId>)> {
    let sole = seen.split.as_ref()?.sole()?;
    let marker = seen.marker.as_ref().filter(|m| m.state == MarkerState::Promoted && m.stable == *sole)?;
    seen.is_settled().then_some((sole, marker.previous.as_ref()))
}

impl Planned {
    /// Where nobody is tried but what was stable before the one that was promoted here: of several targets, this one has been done
    /// by an earlier run, and is left alone.
    pub(super) fn left_alone(&self, selected: &Selected) -> Option<Report> {
        let candidate = &self.plan.terms().candidate;
        let (sole, _) = promoted(&self.seen).filter(|(_, previous)| *previous == Some(candidate))?;
        let why = format!(
            "{sole} was promoted here before, and beside it is only {candidate}, which was stable then; if that is another one by now: \
             `--candidate {candidate}`"
        );
        Some(Report::unchanged(selected, why).seen(&self.seen))
    }
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
        driver.progress.tell(target, &format!("{hint} ({e})"));
    }
    let can = backend.capabilities();
    let capacity = watching.capacity && (!watching.kind.may_leave_capacity() || backend.has_lasting_capacity());
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
        kept: source.and_then(|source| source.kept(watching.look)).map(|kept| kept.saturating_sub(ANSWER)),
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
        capacity,
        restores_when_halted: capacity,
        experiment: watching.experiment.as_deref().cloned(),
        score: watching.score.as_deref().cloned(),
    };
    let plan = Plan::new(terms, can.granule).map_err(|e| Failure::usage(e.to_string()).about(target))?;
    Ok(Planned { plan, seen, exposed, alone_since })
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
pub(super) fn warn_of_keys_that_end(driver: &Driver<'_>, target: &Target, backend: &dyn Backend, plan: &Plan) {
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
    driver.progress.caution(target, &format!(
        "{what} {end}, and the run may take {planned} and more: from then on nothing can be shifted, nor rolled back; {remedy}"
    ));
}

/// The longest that a store may take to answer: what it loses meanwhile is not asked for.
const ANSWER: Duration = Duration::from_secs(60);

/// What a run takes besides its bakes: shifts, metrics that are late.
const MARGIN: Duration = Duration::from_secs(600);
