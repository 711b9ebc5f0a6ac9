//! What is foreseen, as text: each from the document that scripts get.

use serde_json::Value;

use super::text::{table, trimmed};
use crate::foresight::{number, percent, span};

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
    if let Some(rps) = document["traffic"]["requests_per_second"].as_f64() {
        out += &format!("  traffic: {} requests/s", number(rps));
        for gate in list(&document["gates"]).iter().filter(|gate| gate["base_rate"].is_f64()) {
            let effect = number_of(&gate["design_effect"]);
            let bursts = if effect > 1.0 { format!(", bursts of {}", number(effect)) } else { String::new() };
            out += &format!("; `{}` {}{bursts}", words(&gate["gate"]), percent(number_of(&gate["base_rate"])));
        }
        out.push('\n');
    }
    out.push('\n');
    out += &steps(document);
    out += &sights(document);
    out += "\ncalls (reads were made, writes were not)\n";
    out += &calls("to begin with", &document["opening"]);
    out += &calls("each look at the target", &document["observe"]);
    for step in list(&document["steps"]) {
        out += &calls(&format!("step {}, {} %", words(&step["step"]), words(&step["percent"])), &step["calls"]);
    }
    out += &calls("to take it back", &document["rollback"]);
    for (name, head) in [("warnings", "warning"), ("notes", "note"), ("unknown", "not known before")] {
        for line in list(&document[name]) {
            out += &format!("  {head}: {}\n", words(line));
        }
    }
    out
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
                or(&sight["seconds_to_pass"], &|seconds| format!("after {}", span(seconds))),
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
        out += &format!("    {} {}\n", words(&call["method"]), words(&call["url"]));
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

fn number_of(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

fn words(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
