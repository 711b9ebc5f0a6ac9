//! What measures traffic.

use std::fmt::{self, Debug};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{Result, RevisionId, Sample, Target, Window};

/// What to measure.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Query {
    /// Any query of the source in its own language, with `{{revision}}` and `{{window}}` filled in; answered by one
    /// number in a unit that only its author knows: [`Sample::Value`].
    Custom(String),
    /// Requests, and the failed ones among them: [`Sample::Counts`].
    ErrorRate,
    /// How long requests took, in seconds: [`Sample::Histogram`].
    Latency,
    /// How many requests there were: [`Sample::Value`].
    Requests,
}

impl Query {
    /// The name of the metric in `mlroll.toml` and JSON.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Custom(_) => "custom",
            Self::ErrorRate => "error_rate",
            Self::Latency => "latency",
            Self::Requests => "requests",
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Whose traffic is measured.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// The target it is a revision of.
    pub target: Target,
    /// The revision.
    pub revision: RevisionId,
}

/// A store of metrics.
///
/// Adapters never loop over failures, sleep, print or read the environment; retries are the transport's. Nobody but the
/// caller knows what time it is: windows are closed and at least [`settle_delay`](Self::settle_delay) past.
#[async_trait]
pub trait MetricSource: Debug + Send + Sync {
    /// Answers every query for every subject over every window.
    ///
    /// # Behaviour
    /// - One sample for each combination, by query, then subject, then window: query `q`, subject `s` and window `w` are at
    ///   `(q * subjects.len() + s) * windows.len() + w`.
    /// - In as few requests as the store allows.
    /// - What cannot be used is [`Sample::NoData`] with its reason, and never zero: an empty, partial or stale answer, one
    ///   that is not a number, and also a request that failed after all retries. So one broken query costs one sample.
    /// - The same window asked again later may be answered differently: what was used once must not be asked again.
    ///
    /// # Errors
    /// `Invalid` or `Unsupported`, before anything is sent: a query this source is not set up for. What fails on the wire is
    /// in the samples.
    async fn sample(&self, queries: &[Query], subjects: &[Subject], windows: &[Window]) -> Result<Vec<Sample>>;

    /// Asks every query once for every subject, before traffic moves, so that one that cannot work is found at no risk.
    ///
    /// # Behaviour
    /// - Samples as from [`sample`](Self::sample) with this one window. A candidate without traffic has no data yet: that
    ///   is no error here.
    ///
    /// # Errors
    /// The first request that failed: `Invalid` for a query that the store refuses or that answers with something else
    /// than asked for, `Auth`, `NotFound`, `Throttled`, `Unavailable`, `Unexpected`.
    async fn check(&self, queries: &[Query], subjects: &[Subject], window: Window) -> Result<Vec<Sample>>;

    /// Finds out what [`settle_delay`](Self::settle_delay) depends on, such as how long a function may run. Not needed by
    /// sources that depend on nothing.
    ///
    /// # Errors
    /// As [`check`](Self::check); the delay is then what is known without it.
    async fn learn(&self, subjects: &[Subject]) -> Result<()> {
        let _ = subjects;
        Ok(())
    }

    /// How long after its end a window of `query` for `subject` is complete in the store.
    fn settle_delay(&self, query: &Query, subject: &Subject) -> Duration;
}
