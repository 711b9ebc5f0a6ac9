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
    /// What a sandbox shows when nothing else is asked for: `lambda:us-east-1/fraud@prod`, stable at version 2, with a
    /// version 3 that is as good.
    #[must_use]
    pub fn default_world() -> Self {
        let revisions = ["1", "2", "3"].map(|version| (version.to_owned(), Behaviour { error_rate: 0.002 }));
        let service =
            Service { requests_per_second: 50.0, stable: "2".to_owned(), revisions: BTreeMap::from(revisions) };
        Self { seed: 0, targets: BTreeMap::from([("lambda:us-east-1/fraud@prod".to_owned(), service)]) }
    }

    /// The targets that can be read as such.
    pub fn parsed_targets(&self) -> impl Iterator<Item = (Target, &Service)> {
        self.targets.iter().filter_map(|(uri, service)| Some((uri.parse().ok()?, service)))
    }
}
