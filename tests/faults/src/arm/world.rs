//! Endpoints as Azure keeps them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// How an operation ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// It fails with `OutOfCapacity`, and nothing changes.
    Failed,
    /// Another one goes before it, and nothing changes.
    Canceled,
    /// It does what was asked.
    #[default]
    Succeeded,
}

/// Requests per minute of a deployment that end with a status code.
#[derive(Clone, Debug, PartialEq)]
pub struct Rate {
    /// The deployment.
    pub deployment: String,
    /// The status code.
    pub code: String,
    /// How many a minute.
    pub per_minute: f64,
}

/// An endpoint, and how it behaves.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// What is kept, with read-only fields.
    pub record: Value,
    /// Its deployments.
    pub deployments: Vec<Value>,
    /// For how many reads an operation goes on.
    pub reads_to_settle: u32,
    /// How many reads after its end still show the endpoint from before.
    pub stale_reads: u32,
    /// Whether reads in the middle of an operation show what it leads to.
    pub shows_new_at_once: bool,
    /// How the next operations end, the next one first; then all succeed.
    pub outcomes: Vec<Outcome>,
    pub(crate) operation: Option<Operation>,
    pub(crate) stale: Option<(Value, u32)>,
    pub(crate) ended: BTreeMap<String, Value>,
}

#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) id: String,
    before: Value,
    wanted: Value,
    reads_left: u32,
    outcome: Outcome,
}

const READ_ONLY: [&str; 4] = ["id", "name", "systemData", "type"];

impl Endpoint {
    /// Blue gets everything; green is there. It was last changed long ago.
    #[must_use]
    pub fn new(id: &str, name: &str) -> Self {
        let record = json!({
            "id": id, "name": name, "type": "Microsoft.MachineLearningServices/workspaces/onlineEndpoints",
            "location": "eastus", "kind": "Managed", "tags": {"team": "fraud"},
            "identity": {"type": "SystemAssigned", "principalId": "p", "tenantId": "t"},
            "properties": {
                "authMode": "Key", "description": null, "traffic": {"blue": 100}, "mirrorTraffic": {}, "keys": null,
                "publicNetworkAccess": "Enabled", "properties": {"azureml.onlineendpointid": "1"}, "compute": null,
                "provisioningState": "Succeeded", "scoringUri": "https://fraud.eastus.inference.ml.azure.com/score",
                "swaggerUri": "https://fraud.eastus.inference.ml.azure.com/swagger.json"},
            "systemData": {"createdAt": "2022-10-28T19:26:29.5331Z", "lastModifiedAt": "2022-10-28T19:26:49.9731Z"},
        });
        Self {
            record,
            deployments: vec![deployment("blue", 1), deployment("green", 2)],
            reads_to_settle: 1,
            stale_reads: 0,
            shows_new_at_once: false,
            outcomes: Vec::new(),
            operation: None,
            stale: None,
            ended: BTreeMap::new(),
        }
    }

    /// Begins somebody else's operation.
    pub fn begin(&mut self, change: impl FnOnce(&mut Value)) {
        let mut wanted = self.record.clone();
        change(&mut wanted);
        let (before, reads_left) = (self.record.clone(), self.reads_to_settle);
        let outcome = Outcome::Succeeded;
        self.operation = Some(Operation { id: "oe:theirs".to_owned(), before, wanted, reads_left, outcome });
    }

    /// What a read shows; it lets the operation go on.
    pub(crate) fn read(&mut self) -> Value {
        if let Some(operation) = &mut self.operation {
            if operation.reads_left > 0 {
                operation.reads_left -= 1;
                let mut shown =
                    if self.shows_new_at_once { operation.wanted.clone() } else { operation.before.clone() };
                set_state(&mut shown, "Updating");
                touch(&mut shown, "2022-10-28T20:00:00.1Z");
                return shown;
            }
            self.finish();
        }
        if let Some((old, left)) = &mut self.stale
            && *left > 0
        {
            *left -= 1;
            return old.clone();
        }
        self.record.clone()
    }

    fn finish(&mut self) {
        let Some(operation) = self.operation.take() else { return };
        let (state, mut record, error) = match operation.outcome {
            Outcome::Succeeded => ("Succeeded", operation.wanted, Value::Null),
            Outcome::Failed => (
                "Failed",
                operation.before.clone(),
                json!({"code": "UserError", "message": "The request is invalid.",
                       "details": [{"code": "OutOfCapacity", "message": "there are no more instances"}]}),
            ),
            Outcome::Canceled => (
                "Canceled",
                operation.before.clone(),
                json!({"code": "OperationCanceled", "message": "waiting for lock confirmation"}),
            ),
        };
        set_state(&mut record, state);
        touch(&mut record, "2022-10-28T20:00:20.5Z");
        self.record = record;
        if state == "Succeeded" && self.stale_reads > 0 {
            self.stale = Some((operation.before, self.stale_reads));
        }
        let mut status = json!({"id": operation.id, "name": operation.id, "status": state, "percentComplete": 100.0});
        if let (Some(status), false) = (status.as_object_mut(), error.is_null()) {
            status.insert("error".to_owned(), error);
        }
        self.ended.insert(operation.id, status);
    }

    /// The status of an operation; `None` for one that never was.
    pub(crate) fn status(&self, id: &str) -> Option<Value> {
        match &self.operation {
            Some(operation) if operation.id == id => {
                Some(json!({"id": id, "name": id, "status": "Updating", "percentComplete": 0.0}))
            }
            Some(_) | None => self.ended.get(id).cloned(),
        }
    }

    /// Takes a PUT: the answer, still with the traffic from before, or why it is refused.
    pub(crate) fn put(&mut self, body: &Value, id: String) -> Result<Value, (u16, String, String)> {
        if self.operation.is_some() {
            let message = "Cannot update the endpoint because it is in Updating provisioning state";
            return Err((409, "Conflict".to_owned(), message.to_owned()));
        }
        let wanted = self.checked(body).map_err(|why| (400, "BadArgument".to_owned(), why))?;
        let outcome = if self.outcomes.is_empty() { Outcome::Succeeded } else { self.outcomes.remove(0) };
        let before = self.record.clone();
        self.stale = None;
        let reads_left = self.reads_to_settle;
        self.operation = Some(Operation { id, before: before.clone(), wanted, reads_left, outcome });
        let mut shown = before;
        if reads_left == 0 {
            self.finish();
            return Ok(self.record.clone());
        }
        set_state(&mut shown, "Updating");
        Ok(shown)
    }

    fn checked(&self, body: &Value) -> Result<Value, String> {
        let object = |value: &Value| value.as_object().cloned().ok_or_else(|| "an object is missing".to_owned());
        let mut record = object(body)?;
        if let Some(name) = READ_ONLY.into_iter().find(|name| record.contains_key(*name)) {
            return Err(format!("{name} is read-only"));
        }
        let mut properties = object(body.get("properties").unwrap_or(&Value::Null))?;
        if let Some(name) =
            ["provisioningState", "scoringUri", "swaggerUri"].into_iter().find(|n| properties.contains_key(*n))
        {
            return Err(format!("properties.{name} is read-only"));
        }
        if !record.contains_key("location") || !properties.contains_key("authMode") {
            return Err("location and properties.authMode are required".to_owned());
        }
        let identity = record.get("identity").map(ToString::to_string).unwrap_or_default();
        if identity.contains("principalId") || identity.contains("clientId") || identity.contains("tenantId") {
            return Err("identity has read-only fields".to_owned());
        }
        let old = self.record.get("properties").cloned().unwrap_or_default();
        let bag = |of: &Value| of.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        let new_bag = properties.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        if bag(&old).iter().any(|(key, value)| new_bag.get(key) != Some(value)) {
            return Err("entries of properties.properties can be added, not removed or altered".to_owned());
        }
        let live = self.shares(properties.get("traffic"))?;
        let mirrored = self.shares(properties.get("mirrorTraffic"))?;
        if !matches!(live.values().sum::<u64>(), 0 | 100) {
            return Err("the sum of traffic must be 0 or 100".to_owned());
        }
        if mirrored.len() > 1 || mirrored.values().any(|percent| *percent > 50) {
            return Err("one deployment may get at most 50 percent mirrored".to_owned());
        }
        if mirrored.keys().any(|name| live.contains_key(name)) {
            return Err("a deployment cannot get live and mirrored traffic".to_owned());
        }
        for (name, value) in self.record.as_object().into_iter().flatten() {
            if READ_ONLY.contains(&name.as_str()) {
                record.insert(name.clone(), value.clone());
            }
        }
        for name in ["scoringUri", "swaggerUri"] {
            properties.insert(name.to_owned(), old.get(name).cloned().unwrap_or_default());
        }
        record.insert("properties".to_owned(), Value::Object(properties));
        if let Some(identity) = record.get_mut("identity").and_then(Value::as_object_mut) {
            identity.insert("principalId".to_owned(), "p".into());
            identity.insert("tenantId".to_owned(), "t".into());
        }
        Ok(Value::Object(record))
    }

    fn shares(&self, map: Option<&Value>) -> Result<BTreeMap<String, u64>, String> {
        let mut shares = BTreeMap::new();
        for (name, percent) in map.and_then(Value::as_object).unwrap_or(&Map::new()) {
            let percent = percent.as_u64().filter(|p| *p <= 100).ok_or("percents are integers from 0 to 100")?;
            if self.deployment(name).is_none() {
                return Err(format!("deployment {name} does not exist"));
            }
            if percent > 0 {
                shares.insert(name.to_ascii_lowercase(), percent);
            }
        }
        Ok(shares)
    }

    pub(crate) fn deployment(&self, name: &str) -> Option<&Value> {
        let is = |d: &&Value| d.get("name").and_then(Value::as_str).is_some_and(|n| n.eq_ignore_ascii_case(name));
        self.deployments.iter().find(is)
    }
}

/// A deployment with two instances, made on that day.
#[must_use]
pub fn deployment(name: &str, day: u32) -> Value {
    json!({"name": name, "sku": {"name": "Default", "capacity": 2}, "location": "eastus",
        "properties": {"provisioningState": "Succeeded", "endpointComputeType": "Managed", "description": null,
                       "scaleSettings": {"scaleType": "Default"}},
        "systemData": {"createdAt": format!("2026-11-{day:02}T08:00:00.1234567Z")}})
}

fn set_state(record: &mut Value, state: &str) {
    if let Some(properties) = record.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("provisioningState".to_owned(), state.into());
    }
}

fn touch(record: &mut Value, at: &str) {
    if let Some(data) = record.get_mut("systemData").and_then(Value::as_object_mut) {
        data.insert("lastModifiedAt".to_owned(), at.into());
    }
}
