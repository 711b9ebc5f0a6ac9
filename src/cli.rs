//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use mlroll_backend::{RevisionId, Target, Weight};

use crate::commands::{
    canary, completions, demo, deploy, experiment, explain, gate, history, hold, plan, promote, resume, rollback,
    rollout, sandbox, shadow, status,
};
use crate::config::parse_duration;
use crate::output::{ColorChoice, Format};

/// Roll out ML services safely across clouds
///
/// Shifts traffic between two revisions of a service, and promotes the new one or takes it back.
#[derive(Debug, Parser)]
#[command(name = "mlroll", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// Flags of every verb.
    #[command(flatten)]
    pub global: Global,
    /// The verb.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every verb.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Read this file instead of ./mlroll.toml
    #[arg(long, global = true, value_name = "PATH")]
    pub config: Option<PathBuf>,
    /// Act on this target; needs no file, and may be given several times
    #[arg(long, global = true, value_name = "URI")]
    pub target: Vec<Target>,
    /// How to write the result
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
    /// Print the calls that a run would make, and change nothing
    #[arg(long, global = true)]
    pub dry_run: bool,
    /// Why this is done; shown wherever the result is
    #[arg(long, global = true, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Give up after this time, all told [default: 5m, and 30m more until the split is live]
    #[arg(long, global = true, value_name = "TIME", value_parser = positive_duration)]
    pub timeout: Option<Duration>,
    /// Say nothing but errors
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Name each request as it is sent
    #[arg(long, short, global = true)]
    pub verbose: bool,
    /// When to colour
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: ColorChoice,
}

/// The verbs.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "the help of a verb is the comment on its arguments")]
pub enum Command {
    Canary(canary::CanaryArgs),
    Completions(completions::CompletionsArgs),
    Demo(demo::DemoArgs),
    Deploy(deploy::DeployArgs),
    Experiment(experiment::ExperimentArgs),
    Explain(explain::ExplainArgs),
    Gate(gate::GateArgs),
    History(history::HistoryArgs),
    Hold(hold::HoldArgs),
    Plan(plan::PlanArgs),
    Promote(promote::PromoteArgs),
    Resume(resume::ResumeArgs),
    Rollback(rollback::RollbackArgs),
    Rollout(rollout::RolloutArgs),
    Sandbox(sandbox::SandboxArgs),
    Shadow(shadow::ShadowArgs),
    Status(status::StatusArgs),
}

/// A duration for a flag.
///
/// # Errors
/// What is allowed.
pub fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text)
}

fn positive_duration(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err(format!("`{text}` leaves no time at all; allowed are such as `30s`, `5m`")),
        duration => Ok(duration),
    }
}

/// A percentage for a flag.
///
/// # Errors
/// What is allowed.
pub fn percent(text: &str) -> Result<Weight, String> {
    text.parse().map_err(|e: mlroll_backend::InvalidWeight| e.to_string())
}

/// A revision for a flag.
///
/// # Errors
/// What is allowed.
pub fn revision(text: &str) -> Result<RevisionId, String> {
    text.parse().map_err(|e: mlroll_backend::InvalidRevisionId| e.to_string())
}
