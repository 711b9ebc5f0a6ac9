//! The roles in docs/roles hold what each verb asks for, no more, and docs/google.md says the same.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::cloud_run::TARGET;
use crate::deploy_google::IMAGE;
use crate::sandbox::Sandbox;

/// What each call needs (docs/google.md; the method's page in Google's reference).
const NEEDS: [(&str, &str); 9] = [
    ("GetOperation", "run.operations.get"),
    ("GetRevision", "run.revisions.get"),
    ("GetService", "run.services.get"),
    ("ListAlertPolicies", "monitoring.alertPolicies.list"),
    ("ListAlerts", "monitoring.alerts.list"),
    ("ListRevisions", "run.revisions.list"),
    ("ListTimeSeries", "monitoring.timeSeries.list"),
    ("UpdateService", "run.services.update"),
    ("query", "monitoring.timeSeries.list"),
];

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The permissions of a role, which `gcloud iam roles create --file` reads.
fn role(name: &str) -> BTreeSet<String> {
    let text = read(&format!("docs/roles/google-{name}.yaml"));
    let (head, permissions) = text.split_once("\nincludedPermissions:\n").unwrap();
    let keys: Vec<&str> = head.lines().map(|line| line.split_once(": ").unwrap().0).collect();
    assert_eq!(keys, ["title", "description", "stage"], "{name}");
    // A plain scalar of YAML ends where another key seems to begin, or a comment.
    let plain =
        |line: &str| !line.split_once(": ").is_none_or(|(_, value)| value.contains(": ") || value.contains(" #"));
    assert!(head.lines().all(plain), "{name}: {head}");
    let listed: Vec<&str> = permissions.lines().map(|line| line.strip_prefix("- ").unwrap()).collect();
    assert!(listed.is_sorted(), "{name}: {listed:?}");
    listed.into_iter().map(str::to_owned).collect()
}

fn sandbox() -> Sandbox {
    let scenario = format!(
        r#"
        cloud_monitoring.alerts."too slow" = {{}}
        [targets."{TARGET}"]
        requests_per_second = 50
        stable = "fraud-00002-b"
        [targets."{TARGET}".revisions]
        fraud-00001-a = {{}}
        fraud-00002-b = {{}}
        fraud-00003-c = {{}}
        "#
    );
    let sandbox = Sandbox::start(&["--speed", "300"], &scenario);
    let gates = "[[services.fraud.gates]]\nmetric = \"error_rate\"\nmax = \"5%\"\n";
    let alarms = "[[services.fraud.gates]]\nalarms = [\"too slow\"]\n";
    let service = "steps = [\"10%\", \"100%\"]\nmin_bake = \"2m\"\nbake = \"1h\"\nwarm_up = \"0s\"\nlook = \"60s\"\n";
    let source = "[services.fraud.metrics]\nsource = \"cloud-monitoring\"\n";
    for (name, gates) in [("gates.toml", gates.to_owned()), ("alarms.toml", format!("{gates}{alarms}"))] {
        sandbox.write(name, &format!("[services.fraud]\ntarget = \"{TARGET}\"\n{service}{source}{gates}"));
    }
    sandbox
}

/// What the calls need that a command makes.
fn used(sandbox: &Sandbox, arguments: &[&str]) -> BTreeSet<String> {
    sandbox.ask("DELETE", "/_sandbox/requests", "");
    let (code, said) = sandbox.run(arguments);
    assert_eq!(code, 0, "{arguments:?}: {said}");
    let log: Value = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap();
    let operations = log.as_array().unwrap().iter().map(|request| request["operation"].as_str().unwrap());
    operations.map(|name| NEEDS.iter().find(|(operation, _)| *operation == name).unwrap().1.to_owned()).collect()
}

#[test]
fn a_role_holds_what_its_verb_asks_for_and_no_more() {
    let sandbox = sandbox();
    let (here, gates) = (["--target", TARGET], ["--config", "gates.toml"]);
    let with = |verb: &[&'static str], more: &[&'static str]| [verb, more].concat();
    let used = |arguments: &[&str]| used(&sandbox, arguments);
    let stale = r#"{"api": "cloud-run", "operation": "GetRevision", "skip": 2, "fault": "stale"}"#;
    assert_eq!(role("status"), used(&with(&["status"], &here)));
    sandbox.ask("POST", "/_sandbox/faults", stale);
    assert_eq!(role("deploy"), used(&with(&["deploy", "--image", IMAGE, "--name", "fraud-next"], &here)));
    sandbox.ask("POST", "/_sandbox/clock", r#"{"advance": "10m"}"#);
    // Why a shift comes late, or to nothing, only its operation may tell.
    let shifting = |asked: BTreeSet<String>| &asked | &BTreeSet::from(["run.operations.get".to_owned()]);
    assert_eq!(role("canary"), shifting(used(&with(&["canary", "--pct", "10"], &gates))));
    // It is the last bake that is judged, and before the shift nobody was on trial.
    sandbox.ask("POST", "/_sandbox/clock", r#"{"advance": "2h"}"#);
    let asked = used(&with(&["gate", "check"], &gates));
    assert_eq!(role("gate-check"), asked);
    assert_eq!(role("promote"), shifting(used(&with(&["promote"], &gates))));
    let mut back = shifting(used(&with(&["rollback"], &here)));
    assert!(back.is_subset(&role("rollback")));
    // Where nothing says where to go, revisions are named.
    sandbox.ask("DELETE", "/_sandbox/requests", "");
    assert_eq!(sandbox.run(&with(&["rollback", "--to", "fraud-00002-b"], &here)).0, 0);
    back.insert("run.revisions.list".to_owned());
    assert_eq!(role("rollback"), back);
    let rollout = ["rollout", "--config", "alarms.toml"];
    let mut asked = used(&with(&rollout, &["--candidate", "fraud-00003-c"]));
    asked.insert("run.revisions.list".to_owned());
    assert_eq!(role("rollout"), shifting(asked));
}

#[test]
fn the_documentation_names_the_same_permissions() {
    let docs = read("docs/google.md");
    let files = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/roles")).unwrap();
    let mut names: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names.len(), 7, "{names:?}");
    for name in names {
        let row = docs.lines().find(|line| line.contains(&format!("(roles/{name})")));
        let row = row.unwrap_or_else(|| panic!("{name} is not linked from docs/google.md"));
        let told: BTreeSet<String> = row
            .split('`')
            .filter(|part| part.starts_with("run.") || part.starts_with("monitoring."))
            .map(str::to_owned)
            .collect();
        assert_eq!(told, role(name.strip_prefix("google-").unwrap().strip_suffix(".yaml").unwrap()), "{row}");
    }
}
