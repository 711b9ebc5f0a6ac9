//! CloudWatch's two protocols: rpc-v2-cbor, which the SDKs speak today, and awsJson 1.0, which they spoke before.
//!
//! A request of either becomes a [`Value`]; moments are tag 1 with seconds since 1970 in CBOR, and plain numbers in JSON.

use bytes::Bytes;
use ciborium::Value;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};

use crate::api::{Answer, INJECTED, Request};
use crate::traffic::Key;

/// The service's name in both protocols.
pub(super) const SERVICE: &str = "GraniteServiceVersion20100801";

/// How a request was written, and so its answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Cbor,
    Json,
}

/// An error of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    status: u16,
    /// The name of its shape, and the code by which the older query protocol, and so most clients, know it.
    shape: &'static str,
    code: &'static str,
    message: String,
}

impl Fault {
    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self { status: 400, shape: "ValidationException", code: "ValidationError", message: message.into() }
    }

    pub(super) fn invalid_value(message: impl Into<String>) -> Self {
        let shape = "InvalidParameterValueException";
        Self { status: 400, shape, code: "InvalidParameterValue", message: message.into() }
    }

    pub(super) fn invalid_combination(message: impl Into<String>) -> Self {
        let shape = "InvalidParameterCombinationException";
        Self { status: 400, shape, code: "InvalidParameterCombination", message: message.into() }
    }

    pub(super) fn missing(parameter: &str) -> Self {
        let message = format!("The parameter {parameter} is required.");
        Self { status: 400, shape: "MissingRequiredParameterException", code: "MissingParameter", message }
    }

    pub(super) fn token() -> Self {
        let message = "The token supplied for parameter NextToken is invalid.".to_owned();
        Self { status: 400, shape: "InvalidNextToken", code: "InvalidNextToken", message }
    }

    fn serialization(message: impl Into<String>) -> Self {
        let shape = "SerializationException";
        Self { status: 400, shape, code: "SerializationException", message: message.into() }
    }

    pub(super) fn unknown_operation() -> Self {
        let shape = "UnknownOperationException";
        Self { status: 404, shape, code: "UnknownOperationException", message: String::new() }
    }
}

/// The protocol and the name of the operation, when the request is for CloudWatch.
pub(super) fn recognize(request: &Request) -> Option<(Protocol, &str)> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let in_path = request.uri().path().split_once("/service/").and_then(|(_, rest)| {
        let (service, operation) = rest.split_once("/operation/")?;
        (service == SERVICE).then_some(operation)
    });
    if let Some(operation) = in_path {
        return Some((Protocol::Cbor, operation));
    }
    let (service, operation) = header("x-amz-target")?.split_once('.')?;
    (service == SERVICE).then_some((Protocol::Json, operation))
}

/// What a request says.
pub(super) fn read(protocol: Protocol, request: &Request) -> Result<Value, Fault> {
    let body = request.body();
    if body.is_empty() {
        return Ok(Value::Map(Vec::new()));
    }
    let value = match protocol {
        Protocol::Cbor => {
            let said = request.headers().get("smithy-protocol").map(HeaderValue::as_bytes);
            if said != Some(b"rpc-v2-cbor") {
                return Err(Fault::serialization("the header smithy-protocol is not rpc-v2-cbor"));
            }
            ciborium::from_reader(body.as_ref()).map_err(|_| Fault::serialization("the body is not CBOR"))?
        }
        Protocol::Json => {
            let json = serde_json::from_slice(body).map_err(|_| Fault::serialization("the body is not JSON"))?;
            from_json(json)
        }
    };
    if value.is_map() { Ok(value) } else { Err(Fault::serialization("the body is not a map")) }
}

fn from_json(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(value),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(integer) => Value::from(integer),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::Text(text),
        serde_json::Value::Array(all) => Value::Array(all.into_iter().map(from_json).collect()),
        serde_json::Value::Object(members) => {
            Value::Map(members.into_iter().map(|(name, value)| (Value::Text(name), from_json(value))).collect())
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "there may be more kinds of values, but not here")]
fn to_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Integer(integer) => i64::try_from(*integer).map_or(serde_json::Value::Null, serde_json::Value::from),
        Value::Float(number) => serde_json::Value::from(*number),
        Value::Text(text) => serde_json::Value::from(text.as_str()),
        Value::Bool(value) => serde_json::Value::from(*value),
        Value::Tag(_, inner) => to_json(inner),
        Value::Array(all) => all.iter().map(to_json).collect(),
        Value::Map(members) => {
            let named = members.iter().filter_map(|(name, value)| Some((name.as_text()?.to_owned(), to_json(value))));
            serde_json::Value::Object(named.collect())
        }
        _ => serde_json::Value::Null,
    }
}

/// An answer, with a request id that depends on the moment and the request.
pub(super) fn write(protocol: Protocol, result: &Result<Value, Fault>, id: Key) -> Answer {
    let mut answer = match result {
        Ok(value) => encode(protocol, StatusCode::OK, value),
        Err(fault) => {
            let status = StatusCode::from_u16(fault.status).unwrap_or_default();
            failed(protocol, status, fault.shape, fault.code, &fault.message)
        }
    };
    if let Ok(id) = HeaderValue::from_str(&request_id(id)) {
        answer.headers_mut().insert("x-amzn-requestid", id);
    }
    answer
}

/// The answer of a fault that is injected.
pub(super) fn injected(status: StatusCode, code: &str) -> Answer {
    failed(Protocol::Cbor, status, code, code, INJECTED)
}

fn failed(protocol: Protocol, status: StatusCode, shape: &str, code: &str, message: &str) -> Answer {
    let kind = Value::from(format!("com.amazonaws.cloudwatch#{shape}"));
    let mut answer = encode(protocol, status, &map([("__type", kind), ("message", Value::from(message))]));
    let whose = if status.is_server_error() { "Receiver" } else { "Sender" };
    if let Ok(code) = HeaderValue::from_str(&format!("{code};{whose}")) {
        answer.headers_mut().insert("x-amzn-query-error", code);
    }
    answer
}

fn encode(protocol: Protocol, status: StatusCode, value: &Value) -> Answer {
    let (kind, body) = match protocol {
        Protocol::Cbor => {
            let mut body = Vec::new();
            // Writing to memory does not fail.
            let _ = ciborium::into_writer(value, &mut body);
            ("application/cbor", body)
        }
        Protocol::Json => ("application/x-amz-json-1.0", to_json(value).to_string().into_bytes()),
    };
    let mut answer = Answer::new(Bytes::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if protocol == Protocol::Cbor {
        answer.headers_mut().insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
    }
    answer
}

fn request_id(key: Key) -> String {
    let part = |number: u64, bits: u32| (key.with(number).unit() * 2_f64.powi(bits as i32)) as u64;
    format!("{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}", part(0, 32), part(1, 16), part(2, 12), part(3, 12), part(4, 48))
}

/// A map with these members.
pub(super) fn map<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Map(members.into_iter().map(|(name, value)| (Value::from(name), value)).collect())
}

/// A moment, from seconds since 1970.
pub(super) fn moment(seconds: i64) -> Value {
    Value::Tag(1, Box::new(Value::Float(seconds as f64)))
}

/// A member of a map, unless it is null.
pub(super) fn get<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let members = value.as_map()?;
    members.iter().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value).filter(|value| !value.is_null())
}

fn wrong_type(name: &str, expected: &str) -> Fault {
    Fault::serialization(format!("{name} is not {expected}"))
}

/// A text member.
pub(super) fn text<'a>(value: &'a Value, name: &str) -> Result<Option<&'a str>, Fault> {
    get(value, name).map(|value| value.as_text().ok_or_else(|| wrong_type(name, "a text"))).transpose()
}

/// A text member that has to be there.
pub(super) fn required<'a>(value: &'a Value, name: &str) -> Result<&'a str, Fault> {
    text(value, name)?.ok_or_else(|| Fault::missing(name))
}

/// A number member.
pub(super) fn number(value: &Value, name: &str) -> Result<Option<f64>, Fault> {
    get(value, name).map(|value| as_number(value).ok_or_else(|| wrong_type(name, "a number"))).transpose()
}

/// A whole number.
pub(super) fn integer(value: &Value, name: &str) -> Result<Option<i64>, Fault> {
    let whole = |value: &Value| value.as_integer().and_then(|integer| i64::try_from(integer).ok());
    get(value, name).map(|value| whole(value).ok_or_else(|| wrong_type(name, "a whole number"))).transpose()
}

pub(super) fn boolean(value: &Value, name: &str) -> Result<Option<bool>, Fault> {
    get(value, name).map(|value| value.as_bool().ok_or_else(|| wrong_type(name, "true or false"))).transpose()
}

/// The elements of a list member; none when it is not there.
pub(super) fn list<'a>(value: &'a Value, name: &str) -> Result<&'a [Value], Fault> {
    let Some(value) = get(value, name) else { return Ok(&[]) };
    value.as_array().map(Vec::as_slice).ok_or_else(|| wrong_type(name, "a list"))
}

/// The texts of a list member.
pub(super) fn texts<'a>(value: &'a Value, name: &str) -> Result<Vec<&'a str>, Fault> {
    list(value, name)?.iter().map(|one| one.as_text().ok_or_else(|| wrong_type(name, "a list of texts"))).collect()
}

/// A moment member, in whole seconds since 1970, rounded down.
pub(super) fn seconds(value: &Value, name: &str) -> Result<Option<i64>, Fault> {
    let Some(value) = get(value, name) else { return Ok(None) };
    let value = if let Value::Tag(1, inner) = value { inner } else { value };
    let seconds = as_number(value).filter(|seconds| seconds.abs() < 2e11);
    seconds.map(|seconds| Some(seconds.floor() as i64)).ok_or_else(|| wrong_type(name, "a moment"))
}

pub(super) fn as_number(value: &Value) -> Option<f64> {
    let integer = || value.as_integer().map(|integer| i128::from(integer) as f64);
    value.as_float().or_else(integer)
}
