//! The past divided between two revisions, and a regression injected into what one of them had.

use mlroll_backend::{Finite, Histogram, Sample};
use serde::Serialize;

use super::draw::Dice;
use crate::judge::drift::{bins_of, distance};
use crate::judge::gate::{Better, Gate, Rule};
use crate::judge::histogram::Histogram as Buckets;

/// What a regression makes worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Injected {
    /// The share of requests that are events.
    Rate,
    /// The population stability index, as times the gate's limit: stable's own is 0.
    Index,
    /// How long each request takes.
    Latency,
    /// What is used where the gate is about what is left unused.
    Use,
    /// The value of each window.
    Value,
}

/// A regression that is so many times as bad.
#[derive(Clone, Debug)]
pub(super) struct Regression {
    injected: Injected,
    better: Better,
    times: f64,
    /// For scores: by what factor requests are more frequent at the top of a bucket's place among all than at the bottom, as its
    /// logarithm; and the place of each bucket's bound.
    tilt: Option<(f64, Vec<(f64, f64)>)>,
}

impl Regression {
    /// Of what a gate that counts no events judges, `times` as bad; 1 changes nothing. `past` is all there is of it.
    pub(super) fn of(gate: &Gate, times: f64, past: &[Sample]) -> Self {
        let has_histograms = past.iter().any(|sample| matches!(sample, Sample::Histogram(_)));
        let better = match gate.rule() {
            Rule::Series(rule) => rule.better,
            Rule::Samples(rule) => rule.better,
            Rule::Alarms | Rule::Count(_) | Rule::Drift(_) | Rule::Latency(_) | Rule::Shape(_) => Better::Lower,
        };
        let drift = if let Rule::Drift(max) = gate.rule() { Some(max) } else { None };
        let injected = if drift.is_some() {
            Injected::Index
        } else if has_histograms {
            Injected::Latency
        } else if gate.is_headroom() {
            Injected::Use
        } else {
            Injected::Value
        };
        let tilt = drift.filter(|_| times > 1.0).and_then(|max| tilted(past, max * times));
        Self { injected, better, times, tilt }
    }

    pub(super) const fn injected(&self) -> Injected {
        self.injected
    }

    /// What the candidate has instead.
    pub(super) fn inject(&self, sample: Sample, dice: &mut Dice) -> Sample {
        if self.times <= 1.0 {
            return sample;
        }
        match &sample {
            Sample::Histogram(had) => match (self.injected, &self.tilt) {
                (Injected::Index, Some((tilt, places))) => drifted(had, *tilt, places, dice),
                (Injected::Index, None) => None,
                _ if !is_divisible(&sample) => {
                    Histogram::new(had.buckets().iter().map(|(bound, count)| (bound * self.times, *count)).collect())
                        .ok()
                }
                _ => Histogram::new(slowed(had.buckets(), self.times)).ok(),
            }
            .map_or(sample, Sample::Histogram),
            Sample::Value(value) => Finite::new(self.worse(value.get())).map_or(sample, Sample::Value),
            Sample::Counts { .. } | Sample::NoData(_) | Sample::Strata(_) => sample,
        }
    }

    fn worse(&self, value: f64) -> f64 {
        match (self.injected, self.better) {
            // What is unused is a share of all: the rest is used, and all of it can be.
            (Injected::Use, _) => (1.0 - self.times * (1.0 - value)).max(0.0).min(value),
            (_, Better::Higher) => value - value.abs() * (1.0 - 1.0 / self.times),
            (_, Better::Lower) => value + value.abs() * (self.times - 1.0),
        }
    }
}

/// Whether it tells where its requests are. CloudWatch has no buckets: of a percentile there is the percentile and how many requests
/// there were, as a histogram with one bound.
pub(super) fn is_divisible(sample: &Sample) -> bool {
    matches!(sample, Sample::Histogram(had) if had.buckets().len() > 2)
}

/// The same percentile of a `share` of the requests.
pub(super) fn part(sample: &Sample, share: f64) -> Sample {
    let part = |had: &Histogram| Histogram::new(had.buckets().iter().map(|(bound, n)| (*bound, n * share)).collect());
    match sample {
        Sample::Histogram(had) => part(had).map_or_else(|_| sample.clone(), Sample::Histogram),
        Sample::Counts { .. } | Sample::NoData(_) | Sample::Strata(_) | Sample::Value(_) => sample.clone(),
    }
}

/// Gives each request to the candidate with the chance of `share`, and to stable otherwise. `None` for what is no histogram.
pub(super) fn divided(sample: &Sample, share: f64, dice: &mut Dice) -> Option<(Sample, Sample)> {
    let Sample::Histogram(all) = sample else { return None };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (mut candidate, mut stable) = (0.0, 0.0);
    for (bound, count) in cells(all.buckets()) {
        let taken = among(count, share, dice);
        candidate += taken;
        stable += count - taken;
        ours.push((bound, candidate));
        theirs.push((bound, stable));
    }
    Some((Sample::Histogram(Histogram::new(ours).ok()?), Sample::Histogram(Histogram::new(theirs).ok()?)))
}

/// How many of `count` are chosen, each with `chance`. Stores extrapolate: a count may be no whole number.
pub(super) fn among(count: f64, chance: f64, dice: &mut Dice) -> f64 {
    let whole = count.floor();
    (dice.chosen(whole, chance) + (count - whole) * chance).min(count)
}

/// The requests of each bucket, by its upper bound.
fn cells(cumulative: &[(f64, f64)]) -> impl Iterator<Item = (f64, f64)> {
    let before = std::iter::once(0.0).chain(cumulative.iter().map(|(_, count)| *count));
    cumulative.iter().zip(before).map(|((bound, count), before)| (*bound, count - before))
}

/// The same buckets when each request takes `times` as long; within a bucket they are taken as spread evenly, as quantiles are.
fn slowed(cumulative: &[(f64, f64)], times: f64) -> Vec<(f64, f64)> {
    let upto = |limit: f64| {
        let (mut start, mut below) = (0.0, 0.0);
        for (bound, count) in cumulative {
            if limit < *bound {
                let part = if bound.is_finite() && *bound > start { (limit - start) / (bound - start) } else { 0.0 };
                return below + (count - below) * part.clamp(0.0, 1.0);
            }
            (start, below) = (*bound, *count);
        }
        below
    };
    cumulative.iter().map(|(bound, _)| (*bound, upto(bound / times))).collect()
}

/// By what tilt scores reach this index, and the place of each bucket among all scores, from 0 to 1.
fn tilted(past: &[Sample], index: f64) -> Option<(f64, Vec<(f64, f64)>)> {
    let histograms = past.iter().filter_map(|sample| match sample {
        Sample::Histogram(had) => Buckets::new(had.buckets().to_vec()).ok(),
        Sample::Counts { .. } | Sample::NoData(_) | Sample::Strata(_) | Sample::Value(_) => None,
    });
    let sum = Buckets::sum(&histograms.collect::<Vec<_>>());
    let total = sum.total().filter(|total| *total > 0.0)?;
    let bins = bins_of(&sum, total);
    let mut below = 0.0;
    let cells: Vec<(f64, f64, f64)> = cells(sum.buckets())
        .map(|(bound, count)| {
            let place = (below + count / 2.0) / total;
            below += count;
            (bound, count / total, place)
        })
        .collect();
    let reaches = |tilt: f64| {
        let weight = |place: f64| (tilt * (place - 0.5)).exp();
        let all: f64 = cells.iter().map(|(_, share, place)| share * weight(*place)).sum();
        let bin = |bound: f64| bins.partition_point(|limit| *limit < bound);
        let mut shares = vec![(0.0, 0.0); bins.len() + 1];
        for (bound, share, place) in &cells {
            if let Some(sums) = shares.get_mut(bin(*bound)) {
                *sums = (sums.0 + share, sums.1 + share * weight(*place) / all);
            }
        }
        shares.iter().map(|(p, q)| distance(*q, *p)).sum::<f64>()
    };
    let (mut low, mut high) = (0.0, MOST_TILT);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if reaches(middle) < index { low = middle } else { high = middle }
    }
    Some((high, cells.iter().map(|(bound, _, place)| (*bound, *place)).collect()))
}

/// Scores that are tilted more than this all lie at the top.
const MOST_TILT: f64 = 60.0;

/// As many scores, of which the higher are more frequent.
fn drifted(had: &Histogram, tilt: f64, places: &[(f64, f64)], dice: &mut Dice) -> Option<Histogram> {
    let place = |bound: f64| places.iter().find(|(of, _)| *of == bound).map_or(0.5, |(_, place)| *place);
    let weighted: Vec<(f64, f64)> =
        cells(had.buckets()).map(|(bound, count)| (bound, count * (tilt * (place(bound) - 0.5)).exp())).collect();
    let mut left: f64 = had.buckets().last().map_or(0.0, |(_, count)| *count);
    let mut weights: f64 = weighted.iter().map(|(_, weight)| weight).sum();
    let mut sum = 0.0;
    let buckets = weighted.iter().map(|(bound, weight)| {
        let count = if weights > 0.0 { among(left, (weight / weights).min(1.0), dice) } else { 0.0 };
        (left, weights, sum) = (left - count, weights - weight, sum + count);
        (*bound, sum)
    });
    Histogram::new(buckets.collect()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(buckets: &[(f64, f64)]) -> Sample {
        Sample::Histogram(Histogram::new(buckets.to_vec()).unwrap())
    }

    fn gate(json: &str) -> Gate {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_value_gets_worse_in_the_way_that_it_can() {
        let value = |json: &str, value: f64, times: f64| {
            let past = [Sample::value(value)];
            let [had] = past.clone();
            let Sample::Value(found) = Regression::of(&gate(json), times, &past).inject(had, &mut Dice::new(1)) else {
                panic!("no value")
            };
            found.get()
        };
        let free = r#"{"metric": "memory_headroom", "min": "20%"}"#;
        for (json, had, times, has) in [
            (r#"{"name": "a", "query": "q"}"#, 3.0, 2.0, 6.0),
            (r#"{"name": "a", "query": "q"}"#, 3.0, 1.0, 3.0),
            (r#"{"name": "a", "query": "q", "difference": "plain"}"#, -3.0, 2.0, 0.0),
            (r#"{"name": "a", "query": "q", "better": "higher"}"#, 3.0, 2.0, 1.5),
            (free, 0.7, 2.0, 0.4),
            (free, 0.3, 2.0, 0.0),
            (r#"{"metric": "pending_requests", "max": 10}"#, 0.0, 5.0, 0.0),
        ] {
            let found = value(json, had, times);
            assert!((found - has).abs() < 1e-12, "{json}: {found}");
        }
    }

    #[test]
    fn requests_are_divided_and_slowed_one_by_one() {
        let all = histogram(&[(0.1, 400.0), (0.2, 900.0), (f64::INFINITY, 1_000.0)]);
        let mut dice = Dice::new(1);
        let (mut taken, mut rounds) = (0.0, 0.0);
        for _ in 0..2_000 {
            let (Sample::Histogram(ours), Sample::Histogram(theirs)) = divided(&all, 0.1, &mut dice).unwrap() else {
                panic!("no histograms")
            };
            let sums: Vec<f64> = ours.buckets().iter().zip(theirs.buckets()).map(|(a, b)| a.1 + b.1).collect();
            assert_eq!(sums, [400.0, 900.0, 1_000.0]);
            taken += ours.buckets()[0].1;
            rounds += 1.0;
        }
        assert!((taken / rounds - 40.0).abs() < 0.6, "{}", taken / rounds);
        assert_eq!(slowed(&[(0.1, 400.0), (0.2, 900.0), (f64::INFINITY, 1_000.0)], 2.0)[0].1, 200.0);
        assert_eq!(
            slowed(&[(0.1, 400.0), (0.2, 900.0), (f64::INFINITY, 1_000.0)], 2.0)[1..],
            [(0.2, 400.0), (f64::INFINITY, 1_000.0)]
        );
        assert_eq!(divided(&Sample::value(1.0), 0.1, &mut dice), None);
    }

    /// The index of many scores is what was asked for.
    #[test]
    fn scores_drift_as_far_as_is_said() {
        let all: Vec<(f64, f64)> = (1..=20).map(|n| (f64::from(n) / 20.0, f64::from(n) * 5_000.0)).collect();
        let all = histogram(&[&all[..], &[(f64::INFINITY, 100_000.0)]].concat());
        let past = [all.clone()];
        let psi = gate(r#"{"name": "scores", "scores": "s", "max_psi": 0.1}"#);
        for times in [1.5, 3.0] {
            let regression = Regression::of(&psi, times, &past);
            let Sample::Histogram(found) = regression.inject(all.clone(), &mut Dice::new(1)) else { panic!("none") };
            let Sample::Histogram(had) = &all else { panic!("none") };
            let tenths = |of: &Histogram| -> Vec<f64> {
                let cells: Vec<f64> = cells(of.buckets()).map(|(_, count)| count / 100_000.0).collect();
                cells[..20].chunks(2).map(|pair| pair.iter().sum()).collect()
            };
            let index: f64 = tenths(&found).iter().zip(tenths(had)).map(|(p, q)| distance(*p, q)).sum();
            assert!((index - 0.1 * times).abs() < 0.01, "{times}: {index}");
        }
    }
}
