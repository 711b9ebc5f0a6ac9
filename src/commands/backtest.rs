//! `mlroll gate backtest`

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use mlroll_backend::{Error, MetricSource, Query, RevisionId, Sample, Subject, Target, Weight, Why, Window};
use serde_json::{Value, json};

use super::plan::times;
use super::power::{Meant, looks_of, meant};
use super::{Context, Ended, block_on};
use crate::cli::{duration, percent, revision};
use crate::clock::Clock;
use crate::config::{Source, Watching};
use crate::driver::{query_of, time_is_up};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::foresight::{Past, backtest, counts, staked};
use crate::judge::counts::Counts;
use crate::judge::design_effect::DesignEffect;
use crate::judge::gate::Gate;
use crate::judge::panel::Prelude;
use crate::output::{Format, Progress, foresight};
use crate::registry;
use crate::wire::{Aside, Wire};

/// Windows that are asked for at once: a day of minutes.
const AT_ONCE: usize = 1_440;

/// Windows that are asked for at most: 60 days of minutes.
const MOST_WINDOWS: usize = 86_400;

/// How long a store that failed is left alone.
const AGAIN: Duration = Duration::from_secs(1);

/// Try gates on the past: how often they had failed with nothing wrong, and how soon they had caught a regression
///
/// The past is that of the revision in charge, in the service's metric store, or an export. Each of its requests is given to
/// an imagined candidate with the chance of its share; a regression is injected on top. Moves nothing.
#[derive(Args, Debug)]
pub(super) struct BacktestArgs {
    /// The service of mlroll.toml; may be left out when there is only one
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// The gate: a name, or with --file one as JSON [default: all of the service that count]
    #[arg(long, value_name = "GATE")]
    gate: Option<String>,
    /// Windows of a look each, in place of the store: CSV with columns `requests` and `events`, or a JSON list of
    /// {"requests", "events"} (null for a window without data); `-` reads standard input
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

/// One gate's windows, and what a run would have frozen before the first of them.
struct Lived {
    gate: Gate,
    alpha: f64,
    windows: Vec<Option<Counts>>,
}

/// Runs the verb.
pub(super) fn run(args: &BacktestArgs, context: &Context) -> Result<ExitStatus, Ended> {
    let inline = args.gate.as_deref().is_some_and(|gate| gate.trim_start().starts_with('{'));
    if inline && args.file.is_none() {
        return Err(Failure::usage("a gate given as JSON has no metric store: it needs `--file`").into());
    }
    let meant = meant(context, &args.services, args.gate.as_deref())?;
    let first = meant.service.steps.as_ref().and_then(|steps| steps.0.first().copied());
    let share = args.pct.or(first).or_else(|| Weight::from_basis_points(1_000)).unwrap_or_default();
    if share == Weight::ZERO || share == Weight::FULL {
        return Err(Failure::usage("--pct: the past is divided between two, each with a share of it").into());
    }
    let watching = Watching::canary(&meant.service, share, args.bake);
    let looks = usize::try_from(looks_of(&watching)?).unwrap_or(usize::MAX);
    let (lived, of) = match &args.file {
        Some(file) => (read_file(file, &meant)?, json!(file.display().to_string())),
        None => block_on(ask(args, context, &meant, &watching))??,
    };
    let beta = watching.beta;
    let steps = meant
        .service
        .steps
        .as_ref()
        .filter(|_| args.pct.is_none())
        .map_or(1, |steps| steps.0.iter().filter(|share| **share != Weight::FULL).count() as u64);
    let mut gates = Vec::new();
    for Lived { gate, alpha, windows } in lived {
        // As a run would: measured on all there is, and 2 where that is too little.
        let answered: Vec<Counts> = windows.iter().copied().flatten().collect();
        let effect = DesignEffect::measure(&answered).unwrap_or(DesignEffect::UNKNOWN);
        let asked = windows.len();
        let Some((stakes, final_look)) = staked(&gate, alpha, effect, steps) else { continue };
        let past = Past { windows, looks, share: share.fraction(), final_look, regression: args.regression };
        let Some(tried) = backtest(&stakes, &past, beta, args.seed) else {
            let failure = Failure::usage(format!(
                "gate `{}`: the past has {} windows with an answer, of {asked}; a bake has {looks} looks",
                gate.name(),
                answered.len()
            ));
            return Err(failure.hint("more of the past: `--since`, or a shorter `--bake`").into());
        };
        gates.push(json!({ "gate": gate.name(), "alpha": alpha, "used_design_effect": effect, "result": tried }));
    }
    let document = json!({
        "schema": "mlroll/backtest/1", "of": of, "percent": share, "regression": args.regression,
        "bake": watching.bake.as_secs(), "look": watching.look.as_secs(), "looks": looks, "seed": args.seed, "gates": gates,
    });
    let said = match context.global.output {
        Format::Json => document.to_string(),
        Format::Text => foresight::backtest(&document),
    };
    context.printer.data(&said).map_err(|e| Ended::Unsaid(ExitStatus::Success, e))?;
    Ok(ExitStatus::Success)
}

/// Asks the store for all windows of the past, many at a time.
async fn ask(
    args: &BacktestArgs,
    context: &Context,
    meant: &Meant,
    watching: &Watching,
) -> Result<(Vec<Lived>, Value), Failure> {
    let Context { printer, clock, global, .. } = context;
    let missing =
        || Failure::usage("the service has no `metrics` to read the past from").hint("or an export: `--file`");
    let Meant { gates, service, of } = meant;
    let ((selected, folder), metrics) = of.as_ref().zip(service.metrics.as_ref()).ok_or_else(missing)?;
    let (reach, target) = (clock.reach(), &selected.target);
    let own: Vec<Gate> = gates.iter().map(|(gate, _)| gate.clone()).collect();
    let source = registry::metric_source(metrics, &own, folder, reach, Arc::new(Aside::new(*printer).within(reach)))?;
    let revision = match &args.revision {
        Some(revision) => revision.clone(),
        None => {
            let wire = Arc::new(Wire::new(true, *printer).within(reach));
            let backend = registry::backend(target.provider(), Arc::clone(&wire) as _, reach)?;
            let deadline = clock.deadline(global.timeout.unwrap_or(super::ACCEPT));
            let seen = clock.by(deadline, backend.observe(target)).await;
            wire.breach()?;
            let seen = seen.unwrap_or_else(|_| Err(time_is_up())).map_err(|e| Failure::of(&e, target))?;
            let unclear = || {
                Failure::usage("the split does not tell who is stable").about(target).hint("say it: `--revision REV`")
            };
            seen.roles.stable.ok_or_else(unclear)?
        }
    };
    let of_gate = own.iter().map(query_of).collect::<Result<Vec<_>, _>>()?;
    // Gates that ask the same are answered by one question.
    let mut queries = of_gate.clone();
    queries.sort();
    queries.dedup();
    let subject = Subject::new(target.clone(), revision.clone());
    // Without it the store's own delay is taken.
    let _ = source.learn(std::slice::from_ref(&subject)).await;
    let late = queries.iter().map(|query| source.settle_delay(query, &subject)).max().unwrap_or_default();
    let now = clock.now();
    let back = |time: Duration| {
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        mlroll_backend::Timestamp::from_unix_seconds(now.unix_seconds().saturating_sub(seconds)).unwrap_or(now)
    };
    let windows = Window::within(back(args.since), back(late), watching.look)
        .map_err(|e| Failure::usage(format!("--since: {e}")))?;
    let windows: Vec<Window> = windows.take(MOST_WINDOWS + 1).collect();
    if windows.is_empty() || windows.len() > MOST_WINDOWS {
        let failure = Failure::usage(format!("--since: {} windows; allowed are 1 to {MOST_WINDOWS}", windows.len()));
        return Err(failure.hint("longer looks, or less of the past"));
    }
    let kept = kept_by_cloudwatch(watching.look);
    if metrics.source == Source::Cloudwatch && args.since > kept {
        printer.warn(&format!(
            "CloudWatch keeps windows of {} for {}: it has no data of older ones; `--since` of that, or a longer `look`",
            humantime::format_duration(watching.look),
            humantime::format_duration(kept)
        ));
    }
    // What cannot work fails once, and not in every window.
    if let Some(newest) = windows.last() {
        let asked = source.check(&queries, std::slice::from_ref(&subject), *newest).await;
        asked.map_err(|e| of_store(&e, target))?;
    }
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); queries.len()];
    let progress = Progress::new(*printer, 1, false);
    for chunk in windows.chunks(AT_ONCE) {
        progress.say(&format!("reading from {}", chunk.first().map(|w| w.start().to_string()).unwrap_or_default()));
        let read = read(source.as_ref(), &queries, &subject, chunk, clock).await.map_err(|e| of_store(&e, target))?;
        for (of, answers) in samples.iter_mut().zip(read.chunks(chunk.len())) {
            of.extend_from_slice(answers);
        }
    }
    progress.clear();
    let lived = gates.iter().zip(&of_gate).map(|((gate, alpha), query)| {
        let samples = queries.binary_search(query).ok().and_then(|at| samples.get(at)).map_or(&[][..], Vec::as_slice);
        let prelude = Prelude::of(gate, samples);
        let windows = samples.iter().map(|sample| counts(gate, prelude, sample)).collect();
        Lived { gate: gate.clone(), alpha: *alpha, windows }
    });
    Ok((lived.collect(), json!({ "target": target, "revision": revision, "since": args.since.as_secs() })))
}

/// How far back CloudWatch answers for windows of this length: it adds points up as they grow old. By the reference of
/// `GetMetricData`, `Period`: multiples of a minute for 15 days, of 5 minutes for 63, of an hour for 455, and shorter ones for
/// 3 hours.
fn kept_by_cloudwatch(length: Duration) -> Duration {
    const HOUR: Duration = Duration::from_secs(3_600);
    match length.as_secs() {
        seconds if seconds % 3_600 == 0 => HOUR * 24 * 455,
        seconds if seconds % 300 == 0 => HOUR * 24 * 63,
        seconds if seconds % 60 == 0 => HOUR * 24 * 15,
        _ => HOUR * 3,
    }
}

/// The failure of a question to the store.
fn of_store(error: &Error, target: &Target) -> Failure {
    let failure = Failure::of(error, target);
    // What is to be done about the provider helps nobody here.
    Failure { message: format!("the metric store: {}", failure.message), hints: Vec::new(), ..failure }
}

/// Asks for windows of the past: one sample each, by query and then window. A store that fails leaves no gap in the past: what
/// it did not answer is asked for once more.
async fn read(
    source: &dyn MetricSource,
    queries: &[Query],
    subject: &Subject,
    windows: &[Window],
    clock: &Clock,
) -> Result<Vec<Sample>, Error> {
    let subjects = std::slice::from_ref(subject);
    let mut samples = source.sample(queries, subjects, windows).await?;
    let is_open = |at: &usize| samples.iter().skip(*at).step_by(windows.len()).any(|sample| failed(sample).is_some());
    let open: Vec<usize> = (0..windows.len()).filter(is_open).collect();
    if open.is_empty() {
        return Ok(samples);
    }
    clock.sleep(AGAIN).await;
    let missing: Vec<Window> = open.iter().filter_map(|at| windows.get(*at).copied()).collect();
    let answers = source.sample(queries, subjects, &missing).await?;
    if let Some(error) = answers.iter().find_map(failed) {
        return Err(error);
    }
    for (query, answers) in answers.chunks(missing.len()).enumerate() {
        for (at, answer) in open.iter().zip(answers) {
            if let Some(sample) = samples.get_mut(query * windows.len() + at) {
                sample.clone_from(answer);
            }
        }
    }
    Ok(samples)
}

/// Why a window was not answered, where it was the store that failed.
fn failed(sample: &Sample) -> Option<Error> {
    match sample {
        Sample::NoData(Why::Failed { kind, message }) => Some(Error::new(*kind, "", message.clone())),
        Sample::Strata(parts) => parts.values().find_map(failed),
        Sample::Counts { .. } | Sample::Histogram(_) | Sample::NoData(_) | Sample::Value(_) => None,
    }
}

/// An export: the same windows for every gate that is meant.
fn read_file(file: &Path, meant: &Meant) -> Result<Vec<Lived>, Failure> {
    let shown = file.display();
    let read =
        if file == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(file) };
    let text = read.map_err(|e| Failure::usage(format!("{shown} cannot be read: {e}")))?;
    if let [_, _, ..] = meant.gates.as_slice() {
        return Err(Failure::usage("an export is about one metric: which gate?").hint("name it: `--gate NAME`"));
    }
    let windows = if text.trim_start().starts_with('[') { from_json(&text) } else { from_csv(&text) };
    let windows = windows.map_err(|e| Failure::usage(format!("{shown}: {e}")))?;
    Ok(meant
        .gates
        .iter()
        .map(|(gate, alpha)| Lived { gate: gate.clone(), alpha: *alpha, windows: windows.clone() })
        .collect())
}

fn from_json(text: &str) -> Result<Vec<Option<Counts>>, String> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Row {
        requests: f64,
        events: f64,
    }
    let rows: Vec<Option<Row>> = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let window = |(at, row): (usize, Option<Row>)| {
        row.map(|row| Counts::new(row.requests, row.events)).transpose().map_err(|e| format!("[{at}]: {e}"))
    };
    rows.into_iter().enumerate().map(window).collect()
}

fn from_csv(text: &str) -> Result<Vec<Option<Counts>>, String> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let (_, head) = lines.next().ok_or("the file is empty")?;
    let cells =
        |line: &str| -> Vec<String> { line.split(',').map(|c| c.trim().trim_matches('"').to_owned()).collect() };
    let names = cells(head);
    let column = |name: &str| {
        let at = names.iter().position(|found| found.eq_ignore_ascii_case(name));
        at.ok_or_else(|| format!("line 1: no column `{name}`; there are: {}", names.join(", ")))
    };
    let (requests, events) = (column("requests")?, column("events")?);
    let mut windows = Vec::new();
    for (at, line) in lines {
        let cells = cells(line);
        let cell = |column: usize, name: &str| -> Result<Option<f64>, String> {
            match cells.get(column).map(String::as_str) {
                None | Some("") => Ok(None),
                Some(text) => text
                    .parse()
                    .map(Some)
                    .map_err(|_| format!("line {}: {name}: `{}` is no number", at + 1, text.escape_debug())),
            }
        };
        let counted = cell(requests, "requests")?.zip(cell(events, "events")?);
        let window = counted.map(|(requests, events)| Counts::new(requests, events)).transpose();
        windows.push(window.map_err(|e| format!("line {}: {e}", at + 1))?);
    }
    Ok(windows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_that_grow_old_are_added_up() {
        for (seconds, hours) in [(10, 3), (60, 360), (420, 360), (300, 1_512), (900, 1_512), (3_600, 10_920)] {
            assert_eq!(
                kept_by_cloudwatch(Duration::from_secs(seconds)),
                Duration::from_secs(hours * 3_600),
                "{seconds}"
            );
        }
    }

    #[test]
    fn exports_are_read_with_the_place_of_every_mistake() {
        let two = vec![Counts::new(100.0, 2.0).ok(), None];
        assert_eq!(from_csv("time,requests,events\n1,100,2\n2,,\n"), Ok(two.clone()));
        assert_eq!(from_json(r#"[{"requests": 100, "events": 2}, null]"#), Ok(two));
        for (text, place) in [
            ("", "empty"),
            ("time,requests\n", "no column `events`"),
            ("requests,events\n1,x\n", "line 2: events"),
            ("requests,events\n\n1,2\n", "line 3: events must not exceed"),
        ] {
            assert!(from_csv(text).unwrap_err().contains(place), "{text}");
        }
        assert!(from_json(r#"[{"requests": 1, "events": 2}]"#).unwrap_err().starts_with("[0]: "));
        assert!(from_json(r#"[{"requests": 1}]"#).is_err());
    }
}
