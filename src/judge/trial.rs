//! An experiment (A/B test): which of two revisions is better on one metric, told by whichever look shows it.
//!
//! Two one-sided tests side by side, each at half of alpha: that the candidate is worse than stable, and the same with the
//! revisions exchanged. Both are the FAIL test of a gate without slack, so evidence may be read after every window; see
//! `docs/design/0008-experiments.md`.

use serde::{Deserialize, Serialize};

use super::bounds::{Bounds, OneSided};
use super::design_effect::DesignEffect;
use super::gate::{Better, Gate, Rule, SeriesStatistic};
use super::interval::Interval;
use super::panel::{Evidence, Finding, Needed, Panel, Prelude, Risk, Ruling};
use super::sample_ratio::SampleRatio;
use super::series::Difference;
use super::verdict::Verdict;

/// What is fixed before the first look.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Design {
    /// The chance of naming a difference where there is none, between 0 and 1.
    pub alpha: f64,
    /// The candidate's share of the traffic, between 0 and 1.
    pub share: f64,
    /// Requests of both after which it ends; `None`: the planned looks alone end it.
    pub size: Option<u64>,
}

/// A number of each revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arms<T> {
    /// Of the revision on trial.
    pub candidate: T,
    /// Of the revision in charge.
    pub stable: T,
}

/// An experiment under way. Serializes exactly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    design: Design,
    gate: Gate,
    prelude: Prelude,
    /// Fails a candidate that is worse.
    worse: Panel,
    /// Fails a stable revision that is worse.
    better: Panel,
    ratio: SampleRatio,
    requests: Arms<f64>,
    /// Windows with the metric in which no request was counted: nobody knows between whom they compare.
    #[serde(default, skip_serializing_if = "is_none")]
    uncounted: u64,
    /// Windows in which both have a value, and the sums of those.
    valued: u64,
    sums: Arms<f64>,
    winner: Option<Winner>,
    /// Where the effect lies. Journals of before have none, and get none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bounds: Option<Bounds>,
}

/// Who was shown to be better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Winner {
    /// The revision on trial.
    Candidate,
    /// The revision in charge.
    Stable,
}

/// What an experiment says after a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The candidate is better, and this window did not lack the metric.
    Better,
    /// Nothing yet.
    Inconclusive,
    /// The requests are not split as they should be.
    Mismatched,
    /// The window lacked the metric, or the requests that it is about.
    NoData,
    /// The planned size is reached, and no difference is shown.
    Reached,
    /// Stable has traffic, and the candidate less than half of its share.
    Starved,
    /// The candidate is worse.
    Worse,
}

/// `ln E` of an experiment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LnE {
    /// That the candidate is worse.
    pub worse: f64,
    /// That it is better.
    pub better: f64,
    /// What either needs.
    pub needed: f64,
    /// That the requests are not split as they should be.
    pub ratio: f64,
}

/// The effect as it was measured: the candidate against stable.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Effect {
    /// What it is measured in.
    pub of: Measure,
    /// By how much the candidate's number is larger; `None` when stable's is 0.
    pub estimate: Option<f64>,
    /// Where that lies at level `1 - alpha`, whenever it is looked at; `None`: not bounded.
    pub lower: Option<f64>,
    /// The upper end.
    pub upper: Option<f64>,
}

/// What an effect is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// The unit of the values: candidate less stable.
    Difference,
    /// A part of stable's number: candidate / stable - 1. Of the share of events, where they are counted.
    Relative,
}

/// Values beyond this are left out of means, as the t test leaves them out.
const LARGEST: f64 = 1e150;

impl Trial {
    /// An experiment before its first look, on the metric of `gate`, which has no limits of its own.
    ///
    /// # Errors
    /// The share is not between 0 and 1, or the gate cannot judge by what there is.
    pub fn new(gate: &Gate, prelude: Prelude, design: Design) -> Result<Self, String> {
        let half = design.alpha / 2.0;
        // Nothing is kept for bets that begin later: what differs, differs from the first look on.
        let risk = Risk { alpha: half, beta: half, horizon: 1, step_looks: 0, steps: 1 };
        let mut worse = Panel::new(vec![(gate.clone(), prelude)], risk)?;
        let mut better = worse.clone();
        worse.begin(design.share);
        better.begin(1.0 - design.share);
        Ok(Self {
            design,
            gate: gate.clone(),
            prelude,
            worse,
            better,
            ratio: SampleRatio::new(design.share)?,
            requests: Arms::default(),
            uncounted: 0,
            valued: 0,
            sums: Arms::default(),
            winner: None,
            bounds: Some(Bounds::default()),
        })
    }

    /// The same as a program of before began it: nothing is kept to bound the effect by.
    #[must_use]
    pub fn without_bounds(self) -> Self {
        Self { bounds: None, ..self }
    }

    /// Books one window: what it says of the metric, and the requests of candidate and stable where it tells them. Without
    /// a request the window says nothing: that these are split as they should be is what makes the metric comparable.
    pub fn look(&mut self, evidence: &Evidence, requests: Option<(f64, f64)>) -> Told {
        let Some((candidate, stable)) = requests.filter(|(candidate, stable)| candidate + stable > 0.0) else {
            self.uncounted = self.uncounted.saturating_add(u64::from(!evidence.is_silent()));
            self.worse.pass_over(std::slice::from_ref(evidence));
            self.better.pass_over(&[evidence.mirrored()]);
            return if self.winner == Some(Winner::Stable) { Told::Worse } else { Told::NoData };
        };
        self.ratio.look(candidate, stable);
        self.requests.add(candidate, stable);
        let values = evidence.values(&self.gate).filter(|(ours, theirs)| ours.abs().max(theirs.abs()) <= LARGEST);
        if let Some((candidate, stable)) = values {
            self.valued = self.valued.saturating_add(1);
            self.sums.add(candidate, stable);
        }
        // A metric that counts no requests does not tell who is starved of them.
        let worse = self.worse.look_beside(std::slice::from_ref(evidence), requests);
        let better = self.better.look_beside(&[evidence.mirrored()], Some((stable, candidate)));
        self.winner = self.winner.or(match (worse, better) {
            (Ruling::Fail, _) => Some(Winner::Stable),
            (_, Ruling::Fail) => Some(Winner::Candidate),
            _ => None,
        });
        self.bound(evidence, worse == Ruling::Fail, better == Ruling::Fail);
        let size = self.design.size.map(|size| size as f64);
        let reached = size.is_some_and(|size| self.requests.candidate + self.requests.stable >= size);
        let mismatched = self.ratio.is_off();
        if worse == Ruling::Starved || (mismatched && self.has_less_than_half()) {
            Told::Starved
        } else if mismatched || better == Ruling::Starved {
            Told::Mismatched
        } else if self.winner == Some(Winner::Stable) {
            Told::Worse
        } else if [worse, better].contains(&Ruling::NoData) {
            Told::NoData
        } else if self.winner == Some(Winner::Candidate) {
            Told::Better
        } else if reached {
            Told::Reached
        } else {
            Told::Inconclusive
        }
    }

    /// Bounds the effect by what the two tests have just read, and by whether they reject with it.
    fn bound(&mut self, evidence: &Evidence, worse: bool, better: bool) {
        let Some(bounds) = &mut self.bounds else { return };
        let alpha = self.design.alpha;
        let rule = match self.gate.rule() {
            Rule::Count(rule) => rule,
            Rule::Latency(latency) => &latency.rule,
            Rule::Series(_) => {
                if let Some((_, interval)) = self.worse.difference(alpha) {
                    bounds.value(interval, worse, better);
                }
                return;
            }
            Rule::Alarms | Rule::Drift(_) | Rule::Samples(_) | Rule::Shape(_) => return,
        };
        // With a slack, a limit or both directions in one test it bounds no ratio.
        let strict = rule.boundaries.is_some_and(|at| at.fail.ratio == 1.0 && at.fail.abs == 0.0);
        if !strict || rule.limit.is_some() || rule.two_sided {
            return;
        }
        let read = self.worse.strata(evidence).zip(self.better.strata(&evidence.mirrored()));
        let Some((to_worse, to_better)) = read else { return };
        bounds.count(
            rule.better.fail(),
            self.prelude.effect.unwrap_or(DesignEffect::UNKNOWN),
            -(alpha / 2.0).ln(),
            OneSided { strata: &to_worse, rejects: worse },
            OneSided { strata: &to_better, rejects: better },
        );
    }

    /// Whether the candidate got less than half of its share so far. The test of the sample ratio sees that sooner than the one of
    /// starvation, whose limit is nearer.
    fn has_less_than_half(&self) -> bool {
        let Arms { candidate, stable } = self.requests;
        candidate < self.design.share / 2.0 * (candidate + stable)
    }

    /// The metric.
    #[must_use]
    pub const fn gate(&self) -> &Gate {
        &self.gate
    }

    /// What was measured before the first look.
    #[must_use]
    pub const fn prelude(&self) -> Prelude {
        self.prelude
    }

    /// What was fixed before.
    #[must_use]
    pub const fn design(&self) -> Design {
        self.design
    }

    /// Who was shown to be better.
    #[must_use]
    pub const fn winner(&self) -> Option<Winner> {
        self.winner
    }

    /// Whether the requests are shown not to be split as they should be: nothing that compares the two is worth anything then.
    #[must_use]
    pub fn is_mismatched(&self) -> bool {
        self.ratio.is_off()
    }

    /// Requests so far.
    #[must_use]
    pub const fn requests(&self) -> Arms<f64> {
        self.requests
    }

    /// Requests and events of candidate and stable, where the metric counts them.
    #[must_use]
    pub fn counted(&self) -> Option<((f64, f64), (f64, f64))> {
        self.worse.counted()
    }

    /// The mean over the windows, where values are compared.
    #[must_use]
    pub fn means(&self) -> Option<Arms<f64>> {
        let windows = (self.valued > 0).then_some(self.valued as f64)?;
        Some(Arms { candidate: self.sums.candidate / windows, stable: self.sums.stable / windows })
    }

    /// The evidence so far.
    #[must_use]
    pub fn ln_e(&self) -> LnE {
        let of = |panel: &Panel| panel.findings().first().map_or(0.0, |finding| finding.ln_e_fail);
        let (worse, better, ratio) = (of(&self.worse), of(&self.better), self.ratio.ln_e());
        let alpha = self.design.alpha;
        match self.gate.rule() {
            // Its E is of both sides together: it speaks for the one that the mean is on.
            Rule::Series(rule) if rule.statistic == SeriesStatistic::T => {
                let mean = self.worse.difference(alpha).map_or(0.0, |(mean, _)| mean);
                let on = |side: bool, ln_e: f64| if side { ln_e } else { ln_e.min(0.0) };
                LnE { worse: on(mean > 0.0, worse), better: on(mean < 0.0, better), needed: -alpha.ln(), ratio }
            }
            Rule::Alarms
            | Rule::Count(_)
            | Rule::Drift(_)
            | Rule::Latency(_)
            | Rule::Samples(_)
            | Rule::Series(_)
            | Rule::Shape(_) => LnE { worse, better, needed: -(alpha / 2.0).ln(), ratio },
        }
    }

    /// What the metric says, as a gate says it: FAIL when the candidate is worse, PASS when it is better; neither where the
    /// requests are not split as they should be.
    #[must_use]
    pub fn finding(&self) -> Option<Finding> {
        let LnE { worse, better, needed, .. } = self.ln_e();
        let way = |ln_e: f64| (ln_e / needed).clamp(0.0, 1.0);
        let mismatched = self.is_mismatched();
        let verdict = match self.winner {
            Some(Winner::Candidate) if !mismatched => Verdict::Pass,
            Some(Winner::Stable) if !mismatched => Verdict::Fail,
            Some(_) | None => Verdict::Inconclusive,
        };
        let finding = self.worse.findings().into_iter().next()?;
        let mut reason = finding.reason;
        if self.uncounted > 0 {
            let windows = self.uncounted;
            reason += &format!("; in {windows} windows no request of either was counted: they are not compared");
        }
        if mismatched {
            reason += "; the requests are not split as they should be: nothing can be concluded from it";
        }
        Some(Finding {
            verdict,
            reason,
            ln_e_fail: worse,
            ln_e_pass: better,
            needed: Needed { fail: way(worse), pass: way(better) },
            alpha: self.design.alpha,
            interval: self.ratio_interval().filter(|_| !mismatched),
            ..finding
        })
    }

    /// Where the ratio of the rates lies, as a gate shows it.
    fn ratio_interval(&self) -> Option<Interval> {
        self.counted()?;
        let (lower, upper) = self.bounds.as_ref()?.ends();
        Some(Interval { lower: lower.map_or(0.0, f64::exp), upper: upper.map(f64::exp) })
    }

    /// The effect so far; `None` where nothing can be said of its size: before the first look, and for judges by ranks or
    /// shapes.
    #[must_use]
    pub fn effect(&self) -> Option<Effect> {
        let (lower, upper) = self.bounds.as_ref().map(Bounds::ends).unwrap_or_default();
        let effect = |of, estimate: f64, lower: Option<f64>, upper: Option<f64>| {
            let finite = |number: &f64| number.is_finite();
            let estimate = Some(estimate).filter(finite);
            Effect { of, estimate, lower: lower.filter(finite), upper: upper.filter(finite) }
        };
        if let Some(((ours, our_events), (theirs, their_events))) = self.counted() {
            let ratio = (our_events / ours) / (their_events / theirs);
            // No ratio is below 0, whatever is rejected.
            let lower = lower.map_or(-1.0, f64::exp_m1);
            return Some(effect(Measure::Relative, ratio - 1.0, Some(lower), upper.map(f64::exp_m1)));
        }
        let Rule::Series(rule) = self.gate.rule() else { return None };
        let (mean, _) = self.worse.difference(self.design.alpha)?;
        // What is tested is how much worse the candidate is.
        let (mean, lower, upper) = match rule.better {
            Better::Higher => (-mean, upper.map(|end| -end), lower.map(|end| -end)),
            Better::Lower => (mean, lower, upper),
        };
        Some(match rule.difference {
            Difference::Log => effect(Measure::Relative, mean.exp_m1(), lower.map(f64::exp_m1), upper.map(f64::exp_m1)),
            Difference::Plain => effect(Measure::Difference, mean, lower, upper),
        })
    }
}

/// Written only where there are any: journals without them stay as they were.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_none(windows: &u64) -> bool {
    *windows == 0
}

impl Arms<f64> {
    fn add(&mut self, candidate: f64, stable: f64) {
        self.candidate += candidate;
        self.stable += stable;
    }
}
