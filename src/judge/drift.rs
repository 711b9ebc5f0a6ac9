//! Drift of a model's own outputs: the population stability index and where it surely lies (docs/judge.md section 3.11).

use serde::{Deserialize, Serialize};

use super::counts::Counts;
use super::design_effect::DesignEffect;
use super::exact::Exact;
use super::histogram::Histogram;
use super::interval::{Interval, rate};

/// How far two histograms lie apart: the population stability index, `sum (p - q) ln(p / q)` over the shares of bins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drift {
    /// Of the shares as they are.
    pub index: f64,
    /// Where that of the true shares lies, at any look.
    pub lower: f64,
    /// Where that of the true shares lies, at any look.
    pub upper: f64,
}

/// What was counted for a gate on drift. Serializes exactly.
///
/// The first windows, until stable has been counted often enough, choose the bins and are no evidence of anything else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriftEvidence {
    /// Cumulative counts of stable while bins are chosen.
    first: Vec<(Exact, Exact)>,
    /// Upper bounds of all bins but the last, which has none; empty until they are chosen.
    bounds: Vec<Exact>,
    /// What was counted in each step, the one under way last.
    steps: Vec<Bins>,
    /// How many steps share alpha.
    planned: u64,
}

/// Counts of each bin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bins {
    candidate: Vec<Exact>,
    stable: Vec<Exact>,
}

/// A bin with a smaller share counts as one of this share: else a single request in an empty bin would be infinitely far.
const LEAST_SHARE: f64 = 1e-4;

/// Stable's requests from which bins are chosen.
const ENOUGH: f64 = 500.0;

/// Bins are made of whole buckets until they hold so much of stable: ten of them at most, as the index is commonly computed.
const SHARE_OF_BIN: f64 = 0.1;

impl DriftEvidence {
    /// Nothing counted yet, in a run of so many judged `steps`, at least 1.
    #[must_use]
    pub fn new(steps: u64) -> Self {
        Self { first: Vec::new(), bounds: Vec::new(), steps: vec![Bins::default()], planned: steps.max(1) }
    }

    /// Begins a step: what was counted before had another split.
    pub fn begin(&mut self) {
        if self.steps.last().is_none_or(|bins| *bins != Bins::default()) {
            self.steps.push(Bins::default());
        }
    }

    /// Books one window.
    ///
    /// # Errors
    /// The histograms have other buckets than the bins were made of, or do not say how many requests there were.
    pub fn look(&mut self, ours: &Histogram, theirs: &Histogram) -> Result<(), &'static str> {
        if self.bounds.is_empty() {
            self.choose(theirs);
            return Ok(());
        }
        let (candidate, stable) = (self.binned(ours)?, self.binned(theirs)?);
        if let Some(bins) = self.steps.last_mut() {
            add(&mut bins.candidate, candidate);
            add(&mut bins.stable, stable);
        }
        Ok(())
    }

    /// Whether the index is surely above `max` in any of the planned steps, which share `alpha`. Later ones say nothing.
    #[must_use]
    pub fn exceeds(&self, max: f64, alpha: f64, effect: DesignEffect) -> bool {
        let level = alpha / self.planned as f64;
        let mut judged = self.steps.iter().zip(0..self.planned);
        judged.any(|(bins, _)| bins.drift(level, effect).is_some_and(|drift| drift.lower > max))
    }

    /// Where the index of the step under way lies at level `1 - level`; `None` before anything was counted of both.
    #[must_use]
    pub fn drift(&self, level: f64, effect: DesignEffect) -> Option<Drift> {
        self.steps.last()?.drift(level, effect)
    }

    /// How many bins there are; 0 while they are not chosen.
    #[must_use]
    pub fn bins(&self) -> usize {
        if self.bounds.is_empty() { 0 } else { self.bounds.len() + 1 }
    }

    fn choose(&mut self, theirs: &Histogram) {
        let before: Vec<(f64, f64)> = self.first.iter().map(|(bound, count)| (bound.0, count.0)).collect();
        let before = Histogram::new(before).unwrap_or_default();
        let sum = Histogram::sum([&before, theirs]);
        let Some(total) = sum.total() else {
            return;
        };
        if total >= ENOUGH {
            self.bounds = bins_of(&sum, total).into_iter().map(Exact).collect();
        }
        self.first = if self.bounds.is_empty() {
            sum.buckets().iter().map(|(bound, count)| (Exact(*bound), Exact(*count))).collect()
        } else {
            Vec::new()
        };
    }

    /// The counts of each bin.
    fn binned(&self, histogram: &Histogram) -> Result<Vec<f64>, &'static str> {
        let Some(total) = histogram.total() else {
            return Ok(vec![0.0; self.bins()]);
        };
        let upto = |bound: &Exact| -> Result<f64, &'static str> {
            if !histogram.has_bound(bound.0) {
                return Err("the buckets of the histogram have changed");
            }
            let above = histogram.above(bound.0).map_err(|_| "the counts of the histogram are too large")?;
            Ok(total - above.at_least.events())
        };
        let cumulative = self.bounds.iter().map(upto).collect::<Result<Vec<f64>, _>>()?;
        let mut below = 0.0;
        let part = |upto: f64| {
            let count = (upto - below).max(0.0);
            below = upto;
            count
        };
        Ok(cumulative.into_iter().chain([total]).map(part).collect())
    }
}

/// The upper bounds of all bins but the last: whole buckets, until a bin has its share of what `sum` counts. Where a single bucket
/// has it all, there is a bin on either side of it.
#[must_use]
pub fn bins_of(sum: &Histogram, total: f64) -> Vec<f64> {
    let mut bounds: Vec<f64> = Vec::new();
    let mut below = 0.0;
    for (bound, count) in sum.buckets().iter().filter(|(bound, _)| bound.is_finite()) {
        if (count - below) / total >= SHARE_OF_BIN {
            bounds.push(*bound);
            below = *count;
        }
    }
    // What is left for the last bin would be next to nothing: it goes to the one before.
    if bounds.len() > 1 && (total - below) / total < SHARE_OF_BIN / 2.0 {
        bounds.pop();
    }
    if let [only] = bounds.as_slice()
        && let Some(start) = sum.bounds().take_while(|bound| bound < only).last()
    {
        bounds.insert(0, start);
    }
    if bounds.is_empty() {
        // Everything is above all bounds, or so it seems.
        bounds.extend(sum.bounds().last());
    }
    bounds
}

fn add(sums: &mut Vec<Exact>, counts: Vec<f64>) {
    if sums.is_empty() {
        *sums = counts.into_iter().map(Exact).collect();
    } else {
        for (sum, count) in sums.iter_mut().zip(counts) {
            sum.0 += count;
        }
    }
}

impl Bins {
    /// Where the index lies at level `1 - level`: each share of each revision in an interval at its part of `level`, all at once.
    fn drift(&self, level: f64, effect: DesignEffect) -> Option<Drift> {
        let total = |counts: &[Exact]| counts.iter().map(|count| count.0).sum::<f64>();
        let (ours, theirs) = (total(&self.candidate), total(&self.stable));
        if ours <= 0.0 || theirs <= 0.0 {
            return None;
        }
        let each = level / (2 * self.candidate.len().max(1)) as f64;
        let within = |count: f64, total: f64| -> Option<(f64, f64)> {
            let factor = effect.factor();
            let counts = Counts::new(total / factor, count.min(total) / factor).ok()?;
            let interval = rate(counts, None, each);
            Some((interval.lower, interval.upper.unwrap_or(1.0)))
        };
        let mut drift = Drift { index: 0.0, lower: 0.0, upper: 0.0 };
        for (candidate, stable) in self.candidate.iter().zip(&self.stable) {
            drift.index += distance(candidate.0 / ours, stable.0 / theirs);
            let ((low, high), (from, to)) = (within(candidate.0, ours)?, within(stable.0, theirs)?);
            // Nearest where the two intervals face each other, and nowhere apart where they overlap.
            drift.lower += if low > to {
                distance(low, to)
            } else if from > high {
                distance(high, from)
            } else {
                0.0
            };
            drift.upper += distance(low, to).max(distance(high, from));
        }
        Some(drift)
    }
}

impl From<Drift> for Interval {
    fn from(drift: Drift) -> Self {
        Self { lower: drift.lower, upper: Some(drift.upper) }
    }
}

/// What one bin adds to the index.
#[must_use]
pub fn distance(p: f64, q: f64) -> f64 {
    let (p, q) = (p.max(LEAST_SHARE), q.max(LEAST_SHARE));
    (p - q) * (p / q).ln()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INF: f64 = f64::INFINITY;

    /// Scores in tenths: as many requests in each of the ten buckets as are said, and none in the others.
    fn tenths(counts: &[f64]) -> Histogram {
        let mut sum = 0.0;
        let upto = |(n, count): (usize, &f64)| {
            sum += count;
            ((n + 1) as f64 / 10.0, sum)
        };
        let all = counts.iter().chain([0.0; 10].iter().skip(counts.len()));
        let mut buckets: Vec<(f64, f64)> = all.enumerate().map(upto).collect();
        buckets.push((INF, sum));
        Histogram::new(buckets).unwrap()
    }

    fn of(first: &Histogram, ours: &Histogram, theirs: &Histogram) -> DriftEvidence {
        let mut evidence = DriftEvidence::new(1);
        evidence.look(first, first).unwrap();
        evidence.look(ours, theirs).unwrap();
        evidence
    }

    #[test]
    fn the_index_is_the_sum_over_bins() {
        let stable = tenths(&[100.0; 10]);
        let candidate = tenths(&[200.0, 200.0, 100.0, 100.0, 100.0, 100.0, 100.0, 50.0, 25.0, 25.0]);
        let drift = of(&stable, &candidate, &stable).drift(0.05, DesignEffect::NONE).unwrap();
        // 2 x 0.1 ln 2, 0.05 ln 2, 2 x 0.075 ln 4.
        let by_hand = (2.0 * 0.1 + 0.05 + 2.0 * 0.075 * 2.0) * std::f64::consts::LN_2;
        assert!((drift.index - by_hand).abs() < 1e-12, "{drift:?}");
        assert!(drift.lower < drift.index && drift.index < drift.upper, "{drift:?}");
    }

    #[test]
    fn more_requests_tell_more_and_bursts_tell_less() {
        let drift = |times: f64, effect: f64| {
            let stable = tenths(&[100.0 * times; 10]);
            let candidate = tenths(&[20.0 * times, 10.0 * times, 5.0 * times, 5.0 * times]);
            let effect = DesignEffect::new(effect).unwrap();
            of(&stable, &candidate, &stable).drift(0.05, effect).unwrap()
        };
        let (few, many, bursty) = (drift(1.0, 1.0), drift(10.0, 1.0), drift(10.0, 10.0));
        assert!(few.lower < many.lower && many.upper < few.upper);
        assert!(
            (bursty.lower - few.lower).abs() < 1e-9 && (bursty.upper - few.upper).abs() < 1e-9,
            "{bursty:?} {few:?}"
        );
    }

    #[test]
    fn bins_are_tenths_of_stable_made_of_whole_buckets() {
        let bins = |counts: &[f64]| {
            let sum = tenths(counts);
            bins_of(&sum, sum.total().unwrap())
        };
        assert_eq!(bins(&[50.0; 10]), [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]);
        // 6 % are too few, and 12 % are enough; what is above 0.6 is nothing.
        assert_eq!(bins(&[0.0, 30.0, 30.0, 30.0, 300.0, 110.0]), [0.3, 0.5]);
        // All in one bucket: what comes to lie beside it is seen.
        assert_eq!(bins(&[0.0, 0.0, 500.0]), [0.2, 0.3]);
        assert_eq!(bins(&[500.0]), [0.1]);
    }

    #[test]
    fn the_first_windows_choose_bins_and_are_no_evidence() {
        let (few, half) = (tenths(&[20.0; 10]), tenths(&[30.0; 10]));
        let mut evidence = DriftEvidence::new(1);
        for (window, bins) in [(&few, 0), (&half, 10)] {
            evidence.look(&tenths(&[0.0, 0.0, 900.0]), window).unwrap();
            assert_eq!((evidence.bins(), evidence.drift(0.05, DesignEffect::NONE)), (bins, None));
        }
        evidence.look(&half, &half).unwrap();
        assert_eq!(evidence.drift(0.05, DesignEffect::NONE).map(|drift| drift.index), Some(0.0));
        let other = Histogram::new(vec![(0.15, 3.0), (INF, 4.0)]).unwrap();
        assert!(evidence.look(&other, &half).is_err(), "other buckets cannot be put into these bins");
    }

    #[test]
    fn steps_share_alpha_and_are_told_apart() {
        let (stable, candidate) = (tenths(&[1000.0; 10]), tenths(&[500.0, 500.0, 100.0]));
        let mut evidence = DriftEvidence::new(2);
        evidence.look(&stable, &stable).unwrap();
        evidence.look(&candidate, &stable).unwrap();
        assert!(evidence.exceeds(0.2, 0.01, DesignEffect::NONE));
        evidence.begin();
        assert_eq!(evidence.drift(0.05, DesignEffect::NONE), None, "nothing is counted in this step yet");
        assert!(evidence.exceeds(0.2, 0.01, DesignEffect::NONE), "what an earlier one has shown stays shown");
        let mut late = DriftEvidence::new(1);
        late.look(&stable, &stable).unwrap();
        late.look(&stable, &stable).unwrap();
        late.begin();
        late.look(&candidate, &stable).unwrap();
        assert!(!late.exceeds(0.2, 0.01, DesignEffect::NONE), "the only step that was planned is over");
    }

    /// 200 runs of 10 looks of a candidate that drifts by exactly what is allowed.
    #[test]
    fn what_is_allowed_is_rarely_called_too_far() {
        let theirs = [0.1; 10];
        let ours = [0.175, 0.15, 0.1, 0.1, 0.1, 0.1, 0.1, 0.075, 0.05, 0.05];
        let truth: f64 = ours.iter().zip(theirs).map(|(p, q)| distance(*p, q)).sum();
        let mut state = 11_u64;
        let mut dice = move || {
            // A generator by Steele, Lea and Flood (splitmix64).
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        };
        let mut draw = |shares: &[f64; 10], requests: usize| {
            let mut counts = [0.0; 10];
            for _ in 0..requests {
                let mut at = dice();
                let place = shares.iter().position(|share| {
                    at -= share;
                    at < 0.0
                });
                counts[place.unwrap_or(9)] += 1.0;
            }
            tenths(&counts)
        };
        let (mut above, mut below, mut wrong) = (0, 0, 0);
        for _ in 0..200 {
            let mut evidence = DriftEvidence::new(1);
            evidence.look(&Histogram::default(), &tenths(&[100.0; 10])).unwrap();
            let (mut fails, mut passes) = (false, false);
            for _ in 0..10 {
                evidence.look(&draw(&ours, 200), &draw(&theirs, 400)).unwrap();
                fails |= evidence.exceeds(truth, 0.2, DesignEffect::NONE);
                passes |= evidence.drift(0.2, DesignEffect::NONE).unwrap().upper < truth;
            }
            above += u32::from(fails);
            below += u32::from(passes);
            wrong += u32::from(evidence.exceeds(truth / 40.0, 0.2, DesignEffect::NONE));
        }
        assert!(above <= 40 && below <= 40, "{above} {below}");
        assert!(wrong > 100, "a test that shows nothing would be none: {wrong}");
    }

    proptest! {
        #[test]
        fn bounds_hold_the_index_and_survive_storage(
            looks in proptest::collection::vec((proptest::collection::vec(0.0..1e6_f64, 1..=10), proptest::collection::vec(0.0..1e6_f64, 1..=10)), 1..8),
            stored in 0..8_usize,
            level in 1e-6..0.5_f64,
        ) {
            let mut evidence = DriftEvidence::new(3);
            let mut restored = evidence.clone();
            for (n, (ours, theirs)) in looks.iter().enumerate() {
                if n == stored {
                    restored = serde_json::from_str(&serde_json::to_string(&restored).unwrap()).unwrap();
                }
                let (ours, theirs) = (tenths(ours), tenths(theirs));
                prop_assert_eq!(evidence.look(&ours, &theirs), restored.look(&ours, &theirs));
                prop_assert_eq!(&evidence, &restored);
                if let Some(Drift { index, lower, upper }) = evidence.drift(level, DesignEffect::NONE) {
                    prop_assert!(0.0 <= lower && lower <= index + 1e-9 && index <= upper + 1e-9 && upper.is_finite());
                }
            }
        }
    }
}
