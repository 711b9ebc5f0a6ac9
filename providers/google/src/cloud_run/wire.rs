//! Requests to and answers from the Cloud Run Admin API, v2. JSON types stop here.
//!
//! Field names, and that absent means zero, false or empty: the API's discovery document, revision 20261031.

use std::collections::{BTreeMap, BTreeSet};

use mlroll_backend::{CloudRunService, Error, ErrorKind, Result, RevisionId, Target, Wiretap};
use reqwest::Method;
use serde::{Deserialize, Serialize};

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
    pub(super) update_time: Option<String>,
    pub(super) delete_time: Option<String>,
    pub(super) multi_region_settings: Option<MultiRegion>,
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
#[serde(default)]
pub(super) struct MultiRegion {
    pub(super) regions: Vec<String>,
}

/// A revision, as far as it can serve.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Deployed {
    /// The whole resource name.
    pub(super) name: String,
    pub(super) create_time: Option<String>,
    pub(super) delete_time: Option<String>,
    pub(super) conditions: Vec<Condition>,
    pub(super) reconciling: bool,
}

/// What a service's traffic shall be: nothing else is named, so nothing else can be changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Change {
    pub(super) etag: String,
    pub(super) traffic: Vec<Share>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) annotations: Option<BTreeMap<String, String>>,
}

/// A change that was accepted.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Operation {
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
    revisions: Vec<Deployed>,
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

    /// `UpdateService`, conditional on the etag.
    pub(super) async fn update_service(&self, change: &Change) -> Result<Operation> {
        let operation = "UpdateService";
        let mask = if change.annotations.is_some() { "traffic,annotations" } else { "traffic" };
        let body = serde_json::to_string(change)
            .map_err(|e| Error::new(ErrorKind::Invalid, operation, "the change cannot be written").caused_by(e))?;
        let request = Request {
            operation,
            method: Method::PATCH,
            url: self.session.url(&self.path(&[]), &[("updateMask", mask)]),
            body: Some(body),
            watched: Some((self.wiretap, self.target)),
        };
        read(operation, &self.session.send(&request).await?)
    }

    /// `ListRevisions`, all pages.
    pub(super) async fn list_revisions(&self) -> Result<Vec<Deployed>> {
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
    pub(super) async fn get_revision(&self, revision: &RevisionId) -> Result<Deployed> {
        let found = self.get("GetRevision", &["revisions", revision.as_str()], &[]).await;
        found.map_err(|e: Error| e.with("revision", revision))
    }

    async fn get<T: for<'de> Deserialize<'de>>(
        &self,
        operation: &'static str,
        below: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T> {
        let url = self.session.url(&self.path(below), query);
        let watched = Some((self.wiretap, self.target));
        let request = Request { operation, method: Method::GET, url, body: None, watched };
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

impl Condition {
    pub(super) fn has_failed(&self) -> bool {
        self.state == "CONDITION_FAILED"
    }

    pub(super) fn has_succeeded(&self) -> bool {
        self.state == "CONDITION_SUCCEEDED"
    }
}
