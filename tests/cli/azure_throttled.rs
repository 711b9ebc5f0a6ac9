//! Azure ML deployments that turn requests away (429), by Azure Monitor's minutes and by the traffic log alike.

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

const FRAUD: &str = "azure-ml:00000000-0000-0000-0000-000000000000/ml/prod/fraud";

/// A rollout to a candidate that turns this share of its requests away and answers the others as stable does.
fn stage(throttled: &str, logs: bool) -> Sandbox {
    let world = format!(
        r#"
        seed = 7
        start = "2026-11-21T03:00:07Z"
        [targets."{FRAUD}"]
        requests_per_second = 100
        stable = "blue"
        [targets."{FRAUD}".revisions]
        blue = {{ error_rate = 0.002 }}
        green = {{ error_rate = 0.002, throttled = "{throttled}" }}
        "#
    );
    let sandbox = Sandbox::start(&["--speed", "1800"], &world);
    let config = format!(
        r#"
        [services.fraud]
        target = "{FRAUD}"
        steps = ["10%", "100%"]
        bake = "1h"
        min_bake = "1h"
        look = "60s"
        on_inconclusive = "hold"
        [services.fraud.metrics]
        source = "azure-monitor"
        logs = {logs}
        [[services.fraud.gates]]
        metric = "error_rate"
        max_increase = {{ ratio = 1.5, abs = "0.2%" }}
        "#
    );
    sandbox.write("mlroll.toml", &config);
    sandbox
}

fn notes(document: &Value) -> String {
    document["targets"][0]["notes"].to_string()
}

#[test]
fn a_fifth_turned_away_is_no_failure_and_is_told() {
    for logs in [false, true] {
        let sandbox = stage("20%", logs);
        let (code, document) = sandbox.run(&["rollout"]);
        assert_eq!((code, &document["outcome"]), (0, &json!("promoted")), "{document}");
        let finding = &document["findings"][0];
        let throttled = &finding["throttled"];
        let share = throttled["candidate_share"].as_f64().unwrap();
        assert!((0.18..0.22).contains(&share) && throttled["stable"] == 0.0, "{document}");
        let (ours, reason) = (throttled["candidate"].as_f64().unwrap(), finding["reason"].as_str().unwrap());
        assert!(reason.ends_with(&format!("; turned away (429) besides: candidate {ours}, stable 0")), "{reason}");
        // 36,000 requests an hour came to it: those that it answered are judged.
        assert!((5_000.0..9_500.0).contains(&ours), "{reason}");
        assert!(notes(&document).contains("were turned away (429), and are not judged: the candidate has too few"));
        let explained = sandbox.command(&["explain"]).output().unwrap();
        assert!(String::from_utf8(explained.stdout).unwrap().contains("turned away (429) besides"));
        let (verified, _) = sandbox.run(&["explain", "--verify"]);
        assert_eq!(verified, 0);
    }
}

#[test]
fn who_turns_most_away_is_starved() {
    for logs in [false, true] {
        let (code, document) = stage("70%", logs).run(&["rollout"]);
        let told = (code, &document["outcome"], &document["error"]["kind"]);
        assert_eq!(told, (1, &json!("rolled_back"), &json!("starved")), "{document}");
        assert!(notes(&document).contains("were turned away (429)"), "{document}");
    }
}
