//! How a revision answers at some moment.

use std::time::Duration;

use rand::RngExt as _;
use rand_distr::{Binomial, Distribution as _, StandardNormal};
use rand_pcg::Pcg64Mcg;

use super::counters::{Counters, SCORE_BOUNDS};
use super::histogram::{bin, value};
use crate::scenario::{Behaviour, Score};

/// The 95th percentile of the standard normal distribution.
const Z95: f64 = 1.644_853_626_951_472_7;

/// How many values a distribution of scores is made of.
const SCORES: usize = 1024;

/// How a revision answers, some time after it first got traffic.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answers {
    error_rate: f64,
    error_cluster: f64,
    /// Of the logarithm of seconds.
    mean: f64,
    deviation: f64,
    cold_share: f64,
    cold_extra: f64,
    gco2e: f64,
    conversion_rate: f64,
}

/// Whether the last request failed, where failures come in clusters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chain {
    failing: Option<bool>,
}

fn hours(time: Duration) -> f64 {
    time.as_secs_f64() / 3600.0
}

fn share(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) }
}

impl Answers {
    /// `age` after the revision first got traffic.
    pub(super) fn at(behaviour: &Behaviour, age: Duration) -> Self {
        let leaking = behaviour.leak.map(|leak| (leak, hours(age.saturating_sub(leak.after))));
        let error_rate = behaviour.error_rate + leaking.map_or(0.0, |(leak, time)| leak.error_rate_per_hour * time);
        let slower = 1.0 + leaking.map_or(0.0, |(leak, time)| leak.latency_per_hour * time);
        let median = behaviour.latency.median.as_secs_f64().max(1e-5);
        let ratio = behaviour.latency.p95.as_secs_f64() / median;
        let (cold_share, cold_extra) = behaviour.cold_start.map_or((0.0, 0.0), |cold| {
            (if age < cold.first { 1.0 } else { share(cold.share) }, cold.extra.as_secs_f64())
        });
        Self {
            error_rate: share(error_rate),
            error_cluster: behaviour.error_cluster.max(1.0),
            mean: (median * slower.max(1e-9)).ln(),
            deviation: ratio.max(1.0).ln() / Z95,
            cold_share,
            cold_extra,
            gco2e: behaviour.gco2e.max(0.0),
            conversion_rate: share(behaviour.conversion_rate),
        }
    }

    /// Answers `requests` and counts them, their latencies also in `bins` when there are any.
    pub(super) fn answer(
        &self,
        requests: u64,
        chain: &mut Chain,
        scores: Option<&Scores>,
        draws: &mut Pcg64Mcg,
        mut bins: Option<&mut [u32]>,
    ) -> Counters {
        let mut counters = Counters { requests, errors: self.errors(requests, chain, draws), ..Counters::default() };
        for _ in 0..requests {
            let normal: f64 = StandardNormal.sample(draws);
            let mut ln = self.mean + self.deviation * normal;
            if self.cold_share > 0.0 && draws.random::<f64>() < self.cold_share {
                ln = (ln.exp() + self.cold_extra).ln();
            }
            let bin = bin(ln);
            let (seconds, bucket) = value(bin);
            counters.latency_seconds += seconds;
            if let Some(count) = counters.latency.get_mut(bucket) {
                *count += 1;
            }
            if let Some(count) = bins.as_deref_mut().and_then(|bins| bins.get_mut(bin)) {
                *count += 1;
            }
            if let Some(scores) = scores {
                let (score, bucket) = scores.draw(draws);
                counters.scores += score;
                if let Some(count) = counters.score.get_mut(bucket) {
                    *count += 1;
                }
            }
        }
        counters.conversions = binomial(requests - counters.errors, self.conversion_rate, draws);
        // A tenth more or less each, so that the average is never quite the same.
        let noise: f64 = StandardNormal.sample(draws);
        counters.gco2e_grams = self.gco2e * (requests as f64 + 0.1 * (requests as f64).sqrt() * noise).max(0.0);
        counters
    }

    /// Failures in clusters are a chain with two states: those of a cluster have a geometric length with mean
    /// `error_cluster`, and the share of failing requests is `error_rate` all the same.
    fn errors(&self, requests: u64, chain: &mut Chain, draws: &mut Pcg64Mcg) -> u64 {
        if self.error_cluster <= 1.0 || self.error_rate >= 1.0 {
            return binomial(requests, self.error_rate, draws);
        }
        let recover = 1.0 / self.error_cluster;
        let fail = (recover * self.error_rate / (1.0 - self.error_rate)).min(1.0);
        let mut errors = 0;
        for _ in 0..requests {
            let draw: f64 = draws.random();
            let failing = match chain.failing {
                None => draw < self.error_rate,
                Some(true) => draw >= recover,
                Some(false) => draw < fail,
            };
            chain.failing = Some(failing);
            errors += u64::from(failing);
        }
        errors
    }
}

impl Chain {
    /// Nothing is known of the last request.
    pub(super) const fn new() -> Self {
        Self { failing: None }
    }
}

pub(super) fn binomial(requests: u64, share: f64, draws: &mut Pcg64Mcg) -> u64 {
    Binomial::new(requests, share).map_or(0, |distribution| distribution.sample(draws).min(requests))
}

/// A beta distribution, as equally likely values.
#[derive(Clone, Debug)]
pub(super) struct Scores {
    values: Vec<(f64, usize)>,
}

impl Scores {
    /// `age` after the revision first got traffic.
    pub(super) fn at(score: &Score, age: Duration) -> Self {
        let mean = (score.mean + score.drift_per_hour * hours(age)).clamp(0.01, 0.99);
        let variance = (score.sd * score.sd).clamp(1e-6, mean * (1.0 - mean) * 0.81);
        let both = mean * (1.0 - mean) / variance - 1.0;
        let (a, b) = (mean * both, (1.0 - mean) * both);
        // The density, without its factor, in the middle of narrow cells; in logarithms, for it may be huge.
        let cells = 4096;
        let place = |cell: usize| (cell as f64 + 0.5) / cells as f64;
        let log = |x: f64| (a - 1.0) * x.ln() + (b - 1.0) * (1.0 - x).ln();
        let largest = (0..cells).map(place).map(log).fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = (0..cells).map(place).map(|x| (log(x) - largest).exp()).collect();
        let total: f64 = weights.iter().sum();
        let mut values = Vec::with_capacity(SCORES);
        let mut below = 0.0;
        for (cell, weight) in weights.iter().enumerate() {
            // Where the wanted quantiles lie within the cell.
            while values.len() < SCORES {
                let wanted = (values.len() as f64 + 0.5) / SCORES as f64 * total;
                if wanted > below + weight {
                    break;
                }
                let score = (cell as f64 + (wanted - below) / weight) / cells as f64;
                values.push((score, SCORE_BOUNDS.partition_point(|bound| *bound < score)));
            }
            below += weight;
        }
        Self { values }
    }

    #[inline]
    fn draw(&self, draws: &mut Pcg64Mcg) -> (f64, usize) {
        let place = draws.random::<u32>() as usize % SCORES;
        self.values.get(place).copied().unwrap_or((0.0, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::chance::Key;
    use super::*;
    use crate::scenario::Leak;

    #[test]
    fn scores_have_the_mean_and_the_deviation_that_was_asked_for() {
        for (mean, sd) in [(0.3, 0.1), (0.5, 0.4), (0.02, 0.01), (0.9, 0.05)] {
            let scores = Scores::at(&Score { mean, sd, drift_per_hour: 0.0 }, Duration::ZERO);
            assert_eq!(scores.values.len(), SCORES);
            let found = scores.values.iter().map(|(score, _)| score).sum::<f64>() / SCORES as f64;
            let square = scores.values.iter().map(|(score, _)| (score - found).powi(2)).sum::<f64>() / SCORES as f64;
            assert!((found - mean).abs() < 0.003 && (square.sqrt() / sd - 1.0).abs() < 0.03, "{mean} {found} {square}");
        }
        let drifting = Score { mean: 0.3, sd: 0.1, drift_per_hour: 0.2 };
        let later = Scores::at(&drifting, Duration::from_secs(3600));
        assert!((later.values.iter().map(|(score, _)| score).sum::<f64>() / SCORES as f64 - 0.5).abs() < 0.003);
    }

    #[test]
    fn clusters_change_how_errors_come_and_not_how_many() {
        let mut behaviour = Behaviour { error_rate: 0.02, ..Behaviour::default() };
        let variance_and_mean = |behaviour: &Behaviour| {
            let answers = Answers::at(behaviour, Duration::ZERO);
            let mut draws = Key::new(3).draws();
            let mut chain = Chain::new();
            let errors: Vec<f64> = (0..5000).map(|_| answers.errors(200, &mut chain, &mut draws) as f64).collect();
            let mean = errors.iter().sum::<f64>() / 5000.0;
            (errors.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / 5000.0, mean)
        };
        let (alone, mean) = variance_and_mean(&behaviour);
        assert!((mean - 4.0).abs() < 0.2 && (alone / mean - 1.0).abs() < 0.2, "{mean} {alone}");
        behaviour.error_cluster = 5.0;
        let (clustered, mean) = variance_and_mean(&behaviour);
        // Runs of geometric length with mean c: a variance of about 2 c - 1 times the mean.
        assert!((mean - 4.0).abs() < 0.4 && (clustered / mean - 9.0).abs() < 2.0, "{mean} {clustered}");
    }

    #[test]
    fn a_leak_grows_after_its_time() {
        let leak = Leak { after: Duration::from_secs(600), error_rate_per_hour: 0.1, latency_per_hour: 1.0 };
        let behaviour = Behaviour { leak: Some(leak), ..Behaviour::default() };
        let fresh = Answers::at(&behaviour, Duration::from_secs(600));
        let old = Answers::at(&behaviour, Duration::from_secs(600 + 3600));
        assert_eq!((fresh.error_rate, old.error_rate), (0.0, 0.1));
        assert!(((old.mean - fresh.mean).exp() - 2.0).abs() < 1e-9);
    }
}
