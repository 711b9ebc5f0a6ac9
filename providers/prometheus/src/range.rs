//! Windows, each by a query at its end, or many in a row by one query over a range of time.
//!
//! A range is evaluated at each of its steps as an instant query is at its moment, so the numbers are the same. What a range
//! tells of all steps at once, a failure or a warning, is asked for again in halves: it is about some of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use mlroll_backend::{Error, ErrorKind, Result, Sample, Subject, Window};
use serde::Deserialize;

use crate::error::{printable, unexpected};
use crate::transport::Transport;
use crate::wire::{Question, Series};

/// Fewer windows are asked for one by one.
const FEWEST: usize = 10;

/// A day of minutes. Stores take 11,000 points at most, and an answer shall not take long.
const MOST: usize = 1_440;

/// How many points the store was found to answer in one request; 0 when it answers no ranges.
#[derive(Debug)]
pub(crate) struct Reach(AtomicUsize);

impl Default for Reach {
    fn default() -> Self {
        Self(AtomicUsize::new(MOST))
    }
}

impl Reach {
    /// What a failure over so many points says about the next range.
    fn learn(&self, kind: ErrorKind, points: usize) {
        let most = match kind {
            // Gateways may let nothing but instant queries through.
            ErrorKind::Auth | ErrorKind::NotFound | ErrorKind::Unsupported => 0,
            // About the query, or what it found at one of the steps.
            ErrorKind::Invalid => return,
            ErrorKind::Conflict
            | ErrorKind::Throttled
            | ErrorKind::Unavailable
            | ErrorKind::Unexpected
            | ErrorKind::Withheld => points / 2,
        };
        self.0.fetch_min(most, Ordering::Relaxed);
    }
}

/// The windows in their order, in pieces that one request may answer: of one length, each beginning where the one before ends,
/// or one window alone.
pub(crate) fn runs(windows: &[Window]) -> Vec<&[Window]> {
    let follows = |a: &Window, b: &Window| a.end() == b.start() && a.length() == b.length();
    let in_a_row = windows.chunk_by(follows).flat_map(|run| run.chunks(MOST));
    in_a_row.flat_map(|run| run.chunks(if run.len() < FEWEST { 1 } else { MOST })).collect()
}

/// One answer for each window of a run.
pub(crate) async fn answers(
    transport: &Transport,
    reach: &Reach,
    question: &Question,
    subject: &Subject,
    run: &[Window],
) -> Vec<Result<Sample>> {
    let mut answers = Vec::with_capacity(run.len());
    let mut open = vec![run];
    while let Some(part) = open.pop() {
        let most = reach.0.load(Ordering::Relaxed);
        let failed = if part.len() < FEWEST || most < FEWEST || !question.is_the_same_in_a_range() {
            for window in part {
                answers.push(at_end(transport, question, subject, *window).await);
            }
            continue;
        } else if part.len() > most {
            None
        } else {
            match over(transport, question, subject, part).await {
                Ok(samples) => {
                    answers.extend(samples.into_iter().map(Ok));
                    continue;
                }
                Err(e) => Some(e.kind()),
            }
        };
        if let Some(kind) = failed {
            reach.learn(kind, part.len());
        }
        let (earlier, later) = part.split_at(part.len() / 2);
        open.extend([later, earlier]);
    }
    answers
}

async fn at_end(transport: &Transport, question: &Question, subject: &Subject, window: Window) -> Result<Sample> {
    let text = question.text(&subject.revision, window.length());
    let body = transport.ask(&text, window.end().unix_seconds()).await;
    body.and_then(|body| question.read(&body, window)).map_err(|e| e.with("revision", &subject.revision))
}

async fn over(transport: &Transport, question: &Question, subject: &Subject, run: &[Window]) -> Result<Vec<Sample>> {
    let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(Vec::new()) };
    let text = question.text(&subject.revision, first.length());
    let (start, end) = (first.end().unix_seconds(), last.end().unix_seconds());
    let body = transport.ask_range(&text, start, end, first.length().as_secs()).await?;
    Ok(read(&body, run)?.into_iter().zip(run).map(|(series, window)| question.says(series, *window)).collect())
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    data: Option<Data>,
    warnings: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Vec<Entry>,
}

/// One series of a matrix, as it is sent.
#[derive(Deserialize)]
struct Entry {
    metric: BTreeMap<String, String>,
    values: Option<Vec<(f64, String)>>,
    histograms: Option<serde::de::IgnoredAny>,
}

/// The series of each window's end.
fn read(body: &[u8], run: &[Window]) -> Result<Vec<Vec<Series>>> {
    let Answer { status, data, warnings } =
        serde_json::from_slice(body).map_err(|e| unexpected("the answer is not Prometheus'").caused_by(e))?;
    let Some(data) = data.filter(|data| status == "success" && data.result_type == "matrix") else {
        return Err(unexpected("the answer to a query over a range is no matrix"));
    };
    if let Some(warning) = warnings.unwrap_or_default().first() {
        // Which of the steps it is about is not said.
        return Err(Error::new(ErrorKind::Invalid, "query_range", printable(warning, 300)));
    }
    let place: BTreeMap<i64, usize> =
        run.iter().enumerate().map(|(at, window)| (window.end().unix_seconds(), at)).collect();
    let mut found: Vec<Vec<Series>> = run.iter().map(|_| Vec::new()).collect();
    for Entry { metric, values, histograms } in data.result {
        if histograms.is_some() {
            return Err(Error::new(ErrorKind::Invalid, "query_range", "native histograms are no numbers"));
        }
        for (at, text) in values.unwrap_or_default() {
            let step = if at.fract() == 0.0 { place.get(&(at as i64)) } else { None };
            let series = step.and_then(|step| found.get_mut(*step));
            let series = series.ok_or_else(|| unexpected("the answer has a moment that was not asked for"))?;
            let value = text.parse().map_err(|_| unexpected(format!("`{}` is not a number", printable(&text, 40))))?;
            series.push(Series { labels: metric.clone(), at, value });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mlroll_backend::Timestamp;

    use super::*;

    fn windows(from: i64, count: i64, length: u64) -> Vec<Window> {
        let at = |seconds| Timestamp::from_unix_seconds(seconds).unwrap();
        let until = from + count * i64::try_from(length).unwrap();
        Window::within(at(from), at(until), Duration::from_secs(length)).unwrap().collect()
    }

    #[test]
    fn only_windows_in_a_row_go_together() {
        let lengths = |windows: &[Window]| runs(windows).iter().map(|run| run.len()).collect::<Vec<_>>();
        assert_eq!(lengths(&windows(0, 40, 60)), [40]);
        assert_eq!(lengths(&windows(0, 3_000, 60)), [1_440, 1_440, 120]);
        assert_eq!(lengths(&windows(0, 9, 60)), [1; 9]);
        let apart = [windows(0, 20, 60), windows(3_600, 10, 60), windows(4_200, 2, 300)].concat();
        assert_eq!(lengths(&apart), [20, 10, 1, 1]);
        // Twice the same, and backwards: each alone.
        let one = windows(0, 1, 60);
        assert_eq!(lengths(&one.repeat(12)), [1; 12]);
        let backwards: Vec<Window> = windows(0, 12, 60).into_iter().rev().collect();
        assert_eq!(lengths(&backwards), [1; 12]);
        assert!(runs(&[]).is_empty());
    }

    #[test]
    fn only_whole_matrices_are_read() {
        let run = windows(0, 3, 60);
        let matrix = |values: &str| {
            let entry = format!(r#"{{"metric":{{"a":"b"}},{values}}}"#);
            format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{entry}]}}}}"#)
        };
        let good = matrix(r#""values":[[60,"1"],[180,"NaN"]]"#);
        let found = read(good.as_bytes(), &run).unwrap();
        assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [1, 0, 1]);
        for (kind, body) in [
            (ErrorKind::Unexpected, matrix(r#""values":[[61,"1"]]"#)),
            (ErrorKind::Unexpected, matrix(r#""values":[[60.5,"1"]]"#)),
            (ErrorKind::Unexpected, matrix(r#""values":[[60,"one"]]"#)),
            (ErrorKind::Unexpected, good.replace("matrix", "vector")),
            (ErrorKind::Unexpected, good.replace("success", "error")),
            (ErrorKind::Unexpected, "[]".to_owned()),
            (ErrorKind::Invalid, matrix(r#""histograms":[[60,{}]]"#)),
            (ErrorKind::Invalid, good.replacen('{', r#"{"warnings":["x"],"#, 1)),
        ] {
            assert_eq!(read(body.as_bytes(), &run).err().map(|e| e.kind()), Some(kind), "{body}");
        }
    }
}
