//! Deployments.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::call::{Call, Reply, note_operation};
use super::state::{Blame, DELETE, DEPLOY, Pending, Resource, SCALE, State, Wanted};
use super::{cores, render, rules};
use crate::arm::Refusal;
use crate::scenario::{Behaviour, State as Health};

impl Call<'_> {
    fn shown(&self, deployment: &Resource) -> Result<Value, Refusal> {
        Ok(render::deployment(&self.route.within, &self.find()?.resource.name, deployment))
    }

    pub(super) fn get_deployment(&self) -> Result<Reply, Refusal> {
        Ok(Reply::ok(self.shown(self.find_deployment()?)?))
    }

    pub(super) fn list_deployments(&self) -> Result<Reply, Refusal> {
        let deployments = self.find()?.deployments.values();
        self.page(deployments.map(|deployment| self.shown(deployment)).collect::<Result<_, _>>()?, 20)
    }

    /// Refuses a write to a deployment that another one is changing, and to one of such an endpoint.
    fn check_deployment_idle(&self, what: &str) -> Result<(), Refusal> {
        self.check_idle(&format!("{what} a deployment in"))?;
        match self.find_deployment() {
            Ok(Resource { name, state, pending: Some(_), .. }) => Err(Refusal::busy(format!(
                "Cannot {what} deployment {name} because it is in {} provisioning state",
                state.name()
            ))),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    pub(super) fn put_deployment(&mut self) -> Result<Reply, Refusal> {
        let name = self.route.deployment.clone();
        rules::check_name("deployment", &name).map_err(Refusal::invalid)?;
        let body = self.body()?;
        let endpoint = self.find()?;
        let old = endpoint.deployments.get(&name.to_ascii_lowercase());
        let exists = old.is_some();
        if !exists && endpoint.deployments.len() >= rules::MOST_DEPLOYMENTS {
            let message = format!("An endpoint has at most {} deployments.", rules::MOST_DEPLOYMENTS);
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "OutOfQuota", message));
        }
        self.check_deployment_idle(if exists { "update" } else { "create" })?;
        let mut wanted = rules::deployment(body, &name, old)?;
        let scales = old.is_some_and(|old| old.record.get("sku") != wanted.get("sku"));
        let (state, length) = match (exists, scales) {
            (false, _) => (State::Creating, DEPLOY),
            (true, false) => (State::Updating, DEPLOY),
            (true, true) => (State::Scaling, SCALE),
        };
        let blame = self.blame(&name, &wanted);
        let (pending, status) = self.begin_to("od", length, Wanted::Nothing, blame);
        note_operation(&mut wanted, &status);
        let now = self.now;
        if !exists {
            self.introduce(&name, &wanted);
            let record = wanted.clone();
            let new = Resource { name: name.clone(), record, state, created: now, modified: now, pending: None };
            self.find_mut()?.deployments.insert(name.to_ascii_lowercase(), new);
        }
        let resource = self.find_deployment_mut()?;
        note_operation(&mut resource.record, &status);
        (resource.state, resource.modified) = (state, now);
        resource.pending = Some(Pending { wanted: Wanted::Record(wanted), ..pending });
        let body = self.shown(self.find_deployment()?)?;
        Ok(Reply { status: StatusCode::CREATED, body: Some(body), headers: self.accepted(status) })
    }

    /// Tags and the number of instances only.
    pub(super) fn patch_deployment(&mut self) -> Result<Reply, Refusal> {
        let body = self.body()?;
        self.find_deployment()?;
        self.check_deployment_idle("update")?;
        if let Some(other) = body.keys().find(|name| !["tags", "sku"].contains(&name.as_str())) {
            return Err(Refusal::invalid(format!("{other} cannot be patched: only tags and sku can.")));
        }
        let tags = body.get("tags").map(|tags| rules::checked_tags(Some(tags))).transpose()?;
        let sku = body.get("sku").map(rules::checked_sku).transpose()?;
        let mut wanted = self.find_deployment()?.record.clone();
        for (name, value) in [("tags", tags), ("sku", sku.clone())] {
            if let Some(value) = value {
                wanted.insert(name.to_owned(), value);
            }
        }
        let now = self.now;
        if sku.is_none() {
            let resource = self.find_deployment_mut()?;
            (resource.record, resource.modified) = (wanted, now);
            return self.get_deployment();
        }
        let (pending, status) = self.begin("od", SCALE, Wanted::Record(wanted));
        let id = pending.id.clone();
        let resource = self.find_deployment_mut()?;
        (resource.state, resource.modified, resource.pending) = (State::Scaling, now, Some(pending));
        Ok(self.accepted_without_body(&id, status))
    }

    pub(super) fn delete_deployment(&mut self) -> Result<Reply, Refusal> {
        if self.find_deployment().is_err() {
            return Ok(Reply { status: StatusCode::NO_CONTENT, body: None, headers: Vec::new() });
        }
        self.check_deployment_idle("delete")?;
        let name = self.route.deployment.to_ascii_lowercase();
        for map in ["traffic", "mirrorTraffic"] {
            if self.find()?.percents(map).contains_key(&name) {
                let message = format!("Deployment {name} has {map}: set it to 0 before the deployment is deleted.");
                return Err(Refusal::invalid(message));
            }
        }
        let (pending, status) = self.begin("od", DELETE, Wanted::Nothing);
        let (id, now) = (pending.id.clone(), self.now);
        let resource = self.find_deployment_mut()?;
        (resource.state, resource.modified, resource.pending) = (State::Deleting, now, Some(pending));
        Ok(self.accepted_without_body(&id, status))
    }

    pub(super) fn get_logs(&self) -> Result<Reply, Refusal> {
        let deployment = self.find_deployment()?;
        let body = if self.request.body().is_empty() { Map::new() } else { self.body()? };
        let of_model = match body.get("containerType").and_then(Value::as_str) {
            None | Some("InferenceServer") => true,
            Some("StorageInitializer") => false,
            Some(_) => return Err(Refusal::invalid("containerType must be InferenceServer or StorageInitializer.")),
        };
        let crashes = self.behaviour(&deployment.name, &deployment.record).is_some_and(|of| of.state == Health::Failed);
        let content = match (of_model, deployment.state) {
            (false, _) => "",
            (true, State::Failed) if crashes => {
                "loading the model\nmodel.py: the model could not be loaded\nworker exited with code 3\n"
            }
            // It never came to a container.
            (true, State::Failed | State::Canceled | State::Creating) => "",
            (true, State::Deleting | State::Scaling | State::Succeeded | State::Updating) => "the model is loaded\n",
        };
        let tail = body.get("tail").and_then(Value::as_u64).and_then(|tail| usize::try_from(tail).ok());
        let lines: Vec<&str> = content.lines().collect();
        let from = tail.map_or(0, |tail| lines.len().saturating_sub(tail));
        let shown: String = lines.iter().skip(from).map(|line| format!("{line}\n")).collect();
        Ok(Reply::ok(json!({ "content": shown })))
    }

    /// How the scenario has a deployment behave: by its name, else by its model's version.
    fn behaviour(&self, name: &str, record: &Map<String, Value>) -> Option<&Behaviour> {
        let target = self.find().ok()?.target.as_ref()?;
        let (_, service) = self.world.scenario.parsed_targets().find(|(of, _)| of == target)?;
        let model = record.get("properties").and_then(|properties| properties.get("model")?.as_str());
        let version = model.and_then(|model| model.rsplit('/').next());
        [Some(name), version].into_iter().flatten().find_map(|wanted| {
            service.revisions.iter().find(|(known, _)| known.eq_ignore_ascii_case(wanted)).map(|(_, of)| of)
        })
    }

    /// Why a deployment cannot become what is wanted.
    fn blame(&self, name: &str, wanted: &Map<String, Value>) -> Option<Blame> {
        let others = self.world.azure_ml.endpoints.values().flat_map(|slot| slot.now.deployments.values());
        let others = others.filter(|other| !other.name.eq_ignore_ascii_case(name) && other.state != State::Failed);
        let used: u64 = others.map(|other| cores::of(&other.record)).sum();
        let needed = cores::of(wanted);
        if let Some(limit) = self.world.scenario.azure_ml.cores
            && used + needed > limit
        {
            let message = format!(
                "Not enough quota available for {} in SubscriptionId {}. Current usage/limit: {used}/{limit}. Additional \
                 needed: {needed}. Please see troubleshooting guide, available here: https://aka.ms/oe-tsg#error-outofquota",
                cores::machine(wanted),
                self.route.within.first().map_or("", String::as_str),
            );
            return Some(Blame { code: "OutOfQuota", message });
        }
        let crashes = self.behaviour(name, wanted)?.state == Health::Failed;
        crashes.then(|| Blame {
            code: "ResourceNotReady",
            message: "User container has crashed or terminated. Please see troubleshooting guide, available here: \
                      https://aka.ms/oe-tsg#error-resourcenotready"
                .to_owned(),
        })
    }

    /// A new deployment is known to those who will use it.
    fn introduce(&mut self, name: &str, wanted: &Map<String, Value>) {
        let behaviour = self.behaviour(name, wanted).cloned().unwrap_or_default();
        let target = self.find().ok().and_then(|endpoint| endpoint.target.clone());
        if let (Some(target), Ok(revision)) = (target, name.parse()) {
            self.world.traffic.add_revision(&target, &revision, &behaviour);
        }
    }

    pub(super) fn list_skus(&self) -> Result<Reply, Refusal> {
        let sku = self.find_deployment()?.record.get("sku").cloned();
        let capacity = json!({ "minimum": 0, "maximum": 50, "default": 1, "scaleType": "Manual" });
        let kind = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/deployments";
        Ok(Reply::ok(
            json!({ "value": [{ "resourceType": kind, "sku": sku, "capacity": capacity }], "nextLink": null }),
        ))
    }
}
