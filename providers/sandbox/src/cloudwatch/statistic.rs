//! Statistics of a point, from its raw values.

use crate::scenario::Latencies;

/// The values of a point.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Point {
    /// Values with how often they occurred; in any order.
    pub(super) values: Vec<(f64, f64)>,
    /// Only these sums are known of some more values: count, sum, least, largest.
    pub(super) sums: Option<(f64, f64, f64, f64)>,
    /// Nothing is told of those within bounds.
    pub(super) is_unbounded: bool,
}

/// A statistic that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Statistic {
    Sum,
    SampleCount,
    Average,
    Minimum,
    Maximum,
    /// Of all values, the share that lies at or below the result.
    Percentile(f64),
    /// Something about the values within bounds.
    Within(Of, Bound, Bound),
}

/// What is said of the values within bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// Their mean.
    TrimmedMean,
    /// Their number.
    Count,
    /// Their sum.
    Sum,
    /// The mean of all, with those outside moved to the bounds.
    WinsorizedMean,
    /// Which share of all they are, in percent.
    Rank,
}

/// A bound of values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Bound {
    None,
    Value(f64),
    /// As a share of all values, in order.
    Share(f64),
}

impl Statistic {
    /// Reads a name such as `Sum`, `p99.9`, `tm95`, `TM(10%:90%)` or `PR(:300)`.
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "Sum" => return Some(Self::Sum),
            "SampleCount" => return Some(Self::SampleCount),
            "Average" => return Some(Self::Average),
            "Minimum" => return Some(Self::Minimum),
            "Maximum" => return Some(Self::Maximum),
            "IQM" => return Some(Self::Within(Of::TrimmedMean, Bound::Share(0.25), Bound::Share(0.75))),
            _ => {}
        }
        if let Some((what, bounds)) = name.strip_suffix(')').and_then(|name| name.split_once('(')) {
            let of = match what {
                "TM" => Of::TrimmedMean,
                "TC" => Of::Count,
                "TS" => Of::Sum,
                "WM" => Of::WinsorizedMean,
                "PR" => Of::Rank,
                _ => return None,
            };
            let (low, high) = bounds.split_once(':')?;
            let (low, high) = (Bound::parse(low)?, Bound::parse(high)?);
            let shares = [low, high].iter().any(|bound| matches!(bound, Bound::Share(_)));
            let values = [low, high].iter().any(|bound| matches!(bound, Bound::Value(_)));
            let bounded = shares != values && !(shares && of == Of::Rank);
            return bounded.then_some(Self::Within(of, low, high));
        }
        for (prefix, of) in [("tm", Of::TrimmedMean), ("tc", Of::Count), ("ts", Of::Sum), ("wm", Of::WinsorizedMean)] {
            if let Some(share) = name.strip_prefix(prefix) {
                return Some(Self::Within(of, Bound::None, Bound::Share(percent(share)?)));
            }
        }
        name.strip_prefix('p').and_then(percent).map(Self::Percentile)
    }

    /// The statistic of a point; none where it cannot be told.
    pub(super) fn of(self, point: &Point) -> Option<f64> {
        let (count, sum, least, largest) = point.sums();
        if count <= 0.0 {
            return None;
        }
        match self {
            Self::Sum => Some(sum),
            Self::SampleCount => Some(count),
            Self::Average => Some(sum / count),
            Self::Minimum => Some(least),
            Self::Maximum => Some(largest),
            Self::Percentile(share) => point.raw().and_then(|values| quantile(&values, count, share)),
            Self::Within(..) if point.is_unbounded => None,
            Self::Within(of, low, high) => point.raw().and_then(|values| within(of, &values, count, low, high)),
        }
    }
}

/// 0 to 100, with up to ten decimals.
fn percent(text: &str) -> Option<f64> {
    let (_, decimals) = text.split_once('.').unwrap_or((text, ""));
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.') && decimals.len() <= 10;
    text.parse::<f64>().ok().filter(|percent| plain && *percent <= 100.0).map(|percent| percent / 100.0)
}

impl Bound {
    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::None);
        }
        match text.strip_suffix('%') {
            Some(share) => percent(share).map(Self::Share),
            None => text.parse::<f64>().ok().filter(|value| value.is_finite()).map(Self::Value),
        }
    }
}

impl Point {
    /// Adds another's values.
    pub(super) fn merge(&mut self, other: &Self) {
        self.values.extend(&other.values);
        self.is_unbounded |= other.is_unbounded;
        if let Some(theirs) = other.sums {
            let mine = self.sums.unwrap_or((0.0, 0.0, f64::INFINITY, f64::NEG_INFINITY));
            let sums = (mine.0 + theirs.0, mine.1 + theirs.1, mine.2.min(theirs.2), mine.3.max(theirs.3));
            self.sums = Some(sums);
        }
    }

    /// The same, of which only this can be told.
    pub(super) fn told(self, latencies: Latencies) -> Self {
        match latencies {
            Latencies::Counted => self,
            Latencies::Percentiles => Self { is_unbounded: true, ..self },
            Latencies::Sums if self.values.is_empty() => self,
            Latencies::Sums => Self { sums: Some(self.sums()), values: Vec::new(), is_unbounded: true },
        }
    }

    /// Count, sum, least and largest.
    fn sums(&self) -> (f64, f64, f64, f64) {
        let start = self.sums.unwrap_or((0.0, 0.0, f64::INFINITY, f64::NEG_INFINITY));
        self.values.iter().filter(|(_, times)| *times > 0.0).fold(start, |all, (value, times)| {
            (all.0 + times, all.1 + value * times, all.2.min(*value), all.3.max(*value))
        })
    }

    /// The values in order. None when there are negative ones or only sums of some, as on AWS.
    fn raw(&self) -> Option<Vec<(f64, f64)>> {
        let mut values: Vec<(f64, f64)> = self.values.iter().copied().filter(|(_, times)| *times > 0.0).collect();
        match self.sums {
            // All of them are alike.
            Some((count, _, least, largest)) if count == 1.0 || least == largest => values.push((least, count)),
            Some(_) => return None,
            None => {}
        }
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        values.first().filter(|(least, _)| *least >= 0.0)?;
        Some(values)
    }
}

fn quantile(values: &[(f64, f64)], count: f64, share: f64) -> Option<f64> {
    let mut below = 0.0;
    for (value, times) in values {
        below += times;
        if below >= share * count - 1e-9 {
            return Some(*value);
        }
    }
    values.last().map(|(value, _)| *value)
}

fn within(of: Of, values: &[(f64, f64)], count: f64, low: Bound, high: Bound) -> Option<f64> {
    // Where each value lies among all, from 0 to `count`; bounds leave out the lower end and keep the upper.
    let mut kept = Vec::new();
    let mut below = 0.0;
    for (value, times) in values {
        let (from, until) = (below, below + times);
        below = until;
        let start = match low {
            Bound::None => from,
            Bound::Value(bound) => {
                if *value > bound {
                    from
                } else {
                    until
                }
            }
            Bound::Share(share) => from.max(share * count),
        };
        let end = match high {
            Bound::None => until,
            Bound::Value(bound) => {
                if *value <= bound {
                    until
                } else {
                    from
                }
            }
            Bound::Share(share) => until.min(share * count),
        };
        if end > start {
            kept.push((*value, end - start));
        }
    }
    let number: f64 = kept.iter().map(|(_, times)| times).sum();
    let sum: f64 = kept.iter().map(|(value, times)| value * times).sum();
    match of {
        Of::Count => Some(number),
        Of::Sum => Some(sum),
        Of::Rank => Some(100.0 * number / count),
        Of::TrimmedMean => (number > 0.0).then(|| sum / number),
        Of::WinsorizedMean => {
            let (first, last) = (kept.first()?.0, kept.last()?.0);
            let moved: f64 = values.iter().map(|(value, times)| value.clamp(first, last) * times).sum();
            Some(moved / count)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, values: &[(f64, f64)]) -> Option<f64> {
        Statistic::parse(name)?.of(&Point { values: values.to_vec(), ..Point::default() })
    }

    #[test]
    fn tells_what_the_raw_values_say() {
        let hundred: Vec<(f64, f64)> = (1..=100).rev().map(|value| (f64::from(value), 1.0)).collect();
        for (name, expected) in [
            ("Sum", 5050.0),
            ("SampleCount", 100.0),
            ("Average", 50.5),
            ("Minimum", 1.0),
            ("Maximum", 100.0),
            ("p50", 50.0),
            ("p95", 95.0),
            ("p99.9", 100.0),
            ("p100", 100.0),
            ("p0", 1.0),
            ("tm90", 45.5),
            ("TM(10%:90%)", 50.5),
            ("IQM", 50.5),
            ("TC(90:)", 10.0),
            ("tc10", 10.0),
            ("TS(:10)", 55.0),
            ("PR(:30)", 30.0),
            ("PR(30:50)", 20.0),
            ("WM(:50)", (1..=50).map(f64::from).sum::<f64>() / 100.0 + 25.0),
        ] {
            assert_eq!(of(name, &hundred), Some(expected), "{name}");
        }
        assert_eq!(of("p50", &[(-1.0, 1.0), (2.0, 5.0)]), None);
        assert_eq!(of("Sum", &[]), None);
        assert_eq!(of("TM(200:300)", &hundred), None);
        let sums = Point { sums: Some((4.0, 10.0, 1.0, 4.0)), ..Point::default() };
        assert_eq!(Statistic::Average.of(&sums), Some(2.5));
        assert_eq!(Statistic::Percentile(0.5).of(&sums), None);
    }

    #[test]
    fn refuses_what_is_none() {
        for name in [
            "",
            "sum",
            "p",
            "p101",
            "p-1",
            "p1e1",
            "p50.12345678901",
            "pNaN",
            "TM()",
            "TM(:)",
            "TM(10%:200)",
            "PR(10%:)",
            "XX(1:2)",
            "TM(1:2",
            "tm",
            "p+5",
        ] {
            assert_eq!(Statistic::parse(name), None, "{name}");
        }
    }
}
