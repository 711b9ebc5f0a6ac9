//! [`MetricSource`] on Azure Monitor.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{StreamExt, iter};
use mlroll_backend::{
    AzureMlEndpoint, Error, ErrorKind, Granularity, MetricSource, Query, Result, RevisionId, Sample, Subject, Target,
    Timestamp, Why, Window, Wiretap,
};

use super::wire::{OPERATION, Question, Reply};
use crate::Settings;
use crate::transport::Transport;

/// Metrics are said to be there in under a minute, after the minute they are about.
const SETTLE_DELAY: Duration = Duration::from_secs(120);

/// How long a point of it is.
const MINUTE: Duration = Duration::from_secs(60);

/// How many requests may be under way at once.
const AT_ONCE: usize = 8;

/// The metrics of online endpoints.
#[derive(Debug)]
pub struct Monitor {
    transport: Transport,
    settle_delay: Duration,
}

/// One request that has to be made: which question, of which target, and of whom where that matters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Errand {
    question: usize,
    target: Target,
    revision: Option<RevisionId>,
}

impl Monitor {
    /// Connects to nothing yet. `settle_delay` is how late the store is, where somebody knows better; `wiretap` sees the
    /// requests.
    ///
    /// # Errors
    /// `Invalid`: the settings make no sense.
    pub fn new(settings: &Settings, settle_delay: Option<Duration>, wiretap: Option<Arc<dyn Wiretap>>) -> Result<Self> {
        let transport = Transport::new(settings, wiretap)?;
        Ok(Self { transport, settle_delay: settle_delay.unwrap_or(SETTLE_DELAY) })
    }

    /// One answer for each combination, in the order that [`MetricSource::sample`] promises.
    async fn ask(&self, queries: &[Query], subjects: &[Subject], windows: &[Window]) -> Result<Vec<Result<Sample>>> {
        let questions: Vec<Question> = queries.iter().map(Question::new).collect::<Result<_>>()?;
        for subject in subjects {
            endpoint_of(&subject.target)?;
        }
        let Some(span) = span(windows)? else {
            return Ok(Vec::new());
        };
        // Requests and failures are read off the same answer, whoever asks first.
        let first_about_requests = questions.iter().position(|question| matches!(question, Question::Requests { .. }));
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
            for subject in subjects {
                errands.entry(errand(n, question, subject)).or_insert_with(|| subject.revision.clone());
            }
        }
        let run = errands.into_iter().map(|(errand, revision)| {
            let question = questions.get(errand.question);
            async move {
                let reply = match (question, endpoint_of(&errand.target)) {
                    (Some(question), Ok(endpoint)) => {
                        question.ask(&self.transport, &errand.target, endpoint, &revision, span).await
                    }
                    (_, Err(e)) => Err(e),
                    (None, _) => Err(Error::new(ErrorKind::Unexpected, OPERATION, "no question")),
                };
                (errand, reply)
            }
        });
        let replies: BTreeMap<Errand, Result<Reply>> = iter(run).buffered(AT_ONCE).collect().await;
        let mut answers = Vec::with_capacity(questions.len() * subjects.len() * windows.len());
        for (n, question) in questions.iter().enumerate() {
            for subject in subjects {
                let reply = replies.get(&errand(n, question, subject));
                answers.extend(windows.iter().map(|window| match reply {
                    Some(Ok(reply)) => Ok(question.read(reply, &subject.revision, *window)),
                    Some(Err(e)) => Err(again(e).with("revision", &subject.revision)),
                    None => Ok(Sample::NoData(Why::Empty)),
                }));
            }
        }
        Ok(answers)
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

    fn words(&self, query: &Query, subject: &Subject, _: Duration) -> Option<String> {
        Some(Question::new(query).ok()?.words(&subject.revision))
    }

    fn settle_delay(&self, _: &Query, _: &Subject) -> Duration {
        self.settle_delay
    }

    /// Known without asking: minutes are all there is.
    async fn granularity(&self, _: &[Query], _: &Subject, _: Timestamp) -> Result<Option<Granularity>> {
        Ok(Some(Granularity { shortest: MINUTE, because: "a point of Azure Monitor".to_owned() }))
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
fn span(windows: &[Window]) -> Result<Option<(Timestamp, Timestamp)>> {
    for window in windows {
        if !window.length().as_secs().is_multiple_of(60) {
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
