//! From gates and samples of a store to what forecasts count.

use mlroll_backend::Sample;

use crate::judge::counts::Counts;
use crate::judge::gate::{CountRule, Gate, Rule};
use crate::judge::histogram::Histogram;
use crate::judge::panel::Prelude;

/// The counting rule of a gate; `None` for one that compares values or whole histograms, of which nothing is forecast.
#[must_use]
pub fn counting(gate: &Gate) -> Option<CountRule> {
    match gate.rule() {
        Rule::Count(rule) => Some(*rule),
        Rule::Latency(latency) => Some(latency.rule),
        Rule::Alarms | Rule::Drift(_) | Rule::Samples(_) | Rule::Series(_) | Rule::Shape(_) => None,
    }
}

/// Requests and events of one window as the gate counts them; `None` where it counts nothing, or there is no answer.
#[must_use]
pub fn counts(gate: &Gate, prelude: Prelude, sample: &Sample) -> Option<Counts> {
    if let Sample::Strata(parts) = sample {
        let parts = parts.values().map(|part| counts(gate, prelude, part));
        return parts.into_iter().try_fold(Counts::NONE, |sum, part| Some(sum.plus(part?)));
    }
    match (gate.rule(), sample) {
        (Rule::Count(_), Sample::Counts { requests, events, .. }) => Counts::new(requests.get(), events.get()).ok(),
        (Rule::Latency(rule), Sample::Histogram(buckets)) => {
            let threshold = rule.threshold.or(prelude.threshold.map(|frozen| frozen.0))?;
            let histogram = Histogram::new(buckets.buckets().to_vec()).ok()?;
            Some(histogram.above(threshold).ok()?.at_least)
        }
        _ => None,
    }
}
