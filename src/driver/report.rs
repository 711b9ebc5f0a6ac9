//! What became of one target.

use mlroll_backend::{Snapshot, Target, TrafficSplit};

use crate::config::Selected;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::rollout::Outcome;
use crate::wire::{Calls, Wire};

/// What became of one target.
#[derive(Clone, Debug)]
pub struct Report {
    /// The service that lists it.
    pub service: Option<String>,
    /// The target.
    pub target: Target,
    /// What happened.
    pub outcome: Outcome,
    /// What it means for the exit status.
    pub exit: ExitStatus,
    /// The split that was found.
    pub before: Option<TrafficSplit>,
    /// The split as last confirmed; `None` when it is not known.
    pub after: Option<TrafficSplit>,
    /// Whether that split is live.
    pub settled: bool,
    /// HTTP requests to its control plane.
    pub calls: Calls,
    /// What a person should know.
    pub notes: Vec<String>,
    /// What went wrong.
    pub failure: Option<Failure>,
}

impl Report {
    /// Nothing has happened yet.
    pub(super) fn blank(selected: &Selected) -> Self {
        Self {
            service: selected.service.clone(),
            target: selected.target.clone(),
            outcome: Outcome::Failed,
            exit: ExitStatus::Bug,
            before: None,
            after: None,
            settled: false,
            calls: Calls::default(),
            notes: Vec::new(),
            failure: None,
        }
    }

    /// The run was left at once, wherever this target was.
    pub(super) fn abandoned(selected: &Selected, wire: &Wire) -> Self {
        let mut report = Self::blank(selected);
        report.fail(Failure::interrupted(&selected.target));
        report.calls = wire.count(&selected.target);
        report
    }

    /// The target as it was last seen.
    pub(super) fn saw(&mut self, seen: &Snapshot) {
        if self.before.is_none() {
            self.before.clone_from(&seen.split);
        }
        self.after.clone_from(&seen.split);
        self.settled = seen.is_settled();
    }

    /// It could not be done.
    pub(super) fn fail(&mut self, failure: Failure) {
        self.outcome = Outcome::Failed;
        self.exit = failure.exit;
        self.failure = Some(failure);
    }

    /// Where traffic is, in words.
    #[must_use]
    pub fn traffic(&self) -> String {
        match (&self.after, self.calls.write) {
            (Some(now), 0) => format!("untouched: {now}"),
            (Some(now), _) if self.settled => now.to_string(),
            (Some(now), _) => format!("{now} is accepted, but not yet live"),
            (None, 0) => "untouched: nothing was written".to_owned(),
            (None, _) => "UNKNOWN: a write was sent and could not be confirmed".to_owned(),
        }
    }
}
