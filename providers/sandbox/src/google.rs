//! What all APIs of Google Cloud share: how they refuse, and how they read a request's address.

use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use crate::api::{Answer, INJECTED, Request, bearer, json_answer};

/// A refusal in Google's own form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    code: StatusCode,
    status: String,
    message: String,
}

impl Refusal {
    fn new(code: StatusCode, status: &str, message: impl Into<String>) -> Self {
        Self { code, status: status.to_owned(), message: message.into() }
    }

    /// A request that makes no sense.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", message)
    }

    /// A request that makes sense, but not now.
    pub(crate) fn precondition(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "FAILED_PRECONDITION", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", message)
    }

    /// An etag that is not the latest (AIP-154).
    pub(crate) fn aborted(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "ABORTED", message)
    }

    pub(crate) fn already_exists(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "ALREADY_EXISTS", message)
    }

    /// Somebody who may not.
    pub(crate) fn denied(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "PERMISSION_DENIED", message)
    }

    /// What Google has and the sandbox has not.
    pub(crate) fn unimplemented(request: &Request) -> Self {
        let message = format!("{} {} is not in this sandbox.", request.method(), request.uri().path());
        Self::new(StatusCode::NOT_IMPLEMENTED, "UNIMPLEMENTED", message)
    }

    /// A fault that was asked for.
    pub(crate) fn injected(code: StatusCode, status: Option<&str>) -> Self {
        let usual = match code.as_u16() {
            400 => "INVALID_ARGUMENT",
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            409 => "ABORTED",
            429 => "RESOURCE_EXHAUSTED",
            501 => "UNIMPLEMENTED",
            503 => "UNAVAILABLE",
            504 => "DEADLINE_EXCEEDED",
            500.. => "INTERNAL",
            _ => "UNKNOWN",
        };
        Self::new(code, status.unwrap_or(usual), INJECTED)
    }

    pub(crate) fn answer(&self) -> Answer {
        let error = json!({ "code": self.code.as_u16(), "message": self.message, "status": self.status });
        json_answer(self.code, &json!({ "error": error }))
    }
}

/// Refuses who brings no token; any will do.
pub(crate) fn authenticated(request: &Request) -> Result<(), Refusal> {
    if bearer(request).is_some() {
        return Ok(());
    }
    let message = "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie \
                   or other valid authentication credential.";
    Err(Refusal::new(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", message))
}

/// The decoded segments of a request's path.
pub(crate) fn segments(request: &Request) -> Vec<String> {
    let path = request.uri().path().strip_prefix('/').unwrap_or_default();
    path.split('/').map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned()).collect()
}

/// The parameters of a request's address.
#[derive(Clone, Debug)]
pub(crate) struct Parameters(Vec<(String, String)>);

/// Parameters that every method has and that change no answer here.
const COMMON: [&str; 4] = ["$.xgafv", "key", "prettyPrint", "quotaUser"];

impl Parameters {
    /// Reads them; any that the method does not have is refused, and so is one that is given twice, unless it is in
    /// `repeated`.
    pub(crate) fn read(request: &Request, once: &[&str], repeated: &[&str]) -> Result<Self, Refusal> {
        let query = request.uri().query().unwrap_or_default();
        let all: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        for (at, (name, value)) in all.iter().enumerate() {
            let name = name.as_str();
            let is_format = matches!(name, "alt" | "$alt");
            if is_format && !matches!(value.as_str(), "json" | "json;enum-encoding=int") {
                return Err(Refusal::invalid(format!("Invalid value at '{name}': {value}")));
            }
            if !is_format && !COMMON.contains(&name) && !once.contains(&name) && !repeated.contains(&name) {
                let message = format!(
                    "Invalid JSON payload received. Unknown name \"{name}\": Cannot bind query parameter. \
                     Field '{name}' could not be found in request message."
                );
                return Err(Refusal::invalid(message));
            }
            if once.contains(&name) && all.iter().take(at).any(|(other, _)| other == name) {
                let message =
                    format!("Invalid value at '{name}': the parameter is not repeated and was given more than once");
                return Err(Refusal::invalid(message));
            }
        }
        Ok(Self(all))
    }

    /// The value of a parameter that is there and not empty.
    pub(crate) fn get<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).find(|value| !value.is_empty())
    }

    /// All values of a repeated parameter.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(Refusal::invalid(format!("Invalid value at '{name}' (TYPE_BOOL), \"{other}\""))),
        }
    }

    /// How many items a page may have, at most `most`, which is also what 0 means.
    pub(crate) fn page_size(&self, most: usize) -> Result<usize, Refusal> {
        let Some(text) = self.get("pageSize") else { return Ok(most) };
        let invalid = || Refusal::invalid(format!("Invalid value at 'page_size' (TYPE_INT32), \"{text}\""));
        let size: i32 = text.parse().map_err(|_| invalid())?;
        let size = usize::try_from(size).map_err(|_| invalid())?;
        Ok(if size == 0 { most } else { size.min(most) })
    }

    /// How many items were on earlier pages.
    pub(crate) fn page_start(&self) -> Result<usize, Refusal> {
        let Some(token) = self.get("pageToken") else { return Ok(0) };
        let number = token.strip_prefix("after-").and_then(|number| number.parse().ok());
        number.ok_or_else(|| Refusal::invalid("The page token is invalid."))
    }
}

/// The token of the page that begins after so many items.
pub(crate) fn page_token(after: usize) -> String {
    format!("after-{after}")
}

/// A body that must be an object; none at all is an empty one.
pub(crate) fn body(request: &Request) -> Result<Map<String, Value>, Refusal> {
    if request.body().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(request.body()) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(Refusal::invalid("Invalid JSON payload received. Root element must be a message.")),
        Err(why) => Err(Refusal::invalid(format!("Invalid JSON payload received. {why}"))),
    }
}

/// Refuses members that a message does not have.
pub(crate) fn known(members: &Map<String, Value>, place: &str, fields: &[&str]) -> Result<(), Refusal> {
    let Some(stray) = members.keys().find(|key| !fields.contains(&key.as_str())) else { return Ok(()) };
    let at = if place.is_empty() { String::new() } else { format!(" at '{place}'") };
    Err(Refusal::invalid(format!("Invalid JSON payload received. Unknown name \"{stray}\"{at}: Cannot find field.")))
}

/// Leaves out what proto3 leaves out: what is empty, zero or false.
pub(crate) fn sparse(members: &mut Map<String, Value>) {
    members.retain(|_, value| match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    });
}

/// Whether the request only reads.
pub(crate) fn is_get(request: &Request) -> bool {
    request.method() == Method::GET
}
