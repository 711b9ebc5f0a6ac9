//! `/_sandbox/*`: what is about the sandbox and not about a cloud.

use std::time::Duration;

use http::{HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{Answer, Request, json_answer};
use crate::clock::to_the_millisecond;
use crate::exchange::Exchange;
use crate::faults;

/// What all of its paths begin with.
pub(crate) const PREFIX: &str = "/_sandbox";

/// Answers a request for one of them.
pub(crate) fn answer(exchange: &Exchange, request: &Request) -> Answer {
    let path = request.uri().path();
    let resource = path.strip_prefix(PREFIX).unwrap_or(path).trim_end_matches('/');
    let result = match (resource, request.method()) {
        ("/faults", &Method::GET) => Ok(exchange.book().shown()),
        ("/faults", &Method::POST) => {
            faults::parse(request.body(), exchange.apis()).and_then(|fault| exchange.book().add(fault))
        }
        ("/faults", &Method::DELETE) => Ok(json!({ "deleted": exchange.book().clear() })),
        ("/requests", &Method::GET) => Ok(json!(exchange.log().entries())),
        ("/requests", &Method::DELETE) => Ok(json!({ "deleted": exchange.log().clear() })),
        ("/clock", &Method::GET) => Ok(clock(exchange)),
        ("/clock", &Method::POST) => set_clock(exchange, request.body()),
        ("/faults", _) => return refused(405, "allowed are GET, POST, DELETE", Some("GET, POST, DELETE")),
        ("/requests", _) => return refused(405, "allowed are GET, DELETE", Some("GET, DELETE")),
        ("/clock", _) => return refused(405, "allowed are GET, POST", Some("GET, POST")),
        _ => {
            let message =
                format!("there is no {path}; there are /_sandbox/clock, /_sandbox/faults, /_sandbox/requests");
            return refused(404, &message, None);
        }
    };
    match result {
        Ok(body) => json_answer(StatusCode::OK, &body),
        Err(message) => refused(400, &message, None),
    }
}

fn clock(exchange: &Exchange) -> Value {
    let world = exchange.world().lock();
    json!({ "now": to_the_millisecond(world.now()), "speed": world.clock.speed() })
}

/// The body of `POST /_sandbox/clock`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SetClock {
    advance: Option<String>,
    speed: Option<f64>,
}

fn set_clock(exchange: &Exchange, body: &[u8]) -> Result<Value, String> {
    let wanted: SetClock = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if wanted.advance.is_none() && wanted.speed.is_none() {
        return Err(r#"nothing to do; send {"advance": "10m"} or {"speed": 60}"#.to_owned());
    }
    let advance = wanted.advance.map(|text| {
        let by = humantime::parse_duration(&text);
        let by = by.map_err(|error| format!("advance is `{}`: {error}; as in 10m", text.escape_debug()))?;
        if by > MOST_ADVANCE {
            return Err("advance is more than 31 days at once".to_owned());
        }
        Ok(by)
    });
    let advance = advance.transpose()?;
    if let Some(speed) = wanted.speed
        && !(0.001..=1_000_000.0).contains(&speed)
    {
        return Err(format!("speed is {speed}; allowed are 0.001 to 1000000"));
    }
    let mut world = exchange.world().lock();
    if let Some(speed) = wanted.speed {
        world.clock.set_speed(speed);
    }
    if let Some(by) = advance {
        world.clock.advance(by);
    }
    drop(world);
    Ok(clock(exchange))
}

/// Users are simulated for all of the time that passes.
const MOST_ADVANCE: Duration = Duration::from_secs(31 * 24 * 3600);

fn refused(status: u16, message: &str, allow: Option<&'static str>) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut answer = json_answer(status, &json!({ "error": message }));
    if let Some(allow) = allow {
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    answer
}
