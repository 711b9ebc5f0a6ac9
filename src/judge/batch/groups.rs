//! Grid points that share lanes.

/// Neighbouring points of which two lanes take care, or one that has a lane of its own.
///
/// Where an increment is at most `(1 - k) p + k q`, its power is at most `(1 - k) e^p + k e^q`. So two lanes, for the first and
/// the last point of a group, bound all of it: with p and q on a line over `a` that is above the increments of all.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// `a` of its points.
    a: Vec<f64>,
    /// The index of its first point.
    start: usize,
}

impl Group {
    /// Groups of points with these `a`, for so many lanes. Points keep lanes of their own if there are enough.
    pub(super) fn all(a: &[f64], lanes: usize) -> Vec<Self> {
        // The first group is the largest: increments are small there.
        let count = if a.len() <= lanes { a.len() } else { lanes / 2 };
        let mut sizes: Vec<usize> = (0..count).map(|at| (a.len() + at) / count).collect();
        sizes.reverse();
        let mut start = 0;
        let group = |size: usize| {
            let a = a.iter().skip(start).take(size).copied().collect();
            start += size;
            Self { a, start: start - size }
        };
        sizes.into_iter().map(group).collect()
    }

    /// `a` of its lanes.
    pub(super) fn a(&self) -> impl Iterator<Item = f64> {
        let last = self.a.last().filter(|_| self.a.len() > 1);
        self.a.first().into_iter().chain(last).copied()
    }

    /// What its lanes count for, when points count for as much as these.
    pub(super) fn weights(&self, weights: &[f64]) -> impl Iterator<Item = f64> {
        let [first, last] = [self.a.first(), self.a.last()].map(|end| end.copied().unwrap_or(0.0));
        let share = |a: f64| if last == first { 0.0 } else { (a - first) / (last - first) };
        let weights = weights.iter().skip(self.start);
        let of_last: f64 = weights.clone().zip(&self.a).map(|(weight, a)| weight * share(*a)).sum();
        let all: f64 = weights.take(self.a.len()).sum();
        [all - of_last, of_last].into_iter().take(self.a.len())
    }

    /// A line below the values of its points, at its lanes.
    pub(super) fn below(&self, values: &[f64]) -> impl Iterator<Item = f64> {
        let points = || self.a.iter().copied().zip(values.iter().skip(self.start).copied());
        // As steep as from the first point to the third: values are convex, and `a` grows by powers.
        let third = points().take(3).next_back();
        let steep = match (points().next(), third) {
            (Some((a, value)), Some((third_a, third))) if third_a != a => (third - value) / (third_a - a),
            _ => 0.0,
        };
        let start = points().map(|(a, value)| value - steep * a).fold(f64::INFINITY, f64::min);
        self.a().map(move |a| start + steep * a)
    }
}
