//! Google Cloud Monitoring's `timeSeries.list`, alert policies and alerts (v3) and its PromQL endpoint, over the requests of simulated users.
//!
//! - `run.googleapis.com/request_count` by response class and `run.googleapis.com/request_latencies` of resource
//!   `cloud_run_revision`; those of instances where a scenario tells of them; others of Cloud Run are known and empty
//! - data comes a whole minute at a time, `delay` after the minute's end; a series without data is not there
//! - counts are 64-bit integers, so text; the newest point is the first
//! - stricter than Google: parameters and labels that are not known are refused, and a window that begins within a minute
//!   is counted to the second, where Google interpolates

mod alerts;
mod align;
mod ask;
mod distribution;
mod filter;
mod list;
mod series;

use http::{Method, StatusCode};
use serde_json::Value;

use crate::api::{Answer, Api, Operation, Request, json_answer};
use crate::google::{self, Refusal};
use crate::{World, prometheus};

/// Cloud Monitoring as the server sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CloudMonitoringApi;

const OPERATIONS: &[&str] = &["ListAlertPolicies", "ListAlerts", "ListTimeSeries", "query", UNKNOWN];

const UNKNOWN: &str = "Unknown";

/// A request's operation, and the project that it is about.
fn route(request: &Request) -> Option<(&'static str, String)> {
    let path = google::segments(request);
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let get = google::is_get(request);
    match path.as_slice() {
        ["v3", "projects", project, "alertPolicies"] if get => Some(("ListAlertPolicies", (*project).to_owned())),
        ["v3", "projects", project, "alerts"] if get => Some(("ListAlerts", (*project).to_owned())),
        ["v3", "projects", project, "timeSeries"] if get => Some(("ListTimeSeries", (*project).to_owned())),
        ["v1", "projects", project, "location", "global", "prometheus", "api", "v1", "query"]
            if get || request.method() == Method::POST =>
        {
            Some(("query", (*project).to_owned()))
        }
        ["v3", "projects", project, ..] | ["v1", "projects", project, "location", "global", "prometheus", ..] => {
            Some((UNKNOWN, (*project).to_owned()))
        }
        _ => None,
    }
}

impl Api for CloudMonitoringApi {
    fn name(&self) -> &'static str {
        "cloud-monitoring"
    }

    fn operation(&self, request: &Request) -> Option<Operation> {
        let (name, _) = route(request)?;
        Some(Operation { name, target: None })
    }

    fn operations(&self) -> &'static [&'static str] {
        OPERATIONS
    }

    fn error(&self, status: StatusCode, code: Option<&str>) -> Answer {
        Refusal::injected(status, code).answer()
    }

    fn answer(&self, request: &Request, _operation: &Operation, world: &mut World) -> Answer {
        match perform(request, world) {
            Ok(answer) => answer,
            Err(refusal) => refusal.answer(),
        }
    }
}

fn perform(request: &Request, world: &mut World) -> Result<Answer, Refusal> {
    google::authenticated(request)?;
    let found = |found: Value| json_answer(StatusCode::OK, &found);
    match route(request) {
        Some(("ListAlertPolicies", project)) => alerts::policies(request, world, &project).map(found),
        Some(("ListAlerts", project)) => alerts::alerts(request, world, &project).map(found),
        Some(("ListTimeSeries", project)) => list::time_series(request, world, &project).map(found),
        Some(("query", project)) => {
            let delay = world.scenario.cloud_monitoring.delay;
            let now = world.now().unix_milliseconds();
            Ok(prometheus::of_cloud_run(request, &mut world.traffic, &project, delay, now))
        }
        Some(_) | None => Err(Refusal::unimplemented(request)),
    }
}
