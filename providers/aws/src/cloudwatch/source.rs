//! [`MetricSource`] on CloudWatch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use mlroll_backend::{
    Error, ErrorKind, Granularity, MetricSource, Query, Result, RevisionId, Sample, Subject, Target, Timestamp, Usage,
    Why, Window, Wiretap,
};
use serde_json::json;

use super::alarms::Alarm;
use super::batch::{Batch, batches};
use super::machines::Machines;
use super::question::{Asked, Question};
use super::series::{Readings, Series};
use super::wire::{Answer, alarm_history, describe_alarms, get_metric_data, words};
use crate::session::Session;

/// Points of a minute are complete two minutes after it (nerdswords/yet-another-cloudwatch-exporter#1796).
const SETTLE_DELAY: Duration = Duration::from_secs(120);

/// AWS publishes the metrics of its services once a minute.
const PUBLISHED: Duration = Duration::from_secs(60);

/// How far back it is looked whether metrics are published as often as they should be, in seconds.
const LOOKED_BACK: i64 = 600;

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
        let new = |query| Question::new(query, &self.settings.slower_than);
        let questions: Vec<Question> = queries.iter().map(new).collect::<Result<_>>()?;
        let short = windows.iter().any(|window| window.length() < PUBLISHED);
        let mut failure = None;
        let machines = if short || questions.iter().any(Question::needs_machines) {
            self.machines_of(subjects, &mut failure).await
        } else {
            BTreeMap::new()
        };
        let mut asked: Vec<Vec<Asked>> = Vec::with_capacity(queries.len());
        for question in &questions {
            for subject in subjects {
                let known = machines.get(&subject.target).and_then(|known| known.as_ref().ok());
                // What could not be found out is no reason to refuse.
                let unknown = machines.get(&subject.target).is_some_and(Result::is_err);
                for window in windows.iter().filter(|_| !unknown) {
                    question.allows(*window, known)?;
                }
            }
            let about = |subject: &Subject| {
                let mut asked = question.about(subject, machines.get(&subject.target))?;
                if self.untold.lock().unwrap_or_else(PoisonError::into_inner).contains(&subject.target) {
                    asked.ask_for_the_whole();
                }
                Ok(asked)
            };
            asked.push(subjects.iter().map(about).collect::<Result<_>>()?);
        }
        let mut readings = Readings::default();
        if let Some(about) = subjects.first().map(|subject| &subject.target) {
            let fault = self.read_alarms(asked.iter().flatten(), windows, about, &mut readings).await;
            failure = failure.or(fault);
        }
        let series: BTreeSet<_> = asked.iter().flatten().flat_map(Asked::series).cloned().collect();
        let fault = self.read_all(series.clone(), subjects, windows, &mut readings).await;
        failure = failure.or(fault);
        if self.learn_untold(&mut asked, subjects, windows, &readings) {
            let all = asked.iter().flatten().flat_map(Asked::series).cloned();
            let more = all.filter(|one| !series.contains(one)).collect();
            let fault = self.read_all(more, subjects, windows, &mut readings).await;
            failure = failure.or(fault);
        }
        let mut samples = Vec::with_capacity(queries.len() * subjects.len() * windows.len());
        for beside in &asked {
            for one in beside {
                samples.extend(windows.iter().map(|window| one.read(&readings, *window, windows, beside)));
            }
        }
        Ok((samples, failure))
    }

    /// Finds those who had all requests and of whom nothing is told by name. From then on what stands for them is asked for at once.
    fn learn_untold(
        &self,
        asked: &mut [Vec<Asked>],
        subjects: &[Subject],
        windows: &[Window],
        readings: &Readings,
    ) -> bool {
        let found = asked.iter().flat_map(|beside| beside.iter().zip(subjects));
        let found = found.filter(|(one, _)| one.lacks_the_whole(readings, windows));
        let found: BTreeSet<Target> = found.map(|(_, subject)| subject.target.clone()).collect();
        for (one, _) in asked
            .iter_mut()
            .flat_map(|beside| beside.iter_mut().zip(subjects))
            .filter(|(_, subject)| found.contains(&subject.target))
        {
            one.ask_for_the_whole();
        }
        let learnt = !found.is_empty();
        self.untold.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
        learnt
    }

    /// What the endpoints run on, or why that is not known; the first failure is left in `failure`.
    async fn machines_of(
        &self,
        subjects: &[Subject],
        failure: &mut Option<Error>,
    ) -> BTreeMap<Target, Result<Machines, Why>> {
        let mut all = BTreeMap::new();
        for target in subjects.iter().map(|subject| &subject.target) {
            if all.contains_key(target) {
                continue;
            }
            match self.machines_at(target).await {
                None => {}
                Some(Ok(machines)) => {
                    all.insert(target.clone(), Ok(machines));
                }
                Some(Err(error)) => {
                    let why = Why::Failed { kind: error.kind(), message: error.to_string() };
                    all.insert(target.clone(), Err(why));
                    failure.get_or_insert(error);
                }
            }
        }
        all
    }

    /// What an endpoint runs on, asked for once; `None` for what is none.
    pub(super) async fn machines_at(&self, target: &Target) -> Option<Result<Machines>> {
        let known = self.machines.lock().unwrap_or_else(PoisonError::into_inner).get(target).cloned();
        if let Some(known) = known {
            return Some(Ok(known));
        }
        let found = self.find_machines(target).await?;
        if let Ok(machines) = &found {
            let mut known = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(target.clone(), machines.clone());
        }
        Some(found)
    }

    /// Whether the store has as many points as an endpoint says that it publishes, by those of the last minutes before `until`. That it
    /// has had nothing to tell is no reason for doubt.
    pub(super) async fn is_published(&self, subject: &Subject, every: Duration, until: Timestamp) -> Result<bool> {
        let asked = Question::new(&Query::Requests, &[])?.about(subject, None)?;
        let series: BTreeSet<Series> = asked.series().into_iter().cloned().collect();
        let row = |length: Duration| -> Vec<Window> {
            let seconds = i64::try_from(length.as_secs()).unwrap_or(i64::MAX).max(1);
            let minute = until.unix_seconds().div_euclid(60) * 60;
            let at = |n: i64| Timestamp::from_unix_seconds(minute - LOOKED_BACK + n * seconds);
            (0..LOOKED_BACK / seconds).filter_map(|n| Window::new(at(n)?, at(n + 1)?).ok()).collect()
        };
        let (short, minutes) = (row(every), row(PUBLISHED));
        let (mut readings, all) = (Readings::default(), [short.clone(), minutes.clone()].concat());
        if let Some(error) = self.read_all(series.clone(), std::slice::from_ref(subject), &all, &mut readings).await {
            return Err(error);
        }
        let told = |windows: &[Window]| {
            let is_told = |window: &&Window| series.iter().any(|one| matches!(readings.at(one, **window), Ok(Some(_))));
            windows.iter().filter(is_told).count()
        };
        Ok(told(&minutes) < 3 || told(&short) > told(&minutes))
    }

    /// `None` for what is no endpoint.
    async fn find_machines(&self, target: &Target) -> Option<Result<Machines>> {
        match target {
            #[cfg(feature = "sagemaker")]
            Target::SageMaker(endpoint) => {
                let found = crate::sagemaker::machines(&self.session, target, endpoint).await;
                Some(found.map(|(kinds, every)| Machines { every, kinds }))
            }
            #[cfg(not(feature = "sagemaker"))]
            Target::SageMaker(_) => None,
            Target::AzureMl(_) | Target::CloudRun(_) | Target::Lambda(_) => None,
        }
    }

    /// Reads each alarm once, and the history of those that changed since the first window began.
    async fn read_alarms(
        &self,
        asked: impl Iterator<Item = &Asked>,
        windows: &[Window],
        about: &Target,
        readings: &mut Readings,
    ) -> Option<Error> {
        let mut by_region: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (region, names) in asked.filter_map(Asked::alarms) {
            by_region.entry(region).or_default().extend(names.iter().map(String::as_str));
        }
        let from = windows.iter().map(|window| window.start().unix_milliseconds()).min().unwrap_or_default();
        let mut failure: Option<Error> = None;
        for (region, names) in by_region {
            let client = self.session.cloudwatch(region).await;
            let names: Vec<&str> = names.into_iter().collect();
            let mut all = describe_alarms(&client, &names, about, &self.usage).await;
            for name in names {
                let read = match &mut all {
                    Err(error) => Err(Error::new(error.kind(), error.operation(), error.to_string())),
                    Ok(all) => match all.remove(name) {
                        None => {
                            let message = format!("there is no alarm `{name}` in {region}");
                            Err(Error::new(ErrorKind::NotFound, "DescribeAlarms", message))
                        }
                        Some(alarm) if alarm.is_older_than(from) => Ok(alarm),
                        Some(alarm) => match alarm_history(&client, name, from, about, &self.usage).await {
                            Ok(turns) => Ok(Alarm { turns, ..alarm }),
                            // What was before nobody knows; that it is open is known, and counts.
                            Err(error) => match alarm.opened() {
                                Some(turn) => {
                                    failure.get_or_insert(error);
                                    Ok(Alarm { turns: vec![turn], ..alarm })
                                }
                                None => Err(error),
                            },
                        },
                    },
                };
                let read = read.map_err(|error| {
                    let why = Why::Failed { kind: error.kind(), message: error.to_string() };
                    failure.get_or_insert(error);
                    why
                });
                readings.add_alarm(region, name, read);
            }
            if let Err(error) = all {
                failure = Some(error);
            }
        }
        failure
    }

    /// Reads series over all windows; what failed is in the readings too.
    async fn read_all(
        &self,
        series: BTreeSet<Series>,
        subjects: &[Subject],
        windows: &[Window],
        readings: &mut Readings,
    ) -> Option<Error> {
        let about = &subjects.first()?.target;
        let mut failure = None;
        for batch in batches(series, windows) {
            let fault = self.read(&batch, about, readings).await;
            failure = failure.or(fault);
        }
        failure
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
                timeouts.insert((subject.target.clone(), subject.revision.clone()), timeout);
            }
        }
        #[cfg(not(feature = "lambda"))]
        let _ = subjects;
        Ok(())
    }

    fn words(&self, query: &Query, subject: &Subject, length: Duration) -> Option<String> {
        let asked = Question::new(query, &self.settings.slower_than).ok()?.about(subject, None).ok()?;
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
                // Who may not look at the endpoint config is not kept from its metrics.
                let every = self.machines_at(&subject.target).await.and_then(|known| known.ok()?.every);
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
