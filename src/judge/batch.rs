//! Many rollouts of the same counting gates, judged fast: for simulations, backtests and planning.
//!
//! The same e-processes as [`Ledger`](super::ledger::Ledger), arranged for speed: evidence is kept as it is and not as its
//! logarithm, the powers that a look multiplies it by come from tables that all rollouts share, a PASS test sums counts as long as the split
//! stays, and evaluates its mixture only where bounds on it leave the decision open. Evidence of a grid point below 1e-280 is dropped; everything
//! else agrees with the ledger to rounding, so decisions do.

use super::counting::Against;
use super::counts::Counts;
use super::design_effect::DesignEffect;
use super::evidence::CountLook;
use super::gate::CountRule;
use super::ledger::{Direction, Stake, grid};
use super::rows::{Row, exp, ln, map, row, zip};
use super::verdict::{Course, Verdict};

/// Counting gates, all of them critical and of equal weight, and the evidence of the rollout under way.
#[derive(Clone, Debug)]
pub struct Batch {
    gates: Vec<Gate>,
    stake: Stake,
    looks: u64,
    course: Course,
    enough_fail: f64,
}

#[derive(Clone, Debug)]
struct Gate {
    fail: Vec<Test>,
    pass: Vec<Test>,
}

/// One test: its tables, and its evidence. The increment of a look is `l = x a - t b - c` for x events of the candidate; t is
/// all events, or the requests without one for a limit.
#[derive(Clone, Debug)]
struct Test {
    against: Against,
    effect: f64,
    points: Row,
    /// How many points there are.
    bets: usize,
    weights: Row,
    ln_weights: Row,
    a: Row,
    /// `exp(x a)` for x = 0, 1, ..
    by_events: Vec<Row>,
    /// The largest x whose power is a number.
    most: f64,
    tables: Vec<Table>,
    /// The table of the last look that had one.
    current: usize,
    /// The last split that had none.
    unknown: (f64, f64),
    /// `M_j` of a FAIL test, the summed `l_j` of a PASS test.
    state: Row,
    /// x, t and looks at the current split that are not in the state of a PASS test yet.
    run: (f64, f64, f64),
    /// The grid point that told most when a PASS test was last evaluated, if nothing but its run has changed since.
    witness: Option<Witness>,
    /// `ln(1 / beta)` of a PASS test.
    enough: f64,
}

/// One term of the mixture of a PASS test: `ln w_j + l_j` is `base + x a - t b - looks c`.
#[derive(Clone, Copy, Debug)]
struct Witness {
    base: f64,
    a: f64,
    b: f64,
    c: f64,
}

/// What the increments at one split have in common.
#[derive(Clone, Copy, Debug)]
struct Terms {
    b: Row,
    c: Row,
}

/// A split that came back.
#[derive(Clone, Debug)]
struct Table {
    /// Requests of candidate and stable; nothing for a limit, whose increments do not depend on them.
    split: (f64, f64),
    terms: Terms,
    /// `exp(-t b - c)` for t = 0, 1, ..
    by_total: Vec<Row>,
    /// The largest t whose power is a number.
    most: f64,
}

impl Batch {
    /// Gates before their first rollout, at `alpha` and `beta`, with `planned` looks.
    #[must_use]
    pub fn new(gates: &[(CountRule, DesignEffect)], alpha: f64, beta: f64, planned: u64) -> Self {
        let stake = Stake::Spread(planned);
        let gates = gates.iter().map(|(rule, effect)| Gate {
            fail: rule.fail().map(|a| Test::new(a, rule.better.fail(), *effect, 0.0)).collect(),
            pass: rule.pass().map(|a| Test::new(a, rule.better.pass(), *effect, -beta.ln())).collect(),
        });
        Self { gates: gates.collect(), stake, looks: 0, course: Course::default(), enough_fail: 1.0 / alpha }
    }

    /// Begins the next rollout: tables stay, evidence goes.
    pub fn begin(&mut self) {
        self.looks = 0;
        self.course = Course::default();
        for test in self.gates.iter_mut().flat_map(|gate| gate.fail.iter_mut().chain(&mut gate.pass)) {
            test.state = Row::default();
            test.run = (0.0, 0.0, 0.0);
            test.witness = None;
        }
    }

    /// Books one look, a [`CountLook`] for each gate, and rules.
    pub fn look(&mut self, looks: &[CountLook]) -> Verdict {
        self.looks += 1;
        let (bet, cash) = (self.stake.bet(self.looks), self.stake.cash(self.looks));
        let (mut e, mut passes) = (0.0, true);
        for (gate, look) in self.gates.iter_mut().zip(looks) {
            let mut sum = 0.0;
            for test in &mut gate.fail {
                sum += test.grow(look.fail.candidate, look.fail.stable, bet, cash);
            }
            e += sum / gate.fail.len() as f64;
            for test in &mut gate.pass {
                test.book(look.pass.candidate, look.pass.stable);
                // One that does not pass is enough to know.
                passes = passes && test.is_enough();
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
            let sum: f64 = gate.fail.iter().map(|test| test.evidence(self.stake.cash(self.looks))).sum();
            sum / gate.fail.len() as f64
        };
        (self.gates.iter().map(of).sum::<f64>() / self.gates.len() as f64).ln()
    }
}

impl Test {
    fn new(against: Against, direction: Direction, effect: DesignEffect, enough: f64) -> Self {
        let limit = match against {
            Against::Limit(limit) => limit.share(),
            Against::Mirrored(_) | Against::Stable(_) => 0.0,
        };
        let points: Vec<f64> = grid(direction).filter(|g| g * limit < 1.0).collect();
        let all: f64 = (1..=points.len()).map(|j| j as f64).sum();
        let weights = row((1..=points.len()).map(|j| j as f64 / all));
        let effect = effect.factor();
        let a = row(points.iter().map(|g| g.ln() / effect));
        let mut test = Self {
            against,
            effect,
            // Padding has g = 1, of which nothing is learnt.
            points: row(points.iter().copied().chain([1.0; 20])),
            bets: points.len(),
            weights,
            ln_weights: map(&weights, f64::ln),
            most: most(0.0, largest(&a)),
            a,
            by_events: Vec::new(),
            tables: Vec::new(),
            current: 0,
            unknown: (f64::NAN, f64::NAN),
            state: Row::default(),
            run: (0.0, 0.0, 0.0),
            witness: None,
            enough,
        };
        if matches!(against, Against::Limit(_)) {
            test.keep((0.0, 0.0));
        }
        test
    }

    /// Books a look of a FAIL test, and gives E.
    fn grow(&mut self, candidate: Counts, stable: Counts, bet: f64, cash: f64) -> f64 {
        let (candidate, stable) = self.sides(candidate, stable);
        let (x, t) = self.counted(candidate, stable);
        let passing = self.find(candidate, stable);
        let place = if passing.is_none() { self.powers(x, t) } else { None };
        let sums = match place {
            Some((current, x, t)) => {
                let powers =
                    self.by_events.get(x).zip(self.tables.get(current).and_then(|table| table.by_total.get(t)));
                powers.map_or([0.0; 4], |(by_events, by_total)| {
                    grown(&mut self.state, &self.weights, by_events, by_total, bet)
                })
            }
            None => {
                let terms = passing.or_else(|| self.tables.get(self.current).map(|table| table.terms));
                let powers = terms.map_or(ONES, |terms| map(&terms.increment(&self.a, x, t), exp));
                grown(&mut self.state, &self.weights, &powers, &ONES, bet)
            }
        };
        self.total(sums, cash)
    }

    /// Books a look of a PASS test.
    fn book(&mut self, candidate: Counts, stable: Counts) {
        let (candidate, stable) = self.sides(candidate, stable);
        let (x, t) = self.counted(candidate, stable);
        match self.find(candidate, stable) {
            Some(terms) => {
                self.state = zip(&self.state, &terms.increment(&self.a, x, t), |sum, l| sum + l);
                self.witness = None;
            }
            None => self.run = (self.run.0 + x, self.run.1 + t, self.run.2 + 1.0),
        }
    }

    /// Whether `E >= 1 / beta` of a PASS test.
    fn is_enough(&mut self) -> bool {
        if self.bets == 0 {
            return false;
        }
        let (x, t, looks) = self.run;
        if self.witness.is_some_and(|at| at.base + x * at.a - t * at.b - looks * at.c >= self.enough) {
            return true;
        }
        let table = self.tables.get(self.current);
        let sums = self.sums(table);
        // The mixture lies between its largest term and its largest part. Padding has no weight.
        let most = sums.iter().flatten().fold(f64::MIN, |most, sum| if *sum > most { *sum } else { most });
        if most < self.enough {
            return false;
        }
        let terms = zip(&sums, &self.ln_weights, |sum, weight| sum + weight);
        let best = terms
            .iter()
            .flatten()
            .enumerate()
            .fold((0, f64::MIN), |best, (at, term)| if *term > best.1 { (at, *term) } else { best });
        self.witness = self.witness(best.0, table);
        best.1 >= self.enough || terms.iter().flatten().map(|term| (term - self.enough).exp()).sum::<f64>() >= 1.0
    }

    /// The summed increments of a PASS test.
    fn sums(&self, table: Option<&Table>) -> Row {
        let (x, t, looks) = self.run;
        let Some(table) = table.filter(|_| looks > 0.0) else {
            return self.state;
        };
        let run = zip(&table.terms.increment(&self.a, x, t), &table.terms.c, |l, c| l - (looks - 1.0) * c);
        zip(&self.state, &run, |sum, l| sum + l)
    }

    fn witness(&self, at: usize, table: Option<&Table>) -> Option<Witness> {
        let one = |row: &Row| row.as_flattened().get(at).copied();
        let Table { terms: Terms { b, c }, .. } = table?;
        Some(Witness { base: one(&self.state)? + one(&self.ln_weights)?, a: one(&self.a)?, b: one(b)?, c: one(c)? })
    }

    /// E of a FAIL test.
    fn evidence(&self, cash: f64) -> f64 {
        let mut sums = [0.0; 4];
        for (m, w) in self.state.iter().zip(&self.weights) {
            for ((m, w), sum) in m.iter().zip(w).zip(&mut sums) {
                *sum += m * w;
            }
        }
        self.total(sums, cash)
    }

    /// E of a FAIL test; without a grid point nothing is ever bet.
    fn total(&self, sums: [f64; 4], cash: f64) -> f64 {
        let [a, b, c, d] = sums;
        if self.bets == 0 { 1.0 } else { (a + b) + (c + d) + cash }
    }

    /// The sides as the test reads them.
    fn sides(&self, candidate: Counts, stable: Counts) -> (Counts, Counts) {
        match self.against {
            Against::Limit(_) | Against::Stable(_) => (candidate, stable),
            Against::Mirrored(_) => (stable, candidate),
        }
    }

    /// What `a` and `b` are multiplied by.
    fn counted(&self, candidate: Counts, stable: Counts) -> (f64, f64) {
        match self.against {
            Against::Limit(_) => (candidate.events(), candidate.rest()),
            // A side without requests: no evidence.
            Against::Mirrored(_) | Against::Stable(_) if candidate.requests() <= 0.0 || stable.requests() <= 0.0 => {
                (0.0, 0.0)
            }
            Against::Mirrored(_) | Against::Stable(_) => (candidate.events(), candidate.events() + stable.events()),
        }
    }

    /// Makes the table of this look's split the current one, or gives the terms of a split that has none.
    fn find(&mut self, candidate: Counts, stable: Counts) -> Option<Terms> {
        let split = match self.against {
            Against::Limit(_) => return None,
            Against::Mirrored(_) | Against::Stable(_) => (candidate.requests(), stable.requests()),
        };
        if self.tables.get(self.current).is_some_and(|table| table.split == split) {
            return None;
        }
        if let Some(at) = self.tables.iter().position(|table| table.split == split) {
            self.settle();
            self.current = at;
            return None;
        }
        // Requests that differ from look to look would fill the memory: a table is for what comes twice.
        if self.unknown != split {
            self.unknown = split;
            return Some(self.terms(split));
        }
        self.settle();
        if self.tables.len() >= 16 {
            self.tables.clear();
        }
        self.keep(split);
        None
    }

    fn keep(&mut self, split: (f64, f64)) {
        let terms = self.terms(split);
        let most = most(largest(&terms.c), largest(&terms.b));
        self.tables.push(Table { split, terms, by_total: Vec::new(), most });
        self.current = self.tables.len() - 1;
    }

    /// Moves the looks at the current split into the state of a PASS test.
    fn settle(&mut self) {
        self.witness = None;
        if self.run.2 > 0.0 {
            self.state = self.sums(self.tables.get(self.current));
            self.run = (0.0, 0.0, 0.0);
        }
    }

    fn terms(&self, split: (f64, f64)) -> Terms {
        let (nothing, effect) = (Row::default(), self.effect);
        match self.against {
            Against::Limit(limit) => {
                let tau = limit.share();
                let rest = |g: f64| ((-tau).ln_1p() - (-g * tau).ln_1p()) / effect;
                // Padding is no grid point, and g * tau may be more than 1 only there.
                Terms { b: row(self.points.iter().flatten().take(self.bets).map(|g| rest(*g))), c: nothing }
            }
            Against::Mirrored(boundary) | Against::Stable(boundary) => {
                let (n_c, n_b) = split;
                let (weighted, total) = (boundary.ratio * n_c, boundary.ratio * n_c + n_b);
                if n_c <= 0.0 || n_b <= 0.0 || total <= 0.0 {
                    return Terms { b: nothing, c: nothing };
                }
                let share = weighted / total;
                let inverse = 1.0 / effect;
                let b = map(&self.points, |g| ln(1.0 + (g - 1.0) * share) * inverse);
                let slack = boundary.abs * n_c / effect;
                let c = |g: f64| slack * (g - 1.0) * (n_b / (n_b + g * weighted));
                Terms { b, c: if slack > 0.0 { map(&self.points, c) } else { nothing } }
            }
        }
    }

    /// Where `exp(x a)` and `exp(-t b - c)` are in the tables, for whole and not too large counts.
    fn powers(&mut self, x: f64, t: f64) -> Option<(usize, usize, usize)> {
        let table = self.tables.get_mut(self.current)?;
        if x > self.most || t > table.most {
            return None;
        }
        let (whole_x, whole_t) = (x as u32, t as u32);
        if f64::from(whole_x) != x || f64::from(whole_t) != t {
            return None;
        }
        let (at_x, at_t) = (whole_x as usize, whole_t as usize);
        while self.by_events.len() <= at_x {
            let k = self.by_events.len() as f64;
            self.by_events.push(map(&self.a, |a| (k * a).exp()));
        }
        while table.by_total.len() <= at_t {
            let k = table.by_total.len() as f64;
            table.by_total.push(zip(&table.terms.b, &table.terms.c, |b, c| (-k * b - c).exp()));
        }
        Some((self.current, at_x, at_t))
    }
}

impl Terms {
    fn increment(&self, a: &Row, x: f64, t: f64) -> Row {
        zip(&zip(a, &self.b, |a, b| x * a - t * b), &self.c, |l, c| l - c)
    }
}

/// `M_j <- (M_j + bet) f h` for all points, and lanes of the sum of `w_j M_j`.
fn grown(state: &mut Row, weights: &Row, by_events: &Row, by_total: &Row, bet: f64) -> [f64; 4] {
    let mut sums = [0.0; 4];
    for ((m, w), (f, h)) in state.iter_mut().zip(weights).zip(by_events.iter().zip(by_total)) {
        for (((m, w), (f, h)), sum) in m.iter_mut().zip(w).zip(f.iter().zip(h)).zip(&mut sums) {
            let grown = (*m + bet) * (f * h);
            // Numbers below that would be slow, and say nothing.
            *m = if grown > 1e-280 { grown } else { 0.0 };
            *sum += *m * w;
        }
    }
    sums
}

/// How often `each` may be added before a power of e is no number: e^600 is one, and so is its inverse. Tables end somewhere.
fn most(already: f64, each: f64) -> f64 {
    ((600.0 - already) / each).min(4096.0)
}

fn largest(row: &Row) -> f64 {
    row.as_flattened().iter().fold(0.0f64, |most, value| most.max(value.abs()))
}

const ONES: Row = [[1.0; 4]; 5];
