//! Metrics of Azure Monitor, and how their minutes become one number.

use std::collections::BTreeMap;

use mlroll_backend::{Error, ErrorKind, Resource, Result, RevisionId};

use super::wire::{OPERATION, Point};

/// A metric, in the words of Azure's own query string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Metric {
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    pub(super) aggregation: Aggregation,
    filter: Option<String>,
    /// On the deployment's own resource, not on the endpoint's.
    pub(super) of_deployment: bool,
}

/// How the values of a minute are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aggregation {
    Average,
    Count,
    Maximum,
    Minimum,
    Total,
}

const REVISION: &str = "{{revision}}";

impl Metric {
    /// Reads `metricnames=NAME&aggregation=Average&$filter=...&metricnamespace=...&resource=endpoint`, all but the name
    /// optional; `resource=deployment` asks the deployment's own resource.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let wrong = |what: String| {
            let form = "metricnames=RequestLatency_P95&aggregation=Average&$filter=deployment eq '{{revision}}'";
            Error::new(ErrorKind::Invalid, OPERATION, format!("query: {what}; it is written as in `{form}`"))
        };
        let mut found: BTreeMap<&str, &str> = BTreeMap::new();
        for part in text.trim().split('&') {
            let (key, value) = part.split_once('=').ok_or_else(|| wrong(format!("`{part}` is no `key=value`")))?;
            if found.insert(key.trim(), value.trim()).is_some() {
                return Err(wrong(format!("`{key}` is there twice")));
            }
        }
        let name = found.remove("metricnames").unwrap_or_default().to_owned();
        if name.is_empty() || name.contains(',') {
            return Err(wrong("`metricnames` must name one metric".to_owned()));
        }
        let aggregation = match found.remove("aggregation") {
            None => Aggregation::Average,
            Some(text) => Aggregation::ALL
                .into_iter()
                .find(|a| a.name().eq_ignore_ascii_case(text))
                .ok_or_else(|| wrong("`aggregation` is Average, Count, Maximum, Minimum or Total".to_owned()))?,
        };
        let of_deployment = match found.remove("resource") {
            None | Some("endpoint") => false,
            Some("deployment") => true,
            Some(_) => return Err(wrong("`resource` is endpoint or deployment".to_owned())),
        };
        let filter = found.remove("$filter").map(str::to_owned);
        let namespace = found.remove("metricnamespace").map(str::to_owned);
        if let Some(key) = found.keys().next() {
            return Err(wrong(format!(
                "there is no `{key}`; keys are metricnames, aggregation, $filter, metricnamespace, resource"
            )));
        }
        let names_revision = filter.as_ref().is_some_and(|filter| filter.contains(REVISION));
        let elsewhere = name.contains("{{") || namespace.as_ref().is_some_and(|namespace| namespace.contains("{{"));
        if elsewhere || (!of_deployment && !names_revision) {
            let what = "`$filter` must name {{revision}}, or revisions could not be told apart";
            return Err(wrong(what.to_owned()));
        }
        if filter.as_ref().is_some_and(|filter| filter.replace(REVISION, "").contains("{{")) {
            return Err(wrong("only {{revision}} is filled in; windows are asked for by minutes".to_owned()));
        }
        Ok(Self { name, namespace, aggregation, filter, of_deployment })
    }

    /// How much of a resource the fullest instance of a deployment uses, in percent.
    pub(super) fn used(resource: Resource) -> Self {
        let name = match resource {
            Resource::Cpu => "CpuUtilizationPercentage",
            Resource::Gpu => "GpuUtilizationPercentage",
            Resource::GpuMemory => "GpuMemoryUtilizationPercentage",
            Resource::Memory => "CpuMemoryUtilizationPercentage",
        };
        let aggregation = Aggregation::Maximum;
        Self { name: name.to_owned(), namespace: None, aggregation, filter: None, of_deployment: true }
    }

    /// Whether zero is a value of it. Azure writes zero for what it has not measured too; no request takes no time, and no
    /// instance that runs uses nothing of its processors or its memory. Accelerators do idle.
    pub(super) fn can_be_zero(&self) -> bool {
        let name = self.name.to_ascii_lowercase();
        !name.starts_with("requestlatency") && !name.starts_with("cpu")
    }

    /// Whether it is one of the percentiles that Azure keeps: an average of those of its frontends, each minute.
    pub(super) fn is_percentile(&self) -> bool {
        self.name.to_ascii_lowercase().starts_with("requestlatency_p")
    }

    /// `$filter` for a revision.
    pub(super) fn filter(&self, revision: &RevisionId) -> Option<String> {
        self.filter.as_ref().map(|filter| filter.replace(REVISION, revision.as_str()))
    }
}

impl Aggregation {
    const ALL: [Self; 5] = [Self::Average, Self::Count, Self::Maximum, Self::Minimum, Self::Total];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Average => "Average",
            Self::Count => "Count",
            Self::Maximum => "Maximum",
            Self::Minimum => "Minimum",
            Self::Total => "Total",
        }
    }

    pub(super) const fn of(self, point: &Point) -> Option<f64> {
        match self {
            Self::Average => point.average,
            Self::Count => point.count,
            Self::Maximum => point.maximum,
            Self::Minimum => point.minimum,
            Self::Total => point.total,
        }
    }

    /// Minutes together. The average of averages is one only where minutes weigh the same; for percentiles Azure itself
    /// does no better.
    pub(super) fn over(self, minutes: &[f64]) -> f64 {
        let sum: f64 = minutes.iter().sum();
        match self {
            Self::Average => sum / minutes.len() as f64,
            Self::Count | Self::Total => sum,
            Self::Maximum => minutes.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            Self::Minimum => minutes.iter().copied().fold(f64::INFINITY, f64::min),
        }
    }
}
