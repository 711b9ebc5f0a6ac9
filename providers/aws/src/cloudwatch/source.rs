//! [`MetricSource`] on CloudWatch.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use mlroll_backend::{
    Error, ErrorKind, Granularity, Inquiry, MetricSource, Query, Result, RevisionId, Sample, Subject, Target,
    Timestamp, Usage, Window, Wiretap, one_by_one,
};
use serde_json::json;

use super::asking::{Ready, read};
use super::machines::Machines;
use super::question::Question;
use super::wire::words;
use crate::session::Session;

/// Points of a minute are complete two minutes after it (nerdswords/yet-another-cloudwatch-exporter#1796).
const SETTLE_DELAY: Duration = Duration::from_secs(120);

/// AWS publishes the metrics of its services once a minute.
pub(super) const PUBLISHED: Duration = Duration::from_secs(60);

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
    pub(super) timeouts: Mutex<BTreeMap<(Target, RevisionId), Duration>>,
    pub(super) usage: Mutex<Usage>,
    /// What endpoints run on, as far as that was asked for.
    pub(super) machines: Mutex<BTreeMap<Target, Machines>>,
    /// The names of endpoints whose targets are ARNs.
    pub(super) spelled: Mutex<BTreeMap<Target, String>>,
    /// Those of whose revisions there was nothing by name while one had all requests.
    pub(super) untold: Mutex<BTreeSet<Target>>,
}

impl CloudWatch {
    /// A source whose requests all go past `wiretap`. Reads no configuration and connects to nothing yet.
    #[must_use]
    pub fn new(settings: Settings, account: &crate::Settings, wiretap: Arc<dyn Wiretap>) -> Self {
        Self {
            session: Session::new(account, wiretap),
            settings,
            timeouts: Mutex::new(BTreeMap::new()),
            usage: Mutex::new(Usage { calls: 0, series: 0 }),
            machines: Mutex::new(BTreeMap::new()),
            spelled: Mutex::new(BTreeMap::new()),
            untold: Mutex::new(BTreeSet::new()),
        }
    }

    /// A sample for each combination, in the order that [`MetricSource::sample`] promises, and the first failure.
    async fn ask(
        &self,
        queries: &[Query],
        subjects: &[Subject],
        windows: &[Window],
    ) -> Result<(Vec<Sample>, Option<Error>)> {
        let mut ready = self.ready(queries, subjects, windows).await?;
        let (readings, failures) = read(&mut [&mut ready], windows).await;
        let samples = ready.samples(&readings, windows);
        Ok((samples, ready.failure.into_iter().chain(failures).next()))
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

    /// One request for all, where they are of this kind. One that is refused says nothing of those that were sent with it: then each
    /// is asked for itself.
    async fn sample_together(&self, inquiries: &[Inquiry<'_>], windows: &[Window]) -> Vec<Result<Vec<Sample>>> {
        let mut all = Vec::with_capacity(inquiries.len());
        for Inquiry { source, queries, subjects } in inquiries {
            let source: &dyn Any = *source;
            let Some(source) = source.downcast_ref::<Self>() else { return one_by_one(inquiries, windows).await };
            all.push(source.ready(queries, subjects, windows).await);
        }
        let mut ready: Vec<&mut Ready<'_>> = all.iter_mut().flatten().collect();
        let (readings, failures) = read(&mut ready, windows).await;
        if ready.len() > 1 && failures.iter().any(|failure| failure.kind() == ErrorKind::Invalid) {
            return one_by_one(inquiries, windows).await;
        }
        all.into_iter().map(|ready| ready.map(|ready| ready.samples(&readings, windows))).collect()
    }

    /// An invocation is counted in the minute it began in, when it ends. How often an endpoint publishes its config says; who may not look
    /// at it is not kept from its metrics.
    async fn learn(&self, subjects: &[Subject]) -> Result<()> {
        self.learn_spelling(subjects).await;
        for target in subjects.iter().map(|subject| &subject.target).collect::<BTreeSet<_>>() {
            let _ = self.machines_at(target).await;
        }
        #[cfg(feature = "lambda")]
        for subject in subjects.iter().filter(|_| self.settings.settle_delay.is_none()) {
            if matches!(subject.target, Target::Lambda(_))
                && let Some(timeout) = crate::lambda::timeout(&self.session, &subject.target, &subject.revision).await?
            {
                let mut timeouts = self.timeouts.lock().unwrap_or_else(PoisonError::into_inner);
                timeouts.insert((subject.target.clone(), subject.revision.clone()), timeout);
            }
        }
        Ok(())
    }

    fn words(&self, query: &Query, subject: &Subject, length: Duration) -> Option<String> {
        let asked = Question::new(query, &self.settings.slower_than).ok()?.about(&self.spelled(subject), None).ok()?;
        Some(match asked.alarms() {
            Some((_, names)) => json!({ "AlarmNames": names }).to_string(),
            None => words(&asked.series(), length),
        })
    }

    fn usage(&self) -> Option<Usage> {
        Some(*self.usage.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn granularity(&self, queries: &[Query], subject: &Subject, until: Timestamp) -> Result<Option<Granularity>> {
        for query in queries {
            let asked = Question::new(query, &self.settings.slower_than)?.about(subject, None)?;
            let is_aws = |namespace: &str| namespace.starts_with("AWS/") || namespace.starts_with("/aws/");
            if asked.series().iter().any(|series| is_aws(&series.namespace)) {
                let known = self.machines.lock().unwrap_or_else(PoisonError::into_inner).get(&subject.target).cloned();
                let every = known.and_then(|machines| machines.every);
                let (shortest, what) = match every {
                    Some(every) if every >= PUBLISHED || self.is_published(subject, every, until).await? => {
                        (every, "the enhanced metrics of the endpoint")
                    }
                    Some(_) => {
                        (PUBLISHED, "what CloudWatch has of the endpoint, which says that it publishes more often")
                    }
                    None => (PUBLISHED, "the metrics that AWS publishes"),
                };
                return Ok(Some(Granularity { shortest, because: format!("one point of {what}") }));
            }
        }
        // How often others publish theirs is theirs to know.
        Ok(None)
    }

    /// CloudWatch adds points up as they grow old (API reference, `MetricStat`).
    fn kept(&self, length: Duration) -> Option<Duration> {
        const HOUR: Duration = Duration::from_secs(3_600);
        Some(match length.as_secs() {
            seconds if seconds % 3_600 == 0 => HOUR * 24 * 455,
            seconds if seconds % 300 == 0 => HOUR * 24 * 63,
            seconds if seconds % 60 == 0 => HOUR * 24 * 15,
            _ => HOUR * 3,
        })
    }

    fn settle_delay(&self, _: &Query, subject: &Subject) -> Duration {
        let timeouts = self.timeouts.lock().unwrap_or_else(PoisonError::into_inner);
        let runs = timeouts.get(&(subject.target.clone(), subject.revision.clone())).copied().unwrap_or_default();
        self.settings.settle_delay.unwrap_or(SETTLE_DELAY + runs)
    }
}
