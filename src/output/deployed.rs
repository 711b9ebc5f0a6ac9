//! What `deploy` made, as every output tells it.

use mlroll_backend::{Call, Leftover, Pruned};
use serde_json::{Value, json};

use super::{Printer, github, json as documents, text as tables};
use crate::config::env::Env;
use crate::driver::Delivered;
use crate::exit::ExitStatus;
use crate::failure::Failure;

/// What is true of all targets together.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// Why, in the words of who typed it.
    pub reason: Option<&'a str>,
    /// What the process says.
    pub exit: ExitStatus,
}

/// `deployed`, `unchanged` when every revision was there already, or `failed`.
fn outcome(delivered: &[Delivered]) -> &'static str {
    let made = |one: &Delivered| one.result.as_ref().is_ok_and(|deployed| deployed.made);
    match delivered {
        all if all.iter().any(|one| one.result.is_err()) => "failed",
        all if all.iter().any(made) => "deployed",
        _ => "unchanged",
    }
}

/// `mlroll/deploy/1`
#[must_use]
pub fn json(said: &Said<'_>, delivered: &[Delivered]) -> Value {
    let failure = delivered.iter().filter_map(|one| one.result.as_ref().err()).find(|f| f.exit == said.exit);
    json!({
        "schema": "mlroll/deploy/1",
        "verb": "deploy",
        "outcome": outcome(delivered),
        "reason": said.reason,
        "targets": targets(delivered),
        "error": failure.map(documents::failure_object),
        "exit_code": said.exit.code(),
    })
}

/// `mlroll/dry-run/1`
#[must_use]
pub fn rehearsed(said: &Said<'_>, delivered: &[Delivered], calls: &[Call]) -> Value {
    json!({
        "schema": "mlroll/dry-run/1",
        "verb": "deploy",
        "reason": said.reason,
        "calls": calls.iter().map(documents::call).collect::<Vec<_>>(),
        "targets": targets(delivered),
        "exit_code": said.exit.code(),
    })
}

fn targets(delivered: &[Delivered]) -> Vec<Value> {
    let target = |one: &Delivered| {
        let deployed = one.result.as_ref().ok();
        json!({
            "target": one.selected.target,
            "service": one.selected.service,
            "revision": deployed.map(|deployed| &deployed.revision.id),
            "made": deployed.map(|deployed| deployed.made),
            "pruned": one.pruned.as_ref().map(pruned),
            "smoke": one.probe.as_ref().map(|probe| json!({ "ok": probe.ok, "answer": probe.answer })),
            "calls": one.calls,
            "notes": deployed.map(|deployed| deployed.notes.as_slice()).unwrap_or_default(),
            "error": one.result.as_ref().err().map(documents::failure_object),
        })
    };
    delivered.iter().map(target).collect()
}

/// What was deleted, what was kept and why, what could not be; of a failure, that it deleted nothing that is told.
fn pruned(pruned: &Result<Pruned, Failure>) -> Value {
    let list = |all: Option<&Vec<Leftover>>| -> Vec<Value> {
        let one = |one: &Leftover| json!({ "kind": one.kind, "name": one.name, "why": one.why, "remedy": one.remedy });
        all.into_iter().flatten().map(one).collect()
    };
    let found = pruned.as_ref().ok();
    json!({
        "deleted": list(found.map(|found| &found.deleted)),
        "kept": list(found.map(|found| &found.kept)),
        "failed": list(found.map(|found| &found.failed)),
        "error": pruned.as_ref().err().map(documents::failure_object),
    })
}

/// What a person should know where not all was deleted that should be. Nobody's traffic depends on it.
#[must_use]
pub fn unpruned(delivered: &[Delivered]) -> Vec<String> {
    let mut warnings = Vec::new();
    for one in delivered {
        match &one.pruned {
            None => {}
            Some(Err(failure)) => {
                let next = failure.hints.join("; ");
                warnings.push(format!("{}: --prune: {}; {next}", one.selected.target, failure.message));
            }
            Some(Ok(found)) => warnings.extend(found.failed.iter().map(|Leftover { kind, name, why, remedy }| {
                let by_hand = remedy.as_ref().map(|remedy| format!("; by hand: {remedy}")).unwrap_or_default();
                let again = "the same command, typed again, tries it again";
                format!("{}: {kind} {name} could not be deleted: {why}; {again}{by_hand}", one.selected.target)
            })),
        }
    }
    warnings
}

/// A line each for what was deleted and what was kept.
fn leftovers(delivered: &[Delivered], deletes: &str) -> String {
    let mut lines = String::new();
    for one in delivered {
        let about = if delivered.len() > 1 { format!("{}: ", one.selected.target) } else { String::new() };
        let Some(Ok(found)) = &one.pruned else { continue };
        if found.deleted.is_empty() && found.failed.is_empty() {
            lines.push_str(&format!("  {about}nothing to delete\n"));
        }
        for (did, all) in [(deletes, &found.deleted), ("not deleted", &found.failed), ("kept", &found.kept)] {
            for Leftover { kind, name, why, .. } in all {
                lines.push_str(&format!("  {about}{did}: {kind} {name}: {why}\n"));
            }
        }
    }
    lines
}

/// A row a target, and what a person should know.
#[must_use]
pub fn text(delivered: &[Delivered]) -> String {
    let mut table = tables::table(&["TARGET", "REVISION", "OUTCOME", "SMOKE TEST", "CALLS"]);
    let mut notes = String::new();
    for one in delivered {
        let target = one.selected.target.to_string();
        let (revision, outcome) = match &one.result {
            Ok(deployed) if deployed.made => (deployed.revision.id.to_string(), "deployed, no traffic"),
            Ok(deployed) => (deployed.revision.id.to_string(), "was there already"),
            Err(_) => ("-".to_owned(), "failed"),
        };
        let smoke = match &one.probe {
            Some(probe) if probe.ok => "answered well",
            Some(_) => "failed",
            None => "-",
        };
        for note in one.result.iter().flat_map(|deployed| &deployed.notes) {
            let about = if delivered.len() > 1 { format!("{target}: ") } else { String::new() };
            notes.push_str(&format!("  note: {about}{note}\n"));
        }
        table.add_row([target, revision, outcome.to_owned(), smoke.to_owned(), tables::calls(one.calls)]);
    }
    tables::trimmed(&table) + &notes + &leftovers(delivered, "deleted")
}

/// The calls that a run would make.
#[must_use]
pub fn rehearsal(delivered: &[Delivered], calls: &[Call]) -> String {
    let notes = delivered.iter().flat_map(|one| one.result.iter().flat_map(|deployed| &deployed.notes));
    let notes: String = notes.map(|note| format!("  note: {note}\n")).collect();
    tables::sent(calls, "   <- not sent: this is a dry run") + &notes + &leftovers(delivered, "would be deleted")
}

/// Tells the runner: its annotations, its summary, and `revision` among its outputs.
pub fn announce(env: &Env, printer: Printer, said: &Said<'_>, delivered: &[Delivered], document: &Value) {
    let mut summary = format!("### mlroll deploy: {}\n\n| target | revision |\n| --- | --- |\n", outcome(delivered));
    for one in delivered {
        let target = &one.selected.target;
        let revision = match &one.result {
            Ok(deployed) => format!("`{}`", deployed.revision.id),
            Err(failure) => {
                if env.github_actions {
                    printer.command(&github::failure_annotation(failure));
                }
                format!("**{}**", github::cell(&failure.message))
            }
        };
        summary.push_str(&format!("| `{target}` | {revision} |\n"));
    }
    summary.push('\n');
    let revisions: Vec<&str> =
        delivered.iter().flat_map(|one| one.result.iter().map(|deployed| deployed.revision.id.as_str())).collect();
    let outputs = format!(
        "outcome={}\nexit_code={}\nrevision={}\njson={document}\n",
        outcome(delivered),
        said.exit.code(),
        revisions.join(" ")
    );
    github::write_files(env, printer, &summary, &outputs);
}
