//! The built-in metrics of Cloud Run, and how their series answer a query.

use mlroll_backend::{Query, Resource, Sample, Why};

use super::wire::{Series, Value};

/// A built-in metric, as it is stored: what one request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Metric {
    Count,
    Latencies,
    Pending,
    Startup,
    /// How much of a resource each container uses.
    Used(Resource),
}

/// How a metric is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    /// Its name below `run.googleapis.com/` (Google's list of metrics).
    pub(super) name: &'static str,
    pub(super) aligner: &'static str,
    pub(super) reducer: &'static str,
    pub(super) group_by: &'static [&'static str],
}

const REVISION: &str = "resource.labels.revision_name";

impl Metric {
    /// Where a query is answered; nowhere for what is not built in.
    pub(super) const fn of(query: &Query) -> Option<Self> {
        match query {
            Query::ErrorRate | Query::Requests => Some(Self::Count),
            Query::Headroom(resource) => Some(Self::Used(*resource)),
            Query::InstanceStartup => Some(Self::Startup),
            Query::Latency | Query::Quantile(_) => Some(Self::Latencies),
            Query::PendingRequests => Some(Self::Pending),
            Query::Alarms(_) | Query::Custom(_) | Query::Ratio { .. } | Query::Scores(_) | Query::Stratified { .. } => {
                None
            }
        }
    }

    pub(super) fn kept(self) -> Kept {
        let sum = |name| Kept { name, aligner: "ALIGN_DELTA", reducer: "REDUCE_SUM", group_by: &[REVISION] };
        // Utilizations are spread over containers and moments. The highest percentile that there is stands for the fullest.
        let full = |name| Kept { reducer: "REDUCE_PERCENTILE_99", ..sum(name) };
        match self {
            Self::Count => Kept { group_by: &[REVISION, "metric.labels.response_code_class"], ..sum("request_count") },
            Self::Latencies => sum("request_latencies"),
            // A gauge: the most at any moment.
            Self::Pending => {
                Kept { aligner: "ALIGN_MAX", reducer: "REDUCE_MAX", ..sum("pending_queue/pending_requests") }
            }
            Self::Startup => sum("container/startup_latencies"),
            Self::Used(Resource::Cpu) => full("container/cpu/utilizations"),
            Self::Used(Resource::Gpu) => full("container/gpu/utilizations"),
            Self::Used(Resource::GpuMemory) => full("container/gpu/memory_utilizations"),
            Self::Used(Resource::Memory) => full("container/memory/utilizations"),
        }
    }

    /// What its series of one revision, in one window, say to the query; nothing when there are none.
    pub(super) fn sample(self, query: &Query, found: &[(&Series, &Value)]) -> Option<Sample> {
        let inconsistent = |what: &str| Sample::NoData(Why::Inconsistent { found: what.to_owned() });
        if self == Self::Count {
            return count(query, found);
        }
        let value = match found {
            [] => return None,
            [(_, value)] => *value,
            several => return Some(Sample::NoData(Why::SeveralSeries { count: several.len() })),
        };
        let number = |unit: fn(f64) -> f64| match value.number() {
            Some(number) => Some(Sample::value(unit(number))),
            None => Some(inconsistent("a distribution in place of a number")),
        };
        match (self, &value.distribution_value) {
            (Self::Count, _) => None,
            (Self::Latencies, Some(distribution)) => Some(distribution.latencies()),
            (Self::Startup, Some(distribution)) => distribution.mean().map(|mean| Sample::value(mean / 1000.0)),
            (Self::Latencies | Self::Startup, None) => Some(inconsistent("latencies that are no distribution")),
            (Self::Pending, _) => number(|waiting| waiting),
            (Self::Used(_), _) => number(|used| 1.0 - used),
        }
    }
}

fn count(query: &Query, found: &[(&Series, &Value)]) -> Option<Sample> {
    if found.is_empty() {
        return None;
    }
    let (mut requests, mut errors) = (0.0, 0.0);
    for (series, value) in found {
        let Some(count) = value.number() else {
            return Some(Sample::NoData(Why::Inconsistent { found: "a count that is no number".to_owned() }));
        };
        requests += count;
        if series.is_server_error() {
            errors += count;
        }
    }
    Some(if *query == Query::Requests { Sample::value(requests) } else { Sample::counts(requests, errors) })
}
