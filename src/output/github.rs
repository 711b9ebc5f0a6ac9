//! What a GitHub Actions job shows: an annotation, a summary, outputs.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use serde_json::Value;

use super::Printer;
use super::json::overall;
use crate::config::env::Env;
use crate::driver::Report;
use crate::exit::ExitStatus;
use crate::rollout::Outcome;

/// Tells the runner what happened. A file of the runner's that cannot be written is a warning: traffic has moved, and
/// that is what counts.
pub fn announce(env: &Env, printer: Printer, verb: &str, reason: Option<&str>, reports: &[Report], document: &Value) {
    if env.github_actions {
        for report in reports {
            if let Some(line) = annotation(verb, report) {
                printer.command(&line);
            }
        }
    }
    let files = [
        ("GITHUB_STEP_SUMMARY", &env.github_step_summary, summary(verb, reason, reports)),
        ("GITHUB_OUTPUT", &env.github_output, outputs(reports, document)),
    ];
    for (name, path, text) in files {
        if let Some(path) = path
            && let Err(e) = append(path, &text)
        {
            printer.warn(&format!("{name} cannot be written: {e}"));
        }
    }
}

fn annotation(verb: &str, report: &Report) -> Option<String> {
    let (level, message) = match (&report.failure, report.outcome) {
        (Some(failure), _) => ("error", format!("{}; traffic: {}", failure.message, report.traffic())),
        (None, Outcome::Unchanged) => return None,
        (None, outcome) => ("notice", format!("{}; traffic: {}", outcome.words(), report.traffic())),
    };
    let title = property(&format!("mlroll {verb} {}", report.target));
    Some(format!("::{level} title={title}::{}", escaped(&message)))
}

fn summary(verb: &str, reason: Option<&str>, reports: &[Report]) -> String {
    let mut text = format!("### mlroll {verb}: {}\n\n", overall(reports).words());
    if let Some(reason) = reason {
        text.push_str(&format!("Reason: {}\n\n", cell(reason)));
    }
    text.push_str("| target | outcome | before | now |\n| --- | --- | --- | --- |\n");
    for report in reports {
        let split = |split: &Option<_>| split.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string);
        let (before, now) = (split(&report.before), split(&report.after));
        text.push_str(&format!("| `{}` | {} | {before} | {now} |\n", report.target, report.outcome.words()));
    }
    text.push('\n');
    for report in reports {
        for note in &report.notes {
            text.push_str(&format!("- `{}`: {}\n", report.target, cell(note)));
        }
        if let Some(failure) = &report.failure {
            text.push_str(&format!("- `{}`: **{}**\n", report.target, cell(&failure.message)));
            for hint in &failure.hints {
                text.push_str(&format!("  - {}\n", cell(hint)));
            }
        }
    }
    text.push('\n');
    text
}

fn outputs(reports: &[Report], document: &Value) -> String {
    let exit = ExitStatus::worst(reports.iter().map(|r| r.exit)).code();
    let settled = reports.iter().all(|r| r.settled);
    // The document is JSON on one line: no line of it can end the value early.
    format!("outcome={}\nexit_code={exit}\nsettled={settled}\njson={document}\n", overall(reports).name())
}

fn append(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).open(path)?.write_all(text.as_bytes())
}

/// Text of a workflow command, by the runner's own escapes.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    escaped(text).replace(':', "%3A").replace(',', "%2C")
}

/// Text inside a Markdown table or list: it cannot end the line or open a tag.
fn cell(text: &str) -> String {
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
