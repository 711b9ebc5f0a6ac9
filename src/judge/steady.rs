//! The evidence of many bakes under steady traffic, for simulations: each look costs the same few nanoseconds.
//!
//! The evidence is that of [`CountingTest`](super::counting::CountingTest), in single precision: where the number of requests
//! is known before, an increment is a plane over the two numbers of events. It is off by a few parts in ten million a look,
//! which is nothing beside the chance in a simulation. [`batch`](super::batch) decides to the last bit, and takes longer where
//! evidence stays near a decision.

mod pass;

use self::pass::Pass;
use super::counting::Against;
use super::counts::Counts;
use super::design_effect::DesignEffect;
use super::gate::CountRule;
use super::ledger::{Direction, Stake, grid};

/// A number for each grid point; zeros pad to what the compiler turns into vector instructions.
type Lanes = [f32; 20];

/// Increments are held in this range, in bits: what is nothing beside the next bet, and what a float can be.
const LEAST_BITS: f32 = -60.0;
const MOST_BITS: f32 = 126.0;

/// Evidence beyond this is as good as any: single precision ends somewhere.
const MOST: f64 = 1e30;

/// A counting gate, and the evidence of the bake under way.
#[derive(Clone, Debug)]
pub struct Steady {
    /// Of FAIL.
    tests: Vec<Test>,
    /// Of PASS, where that is asked for.
    pass: Vec<Pass>,
    stake: Stake,
    planned: u64,
    /// What each look but the first bets.
    bet: f64,
    /// What E is when FAIL decides.
    enough: f64,
    booked: u64,
}

/// Requests of both revisions in a look, as [`Steady::requests`] knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known(usize);

/// All that is counted in a look, as [`Steady::outcome`] knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome(usize);

#[derive(Clone, Debug)]
struct Test {
    grid: Grid,
    /// In the E of the gate.
    share: f64,
    weights: Lanes,
    /// Weighted `M_j`.
    m: Lanes,
    /// The increments of an outcome, as factors.
    outcomes: Vec<Lanes>,
}

/// What a test bets on, and its increments where the numbers of requests are known.
#[derive(Clone, Debug)]
struct Grid {
    against: Against,
    effect: f64,
    points: Vec<f64>,
    known: Vec<Plane>,
}

/// The increments over the numbers of events, in bits.
#[derive(Clone, Debug)]
struct Plane {
    /// The numbers of events of candidate and stable that are usual, and the increments there.
    usual: [f64; 2],
    at: Lanes,
    /// What an event of either adds.
    candidate: Lanes,
    stable: Lanes,
}

impl Steady {
    /// A gate before its first bake, at `alpha`, with `planned` looks (1 and more).
    #[must_use]
    pub fn new(rule: &CountRule, effect: DesignEffect, alpha: f64, planned: u64) -> Self {
        let share = 1.0 / rule.fail().count().max(1) as f64;
        let tests = rule.fail().map(|against| Test::new(against, rule.better.fail(), effect, share)).collect();
        let (stake, planned) = (Stake::Spread(planned.max(1)), planned.max(1));
        let enough = (1.0 / alpha).min(MOST);
        Self { tests, pass: Vec::new(), stake, planned, bet: stake.bet(2), enough, booked: 0 }
    }

    /// The same, and PASS at `beta` beside: before anything is learnt.
    #[must_use]
    pub fn passing(self, rule: &CountRule, effect: DesignEffect, beta: f64) -> Self {
        let pass = rule.pass().map(|against| Pass::new(against, rule.better.pass(), effect, beta)).collect();
        Self { pass, ..self }
    }

    /// Begins the next bake.
    pub fn begin(&mut self) {
        self.booked = 0;
        for test in &mut self.tests {
            test.m = Lanes::default();
        }
        self.pass.iter_mut().for_each(Pass::begin);
    }

    /// Learns that looks may have so many requests of candidate and stable. Numbers of events near `usual` are told most
    /// precisely.
    pub fn requests(&mut self, candidate: f64, stable: f64, usual: [f64; 2]) -> Known {
        let place = self.tests.first().map_or(0, |test| test.grid.known.len());
        for grid in self.tests.iter_mut().map(|test| &mut test.grid).chain(self.pass.iter_mut().map(Pass::grid)) {
            grid.known.push(Plane::of(grid, [candidate, stable], usual));
        }
        Known(place)
    }

    /// Learns an outcome that looks may have: so many events. It is for those that come again and again.
    pub fn outcome(&mut self, requests: Known, candidate: f64, stable: f64) -> Outcome {
        let place = self.tests.first().map_or(0, |test| test.outcomes.len());
        for test in &mut self.tests {
            let bits = test.grid.bits(requests, candidate, stable).unwrap_or_default();
            test.outcomes.push(powers(bits));
        }
        for test in &mut self.pass {
            test.outcome(requests, candidate, stable);
        }
        Outcome(place)
    }

    /// Books one look with a known outcome, and tells whether FAIL decides after it.
    #[inline]
    pub fn look(&mut self, outcome: Outcome) -> bool {
        let (bet, cash) = self.next();
        let book = |test: &mut Test| {
            let bets = test.outcomes.get(outcome.0).map(|factors| booked(&mut test.m, &test.weights, bet, factors));
            test.not_bet(cash) + bets.unwrap_or(0.0)
        };
        let sum = self.tests.iter_mut().map(book).sum::<f64>();
        self.pass.iter_mut().for_each(|test| test.look(outcome));
        sum >= self.enough
    }

    /// Books one look with so many events, and tells whether FAIL decides after it.
    #[inline]
    pub fn look_at(&mut self, requests: Known, candidate: f64, stable: f64) -> bool {
        let (bet, cash) = self.next();
        let book = |test: &mut Test| {
            let factors = test.grid.bits(requests, candidate, stable).map(powers);
            let bets = factors.map(|factors| booked(&mut test.m, &test.weights, bet, &factors));
            test.not_bet(cash) + bets.unwrap_or(0.0)
        };
        let sum = self.tests.iter_mut().map(book).sum::<f64>();
        self.pass.iter_mut().for_each(|test| test.look_at(requests, candidate, stable));
        sum >= self.enough
    }

    /// Whether PASS decides after the looks so far: all of its tests show it, as they are now. Never where it was not asked for.
    #[inline]
    #[must_use]
    pub fn passes(&self) -> bool {
        !self.pass.is_empty() && self.pass.iter().all(Pass::is_enough)
    }

    /// What the next look bets, and what is not bet after it.
    #[inline]
    fn next(&mut self) -> (f32, f64) {
        self.booked += 1;
        match self.planned.checked_sub(self.booked) {
            None => (0.0, 0.0),
            Some(_) if self.booked == 1 => (self.stake.bet(1) as f32, self.stake.cash(1)),
            // As the stake has it, without divisions.
            Some(left) => (self.bet as f32, self.bet * left as f64),
        }
    }
}

/// Bets anew and books a look; the sum after it.
#[inline]
fn booked(m: &mut Lanes, weights: &Lanes, bet: f32, factors: &Lanes) -> f64 {
    for ((m, weight), factor) in m.iter_mut().zip(weights).zip(factors) {
        *m = (*m + weight * bet) * factor;
    }
    let mut sums = [0.0; 4];
    for m in m.chunks_exact(4) {
        for (sum, m) in sums.iter_mut().zip(m) {
            *sum += m;
        }
    }
    sums.into_iter().map(f64::from).sum()
}

#[inline]
fn powers(mut bits: Lanes) -> Lanes {
    for bits in &mut bits {
        *bits = power(*bits);
    }
    bits
}

/// `2^bits`, to two parts in ten million.
#[inline]
fn power(bits: f32) -> f32 {
    let bits = if bits > LEAST_BITS { bits } else { LEAST_BITS };
    let bits = if bits < MOST_BITS { bits } else { MOST_BITS };
    // Adding 1.5 * 2^23 rounds to a whole number, which the low bits then hold.
    let shifted = bits + 12_582_912.0;
    let rest = bits - (shifted - 12_582_912.0);
    // 2^rest for -1/2 .. 1/2, through its values at the Chebyshev nodes.
    let power = ((0.001_339_086_3 * rest + 0.009_676_032) * rest + 0.055_503_57) * rest;
    let power = ((power + 0.240_221_07) * rest + std::f32::consts::LN_2) * rest + 1.0;
    f32::from_bits(power.to_bits().wrapping_add(shifted.to_bits() << 23))
}

impl Test {
    fn new(against: Against, direction: Direction, effect: DesignEffect, share: f64) -> Self {
        let grid = Grid::new(against, direction, effect);
        let weights = lanes(grid.weights().map(|weight| share * weight));
        Self { grid, share, weights, m: Lanes::default(), outcomes: Vec::new() }
    }

    /// E of what is not bet.
    #[inline]
    fn not_bet(&self, cash: f64) -> f64 {
        self.share * if self.grid.points.is_empty() { 1.0 } else { cash }
    }
}

impl Grid {
    fn new(against: Against, direction: Direction, effect: DesignEffect) -> Self {
        let limit = match against {
            Against::Limit(limit) => limit.share(),
            Against::Mirrored(_) | Against::Stable(_) => 0.0,
        };
        let points = grid(direction).filter(|g| g * limit < 1.0).collect();
        Self { against, effect: effect.factor(), points, known: Vec::new() }
    }

    /// `w_j`.
    fn weights(&self) -> impl Iterator<Item = f64> {
        let points = self.points.len();
        let sum = (points * (points + 1)) as f64;
        (1..=points).map(move |j| 2.0 * j as f64 / sum)
    }

    /// The increments of a look with so many events, in bits; `None` where nothing is known of so many requests.
    #[inline]
    fn bits(&self, requests: Known, candidate: f64, stable: f64) -> Option<Lanes> {
        self.known.get(requests.0).map(|plane| plane.bits(candidate, stable))
    }
}

impl Plane {
    /// The increments of a look with so many events, in bits.
    #[inline]
    fn bits(&self, candidate: f64, stable: f64) -> Lanes {
        let [x, y] = [(candidate - self.usual[0]) as f32, (stable - self.usual[1]) as f32];
        let mut bits = self.at;
        for ((bits, by_x), by_y) in bits.iter_mut().zip(&self.candidate).zip(&self.stable) {
            *bits += x * by_x + y * by_y;
        }
        bits
    }

    /// An increment is linear in the numbers of events, so it is read off where none, all of one, or all of the other are.
    fn of(test: &Grid, [candidate, stable]: [f64; 2], usual: [f64; 2]) -> Self {
        let slope =
            |all: f64, nothing: f64, requests: f64| if requests > 0.0 { (all - nothing) / requests } else { 0.0 };
        let planes = test.points.iter().map(|g| {
            let side = |requests, events| Counts::new(requests, events).unwrap_or(Counts::NONE);
            let increment = |ours: f64, theirs: f64| {
                test.against.increment(side(candidate, ours), side(stable, theirs), *g, test.effect)
            };
            let nothing = increment(0.0, 0.0);
            let by_candidate = slope(increment(candidate, 0.0), nothing, candidate);
            let by_stable = slope(increment(0.0, stable), nothing, stable);
            let at = nothing + usual[0] * by_candidate + usual[1] * by_stable;
            // As for the ledgers, what is not finite is no evidence.
            if at.is_finite() { [at, by_candidate, by_stable] } else { [0.0; 3] }
        });
        let planes: Vec<[f64; 3]> = planes.map(|plane| plane.map(|nats| nats * std::f64::consts::LOG2_E)).collect();
        Self {
            usual,
            at: lanes(planes.iter().map(|[at, ..]| *at)),
            candidate: lanes(planes.iter().map(|[_, by_candidate, _]| *by_candidate)),
            stable: lanes(planes.iter().map(|[.., by_stable]| *by_stable)),
        }
    }
}

fn lanes(values: impl Iterator<Item = f64>) -> Lanes {
    let mut lanes = Lanes::default();
    for (slot, value) in lanes.iter_mut().zip(values) {
        *slot = value as f32;
    }
    lanes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::judge::counting::CountingTest;
    use crate::judge::counts::Boundary;
    use crate::judge::gate::{Better, Boundaries};
    use crate::judge::limit::Limit;

    fn e(gate: &Steady) -> f64 {
        let cash = gate.stake.cash(gate.booked);
        gate.tests.iter().map(|test| test.m.iter().copied().map(f64::from).sum::<f64>() + test.not_bet(cash)).sum()
    }

    fn rule() -> impl Strategy<Value = CountRule> {
        let boundary = || {
            let boundary = (0.5f64..2.0, prop_oneof![Just(0.0), 0.0f64..0.02]);
            boundary.prop_map(|(ratio, abs)| Boundary { ratio, abs })
        };
        let boundaries = (boundary(), boundary()).prop_map(|(fail, pass)| Boundaries { fail, pass });
        let limit = proptest::option::of(prop_oneof![1e-3f64..0.5, Just(0.995)]);
        let better = prop_oneof![Just(Better::Lower), Just(Better::Higher)];
        (better, limit, proptest::option::weighted(0.8, boundaries), any::<bool>()).prop_map(
            |(better, limit, boundaries, two_sided)| CountRule {
                better,
                limit: limit.or(boundaries.is_none().then_some(0.01)).map(|tau| Limit::new(tau).unwrap()),
                boundaries,
                two_sided,
            },
        )
    }

    #[test]
    fn powers_are_good_to_single_precision() {
        for step in -59_000..125_000 {
            let bits = step as f32 / 1_000.0;
            let off = f64::from(power(bits)) / f64::from(bits).exp2() - 1.0;
            assert!(off.abs() < 4e-7, "2^{bits}: {off}");
        }
        assert!(power(f32::NEG_INFINITY) < 1e-18 && power(f32::INFINITY).is_finite());
    }

    proptest! {
        /// After each look the evidence is that of the ledgers, however often what is counted comes again.
        #[test]
        fn the_evidence_is_that_of_the_ledgers(
            rule in rule(),
            effect in prop_oneof![Just(1.0), 1.0f64..4.0],
            digits in 0.0f64..6.0,
            share in 0.01f64..0.99,
            rates in proptest::array::uniform2(0.0f64..0.2),
            chances in proptest::collection::vec(proptest::array::uniform2(-3.0f64..3.0), 1..60),
            more in 0u64..60,
            outcomes in any::<bool>(),
        ) {
            let sides = [10f64.powf(digits) * share, 10f64.powf(digits) * (1.0 - share)].map(f64::round);
            let planned = chances.len() as u64 + more;
            let effect = DesignEffect::new(effect).unwrap();
            let mut gate = Steady::new(&rule, effect, 1e-6, planned).passing(&rule, effect, 0.05);
            let usual = [sides[0] * rates[0], sides[1] * rates[1]];
            let known = gate.requests(sides[0], sides[1], usual);
            let tests = |against: Vec<Against>, direction: Direction, stake: Stake| -> Vec<CountingTest> {
                against.into_iter().map(|against| CountingTest::new(against, direction, stake)).collect()
            };
            let mut exact = tests(rule.fail().collect(), rule.better.fail(), Stake::Spread(planned));
            let mut exact_pass = tests(rule.pass().collect(), rule.better.pass(), Stake::Once);
            for chances in chances {
                let events: [f64; 2] = std::array::from_fn(|at| {
                    (usual[at] + chances[at] * usual[at].sqrt()).round().clamp(0.0, sides[at])
                });
                let fails = if outcomes {
                    let outcome = gate.outcome(known, events[0], events[1]);
                    gate.look(outcome)
                } else {
                    gate.look_at(known, events[0], events[1])
                };
                let [candidate, stable] = [0, 1].map(|at| Counts::new(sides[at], events[at]).unwrap());
                for test in exact.iter_mut().chain(&mut exact_pass) {
                    test.look(candidate, stable, effect.factor());
                }
                let betas = exact_pass.iter().map(|test| test.ledger().ln_e().exp() * 0.05);
                for (want, test) in betas.clone().zip(&gate.pass) {
                    let found = test.beta_e();
                    // Where a limit leaves nothing to bet on E stays 1, and here nothing counts.
                    let idle = found < 1e-12 && (want - 0.05).abs() < 1e-9;
                    let near = (found / want - 1.0).abs() < 2e-3 || !(1e-12..=1e12).contains(&want);
                    prop_assert!(near || idle, "{found}, not {want}");
                }
                let least = betas.fold(f64::INFINITY, f64::min);
                prop_assert!(gate.passes() == (least >= 1.0) || (least - 1.0).abs() < 2e-3, "{least}");
                let want = exact.iter().map(|test| test.ledger().ln_e().exp()).sum::<f64>() / exact.len() as f64;
                if want > 1e12 {
                    prop_assert!(fails);
                    break;
                }
                let found = e(&gate);
                // Where all is bet, nothing may be left of it.
                let near = (found / want - 1.0).abs() < 2e-3 || f64::max(found, want) < 1e-12;
                prop_assert!(near, "{found}, not {want}");
                prop_assert!(fails == (want >= 1e6) || (want / 1e6 - 1.0).abs() < 2e-3, "{want}");
            }
            gate.begin();
            prop_assert!((e(&gate) - 1.0).abs() < 1e-6);
            prop_assert!(!gate.passes());
        }
    }
}
