//! `mlroll rollout`

use std::borrow::Cow;
use std::time::Duration;

use clap::Args;
use mlroll_backend::{RevisionId, Weight};

use super::foresee::first_shifts;
use super::watched::{Begin, Run, Watched, service_of, state_of, watch};
use super::{Context, Ended};
use crate::cli::{duration, percent, revision};
use crate::config::{Service, Steps, Watching, select};
use crate::driver::OnInterrupt;
use crate::exit::ExitStatus;
use crate::failure::Failure;

/// Take a candidate through all steps of its service, judged by its gates
///
/// Each step must hold and pass; the last one, 100 %, is the promotion. A candidate that fails is rolled back. An
/// unfinished rollout of the same target is gone on with. Several targets are watched side by side, wave by wave. With
/// `--no-gates` each step holds for its whole bake, and nothing is judged.
#[derive(Args, Debug)]
pub struct RolloutArgs {
    /// Services of mlroll.toml; may be left out when there is only one
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// The revision on trial
    #[arg(long, value_name = "REV", value_parser = revision)]
    pub candidate: Option<RevisionId>,
    /// Try a revision again that was rolled back
    #[arg(long, requires = "candidate")]
    pub again: bool,
    /// The candidate's shares, rising to 100 %, in place of those of the service; such as 10%,50%,100%
    #[arg(long, value_name = "P,P,...", value_parser = percent, value_delimiter = ',')]
    pub steps: Option<Vec<Weight>>,
    /// How long each step must hold, in place of what the service says
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub bake: Option<Duration>,
    /// Do not judge, whatever gates are configured: hold each step for its bake, and promote
    #[arg(long)]
    pub no_gates: bool,
    /// What an interrupt does
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    pub on_interrupt: OnInterrupt,
}

/// Runs the verb.
///
/// # Errors
/// The arguments or the file are wrong, the run cannot begin, or output cannot be written.
pub fn run(args: &RolloutArgs, context: &Context) -> Result<ExitStatus, Ended> {
    let global = &context.global;
    let (selected, config) = select(global.config.as_deref(), &global.target, &args.services, false)?;
    let (state, folder) = state_of(config.as_ref(), global.config.as_deref())?;
    let steps = args.steps.clone().map(Steps::try_from).transpose();
    let steps = steps.map_err(|e| Failure::usage(format!("--steps: {e}")))?.map(|steps| steps.0);
    let run = |selected| -> Result<Run<'_>, Failure> {
        let service = match service_of(selected, config.as_ref()) {
            // Without gates, what a service says is not needed.
            Err(_) if args.no_gates && selected.service.is_none() => Cow::Owned(Service::default()),
            found => Cow::Borrowed(found?),
        };
        let watching = watching(args, &service, steps.clone())?;
        let begin = Begin::New { watching, candidate: args.candidate.clone(), again: args.again, go_on: true };
        Ok(Run { selected, service, begin })
    };
    let runs = selected.iter().map(run).collect::<Result<Vec<_>, _>>()?;
    let (verb, on_interrupt, summary) = ("rollout", args.on_interrupt, None);
    let watched = Watched { verb, state, folder, on_interrupt, summary, runs, refused: Vec::new() };
    if global.dry_run { first_shifts(context, &watched) } else { watch(context, watched) }
}

fn watching(args: &RolloutArgs, service: &Service, steps: Option<Vec<Weight>>) -> Result<Watching, Failure> {
    if service.gates.is_empty() && !args.no_gates {
        let failure = Failure::usage("the service has no gates, so nothing would judge the candidate");
        return Err(failure.hint("add [[services.NAME.gates]], or go without being judged: `--no-gates`"));
    }
    let watching = Watching::rollout(service, steps, args.bake).ok_or_else(|| {
        let failure = Failure::usage("nothing says what shares the candidate gets: the service has no `steps`");
        failure.hint("such as steps = [\"1%\", \"10%\", \"50%\", \"100%\"], or --steps 10%,50%,100%")
    })?;
    Ok(if args.no_gates { watching.without_gates() } else { watching })
}
