//! The engine against a simulated provider, on a virtual clock.
//!
//! - `world`: the provider, its faults, the metric store and the time
//! - `scenario`: what happens to a rollout, generated
//! - `watchdog`: the invariants, checked at every step
//! - `invariants`, `bakes`, `capacity`, `traps`, `taken_back`, `starts`: the tests

mod bakes;
mod capacity;
mod invariants;
mod scenario;
mod starts;
mod taken_back;
mod traps;
mod watchdog;
mod world;

use std::time::Duration;

use mlroll_backend::{RevisionId, Timestamp, Weight};

use super::{Experiment, Kind, Plan, Reaction, Terms};

const NOW: i64 = 1_795_230_000;

fn id(text: &str) -> RevisionId {
    text.parse().unwrap()
}

fn weight(basis_points: u16) -> Weight {
    Weight::from_basis_points(basis_points).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(NOW + seconds).unwrap()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Two steps and the promotion; looks of a minute, of which a bake has five and needs three.
fn terms() -> Terms {
    Terms {
        id: "01JENGINE".to_owned(),
        kind: Kind::Rollout,
        stable: id("41"),
        candidate: id("42"),
        previous: Some(id("40")),
        steps: vec![weight(500), weight(5000), Weight::FULL],
        bake: secs(360),
        judged: true,
        warm_up: secs(60),
        min_bake: secs(240),
        look: secs(60),
        settle_delay: secs(30),
        kept: None,
        watch_after: Duration::ZERO,
        alpha: 0.01,
        beta: 0.05,
        on_fail: Reaction::Rollback,
        on_inconclusive: Reaction::Rollback,
        on_starved: Reaction::Rollback,
        no_data_budget: secs(180),
        settle_timeout: secs(120),
        note_limit: 256,
        overtakes: true,
        capacity: false,
        restores_when_halted: true,
        experiment: None,
        score: None,
    }
}

/// What an experiment is about.
fn about() -> Experiment {
    Experiment { metric: "error_rate".to_owned(), alpha: 0.05, size: None, effect: 0.1 }
}

fn plan(terms: Terms) -> Plan {
    Plan::new(terms, weight(1)).unwrap()
}
