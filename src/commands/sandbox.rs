//! `mlroll sandbox`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Context, Ended};
use crate::cli::duration;
use crate::exit::ExitStatus;

/// Serve the clouds on loopback: control planes and metric stores, fed by simulated users
///
/// Prints what to export, then serves until it is stopped. Nothing it does leaves this machine.
#[derive(Args, Debug)]
pub struct SandboxArgs {
    /// Where to listen; loopback only
    #[arg(long, default_value = "127.0.0.1:4620", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// The world to simulate, described in docs/sandbox.md
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    /// How many of its seconds pass in one of ours
    #[arg(long, default_value_t = 1.0, value_name = "N", value_parser = speed)]
    pub speed: f64,
    /// What all chance is drawn from [default: the scenario's]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// How much later each answer is sent
    #[arg(long, default_value = "0s", value_name = "TIME", value_parser = duration)]
    pub latency: Duration,
    /// Add this many Lambda functions, fraud-0001 and so on
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub fleet: usize,
}

fn speed(text: &str) -> Result<f64, String> {
    let allowed = || format!("`{text}` is no speed; allowed are numbers from 0.001 to 1000000, such as 60");
    let speed: f64 = text.parse().map_err(|_| allowed())?;
    if (0.001..=1_000_000.0).contains(&speed) { Ok(speed) } else { Err(allowed()) }
}

/// Runs the verb.
///
/// # Errors
/// The scenario makes no sense, the address cannot be listened on, or output cannot be written.
#[cfg(feature = "sandbox")]
pub fn run(args: &SandboxArgs, context: &Context) -> Result<ExitStatus, Ended> {
    super::block_on(serve(args, context))?
}

/// Tells that this build cannot.
///
/// # Errors
/// Always.
#[cfg(not(feature = "sandbox"))]
pub fn run(_: &SandboxArgs, _: &Context) -> Result<ExitStatus, Ended> {
    Err(absent().into())
}

/// Why there is no sandbox in this build.
#[cfg(not(feature = "sandbox"))]
pub(super) fn absent() -> crate::failure::Failure {
    let failure = crate::failure::Failure::usage("this build of mlroll has no sandbox");
    failure.hint("build it with `--features sandbox`")
}

#[cfg(feature = "sandbox")]
async fn serve(args: &SandboxArgs, context: &Context) -> Result<ExitStatus, Ended> {
    use mlroll_sandbox::scenario::Scenario;
    use mlroll_sandbox::{Options, Sandbox};
    use serde_json::{Value, json};

    use crate::driver::Interrupts;
    use crate::failure::Failure;
    use crate::output::Format;

    let read = |path: &PathBuf| {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|e| Failure::usage(format!("the scenario {shown} cannot be read: {e}")))?;
        Scenario::from_toml(&text)
            .map_err(|e| Failure::usage(format!("{shown}: {e}")).hint("its form is in docs/sandbox.md"))
    };
    let SandboxArgs { listen, speed, seed, latency, fleet, .. } = *args;
    let scenario = args.scenario.as_ref().map(read).transpose()?;
    let options = Options { listen, scenario, speed, seed, latency, fleet, ..Options::default() };
    let mut interrupts = Interrupts::new();
    let sandbox = Sandbox::bind(options)
        .await
        .map_err(|e| Failure::usage(format!("the sandbox cannot listen on {listen}: {e}")))?;
    let exports = sandbox.exports();
    let text = match context.global.output {
        Format::Json => {
            let exports: serde_json::Map<String, Value> = exports.into_iter().map(|(k, v)| (k, json!(v))).collect();
            json!({ "schema": "mlroll/sandbox/1", "url": sandbox.url(), "exports": exports }).to_string()
        }
        Format::Text => exports.iter().map(|(name, value)| format!("export {name}={value}\n")).collect(),
    };
    context.printer.data(&text).map_err(|e| Ended::Unsaid(ExitStatus::Success, e))?;
    context.printer.say(&format!("serving on {} until stopped", sandbox.url()));
    let told = async {
        interrupts.next().await;
    };
    sandbox.serve(told).await;
    Ok(ExitStatus::Success)
}
