//! From a provider's name to its backend: the only place that knows which ones this build has.

use std::sync::Arc;

#[cfg(feature = "prometheus")]
use mlroll_backend::MetricSource;
use mlroll_backend::{Backend, Provider, Wiretap};

use crate::failure::Failure;

/// The backend for targets of `provider`, whose requests all go past `wiretap`.
///
/// # Errors
/// This build has no such backend.
pub fn backend(provider: Provider, wiretap: Arc<dyn Wiretap>) -> Result<Box<dyn Backend>, Failure> {
    match provider {
        #[cfg(feature = "aws")]
        Provider::Lambda => Ok(Box::new(mlroll_aws::lambda::Lambda::new(wiretap))),
        #[cfg(not(feature = "aws"))]
        Provider::Lambda => Err(absent(provider, wiretap)),
        Provider::AzureMl | Provider::CloudRun | Provider::SageMaker => Err(absent(provider, wiretap)),
    }
}

/// The store of metrics that `settings` describe.
///
/// # Errors
/// The settings make no sense.
#[cfg(feature = "prometheus")]
pub fn metric_source(settings: &mlroll_prometheus::Settings) -> Result<Box<dyn MetricSource>, Failure> {
    match mlroll_prometheus::Prometheus::new(settings) {
        Ok(source) => Ok(Box::new(source)),
        Err(error) => Err(Failure::usage(error.message())),
    }
}

fn absent(provider: Provider, _: Arc<dyn Wiretap>) -> Failure {
    let built: &[&str] = if cfg!(feature = "aws") { &["lambda"] } else { &[] };
    let built = if built.is_empty() { "none".to_owned() } else { built.join(", ") };
    Failure::usage(format!("this build of mlroll cannot move `{provider}` targets; it has: {built}"))
}
