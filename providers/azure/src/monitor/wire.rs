//! Requests to and answers from Azure Monitor. JSON types stop here.

use std::collections::BTreeMap;

use mlroll_backend::{
    AzureMlEndpoint, Effect, Error, ErrorKind, Query, Result, RevisionId, Sample, Target, Timestamp, Why, Window,
};
use serde::Deserialize;

use crate::error::{printable, unexpected};
use crate::transport::{Request, Transport};

pub(super) const OPERATION: &str = "Metrics_List";

const API_VERSION: &str = "2024-02-01";

/// How many series are asked for: 20 deployments with ten status codes each.
const TOP: usize = 200;

/// What one query asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Requests by deployment and status code.
    Requests {
        /// Whether failures are told with them.
        failures: bool,
    },
    /// A metric of the author's choice.
    Metric(Metric),
}

/// A metric, in the words of Azure's own query string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Metric {
    name: String,
    namespace: Option<String>,
    aggregation: Aggregation,
    filter: Option<String>,
    /// On the deployment's own resource, not on the endpoint's.
    of_deployment: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aggregation {
    Average,
    Count,
    Maximum,
    Minimum,
    Total,
}

/// An answer about one metric.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    series: Vec<Series>,
    /// What Azure says instead of `Success`.
    warning: Option<String>,
}

#[derive(Clone, Debug)]
struct Series {
    /// Names in lower case, as they come back.
    dimensions: BTreeMap<String, String>,
    points: Vec<Point>,
}

#[derive(Deserialize)]
struct ReplyShown {
    interval: Option<String>,
    value: Vec<MetricShown>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MetricShown {
    error_code: Option<String>,
    error_message: Option<String>,
    #[serde(default)]
    timeseries: Vec<SeriesShown>,
}

#[derive(Deserialize)]
struct SeriesShown {
    #[serde(default)]
    metadatavalues: Vec<Dimension>,
    #[serde(default)]
    data: Vec<Point>,
}

#[derive(Deserialize)]
struct Dimension {
    name: Named,
    value: String,
}

#[derive(Deserialize)]
struct Named {
    value: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Point {
    time_stamp: Timestamp,
    average: Option<f64>,
    count: Option<f64>,
    maximum: Option<f64>,
    minimum: Option<f64>,
    total: Option<f64>,
}

impl Question {
    /// # Errors
    /// `Unsupported`: latency as a histogram. `Invalid`: a query of the author's own that makes no sense.
    pub(super) fn new(query: &Query) -> Result<Self> {
        match query {
            Query::Custom(text) => Metric::parse(text).map(Self::Metric),
            Query::ErrorRate => Ok(Self::Requests { failures: true }),
            Query::Requests => Ok(Self::Requests { failures: false }),
            Query::Alarms(_)
            | Query::Headroom(_)
            | Query::InstanceStartup
            | Query::PendingRequests
            | Query::Ratio { .. }
            | Query::Scores(_)
            | Query::Stratified { .. } => Err(query.unsupported(OPERATION, "Azure Monitor")),
            Query::Latency => Err(Error::new(
                ErrorKind::Unsupported,
                OPERATION,
                "Azure Monitor keeps averages of percentiles, no histogram: for latency give a gate its own query, such as \
                 query = \"metricnames=RequestLatency_P95&$filter=deployment eq '{{revision}}'\" (milliseconds)",
            )),
        }
    }

    /// Asks about all of `revision`'s minutes from `from` until `until`; the answer to [`Question::Requests`] is about every
    /// revision.
    pub(super) async fn ask(
        &self,
        transport: &Transport,
        target: &Target,
        endpoint: &AzureMlEndpoint,
        revision: &RevisionId,
        (from, until): (Timestamp, Timestamp),
    ) -> Result<Reply> {
        let timespan = format!("{from}/{until}");
        let (parameters, of_deployment) = self.parameters(revision);
        let mut query = vec![("api-version", API_VERSION), ("timespan", timespan.as_str())];
        query.extend(parameters.iter().map(|(name, value)| (*name, value.as_str())));
        let mut path = vec![
            "subscriptions",
            &endpoint.subscription,
            "resourceGroups",
            &endpoint.resource_group,
            "providers",
            "Microsoft.MachineLearningServices",
            "workspaces",
            &endpoint.workspace,
            "onlineEndpoints",
            &endpoint.endpoint,
        ];
        if of_deployment {
            path.extend(["deployments", revision.as_str()]);
        }
        path.extend(["providers", "Microsoft.Insights", "metrics"]);
        let address = transport.address(path, &query)?;
        let request =
            Request { operation: OPERATION, target, effect: Effect::Read, method: "GET", address, body: None };
        Reply::parse(&transport.send(&request).await?.body)
    }

    /// What is asked about a revision, but for the time, as in Azure's query string.
    pub(super) fn words(&self, revision: &RevisionId) -> String {
        let parameters = self.parameters(revision).0;
        let words: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        words.join("&")
    }

    /// The parameters of the query, but for the time, and whether it goes to the deployment's own resource.
    fn parameters(&self, revision: &RevisionId) -> (Vec<(&'static str, String)>, bool) {
        let (name, aggregation, filter) = match self {
            Self::Requests { .. } => {
                let filter = "deployment eq '*' and statusCode eq '*'".to_owned();
                ("RequestsPerMinute", Aggregation::Average, Some(filter))
            }
            Self::Metric(metric) => {
                let filter = metric.filter.as_ref().map(|filter| filter.replace(REVISION, revision.as_str()));
                (metric.name.as_str(), metric.aggregation, filter)
            }
        };
        let mut parameters = vec![
            ("metricnames", name.to_owned()),
            ("aggregation", aggregation.name().to_owned()),
            ("interval", "PT1M".to_owned()),
            ("AutoAdjustTimegrain", "false".to_owned()),
            ("ValidateDimensions", "true".to_owned()),
        ];
        let of_deployment = match self {
            Self::Requests { .. } => false,
            Self::Metric(metric) => {
                parameters.extend(metric.namespace.clone().map(|namespace| ("metricnamespace", namespace)));
                metric.of_deployment
            }
        };
        if let Some(filter) = filter {
            parameters.extend([("$filter", filter), ("top", TOP.to_string())]);
        }
        (parameters, of_deployment)
    }

    /// What an answer says about a revision in a window.
    pub(super) fn read(&self, reply: &Reply, revision: &RevisionId, window: Window) -> Sample {
        let read = match self {
            Self::Requests { failures } => reply.requests(revision, window).map(|(requests, failed)| {
                if *failures { Sample::counts(requests, failed) } else { Sample::value(requests) }
            }),
            Self::Metric(metric) => reply.one(metric.aggregation, window).map(Sample::value),
        };
        read.unwrap_or_else(Sample::NoData)
    }
}

const REVISION: &str = "{{revision}}";

impl Metric {
    /// Reads `metricnames=NAME&aggregation=Average&$filter=...&metricnamespace=...&resource=endpoint`, all but the name
    /// optional; `resource=deployment` asks the deployment's own resource.
    fn parse(text: &str) -> Result<Self> {
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
}

impl Aggregation {
    const ALL: [Self; 5] = [Self::Average, Self::Count, Self::Maximum, Self::Minimum, Self::Total];

    const fn name(self) -> &'static str {
        match self {
            Self::Average => "Average",
            Self::Count => "Count",
            Self::Maximum => "Maximum",
            Self::Minimum => "Minimum",
            Self::Total => "Total",
        }
    }

    const fn of(self, point: &Point) -> Option<f64> {
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
    fn over(self, minutes: &[f64]) -> f64 {
        let sum: f64 = minutes.iter().sum();
        match self {
            Self::Average => sum / minutes.len() as f64,
            Self::Count | Self::Total => sum,
            Self::Maximum => minutes.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            Self::Minimum => minutes.iter().copied().fold(f64::INFINITY, f64::min),
        }
    }
}

impl Reply {
    fn parse(body: &[u8]) -> Result<Self> {
        let shown: ReplyShown =
            serde_json::from_slice(body).map_err(|_| unexpected(OPERATION, "it is not about metrics"))?;
        if shown.interval.is_some_and(|interval| interval != "PT1M") {
            return Err(unexpected(OPERATION, "it is not by the minute"));
        }
        let [metric] = <[MetricShown; 1]>::try_from(shown.value)
            .map_err(|metrics| unexpected(OPERATION, format!("it is about {} metrics, not one", metrics.len())))?;
        let code = metric.error_code.filter(|code| !code.eq_ignore_ascii_case("success"));
        let warning = code.map(|code| {
            let message = metric.error_message.unwrap_or_default();
            printable(&format!("{code} {message}"), 300)
        });
        let read = |series: SeriesShown| Series {
            dimensions: series
                .metadatavalues
                .into_iter()
                .map(|d| (d.name.value.to_ascii_lowercase(), d.value))
                .collect(),
            points: series.data,
        };
        Ok(Self { series: metric.timeseries.into_iter().map(read).collect(), warning })
    }

    fn whole(&self) -> Result<(), Why> {
        if let Some(warning) = &self.warning {
            return Err(Why::Partial { warning: warning.clone() });
        }
        if self.series.len() >= TOP {
            return Err(Why::Partial { warning: format!("there are {TOP} series or more, and more are not answered") });
        }
        Ok(())
    }

    /// All requests of a revision, and the failed ones.
    fn requests(&self, revision: &RevisionId, window: Window) -> Result<(f64, f64), Why> {
        self.whole()?;
        let (mut requests, mut failed) = (0.0, 0.0);
        for series in &self.series {
            let dimension = |name: &str| series.dimensions.get(name).map(String::as_str);
            let odd = |found: String| Why::Inconsistent { found };
            let (Some(deployment), Some(code)) = (dimension("deployment"), dimension("statuscode")) else {
                return Err(odd("a series that is not split by deployment and statusCode".to_owned()));
            };
            if !deployment.eq_ignore_ascii_case(revision.as_str()) {
                continue;
            }
            let minutes = series.minutes(Aggregation::Average, window)?;
            let sum: f64 = minutes.iter().sum();
            if minutes.iter().any(|minute| *minute < 0.0) {
                return Err(odd(format!("{sum} requests")));
            }
            let code: u16 =
                code.trim().parse().map_err(|_| odd(format!("a status code of `{}`", printable(code, 20))))?;
            requests += sum;
            if matches!(code, 408 | 424 | 500..=599) {
                failed += sum;
            }
        }
        // Nothing but zeros is how a minute without traffic, or without measuring, looks too.
        if requests > 0.0 { Ok((requests, failed)) } else { Err(Why::Empty) }
    }

    /// The value of the only series.
    fn one(&self, aggregation: Aggregation, window: Window) -> Result<f64, Why> {
        self.whole()?;
        let series = match self.series.as_slice() {
            [] => return Err(Why::Empty),
            [series] => series,
            several => return Err(Why::SeveralSeries { count: several.len() }),
        };
        let minutes = series.minutes(aggregation, window)?;
        if minutes.is_empty() { Err(Why::Empty) } else { Ok(aggregation.over(&minutes)) }
    }
}

impl Series {
    /// The values of the window's minutes, without those that have none.
    fn minutes(&self, aggregation: Aggregation, window: Window) -> Result<Vec<f64>, Why> {
        let within = self.points.iter().filter(|p| window.start() <= p.time_stamp && p.time_stamp < window.end());
        let values: Vec<f64> = within.filter_map(|point| aggregation.of(point)).collect();
        if values.iter().all(|value| value.is_finite()) { Ok(values) } else { Err(Why::NotANumber) }
    }
}
