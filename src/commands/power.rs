//! `mlroll gate power`

use std::time::Duration;

use clap::Args;
use mlroll_backend::Weight;
use serde_json::{Value, json};

use super::plan::{positive, rate, times};
use super::watched::only;
use super::{Context, Ended};
use crate::cli::{duration, percent};
use crate::config::{Selected, Service, Watching, select};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::foresight::{Effort, FinalLook, Passing, Power, counting, passing, power, staked};
use crate::judge::design_effect::DesignEffect;
use crate::judge::forecast::{Load, Stakes};
use crate::judge::gate::Gate;
use crate::output::{Format, foresight};

/// Requests of one look at most: beyond, no count is exact.
const MOST_REQUESTS: f64 = 1e9;

/// Looks of one bake at most: with more, an answer in a second is of too few bakes.
const MOST_LOOKS: u64 = 20_000;

/// Regressions that are told beside the one asked for.
const LADDER: [f64; 6] = [1.25, 1.5, 2.0, 3.0, 5.0, 10.0];

/// What is simulated of the regression that was asked for: of 10,000 bakes the chance is good to half a point. All looks of all
/// gates together take about half a second.
const ASKED: Effort = Effort { bakes: 10_000, looks: 5_000_000 };

/// What is simulated with nothing wrong.
const HEALTHY: Effort = Effort { bakes: 10_000, looks: 2_000_000 };

/// What is simulated of a candidate that passes, with both kinds of evidence: most bakes end early.
const PASSING: Effort = Effort { bakes: 10_000, looks: 600_000 };

/// And of each step of the ladder.
const STEP: Effort = Effort { bakes: 2_000, looks: 700_000 };

/// Tell how surely and how soon a gate fails a candidate that is worse
///
/// And how surely and how soon it passes one as good as stable. By simulated bakes (the same seed gives the same answer), and by
/// formula beside. Asks no cloud and no metric store.
#[derive(Args, Debug)]
pub(super) struct PowerArgs {
    /// The service of mlroll.toml whose gates are meant; may be left out when there is only one
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// The gate: a name, or one as JSON, such as '{"metric": "error_rate", "max": "1%"}', for which no file is needed
    /// [default: all of the service that count]
    #[arg(long, value_name = "GATE")]
    gate: Option<String>,
    /// Requests per second of both revisions together
    #[arg(long, value_name = "N", value_parser = positive)]
    rps: f64,
    /// The candidate's share in percent
    #[arg(long, value_name = "P", value_parser = percent)]
    pct: Weight,
    /// The share of stable's requests that are events, such as 0.5%
    #[arg(long, value_name = "SHARE", value_parser = rate)]
    base_rate: f64,
    /// How many times as bad as stable the candidate is
    #[arg(long, value_name = "N", value_parser = times, default_value = "2x")]
    regression: f64,
    /// How long it bakes, in place of what the service says
    #[arg(long, value_name = "TIME", value_parser = duration)]
    bake: Option<Duration>,
    /// How bursty events are: the factor by which their variance exceeds that of single ones
    #[arg(long, value_name = "D", value_parser = design_effect, default_value = "1")]
    design_effect: DesignEffect,
    /// What all chance is drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

pub(super) fn design_effect(text: &str) -> Result<DesignEffect, String> {
    let factor = text.parse().ok().filter(|factor| *factor <= 1_000.0);
    DesignEffect::new(factor.ok_or_else(|| format!("`{text}` is no design effect; allowed are 1 to 1000"))?)
}

/// The gates that are meant, each with its part of alpha, and what else the service says.
#[derive(Debug)]
pub(super) struct Meant {
    pub(super) gates: Vec<(Gate, f64)>,
    pub(super) service: Service,
    /// The target, and the folder that paths in the file are meant from; nothing for a gate that is given as JSON.
    pub(super) of: Option<(Selected, std::path::PathBuf)>,
}

/// Finds the gates that are meant; with `counted` those that count events.
pub(super) fn meant(
    context: &Context,
    services: &[String],
    gate: Option<&str>,
    counted: bool,
) -> Result<Meant, Failure> {
    let refuse_uncounted = |gate: &Gate| if counted { refuse_uncounted(gate) } else { Ok(()) };
    if let Some(text) = gate.filter(|text| text.trim_start().starts_with('{')) {
        let gate: Gate = serde_json::from_str(text).map_err(|e| Failure::usage(format!("--gate: {e}")))?;
        refuse_uncounted(&gate)?;
        let alpha = gate.alpha().unwrap_or(0.01);
        return Ok(Meant { gates: vec![(gate, alpha)], service: Service::default(), of: None });
    }
    let global = &context.global;
    let (selected, config) = select(global.config.as_deref(), &global.target, services, false).map_err(|failure| {
        failure.hint("or give the gate itself: --gate '{\"metric\": \"error_rate\", \"max\": \"1%\"}'")
    })?;
    let (selected, service) = only(&selected, config.as_ref())?;
    let (_, folder) = super::watched::state_of(config.as_ref(), global.config.as_deref())?;
    let all = service.alpha.map_or(0.01, |share| share.0);
    let critical = || service.gates.iter().filter(|gate| gate.spends_alpha());
    let own: f64 = critical().filter_map(Gate::alpha).sum();
    let others = critical().filter(|gate| gate.alpha().is_none()).count().max(1) as f64;
    let part = |of: &Gate| if of.is_advisory() { all } else { of.alpha().unwrap_or((all - own) / others) };
    let named: Vec<&Gate> = service.gates.iter().filter(|of| gate.is_none_or(|name| of.name() == name)).collect();
    if let (Some(_), [only]) = (gate, named.as_slice()) {
        refuse_uncounted(only)?;
    }
    let gates: Vec<(Gate, f64)> =
        named.into_iter().filter(|of| !counted || counting(of).is_some()).map(|of| (of.clone(), part(of))).collect();
    if gates.is_empty() {
        let names: Vec<&str> = service.gates.iter().map(Gate::name).collect();
        let failure = Failure::usage(match gate {
            Some(name) => format!("the service has no gate `{}`; it has: {}", name.escape_debug(), names.join(", ")),
            None if counted => "the service has no gate that counts events".to_owned(),
            None => "the service has no gates".to_owned(),
        });
        return Err(failure.hint("give one as JSON: --gate '{\"metric\": \"error_rate\", \"max\": \"1%\"}'"));
    }
    Ok(Meant { gates, service: service.clone(), of: Some((selected.clone(), folder)) })
}

fn refuse_uncounted(gate: &Gate) -> Result<(), Failure> {
    match counting(gate) {
        Some(_) => Ok(()),
        None => Err(Failure::usage(format!(
            "gate `{}` compares values or whole histograms; power is of gates that count events",
            gate.name()
        ))
        .hint("what it does on values that there were: `mlroll gate backtest`")),
    }
}

/// Runs the verb.
pub(super) fn run(args: &PowerArgs, context: &Context) -> Result<ExitStatus, Ended> {
    if args.pct == Weight::ZERO {
        return Err(Failure::usage("--pct: without any traffic nothing is ever seen").into());
    }
    let meant = meant(context, &args.services, args.gate.as_deref(), true)?;
    let watching = Watching::canary(&meant.service, args.pct, args.bake);
    let look = watching.look.as_secs_f64();
    let looks = looks_of(&watching)?;
    let requests = args.rps * look;
    if requests > MOST_REQUESTS || looks > MOST_LOOKS {
        let failure =
            Failure::usage(format!("{requests} requests a look, {looks} looks: that is more than can be simulated"));
        return Err(failure.hint("a shorter bake, or shorter looks").into());
    }
    let load = Load { requests, share: args.pct.fraction(), base_rate: args.base_rate };
    let seconds = |look: Option<u64>| look.map(|n| watching.warm_up.as_secs_f64() + n as f64 * look_seconds(&watching));
    let gates = meant.gates.len().max(1) as u64;
    let share = |effort: Effort| Effort { looks: effort.looks / gates, ..effort };
    let told = |times: f64, found: &Power| -> Value {
        json!({
            "regression": times, "rate": found.rate, "chance": found.simulated.chance, "median_look": found.simulated.median_look,
            "median_seconds": seconds(found.simulated.median_look), "runs": found.runs,
            "standard_error": found.standard_error(),
            "formula": { "chance": found.formula.chance, "median_look": found.formula.median_look },
        })
    };
    let tell = |staked: (&Stakes, Option<FinalLook>), times: f64, effort: Effort| -> (Value, Power) {
        let rate = staked.0.worse(args.base_rate, times);
        let found = power(staked, &load, rate, looks, share(effort), args.seed);
        (told(times, &found), found)
    };
    // The exact test is taken at the end of each step of a rollout.
    let steps = meant.service.steps.as_ref();
    let steps = steps.map_or(1, |steps| steps.0.iter().filter(|share| **share != Weight::FULL).count().max(1) as u64);
    let terms = Passing { beta: watching.beta, least: min_looks_of(&watching) };
    let gates: Vec<Value> = meant
        .gates
        .iter()
        .filter_map(|(gate, alpha)| {
            let (stakes, exact) = staked(gate, *alpha, args.design_effect, steps)?;
            let both = (&stakes, exact);
            let (asked, power) = tell(both, args.regression, ASKED);
            let (healthy, _) = tell(both, 1.0, HEALTHY);
            let good = passing(both, terms, &load, args.base_rate, looks, share(PASSING), args.seed);
            let ladder: Vec<Value> = LADDER.iter().map(|times| tell(both, *times, STEP).0).collect();
            let seen = |rate: f64| {
                let runs = stakes
                    .requests_to_fail(&load, rate)
                    .is_some_and(|needed| needed <= load.candidate() * looks as f64);
                runs || exact.is_some_and(|exact| exact.chance(&load, rate, looks as f64) >= 0.5)
            };
            Some(json!({
                "gate": gate.name(), "alpha": stakes.alpha, "tolerated": stakes.tolerated(args.base_rate),
                "smallest": stakes.nearest(args.base_rate, seen), "asked": asked, "healthy": healthy,
                "passes": told(1.0, &good),
                "curve": power.curve, "ladder": ladder,
                "final_look": exact.is_some(), "final_alpha": exact.map(|exact| exact.level),
            }))
        })
        .collect();
    let document = json!({
        "schema": "mlroll/power/1", "requests_per_second": args.rps, "percent": args.pct, "base_rate": args.base_rate,
        "bake": watching.bake.as_secs(), "warm_up": watching.warm_up.as_secs(), "look": watching.look.as_secs(),
        "looks": looks, "min_looks": terms.least, "beta": terms.beta, "design_effect": args.design_effect, "seed": args.seed, "gates": gates,
    });
    let said = match context.global.output {
        Format::Json => document.to_string(),
        Format::Text => foresight::power(&document),
    };
    context.printer.data(&said).map_err(|e| Ended::Unsaid(ExitStatus::Success, e))?;
    Ok(ExitStatus::Success)
}

fn look_seconds(watching: &Watching) -> f64 {
    watching.look.as_secs_f64()
}

/// Looks of a bake; as [`Plan`](crate::rollout::engine::Plan) counts them.
pub(super) fn looks_of(watching: &Watching) -> Result<u64, Failure> {
    if watching.look.is_zero() || watching.warm_up >= watching.bake {
        return Err(Failure::usage("`warm_up` is shorter than the bake, and a look longer than nothing"));
    }
    Ok(looks_in(watching.bake, watching))
}

/// Looks before which it may not pass; likewise.
fn min_looks_of(watching: &Watching) -> u64 {
    looks_in(watching.min_bake, watching)
}

fn looks_in(time: Duration, watching: &Watching) -> u64 {
    let judged = time.saturating_sub(watching.warm_up).as_nanos();
    u64::try_from(judged.div_ceil(watching.look.as_nanos().max(1))).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A look takes some 35 ns without other work on the machine, and [`power`] takes the looks it may, whatever they show: that is
    /// what "in less than a second" hangs on.
    #[test]
    fn all_that_is_simulated_takes_half_a_second() {
        let looks = ASKED.looks + HEALTHY.looks + LADDER.len() as u64 * STEP.looks;
        assert!(looks * 35 + PASSING.looks * 70 <= 500_000_000, "{looks}");
        // Of the longest bakes the regression asked for is still told to 3 points, a false alarm to 1 (a chance of 1 %).
        let error =
            |effort: Effort, chance: f64| (chance * (1.0 - chance) * MOST_LOOKS as f64 / effort.looks as f64).sqrt();
        assert!(error(ASKED, 0.5) < 0.033 && error(HEALTHY, 0.01) < 0.01);
    }
}
