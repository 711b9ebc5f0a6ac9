//! Configuration and credentials, and a client per region.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::identity::{IdentityCache, LazyCacheBuilder};
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use mlroll_backend::Wiretap;
use tokio::sync::OnceCell;

use crate::credentials::{EARLY, JobRole};
use crate::pace::Pace;
use crate::settings::{GitHub, Settings};
use crate::transport::{Connections, HonourRetryAfter, Transport};

/// The longest to wait for credentials, over all sources of the chain.
const CREDENTIALS: Duration = Duration::from_secs(5);

/// The longest to wait for a GitHub job's token and the keys of its role.
const JOB_CREDENTIALS: Duration = Duration::from_secs(15);

/// The longest to wait for a connection.
pub(crate) const CONNECT: Duration = Duration::from_secs(3);

/// The longest one operation may take, waits and retries included.
pub(crate) const OPERATION: Duration = Duration::from_secs(20);

/// Lambda's control plane takes 15 requests a second from an account in a region, all operations together; not
/// adjustable (Lambda quotas). The window is a little longer than a second, because the network may squeeze calls
/// together on their way.
#[cfg(feature = "lambda")]
const LAMBDA_CALLS: usize = 15;
#[cfg(feature = "lambda")]
const LAMBDA_WINDOW: Duration = Duration::from_millis(1020);

/// CloudWatch answers 50 `GetMetricData` a second in a region (CloudWatch quotas); others ask too.
#[cfg(feature = "cloudwatch")]
const CLOUDWATCH_CALLS: usize = 25;

/// Hundreds of series take CloudWatch longer than one alias takes Lambda.
#[cfg(feature = "cloudwatch")]
const CLOUDWATCH_ATTEMPT: Duration = Duration::from_secs(10);

/// The longest one `GetMetricData` may take, waits and retries included.
#[cfg(feature = "cloudwatch")]
const CLOUDWATCH_OPERATION: Duration = Duration::from_secs(30);

/// SageMaker and Application Auto Scaling publish no rate: what they throttle is tried again.
#[cfg(feature = "sagemaker")]
const SAGEMAKER_CALLS: usize = 10;

/// A model has 60 seconds to answer (SageMaker runtime API reference).
#[cfg(feature = "sagemaker")]
const MODEL_ATTEMPT: Duration = Duration::from_secs(65);

/// What all backends and sources of this cloud share. Nothing is read or connected before the first call.
#[derive(Debug)]
pub(crate) struct Session {
    /// The GitHub job's own role, where that is who asks.
    github: Option<GitHub>,
    wiretap: Arc<dyn Wiretap>,
    connections: Connections,
    config: OnceCell<SdkConfig>,
    #[cfg(feature = "cloudwatch")]
    cloudwatch: PerRegion<aws_sdk_cloudwatch::Client>,
    #[cfg(feature = "lambda")]
    lambda: PerRegion<aws_sdk_lambda::Client>,
    #[cfg(feature = "sagemaker")]
    scaling: PerRegion<aws_sdk_applicationautoscaling::Client>,
    #[cfg(feature = "sagemaker")]
    sagemaker: PerRegion<aws_sdk_sagemaker::Client>,
    #[cfg(feature = "sagemaker")]
    sagemaker_runtime: PerRegion<aws_sdk_sagemakerruntime::Client>,
}

/// A client per region, so that its connections and its pace are shared.
#[derive(Debug)]
struct PerRegion<C>(Mutex<BTreeMap<String, C>>);

impl<C: Clone> PerRegion<C> {
    const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    fn get_or_make(&self, region: &str, make: impl FnOnce() -> C) -> C {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clients.entry(region.to_owned()).or_insert_with(make).clone()
    }
}

impl Session {
    pub(crate) fn new(settings: &Settings, wiretap: Arc<dyn Wiretap>) -> Self {
        Self {
            github: settings.github.clone(),
            wiretap,
            connections: Connections::new(settings.way.clone()),
            config: OnceCell::const_new(),
            #[cfg(feature = "cloudwatch")]
            cloudwatch: PerRegion::new(),
            #[cfg(feature = "lambda")]
            lambda: PerRegion::new(),
            #[cfg(feature = "sagemaker")]
            scaling: PerRegion::new(),
            #[cfg(feature = "sagemaker")]
            sagemaker: PerRegion::new(),
            #[cfg(feature = "sagemaker")]
            sagemaker_runtime: PerRegion::new(),
        }
    }

    /// Requests for credentials go through our transport too: it keeps tokens out of clear text.
    fn transport(&self) -> Transport {
        Transport::new(self.connections.clone(), Arc::clone(&self.wiretap), Pace::new(usize::MAX, Duration::ZERO))
    }

    async fn config(&self, region: &str) -> &SdkConfig {
        let source = || aws_config::defaults(BehaviorVersion::latest()).http_client(self.transport());
        let configured = async || match &self.github {
            None => load(source(), region, IdentityCache::lazy().load_timeout(CREDENTIALS)).await,
            Some(github) => {
                let plain = IdentityCache::lazy();
                let base = load(source().no_credentials(), region, plain).await;
                let role = JobRole::new(github, &base, self.transport());
                let cache = IdentityCache::lazy().load_timeout(JOB_CREDENTIALS).buffer_time(EARLY);
                load(source().credentials_provider(role), region, cache).await
            }
        };
        self.config.get_or_init(configured).await
    }

    /// The client for CloudWatch in `region`.
    #[cfg(feature = "cloudwatch")]
    pub(crate) async fn cloudwatch(&self, region: &str) -> aws_sdk_cloudwatch::Client {
        let config = self.config(region).await;
        self.cloudwatch.get_or_make(region, || {
            let pace = Pace::new(CLOUDWATCH_CALLS, Duration::from_secs(1));
            let transport = Transport::new(self.connections.clone(), Arc::clone(&self.wiretap), pace)
                .with_attempt(CLOUDWATCH_ATTEMPT);
            let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_timeout(CLOUDWATCH_OPERATION);
            let config = aws_sdk_cloudwatch::config::Builder::from(config)
                .region(Region::new(region.to_owned()))
                .http_client(transport)
                .timeout_config(timeouts.build())
                .retry_classifier(HonourRetryAfter)
                .build();
            aws_sdk_cloudwatch::Client::from_conf(config)
        })
    }

    /// The client for Lambda in `region`.
    #[cfg(feature = "lambda")]
    pub(crate) async fn lambda(&self, region: &str) -> aws_sdk_lambda::Client {
        let config = self.config(region).await;
        self.lambda.get_or_make(region, || {
            let pace = Pace::new(LAMBDA_CALLS, LAMBDA_WINDOW);
            let config = aws_sdk_lambda::config::Builder::from(config)
                .region(Region::new(region.to_owned()))
                .http_client(Transport::new(self.connections.clone(), Arc::clone(&self.wiretap), pace))
                .retry_classifier(HonourRetryAfter)
                .build();
            aws_sdk_lambda::Client::from_conf(config)
        })
    }

    /// The client for Application Auto Scaling in `region`.
    #[cfg(feature = "sagemaker")]
    pub(crate) async fn scaling(&self, region: &str) -> aws_sdk_applicationautoscaling::Client {
        let config = self.config(region).await;
        self.scaling.get_or_make(region, || {
            let pace = Pace::new(SAGEMAKER_CALLS, Duration::from_secs(1));
            let config = aws_sdk_applicationautoscaling::config::Builder::from(config)
                .region(Region::new(region.to_owned()))
                .http_client(Transport::new(self.connections.clone(), Arc::clone(&self.wiretap), pace))
                .retry_classifier(HonourRetryAfter)
                .build();
            aws_sdk_applicationautoscaling::Client::from_conf(config)
        })
    }

    /// The client for SageMaker in `region`.
    #[cfg(feature = "sagemaker")]
    pub(crate) async fn sagemaker(&self, region: &str) -> aws_sdk_sagemaker::Client {
        let config = self.config(region).await;
        self.sagemaker.get_or_make(region, || {
            let pace = Pace::new(SAGEMAKER_CALLS, Duration::from_secs(1));
            let config = aws_sdk_sagemaker::config::Builder::from(config)
                .region(Region::new(region.to_owned()))
                .http_client(Transport::new(self.connections.clone(), Arc::clone(&self.wiretap), pace))
                .retry_classifier(HonourRetryAfter)
                .build();
            aws_sdk_sagemaker::Client::from_conf(config)
        })
    }

    /// The client for requests to models in `region`. One attempt, which may take as long as a model may.
    #[cfg(feature = "sagemaker")]
    pub(crate) async fn sagemaker_runtime(&self, region: &str) -> aws_sdk_sagemakerruntime::Client {
        let config = self.config(region).await;
        self.sagemaker_runtime.get_or_make(region, || {
            let pace = Pace::new(SAGEMAKER_CALLS, Duration::from_secs(1));
            let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_timeout(MODEL_ATTEMPT);
            let config = aws_sdk_sagemakerruntime::config::Builder::from(config)
                .region(Region::new(region.to_owned()))
                .http_client(
                    Transport::new(self.connections.clone(), Arc::clone(&self.wiretap), pace)
                        .with_attempt(MODEL_ATTEMPT),
                )
                .timeout_config(timeouts.build())
                .retry_config(RetryConfig::disabled())
                .build();
            aws_sdk_sagemakerruntime::Client::from_conf(config)
        })
    }
}

/// Reads what the AWS tools read: environment, profiles, SSO, web identity, container and instance credentials.
/// The region is the target's, so no source is asked for one.
async fn load(source: ConfigLoader, region: &str, identities: LazyCacheBuilder) -> SdkConfig {
    // A call to a control plane is small: five quick attempts help more in an incident than three patient ones.
    let retries = RetryConfig::standard()
        .with_max_attempts(5)
        .with_initial_backoff(Duration::from_millis(100))
        .with_max_backoff(Duration::from_secs(10));
    source
        .region(Region::new(region.to_owned()))
        .retry_config(retries)
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).operation_timeout(OPERATION).build())
        .identity_cache(identities.build())
        // The transport reads answers whole and in bounded time; there is no stream left to stall.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .load()
        .await
}

#[cfg(test)]
impl Session {
    /// A session whose calls go to `url`, with credentials of its own.
    pub(crate) async fn at(url: &str, wiretap: Arc<dyn Wiretap>) -> Self {
        let keys = aws_credential_types::Credentials::new("AKIDTEST", "verysecret", None, None, "test");
        let source = aws_config::defaults(BehaviorVersion::latest()).endpoint_url(url).credentials_provider(keys);
        let config = load(source, "us-east-1", IdentityCache::lazy().load_timeout(CREDENTIALS)).await;
        Self { config: OnceCell::new_with(Some(config)), ..Self::new(&Settings::default(), wiretap) }
    }
}
