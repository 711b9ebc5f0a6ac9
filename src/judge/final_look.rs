//! The exact conditional test at the end of a bake (docs/judge.md section 3.9, step 4).

use super::counts::Counts;
use super::ledger::Direction;
use super::math::ln_choose;

/// Above this many events the ledger has decided long ago, and the exact sum would take too long.
pub const MOST_EVENTS: f64 = 1e6;

/// Probabilities below this are dropped: p-values are exact down to about 1e-35.
const NEGLIGIBLE: f64 = 1e-40;

/// The one-sided p-value of `p_c <= ratio p_b` (`Up`) or `p_c >= ratio p_b` (`Down`), given the events of each stratum:
/// `P( sum_s Bin(x_c + x_b, ratio n_c / (ratio n_c + n_b)) >= sum x_c )`, and `<=` for `Down`.
///
/// Strata are stages with an equal split; those without requests on a side say nothing. Counts that were extrapolated are
/// rounded. Needs a design effect of 1 and no slack. `None` above [`MOST_EVENTS`] events.
#[must_use]
pub fn p_value(strata: &[(Counts, Counts)], ratio: f64, direction: Direction) -> Option<f64> {
    let mut split: Vec<(f64, f64)> = Vec::new();
    let (mut observed, mut total) = (0.0, 0.0);
    for (candidate, stable) in strata {
        if candidate.requests() <= 0.0 || stable.requests() <= 0.0 {
            continue;
        }
        let (x_c, x_b) = (candidate.events().round(), stable.events().round());
        let weighted = ratio * candidate.requests();
        observed += x_c;
        total += x_c + x_b;
        split.push((weighted / (weighted + stable.requests()), x_c + x_b));
    }
    if total > MOST_EVENTS {
        return None;
    }
    let mut sum = Distribution { first: 0, shares: vec![1.0] };
    for (share, events) in merged(split) {
        sum = sum.plus(&Distribution::binomial(events, share));
    }
    Some(sum.tail(observed as usize, direction).min(1.0))
}

/// Strata with the same share are one binomial.
fn merged(mut split: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    split.sort_by(|a, b| a.0.total_cmp(&b.0));
    let groups = split.chunk_by(|a, b| (a.0 - b.0).abs() <= 1e-14 * a.0);
    groups.filter_map(|group| Some((group.first()?.0, group.iter().map(|(_, events)| events).sum()))).collect()
}

/// Probabilities of `first`, `first + 1`, ..
#[derive(Debug)]
struct Distribution {
    first: usize,
    shares: Vec<f64>,
}

impl Distribution {
    fn binomial(n: f64, share: f64) -> Self {
        if n <= 0.0 || share <= 0.0 {
            return Self { first: 0, shares: vec![1.0] };
        }
        if share >= 1.0 {
            return Self { first: n as usize, shares: vec![1.0] };
        }
        // From the mode outwards: ratios of neighbours keep their digits, and nothing underflows.
        let mode = ((n + 1.0) * share).floor().min(n);
        let odds = share / (1.0 - share);
        let peak = (ln_choose(n, mode) + mode * share.ln() + (n - mode) * (-share).ln_1p()).exp();
        let mut below: Vec<f64> = Vec::new();
        let (mut k, mut p) = (mode, peak);
        while k > 0.0 && p > NEGLIGIBLE {
            p *= k / ((n - k + 1.0) * odds);
            k -= 1.0;
            below.push(p);
        }
        let first = k as usize;
        let mut shares: Vec<f64> = below.into_iter().rev().chain([peak]).collect();
        (k, p) = (mode, peak);
        while k < n && p > NEGLIGIBLE {
            p *= (n - k) * odds / (k + 1.0);
            k += 1.0;
            shares.push(p);
        }
        Self { first, shares }
    }

    /// The distribution of the sum of two independent counts.
    fn plus(&self, other: &Self) -> Self {
        let mut shares = vec![0.0; self.shares.len() + other.shares.len() - 1];
        for (offset, p) in self.shares.iter().enumerate() {
            for (target, q) in shares.iter_mut().skip(offset).zip(&other.shares) {
                *target += p * q;
            }
        }
        let mut first = self.first + other.first;
        while shares.last().is_some_and(|p| *p < NEGLIGIBLE) {
            shares.pop();
        }
        let idle = shares.iter().take_while(|p| **p < NEGLIGIBLE).count();
        first += idle;
        shares.drain(..idle);
        Self { first, shares }
    }

    /// `P(>= at)` for `Up`, `P(<= at)` for `Down`; the small terms first.
    fn tail(&self, at: usize, direction: Direction) -> f64 {
        match direction {
            Direction::Down => self.shares.iter().take((at + 1).saturating_sub(self.first)).sum(),
            Direction::Up => self.shares.iter().skip(at.saturating_sub(self.first)).rev().sum(),
        }
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    fn stratum(x_c: f64, n_c: f64, x_b: f64, n_b: f64) -> (Counts, Counts) {
        (Counts::new(n_c, x_c).unwrap(), Counts::new(n_b, x_b).unwrap())
    }

    #[test]
    fn nothing_observed_is_no_evidence() {
        for direction in [Direction::Up, Direction::Down] {
            assert_eq!(p_value(&[], 1.0, direction), Some(1.0));
            assert_eq!(p_value(&[stratum(0.0, 5.0, 0.0, 5.0)], 1.0, direction), Some(1.0));
            assert_eq!(p_value(&[stratum(5.0, 5.0, 0.0, 0.0)], 1.0, direction), Some(1.0));
        }
    }

    #[test]
    fn equal_splits_are_one_binomial() {
        let p = p_value(&[stratum(3.0, 10.0, 1.0, 10.0), stratum(1.0, 50.0, 0.0, 50.0)], 1.0, Direction::Up).unwrap();
        assert!((p - 6.0 / 32.0).abs() < 1e-15);
    }

    #[test]
    fn many_events_are_summed_quickly_and_too_many_not_at_all() {
        let strata: Vec<_> = (0..60).map(|k| stratum(1e3, 1e5, 9e3, 9e5 + f64::from(k))).collect();
        let p = p_value(&strata, 1.0, Direction::Up).unwrap();
        assert!((p - 0.5).abs() < 0.01, "{p}");
        assert_eq!(p_value(&[stratum(1e6, 1e9, 1e6, 1e9)], 1.0, Direction::Up), None);
    }
}
