//! `mlroll gate backtest`

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use mlroll_backend::{RevisionId, Sample, Weight};
use serde_json::{Value, json};

use super::export::read_file;
use super::past::{Asked, DAY, Lived, ask};
use super::plan::times;
use super::power::{looks_of, meant};
use super::{Context, Ended, block_on};
use crate::cli::{duration, percent, revision};
use crate::config::Watching;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::foresight::{Past, Record, backtest, counting, counts, staked, tried};
use crate::judge::counts::Counts;
use crate::judge::design_effect::DesignEffect;
use crate::judge::gate::Gate;
use crate::judge::panel::Prelude;
use crate::output::{Format, foresight};

/// Try gates on the past: how often they had failed with nothing wrong, and how soon they had caught a regression
///
/// The past is that of the revision in charge, in the service's metric store, or an export. Each of its requests is given to
/// an imagined candidate with the chance of its share; values, which cannot be divided, are compared with those of the day before,
/// and held against limits as they were. A regression is injected on top. Moves nothing.
#[derive(Args, Debug)]
pub(super) struct BacktestArgs {
    /// The service of mlroll.toml; may be left out when there is only one
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// The gate: a name, or with --file one as JSON [default: all of the service]
    #[arg(long, value_name = "GATE")]
    gate: Option<String>,
    /// Windows of a look each, in place of the store: CSV with columns `requests` and `events`, or `value`; or a JSON list of
    /// {"requests", "events"}, numbers, or {"buckets"} (null for a window without data); `-` reads standard input
    #[arg(long, value_name = "FILE", conflicts_with = "since")]
    file: Option<PathBuf>,
    /// How much of the past
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1d")]
    since: Duration,
    /// Whose past, in place of the revision in charge
    #[arg(long, value_name = "REV", value_parser = revision)]
    revision: Option<RevisionId>,
    /// The candidate's share in percent [default: the first step of the service, else 10]
    #[arg(long, value_name = "P", value_parser = percent)]
    pct: Option<Weight>,
    /// How many times as bad the injected regression is
    #[arg(long, value_name = "N", value_parser = times, default_value = "2x")]
    regression: f64,
    /// How long a step bakes, in place of what the service says
    #[arg(long, value_name = "TIME", value_parser = duration)]
    bake: Option<Duration>,
    /// What all chance is drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// Runs the verb.
pub(super) fn run(args: &BacktestArgs, context: &Context) -> Result<ExitStatus, Ended> {
    let inline = args.gate.as_deref().is_some_and(|gate| gate.trim_start().starts_with('{'));
    if inline && args.file.is_none() {
        return Err(Failure::usage("a gate given as JSON has no metric store: it needs `--file`").into());
    }
    let meant = meant(context, &args.services, args.gate.as_deref(), false)?;
    let first = meant.service.steps.as_ref().and_then(|steps| steps.0.first().copied());
    let share = args.pct.or(first).or_else(|| Weight::from_basis_points(1_000)).unwrap_or_default();
    if share == Weight::ZERO || share == Weight::FULL {
        return Err(Failure::usage("--pct: the past is divided between two, each with a share of it").into());
    }
    let watching = Watching::canary(&meant.service, share, args.bake);
    let looks = usize::try_from(looks_of(&watching)?).unwrap_or(usize::MAX);
    let (lived, of) = match &args.file {
        Some(file) => (read_file(file, &meant, watching.look, context.printer)?, json!(file.display().to_string())),
        None => {
            let asked = Asked { since: args.since, revision: args.revision.as_ref() };
            block_on(ask(&asked, context, &meant, &watching))??
        }
    };
    let beta = watching.beta;
    let steps = meant
        .service
        .steps
        .as_ref()
        .filter(|_| args.pct.is_none())
        .map_or(1, |steps| steps.0.iter().filter(|share| **share != Weight::FULL).count() as u64);
    let day = usize::try_from(DAY.as_nanos().div_ceil(watching.look.as_nanos().max(1))).unwrap_or(usize::MAX);
    let (mut gates, mut untried): (Vec<Value>, Vec<(String, String)>) = (Vec::new(), Vec::new());
    for Lived { gate, alpha, samples } in lived {
        let name = gate.name().to_owned();
        if counting(&gate).is_some() {
            let told = count(&gate, alpha, &samples, &Bakes { looks, share, steps, beta, args })?;
            gates.push(told);
            continue;
        }
        let record = Record {
            gate,
            levels: (alpha, beta),
            samples,
            looks,
            day,
            share: share.fraction(),
            regression: args.regression,
        };
        match tried(&record, args.seed) {
            Ok(found) => gates.push(json!({
                "gate": name, "alpha": alpha, "used_design_effect": Value::Null, "result": found
            })),
            Err(why) => untried.push((name, why)),
        }
    }
    if let ([], Some((name, why))) = (gates.as_slice(), untried.first()) {
        let failure = Failure::usage(format!("gate `{name}`: {why}"));
        return Err(failure.hint("more of the past: `--since`, a shorter `--bake`, or another gate").into());
    }
    let untried: Vec<Value> = untried.into_iter().map(|(gate, why)| json!({ "gate": gate, "why": why })).collect();
    let document = json!({
        "schema": "mlroll/backtest/1", "of": of, "percent": share, "regression": args.regression,
        "bake": watching.bake.as_secs(), "look": watching.look.as_secs(), "looks": looks, "seed": args.seed, "gates": gates,
        "untried": untried,
    });
    let said = match context.global.output {
        Format::Json => document.to_string(),
        Format::Text => foresight::backtest(&document),
    };
    context.printer.data(&said).map_err(|e| Ended::Unsaid(ExitStatus::Success, e))?;
    Ok(ExitStatus::Success)
}

/// Bakes that a counting gate is tried in.
struct Bakes<'a> {
    looks: usize,
    share: Weight,
    steps: u64,
    beta: f64,
    args: &'a BacktestArgs,
}

/// Tries a gate that counts events.
fn count(gate: &Gate, alpha: f64, samples: &[Sample], bakes: &Bakes<'_>) -> Result<Value, Failure> {
    let Bakes { looks, share, steps, beta, args } = bakes;
    let prelude = Prelude::of(gate, samples);
    let window = |sample: &Sample| match sample {
        // An export counts what the gate calls an event.
        Sample::Counts { requests, events, .. } => Counts::new(requests.get(), events.get()).ok(),
        Sample::Histogram(_) | Sample::NoData(_) | Sample::Strata(_) | Sample::Value(_) => {
            counts(gate, prelude, sample)
        }
    };
    let windows: Vec<Option<Counts>> = samples.iter().map(window).collect();
    // As a run would: measured on all there is, and 2 where that is too little.
    let answered: Vec<Counts> = windows.iter().copied().flatten().collect();
    let effect = DesignEffect::measure(&answered).unwrap_or(DesignEffect::UNKNOWN);
    let asked = windows.len();
    let regression = args.regression;
    let too_little = || {
        let failure = Failure::usage(format!(
            "gate `{}`: the past has {} windows with requests and events, of {asked}; a bake has {looks} looks",
            gate.name(),
            answered.len()
        ));
        failure.hint("more of the past: `--since`, or a shorter `--bake`")
    };
    let (stakes, final_look) = staked(gate, alpha, effect, *steps).ok_or_else(too_little)?;
    let past = Past { windows, looks: *looks, share: share.fraction(), final_look, regression };
    let found = backtest(&stakes, &past, *beta, args.seed).ok_or_else(too_little)?;
    Ok(json!({ "gate": gate.name(), "alpha": alpha, "used_design_effect": effect, "result": found }))
}
