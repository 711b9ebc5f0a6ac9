//! What is foreseen, as text: each from the document that scripts get.

use serde_json::Value;

use super::text::{table, trimmed};
use crate::explain::chart;
use crate::foresight::{number, percent, span};

/// What a thousand series of a question cost, in US dollars: CloudWatch's list price of `GetMetricData`.
const LIST_PRICE: f64 = 0.01;

/// `mlroll/plan/1` for people.
#[must_use]
pub fn plan(document: &Value) -> String {
    let text = |name: &str| words(&document[name]);
    let mut out = format!("{} of {}: {} -> {}\n", text("verb"), text("target"), text("stable"), text("candidate"));
    let late = number_of(&document["settle_delay"]);
    out += &format!("  takes {}, when it goes well", range(&document["seconds"], span));
    if document["judged"] == true {
        out += &format!(
            "; looks of {} are read {} late, {} in all\n  a false rollback: at most {} over the whole run; a false pass: at most {} by each gate",
            span(number_of(&document["look"])),
            span(late),
            words(&document["horizon"]),
            percent(number_of(&document["alpha"])),
            percent(number_of(&document["beta"]))
        );
    } else {
        out += "; not judged";
    }
    out.push('\n');
    if let Some(rps) = document.pointer("/traffic/requests_per_second").and_then(Value::as_f64) {
        out += &format!("  traffic: {} requests/s", number(rps));
        for gate in list(&document["gates"]).iter().filter(|gate| gate["base_rate"].is_f64()) {
            let effect = number_of(&gate["design_effect"]);
            let bursts = if effect > 1.0 { format!(", bursts of {}", number(effect)) } else { String::new() };
            out += &format!("; `{}` {}{bursts}", words(&gate["gate"]), percent(number_of(&gate["base_rate"])));
        }
        out.push('\n');
    }
    let metrics = &document["metrics"];
    if metrics.is_object() {
        let series =
            |name: &str| metrics.pointer(&format!("/{name}/series")).and_then(Value::as_f64).unwrap_or_default();
        out += &format!(
            "  metrics: {} series are asked for at least and {} at most, {} a look; each thousand costs {LIST_PRICE} USD by the list\n",
            number(series("least")),
            number(series("most")),
            number(series("look"))
        );
    }
    out.push('\n');
    out += &steps(document);
    out += &sights(document);
    out += "\ncalls (reads were made, writes were not)\n";
    out += &calls("to begin with", &document["opening"]);
    out += &calls("to find out how late metrics are, and how often", &document["learn"]);
    let capacity = &document["capacity"];
    let back = if document["verb"] == "canary" { "where stable gets everything back" } else { "at the end" };
    for change in capacity["changes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        out += &format!("capacity before the first share, set back {back}: {change}\n");
    }
    out += &calls("to find out about capacity", &capacity["reads"]);
    out += &calls("to make it ready", &capacity["prepare"]);
    let looks = deep(document, "/observed/most");
    out += &calls(
        &format!("each look at the target, {} at most and more while a split settles", words(looks)),
        &document["observe"],
    );
    for step in list(&document["steps"]) {
        out += &calls(&format!("step {}, {} %", words(&step["step"]), words(&step["percent"])), &step["calls"]);
    }
    out += &calls("to take it back", &document["rollback"]);
    for blocked in list(&document["blocked"]) {
        let from = blocked["step"].as_u64().map_or_else(|| "before step 1".to_owned(), |step| format!("step {step}"));
        let most = span(blocked.pointer("/seconds/most").and_then(Value::as_f64).unwrap_or_default());
        out += &format!("  a rollback waits: {from}, until {}, at most {most}\n", words(&blocked["until"]));
    }
    for (name, head) in [("warnings", "warning"), ("notes", "note"), ("unknown", "not known before")] {
        for line in list(&document[name]) {
            out += &format!("  {head}: {}\n", words(line));
        }
    }
    out
}

/// `mlroll/power/1` for people.
#[must_use]
pub fn power(document: &Value) -> String {
    let of = |name: &str| number_of(&document[name]);
    let mut out = format!(
        "{} requests/s, {} % of them for the candidate, base rate {}; bake {}, {} looks of {}; seed {}\n",
        number(of("requests_per_second")),
        words(&document["percent"]),
        percent(of("base_rate")),
        span(of("bake")),
        words(&document["looks"]),
        span(of("look")),
        words(&document["seed"])
    );
    for gate in list(&document["gates"]) {
        let asked = &gate["asked"];
        let smallest = gate["smallest"].as_f64().map_or_else(|| "nothing".to_owned(), percent);
        out += &format!(
            "\ngate `{}` at alpha {}: tolerates {}; in half of all bakes it sees from {smallest} on\n",
            words(&gate["gate"]),
            words(&gate["alpha"]),
            percent(number_of(&gate["tolerated"])),
        );
        out += &format!(
            "  a false alarm: {} of bakes with nothing wrong\n",
            percent(number_of(deep(gate, "/healthy/chance")))
        );
        let passes = &gate["passes"];
        out += &format!(
            "  a candidate as good as stable: passes in {} of bakes, {}\n",
            percent(number_of(&passes["chance"])),
            match passes["median_seconds"].as_f64() {
                Some(seconds) => format!("half of all after {}", span(seconds)),
                None => "fewer than half of all".to_owned(),
            }
        );
        if let Some(level) = gate["final_alpha"].as_f64() {
            out += &format!(
                "  an exact test at the end (`final_look`) has {} of alpha besides; it is in all chances\n",
                number(level)
            );
        }
        let curve: Vec<f64> = list(&gate["curve"]).iter().map(number_of).collect();
        out += &format!("  {}x, {}: ", words(&asked["regression"]), percent(number_of(&asked["rate"])));
        out += &format!("{} within the bake, {}\n", percent(number_of(&asked["chance"])), median(asked));
        out += &format!("  failed by each look: {}\n", chart(&curve));
        let mut table = table(&["REGRESSION", "RATE", "CHANCE", "MEDIAN", "BY FORMULA"]);
        for rung in list(&gate["ladder"]) {
            table.add_row([
                format!("{}x", words(&rung["regression"])),
                percent(number_of(&rung["rate"])),
                percent(number_of(&rung["chance"])),
                median(rung),
                percent(number_of(deep(rung, "/formula/chance"))),
            ]);
        }
        out += &trimmed(&table);
        let found = || [asked, &gate["healthy"], passes].into_iter().chain(list(&gate["ladder"]));
        let fewest = found().map(|found| number_of(&found["runs"])).fold(f64::INFINITY, f64::min);
        let error = found().map(|found| number_of(&found["standard_error"])).fold(0.0, f64::max);
        out += &format!(
            "  each by {} simulated bakes or more; standard error of a chance: {} points at most\n",
            number(fewest),
            number(error * 100.0)
        );
    }
    out
}

fn median(found: &Value) -> String {
    match found["median_seconds"].as_f64() {
        Some(seconds) => format!("half of them after {}", span(seconds)),
        None => "mostly missed".to_owned(),
    }
}

/// `mlroll/backtest/1` for people.
#[must_use]
pub fn backtest(document: &Value) -> String {
    let look = number_of(&document["look"]);
    let mut out = format!(
        "bakes of {} looks of {}, {} % for an imagined candidate\n",
        words(&document["looks"]),
        span(look),
        words(&document["percent"])
    );
    for gate in list(&document["gates"]) {
        let result = &gate["result"];
        let of = |name: &str| number_of(&result[name]);
        let bakes = |of: &Value| format!("{} of {} bakes", words(&of["failed"]), words(&of["bakes"]));
        out += &format!(
            "\ngate `{}`: {} windows ({} without data), ",
            words(&gate["gate"]),
            words(&result["windows"]),
            words(&result["without_data"])
        );
        out += &match result["null"].as_str() {
            Some(null) => compared(result, null),
            None => {
                let effect = result["design_effect"].as_f64().map_or_else(|| "not measured".to_owned(), number);
                let (requests, rate) = (number(of("requests")), percent(of("base_rate")));
                let lag = number(of("autocorrelation"));
                format!("{requests} requests each, base rate {rate}\n  design effect {effect}, autocorrelation {lag}\n")
            }
        };
        out += &format!(
            "  with nothing wrong: failed in {}; passed first in {}\n",
            bakes(&result["healthy"]),
            words(deep(result, "/healthy/passed"))
        );
        let median = deep(result, "/regressed/median_look").as_f64();
        let soon = median
            .map_or_else(|| "fewer than half".to_owned(), |n| format!("half of all after {} of data", span(n * look)));
        out += &format!(
            "  {}x {}injected: failed in {}; {soon}\n",
            words(&document["regression"]),
            injected(&result["injected"]),
            bakes(&result["regressed"])
        );
    }
    for gate in list(&document["untried"]) {
        out += &format!("\ngate `{}`: not tried: {}\n", words(&gate["gate"]), words(&gate["why"]));
    }
    out
}

/// What stands for two revisions of a gate that counts no events, and what its values are.
fn compared(result: &Value, null: &str) -> String {
    let beside = match null {
        "as_it_was" => "the candidate is the past as it was",
        "bake_before" => {
            "each bake beside the one before: too short for the day before, so a wave of the day is a difference"
        }
        "day_before" => "each bake beside the same hours of the day before, both ways",
        _ => "each request given to one of two",
    };
    let half = |name: &str, said: &str| {
        result[name].as_f64().map_or_else(String::new, |value| format!("{said} {}, ", number(value)))
    };
    let values = half("median", "half of them below") + &half("autocorrelation", "autocorrelation");
    let unmoved = match result["unmoved"].as_u64() {
        Some(windows) if windows > 0 => format!("; {windows} windows stay as they are, as no factor changes 0"),
        _ => String::new(),
    };
    let disjoint = words(&result["disjoint"]);
    format!("{values}{beside}\n  {disjoint} bakes have no window in common, and others repeat them in part{unmoved}\n")
}

/// What is made worse.
fn injected(what: &Value) -> &'static str {
    match what.as_str() {
        Some("index") => "the index allowed, ",
        Some("latency") => "as slow, ",
        Some("use") => "the use, ",
        Some("value") => "as bad a value, ",
        _ => "",
    }
}

fn steps(document: &Value) -> String {
    let mut table = table(&["STEP", "SHARE", "TAKES", "LOOKS", "REQUESTS"]);
    for step in list(&document["steps"]) {
        table.add_row([
            words(&step["step"]),
            format!("{} %", words(&step["percent"])),
            range(&step["seconds"], span),
            range(&step["looks"], |looks| format!("{looks}")),
            step["requests"].as_f64().map_or_else(|| "-".to_owned(), |requests| format!("{requests:.0}")),
        ]);
    }
    trimmed(&table)
}

fn sights(document: &Value) -> String {
    let mut table = table(&[
        "SHARE",
        "GATE",
        "TOLERATES",
        "SEES FROM",
        "AT",
        "FAILS AFTER",
        "CHANCE",
        "EXPOSED",
        "A GOOD ONE PASSES",
    ]);
    let mut any = false;
    for step in list(&document["steps"]) {
        for sight in list(&step["gates"]) {
            any = true;
            let or =
                |value: &Value, said: &dyn Fn(f64) -> String| value.as_f64().map_or_else(|| "never".to_owned(), said);
            table.add_row([
                format!("{} %", words(&step["percent"])),
                words(&sight["gate"]),
                percent(number_of(&sight["tolerated"])),
                or(&sight["smallest"], &percent),
                percent(number_of(&sight["regressed"])),
                or(&sight["seconds_to_fail"], &span),
                percent(number_of(&sight["chance_to_fail"])),
                or(&sight["exposed"], &|requests| format!("{requests:.0} requests")),
                or(&sight["seconds_to_pass"], &|seconds| {
                    format!("{}, after {}", percent(number_of(&sight["chance_to_pass"])), span(seconds))
                }),
            ]);
        }
    }
    if any { format!("\n{}", trimmed(&table)) } else { String::new() }
}

fn calls(head: &str, calls: &Value) -> String {
    let calls = list(calls);
    if calls.is_empty() {
        return String::new();
    }
    let mut out = format!("  {head}\n");
    for call in calls {
        let [operation, method, url] = ["operation", "method", "url"].map(|name| words(&call[name]));
        out += &format!("    {operation} {method} {url}\n");
        if !call["body"].is_null() {
            out += &format!("        {}\n", call["body"]);
        }
    }
    out
}

fn range(of: &Value, said: impl Fn(f64) -> String) -> String {
    let (least, most) = (said(number_of(&of["least"])), said(number_of(&of["most"])));
    if least == most { least } else { format!("{least} to {most}") }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn deep<'v>(value: &'v Value, path: &str) -> &'v Value {
    value.pointer(path).unwrap_or(&Value::Null)
}

fn number_of(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

fn words(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
