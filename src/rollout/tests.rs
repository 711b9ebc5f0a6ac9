//! Decisions against a simulated provider.
#![expect(clippy::wildcard_enum_match_arm, reason = "any other decision fails the test")]

use std::time::Duration;

use mlroll_backend::{
    Capabilities, GuardKind, GuardToken, Marker, MarkerState, Nature, Readiness, RevisionId, Roles, Shadow, Snapshot,
    Timestamp, TrafficSplit, Weight, embed, extract,
};
use proptest::prelude::*;

use super::*;
use crate::exit::ExitStatus;

const NOW: i64 = 1_795_230_000;
const LAMBDA: Capabilities = Capabilities {
    granule: match Weight::from_basis_points(1) {
        Some(weight) => weight,
        None => Weight::FULL,
    },
    guard: GuardKind::Atomic,
    most_revisions: 2,
    note_limit: 256,
    artifacts: &[],
    mirror: None,
};

fn id(text: &str) -> RevisionId {
    text.parse().unwrap()
}

fn weight(basis_points: u16) -> Weight {
    Weight::from_basis_points(basis_points).unwrap()
}

fn stamp(at: i64, id: &str) -> Stamp {
    Stamp { at: Timestamp::from_unix_seconds(at).unwrap(), id: id.to_owned() }
}

/// The target as a provider with an atomic guard would show it.
fn seen(split: TrafficSplit, primary: &RevisionId, description: &str, guard: u32) -> Snapshot {
    let (own, marker) = extract(description);
    let marker = marker.filter(|marker| marker.fits(&split));
    Snapshot {
        roles: Roles::of(&split, marker.as_ref(), Some(primary)),
        split: Some(split),
        marker,
        guard: GuardToken { token: guard.to_string(), own_text: own.to_owned() },
        readiness: Readiness::Live,
        modified: None,
        taken_back: None,
        contents: None,
        replaced: None,
        nature: Nature::default(),
    }
}

fn after(step: &Step, before: &Snapshot) -> Snapshot {
    let carried = embed(&before.guard.own_text, &step.marker, LAMBDA.note_limit);
    let guard = before.guard.token.parse::<u32>().unwrap() + 1;
    seen(step.to.clone(), &step.marker.stable, &carried.text, guard)
}

fn shift(intent: &Intent, seen: &Snapshot) -> Step {
    match decide(intent, seen, &LAMBDA, &stamp(NOW, "NEW")) {
        Decision::Shift(step) => step,
        other => panic!("{intent:?} on {seen} gave {other:?}"),
    }
}

fn refusal(intent: &Intent, seen: &Snapshot) -> Refusal {
    match decide(intent, seen, &LAMBDA, &stamp(NOW, "NEW")) {
        Decision::Refuse(refusal) => refusal,
        other => panic!("{intent:?} on {seen} gave {other:?}"),
    }
}

fn unchanged(intent: &Intent, seen: &Snapshot) -> String {
    match decide(intent, seen, &LAMBDA, &stamp(NOW, "NEW")) {
        Decision::Unchanged { why } => why,
        other => panic!("{intent:?} on {seen} gave {other:?}"),
    }
}

fn canary(share: u16, candidate: Option<&str>) -> Intent {
    Intent::Canary { share: weight(share), candidate: candidate.map(id), again: false }
}

const PROMOTE: Intent = Intent::Promote { candidate: None, forced: false };
const ROLLBACK: Intent = Intent::Rollback { to: None, recent: None };

fn calm(description: &str) -> Snapshot {
    seen(TrafficSplit::full(id("41")), &id("41"), description, 1)
}

#[test]
fn a_rollout_by_hand_and_back_again() {
    let first = shift(&canary(1000, Some("42")), &calm("owned by ml"));
    assert_eq!(first.to.to_string(), "41 90 %, 42 10 %");
    assert_eq!(first.newcomer, Some(id("42")));
    let at_ten = after(&first, &calm("owned by ml"));
    let lower = shift(&canary(50, None), &at_ten);
    assert_eq!((lower.to.to_string().as_str(), &lower.newcomer), ("41 99.5 %, 42 0.5 %", &None));
    let promoted = after(&shift(&PROMOTE, &after(&lower, &at_ten)), &at_ten);
    assert_eq!(promoted.split, Some(TrafficSplit::full(id("42"))));
    assert_eq!(promoted.roles.previous, Some(id("41")));
    assert_eq!(promoted.guard.own_text, "owned by ml");
    let back = shift(&ROLLBACK, &promoted);
    assert_eq!(back.to, TrafficSplit::full(id("41")));
    assert_eq!(back.marker.previous, None);
    assert_eq!(back.marker.id, first.marker.id, "one rollout, one id");
    let again = after(&back, &promoted);
    assert!(unchanged(&ROLLBACK, &again).contains("already rolled back from 42"));
    assert_eq!(refusal(&canary(1000, Some("42")), &again).exit, ExitStatus::Usage);
    let retry = Intent::Canary { share: weight(1000), candidate: Some(id("42")), again: true };
    assert_eq!(shift(&retry, &again).outcome, Outcome::Shifted);
}

/// A rollback ends mirrored traffic, also where that is all there is to take back.
#[test]
fn mirrored_traffic_is_taken_back() {
    let mirrored = |description: &str| {
        let calm = calm(description);
        let shadow = Some(Shadow { revision: id("42"), share: weight(1000) });
        Snapshot { roles: Roles { shadow, ..calm.roles }, ..calm }
    };
    let everything = Intent::Rollback { to: None, recent: Some(Duration::from_secs(86_400)) };
    let to = Intent::Rollback { to: Some(id("41")), recent: None };
    for note in ["", "[mlroll v1 state=rolled_back stable=41 bad=40]", "[mlroll v1 state=promoted stable=41]"] {
        for intent in [&ROLLBACK, &to] {
            let back = shift(intent, &mirrored(note));
            assert_eq!((&back.to, back.outcome), (&TrafficSplit::full(id("41")), Outcome::RolledBack), "{note}");
            assert!(matches!(back.marker.state, MarkerState::RolledBack { .. }), "{note}");
        }
        // Of many targets only those that users feel.
        unchanged(&everything, &mirrored(note));
    }
    assert!(matches!(&shift(&ROLLBACK, &mirrored("[mlroll v1 state=rolled_back stable=41 bad=40]")).marker.state,
        MarkerState::RolledBack { bad: Some(bad) } if *bad == id("40")));
    // Who was stable before a promote goes first: users feel that.
    let promoted = mirrored("[mlroll v1 state=promoted stable=41 previous=40]");
    assert_eq!(shift(&ROLLBACK, &promoted).to, TrafficSplit::full(id("40")));
    assert_eq!(refusal(&ROLLBACK, &calm("")).exit, ExitStatus::NotFound);
}

#[test]
fn a_canary_of_somebody_else_is_left_alone_until_it_is_named() {
    let foreign = seen(TrafficSplit::between(id("41"), id("42"), weight(500)), &id("41"), "", 1);
    assert_eq!(refusal(&canary(1000, None), &foreign).exit, ExitStatus::Conflict);
    assert_eq!(refusal(&canary(1000, Some("43")), &foreign).exit, ExitStatus::Conflict);
    assert_eq!(shift(&canary(1000, Some("42")), &foreign).to.to_string(), "41 90 %, 42 10 %");
    assert_eq!(shift(&ROLLBACK, &foreign).to, TrafficSplit::full(id("41")));
    assert_eq!(refusal(&PROMOTE, &foreign).exit, ExitStatus::Held);
    assert_eq!(
        refusal(&Intent::Promote { candidate: Some(id("43")), forced: false }, &foreign).exit,
        ExitStatus::Conflict
    );
    assert_eq!(
        shift(&Intent::Promote { candidate: Some(id("42")), forced: false }, &foreign).to,
        TrafficSplit::full(id("42"))
    );
}

#[test]
fn another_candidate_in_flight_is_a_conflict() {
    let running = after(&shift(&canary(1000, Some("42")), &calm("")), &calm(""));
    assert_eq!(refusal(&canary(1000, Some("43")), &running).exit, ExitStatus::Conflict);
    assert!(unchanged(&canary(1000, Some("42")), &running).contains("already gets 10 %"));
    assert!(unchanged(&canary(1000, None), &running).contains("already gets 10 %"));
}

#[test]
fn nothing_to_go_back_to_writes_nothing() {
    for description in [
        "",
        "my alias",
        "[mlroll v1 state=canary stable=41 candidate=42]",
        "[mlroll v1 state=promoted stable=40 previous=39]",
    ] {
        let refusal = refusal(&ROLLBACK, &calm(description));
        assert_eq!((refusal.exit, refusal.list_revisions), (ExitStatus::NotFound, true), "{description}");
    }
    let to = Intent::Rollback { to: Some(id("40")), recent: None };
    let step = shift(&to, &calm(""));
    assert_eq!(step.marker.state, MarkerState::RolledBack { bad: Some(id("41")) });
    assert!(unchanged(&to, &after(&step, &calm(""))).contains("already gets everything"));
}

#[test]
fn of_a_fleet_only_what_moved_lately_is_rolled_back() {
    let all = Intent::Rollback { to: None, recent: Some(Duration::from_secs(3600)) };
    let promoted = |age: i64| calm(&format!("[mlroll v1 state=promoted stable=41 previous=40 at={}]", NOW - age));
    assert_eq!(shift(&all, &promoted(3600)).to, TrafficSplit::full(id("40")));
    assert!(unchanged(&all, &promoted(3601)).contains("1 h ago"));
    assert!(unchanged(&all, &calm("[mlroll v1 state=promoted stable=41 previous=40]")).contains("unknown time"));
    assert!(unchanged(&all, &calm("")).contains("no canary"));
    assert!(unchanged(&all, &calm("[mlroll v1 state=rolled_back stable=41 bad=42]")).contains("already rolled back"));
    let running = seen(TrafficSplit::between(id("41"), id("42"), weight(500)), &id("41"), "", 1);
    assert_eq!(shift(&all, &running).to, TrafficSplit::full(id("41")));
}

#[test]
fn a_target_that_is_moving_takes_no_canary_but_a_rollback() {
    let moving = Snapshot {
        readiness: Readiness::Settling("capacity moves".to_owned()),
        ..calm("[mlroll v1 state=promoted stable=41 previous=40]")
    };
    assert_eq!(refusal(&canary(1000, Some("42")), &moving).exit, ExitStatus::Conflict);
    assert_eq!(shift(&ROLLBACK, &moving).to, TrafficSplit::full(id("40")));
    // What is not live may be anybody's traffic: it is written again, not taken for done.
    let settling = |text: &str| Snapshot { readiness: Readiness::Settling("a weight of 1".to_owned()), ..calm(text) };
    let back = settling("[mlroll v1 state=rolled_back stable=41 bad=42]");
    assert_eq!(shift(&ROLLBACK, &back).to, TrafficSplit::full(id("41")));
    let to = Intent::Rollback { to: Some(id("41")), recent: None };
    assert_eq!(shift(&to, &settling("")).to, TrafficSplit::full(id("41")));
}

#[test]
fn without_an_atomic_guard_unchanged_is_said_only_of_a_quiet_target() {
    let can = Capabilities { guard: GuardKind::ReadCompare, ..LAMBDA };
    let at = |age: i64| Timestamp::from_unix_seconds(NOW - age);
    let back = Snapshot { modified: at(61), ..calm("[mlroll v1 state=rolled_back stable=41 bad=42]") };
    assert!(matches!(decide(&ROLLBACK, &back, &can, &stamp(NOW, "N")), Decision::Unchanged { .. }));
    for young in [Snapshot { modified: at(59), ..back.clone() }, Snapshot { modified: None, ..back }] {
        let Decision::Shift(step) = decide(&ROLLBACK, &young, &can, &stamp(NOW, "N")) else {
            panic!("a split that may still change was taken for granted");
        };
        assert_eq!(step.to, TrafficSplit::full(id("41")));
    }
}

#[test]
fn shares_a_provider_cannot_store_are_refused_and_never_rounded() {
    let can = Capabilities { granule: weight(100), ..LAMBDA };
    let Decision::Refuse(refusal) = decide(&canary(250, Some("42")), &calm(""), &can, &stamp(NOW, "N")) else {
        panic!("2.5 % was accepted in steps of 1 %");
    };
    assert_eq!((refusal.exit, refusal.hints), (ExitStatus::Usage, vec!["take --pct 2 or --pct 3".to_owned()]));
    let Decision::Refuse(refusal) = decide(&canary(50, Some("42")), &calm(""), &can, &stamp(NOW, "N")) else {
        panic!("0.5 % was accepted in steps of 1 %");
    };
    assert_eq!(refusal.hints, ["take --pct 1"]);
}

#[test]
fn a_lost_reply_is_told_from_somebody_elses_change() {
    let before = calm("");
    let step = shift(&canary(1000, Some("42")), &before);
    let ours = after(&step, &before);
    let carried = ours.marker.clone();
    let judge = |now: &Snapshot| landing(&before, &step.to, carried.as_ref(), now);
    assert_eq!(judge(&ours), Landing::Landed);
    assert_eq!(judge(&before), Landing::Untouched);
    let touched = Snapshot { guard: GuardToken { token: "9".to_owned(), ..before.guard.clone() }, ..before.clone() };
    assert_eq!(judge(&touched), Landing::Touched);
    let theirs = seen(TrafficSplit::between(id("41"), id("43"), weight(500)), &id("41"), "", 9);
    assert_eq!(judge(&theirs), Landing::Foreign);
    // The same split by somebody else is not our write.
    let twin = seen(step.to.clone(), &id("41"), "[mlroll v1 state=canary stable=41 candidate=42 id=OTHER]", 9);
    assert_eq!(judge(&twin), Landing::Foreign);
}

/// Where the marker has a request of its own, before the split's: a process may end between the two.
#[test]
fn a_marker_that_arrived_alone_is_told_from_somebody_elses_change() {
    let at = Timestamp::from_unix_seconds(NOW);
    let before = Snapshot { modified: at, ..calm("") };
    let step = shift(&canary(1000, Some("42")), &before);
    let carried = after(&step, &before).marker;
    let judge = |now: &Snapshot| landing(&before, &step.to, carried.as_ref(), now);
    // The canary's marker does not fit the split, and is not shown.
    assert_eq!(judge(&before), Landing::Untouched);
    let canary = Snapshot { modified: at, ..after(&step, &before) };
    let wider = Step { to: TrafficSplit::between(id("41"), id("42"), weight(5000)), ..step.clone() };
    let later = Marker { id: Some("LATER".to_owned()), ..canary.marker.clone().unwrap() };
    for (marker, modified, expected) in [
        (Some(later.clone()), at, Landing::Untouched),
        (Some(later.clone()), Timestamp::from_unix_seconds(NOW + 1), Landing::Foreign),
        (Some(later.clone()), None, Landing::Foreign),
        (None, at, Landing::Foreign),
    ] {
        let now = Snapshot { marker, modified, ..canary.clone() };
        assert_eq!(landing(&canary, &wider.to, Some(&later), &now), expected, "{now:?}");
    }
    // The promotion's does not fit a canary's split.
    let promoted = Marker { state: MarkerState::Promoted, stable: id("42"), ..later };
    let full = TrafficSplit::full(id("42"));
    for (modified, expected) in [(at, Landing::Untouched), (None, Landing::Foreign)] {
        let now = Snapshot { marker: None, modified, ..canary.clone() };
        assert_eq!(landing(&canary, &full, Some(&promoted), &now), expected);
    }
}

/// A human put back by hand what our write, whose reply was lost, had changed: the split is as before, and yet it is
/// theirs.
#[test]
fn a_human_who_rolled_back_in_between_is_not_overwritten() {
    let before = calm("[mlroll v1 state=rolled_back stable=41 bad=40]");
    let step = shift(&canary(1000, Some("42")), &before);
    let ours = after(&step, &before);
    let human = after(&shift(&ROLLBACK, &ours), &ours);
    assert_eq!(human.split, before.split);
    assert_eq!(landing(&before, &step.to, ours.marker.as_ref(), &human), Landing::Foreign);
}

fn revisions() -> impl Strategy<Value = RevisionId> {
    (1_u32..6).prop_map(|n| id(&n.to_string()))
}

fn descriptions() -> impl Strategy<Value = String> {
    let marker = (revisions(), revisions(), prop::option::of(revisions()), prop::option::of(NOW - 200_000..NOW), 0..4)
        .prop_map(|(a, b, previous, at, state)| Marker {
            state: match state {
                0 => MarkerState::Canary { candidate: b },
                1 => MarkerState::Promoted,
                2 => MarkerState::RolledBack { bad: Some(b) },
                _ => MarkerState::RolledBack { bad: None },
            },
            stable: a,
            previous,
            at: at.and_then(Timestamp::from_unix_seconds),
            id: Some("OLD".to_owned()),
        });
    prop_oneof![
        Just(String::new()),
        "[a-z ]{0,250}",
        ("[a-z ]{0,200}", marker).prop_map(|(own, m)| embed(&own, &m, 256).text)
    ]
}

fn snapshots() -> impl Strategy<Value = Snapshot> {
    (revisions(), revisions(), 0_u16..=10_000, descriptions(), any::<bool>()).prop_map(
        |(a, b, share, description, live)| {
            let split = TrafficSplit::between(a.clone(), b.clone(), weight(share));
            let primary = if split.weight_of(&a) == Weight::ZERO { b } else { a };
            let readiness = if live { Readiness::Live } else { Readiness::Settling("a test".to_owned()) };
            Snapshot { readiness, ..seen(split, &primary, &description, 1) }
        },
    )
}

fn intents() -> impl Strategy<Value = Intent> {
    let recent = prop::option::of((0_u64..200_000).prop_map(Duration::from_secs));
    prop_oneof![
        (0_u16..=10_000, prop::option::of(revisions()), any::<bool>())
            .prop_map(|(share, candidate, again)| { Intent::Canary { share: weight(share), candidate, again } }),
        prop::option::of(revisions()).prop_map(|candidate| Intent::Promote { candidate, forced: false }),
        (prop::option::of(revisions()), recent).prop_map(|(to, recent)| Intent::Rollback { to, recent }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn decisions_hold_what_the_verbs_promise(intent in intents(), seen in snapshots()) {
        let decision = decide(&intent, &seen, &LAMBDA, &stamp(NOW, "NEW"));
        if let Decision::Shift(step) = &decision {
            let now = after(step, &seen);
            prop_assert_eq!(now.split.as_ref(), Some(&step.to));
            // The roles that the next reader finds are those that were meant.
            prop_assert_eq!(now.roles.stable.as_ref(), Some(&step.marker.stable));
            prop_assert_eq!(&now.guard.own_text, &seen.guard.own_text);
            match &intent {
                Intent::Canary { share, .. } => {
                    prop_assert!(seen.is_settled());
                    prop_assert_eq!(step.to.len(), 2);
                    let stable = seen.roles.stable.as_ref().unwrap();
                    prop_assert_eq!(step.to.weight_of(stable), share.complement());
                    prop_assert!(step.newcomer.is_some() == (seen.split.as_ref().unwrap().len() == 1));
                    // The way back of what was just done is where it began.
                    prop_assert_eq!(&shift(&ROLLBACK, &now).to, &TrafficSplit::full(stable.clone()));
                    if now.marker.is_some() {
                        let again = decide(&intent, &now, &LAMBDA, &stamp(NOW, "N"));
                        prop_assert!(matches!(again, Decision::Unchanged { .. }), "{:?}", again);
                    }
                }
                Intent::Promote { .. } => {
                    let stable = seen.roles.stable.clone().unwrap();
                    prop_assert!(step.to.sole().is_some() && step.to.sole() == seen.roles.candidate.as_ref());
                    if now.marker.is_some() {
                        prop_assert_eq!(&shift(&ROLLBACK, &now).to, &TrafficSplit::full(stable));
                    }
                }
                Intent::Rollback { to, recent } => {
                    prop_assert!(step.to.sole().is_some());
                    if let Some(to) = to {
                        prop_assert!(step.to.is_full(to));
                    }
                    // Typed twice, done once.
                    let again = decide(&intent, &now, &LAMBDA, &stamp(NOW, "N"));
                    let lost_note = now.marker.is_none() && recent.is_none() && to.is_none();
                    let done = matches!(again, Decision::Unchanged { .. }) || (lost_note && matches!(again, Decision::Refuse(_)));
                    prop_assert!(done, "{:?}", again);
                }
            }
        }
        // A rollback of many refuses nobody.
        if let (Decision::Refuse(refusal), Intent::Rollback { to: None, recent: Some(_) }) = (&decision, &intent) {
            prop_assert!(false, "{:?}", refusal);
        }
    }
}
