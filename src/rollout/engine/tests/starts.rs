//! What a plan must be, and what it can start from.

use mlroll_backend::{ErrorKind, TrafficSplit, Weight};

use super::scenario::{Event, play, with};
use super::world::{World, WriteFault};
use super::{about, at, id, plan, secs, terms, weight};
use crate::rollout::engine::{Cause, Ended, Experiment, Kind, Plan, Reaction, Stage, Terms};

#[test]
fn a_plan_without_sense_is_refused() {
    let refused = |terms: Terms, part: &str| {
        let message = Plan::new(terms, weight(1)).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    };
    refused(Terms { id: "a b".to_owned(), ..terms() }, "id");
    refused(Terms { candidate: id("41"), ..terms() }, "stable and candidate");
    refused(Terms { steps: Vec::new(), ..terms() }, "rise");
    refused(Terms { steps: vec![Weight::ZERO, Weight::FULL], ..terms() }, "rise");
    refused(Terms { steps: vec![weight(500), weight(500), Weight::FULL], ..terms() }, "rise");
    refused(Terms { steps: vec![weight(500)], ..terms() }, "100 % as its last");
    refused(Terms { steps: vec![Weight::FULL], ..terms() }, "below 100 %");
    refused(Terms { kind: Kind::Canary, ..terms() }, "one step");
    refused(Terms { alpha: 0.0, ..terms() }, "alpha");
    refused(Terms { beta: f64::NAN, ..terms() }, "beta");
    refused(Terms { look: secs(0), ..terms() }, "look");
    refused(Terms { bake: secs(0), ..terms() }, "bake");
    refused(Terms { warm_up: secs(360), ..terms() }, "warm_up");
    refused(Terms { min_bake: secs(361), ..terms() }, "min_bake");
    refused(Terms { settle_timeout: secs(0), ..terms() }, "settle_timeout");
    refused(Terms { watch_after: secs(86_400 * 400), ..terms() }, "year");
    let experiment =
        || Terms { kind: Kind::Experiment, steps: vec![weight(500)], experiment: Some(about()), ..terms() };
    plan(experiment());
    refused(Terms { experiment: None, ..experiment() }, "about a metric");
    refused(Terms { experiment: Some(about()), ..terms() }, "about a metric");
    refused(Terms { judged: false, ..experiment() }, "about a metric");
    refused(Terms { steps: terms().steps, ..experiment() }, "one step");
    refused(Terms { bake: secs(0), ..experiment() }, "bakes");
    for (alpha, effect) in [(0.0, 0.1), (1.0, 0.1), (f64::NAN, 0.1), (0.05, 0.0), (0.05, f64::INFINITY)] {
        let experiment = Terms { experiment: Some(Experiment { alpha, effect, ..about() }), ..experiment() };
        refused(experiment, "alpha of an experiment");
    }
    let fine = Plan::new(Terms { steps: vec![weight(550), Weight::FULL], ..terms() }, weight(100)).unwrap_err();
    assert!(fine.to_string().contains("5.5 %"));
}

#[test]
fn looks_are_counted_from_the_plan() {
    let plan = plan(Terms { watch_after: secs(90), ..terms() });
    assert_eq!((plan.bake_looks(), plan.min_looks(), plan.watch_looks(), plan.horizon()), (5, 3, 2, 12));
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    assert!(serde_json::from_str::<Plan>(&text.replace("[500,5000,10000]", "[500,400,10000]")).is_err());
    assert!(serde_json::from_str::<Plan>(&text.replace("\"look\"", "\"luck\"")).is_err());
}

fn start(split: TrafficSplit, marked: bool, kind: Kind) -> (Ended, Cause, World) {
    let steps = match kind {
        Kind::Canary | Kind::Experiment => vec![weight(500)],
        Kind::Rollout => terms().steps,
    };
    let experiment = (kind == Kind::Experiment).then(about);
    let terms = Terms { kind, steps, experiment, ..terms() };
    let mut world = World::calm();
    if marked {
        world.marker = Some(plan(terms.clone()).marker(Stage::Step(0), Stage::Start, at(-600)));
    }
    world.split = split;
    let (rollout, world) = play(&with(terms, world, Vec::new()));
    let (ended, why) = rollout.ended().unwrap();
    (ended, why.clone(), world)
}

#[test]
fn it_starts_from_stable_or_from_a_canary_of_the_same_two() {
    let canary = |share| TrafficSplit::between(id("41"), id("42"), weight(share));
    for (split, marked, kind, writes) in [
        (TrafficSplit::full(id("41")), false, Kind::Rollout, 3),
        (canary(100), true, Kind::Rollout, 3),
        // The share that is asked for is there already.
        (canary(500), true, Kind::Rollout, 2),
        (canary(500), true, Kind::Canary, 0),
        (canary(2000), true, Kind::Canary, 1),
    ] {
        let (ended, why, world) = start(split.clone(), marked, kind);
        assert!(matches!(ended, Ended::Promoted | Ended::Shifted), "{split}: {why:?}");
        assert_eq!(world.applied.len(), writes, "{split}");
    }
    for (split, marked) in [
        (canary(2000), true),
        (canary(100), false),
        (TrafficSplit::full(id("42")), false),
        (TrafficSplit::between(id("41"), id("43"), weight(100)), false),
        (TrafficSplit::full(id("40")), false),
    ] {
        let (ended, why, world) = start(split.clone(), marked, Kind::Rollout);
        assert!(matches!((ended, &why), (Ended::Halted, Cause::Unsuitable { .. })), "{split}: {why:?}");
        assert_eq!(world.write_count, 0);
    }
}

#[test]
fn a_failed_target_goes_back_and_is_not_started_on() {
    for (on_fail, wanted, writes) in [(Reaction::Rollback, Ended::RolledBack, 2), (Reaction::Hold, Ended::Held, 1)] {
        let events = vec![(5, Event::Failed(true)), (1, Event::Failed(false))];
        let scenario = with(Terms { on_fail, ..terms() }, World::calm(), events);
        let (rollout, world) = play(&scenario);
        let (ended, why) = rollout.ended().unwrap();
        assert_eq!((ended, world.applied.len()), (wanted, writes), "{why:?}");
        assert!(matches!(why, Cause::TargetFailed { .. }));
    }
    let (rollout, world) = play(&with(terms(), World { failed: true, ..World::calm() }, Vec::new()));
    assert!(matches!(rollout.ended(), Some((Ended::Halted, Cause::TargetFailed { .. }))));
    assert_eq!(world.write_count, 0);
}

#[test]
fn what_never_settles_goes_back_where_a_rollback_may_overtake() {
    for overtakes in [true, false] {
        let world = World { settles: 100_000, overtakes, ..World::calm() };
        let (rollout, world) = play(&with(Terms { overtakes, ..terms() }, world, Vec::new()));
        let (ended, why) = rollout.ended().unwrap();
        // The way back does not settle either: nobody knows what users get.
        assert!(matches!((ended, why), (Ended::Halted, Cause::Unsettled { .. })), "{ended:?} {why:?}");
        assert_eq!(world.applied.len(), if overtakes { 2 } else { 1 });
        assert_eq!(rollout.is_traffic_in_doubt(), overtakes);
    }
}

#[test]
fn reads_that_fail_are_tried_again_and_not_for_ever() {
    let some = |n| [vec![Some(ErrorKind::Unavailable); n], vec![None]].concat();
    let (rollout, _) = play(&with(terms(), World { reads: some(9), ..World::calm() }, Vec::new()));
    assert_eq!(rollout.ended().unwrap().0, Ended::Promoted);
    let (rollout, world) = play(&with(terms(), World { reads: some(500), ..World::calm() }, Vec::new()));
    assert!(matches!(rollout.ended(), Some((Ended::Halted, Cause::Unreachable(_)))));
    assert_eq!((world.read_count, world.write_count, rollout.is_unfinished()), (10, 0, true));
    let lost = World {
        writes: vec![WriteFault::LostReply],
        reads: [vec![None], some(500)[..499].to_vec()].concat(),
        ..World::calm()
    };
    let (rollout, _) = play(&with(terms(), lost, Vec::new()));
    assert!(rollout.is_traffic_in_doubt());
}
