//! [`MetricSource`] on Azure Monitor.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join;
use futures_util::stream::{StreamExt, iter};
use mlroll_backend::{
    AzureMlEndpoint, Caveat, Error, ErrorKind, Granularity, MetricSource, Query, Result, RevisionId, Sample, Subject,
    Target, Timestamp, Why, Window, Wiretap,
};

use super::rows::Rows;
use super::traffic_log::{Counted, TrafficLog, bin};
use super::wire::{OPERATION, Question, Reply};
use crate::Settings;
use crate::settings::Api;
use crate::transport::Transport;

/// Metrics are said to be there in under a minute, after the minute they are about.
const SETTLE_DELAY: Duration = Duration::from_secs(120);

/// Resource logs are "usually available within 3 to 10 minutes end-to-end" (Azure Monitor, log data ingestion time).
const LOG_SETTLE_DELAY: Duration = Duration::from_secs(600);

/// How long a point of it is.
const MINUTE: Duration = Duration::from_secs(60);

/// How many requests may be under way at once. Log Analytics works on five of a user's queries at a time.
const AT_ONCE: usize = 8;
const LOGS_AT_ONCE: usize = 4;

/// The metrics of online endpoints.
#[derive(Debug)]
pub struct Monitor {
    transport: Transport,
    log: Option<(TrafficLog, Transport)>,
    settle_delay: Option<Duration>,
}

/// What answers a query.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    Log(Counted),
    Metric(Question),
}

/// One request that has to be made: which question, of which target, and of whom where that matters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Errand {
    question: usize,
    target: Target,
    revision: Option<RevisionId>,
}

/// What the traffic log says of each target.
type Logged = BTreeMap<Target, Result<Rows>>;

impl Monitor {
    /// Connects to nothing yet. With `log` requests are counted in the traffic log; `settle_delay` is how late the store is,
    /// where somebody knows better; `wiretap` sees the requests.
    ///
    /// # Errors
    /// `Invalid`: the settings make no sense.
    pub fn new(
        settings: &Settings,
        log: Option<TrafficLog>,
        settle_delay: Option<Duration>,
        wiretap: Option<Arc<dyn Wiretap>>,
    ) -> Result<Self> {
        let logs = |log| Ok::<_, Error>((log, Transport::to(Api::Logs, settings, wiretap.clone())?));
        let log = log.map(logs).transpose()?;
        Ok(Self { transport: Transport::new(settings, wiretap)?, log, settle_delay })
    }

    fn asked(&self, query: &Query) -> Result<Asked> {
        match self.log.as_ref().and_then(|_| Counted::of(query)) {
            Some(counted) => Ok(Asked::Log(counted)),
            None => Question::new(query).map(Asked::Metric),
        }
    }

    /// One answer for each combination, in the order that [`MetricSource::sample`] promises.
    async fn ask(&self, queries: &[Query], subjects: &[Subject], windows: &[Window]) -> Result<Vec<Result<Sample>>> {
        let questions: Vec<Asked> = queries.iter().map(|query| self.asked(query)).collect::<Result<_>>()?;
        for subject in subjects {
            endpoint_of(&subject.target)?;
        }
        let by_minutes = questions.iter().any(|question| matches!(question, Asked::Metric(_)));
        let Some(span) = span(windows, by_minutes)? else {
            return Ok(Vec::new());
        };
        // Requests and failures are read off the same answer, whoever asks first.
        let is_about_requests = |question: &Asked| matches!(question, Asked::Metric(Question::Requests { .. }));
        let first_about_requests = questions.iter().position(is_about_requests);
        let errand = |n: usize, question: &Question, subject: &Subject| match question {
            Question::Requests { .. } => {
                Errand { question: first_about_requests.unwrap_or(n), target: subject.target.clone(), revision: None }
            }
            Question::Headroom(_) | Question::Metric(_) => {
                Errand { question: n, target: subject.target.clone(), revision: Some(subject.revision.clone()) }
            }
        };
        let mut errands: BTreeMap<Errand, RevisionId> = BTreeMap::new();
        for (n, question) in questions.iter().enumerate() {
            let Asked::Metric(question) = question else { continue };
            for subject in subjects {
                errands.entry(errand(n, question, subject)).or_insert_with(|| subject.revision.clone());
            }
        }
        let run = errands.into_iter().map(|(errand, revision)| {
            let question = questions.get(errand.question);
            async move {
                let reply = match (question, endpoint_of(&errand.target)) {
                    (Some(Asked::Metric(question)), Ok(endpoint)) => {
                        question.ask(&self.transport, &errand.target, endpoint, &revision, span).await
                    }
                    (_, Err(e)) => Err(e),
                    (Some(Asked::Log(_)) | None, _) => Err(Error::new(ErrorKind::Unexpected, OPERATION, "no question")),
                };
                (errand, reply)
            }
        });
        let replies = iter(run).buffered(AT_ONCE).collect::<BTreeMap<Errand, Result<Reply>>>();
        let about_log = questions.iter().any(|question| matches!(question, Asked::Log(_)));
        let logged = self.read_log(if about_log { subjects } else { &[] }, windows);
        let (replies, logged) = join(replies, logged).await;
        let mut answers = Vec::with_capacity(questions.len() * subjects.len() * windows.len());
        for (n, question) in questions.iter().enumerate() {
            for subject in subjects {
                let revision = &subject.revision;
                let read = |window: &Window| match question {
                    Asked::Log(counted) => logged
                        .get(&subject.target)
                        .map(|rows| rows.as_ref().map(|r| r.read(*counted, revision, *window))),
                    Asked::Metric(question) => {
                        let reply = replies.get(&errand(n, question, subject));
                        reply.map(|reply| reply.as_ref().map(|reply| question.read(reply, revision, *window)))
                    }
                };
                answers.extend(windows.iter().map(|window| match read(window) {
                    Some(Ok(sample)) => Ok(sample),
                    Some(Err(e)) => Err(again(e).with("revision", revision)),
                    None => Ok(Sample::NoData(Why::Empty)),
                }));
            }
        }
        Ok(answers)
    }

    /// Reads the traffic log, once for each target.
    async fn read_log(&self, subjects: &[Subject], windows: &[Window]) -> Logged {
        let Some((log, transport)) = &self.log else {
            return Logged::new();
        };
        let mut deployments: BTreeMap<Target, BTreeSet<String>> = BTreeMap::new();
        for Subject { target, revision, .. } in subjects {
            deployments.entry(target.clone()).or_default().insert(revision.as_str().to_owned());
        }
        let run = deployments.into_iter().map(|(target, deployments)| async move {
            let rows = match endpoint_of(&target) {
                Ok(endpoint) => log.ask(transport, &target, endpoint, &deployments, windows).await,
                Err(e) => Err(e),
            };
            (target, rows)
        });
        iter(run).buffered(LOGS_AT_ONCE).collect().await
    }
}

#[async_trait]
impl MetricSource for Monitor {
    async fn sample(&self, queries: &[Query], subjects: &[Subject], windows: &[Window]) -> Result<Vec<Sample>> {
        let answers = self.ask(queries, subjects, windows).await?;
        let failed = |e: Error| Sample::NoData(Why::Failed { kind: e.kind(), message: e.to_string() });
        Ok(answers.into_iter().map(|answer| answer.unwrap_or_else(failed)).collect())
    }

    async fn check(&self, queries: &[Query], subjects: &[Subject], window: Window) -> Result<Vec<Sample>> {
        self.ask(queries, subjects, &[window]).await?.into_iter().collect()
    }

    fn words(&self, query: &Query, subject: &Subject, length: Duration) -> Option<String> {
        match (self.asked(query).ok()?, &self.log) {
            (Asked::Metric(question), _) => Some(question.words(&subject.revision)),
            (Asked::Log(_), Some((log, _))) => {
                let deployments = [subject.revision.as_str().to_owned()].into();
                let window = Window::new(Timestamp::epoch(), Timestamp::epoch().plus(length)).ok();
                Some(log.query(endpoint_of(&subject.target).ok()?, &deployments, None, bin(window.as_slice())))
            }
            (Asked::Log(_), None) => None,
        }
    }

    fn caveat(&self, query: &Query) -> Option<Caveat> {
        match self.asked(query).ok()? {
            Asked::Metric(Question::Metric(metric)) if metric.is_percentile() => Some(Caveat::AveragedPercentiles),
            Asked::Log(_) | Asked::Metric(_) => None,
        }
    }

    fn settle_delay(&self, query: &Query, _: &Subject) -> Duration {
        let usual = match self.asked(query) {
            Ok(Asked::Log(_)) => LOG_SETTLE_DELAY,
            Ok(Asked::Metric(_)) | Err(_) => SETTLE_DELAY,
        };
        self.settle_delay.unwrap_or(usual)
    }

    /// Known without asking: minutes are all that metrics have; logs have the very moment.
    async fn granularity(&self, queries: &[Query], _: &Subject, _: Timestamp) -> Result<Option<Granularity>> {
        let by_minutes = queries.iter().any(|query| !matches!(self.asked(query), Ok(Asked::Log(_))));
        let minute = || Granularity { shortest: MINUTE, because: "a point of Azure Monitor".to_owned() };
        Ok(by_minutes.then(minute))
    }
}

fn endpoint_of(target: &Target) -> Result<&AzureMlEndpoint> {
    match target {
        Target::AzureMl(endpoint) => Ok(endpoint),
        Target::CloudRun(_) | Target::Lambda(_) | Target::SageMaker(_) => {
            let message = format!("Azure Monitor has metrics of Azure ML endpoints, not of {target}");
            Err(Error::new(ErrorKind::Unsupported, OPERATION, message))
        }
    }
}

/// From the first window's start to the last one's end; `None` without windows.
fn span(windows: &[Window], by_minutes: bool) -> Result<Option<(Timestamp, Timestamp)>> {
    for window in windows {
        if by_minutes && !window.length().as_secs().is_multiple_of(60) {
            let message =
                format!("Azure Monitor counts by the minute: `look` must be whole minutes, not {:?}", window.length());
            return Err(Error::new(ErrorKind::Invalid, OPERATION, message));
        }
    }
    let from = windows.iter().map(|window| window.start()).min();
    Ok(from.zip(windows.iter().map(|window| window.end()).max()))
}

/// One failure, told of every sample that it cost.
fn again(error: &Error) -> Error {
    let mut copy = Error::new(error.kind(), error.operation(), error.message());
    for (key, value) in error.context() {
        copy = copy.with(key, value);
    }
    copy
}
