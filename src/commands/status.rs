//! `mlroll status`

use std::sync::Arc;

use clap::Args;

use super::{Context, Ended, block_on, print_failure};
use crate::config::select;
use crate::driver::{Driver, Limits, Look};
use crate::exit::ExitStatus;
use crate::output::{Done, Format, Progress, json, text};
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
    let progress = Progress::new(*printer, selected.len(), global.dry_run);
    let accept = global.timeout.unwrap_or(super::ACCEPT);
    let limits = Limits { accept, settle: None, no_wait: true };
    let wire = Arc::new(Wire::new(global.dry_run, *printer).within(clock.reach()));
    let driver =
        Driver { clock: clock.clone(), wire: Arc::clone(&wire), limits, progress: &progress, id: String::new() };
    let seen = block_on(driver.look(&selected))?;
    wire.breach()?;
    if let [Look { seen: Err(failure), .. }] = seen.as_slice() {
        return Err(failure.clone().into());
    }
    let failures = || seen.iter().filter_map(|look| look.seen.as_ref().err());
    for failure in failures() {
        print_failure(*printer, failure, None);
    }
    let exit = ExitStatus::worst(failures().map(|failure| failure.exit));
    let nothing = Done { verb: "status", reason: global.reason.as_deref(), reports: &[], unreadable: &[] };
    let text = match (global.dry_run, global.output) {
        (true, Format::Json) => json::dry_run(&nothing, &wire.calls()).to_string(),
        (true, Format::Text) => text::dry_run(&nothing, &wire.calls()),
        (false, Format::Json) => json::status(&seen).to_string(),
        (false, Format::Text) => text::status(&seen),
    };
    printer.data(&text).map_err(|e| Ended::Unsaid(exit, e))?;
    Ok(exit)
}
