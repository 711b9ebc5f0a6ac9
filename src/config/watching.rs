//! From a service of the file and what was typed to the terms of a watched run.

use std::time::Duration;

use mlroll_backend::Weight;

use super::file::{Kayenta, Service};
use super::values::{OnCapacity, OnFail, OnInconclusive};
use crate::rollout::engine::{Experiment, Kind, Reaction, Score};

/// How a candidate is watched: what the file says, with every default filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Watching {
    /// How it ends when all goes well.
    pub kind: Kind,
    /// The candidate's shares.
    pub steps: Vec<Weight>,
    /// How long each must hold.
    pub bake: Duration,
    /// Whether gates judge it.
    pub judged: bool,
    /// The part of it that is not judged.
    pub warm_up: Duration,
    /// The shortest bake that may pass.
    pub min_bake: Duration,
    /// The length of a look.
    pub look: Duration,
    /// How long the promoted revision is watched.
    pub watch_after: Duration,
    /// The chance of a false rollback.
    pub alpha: f64,
    /// The chance of a false promotion by one gate.
    pub beta: f64,
    /// What a failed gate does.
    pub on_fail: Reaction,
    /// What the end without a verdict does.
    pub on_inconclusive: Reaction,
    /// What a starved candidate does.
    pub on_starved: Reaction,
    /// Whether the candidate gets stable's capacity before its first share.
    pub capacity: bool,
    /// How long to wait for metrics.
    pub no_data_budget: Duration,
    /// How long a shift may take until it is live.
    pub settle_timeout: Duration,
    /// What an experiment is about.
    pub experiment: Option<Box<Experiment>>,
    /// Kayenta's score, where that decides.
    pub score: Option<Box<Score>>,
}

const MINUTE: Duration = Duration::from_secs(60);

impl Watching {
    /// A canary at `share`.
    #[must_use]
    pub fn canary(service: &Service, share: Weight, bake: Option<Duration>) -> Self {
        Self::of(service, Kind::Canary, vec![share], bake)
    }

    /// A rollout by these steps, else by those of the service; `None` when it has none.
    #[must_use]
    pub fn rollout(service: &Service, steps: Option<Vec<Weight>>, bake: Option<Duration>) -> Option<Self> {
        let steps = steps.or_else(|| Some(service.steps.as_ref()?.0.clone()))?;
        Some(Self::of(service, Kind::Rollout, steps, bake))
    }

    /// An experiment at `share`.
    #[must_use]
    pub fn experiment(service: &Service, share: Weight, bake: Option<Duration>, about: Experiment) -> Self {
        Self {
            experiment: Some(Box::new(about)),
            score: None,
            ..Self::of(service, Kind::Experiment, vec![share], bake)
        }
    }

    /// The same without a judge: every step holds for its whole bake, and nothing is watched after the promotion.
    #[must_use]
    pub fn without_gates(self) -> Self {
        let look = self.look.min(Duration::from_secs(self.bake.as_secs().max(1)));
        Self { judged: false, look, warm_up: Duration::ZERO, watch_after: Duration::ZERO, ..self }
    }

    fn of(service: &Service, kind: Kind, steps: Vec<Weight>, bake: Option<Duration>) -> Self {
        let bake = bake.or(service.bake.map(|s| s.0)).unwrap_or(MINUTE * 10);
        // Defaults for a short bake are parts of it, so that they fit.
        let part = |of: u32, most: Duration| Duration::from_secs((bake / of).as_secs()).min(most);
        let or = |given: Option<super::Span>, default: Duration| given.map_or(default, |span| span.0);
        let reaction = |given: Option<OnFail>| match given.unwrap_or_default() {
            OnFail::Hold => Reaction::Hold,
            OnFail::Rollback => Reaction::Rollback,
        };
        let on_inconclusive = match (service.on_inconclusive, kind) {
            (Some(OnInconclusive::Hold), _) | (None, Kind::Canary | Kind::Experiment) => Reaction::Hold,
            (Some(OnInconclusive::Rollback), _) | (None, Kind::Rollout) => Reaction::Rollback,
        };
        Self {
            kind,
            steps,
            bake,
            judged: true,
            warm_up: or(service.warm_up, part(10, MINUTE)),
            min_bake: or(service.min_bake, part(2, MINUTE * 5)),
            look: or(service.look, MINUTE),
            watch_after: match kind {
                Kind::Canary | Kind::Experiment => Duration::ZERO,
                Kind::Rollout => or(service.watch_after, Duration::ZERO),
            },
            alpha: service.alpha.map_or(0.01, |share| share.0),
            beta: service.beta.map_or(0.05, |share| share.0),
            on_fail: reaction(service.on_fail),
            on_inconclusive,
            on_starved: reaction(service.on_starved),
            capacity: service.capacity.unwrap_or_default() == OnCapacity::Match,
            no_data_budget: or(service.no_data_budget, MINUTE * 10),
            settle_timeout: or(service.settle_timeout, MINUTE * 30),
            experiment: None,
            score: service.kayenta.as_ref().map(|kayenta| {
                let Kayenta { pass, marginal, weights } = kayenta.clone();
                Box::new(Score { pass, marginal, weights })
            }),
        }
    }
}
