//! `mlroll demo`

use clap::Args;

use super::{Context, Ended, block_on};
use crate::demo::{Stage, Show};
use crate::exit::ExitStatus;

/// See a canary promoted and another rolled back, on clouds simulated in this process
///
/// Runs the commands that a user would type, on the real adapters over HTTP, in scaled time. Takes less than a minute, asks
/// nothing, needs no account and leaves nothing behind.
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Only the part of this backend
    #[arg(long, value_enum, value_name = "NAME")]
    pub backend: Option<Stage>,
}

/// Runs the verb.
///
/// # Errors
/// The sandbox or a command cannot be started, or output cannot be written.
pub fn run(args: &DemoArgs, context: &Context) -> Result<ExitStatus, Ended> {
    let stages = args.backend.map_or_else(|| Stage::ALL.to_vec(), |stage| vec![stage]);
    block_on(Show { context, stages: &stages }.run())?
}
