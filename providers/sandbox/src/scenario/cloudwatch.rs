//! CloudWatch in a scenario.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::Alarm;
use super::units::{share, span};

/// How CloudWatch publishes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CloudWatch {
    /// How long after a request its part of a point can be read: until then the point lacks it.
    #[serde(deserialize_with = "span")]
    pub delay: Duration,
    /// The share of one-minute points that get their last part up to ten minutes later still.
    #[serde(deserialize_with = "share")]
    pub late: f64,
    /// The share of results that say `InternalError` in place of data; asked again a second later, chance decides anew.
    #[serde(deserialize_with = "share")]
    pub internal_error: f64,
    /// The most points in one page of an answer, less than AWS' own limit of 100,800.
    pub page: Option<usize>,
    /// What it can tell of latencies.
    pub latencies: Latencies,
    /// Of which requests to a Lambda alias it tells the version that served them.
    pub versions: Versions,
    /// Alarms, by name.
    pub alarms: BTreeMap<String, Alarm>,
}

/// What CloudWatch can tell of latencies, which depends on how they were published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Latencies {
    /// Everything: they were published as single values.
    #[default]
    Counted,
    /// Percentiles, and nothing of those within bounds.
    Percentiles,
    /// Count, sum, least and largest: they were published as statistic sets.
    Sums,
}

/// Of which requests to a Lambda alias CloudWatch has series by `ExecutedVersion`. What AWS does is not documented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Versions {
    /// Of all.
    #[default]
    Always,
    /// Of none.
    Never,
    /// Of those that came while two versions shared the traffic.
    Shared,
}

impl Default for CloudWatch {
    fn default() -> Self {
        Self {
            delay: Duration::from_secs(60),
            late: 0.0,
            internal_error: 0.0,
            page: None,
            latencies: Latencies::default(),
            versions: Versions::default(),
            alarms: BTreeMap::new(),
        }
    }
}
