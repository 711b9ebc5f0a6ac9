//! Requests and answers about what is left behind. SDK types stop here.

use aws_sdk_sagemaker::types::Tag;
use aws_smithy_types::DateTime;
use mlroll_backend::{Effect, Error, ErrorKind, Result, Timestamp};

use super::rules::User;
use super::{BEFORE, ENDPOINT};
use crate::error::classify_by_text;
use crate::pages::Pages;
use crate::sagemaker::wire::{Calls, kind_of_text};

/// The most that a page may have (SageMaker API model).
const PAGE: i32 = 100;

/// An endpoint config or a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) created: Timestamp,
}

/// What its tags say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) endpoint: Option<String>,
    pub(super) before: Option<String>,
}

/// What an endpoint config refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) models: Vec<String>,
    /// It has variants without a model: inference components are placed on them.
    pub(super) components: bool,
}

impl Calls<'_> {
    /// The tags of what is made here; `before` is the endpoint config that the endpoint has.
    pub(in crate::sagemaker) fn labels(&self, before: Option<&str>) -> Vec<Tag> {
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let before = before.map(|before| tag(BEFORE, before));
        [tag(ENDPOINT, &self.endpoint.endpoint)].into_iter().chain(before).collect()
    }

    /// `ListEndpointConfigs`, all pages; those whose names contain this, or all.
    pub(super) async fn configs(&self, containing: Option<&str>) -> Result<Vec<Listed>> {
        let operation = "ListEndpointConfigs";
        let mut pages = Pages::of(operation);
        let mut all = Vec::new();
        loop {
            let call = self.client.list_endpoint_configs().max_results(PAGE);
            let call = call.set_name_contains(containing.map(str::to_owned)).set_next_token(pages.token()).customize();
            let page = call.interceptor(self.tagged(operation, Effect::Read)).send().await;
            let page = page.map_err(|e| classify_by_text(operation, e, kind_of_text))?;
            for one in page.endpoint_configs.unwrap_or_default() {
                let (name, arn) = (one.endpoint_config_name, one.endpoint_config_arn);
                all.push(listed(operation, name, arn, one.creation_time)?);
            }
            if !pages.turn(page.next_token)? {
                return Ok(all);
            }
        }
    }

    /// `ListModels`, all pages; those whose names contain this.
    pub(super) async fn models(&self, containing: &str) -> Result<Vec<Listed>> {
        let operation = "ListModels";
        let mut pages = Pages::of(operation);
        let mut all = Vec::new();
        loop {
            let call = self.client.list_models().max_results(PAGE).name_contains(containing);
            let call = call.set_next_token(pages.token()).customize();
            let page = call.interceptor(self.tagged(operation, Effect::Read)).send().await;
            let page = page.map_err(|e| classify_by_text(operation, e, kind_of_text))?;
            for one in page.models.unwrap_or_default() {
                all.push(listed(operation, one.model_name, one.model_arn, one.creation_time)?);
            }
            if !pages.turn(page.next_token)? {
                return Ok(all);
            }
        }
    }

    /// `ListTags`, all pages.
    pub(super) async fn label(&self, arn: &str) -> Result<Label> {
        let operation = "ListTags";
        let mut pages = Pages::of(operation);
        let mut label = Label::default();
        loop {
            let call = self.client.list_tags().resource_arn(arn).max_results(PAGE).set_next_token(pages.token());
            let page = call.customize().interceptor(self.tagged(operation, Effect::Read)).send().await;
            let page = page.map_err(|e| classify_by_text(operation, e, kind_of_text))?;
            for tag in page.tags.unwrap_or_default() {
                match tag.key.as_deref() {
                    Some(ENDPOINT) => label.endpoint = tag.value,
                    Some(BEFORE) => label.before = tag.value,
                    Some(_) | None => {}
                }
            }
            if !pages.turn(page.next_token)? {
                return Ok(label);
            }
        }
    }

    /// `ListEndpoints`, all pages.
    pub(super) async fn endpoints(&self) -> Result<Vec<String>> {
        let operation = "ListEndpoints";
        let mut pages = Pages::of(operation);
        let mut all = Vec::new();
        loop {
            let call = self.client.list_endpoints().max_results(PAGE).set_next_token(pages.token()).customize();
            let page = call.interceptor(self.tagged(operation, Effect::Read)).send().await;
            let page = page.map_err(|e| classify_by_text(operation, e, kind_of_text))?;
            for one in page.endpoints.unwrap_or_default() {
                all.push(one.endpoint_name.ok_or_else(|| missing(operation, "EndpointName"))?);
            }
            if !pages.turn(page.next_token)? {
                return Ok(all);
            }
        }
    }

    /// `DescribeEndpoint` of any endpoint.
    pub(super) async fn user(&self, name: &str) -> Result<User> {
        let operation = "DescribeEndpoint";
        let call = self.client.describe_endpoint().endpoint_name(name).customize();
        let answer = call.interceptor(self.tagged(operation, Effect::Read)).send().await;
        let answer = answer.map_err(|e| classify_by_text(operation, e, kind_of_text))?;
        Ok(User {
            endpoint: name.to_owned(),
            status: answer.endpoint_status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
            config: answer.endpoint_config_name.unwrap_or_default(),
            pending: answer.pending_deployment_summary.map(|summary| summary.endpoint_config_name.unwrap_or_default()),
        })
    }

    /// `DescribeEndpointConfig`, for the models that it names.
    pub(super) async fn names(&self, config: &str) -> Result<Names> {
        let operation = "DescribeEndpointConfig";
        let call = self.client.describe_endpoint_config().endpoint_config_name(config).customize();
        let answer = call.interceptor(self.tagged(operation, Effect::Read)).send().await;
        let answer = answer.map_err(|e| classify_by_text(operation, e, kind_of_text))?;
        let all = answer.production_variants().iter().chain(answer.shadow_production_variants());
        let mut names = Names::default();
        for variant in all {
            match variant.model_name.as_deref() {
                Some(model) if !model.is_empty() => names.models.push(model.to_owned()),
                Some(_) | None => names.components = true,
            }
        }
        Ok(names)
    }

    /// `DeleteEndpointConfig`
    pub(super) async fn delete_config(&self, name: &str) -> Result<()> {
        let operation = "DeleteEndpointConfig";
        let call = self.client.delete_endpoint_config().endpoint_config_name(name).customize();
        let sent = call.interceptor(self.tagged(operation, Effect::Write)).send().await;
        sent.map(drop).map_err(|e| classify_by_text(operation, e, kind_of_text))
    }

    /// `DeleteModel`
    pub(super) async fn delete_model(&self, name: &str) -> Result<()> {
        let operation = "DeleteModel";
        let call = self.client.delete_model().model_name(name).customize();
        let sent = call.interceptor(self.tagged(operation, Effect::Write)).send().await;
        sent.map(drop).map_err(|e| classify_by_text(operation, e, kind_of_text))
    }
}

/// Something of a list: what lacks its age is not guessed at.
fn listed(
    operation: &'static str,
    name: Option<String>,
    arn: Option<String>,
    created: Option<DateTime>,
) -> Result<Listed> {
    let created = created.and_then(|at| Timestamp::from_unix_milliseconds(at.to_millis().ok()?));
    Ok(Listed {
        name: name.ok_or_else(|| missing(operation, "name"))?,
        arn: arn.ok_or_else(|| missing(operation, "ARN"))?,
        created: created.ok_or_else(|| missing(operation, "CreationTime"))?,
    })
}

fn missing(operation: &'static str, what: &str) -> Error {
    let message = format!("something in the answer has no {what}: it is not SageMaker's");
    Error::new(ErrorKind::Unexpected, operation, message)
}
