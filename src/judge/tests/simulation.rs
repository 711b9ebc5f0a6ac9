//! Rollouts of healthy and of broken candidates (docs/judge.md sections 5 to 7), as `benches/judge` simulates them.

#![expect(clippy::unreachable, reason = "a failed unwrap is a failed test")]

use crate::judge;
use crate::judge::batch::Batch;
use crate::judge::counts::Counts;
use crate::judge::design_effect::DesignEffect;
use crate::judge::evidence::{CountEvidence, CountLook};

#[path = "../../../benches/judge/families.rs"]
mod families;

use families::{Dice, Family, GATE, detection, false_rollbacks, false_series, rule};

/// As many of 10,000 as the page says, of 100,000, and four standard errors of room; and some, as a test that never fails would
/// be none.
fn rarely_rolled_back(family: Family, percent: f64) {
    let failed = false_rollbacks(family, 10_000, 0.05, 5);
    let told = 100.0 * percent;
    assert!((20.0..=told + 4.0 * told.sqrt()).contains(&f64::from(failed)), "{family:?}: {failed}, not {told}");
}

#[test]
fn independent_errors_are_rarely_rolled_back() {
    rarely_rolled_back(Family::Independent, 1.26);
}

#[test]
fn bursty_errors_are_rarely_rolled_back() {
    rarely_rolled_back(Family::Bursty, 2.14);
}

#[test]
fn autocorrelated_errors_are_rarely_rolled_back() {
    rarely_rolled_back(Family::Autocorrelated, 1.23);
}

#[test]
fn a_daily_cycle_is_rarely_rolled_back() {
    rarely_rolled_back(Family::DailyCycle, 1.15);
}

#[test]
fn a_ramp_is_rarely_rolled_back() {
    rarely_rolled_back(Family::Ramped, 1.76);
}

#[test]
fn delayed_errors_are_rarely_rolled_back() {
    rarely_rolled_back(Family::Delayed, 1.23);
}

#[test]
fn autocorrelated_series_are_rarely_rolled_back() {
    for judge in ["sign", "t"] {
        let failed = false_series(judge, 0.6, 4_000, 9);
        // 1 % of 4,000 and three standard errors; without blocks it would be 480 and more.
        assert!(failed <= 40 + 19, "{judge}: {failed}");
    }
}

/// Median looks of docs/judge.md section 6, at alpha 0.05 and 0.01, to 5 % or to one look: many medians lie between two. And how
/// many are found in an hour, to four standard errors.
#[test]
fn broken_candidates_are_found_as_soon_as_the_page_says() {
    const ALL: [f64; 2] = [1.0, 1.0];
    for (base, worse, traffic, medians, shares) in [
        (0.05, 0.10, (10.0, 0.5), [4.0, 6.0], ALL),
        (0.01, 0.02, (10.0, 0.5), [17.0, 24.0], ALL),
        (0.01, 0.02, (10.0, 0.1), [41.0, 60.0], [0.968, 0.910]),
        (0.01, 0.02, (100.0, 0.1), [5.0, 7.0], ALL),
        (0.05, 0.10, (10.0, 0.01), [73.0, 103.0], [0.800, 0.609]),
        (0.05, 0.10, (100.0, 0.01), [9.0, 12.0], ALL),
        (0.01, 0.05, (100.0, 0.1), [1.0, 1.0], ALL),
        (0.05, 0.10, (10.0, 0.1), [10.0, 13.0], ALL),
    ] {
        const ROLLOUTS: u32 = 4_000;
        for ((found, want), share) in detection(base, worse, traffic, ROLLOUTS, 4).iter().zip(medians).zip(shares) {
            let room = 4.0 * (share * (1.0 - share) / f64::from(ROLLOUTS)).sqrt();
            assert!((found.share - share).abs() <= f64::max(room, 0.001), "{base} to {worse}: {found:?}, not {share}");
            let median = found.median.unwrap();
            assert!((median - want).abs() <= f64::max(0.05 * want, 1.0), "{base} to {worse}: {median}, not {want}");
        }
    }
}

#[test]
fn a_candidate_on_the_boundary_is_rarely_promoted() {
    let at_the_edge = r#"{"metric": "error_rate", "max_increase": {"ratio": 1.5}}"#;
    let (mut dice, mut passed) = (Dice::new(8), 0);
    let mut batch = Batch::new(&[(rule(at_the_edge), DesignEffect::NONE)], 0.01, 0.05, 40);
    for _ in 0..1_000 {
        batch.begin();
        for _ in 0..40 {
            let side = |n: f64, x: f64| Counts::new(n, x.min(n)).unwrap();
            batch.look(&[CountLook::exact(side(300.0, dice.poisson(4.5)), side(2700.0, dice.poisson(27.0)))]);
        }
        passed += u32::from(batch.course().first_pass.is_some());
    }
    assert!(passed < 50 + 21, "{passed}");
}

/// The fast judge is the same judge: limits, boundaries, bursts, odd counts, silence.
#[test]
fn a_batch_decides_as_the_ledgers_do() {
    let gates = [
        GATE,
        r#"{"metric": "error_rate", "max": "2%", "max_increase": {"ratio": 1.2, "abs": "0.1%"}}"#,
        r#"{"metric": "error_rate", "max": 0.3}"#,
        r#"{"metric": "error_rate", "max": 0.995}"#,
        r#"{"metric": "error_rate", "two_sided": true, "fail": {"ratio": 1.1}}"#,
        r#"{"metric": "error_rate", "better": "higher", "fail": {"ratio": 0.9}, "pass": {"ratio": 0.8}}"#,
    ];
    let mut dice = Dice::new(21);
    for json in gates {
        for effect in [1.0, 3.5] {
            let (rule, effect) = (rule(json), DesignEffect::new(effect).unwrap());
            let mut batch = Batch::new(&[(rule, effect)], 0.01, 0.05, 20);
            for round in 0..60 {
                let mut evidence = CountEvidence::new(&rule, Some(20));
                let worse = [0.5, 1.0, 1.5, 4.0][round % 4];
                batch.begin();
                for look in 1..=30u64 {
                    let odd = if round % 3 == 0 { dice.unit() } else { 0.0 };
                    let n_c = if look % 7 == 0 { 0.0 } else { 100.0 + odd };
                    let side = |n: f64, x: f64| Counts::new(n, (x + odd).min(n)).unwrap();
                    let (x_c, x_b) = (dice.poisson(100.0 * 0.01 * worse), dice.poisson(9000.0 * 0.01));
                    let look = CountLook::exact(
                        side(n_c, x_c),
                        side(if look % 11 == 0 { 0.0 } else { 9000.0 + 50.0 * odd }, x_b),
                    );
                    let before = batch.course();
                    batch.look(&[look]);
                    evidence.look(&look, effect);
                    judge::tests::assert_near(batch.ln_e_fail(), evidence.ln_e_fail());
                    let fails = evidence.ln_e_fail() >= -0.01f64.ln();
                    let passes = evidence.ln_e_pass() >= -0.05f64.ln();
                    let after = batch.course();
                    assert_eq!(after.first_fail.is_some(), before.first_fail.is_some() || fails, "{json}");
                    assert_eq!(after.first_pass.is_some(), before.first_pass.is_some() || passes, "{json}");
                }
            }
        }
    }
}
