//! Requests and answers of a deployment: models, endpoint configs, the model registry. SDK types stop here.

use aws_sdk_sagemaker::operation::describe_endpoint_config::DescribeEndpointConfigOutput;
use aws_sdk_sagemaker::operation::describe_model::DescribeModelOutput;
use aws_sdk_sagemaker::types::{
    ContainerDefinition, ContainerMode, ModelCompressionType, ModelDataSource, ModelLifeCycle, ProductionVariant,
    ProductionVariantInstanceType, S3ModelDataSource, S3ModelDataType, Tag, VariantProperty, VariantPropertyType,
};
use mlroll_backend::{Effect, Error, ErrorKind, ModelStage, Result, Timestamp};

use super::super::wire::{Calls, Endpoint, Variant, kind_of_text};
use super::members::wire::Unread;
use crate::error::classify_by_text;
use crate::pages::Pages;

/// What became of something that is made once and never changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    Made,
    /// One of this name is there: names follow from content.
    There,
    /// Made without its tags, because those may not be written.
    Untagged,
    /// A rehearsal stopped it.
    Withheld,
}

/// An endpoint config, to be copied.
#[derive(Debug)]
pub(in crate::sagemaker) struct Config(DescribeEndpointConfigOutput, Unread);

/// Tags of an original, for its copy.
#[derive(Clone, Debug, Default)]
pub(super) struct Copied {
    tags: Vec<Tag>,
    /// There are none because they may not be read.
    pub(super) is_unread: bool,
}

/// What an endpoint config says of one variant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::sagemaker) struct Slot {
    pub(in crate::sagemaker) name: String,
    /// None: inference components are placed on it.
    pub(in crate::sagemaker) model: Option<String>,
    pub(super) instance_type: String,
    pub(super) is_serverless: bool,
}

/// What the idle slot is to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filling {
    /// The slot, which may be new.
    pub(super) slot: String,
    /// The variant whose settings it gets.
    pub(super) like: String,
    pub(super) model: String,
    pub(super) instance_type: Option<String>,
    /// How many instances it begins with.
    pub(super) instances: i32,
}

/// Where a variant is to stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place<'a> {
    pub(super) name: &'a str,
    pub(super) weight: u16,
    /// How many instances it begins with; what the config says where that is not known.
    pub(super) instances: Option<i32>,
    pub(super) is_shadow: bool,
}

/// A model, whose settings another one gets.
#[derive(Debug)]
pub(super) struct Template(DescribeModelOutput);

/// What another model is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Data { data: String, image: String },
    Package(String),
}

/// A version in the model registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Package {
    /// `Approved`, `Rejected`, `PendingManualApproval`; empty when nobody was asked.
    pub(super) approval: String,
    /// `Completed`, ...
    pub(super) status: String,
}

impl Config {
    pub(in crate::sagemaker) fn slots(&self) -> Vec<Slot> {
        let of = |variant: &ProductionVariant| Slot {
            name: variant.variant_name.clone().unwrap_or_default(),
            model: variant.model_name.clone().filter(|model| !model.is_empty()),
            instance_type: variant.instance_type.as_ref().map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
            is_serverless: variant.serverless_config.is_some(),
        };
        self.0.production_variants().iter().map(of).collect()
    }

    pub(super) fn created(&self) -> Option<Timestamp> {
        self.0.creation_time.and_then(|at| Timestamp::from_unix_milliseconds(at.to_millis().ok()?))
    }

    pub(super) fn is_async(&self) -> bool {
        self.0.async_inference_config.is_some()
    }

    /// Settings that a copy is without, because this program does not know them.
    pub(super) fn lost(&self) -> Vec<String> {
        self.1.names()
    }

    pub(super) fn arn(&self) -> &str {
        self.0.endpoint_config_arn().unwrap_or_default()
    }

    /// Whether it names such a variant, in production or as a shadow.
    pub(super) fn has(&self, name: &str) -> bool {
        let mut all = self.0.production_variants().iter().chain(self.0.shadow_production_variants());
        all.any(|variant| variant.variant_name.as_deref() == Some(name))
    }

    pub(super) fn has_shadows(&self) -> bool {
        !self.0.shadow_production_variants().is_empty()
    }

    /// Its variants as they are to stand, in production or as shadows.
    fn standing(&self, places: &[Place<'_>], shadows: bool) -> Vec<ProductionVariant> {
        let all = || self.0.production_variants().iter().chain(self.0.shadow_production_variants());
        let stand = |place: &Place<'_>| {
            let mut variant = all().find(|variant| variant.variant_name.as_deref() == Some(place.name))?.clone();
            variant.initial_variant_weight = Some(f32::from(place.weight));
            variant.initial_instance_count = place.instances.or(variant.initial_instance_count);
            Some(variant)
        };
        places.iter().filter(|place| place.is_shadow == shadows).filter_map(stand).collect()
    }

    /// Its variants with the slot filled, and weights and counts as they are live.
    fn filled(&self, filling: &Filling, live: &[Variant]) -> Vec<ProductionVariant> {
        let mut variants = self.0.production_variants().to_vec();
        for variant in &mut variants {
            let now = live.iter().find(|now| variant.variant_name.as_deref() == Some(&now.name));
            let Some(now) = now else { continue };
            variant.initial_variant_weight = Some(now.desired);
            if let Some(count) = now.wanted_instances.or(now.instances).filter(|count| *count > 0) {
                variant.initial_instance_count = Some(count);
            }
        }
        let like = variants.iter().find(|variant| variant.variant_name.as_deref() == Some(&filling.like)).cloned();
        let Some(mut new) = like else { return variants };
        new.variant_name = Some(filling.slot.clone());
        new.model_name = Some(filling.model.clone());
        new.initial_variant_weight = Some(0.0);
        new.initial_instance_count = Some(filling.instances);
        if let Some(kind) = &filling.instance_type {
            new.instance_type = Some(ProductionVariantInstanceType::from(kind.as_str()));
        }
        match variants.iter_mut().find(|variant| variant.variant_name.as_deref() == Some(&filling.slot)) {
            Some(slot) => *slot = new,
            None => variants.push(new),
        }
        variants
    }
}

/// Tags that one thing may have (SageMaker API model).
const MOST_TAGS: usize = 50;

impl Copied {
    /// These, and as many of the original's as there is room for.
    fn beside(&self, mut own: Vec<Tag>) -> Vec<Tag> {
        let room = MOST_TAGS.saturating_sub(own.len());
        own.extend(self.tags.iter().take(room).cloned());
        own
    }
}

impl Template {
    pub(super) fn containers(&self) -> usize {
        usize::from(self.0.primary_container.is_some()) + self.0.containers().len()
    }

    /// The versions in the model registry that its containers come from, by their ARNs.
    pub(super) fn packages(&self) -> Vec<String> {
        let all = self.0.primary_container.iter().chain(self.0.containers());
        all.filter_map(|container| container.model_package_name.clone()).collect()
    }

    pub(super) fn arn(&self) -> &str {
        self.0.model_arn().unwrap_or_default()
    }

    fn container(&self) -> Option<&ContainerDefinition> {
        self.0.primary_container.as_ref().or_else(|| self.0.containers().first())
    }

    /// Its container, with another image and other data.
    fn refilled(&self, data: &str, image: &str) -> ContainerDefinition {
        let mut container = self.container().cloned().unwrap_or_else(|| ContainerDefinition::builder().build());
        // A package brings its own of both.
        (container.model_package_name, container.inference_specification_name) = (None, None);
        container.image = Some(image.to_owned());
        let source = container.model_data_source.take().and_then(|source| source.s3_data_source);
        container.model_data_source = located(source.as_ref(), data, container.mode.as_ref())
            .map(|source| ModelDataSource::builder().s3_data_source(source).build());
        container.model_data_url = container.model_data_source.is_none().then(|| data.to_owned());
        container
    }
}

/// Where data is that is no archive: under a prefix, or what stable's is. `ModelDataUrl` is an archive's, and the prefix of many
/// models'.
fn located(stable: Option<&S3ModelDataSource>, data: &str, mode: Option<&ContainerMode>) -> Option<S3ModelDataSource> {
    let is_prefix = data.ends_with('/');
    let is_object = |source: &S3ModelDataSource| source.s3_data_type == Some(S3ModelDataType::S3Object);
    let kind = match stable {
        Some(source) if is_object(source) && !is_prefix => {
            (S3ModelDataType::S3Object, source.compression_type.clone()?)
        }
        Some(_) | None if is_prefix && mode != Some(&ContainerMode::MultiModel) => {
            (S3ModelDataType::S3Prefix, ModelCompressionType::None)
        }
        Some(_) | None => return None,
    };
    // What was agreed to, and what was asked of a hub, was of the other data.
    Some(S3ModelDataSource::builder().s3_uri(data).s3_data_type(kind.0).compression_type(kind.1).build())
}

impl Calls<'_> {
    /// `DescribeEndpointConfig`
    pub(in crate::sagemaker) async fn config(&self, name: &str) -> Result<Config> {
        let operation = "DescribeEndpointConfig";
        let unread = Unread::default();
        let call = self.client.describe_endpoint_config().endpoint_config_name(name).customize();
        let call = call.interceptor(self.tagged(operation, Effect::Read)).interceptor(unread.clone());
        let answer = call.send().await;
        answer.map(|answer| Config(answer, unread)).map_err(|e| classify_by_text(operation, e, kind_of_text))
    }

    /// `DescribeModel`
    pub(super) async fn model(&self, name: &str) -> Result<Template> {
        let operation = "DescribeModel";
        let call = self.client.describe_model().model_name(name).customize();
        let answer = call.interceptor(self.tagged(operation, Effect::Read)).send().await;
        answer.map(Template).map_err(|e| classify_by_text(operation, e, kind_of_text))
    }

    /// `DescribeModelPackage`
    pub(super) async fn package(&self, arn: &str) -> Result<Package> {
        let operation = "DescribeModelPackage";
        let call = self.client.describe_model_package().model_package_name(arn).customize();
        let answer = call.interceptor(self.tagged(operation, Effect::Read)).send().await;
        let answer = answer.map_err(|e| classify_by_text(operation, e, kind_of_text))?;
        Ok(Package {
            approval: answer.model_approval_status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
            status: answer.model_package_status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
        })
    }

    /// `ListTags` of an original: those that are its owner's. None where they may not be read.
    pub(super) async fn copied(&self, arn: &str) -> Result<Copied> {
        let operation = "ListTags";
        let mut pages = Pages::of(operation);
        let mut tags = Vec::new();
        loop {
            let call = self.client.list_tags().resource_arn(arn).max_results(100).set_next_token(pages.token());
            let page = call.customize().interceptor(self.tagged(operation, Effect::Read)).send().await;
            let page = match page.map_err(|e| classify_by_text(operation, e, kind_of_text)) {
                Err(e) if e.kind() == ErrorKind::Auth => return Ok(Copied { tags: Vec::new(), is_unread: true }),
                page => page?,
            };
            let theirs = |tag: &Tag| {
                let key = tag.key().unwrap_or_default();
                !key.to_ascii_lowercase().starts_with("aws:") && !key.starts_with("mlroll-")
            };
            tags.extend(page.tags.unwrap_or_default().into_iter().filter(theirs));
            if !pages.turn(page.next_token)? {
                return Ok(Copied { tags, is_unread: false });
            }
        }
    }

    /// `UpdateModelPackage`, of its stage alone.
    pub(super) async fn set_stage(&self, arn: &str, stage: &ModelStage) -> Result<()> {
        let operation = "UpdateModelPackage";
        let life = ModelLifeCycle::builder().stage(&stage.stage).stage_status(&stage.status).build();
        let call = self.client.update_model_package().model_package_arn(arn).model_life_cycle(life).customize();
        let sent = call.interceptor(self.tagged(operation, Effect::Write)).send().await;
        sent.map(drop).map_err(|e| classify_by_text(operation, e, kind_of_text))
    }

    /// `CreateModel`, with the settings of `template`. A package brings its own image, data and environment.
    pub(super) async fn create_model(
        &self,
        name: &str,
        source: &Source,
        template: &Template,
        copied: &Copied,
    ) -> Result<Stored> {
        let operation = "CreateModel";
        let container = match source {
            Source::Package(arn) => ContainerDefinition::builder().model_package_name(arn).build(),
            Source::Data { data, image } => template.refilled(data, image),
        };
        let made = self
            .client
            .create_model()
            .model_name(name)
            .primary_container(container)
            .set_inference_execution_config(template.0.inference_execution_config.clone())
            .set_execution_role_arn(template.0.execution_role_arn.clone())
            .set_vpc_config(template.0.vpc_config.clone())
            .set_enable_network_isolation(template.0.enable_network_isolation);
        labelled(copied.beside(self.labels(None)), |labels| {
            let call = made.clone().set_tags(labels).customize().interceptor(self.tagged(operation, Effect::Write));
            async move { call.send().await.map(drop).map_err(|e| classify_by_text(operation, e, kind_of_text)) }
        })
        .await
    }

    /// `CreateEndpointConfig`: a copy of `live` with the slot filled.
    pub(super) async fn create_config(
        &self,
        name: &str,
        live: &Config,
        filling: &Filling,
        now: &Endpoint,
        copied: &Copied,
    ) -> Result<Stored> {
        self.create_like(name, live, (live.filled(filling, &now.variants), None), &now.config, copied).await
    }

    /// The same with the same models in other places.
    pub(super) async fn rearrange(
        &self,
        name: &str,
        live: &Config,
        places: &[Place<'_>],
        before: &str,
        copied: &Copied,
    ) -> Result<Stored> {
        let shadows = Some(live.standing(places, true)).filter(|shadows| !shadows.is_empty());
        self.create_like(name, live, (live.standing(places, false), shadows), before, copied).await
    }

    async fn create_like(
        &self,
        name: &str,
        live: &Config,
        (production, shadows): (Vec<ProductionVariant>, Option<Vec<ProductionVariant>>),
        before: &str,
        copied: &Copied,
    ) -> Result<Stored> {
        let operation = "CreateEndpointConfig";
        let old = &live.0;
        let made = self
            .client
            .create_endpoint_config()
            .endpoint_config_name(name)
            .set_production_variants(Some(production))
            .set_shadow_production_variants(shadows)
            .set_data_capture_config(old.data_capture_config.clone())
            .set_kms_key_id(old.kms_key_id.clone())
            .set_async_inference_config(old.async_inference_config.clone())
            .set_explainer_config(old.explainer_config.clone())
            .set_execution_role_arn(old.execution_role_arn.clone())
            .set_vpc_config(old.vpc_config.clone())
            .set_enable_network_isolation(old.enable_network_isolation)
            .set_metrics_config(old.metrics_config.clone());
        labelled(copied.beside(self.labels(Some(before))), |labels| {
            let call = made.clone().set_tags(labels).customize().interceptor(self.tagged(operation, Effect::Write));
            async move { call.send().await.map(drop).map_err(|e| classify_by_text(operation, e, kind_of_text)) }
        })
        .await
    }

    /// `UpdateEndpoint`: weights and counts stay as they are live, but those are the config's that `counts` and `weights` name.
    pub(super) async fn update(&self, config: &str, counts: bool, weights: bool) -> Result<()> {
        let operation = "UpdateEndpoint";
        let kinds =
            [(counts, VariantPropertyType::DesiredInstanceCount), (weights, VariantPropertyType::DesiredWeight)];
        let named = kinds.into_iter().filter(|(named, _)| *named);
        let excluded: Vec<_> =
            named.map(|(_, kind)| VariantProperty::builder().variant_property_type(kind).build()).collect();
        self.client
            .update_endpoint()
            .endpoint_name(&self.endpoint.endpoint)
            .endpoint_config_name(config)
            .retain_all_variant_properties(true)
            .set_exclude_retained_variant_properties(Some(excluded).filter(|excluded| !excluded.is_empty()))
            .customize()
            .interceptor(self.tagged(operation, Effect::Write))
            .send()
            .await
            .map(drop)
            .map_err(|e| classify_by_text(operation, e, kind_of_text))
    }
}

/// Makes something with these tags, or without any where it is refused with them: what may not be tagged may still be made.
async fn labelled<F: Future<Output = Result<()>>>(
    labels: Vec<Tag>,
    send: impl Fn(Option<Vec<Tag>>) -> F,
) -> Result<Stored> {
    let made = match send(Some(labels)).await {
        Err(e) if e.kind() == ErrorKind::Auth => send(None).await.map(|()| Stored::Untagged),
        sent => sent.map(|()| Stored::Made),
    };
    match made {
        Err(e) if e.kind() == ErrorKind::Withheld => Ok(Stored::Withheld),
        Err(e) if is_there(&e) => Ok(Stored::There),
        made => made,
    }
}

fn is_there(error: &Error) -> bool {
    error.message().contains("Cannot create already existing")
}
