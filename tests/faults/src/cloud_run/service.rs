//! A service and its revisions.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::rules::Refused;

/// A service of Cloud Run.
#[derive(Clone, Debug, Default)]
pub struct RunService {
    /// What is wanted, as in the API.
    pub traffic: Vec<Value>,
    /// What users get, as in the API.
    pub statuses: Vec<Value>,
    /// The user's annotations.
    pub annotations: BTreeMap<String, String>,
    /// The regions that it spans; none for one of a single region.
    pub regions: Vec<String>,
    /// From the oldest to the newest.
    pub revisions: Vec<RunRevision>,
    /// How often it is looked at after a change before the change is live.
    pub looks_to_settle: u32,
    /// What the next change fails with, once it was accepted.
    pub next_change_fails: Option<String>,
    /// Where else than in its operation a change is shown that fails.
    pub failures: RunShown,
    /// Whether changes of annotations are refused.
    pub refuses_annotations: bool,
    /// What is wrong with it, by its terminal condition.
    pub failure: Option<String>,
    pub(super) etag: String,
    generation: u64,
    observed: u64,
    looks_left: u32,
    fails_with: Option<String>,
    /// What was wanted before the last change.
    before: Vec<Value>,
    /// Why the operations failed that did, by their generation.
    failed: BTreeMap<u64, String>,
}

/// Where a change is shown that fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunShown {
    /// In the service's own conditions.
    #[default]
    Conditions,
    /// In its operation alone; the change stays wanted.
    Operation,
    /// In its operation alone; what was wanted before is wanted again.
    OperationAndBack,
}

/// A revision of a service.
#[derive(Clone, Debug, Default)]
pub struct RunRevision {
    /// Its short name.
    pub name: String,
    /// Why it is not ready, if it is not.
    pub failure: Option<String>,
}

const LATEST: &str = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST";
const REVISION: &str = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION";

impl RunService {
    /// With these revisions, the oldest first, and all traffic to one of them.
    #[must_use]
    pub fn new(revisions: &[&str], serving: &str) -> Self {
        let revisions = revisions.iter().map(|&name| RunRevision { name: name.to_owned(), failure: None });
        let mut service = Self {
            traffic: vec![json!({"type": REVISION, "revision": serving, "percent": 100})],
            revisions: revisions.collect(),
            generation: 1,
            observed: 1,
            ..Self::default()
        };
        service.statuses.clone_from(&service.traffic);
        service.mint();
        service
    }

    /// The wanted split, as `a=90,b=10`, tags left out.
    #[must_use]
    pub fn split(&self) -> String {
        let share = |entry: &Value| {
            let percent = entry.get("percent")?.as_u64()?;
            Some(format!("{}={percent}", entry.get("revision").and_then(Value::as_str).unwrap_or("LATEST")))
        };
        self.traffic.iter().filter_map(share).collect::<Vec<_>>().join(",")
    }

    /// Wants and gets this from now on, as another client would have it.
    pub fn set_traffic(&mut self, traffic: &Value) {
        self.traffic = traffic.as_array().cloned().unwrap_or_default();
        self.statuses = self.resolved();
        self.annotations.entry("by".to_owned()).or_default().push('x');
    }

    /// Calls a revision failed, as it is called when its container does not start.
    pub fn fail_revision(&mut self, name: &str) {
        for revision in self.revisions.iter_mut().filter(|revision| revision.name == name) {
            revision.failure = Some(not_ready(name));
        }
        self.failure = Some(not_ready(name));
    }

    pub(super) fn mint(&mut self) {
        let number: u64 = self.etag.trim_matches('"').trim_start_matches("CN").parse().unwrap_or_default();
        self.etag = format!("\"CN{}\"", number + 1);
    }

    /// Wants this from now on.
    pub(super) fn shift(&mut self, traffic: &[Value]) {
        self.before = std::mem::replace(&mut self.traffic, traffic.to_vec());
    }

    /// A change was accepted.
    pub(super) fn begin(&mut self) {
        self.mint();
        self.generation += 1;
        self.looks_left = self.looks_to_settle;
        self.fails_with = self.next_change_fails.take();
    }

    /// Somebody reads it, and time passes.
    pub(super) fn look(&mut self) {
        if self.observed == self.generation {
            return;
        }
        if self.looks_left > 0 {
            self.looks_left = self.looks_left.saturating_sub(u32::from(self.looks_left != u32::MAX));
            return;
        }
        self.observed = self.generation;
        self.mint();
        // A failed revision that the traffic names, if only by a tag, fails the whole change.
        let named = |name: &str| self.traffic.iter().any(|entry| entry.get("revision").is_some_and(|r| r == name));
        let failed = self.revisions.iter().find(|revision| revision.failure.is_some() && named(&revision.name));
        let stray = self.traffic.iter().filter_map(|entry| entry.get("revision")?.as_str()).find(|name| {
            let known = |revision: &RunRevision| revision.name == *name;
            !self.revisions.iter().any(known)
        });
        let gone = stray.map(|name| format!("Revision '{name}' does not exist or is deleted."));
        let failure = self.fails_with.take().or(gone).or_else(|| failed.and_then(|revision| revision.failure.clone()));
        match &failure {
            Some(why) => {
                self.failed.insert(self.generation, why.clone());
            }
            None => self.statuses = self.resolved(),
        }
        if failure.is_some() && self.failures == RunShown::OperationAndBack {
            self.traffic.clone_from(&self.before);
        }
        self.failure = failure.filter(|_| self.failures == RunShown::Conditions);
    }

    fn resolved(&self) -> Vec<Value> {
        let latest = self.revisions.iter().rev().find(|revision| revision.failure.is_none());
        let mut statuses = self.traffic.clone();
        for entry in &mut statuses {
            if let (Some(entry), Some(latest)) = (entry.as_object_mut(), latest)
                && entry.get("type").is_some_and(|kind| kind == LATEST)
            {
                entry.insert("revision".to_owned(), json!(latest.name));
            }
        }
        statuses
    }

    /// `GetService`
    pub(super) fn document(&self, name: &str) -> Value {
        let reconciling = self.observed != self.generation;
        let (state, message) = match (&self.failure, reconciling) {
            (_, true) => ("CONDITION_RECONCILING", "Deploying revision."),
            (Some(failure), false) => ("CONDITION_FAILED", failure.as_str()),
            (None, false) => ("CONDITION_SUCCEEDED", ""),
        };
        let latest = |ready: bool| {
            let found = self.revisions.iter().rev().find(|revision| !ready || revision.failure.is_none());
            found.map(|revision| format!("{name}/revisions/{}", revision.name))
        };
        let mut document = json!({
            "name": name, "uid": "b7a4", "generation": self.generation.to_string(),
            "observedGeneration": self.observed.to_string(), "etag": self.etag, "annotations": self.annotations,
            "traffic": self.traffic, "trafficStatuses": self.statuses, "updateTime": "2026-11-21T03:00:00.123456Z",
            "latestReadyRevision": latest(true), "latestCreatedRevision": latest(false),
            "terminalCondition": {"type": "Ready", "state": state, "message": message, "severity": "INFO"},
            "template": {"revision": "fraud-00002-b", "containers": [{"image": "i"}]},
            "launchStage": "GA", "uri": "https://fraud.example",
        });
        if let Some(fields) = document.as_object_mut() {
            // Absent is empty and false.
            if reconciling {
                fields.insert("reconciling".to_owned(), json!(true));
            }
            if !self.regions.is_empty() {
                fields.insert("multiRegionSettings".to_owned(), json!({"regions": self.regions}));
            }
            fields.retain(|_, value| !value.as_array().is_some_and(Vec::is_empty) && *value != json!({}));
        }
        document
    }

    /// The answer to a change: an operation that is not done.
    pub(super) fn operation(&self, name: &str) -> Value {
        self.operation_of(name, self.generation)
    }

    /// `GetOperation`, by the number that is its id.
    pub(super) fn operation_by(&self, name: &str, id: &str) -> Option<Value> {
        let generation: u64 = id.parse().ok().filter(|generation| (2..=self.generation).contains(generation))?;
        let mut operation = self.operation_of(name, generation);
        let Some(fields) = operation.as_object_mut().filter(|_| self.observed >= generation) else {
            return Some(operation);
        };
        fields.insert("done".to_owned(), json!(true));
        match self.failed.get(&generation) {
            Some(why) => fields.insert("error".to_owned(), json!({"code": 13, "message": why})),
            None => fields
                .insert("response".to_owned(), json!({"@type": "type.googleapis.com/google.cloud.run.v2.Service"})),
        };
        Some(operation)
    }

    fn operation_of(&self, name: &str, generation: u64) -> Value {
        let place = name.split("/services/").next().unwrap_or_default();
        let mut metadata = self.document(name);
        if let Some(fields) = metadata.as_object_mut() {
            fields.insert("@type".to_owned(), json!("type.googleapis.com/google.cloud.run.v2.Service"));
        }
        json!({"name": format!("{place}/operations/{generation}"), "metadata": metadata})
    }

    /// `GetRevision`
    pub(super) fn revision(&self, name: &str, revision: &str) -> Option<Value> {
        let at = self.revisions.iter().position(|known| known.name == revision)?;
        let known = self.revisions.get(at)?;
        let (state, message) = match &known.failure {
            Some(failure) => ("CONDITION_FAILED", failure.as_str()),
            None => ("CONDITION_SUCCEEDED", ""),
        };
        Some(json!({
            "name": format!("{name}/revisions/{revision}"), "createTime": format!("2026-11-20T00:00:{at:02}.5Z"),
            "conditions": [{"type": "Ready", "state": state, "message": message, "revisionReason": "RETIRED"}],
        }))
    }

    /// `ListRevisions`: two a page, whatever was asked for.
    pub(super) fn page(&self, name: &str, query: &BTreeMap<String, String>) -> Result<Value, Refused> {
        let from = query.get("pageToken").map_or(Ok(0), |token| token.parse::<usize>());
        let from = from.map_err(|_| Refused::new(400, "INVALID_ARGUMENT", "The page token is invalid."))?;
        let newest_first: Vec<Value> =
            self.revisions.iter().rev().filter_map(|revision| self.revision(name, &revision.name)).collect();
        let page: Vec<&Value> = newest_first.iter().skip(from).take(2).collect();
        let more = from + page.len() < newest_first.len();
        Ok(if more {
            json!({"revisions": page, "nextPageToken": (from + page.len()).to_string()})
        } else {
            json!({"revisions": page})
        })
    }
}

fn not_ready(name: &str) -> String {
    format!(
        "Revision '{name}' is not ready and cannot serve traffic. The user-provided container failed to start and listen on the \
         port defined provided by the PORT=8080 environment variable."
    )
}
