//! What was drawn of the past, kept for the next question.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use mlroll_backend::{RevisionId, Target};

use super::Measured;
use super::counters::Counters;
use super::minute::{Cause, Minute};

/// How many minutes are kept: 17 kB each, so up to 50 MB.
const KEPT: usize = 3000;

/// Minutes that were drawn; the oldest draws go first.
#[derive(Debug, Default)]
pub(super) struct Cache {
    minutes: BTreeMap<(Target, RevisionId, i64), Arc<Minute>>,
    order: VecDeque<(Target, RevisionId, i64)>,
}

/// What a revision's counters showed at the start of each minute, from the one of its first request on.
#[derive(Debug, Default)]
pub(super) struct Past {
    first: i64,
    marks: Vec<Counters>,
}

impl Cache {
    fn minute(&mut self, target: &Target, cause: &Cause<'_>, minute: i64) -> Arc<Minute> {
        let key = (target.clone(), cause.revision.clone(), minute);
        if let Some(found) = self.minutes.get(&key) {
            return Arc::clone(found);
        }
        let drawn = Arc::new(Minute::draw(cause, minute, &(0..60)));
        while self.order.len() >= KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.minutes.remove(&oldest);
        }
        self.order.push_back(key.clone());
        self.minutes.insert(key, Arc::clone(&drawn));
        drawn
    }

    /// Forgets what was drawn of a minute and of later ones.
    pub(super) fn forget(&mut self, target: &Target, minute: i64) {
        self.order.retain(|(of, _, drawn)| of != target || *drawn < minute);
        self.minutes.retain(|(of, _, drawn), _| of != target || *drawn < minute);
    }

    pub(super) fn between(&mut self, target: &Target, cause: &Cause<'_>, from: i64, until: i64) -> Measured {
        let mut measured = Measured::default();
        let Some(first) = cause.timeline.first(cause.revision) else {
            return measured;
        };
        let mut at = from.max(first.div_euclid(1000));
        while at < until {
            let minute = at.div_euclid(60);
            let within = at.rem_euclid(60)..(until - minute * 60).min(60);
            let drawn = if within == (0..60) {
                self.minute(target, cause, minute)
            } else {
                Arc::new(Minute::draw(cause, minute, &within))
            };
            measured.counters.add(&drawn.kept);
            measured.latency.merge(&drawn.latency);
            measured.in_flight = measured.in_flight.max(drawn.in_flight);
            at = (minute + 1) * 60;
        }
        measured
    }
}

impl Past {
    pub(super) fn forget(&mut self, minute: i64) {
        // The mark at a minute's start counts what was before it.
        let kept = usize::try_from(minute.saturating_sub(self.first).saturating_add(1)).unwrap_or(0);
        self.marks.truncate(kept);
    }

    pub(super) fn counted(&mut self, target: &Target, cause: &Cause<'_>, cache: &mut Cache, second: i64) -> Counters {
        let Some(first) = cause.timeline.first(cause.revision).map(|first| first.div_euclid(60_000)) else {
            return Counters::default();
        };
        if self.marks.is_empty() {
            self.first = first;
            self.marks.push(Counters::default());
        }
        let minute = second.div_euclid(60);
        let Ok(wanted) = usize::try_from(minute - self.first) else {
            return Counters::default();
        };
        while self.marks.len() <= wanted {
            let last = self.marks.len() - 1;
            let mut mark = self.marks.get(last).copied().unwrap_or_default();
            mark.add(&cache.minute(target, cause, self.first + last as i64).upto(60));
            self.marks.push(mark);
        }
        let mut counted = self.marks.get(wanted).copied().unwrap_or_default();
        let rest = second.rem_euclid(60);
        if rest > 0 {
            counted.add(&cache.minute(target, cause, minute).upto(rest));
        }
        counted
    }
}
