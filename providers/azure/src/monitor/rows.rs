//! What Log Analytics answers about the traffic log: a row for each bin of time and deployment. JSON types stop here.

use std::collections::BTreeMap;

use mlroll_backend::{Error, Histogram, Result, RevisionId, Sample, Timestamp, Why, Window};
use serde::Deserialize;
use serde_json::Value;

use super::traffic_log::Counted;
use crate::error::{Detail, printable, unexpected};

/// The rows of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rows {
    /// By deployment in lower case and the second at which their bin begins.
    cells: BTreeMap<(String, i64), Cell>,
    /// What requests were counted above, in seconds, rising.
    bounds: Vec<f64>,
    /// Why they do not count.
    warning: Option<String>,
}

/// Requests of a bin to a deployment.
#[derive(Clone, Debug, Default, PartialEq)]
struct Cell {
    /// Those that were answered, in any way.
    requests: u64,
    failed: u64,
    /// Those that were turned away besides.
    throttled: u64,
    /// Those whose response code is not known.
    uncoded: u64,
    /// Those that nobody knows the duration of.
    untimed: u64,
    /// How many took longer than each bound.
    above: Vec<u64>,
}

#[derive(Deserialize)]
struct AnswerShown {
    #[serde(default)]
    tables: Vec<TableShown>,
    /// Beside tables: what of the query failed.
    error: Option<Detail>,
}

#[derive(Deserialize)]
struct TableShown {
    name: String,
    columns: Vec<ColumnShown>,
    rows: Vec<Vec<Value>>,
}

#[derive(Deserialize)]
struct ColumnShown {
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

/// The columns of a row by the place that they have in this answer.
struct Columns<'t>(&'t [ColumnShown], &'static str);

impl Columns<'_> {
    fn find(&self, name: &str, kind: &str) -> Result<usize> {
        let place = self.0.iter().position(|column| column.name == name && column.kind == kind);
        place.ok_or_else(|| unexpected(self.1, format!("it has no column `{name}` of type {kind}")))
    }
}

impl Rows {
    /// Reads an answer to a question with these bounds, in milliseconds. One without any row knows of no requests, or of no
    /// log: `hint` says what to do about the latter.
    pub(super) fn parse(
        operation: &'static str,
        body: &[u8],
        bounds: &[f64],
        hint: impl FnOnce() -> String,
    ) -> Result<Self> {
        let seconds = bounds.iter().map(|bound| bound / 1000.0).collect();
        let nothing = || format!("the traffic log has no row of anybody in this time; {}", hint());
        // 204: a workspace without any data.
        if body.is_empty() {
            return Ok(Self { bounds: seconds, warning: Some(nothing()), ..Self::default() });
        }
        let shown: AnswerShown =
            serde_json::from_slice(body).map_err(|_| unexpected(operation, "it is no table of a query"))?;
        if let Some(error) = shown.error {
            let (code, said) = (error.code().unwrap_or_default(), error.said().unwrap_or_default());
            let warning = printable(&format!("{code} {said}"), 300);
            return Ok(Self { bounds: seconds, warning: Some(warning), ..Self::default() });
        }
        let mut tables = shown.tables.into_iter().filter(|table| table.name == "PrimaryResult");
        let (Some(table), None) = (tables.next(), tables.next()) else {
            return Err(unexpected(operation, "it has no table of results, or more than one"));
        };
        let mut cells = BTreeMap::new();
        for (key, cell) in read(operation, &table, bounds.len())? {
            if cells.insert(key, cell).is_some() {
                return Err(unexpected(operation, "it has two rows of one time and deployment"));
            }
        }
        let warning = cells.is_empty().then(nothing);
        Ok(Self { cells, bounds: seconds, warning })
    }

    /// What it says of a revision in a window.
    pub(super) fn read(&self, counted: Counted, revision: &RevisionId, window: Window) -> Sample {
        self.find(revision, window).and_then(|cell| cell.sample(counted, &self.bounds)).unwrap_or_else(Sample::NoData)
    }

    /// The requests to a revision in a window, of which there is one at least, be it one that was turned away.
    fn find(&self, revision: &RevisionId, window: Window) -> Result<Cell, Why> {
        if let Some(warning) = &self.warning {
            return Err(Why::Partial { warning: warning.clone() });
        }
        let name = revision.as_str().to_ascii_lowercase();
        let (from, until) = (window.start().unix_seconds(), window.end().unix_seconds());
        let mut sum = Cell { above: vec![0; self.bounds.len()], ..Cell::default() };
        for (_, cell) in self.cells.range((name.clone(), from)..(name, until)) {
            sum.add(cell);
        }
        if sum.requests.saturating_add(sum.throttled) == 0 { Err(Why::Empty) } else { Ok(sum) }
    }
}

/// The rows of a table, each with its deployment and time.
fn read(operation: &'static str, table: &TableShown, bounds: usize) -> Result<Vec<((String, i64), Cell)>> {
    let columns = Columns(&table.columns, operation);
    let (start, deployment) = (columns.find("Start", "datetime")?, columns.find("Deployment", "string")?);
    let count = |name: &str| columns.find(name, "long");
    let (requests, failed, throttled) = (count("Requests")?, count("Failed")?, count("Throttled")?);
    let (uncoded, untimed) = (count("NoCode")?, count("NoDuration")?);
    let above = (0..bounds).map(|n| count(&format!("Above{n}"))).collect::<Result<Vec<_>>>()?;
    let mut rows = Vec::with_capacity(table.rows.len());
    for row in &table.rows {
        let odd = |what: &str| unexpected(operation, format!("a row has {what}"));
        let text = |place: usize| row.get(place).and_then(Value::as_str).ok_or_else(|| odd("no text in place of one"));
        let number = |place: usize| -> Result<u64, Error> {
            row.get(place).and_then(Value::as_u64).ok_or_else(|| odd("no whole number in place of a count"))
        };
        let begins: Timestamp = text(start)?.parse().map_err(|_| odd("a time that is none"))?;
        let cell = Cell {
            requests: number(requests)?,
            failed: number(failed)?,
            throttled: number(throttled)?,
            uncoded: number(uncoded)?,
            untimed: number(untimed)?,
            above: above.iter().map(|place| number(*place)).collect::<Result<_>>()?,
        };
        rows.push(((text(deployment)?.to_ascii_lowercase(), begins.unix_seconds()), cell));
    }
    Ok(rows)
}

impl Cell {
    fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.failed = self.failed.saturating_add(other.failed);
        self.throttled = self.throttled.saturating_add(other.throttled);
        self.uncoded = self.uncoded.saturating_add(other.uncoded);
        self.untimed = self.untimed.saturating_add(other.untimed);
        for (mine, theirs) in self.above.iter_mut().zip(&other.above) {
            *mine = mine.saturating_add(*theirs);
        }
    }

    fn sample(&self, counted: Counted, bounds: &[f64]) -> Result<Sample, Why> {
        let odd = |found: String| Why::Inconsistent { found };
        let requests = self.requests as f64;
        match counted {
            Counted::Requests => Ok(Sample::value(requests)),
            // One that nobody knows the end of is no success.
            Counted::Failures if self.uncoded > 0 => {
                Err(odd(format!("{} of {requests} requests have no response code", self.uncoded)))
            }
            Counted::Failures if self.failed > self.requests => {
                Err(odd(format!("{} failed requests of {requests}", self.failed)))
            }
            Counted::Failures => {
                Ok(Sample::counts(requests, self.failed as f64).beside_throttled(self.throttled as f64))
            }
            Counted::Latencies if self.untimed > 0 => {
                Err(odd(format!("{} of {requests} requests have no duration", self.untimed)))
            }
            Counted::Latencies if self.requests == 0 => Err(Why::Empty),
            Counted::Latencies => {
                let mut slower = self.requests;
                let mut buckets = vec![(f64::INFINITY, requests)];
                for (bound, above) in bounds.iter().zip(&self.above) {
                    if *above > slower {
                        return Err(odd(format!("{above} requests above {bound} s, of {slower}")));
                    }
                    slower = *above;
                    buckets.push((*bound, (self.requests - above) as f64));
                }
                Histogram::new(buckets).map(Sample::Histogram).map_err(|e| odd(e.to_string()))
            }
        }
    }
}
