//! `mlroll completions`

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Context, Ended};
use crate::cli::Cli;
use crate::exit::ExitStatus;

/// Print completions for a shell
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Runs the verb.
///
/// # Errors
/// Output cannot be written.
pub fn run(args: &CompletionsArgs, context: &Context) -> Result<ExitStatus, Ended> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "mlroll", &mut script);
    context.printer.data(&String::from_utf8_lossy(&script)).map_err(|e| Ended::Unsaid(ExitStatus::Success, e))?;
    Ok(ExitStatus::Success)
}
