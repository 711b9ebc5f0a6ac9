//! Requests to and answers from SageMaker's control plane. SDK types stop here.

use aws_sdk_sagemaker::Client;
use aws_sdk_sagemaker::types::{DesiredWeightAndCapacity, ProductionVariantSummary, Tag as EndpointTag};
use mlroll_backend::{Effect, Error, ErrorKind, Result, SageMakerEndpoint, Target, Timestamp};

use crate::error::classify_by_text;
use crate::pages::Pages;
use crate::transport::{Tag, Tagging};

/// The tag that carries the marker.
const MARKER: &str = "mlroll-rollout";

/// The tag that says of which endpoint config's variants the marker speaks.
const CONFIG: &str = "mlroll-rollout-config";

/// What the tags of an endpoint say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    /// The marker, without its brackets.
    pub(super) marker: String,
    /// The endpoint config when it was written; `None` where a version of before wrote it.
    pub(super) config: Option<String>,
}

/// An endpoint as SageMaker describes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Endpoint {
    /// As it was created: the ARN may have it in lower case.
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) config: String,
    /// `InService`, `Updating`, ...
    pub(super) status: String,
    pub(super) failure: String,
    pub(super) modified: Option<Timestamp>,
    pub(super) variants: Vec<Variant>,
    pub(super) shadows: Vec<Variant>,
    pub(super) is_async: bool,
    /// The new endpoint config that is on its way.
    pub(super) pending: Option<String>,
    /// What its variants are at meanwhile: `Creating`, `Baking`, ...
    pub(super) stages: Vec<(String, String)>,
    /// Whether its latest deployment was made by SageMaker's deployment guardrails.
    pub(super) guardrails: bool,
}

/// One production variant.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Variant {
    pub(super) name: String,
    /// The weights that are live and asked for; zero may be left out of the answer.
    pub(super) current: f32,
    pub(super) desired: f32,
    /// How many instances there are, and are asked for, where that is told.
    pub(super) instances: Option<i32>,
    pub(super) wanted_instances: Option<i32>,
    pub(super) is_serverless: bool,
    /// Whether images are told of that it runs: there are none where it has no model of its own.
    pub(super) has_images: bool,
}

/// Calls about one endpoint.
pub(super) struct Calls<'a> {
    pub(super) client: &'a Client,
    pub(super) target: &'a Target,
    pub(super) endpoint: &'a SageMakerEndpoint,
}

impl Calls<'_> {
    /// `DescribeEndpoint`
    pub(super) async fn describe(&self) -> Result<Endpoint> {
        let operation = "DescribeEndpoint";
        let answer = self
            .client
            .describe_endpoint()
            .endpoint_name(&self.endpoint.endpoint)
            .customize()
            .interceptor(self.tagged(operation, Effect::Read))
            .send()
            .await
            .map_err(|e| classify_by_text(operation, e, kind_of_text))?;
        let missing = |what: &str| {
            Error::new(ErrorKind::Unexpected, operation, format!("the answer has no {what}: it is not SageMaker's"))
        };
        let all =
            |of: Option<Vec<ProductionVariantSummary>>| of.unwrap_or_default().into_iter().map(Variant::of).collect();
        let pending = answer.pending_deployment_summary;
        let stages = pending.iter().flat_map(|summary| summary.production_variants()).flat_map(|variant| {
            let name = variant.variant_name().unwrap_or_default();
            variant
                .variant_status()
                .iter()
                .map(move |status| (name.to_owned(), status.status().map(ToString::to_string)))
        });
        Ok(Endpoint {
            name: answer.endpoint_name.unwrap_or_else(|| self.endpoint.endpoint.clone()),
            stages: stages.filter_map(|(name, status)| Some((name, status?))).collect(),
            arn: answer.endpoint_arn.ok_or_else(|| missing("EndpointArn"))?,
            config: answer.endpoint_config_name.unwrap_or_default(),
            status: answer.endpoint_status.ok_or_else(|| missing("EndpointStatus"))?.as_str().to_owned(),
            failure: answer.failure_reason.unwrap_or_default(),
            modified: answer.last_modified_time.and_then(|at| Timestamp::from_unix_milliseconds(at.to_millis().ok()?)),
            variants: all(answer.production_variants),
            shadows: all(answer.shadow_production_variants),
            is_async: answer.async_inference_config.is_some(),
            pending: pending.map(|summary| summary.endpoint_config_name.unwrap_or_default()),
            guardrails: answer.last_deployment_config.is_some(),
        })
    }

    /// The variants of an endpoint config that name no model: inference components are placed on them.
    pub(super) async fn variants_without_model(&self, config: &str) -> Result<Vec<String>> {
        let operation = "DescribeEndpointConfig";
        let answer = self
            .client
            .describe_endpoint_config()
            .endpoint_config_name(config)
            .customize()
            .interceptor(self.tagged(operation, Effect::Read))
            .send()
            .await
            .map_err(|e| classify_by_text(operation, e, kind_of_text))?;
        let variants = answer.production_variants.unwrap_or_default().into_iter();
        let bare = variants.filter(|variant| variant.model_name.as_deref().unwrap_or_default().is_empty());
        Ok(bare.filter_map(|variant| variant.variant_name).collect())
    }

    /// The tags, by `ListTags`; they may be on any page.
    pub(super) async fn note(&self, arn: &str) -> Result<Option<Note>> {
        let operation = "ListTags";
        let (mut marker, mut config) = (None, None);
        let mut pages = Pages::of(operation);
        loop {
            let page = self
                .client
                .list_tags()
                .resource_arn(arn)
                .max_results(100)
                .set_next_token(pages.token())
                .customize()
                .interceptor(self.tagged(operation, Effect::Read))
                .send()
                .await
                .map_err(|e| classify_by_text(operation, e, kind_of_text))?;
            for tag in page.tags.unwrap_or_default() {
                match tag.key.as_deref() {
                    Some(MARKER) => marker = tag.value,
                    Some(CONFIG) => config = tag.value,
                    Some(_) | None => {}
                }
            }
            if !pages.turn(page.next_token)? {
                return Ok(marker.map(|marker| Note { marker, config }));
            }
        }
    }

    /// `AddTags`: replaces the tags; without a note, `DeleteTags`.
    pub(super) async fn set_note(&self, arn: &str, note: Option<&Note>) -> Result<()> {
        let Some(Note { marker, config }) = note else {
            let operation = "DeleteTags";
            let call = self.client.delete_tags().resource_arn(arn).tag_keys(MARKER).tag_keys(CONFIG).customize();
            let sent = call.interceptor(self.tagged(operation, Effect::Write)).send().await;
            return sent.map(drop).map_err(|e| classify_by_text(operation, e, kind_of_text));
        };
        match self.add_tags(arn, marker, config.as_ref()).await {
            // A resource has at most 50 tags: the marker may still have room.
            Err(e) if config.is_some() && e.kind() == ErrorKind::Invalid => self.add_tags(arn, marker, None).await,
            added => added,
        }
    }

    async fn add_tags(&self, arn: &str, marker: &str, config: Option<&String>) -> Result<()> {
        let operation = "AddTags";
        let tag = |key: &str, value: &str| EndpointTag::builder().key(key).value(value).build();
        let tags = [Some(tag(MARKER, marker)), config.map(|config| tag(CONFIG, config))];
        let call = self.client.add_tags().resource_arn(arn).set_tags(Some(tags.into_iter().flatten().collect()));
        let sent = call.customize().interceptor(self.tagged(operation, Effect::Write)).send().await;
        sent.map(drop).map_err(|e| classify_by_text(operation, e, kind_of_text))
    }

    /// `UpdateEndpointWeightsAndCapacities`, weights only.
    pub(super) async fn set_weights(&self, weights: &[(String, u16)]) -> Result<()> {
        let operation = "UpdateEndpointWeightsAndCapacities";
        let desired = |(name, weight): &(String, u16)| {
            DesiredWeightAndCapacity::builder().variant_name(name).desired_weight(f32::from(*weight)).build()
        };
        self.client
            .update_endpoint_weights_and_capacities()
            .endpoint_name(&self.endpoint.endpoint)
            .set_desired_weights_and_capacities(Some(weights.iter().map(desired).collect()))
            .customize()
            .interceptor(self.tagged(operation, Effect::Write))
            .send()
            .await
            .map(drop)
            .map_err(|e| classify_by_text(operation, e, kind_of_text))
    }

    pub(super) fn tagged(&self, operation: &'static str, effect: Effect) -> Tagging {
        Tagging(Tag { target: self.target.clone(), operation, effect })
    }
}

impl Variant {
    fn of(summary: ProductionVariantSummary) -> Self {
        let current = summary.current_weight.unwrap_or_default();
        Self {
            name: summary.variant_name.unwrap_or_default(),
            current,
            desired: summary.desired_weight.unwrap_or(current),
            instances: summary.current_instance_count,
            wanted_instances: summary.desired_instance_count,
            is_serverless: summary.current_serverless_config.is_some() || summary.desired_serverless_config.is_some(),
            has_images: summary.deployed_images.is_some_and(|images| !images.is_empty()),
        }
    }
}

/// SageMaker models next to no errors: what happened is told by the text of a `ValidationException`.
pub(super) fn kind_of_text(text: &str) -> Option<ErrorKind> {
    if text.contains("Cannot update in-progress endpoint") {
        Some(ErrorKind::Conflict)
    } else if text.starts_with("Could not find") {
        Some(ErrorKind::NotFound)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_mean() {
        for (text, kind) in [
            ("Cannot update in-progress endpoint \"arn:aws:sagemaker:x\".", Some(ErrorKind::Conflict)),
            ("Could not find endpoint \"arn:aws:sagemaker:x\".", Some(ErrorKind::NotFound)),
            ("Could not find endpoint configuration \"arn:aws:sagemaker:x\".", Some(ErrorKind::NotFound)),
            ("The variant name(s) \"x\" is/are not present within endpoint configuration.", None),
        ] {
            assert_eq!(kind_of_text(text), kind, "{text}");
        }
    }
}
