//! The series that a Prometheus has which scrapes every revision's counters.
//!
//! A series begins at the first scrape after its first request, so what it first shows is no increase. The process of a
//! revision goes on when nobody asks it any more, and its series with it. One that was never asked has only `up`.

use std::collections::BTreeMap;
use std::time::Duration;

use mlroll_backend::{RevisionId, Target};

use crate::scenario::Prometheus;
use crate::traffic::{BOUNDS, Counters, SCORE_BOUNDS, Traffic};

/// How long before the sandbox began Prometheus did: 26 hours, as its users.
const HISTORY: i64 = 26 * 3_600_000;

/// The labels of a series, its name among them as `__name__`.
pub(super) type Labels = BTreeMap<String, String>;

/// The label that is the name.
pub(super) const NAME: &str = "__name__";

/// What a series counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Succeeded,
    Failed,
    LatencyBucket(usize),
    LatencySum,
    LatencyCount,
    ScoreBucket(usize),
    ScoreSum,
    ScoreCount,
    Conversions,
    Compared,
    Differing,
    Carbon,
    Up,
}

/// A process that is scraped: a revision of a target.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    target: Target,
    revision: RevisionId,
    /// How long after a multiple of the interval it is scraped, in milliseconds.
    phase: i64,
}

/// One series.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) labels: Labels,
    pub(super) kind: Kind,
    /// Its place in the list of instances.
    pub(super) instance: usize,
}

/// What was scraped so far.
#[derive(Debug)]
pub(super) struct Store<'a> {
    traffic: &'a mut Traffic,
    instances: Vec<Instance>,
    pub(super) series: Vec<Series>,
    interval: i64,
    /// What a sum of seconds is multiplied by.
    unit: f64,
    /// The first and the last moment that a sample may have, in milliseconds since 1970.
    began: i64,
    visible: i64,
    scraped: BTreeMap<(usize, i64), Counters>,
}

/// A service's name, and that of its alias where it has one.
fn names(target: &Target) -> (&str, Option<&str>) {
    match target {
        Target::AzureMl(endpoint) => (&endpoint.endpoint, None),
        Target::CloudRun(service) => (&service.service, None),
        Target::Lambda(alias) => (&alias.function, Some(&alias.alias)),
        Target::SageMaker(endpoint) => (&endpoint.endpoint, None),
    }
}

impl Kind {
    fn all() -> impl Iterator<Item = Self> {
        let latencies = (0..=BOUNDS.len()).map(Self::LatencyBucket);
        let scores = (0..=SCORE_BOUNDS.len()).map(Self::ScoreBucket);
        let rest = [
            Self::Succeeded,
            Self::Failed,
            Self::LatencySum,
            Self::LatencyCount,
            Self::ScoreSum,
            Self::ScoreCount,
            Self::Conversions,
            Self::Compared,
            Self::Differing,
            Self::Carbon,
            Self::Up,
        ];
        rest.into_iter().chain(latencies).chain(scores)
    }

    /// The metric's name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Succeeded | Self::Failed => "http_requests_total",
            Self::LatencyBucket(_) => "http_request_duration_seconds_bucket",
            Self::LatencySum => "http_request_duration_seconds_sum",
            Self::LatencyCount => "http_request_duration_seconds_count",
            Self::ScoreBucket(_) => "model_score_bucket",
            Self::ScoreSum => "model_score_sum",
            Self::ScoreCount => "model_score_count",
            Self::Conversions => "conversions_total",
            Self::Compared => "shadow_answers_compared_total",
            Self::Differing => "shadow_answers_differing_total",
            Self::Carbon => "gco2e_grams_total",
            Self::Up => "up",
        }
    }

    /// The label that only this kind has.
    fn label(self) -> Option<(&'static str, String)> {
        let bound = |bounds: &[f64], place| bounds.get(place).map_or_else(|| "+Inf".to_owned(), f64::to_string);
        match self {
            Self::Succeeded => Some(("code", "200".to_owned())),
            Self::Failed => Some(("code", "500".to_owned())),
            Self::LatencyBucket(place) => Some(("le", bound(&BOUNDS, place))),
            Self::ScoreBucket(place) => Some(("le", bound(&SCORE_BOUNDS, place))),
            Self::LatencySum
            | Self::LatencyCount
            | Self::ScoreSum
            | Self::ScoreCount
            | Self::Conversions
            | Self::Compared
            | Self::Differing
            | Self::Carbon
            | Self::Up => None,
        }
    }

    /// Its name in Cloud Monitoring's PromQL, and the labels that only this kind has; nothing where it is not there.
    fn on_cloud_run(self) -> Option<(&'static str, Vec<(&'static str, String)>)> {
        let answered = |code: &str, class: &str| {
            vec![("response_code", code.to_owned()), ("response_code_class", class.to_owned())]
        };
        match self {
            Self::Succeeded => Some(("run_googleapis_com:request_count", answered("200", "2xx"))),
            Self::Failed => Some(("run_googleapis_com:request_count", answered("500", "5xx"))),
            Self::LatencyBucket(place) => {
                let bound = BOUNDS.get(place).map_or_else(|| "+Inf".to_owned(), |bound| (bound * 1000.0).to_string());
                Some(("run_googleapis_com:request_latencies_bucket", vec![("le", bound)]))
            }
            Self::LatencySum => Some(("run_googleapis_com:request_latencies_sum", Vec::new())),
            Self::LatencyCount => Some(("run_googleapis_com:request_latencies_count", Vec::new())),
            Self::ScoreBucket(_)
            | Self::ScoreSum
            | Self::ScoreCount
            | Self::Conversions
            | Self::Compared
            | Self::Differing
            | Self::Carbon
            | Self::Up => None,
        }
    }

    /// What it shows; nothing before there is something to show.
    fn value(self, counters: &Counters) -> Option<f64> {
        let once = |there: u64, value: f64| (there > 0).then_some(value);
        let upto = |counts: &[u64], place: usize| counts.iter().take(place + 1).sum::<u64>() as f64;
        let requests = counters.requests;
        match self {
            Self::Succeeded => once(requests - counters.errors, (requests - counters.errors) as f64),
            Self::Failed => once(counters.errors, counters.errors as f64),
            Self::LatencyBucket(place) => once(requests, upto(&counters.latency, place)),
            Self::LatencySum => once(requests, counters.latency_seconds),
            Self::LatencyCount => once(requests, requests as f64),
            Self::ScoreBucket(place) => once(counters.scored(), upto(&counters.score, place)),
            Self::ScoreSum => once(counters.scored(), counters.scores),
            Self::ScoreCount => once(counters.scored(), counters.scored() as f64),
            Self::Conversions => once(requests, counters.conversions as f64),
            Self::Compared => once(counters.compared, counters.compared as f64),
            Self::Differing => once(counters.compared, counters.differing as f64),
            Self::Carbon => (counters.gco2e_grams > 0.0).then_some(counters.gco2e_grams),
            Self::Up => Some(1.0),
        }
    }
}

impl<'a> Store<'a> {
    /// What can be seen at `now`, in milliseconds since 1970.
    pub(super) fn new(traffic: &'a mut Traffic, settings: &Prometheus, now: i64) -> Self {
        let interval = (settings.scrape.as_secs() as i64).max(1) * 1000;
        let key = traffic.key().named("scrape");
        let mut instances = Vec::new();
        let mut series = Vec::new();
        for (target, revisions) in traffic.revisions() {
            for revision in revisions {
                let (service, alias) = names(target);
                let uri = target.to_string();
                let phase = key.named(&uri).named(revision.as_str()).unit() * interval as f64;
                for kind in Kind::all() {
                    let mut labels = Labels::new();
                    let alias = alias.map(|alias| ("alias", alias.to_owned()));
                    let common = [
                        (NAME, kind.name().to_owned()),
                        ("instance", uri.clone()),
                        ("job", "sandbox".to_owned()),
                        ("service", service.to_owned()),
                        ("version", revision.as_str().to_owned()),
                    ];
                    for (name, value) in common.into_iter().chain(alias).chain(kind.label()) {
                        labels.insert(name.to_owned(), value);
                    }
                    series.push(Series { labels, kind, instance: instances.len() });
                }
                instances.push(Instance { target: target.clone(), revision: revision.clone(), phase: phase as i64 });
            }
        }
        let began = traffic.began().unix_milliseconds() - HISTORY;
        let visible = now.saturating_sub(i64::try_from(settings.delay.as_millis()).unwrap_or(i64::MAX));
        Self { traffic, instances, series, interval, unit: 1.0, began, visible, scraped: BTreeMap::new() }
    }

    /// What Cloud Monitoring has of a project's Cloud Run services at `now`, in milliseconds since 1970: a sample a minute,
    /// under the names and labels of its PromQL, latencies in milliseconds.
    pub(super) fn of_cloud_run(traffic: &'a mut Traffic, project: &str, delay: Duration, now: i64) -> Self {
        let mut store = Self::new(traffic, &Prometheus { scrape: Duration::from_secs(60), delay }, now);
        store.unit = 1000.0;
        let instances = &store.instances;
        let renamed = store.series.iter().filter_map(|series| {
            let Instance { target: Target::CloudRun(service), revision, .. } = instances.get(series.instance)? else {
                return None;
            };
            let (name, own) = series.kind.on_cloud_run()?;
            let common = [
                (NAME, name.to_owned()),
                ("monitored_resource", "cloud_run_revision".to_owned()),
                ("project_id", service.project.clone()),
                ("location", service.region.clone()),
                ("service_name", service.service.clone()),
                ("configuration_name", service.service.clone()),
                ("revision_name", revision.to_string()),
            ];
            let labels = common.into_iter().chain(own).map(|(name, value)| (name.to_owned(), value)).collect();
            (service.project == project).then_some(Series { labels, ..series.clone() })
        });
        store.series = renamed.collect();
        store
    }

    /// The samples of a series from one moment to another, both included, in milliseconds since 1970.
    pub(super) fn samples(&mut self, series: &Series, from: i64, until: i64) -> Vec<(i64, f64)> {
        let mut samples = Vec::new();
        let Some(instance) = self.instances.get(series.instance) else {
            return samples;
        };
        let from = from.max(self.began);
        let until = until.min(self.visible);
        // The first scrape at or after `from`.
        let mut number = (from - instance.phase + self.interval - 1).div_euclid(self.interval);
        loop {
            let at = number * self.interval + instance.phase;
            if at > until {
                break;
            }
            let counters = self.scraped.entry((series.instance, number)).or_insert_with(|| {
                // Whole seconds that are over by then.
                self.traffic.counted(&instance.target, &instance.revision, at.div_euclid(1000))
            });
            if let Some(value) = series.kind.value(counters) {
                samples.push((at, if series.kind == Kind::LatencySum { value * self.unit } else { value }));
            }
            number += 1;
        }
        samples
    }

    /// The newest sample from one moment to another, both included.
    pub(super) fn newest(&mut self, series: &Series, from: i64, until: i64) -> Option<(i64, f64)> {
        let until = until.min(self.visible);
        let phase = self.instances.get(series.instance)?.phase;
        let at = (until - phase).div_euclid(self.interval) * self.interval + phase;
        // Once there, a series goes on: no older sample is there without this one.
        if at < from { None } else { self.samples(series, at, at).pop() }
    }
}
