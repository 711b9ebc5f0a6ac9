//! A watched run: performs the engine's actions, feeds it what happened, and writes both down before it acts.

use std::time::Duration;

use mlroll_backend::{Backend, Error, ErrorKind, ModelStage, Usage, Weight};

use super::interrupt::{Interrupts, Told};
use super::sizing::{Sizing, capacity_of};
use super::{Bench, Driver, Report, job, summary};
use crate::config::Selected;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::journal::{Folder, Journal, JournalError, Record};
use crate::judge::verdict::Verdict;
use crate::output::Bake;
use crate::rollout::Outcome;
use crate::rollout::engine::{Action, Cause, Ended, Input, Pending, Rollout, Stage, Trouble, Verdict as Ruling};

/// The longest one call to the provider may take, waits and retries included.
const CALL: Duration = Duration::from_secs(60);

/// The longest one reading of the metric store may take: silence is counted, not waited out.
const LOOK: Duration = Duration::from_secs(30);

/// What an interrupt does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum OnInterrupt {
    /// Keep the split and stop.
    Hold,
    /// Give stable everything at once.
    #[default]
    Rollback,
}

/// A run under way.
#[derive(Debug)]
pub struct Watch<'a> {
    /// What it is driven by.
    pub driver: &'a Driver<'a>,
    /// The provider.
    pub backend: &'a dyn Backend,
    /// The target, and the service that lists it.
    pub selected: Selected,
    /// The engine.
    pub rollout: Rollout,
    /// The gates; none for a canary that is not judged.
    pub bench: Bench,
    /// Where each step is written before it is taken.
    pub journal: Journal<'a>,
    /// Where a person leaves the wish that it holds, and which knows where it is written what an experiment comes to.
    pub state: &'a Folder,
    /// What the model registry is told of a candidate that was promoted, until it was.
    pub stage: Option<ModelStage>,
    /// What an interrupt does.
    pub on_interrupt: OnInterrupt,
    /// Whether there was one.
    pub interrupted: bool,
    /// Why the journal could not be written.
    pub unrecorded: Option<String>,
}

impl Watch<'_> {
    /// Runs to the end, or until one of `interrupts`.
    pub(crate) async fn run(&mut self, first: Input, mut interrupts: Interrupts) -> Report {
        let clock = &self.driver.clock;
        let mut report = Report::blank(&self.selected);
        let mut told: Option<Told> = None;
        let mut input = first;
        if let Some(path) = self.state.summary()
            && let Err(e) = summary::begin(path, &self.bench, &self.selected.target, &self.rollout)
        {
            let stays = format!("{} cannot be written: {e}; what it says is not of this run", path.display());
            self.driver.progress.caution(&self.selected.target, &stays);
        }
        loop {
            // Whoever wants it stopped goes before any answer, but for that to a write: what became of it must be known.
            if !matches!(input, Input::Accepted | Input::Refused(_) | Input::Restored) {
                // What was just found to be bad goes back first: holding it would leave it where it is.
                if !found_bad(&input) && self.state.take_hold(&self.rollout.plan().terms().id) {
                    input = Input::Hold;
                }
                if told.is_some() && self.rollout.ending().is_some() {
                    // Traffic is where it should be. What is left can be set back by another process.
                    break;
                }
                if let Some(by) = told.take() {
                    input = self.stop(by);
                }
            }
            let now = clock.now();
            let evidence = matches!(input, Input::Judged(_) | Input::Started).then(|| self.bench.evidence()).flatten();
            let read = self.bench.take_read();
            let basis = if matches!(input, Input::Started | Input::Resume) {
                self.bench.asked(self.rollout.plan())
            } else {
                read.filter(|_| matches!(input, Input::Judged(_)))
            };
            let action = self.rollout.step(input.clone(), now);
            if let Action::Done { ended: Ended::Promoted, .. } = &action {
                // Before the end is written down: whoever is killed here has a run that `resume` finds unfinished, and tells it again.
                self.tell_stage(&mut report).await;
            }
            let record = Record { at: now, input, action: action.clone(), evidence, basis };
            if let Err(e) = self.journal.append(&record) {
                if let (JournalError::Taken { .. }, false) = (&e, self.rollout.is_rolling_back()) {
                    let failure =
                        Failure { exit: ExitStatus::Conflict, kind: "conflict", ..Failure::usage(e.to_string()) };
                    report
                        .fail(failure.about(&self.selected.target).hint("another run is in charge: leave it to that"));
                    break;
                }
                if self.unrecorded.is_none() {
                    let warning = format!("{e}; a rollback goes on without it");
                    self.driver.progress.caution(&self.selected.target, &warning);
                }
                self.unrecorded = Some(e.to_string());
                // What cannot be written down must not go further; the way back is never blocked by that.
                let writes = matches!(action, Action::Prepare(_) | Action::Shift { .. });
                if writes && !self.rollout.is_rolling_back() {
                    let unsent = Trouble { kind: ErrorKind::Invalid, message: e.to_string(), sent: 0, wait: None };
                    self.rollout.step(Input::Refused(unsent), now);
                    if self.rollout.stage() == Stage::Start {
                        let failure = Failure::usage(format!("{e}; nothing was shifted")).about(&self.selected.target);
                        report.fail(failure.hint("make `state` a folder that can be written"));
                        break;
                    }
                    input = Input::Abort;
                    continue;
                }
            }
            if let Action::Done { .. } = action {
                break;
            }
            let next = self.perform(&action, &mut report, &mut interrupts, &mut told).await;
            input = match (next, told) {
                (Some(input), _) => input,
                (None, Some(_)) if matches!(action, Action::Sample(_) | Action::Wait { .. }) => Input::TimeReached,
                // Somebody wants out at once.
                (None, _) => {
                    if matches!(action, Action::Shift { .. }) {
                        report.lost_sight(super::Doubt::Unconfirmed);
                    }
                    report.fail(Failure::interrupted(&self.selected.target));
                    break;
                }
            };
        }
        let mut report = self.conclude(report);
        if report.outcome == Outcome::Promoted {
            // Somebody would not wait for capacity to be set back.
            self.tell_stage(&mut report).await;
        }
        report
    }

    /// Once, and by a run that is gone on with once more: to say the same again changes nothing.
    async fn tell_stage(&mut self, report: &mut Report) {
        if let Some(stage) = self.stage.take() {
            self.driver.tell_stage(self.backend, &stage, report).await;
        }
    }

    fn stop(&mut self, _: Told) -> Input {
        self.interrupted = true;
        match self.on_interrupt {
            OnInterrupt::Hold => Input::Hold,
            OnInterrupt::Rollback => {
                self.driver.progress.tell(&self.selected.target, "interrupted: giving stable everything back");
                Input::Abort
            }
        }
    }

    /// Performs one action. `None` when it was left because of an interrupt: a wait or a look is, a call to the provider
    /// only when somebody insists.
    async fn perform(
        &mut self,
        action: &Action,
        report: &mut Report,
        interrupts: &mut Interrupts,
        told: &mut Option<Told>,
    ) -> Option<Input> {
        let Driver { clock, progress, wire, .. } = self.driver;
        let target = &self.selected.target;
        match action {
            Action::Done { .. } => None,
            Action::Observe => {
                let look = clock.by(clock.deadline(CALL), self.backend.observe(target));
                let seen = finishing(interrupts, told, look).await?;
                Some(match seen.unwrap_or_else(|_| Err(job::time_is_up())) {
                    Ok(seen) => {
                        report.saw(&seen);
                        Input::Observed(Box::new(seen))
                    }
                    Err(e) => Input::Unobserved(trouble(&e, 1)),
                })
            }
            Action::Shift { to, marker, seen } => {
                progress.shifting(target, seen, to);
                let already = wire.writes(target);
                let shift = clock.by(clock.deadline(CALL), self.backend.shift(target, to, seen, marker));
                let shifted = finishing(interrupts, told, shift).await?;
                Some(match shifted.unwrap_or_else(|_| Err(job::time_is_up())) {
                    Ok(_) => Input::Accepted,
                    Err(e) => Input::Refused(trouble(&e, wire.writes(target).saturating_sub(already))),
                })
            }
            Action::Prepare(capacity) => {
                progress.waiting(target, &format!("capacity: {}", capacity.changes.join("; ")));
                let prepared = self.sizing().prepare(capacity, interrupts, told).await?;
                Some(prepared.map_or_else(|e| Input::Unprepared(trouble(&e, 1)), |()| Input::Prepared))
            }
            Action::Restore { capacity, keeps } => {
                progress.waiting(target, &format!("setting back: {}", capacity.changes.join("; ")));
                let restored = self.sizing().restore(capacity, keeps, interrupts, told).await?;
                Some(restored.map_or_else(|e| Input::Unrestored(trouble(&e, 1)), |()| Input::Restored))
            }
            Action::Size { stable, candidate } => {
                let lasting = self.rollout.plan().terms().kind.may_leave_capacity();
                let size = capacity_of(self.backend, target, stable, candidate, lasting);
                let size = clock.by(clock.deadline(CALL), size);
                let sized = finishing(interrupts, told, size).await?.unwrap_or_else(|_| Err(job::time_is_up()));
                Some(sized.map_or_else(|e| Input::Unprepared(trouble(&e, 1)), Input::Sized))
            }
            Action::Sample(windows) => {
                let plan = self.rollout.plan().clone();
                tokio::select! {
                    by = interrupts.next() => {
                        *told = Some(by);
                        None
                    }
                    input = clock.by(clock.deadline(LOOK), self.bench.judge(*windows, &plan)) => {
                        let input = Input::from(input.unwrap_or_else(|_| Err("the metric store does not answer".to_owned())));
                        if let Input::Unjudged { why } = &input {
                            progress.waiting(target, why);
                        }
                        Some(input)
                    }
                }
            }
            Action::Wait { until, why } => {
                match self.bake(why) {
                    Some(bake) => progress.baking(target, &bake),
                    None => progress.waiting(target, &why.to_string()),
                }
                tokio::select! {
                    by = interrupts.next() => {
                        *told = Some(by);
                        None
                    }
                    () = clock.sleep(until.since(clock.now())) => Some(Input::TimeReached),
                }
            }
        }
    }

    fn sizing(&self) -> Sizing<'_> {
        let limit = self.rollout.plan().terms().settle_timeout;
        Sizing { driver: self.driver, backend: self.backend, target: &self.selected.target, limit }
    }

    /// How far the step is whose data is waited for.
    fn bake(&self, why: &Pending) -> Option<Bake> {
        let Pending::Data { stage, judged, of } = why else { return None };
        let terms = self.rollout.plan().terms();
        let (step, share) = match stage {
            Stage::Start => (0, Weight::ZERO),
            Stage::Step(at) => (at.saturating_add(1), terms.steps.get(*at).copied().unwrap_or_default()),
            Stage::Watch => (terms.steps.len(), Weight::FULL),
        };
        let (steps, look, findings) = (terms.steps.len(), terms.look, self.bench.findings());
        Some(Bake { step, steps, share, judged: *judged, of: *of, look, findings })
    }

    /// What the end means.
    fn conclude(&self, mut report: Report) -> Report {
        report.calls = self.driver.wire.count(&self.selected.target);
        report.found(self.bench.findings());
        report.experiment = self.bench.summary(&self.selected.target, &self.rollout);
        report.metrics = self.bench.usage();
        if let Some(Usage { calls, series }) = report.metrics.filter(|usage| usage.calls > 0) {
            report.note(format!("the metric store was asked {calls} times, for {series} series in all"));
        }
        let is_lasting = self.rollout.plan().terms().kind.may_leave_capacity();
        if let Some(capacity) = self.rollout.reserved().filter(|_| is_lasting && self.rollout.unrestored().is_none()) {
            report.note(format!("the candidate keeps its capacity: {}", capacity.changes.join("; ")));
        } else if let Some(capacity) = self.rollout.reserved() {
            let why = self.rollout.unrestored().map(|why| format!(" ({why})")).unwrap_or_default();
            let next = if self.rollout.is_unfinished() { "; `mlroll resume` goes on with it" } else { "" };
            report.note(format!("capacity is not set back{why}: {}{next}", capacity.changes.join("; ")));
        }
        if report.failure.is_some() {
            return report;
        }
        let Some((ended, why)) = self.rollout.ended().or_else(|| self.rollout.ending()) else {
            report.fail(Failure::interrupted(&self.selected.target));
            return report;
        };
        report.outcome = match ended {
            Ended::Halted => Outcome::Halted,
            Ended::Held => Outcome::Held,
            Ended::Promoted => Outcome::Promoted,
            Ended::RolledBack => Outcome::RolledBack,
            Ended::Shifted => Outcome::Shifted,
        };
        let exit = exit_of(ended, why, self.rollout.is_traffic_in_doubt(), report.calls.write > 0);
        report.exit = if exit == ExitStatus::Held && self.interrupted {
            ExitStatus::Interrupted
        } else if exit == ExitStatus::Interrupted && !self.interrupted {
            // It was the journal that ended it, and nobody.
            ExitStatus::Unreachable
        } else {
            exit
        };
        if self.rollout.is_traffic_in_doubt() {
            report.doubt = Some(super::Doubt::MayStillLand);
            report.settled = false;
        }
        report.note(format!("rollout {}: {why}", self.rollout.plan().terms().id));
        if let (Some(about), Some(effect)) = (&self.rollout.plan().terms().experiment, self.bench.effect(&self.rollout))
        {
            report.note(format!("effect on `{}`: {effect}", about.metric));
        }
        if report.exit != ExitStatus::Success {
            report.failure = Some(self.failure(report.exit, ended, why));
        }
        report
    }

    fn failure(&self, exit: ExitStatus, ended: Ended, why: &Cause) -> Failure {
        let target = &self.selected.target;
        let mut message = match &self.unrecorded {
            Some(unrecorded) if *why == Cause::Aborted => {
                format!("{unrecorded}; what cannot be written down does not go on")
            }
            Some(_) | None => why.to_string(),
        };
        let mut guilty: Vec<_> =
            self.bench.findings().into_iter().filter(|f| !f.advisory && f.verdict != Verdict::Pass).collect();
        guilty.sort_by(|a, b| b.ln_e_fail.total_cmp(&a.ln_e_fail));
        let named = if *why == Cause::Failed {
            1
        } else if matches!(why, Cause::Inconclusive | Cause::NoData) {
            guilty.len()
        } else {
            0
        };
        if *why == Cause::Mismatched
            && let Some(split) = self.bench.split()
        {
            message.push_str(&format!("; {split}"));
        }
        if matches!(why, Cause::Undecided | Cause::Worse)
            && let Some(metric) = self.bench.findings().pop()
        {
            message.push_str(&format!("; `{}`: {}", metric.gate, metric.reason));
        }
        for finding in guilty.into_iter().take(named) {
            message.push_str(&format!("; gate `{}`: {}", finding.gate, finding.reason));
        }
        let kind = match exit {
            _ if *why == Cause::Starved => "starved",
            _ if *why == Cause::NoData => "no_data",
            _ if *why == Cause::Inconclusive => "inconclusive",
            _ if matches!(why, Cause::Unprepared(_)) => "capacity",
            _ if *why == Cause::Mismatched => "sample_ratio_mismatch",
            _ if *why == Cause::Undecided => "undecided",
            _ if matches!(why, Cause::TargetFailed { .. }) => "target_failed",
            ExitStatus::Conflict => "conflict",
            ExitStatus::Interrupted => "interrupted",
            ExitStatus::Auth => "auth",
            ExitStatus::NotFound => "not_found",
            ExitStatus::Usage => "invalid",
            ExitStatus::GateFailed => "gate_failed",
            ExitStatus::Held => "held",
            ExitStatus::Unreachable | ExitStatus::Unsafe => "unavailable",
            ExitStatus::Bug | ExitStatus::Success => "unexpected",
        };
        let failure = Failure { exit, kind, ..Failure::usage(message) }.about(target);
        match ended {
            Ended::Halted if matches!(why, Cause::Unprepared(_)) => failure
                .hint(format!("try again: `mlroll resume --target {target}`"))
                .hint("or leave the candidate as it is: capacity = \"leave\""),
            Ended::Held if *why == Cause::Mismatched => failure
                .hint("find out which requests are missing, or sent past the split: its numbers compare unlike users")
                .hint(format!("take it back: `mlroll rollback --target {target}`")),
            Ended::Held => failure
                .hint(format!("go on watching: `mlroll resume --target {target}`"))
                .hint(format!("take it back: `mlroll rollback --target {target}`"))
                .hint(format!("or go on: `mlroll promote --force --target {target}`")),
            Ended::Halted if matches!(why, Cause::Interference { .. } | Cause::Unsuitable { .. }) => {
                failure.hint(format!("see what it is now: `mlroll status --target {target}`")).suspecting(target)
            }
            Ended::Halted => failure.hint(format!("see what it is now: `mlroll status --target {target}`")),
            Ended::Promoted | Ended::RolledBack | Ended::Shifted => failure,
        }
    }
}

/// Whether these looks roll the candidate back.
fn found_bad(input: &Input) -> bool {
    let Input::Judged(looks) = input else { return false };
    looks.iter().any(|look| matches!(look.verdict, Ruling::Fail | Ruling::Starved | Ruling::Worse))
}

fn exit_of(ended: Ended, why: &Cause, in_doubt: bool, wrote: bool) -> ExitStatus {
    match (ended, why) {
        _ if in_doubt => ExitStatus::Unsafe,
        (Ended::Promoted | Ended::Shifted, _) => ExitStatus::Success,
        (Ended::Held, _) => ExitStatus::Held,
        (_, Cause::RolledBackElsewhere | Cause::Interference { .. } | Cause::Unsuitable { .. }) => ExitStatus::Conflict,
        (Ended::RolledBack, Cause::Aborted) => ExitStatus::Interrupted,
        (Ended::RolledBack, _) => ExitStatus::GateFailed,
        (Ended::Halted, Cause::Refused(trouble) | Cause::Unprepared(trouble) | Cause::Unreachable(trouble)) => {
            trouble.kind.into()
        }
        // Moving or failed by somebody else's doing, and not touched.
        (Ended::Halted, _) if !wrote => ExitStatus::Conflict,
        (Ended::Halted, _) => ExitStatus::Unsafe,
    }
}

/// Waits for `work` to end, noting interrupts. `None` when somebody insists.
async fn finishing<T>(
    interrupts: &mut Interrupts,
    told: &mut Option<Told>,
    work: impl Future<Output = T>,
) -> Option<T> {
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Some(done),
            by = interrupts.next() => {
                if told.replace(by).is_some() && by.is_insistent() {
                    return None;
                }
            }
        }
    }
}

fn trouble(error: &Error, sent: usize) -> Trouble {
    let sent = if error.has_changed_nothing() { sent.min(1) } else { sent };
    let kind = if error.kind() == ErrorKind::Withheld { ErrorKind::Unexpected } else { error.kind() };
    let wait = error.retry_after().filter(|_| matches!(kind, ErrorKind::Throttled | ErrorKind::Unavailable));
    Trouble { kind, message: error.to_string(), sent: u32::try_from(sent).unwrap_or(u32::MAX), wait }
}
