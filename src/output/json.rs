//! JSON for whoever scripts. Each document names its schema; the schemas are documented in `docs/json.md`.

use mlroll_backend::{Call, MarkerState, Snapshot, Target, TrafficSplit, Weight};
use serde::Serialize;
use serde_json::{Value, json};

use crate::config::Selected;
use crate::driver::Report;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::rollout::Outcome;

/// Who gets what.
#[derive(Debug, Serialize)]
struct Share<'a> {
    revision: &'a str,
    percent: Weight,
}

/// `mlroll/outcome/1`: what a verb did.
#[must_use]
pub fn outcome(verb: &str, reason: Option<&str>, reports: &[Report]) -> Value {
    let exit = ExitStatus::worst(reports.iter().map(|r| r.exit));
    let targets: Vec<Value> = reports.iter().map(target_outcome).collect();
    json!({
        "schema": "mlroll/outcome/1",
        "verb": verb,
        "outcome": overall(reports).name(),
        "settled": reports.iter().all(|r| r.settled),
        "reason": reason,
        "targets": targets,
        "findings": [],
        "error": reports.iter().find(|r| r.exit == exit).and_then(|r| r.failure.as_ref()).map(failure_object),
        "exit_code": exit.code(),
    })
}

/// What happened to all of them: a failure counts most, then whatever moved.
#[must_use]
pub fn overall(reports: &[Report]) -> Outcome {
    reports.iter().map(|r| r.outcome).min().unwrap_or(Outcome::Unchanged)
}

fn target_outcome(report: &Report) -> Value {
    json!({
        "target": report.target,
        "service": report.service,
        "outcome": report.outcome.name(),
        "settled": report.settled,
        "before": shares(report.before.as_ref()),
        "after": shares(report.after.as_ref()),
        "calls": report.calls,
        "notes": report.notes,
        "error": report.failure.as_ref().map(failure_object),
    })
}

/// `mlroll/status/1`: how targets are.
#[must_use]
pub fn status(seen: &[(Selected, &'static str, Result<Snapshot, Failure>)]) -> Value {
    let targets: Vec<Value> = seen.iter().map(|(selected, guard, seen)| target_status(selected, guard, seen)).collect();
    json!({ "schema": "mlroll/status/1", "targets": targets })
}

fn target_status(selected: &Selected, guard: &str, seen: &Result<Snapshot, Failure>) -> Value {
    let seen = match seen {
        Ok(seen) => seen,
        Err(failure) => {
            return json!({
                "target": selected.target, "service": selected.service, "settled": null, "guard": guard,
                "previous": null, "split": null, "rollout": null, "error": failure_object(failure),
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
        "split": split,
        "rollout": rollout(seen),
        "error": null,
    })
}

/// The rollout that the marker tells of: one that is going on.
fn rollout(seen: &Snapshot) -> Option<Value> {
    let marker = seen.marker.as_ref()?;
    let MarkerState::Canary { candidate } = &marker.state else {
        return None;
    };
    let percent = seen.split.as_ref().map(|split| split.weight_of(candidate));
    let since = marker.at.map(|at| at.to_string());
    Some(json!({
        "id": marker.id, "state": "canary", "step": null, "percent": percent, "since": since, "orphaned": false,
    }))
}

/// `mlroll/dry-run/1`: the calls that a run would make.
#[must_use]
pub fn dry_run(verb: &str, calls: &[Call], reports: &[Report]) -> Value {
    let calls: Vec<Value> = calls
        .iter()
        .map(|call| {
            let body = call.body.as_deref().map(|b| serde_json::from_str(b).unwrap_or_else(|_| Value::String(b.to_owned())));
            json!({ "target": call.target, "operation": call.operation, "method": call.method, "url": call.url, "body": body })
        })
        .collect();
    let targets: Vec<Value> = reports.iter().map(target_outcome).collect();
    json!({ "schema": "mlroll/dry-run/1", "verb": verb, "calls": calls, "targets": targets })
}

/// `mlroll/error/1`: why nothing could be said or done.
#[must_use]
pub fn error(failure: &Failure) -> Value {
    json!({ "schema": "mlroll/error/1", "error": failure_object(failure), "exit_code": failure.exit.code() })
}

fn failure_object(failure: &Failure) -> Value {
    let Failure { kind, operation, target, message, hints, .. } = failure;
    json!({ "kind": kind, "operation": operation, "target": target.as_ref().map(Target::to_string), "message": message, "hints": hints })
}

fn shares(split: Option<&TrafficSplit>) -> Option<Vec<Share<'_>>> {
    let shares = split?.by_share().into_iter();
    Some(shares.map(|(revision, percent)| Share { revision: revision.as_str(), percent }).collect())
}
