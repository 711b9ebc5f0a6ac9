//! Runs that were begun before: which of them are unfinished, and which one is gone on with.

use std::collections::BTreeSet;

use mlroll_backend::{Backend, MarkerState, RevisionId, Snapshot, Target};

use super::Context;
use super::watched::Begin;
use crate::config::{Metrics, Selected, Service, Watching};
use crate::driver::Driver;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::journal::{Folder, Header, JournalError, Replay, Store, header_of, replay};
use crate::rollout::Intent;
use crate::rollout::engine::{Kind, Stage};

/// Journals of the target that were not brought to an end, the newest first: those behind one that was are over, whatever
/// they say. A journal that cannot be read is told of.
///
/// # Errors
/// Journals cannot be listed, or one of this target is damaged.
pub(crate) fn unfinished(context: &Context, state: &Folder, selected: &Selected) -> Result<Vec<Replay>, Failure> {
    let names = state.list().map_err(|e| Failure::usage(e.to_string()))?;
    let mut found = Vec::new();
    let same = |header: &Header| header.target.parse().is_ok_and(|target: Target| target.may_be(&selected.target));
    for name in names.iter().rev() {
        match replay(state, name) {
            Ok(read) if !same(&read.header) => {}
            Ok(read) if read.rollout.is_unfinished() => found.push(read),
            Ok(_) => break,
            Err(e @ JournalError::Damaged { .. }) if header_of(state, name).is_ok_and(|header| same(&header)) => {
                let failure = Failure::usage(e.to_string()).about(&selected.target);
                return Err(failure.hint("nobody can tell how far that run is: look at it, and move it away"));
            }
            Err(e) => context.printer.warn(&e.to_string()),
        }
    }
    Ok(found)
}

/// Refuses while a living process goes on with one of these runs, where the state folder can tell.
pub(super) fn in_charge(open: &[Replay], state: &Folder) -> Result<(), JournalError> {
    open.iter().try_for_each(|read| state.lock(&read.header.plan.terms().id).map(drop))
}

/// A journal that another process is going on with, or that cannot be used.
pub(super) fn in_use(error: &JournalError, target: &Target) -> Failure {
    let failure = Failure::usage(error.to_string()).about(target);
    match error {
        JournalError::InUse { .. } => Failure { exit: ExitStatus::Conflict, kind: "conflict", ..failure }
            .hint("another run is in charge: leave it to that, or stop it: `mlroll hold`"),
        JournalError::Damaged { .. }
        | JournalError::Differs { .. }
        | JournalError::Missing { .. }
        | JournalError::Taken { .. }
        | JournalError::Unreadable { .. }
        | JournalError::Unwritable { .. }
        | JournalError::Version { .. } => failure,
    }
}

/// Evidence of some numbers is not gone on with by others.
pub(super) fn check_metrics(header: &Header, service: &Service, target: &Target) -> Result<(), Failure> {
    let now = service.metrics.as_ref().map(Metrics::frozen).unwrap_or_default();
    // Older journals do not say.
    if header.metrics.is_empty() {
        return Ok(());
    }
    let keys: BTreeSet<&String> = header.metrics.keys().chain(now.keys()).collect();
    let Some(key) = keys.into_iter().find(|key| header.metrics.get(*key) != now.get(*key)) else {
        return Ok(());
    };
    let shown = |found: Option<&String>| found.map_or_else(|| "nothing".to_owned(), |value| format!("`{value}`"));
    let failure = Failure::usage(format!(
        "metrics.{key} has changed since the run began, from {} to {}; what is measured was frozen then",
        shown(header.metrics.get(key)),
        shown(now.get(key))
    ));
    Err(failure.about(target).hint("put it back"))
}

/// Whether there is a run to go on with.
pub(super) enum Earlier {
    None(Watching, (Option<RevisionId>, bool)),
    Run(Box<Replay>),
}

impl Begin {
    /// An unfinished run is gone on with only when it is what is asked for, and the target still is in its hands.
    pub(super) async fn earlier(
        self,
        context: &Context,
        driver: &Driver<'_>,
        backend: &dyn Backend,
        state: &Folder,
        selected: &Selected,
    ) -> Result<Earlier, Failure> {
        let (watching, candidate, again, go_on) = match self {
            Self::Resume(read) => return Ok(Earlier::Run(read)),
            Self::New { watching, candidate, again, go_on } => (watching, candidate, again, go_on),
        };
        let mut open = unfinished(context, state, selected)?;
        in_charge(&open, state).map_err(|e| in_use(&e, &selected.target))?;
        let reserving: Vec<Reserving> = open.iter().filter_map(Reserving::of).collect();
        if !go_on {
            open.clear();
        }
        open.retain(|read| {
            let terms = read.header.plan.terms();
            // One that could not give its candidate capacity has done nothing: what is asked for now may be to leave that.
            let is_idle = read.rollout.stage() == Stage::Start && read.rollout.reserved().is_none();
            terms.kind == watching.kind
                && candidate.as_ref().is_none_or(|candidate| *candidate == terms.candidate)
                && (terms.capacity == watching.capacity || !is_idle)
        });
        if !open.is_empty() {
            let deadline = driver.clock.deadline(driver.limits.accept);
            let seen = driver.clock.by(deadline, backend.observe(&selected.target)).await;
            if let Ok(Ok(seen)) = seen {
                let id = seen.marker.as_ref().and_then(|marker| marker.id.as_deref());
                let unlike = |read: &&Replay| {
                    let terms = read.header.plan.terms();
                    id == Some(terms.id.as_str()) && terms.judged != watching.judged
                };
                if let Some(read) = open.iter().find(unlike) {
                    let judged = if watching.judged { "is not judged" } else { "is judged by its gates" };
                    let run = &read.header.plan.terms().id;
                    let failure = Failure::usage(format!("run {run} of this target is unfinished, and it {judged}"));
                    let failure = Failure { exit: ExitStatus::Conflict, kind: "conflict", ..failure };
                    let failure = failure.about(&selected.target).hint("go on with it as it is: `mlroll resume`");
                    return Err(failure.hint("or end it first: `mlroll rollback`"));
                }
                open.retain(|read| read.header.plan.terms().judged == watching.judged && is_at_hand(read, &seen));
                if open.first().is_some_and(|read| read.rollout.stage() == Stage::Start) && candidate.is_none() {
                    // Nothing was shifted yet: who is newest now is meant, as if it had never begun.
                    let share = watching.steps.first().copied().unwrap_or_default();
                    let intent = Intent::Canary { share, candidate: None, again };
                    let (step, _) = driver.first_step(backend, selected, &intent).await?;
                    let meant = step.and_then(|step| match step.marker.state {
                        MarkerState::Canary { candidate } => Some(candidate),
                        MarkerState::Promoted | MarkerState::RolledBack { .. } => None,
                    });
                    open.retain(|read| meant.as_ref().is_none_or(|meant| *meant == read.header.plan.terms().candidate));
                }
            }
        }
        let next = open.into_iter().next();
        let gone_on_with = next.as_ref().map(|read| read.header.plan.terms().id.as_str());
        // One that has ended but for its capacity is not what a new run is asked for.
        let left = reserving.iter().find(|run| gone_on_with != Some(run.id.as_str()) || run.is_ending);
        if let Some(run) = left {
            return Err(run.refuse(&selected.target));
        }
        Ok(match next {
            Some(read) => Earlier::Run(Box::new(read)),
            None => Earlier::None(watching, (candidate, again)),
        })
    }
}

/// Refuses while a run of the target has capacity to set back: what is made or shifted now would take that for how things are. By hand
/// (`by_hand`) only one that has ended is in the way.
///
/// # Errors
/// There is such a run. Where journals cannot be read that is a warning.
pub(super) fn refuse_beside_capacity(
    context: &Context,
    state: &Folder,
    selected: &Selected,
    by_hand: bool,
) -> Result<(), Failure> {
    let open = match unfinished(context, state, selected) {
        Ok(open) => open,
        // What needs no journal is not kept from its work by one.
        Err(unread) => {
            let unknown = "whether a run of it has capacity to set back is not known";
            context.printer.warn(&format!("{}: {unknown}: {}", selected.target, unread.message));
            return Ok(());
        }
    };
    beside_capacity(&open, &selected.target, by_hand)
}

/// The same by journals that were read.
pub(super) fn beside_capacity(open: &[Replay], target: &Target, by_hand: bool) -> Result<(), Failure> {
    let mut reserving = open.iter().filter_map(Reserving::of);
    let left = reserving.find(|run| run.is_ending || !by_hand);
    left.map_or(Ok(()), |run| Err(run.refuse(target)))
}

/// A run whose capacity is not set back.
struct Reserving {
    id: String,
    changes: String,
    /// It has ended but for that.
    is_ending: bool,
    /// Somebody else's change ended it.
    stopped: bool,
}

impl Reserving {
    fn of(read: &Replay) -> Option<Self> {
        let terms = read.header.plan.terms();
        let is_ending = read.rollout.ending().is_some();
        let stopped = read.rollout.only_restores();
        // What stays with a candidate is in nobody's way; what an experiment has yet to set back would be taken for all of a new one.
        let in_the_way = !terms.kind.may_leave_capacity() || (terms.kind == Kind::Experiment && is_ending);
        let changes = read.rollout.restorable().filter(|_| in_the_way)?.changes.join("; ");
        let id = terms.id.clone();
        Some(Self { id, changes, is_ending, stopped })
    }

    /// What it has would be taken for what stable has, and be doubled once more.
    fn refuse(&self, target: &Target) -> Failure {
        let Self { id, changes, is_ending, stopped } = self;
        let failure = Failure::usage(format!("run {id} of this target has not set its capacity back: {changes}"));
        let failure = Failure { exit: ExitStatus::Conflict, kind: "conflict", ..failure };
        let failure = failure.about(target);
        let rid = format!("`mlroll rollback --target {target}`, then `mlroll resume --target {target}`");
        match (is_ending, stopped) {
            (false, _) => failure
                .hint(format!("`mlroll resume --target {target}` goes on with it, and sets that back at its end"))
                .hint(format!("to be rid of it: {rid}")),
            (true, false) => failure.hint(format!("set it back: `mlroll resume --target {target}`")),
            (true, true) => failure
                .hint(format!("set it back: `mlroll resume --target {target}`, which touches no traffic"))
                .hint(format!("where several revisions have traffic: {rid}")),
        }
    }
}

/// Whether the target still is in the hands of a run: by its note, or because nobody has anything in flight. A note that
/// somebody rolled it back is the end of it, but for the run that is doing so itself.
fn is_at_hand(read: &Replay, seen: &Snapshot) -> bool {
    let ours = seen.marker.as_ref().filter(|marker| marker.id.as_deref() == Some(read.header.plan.terms().id.as_str()));
    match ours {
        Some(marker) => !matches!(marker.state, MarkerState::RolledBack { .. }) || read.rollout.is_rolling_back(),
        None => read.rollout.stage() == Stage::Start && seen.roles.candidate.is_none(),
    }
}
