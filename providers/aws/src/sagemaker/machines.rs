//! What CloudWatch has to know of an endpoint: what it runs on, and how often it publishes.

use std::collections::BTreeMap;
use std::time::Duration;

use mlroll_backend::{Effect, Error, ErrorKind, Result, SageMakerEndpoint, Target};

use crate::error::classify;
use crate::session::Session;
use crate::transport::{Tag, Tagging};

/// How the endpoint's name is spelled, by `DescribeEndpoint`: CloudWatch's dimension has it so, and an ARN may have it in lower case.
pub(crate) async fn spelling(session: &Session, target: &Target, endpoint: &SageMakerEndpoint) -> Result<String> {
    let client = session.sagemaker(&endpoint.region).await;
    let operation = "DescribeEndpoint";
    let described = client
        .describe_endpoint()
        .endpoint_name(&endpoint.endpoint)
        .customize()
        .interceptor(Tagging(Tag { target: target.clone(), operation, effect: Effect::Read }))
        .send()
        .await
        .map_err(|e| classify(operation, e))?;
    Ok(described.endpoint_name.unwrap_or_else(|| endpoint.endpoint.clone()))
}

/// The kind of machine by variant, and how often enhanced metrics are published, where they are: by `DescribeEndpoint` and
/// `DescribeEndpointConfig`.
pub(crate) async fn machines(
    session: &Session,
    target: &Target,
    endpoint: &SageMakerEndpoint,
) -> Result<(BTreeMap<String, String>, Option<Duration>)> {
    let client = session.sagemaker(&endpoint.region).await;
    let tagged = |operation| Tagging(Tag { target: target.clone(), operation, effect: Effect::Read });
    let operation = "DescribeEndpoint";
    let described = client
        .describe_endpoint()
        .endpoint_name(&endpoint.endpoint)
        .customize()
        .interceptor(tagged(operation))
        .send()
        .await
        .map_err(|e| classify(operation, e))?;
    let Some(name) = described.endpoint_config_name else {
        return Err(Error::new(ErrorKind::Unexpected, operation, "the answer has no EndpointConfigName"));
    };
    let operation = "DescribeEndpointConfig";
    let config = client
        .describe_endpoint_config()
        .endpoint_config_name(name)
        .customize()
        .interceptor(tagged(operation))
        .send()
        .await
        .map_err(|e| classify(operation, e))?;
    let shadows = config.shadow_production_variants.unwrap_or_default();
    let variants = config.production_variants.unwrap_or_default().into_iter().chain(shadows);
    let kinds =
        variants.filter_map(|variant| Some((variant.variant_name?, variant.instance_type?.as_str().to_owned())));
    let enhanced = config.metrics_config.filter(|metrics| metrics.enable_enhanced_metrics == Some(true));
    let every = enhanced.and_then(|metrics| u64::try_from(metrics.metric_publish_frequency_in_seconds?).ok());
    let every = every.map(Duration::from_secs);
    Ok((kinds.collect(), every))
}
