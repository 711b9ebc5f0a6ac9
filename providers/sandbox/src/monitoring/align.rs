//! Alignment of one series and reduction of several.

use super::ask::{Aligner, Reducer};
use super::distribution::Distribution;
use super::series::Value;
use crate::google::Refusal;

/// What an aligner makes of all that happened in a period of so many seconds.
pub(super) fn align(value: Value, aligner: Aligner, period: i64) -> Result<Value, Refusal> {
    match (aligner, value) {
        (Aligner::Delta | Aligner::Max | Aligner::Min | Aligner::None, value) => Ok(value),
        (Aligner::Mean, Value::Int(number)) => Ok(Value::Double(number as f64)),
        (Aligner::Mean, value) => Ok(value),
        (Aligner::Rate, Value::Int(count)) => Ok(Value::Double(count as f64 / period as f64)),
        (Aligner::Rate, Value::Double(sum)) => Ok(Value::Double(sum / period as f64)),
        (Aligner::Percentile(percent), Value::Distribution(values)) => Ok(Value::Double(values.percentile(percent))),
        (Aligner::Percentile(_), Value::Double(_) | Value::Int(_)) => Err(unfit("perSeriesAligner", "INT64")),
        (Aligner::Rate, Value::Distribution(_)) => Err(unfit("perSeriesAligner", "DISTRIBUTION")),
    }
}

/// What a reducer makes of the values of several series in one period; there is at least one.
pub(super) fn reduce(values: &[Value], reducer: Reducer) -> Result<Option<Value>, Refusal> {
    if reducer == Reducer::None {
        return Ok(values.first().cloned());
    }
    if reducer == Reducer::Count {
        return Ok(Some(Value::Int(values.len() as u64)));
    }
    let mut merged: Option<Distribution> = None;
    let mut numbers = Vec::new();
    let mut whole = 0_u64;
    let mut is_whole = true;
    for value in values {
        match value {
            Value::Distribution(one) => match &mut merged {
                Some(merged) => merged.merge(one),
                None => merged = Some(one.clone()),
            },
            Value::Double(number) => {
                numbers.push(*number);
                is_whole = false;
            }
            Value::Int(number) => {
                numbers.push(*number as f64);
                whole += number;
            }
        }
    }
    if let Some(merged) = merged {
        return match reducer {
            Reducer::Sum => Ok(Some(Value::Distribution(merged))),
            Reducer::Mean => Ok(Some(Value::Double(merged.mean()))),
            Reducer::Percentile(percent) => Ok(Some(Value::Double(merged.percentile(percent)))),
            Reducer::Count | Reducer::Max | Reducer::Min | Reducer::None => {
                Err(unfit("crossSeriesReducer", "DISTRIBUTION"))
            }
        };
    }
    numbers.sort_by(f64::total_cmp);
    let sum: f64 = numbers.iter().sum();
    let reduced = match reducer {
        Reducer::Sum if is_whole => return Ok(Some(Value::Int(whole))),
        Reducer::Sum => Some(sum),
        Reducer::Mean => Some(sum / numbers.len().max(1) as f64),
        Reducer::Max => numbers.last().copied(),
        Reducer::Min => numbers.first().copied(),
        Reducer::Percentile(percent) => {
            let at = (percent / 100.0 * numbers.len().saturating_sub(1) as f64).round();
            numbers.get(at as usize).copied()
        }
        Reducer::Count | Reducer::None => None,
    };
    Ok(reduced.map(Value::Double))
}

fn unfit(field: &str, kind: &str) -> Refusal {
    Refusal::invalid(format!("Field aggregation.{field} cannot be applied to values of type {kind}."))
}
