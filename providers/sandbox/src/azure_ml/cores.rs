//! How many cores deployments take.

use serde_json::{Map, Value};

/// What a machine is called where none is named.
const USUAL: &str = "Standard_F4s_v2";

/// The machine of a deployment.
pub(super) fn machine(record: &Map<String, Value>) -> &str {
    let named = record.get("properties").and_then(|properties| properties.get("instanceType")?.as_str());
    named.unwrap_or(USUAL)
}

/// The cores of a deployment: a fifth more instances than it has, kept for upgrades.
pub(super) fn of(record: &Map<String, Value>) -> u64 {
    let instances = record.get("sku").and_then(|sku| sku.get("capacity")?.as_u64()).unwrap_or(1);
    instances.saturating_mul(12).div_ceil(10).saturating_mul(each(machine(record)))
}

/// The cores of a machine: what its name says, which for the second generation of D is a size.
fn each(machine: &str) -> u64 {
    let name = machine.to_ascii_lowercase();
    let name = name.strip_prefix("standard_").unwrap_or(&name);
    let number: String = name.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    let number = number.parse::<u64>().unwrap_or(4).clamp(1, 416);
    match name.strip_prefix("ds").or_else(|| name.strip_prefix('d')) {
        Some(rest) if rest.ends_with("_v2") && number <= 5 => 1 << (number - 1),
        Some(_) | None => number,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ten_of_four_cores_take_forty_eight() {
        for (machine, instances, cores) in [
            ("Standard_DS3_v2", 10, 48),
            ("Standard_DS3_v2", 1, 8),
            ("Standard_F4s_v2", 5, 24),
            ("STANDARD_NC24ads_A100_v4", 1, 48),
            ("what", 1, 8),
        ] {
            let record = json!({ "sku": { "capacity": instances }, "properties": { "instanceType": machine } });
            assert_eq!(of(record.as_object().unwrap()), cores, "{instances} of {machine}");
        }
    }
}
