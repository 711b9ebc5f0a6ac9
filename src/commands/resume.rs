//! `mlroll resume`

use std::path::PathBuf;

use clap::Args;

use super::earlier::unfinished;
use super::experiment::{SUMMARY, check_place, with_metric};
use super::watched::{Begin, Watched, only, state_of, watch};
use super::{Context, Ended};
use crate::config::{Service, select};
use crate::driver::OnInterrupt;
use crate::exit::ExitStatus;
use crate::failure::Failure;

/// Go on with a run that was held, interrupted or cut off
///
/// Its plan and its evidence are those of its journal; the first thing it does is to look at the target.
#[derive(Args, Debug)]
pub struct ResumeArgs {
    /// The service of mlroll.toml; may be left out when there is only one
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
    let nothing_said = Service::default();
    let (selected, service) = match selected.as_slice() {
        // A run that is not judged needs no service; whether this is one, its journal says.
        [one] if one.service.is_none() => (one, &nothing_said),
        meant => only(meant, config.as_ref())?,
    };
    let Some(read) = unfinished(context, &state, selected)?.into_iter().next() else {
        let none = Failure::usage("no run of this target is unfinished");
        let failure = Failure { exit: ExitStatus::NotFound, kind: "not_found", ..none }.about(&selected.target);
        return Err(failure.hint("begin one: `mlroll rollout`").into());
    };
    if read.header.plan.terms().judged && !read.rollout.is_decided() {
        only(std::slice::from_ref(selected), config.as_ref())?;
    }
    // What an experiment is about is a gate of its own, beside those of the service.
    let experiment = read.header.plan.terms().experiment.as_ref();
    let about = experiment.filter(|_| !read.rollout.is_decided());
    let extended = about.map(|about| with_metric(service, &about.metric)).transpose()?;
    let service = extended.as_ref().unwrap_or(service);
    let summary = experiment.map(|_| args.summary.clone());
    let begin = Begin::Resume(Box::new(read));
    let (verb, on_interrupt) = ("resume", args.on_interrupt);
    watch(context, Watched { verb, selected, service, state, folder, begin, on_interrupt, summary })
}
