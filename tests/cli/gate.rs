//! `gate replay`: the judge on recorded looks.

use std::path::Path;
use std::process::Command;

use mlroll_faults::tool;

use crate::world::World;

const EXAMPLE: &str = r#"{"gate": {"metric": "error_rate", "fail": {"ratio": 1.0, "abs": 0}, "pass": {"ratio": 1.5, "abs": 0.001}},
  "alpha": 0.01, "beta": 0.05, "horizon": 120, "design_effect": 1.0,
  "looks": [{"candidate": {"requests": 300, "events": 9}, "stable": {"requests": 2700, "events": 31}},
            {"candidate": {"requests": 300, "events": 8}, "stable": {"requests": 2700, "events": 25}}]}"#;

#[test]
fn the_documented_example_gives_the_documented_numbers() {
    let world = World::new();
    world.write("looks.json", EXAMPLE);
    let document = world.run(&["gate", "replay", "looks.json"]).expect(0).json();
    assert_eq!(document["schema"], "mlroll/replay/1");
    let close = |value: &serde_json::Value, wanted: f64| (value.as_f64().unwrap() - wanted).abs() <= 1e-9;
    assert!(close(&document["looks"][0]["ln_e_fail"], 1.035_745_987_389));
    assert!(close(&document["looks"][0]["ln_e_pass"], -1.212_659_409_97));
    assert!(close(&document["looks"][1]["ln_e_fail"], 3.174_051_437_8));
    assert_eq!(document["verdict"], "inconclusive");
    assert_eq!(world.wire(), (0, 0));
}

#[test]
fn a_file_that_makes_no_sense_exits_2_with_its_place() {
    let world = World::new();
    for (text, place) in [
        ("{", "not JSON"),
        ("{}", "gate"),
        (&EXAMPLE.replace("\"events\": 8", "\"events\": 800"), "looks[1].candidate"),
        (&EXAMPLE.replace("\"horizon\"", "\"horizont\""), "horizont"),
        (&EXAMPLE.replace("error_rate", "latency"), "quantile"),
    ] {
        world.write("looks.json", text);
        let ran = world.run(&["gate", "replay", "looks.json"]).expect(2);
        assert!(ran.stderr.contains(place) && ran.stderr.contains("looks.json"), "{place}: {}", ran.stderr);
    }
    world.run(&["gate", "replay", "nowhere.json"]).expect(2).says("nowhere.json cannot be read");
}

/// An independent reference in Python, straight from the formulas of docs/judge.md, on random files.
#[test]
fn agrees_with_the_reference_on_random_files() {
    agrees_with("reference.py", &["check", "--count", "360", "--seed", "20261121"]);
}

/// Mann-Whitney with ties, exact and approximate, as scipy computes it.
#[test]
fn agrees_with_scipy_on_random_samples() {
    agrees_with("reference_scipy.py", &["--count", "300", "--seed", "20261121"]);
}

fn agrees_with(script: &str, args: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let checked = Command::new(tool("python/bin/python"))
        .arg(root.join("tests").join(script))
        .args(args)
        .args(["--", env!("CARGO_BIN_EXE_mlroll"), "gate", "replay"])
        .output()
        .unwrap();
    assert!(
        checked.status.success(),
        "{}{}",
        String::from_utf8_lossy(&checked.stdout),
        String::from_utf8_lossy(&checked.stderr)
    );
}
