//! The services that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mlroll_backend::{CloudRunService, RevisionId, Target, Timestamp, TrafficSplit};
use serde_json::{Map, Value};

/// How long a change of the traffic takes to become live.
pub(super) const SHIFT: Duration = Duration::from_secs(2);

/// Where a service is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) project: String,
    pub(super) region: String,
    pub(super) service: String,
}

impl Key {
    /// The whole resource name.
    pub(super) fn name(&self) -> String {
        format!("projects/{}/locations/{}/services/{}", self.project, self.region, self.service)
    }

    /// The target that the service is.
    pub(super) fn target(&self) -> Target {
        let (project, region, service) = (self.project.clone(), self.region.clone(), self.service.clone());
        Target::CloudRun(CloudRunService { project, region, service })
    }
}

/// Whom an entry of the traffic means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    /// The latest revision that is ready.
    Latest,
    /// A revision by its short name.
    Revision(String),
}

/// An entry of the traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) whom: Whom,
    pub(super) percent: u32,
    pub(super) tag: String,
}

/// An entry of the traffic as users meet it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Status {
    /// Whether the entry means the latest.
    pub(super) latest: bool,
    pub(super) revision: String,
    pub(super) percent: u32,
    pub(super) tag: String,
}

/// Whether a revision can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// Its container did not start.
    Failed,
    Ready,
    /// Its container is starting.
    Starting,
}

/// A revision.
#[derive(Clone, Debug)]
pub(super) struct Revision {
    pub(super) name: String,
    pub(super) created: Timestamp,
    pub(super) health: Health,
    /// Whether its container will start.
    pub(super) sound: bool,
    /// What it was made of, without its name.
    pub(super) template: Map<String, Value>,
    pub(super) uid: String,
}

/// When a change becomes live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// At this moment of the sandbox's time.
    At(Timestamp),
    /// A fault keeps it from it.
    Never,
}

/// What becomes of a change that is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It fails: there is no quota for it. A revision that it would have made is not made.
    Fails,
    /// It is carried out, or fails for a reason of its own.
    Settles,
    /// It is never carried out.
    Stays,
}

/// A service at one moment.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) uid: String,
    pub(super) etag: String,
    pub(super) generation: u64,
    pub(super) observed: u64,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
    /// Who changed it last.
    pub(super) modifier: &'static str,
    pub(super) annotations: BTreeMap<String, String>,
    /// The fields that only the user changes and nothing here looks into.
    pub(super) other: Map<String, Value>,
    pub(super) template: Map<String, Value>,
    /// What is wanted; none is everything to the latest ready revision.
    pub(super) traffic: Vec<Entry>,
    /// What users get.
    pub(super) statuses: Vec<Status>,
    /// From the oldest to the newest.
    pub(super) revisions: Vec<Revision>,
    /// Why the traffic is not what is wanted.
    pub(super) routes_failed: Option<String>,
    /// Why there is no revision of the template.
    pub(super) unmade: Option<String>,
    /// Until then it is reconciling.
    pub(super) pending: Option<Until>,
    /// Whether the change that is pending will fail.
    pub(super) doomed: bool,
}

impl Revision {
    /// The image of the container that requests come to.
    pub(super) fn image(&self) -> &str {
        let containers = self.template.get("containers").and_then(Value::as_array);
        let serving =
            containers.and_then(|all| all.iter().find(|one| one.get("ports").is_some()).or_else(|| all.first()));
        serving.and_then(|container| container.get("image")?.as_str()).unwrap_or_default()
    }
}

impl Service {
    pub(super) fn revision(&self, name: &str) -> Option<&Revision> {
        self.revisions.iter().find(|revision| revision.name == name)
    }

    /// The newest revision that was made.
    pub(super) fn latest_created(&self) -> Option<&Revision> {
        self.revisions.last()
    }

    /// The newest revision that can serve.
    pub(super) fn latest_ready(&self) -> Option<&Revision> {
        self.revisions.iter().rev().find(|revision| revision.health == Health::Ready)
    }

    /// What users get when the wanted traffic becomes live; an error names the revision that keeps it from it.
    pub(super) fn resolved(&self) -> Result<Vec<Status>, String> {
        let everything = [Entry { whom: Whom::Latest, percent: 100, tag: String::new() }];
        let entries = if self.traffic.is_empty() { &everything[..] } else { &self.traffic };
        let mut statuses = Vec::new();
        for Entry { whom, percent, tag } in entries {
            let found = match whom {
                Whom::Latest => self.latest_ready(),
                Whom::Revision(name) => Some(self.revision(name).ok_or_else(|| gone(name))?),
            };
            let Some(found) = found else { return Err("No revision of the service is ready.".to_owned()) };
            if found.health == Health::Failed {
                return Err(not_ready(&found.name));
            }
            let latest = *whom == Whom::Latest;
            statuses.push(Status { latest, revision: found.name.clone(), percent: *percent, tag: tag.clone() });
        }
        Ok(statuses)
    }

    /// The revisions that the wanted or the present traffic names.
    pub(super) fn named(&self) -> BTreeSet<&str> {
        let wanted = self.traffic.iter().filter_map(|entry| match &entry.whom {
            Whom::Latest => None,
            Whom::Revision(name) => Some(name.as_str()),
        });
        wanted.chain(self.statuses.iter().map(|status| status.revision.as_str())).collect()
    }

    /// Where requests go; `None` when nobody can be named.
    pub(super) fn split(&self) -> Option<TrafficSplit> {
        let mut shares = Vec::new();
        for status in self.statuses.iter().filter(|status| status.percent > 0) {
            let revision: RevisionId = status.revision.parse().ok()?;
            shares.push((revision, f64::from(status.percent)));
        }
        TrafficSplit::apportion(shares).ok()
    }
}

/// A service now, and as it was before the latest write to it.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) now: Service,
    pub(super) before: Option<Box<Service>>,
}

/// A change on its way, or how it ended.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) of: Key,
    /// The generation that it waits for.
    pub(super) generation: u64,
    pub(super) done: bool,
    pub(super) error: Option<(u32, String)>,
    /// What it answers once it is done, where that is not the service as it is then.
    pub(super) response: Option<Value>,
}

/// Google's words for a container that does not start.
pub(super) fn not_ready(revision: &str) -> String {
    format!(
        "Revision '{revision}' is not ready and cannot serve traffic. The user-provided container failed to start and \
         listen on the port defined provided by the PORT=8080 environment variable within the allocated timeout."
    )
}

/// Words of Google for what a project may not have.
pub(super) const NO_QUOTA: &str = "Quota exceeded for total allowable CPU per project per region.";

fn gone(revision: &str) -> String {
    format!("Revision '{revision}' does not exist or is deleted.")
}
