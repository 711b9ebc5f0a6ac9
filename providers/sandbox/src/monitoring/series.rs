//! The series that Cloud Run publishes, and their points.

use mlroll_backend::{Resource, RevisionId, Target};

use super::distribution::{Distribution, MILLISECOND, SHARE};
use super::filter::{Filter, Key};
use crate::scenario::Instances;
use crate::traffic::{Measured, Traffic};

/// A metric of Cloud Run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metric {
    Count,
    /// One that nothing here measures: it has no series.
    Empty,
    Latencies,
    /// A gauge.
    Pending,
    Startup,
    /// What containers use of something.
    Used(Resource),
}

/// Metrics of `cloud_run_revision` that there are besides (Google's list of metrics).
const EMPTY: [&str; 4] = [
    "container/billable_instance_time",
    "container/gpu/memory_usages",
    "container/instance_count",
    "container/max_request_concurrencies",
];

impl Metric {
    pub(super) fn parse(kind: &str) -> Option<Self> {
        match kind.strip_prefix("run.googleapis.com/")? {
            "request_count" => Some(Self::Count),
            "request_latencies" => Some(Self::Latencies),
            "container/cpu/utilizations" => Some(Self::Used(Resource::Cpu)),
            "container/gpu/memory_utilizations" => Some(Self::Used(Resource::GpuMemory)),
            "container/gpu/utilizations" => Some(Self::Used(Resource::Gpu)),
            "container/memory/utilizations" => Some(Self::Used(Resource::Memory)),
            "container/startup_latencies" => Some(Self::Startup),
            "pending_queue/pending_requests" => Some(Self::Pending),
            other => EMPTY.contains(&other).then_some(Self::Empty),
        }
    }

    /// Whether its points are moments and not increases.
    pub(super) fn is_gauge(self) -> bool {
        matches!(self, Self::Empty | Self::Pending)
    }

    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::Count | Self::Empty | Self::Pending => "1",
            Self::Latencies | Self::Startup => "ms",
            Self::Used(_) => "10^2.%",
        }
    }

    /// Of requests there is a series for each class of answers.
    fn classes(self) -> &'static [(&'static str, &'static str, bool)] {
        match self {
            Self::Count | Self::Empty | Self::Latencies => &[("200", "2xx", false), ("500", "5xx", true)],
            Self::Pending | Self::Startup | Self::Used(_) => &[("", "", false)],
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

/// What so many minutes say of a revision's instances.
fn of_instances(instances: &Instances, metric: Metric, minutes: u64) -> Option<Value> {
    let used = match metric {
        Metric::Count | Metric::Empty | Metric::Latencies => return None,
        Metric::Pending => return Some(Value::Int(instances.pending.into())),
        Metric::Startup => {
            let mut distribution = Distribution::new(MILLISECOND);
            distribution.add(instances.startup.as_secs_f64() * 1000.0, minutes);
            return Some(Value::Distribution(distribution));
        }
        Metric::Used(Resource::Cpu) => instances.cpu,
        Metric::Used(Resource::Gpu) => Some(instances.gpu).filter(|_| instances.gpu > 0.0)?,
        Metric::Used(Resource::GpuMemory) => Some(instances.gpu_memory).filter(|_| instances.gpu > 0.0)?,
        Metric::Used(Resource::Memory) => instances.memory,
    };
    let mut distribution = Distribution::new(SHARE);
    // From half of what the fullest uses up to that, all alike.
    for step in 1..=100_u64 {
        distribution.add(used * (0.5 + 0.5 * step as f64 / 100.0), minutes);
    }
    Some(Value::Distribution(distribution))
}

/// The series of a project that a filter takes.
pub(super) fn published(traffic: &Traffic, project: &str, metric: Metric, filter: &Filter) -> Vec<Series> {
    let mut series = Vec::new();
    for (target, revisions) in traffic.revisions() {
        let Target::CloudRun(service) = target else { continue };
        if service.project != project {
            continue;
        }
        for revision in revisions {
            for (code, class, failed) in metric.classes().iter().copied() {
                let resource = |label: &str, value: &str| (Key::Resource(label.to_owned()), value.to_owned());
                let of_metric = |label: &str, value: &str| (Key::Metric(label.to_owned()), value.to_owned());
                let mut labels = vec![
                    resource("project_id", project),
                    resource("location", &service.region),
                    resource("service_name", &service.service),
                    resource("revision_name", revision.as_str()),
                    resource("configuration_name", &service.service),
                ];
                if !code.is_empty() {
                    labels.extend([of_metric("response_code", code), of_metric("response_code_class", class)]);
                }
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
            Metric::Pending | Metric::Startup | Metric::Used(_) if measured.requests == 0 => None,
            Metric::Pending | Metric::Startup | Metric::Used(_) => {
                let instances = traffic.behaviour(&self.target, &self.revision)?.instances?;
                let minutes = u64::try_from((until - from) / 60).unwrap_or(0).max(1);
                of_instances(&instances, metric, minutes)
            }
        }
    }

    /// Requests that fail take as long as others: each bucket has its share of them, to the whole request.
    fn latencies(&self, measured: &Measured) -> Distribution {
        let mut distribution = Distribution::new(MILLISECOND);
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
