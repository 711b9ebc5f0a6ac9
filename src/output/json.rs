//! JSON for whoever scripts. Each document names its schema; the schemas are documented in `docs/json.md`.

use mlroll_backend::{Call, MarkerState, Readiness, Shadow, Snapshot, Target, TrafficSplit, Weight};
use serde::Serialize;
use serde_json::{Value, json};

use super::Done;
use crate::driver::{Look, Ongoing, Report};
use crate::failure::Failure;
use crate::rollout::Outcome;
use crate::wire::Calls;

/// Who gets what.
#[derive(Debug, Serialize)]
struct Share<'a> {
    revision: &'a str,
    percent: Weight,
}

/// `mlroll/outcome/1`, and `mlroll/shadow/1` of mirrored traffic: what a verb did.
#[must_use]
pub fn outcome(done: &Done<'_>) -> Value {
    json!({
        "schema": if done.verb == "shadow" { "mlroll/shadow/1" } else { "mlroll/outcome/1" },
        "verb": done.verb,
        "outcome": done.outcome().name(),
        "settled": done.settled(),
        "reason": done.reason,
        "targets": targets(done),
        "findings": done.reports.iter().flat_map(findings).collect::<Vec<_>>(),
        "metrics": done.metrics(),
        "error": done.failure().map(failure_object),
        "exit_code": done.exit().code(),
    })
}

/// What the gates say, and of which target.
fn findings(report: &Report) -> impl Iterator<Item = Value> {
    report.findings.iter().map(|finding| {
        let mut value = json!(finding);
        if let Some(keys) = value.as_object_mut() {
            keys.insert("target".to_owned(), json!(report.target));
        }
        value
    })
}

fn targets(done: &Done<'_>) -> Vec<Value> {
    let unreadable = done.unreadable.iter().map(|unreadable| {
        json!({
            "target": null, "service": unreadable.service, "outcome": Outcome::Failed.name(), "settled": false,
            "before": null, "after": null, "shadow": null, "calls": Calls::default(), "metrics": null, "experiment": null, "notes": [], "error": failure_object(&unreadable.failure),
        })
    });
    done.reports.iter().map(target_outcome).chain(unreadable).collect()
}

fn target_outcome(report: &Report) -> Value {
    json!({
        "target": report.target,
        "service": report.service,
        "outcome": report.outcome.name(),
        "settled": report.settled,
        "before": shares(report.before.as_ref()),
        "after": shares(report.after.as_ref()),
        "shadow": shadow(report.shadow.as_ref()),
        "calls": report.calls,
        "metrics": report.metrics,
        "experiment": report.experiment,
        "notes": report.notes,
        "error": report.failure.as_ref().map(failure_object),
    })
}

/// `mlroll/status/1`: how targets are.
#[must_use]
pub fn status(seen: &[Look], ongoing: &[Ongoing]) -> Value {
    let targets: Vec<Value> = seen.iter().map(|look| target_status(look, Ongoing::behind(ongoing, look))).collect();
    json!({ "schema": "mlroll/status/1", "targets": targets })
}

fn target_status(Look { selected, guard, seen }: &Look, run: Option<&Ongoing>) -> Value {
    let seen = match seen {
        Ok(seen) => seen,
        Err(failure) => {
            return json!({
                "target": selected.target, "service": selected.service, "settled": null, "guard": guard,
                "previous": null, "replaced": null, "split": null, "shadow": null, "kind": null, "what": null, "failed": null, "instead": [], "rollout": run.map(|run| watched(run, None)), "error": failure_object(failure),
            });
        }
    };
    let roles = &seen.roles;
    let split: Option<Vec<Value>> = seen.split.as_ref().map(|split| {
        let role = |revision| match Some(revision) {
            stable if stable == roles.stable.as_ref() => Some("stable"),
            candidate if candidate == roles.candidate.as_ref() => Some("candidate"),
            _ => None,
        };
        let entries = split.by_share().into_iter();
        entries
            .map(|(revision, weight)| json!({ "revision": revision, "role": role(revision), "percent": weight }))
            .collect()
    });
    json!({
        "target": selected.target,
        "service": selected.service,
        "settled": seen.is_settled(),
        "guard": guard,
        "previous": roles.previous,
        "bad": roles.bad,
        "replaced": seen.replaced,
        "split": split,
        "shadow": shadow(roles.shadow.as_ref()),
        "kind": seen.nature.kind,
        "what": Some(&seen.nature.what).filter(|what| !what.is_empty()),
        "failed": failed(seen),
        "instead": seen.nature.remedies,
        "rollout": run.map_or_else(|| rollout(seen), |run| Some(watched(run, Some(seen)))),
        "error": null,
    })
}

/// Why it has failed, where it has.
fn failed(seen: &Snapshot) -> Option<&str> {
    match &seen.readiness {
        Readiness::Failed(why) => Some(why),
        Readiness::Live | Readiness::Settling(_) => None,
    }
}

/// A run that the state folder tells of.
fn watched(run: &Ongoing, seen: Option<&Snapshot>) -> Value {
    let live = seen.and_then(|seen| Some(seen.split.as_ref()?.weight_of(&run.candidate)));
    json!({
        "id": run.id, "verb": run.verb, "state": run.state, "step": run.step, "steps": run.steps,
        "percent": live.unwrap_or(run.percent), "since": run.since.to_string(), "orphaned": run.orphaned,
        "watched": run.is_watched(), "findings": run.findings,
    })
}

/// The canary that only the marker tells of: made by hand, finished, or watched from elsewhere.
fn rollout(seen: &Snapshot) -> Option<Value> {
    let marker = seen.marker.as_ref()?;
    let MarkerState::Canary { candidate } = &marker.state else {
        return None;
    };
    let percent = seen.split.as_ref().map(|split| split.weight_of(candidate));
    let since = marker.at.map(|at| at.to_string());
    Some(json!({
        "id": marker.id, "verb": null, "state": "canary", "step": null, "steps": null, "percent": percent, "since": since,
        "orphaned": false, "watched": false, "findings": [],
    }))
}

/// `mlroll/dry-run/1`: the calls that a run would make.
#[must_use]
pub fn dry_run(done: &Done<'_>, calls: &[Call]) -> Value {
    json!({
        "schema": "mlroll/dry-run/1",
        "verb": done.verb,
        "reason": done.reason,
        "calls": calls.iter().map(call).collect::<Vec<_>>(),
        "targets": targets(done),
        "exit_code": done.exit().code(),
    })
}

/// A call to a control plane, with its body as the JSON that it is.
#[must_use]
pub fn call(call: &Call) -> Value {
    let body = call.body.as_deref().map(|b| serde_json::from_str(b).unwrap_or_else(|_| Value::String(b.to_owned())));
    json!({ "target": call.target, "operation": call.operation, "method": call.method, "url": call.url, "body": body })
}

/// `mlroll/error/1`: why nothing could be said or done.
#[must_use]
pub fn error(failure: &Failure) -> Value {
    json!({ "schema": "mlroll/error/1", "error": failure_object(failure), "exit_code": failure.exit.code() })
}

pub(super) fn failure_object(failure: &Failure) -> Value {
    let Failure { kind, operation, target, message, hints, .. } = failure;
    json!({ "kind": kind, "operation": operation, "target": target.as_ref().map(Target::to_string), "message": message, "hints": hints })
}

/// Who gets copies, and of how many requests.
fn shadow(shadow: Option<&Shadow>) -> Option<Share<'_>> {
    shadow.map(|shadow| Share { revision: shadow.revision.as_str(), percent: shadow.share })
}

fn shares(split: Option<&TrafficSplit>) -> Option<Vec<Share<'_>>> {
    let shares = split?.by_share().into_iter();
    Some(shares.map(|(revision, percent)| Share { revision: revision.as_str(), percent }).collect())
}
