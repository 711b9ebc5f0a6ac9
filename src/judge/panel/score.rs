//! Kayenta's score in place of the single words of the gates that it judges (docs/judge.md section 2).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::seat::Seat;
use crate::judge::kayenta_score::{Group, score};

/// What the score decides, and how groups weigh in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scoring {
    /// From here on it is a pass, 0 to 100.
    pub pass: f64,
    /// Below, it is a fail; 0 to `pass`.
    pub marginal: f64,
    /// The weights of groups, which sum to 100 at most; the other groups share what is left.
    pub weights: BTreeMap<String, f64>,
}

/// The score so far. Serializes exactly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scored {
    scoring: Scoring,
    /// That of this stage, once it is over.
    latest: Option<f64>,
    fails: bool,
}

impl Scored {
    /// Before any stage.
    ///
    /// # Errors
    /// Its numbers make no sense, or it weighs what there is not.
    pub(super) fn new(scoring: Scoring, seats: &[Seat]) -> Result<Self, String> {
        let Scoring { pass, marginal, weights } = &scoring;
        if !(0.0..=*pass).contains(marginal) || *pass > 100.0 {
            return Err(format!("kayenta: 0 <= marginal <= pass <= 100, not {marginal} and {pass}"));
        }
        let mut groups = judged(seats).map(|seat| seat.gate().group().unwrap_or_default()).peekable();
        if groups.peek().is_none() {
            return Err("kayenta: there is nothing to score: no critical gate has judge = \"kayenta\"".to_owned());
        }
        let groups: Vec<&str> = groups.collect();
        if let Some(unknown) = weights.keys().find(|name| !groups.contains(&name.as_str())) {
            return Err(format!("kayenta: weights: no gate is of group `{unknown}`"));
        }
        let sum: f64 = weights.values().sum();
        if !(0.0..=100.0 + 1e-9).contains(&sum) || weights.values().any(|weight| *weight < 0.0) {
            return Err(format!("kayenta: weights are from 0, and 100 together at most, not {sum}"));
        }
        Ok(Self { scoring, latest: None, fails: false })
    }

    /// A stage begins.
    pub(super) fn begin(&mut self) {
        self.latest = None;
    }

    /// A stage is over, and each gate was judged.
    pub(super) fn conclude(&mut self, seats: &[Seat]) {
        let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
        for (seat, said) in judged(seats).filter_map(|seat| Some((seat, seat.kayenta()?))) {
            let empty = || Group { weight: 0.0, metrics: Vec::new() };
            groups.entry(seat.gate().group().unwrap_or_default()).or_insert_with(empty).metrics.push(said.metric);
        }
        let weights = &self.scoring.weights;
        let others = groups.keys().filter(|name| !weights.contains_key(**name)).count().max(1) as f64;
        let rest = (100.0 - weights.values().sum::<f64>()).max(0.0) / others;
        for (name, group) in &mut groups {
            group.weight = weights.get(*name).copied().unwrap_or(rest);
        }
        let score = score(&groups.into_values().collect::<Vec<_>>());
        self.fails |= score < self.scoring.marginal;
        self.latest = Some(score);
    }

    pub(super) const fn fails(&self) -> bool {
        self.fails
    }

    pub(super) fn passes(&self) -> bool {
        self.latest.is_some_and(|score| score >= self.scoring.pass)
    }

    /// For people.
    pub(super) fn words(&self) -> String {
        let Scoring { pass, marginal, .. } = self.scoring;
        match self.latest {
            Some(score) => format!("score {score:.1}, marginal {marginal}, pass {pass}"),
            None => format!("no score before the end of the step, marginal {marginal}, pass {pass}"),
        }
    }
}

/// Who is in the score.
pub(super) fn is_judged(seat: &Seat) -> bool {
    seat.gate().is_kayenta() && !seat.gate().is_advisory()
}

fn judged(seats: &[Seat]) -> impl Iterator<Item = &Seat> {
    seats.iter().filter(|seat| is_judged(seat))
}
