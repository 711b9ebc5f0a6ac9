//! One request on the endpoints of its workspace.

use std::time::Duration;

use http::StatusCode;
use mlroll_backend::Timestamp;
use serde_json::{Map, Value, json};

use super::route::{self, PROVIDER, Route, Scope};
use super::state::{Blame, Ending, Endpoint, Logged, Pending, Resource, State, Wanted};
use super::store::{AzureMl, workspace_id};
use crate::World;
use crate::api::{Answer, Request, json_answer};
use crate::arm::{self, LOCATION, Refusal};

/// The versions that online endpoints have: stable ones, and the previews that Azure's own SDK asks for.
const VERSIONS: [&str; 16] = [
    "2022-02-01-preview",
    "2022-05-01",
    "2022-10-01",
    "2022-12-01-preview",
    "2023-02-01-preview",
    "2023-04-01",
    "2023-04-01-preview",
    "2023-10-01",
    "2024-04-01",
    "2024-04-01-preview",
    "2024-10-01",
    "2024-10-01-preview",
    "2025-04-01",
    "2025-06-01",
    "2025-09-01",
    "2025-12-01",
];

/// A request that is to be carried out.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) world: &'a mut World,
    pub(super) route: &'a Route,
    pub(super) request: &'a Request,
    pub(super) now: Timestamp,
    /// How what the request begins will end.
    ending: Ending,
    /// Whether it began something that has an end.
    began: bool,
}

/// What an operation answers.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    /// `None`: nothing at all.
    pub(super) body: Option<Value>,
    pub(super) headers: Vec<(&'static str, String)>,
}

impl Reply {
    /// An answer with a body.
    pub(super) const fn of(status: StatusCode, body: Value) -> Self {
        Self { status, body: Some(body), headers: Vec::new() }
    }

    /// What was asked for.
    pub(super) const fn ok(body: Value) -> Self {
        Self::of(StatusCode::OK, body)
    }

    fn answer(&self) -> Answer {
        let answer = match &self.body {
            Some(body) => json_answer(self.status, body),
            None => arm::empty(self.status),
        };
        arm::with(answer, &self.headers)
    }
}

/// Answers a request, and tells whether it began an operation.
pub(super) fn answer(request: &Request, world: &mut World, ending: Ending) -> (Answer, bool) {
    let id = world.azure_ml.guid();
    let (answer, began) = match Route::of(request) {
        None => (Refusal::not_found("There is no such resource.").answer(), false),
        Some(route) => {
            let now = world.now();
            let mut call = Call { world, route: &route, request, now, ending, began: false };
            match call.carry_out() {
                Ok(reply) => (reply.answer(), call.began),
                Err(refusal) => (refusal.answer(), false),
            }
        }
    };
    let ids = [("x-ms-request-id", id.clone()), ("x-ms-correlation-request-id", id)];
    (arm::with(answer, &ids), began)
}

impl Call<'_> {
    fn carry_out(&mut self) -> Result<Reply, Refusal> {
        self.route.asked.check(self.request, "workspaces/onlineEndpoints", &VERSIONS)?;
        let before = match route::reads(self.route.operation) {
            true => None,
            false => self.find().ok().cloned(),
        };
        let (key, reply) = (self.key(), self.dispatch()?);
        if let Some(before) = before
            && let Some(slot) = self.world.azure_ml.endpoints.get_mut(&key)
        {
            slot.before = Some(Box::new(before));
        }
        Ok(reply)
    }

    fn dispatch(&mut self) -> Result<Reply, Refusal> {
        match self.route.operation {
            "mfeOperationResults" => return self.operation_result(),
            "mfeOperationsStatus" => return self.operation_status(),
            route::UNKNOWN => {
                let message = format!("There is no {} {} here.", self.request.method(), self.request.uri().path());
                return Err(Refusal::new(StatusCode::NOT_FOUND, "InvalidResourceType", message));
            }
            _ => {}
        }
        if !self.world.azure_ml.workspaces.contains(&self.route.scope()) {
            let [_, group, workspace] = &self.route.within;
            return Err(Refusal::not_found(format!(
                "The Resource '{PROVIDER}/workspaces/{workspace}' under resource group '{group}' was not found."
            )));
        }
        match self.route.operation {
            "OnlineDeployments_CreateOrUpdate" => self.put_deployment(),
            "OnlineDeployments_Delete" => self.delete_deployment(),
            "OnlineDeployments_Get" => self.get_deployment(),
            "OnlineDeployments_GetLogs" => self.get_logs(),
            "OnlineDeployments_List" => self.list_deployments(),
            "OnlineDeployments_ListSkus" => self.list_skus(),
            "OnlineDeployments_Update" => self.patch_deployment(),
            "OnlineEndpoints_CreateOrUpdate" => self.put_endpoint(),
            "OnlineEndpoints_Delete" => self.delete_endpoint(),
            "OnlineEndpoints_Get" => self.get_endpoint(),
            "OnlineEndpoints_GetToken" => self.get_token(),
            "OnlineEndpoints_List" => self.list_endpoints(),
            "OnlineEndpoints_ListKeys" => self.list_keys(),
            "OnlineEndpoints_Update" => self.patch_endpoint(),
            _ => Ok(self.workspace()),
        }
    }

    fn workspace(&self) -> Reply {
        let [.., name] = &self.route.within;
        Reply::ok(json!({
            "id": workspace_id(&self.route.within), "name": name, "type": format!("{PROVIDER}/workspaces"),
            "location": LOCATION, "tags": {}, "kind": "Default",
            "properties": { "friendlyName": name, "provisioningState": "Succeeded" },
        }))
    }

    pub(super) fn azure(&mut self) -> &mut AzureMl {
        &mut self.world.azure_ml
    }

    pub(super) fn key(&self) -> (Scope, String) {
        (self.route.scope(), self.route.endpoint.to_ascii_lowercase())
    }

    /// The endpoint that the request is about.
    pub(super) fn find(&self) -> Result<&Endpoint, Refusal> {
        let slot = self.world.azure_ml.endpoints.get(&self.key());
        slot.map(|slot| &slot.now).ok_or_else(|| self.no_endpoint())
    }

    /// The same, to be changed.
    pub(super) fn find_mut(&mut self) -> Result<&mut Endpoint, Refusal> {
        let (key, missing) = (self.key(), self.no_endpoint());
        self.azure().endpoints.get_mut(&key).map(|slot| &mut slot.now).ok_or(missing)
    }

    fn no_endpoint(&self) -> Refusal {
        let [_, group, workspace] = &self.route.within;
        Refusal::not_found(format!(
            "The Resource '{PROVIDER}/workspaces/{workspace}/onlineEndpoints/{}' under resource group '{group}' was not \
             found.",
            self.route.endpoint
        ))
    }

    /// The deployment that the request is about.
    pub(super) fn find_deployment(&self) -> Result<&Resource, Refusal> {
        let name = &self.route.deployment;
        let found = self.find()?.deployments.get(&name.to_ascii_lowercase());
        found.ok_or_else(|| Refusal::not_found(format!("The deployment {name} was not found.")))
    }

    /// The same, to be changed.
    pub(super) fn find_deployment_mut(&mut self) -> Result<&mut Resource, Refusal> {
        let name = self.route.deployment.clone();
        let found = self.find_mut()?.deployments.get_mut(&name.to_ascii_lowercase());
        found.ok_or_else(|| Refusal::not_found(format!("The deployment {name} was not found.")))
    }

    /// The object that the body is.
    pub(super) fn body(&self) -> Result<Map<String, Value>, Refusal> {
        let wrong = |why: String| Refusal::new(StatusCode::BAD_REQUEST, "InvalidRequestContent", why);
        let body = serde_json::from_slice(self.request.body());
        match body.map_err(|e| wrong(format!("The request content was invalid and could not be deserialized: {e}")))? {
            Value::Object(members) => Ok(members),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err(wrong("The request content is not an object.".to_owned()))
            }
        }
    }

    /// Begins an operation that takes so long: what is pending, with the headers that name it.
    ///
    /// `prefix` is that of its id: `oe` for endpoints, `od` for deployments.
    pub(super) fn begin(&mut self, prefix: &str, length: Duration, wanted: Wanted) -> (Pending, String) {
        self.begin_to(prefix, length, wanted, None)
    }

    /// The same, of one that fails for a reason, unless a fault says otherwise.
    pub(super) fn begin_to(
        &mut self,
        prefix: &str,
        length: Duration,
        wanted: Wanted,
        blame: Option<Blame>,
    ) -> (Pending, String) {
        self.began = true;
        let id = format!("{prefix}:{}:{}", self.azure().guid(), self.azure().guid());
        let (until, outcome) = match self.ending {
            Ending::InTime if blame.is_some() => (Some(self.now.plus(length)), State::Failed),
            Ending::InTime => (Some(self.now.plus(length)), State::Succeeded),
            Ending::Never => (None, State::Succeeded),
            Ending::Badly(state) => (Some(self.now.plus(length)), state),
        };
        let began = self.now;
        self.azure().operations.insert(id.clone(), Logged { began, blame, over: None });
        let status = self.operation_url("mfeOperationsStatus", &id);
        (Pending { id, until, outcome, wanted }, status)
    }

    /// Where an operation is asked about.
    pub(super) fn operation_url(&self, kind: &str, id: &str) -> String {
        let [subscription, ..] = &self.route.within;
        let version = self.route.asked.query("api-version").unwrap_or_default();
        let base = arm::base(self.request);
        format!(
            "{base}/subscriptions/{subscription}/providers/{PROVIDER}/locations/{LOCATION}/{kind}/{id}?api-version={version}"
        )
    }

    /// The URL of the resource itself.
    pub(super) fn own_url(&self) -> String {
        let version = self.route.asked.query("api-version").unwrap_or_default();
        format!("{}{}?api-version={version}", arm::base(self.request), self.request.uri().path())
    }

    /// The headers of an accepted PUT. There is no `Retry-After`.
    pub(super) fn accepted(&self, status: String) -> Vec<(&'static str, String)> {
        vec![
            ("azure-asyncoperation", status),
            ("location", self.own_url()),
            ("x-ms-async-operation-timeout", "PT30M".to_owned()),
        ]
    }

    /// The answer to an accepted DELETE or PATCH.
    pub(super) fn accepted_without_body(&self, id: &str, status: String) -> Reply {
        let headers = vec![
            ("azure-asyncoperation", status),
            ("location", self.operation_url("mfeOperationResults", id)),
            ("x-ms-async-operation-timeout", "PT30M".to_owned()),
        ];
        Reply { status: StatusCode::ACCEPTED, body: Some(Value::Null), headers }
    }

    /// A page of a list that is `count` long.
    pub(super) fn page(&self, all: Vec<Value>, count: usize) -> Result<Reply, Refusal> {
        let number = |name: &str, usual: usize| {
            let text = self.route.asked.query(name);
            text.map_or(Ok(usual), |text| {
                text.parse::<usize>().map_err(|_| Refusal::invalid(format!("{name} is no number.")))
            })
        };
        let (from, most) = (number("$skip", 0)?, number("count", count)?.max(1));
        let until = from.saturating_add(most);
        let next = (until < all.len()).then(|| format!("{}&$skip={until}&count={most}", self.own_url()));
        let value: Vec<Value> = all.into_iter().skip(from).take(most).collect();
        Ok(Reply::ok(json!({ "value": value, "nextLink": next })))
    }
}

/// Notes in the bag of a record which operation was the last.
pub(super) fn note_operation(record: &mut Map<String, Value>, status: &str) {
    let properties = record.get_mut("properties").and_then(Value::as_object_mut);
    if let Some(bag) = properties.and_then(|properties| properties.get_mut("properties")?.as_object_mut()) {
        bag.insert("AzureAsyncOperationUri".to_owned(), json!(status));
    }
}
