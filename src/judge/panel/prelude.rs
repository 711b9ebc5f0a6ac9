//! What is measured on the stable revision before the bake, and frozen.

use mlroll_backend::{Caveat, Sample, Why};
use serde::{Deserialize, Serialize};

use super::read;
use crate::judge::counts::Counts;
use crate::judge::design_effect::DesignEffect;
use crate::judge::exact::Exact;
use crate::judge::gate::{Gate, LatencyRule, Rule};
use crate::judge::histogram::Histogram;
use crate::judge::series::{Difference, MOST_AUTOCORRELATION, lag_1};

/// What a gate takes from the windows before the bake. Serializes exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prelude {
    /// How bursty its events are; `None` when that could not be measured, which counts as 2.
    pub effect: Option<DesignEffect>,
    /// Seconds above which a request is slow, for a latency gate without `max`: the bucket bound nearest stable's quantile.
    pub threshold: Option<Exact>,
    /// Whether its series is autocorrelated, so that means of blocks are fed.
    pub in_blocks: bool,
    /// What is to be known of its numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caveat: Option<Caveat>,
}

impl Prelude {
    /// Measures the samples of the stable revision, a window each, in their order.
    ///
    /// The series that a gate judges is the difference of two revisions, of which one has no traffic yet: stable's own
    /// autocorrelation stands for it. That errs on the safe side, as pairing removes what both share.
    #[must_use]
    pub fn of(gate: &Gate, history: &[Sample]) -> Self {
        let nothing = Self::default();
        match gate.rule() {
            Rule::Alarms => Self::with_effect(DesignEffect::NONE),
            Rule::Count(_) => Self { effect: effect_of(history.iter().filter_map(read::counts)), ..nothing },
            Rule::Latency(rule) => {
                let histograms: Vec<Histogram> = history.iter().filter_map(read::histogram).collect();
                let threshold = rule.threshold.or_else(|| frozen(rule, &histograms));
                let counts = |threshold| effect_of(histograms.iter().filter_map(|h| slow(h, threshold)));
                Self { effect: threshold.and_then(counts), threshold: threshold.map(Exact), ..nothing }
            }
            Rule::Drift(_) | Rule::Shape(_) => {
                let histograms: Vec<Histogram> = history.iter().filter_map(read::histogram).collect();
                let at = |bound| effect_of(histograms.iter().filter_map(|h| slow(h, bound)));
                // The burstiest bound counts for all.
                let effects = Histogram::sum(&histograms).bounds().filter_map(at).collect::<Vec<_>>();
                Self { effect: effects.into_iter().reduce(|a, b| if b > a { b } else { a }), ..nothing }
            }
            Rule::Samples(_) => nothing,
            Rule::Series(rule) => {
                let values = history.iter().filter_map(|sample| read::value(gate, sample));
                let comparable: Vec<f64> = match rule.difference {
                    Difference::Log => values.filter(|value| *value > 0.0).map(f64::ln).collect(),
                    Difference::Plain => values.collect(),
                };
                Self { in_blocks: lag_1(&comparable) > MOST_AUTOCORRELATION, ..nothing }
            }
        }
    }

    /// What a person should know of how `gate` will be judged after this `history`: what had to be assumed, and a limit that lies
    /// between the bounds of the store's buckets (docs/judge.md sections 3.4 and 3.7).
    #[must_use]
    pub fn assumptions(&self, gate: &Gate, history: &[Sample]) -> Vec<String> {
        let name = gate.name();
        if let Some(found) = unusable(history) {
            return vec![format!("gate `{name}`: nothing of stable's past could be judged: {found}")];
        }
        let is_counted = match gate.rule() {
            Rule::Count(_) | Rule::Drift(_) | Rule::Latency(_) | Rule::Shape(_) => true,
            Rule::Alarms | Rule::Samples(_) | Rule::Series(_) => false,
        };
        let assumed = (is_counted && self.effect.is_none()).then(|| {
            format!(
                "gate `{name}`: before this there is too little of stable to tell how bursty it is; a design effect of {} is assumed",
                DesignEffect::UNKNOWN.factor()
            )
        });
        let between = match gate.rule() {
            Rule::Latency(LatencyRule { threshold: Some(limit), .. }) => {
                let histograms: Vec<Histogram> = history.iter().filter_map(read::histogram).collect();
                let sum = Histogram::sum(&histograms);
                let below = sum.bounds().filter(|bound| bound <= limit).fold(f64::NEG_INFINITY, f64::max);
                let above = sum.bounds().filter(|bound| bound >= limit).fold(f64::INFINITY, f64::min);
                (sum.bounds().next().is_some() && below < above).then(|| {
                    let shown = |bound: f64, end: &str| if bound.is_finite() { format!("{bound} s") } else { end.to_owned() };
                    format!(
                        "gate `{name}`: its limit of {limit} s lies between two bounds of the store's buckets, {} and {}: a fail \
                         counts what is surely slower, a pass what may be",
                        shown(below, "0 s"),
                        shown(above, "no end")
                    )
                })
            }
            Rule::Alarms
            | Rule::Count(_)
            | Rule::Drift(_)
            | Rule::Latency(_)
            | Rule::Samples(_)
            | Rule::Series(_)
            | Rule::Shape(_) => None,
        };
        assumed.into_iter().chain(between).collect()
    }

    /// The same, of numbers that are not quite what they may be taken for.
    #[must_use]
    pub fn with_caveat(self, caveat: Option<Caveat>) -> Self {
        Self { caveat, ..self }
    }

    /// With a design effect that is known.
    #[must_use]
    pub fn with_effect(effect: DesignEffect) -> Self {
        Self { effect: Some(effect), ..Self::default() }
    }
}

/// What is wrong with all windows that are not empty, where that is something that another setting may mend.
#[must_use]
pub fn unusable(history: &[Sample]) -> Option<&str> {
    let mut wrong = None;
    for sample in history {
        match sample {
            Sample::NoData(Why::Empty) => {}
            Sample::NoData(Why::Inconsistent { found }) => wrong = Some(found.as_str()),
            Sample::Counts { .. } | Sample::Histogram(_) | Sample::NoData(_) | Sample::Strata(_) | Sample::Value(_) => {
                return None;
            }
        }
    }
    wrong
}

fn frozen(rule: &LatencyRule, histograms: &[Histogram]) -> Option<f64> {
    let sum = Histogram::sum(histograms);
    let quantile = sum.quantile(rule.quantile);
    if quantile.is_nan() { None } else { sum.nearest_bound(quantile) }
}

fn slow(histogram: &Histogram, threshold: f64) -> Option<Counts> {
    histogram.above(threshold).ok().map(|above| above.at_least)
}

fn effect_of(counts: impl Iterator<Item = Counts>) -> Option<DesignEffect> {
    DesignEffect::measure(&counts.collect::<Vec<_>>())
}
