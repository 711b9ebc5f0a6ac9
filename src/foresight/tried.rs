//! A gate that counts no events on the past: what it had failed with nothing wrong, and how soon it had caught a regression.
//!
//! The panel that judges a run judges the bakes. What a second revision would have had is taken from the past in the most honest
//! way that there is for what the gate compares ([`Null`]); docs/foresight.md tells what each can show and what not.

use mlroll_backend::{Sample, Why};
use serde::Serialize;

use super::Backtested;
use super::draw::Dice;
use super::injected::{Injected, Regression, divided, is_divisible, part};
use crate::judge::gate::{Gate, RankTest, Rule};
use crate::judge::panel::{Evidence, Panel, Prelude, Risk, Ruling};
use crate::judge::series::lag_1;

/// Bakes that are tried, of each side.
const BAKES: usize = 400;

/// Looks that they take in all, at most.
const MOST_LOOKS: usize = 200_000;

/// Windows before a bake by which its gate is set, as in a run.
const HISTORY: usize = 40;

/// What a gate that counts no events is tried on.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The gate.
    pub gate: Gate,
    /// The chance of a false alarm that it may take in a bake, and that of a false pass.
    pub levels: (f64, f64),
    /// Stable's windows, in the order of time.
    pub samples: Vec<Sample>,
    /// Looks of a bake, at least 1.
    pub looks: usize,
    /// Windows of a day, at least 1.
    pub day: usize,
    /// The candidate's share, between 0 and 1.
    pub share: f64,
    /// How many times as bad the injected regression is.
    pub regression: f64,
}

/// What stands for the two revisions of a run in which nothing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Null {
    /// The candidate is the past itself: a limit asks for nobody beside it.
    AsItWas,
    /// One is the past, the other the bake before: for less than a day and a bake of the past.
    BakeBefore,
    /// One is the past, the other the same hours of the day before, and then the other way round.
    DayBefore,
    /// Each request of the past is given to one of them.
    Divided,
}

/// What a gate that counts no events did on the past.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tried {
    /// Windows with an answer.
    pub windows: usize,
    /// Those without.
    pub without_data: usize,
    /// Half of all values are below; null for what is judged by histograms.
    pub median: Option<f64>,
    /// The correlation of each value with the next one; null likewise.
    pub autocorrelation: Option<f64>,
    /// What stood for two revisions.
    pub null: Null,
    /// Bakes that have no window in common: others repeat what these say.
    pub disjoint: usize,
    /// What the regression makes worse.
    pub injected: Injected,
    /// Windows that it leaves as they are: no factor changes 0.
    pub unmoved: usize,
    /// With nothing wrong.
    pub healthy: Backtested,
    /// With the injected regression.
    pub regressed: Backtested,
}

/// Why nothing can be told of a gate by its store's past; `None` for one that can be tried.
#[must_use]
pub fn untold(gate: &Gate) -> Option<&'static str> {
    match gate.rule() {
        Rule::Alarms => Some("what alarms would have said of another revision nobody recorded"),
        _ if gate.metric() == Some("requests") => {
            Some("how many requests each revision gets is a matter of its share, of which the past had one")
        }
        Rule::Count(_) | Rule::Drift(_) | Rule::Latency(_) | Rule::Samples(_) | Rule::Series(_) | Rule::Shape(_) => {
            None
        }
    }
}

/// Whether a gate compares values with stable's, so that another day is needed.
#[must_use]
pub fn compares_days(gate: &Gate) -> bool {
    match gate.rule() {
        Rule::Samples(_) => true,
        Rule::Series(rule) => rule.max.is_none(),
        Rule::Alarms | Rule::Count(_) | Rule::Drift(_) | Rule::Latency(_) | Rule::Shape(_) => false,
    }
}

/// Tries a gate on the past.
///
/// # Errors
/// There is too little of the past, or the gate cannot be judged by it.
pub fn tried(record: &Record, seed: u64) -> Result<Tried, String> {
    if let Some(why) = untold(&record.gate) {
        return Err(why.to_owned());
    }
    // Before the revision was there, bakes of it are none.
    let missing = record.samples.iter().take_while(|sample| matches!(sample, Sample::NoData(_))).count();
    if let (1.., Some(known)) = (missing, record.samples.get(missing..).filter(|known| !known.is_empty())) {
        let tried = tried(&Record { samples: known.to_vec(), ..record.clone() }, seed)?;
        return Ok(Tried { without_data: tried.without_data + missing, ..tried });
    }
    let gate = record.gate.decisive();
    let (values, answered) = values(&gate, &record.samples);
    let null = record.null();
    let starts = record.starts(null)?;
    if answered == 0 {
        return Err("no window of the past has what it judges".to_owned());
    }
    let trial = Trial { record, gate: &gate, null };
    let mut dice = Dice::new(seed);
    let healthy = trial.bakes(&starts, &Regression::of(&gate, 1.0, &record.samples), &mut dice)?;
    let regression = Regression::of(&gate, record.regression, &record.samples);
    let regressed = trial.bakes(&starts, &regression, &mut dice)?;
    let moved = |sample: &&Sample| regression.inject((*sample).clone(), &mut Dice::new(seed)) != **sample;
    let valued = || record.samples.iter().filter(|sample| matches!(sample, Sample::Value(_)));
    let unmoved = if record.regression > 1.0 { valued().count() - valued().filter(moved).count() } else { 0 };
    Ok(Tried {
        windows: answered,
        without_data: record.samples.len() - answered,
        median: median(&values),
        autocorrelation: Some(lag_1(&values)).filter(|lag| lag.is_finite() && !values.is_empty()),
        null,
        disjoint: starts.disjoint,
        injected: regression.injected(),
        unmoved,
        healthy,
        regressed,
    })
}

/// Where bakes begin.
#[derive(Debug)]
struct Starts {
    at: Vec<usize>,
    disjoint: usize,
    /// How much earlier the other revision's windows are.
    lag: usize,
}

impl Record {
    fn null(&self) -> Null {
        let has_histograms = self.samples.iter().any(is_divisible);
        match self.gate.rule() {
            Rule::Drift(_) | Rule::Shape(_) => Null::Divided,
            Rule::Alarms | Rule::Count(_) | Rule::Latency(_) | Rule::Samples(_) | Rule::Series(_) => {
                if has_histograms {
                    Null::Divided
                } else if !compares_days(&self.gate) {
                    Null::AsItWas
                } else if self.samples.len() >= self.day.saturating_add(self.looks) {
                    Null::DayBefore
                } else {
                    Null::BakeBefore
                }
            }
        }
    }

    /// Spread over the past evenly; such that overlap repeat each other in part.
    fn starts(&self, null: Null) -> Result<Starts, String> {
        let (windows, looks) = (self.samples.len(), self.looks.max(1));
        let lag = match null {
            Null::AsItWas | Null::Divided => 0,
            Null::BakeBefore => looks,
            Null::DayBefore => self.day,
        };
        let Some(last) = windows.checked_sub(looks).filter(|last| *last >= lag) else {
            let twice = if null == Null::BakeBefore { ", and the bake before it as many" } else { "" };
            return Err(format!("the past has {windows} windows; a bake has {looks} looks{twice}"));
        };
        let most = (MOST_LOOKS / looks).min(self.most_by_ranks()).clamp(1, BAKES);
        let disjoint = (windows - lag) / looks;
        // Chance divides the past anew as often as there is need to.
        if null == Null::Divided {
            let many = BAKES * 4;
            if disjoint > many {
                // The newest of a long past count as much as the oldest.
                let at = (0..many).map(|nth| nth * disjoint / many * looks).collect();
                return Ok(Starts { at, disjoint, lag });
            }
            let rounds = most.div_ceil(disjoint).max(1);
            let chunks = (0..rounds).flat_map(|_| (0..disjoint).map(|chunk| chunk * looks));
            return Ok(Starts { at: chunks.take(most.max(disjoint)).collect(), disjoint, lag });
        }
        // As in a run there is something before, by which the gate is set.
        let first = lag.max(HISTORY.min(last));
        let available = last - first + 1;
        let number = most.min(available);
        Ok(Starts { at: (0..number).map(|nth| first + nth * available / number).collect(), disjoint, lag })
    }

    /// Ranks of long bakes take their time: each value is compared with each.
    fn most_by_ranks(&self) -> usize {
        match self.gate.rule() {
            Rule::Samples(rule) => {
                let each = self.looks.saturating_mul(self.looks).max(1);
                let work: usize = match rule.test {
                    RankTest::Kayenta => 500_000,
                    RankTest::MannWhitney => 2_000_000,
                };
                (work / each).max(20)
            }
            Rule::Alarms | Rule::Count(_) | Rule::Drift(_) | Rule::Latency(_) | Rule::Series(_) | Rule::Shape(_) => {
                usize::MAX
            }
        }
    }
}

/// The windows of a bake, from 1, at which it fails and passes.
type Course = (Option<u64>, Option<u64>);

/// Bakes by one null.
struct Trial<'a> {
    record: &'a Record,
    gate: &'a Gate,
    null: Null,
}

impl Trial<'_> {
    fn bakes(&self, starts: &Starts, regression: &Regression, dice: &mut Dice) -> Result<Backtested, String> {
        let samples = &self.record.samples;
        let in_blocks = matches!(self.gate.rule(), Rule::Series(_));
        let whole = (!in_blocks).then(|| Prelude::of(self.gate, samples));
        let ways: &[bool] = if starts.lag > 0 { &[false, true] } else { &[false] };
        let mut done = Backtested::default();
        let mut failed_at = Vec::new();
        for start in &starts.at {
            let before = samples.get(start.saturating_sub(HISTORY)..*start).unwrap_or_default();
            let prelude = whole.unwrap_or_else(|| Prelude::of(self.gate, before));
            for exchanged in ways {
                // One in which nothing was judged says nothing.
                let bake = self.bake(*start, (starts.lag, *exchanged), prelude, regression, dice)?;
                let Some((fail, pass)) = bake else { continue };
                done.bakes += 1;
                done.failed += usize::from(fail.is_some());
                done.passed += usize::from(pass.is_some_and(|pass| fail.is_none_or(|fail| pass < fail)));
                failed_at.extend(fail);
            }
        }
        failed_at.sort_unstable();
        done.median_look = failed_at.get(done.bakes.div_ceil(2).saturating_sub(1)).copied();
        Ok(done)
    }

    /// `None` where nothing was judged.
    fn bake(
        &self,
        start: usize,
        (lag, exchanged): (usize, bool),
        prelude: Prelude,
        regression: &Regression,
        dice: &mut Dice,
    ) -> Result<Option<Course>, String> {
        let Record { levels: (alpha, beta), samples, looks, share, .. } = self.record;
        let planned = *looks as u64;
        let risk = Risk { alpha: *alpha, beta: *beta, horizon: planned, step_looks: planned, steps: 1 };
        let mut panel = Panel::guarding(vec![(self.gate.clone(), prelude)], risk)?;
        panel.begin(*share);
        let (mut judged, mut pass) = (0, None);
        // As in a run: windows without an answer take their time, and the bake waits for as many with one; up to twice as long.
        for (at, nth) in (start..samples.len()).zip(1..=2 * planned) {
            let Some(now) = samples.get(at).filter(|_| judged < *looks) else { break };
            let (candidate, stable) = match self.null {
                Null::AsItWas => (part(now, *share), Sample::NoData(Why::Empty)),
                Null::Divided => divided(now, *share, dice).unwrap_or_else(|| (now.clone(), now.clone())),
                Null::BakeBefore | Null::DayBefore => {
                    let then = at.checked_sub(lag).and_then(|at| samples.get(at)).unwrap_or(now);
                    let (ours, theirs) = if exchanged { (then, now) } else { (now, then) };
                    (part(ours, *share), part(theirs, 1.0 - share))
                }
            };
            let candidate = regression.inject(candidate, dice);
            match panel.look(&[Evidence { candidate, stable }]) {
                Ruling::Fail => return Ok(Some((Some(nth), pass))),
                Ruling::NoData => {}
                Ruling::Pass => {
                    pass = pass.or(Some(nth));
                    judged += 1;
                }
                Ruling::Inconclusive | Ruling::Starved => judged += 1,
            }
        }
        Ok((judged > 0).then_some((None, pass)))
    }
}

/// The values that the gate reads, comparable as it compares them, and how many windows have something to judge.
fn values(gate: &Gate, samples: &[Sample]) -> (Vec<f64>, usize) {
    let evidence = |sample: &Sample| Evidence { candidate: sample.clone(), stable: sample.clone() };
    let reads_values = matches!(gate.rule(), Rule::Samples(_) | Rule::Series(_));
    let is_answer = |sample: &&Sample| match sample {
        Sample::Histogram(_) => true,
        Sample::Value(_) => reads_values,
        Sample::Counts { .. } | Sample::NoData(_) | Sample::Strata(_) => false,
    };
    let values = samples.iter().filter_map(|sample| Some(evidence(sample).values(gate)?.0));
    (values.collect(), samples.iter().filter(is_answer).count())
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests;
