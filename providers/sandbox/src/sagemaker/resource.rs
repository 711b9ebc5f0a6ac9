//! Endpoint configs and models: made once, never changed.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::error::Refusal;
use super::input::Input;
use super::render::moment;
use super::state::Resource;
use super::store::{MOST_VARIANTS, is_frequency};
use super::tags;
use super::update::variants_of;

/// What texts call an endpoint config.
const CONFIG: &str = "endpoint configuration";

impl Call<'_> {
    /// An endpoint config by its name.
    pub(super) fn config(&mut self, name: &str) -> Result<&Resource, Refusal> {
        let missing = Refusal::no_such(CONFIG, &self.arn("endpoint-config", name));
        self.here().configs.get(name).ok_or(missing)
    }

    pub(super) fn create_config(&mut self) -> Reply {
        let name = self.input.name("EndpointConfigName")?;
        let arn = self.arn("endpoint-config", &name);
        let resource = self.resource()?;
        let variants = self.input.list("ProductionVariants")?.to_vec();
        let shadows = self.input.list("ShadowProductionVariants")?.to_vec();
        if variants.is_empty() || variants.len() > MOST_VARIANTS {
            let constraint = format!("Member must have length between 1 and {MOST_VARIANTS}, inclusive");
            return Err(Refusal::violation(&variants.len().to_string(), "productionVariants", &constraint));
        }
        if !shadows.is_empty() && (shadows.len() > 1 || variants.len() > 1) {
            let message =
                "Only one production variant and one shadow variant are allowed when there is a shadow variant.";
            return Err(Refusal::invalid(message));
        }
        let mut names = BTreeSet::new();
        for variant in variants.iter().chain(&shadows) {
            let variant = Input::object(variant, "ProductionVariants")?;
            let name = variant.name("VariantName")?;
            if !names.insert(name.clone()) {
                return Err(Refusal::invalid(format!("The variant name \"{name}\" is not unique.")));
            }
            // One without a model hosts inference components.
            let Some(model) = variant.text("ModelName")?.map(str::to_owned) else { continue };
            let missing = Refusal::no_such("model", &self.arn("model", &model));
            self.here().models.get(&model).ok_or(missing)?;
        }
        variants_of(&resource)?;
        let frequency =
            resource.body.get("MetricsConfig").and_then(|metrics| metrics.get("MetricPublishFrequencyInSeconds"));
        if let Some(frequency) = frequency
            && !frequency.as_i64().is_some_and(is_frequency)
        {
            return Err(Refusal::invalid(format!("{frequency} is no valid MetricPublishFrequencyInSeconds.")));
        }
        if self.here().configs.contains_key(&name) {
            return Err(Refusal::exists(CONFIG, &arn));
        }
        self.here().configs.insert(name, resource);
        Ok(json!({ "EndpointConfigArn": arn }))
    }

    pub(super) fn create_model(&mut self) -> Reply {
        let name = self.input.name("ModelName")?;
        let arn = self.arn("model", &name);
        let resource = self.resource()?;
        let containers = self.input.list("Containers")?.len();
        if self.input.member("PrimaryContainer").is_some() == (containers > 0) {
            return Err(Refusal::invalid("Exactly one of PrimaryContainer and Containers must be given."));
        }
        let one = self.input.member("PrimaryContainer").into_iter().chain(self.input.list("Containers")?);
        let packages: Vec<String> =
            one.filter_map(|container| Some(container.get("ModelPackageName")?.as_str()?.to_owned())).collect();
        let front = self.arn("model-package", "");
        for package in packages {
            let known = package.strip_prefix(&front).is_some_and(|name| self.here().packages.contains_key(name));
            if !known {
                return Err(Refusal::invalid(format!("ModelPackage {package} does not exist.")));
            }
        }
        if self.here().models.contains_key(&name) {
            return Err(Refusal::exists("model", &arn));
        }
        self.here().models.insert(name, resource);
        Ok(json!({ "ModelArn": arn }))
    }

    /// What the request says, without its tags.
    fn resource(&self) -> Result<Resource, Refusal> {
        let tags = tags::read(&self.input)?;
        let mut body = self.input.0.clone();
        body.retain(|member, value| member != "Tags" && !value.is_null());
        Ok(Resource { body, created: self.now, tags })
    }

    pub(super) fn describe_config(&mut self) -> Reply {
        let name = self.input.name("EndpointConfigName")?;
        let arn = self.arn("endpoint-config", &name);
        Ok(described(self.config(&name)?, "EndpointConfigArn", &arn))
    }

    pub(super) fn describe_model(&mut self) -> Reply {
        let name = self.input.name("ModelName")?;
        let arn = self.arn("model", &name);
        let model = self.here().models.get(&name).ok_or_else(|| Refusal::no_such("model", &arn))?;
        Ok(described(model, "ModelArn", &arn))
    }

    pub(super) fn delete_config(&mut self) -> Reply {
        let name = self.input.name("EndpointConfigName")?;
        self.config(&name)?;
        self.here().configs.remove(&name);
        Ok(json!({}))
    }

    pub(super) fn delete_model(&mut self) -> Reply {
        let name = self.input.name("ModelName")?;
        let arn = self.arn("model", &name);
        self.here().models.remove(&name).map(|_| json!({})).ok_or_else(|| Refusal::no_such("model", &arn))
    }
}

fn described(resource: &Resource, member: &str, arn: &str) -> Value {
    let mut body = resource.body.clone();
    body.insert(member.to_owned(), json!(arn));
    body.insert("CreationTime".to_owned(), moment(resource.created));
    Value::Object(body)
}
