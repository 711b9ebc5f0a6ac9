//! What happens to a rollout: generated, and played.

use mlroll_backend::{ErrorKind, TrafficSplit, Weight};
use proptest::prelude::*;

use super::watchdog::Watchdog;
use super::world::{World, WriteFault};
use super::{about, id, plan, secs, terms, weight};
use crate::rollout::engine::{Action, Input, Kind, Plan, Reaction, Rollout, Stage, Terms, Verdict};

#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) plan: Plan,
    pub(super) world: World,
    /// What happens after how many further actions.
    pub(super) events: Vec<(u8, Event)>,
}

#[derive(Clone, Debug)]
pub(super) enum Event {
    /// A person or a signal speaks instead of the answer to the last action, which was performed or not.
    Asked { input: Input, performed: bool },
    /// The clock is set.
    Clock(i64),
    /// The process dies and is started again; the action was performed or not.
    Crash { performed: bool },
    /// The wait ends too early.
    Early,
    /// The target fails, or recovers.
    Failed(bool),
    /// Somebody else gives a share to a revision.
    Foreign { revision: &'static str, share: u16, erase: bool },
    /// Somebody else rolls this rollout back.
    RolledBack,
    /// Somebody changes what is no traffic.
    Touch,
}

/// Plays it to the end, the invariants being watched.
pub(super) fn play(scenario: &Scenario) -> (Rollout, World) {
    let mut world = scenario.world.clone();
    let mut rollout = Rollout::new(scenario.plan.clone());
    let mut dog = Watchdog::default();
    let mut events = scenario.events.iter();
    let mut next = events.next();
    let mut quiet = next.map_or(0, |(gap, _)| *gap);
    let mut input = Input::Started;
    loop {
        let now = world.time();
        let action = rollout.step(input.clone(), now);
        dog.sees(&rollout, &input, now, &action);
        let over = matches!(action, Action::Done { .. });
        let due = quiet == 0 || over;
        input = match next.filter(|_| due) {
            None if over => break,
            None => {
                quiet = quiet.saturating_sub(1);
                world.answer(&rollout, &action).unwrap()
            }
            Some((_, event)) => {
                next = events.next();
                quiet = next.map_or(0, |(gap, _)| *gap);
                happens(event, &action, &mut world, &rollout, &mut dog)
            }
        };
    }
    dog.at_the_end(&rollout, &mut world);
    (rollout, world)
}

fn happens(event: &Event, action: &Action, world: &mut World, rollout: &Rollout, dog: &mut Watchdog) -> Input {
    match event {
        Event::Asked { input, performed } => {
            if *performed {
                world.answer(rollout, action);
            }
            // An end that only sets capacity back is decided.
            dog.aborted |= *input == Input::Abort && rollout.is_unfinished() && rollout.ending().is_none();
            return input.clone();
        }
        Event::Crash { performed } => {
            if *performed {
                world.answer(rollout, action);
            }
            return Input::Started;
        }
        Event::Early => return Input::TimeReached,
        Event::Clock(by) => world.skew += by * 1000,
        Event::Failed(failed) => world.failed = *failed,
        Event::Foreign { revision, share, erase } => {
            let landed = !dog.foreign
                && rollout.attempted() == Some(&world.split)
                && world.applied.last() == Some(&world.split)
                && rollout.confirmed() != Some(&world.split);
            world.foreign(revision, *share, *erase);
            if landed && rollout.confirmed() == Some(&world.split) {
                dog.put_back = Some(world.applied.len());
            }
            dog.foreign = true;
            let known = [rollout.confirmed(), rollout.attempted()].contains(&Some(&world.split));
            let overtaken = rollout.is_rolling_back();
            let started = rollout.confirmed().is_some();
            dog.theirs = (started && !known && !overtaken).then_some(world.applied.len());
        }
        Event::RolledBack => {
            world.rolled_back_by_hand(&rollout.plan().terms().id);
            dog.foreign = true;
            dog.theirs = rollout.confirmed().is_some().then_some(world.applied.len());
        }
        Event::Touch => {
            world.touch();
            dog.foreign = true;
        }
    }
    world.answer(rollout, action).unwrap_or(Input::TimeReached)
}

fn reactions() -> impl Strategy<Value = Reaction> {
    prop_oneof![2 => Just(Reaction::Rollback), 1 => Just(Reaction::Hold)]
}

pub(super) fn plans() -> impl Strategy<Value = Plan> {
    let steps = prop::collection::btree_set(1_u16..100, 1..4);
    let times = (2_u64..7, 0_u64..120, 0_u64..6, 0_u64..6, 0_u64..4);
    let reactions = (reactions(), reactions(), reactions());
    let judged = (prop::bool::weighted(0.9), prop::bool::weighted(0.4));
    let kinds = prop_oneof![6 => Just(Kind::Rollout), 2 => Just(Kind::Canary), 2 => Just(Kind::Experiment)];
    (steps, times, reactions, any::<bool>(), kinds, (prop::bool::weighted(0.1), judged)).prop_map(
        |(
            steps,
            (bake, warm_up, min_bake, budget, watch),
            (on_fail, on_inconclusive, on_starved),
            overtakes,
            kind,
            (bare, (judged, capacity)),
        )| {
            let experiment = kind == Kind::Experiment;
            let mut steps: Vec<Weight> = steps.into_iter().map(|percent| weight(percent * 100)).collect();
            if kind == Kind::Rollout {
                steps.push(Weight::FULL);
            } else {
                steps.truncate(1);
            }
            let bake = secs(if kind == Kind::Canary && bare { 0 } else { bake * 60 });
            plan(Terms {
                kind,
                steps,
                bake,
                judged: judged || experiment,
                experiment: experiment.then(about),
                warm_up: secs(warm_up).min(bake.saturating_sub(secs(1))),
                min_bake: secs(min_bake * 60).min(bake),
                no_data_budget: secs(budget * 60),
                watch_after: secs(watch * 60),
                on_fail,
                on_inconclusive,
                on_starved,
                overtakes,
                capacity,
                ..terms()
            })
        },
    )
}

fn kinds() -> impl Strategy<Value = ErrorKind> {
    prop::sample::select(vec![
        ErrorKind::Auth,
        ErrorKind::Conflict,
        ErrorKind::Invalid,
        ErrorKind::NotFound,
        ErrorKind::Throttled,
        ErrorKind::Unavailable,
        ErrorKind::Unexpected,
    ])
}

fn write_faults() -> impl Strategy<Value = WriteFault> {
    prop_oneof![
        3 => Just(WriteFault::None),
        1 => Just(WriteFault::LostReply),
        1 => Just(WriteFault::LostThenConflict),
        1 => Just(WriteFault::GivenUp),
        1 => taken_back(),
        1 => (0_u8..12).prop_map(WriteFault::Late),
        1 => kinds().prop_map(WriteFault::Refused),
        1 => kinds().prop_map(WriteFault::Exhausted),
    ]
}

pub(super) fn taken_back() -> impl Strategy<Value = WriteFault> {
    (any::<bool>(), any::<bool>()).prop_map(|(keeps_note, lags)| WriteFault::TakenBack { keeps_note, lags })
}

/// Faults that pass, and now and then one that stays.
fn worlds() -> impl Strategy<Value = World> {
    let reads = prop::collection::vec(prop_oneof![6 => Just(None), 1 => kinds().prop_map(Some)], 0..30);
    let last_read = prop_oneof![19 => Just(None), 1 => kinds().prop_map(Some)];
    let writes = prop::collection::vec(write_faults(), 0..8);
    let last_write = prop_oneof![5 => Just(WriteFault::None), 1 => write_faults()];
    let verdict = prop_oneof![
        12 => Just(Verdict::Pass),
        6 => Just(Verdict::Inconclusive),
        2 => Just(Verdict::NoData),
        1 => Just(Verdict::Fail),
        1 => Just(Verdict::Starved),
        2 => Just(Verdict::Better),
        1 => Just(Verdict::Worse),
        1 => Just(Verdict::Mismatched),
        1 => Just(Verdict::Reached),
    ];
    let good = prop::collection::vec(prop_oneof![9 => Just(Verdict::Pass), 1 => Just(Verdict::Inconclusive)], 1..4);
    let verdicts = prop_oneof![good, prop::collection::vec(verdict, 1..40)];
    let store = (prop::collection::vec(prop::bool::weighted(0.8), 0..20), prop::bool::weighted(0.9));
    let settles = prop_oneof![3 => Just(0), 2 => 1_i64..60, 1 => 60_i64..200];
    let faults = ((reads, last_read), (writes, last_write), prop::bool::weighted(0.4));
    let sizing = || prop_oneof![3 => Just(None), 1 => kinds().prop_map(Some)];
    let sizings = (prop::collection::vec(sizing(), 0..6), prop_oneof![9 => Just(None), 1 => kinds().prop_map(Some)]);
    let outgrown = (prop::collection::vec(prop::bool::weighted(0.6), 0..4), prop::bool::weighted(0.1));
    let providers = (prop::bool::weighted(0.8), prop::bool::weighted(0.7), sizings, outgrown);
    (faults, verdicts, store, settles, providers).prop_map(
        |(
            ((mut reads, last_read), (mut writes, last_write), faulty),
            verdicts,
            (mut store, last),
            settles,
            (atomic, small, (mut sizings, last_sizing), (mut outgrown, last_outgrown)),
        )| {
            reads.push(last_read);
            writes.push(last_write);
            store.push(last);
            sizings.push(last_sizing);
            outgrown.push(last_outgrown);
            if !faulty {
                (reads, writes, sizings) = (vec![None], vec![WriteFault::None], vec![None]);
            }
            let world = if small { World::small() } else { World::calm() };
            World { reads, writes, verdicts, store, settles, atomic, sizings, outgrown, ..world }
        },
    )
}

fn asked() -> impl Strategy<Value = Event> {
    let input = prop::sample::select(vec![Input::Abort, Input::Hold, Input::Resume, Input::Resume]);
    (input, any::<bool>()).prop_map(|(input, performed)| Event::Asked { input, performed })
}

/// What is nobody's doing but the machine's.
pub(super) fn accidents() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => any::<bool>().prop_map(|performed| Event::Crash { performed }),
        2 => prop::sample::select(vec![-86_400, -600, -1, 1, 45, 600, 3600, 86_400]).prop_map(Event::Clock),
        1 => Just(Event::Early),
        1 => any::<bool>().prop_map(Event::Failed),
    ]
}

pub(super) fn strangers() -> impl Strategy<Value = Event> {
    let revision = prop::sample::select(vec!["42", "42", "43"]);
    let share = prop::sample::select(vec![0_u16, 100, 500, 1700, 5000, 10_000]);
    prop_oneof![
        3 => (revision, share, any::<bool>())
            .prop_map(|(revision, share, erase)| Event::Foreign { revision, share, erase }),
        1 => Just(Event::RolledBack),
        1 => Just(Event::Touch),
    ]
}

pub(super) fn scenarios(event: impl Strategy<Value = Event>) -> impl Strategy<Value = Scenario> {
    let events = prop::collection::vec((0_u8..30, event), 0..5);
    (plans(), worlds(), events, 0_u8..10).prop_map(|(plan, mut world, events, start)| {
        world.overtakes = plan.terms().overtakes;
        if start == 0 {
            world.split = TrafficSplit::between(id("41"), id("42"), weight(100));
            world.marker = Some(plan.marker(Stage::Step(0), Stage::Start, world.time()));
        }
        Scenario { plan, world, events }
    })
}

pub(super) fn anything() -> impl Strategy<Value = Event> {
    prop_oneof![3 => asked(), 3 => accidents(), 1 => strangers()]
}

pub(super) fn aborts() -> impl Strategy<Value = Event> {
    let abort = any::<bool>().prop_map(|performed| Event::Asked { input: Input::Abort, performed });
    prop_oneof![1 => abort, 1 => accidents()]
}

/// A scenario in which nothing happens but what is named.
pub(super) fn with(terms: Terms, world: World, events: Vec<(u8, Event)>) -> Scenario {
    Scenario { plan: plan(terms), world, events }
}
