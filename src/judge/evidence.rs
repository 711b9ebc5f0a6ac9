//! The running evidence of one gate, FAIL and PASS side by side (docs/judge.md sections 1 and 3.9).

use serde::{Deserialize, Serialize};

use super::combine::ln_mean;
use super::counting::CountingTest;
use super::counts::Counts;
use super::design_effect::DesignEffect;
use super::exact::Exact;
use super::gate::{Better, CountRule, SeriesRule, SeriesStatistic};
use super::ledger::Stake;
use super::series::{BLOCK, SeriesTest};
use super::sign::Sign;
use super::student::Student;

/// One look of a counting gate. FAIL and PASS read different counts when a latency threshold is no bucket bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CountLook {
    /// What the FAIL tests read.
    pub fail: Sides,
    /// What the PASS tests read.
    pub pass: Sides,
}

/// Counts of both revisions in one look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sides {
    /// The revision on trial.
    pub candidate: Counts,
    /// The revision in charge.
    pub stable: Counts,
}

/// The tests of a counting gate. Serializes exactly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountEvidence {
    fail: Vec<CountingTest>,
    pass: Vec<CountingTest>,
}

/// The tests of a series gate. Serializes exactly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeriesEvidence {
    fail: SeriesTest,
    pass: SeriesTest,
    /// The differences of an unfinished block; none when every window is fed by itself.
    block: Option<Vec<(Exact, Exact)>>,
}

impl CountLook {
    /// A look whose counts are exact.
    #[must_use]
    pub fn exact(candidate: Counts, stable: Counts) -> Self {
        let sides = Sides { candidate, stable };
        Self { fail: sides, pass: sides }
    }
}

impl CountEvidence {
    /// Tests before their first look. `planned` looks: FAIL bets again at each of them; `None`: it does not.
    #[must_use]
    pub fn new(rule: &CountRule, planned: Option<u64>) -> Self {
        let stake = planned.map_or(Stake::Once, Stake::Spread);
        Self {
            fail: rule.fail().map(|against| CountingTest::new(against, rule.better.fail(), stake)).collect(),
            pass: rule.pass().map(|against| CountingTest::new(against, rule.better.pass(), Stake::Once)).collect(),
        }
    }

    /// Books one look.
    pub fn look(&mut self, look: &CountLook, effect: DesignEffect) {
        self.look_at_strata(std::slice::from_ref(look), effect);
    }

    /// Books one look that is split into strata (region, model, endpoint).
    pub fn look_at_strata(&mut self, strata: &[CountLook], effect: DesignEffect) {
        let pairs = |of: fn(&CountLook) -> Sides| -> Vec<(Counts, Counts)> {
            strata.iter().map(|look| (of(look).candidate, of(look).stable)).collect()
        };
        let (fail, pass) = (pairs(|look| look.fail), pairs(|look| look.pass));
        for test in &mut self.fail {
            test.look_at_strata(&fail, effect.factor());
        }
        for test in &mut self.pass {
            test.look_at_strata(&pass, effect.factor());
        }
    }

    /// `ln` of the mean of the FAIL E; decides at `ln(1 / alpha)`.
    #[must_use]
    pub fn ln_e_fail(&self) -> f64 {
        let ln_es: Vec<f64> = self.fail.iter().map(|test| test.ledger().ln_e()).collect();
        ln_mean(&ln_es)
    }

    /// The smaller `ln E` of the PASS tests, as all of them must pass; decides at `ln(1 / beta)`.
    #[must_use]
    pub fn ln_e_pass(&self) -> f64 {
        self.pass.iter().map(|test| test.ledger().ln_e()).reduce(f64::min).unwrap_or(0.0)
    }

    /// Starts the PASS tests anew, as each step of a rollout does; FAIL runs on (docs/judge.md section 9).
    pub fn restart_pass(&mut self) {
        for test in &mut self.pass {
            *test = test.restarted();
        }
    }
}

impl SeriesEvidence {
    /// Tests before their first look.
    #[must_use]
    pub fn new(rule: &SeriesRule) -> Self {
        let test = match rule.statistic {
            SeriesStatistic::Sign => SeriesTest::Sign(Sign::default()),
            SeriesStatistic::T => SeriesTest::T(Student::default()),
        };
        Self { fail: test, pass: test, block: None }
    }

    /// The same tests on means of blocks of [`BLOCK`] windows, for an autocorrelated series.
    #[must_use]
    pub fn in_blocks(rule: &SeriesRule) -> Self {
        Self { block: Some(Vec::new()), ..Self::new(rule) }
    }

    /// Books one window; with a `max` in the rule, that is the stable value.
    ///
    /// # Errors
    /// The values cannot be compared as the rule says.
    pub fn look(&mut self, rule: &SeriesRule, candidate: f64, stable: f64) -> Result<(), String> {
        let stable = rule.max.unwrap_or(stable);
        let (worse, better) = match rule.better {
            Better::Higher => (stable, candidate),
            Better::Lower => (candidate, stable),
        };
        let fail = rule.difference.of(worse, better, rule.tolerance)?;
        let pass = rule.difference.of(worse, better, rule.pass_tolerance)?;
        let (fail, pass) = match &mut self.block {
            None => (fail, -pass),
            Some(block) => {
                block.push((Exact(fail), Exact(-pass)));
                if block.len() < BLOCK {
                    return Ok(());
                }
                let full = std::mem::take(block);
                let mean = |of: fn(&(Exact, Exact)) -> f64| full.iter().map(of).sum::<f64>() / full.len() as f64;
                (mean(|pair| pair.0.0), mean(|pair| pair.1.0))
            }
        };
        self.fail.look(fail);
        self.pass.look(pass);
        Ok(())
    }

    /// The FAIL test.
    #[must_use]
    pub fn fail(&self) -> &SeriesTest {
        &self.fail
    }

    /// The PASS test.
    #[must_use]
    pub fn pass(&self) -> &SeriesTest {
        &self.pass
    }

    /// Starts the PASS test anew, as each step of a rollout does. A block does not reach over two steps.
    pub fn restart_pass(&mut self, rule: &SeriesRule) {
        self.pass = Self::new(rule).pass;
        if let Some(block) = &mut self.block {
            block.clear();
        }
    }

    /// Whether windows are fed in blocks.
    #[must_use]
    pub const fn is_in_blocks(&self) -> bool {
        self.block.is_some()
    }
}
