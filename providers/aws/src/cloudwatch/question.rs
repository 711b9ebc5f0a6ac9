//! Which series answer a query, and what they say.

use mlroll_backend::{
    Error, ErrorKind, Histogram, Query, Resource, Result, RevisionId, Sample, Subject, Target, Why, Window,
};

use super::alarms;
use super::expression::Expression;
use super::machines::Machines;
use super::series::{Place, Readings, Series};

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
    parts: Parts,
    /// All requests of the thing that routes, whoever served them; known for Lambda.
    routed: Option<Series>,
}

#[derive(Clone, Debug)]
enum Parts {
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
struct Slow {
    threshold: f64,
    at_most: Series,
    above: Series,
}

/// The metrics that count failed requests.
#[derive(Clone, Debug)]
struct Failures {
    /// Those that the service calls failed.
    counted: Series,
    /// SageMaker's model errors, and those of them that were the caller's fault.
    model: Option<(Series, Series)>,
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
        Err(invalid(format!(
            "`look` is {seconds} s, and CloudWatch answers for whole minutes only (for high-resolution metrics of your \
             own also for 1, 5, 10, 20 or 30 s, and for SageMaker endpoints with enhanced metrics as often as those are \
             published)"
        )))
    }

    /// Whether it depends on what a SageMaker endpoint runs on.
    pub(super) const fn needs_machines(&self) -> bool {
        matches!(self, Self::Headroom(_))
    }

    /// What is asked about one subject; `machines` is what its endpoint runs on, or why that is not known.
    pub(super) fn about(&self, subject: &Subject, machines: Option<&Result<Machines, Why>>) -> Result<Asked> {
        let of = Metrics::of(subject)?;
        let parts = match self {
            Self::Alarms(names) => Parts::Alarms { region: of.place.region.clone(), names: names.clone() },
            Self::Headroom(resource) => {
                let used = of.utilisation(*resource).ok_or_else(|| {
                    Query::Headroom(*resource).unsupported("GetMetricData", "CloudWatch, for anything but SageMaker,")
                })?;
                let full = match machines {
                    Some(Ok(machines)) => machines.full(subject.revision.as_str(), *resource),
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
            Self::Value(expression) => Parts::Value(expression.series(&of.place, &subject.revision)),
        };
        let routed = match &parts {
            Parts::Alarms { .. } | Parts::Headroom { .. } | Parts::Value(_) => None,
            Parts::ErrorRate { .. } | Parts::Latency { .. } | Parts::Quantile { .. } | Parts::Requests(_) => {
                of.routed()
            }
        };
        Ok(Asked { parts, routed })
    }
}

/// The metrics of one revision.
struct Metrics<'s> {
    place: Place,
    target: &'s Target,
    revision: &'s RevisionId,
}

impl<'s> Metrics<'s> {
    fn of(subject: &'s Subject) -> Result<Self> {
        let Subject { target, revision } = subject;
        let place = Place::of(target).ok_or_else(|| {
            let message =
                format!("CloudWatch has no metrics of {target}; it has those of lambda: and sagemaker: targets");
            Error::new(ErrorKind::Unsupported, "settings", message)
        })?;
        Ok(Self { place, target, revision })
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
        if of_revision {
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
        let mut all: Vec<&Series> = self.routed.iter().collect();
        match &self.parts {
            Parts::ErrorRate { requests, failures } => {
                all.extend([requests, &failures.counted]);
                all.extend(failures.model.iter().flat_map(|(model, client)| [model, client]));
            }
            Parts::Latency { requests, slow } => {
                all.push(requests);
                all.extend(slow.iter().flat_map(|slow| [&slow.at_most, &slow.above]));
            }
            Parts::Quantile { requests, latency, .. } => all.extend([requests, latency]),
            Parts::Alarms { .. } => {}
            Parts::Headroom { used: series, .. } | Parts::Requests(series) | Parts::Value(series) => all.push(series),
        }
        all
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

    /// The series that tells whether this subject had requests, and the one of all requests that it is a part of.
    fn share(&self) -> Option<(&Series, &Series)> {
        match &self.parts {
            Parts::ErrorRate { requests, .. }
            | Parts::Latency { requests, .. }
            | Parts::Quantile { requests, .. }
            | Parts::Requests(requests) => Some((requests, self.routed.as_ref()?)),
            Parts::Alarms { .. } | Parts::Headroom { .. } | Parts::Value(_) => None,
        }
    }

    /// What was read says of a window; `beside` are the same question's other subjects, and this one.
    pub(super) fn read(&self, readings: &Readings, window: Window, beside: &[Self]) -> Sample {
        let sample = match &self.parts {
            Parts::Alarms { region, names } => {
                let told: Vec<_> = names.iter().map(|name| (name.as_str(), readings.alarm(region, name))).collect();
                alarms::read(&told, window)
            }
            Parts::Headroom { used, full } => readings.at(used, window).and_then(|used| {
                let (used, full) = (used.ok_or(Why::Empty)?, full.clone()?);
                Ok(Sample::value((1.0 - used / full).clamp(0.0, 1.0)))
            }),
            Parts::ErrorRate { requests, failures } => error_rate(requests, failures, readings, window),
            Parts::Latency { requests, slow } => latency(requests, slow, readings, window),
            Parts::Quantile { requests, latency, per_second, share } => {
                let [requests, latency] = [requests, latency].map(|series| readings.at(series, window));
                quantile(requests, latency, *per_second, *share)
            }
            Parts::Requests(series) | Parts::Value(series) => {
                readings.at(series, window).and_then(|value| value.map(Sample::value).ok_or(Why::Empty))
            }
        };
        match sample {
            Ok(sample) => sample,
            Err(Why::Empty) => Sample::NoData(self.nothing(readings, window, beside).err().unwrap_or(Why::Empty)),
            Err(why) => Sample::NoData(why),
        }
    }

    /// Fails when something was there that is not told: an alias whose requests no version has had.
    fn nothing(&self, readings: &Readings, window: Window, beside: &[Self]) -> Result<(), Why> {
        let Some((_, routed)) = self.share() else {
            return Ok(());
        };
        let all = readings.at(routed, window)?.unwrap_or(0.0);
        let mut told = false;
        for (requests, theirs) in beside.iter().filter_map(Self::share) {
            told |= theirs == routed && readings.at(requests, window)?.is_some_and(|count| count > 0.0);
        }
        if told || all <= 0.0 {
            return Ok(());
        }
        let found = format!("the alias had {all} requests, and CloudWatch does not tell which version served them");
        Err(Why::Inconsistent { found })
    }
}

fn error_rate(requests: &Series, failures: &Failures, readings: &Readings, window: Window) -> Result<Sample, Why> {
    let at = |series: &Series| Ok::<f64, Why>(readings.at(series, window)?.unwrap_or(0.0));
    let mut failed = at(&failures.counted)?;
    // Model errors are all answers but 2xx, and no answer at all: without the caller's own faults, what is left is at least
    // what was answered with 5xx.
    if let Some((model, client)) = &failures.model {
        failed = failed.max(at(model)? - at(client)?);
    }
    match readings.at(requests, window)? {
        Some(requests) => Ok(Sample::counts(requests, failed)),
        None if failed > 0.0 => Err(Why::Inconsistent { found: format!("{failed} failed requests of none") }),
        None => Err(Why::Empty),
    }
}

fn latency(requests: &Series, slow: &[Slow], readings: &Readings, window: Window) -> Result<Sample, Why> {
    let Some(total) = readings.at(requests, window)? else {
        return Err(Why::Empty);
    };
    let mut buckets = vec![(f64::INFINITY, total)];
    for Slow { threshold, at_most, above } in slow {
        // A count of nothing may be told as zero or not at all; both missing means that there are no such counts.
        let fast = match (readings.at(at_most, window)?, readings.at(above, window)?) {
            (None, None) if total > 0.0 => {
                let found = format!("{total} requests and no trimmed count: it was published without single values");
                return Err(Why::Inconsistent { found });
            }
            (fast, above) => {
                let (fast, above) = (fast.unwrap_or(0.0), above.unwrap_or(0.0));
                // Counts from distributions may be off by rounding.
                if (fast + above - total).abs() > 1.0 + total * 0.01 {
                    let found = format!("{fast} fast and {above} slow requests of {total}");
                    return Err(Why::Inconsistent { found });
                }
                (total - above).max(0.0)
            }
        };
        buckets.push((*threshold, fast));
    }
    Histogram::new(buckets).map(Sample::Histogram).map_err(|e| Why::Inconsistent { found: e.to_string() })
}

/// A bucket that ends at the quantile. A store that knows how many requests there were and no quantile of them was given sums.
fn quantile(
    requests: Result<Option<f64>, Why>,
    latency: Result<Option<f64>, Why>,
    per_second: f64,
    share: f64,
) -> Result<Sample, Why> {
    let Some(total) = requests?.filter(|total| *total > 0.0) else {
        return Err(Why::Empty);
    };
    let inconsistent = |found: String| Why::Inconsistent { found };
    let latency = latency?.ok_or_else(|| {
        inconsistent(format!("{total} requests and no percentile: it was published without single values"))
    })?;
    Histogram::new(vec![(latency / per_second, share * total), (f64::INFINITY, total)])
        .map(Sample::Histogram)
        .map_err(|e| inconsistent(e.to_string()))
}

/// As CloudWatch writes numbers. It takes ten decimals; fewer hide that 0.0007 s are not quite 700 us in binary.
fn trimmed(number: f64) -> String {
    let text = format!("{number:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "settings", message)
}
