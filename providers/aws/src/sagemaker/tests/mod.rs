//! The adapter over real HTTP, against a control plane that checks everything.

use std::sync::Arc;

use mlroll_backend::{
    Backend, ErrorKind, Marker, MarkerState, Readiness, RevisionId, Snapshot, Target, Timestamp, TrafficSplit, Weight,
};
use mlroll_faults::{Endpoint, Failure, SageMaker as Server, Tap};
use serde_json::{Value, json};

use super::SageMaker;
use crate::session::Session;

struct Case {
    server: Server,
    target: Target,
    tap: Arc<Tap>,
    sagemaker: SageMaker,
}

const UPDATE: &str = "UpdateEndpointWeightsAndCapacities";

impl Case {
    async fn new() -> Self {
        Self::with(false).await
    }

    async fn with(rehearsal: bool) -> Self {
        let server = Server::start();
        server.add("fraud", &[("a", 1.0), ("b", 0.0)]);
        let tap = Arc::new(Tap::new(rehearsal));
        let sagemaker = SageMaker::by(Session::at(&server.url(), Arc::clone(&tap) as _).await);
        Self { server, target: "sagemaker:us-east-1/fraud".parse().unwrap(), tap, sagemaker }
    }

    async fn observe(&self) -> Snapshot {
        self.sagemaker.observe(&self.target).await.unwrap()
    }

    async fn shift(&self, (to, marker): (TrafficSplit, Marker), seen: &Snapshot) -> mlroll_backend::Result<Snapshot> {
        self.sagemaker.shift(&self.target, &to, seen, &marker).await
    }

    fn endpoint(&self) -> Endpoint {
        self.server.endpoint("fraud").unwrap()
    }

    fn weights(&self) -> Vec<f64> {
        self.endpoint().variants.iter().map(|(_, _, wanted)| *wanted).collect()
    }

    fn tag(&self) -> Option<String> {
        self.endpoint().tags.get("mlroll-rollout").cloned()
    }

    fn sent(&self) -> Vec<&'static str> {
        self.tap.calls().iter().map(|call| call.operation).collect()
    }
}

fn id(text: &str) -> RevisionId {
    text.parse().unwrap()
}

fn marker(state: MarkerState) -> Marker {
    let at = Timestamp::from_unix_seconds(1_795_230_000);
    Marker { state, stable: id("a"), previous: None, at, id: Some("ID".to_owned()) }
}

fn canary(basis_points: u16) -> (TrafficSplit, Marker) {
    let split = TrafficSplit::between(id("a"), id("b"), Weight::from_basis_points(basis_points).unwrap());
    (split, marker(MarkerState::Canary { candidate: id("b") }))
}

fn back() -> (TrafficSplit, Marker) {
    (TrafficSplit::full(id("a")), marker(MarkerState::RolledBack { bad: Some(id("b")) }))
}

#[tokio::test]
async fn a_shift_is_observed_as_it_was_written_and_settles() {
    let case = Case::new().await;
    // From one half on the weights are doubled: without its tag such a canary is told from a split that was left (0006).
    for (basis_points, weights) in [(1000, [90.0, 10.0]), (9000, [20.0, 180.0]), (1, [9999.0, 1.0])] {
        let seen = case.observe().await;
        assert_eq!(seen.readiness, Readiness::Live);
        let (to, marker) = canary(basis_points);
        let after = case.shift((to.clone(), marker.clone()), &seen).await.unwrap();
        assert_eq!(case.weights(), weights, "integers, for all variants");
        assert!(matches!(after.readiness, Readiness::Settling(_)));
        let moving = case.observe().await;
        assert!(matches!(moving.readiness, Readiness::Settling(_)), "{moving:?}");
        let live = case.observe().await;
        for snapshot in [&after, &moving, &live] {
            assert_eq!((&snapshot.split, &snapshot.marker), (&Some(to.clone()), &Some(marker.clone())));
            assert_eq!((&snapshot.roles.stable, &snapshot.roles.candidate), (&Some(id("a")), &Some(id("b"))));
            assert_eq!((&snapshot.guard, snapshot.guard.own_text.as_str()), (&seen.guard, ""));
        }
        assert_eq!(live.readiness, Readiness::Live);
    }
    assert!(case.endpoint().modified > 1.0 && case.observe().await.modified.is_some());
    assert_eq!(case.tag().unwrap(), "mlroll v1 state=canary stable=a candidate=b at=1795230000 id=ID");
}

#[tokio::test]
async fn a_shift_reads_marks_and_writes_and_a_rollback_writes_first() {
    let case = Case::new().await;
    let seen = case.observe().await;
    case.shift(canary(1000), &seen).await.unwrap();
    assert_eq!(case.sent(), ["DescribeEndpoint", "ListTags", "DescribeEndpoint", "AddTags", UPDATE]);
    case.observe().await;
    let seen = case.observe().await;
    case.tap.clear();
    case.server.fail("AddTags", Failure::Refused(400, "AccessDeniedException", "no"));
    let after = case.shift(back(), &seen).await.unwrap();
    assert_eq!(case.sent(), [UPDATE, "AddTags"]);
    assert_eq!((case.weights(), after.marker), (vec![100.0, 0.0], None), "a note that is refused is no refusal");
}

#[tokio::test]
async fn a_change_since_the_read_is_a_conflict_and_writes_nothing() {
    let case = Case::new().await;
    let seen = case.observe().await;
    case.server.change("fraud", |endpoint| endpoint.variants[1].2 = 0.5);
    let error = case.shift(canary(1000), &seen).await.unwrap_err();
    assert_eq!((error.kind(), case.tag()), (ErrorKind::Conflict, None));
    assert!(!case.sent().contains(&UPDATE));
}

#[tokio::test]
async fn busy_is_a_conflict_and_the_marker_goes_back() {
    for status in ["Updating", "SystemUpdating", "RollingBack"] {
        let case = Case::new().await;
        case.server.add("fraud", &[("a", 80.0), ("b", 20.0)]);
        case.server.change("fraud", |endpoint| (endpoint.status, endpoint.updating) = (status.to_owned(), 9));
        let seen = case.observe().await;
        assert!(matches!(seen.readiness, Readiness::Settling(_)), "{status}");
        for wanted in [canary(1000), back()] {
            let error = case.shift(wanted, &seen).await.unwrap_err();
            assert_eq!((error.kind(), case.tag()), (ErrorKind::Conflict, None), "{status}: {error}");
        }
    }
    // Somebody's update begins between the second read and the write.
    for before in [None, Some("mlroll v1 state=rolled_back stable=a bad=b at=1 id=X")] {
        let case = Case::new().await;
        let tags = before.map(|text| ("mlroll-rollout".to_owned(), text.to_owned())).into_iter().collect();
        case.server.change("fraud", |endpoint| endpoint.tags = tags);
        let seen = case.observe().await;
        let busy = "Cannot update in-progress endpoint \"arn\".";
        case.server.fail(UPDATE, Failure::Refused(400, "ValidationException", busy));
        let error = case.shift(canary(1000), &seen).await.unwrap_err();
        assert_eq!((error.kind(), case.tag().as_deref()), (ErrorKind::Conflict, before));
        assert_eq!(case.observe().await, seen);
    }
}

/// Only SageMaker's own word tells a write that it takes back from somebody's who puts back the weights.
#[tokio::test]
async fn what_sagemaker_takes_back_it_says() {
    let case = Case::new().await;
    let word = async || case.observe().await.taken_back;
    assert_eq!(word().await, None);
    let seen = case.observe().await;
    case.shift(canary(1000), &seen).await.unwrap();
    assert_eq!(word().await, None, "Updating");
    let back = |status: &str, why: Option<&str>| {
        case.server.change("fraud", |endpoint| {
            (endpoint.status, endpoint.updating) = (status.to_owned(), 9);
            (endpoint.variants[0].2, endpoint.variants[1].2) = (1.0, 0.0);
            (endpoint.variants[0].1, endpoint.variants[1].1) = (1.0, 0.0);
            endpoint.more.remove("FailureReason");
            if let Some(why) = why {
                endpoint.more.insert("FailureReason".to_owned(), json!(why));
            }
        });
    };
    for (status, why, live, says) in [
        ("RollingBack", None, false, Some("SageMaker takes the change back (RollingBack)")),
        ("RollingBack", Some("no capacity"), false, Some("SageMaker takes the change back (RollingBack): no capacity")),
        ("InService", Some("no capacity"), true, Some("SageMaker took the change back: no capacity")),
        ("InService", None, true, None),
        ("Updating", Some("no capacity"), false, None),
        ("SystemUpdating", Some("no capacity"), false, None),
    ] {
        back(status, why);
        let now = case.observe().await;
        assert_eq!((now.taken_back.as_deref(), now.is_settled()), (says, live), "{status} {why:?}");
        assert_eq!((now.split, now.marker), (seen.split.clone(), None), "the tag is ours, and does not fit");
    }
    assert!(case.tag().unwrap().contains("state=canary"));
    for status in ["Failed", "UpdateRollbackFailed"] {
        back(status, Some("no capacity"));
        assert_eq!(word().await, None, "{status}: it is worse than that");
    }
}

/// The SDK tries again, and finds the endpoint busy with our own change.
#[tokio::test]
async fn a_lost_answer_is_seen_in_the_endpoint() {
    let case = Case::new().await;
    let seen = case.observe().await;
    case.server.fail(UPDATE, Failure::ResetAfter);
    let (to, marker) = canary(1000);
    case.shift((to.clone(), marker.clone()), &seen).await.unwrap();
    let seen = case.observe().await;
    assert_eq!((&seen.split, &seen.marker), (&Some(to), &Some(marker)));

    case.server.change("fraud", |endpoint| endpoint.updating = 0);
    let seen = case.observe().await;
    case.server.fail(UPDATE, Failure::ResetAfter);
    let (to, marker) = back();
    case.shift((to.clone(), marker.clone()), &seen).await.unwrap();
    let seen = case.observe().await;
    assert_eq!((&seen.split, &seen.marker), (&Some(to), &Some(marker)));
}

#[tokio::test]
async fn a_rehearsed_shift_is_whole_but_stays_here() {
    for (to, marker) in [canary(1000), back()] {
        let case = Case::with(true).await;
        let seen = case.observe().await;
        let after = case.shift((to.clone(), marker.clone()), &seen).await.unwrap();
        assert_eq!((after.split, after.marker), (Some(to), Some(marker)));
        assert!(case.server.requests().iter().all(|r| r.operation == "DescribeEndpoint" || r.operation == "ListTags"));
        let calls = case.tap.calls();
        let update = calls.iter().find(|call| call.operation == UPDATE).unwrap();
        let body: Value = serde_json::from_str(update.body.as_deref().unwrap()).unwrap();
        assert_eq!(body["DesiredWeightsAndCapacities"].as_array().unwrap().len(), 2);
        assert_eq!(body["DesiredWeightsAndCapacities"][0]["VariantName"], "a");
    }
}

#[tokio::test]
async fn foreign_weights_and_states_are_read() {
    let case = Case::new().await;
    let with = |weights: [f64; 2]| {
        case.server.add("fraud", &[("a", weights[0]), ("b", weights[1])]);
        case.sagemaker.observe(&case.target)
    };
    assert_eq!(with([1.0, 1.0]).await.unwrap().roles.stable, None);
    assert_eq!(with([2.0, 1.0]).await.unwrap().split.unwrap().to_string(), "a 66.67 %, b 33.33 %");
    assert_eq!(with([1e-6, 3.0]).await.unwrap().split.unwrap().to_string(), "b 99.99 %, a 0.01 %");
    assert_eq!(with([0.0, 0.0]).await.unwrap().split, None);
    for (status, failed) in [
        ("Creating", false),
        ("Deleting", true),
        ("Failed", true),
        ("OutOfService", true),
        ("UpdateRollbackFailed", true),
    ] {
        case.server.add("fraud", &[("a", 1.0)]);
        case.server.change("fraud", |endpoint| {
            endpoint.status = status.to_owned();
            endpoint.more.insert("FailureReason".to_owned(), json!("no capacity"));
        });
        let readiness = case.observe().await.readiness;
        assert_eq!(matches!(&readiness, Readiness::Failed(_)), failed, "{status}: {readiness:?}");
        let told = matches!(status, "Creating" | "Deleting") || format!("{readiness:?}").contains("no capacity");
        assert!(told && readiness != Readiness::Live, "{readiness:?}");
    }
}

#[tokio::test]
async fn what_has_no_weights_to_split_is_refused_with_its_reason() {
    let serverless = json!({"CurrentServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5}});
    let shadow = json!([{"VariantName": "s", "CurrentWeight": 1.0}]);
    let asynchronous = json!({"OutputConfig": {"S3OutputPath": "s3://bucket/"}});
    for (member, value, says) in [
        ("ProductionVariants", serverless, "serverless"),
        ("ProductionVariants", json!({"CurrentInstanceCount": 0}), "no instance"),
        ("AsyncInferenceConfig", asynchronous, "asynchronous"),
        ("ShadowProductionVariants", shadow, "shadow variant s"),
        ("InferenceComponents", json!(null), "inference components"),
    ] {
        let case = Case::new().await;
        case.server.change("fraud", |endpoint| drop(endpoint.more.insert(member.to_owned(), value)));
        let found = case.sagemaker.check(&case.target, &id("a"), &id("b")).await.unwrap();
        assert!(found.iter().any(|obstacle| obstacle.what.contains(says)), "{says}: {found:?}");
    }
    let case = Case::new().await;
    assert_eq!(case.sagemaker.check(&case.target, &id("a"), &id("b")).await.unwrap(), []);
    let found = case.sagemaker.check(&case.target, &id("a"), &id("c")).await.unwrap();
    assert!(found[0].what.contains("no variant c"), "{found:?}");
    let listed = case.sagemaker.revisions(&case.target, 9).await.unwrap();
    assert_eq!(listed.iter().map(|r| r.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

/// The share is the ratio of the two weights; who gets copies gets no users by a shift.
#[tokio::test]
async fn copies_are_read_and_stand_in_the_way_of_users() {
    let case = Case::new().await;
    case.server.add("fraud", &[("a", 50.0)]);
    for (weight, share) in [(5.0, 1_000), (50.0, 10_000), (80.0, 10_000), (0.0, 1)] {
        let shadow = json!([{ "VariantName": "b", "CurrentWeight": weight, "CurrentInstanceCount": 1 }]);
        case.server
            .change("fraud", |endpoint| drop(endpoint.more.insert("ShadowProductionVariants".to_owned(), shadow)));
        let seen = case.observe().await;
        let shadow = seen.roles.shadow.clone().unwrap();
        assert_eq!((shadow.revision, shadow.share.basis_points()), (id("b"), share));
        assert_eq!(seen.split, Some(TrafficSplit::full(id("a"))));
        assert!(seen.guard.token.ends_with(&format!(" a b:{share}")), "{:?}", seen.guard);
        let error = case.shift(canary(1000), &seen).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("shadow --off"), "{error}");
        assert!(!case.sent().contains(&UPDATE) && case.tag().is_none());
    }
    assert_eq!(
        case.sagemaker.check(&case.target, &id("a"), &id("b")).await.unwrap(),
        [],
        "more copies may be asked for"
    );
}

#[tokio::test]
async fn errors_have_kinds() {
    for (status, code, text, expected) in [
        (400, "AccessDeniedException", "not authorized", ErrorKind::Auth),
        (400, "ValidationException", "Could not find endpoint \"arn\".", ErrorKind::NotFound),
        (400, "ValidationException", "1 validation error detected", ErrorKind::Invalid),
        (500, "InternalFailure", "sorry", ErrorKind::Unavailable),
        (400, "ThrottlingException", "Rate exceeded", ErrorKind::Throttled),
    ] {
        let case = Case::new().await;
        for _ in 0..5 {
            case.server.fail("DescribeEndpoint", Failure::Refused(status, code, text));
        }
        let error = case.sagemaker.observe(&case.target).await.unwrap_err();
        assert_eq!(error.kind(), expected, "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    let case = Case::new().await;
    let nobody = "sagemaker:us-east-1/nobody".parse().unwrap();
    assert_eq!(case.sagemaker.observe(&nobody).await.unwrap_err().kind(), ErrorKind::NotFound);
    let theirs = "arn:aws:sagemaker:us-east-1:999999999999:endpoint/fraud".parse().unwrap();
    let error = case.sagemaker.observe(&theirs).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("123456789012"), "{error}");
    let seen = case.observe().await;
    let third = (TrafficSplit::full(id("c")), back().1);
    assert_eq!(case.shift(third, &seen).await.unwrap_err().kind(), ErrorKind::NotFound);
}
