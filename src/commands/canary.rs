//! `mlroll canary`

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::Args;
use mlroll_backend::{RevisionId, Target, Weight};

use super::earlier::refuse_beside_capacity;
use super::foresee::first_shifts;
use super::watched::{Begin, Run, Watched, service_of, state_of, watch};
use super::{Act, Context, Ended, act};
use crate::cli::{duration, percent, revision};
use crate::config::{Config, OnCapacity, Selected, Watching, select};
use crate::driver::{OnInterrupt, Report};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::rollout::Intent;

/// Shift a share of the traffic to a candidate
///
/// The candidate is the canary in flight, else the newest revision above stable, else the one named. A lower share is
/// allowed. With gates the candidate is watched: when they pass the split stays, when one fails stable gets everything back.
/// Without gates the shift is made, and not judged. On SageMaker a candidate without traffic first gets as many instances as
/// stable, and the bounds of its autoscaling.
#[derive(Args, Debug)]
pub struct CanaryArgs {
    /// Services of mlroll.toml; may be left out when there is only one
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// The candidate's share in percent, such as 10 or 0.5
    #[arg(long, value_name = "P", value_parser = percent)]
    pub pct: Weight,
    /// The revision on trial
    #[arg(long, value_name = "REV", value_parser = revision)]
    pub candidate: Option<RevisionId>,
    /// Try a revision again that was rolled back
    #[arg(long, requires = "candidate")]
    pub again: bool,
    /// How long to watch the candidate; needs gates
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub bake: Option<Duration>,
    /// Do not judge, whatever gates are configured
    #[arg(long)]
    pub no_gates: bool,
    /// What an interrupt does while the candidate is watched
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    pub on_interrupt: OnInterrupt,
    /// Leave the candidate the instances that it has
    #[arg(long)]
    pub leave_capacity: bool,
    /// Return when the shift is accepted: nothing is watched or judged
    #[arg(long)]
    pub no_wait: bool,
}

/// Runs the verb.
///
/// # Errors
/// The arguments or the file are wrong, or output cannot be written.
pub fn run(args: &CanaryArgs, context: &Context) -> Result<ExitStatus, Ended> {
    let global = &context.global;
    if args.pct == Weight::ZERO {
        return Err(Failure::usage("a canary of 0 % is no canary")
            .hint("to give stable everything: `mlroll rollback`")
            .into());
    }
    if args.pct == Weight::FULL {
        let failure = Failure::usage("a canary of 100 % is no canary");
        return Err(failure.hint("to give the candidate everything: `mlroll promote`").into());
    }
    let (selected, config) = select(global.config.as_deref(), &global.target, &args.services, false)?;
    let gated = selected.iter().any(|s| has_gates(config.as_ref(), s));
    if gated && !args.no_gates && !args.no_wait {
        let (state, folder) = state_of(config.as_ref(), global.config.as_deref())?;
        let run = |selected| -> Result<Run<'_>, Failure> {
            let service = service_of(selected, config.as_ref())?;
            if service.gates.is_empty() {
                let failure = Failure::usage("this one has no gates, and others have: nothing would judge it");
                return Err(failure.about(&selected.target).hint("apart, or none of them judged: `--no-gates`"));
            }
            let watching = Watching::canary(service, args.pct, args.bake);
            let watching = Watching { capacity: watching.capacity && !args.leave_capacity, ..watching };
            if watching.bake.is_zero() {
                let failure = Failure::usage("a bake of no time at all judges nothing");
                return Err(failure.hint("to shift without being judged: `--no-gates`"));
            }
            let begin = Begin::New { watching, candidate: args.candidate.clone(), again: args.again, go_on: false };
            Ok(Run { selected, service: Cow::Borrowed(service), begin })
        };
        let runs = selected.iter().map(run).collect::<Result<Vec<_>, _>>()?;
        let (verb, on_interrupt, summary) = ("canary", args.on_interrupt, None);
        let watched = Watched { verb, state, folder, on_interrupt, summary, runs, refused: Vec::new() };
        return if global.dry_run { first_shifts(context, &watched) } else { watch(context, watched) };
    }
    if args.bake.is_some() {
        let failure = Failure::usage("`--bake` says how long gates watch, and there are none");
        return Err(failure.hint("leave it out: the shift is made and stays").into());
    }
    let (allowed, refused) = beside_capacity(context, selected, config.as_ref())?;
    let selected = allowed;
    let intent = Intent::Canary { share: args.pct, candidate: args.candidate.clone(), again: args.again };
    let settle = settle_timeout(config.as_ref(), &selected);
    let leave = match args.leave_capacity {
        true => selected.iter().map(|selected| selected.target.clone()).collect(),
        false => leaving(config.as_ref(), &selected),
    };
    let canary = Act {
        verb: "canary",
        intent,
        judged: BTreeMap::new(),
        done: refused,
        selected: &selected,
        unreadable: &[],
        settle,
        no_wait: args.no_wait,
        note: Some("not judged"),
        leave,
        stages: BTreeMap::new(),
    };
    act(context, &canary)
}

/// Those that no run has capacity to set back on, and why the others are refused; one alone is refused at once.
fn beside_capacity(
    context: &Context,
    selected: Vec<Selected>,
    config: Option<&Config>,
) -> Result<(Vec<Selected>, Vec<Report>), Failure> {
    let Ok((state, _)) = state_of(config, context.global.config.as_deref()) else { return Ok((selected, Vec::new())) };
    let alone = selected.len() == 1;
    let (mut allowed, mut refused) = (Vec::new(), Vec::new());
    for one in selected {
        match refuse_beside_capacity(context, &state, &one, true) {
            Ok(()) => allowed.push(one),
            Err(failure) if alone => return Err(failure),
            Err(failure) => refused.push(Report::refused(&one, failure.about(&one.target))),
        }
    }
    Ok((allowed, refused))
}

/// Whether the service that lists the target has gates.
pub(super) fn has_gates(config: Option<&Config>, selected: &Selected) -> bool {
    let service = selected.service.as_deref().and_then(|name| config?.services.get(name));
    service.is_some_and(|service| !service.get_ref().gates.is_empty())
}

/// The targets of services with `capacity = "leave"`.
pub(super) fn leaving(config: Option<&Config>, selected: &[Selected]) -> BTreeSet<Target> {
    let capacity = |selected: &Selected| config?.services.get(selected.service.as_deref()?)?.get_ref().capacity;
    let leaves = |selected: &&Selected| capacity(selected) == Some(OnCapacity::Leave);
    selected.iter().filter(leaves).map(|selected| selected.target.clone()).collect()
}

/// The longest settle time that the file grants to any of the services.
pub(super) fn settle_timeout(config: Option<&Config>, selected: &[Selected]) -> Option<Duration> {
    let service = |selected: &Selected| config?.services.get(selected.service.as_deref()?)?.get_ref().settle_timeout;
    selected.iter().filter_map(service).map(|span| span.0).max()
}
