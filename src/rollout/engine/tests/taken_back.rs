//! What the provider takes back: a write that failed where the provider says so, and somebody else's change where it does not.

use mlroll_backend::{Readiness, TrafficSplit};

use super::scenario::{Event, play, with};
use super::traps::Talk;
use super::world::{World, WriteFault};
use super::{id, secs, terms, weight};
use crate::rollout::engine::{Action, Cause, Ended, Pending, Stage, Terms, Verdict};

const KINDS: [WriteFault; 4] = [
    WriteFault::TakenBack { keeps_note: true, lags: false },
    WriteFault::TakenBack { keeps_note: true, lags: true },
    WriteFault::TakenBack { keeps_note: false, lags: false },
    WriteFault::TakenBack { keeps_note: false, lags: true },
];

/// A provider like SageMaker: no guard, one change at a time.
fn talk(writes: Vec<WriteFault>, verdict: Verdict) -> Talk {
    let world =
        World { writes, settles: 20, atomic: false, overtakes: false, verdicts: vec![verdict], ..World::calm() };
    Talk::new(Terms { overtakes: false, settle_timeout: secs(600), ..terms() }, world)
}

fn moving(talk: &Talk) -> bool {
    talk.world.undo.is_some() && talk.world.word.is_some()
}

/// Goes on until a look has told that the latest write is being taken back.
fn until_it_is_told(talk: &mut Talk) {
    talk.until_shift();
    let accepted = talk.world.perform(&talk.action).unwrap();
    talk.tell(accepted);
    for _ in 0..50 {
        let told = moving(talk) && talk.action == Action::Observe;
        let input = talk.world.perform(&talk.action).unwrap();
        talk.tell(input);
        if told {
            return;
        }
    }
    panic!("it is not taken back: {:?}", talk.action);
}

#[test]
fn a_shift_that_is_taken_back_is_made_again_after_its_stage() {
    for kind in KINDS {
        for (nth, stage) in [(0, Stage::Start), (1, Stage::Step(0)), (2, Stage::Step(1))] {
            let mut writes = vec![WriteFault::None; nth];
            writes.extend([kind, WriteFault::None]);
            let mut talk = talk(writes, Verdict::Pass);
            for _ in 0..nth {
                talk.until_shift();
                let accepted = talk.world.perform(&talk.action).unwrap();
                talk.tell(accepted);
            }
            until_it_is_told(&mut talk);
            talk.until(|action| {
                !matches!(action, Action::Observe | Action::Wait { why: Pending::Settling { .. }, .. })
            });
            assert_eq!(
                (talk.rollout.stage(), talk.world.query_count),
                (stage, 3 * nth.min(1) + usize::from(nth > 1) * 3),
                "{kind:?}"
            );
            assert_eq!(talk.until_done(), (Ended::Promoted, Cause::Passed), "{kind:?}, write {nth}");
            assert_eq!((talk.world.split.sole(), talk.world.applied.len()), (Some(&id("42")), 4), "{kind:?}");
        }
    }
}

/// It is tried for as long as its budget lasts, and nothing is in doubt then.
#[test]
fn a_shift_that_is_always_taken_back_leaves_what_was() {
    for kind in KINDS {
        let mut talk = talk(vec![kind], Verdict::Pass);
        let (ended, why) = talk.until_done();
        assert!(
            ended == Ended::Halted && matches!(&why, Cause::Refused(said) if said.message.contains("taken back")),
            "{why:?}"
        );
        assert_eq!((talk.world.split.sole(), talk.world.applied.len()), (Some(&id("41")), 6), "{kind:?}");
        assert!(!talk.rollout.is_traffic_in_doubt());
    }
}

#[test]
fn a_rollback_that_is_taken_back_is_made_again() {
    for kind in KINDS {
        for times in [1, 7] {
            let mut writes = vec![WriteFault::None];
            writes.extend(vec![kind; times]);
            writes.push(WriteFault::None);
            let mut talk = talk(writes, Verdict::Fail);
            assert_eq!(talk.until_done(), (Ended::RolledBack, Cause::Failed), "{kind:?}");
            assert_eq!((talk.world.split.sole(), talk.world.applied.len()), (Some(&id("41")), times + 2));
        }
    }
}

/// The word that stays tells it to whoever did not look meanwhile.
#[test]
fn nobody_has_to_be_there_when_it_is_taken_back() {
    for kind in KINDS {
        for seen in [false, true] {
            let mut talk = talk(vec![WriteFault::None, kind, WriteFault::None], Verdict::Pass);
            talk.until_shift();
            let accepted = talk.world.perform(&talk.action).unwrap();
            talk.tell(accepted).until_shift();
            let accepted = talk.world.perform(&talk.action).unwrap();
            talk.tell(accepted);
            if seen {
                let updating = talk.world.perform(&talk.action).unwrap();
                talk.tell(updating);
            }
            // Two looks of the world, and none of the rollout.
            for _ in 0..2 {
                talk.world.now += 600_000;
                talk.world.drain_once();
            }
            assert_eq!(talk.world.snapshot().readiness, Readiness::Live);
            assert_eq!(talk.until_done(), (Ended::Promoted, Cause::Passed), "{kind:?} {seen}");
            assert_eq!(talk.world.applied.len(), 4);
        }
    }
}

/// Without the provider's word the split from before is somebody's, note or no note.
#[test]
fn what_nobody_says_was_taken_back_is_somebodys() {
    for kind in KINDS {
        let mut talk = talk(vec![WriteFault::None, kind], Verdict::Pass);
        talk.until_shift();
        let accepted = talk.world.perform(&talk.action).unwrap();
        talk.tell(accepted).until_shift();
        let accepted = talk.world.perform(&talk.action).unwrap();
        talk.tell(accepted);
        let updating = talk.world.perform(&talk.action).unwrap();
        talk.tell(updating);
        for _ in 0..2 {
            talk.world.now += 600_000;
            talk.world.drain_once();
        }
        talk.world.word = None;
        let (ended, why) = talk.until_done();
        assert!(ended == Ended::Halted && matches!(why, Cause::Interference { .. }), "{kind:?}: {why:?}");
        assert_eq!(talk.world.applied.len(), 2);
    }
}

/// An old word says nothing about a change after it.
#[test]
fn what_was_said_of_an_earlier_write_is_no_word_about_this_one() {
    let mut talk = talk(vec![KINDS[0], WriteFault::None], Verdict::Pass);
    talk.world.keeps_word = true;
    until_it_is_told(&mut talk);
    talk.until_shift();
    let accepted = talk.world.perform(&talk.action).unwrap();
    talk.tell(accepted);
    let updating = talk.world.perform(&talk.action).unwrap();
    talk.tell(updating);
    talk.world.now += 60_000;
    talk.world.foreign("42", 0, true);
    assert!(talk.world.snapshot().taken_back.is_some());
    let (ended, why) = talk.until_done();
    assert!(ended == Ended::Halted && matches!(why, Cause::Interference { .. }), "{why:?}");
    assert_eq!(talk.world.applied.len(), 2);
}

#[test]
fn a_stranger_who_comes_while_it_is_taken_back_is_left_alone() {
    for kind in KINDS {
        let mut talk = talk(vec![kind, WriteFault::None], Verdict::Pass);
        until_it_is_told(&mut talk);
        talk.world.foreign("42", 1700, false);
        let (ended, why) = talk.until_done();
        assert!(ended == Ended::Halted && matches!(why, Cause::Interference { .. }), "{kind:?}: {why:?}");
        assert_eq!(talk.world.split, TrafficSplit::between(id("41"), id("42"), weight(1700)));
        assert_eq!(talk.world.applied.len(), 1);
    }
    // So is a rollback by hand, which left a note.
    for kind in KINDS {
        let mut talk = talk(vec![WriteFault::None, kind, WriteFault::None], Verdict::Pass);
        talk.until_shift();
        let accepted = talk.world.perform(&talk.action).unwrap();
        talk.tell(accepted);
        until_it_is_told(&mut talk);
        talk.world.rolled_back_by_hand("01JENGINE");
        assert_eq!(talk.until_done(), (Ended::RolledBack, Cause::RolledBackElsewhere), "{kind:?}");
        assert_eq!(talk.world.applied.len(), 2);
    }
}

/// The last step is taken back while nobody looks, and so is the rollback that was written after it: what comes back then was
/// there before both.
#[test]
fn two_writes_that_are_taken_back_at_once_are_nobodys_interference() {
    let back = WriteFault::TakenBack { keeps_note: false, lags: true };
    let world = World {
        atomic: false,
        overtakes: false,
        settles: 46,
        undoes: 1,
        writes: vec![WriteFault::None, back],
        store: vec![true, false],
        verdicts: vec![Verdict::Pass],
        ..World::calm()
    };
    let plan = Terms {
        steps: vec![weight(100), weight(10_000)],
        bake: secs(120),
        warm_up: secs(60),
        min_bake: secs(0),
        watch_after: secs(0),
        no_data_budget: secs(0),
        settle_timeout: secs(120),
        judged: false,
        overtakes: false,
        ..terms()
    };
    for gap in 0..30 {
        let events = vec![(8, Event::Clock(-86_400)), (gap, Event::Failed(true)), (9, Event::Early)];
        let (rollout, _) = play(&with(plan.clone(), world.clone(), events));
        let (_, why) = rollout.ended().unwrap();
        assert!(!matches!(why, Cause::Interference { .. } | Cause::RolledBackElsewhere), "{gap}: {why:?}");
    }
}
