//! Who is stable, candidate and previous.

use serde::{Deserialize, Serialize};

use crate::{Marker, MarkerState, RevisionId, TrafficSplit};

/// Who is stable, candidate and previous in an observed split.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roles {
    /// The revision in charge; `None` when the split does not tell (equal shares, or more than two).
    pub stable: Option<RevisionId>,
    /// The revision on trial: only one that has a share.
    pub candidate: Option<RevisionId>,
    /// The revision that was stable before the last promote, from the marker alone.
    pub previous: Option<RevisionId>,
    /// The revision the marker calls bad.
    pub bad: Option<RevisionId>,
}

impl Roles {
    /// Roles by the marker, where one fits the split; else by the split and `in_charge`, the revision that the
    /// provider itself calls primary (a Lambda alias' `FunctionVersion`), else by the largest share.
    #[must_use]
    pub fn of(split: &TrafficSplit, marker: Option<&Marker>, in_charge: Option<&RevisionId>) -> Self {
        if let Some(marker) = marker.filter(|marker| marker.fits(split)) {
            let (candidate, bad) = match &marker.state {
                MarkerState::Canary { candidate } => (Some(candidate.clone()), None),
                MarkerState::Promoted => (None, None),
                MarkerState::RolledBack { bad } => (None, bad.clone()),
            };
            return Self { stable: Some(marker.stable.clone()), candidate, previous: marker.previous.clone(), bad };
        }
        let stable = in_charge.filter(|revision| split.iter().any(|(r, _)| r == *revision)).or_else(|| largest(split));
        let candidate = match (stable, split.len()) {
            (Some(stable), 2) => split.iter().map(|(r, _)| r).find(|r| *r != stable),
            _ => None,
        };
        Self { stable: stable.cloned(), candidate: candidate.cloned(), previous: None, bad: None }
    }
}

/// The revision whose share is larger than every other.
fn largest(split: &TrafficSplit) -> Option<&RevisionId> {
    match split.by_share().as_slice() {
        [(first, a), (_, b), ..] if a > b => Some(first),
        [(only, _)] => Some(only),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Weight;

    fn id(text: &str) -> RevisionId {
        text.parse().unwrap()
    }

    fn split(share: u16) -> TrafficSplit {
        TrafficSplit::between(id("41"), id("42"), Weight::from_basis_points(share).unwrap())
    }

    #[test]
    fn a_fitting_marker_decides_against_the_larger_share() {
        let marker: Marker = crate::extract("[mlroll v1 state=canary stable=41 candidate=42 previous=40]").1.unwrap();
        let roles = Roles::of(&split(9000), Some(&marker), Some(&id("42")));
        assert_eq!((roles.stable, roles.candidate, roles.previous), (Some(id("41")), Some(id("42")), Some(id("40"))));
    }

    #[test]
    fn a_marker_left_by_somebody_elses_change_is_ignored() {
        let marker: Marker = crate::extract("[mlroll v1 state=promoted stable=42 previous=41]").1.unwrap();
        let roles = Roles::of(&split(1000), Some(&marker), None);
        assert_eq!((roles.stable, roles.candidate, roles.previous), (Some(id("41")), Some(id("42")), None));
    }

    #[test]
    fn without_a_marker_the_provider_decides_and_then_the_larger_share() {
        assert_eq!(Roles::of(&split(9000), None, Some(&id("41"))).stable, Some(id("41")));
        assert_eq!(Roles::of(&split(9000), None, None).stable, Some(id("42")));
        assert_eq!(Roles::of(&split(5000), None, None), Roles::default());
    }
}
