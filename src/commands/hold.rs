//! `mlroll hold`

use clap::Args;

use super::watched::{only, state_of, unfinished};
use super::{Context, Ended};
use crate::config::select;
use crate::exit::ExitStatus;
use crate::failure::Failure;

/// Ask a run that is going on to stop advancing and keep its split
///
/// The run reads the request before its next write, and ends with exit code 3; `mlroll resume` goes on with it.
#[derive(Args, Debug)]
pub struct HoldArgs {
    /// The service of mlroll.toml; may be left out when there is only one
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
}

/// Runs the verb.
///
/// # Errors
/// The arguments or the file are wrong, no run is going on, or the request cannot be left.
pub fn run(args: &HoldArgs, context: &Context) -> Result<ExitStatus, Ended> {
    let global = &context.global;
    let (selected, config) = select(global.config.as_deref(), &global.target, &args.services, false)?;
    let (selected, _) = only(&selected, config.as_ref())?;
    let (state, _) = state_of(config.as_ref(), global.config.as_deref())?;
    let running = unfinished(context, &state, selected)?.into_iter().find(|read| read.rollout.ended().is_none());
    let Some(read) = running else {
        let none = Failure::usage("no run of this target is going on");
        return Err(Failure { exit: ExitStatus::NotFound, kind: "not_found", ..none }.about(&selected.target).into());
    };
    let id = &read.header.plan.terms().id;
    if !global.dry_run {
        state.request_hold(id).map_err(|e| Failure::usage(e.to_string()))?;
    }
    context.printer.say(&format!("rollout {id} is asked to hold"));
    Ok(ExitStatus::Success)
}
