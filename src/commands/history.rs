//! `mlroll history`

use clap::Args;
use serde_json::{Value, json};

use super::watched::state_of;
use super::{Context, Ended};
use crate::config::{DEFAULT_FILE, load_if_present, select};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::journal::{Replay, Store, replay};
use crate::output::{Format, text};
use crate::rollout::engine::Action;

/// List the runs that were watched, the newest first
#[derive(Args, Debug)]
pub struct HistoryArgs {
    /// Services of mlroll.toml; all of them when none is named
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
}

/// Runs the verb.
///
/// # Errors
/// The file is wrong, journals cannot be listed, or output cannot be written.
pub fn run(args: &HistoryArgs, context: &Context) -> Result<ExitStatus, Ended> {
    let global = &context.global;
    let path = global.config.clone().unwrap_or_else(|| DEFAULT_FILE.into());
    let config = load_if_present(&path).map_err(Failure::from)?;
    let meant = if args.services.is_empty() && global.target.is_empty() {
        None
    } else {
        let (selected, _) = select(global.config.as_deref(), &global.target, &args.services, true)?;
        Some(selected.into_iter().map(|s| s.target.to_string()).collect::<Vec<_>>())
    };
    let (state, _) = state_of(config.as_ref(), Some(&path))?;
    let names = state.list().map_err(|e| Failure::usage(e.to_string()))?;
    let mut runs = Vec::new();
    for name in names.iter().rev() {
        match replay(&state, name) {
            Ok(read) if meant.as_ref().is_none_or(|meant| meant.contains(&read.header.target)) => runs.push(read),
            Ok(_) => {}
            Err(e) => context.printer.warn(&e.to_string()),
        }
    }
    let text = match global.output {
        Format::Json => {
            json!({ "schema": "mlroll/history/1", "runs": runs.iter().map(run_object).collect::<Vec<Value>>() })
                .to_string()
        }
        Format::Text => text::history(&runs),
    };
    context.printer.data(&text).map_err(|e| Ended::Unsaid(ExitStatus::Success, e))?;
    Ok(ExitStatus::Success)
}

fn run_object(read: &Replay) -> Value {
    let terms = read.header.plan.terms();
    let ended = read.rollout.ended().map(|(ended, why)| (text::ended(ended), why.to_string()));
    let shifts = read.records.iter().filter_map(|record| match &record.action {
        Action::Shift { to, .. } => {
            Some(json!({ "at": record.at.to_string(), "percent": to.weight_of(&terms.candidate) }))
        }
        Action::Done { .. }
        | Action::Observe
        | Action::Prepare(_)
        | Action::Restore { .. }
        | Action::Sample(_)
        | Action::Size { .. }
        | Action::Wait { .. } => None,
    });
    json!({
        "id": terms.id,
        "target": read.header.target,
        "verb": terms.kind.verb(),
        "stable": terms.stable,
        "candidate": terms.candidate,
        "begun": read.header.at.to_string(),
        "last": read.records.last().map(|record| record.at.to_string()),
        "reason": read.header.reason,
        "shifts": shifts.collect::<Vec<Value>>(),
        "outcome": ended.as_ref().map(|(ended, _)| *ended),
        "why": ended.as_ref().map(|(_, why)| why),
        "unfinished": read.rollout.is_unfinished(),
    })
}
