//! `DescribeAlarms` and `DescribeAlarmHistory`.

use ciborium::Value;
use serde_json::json;

use super::wire::{Fault, integer, map, moment, seconds, text, texts};
use crate::scenario::{Alarm, AlarmState};
use crate::world::World;

/// The most names in a request, and alarms in an answer.
const MOST: usize = 100;

/// An alarm's state, and since when.
fn state(alarm: &Alarm, began: i64, now: i64) -> (AlarmState, i64) {
    let turn = alarm.then.and_then(|turn| {
        let at = began.saturating_add(i64::try_from(turn.after.as_secs()).unwrap_or(i64::MAX));
        (at <= now).then_some((turn.state, at))
    });
    turn.unwrap_or((alarm.state, began))
}

fn kind(alarm: &Alarm) -> &'static str {
    if alarm.composite { "CompositeAlarm" } else { "MetricAlarm" }
}

fn types(input: &Value) -> Result<Vec<&str>, Fault> {
    let types = texts(input, "AlarmTypes")?;
    match types.iter().find(|kind| !["MetricAlarm", "CompositeAlarm", "LogAlarm"].contains(*kind)) {
        Some(other) => Err(Fault::validation(format!("The value {other} for parameter AlarmTypes is invalid."))),
        None => Ok(types),
    }
}

/// Without types only alarms of metrics are meant.
fn is_of(types: &[&str], alarm: &Alarm) -> bool {
    types.contains(&kind(alarm)) || (types.is_empty() && !alarm.composite)
}

fn records(input: &Value, usual: usize) -> Result<usize, Fault> {
    match integer(input, "MaxRecords")?.map_or(usual, |most| usize::try_from(most).unwrap_or(0)) {
        most if (1..=MOST).contains(&most) => Ok(most),
        _ => Err(Fault::validation(format!("The parameter MaxRecords must be from 1 to {MOST}."))),
    }
}

/// Misspelt names are left out; composite alarms too, unless their type is asked for.
pub(super) fn describe_alarms(world: &World, region: Option<&str>, input: &Value) -> Result<Value, Fault> {
    let names = texts(input, "AlarmNames")?;
    let prefix = text(input, "AlarmNamePrefix")?;
    if names.len() > MOST {
        return Err(Fault::validation(format!("The collection AlarmNames must not have a size greater than {MOST}.")));
    }
    if prefix.is_some() && !names.is_empty() {
        let message =
            "The parameters AlarmNames and AlarmNamePrefix are mutually exclusive and you have specified both.";
        return Err(Fault::invalid_combination(message));
    }
    let types = types(input)?;
    let wanted_state = text(input, "StateValue")?;
    let most = records(input, 50)?;
    let most = if names.is_empty() { most } else { MOST };
    let after = text(input, "NextToken")?;
    let (began, now) = (world.traffic.began().unix_seconds(), world.now().unix_seconds());
    let (mut metric, mut composite, mut token) = (Vec::new(), Vec::new(), None);
    let mut last = None;
    for (name, alarm) in &world.scenario.cloudwatch.alarms {
        let (state, since) = state(alarm, began, now);
        let wanted = (names.is_empty() || names.contains(&name.as_str()))
            && prefix.is_none_or(|prefix| name.starts_with(prefix))
            && is_of(&types, alarm)
            && wanted_state.is_none_or(|wanted| wanted == state.name())
            && after.is_none_or(|after| name.as_str() > after);
        if !wanted {
            continue;
        }
        if metric.len() + composite.len() == most {
            token = last;
            break;
        }
        last = Some(name.as_str());
        let arn = format!("arn:aws:cloudwatch:{}:000000000000:alarm:{name}", region.unwrap_or("us-east-1"));
        let shown = map([
            ("AlarmName", Value::from(name.as_str())),
            ("AlarmArn", Value::from(arn)),
            ("ActionsEnabled", Value::from(true)),
            ("StateValue", Value::from(state.name())),
            ("StateReason", Value::from("set by the scenario")),
            ("StateUpdatedTimestamp", moment(since)),
            ("StateTransitionedTimestamp", moment(since)),
        ]);
        if alarm.composite { composite.push(shown) } else { metric.push(shown) }
    }
    let mut output = vec![
        (Value::from("MetricAlarms"), Value::Array(metric)),
        (Value::from("CompositeAlarms"), Value::Array(composite)),
    ];
    if let Some(token) = token {
        output.push((Value::from("NextToken"), Value::from(token)));
    }
    Ok(Value::Map(output))
}

/// Each alarm was made in its first state when the sandbox began, and turned once at most; the newest first, unless the oldest
/// are asked for.
pub(super) fn describe_alarm_history(world: &World, input: &Value) -> Result<Value, Fault> {
    let (name, types) = (text(input, "AlarmName")?, types(input)?);
    let wanted = text(input, "HistoryItemType")?;
    let (start, end) = (seconds(input, "StartDate")?, seconds(input, "EndDate")?);
    let most = records(input, 100)?;
    let (began, now) = (world.traffic.began().unix_seconds(), world.now().unix_seconds());
    let mut items = Vec::new();
    for (alarm_name, alarm) in &world.scenario.cloudwatch.alarms {
        if name.is_some_and(|name| name != alarm_name) || !is_of(&types, alarm) {
            continue;
        }
        items.push((began, alarm_name, alarm, None));
        let (turned, at) = state(alarm, began, now);
        if alarm.then.is_some() && at > began {
            items.push((at, alarm_name, alarm, Some(turned)));
        }
    }
    let kind_of = |turned: Option<AlarmState>| if turned.is_some() { "StateUpdate" } else { "ConfigurationUpdate" };
    items.retain(|(at, _, _, turned)| {
        wanted.is_none_or(|wanted| wanted == kind_of(*turned))
            && start.is_none_or(|start| *at >= start)
            && end.is_none_or(|end| *at <= end)
    });
    items.sort_by_key(|(at, name, ..)| (*at, *name));
    if text(input, "ScanBy")?.unwrap_or("TimestampDescending") == "TimestampDescending" {
        items.reverse();
    }
    let from: usize = match text(input, "NextToken")? {
        None => 0,
        Some(token) => token.parse().map_err(|_| Fault::token())?,
    };
    let shown = items.iter().skip(from).take(most).map(|(at, name, alarm, turned)| {
        let (old, new) = (alarm.state.name(), turned.unwrap_or(alarm.state).name());
        let (summary, data) = match turned {
            Some(_) => (
                format!("Alarm updated from {old} to {new}"),
                json!({ "version": "1.0", "oldState": { "stateValue": old }, "newState": { "stateValue": new } }),
            ),
            None => (format!("Alarm \"{name}\" created"), json!({ "version": "1.0", "type": "Create" })),
        };
        map([
            ("AlarmName", Value::from(name.as_str())),
            ("AlarmType", Value::from(kind(alarm))),
            ("Timestamp", moment(*at)),
            ("HistoryItemType", Value::from(kind_of(*turned))),
            ("HistorySummary", Value::from(summary)),
            ("HistoryData", Value::from(data.to_string())),
        ])
    });
    let mut output = vec![(Value::from("AlarmHistoryItems"), Value::Array(shown.collect()))];
    if items.len() > from.saturating_add(most) {
        output.push((Value::from("NextToken"), Value::from((from + most).to_string())));
    }
    Ok(Value::Map(output))
}
