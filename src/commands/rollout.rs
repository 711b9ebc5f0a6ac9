//! `mlroll rollout`

use clap::Args;
use mlroll_backend::RevisionId;

use super::watched::{Begin, Watched, only, state_of, watch};
use super::{Context, Ended};
use crate::cli::revision;
use crate::config::{Watching, select};
use crate::driver::OnInterrupt;
use crate::exit::ExitStatus;
use crate::failure::Failure;

/// Take a candidate through all steps of its service, judged by its gates
///
/// Each step must hold and pass; the last one, 100 %, is the promotion. A candidate that fails is rolled back. An
/// unfinished rollout of the same target is gone on with.
#[derive(Args, Debug)]
pub struct RolloutArgs {
    /// The service of mlroll.toml; may be left out when there is only one
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// The revision on trial
    #[arg(long, value_name = "REV", value_parser = revision)]
    pub candidate: Option<RevisionId>,
    /// Try a revision again that was rolled back
    #[arg(long, requires = "candidate")]
    pub again: bool,
    /// What an interrupt does
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    pub on_interrupt: OnInterrupt,
}

/// Runs the verb.
///
/// # Errors
/// The arguments or the file are wrong, the run cannot begin, or output cannot be written.
pub fn run(args: &RolloutArgs, context: &Context) -> Result<ExitStatus, Ended> {
    let global = &context.global;
    if global.dry_run {
        let failure = Failure::usage("what a rollout does depends on what it sees: a dry run cannot tell");
        return Err(failure.hint("the first step alone: `mlroll canary --dry-run --no-gates --pct P`").into());
    }
    let (selected, config) = select(global.config.as_deref(), &global.target, &args.services, false)?;
    let (selected, service) = only(&selected, config.as_ref())?;
    if service.gates.is_empty() {
        let failure = Failure::usage("the service has no gates, so nothing would judge the candidate");
        return Err(failure.hint("add [[services.NAME.gates]], or shift by hand: `mlroll canary --pct P`").into());
    }
    let watching = Watching::rollout(service).ok_or_else(|| {
        Failure::usage("the service has no `steps`").hint("such as steps = [\"1%\", \"10%\", \"50%\", \"100%\"]")
    })?;
    let (state, folder) = state_of(config.as_ref(), global.config.as_deref())?;
    let begin = Begin::New { watching, candidate: args.candidate.clone(), again: args.again, go_on: true };
    watch(
        context,
        Watched { verb: "rollout", selected, service, state, folder, begin, on_interrupt: args.on_interrupt },
    )
}
