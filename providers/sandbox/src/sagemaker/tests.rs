//! What befalls endpoints.

use mlroll_backend::Timestamp;

use super::SageMaker;
use super::state::{Endpoint, Work};
use crate::scenario::Scenario;

const START: i64 = 1_795_230_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(START + seconds).unwrap()
}

fn with(incidents: &str) -> SageMaker {
    let text = format!(
        "[sagemaker]\n{incidents}\n[targets.\"sagemaker:us-east-1/fraud\"]\nrequests_per_second = 1\nstable = \"a\"\n\
         [targets.\"sagemaker:us-east-1/fraud\".revisions]\na = {{}}\nb = {{}}\n"
    );
    SageMaker::of(&Scenario::from_toml(&text).unwrap(), at(0))
}

fn fraud(all: &mut SageMaker) -> &mut Endpoint {
    &mut all.regions.get_mut("us-east-1").unwrap().endpoints.get_mut("fraud").unwrap().now
}

/// Asks for half and half.
fn halve(all: &mut SageMaker, now: Timestamp) {
    let length = all.settings.update;
    let endpoint = fraud(all);
    for variant in &mut endpoint.variants {
        variant.desired_weight = 1.0;
    }
    endpoint.begin(Work::Weights, now, Some(length));
}

#[test]
fn weights_are_live_when_the_endpoint_is_in_service_again() {
    let mut all = with("");
    halve(&mut all, at(0));
    assert_eq!(all.settle(at(59)), []);
    assert_eq!((fraud(&mut all).status(), fraud(&mut all).split().unwrap().len()), ("Updating", 1));
    let routed = all.settle(at(90));
    assert_eq!((routed.len(), routed[0].2, routed[0].1.len()), (1, at(60), 2), "from when they were live on");
    assert_eq!((fraud(&mut all).status(), fraud(&mut all).modified), ("InService", at(60)));
}

#[test]
fn a_change_that_fails_is_taken_back() {
    let mut all =
        with("incidents = [{ endpoint = \"fraud\", status = \"RollingBack\", after = \"0s\", last = \"2m\" }]");
    halve(&mut all, at(0));
    all.settle(at(61));
    assert_eq!(fraud(&mut all).status(), "RollingBack");
    all.settle(at(180));
    let endpoint = fraud(&mut all);
    assert_eq!((endpoint.status(), endpoint.split().unwrap().len()), ("InService", 1), "the weights are the old ones");
    assert_eq!(endpoint.variants[1].desired_weight, 0.0);
    assert!(endpoint.failure.is_some());
    halve(&mut all, at(200));
    all.settle(at(260));
    assert_eq!(fraud(&mut all).split().unwrap().len(), 2, "only once");
}

#[test]
fn maintenance_waits_for_a_change_and_ends_and_a_failure_does_not() {
    let mut all = with(
        "incidents = [{ endpoint = \"fraud\", status = \"SystemUpdating\", after = \"30s\", last = \"1m\" },\n\
         { endpoint = \"fraud\", status = \"Failed\", after = \"10m\" }]",
    );
    halve(&mut all, at(0));
    for (second, status) in [
        (45, "Updating"),
        (60, "SystemUpdating"),
        (119, "SystemUpdating"),
        (120, "InService"),
        (600, "Failed"),
        (86_400, "Failed"),
    ] {
        all.settle(at(second));
        assert_eq!(fraud(&mut all).status(), status, "after {second} s");
    }
}

#[test]
fn a_rollback_that_failed_is_for_good() {
    let mut all = with("incidents = [{ endpoint = \"fraud\", status = \"UpdateRollbackFailed\", after = \"10m\" }]");
    for (second, status) in [(599, "InService"), (600, "UpdateRollbackFailed"), (86_400, "UpdateRollbackFailed")] {
        all.settle(at(second));
        assert_eq!(fraud(&mut all).status(), status, "after {second} s");
    }
    assert!(fraud(&mut all).split().is_some(), "it serves");
}
