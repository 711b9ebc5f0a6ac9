//! `DescribeAlarms`.

use ciborium::Value;

use super::wire::{Fault, integer, map, moment, text, texts};
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
    let types = texts(input, "AlarmTypes")?;
    if let Some(other) = types.iter().find(|kind| !["MetricAlarm", "CompositeAlarm", "LogAlarm"].contains(*kind)) {
        return Err(Fault::validation(format!("The value {other} for parameter AlarmTypes is invalid.")));
    }
    let wanted_state = text(input, "StateValue")?;
    let most = integer(input, "MaxRecords")?.map_or(50, |most| usize::try_from(most).unwrap_or(0));
    if most == 0 || most > MOST {
        return Err(Fault::validation(format!("The parameter MaxRecords must be from 1 to {MOST}.")));
    }
    let most = if names.is_empty() { most } else { MOST };
    let after = text(input, "NextToken")?;
    let (began, now) = (world.traffic.began().unix_seconds(), world.now().unix_seconds());
    let (mut metric, mut composite, mut token) = (Vec::new(), Vec::new(), None);
    let mut last = None;
    for (name, alarm) in &world.scenario.cloudwatch.alarms {
        let kind = if alarm.composite { "CompositeAlarm" } else { "MetricAlarm" };
        let (state, since) = state(alarm, began, now);
        let wanted = (names.is_empty() || names.contains(&name.as_str()))
            && prefix.is_none_or(|prefix| name.starts_with(prefix))
            && (types.contains(&kind) || (types.is_empty() && !alarm.composite))
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
