//! What looks lead to.

use mlroll_backend::TrafficSplit;
use proptest::prelude::*;

use super::scenario::{Event, play, with};
use super::world::World;
use super::{about, id, secs, terms, weight};
use crate::rollout::engine::{
    Action, Cause, Ended, Input, Kind, Plan, Reaction, Rollout, Stage, Terms, Verdict, Windows,
};

fn ends(terms: Terms, world: World) -> (Ended, Cause, World) {
    let (rollout, world) = play(&with(terms, world, Vec::new()));
    let (ended, why) = rollout.ended().unwrap();
    (ended, why.clone(), world)
}

fn judged(verdict: Verdict) -> World {
    World { verdicts: vec![verdict], ..World::calm() }
}

fn minutes(world: &World) -> i64 {
    (world.now - World::calm().now) / 60_000
}

#[test]
fn a_pass_is_early_once_min_bake_is_over() {
    let (ended, why, world) = ends(terms(), judged(Verdict::Pass));
    assert_eq!((ended, why), (Ended::Promoted, Cause::Passed));
    let shares: Vec<_> = world.applied.iter().map(|split| split.weight_of(&id("42")).basis_points()).collect();
    assert_eq!(shares, [500, 5000, 10_000]);
    // Twice a warm-up, up to the next minute, three looks and the delay of the store: not twice six minutes.
    assert!((8..=11).contains(&minutes(&world)), "{} min", minutes(&world));
}

#[test]
fn without_gates_every_step_holds_for_its_bake_and_then_it_is_promoted() {
    for verdict in [Verdict::Inconclusive, Verdict::NoData, Verdict::Pass] {
        let terms = Terms { judged: false, warm_up: secs(0), settle_delay: secs(0), ..terms() };
        let (ended, why, world) = ends(terms, judged(verdict));
        assert_eq!((ended, why, world.applied.len()), (Ended::Promoted, Cause::NotJudged, 3));
        assert!((12..=15).contains(&minutes(&world)), "{} min", minutes(&world));
    }
}

#[test]
fn every_bad_end_is_a_rollback_or_a_hold_as_the_plan_says() {
    let silent = World { store: vec![false], ..World::calm() };
    let cases = [
        (judged(Verdict::Fail), Cause::Failed),
        (judged(Verdict::Starved), Cause::Starved),
        (judged(Verdict::Inconclusive), Cause::Inconclusive),
        (judged(Verdict::NoData), Cause::NoData),
        (silent, Cause::NoData),
    ];
    for (world, cause) in cases {
        for reaction in [Reaction::Hold, Reaction::Rollback] {
            let terms = Terms { on_fail: reaction, on_starved: reaction, on_inconclusive: reaction, ..terms() };
            let (ended, why, world) = ends(terms, world.clone());
            assert_eq!(why, cause);
            match reaction {
                Reaction::Hold => assert_eq!((ended, world.applied.len()), (Ended::Held, 1)),
                Reaction::Rollback => {
                    assert_eq!((ended, &world.split), (Ended::RolledBack, &TrafficSplit::full(id("41"))));
                }
            }
        }
    }
}

#[test]
fn a_silent_store_is_waited_for_until_the_budget_ends() {
    let back_after = |queries: usize| {
        let store = [vec![false; queries], vec![true]].concat();
        ends(Terms { no_data_budget: secs(600), ..terms() }, World { store, ..World::calm() })
    };
    assert_eq!(back_after(20).0, Ended::Promoted);
    let (ended, why, world) = back_after(1000);
    assert_eq!((ended, why), (Ended::RolledBack, Cause::NoData));
    assert!((9..=13).contains(&minutes(&world)), "{} min", minutes(&world));
}

/// A window without data is no look: the bake is as much longer.
#[test]
fn gaps_make_a_bake_longer_and_do_not_pass_it() {
    let verdicts = vec![Verdict::NoData, Verdict::Pass];
    let gaps = World { verdicts, ..World::calm() };
    let patient = Terms { no_data_budget: secs(1800), ..terms() };
    let (ended, _, world) = ends(patient, gaps);
    assert_eq!(ended, Ended::Promoted);
    assert!(minutes(&world) >= 12, "{} min", minutes(&world));
}

/// However far the clock jumps, each step has its looks.
#[test]
fn a_clock_that_jumps_skips_no_bake() {
    for gap in 0..30 {
        for by in [300, 3600, 86_400] {
            let silence = World { verdicts: vec![Verdict::NoData], ..World::calm() };
            let (rollout, _) = play(&with(terms(), silence, vec![(gap, Event::Clock(by))]));
            assert_eq!(rollout.ended().unwrap().0, Ended::RolledBack, "{gap} {by}");
            let (_, world) = play(&with(terms(), World::calm(), vec![(gap, Event::Clock(by))]));
            if world.split.is_full(&id("42")) {
                assert_eq!(world.applied.len(), 3);
            }
        }
    }
}

#[test]
fn the_promoted_revision_is_watched_and_taken_back_when_it_fails() {
    let watched = Terms { watch_after: secs(300), ..terms() };
    let promoted = ends(watched.clone(), judged(Verdict::Pass));
    assert_eq!((promoted.0, promoted.1), (Ended::Promoted, Cause::Passed));
    assert!(minutes(&promoted.2) >= 13);
    let mut world = judged(Verdict::Pass);
    let mut rollout = Rollout::new(super::plan(watched));
    let mut action = rollout.step(Input::Started, world.time());
    while let Some(input) = world.perform(&action) {
        if rollout.stage() == Stage::Watch {
            world.verdicts = vec![Verdict::Fail];
        }
        action = rollout.step(input, world.time());
    }
    assert_eq!(rollout.ended(), Some((Ended::RolledBack, &Cause::Failed)));
    assert_eq!(world.split, TrafficSplit::full(id("41")));
    assert_eq!(world.marker.unwrap().previous, None, "what was before stable is not said to be good");
}

#[test]
fn a_canary_keeps_its_share_judged_or_not() {
    let canary = Terms { kind: Kind::Canary, steps: vec![weight(1000)], ..terms() };
    let (ended, why, world) = ends(canary.clone(), judged(Verdict::Pass));
    assert_eq!((ended, why, world.applied.len()), (Ended::Shifted, Cause::Passed, 1));
    let bare = Terms { bake: secs(0), warm_up: secs(0), min_bake: secs(0), ..canary };
    let (ended, why, world) = ends(bare, World { settles: 20, ..judged(Verdict::Fail) });
    assert_eq!((ended, why, world.applied.len()), (Ended::Shifted, Cause::NotJudged, 1));
    assert!(world.now >= world.live_at);
}

fn experiment() -> Terms {
    let (kind, steps) = (Kind::Experiment, vec![weight(5000)]);
    Terms { kind, steps, experiment: Some(about()), on_inconclusive: Reaction::Hold, ..terms() }
}

#[test]
fn an_experiment_ends_as_its_looks_say() {
    for (verdict, ended, cause) in [
        (Verdict::Better, Ended::Shifted, Cause::Better),
        (Verdict::Worse, Ended::RolledBack, Cause::Worse),
        (Verdict::Fail, Ended::RolledBack, Cause::Failed),
        (Verdict::Starved, Ended::RolledBack, Cause::Starved),
        (Verdict::Mismatched, Ended::Held, Cause::Mismatched),
        (Verdict::Reached, Ended::Held, Cause::Undecided),
        (Verdict::Inconclusive, Ended::Held, Cause::Undecided),
        (Verdict::Pass, Ended::Held, Cause::Undecided),
        (Verdict::NoData, Ended::Held, Cause::NoData),
    ] {
        let (end, why, world) = ends(experiment(), judged(verdict));
        assert_eq!((end, why), (ended, cause), "{verdict:?}");
        let back = ended == Ended::RolledBack;
        assert_eq!((world.applied.len(), world.split.is_full(&id("41"))), (1 + usize::from(back), back), "{verdict:?}");
    }
    let held = Terms { on_fail: Reaction::Hold, ..experiment() };
    assert_eq!(ends(held, judged(Verdict::Worse)).0, Ended::Held);
    let early = ends(experiment(), judged(Verdict::Better)).2;
    assert!((5..=6).contains(&minutes(&early)), "three looks, not five: {} min", minutes(&early));
}

/// Who reads such verdicts in a rollout has a journal that is no rollout's.
#[test]
fn what_an_experiment_says_decides_no_rollout() {
    for verdict in [Verdict::Better, Verdict::Worse, Verdict::Mismatched, Verdict::Reached] {
        let (ended, why, _) = ends(terms(), judged(verdict));
        assert_eq!((ended, why), (Ended::RolledBack, Cause::Inconclusive), "{verdict:?}");
    }
}

#[test]
fn hold_keeps_the_split_and_resume_goes_on() {
    for gap in 0..40 {
        let hold = |performed| (gap, Event::Asked { input: Input::Hold, performed });
        let resume = (0, Event::Asked { input: Input::Resume, performed: false });
        for performed in [true, false] {
            let (rollout, world) = play(&with(terms(), World::calm(), vec![hold(performed)]));
            let ended = rollout.ended().unwrap().0;
            assert!(matches!(ended, Ended::Held | Ended::Promoted), "{ended:?}");
            let count = world.applied.len();
            let (rollout, world) = play(&with(terms(), World::calm(), vec![hold(performed), (250, resume.1.clone())]));
            assert_eq!(rollout.ended().unwrap().0, Ended::Promoted, "{gap} {performed}");
            assert!(world.applied.len() >= count && world.applied.len() == 3);
        }
    }
}

/// Found: windows that were read together with one that held the rollout were read again after it was resumed.
#[test]
fn windows_read_with_the_one_that_decides_are_consumed_too() {
    let starts = |windows: &[Windows]| windows.iter().map(|w| w.from).collect::<std::collections::BTreeSet<_>>().len();
    let mut world = judged(Verdict::Starved);
    let mut rollout = Rollout::new(super::plan(Terms { on_starved: Reaction::Hold, ..terms() }));
    let mut sampled = Vec::new();
    let mut input = Input::Started;
    for _ in 0..60 {
        let action = rollout.step(input, world.time());
        if let Action::Sample(windows) = &action {
            let each = (0..windows.count).map(|n| Windows { from: windows.from.plus(windows.length * n), ..*windows });
            sampled.extend(each);
            world.now += 240_000;
        }
        input = world.perform(&action).unwrap_or(Input::Resume);
    }
    assert!(sampled.len() > 10);
    assert_eq!(starts(&sampled), sampled.len());
}

#[test]
fn a_person_may_give_an_inconclusive_canary_another_bake() {
    let terms = Terms { on_inconclusive: Reaction::Hold, ..terms() };
    let mut world = judged(Verdict::Inconclusive);
    let mut rollout = Rollout::new(super::plan(terms));
    let mut action = rollout.step(Input::Started, world.time());
    while let Some(input) = world.perform(&action) {
        action = rollout.step(input, world.time());
    }
    assert_eq!(rollout.ended(), Some((Ended::Held, &Cause::Inconclusive)));
    world.verdicts = vec![Verdict::Pass];
    world.now += 3 * 86_400_000;
    action = rollout.step(Input::Resume, world.time());
    while let Some(input) = world.perform(&action) {
        action = rollout.step(input, world.time());
    }
    assert_eq!(rollout.ended(), Some((Ended::Promoted, &Cause::Passed)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Only as many looks in a row as the plan asks for, all of them passing at the end, let a step be left.
    #[test]
    fn nothing_but_passes_promotes(verdicts in prop::collection::vec(
        prop::sample::select(vec![Verdict::Fail, Verdict::Inconclusive, Verdict::NoData, Verdict::Starved]), 1..20,
    )) {
        let (ended, _, world) = ends(terms(), World { verdicts, ..World::calm() });
        prop_assert_eq!(ended, Ended::RolledBack);
        prop_assert_eq!(world.applied.len(), 2);
    }
}

/// A run that nobody drove for hours, or whose machine slept: the store answers, and has nothing of most of that time.
#[test]
fn what_the_store_has_lost_is_neither_data_nor_silence() {
    for (kept, expected) in [(None, Cause::NoData), (Some(secs(1800)), Cause::Passed)] {
        let mut world = World::calm();
        let mut rollout = Rollout::new(super::plan(Terms { kept, ..terms() }));
        let mut action = rollout.step(Input::Started, world.time());
        loop {
            if let Action::Sample(windows) = &action {
                let gone = world.time().since(windows.from) > secs(1800);
                world.verdicts = vec![if gone { Verdict::NoData } else { Verdict::Pass }];
            }
            let Some(input) = world.perform(&action) else { break };
            if world.query_count == 1 {
                world.query_count += 1;
                world.now += 4 * 3_600_000;
            }
            action = rollout.step(input, world.time());
        }
        assert_eq!(rollout.ended().unwrap().1, &expected, "{kept:?}");
    }
    let late = Terms { kept: Some(secs(90)), ..terms() };
    assert!(Plan::new(late, weight(1)).unwrap_err().to_string().contains("settle_delay"));
}
