//! What the gates of a plan can see at each of its steps.

use std::time::Duration;

use mlroll_backend::Weight;
use serde::Serialize;

use super::{Effort, FinalLook, Passing, passing, power};
use crate::judge::forecast::{Load, Stakes};
use crate::rollout::engine::{Kind, Plan};

/// Shares that are proposed where the plan's own is too small, in percent.
const PROPOSED: [f64; 9] = [1.0, 2.0, 5.0, 10.0, 20.0, 25.0, 30.0, 40.0, 50.0];

/// A gate that passes a good candidate more seldom than that is warned of.
const SURE: f64 = 0.9;

/// Bakes of a good candidate that are simulated for each gate and step: half a point of chance, in some milliseconds.
const GOOD: Effort = Effort { bakes: 4_000, looks: 100_000 };

/// Looks of a bake, and requests of a look, beyond which the formula has to do: simulations of more take their time.
const MOST_LOOKS: u32 = 5_000;
const MOST_REQUESTS: f64 = 1e8;

/// The traffic that a forecast assumes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Traffic {
    /// Requests per second of both revisions together.
    pub requests_per_second: f64,
}

/// A gate that counts, and how many events stable has.
#[derive(Clone, Debug, PartialEq)]
pub struct Gated {
    /// Its name.
    pub name: String,
    /// What it decides by.
    pub stakes: Stakes,
    /// The exact test that it takes at the end of each step.
    pub final_look: Option<FinalLook>,
    /// The share of stable's requests that are events.
    pub base_rate: f64,
}

/// What is to be expected of the whole plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// Of each step below 100 %, in their order.
    pub steps: Vec<StepOutlook>,
    /// What the plan cannot do, for people.
    pub warnings: Vec<String>,
}

/// What is to be expected at one step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepOutlook {
    /// The candidate's share.
    pub percent: Weight,
    /// Its requests in all looks of the bake.
    pub requests: f64,
    /// What each counting gate sees.
    pub gates: Vec<Sight>,
}

/// What a gate sees at a step, by itself and by this step's looks alone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sight {
    /// The gate.
    pub gate: String,
    /// Stable's rate of events.
    pub base_rate: f64,
    /// The rate that it tolerates.
    pub tolerated: f64,
    /// The candidate's rate nearest to that which it fails in half of the cases before the bake ends; null: none.
    pub smallest: Option<f64>,
    /// The rate of the candidate that is told of.
    pub regressed: f64,
    /// How many times as bad as stable's that is; null where stable has none.
    pub regression: Option<f64>,
    /// The candidate's requests until it fails that one, in half of the cases; null: never.
    pub requests_to_fail: Option<f64>,
    /// Seconds from the shift until then, with warm-up, whole looks and the delay of the store.
    pub seconds_to_fail: Option<f64>,
    /// The chance that it fails that one before the bake ends.
    pub chance_to_fail: f64,
    /// The chance that it fails a candidate as good as stable before the bake ends: at most its alpha, but where stable itself is
    /// worse than it tolerates.
    pub false_alarm: f64,
    /// Users' requests that the regressed candidate gets before it is taken back, in half of the cases.
    pub exposed: Option<f64>,
    /// The chance that a candidate as good as stable passes before the bake ends.
    pub chance_to_pass: f64,
    /// Seconds from the shift until it passes, in half of the cases, however long the bake; null: never.
    pub seconds_to_pass: Option<f64>,
}

impl Outlook {
    /// Of `plan`, whose gates are to see a candidate `regression` times as bad as stable; `None`: twice as bad as each tolerates.
    #[must_use]
    pub fn of(plan: &Plan, traffic: Traffic, gates: &[Gated], regression: Option<f64>) -> Self {
        let terms = plan.terms();
        let shares: Vec<Weight> = terms.steps.iter().copied().filter(|share| *share != Weight::FULL).collect();
        let mut steps = Vec::new();
        let mut warnings = Vec::new();
        for share in &shares {
            let view = View { plan, traffic, share: share.fraction(), regression };
            let sights: Vec<Sight> = gates.iter().map(|gate| view.sight(gate)).collect();
            for (sight, gate) in sights.iter().zip(gates) {
                warnings.extend(view.blind(*share, sight, gate));
                let false_alarm = view.false_alarm(*share, sight, gate);
                // Who fails cannot pass: once is enough.
                warnings.extend(false_alarm.or_else(|| view.unsure(*share, sight, gate)));
            }
            let requests = view.load(0.0).candidate() * f64::from(plan.bake_looks());
            steps.push(StepOutlook { percent: *share, requests, gates: sights });
        }
        Self { steps, warnings }
    }
}

/// One step of a plan.
#[derive(Clone, Copy)]
struct View<'a> {
    plan: &'a Plan,
    traffic: Traffic,
    share: f64,
    regression: Option<f64>,
}

/// How many times as bad as it tolerates a candidate is that a gate is meant to catch.
const BEYOND: f64 = 2.0;

impl View<'_> {
    fn load(&self, base_rate: f64) -> Load {
        let requests = self.traffic.requests_per_second * self.plan.terms().look.as_secs_f64();
        Load { requests, share: self.share, base_rate }
    }

    fn sight(&self, gate: &Gated) -> Sight {
        let Gated { name, stakes, final_look, base_rate } = gate;
        let load = self.load(*base_rate);
        let looks = f64::from(self.plan.bake_looks());
        let tolerated = stakes.tolerated(*base_rate);
        let regressed = match self.regression {
            Some(times) => stakes.worse(*base_rate, times),
            None => stakes.worse(tolerated, BEYOND),
        };
        let available = load.candidate() * looks;
        let at_the_end = |rate: f64| final_look.map_or(0.0, |exact| exact.chance(&load, rate, looks));
        // In half of the cases: by what runs, or by the exact test after the last look.
        let to_fail = |rate: f64| match stakes.requests_to_fail(&load, rate) {
            Some(needed) if needed <= available => Some(needed),
            _ if at_the_end(rate) >= 0.5 => Some(available),
            needed => needed,
        };
        let requests_to_fail = to_fail(regressed);
        let seconds_to_fail = requests_to_fail.map(|requests| self.seconds(requests / load.candidate()));
        let (chance_to_pass, looks_to_pass) = self.good(gate, &load);
        let chance = |rate: f64| match self.is_simulated(&load) {
            true => {
                power((stakes, *final_look), &load, rate, u64::from(self.plan.bake_looks()), GOOD, 1).simulated.chance
            }
            false => stakes.chance_to_fail(&load, rate, looks).max(at_the_end(rate)),
        };
        Sight {
            gate: name.clone(),
            base_rate: *base_rate,
            tolerated,
            smallest: stakes.nearest(*base_rate, |rate| to_fail(rate).is_some_and(|needed| needed <= available)),
            regressed,
            regression: stakes.times(*base_rate, regressed),
            requests_to_fail,
            seconds_to_fail,
            chance_to_fail: chance(regressed),
            false_alarm: chance(*base_rate),
            exposed: seconds_to_fail.map(|seconds| seconds * self.traffic.requests_per_second * self.share),
            chance_to_pass,
            seconds_to_pass: looks_to_pass.map(|looks| self.seconds(looks)),
        }
    }

    fn is_simulated(&self, load: &Load) -> bool {
        self.plan.bake_looks() <= MOST_LOOKS && load.requests <= MOST_REQUESTS
    }

    /// The chance that a candidate as good as stable passes before the bake ends, and the looks until half of all such do.
    fn good(&self, gate: &Gated, load: &Load) -> (f64, Option<f64>) {
        let Gated { stakes, final_look, base_rate, .. } = gate;
        let (beta, least, looks) = (self.plan.terms().beta, self.plan.min_looks(), self.plan.bake_looks());
        let by_formula = stakes.requests_to_pass(load, *base_rate, beta).map(|needed| needed / load.candidate());
        let by_formula = by_formula.map(|needed| needed.max(f64::from(least)));
        if !self.is_simulated(load) {
            return (stakes.chance_to_pass(load, *base_rate, beta, f64::from(looks)), by_formula);
        }
        let terms = Passing { beta, least: u64::from(least) };
        let found = passing((stakes, *final_look), terms, load, *base_rate, u64::from(looks), GOOD, 1).simulated;
        // After the bake there is only the formula.
        let later = || by_formula.map(|needed| needed.max(f64::from(looks) + 1.0));
        (found.chance, found.median_look.map(|look| look as f64).or_else(later))
    }

    /// Seconds from the shift until so many looks are judged.
    fn seconds(&self, looks: f64) -> f64 {
        let terms = self.plan.terms();
        let late = terms.warm_up.as_secs_f64() + terms.settle_delay.as_secs_f64();
        late + looks.ceil().max(1.0) * terms.look.as_secs_f64()
    }

    /// Why a good candidate is taken back.
    fn false_alarm(&self, share: Weight, sight: &Sight, gate: &Gated) -> Option<String> {
        let is_beyond = !gate.stakes.tolerates(gate.base_rate, gate.base_rate);
        (is_beyond && sight.false_alarm > gate.stakes.alpha).then(|| {
            format!(
                "at {share} `{}` fails a candidate as good as stable in {} of cases: stable itself, at {}, is not what it tolerates, {}",
                sight.gate,
                percent(sight.false_alarm),
                percent(gate.base_rate),
                percent(sight.tolerated)
            )
        })
    }

    /// Why the regression stays unseen at this step, and what would show it.
    fn blind(&self, share: Weight, sight: &Sight, gate: &Gated) -> Option<String> {
        let load = self.load(gate.base_rate);
        let available = load.candidate() * f64::from(self.plan.bake_looks());
        if sight.requests_to_fail.is_some_and(|needed| needed <= available) {
            return None;
        }
        if gate.stakes.tolerates(gate.base_rate, sight.regressed) {
            return Some(format!(
                "`{}` is not meant to fail {}: it tolerates {}",
                sight.gate,
                percent(sight.regressed),
                percent(sight.tolerated)
            ));
        }
        let what = format!(
            "at {share} and {} requests/s `{}` does not see {} where it tolerates {}",
            number(self.traffic.requests_per_second),
            sight.gate,
            percent(sight.regressed),
            percent(sight.tolerated)
        );
        let Some(needed) = sight.requests_to_fail else {
            return Some(format!("{what}: no number of requests would show it"));
        };
        let looks = f64::from(self.plan.bake_looks());
        let larger = PROPOSED.into_iter().filter(|percent| *percent / 100.0 > self.share).find(|percent| {
            let load = Load { share: percent / 100.0, ..load };
            let needed = gate.stakes.requests_to_fail(&load, sight.regressed);
            needed.is_some_and(|needed| needed <= load.candidate() * looks)
        });
        let time = needed / load.candidate() * self.plan.terms().look.as_secs_f64();
        let bake = span(time + self.plan.terms().warm_up.as_secs_f64());
        let take = larger.map_or_else(String::new, |percent| format!("take {percent} %, or "));
        Some(format!("{what} within {}: it needs {}; {take}bake {bake}", humane(self.plan.terms().bake), span(time)))
    }

    /// Why even a good candidate may not pass at this step, and what would make it surer.
    fn unsure(&self, share: Weight, sight: &Sight, gate: &Gated) -> Option<String> {
        if sight.chance_to_pass >= SURE {
            return None;
        }
        let terms = self.plan.terms();
        let ends = match terms.kind {
            Kind::Canary => "the canary ends inconclusive",
            Kind::Experiment => "the experiment ends undecided",
            Kind::Rollout => "the rollout ends inconclusive",
        };
        let (bake, good) = (humane(terms.bake), "a candidate as good as stable");
        let what = if sight.chance_to_pass < 0.01 {
            format!("at {share} `{}` can hardly pass {good} within {bake}, and {ends}", sight.gate)
        } else {
            let chance = percent(sight.chance_to_pass);
            format!(
                "at {share} `{}` passes {good} within {bake} in {chance} of cases only; otherwise {ends}",
                sight.gate
            )
        };
        let (load, looks) = (self.load(gate.base_rate), f64::from(self.plan.bake_looks()));
        let Some(needed) = gate.stakes.looks_to_pass(&load, gate.base_rate, terms.beta, SURE) else {
            return Some(format!("{what}: stable itself is hardly better than what is tolerated"));
        };
        let time = needed.ceil().max(looks + 1.0) * terms.look.as_secs_f64() + terms.warm_up.as_secs_f64();
        let larger = PROPOSED.into_iter().filter(|percent| *percent / 100.0 > self.share).find(|percent| {
            let load = Load { share: percent / 100.0, ..load };
            gate.stakes.chance_to_pass(&load, gate.base_rate, terms.beta, looks) >= SURE
        });
        let take = larger.map_or_else(String::new, |percent| format!(", or take {percent} %"));
        Some(format!("{what}: bake {}{take}", span(time)))
    }
}

/// A share for people.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{} %", number(share * 100.0))
}

/// A number with three digits that matter.
#[must_use]
pub fn number(value: f64) -> String {
    let digits = if value == 0.0 { 0 } else { (2 - value.abs().log10().floor() as i32).clamp(0, 6) };
    let text = format!("{value:.*}", usize::try_from(digits).unwrap_or(0));
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A time for people, to the minute where it is long.
#[must_use]
pub fn span(seconds: f64) -> String {
    const YEAR: f64 = 365.0 * 86_400.0;
    if seconds > YEAR {
        return "more than a year".to_owned();
    }
    let step = if seconds >= 600.0 { 60.0 } else { 1.0 };
    humane(Duration::from_secs_f64((seconds.max(0.0) / step).ceil() * step))
}

fn humane(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_short() {
        for (value, text) in
            [(0.0, "0"), (0.004, "0.004"), (12.345, "12.3"), (1234.5, "1234"), (10.0, "10"), (1e-9, "0")]
        {
            assert_eq!(number(value), text);
        }
        assert_eq!(span(93_611.0), "1day 2h 1m");
        assert_eq!(span(59.2), "1m");
        assert_eq!(span(1e12), "more than a year");
    }
}
