//! `mlroll sandbox`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use mlroll_sandbox::{Options, Sandbox, Scenario};
use serde_json::{Value, json};

use super::{Context, Ended, block_on};
use crate::cli::duration;
use crate::driver::Interrupts;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::output::Format;

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
    /// How many of its seconds pass in one of ours [default: the scenario's, or 1]
    #[arg(long, value_name = "N", value_parser = speed)]
    pub speed: Option<f64>,
    /// What all chance is drawn from [default: the scenario's]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// How long each answer takes
    #[arg(long, default_value = "0s", value_name = "TIME", value_parser = duration)]
    pub latency: Duration,
    /// Add this many Lambda functions, fraud-0001 and so on
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub fleet: u32,
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
pub fn run(args: &SandboxArgs, context: &Context) -> Result<ExitStatus, Ended> {
    let scenario = match &args.scenario {
        Some(path) => Some(read(path)?),
        None => None,
    };
    let mut options = Options::new(scenario.unwrap_or_else(Scenario::default_world));
    options.listen = args.listen;
    options.speed = args.speed.or(options.speed);
    options.seed = args.seed.or(options.seed);
    options.latency = args.latency;
    options.fleet = args.fleet;
    block_on(async {
        let sandbox = Sandbox::bind(options).await.map_err(|e| Failure::usage(e.to_string()))?;
        let exports = sandbox.exports();
        let text = match context.global.output {
            Format::Json => {
                let exports: serde_json::Map<String, Value> = exports.into_iter().map(|(k, v)| (k, json!(v))).collect();
                json!({ "schema": "mlroll/sandbox/1", "url": sandbox.url(), "exports": exports }).to_string()
            }
            Format::Text => {
                exports.iter().map(|(name, value)| format!("export {name}={value}\n")).collect()
            }
        };
        context.printer.data(&text).map_err(|e| Ended::Unsaid(ExitStatus::Success, e))?;
        context.printer.say(&format!("serving on {} until stopped", sandbox.url()));
        let mut interrupts = Interrupts::new();
        sandbox.serve(async { drop(interrupts.next().await) }).await;
        Ok(ExitStatus::Success)
    })?
}

fn read(path: &PathBuf) -> Result<Scenario, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Failure::usage(format!("the scenario {} cannot be read: {e}", path.display())))?;
    text.parse().map_err(|e| Failure::usage(format!("{}: {e}", path.display())).hint("its form is in docs/sandbox.md"))
}
