//! Requests to and answers from CloudWatch. SDK types stop here.

mod alarms;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricDataResult, MetricStat, ScanBy, StatusCode};
use mlroll_backend::{Effect, Error, ErrorKind, Result, Target, Usage, Why};
use serde_json::{Value, json};

use super::batch::Batch;
use super::series::{Reading, Series};
use crate::error::{classify, printable};
use crate::pages::Pages;
use crate::transport::{Tag, Tagging};

pub(super) use self::alarms::{alarm_history, describe_alarms};

pub(super) const OPERATION: &str = "GetMetricData";

/// What CloudWatch says of one series: its points, or why it has none that can be used, and whether that is a fault.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) reading: Reading,
    pub(super) fault: Option<Error>,
}

/// `GetMetricData` with all its pages: an answer for each series of the batch, in its order. `about` is a target it is asked
/// for. Each page adds to `usage`.
pub(super) async fn get_metric_data(
    client: &Client,
    batch: &Batch,
    about: &Target,
    usage: &Mutex<Usage>,
) -> Result<Vec<Answer>> {
    let mut queries = Vec::with_capacity(batch.series.len());
    for (n, series) in batch.series.iter().enumerate() {
        queries.push(query(n, series, batch)?);
    }
    let mut told: BTreeMap<String, Told> = BTreeMap::new();
    let mut pages = Pages::of(OPERATION);
    loop {
        {
            let mut usage = usage.lock().unwrap_or_else(PoisonError::into_inner);
            usage.calls += 1;
            usage.series = usage.series.saturating_add(u64::try_from(batch.series.len()).unwrap_or(u64::MAX));
        }
        let page = client
            .get_metric_data()
            .set_metric_data_queries(Some(queries.clone()))
            .start_time(DateTime::from_secs(batch.first.start().unix_seconds()))
            .end_time(DateTime::from_secs(batch.last.end().unix_seconds()))
            .scan_by(ScanBy::TimestampAscending)
            .set_next_token(pages.token())
            .customize()
            .interceptor(Tagging(Tag { target: about.clone(), operation: OPERATION, effect: Effect::Read }))
            .send()
            .await
            .map_err(|e| classify(OPERATION, e))?;
        let note = page.messages.unwrap_or_default().first().and_then(|m| m.value.clone()).unwrap_or_default();
        for result in page.metric_data_results.unwrap_or_default() {
            let id = result.id.clone().unwrap_or_default();
            told.entry(id).or_default().add(result, &note);
        }
        if !pages.turn(page.next_token)? {
            break;
        }
    }
    let answer = |n: usize| told.remove(&id(n)).unwrap_or_default().end(batch);
    Ok((0..batch.series.len()).map(answer).collect())
}

fn id(n: usize) -> String {
    format!("s{n}")
}

fn query(n: usize, series: &Series, batch: &Batch) -> Result<MetricDataQuery> {
    let dimension = |(name, value): &(String, String)| Dimension::builder().name(name).value(value).build();
    let metric = Metric::builder()
        .namespace(&series.namespace)
        .metric_name(&series.metric)
        .set_dimensions(Some(series.dimensions.iter().map(dimension).collect()))
        .build();
    // No unit: one that does not match gives an empty answer.
    let seconds = i32::try_from(batch.first.length().as_secs()).unwrap_or(i32::MAX);
    let statistic = MetricStat::builder().metric(metric).period(seconds).stat(&series.statistic).build();
    Ok(MetricDataQuery::builder()
        .id(id(n))
        .metric_stat(statistic)
        .set_account_id(series.place.account.clone())
        .return_data(true)
        .build())
}

/// The `MetricDataQueries` for these series and periods, as `aws cloudwatch get-metric-data` takes them.
pub(super) fn words(series: &[&Series], period: Duration) -> String {
    let query = |(n, series): (usize, &&Series)| {
        let dimension = |(name, value): &(String, String)| json!({ "Name": name, "Value": value });
        let dimensions: Vec<Value> = series.dimensions.iter().map(dimension).collect();
        let metric = json!({ "Namespace": series.namespace, "MetricName": series.metric, "Dimensions": dimensions });
        let statistic = json!({ "Metric": metric, "Period": period.as_secs(), "Stat": series.statistic });
        let mut query = json!({ "Id": id(n), "MetricStat": statistic });
        if let (Some(account), Value::Object(query)) = (&series.place.account, &mut query) {
            query.insert("AccountId".to_owned(), json!(account));
        }
        query
    };
    series.iter().enumerate().map(query).collect::<Value>().to_string()
}

/// What the pages have told of one series so far.
#[derive(Debug, Default)]
struct Told {
    points: BTreeMap<i64, f64>,
    status: Option<StatusCode>,
    messages: Vec<String>,
    contradiction: Option<String>,
}

impl Told {
    fn add(&mut self, result: MetricDataResult, note: &str) {
        let (times, values) = (result.timestamps.unwrap_or_default(), result.values.unwrap_or_default());
        if times.len() != values.len() {
            self.contradiction = Some(format!("{} values for {} moments", values.len(), times.len()));
        }
        for (time, value) in times.iter().zip(values) {
            let earlier = self.points.insert(time.secs(), value);
            if earlier.is_some_and(|earlier| earlier.total_cmp(&value).is_ne()) || time.subsec_nanos() != 0 {
                self.contradiction = Some(format!("two values for one period, at {} s", time.secs()));
            }
        }
        // The last page has the last word: those before it are partial for whatever goes on.
        self.status = result.status_code;
        let said = result.messages.unwrap_or_default().into_iter().filter_map(|message| message.value);
        self.messages.extend(said.chain([note.to_owned()]).filter(|text| !text.is_empty()));
    }

    fn end(self, batch: &Batch) -> Answer {
        let said = match self.messages.first() {
            Some(message) => format!(": {}", printable(message, 300)),
            None => String::new(),
        };
        let fault = |kind: ErrorKind, what: &str| {
            let error = Error::new(kind, OPERATION, format!("{what}{said}"));
            Answer { reading: Err(Why::Failed { kind, message: error.to_string() }), fault: Some(error) }
        };
        let why = |why: Why| Answer { reading: Err(why), fault: None };
        match self.status {
            Some(StatusCode::Complete) => {}
            Some(StatusCode::PartialData) => {
                return why(Why::Partial { warning: format!("CloudWatch ends with PartialData{said}") });
            }
            Some(StatusCode::InternalError) => {
                return fault(ErrorKind::Unavailable, "CloudWatch has an internal error");
            }
            Some(StatusCode::Forbidden) => return fault(ErrorKind::Auth, "reading the metric is forbidden"),
            Some(_) => return fault(ErrorKind::Unexpected, "the answer has a status that CloudWatch should not give"),
            None => return fault(ErrorKind::Unexpected, "the answer leaves a series out"),
        }
        if let Some(found) = self.contradiction {
            return why(Why::Inconsistent { found });
        }
        let length = i64::try_from(batch.first.length().as_secs()).unwrap_or(i64::MAX).max(1);
        let (from, until) = (batch.first.start().unix_seconds(), batch.last.end().unix_seconds());
        let astray = self.points.keys().find(|at| (**at - from) % length != 0 || **at < from || **at >= until);
        match astray {
            Some(at) => why(Why::Inconsistent { found: format!("a point at {at} s, which begins no window") }),
            None => Answer { reading: Ok(self.points), fault: None },
        }
    }
}
