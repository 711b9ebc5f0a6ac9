//! What a request asks for, by its method and path.

use http::Method;

use crate::api::Request;
use crate::google;

/// All operations.
pub(super) const OPERATIONS: &[&str] = &[
    "DeleteRevision",
    "GetOperation",
    "GetRevision",
    "GetService",
    "ListRevisions",
    "ListServices",
    "UpdateService",
    "WaitOperation",
    "v1.GetEnabledService",
    "v1.GetRevision",
    "v1.GetService",
    "v1.ListRevisions",
    "v1.ListServices",
    "v1.ReplaceService",
    "v1.WaitOperation",
    UNKNOWN,
];

/// What is none of them.
pub(super) const UNKNOWN: &str = "Unknown";

/// A request's operation, and what it is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) operation: &'static str,
    pub(super) project: String,
    pub(super) region: String,
    pub(super) service: Option<String>,
    /// The revision, or the operation that is asked about.
    pub(super) below: String,
}

impl Route {
    /// The route of a request that is Cloud Run's: all under `/v2/projects/`.
    pub(super) fn of(request: &Request) -> Option<Self> {
        let path = google::segments(request);
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let ["v2", "projects", project, rest @ ..] = path.as_slice() else { return None };
        let mut route = Self { operation: UNKNOWN, project: (*project).to_owned(), ..Self::default() };
        let ["locations", region, rest @ ..] = rest else { return Some(route) };
        route.region = (*region).to_owned();
        let (get, patch) = (google::is_get(request), request.method() == Method::PATCH);
        let (post, delete) = (request.method() == Method::POST, request.method() == Method::DELETE);
        let (operation, service, below) = match rest {
            ["services"] if get => ("ListServices", None, ""),
            ["services", service] if get => ("GetService", Some(*service), ""),
            ["services", service] if patch => ("UpdateService", Some(*service), ""),
            ["services", service, "revisions"] if get => ("ListRevisions", Some(*service), ""),
            ["services", service, "revisions", revision] if get => ("GetRevision", Some(*service), *revision),
            ["services", service, "revisions", revision] if delete => ("DeleteRevision", Some(*service), *revision),
            ["operations", id] if get => ("GetOperation", None, *id),
            ["operations", id] if post && id.ends_with(":wait") => {
                ("WaitOperation", None, id.strip_suffix(":wait").unwrap_or_default())
            }
            _ => (UNKNOWN, None, ""),
        };
        Some(Self { operation, service: service.map(str::to_owned), below: below.to_owned(), ..route })
    }
}
