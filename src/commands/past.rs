//! The past that gates are tried on: of a metric store, or an export.

use std::sync::Arc;
use std::time::Duration;

use mlroll_backend::{Error, MetricSource, Query, RevisionId, Sample, Subject, Target, Why, Window};
use serde_json::{Value, json};

use super::Context;
use super::power::Meant;
use crate::clock::Clock;
use crate::config::Watching;
use crate::driver::{query_of, time_is_up};
use crate::failure::Failure;
use crate::foresight::{compares_days, untold};
use crate::judge::gate::Gate;
use crate::output::Progress;
use crate::registry;
use crate::wire::{Aside, Wire};

/// Windows that are asked for at once: a day of minutes.
const AT_ONCE: usize = 1_440;

/// Windows that are asked for at most: 60 days of minutes.
pub(super) const MOST_WINDOWS: usize = 86_400;

/// How long a store that failed is left alone.
const AGAIN: Duration = Duration::from_secs(1);

/// Values that are compared are compared with those of the day before.
pub(super) const DAY: Duration = Duration::from_secs(86_400);

/// One gate, its part of alpha, and its windows in the order of time.
#[derive(Debug)]
pub(super) struct Lived {
    pub(super) gate: Gate,
    pub(super) alpha: f64,
    pub(super) samples: Vec<Sample>,
}

/// What of a store's past is asked for.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) since: Duration,
    /// Whose past; `None`: that of the revision in charge.
    pub(super) revision: Option<&'a RevisionId>,
}

/// Asks the store for all windows of the past, many at a time.
pub(super) async fn ask(
    asked: &Asked<'_>,
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
    // Of whom the past tells nothing, it is not asked.
    let (gates, silent): (Vec<_>, Vec<_>) = gates.iter().partition(|(gate, _)| untold(gate).is_none());
    let own: Vec<Gate> = gates.iter().map(|(gate, _)| gate.clone()).collect();
    let silent =
        silent.into_iter().map(|(gate, alpha)| Lived { gate: gate.clone(), alpha: *alpha, samples: Vec::new() });
    if own.is_empty() {
        return Ok((silent.collect(), Value::Null));
    }
    let source = registry::metric_source(metrics, &own, folder, reach, Arc::new(Aside::new(*printer).within(reach)))?;
    let revision = match asked.revision {
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
    // Who is compared with the day before is asked for one day more.
    let since = if own.iter().any(compares_days) { asked.since.saturating_add(DAY) } else { asked.since };
    let windows =
        Window::within(back(since), back(late), watching.look).map_err(|e| Failure::usage(format!("--since: {e}")))?;
    let windows: Vec<Window> = windows.take(MOST_WINDOWS + 1).collect();
    if windows.is_empty() || windows.len() > MOST_WINDOWS {
        let failure = Failure::usage(format!("--since: {} windows; allowed are 1 to {MOST_WINDOWS}", windows.len()));
        return Err(failure.hint("longer looks, or less of the past"));
    }
    if let Some(kept) = source.kept(watching.look).filter(|kept| since > *kept) {
        printer.warn(&format!(
            "the store keeps windows of {} for {}: it has no data of older ones; `--since` of that, or a longer `look`",
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
    let begins = back(asked.since);
    let before = windows.iter().take_while(|window| window.start() < begins).count();
    let lived = gates.iter().zip(&of_gate).map(|((gate, alpha), query)| {
        let samples = queries.binary_search(query).ok().and_then(|at| samples.get(at)).map_or(&[][..], Vec::as_slice);
        let skipped = if compares_days(gate) { 0 } else { before };
        Lived { gate: gate.clone(), alpha: *alpha, samples: samples.get(skipped..).unwrap_or_default().to_vec() }
    });
    Ok((
        lived.chain(silent).collect(),
        json!({ "target": target, "revision": revision, "since": asked.since.as_secs() }),
    ))
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
