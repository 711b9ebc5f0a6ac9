//! Kayenta's score over several metrics (docs/judge.md section 2, "Kayenta exactly").

use serde::{Deserialize, Serialize};

use super::kayenta::{Classification, Judged};

/// What one metric is to the score.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stake {
    /// A fail of it makes the whole score 0.
    pub critical: bool,
    /// The least effect of a High that does so; any when none is set.
    pub critical_increase: Option<f64>,
    /// The greatest effect of a Low that does so; any when none is set.
    pub critical_decrease: Option<f64>,
    /// `mustHaveData`: Nodata fails.
    pub must_have_data: bool,
}

/// One classified metric. Serializes exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// Kayenta's word.
    pub classification: Classification,
    /// `mustHaveData`: Nodata fails.
    pub must_have_data: bool,
    /// A critical metric that fails beyond its critical thresholds makes the whole score 0.
    pub critical: bool,
    /// Whether the effect is beyond `criticalIncrease` or `criticalDecrease`; true when none is set.
    pub beyond_critical: bool,
}

/// Metrics that share a weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Share of the group in the score, >= 0; relative to the other groups.
    pub weight: f64,
    /// Its metrics.
    pub metrics: Vec<Metric>,
}

impl Metric {
    /// What was judged of it.
    #[must_use]
    pub fn of(judged: &Judged, stake: &Stake) -> Self {
        let beyond_critical = match (judged.classification, judged.effect) {
            (Classification::High, Some(effect)) => stake.critical_increase.is_none_or(|least| effect >= least),
            (Classification::Low, Some(effect)) => stake.critical_decrease.is_none_or(|most| effect <= most),
            (Classification::High | Classification::Low | Classification::Nodata | Classification::Pass, _) => true,
        };
        let &Stake { critical, must_have_data, .. } = stake;
        Self { classification: judged.classification, must_have_data, critical, beyond_critical }
    }

    fn fails(&self) -> bool {
        match self.classification {
            Classification::High | Classification::Low => true,
            Classification::Nodata => self.must_have_data,
            Classification::Pass => false,
        }
    }

    /// Nodata that does not fail is left out of the score.
    fn counts(&self) -> bool {
        self.fails() || self.classification == Classification::Pass
    }
}

/// The score, 0 to 100: the weighted mean of the groups' shares of Pass.
///
/// 0 when a critical metric fails, when half of the metrics or more have no data, or when nothing counts.
#[must_use]
pub fn score(groups: &[Group]) -> f64 {
    let metrics = || groups.iter().flat_map(|group| &group.metrics);
    let critical =
        |m: &Metric| m.critical && m.fails() && (m.beyond_critical || m.classification == Classification::Nodata);
    let silent = metrics().filter(|m| m.classification == Classification::Nodata).count();
    if metrics().any(critical) || silent * 2 >= metrics().count() {
        return 0.0;
    }
    let (mut sum, mut weights) = (0.0, 0.0);
    for group in groups {
        let counted = group.metrics.iter().filter(|m| m.counts()).count();
        if counted > 0 && group.weight > 0.0 {
            let passed = group.metrics.iter().filter(|m| m.classification == Classification::Pass).count();
            sum += group.weight * passed as f64 / counted as f64;
            weights += group.weight;
        }
    }
    if weights > 0.0 { 100.0 * sum / weights } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(weight: f64, words: &[Classification]) -> Group {
        let metric = |word: &Classification| Metric {
            classification: *word,
            must_have_data: false,
            critical: false,
            beyond_critical: true,
        };
        Group { weight, metrics: words.iter().map(metric).collect() }
    }

    #[test]
    fn weighs_groups_and_leaves_silence_out() {
        use Classification::{High, Nodata, Pass};
        let groups = [group(60.0, &[Pass, High]), group(40.0, &[Pass, Nodata])];
        assert_eq!(score(&groups), 70.0);
        assert_eq!(score(&[group(1.0, &[Pass, Nodata])]), 0.0);
        assert_eq!(score(&[]), 0.0);
    }

    #[test]
    fn only_a_change_beyond_the_critical_one_is_critical() {
        let judged = |classification, effect| Judged { classification, shift: None, effect };
        let stake =
            Stake { critical: true, critical_increase: Some(1.5), critical_decrease: Some(0.5), ..Stake::default() };
        for (word, effect, beyond) in [
            (Classification::High, Some(1.6), true),
            (Classification::High, Some(1.4), false),
            (Classification::Low, Some(0.4), true),
            (Classification::Low, Some(0.6), false),
            (Classification::High, None, true),
            (Classification::Nodata, None, true),
        ] {
            let metric = Metric::of(&judged(word, effect), &stake);
            assert_eq!(metric.beyond_critical, beyond, "{word:?} {effect:?}");
            assert!(Metric::of(&judged(word, effect), &Stake { critical: true, ..Stake::default() }).beyond_critical);
        }
        let mut group = group(1.0, &[Classification::Pass, Classification::Pass]);
        group.metrics.push(Metric::of(&judged(Classification::High, Some(1.4)), &stake));
        assert!((score(std::slice::from_ref(&group)) - 200.0 / 3.0).abs() < 1e-9);
        group.metrics.push(Metric::of(&judged(Classification::High, Some(1.6)), &stake));
        assert_eq!(score(&[group]), 0.0);
    }

    #[test]
    fn a_critical_failure_is_a_zero() {
        let mut groups = [group(1.0, &[Classification::Pass, Classification::Pass, Classification::High])];
        for metric in groups.iter_mut().flat_map(|group| &mut group.metrics) {
            metric.critical = true;
        }
        assert_eq!(score(&groups), 0.0);
    }
}
