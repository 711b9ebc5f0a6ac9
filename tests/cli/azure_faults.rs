//! The fault table of a watched rollout on Azure ML: what goes wrong, how traffic ends, what the process says.

use std::collections::VecDeque;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Mutex;

use mlroll_faults::arm::{ArmFault, ArmKind, ArmOperation};
use serde_json::{Value, json};

use crate::azure_ml::World;
use crate::sandbox::Sandbox;

const FRAUD: &str = "azure-ml:00000000-0000-0000-0000-000000000000/ml/prod/fraud";

const GET: &str = "OnlineEndpoints_Get";
const PUT: &str = "OnlineEndpoints_CreateOrUpdate";

/// Green as good as blue, and a rollout of three PUTs, the last of which promotes.
fn world(green: &str) -> Sandbox {
    let world = format!(
        r#"
        seed = 7
        start = "2026-11-21T03:00:07Z"
        [targets."{FRAUD}"]
        requests_per_second = 300
        stable = "blue"
        [targets."{FRAUD}".revisions]
        blue = {{ error_rate = 0.002 }}
        green = {green}
        "#
    );
    let sandbox = Sandbox::start(&["--speed", "600"], &world);
    let config = format!(
        r#"
        [services.fraud]
        target = "{FRAUD}"
        steps = ["10%", "50%", "100%"]
        bake = "10m"
        settle_timeout = "5m"
        [services.fraud.metrics]
        source = "azure-monitor"
        [[services.fraud.gates]]
        metric = "error_rate"
        max = "5%"
        "#
    );
    sandbox.write("mlroll.toml", &config);
    sandbox
}

const BLUE: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/ml/providers/Microsoft.MachineLearningServices/workspaces/prod/onlineEndpoints/fraud/deployments/blue?api-version=2024-10-01";

/// Before its first share the candidate gets as many instances as stable has; where Azure has no more, its words are told.
#[test]
fn instances_that_azure_does_not_have_are_told_in_its_words() {
    let sandbox = world(GOOD);
    sandbox.ask("PATCH", BLUE, r#"{"sku": {"name": "Default", "capacity": 3}}"#);
    sandbox.ask("POST", "/_sandbox/clock", r#"{"advance": "30m"}"#);
    fault(&sandbox, "OnlineDeployments_Update", &json!({ "fault": "settle_failed" }));
    let (code, document) = sandbox.run(&["rollout"]);
    assert_ne!(code, 0, "{document}");
    let said = document.to_string();
    assert!(
        said.contains("deployment green does not get 3 instances: ") && said.contains("no more instances"),
        "{said}"
    );
    assert_eq!(traffic(&sandbox), json!({ "blue": 100 }));
}

fn fault(sandbox: &Sandbox, operation: &str, more: &Value) {
    let mut fault = json!({ "api": "azure-ml", "operation": operation });
    fault.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = sandbox.ask("POST", "/_sandbox/faults", &fault.to_string());
    assert!(!answer.contains("error"), "{fault}: {answer}");
}

/// Live traffic as Azure shows it.
fn traffic(sandbox: &Sandbox) -> Value {
    let path = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/ml/providers/Microsoft.MachineLearningServices/workspaces/prod/onlineEndpoints/fraud?api-version=2024-10-01";
    sandbox.ask("DELETE", "/_sandbox/faults", "");
    let endpoint: Value = serde_json::from_str(&sandbox.ask("GET", path, "")).unwrap();
    endpoint["properties"]["traffic"].clone()
}

const GOOD: &str = "{ error_rate = 0.002 }";
const BAD: &str = "{ error_rate = 0.5 }";

/// A candidate, what happens to which requests, and what it comes to: exit code, outcome, a part of what traffic is then, and of
/// what is said.
type Row = (&'static str, &'static [(&'static str, &'static str)], i32, &'static str, &'static str, &'static str);

const STATUS: &str = "mfeOperationsStatus";
const STABLE: &str = r#"{"blue":100}"#;
const TENTH: &str = r#"{"blue":90,"green":10}"#;
const CANDIDATE: &str = r#"{"green":100}"#;

/// The second PUT is that of the second step, and of the way back where the candidate is bad; the third one promotes.
const TABLE: &[Row] = &[
    // Busy for a while, throttled, down, and answers that are lost: it goes on.
    (
        GOOD,
        &[(PUT, r#"{"skip":1,"times":2,"fault":"status","status":409,"code":"Conflict"}"#)],
        0,
        "promoted",
        CANDIDATE,
        "",
    ),
    (GOOD, &[(PUT, r#"{"skip":1,"fault":"status","status":429}"#)], 0, "promoted", CANDIDATE, ""),
    (GOOD, &[(PUT, r#"{"skip":1,"fault":"status","status":503}"#)], 0, "promoted", CANDIDATE, ""),
    (GOOD, &[(PUT, r#"{"skip":1,"fault":"reset_before"}"#)], 0, "promoted", CANDIDATE, ""),
    (GOOD, &[(PUT, r#"{"skip":1,"fault":"reset_after"}"#)], 0, "promoted", CANDIDATE, ""),
    (GOOD, &[(PUT, r#"{"skip":2,"fault":"reset_after"}"#)], 0, "promoted", CANDIDATE, ""),
    (GOOD, &[(GET, r#"{"skip":8,"times":4,"fault":"status","status":503}"#)], 0, "promoted", CANDIDATE, ""),
    (
        BAD,
        &[(PUT, r#"{"skip":1,"times":2,"fault":"status","status":409,"code":"Conflict"}"#)],
        1,
        "rolled_back",
        STABLE,
        "a gate failed",
    ),
    (BAD, &[(PUT, r#"{"skip":1,"fault":"reset_after"}"#)], 1, "rolled_back", STABLE, "a gate failed"),
    // Operations that fail or are canceled: nobody else's doing, and the way back is made again.
    (GOOD, &[(PUT, r#"{"fault":"settle_failed"}"#)], 8, "halted", STABLE, "There are no more instances"),
    (GOOD, &[(PUT, r#"{"skip":1,"fault":"settle_failed"}"#)], 1, "rolled_back", STABLE, "There are no more instances"),
    (GOOD, &[(PUT, r#"{"skip":1,"fault":"settle_canceled"}"#)], 1, "rolled_back", STABLE, "higher priority"),
    (GOOD, &[(PUT, r#"{"skip":2,"fault":"settle_failed"}"#)], 1, "rolled_back", STABLE, "There are no more instances"),
    (BAD, &[(PUT, r#"{"skip":1,"times":3,"fault":"settle_failed"}"#)], 1, "rolled_back", STABLE, "a gate failed"),
    (BAD, &[(PUT, r#"{"skip":1,"times":3,"fault":"settle_canceled"}"#)], 1, "rolled_back", STABLE, "a gate failed"),
    (
        BAD,
        &[(PUT, r#"{"skip":1,"times":99,"fault":"settle_failed"}"#)],
        8,
        "halted",
        TENTH,
        "There are no more instances",
    ),
    (GOOD, &[(PUT, r#"{"skip":1,"fault":"settle_forever"}"#)], 8, "halted", TENTH, "never went live"),
    // Their status is not needed.
    (
        GOOD,
        &[(PUT, r#"{"skip":1,"fault":"settle_failed"}"#), (STATUS, r#"{"fault":"status","status":403,"times":99}"#)],
        1,
        "rolled_back",
        STABLE,
        "the endpoint's last operation failed",
    ),
    (
        GOOD,
        &[(PUT, r#"{"skip":1,"fault":"settle_failed"}"#), (STATUS, r#"{"fault":"status","status":404,"times":99}"#)],
        1,
        "rolled_back",
        STABLE,
        "the endpoint's last operation failed",
    ),
    // Somebody else: what is there when we look is theirs, and what came just before our PUT is overwritten.
    (GOOD, &[(GET, r#"{"skip":8,"fault":"foreign_write"}"#)], 4, "halted", "42", "someone else changed the target"),
    (GOOD, &[(PUT, r#"{"skip":1,"fault":"foreign_write"}"#)], 0, "promoted", CANDIDATE, ""),
    (BAD, &[(PUT, r#"{"skip":1,"fault":"foreign_write"}"#)], 1, "rolled_back", STABLE, "a gate failed"),
    // What is not allowed, for good.
    (GOOD, &[(PUT, r#"{"skip":1,"fault":"status","status":403}"#)], 5, "halted", TENTH, "AuthorizationFailed"),
    (GOOD, &[(PUT, r#"{"skip":1,"times":9,"fault":"status","status":401}"#)], 5, "halted", TENTH, "AZURE_ACCESS_TOKEN"),
    (
        BAD,
        &[(PUT, r#"{"skip":1,"times":99,"fault":"status","status":403}"#)],
        5,
        "halted",
        TENTH,
        "AuthorizationFailed",
    ),
];

fn play(row: &Row) -> Result<(), String> {
    let (green, faults, code, outcome, split, says) = *row;
    let sandbox = world(green);
    for (operation, more) in faults {
        fault(&sandbox, operation, &serde_json::from_str(more).map_err(|e| e.to_string())?);
    }
    let (got, document) = sandbox.run(&["rollout"]);
    let now = traffic(&sandbox).to_string();
    let message = document["error"]["message"].as_str().unwrap_or_default();
    let is = (got, document["outcome"].as_str()) == (code, Some(outcome));
    if is && now.contains(split) && message.contains(says) {
        return Ok(());
    }
    Err(format!("{row:?}: {got} {} {now} {message}", document["outcome"]))
}

#[test]
fn the_fault_table_of_a_rollout() {
    let (queue, wrong) = (Mutex::new(TABLE.iter().collect::<VecDeque<_>>()), Mutex::new(Vec::new()));
    let next = || queue.lock().unwrap().pop_front();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(row) = next() {
                    if let Err(what) = play(row) {
                        wrong.lock().unwrap().push(what);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} rows went wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// A rollout outlives the tokens it began with; `az` is asked anew when one is refused.
#[test]
fn tokens_that_are_refused_in_mid_rollout_are_fetched_anew() {
    let sandbox = world(GOOD);
    let az = sandbox.path().join("az");
    let script = "#!/bin/sh\necho called >> \"$HOME/calls\"\necho '{\"accessToken\":\"sandbox\",\"expires_on\":4000000000,\"tokenType\":\"Bearer\"}'\n";
    std::fs::write(&az, script).unwrap();
    std::fs::set_permissions(&az, std::fs::Permissions::from_mode(0o755)).unwrap();
    for operation in [GET, PUT] {
        let skip = if operation == GET { 8 } else { 1 };
        let code = "ExpiredAuthenticationToken";
        fault(&sandbox, operation, &json!({ "skip": skip, "fault": "status", "status": 401, "code": code }));
    }
    let mut command = sandbox.command(&["rollout", "--output", "json"]);
    command.env_remove("AZURE_ACCESS_TOKEN").env("PATH", format!("{}:/usr/bin:/bin", sandbox.path().display()));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(traffic(&sandbox), json!({ "green": 100 }));
    // One for Azure ML and one for Azure Monitor, and one more for each that was refused.
    let calls = std::fs::read_to_string(sandbox.path().join("calls")).unwrap();
    assert_eq!(calls.lines().count(), 4, "{said}");
}

/// Somebody's operation is under way when our PUT arrives: it is refused, and what theirs led to decides.
#[test]
fn whoever_puts_between_our_read_and_our_put_is_found_after_the_refusal() {
    let updating = "Cannot update the endpoint because it is in Updating provisioning state";
    let theirs: fn(&mut Value) = |record| record["properties"]["traffic"] = json!({ "blue": 50, "green": 50 });
    let late = |world: &World, reads: u32| {
        world.arm.clear_requests();
        world.arm.fault(ArmFault::on(ArmOperation::Put, ArmKind::status(409, "Conflict", updating)));
        world.arm.fault(ArmFault::on(ArmOperation::Get, ArmKind::Foreign(theirs)).skip(reads));
    };
    let live = |world: &World| world.arm.record()["properties"]["traffic"].clone();
    let world = World::new();
    late(&world, 2);
    world.verb(&["canary", "--pct", "10"]).0.expect(4).says("someone else changed the target");
    assert_eq!((live(&world), world.arm.count(ArmOperation::Put)), (json!({ "blue": 50, "green": 50 }), 1));
    // A rollback is decided again: theirs is a share of the candidate too.
    let world = World::new();
    world.verb(&["canary", "--pct", "10"]).0.expect(0);
    late(&world, 1);
    world.verb(&["rollback"]).0.expect(0);
    assert_eq!((live(&world), world.arm.count(ArmOperation::Put)), (json!({ "blue": 100 }), 2));
}
