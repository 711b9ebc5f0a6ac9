//! [`MetricSource`] on CloudWatch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use mlroll_backend::{
    Error, Granularity, MetricSource, Query, Result, Sample, Subject, Target, Timestamp, Usage, Why, Window, Wiretap,
};

use super::batch::{Batch, batches};
use super::question::{Asked, Question};
use super::series::Readings;
use super::wire::{Answer, get_metric_data, words};
use crate::session::Session;

/// Points of a minute are complete two minutes after it (nerdswords/yet-another-cloudwatch-exporter#1796).
const SETTLE_DELAY: Duration = Duration::from_secs(120);

/// AWS publishes the metrics of its services once a minute.
const PUBLISHED: Duration = Duration::from_secs(60);

/// What the source is told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// How late the store is; two minutes when not told.
    pub settle_delay: Option<Duration>,
    /// The latencies that requests are counted above, in seconds, each above 0: those that gates ask about.
    pub slower_than: Vec<f64>,
}

/// Amazon CloudWatch.
#[derive(Debug)]
pub struct CloudWatch {
    pub(super) session: Session,
    pub(super) settings: Settings,
    /// How long each version of a function may run, as far as that was asked for.
    pub(super) timeouts: Mutex<BTreeMap<Subject, Duration>>,
    pub(super) usage: Mutex<Usage>,
}

impl CloudWatch {
    /// A source whose requests all go past `wiretap`. Reads no configuration and connects to nothing yet.
    #[must_use]
    pub const fn new(settings: Settings, wiretap: Arc<dyn Wiretap>) -> Self {
        Self {
            session: Session::new(wiretap),
            settings,
            timeouts: Mutex::new(BTreeMap::new()),
            usage: Mutex::new(Usage { calls: 0, series: 0 }),
        }
    }

    /// A sample for each combination, in the order that [`MetricSource::sample`] promises, and the first failure.
    async fn ask(
        &self,
        queries: &[Query],
        subjects: &[Subject],
        windows: &[Window],
    ) -> Result<(Vec<Sample>, Option<Error>)> {
        let mut asked: Vec<Vec<Asked>> = Vec::with_capacity(queries.len());
        for query in queries {
            let question = Question::new(query, &self.settings.slower_than)?;
            for window in windows {
                question.allows(*window)?;
            }
            asked.push(subjects.iter().map(|subject| question.about(subject)).collect::<Result<_>>()?);
        }
        let series: BTreeSet<_> = asked.iter().flatten().flat_map(Asked::series).cloned().collect();
        let mut readings = Readings::default();
        let mut failure = None;
        for batch in batches(series, windows) {
            let Some(about) = subjects.first().map(|subject| &subject.target) else {
                break;
            };
            let fault = self.read(&batch, about, &mut readings).await;
            failure = failure.or(fault);
        }
        let mut samples = Vec::with_capacity(queries.len() * subjects.len() * windows.len());
        for beside in &asked {
            for one in beside {
                samples.extend(windows.iter().map(|window| one.read(&readings, *window, beside)));
            }
        }
        Ok((samples, failure))
    }

    /// Reads a batch; what failed is in the readings too.
    async fn read(&self, batch: &Batch, about: &Target, readings: &mut Readings) -> Option<Error> {
        let client = self.session.cloudwatch(&batch.region).await;
        let (answers, mut failure) = match get_metric_data(&client, batch, about, &self.usage).await {
            Ok(answers) => (answers, None),
            Err(error) => {
                let why = Why::Failed { kind: error.kind(), message: error.to_string() };
                let answer = |_| Answer { reading: Err(why.clone()), fault: None };
                (batch.series.iter().map(answer).collect(), Some(error))
            }
        };
        for (series, Answer { reading, fault }) in batch.series.iter().zip(answers) {
            failure = failure.or(fault.map(|e| e.with("metric", &series.metric)));
            readings.add(series.clone(), batch.first, batch.last, reading);
        }
        failure
    }
}

#[async_trait]
impl MetricSource for CloudWatch {
    async fn sample(&self, queries: &[Query], subjects: &[Subject], windows: &[Window]) -> Result<Vec<Sample>> {
        self.ask(queries, subjects, windows).await.map(|(samples, _)| samples)
    }

    async fn check(&self, queries: &[Query], subjects: &[Subject], window: Window) -> Result<Vec<Sample>> {
        match self.ask(queries, subjects, &[window]).await? {
            (_, Some(failure)) => Err(failure),
            (samples, None) => Ok(samples),
        }
    }

    /// An invocation is counted in the minute it began in, when it ends.
    async fn learn(&self, subjects: &[Subject]) -> Result<()> {
        #[cfg(feature = "lambda")]
        for subject in subjects.iter().filter(|_| self.settings.settle_delay.is_none()) {
            if matches!(subject.target, Target::Lambda(_))
                && let Some(timeout) = crate::lambda::timeout(&self.session, &subject.target, &subject.revision).await?
            {
                let mut timeouts = self.timeouts.lock().unwrap_or_else(PoisonError::into_inner);
                timeouts.insert(subject.clone(), timeout);
            }
        }
        #[cfg(not(feature = "lambda"))]
        let _ = subjects;
        Ok(())
    }

    fn words(&self, query: &Query, subject: &Subject, length: Duration) -> Option<String> {
        let asked = Question::new(query, &self.settings.slower_than).ok()?.about(subject).ok()?;
        Some(words(&asked.series(), length))
    }

    fn usage(&self) -> Option<Usage> {
        Some(*self.usage.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn granularity(&self, queries: &[Query], subject: &Subject, _: Timestamp) -> Result<Option<Granularity>> {
        for query in queries {
            let asked = Question::new(query, &self.settings.slower_than)?.about(subject)?;
            if asked.series().iter().any(|series| series.namespace.starts_with("AWS/")) {
                let because = "one point of the metrics that AWS publishes".to_owned();
                return Ok(Some(Granularity { shortest: PUBLISHED, because }));
            }
        }
        // How often others publish theirs is theirs to know.
        Ok(None)
    }

    fn settle_delay(&self, _: &Query, subject: &Subject) -> Duration {
        let timeouts = self.timeouts.lock().unwrap_or_else(PoisonError::into_inner);
        let runs = timeouts.get(subject).copied().unwrap_or_default();
        self.settings.settle_delay.unwrap_or(SETTLE_DELAY + runs)
    }
}
