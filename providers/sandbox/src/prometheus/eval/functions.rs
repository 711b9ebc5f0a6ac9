//! Functions.

use std::collections::BTreeMap;

use promql_parser::label::MatchOp;
use promql_parser::parser::{Call, Expr};
use regex::Regex;

use super::quantile::bucket_quantile;
use super::rate::{Change, change};
use super::{Evaluation, Failure, Point, Stretch, Value, bare, distinct, milliseconds, without_name};
use crate::prometheus::series::{Labels, NAME};

impl Evaluation<'_, '_> {
    pub(super) fn call(&mut self, call: &Call) -> Result<Value, Failure> {
        let arguments: Vec<&Expr> = call.args.args.iter().map(Box::as_ref).collect();
        match (call.func.name, arguments.as_slice()) {
            ("rate", [range]) => self.changes(Change::Rate, range),
            ("increase", [range]) => self.changes(Change::Increase, range),
            ("delta", [range]) => self.changes(Change::Delta, range),
            ("irate", [range]) => self.changes(Change::InstantRate, range),
            ("idelta", [range]) => self.changes(Change::InstantDelta, range),
            ("sum_over_time", [range]) => self.over_time(range, |values| values.iter().sum()),
            ("avg_over_time", [range]) => {
                self.over_time(range, |values| values.iter().sum::<f64>() / values.len() as f64)
            }
            ("min_over_time", [range]) => {
                self.over_time(range, |values| values.iter().copied().fold(f64::NAN, f64::min))
            }
            ("max_over_time", [range]) => {
                self.over_time(range, |values| values.iter().copied().fold(f64::NAN, f64::max))
            }
            ("count_over_time", [range]) => self.over_time(range, |values| values.len() as f64),
            ("histogram_quantile", [q, buckets]) => {
                let q = self.value(q)?.scalar()?;
                let buckets = self.value(buckets)?.vector()?;
                histogram_quantile(q, buckets)
            }
            ("label_replace", [vector, rest @ ..]) => {
                let points = self.value(vector)?.vector()?;
                let mut texts = Vec::new();
                for text in rest {
                    texts.push(self.text(text)?);
                }
                label_replace(points, &texts)
            }
            ("timestamp", [vector]) => self.timestamp(vector),
            ("time", []) => Ok(Value::Scalar(self.now as f64 / 1000.0)),
            ("vector", [scalar]) => {
                let value = self.value(scalar)?.scalar()?;
                Ok(Value::Vector(vec![Point { labels: Labels::new(), value }]))
            }
            ("scalar", [vector]) => {
                let points = self.value(vector)?.vector()?;
                let [only] = points.as_slice() else { return Ok(Value::Scalar(f64::NAN)) };
                Ok(Value::Scalar(only.value))
            }
            ("absent", [vector]) => self.absent(vector),
            ("abs", [vector]) => self.each(vector, f64::abs),
            ("ceil", [vector]) => self.each(vector, f64::ceil),
            ("floor", [vector]) => self.each(vector, f64::floor),
            ("sqrt", [vector]) => self.each(vector, f64::sqrt),
            ("exp", [vector]) => self.each(vector, f64::exp),
            ("ln", [vector]) => self.each(vector, f64::ln),
            ("clamp_min", [vector, least]) => {
                let least = self.value(least)?.scalar()?;
                self.each(vector, |value| larger(value, least))
            }
            ("clamp_max", [vector, most]) => {
                let most = self.value(most)?.scalar()?;
                self.each(vector, |value| smaller(value, most))
            }
            ("clamp", [vector, least, most]) => {
                let (least, most) = (self.value(least)?.scalar()?, self.value(most)?.scalar()?);
                if least > most {
                    return Ok(Value::Vector(Vec::new()));
                }
                self.each(vector, |value| larger(smaller(value, most), least))
            }
            ("round", [vector, to @ ..]) => {
                let to = match to {
                    [to] => self.value(to)?.scalar()?,
                    _ => 1.0,
                };
                // Halves go up.
                let inverse = 1.0 / to;
                self.each(vector, |value| (value * inverse + 0.5).floor() / inverse)
            }
            (name, _) => Err(Failure(format!("unknown function with name {name:?}: the sandbox does not have it"))),
        }
    }

    fn text(&mut self, expr: &Expr) -> Result<String, Failure> {
        match self.value(expr)? {
            Value::Text(text) => Ok(text),
            Value::Scalar(_) | Value::Vector(_) | Value::Matrix(_) => Err(Failure("expected a string".to_owned())),
        }
    }

    fn each(&mut self, vector: &Expr, function: impl Fn(f64) -> f64) -> Result<Value, Failure> {
        let points = self.value(vector)?.vector()?;
        let one = |point: Point| Point { labels: without_name(point.labels), value: function(point.value) };
        distinct(points.into_iter().map(one).collect())
    }

    /// The stretches of a range selector, and the first and last moment of its range.
    fn range(&mut self, expr: &Expr) -> Result<(Vec<Stretch>, i64, i64), Failure> {
        // Only a selector or a subquery is a range.
        let Expr::MatrixSelector(matrix) = bare(expr) else {
            return Err(Failure::unsupported("a subquery"));
        };
        let range = milliseconds(matrix.range);
        let (stretches, end) = self.stretches(&matrix.vs, range)?;
        Ok((stretches, end.saturating_sub(range), end))
    }

    fn changes(&mut self, what: Change, expr: &Expr) -> Result<Value, Failure> {
        let (stretches, start, end) = self.range(expr)?;
        let points = stretches.into_iter().filter_map(|Stretch { labels, samples }| {
            let value = change(what, &samples, start, end)?;
            Some(Point { labels: without_name(labels), value })
        });
        distinct(points.collect())
    }

    fn over_time(&mut self, expr: &Expr, function: impl Fn(&[f64]) -> f64) -> Result<Value, Failure> {
        let (stretches, _, _) = self.range(expr)?;
        let points = stretches.into_iter().map(|Stretch { labels, samples }| {
            let values: Vec<f64> = samples.into_iter().map(|(_, value)| value).collect();
            Point { labels: without_name(labels), value: function(&values) }
        });
        distinct(points.collect())
    }

    /// When a selector's samples were taken; of anything else, now.
    fn timestamp(&mut self, expr: &Expr) -> Result<Value, Failure> {
        let points: Vec<(Point, i64)> = if let Expr::VectorSelector(selector) = bare(expr) {
            self.newest(selector)?
        } else {
            let now = self.now;
            self.value(expr)?.vector()?.into_iter().map(|point| (point, now)).collect()
        };
        let one = |(point, at): (Point, i64)| Point { labels: without_name(point.labels), value: at as f64 / 1000.0 };
        distinct(points.into_iter().map(one).collect())
    }

    /// 1 where there is nothing, with the labels that the selector's equalities name once.
    fn absent(&mut self, expr: &Expr) -> Result<Value, Failure> {
        if !self.value(expr)?.vector()?.is_empty() {
            return Ok(Value::Vector(Vec::new()));
        }
        let mut labels = Labels::new();
        if let Expr::VectorSelector(selector) = bare(expr) {
            let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
            for matcher in &selector.matchers.matchers {
                *uses.entry(&matcher.name).or_default() += 1;
            }
            for matcher in &selector.matchers.matchers {
                let once = uses.get(matcher.name.as_str()) == Some(&1);
                if once && matcher.name != NAME && matches!(matcher.op, MatchOp::Equal) {
                    labels.insert(matcher.name.clone(), matcher.value.clone());
                }
            }
        }
        Ok(Value::Vector(vec![Point { labels, value: 1.0 }]))
    }
}

/// As Go's `math.Max`: what is not a number stays so.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// As Go's `math.Min`.
fn smaller(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

fn histogram_quantile(q: f64, points: Vec<Point>) -> Result<Value, Failure> {
    let mut histograms: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    for Point { labels, value } in points {
        let mut labels = without_name(labels);
        let Some(bound) = labels.remove("le").and_then(|le| le.parse::<f64>().ok()) else { continue };
        histograms.entry(labels).or_default().push((bound, value));
    }
    let one = |(labels, buckets)| Point { labels, value: bucket_quantile(q, buckets) };
    Ok(Value::Vector(histograms.into_iter().map(one).collect()))
}

fn label_replace(points: Vec<Point>, texts: &[String]) -> Result<Value, Failure> {
    let [destination, replacement, source, pattern] = texts else {
        return Err(Failure("label_replace needs four strings".to_owned()));
    };
    let regex = Regex::new(&format!("^(?:{pattern})$"))
        .map_err(|_| Failure(format!("invalid regular expression in label_replace(): {pattern}")))?;
    let mut bytes = destination.bytes();
    let named = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !named {
        return Err(Failure(format!("invalid destination label name in label_replace(): {destination}")));
    }
    let replaced = points.into_iter().map(|Point { mut labels, value }| {
        let text = labels.get(source).map_or("", String::as_str);
        if let Some(captures) = regex.captures(text) {
            let mut expanded = String::new();
            captures.expand(replacement, &mut expanded);
            if expanded.is_empty() {
                labels.remove(destination);
            } else {
                labels.insert(destination.clone(), expanded);
            }
        }
        Point { labels, value }
    });
    distinct(replaced.collect())
}
