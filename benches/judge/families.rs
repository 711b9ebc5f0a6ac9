//! Simulated rollouts: healthy ones of every family that could fool a judge, and broken ones (docs/judge.md section 6).

use super::judge::batch::Batch;
use super::judge::counts::Counts;
use super::judge::design_effect::DesignEffect;
use super::judge::evidence::{CountLook, SeriesEvidence};
use super::judge::gate::{CountRule, Gate, Rule};
use super::judge::series::{MOST_AUTOCORRELATION, lag_1};

/// Looks of a rollout: an hour of half minutes.
pub(crate) const LOOKS: u64 = 120;

/// Requests of candidate and stable in a look: 100 a second at a 10 % split.
const SPLIT: (f64, f64) = (300.0, 2700.0);

/// The rate of both revisions of a healthy rollout.
const BASE: f64 = 0.01;

/// What FAIL and PASS are in the simulations.
pub(crate) const GATE: &str =
    r#"{"metric": "error_rate", "fail": {"ratio": 1.0, "abs": 0}, "pass": {"ratio": 1.5, "abs": 0.001}}"#;

/// What the errors of a healthy rollout look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// The rate of both wanders, AR(1) 0.6 on its logarithm.
    Autocorrelated,
    /// Errors come in geometric clusters of mean 3; their design effect is measured on 40 windows before the bake.
    Bursty,
    /// The rate of both goes up and down by a factor of 3.
    DailyCycle,
    /// A varying part of each window's errors, of both, is stored one window late, while the rate goes up and down.
    Delayed,
    /// A constant rate.
    Independent,
    /// The split goes 1, 10, 50 % while the rate of both goes 1 : 2 : 3.
    Ramped,
}

/// xorshift64*: enough for a simulation, the same on every machine.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn poisson(&mut self, mean: f64) -> f64 {
        let (mut count, mut term, mut left) = (0.0, (-mean).exp(), self.unit());
        while left > term && count < 1000.0 {
            left -= term;
            count += 1.0;
            term *= mean / count;
        }
        count
    }

    /// Box and Muller.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Events in geometric clusters of mean 3.
    fn clustered(&mut self, mean: f64) -> f64 {
        let clusters = self.poisson(mean / 3.0) as u64;
        let size = |dice: &mut Self| 1.0 + ((1.0 - dice.unit()).ln() / (2.0f64 / 3.0).ln()).floor();
        (0..clusters).map(|_| size(self)).sum()
    }
}

/// The binomial distribution, by its cumulated probabilities.
#[derive(Debug)]
pub(crate) struct Binomial(Vec<f64>);

impl Binomial {
    pub(crate) fn new(n: f64, p: f64) -> Self {
        let (mut sum, mut term, mut cumulated) = (0.0, (n * (-p).ln_1p()).exp(), Vec::new());
        let mut k = 0.0;
        while k <= n && (sum < 1.0 - 1e-12 || k < n * p) {
            sum += term;
            cumulated.push(sum);
            term *= (n - k) / (k + 1.0) * p / (1.0 - p);
            k += 1.0;
        }
        Self(cumulated)
    }

    pub(crate) fn draw(&self, dice: &mut Dice) -> f64 {
        let u = dice.unit();
        self.0.partition_point(|cumulated| *cumulated < u) as f64
    }
}

pub(crate) fn rule(json: &str) -> CountRule {
    let gate: Gate = serde_json::from_str(json).unwrap();
    let Rule::Count(rule) = gate.rule() else { unreachable!() };
    *rule
}

fn counts(requests: f64, events: f64) -> Counts {
    Counts::new(requests, events.min(requests)).unwrap()
}

/// The looks of a healthy rollout.
fn healthy(family: Family, dice: &mut Dice, into: &mut Vec<CountLook>) {
    into.clear();
    let (mut wander, mut late) = (0.0, (0.0, 0.0));
    for look in 0..LOOKS {
        let cycle = 3.0f64.powf((std::f64::consts::TAU * look as f64 / 60.0).sin());
        wander = 0.6 * wander + 0.8 * dice.normal();
        let ((n_c, n_b), rate) = match family {
            Family::Autocorrelated => (SPLIT, BASE * (0.5 * wander).exp()),
            Family::Bursty | Family::Independent => (SPLIT, BASE),
            Family::DailyCycle | Family::Delayed => (SPLIT, BASE * cycle),
            Family::Ramped => match look * 3 / LOOKS {
                0 => ((30.0, 2970.0), 0.005),
                1 => ((300.0, 2700.0), 0.01),
                _ => ((1500.0, 1500.0), 0.015),
            },
        };
        let (x_c, x_b) = match family {
            Family::Bursty => (dice.clustered(n_c * rate), dice.clustered(n_b * rate)),
            Family::Delayed => {
                let on_time = 0.3 + 0.7 * dice.unit();
                let now = (dice.poisson(n_c * rate * on_time), dice.poisson(n_b * rate * on_time));
                let seen = (now.0 + late.0, now.1 + late.1);
                late = (dice.poisson(n_c * rate * (1.0 - on_time)), dice.poisson(n_b * rate * (1.0 - on_time)));
                seen
            }
            Family::Autocorrelated | Family::DailyCycle | Family::Independent | Family::Ramped => {
                (dice.poisson(n_c * rate), dice.poisson(n_b * rate))
            }
        };
        into.push(CountLook::exact(counts(n_c, x_c), counts(n_b, x_b)));
    }
}

/// How many of `rollouts` healthy ones are rolled back at `alpha`.
pub(crate) fn false_rollbacks(family: Family, rollouts: u32, alpha: f64, seed: u64) -> u32 {
    let (rule, mut dice) = (rule(GATE), Dice::new(seed));
    let mut batch = Batch::new(&[(rule, DesignEffect::NONE)], alpha, 0.05, LOOKS);
    let (mut looks, mut failed) = (Vec::new(), 0);
    for _ in 0..rollouts {
        if family == Family::Bursty {
            let window = |dice: &mut Dice| counts(SPLIT.1, dice.clustered(SPLIT.1 * BASE));
            let history: Vec<Counts> = (0..40).map(|_| window(&mut dice)).collect();
            let effect = DesignEffect::measure(&history).unwrap_or(DesignEffect::UNKNOWN);
            batch = Batch::new(&[(rule, effect)], alpha, 0.05, LOOKS);
        }
        healthy(family, &mut dice, &mut looks);
        failed += u32::from(batch.course_of(&looks).first_fail.is_some());
    }
    failed
}

/// What was found of many broken rollouts: the share, and the median look, if half of them were found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) share: f64,
    pub(crate) median: Option<f64>,
}

/// How soon a candidate that goes from rate `base` to `worse` is found, at alpha 0.05 and at 0.01, with `rps` requests a second
/// and a candidate's share of `split`.
pub(crate) fn detection(base: f64, worse: f64, (rps, split): (f64, f64), rollouts: u32, seed: u64) -> [Found; 2] {
    let mut dice = Dice::new(seed);
    let all = rps * 30.0;
    let (n_c, n_b) = ((all * split).round(), (all * (1.0 - split)).round());
    let (candidate, stable) = (Binomial::new(n_c, worse), Binomial::new(n_b, base));
    let mut batches = [0.05, 0.01].map(|alpha| Batch::new(&[(rule(GATE), DesignEffect::NONE)], alpha, 0.05, LOOKS));
    let mut firsts: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..rollouts {
        batches.iter_mut().for_each(Batch::begin);
        for _ in 0..LOOKS {
            let x = (candidate.draw(&mut dice), stable.draw(&mut dice));
            let look = CountLook::exact(counts(n_c, x.0), counts(n_b, x.1));
            batches.iter_mut().for_each(|batch| batch.look(&[look]));
            if batches[1].course().first_fail.is_some() {
                break;
            }
        }
        for (firsts, batch) in firsts.iter_mut().zip(&mut batches) {
            firsts.push(batch.course().first_fail.map_or(f64::INFINITY, |look| look as f64));
        }
    }
    firsts.map(|mut firsts| {
        firsts.sort_by(f64::total_cmp);
        let share = firsts.iter().filter(|look| look.is_finite()).count() as f64 / f64::from(rollouts);
        let (low, high) = (firsts[(firsts.len() - 1) / 2], firsts[firsts.len() / 2]);
        Found { share, median: Some((low + high) / 2.0).filter(|median| median.is_finite()) }
    })
}

/// How many of `rollouts` healthy series of 60 windows are rolled back at 0.01. Differences of log-values are AR(1) `phi`; the
/// autocorrelation is measured on 40 windows before, and decides whether blocks are fed.
pub(crate) fn false_series(judge: &str, phi: f64, rollouts: u32, seed: u64) -> u32 {
    let gate: Gate = serde_json::from_str(&format!(r#"{{"name": "p95", "query": "q", "judge": "{judge}"}}"#)).unwrap();
    let Rule::Series(rule) = gate.rule() else { unreachable!() };
    let mut dice = Dice::new(seed);
    let mut failed = 0;
    for _ in 0..rollouts {
        let mut noise = 0.0;
        let mut next = |dice: &mut Dice| {
            noise = phi * noise + (1.0 - phi * phi).sqrt() * dice.normal();
            0.1 * noise
        };
        let history: Vec<f64> = (0..40).map(|_| next(&mut dice)).collect();
        let blocks = lag_1(&history) > MOST_AUTOCORRELATION;
        let mut evidence = if blocks { SeriesEvidence::in_blocks(rule) } else { SeriesEvidence::new(rule) };
        for _ in 0..60 {
            evidence.look(rule, next(&mut dice).exp(), 1.0).unwrap();
            if evidence.fail().rejects(0.01) {
                failed += 1;
                break;
            }
        }
    }
    failed
}
