//! Histograms of latencies or scores: exceedances at a threshold, and quantiles as Prometheus computes them (docs/judge.md
//! section 3.4).

use super::counts::{Counts, InvalidCounts};

/// Cumulative buckets of one revision in one look: upper bound in the metric's unit (seconds), count up to it.
///
/// Sorted by bound, one entry per bound, counts never decreasing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    buckets: Vec<(f64, f64)>,
}

/// How many requests were above a threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exceedances {
    /// Surely above: those above the next bucket bound. Equal to `at_most` when the threshold is a bound.
    pub at_least: Counts,
    /// Possibly above: those above the bucket bound below.
    pub at_most: Counts,
}

impl Exceedances {
    /// No requests.
    pub const NONE: Self = Self { at_least: Counts::NONE, at_most: Counts::NONE };
}

impl Histogram {
    /// A histogram from cumulative `(upper bound, count)` pairs in any order. Equal bounds are added; counts that decrease are
    /// raised to the running maximum, relative differences under 1e-12 are rounding and are levelled (as Prometheus does).
    ///
    /// # Errors
    /// A bound is NaN or minus infinity, or a count is not from 0 to 1e15.
    pub fn new(mut buckets: Vec<(f64, f64)>) -> Result<Self, String> {
        for (bound, count) in &buckets {
            if bound.is_nan() || *bound == f64::NEG_INFINITY {
                return Err(format!("a bucket bound must be a number or \"+Inf\", not {bound}"));
            }
            if !(0.0..=Counts::MOST).contains(count) {
                return Err(format!("a bucket count must be a number from 0 to 1e15, not {count}"));
            }
        }
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut merged: Vec<(f64, f64)> = Vec::with_capacity(buckets.len());
        for (bound, count) in buckets {
            match merged.last_mut() {
                // `==` and not bits: 0 and -0 are one bound.
                Some(last) if last.0 == bound => last.1 += count,
                Some(_) | None => merged.push((bound, count)),
            }
        }
        let mut highest: Option<f64> = None;
        for (_, count) in &mut merged {
            *count = match highest {
                Some(previous) if *count < previous || nearly_equal(previous, *count) => previous,
                Some(_) | None => *count,
            };
            highest = Some(*count);
        }
        Ok(Self { buckets: merged })
    }

    /// All requests, or `None` without a `+Inf` bucket: then nobody knows the total.
    #[must_use]
    pub fn total(&self) -> Option<f64> {
        self.buckets.last().filter(|(bound, _)| *bound == f64::INFINITY).map(|(_, count)| *count)
    }

    /// The buckets: upper bounds, ascending, and counts up to them.
    #[must_use]
    pub fn buckets(&self) -> &[(f64, f64)] {
        &self.buckets
    }

    /// The finite bucket bounds, ascending.
    pub fn bounds(&self) -> impl Iterator<Item = f64> {
        self.buckets.iter().map(|(bound, _)| *bound).filter(|bound| bound.is_finite())
    }

    /// All windows together. Windows with other bounds make the sum an approximation.
    #[must_use]
    pub fn sum<'a>(windows: impl IntoIterator<Item = &'a Self>) -> Self {
        let buckets = windows.into_iter().filter(|w| w.total().is_some()).flat_map(|w| w.buckets.iter().copied());
        Self::new(buckets.collect()).unwrap_or_default()
    }

    /// Whether `threshold` is a bucket bound, so that exceedances are exact.
    #[must_use]
    pub fn has_bound(&self, threshold: f64) -> bool {
        self.buckets.iter().any(|(bound, _)| same_bound(*bound, threshold))
    }

    /// The requests above `threshold` (finite, in the unit of the bounds); none without a `+Inf` bucket.
    ///
    /// # Errors
    /// Equal bounds added up to more than 1e15.
    pub fn above(&self, threshold: f64) -> Result<Exceedances, InvalidCounts> {
        let Some(total) = self.total() else {
            return Ok(Exceedances::NONE);
        };
        let upper = self.buckets.iter().find(|(bound, _)| same_bound(*bound, threshold) || *bound > threshold);
        let lower = self.buckets.iter().rev().find(|(bound, _)| same_bound(*bound, threshold) || *bound < threshold);
        Ok(Exceedances {
            at_least: Counts::new(total, upper.map_or(0.0, |(_, count)| total - count))?,
            at_most: Counts::new(total, lower.map_or(total, |(_, count)| total - count))?,
        })
    }

    /// The `q` quantile as `histogram_quantile` of Prometheus on classic buckets; NaN where that gives NaN.
    #[must_use]
    pub fn quantile(&self, q: f64) -> f64 {
        let (Some(total), Some(highest)) = (self.total(), self.buckets.iter().rev().nth(1)) else {
            return f64::NAN;
        };
        if q.is_nan() || total == 0.0 {
            return f64::NAN;
        }
        if q < 0.0 {
            return f64::NEG_INFINITY;
        }
        if q > 1.0 {
            return f64::INFINITY;
        }
        let rank = q * total;
        let mut previous: Option<(f64, f64)> = None;
        for (bound, count) in &self.buckets {
            if *bound == f64::INFINITY {
                break;
            }
            if *count >= rank {
                return match previous {
                    None if *bound <= 0.0 => *bound,
                    None => bound * (rank / count),
                    Some((start, below)) => start + (bound - start) * ((rank - below) / (count - below)),
                };
            }
            previous = Some((*bound, *count));
        }
        highest.0
    }

    /// The finite bucket bound nearest to `value`, the lower one on a tie: a threshold frozen before the bake.
    #[must_use]
    pub fn nearest_bound(&self, value: f64) -> Option<f64> {
        let finite = self.buckets.iter().map(|(bound, _)| *bound).filter(|bound| bound.is_finite());
        finite.min_by(|a, b| (a - value).abs().total_cmp(&(b - value).abs()))
    }
}

/// A bound written as 0.3 and a threshold computed as 300 / 1000 are the same.
fn same_bound(bound: f64, threshold: f64) -> bool {
    bound == threshold || (bound - threshold).abs() <= 1e-9 * threshold.abs()
}

/// Prometheus' `almost.Equal` at 1e-12.
fn nearly_equal(a: f64, b: f64) -> bool {
    let (difference, sum) = ((a - b).abs(), a.abs() + b.abs());
    if a == b {
        return true;
    }
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < 1e-12 * f64::MIN_POSITIVE;
    }
    difference / sum < 1e-12
}

#[cfg(test)]
mod tests {

    use super::*;

    const INF: f64 = f64::INFINITY;

    fn histogram(buckets: &[(f64, f64)]) -> Histogram {
        Histogram::new(buckets.to_vec()).unwrap()
    }

    #[test]
    fn counts_what_is_above_a_bound() {
        let latency = histogram(&[(0.1, 12.0), (0.3, 17.0), (INF, 20.0)]);
        let at_bound = latency.above(0.3).unwrap();
        assert_eq!((at_bound.at_least.events(), at_bound.at_most.events()), (3.0, 3.0));
        assert!(latency.has_bound(300.0 / 1000.0));
        let between = latency.above(0.2).unwrap();
        assert_eq!((between.at_least.events(), between.at_most.events()), (3.0, 8.0));
        let below = latency.above(0.05).unwrap();
        assert_eq!((below.at_least.events(), below.at_most.events()), (8.0, 20.0));
        let above = latency.above(5.0).unwrap();
        assert_eq!((above.at_least.events(), above.at_most.events()), (0.0, 3.0));
    }

    #[test]
    fn without_an_infinite_bucket_there_is_no_total() {
        assert_eq!(histogram(&[(0.1, 12.0), (0.3, 17.0)]).above(0.1).unwrap(), Exceedances::NONE);
        assert_eq!(histogram(&[]).above(0.1).unwrap(), Exceedances::NONE);
    }

    #[test]
    fn quantiles_are_those_of_prometheus() {
        let latency = histogram(&[(0.3, 17.0), (INF, 20.0), (0.1, 12.0)]);
        let cases = [(0.0, 0.0), (0.3, 0.05), (0.6, 0.1), (0.7, 0.18), (0.85, 0.3), (0.95, 0.3), (1.0, 0.3)];
        for (q, want) in cases {
            assert!((latency.quantile(q) - want).abs() < 1e-12, "{q}: {}", latency.quantile(q));
        }
        assert_eq!(latency.quantile(-0.1), f64::NEG_INFINITY);
        assert_eq!(latency.quantile(1.1), INF);
        assert_eq!(histogram(&[(-1.0, 5.0), (2.0, 6.0), (INF, 6.0)]).quantile(0.5), -1.0);
        for nothing in [&[(0.1, 5.0), (0.3, 6.0)][..], &[(INF, 5.0)], &[(0.1, 0.0), (INF, 0.0)], &[]] {
            assert!(histogram(nothing).quantile(0.5).is_nan());
        }
        assert!(latency.quantile(f64::NAN).is_nan());
    }

    #[test]
    fn repairs_counts_as_prometheus_does() {
        assert_eq!(
            histogram(&[(0.1, 10.0), (0.1, 2.0), (0.2, 11.0), (0.3, 12.0 * (1.0 + 1e-13)), (INF, 20.0)]),
            histogram(&[(0.1, 12.0), (0.2, 12.0), (0.3, 12.0), (INF, 20.0)]),
        );
    }

    #[test]
    fn refuses_what_is_no_histogram() {
        for bucket in [(f64::NAN, 1.0), (-INF, 1.0), (0.1, -1.0), (0.1, f64::NAN), (0.1, INF)] {
            assert!(Histogram::new(vec![bucket]).is_err(), "{bucket:?}");
        }
    }

    #[test]
    fn finds_the_nearest_bound() {
        let latency = histogram(&[(0.1, 12.0), (0.3, 17.0), (INF, 20.0)]);
        assert_eq!(latency.nearest_bound(0.24), Some(0.3));
        assert_eq!(latency.nearest_bound(9.0), Some(0.3));
        assert_eq!(histogram(&[(INF, 20.0)]).nearest_bound(0.2), None);
    }
}
