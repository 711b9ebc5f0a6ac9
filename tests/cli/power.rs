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
    let passes = &gate["passes"];
    let of = |name: &str| passes[name].as_f64().unwrap();
    assert!((0.62..0.68).contains(&of("chance")) && passes["rate"] == 0.01 && passes["regression"] == 1.0, "{passes}");
    assert!((of("chance") - passes["formula"]["chance"].as_f64().unwrap()).abs() < 0.1, "{passes}");
    assert!((43.0..50.0).contains(&of("median_look")) && of("standard_error") < 0.01, "{passes}");
    assert_eq!((&found["beta"], &found["min_looks"]), (&0.05.into(), &4.into()));
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
    ran.says("a candidate as good as stable: passes in ").says("% of bakes, half of all after ");
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

/// Values of a day and a half, from an export: what a limit had said, and what a comparison with another day.
#[test]
fn a_backtest_tries_values_too() {
    let world = World::new();
    // A wave by the day, and noise that comes from a recurrence.
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1_u32 << 31) - 0.5
    };
    let value = |n: usize, noise: f64| 100.0 + 30.0 * (n as f64 / 1_440.0 * std::f64::consts::TAU).sin() + 5.0 * noise;
    let rows: String = (0..2_880).map(|n| format!("{n},{}\n", value(n, noise()))).collect();
    world.write("past.csv", &format!("minute,value\n{rows}"));
    let fixed = ["gate", "backtest", "--file", "past.csv", "--bake", "61m", "--regression", "1.25x"];
    let tried = |gate: &str| {
        let found = world.run(&[&fixed[..], &["--gate", gate, "--output", "json"]].concat()).expect(0).json();
        assert_eq!((&found["schema"], &found["untried"]), (&"mlroll/backtest/1".into(), &serde_json::json!([])));
        found["gates"][0].clone()
    };
    let failed = |found: &Value, side: &str| {
        let of = |name: &str| found["result"][side][name].as_f64().unwrap();
        (of("failed") / of("bakes"), of("bakes"))
    };
    for (gate, null) in [
        (r#"{"name": "p95", "query": "q", "judge": "sign"}"#, "day_before"),
        (r#"{"name": "p95", "query": "q", "judge": "t"}"#, "day_before"),
        (r#"{"name": "p95", "query": "q", "judge": "sign", "max": 140}"#, "as_it_was"),
    ] {
        let found = tried(gate);
        assert_eq!(
            (&found["result"]["null"], &found["result"]["injected"]),
            (&null.into(), &"value".into()),
            "{found}"
        );
        let ((alarms, bakes), (caught, _)) = (failed(&found, "healthy"), failed(&found, "regressed"));
        assert!(alarms <= 0.02 && bakes >= 400.0, "{found}");
        // Of a limit the wave decides: a quarter more is beyond it in the upper half.
        assert!(if null == "as_it_was" { (0.2..0.8).contains(&caught) } else { caught > 0.9 }, "{found}");
    }
    let gate = ["--gate", r#"{"name": "p95", "query": "q", "judge": "sign"}"#];
    let ran = world.run(&[&fixed[..], &gate].concat()).expect(0);
    ran.says("the same hours of the day before")
        .says("1.25x as bad a value, injected: failed in")
        .says("with nothing wrong");
    for (gate, why) in [
        (r#"{"name": "pages", "alarms": ["slow"]}"#, "nobody recorded"),
        (EQUAL, "windows with requests and events"),
        (r#"{"metric": "latency", "judge": "shape"}"#, "gate `latency`"),
    ] {
        world.run(&[&fixed[..], &["--gate", gate]].concat()).expect(2).says(why);
    }
}

/// From the stores: values of CloudWatch with the day before, and histograms of Prometheus divided.
#[test]
fn a_backtest_reads_values_of_the_revision_in_charge() {
    let cloudwatch = |text: String| {
        let from = text.find("source = ").unwrap();
        let gates = text.find("[[services.fraud.gates]]").unwrap();
        format!("{}source = \"cloudwatch\"\n{}", &text[..from], &text[gates..])
    };
    let quantile = "metric = \"latency\"\n        quantile = 0.95\n        max = \"300ms\"";
    let compared = "metric = \"latency\"\nname = \"p95\"\nquantile = 0.95\njudge = \"sign\"\n[[services.fraud.gates]]\nalarms = [\"slow\"]";
    for (source, null) in [("cloudwatch", "day_before"), ("prometheus", "divided")] {
        let sandbox = Sandbox::start(&["--speed", "60"], &world(HEALTHY, "0s"));
        let text = config("30s", "").replace(quantile, compared).replace(
            "alarms = [\"slow\"]",
            if source == "cloudwatch" { "alarms = [\"slow\"]" } else { "metric = \"requests\"\njudge = \"sign\"" },
        );
        sandbox.write("mlroll.toml", &if source == "cloudwatch" { cloudwatch(text) } else { text });
        let (code, tried) = sandbox.run(&["gate", "backtest", "--since", "2h", "--regression", "1.5x"]);
        assert_eq!(code, 0, "{tried}");
        let gates = tried["gates"].as_array().unwrap();
        assert_eq!((&gates[0]["gate"], &gates[1]["gate"]), (&"error_rate".into(), &"p95".into()), "{tried}");
        let result = &gates[1]["result"];
        assert_eq!(result["null"], null, "{tried}");
        let of = |side: &str, name: &str| result[side][name].as_f64().unwrap();
        assert!(of("healthy", "failed") <= 0.02 * of("healthy", "bakes"), "{tried}");
        assert!(of("regressed", "failed") > 0.6 * of("regressed", "bakes"), "{tried}");
        // Alarms, and how many requests each gets, are named and not tried.
        assert_eq!(tried["untried"].as_array().unwrap().len(), 1, "{tried}");
        // The gate that counts has its two hours, and no day more.
        let windows = gates[0]["result"]["windows"].as_u64().unwrap();
        assert!((110..=121).contains(&windows), "{tried}");
    }
}
