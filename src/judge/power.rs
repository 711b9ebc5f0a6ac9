//! How much evidence a request brings, and how many are still needed (docs/judge.md section 3.9, "Forecast and planning").

use super::counts::Boundary;
use super::design_effect::DesignEffect;
use super::ledger::{Direction, grid};
use super::limit::Limit;

/// What the ledger costs before it gains, in nats: its price for not knowing the ratio and the onset.
pub const START_COST: f64 = 1.5;

/// The rates a forecast assumes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assumed {
    /// The candidate's rate, a share.
    pub candidate_rate: f64,
    /// The stable rate, a share.
    pub stable_rate: f64,
    /// Stable requests per candidate request, above 0: 9 at a 10 % split.
    pub stable_per_candidate: f64,
}

/// Nats per candidate request against the stable revision: `kappa`, the best of the grid; at most 0 when the assumed rates
/// are on the tested side of the boundary.
#[must_use]
pub fn gain_against_stable(assumed: Assumed, boundary: Boundary, direction: Direction, effect: DesignEffect) -> f64 {
    let Assumed { candidate_rate, stable_rate, stable_per_candidate } = assumed;
    let s = boundary.ratio / stable_per_candidate;
    let per_request = |g: f64| {
        candidate_rate * g.ln()
            - (candidate_rate + stable_rate * stable_per_candidate) * ((g - 1.0) * (s / (1.0 + s))).ln_1p()
            - boundary.abs * (g - 1.0) / (1.0 + g * s)
    };
    best(grid(direction).map(per_request), effect)
}

/// Nats per candidate request against an absolute limit.
#[must_use]
pub fn gain_against_limit(rate: f64, limit: Limit, direction: Direction, effect: DesignEffect) -> f64 {
    let tau = limit.share();
    let usable = grid(direction).filter(|g| g * tau < 1.0);
    best(usable.map(|g| rate * g.ln() + (1.0 - rate) * ((-g * tau).ln_1p() - (-tau).ln_1p())), effect)
}

/// Candidate requests still needed to decide at `alpha`, given `ln E` so far; `None` when the gain leads nowhere.
#[must_use]
pub fn requests_needed(ln_e: f64, alpha: f64, gain: f64) -> Option<f64> {
    let needed = (-alpha.ln() - ln_e).max(0.0) / gain;
    (gain > 0.0 && needed.is_finite()).then_some(needed)
}

/// Candidate requests needed from the start, with [`START_COST`] on top.
#[must_use]
pub fn requests_needed_at_start(alpha: f64, gain: f64) -> Option<f64> {
    requests_needed(-START_COST, alpha, gain)
}

fn best(gains: impl Iterator<Item = f64>, effect: DesignEffect) -> f64 {
    let best = gains.filter(|gain| gain.is_finite()).fold(f64::NEG_INFINITY, f64::max);
    if best.is_finite() { best / effect.factor() } else { 0.0 }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn agrees_with_the_example_of_the_page() {
        let assumed = Assumed { candidate_rate: 0.01, stable_rate: 0.005, stable_per_candidate: 9.0 };
        let equal = Boundary { ratio: 1.0, abs: 0.0 };
        let gain = gain_against_stable(assumed, equal, Direction::Up, DesignEffect::NONE);
        assert!((gain - 0.00169).abs() < 0.00002, "{gain}");
        let needed = requests_needed_at_start(0.01, gain).unwrap();
        assert!((3_550.0..3_700.0).contains(&needed), "{needed}");
        assert_eq!(requests_needed(10.0, 0.01, gain), Some(0.0));
        assert_eq!(requests_needed(0.0, 0.01, -gain), None);
    }

    #[test]
    fn zero_events_pass_a_limit_as_the_page_says() {
        // docs/judge.md section 3.3: about 4.6 / tau requests.
        let limit = Limit::new(0.01).unwrap();
        let gain = gain_against_limit(0.0, limit, Direction::Down, DesignEffect::NONE);
        let needed = requests_needed_at_start(0.05, gain).unwrap();
        assert!((440.0..500.0).contains(&needed), "{needed}");
    }
}
