//! `gate power` and `gate backtest`: what gates can see, without any cloud.

use serde_json::Value;

use crate::sandbox::{HEALTHY, Sandbox, config, world};
use crate::world::World;

const EQUAL: &str = r#"{"metric": "error_rate", "fail": {"ratio": 1.0, "abs": 0}}"#;

fn power(world: &World, more: &[&str]) -> Value {
    let fixed = ["gate", "power", "--gate", EQUAL, "--output", "json"];
    let document = world.run(&[&fixed[..], more].concat()).expect(0).json();
    assert_eq!(document["schema"], "mlroll/power/1");
    document
}

/// docs/judge.md section 6: 100 requests/s for an hour in looks of a minute, at alpha 0.01.
#[test]
fn power_agrees_with_the_tables_of_the_page() {
    let world = World::new();
    let traffic = ["--rps", "100", "--bake", "61m"];
    let found = power(&world, &[&traffic[..], &["--pct", "1", "--base-rate", "1%"]].concat());
    let gate = &found["gates"][0];
    let chance = gate["asked"]["chance"].as_f64().unwrap();
    // 95.2 % there, with looks of half a minute.
    assert!((0.92..0.98).contains(&chance), "{gate}");
    let median = gate["asked"]["median_look"].as_u64().unwrap();
    assert!((23..=29).contains(&median), "{gate}");
    let error = gate["asked"]["standard_error"].as_f64().unwrap();
    assert!((0.001..0.003).contains(&error) && gate["asked"]["runs"] == 10_000, "{gate}");
    assert!(gate["healthy"]["chance"].as_f64().unwrap() <= 0.01, "{gate}");
    let curve: Vec<f64> = gate["curve"].as_array().unwrap().iter().map(|share| share.as_f64().unwrap()).collect();
    assert!(curve.len() == 60 && curve.windows(2).all(|pair| pair[0] <= pair[1]), "{curve:?}");
    let again = power(&world, &[&traffic[..], &["--pct", "1", "--base-rate", "1%"]].concat());
    assert_eq!(found, again);
    let other = power(&world, &[&traffic[..], &["--pct", "1", "--base-rate", "1%", "--seed", "2"]].concat());
    assert_ne!(found["gates"], other["gates"]);
    assert_eq!(world.wire(), (0, 0));
}

#[test]
fn power_is_told_to_people_and_bad_arguments_exit_2() {
    let world = World::new();
    let fixed = ["gate", "power", "--rps", "100", "--pct", "10", "--base-rate", "1%"];
    let ran = world.run(&[&fixed[..], &["--gate", EQUAL]].concat()).expect(0);
    ran.says("a false alarm").says("half of them after").says("failed by each look").says("points at most");
    for (more, hint) in [
        (&["--gate", r#"{"metric": "latency", "judge": "t"}"#][..], "count events"),
        (&["--gate", r#"{"metric": "error_rate", "maximum": 1}"#], "unknown field"),
        (&["--gate", EQUAL, "--regression", "half"], "such as `2x`"),
        (&["--gate", EQUAL, "--bake", "300days"], "shorter bake"),
        (&[], "or give the gate itself"),
    ] {
        world.run(&[&fixed[..], more].concat()).expect(2).says(hint);
    }
}

#[test]
fn a_backtest_on_an_export_counts_alarms_and_catches_the_injected_one() {
    let world = World::new();
    // Each minute 3,000 requests; a wave that is in no way a regression.
    let rows: String =
        (0..1440).map(|n| format!("{n},3000,{}\n", 30 + n % 7 + 20 * usize::from(n % 720 > 360))).collect();
    world.write("past.csv", &format!("minute,requests,events\n{rows}"));
    let fixed = ["gate", "backtest", "--file", "past.csv", "--gate", EQUAL, "--bake", "31m", "--pct", "10"];
    let tried = world.run(&[&fixed[..], &["--output", "json"]].concat()).expect(0).json();
    assert_eq!(tried["schema"], "mlroll/backtest/1");
    let result = &tried["gates"][0]["result"];
    let of = |side: &str, name: &str| result[side][name].as_u64().unwrap();
    assert!(of("healthy", "bakes") >= 400 && of("healthy", "failed") * 100 <= of("healthy", "bakes") * 2, "{tried}");
    assert!(of("regressed", "failed") * 100 >= of("regressed", "bakes") * 95, "{tried}");
    assert!(of("regressed", "median_look") < 15, "{tried}");
    assert!(result["autocorrelation"].as_f64().unwrap() > 0.5, "{tried}");
    world.run(&fixed).expect(0).says("with nothing wrong: failed in");

    world.write("past.csv", "minute,requests\n1,2\n");
    world.run(&fixed).expect(2).says("no column `events`");
    world.write("past.csv", "requests,events\n1,0\n");
    world.run(&fixed).expect(2).says("a bake has 30 looks");
    let ran = world.run(&["gate", "backtest", "--gate", EQUAL]).expect(2);
    ran.says("it needs `--file`");
}

#[test]
fn a_backtest_reads_the_past_of_the_revision_in_charge() {
    let sandbox = Sandbox::start(&["--speed", "60"], &world(HEALTHY, "0s"));
    sandbox.write("mlroll.toml", &config("30s", ""));
    let (code, tried) = sandbox.run(&["gate", "backtest", "--since", "90m", "--regression", "5x"]);
    assert_eq!((code, &tried["of"]["revision"]), (0, &serde_json::json!("2")), "{tried}");
    let gates = tried["gates"].as_array().unwrap();
    assert_eq!(gates.len(), 2, "{tried}");
    let result = &gates[0]["result"];
    let base = result["base_rate"].as_f64().unwrap();
    assert!((0.0015..0.0025).contains(&base), "{tried}");
    assert!(result["regressed"]["failed"].as_u64() > result["healthy"]["failed"].as_u64(), "{tried}");
    let log: Value = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap();
    let wrote = log.as_array().unwrap().iter().any(|r| r["api"] == "lambda" && r["method"] != "GET");
    assert!(!wrote, "{log}");
}
