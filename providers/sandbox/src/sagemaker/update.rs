//! Changes of an endpoint: weights and counts, and another endpoint config.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::call::{Call, Reply};
use super::error::Refusal;
use super::input::Input;
use super::state::{Resource, Variant, Work};

impl Call<'_> {
    /// `UpdateEndpointWeightsAndCapacities`: a variant that is not named, and a member that is left out, stay as they are.
    pub(super) fn update_weights(&mut self) -> Reply {
        let wanted = read(&self.input)?;
        let name = self.endpoint_name()?;
        let arn = self.arn("endpoint", &name);
        let (now, length) = (self.now, self.world.sagemaker.settings.update);
        let region = self.region.clone();
        let (_, endpoint) = self.idle_endpoint()?;
        let config = endpoint.config.clone();
        // Not documented of weights; of another endpoint config it is (terraform-provider-aws#40048).
        self.config(&config)?;
        let (_, endpoint) = self.endpoint()?;
        let mut variants = endpoint.variants.clone();
        let unknown: Vec<&str> =
            wanted.iter().map(|w| w.name.as_str()).filter(|w| !variants.iter().any(|v| v.name == *w)).collect();
        if !unknown.is_empty() {
            let config =
                format!("arn:aws:sagemaker:{region}:{}:endpoint-config/{}", crate::lambda::ACCOUNT, endpoint.config);
            return Err(Refusal::invalid(format!(
                "The variant name(s) \"{}\" is/are not present within endpoint configuration \"{config}\".",
                unknown.join(", ")
            )));
        }
        for wanted in wanted {
            for variant in variants.iter_mut().filter(|variant| variant.name == wanted.name) {
                variant.desired_weight = wanted.weight.unwrap_or(variant.desired_weight);
                if let Some(instances) = wanted.instances {
                    variant.desired_instances = Some(instances);
                }
            }
        }
        // Not documented; stricter than AWS may be.
        if variants.iter().all(|variant| variant.desired_weight == 0.0) {
            return Err(Refusal::invalid("At least one variant must have a weight greater than 0."));
        }
        endpoint.variants = variants;
        let takes = self.takes(length);
        let (_, endpoint) = self.endpoint()?;
        endpoint.begin(Work::Weights, now, takes);
        Ok(json!({ "EndpointArn": arn }))
    }

    /// `UpdateEndpoint`: a new fleet for all variants. What is not retained is as the config says.
    pub(super) fn update_endpoint(&mut self) -> Reply {
        let (name, config) = (self.endpoint_name()?, self.input.name("EndpointConfigName")?);
        let retain = self.input.flag("RetainAllVariantProperties")?;
        let guardrails = self.input.member("DeploymentConfig").cloned();
        let mut excluded = BTreeSet::new();
        for property in self.input.list("ExcludeRetainedVariantProperties")? {
            let property = Input::object(property, "ExcludeRetainedVariantProperties")?;
            let kind = property.required("VariantPropertyType")?;
            if !["DesiredInstanceCount", "DesiredWeight", "DataCaptureConfig"].contains(&kind) {
                let constraint =
                    "Member must satisfy enum value set: [DesiredInstanceCount, DataCaptureConfig, DesiredWeight]";
                let member = "excludeRetainedVariantProperties.1.member.variantPropertyType";
                return Err(Refusal::violation(kind, member, constraint));
            }
            excluded.insert(kind.to_owned());
        }
        if !retain && !excluded.is_empty() {
            let message = "ExcludeRetainedVariantProperties is allowed only with RetainAllVariantProperties.";
            return Err(Refusal::invalid(message));
        }
        let body = self.config(&config)?.body.clone();
        let mut variants = variants_of(self.config(&config)?)?;
        let mut shadows = shadows_of(self.config(&config)?)?;
        let arn = self.arn("endpoint", &name);
        self.refuse_scaled(&name, &body)?;
        let (now, length) = (self.now, self.world.sagemaker.settings.deploy);
        let (_, endpoint) = self.idle_endpoint()?;
        // By name, whatever place it has: stricter than AWS may be, which does not say.
        for variant in variants.iter_mut().chain(&mut shadows).filter(|_| retain) {
            let mut old = endpoint.variants.iter().chain(&endpoint.shadows);
            let Some(old) = old.find(|old| old.name == variant.name) else { continue };
            if !excluded.contains("DesiredWeight") {
                (variant.weight, variant.desired_weight) = (old.weight, old.weight);
            }
            if !excluded.contains("DesiredInstanceCount") && variant.instances.is_some() {
                (variant.instances, variant.desired_instances) = (old.instances, old.instances);
            }
        }
        if variants.iter().all(|variant| variant.weight == 0.0) {
            return Err(Refusal::invalid("At least one variant must have a weight greater than 0."));
        }
        self.introduce(&name, &variants);
        self.introduce(&name, &shadows);
        let takes = self.takes(length);
        let (_, endpoint) = self.endpoint()?;
        endpoint.begin(Work::Deploy { config, variants, shadows, guardrails }, now, takes);
        Ok(json!({ "EndpointArn": arn }))
    }
}

impl Call<'_> {
    /// A variant that is a scalable target keeps its instance type, and stays (SageMaker developer guide).
    fn refuse_scaled(&mut self, endpoint: &str, new: &Map<String, Value>) -> Result<(), Refusal> {
        let here = self.here();
        let Some(slot) = here.endpoints.get(endpoint) else { return Ok(()) };
        let Some(old) = here.configs.get(&slot.now.config) else { return Ok(()) };
        let types = |body: &Map<String, Value>| {
            let variants = body.get("ProductionVariants").and_then(Value::as_array).cloned().unwrap_or_default();
            let kind = |variant: Value| {
                Some((variant.get("VariantName")?.as_str()?.to_owned(), variant.get("InstanceType").cloned()))
            };
            variants.into_iter().filter_map(kind).collect::<BTreeMap<_, _>>()
        };
        let (old, new) = (types(&old.body), types(new));
        let scaled = |name: &String| here.scalable.contains_key(&format!("endpoint/{endpoint}/variant/{name}"));
        match old.iter().find(|(name, kind)| scaled(name) && new.get(*name) != Some(kind)) {
            None => Ok(()),
            Some((name, _)) => Err(Refusal::invalid(format!(
                "The variant(s) \"{name}\" must be deregistered as scalable targets with AutoScaling before they can be \
                 removed or have their instance type updated."
            ))),
        }
    }
}

/// What is wanted of one variant.
struct Wanted {
    name: String,
    weight: Option<f32>,
    instances: Option<i64>,
}

fn read(input: &Input) -> Result<Vec<Wanted>, Refusal> {
    let list = input.list("DesiredWeightsAndCapacities")?;
    if list.is_empty() {
        let constraint = "Member must have length greater than or equal to 1";
        return Err(Refusal::violation("[]", "desiredWeightsAndCapacities", constraint));
    }
    let mut all: Vec<Wanted> = Vec::new();
    for wanted in list {
        let wanted = Input::object(wanted, "DesiredWeightsAndCapacities")?;
        let name = wanted.name("VariantName")?;
        let weight = weight_in(&wanted, "DesiredWeight")?;
        let instances = wanted.integer("DesiredInstanceCount", 0, i64::from(i32::MAX))?;
        if all.iter().any(|other| other.name == name) {
            return Err(Refusal::invalid(format!("The variant name \"{name}\" is given twice.")));
        }
        all.push(Wanted { name, weight, instances });
    }
    // "the weight of one or more variants, or the capacity of one variant"
    if all.iter().filter(|wanted| wanted.instances.is_some()).count() > 1 {
        return Err(Refusal::invalid("The capacity of only one variant can be updated at a time."));
    }
    Ok(all)
}

/// A weight: 32 bits are what SageMaker keeps.
#[expect(clippy::cast_possible_truncation, reason = "as SageMaker does it")]
fn weight_in(input: &Input, member: &str) -> Result<Option<f32>, Refusal> {
    match input.number(member)? {
        Some(weight) if weight < 0.0 => {
            let constraint = "Member must have value greater than or equal to 0";
            Err(Refusal::violation(&weight.to_string(), &super::input::camel(member), constraint))
        }
        weight => Ok(weight.map(|weight| weight as f32).filter(|weight| weight.is_finite())),
    }
}

/// The variants that an endpoint config begins with.
pub(super) fn variants_of(config: &Resource) -> Result<Vec<Variant>, Refusal> {
    listed(config, "ProductionVariants")
}

/// The shadow variants that it begins with.
pub(super) fn shadows_of(config: &Resource) -> Result<Vec<Variant>, Refusal> {
    listed(config, "ShadowProductionVariants")
}

fn listed(config: &Resource, member: &str) -> Result<Vec<Variant>, Refusal> {
    let of = |variant: &Value| {
        let variant = Input::object(variant, member)?;
        let weight = weight_in(&variant, "InitialVariantWeight")?.unwrap_or(1.0);
        let serverless = variant.member("ServerlessConfig").is_some();
        let count = variant.integer("InitialInstanceCount", 1, i64::from(i32::MAX))?.unwrap_or(1);
        let instances = (!serverless).then_some(count);
        Ok(Variant {
            name: variant.name("VariantName")?,
            weight,
            desired_weight: weight,
            instances,
            desired_instances: instances,
        })
    };
    let variants = config.body.get(member).and_then(Value::as_array);
    let variants: Vec<Variant> = variants.into_iter().flatten().map(of).collect::<Result<_, Refusal>>()?;
    // "Multiple production variants" are not supported by serverless endpoints (SageMaker developer guide); the text is a guess.
    if variants.len() > 1 && variants.iter().any(|variant| variant.instances.is_none()) {
        return Err(Refusal::invalid("Serverless endpoints do not support multiple production variants."));
    }
    Ok(variants)
}
