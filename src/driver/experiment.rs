//! What an experiment came to, for people and scripts.

use mlroll_backend::{Sample, Target};
use serde_json::{Value, json};

use super::{Measured, Standing};
use crate::failure::Failure;
use crate::foresight::counting;
use crate::judge::design_effect::DesignEffect;
use crate::judge::forecast::{Load, Stakes};
use crate::judge::gate::Gate;
use crate::judge::panel::{Deciding, requests_of};
use crate::judge::sample_ratio::{ALPHA, SampleRatio, TOLERANCE};
use crate::judge::trial::{Effect, LnE, Measure, Trial, Winner};
use crate::rollout::engine::{Cause, Experiment, Plan, Rollout, Verdict};

/// How surely an experiment shows the difference that it is meant to show.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sharpness {
    /// That difference, as a part of stable's number.
    pub difference: f64,
    /// The chance that the planned looks show it, for the worse.
    pub chance: f64,
    /// The smallest difference that they show in half of the cases; `None`: none.
    pub smallest: Option<f64>,
}

impl Sharpness {
    /// By the formula of `docs/judge.md` section 3.9, at `load` in each look. `None` for metrics that count nothing.
    fn of(plan: &Plan, gate: &Gate, effect: Option<DesignEffect>, load: &Load) -> Option<Self> {
        let about = plan.terms().experiment.as_ref()?;
        let effect = effect.unwrap_or(DesignEffect::UNKNOWN);
        let stakes = Stakes { rule: counting(gate)?, alpha: about.alpha / 2.0, effect };
        let sized = about.size.map_or(f64::INFINITY, |size| size as f64 / load.requests);
        let looks = f64::from(plan.bake_looks()).min(sized);
        let rate = stakes.worse(load.base_rate, 1.0 + about.effect);
        let smallest = stakes.smallest_seen(load, looks).map(|rate| (rate / load.base_rate - 1.0).abs());
        Some(Self {
            difference: about.effect,
            chance: stakes.chance_to_fail(load, rate, looks),
            smallest: smallest.filter(|difference| difference.is_finite()),
        })
    }

    /// What can be said of it before it begins, from stable's windows so far.
    #[must_use]
    pub fn foretold(plan: &Plan, gate: &Gate, measured: &Measured) -> Option<Self> {
        let (requests, base_rate) = measured.requests.zip(measured.base_rate)?;
        let load = Load { requests, share: share(plan), base_rate };
        Self::of(plan, gate, measured.prelude.effect, &load).filter(|_| requests > 0.0)
    }

    /// What it was, at the traffic that came and the rate that stable had.
    fn found(plan: &Plan, trial: &Trial, looks: u64) -> Option<Self> {
        let ((candidate, _), (stable, events)) = trial.counted().filter(|(_, stable)| stable.0 > 0.0)?;
        let requests = (candidate + stable) / looks.max(1) as f64;
        let load = Load { requests, share: share(plan), base_rate: events / stable };
        Self::of(plan, trial.gate(), trial.prelude().effect, &load)
    }
}

/// Refuses an experiment of whose requests none is counted: whether they are split as they should be would never be known.
/// `samples` are stable's windows before the bake, of each gate.
pub(super) fn check_requests(gates: &[Gate], samples: &[Vec<Sample>], target: &Target) -> Result<(), Failure> {
    let counts = |(gate, of): &(&Gate, &Vec<Sample>)| {
        of.iter().any(|sample| requests_of(gate, sample).is_some_and(|requests| requests > 0.0))
    };
    if gates.iter().zip(samples).any(|asked| counts(&asked)) {
        return Ok(());
    }
    let asked = gates.iter().filter(|gate| gate.tells_requests());
    let asked: Vec<String> = asked.map(|gate| format!("`{}`", gate.name())).collect();
    let windows = samples.first().map_or(0, Vec::len);
    Err(Failure::usage(format!(
        "an experiment holds the requests of both against the split, and the metric store has none of stable in the last \
         {windows} windows; they are counted by {}",
        asked.join(", ")
    ))
    .about(target)
    .hint("look at what selects them (with Prometheus `metrics.requests`), or begin when stable has traffic"))
}

fn share(plan: &Plan) -> f64 {
    plan.terms().steps.first().map_or(0.0, |weight| weight.fraction())
}

/// The rule behind a verdict of an experiment, with its numbers.
pub(super) fn deciding(trial: &Trial, verdict: Verdict) -> Deciding {
    let LnE { worse, better, needed, ratio } = trial.ln_e();
    let both =
        format!("ln E {worse:.2} that the candidate is worse, {better:.2} that it is better; {needed:.2} shows it");
    let words = match verdict {
        Verdict::Better => format!("BETTER: {both}"),
        Verdict::Worse => format!("WORSE: {both}"),
        Verdict::Mismatched => format!(
            "MISMATCHED: ln E {ratio:.2} that the requests are not split as they should be; {:.2} shows it; {}",
            SampleRatio::needed(),
            split_in_words(trial)
        ),
        Verdict::Starved => format!("STARVED: less than half of its share; {}", split_in_words(trial)),
        Verdict::Reached => format!("REACHED: the planned size; {both}"),
        Verdict::NoData => {
            "NO DATA: the metric, the requests that it is about, or a gate that guards had nothing to judge".to_owned()
        }
        Verdict::Fail | Verdict::Inconclusive | Verdict::Pass => format!("INCONCLUSIVE: {both}"),
    };
    let gate = Some(trial.gate().name().to_owned());
    Deciding { words, gate, ln_e_fail: Some(worse), needed_fail: needed, needed_pass: needed }
}

/// The result of requests that are not split as they should be.
const MISMATCH: &str = "sample_ratio_mismatch";

/// What it came to, in a word.
fn result(rollout: &Rollout) -> &'static str {
    match rollout.ended().map(|(_, why)| why).or(rollout.decided()) {
        Some(Cause::Better) => "candidate_better",
        Some(Cause::Worse) => "candidate_worse",
        Some(Cause::Undecided) => "no_difference_shown",
        Some(Cause::Mismatched | Cause::Starved) => MISMATCH,
        Some(Cause::Failed) => "guardrail_failed",
        _ => "stopped",
    }
}

/// Who is better, where that is what it came to: what a test showed of requests that are split wrongly, or before something else
/// ended it, names nobody.
fn winner(result: &str) -> Option<Winner> {
    match result {
        "candidate_better" => Some(Winner::Candidate),
        "candidate_worse" => Some(Winner::Stable),
        _ => None,
    }
}

/// The effect, where the two can be compared.
fn effect(rollout: &Rollout, trial: &Trial) -> Option<Effect> {
    let comparable = result(rollout) != MISMATCH && !trial.is_mismatched();
    trial.effect().filter(|_| comparable)
}

/// The effect in words; `None` where the metric tells no size.
pub(super) fn effect_in_words(rollout: &Rollout, trial: &Trial) -> Option<String> {
    let withheld = || "not told: the requests are not split as they should be, and nothing can be concluded".to_owned();
    trial.effect()?;
    Some(
        effect(rollout, trial)
            .map_or_else(withheld, |effect| format!("{}, at level {}", in_words(&effect), 1.0 - trial.design().alpha)),
    )
}

/// `mlroll/ab-summary/1`: the arms, the effect, and the rule that was fixed before. `None` for a run that is no experiment.
pub(super) fn summary(target: &Target, rollout: &Rollout, standing: &Standing) -> Option<Value> {
    let (plan, trial) = (rollout.plan(), standing.trial()?);
    let terms = plan.terms();
    let about = terms.experiment.as_ref()?;
    let LnE { worse, better, needed, ratio } = trial.ln_e();
    let finding = trial.finding()?;
    let requests = trial.requests();
    let both = requests.candidate + requests.stable;
    let why = rollout.ended().map(|(_, why)| why).or(rollout.decided());
    Some(json!({
        "schema": "mlroll/ab-summary/1",
        "run": terms.id,
        "target": target,
        "metric": about.metric,
        "gate": trial.gate(),
        "result": result(rollout),
        "winner": winner(result(rollout)),
        "why": why.map(ToString::to_string),
        "arms": arms(plan, trial),
        "effect": effect(rollout, trial),
        "level": 1.0 - about.alpha,
        "evidence": {
            "ln_e_worse": worse, "ln_e_better": better, "needed": needed, "reason": finding.reason,
            "design_effect": finding.design_effect,
        },
        "sample_ratio": {
            "expected": share(plan), "observed": (both > 0.0).then(|| requests.candidate / both), "ln_e": ratio,
            "needed": SampleRatio::needed(),
        },
        "looks": { "judged": finding.looks, "planned": plan.bake_looks() },
        "power": Sharpness::found(plan, trial, finding.looks).map(|power| json!({
            "effect": power.difference, "chance": power.chance, "smallest_in_half": power.smallest,
        })),
        "rule": rule(plan, about, needed),
    }))
}

/// The summary of an experiment that goes on: nothing in it is a result.
pub(super) fn running(mut summary: Value) -> Value {
    if let Some(of) = summary.as_object_mut() {
        of.insert("result".to_owned(), json!("running"));
        for open in ["winner", "why", "effect"] {
            of.insert(open.to_owned(), Value::Null);
        }
    }
    summary
}

fn arms(plan: &Plan, trial: &Trial) -> [Value; 2] {
    let terms = plan.terms();
    let (counted, means, requests) = (trial.counted(), trial.means(), trial.requests());
    let arm = |role: &str, revision, percent, requests: f64, counted: Option<(f64, f64)>, mean: Option<f64>| {
        let rate = counted.filter(|(requests, _)| *requests > 0.0).map(|(requests, events)| events / requests);
        json!({
            "role": role, "revision": revision, "percent": percent, "requests": requests,
            "events": counted.map(|(_, events)| events), "rate": rate, "mean": mean,
        })
    };
    let share = terms.steps.first().copied().unwrap_or_default();
    [
        arm("candidate", &terms.candidate, share, requests.candidate, counted.map(|c| c.0), means.map(|m| m.candidate)),
        arm(
            "stable",
            &terms.stable,
            share.complement(),
            requests.stable,
            counted.map(|c| c.1),
            means.map(|m| m.stable),
        ),
    ]
}

/// The rule, as the journal froze it before the first shift; times are in seconds.
fn rule(plan: &Plan, about: &Experiment, needed: f64) -> Value {
    let terms = plan.terms();
    json!({
        "fixed": "before the first shift",
        "alpha": about.alpha,
        "sides": 2,
        "decides": "the first look at which ln E of either side is at least `needed`; that it is better, after min_bake",
        "needed": needed,
        "planned_looks": plan.bake_looks(),
        "planned_requests": about.size,
        "look": terms.look.as_secs(),
        "warm_up": terms.warm_up.as_secs(),
        "min_bake": terms.min_bake.as_secs(),
        "sample_ratio": { "alpha": ALPHA, "tolerance": TOLERANCE },
        "guards_alpha": terms.alpha,
    })
}

/// Who got the requests.
pub(super) fn split_in_words(trial: &Trial) -> String {
    let (requests, share) = (trial.requests(), trial.design().share * 100.0);
    let both = requests.candidate + requests.stable;
    let part = if both > 0.0 { requests.candidate / both * 100.0 } else { 0.0 };
    format!("the candidate got {part:.2} % of {both:.0} requests, not {share:.2} %")
}

/// The effect in words, such as `+12.3 % (-1.0 % to +30.2 %)`.
fn in_words(effect: &Effect) -> String {
    let one = |number: Option<f64>, none: &str| match (number, effect.of) {
        (None, _) => none.to_owned(),
        (Some(part), Measure::Relative) => format!("{:+.1} %", part * 100.0),
        (Some(difference), Measure::Difference) => format!("{difference:+.4}"),
    };
    let (lower, upper) = (one(effect.lower, "no lower end"), one(effect.upper, "no upper end"));
    format!("{} ({lower} to {upper})", one(effect.estimate, "not known"))
}
