//! What a sandbox is made of: targets, their revisions and users; read from TOML.

use std::collections::BTreeMap;

use mlroll_backend::Target;
use serde::Deserialize;

/// A world to be simulated.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What all chance is drawn from.
    #[serde(default)]
    pub seed: u64,
    /// The targets, by their URIs.
    #[serde(default)]
    pub targets: BTreeMap<String, Service>,
}

/// A target and those who use it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Requests that arrive in a second, on average.
    pub requests_per_second: f64,
    /// The revision that gets all of them at first.
    pub stable: String,
    /// All revisions, by name, with how each behaves.
    pub revisions: BTreeMap<String, Behaviour>,
}

/// How a revision answers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Behaviour {
    /// The share of requests that fail.
    #[serde(default)]
    pub error_rate: f64,
}

impl Scenario {
    /// The targets that can be read as such.
    pub fn parsed_targets(&self) -> impl Iterator<Item = (Target, &Service)> {
        self.targets.iter().filter_map(|(uri, service)| Some((uri.parse().ok()?, service)))
    }
}
