//! The role definitions of the documentation allow what the verbs do on Azure, and no more.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

const FRAUD: &str = "azure-ml:00000000-0000-0000-0000-000000000000/ml/prod/fraud";
const ENDPOINTS: &str = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints";
/// A PUT of an endpoint names its user-assigned identity, where it has one; the sandbox cannot tell whether that was allowed.
const ASSIGN: &str = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action";

/// The actions that a request needs.
fn actions(operation: &str) -> Vec<String> {
    let below = |what: &str| vec![format!("{ENDPOINTS}/{what}")];
    match operation {
        "OnlineEndpoints_Get" => below("read"),
        "OnlineEndpoints_CreateOrUpdate" => [below("write"), vec![ASSIGN.to_owned()]].concat(),
        "OnlineDeployments_Get" | "OnlineDeployments_List" => below("deployments/read"),
        // Azure looks whether who deploys may read what is deployed.
        "OnlineDeployments_CreateOrUpdate" => [below("deployments/write"), deployed()].concat(),
        "OnlineDeployments_Update" => below("deployments/write"),
        "OnlineDeployments_GetLogs" => below("deployments/getLogs/action"),
        "Metrics_List" => vec!["Microsoft.Insights/metrics/read".to_owned()],
        "Query_ResourceExecute" => vec!["Microsoft.Insights/logs/AmlOnlineEndpointTrafficLog/read".to_owned()],
        "Query_Execute" => ["read", "AmlOnlineEndpointTrafficLog/read"]
            .map(|table| format!("Microsoft.OperationalInsights/workspaces/query/{table}"))
            .to_vec(),
        // It is done without where a role does not read it.
        "mfeOperationsStatus" => Vec::new(),
        other => panic!("{other} is in no role"),
    }
}

/// What it takes to name a model, an environment and code in a deployment; the sandbox cannot tell whether that was allowed.
fn deployed() -> Vec<String> {
    let read = |what| format!("Microsoft.MachineLearningServices/workspaces/{what}/versions/read");
    ["codes", "environments", "models"].map(read).to_vec()
}

/// The actions of a role of the documentation.
fn role(name: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/rbac/azure-{name}.json"));
    let role: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(role["IsCustom"], true, "{name}");
    assert!(role["Name"].as_str().unwrap().starts_with("mlroll ") && role["AssignableScopes"][0].is_string(), "{name}");
    for none in ["NotActions", "DataActions", "NotDataActions"] {
        assert_eq!(role[none], json!([]), "{name}");
    }
    let actions: BTreeSet<String> = serde_json::from_value(role["Actions"].clone()).unwrap();
    assert!(actions.iter().all(|action| !action.contains('*')), "{name} allows more than it names");
    actions
}

/// Blue has three instances and green has two; both are as good.
fn world() -> Sandbox {
    world_with("")
}

/// The same with more said of its metrics.
fn world_with(metrics: &str) -> Sandbox {
    let world = format!(
        r#"
        seed = 7
        start = "2026-11-21T03:00:07Z"
        [targets."{FRAUD}"]
        requests_per_second = 300
        stable = "blue"
        [targets."{FRAUD}".revisions]
        blue = {{ error_rate = 0.002 }}
        green = {{ error_rate = 0.002 }}
        crash = {{ state = "Failed" }}
        "#
    );
    let sandbox = Sandbox::start(&["--speed", "600"], &world);
    let blue = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/ml/providers/Microsoft.MachineLearningServices/workspaces/prod/onlineEndpoints/fraud/deployments/blue?api-version=2024-10-01";
    sandbox.ask("PATCH", blue, r#"{"sku": {"name": "Default", "capacity": 3}}"#);
    sandbox.ask("POST", "/_sandbox/clock", r#"{"advance": "30m"}"#);
    let config = format!(
        r#"
        [services.fraud]
        target = "{FRAUD}"
        steps = ["10%", "100%"]
        bake = "10m"
        [services.fraud.metrics]
        source = "azure-monitor"
        {metrics}
        [[services.fraud.gates]]
        metric = "error_rate"
        max = "5%"
        "#
    );
    sandbox.write("mlroll.toml", &config);
    sandbox
}

/// Runs verbs, each with the exit code that it ends with: none needs what the role lacks, and together they need all of it.
fn suffices(name: &str, verbs: &[(&[&str], i32)]) {
    suffice(&[name], &world(), verbs);
}

/// The same of several roles that somebody has.
fn suffice(names: &[&str], sandbox: &Sandbox, verbs: &[(&[&str], i32)]) {
    let allowed: BTreeSet<String> = names.iter().flat_map(|name| role(name)).collect();
    let name = names.join(" and ");
    let mut needed = BTreeSet::new();
    for (verb, code) in verbs {
        // Each finds the traffic of the one before it long since live.
        sandbox.ask("POST", "/_sandbox/clock", r#"{"advance": "20m"}"#);
        sandbox.ask("DELETE", "/_sandbox/requests", "");
        let (got, document) = sandbox.run(verb);
        assert_eq!(got, *code, "{verb:?}: {document}");
        let log: Vec<Value> = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap();
        assert!(!log.is_empty(), "{verb:?}");
        for operation in log.iter().map(|request| request["operation"].as_str().unwrap()) {
            for action in actions(operation) {
                assert!(allowed.contains(&action), "{verb:?} makes {operation}, which {name} does not allow");
                needed.insert(action);
            }
        }
    }
    assert_eq!(needed, allowed, "{name} allows what no verb needs");
}

#[test]
fn status_and_gate_check_change_nothing() {
    suffices("status", &[(&["status", "fraud"], 0), (&["rollback", "--target", FRAUD, "--dry-run"], 6)]);
    suffices(
        "gate-check",
        &[
            (&["status", "fraud"], 0),
            (&["plan", "fraud", "--candidate", "green"], 0),
            (&["rollout", "fraud", "--candidate", "green", "--dry-run"], 0),
            (&["canary", "fraud", "--pct", "10", "--candidate", "green", "--dry-run"], 0),
            (&["gate", "check", "fraud"], 6),
        ],
    );
}

#[test]
fn the_traffic_log_is_read_by_a_role_of_its_own() {
    let verbs: [(&[&str], i32); 2] =
        [(&["canary", "fraud", "--pct", "20", "--candidate", "green"], 0), (&["status", "fraud"], 0)];
    for (logs, name) in [("true", "logs"), ("\"00000000-0000-0000-0000-00000000000a\"", "logs-workspace")] {
        // Whose gates are all counted in the log needs no role for metrics: that of a canary without gates, and this one.
        assert!(!role("canary").contains("Microsoft.Insights/metrics/read"));
        suffice(&["canary", name], &world_with(&format!("logs = {logs}")), &verbs);
    }
}

#[test]
fn what_is_moved_by_hand_needs_no_metrics() {
    suffices(
        "canary",
        &[
            (&["canary", "fraud", "--pct", "10", "--candidate", "green", "--no-gates"], 0),
            (&["status", "fraud"], 0),
            (&["promote", "fraud", "--force"], 0),
            (&["rollback", "fraud"], 0),
            (&["shadow", "fraud", "--pct", "20", "--candidate", "green", "--no-gates"], 0),
            (&["shadow", "fraud", "--off"], 0),
        ],
    );
    suffices(
        "rollback",
        &[
            (&["rollback", "--target", FRAUD], 6),
            (&["rollback", "--target", FRAUD, "--to", "green"], 0),
            (&["rollback", "--target", FRAUD], 0),
        ],
    );
}

#[test]
fn a_deployment_is_made_without_writing_the_endpoint() {
    suffices(
        "deploy",
        &[
            (&["deploy", "fraud", "--model", "azureml:fraud:green"], 0),
            (&["deploy", "fraud", "--model", "azureml:fraud:crash"], 2),
        ],
    );
}

#[test]
fn a_rollout_with_gates_and_capacity() {
    suffices(
        "rollout",
        &[
            (&["rollout", "fraud", "--candidate", "green"], 0),
            (&["rollback", "fraud"], 0),
            (&["canary", "fraud", "--pct", "20", "--candidate", "green", "--again"], 0),
            (&["gate", "check", "fraud"], 0),
            (&["promote", "fraud"], 0),
            (&["rollback", "fraud"], 0),
            (&["shadow", "fraud", "--pct", "20", "--candidate", "green"], 0),
            (&["shadow", "fraud", "--off"], 0),
        ],
    );
}
