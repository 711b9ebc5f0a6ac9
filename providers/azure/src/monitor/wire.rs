//! Requests to and answers from Azure Monitor. JSON types stop here.

use std::collections::BTreeMap;

use mlroll_backend::{
    AzureMlEndpoint, Effect, Error, ErrorKind, Query, Result, RevisionId, Sample, Target, Timestamp, Why, Window,
};
use serde::Deserialize;

use super::metric::{Aggregation, Metric};
use crate::error::{printable, unexpected};
use crate::transport::{Request, Transport};

pub(super) const OPERATION: &str = "Metrics_List";

const API_VERSION: &str = "2024-02-01";

/// The most that can be used of something, in percent, and as much as is measured too high now and then.
const FULL: f64 = 101.0;

/// What a client gets where too much waits for the instances of a deployment already.
const THROTTLED: u16 = 429;

/// How many series are asked for: 20 deployments with ten status codes each.
const TOP: usize = 200;

/// What one query asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// What a deployment's fullest instance leaves of something.
    Headroom(Metric),
    /// Requests by deployment and status code.
    Requests {
        /// Whether failures are told with them.
        failures: bool,
    },
    /// A metric of the author's choice.
    Metric(Metric),
}

/// The requests of a revision in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Requests {
    /// Those that it answered, in any way.
    answered: f64,
    /// The failed ones among them.
    failed: f64,
    /// Those that were turned away besides.
    throttled: f64,
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

/// A minute.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Point {
    time_stamp: Timestamp,
    pub(super) average: Option<f64>,
    pub(super) count: Option<f64>,
    pub(super) maximum: Option<f64>,
    pub(super) minimum: Option<f64>,
    pub(super) total: Option<f64>,
}

impl Question {
    /// # Errors
    /// `Unsupported`: latency as a histogram. `Invalid`: a query of the author's own that makes no sense.
    pub(super) fn new(query: &Query) -> Result<Self> {
        match query {
            Query::Custom(text) => Metric::parse(text).map(Self::Metric),
            Query::ErrorRate => Ok(Self::Requests { failures: true }),
            Query::Requests => Ok(Self::Requests { failures: false }),
            Query::Headroom(resource) => Ok(Self::Headroom(Metric::used(*resource))),
            Query::Alarms(_)
            | Query::InstanceStartup
            | Query::PendingRequests
            | Query::Ratio { .. }
            | Query::Scores(_)
            | Query::Stratified { .. } => Err(query.unsupported(OPERATION, "Azure Monitor")),
            Query::Latency | Query::Quantile(_) => Err(Error::new(
                ErrorKind::Unsupported,
                OPERATION,
                "Azure Monitor keeps averages of percentiles, no histogram: for latency read the traffic log (`logs = true` of \
                 `metrics`), or give a gate its own query, such as \
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
            Self::Headroom(metric) | Self::Metric(metric) => {
                (metric.name.as_str(), metric.aggregation, metric.filter(revision))
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
            Self::Headroom(metric) | Self::Metric(metric) => {
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
            Self::Requests { failures } => reply.requests(revision, window).map(|told| match failures {
                true => Sample::counts(told.answered, told.failed).beside_throttled(told.throttled),
                false => Sample::value(told.answered),
            }),
            Self::Headroom(metric) => reply.headroom(metric, window).map(Sample::value),
            Self::Metric(metric) => reply.one(metric, window).map(Sample::value),
        };
        read.unwrap_or_else(Sample::NoData)
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

    /// The requests of a revision.
    fn requests(&self, revision: &RevisionId, window: Window) -> Result<Requests, Why> {
        self.whole()?;
        let mut told = Requests::default();
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
            if code == THROTTLED {
                told.throttled += sum;
                continue;
            }
            told.answered += sum;
            if matches!(code, 408 | 424 | 500..=599) {
                told.failed += sum;
            }
        }
        // Nothing but zeros is how a minute without traffic, or without measuring, looks too.
        if told.answered + told.throttled > 0.0 { Ok(told) } else { Err(Why::Empty) }
    }

    /// The value of the only series.
    fn one(&self, metric: &Metric, window: Window) -> Result<f64, Why> {
        Ok(metric.aggregation.over(&self.minutes(metric, window)?))
    }

    /// The share that is left where the most is used. Instances may be full in a minute that nobody tells of: it takes all.
    fn headroom(&self, metric: &Metric, window: Window) -> Result<f64, Why> {
        let minutes = self.minutes(metric, window)?;
        let (told, all) = (minutes.len(), window.length().as_secs() / 60);
        if u64::try_from(told).is_ok_and(|told| told < all) {
            return Err(Why::Partial { warning: format!("{told} of {all} minutes have a value") });
        }
        let used = metric.aggregation.over(&minutes);
        if !(0.0..=FULL).contains(&used) {
            return Err(Why::Inconsistent { found: format!("{used} % used") });
        }
        Ok((1.0 - used / 100.0).max(0.0))
    }

    /// The values of the only series in a window, of which there is one at least.
    fn minutes(&self, metric: &Metric, window: Window) -> Result<Vec<f64>, Why> {
        self.whole()?;
        let series = match self.series.as_slice() {
            [] => return Err(Why::Empty),
            [series] => series,
            several => return Err(Why::SeveralSeries { count: several.len() }),
        };
        let mut minutes = series.minutes(metric.aggregation, window)?;
        minutes.retain(|minute| *minute != 0.0 || metric.can_be_zero());
        if minutes.is_empty() { Err(Why::Empty) } else { Ok(minutes) }
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
