//! The metrics that the services publish by themselves, and who was asked for each.
//!
//! Points are of one minute, or of as long as an endpoint says. Dimensions are matched exactly: a part of them, or none, names another metric, or nothing.

use std::collections::BTreeMap;

use mlroll_backend::{RevisionId, Target};

use super::statistic::Point;
use super::wire::{Fault, list, map, required};
use crate::sagemaker::SageMaker;
use crate::traffic::{Measured, Traffic};
use ciborium::Value;

/// A namespace, a name and dimensions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Metric {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) dimensions: BTreeMap<String, String>,
}

/// What a published metric says of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// 1 for each request.
    Requests,
    /// 1 for each that failed, 0 for each that did not.
    Errors,
    /// 0 for each request.
    Nothing,
    /// How long each took, in so many parts of a second.
    Latency(u32),
    /// A twentieth of the time that each took, in so many parts of a second: what the service itself adds.
    Overhead(u32),
    /// The most that were under way at once.
    InFlight,
    /// What the machine uses of something, in hundredths of a percent.
    Utilised(u32),
}

/// A metric that is published.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub(super) metric: Metric,
    pub(super) region: String,
    pub(super) unit: &'static str,
    pub(super) kind: Kind,
    /// How often, in seconds.
    pub(super) every: i64,
    /// Whose requests it is about.
    pub(super) of: Vec<(Target, RevisionId)>,
}

const LAMBDA: [(&str, &str, Kind); 5] = [
    ("Invocations", "Count", Kind::Requests),
    ("Errors", "Count", Kind::Errors),
    ("Throttles", "Count", Kind::Nothing),
    ("Duration", "Milliseconds", Kind::Latency(1000)),
    ("ConcurrentExecutions", "Count", Kind::InFlight),
];

const SAGEMAKER: [(&str, &str, Kind); 7] = [
    ("Invocations", "None", Kind::Requests),
    ("InvocationsPerInstance", "None", Kind::Requests),
    ("Invocation4XXErrors", "None", Kind::Nothing),
    ("Invocation5XXErrors", "None", Kind::Errors),
    ("InvocationModelErrors", "None", Kind::Errors),
    ("ModelLatency", "Microseconds", Kind::Latency(1_000_000)),
    ("OverheadLatency", "Microseconds", Kind::Overhead(1_000_000)),
];

impl Metric {
    /// From the members `Namespace`, `MetricName` and `Dimensions`.
    pub(super) fn read(value: &Value) -> Result<Self, Fault> {
        let namespace = required(value, "Namespace")?.to_owned();
        let name = required(value, "MetricName")?.to_owned();
        let mut dimensions = BTreeMap::new();
        for dimension in list(value, "Dimensions")? {
            let (name, value) = (required(dimension, "Name")?, required(dimension, "Value")?);
            if dimensions.insert(name.to_owned(), value.to_owned()).is_some() {
                return Err(Fault::invalid_value(format!("The dimension {name} is given twice.")));
            }
        }
        if dimensions.len() > 30 {
            return Err(Fault::validation("The collection Dimensions must not have a size greater than 30."));
        }
        Ok(Self { namespace, name, dimensions })
    }

    /// As a list of metrics shows it.
    pub(super) fn write(&self) -> Value {
        let dimension = |(name, value): (&String, &String)| {
            map([("Name", Value::from(name.as_str())), ("Value", Value::from(value.as_str()))])
        };
        map([
            ("Namespace", Value::from(self.namespace.as_str())),
            ("MetricName", Value::from(self.name.as_str())),
            ("Dimensions", Value::Array(self.dimensions.iter().map(dimension).collect())),
        ])
    }
}

/// What the instances of a variant use, where the scenario tells of them: of each core and each GPU as much as a hundred.
fn of_instances(traffic: &Traffic, sagemaker: &SageMaker, target: &Target, revision: &RevisionId) -> Vec<Published> {
    let Target::SageMaker(endpoint) = target else { return Vec::new() };
    let used = traffic.behaviour(target, revision).and_then(|behaviour| behaviour.instances);
    let machine = sagemaker.machine(&endpoint.region, &endpoint.endpoint, revision.as_str());
    let Some((used, (cores, gpus))) = used.zip(machine.and_then(super::devices)) else { return Vec::new() };
    let all = [
        ("CPUUtilization", used.cpu, cores),
        ("MemoryUtilization", used.memory, 1),
        ("DiskUtilization", 0.1, 1),
        ("GPUUtilization", used.gpu, gpus),
        ("GPUMemoryUtilization", used.gpu_memory, gpus),
    ];
    let published = |(name, share, devices): (&str, f64, u32)| Published {
        metric: Metric {
            namespace: "/aws/sagemaker/Endpoints".to_owned(),
            name: name.to_owned(),
            dimensions: [("EndpointName", endpoint.endpoint.as_str()), ("VariantName", revision.as_str())]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        },
        region: endpoint.region.clone(),
        unit: "Percent",
        kind: Kind::Utilised((share * 10_000.0).round() as u32 * devices),
        every: sagemaker.publishes(&endpoint.region, &endpoint.endpoint).1,
        of: vec![(target.clone(), revision.clone())],
    };
    all.into_iter().filter(|(.., devices)| *devices > 0).map(published).collect()
}

/// All metrics that are published, of revisions that have had requests.
pub(super) fn published(traffic: &Traffic, sagemaker: &SageMaker) -> Vec<Published> {
    let mut all: BTreeMap<(String, Metric), Published> = BTreeMap::new();
    for (target, revisions) in traffic.revisions() {
        for revision in revisions {
            if traffic.first(target, revision).is_none() {
                continue;
            }
            for one in of_instances(traffic, sagemaker, target, revision) {
                all.insert((one.region.clone(), one.metric.clone()), one);
            }
            let (namespace, region, sets, metrics, every) = match target {
                Target::Lambda(alias) => {
                    let function = ("FunctionName", alias.function.clone());
                    let resource = ("Resource", format!("{}:{}", alias.function, alias.alias));
                    let version = ("ExecutedVersion", revision.as_str().to_owned());
                    let sets = vec![
                        vec![function.clone()],
                        vec![function.clone(), resource.clone()],
                        vec![function, resource, version],
                    ];
                    ("AWS/Lambda", &alias.region, sets, LAMBDA.as_slice(), 60)
                }
                Target::SageMaker(endpoint) => {
                    let name = ("EndpointName", endpoint.endpoint.clone());
                    let variant = ("VariantName", revision.as_str().to_owned());
                    let (every, _) = sagemaker.publishes(&endpoint.region, &endpoint.endpoint);
                    ("AWS/SageMaker", &endpoint.region, vec![vec![name, variant]], SAGEMAKER.as_slice(), every)
                }
                Target::AzureMl(_) | Target::CloudRun(_) => continue,
            };
            for dimensions in sets {
                let dimensions: BTreeMap<String, String> =
                    dimensions.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
                for (name, unit, kind) in metrics {
                    // A request is throttled before a version is chosen.
                    if *name == "Throttles" && dimensions.contains_key("ExecutedVersion") {
                        continue;
                    }
                    let metric = Metric {
                        namespace: namespace.to_owned(),
                        name: (*name).to_owned(),
                        dimensions: dimensions.clone(),
                    };
                    let entry = all.entry((region.clone(), metric.clone())).or_insert_with(|| Published {
                        metric,
                        region: region.clone(),
                        unit,
                        kind: *kind,
                        every,
                        of: Vec::new(),
                    });
                    entry.of.push((target.clone(), revision.clone()));
                }
            }
        }
    }
    all.into_values().collect()
}

impl Kind {
    /// The raw values of what was measured.
    pub(super) fn point(self, measured: &Measured) -> Point {
        let requests = measured.requests as f64;
        if measured.requests == 0 {
            return Point::default();
        }
        let latencies = |parts: f64| measured.latency.iter().map(move |(value, times)| (value * parts, times as f64));
        let values = match self {
            Self::Requests => vec![(1.0, requests)],
            Self::Errors => vec![(1.0, measured.errors as f64), (0.0, requests - measured.errors as f64)],
            Self::Nothing => vec![(0.0, requests)],
            Self::Latency(parts) => latencies(f64::from(parts)).collect(),
            Self::Overhead(parts) => latencies(f64::from(parts) / 20.0).collect(),
            Self::InFlight => vec![(measured.in_flight as f64, 1.0)],
            Self::Utilised(hundredths) => vec![(f64::from(hundredths) / 100.0, 1.0)],
        };
        Point { values, ..Point::default() }
    }
}
