//! What an answer has besides what the SDK reads of it. SDK types stop here.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_sagemaker::config::ConfigBag;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::AfterDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use serde_json::Value;

/// What the SDK reads of an endpoint config, and what of it is its own and is no setting.
const CONFIG: [&str; 13] = [
    "AsyncInferenceConfig",
    "CreationTime",
    "DataCaptureConfig",
    "EnableNetworkIsolation",
    "EndpointConfigArn",
    "EndpointConfigName",
    "ExecutionRoleArn",
    "ExplainerConfig",
    "KmsKeyId",
    "MetricsConfig",
    "ProductionVariants",
    "ShadowProductionVariants",
    "VpcConfig",
];

/// What it reads of a variant.
const VARIANT: [&str; 19] = [
    "AcceleratorPartitionLayouts",
    "AcceleratorType",
    "CapacityReservationConfig",
    "ContainerStartupHealthCheckTimeoutInSeconds",
    "CoreDumpConfig",
    "EnableSSMAccess",
    "InferenceAmiVersion",
    "InitialInstanceCount",
    "InitialVariantWeight",
    "InstancePools",
    "InstanceType",
    "ManagedInstanceScaling",
    "ModelDataDownloadTimeoutInSeconds",
    "ModelName",
    "RoutingConfig",
    "ServerlessConfig",
    "VariantInstanceProvisionTimeoutInSeconds",
    "VariantName",
    "VolumeSizeInGB",
];

/// Keeps the names of what an answer has and the SDK does not read.
#[derive(Clone, Debug, Default)]
pub(in crate::sagemaker::deploy) struct Unread(Arc<Mutex<BTreeSet<String>>>);

impl Unread {
    /// The names, in alphabetical order.
    pub(in crate::sagemaker::deploy) fn names(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[dyn_dispatch_hint]
impl Intercept for Unread {
    fn name(&self) -> &'static str {
        "mlroll unread members"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(body) = context.response().body().bytes()
            && let Ok(body) = serde_json::from_slice::<Value>(body)
        {
            let found = unread(&body);
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = found;
        }
        Ok(())
    }
}

fn unread(config: &Value) -> BTreeSet<String> {
    let members = |of: &Value, known: &[&str]| -> Vec<String> {
        let all = of.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        all.map(|(name, _)| name.clone()).filter(|name| !known.contains(&name.as_str())).collect()
    };
    let variants = ["ProductionVariants", "ShadowProductionVariants"];
    let variants = variants.into_iter().filter_map(|of| config.get(of)?.as_array()).flatten();
    let of_variants = variants.flat_map(|variant| members(variant, &VARIANT));
    members(config, &CONFIG).into_iter().chain(of_variants).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_nobody_reads_is_named() {
        let config = json!({ "EndpointConfigName": "x", "KmsKeyId": "k", "Later": 1, "Absent": null,
            "ProductionVariants": [{ "VariantName": "a", "Newer": {} }] });
        assert_eq!(unread(&config).into_iter().collect::<Vec<_>>(), ["Later", "Newer"]);
    }
}
