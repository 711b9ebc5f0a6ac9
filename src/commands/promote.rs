//! `mlroll promote`

use clap::Args;
use mlroll_backend::RevisionId;

use super::canary::{has_gates, settle_timeout};
use super::{Act, Context, Ended, act};
use crate::cli::revision;
use crate::config::select;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::rollout::Intent;

/// Give the candidate all traffic and make it stable
///
/// Not judged, so it needs `--force`; a rollout promotes by itself what has passed its gates.
#[derive(Args, Debug)]
pub struct PromoteArgs {
    /// Services of mlroll.toml; may be left out when there is only one
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Skip the gates
    #[arg(long)]
    pub force: bool,
    /// The candidate, where it was not mlroll that put it in flight
    #[arg(long, value_name = "REV", value_parser = revision)]
    pub candidate: Option<RevisionId>,
    /// Return when the shift is accepted, not when it is live
    #[arg(long)]
    pub no_wait: bool,
}

/// Runs the verb.
///
/// # Errors
/// The arguments or the file are wrong, or output cannot be written.
pub fn run(args: &PromoteArgs, context: &Context) -> Result<ExitStatus, Ended> {
    let global = &context.global;
    let (selected, config) = select(global.config.as_deref(), &global.target, &args.services, false)?;
    if !args.force {
        let failure = if selected.iter().any(|s| has_gates(config.as_ref(), s)) {
            Failure::usage("promote cannot judge by gates yet").hint("judged from the first step on: `mlroll rollout`")
        } else {
            Failure::usage("there are no gates, so nothing says that the candidate is good")
        };
        return Err(failure.hint("to promote it all the same: `--force`").into());
    }
    let settle = settle_timeout(config.as_ref(), &selected);
    let promote = Act {
        verb: "promote",
        intent: Intent::Promote { candidate: args.candidate.clone() },
        selected: &selected,
        unreadable: &[],
        settle,
        no_wait: args.no_wait,
        note: Some("not judged: --force"),
    };
    act(context, &promote)
}
