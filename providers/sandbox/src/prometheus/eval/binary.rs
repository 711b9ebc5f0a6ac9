//! Operators between two values.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::parser::{BinModifier, BinaryExpr, LabelModifier, VectorMatchCardinality};

use super::{Evaluation, Failure, Point, Value, distinct, without_name};
use crate::prometheus::series::{Labels, NAME};

/// An operator between numbers: its value and, for a comparison, whether it holds.
fn apply(op: &str, left: f64, right: f64) -> Result<(f64, Option<bool>), Failure> {
    let number = match op {
        "+" => left + right,
        "-" => left - right,
        "*" => left * right,
        "/" => left / right,
        "%" => left % right,
        "^" => left.powf(right),
        "atan2" => left.atan2(right),
        _ => {
            let holds = match op {
                "==" => left == right,
                "!=" => left != right,
                ">" => left > right,
                "<" => left < right,
                ">=" => left >= right,
                "<=" => left <= right,
                _ => return Err(Failure::unsupported(&format!("the operator {op}"))),
            };
            return Ok((left, Some(holds)));
        }
    };
    Ok((number, None))
}

/// The value that stands in the result; none when a comparison filters it out.
fn outcome(op: &str, left: f64, right: f64, kept: f64, bool: bool) -> Result<Option<f64>, Failure> {
    Ok(match apply(op, left, right)? {
        (number, None) => Some(number),
        (_, Some(holds)) if bool => Some(f64::from(u8::from(holds))),
        (_, Some(holds)) => holds.then_some(kept),
    })
}

fn is_comparison(op: &str) -> bool {
    matches!(op, "==" | "!=" | ">" | "<" | ">=" | "<=")
}

/// The labels by which two sides are matched.
fn signature(labels: &Labels, matching: Option<&LabelModifier>) -> Labels {
    let mut kept = labels.clone();
    match matching {
        Some(LabelModifier::Include(on)) => kept.retain(|name, _| on.labels.contains(name)),
        Some(LabelModifier::Exclude(ignored)) => {
            kept.retain(|name, _| name != NAME && !ignored.labels.contains(name));
        }
        None => {
            kept.remove(NAME);
        }
    }
    kept
}

fn many_to_many(side: &str, group: &Labels) -> Failure {
    let group: Vec<String> = group.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    let group = group.join(", ");
    Failure(format!(
        "found duplicate series for the match group {{{group}}} on the {side} hand-side of the operation;\
         many-to-many matching not allowed: matching labels must be unique on one side"
    ))
}

impl Evaluation<'_, '_> {
    pub(super) fn binary(&mut self, binary: &BinaryExpr) -> Result<Value, Failure> {
        let op = binary.op.to_string();
        let bool = binary.return_bool();
        let left = self.value(&binary.lhs)?;
        let right = self.value(&binary.rhs)?;
        let drops_name = bool || !is_comparison(&op);
        let labels = |point: &Point| if drops_name { without_name(point.labels.clone()) } else { point.labels.clone() };
        match (left, right) {
            (Value::Scalar(left), Value::Scalar(right)) => {
                let value = outcome(&op, left, right, left, true)?;
                Ok(Value::Scalar(value.unwrap_or(f64::NAN)))
            }
            (Value::Vector(points), Value::Scalar(right)) => {
                let mut results = Vec::new();
                for point in points {
                    if let Some(value) = outcome(&op, point.value, right, point.value, bool)? {
                        results.push(Point { labels: labels(&point), value });
                    }
                }
                distinct(results)
            }
            (Value::Scalar(left), Value::Vector(points)) => {
                let mut results = Vec::new();
                for point in points {
                    if let Some(value) = outcome(&op, left, point.value, point.value, bool)? {
                        results.push(Point { labels: labels(&point), value });
                    }
                }
                distinct(results)
            }
            (Value::Vector(left), Value::Vector(right)) => {
                let modifier = binary.modifier.as_ref();
                match op.as_str() {
                    "and" | "or" | "unless" => Ok(Value::Vector(sets(&op, left, right, modifier))),
                    _ => matched(&op, left, right, modifier),
                }
            }
            (Value::Text(_) | Value::Matrix(_), _) | (_, Value::Text(_) | Value::Matrix(_)) => {
                Err(Failure("binary expression must contain only scalar and instant vector types".to_owned()))
            }
        }
    }
}

/// `and`, `or`, `unless`.
fn sets(op: &str, left: Vec<Point>, right: Vec<Point>, modifier: Option<&BinModifier>) -> Vec<Point> {
    let matching = modifier.and_then(|modifier| modifier.matching.as_ref());
    let of = |points: &[Point]| -> BTreeSet<Labels> {
        points.iter().map(|point| signature(&point.labels, matching)).collect()
    };
    if op == "or" {
        let there = of(&left);
        let added = right.into_iter().filter(|point| !there.contains(&signature(&point.labels, matching)));
        return left.into_iter().chain(added).collect();
    }
    let there = of(&right);
    let wanted = op == "and";
    left.into_iter().filter(|point| there.contains(&signature(&point.labels, matching)) == wanted).collect()
}

/// An operator between the series of two sides that match.
fn matched(op: &str, left: Vec<Point>, right: Vec<Point>, modifier: Option<&BinModifier>) -> Result<Value, Failure> {
    let matching = modifier.and_then(|modifier| modifier.matching.as_ref());
    let bool = modifier.is_some_and(|modifier| modifier.return_bool);
    if modifier.is_some_and(|modifier| modifier.fill_values.lhs.is_some() || modifier.fill_values.rhs.is_some()) {
        return Err(Failure::unsupported("fill"));
    }
    // The side that may have several series for one of the other is `many`.
    let (swapped, grouped, include) = match modifier.map(|modifier| &modifier.card) {
        Some(VectorMatchCardinality::OneToMany(include)) => (true, true, include.labels.clone()),
        Some(VectorMatchCardinality::ManyToOne(include)) => (false, true, include.labels.clone()),
        Some(VectorMatchCardinality::OneToOne | VectorMatchCardinality::ManyToMany) | None => {
            (false, false, Vec::new())
        }
    };
    let (many, one) = if swapped { (right, left) } else { (left, right) };
    let mut ones: BTreeMap<Labels, Point> = BTreeMap::new();
    for point in one {
        let key = signature(&point.labels, matching);
        if ones.insert(key.clone(), point).is_some() {
            return Err(many_to_many(if swapped { "left" } else { "right" }, &key));
        }
    }
    let mut seen = BTreeSet::new();
    let mut results = Vec::new();
    for point in many {
        let key = signature(&point.labels, matching);
        let Some(other) = ones.get(&key) else { continue };
        let (lhs, rhs) = if swapped { (other.value, point.value) } else { (point.value, other.value) };
        let Some(value) = outcome(op, lhs, rhs, if swapped { rhs } else { lhs }, bool)? else { continue };
        let mut labels = point.labels.clone();
        if bool || !is_comparison(op) {
            labels.remove(NAME);
        }
        if grouped {
            for name in &include {
                match other.labels.get(name) {
                    Some(value) => labels.insert(name.clone(), value.clone()),
                    None => labels.remove(name),
                };
            }
            if !seen.insert(labels.clone()) {
                return Err(Failure(
                    "multiple matches for labels: grouping labels must ensure unique matches".to_owned(),
                ));
            }
        } else {
            match matching {
                Some(LabelModifier::Include(on)) => labels.retain(|name, _| on.labels.contains(name)),
                Some(LabelModifier::Exclude(ignored)) => labels.retain(|name, _| !ignored.labels.contains(name)),
                None => {}
            }
            if !seen.insert(key) {
                return Err(Failure(
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
                        .to_owned(),
                ));
            }
        }
        results.push(Point { labels, value });
    }
    Ok(Value::Vector(results))
}
