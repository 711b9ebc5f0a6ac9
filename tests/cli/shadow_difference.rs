//! A shadow is ended when too many of its answers are not stable's: counted by whoever compares them, since both clouds drop them.

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

const AZURE: &str = "azure-ml:00000000-0000-0000-0000-000000000000/ml/prod/fraud";
const SAGEMAKER: &str = "sagemaker:us-east-1/fraud";

/// The shadow's end when this is how it behaves, on one cloud.
fn ended(target: &str, [stable, candidate]: [&str; 2], behaviour: &str) -> (i32, Value) {
    let world = format!(
        r#"
        seed = 7
        [sagemaker]
        update = "20s"
        deploy = "60s"
        [targets."{target}"]
        requests_per_second = 100
        stable = "{stable}"
        [targets."{target}".revisions]
        {stable} = {{ error_rate = 0.002 }}
        {candidate} = {{ error_rate = 0.002{behaviour} }}
        "#
    );
    let sandbox = Sandbox::start(&["--speed", "600"], &world);
    // What docs/configuration.md shows, against the sandbox.
    let page = include_str!("../../docs/configuration.md");
    let (_, example) = page.split_once("### Answers that differ\n\n```toml\n").unwrap();
    let example = example.split_once("```").unwrap().0;
    let config = example.replace("sagemaker:eu-west-1/fraud", target).replace("http://127.0.0.1:9090", sandbox.url());
    assert!(config.contains(target) && config.contains(sandbox.url()), "{config}");
    sandbox.write("mlroll.toml", &config);
    sandbox.run(&["shadow", "fraud", "--pct", "20", "--candidate", candidate])
}

#[test]
fn too_many_differing_answers_end_a_shadow_and_few_do_not() {
    for (target, revisions) in [(AZURE, ["blue", "green"]), (SAGEMAKER, ["a", "b"])] {
        let mirrored = json!({ "revision": revisions[1], "percent": 20.0 });
        for (behaviour, code, outcome, kind, shadow, verdict) in [
            (", differs = 0.005", 0, "shifted", Value::Null, &mirrored, "pass"),
            (", differs = 0.06", 1, "rolled_back", json!("gate_failed"), &Value::Null, "fail"),
            // Nobody compares: that is no evidence, and nobody feels what stays mirrored.
            ("", 3, "held", json!("no_data"), &mirrored, "inconclusive"),
        ] {
            let (got, document) = ended(target, revisions, behaviour);
            let told = (got, &document["outcome"], &document["error"]["kind"], &document["targets"][0]["shadow"]);
            assert_eq!(told, (code, &json!(outcome), &kind, shadow), "{target}{behaviour}: {document}");
            let finding = &document["findings"][0];
            assert_eq!(
                (&finding["gate"], &finding["verdict"]),
                (&json!("difference_rate"), &json!(verdict)),
                "{document}"
            );
            if code < 3 {
                let reason = finding["reason"].as_str().unwrap();
                assert!(reason.starts_with("counted: candidate "), "{reason}");
            }
        }
    }
}
