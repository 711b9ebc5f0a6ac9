//! A gate on the past: how often it had failed with nothing wrong, and how soon it had caught a regression.
//!
//! The past has one revision. Each of its requests is given to an imagined candidate with the chance of the step's share, and
//! to stable otherwise (binomial thinning): both then have the rate that each window really had, whatever it did. An injected
//! regression turns good requests of the candidate into events. A burst is divided between the two, so bursts that would hit
//! one revision alone are not in it; what guards against those is the design effect, which is measured on the same past.

use serde::Serialize;

use super::FinalLook;
use super::draw::Dice;
use super::injected::among;
use crate::judge::batch::Batch;
use crate::judge::counts::Counts;
use crate::judge::design_effect::DesignEffect;
use crate::judge::evidence::CountLook;
use crate::judge::forecast::Stakes;
use crate::judge::gate::Better;
use crate::judge::series::lag_1;

/// How many bakes are imagined at least, by dividing the same past anew.
const BAKES: usize = 400;

/// Bakes that are imagined at most, whatever there is of the past.
const MOST_LOOKS: usize = 400_000;

/// What a gate is tried on.
#[derive(Clone, Debug, PartialEq)]
pub struct Past {
    /// Stable's windows, in the order of time; `None` for one without an answer.
    pub windows: Vec<Option<Counts>>,
    /// Looks of a bake.
    pub looks: usize,
    /// The candidate's share, between 0 and 1.
    pub share: f64,
    /// The exact test at the end of a bake.
    pub final_look: Option<FinalLook>,
    /// How many times as bad the injected regression is.
    pub regression: f64,
}

/// What a gate did on the past.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Backtest {
    /// Windows with an answer.
    pub windows: usize,
    /// Those without.
    pub without_data: usize,
    /// Requests in a window.
    pub requests: f64,
    /// The share of them that were events.
    pub base_rate: f64,
    /// How bursty they were, over all of the past; null for too few windows.
    pub design_effect: Option<f64>,
    /// The correlation of each window's rate with the next one's.
    pub autocorrelation: f64,
    /// With nothing wrong.
    pub healthy: Backtested,
    /// With the injected regression.
    pub regressed: Backtested,
}

/// What bakes on the past came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Backtested {
    /// How many were imagined; those without any request are none.
    pub bakes: usize,
    /// How many of them failed.
    pub failed: usize,
    /// How many had passed first.
    pub passed: usize,
    /// The window of the bake, from 1, at which half of all had failed; null when fewer did. Idle windows and those without an
    /// answer are no looks and take their time all the same.
    pub median_look: Option<u64>,
}

/// Tries a gate on the past, at `beta`. `None` when there is no whole bake of it.
#[must_use]
pub fn backtest(stakes: &Stakes, past: &Past, beta: f64, seed: u64) -> Option<Backtest> {
    // Before the revision was there, bakes of it are none.
    let missing = past.windows.iter().take_while(|window| window.is_none()).count();
    if let (1.., Some(known)) = (missing, past.windows.get(missing..)) {
        let tried = backtest(stakes, &Past { windows: known.to_vec(), ..past.clone() }, beta, seed)?;
        return Some(Backtest { without_data: tried.without_data + missing, ..tried });
    }
    let answered: Vec<Counts> = past.windows.iter().copied().flatten().collect();
    let sum = answered.iter().fold(Counts::NONE, |sum, window| sum.plus(*window));
    if past.looks == 0 || !past.windows.chunks_exact(past.looks).any(lived) {
        return None;
    }
    let base_rate = sum.events() / sum.requests();
    let effect = DesignEffect::measure(&answered);
    let rates: Vec<f64> = answered.iter().filter(|w| w.requests() > 0.0).map(|w| w.events() / w.requests()).collect();
    let mut dice = Dice::new(seed);
    let healthy = bakes(stakes, past, base_rate, beta, 1.0, &mut dice);
    let regressed = bakes(stakes, past, base_rate, beta, past.regression, &mut dice);
    Some(Backtest {
        windows: answered.len(),
        without_data: past.windows.len() - answered.len(),
        requests: sum.requests() / answered.len() as f64,
        base_rate,
        design_effect: effect.map(DesignEffect::factor),
        autocorrelation: Some(lag_1(&rates)).filter(|lag| lag.is_finite()).unwrap_or(0.0),
        healthy,
        regressed,
    })
}

fn bakes(stakes: &Stakes, past: &Past, base_rate: f64, beta: f64, times: f64, dice: &mut Dice) -> Backtested {
    let whole: Vec<&[Option<Counts>]> = past.windows.chunks_exact(past.looks).filter(|bake| lived(bake)).collect();
    let most = (MOST_LOOKS / past.looks).max(1);
    let rounds = BAKES.div_ceil(whole.len().max(1));
    let planned = past.looks as u64;
    let mut batch = Batch::new(&[(stakes.rule, stakes.effect)], stakes.alpha, beta, planned);
    let mut done = Backtested::default();
    let (mut failed_at, mut elapsed) = (Vec::new(), Vec::new());
    for windows in (0..rounds).flat_map(|_| &whole).take(most) {
        batch.begin();
        elapsed.clear();
        let mut all = (Counts::NONE, Counts::NONE);
        for (window, nth) in windows.iter().zip(1_u64..) {
            // As in a run: one without an answer is no look, nor is one in which nobody came, and what was staked is kept.
            let Some(window) = window.filter(|window| window.requests() > 0.0) else { continue };
            let (candidate, stable) = thinned(window, past.share, dice);
            let candidate = worse(candidate, base_rate, times, stakes.rule.better, dice);
            all = (all.0.plus(candidate), all.1.plus(stable));
            batch.look(&[CountLook::exact(candidate, stable)]);
            elapsed.push(nth);
        }
        let course = batch.course();
        let at = |look: u64| usize::try_from(look).ok().and_then(|look| elapsed.get(look.checked_sub(1)?).copied());
        let first_pass = course.first_pass.and_then(at);
        let at_the_end = || past.final_look.filter(|exact| exact.rejects(all.0, all.1)).map(|_| planned);
        done.bakes += 1;
        match (course.first_fail.and_then(at).or_else(at_the_end), first_pass) {
            (Some(fail), pass) => {
                done.failed += 1;
                failed_at.push(fail);
                done.passed += usize::from(pass.is_some_and(|pass| pass < fail));
            }
            (None, Some(_)) => done.passed += 1,
            (None, None) => {}
        }
    }
    failed_at.sort_unstable();
    done.median_look = failed_at.get(done.bakes.div_ceil(2).saturating_sub(1)).copied();
    done
}

/// Whether anything is known of a bake: where nobody came, or before the revision was there, nothing can be caught.
fn lived(bake: &[Option<Counts>]) -> bool {
    bake.iter().flatten().any(|window| window.requests() > 0.0)
}

/// Gives each request to the candidate with the chance of `share`.
fn thinned(window: Counts, share: f64, dice: &mut Dice) -> (Counts, Counts) {
    let events = among(window.events(), share, dice);
    let rest = among(window.rest(), share, dice);
    let counts = |events: f64, rest: f64| Counts::new(events + rest, events).unwrap_or(Counts::NONE);
    (counts(events, rest), counts(window.events() - events, window.rest() - rest))
}

/// Makes the candidate `times` as bad.
fn worse(candidate: Counts, base_rate: f64, times: f64, better: Better, dice: &mut Dice) -> Counts {
    let events = match better {
        _ if times <= 1.0 => return candidate,
        Better::Lower => {
            let turned = ((times - 1.0) * base_rate / (1.0 - base_rate).max(1e-12)).min(1.0);
            candidate.events() + among(candidate.rest(), turned, dice)
        }
        Better::Higher => among(candidate.events(), 1.0 / times, dice),
    };
    Counts::new(candidate.requests(), events.min(candidate.requests())).unwrap_or(candidate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foresight::{Draw, staked};
    use crate::judge::counts::Boundary;
    use crate::judge::gate::{Boundaries, CountRule};

    fn past(burst: f64, regression: f64) -> Past {
        let (draw, mut dice) = (Draw::events(2_000.0, 0.01, burst), Dice::new(3));
        let windows = (0..1_440).map(|_| Counts::new(2_000.0, draw.next(&mut dice)).ok()).collect();
        Past { windows, looks: 30, share: 0.1, final_look: None, regression }
    }

    fn stakes() -> Stakes {
        let boundaries =
            Boundaries { fail: Boundary { ratio: 1.0, abs: 0.0 }, pass: Boundary { ratio: 1.5, abs: 0.001 } };
        let rule = CountRule { better: Better::Lower, limit: None, boundaries: Some(boundaries), two_sided: false };
        Stakes { rule, alpha: 0.01, effect: DesignEffect::NONE }
    }

    #[test]
    fn a_steady_past_raises_no_alarm_and_shows_a_regression() {
        let tried = backtest(&stakes(), &past(1.0, 2.0), 0.05, 1).unwrap();
        assert!(tried.healthy.bakes >= BAKES && tried.healthy.failed * 100 <= tried.healthy.bakes * 3, "{tried:?}");
        assert!(tried.regressed.failed * 100 >= tried.regressed.bakes * 90, "{tried:?}");
        // docs/judge.md section 6: 1 % to 2 % at 10 %, 200 requests a look: about 2,000 candidate requests, or 10 looks.
        assert!((6..=14).contains(&tried.regressed.median_look.unwrap()), "{tried:?}");
        assert!((tried.base_rate - 0.01).abs() < 0.001 && tried.autocorrelation.abs() < 0.1, "{tried:?}");
        assert_eq!(tried.design_effect, Some(1.0));
    }

    #[test]
    fn bursts_and_waves_are_measured() {
        let tried = backtest(&stakes(), &past(4.0, 2.0), 0.05, 1).unwrap();
        assert!((3.0..5.0).contains(&tried.design_effect.unwrap()), "{tried:?}");
        let mut waves = past(1.0, 2.0);
        for (at, window) in waves.windows.iter_mut().enumerate() {
            let rate = 0.02 + 0.01 * (at as f64 / 40.0).sin();
            *window = Counts::new(2_000.0, 2_000.0 * rate).ok();
        }
        let tried = backtest(&stakes(), &waves, 0.05, 1).unwrap();
        assert!(tried.autocorrelation > 0.9 && tried.healthy.failed * 100 <= tried.healthy.bakes * 3, "{tried:?}");
    }

    /// Half of all windows are idle: the same decisions, after twice the time.
    #[test]
    fn nobody_comes_and_nothing_is_staked() {
        let mut busy = past(1.0, 2.0);
        busy.windows.truncate(720);
        let tried = backtest(&stakes(), &Past { looks: 30, ..busy.clone() }, 0.05, 1).unwrap();
        for nothing in [Some(Counts::NONE), None] {
            let windows = busy.windows.iter().flat_map(|window| [*window, nothing]).collect();
            let idle = backtest(&stakes(), &Past { windows, looks: 60, ..busy.clone() }, 0.05, 1).unwrap();
            // A bake of 60 windows stakes as for 60 looks.
            let (idle, busy) = (idle.regressed, tried.regressed);
            assert_eq!(idle.bakes, busy.bakes);
            assert!(idle.failed.abs_diff(busy.failed) * 20 <= busy.bakes, "{idle:?} {busy:?}");
            let (idle, busy) = (idle.median_look.unwrap(), busy.median_look.unwrap());
            assert!(idle.abs_diff(2 * busy) <= 2, "{idle} {busy}");
        }
    }

    /// A revision of which the store knows the last tenth of the past only.
    #[test]
    fn what_was_before_the_revision_dilutes_nothing() {
        let mut young = past(1.0, 3.0);
        young.windows.truncate(145);
        let tried = backtest(&stakes(), &young, 0.05, 1).unwrap();
        for nothing in [1, 17, 1_305] {
            let windows: Vec<_> = std::iter::repeat_n(None, nothing).chain(young.windows.iter().copied()).collect();
            let padded = backtest(&stakes(), &Past { windows, ..young.clone() }, 0.05, 1).unwrap();
            assert_eq!((padded.regressed, padded.without_data), (tried.regressed, nothing));
        }
        // Nor does a night in which nobody comes.
        let (first, rest) = young.windows.split_at(60);
        let night = std::iter::repeat_n(Some(Counts::NONE), 600);
        let windows = first.iter().copied().chain(night).chain(rest.iter().copied()).collect();
        let idle = backtest(&stakes(), &Past { windows, ..young.clone() }, 0.05, 1).unwrap().regressed;
        assert!(idle.failed * 100 >= idle.bakes * 95 && idle.bakes >= BAKES, "{idle:?}");
    }

    #[test]
    fn the_exact_test_at_the_end_finds_what_the_ledger_does_not() {
        let json =
            r#"{"metric": "error_rate", "max_increase": {"ratio": 1.5}, "fail": {"ratio": 1.0}, "final_look": true}"#;
        let (stakes, final_look) = staked(&serde_json::from_str(json).unwrap(), 0.01, DesignEffect::NONE, 1).unwrap();
        let past = past(1.0, 1.35);
        let ledger = backtest(&stakes, &past, 0.05, 1).unwrap();
        let both = backtest(&stakes, &Past { final_look, ..past }, 0.05, 1).unwrap();
        assert!(both.regressed.failed * 10 > ledger.regressed.failed * 12, "{both:?} {ledger:?}");
        assert!(both.healthy.failed * 100 <= both.healthy.bakes * 3, "{both:?}");
        assert!(both.regressed.median_look.is_none_or(|look| look <= 30), "{both:?}");
    }

    #[test]
    fn less_than_a_bake_tells_nothing() {
        let mut short = past(1.0, 2.0);
        short.windows.truncate(29);
        assert_eq!(backtest(&stakes(), &short, 0.05, 1), None);
        assert_eq!(backtest(&stakes(), &Past { windows: vec![None; 60], ..short }, 0.05, 1), None);
    }
}
