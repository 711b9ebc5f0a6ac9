//! The note that travels with the traffic.
//!
//! It sits at the end of a text that belongs to the user (the description of a Lambda alias) or alone in an
//! annotation or tag:
//! `[mlroll v1 state=canary stable=41 candidate=42 previous=40 at=1795230000 id=01JD...]`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{RevisionId, Timestamp, TrafficSplit};

/// Who is who in the split it travels with, so that a rollback needs no store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// What was done.
    pub state: MarkerState,
    /// The revision in charge.
    pub stable: RevisionId,
    /// The revision that was stable before the last promote.
    pub previous: Option<RevisionId>,
    /// When the split was written.
    pub at: Option<Timestamp>,
    /// Who wrote it: one id per rollout, a ULID where `mlroll` made it.
    pub id: Option<String>,
}

/// What was done when a [`Marker`] was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkerState {
    /// The candidate got a share.
    Canary {
        /// The revision on trial.
        candidate: RevisionId,
    },
    /// The candidate became stable.
    Promoted,
    /// Stable got everything back.
    RolledBack {
        /// The revision that was taken back, not to be tried again by accident.
        bad: Option<RevisionId>,
    },
}

/// A marker together with the user's own text around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarriedMarker {
    /// The text to store.
    pub text: String,
    /// What of the marker is in it; `None` when it did not fit.
    pub marker: Option<Marker>,
}

impl Marker {
    /// Whether its revisions are those of `split`. A marker that does not fit was left by somebody else's change
    /// and says nothing.
    #[must_use]
    pub fn fits(&self, split: &TrafficSplit) -> bool {
        match &self.state {
            MarkerState::Canary { candidate } => {
                split.len() == 2 && split.iter().all(|(revision, _)| *revision == self.stable || revision == candidate)
            }
            MarkerState::Promoted | MarkerState::RolledBack { .. } => split.is_full(&self.stable),
        }
    }
}

/// Splits what the user wrote from the marker at its end.
///
/// A text without a readable marker is the user's own as a whole, so that nothing of theirs is ever lost.
#[must_use]
pub fn extract(text: &str) -> (&str, Option<Marker>) {
    let Some(start) = text.rfind(OPENING) else {
        return (text, None);
    };
    let (own, written) = text.split_at(start);
    // Whoever edits a description by hand may leave white space behind.
    match written.trim_end().parse() {
        Ok(marker) => (own.strip_suffix(' ').unwrap_or(own), Some(marker)),
        Err(InvalidMarker) => (text, None),
    }
}

/// Puts `marker` behind the user's `own` text, in at most `limit` UTF-16 code units.
///
/// AWS documents 256 "characters" and does not say which; UTF-16 code units are never fewer than Unicode
/// characters. When it does not fit, the id goes first, then the time, then (in a canary, where a rollback can
/// do without) `previous`; the user's own text is never shortened, so in the end the marker may be left out.
#[must_use]
pub fn embed(own: &str, marker: &Marker, limit: usize) -> CarriedMarker {
    // The text holds whole seconds: what is said to be carried is what will be read.
    let at = marker.at.and_then(|at| Timestamp::from_unix_seconds(at.unix_seconds()));
    let mut kept = Marker { at, ..marker.clone() };
    let separator = if own.is_empty() { "" } else { " " };
    let lighten: [fn(&mut Marker); 4] = [
        |_| {},
        |m| m.id = None,
        |m| m.at = None,
        |m| {
            if matches!(m.state, MarkerState::Canary { .. }) {
                m.previous = None;
            }
        },
    ];
    for lighter in lighten {
        lighter(&mut kept);
        let text = format!("{own}{separator}{kept}");
        if text.encode_utf16().count() <= limit {
            return CarriedMarker { text, marker: Some(kept) };
        }
    }
    CarriedMarker { text: own.to_owned(), marker: None }
}

const OPENING: &str = "[mlroll v1 ";

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stable = &self.stable;
        match &self.state {
            MarkerState::Canary { candidate } => {
                write!(f, "{OPENING}state=canary stable={stable} candidate={candidate}")?
            }
            MarkerState::Promoted => write!(f, "{OPENING}state=promoted stable={stable}")?,
            MarkerState::RolledBack { bad } => {
                write!(f, "{OPENING}state=rolled_back stable={stable}")?;
                if let Some(bad) = bad {
                    write!(f, " bad={bad}")?;
                }
            }
        }
        if let Some(previous) = &self.previous {
            write!(f, " previous={previous}")?;
        }
        if let Some(at) = self.at {
            write!(f, " at={}", at.unix_seconds())?;
        }
        if let Some(id) = &self.id {
            write!(f, " id={id}")?;
        }
        f.write_str("]")
    }
}

/// The text is no marker of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidMarker;

impl FromStr for Marker {
    type Err = InvalidMarker;

    /// Unknown words are passed over: a later version may have written them.
    fn from_str(text: &str) -> Result<Self, InvalidMarker> {
        let words = text.strip_prefix(OPENING).and_then(|t| t.strip_suffix(']')).ok_or(InvalidMarker)?;
        let mut found = Words::default();
        for word in words.split_whitespace() {
            let (key, value) = word.split_once('=').ok_or(InvalidMarker)?;
            found.take(key, value)?;
        }
        found.into_marker()
    }
}

#[derive(Default)]
struct Words<'a> {
    state: Option<&'a str>,
    stable: Option<&'a str>,
    candidate: Option<&'a str>,
    previous: Option<&'a str>,
    bad: Option<&'a str>,
    at: Option<&'a str>,
    id: Option<&'a str>,
}

impl<'a> Words<'a> {
    fn take(&mut self, key: &str, value: &'a str) -> Result<(), InvalidMarker> {
        let place = match key {
            "at" => &mut self.at,
            "bad" => &mut self.bad,
            "candidate" => &mut self.candidate,
            "id" => &mut self.id,
            "previous" => &mut self.previous,
            "stable" => &mut self.stable,
            "state" => &mut self.state,
            _ => return Ok(()),
        };
        if place.replace(value).is_some() { Err(InvalidMarker) } else { Ok(()) }
    }

    fn into_marker(self) -> Result<Marker, InvalidMarker> {
        let revision = |text: Option<&str>| text.map(str::parse::<RevisionId>).transpose().map_err(|_| InvalidMarker);
        let state = match self.state {
            Some("canary") => MarkerState::Canary { candidate: revision(self.candidate)?.ok_or(InvalidMarker)? },
            Some("promoted") => MarkerState::Promoted,
            Some("rolled_back") => MarkerState::RolledBack { bad: revision(self.bad)? },
            Some(_) | None => return Err(InvalidMarker),
        };
        // A time or an id that makes no sense must not cost the way back.
        let at = self.at.and_then(|text| text.parse().ok()).and_then(Timestamp::from_unix_seconds);
        let fits =
            |id: &str| !id.is_empty() && id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let id = self.id.filter(|id| fits(id)).map(str::to_owned);
        let stable = revision(self.stable)?.ok_or(InvalidMarker)?;
        // There is no way back to where one is.
        let previous = revision(self.previous)?.filter(|previous| *previous != stable);
        Ok(Marker { state, stable, previous, at, id })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Weight;

    const LIMIT: usize = 256;

    fn revision(text: &str) -> RevisionId {
        text.parse().unwrap()
    }

    fn canary() -> Marker {
        Marker {
            state: MarkerState::Canary { candidate: revision("42") },
            stable: revision("41"),
            previous: Some(revision("40")),
            at: Timestamp::from_unix_seconds(1_795_230_000),
            id: Some("01JD8ZT8Z1J2Q4RZ7JQ2K3M4N5".to_owned()),
        }
    }

    #[test]
    fn is_written_as_documented() {
        let text =
            "[mlroll v1 state=canary stable=41 candidate=42 previous=40 at=1795230000 id=01JD8ZT8Z1J2Q4RZ7JQ2K3M4N5]";
        assert_eq!(canary().to_string(), text);
        assert_eq!(text.parse(), Ok(canary()));
        let back = "[mlroll v1 state=rolled_back stable=41 bad=42 at=1795230000]".parse::<Marker>().unwrap();
        assert_eq!(back.state, MarkerState::RolledBack { bad: Some(revision("42")) });
    }

    #[test]
    fn the_order_of_words_and_unknown_words_do_not_matter() {
        let text = "[mlroll v1 id=01JD8ZT8Z1J2Q4RZ7JQ2K3M4N5 at=1795230000 wave=3 previous=40 candidate=42 stable=41 state=canary]";
        assert_eq!(text.parse(), Ok(canary()));
    }

    #[test]
    fn what_is_no_marker_is_the_users_text() {
        for text in [
            "[mlroll v1 ]",
            "[mlroll v1 state=canary stable=41]",
            "[mlroll v1 state=paused stable=41]",
            "[mlroll v1 state=promoted stable=]",
            "[mlroll v1 state=promoted stable=41 stable=42]",
            "[mlroll v2 state=promoted stable=41]",
            "[mlroll v1 state=promoted stable=41] and more",
            "mlroll",
            "",
        ] {
            assert_eq!(extract(text), (text, None), "{text}");
        }
    }

    #[test]
    fn what_a_hand_may_have_done_to_a_marker_does_not_cost_the_way_back() {
        for text in [
            "[mlroll v1 state=promoted stable=42 previous=41]\n",
            "[mlroll v1 state=promoted  stable=42\tprevious=41 ]  ",
            "[mlroll v1 state=promoted stable=42 previous=41 at=soon id=]",
            "[mlroll v1 state=promoted stable=42 previous=41 at=99999999999999999999]",
        ] {
            let (own, marker) = extract(text);
            let marker = marker.unwrap();
            assert_eq!((own, marker.previous, marker.at, marker.id), ("", Some(revision("41")), None, None), "{text}");
        }
        assert_eq!(extract("[mlroll v1 state=promoted stable=42 previous=42]").1.unwrap().previous, None);
    }

    #[test]
    fn the_id_is_dropped_first_and_the_users_text_never() {
        let marker = canary();
        let whole = marker.to_string().len();
        for length in 0..=LIMIT {
            let own = "u".repeat(length);
            let carried = embed(&own, &marker, LIMIT);
            assert!(carried.text.len() <= LIMIT);
            assert!(carried.text.starts_with(&own));
            match &carried.marker {
                Some(kept) => {
                    let complete = length == 0 || length + 1 + whole <= LIMIT;
                    assert_eq!(kept.id.is_some(), complete);
                    assert!(kept.id.is_none() || kept.at.is_some());
                }
                None => assert_eq!(carried.text, own),
            }
        }
    }

    #[test]
    fn a_promote_keeps_its_way_back_or_says_that_it_cannot() {
        let promoted =
            Marker { state: MarkerState::Promoted, stable: revision("42"), previous: Some(revision("41")), ..canary() };
        for length in 0..=LIMIT {
            if let Some(kept) = embed(&"u".repeat(length), &promoted, LIMIT).marker {
                assert_eq!(kept.previous, promoted.previous);
            }
        }
    }

    #[test]
    fn a_marker_counts_only_with_the_split_it_was_written_for() {
        let share = Weight::from_basis_points(1000).unwrap();
        let split = TrafficSplit::between(revision("41"), revision("42"), share);
        assert!(canary().fits(&split));
        assert!(!canary().fits(&TrafficSplit::full(revision("41"))));
        assert!(!canary().fits(&TrafficSplit::full(revision("42"))));
        assert!(!canary().fits(&TrafficSplit::between(revision("41"), revision("43"), share)));
        let promoted = Marker { state: MarkerState::Promoted, stable: revision("42"), ..canary() };
        assert!(promoted.fits(&TrafficSplit::full(revision("42"))));
        assert!(!promoted.fits(&split));
    }

    fn revisions() -> impl Strategy<Value = RevisionId> {
        "[A-Za-z0-9._$-]{1,63}".prop_map(|text| text.parse().unwrap())
    }

    fn markers() -> impl Strategy<Value = Marker> {
        let state = prop_oneof![
            revisions().prop_map(|candidate| MarkerState::Canary { candidate }),
            Just(MarkerState::Promoted),
            prop::option::of(revisions()).prop_map(|bad| MarkerState::RolledBack { bad }),
        ];
        let at = prop::option::of((0_i64..4_000_000_000).prop_map(|s| Timestamp::from_unix_seconds(s).unwrap()));
        (state, revisions(), prop::option::of(revisions()), at, prop::option::of("[0-9A-Z]{26}")).prop_map(
            |(state, stable, previous, at, id)| {
                let previous = previous.filter(|previous| *previous != stable);
                Marker { state, stable, previous, at, id }
            },
        )
    }

    proptest! {
        #[test]
        fn markers_read_back(marker in markers()) {
            prop_assert_eq!(marker.to_string().parse(), Ok(marker));
        }

        #[test]
        fn foreign_descriptions_survive(own in ".{0,256}", first in markers(), second in markers()) {
            let own: String = own.chars().scan(0, |used, c| { *used += c.len_utf16(); (*used <= LIMIT).then_some(c) }).collect();
            let once = embed(&own, &first, LIMIT);
            prop_assert!(once.text.encode_utf16().count() <= LIMIT);
            let (back, marker) = extract(&once.text);
            prop_assert_eq!(back, own.as_str());
            prop_assert_eq!(&marker, &once.marker);
            // Written over again and again, the user's text stays what it was.
            let twice = embed(back, &second, LIMIT);
            prop_assert_eq!(extract(&twice.text).0, own.as_str());
        }

        #[test]
        fn no_text_panics(text in ".*", tail in "[a-z0-9= \\]\\[]{0,40}") {
            let _ = extract(&text);
            let _ = extract(&format!("{OPENING}{tail}"));
        }
    }
}
