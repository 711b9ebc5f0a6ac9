//! `projects.alertPolicies.list` and `projects.alerts.list`: policies as the scenario sets them, one alert of each that opened.

use std::time::Duration;

use mlroll_backend::Timestamp;
use serde_json::{Map, Value, json};

use crate::World;
use crate::api::Request;
use crate::google::{self, Parameters, Refusal};
use crate::scenario::Alert;

/// The most items on a page (discovery document), and how many there are when nobody says.
const MOST: usize = 1000;
const USUAL: usize = 50;

/// The policies of any project: there is no telling them apart.
pub(super) fn policies(request: &Request, world: &World, project: &str) -> Result<Value, Refusal> {
    let sent = Parameters::read(request, &["filter", "orderBy", "pageSize", "pageToken"], &[])?;
    if sent.get("filter").or(sent.get("orderBy")).is_some() {
        return Err(Refusal::invalid("Policies are neither filtered nor sorted in this sandbox."));
    }
    let known = world.scenario.cloud_monitoring.alerts.iter().enumerate();
    let shown = known.map(|(at, (name, alert))| {
        let mut policy = policy(project, at, alert.display_name.as_ref().unwrap_or(name));
        policy.insert("enabled".to_owned(), json!(alert.enabled));
        policy.insert("combiner".to_owned(), json!("OR"));
        Value::Object(policy)
    });
    page("alertPolicies", shown.collect(), &sent)
}

/// Those that opened, the latest first, or the latest to close. Each has its policy as it was when it opened.
pub(super) fn alerts(request: &Request, world: &World, project: &str) -> Result<Value, Refusal> {
    let sent = Parameters::read(request, &["filter", "orderBy", "pageSize", "pageToken"], &[])?;
    let by_close = match sent.get("orderBy") {
        None | Some("open_time desc") => false,
        Some("close_time desc") => true,
        Some(order) => return Err(Refusal::invalid(format!("Field orderBy had an invalid value of \"{order}\"."))),
    };
    let filter = sent.get("filter").map(alternatives).transpose()?;
    let (began, now) = (world.traffic.began(), world.now());
    let mut found = Vec::new();
    for (at, (name, alert)) in world.scenario.cloud_monitoring.alerts.iter().enumerate() {
        let Some((opened, closed)) = since(alert, began, now) else { continue };
        let state = if closed.is_some() { "CLOSED" } else { "OPEN" };
        let name = alert.formerly.as_ref().or(alert.display_name.as_ref()).unwrap_or(name);
        let policy = policy(project, at, name);
        let fields = |field: &str| match field {
            "state" => Some(state.to_owned()),
            "policy.display_name" => Some(name.clone()),
            "policy.name" => policy.get("name").and_then(Value::as_str).map(str::to_owned),
            _ => None,
        };
        let holds = |(field, value): &(String, String)| fields(field).as_ref() == Some(value);
        if filter.as_ref().is_some_and(|any| !any.iter().any(|all| all.iter().all(holds))) {
            continue;
        }
        let alert = json!({
            "name": format!("projects/{project}/alerts/0.{at}"), "state": state, "policy": policy,
            "openTime": opened.to_string(), "closeTime": closed.map(|at| at.to_string()),
            "resource": { "type": "cloud_run_revision", "labels": { "project_id": project } },
        });
        found.push((if by_close { closed } else { Some(opened) }, alert));
    }
    found.sort_by_key(|(order, _)| std::cmp::Reverse(*order));
    let shown = found.into_iter().map(|(_, mut alert)| {
        if let Value::Object(members) = &mut alert {
            google::sparse(members);
        }
        alert
    });
    page("alerts", shown.collect(), &sent)
}

fn policy(project: &str, at: usize, name: &str) -> Map<String, Value> {
    let policy = json!({ "name": format!("projects/{project}/alertPolicies/{}", at + 1), "displayName": name });
    policy.as_object().cloned().unwrap_or_default()
}

/// When it opened and closed, as far as that is past.
fn since(alert: &Alert, began: Timestamp, now: Timestamp) -> Option<(Timestamp, Option<Timestamp>)> {
    let at = |after: Duration| Some(began.plus(after)).filter(|at| *at <= now);
    let opened = at(alert.opens?)?;
    Some((opened, alert.closes.and_then(at)))
}

fn page(name: &str, items: Vec<Value>, sent: &Parameters) -> Result<Value, Refusal> {
    let size = if sent.get("pageSize").is_some() { sent.page_size(MOST)? } else { USUAL };
    let (start, count) = (sent.page_start()?, items.len());
    let page: Vec<Value> = items.into_iter().skip(start).take(size).collect();
    let until = start.saturating_add(page.len());
    let mut answer = Map::new();
    answer.insert(name.to_owned(), Value::Array(page));
    answer.insert("totalSize".to_owned(), json!(count));
    if until < count {
        answer.insert("nextPageToken".to_owned(), json!(google::page_token(until)));
    }
    google::sparse(&mut answer);
    Ok(Value::Object(answer))
}

/// Comparisons that must all hold, and others in their place: `a="x" AND b="y" OR a="z"`.
fn alternatives(text: &str) -> Result<Vec<Vec<(String, String)>>, Refusal> {
    let unreadable =
        || Refusal::invalid(format!("Field filter had an invalid value of \"{text}\": it cannot be read."));
    let mut any = vec![Vec::new()];
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (field, after) = rest.split_once("=\"").ok_or_else(unreadable)?;
        if !["policy.display_name", "policy.name", "state"].contains(&field) {
            return Err(Refusal::invalid(format!("Field filter had an invalid value: there is no '{field}' here.")));
        }
        let (value, after) = quoted(after).ok_or_else(unreadable)?;
        any.last_mut().ok_or_else(unreadable)?.push((field.to_owned(), value));
        rest = match after.trim_start() {
            "" => "",
            after => match (after.strip_prefix("OR "), after.strip_prefix("AND ")) {
                (Some(after), _) => {
                    any.push(Vec::new());
                    after.trim_start()
                }
                (None, Some(after)) => after.trim_start(),
                (None, None) => return Err(unreadable()),
            },
        };
    }
    Ok(any)
}

/// A text up to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(letters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read() {
        let pair = |field: &str, value: &str| (field.to_owned(), value.to_owned());
        let read = alternatives(r#"policy.display_name="a \"b\" OR c" AND state="OPEN" OR policy.name="x""#).unwrap();
        assert_eq!(
            read,
            [vec![pair("policy.display_name", "a \"b\" OR c"), pair("state", "OPEN")], vec![pair("policy.name", "x")]]
        );
        for bad in ["state=OPEN", "state=\"OPEN", "severity=\"CRITICAL\"", "state=\"OPEN\" state=\"OPEN\""] {
            assert!(alternatives(bad).is_err(), "{bad}");
        }
    }
}
