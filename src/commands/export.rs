//! Exports that gates are tried on: a window in each row, as CSV or JSON.

use std::path::Path;
use std::time::Duration;

use mlroll_backend::{Histogram, Sample, Timestamp, Why};
use serde_json::Value;

use super::past::{Lived, MOST_WINDOWS};
use super::power::Meant;
use crate::failure::Failure;
use crate::judge::counts::Counts;
use crate::judge::gate::Gate;
use crate::output::Printer;

/// Requests that a window has at most: beyond it they are not divided request by request in any time.
const MOST_REQUESTS: f64 = 1e9;

/// What a row has instead of its place in the order of time.
const TIMES: [&str; 2] = ["time", "timestamp"];

/// A row of an export.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    /// When its window begins, where the export says so: Unix milliseconds.
    at: Option<i64>,
    sample: Sample,
}

/// An export: the same windows, `look` long, for every gate that is meant. Rows with times may be in any order and have gaps.
///
/// # Errors
/// It cannot be read, is not what an export is, or says nothing of one gate alone.
pub(super) fn read_file(file: &Path, meant: &Meant, look: Duration, printer: Printer) -> Result<Vec<Lived>, Failure> {
    let shown = file.display();
    let read =
        if file == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(file) };
    let text = read.map_err(|e| Failure::usage(format!("{shown} cannot be read: {e}")))?;
    if let [_, _, ..] = meant.gates.as_slice() {
        return Err(Failure::usage("an export is about one metric: which gate?").hint("name it: `--gate NAME`"));
    }
    let text = text.trim_start_matches('\u{feff}');
    let rows = if text.trim_start().starts_with('[') { from_json(text) } else { from_csv(text) };
    let (samples, apart) = rows.and_then(in_order).map_err(|e| Failure::usage(format!("{shown}: {e}")))?;
    if let Some(apart) = apart.filter(|apart| *apart != look) {
        let (apart, look) = (humantime::format_duration(apart), humantime::format_duration(look));
        printer
            .warn(&format!("{shown}: its windows are {apart} apart, and each is taken for a look, which has {look}"));
    }
    let lived = |(gate, alpha): &(Gate, f64)| Lived { gate: gate.clone(), alpha: *alpha, samples: samples.clone() };
    Ok(meant.gates.iter().map(lived).collect())
}

/// The windows in the order of time, and how far they are apart where the rows say so. Where a row is missing there is no data.
fn in_order(mut rows: Vec<(String, Row)>) -> Result<(Vec<Sample>, Option<Duration>), String> {
    if rows.iter().all(|(_, row)| row.at.is_none()) {
        return Ok((rows.into_iter().map(|(_, row)| row.sample).collect(), None));
    }
    if let Some((place, _)) = rows.iter().find(|(_, row)| row.at.is_none()) {
        return Err(format!("{place}: no time, and other rows have one"));
    }
    rows.sort_by_key(|(_, row)| row.at);
    let times: Vec<i64> = rows.iter().filter_map(|(_, row)| row.at).collect();
    let gaps = || times.iter().zip(times.iter().skip(1)).map(|(one, next)| next - one);
    if let Some(at) = gaps().position(|gap| gap == 0) {
        let places = rows.iter().skip(at).take(2).map(|(place, _)| place.as_str()).collect::<Vec<_>>();
        return Err(format!("{} have the same time", places.join(" and ")));
    }
    let Some(apart) = gaps().min() else {
        return Ok((rows.into_iter().map(|(_, row)| row.sample).collect(), None));
    };
    let mut samples: Vec<Sample> = Vec::with_capacity(rows.len());
    for (gap, (place, row)) in std::iter::once(apart).chain(gaps()).zip(rows) {
        if gap % apart != 0 {
            return Err(format!(
                "{place}: its time is no whole number of windows of {apart} ms after the row before it"
            ));
        }
        let missing = usize::try_from(gap / apart - 1).unwrap_or(usize::MAX);
        if samples.len().saturating_add(missing) > MOST_WINDOWS {
            return Err(format!("{place}: more than {MOST_WINDOWS} windows, those without a row among them"));
        }
        samples.extend(std::iter::repeat_n(Sample::NoData(Why::Empty), missing));
        samples.push(row.sample);
    }
    Ok((samples, u64::try_from(apart).ok().map(Duration::from_millis)))
}

/// A time: RFC 3339, the same with a space and without a zone (UTC), or a number of seconds since 1970, or of milliseconds.
fn time(text: &str) -> Result<i64, String> {
    let number = |seconds: f64| if seconds.abs() < 1e11 { seconds * 1000.0 } else { seconds };
    if let Ok(seconds) = text.parse::<f64>()
        && seconds.is_finite()
        && seconds.abs() < 1e15
    {
        return Ok(number(seconds).round() as i64);
    }
    let bare = text.trim().replacen(' ', "T", 1);
    let read = [bare.clone(), format!("{bare}Z")].iter().find_map(|text| text.parse::<Timestamp>().ok());
    let odd = || format!("`{}` is no time: such as 2026-11-21T03:00:00Z, or seconds since 1970", text.escape_debug());
    read.map(Timestamp::unix_milliseconds).ok_or_else(odd)
}

fn counted(requests: f64, events: f64) -> Result<Sample, String> {
    if requests > MOST_REQUESTS {
        return Err(format!("requests: {requests} in a window; allowed are {MOST_REQUESTS}"));
    }
    Counts::new(requests, events).map_err(|e| e.to_string())?;
    Ok(Sample::counts(requests, events))
}

fn from_json(text: &str) -> Result<Vec<(String, Row)>, String> {
    let rows: Vec<Value> = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let window = |row: Value| -> Result<Row, String> {
        let mut fields = match row {
            Value::Null => return Ok(Row { at: None, sample: Sample::NoData(Why::Empty) }),
            Value::Number(value) => {
                return Ok(Row { at: None, sample: Sample::value(value.as_f64().unwrap_or(f64::NAN)) });
            }
            Value::Object(fields) => fields,
            Value::Array(_) | Value::Bool(_) | Value::String(_) => return Err(KINDS.to_owned()),
        };
        let at = TIMES.iter().find_map(|name| fields.remove(*name));
        let at = at.map(|at| time(at.as_str().unwrap_or(&at.to_string()))).transpose()?;
        let number = |name: &str| {
            fields.get(name).and_then(Value::as_f64).ok_or_else(|| format!("`{name}` is missing, or no number"))
        };
        let mut names: Vec<&str> = fields.keys().map(String::as_str).collect();
        names.sort_unstable();
        let sample = match names.as_slice() {
            [] if at.is_some() => Sample::NoData(Why::Empty),
            ["buckets"] => {
                let read = serde_json::from_value::<Histogram>(fields.get("buckets").cloned().unwrap_or_default());
                Sample::Histogram(read.map_err(|e| format!("buckets: {e}"))?)
            }
            ["value"] if at.is_some() => Sample::value(number("value")?),
            names if names.iter().all(|name| ["requests", "events"].contains(name)) => {
                counted(number("requests")?, number("events")?)?
            }
            _ => return Err(KINDS.to_owned()),
        };
        Ok(Row { at, sample })
    };
    let read = |(at, row): (usize, Value)| {
        let place = format!("[{at}]");
        window(row).map(|row| (place.clone(), row)).map_err(|e| format!("{place}: {e}"))
    };
    rows.into_iter().enumerate().map(read).collect()
}

/// What a row of JSON may be.
const KINDS: &str = "a window is {\"requests\", \"events\"}, a number, {\"buckets\"} or null; with {\"time\"} besides, {\"time\", \"value\"} in place of a number";

fn from_csv(text: &str) -> Result<Vec<(String, Row)>, String> {
    let head = text.lines().find(|line| !line.trim().is_empty()).ok_or("the file is empty")?;
    // As spreadsheets write it where a comma is in numbers.
    let delimiter = [b',', b';', b'\t'].into_iter().find(|d| head.as_bytes().contains(d)).unwrap_or(b',');
    let mut reader = csv::ReaderBuilder::new();
    reader.delimiter(delimiter).trim(csv::Trim::All).flexible(true);
    let mut reader = reader.from_reader(text.as_bytes());
    let names = reader.headers().map_err(|e| e.to_string())?.clone();
    let place = |name: &str| names.iter().position(|found| found.eq_ignore_ascii_case(name));
    let column = |name: &str| {
        let there_are = names.iter().collect::<Vec<_>>().join(", ");
        place(name)
            .map(|at| (at, name.to_owned()))
            .ok_or_else(|| format!("line 1: no column `{name}`; there are: {there_are}"))
    };
    let columns = match place("value") {
        Some(at) => vec![(at, "value".to_owned())],
        None => vec![column("requests")?, column("events")?],
    };
    let times = TIMES.iter().find_map(|name| place(name));
    let mut rows = Vec::new();
    let (mut at, mut line) = (0, 1);
    for record in reader.records() {
        let record = record.map_err(|e| e.to_string())?;
        // The library counts blank lines before a record as its own.
        let from = record.position().and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or(at);
        let blank = text.get(from..).map_or(0, |rest| rest.len() - rest.trim_start_matches(['\r', '\n']).len());
        line += text.get(at..from + blank).map_or(0, |passed| passed.matches('\n').count());
        at = from + blank;
        let line = format!("line {line}");
        let row = || -> Result<Row, String> {
            // One that was cut off, or in which a comma that is no separator stands unquoted.
            if record.len() > names.len() {
                return Err(format!("{} cells, and the head has {}", record.len(), names.len()));
            }
            let cell = |(column, name): &(usize, String)| -> Result<Option<f64>, String> {
                match record.get(*column) {
                    None | Some("") => Ok(None),
                    Some(text) => {
                        text.parse().map(Some).map_err(|_| format!("{name}: `{}` is no number", text.escape_debug()))
                    }
                }
            };
            let read = columns.iter().map(cell).collect::<Result<Vec<_>, _>>()?;
            let at = times.map(|at| time(record.get(at).unwrap_or_default())).transpose()?;
            let sample = match read.as_slice() {
                [Some(value)] => Sample::value(*value),
                [Some(requests), Some(events)] => counted(*requests, *events)?,
                _ => Sample::NoData(Why::Empty),
            };
            Ok(Row { at, sample })
        };
        rows.push((line.clone(), row().map_err(|e| format!("{line}: {e}"))?));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(text: &str) -> Result<Vec<Sample>, String> {
        Ok(from_csv(text).and_then(in_order)?.0)
    }

    fn json(text: &str) -> Result<Vec<Sample>, String> {
        Ok(from_json(text).and_then(in_order)?.0)
    }

    #[test]
    fn exports_are_read_with_the_place_of_every_mistake() {
        let two = vec![Sample::counts(100.0, 2.0), Sample::NoData(Why::Empty)];
        assert_eq!(csv("time,requests,events\n1,100,2\n2,,\n"), Ok(two.clone()));
        assert_eq!(csv("requests;events\r\n100;2\r\n;\r\n"), Ok(two.clone()));
        assert_eq!(json(r#"[{"requests": 100, "events": 2}, null]"#), Ok(two));
        for (text, place) in [
            ("", "empty"),
            ("time,requests\n", "no column `events`"),
            ("requests,events\n1,x\n", "line 2: events"),
            ("requests,events\n\n1,2\n", "line 3: events must not exceed"),
            ("requests,events\n1e10,2\n", "line 2: requests: 10000000000 in a window"),
            ("when,requests,events\nJan 1, 2026,600,6\n", "line 2: 4 cells, and the head has 3"),
            ("time,requests,events\n\"Jan 1, 2026\",600,6\n", "line 2: `Jan 1, 2026` is no time"),
            ("time,requests,events\n0,6,1\n60,6,1\n60,6,1\n", "line 3 and line 4 have the same time"),
            ("time,requests,events\n0,6,1\n60,6,1\n150,6,1\n", "line 4: its time is no whole number of windows"),
            ("time,requests,events\n0,6,1\n1,6,1\n1e9,6,1\n", "line 4: more than 86400 windows"),
        ] {
            assert!(csv(text).unwrap_err().contains(place), "{text}: {:?}", csv(text));
        }
        assert!(json(r#"[{"requests": 1, "events": 2}]"#).unwrap_err().starts_with("[0]: "));
        assert!(json(r#"[{"requests": 1}]"#).is_err());
        let values = vec![Sample::value(1.5), Sample::NoData(Why::Empty)];
        assert_eq!(csv("time,value\n1,1.5\n2,\n"), Ok(values.clone()));
        assert_eq!(json("[1.5, null]"), Ok(values));
        let buckets = json(r#"[{"buckets": [[0.1, 5], ["+Inf", 9]]}]"#).unwrap();
        assert!(matches!(&buckets[..], [Sample::Histogram(had)] if had.buckets().len() == 2), "{buckets:?}");
        for wrong in [r#"[{"buckets": [[0.1, 5]]}]"#, r#"["x"]"#, r#"[{"value": 1}]"#, r#"[{"time": "x", "value": 1}]"#]
        {
            assert!(json(wrong).unwrap_err().starts_with("[0]: "), "{wrong}");
        }
        assert!(json(r#"[{"time": 0, "value": 1}, 2]"#).unwrap_err().starts_with("[1]: no time"));
    }

    /// Whatever the order, and with what is missing between.
    #[test]
    fn rows_with_times_are_put_in_their_order() {
        let there = vec![Sample::value(1.0), Sample::value(2.0), Sample::NoData(Why::Empty), Sample::value(4.0)];
        for text in [
            "time,value\n120,2\n60,1\n240,4\n",
            "timestamp,value\n2026-01-01 00:04:00,4\n2026-01-01 00:01:00,1\n2026-01-01 00:02:00,2\n",
            "Time,value,more\n\"2026-01-01T00:02:00+00:00\",2,\"a, b\"\n2026-01-01T00:01:00Z,1\n2026-01-01T00:04:00Z,4,x\n",
            "time,value\n1790000120000,2\n1790000060000,1\n1790000240000,4\n",
        ] {
            assert_eq!(csv(text), Ok(there.clone()), "{text}");
            let (_, apart) = from_csv(text).and_then(in_order).unwrap();
            assert_eq!(apart, Some(Duration::from_secs(60)), "{text}");
        }
        assert_eq!(
            json(r#"[{"time": 240, "value": 4}, {"time": 60, "value": 1}, {"time": 120, "value": 2}]"#),
            Ok(there)
        );
        let rows =
            r#"[{"time": "2026-01-01T00:02:00Z", "requests": 2, "events": 1}, {"time": "2026-01-01T00:01:00Z"}]"#;
        assert_eq!(json(rows), Ok(vec![Sample::NoData(Why::Empty), Sample::counts(2.0, 1.0)]));
    }
}
