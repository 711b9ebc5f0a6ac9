//! Whole replay files against `tests/reference.py`, which made `golden.json` (`reference.py golden`).

use serde_json::Value;

use crate::judge::replay::replay;

#[test]
fn replays_agree_with_the_reference() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("golden.json")).unwrap();
    assert!(vectors.len() > 30);
    for (number, vector) in vectors.iter().enumerate() {
        let kayenta = vector["document"]["gate"]["judge"] == "kayenta";
        let got = replay(&vector["document"].to_string()).unwrap();
        compare(&got, &vector["want"], kayenta, &format!("vector {number}"));
    }
}

/// Every key of `want` is in `got`. Kayenta's numbers are ranges, as a plateau has many roots; its null word is unknown.
fn compare(got: &Value, want: &Value, kayenta: bool, place: &str) {
    match want {
        Value::Object(keys) => {
            for (key, want) in keys {
                if !(kayenta && want.is_null()) {
                    compare(got.get(key).unwrap_or(&Value::Null), want, kayenta, &format!("{place}.{key}"));
                }
            }
        }
        Value::Array(range) if kayenta && got.is_number() => {
            let (got, low, high) = (got.as_f64().unwrap(), range[0].as_f64().unwrap(), range[1].as_f64().unwrap());
            assert!((low - 1e-3..=high + 1e-3).contains(&got), "{place}: {got}, not in {low}..{high}");
        }
        Value::Array(items) => {
            assert_eq!(got.as_array().map(Vec::len), Some(items.len()), "{place}");
            for (index, (got, want)) in got.as_array().unwrap().iter().zip(items).enumerate() {
                compare(got, want, kayenta, &format!("{place}[{index}]"));
            }
        }
        Value::Number(number) => {
            let want = number.as_f64().unwrap();
            let close = got.as_f64().is_some_and(|got| (got - want).abs() <= 1e-9 * want.abs().max(1.0));
            assert!(close, "{place}: {got}, not {want}");
        }
        Value::Null | Value::Bool(_) | Value::String(_) => assert_eq!(got, want, "{place}"),
    }
}
