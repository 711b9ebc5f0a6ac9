//! What became of one target.

use mlroll_backend::{Readiness, Shadow, Snapshot, Target, TrafficSplit, Usage};
use serde_json::Value;

use crate::config::Selected;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::judge::panel::Finding;
use crate::rollout::Outcome;
use crate::wire::Calls;

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
    /// What was mirrored besides, when it was last seen.
    pub shadow: Option<Shadow>,
    /// Whether that split is live.
    pub settled: bool,
    /// Why `after` may not be how things are, or stay.
    pub doubt: Option<Doubt>,
    /// HTTP requests to its control plane.
    pub calls: Calls,
    /// What was asked of a metric store that bills its answers.
    pub metrics: Option<Usage>,
    /// What a person should know.
    pub notes: Vec<String>,
    /// What the gates say.
    pub findings: Vec<Finding>,
    /// What an experiment came to.
    pub experiment: Option<Value>,
    /// What went wrong.
    pub failure: Option<Failure>,
    /// Whether its job came to an end.
    pub(super) finished: bool,
    /// Whether it is of something that was begun.
    pub is_begun: bool,
    /// That it has failed for good, as it was last seen: why, and the ways out.
    pub(super) beyond: Option<(String, Vec<String>)>,
}

/// Why the last known split may not be how things are, or stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// A write that got no answer may still take effect.
    MayStillLand,
    /// Our write was refused because the target had changed, and the change could not be read.
    Unread,
    /// A write was sent, and nobody can tell whether it took effect.
    Unconfirmed,
}

impl Report {
    /// Nothing has happened yet.
    pub(crate) fn blank(selected: &Selected) -> Self {
        Self {
            service: selected.service.clone(),
            target: selected.target.clone(),
            outcome: Outcome::Failed,
            exit: ExitStatus::Bug,
            before: None,
            after: None,
            shadow: None,
            settled: false,
            doubt: None,
            calls: Calls::default(),
            metrics: None,
            notes: Vec::new(),
            findings: Vec::new(),
            experiment: None,
            failure: None,
            finished: false,
            is_begun: true,
            beyond: None,
        }
    }

    /// It could not begin.
    pub(crate) fn refused(selected: &Selected, failure: Failure) -> Self {
        let mut report = Self { is_begun: false, ..Self::blank(selected) };
        report.fail(failure);
        report
    }

    /// There was nothing to do.
    pub(crate) fn unchanged(selected: &Selected, why: impl Into<String>) -> Self {
        let (outcome, exit) = (Outcome::Unchanged, ExitStatus::Success);
        Self { outcome, exit, notes: vec![why.into()], is_begun: false, ..Self::blank(selected) }
    }

    /// The same, of a target that was looked at.
    pub(crate) fn seen(mut self, seen: &Snapshot) -> Self {
        self.saw(seen);
        self
    }

    /// It was left alone because of what became of `other`.
    pub(crate) fn not_begun(selected: &Selected, other: &Target) -> Self {
        Self::unchanged(selected, format!("not begun, because of {other}"))
    }

    /// Whether the waves behind it are not begun.
    pub(crate) fn stops_others(&self) -> bool {
        self.exit != ExitStatus::Success
    }

    /// The target as it was last seen.
    pub(crate) fn saw(&mut self, seen: &Snapshot) {
        if self.before.is_none() {
            self.before.clone_from(&seen.split);
        }
        self.after.clone_from(&seen.split);
        self.shadow.clone_from(&seen.roles.shadow);
        self.settled = seen.is_settled();
        self.doubt = None;
        self.beyond = match &seen.readiness {
            Readiness::Failed(why) if !seen.nature.remedies.is_empty() => {
                Some((why.clone(), seen.nature.remedies.clone()))
            }
            Readiness::Failed(_) | Readiness::Live | Readiness::Settling(_) => None,
        };
    }

    /// What ended it, where the target is beyond what can be done to it here.
    pub(super) fn told(&self, failure: Failure) -> Failure {
        match (&self.beyond, self.doubt) {
            (Some((why, ways_out)), None) => failure.beyond(why, ways_out),
            (Some(_), Some(_)) | (None, _) => failure,
        }
    }

    /// What it saw last may not be how things stay.
    pub(super) fn doubts(&mut self, doubt: Option<Doubt>) {
        if doubt.is_some() {
            self.settled = false;
            self.doubt = doubt;
        }
    }

    /// The target is no longer known.
    pub(super) fn lost_sight(&mut self, doubt: Doubt) {
        self.after = None;
        self.shadow = None;
        self.settled = false;
        self.doubt = Some(doubt);
    }

    /// What the gates say, and what of it a person should know.
    pub(super) fn found(&mut self, findings: Vec<Finding>) {
        findings.iter().filter_map(Finding::warning).for_each(|warning| self.note(warning));
        self.findings = findings;
    }

    /// Something a person should know, said once.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// It could not be done.
    pub(crate) fn fail(&mut self, failure: Failure) {
        self.outcome = Outcome::Failed;
        self.ended_badly(failure);
    }

    /// It was done, but not to the end.
    pub(super) fn ended_badly(&mut self, failure: Failure) {
        let failure = self.told(failure);
        self.exit = failure.exit;
        self.failure = Some(failure);
    }

    /// Where traffic is, in words.
    #[must_use]
    pub fn traffic(&self) -> String {
        match (&self.after, self.doubt) {
            (Some(now), Some(_)) => format!("{now}, but a write that got no answer may still take effect"),
            (Some(now), None) if self.calls.write == 0 => format!("untouched: {now}"),
            (Some(now), None) if self.settled => now.to_string(),
            (Some(now), None) => format!("{now} is accepted, but not yet live"),
            (None, Some(Doubt::Unread)) => "not known: someone else changed it, and it cannot be read".to_owned(),
            (None, None) if self.calls.write == 0 => "untouched: nothing was written".to_owned(),
            (None, Some(_) | None) => "UNKNOWN: a write was sent and could not be confirmed".to_owned(),
        }
    }
}
