//! The candidate can carry what stable carries before its first share.

use mlroll_backend::{ErrorKind, TrafficSplit};

use super::scenario::{Event, play, with};
use super::world::World;
use super::{id, terms};
use crate::rollout::engine::{Action, Cause, Ended, Input, Kind, Pending, Reaction, Rollout, Terms, Verdict};

fn planned() -> Terms {
    Terms { capacity: true, ..terms() }
}

/// The actions about capacity and traffic of a run in which nothing else happens, and how it ended.
fn actions(terms: Terms, mut world: World) -> (Vec<&'static str>, Ended, World) {
    let mut rollout = Rollout::new(super::plan(terms));
    let (mut input, mut named) = (Input::Started, Vec::new());
    loop {
        let action = rollout.step(input, world.time());
        named.extend(match &action {
            Action::Prepare(_) => Some("prepare"),
            Action::Restore { .. } => Some("restore"),
            Action::Shift { .. } => Some("shift"),
            Action::Size { .. } => Some("size"),
            Action::Done { ended, .. } => return (named, *ended, world),
            Action::Observe | Action::Sample(_) | Action::Wait { .. } => None,
        });
        input = world.perform(&action).unwrap();
    }
}

#[test]
fn it_is_ready_before_the_first_share_and_set_back_at_the_end() {
    let (named, ended, world) = actions(planned(), World::small());
    assert_eq!(named, ["size", "prepare", "shift", "shift", "shift", "restore"]);
    assert_eq!((ended, world.kept, world.ready), (Ended::Promoted, Some(id("42")), false));

    let failing = World { verdicts: vec![Verdict::Fail], ..World::small() };
    let (named, ended, world) = actions(planned(), failing);
    assert_eq!(named, ["size", "prepare", "shift", "shift", "restore"]);
    assert_eq!((ended, world.kept, world.ready), (Ended::RolledBack, Some(id("41")), false));
}

/// Where the split stays nobody is there to set it back later; where stable gets everything, it is set back.
#[test]
fn an_experiment_sets_it_back_where_stable_gets_everything_and_leaves_it_where_the_split_stays() {
    let experiment = Terms {
        kind: Kind::Experiment,
        steps: vec![super::weight(5000)],
        experiment: Some(super::about()),
        on_inconclusive: Reaction::Hold,
        ..planned()
    };
    for (verdict, end, restored) in [
        (Verdict::Better, Ended::Shifted, false),
        (Verdict::Inconclusive, Ended::Held, false),
        (Verdict::Mismatched, Ended::Held, false),
        (Verdict::Worse, Ended::RolledBack, true),
        (Verdict::Fail, Ended::RolledBack, true),
    ] {
        let (named, ended, world) = actions(experiment.clone(), World { verdicts: vec![verdict], ..World::small() });
        let wanted: &[&str] =
            if restored { &["size", "prepare", "shift", "shift", "restore"] } else { &["size", "prepare", "shift"] };
        assert_eq!((named.as_slice(), ended, world.ready), (wanted, end, !restored), "{verdict:?}");
    }
}

#[test]
fn a_candidate_that_has_enough_is_left_alone() {
    assert_eq!(actions(planned(), World::calm()).0, ["size", "shift", "shift", "shift"]);
    assert_eq!(actions(terms(), World::small()).0, ["shift", "shift", "shift"]);
}

#[test]
fn a_canary_that_is_there_already_is_not_prepared() {
    let canary =
        super::plan(planned()).marker(crate::rollout::engine::Stage::Step(0), super::super::Stage::Start, super::at(0));
    let split = TrafficSplit::between(id("41"), id("42"), super::weight(500));
    let world = World { split, marker: Some(canary), ..World::small() };
    assert_eq!(actions(planned(), world).0, ["shift", "shift"]);
}

#[test]
fn what_cannot_be_made_ready_is_taken_back_and_nothing_is_shifted() {
    let sizings = vec![None, Some(ErrorKind::Invalid), None];
    let (named, ended, world) = actions(planned(), World { sizings, ..World::small() });
    assert_eq!((named, ended), (vec!["size", "prepare", "restore"], Ended::Halted));
    assert!(world.applied.is_empty() && !world.ready);

    // Asked to go on, it begins anew.
    let sizings = vec![None, Some(ErrorKind::Invalid), None, None];
    let world = World { sizings, ..World::small() };
    let resume = Event::Asked { input: Input::Resume, performed: false };
    let (rollout, world) = play(&with(planned(), world, vec![(60, resume)]));
    assert_eq!((rollout.ended().unwrap().0, world.ready), (Ended::Promoted, false));
}

/// Traffic is where it should be: that counts, and the rest is told.
#[test]
fn what_cannot_be_set_back_is_told_and_changes_no_end() {
    let sizings = vec![None, None, Some(ErrorKind::Unavailable)];
    let (rollout, world) = play(&with(planned(), World { sizings, ..World::small() }, Vec::new()));
    assert_eq!(rollout.ended().unwrap(), (Ended::Promoted, &Cause::Passed));
    assert!(world.ready && rollout.unrestored().is_some() && rollout.reserved() == world.lacks.as_ref());
    assert!(rollout.is_unfinished() && !rollout.is_traffic_in_doubt());

    // What was refused for what it is stays so.
    let sizings = vec![None, None, Some(ErrorKind::Invalid)];
    let (rollout, _) = play(&with(planned(), World { sizings, ..World::small() }, Vec::new()));
    assert!(rollout.unrestored().is_some() && !rollout.is_unfinished());
}

/// A token that ran out must not leave twice the capacity for good, to be doubled by the next run.
#[test]
fn what_could_not_be_set_back_is_set_back_when_asked_to_go_on() {
    for verdict in [Verdict::Pass, Verdict::Fail] {
        let sizings = vec![None, None, Some(ErrorKind::Auth), None];
        let world = World { sizings, verdicts: vec![verdict], ..World::small() };
        let ask = |input| Event::Asked { input, performed: false };
        let (rollout, world) = play(&with(planned(), world, vec![(250, ask(Input::Resume))]));
        assert!(!world.ready && rollout.reserved().is_none() && !rollout.is_unfinished(), "{verdict:?}");
        let ended = if verdict == Verdict::Pass { Ended::Promoted } else { Ended::RolledBack };
        assert_eq!(rollout.ended().unwrap().0, ended);
    }
}

#[test]
fn an_abort_in_the_middle_of_it_sets_it_back() {
    let abort = || Event::Asked { input: Input::Abort, performed: true };
    for after in 0..6 {
        let (rollout, world) = play(&with(planned(), World::small(), vec![(after, abort())]));
        assert!(matches!(rollout.ended().unwrap().0, Ended::RolledBack | Ended::Halted), "{after}");
        assert!(!world.ready && world.split.is_full(&id("41")), "{after}");
    }
}

/// Good reads of the target in between do not make it go on for ever.
#[test]
fn a_capacity_that_cannot_be_read_halts() {
    for (kind, times) in [(ErrorKind::Auth, 1), (ErrorKind::Unavailable, 6)] {
        let (named, ended, world) = actions(planned(), World { sizings: vec![Some(kind)], ..World::small() });
        assert_eq!((named, ended), (vec!["size"; times], Ended::Halted));
        assert!(world.applied.is_empty());
    }
}

/// A run whose candidate failed, or passed, that is at setting capacity back.
fn restoring(verdict: Verdict) -> (Rollout, World) {
    let mut world = World { verdicts: vec![verdict], ..World::small() };
    let mut rollout = Rollout::new(super::plan(planned()));
    let mut input = Input::Started;
    loop {
        let action = rollout.step(input, world.time());
        if matches!(action, Action::Restore { .. }) {
            assert!(rollout.is_unfinished() && rollout.is_decided() && rollout.ended().is_none());
            return (rollout, world);
        }
        input = world.perform(&action).unwrap();
    }
}

/// A process that dies while capacity is set back is followed by one that looks, sets it back, and does nothing else.
#[test]
fn a_decided_end_stays_decided() {
    let (mut rollout, mut world) = restoring(Verdict::Fail);
    for input in [Input::Abort, Input::Hold, Input::TimeReached] {
        let action = rollout.clone().step(input, world.time());
        assert!(matches!(action, Action::Restore { .. }), "{action:?}");
    }
    for input in [Input::Started, Input::Resume] {
        let mut again = rollout.clone();
        assert_eq!(again.step(input, world.time()), Action::Observe);
        let seen = Input::Observed(Box::new(world.snapshot()));
        assert!(matches!(again.step(seen, world.time()), Action::Restore { .. }));
    }
    let trouble = super::world::trouble(ErrorKind::Unavailable, 1);
    let action = rollout.step(Input::Unrestored(trouble), world.time());
    assert!(matches!(action, Action::Wait { why: Pending::Provider, .. }), "{action:?}");
    // Found by the invariants: a wait that was over was asked for once more.
    assert!(matches!(rollout.clone().step(Input::Abort, world.time()), Action::Restore { .. }));
    let input = world.perform(&action).unwrap();
    assert_eq!(rollout.step(input, world.time()), Action::Observe);
}

/// Nobody takes capacity from a revision that somebody has given everything meanwhile.
#[test]
fn who_serves_keeps_its_capacity() {
    let (mut promoted, mut world) = restoring(Verdict::Pass);
    world.rolled_back_by_hand("01JENGINE");
    promoted.step(Input::Started, world.time());
    let action = promoted.step(Input::Observed(Box::new(world.snapshot())), world.time());
    assert!(matches!(action, Action::Restore { keeps, .. } if keeps == id("41")), "it is stable's again");
    assert_eq!(promoted.ending().unwrap(), (Ended::RolledBack, &Cause::RolledBackElsewhere));

    let (mut rolled_back, mut world) = restoring(Verdict::Fail);
    world.foreign("42", 10_000, true);
    rolled_back.step(Input::Started, world.time());
    let action = rolled_back.step(Input::Observed(Box::new(world.snapshot())), world.time());
    assert!(matches!(&action, Action::Restore { keeps, .. } if *keeps == id("42")), "{action:?}");
    let done = rolled_back.step(world.perform(&action).unwrap(), world.time());
    assert!(matches!(done, Action::Done { ended: Ended::Halted, why: Cause::Interference { .. } }), "{done:?}");

    // As journals have it that do not say so: it is left, and told, and set back for whoever asks.
    let (rolled_back, mut world) = restoring(Verdict::Fail);
    let mut rolled_back = older(&rolled_back);
    world.foreign("42", 10_000, true);
    rolled_back.step(Input::Started, world.time());
    let action = rolled_back.step(Input::Observed(Box::new(world.snapshot())), world.time());
    let Action::Done { ended, why } = action else { panic!("{action:?}") };
    assert!(matches!((ended, why), (Ended::Halted, Cause::Interference { .. })));
    assert!(world.ready && rolled_back.reserved().is_some(), "and it is told");
    assert_eq!(asked_to_go_on(&mut rolled_back, &mut world), ["restore"]);
    assert_eq!((world.ready, world.kept), (false, Some(id("42"))));
}

/// The same by a plan that does not say that a halt sets capacity back.
fn older(rollout: &Rollout) -> Rollout {
    let mut stored = serde_json::to_value(rollout).unwrap();
    stored["plan"].as_object_mut().unwrap().remove("restores_when_halted").unwrap();
    serde_json::from_value(stored).unwrap()
}

/// What it does about capacity and traffic, from here to its end.
fn goes_on(rollout: &mut Rollout, world: &mut World, mut input: Input) -> Vec<&'static str> {
    let mut named = Vec::new();
    loop {
        let action = rollout.step(input, world.time());
        named.extend(match &action {
            Action::Restore { .. } => Some("restore"),
            Action::Wait { .. } => Some("wait"),
            Action::Done { .. } => return named,
            Action::Observe => None,
            Action::Prepare(_) | Action::Sample(_) | Action::Shift { .. } | Action::Size { .. } => panic!("{action:?}"),
        });
        input = world.perform(&action).unwrap();
    }
}

fn asked_to_go_on(rollout: &mut Rollout, world: &mut World) -> Vec<&'static str> {
    goes_on(rollout, world, Input::Resume)
}

/// A run at its first bake.
fn baking(terms: Terms) -> (Rollout, World) {
    let mut world = World { contents: Some("config 1".to_owned()), ..World::small() };
    let mut rollout = Rollout::new(super::plan(terms));
    let mut input = Input::Started;
    loop {
        let action = rollout.step(input, world.time());
        if matches!(action, Action::Wait { why: Pending::Data { .. }, .. }) {
            return (rollout, world);
        }
        input = world.perform(&action).unwrap();
    }
}

/// Somebody panics, and gives stable everything by other means.
#[test]
fn a_run_that_somebody_stops_sets_capacity_back_where_stable_has_everything() {
    for kind in [Kind::Rollout, Kind::Canary] {
        let steps = if kind == Kind::Canary { vec![super::weight(500)] } else { planned().steps };
        let (rollout, world) = baking(Terms { kind, steps, ..planned() });
        // Also when something else was deployed at once.
        for contents in ["config 1", "config 2"] {
            let (mut rollout, mut world) = (rollout.clone(), world.clone());
            world.contents = Some(contents.to_owned());
            world.foreign("42", 0, true);
            assert_eq!(goes_on(&mut rollout, &mut world, Input::Started), ["restore"], "{kind:?}");
            assert!(matches!(rollout.ended().unwrap(), (Ended::Halted, Cause::Interference { .. })));
            assert_eq!((world.ready, world.kept, rollout.is_unfinished()), (false, Some(id("41")), false));
        }
    }
}

/// What is on its way may be anything: nothing is taken from a target that moves.
#[test]
fn a_split_of_somebody_else_is_live_before_capacity_is_set_back() {
    let (mut rollout, mut world) = baking(planned());
    world.foreign("42", 0, true);
    world.live_at = world.now + 6_000;
    assert_eq!(goes_on(&mut rollout.clone(), &mut world.clone(), Input::Started), ["wait", "wait", "restore"]);
    // It becomes another one meanwhile.
    rollout.step(Input::Started, world.time());
    let wait = rollout.step(Input::Observed(Box::new(world.snapshot())), world.time());
    assert!(matches!(wait, Action::Wait { why: Pending::Settling { .. }, .. }), "{wait:?}");
    world.foreign("42", 1700, true);
    for input in [Input::Abort, Input::Hold] {
        assert_eq!(goes_on(&mut rollout.clone(), &mut world.clone(), input.clone()).last(), Some(&"wait"), "{input:?}");
    }
    world.live_at = i64::MAX;
    goes_on(&mut rollout, &mut world, Input::TimeReached);
    assert!(world.ready && rollout.only_restores() && rollout.unrestored().is_some(), "it never settles");
}

#[test]
fn what_a_halt_leaves_is_set_back_once_one_revision_has_everything() {
    for (revision, share, keeps) in [("42", 0, "41"), ("42", 10_000, "42"), ("43", 10_000, "43")] {
        let (mut rollout, mut world) = baking(planned());
        world.foreign("43", 1700, true);
        assert_eq!(goes_on(&mut rollout, &mut world, Input::Started), [""; 0]);
        assert!(rollout.is_unfinished() && rollout.is_decided() && rollout.only_restores() && world.ready);
        // Asked too early it says so, and stays what it is; it never goes on with the rollout.
        assert_eq!(asked_to_go_on(&mut rollout, &mut world), [""; 0]);
        let (ended, why) = rollout.ended().unwrap();
        assert!(ended == Ended::Halted && why.to_string().contains("43 17"), "{why}");
        world.reads = vec![Some(ErrorKind::Unavailable)];
        asked_to_go_on(&mut rollout, &mut world);
        world.reads = vec![None];
        assert!(rollout.only_restores() && rollout.unrestored().is_some(), "{:?}", rollout.ended());
        world.foreign(revision, share, true);
        assert_eq!(asked_to_go_on(&mut rollout, &mut world), ["restore"]);
        assert_eq!((world.ready, world.kept.clone(), rollout.is_unfinished()), (false, Some(id(keeps)), false));
        assert!(matches!(rollout.ended().unwrap().0, Ended::Halted));
    }
}

/// What may stay with a candidate is in nobody's way.
#[test]
fn what_may_stay_stays_where_somebody_leaves_a_split() {
    let canary = Terms { kind: Kind::Canary, steps: vec![super::weight(500)], ..planned() };
    let (mut rollout, mut world) = baking(canary);
    world.foreign("42", 1700, true);
    assert_eq!(goes_on(&mut rollout, &mut world, Input::Started), [""; 0]);
    assert!(world.ready && rollout.reserved().is_some() && !rollout.is_unfinished());
}

/// A journal from before leads to the same end, which is not the last word any more.
#[test]
fn a_run_of_an_older_plan_halts_as_it_did_and_is_set_back_when_asked() {
    let (rollout, mut world) = baking(planned());
    let mut rollout = older(&rollout);
    world.foreign("42", 0, true);
    assert_eq!(goes_on(&mut rollout, &mut world, Input::Started), [""; 0]);
    assert!(world.ready && rollout.only_restores());
    assert_eq!(asked_to_go_on(&mut rollout, &mut world), ["restore"]);
    assert!(!world.ready && !rollout.is_unfinished());
}

/// Stable has grown meanwhile: the candidate stays where it is and is judged on, and goes on once it has grown, too.
#[test]
fn a_candidate_that_was_outgrown_is_judged_on_until_it_is_large_enough() {
    let grows = World { outgrown: vec![false, true, true, false], ..World::small() };
    let (rollout, world) = play(&with(planned(), grows, Vec::new()));
    assert_eq!(rollout.ended().unwrap().0, Ended::Promoted);
    let (calm, plain) = play(&with(planned(), World::small(), Vec::new()));
    assert_eq!(calm.ended(), rollout.ended());
    assert_eq!((world.applied.len(), world.query_count), (plain.applied.len(), plain.query_count + 2));

    // Who is bad goes back, however large.
    let outgrown = World { outgrown: vec![true], ..World::small() };
    let failing = World { verdicts: vec![Verdict::Pass, Verdict::Fail], ..outgrown.clone() };
    let (rollout, _) = play(&with(planned(), failing, Vec::new()));
    assert_eq!(rollout.ended().unwrap(), (Ended::RolledBack, &Cause::Failed));

    // A capacity that is left as it is, is nobody's business.
    let (rollout, _) = play(&with(terms(), outgrown, Vec::new()));
    assert_eq!(rollout.ended().unwrap().0, Ended::Promoted);
}

#[test]
fn a_candidate_that_stays_too_small_is_held_when_its_bake_is_over_and_goes_on_when_resumed() {
    let outgrown = World { outgrown: vec![true], ..World::small() };
    let (mut rollout, mut world) = play(&with(planned(), outgrown, Vec::new()));
    let (ended, why) = rollout.ended().unwrap();
    let Cause::TooSmall { lack, remedy } = why else { panic!("{why}") };
    assert_eq!((ended, lack.as_str(), remedy.as_str()), (Ended::Held, "4 and not 6", "more"));
    assert!(!rollout.is_traffic_in_doubt() && rollout.is_unfinished() && rollout.attempted().is_none());
    assert_eq!(world.applied.len(), 1, "{:?}", world.applied);
    let asked = world.query_count;
    (world.outgrown, world.outgrown_count) = (vec![false], 0);
    let mut input = Input::Resume;
    loop {
        let action = rollout.step(input, world.time());
        if matches!(action, Action::Done { .. }) {
            break;
        }
        input = world.answer(&rollout, &action).unwrap();
    }
    assert_eq!(rollout.ended().unwrap().0, Ended::Promoted);
    assert!(world.query_count > asked + 1, "it was not judged anew");
}

/// A process that died at the question may have sent the shift: the next one asks again before it is sent once more.
#[test]
fn who_takes_up_a_shift_in_doubt_asks_again_whether_the_candidate_is_large_enough() {
    let mut world = World { outgrown: vec![true], ..World::small() };
    let mut rollout = Rollout::new(super::plan(planned()));
    let mut input = Input::Started;
    while rollout.raises().is_none() {
        let action = rollout.step(input, world.time());
        input = if rollout.raises().is_some() { Input::Started } else { world.answer(&rollout, &action).unwrap() };
    }
    let writes = world.applied.len();
    loop {
        let action = rollout.step(input, world.time());
        if matches!(action, Action::Done { .. }) {
            break;
        }
        input = world.answer(&rollout, &action).unwrap();
    }
    assert!(matches!(rollout.ended().unwrap(), (Ended::Held, Cause::TooSmall { .. })), "{:?}", rollout.ended());
    assert_eq!((world.applied.len(), rollout.is_traffic_in_doubt()), (writes, true));
}

#[test]
fn a_shift_that_was_not_sent_because_somebody_spoke_leaves_no_doubt() {
    for (said, ends) in [(Input::Abort, Ended::RolledBack), (Input::Hold, Ended::Held)] {
        let mut world = World::small();
        let mut rollout = Rollout::new(super::plan(planned()));
        let (mut input, mut next) = (Input::Started, None);
        loop {
            let action = rollout.step(input, world.time());
            if matches!(action, Action::Done { .. }) {
                break;
            }
            input = match next.take() {
                Some(said) => said,
                None if rollout.raises().is_some() => {
                    next = Some(said.clone());
                    Input::Unsent
                }
                None => world.answer(&rollout, &action).unwrap(),
            };
        }
        assert_eq!((rollout.ended().unwrap().0, rollout.is_traffic_in_doubt()), (ends, false));
        assert!(!world.applied.iter().any(|split| split.is_full(&id("42"))), "{:?}", world.applied);
    }
}
