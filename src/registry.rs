//! From a provider's name to its backend, and from a source's to its store: the only place that knows which ones this build
//! has.

use std::path::Path;
use std::sync::Arc;

use mlroll_backend::{Backend, MetricSource, Provider, Wiretap};

#[cfg(feature = "prometheus")]
use crate::config::Preset;
#[cfg(any(feature = "aws", feature = "azure", feature = "google", feature = "prometheus"))]
use crate::config::env::Env;
#[cfg(feature = "google")]
use crate::config::env::Google;
#[cfg(any(feature = "aws", feature = "azure", feature = "google", feature = "prometheus"))]
use crate::config::parse_duration;
use crate::config::{Metrics, Source};
use crate::failure::Failure;
use crate::judge::gate::Gate;
use crate::reach::Reach;

/// The backend for targets of `provider`, whose requests all go past `wiretap`.
///
/// # Errors
/// It is out of `reach`, what the environment says of it makes no sense, or this build has no such backend.
pub fn backend(provider: Provider, wiretap: Arc<dyn Wiretap>, reach: Reach) -> Result<Box<dyn Backend>, Failure> {
    reach.check_provider(provider)?;
    match provider {
        #[cfg(feature = "azure")]
        Provider::AzureMl => match mlroll_azure::machine_learning::OnlineEndpoints::new(&azure()?, wiretap) {
            Ok(backend) => Ok(Box::new(backend)),
            Err(error) => Err(Failure::usage(error.message())),
        },
        #[cfg(not(feature = "azure"))]
        Provider::AzureMl => Err(absent(provider, wiretap)),
        #[cfg(feature = "google")]
        Provider::CloudRun => match mlroll_google::cloud_run::CloudRun::new(&google()?, wiretap) {
            Ok(backend) => Ok(Box::new(backend)),
            Err(error) => Err(Failure::usage(format!("MLROLL_ENDPOINT_CLOUD_RUN: {}", error.message()))),
        },
        #[cfg(not(feature = "google"))]
        Provider::CloudRun => Err(absent(provider, wiretap)),
        #[cfg(feature = "aws")]
        Provider::Lambda => Ok(Box::new(mlroll_aws::lambda::Lambda::new(&aws()?, wiretap))),
        #[cfg(not(feature = "aws"))]
        Provider::Lambda => Err(absent(provider, wiretap)),
        #[cfg(feature = "aws")]
        Provider::SageMaker => Ok(Box::new(mlroll_aws::sagemaker::SageMaker::new(&aws()?, wiretap))),
        #[cfg(not(feature = "aws"))]
        Provider::SageMaker => Err(absent(provider, wiretap)),
    }
}

/// The store of metrics that the file describes, for these gates; `folder` is the file's own, from which paths in it are
/// meant. What is sent to a cloud goes past `wiretap`.
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
    reach.check_source(metrics)?;
    match metrics.source {
        #[cfg(feature = "azure")]
        Source::AzureMonitor => azure_monitor(metrics, gates, wiretap),
        #[cfg(not(feature = "azure"))]
        Source::AzureMonitor => Err(no_source(metrics.source, gates, folder, wiretap)),
        #[cfg(feature = "google")]
        Source::CloudMonitoring => cloud_monitoring(metrics),
        #[cfg(not(feature = "google"))]
        Source::CloudMonitoring => Err(no_source(metrics.source, gates, folder, wiretap)),
        #[cfg(feature = "prometheus")]
        Source::Prometheus => prometheus(metrics, folder),
        #[cfg(not(feature = "prometheus"))]
        Source::Prometheus => Err(no_source(metrics.source, gates, folder, wiretap)),
        #[cfg(feature = "aws")]
        Source::Cloudwatch => cloudwatch(metrics, gates, wiretap),
        #[cfg(not(feature = "aws"))]
        Source::Cloudwatch => Err(no_source(metrics.source, gates, folder, wiretap)),
    }
}

/// How late the store is, where the file says so.
#[cfg(any(feature = "aws", feature = "azure", feature = "google", feature = "prometheus"))]
fn settle_delay(metrics: &Metrics) -> Result<Option<std::time::Duration>, Failure> {
    match metrics.settle_delay.as_deref() {
        None | Some("auto") => Ok(None),
        Some(text) => parse_duration(text).map(Some).map_err(|e| Failure::usage(format!("metrics.settle_delay: {e}"))),
    }
}

/// Refuses keys that only Prometheus knows: one that does nothing would be taken for one that does.
#[cfg(any(feature = "aws", feature = "azure", feature = "google"))]
fn only_what_it_knows(metrics: &Metrics, hint: &str) -> Result<(), Failure> {
    match metrics.key_of_prometheus() {
        Some(key) => Err(Failure::usage(format!("metrics.{key} is for `source = \"prometheus\"`")).hint(hint)),
        None => Ok(()),
    }
}

#[cfg(feature = "azure")]
fn azure_monitor(
    metrics: &Metrics,
    gates: &[Gate],
    wiretap: Arc<dyn Wiretap>,
) -> Result<Box<dyn MetricSource>, Failure> {
    use mlroll_azure::monitor::{Monitor, TrafficLog};

    only_what_it_knows(metrics, "Azure Monitor knows the metrics of Azure ML; leave it out")?;
    let log = metrics.logs().map(|workspace| TrafficLog {
        workspace: workspace.map(str::to_owned),
        slower_than: gates.iter().filter_map(Gate::slower_than).collect(),
    });
    match Monitor::new(&azure()?, log, settle_delay(metrics)?, Some(wiretap)) {
        Ok(source) => Ok(Box::new(source)),
        Err(error) => Err(Failure::usage(format!("metrics: {}", error.message()))),
    }
}

#[cfg(feature = "aws")]
fn cloudwatch(metrics: &Metrics, gates: &[Gate], wiretap: Arc<dyn Wiretap>) -> Result<Box<dyn MetricSource>, Failure> {
    use mlroll_aws::cloudwatch::{CloudWatch, Settings};

    only_what_it_knows(metrics, "CloudWatch knows the metrics of Lambda and SageMaker; leave it out")?;
    let slower_than = gates.iter().filter_map(Gate::slower_than).collect();
    Ok(Box::new(CloudWatch::new(Settings { settle_delay: settle_delay(metrics)?, slower_than }, &aws()?, wiretap)))
}

#[cfg(feature = "google")]
fn cloud_monitoring(metrics: &Metrics) -> Result<Box<dyn MetricSource>, Failure> {
    only_what_it_knows(metrics, "Cloud Monitoring knows the metrics of Cloud Run; leave it out")?;
    let settings = mlroll_google::Settings { settle_delay: settle_delay(metrics)?, ..google()? };
    match mlroll_google::monitoring::CloudMonitoring::new(&settings) {
        Ok(source) => Ok(Box::new(source)),
        Err(error) => Err(Failure::usage(format!("metrics: {}", error.message()))),
    }
}

/// Who carries requests by https, where the environment names somebody.
#[cfg(any(feature = "aws", feature = "azure", feature = "google", feature = "prometheus"))]
fn proxy() -> Result<Option<mlroll_backend::Proxy>, Failure> {
    mlroll_backend::Proxy::from_lookup(Env::named_by_file).map_err(Failure::usage)
}

/// What the environment says of AWS, besides what the SDK reads itself.
#[cfg(feature = "aws")]
fn aws() -> Result<mlroll_aws::Settings, Failure> {
    mlroll_aws::Settings::from_lookup(Env::named_by_file).by_way_of(proxy()?.as_ref()).map_err(Failure::usage)
}

/// What the environment says of Azure.
#[cfg(feature = "azure")]
fn azure() -> Result<mlroll_azure::Settings, Failure> {
    Ok(mlroll_azure::Settings::from_lookup(Env::named_by_file).by_way_of(proxy()?))
}

/// What the environment says of Google Cloud.
#[cfg(feature = "google")]
fn google() -> Result<mlroll_google::Settings, Failure> {
    let Google { access_token, credentials, gcloud_folder, metadata_host, quota_project, cloud_run, monitoring } =
        Google::from_process();
    Ok(mlroll_google::Settings {
        access_token: access_token.map(mlroll_google::Secret::new),
        credentials,
        gcloud_folder,
        metadata_host,
        ask_gcloud: true,
        quota_project,
        cloud_run,
        monitoring,
        proxy: proxy()?,
        ..mlroll_google::Settings::default()
    })
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
    let settle_delay = settle_delay(metrics)?;
    let missing = || Failure::usage("metrics: `url` is missing").hint("such as url = \"http://127.0.0.1:9090\"");
    let settings = Settings {
        url: metrics.url.clone().ok_or_else(missing)?,
        auth,
        headers: metrics.headers.iter().map(|(name, value)| (name.clone(), Secret::new(value))).collect(),
        ca,
        allow_plain_http: metrics.allow_plain_http,
        settle_delay,
        scrape: metrics.scrape.map(|span| span.0),
        preset: metrics.preset.map(preset),
        proxy: proxy()?,
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

#[cfg(not(all(feature = "aws", feature = "azure", feature = "google", feature = "prometheus")))]
fn no_source(source: Source, _: &[Gate], _: &Path, _: Arc<dyn Wiretap>) -> Failure {
    let built = names(&[
        (cfg!(feature = "azure"), "azure-monitor"),
        (cfg!(feature = "google"), "cloud-monitoring"),
        (cfg!(feature = "aws"), "cloudwatch"),
        (cfg!(feature = "prometheus"), "prometheus"),
    ]);
    Failure::usage(format!("this build of mlroll cannot read metrics from {source:?} yet; it has: {built}"))
}

#[cfg(not(all(feature = "aws", feature = "azure", feature = "google")))]
fn absent(provider: Provider, _: Arc<dyn Wiretap>) -> Failure {
    let built = names(&[
        (cfg!(feature = "azure"), "azure-ml"),
        (cfg!(feature = "google"), "cloud-run"),
        (cfg!(feature = "aws"), "lambda"),
        (cfg!(feature = "aws"), "sagemaker"),
    ]);
    Failure::usage(format!("this build of mlroll cannot move `{provider}` targets; it has: {built}"))
}

/// Those that this build has.
#[cfg(not(all(feature = "aws", feature = "azure", feature = "google", feature = "prometheus")))]
fn names(all: &[(bool, &str)]) -> String {
    let built: Vec<&str> = all.iter().filter(|(there, _)| *there).map(|(_, name)| *name).collect();
    if built.is_empty() { "none".to_owned() } else { built.join(", ") }
}
