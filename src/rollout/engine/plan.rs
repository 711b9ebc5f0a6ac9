//! What a rollout will do, frozen when it starts.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use mlroll_backend::{Marker, MarkerState, RevisionId, Timestamp, TrafficSplit, Weight};
use serde::{Deserialize, Serialize};

use super::Stage;

/// The terms of a rollout that make sense together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Terms", into = "Terms")]
pub struct Plan(Terms);

/// The terms of a rollout, each as it was given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// The id that its markers carry.
    pub id: String,
    /// How it ends when all goes well.
    pub kind: Kind,
    /// The revision in charge.
    pub stable: RevisionId,
    /// The revision on trial.
    pub candidate: RevisionId,
    /// The revision that was stable before.
    pub previous: Option<RevisionId>,
    /// The candidate's shares, one after the other. 100 % is the promotion and never baked.
    #[serde(with = "basis_points")]
    pub steps: Vec<Weight>,
    /// How long a step must hold; zero for a canary that is not judged.
    pub bake: Duration,
    /// Whether gates judge it. Without, a step is left when its bake is over.
    #[serde(default = "judged", skip_serializing_if = "is_judged")]
    pub judged: bool,
    /// The part of it that is not judged.
    pub warm_up: Duration,
    /// The shortest bake that may end with a pass.
    pub min_bake: Duration,
    /// The length of a look.
    pub look: Duration,
    /// How late the metric store is: a window is read this long after its end.
    pub settle_delay: Duration,
    /// How far back the metric store answers for windows of a look; `None`: as far as anybody asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Duration>,
    /// How long the promoted revision is watched.
    pub watch_after: Duration,
    /// The chance of a false rollback in the whole rollout.
    pub alpha: f64,
    /// The chance of a false promotion by one gate.
    pub beta: f64,
    /// What a failed gate or a failed target does.
    pub on_fail: Reaction,
    /// What the end of a bake without a pass does.
    pub on_inconclusive: Reaction,
    /// What a candidate without its share of traffic does.
    pub on_starved: Reaction,
    /// How much time without data a step may have.
    pub no_data_budget: Duration,
    /// How long a shift may take until it is live.
    pub settle_timeout: Duration,
    /// How long the text may be that carries the marker.
    pub note_limit: usize,
    /// Whether the provider takes a rollback while an earlier shift is not yet live.
    pub overtakes: bool,
    /// Whether the candidate gets stable's capacity before its first share; where the split stays at the end, it may, too.
    #[serde(default, skip_serializing_if = "is_left")]
    pub capacity: bool,
    /// Whether a run that somebody else's change stops sets capacity back where that gave stable everything. Runs of older journals
    /// left it.
    #[serde(default, skip_serializing_if = "is_left")]
    pub restores_when_halted: bool,
    /// What an experiment is about; of that kind only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experiment: Option<Experiment>,
    /// Kayenta's score over the gates that it judges, where that decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<Score>,
}

/// What Kayenta's score decides, from 0 to 100, and how groups of gates weigh in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// From here on it is a pass.
    pub pass: f64,
    /// Below, it is a fail.
    pub marginal: f64,
    /// The weights of groups; the others share what is left of 100.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<String, f64>,
}

/// What an experiment is about, fixed before it begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// The metric that decides, as it was named.
    pub metric: String,
    /// The chance of naming a difference where there is none.
    pub alpha: f64,
    /// Requests of both revisions after which it ends undecided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The effect that it is planned to show, as a part of stable's number.
    pub effect: f64,
}

/// Plans of journals that do not say so are judged.
const fn judged() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_judged(judged: &bool) -> bool {
    *judged
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_left(capacity: &bool) -> bool {
    !*capacity
}

/// How a rollout ends when all goes well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The candidate keeps its share.
    Canary,
    /// The split is held until a difference is shown.
    Experiment,
    /// The candidate is promoted.
    Rollout,
}

impl Kind {
    /// The verb that begins it.
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::Experiment => "experiment",
            Self::Rollout => "rollout",
        }
    }

    /// Whether it may end with the split standing, and nobody there who would set the candidate's capacity back later: then the
    /// candidate is given only what may stay with it.
    #[must_use]
    pub const fn may_leave_capacity(self) -> bool {
        match self {
            Self::Canary | Self::Experiment => true,
            Self::Rollout => false,
        }
    }
}

/// What is done about a candidate that is not good. Never "promote".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reaction {
    /// Stop and keep the split; a person decides.
    Hold,
    /// Give stable everything.
    Rollback,
}

/// Why terms are no [`Plan`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPlan(String);

/// A year and a day: no limit is meant to be longer, and sums of such do not overflow.
const LONGEST: Duration = Duration::from_secs(86_400 * 366);

impl Plan {
    /// Freezes `terms`; `granule` is the finest share that the provider can store.
    ///
    /// # Errors
    /// The terms contradict each other, or a share is finer than the provider can store.
    pub fn new(terms: Terms, granule: Weight) -> Result<Self, InvalidPlan> {
        if let Some(fine) = terms.steps.iter().find(|step| !step.is_multiple_of(granule)) {
            return Err(InvalidPlan(format!(
                "a step of {fine} is finer than this provider can store ({granule} steps)"
            )));
        }
        Self::try_from(terms)
    }

    /// The terms.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.0
    }

    /// Looks with data that a bake has at most: when they are over, it is.
    #[must_use]
    pub fn bake_looks(&self) -> u32 {
        self.looks(self.0.bake.saturating_sub(self.0.warm_up))
    }

    /// Looks with data that a bake needs before it may pass.
    #[must_use]
    pub fn min_looks(&self) -> u32 {
        self.looks(self.0.min_bake.saturating_sub(self.0.warm_up))
    }

    /// Looks at the promoted revision; none when it is not watched.
    #[must_use]
    pub fn watch_looks(&self) -> u32 {
        if self.0.watch_after.is_zero() { 0 } else { self.looks(self.0.watch_after) }
    }

    /// Looks of all steps together, and those at the promoted revision: the horizon over which alpha is spent.
    #[must_use]
    pub fn horizon(&self) -> u32 {
        let baked = self.0.steps.iter().filter(|step| **step != Weight::FULL).count();
        let looks = self.bake_looks().saturating_mul(u32::try_from(baked).unwrap_or(u32::MAX));
        looks.saturating_add(self.watch_looks())
    }

    /// The stage that a pass at `stage` leads to; `None` when there is none.
    pub(super) fn after(&self, stage: Stage) -> Option<Stage> {
        let next = match stage {
            Stage::Start => 0,
            Stage::Step(at) => at.checked_add(1)?,
            Stage::Watch => return None,
        };
        let weight = *self.0.steps.get(next)?;
        Some(if weight == Weight::FULL { Stage::Watch } else { Stage::Step(next) })
    }

    /// The split of `stage`.
    pub(super) fn split(&self, stage: Stage) -> TrafficSplit {
        let share = match stage {
            Stage::Start => Weight::ZERO,
            Stage::Step(at) => self.0.steps.get(at).copied().unwrap_or(Weight::ZERO),
            Stage::Watch => Weight::FULL,
        };
        TrafficSplit::between(self.0.stable.clone(), self.0.candidate.clone(), share)
    }

    /// What travels with the split of `stage`; [`Stage::Start`] is the way back.
    pub(super) fn marker(&self, stage: Stage, from: Stage, at: Timestamp) -> Marker {
        let Terms { stable, candidate, previous, .. } = &self.0;
        let (state, in_charge, previous) = match stage {
            // What was before the promote is in charge again, and what was before that is not known to be good.
            Stage::Start if from == Stage::Watch => {
                (MarkerState::RolledBack { bad: Some(candidate.clone()) }, stable, &None)
            }
            Stage::Start => (MarkerState::RolledBack { bad: Some(candidate.clone()) }, stable, previous),
            Stage::Step(_) => (MarkerState::Canary { candidate: candidate.clone() }, stable, previous),
            Stage::Watch => (MarkerState::Promoted, candidate, &Some(stable.clone())),
        };
        let id = Some(self.0.id.clone());
        Marker { state, stable: in_charge.clone(), previous: previous.clone(), at: Some(at), id }
    }

    fn looks(&self, time: Duration) -> u32 {
        let looks = time.as_nanos().div_ceil(self.0.look.as_nanos().max(1));
        u32::try_from(looks).unwrap_or(u32::MAX).max(1)
    }
}

impl TryFrom<Terms> for Plan {
    type Error = InvalidPlan;

    fn try_from(terms: Terms) -> Result<Self, InvalidPlan> {
        match terms.fault() {
            Some(fault) => Err(InvalidPlan(fault)),
            None => Ok(Self(terms)),
        }
    }
}

impl From<Plan> for Terms {
    fn from(plan: Plan) -> Self {
        plan.0
    }
}

impl Terms {
    fn fault(&self) -> Option<String> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if self.id.is_empty() || self.id.len() > 64 || !self.id.bytes().all(fits) {
            return Some("the id of a rollout has 1 to 64 characters of A-Z a-z 0-9 -".to_owned());
        }
        if self.stable == self.candidate {
            return Some(format!("{} cannot be stable and candidate at once", self.stable));
        }
        if let Some(fault) = self.fault_of_steps() {
            return Some(fault);
        }
        let chance = |p: f64| p > 0.0 && p < 1.0;
        if !chance(self.alpha) || !chance(self.beta) {
            return Some("alpha and beta lie between 0 and 1, both excluded".to_owned());
        }
        let whole = self.look.subsec_nanos() == 0 && !self.look.is_zero() && self.look <= Duration::from_secs(86_400);
        if !whole {
            return Some("a look lasts whole seconds, at least one and at most a day".to_owned());
        }
        if self.settle_timeout.is_zero() {
            return Some("`settle_timeout` is longer than nothing".to_owned());
        }
        let limits = [self.bake, self.settle_delay, self.watch_after, self.no_data_budget, self.settle_timeout];
        if limits.iter().any(|limit| *limit > LONGEST) {
            return Some("no time of a plan is longer than a year".to_owned());
        }
        if self.kept.is_some_and(|kept| kept <= self.settle_delay.saturating_add(self.look)) {
            return Some("`settle_delay` is shorter than the metric store keeps looks of that length".to_owned());
        }
        if let Some(Experiment { alpha, effect, .. }) = &self.experiment
            && (!chance(*alpha) || !effect.is_finite() || *effect <= 0.0)
        {
            return Some("the alpha of an experiment lies between 0 and 1, and its effect above 0".to_owned());
        }
        if (self.kind == Kind::Experiment) != self.experiment.is_some() || (self.experiment.is_some() && !self.judged) {
            return Some("an experiment is about a metric, and nothing else is".to_owned());
        }
        if self.bake.is_zero() {
            let fault = "a rollout or an experiment bakes: `bake` is longer than nothing";
            return (self.kind != Kind::Canary).then(|| fault.to_owned());
        }
        if self.warm_up >= self.bake {
            return Some("`warm_up` is shorter than `bake`, or nothing is ever judged".to_owned());
        }
        (self.min_bake > self.bake).then(|| "`min_bake` is at most `bake`".to_owned())
    }

    fn fault_of_steps(&self) -> Option<String> {
        let rising = self.steps.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
        if !rising || self.steps.first().is_none_or(|first| *first == Weight::ZERO) {
            return Some("steps rise, from above 0 %".to_owned());
        }
        match (self.kind, self.steps.as_slice()) {
            (Kind::Canary | Kind::Experiment, [share]) if *share != Weight::FULL => None,
            (Kind::Canary, _) => Some("a canary has one step, below 100 %".to_owned()),
            (Kind::Experiment, _) => Some("an experiment has one step, below 100 %".to_owned()),
            (Kind::Rollout, [_, .., last]) if *last == Weight::FULL => None,
            (Kind::Rollout, _) => Some("a rollout has a step below 100 %, and 100 % as its last".to_owned()),
        }
    }
}

impl fmt::Display for InvalidPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidPlan {}

/// Weights as integers: what people write as a percentage is stored exactly.
mod basis_points {
    use mlroll_backend::Weight;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(weights: &[Weight], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(weights.iter().map(|weight| weight.basis_points()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Weight>, D::Error> {
        let weight = |bp| {
            Weight::from_basis_points(bp)
                .ok_or_else(|| de::Error::custom(format_args!("{bp} basis points are more than 10,000")))
        };
        Vec::<u16>::deserialize(deserializer)?.into_iter().map(weight).collect()
    }
}
