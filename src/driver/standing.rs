//! The gates of a run with the evidence they have: what of the bench needs no store, so that it can be asked again.

use mlroll_backend::Weight;
use serde::{Deserialize, Serialize};

use crate::judge::gate::Gate;
use crate::judge::panel::{Deciding, Evidence, Finding, Panel, Prelude, Risk, Ruling};
use crate::rollout::engine::{Look, Plan, Stage, Verdict, Windows};

/// Gates, their evidence, and the stage that it is about. Serializes exactly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "(Option<Stage>, Panel)", into = "(Option<Stage>, Panel)")]
pub struct Standing {
    stage: Option<Stage>,
    panel: Panel,
}

impl Standing {
    /// Gates before their first look, with what was measured for them before the bake.
    ///
    /// # Errors
    /// The gates cannot judge together.
    pub fn new(gates: Vec<(Gate, Prelude)>, plan: &Plan) -> Result<Self, String> {
        let terms = plan.terms();
        let risk = Risk {
            alpha: terms.alpha,
            beta: terms.beta,
            horizon: u64::from(plan.horizon()),
            step_looks: u64::from(plan.bake_looks()),
            steps: terms.steps.iter().filter(|step| **step != Weight::FULL).count().max(1) as u64,
        };
        Ok(Self { stage: None, panel: Panel::new(gates, risk)? })
    }

    /// Whether these are the gates of `plan` before their first look.
    #[must_use]
    pub fn is_new(&self, plan: &Plan) -> bool {
        let gates = self.panel.gates().cloned().zip(self.panel.preludes()).collect();
        Self::new(gates, plan).is_ok_and(|new| new == *self)
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
        match self.panel.look(evidence) {
            Ruling::Fail => Verdict::Fail,
            Ruling::Inconclusive => Verdict::Inconclusive,
            Ruling::NoData => Verdict::NoData,
            Ruling::Pass => Verdict::Pass,
            Ruling::Starved => Verdict::Starved,
        }
    }

    /// The gates, in their order.
    pub fn gates(&self) -> impl Iterator<Item = &Gate> {
        self.panel.gates()
    }

    /// What each gate says.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        self.panel.findings()
    }

    /// The rule behind a verdict, with its numbers.
    #[must_use]
    pub fn deciding(&self, verdict: Verdict) -> Deciding {
        self.panel.deciding(match verdict {
            Verdict::Fail => Ruling::Fail,
            Verdict::Inconclusive => Ruling::Inconclusive,
            Verdict::NoData => Ruling::NoData,
            Verdict::Pass => Ruling::Pass,
            Verdict::Starved => Ruling::Starved,
        })
    }
}

impl From<(Option<Stage>, Panel)> for Standing {
    fn from((stage, panel): (Option<Stage>, Panel)) -> Self {
        Self { stage, panel }
    }
}

impl From<Standing> for (Option<Stage>, Panel) {
    fn from(standing: Standing) -> Self {
        (standing.stage, standing.panel)
    }
}
