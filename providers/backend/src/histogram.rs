//! How long requests took, in buckets.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Cumulative buckets: `(upper bound, how many requests took at most as long)`, bounds in seconds and rising, counts never
/// falling, the last bound plus infinity. Counts are real numbers, because stores extrapolate.
///
/// In JSON a list of pairs, the last bound as text: `[[0.1,12.0],["+Inf",20.0]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram(Vec<(f64, f64)>);

/// Why buckets are no [`Histogram`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidHistogram(String);

/// Above this a count is a mistake of the store, and sums would lose digits.
const MOST: f64 = 1e15;

impl Histogram {
    /// A histogram from cumulative buckets in any order. Counts of equal bounds are added, as client libraries write `1`
    /// and `1.0`; a count below the one before it is raised to it, as the parts of one answer may be of different scrapes.
    ///
    /// # Errors
    /// There is no bucket up to infinity, so that nobody knows how many requests there were; a bound is NaN or minus
    /// infinity; a count is not a number from 0 to 1e15.
    pub fn new(mut buckets: Vec<(f64, f64)>) -> Result<Self, InvalidHistogram> {
        for (bound, count) in &buckets {
            if bound.is_nan() || *bound == f64::NEG_INFINITY {
                return Err(InvalidHistogram(format!("a bucket's bound is {bound}")));
            }
            if !(0.0..=MOST).contains(count) {
                return Err(InvalidHistogram(format!("the bucket up to {bound} has a count of {count}")));
            }
        }
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut merged: Vec<(f64, f64)> = Vec::with_capacity(buckets.len());
        for (bound, count) in buckets {
            match merged.last_mut() {
                // `==` and not bits: 0 and -0 are one bound.
                Some(last) if last.0 == bound => last.1 = (last.1 + count).min(MOST),
                Some(_) | None => merged.push((bound, count)),
            }
        }
        let mut highest = 0.0_f64;
        for (_, count) in &mut merged {
            highest = highest.max(*count);
            *count = highest;
        }
        match merged.last() {
            Some((bound, _)) if *bound == f64::INFINITY => Ok(Self(merged)),
            Some(_) | None => Err(InvalidHistogram("there is no bucket up to +Inf".to_owned())),
        }
    }

    /// The buckets.
    #[must_use]
    pub fn buckets(&self) -> &[(f64, f64)] {
        &self.0
    }

    /// How many requests there were.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.0.last().map_or(0.0, |(_, count)| *count)
    }
}

impl fmt::Display for InvalidHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidHistogram {}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Bound {
    Finite(f64),
    Text(String),
}

impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written =
            |bound: f64| if bound.is_finite() { Bound::Finite(bound) } else { Bound::Text("+Inf".to_owned()) };
        serializer.collect_seq(self.0.iter().map(|(bound, count)| (written(*bound), *count)))
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut buckets = Vec::new();
        for (bound, count) in Vec::<(Bound, f64)>::deserialize(deserializer)? {
            let bound = match bound {
                Bound::Finite(bound) => bound,
                Bound::Text(text) if text == "+Inf" => f64::INFINITY,
                Bound::Text(text) => return Err(D::Error::custom(format!("`{text}` is no bound of a bucket"))),
            };
            buckets.push((bound, count));
        }
        Self::new(buckets).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INF: f64 = f64::INFINITY;

    #[test]
    fn is_sorted_merged_and_never_falls() {
        let histogram = Histogram::new(vec![(INF, 9.0), (0.5, 4.0), (1.0, 3.0), (1.0, 0.5), (0.1, 2.0)]).unwrap();
        assert_eq!(histogram.buckets(), [(0.1, 2.0), (0.5, 4.0), (1.0, 4.0), (INF, 9.0)]);
        assert_eq!(histogram.total(), 9.0);
        let json = serde_json::to_string(&histogram).unwrap();
        assert_eq!(json, r#"[[0.1,2.0],[0.5,4.0],[1.0,4.0],["+Inf",9.0]]"#);
        assert_eq!(serde_json::from_str::<Histogram>(&json).unwrap(), histogram);
    }

    #[test]
    fn refuses_what_says_nothing() {
        for buckets in [
            vec![],
            vec![(0.1, 2.0)],
            vec![(f64::NAN, 1.0), (INF, 1.0)],
            vec![(-INF, 1.0), (INF, 1.0)],
            vec![(INF, -1.0)],
            vec![(INF, f64::NAN)],
            vec![(INF, INF)],
            vec![(INF, 1e16)],
        ] {
            assert!(Histogram::new(buckets.clone()).is_err(), "{buckets:?}");
        }
        for json in ["[]", r#"[["Inf",1]]"#, r#"[["+Inf",null]]"#, "[[1.0,1.0]]"] {
            assert!(serde_json::from_str::<Histogram>(json).is_err(), "{json}");
        }
    }

    proptest! {
        #[test]
        fn any_buckets_make_a_rising_one(mut buckets in prop::collection::vec((-1e3..1e3, 0.0..1e9), 0..20), all in 0.0..1e9) {
            buckets.push((INF, all));
            let histogram = Histogram::new(buckets).unwrap();
            for pair in histogram.buckets().windows(2) {
                prop_assert!(pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
            }
            prop_assert_eq!(Histogram::new(histogram.buckets().to_vec()).unwrap(), histogram);
        }
    }
}
