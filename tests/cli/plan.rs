//! What `plan` says is what a run does.

use serde_json::{Value, json};

use crate::sandbox::{HEALTHY, Sandbox, config, world};
use crate::world::{FRAUD, World};

/// What runs has half of alpha, and the exact test at the end of a step sees more than is lost by that.
#[test]
fn an_exact_test_at_the_end_is_foretold() {
    let sandbox = Sandbox::start(&["--speed", "600"], &world(HEALTHY, "0s"));
    let tolerates = r#"max_increase = { ratio = 1.5, abs = "0.2%" }"#;
    let given = ["--rps", "200", "--base-rate", "1%"];
    let [without, with] = ["", "final_look = true"].map(|more| {
        let strict = format!("max_increase = {{ ratio = 1.5 }}\nfail = {{ ratio = 1.0 }}\n{more}");
        sandbox.write("mlroll.toml", &config("30s", "").replace(tolerates, &strict));
        let (code, plan) = sandbox.run(&[&["plan", "--regression", "1.27x"], &given[..]].concat());
        assert_eq!(code, 0, "{plan}");
        plan
    });
    let sight = |plan: &Value, name: &str| plan["steps"][0]["gates"][0][name].as_f64().unwrap();
    for (name, less) in [("chance_to_fail", false), ("smallest", true), ("requests_to_fail", true)] {
        let (without, with) = (sight(&without, name), sight(&with, name));
        assert_eq!(with < without, less, "{name}: {with}, {without}");
    }
    assert_eq!(with["steps"][0]["requests"], with["steps"][0]["gates"][0]["requests_to_fail"], "after the last look");
    assert_eq!(with["gates"][0]["alpha"], without["gates"][0]["alpha"], "the gate has what it had");
    let typed = [&["gate", "power", "--pct", "10", "--gate", "error_rate"], &given[..]].concat();
    let (code, power) = sandbox.run(&typed);
    assert_eq!((code, &power["gates"][0]["final_look"]), (0, &json!(true)), "{power}");
    let half = with["gates"][0]["alpha"].as_f64().unwrap() / 2.0;
    assert_eq!(power["gates"][0]["alpha"].as_f64().unwrap(), half, "{power}");
    let (_, bursty) = sandbox.run(&[&typed[..], &["--design-effect", "2"]].concat());
    assert_eq!((&bursty["gates"][0]["final_look"], &bursty["gates"][0]["alpha"]), (&json!(false), &json!(2.0 * half)));
}

/// Times stable's rate, in `plan` as in `gate power` and `gate backtest`.
#[test]
fn a_regression_is_one_of_stable() {
    let sandbox = Sandbox::start(&["--speed", "600"], &world(HEALTHY, "0s"));
    sandbox.write("mlroll.toml", &config("30s", ""));
    let given = ["--rps", "200", "--base-rate", "1%", "--pct", "10"];
    let sight = |more: &[&str]| {
        let (code, plan) = sandbox.run(&[&["plan"][..], &given, more].concat());
        assert_eq!(code, 0, "{plan}");
        (plan["steps"][0]["gates"][0].clone(), plan["warnings"].to_string())
    };
    let (fivefold, _) = sight(&["--regression", "5x"]);
    assert_eq!((&fivefold["regressed"], &fivefold["regression"]), (&json!(0.05), &json!(5.0)));
    let typed = [&["gate", "power"][..], &given, &["--gate", "error_rate", "--regression", "5x"]].concat();
    let (code, power) = sandbox.run(&typed);
    assert_eq!((code, &power["gates"][0]["asked"]["rate"]), (0, &json!(0.05)), "{power}");
    // Half as much again, and 0.2 %: nobody asks of this gate to see a tenth more.
    let (within, warnings) = sight(&["--regression", "1.1x"]);
    assert!(within["requests_to_fail"].is_null() && warnings.contains("is not meant to fail"), "{within} {warnings}");
    let (usual, _) = sight(&[]);
    let of = |name: &str| usual[name].as_f64().unwrap();
    assert!((of("regressed") - 2.0 * of("tolerated")).abs() < 1e-12, "{usual}");
    assert!((of("regression") - of("regressed") / 0.01).abs() < 1e-9, "{usual}");
}

#[test]
fn a_plan_tells_what_gates_see_and_how_long_it_takes() {
    let sandbox = Sandbox::start(&["--speed", "600"], &world(HEALTHY, "0s"));
    sandbox.write("mlroll.toml", &config("30s", ""));
    let (_, plan) = sandbox.run(&["plan"]);
    let near = |value: &Value, wanted: f64, part: f64| {
        let value = value.as_f64().unwrap();
        assert!((value - wanted).abs() <= part * wanted, "{value}, not {wanted}");
    };
    // 200 requests per second, of which 0.2 % fail, as the store tells.
    near(&plan["traffic"]["requests_per_second"], 200.0, 0.05);
    near(&plan["gates"][0]["base_rate"], 0.002, 0.25);
    assert_eq!(plan["horizon"], 28);
    assert_eq!((&plan["stable"], &plan["candidate"]), (&json!("2"), &json!("3")));
    let first = &plan["steps"][0];
    assert_eq!(first["looks"], json!({"least": 4, "most": 14}));
    // At most: the warm-up, until the grid begins, 14 looks, and how late the store is.
    let most = first["seconds"]["most"].as_u64().unwrap();
    assert!((14 * 60 + 30..=17 * 60 + 30).contains(&most), "{most}");
    let sight = &first["gates"][0];
    let rate = |name: &str| sight[name].as_f64().unwrap();
    assert!(rate("base_rate") < rate("tolerated") && rate("tolerated") < rate("smallest"), "{sight}");
    near(&sight["regressed"], 2.0 * rate("tolerated"), 0.001);
    assert!(rate("exposed") > rate("requests_to_fail"), "{sight}");
    // More of the traffic shows smaller regressions.
    assert!(plan["steps"][1]["gates"][0]["smallest"].as_f64().unwrap() < rate("smallest"), "{plan}");

    // A tenth of a percent of little traffic shows nothing, and it says what would.
    let (code, thin) = sandbox.run(&["plan", "--pct", "1", "--rps", "10", "--base-rate", "0.5%", "--bake", "10m"]);
    assert_eq!(code, 0, "{thin}");
    let warning = thin["warnings"][0].as_str().unwrap();
    assert!(warning.contains("does not see") && warning.contains("bake "), "{warning}");
    assert!(
        thin["unknown"].as_array().unwrap().iter().any(|what| what.as_str().unwrap().contains("`latency`")),
        "{thin}"
    );
}

/// How surely a good candidate passes: as `gate power` says it, and a warning that says what would do.
#[test]
fn a_plan_tells_how_surely_a_good_candidate_passes() {
    let sandbox = Sandbox::start(&["--speed", "600"], &world(HEALTHY, "0s"));
    sandbox.write("mlroll.toml", &config("30s", ""));
    let given = ["--base-rate", "0.2%", "--pct", "10"];
    let plan = |more: &[&str]| {
        let share = if more.contains(&"--pct") { &[][..] } else { &["--pct", "10"] };
        let (code, plan) = sandbox.run(&[&["plan", "--base-rate", "0.2%"], share, more].concat());
        assert_eq!(code, 0, "{plan}");
        let chance = plan["steps"][0]["gates"][0]["chance_to_pass"].as_f64().unwrap();
        let unsure = |text: &&str| text.contains("`error_rate` passes a candidate as good as stable");
        let warnings = plan["warnings"].as_array().unwrap().iter().filter_map(Value::as_str);
        (chance, warnings.filter(unsure).map(str::to_owned).collect::<Vec<_>>(), plan.clone())
    };
    let (sure, warnings, told) = plan(&["--rps", "200", "--bake", "10m"]);
    assert!((0.97..0.997).contains(&sure) && warnings.is_empty(), "{sure} {warnings:?}");
    // The warm-up, half of the bake, and how late the store is.
    assert_eq!(told["steps"][0]["gates"][0]["seconds_to_pass"], 5.0 * 60.0 + 30.0);
    let few = ["--rps", "60", "--bake", "10m"];
    let (unsure, warnings, _) = plan(&few);
    assert!((0.3..0.9).contains(&unsure), "{unsure}");
    let typed = [&["gate", "power", "--gate", "error_rate"][..], &given, &few].concat();
    let (code, power) = sandbox.run(&typed);
    let passes = &power["gates"][0]["passes"];
    let beside = passes["chance"].as_f64().unwrap();
    assert!(code == 0 && (beside - unsure).abs() < 0.03, "{unsure}, {power}");
    assert_eq!((&power["beta"], &power["min_looks"]), (&json!(0.05), &json!(4)), "{power}");
    let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
    assert!(warning.contains("of cases only; otherwise the canary ends inconclusive: bake "), "{warning}");
    let (_, advice) = warning.split_once(": bake ").unwrap();
    let (bake, share) = advice.split_once(", or take ").unwrap();
    let (longer, _, _) = plan(&["--rps", "60", "--bake", &bake.replace(' ', "")]);
    assert!((0.88..0.97).contains(&longer), "{warning}: {longer}");
    let (larger, _, _) = plan(&["--rps", "60", "--bake", "10m", "--pct", share.trim_end_matches(" %")]);
    assert!(larger > 0.88, "{warning}: {larger}");
}

/// Down to the bodies, but for what only the run can know: the guard, the time and the run's id.
#[test]
fn the_bodies_of_an_unjudged_run_are_those_of_its_plan() {
    let world = World::new();
    let steady = |body: &Value| {
        let mut body = body.clone();
        let description = body["Description"].as_str().unwrap().split(" at=").next().unwrap().to_owned();
        body["Description"] = description.into();
        body.as_object_mut().unwrap().remove("RevisionId");
        body
    };
    let arguments = ["--no-gates", "--steps", "10%,50%,100%", "--bake", "1s"];
    let (ran, plan) = world.verb(&[&["plan"][..], &arguments].concat());
    ran.expect(0);
    assert!(world.sent(mlroll_faults::Operation::UpdateAlias).is_empty());
    let (ran, dry) = world.verb(&[&["rollout", "--dry-run"][..], &arguments].concat());
    ran.expect(0);
    assert!(world.sent(mlroll_faults::Operation::UpdateAlias).is_empty());
    world.verb(&[&["rollout"][..], &arguments].concat()).0.expect(0);
    let made: Vec<Value> =
        world.sent(mlroll_faults::Operation::UpdateAlias).iter().map(|request| steady(&request.body)).collect();
    let steps = plan["steps"].as_array().unwrap();
    let said: Vec<Value> = steps.iter().map(|step| steady(&step["calls"][0]["body"])).collect();
    assert_eq!(said, made, "{plan}");
    let last = dry["calls"].as_array().unwrap().last().unwrap();
    assert_eq!((dry["schema"].as_str(), steady(&last["body"])), (Some("mlroll/dry-run/1"), made[0].clone()), "{dry}");
    assert!(dry["targets"][0]["notes"].to_string().contains("depend on what is seen"), "{dry}");
}

#[test]
fn what_cannot_be_planned_exits_2_with_a_hint() {
    let world = World::new();
    for (arguments, hint) in [
        (&["plan", "--target", FRAUD][..], "no service of mlroll.toml"),
        (&["plan", "--target", FRAUD, "--no-gates"], "--steps"),
        (&["plan", "--target", FRAUD, "--no-gates", "--pct", "0"], "no canary"),
        (&["plan", "--target", FRAUD, "--no-gates", "--pct", "10", "--rps", "0"], "such as 120"),
        (&["plan", "--target", FRAUD, "--no-gates", "--pct", "10", "--regression", "0.5x"], "such as `2x`"),
    ] {
        world.run(arguments).expect(2).says(hint);
    }
    assert_eq!(world.wire().1, 0);
}

/// Stable itself is over the limit: nobody is promised that a candidate as good stays.
#[test]
fn a_plan_tells_that_a_good_candidate_is_failed() {
    let sandbox = Sandbox::start(&["--speed", "600"], &world(HEALTHY, "0s"));
    let gate = "[[services.fraud.gates]]\nname = \"limit\"\nmetric = \"error_rate\"\nmax = \"0.5%\"\n";
    sandbox.write("mlroll.toml", &format!("{}\n{gate}", config("30s", "")));
    let seen = |base_rate: &str| {
        let (code, plan) = sandbox.run(&["plan", "--rps", "200", "--base-rate", base_rate, "--pct", "25"]);
        assert_eq!(code, 0, "{plan}");
        let gates = plan["steps"][0]["gates"].as_array().unwrap();
        let limit = gates.iter().find(|gate| gate["gate"] == "limit").unwrap();
        (limit["false_alarm"].as_f64().unwrap(), plan["warnings"].to_string())
    };
    let (within, warnings) = seen("0.2%");
    assert!(within <= 0.01 && !warnings.contains("fails a candidate as good"), "{within} {warnings}");
    let (beyond, warnings) = seen("1%");
    assert!(beyond > 0.5 && warnings.contains("`limit` fails a candidate as good as stable"), "{beyond} {warnings}");
}

/// What always happens is seen with certainty, by simulation and by formula.
#[test]
fn what_always_happens_is_certain() {
    let sandbox = Sandbox::start(&["--speed", "600"], &world(HEALTHY, "0s"));
    let typed =
        ["gate", "power", "--gate", "{\"metric\": \"error_rate\", \"max\": \"60%\"}", "--rps", "50", "--pct", "10"];
    let (code, power) = sandbox.run(&[&typed[..], &["--base-rate", "55%"]].concat());
    let asked = &power["gates"][0]["asked"];
    assert_eq!(
        (code, &asked["rate"], &asked["chance"], &asked["formula"]["chance"]),
        (0, &json!(1.0), &json!(1.0), &json!(1.0)),
        "{power}"
    );
}
