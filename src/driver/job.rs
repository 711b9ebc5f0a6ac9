//! One intent on one target.

mod attempt;
mod candidate;
mod settling;
mod sized;

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mlroll_backend::{Backend, Error, ErrorKind, RevisionId, Snapshot, Target, Weight, embed};

use self::attempt::{Attempt, interference, taken_back, unknown, unread};
use self::settling::asked_for;
use super::{Doubt, Driver, Report, Shared};
use crate::clock::Deadline;
use crate::failure::Failure;
use crate::rollout::{Decision, Intent, Landing, Outcome, Refusal, Stamp, Step, decide, landing};

/// How long a busy target, or one that settles, is left alone before it is read again; the last for every further time.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// How often a rollback that Azure or SageMaker accepted and then gave up is decided again.
const AGAIN: usize = 2;

/// How many revisions are named in a message.
const LISTED: usize = 10;

/// One intent on one target.
pub(super) struct Job<'a> {
    pub(super) shared: &'a Shared<'a>,
    pub(super) backend: &'a dyn Backend,
    pub(super) target: Target,
    pub(super) intent: &'a Intent,
    /// Until when its next write has to be accepted.
    deadline: Cell<Deadline>,
}

/// What became of a write whose answer was an error.
enum Aftermath {
    /// It did not take effect because the target had changed, and what it is now cannot be read.
    Blind(Box<Failure>),
    /// It did not, and may in a while: the target is busy, or the provider out of order. What is in doubt if there is no time for that.
    Busy(Box<Failure>, Snapshot, Option<Doubt>),
    /// It did not, because the target changed: decide again by this.
    Changed(Snapshot),
    /// It took effect all the same.
    Landed(Snapshot),
    /// It did not; this is why, how the target is, and whether that may still change.
    Refused(Box<Failure>, Snapshot, Option<Doubt>),
    /// Nobody can tell.
    Unknown(Box<Failure>),
}

/// What was found out about the candidate, so that it is neither chosen nor checked twice.
#[derive(Default)]
struct Candidate {
    chosen: Option<RevisionId>,
    checked: Option<RevisionId>,
    sized: Option<RevisionId>,
}

impl<'a> Job<'a> {
    pub(super) const fn new(
        shared: &'a Shared<'a>,
        backend: &'a dyn Backend,
        target: Target,
        intent: &'a Intent,
    ) -> Self {
        Self { shared, backend, target, intent, deadline: Cell::new(shared.deadline) }
    }

    pub(super) async fn run(&self, report: &mut Report) {
        let clock = &self.driver().clock;
        let mut candidate = Candidate::default();
        let mut fresh: Option<Snapshot> = None;
        let mut blind = false;
        // What a busy target said last.
        let mut busy: Option<Failure> = None;
        let mut given_up = 0;
        for turn in 0.. {
            if self.stops_here() {
                return report.fail(Failure::interrupted(&self.target));
            }
            let pause = PAUSES.get(turn).or(PAUSES.last()).copied().unwrap_or_default();
            let in_time = clock.left(self.deadline.get()) > pause;
            let seen = match fresh.take() {
                Some(seen) => seen,
                None => match self.observe(self.deadline.get()).await {
                    Ok(seen) => seen,
                    Err(e) if self.has_time_for(&e) || (in_time && self.outlasts(&e)) => {
                        self.leave_alone(&e, pause).await;
                        continue;
                    }
                    Err(_) if blind && in_time => {
                        clock.sleep(pause).await;
                        continue;
                    }
                    Err(e) => {
                        let late = e.kind() == ErrorKind::Unavailable && clock.left(self.deadline.get()).is_zero();
                        let stayed_busy = busy.take().filter(|_| late);
                        return report.fail(stayed_busy.unwrap_or_else(|| Failure::of(&e, &self.target)));
                    }
                },
            };
            blind = false;
            report.saw(&seen);
            let step = match self.plan(&seen, &mut candidate, report).await {
                Ok(Some(step)) => step,
                Ok(None) => match self.settle_unchanged(report, seen, given_up < AGAIN).await {
                    Some(now) => {
                        given_up += 1;
                        self.grant_more_time();
                        fresh = Some(now);
                        continue;
                    }
                    None => return,
                },
                // Somebody's operation is under way, and nothing tells what it leads to: decide by what comes of it.
                Err(_)
                    if self.may_change(&seen)
                        && seen.nature.bar().is_none()
                        && clock.left(self.deadline.get()) > self.backend.poll_interval() =>
                {
                    self.wait_a_while(&seen).await;
                    continue;
                }
                Err(failure) => return report.fail(failure),
            };
            match self.size(&step, &mut candidate, report).await {
                Ok(false) => {}
                Ok(true) => continue,
                Err(failure) => return report.fail(failure),
            }
            let carried = embed(&seen.guard.own_text, &step.marker, self.backend.capabilities().note_limit).marker;
            let attempt = Attempt { before: seen, step, carried };
            let already = self.driver().wire.writes(&self.target);
            let error = match self.write(&attempt).await {
                Ok(after) => {
                    if attempt.carried.is_some() && after.marker.is_none() {
                        report.note("the provider did not take mlroll's note: what was before is known only to you");
                    }
                    match self.settle(report, &attempt, after, given_up < AGAIN).await {
                        Some(now) => {
                            given_up += 1;
                            self.grant_more_time();
                            fresh = Some(now);
                            continue;
                        }
                        None => return,
                    }
                }
                Err(error) => error,
            };
            let sent = self.driver().wire.writes(&self.target).saturating_sub(already);
            match self.aftermath(&attempt, &error, sent).await {
                Aftermath::Landed(after) => match self.settle(report, &attempt, after, given_up < AGAIN).await {
                    Some(now) => {
                        given_up += 1;
                        self.grant_more_time();
                        fresh = Some(now);
                    }
                    None => return,
                },
                Aftermath::Changed(now) => {
                    busy = None;
                    // Two who fight over a target must not use up the control plane's rate for everybody.
                    if turn > 1 {
                        clock.sleep(pause).await;
                    }
                    fresh = Some(now);
                }
                Aftermath::Busy(failure, now, doubt) => {
                    report.saw(&now);
                    if clock.left(self.deadline.get()) <= pause.max(asked_for(&error).unwrap_or_default()) {
                        report.doubts(doubt);
                        return report.fail(*failure);
                    }
                    self.leave_alone(&error, pause).await;
                    busy = Some(*failure);
                }
                Aftermath::Blind(failure) => {
                    report.lost_sight(Doubt::Unread);
                    if !in_time || !self.is_rollback() {
                        return report.fail(*failure);
                    }
                    blind = true;
                    clock.sleep(pause).await;
                }
                Aftermath::Refused(failure, now, doubt) => {
                    report.saw(&now);
                    report.doubts(doubt);
                    let lost = error.kind() == ErrorKind::NotFound;
                    let failure = if lost { self.naming_revisions(*failure, &now).await } else { *failure };
                    return report.fail(failure);
                }
                Aftermath::Unknown(failure) => {
                    report.lost_sight(Doubt::Unconfirmed);
                    return report.fail(*failure);
                }
            }
        }
    }

    /// What it would begin with.
    pub(super) async fn first_step(&self, report: &mut Report) -> Result<(Option<Step>, Snapshot), Failure> {
        let seen = self.observe(self.deadline.get()).await.map_err(|e| Failure::of(&e, &self.target))?;
        let step = self.plan(&seen, &mut Candidate::default(), report).await?;
        Ok((step, seen))
    }

    /// What was accepted and given up took its time: the next write has as much again, unless somebody set a limit to all of it.
    fn grant_more_time(&self) {
        let Driver { clock, limits, .. } = self.driver();
        if limits.settle.is_some() {
            self.deadline.set(clock.deadline(limits.accept));
        }
    }

    const fn driver(&self) -> &Driver<'_> {
        self.shared.driver
    }

    const fn is_rollback(&self) -> bool {
        matches!(self.intent, Intent::Rollback { .. })
    }

    /// Whether an interrupt ends this job before its next write. A rollback is what an interrupt would want.
    fn stops_here(&self) -> bool {
        self.shared.interrupted.load(Ordering::Relaxed) && !self.is_rollback()
    }

    async fn observe(&self, deadline: Deadline) -> Result<Snapshot, Error> {
        let look = async {
            match self.backend.observe(&self.target).await {
                // A note that cannot be read must not stand in the way back where the split alone tells it.
                Err(error) if self.is_rollback() && error.kind() != ErrorKind::NotFound => {
                    let seen = self.backend.observe_without_marker(&self.target).await.ok();
                    let has_written = self.driver().wire.writes(&self.target) > 0;
                    let is_told = matches!(self.intent, Intent::Rollback { to: Some(_), .. });
                    let tells = |seen: &Snapshot| {
                        let shared = seen.split.as_ref().is_some_and(|split| split.sole().is_none());
                        is_told || (shared && seen.roles.stable.is_some())
                    };
                    seen.filter(|seen| has_written || tells(seen)).ok_or(error)
                }
                other => other,
            }
        };
        self.driver().clock.by(deadline, look).await.unwrap_or_else(|_| Err(time_is_up()))
    }

    async fn write(&self, attempt: &Attempt) -> Result<Snapshot, Error> {
        let Step { to, marker, .. } = &attempt.step;
        self.driver().progress.shifting(&self.target, &attempt.before, to);
        let shift = self.backend.shift(&self.target, to, &attempt.before, marker);
        self.driver().clock.by(self.deadline.get(), shift).await.unwrap_or_else(|_| Err(time_is_up()))
    }

    /// The step to take, or `None` when there is nothing to do.
    async fn plan(&self, seen: &Snapshot, known: &mut Candidate, report: &mut Report) -> Result<Option<Step>, Failure> {
        let stamp = Stamp { at: self.driver().clock.now(), id: self.driver().id.clone() };
        let can = self.backend.capabilities();
        let intent = self.intent.for_provider(self.target.provider());
        let mut decision = decide(&intent, seen, &can, &stamp);
        if let (Decision::FindCandidate { stable }, Intent::Canary { share, again, .. }) = (&decision, &intent) {
            let candidate = match known.chosen.clone().filter(|chosen| chosen != stable) {
                Some(chosen) => chosen,
                None => self.find_candidate(stable, seen, report).await?,
            };
            known.chosen = Some(candidate.clone());
            let intent = Intent::Canary { share: *share, candidate: Some(candidate), again: *again };
            decision = decide(&intent, seen, &can, &stamp);
        }
        match decision {
            Decision::Unchanged { why } => {
                report.note(why);
                Ok(None)
            }
            Decision::Refuse(refusal) => {
                let list = refusal.list_revisions;
                let unnoted = seen.marker.is_none() && seen.split.as_ref().is_some_and(|split| split.sole().is_none());
                let bare = self.is_rollback() && refusal.kind == ErrorKind::NotFound;
                let failure = Failure::from(refusal).about(&self.target);
                let ways = seen.nature.remedies.iter().filter(|_| bare && seen.nature.bar().is_some());
                let failure = ways.fold(failure, Failure::hint);
                let failure = if unnoted { failure.suspecting(&self.target) } else { failure };
                Err(if list { self.naming_revisions(failure, seen).await } else { failure })
            }
            Decision::FindCandidate { stable } => {
                let refusal = Refusal::new(ErrorKind::NotFound, format!("there is no candidate beside {stable}"));
                Err(Failure::from(refusal).about(&self.target))
            }
            Decision::Shift(step) => {
                if let Some(newcomer) =
                    step.newcomer.as_ref().filter(|newcomer| known.checked.as_ref() != Some(newcomer))
                {
                    self.check(&step.marker.stable, newcomer).await?;
                    known.checked = Some(newcomer.clone());
                    let share = step.to.weight_of(newcomer);
                    for advice in self.backend.advice(&self.target, &step.marker.stable, newcomer, share) {
                        report.note(advice);
                    }
                }
                self.refuse_too_small(&step, report)?;
                note_lost_marker(seen, &step, can.note_limit, report);
                note_shadow(seen, &step, report);
                Ok(Some(step))
            }
        }
    }

    /// Adds which revisions there are: first those older than the one in charge, which have served before.
    async fn naming_revisions(&self, failure: Failure, seen: &Snapshot) -> Failure {
        let target = &self.target;
        let listing = self.backend.revisions(target, usize::MAX);
        let Ok(Ok(listed)) = self.driver().clock.by(self.deadline.get(), listing).await else {
            return failure;
        };
        let listed: Vec<RevisionId> = listed.into_iter().map(|r| r.id).collect();
        let here = seen.roles.stable.as_ref().and_then(|stable| listed.iter().position(|id| id == stable));
        let (newer, older) = match here {
            Some(here) => (listed.get(..here).unwrap_or_default(), listed.get(here + 1..).unwrap_or_default()),
            None => (listed.as_slice(), [].as_slice()),
        };
        let there_are = names(&[older, newer].concat());
        if there_are.is_empty() {
            return failure;
        }
        if self.is_rollback() {
            let to = older.first().map_or("REV", RevisionId::as_str);
            failure.hint(format!("there are {there_are}; go to one: `mlroll rollback --to {to} --target {target}`"))
        } else {
            failure.hint(format!("there are {there_are}"))
        }
    }

    /// Finds out what became of a write, `sent` so often, whose answer was an error.
    async fn aftermath(&self, attempt: &Attempt, error: &Error, sent: usize) -> Aftermath {
        let target = &self.target;
        let clock = &self.driver().clock;
        let failure = Box::new(Failure::of(error, target));
        // What is known to have changed nothing is as one request that was refused.
        let sent = if error.has_changed_nothing() { sent.min(1) } else { sent };
        // What is throttled is not done.
        if (sent == 0 || (sent == 1 && error.kind() == ErrorKind::Throttled)) && self.has_time_for(error) {
            return Aftermath::Busy(failure, attempt.before.clone(), None);
        }
        // Where nothing is atomic, a conflict may be found before anything is written: then it is looked at like others.
        if sent == 0 && error.kind() != ErrorKind::Conflict {
            return Aftermath::Refused(failure, attempt.before.clone(), None);
        }
        // A single request that was refused by name did nothing; anything else may have been a lost reply.
        let outright = sent <= 1
            && matches!(error.kind(), ErrorKind::Auth | ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Conflict);
        if outright && error.kind() != ErrorKind::Conflict {
            return Aftermath::Refused(failure, attempt.before.clone(), None);
        }
        let now = match self.last_look().await {
            Ok(now) => now,
            Err(e) if outright => return Aftermath::Blind(Box::new(unread(target, &e))),
            Err(e) => return Aftermath::Unknown(Box::new(unknown(*failure, &e))),
        };
        let now = match self.settled(attempt, now).await {
            Ok(now) => now,
            Err(e) => return Aftermath::Unknown(Box::new(unknown(*failure, &e))),
        };
        let in_time = !clock.left(self.deadline.get()).is_zero();
        // Who was told that the target is busy has made no change that could be taken back.
        if error.kind() != ErrorKind::Conflict
            && let Some(why) = attempt.undone(&now, false)
        {
            return match self.is_rollback() && in_time {
                true => Aftermath::Changed(now),
                false => Aftermath::Refused(Box::new(taken_back(target, &why, &now)), now, None),
            };
        }
        match landing(&attempt.before, &attempt.step.to, attempt.carried.as_ref(), &now) {
            Landing::Landed => Aftermath::Landed(now),
            Landing::Untouched => {
                // A request that was never answered may still be on its way.
                let doubt = (sent > 0 && !error.was_answered()).then_some(Doubt::MayStillLand);
                // Whoever takes traffic back asks until it is, or the time is up: the same split twice is no harm.
                let insists = self.outlasts(error) || (self.is_rollback() && error.kind() == ErrorKind::Unavailable);
                match error.kind() == ErrorKind::Conflict || self.has_time_for(error) || insists {
                    true => Aftermath::Busy(failure, now, doubt),
                    false => Aftermath::Refused(failure, now, doubt),
                }
            }
            Landing::Touched if outright && in_time => Aftermath::Changed(now),
            Landing::Foreign | Landing::Touched if self.is_rollback() && in_time => Aftermath::Changed(now),
            Landing::Foreign | Landing::Touched => {
                Aftermath::Refused(Box::new(interference(target, attempt, &now)), now, None)
            }
        }
    }
}

/// The first few names, for a message.
fn names(ids: &[RevisionId]) -> String {
    let mut shown: Vec<&str> = ids.iter().take(LISTED).map(RevisionId::as_str).collect();
    if ids.len() > LISTED {
        shown.push("...");
    }
    shown.join(", ")
}

fn note_lost_marker(seen: &Snapshot, step: &Step, limit: usize, report: &mut Report) {
    if embed(&seen.guard.own_text, &step.marker, limit).marker.is_none() {
        let way_back = match (&step.outcome, &step.marker.previous) {
            (Outcome::Promoted, Some(previous)) => format!("; the way back is `mlroll rollback --to {previous}`"),
            _ => String::new(),
        };
        report.note(format!("the description is too long to carry mlroll's note{way_back}"));
    }
}

/// Mirrored traffic ends with a rollback, and for whoever gets users.
fn note_shadow(seen: &Snapshot, step: &Step, report: &mut Report) {
    if let Some(shadow) = &seen.roles.shadow
        && (step.outcome == Outcome::RolledBack || step.to.weight_of(&shadow.revision) > Weight::ZERO)
    {
        report.note(format!("{} gets no copies any more", shadow.revision));
    }
}

/// A time limit of ours, as an error about the provider.
pub(crate) fn time_is_up() -> Error {
    Error::new(ErrorKind::Unavailable, "", "no answer within the time limit (--timeout)")
}
