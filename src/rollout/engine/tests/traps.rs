//! The three traps, and counterexamples that were found.

use mlroll_backend::{ErrorKind, TrafficSplit};

use super::scenario::{Event, Scenario, play, with};
use super::world::{World, WriteFault, trouble};
use super::{id, plan, secs, terms, weight};
use crate::rollout::engine::{Action, Cause, Ended, Input, Pending, Rollout, Stage, Terms, Trouble, Verdict};

/// A rollout, and the provider it talks to, one step at a time.
pub(super) struct Talk {
    pub(super) rollout: Rollout,
    pub(super) world: World,
    pub(super) action: Action,
}

impl Talk {
    pub(super) fn new(terms: Terms, world: World) -> Self {
        let mut rollout = Rollout::new(plan(terms));
        let action = rollout.step(Input::Started, world.time());
        Self { rollout, world, action }
    }

    /// Performs what is asked for until it is this.
    pub(super) fn until(&mut self, wanted: impl Fn(&Action) -> bool) -> &mut Self {
        for _ in 0..500 {
            if wanted(&self.action) {
                return self;
            }
            let input = self.world.perform(&self.action).unwrap();
            self.action = self.rollout.step(input, self.world.time());
        }
        panic!("it never came: {:?}", self.action);
    }

    pub(super) fn until_shift(&mut self) -> &mut Self {
        self.until(|action| matches!(action, Action::Shift { .. }))
    }

    pub(super) fn until_done(&mut self) -> (Ended, Cause) {
        self.until(|action| matches!(action, Action::Done { .. }));
        let (ended, why) = self.rollout.ended().unwrap();
        (ended, why.clone())
    }

    pub(super) fn tell(&mut self, input: Input) -> &mut Self {
        self.action = self.rollout.step(input, self.world.time());
        self
    }
}

fn calm() -> World {
    World::calm()
}

/// The first trap: after a failed call the write may or may not have landed, so two splits are acceptable.
#[test]
fn after_a_lost_reply_both_splits_are_ours() {
    for fault in [WriteFault::LostReply, WriteFault::LostThenConflict, WriteFault::Late(3), WriteFault::Late(0)] {
        let world = World { writes: vec![fault, WriteFault::None], ..calm() };
        let (rollout, world) = play(&with(terms(), world, Vec::new()));
        assert_eq!(rollout.ended().unwrap().0, Ended::Promoted, "{fault:?}");
        assert!(world.split.is_full(&id("42")));
    }
}

/// The second: our write landed, its reply was lost, and a human put back what was before. The split is the confirmed one,
/// and yet it is theirs.
#[test]
fn the_split_from_before_with_another_guard_is_a_humans() {
    let mut talk = Talk::new(terms(), World { writes: vec![WriteFault::LostReply], ..calm() });
    talk.until_shift();
    let input = talk.world.perform(&talk.action).unwrap();
    talk.world.foreign("42", 0, true);
    talk.tell(input);
    let (ended, why) = talk.until_done();
    assert!(matches!((ended, &why), (Ended::Halted, Cause::Interference { .. })), "{ended:?} {why:?}");
    assert_eq!((talk.world.applied.len(), talk.world.split), (1, TrafficSplit::full(id("41"))));
}

/// Whoever writes between our write and the look that would confirm it leaves no doubt about the traffic: it is theirs.
/// Only where nothing is atomic may a write without an answer still arrive.
#[test]
fn a_foreign_write_before_the_confirming_look_is_no_doubt() {
    for (fault, overtakes, doubt) in [
        (WriteFault::None, true, false),
        (WriteFault::None, false, false),
        (WriteFault::LostReply, true, false),
        (WriteFault::LostReply, false, true),
    ] {
        let terms = Terms { overtakes, ..terms() };
        let mut talk = Talk::new(terms, World { writes: vec![fault], overtakes, ..calm() });
        talk.until_shift();
        let input = talk.world.perform(&talk.action).unwrap();
        talk.world.foreign("43", 10_000, true);
        talk.tell(input);
        let (ended, why) = talk.until_done();
        assert!(matches!((ended, &why), (Ended::Halted, Cause::Interference { .. })), "{ended:?} {why:?}");
        assert_eq!(talk.rollout.is_traffic_in_doubt(), doubt, "{fault:?} overtakes: {overtakes}");
    }
}

/// The same names and the same split, and yet others behind them: the gates have judged somebody else.
#[test]
fn revisions_that_are_exchanged_under_their_names_are_not_promoted() {
    let world = || World { contents: Some("config 1".to_owned()), ..calm() };
    let exchanged = |world: &mut World| world.contents = Some("config 2".to_owned());
    for shifts in 1..=2 {
        let mut talk = Talk::new(terms(), world());
        for _ in 0..shifts {
            talk.until_shift();
            let input = talk.world.perform(&talk.action).unwrap();
            talk.tell(input);
        }
        exchanged(&mut talk.world);
        let split = talk.world.split.clone();
        let (ended, why) = talk.until_done();
        let Cause::Interference { expected, found } = &why else { panic!("{why:?}") };
        assert!(expected.ends_with("of config 1") && found.ends_with("of config 2"), "{expected}; {found}");
        assert_eq!((ended, talk.world.applied.len(), talk.world.split), (Ended::Halted, shifts, split));
    }
    // Whoever took it back before, and had reason to deploy something else, is obeyed.
    let mut talk = Talk::new(terms(), world());
    talk.until_shift();
    let input = talk.world.perform(&talk.action).unwrap();
    talk.tell(input);
    talk.world.rolled_back_by_hand("01JENGINE");
    exchanged(&mut talk.world);
    assert_eq!(talk.until_done(), (Ended::RolledBack, Cause::RolledBackElsewhere));
    // The way back leads to the same name.
    let mut talk = Talk::new(terms(), World { verdicts: vec![Verdict::Fail], ..world() });
    for _ in 0..2 {
        talk.until_shift();
        let input = talk.world.perform(&talk.action).unwrap();
        talk.tell(input);
    }
    exchanged(&mut talk.world);
    assert_eq!(talk.until_done().0, Ended::RolledBack);
}

/// And when that human was `mlroll rollback`, its marker says so: the rollout is over.
#[test]
fn a_rollback_with_our_id_ends_the_rollout() {
    for shifts in 0..3 {
        let mut talk = Talk::new(terms(), calm());
        for _ in 0..shifts {
            talk.until_shift();
            let input = talk.world.perform(&talk.action).unwrap();
            talk.tell(input);
        }
        talk.until_shift();
        talk.world.rolled_back_by_hand("01JENGINE");
        assert_eq!(talk.until_done(), (Ended::RolledBack, Cause::RolledBackElsewhere));
        assert_eq!(talk.world.applied.len(), shifts, "it is not touched again");
    }
}

/// The third: reads are good, only writes fail. Good reads refill no budget of writes.
#[test]
fn it_ends_when_only_writes_fail() {
    for kind in [ErrorKind::Throttled, ErrorKind::Unavailable, ErrorKind::Auth, ErrorKind::Conflict, ErrorKind::Invalid]
    {
        for fault in [WriteFault::Refused(kind), WriteFault::Exhausted(kind)] {
            let (rollout, world) = play(&with(terms(), World { writes: vec![fault], ..calm() }, Vec::new()));
            let (ended, why) = rollout.ended().unwrap();
            assert!(matches!((ended, why), (Ended::Halted, Cause::Refused(_))), "{fault:?}: {ended:?} {why:?}");
            assert!(world.write_count <= 6, "{fault:?}: {} writes", world.write_count);
            assert!(world.read_count <= 8, "{fault:?}: {} reads", world.read_count);
        }
    }
}

/// The same on the way back, which is tried longer. Traffic is in doubt then, unless each try was refused by name.
#[test]
fn a_rollback_that_is_never_taken_ends_and_says_so() {
    for (fault, in_doubt) in
        [(WriteFault::Refused(ErrorKind::Auth), false), (WriteFault::Exhausted(ErrorKind::Unavailable), true)]
    {
        let mut talk = Talk::new(terms(), World { writes: vec![WriteFault::None, fault], ..calm() });
        talk.until(|action| matches!(action, Action::Sample(_))).tell(Input::Abort);
        let (ended, why) = talk.until_done();
        assert!(matches!((ended, &why), (Ended::Halted, Cause::Refused(_))), "{ended:?} {why:?}");
        assert_eq!((talk.rollout.is_traffic_in_doubt(), talk.rollout.is_rolling_back()), (in_doubt, true));
        // Resumed, it goes on going back, never forward.
        talk.world.writes = vec![WriteFault::None];
        talk.tell(Input::Resume);
        assert_eq!(talk.until_done(), (Ended::RolledBack, Cause::Aborted));
    }
}

/// A forward write in doubt arrives between the look and the rollback: it is known, and rolled back too.
#[test]
fn a_write_that_arrives_during_the_rollback_is_rolled_back() {
    for late in 0..6 {
        for nth in 0..3_usize {
            let writes = [vec![WriteFault::None; nth], vec![WriteFault::Late(late), WriteFault::None]].concat();
            let mut talk = Talk::new(terms(), World { writes, ..calm() });
            for _ in 0..nth {
                talk.until_shift();
                let input = talk.world.perform(&talk.action).unwrap();
                talk.tell(input);
            }
            talk.until_shift();
            talk.world.perform(&talk.action);
            talk.tell(Input::Abort);
            assert_eq!(talk.until_done(), (Ended::RolledBack, Cause::Aborted));
            talk.world.drain();
            assert_eq!(talk.world.split, TrafficSplit::full(id("41")), "late {late} at write {nth}");
        }
    }
}

/// In the first step nothing is exposed as far as one can see, and still a write is made: it takes the guard from the one
/// that is under way.
#[test]
fn a_write_under_way_is_fenced_off_though_stable_has_everything() {
    let mut talk = Talk::new(terms(), World { writes: vec![WriteFault::Late(200), WriteFault::None], ..calm() });
    talk.until_shift();
    talk.world.perform(&talk.action);
    talk.tell(Input::Abort);
    assert_eq!(talk.until_done(), (Ended::RolledBack, Cause::Aborted));
    assert_eq!(talk.world.applied, [TrafficSplit::full(id("41"))]);
    talk.world.drain();
    assert_eq!(talk.world.applied.len(), 1);
}

#[test]
fn an_abort_before_anything_was_written_writes_nothing() {
    let mut talk = Talk::new(terms(), calm());
    talk.tell(Input::Abort);
    assert_eq!(talk.until_done(), (Ended::RolledBack, Cause::Aborted));
    assert_eq!(talk.world.write_count, 0);
}

/// One read and one write up to acceptance.
#[test]
fn a_rollback_is_one_read_and_one_write() {
    let mut talk = Talk::new(terms(), calm());
    talk.until(|action| matches!(action, Action::Sample(_)));
    let (reads, writes) = (talk.world.read_count, talk.world.write_count);
    talk.tell(Input::Abort).until_shift();
    assert_eq!((talk.world.read_count - reads, talk.world.write_count - writes), (1, 0));
    assert_eq!(talk.until_done(), (Ended::RolledBack, Cause::Aborted));
    assert_eq!(talk.world.write_count - writes, 1);
}

/// Somebody changes what is no traffic while a write of ours is refused for it: nobody's change is lost, and it goes on.
#[test]
fn a_change_of_the_description_is_no_interference() {
    let mut talk = Talk::new(terms(), calm());
    talk.until_shift();
    talk.world.touch();
    assert_eq!(talk.until_done().0, Ended::Promoted);
    assert_eq!(talk.world.own, "owned by ml!");
}

/// Found: with the clock set back after a look, the next stage read windows again from before it went live.
#[test]
fn windows_from_before_a_stage_are_not_read_when_the_clock_goes_back() {
    let world = World { settles: 41, ..calm() };
    for gap in 0..40 {
        for by in [-86_400, -600, -45] {
            let (rollout, _) = play(&with(terms(), world.clone(), vec![(gap, Event::Clock(by))]));
            assert_eq!(rollout.ended().unwrap().0, Ended::Promoted);
        }
    }
}

/// Found: of several windows that are read at once, an early one passed and the newest did not.
#[test]
fn a_pass_that_newer_windows_take_back_is_none() {
    let mut talk = Talk::new(terms(), calm());
    talk.until(|action| matches!(action, Action::Sample(_)));
    // The lid is closed for three minutes.
    talk.world.now += 180_000;
    talk.tell(Input::Started).until(|action| matches!(action, Action::Sample(_)));
    let Action::Sample(windows) = talk.action.clone() else { panic!("{:?}", talk.action) };
    assert_eq!(windows.count, 4);
    let Some(Input::Judged(mut looks)) = talk.world.perform(&talk.action) else { panic!("not judged") };
    looks[3].verdict = Verdict::Inconclusive;
    talk.tell(Input::Judged(looks)).until(|action| matches!(action, Action::Wait { .. } | Action::Shift { .. }));
    let Action::Wait { why, .. } = &talk.action else { panic!("{:?}", talk.action) };
    assert_eq!(*why, Pending::Data { stage: Stage::Step(0), judged: 4, of: 5 });
    assert_eq!(talk.until_done().0, Ended::Promoted);
}

/// However long nobody looked, no more windows are read than the bake has.
#[test]
fn a_night_with_the_lid_closed_is_no_longer_bake() {
    let mut talk = Talk::new(terms(), World { verdicts: vec![Verdict::Inconclusive], ..calm() });
    talk.until(|action| matches!(action, Action::Sample(_)));
    talk.world.now += 36_000_000;
    talk.tell(Input::Started).until(|action| matches!(action, Action::Sample(_)));
    let Action::Sample(windows) = talk.action.clone() else { panic!("{:?}", talk.action) };
    assert_eq!(windows.count, 5);
    assert_eq!(talk.until_done(), (Ended::RolledBack, Cause::Inconclusive));
}

/// A provider that wants to be left alone is, as long as users can wait; whatever it says, it is asked again.
#[test]
fn a_wait_that_the_provider_asks_for_is_kept() {
    for (asked, kept) in [(0, 0), (35, 35), (3600, 120)] {
        let milliseconds = |seconds: u64| i64::try_from(seconds).unwrap() * 1000;
        let mut talk = Talk::new(terms(), calm());
        talk.until_shift();
        let wait = Some(secs(asked)).filter(|wait| !wait.is_zero());
        let throttled = Trouble { wait, ..trouble(ErrorKind::Throttled, 1) };
        let before = talk.world.now;
        talk.tell(Input::Refused(throttled.clone()));
        assert_eq!(matches!(talk.action, Action::Observe), asked == 0, "{:?}", talk.action);
        talk.until_shift();
        assert!(talk.world.now - before >= milliseconds(kept), "{asked}: {}", talk.world.now - before);
        assert!(talk.world.now - before < milliseconds(kept + 30), "{asked}: {}", talk.world.now - before);
        // So with reads.
        talk.until(|action| matches!(action, Action::Observe)).tell(Input::Unobserved(throttled));
        let Action::Wait { until, .. } = &talk.action else { panic!("{:?}", talk.action) };
        assert_eq!(until.since(talk.world.time()), secs(kept.max(1)));
        assert_eq!(talk.until_done().0, Ended::Promoted);
    }
}

#[test]
fn an_answer_to_something_else_is_passed_over() {
    let mut talk = Talk::new(terms(), calm());
    talk.until(|action| matches!(action, Action::Wait { .. }));
    let wait = talk.action.clone();
    let before = talk.rollout.stage();
    for stray in
        [Input::Accepted, Input::Judged(Vec::new()), Input::Refused(trouble(ErrorKind::Auth, 1)), Input::TimeReached]
    {
        assert_eq!(talk.tell(stray).action, wait);
    }
    assert_eq!((talk.rollout.stage(), before), (Stage::Step(0), Stage::Step(0)));
}

/// A rollback that could not be confirmed by its own run is confirmed by the next.
#[test]
fn a_process_that_dies_anywhere_is_taken_up() {
    for verdict in [Verdict::Pass, Verdict::Fail] {
        let world = World { verdicts: vec![verdict], settles: 20, ..calm() };
        let straight = play(&with(terms(), world.clone(), Vec::new()));
        for gap in 0..90 {
            for performed in [true, false] {
                let crash = vec![(gap, Event::Crash { performed })];
                let scenario = Scenario { plan: plan(terms()), world: world.clone(), events: crash };
                let (rollout, end) = play(&scenario);
                assert_eq!(rollout.ended(), straight.0.ended(), "{gap} {performed}");
                assert_eq!(
                    (end.split, end.marker.map(|m| m.state)),
                    (straight.1.split.clone(), straight.1.marker.clone().map(|m| m.state))
                );
            }
        }
    }
}

#[test]
fn what_was_there_before_is_not_rolled_back_by_an_abort() {
    let mut world = calm();
    world.split = TrafficSplit::between(id("41"), id("42"), weight(100));
    world.marker = Some(plan(terms()).marker(Stage::Step(0), Stage::Start, world.time()));
    let mut talk = Talk::new(Terms { bake: secs(600), ..terms() }, world);
    talk.tell(Input::Abort);
    assert_eq!(talk.until_done(), (Ended::Halted, Cause::Aborted));
    assert_eq!(talk.world.write_count, 0);
}

/// A provider without a guard that takes writes and gives some of them up, 20 s later.
fn giving_up(writes: Vec<WriteFault>) -> World {
    World { writes, settles: 20, atomic: false, overtakes: false, ..calm() }
}

/// What was taken and given up is nobody else's change: it is a write that failed.
#[test]
fn a_shift_that_the_provider_gives_up_is_taken_back_and_no_interference() {
    // With a guard it has changed by then, and the note may be ours still: neither makes it somebody else's.
    let guarded = [(true, 20, Some(false)), (true, 20, Some(true)), (true, 0, Some(false)), (true, 0, Some(true))];
    for (atomic, settles, note_stays) in [(false, 20, None)].into_iter().chain(guarded) {
        let terms = || Terms { overtakes: atomic, ..terms() };
        let giving_up = |writes| World { atomic, overtakes: atomic, settles, note_stays, ..giving_up(writes) };
        let mut talk = Talk::new(terms(), giving_up(vec![WriteFault::None, WriteFault::GivenUp, WriteFault::None]));
        let (ended, why) = talk.until_done();
        assert!(ended == Ended::RolledBack && matches!(why, Cause::TargetFailed { .. }), "{ended:?} {why:?}");
        assert_eq!((talk.world.split.sole(), talk.world.applied.len()), (Some(&id("41")), 3));
        // The first one leaves all with stable, and nothing more is written to a target that failed.
        let mut talk = Talk::new(terms(), giving_up(vec![WriteFault::GivenUp, WriteFault::None]));
        let (ended, why) = talk.until_done();
        assert!(ended == Ended::Halted && matches!(why, Cause::TargetFailed { .. }), "{ended:?} {why:?}");
        assert_eq!((talk.world.split.sole(), talk.world.applied.len()), (Some(&id("41")), 1));
    }
}

/// The way back is written again when it was given up, and for as long as its budget lasts.
#[test]
fn a_rollback_that_the_provider_gives_up_is_made_again() {
    let given_up = |times: usize| {
        let mut writes = vec![WriteFault::None];
        writes.extend(vec![WriteFault::GivenUp; times]);
        writes.push(WriteFault::None);
        let world = World { verdicts: vec![Verdict::Fail], ..giving_up(writes) };
        Talk::new(Terms { overtakes: false, ..terms() }, world)
    };
    for times in [1, 2, 7] {
        let mut talk = given_up(times);
        assert_eq!(talk.until_done(), (Ended::RolledBack, Cause::Failed));
        assert_eq!((talk.world.split.sole(), talk.world.applied.len()), (Some(&id("41")), times + 2));
    }
    let mut talk = given_up(500);
    let (ended, why) = talk.until_done();
    assert!(ended == Ended::Halted && matches!(why, Cause::Refused(_)), "{ended:?} {why:?}");
    assert!(talk.rollout.is_traffic_in_doubt(), "somebody has to look");
    assert_eq!(talk.world.applied.len(), 21);
}

/// Nobody looked between the provider's yes and its giving up: then too it is no interference, and nothing is waited for.
#[test]
fn a_shift_that_was_given_up_before_anybody_looked_is_a_failure() {
    for (writes, verdict, ended, applied) in [
        (vec![WriteFault::None, WriteFault::GivenUp, WriteFault::None], Verdict::Pass, Ended::RolledBack, 3),
        (vec![WriteFault::None, WriteFault::GivenUp, WriteFault::None], Verdict::Fail, Ended::RolledBack, 3),
    ] {
        let world = World { verdicts: vec![verdict], ..giving_up(writes) };
        let mut talk = Talk::new(Terms { overtakes: false, ..terms() }, world);
        talk.until_shift();
        let first = talk.world.perform(&talk.action).unwrap();
        talk.tell(first).until_shift();
        let accepted = talk.world.perform(&talk.action).unwrap();
        talk.tell(accepted);
        talk.world.now += 60_000;
        assert_eq!(talk.until_done().0, ended);
        assert_eq!((talk.world.split.sole(), talk.world.applied.len()), (Some(&id("41")), applied));
    }
}

/// Where the note of a rollback is a write of its own, a process that is killed in between leaves none: it is written again.
#[test]
fn a_rollback_that_arrived_without_its_note_is_written_again_once() {
    for takes_notes in [true, false] {
        let world = World { atomic: false, overtakes: false, verdicts: vec![Verdict::Fail], ..calm() };
        let mut talk = Talk::new(Terms { overtakes: false, ..terms() }, world);
        let back = |action: &Action| matches!(action, Action::Shift { to, .. } if to.is_full(&id("41")));
        talk.until(back);
        talk.world.perform(&talk.action).unwrap();
        talk.world.marker = None;
        talk.tell(Input::Started).until(back);
        let input = talk.world.perform(&talk.action).unwrap();
        let note = talk.world.marker.clone();
        if !takes_notes {
            talk.world.marker = None;
        }
        talk.tell(input);
        assert_eq!(talk.until_done(), (Ended::RolledBack, Cause::Failed), "{takes_notes}");
        let noted = note.filter(|_| takes_notes);
        assert_eq!((talk.world.marker.is_some(), &talk.world.marker), (takes_notes, &noted));
        assert_eq!(talk.world.applied.len(), 3, "a step, and twice the way back");
    }
}

/// With an atomic guard a missing note is somebody's doing, and what they left is where it should be.
#[test]
fn a_rollback_whose_note_cannot_travel_apart_is_not_written_again() {
    let mut talk = Talk::new(terms(), World { verdicts: vec![Verdict::Fail], ..calm() });
    talk.until(|action| matches!(action, Action::Shift { to, .. } if to.is_full(&id("41"))));
    talk.world.perform(&talk.action).unwrap();
    talk.world.marker = None;
    assert_eq!(talk.tell(Input::Started).until_done(), (Ended::RolledBack, Cause::Failed));
    assert_eq!(talk.world.applied.len(), 2);
}
