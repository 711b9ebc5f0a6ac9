//! Distributions, as `google.api.Distribution` writes them.

use serde_json::{Value, json};

/// Finite buckets: their bounds grow by a tenth from the scale on, to four million times that.
const FINITE: usize = 160;
const GROWTH: f64 = 1.1;

/// The scale of times: from 1 ms to a little over an hour.
pub(super) const MILLISECOND: f64 = 1.0;
/// The scale of shares.
pub(super) const SHARE: f64 = 0.001;

/// How values are spread.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Distribution {
    /// The underflow first, the overflow last.
    counts: Vec<u64>,
    /// The bound below the first finite bucket.
    scale: f64,
    sum: f64,
    squares: f64,
}

/// The bound below a bucket, in scales; none below the first.
fn below(bucket: usize) -> f64 {
    bucket.checked_sub(1).map_or(0.0, |power| GROWTH.powi(i32::try_from(power).unwrap_or(i32::MAX)))
}

impl Distribution {
    pub(super) fn new(scale: f64) -> Self {
        Self { counts: vec![0; FINITE + 2], scale, sum: 0.0, squares: 0.0 }
    }

    /// Adds `count` values.
    pub(super) fn add(&mut self, value: f64, count: u64) {
        let bucket = (1..FINITE + 2).rev().find(|bucket| value >= self.scale * below(*bucket)).unwrap_or(0);
        if let Some(counted) = self.counts.get_mut(bucket) {
            *counted += count;
        }
        self.sum += value * count as f64;
        self.squares += value * value * count as f64;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.sum += other.sum;
        self.squares += other.squares;
    }

    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub(super) fn mean(&self) -> f64 {
        self.sum / self.count().max(1) as f64
    }

    /// The value below which `percent` of the values are, as if they were spread evenly in each bucket.
    pub(super) fn percentile(&self, percent: f64) -> f64 {
        let wanted = self.count() as f64 * percent / 100.0;
        let mut before = 0.0;
        for (bucket, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let count = *count as f64;
            if before + count >= wanted {
                let within = ((wanted - before) / count).clamp(0.0, 1.0);
                return self.scale * (below(bucket) + within * (below(bucket + 1) - below(bucket)));
            }
            before += count;
        }
        0.0
    }

    pub(super) fn shown(&self) -> Value {
        let filled = self.counts.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
        let counts: Vec<String> = self.counts.iter().take(filled).map(u64::to_string).collect();
        let count = self.count();
        json!({
            "count": count.to_string(),
            "mean": self.mean(),
            "sumOfSquaredDeviation": (self.squares - self.mean() * self.sum).max(0.0),
            "bucketOptions": {
                "exponentialBuckets": { "numFiniteBuckets": FINITE, "growthFactor": GROWTH, "scale": self.scale },
            },
            "bucketCounts": counts,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fall_between_the_bounds_that_are_told() {
        let mut distribution = Distribution::new(MILLISECOND);
        for (value, count) in [(0.5, 1), (1.0, 2), (80.0, 90), (1e9, 3)] {
            distribution.add(value, count);
        }
        let shown = distribution.shown();
        let counts: Vec<&str> = shown["bucketCounts"].as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
        assert_eq!((counts[0], counts[1], counts.len(), counts[FINITE + 1]), ("1", "2", FINITE + 2, "3"));
        let bucket = counts.iter().position(|count| *count == "90").unwrap();
        assert!(below(bucket) <= 80.0 && 80.0 < below(bucket + 1));
        let median = distribution.percentile(50.0);
        assert!((below(bucket)..below(bucket + 1)).contains(&median), "{median}");
        let twice = {
            let mut twice = distribution.clone();
            twice.merge(&distribution);
            twice
        };
        assert_eq!((twice.count(), twice.mean()), (192, distribution.mean()));
    }
}
