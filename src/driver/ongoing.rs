//! What the state folder tells of runs that are not finished.

use std::collections::BTreeSet;
use std::time::Duration;

use mlroll_backend::{MarkerState, RevisionId, Snapshot, Target, Timestamp, Weight};

use super::{Look, Standing};
use crate::journal::{Folder, Replay, Store, replay};
use crate::judge::panel::Finding;
use crate::rollout::engine::{Action, Ended, Pending, Stage};

/// The longest that a run which goes on is silent besides its waits: one call to the provider, or one look at the metric
/// store, and as much again.
const SILENCE: Duration = Duration::from_secs(120);

/// A run that is not finished.
#[derive(Clone, Debug)]
pub struct Ongoing {
    /// Its id.
    pub id: String,
    /// Its target, as it was written.
    pub target: String,
    /// The verb that it was begun by.
    pub verb: &'static str,
    /// What it is at: `starting`, `preparing`, `shifting`, `settling`, `baking`, `watching`, `rolling_back`, `restoring`, `held` or `halted`.
    pub state: &'static str,
    /// The step, from 1; `None` before the first.
    pub step: Option<usize>,
    /// How many steps there are.
    pub steps: usize,
    /// The candidate's share at this step.
    pub percent: Weight,
    /// Since when it is at this step.
    pub since: Timestamp,
    /// Whether its process is gone: it is not held, and is silent for longer than it would be.
    pub orphaned: bool,
    /// What its gates said last.
    pub findings: Vec<Finding>,
    /// The revision on trial.
    pub candidate: RevisionId,
}

/// Journals, of which those that are finished are read once.
#[derive(Debug)]
pub struct Runs {
    state: Folder,
    finished: BTreeSet<String>,
}

impl Runs {
    /// The runs of a state folder.
    #[must_use]
    pub fn new(state: Folder) -> Self {
        Self { state, finished: BTreeSet::new() }
    }

    /// Those that are not finished, the newest first, and what is wrong with journals that cannot be read.
    pub fn ongoing(&mut self, now: Timestamp) -> (Vec<Ongoing>, Vec<String>) {
        let (mut ongoing, mut complaints) = (Vec::new(), Vec::new());
        let names = self.state.list().unwrap_or_else(|e| {
            complaints.push(e.to_string());
            Vec::new()
        });
        for name in names.into_iter().rev() {
            if self.finished.contains(&name) {
                continue;
            }
            match replay(&self.state, &name) {
                Ok(read) if read.rollout.is_unfinished() => ongoing.push(Ongoing::of(&read, now)),
                Ok(_) => drop(self.finished.insert(name)),
                Err(e) => complaints.push(e.to_string()),
            }
        }
        (ongoing, complaints)
    }
}

impl Ongoing {
    fn of(read: &Replay, now: Timestamp) -> Self {
        let terms = read.header.plan.terms();
        let stage = read.rollout.stage();
        let last = read.records.last();
        let ended = read.rollout.ended().map(|(ended, _)| ended);
        let state = match (ended, last.map(|record| &record.action), stage) {
            (Some(Ended::Halted), ..) => "halted",
            (Some(Ended::Held | Ended::Promoted | Ended::RolledBack | Ended::Shifted), ..) => "held",
            (None, Some(Action::Restore { .. }), _) => "restoring",
            (None, ..) if read.rollout.is_rolling_back() => "rolling_back",
            (None, Some(Action::Wait { why: Pending::Settling { .. }, .. }), _) => "settling",
            (None, Some(Action::Shift { .. }), _) => "shifting",
            (None, Some(Action::Prepare(_)), _) => "preparing",
            (None, _, Stage::Start) => "starting",
            (None, _, Stage::Step(_)) => "baking",
            (None, _, Stage::Watch) => "watching",
        };
        let next = match last.map(|record| (record.at, &record.action)) {
            Some((_, Action::Wait { until, .. })) => *until,
            // They take as long as the provider does, and write nothing meanwhile.
            Some((at, Action::Prepare(_) | Action::Restore { .. })) => at.plus(terms.settle_timeout),
            Some((at, _)) => at,
            None => read.header.at,
        };
        let evidence = read.evidence().and_then(|found| serde_json::from_value::<Standing>(found.clone()).ok());
        Self {
            id: terms.id.clone(),
            target: read.header.target.clone(),
            verb: terms.kind.verb(),
            state,
            step: match stage {
                Stage::Start => None,
                Stage::Step(at) => at.checked_add(1),
                Stage::Watch => Some(terms.steps.len()),
            },
            steps: terms.steps.len(),
            percent: match stage {
                Stage::Start => Weight::ZERO,
                Stage::Step(at) => terms.steps.get(at).copied().unwrap_or_default(),
                Stage::Watch => Weight::FULL,
            },
            since: read.entered(),
            orphaned: ended.is_none() && now > next.plus(SILENCE),
            findings: evidence.map(|standing| standing.findings()).unwrap_or_default(),
            candidate: terms.candidate.clone(),
        }
    }

    /// Whether a process goes on with it.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        !self.orphaned && self.state != "held" && self.state != "halted"
    }

    /// The one of these that has the target in its hands: whose note is there, or that is about to begin.
    #[must_use]
    pub fn behind<'a>(ongoing: &'a [Self], look: &Look) -> Option<&'a Self> {
        let target = &look.selected.target;
        let same = |run: &&Self| run.target.parse().is_ok_and(|other: Target| other.may_be(target));
        ongoing.iter().filter(same).find(|run| look.seen.as_ref().map_or(true, |seen| run.has(seen)))
    }

    fn has(&self, seen: &Snapshot) -> bool {
        let begins = self.step.is_none() && self.is_watched();
        let Some(marker) = &seen.marker else { return begins };
        // A note that was too long for its place lost its id.
        let ours = marker.id.as_ref().map(|id| *id == self.id);
        match &marker.state {
            MarkerState::Canary { candidate } => ours.unwrap_or(*candidate == self.candidate),
            MarkerState::Promoted => ours.unwrap_or(self.state == "watching") || begins,
            MarkerState::RolledBack { .. } => begins,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Header, Journal, Record};
    use crate::rollout::engine::{Input, Plan, Rollout};

    const FORMAT_1: &str = include_str!("../journal/tests/format-1.jsonl");

    /// Its process wrote so many steps, and then nothing.
    fn silent_after(steps: usize, seconds: i64) -> (Vec<Ongoing>, Vec<String>) {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("01JJOURNAL.jsonl"), FORMAT_1).unwrap();
        let whole = replay(&Folder::new(home.path()), "01JJOURNAL").unwrap();
        let folder = Folder::new(home.path().join("cut"));
        let plan: Plan = whole.header.plan.clone();
        let header = Header { reason: None, plan: plan.clone(), ..whole.header.clone() };
        let (mut journal, begun) = Journal::begin(&folder, &header);
        begun.unwrap();
        let mut rollout = Rollout::new(plan);
        let mut last = whole.header.at;
        for Record { at, input, .. } in whole.records.iter().take(steps) {
            let action = rollout.step(input.clone(), *at);
            journal.append(&Record { at: *at, input: input.clone(), action, evidence: None, basis: None }).unwrap();
            last = *at;
        }
        assert!(whole.records.iter().any(|record| record.input == Input::TimeReached));
        let now = Timestamp::from_unix_milliseconds(last.unix_milliseconds() + seconds * 1000).unwrap();
        Runs::new(folder).ongoing(now)
    }

    #[test]
    fn a_run_that_is_silent_for_longer_than_it_waits_is_orphaned() {
        // The fourth step is a wait of about two minutes for the first window.
        for (steps, seconds, state, orphaned) in [
            (2, 60, "shifting", false),
            (2, 121, "shifting", true),
            (4, 200, "baking", false),
            (4, 300, "baking", true),
        ] {
            let (ongoing, complaints) = silent_after(steps, seconds);
            let run = ongoing.first().unwrap();
            assert_eq!((run.state, run.orphaned, run.is_watched()), (state, orphaned, !orphaned), "{steps} {seconds}");
            assert_eq!((run.steps, complaints.len()), (2, 0));
        }
        assert_eq!(silent_after(4, 0).0[0].step, Some(1));
        assert!(silent_after(usize::MAX, 0).0.is_empty(), "it is finished");
    }
}
