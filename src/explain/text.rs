//! An account for people.

use std::time::Duration;

use mlroll_backend::Weight;

use super::account::{Account, Entry, Event, Planned, Window};
use super::chart::chart;
use crate::journal::Asked;
use crate::judge::panel::Finding;
use crate::rollout::engine::Experiment;

/// The account as text: plain characters, no colours. Looks that follow each other are one block with a chart for each gate.
#[must_use]
pub fn text(account: &Account) -> String {
    let mut lines = head(account);
    let mut looks: Vec<&Window> = Vec::new();
    for Entry { at, event, .. } in &account.events {
        if let Event::Look(window) = event {
            if looks.last().is_some_and(|last| last.step != window.step) {
                lines.extend(block(&std::mem::take(&mut looks)));
            }
            looks.push(window);
            continue;
        }
        if !matches!(event, Event::Unjudged { .. }) || looks.is_empty() {
            lines.extend(block(&std::mem::take(&mut looks)));
        }
        lines.extend(told(at, event));
    }
    lines.extend(block(&looks));
    match (&account.outcome, &account.why) {
        (Some(_), Some(_)) if !account.unfinished => {}
        (Some(outcome), _) => lines.push(format!("{outcome}: `mlroll resume` goes on with it")),
        (None, _) => lines.push("unfinished: it is going on, or `mlroll resume` goes on with it".to_owned()),
    }
    lines.into_iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn head(account: &Account) -> Vec<String> {
    let Account { id, target, begun, reason, plan, gates, .. } = account;
    let mut lines = vec![format!("{} {id} of {target}: {} -> {}", plan.verb, plan.stable, plan.candidate)];
    lines.push(format!("  begun {begun}{}", reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"))));
    let steps: Vec<String> = plan.steps.iter().map(Weight::to_string).collect();
    lines.push(format!("  steps {}; bake {}, looks of {}", steps.join(", "), time(plan.bake), time(plan.look)));
    lines.push(if plan.judged { risk(plan) } else { "  not judged".to_owned() });
    if let Some(Experiment { metric, alpha, size, effect }) = &plan.experiment {
        let size = size.map_or_else(String::new, |size| format!(", or {size} requests"));
        lines.push(format!(
            "  decided by `{metric}` at alpha {alpha}, both sides together; meant to show {effect} of it{size}"
        ));
    }
    for gate in gates {
        let advisory = if gate.is_advisory() { " (advisory)" } else { "" };
        let rule = serde_json::to_string(gate).unwrap_or_default();
        lines.push(format!("  gate `{}`{advisory}: {rule}", gate.name()));
    }
    lines.push(String::new());
    lines
}

fn risk(plan: &Planned) -> String {
    format!(
        "  alpha {} over {} looks: fail at ln E {:.2}; beta {}: pass at ln E {:.2}",
        plan.alpha,
        plan.horizon,
        -plan.alpha.ln(),
        plan.beta,
        -plan.beta.ln()
    )
}

/// Looks of one step.
fn block(looks: &[&Window]) -> Vec<String> {
    let (Some(first), Some(last)) = (looks.first(), looks.last()) else {
        return Vec::new();
    };
    let many = if looks.len() == 1 { "1 look".to_owned() } else { format!("{} looks", looks.len()) };
    let from = first.from.as_ref().unwrap_or(&first.to);
    let mut lines = vec![format!("{from}  {many} at step {}, windows to {}: {}", last.step, last.to, last.verdict)];
    for finding in &last.findings {
        let of_gate = |window: &&Window| window.findings.iter().find(|f| f.gate == finding.gate).cloned();
        let each: Vec<Finding> = looks.iter().filter_map(of_gate).collect();
        let way = |of: fn(&Finding) -> f64| chart(&each.iter().map(of).collect::<Vec<f64>>());
        lines.push(format!(
            "    {}: {}; {} looks, design effect {:.2}",
            finding.gate, finding.reason, finding.looks, finding.design_effect
        ));
        lines.push(format!("      pass {}  ln E {:.2}", way(|f| f.needed.pass), finding.ln_e_pass));
        lines.push(format!("      fail {}  ln E {:.2}", way(|f| f.needed.fail), finding.ln_e_fail));
    }
    if let Some(rule) = &last.rule {
        lines.push(format!("    {rule}"));
    }
    lines
}

fn told(at: &str, event: &Event) -> Vec<String> {
    let line = |text: String| vec![format!("{at}  {text}")];
    match event {
        Event::AbortAsked => line("asked to roll back".to_owned()),
        Event::Accepted => line("accepted".to_owned()),
        Event::Begun { queries } => [line("begun".to_owned()), asked(queries)].concat(),
        Event::Capacity { is, changes, why } => line(capacity(is, changes, why.as_deref())),
        Event::Decided { decision, rule, .. } => line(format!("DECIDED {decision}: {rule}")),
        Event::Ended { outcome, why } => line(format!("ended: {outcome}: {why}")),
        Event::HoldAsked => line("asked to hold".to_owned()),
        Event::Interference { expected, found } => line(format!("someone else changed it: {expected} became {found}")),
        Event::Live { step, percent } => line(format!("live: step {step}, candidate {percent}")),
        Event::Look(_) => Vec::new(),
        Event::Refused { why } => line(format!("refused: {why}")),
        Event::Resumed { queries } => [line("asked to go on".to_owned()), asked(queries)].concat(),
        Event::Shift { from, to, .. } => line(format!("write: {from} -> {to}")),
        Event::TakenBack { why } => line(format!("taken back: {why}")),
        Event::TakenUp { queries } => [line("taken up by another process".to_owned()), asked(queries)].concat(),
        Event::Unjudged { why } => line(format!("no answer from the metric store: {why}")),
        Event::Unread { why } => line(format!("the target cannot be read: {why}")),
        Event::Unsettled { why } => line(format!("not yet live: {why}")),
    }
}

fn capacity(is: &str, changes: &[String], why: Option<&str>) -> String {
    let because = why.map(|why| format!(": {why}")).unwrap_or_default();
    match is {
        "enough" => "the candidate has the capacity it needs".to_owned(),
        "wanted" => format!("capacity to change: {}", changes.join("; ")),
        is => format!("capacity is {}{because}", is.replace('_', " ")),
    }
}

/// What the gates ask the store for.
fn asked(queries: &[Asked]) -> Vec<String> {
    let side = |who: &str, query: &Option<String>| query.as_ref().map(|query| format!("      {who}: {query}"));
    let gate = |asked: &Asked| {
        let head = format!("    `{}` asks for", asked.gate);
        [Some(head), side("candidate", &asked.candidate), side("stable", &asked.stable)]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
    };
    queries.iter().flat_map(gate).collect()
}

fn time(seconds: f64) -> String {
    Duration::try_from_secs_f64(seconds).map_or_else(|_| "?".to_owned(), |d| humantime::format_duration(d).to_string())
}
