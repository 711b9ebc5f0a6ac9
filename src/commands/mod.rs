//! One file per verb: its arguments (their comments are its `--help`) and `run`, which translates, calls the driver and
//! reports.

pub mod canary;
pub mod completions;
pub mod gate;
pub mod promote;
pub mod rollback;
pub mod status;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ulid::Ulid;

use crate::cli::Global;
use crate::clock::Clock;
use crate::config::Selected;
use crate::config::env::Env;
use crate::driver::{Driver, Limits, Report};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::output::{Format, Printer, Progress, announce, json, text};
use crate::rollout::{Intent, Outcome};
use crate::wire::Wire;

/// What every verb is given.
#[derive(Debug)]
pub struct Context {
    /// Flags of every verb.
    pub global: Global,
    /// The environment.
    pub env: Env,
    /// Where output goes.
    pub printer: Printer,
    /// The time.
    pub clock: Clock,
}

/// Why a verb ended early.
#[derive(Debug)]
pub enum Ended {
    /// It could not be done.
    Failed(Box<Failure>),
    /// Nobody reads its output any more, or it cannot be written.
    Output(io::Error),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// How long a provider may take to accept, unless `--timeout` says.
const ACCEPT: Duration = Duration::from_secs(5 * 60);

/// How long a split may take to be live, unless `--timeout` or the file says.
const SETTLE: Duration = Duration::from_secs(30 * 60);

/// Performs `intent` on the selected targets and reports.
pub(crate) fn act(
    context: &Context,
    verb: &'static str,
    intent: &Intent,
    selected: &[Selected],
    settle: Option<Duration>,
    no_wait: bool,
    notes: &[&str],
) -> Result<ExitStatus, Ended> {
    let Context { global, env, printer, clock } = context;
    name_overrides(context);
    let progress = Progress::new(*printer, selected.len());
    let limits = Limits {
        accept: global.timeout.unwrap_or(ACCEPT),
        settle: global.timeout.or(settle).unwrap_or(SETTLE),
        no_wait,
    };
    let wire = Arc::new(Wire::new(global.dry_run, *printer));
    let driver = Driver { clock: *clock, wire: Arc::clone(&wire), limits, progress: &progress, id: new_id(*clock) };
    let mut reports = block_on(driver.perform(intent, selected))??;
    progress.clear();
    for report in reports.iter_mut().filter(|r| !matches!(r.outcome, Outcome::Failed | Outcome::Unchanged)) {
        report.notes.extend(notes.iter().map(|note| (*note).to_owned()));
    }
    let exit = ExitStatus::worst(reports.iter().map(|r| r.exit));
    if global.dry_run {
        let calls = wire.calls();
        explain(*printer, &reports);
        match global.output {
            Format::Json => printer.data(&json::dry_run(verb, &calls, &reports).to_string())?,
            Format::Text => printer.data(&text::dry_run(&calls, &reports))?,
        }
        return Ok(exit);
    }
    let document = json::outcome(verb, global.reason.as_deref(), &reports);
    announce(env, *printer, verb, global.reason.as_deref(), &reports, &document);
    explain(*printer, &reports);
    match global.output {
        Format::Json => printer.data(&document.to_string())?,
        Format::Text => printer.data(&text::outcome(&reports))?,
    }
    Ok(exit)
}

/// Says on stderr what failed, where traffic is, and what to type next.
fn explain(printer: Printer, reports: &[Report]) {
    for report in reports {
        if let Some(failure) = &report.failure {
            print_failure(printer, failure, Some(report.traffic()));
        }
    }
}

/// Writes a failure to stderr.
pub fn print_failure(printer: Printer, failure: &Failure, traffic: Option<String>) {
    let message = match failure.operation {
        Some(operation) => format!("{operation}: {}", failure.message),
        None => failure.message.clone(),
    };
    let mut facts = Vec::new();
    facts.extend(failure.target.as_ref().map(|target| ("target", target.to_string())));
    facts.extend(traffic.map(|traffic| ("traffic", traffic)));
    printer.error(&message, &facts, &failure.hints);
}

/// An endpoint that is not the cloud's own is named, so that nobody takes a test for production.
pub(crate) fn name_overrides(context: &Context) {
    for (name, url) in &context.env.endpoints {
        context.printer.say(&format!("calls go to {url} ({name})"));
    }
}

/// Runs on this thread: start-up counts, and nothing here is limited by the processor.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure {
        exit: ExitStatus::Bug,
        kind: "unexpected",
        ..Failure::usage(format!("cannot start: {e}"))
    })?;
    Ok(runtime.block_on(work))
}

fn new_id(clock: Clock) -> String {
    let mut random = [0; 16];
    // Without randomness the time alone still tells one rollout from another.
    let _ = getrandom::fill(&mut random);
    let milliseconds = u64::try_from(clock.now().unix_milliseconds()).unwrap_or_default();
    Ulid::from_parts(milliseconds, u128::from_be_bytes(random)).to_string()
}
