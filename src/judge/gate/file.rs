//! The keys of a gate, and how they become a rule.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::kayenta::{Beside, KayentaFile};
use super::quantity::Quantity;
use super::rule::{
    Better, Boundaries, CountRule, LatencyRule, RankTest, Rule, SampleRule, SeriesRule, SeriesStatistic, ShapeRule,
};
use super::valued::{Unit, Valued};
use crate::judge::counts::Boundary;
use crate::judge::limit::Limit;
use crate::judge::series::Difference;

/// A gate with the keys of the file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct GateFile {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) metric: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) query: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) alarms: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) requests: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) events: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scores: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_psi: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) strata: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<Quantity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<Quantity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_increase: Option<BoundaryFile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fail: Option<BoundaryFile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pass: Option<BoundaryFile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) quantile: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    better: Option<Better>,
    #[serde(skip_serializing_if = "Option::is_none")]
    judge: Option<Judge>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tolerance: Option<Quantity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pass_tolerance: Option<Quantity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kayenta: Option<KayentaFile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<Difference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alpha: Option<Quantity>,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) final_look: bool,
    #[serde(skip_serializing_if = "is_false")]
    two_sided: bool,
    pub(super) advisory: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
pub(super) fn is_false(flag: &bool) -> bool {
    !*flag
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BoundaryFile {
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    abs: Option<Quantity>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Judge {
    Kayenta,
    MannWhitney,
    Shape,
    Sign,
    T,
}

impl GateFile {
    /// The rule these keys ask for.
    pub(super) fn rule(&self) -> Result<Rule, String> {
        if self.kayenta.is_some() && self.judge != Some(Judge::Kayenta) {
            return Err("kayenta: these are settings of judge = \"kayenta\"".to_owned());
        }
        if let Some(alarms) = &self.alarms {
            return self.vetoes(alarms);
        }
        let named = [&self.metric, &self.name].into_iter().flatten().any(|text| !text.is_empty());
        if !named {
            return Err(
                "a gate needs `metric` (error_rate, availability, latency, requests and those of docs/configuration.md), `name` \
                 and `query`, `scores` or counts of its own, or `alarms`".to_owned()
            );
        }
        let metric = self.metric.as_deref();
        self.checked_ratio()?;
        self.alpha()?;
        if let Some(scores) = &self.scores {
            return self.drift(scores);
        }
        if self.max_psi.is_some() {
            return Err("max_psi: the stability index is one of scores: name their histogram by `scores`".to_owned());
        }
        let valued = self.valued();
        let counts = self.judge.is_none()
            && self.query.is_none()
            && valued.is_none()
            && !matches!(metric, Some("latency" | "availability"));
        let one_sided = [self.max.is_some(), self.min.is_some(), self.better.is_some(), self.final_look];
        if self.two_sided && (!counts || one_sided.contains(&true)) {
            return Err(
                "two_sided: a change in either direction counts: it is for counts against stable (max_increase, fail, \
                        pass), without max, min, better and final_look"
                    .to_owned(),
            );
        }
        if let Some(valued) = valued {
            self.checked_valued(valued)?;
        }
        match self.judge {
            Some(Judge::Shape) if metric == Some("latency") && self.query.is_none() => self.shape(),
            Some(Judge::Shape) => {
                Err("judge: shape compares histograms, which only metric = \"latency\" and `scores` have".to_owned())
            }
            Some(Judge::Sign) => self.series(SeriesStatistic::Sign),
            Some(Judge::T) => self.series(SeriesStatistic::T),
            Some(Judge::MannWhitney) => self.samples(RankTest::MannWhitney),
            Some(Judge::Kayenta) => self.samples(RankTest::Kayenta),
            // A query answers with a number per window, and a mean is the usual one.
            None if self.query.is_some() => self.series(SeriesStatistic::T),
            // Most are gauges that rest at one number, of whose spread nothing can be told.
            None if valued.is_some() => self.series(SeriesStatistic::Sign),
            None if metric == Some("latency") => self.latency(),
            None if metric == Some("requests") => {
                Err("`requests` is one number per window: give it a `judge` (sign, t, mann_whitney, kayenta)"
                    .to_owned())
            }
            None => self.count(),
        }
    }

    fn count(&self) -> Result<Rule, String> {
        self.refuse_series_keys("a counting gate takes max or min, max_increase, fail, pass and better")?;
        if self.quantile.is_some() {
            return Err("`quantile` belongs to metric = \"latency\"".to_owned());
        }
        let share = |quantity: &Quantity, name: &str| {
            let limit = quantity.share().and_then(Limit::new);
            limit.map_err(|why| format!("{name}: {why}"))
        };
        if self.metric.as_deref() == Some("availability") {
            return self.availability(share);
        }
        let better = self.oriented()?;
        let limit = match (&self.max, &self.min) {
            (Some(max), _) => Some(share(max, "max")?),
            (None, Some(min)) => Some(share(min, "min")?),
            (None, None) => None,
        };
        let boundaries = self.boundaries(better, limit.is_none())?;
        Ok(Rule::Count(CountRule { better, limit, boundaries, two_sided: self.two_sided }))
    }

    /// Alarms of the store by name, and nothing that a number would need.
    fn vetoes(&self, alarms: &[String]) -> Result<Rule, String> {
        if alarms.is_empty() {
            return Err("alarms: the list is empty; name alarms of the metric store, as [\"too slow\"]".to_owned());
        }
        let mut known = BTreeSet::new();
        for name in alarms {
            if name.trim().is_empty() || name.chars().any(char::is_control) {
                return Err(format!("alarms: `{}` is no name of an alarm", name.escape_debug()));
            }
            if !known.insert(name) {
                return Err(format!("alarms: `{name}` is named twice"));
            }
        }
        let others = [
            ("metric", self.metric.is_some()),
            ("query", self.query.is_some()),
            ("requests", self.requests.is_some()),
            ("events", self.events.is_some()),
            ("scores", self.scores.is_some()),
            ("max_psi", self.max_psi.is_some()),
            ("strata", self.strata.is_some()),
            ("unit", self.unit.is_some()),
            ("max", self.max.is_some()),
            ("min", self.min.is_some()),
            ("max_increase", self.max_increase.is_some()),
            ("fail", self.fail.is_some()),
            ("pass", self.pass.is_some()),
            ("quantile", self.quantile.is_some()),
            ("better", self.better.is_some()),
            ("judge", self.judge.is_some()),
            ("tolerance", self.tolerance.is_some()),
            ("pass_tolerance", self.pass_tolerance.is_some()),
            ("difference", self.difference.is_some()),
            ("alpha", self.alpha.is_some()),
            ("final_look", self.final_look),
            ("two_sided", self.two_sided),
        ];
        match others.iter().find(|(_, given)| *given) {
            Some((key, _)) => Err(format!(
                "`{key}` says nothing about alarms, which are open or not: beside `alarms` stand `name` and `advisory`"
            )),
            None => Ok(Rule::Alarms),
        }
    }

    /// A share of the user's own, such as conversions among visits: two queries, which the store counts.
    fn checked_ratio(&self) -> Result<(), String> {
        let (requests, events) = match (&self.requests, &self.events) {
            (None, None) => return Ok(()),
            (Some(requests), Some(events)) => (requests, events),
            (Some(_), None) => return Err("requests: `events` is missing: what of them counts".to_owned()),
            (None, Some(_)) => return Err("events: `requests` is missing: among what they are counted".to_owned()),
        };
        for (key, text) in [("requests", requests), ("events", events)] {
            if text.trim().is_empty() {
                return Err(format!("{key}: it is empty; a selector or query of the store is needed"));
            }
        }
        if requests.trim() == events.trim() {
            return Err("events: the same as `requests`: all of them would count".to_owned());
        }
        if self.name.as_deref().is_none_or(str::is_empty) {
            return Err("requests: counts of your own need a `name`".to_owned());
        }
        let others = [
            ("metric", self.metric.is_some()),
            ("query", self.query.is_some()),
            ("scores", self.scores.is_some()),
            ("quantile", self.quantile.is_some()),
            ("judge", self.judge.is_some()),
        ];
        match others.iter().find(|(_, given)| *given) {
            Some((key, _)) => Err(format!("`{key}` does not go with `requests` and `events`, which are counted")),
            None => Ok(()),
        }
    }

    /// The model's own outputs, which may change in either direction, but only so far.
    fn drift(&self, scores: &str) -> Result<Rule, String> {
        if scores.trim().is_empty() {
            return Err("scores: it is empty; a selector of a histogram is needed".to_owned());
        }
        if self.name.as_deref().is_none_or(str::is_empty) {
            return Err("scores: a gate on scores needs a `name`".to_owned());
        }
        let others = [
            ("metric", self.metric.is_some()),
            ("query", self.query.is_some()),
            ("quantile", self.quantile.is_some()),
            ("max", self.max.is_some()),
            ("min", self.min.is_some()),
            ("better", self.better.is_some()),
            ("two_sided", self.two_sided),
            ("final_look", self.final_look),
            ("strata", self.strata.is_some()),
            ("judge", self.judge.is_some_and(|judge| judge != Judge::Shape)),
        ];
        if let Some((key, _)) = others.iter().find(|(_, given)| *given) {
            return Err(format!(
                "`{key}` does not go with `scores`, whose whole histograms are compared: beside it stand `max_psi`, or \
                 max_increase, fail and pass of the share beyond each bound"
            ));
        }
        self.refuse_series_keys("a gate on scores takes max_psi, or max_increase, fail and pass")?;
        let boundaries = self.boundaries(Better::Lower, false)?;
        match (self.max_psi, boundaries) {
            (Some(max), None) if self.judge.is_none() => {
                if !(1e-6..=100.0).contains(&max) {
                    return Err(format!("max_psi: a number from 1e-6 to 100, as 0.2, not {max}"));
                }
                Ok(Rule::Drift(max))
            }
            (None, Some(boundaries)) => Ok(Rule::Shape(ShapeRule { boundaries, both_tails: true })),
            (Some(_), _) => {
                Err("max_psi: the stability index has no boundaries and no `judge`: give it alone".to_owned())
            }
            // Every new model scores a little differently: nobody means "not at all".
            (None, None) => {
                Err("scores: say how far they may change: max_psi = 0.2, or max_increase = { ratio = 1.5, \
                                 abs = \"1%\" } of the share beyond each bound"
                    .to_owned())
            }
        }
    }

    /// The built-in metric of one number per window that it is about.
    pub(super) fn valued(&self) -> Option<Valued> {
        self.metric.as_deref().filter(|_| self.query.is_none()).and_then(Valued::named)
    }

    /// What a metric says of itself need not be said, and cannot be denied.
    fn checked_valued(&self, valued: Valued) -> Result<(), String> {
        let (name, key) = (valued.name, valued.limit_key());
        let (wrong, given) = match valued.better {
            Better::Higher => ("max", self.max.is_some()),
            Better::Lower => ("min", self.min.is_some()),
        };
        if given {
            let better = if valued.better == Better::Higher { "higher" } else { "lower" };
            return Err(format!("{wrong}: {name} is better {better}: it takes `{key}`"));
        }
        if self.better.is_some_and(|better| better != valued.better) {
            return Err(format!("better: {name} is the other way round: leave it out"));
        }
        if self.quantile.is_some() {
            return Err("`quantile` belongs to metric = \"latency\"".to_owned());
        }
        if self.judge.is_none() && self.max.is_none() && self.min.is_none() {
            self.refuse_boundaries()?;
            return Err(format!(
                "metric: {name} is one number per window: give it a limit, `{key}`, or a `judge` that compares with stable"
            ));
        }
        Ok(())
    }

    /// The share of requests that did not fail: what is judged is the share that did, its complement.
    fn availability(&self, share: impl Fn(&Quantity, &str) -> Result<Limit, String>) -> Result<Rule, String> {
        if self.max.is_some() || self.better.is_some() {
            return Err("availability is better higher: it takes `min`, and max_increase, fail, pass of the share of \
                        requests that fail"
                .to_owned());
        }
        let limit = self.min.as_ref().map(|min| share(min, "min")).transpose()?;
        let limit =
            limit.map(|least| Limit::new(1.0 - least.share())).transpose().map_err(|why| format!("min: {why}"))?;
        let boundaries = self.boundaries(Better::Lower, limit.is_none())?;
        Ok(Rule::Count(CountRule { better: Better::Lower, limit, boundaries, two_sided: false }))
    }

    fn shape(&self) -> Result<Rule, String> {
        self.refuse_series_keys("a shape gate takes max_increase, fail and pass")?;
        if self.max.is_some() || self.min.is_some() || self.better.is_some() || self.quantile.is_some() {
            return Err(
                "judge: shape compares all bucket bounds with stable; max, min, better and quantile are for a \
                        latency gate without it"
                    .to_owned(),
            );
        }
        let boundaries = self.boundaries(Better::Lower, true)?.ok_or("a shape gate needs boundaries")?;
        Ok(Rule::Shape(ShapeRule { boundaries, both_tails: false }))
    }

    /// How values are compared, where it is not said.
    fn compared(&self) -> Difference {
        self.difference.or(self.valued().map(|valued| valued.difference)).unwrap_or_default()
    }

    /// Which way is good: `min` says so as well as `better`.
    fn oriented(&self) -> Result<Better, String> {
        match (&self.max, &self.min, self.better) {
            (Some(_), Some(_), _) => {
                Err("min: give `max` (lower is better) or `min` (higher is better), not both".to_owned())
            }
            (None, Some(_), Some(Better::Lower)) => Err("min: what is better lower has a `max`".to_owned()),
            (None, Some(_), Some(Better::Higher) | None) => Ok(Better::Higher),
            (_, None, better) => Ok(better.or(self.valued().map(|valued| valued.better)).unwrap_or_default()),
        }
    }

    /// The gate's own alpha, strictly between 0 and 1.
    pub(super) fn alpha(&self) -> Result<Option<f64>, String> {
        let alpha = self.alpha.as_ref().map(Quantity::share).transpose().map_err(|why| format!("alpha: {why}"))?;
        match alpha {
            Some(alpha) if !(1e-300..1.0).contains(&alpha) => {
                Err(format!("alpha: an error level lies between 0 and 1, both excluded, not {alpha}"))
            }
            Some(_) if self.advisory => Err("alpha: an advisory gate spends none".to_owned()),
            alpha => Ok(alpha),
        }
    }

    fn latency(&self) -> Result<Rule, String> {
        if self.min.is_some() {
            return Err("min: a latency gate takes `max`".to_owned());
        }
        self.refuse_series_keys("a latency gate takes quantile, max, max_increase, fail and pass")?;
        let quantile = self.checked_quantile()?.ok_or("a latency gate needs `quantile`, as 0.95")?;
        if self.better == Some(Better::Higher) {
            return Err("better: the share of slow requests is better lower".to_owned());
        }
        let threshold = self.max.as_ref().map(Quantity::seconds).transpose().map_err(|why| format!("max: {why}"))?;
        if threshold.is_some_and(|seconds| seconds <= 0.0) {
            return Err("max: a latency limit is above 0".to_owned());
        }
        let boundaries = self.boundaries(Better::Lower, false)?;
        if threshold.is_none() && boundaries.is_none() {
            return Err("a latency gate needs `max`, as \"300ms\", or a boundary: max_increase, fail, pass".to_owned());
        }
        let limit = threshold.map(|_| Limit::new(1.0 - quantile)).transpose()?;
        Ok(Rule::Latency(LatencyRule {
            quantile,
            threshold,
            rule: CountRule { better: Better::Lower, limit, boundaries, two_sided: false },
        }))
    }

    fn series(&self, statistic: SeriesStatistic) -> Result<Rule, String> {
        self.refuse_boundaries()?;
        self.checked_quantile()?;
        let difference = self.compared();
        let better = self.oriented()?;
        let limit = self.max.as_ref().or(self.min.as_ref());
        let max = match self.valued() {
            Some(valued) => limit.map(|written| valued.limit(written)).transpose()?,
            None => limit.map(Quantity::number).transpose().map_err(|why| format!("max: {why}"))?,
        };
        if let Some(max) = max {
            if max.abs() > 1e100 || !max.is_finite() || (difference == Difference::Log && max <= 0.0) {
                return Err(format!("max: a limit is a number above 0 (any, with difference = \"plain\"), not {max}"));
            }
            if self.tolerance.is_some() || self.pass_tolerance.is_some() {
                return Err("tolerance and pass_tolerance compare with stable; `max` is the limit itself".to_owned());
            }
        }
        let (tolerance, pass_tolerance) = if max.is_some() { (0.0, 0.0) } else { self.tolerances(difference)? };
        Ok(Rule::Series(SeriesRule { statistic, better, difference, max, tolerance, pass_tolerance }))
    }

    fn samples(&self, test: RankTest) -> Result<Rule, String> {
        self.refuse_boundaries()?;
        self.checked_quantile()?;
        if self.max.is_some() || self.min.is_some() {
            return Err("max: mann_whitney and kayenta compare with stable; use judge = \"t\" or \"sign\"".to_owned());
        }
        let difference = self.compared();
        let (tolerance, pass_tolerance) = self.tolerances(difference)?;
        let better = self.oriented()?;
        let beside = Beside { better: (self.better, better), tolerance: (self.tolerance.is_some(), tolerance) };
        let (kayenta, stake) = KayentaFile::checked(self.kayenta.as_ref(), beside)?;
        Ok(Rule::Samples(SampleRule { test, better, difference, tolerance, pass_tolerance, kayenta, stake }))
    }

    /// The boundaries against stable; the defaults, when a gate without any limit needs some.
    fn boundaries(&self, better: Better, needed: bool) -> Result<Option<Boundaries>, String> {
        if [&self.max_increase, &self.fail, &self.pass].iter().all(|key| key.is_none()) && !needed {
            return Ok(None);
        }
        let own = |name: &str, key: &Option<BoundaryFile>| -> Result<Option<Boundary>, String> {
            key.as_ref().map(BoundaryFile::checked).transpose().map_err(|why| format!("{name}: {why}"))
        };
        let both = own("max_increase", &self.max_increase)?;
        let fail = own("fail", &self.fail)?.or(both);
        let pass = own("pass", &self.pass)?.or(both);
        let default_pass = match better {
            // The mirror of 1.5; slack would ask for an improvement.
            Better::Higher => Boundary { ratio: 1.0 / 1.5, abs: 0.0 },
            Better::Lower => Boundary { ratio: 1.5, abs: 0.001 },
        };
        Ok(Some(Boundaries {
            fail: fail.unwrap_or(Boundary { ratio: 1.0, abs: 0.0 }),
            pass: pass.unwrap_or(default_pass),
        }))
    }

    fn tolerances(&self, difference: Difference) -> Result<(f64, f64), String> {
        let margin = |name: &str, key: &Option<Quantity>, default: f64| {
            let Some(written) = key else {
                return Ok(default);
            };
            let value = match difference {
                Difference::Log => written.share(),
                Difference::Plain if self.valued().is_some_and(|valued| valued.unit == Unit::Share) => written.share(),
                Difference::Plain => written.number(),
            };
            match value {
                Ok(value) if (0.0..=1e100).contains(&value) => Ok(value),
                Ok(value) => Err(format!("{name}: a margin is a number from 0, not {value}")),
                Err(why) => Err(format!("{name}: {why}")),
            }
        };
        Ok((margin("tolerance", &self.tolerance, 0.0)?, margin("pass_tolerance", &self.pass_tolerance, 0.1)?))
    }

    fn checked_quantile(&self) -> Result<Option<f64>, String> {
        match self.quantile {
            Some(q) if !(q > 0.0 && q < 1.0) => Err(format!("quantile: a number between 0 and 1, as 0.95, not {q}")),
            Some(q) => Ok(Some(q)),
            None => Ok(None),
        }
    }

    fn refuse_series_keys(&self, allowed: &str) -> Result<(), String> {
        let keys = [
            ("tolerance", self.tolerance.is_some()),
            ("pass_tolerance", self.pass_tolerance.is_some()),
            ("difference", self.difference.is_some()),
        ];
        match keys.iter().find(|(_, given)| *given) {
            Some((key, _)) => Err(format!("`{key}` goes with `judge` (sign, t, mann_whitney, kayenta); {allowed}")),
            None => Ok(()),
        }
    }

    fn refuse_boundaries(&self) -> Result<(), String> {
        let keys = [("max_increase", &self.max_increase), ("fail", &self.fail), ("pass", &self.pass)];
        match keys.iter().find(|(_, given)| given.is_some()) {
            Some((key, _)) => Err(format!("`{key}` is for counts; values take tolerance and pass_tolerance, or max")),
            None => Ok(()),
        }
    }
}

impl BoundaryFile {
    fn checked(&self) -> Result<Boundary, String> {
        let ratio = self.ratio.unwrap_or(1.0);
        if !(1e-6..=1e6).contains(&ratio) {
            return Err(format!("ratio is a number from 1e-6 to 1e6, 1.5 is half as much again, not {ratio}"));
        }
        let abs = self.abs.as_ref().map_or(Ok(0.0), Quantity::share).map_err(|why| format!("abs: {why}"))?;
        if !(0.0..=1.0).contains(&abs) {
            return Err(format!("abs is a share from 0 to 1 (0 % to 100 %), not {abs}"));
        }
        Ok(Boundary { ratio, abs })
    }
}
