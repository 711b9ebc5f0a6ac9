//! [`MetricSource`] on Cloud Monitoring.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{StreamExt, iter};
use mlroll_backend::{
    CloudRunService, Error, ErrorKind, MetricSource, Query, Result, Sample, Subject, Target, Timestamp, Why, Window,
};

use super::alerts::{Open, alerts, during};
use super::metric::{Kept, Metric};
use super::text::Text;
use super::wire::{Ask, Listed, Series, list, query};
use crate::Settings;
use crate::session::Session;

const ENDPOINT: &str = "https://monitoring.googleapis.com";

/// How many requests may be under way at once.
const AT_ONCE: usize = 8;

/// Sampled each 60 s, then not visible for up to 180 s (Google's list of metrics, `request_count`).
const SETTLE_DELAY: Duration = Duration::from_secs(240);

/// The shortest alignment period there is, and what windows are a multiple of (API reference, `Aggregation`).
const MINUTE: u64 = 60;

/// Metrics of Cloud Run revisions.
#[derive(Debug)]
pub struct CloudMonitoring {
    session: Session,
    settle_delay: Duration,
}

/// One request for a built-in metric: all revisions of a service at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a> {
    metric: Metric,
    service: &'a CloudRunService,
    window: Window,
}

/// Which query, subject and window.
type At = (usize, usize, usize);

/// What was answered.
struct Answers<'a> {
    /// Of the policies that a query names, in a project.
    alarms: BTreeMap<(usize, &'a str), Result<Vec<Open>>>,
    listed: BTreeMap<Key<'a>, Result<Listed>>,
    custom: BTreeMap<At, Result<Sample>>,
}

impl CloudMonitoring {
    /// Reads no credentials and connects to nothing yet.
    ///
    /// # Errors
    /// `Invalid`: the endpoint is none that requests may be sent to.
    pub fn new(settings: &Settings) -> Result<Self> {
        let session = Session::new(settings, settings.monitoring.as_deref(), ENDPOINT)?;
        Ok(Self { session, settle_delay: settings.settle_delay.unwrap_or(SETTLE_DELAY) })
    }

    async fn ask<'a>(&self, queries: &[Query], subjects: &'a [Subject], windows: &[Window]) -> Result<Answers<'a>> {
        if let Some(window) = windows.iter().find(|window| !window.length().as_secs().is_multiple_of(MINUTE)) {
            let message = format!(
                "Cloud Monitoring aligns to whole minutes, and a window is {} s long",
                window.length().as_secs()
            );
            return Err(Error::new(ErrorKind::Invalid, "look", message));
        }
        let mut keys = BTreeSet::new();
        let mut texts = Vec::new();
        let mut alarms = BTreeMap::new();
        for (q, query) in queries.iter().enumerate() {
            let text = match query {
                Query::Custom(text) => Some(Text::parse(text)?),
                Query::Alarms(names) if names.is_empty() => {
                    return Err(Error::new(ErrorKind::Invalid, "alarms", "no alert policy is named"));
                }
                Query::Ratio { .. } | Query::Scores(_) | Query::Stratified { .. } => {
                    return Err(query.unsupported("timeSeries.list", "Cloud Monitoring"));
                }
                Query::Alarms(_)
                | Query::ErrorRate
                | Query::Headroom(_)
                | Query::InstanceStartup
                | Query::Latency
                | Query::PendingRequests
                | Query::Quantile(_)
                | Query::Requests => None,
            };
            for (s, subject) in subjects.iter().enumerate() {
                let service = service_of(&subject.target)?;
                if let Query::Alarms(names) = query {
                    alarms.insert((q, service.project.as_str()), names);
                    continue;
                }
                for (w, window) in windows.iter().copied().enumerate() {
                    match &text {
                        Some(text) => texts.push(((q, s, w), filled(text, subject, window)?, service, window)),
                        None => {
                            keys.extend(Metric::of(query).map(|metric| Key { metric, service, window }));
                        }
                    }
                }
            }
        }
        // Collected first: a stream of closures that borrow cannot be sent between threads.
        let mut listing = Vec::with_capacity(keys.len());
        for key in keys {
            listing.push(self.list(key, subjects));
        }
        let listed: Vec<_> = iter(listing).buffer_unordered(AT_ONCE).collect().await;
        let mut asking = Vec::with_capacity(texts.len());
        for (at, text, service, window) in texts {
            asking.push(self.custom(at, text, &service.project, window));
        }
        let custom: Vec<_> = iter(asking).buffer_unordered(AT_ONCE).collect().await;
        let mut policies = Vec::with_capacity(alarms.len());
        let since = windows.iter().map(|window| window.start()).min();
        for (at, names) in alarms {
            policies.extend(since.map(|since| self.alarms(at, names, since)));
        }
        let alarms: Vec<_> = iter(policies).buffer_unordered(AT_ONCE).collect().await;
        Ok(Answers {
            alarms: alarms.into_iter().collect(),
            listed: listed.into_iter().collect(),
            custom: custom.into_iter().collect(),
        })
    }

    async fn list<'a>(&self, key: Key<'a>, subjects: &[Subject]) -> (Key<'a>, Result<Listed>) {
        let of_service = |subject: &&Subject| service_of(&subject.target).is_ok_and(|service| service == key.service);
        let names: BTreeSet<String> =
            subjects.iter().filter(of_service).map(|subject| format!("\"{}\"", subject.revision)).collect();
        let names: Vec<String> = names.into_iter().collect();
        let CloudRunService { project, region, service } = key.service;
        let Kept { name, aligner, reducer, group_by } = key.metric.kept();
        let filter = format!(
            "metric.type=\"run.googleapis.com/{name}\" AND resource.type=\"cloud_run_revision\" \
             AND resource.labels.service_name=\"{service}\" AND resource.labels.location=\"{region}\" \
             AND resource.labels.revision_name=one_of({})",
            names.join(",")
        );
        let ask = Ask { project, filter: &filter, window: key.window, aligner, reducer, group_by };
        let answer = list(&self.session, &ask).await;
        (key, answer)
    }

    async fn alarms<'a>(
        &self,
        at: (usize, &'a str),
        names: &[String],
        since: Timestamp,
    ) -> ((usize, &'a str), Result<Vec<Open>>) {
        (at, alerts(&self.session, at.1, names, since).await)
    }

    async fn custom(&self, at: At, text: Text, project: &str, window: Window) -> (At, Result<Sample>) {
        (at, self.one_number(&text, project, window).await)
    }

    async fn one_number(&self, text: &Text, project: &str, window: Window) -> Result<Sample> {
        let (filter, aligner, reducer) = match text {
            Text::PromQl(text) => return query(&self.session, project, text, window).await,
            Text::Filter { filter, aligner, reducer } => (filter, aligner, reducer),
        };
        let listed = list(&self.session, &Ask { project, filter, window, aligner, reducer, group_by: &[] }).await?;
        if let Some(warning) = listed.partial {
            return Ok(Sample::NoData(Why::Partial { warning }));
        }
        let values: Vec<_> = listed.series.iter().filter_map(|series| series.at(window)).collect();
        match values.as_slice() {
            [] => Ok(Sample::NoData(Why::Empty)),
            [value] => value.number().map(Sample::value).ok_or_else(|| {
                let message = "the filter finds a distribution, where one number is needed: reduce it to a percentile";
                Error::new(ErrorKind::Invalid, "ListTimeSeries", message)
            }),
            several => Ok(Sample::NoData(Why::SeveralSeries { count: several.len() })),
        }
    }
}

#[async_trait]
impl MetricSource for CloudMonitoring {
    async fn sample(&self, queries: &[Query], subjects: &[Subject], windows: &[Window]) -> Result<Vec<Sample>> {
        Ok(self.ask(queries, subjects, windows).await?.samples(queries, subjects, windows))
    }

    async fn check(&self, queries: &[Query], subjects: &[Subject], window: Window) -> Result<Vec<Sample>> {
        let mut answers = self.ask(queries, subjects, &[window]).await?;
        // The first that failed says why nothing is begun.
        let failed = answers.listed.iter().find(|(_, answer)| answer.is_err()).map(|(key, _)| key.clone());
        if let Some(Err(error)) = failed.and_then(|key| answers.listed.remove(&key)) {
            return Err(error);
        }
        let failed = answers.alarms.iter().find(|(_, answer)| answer.is_err()).map(|(at, _)| *at);
        if let Some(Err(error)) = failed.and_then(|at| answers.alarms.remove(&at)) {
            return Err(error);
        }
        let failed = answers.custom.iter().find(|(_, answer)| answer.is_err()).map(|(at, _)| *at);
        if let Some(Err(error)) = failed.and_then(|at| answers.custom.remove(&at)) {
            return Err(error);
        }
        Ok(answers.samples(queries, subjects, &[window]))
    }

    fn settle_delay(&self, _: &Query, _: &Subject) -> Duration {
        self.settle_delay
    }
}

impl Answers<'_> {
    /// In the order that [`MetricSource::sample`] promises.
    fn samples(&self, queries: &[Query], subjects: &[Subject], windows: &[Window]) -> Vec<Sample> {
        let mut samples = Vec::with_capacity(queries.len() * subjects.len() * windows.len());
        for (q, query) in queries.iter().enumerate() {
            for (s, subject) in subjects.iter().enumerate() {
                for (w, window) in windows.iter().enumerate() {
                    let sample = match query {
                        Query::Custom(_) => self.custom.get(&(q, s, w)).map(|answer| match answer {
                            Ok(sample) => sample.clone(),
                            Err(error) => failed(error),
                        }),
                        Query::Alarms(_) => self.alarm(q, subject, *window),
                        Query::ErrorRate
                        | Query::Headroom(_)
                        | Query::InstanceStartup
                        | Query::Latency
                        | Query::PendingRequests
                        | Query::Quantile(_)
                        | Query::Requests => self.built_in(query, subject, *window),
                        // Refused before anything was asked.
                        Query::Ratio { .. } | Query::Scores(_) | Query::Stratified { .. } => None,
                    };
                    samples.push(sample.unwrap_or(Sample::NoData(Why::Empty)));
                }
            }
        }
        samples
    }

    fn alarm(&self, q: usize, subject: &Subject, window: Window) -> Option<Sample> {
        let service = service_of(&subject.target).ok()?;
        Some(match self.alarms.get(&(q, service.project.as_str()))? {
            Ok(open) => during(open, window),
            Err(error) => failed(error),
        })
    }

    fn built_in(&self, query: &Query, subject: &Subject, window: Window) -> Option<Sample> {
        let metric = Metric::of(query)?;
        let service = service_of(&subject.target).ok()?;
        let listed = match self.listed.get(&Key { metric, service, window })? {
            Ok(Listed { partial: Some(warning), .. }) => {
                return Some(Sample::NoData(Why::Partial { warning: warning.clone() }));
            }
            Ok(listed) => listed,
            Err(error) => return Some(failed(error)),
        };
        let of_revision = |series: &&Series| series.revision() == subject.revision.as_str();
        let found = listed.series.iter().filter(of_revision).filter_map(|series| Some((series, series.at(window)?)));
        let found: Vec<_> = found.collect();
        metric.sample(query, &found)
    }
}

fn failed(error: &Error) -> Sample {
    Sample::NoData(Why::Failed { kind: error.kind(), message: error.to_string() })
}

fn filled(text: &Text, subject: &Subject, window: Window) -> Result<Text> {
    let fill = |text: &str| Text::fill(text, &subject.revision, window.length());
    Ok(match text {
        Text::Filter { filter, aligner, reducer } => {
            Text::Filter { filter: fill(filter)?, aligner: aligner.clone(), reducer: reducer.clone() }
        }
        Text::PromQl(text) => Text::PromQl(fill(text)?),
    })
}

fn service_of(target: &Target) -> Result<&CloudRunService> {
    match target {
        Target::CloudRun(service) => Ok(service),
        Target::AzureMl(_) | Target::Lambda(_) | Target::SageMaker(_) => {
            let message = format!("Cloud Monitoring has no metrics of {target}: it is for Cloud Run services");
            Err(Error::new(ErrorKind::Unsupported, "metrics", message))
        }
    }
}
