//! `mlroll demo`

use clap::{Args, ValueEnum};

use super::{Context, Ended};
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

/// A cloud to show something on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    /// An AWS Lambda alias.
    Lambda,
    /// An Azure ML online endpoint.
    AzureMl,
    /// A Google Cloud Run service.
    CloudRun,
    /// An Amazon SageMaker endpoint.
    #[value(name = "sagemaker")]
    SageMaker,
}

/// Runs the verb.
///
/// # Errors
/// The sandbox or a command cannot be started, or output cannot be written.
#[cfg(feature = "sandbox")]
pub fn run(args: &DemoArgs, context: &Context) -> Result<ExitStatus, Ended> {
    let stages = args.backend.map_or_else(|| Stage::value_variants().to_vec(), |stage| vec![stage]);
    super::block_on(crate::demo::Show { context, stages: &stages }.run())?
}

/// Tells that this build cannot.
///
/// # Errors
/// Always.
#[cfg(not(feature = "sandbox"))]
pub fn run(_: &DemoArgs, _: &Context) -> Result<ExitStatus, Ended> {
    Err(super::sandbox::absent().into())
}
