use proptest::prelude::*;
use serde_json::{Value, json};

use super::replay;

fn run(document: &Value) -> Value {
    replay(&document.to_string()).unwrap()
}

fn refusal(document: &Value) -> String {
    replay(&document.to_string()).unwrap_err().to_string()
}

fn look(x_c: u32, n_c: u32, x_b: u32, n_b: u32) -> Value {
    json!({"candidate": {"requests": n_c, "events": x_c}, "stable": {"requests": n_b, "events": x_b}})
}

/// The example of docs/cli.md.
fn example(looks: &[Value]) -> Value {
    json!({"gate": {"metric": "error_rate", "fail": {"ratio": 1.0, "abs": 0}, "pass": {"ratio": 1.5, "abs": 0.001}},
        "alpha": 0.01, "beta": 0.05, "horizon": 120, "design_effect": 1.0, "looks": looks})
}

fn with(mut document: Value, key: &str, value: Value) -> Value {
    document[key] = value;
    document
}

#[track_caller]
fn near(got: &Value, want: f64) {
    crate::judge::tests::assert_near(got.as_f64().unwrap(), want);
}

#[test]
fn the_example_of_the_page() {
    let report = run(&example(&[look(9, 300, 31, 2700), look(8, 300, 25, 2700)]));
    assert_eq!(report["schema"], "mlroll/replay/1");
    near(&report["looks"][0]["ln_e_fail"], 1.035_745_987_389);
    near(&report["looks"][0]["ln_e_pass"], -1.212_659_409_97);
    near(&report["looks"][1]["ln_e_fail"], 3.174_051_437_8);
    assert_eq!(report["looks"][0]["verdict"], "inconclusive");
    assert_eq!(report["verdict"], "inconclusive");
    assert_eq!((&report["first_fail"], &report["final_p"]), (&Value::Null, &Value::Null));
    assert_eq!(report["design_effect"], 1.0);
}

#[test]
fn fail_is_sticky_and_every_look_is_judged() {
    let mut looks = vec![look(40, 300, 31, 2700)];
    looks.extend(vec![look(0, 3000, 300, 2700); 5]);
    let report = run(&example(&looks));
    assert_eq!((&report["first_fail"], &report["verdict"]), (&json!(1), &json!("fail")));
    assert_eq!(report["first_pass"], 2);
    assert!(report["looks"].as_array().unwrap().iter().all(|look| look["verdict"] == "fail"));
    assert_eq!(report["looks"].as_array().unwrap().len(), 6);
}

#[test]
fn no_requests_count_as_a_look_without_evidence() {
    let silent = json!({"candidate": {"requests": 0, "events": 0}, "stable": null});
    let report = run(&example(&[silent, look(9, 300, 31, 2700)]));
    near(&report["looks"][0]["ln_e_fail"], 0.0);
    // Half of the capital was bet on the first look and is still there, 1/238 is added at the second.
    assert!(report["looks"][1]["ln_e_fail"].as_f64().unwrap() > 1.0);
}

#[test]
fn a_limit_needs_no_stable() {
    let looks = vec![
        json!({"candidate": {"requests": 250, "events": 0}}),
        json!({"candidate": {"requests": 250, "events": 1}}),
    ];
    let document = json!({"gate": {"metric": "error_rate", "max": "1%"}, "looks": looks});
    let report = run(&document);
    near(&report["looks"][1]["ln_e_pass"], 1.673_716_772_145);
    assert!(report["interval"]["upper"].as_f64().unwrap() < 0.1);
    let both = json!({"metric": "error_rate", "max": "1%", "max_increase": {"ratio": 2}});
    assert!(refusal(&with(document, "gate", both)).contains("looks[0]: `stable` is missing"));
}

#[test]
fn two_limits_average_fail_and_take_the_smaller_pass() {
    let looks = [look(9, 300, 31, 2700)];
    let gate = |keys: Value| run(&with(example(&looks), "gate", keys))["looks"][0].clone();
    let limit = gate(json!({"metric": "error_rate", "max": "1%"}));
    let ratio = gate(json!({"metric": "error_rate", "max_increase": {"ratio": 1.5}}));
    let both = gate(json!({"metric": "error_rate", "max": "1%", "max_increase": {"ratio": 1.5}}));
    let number = |look: &Value, key: &str| look[key].as_f64().unwrap();
    let mean = (number(&limit, "ln_e_fail").exp() + number(&ratio, "ln_e_fail").exp()) / 2.0;
    near(&both["ln_e_fail"], mean.ln());
    near(&both["ln_e_pass"], number(&limit, "ln_e_pass").min(number(&ratio, "ln_e_pass")));
}

/// The mean of the up and the down e-process at the same boundary (docs/judge.md section 3.2).
#[test]
fn two_sided_is_the_mean_of_up_and_down() {
    let looks = [look(9, 300, 31, 2700), look(1, 300, 25, 2700)];
    let gate = |keys: Value| run(&with(example(&looks), "gate", keys));
    let up = gate(json!({"metric": "error_rate", "fail": {"ratio": 1}}));
    let down = gate(json!({"metric": "error_rate", "better": "higher", "fail": {"ratio": 1}}));
    let both = gate(json!({"metric": "error_rate", "two_sided": true, "fail": {"ratio": 1}}));
    for at in 0..2 {
        let e = |report: &Value| report["looks"][at]["ln_e_fail"].as_f64().unwrap().exp();
        near(&both["looks"][at]["ln_e_fail"], (e(&up) / 2.0 + e(&down) / 2.0).ln());
    }
    let wrong = json!({"metric": "error_rate", "two_sided": true, "max": "1%"});
    assert!(refusal(&with(example(&looks), "gate", wrong)).starts_with("gate: two_sided: "));
}

#[test]
fn latency_counts_what_is_above_the_limit() {
    let side = |fast: u32, all: u32| json!({"buckets": [[0.1, fast / 2], [0.3, fast], ["+Inf", all]]});
    let document = |max: &str| {
        json!({"gate": {"metric": "latency", "quantile": 0.95, "max": max},
            "looks": [{"candidate": side(900, 1000)}, {"candidate": side(0, 0)}, {"candidate": null}]})
    };
    let report = run(&document("300ms"));
    assert_eq!(report["looks"][0]["quantile"], 0.3);
    assert_eq!(report["looks"][1]["quantile"], Value::Null);
    assert_eq!(report["first_fail"], 1);
    assert_eq!(report["warnings"], json!([]));
    let counted = json!({"gate": {"metric": "error_rate", "max": 0.05},
        "looks": [{"candidate": {"requests": 1000, "events": 100}}]});
    near(&report["looks"][0]["ln_e_fail"], run(&counted)["looks"][0]["ln_e_fail"].as_f64().unwrap());
    let between = run(&document("200ms"));
    assert!(between["warnings"][0].as_str().unwrap().contains("bucket bound"));
    assert_eq!(between["looks"][0]["ln_e_fail"], report["looks"][0]["ln_e_fail"]);
    assert!(between["interval"]["upper"].as_f64().unwrap() > 0.5);
}

#[test]
fn series_take_a_missing_value_as_a_look_without_evidence() {
    let looks: Vec<Value> = (0..7).map(|_| json!({"candidate": 1.2, "stable": 1.0})).collect();
    let mut document = json!({"gate": {"metric": "latency", "judge": "sign"}, "alpha": 0.05, "looks": looks});
    let report = run(&document);
    assert_eq!((&report["first_fail"], &report["interval"]), (&json!(7), &Value::Null));
    document["looks"][3]["candidate"] = Value::Null;
    assert_eq!(run(&document)["first_fail"], Value::Null);
    document["looks"][3]["candidate"] = json!(0);
    assert!(refusal(&document).starts_with("looks[3]: values must be above 0"));
    document["gate"]["difference"] = json!("plain");
    assert_eq!(run(&document)["looks"].as_array().unwrap().len(), 7);
}

#[test]
fn a_series_may_have_its_own_limit() {
    let looks: Vec<Value> = [11.0, 10.9, 11.2, 10.8, 11.1, 11.0, 10.7].map(|c| json!({"candidate": c})).to_vec();
    let document = json!({"gate": {"name": "carbon", "query": "q", "max": 12.0}, "looks": looks});
    assert_eq!(run(&document)["verdict"], "pass");
}

#[test]
fn planned_looks_report_their_tests() {
    let high: Vec<f64> = (0..12).map(|k| 2.0 + 0.01 * f64::from(k)).collect();
    let low: Vec<f64> = (0..12).map(|k| 1.0 + 0.013 * f64::from(k)).collect();
    let looks = json!([{"candidate": high, "stable": low}]);
    let report = run(&json!({"gate": {"metric": "latency", "judge": "mann_whitney"}, "looks": looks}));
    let first = &report["looks"][0];
    assert_eq!((&first["ln_e_fail"], &first["cles"], &report["verdict"]), (&Value::Null, &json!(1.0), &json!("fail")));
    near(&first["p"], 1.0 / 2_704_156.0);
    let kayenta = run(&json!({"gate": {"metric": "latency", "judge": "kayenta"}, "looks": looks}));
    assert_eq!((&kayenta["looks"][0]["classification"], &kayenta["first_fail"]), (&json!("High"), &json!(1)));
    let empty = run(
        &json!({"gate": {"metric": "latency", "judge": "kayenta"}, "looks": [{"candidate": [null], "stable": low}]}),
    );
    assert_eq!((&empty["looks"][0]["classification"], &empty["verdict"]), (&json!("Nodata"), &json!("inconclusive")));
}

#[test]
fn kayenta_is_judged_by_its_own_settings() {
    let high: Vec<f64> = (0..20).map(|k| 2.0 + 0.01 * f64::from(k * 7 % 20)).collect();
    let low: Vec<f64> = (0..20).map(|k| 1.0 + 0.01 * f64::from(k * 7 % 20)).collect();
    let many: Vec<f64> = (0..200).map(|k| 1.0 + 0.001 * f64::from(k * 7 % 200)).collect();
    let spiked: Vec<f64> = many.iter().copied().chain([1e6]).collect();
    let holed: Vec<Value> = low.iter().map(|value| json!(value)).chain(std::iter::repeat_n(Value::Null, 40)).collect();
    for (settings, candidate, stable, word, verdict) in [
        (json!({}), json!(high), json!(low), "High", "fail"),
        (json!({}), json!(low), json!(high), "Pass", "pass"),
        (json!({ "direction": "decrease" }), json!(high), json!(low), "Pass", "pass"),
        (json!({ "direction": "decrease" }), json!(low), json!(high), "Low", "fail"),
        (json!({ "direction": "either" }), json!(low), json!(high), "Low", "fail"),
        (json!({ "effect_size": { "allowed_increase": 1.9 } }), json!(high), json!(low), "High", "fail"),
        (json!({ "effect_size": { "allowed_increase": 2.1 } }), json!(high), json!(low), "Pass", "pass"),
        (
            json!({ "effect_size": { "measure": "cles", "allowed_increase": 0.99 } }),
            json!(high),
            json!(low),
            "High",
            "fail",
        ),
        (
            json!({ "direction": "decrease", "effect_size": { "allowed_decrease": 0.4 } }),
            json!(low),
            json!(high),
            "Pass",
            "pass",
        ),
        (json!({}), json!([null, null]), json!(low), "Nodata", "inconclusive"),
        (json!({ "must_have_data": true }), json!([null, null]), json!(low), "Nodata", "fail"),
        (json!({ "nan_strategy": "replace" }), json!([]), json!(low), "Pass", "pass"),
        (json!({ "nan_strategy": "replace", "direction": "either" }), json!(holed), json!(low), "Low", "fail"),
        (json!({ "direction": "either" }), json!(holed), json!(low), "Pass", "pass"),
        (json!({ "outliers": "remove" }), json!(spiked), json!(many), "Pass", "pass"),
    ] {
        let gate = json!({ "name": "x", "query": "q", "judge": "kayenta", "kayenta": settings });
        let report = run(&json!({ "gate": gate, "looks": [{ "candidate": candidate, "stable": stable }] }));
        let look = &report["looks"][0];
        assert_eq!(
            (&look["classification"], &report["verdict"]),
            (&json!(word), &json!(verdict)),
            "{settings}: {report}"
        );
    }
    let sized = |measure: &str| {
        let gate = json!({ "name": "x", "query": "q", "judge": "kayenta", "kayenta": { "effect_size": { "measure": measure } } });
        run(&json!({ "gate": gate, "looks": [{ "candidate": high, "stable": low }] }))["looks"][0]["effect"].clone()
    };
    near(&sized("mean_ratio"), 2.095 / 1.095);
    assert_eq!(sized("cles"), json!(1.0));
    // Without its outlier one side is the other, which needs no test.
    let gate =
        |outliers: &str| json!({ "name": "x", "query": "q", "judge": "kayenta", "kayenta": { "outliers": outliers } });
    let ratio = |outliers: &str| {
        run(&json!({ "gate": gate(outliers), "looks": [{ "candidate": spiked, "stable": many }] }))["looks"][0]["effect"].clone()
    };
    assert!(ratio("keep").as_f64().unwrap() > 10.0, "{}", ratio("keep"));
    assert_eq!(ratio("remove"), Value::Null);
}

#[test]
fn a_better_sample_passes_and_few_values_decide_nothing() {
    let sides = |n: i32| -> (Vec<f64>, Vec<f64>) {
        ((0..n).map(|k| 1.0 + 0.01 * f64::from(k)).collect(), (0..n).map(|k| 2.0 + 0.01 * f64::from(k)).collect())
    };
    for (n, verdict) in [(12, "pass"), (7, "inconclusive")] {
        let (candidate, stable) = sides(n);
        let looks = json!([{"candidate": candidate, "stable": stable}]);
        let report = run(&json!({"gate": {"metric": "latency", "judge": "mann_whitney"}, "looks": looks}));
        assert_eq!(report["verdict"], verdict);
    }
}

#[test]
fn the_final_look_shares_alpha_and_may_decide() {
    // Four looks of modest excess: the ledger is not there yet, the exact test is.
    let document = with(example(&vec![look(16, 1000, 90, 9000); 4]), "horizon", json!(4));
    let without = run(&document);
    assert_eq!((&without["verdict"], &without["final_p"]), (&json!("inconclusive"), &Value::Null));
    let report = run(&with(document.clone(), "final_look", json!(true)));
    assert!(report["final_p"].as_f64().unwrap() < 0.005);
    assert_eq!((&report["verdict"], &report["first_fail"]), (&json!("fail"), &json!(4)));
    let early = run(&with(with(document.clone(), "final_look", json!(true)), "horizon", json!(5)));
    assert_eq!(early["verdict"], "inconclusive");
    let bursty = run(&with(with(document, "final_look", json!(true)), "design_effect", json!(2)));
    assert_eq!(bursty["final_p"], Value::Null);
    assert!(bursty["warnings"][0].as_str().unwrap().starts_with("final_look"));
}

#[test]
fn the_design_effect_is_given_or_measured() {
    let window = |x: u32| json!({"requests": 1000, "events": x});
    let bursty: Vec<Value> = (0..40).map(|k| window(40 * (k % 2))).collect();
    let mut document = example(&[look(9, 300, 31, 2700)]);
    document["history"] = json!(bursty);
    assert!(run(&document)["design_effect"].as_f64().unwrap() > 40.0);
    document["history"] = json!([window(1)]);
    let short = run(&document);
    assert_eq!(short["design_effect"], 2.0);
    assert!(short["warnings"][0].as_str().unwrap().contains("history"));
    document["design_effect"] = json!(3);
    assert!(refusal(&document).contains("not both"));
}

#[test]
fn many_series_report_their_last_look() {
    let looks = vec![look(9, 300, 31, 2700), look(8, 300, 25, 2700)];
    let mut document = example(&looks);
    let alone = run(&document);
    document.as_object_mut().unwrap().remove("looks");
    document["series"] = json!([looks, [], [look(99, 300, 1, 2700)]]);
    let report = run(&document);
    assert_eq!(report["series"][0]["ln_e_fail"], alone["looks"][1]["ln_e_fail"]);
    assert_eq!(
        report["series"][1],
        json!({"ln_e_fail": null, "ln_e_pass": null, "first_fail": null,
        "first_pass": null, "verdict": "inconclusive"})
    );
    assert_eq!((&report["series"][2]["first_fail"], &report["series"][2]["verdict"]), (&json!(1), &json!("fail")));
    assert_eq!(report.get("looks"), None);
}

#[test]
fn refuses_what_makes_no_sense_and_names_the_place() {
    let good = example(&[look(9, 300, 31, 2700)]);
    for (pointer, value, want) in [
        ("/alpha", json!(0), "alpha: an error level"),
        ("/beta", json!("x"), "beta: expected a number"),
        ("/horizon", json!(0), "horizon: a horizon"),
        ("/horizon", json!(1.5), "horizon: a horizon"),
        ("/design_effect", json!(0.5), "design_effect: a design effect"),
        ("/gate", json!([]), "gate: "),
        ("/gate/fail/ratio", json!(-1), "gate: fail: ratio"),
        ("/looks", json!({}), "looks: expected a list"),
        ("/looks/0", json!(7), "looks[0]: expected an object"),
        ("/looks/0/candidate", json!({"requests": 1}), "looks[0].candidate: `events` is missing"),
        ("/looks/0/candidate/events", json!(301), "looks[0].candidate: events must not exceed"),
        ("/looks/0/candidate/events", json!(-1), "looks[0].candidate: events must be"),
        ("/looks/0/stable/requests", json!(null), "looks[0].stable.requests: expected a number"),
        ("/looks/0/stable", json!({"requests": 1, "events": 0, "evens": 0}), "looks[0].stable: unknown key `evens`"),
        ("/final_look", json!("yes"), "final_look: expected true"),
    ] {
        let mut document = good.clone();
        document["final_look"] = json!(false);
        *document.pointer_mut(pointer).unwrap() = value;
        let message = refusal(&document);
        assert!(message.starts_with(want), "{pointer}: {message}");
    }
    assert!(refusal(&with(good.clone(), "alhpa", json!(0.1))).contains("unknown key `alhpa`"));
    assert!(refusal(&with(good.clone(), "series", json!([]))).contains("either `looks`"));
    assert!(refusal(&json!({})).contains("`gate` is missing"));
    assert!(replay("{").unwrap_err().to_string().starts_with("not JSON: "));
    assert!(replay("").unwrap_err().place().is_empty());
    let nested = with(json!({"gate": good["gate"]}), "series", json!([[look(1, 2, 3, 4)], [look(3, 2, 1, 1)]]));
    assert!(refusal(&nested).starts_with("series[1][0].candidate: events"), "{}", refusal(&nested));
    let zero = json!({"gate": {"metric": "latency", "judge": "t"}, "series": [[{"candidate": 0, "stable": 1}]]});
    assert!(refusal(&zero).starts_with("series[0][0]: values"), "{}", refusal(&zero));
    let bucket = json!({"gate": {"metric": "latency", "quantile": 0.9, "max": "1s"},
        "looks": [{"candidate": {"buckets": [[0.1, 1], ["x", 2]]}}]});
    assert!(refusal(&bucket).starts_with("looks[0].candidate.buckets[1]: a bucket bound"), "{}", refusal(&bucket));
}

/// Any JSON, from words that replay files use, so that some of it gets far.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-2i64..400).prop_map(Value::from),
        prop_oneof![
            Just("error_rate"),
            Just("latency"),
            Just("1%"),
            Just("300ms"),
            Just("sign"),
            Just("+Inf"),
            Just("é%")
        ]
        .prop_map(Value::from),
    ];
    let keys = prop_oneof![
        Just("gate"),
        Just("looks"),
        Just("series"),
        Just("candidate"),
        Just("stable"),
        Just("requests"),
        Just("events"),
        Just("metric"),
        Just("max"),
        Just("judge"),
        Just("history"),
        Just("buckets"),
        Just("quantile"),
        Just("alpha"),
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((keys.clone(), inner), 0..6)
                .prop_map(|entries| entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

fn gates() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({"metric": "error_rate", "max": 0.9, "max_increase": {"ratio": 1e6, "abs": 1}})),
        Just(json!({"metric": "error_rate", "better": "higher", "fail": {"ratio": 1e-6}})),
        Just(json!({"metric": "latency", "judge": "sign", "difference": "plain"})),
        Just(json!({"metric": "latency", "judge": "t", "difference": "plain", "tolerance": 1e90})),
        Just(json!({"metric": "latency", "judge": "t"})),
    ]
}

fn extreme() -> impl Strategy<Value = f64> {
    prop_oneof![0.0f64..1e15, 0.0f64..1e-300, Just(0.0), Just(1e15), Just(5e-324), 0.0f64..100.0, 1e-100f64..1e100]
}

/// Every number that is not there must be null for a reason the page gives.
fn finite_evidence(report: &Value) -> bool {
    report["looks"].as_array().unwrap().iter().all(|look| look["ln_e_fail"].is_f64() && look["ln_e_pass"].is_f64())
}

/// A replay file of every kind of gate.
fn of_every_kind() -> Vec<Value> {
    let buckets = |fast: u32| json!({"buckets": [[0.1, fast], ["0.3", fast + 5], ["+Inf", fast + 9]]});
    let histograms =
        json!([{"candidate": buckets(90), "stable": buckets(900)}, {"candidate": null, "stable": buckets(3)}]);
    let values = json!([{"candidate": 1.2, "stable": 1.0}, {"candidate": 1.1, "stable": null}, {"candidate": 0.9, "stable": 1.3}]);
    let samples = json!([{"candidate": [1, 2.5, null, 4, 2, 2, 3, 9, 8], "stable": [1, 1, 2, 3, 4, 5, 6, 7]}]);
    let history: Vec<Value> = (0..24).map(|k| json!({"requests": 1000, "events": k % 5})).collect();
    let counts = json!([look(9, 300, 31, 2700), {"strata": [look(1, 30, 3, 270), look(0, 0, 5, 9)]}]);
    let file =
        |gate: Value, looks: &Value| json!({"gate": gate, "alpha": 0.01, "beta": "5%", "horizon": 12, "looks": looks});
    let both = json!({"metric": "error_rate", "max": "1%", "max_increase": {"ratio": 1.5, "abs": "0.1%"}});
    vec![
        with(file(both.clone(), &counts), "history", json!(history)),
        with(
            file(json!({"metric": "error_rate", "better": "higher", "fail": {"ratio": 0.9}}), &counts),
            "final_look",
            json!(true),
        ),
        with(json!({"gate": both}), "series", json!([[look(9, 300, 31, 2700)], []])),
        file(json!({"metric": "availability", "min": "99%"}), &counts),
        file(json!({"metric": "latency", "quantile": 0.95, "max": "200ms", "fail": {"ratio": 1.1}}), &histograms),
        with(
            file(json!({"metric": "latency", "quantile": 0.5, "fail": {"abs": 0}}), &histograms),
            "history",
            json!([buckets(5)]),
        ),
        file(json!({"metric": "latency", "judge": "shape"}), &histograms),
        file(json!({"metric": "latency", "judge": "sign", "tolerance": "5%"}), &values),
        file(json!({"name": "p", "query": "q", "judge": "t", "difference": "plain", "pass_tolerance": 0.2}), &values),
        file(json!({"name": "p", "query": "q", "max": 12.5}), &values),
        file(json!({"metric": "latency", "judge": "mann_whitney", "better": "higher"}), &samples),
        file(json!({"metric": "latency", "judge": "kayenta", "tolerance": 0.1}), &samples),
    ]
}

/// Puts something else in the place of the `at`-th value of a document, or takes it away.
fn mutate(document: &mut Value, at: &mut usize, other: Option<&Value>) {
    if *at == 0 {
        *document = other.cloned().unwrap_or_default();
    }
    *at = at.wrapping_sub(1);
    let children: Vec<&mut Value> = match document {
        Value::Array(items) => items.iter_mut().collect(),
        Value::Object(map) => {
            if *at == 0 && other.is_none() {
                map.retain(|key, _| key.len() > 5);
            }
            map.values_mut().collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    for child in children {
        mutate(child, at, other);
    }
}

#[test]
fn a_file_of_every_kind_is_judged() {
    for document in of_every_kind() {
        run(&document);
        assert_eq!(run(&with(document.clone(), "horizon", json!(12.0))), run(&with(document, "horizon", json!(12))));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_mutated_file_panics(
        kind in any::<proptest::sample::Index>(), places in proptest::collection::vec(0usize..80, 1..4),
        others in proptest::collection::vec(proptest::option::weighted(0.8, any_json()), 3), cut in any::<proptest::sample::Index>(),
    ) {
        let mut document = kind.get(&of_every_kind()).clone();
        for (place, other) in places.into_iter().zip(&others) {
            let mut at = place;
            mutate(&mut document, &mut at, other.as_ref());
        }
        let text = document.to_string();
        if let Ok(report) = replay(&text) {
            // What is judged at all is judged the same again, and is JSON without NaN.
            prop_assert_eq!(&serde_json::from_str::<Value>(&report.to_string()).unwrap()["schema"], "mlroll/replay/1");
            prop_assert_eq!(report.to_string(), run(&document).to_string());
        }
        let _ = replay(text.get(..cut.index(text.len())).unwrap_or_default());
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in ".*") {
        let _ = replay(&text);
    }

    #[test]
    fn no_json_panics(document in any_json(), gate in any_json(), looks in any_json()) {
        let _ = replay(&document.to_string());
        let _ = replay(&json!({"gate": gate, "looks": looks}).to_string());
        let _ = replay(&example(std::slice::from_ref(&looks)).to_string());
        let samples = json!({"gate": {"metric": "latency", "judge": "kayenta"}, "looks": [{"candidate": looks, "stable": [1, 2]}]});
        let _ = replay(&samples.to_string());
    }

    #[test]
    fn extreme_numbers_give_finite_evidence(
        gate in gates(), sides in proptest::collection::vec((extreme(), extreme(), extreme(), extreme()), 1..6),
        horizon in 1u64..9, last in any::<bool>(),
    ) {
        let counts = gate.get("judge").is_none();
        let looks: Vec<Value> = sides.iter().map(|(a, b, c, d)| {
            let side = |x: f64, y: f64| {
                let (x, y) = (x.min(1e15), y.min(1e15));
                json!({"requests": x.max(y), "events": x.min(y)})
            };
            if counts { json!({"candidate": side(*a, *b), "stable": side(*c, *d)}) } else { json!({"candidate": a, "stable": c}) }
        }).collect();
        let document = json!({"gate": gate, "horizon": horizon, "final_look": last, "looks": looks});
        if let Ok(report) = replay(&document.to_string()) {
            prop_assert!(finite_evidence(&report), "{document} {report}");
            prop_assert_eq!(&report, &run(&document));
            if counts {
                prop_assert!(report["interval"]["lower"].is_f64(), "{document} {report}");
            }
        }
    }

    #[test]
    fn extreme_samples_give_finite_tests(
        x in proptest::collection::vec(extreme(), 1..40), y in proptest::collection::vec(extreme(), 1..40),
    ) {
        let looks = json!([{"candidate": x, "stable": y}]);
        let report = run(&json!({"gate": {"metric": "latency", "judge": "mann_whitney"}, "looks": looks}));
        prop_assert!(report["looks"][0]["p"].is_f64() && report["looks"][0]["hodges_lehmann"].is_f64());
        run(&json!({"gate": {"metric": "latency", "judge": "kayenta"}, "looks": looks}));
    }
}
