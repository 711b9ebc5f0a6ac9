//! `mlroll promote`

use std::path::Path;

use clap::Args;
use mlroll_backend::{ModelStage, RevisionId, Weight};
use toml::Spanned;

use super::canary::{has_gates, leaving, settle_timeout};
use super::watched::{Past, check_now, only, state_of};
use super::{Act, Context, Ended, act, block_on};
use crate::cli::revision;
use crate::config::{Selected, Service, Watching, select};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::judge::panel::Finding;
use crate::judge::verdict::Verdict;
use crate::output::Progress;
use crate::rollout::Intent;

/// Give the candidate all traffic and make it stable
///
/// Without `--force` the evidence gathered since the last shift must pass the gates, and the candidate must have as many
/// instances as stable, where the provider counts them (SageMaker).
#[derive(Args, Debug)]
pub struct PromoteArgs {
    /// Services of mlroll.toml; may be left out when there is only one
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Skip the gates, and promote a candidate with fewer instances than stable
    #[arg(long)]
    pub force: bool,
    /// Wait until the gates pass or fail, for as long as a bake takes, or `--timeout`
    #[arg(long, conflicts_with = "force")]
    pub wait: bool,
    /// The candidate, where it was not mlroll that put it in flight
    #[arg(long, value_name = "REV", value_parser = revision)]
    pub candidate: Option<RevisionId>,
    /// Return when the shift is accepted, not when it is live
    #[arg(long)]
    pub no_wait: bool,
}

/// Runs the verb.
///
/// # Errors
/// The arguments or the file are wrong, or output cannot be written.
pub fn run(args: &PromoteArgs, context: &Context) -> Result<ExitStatus, Ended> {
    let global = &context.global;
    let (selected, config) = select(global.config.as_deref(), &global.target, &args.services, false)?;
    let mut candidate = args.candidate.clone();
    if !args.force {
        if !selected.iter().any(|s| has_gates(config.as_ref(), s)) {
            let failure = Failure::usage("there are no gates, so nothing says that the candidate is good");
            return Err(failure.hint("to promote it all the same: `--force`").into());
        }
        let (selected, service) = only(&selected, config.as_ref())?;
        let (_, folder) = state_of(config.as_ref(), global.config.as_deref())?;
        let judged = evidence(args.wait, context, selected, service, &folder)?;
        if let Some(named) = candidate.filter(|named| *named != judged) {
            let other = Failure::usage(format!("another candidate is in flight: {judged}, asked for is {named}"));
            return Err(Failure { exit: ExitStatus::Conflict, kind: "conflict", ..other }
                .about(&selected.target)
                .into());
        }
        // Whoever is in flight by now: only who was judged is promoted.
        candidate = Some(judged);
    }
    let settle = settle_timeout(config.as_ref(), &selected);
    let promote = Act {
        verb: "promote",
        intent: Intent::Promote { candidate, forced: args.force },
        selected: &selected,
        unreadable: &[],
        settle,
        no_wait: args.no_wait,
        note: Some(if args.force { "not judged: --force" } else { "every critical gate passed" }),
        leave: leaving(config.as_ref(), &selected),
        stages: config.iter().flat_map(|config| &config.services).filter_map(stage_of).collect(),
    };
    act(context, &promote)
}

/// Who was judged, and is good enough: at once, or when there is enough to tell.
fn evidence(
    wait: bool,
    context: &Context,
    selected: &Selected,
    service: &Service,
    folder: &Path,
) -> Result<RevisionId, Ended> {
    let Context { global, printer, clock, .. } = context;
    // The share is of no matter here.
    let Watching { bake, look, .. } = Watching::canary(service, Weight::ZERO, None);
    let deadline = clock.deadline(global.timeout.unwrap_or(bake));
    loop {
        let (verdict, findings, judged) = match check_now(context, selected, service, folder, Past::SinceShift) {
            Ok(checked) => checked,
            // Who waits for evidence waits for the store too.
            Err(Ended::Failed(failure))
                if failure.exit == ExitStatus::Unreachable && wait && clock.left(deadline) > look =>
            {
                Progress::new(*printer, 1, false).waiting(&selected.target, &failure.message);
                block_on(clock.sleep(look))?;
                continue;
            }
            Err(ended) => return Err(ended),
        };
        if verdict == Verdict::Pass {
            return Ok(judged);
        }
        let failure = not_good_enough(verdict, &findings, selected);
        if !wait || verdict == Verdict::Fail || clock.left(deadline) <= look {
            return Err(failure.into());
        }
        Progress::new(*printer, 1, false).waiting(&selected.target, &failure.message);
        block_on(clock.sleep(look))?;
    }
}

fn stage_of((name, service): (&String, &Spanned<Service>)) -> Option<(String, ModelStage)> {
    Some((name.clone(), service.get_ref().model_stage.as_ref()?.told()))
}

/// Evidence that does not show the candidate to be good promotes nobody.
fn not_good_enough(verdict: Verdict, findings: &[Finding], selected: &Selected) -> Failure {
    let open = findings.iter().filter(|f| !f.advisory && f.verdict != Verdict::Pass);
    let open: Vec<String> = open
        .map(|f| format!("gate `{}` is {:.0} % on its way to pass: {}", f.gate, f.needed.pass * 100.0, f.reason))
        .collect();
    let what = if verdict == Verdict::Fail { "a gate fails" } else { "the evidence is not enough" };
    let held = Failure::usage(format!("{what}; {}", open.join("; ")));
    let failure = Failure { exit: ExitStatus::Held, kind: "held", ..held }.about(&selected.target);
    match verdict {
        Verdict::Fail => failure.hint("take it back: `mlroll rollback`"),
        Verdict::Inconclusive | Verdict::Pass => {
            failure.hint("try again when more has been seen, or wait for it: `mlroll promote --wait`")
        }
    }
}
