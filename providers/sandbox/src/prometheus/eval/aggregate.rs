//! `sum by (...)` and its kin.

use std::collections::BTreeMap;

use promql_parser::parser::{AggregateExpr, LabelModifier};

use super::{Evaluation, Failure, Point, Value, without_name};
use crate::prometheus::series::Labels;

/// The labels that two series of one group share.
fn group(labels: &Labels, modifier: Option<&LabelModifier>) -> Labels {
    match modifier {
        None => Labels::new(),
        Some(LabelModifier::Include(by)) => {
            by.labels.iter().filter_map(|name| Some((name.clone(), labels.get(name)?.clone()))).collect()
        }
        Some(LabelModifier::Exclude(without)) => {
            let mut kept = without_name(labels.clone());
            kept.retain(|name, _| !without.labels.contains(name));
            kept
        }
    }
}

fn extreme(values: &[f64], better: fn(f64, f64) -> bool) -> f64 {
    let pick = |best: f64, value: f64| if best.is_nan() || better(value, best) { value } else { best };
    values.iter().copied().fold(f64::NAN, pick)
}

fn variance(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64
}

impl Evaluation<'_, '_> {
    pub(super) fn aggregate(&mut self, aggregate: &AggregateExpr) -> Result<Value, Failure> {
        let op = aggregate.op.to_string();
        let points = self.value(&aggregate.expr)?.vector()?;
        let mut groups: BTreeMap<Labels, Vec<f64>> = BTreeMap::new();
        for point in points {
            groups.entry(group(&point.labels, aggregate.modifier.as_ref())).or_default().push(point.value);
        }
        let mut results = Vec::with_capacity(groups.len());
        for (labels, values) in groups {
            let value = match op.as_str() {
                "sum" => values.iter().sum(),
                "avg" => values.iter().sum::<f64>() / values.len() as f64,
                "min" => extreme(&values, |a, b| a < b),
                "max" => extreme(&values, |a, b| a > b),
                "count" => values.len() as f64,
                "group" => 1.0,
                "stdvar" => variance(&values),
                "stddev" => variance(&values).sqrt(),
                _ => return Err(Failure::unsupported(&format!("the aggregation {op}"))),
            };
            results.push(Point { labels, value });
        }
        Ok(Value::Vector(results))
    }
}
