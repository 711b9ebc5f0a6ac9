//! What a look costs besides the query: judging it, the engine's step, and the journal's line.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use mlroll::driver::Bench;
use mlroll::journal::{Folder, Header, Journal, Record};
use mlroll::judge::gate::Gate;
use mlroll::rollout::engine::{Action, Input, Kind, Plan, Reaction, Rollout, Terms};
use mlroll_backend::{
    GuardToken, Histogram, MetricSource, Nature, Query, Readiness, Result, Roles, Sample, Snapshot, Subject, Target,
    Timestamp, TrafficSplit, Weight, Window,
};

/// A store that knows the answer before it is asked.
#[derive(Debug)]
struct Known;

#[async_trait]
impl MetricSource for Known {
    async fn sample(&self, queries: &[Query], subjects: &[Subject], windows: &[Window]) -> Result<Vec<Sample>> {
        let buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0, f64::INFINITY];
        let histogram = || buckets.iter().enumerate().map(|(n, le)| (*le, 900.0 + 8.0 * n as f64)).collect();
        let answer = |query: &Query| match query.name() {
            "error_rate" => Sample::counts(1000.0, 5.0),
            "latency" => Sample::Histogram(Histogram::new(histogram()).unwrap()),
            _ => Sample::value(0.5),
        };
        Ok(queries.iter().flat_map(|query| vec![answer(query); subjects.len() * windows.len()]).collect())
    }

    async fn check(&self, queries: &[Query], subjects: &[Subject], window: Window) -> Result<Vec<Sample>> {
        self.sample(queries, subjects, &[window]).await
    }

    fn settle_delay(&self, _: &Query, _: &Subject) -> Duration {
        Duration::ZERO
    }
}

fn gates() -> Vec<Gate> {
    let gates = [
        r#"{"metric":"error_rate","max_increase":{"ratio":2.0,"abs":"2%"}}"#,
        r#"{"name":"limit","metric":"error_rate","max":"2%"}"#,
        r#"{"metric":"latency","quantile":0.95,"max":"300ms"}"#,
    ];
    gates.iter().map(|gate| serde_json::from_str(gate).unwrap()).collect()
}

fn plan(looks: u32) -> Plan {
    let minute = Duration::from_secs(60);
    let terms = Terms {
        id: "01J0000000000000000000000A".to_owned(),
        kind: Kind::Canary,
        stable: "2".parse().unwrap(),
        candidate: "3".parse().unwrap(),
        previous: None,
        steps: vec![Weight::from_basis_points(1000).unwrap()],
        bake: minute * looks,
        judged: true,
        warm_up: Duration::ZERO,
        min_bake: minute * looks,
        look: minute,
        settle_delay: Duration::ZERO,
        kept: None,
        watch_after: Duration::ZERO,
        alpha: 0.01,
        beta: 0.05,
        on_fail: Reaction::Hold,
        on_inconclusive: Reaction::Hold,
        on_starved: Reaction::Hold,
        no_data_budget: minute * 10,
        settle_timeout: minute,
        note_limit: 256,
        overtakes: true,
        capacity: false,
        restores_when_halted: false,
        experiment: None,
        score: None,
    };
    Plan::new(terms, Weight::from_basis_points(1).unwrap()).unwrap()
}

/// Time that this thread was on a processor; the time that passed where the system does not tell.
struct Stopwatch(Option<Duration>, Instant);

impl Stopwatch {
    fn on_processor() -> Option<Duration> {
        let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        told.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
    }

    fn start() -> Self {
        Self(Self::on_processor(), Instant::now())
    }

    fn stop(&self) -> Duration {
        match (self.0, Self::on_processor()) {
            (Some(from), Some(until)) => until - from,
            _ => self.1.elapsed(),
        }
    }
}

/// Processor time of each look of a bake: all that happens until the next windows are asked for.
pub fn costs(looks: u32) -> Vec<Duration> {
    let folder = tempfile::TempDir::new().unwrap();
    let store = Folder::new(folder.path());
    let target: Target = "lambda:us-east-1/fraud@prod".parse().unwrap();
    let plan = plan(looks);
    let mut now = Timestamp::from_unix_seconds(1_795_230_000).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let gates = gates();
    let prepared = Bench::prepare(Box::new(Known), &gates, &plan, &target, None, now);
    let mut bench = runtime.block_on(prepared).unwrap();
    let header =
        Header { target: target.to_string(), at: now, reason: None, plan: plan.clone(), metrics: Default::default() };
    let (mut journal, begun) = Journal::begin(&store, &header);
    begun.unwrap();
    let mut rollout = Rollout::new(plan.clone());
    let stable: mlroll_backend::RevisionId = "2".parse().unwrap();
    let mut seen = Snapshot {
        split: Some(TrafficSplit::between(stable.clone(), "3".parse().unwrap(), Weight::ZERO)),
        roles: Roles { stable: Some(stable), ..Roles::default() },
        marker: None,
        guard: GuardToken { token: "a".to_owned(), own_text: String::new() },
        readiness: Readiness::Live,
        modified: None,
        taken_back: None,
        contents: None,
        replaced: None,
        nature: Nature::default(),
    };
    let (mut input, mut costs) = (Input::Started, Vec::new());
    let mut watch: Option<Stopwatch> = None;
    loop {
        let evidence = matches!(input, Input::Judged(_) | Input::Started).then(|| bench.evidence()).flatten();
        let read = bench.take_read();
        let basis = if matches!(input, Input::Started) {
            bench.asked(&plan)
        } else {
            read.filter(|_| matches!(input, Input::Judged(_)))
        };
        let action = rollout.step(input.clone(), now);
        let record = Record { at: now, input: input.clone(), action: action.clone(), evidence, basis };
        journal.append(&record).unwrap();
        if matches!(action, Action::Done { .. } | Action::Sample(_)) {
            costs.extend(watch.take().map(|watch| watch.stop()));
        }
        input = match action {
            Action::Done { .. } => return costs,
            Action::Observe => Input::Observed(Box::new(seen.clone())),
            Action::Prepare(_) => Input::Prepared,
            Action::Restore { .. } => Input::Restored,
            Action::Size { .. } => Input::Sized(None),
            Action::Shift { to, marker, .. } => {
                seen.split = Some(to);
                seen.marker = Some(marker);
                seen.guard.token.push('a');
                Input::Accepted
            }
            Action::Wait { until, .. } => {
                now = until;
                Input::TimeReached
            }
            Action::Sample(windows) => {
                watch = Some(Stopwatch::start());
                Input::from(runtime.block_on(bench.judge(windows, &plan)))
            }
        };
    }
}

/// The one in the middle, and the one that only a twentieth is dearer than.
pub fn summary(costs: &[Duration]) -> (Duration, Duration) {
    let mut sorted = costs.to_vec();
    sorted.sort();
    (sorted[sorted.len() / 2], sorted[sorted.len() * 19 / 20])
}
