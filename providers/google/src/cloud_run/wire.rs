//! Requests to and answers from the Cloud Run Admin API, v2. JSON types stop here.
//!
//! Field names, and that absent means zero, false or empty: the API's discovery document, revision 20261031.

use std::collections::{BTreeMap, BTreeSet};

use mlroll_backend::{CloudRunService, Effect, Error, ErrorKind, Result, RevisionId, Target, Wiretap};
use reqwest::{Method, Url};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::session::Session;
use crate::transport::Request;

/// How many revisions one page may hold; a service has at most 1000.
const PAGE: &str = "100";

/// A service, as far as its traffic goes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Service {
    pub(super) etag: String,
    /// A number as text.
    pub(super) generation: String,
    pub(super) observed_generation: String,
    pub(super) annotations: BTreeMap<String, String>,
    /// What is wanted; none is "everything to the latest ready revision".
    pub(super) traffic: Vec<Share>,
    /// What users get.
    pub(super) traffic_statuses: Vec<Share>,
    /// A short name, or a whole resource name.
    pub(super) latest_ready_revision: String,
    pub(super) latest_created_revision: String,
    pub(super) terminal_condition: Option<Condition>,
    pub(super) conditions: Vec<Condition>,
    pub(super) reconciling: bool,
    /// Its address, which is also the audience of identity tokens for it.
    pub(super) uri: String,
    pub(super) update_time: Option<String>,
    pub(super) delete_time: Option<String>,
    pub(super) multi_region_settings: Option<MultiRegion>,
    /// What the latest revision was made from; only ever sent back.
    pub(super) template: Map<String, Value>,
    pub(super) scaling: Scaling,
}

/// How many instances all revisions have together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Scaling {
    /// Shared out over the revisions by their percents.
    pub(super) min_instance_count: u32,
    /// `MANUAL`: exactly this many, shared out likewise.
    pub(super) manual_instance_count: Option<u32>,
}

/// One entry of the traffic: a share, a tag, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Share {
    #[serde(rename = "type", skip_serializing_if = "Kind::is_unspecified")]
    pub(super) kind: Kind,
    /// A short name; where the latest is meant, only a status names it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) revision: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) percent: u32,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) tag: String,
    /// Where a tag leads, in a status.
    #[serde(skip_serializing)]
    pub(super) uri: String,
}

/// Whom an entry of the traffic means.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    #[serde(rename = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST")]
    Latest,
    #[serde(rename = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION")]
    Revision,
    #[default]
    #[serde(other, rename = "TRAFFIC_TARGET_ALLOCATION_TYPE_UNSPECIFIED")]
    Unspecified,
}

/// What Cloud Run says of a part of a service or a revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Condition {
    /// `Ready`, `RoutesReady`, `ConfigurationsReady`, ...
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// `CONDITION_SUCCEEDED`, `CONDITION_FAILED`, `CONDITION_PENDING`, `CONDITION_RECONCILING`.
    pub(super) state: String,
    pub(super) message: String,
    pub(super) reason: String,
    pub(super) revision_reason: String,
}

/// Set where a service spans regions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct MultiRegion {
    pub(super) regions: Vec<String>,
    /// Google's own name of the whole.
    pub(super) multi_region_id: String,
}

/// A revision.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Revision {
    /// The whole resource name.
    pub(super) name: String,
    pub(super) create_time: Option<String>,
    pub(super) delete_time: Option<String>,
    pub(super) conditions: Vec<Condition>,
    pub(super) reconciling: bool,
    container_statuses: Vec<ContainerStatus>,
    /// What it was made from, and what only Google changes.
    #[serde(flatten)]
    pub(super) rest: Map<String, Value>,
}

/// What a container of a revision really runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ContainerStatus {
    name: String,
    /// The image by its digest, also where a tag was asked for.
    image_digest: String,
}

/// What a service's traffic shall be: nothing else is named, so nothing else can be changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Change {
    pub(super) etag: String,
    pub(super) traffic: Vec<Share>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) annotations: Option<BTreeMap<String, String>>,
}

/// A revision that shall be made: with the traffic only where that has to be pinned.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Making {
    pub(super) etag: String,
    pub(super) template: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) traffic: Option<Vec<Share>>,
}

/// A change that was accepted.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Operation {
    /// Its whole resource name.
    pub(super) name: String,
    pub(super) done: bool,
    pub(super) error: Option<Status>,
    pub(super) response: Option<Service>,
}

/// Why an operation failed. Its code is not looked at: Cloud Run has changed it before.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    pub(super) message: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Page {
    revisions: Vec<Revision>,
    next_page_token: String,
}

/// Calls about one service.
pub(super) struct Calls<'a> {
    pub(super) session: &'a Session,
    pub(super) wiretap: &'a dyn Wiretap,
    pub(super) target: &'a Target,
    pub(super) service: &'a CloudRunService,
}

impl Calls<'_> {
    /// `GetService`
    pub(super) async fn get_service(&self) -> Result<Service> {
        let operation = "GetService";
        let service: Service = self.get(operation, &[], &[]).await?;
        if service.etag.is_empty() {
            return Err(Error::new(ErrorKind::Unexpected, operation, "the answer has no etag: it is not Cloud Run's"));
        }
        Ok(service)
    }

    /// `UpdateService` of the traffic, conditional on the etag.
    pub(super) async fn update_service(&self, change: &Change) -> Result<Operation> {
        let mask = if change.annotations.is_some() { "traffic,annotations" } else { "traffic" };
        self.patch(mask, Effect::Write, change).await
    }

    /// `UpdateService` of the template, conditional on the etag. As a read it is only validated.
    pub(super) async fn make_revision(&self, effect: Effect, making: &Making) -> Result<Operation> {
        let mask = if making.traffic.is_some() { "template,traffic" } else { "template" };
        self.patch(mask, effect, making).await
    }

    async fn patch<T: Serialize + Sync>(&self, mask: &str, effect: Effect, change: &T) -> Result<Operation> {
        let operation = "UpdateService";
        let body = serde_json::to_string(change)
            .map_err(|e| Error::new(ErrorKind::Invalid, operation, "the change cannot be written").caused_by(e))?;
        let mut query = vec![("updateMask", mask)];
        if effect == Effect::Read {
            query.push(("validateOnly", "true"));
        }
        let request = Request {
            operation,
            method: Method::PATCH,
            effect,
            url: self.session.url(&self.path(&[]), &query),
            body: Some(body),
            watched: Some((self.wiretap, self.target)),
        };
        read(operation, &self.session.send(&request).await?)
    }

    /// `GetOperation`
    pub(super) async fn get_operation(&self, name: &str) -> Result<Operation> {
        let CloudRunService { project, region, .. } = self.service;
        let id = name.rsplit('/').next().unwrap_or(name);
        let url = self.session.url(&["v2", "projects", project, "locations", region, "operations", id], &[]);
        self.read("GetOperation", url).await
    }

    /// `ListRevisions`, all pages.
    pub(super) async fn list_revisions(&self) -> Result<Vec<Revision>> {
        let operation = "ListRevisions";
        let mut revisions = Vec::new();
        let mut followed = BTreeSet::new();
        let mut token = String::new();
        loop {
            let mut query = vec![("pageSize", PAGE)];
            if !token.is_empty() {
                query.push(("pageToken", token.as_str()));
            }
            let page: Page = self.get(operation, &["revisions"], &query).await?;
            revisions.extend(page.revisions);
            if page.next_page_token.is_empty() {
                return Ok(revisions);
            }
            if !followed.insert(page.next_page_token.clone()) {
                return Err(Error::new(ErrorKind::Unexpected, operation, "the list of revisions does not end"));
            }
            token = page.next_page_token;
        }
    }

    /// `GetRevision`
    pub(super) async fn get_revision(&self, revision: &RevisionId) -> Result<Revision> {
        let found = self.get("GetRevision", &["revisions", revision.as_str()], &[]).await;
        found.map_err(|e: Error| e.with("revision", revision))
    }

    async fn get<T: for<'de> Deserialize<'de>>(
        &self,
        operation: &'static str,
        below: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T> {
        self.read(operation, self.session.url(&self.path(below), query)).await
    }

    async fn read<T: for<'de> Deserialize<'de>>(&self, operation: &'static str, url: Url) -> Result<T> {
        let watched = Some((self.wiretap, self.target));
        let request = Request { operation, method: Method::GET, effect: Effect::Read, url, body: None, watched };
        read(operation, &self.session.send(&request).await?)
    }

    fn path<'p>(&'p self, below: &[&'p str]) -> Vec<&'p str> {
        let CloudRunService { project, region, service } = self.service;
        [&["v2", "projects", project, "locations", region, "services", service], below].concat()
    }
}

fn read<T: for<'de> Deserialize<'de>>(operation: &'static str, body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|e| {
        let message = format!(
            "the answer is not Cloud Run's (line {}, column {}): is there a proxy, a login page or a wrong endpoint in between?",
            e.line(),
            e.column()
        );
        Error::new(ErrorKind::Unexpected, operation, message).with("status", 200)
    })
}

impl Kind {
    const fn is_unspecified(&self) -> bool {
        matches!(self, Self::Unspecified)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(percent: &u32) -> bool {
    *percent == 0
}

impl Revision {
    /// What a container really runs: by its name, or of the only one. Nothing where Google does not tell.
    pub(super) fn digest(&self, name: &str, of_many: usize) -> Option<&str> {
        let statuses = &self.container_statuses;
        let found = match statuses.as_slice() {
            [only] if of_many == 1 => Some(only),
            _ => statuses.iter().find(|status| status.name == name && !name.is_empty()),
        };
        found.map(|status| status.image_digest.as_str()).filter(|digest| digest.contains("@sha256:"))
    }
}

impl Condition {
    pub(super) fn has_failed(&self) -> bool {
        self.state == "CONDITION_FAILED"
    }

    pub(super) fn has_succeeded(&self) -> bool {
        self.state == "CONDITION_SUCCEEDED"
    }
}
