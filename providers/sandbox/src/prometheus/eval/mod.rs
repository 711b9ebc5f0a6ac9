//! What a query's answer is at one moment, by the rules of Prometheus 2.42.

mod aggregate;
mod binary;
mod functions;
mod quantile;
mod rate;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use promql_parser::parser::value::ValueType;
use promql_parser::parser::{AtModifier, Expr, Offset, VectorSelector};

use super::series::{Labels, NAME, Series, Store};

/// How old the newest sample may be for a series to have a value, in milliseconds.
const LOOKBACK: i64 = 300_000;

/// One series' value at one moment.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) labels: Labels,
    pub(super) value: f64,
}

/// One series' samples in a stretch of time.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    pub(super) labels: Labels,
    pub(super) samples: Vec<(i64, f64)>,
}

/// What an expression is worth at one moment.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Scalar(f64),
    Text(String),
    Vector(Vec<Point>),
    Matrix(Vec<Stretch>),
}

/// Why an expression is worth nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure(pub(super) String);

/// A query's evaluation.
#[derive(Debug)]
pub(super) struct Evaluation<'s, 'w> {
    pub(super) store: &'s mut Store<'w>,
    /// The moment, in milliseconds since 1970.
    pub(super) now: i64,
    /// The first and the last moment of the whole query: what `@ start()` and `@ end()` mean.
    pub(super) ends: (i64, i64),
}

impl Failure {
    /// For what Prometheus can do and the sandbox cannot.
    pub(super) fn unsupported(what: &str) -> Self {
        Self(format!("{what} is not supported by the sandbox"))
    }
}

impl Value {
    pub(super) fn vector(self) -> Result<Vec<Point>, Failure> {
        match self {
            Self::Vector(points) => Ok(points),
            Self::Scalar(_) | Self::Text(_) | Self::Matrix(_) => Err(Failure("expected an instant vector".to_owned())),
        }
    }

    pub(super) fn scalar(self) -> Result<f64, Failure> {
        match self {
            Self::Scalar(value) => Ok(value),
            Self::Vector(_) | Self::Text(_) | Self::Matrix(_) => Err(Failure("expected a scalar".to_owned())),
        }
    }
}

/// Fails when two series have the same labels.
pub(super) fn distinct(points: Vec<Point>) -> Result<Value, Failure> {
    let mut seen = std::collections::BTreeSet::new();
    if points.iter().all(|point| seen.insert(&point.labels)) {
        Ok(Value::Vector(points))
    } else {
        Err(Failure("vector cannot contain metrics with the same labelset".to_owned()))
    }
}

pub(super) fn without_name(mut labels: Labels) -> Labels {
    labels.remove(NAME);
    labels
}

/// The expression inside of any parentheses.
fn bare(expr: &Expr) -> &Expr {
    if let Expr::Paren(inner) = expr { bare(&inner.expr) } else { expr }
}

pub(super) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
}

impl Evaluation<'_, '_> {
    pub(super) fn value(&mut self, expr: &Expr) -> Result<Value, Failure> {
        match expr {
            Expr::Aggregate(aggregate) => self.aggregate(aggregate),
            Expr::Unary(unary) => match self.value(&unary.expr)? {
                Value::Scalar(value) => Ok(Value::Scalar(-value)),
                Value::Vector(points) => {
                    let negative = |point: Point| Point { labels: without_name(point.labels), value: -point.value };
                    distinct(points.into_iter().map(negative).collect())
                }
                Value::Text(_) | Value::Matrix(_) => Err(Failure("expected a number".to_owned())),
            },
            Expr::Binary(binary) => self.binary(binary),
            Expr::Paren(inner) => self.value(&inner.expr),
            Expr::Subquery(_) => Err(Failure::unsupported("a subquery")),
            Expr::NumberLiteral(number) => Ok(Value::Scalar(number.val)),
            Expr::StringLiteral(text) => Ok(Value::Text(text.val.clone())),
            Expr::VectorSelector(selector) => {
                let newest = self.newest(selector)?;
                Ok(Value::Vector(newest.into_iter().map(|(point, _)| point).collect()))
            }
            Expr::MatrixSelector(matrix) => {
                Ok(Value::Matrix(self.stretches(&matrix.vs, milliseconds(matrix.range))?.0))
            }
            Expr::Call(call) => self.call(call),
            Expr::Extension(_) => Err(Failure::unsupported("an extension")),
        }
    }

    /// The series that a selector selects.
    pub(super) fn selected(&self, selector: &VectorSelector) -> Vec<Series> {
        self.store.series.iter().filter(|series| matches(selector, &series.labels)).cloned().collect()
    }

    /// The newest sample of each selected series, and when it was taken.
    pub(super) fn newest(&mut self, selector: &VectorSelector) -> Result<Vec<(Point, i64)>, Failure> {
        let at = self.moment(selector)?;
        let mut found = Vec::new();
        for series in self.selected(selector) {
            if let Some((taken, value)) = self.store.newest(&series, at.saturating_sub(LOOKBACK), at) {
                found.push((Point { labels: series.labels, value }, taken));
            }
        }
        Ok(found)
    }

    /// The samples of each selected series in the `range` before the selector's moment, and that moment.
    pub(super) fn stretches(&mut self, selector: &VectorSelector, range: i64) -> Result<(Vec<Stretch>, i64), Failure> {
        let at = self.moment(selector)?;
        let mut found = Vec::new();
        for series in self.selected(selector) {
            let samples = self.store.samples(&series, at.saturating_sub(range), at);
            if !samples.is_empty() {
                found.push(Stretch { labels: series.labels, samples });
            }
        }
        Ok((found, at))
    }

    /// The moment that a selector is about.
    fn moment(&self, selector: &VectorSelector) -> Result<i64, Failure> {
        let at = match &selector.at {
            None => self.now,
            Some(AtModifier::Start) => self.ends.0,
            Some(AtModifier::End) => self.ends.1,
            Some(AtModifier::At(time)) => since_1970(*time),
        };
        Ok(match &selector.offset {
            None => at,
            Some(Offset::Pos(by)) => at.saturating_sub(milliseconds(*by)),
            Some(Offset::Neg(by)) => at.saturating_add(milliseconds(*by)),
        })
    }
}

fn since_1970(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => milliseconds(after),
        Err(before) => -milliseconds(before.duration()),
    }
}

/// Whether a selector selects the series with these labels.
pub(super) fn matches(selector: &VectorSelector, labels: &Labels) -> bool {
    let value = |name: &str| labels.get(name).map_or("", String::as_str);
    let all = |matchers: &[promql_parser::label::Matcher]| {
        matchers.iter().all(|matcher| matcher.is_match(value(&matcher.name)))
    };
    let of_name = selector.name.as_deref().is_none_or(|name| value(NAME) == name);
    let or = &selector.matchers.or_matchers;
    of_name && all(&selector.matchers.matchers) && (or.is_empty() || or.iter().any(|matchers| all(matchers)))
}

/// Whether a query over a range of time can be answered for each moment of it.
pub(super) fn is_instant(expr: &Expr) -> bool {
    matches!(expr.value_type(), ValueType::Scalar | ValueType::Vector)
}
