//! Who gets what.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{RevisionId, Weight};

/// Who gets what share of the traffic: weights sum to exactly 10,000 basis points and none is zero.
///
/// Serialized as basis points by revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<RevisionId, u16>", into = "BTreeMap<RevisionId, u16>")]
pub struct TrafficSplit(BTreeMap<RevisionId, Weight>);

/// Why shares are no [`TrafficSplit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSplit(String);

impl TrafficSplit {
    /// A split from exact weights; zero weights are left out.
    ///
    /// # Errors
    /// The rest does not sum to 10,000 basis points.
    pub fn new(weights: BTreeMap<RevisionId, Weight>) -> Result<Self, InvalidSplit> {
        let sum: u32 = weights.values().map(|w| u32::from(w.basis_points())).sum();
        if sum != 10_000 {
            return Err(InvalidSplit(format!("the weights sum to {sum} basis points, not 10,000")));
        }
        Ok(Self(weights.into_iter().filter(|(_, w)| *w != Weight::ZERO).collect()))
    }

    /// All traffic to one revision.
    #[must_use]
    pub fn full(revision: RevisionId) -> Self {
        Self(BTreeMap::from([(revision, Weight::FULL)]))
    }

    /// `share` to the candidate and the rest to stable. The same revision twice gets all of it.
    #[must_use]
    pub fn between(stable: RevisionId, candidate: RevisionId, share: Weight) -> Self {
        if stable == candidate {
            return Self::full(stable);
        }
        let mut weights = BTreeMap::from([(stable, share.complement()), (candidate, share)]);
        weights.retain(|_, weight| *weight != Weight::ZERO);
        Self(weights)
    }

    /// A split from shares in any unit (1:1:1, 0.1 and 0.9, 1 in 100,000), by largest remainder.
    ///
    /// Shares of zero are left out; any other share gets at least one basis point, because a revision that
    /// serves anybody is live. Ties go to the revision whose name sorts first, so the order of `shares` is
    /// irrelevant. A revision named twice gets the sum of its shares.
    ///
    /// # Errors
    /// A share is negative or not finite, none is above zero, or more than 10,000 are.
    pub fn apportion(shares: impl IntoIterator<Item = (RevisionId, f64)>) -> Result<Self, InvalidSplit> {
        let mut live: BTreeMap<RevisionId, f64> = BTreeMap::new();
        for (revision, share) in shares {
            if !share.is_finite() || share < 0.0 {
                return Err(InvalidSplit(format!("`{revision}` has a share of {share}")));
            }
            if share > 0.0 {
                *live.entry(revision).or_insert(0.0) += share;
            }
        }
        let largest = live.values().copied().fold(0.0_f64, f64::max);
        if live.is_empty() {
            return Err(InvalidSplit("nobody has a share".to_owned()));
        }
        if live.len() > 10_000 {
            return Err(InvalidSplit(format!("{} revisions share the traffic", live.len())));
        }
        if !largest.is_finite() {
            return Err(InvalidSplit("a share is too large to add up".to_owned()));
        }
        // Scaled by the largest share first: a sum of huge shares would overflow.
        let scale = |share: f64| share / largest;
        let total: f64 = live.values().map(|share| scale(*share)).sum();
        let mut seats: Vec<(RevisionId, u16, f64)> = live
            .into_iter()
            .map(|(revision, share)| {
                let quota = 10_000.0 * scale(share) / total;
                let whole = quota.floor().clamp(1.0, 10_000.0);
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 1..=10,000")]
                let seats = whole as u16;
                (revision, seats, quota - whole)
            })
            .collect();
        let given: i64 = seats.iter().map(|(_, n, _)| i64::from(*n)).sum();
        let mut left = 10_000 - given;
        // Stable sorts over name order: ties fall to the first name.
        seats.sort_by(|a, b| b.2.total_cmp(&a.2));
        while left > 0 {
            for (_, n, _) in &mut seats {
                if left == 0 {
                    break;
                }
                *n += 1;
                left -= 1;
            }
        }
        while left < 0 {
            // The floor of one seat gave too many away: those with most give back.
            let Some(richest) = seats.iter_mut().max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(&a.0))) else {
                break;
            };
            richest.1 -= 1;
            left += 1;
        }
        Self::new(
            seats
                .into_iter()
                .map(|(revision, n, _)| (revision, Weight::from_basis_points(n).unwrap_or(Weight::FULL)))
                .collect(),
        )
    }

    /// The share of `revision`; zero when it has none.
    #[must_use]
    pub fn weight_of(&self, revision: &RevisionId) -> Weight {
        self.0.get(revision).copied().unwrap_or(Weight::ZERO)
    }

    /// Whether `revision` gets all traffic.
    #[must_use]
    pub fn is_full(&self, revision: &RevisionId) -> bool {
        self.weight_of(revision) == Weight::FULL
    }

    /// The revision that gets all traffic, if one does.
    #[must_use]
    pub fn sole(&self) -> Option<&RevisionId> {
        self.0.iter().find(|(_, w)| **w == Weight::FULL).map(|(r, _)| r)
    }

    /// How many revisions have a share; at least 1.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a split is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Revisions and their shares, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&RevisionId, Weight)> {
        self.0.iter().map(|(revision, weight)| (revision, *weight))
    }

    /// Revisions and their shares, the largest first.
    #[must_use]
    pub fn by_share(&self) -> Vec<(&RevisionId, Weight)> {
        let mut shares: Vec<_> = self.iter().collect();
        shares.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
        shares
    }
}

impl TryFrom<BTreeMap<RevisionId, u16>> for TrafficSplit {
    type Error = InvalidSplit;

    fn try_from(shares: BTreeMap<RevisionId, u16>) -> Result<Self, InvalidSplit> {
        let weight = |bp| {
            Weight::from_basis_points(bp).ok_or_else(|| InvalidSplit(format!("{bp} basis points are more than 10,000")))
        };
        Self::new(shares.into_iter().map(|(revision, bp)| Ok((revision, weight(bp)?))).collect::<Result<_, _>>()?)
    }
}

impl From<TrafficSplit> for BTreeMap<RevisionId, u16> {
    fn from(split: TrafficSplit) -> Self {
        split.0.into_iter().map(|(revision, weight)| (revision, weight.basis_points())).collect()
    }
}

/// Writes `41 90 %, 42 10 %`, the largest share first.
impl fmt::Display for TrafficSplit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (revision, weight)) in self.by_share().into_iter().enumerate() {
            let separator = if n == 0 { "" } else { ", " };
            write!(f, "{separator}{revision} {weight}")?;
        }
        Ok(())
    }
}

impl fmt::Display for InvalidSplit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidSplit {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(n: usize) -> RevisionId {
        format!("r{n:05}").parse().unwrap()
    }

    fn apportion(shares: &[f64]) -> Vec<u16> {
        let split = TrafficSplit::apportion(shares.iter().enumerate().map(|(n, s)| (id(n), *s))).unwrap();
        (0..shares.len()).map(|n| split.weight_of(&id(n)).basis_points()).collect()
    }

    #[test]
    fn is_serialized_in_basis_points() {
        let split = TrafficSplit::between(id(1), id(2), Weight::from_basis_points(7).unwrap());
        let text = serde_json::to_string(&split).unwrap();
        assert_eq!(text, r#"{"r00001":9993,"r00002":7}"#);
        assert_eq!(serde_json::from_str::<TrafficSplit>(&text).unwrap(), split);
        for wrong in [r#"{"r":9999}"#, r#"{"r":65535}"#, "{}"] {
            assert!(serde_json::from_str::<TrafficSplit>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn foreign_splits_are_read_by_largest_remainder() {
        assert_eq!(apportion(&[1.0, 1.0, 1.0]), [3334, 3333, 3333]);
        assert_eq!(apportion(&[99_999.0, 1.0]), [9999, 1]);
        assert_eq!(apportion(&[0.9, 0.1]), [9000, 1000]);
        assert_eq!(apportion(&[1.0 - 0.07, 0.07]), [9300, 700]);
        assert_eq!(apportion(&[5.0, 0.0]), [10_000, 0]);
        assert_eq!(apportion(&[f64::MAX, f64::MAX]), [5000, 5000]);
        assert_eq!(apportion(&[f64::MIN_POSITIVE, 1.0]), [1, 9999]);
        // Too small to be seen beside the largest, and live all the same.
        assert_eq!(apportion(&[f64::MIN_POSITIVE / 4.0, f64::MAX, f64::MIN_POSITIVE / 4.0]), [1, 9998, 1]);
    }

    #[test]
    fn every_basis_point_survives_the_way_through_a_float() {
        for basis_points in 1..10_000_u16 {
            let share = Weight::from_basis_points(basis_points).unwrap().fraction();
            assert_eq!(apportion(&[1.0 - share, share])[1], basis_points);
        }
    }

    #[test]
    fn impossible_shares_are_refused() {
        for shares in [&[][..], &[0.0], &[-1.0, 2.0], &[f64::NAN], &[f64::INFINITY, 1.0]] {
            assert!(TrafficSplit::apportion(shares.iter().enumerate().map(|(n, s)| (id(n), *s))).is_err());
        }
    }

    #[test]
    fn weights_that_do_not_sum_up_are_refused() {
        let half = Weight::from_basis_points(5000).unwrap();
        assert!(TrafficSplit::new(BTreeMap::from([(id(1), half)])).is_err());
        assert!(TrafficSplit::new(BTreeMap::new()).is_err());
    }

    proptest! {
        #[test]
        fn apportioned_shares_are_a_split(shares in prop::collection::vec(prop_oneof![
            0.0..1.0e-9, 0.0..1.0, 0.0..1.0e12, Just(0.0), Just(f64::MAX), Just(f64::MIN_POSITIVE / 4.0)
        ], 1..40)) {
            let named = || shares.iter().enumerate().map(|(n, s)| (id(n), *s));
            match TrafficSplit::apportion(named()) {
                Err(_) => prop_assert!(shares.iter().all(|s| *s == 0.0)),
                Ok(split) => {
                    prop_assert_eq!(split.iter().map(|(_, w)| u32::from(w.basis_points())).sum::<u32>(), 10_000);
                    for (n, share) in shares.iter().enumerate() {
                        prop_assert_eq!(split.weight_of(&id(n)) == Weight::ZERO, *share == 0.0);
                    }
                    let reversed = TrafficSplit::apportion(named().collect::<Vec<_>>().into_iter().rev()).unwrap();
                    prop_assert_eq!(&split, &reversed);
                    let largest = shares.iter().copied().fold(0.0, f64::max);
                    let total: f64 = shares.iter().map(|s| s / largest).sum();
                    let quotas: Vec<f64> = shares.iter().map(|s| 10_000.0 * (s / largest) / total).collect();
                    if quotas.iter().zip(&shares).all(|(quota, share)| *share == 0.0 || *quota >= 1.0) {
                        for (n, quota) in quotas.iter().enumerate() {
                            let seats = f64::from(split.weight_of(&id(n)).basis_points());
                            prop_assert!((seats - quota).abs() < 1.0 + 1e-6, "{seats} of {quota}");
                        }
                    }
                    prop_assert_eq!(TrafficSplit::new(split.iter().map(|(r, w)| (r.clone(), w)).collect()).unwrap(), split);
                }
            }
        }
    }
}
