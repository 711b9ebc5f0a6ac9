//! The properties of docs/judge.md section 7.

#![expect(clippy::unreachable, reason = "a failed unwrap is a failed test")]

use proptest::prelude::*;

use super::assert_near;
use crate::judge::counting::{Against, CountingTest};
use crate::judge::counts::{Boundary, Counts};
use crate::judge::design_effect::DesignEffect;
use crate::judge::evidence::{CountEvidence, CountLook};
use crate::judge::gate::{Gate, Rule};
use crate::judge::ledger::{Direction, Stake};

fn side() -> impl Strategy<Value = Counts> {
    (0u32..5000, 0.0f64..=1.0).prop_map(|(n, share)| {
        let n = f64::from(n);
        Counts::new(n, (n * share * share).floor()).unwrap()
    })
}

fn looks() -> impl Strategy<Value = Vec<(Counts, Counts)>> {
    proptest::collection::vec((side(), side()), 1..12)
}

fn directions() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::Down), Just(Direction::Up)]
}

fn ln_e(looks: &[(Counts, Counts)], ratio: f64, direction: Direction, stake: Stake) -> f64 {
    let mut test = CountingTest::new(Against::Stable(Boundary { ratio, abs: 0.0 }), direction, stake);
    for (candidate, stable) in looks {
        test.look(*candidate, *stable, 1.0);
    }
    test.ledger().ln_e()
}

proptest! {
    #[test]
    fn no_events_are_no_evidence(
        requests in proptest::collection::vec((0u32..9999, 0u32..9999), 1..20), planned in 0u64..30, way in directions(),
    ) {
        let counts = |n: u32| Counts::new(n.into(), 0.0).unwrap();
        let looks: Vec<_> = requests.into_iter().map(|(n, m)| (counts(n), counts(m))).collect();
        prop_assert!(ln_e(&looks, 1.5, way, Stake::Spread(planned)).abs() < 1e-12);
    }

    #[test]
    fn merging_looks_of_one_split_changes_nothing(
        base in (1u32..500, 1u32..500), times in (1u32..9, 1u32..9), shares in (0.0f64..1.0, 0.0f64..1.0), way in directions(),
    ) {
        let look = |times: u32, share: f64| {
            let counts = |n: u32| Counts::new((n * times).into(), (f64::from(n * times) * share).floor()).unwrap();
            (counts(base.0), counts(base.1))
        };
        let (one, two) = (look(times.0, shares.0), look(times.1, shares.1));
        let merged = (one.0.plus(two.0), one.1.plus(two.1));
        assert_near(ln_e(&[one, two], 1.2, way, Stake::Once), ln_e(&[merged], 1.2, way, Stake::Once));
    }

    #[test]
    fn up_falls_and_down_rises_with_the_ratio(looks in looks(), ratio in 0.1f64..10.0, factor in 1.0f64..5.0) {
        let stake = Stake::Spread(12);
        let slack = 1e-9;
        prop_assert!(
            ln_e(&looks, ratio * factor, Direction::Up, stake) <= ln_e(&looks, ratio, Direction::Up, stake) + slack
        );
        prop_assert!(
            ln_e(&looks, ratio * factor, Direction::Down, stake) >= ln_e(&looks, ratio, Direction::Down, stake) - slack
        );
    }

    #[test]
    fn restored_evidence_goes_on_bit_for_bit(looks in looks(), cut in 0usize..12) {
        let json = r#"{"metric":"error_rate","max":"2%","max_increase":{"ratio":1.5,"abs":"0.1%"}}"#;
        let gate: Gate = serde_json::from_str(json).unwrap();
        let Rule::Count(rule) = gate.rule() else { unreachable!() };
        let mut straight = CountEvidence::new(rule, Some(12));
        let mut restored = straight.clone();
        for (index, (candidate, stable)) in looks.iter().enumerate() {
            if index == cut {
                restored = serde_json::from_str(&serde_json::to_string(&restored).unwrap()).unwrap();
            }
            let look = CountLook::exact(*candidate, *stable);
            straight.look(&look, DesignEffect::UNKNOWN);
            restored.look(&look, DesignEffect::UNKNOWN);
        }
        prop_assert_eq!(straight.ln_e_fail().to_bits(), restored.ln_e_fail().to_bits());
        prop_assert_eq!(straight.ln_e_pass().to_bits(), restored.ln_e_pass().to_bits());
        prop_assert_eq!(straight, restored);
    }
}

#[test]
fn each_step_starts_its_passes_anew() {
    let gate: Gate = serde_json::from_str(r#"{"metric":"error_rate","max":"1%"}"#).unwrap();
    let Rule::Count(rule) = gate.rule() else { unreachable!() };
    let mut evidence = CountEvidence::new(rule, Some(9));
    evidence.look(&CountLook::exact(Counts::new(250.0, 0.0).unwrap(), Counts::NONE), DesignEffect::NONE);
    let fail = evidence.ln_e_fail();
    assert!(evidence.ln_e_pass() > 1.0 && fail < 0.0);
    evidence.restart_pass();
    assert_eq!((evidence.ln_e_pass(), evidence.ln_e_fail()), (0.0, fail));
}
