//! What a GitHub Actions job shows: an annotation, a summary, outputs.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use serde_json::Value;

use super::{Done, Printer};
use crate::config::env::Env;
use crate::driver::Report;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::rollout::Outcome;

/// Tells the runner what happened. A file of the runner's that cannot be written is a warning: traffic has moved, and
/// that is what counts.
pub fn announce(env: &Env, printer: Printer, done: &Done<'_>, document: &Value) {
    if env.github_actions {
        for line in done.reports.iter().filter_map(|report| annotation(done, report)) {
            printer.command(&line);
        }
        for unreadable in done.unreadable {
            printer.command(&failure_annotation(&unreadable.failure));
        }
    }
    write_files(env, printer, &summary(done), &outputs(done.outcome(), done.exit(), done.settled(), document));
}

/// Tells the runner that nothing was done.
pub fn announce_failure(env: &Env, printer: Printer, failure: &Failure, document: &Value) {
    if env.github_actions {
        printer.command(&failure_annotation(failure));
    }
    let summary = format!("### mlroll: failed\n\n{}", bullets("mlroll", failure));
    write_files(env, printer, &summary, &outputs(Outcome::Failed, failure.exit, false, document));
}

pub(super) fn write_files(env: &Env, printer: Printer, summary: &str, outputs: &str) {
    let files =
        [("GITHUB_STEP_SUMMARY", &env.github_step_summary, summary), ("GITHUB_OUTPUT", &env.github_output, outputs)];
    for (name, path, text) in files {
        if let Some(path) = path
            && let Err(e) = append(path, text)
        {
            printer.warn(&format!("{e:#} ({name})"));
        }
    }
}

pub(super) fn failure_annotation(failure: &Failure) -> String {
    format!("::error title=mlroll::{}", escaped(&failure.message))
}

fn annotation(done: &Done<'_>, report: &Report) -> Option<String> {
    let (level, message) = match (&report.failure, report.outcome) {
        (Some(failure), _) => ("error", format!("{}; traffic: {}", failure.message, report.traffic())),
        (None, Outcome::Unchanged) => return None,
        (None, outcome) => ("notice", format!("{}; traffic: {}", done.words(outcome), report.traffic())),
    };
    let title = property(&format!("mlroll {} {}", done.verb, report.target));
    Some(format!("::{level} title={title}::{}", escaped(&message)))
}

fn summary(done: &Done<'_>) -> String {
    let mut text = format!("### mlroll {}: {}\n\n", done.verb, done.words(done.outcome()));
    if let Some(reason) = done.reason {
        text.push_str(&format!("Reason: {}\n\n", cell(reason)));
    }
    text.push_str("| target | outcome | before | now |\n| --- | --- | --- | --- |\n");
    for report in done.reports {
        let split = |split: &Option<_>| split.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string);
        let (before, now) = (split(&report.before), split(&report.after));
        text.push_str(&format!("| `{}` | {} | {before} | {now} |\n", report.target, done.words(report.outcome)));
    }
    text.push('\n');
    for report in done.reports {
        for note in &report.notes {
            text.push_str(&format!("- `{}`: {}\n", report.target, cell(note)));
        }
        if let Some(failure) = &report.failure {
            text.push_str(&bullets(&report.target.to_string(), failure));
        }
    }
    for unreadable in done.unreadable {
        text.push_str(&bullets(unreadable.service.as_deref().unwrap_or("mlroll.toml"), &unreadable.failure));
    }
    text.push('\n');
    text
}

fn bullets(about: &str, failure: &Failure) -> String {
    let hints = failure.hints.iter().map(|hint| format!("  - {}\n", cell(hint)));
    std::iter::once(format!("- `{about}`: **{}**\n", cell(&failure.message))).chain(hints).collect()
}

/// The document is JSON on one line: no line of it can end the value early.
fn outputs(outcome: Outcome, exit: ExitStatus, settled: bool, document: &Value) -> String {
    format!("outcome={}\nexit_code={}\nsettled={settled}\njson={document}\n", outcome.name(), exit.code())
}

fn append(path: &Path, text: &str) -> anyhow::Result<()> {
    let whole = || format!("{} cannot be written", path.display());
    let mut file = OpenOptions::new().append(true).create(true).open(path).with_context(whole)?;
    file.write_all(text.as_bytes()).with_context(whole)
}

/// Text of a workflow command, by the runner's own escapes.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    escaped(text).replace(':', "%3A").replace(',', "%2C")
}

/// Text inside a Markdown table or list: it cannot end the line or open a tag.
pub(super) fn cell(text: &str) -> String {
    text.replace(['\r', '\n'], " ").replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_break_out_of_its_command_or_cell() {
        assert_eq!(property("a::b,c\n50%"), "a%3A%3Ab%2Cc%0A50%25");
        assert_eq!(cell("a|b\n<script>"), "a\\|b &lt;script>");
    }
}
