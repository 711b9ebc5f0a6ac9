//! Experiments: without a difference, with one, with a broken splitter, and with whatever a store may answer.

use mlroll_backend::{ErrorKind, Histogram, Sample, Why};
use proptest::prelude::*;

use crate::foresight::Dice;
use crate::judge::counting::{Against, CountingTest};
use crate::judge::counts::{Boundary, Counts};
use crate::judge::design_effect::DesignEffect;
use crate::judge::ledger::{Direction, Stake};
use crate::judge::panel::{Evidence, Prelude};
use crate::judge::trial::{Arms, Design, Effect, LnE, Measure, Told, Trial, Winner};
use crate::judge::verdict::Verdict;

const ERRORS: &str = r#"{"metric": "error_rate", "fail": {"ratio": 1.0, "abs": 0}}"#;
const SALES: &str =
    r#"{"name": "sales", "metric": "error_rate", "better": "higher", "fail": {"ratio": 1.0, "abs": 0}}"#;
const SCORE: &str = r#"{"name": "score", "query": "x", "better": "higher"}"#;
const COST: &str = r#"{"name": "cost", "query": "x", "judge": "sign"}"#;
const PLAIN: &str = r#"{"name": "plain", "query": "x", "difference": "plain"}"#;
const SLOW: &str = r#"{"metric": "latency", "quantile": 0.95, "fail": {"ratio": 1.0, "abs": 0}}"#;
const SHAPE: &str = r#"{"metric": "latency", "judge": "shape", "fail": {"ratio": 1.0, "abs": 0}}"#;

fn trial(gate: &str, share: f64, size: Option<u64>) -> Trial {
    let threshold = gate.contains("0.95").then_some(crate::judge::exact::Exact(0.3));
    let prelude = Prelude { threshold, ..Prelude::with_effect(DesignEffect::NONE) };
    Trial::new(&serde_json::from_str(gate).unwrap(), prelude, Design { alpha: 0.05, share, size }).unwrap()
}

fn counts(candidate: (f64, f64), stable: (f64, f64)) -> Evidence {
    Evidence { candidate: Sample::counts(candidate.0, candidate.1), stable: Sample::counts(stable.0, stable.1) }
}

fn values(candidate: f64, stable: f64) -> Evidence {
    Evidence { candidate: Sample::value(candidate), stable: Sample::value(stable) }
}

/// Requests of a window, sent to one or the other by chance, and events of each by chance.
fn window(dice: &mut Dice, share: f64, requests: f64, rates: (f64, f64)) -> Evidence {
    let candidate = dice.chosen(requests, share);
    let stable = requests - candidate;
    counts((candidate, dice.chosen(candidate, rates.0)), (stable, dice.chosen(stable, rates.1)))
}

/// The sum of twelve: about normal.
fn normal(dice: &mut Dice) -> f64 {
    (0..12).map(|_| dice.unit()).sum::<f64>() - 6.0
}

/// Where the metric does not tell the requests, something else tells that they are split in equal parts.
fn told(trial: &mut Trial, evidence: &Evidence) -> Told {
    let others = Some((500.0, 500.0)).filter(|_| !trial.gate().tells_requests());
    let requests = evidence.requests(trial.gate()).or(others);
    trial.look(evidence, requests)
}

/// What it ends with, and at which look.
fn ends(trial: &mut Trial, looks: usize, mut window: impl FnMut(usize) -> Evidence) -> (Told, usize) {
    for n in 0..looks {
        let told = told(trial, &window(n));
        if !matches!(told, Told::Inconclusive | Told::NoData) {
            return (told, n);
        }
    }
    (Told::Inconclusive, looks)
}

/// Whether "no effect" is outside of the interval.
fn is_excluded(trial: &Trial) -> bool {
    let Some(Effect { lower, upper, .. }) = trial.effect() else { return false };
    lower.is_some_and(|lower| lower > 0.0) || upper.is_some_and(|upper| upper < 0.0)
}

fn rejects_now(trial: &Trial) -> bool {
    let LnE { worse, better, needed, .. } = trial.ln_e();
    worse >= needed || better >= needed
}

/// Windows of few requests and of many, in uneven parts, at rates that both share and that wander, with an effect that may change.
fn uneven(dice: &mut Dice, ratio: f64, rate: &mut f64) -> Evidence {
    let requests = [20.0, 300.0, 4_000.0][(dice.unit() * 3.0) as usize];
    *rate = (*rate * (0.6 + 0.8 * dice.unit())).clamp(0.002, 0.4);
    let share = 0.3 + 0.4 * dice.unit();
    window(dice, share, requests, ((*rate * ratio).min(1.0), *rate))
}

#[test]
fn the_interval_leaves_out_no_effect_exactly_when_a_test_has_rejected() {
    let mut dice = Dice::new(29);
    for gate in [ERRORS, SALES, SCORE, PLAIN, SLOW] {
        let (mut rejected, mut left_again, mut open) = (0, 0, 0);
        for run in 0..36 {
            // A strict gate of counts is Up or Down; bursts divide its evidence.
            let fresh = trial(gate, 0.5, None);
            let prelude = if run % 3 == 0 { Prelude { effect: None, ..fresh.prelude() } } else { fresh.prelude() };
            let mut trial = Trial::new(fresh.gate(), prelude, fresh.design()).unwrap();
            let (mut rate, mut by_then, strength) = (0.05, false, dice.unit() - 0.5);
            for n in 0..40 {
                // In one run of four the effect turns round.
                let strength = if run % 4 == 0 && n > 15 { -2.0 * strength } else { strength };
                let evidence = match gate {
                    ERRORS | SALES if run % 5 == 1 => {
                        let parts = ["eu", "us"].map(|name| (name, uneven(&mut dice, strength.exp(), &mut rate)));
                        let side = |of: fn(&Evidence) -> &Sample| {
                            let parts = parts.iter().map(|(name, part)| ((*name).to_owned(), of(part).clone()));
                            Sample::Strata(parts.collect())
                        };
                        Evidence { candidate: side(|part| &part.candidate), stable: side(|part| &part.stable) }
                    }
                    ERRORS | SALES => uneven(&mut dice, strength.exp(), &mut rate),
                    SLOW => slow(&mut dice, strength),
                    _ => values((0.2 * normal(&mut dice) + 0.3 * strength).exp(), (0.2 * normal(&mut dice)).exp()),
                };
                told(&mut trial, &evidence);
                by_then |= rejects_now(&trial);
                assert_eq!(by_then, trial.winner().is_some(), "{gate} {run} {n}");
                assert_eq!(by_then, is_excluded(&trial), "{gate} {run} {n}: {:?} {:?}", trial.effect(), trial.ln_e());
                left_again += u32::from(by_then && !rejects_now(&trial));
            }
            rejected += u32::from(by_then);
            open += u32::from(!by_then);
        }
        assert!(rejected > 5 && open > 5 && left_again > 5, "{gate}: {rejected} {open} {left_again}");
    }
}

/// Latencies around a threshold that is no bound of the buckets: what is surely slower, and what may be.
fn slow(dice: &mut Dice, strength: f64) -> Evidence {
    let mut side = |rate: f64| {
        let (above, between) = (dice.chosen(900.0, rate), dice.chosen(100.0, 0.02));
        let at_most = 1_000.0 - above;
        let bounds = vec![(0.2, at_most - between), (0.4, at_most), (f64::INFINITY, 1_000.0)];
        Sample::Histogram(Histogram::new(bounds).unwrap())
    };
    Evidence { candidate: side(0.08 * strength.exp()), stable: side(0.08) }
}

/// By tests of that ratio, each fed look by look.
#[test]
fn the_interval_is_what_no_test_of_that_ratio_has_rejected() {
    for (gate, seed) in [(ERRORS, 1), (SALES, 2), (ERRORS, 3), (SALES, 4)] {
        let (mut dice, mut trial, mut rate) = (Dice::new(seed), trial(gate, 0.5, None), 0.05);
        let ratios: Vec<f64> = (-60..=60).map(|n| (f64::from(n) / 20.0).exp()).collect();
        let test = |ratio: &f64, direction| {
            CountingTest::new(Against::Stable(Boundary { ratio: *ratio, abs: 0.0 }), direction, Stake::Once)
        };
        let tests = ratios.iter().map(|ratio| (test(ratio, Direction::Up), test(ratio, Direction::Down), false));
        let mut tests: Vec<_> = tests.collect();
        let (mut kept, mut left_out) = (0, 0);
        for n in 0..60 {
            let evidence = uneven(&mut dice, if n < 40 { 1.4 } else { 1.1 }, &mut rate);
            told(&mut trial, &evidence);
            let LnE { needed, .. } = trial.ln_e();
            let Effect { lower, upper, .. } = trial.effect().unwrap();
            let (lower, upper) = (1.0 + lower.unwrap(), upper.map_or(f64::INFINITY, |upper| 1.0 + upper));
            let sides = |sample: &Sample| match sample {
                Sample::Counts { requests, events, .. } => Counts::new(requests.get(), events.get()).unwrap(),
                Sample::Histogram(_) | Sample::NoData(_) | Sample::Strata(_) | Sample::Value(_) => panic!("counts"),
            };
            for (ratio, (up, down, rejected)) in ratios.iter().zip(&mut tests) {
                up.look(sides(&evidence.candidate), sides(&evidence.stable), 1.0);
                down.look(sides(&evidence.candidate), sides(&evidence.stable), 1.0);
                *rejected |= up.ledger().ln_e() >= needed || down.ledger().ln_e() >= needed;
                assert_eq!(*rejected, *ratio < lower || *ratio > upper, "{gate} {n}: {ratio} in {lower} to {upper}");
                kept += u32::from(!*rejected);
                left_out += u32::from(*rejected);
            }
        }
        assert!(kept > 300 && left_out > 300, "{kept} {left_out}");
    }
}

/// An older program has kept nothing to bound an effect by, and decides the same.
#[test]
fn a_journal_of_before_leads_to_the_same_decisions() {
    for gate in [ERRORS, SALES, SCORE] {
        let (mut dice, mut rate) = (Dice::new(7), 0.05);
        let (mut ours, mut before) = (trial(gate, 0.5, None), trial(gate, 0.5, None).without_bounds());
        for _ in 0..30 {
            let text = serde_json::to_string(&before).unwrap();
            assert!(!text.contains("bounds"), "{text}");
            before = serde_json::from_str(&text).unwrap();
            let evidence = match gate {
                SCORE => values((0.2 + 0.1 * normal(&mut dice)).exp(), 1.0),
                _ => uneven(&mut dice, 1.5, &mut rate),
            };
            assert_eq!(told(&mut ours, &evidence), told(&mut before, &evidence));
            assert_eq!((ours.ln_e(), ours.winner()), (before.ln_e(), before.winner()));
        }
        assert!(ours.winner().is_some() && !is_excluded(&before) && is_excluded(&ours), "{gate}");
    }
}

/// Nothing differs and the splitter works, so every end but "undecided" is false: at most alpha of 2,000 are.
fn rarely_decided(gate: &str, share: f64, mut window: impl FnMut(&mut Dice, usize) -> Evidence) {
    let (mut dice, fresh) = (Dice::new(17), trial(gate, share, None));
    let runs = (0..2_000).map(|_| ends(&mut fresh.clone(), 20, |n| window(&mut dice, n)).0);
    let decided = runs.filter(|told| *told != Told::Inconclusive).count();
    assert!(decided <= 100, "{decided} of 2,000");
    assert!(decided > 0, "one that never decides would pass, too");
}

#[test]
fn equal_rates_are_rarely_told_apart() {
    rarely_decided(ERRORS, 0.5, |dice, _| window(dice, 0.5, 2_000.0, (0.03, 0.03)));
}

#[test]
fn equal_rates_that_rise_and_fall_are_rarely_told_apart_at_a_small_share() {
    rarely_decided(ERRORS, 0.1, |dice, n| {
        let rate = 0.03 * (1.0 + 0.8 * (n as f64 / 3.0).sin());
        window(dice, 0.1, 2_000.0, (rate, rate))
    });
}

#[test]
fn equal_conversions_are_rarely_told_apart() {
    rarely_decided(SALES, 0.5, |dice, _| window(dice, 0.5, 1_000.0, (0.3, 0.3)));
}

#[test]
fn equal_values_are_rarely_told_apart() {
    rarely_decided(SCORE, 0.5, |dice, _| values((0.1 * normal(dice)).exp(), (0.1 * normal(dice)).exp()));
}

#[test]
fn a_difference_is_told_with_its_direction_and_its_size() {
    for (gate, rates, winner) in [
        (ERRORS, (0.06, 0.03), Winner::Stable),
        (ERRORS, (0.03, 0.06), Winner::Candidate),
        (SALES, (0.06, 0.03), Winner::Candidate),
        (SALES, (0.03, 0.06), Winner::Stable),
    ] {
        let (mut trial, mut dice) = (trial(gate, 0.5, None), Dice::new(3));
        let (end, looks) = ends(&mut trial, 40, |_| window(&mut dice, 0.5, 2_000.0, rates));
        let (wanted, verdict) = match winner {
            Winner::Candidate => (Told::Better, Verdict::Pass),
            Winner::Stable => (Told::Worse, Verdict::Fail),
        };
        assert!(end == wanted && looks < 10, "{gate} {rates:?}: {end:?} after {looks}");
        let Effect { of, estimate, lower, upper } = trial.effect().unwrap();
        let (estimate, lower, upper) = (estimate.unwrap(), lower.unwrap(), upper.unwrap());
        assert!(of == Measure::Relative && lower <= estimate && estimate <= upper, "{lower} {estimate} {upper}");
        // What the test rejects is what the interval leaves out.
        assert!(if rates.0 > rates.1 { lower > 0.0 } else { upper < 0.0 }, "{lower} {upper}");
        let finding = trial.finding().unwrap();
        assert_eq!((trial.winner(), finding.verdict), (Some(winner), verdict));
        assert!(finding.needed.fail.max(finding.needed.pass) >= 1.0, "{finding:?}");
    }
}

#[test]
fn values_are_told_apart_and_their_means_are_kept() {
    for (gate, expected) in [(SCORE, Told::Better), (COST, Told::Worse), (PLAIN, Told::Worse)] {
        let (mut trial, mut dice) = (trial(gate, 0.5, None), Dice::new(5));
        let (end, _) = ends(&mut trial, 60, |_| values(1.2 + 0.01 * normal(&mut dice), 1.0));
        assert_eq!(end, expected, "{gate}");
        let Arms { candidate, stable } = trial.means().unwrap();
        assert!((candidate - 1.2).abs() < 0.02 && stable == 1.0, "{candidate} {stable}");
        let LnE { worse, better, needed, .. } = trial.ln_e();
        assert!((worse >= needed) == (end == Told::Worse) && (better >= needed) == (end == Told::Better), "{gate}");
        let effect = trial.effect();
        assert_eq!(
            effect.map(|effect| effect.of),
            match gate {
                SCORE => Some(Measure::Relative),
                PLAIN => Some(Measure::Difference),
                _ => None,
            }
        );
        if let Some(Effect { estimate, lower, upper, .. }) = effect {
            let (estimate, lower, upper) = (estimate.unwrap(), lower.unwrap(), upper.unwrap());
            assert!((estimate - 0.2).abs() < 0.02 && lower > 0.0 && lower < estimate && estimate < upper, "{gate}");
        }
    }
}

#[test]
fn a_broken_splitter_is_told_before_anything_is_decided_by_it() {
    // What is lost are the slow ones, so the candidate looks better than it is.
    for (kept, expected) in [(0.7, Told::Mismatched), (1.4, Told::Mismatched), (0.1, Told::Starved)] {
        let mut trial = trial(ERRORS, 0.5, None);
        let (end, looks) = ends(&mut trial, 40, |_| counts((1_000.0 * kept, 10.0), (1_000.0, 30.0)));
        assert!(end == expected && looks < 3, "{kept}: {end:?} after {looks}");
    }
    let mut stable_lost = trial(ERRORS, 0.5, None);
    assert_eq!(ends(&mut stable_lost, 40, |_| counts((1_000.0, 30.0), (100.0, 3.0))).0, Told::Mismatched);
    let Arms { candidate, stable } = stable_lost.requests();
    assert_eq!(candidate, 10.0 * stable);
}

/// A metric that counts no requests, whose requests something else tells: who gets how many of 100.
#[test]
fn a_starved_candidate_is_told_by_any_metric_and_at_little_traffic() {
    for requests in [20.0, 100.0, 5_000.0] {
        for (of_hundred, expected) in [
            (0.0, Told::Starved),
            (10.0, Told::Starved),
            (22.0, Told::Starved),
            (28.0, Told::Mismatched),
            (70.0, Told::Mismatched),
            (95.0, Told::Mismatched),
            (50.0, Told::Inconclusive),
        ] {
            for gate in [SCORE, COST] {
                let (mut trial, mut dice) = (trial(gate, 0.5, None), Dice::new(11));
                let share = of_hundred / 100.0;
                let mut looks = (0..400).map(|_| {
                    // What differs by chance alone.
                    let values = values((0.1 * normal(&mut dice)).exp(), (0.1 * normal(&mut dice)).exp());
                    trial.look(&values, Some((requests * share, requests * (1.0 - share))))
                });
                let end = looks.find(|told| *told != Told::Inconclusive).unwrap_or(Told::Inconclusive);
                assert_eq!(end, expected, "{gate}: {of_hundred} % of {requests}");
            }
        }
    }
}

#[test]
fn without_a_counted_request_nothing_is_compared() {
    for requests in [None, Some((0.0, 0.0))] {
        for (gate, worse) in [(SCORE, values(0.5, 1.0)), (COST, values(2.0, 1.0)), (PLAIN, values(2.0, 1.0))] {
            for evidence in [worse.clone(), worse.mirrored()] {
                let (mut silent, fresh) = (trial(gate, 0.5, None), trial(gate, 0.5, None));
                for _ in 0..200 {
                    assert_eq!(silent.look(&evidence, requests), Told::NoData, "{gate}");
                }
                assert_eq!((silent.ln_e(), silent.winner(), silent.effect()), (fresh.ln_e(), None, fresh.effect()));
                let reason = silent.finding().unwrap().reason;
                assert!(reason.contains("in 200 windows no request of either was counted"), "{reason}");
                let kept: Trial = serde_json::from_str(&serde_json::to_string(&silent).unwrap()).unwrap();
                assert_eq!(kept, silent);
                // Those that are counted decide, and only by themselves.
                let counted = |trial: &mut Trial| (0..60).map(|_| told(trial, &evidence)).collect::<Vec<_>>();
                assert_eq!(counted(&mut silent), counted(&mut fresh.clone()));
            }
        }
    }
    let mut idle = trial(SCORE, 0.5, None);
    let none = Evidence { candidate: Sample::NoData(Why::Empty), stable: Sample::NoData(Why::Empty) };
    assert_eq!(idle.look(&none, Some((0.0, 0.0))), Told::NoData);
    assert!(!idle.finding().unwrap().reason.contains("counted"), "nobody came, and nothing was to be compared");
}

#[test]
fn the_planned_size_ends_it_and_a_window_without_the_metric_decides_nothing() {
    let (mut sized, mut dice) = (trial(ERRORS, 0.5, Some(10_000)), Dice::new(9));
    assert_eq!(ends(&mut sized, 40, |_| window(&mut dice, 0.5, 2_000.0, (0.03, 0.03))), (Told::Reached, 4));
    let mut better = trial(ERRORS, 0.5, None);
    assert_eq!(ends(&mut better, 40, |_| counts((1_000.0, 10.0), (1_000.0, 60.0))).0, Told::Better);
    let none =
        Evidence { candidate: Sample::NoData(Why::Stale { age_seconds: None }), stable: Sample::counts(1_000.0, 10.0) };
    assert_eq!(told(&mut better, &none), Told::NoData, "what was shown is no pass of a window that shows nothing");
    assert_eq!(told(&mut better, &counts((1_000.0, 30.0), (1_000.0, 30.0))), Told::Better);
    let mut worse = trial(ERRORS, 0.5, None);
    assert_eq!(ends(&mut worse, 40, |_| counts((1_000.0, 60.0), (1_000.0, 10.0))).0, Told::Worse);
    assert_eq!(told(&mut worse, &none), Told::Worse);
}

#[test]
fn what_cannot_be_tried_is_refused() {
    let design = Design { alpha: 0.05, share: 0.5, size: None };
    let new = |gate: &str, design| Trial::new(&serde_json::from_str(gate).unwrap(), Prelude::default(), design);
    assert!(new(SLOW, design).is_err(), "no threshold and no history");
    for share in [0.0, 1.0, f64::NAN] {
        assert!(new(ERRORS, Design { share, ..design }).is_err(), "{share}");
    }
}

fn samples() -> impl Strategy<Value = Sample> {
    let wild = prop_oneof![Just(0.0), Just(1e15), Just(5e-324), Just(1e308), 0.0..1e4f64];
    let signed = (wild.clone(), any::<bool>()).prop_map(|(x, minus)| if minus { -x } else { x });
    let counts = (wild, 0.0..=1.0f64).prop_map(|(n, share)| {
        let requests = f64::min(n, 1e15);
        Sample::counts(requests, requests * share)
    });
    let histogram = (0.0..1e6f64, 0.0..1e6f64, 0.0..1e6f64).prop_map(|(a, b, c)| {
        Sample::Histogram(Histogram::new(vec![(0.1, a), (0.3, a + b), (f64::INFINITY, a + b + c)]).unwrap())
    });
    let failed = Why::Failed { kind: ErrorKind::Unavailable, message: "down".to_owned() };
    let none =
        prop::sample::select(vec![Why::Empty, Why::Stale { age_seconds: None }, failed]).prop_map(Sample::NoData);
    prop_oneof![3 => counts, 3 => signed.prop_map(Sample::value), 2 => histogram, 1 => none]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever comes: no panic, nothing that is not a number, and the same from any look on when it was written and read.
    #[test]
    fn nothing_is_no_number_and_everything_is_kept(
        gate in prop::sample::select(vec![ERRORS, SALES, SCORE, COST, PLAIN, SLOW, SHAPE]),
        basis_points in 1u16..10_000,
        evidence in prop::collection::vec((samples(), samples()), 1..12),
        size in prop::option::of(1u64..1_000_000),
    ) {
        let mut kept = trial(gate, f64::from(basis_points) / 10_000.0, size);
        for (candidate, stable) in evidence {
            let text = serde_json::to_string(&kept).unwrap();
            let mut read: Trial = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&read, &kept);
            let evidence = Evidence { candidate, stable };
            prop_assert_eq!(told(&mut kept, &evidence), told(&mut read, &evidence));
            prop_assert_eq!(serde_json::to_string(&kept).unwrap(), serde_json::to_string(&read).unwrap());
            let LnE { worse, better, needed, ratio } = kept.ln_e();
            for number in [worse, better, needed, ratio] {
                prop_assert!(!number.is_nan());
            }
            if let Some(Effect { estimate, lower, upper, .. }) = kept.effect() {
                for number in [estimate, lower, upper].into_iter().flatten() {
                    prop_assert!(number.is_finite());
                }
            }
            let finding = kept.finding().unwrap();
            prop_assert!((0.0..=1.0).contains(&finding.needed.fail) && (0.0..=1.0).contains(&finding.needed.pass));
            for mean in kept.means().into_iter().flat_map(|means| [means.candidate, means.stable]) {
                prop_assert!(mean.is_finite());
            }
        }
    }

    /// Who is called the candidate does not matter at equal shares.
    #[test]
    fn exchanging_the_revisions_exchanges_the_winner(
        gate in prop::sample::select(vec![ERRORS, SALES, SCORE, COST, PLAIN]),
        rates in (0.0..0.2f64, 0.0..0.2f64),
    ) {
        let (mut ours, mut theirs) = (trial(gate, 0.5, None), trial(gate, 0.5, None));
        let counted = matches!(gate, ERRORS | SALES);
        for n in 0..20 {
            let wobble = 1.0 + f64::from(n * 7 % 5) / 100.0;
            let evidence = if counted {
                counts((1_000.0, 1_000.0 * rates.0), (1_000.0, 1_000.0 * rates.1))
            } else {
                values((rates.0 + 1.0) * wobble, rates.1 + 1.0)
            };
            let exchanged = match told(&mut theirs, &evidence.mirrored()) {
                Told::Better => Told::Worse,
                Told::Worse => Told::Better,
                told @ (Told::Inconclusive | Told::Mismatched | Told::NoData | Told::Reached | Told::Starved) => told,
            };
            prop_assert_eq!(told(&mut ours, &evidence), exchanged);
        }
    }
}
