//! `histogram_quantile`.

/// The value that a share `q` of the observations does not exceed, from cumulative buckets, by linear interpolation.
pub(super) fn bucket_quantile(q: f64, mut buckets: Vec<(f64, f64)>) -> f64 {
    if q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Buckets with the same bound are one; counts never fall.
    let mut merged: Vec<(f64, f64)> = Vec::with_capacity(buckets.len());
    for (bound, count) in buckets {
        match merged.last_mut() {
            Some((last, sum)) if *last == bound => *sum += count,
            Some(_) | None => merged.push((bound, count)),
        }
    }
    let mut highest = f64::NEG_INFINITY;
    for (_, count) in &mut merged {
        highest = highest.max(*count);
        *count = highest;
    }
    let [finite @ .., (bound, observations)] = merged.as_slice() else {
        return f64::NAN;
    };
    let Some(largest) = finite.last().filter(|_| *bound == f64::INFINITY) else {
        return f64::NAN;
    };
    if *observations == 0.0 || observations.is_nan() {
        return f64::NAN;
    }
    let rank = q * observations;
    let place = finite.partition_point(|(_, count)| *count < rank);
    let Some((end, count)) = finite.get(place) else {
        return largest.0;
    };
    let Some((start, below)) = place.checked_sub(1).and_then(|before| finite.get(before)) else {
        return if *end <= 0.0 { *end } else { end * (rank / count) };
    };
    start + (end - start) * ((rank - below) / (count - below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolates_and_is_capped() {
        let buckets = vec![(1.0, 10.0), (0.5, 5.0), (f64::INFINITY, 20.0)];
        assert_eq!(bucket_quantile(0.25, buckets.clone()), 0.5);
        assert_eq!(bucket_quantile(0.375, buckets.clone()), 0.75);
        assert_eq!(bucket_quantile(0.125, buckets.clone()), 0.25);
        assert_eq!(bucket_quantile(0.9, buckets.clone()), 1.0);
        assert_eq!(bucket_quantile(1.1, buckets.clone()), f64::INFINITY);
        assert!(bucket_quantile(f64::NAN, buckets).is_nan());
        assert!(bucket_quantile(0.5, vec![(1.0, 2.0)]).is_nan());
        assert!(bucket_quantile(0.5, vec![(1.0, 0.0), (f64::INFINITY, 0.0)]).is_nan());
        assert!(bucket_quantile(0.5, vec![]).is_nan());
    }
}
