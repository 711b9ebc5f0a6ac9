//! `mlroll promote`

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;
use mlroll_backend::{ModelStage, RevisionId, Target, Weight};
use toml::Spanned;

use super::canary::{has_gates, leaving, settle_timeout};
use super::check::{Checked, Past, check_now};
use super::watched::{service_of, state_of};
use super::{Act, Context, Ended, act, block_on};
use crate::cli::revision;
use crate::config::{Selected, Service, Watching, select};
use crate::driver::Report;
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
    let (mut selected, config) = select(global.config.as_deref(), &global.target, &args.services, false)?;
    let (mut judged, mut done) = (BTreeMap::new(), Vec::new());
    if !args.force {
        if !selected.iter().any(|s| has_gates(config.as_ref(), s)) {
            let failure = Failure::usage("there are no gates, so nothing says that the candidate is good");
            return Err(failure.hint("to promote it all the same: `--force`").into());
        }
        let with_service = |selected| Ok((selected, service_of(selected, config.as_ref())?));
        let meant = selected.iter().map(with_service).collect::<Result<Vec<_>, Failure>>()?;
        let (_, folder) = state_of(config.as_ref(), global.config.as_deref())?;
        (judged, done) = evidence(args.wait, context, &meant, &folder)?;
        selected.retain(|one| judged.contains_key(&one.target));
        let other = |target: &Target| args.candidate.as_ref().filter(|named| judged.get(target) != Some(named));
        if let Some((target, named)) = selected.iter().find_map(|s| Some((&s.target, other(&s.target)?))) {
            let found = judged.get(target).map_or_else(|| "none".to_owned(), ToString::to_string);
            let other = Failure::usage(format!("another candidate is in flight: {found}, asked for is {named}"));
            return Err(Failure { exit: ExitStatus::Conflict, kind: "conflict", ..other }.about(target).into());
        }
    }
    let settle = settle_timeout(config.as_ref(), &selected);
    let promote = Act {
        verb: "promote",
        intent: Intent::Promote { candidate: args.candidate.clone(), forced: args.force },
        judged,
        selected: &selected,
        done,
        unreadable: &[],
        settle,
        no_wait: args.no_wait,
        note: Some(if args.force { "not judged: --force" } else { "every critical gate passed" }),
        leave: leaving(config.as_ref(), &selected),
        stages: config.iter().flat_map(|config| &config.services).filter_map(stage_of).collect(),
    };
    act(context, &promote)
}

/// Who was judged on each target, when all of them are good enough: at once, or when there is enough to tell; and the targets that an
/// earlier command was done with.
fn evidence(
    wait: bool,
    context: &Context,
    meant: &[(&Selected, &Service)],
    folder: &Path,
) -> Result<(BTreeMap<Target, RevisionId>, Vec<Report>), Ended> {
    let Context { global, printer, clock, .. } = context;
    // The share is of no matter here.
    let watching = |(_, service): &(&Selected, &Service)| Watching::canary(service, Weight::ZERO, None);
    let bake = meant.iter().map(|one| watching(one).bake).max().unwrap_or_default();
    let look = meant.iter().map(|one| watching(one).look).max().unwrap_or_default();
    let deadline = clock.deadline(global.timeout.unwrap_or(bake));
    let progress = Progress::new(*printer, meant.len(), false);
    loop {
        let (mut judged, mut done, mut none) = (BTreeMap::new(), Vec::new(), None);
        // What one waits for holds up all: they are looked at again together, so that none is promoted by what was.
        let mut is_waiting = false;
        for (selected, service) in meant {
            let late = clock.left(deadline) <= look;
            let failure = match check_now(context, selected, service, folder, Past::SinceShift) {
                Ok(Checked::Judged(Verdict::Pass, _, candidate)) => {
                    judged.insert(selected.target.clone(), candidate);
                    continue;
                }
                Ok(Checked::Promoted(seen)) => {
                    done.push(
                        Report::unchanged(selected, "no canary is in flight: the last one was promoted").seen(&seen),
                    );
                    none.get_or_insert(Checked::none_in_flight(&seen, &selected.target));
                    continue;
                }
                Ok(Checked::Judged(verdict, findings, _)) => {
                    let failure = not_good_enough(verdict, &findings, selected);
                    if !wait || verdict == Verdict::Fail || late {
                        return Err(failure.into());
                    }
                    failure
                }
                // Who waits for evidence waits for the store too.
                Err(Ended::Failed(failure)) if failure.exit == ExitStatus::Unreachable && wait && !late => *failure,
                Err(Ended::Failed(failure)) if meant.len() > 1 => return Err(failure.about(&selected.target).into()),
                Err(ended) => return Err(ended),
            };
            progress.waiting(&selected.target, &failure.message);
            is_waiting = true;
        }
        if !is_waiting {
            progress.clear();
            // Those that an earlier command got to are done; where all of them are, there is nothing to promote.
            return match none {
                Some(failure) if judged.is_empty() => Err(failure.into()),
                Some(_) | None => Ok((judged, done)),
            };
        }
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
    let what = match verdict {
        Verdict::Fail if open.is_empty() => "the candidate does not get its share of the traffic",
        Verdict::Fail => "a gate fails",
        Verdict::Inconclusive | Verdict::Pass => "the evidence is not enough",
    };
    let held = Failure::usage([&[what.to_owned()][..], &open].concat().join("; "));
    let failure = Failure { exit: ExitStatus::Held, kind: "held", ..held }.about(&selected.target);
    match verdict {
        Verdict::Fail => failure.hint("take it back: `mlroll rollback`"),
        Verdict::Inconclusive | Verdict::Pass => {
            failure.hint("try again when more has been seen, or wait for it: `mlroll promote --wait`")
        }
    }
}
