//! The fast judge is the same judge.

use proptest::prelude::*;

use crate::judge::batch::Batch;
use crate::judge::combine::{Critical, combine};
use crate::judge::counts::{Boundary, Counts};
use crate::judge::design_effect::DesignEffect;
use crate::judge::evidence::{CountEvidence, CountLook};
use crate::judge::gate::{Better, Boundaries, CountRule};
use crate::judge::limit::Limit;
use crate::judge::verdict::Course;

fn boundary() -> impl Strategy<Value = Boundary> {
    let ratio = prop_oneof![4 => 0.5f64..2.0, 1 => Just(1.0), 1 => Just(1e-6), 1 => Just(1e6), 1 => Just(1e300)];
    (ratio, prop_oneof![Just(0.0), 0.0f64..0.02, Just(1.0)]).prop_map(|(ratio, abs)| Boundary { ratio, abs })
}

fn rule() -> impl Strategy<Value = CountRule> {
    let better = prop_oneof![Just(Better::Lower), Just(Better::Higher)];
    let limit = proptest::option::of(prop_oneof![1e-4f64..0.5, Just(0.995)]);
    let boundaries = proptest::option::weighted(0.8, (boundary(), boundary()));
    (better, limit, boundaries, any::<bool>()).prop_map(|(better, limit, boundaries, two_sided)| CountRule {
        better,
        // One of the two there must be.
        limit: limit.or(boundaries.is_none().then_some(0.01)).map(|tau| Limit::new(tau).unwrap()),
        boundaries: boundaries.map(|(fail, pass)| Boundaries { fail, pass }),
        two_sided,
    })
}

fn gates() -> impl Strategy<Value = Vec<(CountRule, DesignEffect)>> {
    let effect = prop_oneof![2 => Just(1.0), 1 => 1.0f64..4.0, 1 => Just(1e6)];
    proptest::collection::vec((rule(), effect.prop_map(|effect| DesignEffect::new(effect).unwrap())), 1..4)
}

/// Looks of a service of a certain size. What a look counts is around what it counts as a rule, from nothing to everything.
#[derive(Clone, Copy, Debug)]
struct Service {
    requests: f64,
    share: f64,
    rate: f64,
    worse: f64,
    varied: bool,
    odd: bool,
}

fn service() -> impl Strategy<Value = Service> {
    let requests = prop_oneof![3 => 1.0f64..5.0, 1 => -3.0f64..14.0].prop_map(|digits| 10f64.powf(digits));
    let share = prop_oneof![3 => 0.01f64..0.99, 1 => 1e-6f64..0.01, 1 => Just(0.5)];
    let rate = prop_oneof![3 => 1e-3f64..0.1, 1 => 0.0f64..1.0];
    (requests, share, rate, prop_oneof![Just(1.0), 0.3f64..4.0], any::<bool>(), any::<bool>())
        .prop_map(|(requests, share, rate, worse, varied, odd)| Service { requests, share, rate, worse, varied, odd })
}

impl Service {
    /// A side, from four numbers of chance.
    fn side(&self, share: f64, rate: f64, chance: [f64; 2], nothing: bool) -> Counts {
        let whole = |n: f64| if self.odd { n } else { n.round() };
        let requests = self.requests * share * if self.varied { 0.5 + chance[0] } else { 1.0 };
        let requests = if nothing { 0.0 } else { whole(requests) };
        // Uniform, with about the variance that counts have.
        let events = requests * rate + (chance[1] - 0.5) * (12.0 * requests * rate).sqrt();
        Counts::new(requests, whole(events.max(0.0)).min(requests)).unwrap()
    }

    fn look(&self, chance: &[f64; 5]) -> CountLook {
        let [a, b, c, d, quiet] = *chance;
        let candidate = self.side(self.share, (self.rate * self.worse).min(1.0), [a, b], quiet < 0.03);
        let stable = self.side(1.0 - self.share, self.rate, [c, d], (0.03..0.06).contains(&quiet));
        CountLook::exact(candidate, stable)
    }
}

/// One look at a time, by the ledgers of each gate.
fn one_by_one(
    gates: &[(CountRule, DesignEffect)],
    looks: &[Vec<CountLook>],
    levels: [f64; 2],
    planned: u64,
) -> (Course, f64) {
    let mut evidence: Vec<CountEvidence> =
        gates.iter().map(|gate| CountEvidence::new(&gate.0, Some(planned))).collect();
    let (mut course, mut ln_e) = (Course::default(), 0.0);
    for looks in looks {
        for ((evidence, gate), look) in evidence.iter_mut().zip(gates).zip(looks) {
            evidence.look(look, gate.1);
        }
        let critical: Vec<Critical> =
            evidence.iter().map(|evidence| Critical { weight: 1.0, ln_e: evidence.ln_e_fail() }).collect();
        ln_e = combine(&critical).unwrap().ln_e;
        let passes = evidence.iter().all(|evidence| evidence.ln_e_pass() >= -levels[1].ln());
        course.look(ln_e >= -levels[0].ln(), passes);
    }
    (course, ln_e)
}

fn levels() -> impl Strategy<Value = f64> {
    prop_oneof![3 => Just(0.01), 3 => Just(0.05), 1 => Just(0.5), 1 => Just(1e-7), 1 => Just(1.0)]
}

/// A gate whose looks have no known bound leaves the decision to the evidence of all of them, also later.
#[test]
fn looks_without_a_bound_hide_no_failure_of_another_gate() {
    let gate = |ratio: f64| {
        let boundary = |ratio: f64| Boundary { ratio, abs: 0.0 };
        let boundaries = Some(Boundaries { fail: boundary(ratio), pass: boundary(0.5) });
        (CountRule { better: Better::Lower, limit: None, boundaries, two_sided: false }, DesignEffect::NONE)
    };
    let gates = [gate(1e300), gate(0.5)];
    let side = |requests: f64, events: f64| Counts::new(requests, events).unwrap();
    let look = CountLook::exact(side(9.0, 1.0), side(1.0, 0.0));
    let worse = CountLook::exact(side(100.0, 40.0), side(900.0, 27.0));
    let looks: Vec<Vec<CountLook>> =
        (0..20).map(|k| if k < 8 { vec![look, look] } else { vec![look, worse] }).collect();
    let (course, _) = one_by_one(&gates, &looks, [0.01, 0.05], 60);
    assert!(course.first_fail.is_some_and(|look| look > 8), "{course:?}");
    assert_eq!(Batch::new(&gates, 0.01, 0.05, 60).course_of(&looks.concat()), course);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Asked once, or after each look, or now and then: of several rollouts, the same decisions at the same looks, and the
    /// same evidence to the last bit.
    #[test]
    fn a_batch_decides_as_the_ledgers_do(
        gates in gates(),
        services in proptest::collection::vec(service(), 3),
        chances in proptest::collection::vec(proptest::collection::vec(proptest::array::uniform5(0.0f64..1.0), 3), 1..50),
        levels in proptest::array::uniform2(levels()),
        planned in prop_oneof![Just(0u64), Just(1), Just(2), 3u64..60, Just(1_000_000)],
        every in 1usize..50,
    ) {
        let mut batch = Batch::new(&gates, levels[0], levels[1], planned);
        for turn in 0..3 {
            let look = |chances: &Vec<[f64; 5]>| -> Vec<CountLook> {
                (0..gates.len()).map(|at| services[(at + turn) % 3].look(&chances[at])).collect()
            };
            let looks: Vec<Vec<CountLook>> = chances.iter().map(look).collect();
            let (course, ln_e) = one_by_one(&gates, &looks, levels, planned);
            batch.begin();
            for (looks, k) in looks.iter().zip(1u64..) {
                batch.look(looks);
                if k % every as u64 == 0 {
                    let by_now = |at: Option<u64>| at.filter(|at| *at <= k);
                    let (so_far, want) = (batch.course(), course);
                    prop_assert_eq!(so_far.first_fail, by_now(want.first_fail));
                    prop_assert_eq!(so_far.first_pass, by_now(want.first_pass));
                }
            }
            prop_assert_eq!(batch.course(), course);
            prop_assert_eq!(batch.ln_e_fail().to_bits(), ln_e.to_bits(), "{} is not {}", batch.ln_e_fail(), ln_e);
            prop_assert_eq!(batch.course_of(&looks.concat()), course);
        }
    }
}
