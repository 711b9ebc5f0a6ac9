//! What a gate computes, with every default filled in.

use serde::{Deserialize, Serialize};

use crate::judge::counting::Against;
use crate::judge::counts::Boundary;
use crate::judge::kayenta::Settings;
use crate::judge::kayenta_score::Stake;
use crate::judge::ledger::Direction;
use crate::judge::limit::Limit;
use crate::judge::series::Difference;

/// What a gate computes from its looks.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// Whether any of the store's own alarms was open: a veto.
    Alarms,
    /// Requests and events per look.
    Count(CountRule),
    /// A histogram of scores per look: the population stability index may not exceed this.
    Drift(f64),
    /// A histogram per look: events are the requests above a threshold.
    Latency(LatencyRule),
    /// Lists of values at planned looks.
    Samples(SampleRule),
    /// One value per look and revision.
    Series(SeriesRule),
    /// A histogram per look: all bucket bounds at once.
    Shape(ShapeRule),
}

/// Which way is good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Conversion, revenue.
    Higher,
    /// Errors, latency, carbon.
    #[default]
    Lower,
}

/// A counting gate: at least one of the two is there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CountRule {
    /// Which way is good.
    pub better: Better,
    /// The absolute limit, FAIL and PASS alike.
    pub limit: Option<Limit>,
    /// The boundaries against stable.
    pub boundaries: Option<Boundaries>,
    /// Whether a change in either direction counts: FAIL is the mean of both e-processes, PASS asks for both.
    pub two_sided: bool,
}

/// Where FAIL and PASS begin, against stable.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Boundaries {
    /// FAIL rejects "within this".
    pub fail: Boundary,
    /// PASS rejects "beyond this".
    pub pass: Boundary,
}

/// A gate on whole histograms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShapeRule {
    /// The boundaries of the share beyond a bucket bound.
    pub boundaries: Boundaries,
    /// Whether requests below a bound may be too many as well as those above it: scores drift either way, latencies do not.
    pub both_tails: bool,
}

/// A latency gate on a histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatencyRule {
    /// The quantile in question, strictly between 0 and 1.
    pub quantile: f64,
    /// Seconds above which a request is slow; `None`: to be frozen from the pre-bake history.
    pub threshold: Option<f64>,
    /// The rule on the share of slow requests; its limit is `1 - quantile`.
    pub rule: CountRule,
}

/// A gate on paired windows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeriesRule {
    /// The statistic.
    pub statistic: SeriesStatistic,
    /// Which way is good.
    pub better: Better,
    /// How two values are compared.
    pub difference: Difference,
    /// A fixed value in place of stable's, in the unit of the values.
    pub max: Option<f64>,
    /// FAIL margin.
    pub tolerance: f64,
    /// PASS margin.
    pub pass_tolerance: f64,
}

/// The statistic of a [`SeriesRule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeriesStatistic {
    /// The sign e-process.
    Sign,
    /// The anytime-valid t test.
    T,
}

/// A gate on lists of values at planned looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleRule {
    /// The test.
    pub test: RankTest,
    /// Which way is good.
    pub better: Better,
    /// Whether margins are relative or in the unit of the values.
    pub difference: Difference,
    /// FAIL margin.
    pub tolerance: f64,
    /// PASS margin; Kayenta has none.
    pub pass_tolerance: f64,
    /// Kayenta's own settings.
    pub kayenta: Settings,
    /// What it is to Kayenta's score.
    pub stake: Stake,
}

/// The test of a [`SampleRule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RankTest {
    /// Kayenta's classification.
    Kayenta,
    /// Mann-Whitney with alpha spending.
    MannWhitney,
}

impl Better {
    /// The direction of evidence for FAIL.
    #[must_use]
    pub fn fail(self) -> Direction {
        match self {
            Self::Higher => Direction::Down,
            Self::Lower => Direction::Up,
        }
    }

    /// The direction of evidence for PASS.
    #[must_use]
    pub fn pass(self) -> Direction {
        match self {
            Self::Higher => Direction::Up,
            Self::Lower => Direction::Down,
        }
    }
}

impl CountRule {
    /// What the FAIL tests hold the candidate against.
    pub fn fail(&self) -> impl Iterator<Item = Against> + use<> {
        self.against(self.boundaries.map(|boundaries| boundaries.fail))
    }

    /// What the PASS tests hold the candidate against.
    pub fn pass(&self) -> impl Iterator<Item = Against> + use<> {
        self.against(self.boundaries.map(|boundaries| boundaries.pass))
    }

    /// The level of the exact test at the end of one of `steps` (`final_look`), of a gate's part `alpha` of the risk: all steps
    /// share the half of it that is kept for it, and so do the gate's limits.
    #[must_use]
    pub fn final_level(&self, alpha: f64, steps: u64) -> f64 {
        let tests = self.fail().count().max(1) as f64;
        alpha / 2.0 / steps.max(1) as f64 / tests
    }

    fn against(&self, boundary: Option<Boundary>) -> impl Iterator<Item = Against> + use<> {
        let other = boundary.filter(|_| self.two_sided).map(Against::Mirrored);
        self.limit.map(Against::Limit).into_iter().chain(boundary.map(Against::Stable)).chain(other)
    }
}
