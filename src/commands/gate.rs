//! `mlroll gate`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{Context, Ended};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::judge::replay::replay;

/// Try gates without moving traffic
#[derive(Args, Debug)]
pub struct GateArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Replay(ReplayArgs),
}

/// Judge recorded looks, and print the evidence after each as JSON
///
/// The file holds a gate and its looks; `-` reads standard input. The exit code is 0 whatever the verdict.
#[derive(Args, Debug)]
struct ReplayArgs {
    /// The file, described in docs/json.md
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Runs the verb.
///
/// # Errors
/// The file cannot be read or makes no sense, or output cannot be written.
pub fn run(args: &GateArgs, context: &Context) -> Result<ExitStatus, Ended> {
    let What::Replay(ReplayArgs { file }) = &args.what;
    let shown = file.display();
    let read =
        if file == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(file) };
    let text = read.map_err(|e| Failure::usage(format!("{shown} cannot be read: {e}")))?;
    let report =
        replay(&text).map_err(|e| Failure::usage(format!("{shown}: {e}")).hint("its form is in docs/json.md"))?;
    context.printer.data(&report.to_string()).map_err(|e| Ended::Unsaid(ExitStatus::Success, e))?;
    Ok(ExitStatus::Success)
}
