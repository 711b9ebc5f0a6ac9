//! The parts of a replay file.

use serde_json::Value;

use super::document::{ReplayError, Result, list, metric_value, number, object, optional, required, truth};
use crate::judge::counts::Counts;
use crate::judge::design_effect::DesignEffect;
use crate::judge::evidence::{CountLook, Sides};
use crate::judge::gate::{Gate, LatencyRule, Rule, share};
use crate::judge::histogram::{Exceedances, Histogram};

/// A replay file, checked.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) rule: Rule,
    pub(super) terms: Terms,
    pub(super) evidence: Evidence,
    pub(super) warnings: Vec<String>,
}

/// What is frozen before the first look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) alpha: f64,
    pub(super) beta: f64,
    pub(super) horizon: Option<u64>,
    pub(super) effect: DesignEffect,
    pub(super) final_look: bool,
    /// Whether an interval is shown: it costs more than the verdict.
    pub(super) interval: bool,
}

#[derive(Debug)]
pub(super) enum Evidence {
    Many(Vec<Looks>),
    One(Looks),
}

/// The looks of one bake, in the form its rule reads.
#[derive(Debug)]
pub(super) enum Looks {
    /// A look is one stratum or more.
    Counts(Vec<Vec<CountLook>>),
    Histograms(Vec<Histograms>),
    Latency(Vec<LatencyLook>),
    Samples(Vec<Samples>),
    Values(Vec<Option<Values>>),
}

#[derive(Debug)]
pub(super) struct LatencyLook {
    pub(super) counts: CountLook,
    /// The candidate's, NaN for none.
    pub(super) quantile: f64,
    /// Whether the threshold was a bucket bound wherever there were requests.
    pub(super) exact: bool,
}

/// The histograms of one window.
#[derive(Debug)]
pub(super) struct Histograms {
    pub(super) candidate: Histogram,
    pub(super) stable: Histogram,
}

/// One window of the stable revision before the bake.
#[derive(Debug)]
enum Past {
    Counts(Counts),
    Histogram(Histogram),
}

/// The value of one window; null for a window without one.
#[derive(Debug)]
pub(super) struct Values {
    pub(super) candidate: f64,
    pub(super) stable: f64,
}

/// The values of one planned look; NaN for null.
#[derive(Debug)]
pub(super) struct Samples {
    pub(super) candidate: Vec<f64>,
    pub(super) stable: Vec<f64>,
}

impl Spec {
    pub(super) fn read(document: &Value) -> Result<Self> {
        let keys = ["gate", "alpha", "beta", "horizon", "design_effect", "history", "final_look", "looks", "series"];
        let map = object(document, &keys)?;
        let gate = required(map, "gate", read_gate)?;
        let mut warnings = gate.warnings();
        let past = optional(map, "history", |value| list(value, past))?;
        let rule = frozen(gate.rule(), past.as_deref())?;
        let history = past.map(|past| counted(&past, &rule)).transpose()?;
        let effect = match (optional(map, "design_effect", design_effect)?, &history) {
            // 1 is the default, so it may stand beside a history; any other number contradicts it.
            (Some(effect), Some(_)) if effect != DesignEffect::NONE => {
                return Err(ReplayError::new("give `design_effect` or `history`, not both"));
            }
            (_, Some(windows)) => DesignEffect::measure(windows).unwrap_or_else(|| {
                warnings.push(format!(
                    "history: {} windows with requests are needed to measure the design effect; 2 is assumed",
                    DesignEffect::FEWEST_WINDOWS
                ));
                DesignEffect::UNKNOWN
            }),
            (effect, None) => effect.unwrap_or(DesignEffect::NONE),
        };
        let terms = Terms {
            alpha: optional(map, "alpha", level)?.or(gate.alpha()).unwrap_or(0.01),
            beta: optional(map, "beta", level)?.unwrap_or(0.05),
            horizon: optional(map, "horizon", horizon)?,
            effect,
            final_look: optional(map, "final_look", truth)?.unwrap_or(false) || gate.final_look(),
            interval: map.contains_key("looks"),
        };
        let looks = |value| Looks::read(value, &rule);
        let evidence = match (map.contains_key("looks"), map.contains_key("series")) {
            (true, false) => Evidence::One(required(map, "looks", looks)?),
            (false, true) => Evidence::Many(required(map, "series", |value| list(value, looks))?),
            (true, true) | (false, false) => {
                return Err(ReplayError::new("give either `looks` (one bake) or `series` (a list of them)"));
            }
        };
        Ok(Self { rule, terms, evidence, warnings })
    }
}

impl Looks {
    fn read(value: &Value, rule: &Rule) -> Result<Self> {
        match rule {
            Rule::Alarms => Err(ReplayError::new("alarms are open or not, there is nothing to replay")),
            Rule::Count(rule) => Ok(Self::Counts(list(value, |value| {
                let stratum = |value: &Value| {
                    let (candidate, stable) = sides(value, rule.boundaries.is_some(), side)?;
                    Ok(CountLook::exact(candidate.unwrap_or(Counts::NONE), stable.unwrap_or(Counts::NONE)))
                };
                match value.get("strata") {
                    Some(_) => required(object(value, &["strata"])?, "strata", |strata| list(strata, stratum)),
                    None => Ok(vec![stratum(value)?]),
                }
            })?)),
            Rule::Latency(rule) => Ok(Self::Latency(list(value, |value| latency_look(value, rule))?)),
            Rule::Samples(_) => Ok(Self::Samples(list(value, |value| {
                let (candidate, stable) = sides(value, true, sample)?;
                Ok(Samples { candidate: candidate.unwrap_or_default(), stable: stable.unwrap_or_default() })
            })?)),
            Rule::Series(rule) => Ok(Self::Values(list(value, |value| {
                let (candidate, stable) = sides(value, rule.max.is_none(), metric_value)?;
                let pair = candidate.zip(rule.max.or(stable));
                Ok(pair.map(|(candidate, stable)| Values { candidate, stable }))
            })?)),
            Rule::Drift(_) | Rule::Shape(_) => Ok(Self::Histograms(list(value, |value| {
                let (candidate, stable) = sides(value, true, histogram)?;
                Ok(Histograms { candidate: candidate.unwrap_or_default(), stable: stable.unwrap_or_default() })
            })?)),
        }
    }
}

fn read_gate(value: &Value) -> Result<Gate> {
    serde_json::from_value(value.clone()).map_err(|error| ReplayError::new(error.to_string()))
}

/// A window of the past: counts, or the histogram of latencies.
fn past(value: &Value) -> Result<Past> {
    match value.get("buckets") {
        Some(_) => histogram(value).map(Past::Histogram),
        None => side(value).map(Past::Counts),
    }
}

/// The rule with what it takes from the past: the threshold of a latency gate without `max`.
fn frozen(rule: &Rule, past: Option<&[Past]>) -> Result<Rule> {
    match rule {
        Rule::Latency(latency) if latency.threshold.is_none() => {
            let windows = past.unwrap_or_default().iter().filter_map(|window| match window {
                Past::Counts(_) => None,
                Past::Histogram(histogram) => Some(histogram),
            });
            let sum = Histogram::sum(windows);
            let threshold = sum.nearest_bound(sum.quantile(latency.quantile));
            let none =
                "a latency gate is replayed with `max`, its threshold, or with a `history` of buckets to freeze one";
            let threshold = Some(threshold.ok_or_else(|| ReplayError::new(none))?);
            Ok(Rule::Latency(LatencyRule { threshold, ..*latency }))
        }
        Rule::Alarms
        | Rule::Count(_)
        | Rule::Drift(_)
        | Rule::Latency(_)
        | Rule::Samples(_)
        | Rule::Series(_)
        | Rule::Shape(_) => Ok(rule.clone()),
    }
}

/// What the rule counts in the past: the requests above its threshold where that is a histogram. A shape gate has no single
/// threshold; the burstiness at the worst of its bounds is taken.
fn counted(past: &[Past], rule: &Rule) -> Result<Vec<Counts>> {
    let at = |threshold: f64| -> Result<Vec<Counts>> {
        let counts = past.iter().enumerate().map(|(index, window)| match window {
            Past::Counts(counts) => Ok(*counts),
            Past::Histogram(histogram) => match histogram.above(threshold) {
                Ok(above) => Ok(above.at_least),
                Err(why) => Err(ReplayError::new(why.to_string()).under(&format!("[{index}]")).under("history")),
            },
        });
        counts.collect()
    };
    match rule {
        Rule::Latency(LatencyRule { threshold: Some(threshold), .. }) => at(*threshold),
        Rule::Drift(_) | Rule::Shape(_) => {
            let histograms = past.iter().filter_map(|window| match window {
                Past::Counts(_) => None,
                Past::Histogram(histogram) => Some(histogram),
            });
            let bounds: Vec<f64> = Histogram::sum(histograms).bounds().collect();
            let all = bounds.into_iter().map(at).collect::<Result<Vec<_>>>()?;
            let factor = |counts: &Vec<Counts>| DesignEffect::measure(counts).map_or(0.0, DesignEffect::factor);
            let worst = all.into_iter().reduce(|a, b| if factor(&b) > factor(&a) { b } else { a });
            worst.map_or_else(|| at(f64::MAX), Ok)
        }
        Rule::Alarms | Rule::Count(_) | Rule::Latency(_) | Rule::Samples(_) | Rule::Series(_) => at(f64::MAX),
    }
}

/// The histograms in which a shape gate finds its bounds: those of the first look with any.
pub(super) fn bounds(looks: &[Histograms]) -> Vec<f64> {
    let first = looks.iter().find(|look| look.candidate.total().is_some() || look.stable.total().is_some());
    first.map_or_else(Vec::new, |look| Histogram::sum([&look.candidate, &look.stable]).bounds().collect())
}

fn design_effect(value: &Value) -> Result<DesignEffect> {
    DesignEffect::new(number(value)?).map_err(ReplayError::new)
}

fn level(value: &Value) -> Result<f64> {
    let level = match value.as_str() {
        Some(text) => share(text).ok_or_else(|| ReplayError::new("expected a number, or a share such as \"1%\""))?,
        None => number(value)?,
    };
    // Below, 1 / level would not be a number.
    if !(1e-300..1.0).contains(&level) {
        return Err(ReplayError::new(format!("an error level lies between 0 and 1, both excluded, not {level}")));
    }
    Ok(level)
}

fn horizon(value: &Value) -> Result<u64> {
    // 120.0 is how some languages write 120.
    let whole = value.as_f64().filter(|planned| (1.0..=1e9).contains(planned) && planned.trunc() == *planned);
    whole
        .map(|planned| planned as u64)
        .ok_or_else(|| ReplayError::new("a horizon is a whole number of looks from 1, or null"))
}

/// Both sides of a look, `None` for null: a window without data. The stable side may be missing unless it is needed.
fn sides<T>(value: &Value, needs_stable: bool, read: impl Fn(&Value) -> Result<T>) -> Result<(Option<T>, Option<T>)> {
    let map = object(value, &["candidate", "stable"])?;
    for (key, needed) in [("candidate", true), ("stable", needs_stable)] {
        if needed && !map.contains_key(key) {
            return Err(ReplayError::new(format!("`{key}` is missing; this gate judges it")));
        }
    }
    Ok((optional(map, "candidate", &read)?, optional(map, "stable", &read)?))
}

fn side(value: &Value) -> Result<Counts> {
    let map = object(value, &["requests", "events"])?;
    let (requests, events) = (required(map, "requests", number)?, required(map, "events", number)?);
    Counts::new(requests, events).map_err(|why| ReplayError::new(why.to_string()))
}

fn sample(value: &Value) -> Result<Vec<f64>> {
    list(value, |value| if value.is_null() { Ok(f64::NAN) } else { metric_value(value) })
}

fn latency_look(value: &Value, rule: &LatencyRule) -> Result<LatencyLook> {
    let Some(threshold) = rule.threshold else {
        return Err(ReplayError::new("a latency gate is replayed with `max`, its threshold"));
    };
    let (candidate, stable) = sides(value, rule.rule.boundaries.is_some(), histogram)?;
    let (candidate, stable) = (candidate.unwrap_or_default(), stable.unwrap_or_default());
    let above = |histogram: &Histogram, key| -> Result<Exceedances> {
        histogram.above(threshold).map_err(|why| ReplayError::new(why.to_string()).under(key))
    };
    let (ours, theirs) = (above(&candidate, "candidate")?, above(&stable, "stable")?);
    Ok(LatencyLook {
        // What is unsure counts for the candidate in FAIL and against it in PASS.
        counts: CountLook {
            fail: Sides { candidate: ours.at_least, stable: theirs.at_most },
            pass: Sides { candidate: ours.at_most, stable: theirs.at_least },
        },
        quantile: candidate.quantile(rule.quantile),
        exact: [&candidate, &stable].iter().all(|h| h.total().is_none() || h.has_bound(threshold)),
    })
}

fn histogram(value: &Value) -> Result<Histogram> {
    let map = object(value, &["buckets"])?;
    let buckets = required(map, "buckets", |value| list(value, bucket))?;
    Histogram::new(buckets).map_err(|why| ReplayError::new(why).under("buckets"))
}

fn bucket(value: &Value) -> Result<(f64, f64)> {
    match value.as_array().map(Vec::as_slice) {
        Some([bound, count]) => Ok((bucket_bound(bound)?, number(count)?)),
        Some(_) | None => Err(ReplayError::new("a bucket is a pair: [upper bound in seconds, cumulative count]")),
    }
}

fn bucket_bound(value: &Value) -> Result<f64> {
    let refused = || ReplayError::new("a bucket bound is a number of seconds up to 1e100, or \"+Inf\"");
    let bound = match value.as_str() {
        Some("+Inf" | "Inf" | "inf" | "+inf") => return Ok(f64::INFINITY),
        Some(text) => text.parse::<f64>().map_err(|_| refused())?,
        None => number(value)?,
    };
    if bound.abs() <= 1e100 { Ok(bound) } else { Err(refused()) }
}
