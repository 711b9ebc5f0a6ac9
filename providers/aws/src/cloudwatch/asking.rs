//! From questions to samples: made ready for each source that is asked, read for all of them at once, and told to each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;
use std::time::Duration;

use mlroll_backend::{Error, ErrorKind, Query, Result, Sample, Subject, Target, Timestamp, Why, Window};

use super::CloudWatch;
use super::alarms::Alarm;
use super::batch::{Batch, batches};
use super::machines::Machines;
use super::question::{Asked, Question};
use super::series::{Readings, Series};
use super::source::PUBLISHED;
use super::wire::{Answer, alarm_history, describe_alarms, get_metric_data};

/// How far back it is looked whether metrics are published as often as they should be, in seconds.
const LOOKED_BACK: i64 = 10 * MINUTE;

/// In seconds.
const MINUTE: i64 = 60;

/// What one source is asked, made ready.
#[derive(Debug)]
pub(super) struct Ready<'a> {
    source: &'a CloudWatch,
    subjects: &'a [Subject],
    /// By query, then subject.
    asked: Vec<Vec<Asked>>,
    /// What could not be found out about the subjects.
    pub(super) failure: Option<Error>,
}

/// Reads what all of them need, each series once; what failed is in the readings too.
pub(super) async fn read(all: &mut [&mut Ready<'_>], windows: &[Window]) -> (Readings, Vec<Error>) {
    let mut readings = Readings::default();
    let first = all.iter().find_map(|ready| Some((ready.source, &ready.subjects.first()?.target)));
    let Some((store, about)) = first else { return (readings, Vec::new()) };
    let asked = all.iter().flat_map(|ready| ready.asked.iter().flatten());
    let mut failures: Vec<Error> =
        store.read_alarms(asked.clone(), windows, about, &mut readings).await.into_iter().collect();
    let series: BTreeSet<Series> = asked.flat_map(Asked::series).cloned().collect();
    failures.extend(store.read_all(series.clone(), about, windows, &mut readings).await);
    // All of them find out what they can.
    let learnt = all.iter_mut().map(|ready| ready.learn_untold(windows, &readings)).filter(|learnt| *learnt).count();
    if learnt > 0 {
        let asked = all.iter().flat_map(|ready| ready.asked.iter().flatten());
        let more = asked.flat_map(Asked::series).filter(|one| !series.contains(one)).cloned().collect();
        failures.extend(store.read_all(more, about, windows, &mut readings).await);
    }
    (readings, failures)
}

impl Ready<'_> {
    /// A sample for each combination, in the order that [`MetricSource::sample`](mlroll_backend::MetricSource::sample) promises.
    pub(super) fn samples(&self, readings: &Readings, windows: &[Window]) -> Vec<Sample> {
        let of = |beside: &[Asked]| -> Vec<Sample> {
            let one = |one: &Asked| windows.iter().map(|w| one.read(readings, *w, windows, beside)).collect::<Vec<_>>();
            beside.iter().flat_map(one).collect()
        };
        self.asked.iter().flat_map(|beside| of(beside)).collect()
    }

    /// Finds those who had all requests and of whom nothing is told by name. From then on what stands for them is asked for at once.
    fn learn_untold(&mut self, windows: &[Window], readings: &Readings) -> bool {
        let Self { source, subjects, asked, .. } = self;
        let found = asked.iter().flat_map(|beside| beside.iter().zip(*subjects));
        let found = found.filter(|(one, _)| one.lacks_the_whole(readings, windows));
        let found: BTreeSet<Target> = found.map(|(_, subject)| subject.target.clone()).collect();
        for (one, _) in asked
            .iter_mut()
            .flat_map(|beside| beside.iter_mut().zip(*subjects))
            .filter(|(_, subject)| found.contains(&subject.target))
        {
            one.ask_for_the_whole();
        }
        let learnt = !found.is_empty();
        source.untold.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
        learnt
    }
}

impl CloudWatch {
    /// Finds out what has to be known of the subjects, and which series answer each query for each of them.
    ///
    /// # Errors
    /// `Invalid` or `Unsupported`: nobody can ask that.
    pub(super) async fn ready<'a>(
        &'a self,
        queries: &[Query],
        subjects: &'a [Subject],
        windows: &[Window],
    ) -> Result<Ready<'a>> {
        let new = |query| Question::new(query, &self.settings.slower_than);
        let questions: Vec<Question> = queries.iter().map(new).collect::<Result<_>>()?;
        self.learn_spelling(subjects).await;
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
                let mut asked = question.about(&self.spelled(subject), machines.get(&subject.target))?;
                if self.untold.lock().unwrap_or_else(PoisonError::into_inner).contains(&subject.target) {
                    asked.ask_for_the_whole();
                }
                Ok(asked)
            };
            asked.push(subjects.iter().map(about).collect::<Result<_>>()?);
        }
        Ok(Ready { source: self, subjects, asked, failure })
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

    /// Whether the store has points as often as an endpoint says that it publishes them, by those of the last minutes before `until`: where
    /// it has minutes only, those of a shorter period all begin with one. Few or none are no reason for doubt: points of less than a
    /// minute may be gone by now.
    pub(super) async fn is_published(&self, subject: &Subject, every: Duration, until: Timestamp) -> Result<bool> {
        let asked = Question::new(&Query::Requests, &[])?.about(&self.spelled(subject), None)?;
        let series: BTreeSet<Series> = asked.series().into_iter().cloned().collect();
        let seconds = i64::try_from(every.as_secs()).unwrap_or(i64::MAX).max(1);
        let first = until.unix_seconds().div_euclid(MINUTE) * MINUTE - LOOKED_BACK;
        let at = |n: i64| Timestamp::from_unix_seconds(first + n * seconds);
        let windows: Vec<Window> =
            (0..LOOKED_BACK / seconds).filter_map(|n| Window::new(at(n)?, at(n + 1)?).ok()).collect();
        let mut readings = Readings::default();
        let failures = self.read_all(series.clone(), &subject.target, &windows, &mut readings).await;
        if let Some(error) = failures.into_iter().next() {
            return Err(error);
        }
        let is_told = |window: &&Window| series.iter().any(|one| matches!(readings.at(one, **window), Ok(Some(_))));
        let told: Vec<&Window> = windows.iter().filter(is_told).collect();
        Ok(told.len() < 3 || told.iter().any(|window| window.start().unix_seconds() % MINUTE != 0))
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

    /// Reads series over all windows.
    async fn read_all(
        &self,
        series: BTreeSet<Series>,
        about: &Target,
        windows: &[Window],
        readings: &mut Readings,
    ) -> Vec<Error> {
        let mut failures = Vec::new();
        for batch in batches(series, windows) {
            failures.extend(self.read(&batch, about, readings).await);
        }
        failures
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
