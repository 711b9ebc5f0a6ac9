//! Requests to Application Auto Scaling, and the one that changes a variant's instances. SDK types stop here.

use std::collections::BTreeMap;

use aws_sdk_applicationautoscaling::Client;
use aws_sdk_applicationautoscaling::types::{ScalableDimension, ServiceNamespace, SuspendedState};
use aws_sdk_sagemaker::types::DesiredWeightAndCapacity;
use mlroll_backend::{Effect, Result, RevisionId};
use serde::{Deserialize, Serialize};

use super::super::wire::{Calls, kind_of_text};
use crate::error::{classify, classify_by_text};
use crate::pages::Pages;

/// A variant's bounds, as a scalable target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bounds {
    /// The fewest and the most instances.
    pub(super) least: i32,
    pub(super) most: i32,
    /// What does not happen to it.
    pub(super) suspended: Suspended,
}

/// Kinds of scaling that are suspended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Suspended {
    /// Scaling in, scaling out, scheduled scaling.
    pub(super) inward: bool,
    pub(super) outward: bool,
    pub(super) scheduled: bool,
}

/// Calls about the variants of one endpoint as scalable targets.
pub(in crate::sagemaker) struct Scaling<'a> {
    pub(in crate::sagemaker) client: &'a Client,
    pub(in crate::sagemaker) calls: &'a Calls<'a>,
}

impl Scaling<'_> {
    /// `endpoint/ENDPOINT/variant/VARIANT`
    fn resource(&self, variant: &RevisionId) -> String {
        format!("endpoint/{}/variant/{variant}", self.calls.endpoint.endpoint)
    }

    /// Whether the variant is a scalable target.
    pub(in crate::sagemaker) async fn holds(&self, variant: &RevisionId) -> Result<bool> {
        let [bounds] = self.bounds([variant]).await?;
        Ok(bounds.is_some())
    }

    /// `DescribeScalableTargets`: those of `variants` that are one, in the order asked for.
    pub(super) async fn bounds<const N: usize>(&self, variants: [&RevisionId; N]) -> Result<[Option<Bounds>; N]> {
        let operation = "DescribeScalableTargets";
        let ids = variants.map(|variant| self.resource(variant));
        let mut found = BTreeMap::new();
        let mut pages = Pages::of(operation);
        loop {
            let page = self
                .client
                .describe_scalable_targets()
                .service_namespace(ServiceNamespace::Sagemaker)
                .scalable_dimension(ScalableDimension::SageMakerVariantDesiredInstanceCount)
                .set_resource_ids(Some(ids.to_vec()))
                .set_next_token(pages.token())
                .customize()
                .interceptor(self.calls.tagged(operation, Effect::Read))
                .send()
                .await
                .map_err(|e| classify(operation, e))?;
            for target in page.scalable_targets.unwrap_or_default() {
                let state = target.suspended_state.as_ref();
                let is = |of: fn(&SuspendedState) -> Option<bool>| state.and_then(of).unwrap_or(false);
                let suspended = Suspended {
                    inward: is(SuspendedState::dynamic_scaling_in_suspended),
                    outward: is(SuspendedState::dynamic_scaling_out_suspended),
                    scheduled: is(SuspendedState::scheduled_scaling_suspended),
                };
                let bounds = Bounds { least: target.min_capacity, most: target.max_capacity, suspended };
                found.insert(target.resource_id, bounds);
            }
            if !pages.turn(page.next_token)? {
                return Ok(ids.map(|id| found.get(&id).copied()));
            }
        }
    }

    /// `RegisterScalableTarget`: what is suspended, and new bounds; those that there are stay where none are given. All three
    /// kinds of scaling are named, because what becomes of one that is left out is not documented.
    pub(super) async fn register(
        &self,
        variant: &RevisionId,
        bounds: Option<(i32, i32)>,
        suspended: Suspended,
    ) -> Result<()> {
        let operation = "RegisterScalableTarget";
        let state = SuspendedState::builder()
            .dynamic_scaling_in_suspended(suspended.inward)
            .dynamic_scaling_out_suspended(suspended.outward)
            .scheduled_scaling_suspended(suspended.scheduled);
        self.client
            .register_scalable_target()
            .service_namespace(ServiceNamespace::Sagemaker)
            .scalable_dimension(ScalableDimension::SageMakerVariantDesiredInstanceCount)
            .resource_id(self.resource(variant))
            .set_min_capacity(bounds.map(|(least, _)| least))
            .set_max_capacity(bounds.map(|(_, most)| most))
            .suspended_state(state.build())
            .customize()
            .interceptor(self.calls.tagged(operation, Effect::Write))
            .send()
            .await
            .map(drop)
            .map_err(|e| classify(operation, e).with("variant", variant))
    }

    /// `DeregisterScalableTarget`
    pub(super) async fn deregister(&self, variant: &RevisionId) -> Result<()> {
        let operation = "DeregisterScalableTarget";
        self.client
            .deregister_scalable_target()
            .service_namespace(ServiceNamespace::Sagemaker)
            .scalable_dimension(ScalableDimension::SageMakerVariantDesiredInstanceCount)
            .resource_id(self.resource(variant))
            .customize()
            .interceptor(self.calls.tagged(operation, Effect::Write))
            .send()
            .await
            .map(drop)
            .map_err(|e| classify(operation, e).with("variant", variant))
    }
}

impl Calls<'_> {
    /// `UpdateEndpointWeightsAndCapacities`, the count of one variant only: a call changes weights, or the capacity of one variant
    /// (API model).
    pub(super) async fn set_instances(&self, variant: &RevisionId, count: i32) -> Result<()> {
        let operation = "UpdateEndpointWeightsAndCapacities";
        let desired =
            DesiredWeightAndCapacity::builder().variant_name(variant.as_str()).desired_instance_count(count).build();
        self.client
            .update_endpoint_weights_and_capacities()
            .endpoint_name(&self.endpoint.endpoint)
            .desired_weights_and_capacities(desired)
            .customize()
            .interceptor(self.tagged(operation, Effect::Write))
            .send()
            .await
            .map(drop)
            .map_err(|e| classify_by_text(operation, e, kind_of_text))
    }
}
