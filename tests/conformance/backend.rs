//! What every backend does, whatever cloud it is for. What a cloud cannot do its `Capabilities` say; nothing here asks which
//! one it is.

use mlroll_backend::{Effect, ErrorKind, GuardKind, MarkerState, Readiness, Roles, Shadow, TrafficSplit, Weight};
use serde_json::json;

use crate::stage::{Case, id, marker};

pub async fn a_shift_is_observed_as_it_was_written(case: Case) {
    let granule = case.backend.capabilities().granule.basis_points();
    for basis_points in [granule, 1_000, 5_000, 3_300 + granule, 10_000 - granule] {
        let seen = case.live().await;
        let (to, marker) = case.split(basis_points);
        case.backend.shift(&case.target, &to, &seen, &marker).await.unwrap();
        let now = case.live().await;
        assert_eq!(now.split, Some(to));
        let carried = now.marker.unwrap();
        assert_eq!((&carried.stable, &carried.state), (&marker.stable, &marker.state));
        assert_eq!(now.roles.stable, Some(id(case.cloud.stable)));
        assert_eq!(now.roles.candidate, Some(id(case.cloud.candidate)));
    }
}

pub async fn a_shift_is_absolute_and_may_be_repeated(case: Case) {
    let (to, marker) = case.split(1_000);
    for _ in 0..3 {
        let seen = case.live().await;
        case.backend.shift(&case.target, &to, &seen, &marker).await.unwrap();
        assert_eq!(case.live().await.split.as_ref(), Some(&to));
    }
}

pub async fn a_stale_view_is_a_conflict_and_writes_nothing(case: Case) {
    let stale = case.live().await;
    let theirs = case.canary(20).await;
    let (to, marker) = case.split(1_000);
    let shifted = case.backend.shift(&case.target, &to, &stale, &marker).await;
    match case.backend.capabilities().guard {
        GuardKind::Atomic => {
            assert_eq!(shifted.unwrap_err().kind(), ErrorKind::Conflict);
            assert_eq!(case.live().await.split, theirs.split, "their split stays");
        }
        // Nothing keeps such a write off but looking again first, which is the caller's.
        GuardKind::ReadCompare => drop(shifted),
    }
}

pub async fn a_foreign_write_between_read_and_write_is_found(case: Case) {
    let seen = case.live().await;
    case.fault(case.cloud.write, json!({ "fault": "foreign_write" })).await;
    let (to, marker) = case.split(1_000);
    let shifted = case.backend.shift(&case.target, &to, &seen, &marker).await;
    if case.backend.capabilities().guard == GuardKind::Atomic {
        assert_eq!(shifted.unwrap_err().kind(), ErrorKind::Conflict);
        let now = case.live().await;
        assert!(now.split != seen.split && now.split != Some(to), "{now}");
    }
}

pub async fn a_lost_reply_is_told_by_looking_again(case: Case) {
    let seen = case.live().await;
    case.fault(case.cloud.write, json!({ "fault": "reset_after", "times": 20 })).await;
    let (to, marker) = case.split(1_000);
    let shifted = case.backend.shift(&case.target, &to, &seen, &marker).await;
    // Repeated by the transport the write may meet its own traces: that is no success, and nobody else's doing. Where no
    // guard tells whose they are, an adapter may have looked again by itself.
    match shifted {
        Err(error) => assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Conflict), "{error}"),
        Ok(seen) => {
            assert_eq!(case.backend.capabilities().guard, GuardKind::ReadCompare, "{seen}");
            assert_eq!(seen.split.as_ref(), Some(&to));
        }
    }
    assert_eq!(case.live().await.split, Some(to), "it took effect all the same");
}

pub async fn a_request_that_never_arrived_changed_nothing_or_was_repeated(case: Case) {
    let seen = case.live().await;
    case.fault(case.cloud.write, json!({ "fault": "reset_before" })).await;
    let (to, marker) = case.split(1_000);
    let shifted = case.backend.shift(&case.target, &to, &seen, &marker).await;
    let now = case.live().await;
    assert_eq!(now.split, if shifted.is_ok() { Some(to) } else { seen.split });
}

pub async fn a_busy_target_is_a_conflict(case: Case) {
    let seen = case.live().await;
    case.refuse(case.cloud.write, case.cloud.busy, 1).await;
    let (to, marker) = case.split(1_000);
    let error = case.backend.shift(&case.target, &to, &seen, &marker).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert_eq!(case.live().await.split, seen.split);
    case.backend.shift(&case.target, &to, &seen, &marker).await.unwrap();
}

pub async fn throttling_is_waited_out(case: Case) {
    case.refuse(case.cloud.read, case.cloud.throttled, 2).await;
    let seen = case.live().await;
    case.refuse(case.cloud.write, case.cloud.throttled, 2).await;
    let (to, marker) = case.split(1_000);
    case.backend.shift(&case.target, &to, &seen, &marker).await.unwrap();
    assert_eq!(case.live().await.split, Some(to));
}

pub async fn lasting_throttling_is_told(case: Case) {
    case.refuse(case.cloud.read, case.cloud.throttled, 1_000).await;
    let error = case.backend.observe(&case.target).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Throttled, "{error}");
}

pub async fn a_refused_permission_is_told(case: Case) {
    let seen = case.live().await;
    case.refuse(case.cloud.write, case.cloud.forbidden, 1).await;
    let (to, marker) = case.split(1_000);
    let error = case.backend.shift(&case.target, &to, &seen, &marker).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Auth, case.cloud.write), "{error}");
    assert_eq!(case.writes().await, 1, "what is forbidden is not tried again");
}

pub async fn a_missing_target_is_told(case: Case) {
    let error = case.backend.observe(&case.cloud.missing_target.parse().unwrap()).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::NotFound, case.cloud.read), "{error}");
}

pub async fn a_missing_revision_is_an_obstacle_and_not_shifted_to(case: Case) {
    let seen = case.live().await;
    let (stable, missing) = (id(case.cloud.stable), id(case.cloud.missing));
    match case.backend.check(&case.target, &stable, &missing).await {
        Ok(obstacles) => assert!(obstacles.iter().any(|o| o.what.contains(case.cloud.missing)), "{obstacles:?}"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
    }
    let to = TrafficSplit::between(stable.clone(), missing.clone(), Weight::from_basis_points(1_000).unwrap());
    let note = marker(stable, MarkerState::Canary { candidate: missing });
    let error = case.backend.shift(&case.target, &to, &seen, &note).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Invalid), "{error}");
    assert_eq!(case.live().await.split, seen.split);
}

pub async fn a_revision_that_cannot_serve_is_an_obstacle(case: Case) {
    let (stable, failed) = (id(case.cloud.stable), id(case.cloud.failed));
    let obstacles = case.backend.check(&case.target, &stable, &failed).await.unwrap();
    assert!(!obstacles.is_empty());
    assert!(obstacles.iter().all(|o| !o.what.is_empty() && !o.remedy.is_empty()), "{obstacles:?}");
    let obstacles = case.backend.check(&case.target, &stable, &id(case.cloud.candidate)).await.unwrap();
    assert!(obstacles.is_empty(), "{obstacles:?}");
}

pub async fn shares_finer_than_the_granule_are_not_written(case: Case) {
    let granule = case.backend.capabilities().granule.basis_points();
    let seen = case.live().await;
    let (to, marker) = case.split(granule + 1);
    let shifted = case.backend.shift(&case.target, &to, &seen, &marker).await;
    if granule > 1 {
        let kind = shifted.unwrap_err().kind();
        assert!(matches!(kind, ErrorKind::Unsupported | ErrorKind::Invalid), "{kind:?}");
        assert_eq!(case.writes().await, 0, "never rounded");
    } else {
        assert_eq!(case.live().await.split, Some(to));
    }
}

pub async fn more_revisions_than_it_can_are_refused(case: Case) {
    let seen = case.live().await;
    let third = Weight::from_basis_points(2_000).unwrap();
    let rest = Weight::from_basis_points(6_000).unwrap();
    let to = [(case.cloud.stable, rest), (case.cloud.candidate, third), (case.cloud.other, third)];
    let to = TrafficSplit::new(to.into_iter().map(|(name, weight)| (id(name), weight)).collect()).unwrap();
    let note = marker(id(case.cloud.stable), MarkerState::Canary { candidate: id(case.cloud.candidate) });
    let shifted = case.backend.shift(&case.target, &to, &seen, &note).await;
    if case.backend.capabilities().most_revisions < 3 {
        assert_eq!(shifted.unwrap_err().kind(), ErrorKind::Unsupported);
        assert_eq!(case.writes().await, 0);
    } else {
        shifted.unwrap();
        let now = case.live().await;
        assert_eq!(now.split, Some(to));
        assert_eq!(now.marker, None, "a marker of two does not fit a split of three");
    }
}

pub async fn the_marker_and_the_users_own_text_live_together(case: Case) {
    let before = case.live().await;
    let now = case.canary(10).await;
    assert_eq!(now.guard.own_text, before.guard.own_text);
    let (_, written) = case.split(1_000);
    assert_eq!(now.marker, Some(written), "all of it is there");
}

pub async fn the_newest_revision_comes_first(case: Case) {
    let revisions = case.backend.revisions(&case.target, 10).await.unwrap();
    let names: Vec<_> = revisions.iter().map(|revision| revision.id.as_str()).collect();
    for name in [case.cloud.stable, case.cloud.candidate] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert_eq!(case.backend.revisions(&case.target, 1).await.unwrap().len(), 1);
}

pub async fn an_answer_cut_short_is_no_observation(case: Case) {
    case.fault(case.cloud.read, json!({ "fault": "truncate", "times": 1_000 })).await;
    let error = case.backend.observe(&case.target).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Unexpected), "{error}");
}

pub async fn a_rehearsal_writes_nothing(case: Case) {
    let seen = case.live().await;
    case.rehearse();
    let (to, marker) = case.split(1_000);
    let would_be = case.backend.shift(&case.target, &to, &seen, &marker).await.unwrap();
    assert_eq!(would_be.split, Some(to), "it is answered as it would be");
    assert_eq!(case.writes().await, 0);
    let told = case.told();
    let write = told.iter().find(|call| call.effect == Effect::Write).expect("the write is told of");
    assert!(write.body.is_some() && write.overridden && write.url.starts_with("http://127.0.0.1:"), "{write:?}");
    assert_eq!(case.live().await.split, seen.split);
}

pub async fn a_promotion_names_its_way_back(case: Case) {
    case.canary(10).await;
    let (code, outcome) = case.mlroll(&["promote", "--force"]).await;
    assert_eq!((code, &outcome["outcome"]), (0, &json!("promoted")), "{outcome}");
    let now = case.live().await;
    assert_eq!(now.split, Some(TrafficSplit::full(id(case.cloud.candidate))));
    assert_eq!(now.roles.previous, Some(id(case.cloud.stable)));
    assert_eq!(now.marker.unwrap().state, MarkerState::Promoted);
}

pub async fn a_rollback_typed_twice_is_done_once(case: Case) {
    case.canary(10).await;
    let (code, first) = case.mlroll(&["rollback"]).await;
    assert_eq!((code, &first["outcome"]), (0, &json!("rolled_back")), "{first}");
    let writes = case.writes().await;
    let now = case.live().await;
    assert_eq!(now.split, Some(TrafficSplit::full(id(case.cloud.stable))));
    assert_eq!(now.marker.unwrap().state, MarkerState::RolledBack { bad: Some(id(case.cloud.candidate)) });
    if case.backend.capabilities().guard == GuardKind::ReadCompare {
        // Without an atomic guard a fresh change might still be somebody's on its way.
        case.advance("2m").await;
    }
    let (code, second) = case.mlroll(&["rollback"]).await;
    assert_eq!((code, &second["outcome"]), (0, &json!("unchanged")), "{second}");
    assert_eq!(case.writes().await, writes);
}

pub async fn a_rollback_is_one_read_and_one_write(case: Case) {
    case.canary(10).await;
    let before = case.requests().await.len();
    let (_, outcome) = case.mlroll(&["rollback", "--no-wait"]).await;
    let sent: Vec<String> =
        case.requests().await.split_off(before).into_iter().map(|(operation, _)| operation).collect();
    let (read, write) = (case.cloud.read, case.cloud.write);
    // A marker that does not travel with the split takes one call more each way; the split never waits for its write.
    let expected = match case.cloud.marker_apart() {
        None => vec![read, write],
        Some((read_marker, write_marker)) => vec![read, read_marker, write, write_marker],
    };
    assert_eq!(sent, expected, "and nothing else");
    let each = expected.len() / 2;
    assert_eq!(outcome["targets"][0]["calls"], json!({ "read": each, "write": each, "poll": 0 }), "{outcome}");
}

pub async fn a_split_that_never_settles_is_unsafe(case: Case) {
    case.canary(10).await;
    case.fault(case.cloud.write, json!({ "fault": "settle_forever" })).await;
    let (code, outcome) = case.mlroll(&["rollback", "--timeout", "10s"]).await;
    assert_eq!(code, 8, "{outcome}");
    assert_eq!(outcome["settled"], false);
    assert!(matches!(case.observe().await.readiness, Readiness::Settling(_)));
}

/// Who cannot mirror says so before anything is written, and `shadow` with it.
async fn cannot_mirror(case: &Case) -> bool {
    let most = case.backend.capabilities().mirror;
    // Beside a shadow variant of SageMaker is one production variant: here are more. What it can is told in tests/cli/sagemaker_shadow.rs.
    let cannot = most.is_none() || case.cloud.api == "sagemaker";
    if cannot {
        let seen = case.live().await;
        let tenth = Weight::from_basis_points(1_000).unwrap();
        let refused = case.backend.mirror(&case.target, &id(case.cloud.candidate), tenth, &seen).await.unwrap_err();
        assert_eq!((refused.kind(), case.writes().await), (ErrorKind::Unsupported, 0));
        let off = most.is_none().then_some(&["shadow", "--off"][..]);
        for arguments in [&["shadow", "--pct", "10", "--candidate", case.cloud.candidate][..]].into_iter().chain(off) {
            let (code, outcome) = case.mlroll(arguments).await;
            assert_eq!((code, &outcome["error"]["kind"]), (2, &json!("unsupported")), "{outcome}");
        }
        assert_eq!(case.writes().await, 0);
    }
    cannot
}

pub async fn mirrored_traffic_is_as_it_was_asked_for_or_unsupported(case: Case) {
    if cannot_mirror(&case).await {
        return;
    }
    let can = case.backend.capabilities();
    let most = can.mirror.unwrap();
    let (candidate, before) = (id(case.cloud.candidate), case.live().await);
    let mut writes = 0;
    for share in [can.granule, most, can.granule] {
        let seen = case.live().await;
        let accepted = case.backend.mirror(&case.target, &candidate, share, &seen).await.unwrap();
        let shadow = Some(Shadow { revision: candidate.clone(), share });
        assert_eq!(accepted.roles.shadow, shadow, "as accepted, also while reads show what was before");
        let now = case.live().await;
        assert_eq!(now.roles, Roles { shadow, ..before.roles.clone() });
        assert_eq!(
            (&now.split, &now.marker, now.guard.own_text),
            (&before.split, &before.marker, before.guard.own_text.clone())
        );
        writes += 1;
        assert_eq!(case.writes().await, writes);
        if can.guard == GuardKind::ReadCompare {
            let stale = case.backend.mirror(&case.target, &candidate, most, &before).await;
            assert_eq!(stale.unwrap_err().kind(), ErrorKind::Conflict, "what is mirrored is compared too");
        }
    }
    let seen = case.live().await;
    case.backend.mirror(&case.target, &candidate, can.granule, &seen).await.unwrap();
    let above = Weight::from_basis_points(most.basis_points() + can.granule.basis_points()).unwrap();
    for (revision, share, kind) in
        [(case.cloud.candidate, above, ErrorKind::Unsupported), (case.cloud.stable, most, ErrorKind::Invalid)]
    {
        let refused = case.backend.mirror(&case.target, &id(revision), share, &seen).await.unwrap_err();
        assert_eq!(refused.kind(), kind, "{refused}");
    }
    assert_eq!(case.writes().await, writes, "what is so already is not written, and what cannot be is not tried");
    case.backend.mirror(&case.target, &candidate, Weight::ZERO, &seen).await.unwrap();
    assert_eq!((case.live().await.roles, case.writes().await), (before.roles, writes + 1));
    case.rehearse();
    let seen = case.live().await;
    let would_be = case.backend.mirror(&case.target, &candidate, most, &seen).await.unwrap();
    assert_eq!(would_be.roles.shadow.map(|shadow| shadow.share), Some(most));
    assert_eq!(case.writes().await, writes + 1);
}

pub async fn mirrored_traffic_ends_with_the_shift_that_it_led_to(case: Case) {
    if cannot_mirror(&case).await {
        return;
    }
    let (candidate, other) = (id(case.cloud.candidate), id(case.cloud.other));
    let granule = case.backend.capabilities().granule;
    let seen = case.live().await;
    case.backend.mirror(&case.target, &candidate, granule, &seen).await.unwrap();
    let now = case.canary(10).await;
    assert_eq!((now.roles.shadow, now.roles.candidate), (None, Some(candidate)));
    assert_eq!(case.writes().await, 2, "one write from copies to users");
    // What is mirrored to somebody else stays with a canary, and ends with its rollback.
    let seen = case.live().await;
    case.backend.mirror(&case.target, &other, granule, &seen).await.unwrap();
    let shadow = Some(Shadow { revision: other, share: granule });
    assert_eq!(case.canary(20).await.roles.shadow, shadow);
    let (code, outcome) = case.mlroll(&["rollback"]).await;
    assert_eq!((code, &outcome["outcome"]), (0, &json!("rolled_back")), "{outcome}");
    assert_eq!((case.live().await.roles.shadow, case.writes().await), (None, 5));
}
