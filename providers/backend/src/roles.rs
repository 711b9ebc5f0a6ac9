//! Who is stable, candidate and previous.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Marker, MarkerState, RevisionId, TrafficSplit, Weight};

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
    /// Who gets copies of live requests besides; set by backends that can mirror.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadow>,
}

/// Mirrored traffic, whose answers nobody sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shadow {
    /// Who gets the copies.
    pub revision: RevisionId,
    /// Of how many of the live requests; not zero.
    #[serde(with = "basis_points")]
    pub share: Weight,
}

/// Writes "10 % mirrored to green".
impl fmt::Display for Shadow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} mirrored to {}", self.share, self.revision)
    }
}

/// A share as an integer: what was stored is read back exactly.
mod basis_points {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::Weight;

    pub(super) fn serialize<S: Serializer>(share: &Weight, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(share.basis_points())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Weight, D::Error> {
        let bp = u16::deserialize(deserializer)?;
        let wrong = || de::Error::custom(format_args!("{bp} basis points are more than 10,000"));
        Weight::from_basis_points(bp).ok_or_else(wrong)
    }
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
            let previous = marker.previous.clone();
            return Self { stable: Some(marker.stable.clone()), candidate, previous, bad, shadow: None };
        }
        let stable = in_charge.filter(|revision| split.iter().any(|(r, _)| r == *revision)).or_else(|| largest(split));
        let candidate = match (stable, split.len()) {
            (Some(stable), 2) => split.iter().map(|(r, _)| r).find(|r| *r != stable),
            _ => None,
        };
        Self { stable: stable.cloned(), candidate: candidate.cloned(), ..Self::default() }
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
    fn a_shadow_is_stored_exactly_and_its_absence_not_at_all() {
        let none = Roles { stable: Some(id("41")), ..Roles::default() };
        let text = serde_json::to_string(&none).unwrap();
        assert!(!text.contains("shadow") && serde_json::from_str::<Roles>(&text).unwrap() == none, "{text}");
        let shadow = Shadow { revision: id("42"), share: Weight::from_basis_points(725).unwrap() };
        assert_eq!(shadow.to_string(), "7.25 % mirrored to 42");
        let roles = Roles { shadow: Some(shadow), ..none };
        let text = serde_json::to_string(&roles).unwrap();
        assert_eq!(serde_json::from_str::<Roles>(&text).unwrap(), roles, "{text}");
        assert!(serde_json::from_str::<Roles>(&text.replace("725", "10001")).is_err());
    }

    #[test]
    fn without_a_marker_the_provider_decides_and_then_the_larger_share() {
        assert_eq!(Roles::of(&split(9000), None, Some(&id("41"))).stable, Some(id("41")));
        assert_eq!(Roles::of(&split(9000), None, None).stable, Some(id("42")));
        assert_eq!(Roles::of(&split(5000), None, None), Roles::default());
    }
}
