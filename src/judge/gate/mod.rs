//! A gate as `mlroll.toml` writes it (docs/cli.md, "mlroll.toml").

mod file;
mod kayenta;
mod quantity;
mod rule;
mod valued;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::rule::{
    Better, Boundaries, CountRule, LatencyRule, RankTest, Rule, SampleRule, SeriesRule, SeriesStatistic, ShapeRule,
};

use self::file::GateFile;
use self::quantity::Quantity;
use self::valued::Unit;

/// A rule on one metric, checked. Unknown keys are refused, and so are keys that its kind of metric does not read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "GateFile", into = "GateFile")]
pub struct Gate {
    file: GateFile,
    rule: Rule,
}

/// Why a gate makes no sense, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidGate(String);

impl Gate {
    /// What the gate computes.
    #[must_use]
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Its name in findings: `name`, else `metric`, else `alarms`.
    #[must_use]
    pub fn name(&self) -> &str {
        let alarms = self.file.alarms.as_ref().map(|_| "alarms");
        self.file.name.as_deref().or(self.file.metric.as_deref()).or(alarms).unwrap_or_default()
    }

    /// The built-in metric it reads.
    #[must_use]
    pub fn metric(&self) -> Option<&str> {
        self.file.metric.as_deref()
    }

    /// The latency, in seconds, above which it calls a request slow.
    #[must_use]
    pub const fn slower_than(&self) -> Option<f64> {
        match &self.rule {
            Rule::Latency(latency) => latency.threshold,
            Rule::Alarms | Rule::Count(_) | Rule::Drift(_) | Rule::Samples(_) | Rule::Series(_) | Rule::Shape(_) => {
                None
            }
        }
    }

    /// The alarms of the metric source that it reads.
    #[must_use]
    pub fn alarms(&self) -> Option<&[String]> {
        self.file.alarms.as_deref()
    }

    /// What it counts by queries of its own: what happened, and what of it counts.
    #[must_use]
    pub fn ratio(&self) -> Option<(&str, &str)> {
        self.file.requests.as_deref().zip(self.file.events.as_deref())
    }

    /// The label by which the traffic is divided into parts that are compared each with itself.
    #[must_use]
    pub fn strata(&self) -> Option<&str> {
        self.file.strata.as_deref()
    }

    /// The scores it looks at, by a selector of its own: the model's outputs.
    #[must_use]
    pub fn scores(&self) -> Option<&str> {
        self.file.scores.as_deref()
    }

    /// Whether the metric it reads is one number per window.
    #[must_use]
    pub fn is_valued(&self) -> bool {
        self.query().is_some() || self.metric() == Some("requests") || self.file.valued().is_some()
    }

    /// Whether what it reads tells how many requests there were: none, where it is silent.
    #[must_use]
    pub fn tells_requests(&self) -> bool {
        let other =
            self.query().is_some() || self.file.valued().is_some() || self.ratio().is_some() || self.scores().is_some();
        !other && self.rule != Rule::Alarms
    }

    /// Whether it looks at instances and not at answers: those that stand idle look best.
    #[must_use]
    pub fn is_of_instances(&self) -> bool {
        self.file.valued().is_some()
    }

    /// Whether its values are shares that are left unused.
    #[must_use]
    pub fn is_headroom(&self) -> bool {
        self.file.valued().is_some_and(|valued| valued.unit == Unit::Share)
    }

    /// The same gate where it decides.
    #[must_use]
    pub fn decisive(&self) -> Self {
        let mut gate = self.clone();
        gate.file.advisory = false;
        gate
    }

    /// Whether it has a part of the rollout's alpha: it decides, and by evidence.
    #[must_use]
    pub fn spends_alpha(&self) -> bool {
        !self.is_advisory() && self.rule != Rule::Alarms
    }

    /// Its own query of the metric source.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.file.query.as_deref()
    }

    /// Whether half of its alpha is kept for an exact test at the end (docs/judge.md section 3.9, step 4).
    #[must_use]
    pub fn final_look(&self) -> bool {
        self.file.final_look
    }

    /// Whether Kayenta's rule judges it.
    #[must_use]
    pub fn is_kayenta(&self) -> bool {
        matches!(self.rule, Rule::Samples(SampleRule { test: RankTest::Kayenta, .. }))
    }

    /// The group of Kayenta's score that it belongs to.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        self.file.kayenta.as_ref()?.group()
    }

    /// Whether it says what it is to Kayenta's score.
    #[must_use]
    pub fn is_about_score(&self) -> bool {
        self.file.kayenta.as_ref().is_some_and(kayenta::KayentaFile::is_about_score)
    }

    /// The quantile of a latency it is about.
    #[must_use]
    pub fn quantile(&self) -> Option<f64> {
        self.file.quantile
    }

    /// Its own part of the rollout's alpha; `None`: an equal part of what the others leave.
    #[must_use]
    pub fn alpha(&self) -> Option<f64> {
        self.file.alpha().ok().flatten()
    }

    /// The unit of its values, for people.
    #[must_use]
    pub fn unit(&self) -> Option<&str> {
        let seconds = self.file.valued().is_some_and(|valued| valued.unit == Unit::Seconds);
        self.file.unit.as_deref().or(seconds.then_some("s"))
    }

    /// Whether it is reported only, and never decides.
    #[must_use]
    pub fn is_advisory(&self) -> bool {
        self.file.advisory
    }

    /// What is allowed but hardly meant.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let (better, boundaries) = match &self.rule {
            Rule::Count(rule) => (rule.better, rule.boundaries),
            Rule::Latency(latency) => (latency.rule.better, latency.rule.boundaries),
            Rule::Alarms | Rule::Drift(_) | Rule::Samples(_) | Rule::Series(_) => return Vec::new(),
            Rule::Shape(shape) => (Better::Lower, Some(shape.boundaries)),
        };
        let Some(Boundaries { fail, pass }) = boundaries else {
            return Vec::new();
        };
        let gap = match better {
            Better::Higher => pass.ratio > fail.ratio,
            Better::Lower => pass.ratio < fail.ratio,
        };
        if !gap {
            return Vec::new();
        }
        vec![format!(
            "pass (ratio {}) asks for more than fail (ratio {}) forbids: between the two the gate stays inconclusive",
            pass.ratio, fail.ratio
        )]
    }
}

/// A share as it is written in `mlroll.toml`, "1%" or "0.01"; `None` for anything else.
#[must_use]
pub fn share(text: &str) -> Option<f64> {
    Quantity::Text(text.to_owned()).share().ok()
}

impl TryFrom<GateFile> for Gate {
    type Error = InvalidGate;

    fn try_from(file: GateFile) -> Result<Self, InvalidGate> {
        let rule = file.rule().map_err(InvalidGate)?;
        let compared = match &rule {
            Rule::Count(rule) => rule.boundaries.is_some(),
            Rule::Latency(latency) => latency.rule.boundaries.is_some(),
            Rule::Alarms | Rule::Drift(_) | Rule::Samples(_) | Rule::Series(_) | Rule::Shape(_) => false,
        };
        if file.strata.is_some() && !compared {
            let why = "strata: parts of the traffic are told apart where counts are compared with stable: give max_increase, fail or \
                       pass, and no `judge`";
            return Err(InvalidGate(why.to_owned()));
        }
        if file.strata.as_ref().is_some_and(|label| label.trim().is_empty()) {
            return Err(InvalidGate("strata: it is empty; the name of a label is needed, as \"region\"".to_owned()));
        }
        if file.final_look {
            let boundaries = match &rule {
                Rule::Count(rule) => rule.boundaries,
                Rule::Latency(latency) => latency.rule.boundaries,
                Rule::Alarms | Rule::Drift(_) | Rule::Samples(_) | Rule::Series(_) | Rule::Shape(_) => None,
            };
            if boundaries.is_none_or(|boundaries| boundaries.fail.abs > 0.0) {
                let why = "final_look: the exact test compares counts with stable, and `fail` must have no `abs`";
                return Err(InvalidGate(why.to_owned()));
            }
        }
        Ok(Self { file, rule })
    }
}

impl From<Gate> for GateFile {
    fn from(gate: Gate) -> Self {
        gate.file
    }
}

impl fmt::Display for InvalidGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidGate {}

#[cfg(test)]
mod tests;
