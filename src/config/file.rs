//! `mlroll.toml`.
//!
//! Unknown keys are refused: a misspelt `on_fial` would else be a default nobody chose.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use mlroll_backend::Target;
use serde::de::{self, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::gate_key;
use super::values::{OnCapacity, OnFail, OnInconclusive, Share, Span, Steps};
use crate::judge::gate::Gate;

/// The file as a whole.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where journals are kept: a folder, `s3://`, `gs://` or `az://`.
    pub state: Option<String>,
    /// Services by name.
    #[serde(default)]
    pub services: BTreeMap<String, Spanned<Service>>,
}

/// One service: what routes its traffic, and how it is rolled out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The one target.
    pub target: Option<Target>,
    /// Several, moved together.
    pub targets: Option<Targets>,
    /// Several, moved one group after the other.
    #[serde(default)]
    pub waves: Vec<Wave>,
    /// The shares of a rollout.
    pub steps: Option<Steps>,
    /// How long each step must hold.
    pub bake: Option<Span>,
    /// The part of a bake that is not judged.
    pub warm_up: Option<Span>,
    /// The shortest bake that can pass early.
    pub min_bake: Option<Span>,
    /// The length of one look.
    pub look: Option<Span>,
    /// How long the promoted revision is watched.
    pub watch_after: Option<Span>,
    /// How long a previous revision is kept from being overwritten.
    pub keep_previous: Option<Span>,
    /// The chance of a false rollback per rollout.
    pub alpha: Option<Share>,
    /// The chance of a false promotion per gate.
    pub beta: Option<Share>,
    /// What a failed gate does.
    pub on_fail: Option<OnFail>,
    /// What a bake without a verdict does.
    pub on_inconclusive: Option<OnInconclusive>,
    /// What a starved candidate does.
    pub on_starved: Option<OnFail>,
    /// What a run does about the candidate's capacity.
    pub capacity: Option<OnCapacity>,
    /// What a model registry is told of whom was promoted.
    pub model_stage: Option<Stage>,
    /// How long a rollout waits for metrics.
    pub no_data_budget: Option<Span>,
    /// How long a shift may take until it is live.
    pub settle_timeout: Option<Span>,
    /// Where metrics come from.
    pub metrics: Option<Metrics>,
    /// What decides.
    #[serde(default)]
    pub gates: Vec<Gate>,
    /// Kayenta's score, in place of the single gates that Kayenta judges.
    pub kayenta: Option<Kayenta>,
}

/// Kayenta's score over the gates that it judges; its thresholds are those that Spinnaker proposes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Kayenta {
    /// From here on it is a pass, 0 to 100.
    pub pass: f64,
    /// Below, it is a fail.
    pub marginal: f64,
    /// The weights of groups, 100 at most together.
    pub weights: BTreeMap<String, f64>,
}

impl Default for Kayenta {
    fn default() -> Self {
        Self { pass: 95.0, marginal: 75.0, weights: BTreeMap::new() }
    }
}

/// A stage in the life of a model, in its owners' own words.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Such as `Production`.
    pub stage: String,
    /// How far it is there, such as `Approved`.
    pub status: String,
}

impl Stage {
    /// As a provider is told.
    #[must_use]
    pub fn told(&self) -> mlroll_backend::ModelStage {
        mlroll_backend::ModelStage { stage: self.stage.clone(), status: self.status.clone() }
    }
}

/// A group of targets that are moved together.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wave {
    /// The group.
    pub targets: Targets,
}

/// A list of targets. Each is read where it stands, so that a wrong one is pointed at and not the list.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Targets(Vec<Spanned<Listed>>);

#[derive(Clone, Debug, Deserialize)]
#[serde(from = "String")]
struct Listed(Result<Target, String>);

impl From<String> for Listed {
    fn from(text: String) -> Self {
        Self(text.parse().map_err(|e: mlroll_backend::InvalidTarget| e.to_string()))
    }
}

impl Targets {
    fn iter(&self) -> impl Iterator<Item = &Target> {
        self.0.iter().filter_map(|listed| listed.get_ref().0.as_ref().ok())
    }

    fn complaint(&self) -> Option<(Range<usize>, String)> {
        self.0.iter().find_map(|listed| Some((listed.span(), listed.get_ref().0.as_ref().err()?.clone())))
    }
}

/// Where metrics come from.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// The store.
    pub source: Source,
    /// How late the store is: a duration, or `auto`.
    pub settle_delay: Option<String>,
    /// Azure Monitor: whether requests are counted in the traffic log, and where that is.
    pub logs: Option<Spanned<Logs>>,
    /// Prometheus: how often it scrapes; measured when not given.
    pub scrape: Option<Span>,
    /// Prometheus: its address.
    pub url: Option<String>,
    /// Prometheus: headers of every request.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Prometheus: the variable that holds a bearer token.
    pub bearer_env: Option<String>,
    /// Prometheus: the variable that holds the user.
    pub basic_user_env: Option<String>,
    /// Prometheus: the variable that holds the password.
    pub basic_password_env: Option<String>,
    /// Prometheus: a file of certificates to trust.
    pub ca: Option<PathBuf>,
    /// Prometheus: send credentials over plain http beyond loopback.
    #[serde(default)]
    pub allow_plain_http: bool,
    /// Prometheus: the counter of requests.
    pub requests: Option<String>,
    /// Prometheus: the counter of errors.
    pub errors: Option<String>,
    /// Prometheus: the histogram of latencies.
    pub latency: Option<String>,
    /// Prometheus: metric names of a known server.
    pub preset: Option<Preset>,
}

/// Where the traffic log of Azure ML's endpoints is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Logs {
    /// Nowhere.
    Off,
    /// By the endpoint: Azure finds the workspaces that its logs are in.
    OfTarget,
    /// In the Log Analytics workspace of this id.
    Workspace(String),
}

impl<'de> Deserialize<'de> for Logs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl Visitor<'_> for Written {
            type Value = Logs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "true, false, or the id of a Log Analytics workspace (its `customerId`, 32 digits in five groups)",
                )
            }

            fn visit_bool<E: de::Error>(self, on: bool) -> Result<Logs, E> {
                Ok(if on { Logs::OfTarget } else { Logs::Off })
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Logs, E> {
                let groups: Vec<&str> = text.split('-').collect();
                let is_id = groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
                    && groups.concat().bytes().all(|digit| digit.is_ascii_hexdigit());
                if is_id {
                    Ok(Logs::Workspace(text.to_ascii_lowercase()))
                } else {
                    Err(E::invalid_value(Unexpected::Str(text), &self))
                }
            }
        }
        deserializer.deserialize_any(Written)
    }
}

/// A metric store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Azure Monitor.
    AzureMonitor,
    /// Google Cloud Monitoring.
    CloudMonitoring,
    /// Amazon CloudWatch.
    Cloudwatch,
    /// Anything that speaks Prometheus' query API.
    Prometheus,
}

/// A model server whose metric names are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// FastAPI.
    Fastapi,
    /// Istio.
    Istio,
    /// Knative.
    Knative,
    /// KServe.
    Kserve,
    /// Seldon Core.
    Seldon,
    /// TorchServe.
    Torchserve,
    /// NVIDIA Triton.
    Triton,
    /// vLLM.
    Vllm,
}

/// What is wrong with the file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub path: PathBuf,
    /// Line and column, from 1; `None` when the file as a whole is meant.
    pub place: Option<(usize, usize)>,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl Metrics {
    /// A key that only Prometheus has, if one is set.
    #[must_use]
    pub fn key_of_prometheus(&self) -> Option<&'static str> {
        let keys = [
            ("url", self.url.is_some()),
            ("headers", !self.headers.is_empty()),
            ("bearer_env", self.bearer_env.is_some()),
            ("basic_user_env", self.basic_user_env.is_some()),
            ("basic_password_env", self.basic_password_env.is_some()),
            ("ca", self.ca.is_some()),
            ("allow_plain_http", self.allow_plain_http),
            ("requests", self.requests.is_some()),
            ("errors", self.errors.is_some()),
            ("latency", self.latency.is_some()),
            ("preset", self.preset.is_some()),
            ("scrape", self.scrape.is_some()),
        ];
        keys.into_iter().find_map(|(key, set)| set.then_some(key))
    }

    /// The workspace of the traffic log that requests are counted in, `None` inside for any that the endpoint's logs are in;
    /// `None` where metrics count them.
    #[must_use]
    pub fn logs(&self) -> Option<Option<&str>> {
        match self.logs.as_ref()?.get_ref() {
            Logs::Off => None,
            Logs::OfTarget => Some(None),
            Logs::Workspace(id) => Some(Some(id)),
        }
    }

    /// What does not fit the source, and where.
    fn complaint(&self) -> Option<(Range<usize>, String)> {
        let logs = self.logs.as_ref().filter(|_| self.source != Source::AzureMonitor)?;
        Some((logs.span(), "`logs` is for `source = \"azure-monitor\"`; leave it out".to_owned()))
    }

    /// What decides which numbers are read, by key: what a run that goes on must find unchanged. Without secrets: of `url`
    /// no user and no query, of `headers` the names.
    #[must_use]
    pub fn frozen(&self) -> BTreeMap<String, String> {
        let url = self.url.as_deref().map(|url| {
            let url = url.split(['?', '#']).next().unwrap_or_default();
            match url.split_once("://") {
                Some((scheme, rest)) => {
                    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                    let host = authority.rsplit('@').next().unwrap_or_default();
                    format!("{scheme}://{host}{path}")
                }
                None => url.rsplit('@').next().unwrap_or_default().to_owned(),
            }
        });
        let headers: Vec<&str> = self.headers.keys().map(String::as_str).collect();
        let all = [
            ("source", Some(format!("{:?}", self.source).to_lowercase())),
            ("logs", self.logs().map(|workspace| workspace.unwrap_or("true").to_owned())),
            ("url", url),
            ("headers", Some(headers.join(", ")).filter(|names| !names.is_empty())),
            ("requests", self.requests.clone()),
            ("errors", self.errors.clone()),
            ("latency", self.latency.clone()),
            ("preset", self.preset.map(|preset| format!("{preset:?}").to_lowercase())),
        ];
        all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }
}

impl Service {
    /// All its targets, in the order they are written.
    pub fn all_targets(&self) -> impl Iterator<Item = &Target> {
        self.target.iter().chain(self.lists().flat_map(Targets::iter))
    }

    /// Which of its waves the target is in, from 0; `None` for a service without waves.
    #[must_use]
    pub fn wave_of(&self, target: &Target) -> Option<usize> {
        self.waves.iter().position(|wave| wave.targets.iter().any(|t| t.may_be(target)))
    }

    fn lists(&self) -> impl Iterator<Item = &Targets> {
        self.targets.iter().chain(self.waves.iter().map(|wave| &wave.targets))
    }

    fn complaint(&self, name: &str) -> Option<String> {
        let ways = [self.target.is_some(), self.targets.is_some(), !self.waves.is_empty()];
        match ways.iter().filter(|way| **way).count() {
            0 => Some(format!("service `{name}` has no target: give `target`, `targets` or `waves`")),
            1 if self.all_targets().next().is_none() => Some(format!("service `{name}` has an empty list of targets")),
            1 => None,
            _ => Some(format!("service `{name}` has more than one of `target`, `targets` and `waves`; allowed is one")),
        }
    }
}

/// Reads the file and checks all of it.
///
/// # Errors
/// It cannot be read, is not TOML, or holds a key or a value that is not allowed.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let text = read(path)?;
    parse(path, &text)
}

/// As [`load`], but `None` when there is no such file. A link that leads nowhere is not "no such file".
///
/// # Errors
/// As [`load`].
pub fn load_if_present(path: &Path) -> Result<Option<Config>, ConfigError> {
    match path.symlink_metadata() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Ok(_) | Err(_) => load(path).map(Some),
    }
}

pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
    let at_large = |message: String| ConfigError { path: path.to_owned(), place: None, message };
    let bytes = std::fs::read(path).map_err(|e| at_large(format!("cannot be read: {e}")))?;
    String::from_utf8(bytes).map_err(|e| {
        let line = e.as_bytes().iter().take(e.utf8_error().valid_up_to()).filter(|b| **b == b'\n').count() + 1;
        ConfigError { path: path.to_owned(), place: Some((line, 1)), message: "is not UTF-8 text".to_owned() }
    })
}

fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
    let config: Config = toml::from_str(text).map_err(|e| {
        let span = e.span().map(|span| gate_key::span(text, &span, e.message()).unwrap_or(span));
        let message = e.message().trim().replace('\n', "; ");
        ConfigError { path: path.to_owned(), place: span.map(|span| place(text, &span)), message }
    })?;
    for (name, service) in &config.services {
        let listed = service.get_ref().lists().find_map(Targets::complaint);
        let whole = || service.get_ref().complaint(name).map(|message| (service.span(), message));
        let metrics = || service.get_ref().metrics.as_ref().and_then(Metrics::complaint);
        if let Some((span, message)) = listed.or_else(whole).or_else(metrics) {
            return Err(ConfigError { path: path.to_owned(), place: Some(place(text, &span)), message });
        }
    }
    Ok(config)
}

/// Line and column of a span's beginning, from 1.
pub(super) fn place(text: &str, span: &Range<usize>) -> (usize, usize) {
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// Writes `mlroll.toml:12:3: message`.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let Some((line, column)) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}", self.message)
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = include_str!("../../tests/cli/whole.toml");

    fn complaint(text: &str) -> String {
        parse(Path::new("mlroll.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn every_documented_key_is_read() {
        let config = parse(Path::new("mlroll.toml"), WHOLE).unwrap();
        let fraud = config.services["fraud"].get_ref();
        assert_eq!(fraud.steps.as_ref().unwrap().0.len(), 5);
        assert_eq!(fraud.gates.len(), 4);
        assert_eq!(config.services["fleet"].get_ref().all_targets().count(), 3);
    }

    #[test]
    fn the_traffic_log_is_read_where_it_is_said_to_be() {
        let logs = |text: &str| {
            let metrics: Metrics = toml::from_str(&format!("source = \"azure-monitor\"\n{text}")).unwrap();
            (metrics.logs().map(|workspace| workspace.map(str::to_owned)), metrics.frozen().get("logs").cloned())
        };
        let id = "00000000-0000-0000-0000-00000000000a";
        assert_eq!((logs(""), logs("logs = false")), ((None, None), (None, None)));
        assert_eq!(logs("logs = true"), (Some(None), Some("true".to_owned())));
        assert_eq!(
            logs(&format!("logs = \"{}\"", id.to_uppercase())),
            (Some(Some(id.to_owned())), Some(id.to_owned()))
        );
    }

    #[test]
    fn what_is_frozen_holds_no_secret() {
        let metrics: Metrics = toml::from_str(
            r#"
            source = "prometheus"
            url = "https://me:hunter2@example.com/prom?token=hunter2"
            headers = { X-Scope-OrgID = "hunter2" }
            requests = 'r{v="{{revision}}"}'
            preset = "triton"
            "#,
        )
        .unwrap();
        let frozen = metrics.frozen();
        let keys: Vec<&str> = frozen.keys().map(String::as_str).collect();
        assert_eq!(keys, ["headers", "preset", "requests", "source", "url"]);
        assert_eq!((frozen["url"].as_str(), frozen["headers"].as_str()), ("https://example.com/prom", "X-Scope-OrgID"));
        assert!(!format!("{frozen:?}").contains("hunter2"));
    }

    #[test]
    fn faults_are_named_with_their_place_and_what_is_allowed() {
        let service = |line: &str| format!("[services.fraud]\ntarget = \"lambda:us-east-1/fraud@prod\"\n{line}\n");
        for (text, expected) in [
            (service("on_fial = \"hold\""), "mlroll.toml:3:1: unknown field `on_fial`, expected one of"),
            (service("bake = \"10 minuts\""), "mlroll.toml:3:8: `10 minuts` is not a duration"),
            (
                service("metrics = { source = \"cloudwatch\", logs = true }"),
                "mlroll.toml:3:43: `logs` is for `source = \"azure-monitor\"`",
            ),
            (
                service("metrics = { source = \"azure-monitor\", logs = \"prod\" }"),
                "mlroll.toml:3:46: invalid value: string \"prod\", expected true, false, or the id of a Log Analytics workspace",
            ),
            (
                service("metrics = { source = \"azure-monitor\", logs = 1 }"),
                "mlroll.toml:3:46: invalid type: integer `1`",
            ),
            (service("bake = 10"), "mlroll.toml:3:8: invalid type: integer `10`, expected a duration such as"),
            (service("steps = [\"10%\", \"5%\"]"), "mlroll.toml:3:9: steps must rise"),
            (service("steps = [\"10%\"]"), "mlroll.toml:3:9: the last step must be \"100%\""),
            (service("steps = [\"1O%\"]"), "mlroll.toml:3:9: `1O%` is not a percentage"),
            (
                service("on_fail = \"panic\""),
                "mlroll.toml:3:11: unknown variant `panic`, expected `hold` or `rollback`",
            ),
            (service("on_inconclusive = \"promote\""), "expected `hold` or `rollback`"),
            (service("alpha = 2"), "mlroll.toml:3:9: 2 is no share"),
            (
                service("[[services.fraud.gates]]\nmetric = \"latency\"\nquantile = 0.95\nmax = \"fast\""),
                "mlroll.toml:6:7: max: ",
            ),
            (
                service("[[services.fraud.gates]]\nmetric = \"error_rate\"\n# max = 0\n  max  =  2\nadvisory = true"),
                "mlroll.toml:6:11: max: a limit",
            ),
            (
                service("gates = [\n  { metric = \"error_rate\", name = \"x, max\", max = 2, advisory = true }]"),
                "mlroll.toml:4:51: max: a limit",
            ),
            (
                service("[[services.fraud.gates]]\nmetric = \"error_rate\"\nquantile = 0.9"),
                "mlroll.toml:5:12: `quantile` belongs",
            ),
            (
                service("[[services.fraud.gates]]\nmetric = \"latency\"\nmax = \"1s\""),
                "mlroll.toml:3:1: a latency gate needs",
            ),
            (
                service("[[services.fraud.gates]]\nname = \"pager\"\nalarms = [\"slow\", \"slow\"]"),
                "mlroll.toml:5:10: alarms: `slow` is named twice",
            ),
            (
                service("[[services.fraud.gates]]\nalarms = [\"slow\"]\nmax = 1"),
                "mlroll.toml:5:7: `max` says nothing about alarms",
            ),
            (
                service("[[services.fraud.gates]]\nmetric = \"gpu_headroom\"\nmin = \"110%\""),
                "mlroll.toml:5:7: min: a limit of gpu_headroom is a share",
            ),
            (
                "[services.fraud]\ntarget = \"lambda:us-east-1/fraud\"\n".to_owned(),
                "mlroll.toml:2:10: target `lambda:us-east-1/fraud`",
            ),
            (
                "[services.fraud]\ntargets = [\n  \"lambda:us-east-1/a@prod\",\n  \"lambda:b\",\n]\n".to_owned(),
                "mlroll.toml:4:3: target `lambda:b`",
            ),
            ("[services.fraud]\nbake = \"1m\"\n".to_owned(), "service `fraud` has no target"),
            ("[services.fraud]\ntargets = []\n".to_owned(), "empty list of targets"),
            (service("targets = [\"lambda:us-east-1/b@prod\"]"), "more than one of"),
            ("[service.fraud]\n".to_owned(), "mlroll.toml:1:2: unknown field `service`"),
            ("[services.fraud\n".to_owned(), "mlroll.toml:1:16:"),
        ] {
            let message = complaint(&text);
            assert!(message.contains(expected), "{text}\n{message}");
        }
    }
}
