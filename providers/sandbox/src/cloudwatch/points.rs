//! The points of a metric as they can be read at some moment.
//!
//! A request's part of a point can be read some time after it (`delay`), so the newest points are too small and grow. Of
//! some minutes (`late`) the last part takes longer still.

use std::collections::BTreeMap;

use super::metric::{Kind, Metric, Published};
use super::statistic::Point;
use crate::scenario::{self, Versions};
use crate::traffic::{Key, Traffic};

/// The most by which the last part of a minute is late, in seconds.
const LATEST: i64 = 600;

/// How long points of less than a minute are kept, those of a minute, and those of five, in seconds (CloudWatch API reference,
/// `MetricStat`). Longer ones are kept for longer than the sandbox has been there.
const KEPT: (i64, i64, i64) = (3 * 3600, 15 * 86_400, 63 * 86_400);

/// Points by the second at which they start.
pub(super) type Points = BTreeMap<i64, Point>;

/// One value that somebody has published.
#[derive(Clone, Debug)]
pub(super) struct Datum {
    pub(super) at: i64,
    pub(super) unit: String,
    pub(super) point: Point,
}

/// What somebody has published, by region and metric.
pub(super) type Custom = BTreeMap<(String, Metric), Vec<Datum>>;

/// Who reads, and when.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) traffic: &'a mut Traffic,
    pub(super) settings: &'a scenario::CloudWatch,
    /// In seconds since 1970.
    pub(super) now: i64,
    /// The region that was asked; `None` when the request does not say.
    pub(super) region: Option<String>,
    pub(super) published: Vec<Published>,
    pub(super) custom: &'a Custom,
}

impl Reader<'_> {
    /// The first moment of what `StartTime` asks for: that is rounded down to a minute, to five or sixty of them when it is long
    /// ago, and to the period when that is shorter than a minute, of which nothing is kept for long (CloudWatch API reference,
    /// `GetMetricData`).
    fn first(&self, start: i64, period: i64) -> i64 {
        let (short, minutes, fives) = KEPT;
        match self.now.saturating_sub(start) {
            age if period < 60 => (if age > short { self.now - short } else { start }).div_euclid(period) * period,
            age if age < minutes => start.div_euclid(60) * 60,
            age if age <= fives => start.div_euclid(300) * 300,
            _ => start.div_euclid(3600) * 3600,
        }
    }

    /// The points of a metric in `unit`, when one is given, that start from `start` on and before `end`, each of `period`
    /// seconds and on the grid of that length.
    pub(super) fn points(&mut self, metric: &Metric, unit: Option<&str>, period: i64, start: i64, end: i64) -> Points {
        let start = self.first(start, period);
        let mut points = Points::new();
        let here = |region: &str| self.region.as_deref().is_none_or(|asked| asked == region);
        for ((region, named), data) in self.custom {
            if named != metric || !here(region) {
                continue;
            }
            for datum in data.iter().filter(|datum| unit.is_none_or(|unit| unit == datum.unit)) {
                if (start..end).contains(&datum.at) && datum.at <= self.now {
                    let at = datum.at.div_euclid(period) * period;
                    points.entry(at).or_default().merge(&datum.point);
                }
            }
        }
        let found: Vec<Published> = self
            .published
            .iter()
            .filter(|one| one.metric == *metric && here(&one.region) && unit.is_none_or(|unit| unit == one.unit))
            .cloned()
            .collect();
        for one in found {
            self.add(&one, period, start, end, &mut points);
        }
        points.retain(|_, point| !point.values.is_empty() || point.sums.is_some());
        points
    }

    /// The unit in which a metric is published.
    pub(super) fn unit(&self, metric: &Metric) -> String {
        let custom = self.custom.iter().find(|((_, named), _)| named == metric);
        let custom = custom.and_then(|(_, data)| data.first()).map(|datum| datum.unit.clone());
        let published = self.published.iter().find(|one| one.metric == *metric).map(|one| one.unit.to_owned());
        published.or(custom).unwrap_or_else(|| "None".to_owned())
    }

    fn add(&mut self, published: &Published, period: i64, start: i64, end: i64, points: &mut Points) {
        // What is not published as often has a point as often as it is, whatever is asked for; and what lies in the future has none.
        let length = if period % published.every == 0 { period } else { published.every };
        let mut at = if length == period { start } else { start + length - 1 }.div_euclid(length) * length;
        let began = self.traffic.began().unix_seconds() - 27 * 3600;
        at = at.max(began.div_euclid(length) * length);
        while at < end.min(self.now) {
            for (target, revision) in &published.of {
                let key = self.traffic.key().named("late").named(&target.to_string()).named(revision.as_str());
                let mut parts = seen(self.settings, self.now, key, at, at + length);
                if published.metric.dimensions.contains_key("ExecutedVersion") {
                    parts = match self.settings.versions {
                        Versions::Always => parts,
                        Versions::Never => Vec::new(),
                        Versions::Shared => {
                            parts.iter().flat_map(|(from, until)| self.traffic.shared(target, *from, *until)).collect()
                        }
                    };
                }
                for (from, until) in parts {
                    let measured = self.traffic.between(target, revision, from, until);
                    let mut point = published.kind.point(&measured);
                    if let Kind::Latency(_) = published.kind {
                        point = point.told(self.settings.latencies);
                    }
                    points.entry(at.div_euclid(period) * period).or_default().merge(&point);
                }
            }
            at += length;
        }
    }
}

/// The parts of a stretch of time whose requests can be read at `now`.
fn seen(settings: &scenario::CloudWatch, now: i64, key: Key, from: i64, until: i64) -> Vec<(i64, i64)> {
    let delay = i64::try_from(settings.delay.as_secs()).unwrap_or(i64::MAX / 4);
    let visible = now.saturating_sub(delay);
    // All that is older has arrived.
    let settled = if settings.late > 0.0 { visible.saturating_sub(LATEST + 60) } else { visible };
    let mut parts = Vec::new();
    let whole = until.min(settled.div_euclid(60) * 60);
    if from < whole {
        parts.push((from, whole));
    }
    let mut begin = from.max(whole);
    while begin < until && begin < visible {
        let minute = begin.div_euclid(60) * 60;
        let key = key.with(minute as u64);
        let mut end = (minute + 60).min(visible);
        let late_by = 60.0 + key.with(1).unit() * (LATEST - 60) as f64;
        if key.unit() < settings.late && visible < minute + 60 + late_by as i64 {
            end = end.min(minute + 15 + (key.with(2).unit() * 40.0) as i64);
        }
        end = end.min(until);
        if begin < end {
            parts.push((begin, end));
        }
        begin = minute + 60;
    }
    parts
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn total(settings: &scenario::CloudWatch, now: i64) -> i64 {
        seen(settings, now, Key::new(9), 0, 600).iter().map(|(from, until)| until - from).sum()
    }

    /// A minute has what its parts have, whatever of it has arrived.
    #[test]
    fn parts_of_a_minute_add_up_to_it() {
        let mut settings = scenario::CloudWatch { delay: Duration::from_secs(60), ..scenario::CloudWatch::default() };
        for late in [0.0, 0.7] {
            settings.late = late;
            for now in 0..1500 {
                let of = |from, until| {
                    let parts = seen(&settings, now, Key::new(9), from, until);
                    assert!(
                        parts.iter().all(|(begin, end)| from <= *begin && begin < end && *end <= until),
                        "{parts:?}"
                    );
                    parts.iter().map(|(begin, end)| end - begin).sum::<i64>()
                };
                for every in [10, 30] {
                    let parts: i64 = (0..600).step_by(every).map(|at| of(at, at + every as i64)).sum();
                    assert_eq!(parts, of(0, 600), "{now} {every} {late}");
                }
            }
        }
    }

    #[test]
    fn points_grow_until_all_has_arrived() {
        let mut settings = scenario::CloudWatch { delay: Duration::from_secs(60), ..scenario::CloudWatch::default() };
        for (now, expected) in [(60, 0), (61, 1), (150, 90), (660, 600), (10_000, 600)] {
            assert_eq!(total(&settings, now), expected, "{now}");
        }
        settings.late = 0.5;
        let over_time: Vec<i64> = (0..1500).map(|now| total(&settings, now)).collect();
        assert!(over_time.is_sorted(), "what has arrived does not leave again");
        assert!(over_time[660] < 580 && over_time[1499] == 600, "{} {}", over_time[660], over_time[1499]);
    }
}
