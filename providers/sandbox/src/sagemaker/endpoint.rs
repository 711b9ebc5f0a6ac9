//! Endpoints: what they are, their beginning and their end.

use serde_json::json;

use super::call::{Call, Reply};
use super::error::Refusal;
use super::render;
use super::state::{Endpoint, Slot, Variant, Work};
use super::tags;
use super::update::{shadows_of, variants_of};
use crate::scenario::Behaviour;

impl Call<'_> {
    pub(super) fn describe_endpoint(&mut self) -> Reply {
        let name = self.endpoint_name()?;
        let arn = self.arn("endpoint", &name);
        self.endpoint()?;
        let here = self.here();
        let missing = Refusal::no_such("endpoint", &arn);
        let slot = here.endpoints.get(&name).ok_or(missing)?;
        Ok(render::endpoint(&name, &arn, &slot.now, here))
    }

    pub(super) fn create_endpoint(&mut self) -> Reply {
        let (name, config) = (self.endpoint_name()?, self.input.name("EndpointConfigName")?);
        let tags = tags::read(&self.input)?;
        let arn = self.arn("endpoint", &name);
        if self.here().endpoints.contains_key(&name) {
            return Err(Refusal::exists("endpoint", &arn));
        }
        let found = self.config(&config)?;
        let (variants, shadows) = (variants_of(found)?, shadows_of(found)?);
        let (now, length) = (self.now, self.world.sagemaker.settings.deploy);
        let takes = self.takes(length);
        let mut endpoint = Endpoint {
            config,
            created: now,
            modified: now,
            variants,
            shadows,
            change: None,
            failure: None,
            broken: None,
            guardrails: None,
            tags,
            misfortunes: Vec::new(),
        };
        endpoint.begin(Work::Create, now, takes);
        self.introduce(&name, &endpoint.variants);
        self.introduce(&name, &endpoint.shadows);
        self.here().endpoints.insert(name, Slot { now: endpoint, before: None });
        Ok(json!({ "EndpointArn": arn }))
    }

    /// Its users go on asking whatever answered last: nobody measures them any more.
    pub(super) fn delete_endpoint(&mut self) -> Reply {
        let name = self.endpoint_name()?;
        let arn = self.arn("endpoint", &name);
        let (now, length) = (self.now, self.world.sagemaker.settings.update);
        let slot = self.here().endpoints.get_mut(&name).ok_or_else(|| Refusal::no_such("endpoint", &arn))?;
        if slot.now.change.is_some() {
            return Err(Refusal::in_progress(&arn));
        }
        slot.before = Some(Box::new(slot.now.clone()));
        slot.now.begin(Work::Delete, now, Some(length));
        Ok(json!({}))
    }

    /// Tells the simulated users of variants that they have not met.
    pub(super) fn introduce(&mut self, endpoint: &str, variants: &[Variant]) {
        let target = super::store::target(&self.region, endpoint);
        for variant in variants {
            if let Ok(revision) = variant.name.parse() {
                self.world.traffic.add_revision(&target, &revision, &Behaviour::default());
            }
        }
    }
}
