//! `mlroll gate`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::backtest::{self, BacktestArgs};
use super::check::{Checked, Past, check_now};
use super::power::{self, PowerArgs};
use super::watched::{only, state_of};
use super::{Context, Ended};
use crate::config::select;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::judge::replay::replay;
use crate::judge::verdict::Verdict;
use crate::output::{Format, text};

/// Try gates without moving traffic
#[derive(Args, Debug)]
pub struct GateArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Backtest(BacktestArgs),
    Check(CheckArgs),
    Power(PowerArgs),
    Replay(ReplayArgs),
}

/// Judge the canary in flight by what its gates say of the last `bake`, and move nothing
///
/// Nothing from before the last shift and its warm-up is judged. Exit code 1 when they fail, 3 when they are inconclusive.
#[derive(Args, Debug)]
struct CheckArgs {
    /// The service of mlroll.toml; may be left out when there is only one
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
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
    match &args.what {
        What::Backtest(args) => backtest::run(args, context),
        What::Power(args) => power::run(args, context),
        What::Check(CheckArgs { services }) => check(services, context),
        What::Replay(ReplayArgs { file }) => replay_file(file, context),
    }
}

fn replay_file(file: &Path, context: &Context) -> Result<ExitStatus, Ended> {
    let shown = file.display();
    let read =
        if file == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(file) };
    let text = read.map_err(|e| Failure::usage(format!("{shown} cannot be read: {e}")))?;
    let report =
        replay(&text).map_err(|e| Failure::usage(format!("{shown}: {e}")).hint("its form is in docs/json.md"))?;
    context.printer.data(&report.to_string()).map_err(|e| Ended::Unsaid(ExitStatus::Success, e))?;
    Ok(ExitStatus::Success)
}

fn check(services: &[String], context: &Context) -> Result<ExitStatus, Ended> {
    let global = &context.global;
    let (selected, config) = select(global.config.as_deref(), &global.target, services, false)?;
    let (selected, service) = only(&selected, config.as_ref())?;
    if service.gates.is_empty() {
        return Err(Failure::usage("the service has no gates").hint("add [[services.NAME.gates]]").into());
    }
    let (_, folder) = state_of(config.as_ref(), global.config.as_deref())?;
    let (verdict, findings) = match check_now(context, selected, service, &folder, Past::Bake)? {
        Checked::Judged(verdict, findings, _) => (verdict, findings),
        Checked::Promoted(seen) => return Err(Checked::none_in_flight(&seen, &selected.target).into()),
    };
    let exit = match verdict {
        Verdict::Fail => ExitStatus::GateFailed,
        Verdict::Inconclusive => ExitStatus::Held,
        Verdict::Pass => ExitStatus::Success,
    };
    let text = match global.output {
        Format::Json => json!({
            "schema": "mlroll/check/1", "target": selected.target, "verdict": verdict, "findings": findings,
            "exit_code": exit.code(),
        })
        .to_string(),
        Format::Text => text::findings(&findings),
    };
    context.printer.data(&text).map_err(|e| Ended::Unsaid(exit, e))?;
    Ok(exit)
}
