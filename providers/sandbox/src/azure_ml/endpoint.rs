//! Endpoints.

use http::StatusCode;
use serde_json::{Value, json};

use super::call::{Call, Reply, note_operation};
use super::state::{CREATE, DELETE, Endpoint, Resource, Slot, State, Wanted};
use super::{render, rules};
use crate::arm::Refusal;

impl Call<'_> {
    pub(super) fn get_endpoint(&self) -> Result<Reply, Refusal> {
        Ok(Reply::ok(render::endpoint(&self.route.within, &self.find()?.resource)))
    }

    pub(super) fn list_endpoints(&self) -> Result<Reply, Refusal> {
        let scope = self.route.scope();
        let name = self.route.asked.query("name").map(str::to_ascii_lowercase);
        let own = self.world.azure_ml.endpoints.iter().filter(|((of, _), _)| *of == scope);
        let own = own.filter(|((_, found), _)| name.as_ref().is_none_or(|name| name == found));
        let own = own.map(|(_, slot)| render::endpoint(&self.route.within, &slot.now.resource));
        self.page(own.collect(), 20)
    }

    /// Refuses a write to an endpoint that another one is changing.
    pub(super) fn check_idle(&self, what: &str) -> Result<(), Refusal> {
        let Ok(Endpoint { resource, .. }) = self.find() else { return Ok(()) };
        if resource.pending.is_none() {
            return Ok(());
        }
        let (name, state) = (&resource.name, resource.state.name());
        Err(Refusal::busy(format!("Cannot {what} endpoint {name} because it is in {state} provisioning state")))
    }

    pub(super) fn put_endpoint(&mut self) -> Result<Reply, Refusal> {
        let name = self.route.endpoint.clone();
        rules::check_name("endpoint", &name).map_err(Refusal::invalid)?;
        let body = self.body()?;
        self.check_idle("update")?;
        let old = self.find().ok();
        let exists = old.is_some();
        let mut wanted = rules::endpoint(body, &name, old)?;
        let length = if exists { self.world.scenario.azure_ml.update } else { CREATE };
        let (pending, status) = self.begin("oe", length, Wanted::Nothing);
        note_operation(&mut wanted, &status);
        let (now, state) = (self.now, if exists { State::Updating } else { State::Creating });
        if !exists {
            let resource = Resource { name, record: wanted.clone(), state, created: now, modified: now, pending: None };
            let endpoint = Endpoint { resource, deployments: Default::default(), target: None };
            let key = self.key();
            self.azure().endpoints.insert(key, Slot { now: endpoint, before: None });
        }
        let resource = &mut self.find_mut()?.resource;
        note_operation(&mut resource.record, &status);
        resource.state = state;
        resource.modified = now;
        resource.pending = Some(super::state::Pending { wanted: Wanted::Record(wanted), ..pending });
        let body = render::endpoint(&self.route.within, &self.find()?.resource);
        // 201, also for an update, and still with the traffic from before.
        Ok(Reply { status: StatusCode::CREATED, body: Some(body), headers: self.accepted(status) })
    }

    /// Tags and identity only, since 2022-10-01.
    pub(super) fn patch_endpoint(&mut self) -> Result<Reply, Refusal> {
        let body = self.body()?;
        self.find()?;
        self.check_idle("update")?;
        if let Some(other) = body.keys().find(|name| !["tags", "identity"].contains(&name.as_str())) {
            return Err(Refusal::invalid(format!("{other} cannot be patched: only tags and identity can.")));
        }
        let tags = body.get("tags").map(|tags| rules::checked_tags(Some(tags))).transpose()?;
        let identity = body.get("identity").map(rules::checked_identity).transpose()?;
        let now = self.now;
        let resource = &mut self.find_mut()?.resource;
        for (name, value) in [("tags", tags), ("identity", identity)] {
            if let Some(value) = value {
                resource.record.insert(name.to_owned(), value);
            }
        }
        resource.modified = now;
        self.get_endpoint()
    }

    pub(super) fn delete_endpoint(&mut self) -> Result<Reply, Refusal> {
        if self.find().is_err() {
            return Ok(Reply { status: StatusCode::NO_CONTENT, body: None, headers: Vec::new() });
        }
        self.check_idle("delete")?;
        let (pending, status) = self.begin("oe", DELETE, Wanted::Nothing);
        let (id, now) = (pending.id.clone(), self.now);
        let resource = &mut self.find_mut()?.resource;
        (resource.state, resource.modified, resource.pending) = (State::Deleting, now, Some(pending));
        Ok(self.accepted_without_body(&id, status))
    }

    pub(super) fn list_keys(&self) -> Result<Reply, Refusal> {
        let resource = &self.find()?.resource;
        let mode = resource.record.get("properties").and_then(|properties| properties.get("authMode")?.as_str());
        if mode != Some("Key") {
            return Err(Refusal::invalid("Keys are for endpoints whose authMode is Key."));
        }
        Ok(Reply::ok(json!({ "primaryKey": "sandbox", "secondaryKey": "sandbox" })))
    }

    pub(super) fn get_token(&self) -> Result<Reply, Refusal> {
        self.find()?;
        let expires = self.now.unix_seconds() + 3600;
        let token: Value = json!({
            "accessToken": "sandbox", "tokenType": "Bearer", "expiryTimeUtc": expires, "refreshAfterTimeUtc": expires - 600,
        });
        Ok(Reply::ok(token))
    }
}
