//! What measures traffic.

use std::any::Any;
use std::fmt::{self, Debug};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Result, RevisionId, Sample, Target, Timestamp, Window};

/// What to measure.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Query {
    /// Whether any of these alarms (CloudWatch alarms, Cloud Monitoring policies) was open at some time of the window: one
    /// or zero, [`Sample::Value`]. They are the store's own and about no revision; one that is missing is an error, one
    /// without data is no data.
    Alarms(Vec<String>),
    /// Any query of the source in its own language, with `{{revision}}` and `{{window}}` filled in; answered by one
    /// number in a unit that only its author knows: [`Sample::Value`].
    Custom(String),
    /// Requests, and the failed ones among them: [`Sample::Counts`].
    ErrorRate,
    /// The smallest unused share of a resource, from 0 to 1: [`Sample::Value`].
    Headroom(Resource),
    /// How long new instances took until they could serve, in seconds, the mean of the window: [`Sample::Value`]. A window
    /// without new instances is empty.
    InstanceStartup,
    /// How long requests took, in seconds: [`Sample::Histogram`].
    Latency,
    /// How many requests waited for an instance, at most: [`Sample::Value`].
    PendingRequests,
    /// How long requests took, for whoever reads one quantile of it, given in millionths: [`Sample::Histogram`], which is
    /// right at that quantile. A store with buckets answers as for [`Self::Latency`]; one that computes quantiles itself makes
    /// a bucket of it.
    Quantile(u32),
    /// Things that happened, and those among them that count (conversions among visits), each by a selector or query of the
    /// source in its own language: [`Sample::Counts`].
    Ratio {
        /// What happened.
        requests: String,
        /// What counts.
        events: String,
    },
    /// How many requests there were: [`Sample::Value`].
    Requests,
    /// The model's own outputs, by a selector or query of the source: [`Sample::Histogram`], whose bounds are scores and not
    /// seconds.
    Scores(String),
    /// Counts or a histogram of each part of the traffic: [`Sample::Strata`].
    Stratified {
        /// The label or dimension that tells the parts apart.
        by: String,
        /// What is measured of each: `ErrorRate`, `Latency` or `Ratio`.
        of: Box<Self>,
    },
}

/// What may run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Processor time.
    Cpu,
    /// Time of the accelerators.
    Gpu,
    /// Memory of the accelerators.
    GpuMemory,
    /// Memory.
    Memory,
}

impl Query {
    /// The error of a source that cannot answer it: `Unsupported`.
    #[must_use]
    pub fn unsupported(&self, operation: &'static str, store: &str) -> Error {
        Error::new(ErrorKind::Unsupported, operation, format!("{store} has nothing to answer `{self}` with"))
    }

    /// The name of the metric in `mlroll.toml` and JSON.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Alarms(_) => "alarms",
            Self::Custom(_) => "custom",
            Self::ErrorRate => "error_rate",
            Self::Headroom(Resource::Cpu) => "cpu_headroom",
            Self::Headroom(Resource::Gpu) => "gpu_headroom",
            Self::Headroom(Resource::GpuMemory) => "gpu_memory_headroom",
            Self::Headroom(Resource::Memory) => "memory_headroom",
            Self::InstanceStartup => "instance_startup",
            Self::Latency | Self::Quantile(_) => "latency",
            Self::PendingRequests => "pending_requests",
            Self::Ratio { .. } => "ratio",
            Self::Requests => "requests",
            Self::Scores(_) => "scores",
            Self::Stratified { of, .. } => of.name(),
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
    /// Since when nobody else has had traffic, as far as its caller knows; `None` where others may have a share. A store that
    /// tells revisions apart only while they share the traffic has what came since under the name of the target.
    pub alone_since: Option<Timestamp>,
}

impl Subject {
    /// A revision beside which others may have traffic.
    #[must_use]
    pub const fn new(target: Target, revision: RevisionId) -> Self {
        Self { target, revision, alone_since: None }
    }

    /// The same, beside which nobody has had traffic since a moment.
    #[must_use]
    pub fn alone(self, since: Option<Timestamp>) -> Self {
        Self { alone_since: since, ..self }
    }
}

/// How short a window of a store may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granularity {
    /// Windows shorter than this hold too few points to be judged.
    pub shortest: Duration,
    /// Why, so that it can follow "that is".
    pub because: String,
}

/// Why the numbers of a query are not quite what their author may take them for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Caveat {
    /// The store keeps averages of the percentiles of short times, and no requests: a window's is no percentile of it.
    AveragedPercentiles,
}

/// What a store that bills its answers was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Requests for data, each page one; the transport's own retries are not counted.
    pub calls: u64,
    /// Series that were asked for, in all requests together: what is billed.
    pub series: u64,
}

impl Usage {
    /// What came after `before`.
    #[must_use]
    pub const fn since(self, before: Self) -> Self {
        Self { calls: self.calls.saturating_sub(before.calls), series: self.series.saturating_sub(before.series) }
    }

    /// This, and `times` as much as `other`.
    #[must_use]
    pub const fn plus(self, other: Self, times: u64) -> Self {
        Self {
            calls: self.calls.saturating_add(other.calls.saturating_mul(times)),
            series: self.series.saturating_add(other.series.saturating_mul(times)),
        }
    }
}

/// What one of several sources of a store is asked at a moment at which others are, too.
#[derive(Clone, Copy, Debug)]
pub struct Inquiry<'a> {
    /// The source.
    pub source: &'a dyn MetricSource,
    /// As for [`MetricSource::sample`].
    pub queries: &'a [Query],
    /// As for [`MetricSource::sample`].
    pub subjects: &'a [Subject],
}

/// Writes it so that it can follow "that is".
impl fmt::Display for Caveat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AveragedPercentiles => "an average of percentiles by the minute, and no percentile of the window",
        })
    }
}

/// A store of metrics.
///
/// Adapters never loop over failures, sleep, print or read the environment; retries are the transport's. Nobody but the
/// caller knows what time it is: windows are closed and at least [`settle_delay`](Self::settle_delay) past.
#[async_trait]
pub trait MetricSource: Any + Debug + Send + Sync {
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

    /// Answers what sources of one store are asked about the same windows; `self` is one of them. Each is told what
    /// [`sample`](Self::sample) would tell it, in the order of `inquiries`.
    ///
    /// # Behaviour
    /// - A store that bills its answers is asked once for all, as far as it can be. Others are asked one after the other.
    /// - What is wrong with one inquiry is told to that one only.
    async fn sample_together(&self, inquiries: &[Inquiry<'_>], windows: &[Window]) -> Vec<Result<Vec<Sample>>> {
        one_by_one(inquiries, windows).await
    }

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

    /// Finds out what [`settle_delay`](Self::settle_delay) and [`granularity`](Self::granularity) depend on, such as how long a function
    /// may run. Not needed by sources that depend on nothing.
    ///
    /// # Errors
    /// As [`check`](Self::check); the delay is then what is known without it.
    async fn learn(&self, subjects: &[Subject]) -> Result<()> {
        let _ = subjects;
        Ok(())
    }

    /// What the store is asked about `subject` over windows of this length, in its own language and with everything filled
    /// in, for people who want to ask it again; `None` when there are no such words.
    fn words(&self, _query: &Query, _subject: &Subject, _length: Duration) -> Option<String> {
        None
    }

    /// What is to be known of the numbers that answer a query, besides their unit.
    fn caveat(&self, _query: &Query) -> Option<Caveat> {
        None
    }

    /// What was asked of the store so far; `None` when nobody bills it.
    fn usage(&self) -> Option<Usage> {
        None
    }

    /// How long after its end a window of `query` for `subject` is complete in the store.
    fn settle_delay(&self, query: &Query, subject: &Subject) -> Duration;

    /// How far back the store answers for windows of this length; `None` when further than anybody asks, or nobody can tell.
    fn kept(&self, _length: Duration) -> Option<Duration> {
        None
    }

    /// How short a window of any of `queries` for `subject` may be, by what the store has up to `until`; `None` when nobody
    /// can tell, such as of metrics that have just begun.
    ///
    /// # Errors
    /// As [`check`](Self::check), but for a store that refuses to be asked this: that is `None`.
    async fn granularity(
        &self,
        _queries: &[Query],
        _subject: &Subject,
        _until: Timestamp,
    ) -> Result<Option<Granularity>> {
        Ok(None)
    }
}

/// Answers inquiries as if each were the only one.
pub async fn one_by_one(inquiries: &[Inquiry<'_>], windows: &[Window]) -> Vec<Result<Vec<Sample>>> {
    let mut told = Vec::with_capacity(inquiries.len());
    for Inquiry { source, queries, subjects } in inquiries {
        told.push(source.sample(queries, subjects, windows).await);
    }
    told
}
