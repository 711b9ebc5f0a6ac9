//! The eight invariants over random plans, verdicts, faults, people and clocks. The watchdog holds 1 to 6 and 8 at every
//! step of every scenario.

use proptest::prelude::*;

use super::scenario::{Event, Scenario, aborts, accidents, anything, play, scenarios, strangers, taken_back};
use super::world::{World, WriteFault};
use crate::rollout::engine::{Action, Cause, Ended, Input, Rollout, Terms};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn all_of_them_whatever_happens(scenario in scenarios(anything())) {
        play(&scenario);
    }

    #[test]
    fn without_a_stranger_nothing_is_called_interference(scenario in scenarios(accidents())) {
        let (rollout, _) = play(&scenario);
        let interfered = matches!(rollout.ended().unwrap().1, Cause::Interference { .. } | Cause::RolledBackElsewhere);
        prop_assert!(!interfered);
    }

    /// Every other write is taken back, by a provider that says so and has no guard.
    #[test]
    fn what_the_provider_takes_back_is_called_no_interference(
        mut scenario in scenarios(accidents()),
        writes in prop::collection::vec(prop_oneof![Just(WriteFault::None), Just(WriteFault::LostReply), taken_back()], 1..12),
        (undoes, keeps_word) in (1_i64..400, any::<bool>()),
    ) {
        scenario.world = World { atomic: false, writes, undoes, keeps_word, ..scenario.world };
        let (rollout, _) = play(&scenario);
        let interfered = matches!(rollout.ended().unwrap().1, Cause::Interference { .. } | Cause::RolledBackElsewhere);
        prop_assert!(!interfered, "{:?}", rollout.ended());
    }

    #[test]
    fn a_stranger_is_left_alone(scenario in scenarios(strangers())) {
        play(&scenario);
    }

    /// Whatever somebody else did to it: what is not set back is, when it is asked for, once one revision has everything.
    #[test]
    fn what_a_halt_leaves_is_set_back_when_asked(
        mut scenario in scenarios(strangers()),
        (revision, share) in prop::sample::select(vec![("42", 0), ("42", 10_000), ("43", 10_000)]),
        crash in 0_u8..6,
    ) {
        let terms = Terms { capacity: true, ..scenario.plan.terms().clone() };
        scenario.plan = super::plan(terms);
        scenario.world.lacks = World::small().lacks;
        let (mut rollout, mut world) = play(&scenario);
        if !rollout.only_restores() {
            return Ok(());
        }
        let ours = world.applied.len();
        world.foreign(revision, share, true);
        (world.reads, world.sizings, world.live_at) = (vec![None], vec![None], 0);
        let mut input = Input::Resume;
        for step in 0.. {
            let action = rollout.step(input, world.time());
            if matches!(action, Action::Done { .. }) {
                break;
            }
            input = if step == crash { Input::Started } else { world.perform(&action).unwrap() };
        }
        prop_assert!(!world.ready && !rollout.is_unfinished(), "{:?} {:?}", rollout.ended(), rollout.unrestored());
        prop_assert_eq!((world.applied.len(), world.kept.as_ref()), (ours, world.split.sole()));
    }

    #[test]
    fn an_abort_at_any_step_goes_back(scenario in scenarios(aborts())) {
        let (rollout, world) = play(&scenario);
        let working = world.reads == [None] && world.writes == [WriteFault::None] && world.settles <= 60;
        let unharmed = !scenario.events.iter().any(|(_, e)| matches!(e, Event::Failed(_)));
        let steady = scenario.events.iter().filter(|(_, e)| matches!(e, Event::Clock(_))).count() < 2;
        if rollout.is_rolling_back() && steady && working && unharmed && scenario.world.split.sole().is_some() {
            prop_assert_eq!(rollout.ended().unwrap().0, Ended::RolledBack, "{:?}", rollout.ended());
        }
    }

    #[test]
    fn storing_it_between_any_two_steps_changes_no_action(scenario in scenarios(anything()), at in 0_usize..60) {
        stored(&scenario, at);
    }
}

/// Plays a scenario whose events are only inputs, and takes the rollout out of a store before step `at` and after it.
fn stored(scenario: &Scenario, at: usize) {
    let mut world = scenario.world.clone();
    let mut rollout = Rollout::new(scenario.plan.clone());
    let mut twin = rollout.clone();
    let mut events = scenario.events.iter();
    let mut input = Input::Started;
    for n in 0..at + 20 {
        if n == at {
            let text = serde_json::to_string(&rollout).unwrap();
            twin = serde_json::from_str(&text).unwrap();
            assert_eq!(twin, rollout);
        }
        let now = world.time();
        let action = rollout.step(input.clone(), now);
        if n == at {
            // The journal keeps both.
            assert_eq!(serde_json::from_str::<Input>(&serde_json::to_string(&input).unwrap()).unwrap(), input);
            assert_eq!(serde_json::from_str::<Action>(&serde_json::to_string(&action).unwrap()).unwrap(), action);
        }
        assert_eq!(twin.step(input, now), action);
        let asked = (n % 7 == 3).then(|| events.next()).flatten();
        input = match asked {
            Some((_, Event::Asked { input, .. })) => input.clone(),
            Some((_, Event::Clock(by))) => {
                world.skew += by * 1000;
                Input::Started
            }
            _ if matches!(action, Action::Done { .. }) => Input::Resume,
            _ => world.answer(&rollout, &action).unwrap(),
        };
    }
    assert_eq!(twin, rollout);
}
