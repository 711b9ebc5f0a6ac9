//! All endpoints of all workspaces, and how they come to be.

use std::collections::{BTreeMap, BTreeSet};

use mlroll_backend::{AzureMlEndpoint, RevisionId, Target, Timestamp, Weight};
use serde_json::{Map, Value, json};

use super::route::{PROVIDER, Scope};
use super::rules;
use super::state::{Endpoint, Logged, Resource, Slot, State};
use crate::arm::LOCATION;
use crate::lambda::Routed;
use crate::scenario::{self, Scenario, Service};

/// The online endpoints of Azure Machine Learning.
#[derive(Debug, Default)]
pub struct AzureMl {
    pub(super) workspaces: BTreeSet<Scope>,
    pub(super) endpoints: BTreeMap<(Scope, String), Slot>,
    pub(super) operations: BTreeMap<String, Logged>,
    /// How many ids were given out.
    count: u64,
}

/// Whether the Azure ML targets of a scenario make sense.
///
/// # Errors
/// A name that Azure would not take, or two that it takes for one.
pub(crate) fn check(scenario: &Scenario) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for (target, service) in scenario.parsed_targets() {
        let Target::AzureMl(endpoint) = &target else { continue };
        if !seen.insert(key(endpoint)) {
            return Err(format!("{target} is there twice: names have no case on Azure"));
        }
        if let Err(why) = rules::check_name("endpoint", &endpoint.endpoint) {
            return Err(format!("{target}: {why}"));
        }
        let mut names = BTreeSet::new();
        for name in service.revisions.keys() {
            rules::check_name("deployment", name).map_err(|why| format!("{target}: {why}"))?;
            if !names.insert(name.to_ascii_lowercase()) {
                return Err(format!("{target}: deployment `{name}` is there twice: names have no case on Azure"));
            }
        }
        if names.len() > rules::MOST_DEPLOYMENTS {
            let most = rules::MOST_DEPLOYMENTS;
            return Err(format!("{target}: {} deployments; an endpoint has at most {most}", names.len()));
        }
    }
    Ok(())
}

/// An endpoint as it is found, whatever the case.
fn key(endpoint: &AzureMlEndpoint) -> (Scope, String) {
    let lower = str::to_ascii_lowercase;
    let scope = (lower(&endpoint.subscription), lower(&endpoint.resource_group), lower(&endpoint.workspace));
    (scope, lower(&endpoint.endpoint))
}

/// The ARM id of something in a workspace, without its kind and name.
pub(super) fn workspace_id([subscription, group, workspace]: &[String; 3]) -> String {
    format!("/subscriptions/{subscription}/resourceGroups/{group}/providers/{PROVIDER}/workspaces/{workspace}")
}

/// The ARM id of an endpoint.
fn endpoint_id(endpoint: &AzureMlEndpoint) -> String {
    let AzureMlEndpoint { subscription, resource_group, workspace, endpoint } = endpoint;
    let within = [subscription, resource_group, workspace].map(Clone::clone);
    format!("{}/onlineEndpoints/{endpoint}", workspace_id(&within))
}

impl AzureMl {
    /// The endpoints of a scenario, as they have been for a while. What makes no sense is left out.
    #[must_use]
    pub fn of(scenario: &Scenario, now: Timestamp) -> Self {
        let mut azure = Self::default();
        for (target, service) in scenario.parsed_targets() {
            if let Target::AzureMl(endpoint) = &target {
                let slot = azure.endpoint(endpoint, &target, service, now);
                let key = key(endpoint);
                azure.workspaces.insert(key.0.clone());
                azure.endpoints.insert(key, slot);
            }
        }
        azure
    }

    fn endpoint(&mut self, endpoint: &AzureMlEndpoint, target: &Target, service: &Service, now: Timestamp) -> Slot {
        let name = &endpoint.endpoint;
        let record = json!({
            "location": LOCATION, "kind": "Managed", "tags": {}, "identity": { "type": "SystemAssigned" },
            "properties": {
                "authMode": "Key", "description": null, "traffic": { service.stable.clone(): 100 }, "mirrorTraffic": {},
                "publicNetworkAccess": "Enabled", "compute": null,
                "properties": { "azureml.onlineendpointid": self.guid() },
            },
        });
        let resource = |name: &str, record: Value, state: State| Resource {
            name: name.to_owned(),
            record: object(record),
            state,
            created: now,
            modified: now,
            pending: None,
        };
        let deployments = service.revisions.iter().map(|(revision, behaviour)| {
            let state = match behaviour.state {
                scenario::State::Active => State::Succeeded,
                scenario::State::Failed => State::Failed,
            };
            let model = format!("{}/models/{name}/versions/{revision}", endpoint_id(endpoint));
            let model = model.replace(&format!("/onlineEndpoints/{name}"), "");
            (revision.to_ascii_lowercase(), resource(revision, deployment_record(&model), state))
        });
        let deployments = deployments.collect();
        let resource = resource(name, record, State::Succeeded);
        Slot { now: Endpoint { resource, deployments, target: Some(target.clone()) }, before: None }
    }

    /// A GUID that was never used before.
    pub(super) fn guid(&mut self) -> String {
        self.count += 1;
        format!("00000000-0000-4000-8000-{:012x}", self.count)
    }

    /// Carries out what is due, and tells where requests go from when on.
    pub(crate) fn settle(&mut self, now: Timestamp) -> Vec<(Routed, Option<(RevisionId, Weight)>)> {
        let Self { endpoints, operations, .. } = self;
        let mut routed = Vec::new();
        endpoints.retain(|_, Slot { now: endpoint, .. }| {
            let mut ended = Vec::new();
            endpoint.deployments.retain(|_, deployment| {
                let over = deployment.settle(now);
                let stays = over.as_ref().is_none_or(|over| !over.deleted);
                ended.extend(over);
                stays
            });
            let over = endpoint.resource.settle(now);
            let stays = over.as_ref().is_none_or(|over| !over.deleted);
            if let (Some(over), true) = (&over, stays)
                && over.outcome == State::Succeeded
                && let (Some(target), Some(split)) = (&endpoint.target, endpoint.split())
            {
                routed.push((Routed { target: target.clone(), split, at: over.at }, endpoint.mirror()));
            }
            for over in ended.into_iter().chain(over) {
                if let Some(logged) = operations.get_mut(&over.id) {
                    logged.over = Some(over);
                }
            }
            stays
        });
        routed
    }

    /// The target of an endpoint by its parts, whatever their case, with the revision that a deployment is; `None` when
    /// there is no such endpoint, or it has no such deployment.
    pub(crate) fn users(
        &self,
        [subscription, group, workspace, endpoint]: [&str; 4],
        deployment: Option<&str>,
    ) -> Option<(Option<&Target>, Vec<RevisionId>)> {
        let lower = str::to_ascii_lowercase;
        let scope = (lower(subscription), lower(group), lower(workspace));
        let endpoint = &self.endpoints.get(&(scope, lower(endpoint)))?.now;
        let revision = |resource: &Resource| resource.name.parse().ok();
        let revisions = match deployment {
            Some(name) => endpoint.deployments.get(&lower(name)).map(revision)?.into_iter().collect(),
            None => endpoint.deployments.values().filter_map(revision).collect(),
        };
        Some((endpoint.target.as_ref(), revisions))
    }

    /// How many instances a deployment has, by its parts, whatever their case.
    pub(crate) fn instances(
        &self,
        [subscription, group, workspace, endpoint]: [&str; 4],
        deployment: &str,
    ) -> Option<u64> {
        let lower = str::to_ascii_lowercase;
        let scope = (lower(subscription), lower(group), lower(workspace));
        let endpoint = &self.endpoints.get(&(scope, lower(endpoint)))?.now;
        endpoint.deployments.get(&lower(deployment))?.record.get("sku")?.get("capacity")?.as_u64()
    }
}

/// A deployment as the SDK makes one.
fn deployment_record(model: &str) -> Value {
    json!({
        "location": LOCATION, "kind": "Managed", "tags": {}, "sku": { "name": "Default", "capacity": 2 },
        "properties": {
            "endpointComputeType": "Managed", "model": model, "instanceType": "Standard_DS3_v2",
            "description": null, "environmentVariables": {}, "appInsightsEnabled": false, "properties": {},
        },
    })
}

/// The object that a literal is.
fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}
