//! What happened in a run, in the order of time.

use mlroll_backend::{Capacity, RevisionId, Sample, Timestamp, Weight};
use serde::Serialize;

use super::retrace::{Judged, Retraced, Step};
use crate::journal::{Asked, Basis, Replay};
use crate::judge::gate::Gate;
use crate::judge::panel::{Evidence, Finding};
use crate::rollout::engine::{
    Action, Cause, Ended, Experiment, Input, Pending, Plan, Reaction, Score, Stage, Terms, Trouble, Verdict,
};

/// What happened in a run.
#[derive(Clone, Debug, Serialize)]
pub struct Account {
    /// The run.
    pub id: String,
    /// The target.
    pub target: String,
    /// When it was begun.
    pub begun: String,
    /// Why, in a person's words.
    pub reason: Option<String>,
    /// What was planned.
    pub plan: Planned,
    /// The gates, frozen when it began.
    pub gates: Vec<Gate>,
    /// Everything, in the order of time.
    pub events: Vec<Entry>,
    /// How it ended, as an outcome; `None` while it goes on.
    pub outcome: Option<&'static str>,
    /// Why it ended.
    pub why: Option<String>,
    /// Whether it goes on, or can be gone on with.
    pub unfinished: bool,
}

/// What was planned; times are in seconds.
#[derive(Clone, Debug, Serialize)]
pub struct Planned {
    /// The verb that it was begun by.
    pub verb: &'static str,
    /// The revision in charge.
    pub stable: RevisionId,
    /// The revision on trial.
    pub candidate: RevisionId,
    /// The candidate's shares.
    pub steps: Vec<Weight>,
    /// Whether gates judge it.
    pub judged: bool,
    /// How long a step holds at most.
    pub bake: f64,
    /// The part of it that is not judged.
    pub warm_up: f64,
    /// The shortest bake that may end with a pass.
    pub min_bake: f64,
    /// The length of a look.
    pub look: f64,
    /// How late the metric store is.
    pub settle_delay: f64,
    /// How long the promoted revision is watched.
    pub watch_after: f64,
    /// How much time without data a step may have.
    pub no_data_budget: f64,
    /// The chance of a false rollback in the whole run.
    pub alpha: f64,
    /// The chance of a false promotion by one gate.
    pub beta: f64,
    /// How many looks alpha is spent over.
    pub horizon: u32,
    /// What a failed gate does.
    pub on_fail: Reaction,
    /// What the end of a bake without a pass does.
    pub on_inconclusive: Reaction,
    /// What a candidate without its share of traffic does.
    pub on_starved: Reaction,
    /// What an experiment is about; of that kind only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experiment: Option<Experiment>,
    /// Kayenta's score, where that decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<Score>,
}

/// Something that happened.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// When.
    pub at: String,
    /// The line of the journal, from 1.
    pub line: u64,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// It was asked to roll back: by a person, or by a signal.
    AbortAsked,
    /// The provider took the write.
    Accepted,
    /// The candidate's capacity: before its first share, and after the end.
    Capacity {
        /// `enough`, `wanted`, `ready`, `not_ready`, `too_small`, `set_back` or `not_set_back`.
        is: &'static str,
        /// What is to change, where it is `wanted`.
        changes: Vec<String>,
        /// Why it is not, where it is not.
        why: Option<String>,
    },
    /// A process began it.
    Begun {
        /// What each gate asks the store for.
        queries: Vec<Asked>,
    },
    /// A decision fell.
    Decided {
        /// `pass`, `rollback` or `hold`.
        decision: &'static str,
        /// The rule that fired, with its numbers.
        rule: String,
        /// The gate that weighs most in it.
        gate: Option<String>,
    },
    /// It ended.
    Ended {
        /// How, as an outcome.
        outcome: &'static str,
        /// Why.
        why: String,
    },
    /// It was asked to hold.
    HoldAsked,
    /// Somebody else changed the target.
    Interference {
        /// What it should have been.
        expected: String,
        /// What it was.
        found: String,
    },
    /// A split was seen to be live.
    Live {
        /// The step, from 1; 0 for stable alone.
        step: usize,
        /// The candidate's share.
        percent: Weight,
    },
    /// A window was judged.
    Look(Window),
    /// The provider refused the write, or did not answer.
    Refused {
        /// What it said.
        why: String,
    },
    /// A person wanted it to go on.
    Resumed {
        /// What each gate asks the store for.
        queries: Vec<Asked>,
    },
    /// A write was about to be sent.
    Shift {
        /// What the target had.
        from: String,
        /// What it was to get.
        to: String,
        /// The candidate's share.
        percent: Weight,
    },
    /// The provider had accepted the write, and gave it up or took it back.
    TakenBack {
        /// The provider's words.
        why: String,
    },
    /// Another process went on with it.
    TakenUp {
        /// What each gate asks the store for.
        queries: Vec<Asked>,
    },
    /// The metric store did not answer.
    Unjudged {
        /// What it said.
        why: String,
    },
    /// The target could not be read.
    Unread {
        /// Why.
        why: String,
    },
    /// It waited for the split to go live.
    Unsettled {
        /// The provider's words.
        why: String,
    },
}

/// A window that was judged.
#[derive(Clone, Debug, Serialize)]
pub struct Window {
    /// The step, from 1.
    pub step: usize,
    /// When it began.
    pub from: Option<String>,
    /// When it ended.
    pub to: String,
    /// What all gates said together.
    pub verdict: &'static str,
    /// The rule behind it, with its numbers.
    pub rule: Option<String>,
    /// `ln` of the mean of the FAIL E that enter it.
    pub ln_e_fail: Option<f64>,
    /// What each gate said.
    pub findings: Vec<Finding>,
    /// What the window held, by gate.
    pub read: Vec<Readings>,
}

/// What a window held for one gate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Readings {
    candidate: Sample,
    stable: Sample,
}

impl Planned {
    fn of(plan: &Plan) -> Self {
        let terms = plan.terms();
        Self {
            verb: terms.kind.verb(),
            stable: terms.stable.clone(),
            candidate: terms.candidate.clone(),
            steps: terms.steps.clone(),
            judged: terms.judged,
            bake: terms.bake.as_secs_f64(),
            warm_up: terms.warm_up.as_secs_f64(),
            min_bake: terms.min_bake.as_secs_f64(),
            look: terms.look.as_secs_f64(),
            settle_delay: terms.settle_delay.as_secs_f64(),
            watch_after: terms.watch_after.as_secs_f64(),
            no_data_budget: terms.no_data_budget.as_secs_f64(),
            alpha: terms.alpha,
            beta: terms.beta,
            horizon: plan.horizon(),
            on_fail: terms.on_fail,
            on_inconclusive: terms.on_inconclusive,
            on_starved: terms.on_starved,
            experiment: terms.experiment.clone(),
            score: terms.score.clone(),
        }
    }
}

impl Account {
    /// The account of a journal that was read and retraced.
    #[must_use]
    pub fn of(read: &Replay, retraced: &Retraced<'_>) -> Self {
        let terms = read.header.plan.terms();
        let steps = retraced.steps.iter().flat_map(|step| {
            let entry = |event| Entry { at: step.record.at.to_string(), line: step.line, event };
            events(step, terms).into_iter().map(entry)
        });
        let mut events: Vec<Entry> = Vec::new();
        for entry in steps {
            // What is waited for is said once.
            let again = |last: &Entry| matches!((&last.event, &entry.event), (Event::Unsettled { why }, Event::Unsettled { why: now }) if why == now);
            if !events.last().is_some_and(again) {
                events.push(entry);
            }
        }
        let ended = read.rollout.ended();
        Self {
            id: terms.id.clone(),
            target: read.header.target.clone(),
            begun: read.header.at.to_string(),
            reason: read.header.reason.clone(),
            plan: Planned::of(&read.header.plan),
            gates: retraced.standing.iter().flat_map(|standing| standing.gates().cloned()).collect(),
            events,
            outcome: ended.map(|(ended, _)| crate::output::text::ended(ended)),
            why: ended.map(|(_, why)| why.to_string()),
            unfinished: read.rollout.is_unfinished(),
        }
    }
}

/// What a step is worth telling of, in its order: what came, what was decided, what was done.
fn events(step: &Step<'_>, terms: &Terms) -> Vec<Event> {
    let mut events: Vec<Event> = came(step, terms);
    events.extend(decided(step, terms));
    events.extend(done(step, terms));
    events
}

fn came(step: &Step<'_>, terms: &Terms) -> Vec<Event> {
    let queries = match &step.record.basis {
        Some(Basis::Asked(asked)) => asked.clone(),
        Some(Basis::Read(_)) | None => Vec::new(),
    };
    if let Some(why) = &step.undone {
        return vec![Event::TakenBack { why: why.clone() }];
    }
    let event = match &step.record.input {
        Input::Abort => Event::AbortAsked,
        Input::Accepted => Event::Accepted,
        Input::Hold => Event::HoldAsked,
        Input::Judged(_) => return step.looks.iter().map(|look| Event::Look(Window::of(look, terms))).collect(),
        Input::Observed(_) if step.stage != step.stage_before => {
            let percent = match step.stage {
                Stage::Start => Weight::ZERO,
                Stage::Step(at) => terms.steps.get(at).copied().unwrap_or_default(),
                Stage::Watch => Weight::FULL,
            };
            Event::Live { step: number(step.stage, terms), percent }
        }
        Input::Observed(_) | Input::TimeReached | Input::Unsent => return Vec::new(),
        Input::Prepared => capacity("ready", None, None),
        Input::Refused(trouble) => Event::Refused { why: trouble.to_string() },
        Input::Restored => capacity("set_back", None, None),
        Input::Resume => Event::Resumed { queries },
        Input::Sized(found) => capacity(if found.is_some() { "wanted" } else { "enough" }, found.as_ref(), None),
        Input::Started if step.line == 2 => Event::Begun { queries },
        Input::Started => Event::TakenUp { queries },
        Input::TooSmall { lack, .. } => {
            Event::Capacity { is: "too_small", changes: Vec::new(), why: Some(lack.clone()) }
        }
        Input::Unjudged { why } => Event::Unjudged { why: why.clone() },
        Input::Unobserved(trouble) => Event::Unread { why: trouble.to_string() },
        Input::Unprepared(trouble) => capacity("not_ready", None, Some(trouble)),
        Input::Unrestored(trouble) => capacity("not_set_back", None, Some(trouble)),
    };
    vec![event]
}

fn capacity(is: &'static str, found: Option<&Capacity>, why: Option<&Trouble>) -> Event {
    let changes = found.map(|found| found.changes.clone()).unwrap_or_default();
    Event::Capacity { is, changes, why: why.map(ToString::to_string) }
}

/// A decision is that a stage may be left, that the way is back, or that a person decides.
fn decided(step: &Step<'_>, terms: &Terms) -> Option<Event> {
    let (cause, decision) = match (&step.decided, &step.ended) {
        (Some(cause), _) if step.decided_before.as_ref() != Some(cause) => {
            (cause, if step.is_back { "rollback" } else { "pass" })
        }
        (_, Some((Ended::Held, cause))) if step.ended_before.is_none() => (cause, "hold"),
        _ => return None,
    };
    let reaction = |reaction: Reaction| match reaction {
        Reaction::Hold => "hold",
        Reaction::Rollback => "rollback",
    };
    let look = |verdict: Verdict| step.looks.iter().find(|look| look.verdict == verdict);
    let of = |look: Option<&Judged>| look.and_then(|look| look.deciding.clone());
    let deciding = match cause {
        Cause::Failed => of(look(Verdict::Fail)),
        Cause::Starved => of(look(Verdict::Starved)),
        Cause::Mismatched => of(look(Verdict::Mismatched)),
        Cause::Worse => of(look(Verdict::Worse)),
        Cause::Better | Cause::Inconclusive | Cause::Passed | Cause::Undecided => of(step.looks.last()),
        Cause::Aborted
        | Cause::Interference { .. }
        | Cause::NoData
        | Cause::NotJudged
        | Cause::Paused
        | Cause::Refused(_)
        | Cause::RolledBackElsewhere
        | Cause::TargetFailed { .. }
        | Cause::TooSmall { .. }
        | Cause::Unprepared(_)
        | Cause::Unreachable(_)
        | Cause::Unsettled { .. }
        | Cause::Unsuitable { .. } => None,
    };
    let setting = match cause {
        Cause::Failed | Cause::Worse => format!("; on_fail = {}", reaction(terms.on_fail)),
        Cause::Undecided => format!("; it is over: on_inconclusive = {}", reaction(terms.on_inconclusive)),
        Cause::Mismatched => "; a person decides".to_owned(),
        Cause::Starved => format!("; on_starved = {}", reaction(terms.on_starved)),
        Cause::Inconclusive => format!("; the bake is over: on_inconclusive = {}", reaction(terms.on_inconclusive)),
        Cause::NoData => format!(
            ": no_data_budget = {} is spent; on_inconclusive = {}",
            humantime::format_duration(terms.no_data_budget),
            reaction(terms.on_inconclusive)
        ),
        Cause::Passed if step.stage == Stage::Watch => "; it was watched to the end, and nothing failed".to_owned(),
        Cause::Better | Cause::Passed => format!("; min_bake = {} is over", humantime::format_duration(terms.min_bake)),
        Cause::NotJudged => "; the bake is over".to_owned(),
        Cause::Aborted
        | Cause::Interference { .. }
        | Cause::Paused
        | Cause::Refused(_)
        | Cause::RolledBackElsewhere
        | Cause::TargetFailed { .. }
        | Cause::TooSmall { .. }
        | Cause::Unprepared(_)
        | Cause::Unreachable(_)
        | Cause::Unsettled { .. }
        | Cause::Unsuitable { .. } => String::new(),
    };
    let words = deciding.as_ref().map_or_else(|| cause.to_string(), |deciding| deciding.words.clone());
    Some(Event::Decided { decision, rule: format!("{words}{setting}"), gate: deciding.and_then(|d| d.gate) })
}

fn done(step: &Step<'_>, terms: &Terms) -> Vec<Event> {
    match &step.record.action {
        Action::Shift { to, seen, .. } => vec![Event::Shift {
            from: seen.split.as_ref().map_or_else(|| "nobody".to_owned(), ToString::to_string),
            to: to.to_string(),
            percent: to.weight_of(&terms.candidate),
        }],
        Action::Done { ended, why } if step.ended_before.is_none() => {
            let mut events = Vec::new();
            if let Cause::Interference { expected, found } = why {
                events.push(Event::Interference { expected: expected.clone(), found: found.clone() });
            }
            events.push(Event::Ended { outcome: crate::output::text::ended(*ended), why: why.to_string() });
            events
        }
        Action::Wait { why: Pending::Settling { why }, .. } => vec![Event::Unsettled { why: why.clone() }],
        Action::Done { .. }
        | Action::Observe
        | Action::Prepare(_)
        | Action::Restore { .. }
        | Action::Sample(_)
        | Action::Size { .. }
        | Action::Wait { .. } => Vec::new(),
    }
}

/// The step as people count.
fn number(stage: Stage, terms: &Terms) -> usize {
    match stage {
        Stage::Start => 0,
        Stage::Step(at) => at.saturating_add(1),
        Stage::Watch => terms.steps.len(),
    }
}

impl Window {
    fn of(look: &Judged, terms: &Terms) -> Self {
        let text = |moment: Timestamp| moment.to_string();
        Self {
            step: number(look.stage, terms),
            from: look.from.map(text),
            to: text(look.ends),
            verdict: super::retrace::name(look.verdict),
            rule: look.deciding.as_ref().map(|deciding| deciding.words.clone()),
            ln_e_fail: look.deciding.as_ref().and_then(|deciding| deciding.ln_e_fail),
            findings: look.findings.clone(),
            read: look.read.iter().map(Readings::of).collect(),
        }
    }
}

impl Readings {
    fn of(evidence: &Evidence) -> Self {
        Self { candidate: evidence.candidate.clone(), stable: evidence.stable.clone() }
    }
}
