//! A journal once more: every step taken again, every window judged again.

use std::fmt;

use mlroll_backend::Timestamp;
use serde_json::Value;

use crate::driver::Standing;
use crate::journal::{Basis, Record, Replay};
use crate::judge::panel::{Deciding, Evidence, Finding};
use crate::rollout::engine::{Action, Cause, Ended, Input, Look, Rollout, Stage, Verdict, Windows};

/// A journal once more.
#[derive(Clone, Debug)]
pub struct Retraced<'a> {
    /// Its steps.
    pub steps: Vec<Step<'a>>,
    /// Where it first differs from what this program would have written; nothing behind it was judged again.
    pub difference: Option<Difference>,
    /// The evidence at its end.
    pub standing: Option<Standing>,
}

/// A step, and what it changed.
#[derive(Clone, Debug)]
pub struct Step<'a> {
    /// Its line of the journal, from 1; the header is the first.
    pub line: u64,
    /// What was written.
    pub record: &'a Record,
    /// What its windows said.
    pub looks: Vec<Judged>,
    /// What was decided before.
    pub decided_before: Option<Cause>,
    /// What is decided with it.
    pub decided: Option<Cause>,
    /// Whether what is decided is the way back.
    pub is_back: bool,
    /// How far the run was before.
    pub stage_before: Stage,
    /// How far it is with it.
    pub stage: Stage,
    /// Why a write that was accepted came to nothing, where this is where that was seen.
    pub undone: Option<String>,
    /// How it ended before, if it had.
    pub ended_before: Option<Ended>,
    /// How it ended, if it has.
    pub ended: Option<(Ended, Cause)>,
}

/// A window and what the gates said with it.
#[derive(Clone, Debug)]
pub struct Judged {
    /// What was judged.
    pub stage: Stage,
    /// When the window began; `None` when nobody had asked for it.
    pub from: Option<Timestamp>,
    /// When it ended.
    pub ends: Timestamp,
    /// What all gates said together.
    pub verdict: Verdict,
    /// What it held, by gate; empty in journals that do not keep it.
    pub read: Vec<Evidence>,
    /// What each gate said; empty when it cannot be found again.
    pub findings: Vec<Finding>,
    /// The rule behind the verdict, where it can be found again.
    pub deciding: Option<Deciding>,
}

/// A line that is not what this program would have written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The line, from 1.
    pub line: u64,
    /// What differs.
    pub what: String,
    /// Whether it is only that the line does not hold what was judged: an older program wrote it.
    pub unkept: bool,
}

impl<'a> Retraced<'a> {
    /// Takes the steps again, and judges again.
    #[must_use]
    pub fn of(read: &'a Replay) -> Self {
        let mut judge = Judge { rollout: Rollout::new(read.header.plan.clone()), standing: None, asked: None };
        let mut all = Self { steps: Vec::new(), difference: None, standing: None };
        for (record, line) in read.records.iter().zip(2..) {
            let (step, fault) = judge.step(record, line);
            all.steps.push(step);
            if all.difference.is_none() {
                all.difference = fault.map(|(what, unkept)| Difference { line, what, unkept });
            }
        }
        all.standing = judge.standing;
        all
    }
}

/// What differs, and whether it is only that it was not kept.
type Fault = (String, bool);

struct Judge {
    rollout: Rollout,
    standing: Option<Standing>,
    /// The windows that were asked for last.
    asked: Option<Windows>,
}

impl Judge {
    fn step<'a>(&mut self, record: &'a Record, line: u64) -> (Step<'a>, Option<Fault>) {
        let (decided_before, stage_before) = (self.rollout.decided().cloned(), self.rollout.stage());
        let ended_before = self.rollout.ended().map(|(ended, _)| ended);
        let failures_before = self.rollout.failed_writes().0;
        let mut fault = None;
        let looks = match &record.input {
            Input::Judged(looks) => {
                let (judged, found) = self.judge(looks, record);
                fault = found;
                judged
            }
            Input::Started => {
                fault = self.started(record.evidence.as_ref());
                Vec::new()
            }
            Input::Abort
            | Input::Accepted
            | Input::Hold
            | Input::Observed(_)
            | Input::Prepared
            | Input::Refused(_)
            | Input::Restored
            | Input::Resume
            | Input::Sized(_)
            | Input::TimeReached
            | Input::TooSmall { .. }
            | Input::Unjudged { .. }
            | Input::Unobserved(_)
            | Input::Unprepared(_)
            | Input::Unsent
            | Input::Unrestored(_) => Vec::new(),
        };
        if self.rollout.step(record.input.clone(), record.at) != record.action {
            fault = fault.or_else(|| Some(("this program would have acted otherwise".to_owned(), false)));
        }
        self.asked = match &record.action {
            Action::Sample(windows) => Some(*windows),
            Action::Done { .. }
            | Action::Observe
            | Action::Prepare(_)
            | Action::Restore { .. }
            | Action::Shift { .. }
            | Action::Size { .. }
            | Action::Wait { .. } => None,
        };
        let (failures, latest) = self.rollout.failed_writes();
        let seen = matches!(record.input, Input::Observed(_)) && failures > failures_before;
        let step = Step {
            line,
            record,
            looks,
            decided_before,
            decided: self.rollout.decided().cloned(),
            is_back: self.rollout.is_rolling_back(),
            stage_before,
            stage: self.rollout.stage(),
            undone: latest.filter(|_| seen).map(|latest| latest.message.clone()),
            ended_before,
            ended: self.rollout.ended().map(|(ended, why)| (ended, why.clone())),
        };
        (step, fault)
    }

    /// A process that takes the run up has the evidence of the one before, or new gates.
    fn started(&mut self, evidence: Option<&Value>) -> Option<Fault> {
        let found = evidence?;
        let standing: Standing = match serde_json::from_value(found.clone()) {
            Ok(standing) => standing,
            Err(e) => return Some((format!("its evidence cannot be read: {e}"), false)),
        };
        let fault = match &self.standing {
            Some(before) if !is_same(before, found) => Some("its evidence is not that of the lines before"),
            None if !standing.is_new(self.rollout.plan()) => Some("its evidence is not that of a beginning"),
            Some(_) | None => None,
        };
        self.standing = Some(standing);
        fault.map(|what| (what.to_owned(), false))
    }

    fn judge(&mut self, looks: &[Look], record: &Record) -> (Vec<Judged>, Option<Fault>) {
        let asked = self.asked;
        let plain = |look: &Look, n: u32| Judged {
            stage: asked.map_or(self.rollout.stage(), |windows| windows.stage),
            from: asked.map(|windows| windows.from.plus(windows.length.saturating_mul(n))),
            ends: look.ends,
            verdict: look.verdict,
            read: Vec::new(),
            findings: Vec::new(),
            deciding: None,
        };
        let mut judged: Vec<Judged> = looks.iter().zip(0..).map(|(look, n)| plain(look, n)).collect();
        let plan = self.rollout.plan().clone();
        if !plan.terms().judged {
            let told = record.evidence.is_some() || record.basis.is_some();
            let other = looks.iter().any(|look| look.verdict != Verdict::Inconclusive);
            return (
                judged,
                (told || other).then(|| ("nothing judges this run, and something was judged".to_owned(), false)),
            );
        }
        let Some(Basis::Read(read)) = &record.basis else {
            // What the evidence says at its end is all that there is.
            self.standing = record.evidence.as_ref().and_then(|found| serde_json::from_value(found.clone()).ok());
            if let (Some(last), Some(standing)) = (judged.last_mut(), &self.standing) {
                last.findings = standing.findings();
                last.deciding = Some(standing.deciding(last.verdict));
            }
            return (judged, Some(("it does not hold what the windows held".to_owned(), true)));
        };
        let (Some(windows), Some(standing)) = (asked, &mut self.standing) else {
            return (judged, Some(("windows were judged that nobody had asked for".to_owned(), false)));
        };
        let mut fault = (read.len() != looks.len()).then(|| "it holds other windows than it judged".to_owned());
        let gates = standing.gates().count();
        for (look, held) in judged.iter_mut().zip(read) {
            if held.len() != gates {
                fault = fault.or_else(|| Some(format!("a window holds {} readings for {gates} gates", held.len())));
            }
            let verdict = standing.look(&plan, windows.stage, held);
            if verdict != look.verdict {
                let told = (name(look.verdict), name(verdict));
                fault = fault.or_else(|| {
                    Some(format!("the window that ends at {} is {} there and {} now", look.ends, told.0, told.1))
                });
            }
            look.read.clone_from(held);
            look.findings = standing.findings();
            look.deciding = Some(standing.deciding(verdict));
        }
        if !record.evidence.as_ref().is_some_and(|found| is_same(standing, found)) {
            fault = fault.or_else(|| Some("its evidence is not what its windows lead to".to_owned()));
        }
        (judged, fault.map(|what| (what, false)))
    }
}

/// Whether it is the same to the last bit.
fn is_same(standing: &Standing, found: &Value) -> bool {
    // As text: numbers that compare as equal are written alike only when they are the same.
    let (ours, theirs) = (serde_json::to_string(&serde_json::to_value(standing).ok()), serde_json::to_string(found));
    matches!((ours, theirs), (Ok(ours), Ok(theirs)) if ours == theirs)
}

/// A verdict as JSON calls it.
pub(super) const fn name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Better => "better",
        Verdict::Fail => "fail",
        Verdict::Inconclusive => "inconclusive",
        Verdict::Mismatched => "mismatched",
        Verdict::NoData => "no_data",
        Verdict::Pass => "pass",
        Verdict::Reached => "reached",
        Verdict::Starved => "starved",
        Verdict::Worse => "worse",
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}
