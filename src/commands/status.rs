//! `mlroll status`

use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::live::live;
use super::watched::state_of;
use super::{Context, Ended, block_on, print_failure};
use crate::cli::duration;
use crate::config::select;
use crate::driver::{Driver, Limits, Look, Runs};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::output::{Done, Format, Progress, json, text};
use crate::wire::Wire;

/// The longest that one look of a watch may take.
const LOOK: Duration = Duration::from_secs(30);

/// Show who gets what, who is stable, candidate and previous, and what a run is at
///
/// A run that is not finished is read from its journal: its step, what its gates said last, and whether anybody goes on
/// with it.
#[derive(Args, Debug)]
pub struct StatusArgs {
    /// Services of mlroll.toml; all of them when none is named
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Look again and again, and show what changes: in place on a terminal, else a line for each change
    ///
    /// Errors that may pass are shown, and it goes on; Ctrl-C and `--timeout` end it.
    #[arg(long)]
    pub watch: bool,
    /// How often to look; at least a second
    #[arg(long, value_name = "TIME", value_parser = pace, default_value = "5s", requires = "watch")]
    pub every: Duration,
}

/// How often to look: each look is a request to each target.
fn pace(text: &str) -> Result<Duration, String> {
    let every = duration(text)?;
    if every < Duration::from_secs(1) { Err("at least `1s`".to_owned()) } else { Ok(every) }
}

/// Runs the verb.
///
/// # Errors
/// The arguments or the file are wrong, the only target cannot be read, or output cannot be written.
pub fn run(args: &StatusArgs, context: &Context) -> Result<ExitStatus, Ended> {
    let Context { global, printer, clock, .. } = context;
    if args.watch && global.dry_run {
        return Err(Failure::usage("to watch changes nothing: there is nothing to rehearse").into());
    }
    let (selected, config) = select(global.config.as_deref(), &global.target, &args.services, true)?;
    let progress = Progress::new(*printer, selected.len(), global.dry_run);
    let accept = global.timeout.unwrap_or(super::ACCEPT);
    let limits = Limits { accept, settle: None, no_wait: true };
    let wire = Arc::new(Wire::new(global.dry_run, *printer).within(clock.reach()));
    let driver =
        Driver { clock: clock.clone(), wire: Arc::clone(&wire), limits, progress: &progress, id: String::new() };
    // Where journals are kept elsewhere, or nowhere, the target itself is all there is to tell of.
    let mut runs = state_of(config.as_ref(), global.config.as_deref()).ok().map(|(state, _)| Runs::new(state));
    if args.watch {
        let limits = Limits { accept: LOOK, ..limits };
        return block_on(live(context, &Driver { limits, ..driver }, &selected, runs, args.every))?;
    }
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
    let (ongoing, complaints) = runs.as_mut().map(|runs| runs.ongoing(clock.now())).unwrap_or_default();
    complaints.iter().for_each(|complaint| printer.warn(complaint));
    let nothing =
        Done { verb: "status", reason: global.reason.as_deref(), reports: &[], unreadable: &[], shared: None };
    let text = match (global.dry_run, global.output) {
        (true, Format::Json) => json::dry_run(&nothing, &wire.calls()).to_string(),
        (true, Format::Text) => text::dry_run(&nothing, &wire.calls()),
        (false, Format::Json) => json::status(&seen, &ongoing).to_string(),
        (false, Format::Text) => text::status(&seen, &ongoing),
    };
    printer.data(&text).map_err(|e| Ended::Unsaid(exit, e))?;
    Ok(exit)
}
