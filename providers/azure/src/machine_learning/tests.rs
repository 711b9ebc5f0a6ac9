//! The adapter over real HTTP, against a Resource Manager that fails on demand.

use std::sync::Arc;

use mlroll_backend::{
    Backend, ErrorKind, GuardKind, Marker, MarkerState, Readiness, Revision, RevisionId, Shadow, Snapshot, Target,
    Timestamp, TrafficSplit, Weight,
};
use mlroll_faults::Tap;
use mlroll_faults::arm::{Arm, ArmFault, ArmKind, ArmOperation, Outcome, TOKEN, deployment};
use serde_json::{Value, json};

use super::OnlineEndpoints;
use crate::Settings;
use crate::settings::Secret;

struct Case {
    arm: Arm,
    target: Target,
    tap: Arc<Tap>,
    endpoints: OnlineEndpoints,
}

impl Case {
    fn new() -> Self {
        Self::with(false)
    }

    fn with(rehearsal: bool) -> Self {
        let arm = Arm::start();
        let tap = Arc::new(Tap::new(rehearsal));
        let endpoints = endpoints(&arm, Arc::clone(&tap));
        let target = "azure-ml:00000000-0000-0000-0000-000000000000/ml/prod/fraud".parse().unwrap();
        Self { arm, target, tap, endpoints }
    }

    async fn observe(&self) -> Snapshot {
        self.endpoints.observe(&self.target).await.unwrap()
    }

    async fn shift(&self, seen: &Snapshot, to: &TrafficSplit, marker: &Marker) -> mlroll_backend::Result<Snapshot> {
        self.endpoints.shift(&self.target, to, seen, marker).await
    }

    /// A canary on green, as far as it goes.
    async fn canary(&self, percent: u16) -> mlroll_backend::Result<Snapshot> {
        let seen = self.observe().await;
        let (to, marker) = canary(percent);
        self.shift(&seen, &to, &marker).await
    }

    /// Looks until nothing is on its way.
    async fn settled(&self) -> Snapshot {
        for _ in 0..40 {
            let seen = self.observe().await;
            if !matches!(seen.readiness, Readiness::Settling(_)) {
                return seen;
            }
        }
        panic!("it does not settle");
    }

    fn fault(&self, operation: ArmOperation, kind: ArmKind) {
        self.arm.fault(ArmFault::on(operation, kind));
    }

    fn sent(&self) -> Vec<&'static str> {
        self.tap.calls().iter().map(|call| call.operation).collect()
    }

    fn put(&self) -> Value {
        let put = self.arm.requests().into_iter().rfind(|r| r.operation == ArmOperation::Put).unwrap();
        serde_json::from_str(&put.text).unwrap()
    }

    fn traffic(&self) -> Value {
        self.arm.record()["properties"]["traffic"].clone()
    }
}

fn endpoints(arm: &Arm, tap: Arc<Tap>) -> OnlineEndpoints {
    let access_token = Some(Secret::from(TOKEN.to_owned()));
    let settings = Settings { endpoint: Some(arm.url()), access_token, ..Settings::default() };
    OnlineEndpoints::new(&settings, tap).unwrap()
}

fn id(text: &str) -> RevisionId {
    text.parse().unwrap()
}

fn canary(percent: u16) -> (TrafficSplit, Marker) {
    let share = Weight::from_basis_points(percent * 100).unwrap();
    let state = MarkerState::Canary { candidate: id("green") };
    let at = Timestamp::from_unix_seconds(1_795_230_000);
    let marker = Marker { state, stable: id("blue"), previous: None, at, id: Some("ID".to_owned()) };
    (TrafficSplit::between(id("blue"), id("green"), share), marker)
}

fn back() -> (TrafficSplit, Marker) {
    let state = MarkerState::RolledBack { bad: Some(id("green")) };
    (TrafficSplit::full(id("blue")), Marker { state, ..canary(10).1 })
}

#[tokio::test]
async fn a_shift_is_told_as_accepted_while_the_old_traffic_is_shown_and_after_as_written() {
    let case = Case::new();
    for (percent, at_once) in [(1, false), (10, true), (99, false)] {
        case.arm.fraud(|endpoint| {
            (endpoint.reads_to_settle, endpoint.stale_reads, endpoint.shows_new_at_once) = (3, 2, at_once);
        });
        let (to, marker) = canary(percent);
        let after = case.canary(percent).await.unwrap();
        assert_eq!((&after.split, &after.marker), (&Some(to.clone()), &Some(marker.clone())));
        assert!(matches!(after.readiness, Readiness::Settling(_)), "{after:?}");
        for _ in 0..5 {
            let seen = case.observe().await;
            assert_eq!((&seen.split, &seen.marker, &seen.guard), (&after.split, &after.marker, &after.guard));
            assert!(matches!(seen.readiness, Readiness::Settling(_)), "{seen:?}");
        }
        let now = case.observe().await;
        assert_eq!((&now.split, &now.marker, &now.guard), (&Some(to), &Some(marker), &after.guard));
        assert!(now.is_settled() && now.modified.is_some());
    }
    assert_eq!(case.endpoints.capabilities().guard, GuardKind::ReadCompare);
    assert_eq!(case.endpoints.poll_interval().as_secs(), 1);
}

/// Everything that a PUT loses when it is not echoed.
#[tokio::test]
async fn all_that_is_not_traffic_or_our_tag_survives_a_canary_and_its_rollback() {
    let case = Case::new();
    let uai = "/subscriptions/s/resourcegroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/u";
    case.arm.fraud(|endpoint| {
        endpoint.deployments.push(deployment("Red", 3));
        let record = &mut endpoint.record;
        record["identity"] = json!({"type": "SystemAssigned,UserAssigned", "principalId": "p", "tenantId": "t",
            "userAssignedIdentities": {uai: {"principalId": "p", "clientId": "c"}}});
        record["tags"] = json!({"team": "fraud", "ümläut": "\"x\""});
        record["sku"] = json!({"name": "Default", "future": [1, 2.50, null]});
        record["novelty"] = json!({"deep": {"deeper": true}});
        let properties = &mut record["properties"];
        properties["traffic"] = json!({"Blue": 100, "green": 0});
        properties["mirrorTraffic"] = json!({"Red": 10});
        properties["publicNetworkAccess"] = json!("Disabled");
        properties["authMode"] = json!("AADToken");
        properties["description"] = json!("prod");
        properties["compute"] = json!("/subscriptions/s/k8s");
        properties["properties"]["AzureAsyncOperationUri"] = json!("https://management.azure.com/x");
        properties["newInAFutureVersion"] = json!({"a": [{}]});
    });
    let ours = |mut record: Value| {
        record["tags"].as_object_mut().unwrap().remove("mlroll-rollout");
        record["properties"].as_object_mut().unwrap().remove("traffic");
        // What Azure keeps itself, and renews.
        record.as_object_mut().unwrap().remove("systemData");
        record["identity"]["userAssignedIdentities"][uai] = json!({});
        record
    };
    let before = ours(case.arm.record());
    case.canary(10).await.unwrap();
    assert!(case.settled().await.is_settled());
    assert_eq!(ours(case.arm.record()), before);
    let tag = case.arm.record()["tags"]["mlroll-rollout"].clone();
    assert_eq!(tag, "[mlroll v1 state=canary stable=blue candidate=green at=1795230000 id=ID]");
    assert_eq!(case.traffic(), json!({"blue": 90, "green": 10}));
    let sent = case.put();
    assert_eq!(sent["identity"]["userAssignedIdentities"][uai], json!({}));
    assert!(sent["properties"]["properties"].get("createdAt").is_none(), "systemData stays where it belongs");

    let (to, marker) = back();
    let seen = case.observe().await;
    case.shift(&seen, &to, &marker).await.unwrap();
    assert!(case.settled().await.split.unwrap().is_full(&id("blue")));
    let mut before = before;
    before["properties"]["mirrorTraffic"] = json!({});
    assert_eq!(ours(case.arm.record()), before, "the way back ends mirrored traffic, and nothing else");
}

#[tokio::test]
async fn where_there_is_no_room_for_one_more_tag_the_shift_is_made_without() {
    let case = Case::new();
    let tags: Value = (0..50).map(|n| (format!("t{n}"), json!("v"))).collect::<serde_json::Map<_, _>>().into();
    case.arm.fraud(|endpoint| endpoint.record["tags"] = tags.clone());
    let after = case.canary(10).await.unwrap();
    assert_eq!((after.split, after.marker), (Some(canary(10).0), None));
    let seen = case.settled().await;
    assert_eq!((case.arm.record()["tags"].clone(), seen.guard.own_text.len()), (tags, 256));
}

#[tokio::test]
async fn shadow_becomes_canary_in_one_put() {
    let case = Case::new();
    case.arm.fraud(|endpoint| endpoint.record["properties"]["mirrorTraffic"] = json!({"Green": 20}));
    case.canary(5).await.unwrap();
    case.settled().await;
    let properties = &case.arm.record()["properties"];
    assert_eq!((&properties["traffic"], &properties["mirrorTraffic"]), (&json!({"blue": 95, "green": 5}), &json!({})));
    assert_eq!(case.arm.count(ArmOperation::Put), 1);
}

#[tokio::test]
async fn what_is_mirrored_is_told_as_accepted_and_nothing_else_is_written() {
    let case = Case::new();
    case.arm.fraud(|endpoint| {
        (endpoint.reads_to_settle, endpoint.stale_reads) = (2, 1);
        endpoint.record["tags"] =
            json!({"team": "fraud", "mlroll-rollout": "[mlroll v1 state=promoted stable=blue previous=red]"});
    });
    let before = case.arm.record();
    let shadow =
        |percent: u16| Weight::from_basis_points(percent * 100).map(|share| Shadow { revision: id("green"), share });
    let tenth = shadow(10).unwrap().share;
    let seen = case.observe().await;
    let after = case.endpoints.mirror(&case.target, &id("Green"), tenth, &seen).await.unwrap();
    assert_eq!((&after.roles.shadow, &after.split, &after.marker), (&shadow(10), &seen.split, &seen.marker));
    for _ in 0..3 {
        let seen = case.observe().await;
        assert_eq!((&seen.roles, &seen.guard), (&after.roles, &after.guard));
        assert!(matches!(seen.readiness, Readiness::Settling(_)), "{seen:?}");
    }
    assert!(case.observe().await.is_settled());
    let ours = |mut record: Value| {
        record["properties"].as_object_mut().unwrap().remove("mirrorTraffic");
        record.as_object_mut().unwrap().remove("systemData");
        record
    };
    assert_eq!(ours(case.arm.record()), ours(before));
    assert_eq!(case.put()["properties"]["mirrorTraffic"], json!({"green": 10}));
    // A foreign mirror is told too, whatever its name looks like.
    case.arm.fraud(|endpoint| endpoint.record["properties"]["mirrorTraffic"] = json!({"GREEN": 50, "blue": 0}));
    assert_eq!(case.observe().await.roles.shadow, shadow(50));
    case.arm.fraud(|endpoint| endpoint.record["properties"]["compute"] = json!("/subscriptions/s/k8s"));
    let seen = case.observe().await;
    let refused = case.endpoints.mirror(&case.target, &id("green"), tenth, &seen).await.unwrap_err();
    assert_eq!((refused.kind(), case.arm.count(ArmOperation::Put)), (ErrorKind::Unsupported, 1));
}

#[tokio::test]
async fn a_canary_reads_again_before_its_write_and_a_rollback_does_not() {
    let case = Case::new();
    case.canary(10).await.unwrap();
    assert_eq!(case.sent(), ["OnlineEndpoints_Get", "OnlineEndpoints_Get", "OnlineEndpoints_CreateOrUpdate"]);
    let seen = case.settled().await;
    case.tap.clear();
    let (to, marker) = back();
    case.shift(&seen, &to, &marker).await.unwrap();
    assert_eq!(case.sent(), ["OnlineEndpoints_CreateOrUpdate"]);
    // One that has seen it elsewhere, as a run that is resumed, reads first.
    let other = endpoints(&case.arm, Arc::clone(&case.tap));
    case.settled().await;
    case.tap.clear();
    let (to, marker) = canary(10);
    let back_on = Marker { state: MarkerState::RolledBack { bad: None }, ..marker };
    let seen = case.observe().await;
    other.shift(&case.target, &to, &seen, &back_on).await.unwrap();
    let last = case.sent().len() - 2;
    assert_eq!(case.sent()[last..], ["OnlineEndpoints_Get", "OnlineEndpoints_CreateOrUpdate"]);
}

#[tokio::test]
async fn a_foreign_put_between_read_and_write_is_a_conflict_and_writes_nothing() {
    let edits: [fn(&mut Value); 3] = [
        |record| record["properties"]["traffic"] = json!({"blue": 50, "green": 50}),
        |record| record["properties"]["mirrorTraffic"] = json!({"green": 10}),
        |record| record["tags"]["mlroll-rollout"] = json!("[mlroll v1 state=promoted stable=blue previous=green]"),
    ];
    for edit in edits {
        let case = Case::new();
        case.arm.fault(ArmFault::on(ArmOperation::Get, ArmKind::Foreign(edit)).skip(1));
        let error = case.canary(10).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        assert_eq!(case.arm.count(ArmOperation::Put), 0);
    }
    // What is not ours to compare does not matter, and is kept.
    let case = Case::new();
    let rename: fn(&mut Value) = |record| record["tags"]["team"] = json!("risk");
    case.arm.fault(ArmFault::on(ArmOperation::Get, ArmKind::Foreign(rename)).skip(1));
    case.canary(10).await.unwrap();
    case.settled().await;
    assert_eq!(case.arm.record()["tags"]["team"], "risk");
}

#[tokio::test]
async fn a_busy_endpoint_is_a_conflict() {
    let case = Case::new();
    let updating = "Cannot update the endpoint because it is in Updating provisioning state";
    for (status, code) in [(409, "Conflict"), (400, "BadRequest")] {
        case.fault(ArmOperation::Put, ArmKind::status(status, code, updating));
        let error = case.canary(10).await.unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::Conflict, "OnlineEndpoints_CreateOrUpdate"));
    }
    case.arm.fraud(|endpoint| endpoint.reads_to_settle = 9);
    case.canary(10).await.unwrap();
    let seen = case.observe().await;
    let (to, marker) = back();
    assert_eq!(case.shift(&seen, &to, &marker).await.unwrap_err().kind(), ErrorKind::Conflict, "our own operation too");
    let error = case.shift(&seen, &canary(20).0, &canary(20).1).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Conflict && error.message().contains("busy"), "{error}");
}

#[tokio::test]
async fn a_write_without_a_good_answer_is_looked_at_before_it_is_made_again() {
    // Not made: the very same endpoint, so it is made again.
    for kind in [ArmKind::ResetBefore, ArmKind::status(503, "ServiceUnavailable", "later")] {
        let case = Case::new();
        case.fault(ArmOperation::Put, kind);
        case.canary(10).await.unwrap();
        case.settled().await;
        assert_eq!((case.traffic(), case.arm.count(ArmOperation::Put)), (json!({"blue": 90, "green": 10}), 2));
    }
    // Made, and done at once.
    for kind in [ArmKind::ResetAfter, ArmKind::AnsweredAfter(502)] {
        let case = Case::new();
        case.arm.fraud(|endpoint| endpoint.reads_to_settle = 0);
        case.fault(ArmOperation::Put, kind);
        assert!(case.canary(10).await.unwrap().is_settled());
        assert_eq!(case.arm.count(ArmOperation::Put), 1);
    }
    // Made, and under way: whoever asked looks on.
    let case = Case::new();
    case.fault(ArmOperation::Put, ArmKind::ResetAfter);
    assert_eq!(case.canary(10).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(case.arm.count(ArmOperation::Put), 1);
    assert_eq!(case.settled().await.split, Some(canary(10).0));
    // Somebody else was faster than our repeat.
    let case = Case::new();
    case.fault(ArmOperation::Put, ArmKind::ResetBefore);
    let theirs: fn(&mut Value) = |record| record["properties"]["traffic"] = json!({"green": 100});
    case.arm.fault(ArmFault::on(ArmOperation::Get, ArmKind::Foreign(theirs)).skip(2));
    assert_eq!(case.canary(10).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!((case.traffic(), case.arm.count(ArmOperation::Put)), (json!({"green": 100}), 1));
}

#[tokio::test]
async fn an_operation_that_failed_or_was_canceled_says_why_where_it_may_be_read() {
    for (outcome, status, says) in [
        (Outcome::Failed, None, "operation failed: there are no more instances (OutOfCapacity)"),
        (Outcome::Canceled, None, "was canceled: canceled: waiting for lock confirmation (OperationCanceled)"),
        (Outcome::Failed, Some(ArmKind::status(403, "AuthorizationFailed", "no")), "operation failed"),
        (Outcome::Failed, Some(ArmKind::status(404, "NotFound", "no")), "operation failed"),
    ] {
        let case = Case::new();
        case.arm.fraud(|endpoint| endpoint.outcomes = vec![outcome]);
        if let Some(kind) = status {
            case.arm.fault(ArmFault::on(ArmOperation::Status, kind).forever());
        }
        case.canary(10).await.unwrap();
        let seen = case.settled().await;
        assert!(matches!(&seen.readiness, Readiness::Failed(why) if why.ends_with(says)), "{seen:?}");
        assert!(seen.split.unwrap().is_full(&id("blue")), "and what is, is told");
        // The way out is another write.
        let seen = case.observe().await;
        let (to, marker) = back();
        let after = case.shift(&seen, &to, &marker).await.unwrap();
        assert_eq!(after.split, Some(to));
        assert!(case.settled().await.is_settled());
    }
}

#[tokio::test]
async fn somebody_elses_split_after_ours_is_told() {
    let case = Case::new();
    case.canary(10).await.unwrap();
    case.settled().await;
    case.arm.fraud(|endpoint| endpoint.record["properties"]["traffic"] = json!({"green": 60, "BLUE": 40}));
    let seen = case.observe().await;
    assert_eq!(seen.split.unwrap().to_string(), "green 60 %, blue 40 %");
    case.arm.fraud(|endpoint| endpoint.record["properties"]["traffic"] = json!({"green": 0}));
    assert_eq!(case.observe().await.split, None);
    case.arm.fraud(|endpoint| endpoint.record["properties"]["traffic"] = json!({"green": 1, "blue": 2}));
    assert_eq!(case.observe().await.split.unwrap().to_string(), "blue 66.67 %, green 33.33 %");
}

#[tokio::test]
async fn throttling_is_waited_for_and_a_refused_token_is_told() {
    let case = Case::new();
    case.fault(ArmOperation::Get, ArmKind::throttled(0));
    case.fault(ArmOperation::Put, ArmKind::throttled(0));
    case.canary(10).await.unwrap();
    assert_eq!(case.arm.count(ArmOperation::Put), 2);
    case.fault(ArmOperation::Get, ArmKind::throttled(3600));
    assert_eq!(case.endpoints.observe(&case.target).await.unwrap_err().kind(), ErrorKind::Throttled);
    case.arm.set_token("another");
    let error = case.endpoints.observe(&case.target).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Auth && error.message().contains("AZURE_ACCESS_TOKEN"), "{error}");
    assert!(!error.to_string().contains(TOKEN));
}

#[tokio::test]
async fn errors_have_kinds() {
    for (kind, expected) in [
        (ArmKind::status(403, "AuthorizationFailed", "no"), ErrorKind::Auth),
        (ArmKind::status(404, "ResourceNotFound", "gone"), ErrorKind::NotFound),
        (ArmKind::Status { status: 404, body: json!("x"), headers: Vec::new() }, ErrorKind::Unexpected),
        (
            ArmKind::Status {
                status: 302,
                body: json!(""),
                headers: vec![("Location", "https://evil.example".to_owned())],
            },
            ErrorKind::Unexpected,
        ),
        (ArmKind::Text("<html>log in</html>"), ErrorKind::Unexpected),
        (ArmKind::Text(r#"{"name":"other","properties":{}}"#), ErrorKind::Unexpected),
    ] {
        let case = Case::new();
        case.arm.fault(ArmFault::on(ArmOperation::Get, kind.clone()).forever());
        let error = case.endpoints.observe(&case.target).await.unwrap_err();
        assert_eq!(error.kind(), expected, "{kind:?}: {error}");
    }
    let case = Case::new();
    let (to, marker) = back();
    let seen = case.observe().await;
    let nobody = TrafficSplit::full(id("purple"));
    let error = case.shift(&seen, &nobody, &marker).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Invalid && error.message().contains("purple does not exist"), "{error}");
    let fine = TrafficSplit::between(id("blue"), id("green"), Weight::from_basis_points(50).unwrap());
    assert_eq!(case.shift(&seen, &fine, &marker).await.unwrap_err().kind(), ErrorKind::Unsupported);
    let lambda: Target = "lambda:us-east-1/f@a".parse().unwrap();
    assert_eq!(case.endpoints.shift(&lambda, &to, &seen, &marker).await.unwrap_err().kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn deployments_are_listed_newest_first_over_pages_of_the_same_host() {
    let case = Case::new();
    case.arm.set_page(1);
    case.arm.fraud(|endpoint| endpoint.deployments.insert(0, deployment("Red", 3)));
    let listed: Vec<Revision> = case.endpoints.revisions(&case.target, 2).await.unwrap();
    let names: Vec<&str> = listed.iter().map(|r| r.id.as_str()).collect();
    assert_eq!((names, case.arm.count(ArmOperation::List)), (vec!["red", "green"], 3));
    assert!(listed[0].created.is_some());
    case.fault(ArmOperation::List, ArmKind::Text(r#"{"value":[],"nextLink":"https://evil.example/next"}"#));
    let error = case.endpoints.revisions(&case.target, 9).await.unwrap_err();
    assert!(error.message().contains("must not see the token"), "{error}");
}

#[tokio::test]
async fn a_candidate_that_cannot_serve_is_an_obstacle() {
    let case = Case::new();
    let check = |candidate: &'static str| {
        let (endpoints, target) = (&case.endpoints, &case.target);
        async move { endpoints.check(target, &id("blue"), &id(candidate)).await }
    };
    assert!(check("green").await.unwrap().is_empty());
    assert_eq!(check("purple").await.unwrap_err().kind(), ErrorKind::NotFound);
    for (change, says) in [
        (json!({"properties": {"provisioningState": "Updating"}}), "deployment green is Updating, not Succeeded"),
        (json!({"sku": {"capacity": 0}}), "deployment green has no instances"),
        (json!({"sku": null}), "does not tell how many instances"),
    ] {
        let mut green = deployment("Green", 2);
        for (key, value) in change.as_object().unwrap() {
            green[key] = value.clone();
        }
        if change.get("properties").is_some() {
            green["properties"]["endpointComputeType"] = json!("Managed");
        }
        case.arm.fraud(|endpoint| endpoint.deployments[1] = green);
        let found = check("green").await.unwrap();
        assert!(found.len() == 1 && found[0].what.contains(says), "{found:?}");
    }
}

#[tokio::test]
async fn a_rehearsed_shift_is_whole_but_stays_here() {
    let case = Case::with(true);
    let (to, marker) = canary(10);
    let after = case.canary(10).await.unwrap();
    assert_eq!((after.split, after.marker), (Some(to), Some(marker)));
    assert_eq!(case.arm.count(ArmOperation::Put), 0);
    let calls = case.tap.calls();
    let body: Value = serde_json::from_str(calls[2].body.as_deref().unwrap()).unwrap();
    assert_eq!(body["properties"]["traffic"], json!({"blue": 90, "green": 10}));
    assert!(
        calls[2].overridden
            && calls[2].url.starts_with(&case.arm.url())
            && calls[2].url.ends_with("onlineEndpoints/fraud?api-version=2024-10-01")
    );
}
