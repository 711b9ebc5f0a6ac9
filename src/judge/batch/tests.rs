use super::bounds::{POWER_APART, power_above};
use super::fail::Fail;
use super::*;
use crate::judge::counting::{Against, CountingTest};
use crate::judge::counts::Boundary;
use crate::judge::ledger::Direction;

/// Uniform numbers from 0 to 1, always the same.
fn chances() -> impl FnMut() -> f64 {
    let mut state = 1u64;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// About `mean`, with the variance of a count.
fn count(mean: f64, chance: &mut impl FnMut() -> f64) -> f64 {
    let normal: f64 = (0..12).map(|_| chance()).sum::<f64>() - 6.0;
    (mean + normal * mean.sqrt()).round().max(0.0)
}

fn look(requests: [f64; 2], rates: [f64; 2], chance: &mut impl FnMut() -> f64) -> CountLook {
    let [candidate, stable] = [0, 1].map(|at| {
        let requests = count(requests[at], chance);
        Counts::new(requests, count(requests * rates[at], chance).min(requests)).unwrap()
    });
    CountLook::exact(candidate, stable)
}

fn against(abs: f64) -> [Against; 3] {
    let boundary = Boundary { ratio: 1.2, abs };
    let limit = crate::judge::limit::Limit::new(0.02).unwrap();
    [Against::Stable(boundary), Against::Mirrored(boundary), Against::Limit(limit)]
}

#[test]
fn powers_are_above_by_next_to_nothing() {
    for step in -60_000..126_000 {
        let bits = step as f32 / 1_000.0;
        let apart = f64::from(power_above(bits)).log2() - f64::from(bits);
        assert!((0.0..POWER_APART).contains(&apart), "2^{bits}: {apart}");
    }
    assert!(power_above(f32::NEG_INFINITY) > 0.0 && power_above(-1e30) < 1e-18);
    assert!(power_above(f32::INFINITY) > 1e37 && power_above(f32::INFINITY).is_finite());
}

/// Whatever the traffic: bounds hold after every look, and fine ones say how near they are.
#[test]
fn evidence_is_within_its_bounds() {
    let (mut chance, mut near) = (chances(), 0);
    for round in 0..240u32 {
        let requests = 10f64.powf(1.0 + 5.0 * chance());
        let share = if round % 5 == 0 { 0.99 } else { 0.5 * chance() };
        let rate = 0.1 * chance() * chance();
        let rates = [rate * [0.5, 1.0, 1.5, 2.5][round as usize % 4], rate];
        let (effect, stake) = (DesignEffect::new(1.0 + f64::from(round % 3)).unwrap(), Stake::Spread(30));
        let direction = if round % 2 == 0 { Direction::Up } else { Direction::Down };
        for against in against([0.0, 0.002][round as usize % 2]) {
            let mut fail = Fail::new(against, direction, effect, stake, 1.0);
            let mut exact = CountingTest::new(against, direction, stake);
            let mut all = Vec::new();
            let mut coarse = Vec::new();
            for k in 1..=40usize {
                all.push(look([requests * share, requests * (1.0 - share)], rates, &mut chance));
                let looks = Looks { all: &all, gates: 1, gate: 0 };
                exact.look(all[k - 1].fail.candidate, all[k - 1].fail.stable, effect.factor());
                let e = exact.ledger().ln_e().exp();
                let mut most = [[0.0; 4]; RUN];
                fail.book(looks, k - 1, k, fail::bet(stake, k - 1), &mut most);
                let not_bet = fail.not_bet(stake.cash(k as u64));
                coarse.push(most[0].iter().map(|m| f64::from(*m)).sum::<f64>() + not_bet);
                let [low, high] = fail.within(looks, k);
                // Above that an upper bound says nothing.
                let at_least = e.min(MOST) * (1.0 - ROUNDING);
                assert!(
                    low <= e * (1.0 + ROUNDING) && at_least <= high,
                    "{against:?} look {k}: {low} <= {e} <= {high}"
                );
                assert!(coarse[k - 1] >= at_least, "{against:?} look {k}: {} >= {e}", coarse[k - 1]);
                near += u32::from(low > 0.9 * high);
                if e > MOST {
                    break;
                }
            }
            // Many looks at once come to the same.
            let mut most = [[0.0; 4]; RUN];
            let looks = Looks { all: &all, gates: 1, gate: 0 };
            fail.begin();
            fail.book(looks, 0, RUN.min(all.len()), fail::bet(stake, 0), &mut most);
            for ((most, coarse), k) in most.iter().zip(&coarse).zip(1..) {
                let most = most.iter().map(|m| f64::from(*m)).sum::<f64>() + fail.not_bet(stake.cash(k));
                assert!(
                    (most - coarse).abs() <= 1e-5 * coarse || !coarse.is_finite(),
                    "look {k}: {most}, not {coarse}"
                );
            }
        }
    }
    assert!(near > 240 * 3 * 40 / 3, "{near}");
}

/// The point of bounds: hardly ever is a ledger asked for.
#[test]
fn bounds_decide_nearly_everything() {
    let rule = |ratio| {
        let [fail, pass] = [Boundary { ratio: 1.0, abs: 0.0 }, Boundary { ratio, abs: 0.001 }];
        let boundaries = Some(crate::judge::gate::Boundaries { fail, pass });
        (
            CountRule { better: crate::judge::gate::Better::Lower, limit: None, boundaries, two_sided: false },
            DesignEffect::NONE,
        )
    };
    let mut chance = chances();
    for (requests, worse) in [([300.0, 2700.0], 1.0), ([300.0, 2700.0], 1.6), ([30_000.0, 30_000.0], 1.0)] {
        let mut batch = Batch::new(&[rule(1.5); 5], 0.01, 0.05, 120);
        let (mut refined, mut exact, mut decided) = (0, 0, 0);
        for _ in 0..100 {
            batch.begin();
            for _ in 0..120 {
                let looks: [CountLook; 5] = std::array::from_fn(|_| look(requests, [0.01 * worse, 0.01], &mut chance));
                batch.look(&looks);
            }
            let course = batch.course();
            decided += u32::from(course.first_fail.is_some()) + u32::from(course.first_pass.is_some());
            refined += u32::from(batch.gates[0].fail[0].is_refined());
            exact += batch.gates.iter().filter(|gate| gate.fail[0].is_exact() || gate.pass[0].is_exact()).count();
        }
        assert!(decided >= 75, "{requests:?}: {decided}");
        // Of 500 gates. Where all is decided by FAIL, bounds are as far apart as one look in ten brings evidence.
        assert!(exact <= if worse > 1.0 { 100 } else { 10 }, "{requests:?}, {worse}: {exact}");
        assert!(worse > 1.0 || refined <= 15, "{requests:?}: {refined} of 100");
    }
}
