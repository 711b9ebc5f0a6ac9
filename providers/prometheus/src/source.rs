//! [`MetricSource`] on Prometheus' query API.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{StreamExt, iter};
use mlroll_backend::{MetricSource, Query, Result, Sample, Subject, Why, Window};

use crate::Settings;
use crate::settings::Selectors;
use crate::transport::Transport;
use crate::wire::Question;

/// How many requests may be under way at once.
const AT_ONCE: usize = 8;

/// Two scrapes of 30 s; VictoriaMetrics hides the newest 30 s.
const SETTLE_DELAY: Duration = Duration::from_secs(60);

/// A store that speaks Prometheus' query API.
#[derive(Debug)]
pub struct Prometheus {
    transport: Transport,
    selectors: Selectors,
    settle_delay: Duration,
}

impl Prometheus {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// `Invalid`: the address, a header, a certificate or a selector makes no sense, or credentials would leave this
    /// machine in clear text.
    pub fn new(settings: &Settings) -> Result<Self> {
        Ok(Self {
            transport: Transport::new(settings)?,
            selectors: Selectors::of(settings)?,
            settle_delay: settings.settle_delay.unwrap_or(SETTLE_DELAY),
        })
    }

    /// One answer for each combination, in the order that [`MetricSource::sample`] promises.
    async fn ask(&self, queries: &[Query], subjects: &[Subject], windows: &[Window]) -> Result<Vec<Result<Sample>>> {
        let questions: Vec<Question> =
            queries.iter().map(|query| Question::new(query, &self.selectors)).collect::<Result<_>>()?;
        let mut asked = Vec::with_capacity(questions.len() * subjects.len() * windows.len());
        for question in &questions {
            for subject in subjects {
                asked.extend(windows.iter().map(|window| self.answer(question, subject, *window)));
            }
        }
        Ok(iter(asked).buffered(AT_ONCE).collect().await)
    }

    async fn answer(&self, question: &Question, subject: &Subject, window: Window) -> Result<Sample> {
        let text = question.text(&subject.revision, window.length());
        let body = self.transport.ask(&text, window.end().unix_seconds()).await;
        body.and_then(|body| question.read(&body, window)).map_err(|e| e.with("revision", &subject.revision))
    }
}

#[async_trait]
impl MetricSource for Prometheus {
    async fn sample(&self, queries: &[Query], subjects: &[Subject], windows: &[Window]) -> Result<Vec<Sample>> {
        let answers = self.ask(queries, subjects, windows).await?;
        let failed = |e: mlroll_backend::Error| Sample::NoData(Why::Failed { kind: e.kind(), message: e.to_string() });
        Ok(answers.into_iter().map(|answer| answer.unwrap_or_else(failed)).collect())
    }

    async fn check(&self, queries: &[Query], subjects: &[Subject], window: Window) -> Result<Vec<Sample>> {
        self.ask(queries, subjects, &[window]).await?.into_iter().collect()
    }

    fn words(&self, query: &Query, subject: &Subject, length: Duration) -> Option<String> {
        Some(Question::new(query, &self.selectors).ok()?.text(&subject.revision, length))
    }

    fn settle_delay(&self, _: &Query, _: &Subject) -> Duration {
        self.settle_delay
    }
}
