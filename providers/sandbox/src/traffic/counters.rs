//! What can be counted about requests.

use super::histogram::BOUNDS;

/// The bounds of the buckets of scores; the last is that of all.
pub const SCORE_BOUNDS: [f64; 10] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];

/// Sums over requests.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counters {
    /// How many there were.
    pub requests: u64,
    /// How many failed.
    pub errors: u64,
    /// How many more were turned away before anybody answered them (429).
    pub throttled: u64,
    /// How many answers somebody compared with stable's.
    pub compared: u64,
    /// How many of those were not the same.
    pub differing: u64,
    /// How many led to a sale.
    pub conversions: u64,
    /// What they cost, in grams of CO2 equivalent.
    pub gco2e_grams: f64,
    /// How long they took, in seconds.
    pub latency_seconds: f64,
    /// How many took how long: a number for each of [`BOUNDS`], not cumulative, and one for what took longer.
    pub latency: [u64; BOUNDS.len() + 1],
    /// The sum of their scores.
    pub scores: f64,
    /// How many were scored how: a number for each of [`SCORE_BOUNDS`], not cumulative.
    pub score: [u64; SCORE_BOUNDS.len()],
}

impl Counters {
    /// Adds another's requests.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.throttled += other.throttled;
        self.compared += other.compared;
        self.differing += other.differing;
        self.conversions += other.conversions;
        self.gco2e_grams += other.gco2e_grams;
        self.latency_seconds += other.latency_seconds;
        self.scores += other.scores;
        for (mine, theirs) in self.latency.iter_mut().zip(other.latency) {
            *mine += theirs;
        }
        for (mine, theirs) in self.score.iter_mut().zip(other.score) {
            *mine += theirs;
        }
    }

    /// How many were scored.
    #[must_use]
    pub fn scored(&self) -> u64 {
        self.score.iter().sum()
    }
}
