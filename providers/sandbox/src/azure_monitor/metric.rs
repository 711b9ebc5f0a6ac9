//! The metrics that there are.

use mlroll_backend::Resource as Part;
use serde_json::{Value, json};

/// What a metric hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    Deployment,
    Endpoint,
}

impl Resource {
    /// As Azure writes it.
    pub(super) const fn namespace(self) -> &'static str {
        match self {
            Self::Deployment => "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/deployments",
            Self::Endpoint => "Microsoft.MachineLearningServices/workspaces/onlineEndpoints",
        }
    }

    /// The metrics that are told of it.
    pub(super) const fn metrics(self) -> &'static [Metric] {
        match self {
            Self::Deployment => &DEPLOYMENT,
            Self::Endpoint => &ENDPOINT,
        }
    }
}

/// What a metric says of the requests of a minute, or of the instances that had them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// How many there were.
    Requests,
    /// How long they took on average, in milliseconds.
    Mean,
    /// How long this share of them took at most, in milliseconds.
    Quantile(f64),
    /// How much instances use of something, in percent.
    Used(Part),
}

/// A metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// What it can be split by.
    pub(super) dimensions: &'static [&'static str],
}

impl Metric {
    pub(super) const fn unit(&self) -> &'static str {
        match self.kind {
            Kind::Requests => "Count",
            Kind::Mean | Kind::Quantile(_) => "MilliSeconds",
            Kind::Used(_) => "Percent",
        }
    }

    /// What can be asked for of the values of an interval, the usual one first.
    pub(super) const fn aggregations(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Mean | Kind::Quantile(_) | Kind::Requests => &["Average"],
            Kind::Used(_) => &["Average", "Maximum", "Minimum"],
        }
    }

    const fn category(&self) -> &'static str {
        match self.kind {
            Kind::Mean | Kind::Quantile(_) | Kind::Requests => "Traffic",
            Kind::Used(_) => "Resource",
        }
    }
}

/// The dimensions of requests and of instances.
pub(super) const DEPLOYMENT_NAME: &str = "deployment";
pub(super) const ENVOY: &str = "envoy_response_code";
pub(super) const INSTANCE: &str = "instanceId";
pub(super) const MODEL_CODE: &str = "modelStatusCode";
pub(super) const CODE: &str = "statusCode";
pub(super) const CODE_CLASS: &str = "statusCodeClass";

const fn metric(name: &'static str, kind: Kind, dimensions: &'static [&'static str]) -> Metric {
    Metric { name, kind, dimensions }
}

const BY_DEPLOYMENT: &[&str] = &[DEPLOYMENT_NAME];

const ENDPOINT: [Metric; 6] = [
    metric("RequestsPerMinute", Kind::Requests, &[DEPLOYMENT_NAME, CODE, CODE_CLASS, MODEL_CODE]),
    metric("RequestLatency", Kind::Mean, BY_DEPLOYMENT),
    metric("RequestLatency_P50", Kind::Quantile(0.5), BY_DEPLOYMENT),
    metric("RequestLatency_P90", Kind::Quantile(0.9), BY_DEPLOYMENT),
    metric("RequestLatency_P95", Kind::Quantile(0.95), BY_DEPLOYMENT),
    metric("RequestLatency_P99", Kind::Quantile(0.99), BY_DEPLOYMENT),
];

const BY_INSTANCE: &[&str] = &[INSTANCE];

const DEPLOYMENT: [Metric; 9] = [
    metric("RequestsPerMinute", Kind::Requests, &[ENVOY]),
    metric("RequestLatency_P50", Kind::Quantile(0.5), &[]),
    metric("RequestLatency_P90", Kind::Quantile(0.9), &[]),
    metric("RequestLatency_P95", Kind::Quantile(0.95), &[]),
    metric("RequestLatency_P99", Kind::Quantile(0.99), &[]),
    metric("CpuUtilizationPercentage", Kind::Used(Part::Cpu), BY_INSTANCE),
    metric("CpuMemoryUtilizationPercentage", Kind::Used(Part::Memory), BY_INSTANCE),
    metric("GpuUtilizationPercentage", Kind::Used(Part::Gpu), BY_INSTANCE),
    metric("GpuMemoryUtilizationPercentage", Kind::Used(Part::GpuMemory), BY_INSTANCE),
];

/// The intervals that points may have, with their lengths in seconds.
pub(super) const INTERVALS: [(&str, i64); 8] = [
    ("PT1M", 60),
    ("PT5M", 300),
    ("PT15M", 900),
    ("PT30M", 1800),
    ("PT1H", 3600),
    ("PT6H", 21_600),
    ("PT12H", 43_200),
    ("P1D", 86_400),
];

/// What `metricDefinitions` answers about a resource.
pub(super) fn definitions(resource: Resource, id: &str) -> Vec<Value> {
    let define = |metric: &Metric| {
        let dimensions = metric.dimensions.iter().map(|name| json!({ "value": name, "localizedValue": name }));
        let availabilities = INTERVALS.iter().map(|(grain, _)| json!({ "timeGrain": grain, "retention": "P93D" }));
        json!({
            "id": format!("{id}/providers/microsoft.insights/metricdefinitions/{}", metric.name),
            "resourceId": id, "namespace": resource.namespace(), "category": metric.category(), "unit": metric.unit(),
            "name": { "value": metric.name, "localizedValue": metric.name }, "isDimensionRequired": false,
            "primaryAggregationType": "Average", "supportedAggregationTypes": metric.aggregations(),
            "dimensions": dimensions.collect::<Vec<_>>(), "metricAvailabilities": availabilities.collect::<Vec<_>>(),
        })
    };
    resource.metrics().iter().map(define).collect()
}
