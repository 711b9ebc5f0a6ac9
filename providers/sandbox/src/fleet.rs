//! Many functions of the same kind, for work on a whole fleet.

use serde_json::json;

use crate::scenario::{Scenario, Service};

/// Adds `count` functions, `fraud-0001` and so on, each with versions 1 and 2 and the alias `prod` on 1.
pub(crate) fn add(scenario: &mut Scenario, count: usize) -> Result<(), String> {
    if count > MOST {
        return Err(format!("a fleet of {count} is too large: at most {MOST}"));
    }
    if count == 0 {
        return Ok(());
    }
    let service = json!({
        "requests_per_second": 1.0,
        "stable": "1",
        "revisions": { "1": { "error_rate": 0.002 }, "2": { "error_rate": 0.002 } },
    });
    let service: Service = serde_json::from_value(service).map_err(|error| error.to_string())?;
    for n in 1..=count {
        scenario.targets.insert(format!("lambda:us-east-1/fraud-{n:04}@prod"), service.clone());
    }
    Ok(())
}

/// Four digits.
const MOST: usize = 9_999;
