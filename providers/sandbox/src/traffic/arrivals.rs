//! How many requests arrive, and who gets them.

use std::f64::consts::TAU;

use mlroll_backend::{RevisionId, TrafficSplit, Weight};

use super::chance::Key;
use crate::scenario::{Bursts, Service};

/// How many requests arrive at a target in a second.
#[derive(Clone, Debug)]
pub(super) struct Arrivals {
    rate: f64,
    daily: f64,
    bursts: Option<Bursts>,
    key: Key,
}

impl Arrivals {
    pub(super) fn new(service: &Service, key: Key) -> Self {
        let rate = service.requests_per_second;
        let rate = if rate.is_finite() { rate.clamp(0.0, 100_000.0) } else { 0.0 };
        Self { rate, daily: service.daily.clamp(0.0, 1.0), bursts: service.bursts, key: key.named("bursts") }
    }

    /// How many are to be expected in that second.
    pub(super) fn expected(&self, second: i64) -> f64 {
        // A cosine with its maximum at 14:00.
        let of_day = (second - 14 * 3600).rem_euclid(86_400) as f64 / 86_400.0;
        let usual = self.rate * (1.0 + self.daily * (of_day * TAU).cos());
        match self.bursts {
            Some(bursts) if self.bursting(&bursts, second) => usual * bursts.times.clamp(0.0, 1000.0),
            Some(_) | None => usual,
        }
    }

    fn bursting(&self, bursts: &Bursts, second: i64) -> bool {
        let every = (bursts.every.as_secs() as i64).max(1);
        let last = (bursts.last.as_secs() as i64).min(every);
        let (stretch, within) = (second.div_euclid(every), second.rem_euclid(every));
        let from = (self.key.with(stretch as u64).unit() * (every - last + 1) as f64) as i64;
        (from..from + last).contains(&within)
    }
}

/// Where requests went, and from when on.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    /// Ascending; times in milliseconds since 1970.
    shifts: Vec<(i64, TrafficSplit)>,
    /// Likewise: who gets copies of requests besides, and of how many.
    mirrors: Vec<(i64, Option<(RevisionId, Weight)>)>,
}

impl Timeline {
    pub(super) fn new(initial: TrafficSplit, since: i64) -> Self {
        Self { shifts: vec![(since, initial)], mirrors: Vec::new() }
    }

    /// From `at` on; never before the last shift, which stays as it was.
    pub(super) fn shift(&mut self, split: TrafficSplit, at: i64) {
        let at = self.shifts.last().map_or(at, |(last, _)| at.max(*last));
        self.shifts.push((at, split));
    }

    /// From `at` on copies of requests go to somebody besides, or to nobody.
    pub(super) fn mirror(&mut self, mirror: Option<(RevisionId, Weight)>, at: i64) {
        let at = self.mirrors.last().map_or(at, |(last, _)| at.max(*last));
        self.mirrors.push((at, mirror));
    }

    /// The share of the requests of `second` that the revision got, copies included.
    pub(super) fn share(&self, revision: &RevisionId, second: i64) -> f64 {
        let live = within(&self.shifts, second, |split| split.weight_of(revision).fraction());
        live + within(&self.mirrors, second, |mirror| copied(mirror.as_ref(), revision).fraction())
    }

    /// The parts of a stretch of seconds in which more than one revision had a share.
    pub(super) fn shared(&self, from: i64, until: i64) -> Vec<(i64, i64)> {
        let ends = self.shifts.iter().skip(1).map(|(at, _)| at.div_euclid(1000)).chain([i64::MAX]);
        let shared = self.shifts.iter().zip(ends).filter(|((_, split), _)| split.sole().is_none());
        let within = shared.map(|((at, _), end)| (from.max(at.div_euclid(1000)), until.min(end)));
        within.filter(|(from, until)| from < until).collect()
    }

    /// When the revision first got traffic, or copies of it, in milliseconds since 1970.
    pub(super) fn first(&self, revision: &RevisionId) -> Option<i64> {
        let live = self.shifts.iter().find(|(_, split)| split.weight_of(revision) > Weight::ZERO).map(|(at, _)| *at);
        let mirrored = self.mirrors.iter().find(|(_, mirror)| copied(mirror.as_ref(), revision) > Weight::ZERO);
        live.into_iter().chain(mirrored.map(|(at, _)| *at)).min()
    }
}

fn copied(mirror: Option<&(RevisionId, Weight)>, revision: &RevisionId) -> Weight {
    mirror.filter(|(to, _)| to == revision).map_or(Weight::ZERO, |(_, share)| *share)
}

/// The mean over a second of a share that changes at moments in milliseconds, ascending; none before the first.
fn within<T>(changes: &[(i64, T)], second: i64, share: impl Fn(&T) -> f64) -> f64 {
    let (from, until) = (second * 1000, (second + 1) * 1000);
    // The last change at or before the second's start, and those within it.
    let first = changes.partition_point(|(at, _)| *at <= from).saturating_sub(1);
    let mut total = 0.0;
    let mut rest = changes.iter().skip(first).peekable();
    while let Some((at, now)) = rest.next() {
        let begins = (*at).max(from);
        let ends = rest.peek().map_or(until, |(next, _)| (*next).min(until));
        if begins >= until {
            break;
        }
        total += share(now) * (ends - begins).max(0) as f64 / 1000.0;
    }
    total
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mlroll_backend::Weight;

    use super::*;

    #[test]
    fn a_split_counts_from_its_moment_on() {
        let (old, new): (RevisionId, RevisionId) = ("1".parse().unwrap(), "2".parse().unwrap());
        let mut timeline = Timeline::new(TrafficSplit::full(old.clone()), 0);
        let tenth = Weight::from_basis_points(1000).unwrap();
        timeline.shift(TrafficSplit::between(old.clone(), new.clone(), tenth), 10_250);
        timeline.shift(TrafficSplit::full(new.clone()), 10_750);
        timeline.shift(TrafficSplit::full(old.clone()), 9_000);
        for (second, share) in [(9, 0.0), (10, 0.05), (11, 0.0)] {
            assert!((timeline.share(&new, second) - share).abs() < 1e-9, "{second}");
            assert!((timeline.share(&new, second) + timeline.share(&old, second) - 1.0).abs() < 1e-9);
        }
        assert_eq!(timeline.share(&old, -5), 0.0);
        assert_eq!(timeline.first(&new), Some(10_250));
        assert_eq!(timeline.first(&"3".parse().unwrap()), None);
    }

    #[test]
    fn copies_come_on_top_and_end() {
        let (old, new): (RevisionId, RevisionId) = ("1".parse().unwrap(), "2".parse().unwrap());
        let mut timeline = Timeline::new(TrafficSplit::full(old.clone()), 0);
        timeline.mirror(Some((new.clone(), Weight::from_basis_points(2000).unwrap())), 10_500);
        timeline.mirror(None, 12_000);
        for (second, share) in [(9, 0.0), (10, 0.1), (11, 0.2), (12, 0.0)] {
            assert!((timeline.share(&new, second) - share).abs() < 1e-9, "{second}");
            assert!((timeline.share(&old, second) - 1.0).abs() < 1e-9, "{second}");
        }
        assert_eq!(timeline.first(&new), Some(10_500));
    }

    #[test]
    fn days_and_bursts_change_the_rate() {
        let mut service = crate::scenario::Scenario::default_world().targets.into_values().next().unwrap();
        service.daily = 0.5;
        let arrivals = Arrivals::new(&service, Key::new(1));
        assert!((arrivals.expected(14 * 3600) - 75.0).abs() < 1e-9);
        assert!((arrivals.expected(2 * 3600) - 25.0).abs() < 1e-9);
        service.daily = 0.0;
        service.bursts = Some(Bursts { every: Duration::from_secs(600), last: Duration::from_secs(20), times: 3.0 });
        let arrivals = Arrivals::new(&service, Key::new(1));
        let bursting = |from: i64| (from..from + 600).filter(|second| arrivals.expected(*second) > 100.0).count();
        assert!((0..6000).step_by(600).all(|from| bursting(from) == 20));
    }
}
