//! One file per verb: its arguments (their comments are its `--help`) and `run`, which translates, calls the driver and
//! reports.

mod backtest;
pub mod canary;
mod check;
pub mod completions;
pub mod demo;
pub mod deploy;
mod earlier;
pub mod experiment;
pub mod explain;
mod export;
mod foresee;
pub mod gate;
pub mod history;
pub mod hold;
mod live;
mod past;
pub mod plan;
mod planned;
mod power;
pub mod promote;
pub mod resume;
pub mod rollback;
pub mod rollout;
pub mod sandbox;
pub mod shadow;
pub mod status;
mod stores;
mod watched;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use mlroll_backend::{ModelStage, RevisionId, Target};
use ulid::Ulid;

use crate::cli::Global;
use crate::clock::Clock;
use crate::config::env::Env;
use crate::config::{Selected, Unreadable};
use crate::driver::{Driver, Limits, Report};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::output::{Done, Format, Printer, Progress, announce, json, text};
use crate::registry;
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
    /// It was done, with this status, but its result could not be written to stdout.
    Unsaid(ExitStatus, io::Error),
    /// The process itself cannot work.
    Broken(anyhow::Error),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

impl From<anyhow::Error> for Ended {
    fn from(error: anyhow::Error) -> Self {
        Self::Broken(error)
    }
}

/// How long a provider may take to accept, unless `--timeout` says.
const ACCEPT: Duration = Duration::from_secs(5 * 60);

/// How long a split may take to be live, unless `--timeout` or the file says.
const SETTLE: Duration = Duration::from_secs(30 * 60);

/// What a verb does, and to what.
#[derive(Debug)]
pub(crate) struct Act<'a> {
    pub(crate) verb: &'static str,
    pub(crate) intent: Intent,
    /// Whom the gates judged on each target: nobody else is promoted.
    pub(crate) judged: BTreeMap<Target, RevisionId>,
    pub(crate) selected: &'a [Selected],
    /// What was meant too, and is done already.
    pub(crate) done: Vec<Report>,
    /// What was meant too, but could not be read.
    pub(crate) unreadable: &'a [Unreadable],
    /// How long the file grants until a split is live.
    pub(crate) settle: Option<Duration>,
    pub(crate) no_wait: bool,
    /// What is to be known of whatever is shifted.
    pub(crate) note: Option<&'static str>,
    /// Targets whose candidates keep the capacity that they have.
    pub(crate) leave: BTreeSet<Target>,
    /// What a model registry is told of whom is promoted, by service.
    pub(crate) stages: BTreeMap<String, ModelStage>,
}

impl Act<'_> {
    fn intent_on(&self, target: &Target) -> Intent {
        match (&self.intent, self.judged.get(target)) {
            (Intent::Promote { forced, .. }, Some(judged)) => {
                Intent::Promote { candidate: Some(judged.clone()), forced: *forced }
            }
            (intent, _) => intent.clone(),
        }
    }
}

/// Performs it and reports.
pub(crate) fn act(context: &Context, act: &Act<'_>) -> Result<ExitStatus, Ended> {
    let Context { global, env, printer, clock } = context;
    let progress = Progress::new(*printer, act.selected.len(), global.dry_run);
    let settle = global.timeout.is_none().then(|| act.settle.unwrap_or(SETTLE));
    let limits = Limits { accept: global.timeout.unwrap_or(ACCEPT), settle, no_wait: act.no_wait };
    let wire = Arc::new(Wire::new(global.dry_run, *printer).within(clock.reach()));
    let driver =
        Driver { clock: clock.clone(), wire: Arc::clone(&wire), limits, progress: &progress, id: new_id(clock) };
    let mut reports = block_on(async {
        let meant: Vec<(Selected, Intent)> =
            act.selected.iter().map(|s| (s.clone(), act.intent_on(&s.target))).collect();
        // Those that were judged are promoted all, or none: what keeps one from it is found before the first write.
        let refused = if meant.len() > 1 && !act.judged.is_empty() { driver.refused(&meant).await } else { None };
        let mut reports = match refused {
            Some(reports) => reports,
            None => driver.perform(&meant, &act.leave).await,
        };
        for report in reports.iter_mut().filter(|report| report.outcome == Outcome::Promoted) {
            let stage = report.service.as_ref().and_then(|service| act.stages.get(service));
            if let Some(stage) = stage
                && let Ok(backend) = registry::backend(report.target.provider(), Arc::clone(&wire) as _, clock.reach())
            {
                driver.tell_stage(backend.as_ref(), stage, report).await;
            }
        }
        reports
    })?;
    progress.clear();
    wire.breach()?;
    for report in reports.iter_mut().filter(|r| !matches!(r.outcome, Outcome::Failed | Outcome::Unchanged)) {
        report.notes.extend(act.note.map(str::to_owned));
    }
    reports.extend(act.done.iter().cloned());
    let done = Done {
        verb: act.verb,
        reason: global.reason.as_deref(),
        reports: &reports,
        unreadable: act.unreadable,
        shared: None,
    };
    explain(*printer, &done);
    let text = match (global.dry_run, global.output) {
        (true, Format::Json) => json::dry_run(&done, &wire.calls()).to_string(),
        (true, Format::Text) => text::dry_run(&done, &wire.calls()),
        (false, output) => {
            let document = json::outcome(&done);
            announce(env, *printer, &done, &document);
            if output == Format::Json { document.to_string() } else { text::outcome(&done) }
        }
    };
    printer.data(&text).map_err(|e| Ended::Unsaid(done.exit(), e))?;
    Ok(done.exit())
}

/// Says on stderr what failed, where traffic is, and what to type next.
pub(super) fn explain(printer: Printer, done: &Done<'_>) {
    for report in done.reports {
        if let Some(failure) = &report.failure {
            print_failure(printer, failure, Some(report.traffic()));
        }
    }
    for unreadable in done.unreadable {
        print_failure(printer, &unreadable.failure, None);
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

/// Runs on this thread: start-up counts, and nothing here is limited by the processor.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.context("cannot start")?.block_on(work))
}

pub(super) fn new_id(clock: &Clock) -> String {
    let mut random = [0; 16];
    // Without randomness the time alone still tells one rollout from another.
    let _ = getrandom::fill(&mut random);
    let milliseconds = u64::try_from(clock.now().unix_milliseconds()).unwrap_or_default();
    Ulid::from_parts(milliseconds, u128::from_be_bytes(random)).to_string()
}
