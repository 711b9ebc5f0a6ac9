//! What a sandbox is made of: targets, their revisions and users; read from TOML.

mod alarms;
mod check;
mod cloudwatch;
mod units;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use mlroll_backend::{Target, Timestamp};
use serde::Deserialize;

pub use self::alarms::{Alarm, AlarmState, Alert, Turn};
pub use self::cloudwatch::{CloudWatch, Latencies, Versions};
use self::units::{share, some_share, some_span, span};

/// A world to be simulated.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// What all chance is drawn from.
    pub seed: u64,
    /// The moment at which the sandbox's clock starts; the real time when none is given.
    pub start: Option<Timestamp>,
    /// The targets, by their URIs.
    pub targets: BTreeMap<String, Service>,
    /// How Prometheus collects.
    pub prometheus: Prometheus,
    /// How CloudWatch publishes.
    pub cloudwatch: CloudWatch,
    /// What Azure ML grants, and how fast it is.
    pub azure_ml: AzureMl,
    /// What Log Analytics has of the requests to Azure ML, and when.
    pub azure_logs: AzureLogs,
    /// How Azure Monitor publishes.
    pub azure_monitor: AzureMonitor,
    /// How Google Cloud Monitoring publishes.
    pub cloud_monitoring: CloudMonitoring,
    /// How Cloud Run makes revisions.
    pub cloud_run: CloudRun,
    /// How SageMaker changes endpoints.
    pub sagemaker: SageMaker,
}

/// A target and those who use it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Requests that arrive in a second, on average, without bursts: 0 to 100,000.
    pub requests_per_second: f64,
    /// By how much the rate swings around its average each day, highest at 14:00 UTC: 0 to 1.
    #[serde(default, deserialize_with = "share")]
    pub daily: f64,
    /// Times of more requests.
    #[serde(default)]
    pub bursts: Option<Bursts>,
    /// The revision that gets all of them at first.
    pub stable: String,
    /// All revisions, by name, with how each behaves.
    pub revisions: BTreeMap<String, Behaviour>,
}

/// Bursts of requests, on top of the average: one in each stretch of `every`, at a moment of chance.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bursts {
    /// How often: 1 second to 1 day.
    #[serde(deserialize_with = "span")]
    pub every: Duration,
    /// How long, at most `every`.
    #[serde(deserialize_with = "span")]
    pub last: Duration,
    /// How many times the usual rate it is meanwhile: 0 to 1,000.
    pub times: f64,
}

/// How a revision answers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Behaviour {
    /// Whether it can serve at all, as the control plane tells.
    pub state: State,
    /// The share of requests that fail.
    #[serde(deserialize_with = "share")]
    pub error_rate: f64,
    /// How many requests in a row fail, on average, when one does: 1 to 10,000. 1: each on its own.
    pub error_cluster: f64,
    /// How long requests take.
    pub latency: Latency,
    /// Requests that take longer because something has to be loaded first.
    pub cold_start: Option<ColdStart>,
    /// What gets worse with time.
    pub leak: Option<Leak>,
    /// The scores that the model gives; none: it gives no scores.
    pub score: Option<Score>,
    /// Grams of CO2 equivalent that a request costs, on average.
    pub gco2e: f64,
    /// The share of requests that lead to a sale; failed ones never do.
    #[serde(deserialize_with = "share")]
    pub conversion_rate: f64,
    /// The share of the requests meant for it that never reach it, as with a splitter that is broken.
    #[serde(deserialize_with = "share")]
    pub lost: f64,
    /// The share of the requests that reach it which are turned away, as nobody is free to answer them: 429 on Azure ML.
    #[serde(deserialize_with = "share")]
    pub throttled: f64,
    /// The share of its answers that are not stable's, as whoever compares them counts it; none: nobody does.
    #[serde(deserialize_with = "some_share")]
    pub differs: Option<f64>,
    /// The instances behind it; none: nothing is known of them.
    pub instances: Option<Instances>,
}

/// The instances behind a revision, while it has requests.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Instances {
    /// How long a new one takes until it can serve; one starts each minute.
    #[serde(deserialize_with = "span")]
    pub startup: Duration,
    /// What the fullest uses of its processors.
    #[serde(deserialize_with = "share")]
    pub cpu: f64,
    /// What it uses of its memory.
    #[serde(deserialize_with = "share")]
    pub memory: f64,
    /// What it uses of its accelerators; 0: it has none.
    #[serde(deserialize_with = "share")]
    pub gpu: f64,
    /// What it uses of their memory.
    #[serde(deserialize_with = "share")]
    pub gpu_memory: f64,
    /// How many requests wait for an instance, at most.
    pub pending: u32,
}

/// Whether a revision can serve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum State {
    /// It can.
    #[default]
    Active,
    /// It could not be made: the control plane has it, but it never serves.
    Failed,
}

/// A lognormal distribution.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// Half of the requests take less: 10 microseconds to 1 hour.
    #[serde(deserialize_with = "span")]
    pub median: Duration,
    /// 95 % of the requests take less; at least the median.
    #[serde(deserialize_with = "span")]
    pub p95: Duration,
}

/// Requests that have to wait for a start.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColdStart {
    /// How much longer they take.
    #[serde(deserialize_with = "span")]
    pub extra: Duration,
    /// All requests in this long after the revision first got traffic.
    #[serde(default, deserialize_with = "span")]
    pub first: Duration,
    /// This share of the later ones.
    #[serde(default, deserialize_with = "share")]
    pub share: f64,
}

/// Growth that starts some time after the revision first got traffic.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leak {
    /// How long all is well.
    #[serde(deserialize_with = "span")]
    pub after: Duration,
    /// By how much the share of failed requests grows in an hour.
    #[serde(default, deserialize_with = "share")]
    pub error_rate_per_hour: f64,
    /// By what share of itself the latency grows in an hour: with 1, it is doubled after the first hour, threefold after the
    /// second.
    #[serde(default, deserialize_with = "share")]
    pub latency_per_hour: f64,
}

/// A beta distribution on 0 to 1.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// The mean, above 0 and below 1.
    pub mean: f64,
    /// The standard deviation; less than that of a coin with this mean.
    pub sd: f64,
    /// By how much the mean moves in an hour after the revision first got traffic; it stays within 0.01 to 0.99.
    #[serde(default)]
    pub drift_per_hour: f64,
}

/// How Prometheus collects.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Prometheus {
    /// How often it reads each revision's counters: 1 second to 1 hour, whole seconds.
    #[serde(deserialize_with = "span")]
    pub scrape: Duration,
    /// How old a sample is before it can be asked for.
    #[serde(deserialize_with = "span")]
    pub delay: Duration,
}

/// What Azure ML grants, and how fast it is.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AzureMl {
    /// How long a change of an endpoint takes.
    #[serde(deserialize_with = "span")]
    pub update: Duration,
    /// How many cores all deployments may take together; as many as they like without one.
    pub cores: Option<u64>,
}

/// What Log Analytics has of the requests to Azure ML, and when.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AzureLogs {
    /// How long after a request its row can be read.
    #[serde(deserialize_with = "span")]
    pub delay: Duration,
    /// Whether endpoints have a diagnostic setting that sends their traffic log to the workspace.
    pub diagnostic_setting: bool,
    /// The id of the workspace.
    pub workspace: String,
}

/// How Azure Monitor publishes.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AzureMonitor {
    /// How long after a request it counts in its minute: until then the minute lacks it.
    #[serde(deserialize_with = "span")]
    pub delay: Duration,
}

/// How Google Cloud Monitoring publishes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CloudMonitoring {
    /// How long after its end a minute can be read.
    #[serde(deserialize_with = "span")]
    pub delay: Duration,
    /// The share of answers that lack a part and say so in `executionErrors`; asked again a second later, chance decides
    /// anew.
    #[serde(deserialize_with = "share")]
    pub execution_errors: f64,
    /// The most points in one page of an answer, less than Google's own limit of 100,000; a page has a series at least.
    pub page: Option<usize>,
    /// Alert policies, by display name.
    pub alerts: BTreeMap<String, Alert>,
}

/// How Cloud Run makes revisions.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CloudRun {
    /// How long a new revision takes to become ready, or to fail.
    #[serde(deserialize_with = "span")]
    pub start: Duration,
    /// What becomes of revisions that are made from these images; others behave as the defaults say.
    pub images: BTreeMap<String, Behaviour>,
}

/// How SageMaker changes endpoints.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SageMaker {
    /// How long new weights take.
    #[serde(deserialize_with = "span")]
    pub update: Duration,
    /// How long a new endpoint, or another endpoint config, takes.
    #[serde(deserialize_with = "span")]
    pub deploy: Duration,
    /// The least and the most instances that autoscaling allows every variant; none: no variant is a scalable target.
    pub autoscaling: Option<[i64; 2]>,
    /// The kind of machine that every variant begins with.
    pub machine: String,
    /// How often endpoints publish enhanced metrics; none: they have the usual ones, once a minute.
    #[serde(deserialize_with = "some_span")]
    pub enhanced_metrics: Option<Duration>,
    /// What befalls endpoints.
    pub incidents: Vec<Incident>,
}

/// Something that nobody asked for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incident {
    /// The endpoint's name, in any region.
    pub endpoint: String,
    /// What it is.
    pub status: IncidentStatus,
    /// How long after the sandbox began.
    #[serde(deserialize_with = "span")]
    pub after: Duration,
    /// How long it lasts; a failure is for good.
    #[serde(default = "five_minutes", deserialize_with = "span")]
    pub last: Duration,
}

/// The state that an incident brings an endpoint into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum IncidentStatus {
    /// AWS maintains it.
    SystemUpdating,
    /// The next change from then on is taken back when it should have become live.
    RollingBack,
    /// It fails: it can only be deleted.
    Failed,
    /// A rolling deployment and its rollback have failed: a mix of two configs serves, and no change is taken.
    UpdateRollbackFailed,
}

const fn five_minutes() -> Duration {
    Duration::from_secs(300)
}

/// Why a text is no [`Scenario`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidScenario(String);

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// It is not TOML, has a key that is unknown, or a value that makes no sense; with the place.
    pub fn from_toml(text: &str) -> Result<Self, InvalidScenario> {
        let scenario: Self = toml::from_str(text).map_err(|why| InvalidScenario(why.to_string()))?;
        scenario.check()?;
        Ok(scenario)
    }

    /// What a sandbox shows when nothing else is asked for: `lambda:us-east-1/fraud@prod`, stable at version 2, with a
    /// version 3 that is as good; `cloud-run:acme/europe-west3/fraud` likewise; and the endpoints `fraud` on SageMaker, stable
    /// at variant `a` with an idle `b`, and on Azure, stable at blue with a green that is as good.
    #[must_use]
    pub fn default_world() -> Self {
        let healthy = Behaviour { error_rate: 0.002, ..Behaviour::default() };
        let service = |stable: &str, revisions: &[&str]| Service {
            requests_per_second: 50.0,
            daily: 0.0,
            bursts: None,
            stable: stable.to_owned(),
            revisions: revisions.iter().map(|name| ((*name).to_owned(), healthy.clone())).collect(),
        };
        let targets = [
            ("azure-ml:00000000-0000-0000-0000-000000000000/ml/prod/fraud", service("blue", &["blue", "green"])),
            (
                "cloud-run:acme/europe-west3/fraud",
                service("fraud-00002-b", &["fraud-00001-a", "fraud-00002-b", "fraud-00003-c"]),
            ),
            ("lambda:us-east-1/fraud@prod", service("2", &["1", "2", "3"])),
            ("sagemaker:us-east-1/fraud", service("a", &["a", "b"])),
        ];
        let sagemaker = SageMaker { autoscaling: Some([1, 4]), ..SageMaker::default() };
        let targets = targets.map(|(uri, service)| (uri.to_owned(), service)).into();
        Self { targets, sagemaker, ..Self::default() }
    }

    /// The targets that can be read as such.
    pub fn parsed_targets(&self) -> impl Iterator<Item = (Target, &Service)> {
        self.targets.iter().filter_map(|(uri, service)| Some((uri.parse().ok()?, service)))
    }
}

/// Takes 80 ms and 200 ms at the 95th percentile, never fails, scores 0.3 with a deviation of 0.1, sells in 2 % of the cases
/// and costs 0.01 g.
impl Default for Behaviour {
    fn default() -> Self {
        Self {
            state: State::Active,
            error_rate: 0.0,
            error_cluster: 1.0,
            latency: Latency { median: Duration::from_millis(80), p95: Duration::from_millis(200) },
            cold_start: None,
            leak: None,
            score: Some(Score { mean: 0.3, sd: 0.1, drift_per_hour: 0.0 }),
            gco2e: 0.01,
            conversion_rate: 0.02,
            lost: 0.0,
            throttled: 0.0,
            differs: None,
            instances: None,
        }
    }
}

impl Default for Instances {
    fn default() -> Self {
        Self { startup: Duration::from_secs(2), cpu: 0.4, memory: 0.5, gpu: 0.0, gpu_memory: 0.0, pending: 0 }
    }
}

impl Default for Prometheus {
    fn default() -> Self {
        Self { scrape: Duration::from_secs(15), delay: Duration::ZERO }
    }
}

/// 20.4 s were recorded, from the PUT to its end.
impl Default for AzureMl {
    fn default() -> Self {
        Self { update: Duration::from_secs(20), cores: None }
    }
}

/// Resource logs are usually there within three to ten minutes (Azure Monitor, log data ingestion time).
impl Default for AzureLogs {
    fn default() -> Self {
        let workspace = "00000000-0000-0000-0000-00000000000a".to_owned();
        Self { delay: five_minutes(), diagnostic_setting: true, workspace }
    }
}

impl Default for AzureMonitor {
    fn default() -> Self {
        Self { delay: Duration::from_secs(60) }
    }
}

/// Sampled each 60 s, then not visible for up to 180 s (Google's list of metrics).
impl Default for CloudMonitoring {
    fn default() -> Self {
        Self { delay: Duration::from_secs(180), execution_errors: 0.0, page: None, alerts: BTreeMap::new() }
    }
}

impl Default for CloudRun {
    fn default() -> Self {
        Self { start: Duration::from_secs(10), images: BTreeMap::new() }
    }
}

impl Default for SageMaker {
    fn default() -> Self {
        Self {
            update: Duration::from_secs(60),
            deploy: five_minutes(),
            autoscaling: None,
            machine: "ml.m5.large".to_owned(),
            enhanced_metrics: None,
            incidents: Vec::new(),
        }
    }
}

/// As [`Scenario::from_toml`].
impl FromStr for Scenario {
    type Err = InvalidScenario;

    fn from_str(text: &str) -> Result<Self, InvalidScenario> {
        Self::from_toml(text)
    }
}

impl fmt::Display for InvalidScenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidScenario {}
