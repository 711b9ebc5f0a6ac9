//! Tables for whoever reads.

use comfy_table::{ContentArrangement, Table, presets};
use mlroll_backend::{Call, Effect, MarkerState, Nature, Readiness, Shadow, Snapshot, Usage};

use super::Done;
use crate::driver::{Look, Ongoing, Report};
use crate::journal::Replay;
use crate::judge::panel::Finding;
use crate::rollout::engine::Ended;
use crate::wire::Calls;

/// What a verb did, a row a target.
#[must_use]
pub fn outcome(done: &Done<'_>) -> String {
    let Done { reports, unreadable, reason, .. } = done;
    let mut table = table(&["TARGET", "OUTCOME", "BEFORE", "NOW", "CALLS"]);
    for report in *reports {
        let split = |split: &Option<_>| split.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string);
        let now = match (&report.after, report.settled) {
            (Some(after), false) => format!("{after} (not yet live)"),
            _ => split(&report.after),
        };
        table.add_row([
            report.target.to_string(),
            done.words(report.outcome).to_owned(),
            split(&report.before),
            with_shadow(now, report.shadow.as_ref()),
            calls(report.calls),
        ]);
    }
    for unreadable in *unreadable {
        let service = unreadable.service.clone().unwrap_or_else(|| "?".to_owned());
        let nothing = || "?".to_owned();
        table.add_row([service, "failed".to_owned(), nothing(), nothing(), "none".to_owned()]);
    }
    let shared = done.shared.filter(|usage| usage.calls > 0).map_or_else(String::new, |Usage { calls, series }| {
        format!("  note: the metric store was asked {calls} times, for {series} series in all, by these together\n")
    });
    trimmed(&table) + &remarks(*reason, reports) + &shared
}

/// A split, and what is mirrored besides.
fn with_shadow(text: String, shadow: Option<&Shadow>) -> String {
    match shadow {
        Some(shadow) => format!("{text}, {shadow}"),
        None => text,
    }
}

/// Why it was done, and what a person should know.
fn remarks(reason: Option<&str>, reports: &[Report]) -> String {
    let mut text = reason.map_or_else(String::new, |reason| format!("  reason: {reason}\n"));
    for report in reports {
        for note in &report.notes {
            text.push_str(&format!("  note: {}{note}\n", about(report, reports.len())));
        }
    }
    text
}

/// How targets are, a row each, and what the gates of their runs said last.
#[must_use]
pub fn status(seen: &[Look], ongoing: &[Ongoing]) -> String {
    let mut table = table(&["TARGET", "STABLE", "CANDIDATE", "PREVIOUS", "STATE"]);
    let mut readings = String::new();
    for look in seen {
        let target = look.selected.target.to_string();
        let run = Ongoing::behind(ongoing, look);
        let row = status_cells(look, run);
        for known in look.seen.iter().flat_map(natures) {
            let about = if seen.len() > 1 { format!("{target}: ") } else { String::new() };
            readings.push_str(&format!("  {about}{known}\n"));
        }
        for reading in run.map(gate_readings).unwrap_or_default() {
            let about = if seen.len() > 1 { format!("{target}: ") } else { String::new() };
            readings.push_str(&format!("  {about}{reading}\n"));
        }
        table.add_row(std::iter::once(target).chain(row));
    }
    trimmed(&table) + &readings
}

/// What kind a target is where that matters, and what to do instead.
fn natures(seen: &Snapshot) -> Vec<String> {
    let Nature { kind, what, remedies, .. } = &seen.nature;
    let named = kind.as_ref().map(|kind| format!("{}: {what}", kind.replace('_', " ")));
    let hints = remedies.iter().map(|remedy| format!("hint: {remedy}"));
    named.into_iter().chain(hints).collect()
}

/// How a target is, in one line.
#[must_use]
pub fn status_line(look: &Look, ongoing: &[Ongoing]) -> String {
    let run = Ongoing::behind(ongoing, look);
    let [stable, candidate, previous, state] = status_cells(look, run);
    let readings: String = run.map(gate_readings).unwrap_or_default().iter().map(|r| format!("; {r}")).collect();
    format!("{}: stable {stable}, candidate {candidate}, previous {previous}: {state}{readings}", look.selected.target)
}

fn status_cells(look: &Look, run: Option<&Ongoing>) -> [String; 4] {
    let unknown = || "?".to_owned();
    match (&look.seen, run) {
        (Err(failure), run) => {
            let run = run.map_or_else(String::new, |run| format!("; {}", run_state(run)));
            [unknown(), unknown(), unknown(), format!("{}{run}", failure.message)]
        }
        (Ok(seen), None) => status_row(seen),
        (Ok(seen), Some(run)) => {
            let [stable, candidate, previous, plain] = status_row(seen);
            // That it is not live, or has failed, goes before what the run makes of it.
            let state = if seen.is_settled() { run_state(run) } else { format!("{plain}; {}", run_state(run)) };
            let shadow = seen.roles.shadow.as_ref().filter(|_| seen.is_settled());
            [stable, candidate, previous, with_shadow(state, shadow)]
        }
    }
}

/// What a run is at, and what to type when nobody goes on with it.
fn run_state(run: &Ongoing) -> String {
    let step = run.step.map_or_else(String::new, |step| format!(" at step {step} of {}", run.steps));
    let open = match (run.orphaned, run.is_watched()) {
        (true, _) => ": ORPHANED, nobody goes on with it: `mlroll resume` or `mlroll rollback`",
        (false, false) => ": `mlroll resume` goes on with it",
        (false, true) => "",
    };
    format!("{}: {}{step} since {}{open}", run.verb, run.state.replace('_', " "), run.since)
}

/// What each gate of a run said last.
fn gate_readings(run: &Ongoing) -> Vec<String> {
    let reading = |finding: &Finding| {
        let percent = |part: f64| format!("{:.0} %", part * 100.0);
        format!(
            "{} {}, {} towards pass, {} towards fail, {} looks: {}",
            finding.gate,
            finding.verdict.name(),
            percent(finding.needed.pass),
            percent(finding.needed.fail),
            finding.looks,
            finding.reason
        )
    };
    run.findings.iter().map(reading).collect()
}

fn status_row(seen: &Snapshot) -> [String; 4] {
    let roles = &seen.roles;
    let with_share = |revision: &Option<_>| match (revision, &seen.split) {
        (Some(revision), Some(split)) => format!("{revision} {}", split.weight_of(revision)),
        _ => "-".to_owned(),
    };
    let state = match (&seen.readiness, seen.marker.as_ref().map(|m| (&m.state, m.at))) {
        (Readiness::Settling(why), _) => format!("not yet live: {why}"),
        (Readiness::Failed(why), _) => format!("failed: {why}"),
        (Readiness::Live, None) if roles.candidate.is_some() => "split, not by mlroll".to_owned(),
        (Readiness::Live, None) if seen.split.as_ref().is_some_and(|s| s.len() > 1) => {
            format!("split, not by mlroll: {seen}")
        }
        (Readiness::Live, None) => "-".to_owned(),
        (Readiness::Live, Some((state, at))) => {
            let what = match state {
                MarkerState::Canary { .. } => "canary".to_owned(),
                MarkerState::Promoted => "promoted".to_owned(),
                MarkerState::RolledBack { bad: Some(bad) } => format!("rolled back from {bad}"),
                MarkerState::RolledBack { bad: None } => "rolled back".to_owned(),
            };
            at.map_or(what.clone(), |at| format!("{what} since {at}"))
        }
    };
    let state = match &roles.shadow {
        Some(shadow) if state == "-" => shadow.to_string(),
        shadow => with_shadow(state, shadow.as_ref()),
    };
    let state = match &seen.replaced {
        Some(replaced) => format!("{state}; somebody else deployed since: {replaced}"),
        None => state,
    };
    let previous = roles.previous.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    [with_share(&roles.stable), with_share(&roles.candidate), previous, state]
}

/// What gates say, a row each.
#[must_use]
pub fn findings(findings: &[Finding]) -> String {
    let mut table = table(&["GATE", "VERDICT", "PASS", "FAIL", "LOOKS", "REASON"]);
    for finding in findings {
        let way = |part: f64| format!("{:.0} %", part * 100.0);
        let advisory = if finding.advisory { " (advisory)" } else { "" };
        table.add_row([
            format!("{}{advisory}", finding.gate),
            finding.verdict.name().to_owned(),
            way(finding.needed.pass),
            way(finding.needed.fail),
            finding.looks.to_string(),
            finding.reason.clone(),
        ]);
    }
    trimmed(&table)
}

/// Runs that were watched, a row each.
#[must_use]
pub fn history(runs: &[Replay]) -> String {
    let mut table = table(&["BEGUN", "TARGET", "STABLE", "CANDIDATE", "OUTCOME", "WHY"]);
    for read in runs {
        let terms = read.header.plan.terms();
        let (outcome, why) = match read.rollout.ended() {
            Some((end, why)) => (ended(end), why.to_string()),
            None => ("unfinished", "go on with `mlroll resume`".to_owned()),
        };
        table.add_row([
            read.header.at.to_string(),
            read.header.target.clone(),
            terms.stable.to_string(),
            terms.candidate.to_string(),
            outcome.to_owned(),
            why,
        ]);
    }
    trimmed(&table)
}

/// The end of a run as JSON calls it.
#[must_use]
pub const fn ended(ended: Ended) -> &'static str {
    match ended {
        Ended::Halted => "halted",
        Ended::Held => "held",
        Ended::Promoted => "promoted",
        Ended::RolledBack => "rolled_back",
        Ended::Shifted => "shifted",
    }
}

/// The calls that a run would make.
#[must_use]
pub fn dry_run(done: &Done<'_>, calls: &[Call]) -> String {
    sent(calls, "   <- not sent: this is a dry run") + &remarks(done.reason, done.reports)
}

/// Calls, a line each, with what is said of those that write.
#[must_use]
pub fn sent(calls: &[Call], of_writes: &str) -> String {
    let mut text = String::new();
    for call in calls {
        let when = match call.effect {
            Effect::Read => "",
            Effect::Write => of_writes,
        };
        text.push_str(&format!("{} {} {}{when}\n", call.operation, call.method, call.url));
        if let Some(body) = &call.body {
            text.push_str(&format!("    {body}\n"));
        }
    }
    text
}

fn about(report: &Report, of: usize) -> String {
    if of > 1 { format!("{}: ", report.target) } else { String::new() }
}

pub(super) fn calls(calls: Calls) -> String {
    let kinds = [(calls.read, "read"), (calls.write, "write"), (calls.poll, "poll")];
    let made: Vec<String> = kinds.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    if made.is_empty() { "none".to_owned() } else { made.join(", ") }
}

pub(super) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(header);
    table
}

/// The table without the padding at the edges, which breaks copying.
pub(super) fn trimmed(table: &Table) -> String {
    table.to_string().lines().map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line).trim_end())).collect()
}
