//! The gates of a run with the evidence they have: what of the bench needs no store, so that it can be asked again.

use mlroll_backend::Weight;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::judge::gate::Gate;
use crate::judge::panel::{Deciding, Evidence, Finding, Panel, Prelude, Risk, Ruling, Scoring};
use crate::judge::trial::{Design, Told, Trial};
use crate::rollout::engine::{Look, Plan, Stage, Verdict, Windows};

/// What an experiment asks for its requests where neither its metric nor a guard tells them: an advisory gate of this name.
pub const COUNTER: &str = "sample_ratio";

/// Gates, their evidence, and the stage that it is about. Serializes exactly.
///
/// In an experiment the last gate is the metric that decides; the others guard it, and there may be none of those.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Kept")]
pub struct Standing {
    stage: Option<Stage>,
    panel: Panel,
    experiment: Option<Box<Experiment>>,
}

/// What an experiment has beside its guards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Experiment {
    /// What tells its requests, where nothing else does.
    counter: Option<(Gate, Prelude)>,
    trial: Trial,
}

/// How it is written: as in the first journals, and that of an experiment with one part more.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Kept {
    Experiment(Option<Stage>, Panel, Box<Experiment>),
    Gates(Option<Stage>, Panel),
}

impl Standing {
    /// Gates before their first look, with what was measured for them before the bake.
    ///
    /// # Errors
    /// The gates cannot judge together.
    pub fn new(mut gates: Vec<(Gate, Prelude)>, plan: &Plan) -> Result<Self, String> {
        let terms = plan.terms();
        let risk = Risk {
            alpha: terms.alpha,
            beta: terms.beta,
            horizon: u64::from(plan.horizon()),
            step_looks: u64::from(plan.bake_looks()),
            steps: terms.steps.iter().filter(|step| **step != Weight::FULL).count().max(1) as u64,
        };
        let Some(about) = &terms.experiment else {
            let scoring = terms.score.as_ref().map(|score| Scoring {
                pass: score.pass,
                marginal: score.marginal,
                weights: score.weights.clone(),
            });
            return Ok(Self { stage: None, panel: Panel::new(gates, risk)?.scored(scoring)?, experiment: None });
        };
        let (metric, prelude) = gates.pop().ok_or("an experiment needs a metric")?;
        let share = terms.steps.first().map_or(0.0, |weight| weight.fraction());
        let design = Design { alpha: about.alpha, share, size: about.size };
        let counter =
            gates.pop_if(|(gate, _)| gate.name() == COUNTER && gate.metric() == Some("requests") && gate.is_advisory());
        let trial = Trial::new(&metric, prelude, design)?;
        let panel = Panel::guarding(gates, risk)?;
        Ok(Self { stage: None, panel, experiment: Some(Box::new(Experiment { counter, trial })) })
    }

    /// Whether these are the gates of `plan` before their first look.
    #[must_use]
    pub fn is_new(&self, plan: &Plan) -> bool {
        let mut gates: Vec<_> = self.panel.gates().cloned().zip(self.panel.preludes()).collect();
        if let Some(Experiment { counter, trial }) = self.experiment.as_deref() {
            gates.extend(counter.clone());
            gates.push((trial.gate().clone(), trial.prelude()));
        }
        Self::new(gates, plan).is_ok_and(|new| new == *self || new.begun_before() == *self)
    }

    /// The same as the first programs with experiments began it.
    fn begun_before(self) -> Self {
        let before = |it: Box<Experiment>| Box::new(Experiment { trial: it.trial.without_bounds(), ..*it });
        Self { experiment: self.experiment.map(before), ..self }
    }

    /// Judges windows of a stage, each once and in order: what each says to each gate is in `read`.
    pub fn judge(&mut self, plan: &Plan, windows: Windows, read: &[Vec<Evidence>]) -> Vec<Look> {
        let ends = (1..=windows.count).map(|n| windows.from.plus(windows.length.saturating_mul(n)));
        read.iter()
            .zip(ends)
            .map(|(evidence, ends)| Look { ends, verdict: self.look(plan, windows.stage, evidence) })
            .collect()
    }

    /// Judges one window of a stage.
    pub fn look(&mut self, plan: &Plan, stage: Stage, evidence: &[Evidence]) -> Verdict {
        if self.stage != Some(stage) {
            let share = match stage {
                Stage::Start => 0.0,
                Stage::Step(at) => plan.terms().steps.get(at).map_or(0.0, |weight| weight.fraction()),
                Stage::Watch => 1.0,
            };
            self.panel.begin(share);
            self.stage = Some(stage);
        }
        let Some(Experiment { counter, trial }) = self.experiment.as_deref_mut() else {
            return match self.panel.look(evidence) {
                Ruling::Fail => Verdict::Fail,
                Ruling::Inconclusive => Verdict::Inconclusive,
                Ruling::NoData => Verdict::NoData,
                Ruling::Pass => Verdict::Pass,
                Ruling::Starved => Verdict::Starved,
            };
        };
        let Some((metric, others)) = evidence.split_last() else { return Verdict::NoData };
        let asked = self.panel.gates().chain(counter.iter().map(|(gate, _)| gate)).chain([trial.gate()]);
        let told = asked.zip(evidence).filter_map(|(gate, evidence)| evidence.requests(gate));
        // The first that counts any: one that is silent may read what nobody writes.
        let requests = told.reduce(|first, next| if first.0 + first.1 > 0.0 { first } else { next });
        // The counter's own evidence comes after that of the guards, and they leave it.
        let guarded = self.panel.look(others);
        match (guarded, trial.look(metric, requests)) {
            (Ruling::Fail, _) => Verdict::Fail,
            (Ruling::Starved, _) | (_, Told::Starved) => Verdict::Starved,
            (_, Told::Mismatched) => Verdict::Mismatched,
            (_, Told::Worse) => Verdict::Worse,
            (Ruling::NoData, _) | (_, Told::NoData) => Verdict::NoData,
            (_, Told::Better) => Verdict::Better,
            (_, Told::Reached) => Verdict::Reached,
            (_, Told::Inconclusive) => Verdict::Inconclusive,
        }
    }

    /// The gates, in their order.
    pub fn gates(&self) -> impl Iterator<Item = &Gate> {
        let experiment = self.experiment.iter();
        let of = experiment.flat_map(|it| it.counter.iter().map(|(gate, _)| gate).chain([it.trial.gate()]));
        self.panel.gates().chain(of)
    }

    /// What an experiment decides by.
    #[must_use]
    pub fn trial(&self) -> Option<&Trial> {
        self.experiment.as_ref().map(|experiment| &experiment.trial)
    }

    /// What each gate says.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        self.panel.findings().into_iter().chain(self.trial().and_then(Trial::finding)).collect()
    }

    /// The rule behind a verdict, with its numbers.
    #[must_use]
    pub fn deciding(&self, verdict: Verdict) -> Deciding {
        let ruling = match verdict {
            Verdict::Fail => Ruling::Fail,
            Verdict::NoData => Ruling::NoData,
            Verdict::Pass => Ruling::Pass,
            Verdict::Starved => Ruling::Starved,
            Verdict::Better | Verdict::Inconclusive | Verdict::Mismatched | Verdict::Reached | Verdict::Worse => {
                Ruling::Inconclusive
            }
        };
        match self.trial().filter(|_| ruling != Ruling::Fail) {
            Some(trial) => super::experiment::deciding(trial, verdict),
            None => self.panel.deciding(ruling),
        }
    }
}

impl TryFrom<Value> for Standing {
    type Error = serde_json::Error;

    fn try_from(kept: Value) -> Result<Self, Self::Error> {
        if kept.as_array().is_some_and(|parts| parts.len() > 2) {
            let (stage, panel, experiment) = serde_json::from_value(kept)?;
            return Ok(Self { stage, panel, experiment: Some(experiment) });
        }
        let (stage, panel) = serde_json::from_value(kept)?;
        Ok(Self { stage, panel, experiment: None })
    }
}

impl From<Standing> for Kept {
    fn from(Standing { stage, panel, experiment }: Standing) -> Self {
        match experiment {
            Some(experiment) => Self::Experiment(stage, panel, experiment),
            None => Self::Gates(stage, panel),
        }
    }
}
