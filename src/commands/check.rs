//! What the gates say of the canary in flight, by what the metric store kept: for `promote` and `gate check`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mlroll_backend::{RevisionId, Snapshot, Target, Timestamp};

use super::planned::{Planned, plan, promoted};
use super::{Context, Ended, block_on, new_id};
use crate::config::{Selected, Service, Watching};
use crate::driver::{Bench, Driver, Limits};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::judge::panel::Finding;
use crate::judge::verdict::Verdict;
use crate::output::Progress;
use crate::registry;
use crate::rollout::engine::Verdict as Ruling;
use crate::wire::{Aside, Wire};

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

/// What was found.
#[derive(Debug)]
pub(crate) enum Checked {
    /// What the gates say of the canary in flight, and who it is.
    Judged(Verdict, Vec<Finding>, RevisionId),
    /// No canary is in flight: the last one was promoted; and how the target is.
    Promoted(Box<Snapshot>),
}

impl Checked {
    /// The failure of whoever needs a canary in flight.
    pub(crate) fn none_in_flight(seen: &Snapshot, target: &Target) -> Failure {
        let none = Failure::usage(format!("no canary is in flight: {seen}"));
        Failure { exit: ExitStatus::NotFound, kind: "not_found", ..none }.about(target)
    }
}

/// What the gates say of the canary in flight.
pub(crate) fn check_now(
    context: &Context,
    selected: &Selected,
    service: &Service,
    folder: &Path,
    past: Past,
) -> Result<Checked, Ended> {
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
            // Not in flight any more: whoever promotes several again is done with this one.
            _ if promoted(&seen).is_some() => {
                return Ok(Checked::Promoted(Box::new(seen)));
            }
            _ => return Err(Checked::none_in_flight(&seen, target)),
        };
        if let (Some(replaced), Past::SinceShift) = (&seen.replaced, past) {
            let other = Failure::usage(format!(
                "somebody else deployed since the candidate got its share: {replaced}; what was seen of it is not of this one"
            ));
            let failure = Failure { exit: ExitStatus::Conflict, kind: "conflict", ..other }.about(target);
            let named = seen.roles.candidate.as_ref().map(|id| format!(" --candidate {id}")).unwrap_or_default();
            return Err(failure.hint(format!("to end it: `mlroll rollback --target {target}`")).hint(format!(
                "to judge it from here: `mlroll canary --pct {}{named} --target {target}`",
                share.percent()
            )));
        }
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
            let past = clock.now().since(since).min(plan.terms().kept.unwrap_or(Duration::MAX));
            let looks = past.as_secs() / watching.look.as_secs().max(1);
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
        // Until its share is live, which may take minutes after the note of it, a candidate gets none.
        let live = looks.iter().position(|look| look.verdict != Ruling::Starved).unwrap_or_default();
        let looks = looks.get(live..).unwrap_or_default();
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
        Ok(Checked::Judged(verdict, findings, plan.terms().candidate.clone()))
    };
    let judged = block_on(judged)?;
    wire.breach()?;
    Ok(judged?)
}
