//! A fault as it is asked for.

use http::StatusCode;
use serde::Deserialize;

use super::{Fault, Kind};
use crate::api::Api;

/// The body of `POST /_sandbox/faults`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    api: String,
    fault: String,
    operation: Option<String>,
    target: Option<String>,
    skip: Option<u64>,
    times: Option<u64>,
    status: Option<u16>,
    code: Option<String>,
    latency_ms: Option<u64>,
}

/// Reads a fault; the error says what is wrong and what is allowed.
///
/// What the kind has no use for may be present, because scripts fill in one form for all kinds. Empty texts are absent.
pub(crate) fn parse(body: &[u8], apis: &[Box<dyn Api>]) -> Result<Fault, String> {
    let spec: Spec = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let names = || apis.iter().map(|api| api.name()).collect::<Vec<_>>().join(", ");
    let api = apis.iter().find(|api| api.name() == spec.api);
    let api = api.ok_or_else(|| format!("there is no api `{}` here; allowed are {}", spec.api, names()))?;
    let kind = Kind::ALL.iter().find(|(_, name)| *name == spec.fault).map(|(kind, _)| *kind);
    let kind = kind.ok_or_else(|| {
        let allowed = Kind::ALL.map(|(_, name)| name).join(", ");
        format!("there is no fault `{}`; allowed are {allowed}", spec.fault)
    })?;
    let operation = spec.operation.filter(|name| !name.is_empty());
    let operations = api.operations();
    if let Some(name) = &operation
        && !operations.is_empty()
        && !operations.contains(&name.as_str())
    {
        return Err(format!("{} has no operation `{name}`; allowed are {}", api.name(), operations.join(", ")));
    }
    if let Kind::Twist(twist) = kind {
        let possible: Vec<&str> = operations.iter().copied().filter(|name| api.can(twist, name)).collect();
        let fits = operation.as_deref().map_or(!possible.is_empty(), |name| api.can(twist, name));
        if !fits {
            let hint = if possible.is_empty() { "none".to_owned() } else { possible.join(", ") };
            return Err(format!(
                "{} cannot play `{}` here; operations that it can are: {hint}",
                api.name(),
                spec.fault
            ));
        }
    }
    let latency_ms = spec.latency_ms.unwrap_or(0);
    if latency_ms > MOST_LATENCY_MS {
        return Err(format!("latency_ms is {latency_ms}; at most {MOST_LATENCY_MS} is allowed"));
    }
    if kind == Kind::Latency && latency_ms == 0 {
        return Err("a fault `latency` needs latency_ms above 0".to_owned());
    }
    let times = spec.times.unwrap_or(1);
    if times == 0 {
        return Err("times is 0; a fault befalls at least 1 request".to_owned());
    }
    let status = match (kind, spec.status) {
        (Kind::Status, None) => return Err("a fault `status` needs a status, such as 429".to_owned()),
        (Kind::Status, Some(status @ 300..=599)) => StatusCode::from_u16(status).unwrap_or_default(),
        (Kind::Status, Some(status)) => return Err(format!("status is {status}; allowed are 300 to 599")),
        (Kind::Latency | Kind::ResetBefore | Kind::ResetAfter | Kind::Truncate | Kind::Twist(_), _) => StatusCode::OK,
    };
    let code = spec.code.filter(|code| !code.is_empty());
    if let Some(code) = &code
        && (code.len() > 200 || !code.bytes().all(|b| b.is_ascii_graphic()))
    {
        return Err("code must be 1 to 200 printable characters without spaces".to_owned());
    }
    let target = spec.target.filter(|target| !target.is_empty());
    let skip = spec.skip.unwrap_or(0);
    Ok(Fault { api: api.name(), operation, target, skip, times, kind, status, code, latency_ms })
}

/// Ten minutes: longer than any client waits.
const MOST_LATENCY_MS: u64 = 600_000;
