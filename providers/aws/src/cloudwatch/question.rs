//! Which series answer a query.

use mlroll_backend::{Error, ErrorKind, Query, Resource, Result, RevisionId, Subject, Target, Timestamp, Why, Window};

use super::expression::Expression;
use super::machines::Machines;
use super::series::{Place, Series};

/// A query, made ready once for all subjects.
#[derive(Clone, Debug)]
pub(super) enum Question {
    Alarms(Vec<String>),
    ErrorRate,
    Headroom(Resource),
    /// With the thresholds that requests are counted above, in seconds.
    Latency(Vec<f64>),
    /// In millionths.
    Quantile(u32),
    Requests,
    Value(Expression),
}

/// A question about one subject: the series that answer it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) parts: Parts,
    /// All requests of the thing that routes, whoever served them; known for Lambda.
    pub(super) routed: Option<Series>,
    /// The same question about the thing that routes, for who may have had all of its requests; known for Lambda.
    pub(super) whole: Option<Whole>,
}

/// What stands for a revision that had all requests, where the store does not tell it by name.
#[derive(Clone, Debug)]
pub(super) struct Whole {
    /// Since when it has had all of them.
    pub(super) since: Timestamp,
    pub(super) parts: Parts,
    /// Whether its series are asked for.
    pub(super) is_asked: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Parts {
    Alarms {
        region: String,
        names: Vec<String>,
    },
    /// A share in percent, and what is all of it.
    Headroom {
        used: Series,
        full: Result<f64, Why>,
    },
    ErrorRate {
        requests: Series,
        failures: Box<Failures>,
    },
    Latency {
        requests: Series,
        slow: Vec<Slow>,
    },
    Quantile {
        requests: Series,
        /// The latency, in so many parts of a second.
        latency: Series,
        per_second: f64,
        /// The share of the requests that is not slower.
        share: f64,
    },
    Requests(Series),
    Value(Series),
}

/// Requests on both sides of a threshold in seconds.
#[derive(Clone, Debug)]
pub(super) struct Slow {
    pub(super) threshold: f64,
    pub(super) at_most: Series,
    pub(super) above: Series,
}

/// The metrics that count failed requests.
#[derive(Clone, Debug)]
pub(super) struct Failures {
    /// Those that the service calls failed.
    pub(super) counted: Series,
    /// SageMaker's model errors, and those of them that were the caller's fault.
    pub(super) model: Option<(Series, Series)>,
}

/// AWS publishes the metrics of its services once a minute.
const MINUTE: u64 = 60;

impl Question {
    pub(super) fn new(query: &Query, slower_than: &[f64]) -> Result<Self> {
        match query {
            Query::Alarms(names) if names.is_empty() => Err(invalid("`alarms` names none")),
            Query::Alarms(names) => Ok(Self::Alarms(names.clone())),
            Query::Headroom(resource) => Ok(Self::Headroom(*resource)),
            Query::Custom(text) => text.parse().map(Self::Value).map_err(|e| invalid(format!("query: {e}"))),
            Query::ErrorRate => Ok(Self::ErrorRate),
            Query::Latency if slower_than.is_empty() => Err(invalid(
                "CloudWatch has no buckets: `latency` is counted above the limits of gates, and none that counts has a `max`; \
                 a `judge` of series reads percentiles",
            )),
            Query::Latency => Ok(Self::Latency(slower_than.to_vec())),
            Query::Quantile(millionths) => Ok(Self::Quantile(*millionths)),
            Query::Requests => Ok(Self::Requests),
            Query::InstanceStartup
            | Query::PendingRequests
            | Query::Ratio { .. }
            | Query::Scores(_)
            | Query::Stratified { .. } => Err(query.unsupported("GetMetricData", "CloudWatch")),
        }
    }

    /// Whether windows of this length can be answered, for an endpoint that is known or for anything else.
    pub(super) fn allows(&self, window: Window, machines: Option<&Machines>) -> Result<()> {
        let seconds = window.length().as_secs();
        let high_resolution = [1, 5, 10, 20, 30].contains(&seconds);
        let enhanced = machines.and_then(|machines| machines.every).map(|every| every.as_secs());
        let allowed = seconds.is_multiple_of(MINUTE)
            || match self {
                Self::Alarms(_) => true,
                Self::Value(_) => high_resolution,
                Self::ErrorRate | Self::Headroom(_) | Self::Latency(_) | Self::Quantile(_) | Self::Requests => {
                    high_resolution && enhanced.is_some_and(|every| every > 0 && seconds.is_multiple_of(every))
                }
            };
        if allowed {
            return Ok(());
        }
        let often = match (machines, enhanced) {
            (None, _) => String::new(),
            (Some(_), None) => ", which this one is not".to_owned(),
            (Some(_), Some(every)) => format!(", here every {every} s"),
        };
        Err(invalid(format!(
            "`look` is {seconds} s, and CloudWatch answers for whole minutes only (for high-resolution metrics of your \
             own also for 1, 5, 10, 20 or 30 s, and for SageMaker endpoints with enhanced metrics as often as those are \
             published{often})"
        )))
    }

    /// Whether it depends on what a SageMaker endpoint runs on.
    pub(super) const fn needs_machines(&self) -> bool {
        matches!(self, Self::Headroom(_))
    }

    /// What is asked about one subject; `machines` is what its endpoint runs on, or why that is not known.
    pub(super) fn about(&self, subject: &Subject, machines: Option<&Result<Machines, Why>>) -> Result<Asked> {
        let of = Metrics::of(subject)?;
        let parts = self.parts(&of, machines)?;
        let routed = match &parts {
            Parts::Alarms { .. } | Parts::Headroom { .. } | Parts::Value(_) => None,
            Parts::ErrorRate { .. } | Parts::Latency { .. } | Parts::Quantile { .. } | Parts::Requests(_) => {
                of.routed()
            }
        };
        let whole = match subject.alone_since.filter(|_| routed.is_some()) {
            Some(since) => {
                let of = Metrics { of_all: true, ..of };
                Some(Whole { since, parts: self.parts(&of, machines)?, is_asked: false })
            }
            None => None,
        };
        Ok(Asked { parts, routed, whole })
    }

    fn parts(&self, of: &Metrics<'_>, machines: Option<&Result<Machines, Why>>) -> Result<Parts> {
        Ok(match self {
            Self::Alarms(names) => Parts::Alarms { region: of.place.region.clone(), names: names.clone() },
            Self::Headroom(resource) => {
                let used = of.utilisation(*resource).ok_or_else(|| {
                    Query::Headroom(*resource).unsupported("GetMetricData", "CloudWatch, for anything but SageMaker,")
                })?;
                let full = match machines {
                    Some(Ok(machines)) => machines.full(of.revision.as_str(), *resource),
                    Some(Err(why)) => Err(why.clone()),
                    None => Err(Why::Partial { warning: "nobody asked what it runs on".to_owned() }),
                };
                Parts::Headroom { used, full }
            }
            Self::ErrorRate => Parts::ErrorRate { requests: of.requests(), failures: Box::new(of.failures()) },
            Self::Latency(thresholds) => Parts::Latency {
                requests: of.latency("SampleCount".to_owned()),
                slow: thresholds.iter().map(|threshold| of.slow(*threshold)).collect(),
            },
            Self::Quantile(millionths) => of.quantile(*millionths),
            Self::Requests => Parts::Requests(of.requests()),
            Self::Value(expression) => Parts::Value(expression.series(&of.place, of.revision)),
        })
    }
}

/// The metrics of one revision.
struct Metrics<'s> {
    place: Place,
    target: &'s Target,
    revision: &'s RevisionId,
    /// Those of the thing that routes, in place of its own.
    of_all: bool,
}

impl<'s> Metrics<'s> {
    fn of(subject: &'s Subject) -> Result<Self> {
        let Subject { target, revision, .. } = subject;
        let place = Place::of(target).ok_or_else(|| {
            let message =
                format!("CloudWatch has no metrics of {target}; it has those of lambda: and sagemaker: targets");
            Error::new(ErrorKind::Unsupported, "settings", message)
        })?;
        Ok(Self { place, target, revision, of_all: false })
    }

    fn series(&self, metric: &str, statistic: String, of_revision: bool) -> Series {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let (namespace, mut dimensions) = match self.target {
            Target::Lambda(alias) => {
                let resource = format!("{}:{}", alias.function, alias.alias);
                ("AWS/Lambda", vec![pair("FunctionName", &alias.function), pair("Resource", &resource)])
            }
            Target::SageMaker(endpoint) => ("AWS/SageMaker", vec![pair("EndpointName", &endpoint.endpoint)]),
            Target::AzureMl(_) | Target::CloudRun(_) => ("", Vec::new()),
        };
        if of_revision && !self.of_all {
            let name = if matches!(self.target, Target::Lambda(_)) { "ExecutedVersion" } else { "VariantName" };
            dimensions.push(pair(name, self.revision.as_str()));
        }
        let (place, namespace, metric) = (self.place.clone(), namespace.to_owned(), metric.to_owned());
        Series { place, namespace, metric, dimensions, statistic }
    }

    fn sum(&self, metric: &str) -> Series {
        self.series(metric, "Sum".to_owned(), true)
    }

    fn requests(&self) -> Series {
        self.sum("Invocations")
    }

    fn routed(&self) -> Option<Series> {
        matches!(self.target, Target::Lambda(_)).then(|| self.series("Invocations", "Sum".to_owned(), false))
    }

    fn failures(&self) -> Failures {
        match self.target {
            Target::SageMaker(_) => Failures {
                counted: self.sum("Invocation5XXErrors"),
                model: Some((self.sum("InvocationModelErrors"), self.sum("Invocation4XXErrors"))),
            },
            Target::AzureMl(_) | Target::CloudRun(_) | Target::Lambda(_) => {
                Failures { counted: self.sum("Errors"), model: None }
            }
        }
    }

    /// The highest of any instance; of SageMaker's variants only.
    fn utilisation(&self, resource: Resource) -> Option<Series> {
        let metric = match resource {
            Resource::Cpu => "CPUUtilization",
            Resource::Gpu => "GPUUtilization",
            Resource::GpuMemory => "GPUMemoryUtilization",
            Resource::Memory => "MemoryUtilization",
        };
        let series = self.series(metric, "Maximum".to_owned(), true);
        let namespace = "/aws/sagemaker/Endpoints".to_owned();
        matches!(self.target, Target::SageMaker(_)).then_some(Series { namespace, ..series })
    }

    fn latency(&self, statistic: String) -> Series {
        let metric = if matches!(self.target, Target::SageMaker(_)) { "ModelLatency" } else { "Duration" };
        self.series(metric, statistic, true)
    }

    /// How many of its units a second has: microseconds for SageMaker's, milliseconds for Lambda's.
    const fn per_second(&self) -> f64 {
        if matches!(self.target, Target::SageMaker(_)) { 1e6 } else { 1e3 }
    }

    fn quantile(&self, millionths: u32) -> Parts {
        let share = f64::from(millionths) / 1e6;
        Parts::Quantile {
            requests: self.latency("SampleCount".to_owned()),
            latency: self.latency(format!("p{}", trimmed(100.0 * share))),
            per_second: self.per_second(),
            share,
        }
    }

    /// Trimmed counts leave the lower bound out and the upper one in, as buckets do.
    fn slow(&self, threshold: f64) -> Slow {
        let bound = trimmed(threshold * self.per_second());
        Slow { threshold, at_most: self.latency(format!("TC(:{bound})")), above: self.latency(format!("TC({bound}:)")) }
    }
}

impl Asked {
    /// All series that it takes.
    pub(super) fn series(&self) -> Vec<&Series> {
        let whole = self.whole.iter().filter(|whole| whole.is_asked).flat_map(|whole| whole.parts.series());
        self.routed.iter().chain(self.parts.series()).chain(whole).collect()
    }

    /// The alarms that it takes, and their region.
    pub(super) fn alarms(&self) -> Option<(&str, &[String])> {
        match &self.parts {
            Parts::Alarms { region, names } => Some((region, names)),
            Parts::ErrorRate { .. }
            | Parts::Headroom { .. }
            | Parts::Latency { .. }
            | Parts::Quantile { .. }
            | Parts::Requests(_)
            | Parts::Value(_) => None,
        }
    }

    /// Asks for what stands for the revision, too.
    pub(super) fn ask_for_the_whole(&mut self) {
        if let Some(whole) = &mut self.whole {
            whole.is_asked = true;
        }
    }
}

impl Parts {
    fn series(&self) -> Vec<&Series> {
        match self {
            Self::ErrorRate { requests, failures } => {
                let model = failures.model.iter().flat_map(|(model, client)| [model, client]);
                [requests, &failures.counted].into_iter().chain(model).collect()
            }
            Self::Latency { requests, slow } => {
                let slow = slow.iter().flat_map(|slow| [&slow.at_most, &slow.above]);
                [requests].into_iter().chain(slow).collect()
            }
            Self::Quantile { requests, latency, .. } => vec![requests, latency],
            Self::Alarms { .. } => Vec::new(),
            Self::Headroom { used: series, .. } | Self::Requests(series) | Self::Value(series) => vec![series],
        }
    }
}

/// As CloudWatch writes numbers. It takes ten decimals; fewer hide that 0.0007 s are not quite 700 us in binary.
fn trimmed(number: f64) -> String {
    let text = format!("{number:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "settings", message)
}
