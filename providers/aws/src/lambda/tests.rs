//! The adapter over real HTTP, against a control plane that fails on demand.
#![expect(clippy::disallowed_methods, reason = "how long a call takes is what some tests are about")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mlroll_backend::{
    Backend, ErrorKind, Marker, MarkerState, Readiness, RevisionId, Snapshot, Target, Timestamp, TrafficSplit, Weight,
};
use mlroll_faults::{Alias, Fault, Kind, Operation, Server, Tap};

use super::Lambda;
use crate::session::Session;

struct Case {
    server: Server,
    target: Target,
    tap: Arc<Tap>,
    lambda: Lambda,
}

impl Case {
    async fn new() -> Self {
        Self::with(false).await
    }

    async fn with(rehearsal: bool) -> Self {
        let server = Server::start();
        server.add_function("fraud", &[1, 2, 3]);
        server.add_alias(
            "fraud",
            "prod",
            Alias { version: "1".into(), description: "mine".into(), ..Alias::default() },
        );
        let tap = Arc::new(Tap::new(rehearsal));
        let lambda = Lambda::by(Session::at(&server.url(), Arc::clone(&tap) as _).await);
        Self { server, target: "lambda:us-east-1/fraud@prod".parse().unwrap(), tap, lambda }
    }

    fn alias(&self) -> Alias {
        self.server.alias("fraud", "prod").unwrap()
    }

    fn fault(&self, operation: Operation, kind: Kind) {
        self.server.fault(Fault::on(operation).kind(kind));
    }

    fn sent(&self) -> Vec<&'static str> {
        self.tap.calls().iter().map(|call| call.operation).collect()
    }

    async fn observe(&self) -> Snapshot {
        self.lambda.observe(&self.target).await.unwrap()
    }
}

fn id(text: &str) -> RevisionId {
    text.parse().unwrap()
}

fn canary(basis_points: u16) -> (TrafficSplit, Marker) {
    let split = TrafficSplit::between(id("1"), id("2"), Weight::from_basis_points(basis_points).unwrap());
    let state = MarkerState::Canary { candidate: id("2") };
    let at = Timestamp::from_unix_seconds(1_795_230_000);
    (split, Marker { state, stable: id("1"), previous: None, at, id: Some("ID".to_owned()) })
}

#[tokio::test]
async fn a_shift_is_observed_as_it_was_written() {
    let case = Case::new().await;
    for basis_points in [1, 7, 50, 1000, 3333, 9999] {
        let seen = case.observe().await;
        let (to, marker) = canary(basis_points);
        let after = case.lambda.shift(&case.target, &to, &seen, &marker).await.unwrap();
        let now = case.observe().await;
        assert_eq!((&now.split, &now.marker), (&Some(to), &Some(marker)));
        assert_eq!((&now, now.is_settled()), (&after, true));
        assert_eq!(now.guard.own_text, "mine");
        assert_ne!(now.guard.token, seen.guard.token, "every update renews the guard");
    }
}

#[tokio::test]
async fn a_stale_guard_is_a_conflict_and_writes_nothing() {
    let case = Case::new().await;
    let seen = case.observe().await;
    case.server.set_alias("fraud", "prod", |alias| alias.description = "theirs".into());
    let (to, marker) = canary(1000);
    let error = case.lambda.shift(&case.target, &to, &seen, &marker).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Conflict, "UpdateAlias"));
    assert!(case.alias().weights.is_empty() && case.alias().description == "theirs");
    assert_eq!(case.sent(), ["GetAlias", "UpdateAlias"]);
}

#[tokio::test]
async fn each_attempt_passes_the_wiretap() {
    let case = Case::new().await;
    case.fault(Operation::GetAlias, Kind::ResetBefore);
    case.fault(Operation::GetAlias, Kind::status(503, "ServiceException", "later"));
    case.observe().await;
    assert_eq!(case.sent(), ["GetAlias"; 3]);
}

#[tokio::test]
async fn a_rehearsed_shift_is_whole_but_stays_here() {
    let case = Case::with(true).await;
    let seen = case.observe().await;
    let (to, marker) = canary(1000);
    let after = case.lambda.shift(&case.target, &to, &seen, &marker).await.unwrap();
    assert_eq!((after.split, after.marker), (Some(to), Some(marker)));
    assert_eq!(case.server.requests().len(), 1);
    let calls = case.tap.calls();
    let body: serde_json::Value = serde_json::from_str(calls[1].body.as_deref().unwrap()).unwrap();
    assert_eq!(calls[1].url, format!("{}/2015-03-31/functions/fraud/aliases/prod", case.server.url()));
    assert_eq!(body["RevisionId"], seen.guard.token.as_str());
    assert_eq!(body["RoutingConfig"]["AdditionalVersionWeights"]["2"], 0.1);
}

#[tokio::test]
async fn errors_have_kinds() {
    for (kind, expected) in [
        (Kind::status(403, "AccessDeniedException", "no"), ErrorKind::Auth),
        (Kind::status(409, "ResourceConflictException", "busy"), ErrorKind::Conflict),
        (Kind::status(400, "InvalidParameterValueException", "no"), ErrorKind::Invalid),
        (Kind::status(404, "ResourceNotFoundException", "gone"), ErrorKind::NotFound),
        (Kind::status(404, "UnknownOperationException", "what"), ErrorKind::Unexpected),
        (Kind::WrongContentTypeBefore, ErrorKind::Unexpected),
        (Kind::EmptyBody, ErrorKind::Unexpected),
        (Kind::GarbageJson, ErrorKind::Unexpected),
    ] {
        let case = Case::new().await;
        case.server.fault(Fault::on(Operation::GetAlias).forever().kind(kind.clone()));
        let error = case.lambda.observe(&case.target).await.unwrap_err();
        assert_eq!(error.kind(), expected, "{kind:?}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn foreign_weights_are_read_and_what_makes_no_sense_is_not() {
    let case = Case::new().await;
    let with = |weights: &[(&str, f64)]| {
        let weights: BTreeMap<String, f64> = weights.iter().map(|(v, w)| ((*v).to_owned(), *w)).collect();
        case.server.set_alias("fraud", "prod", |alias| alias.weights = weights);
        case.lambda.observe(&case.target)
    };
    assert_eq!(with(&[("2", 0.333_333)]).await.unwrap().split.unwrap().to_string(), "1 66.67 %, 2 33.33 %");
    assert_eq!(with(&[("2", 0.000_01)]).await.unwrap().split.unwrap().to_string(), "1 99.99 %, 2 0.01 %");
    assert_eq!(with(&[("2", 0.0)]).await.unwrap().split.unwrap().to_string(), "1 100 %");
    assert_eq!(with(&[("2", 0.5), ("3", 0.25)]).await.unwrap().split.unwrap().len(), 3);
    let moving = with(&[("2", 1.0)]).await.unwrap();
    assert!(moving.split.unwrap().is_full(&id("1")) && matches!(moving.readiness, Readiness::Settling(_)));
    for nonsense in [&[("2", -0.5)][..], &[("2", 0.7), ("3", 0.7)], &[("two versions", 0.5)]] {
        assert_eq!(with(nonsense).await.unwrap_err().kind(), ErrorKind::Unexpected, "{nonsense:?}");
    }
}

#[tokio::test]
async fn three_revisions_and_splits_without_stable_are_unsupported() {
    let case = Case::new().await;
    let seen = case.observe().await;
    let (_, marker) = canary(1000);
    let third = Weight::from_basis_points(2000).unwrap();
    let rest = Weight::from_basis_points(6000).unwrap();
    let three = TrafficSplit::new([(id("1"), rest), (id("2"), third), (id("3"), third)].into()).unwrap();
    for to in [three, TrafficSplit::full(id("3")), TrafficSplit::between(id("2"), id("3"), third)] {
        let error = case.lambda.shift(&case.target, &to, &seen, &marker).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{to}");
    }
    assert_eq!(case.sent(), ["GetAlias"]);
}

#[tokio::test]
async fn revisions_are_listed_newest_first_by_number() {
    let case = Case::new().await;
    case.server.add_function("fraud", &(1..=120).collect::<Vec<u64>>());
    let listed = case.lambda.revisions(&case.target, 3).await.unwrap();
    let names: Vec<&str> = listed.iter().map(|r| r.id.as_str()).collect();
    assert_eq!(names, ["120", "119", "118"]);
    assert!(listed[0].created.is_some());
}

/// The 16th call of a second waits for the next, whoever makes it.
#[tokio::test]
async fn the_control_planes_rate_is_kept() {
    let case = Case::new().await;
    let started = Instant::now();
    for _ in 0..16 {
        case.observe().await;
    }
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
}

#[tokio::test]
async fn one_attempt_is_given_up_and_tried_again() {
    let case = Case::new().await;
    case.fault(Operation::GetAlias, Kind::HangBefore);
    let started = Instant::now();
    case.observe().await;
    assert!((5..20).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
}
