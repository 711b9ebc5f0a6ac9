//! `mlroll canary`

use std::time::Duration;

use clap::Args;
use mlroll_backend::{RevisionId, Weight};

use super::{Act, Context, Ended, act};
use crate::cli::{duration, percent, revision};
use crate::config::{Config, Selected, select};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::rollout::Intent;

/// Shift a share of the traffic to a candidate
///
/// The candidate is the canary in flight, else the newest revision above stable, else the one named. A lower share is
/// allowed. Without gates the candidate is not judged: the shift is made, and the split stays.
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
    /// Return when the shift is accepted, not when it is live
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
    if !args.no_gates {
        refuse_gates(config.as_ref(), &selected, "--no-gates")?;
    }
    if args.bake.is_some() {
        let failure = Failure::usage("`--bake` says how long gates watch, and there are none");
        return Err(failure.hint("leave it out: the shift is made and stays").into());
    }
    let intent = Intent::Canary { share: args.pct, candidate: args.candidate.clone(), again: args.again };
    let settle = settle_timeout(config.as_ref(), &selected);
    let canary = Act {
        verb: "canary",
        intent,
        selected: &selected,
        unreadable: &[],
        settle,
        no_wait: args.no_wait,
        note: Some("not judged"),
    };
    act(context, &canary)
}

/// Gates that are configured but cannot be judged must not be passed over in silence.
pub(super) fn refuse_gates(config: Option<&Config>, selected: &[Selected], flag: &str) -> Result<(), Failure> {
    let gated =
        |service: &str| config.and_then(|c| c.services.get(service)).is_some_and(|s| !s.get_ref().gates.is_empty());
    let services = selected.iter().filter_map(|s| s.service.as_deref());
    match services.into_iter().find(|service| gated(service)) {
        Some(service) => Err(Failure::usage(format!(
            "service `{service}` has gates, and this version of mlroll cannot judge them yet"
        ))
        .hint(format!("to go on without being judged: `{flag}`"))),
        None => Ok(()),
    }
}

/// The longest settle time that the file grants to any of the services.
pub(super) fn settle_timeout(config: Option<&Config>, selected: &[Selected]) -> Option<Duration> {
    let service = |selected: &Selected| config?.services.get(selected.service.as_deref()?)?.get_ref().settle_timeout;
    selected.iter().filter_map(service).map(|span| span.0).max()
}
