//! Whether a write that seemed to fail took effect.

use mlroll_backend::{Marker, Snapshot, TrafficSplit};

/// What a fresh observation says about a write whose answer was an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landing {
    /// The target is as we wrote it: only the answer was lost.
    Landed,
    /// Somebody else wrote.
    Foreign,
    /// The split and the marker are as before, but the target was written to: somebody changed something else, or
    /// changed the split and changed it back.
    Touched,
    /// The target is as it was before our write.
    Untouched,
}

/// Judges a write of `to` with `marker` (what of it the provider can carry; `None` when it cannot), made when the target was as `before`, by
/// how the target is `now`.
///
/// The split alone proves nothing: a human may have put back in between what our write had changed. So "untouched"
/// needs the guard from before, and "landed" needs our own marker.
///
/// Where a marker is written before the split, in a request of its own, ours may be there alone: that is "untouched" where the
/// provider tells that the split was not written since.
#[must_use]
pub fn landing(before: &Snapshot, to: &TrafficSplit, marker: Option<&Marker>, now: &Snapshot) -> Landing {
    let as_written = now.split.as_ref() == Some(to) && now.marker.as_ref() == marker;
    let as_before = now.split == before.split && (now.marker == before.marker || is_marker_alone(before, marker, now));
    if now.guard.token == before.guard.token && as_before {
        Landing::Untouched
    } else if as_written {
        Landing::Landed
    } else if as_before {
        Landing::Touched
    } else {
        Landing::Foreign
    }
}

/// Whether our marker arrived and our split did not. A marker that does not fit the split is not shown.
fn is_marker_alone(before: &Snapshot, marker: Option<&Marker>, now: &Snapshot) -> bool {
    let (Some(ours), Some(split)) = (marker, &now.split) else { return false };
    let shown = Some(ours).filter(|ours| ours.fits(split));
    now.modified.is_some() && now.modified == before.modified && now.marker.as_ref() == shown
}
