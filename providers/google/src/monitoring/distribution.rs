//! Distributions as histograms.

use mlroll_backend::{Histogram, Sample, Why};
use serde::Deserialize;

use super::wire::Number;

/// How the values of a metric are spread (google.api.Distribution).
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Distribution {
    pub(super) count: Number,
    mean: Number,
    pub(super) bucket_options: Options,
    /// The underflow first, the overflow last; zeros at the end are left out.
    pub(super) bucket_counts: Vec<Number>,
}

/// Where the bounds of the buckets are; one of the three.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Options {
    linear_buckets: Option<Linear>,
    exponential_buckets: Option<Exponential>,
    explicit_buckets: Option<Explicit>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Linear {
    num_finite_buckets: u32,
    width: f64,
    offset: f64,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Exponential {
    num_finite_buckets: u32,
    growth_factor: f64,
    scale: f64,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Explicit {
    bounds: Vec<f64>,
}

/// More buckets than any metric has (the API allows 200).
const MOST: u32 = 10_000;

impl Options {
    /// The finite bounds, rising.
    ///
    /// Of N finite buckets there are N + 1: linear `offset + width * i`, exponential `scale * growth_factor ^ i`
    /// (google/api/distribution.proto).
    fn bounds(&self) -> Vec<f64> {
        if let Some(linear) = &self.linear_buckets {
            let bound = |i: u32| linear.offset + linear.width * f64::from(i);
            return (0..=linear.num_finite_buckets.min(MOST)).map(bound).collect();
        }
        if let Some(exponential) = &self.exponential_buckets {
            let power = |i: u32| exponential.growth_factor.powi(i32::try_from(i).unwrap_or(i32::MAX));
            let bounds = 0..=exponential.num_finite_buckets.min(MOST);
            return bounds.map(|i| exponential.scale * power(i)).collect();
        }
        self.explicit_buckets.as_ref().map(|explicit| explicit.bounds.clone()).unwrap_or_default()
    }
}

impl Distribution {
    /// The mean, in the metric's own unit; none of no values.
    pub(super) fn mean(&self) -> Option<f64> {
        (self.count.0 > 0.0).then_some(self.mean.0)
    }

    /// How long requests took, when the unit of the metric is milliseconds.
    pub(super) fn latencies(&self) -> Sample {
        let inconsistent = |found: String| Sample::NoData(Why::Inconsistent { found });
        let bounds = self.bucket_options.bounds();
        if self.bucket_counts.len() > bounds.len() + 1 {
            let found = format!("{} buckets with {} bounds", self.bucket_counts.len(), bounds.len());
            return inconsistent(found);
        }
        let mut counts = self.bucket_counts.iter().map(|count| count.0);
        let mut sum = 0.0;
        let mut buckets = Vec::with_capacity(bounds.len() + 1);
        for bound in bounds {
            sum += counts.next().unwrap_or(0.0);
            buckets.push((bound / 1000.0, sum));
        }
        sum += counts.next().unwrap_or(0.0);
        buckets.push((f64::INFINITY, sum));
        if sum != self.count.0 {
            return inconsistent(format!("{sum} requests in the buckets of {}", self.count.0));
        }
        match Histogram::new(buckets) {
            Ok(histogram) => Sample::Histogram(histogram),
            Err(e) => inconsistent(e.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(json: &str) -> Sample {
        serde_json::from_str::<Distribution>(json).unwrap().latencies()
    }

    fn histogram(buckets: &[(f64, f64)]) -> Sample {
        Sample::Histogram(Histogram::new(buckets.to_vec()).unwrap())
    }

    #[test]
    fn all_three_kinds_of_bounds_are_read() {
        let inf = f64::INFINITY;
        let explicit =
            r#"{"count":"10","bucketOptions":{"explicitBuckets":{"bounds":[100,250]}},"bucketCounts":["6","3","1"]}"#;
        assert_eq!(sample(explicit), histogram(&[(0.1, 6.0), (0.25, 9.0), (inf, 10.0)]));
        let linear = r#"{"count":"3","bucketOptions":{"linearBuckets":{"numFiniteBuckets":2,"width":100,"offset":50}},"bucketCounts":["0","3"]}"#;
        assert_eq!(sample(linear), histogram(&[(0.05, 0.0), (0.15, 3.0), (0.25, 3.0), (inf, 3.0)]));
        let exponential = r#"{"count":"7","bucketOptions":{"exponentialBuckets":{"numFiniteBuckets":2,"growthFactor":2,"scale":1000}},"bucketCounts":["1","1","1","4"]}"#;
        assert_eq!(sample(exponential), histogram(&[(1.0, 1.0), (2.0, 2.0), (4.0, 3.0), (inf, 7.0)]));
        assert_eq!(sample("{}"), histogram(&[(inf, 0.0)]));
    }

    #[test]
    fn what_does_not_add_up_is_no_data() {
        for json in [
            r#"{"count":"9","bucketOptions":{"explicitBuckets":{"bounds":[100]}},"bucketCounts":["6","1"]}"#,
            r#"{"count":"7","bucketOptions":{"explicitBuckets":{"bounds":[100]}},"bucketCounts":["6","1","0"]}"#,
            r#"{"count":"7"}"#,
        ] {
            assert!(matches!(sample(json), Sample::NoData(Why::Inconsistent { .. })), "{json}");
        }
    }
}
