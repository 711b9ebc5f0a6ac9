//! `GetMetricStatistics`, `ListMetrics` and `PutMetricData`.

use ciborium::Value;

use super::data::{is_period, range};
use super::metric::Metric;
use super::points::{Custom, Datum, Reader};
use super::statistic::{Point, Statistic};
use super::wire::{Fault, as_number, get, integer, list, map, moment, number, required, seconds, text, texts};

/// The most points that `GetMetricStatistics` gives.
const MOST_POINTS: i64 = 1440;

/// The most metrics in a page of a list.
const PAGE: usize = 500;

pub(super) fn get_metric_statistics(reader: &mut Reader<'_>, input: &Value) -> Result<Value, Fault> {
    let metric = Metric::read(input)?;
    let (start, end) = range(input)?;
    let period = integer(input, "Period")?.ok_or_else(|| Fault::missing("Period"))?;
    if !is_period(period) {
        return Err(Fault::invalid_value(format!(
            "The value {period} for parameter Period must be 1, 5, 10, 20, 30, or a multiple of 60."
        )));
    }
    if (end - start) / period > MOST_POINTS {
        let message = format!(
            "You have requested up to {} datapoints, which exceeds the limit of {MOST_POINTS}.",
            (end - start) / period
        );
        return Err(Fault::invalid_combination(message));
    }
    let (plain, extended) = (texts(input, "Statistics")?, texts(input, "ExtendedStatistics")?);
    if plain.is_empty() && extended.is_empty() {
        let message = "Must specify either Statistics or ExtendedStatistics";
        return Err(Fault::invalid_combination(message));
    }
    let mut wanted = Vec::new();
    for name in plain.iter().chain(&extended) {
        let statistic = Statistic::parse(name);
        let is_plain = matches!(*name, "Sum" | "SampleCount" | "Average" | "Minimum" | "Maximum");
        match statistic {
            Some(statistic) if is_plain == plain.contains(name) => wanted.push((*name, is_plain, statistic)),
            Some(_) | None => {
                return Err(Fault::invalid_value(format!(
                    "The value {name} for parameter Statistics is not supported."
                )));
            }
        }
    }
    let unit = text(input, "Unit")?;
    let points = reader.points(&metric, unit, period, start, end);
    let shown_unit = unit.map_or_else(|| reader.unit(&metric), str::to_owned);
    let mut datapoints = Vec::new();
    for (at, point) in points {
        let mut shown =
            vec![(Value::from("Timestamp"), moment(at)), (Value::from("Unit"), Value::from(shown_unit.as_str()))];
        let mut more = Vec::new();
        for (name, is_plain, statistic) in &wanted {
            if let Some(value) = statistic.of(&point) {
                let member = (Value::from(*name), Value::Float(value));
                if *is_plain { shown.push(member) } else { more.push(member) }
            }
        }
        if !more.is_empty() {
            shown.push((Value::from("ExtendedStatistics"), Value::Map(more)));
        }
        datapoints.push(Value::Map(shown));
    }
    Ok(map([("Label", Value::from(metric.name)), ("Datapoints", Value::Array(datapoints))]))
}

pub(super) fn list_metrics(reader: &Reader<'_>, input: &Value) -> Result<Value, Fault> {
    let (namespace, name) = (text(input, "Namespace")?, text(input, "MetricName")?);
    let mut filters = Vec::new();
    for filter in list(input, "Dimensions")? {
        filters.push((required(filter, "Name")?, text(filter, "Value")?));
    }
    let here = |region: &str| reader.region.as_deref().is_none_or(|asked| asked == region);
    let published = reader.published.iter().filter(|one| here(&one.region)).map(|one| &one.metric);
    let custom = reader.custom.keys().filter(|(region, _)| here(region)).map(|(_, metric)| metric);
    let wanted = |metric: &&Metric| {
        let has = |(name, value): &(&str, Option<&str>)| {
            metric.dimensions.get(*name).is_some_and(|found| value.is_none_or(|value| value == found))
        };
        namespace.is_none_or(|namespace| namespace == metric.namespace)
            && name.is_none_or(|name| name == metric.name)
            && filters.iter().all(has)
    };
    let mut all: Vec<&Metric> = published.chain(custom).filter(wanted).collect();
    all.sort();
    all.dedup();
    let from: usize = match text(input, "NextToken")? {
        None => 0,
        Some(token) => token.parse().map_err(|_| Fault::token())?,
    };
    let page: Vec<Value> = all.iter().skip(from).take(PAGE).map(|metric| metric.write()).collect();
    let mut output = vec![(Value::from("Metrics"), Value::Array(page))];
    if all.len() > from.saturating_add(PAGE) {
        output.push((Value::from("NextToken"), Value::from((from + PAGE).to_string())));
    }
    Ok(Value::Map(output))
}

pub(super) fn put_metric_data(custom: &mut Custom, region: &str, now: i64, input: &Value) -> Result<Value, Fault> {
    let namespace = required(input, "Namespace")?;
    if namespace.starts_with("AWS/") {
        return Err(Fault::invalid_value("The value AWS/ for parameter Namespace is invalid."));
    }
    let mut data = Vec::new();
    for datum in list(input, "MetricData")? {
        let name = required(datum, "MetricName")?;
        let named = map([
            ("Namespace", Value::from(namespace)),
            ("MetricName", Value::from(name)),
            ("Dimensions", get(datum, "Dimensions").cloned().unwrap_or(Value::Null)),
        ]);
        let unit = text(datum, "Unit")?.unwrap_or("None").to_owned();
        let at = seconds(datum, "Timestamp")?.unwrap_or(now);
        data.push((Metric::read(&named)?, Datum { at, unit, point: point(datum)? }));
    }
    if data.is_empty() {
        return Err(Fault::missing("MetricData"));
    }
    for (metric, datum) in data {
        custom.entry((region.to_owned(), metric)).or_default().push(datum);
    }
    Ok(Value::Map(Vec::new()))
}

fn point(datum: &Value) -> Result<Point, Fault> {
    let numbers = |name: &str| -> Result<Vec<f64>, Fault> {
        let wrong = || Fault::invalid_value(format!("The parameter MetricData.member.1.{name} is invalid."));
        list(datum, name)?
            .iter()
            .map(|value| as_number(value).filter(|value| value.is_finite()).ok_or_else(wrong))
            .collect()
    };
    let values = numbers("Values")?;
    let counts = numbers("Counts")?;
    match (number(datum, "Value")?, get(datum, "StatisticValues"), values.is_empty()) {
        (Some(value), None, true) if value.is_finite() => Ok(Point { values: vec![(value, 1.0)], ..Point::default() }),
        (None, None, false) => {
            if !counts.is_empty() && counts.len() != values.len() {
                let message = "The parameters MetricData.member.1.Values and MetricData.member.1.Counts must be of the same size.";
                return Err(Fault::invalid_value(message));
            }
            let counts = counts.into_iter().chain(std::iter::repeat(1.0));
            Ok(Point { values: values.into_iter().zip(counts).collect(), ..Point::default() })
        }
        (None, Some(set), true) => {
            let part = |name: &str| number(set, name)?.ok_or_else(|| Fault::missing(name));
            let sums = (part("SampleCount")?, part("Sum")?, part("Minimum")?, part("Maximum")?);
            Ok(Point { sums: Some(sums), ..Point::default() })
        }
        _ => Err(Fault::invalid_combination(
            "Exactly one of the parameters Value, Values and StatisticValues must be given, and be a number.",
        )),
    }
}
