//! `mlroll rollback`

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::Args;
use mlroll_backend::RevisionId;

use super::{Act, Context, Ended, act};
use crate::cli::{duration, revision};
use crate::config::select_for_rollback;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::rollout::Intent;

/// Give all traffic back, now
///
/// During a canary stable gets everything; after a promote the revision before it does. Safe to type twice. Needs
/// nothing but the target and credentials; of mlroll.toml it reads the targets only.
#[derive(Args, Debug)]
pub struct RollbackArgs {
    /// Services of mlroll.toml; may be left out when there is only one
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Go to this revision
    #[arg(long, value_name = "REV", value_parser = revision)]
    pub to: Option<RevisionId>,
    /// All services of mlroll.toml: those with a canary in flight or promoted lately
    #[arg(long, conflicts_with_all = ["to", "services"])]
    pub all: bool,
    /// With --all: how long ago a promote may have been [default: 24h]
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "all")]
    pub since: Option<Duration>,
    /// Return when the shift is accepted, not when it is live
    #[arg(long)]
    pub no_wait: bool,
}

const LATELY: Duration = Duration::from_secs(24 * 3600);

/// Runs the verb.
///
/// # Errors
/// The arguments are wrong, the targets cannot be read, or output cannot be written.
pub fn run(args: &RollbackArgs, context: &Context) -> Result<ExitStatus, Ended> {
    let global = &context.global;
    if args.all && !global.target.is_empty() {
        let failure = Failure::usage("`--all` means the services of mlroll.toml, and `--target` something else");
        return Err(failure.hint("take one of the two").into());
    }
    let meant = select_for_rollback(global.config.as_deref(), &global.target, &args.services, args.all)?;
    for warning in &meant.warnings {
        context.printer.warn(warning);
    }
    let recent = args.all.then(|| args.since.unwrap_or(LATELY));
    let rollback = Act {
        verb: "rollback",
        intent: Intent::Rollback { to: args.to.clone(), recent },
        judged: BTreeMap::new(),
        done: Vec::new(),
        selected: &meant.selected,
        unreadable: &meant.unreadable,
        settle: None,
        no_wait: args.no_wait,
        note: None,
        leave: BTreeSet::new(),
        stages: BTreeMap::new(),
    };
    act(context, &rollback)
}
