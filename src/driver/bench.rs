//! The bench: gates, the store they read, and the evidence they have.

use std::time::Duration;

use mlroll_backend::{
    ErrorKind, Granularity, MetricSource, Query, Resource, RevisionId, Sample, Subject, Target, Timestamp, Usage, Why,
    Window,
};
use serde_json::Value;

use super::Standing;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::journal::{Asked, Basis};
use crate::judge::gate::{Gate, Rule};
use crate::judge::panel::{Evidence, Finding, Prelude};
use crate::rollout::engine::{Look, Plan, Rollout, Stage, Verdict, Windows};

/// Windows of the stable revision that its burstiness is measured on (docs/judge.md section 3.7).
const HISTORY: u32 = 40;

/// Gates, the store they read, and the evidence they have.
#[derive(Debug)]
pub struct Bench {
    /// None for a run that is on its way back: what is decided is not judged again.
    judged_by: Option<Box<dyn MetricSource>>,
    queries: Vec<Query>,
    candidate: Subject,
    stable: Subject,
    standing: Option<Standing>,
    /// Critical gates with an alarm that was open before anything was judged.
    open_before: Vec<String>,
    /// What is assumed, because it could not be measured.
    assumed: Vec<String>,
    /// What was judged last.
    read: Vec<Vec<Evidence>>,
    /// Since when this process watches, where it went on with a run.
    watched_since: Option<Timestamp>,
}

/// What a gate asks the store for.
///
/// # Errors
/// It names a metric that is not built in.
pub fn query_of(gate: &Gate) -> Result<Query, Failure> {
    let of = undivided(gate)?;
    Ok(match gate.strata() {
        Some(by) => Query::Stratified { by: by.to_owned(), of: Box::new(of) },
        None => of,
    })
}

fn undivided(gate: &Gate) -> Result<Query, Failure> {
    if let Some(names) = gate.alarms() {
        return Ok(Query::Alarms(names.to_vec()));
    }
    if let Some((requests, events)) = gate.ratio() {
        return Ok(Query::Ratio { requests: requests.to_owned(), events: events.to_owned() });
    }
    if let Some(scores) = gate.scores() {
        return Ok(Query::Scores(scores.to_owned()));
    }
    match (gate.query(), gate.metric()) {
        (Some(text), _) => Ok(Query::Custom(text.to_owned())),
        (None, Some("availability" | "error_rate")) => Ok(Query::ErrorRate),
        (None, Some("cpu_headroom")) => Ok(Query::Headroom(Resource::Cpu)),
        (None, Some("gpu_headroom")) => Ok(Query::Headroom(Resource::Gpu)),
        (None, Some("gpu_memory_headroom")) => Ok(Query::Headroom(Resource::GpuMemory)),
        (None, Some("instance_startup")) => Ok(Query::InstanceStartup),
        (None, Some("latency")) => Ok(match (gate.rule(), gate.quantile()) {
            (Rule::Samples(_) | Rule::Series(_), Some(q)) => Query::Quantile((q * 1e6).round() as u32),
            (_, _) => Query::Latency,
        }),
        (None, Some("memory_headroom")) => Ok(Query::Headroom(Resource::Memory)),
        (None, Some("pending_requests")) => Ok(Query::PendingRequests),
        (None, Some("requests")) => Ok(Query::Requests),
        (None, other) => Err(Failure::usage(format!(
            "gate `{}`: there is no built-in metric `{}`; allowed are error_rate, availability, latency, requests, \
             instance_startup, pending_requests, cpu_headroom, memory_headroom, gpu_headroom, gpu_memory_headroom, or a `query`",
            gate.name(),
            other.unwrap_or_default()
        ))),
    }
}

/// How late the store is for the slowest of `queries`.
#[must_use]
pub fn settle_delay(source: &dyn MetricSource, queries: &[Query], subject: &Subject) -> Duration {
    queries.iter().map(|query| source.settle_delay(query, subject)).max().unwrap_or_default()
}

/// Whether an alarm of the gate was open in the newest of these windows.
pub(super) fn is_open(gate: &Gate, samples: &[Sample]) -> bool {
    let newest = samples.last().filter(|_| gate.alarms().is_some());
    matches!(newest, Some(Sample::Value(open)) if open.get() > 0.0)
}

/// The failure of looks that are too short for their store.
fn too_short(look: Duration, granularity: &Granularity) -> Failure {
    let seconds = granularity.shortest.as_secs_f64().ceil();
    Failure::usage(format!(
        "`look` of {} s is too short for this metric store: it needs at least {seconds} s, that is {}",
        look.as_secs(),
        granularity.because
    ))
    .hint(format!("look = \"{seconds}s\" or longer"))
}

/// Stable's windows before the bake, and who was asked what.
#[derive(Debug)]
pub(super) struct History {
    pub(super) queries: Vec<Query>,
    pub(super) candidate: Subject,
    pub(super) stable: Subject,
    /// Of each gate, in the order of time.
    pub(super) samples: Vec<Vec<Sample>>,
    /// What one window of both cost, where the store bills its answers.
    pub(super) look: Option<Usage>,
}

/// Asks every query once, and for the windows before the bake. `alone_since` is since when stable has had all traffic, where it has.
pub(super) async fn history(
    source: &dyn MetricSource,
    gates: &[Gate],
    plan: &Plan,
    target: &Target,
    alone_since: Option<Timestamp>,
    now: Timestamp,
) -> Result<History, Failure> {
    let terms = plan.terms();
    let subject = |revision: &RevisionId| Subject::new(target.clone(), revision.clone());
    let (candidate, stable) = (subject(&terms.candidate), subject(&terms.stable));
    let queries = gates.iter().map(query_of).collect::<Result<Vec<_>, _>>()?;
    let settled = Timestamp::from_unix_seconds(now.unix_seconds() - seconds(terms.settle_delay)).unwrap_or(now);
    let length = seconds(terms.look).max(1);
    let last = settled.unix_seconds().div_euclid(length) * length;
    let window = |n: i64| {
        let end = Timestamp::from_unix_seconds(last - n * length);
        let start = Timestamp::from_unix_seconds(last - (n + 1) * length);
        start.zip(end).and_then(|(start, end)| Window::new(start, end).ok())
    };
    let about = |e: &mlroll_backend::Error| {
        let failure = Failure::of(e, target);
        Failure { message: format!("the metric store: {}", failure.message), hints: Vec::new(), ..failure }
    };
    let Some(latest) = window(0) else {
        return Err(Failure::usage(format!("`look`: {} s is no length of a window", length)));
    };
    let before = source.usage();
    if let Err(e) = source.check(&queries, &[candidate.clone(), stable.clone()], latest).await {
        let failure = about(&e);
        // Who asks for what the store does not have is known from the gate; what went wrong on the way is not.
        return Err(match refused(source, &queries, &stable, &e).await.and_then(|at| gates.get(at)) {
            Some(gate) => Failure { message: format!("gate `{}`: {}", gate.name(), failure.message), ..failure },
            None => failure,
        });
    }
    let look = source.usage().zip(before).map(|(now, before)| now.since(before));
    let granularity = source.granularity(&queries, &stable, latest.end()).await.map_err(|e| about(&e))?;
    if let Some(too_fine) = granularity.filter(|granularity| terms.look < granularity.shortest) {
        return Err(too_short(terms.look, &too_fine).about(target));
    }
    let windows: Vec<Window> = (0..i64::from(HISTORY)).rev().filter_map(window).collect();
    let past = stable.clone().alone(alone_since);
    let read = source.sample(&queries, std::slice::from_ref(&past), &windows).await.map_err(|e| about(&e))?;
    let samples: Vec<_> = read.chunks(windows.len().max(1)).map(<[Sample]>::to_vec).collect();
    if terms.experiment.is_some() {
        super::experiment::check_requests(gates, &samples, target)?;
    }
    Ok(History { queries, candidate, stable, samples, look })
}

/// Which of `queries` it is that the source refuses: asked about no window, it has nothing to send.
async fn refused(
    source: &dyn MetricSource,
    queries: &[Query],
    subject: &Subject,
    error: &mlroll_backend::Error,
) -> Option<usize> {
    if !matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Unsupported) {
        return None;
    }
    for (at, query) in queries.iter().enumerate() {
        let alone = source.sample(std::slice::from_ref(query), std::slice::from_ref(subject), &[]).await;
        if alone.is_err_and(|alone| alone.kind() == error.kind() && alone.message() == error.message()) {
            return Some(at);
        }
    }
    None
}

impl Bench {
    /// Asks every query once, before traffic moves, and measures how bursty the stable revision is, which has had all traffic
    /// since `alone_since`, or shares it.
    ///
    /// # Errors
    /// A query cannot work, the store cannot be reached, or the gates cannot judge together.
    pub async fn prepare(
        source: Box<dyn MetricSource>,
        gates: &[Gate],
        plan: &Plan,
        target: &Target,
        alone_since: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Self, Failure> {
        let History { queries, candidate, stable, samples, .. } =
            history(source.as_ref(), gates, plan, target, alone_since, now).await?;
        let preludes = gates.iter().zip(&samples).zip(&queries);
        let preludes: Vec<_> = preludes
            .map(|((gate, samples), query)| Prelude::of(gate, samples).with_caveat(source.caveat(query)))
            .collect();
        let assumed = preludes.iter().zip(gates.iter().zip(&samples));
        let assumed = assumed.flat_map(|(prelude, (gate, samples))| prelude.assumptions(gate, samples)).collect();
        let standing = Standing::new(gates.iter().cloned().zip(preludes).collect(), plan).map_err(Failure::usage)?;
        let critical = gates.iter().zip(&samples).filter(|(gate, _)| !gate.is_advisory());
        let open_before =
            critical.filter(|(gate, samples)| is_open(gate, samples)).map(|(gate, _)| gate.name().to_owned());
        let open_before = open_before.collect();
        let standing = Some(standing);
        Ok(Self {
            judged_by: Some(source),
            queries,
            candidate,
            stable,
            standing,
            open_before,
            assumed,
            read: Vec::new(),
            watched_since: None,
        })
    }

    /// Goes on with evidence that was stored. Asks the store nothing: a store that is down must not keep a run from going
    /// on, or back.
    ///
    /// # Errors
    /// It is no evidence, or about other gates.
    pub fn restore(
        source: Box<dyn MetricSource>,
        gates: &[Gate],
        plan: &Plan,
        target: &Target,
        evidence: &Value,
        now: Timestamp,
    ) -> Result<Self, Failure> {
        let unreadable = |e| Failure::usage(format!("the journal's evidence cannot be read: {e}"));
        let standing: Standing = serde_json::from_value(evidence.clone()).map_err(unreadable)?;
        if !standing.gates().eq(gates) {
            let failure = Failure::usage("the gates have changed since the run began; they were frozen then");
            return Err(failure.hint("put them back, or end it: `mlroll rollback`"));
        }
        let queries = gates.iter().map(query_of).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            judged_by: Some(source),
            queries,
            standing: Some(standing),
            watched_since: Some(now),
            ..Self::without_gates(plan, target)
        })
    }

    /// Judges nothing: for a run that no gate judges, and for one whose way back is decided.
    #[must_use]
    pub fn without_gates(plan: &Plan, target: &Target) -> Self {
        let subject = |revision: &RevisionId| Subject::new(target.clone(), revision.clone());
        let terms = plan.terms();
        let (candidate, stable) = (subject(&terms.candidate), subject(&terms.stable));
        Self {
            judged_by: None,
            queries: Vec::new(),
            candidate,
            stable,
            standing: None,
            open_before: Vec::new(),
            assumed: Vec::new(),
            read: Vec::new(),
            watched_since: None,
        }
    }

    /// Judges nothing, and tells what an experiment had come to when its end was decided.
    #[must_use]
    pub fn decided(plan: &Plan, target: &Target, evidence: Option<&Value>) -> Self {
        let kept = evidence.filter(|_| plan.terms().experiment.is_some());
        // What cannot be read keeps nobody from the way back.
        let standing = kept.and_then(|kept| serde_json::from_value(kept.clone()).ok());
        Self { standing, ..Self::without_gates(plan, target) }
    }

    /// Why a candidate without traffic gets none: an alarm is open, and would take it back at once for what is not its doing.
    #[must_use]
    pub fn not_now(&self) -> Option<Failure> {
        let gate = self.open_before.first()?;
        let failure = Failure::usage(format!("gate `{gate}`: an alarm is open before anything has begun"));
        let failure = Failure { exit: ExitStatus::Held, kind: "held", ..failure }.about(&self.candidate.target);
        Some(failure.hint("begin when it has closed; `advisory = true` reports it and does not decide"))
    }

    /// What is assumed of stable, because it could not be measured, and what a store can tell by half only; in words.
    #[must_use]
    pub fn assumed(&self) -> &[String] {
        &self.assumed
    }

    /// What must be stored to go on from here.
    #[must_use]
    pub fn evidence(&self) -> Option<Value> {
        serde_json::to_value(self.standing.as_ref()?).ok()
    }

    /// What the store is asked for each gate.
    #[must_use]
    pub fn asked(&self, plan: &Plan) -> Option<Basis> {
        let (source, standing) = self.judged_by.as_ref().zip(self.standing.as_ref())?;
        let words = |query, subject| source.words(query, subject, plan.terms().look);
        let asked = standing.gates().zip(&self.queries).map(|(gate, query)| Asked {
            gate: gate.name().to_owned(),
            candidate: words(query, &self.candidate),
            stable: words(query, &self.stable),
        });
        Some(Basis::Asked(asked.collect()))
    }

    /// What was judged last; it is told once.
    #[must_use]
    pub fn take_read(&mut self) -> Option<Basis> {
        self.standing.as_ref()?;
        Some(Basis::Read(std::mem::take(&mut self.read)))
    }

    /// What this run has asked of a store that bills its answers.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.judged_by.as_ref()?.usage()
    }

    /// What an experiment came to; `None` for a run that is none.
    #[must_use]
    pub fn summary(&self, target: &Target, rollout: &Rollout) -> Option<Value> {
        super::experiment::summary(target, rollout, self.standing.as_ref()?)
    }

    /// The same, while it has not come to anything yet.
    #[must_use]
    pub fn running(&self, target: &Target, rollout: &Rollout) -> Option<Value> {
        self.summary(target, rollout).map(super::experiment::running)
    }

    /// Who got the requests of an experiment, in words.
    #[must_use]
    pub fn split(&self) -> Option<String> {
        Some(super::experiment::split_in_words(self.standing.as_ref()?.trial()?))
    }

    /// The effect of an experiment so far, in words.
    #[must_use]
    pub fn effect(&self, rollout: &Rollout) -> Option<String> {
        super::experiment::effect_in_words(rollout, self.standing.as_ref()?.trial()?)
    }

    /// What each gate says.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        self.standing.as_ref().map(Standing::findings).unwrap_or_default()
    }

    /// Judges the settled windows `since` a moment at once, as if they were the bake of a step; without one, those of the
    /// last `bake`. Of many, the last `most`.
    ///
    /// # Errors
    /// As [`judge`](Self::judge), and when the store answers for a part of them only.
    pub async fn judge_past(
        &mut self,
        plan: &Plan,
        since: Option<Timestamp>,
        most: Option<u32>,
        now: Timestamp,
    ) -> Result<Vec<Look>, String> {
        let terms = plan.terms();
        let length = seconds(terms.look).max(1);
        let end = (now.unix_seconds() - seconds(terms.settle_delay)).div_euclid(length);
        let since = since.map(|since| since.unix_seconds().saturating_add(length - 1).div_euclid(length));
        let most = most.or(since.is_none().then(|| plan.bake_looks())).map(|most| end - i64::from(most));
        let kept = terms.kept.map(|kept| (now.unix_seconds() - seconds(kept)).div_euclid(length) + 1);
        let first = since.max(most).unwrap_or(end).max(kept.unwrap_or(i64::MIN));
        let count = u32::try_from(end - first).unwrap_or(0);
        let (Some(from), 1..) = (Timestamp::from_unix_seconds(first.saturating_mul(length)), count) else {
            return Ok(Vec::new());
        };
        let looks = self.judge(Windows { stage: Stage::Step(0), from, length: terms.look, count }, plan).await?;
        // What was read before the store failed is not all there is: the newest windows may say otherwise, but for a fail.
        let fails = looks.iter().any(|look| look.verdict == Verdict::Fail);
        if u32::try_from(looks.len()) != Ok(count) && !fails {
            return Err("the metric store answered for a part of the time only".to_owned());
        }
        Ok(looks)
    }

    /// Reads and judges the windows that the engine asks for, each once.
    ///
    /// # Errors
    /// Why none could be judged: what the store said.
    pub async fn judge(&mut self, windows: Windows, plan: &Plan) -> Result<Vec<Look>, String> {
        if !plan.terms().judged {
            let ends = (1..=windows.count).map(|n| windows.from.plus(windows.length.saturating_mul(n)));
            return Ok(ends.map(|ends| Look { ends, verdict: Verdict::Inconclusive }).collect());
        }
        let (Some(source), Some(standing)) = (&self.judged_by, &mut self.standing) else {
            return Err("the way back is decided: nothing is judged".to_owned());
        };
        let length = seconds(windows.length);
        let first = windows.from.unix_seconds();
        let asked: Vec<Window> = (0..i64::from(windows.count))
            .filter_map(|n| {
                let start = Timestamp::from_unix_seconds(first + n * length)?;
                Window::new(start, Timestamp::from_unix_seconds(first + (n + 1) * length)?).ok()
            })
            .collect();
        // What was promoted has everything, from before its first window on.
        // While nobody watched, anybody may have had it.
        let watched = self.watched_since.map_or(windows.from, |since| since.max(windows.from));
        let alone_since = (windows.stage == Stage::Watch).then_some(watched);
        let subjects = [self.candidate.clone().alone(alone_since), self.stable.clone()];
        let samples = match source.sample(&self.queries, &subjects, &asked).await {
            Ok(samples) => samples,
            Err(e) => return Err(e.to_string()),
        };
        let at = |query: usize, subject: usize, window: usize| {
            let sample = samples.get((query * subjects.len() + subject) * asked.len() + window);
            sample.cloned().unwrap_or(Sample::NoData(Why::Empty))
        };
        // A window is read once: one that a critical gate could not read, because the store failed, is asked for again.
        // So is one that tells the requests of an experiment, without which the window says nothing.
        let compares = plan.terms().experiment.is_some();
        let is_needed = |gate: &Gate| !gate.is_advisory() || (compares && gate.tells_requests());
        let critical: Vec<bool> = standing.gates().map(is_needed).collect();
        let failure_in = |window: usize| {
            let critical = critical.iter().enumerate().filter(|(_, critical)| **critical);
            let mut samples = critical.flat_map(|(query, _)| [at(query, 0, window), at(query, 1, window)]);
            samples.find_map(|sample| match sample {
                Sample::NoData(Why::Failed { message, .. }) => Some(message),
                Sample::Counts { .. }
                | Sample::Histogram(_)
                | Sample::NoData(_)
                | Sample::Strata(_)
                | Sample::Value(_) => None,
            })
        };
        let evidence = |window| move |query| Evidence { candidate: at(query, 0, window), stable: at(query, 1, window) };
        let read = |window: usize| -> Vec<Evidence> { (0..critical.len()).map(evidence(window)).collect() };
        if let Some(why) = failure_in(0) {
            // Gates that could be read may tell enough already: nobody waits for the rest to take a bad candidate back.
            let mut known: Vec<Vec<Evidence>> = (0..asked.len()).map(read).collect();
            let supposed = standing.clone().judge(plan, windows, &known);
            let Some(failed) = supposed.iter().position(|look| look.verdict == Verdict::Fail) else { return Err(why) };
            known.truncate(failed + 1);
            let looks = standing.judge(plan, windows, &known);
            self.read = known;
            return Ok(looks);
        }
        let read: Vec<Vec<Evidence>> =
            (0..asked.len()).take_while(|window| failure_in(*window).is_none()).map(read).collect();
        let looks = standing.judge(plan, windows, &read);
        self.read = read;
        Ok(looks)
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
