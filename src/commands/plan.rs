//! `mlroll plan`

use std::time::Duration;

use clap::Args;
use mlroll_backend::{Call, RevisionId, Weight};
use serde_json::{Value, json};

use super::foresee::{Blocked, Foreseen, Wanted, foresee, seconds};
use super::watched::{only, state_of};
use super::{Context, Ended};
use crate::cli::{duration, percent, revision};
use crate::config::{Service, Steps, Watching, select};
use crate::driver::{Bill, Measured, Rehearsal};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::foresight::{Gated, Outlook, Traffic, counting, staked};
use crate::judge::design_effect::DesignEffect;
use crate::judge::gate::{Gate, share};
use crate::output::{Format, foresight, json};

/// Tell what a rollout will do, how long it takes, and what its gates can and cannot see; change nothing
///
/// Reads the target and the metric store as a run would, and makes each write up to the wire, where it stops: the calls that
/// are printed are those that the run makes. Traffic and base rates are those of the windows before now, unless they are given.
#[derive(Args, Debug)]
pub struct PlanArgs {
    /// The service of mlroll.toml; may be left out when there is only one
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Plan a canary at this share instead of a rollout
    #[arg(long, value_name = "P", value_parser = percent, conflicts_with = "steps")]
    pub pct: Option<Weight>,
    /// The revision on trial
    #[arg(long, value_name = "REV", value_parser = revision)]
    pub candidate: Option<RevisionId>,
    /// Plan with a revision that was rolled back
    #[arg(long, requires = "candidate")]
    pub again: bool,
    /// The candidate's shares, rising to 100 %, in place of those of the service
    #[arg(long, value_name = "P,P,...", value_parser = percent, value_delimiter = ',')]
    pub steps: Option<Vec<Weight>>,
    /// How long each step must hold, in place of what the service says
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub bake: Option<Duration>,
    /// Plan a run that is not judged
    #[arg(long)]
    pub no_gates: bool,
    /// Requests per second of both revisions together, in place of what the store tells
    #[arg(long, value_name = "N", value_parser = positive)]
    pub rps: Option<f64>,
    /// The share of stable's requests that are events, such as 0.5%, in place of what the store tells
    #[arg(long, value_name = "SHARE", value_parser = rate)]
    pub base_rate: Option<f64>,
    /// The regression to tell of, as times stable's rate, such as 2x; else twice what each gate tolerates
    #[arg(long, value_name = "N", value_parser = times)]
    pub regression: Option<f64>,
}

/// A number above 0 for a flag.
pub(super) fn positive(text: &str) -> Result<f64, String> {
    let allowed = || format!("`{text}` is not a number from 0.000001 to 10000000, such as 120");
    let value: f64 = text.parse().map_err(|_| allowed())?;
    if (1e-6..=1e7).contains(&value) { Ok(value) } else { Err(allowed()) }
}

/// A share for a flag.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let rate = share(text).filter(|rate| (0.0..=1.0).contains(rate));
    rate.ok_or_else(|| format!("`{text}` is no share; allowed are such as `1%` or `0.01`"))
}

/// A factor for a flag.
pub(super) fn times(text: &str) -> Result<f64, String> {
    let factor: Option<f64> = text.strip_suffix('x').unwrap_or(text).trim().parse().ok();
    factor
        .filter(|factor| (1.0..=1e6).contains(factor))
        .ok_or_else(|| format!("`{text}` is no factor; allowed are 1x and above, such as `2x` or `1.5x`"))
}

/// Runs the verb.
///
/// # Errors
/// The arguments or the file are wrong, what a run would need to begin cannot be read, or output cannot be written.
pub fn run(args: &PlanArgs, context: &Context) -> Result<ExitStatus, Ended> {
    let global = &context.global;
    let (selected, config) = select(global.config.as_deref(), &global.target, &args.services, false)?;
    let nothing_said = Service::default();
    let (selected, service) = match selected.as_slice() {
        [one] if args.no_gates && one.service.is_none() => (one, &nothing_said),
        meant => only(meant, config.as_ref())?,
    };
    if service.gates.is_empty() && !args.no_gates {
        let failure = Failure::usage("the service has no gates, so nothing would judge the candidate");
        return Err(failure.hint("add [[services.NAME.gates]], or plan without being judged: `--no-gates`").into());
    }
    let watching = watching(args, service)?;
    let (state, folder) = state_of(config.as_ref(), global.config.as_deref())?;
    let candidate = (args.candidate.clone(), args.again);
    let wanted = Wanted { selected, service, state: &state, folder: &folder, watching: &watching, candidate };
    let measures = watching.judged && (args.rps.is_none() || args.base_rate.is_none());
    let foreseen = foresee(context, &wanted, measures)?;
    let gates = if watching.judged { service.gates.as_slice() } else { &[] };
    let expected = Expected::of(args, &foreseen, gates);
    let document = document(&wanted, &foreseen, &expected);
    let said = match global.output {
        Format::Json => document.to_string(),
        Format::Text => foresight::plan(&document),
    };
    context.printer.data(&said).map_err(|e| Ended::Unsaid(ExitStatus::Success, e))?;
    Ok(ExitStatus::Success)
}

fn watching(args: &PlanArgs, service: &Service) -> Result<Watching, Failure> {
    let watching = match args.pct {
        Some(share) if share == Weight::ZERO || share == Weight::FULL => {
            return Err(Failure::usage(format!("a canary of {share} is no canary")));
        }
        Some(share) => Watching::canary(service, share, args.bake),
        None => {
            let steps = args.steps.clone().map(Steps::try_from).transpose();
            let steps = steps.map_err(|e| Failure::usage(format!("--steps: {e}")))?.map(|steps| steps.0);
            Watching::rollout(service, steps, args.bake).ok_or_else(|| {
                let failure = Failure::usage("nothing says what shares the candidate gets: the service has no `steps`");
                failure.hint("such as --steps 10%,50%,100%, or a canary: --pct P")
            })?
        }
    };
    Ok(if args.no_gates { watching.without_gates() } else { watching })
}

/// What the gates are expected to see, and by what numbers.
struct Expected {
    traffic: Option<Traffic>,
    /// Of each gate: its part of alpha, base rate and design effect, as far as they are known.
    gates: Vec<Value>,
    outlook: Option<Outlook>,
    /// What is to be known of the numbers.
    caveats: Vec<String>,
    /// What is missing for more.
    missing: Vec<String>,
}

impl Expected {
    fn of(args: &PlanArgs, foreseen: &Foreseen, gates: &[Gate]) -> Self {
        let terms = foreseen.plan.terms();
        let stable = foreseen.seen.split.as_ref().map_or(1.0, |split| split.weight_of(&terms.stable).fraction());
        let measured = |at: usize| foreseen.measured.gates.get(at).cloned().unwrap_or_default();
        // Visits, or whatever a gate counts by queries of its own, are no requests.
        let of_users = gates.iter().enumerate().filter(|(_, gate)| gate.ratio().is_none());
        let requests = of_users.filter_map(|(at, _)| measured(at).requests).find(|requests| *requests > 0.0);
        let per_second = requests.map(|requests| requests / terms.look.as_secs_f64() / stable.max(1e-4));
        let traffic = args.rps.or(per_second).map(|requests_per_second| Traffic { requests_per_second });
        let own: f64 = gates.iter().filter(|gate| gate.spends_alpha()).filter_map(Gate::alpha).sum();
        let sharing = gates.iter().filter(|gate| gate.spends_alpha() && gate.alpha().is_none()).count().max(1) as f64;
        let steps = terms.steps.iter().filter(|share| **share != Weight::FULL).count() as u64;
        let (mut counted, mut said, mut caveats, mut missing) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (at, gate) in gates.iter().enumerate() {
            let Measured { prelude, open, windows, base_rate, unusable, .. } = measured(at);
            let is_rate = matches!(gate.metric(), Some("error_rate" | "availability"));
            let base_rate = args.base_rate.filter(|_| is_rate).or(base_rate);
            // Nobody measured it where all numbers are given: then events are taken as independent.
            let effect =
                if windows == 0 && args.base_rate.is_some() { Some(DesignEffect::NONE) } else { prelude.effect };
            let effect = effect.unwrap_or(DesignEffect::UNKNOWN);
            let alpha = match gate.alarms() {
                Some(_) => 0.0,
                None => gate.alpha().unwrap_or((terms.alpha - own) / sharing),
            };
            let name = gate.name();
            caveats.extend(prelude.caveat.map(|caveat| format!("what `{name}` judges is {caveat}")));
            said.push(json!({
                "gate": name, "advisory": gate.is_advisory(), "alpha": alpha, "base_rate": base_rate,
                "design_effect": effect.factor(), "windows": windows, "counts": counting(gate).is_some(),
                "caveat": prelude.caveat,
            }));
            caveats
                .extend(unusable.map(|found| format!("nothing of stable's past could be judged by `{name}`: {found}")));
            match (counting(gate), base_rate) {
                _ if open => missing.push(format!(
                    "what becomes of `{name}`: an alarm of it is open, and no run begins before it closes"
                )),
                _ if gate.alarms().is_some() => {
                    missing.push(format!(
                        "what `{name}` will say: alarms are the store's own, and one that opens is a fail"
                    ));
                }
                _ if gate.ratio().is_some() => {
                    missing
                        .push(format!("what `{name}` can see: how much there is to count only its own queries tell"));
                }
                (None, _) => {
                    missing.push(format!(
                        "what `{name}` can see: it compares values, which no formula foretells; `mlroll gate backtest` tries it on the past"
                    ))
                }
                (Some(_), None) => {
                    missing
                        .push(format!("what `{name}` can see: the store has no rate of stable for it to start from"));
                }
                (Some(_), Some(base_rate)) if !gate.is_advisory() => {
                    counted.extend(staked(gate, alpha, effect, steps).map(|(stakes, final_look)| Gated {
                        name: name.to_owned(),
                        stakes,
                        final_look,
                        base_rate,
                    }));
                }
                (Some(_), Some(_)) => {}
            }
        }
        if traffic.is_none() && !gates.is_empty() {
            missing
                .push("how much traffic there is: the store has no requests of stable; say it: `--rps N`".to_owned());
        }
        let outlook = traffic.filter(|_| !gates.is_empty());
        let outlook = outlook.map(|traffic| Outlook::of(&foreseen.plan, traffic, &counted, args.regression));
        Self { traffic, gates: said, outlook, caveats, missing }
    }
}

fn document(wanted: &Wanted<'_>, foreseen: &Foreseen, expected: &Expected) -> Value {
    let terms = foreseen.plan.terms();
    let calls = |calls: &[Call]| calls.iter().map(json::call).collect::<Vec<_>>();
    let legs = foreseen.shortest.legs.iter().zip(&foreseen.longest.legs).enumerate();
    let steps: Vec<Value> = legs
        .map(|(at, (shortest, longest))| {
            let percent = shortest.to.weight_of(&terms.candidate);
            let outlook = expected.outlook.as_ref();
            let outlook = outlook.and_then(|outlook| outlook.steps.iter().find(|step| step.percent == percent));
            json!({
                "step": at + 1, "percent": percent, "calls": calls(&shortest.calls),
                "looks": { "least": shortest.looks, "most": longest.looks },
                "seconds": { "least": seconds(shortest.lasts), "most": seconds(longest.lasts) },
                "requests": outlook.map(|outlook| outlook.requests),
                "gates": outlook.map(|outlook| &outlook.gates),
            })
        })
        .collect();
    let mut unknown = foreseen.unknown();
    unknown.extend(expected.missing.iter().cloned());
    let notes: Vec<&String> = foreseen.notes.iter().chain(&expected.caveats).collect();
    let warnings = expected.outlook.as_ref().map(|outlook| outlook.warnings.clone()).unwrap_or_default();
    let looks = |run: &Rehearsal| run.legs.iter().map(|leg| u64::from(leg.looks)).sum();
    let metrics = foreseen.measured.bill.map(|Bill { opening, look }| {
        json!({
            "opening": opening, "look": look,
            "least": opening.plus(look, looks(&foreseen.shortest)), "most": opening.plus(look, looks(&foreseen.longest)),
        })
    });
    let blocked = foreseen.blocked().into_iter();
    let blocked: Vec<Value> = blocked
        .map(|Blocked { step, until, most }| json!({ "step": step, "until": until, "seconds": { "most": seconds(most) } }))
        .collect();
    json!({
        "schema": "mlroll/plan/1", "verb": wanted.watching.kind.verb(), "target": wanted.selected.target, "service": wanted.selected.service,
        "stable": terms.stable, "candidate": terms.candidate, "guard": foreseen.guard.name(),
        "judged": terms.judged, "alpha": terms.alpha, "beta": terms.beta, "horizon": foreseen.plan.horizon(),
        "bake": seconds(terms.bake), "warm_up": seconds(terms.warm_up), "look": seconds(terms.look),
        "settle_delay": seconds(terms.settle_delay),
        "seconds": { "least": seconds(foreseen.shortest.lasts), "most": seconds(foreseen.longest.lasts) },
        "traffic": expected.traffic, "gates": expected.gates, "metrics": metrics, "blocked": blocked,
        "capacity": foreseen.shortest.resized.as_ref().map(|resized| json!({
            "changes": resized.changes, "reads": calls(&resized.reads), "prepare": calls(&resized.prepare),
        })),
        "opening": calls(&foreseen.opening), "learn": calls(&foreseen.learning),
        "observe": calls(&foreseen.look), "observed": { "most": foreseen.longest.observed }, "steps": steps,
        "rollback": foreseen.back.as_ref().map(|leg| calls(&leg.calls)),
        "warnings": warnings, "notes": notes, "unknown": unknown,
    })
}
