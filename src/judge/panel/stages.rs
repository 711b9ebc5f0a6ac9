//! What a counting gate has counted, a stage (a stretch with one split) at a time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::read::Parts;
use crate::judge::counts::Counts;
use crate::judge::design_effect::DesignEffect;
use crate::judge::evidence::Sides;
use crate::judge::final_look::p_value;
use crate::judge::gate::CountRule;
use crate::judge::interval::{Interval, rate, rate_ratio};

/// Totals of the stages so far. Serializes exactly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stages(Vec<Stage>);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stage {
    fail: Totals,
    pass: Totals,
    /// The same by parts of the traffic, where these are told apart.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    parts: BTreeMap<String, Part>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    fail: Totals,
    pass: Totals,
}

/// Requests and events among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Totals {
    candidate: (f64, f64),
    stable: (f64, f64),
}

/// Requests and events over all stages: (candidate, stable).
pub(super) type Sums = ((f64, f64), (f64, f64));

impl Stages {
    pub(super) fn begin(&mut self) {
        if self.0.last().is_none_or(|stage| *stage != Stage::default()) {
            self.0.push(Stage::default());
        }
    }

    pub(super) fn look(&mut self, looks: &Parts) {
        if self.0.is_empty() {
            self.begin();
        }
        let is_divided = looks.len() > 1 || looks.keys().any(|name| !name.is_empty());
        for (name, look) in looks {
            if let Some(stage) = self.0.last_mut() {
                stage.fail.add(look.fail);
                stage.pass.add(look.pass);
                if is_divided {
                    let part = stage.parts.entry(name.clone()).or_default();
                    part.fail.add(look.fail);
                    part.pass.add(look.pass);
                }
            }
        }
    }

    /// All that was counted; `None` before the first request.
    pub(super) fn sums(&self) -> Option<Sums> {
        let add = |(a, b): (f64, f64), (c, d): (f64, f64)| (a + c, b + d);
        let sides = |stage: &Stage| (stage.fail.candidate, stage.fail.stable);
        self.0.iter().map(sides).reduce(|a, b| (add(a.0, b.0), add(a.1, b.1))).filter(|s| s.0.0 + s.1.0 > 0.0)
    }

    /// The exact test of docs/judge.md section 3.9, step 4, over all stages so far.
    pub(super) fn final_p(&self, rule: &CountRule) -> Option<f64> {
        p_value(&self.strata(|part| part.fail), rule.boundaries?.fail.ratio, rule.better.fail())
    }

    /// The interval to show at level `1 - alpha`: of the candidate's rate for a limit, else of the ratio of the rates.
    pub(super) fn interval(&self, rule: &CountRule, alpha: f64, effect: DesignEffect) -> Option<Interval> {
        self.sums()?;
        let of = |totals: fn(&Part) -> Totals| {
            let strata = self.strata(totals);
            match rule.limit {
                Some(limit) => {
                    let all = strata.iter().fold(Counts::NONE, |sum, (candidate, _)| sum.plus(*candidate));
                    rate(all, Some(limit), alpha)
                }
                None => rate_ratio(&strata, alpha, effect),
            }
        };
        let low = of(|part| part.fail);
        let exact = self.0.iter().all(|stage| stage.fail == stage.pass);
        let high = if exact { low } else { of(|part| part.pass) };
        Some(Interval { lower: low.lower, upper: high.upper })
    }

    /// Totals of what may be added up: stages have another split each, and parts of the traffic their own rates.
    fn strata(&self, totals: fn(&Part) -> Totals) -> Vec<(Counts, Counts)> {
        let side = |(requests, events)| Counts::new(requests, events).unwrap_or(Counts::NONE);
        let parts = self.0.iter().flat_map(|stage| {
            let whole = stage.parts.is_empty().then_some(Part { fail: stage.fail, pass: stage.pass });
            whole.into_iter().chain(stage.parts.values().copied())
        });
        parts.map(|part| totals(&part)).map(|totals| (side(totals.candidate), side(totals.stable))).collect()
    }
}

impl Totals {
    fn add(&mut self, sides: Sides) {
        for (total, counts) in [(&mut self.candidate, sides.candidate), (&mut self.stable, sides.stable)] {
            total.0 += counts.requests();
            total.1 += counts.events();
        }
    }
}
