//! From a provider's name to its backend: the only place that knows which ones this build has.

use std::path::Path;
use std::sync::Arc;

use mlroll_backend::{Backend, MetricSource, Provider, Wiretap};

#[cfg(feature = "prometheus")]
use crate::config::Preset;
#[cfg(feature = "prometheus")]
use crate::config::env::Env;
#[cfg(any(feature = "aws", feature = "prometheus"))]
use crate::config::parse_duration;
use crate::config::{Metrics, Source};
use crate::failure::Failure;
use crate::judge::gate::Gate;
use crate::reach::Reach;

/// The backend for targets of `provider`, whose requests all go past `wiretap`.
///
/// # Errors
/// It is out of `reach`, or this build has no such backend.
pub fn backend(provider: Provider, wiretap: Arc<dyn Wiretap>, reach: Reach) -> Result<Box<dyn Backend>, Failure> {
    reach.check_provider(provider)?;
    match provider {
        #[cfg(feature = "aws")]
        Provider::Lambda => Ok(Box::new(mlroll_aws::lambda::Lambda::new(wiretap))),
        #[cfg(not(feature = "aws"))]
        Provider::Lambda => Err(absent(provider, wiretap)),
        #[cfg(feature = "aws")]
        Provider::SageMaker => Ok(Box::new(mlroll_aws::sagemaker::SageMaker::new(wiretap))),
        #[cfg(not(feature = "aws"))]
        Provider::SageMaker => Err(absent(provider, wiretap)),
        Provider::AzureMl | Provider::CloudRun => Err(absent(provider, wiretap)),
    }
}

/// The store of metrics that the file describes, for these gates; `folder` is the file's own, from which paths in it are
/// meant. What is sent by a cloud's SDK goes past `wiretap`.
///
/// # Errors
/// It is out of `reach`, the settings make no sense, a file or a variable they name is missing, or this build has no such
/// source.
pub fn metric_source(
    metrics: &Metrics,
    gates: &[Gate],
    folder: &Path,
    reach: Reach,
    wiretap: Arc<dyn Wiretap>,
) -> Result<Box<dyn MetricSource>, Failure> {
    reach.check_source(metrics.source, metrics.url.as_deref())?;
    match metrics.source {
        #[cfg(feature = "aws")]
        Source::Cloudwatch => cloudwatch(metrics, gates, wiretap),
        #[cfg(not(feature = "aws"))]
        Source::Cloudwatch => Err(no_source(metrics.source, gates, folder, wiretap)),
        #[cfg(feature = "prometheus")]
        Source::Prometheus => prometheus(metrics, folder),
        #[cfg(not(feature = "prometheus"))]
        Source::Prometheus => Err(no_source(metrics.source, gates, folder, wiretap)),
        Source::AzureMonitor | Source::CloudMonitoring => Err(no_source(metrics.source, gates, folder, wiretap)),
    }
}

#[cfg(feature = "aws")]
fn cloudwatch(metrics: &Metrics, gates: &[Gate], wiretap: Arc<dyn Wiretap>) -> Result<Box<dyn MetricSource>, Failure> {
    use mlroll_aws::cloudwatch::{CloudWatch, Settings};

    if let Some(key) = metrics.prometheus_key() {
        return Err(Failure::usage(format!(
            "metrics.{key} is for `source = \"prometheus\"`, and the source is cloudwatch"
        )));
    }
    let slower_than = gates.iter().filter_map(Gate::slower_than).collect();
    Ok(Box::new(CloudWatch::new(Settings { settle_delay: settle_delay(metrics)?, slower_than }, wiretap)))
}

/// How late the store is, where the file says so.
#[cfg(any(feature = "aws", feature = "prometheus"))]
fn settle_delay(metrics: &Metrics) -> Result<Option<std::time::Duration>, Failure> {
    match metrics.settle_delay.as_deref() {
        None | Some("auto") => Ok(None),
        Some(text) => parse_duration(text).map(Some).map_err(|e| Failure::usage(format!("metrics.settle_delay: {e}"))),
    }
}

#[cfg(feature = "prometheus")]
fn prometheus(metrics: &Metrics, folder: &Path) -> Result<Box<dyn MetricSource>, Failure> {
    use mlroll_prometheus::{Auth, Prometheus, Secret, Settings};

    let secret = |key: &str, name: &String| {
        let missing = || Failure::usage(format!("metrics.{key}: the variable `{name}` is not set"));
        Env::named_by_file(name).map(Secret::new).ok_or_else(missing)
    };
    let auth = match (&metrics.bearer_env, &metrics.basic_user_env, &metrics.basic_password_env) {
        (None, None, None) => Auth::None,
        (Some(bearer), None, None) => Auth::Bearer(secret("bearer_env", bearer)?),
        (None, Some(user), Some(password)) => {
            let missing = || Failure::usage(format!("metrics.basic_user_env: the variable `{user}` is not set"));
            let user = Env::named_by_file(user).ok_or_else(missing)?;
            Auth::Basic { user, password: secret("basic_password_env", password)? }
        }
        _ => {
            return Err(Failure::usage(
                "metrics: give `bearer_env`, or both `basic_user_env` and `basic_password_env`",
            ));
        }
    };
    let ca = match &metrics.ca {
        Some(path) => {
            let path = folder.join(path);
            Some(std::fs::read(&path).map_err(|e| Failure::usage(format!("metrics.ca: {}: {e}", path.display())))?)
        }
        None => None,
    };
    let missing = || Failure::usage("metrics: `url` is missing").hint("such as url = \"http://127.0.0.1:9090\"");
    let settings = Settings {
        url: metrics.url.clone().ok_or_else(missing)?,
        auth,
        headers: metrics.headers.iter().map(|(name, value)| (name.clone(), Secret::new(value))).collect(),
        ca,
        allow_plain_http: metrics.allow_plain_http,
        settle_delay: settle_delay(metrics)?,
        scrape: metrics.scrape.map(|span| span.0),
        preset: metrics.preset.map(preset),
        requests: metrics.requests.clone(),
        errors: metrics.errors.clone(),
        latency: metrics.latency.clone(),
        ..Settings::default()
    };
    match Prometheus::new(&settings) {
        Ok(source) => Ok(Box::new(source)),
        Err(error) => Err(Failure::usage(format!("metrics: {}", error.message()))),
    }
}

#[cfg(feature = "prometheus")]
const fn preset(preset: Preset) -> mlroll_prometheus::Preset {
    use mlroll_prometheus::Preset as Known;
    match preset {
        Preset::Fastapi => Known::FastApi,
        Preset::Istio => Known::Istio,
        Preset::Knative => Known::Knative,
        Preset::Kserve => Known::KServe,
        Preset::Seldon => Known::Seldon,
        Preset::Torchserve => Known::TorchServe,
        Preset::Triton => Known::Triton,
        Preset::Vllm => Known::Vllm,
    }
}

fn no_source(source: Source, _: &[Gate], _: &Path, _: Arc<dyn Wiretap>) -> Failure {
    let built: Vec<&str> = [(cfg!(feature = "aws"), "cloudwatch"), (cfg!(feature = "prometheus"), "prometheus")]
        .into_iter()
        .filter_map(|(built, name)| built.then_some(name))
        .collect();
    let built = if built.is_empty() { "none".to_owned() } else { built.join(", ") };
    Failure::usage(format!("this build of mlroll cannot read metrics from {source:?} yet; it has: {built}"))
}

fn absent(provider: Provider, _: Arc<dyn Wiretap>) -> Failure {
    let built: &[&str] = if cfg!(feature = "aws") { &["lambda", "sagemaker"] } else { &[] };
    let built = if built.is_empty() { "none".to_owned() } else { built.join(", ") };
    Failure::usage(format!("this build of mlroll cannot move `{provider}` targets; it has: {built}"))
}
