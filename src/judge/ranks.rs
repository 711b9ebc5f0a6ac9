//! Midranks of two samples, the ground of every rank test (docs/judge.md section 3.5).

/// The ranks of two samples pooled.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ranks {
    /// Twice the midrank of every pooled value in ascending order, with whether it belongs to the first sample.
    doubled: Vec<(u64, bool)>,
    /// Sum over groups of ties of `t^3 - t`.
    pub(super) ties: f64,
    /// `U` of the first sample: pairs in which it is the larger, ties as half.
    pub(super) u: f64,
}

impl Ranks {
    /// Ranks `x` and `y`, which hold no NaN.
    pub(super) fn of(x: &[f64], y: &[f64]) -> Self {
        let mut pooled: Vec<(f64, bool)> = x.iter().map(|v| (*v, true)).chain(y.iter().map(|v| (*v, false))).collect();
        // `+ 0.0` makes -0 a 0, so that the total order agrees with equality.
        pooled.sort_by(|a, b| (a.0 + 0.0).total_cmp(&(b.0 + 0.0)));
        let (mut doubled, mut ties, mut sum, mut before) = (Vec::with_capacity(pooled.len()), 0.0, 0.0, 0);
        for group in pooled.chunk_by(|a, b| a.0 == b.0) {
            let size = group.len() as u64;
            let rank = 2 * before + size + 1;
            ties += (size as f64).powi(3) - size as f64;
            for (_, first) in group {
                doubled.push((rank, *first));
                sum += if *first { rank as f64 / 2.0 } else { 0.0 };
            }
            before += size;
        }
        let n = x.len() as f64;
        Self { doubled, ties, u: sum - n * (n + 1.0) / 2.0 }
    }

    /// Standard deviation of `U` under H0, corrected for ties, for samples of `n` and `m`.
    pub(super) fn deviation(&self, n: f64, m: f64) -> f64 {
        let total = n + m;
        (n * m / 12.0 * (total + 1.0 - self.ties / (total * (total - 1.0)))).max(0.0).sqrt()
    }

    /// Share of all ways to split the pooled values in which the first sample's rank sum is at least the observed one.
    ///
    /// Counts fit f64 exactly up to 24 values.
    pub(super) fn share_as_high(&self) -> f64 {
        let size = self.doubled.iter().filter(|(_, first)| *first).count();
        let observed: u64 = self.doubled.iter().filter(|(_, first)| *first).map(|(rank, _)| rank).sum();
        let highest: u64 = self.doubled.iter().map(|(rank, _)| rank).sum();
        // ways[k][s]: choices of k values with doubled rank sum s.
        let mut ways = vec![vec![0.0f64; highest as usize + 1]; size + 1];
        if let Some(none) = ways.first_mut().and_then(|row| row.first_mut()) {
            *none = 1.0;
        }
        for (rank, _) in &self.doubled {
            let rank = *rank as usize;
            for k in (1..=size).rev() {
                let (fewer, more) = ways.split_at_mut(k);
                if let (Some(from), Some(to)) = (fewer.last(), more.first_mut()) {
                    for (target, source) in to.iter_mut().skip(rank).zip(from) {
                        *target += source;
                    }
                }
            }
        }
        let row = ways.pop().unwrap_or_default();
        let high: f64 = row.iter().skip(observed as usize).sum();
        high / row.iter().sum::<f64>()
    }
}
