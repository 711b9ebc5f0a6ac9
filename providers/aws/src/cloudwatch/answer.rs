//! What series say.

use mlroll_backend::{Histogram, Result, Sample, Why, Window};

use super::alarms;
use super::question::{Asked, Failures, Parts, Slow};
use super::series::{Readings, Series};

/// What helps where the store has no numbers above a threshold. Statistic sets have neither those nor percentiles (CloudWatch user
/// guide, "Statistics definitions").
const UNCOUNTED: &str = ", so nobody can count those above a limit: a gate with `quantile` and `judge = \"sign\"`, \"t\", \"mann_whitney\" or \"kayenta\" \
                         reads the percentile; published as statistic sets it has none either";

/// The same where it has no percentiles.
const UNMEASURED: &str = ": it was published as statistic sets; its Average can be read by a `query`";

impl Asked {
    /// The series that tells whether this subject had requests, and the one of all requests that it is a part of.
    fn share(&self) -> Option<(&Series, &Series)> {
        match &self.parts {
            Parts::ErrorRate { requests, .. }
            | Parts::Latency { requests, .. }
            | Parts::Quantile { requests, .. }
            | Parts::Requests(requests) => Some((requests, self.routed.as_ref()?)),
            Parts::Alarms { .. } | Parts::Headroom { .. } | Parts::Value(_) => None,
        }
    }

    /// What was read says of a window, which is one of `windows`; `beside` are the same question's other subjects, and this one.
    pub(super) fn read(&self, readings: &Readings, window: Window, windows: &[Window], beside: &[Self]) -> Sample {
        let sample = match self.parts.answer(readings, window) {
            Err(Why::Empty) => self.instead(readings, window, windows).unwrap_or(Err(Why::Empty)),
            sample => sample,
        };
        match sample {
            Ok(sample) => sample,
            Err(Why::Empty) => {
                Sample::NoData(self.nothing(readings, window, windows, beside).err().unwrap_or(Why::Empty))
            }
            Err(why) => Sample::NoData(why),
        }
    }

    /// Whether what stands for the revision would tell more than was read: it had all requests, and the store has none by its name.
    pub(super) fn lacks_the_whole(&self, readings: &Readings, windows: &[Window]) -> bool {
        let routed = |window: &Window| {
            let all = self.routed.as_ref().and_then(|routed| readings.at(routed, *window).ok().flatten());
            all.is_some_and(|all| all > 0.0)
        };
        self.whole.as_ref().is_some_and(|whole| !whole.is_asked)
            && windows.iter().any(|window| routed(window) && self.is_untold(readings, *window, windows))
    }

    /// What the thing that routes says of a revision that had all of its requests, and has no series of its own.
    fn instead(&self, readings: &Readings, window: Window, windows: &[Window]) -> Option<Result<Sample, Why>> {
        let whole = self.whole.as_ref().filter(|whole| whole.is_asked)?;
        self.is_untold(readings, window, windows).then(|| whole.parts.answer(readings, window))
    }

    /// Whether it had all requests of this window, and the store has no point by its name there or later. A store that has points of
    /// it later tells revisions apart, and then somebody else had these.
    fn is_untold(&self, readings: &Readings, window: Window, windows: &[Window]) -> bool {
        let Some(((requests, _), whole)) = self.share().zip(self.whole.as_ref()) else { return false };
        let from_here = windows.iter().filter(|later| later.start() >= window.start());
        window.start() >= whole.since
            && from_here.into_iter().all(|later| matches!(readings.at(requests, *later), Ok(None)))
    }

    /// Fails when something was there that is not told: an alias whose requests no version has had.
    fn nothing(&self, readings: &Readings, window: Window, windows: &[Window], beside: &[Self]) -> Result<(), Why> {
        let Some((_, routed)) = self.share() else {
            return Ok(());
        };
        let all = readings.at(routed, window)?.unwrap_or(0.0);
        let mut told = false;
        for (other, (requests, theirs)) in beside.iter().filter_map(|other| Some((other, other.share()?))) {
            let counted = readings.at(requests, window)?.is_some_and(|count| count > 0.0);
            told |= theirs == routed && (counted || other.instead(readings, window, windows).is_some());
        }
        if told || all <= 0.0 {
            return Ok(());
        }
        let found = format!("the alias had {all} requests, and CloudWatch does not tell which version served them");
        Err(Why::Inconsistent { found })
    }
}

impl Parts {
    fn answer(&self, readings: &Readings, window: Window) -> Result<Sample, Why> {
        match self {
            Self::Alarms { region, names } => {
                let told: Vec<_> = names.iter().map(|name| (name.as_str(), readings.alarm(region, name))).collect();
                alarms::read(&told, window)
            }
            Self::Headroom { used, full } => readings.at(used, window).and_then(|used| {
                let (used, full) = (used.ok_or(Why::Empty)?, full.clone()?);
                Ok(Sample::value((1.0 - used / full).clamp(0.0, 1.0)))
            }),
            Self::ErrorRate { requests, failures } => error_rate(requests, failures, readings, window),
            Self::Latency { requests, slow } => latency(requests, slow, readings, window),
            Self::Quantile { requests, latency, per_second, share } => {
                let [requests, latency] = [requests, latency].map(|series| readings.at(series, window));
                quantile(requests, latency, *per_second, *share)
            }
            Self::Requests(series) | Self::Value(series) => {
                readings.at(series, window).and_then(|value| value.map(Sample::value).ok_or(Why::Empty))
            }
        }
    }
}

fn error_rate(requests: &Series, failures: &Failures, readings: &Readings, window: Window) -> Result<Sample, Why> {
    let at = |series: &Series| Ok::<f64, Why>(readings.at(series, window)?.unwrap_or(0.0));
    let mut failed = at(&failures.counted)?;
    // Model errors are all answers but 2xx, and no answer at all: without the caller's own faults, what is left is at least
    // what was answered with 5xx.
    if let Some((model, client)) = &failures.model {
        failed = failed.max(at(model)? - at(client)?);
    }
    match readings.at(requests, window)? {
        Some(requests) => Ok(Sample::counts(requests, failed)),
        None if failed > 0.0 => Err(Why::Inconsistent { found: format!("{failed} failed requests of none") }),
        None => Err(Why::Empty),
    }
}

fn latency(requests: &Series, slow: &[Slow], readings: &Readings, window: Window) -> Result<Sample, Why> {
    let Some(total) = readings.at(requests, window)? else {
        return Err(Why::Empty);
    };
    let mut buckets = vec![(f64::INFINITY, total)];
    for Slow { threshold, at_most, above } in slow {
        // A count of nothing may be told as zero or not at all; both missing means that there are no such counts.
        let fast = match (readings.at(at_most, window)?, readings.at(above, window)?) {
            (None, None) if total > 0.0 => {
                let found = format!("{total} requests and no trimmed count of them{UNCOUNTED}");
                return Err(Why::Inconsistent { found });
            }
            (fast, above) => {
                let (fast, above) = (fast.unwrap_or(0.0), above.unwrap_or(0.0));
                // Counts from distributions may be off by rounding.
                if (fast + above - total).abs() > 1.0 + total * 0.01 {
                    let found = format!("{fast} fast and {above} slow requests of {total}");
                    return Err(Why::Inconsistent { found });
                }
                (total - above).max(0.0)
            }
        };
        buckets.push((*threshold, fast));
    }
    Histogram::new(buckets).map(Sample::Histogram).map_err(|e| Why::Inconsistent { found: e.to_string() })
}

/// A bucket that ends at the quantile. A store that knows how many requests there were and no quantile of them was given sums.
fn quantile(
    requests: Result<Option<f64>, Why>,
    latency: Result<Option<f64>, Why>,
    per_second: f64,
    share: f64,
) -> Result<Sample, Why> {
    let Some(total) = requests?.filter(|total| *total > 0.0) else {
        return Err(Why::Empty);
    };
    let inconsistent = |found: String| Why::Inconsistent { found };
    let latency =
        latency?.ok_or_else(|| inconsistent(format!("{total} requests and no percentile of them{UNMEASURED}")))?;
    Histogram::new(vec![(latency / per_second, share * total), (f64::INFINITY, total)])
        .map(Sample::Histogram)
        .map_err(|e| inconsistent(e.to_string()))
}
