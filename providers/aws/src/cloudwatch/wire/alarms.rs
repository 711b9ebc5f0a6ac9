//! `DescribeAlarms` and `DescribeAlarmHistory`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{AlarmType, EvaluationState, HistoryItemType, StateValue};
use mlroll_backend::{Effect, Error, ErrorKind, Result, Target, Usage};
use serde_json::Value;

use super::super::alarms::{Alarm, State, Turn};
use crate::error::classify;
use crate::pages::Pages;
use crate::transport::{Tag, Tagging};

/// Alarms in one request (CloudWatch API model).
const MOST_NAMES: usize = 100;

/// All kinds: without them CloudWatch leaves out all that are made of others, and says nothing.
fn kinds() -> Vec<AlarmType> {
    vec![AlarmType::MetricAlarm, AlarmType::CompositeAlarm, AlarmType::LogAlarm]
}

/// The alarms with these names; those that do not exist are left out, as CloudWatch does.
pub(in crate::cloudwatch) async fn describe_alarms(
    client: &Client,
    names: &[&str],
    about: &Target,
    usage: &Mutex<Usage>,
) -> Result<BTreeMap<String, Alarm>> {
    let operation = "DescribeAlarms";
    let mut alarms = BTreeMap::new();
    for names in names.chunks(MOST_NAMES) {
        let mut pages = Pages::of(operation);
        loop {
            count(usage);
            let page = client
                .describe_alarms()
                .set_alarm_names(Some(names.iter().map(|name| (*name).to_owned()).collect()))
                .set_alarm_types(Some(kinds()))
                .max_records(100)
                .set_next_token(pages.token())
                .customize()
                .interceptor(tagged(operation, about))
                .send()
                .await
                .map_err(|e| classify(operation, e))?;
            let of_metrics = page.metric_alarms.unwrap_or_default().into_iter().map(|one| {
                (
                    one.alarm_name,
                    told(
                        one.state_value,
                        [one.state_transitioned_timestamp, one.state_updated_timestamp],
                        one.evaluation_state,
                    ),
                )
            });
            let of_logs = page.log_alarms.unwrap_or_default().into_iter().map(|one| {
                (
                    one.alarm_name,
                    told(
                        one.state_value,
                        [one.state_transitioned_timestamp, one.state_updated_timestamp],
                        one.evaluation_state,
                    ),
                )
            });
            let composite = page.composite_alarms.unwrap_or_default().into_iter().map(|one| {
                (
                    one.alarm_name,
                    told(one.state_value, [one.state_transitioned_timestamp, one.state_updated_timestamp], None),
                )
            });
            let all = of_metrics.chain(of_logs).chain(composite);
            alarms.extend(all.filter_map(|(name, alarm)| Some((name?, alarm))));
            if !pages.turn(page.next_token)? {
                break;
            }
        }
    }
    Ok(alarms)
}

fn told(state: Option<StateValue>, since: [Option<DateTime>; 2], doubt: Option<EvaluationState>) -> Alarm {
    Alarm {
        state: state.map_or(State::Unknown, |state| State::of(state.as_str())),
        // The state itself may be older than its last update, never younger than its last change.
        since: since.into_iter().flatten().next().and_then(|at| at.to_millis().ok()),
        doubt: doubt.map(|doubt| doubt.as_str().to_owned()),
        turns: Vec::new(),
    }
}

/// The changes of an alarm's state since `from`, in Unix milliseconds.
pub(in crate::cloudwatch) async fn alarm_history(
    client: &Client,
    name: &str,
    from: i64,
    about: &Target,
    usage: &Mutex<Usage>,
) -> Result<Vec<Turn>> {
    let operation = "DescribeAlarmHistory";
    let mut turns = Vec::new();
    let mut pages = Pages::of(operation);
    loop {
        count(usage);
        let page = client
            .describe_alarm_history()
            .alarm_name(name)
            .set_alarm_types(Some(kinds()))
            .history_item_type(HistoryItemType::StateUpdate)
            .start_date(DateTime::from_millis(from))
            .max_records(100)
            .set_next_token(pages.token())
            .customize()
            .interceptor(tagged(operation, about))
            .send()
            .await
            .map_err(|e| classify(operation, e).with("alarm", name))?;
        for item in page.alarm_history_items.unwrap_or_default() {
            let at = item.timestamp.and_then(|at| at.to_millis().ok());
            let data = item.history_data.as_deref().unwrap_or_default();
            let turn = at.and_then(|at| turn(at, data)).ok_or_else(|| {
                let message = format!("the history of alarm {name} has a change of state that cannot be read");
                Error::new(ErrorKind::Unexpected, operation, message)
            })?;
            turns.push(turn);
        }
        if !pages.turn(page.next_token)? {
            return Ok(turns);
        }
    }
}

/// `HistoryData` is JSON: `{"oldState": {"stateValue": "OK"}, "newState": {"stateValue": "ALARM"}}`.
fn turn(at: i64, data: &str) -> Option<Turn> {
    let data: Value = serde_json::from_str(data).ok()?;
    let state = |name: &str| Some(State::of(data.get(name)?.get("stateValue")?.as_str()?));
    Some(Turn { at, from: state("oldState")?, to: state("newState")? })
}

fn count(usage: &Mutex<Usage>) {
    // Alarms are billed by who keeps them, not by who reads them.
    usage.lock().unwrap_or_else(PoisonError::into_inner).calls += 1;
}

fn tagged(operation: &'static str, about: &Target) -> Tagging {
    Tagging(Tag { target: about.clone(), operation, effect: Effect::Read })
}
