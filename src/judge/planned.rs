//! Rank tests at planned looks: Mann-Whitney with alpha spending, and Kayenta (docs/judge.md sections 2 and 3.5).

use serde::{Deserialize, Serialize};

use super::exact::Exact;
use super::gate::{Better, RankTest, SampleRule};
use super::kayenta::{Classification, Judged, classify};
use super::kayenta_score::Metric;
use super::mann_whitney::{FEWEST_VALUES, MannWhitney};
use super::series::Difference;
use super::spending::spent_between;

/// The Mann-Whitney tests of one planned look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compared {
    /// Of "the candidate is worse".
    pub fail: Option<MannWhitney>,
    /// Of "the candidate is better than the worst that is tolerated".
    pub pass: Option<MannWhitney>,
    may_fail: bool,
    may_pass: bool,
}

/// The values of the stage under way, and what its predecessors decided. Serializes exactly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedEvidence {
    candidate: Vec<Exact>,
    stable: Vec<Exact>,
    /// Planned windows up to the last planned look.
    spent: u64,
    fails: bool,
    passes: bool,
    /// What Kayenta said of this stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    said: Option<Said>,
}

/// Kayenta's word on a stage. Serializes exactly.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// The word, and what it is to the score.
    pub metric: Metric,
    /// How large the change is, in the gate's measure.
    pub effect: Option<Exact>,
}

/// The levels of a planned look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Levels {
    /// The chance of a false rollback over all planned looks.
    pub alpha: f64,
    /// The chance of a false promotion at this one.
    pub beta: f64,
    /// Windows of the stage that ends with this look.
    pub windows: u64,
    /// Windows of all stages.
    pub planned: u64,
}

impl Compared {
    /// Compares two samples (finite values) by the gate's rule.
    #[must_use]
    pub fn of(rule: &SampleRule, candidate: &[f64], stable: &[f64]) -> Self {
        // The side that FAIL suspects to be the greater one.
        let (suspect, other) = match rule.better {
            Better::Higher => (stable, candidate),
            Better::Lower => (candidate, stable),
        };
        let allowed: Vec<f64> = other.iter().map(|value| value + margin(rule, rule.pass_tolerance, *value)).collect();
        let fail = MannWhitney::of(suspect, other);
        // PASS asks the mirrored question of the largest shift tolerated.
        let pass = MannWhitney::of(&allowed, suspect);
        let enough = candidate.len().min(stable.len()) >= FEWEST_VALUES;
        let worse = |test: MannWhitney| test.mean_x - test.mean_y >= margin(rule, rule.tolerance, test.mean_y);
        Self {
            fail,
            pass,
            may_fail: enough && fail.is_some_and(worse),
            may_pass: enough && pass.is_some_and(|test| test.mean_x >= test.mean_y),
        }
    }

    /// Whether the candidate is worse, at this level.
    #[must_use]
    pub fn fails(&self, alpha: f64) -> bool {
        self.may_fail && self.fail.is_some_and(|test| test.p_greater <= alpha)
    }

    /// Whether the candidate is good enough, at this level.
    #[must_use]
    pub fn passes(&self, beta: f64) -> bool {
        self.may_pass && self.pass.is_some_and(|test| test.p_greater <= beta)
    }
}

/// Kayenta's word on a look (NaN for a missing value).
#[must_use]
pub fn kayenta(rule: &SampleRule, candidate: &[f64], stable: &[f64]) -> Judged {
    classify(candidate, stable, &rule.kayenta)
}

/// Whether Kayenta's word is a fail, and whether it is a pass.
#[must_use]
pub const fn meaning(rule: &SampleRule, word: Classification) -> (bool, bool) {
    match word {
        Classification::High | Classification::Low => (true, false),
        Classification::Nodata => (rule.stake.must_have_data, false),
        Classification::Pass => (false, true),
    }
}

impl PlannedEvidence {
    /// Books the values of one window.
    pub fn look(&mut self, candidate: f64, stable: f64) {
        self.candidate.push(Exact(candidate));
        self.stable.push(Exact(stable));
    }

    /// Begins a stage: its values are its own, and so is its pass.
    pub fn begin(&mut self) {
        self.candidate.clear();
        self.stable.clear();
        self.passes = false;
        self.said = None;
    }

    /// The planned look at the end of a stage.
    pub fn conclude(&mut self, rule: &SampleRule, levels: Levels) {
        let values = |side: &[Exact]| -> Vec<f64> { side.iter().map(|value| value.0).collect() };
        let (candidate, stable) = (values(&self.candidate), values(&self.stable));
        let from = self.spent;
        self.spent = from.saturating_add(levels.windows);
        let (fails, passes) = match rule.test {
            RankTest::Kayenta => {
                let judged = kayenta(rule, &candidate, &stable);
                let metric = Metric::of(&judged, &rule.stake);
                self.said = Some(Said { metric, effect: judged.effect.map(Exact) });
                meaning(rule, judged.classification)
            }
            RankTest::MannWhitney => {
                let test = Compared::of(rule, &candidate, &stable);
                let alpha = spent_between(levels.alpha, from, self.spent, levels.planned);
                (test.fails(alpha), test.passes(levels.beta))
            }
        };
        self.fails |= fails;
        self.passes = passes;
    }

    /// What Kayenta said at the end of this stage.
    #[must_use]
    pub const fn said(&self) -> Option<Said> {
        self.said
    }

    /// Whether a planned look has shown that the candidate is worse.
    #[must_use]
    pub const fn fails(&self) -> bool {
        self.fails
    }

    /// Whether the planned look of this stage has shown that it is good enough.
    #[must_use]
    pub const fn passes(&self) -> bool {
        self.passes
    }
}

/// How much above `value` is tolerated.
fn margin(rule: &SampleRule, tolerance: f64, value: f64) -> f64 {
    match rule.difference {
        Difference::Log => tolerance * value.abs(),
        Difference::Plain => tolerance,
    }
}
