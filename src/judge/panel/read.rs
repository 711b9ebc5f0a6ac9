//! From samples of a metric store to what tests read.

use std::collections::{BTreeMap, BTreeSet};

use mlroll_backend::{Sample, Why};

use super::Evidence;
use crate::judge::counts::Counts;
use crate::judge::evidence::{CountLook, Sides};
use crate::judge::gate::{CountRule, Gate, LatencyRule};
use crate::judge::histogram::{Exceedances, Histogram};

/// Counts of a sample. A store that has nothing for a subject knows of no requests.
pub(super) fn counts(sample: &Sample) -> Option<Counts> {
    match sample {
        Sample::Counts { requests, events, .. } => Counts::new(requests.get(), events.get()).ok(),
        Sample::NoData(Why::Empty) => Some(Counts::NONE),
        Sample::Strata(parts) => parts.values().map(counts).try_fold(Counts::NONE, |sum, part| Some(sum.plus(part?))),
        Sample::Histogram(_) | Sample::NoData(_) | Sample::Value(_) => None,
    }
}

/// The histogram of a sample; an empty one, which knows no requests, where the store has nothing for a subject.
pub(super) fn histogram(sample: &Sample) -> Option<Histogram> {
    match sample {
        Sample::Histogram(buckets) => Histogram::new(buckets.buckets().to_vec()).ok(),
        Sample::NoData(Why::Empty) => Some(Histogram::default()),
        Sample::Strata(parts) => {
            let parts = parts.values().map(histogram).collect::<Option<Vec<_>>>()?;
            Some(Histogram::sum(&parts))
        }
        Sample::Counts { .. } | Sample::NoData(_) | Sample::Value(_) => None,
    }
}

/// The number of a sample: what the store answered, or the gate's quantile of a histogram of enough requests.
///
/// Of fewer than `20 / (1 - q)` requests the sample quantile is biased low (docs/judge.md section 3.4).
pub(super) fn value(gate: &Gate, sample: &Sample) -> Option<f64> {
    match sample {
        Sample::Value(value) => Some(value.get()),
        Sample::Histogram(_) => {
            let (q, histogram) = (gate.quantile()?, histogram(sample)?);
            // 20 / (1 - 0.95) is a little more than 400.
            let enough = histogram.total()? >= 20.0 / (1.0 - q) * (1.0 - 1e-9);
            Some(histogram.quantile(q)).filter(|value| enough && value.is_finite())
        }
        Sample::Counts { .. } | Sample::NoData(_) | Sample::Strata(_) => None,
    }
}

/// How many requests a sample knows of, where what `gate` asks for tells them.
#[must_use]
pub fn requests_of(gate: &Gate, sample: &Sample) -> Option<f64> {
    match sample {
        _ if !gate.tells_requests() => None,
        Sample::Value(requests) if gate.metric() == Some("requests") => Some(requests.get()),
        Sample::Counts { .. } | Sample::Histogram(_) | Sample::NoData(_) | Sample::Strata(_) | Sample::Value(_) => {
            requests(sample)
        }
    }
}

/// Whether a sample has anything to judge: a number, or requests.
pub(super) fn is_something(sample: &Sample) -> bool {
    matches!(sample, Sample::Value(_)) || requests(sample).is_some_and(|requests| requests > 0.0)
}

/// How many requests a sample knows of.
pub(super) fn requests(sample: &Sample) -> Option<f64> {
    match sample {
        Sample::Counts { requests, .. } => Some(requests.get()),
        Sample::Histogram(buckets) => buckets.buckets().last().map(|(_, count)| *count),
        Sample::NoData(Why::Empty) => Some(0.0),
        Sample::Strata(parts) => parts.values().map(requests).sum(),
        Sample::NoData(_) | Sample::Value(_) => None,
    }
}

/// How many requests a sample knows to have been turned away.
pub(super) fn throttled(sample: &Sample) -> f64 {
    match sample {
        Sample::Counts { throttled, .. } => throttled.get(),
        Sample::Strata(parts) => parts.values().map(throttled).sum(),
        Sample::Histogram(_) | Sample::NoData(_) | Sample::Value(_) => 0.0,
    }
}

/// A look by its parts of the traffic, which are compared each with itself; all of it in one part, without a name, where
/// the store does not divide it.
pub(super) type Parts = BTreeMap<String, CountLook>;

/// The look of each part, as `look` reads it. What one revision has and the other lacks has no requests there.
pub(super) fn parts(evidence: &Evidence, look: impl Fn(&Evidence) -> Option<CountLook>) -> Option<Parts> {
    let divided = |sample: &Sample| matches!(sample, Sample::Strata(_));
    if !divided(&evidence.candidate) && !divided(&evidence.stable) {
        return Some(BTreeMap::from([(String::new(), look(evidence)?)]));
    }
    let of = |sample: &Sample, name: &str| match sample {
        Sample::Strata(parts) => parts.get(name).cloned().unwrap_or(Sample::NoData(Why::Empty)),
        Sample::Counts { .. } | Sample::Histogram(_) | Sample::NoData(_) | Sample::Value(_) => sample.clone(),
    };
    let names = [&evidence.candidate, &evidence.stable].into_iter().filter_map(|sample| match sample {
        Sample::Strata(parts) => Some(parts.keys()),
        Sample::Counts { .. } | Sample::Histogram(_) | Sample::NoData(_) | Sample::Value(_) => None,
    });
    let names: BTreeSet<&String> = names.flatten().collect();
    let read = |name: &String| {
        let part = Evidence { candidate: of(&evidence.candidate, name), stable: of(&evidence.stable, name) };
        Some((name.clone(), look(&part)?))
    };
    names.into_iter().map(read).collect()
}

/// The look of a counting gate; one with a limit only can do without stable.
pub(super) fn count_look(rule: &CountRule, evidence: &Evidence) -> Option<CountLook> {
    let stable = counts(&evidence.stable);
    let stable = if rule.boundaries.is_some() { stable? } else { stable.unwrap_or(Counts::NONE) };
    Some(CountLook::exact(counts(&evidence.candidate)?, stable))
}

/// The look of a latency gate at its threshold, in seconds.
pub(super) fn latency_look(rule: &LatencyRule, threshold: f64, evidence: &Evidence) -> Option<CountLook> {
    let side = |sample: &Sample| histogram(sample)?.above(threshold).ok();
    let candidate = side(&evidence.candidate)?;
    let stable = side(&evidence.stable);
    let stable = if rule.rule.boundaries.is_some() { stable? } else { stable.unwrap_or(Exceedances::NONE) };
    // A threshold that is no bucket bound: FAIL reads what is surely slow of the candidate and possibly slow of stable.
    Some(CountLook {
        fail: Sides { candidate: candidate.at_least, stable: stable.at_most },
        pass: Sides { candidate: candidate.at_most, stable: stable.at_least },
    })
}
