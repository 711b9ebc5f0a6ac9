//! `mlroll resume`

use std::borrow::Cow;
use std::path::PathBuf;

use clap::Args;

use super::earlier::unfinished;
use super::experiment::{SUMMARY, check_place, held, told_of_another, with_metric};
use super::watched::{Begin, Run, Watched, service_of, state_of, unwatched, watch};
use super::{Context, Ended};
use crate::config::{Config, Selected, Service, select};
use crate::driver::{OnInterrupt, Report};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::journal::Folder;

/// Go on with a run that was held, interrupted or cut off
///
/// Its plan and its evidence are those of its journal; the first thing it does is to look at the target. Of a run that somebody
/// else's change ended it sets the capacity back, where one revision has all traffic, and touches no traffic.
#[derive(Args, Debug)]
pub struct ResumeArgs {
    /// Services of mlroll.toml; may be left out when there is only one
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// What an interrupt does
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    pub on_interrupt: OnInterrupt,
    /// Where to write what it came to, of an experiment
    #[arg(long, value_name = "FILE", default_value = SUMMARY)]
    pub summary: PathBuf,
}

/// Runs the verb.
///
/// # Errors
/// The arguments or the file are wrong, there is nothing to go on with, or output cannot be written.
pub fn run(args: &ResumeArgs, context: &Context) -> Result<ExitStatus, Ended> {
    let global = &context.global;
    if global.dry_run {
        return Err(Failure::usage("what a run does depends on what it sees: a dry run cannot tell").into());
    }
    check_place(&args.summary)?;
    let (selected, config) = select(global.config.as_deref(), &global.target, &args.services, false)?;
    let (state, folder) = state_of(config.as_ref(), global.config.as_deref())?;
    let (mut runs, mut refused, mut experiments) = (Vec::new(), Vec::new(), 0);
    for one in &selected {
        match unfinished_run(context, &state, one, config.as_ref()) {
            Ok(None) => {}
            Ok(Some(run)) => {
                experiments += usize::from(is_experiment(&run));
                runs.push(run);
            }
            // What is wrong with one keeps nobody else from being taken up.
            Err(failure) if selected.len() > 1 => refused.push(Report::refused(one, failure.about(&one.target))),
            Err(failure) => return Err(failure.into()),
        }
    }
    if let (true, [first, others @ ..]) = (runs.is_empty() && refused.is_empty(), selected.as_slice()) {
        let none = match others {
            [] => Failure::usage("no run of this target is unfinished").about(&first.target),
            [..] => Failure::usage("no run of any of these targets is unfinished"),
        };
        let failure = Failure { exit: ExitStatus::NotFound, kind: "not_found", ..none };
        return Err(failure.hint("begin one: `mlroll rollout`").into());
    }
    if experiments > 1 {
        let failure = Failure::usage(format!("{experiments} experiments are unfinished, and one summary is written"));
        return Err(failure.hint("one after the other: `--target URI`").into());
    }
    let summary = (experiments > 0).then(|| args.summary.clone());
    let state = if experiments > 0 { state.with_summary(&args.summary) } else { state };
    let before = summary.as_deref().and_then(held);
    let (verb, on_interrupt) = ("resume", args.on_interrupt);
    let ended = watch(context, Watched { verb, state, folder, on_interrupt, summary: summary.clone(), runs, refused });
    ended.map_err(|ended| match &summary {
        Some(summary) => told_of_another(ended, summary, before.as_deref()),
        None => ended,
    })
}

/// The run that is gone on with, and the service that watches it.
fn unfinished_run<'a>(
    context: &Context,
    state: &Folder,
    selected: &'a Selected,
    config: Option<&'a Config>,
) -> Result<Option<Run<'a>>, Failure> {
    let Some(read) = unfinished(context, state, selected)?.into_iter().next() else { return Ok(None) };
    let terms = read.header.plan.terms();
    let service = match service_of(selected, config) {
        // A run that is not judged needs no service; whether this is one, its journal says.
        Err(_) if !terms.judged || read.rollout.is_decided() => Cow::Owned(Service::default()),
        found => Cow::Borrowed(found.map_err(|failure| failure.hint(unwatched(&read, &selected.target)))?),
    };
    // What an experiment is about is a gate of its own, beside those of the service.
    let about = terms.experiment.as_ref().filter(|_| !read.rollout.is_decided());
    let extended = about.map(|about| with_metric(&service, &about.metric)).transpose()?;
    let service = extended.map_or(service, Cow::Owned);
    Ok(Some(Run { selected, service, begin: Begin::Resume(Box::new(read)) }))
}

fn is_experiment(run: &Run<'_>) -> bool {
    matches!(&run.begin, Begin::Resume(read) if read.header.plan.terms().experiment.is_some())
}
