//! The requests to one revision in one minute.

use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mlroll_backend::RevisionId;
use rand_distr::{Distribution as _, Poisson};

use super::arrivals::{Arrivals, Timeline};
use super::behaviour::{Answers, Chain, Scores, binomial};
use super::chance::Key;
use super::counters::Counters;
use super::histogram::{BINS, Histogram};
use crate::scenario::Behaviour;

/// What decides about the requests to a revision.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cause<'a> {
    pub(super) arrivals: &'a Arrivals,
    pub(super) timeline: &'a Timeline,
    pub(super) revision: &'a RevisionId,
    pub(super) behaviour: &'a Behaviour,
    /// Its scores, once they were made, where they do not drift.
    pub(super) scores: &'a OnceLock<Arc<Scores>>,
    pub(super) key: Key,
}

/// The requests to one revision in one minute.
#[derive(Clone, Debug)]
pub(super) struct Minute {
    /// Those of the first second, of the first two, and so on: 60.
    upto: Vec<Counters>,
    /// Those of the seconds whose latencies are kept.
    pub(super) kept: Counters,
    /// Their latencies.
    pub(super) latency: Histogram,
    /// The most that were under way at once in one of its seconds.
    pub(super) in_flight: u64,
}

impl Cause<'_> {
    fn scores(&self, age: Duration) -> Option<Arc<Scores>> {
        let score = self.behaviour.score?;
        let make = || Arc::new(Scores::at(&score, age));
        Some(if score.drift_per_hour == 0.0 { Arc::clone(self.scores.get_or_init(make)) } else { make() })
    }
}

impl Minute {
    /// Draws them anew: the same ones each time, as long as the splits up to its end are the same. Each second has draws
    /// of its own, so a split that changes later changes nothing before.
    ///
    /// Latencies are kept for the seconds of `within` only, 0 to 60.
    pub(super) fn draw(cause: &Cause<'_>, minute: i64, within: &Range<i64>) -> Self {
        let mut sum = Counters::default();
        let mut upto = Vec::with_capacity(60);
        let mut bins = vec![0_u32; BINS];
        let mut in_flight = 0;
        let mut sum_kept = Counters::default();
        let mut chain = Chain::new();
        let first = cause.timeline.first(cause.revision);
        let age = |second: i64| {
            let age = first.map_or(0, |first| second.saturating_mul(1000).saturating_sub(first));
            Duration::from_millis(u64::try_from(age).unwrap_or(0))
        };
        let begin = minute.saturating_mul(60);
        let mut scores = None;
        for within_minute in 0..60 {
            let second = begin.saturating_add(within_minute);
            let meant = cause.arrivals.expected(second) * cause.timeline.share(cause.revision, second);
            let arriving = meant * (1.0 - cause.behaviour.lost);
            let expected = arriving * (1.0 - cause.behaviour.throttled);
            // None are drawn when none are expected.
            if let Ok(distribution) = Poisson::new(expected) {
                let mut draws = cause.key.with(second as u64).draws();
                let requests = distribution.sample(&mut draws) as u64;
                if requests > 0 && scores.is_none() {
                    scores = cause.scores(age(begin));
                }
                let answers = Answers::at(cause.behaviour, age(second));
                let kept = within.contains(&within_minute);
                let bins = kept.then_some(bins.as_mut_slice());
                let mut counters = answers.answer(requests, &mut chain, scores.as_deref(), &mut draws, bins);
                if let Some(share) = cause.behaviour.differs {
                    let mut draws = cause.key.named("differs").with(second as u64).draws();
                    counters.compared = requests - counters.errors;
                    counters.differing = binomial(counters.compared, share, &mut draws);
                }
                if kept {
                    // Little's law.
                    sum_kept.add(&counters);
                    in_flight = in_flight.max(counters.latency_seconds.ceil() as u64);
                }
                sum.add(&counters);
            }
            if let Ok(distribution) = Poisson::new(arriving * cause.behaviour.throttled) {
                let mut draws = cause.key.named("throttled").with(second as u64).draws();
                let throttled = distribution.sample(&mut draws) as u64;
                sum.throttled += throttled;
                sum_kept.throttled += if within.contains(&within_minute) { throttled } else { 0 };
            }
            upto.push(sum);
        }
        Self { upto, kept: sum_kept, latency: Histogram::from_counts(&bins), in_flight }
    }

    /// Those of its first seconds, 0 to 60.
    pub(super) fn upto(&self, seconds: i64) -> Counters {
        let last = usize::try_from(seconds).ok().and_then(|seconds| seconds.min(60).checked_sub(1));
        last.and_then(|last| self.upto.get(last)).copied().unwrap_or_default()
    }
}
