//! `mlroll shadow`

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use mlroll_backend::{Backend, MarkerState, RevisionId, Shadow, Weight};

use super::canary::{has_gates, settle_timeout};
use super::earlier::{beside_capacity, in_charge, in_use, unfinished};
use super::planned::{Planned, plan};
use super::watched::state_of;
use super::{Context, Ended, block_on, explain, new_id};
use crate::cli::{duration, percent, revision};
use crate::config::{Config, Selected, Watching, select};
use crate::driver::{Bench, Driver, Limits, Mirroring, Report, WatchedShadow};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::output::{Done, Format, Progress, announce, json, text};
use crate::registry;
use crate::rollout::Intent;
use crate::rollout::engine::{InvalidPlan, Plan, Terms};
use crate::wire::{Aside, Wire};

/// Mirror a share of the live traffic to a candidate, whose answers nobody sees
///
/// Where the provider can: Azure ML, 50 % at most, and SageMaker. With gates the candidate is watched; when one fails, or on an
/// interrupt, nothing is mirrored any more. When they pass it stays: on Azure ML `mlroll canary` then gives the candidate users
/// and ends the copies in one write, on SageMaker `mlroll shadow --off` comes first. `mlroll rollback` ends them, too. Copies are requests like others: the candidate's side effects are real.
#[derive(Args, Debug)]
pub struct ShadowArgs {
    /// The service of mlroll.toml; may be left out when there is only one
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// The share of the requests that is copied in percent, such as 10
    #[arg(long, value_name = "P", value_parser = percent, required_unless_present = "off")]
    pub pct: Option<Weight>,
    /// The revision on trial
    #[arg(long, value_name = "REV", value_parser = revision)]
    pub candidate: Option<RevisionId>,
    /// How long to watch the candidate; needs gates
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub bake: Option<Duration>,
    /// Do not judge, whatever gates are configured
    #[arg(long, conflicts_with = "bake")]
    pub no_gates: bool,
    /// Return when the change is accepted: nothing is watched or judged
    #[arg(long, conflicts_with = "bake")]
    pub no_wait: bool,
    /// End mirrored traffic, whoever it goes to
    #[arg(long, conflicts_with_all = ["pct", "candidate", "bake", "no_gates"])]
    pub off: bool,
}

/// Runs the verb.
///
/// # Errors
/// The arguments or the file are wrong, or output cannot be written.
pub fn run(args: &ShadowArgs, context: &Context) -> Result<ExitStatus, Ended> {
    let Context { global, env, printer, clock } = context;
    if args.pct == Some(Weight::ZERO) {
        return Err(Failure::usage("--pct 0: nothing would be mirrored")
            .hint("to end it: `mlroll shadow --off`")
            .into());
    }
    let (selected, config) = select(global.config.as_deref(), &global.target, &args.services, false)?;
    let [selected] = selected.as_slice() else {
        let many = selected.len();
        let failure = Failure::usage(format!("{many} targets are meant, and traffic is mirrored on one at a time"));
        return Err(failure.hint("one run each: `--target URI`").into());
    };
    let gated = has_gates(config.as_ref(), selected) && !args.no_gates && !args.no_wait && !args.off;
    if args.bake.is_some() && !gated {
        let failure = Failure::usage("`--bake` says how long gates watch, and there are none");
        return Err(failure.hint("leave it out: what is mirrored stays so until `mlroll shadow --off`").into());
    }
    let progress = Progress::new(*printer, 1, global.dry_run);
    let limits = Limits { accept: global.timeout.unwrap_or(super::ACCEPT), settle: None, no_wait: args.no_wait };
    let wire = Arc::new(Wire::new(global.dry_run, *printer).within(clock.reach()));
    let driver =
        Driver { clock: clock.clone(), wire: Arc::clone(&wire), limits, progress: &progress, id: new_id(clock) };
    let mut report = Report::blank(selected);
    let asked = Asked { args, context, selected, config: config.as_ref(), gated: gated && !global.dry_run };
    if let Err(failure) = block_on(asked.perform(&driver, &mut report))? {
        report.fail(failure);
    }
    match (args.off || report.failure.is_some(), gated) {
        (true, _) => {}
        (false, false) => report.notes.push("not judged".to_owned()),
        (false, true) if global.dry_run => {
            report
                .notes
                .push("these are the calls until it is mirrored; what the gates then see is not known".to_owned());
        }
        (false, true) => {}
    }
    progress.clear();
    wire.breach()?;
    report.calls = wire.count(&selected.target);
    let reports = [report];
    let done =
        Done { verb: "shadow", reason: global.reason.as_deref(), reports: &reports, unreadable: &[], shared: None };
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

/// The verb as it was typed.
struct Asked<'a> {
    args: &'a ShadowArgs,
    context: &'a Context,
    selected: &'a Selected,
    config: Option<&'a Config>,
    gated: bool,
}

impl Asked<'_> {
    async fn perform(&self, driver: &Driver<'_>, report: &mut Report) -> Result<(), Failure> {
        let Self { args, context, selected, config, gated } = self;
        let target = &selected.target;
        let backend = registry::backend(target.provider(), Arc::clone(&driver.wire) as _, driver.clock.reach())
            .map_err(|f| f.about(target))?;
        let backend = backend.as_ref();
        let granted = settle_timeout(*config, std::slice::from_ref(*selected)).unwrap_or(super::SETTLE);
        let mirroring = Mirroring::new(driver, backend, selected, context.global.timeout.unwrap_or(granted));
        mirroring.check(args.pct)?;
        let Some(share) = args.pct.filter(|_| !args.off) else {
            mirroring.off(report).await;
            return Ok(());
        };
        self.leave_to_others()?;
        let seen = mirroring.look(report).await?;
        // Who gets copies already is meant when nobody is named; what was rolled back may be looked at again, as no user
        // sees it.
        let at_it = seen.roles.shadow.as_ref().map(|shadow| shadow.revision.clone());
        let intent = Intent::Canary { share, candidate: args.candidate.clone().or(at_it), again: true };
        let intent = intent.for_provider(target.provider());
        if let Intent::Canary { candidate: Some(named), .. } = &intent
            && seen.roles.stable.as_ref() != Some(named)
        {
            mirroring.may_begin(named, &seen)?;
        }
        let (revision, watched) = if *gated {
            let watched = self.watched(driver, backend, &intent).await?;
            (watched.plan.terms().candidate.clone(), Some(watched))
        } else {
            let (step, now) = driver.first_step(backend, selected, &intent).await?;
            match step.map(|step| step.marker.state) {
                Some(MarkerState::Canary { candidate }) => (candidate, None),
                Some(MarkerState::Promoted | MarkerState::RolledBack { .. }) | None => {
                    return Err(Failure::conflict(format!("a canary is under way: {now}")).about(target));
                }
            }
        };
        mirroring.run(&Shadow { revision, share }, seen, watched, report).await;
        Ok(())
    }

    /// Refuses while a living process watches a run of this target, or one has capacity to set back, where the state folder can tell.
    fn leave_to_others(&self) -> Result<(), Failure> {
        let Self { context, selected, config, .. } = self;
        let Ok((state, _)) = state_of(*config, context.global.config.as_deref()) else { return Ok(()) };
        let open = unfinished(context, &state, selected)?;
        in_charge(&open, &state).map_err(|e| in_use(&e, &selected.target))?;
        beside_capacity(&open, &selected.target, false)
    }

    /// The gates, each asked once before anything is mirrored.
    async fn watched(
        &self,
        driver: &Driver<'_>,
        backend: &dyn Backend,
        intent: &Intent,
    ) -> Result<WatchedShadow, Failure> {
        let Self { args, context, selected, config, .. } = self;
        let Intent::Canary { share, candidate, again } = intent else {
            return Err(Failure::usage("nothing is to be mirrored"));
        };
        let (selected, service) = super::watched::only(std::slice::from_ref(*selected), *config)?;
        let watching = Watching::canary(service, *share, args.bake);
        if watching.bake.is_zero() {
            let failure = Failure::usage("a bake of no time at all judges nothing");
            return Err(failure.hint("to mirror without being judged: `--no-gates`"));
        }
        let (_, folder) = state_of(*config, context.global.config.as_deref())?;
        let missing = || Failure::usage("the service has gates, and no `metrics` that they could read");
        let tap = Arc::new(Aside::new(context.printer).within(driver.clock.reach()));
        let metrics = service.metrics.as_ref().ok_or_else(missing)?;
        let source = registry::metric_source(metrics, &service.gates, &folder, driver.clock.reach(), tap)?;
        let candidate = (candidate.clone(), *again);
        let Planned { plan, alone_since, .. } =
            plan(driver, backend, selected, service, Some(source.as_ref()), &watching, candidate).await?;
        let plan = copies(&plan).map_err(|e| Failure::usage(e.to_string()).about(&selected.target))?;
        let bench =
            Bench::prepare(source, &service.gates, &plan, &selected.target, alone_since, driver.clock.now()).await?;
        match bench.not_now() {
            Some(failure) => Err(failure),
            None => Ok(WatchedShadow { plan, bench }),
        }
    }
}

/// The same plan with the candidate's share of what both revisions get together.
fn copies(plan: &Plan) -> Result<Plan, InvalidPlan> {
    let terms = plan.terms();
    Plan::try_from(Terms { steps: terms.steps.iter().copied().map(among_both).collect(), ..terms.clone() })
}

/// Copies come on top of what stable gets.
fn among_both(copied: Weight) -> Weight {
    let part = f64::from(copied.basis_points()) / (1.0 + copied.fraction());
    Weight::from_basis_points(part.round().max(1.0) as u16).unwrap_or(copied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_come_on_top() {
        for (copied, part) in [(1, 1), (100, 99), (1_000, 909), (5_000, 3_333)] {
            let copied = Weight::from_basis_points(copied).unwrap();
            assert_eq!(among_both(copied).basis_points(), part, "{copied}");
        }
    }
}
