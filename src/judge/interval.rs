//! Intervals to show, never to decide (docs/judge.md section 3.6).

use serde::Serialize;

use super::counts::{Boundary, Counts};
use super::design_effect::DesignEffect;
use super::ledger::{Direction, ln_e_of_sums};
use super::limit::Limit;
use super::math::ln_beta;
use super::roots::bisect;

/// An interval on a rate or on a rate ratio.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Lower end, at least 0.
    pub lower: f64,
    /// Upper end; `None` when the data bound nothing.
    pub upper: Option<f64>,
}

/// The anytime-valid interval of a rate at level `1 - alpha`: the beta-binomial mixture with `a = 1/2` and a mean at the
/// limit (Jeffreys without one). The upper end is a share, 1 when no request is without an event.
#[must_use]
pub fn rate(counts: Counts, limit: Option<Limit>, alpha: f64) -> Interval {
    let a = 0.5;
    let b = limit.map_or(0.5, |tau| (1.0 - tau.share()) / (2.0 * tau.share()));
    let (x, rest) = (counts.events(), counts.rest());
    let evidence = ln_beta(a + x, b + rest) - ln_beta(a, b);
    // 0 ln 0 is 0: no event says nothing against a rate of 0.
    let term = |count: f64, ln_share: f64| if count > 0.0 { count * ln_share } else { 0.0 };
    let excluded = |p: f64| evidence - term(x, p.ln()) - term(rest, (-p).ln_1p()) >= -alpha.ln();
    let centre = if counts.requests() > 0.0 { x / counts.requests() } else { 0.5 };
    Interval {
        lower: if x > 0.0 { bisect(|p| !excluded(p), 0.0, centre) } else { 0.0 },
        upper: Some(if rest > 0.0 { bisect(excluded, centre, 1.0) } else { 1.0 }),
    }
}

/// The anytime-valid interval of the rate ratio, candidate over stable, at level `1 - alpha`.
///
/// Each pair of counts is a stratum (a look, or a stage with an equal split). No restarts, no slack.
#[must_use]
pub fn rate_ratio(strata: &[(Counts, Counts)], alpha: f64, design_effect: DesignEffect) -> Interval {
    let enough = (2.0 / alpha).ln();
    let evidence = |direction, ln_ratio: f64| {
        let boundary = Boundary { ratio: ln_ratio.exp(), abs: 0.0 };
        ln_e_of_sums(direction, |g| {
            strata.iter().map(|(c, b)| boundary.increment(*c, *b, g, design_effect.factor())).sum()
        })
    };
    // Both are monotone in the ratio, and neither changes any more at the ends of this range.
    let reach = 600.0;
    let below = |ln_ratio: f64| evidence(Direction::Up, ln_ratio) < enough;
    let above = |ln_ratio: f64| evidence(Direction::Down, ln_ratio) >= enough;
    let crossing = |turned: &dyn Fn(f64) -> bool| {
        let mut width = 1.0;
        while width < reach && (turned(-width) || !turned(width)) {
            width *= 4.0;
        }
        let (low, high) = (-f64::min(width, reach), f64::min(width, reach));
        bisect(turned, low, high).exp()
    };
    Interval {
        lower: if below(-reach) { 0.0 } else { crossing(&below) },
        upper: if above(reach) { Some(crossing(&above)) } else { None },
    }
}

/// Wilson's 95 % interval of one finished window; not for repeated looks.
#[must_use]
pub fn wilson(counts: Counts) -> Interval {
    let n = counts.requests();
    if n <= 0.0 {
        return Interval { lower: 0.0, upper: Some(1.0) };
    }
    let z = 1.959_963_984_540_054;
    let (p, z2) = (counts.events() / n, z * z / n);
    let centre = (p + z2 / 2.0) / (1.0 + z2);
    let half = z / (1.0 + z2) * (p * (1.0 - p) / n + z2 / (4.0 * n)).sqrt();
    Interval { lower: (centre - half).max(0.0), upper: Some((centre + half).min(1.0)) }
}

#[cfg(test)]
mod tests {

    use super::*;

    fn counts(requests: f64, events: f64) -> Counts {
        Counts::new(requests, events).unwrap()
    }

    #[test]
    fn no_data_bounds_nothing() {
        assert_eq!(rate(Counts::NONE, None, 0.05), Interval { lower: 0.0, upper: Some(1.0) });
        assert_eq!(wilson(Counts::NONE), Interval { lower: 0.0, upper: Some(1.0) });
        for strata in [&[][..], &[(counts(100.0, 0.0), counts(100.0, 0.0))]] {
            assert_eq!(rate_ratio(strata, 0.05, DesignEffect::NONE), Interval { lower: 0.0, upper: None });
        }
    }

    #[test]
    fn the_ends_of_a_rate_are_reached() {
        let none = rate(counts(300.0, 0.0), None, 0.05);
        assert!(none.lower == 0.0 && none.upper.unwrap() < 0.05);
        let all = rate(counts(300.0, 300.0), None, 0.05);
        assert!(all.lower > 0.95 && all.upper == Some(1.0));
    }

    #[test]
    fn one_sided_data_bound_one_side() {
        let only_candidate = rate_ratio(&[(counts(1e3, 50.0), counts(1e3, 0.0))], 0.01, DesignEffect::NONE);
        assert!(only_candidate.lower > 1.0 && only_candidate.upper.is_none());
        let only_stable = rate_ratio(&[(counts(1e3, 0.0), counts(1e3, 50.0))], 0.01, DesignEffect::NONE);
        assert!(only_stable.lower == 0.0 && only_stable.upper.unwrap() < 1.0);
    }

    #[test]
    fn extreme_splits_are_bounded_too() {
        let interval = rate_ratio(&[(counts(1e15, 1e15), counts(1e-3, 1e-3))], 0.01, DesignEffect::NONE);
        assert!(interval.lower.is_finite() && interval.upper.is_none_or(f64::is_finite));
    }
}
