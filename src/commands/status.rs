//! `mlroll status`

use std::sync::Arc;

use clap::Args;

use super::{Context, Ended, block_on, name_overrides, print_failure};
use crate::config::select;
use crate::driver::{Driver, Limits};
use crate::exit::ExitStatus;
use crate::output::{Format, Progress, json, text};
use crate::wire::Wire;

/// Show who gets what, and who is stable, candidate and previous
#[derive(Args, Debug)]
pub struct StatusArgs {
    /// Services of mlroll.toml; all of them when none is named
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
}

/// Runs the verb.
///
/// # Errors
/// The arguments or the file are wrong, the only target cannot be read, or output cannot be written.
pub fn run(args: &StatusArgs, context: &Context) -> Result<ExitStatus, Ended> {
    let Context { global, printer, clock, .. } = context;
    let (selected, _) = select(global.config.as_deref(), &global.target, &args.services, true)?;
    name_overrides(context);
    let progress = Progress::new(*printer, selected.len());
    let accept = global.timeout.unwrap_or(super::ACCEPT);
    let limits = Limits { accept, settle: accept, no_wait: true };
    let wire = Arc::new(Wire::new(global.dry_run, *printer));
    let driver = Driver { clock: *clock, wire: Arc::clone(&wire), limits, progress: &progress, id: String::new() };
    let looked = block_on(driver.look(&selected))??;
    let mut seen = Vec::new();
    for (selected, result) in looked {
        let guard = driver.guard_of(&selected.target)?;
        seen.push((selected, guard, result));
    }
    if global.dry_run {
        match global.output {
            Format::Json => printer.data(&json::dry_run("status", &wire.calls(), &[]).to_string())?,
            Format::Text => printer.data(&text::dry_run(&wire.calls(), &[]))?,
        }
        return Ok(ExitStatus::Success);
    }
    if let [(_, _, Err(failure))] = seen.as_slice() {
        return Err(failure.clone().into());
    }
    for failure in seen.iter().filter_map(|(_, _, result)| result.as_ref().err()) {
        print_failure(*printer, failure, None);
    }
    match global.output {
        Format::Json => printer.data(&json::status(&seen).to_string())?,
        Format::Text => printer.data(&text::status(&seen))?,
    }
    let exits =
        seen.iter().map(|(_, _, result)| result.as_ref().err().map_or(ExitStatus::Success, |failure| failure.exit));
    Ok(ExitStatus::worst(exits))
}
