//! What the metric store tells of a service before a run: how much traffic, and how many of it are events.

use mlroll_backend::{MetricSource, Target, Timestamp, Usage};

use super::Standing;
use super::bench::{history, is_open};
use crate::failure::Failure;
use crate::foresight::counts;
use crate::judge::counts::Counts;
use crate::judge::gate::Gate;
use crate::judge::panel::{Prelude, unusable};
use crate::rollout::engine::Plan;

/// What was measured for one gate on stable's windows before the bake.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// What a run would measure and freeze.
    pub prelude: Prelude,
    /// Whether an alarm of it is open.
    pub open: bool,
    /// Windows that had an answer.
    pub windows: usize,
    /// Stable's requests in a window; `None` where the gate counts none.
    pub requests: Option<f64>,
    /// The share of them that are events; `None` without a request.
    pub base_rate: Option<f64>,
    /// What is wrong with all that was there of it.
    pub unusable: Option<String>,
}

/// What a run asks of a store that bills its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bill {
    /// Before its first shift.
    pub opening: Usage,
    /// For each look.
    pub look: Usage,
}

/// What was measured before a run, and what it cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measurements {
    /// One entry a gate; empty when the store was not asked.
    pub gates: Vec<Measured>,
    /// `None` where nobody bills it.
    pub bill: Option<Bill>,
}

/// Asks the store what a run would ask it before its first shift. `alone_since` is since when stable has had all traffic, where it has.
///
/// # Errors
/// What would stop the run, too: a query cannot work, the store cannot be reached, or the gates cannot judge together.
pub async fn measure(
    source: &dyn MetricSource,
    gates: &[Gate],
    plan: &Plan,
    target: &Target,
    alone_since: Option<Timestamp>,
    now: Timestamp,
) -> Result<Measurements, Failure> {
    let before = source.usage().unwrap_or_default();
    let found = history(source, gates, plan, target, alone_since, now).await?;
    let asked = gates.iter().zip(&found.samples).zip(&found.queries);
    let preludes: Vec<Prelude> =
        asked.map(|((gate, of), query)| Prelude::of(gate, of).with_caveat(source.caveat(query))).collect();
    Standing::new(gates.iter().cloned().zip(preludes.iter().copied()).collect(), plan).map_err(Failure::usage)?;
    let measured = gates.iter().zip(preludes).zip(&found.samples).map(|((gate, prelude), samples)| {
        let windows: Vec<Counts> = samples.iter().filter_map(|sample| counts(gate, prelude, sample)).collect();
        let sum = windows.iter().fold(Counts::NONE, |sum, window| sum.plus(*window));
        let requests = (!windows.is_empty()).then(|| sum.requests() / windows.len() as f64);
        let base_rate = (sum.requests() > 0.0).then(|| sum.events() / sum.requests());
        let unusable = unusable(samples).map(str::to_owned);
        Measured { prelude, open: is_open(gate, samples), windows: windows.len(), requests, base_rate, unusable }
    });
    let opening = source.usage().map(|now| now.since(before));
    let bill = opening.zip(found.look).map(|(opening, look)| Bill { opening, look });
    Ok(Measurements { gates: measured.collect(), bill })
}
