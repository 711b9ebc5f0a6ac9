//! [`MetricSource`] on Prometheus' query API.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{StreamExt, iter};
use mlroll_backend::{ErrorKind, Granularity, MetricSource, Query, Result, Sample, Subject, Timestamp, Why, Window};

use crate::Settings;
use crate::range::{self, Reach};
use crate::settings::Selectors;
use crate::transport::Transport;
use crate::wire::{Question, Spacing};

/// How many requests may be under way at once.
const AT_ONCE: usize = 8;

/// Two scrapes of 30 s; VictoriaMetrics hides the newest 30 s.
const SETTLE_DELAY: Duration = Duration::from_secs(60);

/// How many scrapes a window has at least: `increase` makes up for what lies before the first and behind the last.
const SCRAPES: u32 = 4;

/// A store that speaks Prometheus' query API.
#[derive(Debug)]
pub struct Prometheus {
    transport: Transport,
    selectors: Selectors,
    settle_delay: Duration,
    scrape: Option<Duration>,
    reach: Reach,
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
            scrape: settings.scrape,
            reach: Reach::default(),
        })
    }

    /// One answer for each combination, in the order that [`MetricSource::sample`] promises.
    async fn ask(&self, queries: &[Query], subjects: &[Subject], windows: &[Window]) -> Result<Vec<Result<Sample>>> {
        let questions: Vec<Question> =
            queries.iter().map(|query| Question::new(query, &self.selectors)).collect::<Result<_>>()?;
        let mut asked = Vec::new();
        for question in &questions {
            for subject in subjects {
                let ask = move |run| range::answers(&self.transport, &self.reach, question, subject, run);
                asked.extend(range::runs(windows).into_iter().map(ask));
            }
        }
        Ok(iter(asked).buffered(AT_ONCE).flat_map(iter).collect().await)
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

    async fn granularity(&self, queries: &[Query], subject: &Subject, until: Timestamp) -> Result<Option<Granularity>> {
        if let Some(scrape) = self.scrape {
            let because = format!("{SCRAPES} scrapes of {scrape:?}");
            return Ok(Some(Granularity { shortest: scrape.saturating_mul(SCRAPES), because }));
        }
        let Some(spacing) = Spacing::of(queries, &self.selectors) else {
            return Ok(None);
        };
        let body = match self.transport.ask(&spacing.text(&subject.revision), until.unix_seconds()).await {
            Ok(body) => body,
            // Not every store knows all of PromQL.
            Err(e) if e.kind() == ErrorKind::Invalid => return Ok(None),
            Err(e) => return Err(e),
        };
        let Some(scrape) = spacing.read(&body)? else {
            return Ok(None);
        };
        let because = format!("{SCRAPES} scrapes, of which the store has one in {:.1} s", scrape.as_secs_f64());
        // Scrapes come late and are missed: what is measured is not held against anybody to the second.
        Ok(Some(Granularity { shortest: scrape.mul_f64(f64::from(SCRAPES) * 0.9), because }))
    }
}
