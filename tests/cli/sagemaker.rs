//! A SageMaker endpoint that checks everything, and has no guard.

use mlroll_faults::{Failure, SageMaker};
use serde_json::{Value, json};

use crate::world::{Ran, World};

const ENDPOINT: &str = "sagemaker:us-east-1/fraud";
const UPDATE: &str = "UpdateEndpointWeightsAndCapacities";

struct Case {
    sagemaker: SageMaker,
    world: World,
}

impl Case {
    /// Variant `a` has everything, `b` nothing; changes are live at the first look.
    fn new() -> Self {
        let sagemaker = SageMaker::start();
        sagemaker.add("fraud", &[("a", 1.0), ("b", 0.0)]);
        sagemaker.set_delay(0);
        let world = World::new()
            .set("AWS_ENDPOINT_URL_SAGEMAKER", &sagemaker.url())
            .set("AWS_ENDPOINT_URL_APPLICATION_AUTO_SCALING", &sagemaker.url());
        Self { sagemaker, world }
    }

    fn with_canary() -> Self {
        let case = Self::new();
        case.verb(&["canary", "--pct", "10"]).0.expect(0);
        case.sagemaker.clear_requests();
        case
    }

    fn verb(&self, arguments: &[&str]) -> (Ran, Value) {
        let ran = self.world.run(&[arguments, &["--target", ENDPOINT, "--output", "json"]].concat());
        let document = ran.json();
        (ran, document)
    }

    fn weights(&self) -> Vec<f64> {
        self.sagemaker.endpoint("fraud").unwrap().variants.iter().map(|(_, _, wanted)| *wanted).collect()
    }

    fn tag(&self) -> String {
        self.sagemaker.endpoint("fraud").unwrap().tags["mlroll-rollout"].clone()
    }

    fn sent(&self) -> Vec<String> {
        self.sagemaker.requests().into_iter().map(|request| request.operation).collect()
    }

    fn quiet(&self) {
        self.sagemaker.change("fraud", |endpoint| endpoint.modified = 1.0);
    }
}

#[test]
fn the_other_variant_gets_a_share_and_then_everything_and_stable_takes_it_back() {
    let case = Case::new();
    let (ran, document) = case.verb(&["canary", "--pct", "10"]);
    ran.expect(0);
    assert_eq!((document["outcome"].as_str(), document["settled"].as_bool()), (Some("shifted"), Some(true)));
    assert_eq!(case.weights(), [90.0, 10.0]);
    assert!(case.tag().starts_with("mlroll v1 state=canary stable=a candidate=b at="), "{}", case.tag());

    let (ran, document) = case.verb(&["status"]);
    ran.expect(0);
    let target = &document["targets"][0];
    assert_eq!((&target["guard"], &target["settled"]), (&json!("read-compare"), &json!(true)));
    assert_eq!(target["split"][0], json!({"revision": "a", "role": "stable", "percent": 90.0}));

    case.verb(&["promote", "--force"]).0.expect(0);
    assert_eq!(case.weights(), [0.0, 100.0]);
    let (ran, document) = case.verb(&["rollback"]);
    ran.expect(0);
    assert_eq!((document["outcome"].as_str(), case.weights()), (Some("rolled_back"), vec![100.0, 0.0]));
    assert!(case.tag().starts_with("mlroll v1 state=rolled_back stable=a bad=b at="), "{}", case.tag());
}

#[test]
fn a_rollback_reads_the_endpoint_and_its_tag_and_writes_weights_first() {
    let case = Case::with_canary();
    let (ran, document) = case.verb(&["rollback"]);
    ran.expect(0);
    assert_eq!(case.sent()[..4], ["DescribeEndpoint", "ListTags", UPDATE, "AddTags"]);
    let calls = &document["targets"][0]["calls"];
    assert_eq!((&calls["read"], &calls["write"]), (&json!(2), &json!(2)));
}

#[test]
fn who_may_not_read_the_tag_rolls_back_all_the_same_where_the_split_tells_who_is_stable() {
    let forbidden = |case: &Case, times: usize| {
        for operation in ["ListTags", "AddTags"] {
            for _ in 0..times {
                case.sagemaker.fail(operation, Failure::Refused(400, "AccessDeniedException", "not authorized"));
            }
        }
    };
    let case = Case::with_canary();
    forbidden(&case, 20);
    let (ran, document) = case.verb(&["rollback"]);
    ran.expect(0);
    assert_eq!((document["outcome"].as_str(), case.weights()), (Some("rolled_back"), vec![100.0, 0.0]));
    // Everything is with one: only the tag tells where it came from.
    let (ran, document) = case.verb(&["rollback"]);
    ran.expect(5);
    assert_eq!(document["targets"][0]["error"]["operation"], "ListTags", "{document}");

    for percent in ["50", "75"] {
        let case = Case::new();
        case.verb(&["canary", "--pct", percent]).0.expect(0);
        assert_eq!(case.weights().iter().sum::<f64>(), 200.0);
        forbidden(&case, 20);
        case.verb(&["rollback"]).0.expect(5).says("ListTags");
        case.verb(&["rollback", "--to", "a"]).0.expect(0);
        assert_eq!(case.weights(), [100.0, 0.0]);
    }
}

#[test]
fn what_is_refused_says_what_to_allow_and_what_is_not_there_how_to_find_it() {
    for (operation, code, hint) in [
        (UPDATE, "AccessDeniedException", "allow sagemaker:UpdateEndpointWeightsAndCapacities on the endpoint fraud"),
        ("DescribeScalableTargets", "AccessDeniedException", "allow application-autoscaling:DescribeScalableTargets"),
        (UPDATE, "ExpiredTokenException", "have expired"),
        (UPDATE, "UnrecognizedClientException", "get-caller-identity"),
    ] {
        let case = Case::new();
        (0..5).for_each(|_| case.sagemaker.fail(operation, Failure::Refused(400, code, "no")));
        case.verb(&["canary", "--pct", "10"]).0.expect(5).says(hint);
        assert_eq!(case.weights(), [1.0, 0.0]);
    }
    let ran = Case::new().world.run(&["rollback", "--target", "sagemaker:us-east-1/fraudulent"]);
    ran.expect(6).says("aws sagemaker list-endpoints --region us-east-1");
}

/// The candidate has most of it, and is not stable for that.
#[test]
fn the_larger_share_is_not_stable_when_the_tag_says_otherwise() {
    let case = Case::new();
    case.verb(&["canary", "--pct", "75"]).0.expect(0);
    case.verb(&["rollback"]).0.expect(0);
    assert_eq!(case.weights(), [100.0, 0.0]);
}

#[test]
fn twice_typed_is_once_done_when_nothing_has_changed_for_a_minute() {
    let case = Case::with_canary();
    case.verb(&["rollback"]).0.expect(0);
    let writes = || case.sent().iter().filter(|operation| *operation == UPDATE).count();
    assert_eq!(writes(), 1);
    let (ran, document) = case.verb(&["rollback"]);
    ran.expect(0);
    assert_eq!((document["outcome"].as_str(), writes()), (Some("rolled_back"), 2), "too fresh to be believed");
    case.quiet();
    let (ran, document) = case.verb(&["rollback"]);
    ran.expect(0).says("already rolled back from b");
    assert_eq!((document["outcome"].as_str(), writes()), (Some("unchanged"), 2));
}

#[test]
fn a_rollback_waits_for_a_change_that_is_under_way_and_then_writes_at_once() {
    let case = Case::with_canary();
    case.sagemaker.change("fraud", |endpoint| (endpoint.status, endpoint.updating) = ("Updating".to_owned(), 4));
    let (ran, document) = case.verb(&["rollback"]);
    ran.expect(0);
    assert_eq!((document["outcome"].as_str(), case.weights()), (Some("rolled_back"), vec![100.0, 0.0]));
    let refused = case.sagemaker.requests().iter().filter(|r| r.operation == UPDATE && r.status == 400).count();
    assert!(refused >= 1, "{:?}", case.sent());
    // Nothing else may begin meanwhile.
    case.sagemaker.change("fraud", |endpoint| (endpoint.status, endpoint.updating) = ("SystemUpdating".to_owned(), 99));
    let (ran, _) = case.verb(&["canary", "--pct", "10", "--candidate", "b", "--again", "--timeout", "8s"]);
    ran.expect(4).says("SystemUpdating");
}

#[test]
fn a_lost_answer_is_no_second_change() {
    let case = Case::with_canary();
    case.sagemaker.fail(UPDATE, Failure::ResetAfter);
    let (ran, document) = case.verb(&["rollback"]);
    ran.expect(0);
    assert_eq!((document["outcome"].as_str(), case.weights()), (Some("rolled_back"), vec![100.0, 0.0]));
    assert!(case.tag().contains("state=rolled_back"), "{}", case.tag());
}

/// Killed between the tag and the weights of a promotion: the larger share is not stable's.
#[test]
fn a_rollback_is_not_misled_by_the_tag_of_a_promotion_that_was_never_made() {
    for pct in ["10", "50", "75"] {
        let case = Case::new();
        case.verb(&["canary", "--pct", pct]).0.expect(0);
        let note = "mlroll v1 state=promoted stable=b previous=a at=1795230000 id=X";
        let tag =
            |endpoint: &mut mlroll_faults::Endpoint| endpoint.tags.insert("mlroll-rollout".to_owned(), note.to_owned());
        case.sagemaker.change("fraud", |endpoint| drop(tag(endpoint)));
        let (ran, document) = case.verb(&["rollback"]);
        ran.expect(0);
        let found = (document["outcome"].as_str(), case.weights());
        assert_eq!(found, (Some("rolled_back"), vec![100.0, 0.0]), "{pct}");
    }
}

#[test]
fn a_dry_run_shows_the_calls_and_makes_none() {
    let case = Case::new();
    let (ran, document) = case.verb(&["canary", "--pct", "10", "--dry-run"]);
    ran.expect(0);
    let bodies: Vec<String> =
        document["calls"].as_array().unwrap().iter().map(|call| call["body"].to_string()).collect();
    assert!(bodies.iter().any(|body| body.contains("mlroll v1 state=canary")), "{document}");
    assert!(bodies.iter().any(|body| body.contains("DesiredWeight")), "{document}");
    assert!(case.sent().iter().all(|operation| operation != UPDATE && operation != "AddTags"), "{:?}", case.sent());
    assert_eq!(case.weights(), [1.0, 0.0]);
}

#[test]
fn what_cannot_be_split_is_refused_untouched() {
    let case = Case::new();
    case.sagemaker
        .change("fraud", |endpoint| drop(endpoint.more.insert("InferenceComponents".to_owned(), json!(null))));
    case.verb(&["canary", "--pct", "10"]).0.expect(2).says("inference components");
    let case = Case::new();
    case.sagemaker.add("fraud", &[("a", 1.0), ("b", 0.0), ("c", 0.0)]);
    case.verb(&["canary", "--pct", "10"]).0.expect(2).says("which candidate? there are b, c");
    case.sagemaker.add("fraud", &[("a", 1.0)]);
    case.verb(&["canary", "--pct", "10"]).0.expect(6).says("a is all there is");
    assert!(!case.sent().contains(&UPDATE.to_owned()));
}
