//! A watched run: performs the engine's actions, feeds it what happened, and writes both down before it acts.

mod ending;

use std::time::Duration;

use mlroll_backend::{Backend, Error, ErrorKind, ModelStage, Obstacle, Weight};

use super::interrupt::{Interrupts, Told};
use super::sizing::{Sizing, capacity_of};
use super::{Bench, Driver, Report, job, summary};
use crate::config::Selected;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::journal::{Folder, Journal, JournalError, Record};
use crate::output::Bake;
use crate::rollout::Outcome;
use crate::rollout::engine::{Action, Ended, Input, Pending, Rollout, Stage, Trouble, Verdict as Ruling};

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
    /// What of the capacity was set back.
    pub(crate) set_back: Option<String>,
}

impl Watch<'_> {
    /// Runs to the end, or until one of `interrupts`.
    pub(crate) async fn run(&mut self, first: Input, mut interrupts: Interrupts) -> Report {
        let clock = &self.driver.clock;
        let mut report = Report::blank(&self.selected);
        let mut told: Option<Told> = None;
        let only_restores = self.rollout.only_restores();
        let mut input = first;
        if let Some(path) = self.state.summary()
            && let Err(e) = summary::begin(path, &self.bench, &self.selected.target, &self.rollout)
        {
            let stays = format!("{} cannot be written: {e}; what it says is not of this run", path.display());
            self.driver.progress.caution(&self.selected.target, &stays);
        }
        loop {
            // Whoever wants it stopped goes before any answer, but for that to a write: what became of it must be known.
            if !matches!(
                input,
                Input::Accepted | Input::Refused(_) | Input::Restored | Input::TooSmall { .. } | Input::Unsent
            ) {
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
            if let (Action::Restore { capacity, .. }, Some(Input::Restored)) = (&action, &next) {
                self.set_back = Some(capacity.changes.join("; "));
            }
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
        let mut report = self.conclude(report, only_restores);
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
                if let Some(small) = finishing(interrupts, told, self.too_small()).await? {
                    return Some(small);
                }
                if told.is_some() && !self.rollout.is_rolling_back() {
                    return Some(Input::Unsent);
                }
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

    /// Whether the candidate has become too small for the next step. Where that cannot be told it is no reason to stay.
    async fn too_small(&self) -> Option<Input> {
        let share = self.rollout.raises()?;
        let Driver { clock, progress, .. } = self.driver;
        let (terms, target) = (self.rollout.plan().terms(), &self.selected.target);
        let reserved = self.rollout.reserved();
        let asked = self.backend.outgrown(target, &terms.stable, &terms.candidate, share, reserved);
        let Obstacle { what, remedy } = clock.by(clock.deadline(CALL), asked).await.ok()?.ok()??;
        progress.caution(target, &format!("{what}; {remedy}"));
        Some(Input::TooSmall { lack: what, remedy })
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
}

/// Whether these looks roll the candidate back.
fn found_bad(input: &Input) -> bool {
    let Input::Judged(looks) = input else { return false };
    looks.iter().any(|look| matches!(look.verdict, Ruling::Fail | Ruling::Starved | Ruling::Worse))
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
