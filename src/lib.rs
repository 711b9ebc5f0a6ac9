//! `mlroll` rolls out ML services safely across clouds.
//!
//! How a verb runs, from the outside in:
//!
//! - [`cli`] is the command line, [`commands`] has a file per verb: arguments in, one call, a report out
//! - [`config`] reads `mlroll.toml` and the environment, each once
//! - [`rollout`] decides, purely: an observation in, a decision out. No clock, no I/O
//! - [`judge`] judges, purely: counts and values in, a verdict out
//! - [`foresight`] tells, purely, what a run's gates can see before any traffic moves
//! - [`journal`] keeps what a rollout did, and takes its steps again
//! - [`explain`] tells from a journal why each decision fell, and judges once more
//! - [`driver`] looks, asks [`rollout`], acts and makes sure; [`clock`] is its only source of time
//! - [`registry`] knows which backends this build has; they implement the contract of `mlroll_backend`
//! - [`reach`] is how far requests may go: in scaled time not beyond this machine
//! - `demo` shows all of it on a sandbox in this process
//! - [`wire`] sees every request before it leaves: it counts, shows, and in a dry run stops
//! - [`output`] writes: data to stdout, talk to stderr
//! - [`failure`] and [`exit`] are the one door from errors to text, hints and status
//!
//! The promises behind the shape are in `docs/architecture.md`.

pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
#[cfg(feature = "sandbox")]
mod demo;
pub mod driver;
pub mod exit;
pub mod explain;
pub mod failure;
pub mod foresight;
pub mod journal;
pub mod judge;
pub mod output;
pub mod reach;
pub mod registry;
pub mod rollout;
pub mod wire;

use std::ffi::OsString;
use std::io::ErrorKind;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::clock::Clock;
use crate::commands::{Context, Ended, print_failure};
use crate::config::env::Env;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::output::{ColorChoice, Format, Printer, Talk, announce_failure, json};

/// Runs the program with these arguments, the first of which is its name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let env = Env::from_process();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return not_understood(&error, &arguments, &env).into(),
    };
    let Cli { global, command } = cli;
    let talk = match (global.quiet, global.verbose) {
        (true, _) => Talk::Quiet,
        (false, true) => Talk::Verbose,
        (false, false) => Talk::Normal,
    };
    let printer = Printer::new(talk, global.color, env.no_color, env.ci);
    let format = global.output;
    // Completions are the same at any time, and a sandbox has a time of its own.
    let timeless = matches!(command, Command::Completions(_) | Command::Demo(_) | Command::Sandbox(_));
    let scaled = env.clock.as_deref().filter(|_| !timeless);
    let clock = match Clock::of_sandbox(scaled) {
        Ok(clock) => clock,
        Err(failure) => return failed(&env, printer, format, &failure).into(),
    };
    let context = Context { global, env, printer, clock };
    let ended = match &command {
        Command::Canary(args) => commands::canary::run(args, &context),
        Command::Completions(args) => commands::completions::run(args, &context),
        Command::Demo(args) => commands::demo::run(args, &context),
        Command::Deploy(args) => commands::deploy::run(args, &context),
        Command::Experiment(args) => commands::experiment::run(args, &context),
        Command::Explain(args) => commands::explain::run(args, &context),
        Command::Gate(args) => commands::gate::run(args, &context),
        Command::History(args) => commands::history::run(args, &context),
        Command::Hold(args) => commands::hold::run(args, &context),
        Command::Plan(args) => commands::plan::run(args, &context),
        Command::Promote(args) => commands::promote::run(args, &context),
        Command::Resume(args) => commands::resume::run(args, &context),
        Command::Rollout(args) => commands::rollout::run(args, &context),
        Command::Rollback(args) => commands::rollback::run(args, &context),
        Command::Sandbox(args) => commands::sandbox::run(args, &context),
        Command::Shadow(args) => commands::shadow::run(args, &context),
        Command::Status(args) => commands::status::run(args, &context),
    };
    match ended {
        Ok(exit) => exit.into(),
        Err(Ended::Failed(failure)) => failed(&context.env, printer, format, &failure).into(),
        Err(Ended::Unsaid(exit, error)) => unsaid(printer, exit, &error).into(),
        Err(Ended::Broken(error)) => {
            printer.error(&format!("{error:#}"), &[], &[]);
            ExitStatus::Bug.into()
        }
    }
}

/// The whole run failed: to stderr for people, to stdout for scripts, to the runner for a job.
fn failed(env: &Env, printer: Printer, format: Format, failure: &Failure) -> ExitStatus {
    print_failure(printer, failure, None);
    let document = json::error(failure);
    announce_failure(env, printer, failure, &document);
    if format == Format::Json
        && let Err(error) = printer.data(&document.to_string())
    {
        return unsaid(printer, failure.exit, &error);
    }
    failure.exit
}

/// What was done is done, whoever reads of it: the status stands. A reader that is gone is not worth a word.
fn unsaid(printer: Printer, exit: ExitStatus, error: &std::io::Error) -> ExitStatus {
    if error.kind() == ErrorKind::BrokenPipe {
        return exit;
    }
    printer.error(&format!("the result cannot be written to stdout: {error}"), &[], &[]);
    ExitStatus::worst([exit, ExitStatus::Bug])
}

/// Help is data; anything else that was not understood is a usage error, in JSON when JSON was asked for.
fn not_understood(error: &clap::Error, arguments: &[OsString], env: &Env) -> ExitStatus {
    let printer = Printer::new(Talk::Normal, ColorChoice::Auto, env.no_color, env.ci);
    if !error.use_stderr() {
        return match error.print() {
            Ok(()) => ExitStatus::Success,
            Err(e) => unsaid(printer, ExitStatus::Success, &e),
        };
    }
    // Nobody is left to be told when stderr is gone.
    let _ = error.print();
    let rendered = error.render().to_string();
    let message = rendered.strip_prefix("error: ").unwrap_or(&rendered);
    let paragraphs = message.split("\n\n").take_while(|paragraph| !paragraph.trim_start().starts_with("Usage:"));
    let lines = paragraphs.flat_map(str::lines).map(str::trim).filter(|line| !line.is_empty());
    let failure = Failure::usage(lines.collect::<Vec<_>>().join("; ")).hint("see `mlroll --help`");
    let document = json::error(&failure);
    announce_failure(env, printer, &failure, &document);
    let text: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
    let json = text.iter().any(|a| a == "--output=json")
        || text.windows(2).any(|w| matches!(w, [a, b] if a == "--output" && b == "json"));
    if json && let Err(e) = printer.data(&document.to_string()) {
        return unsaid(printer, ExitStatus::Usage, &e);
    }
    ExitStatus::Usage
}
