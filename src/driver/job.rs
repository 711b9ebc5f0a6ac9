//! One intent on one target.

use std::cell::Cell;
use std::time::Duration;

use mlroll_backend::{Backend, Error, ErrorKind, Marker, Readiness, RevisionId, Snapshot, Target, embed};

use super::{Driver, Report};
use crate::clock::Deadline;
use crate::config::Selected;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::rollout::{Choice, Decision, Intent, Landing, Outcome, Refusal, Stamp, Step, choose, decide, landing};

/// How long a busy target is left alone before it is read again; the last for every further time.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// How often a split that is not yet live is looked at.
const SETTLING: Duration = Duration::from_secs(2);

/// What is granted beyond the time limit to tell where traffic is.
const LAST_LOOK: Duration = Duration::from_secs(5);

/// How many revisions are named in a message.
const LISTED: usize = 10;

/// One intent on one target.
pub(super) struct Job<'a> {
    pub(super) driver: &'a Driver<'a>,
    pub(super) backend: &'a dyn Backend,
    pub(super) intent: &'a Intent,
    pub(super) selected: Selected,
    pub(super) interrupted: &'a Cell<bool>,
}

/// A write and the state it was made in.
struct Attempt {
    before: Snapshot,
    step: Step,
    carried: Option<Marker>,
}

/// What became of a write whose answer was an error.
enum Aftermath {
    /// It took effect all the same.
    Landed(Snapshot),
    /// It did not; this is why, and how the target is.
    Refused(Box<Failure>, Snapshot),
    /// It did not, because the target is busy: look at it again in a while, if there is time.
    Busy(Box<Failure>, Snapshot),
    /// It did not, because the target changed: decide again by this.
    Changed(Snapshot),
    /// Nobody can tell.
    Unknown(Box<Failure>),
}

impl Job<'_> {
    pub(super) async fn run(&self) -> Report {
        let mut report = Report::blank(&self.selected);
        self.act(&mut report).await;
        report.calls = self.driver.wire.count(&self.selected.target);
        report
    }

    async fn act(&self, report: &mut Report) {
        let clock = self.driver.clock;
        let deadline = clock.deadline(self.driver.limits.accept);
        let mut fresh: Option<Snapshot> = None;
        for turn in 0.. {
            if self.interrupted.get() {
                return report.fail(Failure::interrupted(&self.selected.target));
            }
            let seen = match fresh.take() {
                Some(seen) => seen,
                None => match self.observe(deadline).await {
                    Ok(seen) => seen,
                    Err(e) => return report.fail(Failure::of(&e, &self.selected.target)),
                },
            };
            report.saw(&seen);
            let step = match self.plan(&seen, deadline, report).await {
                Ok(Some(step)) => step,
                Ok(None) => return self.settle_unchanged(report, seen).await,
                Err(failure) => return report.fail(failure),
            };
            let carried = embed(&seen.guard.own_text, &step.marker, self.backend.capabilities().note_limit).marker;
            let attempt = Attempt { before: seen, step, carried };
            let error = match self.write(&attempt, deadline).await {
                Ok(after) => return self.settle(report, &attempt, after).await,
                Err(error) => error,
            };
            match self.aftermath(&attempt, &error, deadline).await {
                Aftermath::Landed(after) => return self.settle(report, &attempt, after).await,
                Aftermath::Changed(now) => fresh = Some(now),
                Aftermath::Busy(failure, now) => {
                    let pause = PAUSES.get(turn).or(PAUSES.last()).copied().unwrap_or_default();
                    if clock.left(deadline) <= pause {
                        report.saw(&now);
                        return report.fail(*failure);
                    }
                    self.driver.progress.waiting(&self.selected.target, error.message());
                    clock.sleep(pause).await;
                }
                Aftermath::Refused(failure, now) => {
                    report.saw(&now);
                    return report.fail(*failure);
                }
                Aftermath::Unknown(failure) => {
                    report.after = None;
                    report.settled = false;
                    return report.fail(*failure);
                }
            }
        }
    }

    async fn observe(&self, deadline: Deadline) -> Result<Snapshot, Error> {
        let look = self.backend.observe(&self.selected.target);
        self.driver.clock.by(deadline, look).await.unwrap_or_else(|_| Err(time_is_up("observe")))
    }

    async fn write(&self, attempt: &Attempt, deadline: Deadline) -> Result<Snapshot, Error> {
        let Step { to, marker, .. } = &attempt.step;
        self.driver.progress.shifting(&self.selected.target, &attempt.before, to);
        let shift = self.backend.shift(&self.selected.target, to, &attempt.before, marker);
        self.driver.clock.by(deadline, shift).await.unwrap_or_else(|_| Err(time_is_up("shift")))
    }

    /// The step to take, or `None` when there is nothing to do.
    async fn plan(&self, seen: &Snapshot, deadline: Deadline, report: &mut Report) -> Result<Option<Step>, Failure> {
        let stamp = Stamp { at: self.driver.clock.now(), id: self.driver.id.clone() };
        let can = self.backend.capabilities();
        let mut decision = decide(self.intent, seen, &can, &stamp);
        if let (Decision::FindCandidate { stable }, Intent::Canary { share, again, .. }) = (&decision, self.intent) {
            let candidate = self.find_candidate(stable, deadline, report).await?;
            let intent = Intent::Canary { share: *share, candidate: Some(candidate), again: *again };
            decision = decide(&intent, seen, &can, &stamp);
        }
        match decision {
            Decision::Unchanged { why } => {
                report.notes.push(why);
                Ok(None)
            }
            Decision::Refuse(refusal) => Err(self.refused(refusal, seen, deadline).await),
            Decision::FindCandidate { stable } => Err(self
                .refused(Refusal::new(ErrorKind::NotFound, format!("no candidate beside {stable}")), seen, deadline)
                .await),
            Decision::Shift(step) => {
                if let Some(newcomer) = &step.newcomer {
                    self.check(&step.marker.stable, newcomer, deadline).await?;
                }
                self.warn_of_lost_marker(seen, &step, can.note_limit, report);
                Ok(Some(step))
            }
        }
    }

    async fn find_candidate(
        &self,
        stable: &RevisionId,
        deadline: Deadline,
        report: &mut Report,
    ) -> Result<RevisionId, Failure> {
        let target = &self.selected.target;
        let listing = self.backend.revisions(target, usize::MAX);
        let listed = self.driver.clock.by(deadline, listing).await.unwrap_or_else(|_| Err(time_is_up("revisions")));
        let listed = listed.map_err(|e| Failure::of(&e, target))?;
        let names = |ids: &[RevisionId]| ids.iter().take(LISTED).map(RevisionId::as_str).collect::<Vec<_>>().join(", ");
        let about = |refusal: Refusal| Failure { target: Some(target.clone()), ..Failure::from(refusal) };
        match choose(target.provider(), stable, &listed) {
            Choice::Found { candidate, others } => {
                if !others.is_empty() {
                    let note = format!(
                        "the candidate is {candidate}, the newest; also newer than {stable}: {}",
                        names(&others)
                    );
                    report.notes.push(note);
                }
                Ok(candidate)
            }
            Choice::Nothing => {
                let message = format!("there is no candidate: nothing newer than {stable} is published");
                Err(about(
                    Refusal::new(ErrorKind::NotFound, message)
                        .hint("publish a version first, or name an older one: `--candidate REV`"),
                ))
            }
            Choice::Several(ids) if ids.is_empty() => Err(about(Refusal::new(
                ErrorKind::NotFound,
                format!("there is no candidate: {stable} is all there is"),
            ))),
            Choice::Several(ids) => {
                let message = format!("which candidate? there are {}", names(&ids));
                Err(about(Refusal::new(ErrorKind::Invalid, message).hint("name it: `--candidate REV`")))
            }
        }
    }

    /// Refuses a candidate that could not serve.
    async fn check(&self, stable: &RevisionId, candidate: &RevisionId, deadline: Deadline) -> Result<(), Failure> {
        let target = &self.selected.target;
        let check = self.backend.check(target, stable, candidate);
        let found = self.driver.clock.by(deadline, check).await.unwrap_or_else(|_| Err(time_is_up("check")));
        let found = found.map_err(|e| Failure::of(&e, target))?;
        if found.is_empty() {
            return Ok(());
        }
        let what: Vec<&str> = found.iter().map(|obstacle| obstacle.what.as_str()).collect();
        let refusal = Refusal::new(ErrorKind::Invalid, what.join("; "));
        let refusal = found.iter().fold(refusal, |refusal, obstacle| refusal.hint(obstacle.remedy.clone()));
        Err(Failure { target: Some(target.clone()), ..Failure::from(refusal) })
    }

    fn warn_of_lost_marker(&self, seen: &Snapshot, step: &Step, limit: usize, report: &mut Report) {
        if embed(&seen.guard.own_text, &step.marker, limit).marker.is_none() {
            let way_back = match (&step.outcome, &step.marker.previous) {
                (Outcome::Promoted, Some(previous)) => format!("; the way back is `mlroll rollback --to {previous}`"),
                _ => String::new(),
            };
            report.notes.push(format!("the description is too long to carry mlroll's note{way_back}"));
        }
    }

    async fn refused(&self, refusal: Refusal, seen: &Snapshot, deadline: Deadline) -> Failure {
        let target = &self.selected.target;
        let list = refusal.list_revisions;
        let mut failure = Failure { target: Some(target.clone()), ..Failure::from(refusal) };
        if list && let Ok(Ok(listed)) = self.driver.clock.by(deadline, self.backend.revisions(target, LISTED)).await {
            let serving = |id: &RevisionId| seen.split.as_ref().is_some_and(|s| s.is_full(id));
            let names: Vec<&str> =
                listed.iter().map(|r| &r.id).filter(|id| !serving(id)).map(RevisionId::as_str).collect();
            match (names.first(), self.intent) {
                (Some(first), Intent::Rollback { .. }) => {
                    failure = failure.hint(format!(
                        "there are {}; go to one: `mlroll rollback --to {first} --target {target}`",
                        names.join(", ")
                    ))
                }
                (Some(_), Intent::Canary { .. } | Intent::Promote) => {
                    failure = failure.hint(format!("there are {}", names.join(", ")))
                }
                (None, _) => {}
            }
        }
        failure
    }

    /// Finds out what became of a write whose answer was an error.
    async fn aftermath(&self, attempt: &Attempt, error: &Error, deadline: Deadline) -> Aftermath {
        let target = &self.selected.target;
        let failure = Box::new(Failure::of(error, target));
        let sent = self.driver.wire.writes_since_read(target);
        if sent == 0 {
            return Aftermath::Refused(failure, attempt.before.clone());
        }
        // A single request that was refused by name did nothing; anything else may have been a lost reply.
        let outright = sent == 1
            && matches!(error.kind(), ErrorKind::Auth | ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Conflict);
        if outright && error.kind() != ErrorKind::Conflict {
            return Aftermath::Refused(failure, attempt.before.clone());
        }
        let grace = self.driver.clock.at_least(deadline, LAST_LOOK);
        let now = match self.observe(grace).await {
            Ok(now) => now,
            Err(_) if outright => return Aftermath::Refused(failure, attempt.before.clone()),
            Err(e) => return Aftermath::Unknown(Box::new(unknown(*failure, &e))),
        };
        let rollback = matches!(self.intent, Intent::Rollback { .. });
        let in_time = !self.driver.clock.left(deadline).is_zero();
        match landing(&attempt.before, &attempt.step.to, attempt.carried.as_ref(), &now) {
            Landing::Landed => Aftermath::Landed(now),
            Landing::Untouched if error.kind() == ErrorKind::Conflict && in_time => Aftermath::Busy(failure, now),
            Landing::Touched if outright && in_time => Aftermath::Changed(now),
            Landing::Foreign | Landing::Touched if rollback && in_time => Aftermath::Changed(now),
            Landing::Foreign | Landing::Touched => {
                Aftermath::Refused(Box::new(interference(target, attempt, &now)), now)
            }
            Landing::Untouched => Aftermath::Refused(failure, now),
        }
    }

    /// Waits until what was written is live.
    async fn settle(&self, report: &mut Report, attempt: &Attempt, mut now: Snapshot) {
        report.outcome = attempt.step.outcome;
        report.exit = ExitStatus::Success;
        let to = &attempt.step.to;
        let clock = self.driver.clock;
        let deadline = clock.deadline(self.driver.limits.settle);
        let patient = !self.driver.limits.no_wait && !self.driver.wire.is_rehearsal();
        loop {
            report.saw(&now);
            let why = match &now.readiness {
                _ if now.split.as_ref() != Some(to) => {
                    return report.fail(interference(&self.selected.target, attempt, &now));
                }
                Readiness::Live => return,
                Readiness::Failed(why) => return report.fail(never_settled(&self.selected.target, why)),
                Readiness::Settling(why) => why.clone(),
            };
            if !patient {
                report.notes.push(format!("accepted, not yet live: {why}"));
                return;
            }
            if self.interrupted.get() {
                return report.fail(Failure::interrupted(&self.selected.target));
            }
            self.driver.progress.waiting(&self.selected.target, &why);
            clock.sleep(SETTLING.min(clock.left(deadline))).await;
            if clock.left(deadline).is_zero() {
                return report.fail(never_settled(&self.selected.target, &why));
            }
            match self.observe(deadline).await {
                Ok(seen) => now = seen,
                Err(e)
                    if matches!(e.kind(), ErrorKind::Unavailable | ErrorKind::Throttled)
                        && !clock.left(deadline).is_zero() => {}
                Err(e) => {
                    let failure = unknown(Failure::of(&e, &self.selected.target), &e);
                    report.after = None;
                    return report.fail(failure);
                }
            }
        }
    }

    /// A split that needs no write may still be on its way.
    async fn settle_unchanged(&self, report: &mut Report, seen: Snapshot) {
        report.outcome = Outcome::Unchanged;
        report.exit = ExitStatus::Success;
        if let (Readiness::Settling(_), Some(to), Some(marker)) = (&seen.readiness, &seen.split, &seen.marker) {
            let step = Step { to: to.clone(), marker: marker.clone(), outcome: Outcome::Unchanged, newcomer: None };
            let attempt = Attempt { before: seen.clone(), step, carried: None };
            self.settle(report, &attempt, seen).await;
        }
    }
}

/// A time limit of ours, as an error of the provider's.
pub(super) fn time_is_up(operation: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, operation, "no answer within the time limit (--timeout)")
}

/// Traffic is neither what we saw nor what we wrote.
fn interference(target: &Target, attempt: &Attempt, now: &Snapshot) -> Failure {
    let message = format!(
        "someone else changed the target: it had {}, asked for was {}, and now it has {now}; theirs is left alone",
        attempt.before, attempt.step.to
    );
    let hints = vec![format!("see what it is now: `mlroll status --target {target}`"), "then decide again".to_owned()];
    Failure {
        exit: ExitStatus::Conflict,
        kind: "conflict",
        operation: None,
        target: Some(target.clone()),
        message,
        hints,
    }
}

/// A write may or may not have taken effect, and the target cannot be read.
fn unknown(failure: Failure, look: &Error) -> Failure {
    let message = format!("{}; and whether it took effect could not be confirmed: {look}", failure.message);
    let target = failure.target.as_ref().map_or_else(String::new, |t| format!(" --target {t}"));
    let hints = vec![
        format!("look until it answers: `mlroll status{target}`"),
        "if stable must have everything now: `mlroll rollback`, which is safe to repeat".to_owned(),
    ];
    Failure { exit: ExitStatus::Unsafe, message, hints, ..failure }
}

/// A write was accepted, but the split never went live.
fn never_settled(target: &Target, why: &str) -> Failure {
    let message = format!("the change was accepted but is not live: {why}");
    let hints =
        vec![format!("watch it: `mlroll status --target {target}`"), "give it more time: --timeout 30m".to_owned()];
    Failure {
        exit: ExitStatus::Unsafe,
        kind: "unavailable",
        operation: None,
        target: Some(target.clone()),
        message,
        hints,
    }
}
