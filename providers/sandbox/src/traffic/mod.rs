//! The requests of simulated users: who was asked, when, and what became of it.
//!
//! Control planes say where requests go from now on ([`Traffic::route`]); metric stores ask what happened
//! ([`Traffic::measure`], [`Traffic::counted`]). All of them see one history.
//!
//! Nothing runs ahead of the questions: a minute is drawn when it is asked about, from its seed, target, revision and time,
//! and from the splits in force. So the same seed and the same shifts give the same requests, whoever asks and in which
//! order.

mod arrivals;
mod behaviour;
mod chance;
mod counters;
mod histogram;
mod minute;
mod revision;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use mlroll_backend::{RevisionId, Target, Timestamp, TrafficSplit, Weight, Window};

use self::arrivals::{Arrivals, Timeline};
use self::behaviour::Scores;
pub use self::chance::Key;
pub use self::counters::{Counters, SCORE_BOUNDS};
pub use self::histogram::{BOUNDS, Histogram};
use self::minute::Cause;
use self::revision::{Cache, Past};
use crate::scenario::{Behaviour, Scenario};

/// How long before the sandbox began its users did, in minutes: judges look back a day, and a little before it.
const HISTORY_MINUTES: i64 = 26 * 60;

/// The simulated users of all targets, and the history of their requests.
#[derive(Debug)]
pub struct Traffic {
    key: Key,
    began: Timestamp,
    targets: BTreeMap<Target, Users>,
    cache: Cache,
}

/// The users of one target.
#[derive(Debug)]
struct Users {
    key: Key,
    arrivals: Arrivals,
    timeline: Timeline,
    revisions: BTreeMap<RevisionId, Known>,
}

/// A revision that there is or was.
#[derive(Debug, Default)]
struct Known {
    behaviour: Behaviour,
    scores: OnceLock<Arc<Scores>>,
    past: Past,
}

/// What became of the requests to one revision in a stretch of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// How many there were.
    pub requests: u64,
    /// How many failed (5xx) of them.
    pub errors: u64,
    /// All that was counted, these two included.
    pub counters: Counters,
    /// How long they took.
    pub latency: Histogram,
    /// The most that were under way at once.
    pub in_flight: u64,
}

impl Traffic {
    /// The users of a scenario, who have been asking its stable revisions since 26 hours before `now`.
    #[must_use]
    pub fn new(scenario: &Scenario, now: Timestamp) -> Self {
        let key = Key::new(scenario.seed);
        let since = (now.unix_seconds().div_euclid(60) - HISTORY_MINUTES) * 60_000;
        let users = scenario.parsed_targets().filter_map(|(target, service)| {
            let key = key.named(&target.to_string());
            let initial = TrafficSplit::full(service.stable.parse().ok()?);
            let revisions = service.revisions.iter().filter_map(|(name, behaviour)| {
                let revision: RevisionId = name.parse().ok()?;
                Some((revision, Known { behaviour: behaviour.clone(), ..Known::default() }))
            });
            let arrivals = Arrivals::new(service, key);
            let timeline = Timeline::new(initial, since);
            Some((target, Users { key, arrivals, timeline, revisions: revisions.collect() }))
        });
        Self { key, began: now, targets: users.collect(), cache: Cache::default() }
    }

    /// What all chance is drawn from.
    #[must_use]
    pub const fn key(&self) -> Key {
        self.key
    }

    /// When the sandbox began.
    #[must_use]
    pub const fn began(&self) -> Timestamp {
        self.began
    }

    /// From `at` on, requests to `target` go where `split` says. Earlier requests stay where they went, and `at` should not
    /// lie before a moment that was already asked about.
    pub fn route(&mut self, target: &Target, split: &TrafficSplit, at: Timestamp) {
        let Some((target, users)) = find(&mut self.targets, target) else {
            return;
        };
        for (revision, _) in split.iter() {
            users.revisions.entry(revision.clone()).or_default();
        }
        users.timeline.shift(split.clone(), at.unix_milliseconds());
        let minute = at.unix_seconds().div_euclid(60);
        self.cache.forget(&target, minute);
        for known in users.revisions.values_mut() {
            known.past.forget(minute);
        }
    }

    /// From `at` on, copies of a share of the requests to `target` go to a revision besides, or to none.
    pub fn mirror(&mut self, target: &Target, mirror: Option<(RevisionId, Weight)>, at: Timestamp) {
        let Some((target, users)) = find(&mut self.targets, target) else {
            return;
        };
        if let Some((revision, _)) = &mirror {
            users.revisions.entry(revision.clone()).or_default();
        }
        users.timeline.mirror(mirror, at.unix_milliseconds());
        let minute = at.unix_seconds().div_euclid(60);
        self.cache.forget(&target, minute);
        for known in users.revisions.values_mut() {
            known.past.forget(minute);
        }
    }

    /// From now on there is a revision that answers so; one that has been there goes on as it was.
    pub fn add_revision(&mut self, target: &Target, revision: &RevisionId, behaviour: &Behaviour) {
        if let Some((_, users)) = find(&mut self.targets, target) {
            let known = || Known { behaviour: behaviour.clone(), ..Known::default() };
            users.revisions.entry(revision.clone()).or_insert_with(known);
        }
    }

    /// All targets, with the revisions that there are or were.
    pub fn revisions(&self) -> impl Iterator<Item = (&Target, impl Iterator<Item = &RevisionId>)> {
        self.targets.iter().map(|(target, users)| (target, users.revisions.keys()))
    }

    /// How the revision answers, if there is one.
    #[must_use]
    pub fn behaviour(&self, target: &Target, revision: &RevisionId) -> Option<&Behaviour> {
        self.targets.get(target)?.revisions.get(revision).map(|known| &known.behaviour)
    }

    /// When the revision first got traffic: the first moment of history for the stable one.
    #[must_use]
    pub fn first(&self, target: &Target, revision: &RevisionId) -> Option<Timestamp> {
        self.targets.get(target)?.timeline.first(revision).and_then(Timestamp::from_unix_milliseconds)
    }

    /// The parts of a stretch of seconds since 1970 in which more than one revision had a share.
    #[must_use]
    pub fn shared(&self, target: &Target, from: i64, until: i64) -> Vec<(i64, i64)> {
        self.targets.get(target).map(|users| users.timeline.shared(from, until)).unwrap_or_default()
    }

    /// What became of the requests to `revision` of `target` in `window`, which may lie before the sandbox began.
    #[must_use]
    pub fn measure(&mut self, target: &Target, revision: &RevisionId, window: Window) -> Measured {
        self.between(target, revision, window.start().unix_seconds(), window.end().unix_seconds())
    }

    /// What became of the requests to `revision` of `target` from one second since 1970 up to, but not, another.
    #[must_use]
    pub fn between(&mut self, target: &Target, revision: &RevisionId, from: i64, until: i64) -> Measured {
        let Some((target, users)) = find(&mut self.targets, target) else {
            return Measured::default();
        };
        let Some((cause, _)) = users.cause(revision) else {
            return Measured::default();
        };
        let mut measured = self.cache.between(&target, &cause, from, until);
        measured.requests = measured.counters.requests;
        measured.errors = measured.counters.errors;
        measured
    }

    /// Everything that was counted of the requests to `revision` of `target` before a second since 1970, from the beginning
    /// of history: what its counters show then.
    #[must_use]
    pub fn counted(&mut self, target: &Target, revision: &RevisionId, second: i64) -> Counters {
        let Some((target, users)) = find(&mut self.targets, target) else {
            return Counters::default();
        };
        let Some((cause, past)) = users.cause(revision) else {
            return Counters::default();
        };
        past.counted(&target, &cause, &mut self.cache, second)
    }
}

impl Users {
    fn cause(&mut self, revision: &RevisionId) -> Option<(Cause<'_>, &mut Past)> {
        let (revision, Known { behaviour, scores, past }) =
            self.revisions.range_mut(revision.clone()..=revision.clone()).next()?;
        let key = self.key.named(revision.as_str());
        let (arrivals, timeline) = (&self.arrivals, &self.timeline);
        Some((Cause { arrivals, timeline, revision, behaviour, scores, key }, past))
    }
}

/// The target, also when one side leaves its account open.
fn find<'a>(targets: &'a mut BTreeMap<Target, Users>, wanted: &Target) -> Option<(Target, &'a mut Users)> {
    let known = if targets.contains_key(wanted) {
        wanted.clone()
    } else {
        targets.keys().find(|target| target.may_be(wanted))?.clone()
    };
    let users = targets.get_mut(&known)?;
    Some((known, users))
}

#[cfg(test)]
mod tests;
