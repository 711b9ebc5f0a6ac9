//! Many rollouts of the same counting gates, judged fast: for simulations, backtests and planning.
//!
//! The same e-processes as [`Ledger`](super::ledger::Ledger), arranged for speed: evidence is kept as it is and not as its
//! logarithm, the powers that a look multiplies it by come from tables that all rollouts share, and a PASS test evaluates its
//! mixture only where bounds on it leave the decision open. Evidence of a grid point below 1e-280 is dropped; everything
//! else agrees with the ledger to rounding, so decisions do.

use super::counting::Against;
use super::counts::Counts;
use super::design_effect::DesignEffect;
use super::evidence::CountLook;
use super::gate::CountRule;
use super::ledger::{Direction, Stake, grid};
use super::verdict::{Course, Verdict};

/// A number for each grid point, padded to whole lanes of four.
type Row = [[f64; 4]; 5];

/// Counting gates, all of them critical and of equal weight, and the evidence of the rollout under way.
#[derive(Clone, Debug)]
pub struct Batch {
    gates: Vec<Gate>,
    looks: u64,
    course: Course,
    enough_fail: f64,
}

#[derive(Clone, Debug)]
struct Gate {
    fail: Vec<Test>,
    pass: Vec<Test>,
}

/// One test: its tables, and its evidence.
#[derive(Clone, Debug)]
struct Test {
    against: Against,
    effect: f64,
    stake: Stake,
    points: Vec<f64>,
    weights: Row,
    ln_weights: Row,
    tables: Vec<Table>,
    /// The table of the last look.
    current: usize,
    /// `M_j` of a FAIL test, the summed `l_j` of a PASS test.
    state: Row,
    /// `ln(1 / beta)` of a PASS test.
    enough: f64,
}

/// The increments of looks with one split: `l = x a - t b - c` for x events of the candidate; t is all events, or the
/// requests without one.
#[derive(Clone, Debug)]
struct Table {
    /// Requests of candidate and stable; nothing for a limit, whose increments do not depend on them.
    split: (f64, f64),
    a: Row,
    b: Row,
    c: Row,
    /// `exp(x a)` for x = 0, 1, ..
    by_events: Vec<Row>,
    /// `exp(-t b - c)` for t = 0, 1, ..
    by_total: Vec<Row>,
    /// The largest x and t whose powers are numbers.
    most: (f64, f64),
    /// Looks that read it: powers are worth keeping for a split that comes back.
    uses: u32,
}

impl Batch {
    /// Gates before their first rollout, at `alpha` and `beta`, with `planned` looks.
    #[must_use]
    pub fn new(gates: &[(CountRule, DesignEffect)], alpha: f64, beta: f64, planned: u64) -> Self {
        let gates = gates.iter().map(|(rule, effect)| Gate {
            fail: rule.fail().map(|a| Test::new(a, rule.better.fail(), Stake::Spread(planned), *effect, 0.0)).collect(),
            pass: rule.pass().map(|a| Test::new(a, rule.better.pass(), Stake::Once, *effect, -beta.ln())).collect(),
        });
        Self { gates: gates.collect(), looks: 0, course: Course::default(), enough_fail: 1.0 / alpha }
    }

    /// Begins the next rollout: tables stay, evidence goes.
    pub fn begin(&mut self) {
        self.looks = 0;
        self.course = Course::default();
        for test in self.gates.iter_mut().flat_map(|gate| gate.fail.iter_mut().chain(&mut gate.pass)) {
            test.state = Row::default();
        }
    }

    /// Books one look, a [`CountLook`] for each gate, and rules.
    pub fn look(&mut self, looks: &[CountLook]) -> Verdict {
        self.looks += 1;
        let (mut e, mut passes) = (0.0, true);
        for (gate, look) in self.gates.iter_mut().zip(looks) {
            let mut sum = 0.0;
            for test in &mut gate.fail {
                sum += test.grow(look.fail.candidate, look.fail.stable, self.looks);
            }
            e += sum / gate.fail.len() as f64;
            for test in &mut gate.pass {
                passes &= test.is_enough(look.pass.candidate, look.pass.stable);
            }
        }
        // Ties and rounding aside, `E_bar >= 1 / alpha`.
        self.course.look(e >= self.enough_fail * self.gates.len() as f64, passes)
    }

    /// When the rollout was decided.
    #[must_use]
    pub fn course(&self) -> Course {
        self.course
    }

    /// `ln E` of the FAIL evidence of all gates together, after the looks so far.
    #[must_use]
    pub fn ln_e_fail(&self) -> f64 {
        let of = |gate: &Gate| {
            let sum: f64 = gate.fail.iter().map(|test| test.evidence(self.looks)).sum();
            sum / gate.fail.len() as f64
        };
        (self.gates.iter().map(of).sum::<f64>() / self.gates.len() as f64).ln()
    }
}

impl Test {
    fn new(against: Against, direction: Direction, stake: Stake, effect: DesignEffect, enough: f64) -> Self {
        let limit = match against {
            Against::Limit(limit) => limit.share(),
            Against::Stable(_) => 0.0,
        };
        let points: Vec<f64> = grid(direction).filter(|g| g * limit < 1.0).collect();
        let all: f64 = (1..=points.len()).map(|j| j as f64).sum();
        let weights = row((1..=points.len()).map(|j| j as f64 / all));
        let ln_weights = weights.map(|lane| lane.map(f64::ln));
        let effect = effect.factor();
        let state = Row::default();
        Self { against, effect, stake, points, weights, ln_weights, tables: Vec::new(), current: 0, state, enough }
    }

    /// Books a look of a FAIL test, the `looks`-th, and gives E.
    fn grow(&mut self, candidate: Counts, stable: Counts, looks: u64) -> f64 {
        let bet = self.stake.bet(looks);
        let (x, t) = self.find(candidate, stable);
        let mut sums = [0.0; 4];
        if let Some(table) = self.tables.get_mut(self.current) {
            let direct;
            let (by_events, by_total) = match table.powers(x, t) {
                Some(rows) => rows,
                None => {
                    direct = (table.increment(x, t).map(|lane| lane.map(f64::exp)), ONES);
                    (&direct.0, &direct.1)
                }
            };
            for ((m, w), (f, h)) in self.state.iter_mut().zip(&self.weights).zip(by_events.iter().zip(by_total)) {
                for (((m, w), (f, h)), sum) in m.iter_mut().zip(w).zip(f.iter().zip(h)).zip(&mut sums) {
                    let grown = (*m + bet) * (f * h);
                    // Numbers below that would be slow, and say nothing.
                    *m = if grown > 1e-280 { grown } else { 0.0 };
                    *sum += *m * w;
                }
            }
        }
        self.total(sums) + self.stake.cash(looks)
    }

    /// Books a look of a PASS test, and says whether `E >= 1 / beta`.
    fn is_enough(&mut self, candidate: Counts, stable: Counts) -> bool {
        let (x, t) = self.find(candidate, stable);
        if let Some(table) = self.tables.get(self.current) {
            let increments = self.state.iter_mut().zip(&table.a).zip(table.b.iter().zip(&table.c));
            for ((sum, a), (b, c)) in increments {
                for ((sum, a), (b, c)) in sum.iter_mut().zip(a).zip(b.iter().zip(c)) {
                    *sum += x * a - t * b - c;
                }
            }
        }
        // The mixture lies between its largest term and its largest part.
        let (mut part, mut term) = ([f64::MIN; 4], [f64::MIN; 4]);
        for (sums, weights) in self.state.iter().zip(&self.ln_weights) {
            for (((sum, weight), part), term) in sums.iter().zip(weights).zip(&mut part).zip(&mut term) {
                // Padding has no weight; its sum is 0 and below what is enough.
                *part = if *sum > *part { *sum } else { *part };
                *term = if sum + weight > *term { sum + weight } else { *term };
            }
        }
        let most = |lanes: [f64; 4]| lanes.into_iter().fold(f64::MIN, f64::max);
        if self.points.is_empty() || most(part) < self.enough {
            return false;
        }
        if most(term) >= self.enough {
            return true;
        }
        let terms = self.state.iter().flatten().zip(self.weights.iter().flatten());
        terms.map(|(sum, weight)| weight * (sum - self.enough).exp()).sum::<f64>() >= 1.0
    }

    /// E of a FAIL test, after `looks`.
    fn evidence(&self, looks: u64) -> f64 {
        let mut sums = [0.0; 4];
        for (m, w) in self.state.iter().zip(&self.weights) {
            for ((m, w), sum) in m.iter().zip(w).zip(&mut sums) {
                *sum += m * w;
            }
        }
        self.total(sums) + self.stake.cash(looks)
    }

    /// Without a grid point everything that was bet is kept.
    fn total(&self, sums: [f64; 4]) -> f64 {
        let [a, b, c, d] = sums;
        if self.points.is_empty() { 1.0 } else { (a + b) + (c + d) }
    }

    /// Makes the table of this look's split the current one, and gives what it multiplies.
    fn find(&mut self, candidate: Counts, stable: Counts) -> (f64, f64) {
        let (split, x, t) = match self.against {
            Against::Limit(_) => ((0.0, 0.0), candidate.events(), candidate.rest()),
            Against::Stable(_) => {
                ((candidate.requests(), stable.requests()), candidate.events(), candidate.events() + stable.events())
            }
        };
        if self.tables.get(self.current).is_none_or(|table| table.split != split) {
            self.current = match self.tables.iter().position(|table| table.split == split) {
                Some(at) => at,
                None => {
                    // Requests that differ from look to look would fill the memory: their tables are not kept.
                    if self.tables.len() >= 64 {
                        self.tables.clear();
                    }
                    self.tables.push(Table::new(self.against, split, &self.points, self.effect));
                    self.tables.len() - 1
                }
            };
        }
        (x, t)
    }
}

impl Table {
    fn new(against: Against, split: (f64, f64), points: &[f64], effect: f64) -> Self {
        // The increment is linear in the counts: read off where one of them is 1.
        let (a, b, c): (Vec<f64>, Vec<f64>, Vec<f64>) = match against {
            Against::Limit(limit) => {
                let tau = limit.share();
                let rest = |g: &f64| (-tau).ln_1p() - (-g * tau).ln_1p();
                (points.iter().map(|g| g.ln()).collect(), points.iter().map(rest).collect(), vec![0.0; points.len()])
            }
            Against::Stable(boundary) => {
                let (n_c, n_b) = split;
                let (weighted, total) = (boundary.ratio * n_c, boundary.ratio * n_c + n_b);
                if n_c <= 0.0 || n_b <= 0.0 || total <= 0.0 {
                    let zeros = || vec![0.0; points.len()];
                    (zeros(), zeros(), zeros())
                } else {
                    let events = |g: &f64| ((g - 1.0) * (weighted / total)).ln_1p();
                    let slack = |g: &f64| boundary.abs * n_c * (g - 1.0) * (n_b / (n_b + g * weighted));
                    (
                        points.iter().map(|g| g.ln()).collect(),
                        points.iter().map(events).collect(),
                        points.iter().map(slack).collect(),
                    )
                }
            }
        };
        let divided = |values: Vec<f64>| row(values.into_iter().map(|value| value / effect));
        let (a, b, c) = (divided(a), divided(b), divided(c));
        let largest = |row: &Row| row.iter().flatten().fold(0.0f64, |most, value| most.max(value.abs()));
        // e^600 is a number, and so is its inverse.
        let most = ((600.0 / largest(&a)).min(4096.0), ((600.0 - largest(&c)) / largest(&b)).min(4096.0));
        Self { split, a, b, c, by_events: Vec::new(), by_total: Vec::new(), most, uses: 0 }
    }

    /// `exp(x a)` and `exp(-t b - c)` from the tables, for whole and not too large counts.
    fn powers(&mut self, x: f64, t: f64) -> Option<(&Row, &Row)> {
        let whole = x.trunc() == x && t.trunc() == t && x <= self.most.0 && t <= self.most.1;
        self.uses = self.uses.saturating_add(1);
        if !whole || self.uses < 64 {
            return None;
        }
        let (at_x, at_t) = (x as usize, t as usize);
        while self.by_events.len() <= at_x {
            let k = self.by_events.len() as f64;
            self.by_events.push(self.a.map(|lane| lane.map(|a| (k * a).exp())));
        }
        while self.by_total.len() <= at_t {
            let k = self.by_total.len() as f64;
            let powers = self.increment(0.0, k).map(|lane| lane.map(f64::exp));
            self.by_total.push(powers);
        }
        Some((self.by_events.get(at_x)?, self.by_total.get(at_t)?))
    }

    fn increment(&self, x: f64, t: f64) -> Row {
        let mut result = self.c;
        for ((l, a), b) in result.iter_mut().zip(&self.a).zip(&self.b) {
            for ((l, a), b) in l.iter_mut().zip(a).zip(b) {
                *l = x * a - t * b - *l;
            }
        }
        result
    }
}

const ONES: Row = [[1.0; 4]; 5];

/// Values in lanes; zeros pad.
fn row(values: impl Iterator<Item = f64>) -> Row {
    let mut result = Row::default();
    for (slot, value) in result.iter_mut().flatten().zip(values) {
        *slot = value;
    }
    result
}
