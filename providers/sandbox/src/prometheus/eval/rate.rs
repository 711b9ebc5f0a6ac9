//! `rate`, `increase` and their kin: what counters do between samples.

/// What to make of a stretch of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Per second, of a counter.
    Rate,
    /// In all, of a counter.
    Increase,
    /// In all, of a gauge.
    Delta,
    /// Per second, of a counter's last two samples.
    InstantRate,
    /// Of a gauge's last two samples.
    InstantDelta,
}

/// The change in the stretch from `start` to `end`, in milliseconds; none for fewer than two samples.
pub(super) fn change(change: Change, samples: &[(i64, f64)], start: i64, end: i64) -> Option<f64> {
    match change {
        Change::Rate | Change::Increase | Change::Delta => extrapolated(change, samples, start, end),
        Change::InstantRate | Change::InstantDelta => {
            let [.., (before, old), (after, new)] = samples else {
                return None;
            };
            if change == Change::InstantDelta {
                return Some(new - old);
            }
            let increase = if new < old { *new } else { new - old };
            (after > before).then(|| increase / ((after - before) as f64 / 1000.0))
        }
    }
}

/// Prometheus' rule: the change between the first and the last sample, stretched to the ends of the stretch where these
/// are less than 1.1 sample intervals away, else by half an interval; a counter not to before where it would have been
/// zero.
fn extrapolated(change: Change, samples: &[(i64, f64)], start: i64, end: i64) -> Option<f64> {
    let [(first, first_value), .., (last, last_value)] = samples else {
        return None;
    };
    let mut result = last_value - first_value;
    let counter = change != Change::Delta;
    if counter {
        for pair in samples.windows(2) {
            if let [(_, old), (_, new)] = pair
                && new < old
            {
                result += old;
            }
        }
    }
    let seconds = |from: i64, until: i64| (until - from) as f64 / 1000.0;
    let mut to_start = seconds(start, *first);
    let to_end = seconds(*last, end);
    let sampled = seconds(*first, *last);
    let interval = sampled / (samples.len() - 1) as f64;
    if counter && result > 0.0 && *first_value >= 0.0 {
        to_start = to_start.min(sampled * (first_value / result));
    }
    let threshold = interval * 1.1;
    let reach = |gap: f64| if gap < threshold { gap } else { interval / 2.0 };
    let factor = (sampled + reach(to_start) + reach(to_end)) / sampled;
    let whole = result * factor;
    Some(if change == Change::Rate { whole / seconds(start, end) } else { whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_two_samples_and_sees_resets() {
        assert_eq!(change(Change::Increase, &[(0, 1.0)], 0, 60_000), None);
        let samples = [(0, 100.0), (15_000, 110.0), (30_000, 5.0), (45_000, 20.0), (60_000, 30.0)];
        assert_eq!(change(Change::Increase, &samples, 0, 60_000), Some(40.0));
        assert_eq!(change(Change::Delta, &samples, 0, 60_000), Some(-70.0));
        assert_eq!(change(Change::InstantRate, &samples, 0, 60_000), Some(10.0 / 15.0));
        assert_eq!(change(Change::InstantDelta, &samples[..3], 0, 60_000), Some(-105.0));
    }

    #[test]
    fn reaches_to_the_ends_but_not_below_zero() {
        // 10 in 15 s, with 5 s before and 10 s after.
        assert_eq!(change(Change::Increase, &[(5000, 90.0), (20_000, 100.0)], 0, 30_000), Some(20.0));
        // The counter was zero 1.5 s before its first sample.
        assert_eq!(change(Change::Increase, &[(5000, 1.0), (20_000, 11.0)], 0, 20_000), Some(11.0));
        // 40 s are too far: half an interval.
        assert_eq!(change(Change::Increase, &[(45_000, 90.0), (60_000, 100.0)], 0, 60_000), Some(15.0));
    }
}
