//! Looks: disjoint windows on a grid that is fixed to the epoch, each consumed once.

use std::time::Duration;

use mlroll_backend::Timestamp;
use serde::{Deserialize, Serialize};

use super::state::{Phase, Wait};
use super::{Action, Cause, Ended, Kind, Look, Pending, Reaction, Rollout, Stage, Verdict, Windows};

/// How long a metric store that did not answer is left alone.
const RETRY: Duration = Duration::from_secs(15);

/// The most windows that are asked for at once.
const AT_ONCE: u32 = 60;

/// What a stage has consumed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Tally {
    /// When the next window begins.
    next: Timestamp,
    /// Looks with data.
    judged: u32,
    /// Time without any.
    no_data: Duration,
    /// The metric store did not answer the last time.
    silent: bool,
    /// The next window begins after another warm-up.
    renewed: bool,
}

impl Tally {
    /// Begins the bake anew; what was consumed stays consumed.
    pub(super) fn renew(&mut self) {
        self.judged = 0;
        self.no_data = Duration::ZERO;
        self.silent = false;
        self.renewed = true;
    }
}

/// What the looks of a stage lead to.
enum Decision {
    Pass(Cause),
    React(Reaction, Cause),
}

impl Rollout {
    /// Goes on with the bake of this stage, whose split was just seen; begins it when it went live.
    pub(super) fn bake(&mut self, now: Timestamp) -> Action {
        let terms = self.plan.terms();
        match self.stage {
            Stage::Step(_) if terms.kind == Kind::Canary && terms.bake.is_zero() => {
                return self.end(Ended::Shifted, Cause::NotJudged);
            }
            Stage::Watch if terms.watch_after.is_zero() => {
                let why = if terms.judged { Cause::Passed } else { Cause::NotJudged };
                return self.end(Ended::Promoted, why);
            }
            Stage::Start | Stage::Step(_) | Stage::Watch => {}
        }
        // Where the clock went back, windows that it names again may lie before this stage.
        let warm = on_grid(self.latest.unwrap_or(now).plus(terms.warm_up), terms.look);
        let tally = self.tally.get_or_insert(Tally {
            next: warm,
            judged: 0,
            no_data: Duration::ZERO,
            silent: false,
            renewed: false,
        });
        if std::mem::take(&mut tally.renewed) {
            tally.next = tally.next.max(warm);
        }
        if tally.silent {
            return self.pause(RETRY, Pending::Metrics, now);
        }
        self.sample(now)
    }

    /// Asks for the windows that the metric store has by now, or waits for the first of them.
    pub(super) fn sample(&mut self, now: Timestamp) -> Action {
        let terms = self.plan.terms();
        // What the store no longer has is neither data nor silence: a run that nobody drove meanwhile goes on after it.
        if let (Some(kept), Some(tally)) = (terms.kept, &mut self.tally) {
            let lost = now.since(tally.next).saturating_sub(kept).as_nanos();
            let looks = u32::try_from(lost.div_ceil(terms.look.as_nanos().max(1))).unwrap_or(u32::MAX);
            tally.next = tally.next.plus(terms.look.saturating_mul(looks));
        }
        let Some(tally) = &self.tally else {
            return self.look();
        };
        let needed = self.looks_of_stage().saturating_sub(tally.judged).clamp(1, AT_ONCE);
        let due = |n: u32| tally.next.plus(terms.look.saturating_mul(n)).plus(terms.settle_delay);
        if now < due(1) {
            let why = Pending::Data { stage: self.stage, judged: tally.judged, of: self.looks_of_stage() };
            self.phase = Phase::Waiting(Wait { until: due(1), pause: None, why });
            return self.outstanding();
        }
        let elapsed = now.since(due(1)).as_nanos() / terms.look.as_nanos().max(1);
        let count = u32::try_from(elapsed).unwrap_or(u32::MAX).saturating_add(1).min(needed);
        self.phase = Phase::Sampling(Windows { stage: self.stage, from: tally.next, length: terms.look, count });
        self.outstanding()
    }

    /// Consumes verdicts in the order of their windows; what does not follow on is not consumed.
    pub(super) fn judged(&mut self, asked: Windows, looks: &[Look], elapsed: Duration) -> Action {
        let ends = (1..=asked.count).map(|n| asked.from.plus(asked.length.saturating_mul(n)));
        let new = looks.iter().zip(ends).take_while(|(look, ends)| look.ends == *ends).count();
        let looks = looks.get(..new).unwrap_or_default();
        let (Some(last), Some(tally)) = (looks.last(), &mut self.tally) else {
            return self.unjudged(elapsed);
        };
        // All of them are in the judge's books by now, whichever decides.
        tally.next = last.ends;
        tally.silent = false;
        let mut pass = None;
        for (at, look) in looks.iter().enumerate() {
            let fails_later = looks.iter().skip(at + 1).any(|look| look.verdict == Verdict::Fail);
            match self.book(look.verdict) {
                // Known by now, and evidence: that goes before what is not known.
                Some(Decision::React(_, Cause::NoData)) if fails_later => {}
                // Newer windows are known already: the last of them must pass too.
                Some(decision @ Decision::Pass(_)) => pass = Some(decision),
                Some(decision) => return self.decide(decision),
                None => pass = None,
            }
        }
        match pass {
            Some(decision) => self.decide(decision),
            None => self.look(),
        }
    }

    /// The metric store did not answer: no window is consumed, and the time counts as time without data.
    pub(super) fn unjudged(&mut self, elapsed: Duration) -> Action {
        let look = self.plan.terms().look;
        if let Some(tally) = &mut self.tally {
            // A clock that jumps forward is no silence of the store.
            let silence = if tally.silent { elapsed.saturating_add(RETRY) } else { elapsed };
            tally.no_data = tally.no_data.saturating_add(silence.min(look.max(RETRY)));
            tally.silent = true;
        }
        match self.without_data() {
            Some(decision) => self.decide(decision),
            None => self.look(),
        }
    }

    fn book(&mut self, verdict: Verdict) -> Option<Decision> {
        let (most, least) = (self.looks_of_stage(), self.plan.min_looks());
        let terms = self.plan.terms();
        let (on_fail, on_starved, on_inconclusive) = (terms.on_fail, terms.on_starved, terms.on_inconclusive);
        let (length, judged, experiment) = (terms.look, terms.judged, terms.kind == Kind::Experiment);
        let watching = self.stage == Stage::Watch;
        let tally = self.tally.as_mut()?;
        if !judged {
            // Whatever is said: nobody was asked.
            tally.judged = tally.judged.saturating_add(1);
            return (tally.judged >= most).then_some(Decision::Pass(Cause::NotJudged));
        }
        match verdict {
            Verdict::Fail => return Some(Decision::React(on_fail, Cause::Failed)),
            Verdict::Starved if !watching => return Some(Decision::React(on_starved, Cause::Starved)),
            Verdict::NoData if !watching => {
                tally.no_data = tally.no_data.saturating_add(length);
                return self.without_data();
            }
            // Nothing speaks against the candidate: a person finds out where its requests are.
            Verdict::Mismatched if experiment => return Some(Decision::React(Reaction::Hold, Cause::Mismatched)),
            Verdict::Worse if experiment => return Some(Decision::React(on_fail, Cause::Worse)),
            Verdict::Better
            | Verdict::Inconclusive
            | Verdict::Mismatched
            | Verdict::NoData
            | Verdict::Pass
            | Verdict::Reached
            | Verdict::Starved
            | Verdict::Worse => {}
        }
        tally.judged = tally.judged.saturating_add(1);
        if watching {
            // It is promoted already: only a fail changes anything.
            return (tally.judged >= most).then_some(Decision::Pass(Cause::Passed));
        }
        let (passes, passed, over) = if experiment {
            (Verdict::Better, Cause::Better, Cause::Undecided)
        } else {
            (Verdict::Pass, Cause::Passed, Cause::Inconclusive)
        };
        if verdict == passes && tally.judged >= least {
            return Some(Decision::Pass(passed));
        }
        let is_over = tally.judged >= most || (experiment && verdict == Verdict::Reached);
        is_over.then_some(Decision::React(on_inconclusive, over))
    }

    fn without_data(&self) -> Option<Decision> {
        let terms = self.plan.terms();
        let (budget, decision) = match self.stage {
            // It is promoted: what is watched for is worth waiting for as long as it would have been watched.
            Stage::Watch => (terms.no_data_budget.max(terms.watch_after), Decision::Pass(Cause::NoData)),
            Stage::Start | Stage::Step(_) => {
                (terms.no_data_budget, Decision::React(terms.on_inconclusive, Cause::NoData))
            }
        };
        let spent = self.tally.as_ref().is_some_and(|tally| tally.no_data >= budget);
        spent.then_some(decision)
    }

    /// Nothing is done before the target was looked at.
    fn decide(&mut self, decision: Decision) -> Action {
        match decision {
            Decision::Pass(why) => self.passed = Some(why),
            Decision::React(Reaction::Rollback, why) => self.turn_back(why),
            Decision::React(Reaction::Hold, why) => return self.end(Ended::Held, why),
        }
        self.look()
    }

    /// Whether this stage has had all its looks.
    pub(super) fn is_bake_over(&self) -> bool {
        self.tally.as_ref().is_none_or(|tally| tally.judged >= self.looks_of_stage())
    }

    fn looks_of_stage(&self) -> u32 {
        match self.stage {
            Stage::Start | Stage::Step(_) => self.plan.bake_looks(),
            Stage::Watch => self.plan.watch_looks(),
        }
    }
}

/// The first moment of the grid that is not before `moment`.
fn on_grid(moment: Timestamp, look: Duration) -> Timestamp {
    let length = i64::try_from(look.as_millis()).unwrap_or(i64::MAX).max(1);
    let past = moment.unix_milliseconds().rem_euclid(length);
    let rest = if past == 0 { 0 } else { length - past };
    moment_on_the_millisecond(moment).plus(Duration::from_millis(rest.unsigned_abs()))
}

fn moment_on_the_millisecond(moment: Timestamp) -> Timestamp {
    Timestamp::from_unix_milliseconds(moment.unix_milliseconds()).unwrap_or(moment)
}
