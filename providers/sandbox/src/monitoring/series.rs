//! The series that Cloud Run publishes, and their points.

use mlroll_backend::{RevisionId, Target};

use super::distribution::Distribution;
use super::filter::{Filter, Key};
use crate::traffic::{Measured, Traffic};

/// A metric of Cloud Run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metric {
    Count,
    /// One that nothing here measures: it has no series.
    Empty,
    Latencies,
}

/// Metrics of `cloud_run_revision` that there are besides (Google's list of metrics).
const EMPTY: [&str; 9] = [
    "container/billable_instance_time",
    "container/cpu/utilizations",
    "container/gpu/memory_usages",
    "container/gpu/utilizations",
    "container/instance_count",
    "container/max_request_concurrencies",
    "container/memory/utilizations",
    "container/startup_latencies",
    "pending_queue/pending_requests",
];

impl Metric {
    pub(super) fn parse(kind: &str) -> Option<Self> {
        match kind.strip_prefix("run.googleapis.com/")? {
            "request_count" => Some(Self::Count),
            "request_latencies" => Some(Self::Latencies),
            other => EMPTY.contains(&other).then_some(Self::Empty),
        }
    }
}

/// A value of a point.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Distribution(Distribution),
    Double(f64),
    Int(u64),
}

/// A series before anything is done with it: a revision's requests that were answered so.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) target: Target,
    pub(super) revision: RevisionId,
    pub(super) labels: Vec<(Key, String)>,
    failed: bool,
}

/// The series of a project that a filter takes.
pub(super) fn published(traffic: &Traffic, project: &str, filter: &Filter) -> Vec<Series> {
    let mut series = Vec::new();
    for (target, revisions) in traffic.revisions() {
        let Target::CloudRun(service) = target else { continue };
        if service.project != project {
            continue;
        }
        for revision in revisions {
            for (code, class, failed) in [("200", "2xx", false), ("500", "5xx", true)] {
                let resource = |label: &str, value: &str| (Key::Resource(label.to_owned()), value.to_owned());
                let metric = |label: &str, value: &str| (Key::Metric(label.to_owned()), value.to_owned());
                let labels = vec![
                    resource("project_id", project),
                    resource("location", &service.region),
                    resource("service_name", &service.service),
                    resource("revision_name", revision.as_str()),
                    resource("configuration_name", &service.service),
                    metric("response_code", code),
                    metric("response_code_class", class),
                ];
                let taken = labels.iter().all(|(key, value)| filter.takes(key, value));
                if taken && filter.takes(&Key::ResourceType, "cloud_run_revision") {
                    series.push(Series { target: target.clone(), revision: revision.clone(), labels, failed });
                }
            }
        }
    }
    series
}

impl Series {
    /// What the series says of a stretch of time; nothing where there was nothing.
    pub(super) fn between(&self, traffic: &mut Traffic, metric: Metric, from: i64, until: i64) -> Option<Value> {
        if from >= until {
            return None;
        }
        let measured = traffic.between(&self.target, &self.revision, from, until);
        let count = if self.failed { measured.errors } else { measured.requests - measured.errors };
        match metric {
            Metric::Empty => None,
            Metric::Count | Metric::Latencies if count == 0 => None,
            Metric::Count => Some(Value::Int(count)),
            Metric::Latencies => Some(Value::Distribution(self.latencies(&measured))),
        }
    }

    /// Requests that fail take as long as others: each bucket has its share of them, to the whole request.
    fn latencies(&self, measured: &Measured) -> Distribution {
        let mut distribution = Distribution::new();
        let (mut seen, mut failed) = (0_u64, 0_u64);
        for (seconds, count) in measured.latency.iter() {
            seen += count;
            let so_far = u128::from(seen) * u128::from(measured.errors) / u128::from(measured.requests.max(1));
            let here = u64::try_from(so_far).unwrap_or(u64::MAX).saturating_sub(failed);
            failed += here;
            distribution.add(seconds * 1000.0, if self.failed { here } else { count - here });
        }
        distribution
    }
}
