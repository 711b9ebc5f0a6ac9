//! `GetMetricData`.

use std::collections::{BTreeMap, BTreeSet};

use ciborium::Value;

use super::math::{Numbers, evaluate};
use super::metric::Metric;
use super::points::Reader;
use super::statistic::Statistic;
use super::wire::{Fault, boolean, get, integer, list, map, moment, required, seconds, text};

/// The most queries in a request.
const MOST_QUERIES: usize = 500;

/// The most points in a page of an answer.
pub(super) const MOST_POINTS: usize = 100_800;

/// What a query asks for.
#[derive(Clone, Debug)]
enum Source {
    Metric { metric: Metric, period: i64, statistic: Statistic, unit: Option<String> },
    Expression(String),
}

#[derive(Clone, Debug)]
struct Query {
    id: String,
    label: String,
    source: Source,
    returned: bool,
}

/// The result of a query, in the order asked for.
#[derive(Clone, Debug)]
struct Series {
    id: String,
    label: String,
    points: Vec<(i64, f64)>,
    failed: bool,
}

/// Whether that is a period of points: a multiple of a minute, or one of the lengths that high resolution has.
pub(super) fn is_period(seconds: i64) -> bool {
    matches!(seconds, 1 | 5 | 10 | 20 | 30) || (seconds > 0 && seconds % 60 == 0 && seconds <= 86_400 * 365)
}

/// `StartTime` and `EndTime`.
pub(super) fn range(input: &Value) -> Result<(i64, i64), Fault> {
    let start = seconds(input, "StartTime")?.ok_or_else(|| Fault::missing("StartTime"))?;
    let end = seconds(input, "EndTime")?.ok_or_else(|| Fault::missing("EndTime"))?;
    if start == end {
        return Err(Fault::validation("The parameter StartTime must not equal parameter EndTime."));
    }
    if start > end {
        return Err(Fault::validation("The parameter EndTime must be greater than StartTime."));
    }
    Ok((start, end))
}

fn is_id(id: &str) -> bool {
    id.len() <= 255
        && id.starts_with(|c: char| c.is_ascii_lowercase())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Reads the queries; all that is wrong with them is told at once, as AWS does.
fn queries(input: &Value) -> Result<Vec<Query>, Fault> {
    let all = list(input, "MetricDataQueries")?;
    if all.is_empty() {
        return Err(Fault::missing("MetricDataQueries"));
    }
    if all.len() > MOST_QUERIES {
        let message = format!("The collection MetricDataQueries must not have a size greater than {MOST_QUERIES}.");
        return Err(Fault::validation(message));
    }
    let mut wrong = Vec::new();
    let mut queries = Vec::new();
    let mut ids = BTreeSet::new();
    for (n, one) in all.iter().enumerate() {
        let member = format!("MetricDataQueries.member.{}", n + 1);
        let id = required(one, "Id")?;
        if !is_id(id) {
            wrong.push(format!(
                "The value {id} for parameter {member}.Id is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$."
            ));
        } else if !ids.insert(id) {
            wrong.push("The values for parameter id in MetricDataQueries are not unique.".to_owned());
        }
        let source = match (get(one, "MetricStat"), text(one, "Expression")?) {
            (Some(stat), None) => {
                let metric =
                    get(stat, "Metric").ok_or_else(|| Fault::missing(&format!("{member}.MetricStat.Metric")))?;
                let metric = Metric::read(metric)?;
                let missing = || Fault::missing(&format!("{member}.MetricStat.Period"));
                let period = integer(stat, "Period")?.ok_or_else(missing)?;
                if !is_period(period) {
                    wrong.push(format!(
                        "The value {period} for parameter {member}.MetricStat.Period must be 1, 5, 10, 20, 30, or a multiple of 60."
                    ));
                }
                let statistic = Statistic::parse(required(stat, "Stat")?);
                let Some(statistic) = statistic else {
                    wrong.push(format!("The value for parameter {member}.MetricStat.Stat is not a valid statistic."));
                    continue;
                };
                Source::Metric { metric, period, statistic, unit: text(stat, "Unit")?.map(str::to_owned) }
            }
            (None, Some(expression)) => Source::Expression(expression.to_owned()),
            (None, None) | (Some(_), Some(_)) => {
                wrong.push(format!(
                    "Either the parameter {member}.MetricStat or {member}.Expression must be given, not both."
                ));
                continue;
            }
        };
        let label = match (text(one, "Label")?, &source) {
            (Some(label), _) => label.to_owned(),
            (None, Source::Metric { metric, .. }) => metric.name.clone(),
            (None, Source::Expression(_)) => id.to_owned(),
        };
        let returned = boolean(one, "ReturnData")?.unwrap_or(true);
        queries.push(Query { id: id.to_owned(), label, source, returned });
    }
    if wrong.is_empty() && !queries.iter().any(|query| query.returned) {
        wrong.push("At least one of the MetricDataQueries must have the parameter ReturnData set to true.".to_owned());
    }
    if wrong.is_empty() { Ok(queries) } else { Err(Fault::validation(wrong.join("\n"))) }
}

/// The series of all queries by id.
fn evaluated(
    reader: &mut Reader<'_>,
    queries: &[Query],
    start: i64,
    end: i64,
) -> Result<BTreeMap<String, Numbers>, Fault> {
    let mut known: BTreeMap<String, Numbers> = BTreeMap::new();
    for query in queries {
        if let Source::Metric { metric, period, statistic, unit } = &query.source {
            let points = reader.points(metric, unit.as_deref(), *period, start, end);
            let numbers = points.iter().filter_map(|(at, point)| Some((*at, statistic.of(point)?))).collect();
            known.insert(query.id.clone(), numbers);
        }
    }
    // Expressions may use others, in any order; each round resolves those whose ids are all known.
    let metrics = known.clone();
    let mut open: Vec<(&str, &str)> = queries
        .iter()
        .filter_map(|query| match &query.source {
            Source::Expression(text) => Some((query.id.as_str(), text.as_str())),
            Source::Metric { .. } => None,
        })
        .collect();
    while !open.is_empty() {
        let before = open.len();
        let mut why = String::new();
        let mut left = Vec::new();
        for (id, text) in open {
            // METRICS() means those that are no expressions.
            let scope = if text.contains("METRICS") { &metrics } else { &known };
            match evaluate(text, scope) {
                Ok(numbers) => {
                    known.insert(id.to_owned(), numbers);
                }
                Err(error) => {
                    why = format!("Error in expression '{id}': {error}");
                    left.push((id, text));
                }
            }
        }
        open = left;
        if open.len() == before {
            return Err(Fault::validation(why));
        }
    }
    Ok(known)
}

/// A mark of what was asked, so that a token of one request is not taken for another's.
fn mark(input: &Value) -> u64 {
    let without_token: Vec<&(Value, Value)> = input
        .as_map()
        .map(|members| members.iter().filter(|(name, _)| name.as_text() != Some("NextToken")).collect())
        .unwrap_or_default();
    // FNV-1a over the written form.
    format!("{without_token:?}")
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The moment and the number of points before this page.
fn resumed(input: &Value, now: i64) -> Result<(i64, usize), Fault> {
    let Some(token) = text(input, "NextToken")? else { return Ok((now, 0)) };
    let parts: Vec<&str> = token.split('-').collect();
    let [asked, before, hash] = parts.as_slice() else { return Err(Fault::token()) };
    let asked: i64 = asked.parse().map_err(|_| Fault::token())?;
    let before = before.parse().map_err(|_| Fault::token())?;
    if *hash != format!("{:016x}", mark(input)) || asked > now {
        return Err(Fault::token());
    }
    Ok((asked, before))
}

pub(super) fn get_metric_data(reader: &mut Reader<'_>, input: &Value) -> Result<Value, Fault> {
    let queries = queries(input)?;
    let (start, end) = range(input)?;
    let ascending = match text(input, "ScanBy")? {
        None | Some("TimestampDescending") => false,
        Some("TimestampAscending") => true,
        Some(other) => return Err(Fault::validation(format!("The value {other} for parameter ScanBy is invalid."))),
    };
    let page = integer(input, "MaxDatapoints")?.map_or(MOST_POINTS, |most| usize::try_from(most).unwrap_or(0));
    if page == 0 || page > MOST_POINTS {
        return Err(Fault::validation(format!("The parameter MaxDatapoints must be from 1 to {MOST_POINTS}.")));
    }
    let page = page.min(reader.settings.page.unwrap_or(MOST_POINTS));
    // A later page shows the moment of the first.
    let now = reader.now;
    let (asked, before) = resumed(input, now)?;
    reader.now = asked;
    let mut known = evaluated(reader, &queries, start, end)?;
    let chance = reader.traffic.key().named("internal error").with(now as u64);
    let share = reader.settings.internal_error;
    let math = queries.iter().any(|query| matches!(query.source, Source::Expression(_)));
    let all: Vec<Series> = queries
        .into_iter()
        .filter(|query| query.returned)
        .map(|query| {
            let failed = share > 0.0 && chance.named(&query.id).unit() < share;
            let numbers = if failed { Numbers::new() } else { known.remove(&query.id).unwrap_or_default() };
            let mut points: Vec<(i64, f64)> = numbers.into_iter().collect();
            if !ascending {
                points.reverse();
            }
            Series { id: query.id, label: query.label, points, failed }
        })
        .collect();
    let total: usize = all.iter().map(|series| series.points.len()).sum();
    let until = before.saturating_add(page).min(total);
    let mut place = 0;
    let mut results = Vec::new();
    for series in all {
        let (from, to) = (place, place + series.points.len());
        place = to;
        // A page shows what begins, goes on or ends in it; the first also what is yet to begin.
        let here = from.max(before)..to.min(until).max(from.max(before));
        if before > 0 && here.is_empty() {
            continue;
        }
        let points = series.points.get(here.start - from..here.end - from).unwrap_or_default();
        let status = if series.failed {
            "InternalError"
        } else if to > until {
            "PartialData"
        } else {
            "Complete"
        };
        let mut result = vec![
            (Value::from("Id"), Value::from(series.id)),
            (Value::from("Label"), Value::from(series.label)),
            (Value::from("Timestamps"), Value::Array(points.iter().map(|(at, _)| moment(*at)).collect())),
            (Value::from("Values"), Value::Array(points.iter().map(|(_, value)| Value::Float(*value)).collect())),
            (Value::from("StatusCode"), Value::from(status)),
        ];
        if series.failed {
            let message = map([
                ("Code", Value::from("InternalError")),
                ("Value", Value::from("An internal error occurred. Please try again.")),
            ]);
            result.push((Value::from("Messages"), Value::Array(vec![message])));
        }
        results.push(Value::Map(result));
    }
    let mut output = vec![
        (Value::from("MetricDataResults"), Value::Array(results)),
        (Value::from("Messages"), Value::Array(vec![])),
    ];
    // There is none when math is used.
    if until < total && !math {
        let token = format!("{asked}-{until}-{:016x}", mark(input));
        output.push((Value::from("NextToken"), Value::from(token)));
    }
    Ok(Value::Map(output))
}
