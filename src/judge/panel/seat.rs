//! One gate with its evidence.

use mlroll_backend::{Sample, Why};
use serde::{Deserialize, Serialize};

use super::finding::Latest;
use super::read::Parts;
use super::stages::{Stages, Sums};
use super::{Evidence, Finding, Prelude, Risk, read};
use crate::judge::alarms::AlarmEvidence;
use crate::judge::counts::Counts;
use crate::judge::design_effect::DesignEffect;
use crate::judge::drift::{Drift, DriftEvidence};
use crate::judge::evidence::{CountEvidence, CountLook, SeriesEvidence};
use crate::judge::gate::{CountRule, Gate, LatencyRule, RankTest, Rule, SeriesStatistic};
use crate::judge::histogram::Histogram;
use crate::judge::interval::Interval;
use crate::judge::kayenta::Nan;
use crate::judge::mann_whitney::FEWEST_VALUES;
use crate::judge::planned::{Levels, PlannedEvidence, Said};
use crate::judge::series::SeriesTest;
use crate::judge::shape::ShapeEvidence;

/// One gate with its evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seat {
    gate: Gate,
    prelude: Prelude,
    tests: Tests,
    /// Windows with evidence.
    looks: u64,
    /// Requests and events, where they are counted.
    stages: Stages,
    /// Whether an exact test at the end of a stage has rejected.
    final_fail: bool,
    latest: Option<Latest>,
    /// Requests of candidate and stable that were turned away, where any were.
    #[serde(default, skip_serializing_if = "nobody")]
    throttled: (f64, f64),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Tests {
    Alarms(AlarmEvidence),
    Counts(CountEvidence),
    Drift(DriftEvidence),
    Planned(PlannedEvidence),
    Series(SeriesEvidence),
    /// Its bounds are those of the first histograms.
    Shape(Option<ShapeEvidence>),
}

/// What one window was to a gate.
pub(super) enum Booked {
    /// Requests were counted.
    Counted { candidate: f64, stable: f64 },
    /// Nothing could be judged; of whom it is known that there was nothing, or how much.
    Nothing { candidate: Option<f64>, stable: Option<f64> },
    /// Values were compared.
    Valued,
}

/// How far a test is.
pub(super) enum Progress {
    /// It is decided at planned looks: whether the last one has decided.
    Decided(bool),
    /// `ln` of what is held against 1 through the test's level.
    Evidence(f64),
}

impl Progress {
    /// The way to a decision at `level` that is behind it, from 0 to 1.
    pub(super) fn way(&self, level: f64) -> f64 {
        match self {
            Self::Decided(has) => f64::from(u8::from(*has)),
            Self::Evidence(ln_e) => (ln_e / -level.ln()).clamp(0.0, 1.0),
        }
    }
}

impl Seat {
    pub(super) fn new(gate: Gate, prelude: Prelude, risk: &Risk) -> Result<Self, String> {
        let name = gate.name();
        let planned = Some(risk.horizon).filter(|looks| *looks > 1);
        let has_values = gate.is_valued() || (gate.metric() == Some("latency") && gate.quantile().is_some());
        let tests = match gate.rule() {
            Rule::Alarms => Tests::Alarms(AlarmEvidence::default()),
            Rule::Count(rule) => Tests::Counts(CountEvidence::new(rule, planned)),
            Rule::Drift(_) => Tests::Drift(DriftEvidence::new(risk.steps)),
            Rule::Latency(LatencyRule { threshold: None, .. }) if prelude.threshold.is_none() => {
                return Err(format!(
                    "gate `{name}` needs `max`: stable has no latencies in the store to freeze a threshold from"
                ));
            }
            Rule::Latency(latency) => Tests::Counts(CountEvidence::new(&latency.rule, planned)),
            Rule::Samples(_) | Rule::Series(_) if !has_values => {
                return Err(format!(
                    "gate `{name}`: {} is counted, not a number per window: leave `judge` out, give a `query`, or the \
                     `quantile` of a latency",
                    gate.metric().unwrap_or_default()
                ));
            }
            Rule::Samples(rule) if rule.test == RankTest::MannWhitney && risk.step_looks < FEWEST_VALUES as u64 => {
                return Err(format!(
                    "gate `{name}`: mann_whitney needs at least {FEWEST_VALUES} looks in a step, which has {}: bake longer, \
                     or look more often",
                    risk.step_looks
                ));
            }
            Rule::Samples(_) => Tests::Planned(PlannedEvidence::default()),
            Rule::Series(rule) if prelude.in_blocks => Tests::Series(SeriesEvidence::in_blocks(rule)),
            Rule::Series(rule) => Tests::Series(SeriesEvidence::new(rule)),
            Rule::Shape(_) => Tests::Shape(None),
        };
        let (stages, throttled) = (Stages::default(), (0.0, 0.0));
        Ok(Self { gate, prelude, tests, looks: 0, stages, final_fail: false, latest: None, throttled })
    }

    pub(super) const fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Requests of candidate and stable that were turned away.
    pub(super) const fn throttled(&self) -> (f64, f64) {
        self.throttled
    }

    pub(super) const fn prelude(&self) -> Prelude {
        self.prelude
    }

    /// A new step: PASS starts anew, FAIL runs on.
    pub(super) fn begin(&mut self) {
        self.stages.begin();
        match (&mut self.tests, self.gate.rule()) {
            (Tests::Alarms(evidence), _) => evidence.restart_pass(),
            (Tests::Counts(evidence), _) => evidence.restart_pass(),
            (Tests::Drift(evidence), _) => evidence.begin(),
            (Tests::Planned(evidence), _) => evidence.begin(),
            (Tests::Series(evidence), Rule::Series(rule)) => evidence.restart_pass(rule),
            (Tests::Shape(Some(evidence)), _) => evidence.restart_pass(),
            (Tests::Series(_) | Tests::Shape(None), _) => {}
        }
    }

    pub(super) fn look(&mut self, evidence: &Evidence, risk: &Risk) -> Booked {
        self.show(evidence);
        self.throttled.0 += read::throttled(&evidence.candidate);
        self.throttled.1 += read::throttled(&evidence.stable);
        let booked = self.book(evidence, risk);
        match booked {
            // Visits and scores are no requests: that the candidate has fewer of them starves nobody.
            Booked::Counted { .. } if !self.gate.tells_requests() => Booked::Valued,
            // Nor does silence about anything else tell that there were none.
            Booked::Nothing { .. } if !self.gate.tells_requests() => Booked::Nothing { candidate: None, stable: None },
            Booked::Counted { .. } | Booked::Nothing { .. } | Booked::Valued => booked,
        }
    }

    /// What the last window held, for people.
    pub(super) fn show(&mut self, evidence: &Evidence) {
        self.latest = Some(Latest::of(evidence));
    }

    fn book(&mut self, evidence: &Evidence, risk: &Risk) -> Booked {
        match self.gate.rule() {
            Rule::Alarms => return self.alarms(evidence),
            Rule::Count(_) | Rule::Latency(_) => {}
            Rule::Samples(_) | Rule::Series(_) => return self.values(evidence),
            Rule::Drift(_) | Rule::Shape(_) => return self.histograms(evidence, risk),
        }
        let Some(parts) = self.parts(evidence) else {
            return nothing(evidence);
        };
        let requests = |of: fn(&CountLook) -> Counts| parts.values().map(|look| of(look).requests()).sum::<f64>();
        let (candidate, stable) = (requests(|look| look.fail.candidate), requests(|look| look.fail.stable));
        // Nobody came: there is nothing to judge, nothing is missing, and what was staked on this look is kept for one
        // that tells something.
        if candidate + stable <= 0.0 {
            return Booked::Nothing { candidate: Some(0.0), stable: Some(0.0) };
        }
        let effect = self.factor();
        if let Tests::Counts(tests) = &mut self.tests {
            tests.look_at_strata(&parts.values().copied().collect::<Vec<_>>(), effect);
        }
        self.stages.look(&parts);
        if candidate <= 0.0 {
            return Booked::Nothing { candidate: Some(0.0), stable: Some(stable) };
        }
        self.looks = self.looks.saturating_add(1);
        Booked::Counted { candidate, stable }
    }

    /// What a counting gate reads of a window.
    pub(super) fn parts(&self, evidence: &Evidence) -> Option<Parts> {
        match self.gate.rule() {
            Rule::Count(rule) => read::parts(evidence, |part| read::count_look(rule, part)),
            Rule::Latency(rule) => {
                let threshold = self.threshold(rule)?;
                read::parts(evidence, |part| read::latency_look(rule, threshold, part))
            }
            Rule::Alarms | Rule::Drift(_) | Rule::Samples(_) | Rule::Series(_) | Rule::Shape(_) => None,
        }
    }

    /// Tests that wait for the end of a stage. `looks` of it have been, and this is the last one.
    pub(super) fn conclude(&mut self, risk: &Risk, alpha: f64) {
        if let (Tests::Planned(evidence), Rule::Samples(rule)) = (&mut self.tests, self.gate.rule()) {
            let planned = risk.step_looks.saturating_mul(risk.steps);
            evidence.conclude(rule, Levels { alpha, beta: risk.beta, windows: risk.step_looks, planned });
        }
        if let Some(rule) = self.takes_final_look() {
            let level = rule.final_level(alpha, risk.steps);
            self.final_fail |= self.stages.final_p(&rule).is_some_and(|p| p <= level);
        }
    }

    /// The part of its `alpha` for the tests that run: half of it where an exact test comes in the end.
    pub(super) fn running(&self, alpha: f64) -> f64 {
        if self.takes_final_look().is_some() { alpha / 2.0 } else { alpha }
    }

    /// The counting rule, when the exact test is wanted and can be made of it: without bursts.
    fn takes_final_look(&self) -> Option<CountRule> {
        let possible = self.gate.final_look() && self.prelude.effect == Some(DesignEffect::NONE);
        self.counting().filter(|_| possible)
    }

    /// The FAIL evidence that enters the mean over all critical gates.
    pub(super) fn ln_e_fail_to_combine(&self) -> f64 {
        if self.decides_alone() { f64::NEG_INFINITY } else { self.ln_e_fail() }
    }

    /// Whether a test that cannot enter the mean rejects, an e-process at `alpha`.
    pub(super) fn fails_alone(&self, alpha: f64) -> bool {
        self.final_fail
            || match &self.tests {
                Tests::Series(tests) => self.decides_alone() && tests.fail().rejects(alpha),
                Tests::Planned(tests) => tests.fails(),
                Tests::Alarms(alarms) => alarms.fails(),
                Tests::Drift(tests) => self.most_drift().is_some_and(|max| tests.exceeds(max, alpha, self.factor())),
                Tests::Counts(_) | Tests::Shape(_) => false,
            }
    }

    pub(super) fn passes(&self, beta: f64) -> bool {
        match &self.tests {
            Tests::Alarms(alarms) => alarms.passes(),
            Tests::Counts(_) | Tests::Shape(_) => self.ln_e_pass() >= -beta.ln(),
            Tests::Drift(_) => self.drift(beta).zip(self.most_drift()).is_some_and(|(drift, max)| drift.upper < max),
            Tests::Planned(tests) => tests.passes(),
            Tests::Series(tests) => tests.pass().rejects(beta),
        }
    }

    /// Whether its FAIL test is an e-process: others decide by p-values, bounds or at once, and a shape that has seen no
    /// histogram has none yet.
    pub(super) const fn has_e(&self) -> bool {
        match &self.tests {
            Tests::Counts(_) | Tests::Series(_) | Tests::Shape(Some(_)) => true,
            Tests::Alarms(_) | Tests::Drift(_) | Tests::Planned(_) | Tests::Shape(None) => false,
        }
    }

    /// 0, which says nothing, for a test by p-value.
    pub(super) fn ln_e_fail(&self) -> f64 {
        match &self.tests {
            Tests::Counts(tests) => tests.ln_e_fail(),
            Tests::Alarms(_) | Tests::Drift(_) | Tests::Planned(_) | Tests::Shape(None) => 0.0,
            Tests::Series(tests) => tests.fail().ln_e(),
            Tests::Shape(Some(tests)) => tests.ln_e_fail(),
        }
    }

    /// How far its FAIL test is.
    pub(super) fn fail_so_far(&self) -> Progress {
        match &self.tests {
            Tests::Planned(tests) => Progress::Decided(tests.fails()),
            Tests::Series(tests) => Progress::Evidence(tests.fail().one_sided()),
            Tests::Alarms(_) | Tests::Counts(_) | Tests::Drift(_) | Tests::Shape(_) => {
                Progress::Evidence(self.ln_e_fail())
            }
        }
    }

    /// How far its PASS test is, `beta` of which may be wrong.
    pub(super) fn pass_so_far(&self, beta: f64) -> Progress {
        match &self.tests {
            Tests::Alarms(_) | Tests::Drift(_) | Tests::Planned(_) => Progress::Decided(self.passes(beta)),
            Tests::Series(tests) => Progress::Evidence(tests.pass().one_sided()),
            Tests::Counts(_) | Tests::Shape(_) => Progress::Evidence(self.ln_e_pass()),
        }
    }

    pub(super) fn ln_e_pass(&self) -> f64 {
        match &self.tests {
            Tests::Counts(tests) => tests.ln_e_pass(),
            Tests::Alarms(_) | Tests::Drift(_) | Tests::Planned(_) | Tests::Shape(None) => 0.0,
            Tests::Series(tests) => tests.pass().ln_e(),
            Tests::Shape(Some(tests)) => tests.ln_e_pass(),
        }
    }

    /// What Kayenta said of it at the end of this stage.
    pub(super) fn kayenta(&self) -> Option<Said> {
        match &self.tests {
            Tests::Planned(tests) => tests.said(),
            Tests::Alarms(_) | Tests::Counts(_) | Tests::Drift(_) | Tests::Series(_) | Tests::Shape(_) => None,
        }
    }

    /// What it says by itself, at its own part of alpha.
    pub(super) fn finding(&self, risk: &Risk, alpha: f64) -> Finding {
        let fails = self.fails_alone(alpha) || (!self.decides_alone() && self.ln_e_fail() >= -alpha.ln());
        Finding::new(self, fails, self.passes(risk.beta), risk, alpha)
    }

    pub(super) fn interval(&self, alpha: f64) -> Option<Interval> {
        self.stages.interval(&self.counting()?, alpha, self.factor())
    }

    /// The mean difference of a t test, positive when it is worse, and where it lies at level `1 - alpha`.
    pub(super) fn difference(&self, alpha: f64) -> Option<(f64, Option<(f64, f64)>)> {
        match &self.tests {
            Tests::Series(tests) => match tests.fail() {
                SeriesTest::T(student) => student.mean_so_far().map(|mean| (mean, student.interval(alpha))),
                SeriesTest::Sign(_) => None,
            },
            Tests::Alarms(_) | Tests::Counts(_) | Tests::Drift(_) | Tests::Planned(_) | Tests::Shape(_) => None,
        }
    }

    /// How far scores have drifted in this step, at level `1 - level`.
    pub(super) fn drift(&self, level: f64) -> Option<Drift> {
        match &self.tests {
            Tests::Drift(tests) => tests.drift(level, self.factor()),
            Tests::Alarms(_) | Tests::Counts(_) | Tests::Planned(_) | Tests::Series(_) | Tests::Shape(_) => None,
        }
    }

    /// How far they may, and over how many bins that is told; 0 while these are not chosen.
    pub(super) fn drift_allowed(&self) -> Option<(f64, usize)> {
        match (&self.tests, self.gate.rule()) {
            (Tests::Drift(tests), Rule::Drift(max)) => Some((*max, tests.bins())),
            _ => None,
        }
    }

    fn most_drift(&self) -> Option<f64> {
        self.drift_allowed().map(|(max, _)| max)
    }

    pub(super) const fn looks(&self) -> u64 {
        self.looks
    }

    pub(super) fn sums(&self) -> Option<Sums> {
        self.stages.sums()
    }

    /// The design effect in use.
    pub(super) fn factor(&self) -> DesignEffect {
        self.prelude.effect.unwrap_or(DesignEffect::UNKNOWN)
    }

    pub(super) const fn latest(&self) -> Option<&Latest> {
        self.latest.as_ref()
    }

    /// Whether it is a series that is judged in blocks.
    pub(super) fn is_in_blocks(&self) -> bool {
        matches!(&self.tests, Tests::Series(tests) if tests.is_in_blocks())
    }

    /// Seconds above which a request is slow, where the gate has such a limit.
    pub(super) fn slow_after(&self) -> Option<f64> {
        match self.gate.rule() {
            Rule::Latency(rule) => self.threshold(rule),
            Rule::Alarms | Rule::Count(_) | Rule::Drift(_) | Rule::Samples(_) | Rule::Series(_) | Rule::Shape(_) => {
                None
            }
        }
    }

    fn threshold(&self, rule: &LatencyRule) -> Option<f64> {
        rule.threshold.or(self.prelude.threshold.map(|frozen| frozen.0))
    }

    fn counting(&self) -> Option<CountRule> {
        match self.gate.rule() {
            Rule::Count(rule) => Some(*rule),
            Rule::Latency(latency) => Some(latency.rule),
            Rule::Alarms | Rule::Drift(_) | Rule::Samples(_) | Rule::Series(_) | Rule::Shape(_) => None,
        }
    }

    /// Two-sided evidence and p-values do not enter the mean.
    fn decides_alone(&self) -> bool {
        match self.gate.rule() {
            Rule::Alarms | Rule::Drift(_) | Rule::Samples(_) => true,
            Rule::Series(rule) => rule.statistic == SeriesStatistic::T,
            Rule::Count(_) | Rule::Latency(_) | Rule::Shape(_) => false,
        }
    }

    /// In how many windows alarms were open; `None` for a gate that reads none.
    pub(super) const fn alarms_open(&self) -> Option<u64> {
        match &self.tests {
            Tests::Alarms(alarms) => Some(alarms.open()),
            Tests::Counts(_) | Tests::Drift(_) | Tests::Planned(_) | Tests::Series(_) | Tests::Shape(_) => None,
        }
    }

    /// Alarms are about no revision: both sides say the same.
    fn alarms(&mut self, evidence: &Evidence) -> Booked {
        let (Tests::Alarms(alarms), Some(open)) = (&mut self.tests, read::value(&self.gate, &evidence.candidate))
        else {
            return nothing(evidence);
        };
        alarms.look(open > 0.0);
        self.looks = self.looks.saturating_add(1);
        Booked::Valued
    }

    fn values(&mut self, evidence: &Evidence) -> Booked {
        let value = |sample| read::value(&self.gate, sample);
        let (candidate, stable) = (value(&evidence.candidate), value(&evidence.stable));
        // Kayenta would fill in for the candidate, too: but silence about the one on trial is no evidence.
        let fills = matches!(self.gate.rule(), Rule::Samples(rule) if rule.kayenta.nan == Nan::Replace);
        let is_silent = matches!(evidence.stable, Sample::NoData(Why::Empty | Why::NotANumber));
        let filled = (fills && is_silent).then_some(0.0);
        let booked = match (&mut self.tests, self.gate.rule()) {
            (Tests::Series(tests), Rule::Series(rule)) => candidate
                .zip(rule.max.or(stable))
                .is_some_and(|(candidate, stable)| tests.look(rule, candidate, stable).is_ok()),
            (Tests::Planned(tests), _) => match candidate.zip(stable.or(filled)) {
                Some((candidate, stable)) => {
                    tests.look(candidate, stable);
                    true
                }
                None => false,
            },
            _ => false,
        };
        if !booked {
            return nothing(evidence);
        }
        self.looks = self.looks.saturating_add(1);
        match (&evidence.candidate, read::requests(&evidence.candidate), read::requests(&evidence.stable)) {
            (Sample::Histogram(_), Some(candidate), Some(stable)) => Booked::Counted { candidate, stable },
            _ => Booked::Valued,
        }
    }

    fn histograms(&mut self, evidence: &Evidence, risk: &Risk) -> Booked {
        let (Some(ours), Some(theirs)) = (read::histogram(&evidence.candidate), read::histogram(&evidence.stable))
        else {
            return nothing(evidence);
        };
        let (candidate, stable) = (ours.total().unwrap_or(0.0), theirs.total().unwrap_or(0.0));
        if candidate + stable <= 0.0 {
            return Booked::Nothing { candidate: Some(0.0), stable: Some(0.0) };
        }
        let (effect, planned) = (self.factor(), Some(risk.horizon).filter(|looks| *looks > 1));
        let booked = match (&mut self.tests, self.gate.rule()) {
            (Tests::Shape(tests), Rule::Shape(rule)) => {
                let bounds = Histogram::sum([&ours, &theirs]);
                let tests = tests.get_or_insert_with(|| ShapeEvidence::new(bounds.bounds(), *rule, planned));
                tests.look(&ours, &theirs, effect).is_ok()
            }
            (Tests::Drift(tests), _) => tests.look(&ours, &theirs).is_ok(),
            _ => false,
        };
        if !booked {
            return nothing(evidence);
        }
        self.looks = self.looks.saturating_add(u64::from(candidate > 0.0));
        if candidate <= 0.0 {
            return Booked::Nothing { candidate: Some(0.0), stable: Some(stable) };
        }
        Booked::Counted { candidate, stable }
    }
}

/// Whether nobody was turned away.
fn nobody(throttled: &(f64, f64)) -> bool {
    *throttled == (0.0, 0.0)
}

fn nothing(evidence: &Evidence) -> Booked {
    Booked::Nothing { candidate: read::requests(&evidence.candidate), stable: read::requests(&evidence.stable) }
}
