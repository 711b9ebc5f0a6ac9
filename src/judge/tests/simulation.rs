//! Rollouts of a healthy and of a broken candidate (docs/judge.md sections 5 to 7).

#![expect(clippy::unreachable, reason = "a failed unwrap is a failed test")]

use crate::judge::counts::Counts;
use crate::judge::design_effect::DesignEffect;
use crate::judge::evidence::{CountEvidence, CountLook};
use crate::judge::gate::{Gate, Rule};

const LOOKS: u64 = 20;

/// xorshift64*: enough for a simulation, the same on every machine.
struct Dice(u64);

impl Dice {
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn poisson(&mut self, mean: f64) -> f64 {
        let (mut count, mut term, mut left) = (0.0, (-mean).exp(), self.unit());
        while left > term && count < 1000.0 {
            left -= term;
            count += 1.0;
            term *= mean / count;
        }
        count
    }
}

/// How many of `rollouts` fail at `alpha`, and how many pass at 0.05, when the candidate's rate is `worse` times stable's.
///
/// The split ramps 1, 10, 50 % and the base rate of both moves along, which ruins pooled tests.
fn outcomes(gate: &str, rollouts: u32, alpha: f64, worse: f64) -> (u32, u32) {
    let gate: Gate = serde_json::from_str(gate).unwrap();
    let Rule::Count(rule) = gate.rule() else { unreachable!() };
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let (mut failed, mut passed) = (0, 0);
    for _ in 0..rollouts {
        let mut evidence = CountEvidence::new(rule, Some(LOOKS));
        let mut passes = false;
        for look in 0..LOOKS {
            let (n_c, n_b, base) = match look * 3 / LOOKS {
                0 => (30.0, 2970.0, 0.005),
                1 => (300.0, 2700.0, 0.01),
                _ => (1500.0, 1500.0, 0.015),
            };
            let mut side = |n: f64, rate: f64| Counts::new(n, dice.poisson(n * rate).min(n)).unwrap();
            let look = CountLook::exact(side(n_c, base * worse), side(n_b, base));
            evidence.look(&look, DesignEffect::NONE);
            if evidence.ln_e_fail() >= -alpha.ln() {
                failed += 1;
                break;
            }
            passes |= evidence.ln_e_pass() >= -0.05f64.ln();
        }
        passed += u32::from(passes);
    }
    (failed, passed)
}

#[test]
fn healthy_rollouts_are_rarely_rolled_back() {
    let (failed, passed) = outcomes(r#"{"metric":"error_rate","fail":{"ratio":1,"abs":0}}"#, 10_000, 0.05, 1.0);
    // 500 are allowed, three standard errors are 65; a test that never fails would be none.
    assert!(failed < 500 + 65, "{failed}");
    assert!(failed > 20, "{failed}");
    assert!(passed > 9_000, "{passed}");
}

#[test]
fn broken_candidates_are_found_and_not_promoted() {
    let (failed, passed) = outcomes(r#"{"metric":"error_rate","fail":{"ratio":1,"abs":0}}"#, 500, 0.01, 3.0);
    assert!(failed > 490, "{failed}");
    assert!(passed < 25, "{passed}");
}

#[test]
fn a_candidate_on_the_boundary_is_rarely_promoted() {
    let (_, passed) = outcomes(r#"{"metric":"error_rate","max_increase":{"ratio":1.5}}"#, 1_000, 0.01, 1.5);
    assert!(passed < 50 + 21, "{passed}");
}
