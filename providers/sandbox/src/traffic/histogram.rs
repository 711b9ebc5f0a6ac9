//! How long requests took, to within half a percent.

use std::sync::LazyLock;

/// The ratio of neighbouring values is e to this: 1 %.
const WIDTH: f64 = 0.009_950_330_853_168_083;

/// The shortest that is told apart: 10 microseconds.
const SHORTEST: f64 = 1e-5;

/// Up to a little over an hour; what takes longer counts as this long.
pub(super) const BINS: usize = 1_990;

/// The bounds of the buckets that are counted for Prometheus, in seconds: those of its client libraries, and 0.3. The last
/// bucket has no bound.
pub const BOUNDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0];

/// What each bin stands for: the value in its middle, in seconds, and the bucket of [`BOUNDS`] that it falls into.
static VALUES: LazyLock<Vec<(f64, usize)>> = LazyLock::new(|| {
    let value = |bin: usize| SHORTEST * ((bin as f64 + 0.5) * WIDTH).exp();
    (0..BINS).map(value).map(|value| (value, BOUNDS.partition_point(|bound| *bound < value))).collect()
});

/// The bin of a latency that is e to `ln` seconds.
#[inline]
pub(super) fn bin(ln: f64) -> usize {
    // A negative or undefined number becomes 0, one too large the largest.
    (((ln - SHORTEST_LN) / WIDTH) as usize).min(BINS - 1)
}

/// The natural logarithm of [`SHORTEST`].
const SHORTEST_LN: f64 = -11.512_925_464_970_229;

/// The value and the bucket of a bin.
#[inline]
pub(super) fn value(bin: usize) -> (f64, usize) {
    VALUES.get(bin).copied().unwrap_or((0.0, 0))
}

/// Latencies in bins whose values are 1 % apart: an answer from it is within 0.5 % of the one from the raw values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Bins that are not empty, in order.
    bins: Vec<(u16, u64)>,
}

impl Histogram {
    pub(super) fn from_counts(counts: &[u32]) -> Self {
        let filled = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        Self { bins: filled.map(|(bin, count)| (bin as u16, u64::from(*count))).collect() }
    }

    /// Adds another's requests.
    pub fn merge(&mut self, other: &Self) {
        if self.bins.is_empty() {
            self.bins.clone_from(&other.bins);
            return;
        }
        let mut merged = Vec::with_capacity(self.bins.len() + other.bins.len());
        let (mut left, mut right) = (self.bins.iter().copied().peekable(), other.bins.iter().copied().peekable());
        loop {
            match (left.peek().copied(), right.peek().copied()) {
                (Some(a), Some(b)) if a.0 == b.0 => {
                    merged.push((a.0, a.1 + b.1));
                    left.next();
                    right.next();
                }
                (Some(a), b) if b.is_none_or(|b| a.0 < b.0) => {
                    merged.push(a);
                    left.next();
                }
                (_, Some(b)) => {
                    merged.push(b);
                    right.next();
                }
                (_, None) => break,
            }
        }
        self.bins = merged;
    }

    /// The values in seconds, ascending, with how many requests took as long.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (f64, u64)> {
        self.bins.iter().map(|(bin, count)| (value(usize::from(*bin)).0, *count))
    }

    /// How many requests there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.bins.iter().map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_within_half_a_percent_of_its_bin() {
        for latency in [0.000_02, 0.005, 0.08, 0.2999, 1.0, 59.9, 3000.0_f64] {
            let (middle, bucket) = value(bin(latency.ln()));
            assert!((middle / latency - 1.0).abs() < 0.005_1, "{latency} {middle}");
            assert!(bucket == BOUNDS.len() || middle <= BOUNDS[bucket]);
        }
        assert_eq!(bin(f64::NEG_INFINITY), 0);
        assert_eq!(bin(f64::NAN), 0);
        assert_eq!(bin(f64::INFINITY), BINS - 1);
        assert!((SHORTEST.ln() - SHORTEST_LN).abs() < 1e-12);
    }

    #[test]
    fn merging_adds_up() {
        let mut counts = vec![0; BINS];
        counts[3] = 2;
        counts[700] = 1;
        let mut one = Histogram::from_counts(&counts);
        counts[3] = 0;
        counts[5] = 4;
        let two = Histogram::from_counts(&counts);
        one.merge(&two);
        assert_eq!(one.count(), 8);
        assert_eq!(one.iter().map(|(_, count)| count).collect::<Vec<_>>(), [2, 4, 2]);
        let mut none = Histogram::default();
        none.merge(&one);
        assert_eq!(none, one);
    }
}
